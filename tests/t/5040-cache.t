#!/bin/bash
# The step cache: what hits, what runs again, and the reason that is told (spec/dockerfile.md 17).
. "$(dirname "$0")/../lib.sh"
need kiln userns subids overlay registry images skopeo || skip_all
registry_up

dockerfile c <<'EOF'
FROM busybox:1.35 AS build
ARG V=1
RUN echo "$V" > /v; echo ran-first
COPY src /src
RUN cat /src/* > /all; echo ran-second
FROM busybox:1.35
COPY --from=build /all /all
RUN echo ran-last
EOF
mkdir "$T/c/src"
echo one >"$T/c/src/one"
echo two >"$T/c/src/two"
# ran - which of the three commands were run, by what they print
ran() { said | grep -oE '^ran-(first|second|last)' | sort -u | tr '\n' ' '; }

built "first" c --iidfile "$T/id1"
is "$(ran)" "ran-first ran-last ran-second " "everything runs"
built "second" c --iidfile "$T/id2"
is "$(ran)" "" "nothing runs"
like "$out" '[Cc]ached' "and says cached"
is "$(cat "$T/id2")" "$(cat "$T/id1")" "the same image"
touch -d 2001-01-01 "$T/c/src/one"
built "a file's time" c
is "$(ran)" "" "is no reason"
registry_down
built "without the registry" c
is "$(ran)" "" "nothing is asked for"
echo three >"$T/c/src/two"
built "one file changed" c
is "$(ran)" "ran-last ran-second " "what depends on it runs"
like "$out" 'src/two' "the file is named as the reason"
chmod 600 "$T/c/src/one"
built "one mode changed" c
like "$out" 'src/one' "the file is named"
like "$out" '(mode|0600|0644)' "and that it is the mode"
chmod 644 "$T/c/src/one"
built "and back" c
is "$(ran)" "" "everything is remembered"

built "another argument" c --build-arg V=2
like "$(ran)" 'ran-first' "the RUN that sees it runs"
like "$out" '\bV\b' "the argument is named"
sed -i 's/ran-last/& again/' "$T/c/Dockerfile"
built "another command" c
like "$(said)" '^ran-last again$' "runs"
unlike "$(said)" 'ran-second' "the others do not"
like "$out" "argument changed, 'echo ran-last again' was 'echo ran-last'" "with the reason"

# A rebuilt but identical parent: the content key hits behind it (spec/oci.md 5.2).
dockerfile same <<'EOF'
FROM busybox:1.35 AS a
ARG N
RUN --mount=type=cache,target=/cc echo "$N" > /cc/n; touch -d @1000000000 / ; echo made-a
FROM scratch
COPY --from=a /bin/true /t
FROM busybox:1.35
COPY --from=a /etc/passwd /p
RUN echo behind
EOF
built "a stage" same --build-arg N=1
built "its RUN changed, its files did not" same --build-arg N=2
like "$(said)" 'made-a$' "the stage runs again"
unlike "$(said)" 'behind$' "what only reads its files does not"

built "--no-cache" c --no-cache
like "$(ran)" 'ran-first ran-last ran-second|ran-first ran-second' "runs everything"
built "after it" c
is "$(ran)" "" "hits again"

# Whoever asks, in whatever order the folder was written.
cp -r "$T/c" "$T/moved"
built "the same files elsewhere" moved
is "$(ran)" "" "hit too"

# A secret's value is not in the key, its presence does no harm.
printf 'FROM busybox:1.35\nRUN --mount=type=secret,id=s true; echo with-secret\n' | dockerfile s
echo 1 >"$T/sec"
built "a secret" s --secret "id=s,src=$T/sec"
echo 2 >"$T/sec"
built "another value" s --secret "id=s,src=$T/sec"
unlike "$(said)" 'with-secret$' "is the same step"

# gc keeps what names and running builds need, prune -a makes steps run again.
built "named" c -t kept:1
status 0 "gc" "$KILN" gc
built "after gc" c -t kept:1
is "$(ran)" "" "hits"
status 0 "prune -a" "$KILN" prune -a
is "$("$KILN" images -q --filter dangling=true)" "" "untagged images are gone"
status 0 "the named image is still whole" "$KILN" save -o "$T/kept.tar" kept:1

# Cache mounts (spec/oci.md 7.5): only on request or by age, never while a step has one, of any owner (USER 7 is a subordinate id).
caches() { "$KILN" du --json | json - '" ".join(sorted(o["note"].split("\n")[0] for o in d if o["kind"] == "cache"))'; }
dockerfile m <<'EOF'
FROM busybox:1.35
RUN --mount=type=cache,id=one,target=/c,uid=7,mode=0700 mkdir /c/d; echo x >/c/d/f; chmod 700 /c/d; chown -R 7 /c
RUN --mount=type=cache,id=two,target=/c,sharing=private echo y >/c/f
EOF
built "with cache mounts" m
is "$(caches)" "/one /two" "two cache mounts"
status 0 "gc" "$KILN" gc
status 0 "by age" "$KILN" prune --filter until=1h
is "$(caches)" "/one /two" "young ones stay"
status 0 "-a, by age" "$KILN" prune -a --filter until=1h
is "$(caches)" "/one /two" "young ones stay even so"
status 0 "all but cache mounts" "$KILN" prune -a --filter type=regular
is "$(caches)" "/one /two" "they stay"
built "again" m
status 0 "only cache mounts" "$KILN" prune --filter type=exec.cachemount
is "$(caches)" "" "they go"
built "the same again" m
is "$(grep -c ' cached$' <<<"$out")" 2 "and step results stay, then and by age"
built "with cache mounts again" m --no-cache
like "$("$KILN" prune -a --dry-run)" '2 cache mounts' "what would go"
is "$(caches)" "/one /two" "and it stays"
dockerfile h <<'EOF'
FROM busybox:1.35
RUN --mount=type=cache,id=one,target=/c echo holding; sleep 60
EOF
"$KILN" build --progress=plain -t holder "$T/h" >"$T/holder.log" 2>&1 &
holder=$!
for _ in $(seq 200); do
    grep -q ' holding$' "$T/holder.log" && break
    sleep 0.05
done
like "$("$KILN" prune -a)" '2 cache mounts' "all others go"
is "$(caches)" "/one" "what a step has mounted stays"
kill $holder
wait $holder
like "$("$KILN" prune -a --json)" '"caches": ?1' "afterwards it goes"
is "$(caches)" "" "none is left"
is "$(ls "$KILN_ROOT/cache" "$KILN_ROOT/trash" | grep -v : | tr -d '\n')" "" "nor anything of them"
built "again" m
# By size, least recently used first; what a killed prune has left: a note alone, a directory alone, one in trash/.
dockerfile big <<'EOF'
FROM busybox:1.35
RUN --mount=type=cache,id=old,target=/c dd if=/dev/zero of=/c/f bs=1M count=8
RUN --mount=type=cache,id=new,target=/c dd if=/dev/zero of=/c/f bs=1M count=8
EOF
ok "none but those" "$KILN" prune --filter type=exec.cachemount
built "large ones" big
old=$(grep -lx '/*old' "$KILN_ROOT"/cache/*.id)
touch -d '1 hour ago' "$old"
status 0 "by size" "$KILN" prune --filter type=exec.cachemount --max-used-space 12MB
is "$(caches)" "/new" "the one that was used last stays"
built "as large again" big --no-cache
mv "${old%.id}" "$KILN_ROOT/trash/0123456789abcdef0123456789abcdef"
new=$(grep -lx '/*new' "$KILN_ROOT"/cache/*.id)
rm "$new"
status 0 "after a killed prune" "$KILN" prune -a
is "$(ls -A "$KILN_ROOT/cache" "$KILN_ROOT/trash" | grep -v : | tr -d '\n')" "" "all is gone"

# What a build needs for itself goes with it.
dockerfile two <<<$'FROM busybox:1.35\nRUN echo a >/a\nRUN echo b >/b\nCOPY Dockerfile /'
built "a build" two
is "$(ls -A "$KILN_ROOT/tmp" "$KILN_ROOT/trash" | grep -v : | tr -d '\n')" "" "leaves nothing in tmp/ and trash/"
"$KILN" prune -a >/dev/null

# Several at once, beside steps that use theirs.
dockerfile use <<'EOF'
FROM busybox:1.35
ARG me
RUN --mount=type=cache,target=/c i=0; while [ $i -lt 8 ]; do echo $i > /c/$me || exit 9; sleep 0.1; [ "$(cat /c/$me)" = $i ] || exit 9; i=$((i+1)); done
RUN --mount=type=cache,target=/c touch /c/x$me && sleep 0.3 && rm /c/x$me
EOF
pids=()
for i in 1 2 3; do
    (for _ in $(seq 10); do "$KILN" prune -a || echo "status $?"; sleep 0.1; done) >"$T/prune$i.log" 2>&1 &
    pids+=($!)
done
for i in 1 2; do
    (for k in 1 2; do "$KILN" build --progress=plain --no-cache --build-arg "me=$i$k" "$T/use" </dev/null || exit 1; done) >"$T/use$i.log" 2>&1 &
    pids+=($!)
done
rc=
for p in "${pids[@]}"; do
    wait "$p"
    rc+=$?
done
is "$rc$(grep -h 'status\|error' "$T"/prune?.log)" 00000 "prunes and steps do not disturb each other" || diag "$(tail -n 15 "$T"/use?.log "$T"/prune?.log)"
status 0 "check" "$KILN" check
status 0 "du" "$KILN" du

# What only reads needs no right to write (spec/oci.md 7.8).
if [ "$(id -u)" -eq 0 ]; then
    frozen() { unshare --mount sh -c 'mount --bind "$KILN_ROOT" "$KILN_ROOT" && mount -o remount,bind,ro "$KILN_ROOT" && exec "$@"' sh "$@"; }
else
    chmod -R a-w "$KILN_ROOT" 2>/dev/null
    frozen() { "$@"; }
fi
status 0 "a read-only store: images" frozen "$KILN" images
like "$out" '^kept +1 ' "are listed"
status 0 "inspect" frozen "$KILN" inspect kept:1
status 0 "history" frozen "$KILN" history kept:1
status 0 "check" frozen "$KILN" check
status 0 "du" frozen "$KILN" du
status 0 "save" frozen "$KILN" save -o "$T/frozen.tar" kept:1
is "$(sha256sum <"$T/frozen.tar")" "$(sha256sum <"$T/kept.tar")" "the same archive"
status 125 "what writes is refused" frozen "$KILN" build --no-cache "$T/m"
like "$out" "read-only" "and says why"
status 125 "prune too" frozen "$KILN" prune
like "$out" "read-only|permission denied" "and says why"
done_testing
