#!/bin/bash
# Build contexts that are no directory, remote sources of ADD, and kiln context (spec/dockerfile.md 10.3, 10.4, 12, 13).
. "$(dirname "$0")/../lib.sh"
need kiln git python3 || skip_all

# out of an image: its files as "path content", sorted
tree() { tar -xOf "$1" "$2" 2>/dev/null; }
names() { tar -tf "$1" | LC_ALL=C sort | tr '\n' ' '; }
# b NAME ARGS... - build to $T/o.tar; output in $out
b() {
    rm -f "$T/o.tar"
    status 0 "$1" "$KILN" build --progress=plain -o "type=tar,dest=$T/o.tar" "${@:2}"
}

mkdir -p "$T/c/d" "$T/srv"
cd "$T/c" || exit 1
echo one >f
echo two >d/g
echo x >ignored
printf 'FROM scratch\nCOPY . /r/\n' >Dockerfile
printf '# hidden\nignored\nDockerfile\n.dockerignore\nd\n!d/g\n' >.dockerignore

# ---- kiln context
is "$("$KILN" context ls)" "$(printf 'd/\nd/g\nf')" "context ls lists what COPY sees"
like "$("$KILN" context du)" '8 B +2 +in all' "context du adds it up"
like "$("$KILN" context explain ignored)" "\.dockerignore:2: ignored  matches 'ignored'" "context explain names the line"
like "$("$KILN" context explain d/g)" '\.dockerignore:6: !d/g' "and the one that rescues"
like "$("$KILN" context explain f)" 'no line of .dockerignore matches' "and says when there is none"

# ---- standard input
tar -cf "$T/srv/c.tar" .
for z in gzip bzip2 xz zstd; do
    need "$z" || { skip "13.1 $z on standard input"; continue; }
    "$z" -c "$T/srv/c.tar" >"$T/srv/c.$z"
    out=$("$KILN" build --progress=plain -o "type=tar,dest=$T/o.tar" - <"$T/srv/c.$z" 2>&1) && is "$(tree "$T/o.tar" r/ignored)" x "13.1 a tar by $z; the ignore file does not count" || diag "$out"
done
out=$(printf 'FROM scratch\nCOPY <<A /x\nhi\nA\n' | "$KILN" build -o "type=tar,dest=$T/o.tar" - 2>&1)
is "$(tree "$T/o.tar" x)" hi "13.1 a Dockerfile on standard input"
out=$(printf 'FROM scratch\nCOPY f /x\n' | "$KILN" build - 2>&1)
like "$out" '"/f": not found' "13.1 it has no context"
out=$(printf 'FROM scratch\nCOPY f /x\n' | "$KILN" build -o "type=tar,dest=$T/o.tar" -f - . 2>&1)
is "$(tree "$T/o.tar" x)" one "13.1 a Dockerfile on standard input with a directory"
out=$(printf 'FROM scratch\n' | "$KILN" build -f other - 2>&1)
like "$out" 'ambiguous Dockerfile source' "13.1 -f with a Dockerfile on standard input"

# ---- a file by URL
cd "$T/srv" || exit 1
echo payload >'a file.txt'
printf 'FROM scratch\nCOPY context /ctx\n' >Df
cat >"$T/httpd.py" <<'EOT'
import http.server, sys
class H(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *a): pass
    def send_header(self, k, v):
        if k != "Last-Modified" or "bare" not in self.path:
            super().send_header(k, v)
    def end_headers(self):
        self.send_header("Content-Disposition", 'attachment; filename="../../evil"')
        super().end_headers()
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H)
print(s.server_port, flush=True)
s.serve_forever()
EOT
coproc HTTPD { exec python3 "$T/httpd.py"; }
httpd=$HTTPD_PID
read -r hport <&"${HTTPD[0]}"
u=http://127.0.0.1:$hport
trap 'rc=$?; kill "$httpd" ${gitd:+"$gitd"} 2>/dev/null; (exit $rc); _cleanup' EXIT

