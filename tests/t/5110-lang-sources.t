#!/bin/bash
# ADD of archives, URLs and repositories; ONBUILD; ignore files; kinds of contexts (spec/dockerfile.md 10 to 13). More of 10.3, 10.4, 13.1: 5025-context.t.
. "$(dirname "$0")/../lang.sh"

# ---- 10.2 archives
mkdir -p "$T/arch/in/var" "$T/arch/in/dir"
cd "$T/arch" || exit 1
printf f >in/dir/f
printf d >in/deep
ln -s /abs in/link
ln in/dir/f in/hard
chmod 750 in/dir
python3 - <<'PY'
import io, tarfile
def put(name, type=tarfile.REGTYPE, data=b"", mode=0o644, uid=0, gid=0, link=""):
    m = tarfile.TarInfo(name)
    m.type, m.size, m.mode, m.uid, m.gid, m.linkname, m.mtime = type, len(data), mode, uid, gid, link, 1000000000
    t.addfile(m, io.BytesIO(data))
with tarfile.open("base.tar", "w") as t:
    put("./", tarfile.DIRTYPE, mode=0o700, uid=9)
    put("dir/", tarfile.DIRTYPE, mode=0o750, uid=12, gid=34)
    put("dir/f", data=b"f", mode=0o4755, uid=12, gid=34)
    put("hard", tarfile.LNKTYPE, link="dir/f", mode=0o4755, uid=12, gid=34)
    put("link", tarfile.SYMTYPE, link="/abs")
    put("parent/less/x", data=b"x", uid=5)
    put("../../up", data=b"up")
    put("/rooted", data=b"r")
    put("fifo", tarfile.FIFOTYPE)
with tarfile.open("over.tar", "w") as t:
    put("isdir", data=b"file")
    put("run/", tarfile.DIRTYPE, mode=0o711)
    put("var/run/x", data=b"x")
    put("isfile/", tarfile.DIRTYPE)
    put("isfile/y", data=b"y")
with open("base.tar", "rb") as f, open("bad.tar", "wb") as o:
    d = f.read()
    o.write(d[:1200])
PY
gzip -c base.tar >a.bin
bzip2 -c base.tar >b.bin
xz -c base.tar >c.bin
zstd -qc base.tar >d.bin
cp base.tar e.bin
: >empty.tar
head -c 10240 /dev/zero >zero.tar
echo plain | gzip >plain.gz
ln -s base.tar tolink
cat >Dockerfile <<'EOT'
FROM busybox:1.35
RUN mkdir -p /o/run /o/var /o/isdir/sub /root2 && ln -s /run /o/var/run && echo f > /o/isfile && chmod 700 /o/run
ADD a.bin /a
ADD b.bin /b/
ADD c.bin /c
ADD d.bin /d
ADD e.bin tolink /e/
ADD --chown=7:8 --chmod=600 base.tar /f
ADD empty.tar zero.tar plain.gz in /g/
ADD --unpack=false base.tar /h/
ADD over.tar /o
ADD *.bin /i/
ADD <<t.tar /j/
text
t.tar
ADD --unpack=true --link e.bin /k
COPY a.bin /l/
EOT
made "10.2 archives" arch
for p in a b c d e i k; do tree arch $p; done | sort | uniq -c | sed 's/^ *//' >"$T/arch.got"
same "10.2 five compressions, a link, a pattern: owners, modes, names that want out" "$(cat "$T/arch.got")" <<'EOT'
7 . d 0755 0:0
7 dir d 0750 12:34
7 dir/f f 4755 12:34 "f"
7 fifo p 0644 0:0
7 hard f 4755 12:34 "f"
7 link l 0777 0:0 -> /abs
7 parent d 0755 0:0
7 parent/less d 0755 0:0
7 parent/less/x f 0644 5:0 "x"
7 rooted f 0644 0:0 "r"
7 up f 0644 0:0 "up"
EOT
same "10.2, P6 --chown, not --chmod" "$(tree arch f | cut -d' ' -f1-4)" <<'EOT'
. d 0755 7:8
dir d 0750 7:8
dir/f f 4755 7:8
fifo p 0644 7:8
hard f 4755 7:8
link l 0777 7:8
parent d 0755 0:0
parent/less d 0755 0:0
parent/less/x f 0644 7:8
rooted f 0644 7:8
up f 0644 7:8
EOT
same "10.2 what is no archive is copied; --unpack=false; documents" "$(for p in g h j l; do tree arch $p | cut -d' ' -f1,2; done)" <<'EOT'
. d
deep f
dir d
dir/f f
empty.tar f
hard f
link l
plain.gz f
var d
zero.tar f
. d
base.tar f
. d
t.tar f
. d
a.bin f
EOT
same "10.2 onto what exists" "$(tree arch o)" <<'EOT'
. d 0755 0:0
isdir f 0644 0:0 "file"
isfile d 0644 0:0
isfile/y f 0644 0:0 "y"
run d 0711 0:0
run/x f 0644 0:0 "x"
var d 0755 0:0
var/run l 0777 0:0 -> /run
EOT
is "$(TIMES=1 tree arch a | grep -cE '^(dir|dir/f|link) .*@1000000000')" 3 "10.2, P6 times, of a link too"
mkdir -p "$T/bad"
for n in .wh.x dir/.wh.f dir/.wh..wh..opq; do
    python3 - "$T/bad/wh.tar" "$n" <<'PY'
