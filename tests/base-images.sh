#!/bin/bash
# tests/base-images.sh - base images for tests and examples, made from Debian packages, served by a registry on loopback.
#
#   out/images/debian     debian:bookworm-slim as an OCI layout (mmdebstrap, minbase)
#   out/images/busybox    busybox:1.35 and busybox:latest as an OCI layout (busybox-static)
#   out/images/registry   both, as the storage of a docker-registry: tests/lib.sh serves a copy of it
#
# Packages come from where this machine's own apt gets them, asked now; so does the image's apt later. Layouts are
# made by the few lines below, not by kiln, so that kiln reads something of another origin. Present ones are kept.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
. "$top/tests/registry.sh"
images=${KILN_IMAGES:-$top/out/images}
case $(dpkg --print-architecture) in
amd64) arch=amd64 variant= ;;
arm64) arch=arm64 variant=v8 ;;
*) arch=$(dpkg --print-architecture) variant= ;;
esac
mkdir -p "$images"
exec 9>"$images/.lock"
flock 9
tmp=$(mktemp -d "$images/tmp.XXXXXX")
trap 'registry_stop "$tmp"; rm -rf "$tmp"' EXIT

# blob FILE LAYOUT - move a file to where its digest says; prints "sha256:<hex> <size>"
blob() {
    local hex size
    hex=$(sha256sum "$1" | cut -d' ' -f1)
    size=$(stat -c %s "$1")
    mkdir -p "$2/blobs/sha256"
    mv "$1" "$2/blobs/sha256/$hex"
    echo "sha256:$hex $size"
}

# layout TAR LAYOUT TAG CMD-JSON - one gzip layer, config, manifest, index
layout() {
    local tar=$1 out=$2 tag=$3 cmd=$4 diff layer lsize config csize manifest msize
    mkdir -p "$out"
    diff=sha256:$(sha256sum "$tar" | cut -d' ' -f1)
    gzip -n -6 <"$tar" >"$tmp/layer"
    read -r layer lsize < <(blob "$tmp/layer" "$out")
    printf '{"architecture":"%s",%s"os":"linux","created":"2023-06-10T00:00:00Z",' "$arch" \
        "${variant:+\"variant\":\"$variant\",}" >"$tmp/config"
    printf '"config":{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"Cmd":%s},' "$cmd" >>"$tmp/config"
    printf '"rootfs":{"type":"layers","diff_ids":["%s"]},' "$diff" >>"$tmp/config"
    printf '"history":[{"created":"2023-06-10T00:00:00Z","created_by":"base image %s"}]}' "$tag" >>"$tmp/config"
    read -r config csize < <(blob "$tmp/config" "$out")
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"%s","size":%s}]}' \
        "$config" "$csize" "$layer" "$lsize" >"$tmp/manifest"
    read -r manifest msize < <(blob "$tmp/manifest" "$out")
    printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"%s"}}]}' \
        "$manifest" "$msize" "$tag" >"$out/index.json"
    printf '{"imageLayoutVersion":"1.0.0"}' >"$out/oci-layout"
}

# Debian's own lines of this machine's apt: "deb URI SUITE COMPONENT"
apt_lines() {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' |
        awk '$2 ~ /^bookworm/ && ($4 == "Debian" || $4 ~ /^\$/) { print "deb", $1, $2, $3 }' | sort -u
}

debian() {
    local opt=() line lines mode
    lines=$(apt_lines)
    [ -n "$lines" ] || { echo "apt on this machine has no source for Debian bookworm" >&2; return 1; }
    # How to reach them: also left in the image, for the apt of its RUN steps.
    while read -r line; do
        opt+=("--aptopt=$line")
    done < <(apt-config dump | grep -E '^Acquire::(https?::Proxy|https?::[^ ]*::Proxy|Check-|Retries|Languages:)' || true)
    [ "$(id -u)" -eq 0 ] && mode=root || mode=unshare
    # As in Debian's own images: installing leaves no archives and no unneeded files behind.
    SOURCE_DATE_EPOCH=1686355200 mmdebstrap --quiet --variant=minbase --mode="$mode" --skip=output/dev "${opt[@]}" \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --customize-hook='printf "%s\n" "DPkg::Post-Invoke { \"rm -f /var/cache/apt/archives/*.deb || true\"; };" >"$1/etc/apt/apt.conf.d/docker-clean"' \
        --customize-hook='rm -f "$1"/etc/resolv.conf "$1"/etc/hostname "$1"/var/log/*.log "$1"/var/log/apt/*' \
        bookworm "$tmp/debian.tar" - <<<"$lines" >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; return 1; }
    # No device nodes, but the folder for them, as in Debian's own images.
    mkdir -p "$tmp/empty/dev"
    tar -C "$tmp/empty" --owner=0 --group=0 --mode=0755 --mtime=@1686355200 -rf "$tmp/debian.tar" ./dev
    layout "$tmp/debian.tar" "$tmp/debian" bookworm-slim '["bash"]'
    rm -f "$tmp/debian.tar"
    mv "$tmp/debian" "$images/debian"
}

busybox() {
    local root=$tmp/root bin=${KILN_TOOLS:-$top/out/tools}/bin/busybox
    mkdir -p "$root"/{bin,dev,etc,proc,sys,home,root,tmp,usr/bin,usr/sbin,sbin,var/www,var/spool/mail}
    chmod 1777 "$root/tmp"
    chmod 700 "$root/root"
    cp "$bin" "$root/bin/busybox"
    for applet in $("$bin" --list); do
        [ "$applet" = busybox ] || ln "$root/bin/busybox" "$root/bin/$applet"
    done
    printf '%s\n' root:x:0:0:root:/root:/bin/sh daemon:x:1:1:daemon:/usr/sbin:/bin/false \
        www-data:x:33:33:www-data:/var/www:/bin/false nobody:x:65534:65534:nobody:/home:/bin/false >"$root/etc/passwd"
    printf '%s\n' root:x:0: daemon:x:1: www-data:x:33: users:x:100: nogroup:x:65534: >"$root/etc/group"
    tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1686355200 --format=posix \
        --pax-option=delete=atime,delete=ctime -cf "$tmp/busybox.tar" .
    layout "$tmp/busybox.tar" "$tmp/busybox" 1.35 '["sh"]'
    mv "$tmp/busybox" "$images/busybox"
}

[ -e "$images/debian/index.json" ] || { echo "making debian:bookworm-slim from Debian packages"; debian; }
[ -e "$images/busybox/index.json" ] || { echo "making busybox:1.35 from busybox-static"; busybox; }
if [ ! -d "$images/registry" ]; then
    mkdir "$tmp/registry"
    port=$(registry_start "$tmp" "$tmp/registry")
    put() { skopeo --insecure-policy copy -q --dest-tls-verify=false "oci:$images/$1" "docker://127.0.0.1:$port/library/$2" >/dev/null; }
    put debian debian:bookworm-slim
    put busybox busybox:1.35
    put busybox busybox:latest
    registry_stop "$tmp"
    mv "$tmp/registry" "$images/registry"
fi
