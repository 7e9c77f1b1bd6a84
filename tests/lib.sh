# tests/lib.sh - what the shell tests share: TAP, a temporary folder, a store, a registry, podman. Sourced by tests/t/*.t.
#
#   ok NAME COMMAND...        the command succeeds          is GOT WANT NAME      equal
#   nok NAME COMMAND...       it fails                      like GOT REGEX NAME   matches (grep -E)
#   status N NAME COMMAND...  it ends with N                unlike GOT REGEX NAME
#   need CAPABILITY... || skip_rest     without it the rest of the file is skipped, or failed when $MUST names it
#   done_testing
#
# $T is a fresh folder that is removed at the end. $KILN is the program, with a store of its own in $T/store.
set -u
umask 022
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
O=${O:-$top/out}
case $O in /*) ;; *) O=$top/$O ;; esac
KILN=${KILN:-$O/kiln}
KILN_TOOLS=${KILN_TOOLS:-$top/out/tools}
KILN_IMAGES=${KILN_IMAGES:-$top/out/images}
. "$top/tests/registry.sh"

# On disk: a tmpfs keeps no user xattrs before Linux 6.6, so it cannot hold an overlay's upper directory.
T=$(mktemp -d "${KILN_TMP:-/var/tmp}/kiln-test.XXXXXX") || exit 1
export KILN_ROOT=$T/store HOME=$T/home XDG_RUNTIME_DIR=$T/run
export CONTAINERS_STORAGE_CONF=$T/storage.conf CONTAINERS_REGISTRIES_CONF=$T/registries.conf CONTAINERS_CONF=$T/containers.conf
unset XDG_DATA_HOME XDG_CONFIG_HOME DOCKER_CONFIG REGISTRY_AUTH_FILE SOURCE_DATE_EPOCH BUILDKIT_PROGRESS NO_COLOR DBUS_SESSION_BUS_ADDRESS
export NO_PROXY="127.0.0.1${NO_PROXY:+,$NO_PROXY}" LC_ALL=C.UTF-8
mkdir -m 700 "$T/home" "$T/run"

tap_n=0 tap_bad=0
_result() {
    tap_n=$((tap_n + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $tap_n - $2"
    else
        tap_bad=$((tap_bad + 1))
        echo "not ok $tap_n - $2"
    fi
    return "$1"
}
diag() { printf '%s\n' "$*" | sed 's/^/# /'; }
pass() { _result 0 "$1"; }
fail() { _result 1 "$1"; }
# Output of a command that should have succeeded is shown when it did not.
ok() {
    local name=$1 rc
    shift
    "$@" >"$T/.out" 2>&1
    rc=$?
    _result $((rc != 0)) "$name" || { diag "status $rc: $*"; tail -n 40 "$T/.out" | sed 's/^/#   /'; return 1; }
}
nok() {
    local name=$1
    shift
    ! "$@" >"$T/.out" 2>&1
    _result $? "$name" || { diag "succeeded: $*"; tail -n 20 "$T/.out" | sed 's/^/#   /'; return 1; }
}
# The output stays in $out.
out=
status() {
    local want=$1 name=$2 rc
    shift 2
    out=$("$@" 2>&1 </dev/null)
    rc=$?
    _result $((rc != want)) "$name" || { diag "status $rc, not $want: $*"; printf '%s\n' "$out" | tail -n 40 | sed 's/^/#   /'; return 1; }
}
is() {
    [ "$1" = "$2" ]
    _result $? "$3" && return
    case $1$2 in
    *$'\n'*) diff <(printf '%s\n' "$2") <(printf '%s\n' "$1") | head -n 20 | sed 's/^/# /; s/^# </# want: </; s/^# >/# got:  >/' ;;
    *) diag "got:  $1"; diag "want: $2" ;;
    esac
    return 1
}
like() {
    printf '%s\n' "$1" | grep -Eq -- "$2"
    _result $? "$3" || { diag "does not match: $2"; printf '%s\n' "$1" | tail -n 40 | sed 's/^/#   /'; return 1; }
}
unlike() {
    ! printf '%s\n' "$1" | grep -Eq -- "$2"
    _result $? "$3" || { diag "matches: $2"; printf '%s\n' "$1" | tail -n 40 | sed 's/^/#   /'; return 1; }
}
# running PATTERN - is there a process of ours whose command line matches? Not this shell, which knows the pattern too.
running() { pgrep -u "$(id -u)" -f -- "$1" >/dev/null; }
stopped() { ! running "$1"; }
done_testing() {
    echo "1..$tap_n"
    [ "$tap_bad" -eq 0 ]
    exit
}

# ---- what a test needs
_has() {
    case $1 in
    kiln) [ -x "$KILN" ] ;;
    userns) unshare --user --map-root-user true ;;
    subids) [ "$(id -u)" -eq 0 ] || grep -q "^$(id -un):" /etc/subuid ;;
    overlay) unshare --user --map-root-user --mount sh -c 'cd "$1" && mkdir l u w m && mount -t overlay -o userxattr,lowerdir=l,upperdir=u,workdir=w o m' sh "$(mktemp -d "$T/ovl.XXXX")" ;;
    fuse) command -v fuse-overlayfs && [ -r /dev/fuse ] && [ -w /dev/fuse ] ;;
    registry) [ -n "$(registry_program)" ] ;;
    sshd) [ -n "$(sshd_program)" ] ;;
    images) [ -d "$KILN_IMAGES/registry" ] ;;
    *) command -v "$1" ;;
    esac >/dev/null 2>&1
}
# sshd is unpacked, not installed: the package would start it. It needs a library that was unpacked beside it.
sshd_program() { ls "$KILN_TOOLS/usr/sbin/sshd" 2>/dev/null || PATH=$PATH:/usr/sbin command -v sshd; }
sshd_libraries() { dirname "$KILN_TOOLS"/usr/lib/*/libwrap.so.0; }
# need CAPABILITY... - all there, or the reason is in $lacks
lacks=
need() {
    local c
    for c; do
        _has "$c" || { lacks=$c; return 1; }
    done
}
# MUST=all, or a list: what it names may not be skipped.
_must() { [[ " ${MUST:-} " == *" all "* || " ${MUST//,/ } " == *" $lacks "* ]]; }
skip_all() {
    if [ -n "${MUST:-}" ] && _must; then
        fail "needs $lacks, which is not here, and MUST asks for it"
        echo "1..$tap_n"
        exit 1
    fi
    echo "1..0 # SKIP needs $lacks"
    exit 0
}
skip() { # skip NAME - one test
    if [ -n "${MUST:-}" ] && _must; then
        fail "$1 (needs $lacks)"
    else
        tap_n=$((tap_n + 1))
        echo "ok $tap_n - $1 # SKIP needs $lacks"
    fi
}

