#!/bin/bash
# What is made of the images of several platforms: indexes in registries, archives and the store; trees (spec/oci.md 1.4, 4.1-4.5).
. "$(dirname "$0")/../lib.sh"
need kiln userns subids registry images skopeo umoci podman || skip_all
ACCESS_LOG_OFF=false registry_up
podman_setup
r=127.0.0.1:$port
host=linux/$(dpkg --print-architecture)
export SOURCE_DATE_EPOCH=1000000000
all=linux/amd64,linux/arm64,linux/arm/v7
index=application/vnd.oci.image.index.v1+json
list=application/vnd.docker.distribution.manifest.list.v2+json

dockerfile c <<'EOT'
FROM scratch
ARG TARGETARCH TARGETVARIANT
COPY common /
COPY for.$TARGETARCH /bin/f
EOT
echo the same >"$T/c/common"
for a in amd64 arm64 arm; do echo "$a" >"$T/c/for.$a"; done

raw() { skopeo inspect --raw --tls-verify=false "$1"; }
digest() { echo "sha256:$(raw "$1" | sha256sum | cut -d' ' -f1)"; }
platforms() { json - '" ".join("/".join(filter(None, (m["platform"]["os"], m["platform"]["architecture"], m["platform"].get("variant")))) for m in d["manifests"])'; }
# into NAME - how often that was sent into the repositories that end so: blobs, then manifests by digest
sent() { grep -cE "\"PUT /v2/$1/$2" "$T/registry.log"; }
image() { "$KILN" images --json "$1" | json - "$2"; }
every_blob() { # in DIR: it is what its name says
    (cd "$1/blobs/sha256" && sha256sum -- * | awk '$1 != $2 { bad = 1 } END { exit bad }')
}

# ---- a registry
built "4.5 pushed" c --platform "$all" --push -t "$r/a/app:1" -t "$r/a/app:2" -t "$r/b/app:1" --iidfile iid --metadata-file meta --digest-file dig
is "$(raw "docker://$r/a/app:1" | platforms)" "linux/amd64 linux/arm64 linux/arm/v7" "4.5 rule 2: the index names the platforms in their order"
is "$(raw "docker://$r/a/app:1" | json - 'd["mediaType"]')" "$index" "1.2 as what it is"
id=$(digest "docker://$r/a/app:1")
is "$(digest "docker://$r/a/app:2") $(digest "docker://$r/b/app:1")" "$id $id" "2.7 under all its names"
is "$(cat iid) $(cat dig)" "$id $id" "--iidfile and --digest-file: that of the index"
is "$(json meta '[d["containerimage.digest"], d["containerimage.descriptor"]["mediaType"], "containerimage.config.digest" in d]')" \
    "$(printf '["%s", "%s", false]' "$id" "$index")" "cli-flags 9.6 --metadata-file: the index, and no config"
is "$(json meta 'd["containerimage.descriptor"]["size"]')" "$(raw "docker://$r/a/app:1" | wc -c)" "with its size"
like "$out" "image ${id:7:12} as $r/a/app:1" "and the last line of the build"
is "$(sent a/app blobs) $(sent a/app 'manifests/sha256')" "7 4" "2.7 one repository: each blob once, each manifest by digest"
is "$(sent b/app blobs)" 3 "2.7 another one: layers are mounted"
at=$(grep -nE '"PUT /v2/b/app/manifests/1 ' "$T/registry.log" | tail -n 1 | cut -d: -f1)
is "$(head -n "$at" "$T/registry.log" | grep -cE '"PUT /v2/b/app/manifests/sha256')" 3 "2.7 children before the index, the tag last"
ok "skopeo copies all of it" skopeo_copy --all "docker://$r/a/app:1" "dir:$T/copied"
is "$(cat "$T"/copied/*.manifest.json | grep -c schemaVersion)" 3 "with three manifests"
ok "podman pulls its own platform" podman pull -q --tls-verify=false "$r/a/app:1"
is "$(podman image inspect "$r/a/app:1" | json - '"%(Os)s/%(Architecture)s" % d[0]')" "$host" "and that is what it got"
built "push-by-digest" c --platform "$all" -o "type=registry,name=$r/c/app:9,push-by-digest=true" --iidfile iid
is "$(digest "docker://$r/c/app@$(cat iid)")" "$id" "2.7 is there by its digest"
nok "and has no tag" raw "docker://$r/c/app:9"
built "oci-mediatypes=false" c --platform "$all" -o "type=registry,name=$r/d/app:1,oci-mediatypes=false,compression=gzip"
is "$(raw "docker://$r/d/app:1" | json - '[d["mediaType"]] + sorted({m["mediaType"] for m in d["manifests"]})')" \
    "[\"$list\", \"application/vnd.docker.distribution.manifest.v2+json\"]" "1.2 is docker's list of docker's manifests"
