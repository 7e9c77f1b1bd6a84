#!/bin/bash
# Every class of bad input: its message, its place, its exit status (spec/threats.md 18, spec/dockerfile.md 19.2).
. "$(dirname "$0")/../lib.sh"
need kiln registry images || skip_all
registry_up

# bad STATUS REGEX NAME [build options...] - a Dockerfile on standard input must fail so, within one message, leaving nothing
bad() {
    local want=$1 re=$2 name=$3
    shift 3
    mkdir -p "$T/bad"
    cat >"$T/bad/Dockerfile"
    status "$want" "$name" timeout 60 "$KILN" build --progress=plain "$@" "$T/bad"
    like "$out" "$re" "... says '$re'"
    unlike "$out" 'Assertion|Segmentation|AddressSanitizer|runtime error' "... and is no mistake of ours"
}

# ---- the Dockerfile: 2, with line and caret
bad 2 'the Dockerfile cannot be empty' "an empty file" </dev/null
bad 2 'no instructions' "comments only" <<<'# nothing'
bad 2 'no build stage|no stages' "no FROM" <<<'ARG A=1'
bad 2 'unknown instruction: RUNN' "a misspelt instruction" <<<$'FROM scratch\nRUNN true'
like "$out" 'Dockerfile:2' "with its line"
like "$out" '(try|mean).* RUN\b' "and the nearest word"
like "$out" '^ *\| *\^|\^~*' "and a caret"
bad 2 '^error: .*Dockerfile:2:1: unknown instruction: RUNN' "several mistakes" <<<$'FROM scratch\nRUNN true\nCOPY --frm=a b c\nFRM x'
is "$(grep -cE '^error: .*Dockerfile:(2:1|3:6|4:1): unknown' <<<"$out")" 3 "... are all errors, with their places" || diag "$out"
is "$(grep -c '\^~' <<<"$out") $(grep -c 'warning' <<<"$out")" '3 0' "... their carets, and nothing called a warning"
status 2 "... and data" "$KILN" build --progress=json "$T/bad"
is "$(grep '^{' <<<"$out" | python3 -c 'import json, sys; print([(e["error"]["where"].rsplit("Dockerfile")[-1], e["error"]["status"]) for e in map(json.loads, sys.stdin) if e["event"] == "error"])')" \
    "[(':2:1', 2), (':3:6', 2), (':4:1', 2)]" "... each for itself"
