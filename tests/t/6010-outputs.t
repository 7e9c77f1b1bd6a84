#!/bin/bash
# Where a result goes, judged by others: skopeo, umoci, podman, tar.
. "$(dirname "$0")/../lib.sh"
need kiln userns subids overlay registry images skopeo umoci podman runc || skip_all
registry_up
podman_setup
n=0

dockerfile o <<'EOF'
FROM busybox:1.35
RUN mkdir /data && echo data > /data/f && chown 12:34 /data/f && chmod 4711 /data/f && ln -s f /data/l && ln /data/f /data/h && rm /bin/vi
COPY <<T /hello.sh
#!/bin/sh
echo "hello from $(id -u)"
T
RUN chmod 755 /hello.sh
CMD ["/hello.sh"]
EOF

# ---- OCI archive and layout, zstd and gzip
built "all file outputs in one build" o -t out.test/o:1 \
    -o type=oci,dest="$T/oci.tar" -o type=oci,dest="$T/layout",tar=false -o type=docker,dest="$T/docker.tar" \
    -o type=oci,dest="$T/gz",tar=false,compression=gzip -o type=oci,dest="$T/plain.tar",compression=uncompressed \
    -o type=local,dest="$T/local" -o type=tar,dest="$T/o.tar" -o type=image
for ref in oci-archive:"$T/oci.tar" oci:"$T/layout" docker-archive:"$T/docker.tar" oci:"$T/gz" oci-archive:"$T/plain.tar"; do
    ok "skopeo inspects ${ref%%:*} $(basename "$ref")" skopeo inspect "$ref"
    ok "skopeo copies it" skopeo_copy "$ref" "dir:$T/dir.$((++n))"
