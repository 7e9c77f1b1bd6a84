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
# ---- 3, 4, 6: times, the age of results
dockerfile t <<'EOT'
FROM busybox:1.35
RUN touch -d @1000 /early && touch -d @2000000000 /late
COPY f /copied
WORKDIR /made
EOT
touch -d @5000 "$T/t/f"
made "6 --timestamp" t --timestamp 1500000000
is "$(raw t | json - '[d["created"], sorted({h["created"] for h in d["history"][-3:]})]')" '["2017-07-14T02:40:00Z", ["2017-07-14T02:40:00Z"]]' "6 --timestamp: the time of the image"
kb t --timestamp 1500000000 -o "type=oci,dest=$T/t1,tar=false" >/dev/null
times() { # of all that layers 1.. of the layout hold
    skopeo inspect --raw "oci:$1" | json - '" ".join(l["digest"][7:] for l in d["layers"][1:])' | tr ' ' '\n' | while read -r b; do
        zstd -dcq "$1/blobs/sha256/$b" | tar --full-time --utc -tvf - | awk '{ print $4, $5 }'
    done | sort | uniq -c | sed 's/^ *//'
}
is "$(times "$T/t1")" "4 2017-07-14 02:40:00" "6 --timestamp: that of every file in a new layer, earlier ones too"
kb t --build-arg SOURCE_DATE_EPOCH=1500000000 --rewrite-timestamp -o "type=oci,dest=$T/t2,tar=false" >/dev/null
is "$(times "$T/t2")" $'1 1970-01-01 00:16:40\n1 1970-01-01 01:23:20\n2 2017-07-14 02:40:00' "6 --rewrite-timestamp: later ones only; another key"
made "6 --reproducible" t --reproducible --build-arg SOURCE_DATE_EPOCH=5
is "$(raw t | json - 'd["created"]')" 1970-01-01T00:00:00Z "6 --reproducible, whatever else says"
wrong "6 --timestamp is a number" "no number of seconds" --timestamp yesterday
wrong "6 two times" "both say the time" --timestamp 1 --source-date-epoch 2
printf 'FROM busybox:1.35\nRUN echo old > /f\nCOPY f /g\n' | dockerfile ttl
echo 1 >"$T/ttl/f"
kb ttl
kb ttl --cache-ttl 1h
is "$(grep -c ' cached$' <<<"$out")" 2 "4 --cache-ttl: young results count"
kb ttl --cache-ttl 0
is "$(grep -c ' cached$' <<<"$out")" 0 "4 --cache-ttl=0: none does"
sleep 2
kb ttl --cache-ttl 1s
is "$(grep -c ' cached$' <<<"$out") $(grep -c 'older than --cache-ttl' <<<"$out")" "0 2" "4 --cache-ttl: old ones do not, and that is why" || diag "$out"
kb ttl --cache-ttl 1h
is "$(grep -c ' cached$' <<<"$out")" 2 "4 what was made again is young"

