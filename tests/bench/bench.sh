#!/bin/bash
# tests/bench/bench.sh - `make bench`: medians of real work, against raw commands and against what else is installed.
#
#   BENCH="cached stages run copy layer pull"   only these        BENCH_RUNS=5     runs of the short ones (3 of the long ones)
#   BENCH_PEERS="buildah podman"         empty: none       BENCH_SMALL=1    a tenth of everything, to try the script
#
# Writes a table to the screen and $O/bench.txt, and the same as JSON to $O/bench.json. The ratio is kiln : raw.
. "$(dirname "$0")/../lib.sh"
set -e
need kiln userns subids overlay registry images skopeo zstd openssl || { echo "the bench needs $lacks" >&2; exit 1; }
work=${BENCH:-cached stages run copy layer pull}
runs=${BENCH_RUNS:-5}
few=3
scale=1
[ -z "${BENCH_SMALL:-}" ] || scale=10 few=1
peers=${BENCH_PEERS-buildah podman}
mkdir -p "$O/bench"
for c in measure bare; do
    ${CC:-gcc} -O2 -std=gnu17 -D_GNU_SOURCE -o "$O/bench/$c" "$top/tests/bench/$c.c"
done
measure() { "$O/bench/measure" "$@"; }
rows=$O/bench/rows
: >"$rows"
# row NAME WHO SECONDS PEAK-KIB AIM-SECONDS - WHO: kiln, raw, or a peer; AIM: what the raw figures ask for ("" for none)
row() {
    printf '%s\t%s\t%s\t%s\t%s\n' "$@" >>"$rows"
    printf '%-46s %-8s %9.4f s %9s KiB\n' "$1" "$2" "$3" "${4:--}"
}
calc() { python3 -c "print('%.6f' % ($1))"; }
has() { [[ " $work " == *" $1 "* ]]; }
peer() { [[ " $peers " == *" $1 "* ]] && command -v "$1" >/dev/null; }
kb() { "$KILN" build --progress=quiet "$@"; }
# What buildah needs to work beside us: storage of its own, and the runtime that works everywhere.
podman_setup
buildah_bud() { buildah bud --isolation=chroot --tls-verify=false --layers -q "$@"; }
registry_up
r=127.0.0.1:$port
# upload FILE - as a blob: what any push of these bytes costs at least
cat >"$T/upload.py" <<'EOF'
import http.client, os, sys
host, path, digest = sys.argv[1:]
c = http.client.HTTPConnection(host)
c.request("POST", "/v2/bench/raw/blobs/uploads/")
a = c.getresponse()
a.read()
where = a.getheader("Location").split(host, 1)[-1]
c.request("PUT", where + ("&" if "?" in where else "?") + "digest=" + digest, body=open(path, "rb"),
          headers={"Content-Length": str(os.path.getsize(path)), "Content-Type": "application/octet-stream"})
a = c.getresponse()
a.read()
sys.exit(0 if a.status == 201 else 1)
EOF
cat >"$T/get.py" <<'EOF'
import http.client, shutil, sys
host, blobs, out = sys.argv[1:]
for d in open(blobs).read().split():
    c = http.client.HTTPConnection(host)
    c.request("GET", "/v2/bench/pull/blobs/" + d)
    with open(f"{out}/{d[7:]}", "wb") as f:
        shutil.copyfileobj(c.getresponse(), f, 1 << 20)
EOF
# What the registry has from a run before goes; the base images have no blob of that size but Debian's, which is not used.
forget="rm -rf '$T/registry/docker/registry/v2/repositories/bench'; find '$T/registry' -name data -size +2M -delete"
upload_time() { # FILE - seconds to upload it to a registry that does not have it
    local digest
    digest=sha256:$(sha256sum "$1" | cut -d' ' -f1)
    measure -p "$forget" $few python3 "$T/upload.py" "$r" "$1" "$digest" | cut -d' ' -f1
}