import sys, tarfile
with tarfile.open(sys.argv[1], "w") as t:
    t.addfile(tarfile.TarInfo(sys.argv[2]))
PY
    refused "spec/threats.md W1 $n in an archive" "that image layers use to mark deleted files" <<<$'FROM scratch\nADD wh.tar /'
done
cp bad.tar "$T/"
mkdir -p "$T/bad" && cp bad.tar "$T/bad/"
refused "10.2 a damaged one" 'unpack|archive|truncated|damaged' <<<$'FROM scratch\nADD bad.tar /'

# ---- 10.3, 10.4 over loopback
mkdir -p "$T/srv/sub"
cd "$T/srv" || exit 1
cp "$T/arch/a.bin" sub/x.tar.gz
printf body >sub/plain
touch -d '2001-02-03 04:05:06 UTC' sub/plain
g() { git -c user.email=a@b -c user.name=n -c init.defaultBranch=main -c commit.gpgsign=false "$@" >/dev/null 2>&1; }
if need git; then
    mkdir work
    (cd work && g init && printf 1 >f && mkdir d && printf 2 >d/g && ln -s f l && printf '#!' >run && chmod 755 run && g add . && g commit -m one && g tag -a v1 -m v1 && printf 3 >new && g add . && g commit -m two && git branch topic)
    git clone -q --bare work repo.git 2>/dev/null
    commit=$(git -C repo.git rev-parse 'v1^{commit}')