done
id=$(skopeo inspect --config --raw "oci-archive:$T/oci.tar" | json - 'd["rootfs"]["diff_ids"]')
is "$(skopeo inspect --config --raw "docker-archive:$T/docker.tar" | json - 'd["rootfs"]["diff_ids"]')" "$id" "the same layers in all"
like "$(skopeo inspect --raw "oci:$T/layout")" 'tar\+zstd' "zstd by default"
unlike "$(skopeo inspect --raw "oci:$T/gz" | json - '[l["mediaType"] for l in d["layers"]][1:]')" 'zstd' "gzip when asked"
for blob in "$T"/layout/blobs/sha256/*; do
    [ "$(sha256sum "$blob" | cut -d' ' -f1)" = "$(basename "$blob")" ] || fail "$blob is what its name says"
done
# Compressed or not, a layer is the same tar.
for d in layout gz; do
    is "$(skopeo inspect --raw "oci:$T/$d" | json - '"\n".join(l["digest"][7:] for l in d["layers"])' | while read -r l; do
        f=$T/$d/blobs/sha256/$l
        { zstd -dcq "$f" 2>/dev/null || gzip -dc "$f"; } | sha256sum | cut -d' ' -f1
    done | tr '\n' ' ')" "$(json - '"".join(x[7:] + " " for x in d)' <<<"$id")" "the diff IDs are true in $d"
done

# ---- umoci unpacks it
ok "umoci unpacks the gzip layout" umoci unpack $([ "$(id -u)" -eq 0 ] || echo --rootless) --image "$T/gz:1" "$T/bundle"
is "$(cat "$T/bundle/rootfs/data/f" 2>/dev/null)" data "its file is there"
is "$(readlink "$T/bundle/rootfs/data/l")" f "its link"
ok "what was removed is not" [ ! -e "$T/bundle/rootfs/bin/vi" ]
is "$(stat -c %h "$T/bundle/rootfs/data/f")" 2 "hard links are links"
[ "$(id -u)" -ne 0 ] || is "$(stat -c '%u:%g %a' "$T/bundle/rootfs/data/f")" "12:34 4711" "owner and mode"

# ---- podman loads and runs it
for a in oci docker plain; do
    out=$(podman load -q -i "$T/$a.tar" 2>&1)
    _result $? "podman loads $a.tar" || diag "$out"
    name=${out##*: }
    like "$name" 'out.test/o:1' "under its name"
    is "$(podman_run "$name" 2>&1)" "hello from 0" "and runs it"
    is "$(podman_run "$name" stat -c '%u:%g %a' /data/f 2>&1)" "12:34 4711" "with owners and modes"
    podman rmi -f "$name" >/dev/null 2>&1
done

# ---- trees
is "$(cat "$T/local/data/f")" data "type=local is the tree"
ok "without what was removed" [ ! -e "$T/local/bin/vi" ]
ok "and without whiteouts" sh -c "! find '$T/local' -name '.wh.*' -o -type c | grep -q ."
list=$(listing o)
like "$list" '^-rws--x--x 12/34 5 data/f$|link to' "type=tar keeps owners and modes"
unlike "$list" '\.wh\.' "type=tar has no whiteouts"
out=$("$KILN" build --progress=quiet -o type=tar,dest=- "$T/o" 2>/dev/null | tar -tf - 2>&1)
like "$out" 'data/f' "dest=- is standard output"
out=$("$KILN" build --progress=quiet -o - "$T/o" 2>/dev/null | tar -tf - 2>&1)
like "$out" 'data/f' "so is -o -"
built "-o PATH" o -o "$T/local2"
like "$out" "^files written to '$T/local2'" "tells where"
unlike "$out" '^image' "and of no image"
ok "is type=local" cmp "$T/local/data/f" "$T/local2/data/f"
# An existing folder is merged into; links in it are not followed.
mkdir -p "$T/victim" "$T/local3"
ln -s "$T/victim" "$T/local3/data"
kb o -o type=local,dest="$T/local3"
is "$(ls -A "$T/victim")" "" "a link in the destination is not followed"

# ---- the same build is the same image, whoever compresses
SOURCE_DATE_EPOCH=1700000000 KILN_ROOT=$T/s1 "$KILN" build --progress=quiet -o type=oci,dest="$T/r1.tar" "$T/scr" >/dev/null 2>&1
dockerfile scr <<'EOF'
FROM scratch
COPY Dockerfile /d
EOF
for i in 1 2; do
    SOURCE_DATE_EPOCH=1700000000 KILN_ROOT=$T/s$i "$KILN" build --progress=quiet -o type=oci,dest="$T/r$i.tar" "$T/scr" >"$T/q$i" 2>&1 </dev/null
done
is "$(skopeo inspect --raw "oci-archive:$T/r1.tar" | sha256sum)" "$(skopeo inspect --raw "oci-archive:$T/r2.tar" | sha256sum)" \
    "with SOURCE_DATE_EPOCH two stores make one manifest"

# ---- the store's commands
# ---- cli-flags 3: files are no image, and have no id (as buildx has it)
while read -r type id; do
    : >"$T/quiet" && echo stale | tee "$T/iid" >"$T/raw"
    "$KILN" build -q -t some:1 --iidfile "$T/iid" --iidfile-raw "$T/raw" --metadata-file "$T/md" -o "type=$type,dest=$T/q.$type" "$T/o" >"$T/quiet" 2>/dev/null
    is "$(wc -l <"$T/quiet") $(wc -c <"$T/iid") $(wc -c <"$T/raw") $(grep -c containerimage.config.digest "$T/md") $(grep -c image.name "$T/md")" "$id" \
        "cli-flags 3 -q, --iidfile, --metadata-file with type=$type"
done <<'EOT'
local 0 0 0 0 0
tar 0 0 0 0 0
oci 1 71 64 1 1
EOT

status 0 "save" "$KILN" save -o "$T/save.tar" out.test/o:1
ok "skopeo reads it" skopeo inspect "oci-archive:$T/save.tar"
status 0 "load into another store" env KILN_ROOT="$T/other" "$KILN" load -i "$T/save.tar"
status 0 "it is there" env KILN_ROOT="$T/other" "$KILN" images
like "$out" 'out.test/o' "by its name"
skopeo_copy "oci:$KILN_IMAGES/busybox:1.35" "docker-archive:$T/bb.tar:made.by/skopeo:1" >/dev/null 2>&1
status 0 "load what skopeo wrote" "$KILN" load -i "$T/bb.tar"
status 0 "inspect" "$KILN" inspect made.by/skopeo:1
status 0 "history" "$KILN" history out.test/o:1
like "$out" 'hello.sh' "tells the steps"
status 0 "tag" "$KILN" tag out.test/o:1 again:2
status 0 "rmi" "$KILN" rmi out.test/o:1
status 0 "images" "$KILN" images
unlike "$out" 'out.test/o' "the name is gone"
like "$out" 'again' "the other is not"
out=$("$KILN" images --json)
ok "images --json is JSON" json - 'd' <<<"$out"
status 0 "check" "$KILN" check
registry_down
done_testing