built "once more" c --platform "$all" --push -t "$r/a/app:1" --no-cache --iidfile again
built "on another day" c --platform "$all" -o type=oci,dest="$T/day.tar" --no-cache --iidfile day
is "$(cat day)" "$(cat again)" "1.10 the same sources give the same index"
for v in 0 1; do
    built "4.6 one platform, BUILDKIT_MULTI_PLATFORM=$v" c --platform linux/arm64/v8 --build-arg "BUILDKIT_MULTI_PLATFORM=$v" -o "type=registry,name=$r/one:$v"
done
is "$(raw "docker://$r/one:0" | json - '"layers" in d') $(raw "docker://$r/one:1" | json - 'd["manifests"][0]["platform"]')" \
    'true {"architecture": "arm64", "os": "linux"}' "4.5 rule 3, rule 1: a manifest, or an index of one; arm64 has no v8"

# ---- archives
built "type=oci" c --platform "$all" -t my/app:7 -o type=oci,dest="$T/l.tar" -o type=oci,dest="$T/l",tar=false
is "$(json "$T/l/index.json" '[(m["digest"], m["mediaType"], m["annotations"]["io.containerd.image.name"], m["annotations"]["org.opencontainers.image.ref.name"], "platform" in m) for m in d["manifests"]]')" \
    "[[\"$id\", \"$index\", \"docker.io/my/app:7\", \"7\", false]]" "4.2 one entry, the index, with its names"
is "$(tar -xOf "$T/l.tar" index.json)" "$(cat "$T/l/index.json")" "4.2 in the tar too"
ok "1.3 every file is what its name says" every_blob "$T/l"
is "$(tar -tf "$T/l.tar" | sort)" "$(cd "$T/l" && find . -type d ! -name . -printf '%P/\n' -o -type f -printf '%P\n' | sort)" "4.2 with the same members"
is "$(tar -tf "$T/l.tar" | grep -c manifest.json)" 0 "4.1 without docker's list"
for from in "oci-archive:$T/l.tar" "oci:$T/l:7"; do
    is "$(digest "$from")" "$id" "skopeo reads ${from%%:*}"
    ok "skopeo copies all of it" skopeo_copy --all "$from" "docker://$r/e/app:${from%%:*}"
    is "$(digest "docker://$r/e/app:${from%%:*}")" "$id" "as it is"
done
is "$(umoci ls --layout "$T/l")" 7 "umoci lists it"
ok "podman loads its own platform" podman load -q -i "$T/l.tar"
is "$(podman image inspect docker.io/my/app:7 | json - 'd[0]["Architecture"]')" "${host#linux/}" "4.2 and that is what it got"
built "a second image" c --platform linux/arm64 -t my/app:8 -o type=oci,dest="$T/l",tar=false
is "$(json "$T/l/index.json" '[m["annotations"]["org.opencontainers.image.ref.name"] for m in d["manifests"]]')" '["7", "8"]' "1.3 goes into the same directory"
status 125 "4.1 type=docker holds one platform" "$KILN" build --platform "$all" -o type=docker,dest="$T/d.tar" "$T/c"
like "$out" "holds one platform" "and says so"
like "$out" "try: use type=oci" "with what to do"
unlike "$out" '^#[0-9]+ ' "before anything is built"
status 125 "4.1 nor an index of one" "$KILN" build --build-arg BUILDKIT_MULTI_PLATFORM=1 -o type=docker,dest="$T/d.tar" "$T/c"
rm -f day.tar