if has cached; then
    n=$((10000 / scale))
    mkdir -p "$T/cached/files"
    (cd "$T/cached/files" && for i in $(seq $n); do printf 'file %d\n' "$i" >"$i"; done)
    { echo "FROM busybox:1.35"; echo "COPY files /files"; for i in $(seq 18); do echo "RUN echo $i > /s$i"; done; } >"$T/cached/Dockerfile"
    # Aged past the clock's grain, so that the files' stat is trusted.
    sleep 1.1
    kb -t bench/cached "$T/cached" >/dev/null
    read -r raw _ < <(measure $((runs * 2)) find "$T/cached" -printf %s)
    row "cached 20-step rebuild, $n files" raw "$raw" "" ""
    read -r s m < <(measure $((runs * 2)) "$KILN" build --progress=plain -t bench/cached "$T/cached")
    row "cached 20-step rebuild, $n files" kiln "$s" "$m" "$(calc "1.5 * $raw + 0.010")"
    if peer buildah; then
        buildah_bud -t bench/cached "$T/cached" >/dev/null 2>&1 &&
            read -r s m < <(measure $few buildah bud --isolation=chroot --layers -q -t bench/cached "$T/cached") &&
            row "cached 20-step rebuild, $n files" buildah "$s" "$m" "" || echo "buildah: failed"
    fi
fi

# A stage of many costs what a stage of few does: the aim of the longer ones is the shortest one's time for a stage, and half of it.
if has stages; then
    mkdir -p "$T/stages"
    for kind in FROM COPY; do
        first=
        for n in 100 200 400; do
            n=$((n / scale))
            python3 - $kind $n >"$T/stages/Dockerfile" <<'EOF'
import sys
for i in range(int(sys.argv[2])):
    if sys.argv[1] == "FROM":
        print(f"FROM {f's{i - 1}' if i else 'scratch'} AS s{i}\nENV STAGE={i}\nWORKDIR /s{i}")
    else:
        print(f"FROM scratch AS s{i}\nWORKDIR /s{i}" + (f"\nCOPY --from=s{i - 1} / /" if i else ""))
