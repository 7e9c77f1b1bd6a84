#!/bin/bash
# Folders point one way (spec: design.md 2), and each library is known to one file.
. "$(dirname "$0")/../lib.sh"
cd "$top" || exit 1

# folder -> what its files may include of ours (prefixes). build/ itself and build/cmd/ may include everything; the other
# folders of build/ are held to these parts of it.
rules() {
    cat <<'EOT'
base          base/
parser        parser/ base/
cache         cache/ base/
layers        layers/ cache/ base/
registry      registry/ layers/ cache/ base/
build/exec    build/exec/ layers/ cache/ base/
build/ui      build/ui/ registry/ layers/ cache/ parser/ base/
build/op      build/op/ build/step.h build/plan.h build/sched.h build/trees.h build/work.h build/req.h build/app.h build/imagestore.h build/context/ build/exec/ registry/ layers/ cache/ parser/ base/
build/context build/context/ build/req.h build/app.h build/work.h build/wait.h registry/ layers/ cache/ parser/ base/
build/output  build/output/ build/req.h build/app.h build/imagestore.h registry/ layers/ cache/ parser/ base/
EOT
}
while read -r folder allowed; do
    [ -d "$folder" ] || continue
    bad=$(grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$folder"/*.[ch] /dev/null 2>/dev/null | while IFS= read -r line; do
        inc=${line#*\"}
        inc=${inc%%\"*}
        for a in $allowed; do
            case $inc in "$a" | "${a%/}"/*) [ "$a" != "${a%/}" ] || [ "$inc" = "$a" ] || continue; continue 2 ;; esac
        done
        printf '%s\n' "$line"
    done)
    is "$bad" "" "$folder/ includes only $allowed"
done < <(rules)
bad=$(grep -rnE '^#[[:space:]]*include[[:space:]]*"(build|registry)/' base parser cache layers --include='*.[ch]')
is "$bad" "" "nobody below includes build/ or registry/"

# library header -> the files that may include it
libs() {
    cat <<'EOT'
archive\.h|archive_entry\.h           layers/tarin.c
zstd(_errors)?\.h                     layers/comp_zstd.c
zlib\.h                               layers/comp_gzip.c
libdeflate\.h                         layers/comp_gzip.c
lzma\.h                               layers/comp_xz.c
bzlib\.h                              layers/comp_bzip2.c
openssl/.*                            base/digest.c
jansson\.h                            base/jdoc.c
curl/.*                               registry/http.c
seccomp\.h                            build/exec/seccomp.c
fuse.*\.h|fuse3/.*                    layers/snap_fuse.c
EOT
}
while read -r re files; do
    users=$(grep -rlE "^[[:space:]]*#[[:space:]]*include[[:space:]]*<($re)>" base parser cache layers registry build --include='*.[ch]' | sort)
    bad=
    for u in $users; do
        [[ " $files " == *" $u "* ]] || bad+="$u "
    done
    is "$bad" "" "<$re> is included by nobody but $files"
done < <(libs)

# Sources are listed: a file that no module.mk names is not built.
for folder in base parser cache layers registry build build/op build/context build/exec build/output build/cmd build/ui; do
    [ -e "$folder/module.mk" ] || continue
    bad=
    for f in "$folder"/*.c; do
        case $f in */fuzz_*.c | "$folder/*.c") continue ;; esac
        grep -qw -- "$(basename "$f")" "$folder/module.mk" || bad+="$f "
    done
    is "$bad" "" "$folder/module.mk names every source"
done
is "$(find tests/t -name '*.t' ! -perm -100)" "" "every test is executable"
done_testing
