#!/bin/bash
# RUN: forms, here-documents, mounts with every option, history (spec/dockerfile.md 2.9.4, 8, H.2, H.6). What a command sees: 5030-run.t.
. "$(dirname "$0")/../lang.sh"

outputs() { # outputs DIR N - the files /o1 to /oN of the last build
    for i in $(seq "$2"); do
        echo "-- $i"
        file "$1" "o$i"
    done
}

# ---- 8.1, H.2, H.6: what reaches the shell; @ stands for a blank at the end of a line
sed 's/@$/  /' <<'EOT' | dockerfile forms
FROM busybox:1.35
SHELL ["/bin/sh", "-c", "for a; do printf '%s' \"$a\" >> /o; echo '|' >> /o; done", "x"]
RUN a \
  # note \

  b
RUN echo 'x \
#y
z'
RUN ["/bin/sh", "-c", "printf '%s|' \"$0\" \"$@\" >> /o; echo >> /o", "e 1", "$X", "\u0041\n"]
RUN ['/bin/sh', '-c']
RUN -- --dash  "quoted"@
RUN <<EOF
echo hi
EOF
RUN <<-EOF
		echo hi
	EOF
RUN python3 <<EOF
print(1)
EOF
RUN <<A cat; cat <<B
1
A
2
B
RUN 5<<"X Y"
$body
X Y
run lower
RUN
SHELL ["/bin/sh", "-c"]
RUN <<EOF
#!/bin/sh -e
echo "$0 $(stat -c '%a %u:%g' "$0")" >> /o
if touch /dev/pipes/x 2>/dev/null; then echo writable >> /o; fi
EOF
RUN <<EOF cat >> /o; echo "$((1<<3))" >> /o
	raw $(echo sub)
EOF
EOT
made "8.1 forms" forms
same "8.1, 2.9.4, H.2, H.6 arguments" "$(file forms o)" <<'EOT'
a   b|
echo 'x z'|
e 1|$X|A
|
['/bin/sh', '-c']|
--dash  "quoted"|
echo hi
|
echo hi
|
python3 <<EOF
print(1)
EOF|
<<A cat; cat <<B
1
A
2
B|
$body
|
lower|
|
/dev/pipes/EOF 755 0:0
	raw sub
8
EOT
same "8.9, H.2 history" "$(hist forms | tail -4)" <<'EOT'
RUN /bin/sh -c for a; do printf '%s' "$a" >> /o; echo '|' >> /o; done x  # buildkit
SHELL [/bin/sh -c] (empty)
RUN /bin/sh -c /dev/pipes/EOF # buildkit
RUN /bin/sh -c <<EOF cat >> /o; echo "$((1<<3))" >> /o\n	raw $(echo sub)\nEOF # buildkit
EOT
refused "8.1 RUN []" 'arguments are required' <<<$'FROM busybox:1.35\nRUN []'

