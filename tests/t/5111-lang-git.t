#!/bin/bash
# Repositories over ssh, and their submodules over ssh and over http with plain files (spec/dockerfile.md 10.4, 13.1; spec/threats.md D11, D12, X2).
. "$(dirname "$0")/../lib.sh"
need kiln git ssh ssh-agent sshd python3 || skip_all

names() { tar -tf "$1" | LC_ALL=C sort | tr '\n' ' '; }
content() { tar -xOf "$T/o.tar" "$1" 2>/dev/null; }
kiln_build() { "$KILN" build --progress=plain -o "type=tar,dest=$T/o.tar" "$@"; }
b() { # b NAME ARGS... - a build to $T/o.tar
    rm -f "$T/o.tar"
    status 0 "$1" kiln_build "${@:2}"
}

# ---- three repositories in three folders: top -> mid -> low, and what else may be asked of top
g() { git -c user.email=a@b -c user.name=n -c protocol.file.allow=always -c init.defaultBranch=main -c commit.gpgsign=false "$@" >/dev/null 2>&1; }
link() { # link PATH URL COMMIT - a submodule, without fetching it
    git config -f .gitmodules "submodule.$1.path" "$1" && git config -f .gitmodules "submodule.$1.url" "$2"
    mkdir -p "$1" && g update-index --add --cacheinfo "160000,$3,$1" && g add .gitmodules
}
mkdir -p "$T"/work/{top,mid,low} "$T"/srv/{top,mid/mid,low}
cd "$T/work/low" && g init && echo low >low && g add . && g commit -m one && low=$(git rev-parse HEAD) && echo newer >low && g commit -am two || exit 1
cd "$T/work/mid" && g init && echo mid >mid && g add . && link deep ../../../low/low.git "$low" && g commit -m one && mid=$(git rev-parse HEAD) || exit 1
cd "$T/work/top" && g init && echo 1 >one && mkdir -p sub && echo s >sub/f && printf 'FROM scratch\nCOPY . /\n' | tee Dockerfile >sub/Dockerfile || exit 1
cat >ssh <<'EOT'
#!/bin/sh
touch "$MARK"
EOT
sed -i "s|\$MARK|$T/started|" ssh && chmod 755 ssh
g add . && g commit -m one && one=$(git rev-parse HEAD) && g tag -a v1 -m v1 && tag=$(git rev-parse v1) && link parts/mid ../../mid/mid/mid.git "$mid" && g commit -m two && two=$(git rev-parse HEAD) || exit 1
g branch feature/x "$one" && g update-ref refs/pull/7/head "$one"
n=0
while IFS='|' read -r url name; do
    n=$((n + 1))
    g checkout -b "bad$n" main && git config -f .gitmodules submodule.parts/mid.url "$url" && g commit -am bad && g checkout main
done <<EOT
file://$T/srv/low/low.git
$T/srv/low/low.git
ext::sh -c touch% $T/started
../../../../../../../../../../../../x.git
--upload-pack=touch $T/started
-oProxyCommand=touch@x:y
ssh://-oProxyCommand=touch/x
EOT
g checkout -b orphan main && git config -f .gitmodules --remove-section submodule.parts/mid && g commit -am orphan && g checkout -b none main &&
    git config -f .gitmodules submodule.parts/mid.update none && g commit -am none && g checkout -b deepbad main || exit 1
(cd "$T/work/mid" && g checkout -b bad main && git config -f .gitmodules submodule.deep.url "file://$T/srv/low/low.git" && g commit -am bad && git rev-parse HEAD) >"$T/midbad"
g update-index --cacheinfo "160000,$(cat "$T/midbad"),parts/mid" && g commit -m deepbad && g checkout -f main
git clone -q --bare "$T/work/top" "$T/srv/top/top.git" && git clone -q --bare "$T/work/mid" "$T/srv/mid/mid/mid.git" && git clone -q --bare "$T/work/low" "$T/srv/low/low.git" || exit 1
git -C "$T/srv/top/top.git" update-ref refs/pull/7/head "$one"
for r in top/top mid/mid/mid low/low; do git -C "$T/srv/$r.git" update-server-info; done