# ---- 2: contexts
mkdir -p "$T/whole/part/in"
printf 'FROM scratch\nCOPY f in /\n' >"$T/whole/part/Dockerfile"
echo part >"$T/whole/part/f"
echo in >"$T/whole/part/in/g"
printf 'in/g\n' >"$T/whole/part/.dockerignore"
out=$("$KILN" build --progress=plain --context "dir://$T/whole" --context-sub-path part -o "type=tar,dest=$T/sub.tar" 2>&1)
is "$(tar -tf "$T/sub.tar" | sort | paste -sd' ')" "f" "2 --context, --context-sub-path: files, Dockerfile and ignore file are those of the directory" || diag "$out"
tar -C "$T/whole" -cf "$T/whole.tar" .
out=$("$KILN" build --progress=plain --context tar://stdin --context-sub-path=part -o "type=tar,dest=$T/sub.tar" <"$T/whole.tar" 2>&1)
is "$(tar -tf "$T/sub.tar" | sort | paste -sd' ')" "f g" "2 --context=tar://stdin" || diag "$out"
status 3 "2 a directory that is not there" "$KILN" build --context-sub-path nowhere "$T/whole"
like "$out" "cannot open 'nowhere' of the build context" "... is named"
echo other >"$T/other-ignore"
printf 'FROM scratch\nCOPY . /\n' | dockerfile ign
touch "$T/ign/a" "$T/ign/b"
echo b >"$T/ign/.dockerignore"
printf 'a\nDockerfile\n.dockerignore\n' >"$T/other-ignore"
made "2 --ignorefile" ign --ignorefile "$T/other-ignore"
is "$(tree ign | grep -oE '^[a-z.A-Z]+')" b "2 --ignorefile: instead of .dockerignore" || tree ign
printf 'ONE=file\n# no\nTWO=file\n' >"$T/args-file"
printf 'FROM busybox:1.35\nARG ONE\nARG TWO\nRUN echo $ONE $TWO\n' | dockerfile args
kb args --build-arg-file "$T/args-file" --build-arg TWO=line
is "$(said)" "file line" "2 --build-arg-file, and --build-arg above it"

# ---- 3: kaniko's names of outputs; 7: the log
kb args --build-arg ONE=1 -d "127.0.0.1:$port/k:1" --destination "127.0.0.1:$port/k:2" --tar-path "$T/k.tar" --oci-layout-path "$T/k.oci" >/dev/null || diag "$out"
ok "3 --destination is pushed" skopeo inspect --raw --tls-verify=false "docker://127.0.0.1:$port/k:2"
is "$(tar -xOf "$T/k.tar" manifest.json | json - 'sorted(t.split("/")[-1] for t in d[0]["RepoTags"])')" '["k:1", "k:2"]' "3 --tar-path"
ok "3 --oci-layout-path" test -e "$T/k.oci/index.json"
kb args --build-arg ONE=1 -d "127.0.0.1:$port/k:3" --no-push -o type=registry >/dev/null
nok "3 --no-push" skopeo inspect --raw --tls-verify=false "docker://127.0.0.1:$port/k:3"
kb args --build-arg ONE=logged --logfile "$T/log"
is "$out" "" "7 --logfile: nothing is said here"
like "$(cat "$T/log")" '^#[0-9]+ [0-9.]+ logged' "7 --logfile: all of it is there"
printf 'FROM busybox:1.35\nRUN echo why; false\n' | dockerfile o
kb o --logfile "$T/log" >/dev/null
like "$out" '^error: .*RUN echo why; false' "7 --logfile: a failure is told here too"
like "$(cat "$T/log")" '^error: .*RUN echo why; false' "... and there"
is "$(kb args --build-arg ONE=q -q; echo "$out")" "$(kb args --build-arg ONE=q --iidfile "$T/iid"; cat "$T/iid")" "3 --quiet: the id"
# ---- 3: one layer
dockerfile sq <<'EOT'
FROM busybox:1.35
RUN echo 1 > /a; ln /a /a2; mkdir -p /d/e; echo x > /d/e/x; rm /etc/group; ln -s a /l; touch -d @1000 /d/e /d
COPY f /d/f
RUN rm -r /a /d/e; rm /bin/xargs; rm -r /var/www /usr/sbin; echo file > /usr/sbin; mkdir /d/e; echo 2 > /d/e/y; echo new > /a3; ln /a3 /a4; ln /a3 /0; chmod 700 /home; rm -r /var/spool; mkdir /var/spool
RUN echo back > /etc/group; rm /a3; setfattr -n user.k -v v /d/f 2>/dev/null; true
EOT
echo content >"$T/sq/f"
printf '%s\n' 'RUN rm -rf /mnt; ln -s home /mnt' 'RUN mkdir -p /srv/deep/er; chown 1000:1000 /srv/deep' >>"$T/sq/Dockerfile"
made "3 as it is" sq
cp "$T/sq.tar" "$T/plain.tar"
layers() { raw sq | json - '[len(d["rootfs"]["diff_ids"]), sum(not h.get("empty_layer") for h in d["history"]), len(d["history"])]'; }
plain=$(layers) before=$(tree sq)
is "$plain" '[7, 7, 7]' "3 a layer for each step"
made "3 --squash" sq --squash
is "$(layers)" '[2, 2, 7]' "3 --squash: one on top of the base; the history tells all"
same "3 --squash: the same files" "$(tree sq)" <<<"$before"
is "$(raw sq | json - 'd["rootfs"]["diff_ids"][0]')" "$(skopeo inspect --config --raw --tls-verify=false "docker://127.0.0.1:$port/library/busybox:1.35" | json - 'd["rootfs"]["diff_ids"][0]')" "3 --squash: the base's layer is the base's"
id=$(raw sq | sha256sum)
kb sq --squash >/dev/null
made "3 --squash again" sq --squash
is "$(raw sq | sha256sum)" "$id" "3 --squash: the same image again"
is "$(grep -c ' cached$' <<<"$out")" 6 "3 --squash: steps are cached as ever"
skopeo copy -q "oci-archive:$T/sq.oci" "dir:$T/sq.dir"
blob=$(skopeo inspect --raw "dir:$T/sq.dir" | json - 'd["layers"][1]["digest"][7:]')
same "3 --squash: what the new layer holds" "$(zstd -dcq "$T/sq.dir/$blob" | tar -tf - | grep -vE '^(srv|d/|etc/$)' | sort | paste -sd' ')" <<'EOT'
0 a2 a4 bin/ bin/.wh.xargs etc/group home/ l mnt usr/ usr/sbin var/ var/.wh.www var/spool/ var/spool/.wh.mail
EOT
made "3 --squash-all" sq --squash-all
is "$(layers)" '[1, 1, 7]' "3 --squash-all: one in all"
same "3 --squash-all: the same files" "$(tree sq)" <<<"$before"
made "3 --layers=false" sq --layers=false
is "$(layers)" '[2, 2, 7]' "4 --layers=false is --squash"
kb sq --squash -t "127.0.0.1:$port/sq" --push >/dev/null || diag "$out"
"$KILN" build -q -t after - >/dev/null <<<"FROM 127.0.0.1:$port/sq
RUN test -e /d/e/y && ! test -e /bin/xargs && test \"\$(stat -c %h /a4)\" = 2" && pass "3 --squash: a build goes on from it" || fail "3 --squash: a build goes on from it"
printf 'FROM busybox:1.35\nLABEL a=b\n' | dockerfile one
made "3 --squash with nothing new" one --squash
# ---- 5: limits, where this host lets us set them; where not, that is told with the reason (spec/executor.md 10.4)
dockerfile lim <<'EOT'
FROM busybox:1.35
RUN head -c 200000000 /dev/zero | tail -c 200000000 | wc -c
EOT
kb lim --no-cache --memory 48m --memory-swap 48m >/dev/null
case $out in
*'--memory, --memory-swap have no effect: '*)
    like "$out" 'have no effect: (this host has (no cgroups of version 2|memory in cgroups of version 1)|the cgroup .* (is not delegated|has no controller)|other processes run in|the cgroup of this process lies outside)' \
        "5, C18 --memory: why it has no effect here"
    is "$(said)" 200000000 "5 and the step runs"
    ;;
