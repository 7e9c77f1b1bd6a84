#!/bin/bash
# Stages, targets and references between them; users; paths (spec/dockerfile.md 1, 5, 6.1, 6.2).
. "$(dirname "$0")/../lang.sh"

# ---- 5.2, 5.6, 5.8
dockerfile st <<'EOT'
ARG BASE=busybox TAG=1.35
FROM ${BASE}:${TAG} AS Dup
RUN echo dup0 > /who
FROM scratch
COPY --from=dUP /who /from-name
COPY --from=0 /who /from-zero
COPY --from=+0 /who /from-plus
FROM busybox:1.35 AS dup
RUN echo dup2 > /who
FROM dup AS latest
RUN cp /who /who2
FROM busybox:1.35 AS reader
COPY --from=dup /who /copied
COPY --from= other.txt /from-empty
RUN --mount=from=latest,source=/who2,target=/m cat /m > /mounted
RUN --mount=from=scratch,target=/s ls -A /s > /scratch
RUN --mount=from=,source=other.txt,target=/m cat /m > /mounted-empty
COPY --from=scratch . /nothing/
COPY --from=busybox:1.35 /etc/passwd /image
FROM scratch AS hollow
FROM --platform=$BUILDPLATFORM reader AS final
COPY --from=hollow / /nothing2/
LABEL a=1
FROM unreachable/Image AS broken
EOT
printf x >"$T/st/other.txt"
nok "1 a malformed base fails even when nobody needs it" kb st --target final
like "$out" 'invalid reference format|failed to parse stage name' "5.2 and says so"
sed -i 's/^FROM unreachable.*/FROM unreachable.invalid\/image AS broken\nRUN echo ${X:?never}\nCOPY --from=nobody.invalid\/x \/ \//' "$T/st/Dockerfile"
made "1, 5.8 what is not reachable is not pulled, not expanded" st --target FINAL
same "5.6 --from by name (the last of that name), number, image, scratch; mounts" "$(tree st | grep -E '^(copied|from-empty|mounted|scratch|nothing2?|image|who)')" <<EOT
copied f 0644 0:0 "dup2\$"
from-empty f 0644 0:0 "x"
image f 0644 0:0 $(file st etc/passwd | wc -c):$(file st etc/passwd | sha256sum | cut -c1-12)
mounted f 0644 0:0 "dup2\$"
mounted-empty f 0644 0:0 "x"
nothing d 0755 0:0
nothing2 d 0755 0:0
scratch f 0644 0:0 ""
EOT
cat >"$T/st/Dockerfile" <<'EOT'
FROM busybox:1.35 AS Dup
RUN echo dup0 > /who
FROM scratch AS early
COPY --from=0 /who /from-zero
COPY --from=+0 /who /from-plus
FROM busybox:1.35 AS dup
RUN echo dup2 > /who
FROM dup AS two
FROM dup AS tail
COPY --from=early / /early/
EOT
made "5.7 duplicate names" st
same "5.6 indexes" "$(tree st early)" <<'EOT'
. d 0755 0:0
from-plus f 0644 0:0 "dup0$"
from-zero f 0644 0:0 "dup0$"
EOT
like "$out" 'DuplicateStageName' "5.7 are told"
is "$(file st who)" dup2 "5.2 FROM takes the latest"
refused "5.6 COPY from a name whose last stage comes later" 'cannot copy from stage "a", it needs to be defined before current stage' --target b <<<$'FROM scratch AS a\nFROM scratch AS b\nCOPY --from=a / /\nFROM scratch AS a'
refused "5.6 a number is no index for a mount" 'docker.io/library/0|0' --pull=never <<<$'FROM busybox:1.35\nRUN --mount=from=0,target=/x true'
refused "5.6 expansion in --from" 'variable expansion is not supported for --from' <<<$'FROM scratch\nARG A=b\nCOPY --from=$A / /'
refused "5.6 expansion in mount from" "'from' doesn't support variable expansion" <<<$'FROM busybox:1.35\nRUN --mount=from=$A,target=/x true'
refused "5.6 a negative index" 'invalid stage index -1' <<<$'FROM scratch\nCOPY --from=-1 / /'
refused "5.6 itself" 'circular dependency' <<<$'FROM scratch AS a\nCOPY --from=a / /'
for c in 'COPY --from=a:b:c / /' 'COPY --from=x/Bad / /' 'RUN --mount=from=x/Bad,target=/a true'; do
    refused "1 a malformed reference where nobody needs it: $c" 'failed to parse stage name' <<<$'FROM scratch AS u\n'"$c"$'\nFROM scratch'
