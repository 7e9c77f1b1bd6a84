#!/bin/bash
# Leaning layers (spec/oci.md 1.7): layers that do not list their parents, that write through links of the layers below, or whose hard
# links lead to files that only those have. Judged against what umoci unpacks.
. "$(dirname "$0")/../lib.sh"
need kiln userns subids overlay registry images || skip_all

# lean.py OUT - an OCI layout with an image for each case, tagged with its name
cat >"$T/lean.py" <<'PY'
import hashlib, io, json, os, sys, tarfile
out = sys.argv[1]
os.makedirs(out + "/blobs/sha256")
def blob(data):
    h = hashlib.sha256(data).hexdigest()
    open(f"{out}/blobs/sha256/{h}", "wb").write(data)
    return "sha256:" + h
def layer(*entries):
    b = io.BytesIO()
    with tarfile.open(fileobj=b, mode="w", format=tarfile.PAX_FORMAT) as t:
        for kind, name, arg in entries:
            i = tarfile.TarInfo(name)
            i.mtime, i.mode = 1000000000, {"d": 0o755, "l": 0o777}.get(kind, 0o644)
            i.type = {"d": b"5", "f": b"0", "l": b"2", "h": b"1"}[kind]
            if kind == "d" and arg:
                i.mode, i.uid = arg
            data = arg.encode() if kind == "f" else b""
            if kind in "lh":
                i.linkname = arg
            i.size = len(data)
            t.addfile(i, io.BytesIO(data))
    return b.getvalue()
d = lambda name, mode=0o755, uid=0: ("d", name, (mode, uid))
f = lambda name, text="": ("f", name, text)
l = lambda name, to: ("l", name, to)
h = lambda name, to: ("h", name, to)
base = layer(d("usr"), d("usr/lib", 0o711, 5), f("usr/lib/old", "old"), f("usr/lib/gone", "gone"), d("usr/lib/deep"), f("usr/lib/deep/a", "a"),
             l("lib", "usr/lib"), d("etc"), f("etc/conf", "conf"))
cases = {
    "parents": [base, layer(f("usr/lib/new", "new"))],
    "bottom": [layer(f("a/b/c", "c"))],
    # The same layers at another height: parents that one image makes up are those of the layers below in another.
    "above": [layer(d("a", 0o700, 3), d("a/b", 0o711, 7)), layer(f("a/b/c", "c"))],
    "lowest": [layer(f("usr/lib/new", "new"))],
    "through": [base, layer(f("lib/x", "x"), d("lib/sub"), f("lib/sub/y", "y"))],
    "twice": [base, layer(f("lib/x", "x")), layer(f("lib/x", "xx"), f("lib/z", "z"))],
    "white": [base, layer(f("lib/.wh.gone"), f("lib/x", "x"))],
    "opaque": [base, layer(f("lib/deep/.wh..wh..opq"), f("lib/deep/b", "b"))],
    "hard": [base, layer(d("etc"), h("etc/second", "etc/conf"))],
    "hardlib": [base, layer(h("lib/second", "lib/old"))],
    "accounts": [layer(d("usr"), d("usr/etc"), f("usr/etc/passwd", "joe:x:7:8::/:/bin/sh\n"), f("usr/etc/group", "wheel:x:9:\n"), l("etc", "usr/etc"))],
    "etclink": [layer(d("usr"), d("usr/etc"), l("etc", "usr/etc")), layer(f("etc/passwd", "joe:x:7:8::/:/bin/sh\n"), f("etc/group", "wheel:x:9:\n"))],
    "toetc": [layer(d("etc"), l("conf", "etc")), layer(f("conf/passwd", "joe:x:7:8::/:/bin/sh\n"), f("conf/group", "wheel:x:9:\n"))],
    "elsewhere": [layer(d("etc"), l("etc/passwd", "../var/passwd"), l("etc/group", "/var/db/group"), l("var", "state")),
                  layer(f("var/passwd", "joe:x:7:8::/:/bin/sh\n"), f("var/db/group", "wheel:x:9:\n"))],
    "replace": [base, layer(d("lib"), f("lib/x", "x"))],
}
index = []
for name, layers in cases.items():
    config = {"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]},
              "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(x).hexdigest() for x in layers]}}
    c = json.dumps(config).encode()
    m = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
         "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": blob(c), "size": len(c)},
         "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": blob(x), "size": len(x)} for x in layers]}
    m = json.dumps(m).encode()
    index.append({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": blob(m), "size": len(m),
                  "annotations": {"org.opencontainers.image.ref.name": name}})
