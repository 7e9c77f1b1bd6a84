# tests/user.sh - an ordinary user with subordinate ids, for demo and CI when root calls; sourced.

# user_ensure NAME - exists, with a home and 65536 subordinate ids
user_ensure() {
    local next
    getent passwd "$1" >/dev/null || useradd --create-home --shell /bin/bash "$1"
    for f in /etc/subuid /etc/subgid; do
        grep -q "^$1:" $f 2>/dev/null && continue
        next=$(awk -F: 'BEGIN { n = 100000 } $2 + $3 > n { n = $2 + $3 } END { print n }' $f 2>/dev/null || echo 100000)
        echo "$1:$next:65536" >>$f
    done
}

# user_copy TREE DEST NAME - the sources, the tools and the base images, theirs; objects stay behind
user_copy() {
    mkdir -p "$2"
    tar -C "$1" --exclude=./.git --exclude=./out/obj --exclude=./out/unit --exclude=./out/fuzz --exclude=./out/fuzzer \
        --exclude=./out/san --exclude=./out/kiln --exclude=./out/libkiln.a -cf - . | tar -C "$2" -xf - --no-same-owner
    chown -R "$3:" "$2"
}
