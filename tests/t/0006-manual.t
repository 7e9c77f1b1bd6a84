#!/bin/bash
# The manual agrees with the tables: every command, every option and its words of help are there (style.md 14).
. "$(dirname "$0")/../lib.sh"
need kiln || skip_all
cd "$top" || exit 1
man=build/ui/man
ok "there is a manual page of the program" [ -e $man/kiln.1 ]
text=$(cat $man/*.1 2>/dev/null | sed -e 's/\\-/-/g; s/\\f[BIRP]//g; s/\\(aq/'"'"'/g; s/\\&//g; s/^\.B[IR]* //; s/^\.[A-Z][A-Z]* *//')
status 0 "help works without a store" env KILN_ROOT=/nonexistent/kiln "$KILN" help
commands=$("$KILN" help | sed -nE 's/^  ([a-z][a-z-]*)( .*|$)/\1/p')
ok "help lists the commands" [ "$(wc -w <<<"$commands")" -gt 10 ]
for c in $commands; do
    missing=
    grep -qE "(^|[^a-z-])$c([^a-z-]|$)" <<<"$text" || missing="$c "
    for o in $("$KILN" "$c" --help 2>&1 | grep -oE '^ +(-[A-Za-z], )?--[a-z][a-z-]*' | grep -oE -- '--[a-z-]+' | sort -u); do
        grep -qF -- "$o" <<<"$text" || missing+="$o "
    done
    is "$missing" "" "the manual has $c and its options"
done
command -v man >/dev/null && for p in $man/*.[1-8]; do
    is "$(LC_ALL=C.UTF-8 MANWIDTH=100 man --warnings -l "$p" 2>&1 >/dev/null | head -n 3)" "" "$p has no mistakes of form"
done
done_testing
