#!/bin/bash
# Whole builds: instructions, variables, stages, options, results as others read them.
. "$(dirname "$0")/../lib.sh"
need kiln userns subids overlay registry images skopeo || skip_all
registry_up

# ---- nothing but scratch: no network, no namespace
dockerfile scratch <<'EOF'
FROM scratch
COPY hello.txt /
LABEL a=b "c d"="e f"
ENV GREETING=hi
CMD ["/hello"]
EOF
echo hello >"$T/scratch/hello.txt"
built "a file in scratch" scratch -t kiln.test/scratch:1 --label from=cli --iidfile "$T/iid" --metadata-file "$T/meta" \
    -o type=oci,dest="$T/scratch.oci" -o type=tar,dest="$T/scratch.tar"
is "$(file scratch hello.txt)" hello "the file is in the tree"
c=$(config scratch)
is "$(json - 'd["config"]["Labels"]' <<<"$c")" '{"a": "b", "c d": "e f", "from": "cli"}' "labels of file and command line"
is "$(json - 'd["config"]["Cmd"]' <<<"$c")" '["/hello"]' "CMD"
is "$(json - 'sorted(d["config"]["Env"])[0]' <<<"$c")" 'GREETING=hi' "ENV"
is "$(json - '[len(d["rootfs"]["diff_ids"]), len([h for h in d["history"] if not h.get("empty_layer")])]' <<<"$c")" '[1, 1]' \
    "as many layers as history entries that have one"
like "$(cat "$T/iid")" '^sha256:[0-9a-f]{64}$' "--iidfile"
is "sha256:$(skopeo inspect --config --raw "oci-archive:$T/scratch.oci" | sha256sum | cut -d' ' -f1)" "$(cat "$T/iid")" \
    "the id is the digest of the config"
is "$(json "$T/meta" 'd["containerimage.config.digest"]')" "$(cat "$T/iid")" "--metadata-file"
built "two names" scratch -t kiln.test/a -t kiln.test/b:2

# ---- a base, commands, variables
dockerfile vars <<'EOF'
# syntax=docker/dockerfile:1
ARG BASE=busybox
FROM ${BASE}:1.35 AS first
ARG WHO=world UNSET
ENV A=1 B="two words" C=3
ENV D=${A}3 PATH=$PATH:/opt
RUN echo "$A,$B,$D,$WHO,${UNSET-none}" > /env
WORKDIR /w/${D}
RUN pwd > where; echo ${WHO:+set} >> where
RUN ["/bin/sh", "-c", "echo exec > /exec"]
EXPOSE 80 443/udp
VOLUME /data
STOPSIGNAL SIGUSR1
USER daemon:users
MAINTAINER someone
ENTRYPOINT ["/bin/echo"]
CMD ["x"]
HEALTHCHECK --interval=5s CMD true
ONBUILD RUN echo triggered > /tmp/trigger
EOF
exported vars --build-arg WHO=you -t kiln.test/vars -o type=image
_result $? "busybox with commands and variables" || diag "$out"
is "$(file vars env)" "1,two words,13,you,none" "variables reach RUN"
is "$(file vars w/13/where)" "$(printf '/w/13\nset')" "WORKDIR and modifiers"
is "$(file vars exec)" exec "exec form"
c=$(config vars)
is "$(json - 'd["config"]["User"]' <<<"$c")" "daemon:users" "USER"
is "$(json - 'sorted(d["config"]["ExposedPorts"])' <<<"$c")" '["443/udp", "80/tcp"]' "EXPOSE"
is "$(json - 'd["config"]["Volumes"]' <<<"$c")" '{"/data": {}}' "VOLUME"
is "$(json - 'd["config"]["StopSignal"]' <<<"$c")" SIGUSR1 "STOPSIGNAL"
is "$(json - 'd["config"]["WorkingDir"]' <<<"$c")" /w/13 "WorkingDir"
is "$(json - 'd["author"]' <<<"$c")" someone "MAINTAINER"
is "$(json - '[d["config"]["Entrypoint"], d["config"]["Cmd"]]' <<<"$c")" '[["/bin/echo"], ["x"]]' "ENTRYPOINT and CMD"
is "$(json - '[d["os"], d["architecture"]]' <<<"$c")" "[\"linux\", \"$(dpkg --print-architecture)\"]" "platform"
# skopeo drops what the OCI config does not name: HEALTHCHECK and ONBUILD are read from the raw bytes.
c=$(skopeo inspect --config --raw "oci-archive:$T/vars.oci")
is "$(json - 'd["config"]["Healthcheck"]["Interval"]' <<<"$c")" 5000000000 "HEALTHCHECK"
like "$(json - 'd["config"]["OnBuild"]' <<<"$c")" 'RUN echo triggered' "ONBUILD is kept"

