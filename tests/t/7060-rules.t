#!/bin/bash
# What spec/threats.md demands of a build by name, each rule attacked: Dockerfiles, contexts, git (D), users (U), credentials and secrets (S).
. "$(dirname "$0")/../lib.sh"
need kiln userns subids overlay images python3 || skip_all
ok "the base is there" "$KILN" load -i "$KILN_IMAGES/busybox"
ok "it gets a name" "$KILN" tag "$(grep -oE "[0-9a-f]{64}" "$T/.out" | head -n 1)" rules.test/base:1
mkdir "$T/canary"
echo CANARY-0815 >"$T/canary/f"

# refused STATUS REGEX NAME [build options...] - of the Dockerfile on standard input, with the context $T/c
refused() {
    local want=$1 re=$2 name=$3
    shift 3
    cat >"$T/c/Dockerfile"
    status "$want" "$name" timeout -k 5 30 "$KILN" build --progress=plain --pull=never "$@" "$T/c"
    like "$out" "$re" "... says '$re'"
}
mkdir "$T/c"

# ---- D: the Dockerfile and the ignore file
refused 2 'a NUL byte in an instruction' "D1 a NUL byte" < <(printf 'FROM scratch\nCOPY a\0b /\n')
refused 2 'cannot hold a NUL' "D1 an escaped NUL byte" <<<$'FROM scratch\nCOPY [ "a\\u0000", "/" ]'
refused 6 'nested more than 64' "D1 nesting that would eat the stack" < <(printf 'FROM scratch\nENV A='; for i in $(seq 300); do printf '${B:-'; done; printf '}%.0s' $(seq 300))
refused 6 'larger than 1048576' "D3 an expansion that doubles" < <(printf 'FROM scratch\nENV A0=%s\n' "$(printf 'x%.0s' $(seq 1000))"; for i in $(seq 30); do printf 'ENV A%d=$A%d$A%d\n' "$i" $((i - 1)) $((i - 1)); done)
refused 2 'frontend .evil.test/x:1.' "D2 a frontend is neither fetched nor run" <<<$'# syntax=evil.test/x:1\nFROM scratch'
refused 2 'circular dependency' "D4 a circle of stages" <<<$'FROM scratch AS a\nCOPY --from=b / /\nFROM scratch AS b\nCOPY --from=a / /'
{ echo 'FROM scratch AS s0'; for i in $(seq 999); do echo "FROM s$((i - 1)) AS s$i"; done; } >"$T/c/Dockerfile"
status 0 "D4 a thousand stages, each on the one before" "$KILN" build --progress=plain "$T/c"
printf 'FROM rules.test/base:1\nARG LEAK\nENV B=${LEAK-none}\nRUN echo "[$B$KILN_ROOT]"\n' >"$T/c/Dockerfile"
LEAK=canary status 0 "D3 variables of the builder" "$KILN" build --progress=plain --pull=never "$T/c"
like "$out" ' \[none\]$' "... are no variables of the build"