# ---- registry
port=
# registry_up [empty] - a registry of this test; with the base images as library/... unless empty. docker.io is found there.
registry_up() {
    mkdir -p "$T/registry"
    [ "${1:-}" = empty ] || cp -r "$KILN_IMAGES/registry/." "$T/registry/"
    port=$(registry_start "$T" "$T/registry") || return 1
    cat >"$T/registries.conf" <<EOT
[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "127.0.0.1:$port"
insecure = true
[[registry]]
location = "127.0.0.1:$port"
insecure = true
EOT
}
registry_down() { registry_stop "$T"; }

# ---- podman, as any user, with storage of its own
podman_setup() {
    cat >"$T/storage.conf" <<EOT
[storage]
driver = "overlay"
graphroot = "$T/podman"
runroot = "$T/run/containers"
EOT
    cat >"$T/containers.conf" <<EOT
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
EOT
    printf '{"default":[{"type":"insecureAcceptAnything"}]}' >"$T/policy.json"
    mkdir -p "$HOME/.config/containers"
    cp "$T/policy.json" "$HOME/.config/containers/policy.json"
}
# Limits that any machine grants: the defaults are above what a root without CAP_SYS_RESOURCE may set.
podman_run() { podman run --rm --runtime=runc --network=host --ulimit=nofile=1024:1024 --ulimit=nproc=1024:1024 "$@" </dev/null; }
skopeo_copy() { skopeo --insecure-policy copy -q --src-tls-verify=false --dest-tls-verify=false "$@"; }
skopeo_config() { skopeo inspect --config --tls-verify=false "$@"; }

# json FILE-OR-'-' EXPRESSION - python over the parsed document d
json() {
    python3 -c 'import json, sys
d = json.load(sys.stdin if sys.argv[1] == "-" else open(sys.argv[1]))
r = eval(sys.argv[2])
print(r if isinstance(r, str) else json.dumps(r, sort_keys=True))' "$@"
}

# dockerfile DIR - a context folder with a Dockerfile from standard input
dockerfile() {
    mkdir -p "$T/$1"
    cat >"$T/$1/Dockerfile"
}
# kb NAME ARGS... - build the context folder NAME, output in $out, status returned
kb() {
    local dir=$1 rc
    shift
    out=$("$KILN" build --progress=plain "$@" "$T/$dir" 2>&1 </dev/null)
    rc=$?
    [ $rc -eq 0 ] || diag "build of $dir: status $rc"
    return $rc
}
built() { # built NAME DIR ARGS... - as a test
    local name=$1
    shift
    kb "$@"
    _result $? "$name" || { printf '%s\n' "$out" | tail -n 40 | sed 's/^/#   /'; return 1; }
}

# said - what the steps of the last build printed themselves (--progress=plain: "#7 0.3 text"), without titles and states
said() { sed -nE 's/^#[0-9]+ [0-9]+\.[0-9] (.*)$/\1/p' <<<"${1-$out}"; }

# What an image has, without unpacking it: exported by kiln, read by skopeo and tar.
# exported DIR ARGS... - build the context folder and leave $T/DIR.oci (an archive) and $T/DIR.tar (the merged tree)
exported() {
    local dir=$1
    kb "$@" -o "type=oci,dest=$T/$dir.oci" -o "type=tar,dest=$T/$dir.tar"
}
config() { skopeo inspect --config "oci-archive:$T/$1.oci"; }      # config DIR
# listing DIR - "mode owner/group size-or-target path" of every entry, sorted
listing() {
    tar --numeric-owner --full-time -tvf "$T/$1.tar" | awk '{ m = $1; o = $2; s = $3; $1 = $2 = $3 = $4 = $5 = ""; sub(/^ +/, ""); sub(/^\.\//, ""); print m, o, (m ~ /^-/ ? s : "-"), $0 }' | sort -k4
}
file() { tar -xOf "$T/$1.tar" "$2" 2>/dev/null || tar -xOf "$T/$1.tar" "./$2"; }       # file DIR PATH

# Everything that is ours goes, whoever owns the files: subordinate ids are reached through a user namespace.
remove_tree() {
    if [ "$(id -u)" -eq 0 ]; then
        rm -rf "$1"
    else
        rm -rf "$1" 2>/dev/null || unshare --map-root-user --map-auto rm -rf "$1" 2>/dev/null || { chmod -R u+rwx "$1"; rm -rf "$1"; }
    fi
}
_cleanup() {
    local rc=$?
    registry_stop "$T"
    [ ! -d "$T/podman" ] || podman system reset -f >/dev/null 2>&1 || true
    if [ -n "${KEEP:-}" ]; then
        diag "kept $T"
    else
        cd / && remove_tree "$T"
    fi
    exit $rc
}
trap _cleanup EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
cd "$T" || exit 1
