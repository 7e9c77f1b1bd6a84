#!/bin/bash
# Storage drivers: the kernel's overlay and fuse-overlayfs leave one form on disk and give the same layers (spec/executor.md 7.2).
. "$(dirname "$0")/../lib.sh"
need kiln userns subids overlay fuse registry images skopeo || skip_all
registry_up

# Every form of 14.2: changes, removals, opaque folders, links, owners, types that replace each other. Times are fixed. What
# fuse-overlayfs 1.10 itself gets wrong is left out: copying up a fifo (it becomes a file) or a setuid file (it loses the bit).
dockerfile d <<'EOF'
FROM busybox:1.35
RUN mkdir -p /a/b/c /o/x /dir2file /p; for i in 1 2 3; do echo $i > /a/f$i; echo $i > /o/f$i; echo $i > /o/x/f$i; done; \
    echo f > /file2dir; echo s > /sym; ln -s sym /link; echo h > /h1; ln /h1 /h2; echo x > /dir2file/x
RUN echo changed > /a/f1; rm /a/f2; chown 5:6 /a/f3; chmod 4755 /a/f1; rm -rf /o; mkdir /o; echo new > /o/new; mkdir /o/x; echo y > /o/x/y; \
    rm -rf /dir2file; echo now-file > /dir2file; rm /file2dir; mkdir /file2dir; echo in > /file2dir/in; \
    rm /link; ln -s elsewhere /link; echo appended >> /h1; mv /a/b /moved; mkfifo /p/fifo; mkdir -m 1777 /p/t; mkdir -m 0 /p/closed
RUN rm -rf /moved /o/x; echo again > /o/f1; ls -lR /a /o /p /dir2file /file2dir > /dev/null
EOF
for d in overlay fuse-overlayfs; do
    SOURCE_DATE_EPOCH=1000000000 KILN_ROOT=$T/store.$d kb d --storage-driver=$d -o type=oci,dest="$T/$d.oci",rewrite-timestamp=true -o type=tar,dest="$T/$d.tar"
    _result $? "$d builds" || diag "$out"
done
is "$(listing fuse-overlayfs)" "$(listing overlay)" "the same tree"
is "$(config fuse-overlayfs | json - '"\n".join(d["rootfs"]["diff_ids"])')" "$(config overlay | json - '"\n".join(d["rootfs"]["diff_ids"])')" \
    "the same diff IDs"
list=$(listing overlay)
unlike "$list" ' (moved|o/f[23]|o/x/|a/f2)' "what was removed is gone"
like "$list" ' o/f1$' "what came back is there"
like "$list" ' dir2file$' "a folder became a file"

# One store, two drivers in turn: each goes on where the other stopped.
sed 's/changed/changed-too/; s/echo again/echo third/' "$T/d/Dockerfile" | dockerfile m
KILN_ROOT=$T/store.overlay kb m --storage-driver=fuse-overlayfs -o type=tar,dest="$T/m1.tar"
_result $? "fuse-overlayfs on what overlay made" || diag "$out"
KILN_ROOT=$T/store.fuse-overlayfs kb m --storage-driver=overlay -o type=tar,dest="$T/m2.tar"
_result $? "overlay on what fuse-overlayfs made" || diag "$out"
is "$(listing m1)" "$(listing m2)" "the same tree"
built "auto takes one" d --storage-driver=auto
unlike "$(cat /proc/self/mounts)" "$T" "no mount is left"
ok "no fuse-overlayfs is left" stopped "^[^ ]*fuse-overlayfs .*$T"
status 0 "clean" env KILN_ROOT="$T/store.fuse-overlayfs" "$KILN" check
registry_down
done_testing
