#!/bin/bash
# Options of a build that change what a step sees, or the image (spec/cli-flags.md 2-7, spec/dockerfile.md 14). Those of the key: 5117.
. "$(dirname "$0")/../lang.sh"
export http_proxy='' https_proxy='' NO_PROXY=127.0.0.1
# sees NAME WANT ARGS... - what a RUN of $T/o prints (its Dockerfile is made of $run), each in a build of its own
run=true
sees() {
    local name=$1 want=$2
    shift 2
    printf 'FROM busybox:1.35\nRUN %s\n' "$run" | dockerfile o
    kb o --no-cache "$@" || printf '%s\n' "$out" | tail -n 5 | sed 's/^/#   /'
    is "$(said)" "$want" "$name"
}
wrong() { # wrong NAME RE ARGS...: a mistake on the command line, found before anything is done
    status 125 "$1" "$KILN" build --progress=plain "${@:3}" "$T/o"
    like "$out" "$2" "... and says why"
}

# ---- 5: /etc/resolv.conf, hosts, hostname (spec/executor.md 6.6, 11.5)
run='cat /etc/resolv.conf'
host=$(cat /etc/resolv.conf)
sees "5 the host's resolver" "$host"
sees "5 --dns takes the place of the servers" "$(echo 'nameserver 10.9.8.7'; echo 'nameserver fe80::1'; grep -v ^nameserver <<<"$host")" --dns 10.9.8.7 --dns=fe80::1
sees "5 --dns-search and --dns-option of theirs" "$(grep -vE '^(search|domain|options)' <<<"$host"; echo 'search a.example b.example'; echo 'options ndots:3 rotate')" \
    --dns-search a.example --dns-search b.example --dns-option ndots:3 --dns-option rotate
sees "5 --dns-search=. is none" "$(grep -vE '^(search|domain)' <<<"$host")" --dns-search=.
run='cat /etc/resolv.conf 2>/dev/null; echo mine > /etc/resolv.conf; cat /etc/resolv.conf' sees "5 --dns=none: the image's own file" mine --dns=none 2>/dev/null
run='cat /etc/hosts 2>/dev/null; echo own > /etc/hosts; cat /etc/hosts'
sees "5 --no-hosts: the image's own file" own --no-hosts
printf 'FROM busybox:1.35\nRUN echo own > /etc/hosts\n' | dockerfile o
made "5 --no-hosts" o --no-hosts
is "$(file o etc/hosts)" own "5 what is written there stays in the image"
printf 'FROM busybox:1.35\nRUN echo i > /etc/hostname\nRUN cat /etc/hostname; hostname\n' | dockerfile o
kb o --hostname given
is "$(said | paste -sd' ')" "given given" "5 --hostname, in the file too"
kb o --hostname given --no-hostname
is "$(said | paste -sd' ')" "i given" "5 --no-hostname: the image's own file"
wrong "5 a bad name server" "no IP address" --dns nope
wrong "5 --dns without a network" "need a network" --dns 1.2.3.4 --network none
wrong "5 two words" "not one word" --dns-search "a b"

# ---- 5: who the step is
run='grep -E "^Cap(Bnd|Eff)" /proc/self/status'
sees "5 the usual capabilities" $'CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb'
sees "5 --cap-drop" $'CapEff:\t00000000a80405db\nCapBnd:\t00000000a80405db' --cap-drop net_raw,CAP_KILL
sees "5 --cap-drop=all --cap-add" $'CapEff:\t0000000000000021\nCapBnd:\t0000000000000021' --cap-drop ALL --cap-add=chown --cap-add=KILL
printf 'FROM busybox:1.35\nRUN mkdir /m && mount -t tmpfs none /m && echo mounted\n' | dockerfile o
nok "5 a mount needs a capability" kb o
built "5 --cap-add: the filter opens what it permits" o --cap-add sys_admin
is "$(said)" mounted "5 --cap-add"
wrong "5 an unknown capability" "did you mean CAP_NET_ADMIN" --cap-add NET_ADMN
wrong "5 both" "in --cap-add and in --cap-drop" --cap-add KILL --cap-drop KILL
run='id -G'
sees "5 --group-add by name and number" '0 20 33 1234' --group-add 20 --group-add www-data --group-add 1234
printf 'FROM busybox:1.35\nRUN id -G\n' | dockerfile o
nok "5 --group-add: a group that is not there" kb o --group-add nobodys
like "$out" "unable to find group nobodys" "... is named"
kb o --group-add keep-groups
like "$out" "warning: --group-add=keep-groups has no effect" "5 --group-add=keep-groups"

