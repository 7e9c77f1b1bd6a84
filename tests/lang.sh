# tests/lang.sh - what the tests of the language (tests/t/51*.t) share, over tests/lib.sh. Sourced.
#
#   tree DIR [PATH]     the tree of the last `exported DIR`, as lines of tests/tree.py
#   raw DIR             its config, untouched
#   hist DIR [FROM]     its history from entry FROM on: "created_by" and, without a layer, " (empty)"
#   altered DIR STATEMENTS   the last `exported DIR` as layout $T/DIR.layout:1, its config d changed by Python statements
#   same NAME GOT       GOT equals standard input, shown as a diff otherwise
#   refused NAME RE ... kiln build of the Dockerfile on standard input ($T/bad is the context) fails and says RE
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need kiln userns subids overlay registry images skopeo python3 || skip_all
registry_up || { fail "a registry"; done_testing; }

tree() { python3 "$top/tests/tree.py" "$T/$1.tar" "${2:-}"; }
raw() { skopeo inspect --config --raw "oci-archive:$T/$1.oci"; }
hist() {
    raw "$1" | python3 -c 'import json, sys
for h in json.load(sys.stdin)["history"][int(sys.argv[1]):]:
    print(h["created_by"].replace("\n", "\\n") + (" (empty)" if h.get("empty_layer") else ""))' "${2:-0}"
}
altered() {
    rm -rf "$T/$1.layout"
    skopeo_copy "oci-archive:$T/$1.oci" "oci:$T/$1.layout:1" && python3 -c 'import hashlib, json, sys
def blob(digest): return sys.argv[1] + "/blobs/sha256/" + digest.split(":")[1]
def put(of, value):
    b = json.dumps(value).encode()
    of["digest"], of["size"] = "sha256:" + hashlib.sha256(b).hexdigest(), len(b)
    open(blob(of["digest"]), "wb").write(b)
index = json.load(open(sys.argv[1] + "/index.json"))
m = json.load(open(blob(index["manifests"][0]["digest"])))
d = json.load(open(blob(m["config"]["digest"])))
exec(sys.argv[2])
put(m["config"], d)
put(index["manifests"][0], m)
json.dump(index, open(sys.argv[1] + "/index.json", "w"))' "$T/$1.layout" "$2"
}
same() {
    local want
    want=$(cat)
    [ "$2" = "$want" ]
    _result $? "$1" || { diff <(printf '%s\n' "$want") <(printf '%s\n' "$2") | sed 's/^</# want:/; s/^>/# got: /'; return 1; }
}
made() { # made NAME DIR ARGS... - exported, as a test
    local name=$1
    shift
    exported "$@"
    _result $? "$name" || { printf '%s\n' "$out" | tail -n 30 | sed 's/^/#   /'; return 1; }
}
refused() {
    local name=$1 re=$2 rc
    shift 2
    mkdir -p "$T/bad"
    cat >"$T/bad/Dockerfile"
    out=$("$KILN" build --progress=plain "$@" "$T/bad" 2>&1 </dev/null)
    rc=$?
    [ $rc -ne 0 ] && grep -Eq -- "$re" <<<"$out"
    _result $? "$name" || { diag "status $rc, wanted: $re"; printf '%s\n' "$out" | tail -n 20 | sed 's/^/#   /'; return 1; }
}