json.dump({"schemaVersion": 2, "manifests": index}, open(out + "/index.json", "w"))
json.dump({"imageLayoutVersion": "1.0.0"}, open(out + "/oci-layout", "w"))
print(*cases)
PY
cases=$(python3 "$T/lean.py" "$T/lean")

# tree DIR-OR-TAR - "type mode owner path content-or-target", but for the root, whose attributes nobody lists
tree() {
    python3 - "$1" <<'PY'
import sys, tarfile
with tarfile.open(sys.argv[1]) as t:
    for i in sorted(t.getmembers(), key=lambda i: i.name.strip("./")):
        name = i.name.removeprefix("./").strip("/")
        if name in ("", ".", "out.tar") or name.endswith(("etc/hosts", "etc/resolv.conf")):
            continue
        what = i.linkname if i.issym() else t.extractfile(i).read().decode() if i.isreg() or i.islnk() else ""
        print("-" if i.islnk() else i.type.decode().replace("0", "-"), oct(i.mode), i.uid, name, what)
PY
}
# Once from the listings alone, and once as a step sees it.
for c in $cases; do
    dockerfile "$c" <<'EOF'
FROM base
COPY --from=busybox:1.35 /bin/busybox /busybox
RUN ["/busybox", "sh", "-c", "cd / && /busybox tar -cf out.tar $(/busybox ls -A | /busybox grep -vE '^(proc|dev|sys|busybox|out.tar)$')"]
EOF
    printf 'FROM base\n' >"$T/$c/Plain"
done
registry_up
for c in $cases; do
    built "$c: the tree by listings" "$c" -f "$T/$c/Plain" --build-context "base=oci-layout://$T/lean:$c" -o "type=tar,dest=$T/$c.list.tar"
    built "$c: the tree by mounts" "$c" --build-context "base=oci-layout://$T/lean:$c" -o "type=tar,dest=$T/$c.tar"
    file "$c" out.tar >"$T/$c.mount.tar"
    is "$(tree "$T/$c.mount.tar" | grep -v ' etc $')" "$(tree "$T/$c.list.tar" | grep -v ' etc $')" "$c: both show the same"
    if command -v umoci >/dev/null && [ "$(id -u)" -eq 0 ]; then
        umoci unpack --image "$T/lean:$c" "$T/umoci.$c" >/dev/null 2>&1 || { diag "umoci cannot unpack $c"; continue; }
        tar -C "$T/umoci.$c/rootfs" -cf "$T/$c.umoci.tar" .
        is "$(tree "$T/$c.list.tar")" "$(tree "$T/$c.umoci.tar")" "$c: as umoci unpacks it"
    fi
done
is "$(tar -xOf "$T/through.list.tar" usr/lib/x)" x "entries below a link are where the link leads"
is "$(tar -xOf "$T/twice.list.tar" usr/lib/x)" xx "of two layers the upper one wins"
is "$(tar -xOf "$T/hard.list.tar" etc/second)" conf "a hard link to a lower file has its content"

# Accounts are found where the links lead (spec/dockerfile.md 6.2), whoever has put them there.
printf 'FROM base\nCOPY --chown=joe:wheel Dockerfile /d\nUSER joe\nWORKDIR /made\n' | dockerfile owner
for c in accounts etclink toetc elsewhere; do
    built "$c: names of accounts" owner --build-context "base=oci-layout://$T/lean:$c" -o "type=tar,dest=$T/owner.tar"
    like "$(tar --numeric-owner -tvf "$T/owner.tar")" '^-\S+ 7/9 .* (\./)?d$' "are looked up behind links"
done

printf 'FROM base\nWORKDIR /lib/sub\nCOPY Dockerfile ./d\nCOPY --from=base /lib/x /lib/copy\n' | dockerfile into
built "COPY and WORKDIR into such a tree" into --build-context "base=oci-layout://$T/lean:through" -o "type=tar,dest=$T/into.tar"
is "$(file into usr/lib/copy)" x "see the right tree"
like "$(tar -tf "$T/into.tar")" '^(\./)?usr/lib/sub/d$' "and write to the real place"
unlike "$(tar -tf "$T/into.tar")" '^(\./)?lib/' "the link stays a link"
status 0 "the store is whole" "$KILN" check
registry_down
done_testing
