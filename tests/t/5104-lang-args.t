#!/bin/bash
# Variables: scopes of ARG and ENV, platform and proxy arguments, expansion, the environment of RUN (spec/dockerfile.md 3, 4, 8.8, 8.9).
. "$(dirname "$0")/../lang.sh"

# ---- H.3, word for word
dockerfile h3 <<'EOT'
ARG A=1
FROM busybox:1.35 AS first
RUN echo "$A" >> /o
ARG A
RUN echo "$A" >> /o
ENV A=2
RUN echo "$A" >> /o
ARG A=3
RUN echo "$A" >> /o
FROM first
RUN echo "$A" >> /o
ARG B
RUN echo "$A$B" >> /o
EOT
made "H.3 builds" h3
is "$(file h3 o)" "$(printf '\n1\n2\n3\n2\n2')" "H.3 what each RUN sees; a child stage starts with the image's value (4.1)"
same "H.3 history" "$(hist h3 | tail -10)" <<'EOT'
RUN /bin/sh -c echo "$A" >> /o # buildkit
ARG A=1 (empty)
RUN |1 A=1 /bin/sh -c echo "$A" >> /o # buildkit
ENV A=2 (empty)
RUN |1 A=2 /bin/sh -c echo "$A" >> /o # buildkit
ARG A=3 (empty)
RUN |1 A=3 /bin/sh -c echo "$A" >> /o # buildkit
RUN |1 A=2 /bin/sh -c echo "$A" >> /o # buildkit
ARG B (empty)
RUN |2 A=2 B= /bin/sh -c echo "$A$B" >> /o # buildkit
EOT
made "H.3 with --build-arg" h3 --build-arg A=9
is "$(file h3 o)" "$(printf '\n9\n2\n9\n2\n2')" "H.3 gives 9, 2, 9"
is "$(raw h3 | json - '[v for v in d["config"]["Env"] if v[0] in "AB"]')" '["A=2"]' "4.1 ARG is not in the image"

# ---- 4.2, 4.3, 4.4
dockerfile scopes <<'EOT'
ARG ONE=1 TWO=${ONE}2 THREE
ARG TARGETSTAGE TARGETOS=made-up
ARG NOVALUE
FROM busybox:1.35 AS build
ARG ONE=inner TWO BUILDPLATFORM TARGETPLATFORM TARGETOS TARGETARCH TARGETSTAGE TARGETVARIANT THREE NOVALUE HTTP_PROXY2
ARG L1=a L2=${L1}b
ENV E=$ONE$TWO F=${THREE-unset} G=${NOVALUE-none} e="low" PATHS=/x:$PATH
ENV OLD v with "quotes" = kept
RUN echo "$ONE,$TWO,${THREE-unset},$TARGETOS,$TARGETSTAGE,${TARGETVARIANT-no},$L2" > /vars; echo "$BUILDPLATFORM" > /bp
RUN env | sort > /env
ENV E=2 H=${E} E=3
ARG E=shadow
RUN echo "$E $H" >> /vars
ENV KEEP=${KEEP:-x}
ARG BUILDKIT_SBOM_SCAN_STAGE=true
RUN echo "${BUILDKIT_SBOM_SCAN_STAGE-hidden}" >> /vars
FROM scratch AS last
COPY --from=build /vars /env /bp /
EOT
made "4 scopes" scopes --build-arg TWO=given --build-arg UNDECLARED=x --build-arg HTTP_PROXY=http://p:1 --build-arg no_proxy=low --build-arg NO_PROXY=up \
    --build-arg Ftp_Proxy=mixed --build-arg ALL_PROXY= --target last