done
for i in 2 -3 +7 99999999999999999999; do refused "5.6 index $i" "invalid stage index [+]?${i#+}" <<<$'FROM scratch\nFROM scratch\n'"COPY --from=$i / /"; done
refused "5.6 no index with a blank" 'failed to parse stage name " 0"' <<<$'FROM scratch\nFROM scratch\nCOPY --from=" 0" / /'
for c in 'FROM x/Bad AS n|failed to parse stage name' $'FROM scratch AS n\nCOPY --from=9 / /|invalid stage index' $'FROM scratch AS n\nRUN --mount=from=later,target=/x true\nFROM n AS later|circular'; do
    refused "5.2 what stands in a stage that is replaced is checked: ${c#*|}" "${c#*|}" --build-context n="$T" <<<"${c%|*}"$'\nFROM scratch'
done
refused "5.2 FROM is case-sensitive" 'invalid reference format|failed to parse' <<<$'FROM scratch AS base\nFROM Base'
dockerfile ts <<'EOT'
FROM busybox:1.35 AS Made
RUN echo made > /who
ENV M=1
FROM example.invalid/base AS based
RUN --mount=from=example.invalid/mounted,target=/m cat /m/who /who > /both
FROM example.invalid/never AS replaced
RUN exit 1
FROM scratch
COPY --from=example.invalid/copied /who /copied
COPY --from=based /both /
COPY --from=replaced /who /replaced
EOT
made "13.2 target:STAGE" ts --build-context example.invalid/base=target:made --build-context example.invalid/mounted=target:MADE \
    --build-context example.invalid/copied=target:made --build-context replaced=target:based
same "13.2 FROM, mounts, COPY --from and a stage of that name" "$(tree ts)" <<'EOT'
both f 0644 0:0 "made$made$"
copied f 0644 0:0 "made$"
replaced f 0644 0:0 "made$"
EOT
made "13.2 as base" ts --target based --build-context example.invalid/base=target:made --build-context example.invalid/mounted=target:made
is "$(raw ts | json - 'd["config"]["Env"][-1]')" M=1 "13.2 with the stage's config"
bc=(--build-context "it=target:oen")
refused "13.2 a stage that is not there: COPY" 'did you mean one' "${bc[@]}" <<<$'FROM scratch AS one\nFROM scratch\nCOPY --from=it / /'
refused "13.2 FROM" 'target stage "oen" could not be found' "${bc[@]}" <<<$'FROM scratch AS one\nFROM it'
refused "13.2 a mount" 'did you mean one' "${bc[@]}" <<<$'FROM scratch AS one\nFROM busybox:1.35\nRUN --mount=from=it,target=/x true'
refused "13.2 a later stage: FROM" 'needs to be defined before' --build-context it=target:late <<<$'FROM it\nFROM scratch AS late'
refused "13.2 a later stage: COPY" 'needs to be defined before' --target b --build-context it=target:late <<<$'FROM scratch AS b\nCOPY --from=it / /\nFROM scratch AS late'
refused "13.2 itself: COPY" 'circular dependency' --build-context it=target:b <<<$'FROM scratch AS b\nCOPY --from=it / /'
refused "13.2 itself" 'needs to be defined before' --build-context b=target:b <<<$'FROM scratch AS b'
refused "5.1 a stage name" 'invalid name for build stage' <<<$'FROM scratch AS 1a'
refused "5.1 that is no repository name" 'invalid context name' <<<$'FROM scratch AS a.'
refused "5.1 an empty platform" 'empty platform value from expression \$NO$' <<<$'FROM --platform=$NO scratch'
refused "5.1 of a variable that is nearly there" 'empty platform value .*did you mean BUILDPLATFORM' <<<$'FROM --platform=$BUILDPLATFROM scratch'
refused "5.1 in a platform" 'failed to parse platform linux/ .*did you mean TARGETARCH' <<<$'FROM --platform=linux/$TARGETARHC scratch'
refused "5.1 in a base name" 'should not be blank .*did you mean IMAGE' <<<$'ARG IMAGE=busybox:1.35\nFROM $IMGE'
refused "5.8 a number is no target" 'target stage "0" could not be found' --target 0 <<<$'FROM scratch\nFROM scratch'
refused "5.8 a name that is nearly there" 'did you mean build' --target buidl <<<$'FROM scratch AS build'

