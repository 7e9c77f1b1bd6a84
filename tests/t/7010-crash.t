#!/bin/bash
# kill -9 at random points: the store opens, its check is clean, the next build is right (spec/threats.md promise 6).
. "$(dirname "$0")/../lib.sh"
need kiln userns subids overlay registry images || skip_all
registry_up
rounds=${KILN_CRASH_ROUNDS:-20}

dockerfile k <<'EOF'
FROM busybox:1.35 AS a
RUN head -c 3000000 /dev/urandom > /big; echo a > /a
RUN rm /big; touch -d @1000000000 /a
FROM busybox:1.35
COPY many /many
RUN cat /many/* | wc -c > /count
COPY --from=a /a /a
RUN echo end > /end
EOF
mkdir "$T/k/many"
for i in $(seq 300); do echo "$i" >"$T/k/many/$i"; done
built "undisturbed" k -o type=tar,dest="$T/want.tar"
want=$(file want many/7)$(file want count)$(file want a)$(file want end)

bad=0 killed=0
for i in $(seq "$rounds"); do
    # A new step each time, so that there is something to interrupt.
    echo "$i-$RANDOM" >"$T/k/many/1"
    [ $((i % 5)) -ne 1 ] || remove_tree "$T/store2"
    KILN_ROOT=$T/store2 "$KILN" build --progress=plain -t "crash:$i" "$T/k" >"$T/log" 2>&1 </dev/null &
    pid=$!
    sleep "0.$(printf %03d $((RANDOM % 700)))"
    if kill -9 $pid 2>/dev/null; then
        killed=$((killed + 1))
    fi
    wait $pid 2>/dev/null
    for _ in $(seq 50); do
        running "$T/store2" || break
        sleep 0.1
    done
    out=$(KILN_ROOT=$T/store2 "$KILN" check 2>&1) || { bad=$((bad + 1)); diag "check after round $i: $out"; }
done
is "$bad" 0 "check is clean after each of $rounds rounds"
ok "some were killed ($killed)" [ "$killed" -gt 0 ]
echo 1 >"$T/k/many/1"
KILN_ROOT=$T/store2 kb k -o type=tar,dest="$T/got.tar"
_result $? "the next build succeeds" || diag "$out"
is "$(file got many/7)$(file got count)$(file got a)$(file got end)" "$want" "and is right"
status 0 "gc" env KILN_ROOT="$T/store2" "$KILN" gc
is "$(ls -A "$T/store2/tmp" "$T/store2/trash" 2>/dev/null | grep -cE '^[0-9a-f]{32}')" 0 "takes away what was left"
unlike "$(cat /proc/self/mounts)" "$T" "no mount is left"
ok "no process of a build is left" stopped "$T/store2"
registry_down
done_testing
