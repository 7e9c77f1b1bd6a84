#!/bin/bash
# Pull and push against docker-registry: names, digests, mirrors, credentials, lost network (spec/oci.md 2).
. "$(dirname "$0")/../lib.sh"
need kiln userns subids overlay registry images skopeo podman || skip_all
registry_up
podman_setup
r=127.0.0.1:$port

status 0 "pull through a mirror" "$KILN" pull busybox:1.35
status 0 "pull from loopback, plain http" "$KILN" pull $r/library/busybox:latest
digest=$(skopeo inspect --tls-verify=false "docker://$r/library/busybox:1.35" | json - 'd["Digest"]')
status 0 "pull by digest" "$KILN" pull "$r/library/busybox@$digest"
status 3 "a digest that is not there" "$KILN" pull "$r/library/busybox@sha256:$(printf '0%.0s' {1..64})"
status 3 "a tag that is not there" "$KILN" pull "$r/library/busybox:none"
like "$out" '404|not found|MANIFEST_UNKNOWN|manifest unknown' "says what the registry said"

dockerfile p <<'EOF'
FROM busybox:1.35
RUN echo layer > /layer
CMD ["cat", "/layer"]
EOF
built "build and push" p --push -t "$r/team/p:1" -t "$r/team/p:2" --metadata-file "$T/meta"
digest=$(json "$T/meta" 'd["containerimage.digest"]')
is "$(skopeo inspect --tls-verify=false "docker://$r/team/p:1" | json - 'd["Digest"]')" "$digest" "the registry has it by tag"
is "$(skopeo inspect --tls-verify=false "docker://$r/team/p:2" | json - 'd["Digest"]')" "$digest" "and by the other"
raw_size() { skopeo inspect --tls-verify=false --raw "docker://$1" | wc -c; }
described() { json "$T/meta" '"%(mediaType)s %(size)s" % d["containerimage.descriptor"]'; }
is "$(described)" "application/vnd.oci.image.manifest.v1+json $(raw_size "$r/team/p:1")" "--metadata-file: the descriptor"
built "docker's types" p -o "type=registry,name=$r/team/d:1,oci-mediatypes=false,compression=gzip" --metadata-file "$T/meta"
is "$(described)" "application/vnd.docker.distribution.manifest.v2+json $(raw_size "$r/team/d:1")" "--metadata-file: docker's"
nok "--tls-verify=true speaks no plain HTTP to loopback either" "$KILN" pull --tls-verify=true "$r/team/p:1"
ok "--tls-verify alone is true" sh -c '! "$1" pull --tls-verify "$2" 2>&1' sh "$KILN" "$r/team/p:1"
status 0 "and --tls-verify=false is not" "$KILN" pull --tls-verify=false "$r/team/p:1"
ok "podman pulls it by digest" podman pull -q --tls-verify=false "$r/team/p@$digest"
is "$(podman_run "$r/team/p@$digest" 2>&1)" layer "and runs it"
status 0 "push again" "$KILN" push "$r/team/p:1"
built "a new layer on it" p --push -t "$r/other/p:1"
is "$(skopeo inspect --tls-verify=false "docker://$r/other/p:1" | json - 'd["Digest"]')" "$digest" "cross-repository: the same manifest"
built "as gzip" p -o "type=registry,name=$r/team/gz:1,compression=gzip"
unlike "$(skopeo inspect --tls-verify=false --raw "docker://$r/team/gz:1")" zstd "has no zstd layer"
status 0 "tag" "$KILN" tag "$r/team/p:1" "$r/team/renamed:x"
status 0 "push under another name" "$KILN" push "$r/team/renamed:x"
ok "is there" skopeo inspect --tls-verify=false "docker://$r/team/renamed:x"

# What skopeo pushed comes back as it was, docker types and all.
skopeo_copy -f v2s2 "oci:$KILN_IMAGES/busybox:1.35" "docker://$r/team/docker:1" >/dev/null 2>&1
status 0 "pull docker schema 2" "$KILN" pull "$r/team/docker:1"
printf 'FROM %s/team/docker:1\nRUN echo ok > /ok\n' "$r" | dockerfile d2
built "and build on it" d2 -o type=tar,dest="$T/d2.tar"

# An index: the host's platform is taken.
python3 - "$KILN_IMAGES/busybox" "$T/index" <<'EOF'
import hashlib, json, os, shutil, sys
src, dst = sys.argv[1:]
shutil.copytree(src, dst)
def put(doc):
    raw = json.dumps(doc).encode()
    d = hashlib.sha256(raw).hexdigest()
    open(f"{dst}/blobs/sha256/{d}", "wb").write(raw)
    return "sha256:" + d, len(raw)