dockerfile trigger <<'EOF'
FROM kiln.test/vars
USER root
EOF
exported trigger --pull=never
_result $? "a base of the store, never asked for elsewhere" || diag "$out"
is "$(file trigger tmp/trigger)" triggered "its trigger ran"
is "$(skopeo inspect --config --raw "oci-archive:$T/trigger.oci" | json - 'd["config"].get("OnBuild")')" null "and is gone"

# ---- stages
dockerfile stages <<'EOF'
FROM busybox:1.35 AS unused
RUN exit 1
FROM busybox:1.35 AS one
RUN echo one > /one
FROM one AS two
RUN cat /one > /two
FROM scratch AS three
COPY --from=one /one /from-one
COPY --from=two /two /from-two
COPY --from=busybox:1.35 /bin/busybox /bb
FROM three
COPY --from=1 /one /by-number
EOF
exported stages
_result $? "stages, by name, number and image" || diag "$out"
is "$(file stages from-two)$(file stages by-number)" oneone "files travelled"
like "$out" "unused" "a stage that nobody needs is named"
exported stages --target three
is "$(listing stages | grep -c by-number)" 0 "--target stops there"

# ---- here-documents
dockerfile heredoc <<'EOF'
FROM busybox:1.35
ARG V=value
RUN <<EOT
echo a$V > /a
echo b > /b
EOT
RUN <<'EOT' cat > /c
kept $V
EOT
RUN <<EOT
#!/bin/sh
echo "$0" > /shebang
EOT
COPY <<one <<"two" /d/
$V
one
$V
two
EOF
exported heredoc
_result $? "here-documents" || diag "$out"
is "$(file heredoc a)$(file heredoc b)" "avalueb" "RUN with a script"
is "$(file heredoc c)" 'kept $V' "RUN with a document on standard input"
is "$(file heredoc d/one)$(file heredoc d/two)" 'value$V' "COPY with documents, quoted or not"

# ---- where the file and the context come from
mkdir -p "$T/ctx/sub"
echo data >"$T/ctx/sub/data"
printf 'FROM scratch\nCOPY sub/data /x\n' >"$T/ctx/other.Dockerfile"
printf 'sub\n' >"$T/ctx/.dockerignore"
printf '!sub\n' >"$T/ctx/other.Dockerfile.dockerignore"
built "-f with an ignore file of its own" ctx -f "$T/ctx/other.Dockerfile" -o type=tar,dest="$T/ctx.tar"
is "$(file ctx x)" data "and its file"
out=$(printf 'FROM scratch\nENV A=1\n' | "$KILN" build --progress=plain -t kiln.test/stdin - 2>&1)
_result $? "a Dockerfile on standard input" || diag "$out"
rm "$T/ctx/.dockerignore"
out=$(tar -C "$T/ctx" -cf - . | gzip | "$KILN" build --progress=plain -f other.Dockerfile -o type=tar,dest="$T/tarctx.tar" - 2>&1)
_result $? "a context on standard input" || diag "$out"
is "$(file tarctx x)" data "and its file"
out=$(cd "$T/ctx" && "$KILN" build --progress=plain -f - -o type=tar,dest="$T/dash.tar" . <<<$'FROM scratch\nCOPY sub /y/' 2>&1)
_result $? "-f - with a context folder" || diag "$out"
is "$(file dash y/data)" data "and its file"

# ---- progress
out=$("$KILN" build -q -t q "$T/scratch" 2>/dev/null </dev/null)
like "$out" '^sha256:[0-9a-f]{64}$' "-q prints the id only"
is "$("$KILN" build --progress=quiet "$T/scratch" 2>&1 </dev/null)" "" "--progress=quiet prints nothing"
out=$("$KILN" build --progress=json "$T/vars" 2>&1 </dev/null)
ok "--progress=json prints an object a line" python3 -c 'import json, sys
for l in sys.argv[1].splitlines():
    json.loads(l)' "$out"
out=$(script -qec "'$KILN' build --progress=tty --no-cache '$T/heredoc'" /dev/null </dev/null 2>&1)
_result $? "--progress=tty on a terminal" || diag "$out"
status 0 "images lists them" "$KILN" images
for name in vars a b scratch stdin; do
    [ $name = scratch ] || like "$out" "kiln.test/$name" "kiln.test/$name"
done
status 0 "check finds nothing wrong" "$KILN" check
registry_down
done_testing