*)
    like "$out" 'exit code: 137' "5, C18 --memory: the step is ended"
    like "$out" 'out of memory: it may have 48 MiB' "5 and says why"
    ;;
esac
# limit NAME CONTROLLER FILE WANT ARGS... - a file of the step's cgroup, seen from outside while the step waits
limit() {
    local name=$1 file=$2 want=$3 n=$RANDOM$RANDOM pid='' at got=
    shift 3
    printf 'FROM busybox:1.35\nRUN sleep 60; : %s\n' "$n" | dockerfile o
    "$KILN" build --progress=plain "$@" "$T/o" >"$T/limit.out" 2>&1 </dev/null &
    local build=$!
    for _ in $(seq 100); do
        pid=$(pgrep -u "$(id -u)" -f "^/bin/sh -c sleep 60; : $n" | head -n 1)
        [ -z "$pid" ] || break
        kill -0 $build 2>/dev/null || break
        sleep 0.1
    done
    at=$(sed -n 's/^0:://p' "/proc/${pid:-self}/cgroup")
    for root in /sys/fs/cgroup /sys/fs/cgroup/unified; do
        [ -e "$root$at/$file" ] && [ -e "$root$at/cgroup.procs" ] && got=$(cat "$root$at/$file") && break
    done
    kill -INT $build
    wait $build
    if grep -qE 'ha(s|ve) no effect: [a-z]' "$T/limit.out"; then
        like "$(cat "$T/limit.out")" "^warning: .*--.* ha(s|ve) no effect: (this host|the cgroup|other processes)" "5 $name: why it has no effect here"
    else
        is "$got" "$want" "5 $name"
        nok "5 $name: its cgroup is removed" test -e "$root$at"
    fi
}
limit "--memory" memory.max 100663296 --memory 96m
limit "--memory-swap counts both" memory.swap.max 33554432 --resource memory=96m --resource memory-swap=128m
limit "--memory-swap=-1" memory.swap.max max -m 96m --memory-swap=-1
limit "--cpu-shares" cpu.weight 39 -c 1024
limit "--cpu-quota, --cpu-period" cpu.max "20000 50000" --resource cpu-quota=20000,cpu-period=50000
limit "--cpu-quota alone" cpu.max "20000 100000" --cpu-quota 20000
limit "--cpuset-cpus" cpuset.cpus 0 --cpuset-cpus 0
limit "--cpuset-mems" cpuset.mems 0 --cpuset-mems 0
limit "--cgroup-parent" cgroup.type domain --cgroup-parent "/kiln-test-$$"
while IFS='|' read -r opt re; do
    # shellcheck disable=SC2086
    wrong "5 $opt" "$re" $opt