fi
cat >"$T/httpd.py" <<'PY'
import gzip, hashlib, http.server, os, subprocess, sys
class H(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *a): pass
    def log_request(self, code="-", size="-"):
        with open(sys.argv[1], "a") as f: f.write("%s %s %d\n" % (self.command, self.path, int(code)))
    def do_GET(self):
        if self.path.startswith("/tag/"): # a file of sub/, with an ETag and no date
            body = open("sub/" + self.path[5:], "rb").read()
            tag = '"' + hashlib.sha256(body).hexdigest() + '"'
            same = self.headers.get("If-None-Match") == tag
            self.send_response(304 if same else 200); self.send_header("ETag", tag)
            if not same: self.send_header("Content-Length", str(len(body)))
            self.end_headers(); self.wfile.write(b"" if same else body); return
        if self.path.startswith("/moved"):
            self.send_response(302); self.send_header("Location", "/sub/plain"); self.end_headers(); return
        if self.path == "/auth/x":
            ok = self.headers.get("Authorization") == "Bearer tkn"
            self.send_response(200 if ok else 401); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"ok"); return
        if self.path.startswith("/repo.git"):
            return self.git(b"")
        return super().do_GET()
    def do_POST(self):
        self.git(self.rfile.read(int(self.headers.get("Content-Length", 0))))
    def git(self, body):
        path, _, query = self.path.partition("?")
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if b"command=fetch" in body:
            with open(sys.argv[1], "a") as f: f.write("FETCH\n")
        env = dict(os.environ, GIT_PROJECT_ROOT=os.getcwd(), GIT_HTTP_EXPORT_ALL="1", PATH_INFO=path, QUERY_STRING=query, REQUEST_METHOD=self.command,
                   CONTENT_TYPE=self.headers.get("Content-Type", ""), CONTENT_LENGTH=str(len(body)), GIT_PROTOCOL=self.headers.get("Git-Protocol", ""),
                   GIT_CONFIG_COUNT="1", GIT_CONFIG_KEY_0="safe.directory", GIT_CONFIG_VALUE_0="*")
        r = subprocess.run(["git", "http-backend"], input=body, env=env, stdout=subprocess.PIPE).stdout
        head, _, rest = r.partition(b"\r\n\r\n")
        lines = dict(l.split(": ", 1) for l in head.decode().split("\r\n") if l)
        self.send_response(int(lines.pop("Status", "200").split()[0]))
        for k, v in lines.items():
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest)
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H)
print(s.server_port, flush=True)
s.serve_forever()
PY
coproc HTTPD { exec python3 "$T/httpd.py" "$T/gets"; }
httpd=$HTTPD_PID
trap 'kill "$httpd" 2>/dev/null; _cleanup' EXIT
read -r hport <&"${HTTPD[0]}"
u=http://127.0.0.1:$hport
sum=$(sha256sum sub/plain | cut -d' ' -f1)
sum5=$(sha512sum sub/plain | cut -d' ' -f1)
dockerfile http <<EOT
FROM scratch
ADD $u/sub/plain?q=1#frag /a/
ADD $u/sub/x.tar.gz /b/
ADD --unpack=true $u/sub/x.tar.gz /c
ADD --unpack=true $u/sub/plain /d/
ADD --chmod=0644 --chown=1:2 --checksum=sha256:$sum $u/moved /e
ADD $u/ /f/
ADD --checksum=sha512:$sum5 $u/sub/plain /g
ADD $u/auth/x /h/
EOT
printf tkn >"$T/token"
made "10.3 URLs" http --secret "id=HTTP_AUTH_TOKEN_127.0.0.1:$hport,src=$T/token" --secret "id=HTTP_AUTH_TOKEN_127.0.0.1,src=$T/token"
same "10.3 names, modes, owners, times" "$(TIMES=1 tree http | grep -vE '^(c|f)/|^. |^[a-z] d' | cut -d' ' -f1-5 | sed -E 's/(b|h)(.*) @.*/\1\2/')" <<'EOT'
a/plain f 0600 0:0 @981173106
b/x.tar.gz f 0600 0:0
d/plain f 0600 0:0 @981173106
h/x f 0600 0:0
EOT
is "$(tree http e | cut -d' ' -f2-)" 'f 0644 1:2 "body"' "10.3 redirect, --chmod, --chown, --checksum"
is "$(tree http g | cut -d' ' -f2-)" 'f 0600 0:0 "body"' "10.3 a sha512 checksum"
is "$(tree http c/parent/less/x)" '. f 0644 5:0 "x"' "10.3 --unpack=true"
is "$(tree http f | tail -1 | cut -d' ' -f1)" __unnamed__ "10.3 a URL without a name"
unlike "$(raw http)" 'tkn' "10.3 the token is not in the image"
refused "10.5 a checksum of two sources" "checksum can't be specified for multiple sources" <<<$'FROM scratch\nADD --checksum=sha256:'"$sum $u/a $u/b /"
refused "10.5 a checksum of a file" 'checksum requires HTTP\(S\) or Git sources' <<<$'FROM scratch\nADD --checksum=sha256:'"$sum Dockerfile /"
refused "10.5 for COPY" 'unknown flag: --checksum' <<<$'FROM scratch\nCOPY --checksum=sha256:'"$sum Dockerfile /"