# ---- 8.6: binds
mkdir -p "$T/bind/ctx/sub" "$T/named"
echo one >"$T/bind/ctx/f"
echo two >"$T/bind/ctx/sub/g"
echo hidden >"$T/bind/ctx/h"
ln -s sub "$T/bind/ctx/l"
echo ctx/h >"$T/bind/.dockerignore"
echo nn >"$T/named/n"
cat >"$T/bind/Dockerfile" <<'EOT'
FROM busybox:1.35 AS src
RUN mkdir -p /s/in && echo s > /s/in/f && ln -s /s/in /abs && chown -R 7:8 /s
FROM busybox:1.35
ARG D=ctx
WORKDIR /w
RUN echo kept > /w/own
RUN --mount=source=$D,target=/m { find /m | sort; cat /m/l/g; } > /o1
RUN --mount=type=BIND,src=ctx/f,dst=/m/file cat /m/file > /o2; ! echo x > /m/file
RUN --mount=from=src,source=abs,target=rel,rw stat -c '%n %u:%g' rel/f > /o3; echo w > rel/f && echo n > rel/new && cat rel/f >> /o3
RUN --mount=from=src,source=/s/in,target=/w/rel ls rel > /o4; cat rel/f >> /o4
RUN --mount=source=ctx,readwrite=true,destination=/w/over,readonly=false touch over/x && ls over > /o5
RUN --mount=source=ctx cat f > /o6; ls >> /o6
RUN --mount='type=bind,source=ctx,"target=/a,b"' ls "/a,b" > /o7
RUN --mount=from=named,target=/nn cat /nn/n > /o8
RUN --mount=from=busybox:1.35,source=/bin,target=/bb /bb/ls /bb/busybox > /o9
RUN --mount=type=tmpfs,target=/x --mount=source=ctx,target=/x/y --mount=source=ctx/sub,target=/x/y/sub2/../sub ls /x/y/sub > /o10
RUN --mount=source=ctx,target=/same --mount=source=ctx/sub,target=/same ls /same > /o11
RUN mkdir -p /had/been && touch -d @1000 /had/been /had
RUN --mount=source=ctx,target=/had/been --mount=source=ctx,target=/had/new/er true
RUN stat -c '%n %Y' /had > /o12
EOT
made "8.6 binds" bind --build-context "named=$T/named"
same "8.6 bind" "$(outputs bind 12)" <<'EOT'
-- 1
/m
/m/f
/m/l
/m/sub
/m/sub/g
two
-- 2
one
-- 3
rel/f 7:8
w
-- 4
f
s
-- 5
f
l
sub
x
-- 6
one
f
l
sub
-- 7
f
l
sub
-- 8
nn
-- 9
/bb/busybox
-- 10
g
-- 11
g
-- 12
/had 1000
EOT
same "8.2 mount points vanish; what was there stays" "$(tree bind | grep -E '^(m|w|x|nn|bb|a,b|same|had)( |/)')" <<'EOT'
had d 0755 0:0
had/been d 0755 0:0
w d 0755 0:0
w/own f 0644 0:0 "kept$"
EOT
unlike "$(tree bind)" '^(etc/resolv.conf|etc/hosts|dev/pipes|dev/shm|run/secrets)' "8.2 nothing of what was mounted is in a layer"
refused "8.6 a source that is not there" 'no-such' <<<$'FROM busybox:1.35\nRUN --mount=source=no-such,target=/x true'
refused "8.6 a source that is not there, in a stage" 'no-such' <<<$'FROM busybox:1.35 AS a\nFROM busybox:1.35\nRUN --mount=from=a,source=/no-such,target=/x true'
mkdir -p "$T/exact"
printf 1 >"$T/exact/d\$V"
printf 2 >"$T/exact/a*b"
printf 3 >"$T/exact/axb"
dockerfile exact <<'EOT'
FROM busybox:1.35
ARG V=x
RUN --mount=source=d\\$V,target=/m --mount=source=a*b,target=/n cat /m /n > /o
EOT
made "8.6 the source of a bind" exact
is "$(file exact o)" 12 "8.6 is expanded once, and no pattern"

# ---- 8.6: caches
dockerfile cache <<'EOT'
FROM busybox:1.35 AS seed
RUN mkdir -p /seed/d && echo seeded > /seed/d/f && chown -R 5:6 /seed
FROM busybox:1.35
WORKDIR /w
RUN --mount=type=cache,target=c1 stat -c '%a %u:%g' /w/c1 > /o1; touch /w/c1/first
RUN --mount=type=cache,target=/w/c1/ ls /w/c1 > /o2
RUN --mount=type=cache,id=/w/c1,target=/elsewhere ls /elsewhere > /o3
RUN --mount=type=cache,target=/w/c1,uid=3 ls /w/c1 > /o4; stat -c '%a %u:%g' /w/c1 >> /o4
RUN --mount=type=cache,target=/w/c1,mode=1770,gid=4 stat -c '%a %u:%g' /w/c1 > /o5
RUN --mount=type=cache,target=/w/c1,source=sub touch /w/c1/in-sub
RUN --mount=type=cache,target=/w/c1 ls /w/c1 > /o6
RUN --mount=type=cache,target=/w/c1,ro ! touch /w/c1/x 2>/dev/null
RUN --mount=type=cache,target=/a,id=two --mount=type=cache,target=/b,id=two touch /a/x; ls /b > /o7
RUN --mount=type=cache,target=/f,from=seed,source=/seed cat /f/d/f > /o8; stat -c '%u:%g' /f/d >> /o8; echo more > /f/more
RUN --mount=type=cache,target=/f,from=seed,source=/seed,sharing=locked ls /f > /o9
RUN --mount=type=cache,target=/f,from=seed ls /f | grep -c seed > /o10
EOT
made "8.6 caches" cache
same "8.6 cache" "$(outputs cache 10)" <<'EOT'
-- 1
755 0:0
-- 2
first
-- 3
first
-- 4
755 3:0
-- 5
1770 0:4
-- 6
first
sub
-- 7
x
-- 8
seeded
5:6
-- 9
d
more
-- 10
1
EOT
unlike "$(tree cache)" '^(w/c1|a|b|f|elsewhere)( |/)' "8.6 nothing of a cache is in the image"
kb cache --no-cache -o "type=tar,dest=$T/cache.tar"
is "$(file cache o2)" "$(printf 'first\nsub')" "8.6 caches outlive --no-cache"
kb cache --no-cache --build-arg BUILDKIT_CACHE_MOUNT_NS=other -o "type=tar,dest=$T/cache.tar"
is "$(file cache o2)" first "4.6 another namespace, other caches"

