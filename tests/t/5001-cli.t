#!/bin/bash
# The command line as a whole: help, mistakes and their exit status, options of other builders, what works without a store.
. "$(dirname "$0")/../lib.sh"
need kiln || skip_all

status 0 "--version" "$KILN" --version
like "$out" '^kiln [0-9]' "it tells the version"
status 0 "version as JSON" "$KILN" version --json
like "$out" '^\{"version":"[^"]+"\}$' "one object"
for c in build pull push images tag rmi inspect history save load login logout prune du check doctor version help; do
    status 0 "$c --help needs no store" env KILN_ROOT=/nonexistent/x "$KILN" "$c" --help
    like "$out" "^usage: kiln $c" "$c has a usage line"
    status 0 "help $c says the same" env KILN_ROOT=/nonexistent/x "$KILN" help "$c"
done
ok "no store was made" [ ! -e "$KILN_ROOT" ]

# ---- mistakes
status 125 "no command" "$KILN"
like "$out" 'no command was given' "says so"
status 125 "unknown command" "$KILN" biuld
like "$out" "did you mean 'kiln build'" "with the nearest"
status 125 "unknown option" "$KILN" build --tga x .
like "$out" "unknown option '--tga'" "says so"
like "$out" "did you mean '--tag'" "with the nearest"
status 125 "missing value" "$KILN" build . --tag
like "$out" '--tag needs a value: NAME' "says what"
status 125 "missing context" "$KILN" build
like "$out" 'kiln build \.' "says what to write"
status 125 "two contexts" "$KILN" build a b
like "$out" "does not know what to do with 'b'" "says which"
status 125 "bad word" "$KILN" build --progress=fancy .
like "$out" 'none of auto' "lists the words"
status 125 "bad platform" "$KILN" build --platform=linux/a/b/c .
like "$out" "invalid platform 'linux/a/b/c'" "says so"
status 125 "bad output type" "$KILN" build -o type=floppy .
like "$out" "no output type 'floppy'" "says so"
status 125 "bad key of an output" "$KILN" build -o type=local,dest=x,push=true .
like "$out" "type=local has no key 'push'" "says so"
status 125 "push without a name" "$KILN" build --push .
like "$out" 'give the image one with -t NAME' "says what to do"
status 125 "bad name" "$KILN" build -t 'A b' .
like "$out" "'A b' cannot be the name of an image" "says so"
status 125 "bad compression level" "$KILN" build --compression=gzip --compression-level=22 .
like "$out" 'gzip has the levels' "says which there are"
status 125 "bad host" "$KILN" build --add-host=a=b .
status 125 "bad limit" "$KILN" build --ulimit=nosuch=1 .
status 125 "bad permission" "$KILN" build --allow=everything .
status 125 "two outputs to standard output" "$KILN" build -o - -o type=oci,dest=- .
status 6 "a secret that is not there" "$KILN" build --secret id=x,env=NO_SUCH_VARIABLE .
like "$out" "no variable 'NO_SUCH_VARIABLE'" "says which"
status 6 "a secret in no file" "$KILN" build --secret id=x,src="$T/none" .
status 125 "unknown image" "$KILN" inspect nosuch
like "$out" "there is no image 'nosuch'" "says so"
status 3 "an archive from nowhere" "$KILN" load -i "$T/none.tar"

# ---- a build without steps
dockerfile meta <<'EOT'
FROM scratch
ENV A=1
LABEL b=c
CMD ["/x"]
EOT
status 0 "a build without steps" "$KILN" build -t one -t two:2 --iidfile "$T/iid" --label d=e "$T/meta"
like "$out" '^image [0-9a-f]{12} as one, two:2$' "tells what it made"
id=$(cat "$T/iid")
like "$id" '^sha256:[0-9a-f]{64}$' "the id is in its file"
status 0 "quiet" "$KILN" build -q --label d=e "$T/meta"
is "$out" "$id" "prints the id and nothing else"
is "$("$KILN" images -q --no-trunc one)" "$id" "images finds it"
is "$("$KILN" inspect one | json - 'd[0]["config"]["config"]["Labels"]')" '{"b": "c", "d": "e"}' "inspect shows its labels"
is "$("$KILN" images --json | json - '[x["name"] for x in d if not x["name"].startswith("sha256:")]')" \
    '["docker.io/library/one:latest", "docker.io/library/two:2"]' "images as JSON"