# ---- 10.3 what did not change is asked for, not fetched
cp sub/plain sub/one
touch -d '2001-02-03 04:05:06 UTC' sub/one
printf two >sub/two
dockerfile again <<EOT
FROM busybox:1.35
ADD $u/tag/two $u/sub/one /a/
RUN date +%s%N >/ran
EOT
asked() { # asked NAME DIR GETS ARGS... - a build, and what the server was asked for
    local name=$1 dir=$2 want=$3
    shift 3
    : >"$T/gets"
    made "$name" "$dir" "$@"
    is "$(sed -n 's/^GET \(\/[st]\)/\1/p; /FETCH/p' "$T/gets" | uniq | tr '\n' ',')" "$want" "$name: the requests"
}
asked "10.3 first" again "/tag/two 200,/sub/one 200,"
ran=$(file again ran)
asked "10.3 the second build asks" again "/tag/two 304,/sub/one 304,"
is "$(file again ran)" "$ran" "10.3 unchanged is cached, and what is above it"
is "$(grep -c 'ADD http' <<<"$out") $(sed -n 's/^#1 //p' <<<"$out" | grep -v ADD)" "1 cached" "10.3 it is told so, once"
printf 'TWO' >sub/two
asked "10.3 one changed: the other is fetched, too" again "/tag/two 200,/sub/one 304,/sub/one 200,"
like "$out" "^#1 run again: file a/two changed" "10.3 the reason names what changed"
is "$(file again a/two)$(file again a/one)" TWObody "10.3 both files"
asked "10.3 and is known from then on" again "/tag/two 304,/sub/one 304,"
asked "spec/dockerfile.md 14 --no-cache" again "/tag/two 200,/sub/one 200," --no-cache
find "${KILN_ROOT:?}/records" -type f -exec sh -c 'for f; do echo torn >"$f"; done' - {} +
asked "10.3 unchanged, but the step is gone" again "/tag/two 304,/sub/one 304,/tag/two 200,/sub/one 200,"
find "$KILN_ROOT/remotes" -type f -exec sh -c 'for f; do echo torn >"$f"; done' - {} +
asked "10.3 a damaged record is none" again "/tag/two 200,/sub/one 200,"
"$KILN" prune >/dev/null 2>&1
like "$(ls "$KILN_ROOT/remotes")" . "10.3 gc keeps what was used lately"
find "$KILN_ROOT/remotes" -type f -exec touch -d '40 days ago' {} +
"$KILN" prune >/dev/null 2>&1
is "$(ls "$KILN_ROOT/remotes")" "" "10.3 gc forgets those that nobody asked for"
printf new >sub/one
asked "10.3 fetched for the last time" again "/tag/two 200,/sub/one 200,"
asked "10.3 a date just before it was fetched proves nothing" again "/tag/two 200,/sub/one 200,"

if need git; then
    dockerfile git <<EOT
FROM scratch
ADD $u/repo.git /a
ADD $u/repo.git#v1:d /b
ADD --chown=3:4 --exclude=d $u/repo.git?branch=topic /c
ADD --checksum=$commit $u/repo.git?tag=v1 /d
ADD $u/repo.git?ref=$commit&subdir=d /e
ADD --keep-git-dir $u/repo.git#main /k
EOT
    made "10.4 git over http" git
    same "10.4 trees" "$(tree git | grep -v '^k/.git/' | cut -d' ' -f1-4)" <<'EOT'
a d 0755 0:0
a/d d 0755 0:0
a/d/g f 0644 0:0
a/f f 0644 0:0
a/l l 0777 0:0
a/new f 0644 0:0
a/run f 0755 0:0
b d 0755 0:0
b/g f 0644 0:0
c d 0755 3:4
c/f f 0644 3:4
c/l l 0777 3:4
c/new f 0644 3:4
c/run f 0755 3:4
d d 0755 0:0
d/d d 0755 0:0
d/d/g f 0644 0:0
d/f f 0644 0:0
d/l l 0777 0:0
d/run f 0755 0:0
e d 0755 0:0
e/g f 0644 0:0
k d 0755 0:0
k/.git d 0755 0:0
k/d d 0755 0:0
k/d/g f 0644 0:0
k/f f 0644 0:0
k/l l 0777 0:0
k/new f 0644 0:0
k/run f 0755 0:0
EOT
    git -C repo.git branch -q moves topic
    dockerfile gitagain <<EOT
