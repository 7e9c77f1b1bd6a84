#!/bin/bash
# RUN: what a command sees, may do, and leaves behind (spec/dockerfile.md 8, spec/executor.md 6-12).
. "$(dirname "$0")/../lib.sh"
need kiln userns subids overlay registry images skopeo || skip_all
registry_up

dockerfile run <<'EOF'
FROM busybox:1.35
RUN { id -u; id -g; echo $$; pwd; } > /who
RUN cat /proc/self/status > /status
RUN ls /dev > /dev.list
RUN { cat /etc/hosts; hostname; } > /names
RUN cat /proc/mounts > /mounts
RUN if cat; then echo eof; fi > /stdin
RUN sh -c 'echo to-stdout; echo to-stderr >&2'
USER daemon
RUN id -u > /tmp/daemon; id -g >> /tmp/daemon
USER 1234:4321
RUN id -u > /tmp/num; id -g >> /tmp/num
USER root
SHELL ["/bin/sh", "-ec"]
RUN echo "$-" > /shell
RUN mkdir -p /k/d && touch /k/x && rm /bin/vi && mv /etc/group /etc/group2
RUN rm -rf /k/d && echo back > /etc/group
RUN mkdir /sp && chown 65533:65532 /sp && echo x > /sp/x && chmod 2755 /sp && ln /sp/x /sp/y && mkfifo /sp/p && ln -s nowhere /sp/l
RUN (while :; do sleep 1; done) & echo left > /left
EOF
exported run
_result $? "busybox runs" || diag "$out"
said=$out
is "$(file run who)" "$(printf '0\n0\n1\n/')" "root, process 1, in /"
st=$(file run status)
like "$st" '^CapBnd:\s+00000000a80425fb' "C10 the usual capabilities"
like "$st" '^Seccomp:\s+2' "C11 behind the filter"
like "$st" '^NoNewPrivs:\s+0' "setuid programs work"
for d in null zero full random urandom tty pts shm ptmx stdin stdout stderr fd; do
    like "$(file run dev.list)" "^$d\$" "C5 /dev/$d"
done
like "$(file run names)" '127.0.0.1\s+localhost' "C9 /etc/hosts"
mounts=$(file run mounts)
like "$mounts" ' /proc proc ' "C4 /proc"
like "$mounts" ' /sys [a-z]+ ro' "C4 /sys, read-only"
like "$mounts" ' /dev/shm ' "/dev/shm"
is "$(file run stdin)" eof "C12 standard input is empty"
like "$said" 'to-stdout' "output is shown"
like "$said" 'to-stderr' "errors too"
is "$(file run tmp/daemon)" "$(printf '1\n1')" "USER by name"
is "$(file run tmp/num)" "$(printf '1234\n4321')" "USER by number"
like "$(file run shell)" e "SHELL"
is "$(file run left)" left "a process left behind does not hold the step"
list=$(listing run)
unlike "$list" ' (bin/vi|k/d/)$' "removed files are gone"
like "$list" ' k/x$' "their neighbours are not"
is "$(file run etc/group)" back "a file that came back"
like "$list" '^drwxr-sr-x 65533/65532 - sp/$' "owners and setgid"
like "$list" '^prw' "a fifo"
like "$list" ' sp/l -> nowhere$' "a dangling link"
unlike "$list" 'etc/(resolv.conf|hosts)$' "W8 mounted files leave nothing behind"

# ---- mounts
mkdir -p "$T/mnt/src"
echo from-context >"$T/mnt/src/f"
cat >"$T/mnt/Dockerfile" <<'EOF'
FROM busybox:1.35 AS other
RUN echo from-stage > /f
FROM busybox:1.35
RUN --mount=type=bind,source=src,target=/m cat /m/f > /bind && ! touch /m/no
RUN --mount=type=bind,from=other,source=/f,target=/m2 cat /m2 > /stage
RUN --mount=type=bind,source=src,target=/m,rw echo changed > /m/f
RUN --mount=type=bind,source=src,target=/m cat /m/f > /bind2
RUN --mount=type=tmpfs,target=/t,size=1m echo x > /t/x; ! dd if=/dev/zero of=/t/big bs=1M count=2 2>/dev/null
RUN --mount=type=cache,target=/c,id=one echo first >> /c/log; cat /c/log > /cache
RUN --mount=type=cache,target=/c,id=one,sharing=locked wc -l < /c/log > /cache2
RUN --mount=type=cache,target=/c3,uid=7,gid=8,mode=0700 stat -c '%u:%g %a' /c3 > /cache3
RUN --mount=type=secret,id=tok cat /run/secrets/tok > /dev/null && stat -c %a /run/secrets/tok > /secret-mode
RUN --mount=type=secret,id=tok,env=TOK test "$(echo -n $TOK | wc -c)" = 12
RUN --mount=type=secret,id=absent test ! -e /run/secrets/absent
RUN --network=none ip link | grep -c '^[0-9]' > /net
EOF
printf 's3cr3t-value' >"$T/tok"
exported mnt --secret "id=tok,src=$T/tok"
_result $? "mounts" || diag "$out"
is "$(file mnt bind)" from-context "a bind of the context, read-only"
is "$(file mnt stage)" from-stage "a bind of a stage's file"
is "$(file mnt bind2)" from-context "C7 a writable bind changes nothing"
is "$(file mnt cache)" first "a cache"
is "$(file mnt cache2)" 1 "is there for the next step"
is "$(file mnt cache3)" "7:8 700" "with its owner and mode"
is "$(file mnt secret-mode)" 400 "a secret"
is "$(file mnt net)" 1 "C19 --network=none has loopback only"
unlike "$(listing mnt)" ' (m|m2|t|c|c3|run/secrets.*)/?$' "W8 mount points that were made are not left"
is "$(grep -rlF s3cr3t-value "$T/mnt.oci" "$T/mnt.tar" "$KILN_ROOT" 2>/dev/null)" "" "the secret is nowhere in the store or the result"
kb mnt --secret "id=tok,src=$T/tok" --no-cache -o type=tar,dest="$T/mnt.tar"
is "$(file mnt cache)" "$(printf 'first\nfirst')" "caches outlive --no-cache"
printf 'FROM busybox:1.35\nRUN --mount=type=secret,id=nope,required cat /run/secrets/nope\n' | dockerfile need
status 6 "a required secret that is missing: 6" "$KILN" build --progress=plain "$T/need"
like "$out" 'nope' "names it"

