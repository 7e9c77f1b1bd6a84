#!/bin/bash
# examples/demo.sh - the whole way once: build rootless, push, pull by digest, run. `make demo` calls it.
# As root it does nothing itself: an ordinary user with subordinate ids runs it.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)

if [ "$(id -u)" -eq 0 ]; then
    user=${KILN_DEMO_USER:-kiln-demo}
    . "$top/tests/user.sh"
    user_ensure "$user"
    # The user may not be able to look into this folder, so what the demo needs goes to a place of theirs.
    home=$(getent passwd "$user" | cut -d: -f6)
    user_copy "$top" "$home/kiln" "$user"
    mkdir -p "$home/kiln/out"
    cp "$KILN" "$home/kiln/out/kiln"
    chown -R "$user:" "$home/kiln/out"
    exec su "$user" -s /bin/bash -c 'cd ~/kiln && unset KILN KILN_ROOT O XDG_RUNTIME_DIR && exec examples/demo.sh'
fi

. "$top/tests/lib.sh"
need kiln subids userns podman skopeo registry images || { echo "the demo needs $lacks" >&2; exit 1; }
run() {
    printf '\n\e[1m$ %s\e[0m\n' "$*" | sed "s,$T,TMP,g"
    "$@"
}
set -e
kiln() { "$KILN" "$@"; }
registry_up
podman_setup
cp -r "$top/examples/hello" "$T/hello"
name=127.0.0.1:$port/demo/hello:1

echo "This is $(kiln version), run by $(id -un) (uid $(id -u)); its registry is 127.0.0.1:$port."
run kiln build -t "$name" --push --metadata-file "$T/meta.json" "$T/hello"
digest=$(json "$T/meta.json" 'd["containerimage.digest"]')
sed -i 's/Hello, /Good morning, /' "$T/hello/hello.c"
echo
echo "One source file changed: only what depends on it runs again, and the reason is told."
run kiln build -t "${name%:1}:2" "$T/hello"
run kiln images
run kiln history "$name"
run podman pull -q --tls-verify=false "${name%:1}@$digest"
run podman_run "${name%:1}@$digest" kiln
registry_down
echo
echo "Built rootless, pushed to 127.0.0.1:$port, pulled back as $digest, run by podman."
