#!/bin/bash
# Pull and push against a registry that misbehaves on purpose (tests/regd.c; its script lines are explained there).
. "$(dirname "$0")/../lib.sh"
need kiln python3 || skip_all
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY
flags=(-std=gnu17 -D_GNU_SOURCE "-I$top" ${SAN:+"-fsanitize=$SAN"})
ok "regd builds" "${CC:-gcc}" "${flags[@]}" -o "$T/regd" "$top"/tests/regd{,_api}.c "$O/libkiln.a" -lcrypto || done_testing

# up LINE... - a regd with these rules; $r is the registry, $log what it was asked. It ends with the pipe on its input.
regd= log=$T/regd.log
down() {
    [ -n "$regd" ] || return 0
    exec 8>&-
    wait "$regd"
    regd=
}
up() {
    down
    rm -f "$T/hold" "$T/ports"
    mkfifo "$T/hold"
    "$T/regd" "$log" "$@" <"$T/hold" >"$T/ports" &
    regd=$!
    exec 8>"$T/hold"
    for _ in $(seq 100); do
        [ -s "$T/ports" ] && break
        sleep 0.05
    done
    read -r port _ <"$T/ports"
    r=127.0.0.1:$port
}
logged() { like "$(cat "$log")" "$1" "$2"; }
not_logged() { unlike "$(cat "$log")" "$1" "$2"; }
login() {
    printf '{"auths":{"%s":{"auth":"%s"}}}' "$r" "$(printf 'me:sesame' | base64)" >"$T/auth.json"
    export REGISTRY_AUTH_FILE=$T/auth.json
}
push() { "$KILN" tag a/b:t "$r/a/b:t" 8>&- && "$KILN" push "$r/a/b:t" 8>&-; }
fresh() { # pull into an empty store
    rm -rf "$T/fresh"
    KILN_ROOT=$T/fresh "$KILN" pull "$r/a/b:t" 8>&-
}

# An image of one layer, brought in as a docker archive.
python3 - "$T/image.tar" <<'EOF'
import hashlib, io, json, os, sys, tarfile
def tar(files, out):
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as t:
        for name, data in files:
            i = tarfile.TarInfo(name)
            i.size = len(data)
            t.addfile(i, io.BytesIO(data))
layer = io.BytesIO()
tar([("data", os.urandom(400000))], layer)
layer = layer.getvalue()
config = json.dumps({"architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine), "os": "linux",
    "config": {}, "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}, separators=(",", ":")).encode()
names = json.dumps([{"Config": "c.json", "RepoTags": ["a/b:t"], "Layers": ["l.tar"]}]).encode()
with open(sys.argv[1], "wb") as f:
    tar([("c.json", config), ("l.tar", layer), ("manifest.json", names)], f)
EOF
ok "an image is loaded" "$KILN" load -i "$T/image.tar"

up
ok "push" push
ok "pull" fresh

up "auth bearer me sesame" "rule 0 GET ^/v2/a/b/blobs/ redirect 307 http://127.0.0.1:%2/storage%p"
login
ok "push with a token" push
ok "pull through storage elsewhere" fresh
logged '^storage GET .* auth=none .* 200' "storage was asked"
not_logged '^storage .* auth=B' "storage never saw a login"

up "auth bearer me sesame" "rule 1 PUT /uploads/ forget" "rule 1 PUT /manifests/ forget"
login
ok "push while tokens die" push
logged 'PUT .*uploads.* 401' "they did"
unset REGISTRY_AUTH_FILE

up "rule 1 GET /blobs/ reset 50" "rule 2 GET /blobs/ reset 100000" "rule 1 GET /manifests/ status 503" \
    "rule 1 GET /manifests/ status 429 Retry-After: 1"
ok "push" push
ok "pull with resets, 503 and 429" fresh
logged 'range=bytes=[0-9]+- 206' "it went on where it broke"

took() { # took DELAY - milliseconds of a pull that is refused twice
    up "rule 2 GET /manifests/ status 503"
    push >/dev/null 2>&1
    rm -rf "$T/fresh"
    local at=${EPOCHREALTIME/./}
    KILN_ROOT=$T/fresh "$KILN" pull --retry-delay "$1" "$r/a/b:t" >/dev/null 2>&1 8>&- && ms=$(((${EPOCHREALTIME/./} - at) / 1000))
}
ms=failed
took 10ms
ok "--retry-delay=10ms: $ms ms" [ "$ms" -lt 1400 ]
took 1500ms
ok "--retry-delay=1500ms: $ms ms" [ "$ms" -ge 3000 ]

up "rule 0 GET /blobs/ wrong"
ok "push" push
status 3 "wrong blobs" fresh
like "$out" 'refusing to use it' "are refused"

up "rule 0 GET /manifests/ huge 5000000"
ok "push" push
status 6 "a manifest of 5 MB" fresh
like "$out" '4194304 bytes' "is over a limit that is named"

up "rule 0 GET /manifests/ redirect 302 http://169.254.169.254/latest/meta-data"
status 3 "a redirect to a metadata service" fresh
like "$out" 'internal address' "is refused"

up "rule 1 PUT /uploads/ status 413"
ok "a registry that takes no whole blob gets chunks" push
logged 'PATCH .* 202' "by PATCH"
up "rule 0 PUT /manifests/ status 400"
status 4 "a manifest that is refused" push
like "$out" 'regd says no' "gives the registry's words"

up "rule 0 * /v2/ status 403 X-Note: a"
status 4 "no permission" push
like "$out" 'kiln login' "says how to log in"

up 'rule 0 GET /manifests/ status 400' 'rule 0 GET /v2/ body {"message":"\u001b[31mred"}'
status 3 "an error that is refused" fresh
unlike "$out" $'\e' "control characters do not reach the terminal"
down
done_testing