b "13.1 a tarball by URL" "$u/c.gzip"
is "$(tree "$T/o.tar" r/ignored)" x "is the context"
b "13.1 a Dockerfile by URL" "$u/Df"
is "$(tree "$T/o.tar" ctx)" "$(cat Df)" "is in the context as 'context'"
sum=$(sha256sum c.tar | cut -d' ' -f1)
cat >Dockerfile <<EOT
FROM scratch
ADD $u/a%20file.txt /x/
ADD --chmod=644 --chown=3:4 $u/Df /y
ADD --unpack=true $u/c.gzip /z
ADD --checksum=sha256:$sum $u/c.tar /c/
EOT
b "10.3 ADD of URLs" .
is "$(names "$T/o.tar")" 'c/ c/c.tar x/ x/a file.txt y z/ z/.dockerignore z/Dockerfile z/d/ z/d/g z/f z/ignored ' "10.3, D13 names (not those of Content-Disposition), --unpack, --checksum"
like "$(tar -tvf "$T/o.tar" --numeric-owner)" '^-rw------- 0/0 .* x/a file.txt$' "10.3 mode 0600"
like "$(tar -tvf "$T/o.tar" --numeric-owner)" '^-rw-r--r-- 3/4 .* y$' "10.3 or as asked"
is "$(tar -tvf "$T/o.tar" --full-time x/ | awk '/file/ { print $4, $5 }')" "$(date -r 'a file.txt' '+%Y-%m-%d %H:%M:%S')" "10.3 Last-Modified"
b "again" .
is "$(grep -c ' cached$' <<<"$out")" 4 "is cached"
printf 'FROM scratch\nADD --checksum=sha256:%064d %s/c.tar /c/\n' 1 "$u" >Dockerfile
status 3 "10.5, D13 a wrong checksum" "$KILN" build .
like "$out" 'digest mismatch' "says so"
printf 'FROM scratch\nADD %s/nope /c/\n' "$u" >Dockerfile
status 3 "10.3 a missing file" "$KILN" build .
like "$out" 'invalid response status 404' "names the status"

# ---- 18.5 SOURCE_DATE_EPOCH names what is fetched
mkdir -p "$T/ep/d" "$T/self"
printf 'FROM scratch\nARG SOURCE_DATE_EPOCH\nCOPY <<E /e\n${SOURCE_DATE_EPOCH-none}\nE\n' | tee "$T/ep/Dockerfile" Ep >"$T/self/Dockerfile"
touch -d @1200000000 "$T/ep/Dockerfile"
touch -d @1300000000 "$T/ep/d"
touch -d @1100000000 Ep
tar -C "$T/ep" -cf ep.tar . && touch -d @1400000000 ep.tar
epoch() { # epoch NAME WANT ARGS... - what the stage and, unless it is none, the files of type=tar see
    b "18.5 $1" "${@:3}"
    is "$(tree "$T/o.tar" e) $2 $(tar -tvf "$T/o.tar" --full-time --utc e | awk '{ print $4 "T" $5 }')" \
        "$2 $2 $([ "$2" = none ] && tar -tvf "$T/o.tar" --full-time --utc e | awk '{ print $4 "T" $5 }' || date -u -d "@$2" +%FT%T)" "18.5 $1: its time"
}
c=SOURCE_DATE_EPOCH=context
epoch "an archive: Last-Modified" 1400000000 --build-arg $c "$u/ep.tar"
epoch "an archive without: its newest file" 1200000000 --build-arg $c "$u/ep.tar?bare"
epoch "a Dockerfile: Last-Modified" 1100000000 --build-arg $c "$u/Ep"
epoch "a Dockerfile without: none" none --build-arg $c "$u/Ep?bare"
epoch "a directory: none" none --build-arg $c "$T/self"
epoch "a named file" 1100000000 --build-arg SOURCE_DATE_EPOCH=it --build-context "it=$u/Ep" "$T/self"
epoch "a named directory: none" none --build-arg SOURCE_DATE_EPOCH=it --build-context "it=$T/ep" "$T/self"
epoch "a named image: none" none --build-arg SOURCE_DATE_EPOCH=it --build-context it=docker-image://scratch "$T/self"
epoch "a number before 1970" -5 --build-arg SOURCE_DATE_EPOCH=-5 "$T/self"
epoch "a number with a sign" 7 --build-arg SOURCE_DATE_EPOCH=+7 "$T/self"
SOURCE_DATE_EPOCH=it epoch "by the environment" 1100000000 --build-context "it=$u/Ep" "$T/self"
{ printf 'ARG F=Ep\nARG SOURCE_DATE_EPOCH=src\nFROM scratch AS Src\nARG F\nARG G=$F\nADD --chmod=600 %s/$G /x\n' "$u" && cat Ep; } >"$T/self/Dockerfile"
epoch "a stage that only fetches, by a global ARG" 1100000000 "$T/self"
epoch "a named context that is one" 1100000000 --build-arg SOURCE_DATE_EPOCH=it --build-context it=target:SRC "$T/self"
epoch "its arguments" 1400000000 --build-arg F=ep.tar "$T/self"
while IFS='|' read -r arg text want; do
    printf "$text" >"$T/self/Dockerfile"
    status 2 "18.5 $want" "$KILN" build --build-arg "SOURCE_DATE_EPOCH=$arg" "$T/self"
    like "$out" "$want" "18.5 is the message"