done <<'EOT'
--memory=0|it is 0
--memory=x|--memory is 'x'
--memory-swap=1g|it needs --memory
--memory=2g --memory-swap=1g|less than --memory
--cpu-shares=1|from 2 on
--cpu-shares=262145|more than 262144
--cpu-period=10|from 1000 on
--cpu-quota=-1|from 1000 on
--cpuset-cpus=3-1|not a list such as
--cpuset-mems=0,|not a list such as
--resource=mem=1|there is no limit 'mem'
--resource=memory|not of the form KEY=VALUE
--cgroup-parent=../x|no path of a cgroup
EOT
# ---- 7: BuildKit's own form of progress
printf 'FROM busybox:1.35\nMAINTAINER me\nRUN echo to-one; echo to-two >&2\nRUN echo then; false\n' | dockerfile rj
kb rj --no-cache --progress=rawjson >/dev/null
grep -v '^{' <<<"$out" >"$T/raw.text"
grep '^{' <<<"$out" >"$T/raw.json"
like "$(cat "$T/raw.text")" '^error: Dockerfile:4' "7 --progress=rawjson: the error is text"
cat >"$T/raw.py" <<'EOT'
import base64, datetime, json, sys
vertex, logs, warnings = {}, [], []
for line in open(sys.argv[1]):
    d = json.loads(line)
    assert len(d) == 1 and set(d) <= {"vertexes", "statuses", "logs", "warnings"}, line
    for v in d.get("vertexes", []):
        assert v["digest"].startswith("sha256:") and len(v["digest"]) == 71
        old = vertex.setdefault(v["digest"], v)
        assert "started" not in old or old["started"] == v["started"], (old, v)
        vertex[v["digest"]] = v
        for t in ("started", "completed"):
            if t in v:
                datetime.datetime.strptime(v[t][:26] + "Z", "%Y-%m-%dT%H:%M:%S.%fZ")
    for s in d.get("statuses", []):
        assert s["vertex"] in vertex and s["current"] >= 0 and s["timestamp"] and s["id"]
    for l in d.get("logs", []):
        logs.append((vertex[l["vertex"]]["name"].split("] ")[-1][:8], l["stream"], base64.b64decode(l["data"]).decode()))
    for w in d.get("warnings", []):
        warnings.append(base64.b64decode(w["short"]).decode().split(":")[0])
runs = [v for v in vertex.values() if "RUN" in v["name"]]
print(sorted(logs), warnings, [("completed" in v, "error" in v, v.get("cached", False)) for v in runs])
EOT
is "$(python3 "$T/raw.py" "$T/raw.json" 2>&1)" \
    "[('RUN echo', 1, 'then\\n'), ('RUN echo', 1, 'to-one\\n'), ('RUN echo', 2, 'to-two\\n')] ['MaintainerDeprecated'] [(True, False, False), (True, True, False)]" \
    "7 --progress=rawjson: steps, lines, warnings in BuildKit's form"
kb args --build-arg ONE=1 >/dev/null
BUILDKIT_PROGRESS=rawjson "$KILN" build --build-arg ONE=1 "$T/args" >"$T/raw.json" 2>&1
like "$(cat "$T/raw.json")" '"completed":"[^"]*","cached":true\}\]\}$' "7 BUILDKIT_PROGRESS=rawjson; what is cached"
# ---- 5: keys as files, in an agent of the build's own
cat >"$T/ask" <<'EOT'
RUN --mount=type=ssh perl -MIO::Socket::UNIX -e 'my $s = IO::Socket::UNIX->new($ENV{SSH_AUTH_SOCK}) or die $!; syswrite $s, "\0\0\0\1\x0b"; sysread $s, my $h, 4; my $n = unpack("N", $h); my $d = ""; while (length $d < $n) { sysread($s, $d, $n - length $d, length $d) or die } print unpack("xN", $d), " keys\n"; print "$1\n" while $d =~ /(?<![a-z])(ssh-ed25519|ssh-rsa)/g'
EOT
{ echo FROM debian:bookworm-slim; cat "$T/ask"; } | dockerfile agent
if need ssh-agent ssh-keygen; then
    ssh-keygen -q -t ed25519 -N '' -f "$T/k1" && ssh-keygen -q -t rsa -b 2048 -N '' -f "$T/k2" && ssh-keygen -q -t ed25519 -N secret -f "$T/k3"
    chmod 644 "$T/k1"
    built "5 --ssh with keys" agent --no-cache --ssh "default=$T/k1,$T/k2"
    is "$(said | sort | paste -sd' ')" "2 keys ssh-ed25519 ssh-rsa" "5 --ssh: both are in the step's agent"
    status 6 "5 --ssh: a key with a passphrase" "$KILN" build --ssh "default=$T/k3" "$T/agent"
    like "$out" "try: a key with a passphrase is added to an agent" "... belongs into an agent"
    status 6 "5 --ssh: no key" "$KILN" build --ssh "default=$T/ask" "$T/agent"
    like "$out" "cannot use '$T/ask' as a key" "... is named"
    for _ in $(seq 50); do running "ssh-agent -a $T/run/kiln-agent" || break; sleep 0.1; done
    ok "5 --ssh: its agent is gone" stopped "ssh-agent -a $T/run/kiln-agent"
    is "$(ls "$T/run" | grep -c kiln-agent)" 0 "5 --ssh: and its directory"
