#!/bin/bash
# Several builders on one store, the same and different files, with gc running (spec/threats.md promise 7, L5).
. "$(dirname "$0")/../lib.sh"
need kiln userns subids overlay registry images || skip_all
ACCESS_LOG_OFF=false registry_up

# L5: of two that need the same image of an empty store the second waits for the first, which has it whole or not at all.
printf 'FROM debian:bookworm-slim\nRUN echo $(cat /etc/hostname) > /f\n' | dockerfile base
pids=()
for i in 1 2 3; do
    "$KILN" build --progress=plain -o type=tar,dest="$T/base$i.tar" "$T/base" >"$T/base$i" 2>&1 </dev/null &
    pids+=($!)
done
for i in 1 2 3; do
    wait "${pids[$((i - 1))]}"
    is $? 0 "builder $i of an empty store" || diag "$(tail -n 20 "$T/base$i")"
done
layer=$(find "$T/registry" -name data -size +20M | head -n 1)
is "$(grep -c "GET /v2/library/debian/blobs/sha256:$(basename "$(dirname "$layer")") " "$T/registry.log")" 1 "its layer came once"

KILN_ROOT=$T/store2 "$KILN" build --progress=plain "$T/base" >"$T/first" 2>&1 </dev/null &
first=$!
sleep 0.3
KILN_ROOT=$T/store2 "$KILN" build --progress=plain "$T/base" >"$T/second.log" 2>&1 </dev/null &
second=$!
sleep 0.3
kill -9 $first
wait $first 2>/dev/null
wait $second
is $? 0 "when the first is killed, the second pulls" || diag "$(tail -n 20 "$T/second.log")"

dockerfile same <<'EOF'
FROM busybox:1.35
RUN echo one > /one; sleep 0.3; echo ran-one
RUN echo two > /two; echo ran-two
COPY Dockerfile /d
EOF
pids=()
for i in 1 2 3 4; do
    "$KILN" build --progress=plain -t "same:$i" --iidfile "$T/id$i" -o type=tar,dest="$T/same$i.tar" -o type=image "$T/same" >"$T/log$i" 2>&1 </dev/null &
    pids+=($!)
done
for i in 1 2 3 4; do
    wait "${pids[$((i - 1))]}"
    is $? 0 "builder $i of the same file" || diag "$(tail -n 20 "$T/log$i")"
    is "$(file same$i one)$(file same$i two)" onetwo "has its files"
done
is "$(cat "$T"/log? | grep -c '^#[0-9]* [0-9.]* ran-one$')" 1 "the first step ran for one of them"
is "$(cat "$T"/log? | grep -c '^#[0-9]* [0-9.]* ran-two$')" 1 "and so did the second"

for i in 1 2 3; do
    printf 'FROM busybox:1.35\nRUN echo %s > /n; sleep 0.2\nRUN cat /n > /m\nCOPY f /f\n' $i | dockerfile diff$i
    echo "file $i" >"$T/diff$i/f"
done
(for _ in $(seq 15); do
    "$KILN" gc >>"$T/gc.log" 2>&1 || echo "gc: status $?" >>"$T/gc.bad"
    "$KILN" prune -a >>"$T/gc.log" 2>&1 || echo "prune: status $?" >>"$T/gc.bad"
    sleep 0.1
done) &
gc=$!
pids=()
for i in 1 2 3; do
    (for _ in 1 2 3; do
        "$KILN" build --progress=plain -t "diff:$i" -o type=tar,dest="$T/diff$i.tar" "$T/diff$i" </dev/null || exit
    done) >"$T/dlog$i" 2>&1 &
    pids+=($!)
done
for i in 1 2 3; do
    wait "${pids[$((i - 1))]}"
    is $? 0 "builder $i of different files, beside gc" || diag "$(tail -n 20 "$T/dlog$i")"
    is "$(file diff$i m)$(file diff$i f)" "${i}file $i" "has its own files"
done
wait $gc
is "$(cat "$T/gc.bad" 2>/dev/null)" "" "gc went on beside them"
status 0 "check" "$KILN" check
for i in 1 2 3 4; do
    status 0 "image $i is whole" "$KILN" save -o "$T/save.tar" same:$i
done

# A builder that is killed while another waits for its step: the other takes over.
printf 'FROM busybox:1.35\nRUN sleep 3; echo took-over > /f\n' | dockerfile over
"$KILN" build --progress=plain "$T/over" >"$T/first" 2>&1 </dev/null &
first=$!
sleep 0.4
"$KILN" build --progress=plain -o type=tar,dest="$T/over.tar" "$T/over" >"$T/second" 2>&1 </dev/null &
second=$!
sleep 2.3
kill -9 $first
wait $first 2>/dev/null
wait $second
is $? 0 "the waiting builder takes over" || diag "$(tail -n 20 "$T/second")"
is "$(file over f)" took-over "with the result"
ok "it has said what it waited for" grep -q 'waiting for another build that runs the same step: .*took-over' "$T/second"

# Cache mounts of two builds at once (spec/dockerfile.md 8.6): each waits in /hall until the other is there.
hall='touch /hall/$me; n=0; while [ ! -e /hall/$other ]; do n=$((n+1)); [ $n -lt 300 ] || exit 9; sleep 0.1; done'
both() { # both DIR NAME - two builds of one file
    local a b
    "$KILN" build --progress=plain --build-arg me=a --build-arg other=b -o type=tar,dest="$T/${1}a.tar" "$T/$1" >"$T/${1}a.log" 2>&1 </dev/null &
    a=$!
    "$KILN" build --progress=plain --build-arg me=b --build-arg other=a -o type=tar,dest="$T/${1}b.tar" "$T/$1" >"$T/${1}b.log" 2>&1 </dev/null
    b=$?
    wait $a
    is "$? $b" "0 0" "$2" || diag "$(tail -n 20 "$T/${1}a.log" "$T/${1}b.log")"
}
dockerfile shared <<EOF
FROM busybox:1.35
ARG me other
RUN --mount=type=cache,id=hall1,target=/hall $hall; ls /hall > /out
EOF
both shared "two builds share a cache"
is "$(file shareda out | xargs) $(file sharedb out | xargs)" "a b a b" "at the same time"
dockerfile private <<EOF
FROM busybox:1.35
ARG me other
RUN --mount=type=cache,id=hall2,target=/hall --mount=type=cache,id=own,sharing=private,target=/own $hall; echo \$me >> /own/log; sleep 0.3; cp /own/log /out
EOF
both private "two builds with a private one"
is "$(file privatea out) $(file privateb out)" "a b" "have one each"
printf 'FROM busybox:1.35\nRUN --mount=type=cache,id=own,sharing=private,target=/own cat /own/log\n' | dockerfile later
built "a later step" later
like "$(said)" '^[ab]$' "finds what one of them has left"
dockerfile locked <<'EOF'
FROM busybox:1.35
ARG me
RUN --mount=type=cache,id=lk,sharing=locked,target=/m mkdir /m/in && sleep 1 && rmdir /m/in && echo $me >> /m/log && cp /m/log /out
EOF
both locked "two builds with a locked one"
is "$(cat <(file lockeda out) <(file lockedb out) | sort | uniq -c | awk '{ print $1 }' | sort | xargs)" "1 2" "go one after the other, and the second sees what the first wrote"
registry_down
done_testing
