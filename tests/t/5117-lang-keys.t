#!/bin/bash
# What makes a step run again and what does not, with the reason; times of images (spec/dockerfile.md 17, 18). The basics: 5040-cache.t.
. "$(dirname "$0")/../lang.sh"

mkdir -p "$T/k/d/sub"
echo 1 >"$T/k/f"
echo 2 >"$T/k/d/g"
echo 3 >"$T/k/d/sub/h"
base() {
    cat <<'EOT'
FROM busybox:1.35 AS one
ARG A=1
WORKDIR /w
COPY f /f
RUN cat /f > /run1; touch -d @1 /run1
COPY d /d/
RUN --mount=source=d/sub,target=/m cat /m/h > /run2; touch -d @1 /run2
ARG LATE
FROM busybox:1.35
COPY --link f /l/
COPY --chown=www-data f /own
COPY --from=one /f /f
RUN --mount=type=secret,id=s true
LABEL a=1
CMD ["x"]
EOT
}
base >"$T/k/Dockerfile"
built "17 first" k
# runs NAME EXPECTED-LINES [args] - the steps that ran: their words, the reason after them
again() { # again NAME WANT REASON-RE [ARGS]: WANT = the instructions that ran, in a row
    local name=$1 want=$2 re=$3
    shift 3
    kb k "$@" || printf '%s\n' "$out" | tail -5
    local ran
    ran=$(awk '/^#[0-9]+ \[/ { n = $1; sub(/^#[0-9]+ \[[^]]*\] /, ""); t[n] = $0; o[++c] = n } / cached$/ { hit[$1] = 1 } END { for (i = 1; i <= c; i++) if (!hit[o[i]] && t[o[i]] !~ /^pull|^context/) printf "%s,", substr(t[o[i]], 1, 9) }' <<<"$out")
    is "$ran" "$want" "$name" || printf '%s\n' "$out" | tail -20
    [ -z "$re" ] || like "$out" "$re" "... because $re"
}
again "17.1 nothing" '' ''
sed -i '1i # a comment\n' "$T/k/Dockerfile"
sed -i 's/LABEL a=1/LABEL b=2\nEXPOSE 80\nVOLUME \/v\nSTOPSIGNAL 9\nHEALTHCHECK NONE\nENTRYPOINT ["e"]/; s/CMD .*/CMD y/; s/AS one/AS renamed/; s/--from=one/--from=renamed/; s/COPY f \/f/COPY   f   \/f/' "$T/k/Dockerfile"
again "17.1 comments, layout, names, metadata" '' ''
sed -i 's/AS renamed/AS one/; s/--from=renamed/--from=one/' "$T/k/Dockerfile"
again "17.3 an argument that is declared later, or not at all" '' '' --build-arg LATE=2 --build-arg OTHER=3
again "17.3 a proxy" '' '' --build-arg HTTP_PROXY=http://x --build-arg no_proxy=y
touch -d 2001-01-01 "$T/k/f" "$T/k/d/g" "$T/k/d/sub/h" "$T/k/d"
again "17.2 times" '' ''
again "17.3 an argument of the environment: RUN" 'RUN cat /,RUN --mou,' "variable A" --build-arg A=2
echo x >"$T/sec"
again "17.3 a secret that is there" '' '' --secret "id=s,src=$T/sec"
again "17.3 a host name, a limit: RUN" 'RUN cat /,RUN --mou,RUN --mou,' 'host name' --build-arg BUILDKIT_SANDBOX_HOSTNAME=h
again "14 an address is not in the key" 'RUN cat /,RUN --mou,RUN --mou,' 'extra host|host name' --add-host h:1.2.3.4
again "14 another address" '' '' --add-host h:1.2.3.5
echo 4 >"$T/k/d/sub/h"
again "17.3 a file of a mount" 'COPY d /d,RUN --mou,' 'd/sub/h|sub/h'
echo new >"$T/k/d/more"
again "17.2 another file; the mount does not see it" 'COPY d /d,RUN --mou,' 'more'
mv "$T/k/d/g" "$T/k/d/renamed"
again "17.2 a name" 'COPY d /d,RUN --mou,' 'renamed|d/g'
python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.k", b"v")' "$T/k/d/renamed"
again "17.2 an xattr" 'COPY d /d,RUN --mou,' 'run again: file d/renamed changed'
chmod 700 "$T/k/d"
again "17.2 the mode of the source directory" 'COPY d /d,' 'd.*(mode|0?700)|(mode|0?700)'
printf 'd/more\n' >"$T/k/.dockerignore"
again "17.2 an ignored file" 'COPY d /d,RUN --mou,' 'more'
rm "$T/k/.dockerignore"
again "17.1 back" '' ''
sed -i 's/^WORKDIR .w$/WORKDIR \/w2/' "$T/k/Dockerfile"
again "17.2 WORKDIR, whatever copies follow" 'WORKDIR /,COPY f   ,RUN cat /,COPY d /d,RUN --mou,' '/w2'
sed -i 's/^WORKDIR .w2$/WORKDIR \/w/; s/^COPY --chown=www-data f/RUN echo www-data:x:4:4::\/: > \/etc\/passwd\n&/' "$T/k/Dockerfile"
again "17.4 --link does not depend on what is below; a name's number counts" 'RUN echo ,COPY --ch,COPY --fr,RUN --mou,' ''
sed -i 's/^COPY --link f/RUN true\n&/' "$T/k/Dockerfile"
kb k >/dev/null
like "$out" '#([0-9]+) \[[^]]*\] COPY --link' "17.4 --link again"
is "$(awk '/COPY --link/ { n = $1 } $1 == n && / cached$/ { print "cached" }' <<<"$out")" cached "17.4 hits on another parent" || printf '%s\n' "$out"