# ---- a server of plain files, with and without a token
cat >"$T/httpd.py" <<'PY'
import http.server, sys
class H(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_GET(self):
        got = self.headers.get("Authorization", "-")
        with open(sys.argv[1], "a") as f: f.write("%s %s\n" % (self.path, got))
        if self.path.startswith("/moved/"):
            self.send_response(302); self.send_header("Location", "http://localhost:%d/%s" % (s.server_port, self.path[7:])); self.send_header("Content-Length", "0"); self.end_headers(); return
        if self.path.startswith("/private/"):
            if got != "basic eC1hY2Nlc3MtdG9rZW46dGtu": # x-access-token:tkn
                self.send_response(401); self.send_header("WWW-Authenticate", 'Basic realm="x"'); self.send_header("Content-Length", "0"); self.end_headers(); return
            self.path = self.path[8:]
        return super().do_GET()
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H)
print(s.server_port, flush=True)
s.serve_forever()
PY
cd "$T/srv" || exit 1
coproc HTTPD { exec python3 "$T/httpd.py" "$T/gets"; }
httpd=$HTTPD_PID
trap 'rc=$?; kill "$httpd" ${sshd:+"$sshd"} ${SSH_AGENT_PID:+"$SSH_AGENT_PID"} 2>/dev/null; (exit $rc); _cleanup' EXIT
read -r hport <&"${HTTPD[0]}"
u=http://127.0.0.1:$hport

want='.gitmodules Dockerfile one parts/ parts/mid/ parts/mid/.gitmodules parts/mid/deep/ parts/mid/deep/low parts/mid/mid ssh sub/ sub/Dockerfile sub/f '
b "10.4.1 submodules of submodules from plain files" "$u/top/top.git"
is "$(names "$T/o.tar")" "$want" "10.4.1 each in its place, without .git"
is "$(content parts/mid/deep/low)" low "10.4.1 the commit that is named, not the newest"
b "10.4 submodules=false" "$u/top/top.git?submodules=false"
is "$(names "$T/o.tar")" '.gitmodules Dockerfile one parts/ parts/mid/ ssh sub/ sub/Dockerfile sub/f ' "10.4 leaves their folders empty"
b "10.4.1 a submodule that says update = none" "$u/top/top.git#none"
for i in $(seq $n); do
    status 3 "D11 submodule address $i" kiln_build "$u/top/top.git#bad$i"
    like "$out" "submodule address '.*' is not allowed" "D11 is not allowed"
done
status 3 "10.4.1 a submodule without an address" kiln_build "$u/top/top.git#orphan"
like "$out" "submodule 'parts/mid' of .* has no url in .gitmodules" "10.4.1 is named"
status 3 "D11 the address of a submodule's submodule" kiln_build "$u/top/top.git#deepbad"
like "$out" "submodule address 'file://.*' is not allowed" "D11 is looked at too"

mkdir -p "$T/add"
printf 'FROM scratch\nADD --keep-git-dir %s /k\n' "$u/top/top.git" >"$T/add/Dockerfile"
b "10.4.1 ADD --keep-git-dir with submodules" "$T/add"
mkdir -p "$T/kept" && tar -xf "$T/o.tar" -C "$T/kept"
is "$(git -C "$T/kept/k" -c safe.directory='*' rev-parse HEAD)" "$two" "10.4.1 a kept .git works"
is "$(git -C "$T/kept/k/parts/mid/deep" -c safe.directory='*' rev-parse HEAD)" "$low" "10.4.1 a kept one of a submodule, too"
is "$(git -C "$T/kept/k/parts/mid/deep" config remote.origin.url)" "$u/low/low.git" "10.4.1 and says where it is from"
is "$(git -C "$T/kept/k" -c safe.directory='*' status --porcelain)" "" "10.4.1 nothing looks changed"