FROM busybox:1.35
ADD $u/repo.git#moves $u/tag/two /a/
ADD --keep-git-dir $u/repo.git /k
RUN date +%s%N >/ran
EOT
    asked "10.4 first" gitagain "FETCH,/tag/two 200,FETCH,"
    ran=$(file gitagain ran)
    asked "10.4 the same commits" gitagain "/tag/two 304,"
    is "$(file gitagain ran)" "$ran" "10.4 unchanged is cached, and what is above it"
    git -C repo.git branch -qf moves "$commit"
    asked "10.4 a branch that moved" gitagain "FETCH,/tag/two 304,/tag/two 200,FETCH,"
    like "$out" "^#1 run again: file new is gone" "10.4 the reason names what changed"
    nok "10.4 its new tree" file gitagain a/new
    git clone -q --bare work dumb.git 2>/dev/null
    git -C dumb.git update-server-info
    dockerfile dumb <<EOT
FROM scratch
ADD $u/dumb.git /a
ADD $u/dumb.git#v1:d /b
ADD $u/dumb.git#$commit /c
EOT
    made "10.4 git over http of plain files, which has no shallow fetch" dumb
    is "$(file dumb a/new)$(file dumb b/g)$(file dumb c/f)" 321 "10.4 its trees"
    while IFS='|' read -r src re; do
        refused "10.4 $src" "$re" <<<$'FROM scratch\nADD '"${src/URL/$u/repo.git} /"
    done <<'EOT'
URL?nope=1|unexpected query
URL?ref=|has no value
URL?ref=a&ref=b|has multiple values
URL?ref=a#b|ref conflicts
URL?tag=v1#v1|ref conflicts
URL?tag=a&branch=b|branch conflicts with tag
URL?subdir=a#main:b|subdir conflicts
URL?keep-git-dir=maybe|invalid keep-git-dir value
--keep-git-dir=false URL?keep-git-dir=1|inconsistent keep-git-dir configuration
URL?checksum=xyz|invalid checksum
URL#no-such|repository does not contain ref no-such
URL?fetch-by-commit=1|fetch-by-commit requires
EOT
else
    skip "10.4 git"
fi

# ---- 11 ONBUILD
dockerfile onb <<'EOT'
# escape=`
FROM busybox:1.35 AS base
ENV W=base
ONBUILD ENV W=trigger
ONBUILD COPY --from=tool /tool /from-tool
ONBUILD ARG X=trig
ONBUILD RUN echo "$W $X" > /ran
ONBUILD COPY <<doc /d/
body $W
doc
ONBUILD CMD ["c"]
FROM busybox:1.35 AS tool
RUN echo t > /tool
FROM base AS child
RUN cat /ran > /own; echo "$X" >> /own
ENTRYPOINT ["e"]
FROM child
EOT
made "11 triggers of a stage" onb --build-arg X=given
is "$(file onb own)$(file onb d/doc)$(file onb from-tool)" "$(printf 'trigger given\ngivenbody triggert')" "11 run first in the child, with a dependency"
is "$(raw onb | json - '[d["config"].get("OnBuild"), d["config"]["Cmd"], d["config"]["Entrypoint"]]')" '[null, ["c"], ["e"]]' "11 once; 7.8 a CMD of a trigger counts as the stage's own"
is "$(hist onb | grep -c ONBUILD)" 0 "6.4 no entry of ONBUILD"
like "$(hist onb)" '^ARG X=given \(empty\)$' "6.4 the entries of the triggers"
like "$out" 'ONBUILD RUN' "11 titles are marked"
made "11 the image that carries them" onb --target base -t kiln.test/onbuild -o type=image
is "$(raw onb | json - 'd["config"]["OnBuild"][5]')" 'CMD ["c"]' "11 in its config"
is "$(raw onb | json - 'd["config"]["OnBuild"][4]')" "$(printf 'COPY <<doc /d/\nbody $W\ndoc')" "2.9.6 documents too"
dockerfile fromimg <<'EOT'
FROM busybox:1.35 AS tool
RUN echo other > /tool
FROM kiln.test/onbuild
EOT
made "11 triggers of an image" fromimg --pull=never
is "$(file fromimg ran)$(file fromimg from-tool)" "trigger trigother" "11 stages are those of this file"
refused "11 chaining" 'Chaining ONBUILD' <<<$'FROM scratch\nONBUILD ONBUILD RUN x'
refused "11 FROM" "FROM isn't allowed as an ONBUILD trigger" <<<$'FROM scratch\nONBUILD FROM x'
refused "11 a trigger that is nothing, when it is triggered" 'unknown instruction: FOO' <<<$'FROM scratch AS a\nONBUILD FOO x\nFROM a'