# ---- trees
built "4.4 type=local" c --platform "$all" -o type=local,dest="$T/tree"
is "$(cd "$T/tree" && grep -r . | sort)" "$(for a in amd64:amd64 arm64:arm64 arm_v7:arm; do printf 'linux_%s/bin/f:%s\nlinux_%s/common:the same\n' "${a%:*}" "${a#*:}" "${a%:*}"; done | sort)" \
    "4.4 a directory for each platform"
built "4.4 type=tar" c --platform "$all" -o type=tar,dest="$T/t.tar"
is "$(tar -tf "$T/t.tar" | grep -v '/$' | sort)" "$(cd "$T/tree" && find . -type f -printf '%P\n' | sort)" "4.4 the same tree"
is "$(tar -tf "$T/t.tar" | sort | uniq -d)" "" "4.4 each directory once"
built "4.4 platform-split=true with one" c --platform linux/arm64 -o type=local,dest="$T/one",platform-split=true
is "$(ls "$T/one")" linux_arm64 "4.4 a directory too"
built "4.4 and by itself not" c --platform linux/arm64 -o type=tar,dest="$T/t.tar"
is "$(tar -tf "$T/t.tar" | sort | tr '\n' ' ')" "bin/ bin/f common " "4.4 one platform has none"
for type in local,dest="$T/tree",mode=delete tar,dest="$T/no.tar"; do
    status 2 "4.4 platform-split=false: two have a file" "$KILN" build --platform "$all" -o "type=$type,platform-split=false" "$T/c"
    like "$out" "'/(common|bin/f)' of linux/arm64 would overwrite that of linux/amd64" "and it is named"
done
is "$(ls "$T/tree" | wc -l) $([ -e "$T/no.tar" ] && echo written)" "3 " "4.4 before anything is deleted or written"
dockerfile own <<'EOT'
FROM scratch
ARG TARGETARCH
COPY for.$TARGETARCH /bin/
EOT
cp "$T"/c/for.* "$T/own/"
built "4.4 platform-split=false" own --platform "$all" -o type=local,dest="$T/tree",mode=delete,platform-split=false -o type=tar,dest="$T/t.tar",platform-split=false
is "$(cd "$T/tree" && grep -r . | sort)" "$(printf 'bin/for.%s\n' amd64:amd64 arm64:arm64 arm:arm | sort)" "4.4 one directory; mode=delete took the others"
is "$(tar -tf "$T/t.tar" | sort | tr '\n' ' ')" "bin/ bin/for.amd64 bin/for.arm bin/for.arm64 " "4.4 one tar"

# ---- the store
export KILN_ROOT=$T/store2
built "kept" c --platform "$all" -t app:1 --iidfile iid
is "$(cat iid)" "$id" "the id is that of the index, in the store as in the registry"
is "$("$KILN" images -q --no-trunc app:1)" "$id" "kiln images has it once"
is "$(image app:1 '[p["platform"] for p in d[0]["platforms"]]')" '["linux/amd64", "linux/arm64", "linux/arm/v7"]' "with its platforms"
one=$(image app:1 'd[0]["platforms"][1]["id"]')
is "$("$KILN" inspect --platform linux/arm64 app:1 | json - '[d[0]["id"], d[0]["config"]["architecture"]]')" "[\"$one\", \"arm64\"]" "inspect --platform"
is "$("$KILN" inspect app:1 | json - 'd[0]["platform"]')" "$host" "without it, the host's"
is "$("$KILN" inspect "${one:7:10}" | json - 'd[0]["config"]["architecture"]')" arm64 "one of them by its id"
status 125 "one that is not there" "$KILN" inspect --platform linux/s390x app:1
like "$out" "is for linux/amd64, linux/arm64, linux/arm/v7, not for linux/s390x" "and what is"
like "$("$KILN" history --platform linux/arm64 app:1)" 'COPY for.arm64' "history --platform"
status 0 "tag" "$KILN" tag app:1 app:2
is "$("$KILN" images -q --no-trunc app:2)" "$id" "names all of them"
status 125 "push of one of them" "$KILN" push "$one"
like "$out" 'has no name' "needs to be told where: the name stands for all"
status 125 "rmi of one of them" "$KILN" rmi "${one:7:12}"
status 0 "tag by id" "$KILN" tag "$one" app:arm
is "$(image app:arm '[d[0]["id"], d[0]["platform"], "platforms" in d[0]]')" "[\"$one\", \"linux/arm64\", false]" "or one"
is "$("$KILN" push -q app:1 "$r/f/app:1") $(digest "docker://$r/f/app:1")" "$id $id" "push sends all of it, as it is"
ok "all of it" skopeo_copy --all "docker://$r/f/app:1" "dir:$T/pushed"
is "$("$KILN" push -q --platform linux/arm64 app:1 "$r/f/app:2")" "$(image app:1 'd[0]["platforms"][1]["manifest"]')" "push --platform: one"
status 0 "save" "$KILN" save --format oci-archive -o all.oci app:1 app:2
is "$(digest oci-archive:all.oci:1)" "$id" "an OCI archive holds all of it"
is "$(tar -xOf all.oci index.json | json - 'len(d["manifests"])')" 2 "under both names"
printf 'FROM app:1\nLABEL x=y\n' | dockerfile on
built "5.5 FROM a stored name finds each platform" on --pull=never --platform linux/arm/v7,linux/arm64 -o type=local,dest="$T/on"
is "$(cat "$T"/on/*/bin/f | tr '\n' ' ')" "arm64 arm " "its own"
status 3 "5.5 and not what is not there" "$KILN" build --pull=never --platform linux/s390x "$T/on"

status 0 "rmi" "$KILN" rmi app:2 app:arm
find "$KILN_ROOT/blobs" -type f -exec touch -d '1 hour ago' {} +
status 0 "prune -a" "$KILN" prune -a
is "$(ls "$KILN_ROOT/blobs/sha256" | wc -l)" 11 "7.5 keeps index, manifests, configs and layers of all platforms"
status 0 "check" "$KILN" check
is "$("$KILN" push -q app:1 "$r/g/app:1") $(digest "docker://$r/g/app:1")" "$id $id" "and all of it can be pushed"
like "$("$KILN" du --json)" "$id" "du knows it"
status 0 "save --platform" "$KILN" save --platform linux/arm64 -o arm.tar app:1
is "$(skopeo inspect docker-archive:arm.tar | json - 'd["Architecture"]')" arm64 "docker's holds one"
status 0 "save, docker's form" "$KILN" save -o host.tar app:1
is "$(skopeo inspect docker-archive:host.tar | json - 'd["Architecture"]')" "${host#linux/}" "that of the host"
status 0 "push --format docker" "$KILN" push -q --format docker app:1 "$r/f/app:3"
is "$(raw "docker://$r/f/app:3" | json - 'd["mediaType"]')" "$list" "is docker's list"
chmod u+w "$KILN_ROOT/blobs/sha256" && mv "$KILN_ROOT/blobs/sha256/${id#*:}" "$T/kept"
nok "T10 check misses the index" "$KILN" check
like "$("$KILN" check 2>&1)" "lacks its index $id" "T10 and names it"
status 125 "T9 no other index is pushed in its place" "$KILN" push app:1 "$r/g/app:2"
printf '{}' >"$KILN_ROOT/blobs/sha256/${id#*:}"
status 125 "T9 nor a false one" "$KILN" push app:1 "$r/g/app:2"
rm -f "$KILN_ROOT/blobs/sha256/${id#*:}" && cp "$T/kept" "$KILN_ROOT/blobs/sha256/${id#*:}"
status 0 "rmi by id" "$KILN" rmi "${id:7:12}"
find "$KILN_ROOT/blobs" -type f -exec touch -d '1 hour ago' {} +
status 0 "prune -a" "$KILN" prune -a
is "$(ls "$KILN_ROOT/blobs/sha256" | wc -l)" 0 "7.5 without its name all of it goes"
status 0 "check" "$KILN" check

# ---- from registries and archives, one platform at a time
export KILN_ROOT=$T/store3
status 0 "pull" "$KILN" pull -q "$r/f/app:1"
status 0 "pull of another platform" "$KILN" pull -q --platform linux/arm/v7 "$r/f/app:1"
is "$(image "$r/f/app:1" '[len(d), d[0]["digest"], sorted(p["platform"] for p in d[0]["platforms"])]')" "[1, \"$id\", [\"$host\", \"linux/arm/v7\"]]" "the first one stays"
status 0 "pull again" "$KILN" pull -q --platform linux/arm/v7 "$r/f/app:1"
is "$(image "$r/f/app:1" 'len(d[0]["platforms"])')" 2 "each is there once"
printf 'FROM %s/f/app:1\nLABEL x=y\n' "$r" | dockerfile on
built "a FROM pulls what is missing" on --platform linux/arm64,linux/arm/v7 -o type=cacheonly
is "$(image "$r/f/app:1" 'sorted(p["platform"] for p in d[0]["platforms"])')" '["linux/amd64", "linux/arm/v7", "linux/arm64"]' "and all three are there: arm64 is not served by arm"
built "a name that moves" c --platform "$all" --label moved=yes -o "type=registry,name=$r/a/app:1"
"$KILN" tag "$r/f/app:1" "$r/a/app:1"
status 0 "is pulled again" "$KILN" pull -q "$r/a/app:1"
is "$(image "$r/a/app:1" '["platforms" in d[0], d[0]["platform"]]')" "[false, \"$host\"]" "keeps nothing of the index before"
status 0 "load" "$KILN" load -i "$T/l.tar"
is "$(image my/app:7 'd[0]["platform"]')" "$host" "4.2 takes the host's"
status 0 "load --platform" "$KILN" load --platform linux/arm64 -i "$T/l" --ref 7
is "$(image my/app:7 'sorted(p["platform"] for p in d[0]["platforms"])')" "$(printf '["%s"]' "$(printf '%s\n' "$host" linux/arm64 | sort -u | paste -sd, | sed 's/,/", "/')")" "and another one beside it"
status 3 "load of one that is not there" "$KILN" load --platform linux/s390x -i "$T/l"
like "$out" "available: linux/amd64, linux/arm64, linux/arm/v7" "tells what is"
printf 'FROM lay\nLABEL x=y\n' | dockerfile lay
built "FROM oci-layout://" lay --platform linux/arm/v7,linux/arm64 --build-context "lay=oci-layout://$T/l:7" -o type=local,dest="$T/lay"
is "$(cat "$T"/lay/*/bin/f | tr '\n' ' ')" "arm64 arm " "each platform has its own"
status 0 "check" "$KILN" check

# ---- annotations
export KILN_ROOT=$T/store
built "1.4 annotations" c --platform linux/amd64,linux/arm64 -t an:1 --annotation a=all --annotation 'manifest[linux/arm64]:a=arm' \
    --annotation index,manifest:b=both --annotation manifest-descriptor:c=entry --annotation index-descriptor:e=top --annotation x:y=colon \
    -o "type=oci,dest=$T/an,tar=false,annotation-index.f=g,annotation[linux/amd64].h.i=j,annotation-manifest-descriptor[linux/amd64].k=l"
is "$(json "$T/an/index.json" 'd["manifests"][0]["annotations"]["e"]')" top "index-descriptor: with what names the index"
raw "oci:$T/an:1" >an.json
is "$(json an.json 'd["annotations"]')" '{"b": "both", "f": "g"}' "index:"
is "$(json an.json '[m["annotations"] for m in d["manifests"]]')" '[{"c": "entry", "k": "l"}, {"c": "entry"}]' "manifest-descriptor: in the index"
is "$(for i in 0 1; do json "$T/an/blobs/sha256/$(json an.json "d['manifests'][$i]['digest'][7:]")" 'd["annotations"]'; done)" \
    '{"a": "all", "b": "both", "h.i": "j", "x:y": "colon"}'$'\n''{"a": "arm", "b": "both", "x:y": "colon"}' "manifest: of all, of one platform"
built "1.4 of an image that is kept" c --platform linux/amd64,linux/arm64 -t an:1 --annotation index:f=g
"$KILN" push -q an:1 "$r/an:1" >/dev/null
is "$(raw "docker://$r/an:1" | json - 'd["annotations"]')" '{"f": "g"}' "they are pushed later"
built "1.4 manifest-descriptor: of one" c --platform linux/arm64 --annotation manifest-descriptor:c=entry --annotation 'manifest[linux/arm64]:a=b' -o "type=oci,dest=$T/an1,tar=false"
is "$(json "$T/an1/index.json" 'd["manifests"][0]["annotations"]')" '{"c": "entry"}' "is in index.json"
for a in index:a=b index-descriptor:a=b manifest,index:a=b 'manifest[linux/s390x]:a=b'; do
    status 125 "1.4 one platform: --annotation $a" "$KILN" build --platform linux/arm64 --annotation "$a" "$T/c"
done
for a in 'index[linux/arm64]:a=b' 'manifest[]:a=b' 'manifest[x/y/z/w]:a=b' 'manifest,other:a=b' manifest:=b 'manifest[linux/arm64]a:a=b'; do
    status 125 "1.4 --annotation $a" "$KILN" build --platform "$all" --annotation "$a" "$T/c"
    like "$out" "annotation is '" "is refused with the reason"
done
status 125 "1.2 docker's list holds none" "$KILN" build --platform "$all" --annotation index:a=b -o "type=registry,name=$r/x:1,oci-mediatypes=false,compression=gzip" "$T/c"

# ---- what has no index
built "type=local has no id" c --platform "$all" -o type=local,dest="$T/tree" --iidfile iid --metadata-file meta
is "$(cat iid)$(json meta 'd')" '{}' "cli-flags 9.6 --iidfile, --metadata-file"
status 125 "--digest-file" "$KILN" build --digest-file dig -o type=local,dest="$T/x" "$T/c"
like "$out" "no manifest is made" "needs a manifest"
built "a docker archive has one" c --digest-file dig --metadata-file meta -o type=docker,dest="$T/d.tar"
is "$(cat dig)" "$(json meta 'd["containerimage.digest"]')" "--digest-file"
done_testing