# ---- 5.3, 5.5
dockerfile sc <<'EOT'
FROM --platform=linux/arm64 scratch
COPY f /
EOT
echo 1 >"$T/sc/f"
made "5.3 scratch" sc
is "$(raw sc | json - '[d["architecture"], d["config"].get("WorkingDir"), d["config"]["Env"], len(d["history"])]')" \
    "[\"$(dpkg --print-architecture)\", \"/\", [\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"], 1]" "5.3 its config; --platform does not count"
made "5.5 another platform" sc --platform linux/arm/v7
is "$(raw sc | json - '[d["architecture"], d.get("variant")]')" '["arm", "v7"]' "5.5 is the image's"
dockerfile sys <<<$'FROM scratch\nARG TARGETPLATFORM\nENV P=$TARGETPLATFORM'
made "E a platform with features" sys --platform 'windows(10.0+win32k+a%2Bb)/amd64'
is "$(raw sys | json - '[d["os.version"], d["os.features"], d["config"]["Env"][-1]]')" '["10.0", ["win32k", "a+b"], "P=windows(10.0+win32k+a%2Bb)/amd64"]' "6.3, E are the image's"
dockerfile own <<<$'FROM --platform=linux/arm64 scratch AS other\nFROM --platform=linux/$BUILDARCH busybox:1.35'
made "5.5 a stage with a platform of its own" own --platform linux/s390x
is "$(raw own | json - 'd["architecture"]')" s390x "5.5 the image has the one that was asked for"

# ---- 5.4 what a base says that no instruction touches, and a base for another platform (5.5)
printf 'FROM busybox:1.35\n' | dockerfile base
made "a base" base
altered base 'd.update({"created": "2001-01-01T00:00:00Z", "x.unknown": {"a": [1]}, "moby.buildkit.cache.v0": "z", "architecture": "arm64", "variant": "v8", "os.version": "9"})
d["config"].update({"WorkingDir": "rel/../dir//x", "User": "7:8", "Unknown": [1, 2], "Hostname": "h", "OnBuild": ["ENV TRIGGER=1"]})
d["history"].insert(0, {"created_by": "odd", "empty_layer": True})'
dockerfile onbase <<'EOT'
FROM base
COPY f here
EOT
echo 1 >"$T/onbase/f"
b=(--build-context "base=oci-layout://$T/base.layout:1")
made "5.4 on such a base" onbase "${b[@]}"
is "$(raw onbase | json - '[d["x.unknown"], d.get("moby.buildkit.cache.v0"), d["created"] > "2020", d["architecture"], d["variant"], d["os.version"], {k: v for k, v in d["config"].items() if k not in ("Cmd", "Env")}]')" \
    '[{"a": [1]}, null, true, "arm64", "v8", "9", {"Hostname": "h", "Unknown": [1, 2], "User": "7:8", "WorkingDir": "/dir/x"}]' "5.4, 5.5 its config"
same "5.4 its history" "$(hist onbase)" <<'EOT'
odd (empty)
base image 1.35
ENV TRIGGER=1 (empty)
COPY f here # buildkit
EOT
is "$(tree onbase dir | tail -1)" 'x/here f 0644 0:0 "1$"' "5.4 its working directory"
made "5.5 a platform that is asked for" onbase "${b[@]}" --platform "linux/$(dpkg --print-architecture)"
is "$(raw onbase | json - '[d["architecture"], d.get("variant"), d.get("os.version")]')" "[\"$(dpkg --print-architecture)\", null, null]" "5.5 is the image's"

