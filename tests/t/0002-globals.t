#!/bin/bash
# No writable global state (style.md 11): what the objects really keep in .data, .bss and common.
. "$(dirname "$0")/../lib.sh"

# The signal flag and its pipe, and the no-memory hook.
allowed='^(out_hook|signal_flag|loop_signal|loop_signal_fd)$'
n=0 bad=
while IFS= read -r object; do
    n=$((n + 1))
    names=$(objdump -t "$object" | awk '/ (\.data|\.bss|\*COM\*)\t/ && $NF !~ /^\./ { print $NF }' |
        grep -vE '^(__odr_asan|__asan|__ubsan|__sancov|__unnamed_)|^$' | grep -vE "$allowed")
    [ -z "$names" ] || bad+="${object#"$O"/obj/}: $(echo $names)"$'\n'
done < <(find "$O/obj" -name '*.o' | sort)
ok "there are objects to look at" [ "$n" -gt 20 ]
is "$bad" "" "no object keeps writable globals"
done_testing
