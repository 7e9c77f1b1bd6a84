#!/bin/bash
# Several platforms in one build, up to the images: plans, arguments, titles, findings, errors (spec/dockerfile.md 4.4, 4.6, 5.2-5.5, 14, 15.1,
# 17.6, 18.6). What is made of the images is 6020-index.t.
. "$(dirname "$0")/../lang.sh"
host=linux/$(dpkg --print-architecture)
case $host in linux/arm64) other=linux/amd64 ;; *) other=linux/arm64 ;; esac
both=$host,$other

# library/two:1 - busybox for both; each says in FROMARCH which one it is. The programs are this machine's.
cp -r "$KILN_IMAGES/busybox" "$T/two"
python3 - "$T/two" "${host#*/}" "${other#*/}" <<'EOT'
import hashlib, json, sys
dir, *archs = sys.argv[1:]
def get(d): return json.load(open(f"{dir}/blobs/sha256/{d['digest'][7:]}"))
def put(doc, **more):
    raw = json.dumps(doc).encode()
    d = hashlib.sha256(raw).hexdigest()
    open(f"{dir}/blobs/sha256/{d}", "wb").write(raw)
    return {"digest": "sha256:" + d, "size": len(raw), **more}
m = get(json.load(open(f"{dir}/index.json"))["manifests"][0])
mt, conf, entries = m.get("mediaType", "application/vnd.oci.image.manifest.v1+json"), get(m["config"]), []
for arch in archs:
    conf["architecture"] = arch
    conf["config"]["Env"] = ["PATH=/bin", "FROMARCH=" + arch]
    m["config"].update(put(conf))
    entries.append(put(m, mediaType=mt, platform={"os": "linux", "architecture": arch}))
mt = "application/vnd.oci.image.index.v1+json"
top = put({"schemaVersion": 2, "mediaType": mt, "manifests": entries}, mediaType=mt, annotations={"org.opencontainers.image.ref.name": "1"})
json.dump({"schemaVersion": 2, "manifests": [top]}, open(f"{dir}/index.json", "w"))
EOT
ok "an index in the registry" skopeo_copy --all "oci:$T/two:1" "docker://127.0.0.1:$port/library/two:1"

# many NAME DIR ARGS... - built for both, going nowhere
many() {
    local name=$1 dir=$2
    shift 2
    built "$name" "$dir" --platform "$both" -o type=cacheonly "$@"
}
ran() { grep -cE '^#[0-9]+ (first build|run again|the cache is off)' <<<"$out"; }