# ---- 6.1 paths
dockerfile paths <<'EOT'
FROM busybox:1.35
WORKDIR rel
WORKDIR deeper/../b
RUN mkdir /real && ln -s /real /link && ln -s ../../../../real/up /out
COPY f x/../y/
COPY f ../../../../top
COPY f .
COPY f /d/.
COPY ../f /link/f
WORKDIR /link/made
COPY f ""
WORKDIR /a//b/../c
RUN pwd > /pwd
WORKDIR $UNSET
WORKDIR /t/
EOT
echo 1 >"$T/paths/f"
made "6.1 paths" paths
same "6.1 destinations" "$(tree paths | grep -E '^(rel|top|d|real|link|pwd|a|t)(/|$| )')" <<'EOT'
a d 0755 0:0
a/c d 0755 0:0
d d 0755 0:0
d/f f 0644 0:0 "1$"
link l 0777 0:0 -> /real
pwd f 0644 0:0 "/a/c$"
real d 0755 0:0
real/f f 0644 0:0 "1$"
real/made d 0755 0:0
real/made/f f 0644 0:0 "1$"
rel d 0755 0:0
rel/b d 0755 0:0
rel/b/f f 0644 0:0 "1$"
rel/b/y d 0755 0:0
rel/b/y/f f 0644 0:0 "1$"
t d 0755 0:0
top f 0644 0:0 "1$"
EOT
same "6.4 WORKDIR as resolved, COPY as written" "$(hist paths | grep -vE '^RUN|^base image')" <<'EOT'
WORKDIR /rel
WORKDIR /rel/b
COPY f x/../y/ # buildkit
COPY f ../../../../top # buildkit
COPY f . # buildkit
COPY f /d/. # buildkit
COPY ../f /link/f # buildkit
WORKDIR /link/made
COPY f  # buildkit
WORKDIR /a//b/../c
WORKDIR /a/c
WORKDIR /t/
EOT
is "$(raw paths | json - 'd["config"]["WorkingDir"]')" /t/ "6.1 an absolute WORKDIR stays as written"

# ---- 6.2 users
dockerfile users <<'EOT'
FROM busybox:1.35
RUN printf 'root:x:0:5:r:/root:/bin/sh\nsvc:x:70:71::/srv/home:/bin/sh\n99:x:1:1::/:/bin/sh\nsvc:x:7:7::/:/bin/sh\n' > /etc/passwd; \
    printf 'g1:x:81:svc\nmain:x:71:\ng2:x:82:root,svc\n88:x:1:\n' > /etc/group; touch /tmp/ids; chmod 666 /tmp/ids