printf tkn >"$T/token"
status 3 "10.4.2 a private repository" kiln_build "$u/private/top/top.git"
like "$out" 'GIT_AUTH_TOKEN' "10.4.2 what it wants"
: >"$T/gets"
b "10.4.2 GIT_AUTH_TOKEN of a host with a port" --secret "id=GIT_AUTH_TOKEN,src=$T/token" "$u/private/top/top.git?submodules=false"
: >"$T/gets"
status 3 "R4 a redirection of a private repository" kiln_build --secret "id=GIT_AUTH_TOKEN.127.0.0.1,src=$T/token" "$u/moved/private/top/top.git"
like "$out" 'has moved' "R4 is not followed"
unlike "$(grep -v '^/moved' "$T/gets")" . "R4 nobody else sees the token"

# ---- ssh: the user's own program with a configuration of ours, since it does not read $HOME
cat >"$T/sshd.sh" <<'EOT'
# As root sshd wants a folder and a user of its own: it gets them in a mount namespace.
[ "$(id -u)" -ne 0 ] || { mount -t tmpfs none /run && mkdir /run/sshd && mount --bind "$T/passwd" /etc/passwd; } || exit 1
exec "$sshd_program" -D -e -f "$T/sshd_config"
EOT
ssh-keygen -q -t ed25519 -N '' -f "$T/hostkey" && ssh-keygen -q -t ed25519 -N '' -f "$T/key" && ssh-keygen -q -t ed25519 -N '' -f "$T/other" || exit 1
cp "$T/key.pub" "$T/authorized"
{ cat /etc/passwd; id sshd >/dev/null 2>&1 || echo 'sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin'; } >"$T/passwd"
sport=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$T/sshd_config" <<EOT
ListenAddress 127.0.0.1
Port $sport
HostKey $T/hostkey
AuthorizedKeysFile $T/authorized
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
EOT
unshare=()
[ "$(id -u)" -ne 0 ] || unshare=(unshare --mount)
export T sshd_program
sshd_program=$(sshd_program)
LD_LIBRARY_PATH=$(sshd_libraries) ${unshare[@]+"${unshare[@]}"} sh "$T/sshd.sh" >"$T/sshd.log" 2>&1 &
sshd=$!
for _ in $(seq 100); do ssh-keyscan -p "$sport" 127.0.0.1 >"$T/scan" 2>/dev/null && [ -s "$T/scan" ] && break; sleep 0.1; done
[ -s "$T/scan" ] || diag "$(cat "$T/sshd.log")"
mkdir -p "$T/bin"
cat >"$T/bin/ssh" <<EOT
#!/bin/sh
echo "\$*" >>$T/asked
exec $(command -v ssh) -F $T/ssh_config "\$@"
EOT
chmod 755 "$T/bin/ssh"
: >"$T/known"
cat >"$T/ssh_config" <<EOT
Host here
    HostName 127.0.0.1
    Port $sport
Host *
    User $(id -un)
    UserKnownHostsFile $T/known
    GlobalKnownHostsFile /dev/null
    IdentityFile $T/nokey
    ForwardAgent yes
EOT
unset SSH_AUTH_SOCK SSH_AGENT_PID
eval "$(ssh-agent -a "$T/agent")" >/dev/null
agent=$SSH_AUTH_SOCK
ssh-add -q "$T/key" 2>/dev/null
unset SSH_AUTH_SOCK
export PATH=$T/bin:$PATH
r=ssh://$(id -un)@127.0.0.1:$sport$T/srv/top/top.git