# name | setup in $T/t | more arguments | status | message
while IFS='|' read -r name setup more want re; do
    rm -rf "$T/t"
    mkdir "$T/t"
    (cd "$T/t" && eval "$setup")
    status "$want" "D8 $name" timeout -k 5 20 "$KILN" build --progress=plain ${more//T/$T/t} "$T/t"
    like "$out" "$re" "... says '$re'"
done <<'EOT'
a Dockerfile that is a fifo|mkfifo Dockerfile||2|not a regular file
a Dockerfile that is a folder|mkdir Dockerfile||2|not a regular file
a Dockerfile that is a link out|ln -s ../canary/f Dockerfile||2|no such file
a Dockerfile that is a device, by a link|ln -s /dev/zero Dockerfile||2|no such file
a Dockerfile of the context by -f that is a fifo|mkfifo X|-f X|2|not a regular file
an ignore file that is a fifo|echo FROM scratch >Dockerfile; mkfifo .dockerignore||2|not a regular file
a Dockerfile's own ignore file that is a fifo|echo FROM scratch >D; mkfifo D.dockerignore|-f T/D|2|not a regular file
a Dockerfile's own ignore file that is a folder|echo FROM scratch >D; mkdir D.dockerignore|-f T/D|2|not a regular file
a link inside the context|echo FROM scratch >x; ln -s x Dockerfile||0|image
a -f that is a link, as the user says|echo FROM scratch >../canary/D; ln -s ../canary/D D|-f T/D|0|image
EOT

# ---- D5, D7, D9: nothing from outside the context, nothing that is ignored
cd "$T/c" && ln -s ../canary esc && ln -s ../canary/f escf && ln -s "$T/canary/f" abs && ln -s /proc/self/environ proc && mkdir sub hid && ln -s ../../canary sub/up && echo HIDDEN-4711 | tee hid/f >secret &&
    ln -s secret tosecret && ln -s hid tohid && printf 'secret\nhid\n' >.dockerignore
while read -r rule line; do
    printf 'FROM rules.test/base:1\n%b\n' "$line" >Dockerfile
    out=$("$KILN" build --progress=plain --pull=never --no-cache -o "type=tar,dest=$T/o.tar" . 2>&1)
    ! { cat "$T/o.tar" 2>/dev/null; echo "$out"; } | grep -aqE 'CANARY-0815|HIDDEN-4711|KILN_ROOT='
    _result $? "$rule $line" || diag "$out"
    rm -f "$T/o.tar"
done <<'EOT'
D5 COPY esc/f /
D5 COPY escf abs /o/
D5 COPY e* /o/
D5 COPY */*/f /o/
D5 COPY sub/up/f ../canary/f /../canary/f sub/../../canary/f /o/
D5 COPY . /
D5 COPY proc /o
D5 ADD esc /o
D5 RUN --mount=source=esc,target=/m cat /m/f
D5 RUN --mount=source=../canary/f,target=/m cat /m
D5 RUN --mount=target=/m cat /m/escf /m/abs /m/esc/f /m/sub/up/f
D9 COPY secret /o
D9 COPY s* h* t* /o/
D9 COPY tosecret /o
D9 COPY tohid/f /o
D9 ADD . /o
D9 RUN --mount=target=/m cat /m/secret /m/hid/f /m/tosecret /m/tohid/f
D9 RUN --mount=source=hid/f,target=/m cat /m
EOT
printf 'FROM rules.test/base:1 AS a\nRUN ln -s %s /x\nFROM rules.test/base:1\nCOPY --from=a /x/f /\n' "$T/canary" >Dockerfile
status 2 "D5 a link out of a stage" "$KILN" build --progress=plain --pull=never .
printf 'FROM rules.test/base:1 AS a\nRUN ln -s %s /x\nCOPY Dockerfile /x/owned\n' "$T/canary" >Dockerfile
"$KILN" build --progress=plain --pull=never . >/dev/null 2>&1
is "$(cd "$T/canary" && echo *)" "D f" "D5 a destination that is a link out makes nothing there"
refused 2 "'\.\.' cannot be a file name" "D10 a here-document that is called '..'" <<<$'FROM scratch\nCOPY <<.. /o/\nx\n..'
printf 'FROM scratch\nCOPY <<"-rf" <<"../../../../up" /o/\n1\n-rf\n2\n../../../../up\n' >Dockerfile
status 2 "D10 or a path" "$KILN" build --progress=plain .
like "$out" "'../../../../up' cannot be a file name" "... which is named"

mkdir "$T/d6"
printf 'FROM scratch\nCOPY %sb* %s /\n' "$(printf '*a%.0s' $(seq 100))" "$(printf '*/%.0s' $(seq 30))x*y" >"$T/d6/Dockerfile"
printf '%sb\n%sb\n' "$(printf '*a%.0s' $(seq 10000))" "$(printf '**/%.0s' $(seq 3000))" >"$T/d6/.dockerignore"
mkdir -p "$T/d6/$(printf 'a/%.0s' $(seq 60))"
touch "$T/d6/$(printf 'a%.0s' $(seq 200))" "$T/d6/$(printf 'a%.0s' $(seq 200))b"
timeout -k 5 20 "$KILN" build --progress=plain "$T/d6" >/dev/null 2>&1
like "$?" '^[02]$' "D6 patterns that take a backtracking matcher ages"

# ---- D11, D12: a git that tells how it was started
mkdir "$T/bin"
cat >"$T/bin/git" <<EOT
#!/bin/sh
{ echo "ARGV \$*"; env; ls -A "\$HOME"; } >>"$T/git.log"
echo 'fatal: https://me:sesame77@git.test/x?token=tok55xyz refused' >&2
exit 1
EOT
chmod 755 "$T/bin/git"
while IFS='|' read -r want address re; do
    status "$want" "D11 $address" env PATH="$T/bin:$PATH" "$KILN" build --progress=plain "$address"
    like "$out" "$re" "... says '$re'"
    printf 'FROM scratch\nADD %s /\n' "$address" >Dockerfile
    env PATH="$T/bin:$PATH" "$KILN" build --progress=plain . >/dev/null 2>&1
    [ ! -e "$T/git.log" ]
    _result $? "... and git is not started" || { cat "$T/git.log"; rm "$T/git.log"; }
done <<'EOT'
2|https://-oProxy/x.git|invalid git host
2|ssh://-oProxyCommand=id/x|invalid git host
2|ssh://git@-oProxyCommand=id/x|invalid git host
3|git@-oProxy:x|no such file
2|https://h/x.git#-x|begins with '-'
2|https://h/x.git#main:-x|begins with '-'
2|https://h/x.git?branch=--upload-pack=id|begins with '-'
2|https://h/x.git#a..b|invalid git ref
3|ext::id|no such file
3|file:///x.git|no such file
EOT
printf 'FROM scratch\nADD https://me:sesame77@git.test/a.git#main /\n' >Dockerfile
out=$(PATH="$T/bin:$PATH" GIT_DIR=/evil GIT_SSH=/evil GIT_SSH_COMMAND=/evil GIT_EXEC_PATH=/evil GIT_CONFIG_PARAMETERS="'a.b=c'" LD_LIBRARY_PATH=/evil BASH_ENV=/evil SSL_CERT_FILE=/evil KEEPSECRET=/evil \
    "$KILN" build --progress=plain . 2>&1)
log=$(cat "$T/git.log")
unlike "$log" '/evil|a\.b=c' "D12, X2 nothing of the environment reaches git"
unlike "$(grep ^ARGV <<<"$log")" 'sesame77' "X4 nothing secret in its arguments"
for want in GIT_TERMINAL_PROMPT=0 GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_ALLOW_PROTOCOL=http:https:ssh:git "HOME=$KILN_ROOT/tmp/" "GIT_TEMPLATE_DIR=$KILN_ROOT/tmp/"; do
    like "$log" "^$want" "D12 $want"
done
settings=$(sed -nE 's/^GIT_CONFIG_(KEY|VALUE)_([0-9]+)=(.*)/\2 \1 \3/p' <<<"$log" | sort -n | awk '$2 == "KEY" { k[$1] = $3 } $2 == "VALUE" { v[$1] = $3 } END { for (i in k) print k[i] "=" v[i] }')
for want in protocol.file.allow=never core.hooksPath=/dev/null core.fsmonitor=false core.symlinks=true transfer.fsckObjects=true credential.helper=; do
    like "$settings" "^$want\$" "D12 $want"
done
unlike "$out" 'sesame77|tok55xyz' "S7, S8 what git says is shown without passwords"
is "$(find "$KILN_ROOT/tmp" -mindepth 1)" "" "nothing is left"

# ---- D14: an archive on standard input
python3 - "$T/in.tar" "$T/canary/f" <<'EOF'
import sys, tarfile
with tarfile.open(sys.argv[1], "w") as t:
    f = tarfile.TarInfo("Dockerfile")
    f.type = tarfile.FIFOTYPE
    t.addfile(f)
    l = tarfile.TarInfo("Linked")
    l.type, l.linkname = tarfile.SYMTYPE, sys.argv[2]
    t.addfile(l)
EOF
out=$(timeout -k 5 20 "$KILN" build --progress=plain - <"$T/in.tar" 2>&1)
like "$? $out" '^2 .*|not a regular file' "D14 a Dockerfile that is a fifo"
out=$(timeout -k 5 20 "$KILN" build --progress=plain -f Linked - <"$T/in.tar" 2>&1)
like "$out" 'no such file' "D14 a Dockerfile that is a link out"

# ---- U: users of the image
while IFS='|' read -r rule prepare user want; do
    printf 'FROM rules.test/base:1\n%sUSER %s\nRUN echo "is $(id -u):$(id -g)"\n' "${prepare:+RUN $prepare$'\n'}" "$user" >Dockerfile
    out=$(timeout -k 5 60 "$KILN" build --progress=plain --pull=never . 2>&1)
    like "$? $(grep -vE 'RUN' <<<"$out")" "$want" "$rule '$user'${prepare:+, $prepare}"
done <<'EOT'
U1||2147483647:7|is 2147483647:7|outside|does not exist
U1||2147483648|larger than 2147483647
U1||4294967295|larger than 2147483647
U1||4294967296|larger than 2147483647
U1||99999999999999999999|larger than 2147483647
U1||5:2147483648|larger than 2147483647
U1||00005|is 5:0
U1|echo 99:x:0:0::/:/bin/sh >>/etc/passwd|99|is 99:0
U1||+5|unable to find user
U1||0x10|unable to find user
U1||"5 "|unable to find user
U3||-1|^1 .*
U3||-1|unable to find user
U3||5:nosuch|unable to find group
U3|echo big:x:4294967296:0::/:/bin/sh >>/etc/passwd|big|unable to find user
U2|rm /etc/passwd; mkfifo /etc/passwd|daemon|not a regular file
U2|rm /etc/passwd; mkdir /etc/passwd|daemon|not a regular file
U2|rm /etc/passwd; ln -s passwd /etc/passwd|daemon|too many levels
U2|rm /etc/passwd; ln -s /proc/1/status /etc/passwd|daemon|unable to find user
U2|echo evil:x:7:7::/:/bin/sh >/pw; rm /etc/passwd; ln -s ../../pw /etc/passwd|evil|is 7:7
U2|dd if=/dev/zero of=/etc/passwd bs=1M count=11 2>/dev/null|daemon|larger than 10485760
U2|{ printf "evil:x:7:7:"; head -c 70000 /dev/zero; printf ":/:\n"; } >>/etc/passwd|evil|unable to find user
U4|i=0; while [ $i -lt 65540 ]; do echo g$i:x:$i:daemon; i=$((i+1)); done >/etc/group|daemon|more than 65536 groups
EOT

# ---- S: secrets of a build
printf 'sesame-4711-value' >"$T/secret"
secret() { # secret NAME STATUS - of the Dockerfile on standard input: the value is in nothing that is left or was said
    cat >Dockerfile
    status "$2" "$1" timeout -k 5 60 "$KILN" build --progress=plain --debug --pull=never --allow security.insecure --secret "id=tok,src=$T/secret" \
        -o "type=oci,dest=$T/o.oci" -o "type=tar,dest=$T/o.tar" --metadata-file "$T/md" .
    is "$(grep -rlaE --exclude-dir=trash 'sesame-4711|c2VzYW1lLTQ3MTEt' "$KILN_ROOT" "$T/o.oci" "$T/o.tar" "$T/md" 2>/dev/null; grep -aE 'sesame-4711|c2VzYW1lLTQ3MTEt' <<<"$out")" "" "S7 $1: it is nowhere"
}
secret "S4 as a file" 0 <<'EOT'
FROM rules.test/base:1
RUN --mount=type=secret,id=tok cat /run/secrets/tok; base64 /run/secrets/tok; grep ' /run/secrets/tok ' /proc/mounts; for i in s e same-4711-v alue; do printf %s "$i"; done; tr '\0' '\n' </proc/1/cmdline
EOT
like "$out" ' /run/secrets/tok tmpfs ro,nosuid,nodev,noexec' "S4 on a private tmpfs, read-only"
secret "S4 as a variable" 0 <<'EOT'
FROM rules.test/base:1
RUN --mount=type=secret,id=tok,env=TOK echo "got ${#TOK}: $TOK" && ! tr '\0' '\n' </proc/1/cmdline | grep -F "$TOK"
EOT
like "$out" 'got 17: \*\*\*$' "S4 the step has it"
secret "S6 a step that leaves it where it was" 1 <<'EOT'
FROM rules.test/base:1
RUN --security=insecure --mount=type=secret,id=tok cp /run/secrets/tok /dev/shm/x; umount /run/secrets/tok && cp /dev/shm/x /run/secrets/tok
EOT
like "$out" "file with content at '/run/secrets/tok', the place of a secret" "S6 fails"
printf 'FROM rules.test/base:1\nRUN --mount=type=secret,id=tok cat /run/secrets/tok >/dev/null; date +%%N\n' >Dockerfile
"$KILN" build --pull=never --secret "id=tok,src=$T/secret" . >/dev/null 2>&1
printf 'sesame-0815-other' >"$T/secret"
status 0 "S5 another value" "$KILN" build --progress=plain --pull=never --secret "id=tok,src=$T/secret" .
like "$out" ' cached$' "S5 is no part of the key"
cat >Dockerfile <<'EOT'
FROM scratch
ARG API_TOKEN
ADD http://me:sesame77@127.0.0.1:1/f?access_token=tok55xyz&x=1 /
EOT
status 3 "S8 an address with a password" "$KILN" build --progress=plain --build-arg API_TOKEN=x .
like "$out" 'SecretsUsedInArgOrEnv' "S9 a build argument that looks like a secret is warned of"
like "$out" 'ADD http://\*\*\*@127.0.0.1:1/f\?access_token=\*\*\*&x=1' "S8 it is shown without"
unlike "$out" 'sesame77|tok55xyz' "... everywhere"
printf 'FROM rules.test/base:1\nENV U=http://h/\nRUN : http://me:sesame99@h/?token=tok99xyz\n' >Dockerfile
status 0 "S8 an address in a command" "$KILN" build --progress=plain --pull=never -o "type=oci,dest=$T/o.oci" .
is "$(grep -acE 'sesame99|tok99xyz' "$T/o.oci") $(grep -ac 'http://[*][*][*]@h/?token=[*][*][*]' "$T/o.oci")" "0 1" "S8 the history has it without the password"

# ---- R, S: a registry that notes what each connection carried
cat >"$T/reg.py" <<'EOF'
import http.server, json, sys
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def setup(self):
        super().setup()
        self.seen = set()
    def finish(self):
        super().finish()
        with open(sys.argv[1], "a") as f: f.write("CONNECTION %d\n" % len(self.seen))
    def log_message(self, *a): pass
    def do_GET(self):
        auth = self.headers.get("Authorization", "none")
        self.seen.add(auth)
        with open(sys.argv[1], "a") as f: f.write(f"{self.command} {self.path} {auth.split()[0]}\n")
        body, code, more = b"{}", 404, {}
        if self.path.startswith("/token"):
            code, body = 200, json.dumps({"token": "tok-canary-55", "expires_in": 300}).encode()
        elif not auth.startswith("Bearer"):
            code, more = 401, {"WWW-Authenticate": 'Bearer realm="http://%s/token",service="s"' % self.headers["Host"], "Set-Cookie": "c=cookie-canary"}
        self.send_response(code)
        for k, v in more.items(): self.send_header(k, v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD": self.wfile.write(body)
    do_HEAD = do_POST = do_PUT = do_GET
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H)
print(s.server_port, flush=True)
s.serve_forever()
EOF
python3 "$T/reg.py" "$T/reg.log" >"$T/reg.port" &
reg=$!
for _ in $(seq 100); do [ -s "$T/reg.port" ] && break; sleep 0.05; done
r=127.0.0.1:$(cat "$T/reg.port")
printf '{"auths":{"%s":{"auth":"%s"}}}' "$r" "$(printf 'me:sesame77' | base64)" >"$T/auth.json"
chmod 600 "$T/auth.json"
status 3 "R a pull with a login" timeout 30 env REGISTRY_AUTH_FILE="$T/auth.json" no_proxy=127.0.0.1 "$KILN" --debug pull "$r/a/b:1"
sleep 0.2
like "$(tr '\n' ' ' <"$T/reg.log")" 'none .*GET /token[^ ]* Basic .*manifests/1 Bearer ' "R10 which gets a token"
is "$(grep -c '^CONNECTION [2-9]' "$T/reg.log")" 0 "R3 no connection carried two identities"
unlike "$out" 'sesame77|bWU6c2VzYW1lNzc|tok-canary-55|cookie-canary' "S10 nothing of it is told, also with --debug"
is "$(grep -srlaE 'tok-canary-55|sesame77|bWU6c2VzYW1lNzc|cookie-canary' "$KILN_ROOT" "$HOME")" "" "R10 nor kept"
kill "$reg"
if need registry; then
    ACCESS_LOG_OFF=false registry_up
    printf 'FROM 127.0.0.1:%s/library/busybox:1.35 AS a\nFROM 127.0.0.1:%s/library/busybox:1.35 AS b\nCOPY --from=a /etc/passwd /p\nFROM b\nCOPY --from=127.0.0.1:%s/library/busybox:1.35 /etc/group /g\n' "$port" "$port" "$port" >Dockerfile
    status 0 "R8 three uses of a tag" "$KILN" build --progress=plain --pull=always --no-cache .
    is "$(grep -cE '(GET|HEAD) /v2/library/busybox/manifests/1\.35' "$T/registry.log")" 1 "R8 it is resolved once" || grep manifests "$T/registry.log"
    registry_down
else
    skip "R8"
fi

# ---- E25, X2: what an image has instead of our helpers is not started for us; P13, T11: where things are made
cat >Dockerfile <<'EOT'
FROM rules.test/base:1
RUN for p in git newuidmap newgidmap tar gzip zstd lrzip pasta fuse-overlayfs sh-not kiln ssh docker-credential-x; do for d in /bin /usr/bin /sbin /usr/local/bin; do mkdir -p $d; printf '#!/bin/sh\necho ran >>/canary-ran\n' >$d/$p; chmod 755 $d/$p; done; done
ENV PATH=/usr/local/bin:/bin LD_PRELOAD=/canary.so
COPY f /copied
ADD a.tar.gz /added/
WORKDIR /made/here
USER daemon
RUN ls -d /canary-ran /copied /added/f; stat -c %a /made/here
EOT
echo x >f
tar -czf a.tar.gz f
rm .dockerignore
mkdir "$T/tmpdir"
status 0 "E25 an image with helpers of its own" env TMPDIR="$T/tmpdir" "$KILN" build --progress=plain --pull=never -o "type=oci,dest=$T/o.oci" .
like "$out" 'ls: /canary-ran: No such file' "E25 none of them was started"
is "$(ls -A "$T/tmpdir")" "" "P13 TMPDIR is not used"
is "$(stat -c %a "$KILN_ROOT/tmp") $(stat -c %a "$KILN_ROOT")" "700 700" "P13, T1 what is unfinished is nobody else's"
is "$(find "$KILN_ROOT" \( -path "$KILN_ROOT/layers" -o -path "$KILN_ROOT/cache" -o -path "$KILN_ROOT/trash" -o -path "$KILN_ROOT/tmp" \) -prune -o -type f -perm /111 -print)" "" "T11 no file of the store's own can be executed"
python3 - "$T/o.oci" "$(id -un)" "$(hostname)" "$T" >"$T/leaks" <<'EOF'
import io, json, sys, tarfile
t = tarfile.open(sys.argv[1])
read = lambda d: t.extractfile("blobs/sha256/" + d["digest"][7:]).read()
m = json.loads(read(json.load(t.extractfile("index.json"))["manifests"][0]))
import subprocess
for l in m["layers"][1:]:
    b = read(l)
    b = subprocess.run(["zstd", "-dcq"], input=b, stdout=subprocess.PIPE).stdout if "zstd" in l["mediaType"] else __import__("gzip").decompress(b)
    for e in tarfile.open(fileobj=io.BytesIO(b)):
        if e.uname or e.gname or e.devmajor or set(e.pax_headers) & {"atime", "ctime", "SCHILY.dev", "SCHILY.ino"}:
            print("entry", e.name, e.uname, e.pax_headers)
    for word in sys.argv[2:]:
        if len(word) > 4 and word.encode() in b:
            print("has", word)
for word in sys.argv[3:]:
    if word.encode() in read(m["config"]):
        print("config has", word)
EOF
is "$(cat "$T/leaks")" "" "W7 nothing of the host is in a layer"

# ---- E24: what unpacks sees the layer alone
python3 - "$T/big" "$KILN_IMAGES/busybox" <<'EOF'
import gzip, hashlib, io, json, os, shutil, sys, tarfile
out, base = sys.argv[1:]
shutil.copytree(base, out)
def put(raw):
    d = hashlib.sha256(raw).hexdigest()
    open(f"{out}/blobs/sha256/{d}", "wb").write(raw)
    return {"digest": "sha256:" + d, "size": len(raw)}
def get(d): return json.load(open(f"{out}/blobs/sha256/{d['digest'][7:]}"))
top = json.load(open(f"{out}/index.json"))
m = get(top["manifests"][0])
c = get(m["config"])
tar = io.BytesIO()
with tarfile.open(fileobj=tar, mode="w") as t:
    for n in range(30000):
        t.addfile(tarfile.TarInfo(f"f{n}"))
    i = tarfile.TarInfo("big")
    i.size = 200 << 20
    t.addfile(i, io.BytesIO(bytes(i.size)))
tar = tar.getvalue()
m["layers"].append(dict(put(gzip.compress(tar, 1)), mediaType="application/vnd.oci.image.layer.v1.tar+gzip"))
c["rootfs"]["diff_ids"].append("sha256:" + hashlib.sha256(tar).hexdigest())
m["config"].update(put(json.dumps(c).encode()))
d = dict(put(json.dumps(m).encode()), mediaType="application/vnd.oci.image.manifest.v1+json", annotations={"org.opencontainers.image.ref.name": "1", "io.containerd.image.name": "rules.test/big:1"})
json.dump({"schemaVersion": 2, "manifests": [d]}, open(f"{out}/index.json", "w"))
EOF
"$KILN" load -i "$T/big" >/dev/null 2>&1
printf 'FROM rules.test/big:1\nRUN true\n' >Dockerfile
python3 - "$KILN" "$T/c" >"$T/seen" <<'EOF'
import os, subprocess, sys
p = subprocess.Popen([sys.argv[1], "build", "--pull=never", "--progress=quiet", sys.argv[2]], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
seen = set()
mine = os.readlink("/proc/self/ns/net")
while p.poll() is None:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/exe") != os.path.realpath(sys.argv[1]) or int(pid) == p.pid: continue
            root = os.readlink(f"/proc/{pid}/root")
            if not root.endswith("/fs"): continue
            net = os.readlink(f"/proc/{pid}/ns/net") != mine
            core = any(l.split()[:6] == "Max core file size 0 0".split() for l in open(f"/proc/{pid}/limits"))
            seen.add((net, core))
        except OSError:
            pass
print(*sorted(seen))
EOF
is "$(cat "$T/seen")" "(True, True)" "E24 in the layer's directory as root, without network, without core dumps"

# ---- K, L: failed steps and damaged blobs
printf 'FROM rules.test/base:1\nRUN echo ran; dd if=/dev/zero of=/big bs=1M count=3; exit 3\n' >Dockerfile
for _ in 1 2; do status 1 "K6 a step that fails" "$KILN" build --progress=plain --pull=never .; done
like "$out" '#[0-9]+ [0-9.]+ ran$' "K6 ... runs again"
like "$("$KILN" du)" '^trash +[01] .* k?B$' "K6 what it wrote takes no room"
printf 'FROM rules.test/base:1\nRUN --mount=type=cache,target=/c,id=k7 echo CACHED-77 >/c/f; date +%%s%%N >/t\n' >Dockerfile
status 0 "K7 a cache mount" "$KILN" build --progress=plain --pull=never -o "type=tar,dest=$T/o.tar" .
unlike "$(tar -tf "$T/o.tar"; grep -ac CACHED-77 "$T/o.tar")" '^(\./)?c/.|^[1-9]' "K7 is not in the image"
status 0 "K7 another one" "$KILN" build --progress=plain --pull=never .
like "$out" ' cached$' "K7 what it holds is not in the key"

if need registry; then
    registry_up
    printf 'FROM 127.0.0.1:%s/library/busybox:1.35\nRUN true\n' "$port" >Dockerfile
    KILN_ROOT=$T/cut "$KILN" build . >/dev/null 2>&1
    blob=$(ls -S "$T/cut/blobs/sha256" | head -n 1)
    size=$(stat -c %s "$T/cut/blobs/sha256/$blob")
    chmod 600 "$T/cut/blobs/sha256/$blob"
    truncate -s -1 "$T/cut/blobs/sha256/$blob"
    remove_tree "$T/cut/layers" && remove_tree "$T/cut/listings"
    mkdir -m 700 "$T/cut/layers" "$T/cut/listings"
    status 0 "L6 a blob of another size" env KILN_ROOT="$T/cut" "$KILN" build --progress=plain --pull=always --no-cache .
    is "$(stat -c %s "$T/cut/blobs/sha256/$blob")" "$size" "L6 is not used, but fetched again"
    registry_down
else
    skip "L6"
fi
if ! nm -D "$KILN" | grep -q __asan; then
    { echo 'FROM scratch'; for i in $(seq 60); do printf 'LABEL a%d=%s\n' "$i" "$(printf 'x%.0s' $(seq 60000))"; done; } >Dockerfile
    out=$(ulimit -v 30000; timeout -k 5 30 "$KILN" build --progress=plain . 2>&1)
    is "$? $(tail -n 1 <<<"$out")" "125 error: out of memory" "F6 no memory is an orderly failure"
fi

# ---- X1: how it starts, and S3: what others of the host see of it
ok "X1 without standard streams" sh -c '"$1" version <&- >"$2" 2>&- && "$1" version >&- 2>"$2" <&-; "$1" version <&-' sh "$KILN" "$T/x1"
mkfifo "$T/wait"
(umask 000 && exec "$KILN" build --progress=quiet --secret "id=a,src=$T/secret" -f "$T/wait" . </dev/null >/dev/null 2>&1) &
pid=$!
for _ in $(seq 100); do grep -q '^Umask:.0077' "/proc/$pid/status" 2>/dev/null && break; sleep 0.05; done
like "$(cat "/proc/$pid/status")" '^Umask:.0077' "X1 umask 077"
like "$(cat "/proc/$pid/limits")" 'Max core file size +0 +0 ' "S3 no core dumps"
is "$(stat -c %u "/proc/$pid/environ")" 0 "S3 its memory is not to be read"
# (A sanitizer makes mlock() do nothing.)
if [ "$(id -u)" -eq 0 ] && ! nm -D "$KILN" | grep -q __asan; then
    sleep 0.2
    like "$(cat "/proc/$pid/smaps")" '^VmFlags:.* lo .*\bdd\b' "S3 a secret is locked in memory and in no dump"
fi
kill "$pid"
wait "$pid" 2>/dev/null
if [ "$(id -u)" -eq 0 ] && need setpriv; then
    cp "$KILN" "$T/suid"
    chmod 4755 "$T/suid"
    chmod 755 "$T"
    status 125 "X1 setuid" setpriv --reuid=65534 --regid=65534 --clear-groups "$T/suid" version
    like "$out" 'setuid' "X1 is refused"
fi
done_testing