top = json.load(open(f"{dst}/index.json"))
good = top["manifests"][0]
man = json.load(open(f"{dst}/blobs/sha256/{good['digest'][7:]}"))
conf = json.load(open(f"{dst}/blobs/sha256/{man['config']['digest'][7:]}"))
other = dict(conf, architecture="s390x")
man2 = json.loads(json.dumps(man))
man2["config"]["digest"], man2["config"]["size"] = put(other)
d2, s2 = put(man2)
mt = "application/vnd.oci.image.manifest.v1+json"
d, s = put({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
    {"mediaType": mt, "digest": d2, "size": s2, "platform": {"os": "linux", "architecture": "s390x"}},
    {"mediaType": mt, "digest": good["digest"], "size": good["size"], "platform": {"os": "linux", "architecture": conf["architecture"]}}]})
json.dump({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.index.v1+json", "digest": d, "size": s,
    "annotations": {"org.opencontainers.image.ref.name": "multi"}}]}, open(f"{dst}/index.json", "w"))
EOF
skopeo_copy --all "oci:$T/index:multi" "docker://$r/team/multi:1" >/dev/null 2>&1
printf 'FROM %s/team/multi:1\nRUN true\n' "$r" | dockerfile multi
exported multi
_result $? "an index" || diag "$out"
is "$(config multi | json - 'd["architecture"]')" "$(dpkg --print-architecture)" "gives the host's platform"

# ---- a registry that tells lies: a blob whose bytes are not what its name says
victim=$(skopeo inspect --tls-verify=false --raw "docker://$r/team/docker:1" | json - 'd["layers"][0]["digest"][7:]')
f=$(find "$T/registry" -path "*/${victim}/data")
cp "$f" "$T/good"
size=$(stat -c %s "$f")
head -c "$size" /dev/zero >"$f"
status 3 "a blob of other bytes" env KILN_ROOT="$T/fresh" "$KILN" build --progress=plain "$T/d2"
like "$out" 'refusing to use it|digest' "is refused"
head -c 1000 "$T/good" >"$f"
status 3 "a blob that is too short" env KILN_ROOT="$T/fresh" "$KILN" build --progress=plain "$T/d2"
cp "$T/good" "$f"
status 0 "and when it is whole again, all is well" env KILN_ROOT="$T/fresh" "$KILN" build --progress=plain "$T/d2"
status 0 "with a clean store" env KILN_ROOT="$T/fresh" "$KILN" check
registry_down

# ---- lost network
SECONDS=0
printf 'FROM %s/library/debian:bookworm-slim\nRUN true\n' "$r" | dockerfile lost
status 3 "nobody answers" timeout 100 "$KILN" build --progress=plain "$T/lost"
like "$out" '127.0.0.1' "the host is named"
status 4 "nor to a push" timeout 100 "$KILN" push "$r/team/p:1"
ok "retries are bounded" [ $SECONDS -lt 100 ]

# ---- credentials (Basic)
python3 - >"$T/htpasswd" <<'EOF'
import crypt
print("me:" + crypt.crypt("p@ss:word", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)).replace("$2b$", "$2y$", 1))
EOF
REGISTRY_EXTRA="auth: {htpasswd: {realm: test, path: $T/htpasswd}}" registry_up
r=127.0.0.1:$port
status 3 "without credentials" "$KILN" pull "$r/library/busybox:1.35"
like "$out" '401|[Aa]uthenti|[Uu]nauthori' "says why"
unlike "$out" 'p@ss' "without a secret"
out=$(printf 'wrong' | "$KILN" login -u me --password-stdin "$r" 2>&1)
_result $(($? == 0)) "login with a wrong password fails"
out=$(printf 'p@ss:word' | "$KILN" login -u me --password-stdin "$r" 2>&1)
_result $? "login" || diag "$out"
status 0 "with credentials" "$KILN" pull "$r/library/busybox:1.35"
built "push with credentials" p --push -t "$r/team/p:1"
like "$(find "$HOME" "$XDG_RUNTIME_DIR" -name '*.json' -path '*auth*' -o -name config.json | xargs stat -c %a 2>/dev/null | sort -u)" '^600$' "they are kept for the user only"
is "$(grep -rlF 'p@ss:word' "$KILN_ROOT" 2>/dev/null)" "" "the password is not in the store"
status 0 "logout" "$KILN" logout "$r"
status 3 "and they are gone" "$KILN" pull "$r/library/busybox:1.35"
mkdir -p "$T/docker"
printf '{"auths":{"%s":{"auth":"%s"}}}' "$r" "$(printf 'me:p@ss:word' | base64)" >"$T/docker/config.json"
status 0 "docker's file is read" env DOCKER_CONFIG="$T/docker" "$KILN" pull "$r/library/busybox:1.35"
status 0 "REGISTRY_AUTH_FILE too" env REGISTRY_AUTH_FILE="$T/docker/config.json" "$KILN" pull "$r/library/busybox:1.35"
registry_down
status 0 "the store is clean" "$KILN" check
done_testing