EOF
            times=() one=
            read -r s m < <(measure "$runs" "$KILN" build --call=outline "$T/stages")
            times+=("plan $s $m")
            read -r s m < <(measure -p "'$KILN' prune -a" $few "$KILN" build --progress=plain "$T/stages")
            times+=("uncached $s $m")
            kb "$T/stages" >/dev/null
            read -r s m < <(measure "$runs" "$KILN" build --progress=plain "$T/stages")
            times+=("cached $s $m")
            for t in "${times[@]}"; do
                read -r what s m <<<"$t"
                s=$(calc "$s / $n")
                [ -n "$first" ] && aim=$(calc "1.5 * $(sed -n "s/^$what //p" <<<"$first")") || aim=
                one+="$what $s"$'\n'
                row "one stage of $n, $kind the one before, $what" kiln "$s" "$m" "$aim"
            done
            first=${first:-$one}
        done
    done
fi

if has run; then
    n=50
    mkdir -p "$T/run" "$T/root"
    blob=$(json "$KILN_IMAGES/busybox/index.json" 'd["manifests"][0]["digest"][7:]')
    blob=$(json "$KILN_IMAGES/busybox/blobs/sha256/$blob" 'd["layers"][0]["digest"][7:]')
    tar -xzf "$KILN_IMAGES/busybox/blobs/sha256/$blob" -C "$T/root"
    { echo "FROM busybox:1.35"; for i in $(seq $n); do echo 'RUN ["/bin/true"]'; done; } >"$T/run/Dockerfile"
    { echo "FROM busybox:1.35"; echo 'RUN ["/bin/true"]'; } >"$T/run/One"
    raws=$(for _ in $(seq "$runs"); do rm -rf "$T/bare"; mkdir "$T/bare"; "$O/bench/bare" "$T/root" "$T/bare" $n; done | sort -n | sed -n "$(((runs + 1) / 2))p")
    row "one RUN true (of $n)" raw "$(calc "$raws / $n")" "" ""
    kb "$T/run" >/dev/null
    read -r one _ < <(measure "$runs" "$KILN" build --no-cache --progress=plain -f "$T/run/One" "$T/run")
    read -r s m < <(measure "$runs" "$KILN" build --no-cache --progress=plain "$T/run")
    row "one RUN true (of $n)" kiln "$(calc "($s - $one) / ($n - 1)")" "$m" "$(calc "min(0.005, 3 * $raws / $n)")"
    if peer buildah; then
        read -r s m < <(measure 1 buildah bud --isolation=chroot --layers --no-cache -q -t bench/run "$T/run") &&
            row "one RUN true (of $n)" buildah "$(calc "$s / $n")" "$m" "" || echo "buildah: failed"
    fi
fi

if has copy; then
    n=$((50000 / scale))
    mkdir -p "$T/copy"
    python3 - "$T/copy" "$n" <<'EOF'
import os, random, sys
random.seed(1)
words = [bytes(random.choices(b"abcdefghijklmnopqrstuvwxyz", k=8)) for _ in range(4000)]
for i in range(int(sys.argv[2])):
    d = f"{sys.argv[1]}/files/{i % 100:02d}"
    os.makedirs(d, exist_ok=True)
    with open(f"{d}/{i}", "wb") as f:
        f.write(b" ".join(random.choices(words, k=456))[:4096])
EOF
    printf 'FROM busybox:1.35\nCOPY files /files\n' >"$T/copy/Dockerfile"
    printf 'FROM busybox:1.35\nCOPY files /files\nRUN ["/bin/true"]\n' >"$T/copy/Run"
    sleep 1.1
    read -r raw _ < <(measure $few sh -c "tar -C '$T/copy' -c files | zstd -q -T2 -3 -f -o '$T/copy.zst'")
    up=$(upload_time "$T/copy.zst")
    name="COPY of $n files of 4 kB, pushed"
    row "$name" raw "$(calc "$raw + $up")" "" ""
    # Each run in a store that knows the base alone.
    mkdir -p "$T/base"
    printf 'FROM busybox:1.35\n' >"$T/base/Dockerfile"
    for kind in "" ", then RUN"; do
        f=Dockerfile
        [ -z "$kind" ] || f=Run
        read -r s m < <(measure -p "$forget; '$KILN' rmi $r/bench/copy:1; '$KILN' prune -a; '$KILN' build --progress=quiet '$T/base'" $few \
            "$KILN" build --progress=plain --no-cache --push -t "$r/bench/copy:1" -f "$T/copy/$f" "$T/copy")
        row "$name$kind" kiln "$s" "$m" "$([ -n "$kind" ] || calc "1.5 * $raw + $up")"
    done
    if peer buildah; then
        printf '#!/bin/sh\nbuildah bud --isolation=chroot --layers --no-cache -q -t %s/bench/copyb:1 %s && buildah push -q --tls-verify=false --compression-format zstd %s/bench/copyb:1\n' \
            "$r" "$T/copy" "$r" >"$T/peer.sh"
        read -r s m < <(measure -p "$forget" 1 sh "$T/peer.sh") && row "$name" buildah "$s" "$m" "" || echo "buildah: failed"
    fi
    rm -rf "$T/copy" "$T/copy.zst"
fi

if has layer; then
    mb=$((500 / scale))
    mkdir -p "$T/layer/src"
    # Half of it compresses, as binaries do.
    python3 - "$T/layer/src" "$mb" <<'EOF'
import os, sys
for i in range(int(sys.argv[2]) // 10):
    with open(f"{sys.argv[1]}/{i}", "wb") as f:
        for _ in range(10):
            f.write(os.urandom(512 << 10))
            f.write(os.urandom(4096) * 128)
EOF
    read -r raw _ < <(measure $few sh -c "tar -C '$T/layer' -c src | zstd -q -T2 -3 -f -o '$T/layer.zst'")
    up=$(upload_time "$T/layer.zst")
    name="$mb MB layer: commit and push"
    row "$name" raw "$(calc "$raw + $up")" "" ""
    # From the moment the command is done (uptime, printed by it) to the end of the push.
    printf 'FROM busybox:1.35\nRUN --mount=type=bind,source=src,target=/src cp -r /src /big && echo done-at $(cut -d" " -f1 /proc/uptime)\n' >"$T/layer/Dockerfile"
    kb "$T/layer" >/dev/null
    printf '#!/bin/sh\n"%s" build --no-cache --progress=plain --push -t %s/bench/layer:1 %s >"%s" 2>&1 && cut -d" " -f1 /proc/uptime >"%s"\n' \
        "$KILN" "$r" "$T/layer" "$T/layer.log" "$T/layer.end" >"$T/layer.sh"
    times=
    for _ in $(seq $few); do
        sh -c "$forget"
        read -r _ m < <(measure 1 sh "$T/layer.sh")
        times+="$(calc "$(cat "$T/layer.end") - $(grep -oE 'done-at [0-9.]+$' "$T/layer.log" | tail -n 1 | cut -d' ' -f2)") "
    done
    s=$(tr ' ' '\n' <<<"$times" | sed '/^$/d' | sort -n | sed -n "$(((few + 1) / 2))p")
    row "$name" kiln "$s" "$m" "$(calc "1.3 * $raw + $up")"
    rm -rf "$T/layer" "$T/layer.zst"
fi

if has pull; then
    mb=$((250 / scale))
    for comp in gzip zstd; do
        rm -rf "$T/pull"
        mkdir -p "$T/pull"
        echo "FROM scratch" >"$T/pull/Dockerfile"
        for l in 1 2 3 4; do
            mkdir -p "$T/pull/l$l"
            python3 - "$T/pull/l$l" "$mb" <<'EOF'
import os, random, sys
# A few large files and many small ones, half of it compressible.
for i in range(int(sys.argv[2]) * 4 // 5):
    with open(f"{sys.argv[1]}/big{i}", "wb") as f:
        f.write(os.urandom(512 << 10) + os.urandom(4096) * 128)
for i in range(int(sys.argv[2]) * 20):
    d = f"{sys.argv[1]}/d{i % 50}"
    os.makedirs(d, exist_ok=True)
    with open(f"{d}/{i}", "wb") as f:
        f.write(os.urandom(5 << 10) + b"text " * 1024)
EOF
            echo "COPY l$l /l$l" >>"$T/pull/Dockerfile"
        done
        "$KILN" build --progress=quiet --compression=$comp --push -t "$r/bench/pull:$comp" "$T/pull" >/dev/null
        "$KILN" rmi "$r/bench/pull:$comp" >/dev/null
        "$KILN" prune -a >/dev/null
        rm -rf "$T/pull"
        # Raw, each part alone: all blobs downloaded; on both cores tar x of all layers and sha256 of blob and tar.
        skopeo inspect --raw --tls-verify=false "docker://$r/bench/pull:$comp" | json - '"\n".join(l["digest"] for l in d["layers"])' >"$T/blobs"
        mkdir -p "$T/raw"
        read -r down _ < <(measure $few python3 "$T/get.py" "$r" "$T/blobs" "$T/raw")
        cat >"$T/unpack.sh" <<EOF
d=\$1; z=\$2
openssl dgst -sha256 "$T/raw/\$d" >/dev/null
mkdir -p "$T/raw/x.\$d"; mkfifo "$T/raw/\$d.p"
openssl dgst -sha256 <"$T/raw/\$d.p" >/dev/null &
\$z -dc "$T/raw/\$d" | tee "$T/raw/\$d.p" | tar -x -C "$T/raw/x.\$d"
wait
EOF
        read -r unp _ < <(measure -p "rm -rf '$T'/raw/x.* '$T'/raw/*.p" $few sh -c "cut -c8- '$T/blobs' | xargs -P2 -I{} sh '$T/unpack.sh' {} $comp")
        raw=$(calc "max($down, $unp)")
        name="pull and unpack, $((mb * 4)) MB in 4 $comp layers"
        row "$name" raw "$raw" "" ""
        remove_tree "$T/raw"
        # Unpacking is asked for by a RUN; what that costs alone is below 10 ms.
        mkdir -p "$T/use"
        printf 'FROM %s/library/busybox:1.35 AS b\nFROM %s/bench/pull:%s\nCOPY --from=b /bin/busybox /bin/true\nRUN ["/bin/true"]\n' "$r" "$r" $comp >"$T/use/Dockerfile"
        read -r s m < <(measure -p "'$KILN' rmi '$r/bench/pull:$comp'; '$KILN' prune -a; sync" $few "$KILN" build --progress=plain "$T/use")
        row "$name" kiln "$s" "$m" "$(calc "1.2 * $raw")"
        "$KILN" prune -a >/dev/null
        if peer podman; then
            read -r s m < <(measure -p "podman rmi -f '$r/bench/pull:$comp'; true" 1 podman pull -q --tls-verify=false "$r/bench/pull:$comp") &&
                row "$name" podman "$s" "$m" "" || echo "podman: failed"
            podman rmi -f "$r/bench/pull:$comp" >/dev/null 2>&1 || true
        fi
    done
fi
registry_down

python3 - "$rows" "$O/bench.json" <<'EOF' | tee "$O/bench.txt"
import json, os, platform, sys
rows = [l.rstrip("\n").split("\t") for l in open(sys.argv[1])]
works = []
for name, who, seconds, peak, aim in rows:
    if not works or works[-1]["work"] != name:
        works.append({"work": name, "peers": {}})
    w = works[-1]
    if who == "raw":
        w["raw_seconds"] = float(seconds)
    elif who == "kiln":
        w["kiln_seconds"] = float(seconds)
        w["peak_kib"] = int(peak) if peak else None
        w["aim_seconds"] = float(aim) if aim else None
    else:
        w["peers"][who] = {"seconds": float(seconds), "peak_kib": int(peak)}
def text(v, unit=1.0, form="%.4f"):
    return "-" if v is None else form % (v / unit)
print(f"\n{os.cpu_count()} cores, Linux {platform.release()}, {'root' if os.getuid() == 0 else 'ordinary user'}\n")
print(f"{'work':<48} {'kiln s':>9} {'raw s':>9} {'ratio':>6} {'aim s':>9} {'':4} {'peak MiB':>8}  peers")
for w in works:
    k, raw, aim = w.get("kiln_seconds"), w.get("raw_seconds"), w.get("aim_seconds")
    if raw is None and k is not None:
        raw = next((x.get("raw_seconds") for x in works if w["work"].startswith(x["work"])), None)
    w["ratio"] = k / raw if k and raw else None
    met = "" if aim is None or k is None else "ok" if k <= aim else "MISS"
    peers = ", ".join(f"{n} {p['seconds']:.3f} s {p['peak_kib'] / 1024:.0f} MiB" for n, p in w["peers"].items())
    print(f"{w['work']:<48} {text(k):>9} {text(raw):>9} {text(w['ratio'], form='%.2f'):>6} {text(aim):>9} {met:4} {text(w.get('peak_kib'), 1024, '%.1f'):>8}  {peers}")
json.dump({"cores": os.cpu_count(), "kernel": platform.release(), "root": os.getuid() == 0, "rows": works}, open(sys.argv[2], "w"), indent=1)
EOF