like "$out" "argument 'UNDECLARED' is not used" "an argument that nothing declares is told"
unlike "$(grep UNDECLARED <<<"$out")" 'warning' "4.3 but not as a warning"
is "$(file scopes vars)" "$(printf 'inner,given,unset,made-up,last,,ab\nshadow innergiven\nhidden')" "4.2, 4.3, 4.4 global, stage and platform arguments"
arch=$(dpkg --print-architecture)
is "$(file scopes bp)" "linux/$arch" "4.4 BUILDPLATFORM"
env=$(file scopes env)
like "$env" '^HTTP_PROXY=http://p:1$' "4.5 a proxy is in the environment"
like "$env" '^http_proxy=http://p:1$' "4.5 in both spellings"
is "$(grep -ic '^no_proxy=low$' <<<"$env")" 2 "4.5 the lower-case one wins"
is "$(grep -c '^ftp_proxy=mixed$\|^FTP_PROXY=mixed$' <<<"$env")" 2 "4.5 names in any case"
unlike "$env" '^(all_proxy|ALL_PROXY|Ftp_Proxy)=' "4.5 only what has a value"
like "$env" '^HOME=/root$' "4.7 HOME"
like "$env" '^OLD=v with quotes = kept$' "2.8 the old form of ENV"
like "$env" '^PATHS=/x:/usr/local/sbin:' "4.7 PATH"
unlike "$env" 'UNDECLARED|THREE|NOVALUE' "4.3 undeclared or without a value: not there"
made "4.4 the target stage" scopes --build-arg TWO=t --target build
like "$(hist scopes)" '^ARG ONE=inner TWO=t BUILDPLATFORM=linux/'"$arch"' .* TARGETSTAGE=build TARGETVARIANT= THREE NOVALUE HTTP_PROXY2 \(empty\)$' "6.4 ARG: values, and names without one"
like "$(hist scopes)" '^ENV E=innert F=unset G=none e=low PATHS=' "6.4 ENV: expanded"
like "$(hist scopes)" '^ENV E=2 H=innert E=3 \(empty\)$' "3.1 names refer to the environment before"
unlike "$(hist scopes)" 'p:1' "4.5 proxies are not in the history"
is "$(raw scopes | json - '[v for v in d["config"]["Env"] if v.split("=")[0] in ("E", "H", "KEEP", "e")]')" '["E=3", "e=low", "H=innert", "KEEP=x"]' "4.1 the image keeps ENV, in place"

# ---- 4.1, 7.1: where a variable stands in the image, also when the base has a name twice, and when there are very many
dockerfile twice <<'EOT'
FROM scratch
ENV A=1
EOT
made "a base" twice
altered twice 'd["config"]["Env"] = ["A=1", "B=1", "PATH=/p", "A=2", "C=1", "A=3"]'
dockerfile twice <<'EOT'
FROM base AS one
ARG NEW=arg
ENV C=2 NEW=1
FROM one
ENV A=$A$A NEW=2 B=$NEW Z=z
EOT
envs() { raw "$1" | json - '" ".join(d["config"]["Env"])'; }
made "4.1 a base with a name twice" twice --build-context base="oci-layout://$T/twice.layout:1" --target one
is "$(envs twice)" 'A=1 B=1 PATH=/p A=2 C=2 A=3 NEW=1' "4.1 what nobody sets stays"
made "4.1 and a stage on it" twice --build-context base="oci-layout://$T/twice.layout:1"
is "$(envs twice)" 'A=33 B=1 PATH=/p C=2 NEW=2 Z=z' "4.1 the last one counts; what is set is there once"
mkdir -p "$T/manyenv"
python3 -c 'print("FROM scratch AS a")
for k in range(2200): print("ARG", *[f"E{i}=0" for i in range(k * 10, k * 10 + 10)])
for k in range(2200): print("ENV", *[f"E{i}=1" for i in range(k * 10, k * 10 + 10)])
print("FROM a")
for k in range(4400): print("ENV", *[f"E{i}=2" for i in range(k * 10, k * 10 + 10)])' >"$T/manyenv/Dockerfile"
out=$(timeout 5 "$KILN" build --progress=plain -o "type=oci,dest=$T/manyenv.oci" "$T/manyenv" 2>&1) || diag "$out"
is "$(raw manyenv | json - '[len(d["config"]["Env"]), d["config"]["Env"][1], d["config"]["Env"][-1]]')" '[44001, "E0=2", "E43999=2"]' "7.1 very many are set in no time"

# ---- 4.7 the environment of RUN, in order, without a shell
printf 'FROM busybox:1.35\n' | dockerfile order
made "a base" order
altered order 'd["config"]["Env"] = ["B=1", "C=2"]'
dockerfile order <<'EOT'
FROM base
ARG Z=1 B=3
ENV A=x
RUN --mount=type=secret,id=s,env=A --mount=type=secret,id=s,env=http_proxy ["/bin/cat", "/proc/self/environ"]
EOT
printf 's' >"$T/s"
made "4.7 the environment" order --build-context base="oci-layout://$T/order.layout:1" --secret id=s,src="$T/s" --http-proxy=false --build-arg http_proxy=p
is "$(said)" 'C=2\x00PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\x00Z=1\x00B=3\x00HTTP_PROXY=p\x00A=s\x00http_proxy=s\x00HOME=/root\x00' \
    "4.7 in order, with PATH and HOME; secrets last, and each name once"