# ---- 12 ignore files
mkdir -p "$T/ign/keep/sub" "$T/ign/docs" "$T/ign/a/b" "$T/ign/x/docs" "$T/ign/log" "$T/ign/only/deep"
cd "$T/ign" || exit 1
for f in keep/a.log keep/b keep/sub/c.log docs/x.md docs/y.md docs/z a/b/c a/tempx a/b/tempy x/docs/q temp1 temp22 log/l.log 'sp ace' '#hash' '!bang' only/deep/r only/s; do printf 1 >"$f"; done
chmod 700 only
printf 'FROM scratch\nCOPY . /\n' >Dockerfile
ig() { # ig NAME EXPECTED-FILES < patterns
    cat >.dockerignore
    kb ign -o "type=tar,dest=$T/ign.tar" || printf '%s\n' "$out"
    is "$(tree ign | grep ' f ' | grep -vE '^(Dockerfile|.dockerignore) ' | sed 's/ f 0.*//' | tr '\n' ',')" "$2" "$1"
}
ig "12.3 *, !keep" 'keep/a.log,keep/b,keep/sub/c.log,' <<<$'*\n!keep'
ig "12.3 **/*.log, !keep: a skipped negation" '!bang,#hash,a/b/c,a/b/tempy,a/tempx,docs/x.md,docs/y.md,docs/z,keep/b,only/deep/r,only/s,sp ace,temp1,temp22,x/docs/q,' <<<$'**/*.log\n!keep'
ig "12.3 **/*.log, !keep/**" '!bang,#hash,a/b/c,a/b/tempy,a/tempx,docs/x.md,docs/y.md,docs/z,keep/a.log,keep/b,keep/sub/c.log,only/deep/r,only/s,sp ace,temp1,temp22,x/docs/q,' <<<$'**/*.log\n!keep/**'
ig "12.2, 12.3 comments, blanks, cleaning, rescue and again" '!bang,#hash,a/b/c,docs/y.md,x/docs/q,' <<<$'# c\n  keep/./  \n/log\n\n./docs//\n! docs/*.md \ndocs/x.md\n*/temp*\na/*/temp*\ntemp*\nonly\nsp ace\n.\n../up\n  #nope\na/../log'
ig "12.4 a rescued file of an ignored directory" 'only/deep/r,' <<<$'*\n!only/deep/r'
is "$(tree ign only)" "$(printf '. d 0700 0:0\ndeep d 0755 0:0\ndeep/r f 0644 0:0 "1"')" "12.4 its directories have their attributes"
ig "App. C **foo, a**, docs/**" '!bang,#hash,keep/a.log,keep/b,keep/sub/c.log,log/l.log,only/deep/r,sp ace,x/docs/q,' <<<$'**/s\na**\ndocs/**\n**temp1\ntemp2?'
printf '!' >.dockerignore
nok "12.2 ! alone" kb ign
kb ign >/dev/null
like "$out" 'illegal exclusion pattern' "12.2 is refused"
printf 'keep\n' >.dockerignore
: >Dockerfile.dockerignore
kb ign -o "type=tar,dest=$T/ign.tar"
is "$(tree ign keep/b)" '. f 0644 0:0 "1"' "12.1 a specific ignore file replaces the other, also when it is empty"
rm Dockerfile.dockerignore
printf 'FROM scratch\nCOPY keep/b /\n' >Dockerfile
kb ign >/dev/null
like "$out" '"/keep/b": not found' "12.4 what is ignored is not found"
like "$out" 'CopyIgnoredFile' "12.4 and told" || true
printf 'Dockerfile\n.dockerignore\n' >.dockerignore
printf 'FROM scratch\nCOPY Dockerfile /\n' >Dockerfile
kb ign >/dev/null
like "$out" '"/Dockerfile": not found' "12.1 the Dockerfile can be ignored, and is used"