# ---- 17.3: what of a mount, a user, a limit counts: each line is a change and how many of its four RUN ran again
mkdir -p "$T/m/d"
echo 1 >"$T/m/d/g"
mounts() {
    sed "$1" >"$T/m/Dockerfile" <<'EOT'
FROM busybox:1.35
RUN --mount=type=cache,target=/c echo 1
RUN --mount=type=tmpfs,target=/t echo 2
RUN --mount=type=secret,id=s --mount=type=ssh echo 3
RUN --mount=source=d,target=/d echo 4
EOT
    kb m "${@:2}"
    echo "$1${2:+ ${*:2}}: $(($(grep -cE '^#[0-9]+ \[[^]]*\]' <<<"$out") - $(grep -cE '^#[0-9]+ cached$' <<<"$out")))"
}
mounts '' >/dev/null
same "17.3, K1 what of a RUN is in its key" "$(while read -r change; do mounts "$change"; done <<'EOT'
s/type=cache/&,id=z,sharing=locked/
s/type=cache/&,ro/
s/type=cache/&,uid=5/
s/type=cache/&,gid=0/
s/type=cache/&,from=busybox:1.35/
s/type=tmpfs/&,size=1m/
s/id=s/&,mode=0440/
s/id=s/&,mode=400,uid=0,gid=0,required=false,rw,target=\/run\/secrets\/s/
s/type=ssh/&,mode=0600,id=default,readonly=false/
s/source=d/&,type=bind,ro,src=.\/d\//
s/type=cache/&,sharing=shared,source=\/,id=c/
s/id=s/&,env=X/
s/type=ssh/&,id=q/
s/source=d/&,rw/
s/RUN /&--security=sandbox --network=default /
s/echo 4/&4/
EOT
mounts 's/RUN .*source=d/RUN --network=none --mount=source=d/'
mounts 's/RUN .*source=d/RUN --device=a.b\/c=d --mount=source=d/' --allow device
mounts '' --memory 100m --cpu-shares 100
mounts '' --shm-size 1m
mounts '' --ulimit nofile=100
mounts '' --network none
while read -r option; do
    # shellcheck disable=SC2086
    mounts '' $option
