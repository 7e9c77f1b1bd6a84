#!/bin/bash
# Hostile layers, manifests and layouts (tests/hostile.py): refused, or harmless; nothing outside is touched (threats.md 2-6, 19).
. "$(dirname "$0")/../lib.sh"
need kiln userns subids overlay images || skip_all

mkdir -p "$T/canary/dir" "$T/cases"
echo canary >"$T/canary/file"
snapshot() { (cd "$T/canary" && find . -printf '%p %m %U %G %s %T@ %l\n' -exec sh -c '[ ! -f "$1" ] || cat "$1"' sh {} \; | sort); }
before=$(snapshot)
python3 "$top/tests/hostile.py" "$KILN_IMAGES/busybox" "$T/cases" "$T/canary" || { fail "the cases are written"; done_testing; }

# accept CASE - does the merged tree $T/x.tar fulfil the case's expression?
accept() {
    python3 - "$T/x.tar" "$1" <<'EOF'
import stat, sys, tarfile
t = tarfile.open(sys.argv[1], errors="surrogateescape", encoding="utf-8")
members = {m.name[2:] if m.name.startswith("./") else m.name: m for m in t.getmembers()}
names = set(members)
rawnames = {n.encode("utf-8", "surrogateescape") for n in names}
def final(n):
    m = members[n]
    return members[m.linkname[2:] if m.linkname.startswith("./") else m.linkname] if m.islnk() else m
def size(n): return final(n).size
def owner(n): return f"{members[n].uid}/{members[n].gid}"
def type(n):
    m = final(n)
    return "d" if m.isdir() else "l" if m.issym() else "p" if m.isfifo() else "-"
def mode(n):
    m = final(n)
    return stat.filemode((stat.S_IFDIR if m.isdir() else stat.S_IFREG) | m.mode)
sys.exit(0 if eval(sys.argv[2]) else 1)
EOF
}

while IFS=$'\t' read -r name verdict sentence; do
    what=$T/cases/$name
    [ ! -e "$what/image.tar" ] || what=$what/image.tar
    printf 'FROM hostile.test/%s:1\nRUN ["/bin/true"]\n' "$name" | dockerfile x
    rm -f "$T/x.tar"
    log=$(timeout 60 "$KILN" load -i "$what" 2>&1 </dev/null)
    rc=$?
    if [ $rc -eq 0 ]; then
        log=$(timeout 60 "$KILN" build --progress=plain --pull=never -o type=tar,dest="$T/x.tar" "$T/x" 2>&1 </dev/null)
        rc=$?
    fi
    good=1
    case $rc in
    0 | 1 | 2 | 3 | 6 | 125) ;;
    *) good=0 ;;     # a time-out, a crash, "this is a bug"
    esac
    case $verdict in
    bad) case $rc in 2 | 3 | 6) ;; *) good=0 ;; esac ;;
    "good "*) [ $rc -eq 0 ] && accept "${verdict#good }" || good=0 ;;
    esac
    ! grep -qE 'AddressSanitizer|runtime error|Assertion' <<<"$log" || good=0
    [ "$(snapshot)" = "$before" ] || good=0
    _result $((1 - good)) "$name: $sentence" || diag "status $rc" "$(tail -n 8 <<<"$log")" "$(diff <(echo "$before") <(snapshot) | head -n 5)"
    "$KILN" rmi "hostile.test/$name:1" >/dev/null 2>&1
done <"$T/cases/list"
is "$(snapshot)" "$before" "the canary is as it was"
status 0 "gc" "$KILN" gc
status 0 "the store is clean" "$KILN" check
unlike "$(cat /proc/self/mounts)" "$T" "no mount is left"
done_testing