done <<'EOT'
12x|FROM scratch\n|invalid SOURCE_DATE_EPOCH: 12x
9223372036854775808|FROM scratch\n|invalid SOURCE_DATE_EPOCH: 9223372036854775808
+-5|FROM scratch\n|invalid context name
Src|FROM scratch AS src\n|invalid context name Src
src|FROM scratch AS s\nFROM s AS src\n|SOURCE_DATE_EPOCH stage must use FROM scratch
src|FROM scratch AS src\nADD http://h/a /\nCOPY a /b\n|unsupported COPY instruction
src|FROM scratch AS src\nARG A\n|SOURCE_DATE_EPOCH stage must contain exactly one remote ADD
src|FROM scratch AS src\nADD file /\n|SOURCE_DATE_EPOCH stage must contain exactly one remote ADD
src|FROM scratch AS src\nADD http://h/a http://h/b /\n|SOURCE_DATE_EPOCH stage must contain exactly one remote ADD
src|FROM scratch AS src\nADD http://h/a /\nADD http://h/b /\n|SOURCE_DATE_EPOCH stage must contain exactly one remote ADD
EOT

# ---- git
mkdir -p "$T/git/repo.git" "$T/git/sub.git"
g() { git -c user.email=a@b -c user.name=n -c protocol.file.allow=always -c init.defaultBranch=main -c commit.gpgsign=false "$@" >/dev/null 2>&1; }
cd "$T/git/sub.git" || exit 1
g init && echo S >s && g add . && g commit -m s
cd "$T/git/repo.git" || exit 1
g init && mkdir -p sub/dir && echo hi >sub/dir/f && echo '#!' >run && chmod 755 run && ln -s run l && ln -s sub evil && printf 'FROM scratch\nCOPY . /r/\n' | tee Dockerfile >sub/Dockerfile
g add . && GIT_COMMITTER_DATE='@1250000000 +0000' g commit -m one && g tag -a v1 -m v1 && echo 2 >two && g submodule add ../sub.git mod && git config -f .gitmodules submodule.mod.url ../sub.git && g add . && g commit -m two
v1=$(git rev-parse 'v1^{commit}') head=$(git rev-parse HEAD)
g checkout -b bad HEAD && git config -f .gitmodules submodule.mod.url "$T/git/sub.git" && g commit -am bad && g checkout main
gport=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*' \
    "$(git --exec-path)/git-daemon" --listen=127.0.0.1 --port="$gport" --base-path="$T/git" --export-all --reuseaddr "$T/git" >/dev/null 2>&1 &
gitd=$!
r=git://127.0.0.1:$gport/repo.git
for _ in $(seq 50); do git ls-remote "$r" >/dev/null 2>&1 && break; sleep 0.1; done

if ! git ls-remote "$r" >/dev/null 2>&1; then
    lacks=git-daemon
    skip "git contexts"
    done_testing