done <<'EOO'
--hostname h
--dns 1.2.3.4 --dns-search a.b
--no-hosts
--cap-drop kill
--group-add 5
--cgroup-parent /kiln-keys
-v /etc:/v:ro
--mount type=tmpfs,target=/more
EOO
mounts '')" <<'EOT'
s/type=cache/&,id=z,sharing=locked/: 0
s/type=cache/&,ro/: 1
s/type=cache/&,uid=5/: 1
s/type=cache/&,gid=0/: 1
s/type=cache/&,from=busybox:1.35/: 1
s/type=tmpfs/&,size=1m/: 1
s/id=s/&,mode=0440/: 1
s/id=s/&,mode=400,uid=0,gid=0,required=false,rw,target=\/run\/secrets\/s/: 0
s/type=ssh/&,mode=0600,id=default,readonly=false/: 0
s/source=d/&,type=bind,ro,src=.\/d\//: 0
s/type=cache/&,sharing=shared,source=\/,id=c/: 0
s/id=s/&,env=X/: 1
s/type=ssh/&,id=q/: 1
s/source=d/&,rw/: 1
s/RUN /&--security=sandbox --network=default /: 0
s/echo 4/&4/: 1
s/RUN .*source=d/RUN --network=none --mount=source=d/: 1
s/RUN .*source=d/RUN --device=a.b\/c=d --mount=source=d/ --allow device: 1
 --memory 100m --cpu-shares 100: 0
 --shm-size 1m: 4
 --ulimit nofile=100: 4
 --network none: 4
 --hostname h: 4
 --dns 1.2.3.4 --dns-search a.b: 0
 --no-hosts: 4
 --cap-drop kill: 4
 --group-add 5: 4
 --cgroup-parent /kiln-keys: 4
 -v /etc:/v:ro: 4
 --mount type=tmpfs,target=/more: 4
: 0
EOT

# ---- 17.2: which names count
mkdir -p "$T/dir/d"
echo 1 >"$T/dir/d/g"
for w in d d/ ./d/. /x/../d/; do
    printf 'FROM scratch\nCOPY %s /x\n' "$w" >"$T/dir/Dockerfile"
    kb dir
done
is "$(grep -c ' cached$' <<<"$out")" 1 "17.2 how a directory is written does not count"
mkdir -p "$T/n"
echo 1 >"$T/n/a.txt"
printf 'FROM scratch\nCOPY a.txt /x\nCOPY *.txt /w/\n' >"$T/n/Dockerfile"
kb n
mkdir "$T/n/sub"
mv "$T/n/a.txt" "$T/n/sub/a.txt"
printf 'FROM scratch\nCOPY sub/a.txt /x\nCOPY sub/*.txt /w/\n' >"$T/n/Dockerfile"
kb n
is "$(grep -c ' cached$' <<<"$out")" 1 "17.2 a file's directory does not count, a wildcard's path does"
mv "$T/n/sub/a.txt" "$T/n/sub/b.txt"
printf 'FROM scratch\nCOPY sub/b.txt /x\n' >"$T/n/Dockerfile"
kb n
is "$(grep -c ' cached$' <<<"$out")" 0 "17.2 its name does"