# ---- 8.6: tmpfs, secrets, ssh
cat >"$T/agent.py" <<'EOT'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen(8)
print("ready", flush=True)
while True:
    c, _ = s.accept()
    try:
        c.sendall(b"agent says " + c.recv(100))
    except OSError:
        pass
    c.close()
EOT
dockerfile secret <<'EOT'
FROM busybox:1.35
ENV TOK=env
RUN --mount=type=tmpfs,target=/t,size=1.5m df -k /t | awk 'NR==2 {print $2}' > /o1; grep ' /t ' /proc/mounts | grep -o nosuid >> /o1; ls /t >> /o1
RUN --mount=type=secret,id=a cat /run/secrets/a > /o2; stat -c '%a %u:%g' /run/secrets/a >> /o2; awk '$2 == "/run/secrets/a" {print $4}' /proc/mounts | tr , '\n' | grep -E '^(ro|nosuid|nodev|noexec)$' >> /o2
RUN --mount=type=secret,source=a,target=/x/y,uid=3,mode=0550 stat -c '%a %u:%g' /x/y > /o3; grep ' /x/y ' /proc/mounts | grep -c noexec >> /o3; true
RUN --mount=type=secret,target=/etc/dir/a,gid=9 stat -c '%a %u:%g' /etc/dir/a > /o4
RUN --mount=type=secret,id=a,env=TOK printf '%s' "$TOK" | od -c | head -1 > /o5; ls /run/secrets >> /o5 2>&1; true
RUN --mount=type=secret,id=a,env=TOK,target=rel cat /rel > /o6; echo "$TOK" >> /o6
RUN --mount=type=secret,id=none,env=TOK,required=false echo "[${TOK-unset}]" > /o7
RUN --mount=type=secret,id=none ls /run/secrets > /o8 2>&1; true
RUN --mount=type=secret,id=var,env=V --mount=type=secret,id=dir/deep,target= cat /run/secrets/deep > /o9; echo "$V$TOK" >> /o9
RUN --mount=type=ssh echo "$SSH_AUTH_SOCK" > /o10; stat -c '%F %a' $SSH_AUTH_SOCK >> /o10
RUN --mount=type=ssh,id=two,target=/tmp/s,mode=0666,uid=5 --mount=type=ssh,id=default,required echo "$SSH_AUTH_SOCK" > /o11; stat -c '%a %u' /tmp/s >> /o11; ls /run/buildkit >> /o11
RUN --mount=type=ssh,id=absent echo "$SSH_AUTH_SOCK" > /o12; ls $SSH_AUTH_SOCK >> /o12 2>&1; true
EOT
printf 'S3\n' >"$T/sec"
python3 "$T/agent.py" "$T/agent.sock" >"$T/agent.out" &
agent=$!
trap 'kill "$agent" 2>/dev/null; _cleanup' EXIT
for _ in $(seq 50); do
    grep -q ready "$T/agent.out" && break
    sleep 0.1
done
export SECVAR=from-env
made "8.6 tmpfs, secrets, ssh" secret --secret "id=a,src=$T/sec" --secret id=var,env=SECVAR --secret "id=dir/deep,src=$T/sec" --ssh "default=$T/agent.sock" --ssh "two=$T/agent.sock"
same "8.6 tmpfs, secret, ssh" "$(outputs secret 12)" <<'EOT'
-- 1
1536
nosuid
-- 2
S3
400 0:0
ro
nosuid
nodev
noexec
-- 3
550 3:0
0
-- 4
400 0:9
-- 5
0000000   S   3  \n
ls: /run/secrets: No such file or directory
-- 6
S3
S3

