#!/bin/bash
# A push that overlaps its build: layers are on their way while they are packed; what the registry has is not sent again (spec/oci.md 2.7).
. "$(dirname "$0")/../lib.sh"
need kiln userns subids overlay registry images skopeo || skip_all
ACCESS_LOG_OFF=false registry_up
r=127.0.0.1:$port
# What was asked since the last call, one "METHOD path status" a line.
seen=0
asked() {
    sleep 0.3
    grep -aoE '"(HEAD|GET|POST|PATCH|PUT|DELETE) [^ ]+ HTTP/1.1" [0-9]+' "$T/registry.log" | sed 's/?[^ ]*//; s/ HTTP[^ ]*//; s/"//' >"$T/all"
    tail -n +$((seen + 1)) "$T/all" >"$T/new"
    seen=$(wc -l <"$T/all")
}
count() { grep -cE "$1" "$T/new"; }

dockerfile small <<'EOF'
FROM busybox:1.35
RUN echo small > /small
EOF
built "small layers" small --push -t "$r/o/small:1"
asked
is "$(count PATCH)" 0 "are left to the push"
status 0 "a second push" "$KILN" push "$r/o/small:1"
asked
is "$(count HEAD) $(count POST)" "3 0" "looks for each blob, side by side, and sends none"

# Slow enough to be seen while it is packed, and much of it is still to come then.
dockerfile big <<'EOF'
FROM busybox:1.35
RUN dd if=/dev/urandom of=/big bs=1M count=160 2>/dev/null && seq 9000000 > /numbers
RUN echo after > /after
EOF
level=(--compression=zstd --compression-level=9)
built "a large layer" big --push -t "$r/o/big:1" "${level[@]}"
asked
is "$(count '^PATCH .* 202')" 1 "is sent while it is packed"
is "$(count '^POST .*uploads/ 202')" 3 "and nothing is sent twice: two layers, one config"
ok "the image is whole" skopeo copy --src-tls-verify=false "docker://$r/o/big:1" "dir:$T/big.dir"

# Packed once more to the same bytes, which the registry has: the rest of it does not go out.
cp -a "$KILN_ROOT" "$T/twin"
dockerfile copied <<'EOF'
FROM busybox:1.35
COPY data /data
EOF
head -c 200M /dev/urandom >"$T/copied/data"
built "a copied file" copied --push -t "$r/o/copied:1" "${level[@]}"
asked
is "$(count '^PATCH .* 202')" 1 "is sent while it is packed, too"
built "from another store, at another name" copied --push -t "$r/o/copied:2" "${level[@]}" --root "$T/twin"
asked
is "$(count '^PUT .*/blobs/')" 1 "only its config is new to the registry"
ok "the name is there" skopeo inspect --tls-verify=false "docker://$r/o/copied:2"

# A step that fails while an earlier layer is on its way.
dockerfile fails <<'EOF'
FROM busybox:1.35
RUN dd if=/dev/urandom of=/big bs=1M count=161 2>/dev/null && seq 9000000 > /numbers
RUN false
EOF
status 1 "a build that fails meanwhile" "$KILN" build --progress=plain --push -t "$r/o/fails:1" "${level[@]}" "$T/fails"
asked
is "$(count '^PUT .*/manifests/')" 0 "names nothing"
registry_down

# Nobody there: what was sent ahead fails in silence, the push says it.
status 4 "a registry that is gone" timeout 100 "$KILN" build --progress=plain --no-cache --push -t "$r/o/big:2" "${level[@]}" "$T/big"
like "$out" "cannot push" "the push says why"
is "$(grep -c '^error' <<<"$out")" 1 "once"
status 0 "the store is clean" "$KILN" check
done_testing
