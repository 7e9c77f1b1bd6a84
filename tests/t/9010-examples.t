#!/bin/bash
# Every example is built and its image runs.
. "$(dirname "$0")/../lib.sh"
need kiln userns subids overlay registry images podman runc || skip_all
registry_up
podman_setup
r=127.0.0.1:$port

for dir in "$top"/examples/*/; do
    name=$(basename "$dir")
    out=$("$KILN" build --progress=plain -t "$r/examples/$name:1" --push "$dir" 2>&1 </dev/null)
    _result $? "examples/$name is built and pushed" || diag "$(tail -n 40 <<<"$out")"
    ok "podman pulls it" podman pull -q --tls-verify=false "$r/examples/$name:1"
done
is "$(podman_run "$r/examples/hello:1" kiln 2>&1)" "Hello, kiln!" "hello says so"
is "$(podman image inspect "$r/examples/hello:1" | json - 'len(d[0]["RootFS"]["Layers"])')" 1 "in one layer"
like "$(podman_run "$r/examples/apt:1" 2>&1)" '^jq-' "apt runs what was installed"
is "$(podman_run --entrypoint sh "$r/examples/apt:1" -c 'ls /var/lib/apt/lists /var/cache/apt/archives | grep -c deb' 2>&1)" 0 "without what the cache mounts held"

# serve NAME PORT-VARIABLE... - start it, wait, fetch
fetch() { python3 -c 'import sys, time, urllib.request
for _ in range(100):
    try:
        print(urllib.request.urlopen(sys.argv[1], timeout=2).read().decode(), end="")
        break
    except OSError:
        time.sleep(0.1)' "$1"; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
p=$(free_port)
cid=$(podman run -d --runtime=runc --network=host --ulimit=nofile=1024:1024 --ulimit=nproc=1024:1024 -e PORT="$p" -e HOST=127.0.0.1 "$r/examples/web:1" 2>&1 </dev/null) || diag "$cid"
like "$(fetch "http://127.0.0.1:$p/x")" '"uid": 10001' "web answers, and is not root"
ok "it calls itself well" podman exec -e PORT="$p" "${cid##*$'\n'}" python3 app.py check
podman rm -f -t 1 "${cid##*$'\n'}" >/dev/null 2>&1
like "$(podman image inspect "$r/examples/web:1" | json - 'd[0]["Config"]["User"]')" '^app$' "its USER"
p=$(free_port)
cid=$(podman run -d --runtime=runc --network=host --ulimit=nofile=1024:1024 --ulimit=nproc=1024:1024 "$r/examples/static-site:1" httpd -f -c /etc/httpd.conf -h /www -p "127.0.0.1:$p" 2>&1 </dev/null) || diag "$cid"
like "$(fetch "http://127.0.0.1:$p/")" '<h1>Welcome</h1>' "static-site serves its page"
like "$(fetch "http://127.0.0.1:$p/about.html")" '<h1>About</h1>' "and the other"
podman rm -f -t 1 "${cid##*$'\n'}" >/dev/null 2>&1

# Built again: nothing runs.
out=$("$KILN" build --progress=plain "$top/examples/hello" 2>&1 </dev/null)
_result $? "hello again" || diag "$out"
unlike "$out" 'Reading package lists' "is cached"
status 0 "the store is clean" "$KILN" check
registry_down
done_testing