is "$("$KILN" history --json one | json - '[x["created_by"] for x in d]')" '["CMD [\"/x\"]", "LABEL b=c", "ENV A=1"]' "history is newest first"
ok "tag" "$KILN" tag one three
status 0 "rmi" "$KILN" rmi one
like "$out" '^removed docker.io/library/one:latest$' "tells the name"
status 125 "the name is gone" "$KILN" inspect one
status 125 "an id with several names" "$KILN" rmi "${id#sha256:}"
like "$out" 'all with -f' "says what to do"
ok "all of them" "$KILN" rmi -f "${id#sha256:}"
is "$("$KILN" images -q)" "" "nothing is left"
status 0 "events as JSON" "$KILN" build --progress=json "$T/meta"
ok "each line is an object with an event" python3 -c 'import json, sys
for l in sys.argv[1].splitlines(): assert json.loads(l)["event"]' "$out"
for c in "prune --json" "du --json" "check --json" "images --json"; do
    status 0 "$c" "$KILN" $c
    ok "$c is JSON" python3 -c 'import json, sys; json.loads(sys.argv[1])' "$out"
done

for o in --target= --platform= --file= --iidfile= --metadata-file= --ignorefile=; do
    status 0 "$o is not given" "$KILN" build "$o" "$T/meta"
done
status 125 "13.2 a context that cannot be named" "$KILN" build --build-context 'A b=.' "$T/meta"
like "$out" "invalid context name 'A b'" "says so"
status 125 "13.2 for a platform that is none" "$KILN" build --build-context 'a::b=.' "$T/meta"
like "$out" "unknown operating system or architecture" "says so"
status 125 "an unknown letter" "$KILN" build -Z "$T/meta"
unlike "$out" 'did you mean' "is like no word"

# ---- options of other builders
quiet=(--rm --force-rm=false --layers=false --compress --disable-content-trust --provenance=false --sbom=false --builder x --http-proxy=false)
status 0 "options that ask for what happens anyway" "$KILN" build -q "${quiet[@]}" "$T/meta"
like "$out" '^sha256:[0-9a-f]{64}$' "are taken in silence"
for o in --memory=1g --cpu-shares=5 --security-opt=label=disable --cache-from=type=gha --runtime=crun --isolation=oci --provenance=mode=max --layer-label=a=b; do
    status 0 "$o" "$KILN" build "$o" "$T/meta"
    like "$out" "^warning: ${o%%=*} has no effect: " "is taken with a warning"
done
for o in --sign-by=me --cpp-flag=-DA --policy=x --decryption-key=k; do
    status 125 "$o" "$KILN" build "$o" "$T/meta"
    like "$out" "${o%%=*} is not supported: " "is refused with the reason"
done
status 0 "--annotation without a manifest" "$KILN" build --annotation=a=b "$T/meta"
like "$out" '^warning: --annotation has no effect: ' "says that nothing keeps it"
printf 'FROM scratch\nCOPY Dockerfile /\n' | dockerfile layer
note() { "$KILN" build -q "$@" -o "type=oci,dest=$T/note.oci,annotation.c=d=e" "$T/layer" >"$T/note.id" && skopeo inspect --raw "oci-archive:$T/note.oci" | json - 'd["annotations"]'; }
if need skopeo; then
    is "$(note --annotation a=b:c --annotation manifest:m=1 --iidfile-raw "$T/raw")" '{"a": "b:c", "c": "d=e", "m": "1"}' "cli-flags 3 --annotation and its key of --output"
    is "sha256:$(cat "$T/raw")" "$(cat "$T/note.id")" "cli-flags 3 --iidfile-raw"
    note --source-date-epoch 1500000000 >"$T/note"
    is "$(skopeo inspect --config --raw "oci-archive:$T/note.oci" | json - 'd["created"]')" '2017-07-14T02:40:00Z' "cli-flags 6 --source-date-epoch"
else
    skip "annotations"
fi
for o in --annotation=index:a=b --annotation=manifest,index:a=b "--annotation=manifest[linux/s390x]:a=b" "--annotation=manifest[]:a=b" "--annotation=index[linux/amd64]:a=b" --annotation=a --annotation==b -otype=oci,dest=x,annotation-index.a=b -otype=docker,dest=x,oci-mediatypes=false,compression=gzip,annotation.a=b; do
    status 125 "$o" "$KILN" build "$o" "$T/meta"
    like "$out" 'annotation' "is refused with the reason"
done
ok "grouped letters, and options behind the context" "$KILN" build "$T/meta" -qt grouped
ok "the alias of buildah" "$KILN" bud -t x "$T/meta"

# ---- the process itself
is "$("$KILN" build -q "$T/meta" 2>&1 <&- | grep -c '^sha256:')" 1 "standard input may be closed"
status 125 "a full disk behind standard output" bash -c '"$0" images >/dev/full' "$KILN"
like "$out" 'cannot write to standard output' "is an error"
dockerfile bad <<<"FRM scratch"
status 2 "a mistake in the Dockerfile" "$KILN" build "$T/bad"
like "$out" "Dockerfile:1" "says where"
done_testing