status 3 "10.4.2 a host that is not known" kiln_build --ssh "default=$agent" "$r"
like "$out" 'Host key verification failed' "10.4.2 is not trusted"
like "$out" 'connect once with ssh' "10.4.2 and what to do"
sed 's/^[^ ]* /[127.0.0.1]:'"$sport"' /' "$T/other.pub" | sed "s/^/[127.0.0.1]:$sport /" >"$T/known"
status 3 "10.4.2 a host with another key than known" kiln_build --ssh "default=$agent" "$r"
like "$out" 'REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed' "10.4.2 is not trusted either"
cp "$T/scan" "$T/known"
status 3 "10.4.2 no agent" kiln_build "$r"
like "$out" 'Permission denied' "10.4.2 is refused by the host"
like "$out" '(--ssh default=SOCKET)' "10.4.2 and what to do"
b "13.1 a context over ssh, --ssh default=SOCKET" --ssh "default=$agent" "$r"
is "$(names "$T/o.tar")" "$want" "10.4.1 with submodules of submodules, none at the tip of a branch"
is "$(content parts/mid/deep/low)" low "10.4.1 of the right commit"
b "13.1 --ssh default=KEY" --ssh "default=$T/key" "$r"
status 3 "13.1 another key" kiln_build --ssh "default=$T/other" "$r"
export SSH_AUTH_SOCK=$agent
b "13.1 user@host:path with the user's agent" "$(id -un)@here:$T/srv/top/top.git#main"
is "$(names "$T/o.tar")" "$want" "13.1 the same tree"
b "13.1 a sub-directory" "$(id -un)@here:$T/srv/top/top.git#v1:sub"
is "$(names "$T/o.tar")" 'Dockerfile f ' "13.1 is the context's root"
like "$(cat "$T/asked")" '^-axT .*BatchMode=yes .*ClearAllForwardings=yes' "D12 no agent, display or port goes to the other side"
ok "13.1 context ls of a repository over ssh" "$KILN" context ls -C "$r"
printf 'FROM scratch\nCOPY --from=it one /\n' >"$T/add/Dockerfile"
b "13.2 a named context over ssh" --build-context "it=$(id -un)@here:$T/srv/top/top.git#v1" "$T/add"
is "$(names "$T/o.tar")" 'one ' "13.2 is its tree"
p=$(id -un)@here:$T/srv/top/top.git
while IFS='|' read -r ref has; do
    printf 'FROM scratch\nADD %s /\n' "$p$ref" >"$T/add/Dockerfile"
    b "10.4.2 ADD over ssh, $ref" "$T/add"
    [ "$has" = one ] && set -- 'Dockerfile one ssh sub/ sub/Dockerfile sub/f ' || set -- "$want"
    is "$(names "$T/o.tar")" "$1" "10.4.2 is the commit '$has'"
done <<EOT
|two
#$one|one
#v1|one
#feature/x|one
#refs/heads/feature/x|one
#heads/feature/x|one
#pull/7/head|one
#refs/pull/7/head|one
?branch=feature/x|one
?tag=v1&checksum=$tag|one
?tag=v1&checksum=${one:0:9}|one
?ref=v1&commit=${tag:0:7}|one
?ref=main&commit=$one&fetch-by-commit=1|one
?commit=$two|two
EOT
while IFS='|' read -r ref say; do
    printf 'FROM scratch\nADD %s /\n' "$p$ref" >"$T/add/Dockerfile"
    status 3 "10.4.2 $ref" kiln_build "$T/add"
    like "$out" "$say" "10.4.2 says: $say"
done <<EOT
#${one:0:9}|repository does not contain ref ${one:0:9}
#nope|repository does not contain ref nope
?tag=v1&checksum=$two|expected checksum to match $two, got $one
?commit=0123456789012345678901234567890123456789&fetch-by-commit|commit 0123456789012345678901234567890123456789 is not there
EOT

# ---- X2: a PATH with '..' finds nothing in the repository's own tree (a submodule is fetched in its own folder of it)
PATH=..:../..:$PATH:
b "X2 an 'ssh' in the tree, and a relative PATH" "$r"
nok "X2 is not started" test -e "$T/started"
unlike "$(find "$KILN_ROOT/tmp" -mindepth 1 -maxdepth 1 2>/dev/null)" . "nothing is left behind"
done_testing
