#!/bin/bash
# Instructions that only write the config, and the history of all (spec/dockerfile.md 6.3, 6.4, 7, H.1, H.5).
. "$(dirname "$0")/../lang.sh"

# ---- H.1, word for word
dockerfile h1 <<'EOT'
FROM scratch
ARG VER=2
ENV APP=/app$VER
WORKDIR $APP
COPY --chown=1000:1000 --chmod=u=rw,go=r a b ./
LABEL "my key"='it'"s" n=1
EXPOSE 8080 53/UDP 80-81
VOLUME ["/data", "/log"]
HEALTHCHECK --interval=90s --retries=2 CMD wget -q localhost
ENTRYPOINT ["/bin/x", "-v"]
CMD run "me"
EOT
echo a >"$T/h1/a"
echo b >"$T/h1/b"
chmod 777 "$T/h1/a"
made "H.1 builds" h1 --build-arg VER=3
same "H.1 history" "$(hist h1)" <<'EOT'
ARG VER=3 (empty)
ENV APP=/app3 (empty)
WORKDIR /app3
COPY --chown=1000:1000 --chmod=u=rw,go=r a b ./ # buildkit
LABEL my key=its n=1 (empty)
EXPOSE [53/udp 80/tcp 81/tcp 8080/tcp] (empty)
VOLUME [/data /log] (empty)
HEALTHCHECK {Test:[CMD-SHELL wget -q localhost] Interval:1m30s Timeout:0s StartPeriod:0s StartInterval:0s Retries:2} (empty)
ENTRYPOINT ["/bin/x" "-v"] (empty)
CMD ["/bin/sh" "-c" "run \"me\""] (empty)
EOT
same "H.1 config" "$(raw h1 | json - '"\n".join("%s=%s" % (k, json.dumps(v, sort_keys=True)) for k, v in sorted(d["config"].items()))')" <<'EOT'
ArgsEscaped=true
Cmd=["/bin/sh", "-c", "run \"me\""]
Entrypoint=["/bin/x", "-v"]
Env=["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "APP=/app3"]
ExposedPorts={"53/udp": {}, "80/tcp": {}, "8080/tcp": {}, "81/tcp": {}}
Healthcheck={"Interval": 90000000000, "Retries": 2, "Test": ["CMD-SHELL", "wget -q localhost"]}
Labels={"my key": "its", "n": "1"}
Volumes={"/data": {}, "/log": {}}
WorkingDir="/app3"
EOT
same "H.1 tree" "$(tree h1)" <<'EOT'
app3 d 0755 0:0
app3/a f 0644 1000:1000 "a$"
app3/b f 0644 1000:1000 "b$"
EOT
is "$(raw h1 | json - '[len(d["rootfs"]["diff_ids"]), sorted({h["comment"] for h in d["history"]})]')" '[2, ["buildkit.dockerfile.v0"]]' "H.1 two layers"
kb h1 --build-arg VER=3 -t kiln.test/h1 >/dev/null
is "$("$KILN" inspect kiln.test/h1 2>/dev/null | json - 'bool(d)')" true "kiln inspect is JSON"
is "$("$KILN" history --json kiln.test/h1 2>/dev/null | json - '[h["created_by"].split()[0] + ("*" if h["diff_id"] else "") for h in reversed(d)]')" \
    '["ARG", "ENV", "WORKDIR*", "COPY*", "LABEL", "EXPOSE", "VOLUME", "HEALTHCHECK", "ENTRYPOINT", "CMD"]' "H.1 kiln history --json tells the same"

# ---- H.5: many stages in one file, read one by one
dockerfile h5 <<'EOT'
FROM scratch AS base
CMD ["p"]
FROM base AS s1
ENTRYPOINT ["e"]
FROM base AS s2
CMD ["c"]
ENTRYPOINT ["e"]
FROM base AS s3
ENTRYPOINT ["e"]
CMD ["c"]
FROM s2 AS s4a
CMD ["c"]
FROM s4a AS s4
ENTRYPOINT ["e"]
FROM base AS s5
ENTRYPOINT []
FROM base AS s6
CMD []
FROM base AS s7
ENTRYPOINT e $X
FROM s1 AS s8
CMD
FROM s1 AS s9
ENTRYPOINT
FROM base AS s10
SHELL ["/bin/bash", "-ec"]
CMD x y
ENTRYPOINT  a  'b'
HEALTHCHECK CMD z
FROM base AS s11
CMD ['a']
EOT
cmds() {
    for s in "$@"; do
        exported h5 --target "$s" || diag "$out"
        echo "$s $(raw h5 | json - '[d["config"].get("Entrypoint"), d["config"].get("Cmd")]')"
    done
}
same "H.5, 7.8 CMD and ENTRYPOINT" "$(cmds s1 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11)" <<'EOT'
s1 [["e"], null]
s2 [["e"], ["c"]]
s3 [["e"], ["c"]]
s4 [["e"], null]
s5 [null, null]
s6 [null, null]
s7 [["/bin/sh", "-c", "e $X"], null]
s8 [["e"], ["/bin/sh", "-c", ""]]
s9 [["/bin/sh", "-c", ""], null]
s10 [["/bin/bash", "-ec", "a  'b'"], ["/bin/bash", "-ec", "x y"]]
s11 [null, ["/bin/sh", "-c", "['a']"]]
EOT

# ---- 7: the others
dockerfile meta <<'EOT'
FROM busybox:1.35 AS base
LABEL inherited=1 over=1
ENV K=v
EXPOSE 1
HEALTHCHECK --interval=1s --timeout=2s --start-period=1m --start-interval=1500ms --retries=3 CMD ["a", "b c"]
VOLUME /v1
USER u1
FROM base
LABEL over=2 "com.example x"="multi\
line" empty=
ENV K=w NEW=
EXPOSE 443/TCP 53/udp 53/sctp 10-12 127.0.0.1:8080:80 [::1]:90:91/udp 8000-8001:9000-9001 443 5/ $NOTHING
VOLUME /v2 v3/../x
VOLUME [" /v4 "]
USER  a b
STOPSIGNAL --ignored sigrtmin+3
SHELL ["/bin/sh", "-x"]
MAINTAINER  Some  One <a@b>
HEALTHCHECK --interval=0 CMD  echo  hi
WORKDIR /
WORKDIR ""
LABEL old style "label" = x
ENV PATH=$PATH:/extra
EOT
made "7 metadata" meta --label over=cli --label more=1
same "7, 6.4 history" "$(hist meta | sed '1,/VOLUME .*v1/d')" <<'EOT'
USER u1 (empty)
LABEL over=2 com.example x=multiline empty= (empty)
ENV K=w NEW= (empty)
EXPOSE [10/tcp 11/tcp 12/tcp 80/tcp 443/tcp 443/tcp 5/tcp 53/sctp 53/udp 9000/tcp 9001/tcp 91/udp] (empty)
VOLUME [/v2 v3/../x] (empty)
VOLUME [/v4] (empty)
USER a b (empty)
STOPSIGNAL sigrtmin+3 (empty)
SHELL [/bin/sh -x] (empty)
MAINTAINER Some  One <a@b> (empty)
HEALTHCHECK {Test:[CMD-SHELL echo  hi] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0} (empty)
WORKDIR / (empty)
WORKDIR / (empty)
LABEL old=style label = x (empty)
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/extra (empty)
EOT
same "7 config" "$(raw meta | json - '"\n".join([d["author"]] + ["%s=%s" % (k, json.dumps(v, sort_keys=True)) for k, v in sorted(d["config"].items()) if k not in ("Cmd", "ArgsEscaped")])')" <<'EOT'
Some  One <a@b>
Env=["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/extra", "K=w", "NEW="]
ExposedPorts={"1/tcp": {}, "10/tcp": {}, "11/tcp": {}, "12/tcp": {}, "443/tcp": {}, "5/tcp": {}, "53/sctp": {}, "53/udp": {}, "80/tcp": {}, "9000/tcp": {}, "9001/tcp": {}, "91/udp": {}}
Healthcheck={"Test": ["CMD-SHELL", "echo  hi"]}
Labels={"com.example x": "multiline", "empty": "", "inherited": "1", "more": "1", "old": "style label = x", "over": "cli"}
Shell=["/bin/sh", "-x"]
StopSignal="sigrtmin+3"
User="a b"
Volumes={"/v1": {}, "/v2": {}, "/v4": {}, "v3/../x": {}}
WorkingDir="/"
EOT
cat >"$T/meta/Dockerfile" <<'EOT'
FROM busybox:1.35
HEALTHCHECK --interval=1s --timeout=2s --start-period=1h2m --start-interval=1500ms --retries=3 CMD ["a", "b c"]
HEALTHCHECK --foo none
HEALTHCHECK --retries=+3 --interval=.5s CMD x
EXPOSE $PORTS
EOT
made "7.11 HEALTHCHECK" meta
same "7.11, 7.4 history" "$(hist meta | tail -4)" <<'EOT'
HEALTHCHECK {Test:[CMD a b c] Interval:1s Timeout:2s StartPeriod:1h2m0s StartInterval:1.5s Retries:3} (empty)
HEALTHCHECK {Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0} (empty)
HEALTHCHECK {Test:[CMD-SHELL x] Interval:500ms Timeout:0s StartPeriod:0s StartInterval:0s Retries:3} (empty)
EXPOSE [] (empty)
EOT
for c in 'HEALTHCHECK --interval=1us CMD x|cannot be less than 1ms' 'HEALTHCHECK --retries=-1 CMD x|--retries cannot be negative' 'HEALTHCHECK NONE x|HEALTHCHECK NONE takes no arguments' \
    'HEALTHCHECK FOO x|Unknown type "FOO"' 'HEALTHCHECK CMD|Missing command after HEALTHCHECK CMD' 'EXPOSE 80/icmp|invalid proto' 'EXPOSE 1-2:3-5|invalid ranges specified' \
    'EXPOSE a.b:1:2|invalid IP address' 'EXPOSE 70000|invalid containerPort' 'EXPOSE x:80|invalid hostPort' 'EXPOSE /tcp|no port specified' 'STOPSIGNAL 0|invalid signal: 0' 'STOPSIGNAL RTMIN+01|invalid signal: RTMIN' \
    'VOLUME ["", "/a"]|VOLUME specified can not be an empty string' 'SHELL []|SHELL requires at least one argument' 'CMD --x|unknown flag' 'USER|USER requires exactly one argument' \
    'LABEL a=1 b|can.t find =' 'ENV =x|names can not be blank' 'WORKDIR|WORKDIR requires exactly one argument'; do
    refused "7 ${c%%|*}" "${c#*|}" <<<$'FROM scratch\n'"${c%%|*}"
done
# Appendix D.2: what is seen stays, the rest is escaped by its size; U+200B, U+00A0, a tag and two bytes that are no UTF-8.
printf 'FROM scratch\nCMD ["\303\251\\u200b\\u00a0\\u0001\363\240\200\201 \360\237\230\200\\"\\\\"]\nENTRYPOINT \377x \a\n' | dockerfile quoted
made "D.2 builds" quoted
same "D.2 the quoted list" "$(hist quoted)" <<'EOT'
CMD ["é\u200b\u00a0\x01\U000e0001 😀\"\\"] (empty)
ENTRYPOINT ["/bin/sh" "-c" "\xffx \a"] (empty)
EOT
is "$(printf 'FROM scratch\nHEALTHCHECK --foo=1 CMD x\n' | "$KILN" build -f - "$T/bad" 2>&1 </dev/stdin | grep -c ^error:)" 1 "7.11 an unknown option is one error"
registry_down
done_testing