bad 2 'unknown flag: --frm' "a misspelt flag" <<<$'FROM scratch\nCOPY --frm=a b c'
like "$out" '(try|mean).* --from\b' "with the nearest one"
bad 2 'missing a value|unexpected' "a flag without a value" <<<$'FROM scratch\nCOPY --from a b'
bad 2 'duplicate flag' "a repeated flag" <<<$'FROM scratch\nCOPY --from=a --from=b c d'
bad 2 'requires at least two arguments' "COPY with one word" <<<$'FROM scratch\nCOPY x'
bad 2 'FROM requires either one or three arguments' "FROM with two words" <<<'FROM a b'
bad 2 'unterminated heredoc' "an open here-document" <<<$'FROM scratch\nRUN <<E\necho'
bad 2 "can't find = in|two arguments" "ENV without =" <<<$'FROM scratch\nENV a=b c'
bad 2 'invalid signal' "a signal that is none" <<<$'FROM scratch\nSTOPSIGNAL SIGNOPE'
bad 2 'JSON form' "SHELL in shell form" <<<$'FROM scratch\nSHELL sh -c'
bad 2 'invalid port|invalid containerPort' "a port that is none" <<<$'FROM scratch\nEXPOSE abc'
bad 2 'try: a port or a range' "what one would be" <<<$'FROM scratch\nEXPOSE 80-70'
bad 2 'try: .*--build-context' "a source above the context" <<<$'FROM scratch\nCOPY a/../../nothing /'
bad 2 'bad substitution|missing .\}|unsupported modifier' "an unfinished variable" <<<$'FROM scratch\nENV A=${B'
bad 2 'B: must be set' "the ? operator" <<<$'FROM scratch\nENV A="${B:?must be set}"'
bad 2 'target stage "no".*could not be found' "a target that is not there" --target no <<<'FROM scratch'
bad 2 'circular dependency|defined before' "stages in a circle" <<<$'FROM scratch AS a\nCOPY --from=b / /\nFROM scratch AS b\nCOPY --from=a / /'
bad 3 "did you mean the stage 'build'" "a misspelt stage" <<<$'FROM scratch AS build\nFROM scratch\nCOPY --from=biuld / /'
bad 2 'with target=PATH' "a mount without target" <<<$'FROM scratch\nRUN --mount=type=cache true'
bad 2 'invalid stage index' "a number without a stage" <<<$'FROM scratch\nCOPY --from=7 / /'
bad 2 'invalid reference format|failed to parse stage name' "a base that is no reference" <<<'FROM some/UPPER'
bad 2 'base name .* should not be blank' "an empty base" <<<$'ARG B\nFROM ${B}'
bad 2 'failed to parse platform|platform' "a platform that is none" <<<'FROM --platform=a/b/c/d scratch'
bad 2 "unexpected key 'wrong'" "an unknown mount key" <<<$'FROM scratch\nRUN --mount=type=bind,wrong=1 true'
bad 2 'invalid mount target' "a mount on /" <<<$'FROM scratch\nRUN --mount=type=tmpfs,target=/ true'
bad 2 'Chaining ONBUILD' "ONBUILD ONBUILD" <<<$'FROM scratch\nONBUILD ONBUILD RUN true'
bad 6 'line greater than max' "a line that is too long" < <(printf 'FROM scratch\nLABEL a="%s"\n' "$(head -c 70000 /dev/zero | tr '\0' x)")
bad 2 '\\x1b|\\x07|unknown instruction' "control characters" < <(printf 'FROM scratch\n\x1b]0;title\x07 x\n')
unlike "$out" "$(printf '\x1b\\]0')" "are not sent to the terminal"

# ---- spec/dockerfile.md 19.2, the rows that nothing above has: row, status, what it says, the file with \n in one line
while IFS='|' read -r row want re text; do
    bad "$want" "$re" "19.2 row $row" < <(printf '%b\n' "$text")
    like "$out" 'Dockerfile:[0-9]' "... with its place"
