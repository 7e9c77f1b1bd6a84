#!/bin/bash
# Every fuzz target replays its stored inputs, and an empty one (style.md 19).
. "$(dirname "$0")/../lib.sh"
: >"$T/empty"
n=0
for f in "$O"/fuzz/*; do
    [ -x "$f" ] && [ -f "$f" ] || continue
    case $f in *.d) continue ;; esac
    name=$(basename "$f")
    n=$((n + 1))
    ok "$name has a corpus" [ -n "$(ls -A "$top/tests/corpus/$name" 2>/dev/null)" ]
    ok "$name replays it" "$f" "$T/empty" "$top/tests/corpus/$name"
done
ok "there are fuzz targets" [ "$n" -gt 0 ]
done_testing