# ---- the request
dockerfile plain <<<$'FROM scratch\nARG TARGETARCH\nCOPY <<E /arch\n$TARGETARCH\nE'
many "14 several platforms by commas" plain
is "$(grep -oE '^#[0-9]+ \[[^]]*\]' <<<"$out" | sed 's/#[0-9]* //' | sort -u)" "$(printf '[%s 1/1]\n' $host $other | sort)" "18.6 each in the titles of its steps"
built "14 repeated" plain --platform "$other" --platform "$host" -o type=cacheonly
is "$(grep -cE "^#[0-9]+ cached" <<<"$out")" 2 "14 the same ones"
DOCKER_DEFAULT_PLATFORM=$both built "10 DOCKER_DEFAULT_PLATFORM may be a list" plain -o type=cacheonly
like "$out" "\[$other 1/1\]" "10 and is used"
DOCKER_DEFAULT_PLATFORM=$both built "10 --platform comes before it" plain --platform "$host" -o type=cacheonly
unlike "$out" "\[$host 1/1\]" "18.6 one platform is not in the titles"
like "$out" '\[1/1\] COPY' "18.6 which are as ever"
refused "oci 4.5 rule 4: a platform twice" "platform linux/arm64 is asked for twice" --platform linux/arm64,linux/amd64,aarch64 <<<'FROM scratch'
DOCKER_DEFAULT_PLATFORM=arm64,linux/arm64/v8 refused "also in the environment" "DOCKER_DEFAULT_PLATFORM" <<<'FROM scratch'
refused "14 one of them is none" "failed to parse target platform 'a/b/c/d'" --platform "$host,a/b/c/d" <<<'FROM scratch'
refused "--platform and --arch" "cannot" --platform "$host" --arch arm64 <<<'FROM scratch'
refused "4.6 BUILDKIT_MULTI_PLATFORM=0 with several" "conflicting config" --platform "$both" --build-arg BUILDKIT_MULTI_PLATFORM=0 <<<'FROM scratch'
like "$out" 'try: leave it out' "4.6 and what to do"
many "4.6 BUILDKIT_MULTI_PLATFORM=1 with several" plain --build-arg BUILDKIT_MULTI_PLATFORM=true
ok "4.6 with one it gives an index" "$KILN" build -q --platform "$host" --build-arg BUILDKIT_MULTI_PLATFORM=1 -o "type=oci,dest=$T/one,tar=false" "$T/plain"
one=$(json "$T/one/index.json" 'd["manifests"][0]["digest"]')
is "$(json "$T/one/blobs/sha256/${one#*:}" '[m["platform"] for m in d["manifests"]]')" "[{\"architecture\": \"${host#*/}\", \"os\": \"linux\"}]" "4.6 of one image"

# ---- arguments, bases, what is shared
dockerfile cross <<'EOT'
FROM --platform=$BUILDPLATFORM two:1 AS build
ARG TARGETARCH
RUN echo "ran for $TARGETARCH on $FROMARCH" | tee /out
FROM --platform=$BUILDPLATFORM two:1 AS shared
RUN echo "ran shared on $FROMARCH" | tee /out
FROM two:1 AS unused
FROM two:1
ARG TARGETPLATFORM BUILDPLATFORM TARGETOS TARGETVARIANT
COPY --from=build /out /out
COPY --from=shared /out /shared
LABEL of="$TARGETPLATFORM,$BUILDPLATFORM,$TARGETOS,$TARGETVARIANT,$FROMARCH"
EOT
many "4.4, 5.5 a cross build" cross --build-arg UNUSED=1
is "$(said | sort)" "$(printf 'ran for %s on %s\n' "${host#*/}" "${host#*/}" "${other#*/}" "${host#*/}"; echo "ran shared on ${host#*/}")" \
    "17.6 what does not depend on the platform runs once"
is "$(grep -E '^#[0-9]+ pull ' <<<"$out" | sed 's/#[0-9]* //' | sort)" "$(printf 'pull two:1\npull two:1 for %s' "$other")" "4.4 one pull for each image and platform"
like "$out" "\[$host build 2/2\] RUN" "18.6 what runs for its own platform"
like "$out" "\[$host->${other#*/} build 2/2\] RUN" "18.6 what is compiled for another one"
unlike "$out" "\[$host->${other#*/} shared" "18.6 only where it can know"
like "$out" "\[$other stage-3 2/3\] COPY" "18.6 what is that platform's"
is "$(grep -c "stage 'unused' is skipped" <<<"$out") $(grep -c "'UNUSED' is not used" <<<"$out")" "1 1" "15.1 notes are told once"
labels=$(for p in $host $other; do
    "$KILN" build -q --platform "$p" -o "type=oci,dest=$T/l.oci" "$T/cross" >/dev/null && skopeo inspect --config "oci-archive:$T/l.oci" | json - 'd["config"]["Labels"]["of"]'
done)
is "$labels" "$(printf "%s,$host,linux,,%s\n" "$host" "${host#*/}" "$other" "${other#*/}")" "4.4 the arguments of each are what they are of one"
dockerfile arm <<<$'FROM scratch\nARG TARGETPLATFORM\nARG TARGETVARIANT\nCOPY <<E /p\n$TARGETPLATFORM $TARGETVARIANT\nE'
built "4.4 variants" arm --platform linux/arm/v6,linux/arm -o type=cacheonly
like "$out" '\[linux/arm/v7 1/1\] COPY' "E a platform as it is normalised"
dockerfile pick <<'EOT'
FROM scratch AS base-amd64
COPY <<E /amd64
E
FROM scratch AS base-arm64
COPY <<E /arm64
E
FROM base-${TARGETARCH}
EOT
many "4.4 a stage by the target's processor" pick
like "$out" "\[linux/amd64 base-amd64 1/1\]" "5.8 each needs its own"
like "$out" "\[linux/arm64 base-arm64 1/1\]" "5.8 of them"
unlike "$out" 'is skipped' "5.8 neither is skipped"
built "5.8 for one" pick --platform linux/amd64 -o type=cacheonly
like "$out" "'base-arm64' is skipped" "5.8 the other one is"
# Each waits until the other is there: only possible side by side. What both need runs once, also without the cache.
dockerfile beside <<'EOT'
FROM --platform=$BUILDPLATFORM busybox:1.35 AS shared
RUN echo "ran shared"
FROM --platform=$BUILDPLATFORM shared
ARG TARGETARCH
RUN --mount=type=cache,target=/m,id=beside touch /m/$TARGETARCH; n=0; while [ "$(ls /m | wc -l)" -lt 2 ]; do n=$((n+1)); [ $n -lt 300 ] || exit 9; sleep 0.1; done
EOT
many "17.6 platforms are built side by side" beside -j 2 --no-cache -o type=cacheonly
is "$(said)" "ran shared" "17.6 what is the same for both runs once with --no-cache"
dockerfile onefails <<<$'FROM --platform=$BUILDPLATFORM busybox:1.35\nARG TARGETARCH\nRUN [ $TARGETARCH = '"${host#*/}"' ] || exit 4'
out=$("$KILN" build --progress=plain --platform "$host,$other" "$T/onefails" 2>&1)
like "$out" "error: Dockerfile:3:1: RUN .* \(for $other\)" "17.6 which platform it is that fails"
dockerfile copied <<<$'FROM scratch\nCOPY Dockerfile /d'
many "17.6 a COPY into scratch" copied
is "$(ran)" 1 "17.6 is done once"
# Named contexts for each (5.2).
mkdir -p "$T/ctx/a" "$T/ctx/b"
echo any >"$T/ctx/a/f"
echo other >"$T/ctx/b/f"
dockerfile named <<<$'FROM --platform=$BUILDPLATFORM busybox:1.35\nARG TARGETARCH\nRUN --mount=from=files,target=/m echo "ran $TARGETARCH $(cat /m/f)"'
many "5.2 NAME::PLATFORM" named --build-context files="$T/ctx/a" --build-context "files::$other=$T/ctx/b"
is "$(said | sort)" "$(printf 'ran %s %s\n' "${host#*/}" any "${other#*/}" other | sort)" "5.2 is that platform's"

many "14 --no-cache" cross --no-cache
is "$(said | grep -c 'ran shared')" 1 "17.6 still once for what is shared"
# What the command line adds to every RUN is there once.
built "a cross build with --mount" cross --platform "$both" -o type=cacheonly --mount=type=tmpfs,target=/t
built "of the second platform alone" cross --platform "$other" -o type=cacheonly --mount=type=tmpfs,target=/t
is "$(ran)" 0 "has the same steps"
built "2 --dry-run of several" cross --dry-run --platform "$both"
is "$(grep -cE "^#[0-9]+ \[($host|$host->${other#*/}|$other) " <<<"$out")" 8 "2 lists the steps of each"
built "squash" cross --squash --platform "$both" -o type=cacheonly
like "$out" "squash 2 layers for $other" "18.6 tells the platform"

# ---- --all-platforms
built "cli-flags 6 --all-platforms" cross --all-platforms -o type=cacheonly
like "$out" "\[$other stage-3 2/3\]" "6 those of the index that the target is built on"
dockerfile of <<<$'FROM base\nCOPY Dockerfile /d'
built "6 by a named context" of --all-platforms --build-context base=docker-image://two:1 -o type=cacheonly
is "$(grep -c '\] COPY' <<<"$out")" 2 "6 of what it stands for"
dockerfile single <<<$'FROM busybox:1.35 AS one\nFROM one\nCOPY Dockerfile /d'
built "6 of an image without an index" single --all-platforms -o type=cacheonly
is "$(grep -c '\] COPY' <<<"$out")" 1 "6 there is one"
refused "6 of scratch" "built on no image of a registry" --all-platforms <<<'FROM scratch'
refused "6 of a directory" "built on no image of a registry" --all-platforms --build-context "base=$T/of" <<<'FROM base'
refused "6 with --platform" "both asked for" --all-platforms --platform "$host" <<<'FROM two:1'
refused "6 without an index" "conflicting config" --all-platforms --build-arg BUILDKIT_MULTI_PLATFORM=0 <<<'FROM two:1'
refused "6 an image that is not there" "for which platforms there is 'none:1'" --all-platforms <<<'FROM none:1'
refused "6 --pull=never" "is not in the store, and --pull=never" --all-platforms --pull=never <<<'FROM nowhere:1'

# ---- --manifest: an index of the store that grows (oci 4.5 rule 5)
entries() { # entries NAME - "architecture digest" of each
    "$KILN" save --format=oci-archive -o "$T/entries.oci" "$1" >/dev/null 2>&1 && rm -rf "$T/entries" && mkdir "$T/entries" &&
        tar -xf "$T/entries.oci" -C "$T/entries" && top=$(json "$T/entries/index.json" 'd["manifests"][0]["digest"]') &&
        json "$T/entries/blobs/sha256/${top#*:}" '"\n".join(m["platform"]["architecture"] + " " + m["digest"] for m in d["manifests"])'
}
built "cli-flags 3 --manifest" plain --platform linux/amd64 --manifest x/grows:1 --annotation kept=yes --iidfile "$T/iid"
one=$(entries x/grows:1)
like "$one" '^amd64 sha256:[0-9a-f]*$' "3 makes the index"
unlike "$("$KILN" images)" "$(cut -c8-19 "$T/iid")" "3 and names nothing else"
built "3 a further platform" plain --arch arm64 --manifest x/grows:1 -t x/beside:1
is "$(entries x/grows:1 | head -n 1)" "$one" "4.5 rule 5: what was there stays as it is, annotations too"
like "$(entries x/grows:1 | tail -n 1)" '^arm64 ' "4.5 rule 5: the new one is added"
ok "3 --tag is beside it" "$KILN" inspect x/beside:1
dockerfile plain2 <<<$'FROM scratch\nCOPY Dockerfile /other'
built "3 several, one of them again" plain2 --platform linux/amd64,linux/s390x --manifest x/grows:1 --annotation index:a=b
is "$(entries x/grows:1 | cut -d' ' -f1 | tr '\n' ' ')" "amd64 arm64 s390x " "4.5 rule 5: in the place of the same platform"
unlike "$(entries x/grows:1)" "$one" "4.5 rule 5: it is another one"
built "3 and once more" plain --platform linux/ppc64le --manifest x/grows:1
entries x/grows:1 >/dev/null
is "$(json "$T/entries/blobs/sha256/${top#*:}" 'd["annotations"]')" '{"a": "b"}' "4.5 rule 5: annotations of the index stay"
built "3 an image becomes an index" plain --platform linux/amd64 -t x/was:1
built "3 of that and another" plain --platform linux/arm64 --manifest x/was:1
is "$(entries x/was:1 | cut -d' ' -f1 | tr '\n' ' ')" "amd64 arm64 " "3 both are in it"
refused "3 a name that is none" "cannot be the name of an image" --manifest 'A:b:c' <<<'FROM scratch'

# ---- findings and errors
dockerfile lint <<'EOT'
FROM --platform=$TARGETPLATFORM scratch as Upper
ARG TARGETARCH
COPY nothing-$TARGETARCH* /
ENV A=$UNKNOWN
EOT
echo x >"$T/lint/nothing-${host#*/}"
many "15.1 findings" lint
for rule in StageNameCasing FromAsCasing RedundantTargetPlatform UndefinedVar; do
    is "$(grep -c "warning: $rule" <<<"$out")" 1 "15.1 $rule is told once"
done
nok "15.1 error=true" kb lint --platform "$both" --build-arg BUILDKIT_DOCKERFILE_CHECK=error=true
is "$(ran)" 0 "15.1 before anything runs"
# A finding of another platform counts, and which one it was is said.
refused "15.1 of another platform" "cannot build for linux/arm64" --platform linux/amd64,linux/arm64 --build-arg BUILDKIT_DOCKERFILE_CHECK=error=true <<'EOT'
FROM scratch AS base-amd64
FROM scratch AS base-arm64
ENV A=$UNKNOWN
FROM base-${TARGETARCH}
EOT
unlike "$out" 'warning: UndefinedVar' "15.1 but is not reported"
refused "an error of another platform names it" "cannot build for linux/arm64" --platform linux/amd64,linux/arm64 <<'EOT'
FROM scratch AS base-amd64
FROM scratch AS base-arm64
COPY ${NONE:?gone} /
FROM base-${TARGETARCH}
EOT
like "$out" 'NONE: gone' "and says what it is"
mkdir -p "$T/bad"
echo x >"$T/bad/only-${host#*/}"
refused "a step's error names its platform" "COPY .* \(for $other\)" --platform "$both" <<<$'FROM scratch\nARG TARGETARCH\nCOPY only-$TARGETARCH /'
refused "what the base has not got" "cannot build for linux/s390x" --platform "$host,linux/s390x" <<<'FROM two:1'
like "$out" "no image for the platform linux/s390x; available: $host, $other" "is said with what it has"

# ---- a program of another machine: of none that there is, so that no emulator of this one runs it
mkdir -p "$T/foreign"
python3 -c 'import sys
open(sys.argv[1], "wb").write(b"\x7fELF\x02\x01\x01" + bytes(9) + bytes([2, 0, 0xee, 0xee, 1, 0, 0, 0]) + bytes(96))' "$T/foreign/sh"
printf '#!/bin/sh\ntrue\n' >"$T/foreign/script"
chmod 755 "$T/foreign/sh" "$T/foreign/script"
dockerfile foreign <<<$'FROM scratch\nCOPY sh /bin/sh\nRUN true'
status 1 "executor 13: RUN of another machine" "$KILN" build --progress=plain --platform "$other" -o type=cacheonly "$T/foreign"
like "$out" "the stage is for $other and this machine is $host: .*BUILDPLATFORM.*qemu-user-static" "executor 13: what, why and what to do"
printf 'FROM scratch\nCOPY sh /bin/sh\nCOPY script /\nRUN ["/script"]\n' >"$T/foreign/Dockerfile"
status 1 "executor 13: RUN of a script for one" "$KILN" build --progress=plain --platform "$other" -o type=cacheonly "$T/foreign"
like "$out" "'/bin/sh' is a program for another architecture" "executor 13: it is the interpreter"

# ---- questions about the file: the first platform's
status 0 "16.1 --check of several" "$KILN" build --call=check,ignorestatus=true --platform "$both" "$T/lint"
is "$(grep -c 'WARNING: UndefinedVar' <<<"$out")" 1 "16.1 finds once"
is "$("$KILN" build --call=outline,format=json --platform "$both" "$T/cross" 2>/dev/null | json - 'd["name"]' 2>/dev/null; echo $?)" \
    "$("$KILN" build --call=outline,format=json "$T/cross" 2>/dev/null | json - 'd["name"]' 2>/dev/null; echo $?)" "16.2 --call=outline of several"
is "$("$KILN" build --call=targets --platform "$both" "$T/cross")" "$("$KILN" build --call=targets "$T/cross")" "16.3 --call=targets of several"
done_testing