done <<'EOT'
16|2|ADD cannot accept a heredoc as a destination|FROM scratch\nADD f <<Q\nabc\nQ
17|2|LABEL must have two arguments|FROM scratch\nLABEL one
21|2|STOPSIGNAL requires exactly one argument|FROM scratch\nSTOPSIGNAL
24|2|invalid name for build stage.*My/Stage|FROM scratch AS My/Stage
35|2|matching single-quote|FROM scratch\nLABEL a='x
35|2|matching double-quote|ARG A="x\nFROM scratch
36|2|missing '/' in|FROM scratch\nUSER ${a/b}
37|2|invalid pattern|FROM scratch\nUSER ${a#\\q}
39|2|VOLUME specified can not be an empty string|FROM scratch\nVOLUME /a $UNSET
41|2|invalid signal: RTMIN.16|FROM scratch\nSTOPSIGNAL RTMIN+16
43|2|--retries|FROM scratch\nHEALTHCHECK --retries=2147483648 CMD y
43|2|invalid duration|FROM scratch\nHEALTHCHECK --interval=1d CMD x
44|2|MAINTAINER isn't allowed as an ONBUILD trigger|FROM scratch\nONBUILD maintainer x
46|6|security.insecure is not allowed|FROM busybox:1.35\nRUN --security=insecure true
46|6|device is not allowed|FROM busybox:1.35\nRUN --device=a.b/c=d true
49|2|invalid mount target "/"|FROM busybox:1.35\nRUN --mount=type=cache,target=/a/.. true
50|2|invalid value for required|FROM busybox:1.35\nRUN --device=a,required=q true
57|2|syntax error in pattern|FROM scratch\nCOPY [a /
59|2|invalid syntax in chmod parameter|FROM scratch\nCOPY --chmod=u=q Dockerfile /
60|2|source can't be a URL for COPY|FROM scratch\nCOPY https://x.y/z /
61|2|checksum requires HTTP|FROM scratch\nADD --checksum=sha256:0000000000000000000000000000000000000000000000000000000000000000 Dockerfile /
71|2|lint violation found for rules: MaintainerDeprecated|# check=error=true\nFROM scratch\nMAINTAINER x
73|2|invalid user index|FROM scratch\nCOPY --link --chown=web Dockerfile /
74|2|not a directory|FROM busybox:1.35\nWORKDIR /etc/passwd/x
EOT

# ---- files
bad 2 '"/?nothing".*not found|nothing.*not found' "a source that is not there" <<<$'FROM scratch\nCOPY nothing /'
echo x >"$T/bad/hidden"
echo hidden >"$T/bad/.dockerignore"
bad 2 'hidden.*(ignore|excluded)|(ignore|excluded).*hidden' "a source that the ignore file hides" <<<$'FROM scratch\nCOPY hidden /'
rm "$T/bad/.dockerignore"
mkdir -p "$T/bad/dir"
touch "$T/bad/dir/f"
# threats.md 18: the path as written, the root, the word; the name that was meant, or the line that hides it
touch "$T/bad/dir/main.c"
bad 2 "cannot copy 'dir/mian.c' from the build context '.*/bad'" "one of several sources that is not there" <<<$'FROM scratch\nCOPY dir dir/mian.c /'
like "$out" 'Dockerfile:2:10' "at its word"
like "$out" "mean 'dir/main.c'" "with the nearest name beside it"
bad 2 "mean 'dir/main.c'" "a folder and a file misspelt" <<<$'FROM scratch\nADD [ "DIR/mian.c", "/" ]'
bad 2 "mean 'dir'" "the folder of a pattern misspelt" <<<$'FROM scratch\nCOPY dri/*.c /'
bad 2 "mean '/dir/main.c'" "a file of a stage misspelt" <<<$'FROM scratch AS one\nCOPY dir /dir\nFROM scratch\nCOPY --from=one /dir/main.x /'
like "$out" "cannot copy '/dir/main.x' from the stage 'one'" "... is looked for in that stage"
like "$out" 'Dockerfile:4:17' "... at its word"
bad 2 "cannot mount 'dir/mian.c' from the build context" "a mount's source that is not there" <<<$'FROM scratch\nRUN --mount=source=dir/mian.c,target=/x ["/x"]'
like "$out" 'Dockerfile:2:20' "... at its word"
like "$out" "mean 'dir/main.c'" "... with the nearest name"
from=$'FROM busybox:1.35 AS one\nRUN mkdir -p /dir && touch /dir/main.c\nFROM busybox:1.35\n'
bad 2 "mean '/dir/main.c'" "19.1 a mount's source that its stage does not have" <<<"$from"'RUN --mount=from=one,source=/dir/mian.c,target=/x true'
like "$out" 'Dockerfile:4:29' "... at its word"
bad 2 '"/etc/paswd": not found' "... that its image does not have" <<<"$from"'RUN --mount=src=/etc/paswd,from=busybox:1.35,dst=/x true'
like "$out" "mean '/etc/passwd'" "... with the nearest name"
bad 2 '"/dri": not found' "... that a cache is to begin with" <<<"$from"'RUN --mount=type=cache,from=one,source=/dri,target=/x true'
bad 1 'Dockerfile:4:29' "a mount's target that is a file, at its word" <<<"$from"'RUN --mount=from=one,target=/etc/passwd true'
bad 2 'Dockerfile:4:32' "an unknown field of a mount, at its word" <<<"$from"'RUN --mount=from=one,target=/x,mod=1 true'
bad 6 'Dockerfile:4:28' "a secret that is not given, at its word" <<<"$from"'RUN --mount=type=secret,id=a,required true'
ln -s nowhere "$T/bad/dir/dangling"
bad 2 "'dir/dangling' is a link to 'nowhere', which is not there" "9.2 rule 5 a dangling link among the matches" <<<$'FROM scratch\nCOPY dir/d* /'
bad 2 "'/etc/localtime' is a link to 'gone'" "9.2 rule 4 on the way, in a stage" <<<$'FROM busybox:1.35\nRUN ln -s gone /etc/localtime\nFROM scratch\nCOPY --from=0 /etc/localtime/x /'
rm "$T/bad/dir/dangling"
for at in '3:14 COPY --chmod=abc f /' '3:16 ADD --checksum=sha256:zz http://x/y /' '3:16 COPY --exclude=[ f /' '3:9 WORKDIR /etc/passwd'; do
    bad 2 "Dockerfile:${at%% *}: " "at the very word: ${at#* }" <<<$'FROM busybox:1.35\nUSER 0\n'"${at#* }"
done
bad 2 "close the substitution with '}'" "a substitution that is cut off" <<<$'FROM scratch\nENV A=${X'
bad 2 'write \$\{name/pattern/text\}' "a substitution without its second slash (3.3)" <<<$'FROM scratch\nENV A=${X/a}'
bad 2 'names with blanks need the JSON form' "a quoted name with a blank (9.1)" <<<$'FROM scratch\nCOPY "a b" /'
printf '# sources\n*.md\n**/*.c\n' >"$T/bad/.dockerignore"
bad 2 'hidden by .dockerignore:3: \*\*/\*.c' "a hidden source names the line" <<<$'FROM scratch\nCOPY dir/main.c /'
like "$out" "'!dir/main.c'" "and what would show it"
bad 2 'not found' "a hidden name" <<<$'FROM scratch\nCOPY dir/mian.c /'
unlike "$out" 'mean' "is not proposed"
rm "$T/bad/.dockerignore" "$T/bad/dir/main.c"
bad 2 '"file":"[^"]*Dockerfile","line":2,"column":6,"hint":"did you mean .dir/f..' "JSON has the place in pieces" --progress=json <<<$'FROM scratch\nCOPY dir/ff /'
bad 2 'cannot copy to non-directory|cannot replace' "a folder onto a file" <<<$'FROM scratch\nCOPY hidden /x\nCOPY dir /x'
like "$out" 'Dockerfile:3:10' "... at the destination (9.3)"
bad 2 "'/etc/passwd': not a directory" "a file of a stage below a file" <<<$'FROM busybox:1.35\nFROM busybox:1.35\nCOPY --from=0 /bin/sh /etc/passwd/x'
like "$out" 'Dockerfile:3:23' "... at the destination"
status 2 "a Dockerfile that is not there" "$KILN" build -f "$T/no.Dockerfile" "$T/bad"
like "$out" 'no.Dockerfile' "is named"
nok "a context that is not there" "$KILN" build "$T/no-context"
if [ "$(id -u)" -ne 0 ]; then
    echo secret >"$T/bad/closed"
    chmod 0 "$T/bad/closed"
    bad 3 'closed' "a file that cannot be read" <<<$'FROM scratch\nCOPY closed /'
    chmod 600 "$T/bad/closed"
fi

# ---- images and registries: 3 and 4
bad 3 'kiln-no-such' "an image that is not there" <<<"FROM 127.0.0.1:$port/kiln-no-such:1"
bad 3 '127.0.0.1:1' "a registry that is not there" <<<'FROM 127.0.0.1:1/a:b'
bad 3 'never|not in the store|not here' "--pull=never of one that is not in the store" --pull=never <<<'FROM busybox:latest'
echo 'FROM scratch' | dockerfile push
status 4 "a push to a registry that is not there" "$KILN" build --progress=plain --push -t 127.0.0.1:1/a:b "$T/push"

# ---- the command line: 125
status 125 "an unknown option" "$KILN" build --no-cach "$T/bad"
like "$out" 'no-cache' "with the nearest one"
status 125 "no context" "$KILN" build
status 125 "an unknown command" "$KILN" biuld
like "$out" 'build' "with the nearest one"
status 125 "a bad output" "$KILN" build -o type=nope "$T/push"
status 125 "a bad driver" "$KILN" build --storage-driver=nope "$T/push"
status 125 "a bad tag" "$KILN" build -t 'Bad:Tag:x' "$T/push"
mkdir -m 755 "$T/open"
status 125 "a store that others can look into" env KILN_ROOT="$T/open" "$KILN" images
like "$out" 'chmod' "with the command that repairs it"
status 125 "a store that cannot be made" env KILN_ROOT=/proc/kiln "$KILN" images
mkdir -m 700 "$T/newer"
echo 999 >"$T/newer/version"
status 125 "a store of a later version" env KILN_ROOT="$T/newer" "$KILN" images
# ---- 18 a damaged store
echo 'FROM busybox:1.35' | dockerfile dam
KILN_ROOT=$T/damstore "$KILN" build "$T/dam" >/dev/null 2>&1
chmod 600 "$T"/damstore/blobs/sha256/*
for f in "$T"/damstore/blobs/sha256/*; do printf x | dd of="$f" bs=1 seek=60 conv=notrunc 2>/dev/null; done
status 125 "18 a damaged store" env KILN_ROOT="$T/damstore" "$KILN" build --progress=plain --no-cache --pull=never "$T/dam"
like "$out" 'busybox:1.35' "18 what is wrong is named"
like "$out" 'check --repair' "18 and what repairs it"
status 125 "18 check tells" env KILN_ROOT="$T/damstore" "$KILN" check
like "$out" '^blobs/sha256/[0-9a-f]{64}: content does not have this digest' "18 each object, and what is wrong with it"
like "$out" 'check --repair' "18 and what repairs it"

# ---- 17 limits that an option changes: their name, value, option
limited() { # limited NAME VALUE - of the last build in $out
    like "$out" "the limit $1 is $2\$" "17 $1: its name and value"
    like "$out" "--limit $1=[A-Z]+ raises it" "... and the option"
}
echo 'FROM busybox:1.35' | dockerfile lim
while read -r name value shown; do
    status 6 "17 $name" env KILN_ROOT="$T/limstore" "$KILN" build --progress=plain --limit "$name=$value" "$T/lim"
    limited "$name" "$shown"
done <<'EOT'
layer-size 300k 307200
layer-entries 3 3
image-size 300k 307200
image-entries 3 3
EOT
printf 'FROM busybox:1.35\nRUN true\n' | dockerfile lim
status 0 "17 within all of them" "$KILN" build --progress=plain --limit layer-size=1g --limit downloads=1 "$T/lim"
status 6 "17 image-size of what is unpacked already" "$KILN" build --no-cache --progress=plain --limit image-size=300k "$T/lim"
limited image-size 307200
# What is unpacked for two images at once counts for both, and only the one that is too large fails.
for i in 1 2 3 4; do head -c 200000 /dev/urandom >"$T/lim/f$i"; done
printf 'FROM busybox:1.35 AS base\nCOPY f1 f2 f3 /\nFROM base AS more\nCOPY f4 /\nFROM base AS a\nRUN true\nFROM more AS b\nRUN true\nFROM scratch\nCOPY --from=a /f1 /\nCOPY --from=b /f4 /\n' | dockerfile lim
base=$(KILN_ROOT=$T/limstore "$KILN" build -q --target a "$T/lim" >/dev/null && cat "$T"/limstore/layers/*/*/meta.json | grep -o '"bytes":[0-9]*' | awk -F: '{ n += $2 } END { print n }')
chmod -R u+rwX "$T/limstore" 2>/dev/null; rm -rf "$T/limstore"
KILN_ROOT=$T/limstore "$KILN" build -q --target more "$T/lim" >/dev/null
KILN_ROOT=$T/limstore "$KILN" build -q -f - "$T/lim" >/dev/null <<<$'FROM busybox:1.35\nRUN true'
status 6 "17 image-size of one of two images with shared layers" env KILN_ROOT="$T/limstore" "$KILN" build --progress=plain --limit "image-size=$base" "$T/lim"
limited image-size "$base"
like "$out" '^error: .*:8:1: RUN true$' "17 it is that one"
status 0 "17 image-size to the byte" env KILN_ROOT="$T/limstore" "$KILN" build --progress=plain --limit "image-size=$((base + 200000))" "$T/lim"
rm "$T/lim"/f?
python3 -c 'import http.server, os, sys
os.chdir(sys.argv[1])
class H(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *a): pass
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H)
print(s.server_port, flush=True)
s.serve_forever()' "$T" >"$T/lim.port" &
httpd=$!
for _ in $(seq 100); do [ -s "$T/lim.port" ] && break; sleep 0.05; done
u=http://127.0.0.1:$(cat "$T/lim.port")
head -c 5000 /dev/zero >"$T/lim.file"
printf 'FROM scratch\nADD %s/lim.file /\n' "$u" | dockerfile lim
status 6 "17 download-size of ADD" "$KILN" build --progress=plain --limit download-size=4999 "$T/lim"
limited download-size 4999
status 0 "17 as many bytes" "$KILN" build --progress=plain --limit download-size=5000 "$T/lim"
status 6 "17 download-size of a context" "$KILN" build --progress=plain --limit download-size=4999 "$u/lim.file"
limited download-size 4999
echo 'FROM scratch' | dockerfile tarctx
head -c 60000 /dev/zero >"$T/tarctx/a"
tar -C "$T/tarctx" -czf "$T/ctx.tgz" .
status 6 "17 context-size of a tar by HTTP" "$KILN" build --progress=plain --limit context-size=50k "$u/ctx.tgz"
limited context-size 51200
out=$("$KILN" build --progress=plain --limit context-size=50k - <"$T/ctx.tgz" 2>&1)
is $? 6 "17 of one on standard input"
limited context-size 51200
out=$("$KILN" build --progress=plain --limit context-size=100k - <"$T/ctx.tgz" 2>&1)
is $? 0 "17 within it" || diag "$out"
g() { git -c user.email=a@b -c user.name=n -c init.defaultBranch=main -c commit.gpgsign=false "$@" >/dev/null 2>&1; }
(mkdir "$T/repo" && cd "$T/repo" && g init && head -c 60000 /dev/zero >a && cp a b && echo 'FROM scratch' >Dockerfile && g add . && g commit -m m && g clone --bare . "$T/r.git" && cd "$T/r.git" && g update-server-info)
printf 'FROM scratch\nADD %s/r.git /\n' "$u" | dockerfile lim
status 6 "17 download-size of a repository" "$KILN" build --progress=plain --limit download-size=100k "$T/lim"
limited download-size 102400
(cd "$T/repo" && head -c 300000 /dev/urandom >c && g add . && g commit -m m && g push --force "$T/r.git" main && cd "$T/r.git" && g update-server-info)
status 6 "17 download-size of what git fetches" "$KILN" build --progress=plain --limit download-size=100k "$u/r.git"
limited download-size 102400
kill $httpd
while IFS='|' read -r arg re; do
    status 125 "17 --limit $arg" "$KILN" build --limit "$arg" "$T/lim"
    like "$out" "$re" "... says '$re'"
done <<'EOT'
laier-size=1|did you mean 'layer-size'
layer-size|not of the form NAME=VALUE
layer-size=0|no size
layer-entries=1k|no number
downloads=65|from 1 to 64
EOT

status 0 "the store is clean after all that" "$KILN" check
is "$(ls -A "$KILN_ROOT/tmp")" "" "and nothing is left in tmp/"
registry_down
done_testing