# ---- 18 times and history
dockerfile t <<'EOT'
FROM busybox:1.35
ENV A=1
WORKDIR /made/deep
RUN touch -d @2000000000 /late && touch -d @1000 /early && true
RUN true
COPY f /copied
LABEL x=y
WORKDIR /
CMD ["z"]
EOT
touch -d @1900000000 "$T/t/f"
made "18 with SOURCE_DATE_EPOCH" t --build-arg SOURCE_DATE_EPOCH=1500000000
is "$(raw t | json - '[d["created"], sorted({h["created"] for h in d["history"][-8:]})]')" '["2017-07-14T02:40:00Z", ["2017-07-14T02:40:00Z"]]' "18.4, 18.5 created is the epoch"
is "$(raw t | json - 'd["history"][0]["created"][:4] != "2017"')" true "18.5 the base's entries keep theirs"
is "$(raw t | json - '[len(d["rootfs"]["diff_ids"]), [bool(h.get("empty_layer")) for h in d["history"][-8:]]]')" '[5, [true, false, false, false, false, true, true, true]]' "18.2, 18.3 which have layers; RUN true has one"
is "$(TIMES=1 tree t | grep -E '^(late|early|copied|made)' | grep -c '@1500000000')" 5 "18.5 type=tar: every file has the epoch's time" || TIMES=1 tree t | tail -5
kb t --build-arg SOURCE_DATE_EPOCH=1500000000 -o "type=oci,dest=$T/t1,tar=false,rewrite-timestamp=true" >/dev/null
layer() { # times in layer N of the layout
    local d
    d=$(skopeo inspect --raw "oci:$1" | json - "d['layers'][$2]['digest'][7:]")
    { zstd -dcq "$1/blobs/sha256/$d" 2>/dev/null || gzip -dc "$1/blobs/sha256/$d"; } | tar --full-time --utc -tvf - | awk '{ print $4, $5, $6 }'
}
same "18.5 rewrite-timestamp clamps layers" "$(layer "$T/t1" 2 | grep -E 'late|early')" <<'EOT'
1970-01-01 00:16:40 early
2017-07-14 02:40:00 late
EOT
same "18.5 WORKDIR's directories" "$(layer "$T/t1" 1)" <<'EOT'
2017-07-14 02:40:00 made/
2017-07-14 02:40:00 made/deep/
EOT
kb t --build-arg SOURCE_DATE_EPOCH=1500000000 -o "type=oci,dest=$T/t2,tar=false" >/dev/null
like "$(layer "$T/t2" 2)" '2033-05-18 03:33:20 late' "18.5 not without it"
SOURCE_DATE_EPOCH=1500000000 made "18.5 from the environment" t
is "$(raw t | json - 'd["created"]')" 2017-07-14T02:40:00Z "18.5 counts"
SOURCE_DATE_EPOCH=1500000000 made "18.5 an empty argument" t --build-arg SOURCE_DATE_EPOCH=
is "$(raw t | json - 'd["created"][:4] != "2017"')" true "18.5 resets it"
printf 'ARG SOURCE_DATE_EPOCH=1000000000\nFROM scratch\nARG SOURCE_DATE_EPOCH\nLABEL e=$SOURCE_DATE_EPOCH\nCOPY f /\n' >"$T/t/Dockerfile"
made "18.5 a global ARG" t
is "$(raw t | json - '[d["created"], d["config"]["Labels"]["e"]]')" '["2001-09-09T01:46:40Z", "1000000000"]' "18.5 its default counts"
printf 'FROM scratch\nLABEL a=1\n' >"$T/t/Dockerfile"
made "18.2 no layers" t
is "$(raw t | json - '[d["rootfs"], len(d["history"])]')" '[{"diff_ids": [], "type": "layers"}, 1]' "18.1 an empty rootfs"
for e in context 12x; do
    printf 'FROM scratch\nLABEL a=1\n' >"$T/t/Dockerfile"
    kb t --build-arg "SOURCE_DATE_EPOCH=$e" >/dev/null
    echo "$e: $(grep -oE 'invalid context name|SOURCE_DATE_EPOCH stage must[^:]*|unsupported RUN instruction|invalid SOURCE_DATE_EPOCH: [^ ]*|cannot|image [0-9a-f]+' <<<"$out" | head -1 | sed 's/image .*/built/')"
done >"$T/epochs"
same "18.5 other values" "$(cat "$T/epochs")" <<'EOT'
context: built
12x: invalid SOURCE_DATE_EPOCH: 12x
EOT
registry_down
done_testing