# ---- exit statuses
failing() { # failing TEXT RUN-LINE [RULE]
    printf 'FROM busybox:1.35\n%s\n' "$2" | dockerfile bad
    status 1 "${3:-}${3:+ }$2" "$KILN" build --progress=plain "$T/bad"
    like "$out" "$1" "says $1"
}
failing 'exit code: 3|status 3' 'RUN echo before; exit 3'
like "$out" 'before' "and the last lines of output"
like "$out" 'Dockerfile:2' "and the line"
failing '127' 'RUN no-such-command'
failing '126|127|[Nn]o such file' 'RUN ["/no/such/program"]'
failing 'exit code: 143' "RUN sh -c 'kill -TERM \$\$'; exit \$?"
# The builder's own file is the host user's: code of the image must not run as it (spec/threats.md C14, C15).
failing "builder's own program" 'RUN ["/proc/self/exe"]'
failing "builder's own program" $'RUN ln -s /proc/self/exe /l\nENV PATH=/nowhere:/:/bin\nRUN ["l"]'
failing "builder's own program" $'RUN printf "#!/proc/self/exe\\n" >/a; printf "#! /a x" >/b; chmod 111 /a /b\nUSER 7\nRUN ["/b"]'
failing "builder's own program" $'RUN printf "#!/x\\r/../proc/self/exe\\n" >/a; mkdir "/x$(printf "\\\\r")"; chmod 755 /a\nRUN ["/a"]'
# Places that no mount can have are the Dockerfile's mistake, not the host's (C6).
failing 'cannot make the mount point|nothing can be mounted' 'RUN --mount=type=tmpfs,target=/sys/x true' 'C6, P12'
failing "'/etc/passwd' is not a directory" 'RUN --mount=type=tmpfs,target=/etc/passwd/x true' C6
failing "cannot make 'sub' in the cache" $'RUN --mount=type=cache,target=/c,id=esc ln -s /nowhere/at/all /c/sub\nRUN --mount=type=cache,target=/c,id=esc,source=sub,ro ls /c' C8
printf 'FROM busybox:1.35\nUSER nobody-here\nRUN true\n' | dockerfile nouser
status 1 "a user that the image does not have" "$KILN" build --progress=plain "$T/nouser"
like "$out" "unable to find user nobody-here" "is named"
printf 'FROM scratch\nCOPY Dockerfile /\nRUN echo hi\n' | dockerfile noshell
status 1 "an image without a shell" "$KILN" build --progress=plain "$T/noshell"
like "$out" '/bin/sh' "says so"

# ---- nothing outlives a build
secs=98765$((RANDOM % 10))
printf 'FROM busybox:1.35\nRUN setsid sh -c "sleep %s1" & sleep 1\nRUN sleep %s2\n' $secs $secs | dockerfile long
"$KILN" build --progress=plain "$T/long" >"$T/log" 2>&1 </dev/null &
pid=$!
for _ in $(seq 100); do
    pgrep -f "^sleep ${secs}2" >/dev/null && break
    sleep 0.1
done
# Background jobs of a script ignore SIGINT, so it is TERM here; Ctrl-C is the terminal's in the next one.
kill -TERM $pid
wait $pid
is $? 143 "ended by SIGTERM: 143" || diag "$(cat "$T/log")"
ok "C17 no process is left" stopped "^sleep $secs"
is "$(ls -A "$KILN_ROOT/tmp")" "" "no temporary directory is left"
unlike "$(cat /proc/self/mounts)" "$T" "no mount is left"
# Ctrl-C on a terminal.
python3 - "$KILN" "$T/long" "$T/tty.log" "^sleep ${secs}2" <<'EOF'
import os, pty, subprocess, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], "build", sys.argv[2]])
for _ in range(100):
    if subprocess.run(["pgrep", "-f", sys.argv[4]], stdout=subprocess.DEVNULL).returncode == 0:
        break
    time.sleep(0.1)
os.write(fd, b"\x03")
log = b""
while True:
    try:
        piece = os.read(fd, 65536)
    except OSError:
        break
    if not piece:
        break
    log += piece
_, st = os.waitpid(pid, 0)
open(sys.argv[3], "wb").write(log)
sys.exit(os.waitstatus_to_exitcode(st))
EOF
is $? 130 "Ctrl-C: 130" || diag "$(tail -c 1000 "$T/tty.log")"
ok "C17 no process is left" stopped "^sleep $secs"
status 0 "the store is clean" "$KILN" check
registry_down
done_testing
