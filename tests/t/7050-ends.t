#!/bin/bash
# A build that fails or is interrupted ends at once, whatever its other steps wait for (spec/threats.md X5, promise 8).
. "$(dirname "$0")/../lib.sh"
need kiln userns subids overlay images || skip_all

ok "the base is there" "$KILN" load -i "$KILN_IMAGES/busybox"
id=$(grep -oE "[0-9a-f]{64}" "$T/.out" | head -n 1)
ok "it gets a name" "$KILN" tag "$id" ends.test/base:1

# The second command runs on the frozen files of the first and ends while those are packed, which fails (W1).
dockerfile frozen <<'EOT'
FROM ends.test/base:1
RUN dd if=/dev/zero of=/a bs=1M count=600 2>/dev/null; mkdir /zz; touch /zz/.wh.x
RUN true
EOT
status 1 "a layer that cannot be packed fails the build" timeout -k 5 60 "$KILN" build --pull=never -o type=cacheonly "$T/frozen"


# The same, interrupted while the first is packed and the second waits for that.
dockerfile packing <<'EOT'
FROM ends.test/base:1
RUN dd if=/dev/urandom of=/a bs=1M count=400 2>/dev/null
RUN echo second is over
EOT
"$KILN" build --progress=plain --pull=never -o type=cacheonly "$T/packing" >"$T/log" 2>&1 </dev/null &
pid=$!
for _ in $(seq 200); do
    ! grep -q 'second is over$' "$T/log" || break
    sleep 0.05
done
kill -TERM $pid
timeout 20 tail --pid=$pid -f /dev/null || { fail "it ends"; kill -KILL $pid; }
wait $pid
is $? 143 "a signal ends it" || diag "$(cat "$T/log")"
like "$(cat "$T/log")" '^stopped: Terminated' "which is told"
is "$(ls "$T/store/tmp" | wc -l)" 0 "nothing temporary is left"
ok "the store is sound" "$KILN" check

dockerfile plain <<'EOT'
FROM ends.test/base:1
EOT

# Signals are heard while it waits for input that never comes: by a pipe without a writer, a pipe of the shell's, a terminal.
mkfifo "$T/never" "$T/open"
sleep 300 >"$T/open" &
writer=$!
while read -r what; do
    timeout -s INT -k 5 1 "$KILN" ${what//NEVER/$T/never} "$T/plain" <"$T/open" >"$T/log" 2>&1
    like "$? $(cat "$T/log")" '^124 .*stopped: Interrupt' "X5 a signal ends it while it waits for input: $what"
done <<'EOT'
build -f -
build -f NEVER
build --ignorefile NEVER
build --build-arg-file NEVER
build --secret id=a,src=NEVER
login -u a --password-stdin
EOT
kill $writer
# ... and while it waits for somebody on the network who never answers.
python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen(50)
print(s.getsockname()[1], flush=True)
c = []
while True:
    c.append(s.accept())' >"$T/mute.port" &
mute=$!
for _ in $(seq 100); do [ -s "$T/mute.port" ] && break; sleep 0.05; done
h=127.0.0.1:$(cat "$T/mute.port")
printf 'FROM scratch\nADD http://%s/x /\n' "$h" | dockerfile add
printf 'FROM scratch\nADD git://%s/x.git /\n' "$h" | dockerfile addgit
while read -r what; do
    timeout -s TERM -k 5 1 env no_proxy=127.0.0.1 "$KILN" $what <"/dev/null" >"$T/log" 2>&1
    is "$? $(tail -n 1 "$T/log")" '124 stopped: Terminated' "X5 a signal ends it while it waits for a server: ${what//$h/host}"
done < <(sed "s|HOST|$h|; s|DIR|$T|" <<'EOT'
pull HOST/a/b
build DIR/add
build DIR/addgit
build git://HOST/x.git
build http://HOST/x
build --push -t HOST/a/b --pull=never DIR/plain
login -u a -p b HOST
EOT
)
kill $mute
is "$(ls -A "$KILN_ROOT/tmp")" "" "X6 nothing is left of it"
python3 - "$KILN" <<'EOF'
import os, pty, sys, termios, time
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], "login", "-u", "a", "h.test"])
while termios.tcgetattr(fd)[3] & termios.ECHO:
    time.sleep(0.02)
os.write(fd, b"\x03")
for _ in range(100):
    done, st = os.waitpid(pid, os.WNOHANG)
    if done: break
    time.sleep(0.1)
else:
    os.kill(pid, 9)
    sys.exit(1)
sys.exit(os.waitstatus_to_exitcode(st) != 130 or not termios.tcgetattr(fd)[3] & termios.ECHO)
EOF
is $? 0 "X5 Ctrl-C at the question for a password, with the echo back"

# An output file is new, whatever somebody planted beside its name; a pipe is written to.
mkdir "$T/o"
echo keep >"$T/keep"
ln -s "$T/keep" "$T/o/x.tar.part"
ok "a tar" "$KILN" build --pull=never -o "type=tar,dest=$T/o/x.tar" "$T/plain"
is "$(cat "$T/keep")" keep "no link is followed"
is "$(stat -c %a "$T/o/x.tar")" 644 "the file is as the umask says"
is "$(ls -A "$T/o" | tr '\n' ' ')" "x.tar x.tar.part " "nothing else is left"
mkfifo "$T/o/pipe"
cat "$T/o/pipe" >"$T/piped" &
ok "into a pipe" timeout 30 "$KILN" build --pull=never -o "type=tar,dest=$T/o/pipe" "$T/plain"
wait $!
is "$(cmp "$T/piped" "$T/o/x.tar" 2>&1)" "" "the whole tar came"
done_testing
