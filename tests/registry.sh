# tests/registry.sh - the real docker-registry on 127.0.0.1 with our own configuration; sourced.
#
#   port=$(registry_start DIR STORAGE)   DIR: a folder for its configuration, log and pid; STORAGE: where it keeps blobs
#                                        ACCESS_LOG_OFF=false: a line of DIR/registry.log for each request
#   registry_stop DIR                    by the pid it left there; quiet when there is none

registry_program() {
    local tools=${KILN_TOOLS:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/out/tools}
    if [ -x "$tools/usr/bin/docker-registry" ]; then
        echo "$tools/usr/bin/docker-registry"
    else
        command -v docker-registry
    fi
}

registry_start() {
    local dir=$1 storage=$2 program port pid try
    program=$(registry_program) || { echo "no docker-registry" >&2; return 1; }
    for try in 1 2 3 4 5 6 7 8 9 10; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        cat >"$dir/registry.yml" <<EOT
version: 0.1
log: {level: warn, accesslog: {disabled: ${ACCESS_LOG_OFF:-true}}}
storage:
  filesystem: {rootdirectory: $storage}
  delete: {enabled: true}
  maintenance: {uploadpurging: {enabled: false}}
http: {addr: "127.0.0.1:$port"}
${REGISTRY_EXTRA:-}
EOT
        "$program" serve "$dir/registry.yml" >"$dir/registry.log" 2>&1 </dev/null 9>&- &
        pid=$!
        echo "$pid" >"$dir/registry.pid"
        # It is up when it answers; gone when the port was somebody else's.
        for _ in $(seq 100); do
            kill -0 "$pid" 2>/dev/null || continue 2
            if registry_owns "$pid" "$port"; then
                echo "$port"
                return 0
            fi
            sleep 0.05
        done
        kill "$pid" 2>/dev/null || true
    done
    echo "docker-registry does not start:" >&2
    cat "$dir/registry.log" >&2
    return 1
}

# registry_owns PID PORT - is the socket that listens there one of this process?
registry_owns() {
    local inode
    inode=$(awk -v p="$(printf '0100007F:%04X' "$2")" '$2 == p && $4 == "0A" { print $10 }' /proc/net/tcp)
    [ -n "$inode" ] && ls -l "/proc/$1/fd" 2>/dev/null | grep -q "socket:\[$inode\]"
}

registry_stop() {
    local pid
    [ -e "$1/registry.pid" ] || return 0
    pid=$(cat "$1/registry.pid")
    rm -f "$1/registry.pid"
    kill "$pid" 2>/dev/null || return 0
    for _ in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.05
    done
    kill -9 "$pid" 2>/dev/null || true
}
