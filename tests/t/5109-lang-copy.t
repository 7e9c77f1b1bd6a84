#!/bin/bash
# COPY: the matrix of H.4 and what sections 9.2 to 9.11 say (spec/dockerfile.md 9, H.4). Owners from stages, wildcards and links out of the context: 5020-copy.t.
. "$(dirname "$0")/../lang.sh"

# ---- H.4: one stage for each row, collected into one tree
mkdir -p "$T/h4/d/s"
cd "$T/h4" || exit 1
printf F >f
printf X >d/x
printf Y >d/s/y
ln -s x d/m
ln -s d l
rows=(
    'f /a' 'f /a/' 'd /a' 'd/ /a/' 'd/. /a' 'l /a' 'd/m /a/' 'd/* /a/' 'f d /a/' 'f d/x /a' 'no* /a/' '../f /a' '$UNSET /a'
    '--parents d/s/y /a' '--parents d/./s/y /a' '--exclude=s d /a' '--exclude=y d /a' '--parents **/y d/./m /a' '--parents */* /a' '--parents nope*/x /a'
    '--parents d/l*/x /a' '--parents . /a' '--exclude=* d /a' '--exclude=*.none --exclude=!x d/x /a' '--exclude=/s d /a' '--exclude=** --exclude=!s/y d /a'
)
{
    for i in "${!rows[@]}"; do
        printf 'FROM scratch AS r%d\nCOPY %s\n' "$i" "${rows[$i]}"
    done
    echo 'FROM scratch'
    for i in "${!rows[@]}"; do
        printf 'COPY --from=r%d / /%02d/\n' "$i" "$i"
    done
} >Dockerfile
printf 'Dockerfile\n.dockerignore\n' >.dockerignore
made "H.4 builds" h4
same "H.4, 9.10, 9.11 the matrix" "$(tree h4 | cut -d' ' -f1,2,5-)" <<'EOT'
00 d
00/a f "F"
01 d
01/a d
01/a/f f "F"
02 d
02/a d
02/a/m l -> x
02/a/s d
02/a/s/y f "Y"
02/a/x f "X"
03 d
03/a d
03/a/m l -> x
03/a/s d
03/a/s/y f "Y"
03/a/x f "X"
04 d
04/a d
04/a/m l -> x
04/a/s d
04/a/s/y f "Y"
04/a/x f "X"
05 d
05/a d
05/a/m l -> x
05/a/s d
05/a/s/y f "Y"
05/a/x f "X"
06 d
06/a d
06/a/m f "X"
07 d
07/a d
07/a/m f "X"
07/a/x f "X"
07/a/y f "Y"
08 d
08/a d
08/a/f f "F"
08/a/m l -> x
08/a/s d
08/a/s/y f "Y"
08/a/x f "X"
09 d
09/a f "X"
10 d
11 d
11/a f "F"
12 d
12/a d
12/a/d d
12/a/d/m l -> x
12/a/d/s d
12/a/d/s/y f "Y"
12/a/d/x f "X"
12/a/f f "F"
12/a/l l -> d
13 d
13/a d
13/a/d d
13/a/d/s d
13/a/d/s/y f "Y"
14 d
14/a d
14/a/s d
14/a/s/y f "Y"
15 d
15/a d
15/a/m l -> x
15/a/x f "X"
16 d
16/a d
16/a/m l -> x
16/a/s d
16/a/s/y f "Y"
16/a/x f "X"
17 d
17/a d
17/a/d d
17/a/d/s d
17/a/d/s/y f "Y"
17/a/m l -> x
18 d
18/a d
18/a/d d
18/a/d/m l -> x
18/a/d/s d
18/a/d/s/y f "Y"
18/a/d/x f "X"
19 d
19/a d
20 d
20/a d
21 d
21/a d
21/a/d d
21/a/d/m l -> x
21/a/d/s d
21/a/d/s/y f "Y"
21/a/d/x f "X"
21/a/f f "F"
21/a/l l -> d
22 d
22/a d
23 d
23/a f "X"
24 d
24/a d
24/a/m l -> x
24/a/s d
24/a/s/y f "Y"
24/a/x f "X"
25 d
25/a d
25/a/s d
25/a/s/y f "Y"
EOT
cp -r "$T/h4" "$T/bad"
rm -f "$T/bad/d/x.gone"
ln -s nowhere "$T/bad/dangling"
while IFS='|' read -r line re; do
    refused "H.4, 9 COPY $line" "$re" <<<$'FROM scratch\nCOPY f /file\nCOPY d /dir/\nCOPY d /dir/x.d/\n'"COPY $line"
