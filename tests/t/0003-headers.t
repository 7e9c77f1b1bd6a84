#!/bin/bash
# Each header compiles alone (style.md 3), with each compiler that is here.
. "$(dirname "$0")/../lib.sh"
cd "$top" || exit 1
flags=(-std=gnu17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DKILN_VERSION='"test"' -I. -Wall -Wextra -Wno-unused-parameter
    -Wstrict-prototypes -Werror -fsyntax-only -x c)
for cc in gcc clang; do
    command -v $cc >/dev/null || continue
    : >"$T/bad"
    find base parser cache layers registry build -name '*.h' | sort |
        BAD=$T/bad xargs -P2 -I{} sh -c 'h=$1; shift; echo "#include \"$h\"" | "$@" - 2>"$BAD.$$" || { echo "$h: $(head -n 3 "$BAD.$$")" >>"$BAD"; }' \
            sh {} $cc "${flags[@]}"
    is "$(cat "$T/bad")" "" "every header compiles alone with $cc"
done
bad=$(grep -L '^#pragma once' $(find base parser cache layers registry build tests -name '*.h'))
is "$bad" "" "every header can be included twice"
done_testing
