#!/bin/bash
# tests/install-deps.sh WHEN... - install what is missing of tests/packages for these uses.
# Says nothing and starts no apt when nothing is missing. As root, or through sudo.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
tools=${KILN_TOOLS:-$top/out/tools}

# want HOW WHEN... - the packages of the list, one a line
want() {
    local how=$1
    shift
    awk -v how="$how" -v when=" $* " '!/^#/ && NF && $3 == how {
        n = split($2, w, ",")
        for (i = 1; i <= n; i++)
            if (index(when, " " w[i] " ")) { print $1; next }
    }' "$top/tests/packages"
}

[ $# -gt 0 ] || { echo "usage: tests/install-deps.sh build|run|test|lint|bench..." >&2; exit 2; }

mapfile -t install < <(want install "$@")
mapfile -t have < <(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${install[@]}" 2>/dev/null | sed -n 's/^installed //p')
missing=()
for p in "${install[@]}"; do
    [[ " ${have[*]} " == *" $p "* ]] || missing+=("$p")
done
unpack=()
for p in $(want unpack "$@"); do
    [ -e "$tools/$p.done" ] || unpack+=("$p")
done
[ $((${#missing[@]} + ${#unpack[@]})) -gt 0 ] || exit 0

sudo=()
if [ "$(id -u)" -ne 0 ]; then
    sudo=(sudo)
    command -v sudo >/dev/null || { echo "missing packages: ${missing[*]}; neither root nor sudo" >&2; exit 1; }
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# quiet COMMAND... - its output is shown only when it fails
quiet() { "$@" >"$log" 2>&1 </dev/null || { cat "$log" >&2; return 1; }; }

# An index that is missing or too old to find what it names is fetched again, once.
updated=
update() {
    [ -z "$updated" ] || return 1
    updated=1
    quiet "${sudo[@]}" apt-get update -q
}
if [ ${#missing[@]} -gt 0 ]; then
    echo "installing ${missing[*]}"
    do_install() {
        quiet "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
    }
    apt-cache show "${missing[@]}" >/dev/null 2>&1 || update
    do_install || { update && do_install; }
fi
mkdir -p "$tools"
for p in "${unpack[@]}"; do
    echo "unpacking $p into $tools"
    tmp=$(mktemp -d)
    chmod 755 "$tmp"
    fetch() { (cd "$tmp" && quiet apt-get download -q "$p"); }
    apt-cache show "$p" >/dev/null 2>&1 || update
    fetch || { update && fetch; }
    dpkg-deb -x "$tmp/$p"_*.deb "$tools"
    rm -rf "$tmp"
    touch "$tools/$p.done"
done