-- 7
[]
-- 8
ls: /run/secrets: No such file or directory
-- 9
S3
from-envenv
-- 10
/run/buildkit/ssh_agent.0
socket 600
-- 11
/tmp/s
666 5
ssh_agent.1
-- 12
/run/buildkit/ssh_agent.0
ls: /run/buildkit/ssh_agent.0: No such file or directory
EOT
unlike "$(tree secret)" '^(run/|x( |/)|t |etc/dir|rel |tmp/s)' "8.6 their places vanish"
unlike "$(hist secret)" 'S3' "8.6 nor is it in the history"
unlike "$out" 'S3' "8.6 a secret is not shown"
dockerfile relay <<'EOT'
FROM debian:bookworm-slim
RUN --mount=type=ssh perl -MSocket -e 'socket(my $s, PF_UNIX, SOCK_STREAM, 0); connect($s, sockaddr_un($ENV{SSH_AUTH_SOCK})) or die "$!"; syswrite $s, "ping"; sysread $s, my $b, 100; print $b' > /o
EOT
made "8.6 an agent that is asked" relay --ssh "default=$T/agent.sock"
is "$(file relay o)" "agent says ping" "8.6 answers"

# What is not given only matters to a command that runs (19.2 rows 51, 52: phase X).
dockerfile req <<'EOT'
FROM busybox:1.35
RUN --mount=type=secret,id=need,required true
EOT
kb req --secret "id=need,src=$T/sec"
built "8.6, 17.3 a required secret is not asked for when the step is known" req
nok "8.6 a required secret" kb req --no-cache
kb req --no-cache >/dev/null
like "$out" 'secret need: not found' "8.6 is named"
refused "8.6 a required agent" 'no SSH key "x" forwarded' <<<$'FROM busybox:1.35\nRUN --mount=type=ssh,id=x,required true'
head -c 512001 /dev/zero >"$T/big"
kb req --no-cache --secret "id=need,src=$T/big" >/dev/null
like "$out" 'too big|more than|limit' "8.6 a secret that is too big is refused"

# ---- 8.6: refusals
while IFS='|' read -r spec re; do
    refused "8.6 --mount=$spec" "$re" <<<$'FROM busybox:1.35\nRUN --mount='"$spec"' true'
done <<'EOT'
type=bind,required,target=/x|unexpected key 'required' for mount type 'bind'
required,type=secret,id=x|unexpected key 'required' for mount type 'bind'
type=cache,size=1,target=/x|unexpected key 'size' for mount type 'cache'
type=nfs,target=/x|unsupported mount type 'nfs'
type=cahce,target=/x|try: cache
type=cache,sharing=none,target=/x|unsupported sharing value 'none'
type=bind,sharing=locked,target=/x|invalid cache sharing set for bind mount
type=bind,mode=0644,target=/x|mode not allowed for "bind" type mounts
type=tmpfs,uid=1,target=/x|uid not allowed for "tmpfs" type mounts
type=secret|one of source, target required
type=secret,id=a,source=b|both source and id can't be set
type=secret,id=a,from=b|should not have a from
type=ssh,source=a|ssh does not support source
type=cache,mode=9,target=/x|invalid value 9 for mode
type=tmpfs,size=-1,target=/x|invalid value for size
type=tmpfs,targte=/x|try: target
type=cache,ro=maybe,target=/x|invalid value for ro
type=cache,target=/|invalid mount target "/"
type=cache,bare,target=/x|must be a key=value pair
type=cache,,target=/x|must be a key=value pair
'type=cache,"target=/x'|failed to parse csv mounts
EOT

