#!/bin/bash
# Independent stages run beside each other; -j bounds them; the first failure stops the rest.
. "$(dirname "$0")/../lib.sh"
need kiln userns subids overlay registry images || skip_all
registry_up

# Each waits until the other is there: only possible side by side. The cache mount is where they meet.
meet() {
    cat <<'EOF'
FROM busybox:1.35 AS a
RUN --mount=type=cache,target=/m,id=meet touch /m/a; n=0; while [ ! -e /m/b ]; do n=$((n+1)); [ $n -lt 300 ] || exit 9; sleep 0.1; done
FROM busybox:1.35 AS b
RUN --mount=type=cache,target=/m,id=meet touch /m/b; n=0; while [ ! -e /m/a ]; do n=$((n+1)); [ $n -lt 300 ] || exit 9; sleep 0.1; done
FROM busybox:1.35
COPY --from=a /etc/passwd /a
COPY --from=b /etc/passwd /b
EOF
}
meet | dockerfile meet
built "two stages meet" meet -j 2

cat <<'EOF' | dockerfile lock
FROM busybox:1.35 AS a
RUN --mount=type=cache,target=/m,id=lock,sharing=locked test ! -e /m/in && touch /m/in && sleep 0.5 && rm /m/in
FROM busybox:1.35 AS b
RUN --mount=type=cache,target=/m,id=lock,sharing=locked test ! -e /m/in && touch /m/in && sleep 0.4 && rm /m/in
FROM busybox:1.35
COPY --from=a /etc/passwd /a
COPY --from=b /etc/passwd /b
EOF
built "a locked cache is one at a time" lock -j 2

cat <<'EOF' | dockerfile one
FROM busybox:1.35 AS a
RUN --mount=type=cache,target=/m,id=one test ! -e /m/in && touch /m/in && sleep 0.5 && rm /m/in
FROM busybox:1.35 AS b
RUN --mount=type=cache,target=/m,id=one test ! -e /m/in && touch /m/in && sleep 0.4 && rm /m/in
FROM busybox:1.35
COPY --from=a /etc/passwd /a
COPY --from=b /etc/passwd /b
EOF
built "-j 1 is one at a time" one -j 1

secs=86420$((RANDOM % 10))
cat <<EOF | dockerfile stop
FROM busybox:1.35 AS a
RUN sleep ${secs}1
FROM busybox:1.35 AS b
RUN sleep 1; exit 4
FROM busybox:1.35
COPY --from=a /etc/passwd /a
COPY --from=b /etc/passwd /b
EOF
SECONDS=0
status 1 "one stage fails" timeout 60 "$KILN" build --progress=plain -j 2 "$T/stop"
ok "the other is stopped" [ $SECONDS -lt 30 ]
ok "and gone" stopped "^sleep ${secs}1"
like "$out" '(exit code: 4|status 4)' "the cause is what is told"
like "$out" 'Dockerfile:4' "with its line"
# What began has an end, in each form.
like "$out" '^#[0-9]+ canceled [0-9.]+s$' "the other is told to be canceled"
"$KILN" build --progress=json -j 2 "$T/stop" >"$T/stop.json" 2>&1
is "$(python3 -c 'import json, sys
print(*sorted(e["event"] for e in map(json.loads, sys.stdin) if e["event"] in ("failed", "canceled", "done")))' <"$T/stop.json")" \
    "canceled failed" "... in JSON" || diag "$(cat "$T/stop.json")"
"$KILN" build --progress=rawjson -j 2 "$T/stop" 2>&1 | grep '^{' >"$T/stop.json"
is "$(python3 -c 'import json, sys
last = {v["digest"]: v for line in sys.stdin for v in json.loads(line).get("vertexes", [])}
print(*sorted(v.get("error", "") for v in last.values() if "started" in v and "completed" in v), len(last))' <"$T/stop.json")" \
    "context canceled failed 2" "... in that of BuildKit" || diag "$(cat "$T/stop.json")"

# A command that was over when another failed is not run again: its layer is finished first.
printf 'FROM busybox:1.35\nRUN head -c 60000000 /dev/urandom >/big\nRUN exit 3\n' | dockerfile kept
status 1 "a step fails while the one before is packed" "$KILN" build --progress=plain "$T/kept"
like "$out" '#[0-9]+ done [0-9.]+s 60.0 MB' "what was done is kept"
status 1 "it fails again" "$KILN" build --progress=plain "$T/kept"
is "$(grep -c ' cached$' <<<"$out")" 1 "the one before was not run again"

# A step that starts while the one before is packed sees what that one made of the root directory.
printf 'FROM busybox:1.35\nRUN head -c 60000000 /dev/urandom >/big; chmod 711 /; chown 5:6 /\nRUN stat -c "%%a %%u:%%g" /\n' | dockerfile root
built "the root changes while a step starts" root
is "$(said)" "711 5:6" "the next one sees it"

# The step on top is made ready while one runs, and sees all that it does until its end; if it fails, nothing of that is left.
dockerfile ahead <<'EOF'
FROM busybox:1.35
RUN sleep 0.5; echo late >/late; chmod 700 /; chown 7:8 /; mkdir -p /etc/resolv.conf.d
RUN cat /late; stat -c "%a %u:%g" /; grep -c localhost /etc/hosts; ls -d /etc/resolv.conf.d; stat -f -c %T /dev/shm
RUN cat /late; sleep 0.5; exit 3
RUN echo never >/cat
EOF
status 1 "a step fails under one that is ready" "$KILN" build --progress=plain "$T/ahead"
is "$(said | tr '\n' ' ')" "late 700 7:8 2 /etc/resolv.conf.d tmpfs late " "a step that was ready sees all of the one below"
unlike "$out" 'never' "what was ready did not run, nor is it told of"
is "$(ls "$KILN_ROOT/tmp"; find "$KILN_ROOT/trash" -name late)" "" "and leaves nothing"

# Many: a ladder of twelve stages, all of them used.
{
    for i in $(seq 12); do
        echo "FROM busybox:1.35 AS s$i"
        echo "RUN echo $i > /n"
    done
    echo "FROM scratch"
    for i in $(seq 12); do
        echo "COPY --from=s$i /n /n$i"
    done
} | dockerfile many
built "twelve stages" many -o type=tar,dest="$T/many.tar"
is "$(for i in $(seq 12); do file many "n$i"; done | tr '\n' ' ')" "1 2 3 4 5 6 7 8 9 10 11 12 " "each brought its own file"
status 0 "the store is clean" "$KILN" check
registry_down
done_testing
