#!/bin/bash
# A full disk: the build fails with a message, loses nothing, leaves nothing, and works when there is room (threats.md F).
. "$(dirname "$0")/../lib.sh"
need kiln userns subids overlay registry images python3 || skip_all
registry_up

# The small disk is a tmpfs in a mount namespace of our own; an ordinary user becomes root of a user namespace for it,
# with all the ids that a build maps again below.
cat >"$T/inside.sh" <<'EOF'
set -u
T=$1 KILN=$2
mkdir -p "$T/small"
mount -t tmpfs -o size=24m,mode=700 tmpfs "$T/small" || exit 99
export KILN_ROOT=$T/small/store
df() { stat -f -c '%a %S' "$T/small" | { read -r a s; echo $((a * s)); }; }
"$KILN" build --progress=plain -t base "$T/ok" >"$T/first.log" 2>&1; echo "first $?"
"$KILN" load -i "$T/zeros.tar" >"$T/zeros.log" 2>&1 && "$KILN" build --progress=plain "$T/zeros" >>"$T/zeros.log" 2>&1 </dev/null; echo "zeros $?"
printf x >"$T/ok/big/marker"
before=$(df)
"$KILN" build --progress=plain "$T/big-copy" >"$T/copy.log" 2>&1 </dev/null; echo "copy $?"
"$KILN" build --progress=plain "$T/big-run" >"$T/run.log" 2>&1 </dev/null; echo "run $?"
"$KILN" check >"$T/check.log" 2>&1; echo "check $?"
ls -A "$KILN_ROOT/tmp" | sed 's/^/left /'
"$KILN" build --progress=plain -t base "$T/ok" >"$T/again.log" 2>&1 </dev/null; echo "again $?"
# Full to the last byte: gc must still work, and then everything else.
head -c 100m /dev/zero >"$T/small/fill" 2>/dev/null
"$KILN" build --progress=plain "$T/other" >"$T/full.log" 2>&1 </dev/null; echo "full $?"
"$KILN" gc >"$T/gc.log" 2>&1; echo "gc $?"
"$KILN" pull debian:bookworm-slim >"$T/pull.log" 2>&1; echo "pull $?"
rm "$T/small/fill"
"$KILN" build --progress=plain -t base "$T/other" >"$T/other.log" 2>&1 </dev/null; echo "other $?"
"$KILN" check >>"$T/check.log" 2>&1; echo "check2 $?"
EOF
mkdir -p "$T/ok/big"
printf 'FROM busybox:1.35\nRUN echo hi > /hi\n' | dockerfile ok
printf 'FROM busybox:1.35\nRUN echo other > /hi\n' | dockerfile other
printf 'FROM busybox:1.35\nCOPY big /big\nRUN true\n' | dockerfile big-copy
head -c 40000000 /dev/urandom >"$T/big-copy/big"
printf 'FROM busybox:1.35\nRUN head -c 40000000 /dev/urandom > /big\n' | dockerfile big-run
printf 'FROM zeros.test/z:1\nRUN ["/x"]\n' | dockerfile zeros
python3 - "$T/zeros.tar" <<'EOF'
import gzip, hashlib, io, json, os, sys, tarfile
def tar(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as t:
        for name, data in files:
            i = tarfile.TarInfo(name)
            i.size = len(data)
            t.addfile(i, io.BytesIO(data))
    return out.getvalue()
layer = tar([("zeros", b"\0" * (60 << 20))])
config = json.dumps({"architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine), "os": "linux",
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}).encode()
names = json.dumps([{"Config": "c.json", "RepoTags": ["zeros.test/z:1"], "Layers": ["l.tar"]}]).encode()
open(sys.argv[1], "wb").write(tar([("c.json", config), ("l.tar", gzip.compress(layer)), ("manifest.json", names)]))
EOF
if [ "$(id -u)" -eq 0 ]; then
    got=$(unshare --mount bash "$T/inside.sh" "$T" "$KILN" 2>&1)
else
    got=$(unshare --user --map-root-user --map-auto --mount bash "$T/inside.sh" "$T" "$KILN" 2>&1)
fi
what() { sed -n "s/^$1 //p" <<<"$got"; }
is "$(what first)" 0 "a small build fits" || diag "$got" "$(tail -n 10 "$T/first.log")"
is "$(what copy)" 125 "a COPY that does not fit: 125" || diag "$(tail -n 10 "$T/copy.log")"
like "$(cat "$T/copy.log")" '[Nn]o space left' "says so"
like "$(cat "$T/copy.log")" 'prune|gc' "and what to try"
like "$(what run)" '^(1|125)$' "a RUN that does not fit" || diag "$(tail -n 10 "$T/run.log")"
like "$(cat "$T/run.log")" "[Nn]o space left|the disk of the store '.*/small/store' is full" "F4 which is told, whoever wrote the last byte"
is "$(what full)" 125 "F4 no step is started on a full disk" || diag "$(cat "$T/full.log")"
like "$(cat "$T/full.log")" "/small/store'" "18 the place is named"
like "$(cat "$T/full.log")" 'prune' "18 and the remedy"
is "$(what check)" 0 "the store is clean" || diag "$(cat "$T/check.log")"
is "$(what left)" "" "nothing is left"
is "$(what zeros)" 125 "a small layer that holds more than the disk: 125" || diag "$(cat "$T/zeros.log")"
like "$(cat "$T/zeros.log")" 'has room for [0-9]+ bytes' "E8: told by its header, before it is written"
is "$(what again)" 0 "what was there still works" || diag "$(tail -n 10 "$T/again.log")"
is "$(what gc)" 0 "F5, L4 gc works on a full disk" || diag "$(cat "$T/gc.log")"
is "$(what pull)" 125 "a pull that does not fit: 125, and is no fault of the registry" || diag "$(cat "$T/pull.log")"
like "$(cat "$T/pull.log")" "cannot write to the store '.*/small/store'" "18 the place is named"
unlike "$(cat "$T/pull.log")" 'trying the next' "nor is another one asked"
is "$(what other)" 0 "with room again, so does everything" || diag "$(tail -n 10 "$T/other.log")"
is "$(what check2)" 0 "and the store is clean" || diag "$(cat "$T/check.log")"
registry_down
done_testing