# ---- 13.2 named contexts
mkdir -p "$T/named/dir" "$T/other"
printf n >"$T/named/dir/n"
printf i >"$T/named/ignored"
printf ignored >"$T/named/.dockerignore"
chown 5:5 "$T/named/dir/n" 2>/dev/null
skopeo_copy "oci:$KILN_IMAGES/busybox:1.35" "oci:$T/layout:tag1" >/dev/null 2>&1
dockerfile ctx <<'EOT'
FROM busybox AS a
RUN echo a > /a
FROM based AS b
RUN echo b > /b; pwd > /cwd
FROM dirbase
ENV A=1
COPY --from=named / /x/
COPY --from=named dir/n /y
COPY --from=A /a /
COPY --from=b /b /cwd /
COPY --from=replaced /bin/busybox /z
COPY --from=nothing / /nothing/
EOT
made "13.2 named contexts" ctx --build-context "named=$T/named" --build-context dirbase="$T/named" --build-context based="oci-layout://$T/layout:tag1" \
    --build-context busybox=docker-image://docker.io/library/busybox:1.35 --build-context replaced=docker-image://busybox:1.35 --build-context nothing=docker-image://scratch
same "13.2 directories with their own ignore file, layouts, images" "$(tree ctx | grep -v '^z ')" <<'EOT'
.dockerignore f 0644 0:0 "ignored"
a f 0644 0:0 "a$"
b f 0644 0:0 "b$"
cwd f 0644 0:0 "/$"
dir d 0755 0:0
dir/n f 0644 0:0 "n"
nothing d 0755 0:0
x d 0755 0:0
x/.dockerignore f 0644 0:0 "ignored"
x/dir d 0755 0:0
x/dir/n f 0644 0:0 "n"
y f 0644 0:0 "n"
EOT
is "$(raw ctx | json - '[d["config"]["WorkingDir"], d["config"]["Env"][0][:5], len(d["rootfs"]["diff_ids"]) == len([h for h in d["history"] if not h.get("empty_layer")])]')" '["/", "PATH=", true]' \
    "13.2 a directory as base: the config of scratch"