# ---- 5: proxies (spec/executor.md 11.6)
run='env | grep -i proxy | sort'
export http_proxy=http://p:1
sees "5 proxies of the environment" $'HTTP_PROXY=http://p:1\nNO_PROXY=127.0.0.1\nhttp_proxy=http://p:1\nno_proxy=127.0.0.1'
sees "5 a build argument wins" $'HTTP_PROXY=http://q\nNO_PROXY=127.0.0.1\nhttp_proxy=http://q\nno_proxy=127.0.0.1' --build-arg HTTP_PROXY=http://q
printf 'FROM busybox:1.35\nARG http_proxy\nRUN env | grep -i proxy; true\n' | dockerfile o
kb o --no-cache --http-proxy=false
is "$(said)" "" "5 --http-proxy=false"
made "5 a proxy" o
is "$(raw o | grep -c p:1)" 0 "5 a proxy of the environment is nowhere in the image"
export http_proxy=''

# ---- 5: volumes, mounts, standard input
mkdir -p "$T/vol/sub"
echo data >"$T/vol/f"
run='cat /v/f; touch /v/no 2>/dev/null || echo read-only; ls /'
printf 'FROM busybox:1.35\nRUN cat /v/f; touch /v/new; touch /v/sub/new\n' | dockerfile o
made "5 --volume" o -v "$T/vol:/v"
is "$(said)" data "5 --volume: its files are there"
ok "5 --volume: what is written is written there" test -e "$T/vol/new" -a -e "$T/vol/sub/new"
is "$(tree o | grep -cE '^v[ /]')" 0 "5 --volume: nothing of it is in the image"
run='cat /v/f; touch /v/x 2>/dev/null || echo no; cat /w; cat /v/sub/f'
echo w >"$T/vol/sub/f"
mkdir -p "$T/other"
echo other >"$T/other/f"
sees "5 --volume: read-only, a file, one above the other" $'data\nno\ndata\nother' -v "$T/vol:/v:ro,z" --volume "$T/vol/f:/w" -v "$T/other:/v/sub"
(cd "$T" && sees "5 --volume: relative to here" $'data\nno\ndata\nw' -v "./vol:/v:ro" -v vol/f:/w) | tee "$T/sub.tap"
grep -q '^not ok' "$T/sub.tap" && tap_bad=$((tap_bad + 1))
tap_n=$((tap_n + $(grep -cE '^(not )?ok' "$T/sub.tap")))
status 3 "5 --volume: a place that is not there" "$KILN" build "$T/o" -v /nonexistent/kiln:/v
wrong "5 --volume: one of ours" "belongs to the step" -v /tmp:/proc/x
wrong "5 --volume: copies" "no option 'O'" -v /tmp:/v:O
wrong "5 --volume: no target" "not of the form" -v /tmp
run='cat /m/Dockerfile | wc -l; grep -o "/t tmpfs" /proc/mounts'
sees "5 --mount of every RUN" $'2\n/t tmpfs' --mount type=bind,target=/m --mount type=tmpfs,target=/t
printf 'FROM busybox:1.35\nRUN ls /o/bin/sh\nRUN --mount=type=tmpfs,target=/o ls /o\n' | dockerfile o
kb o --no-cache --mount type=bind,from=busybox:1.35,target=/o
is "$(said)" /o/bin/sh "5 --mount: of an image; a RUN's own wins"
wrong "5 --mount: a mistake" "--mount is 'type=nope'" --mount type=nope
printf 'FROM busybox:1.35\nRUN cat; echo end\n' | dockerfile o
out=$(echo from-outside | "$KILN" build --progress=plain --no-cache "$T/o" 2>&1)
is "$(said)" end "5 a step reads nothing"
out=$(echo from-outside | "$KILN" build --progress=plain --no-cache --stdin "$T/o" 2>&1)
is "$(said | paste -sd' ')" "from-outside end" "5 --stdin"
wrong "5 --stdin, which is the context" "standard input" --stdin -f -
# ---- 2, 3: what the image is besides its files
dockerfile base <<'EOT'
FROM busybox:1.35
LABEL keep=1 drop=2
ENV INHERITED=yes OVER=base
EOT
kb base -t "127.0.0.1:$port/base:1" --annotation a.one=1 --annotation a.two=2 --push >/dev/null || diag "$out"
printf 'ARG BASE\nFROM $BASE AS first\nENV OVER=file\nLABEL own=3 drop=file\nRUN echo "$GIVEN $OVER $TAKEN"\nFROM first\nLABEL more=4\n' | dockerfile i
base=127.0.0.1:$port/base:1
inner() { raw i | json - "d['config'].get('$1')"; }
TAKEN=environment made "2 --from, --env" i --from "$base" --env GIVEN=1 --env OVER=option --env TAKEN --env NOWHERE --unsetenv INHERITED
is "$(said)" "1 file environment" "2 --env: before what the file says"
is "$(inner Env | json - 'sorted(x for x in d if not x.startswith("PATH"))')" '["GIVEN=1", "OVER=file", "TAKEN=environment"]' "2 --env is kept, --unsetenv is not" || inner Env
is "$(inner Labels)" '{"drop": "file", "keep": "1", "more": "4", "own": "3"}' "3 labels of the base"
kb i --from "$base" --env GIVEN=1 --env OVER=option --env TAKEN=environment >/dev/null
is "$(grep -c ' cached$' <<<"$out")" 1 "2 --unsetenv runs nothing again" || diag "$out"
kb i --from "$base" --env GIVEN=2 >/dev/null
is "$(grep -c ' cached$' <<<"$out")" 0 "2 --env is in the key"
made "3 --unsetlabel" i --from "$base" --unsetlabel keep --unsetlabel drop --label own=option
is "$(inner Labels)" '{"more": "4", "own": "option"}' "3 --unsetlabel: nothing of that name is taken over; --label comes last"
made "3 --inherit-labels" i --from "$base" --inherit-labels=false --identity-label
is "$(inner Labels | json - '[sorted(d), len(d["io.kiln.version"]) > 2]')" '[["io.kiln.version", "more"], true]' "3 --inherit-labels=false: not even of the stage before; --identity-label"
made "3 --omit-history" i --from "$base" --omit-history --os-version 10.0.1 --os-feature win32k --os-feature more
is "$(raw i | json - '["history" in d, d["os.version"], d["os.features"], len(d["rootfs"]["diff_ids"])]')" '[false, "10.0.1", ["win32k", "more"], 2]' "3, 6 --omit-history, --os-version, --os-feature"
wrong "2 --env without a name" "the name is missing" --env =x

