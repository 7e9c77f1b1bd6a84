#!/bin/bash
# COPY and ADD: what arrives, with which owner, mode and name (spec/dockerfile.md 9, 10).
. "$(dirname "$0")/../lib.sh"
need kiln userns subids overlay registry images skopeo || skip_all
registry_up

mkdir -p "$T/copy/dir/sub" "$T/copy/conf"
cd "$T/copy" || exit 1
echo a >dir/a.txt
echo b >dir/b.md
echo c >dir/sub/c.txt
ln -s a.txt dir/link
echo 1 >conf/1.d
echo 2 >conf/2.d
printf '#!/bin/sh\n' >dir/run.sh
chmod 755 dir/run.sh
chmod 600 dir/b.md
ln dir/a.txt dir/hard
head -c 300000 /dev/urandom >big
long=$(printf 'n%.0s' {1..200})
echo long >"dir/$long"
printf 'latin' >"dir/$(printf 'caf\xe9')"
tar -cf arch.tar --owner=12 --group=34 --numeric-owner -C dir sub a.txt
tar -czf arch.tar.gz -C dir sub
tar -cJf arch.tar.xz -C dir a.txt
tar -cjf arch.tar.bz2 -C dir b.md
cat >Dockerfile <<'EOF'
FROM busybox:1.35
COPY dir /t1
COPY dir/ /t2/
COPY dir/a.txt dir/b.md /t3/
COPY conf/*.d /t4/
COPY dir/a.txt /t5
COPY --chown=33:44 dir/sub /t6/
COPY --chown=www-data:users dir/sub /t7/
COPY --chmod=0751 dir/a.txt /t8/
COPY --exclude=*.md --exclude=sub dir /t9/
COPY --parents dir/sub/./c.txt dir/./sub /t10/
RUN mkdir /real && ln -s /real /t11
COPY dir/a.txt /t11/
RUN test -f /real/a.txt
ADD arch.tar /t12/
ADD arch.tar.gz /t13/
ADD arch.tar.xz /t14/
ADD arch.tar.bz2 /t15/
COPY arch.tar.gz /t16/
COPY big /t17
WORKDIR /work/deep
COPY dir/a.txt .
COPY --link dir/a.txt /t18/
COPY --chmod=u=rwX,go= dir/sub /t19/
EOF
exported copy
_result $? "a Dockerfile full of copies" || diag "$out"
list=$(listing copy)
has() { like "$list" "$1" "$2"; }
has '^-rw-r--r-- 0/0 2 t1/a.txt$' "a folder's content, owned by root"
has '^lrwxrwxrwx 0/0 - t1/link -> a.txt$' "links stay links"
has '^-rwxr-xr-x 0/0 10 t1/run.sh$' "modes stay"
has '^-rw------- 0/0 2 t2/b.md$' "closed files too"
has '^-rw-r--r-- 0/0 2 t1/sub/c.txt$' "folders below"
has "t1/$long$" "long names"
ok "names that are not UTF-8" grep -aq "t1/$(printf 'caf\xe9')" <(tar --quoting-style=literal -tf "$T/copy.tar")
has 't3/a.txt$' "two files"
has 't3/b.md$' "into a folder"
has 't4/1.d$' "wildcards"
has '^-rw-r--r-- 0/0 2 t5$' "a file by name"
has '^-rw-r--r-- 33/44 2 t6/c.txt$' "--chown by number"
has '^drwxr-xr-x 33/44 - t6/$' "and the folder it made"
has '^-rw-r--r-- 33/100 2 t7/c.txt$' "--chown by the image's names"
has '^-rwxr-x--x 0/0 2 t8/a.txt$' "--chmod"
unlike "$list" 't9/(b.md|sub)' "--exclude"
has 't9/a.txt' "and nothing else"
has 't10/c.txt$' "--parents from the pivot"
has 't10/sub/c.txt$' "and its other half"
has 'real/a.txt$' "a link on the way is followed inside the image"
has '^lrwxrwxrwx 0/0 - t11 -> /real$' "and stays"
has '^-rw-r--r-- 12/34 2 t12/sub/c.txt$' "ADD keeps an archive's owners"
has 't13/sub/c.txt$' "gzip"
has 't14/a.txt$' "xz"
has 't15/b.md$' "bzip2"
has '^-rw-r--r-- 0/0 [0-9]+ t16/arch.tar.gz$' "COPY does not unpack"
has 'work/deep/a.txt$' "relative to WORKDIR"
has 't18/a.txt$' "--link"
has '^-rw------- 0/0 2 t19/c.txt$' "symbolic modes"
ok "bytes are the same" cmp "$T/copy/big" <(file copy t17)

# Copies on a base mount nothing and unpack nothing (design.md 3.14).
rm -rf "$T/pure-store"
dockerfile pure <<'EOF'
FROM busybox:1.35
COPY f /a/
COPY f /b
EOF
echo x >"$T/pure/f"
KILN_ROOT=$T/store2 kb pure -o type=oci,dest="$T/pure.oci"
_result $? "copies on a base" || diag "$out"
is "$(find "$T/store2/layers" -mindepth 2 -maxdepth 2 2>/dev/null)" "" "leave nothing unpacked"
c=$(config pure)
is "$(json - 'len(d["rootfs"]["diff_ids"])' <<<"$c")" 3 "a layer each"
status 0 "again" "$KILN" build --progress=plain --no-cache -o type=oci,dest="$T/pure2.oci" "$T/pure"
is "$(config pure2 | json - 'd["rootfs"]["diff_ids"]')" "$(json - 'd["rootfs"]["diff_ids"]' <<<"$c")" "the same layers, to the bit"

# From stages: owners, setuid, sticky, closed folders travel.
dockerfile tree <<'EOF'
FROM busybox:1.35 AS src
RUN mkdir /s && cd /s && echo 1 > f && ln f g && chown 5:6 f && echo 2 > suid && chmod 4755 suid && mkfifo p && mkdir -m 1777 tmp && mkdir -m 0 closed && echo x > closed/x && chown 7:8 closed
FROM scratch
COPY --from=src /s /d
COPY --from=src --chown=9 /s/f /own
EOF
exported tree
_result $? "a stage's tree" || diag "$out"
list=$(listing tree)
has '5/6 2 d/f$' "owners"
has '^-rwsr-xr-x 0/0 2 d/suid$' "setuid"
has '^drwxrwxrwt 0/0 - d/tmp/$' "sticky"
has '^d--------- 7/8 - d/closed/$' "closed folders"
has 'd/closed/x$' "and what is in them"
has '^prw' "fifos"
has '9/9 2 own$' "--chown with the group of the same number"

# xattrs (spec/dockerfile.md 9.2, spec/threats.md E22): those of users and capabilities are kept, from a context, from a stage, of what a step
# touched; those that an overlay would take for its own are not.
mkdir -p "$T/xattr/d"
echo noted >"$T/xattr/f"
echo below >"$T/xattr/d/g"
caps=$(python3 - "$T/xattr" <<'PY'
import os, struct, sys
for path in "f", "d", "d/g":
    os.setxattr(f"{sys.argv[1]}/{path}", "user.note", path.encode() + b"\0\xff")
os.setxattr(sys.argv[1] + "/f", "user.overlay.opaque", b"y")
try:
    os.setxattr(sys.argv[1] + "/f", "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0))
    print("security.capability")
except PermissionError:
    pass
PY
)
dockerfile xattr <<'EOF'
FROM busybox:1.35 AS a
COPY f /f
COPY d /e/d
RUN chmod 700 /f /e/d/g
FROM scratch
COPY --from=a /f /new/
COPY --from=a /e /e
COPY . /ctx
EOF
built "with xattrs" xattr -o "type=tar,dest=$T/xattr.tar" -o "type=oci,dest=$T/xattr.oci,compression=gzip,force-compression=true"
xattrs() {
    python3 - "$1" <<'PY'
import sys, tarfile
for i in sorted(tarfile.open(sys.argv[1], errors="surrogateescape"), key=lambda i: i.name.removeprefix("./")):
    names = sorted(k.removeprefix("SCHILY.xattr.") for k in i.pax_headers if k.startswith("SCHILY.xattr."))
    if names:
        note = i.pax_headers.get("SCHILY.xattr.user.note", "").encode("utf-8", "surrogateescape")
        print(i.name.removeprefix("./"), oct(i.mode), *names, note.hex())
PY
}
hex() { printf %s "$1" | od -An -tx1 | tr -d ' \n'; echo 00ff; }
is "$(xattrs "$T/xattr.tar")" "ctx/d 0o755 user.note $(hex d)
ctx/d/g 0o644 user.note $(hex d/g)
ctx/f 0o644 ${caps:+$caps }user.note $(hex f)
e/d/g 0o700 user.note $(hex d/g)
new/f 0o700 ${caps:+$caps }user.note $(hex f)" "they arrive"
if [ "$(id -u)" -eq 0 ] && need umoci; then
    skopeo_copy "oci-archive:$T/xattr.oci" "oci:$T/xlayout:1"
    ok "umoci unpacks them" umoci unpack --image "$T/xlayout:1" "$T/xbundle"
    is "$(python3 -c 'import os, sys; r = sys.argv[1]; print(os.getxattr(r + "/new/f", "user.note").hex(), len(os.getxattr(r + "/new/f", "security.capability")))' "$T/xbundle/rootfs")" \
        "$(hex f) 20" "the same"
fi

# What a COPY must never reach.
echo secret >"$T/outside"
mkdir -p "$T/esc/in"
ln -s "$T/outside" "$T/esc/in/abs"
ln -s ../../outside "$T/esc/in/rel"
for l in abs rel; do
    printf 'FROM scratch\nCOPY in/%s /x\n' $l >"$T/esc/Dockerfile"
    kb esc -o type=tar,dest="$T/esc.tar"
    unlike "$(file esc x 2>/dev/null)" secret "a link out of the context brings nothing from there ($l)"
done
printf 'FROM scratch\nCOPY ../outside /x\n' >"$T/esc/Dockerfile"
nok "nor does '..'" kb esc
registry_down
done_testing