SHELL ["/bin/sh", "-c", "echo $0 $(id -u):$(id -g) $(id -G) $HOME >> /tmp/ids"]
RUN none
USER svc
RUN svc
USER svc:g1
RUN svc:g1
USER svc:
RUN svc:
USER 70
RUN 70
USER 12:34
RUN 12:34
USER 70:g2
RUN 70:g2
USER root
RUN root
USER 99
RUN 99
USER 70:88
RUN 70:88
USER svc:g2
WORKDIR /w1/sub
USER 70
WORKDIR /w2
USER nobody-here
WORKDIR /w3
USER svc:nogroup
WORKDIR /w4
USER root
COPY --chown=svc f /c1
COPY --chown=svc:g1 f /c2
COPY --chown=svc: f /c3
COPY --chown=:g2 f /c4
COPY --chown=nobody f /c5
COPY --chown=svc:nogroup f /c6
COPY --chown=70 f /c7
COPY --chown=root:g1 f /n/c8
EOT
echo 1 >"$T/users/f"
made "6.2 users" users
same "6.2 of RUN" "$(file users tmp/ids)" <<'EOT'
none 0:5 5 82 /root
svc 70:71 71 81 82 /srv/home
svc:g1 70:81 81 /srv/home
svc: 70:71 71 81 82 /srv/home
70 70:71 71 81 82 /srv/home
12:34 12:34 34 /
70:g2 70:82 82 /srv/home
root 0:5 5 82 /root
99 99:0 0 /
70:88 70:88 88 /srv/home
EOT
same "6.2 of WORKDIR and --chown" "$(tree users | grep -E '^(w.|c[0-9]|n)( |/)' | cut -d' ' -f1,4)" <<'EOT'
c1 70:71
c2 70:81
c3 70:0
c4 0:82
c5 0:0
c6 70:71
c7 70:70
n 0:81
n/c8 0:81
w1 70:82
w1/sub 70:82
w2 70:70
w3 0:0
w4 70:71
EOT
# ---- 5.3: what a stage passes on, to one stage, to several, and as the target; and very many stages, whose layers are opened once
dockerfile heirs <<'EOT'
FROM scratch AS base
ENV A=base
WORKDIR /w
FROM base AS one
ENV B=one
FROM base AS two
ENV B=two
FROM two AS three
ENV C=three
FROM three AS four
COPY --from=one / /x/
EOT
for s in "base A=base" "one A=base,B=one" "two A=base,B=two" "three A=base,B=two,C=three" "four A=base,B=two,C=three"; do
    made "5.3 --target ${s% *}" heirs --target "${s% *}"
    is "$(raw heirs | json - '",".join(v for v in d["config"]["Env"] if not v.startswith("PATH="))')" "${s#* }" "5.3 its environment"
done
mkdir -p "$T/long"
python3 -c 'for i in range(380): print("FROM", f"s{i - 1}" if i else "scratch", "AS", f"s{i}\nENV N={i}\nWORKDIR /d{i}")' >"$T/long/Dockerfile"
made "5 a chain of 380 stages" long
is "$(raw long | json - '[len(d["rootfs"]["diff_ids"]), len(d["history"]), [v for v in d["config"]["Env"] if v[0] == "N"]]')" '[380, 760, ["N=379"]]' "5 has all of them"
dockerfile groups <<'EOT'
FROM busybox:1.35
RUN printf 'svc:x:70:71::/srv/home:/bin/sh\n' > /etc/passwd; printf 'g1:x:81:svc\n' > /etc/group; touch /tmp/ids; chmod 666 /tmp/ids
SHELL ["/bin/sh", "-c", "echo $0 $(id -u):$(id -g) $(sed -n s/^Groups:.//p /proc/self/status) >> /tmp/ids"]
USER svc
RUN svc
USER svc:g1
RUN svc:g1
USER 70:5
RUN 70:5
USER 9
RUN 9
USER root:6
RUN root:6
USER 70:root
RUN 70:root
USER 0
RUN 0
RUN ["rm", "/etc/passwd", "/etc/group"]
USER root:root
RUN root:root
EOT
made "6.2 groups" groups
same "6.2 the primary group is among the supplementary ones; root beside another number is a number" "$(file groups tmp/ids)" <<'EOT'
svc 70:71 71 81
svc:g1 70:81 81
70:5 70:5 5
9 9:0 0
root:6 0:6 6
70:root 70:0 0
0 0:0 0
root:root 0:0 0
EOT
refused "6.2 root alone is looked up" 'unable to find user root: no matching entries in passwd file' <<<$'FROM busybox:1.35\nRUN rm /etc/passwd\nUSER root\nRUN true'
refused "6.2 an unknown group" 'unable to find group nosuch' <<<$'FROM busybox:1.35\nUSER 0:nosuch\nRUN true'
for c in 4294967296 1:99999999999 4294967295; do refused "6.2 digits are an id, never a name: $c" 'is not an id' <<<$'FROM busybox:1.35\n'"COPY --chown=$c Dockerfile /"; done
refused "6.2 a name on an empty file system" 'invalid user index' <<<$'FROM scratch\nCOPY --chown=www Dockerfile /'
registry_down
done_testing