dockerfile repl <<'EOT'
FROM no.such.host.invalid/image AS dep
RUN exit 1
FROM scratch
COPY --from=dep /dir/n /
EOT
made "5.2 a named context replaces the stage of its name" repl --build-context "dep=$T/named"
is "$(file repl n)" n "5.2 with its files"
nok "13.2 an unknown scheme" kb repl --build-context "dep=foo://x"
kb repl --build-context "dep=foo://x" >/dev/null
like "$out" 'unsupported context source|invalid context specifier' "13.2 is named"
# By platform: FROM by its own, COPY --from and mounts by the target's (5.2, 5.6).
for a in any amd64 arm64; do mkdir -p "$T/pf/$a"; printf %s "$a" >"$T/pf/$a/f"; done
dockerfile plat <<'EOT'
FROM --platform=linux/arm64 pf/it AS from
FROM --platform=linux/arm64 busybox AS whole
FROM scratch
COPY --from=from /f /base
COPY --from=whole /f /stage
COPY --from=pf/it /f /copied
EOT
by=(--build-context whole::linux/aarch64="$T/pf/arm64" --build-context pf/it::linux/arm64="$T/pf/arm64" --build-context pf/it="$T/pf/any")
made "5.2, 13.2 NAME::PLATFORM" plat "${by[@]}" --platform linux/amd64
is "$(cat <(file plat base) <(file plat stage) <(file plat copied))" arm64arm64any "13.2 is preferred where the platform is that one"
made "13.2 for the target" plat "${by[@]}" --platform linux/amd64 --build-context pf/it::linux/x86_64="$T/pf/amd64"
is "$(file plat copied)" amd64 "13.2 whatever the order"
# 5.4, 13.2 the only image of a layout, whatever its platform; one by its digest
dockerfile lay <<<$'FROM scratch\nCOPY Dockerfile /d'
ok "an image of another platform" "$KILN" build --platform linux/arm64 -o "type=oci,dest=$T/arm.tar" "$T/lay"
mkdir "$T/arm"
tar -xf "$T/arm.tar" -C "$T/arm"
pin=$(json "$T/arm/index.json" 'd["manifests"][0]["digest"]')
dockerfile onarm <<<$'FROM base\nENV A=1'
made "5.4 a base of another platform" onarm --build-context base="oci-layout://$T/arm"
like "$out" 'InvalidBaseImagePlatform.*"linux/arm64", expected "linux/amd64"|linux/arm64' "5.4 is told"
is "$(raw onarm | json - 'd["architecture"]')" arm64 "5.5 and gives the image its platform"
made "13.2 oci-layout://DIR@DIGEST" onarm --build-context base="oci-layout://$T/arm@$pin"
made "13.2 oci-layout://DIR:TAG@DIGEST" onarm --build-context base="oci-layout://$T/arm:any@$pin"
# 5.6, 20 quirk 22: --from follows the platform of the build, FROM its own.
dockerfile both <<<$'FROM scratch\nARG TARGETARCH\nCOPY <<E /p\n$TARGETARCH\nE'
for arch in arm64 amd64; do kb both --platform "linux/$arch" -t "x/m:$arch" -o "type=oci,dest=$T/both.layout,tar=false"; done
dockerfile follow <<<$'FROM --platform=linux/arm64 m AS a\nCOPY --from=m /p /copied\nFROM busybox:1.35\nCOPY --from=a / /a/\nRUN --mount=from=m,target=/m cat /m/p > /mounted'
made "5.6 an image of two platforms" follow --platform linux/amd64 --build-context m="oci-layout://$T/both.layout"
is "$(file follow a/p; file follow a/copied; file follow mounted)" $'arm64\namd64\namd64' "5.6 --from is for the build's platform"
refused "13.2 a digest that the layout has not" 'is not in the archive' --build-context base="oci-layout://$T/arm@sha256:$(printf %064d 1)" <<<'FROM base'
# 19.1 what may have been meant
refused "19.1 a named context with a letter wrong" "did you mean the context 'source'" --build-context "source=$T/named" <<<$'FROM scratch\nCOPY --from=sorce / /'
refused "19.1 a stage" "did you mean the stage 'source'" --build-context "soorces=$T/named" <<<$'FROM scratch AS source\nFROM scratch\nCOPY --from=sorce / /'
refused "19.1 a stage in upper case" "the name of the stage is 'build'" <<<$'FROM scratch AS Build\nFROM Build'
refused "19.1 a common image" "did you mean the image 'busybox'" <<<'FROM busybx'
refused "19.1 with a tag" "did you mean the image 'busybox:1.35'" <<<'FROM busybx:1.35'
refused "19.1 a stage, no registry asked" "did you mean the stage 'builder'" --pull=never <<<$'FROM scratch AS builder\nFROM bulder'
refused "19.1 a common image, no registry asked" "did you mean the image 'busybox:1.35'" --pull=never <<<'FROM bussybox:1.35'
refused "19.1 like no name" "try: kiln pull nosuch:1" --pull=never <<<$'FROM scratch AS builder\nFROM nosuch:1'
refused "19.1 a tag" "did you mean the image 'busybox:latest'" <<<'FROM busybox:latst'

# ---- 13.1, 13.3
mkdir -p "$T/loc/sub" "$T/loc2"
printf 'FROM scratch\nCOPY f /lower\n' >"$T/loc/dockerfile"
printf 1 >"$T/loc/f"
made "13.3 dockerfile in lower case" loc
is "$(file loc lower)" 1 "13.3 is used"
printf 'FROM scratch\nCOPY f /upper\n' >"$T/loc/Dockerfile"
printf 'FROM scratch\nCOPY f /outside\n' >"$T/loc2/any.name"
made "13.3 both" loc
is "$(file loc upper)" 1 "13.3 Dockerfile wins"
made "13.3 a Dockerfile outside" loc -f "$T/loc2/any.name"
is "$(file loc outside)" 1 "13.3 with the context's files"
printf 'FROM scratch\nCOPY f /outside\n' >"$T/loc/sub/real"
ln -s real "$T/loc/sub/link"
made "13.3 a link" loc -f "$T/loc/sub/link"
registry_down
done_testing