# ---- 3: manifests
manifest() { skopeo inspect --raw "oci-archive:$T/i.oci"; }
made "3 --annotation" i --from "$base" --annotation a.two=own
is "$(manifest | json - 'd["annotations"]')" '{"a.two": "own"}' "3 annotations of the base stay with it, as BuildKit has it"
made "3 --inherit-annotations" i --pull --from "$base" --inherit-annotations --annotation a.two=own --annotation manifest:a.three=3
is "$(manifest | json - 'd["annotations"]')" '{"a.one": "1", "a.three": "3", "a.two": "own"}' "3 --inherit-annotations: with them"
made "3 --unsetannotation" i --pull --from "$base" --inherit-annotations --unsetannotation a.one --created-annotation --build-arg SOURCE_DATE_EPOCH=0
is "$(manifest | json - 'd["annotations"]')" '{"a.two": "2", "org.opencontainers.image.created": "1970-01-01T00:00:00Z"}' "3 --unsetannotation, --created-annotation"
kb i --from busybox:1.35 --created-annotation
like "$out" "warning: --created-annotation has no effect: a manifest" "3 the store has no manifest"
wrong "3 index: annotations" "without an index" --annotation index:a=b
wrong "3 a digest of nothing" "the store keeps no manifest" --digest-file "$T/digest"
kb i --from busybox:1.35 -t "127.0.0.1:$port/d/i:v1" -t "127.0.0.1:$port/d/j" --push --digest-file "$T/digest" --image-name-with-digest-file "$T/names" \
    --image-name-tag-with-digest-file "$T/tags" --iidfile "$T/iid" --iidfile-raw "$T/raw"
d=$(skopeo inspect --raw --tls-verify=false "docker://127.0.0.1:$port/d/i:v1" | sha256sum | cut -d' ' -f1)
is "$(cat "$T/digest")" "sha256:$d" "3 --digest-file"
is "$(cat "$T/names")" "127.0.0.1:$port/d/i@sha256:$d"$'\n'"127.0.0.1:$port/d/j@sha256:$d" "3 --image-name-with-digest-file"
is "$(cat "$T/tags")" "127.0.0.1:$port/d/i:v1@sha256:$d"$'\n'"127.0.0.1:$port/d/j:latest@sha256:$d" "3 --image-name-tag-with-digest-file"
is "$(cat "$T/iid")" "sha256:$(cat "$T/raw")" "3 --iidfile, --iidfile-raw"
types() { skopeo inspect --raw --tls-verify=false "docker://127.0.0.1:$port/d/i:v1" | json - '[d["mediaType"], d["config"]["mediaType"], sorted({l["mediaType"] for l in d["layers"]})]'; }
kb i --from busybox:1.35 -t "127.0.0.1:$port/d/i:v1" --push --format docker >/dev/null
is "$(types)" '["application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.container.image.v1+json", ["application/vnd.docker.image.rootfs.diff.tar.gzip"]]' "3 --format=docker"
kb i --from busybox:1.35 -t "127.0.0.1:$port/d/i:v1" --push --format oci --disable-compression --force-compression || diag "$out"
is "$(types)" '["application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json", ["application/vnd.oci.image.layer.v1.tar"]]' "3, 4 --format=oci, --disable-compression, --force-compression"
wrong "3 --format=docker cannot hold zstd" "cannot hold layers compressed with zstd" --format docker --compression zstd --push -t x
registry_down
done_testing