else
    skip "5 --ssh with keys"
fi
# ---- 5, 6, 2: the filter, namespaces, platforms by parts, a dry run
filters=$(awk '/^Seccomp_filters/ { print $2 }' /proc/self/status)
run="awk '/^Seccomp_filters/ { print \$2 - $filters }' /proc/self/status"
sees "5 a step has a filter" 1
sees "5 --security-opt=seccomp=unconfined" 0 --security-opt seccomp=unconfined
wrong "5 --security-opt=seccomp=FILE" "the filter of system calls is built in" --security-opt seccomp=/etc/profile.json
printf 'FROM busybox:1.35\nRUN true\n' | dockerfile o
kb o --security-opt label=disable --ipc host
is "$(grep -c '^warning: --[a-z-]* has no effect: ' <<<"$out")" 2 "5 --security-opt=label=, --ipc=host: warnings"
kb o --ipc private --pid=private --uts private --cgroupns private
unlike "$out" warning "5 --ipc, --pid, --uts, --cgroupns=private: so it is"
printf 'FROM scratch\nARG TARGETPLATFORM\nCOPY <<E /p\n${TARGETPLATFORM}\nE\n' | dockerfile pf
made "6 --os, --arch, --variant" pf --os linux --arch arm --variant v7
is "$(file pf p) $(raw pf | json - '[d["os"], d["architecture"], d["variant"]]')" 'linux/arm/v7 ["linux", "arm", "v7"]' "6 --os, --arch, --variant"
made "6 --arch alone" pf --arch s390x
is "$(file pf p)" linux/s390x "6 --arch alone: the system is the host's"
printf 'FROM busybox:1.35 AS a\nRUN echo dry > /run-it\nFROM busybox:1.35 AS unused\nRUN false\nFROM a\nCOPY --from=a /run-it /\n' | dockerfile dry
status 0 "2 --dry-run" "$KILN" build -n "$T/dry"
is "$(sed -n 's/^#[0-9]* //p' <<<"$out")" $'[a 2/2] RUN echo dry > /run-it\n[stage-2 1/1] COPY --from=a /run-it /' "2 --dry-run: the steps that are needed" || diag "$out"
is "$("$KILN" build --dry-run=true --call=steps,format=json "$T/dry" 2>/dev/null | json - '[[s["stage"], s["location"]["ranges"][0]["start"]["line"]] for s in d]')" '[["a", 2], ["stage-2", 6]]' "2 --dry-run as JSON"
kb dry >/dev/null
is "$(grep -c ' cached$' <<<"$out")" 0 "2 --dry-run: nothing was run"
status 0 "3 options of kaniko and Charliecloud that ask for what happens anyway" "$KILN" build -q --snapshot-mode=redo --use-new-run --cleanup --compressed-caching=false --no-push-cache "$T/pf"
like "$out" '^sha256:[0-9a-f]{64}$' "... are taken in silence"
for o in --rewrite-timestamp --reproducible; do
    printf 'FROM busybox:1.35\nRUN echo %s > /f\n' "$o" | dockerfile later
    SOURCE_DATE_EPOCH=1000 kb later "$o" -t "127.0.0.1:$port/later:1" >/dev/null || diag "$out"
    ok "6 $o: what was kept in the store can be pushed later" "$KILN" push "127.0.0.1:$port/later:1"
done
registry_down
done_testing
