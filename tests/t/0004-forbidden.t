#!/bin/bash
# Calls that must not be there (spec/threats.md P4, E1, X3, X8, style.md 1), by their names.
. "$(dirname "$0")/../lib.sh"
cd "$top" || exit 1

# Code without comments and strings, as file:line:text.
code() {
    perl -0777 -ne '
        s{/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\x27(?:\\.|[^\x27\\\n])*\x27}{ (my $t = $&) =~ s/[^\n]//g; $t || "\"\"" }gse;
        my $n = 0; print "$ARGV:" . ++$n . ":$_\n" for split /\n/' "$@"
}
mapfile -t files < <(find base parser cache layers registry build -name '*.[ch]' | sort)
code "${files[@]}" >"$T/code"
# calls NAMES EXCEPT-FILES - calls (not members, not declarations of functions of that kind with a prefix)
calls() {
    grep -E "(^|[^A-Za-z0-9_>.])($1)[[:space:]]*\(" "$T/code" | grep -vE "^($2):" | grep -vE '^base/banned\.h:|struct (stat|open_how)\b[^;]*\{'
}
path='open|creat|stat|lstat|chmod|chown|lchown|mkdir|rmdir|unlink|rename|link|symlink|mknod|mkfifo|utime|utimes|truncate|realpath|chdir|glob|ftw|nftw|opendir|access|readlink|canonicalize_file_name|remove|lutimes|futimesat'
is "$(calls "$path" '(base|registry|build|build/(exec|cmd|ui|output))/[a-z0-9_]*\.[ch]|layers/snap[a-z_]*\.c' |
    grep -vE '^cache/.*[^a-z]realpath')" "" \
    "P4: no call that resolves a path as a string, where paths come from images and contexts"
# The rest handles paths of the host: its configuration, outputs, mount points. Even there these are not wanted.
is "$(calls 'creat|chown|lchown|link|symlink|mknod|utime|utimes|truncate|glob|ftw|nftw|opendir|remove' 'none')" "" \
    "P4: nor these, anywhere"
is "$(calls 'strcpy|strcat|strncat|sprintf|vsprintf|gets|strtok|atoi|atol|gmtime|localtime|ctime|asctime|alloca|tmpnam|tempnam|mktemp|system|popen|setjmp|longjmp' 'none')" "" \
    "X3, X8: no unbounded, stateful or shell-starting call"
is "$(grep -E '\b(archive_read_support_(format|filter)_(all|program)[a-z_]*|archive_read_support_filter_[a-z0-9]+|archive_write_disk_new|archive_read_extract)\b' "$T/code" |
    grep -v archive_read_support_filter_none; grep -oE 'archive_read_support_format_[a-z0-9]+' "$T/code" | grep -v '_tar$')" "" "E1: libarchive reads plain tar and nothing else"
# But for gzip, whose library has none of its own: in a child that only packs.
is "$(grep -E '\bpthread_create\b' "$T/code" | grep -v '^layers/comp_gzip\.c:')" "" "no threads of ours"
is "$(awk -F: '{ line = $0; sub(/^[^:]*:[^:]*:/, "", line) }
    line ~ /AUTO\(/ { cleanup = 1 } line ~ /(^|[^A-Za-z_])goto / { jump = $1 ":" $2 }
    line ~ /^}/ { if (cleanup && jump) print jump; cleanup = 0; jump = "" }' "$T/code")" "" "no goto in functions that use AUTO"

# Every descriptor is close-on-exec from birth.
is "$(grep -E '\b(openat|openat2|socket|socketpair|pipe|pipe2|dup3|accept|accept4|memfd_create|epoll_create1|signalfd|timerfd_create|eventfd|inotify_init1|fcntl)[[:space:]]*\(' "$T/code" |
    grep -E '\b(pipe|accept|epoll_create|inotify_init)[[:space:]]*\(|F_DUPFD[^_]')" "" "no descriptor without close-on-exec"

# Nothing below build/ writes to the terminal.
is "$(grep -E '(^|[^A-Za-z0-9_>.])(printf|puts|putchar|perror|vprintf)[[:space:]]*\(|\b(stdout|stderr)\b' "$T/code" |
    grep -E '^(base|parser|cache|layers|registry|build/exec|build/op|build/context)/' | grep -vE '(^|/)fuzz_|^base/banned\.h')" "" \
    "nothing below build/ writes to the terminal"
# Only base/mem.c may end the process for want of memory.
is "$(grep -E '(^|[^A-Za-z0-9_>.])(malloc|calloc|realloc|strdup|strndup|asprintf|vasprintf|reallocarray)[[:space:]]*\(' "$T/code" |
    grep -vE '^(base/mem\.[ch]|base/arena\.c):')" "" "memory comes from mem_*"
# Nobody's machine is written down.
is "$(grep -rnIE '(deb|ftp|security|snapshot|archive)\.[a-z.]*debian\.org|/work/(main|shared)' . --include='*' --exclude-dir=.git --exclude-dir=out \
    --exclude=0004-forbidden.t | head -n 5)" "" "no package mirror and no path of a machine is written down"
is "$(git grep -nIE '[[:blank:]]+$' -- '*.c' '*.h' '*.sh' '*.t' '*.mk' GNUmakefile 2>/dev/null | head -n 5)" "" "no trailing blanks"
# How it is built (X9): what the program shows of it, and what only the makefile does.
if [ -z "${SAN:-}" ] && [ -x "$KILN" ] && ! nm -D "$KILN" | grep -q __asan; then
    like "$(readelf -hldW "$KILN")" 'Type: +DYN' "X9 position independent"
    like "$(readelf -lW "$KILN")" 'GNU_RELRO' "X9 relocations are read-only"
    like "$(readelf -dW "$KILN")" 'NOW' "X9 ... from the start"
    like "$(nm -D "$KILN")" '__stack_chk_fail' "X9 stack protector"
    like "$(nm -D "$KILN")" '__(memcpy|read|snprintf|vsnprintf)_chk' "X9 fortified"
fi
for flag in -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE -pie -Wl,-z,relro,-z,now -ftrivial-auto-var-init=zero; do
    like "$(cat "$top/GNUmakefile")" "[ =]$flag( |\$)" "X9 $flag"
done
done_testing