is "$(envs order)" 'B=1 C=2 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin A=x' "4.7 the image gets a PATH"

# ---- 3: operators, in values, paths and COPY documents
dockerfile expand <<'EOT'
FROM scratch
ENV v=/foo/bar/baz.tar.gz s='it'"'"'s' E= B=b
ENV r1=${v#*/} r2=${v##*/} r3=${v%.*} r4=${v%%.*} r5=${v/o/0} r6=${v//a/A} r7=${v//\//-} r8=${v//b*r/X}
ENV d1=${U:-w} d2=${U-w} d3=${E:-w} d4=${E-w} d5=${B:+w} d6=${B+w} d7=${E:+w} d8=${E+w} d9="${U:-"x-y"}" d10=${U:-${B:-q}}
ENV q1=x\ty q2="x\ty" q3='x\\ty' q4=h'e l'lo q5=\$B q6="\$B" q7='$B' q8=$$ q9=a$1a q10="$" q11=${U/*/x}
WORKDIR /w/${v##*/}
COPY <<A <<"B" <<-C ./
"${U:-'x'}" \$B \n $B
A
$B
B
		two $B
	C
COPY ["a $B", "/${B}$B x/"]
EXPOSE 80${X:-80} $U 90
STOPSIGNAL ${SIG:-term}
USER ${WHO:-me}:$B
VOLUME /$B "/q"
EOT
touch "$T/expand/a b"
made "3 expansion" expand
same "3.2, 3.3, 3.4, 3.5 values" "$(raw expand | json - '"\n".join(v for v in d["config"]["Env"] if v[0] in "rdq")')" <<'EOT'
r1=foo/bar/baz.tar.gz
r2=baz.tar.gz
r3=/foo/bar/baz.tar
r4=/foo/bar/baz
r5=/f0o/bar/baz.tar.gz
r6=/foo/bAr/bAz.tAr.gz
r7=-foo-bar-baz.tar.gz
r8=/foo/X.gz
d1=w
d2=w
d3=w
d4=
d5=w
d6=w
d7=
d8=w
d9=x-y
d10=b
q1=xty
q2=x\ty
q3=x\\ty
q4=he llo
q5=$B
q6=$B
q7=$B
q8=
q9=aa
q10=$
q11=x
EOT
same "2.9.5, 3.1 COPY: documents and JSON words" "$(tree expand | grep ' f ')" <<'EOT'
bb x/a b f 0644 0:0 ""
w/baz.tar.gz/A f 0644 0:0 ""'x'" $B n b$"
w/baz.tar.gz/B f 0644 0:0 "$B$"
w/baz.tar.gz/C f 0644 0:0 "two b$"
EOT
is "$(raw expand | json - 'sorted(d["config"]["ExposedPorts"])')" '["8080/tcp", "90/tcp"]' "3.6 EXPOSE keeps the text before a \${}"
is "$(raw expand | json - '[d["config"]["StopSignal"], d["config"]["User"], sorted(d["config"]["Volumes"])]')" '["term", "me:b", ["/b", "/q"]]' \
    "3.1 STOPSIGNAL, USER, VOLUME" || raw expand
refused "4.6 BUILDKIT_MULTI_PLATFORM is a boolean" 'invalid boolean value for multi-platform' --build-arg BUILDKIT_MULTI_PLATFORM=maybe <<<'FROM scratch'

# ---- 3.7, 18.6 progress shows what is known of the variables, and no secret
dockerfile titles <<'EOT'
FROM busybox:1.35
ARG V=1.2 TOK=x
RUN echo $V "$V" '$V' ${U:-no} ${V%.*} $U
RUN --mount=type=secret,id=s,env=TOK echo $TOK $V > /dev/null; true \
  $V
RUN true # it's $V
RUN <<E
echo $V
echo more
E
RUN <<E cat
x
E
WORKDIR /w$V
COPY --chown=$V . /d$V/
EOT
kb titles --secret id=s,src="$T/s"
same "3.7, 18.6 titles" "$(sed -n 's/^#[0-9]* \(\[.*\)/\1/p' <<<"$out")" <<'EOT'
[2/8] RUN echo 1.2 "1.2" '$V' ${U:-no} 1 $U
[3/8] RUN --mount=type=secret,id=s,env=TOK echo **** 1.2 > /dev/null; true...
[4/8] RUN true # it's $V
[5/8] RUN <<E (echo $V...)
[6/8] RUN <<E cat...
[7/8] WORKDIR /w1.2
[8/8] COPY --chown=1.2 . /d1.2/
EOT
registry_down
done_testing
