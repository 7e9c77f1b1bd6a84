#!/bin/bash
# Every option and its one line of help stand in the manual page of its command, and completion knows the option (style.md 14).
. "$(dirname "$0")/../lib.sh"
need kiln || skip_all
man=$top/build/ui/man

# Plain text of a page: one line, single blanks, no requests or fonts.
plain() {
    sed -e '/^\.\\"/d; s/^\.[A-Z][A-Za-z]* *//; s/\\f[BIRP]//g; s/\\-/-/g; s/\\(aq/'"'"'/g; s/\\&//g; s/\\e/\\/g' "$1" |
        tr '\n' ' ' | tr -s ' '
}
declare -A page=([build]=$(plain "$man/kiln-build.1"))
all=$(plain "$man/kiln.1")
lines=0
for c in $("$KILN" help | sed -nE 's/^  ([a-z]+) +.*/\1/p'); do
    text=${page[$c]:-$all} missing=''
    while IFS= read -r line; do
        name=$(grep -oE -- '--[a-z-]+' <<<"$line" | head -n 1)
        help=$(sed -E 's/^ +(-[A-Za-z], +)?--[a-z-]+(\[=[^]]*\]+| [^ ]+)? +//' <<<"$line")
        lines=$((lines + 1))
        [[ $text == *"$name"* ]] || missing+="$name "
        # The page begins its sentences with a capital letter.
        [[ ${text,,} == *"${help,,}"* ]] || missing+="($name: $help) "
        "$KILN" __complete "$c" "$name" | grep -qF -- "$name"$'\t' || missing+="(completion of $name) "
    done < <("$KILN" "$c" --help | sed -n '/^options:/,/^$/p' | grep -E '^ +(-[A-Za-z], +)?--')
    is "$missing" "" "the manual and the completion know the options of '$c'"
done
# Every rule of parser/lint.def, its words, and what it is called in hadolint.
text=$(plain "$man/kiln-lint.7") missing='' rules=0
while IFS=$'\t' read -r name words hadolint; do
    rules=$((rules + 1))
    [[ $text == *" $name $words."* ]] || missing+="($name: $words) "
    [ "$hadolint" = NULL ] || [[ $text == *" $words. In hadolint: ${hadolint//,/, }. "* ]] || missing+="($name: $hadolint) "
done < <(perl -0ne 'tr/`//d; print "$1\t$2\t$3\n" while /^LINT\((\w+),\s*"\w+",\s*"([^"]*)",\s*[^,]+,\s*[^,]+,\s*"?([\w,]+)"?\)/mg' "$top/parser/lint.def")
is "$missing" "" "the manual has the rules"
is "$rules" "$(grep -c '^LINT(' "$top/parser/lint.def")" "all of them"
# Every limit of build/limit.def, with its words and its default.
text=$(plain "$man/kiln.1") missing='' limits=0
while IFS=$'\t' read -r name about; do
    limits=$((limits + 1))
    [[ $text == *" $name $about "* ]] || missing+="($name: $about) "
done < <(sed -nE 's/^LIMIT\([A-Z_]+, *"([a-z-]+)".*"(.*)"\)$/\1\t\2/p' "$top/build/limit.def")
is "$missing" "" "the manual has the limits"
is "$limits" "$(grep -c '^LIMIT(' "$top/build/limit.def")" "all of those"
ok "there are options" [ "$lines" -gt 60 ]
done_testing