# ---- 8.3, 8.4, 8.5, 8.7
refused "8.3 a network mode" 'invalid network mode' <<<$'FROM busybox:1.35\nRUN --network=some true'
refused "8.4 a security mode" 'security "x" is not valid' <<<$'FROM busybox:1.35\nRUN --security=x true'
refused "8.4 insecure without leave" 'security.insecure is not allowed' <<<$'FROM busybox:1.35\nRUN --security=insecure true'
refused "8.5 a device without leave" 'device is not allowed' <<<$'FROM busybox:1.35\nRUN --device=vendor1.com/device=foo,required true'
refused "8.5 a required device that is not there" "required CDI device 'vendor1.com/device=foo' is not registered" --allow device <<<$'FROM busybox:1.35\nRUN --device=vendor1.com/device=foo,required true'
refused "14 a permission that does not exist" 'none of network.host, security.insecure, device' --allow nope <<<$'FROM busybox:1.35\nRUN true'
refused "8.3 the host's network without leave" 'network.host is not allowed' --network=private <<<$'FROM busybox:1.35\nRUN --network=host true'
dockerfile leave <<'EOT'
FROM busybox:1.35
RUN --device=vendor1.com/device=foo true
RUN --device=vendor1.com/device=foo,required=false true
RUN --network=host true
RUN --security=insecure true
EOT
made "8.3, 8.4, 8.5 with leave: a device that is not required is skipped" leave --network=private --allow network.host --allow security.insecure,device
# What leave gives: all capabilities, no filter, a writable /sys, mounts; the host's network whatever the build's mode is.
dockerfile given <<'EOT'
FROM busybox:1.35
RUN awk '/^(CapEff|CapBnd|NoNewPrivs|Seccomp):/ { print $2 }' /proc/self/status > /o1
RUN --security=insecure awk '/^(CapEff|CapBnd|NoNewPrivs|Seccomp):/ { print $2 }' /proc/self/status > /o2; awk '$2 == "/sys" { print substr($4, 1, 2) }' /proc/mounts >> /o2; mkdir /m && mount -t tmpfs x /m && touch /m/gone && echo mounted >> /o2
RUN --network=host readlink /proc/self/ns/net > /o3
RUN --network=none --security=insecure readlink /proc/self/ns/net > /o4; ls /sys/class/net >> /o4
RUN readlink /proc/self/ns/net > /o5
EOT
# All that there are: in a user namespace every one, as root what this root has.
in_ns=
[ "$(id -u)" = 0 ] || in_ns="unshare -Ur"
all=$($in_ns awk '/^CapBnd/ { print $2 }' /proc/self/status)
host=$(readlink /proc/self/ns/net)
for mode in private none; do
    made "8.3, 8.4 with leave, --network=$mode" given --network="$mode" --no-cache --allow network.host,security.insecure
    is "$(file given o3)" "$host" "8.3 --network=host under $mode is the host's"
    unlike "$(file given o4; file given o5)" "$(sed 's/[][]/\\&/g' <<<"$host")" "8.3 the others are not"
done
is "$(file given o4 | sed 1d)" lo "8.3 none has loopback only, insecure or not"
same "8.2 sandbox" "$(file given o1)" <<'EOT'
00000000a80425fb
00000000a80425fb
0
2
EOT
same "8.4 insecure" "$(file given o2)" <<EOT
$all
$all
0
0
rw
mounted
EOT
is "$(tree given | grep -E '^m( |/)')" 'm d 0755 0:0' "8.4 what it mounted is not in the layer"
refused "8.4 leave for one is none for the other" 'security.insecure is not allowed' --allow network.host,device <<<$'FROM busybox:1.35\nRUN --security=insecure true'
refused "8.5 a device twice" 'device name already set' <<<$'FROM busybox:1.35\nRUN --device=a/b=c,name=d true'
dockerfile opts <<'EOT'
FROM busybox:1.35
RUN { df -k /dev/shm | awk 'NR==2 {print $2}'; ulimit -n; ulimit -Hn; hostname; } > /o; cat /etc/hosts >> /o
EOT
made "8.7 options" opts --shm-size 2m --ulimit nofile=100:200 --add-host Foo:10.0.0.1 --add-host bar=::1 --build-arg BUILDKIT_SANDBOX_HOSTNAME=boxy
same "8.2, 8.7, 14 shm, ulimit, host name, hosts" "$(file opts o | tr '\t' ' ')" <<'EOT'
2048
100
200
boxy
127.0.0.1 localhost boxy
::1 localhost ip6-localhost ip6-loopback
10.0.0.1 foo
::1 bar
EOT
refused "8.2 a failing command" 'process "/bin/sh -c exit 7" did not complete successfully: exit code: 7' <<<$'FROM busybox:1.35\nRUN exit 7'
registry_down
done_testing