fi
b "13.1 a repository" "$r"
is "$(names "$T/o.tar")" 'r/ r/.gitmodules r/Dockerfile r/evil r/l r/mod/ r/mod/s r/run r/sub/ r/sub/Dockerfile r/sub/dir/ r/sub/dir/f r/two ' "with submodules, without .git"
like "$(tar -tvf "$T/o.tar" --numeric-owner)" '^-rwxr-xr-x 0/0 .* r/run$' "10.4.1 modes by git, owner 0:0"
b "10.4 a tag" "$r#v1"
unlike "$(names "$T/o.tar")" 'two' "10.4 is what it was"
b "10.4 a commit" "$r#$v1"
b "10.4 a sub-directory" "$r?branch=main&subdir=sub"
is "$(names "$T/o.tar")" 'r/ r/Dockerfile r/dir/ r/dir/f ' "10.4 is the context's root"
git -C "$T/git/repo.git" branch old v1
b "cli-flags 2: --git=branch=" --git branch=old,depth=1 --git single-branch=true "$r"
unlike "$(names "$T/o.tar")" 'two' "is that branch"
b "cli-flags 2: --git=recurse-submodules=false" --git recurse-submodules=false,insecure-skip-tls=true "$r"
unlike "$(names "$T/o.tar")" 'mod/s' "leaves them out"
status 125 "cli-flags 2: --git and the address" "$KILN" build --git branch=old "$r#v1"
like "$out" "says branch=old, and the address says 'v1'" "do not agree"
status 125 "cli-flags 2: --git" "$KILN" build --git branches=x "$r"
like "$out" 'there are branch=' "lists what there is"
# Times are no part of a key: a copy from the cache would keep those of the first checkout.
b "13.1 the time of the commit" --no-cache "$r?mtime=commit"
is "$(tar -tvf "$T/o.tar" --full-time r/two | awk '{ print $4, $5 }')" "$(date -d "@$(git -C "$T/git/repo.git" log -1 --format=%ct)" '+%Y-%m-%d %H:%M:%S')" "13.1 is the files' time"
v1time=$(git -C "$T/git/repo.git" log -1 --format=%ct v1)
printf 'FROM scratch\nARG SOURCE_DATE_EPOCH\nCOPY <<E /e\n${SOURCE_DATE_EPOCH-none}\nE\n' >"$T/self/Dockerfile"
epoch "a named repository" "$v1time" --build-arg SOURCE_DATE_EPOCH=it --build-context "it=$r#v1" "$T/self"
b "18.5 the main context, a repository" --build-arg $c "$r?tag=v1&mtime=checkout"
is "$(tar -tvf "$T/o.tar" --full-time --utc r/run | awk '{ print $4 "T" $5 }')" "$(date -u -d "@$v1time" +%FT%T)" "18.5 the commit's time"
printf 'FROM scratch AS src\nADD %s#v1 /\n' "$r" | cat - "$T/srv/Ep" >"$T/self/Dockerfile"
epoch "a stage with a repository" "$v1time" --build-arg SOURCE_DATE_EPOCH=src "$T/self"
status 3 "10.4.2 a ref that is not there" "$KILN" build "$r#nope"
like "$out" 'repository does not contain ref nope' "says so"
status 3 "10.4.2 another commit than asked for" "$KILN" build "$r?checksum=$v1"
like "$out" 'expected checksum to match' "says so"
status 2 "10.4.1 a sub-directory through a link" "$KILN" build "$r#main:evil/dir"
like "$out" 'invalid subdir' "says so"
status 3 "D11 a submodule by path" "$KILN" build "$r#bad"
like "$out" 'submodule address' "says so"

mkdir -p "$T/add"
cat >"$T/add/Dockerfile" <<EOT
FROM scratch
ADD $r?tag=v1 /a
ADD --keep-git-dir=true $r#main /k
ADD --exclude=sub $r#$head /e/
EOT
b "10.4 ADD of repositories" "$T/add"
like "$(names "$T/o.tar")" ' a/run ' "10.4.1 contents go into the destination"
like "$(names "$T/o.tar")" ' k/\.git/HEAD ' "10.4.1 --keep-git-dir"
unlike "$(names "$T/o.tar")" ' e/sub/|k/\.git/logs|k/\.git/FETCH_HEAD' "10.6 --exclude; nothing about the builder in a kept .git"
b "again" "$T/add"
is "$(grep -c ' cached$' <<<"$out")" 3 "is cached"
unlike "$(find "$KILN_ROOT/tmp" -mindepth 2 2>/dev/null | head -1)" . "nothing is left behind"
done_testing