done <<'EOT'
no/* /a/|no such file or directory
nofile /a/|"/nofile": not found
f /file/|not a directory
d /file|cannot copy to non-directory
f /file/sub/x|not a directory
--parents no/file /a|"/no/file": not found
--parents l/x /a|not found
--parents no/./x* /a|no such file or directory
--exclude=x nofile /a/|lstat /nofile: no such file or directory
d[ /a/|syntax error in pattern
dang* /a/|"/dangling": not found
--chmod=888 f /a|invalid chmod parameter: '888'. it should be octal string and between 0 and 07777
--chmod=10000 f /a|invalid chmod parameter
--chmod=u+q f /a|invalid syntax
http://127.0.0.1/x /a|source can't be a URL for COPY
https://example.com/x.git /a|source can't be a git ref for COPY
f <<EOF|cannot accept a heredoc as a destination|unterminated heredoc
EOT

refused "9.9 --link and an owner by name on an empty file system" 'invalid user index' <<<$'FROM scratch\nCOPY --link --chown=www f /a'

# ---- 9.3, 9.4, 9.5: what was there before, metadata
mkdir -p "$T/meta/src/sub" "$T/meta/src/exist" "$T/meta/q"
cd "$T/meta" || exit 1
printf 1 >src/sub/f
printf 2 >src/exist/g
printf 3 >src/file
printf 4 >'q/*'
printf 5 >'q/[x'
printf 6 >q/.hidden
mkdir -p q1/in
printf 7 >q1/in/xay
ln -s file src/link
ln src/file src/hard
printf S >src/suid
chmod 4755 src/suid
chmod 2770 src/exist
chmod 700 src/sub
chmod 711 src
touch -h -d '2001-02-03 04:05:06.789 UTC' src/file src/link src/sub src
cat >Dockerfile <<'EOT'
FROM busybox:1.35
RUN mkdir -p /t/exist /real /m && chmod 700 /t/exist && chown 5:6 /t /t/exist && ln -s /real /ln && ln -s ../../real/new /dang && echo old > /t/file && ln /t/file /t/other && ln -s /etc/passwd /t/link && ln -s /nowhere /m/file && echo h > /h1 && ln /h1 /h2 && ln -s /real/tgt /lf
COPY src /t
COPY src/file /ln/x
COPY src/file /dang
COPY src/file /lf
COPY src/file /m/
COPY src/file /h1
COPY --chown=7:8 --chmod=2751 src /n1/n2
COPY --chmod=0640 src/file /n3/n4/
COPY --chmod=u=rwX,go=rX src /n5
COPY --chmod=g=u,o-x,+t src/suid /n6
COPY src/sub src/exist /n7/
COPY src/link /n8/
COPY q/[*] q/[[]x /n9/
COPY q/* /n10/
COPY q[1/]/in/x[a/b]y /n15/
COPY --link src/file /ln/deep/x
COPY --link src/file ln2/
COPY --link --chown=9:9 src /real
COPY --link --chmod=600 src/file /t/other2
COPY --link --chown=www-data:users src/file /lk/named
COPY --from=busybox:1.35 /etc/passwd /n11/
COPY <<one src/file <<two /n12/
1
one
2
two
COPY --chown=3 --chmod=0711 <<x <<x /n13/
a
x
b
x
WORKDIR /n14
COPY src/file src/sub/f .
EOT
made "9 metadata" meta
got=$(tree meta)
some() { grep -E "^($1)( |/)" <<<"$got"; }
same "9.3, 9.4, 9.5 into what exists" "$(some 't|ln|dang|m|h1|h2|lf|lk')" <<'EOT'
dang l 0777 0:0 -> ../../real/new
h1 f 0644 0:0 "3"
h2 f 0644 0:0 "h$"
lf l 0777 0:0 -> /real/tgt
lk d 0755 33:100
lk/named f 0644 33:100 "3"
ln d 0755 0:0
ln/deep d 0755 0:0
ln/deep/x f 0644 0:0 "3"
m d 0755 0:0
m/file f 0644 0:0 "3"
t d 0755 5:6
t/exist d 2770 0:0
t/exist/g f 0644 0:0 "2"
t/file f 0644 0:0 "3"
t/hard f 0644 0:0 "3"
t/link l 0777 0:0 -> file
t/other f 0644 0:0 "old$"
t/other2 f 0600 0:0 "3"
t/sub d 0700 0:0
t/sub/f f 0644 0:0 "1"
t/suid f 4755 0:0 "S"
EOT
same "9.4 links at the destination are followed; 9.9 not by --link" "$(some 'real|ln2')" <<'EOT'
ln2 d 0755 0:0
ln2/file f 0644 0:0 "3"
real d 0755 9:9
real/exist d 2770 9:9
real/exist/g f 0644 9:9 "2"
real/file f 0644 9:9 "3"
real/hard f 0644 9:9 "3"
real/link l 0777 9:9 -> file
real/new f 0644 0:0 "3"
real/sub d 0700 9:9
real/sub/f f 0644 9:9 "1"
real/suid f 4755 9:9 "S"
real/tgt f 0644 0:0 "3"
real/x f 0644 0:0 "3"
EOT
same "9.5, 9.6, 9.7 --chown and --chmod" "$(some 'n1|n3|n5|n6')" <<'EOT'
n1 d 0751 7:8
n1/n2 d 0751 7:8
n1/n2/exist d 2751 7:8
n1/n2/exist/g f 2751 7:8 "2"
n1/n2/file f 2751 7:8 "3"
n1/n2/hard f 2751 7:8 "3"
n1/n2/link l 0777 7:8 -> file
n1/n2/sub d 2751 7:8
n1/n2/sub/f f 2751 7:8 "1"
n1/n2/suid f 2751 7:8 "S"
n3 d 0640 0:0
n3/n4 d 0640 0:0
n3/n4/file f 0640 0:0 "3"
n5 d 0755 0:0
n5/exist d 0755 0:0
n5/exist/g f 0644 0:0 "2"
n5/file f 0644 0:0 "3"
n5/hard f 0644 0:0 "3"
n5/link l 0777 0:0 -> file
n5/sub d 0755 0:0
n5/sub/f f 0644 0:0 "1"
n5/suid f 0755 0:0 "S"
n6 f 5774 0:0 "S"
EOT
same "9.2, 9.3 sources; 2.9.5 documents" "$(some 'n7|n8|n9|n10|n12|n13|n14|n15')" <<'EOT'
n10 d 0755 0:0
n10/* f 0644 0:0 "4"
n10/.hidden f 0644 0:0 "6"
n10/[x f 0644 0:0 "5"
n12 d 0755 0:0
n12/file f 0644 0:0 "3"
n12/one f 0644 0:0 "1$"
n12/two f 0644 0:0 "2$"
n13 d 0711 3:3
n13/x f 0711 3:3 "b$"
n14 d 0755 0:0
n14/f f 0644 0:0 "1"
n14/file f 0644 0:0 "3"
n15 d 0755 0:0
n15/xay f 0644 0:0 "7"
n7 d 0755 0:0
n7/f f 0644 0:0 "1"
n7/g f 0644 0:0 "2"
n8 d 0755 0:0
n8/link f 0644 0:0 "3"
n9 d 0755 0:0
n9/* f 0644 0:0 "4"
n9/[x f 0644 0:0 "5"
EOT
TIMES=1 tree meta t >"$T/times"
is "$(grep -cE '^(file|link|sub|\.) .*@981173106\b' "$T/times")" 4 "9.5 times; the top directory's too" || cat "$T/times"
registry_down
done_testing
