#!/bin/bash
# Devices of the host in RUN: --device of the instruction and of the command line (spec/dockerfile.md 8.5, 14, 17.3).
. "$(dirname "$0")/../lang.sh"

mkdir -p "$T/cdi" "$T/run" "$T/lib"
echo driver >"$T/lib/driver"
cat >"$T/cdi/one.json" <<EOT
{ "cdiVersion": "0.5.0", "kind": "vendor.example/class", "annotations": { "org.mobyproject.buildkit.device.class": "some" },
  "containerEdits": { "env": [ "CDI_ALL=1" ], "mounts": [ { "hostPath": "$T/lib", "containerPath": "/opt/lib", "options": [ "ro", "nosuid" ] } ] },
  "devices": [
    { "name": "zero", "containerEdits": { "deviceNodes": [ { "path": "/dev/some/zero", "hostPath": "/dev/zero", "permissions": "rw" } ], "env": [ "A=device" ] } },
    { "name": "full", "containerEdits": { "deviceNodes": [ { "path": "/dev/some-full", "hostPath": "/dev/full" } ], "env": [ "B=device" ] } },
    { "name": "gone", "containerEdits": { "deviceNodes": [ { "path": "/dev/kiln-is-not-there" } ] } },
    { "name": "old", "containerEdits": { "env": [ "OLD=first" ] } },
    { "name": "type", "containerEdits": { "mounts": [ { "hostPath": "tmpfs", "containerPath": "/t", "type": "tmpfs" }, { "hostPath": "/", "containerPath": "/t", "type": "tmpfs" } ] } },
    { "name": "fs", "containerEdits": { "mounts": [ { "hostPath": "/tmp", "containerPath": "/t", "type": "tmpfs" } ] } }
  ] }
EOT
cat >"$T/cdi/two.yaml" <<'EOT'
---
# As nvidia-ctk writes them.
cdiVersion: 0.5.0
kind: yaml.example/gpu
devices:
- containerEdits:
    deviceNodes:
    - path: /dev/gpu0
      hostPath: /dev/null
      fileMode: 438
  name: "0"
- name: hooked
  annotations:
    org.mobyproject.buildkit.device.class: hooks
  containerEdits:
    hooks:
    - hookName: createContainer
      path: /usr/bin/true
      args: [true, hook]
EOT
echo '{ "kind": "twice.example/x", "devices": [ { "name": "y", "containerEdits": {} } ] }' | tee "$T/cdi/three.json" >"$T/cdi/four.json"
printf 'kind: broken.example/x\ndevices:\n\t- name: y\n' >"$T/cdi/broken.yml"
echo 'not read' >"$T/cdi/README"
cat >"$T/run/later.yaml" <<'EOT'
kind: vendor.example/class
devices:
  - { name: old, containerEdits: { env: [ "OLD=second" ] } }
EOT
with=(--allow device --cdi-config-dir "$T/cdi" --cdi-config-dir "$T/run" --cdi-config-dir "$T/none")

dockerfile dev <<'EOT'
FROM busybox:1.35
ENV A=image
RUN --device=vendor.example/class=zero,required { echo "$A $B $CDI_ALL"; cat /opt/lib/driver; touch /opt/lib/x 2>/dev/null || echo read-only; head -c3 /dev/some/zero | od -An -tx1; ls /dev/some-full 2>&1 || true; } > /o1
RUN --device=vendor.example/class=full --device=name=vendor.example/class=old,required=true { echo "$A $B $CDI_ALL $OLD"; echo x > /dev/some-full; ls /dev/gpu0; } > /o2 2>&1 || true
RUN --device=yaml.example/gpu=0 echo x >/dev/gpu0 && stat -c %t,%T /dev/gpu0 > /o3
RUN --device=yaml.example/gpu { ls /dev/gpu*; env | grep -c CDI_ALL; } > /o4 || true
RUN --device=vendor.example/other=zero,required=0 --device=nothing ls /dev > /o5
EOT
made "8.5 devices by name" dev "${with[@]}"
same "8.5 a node, a mount, variables" "$(file dev o1)" <<'EOT'
device  1
driver
read-only
 00 00 00
ls: /dev/some-full: No such file or directory
EOT
like "$(file dev o2)" '^image device 1 second$' "8.5 two devices; of two directories the later one counts"
like "$(file dev o2)" 'No space left on device' "8.5 the node is the host's"
is "$(file dev o3)" 1,3 "8.5 described in YAML"
same "8.5 the first of a class; variables are those of its file" "$(file dev o4)" <<'EOT'
/dev/gpu0
0
EOT
unlike "$(file dev o5)" 'some|gpu' "8.5 what nobody has and nobody needs is left out"
unlike "$(tree dev)" '^(opt|dev/)' "8.5 nothing of it is in a layer"
unlike "$(raw dev)" 'CDI_ALL=1' "8.5 nor in the config"
made "17.3 the same again" dev "${with[@]}"
is "$(grep -c ' cached$' <<<"$out")" 5 "17.3 is cached"
made "17.3 known steps need no device" dev --allow device --cdi-config-dir "$T/none"
is "$(grep -c ' cached$' <<<"$out")" 5 "17.3 they are cached"

run() { printf 'FROM busybox:1.35\nRUN --device=%s %s\n' "$1" "${2:-true}"; }
while IFS='|' read -r spec re; do
    refused "8.5 $spec" "$re" "${with[@]}" < <(run "$spec")
    like "$out" 'Dockerfile:2:' "8.5 says where"
done <<EOT
vendor.example/class=none,required|required CDI device 'vendor.example/class=none' is not registered
vendor.example/*=zero,required|is not registered
some-class,required|required CDI device 'some-class' is not registered
broken.example/x=y,required|cannot use '$T/cdi/broken.yml'
broken.example/x=y,required|line 3: found character that cannot start any token
twice.example/x=y|described by two files, '$T/cdi/four.json' and '$T/cdi/three.json'
yaml.example/gpu=hooked|it comes with hooks: programs of the host
hooks|device 'yaml.example/gpu=hooked' of '$T/cdi/two.yaml' cannot be given
vendor.example/class=gone|cannot use the device '/dev/kiln-is-not-there' of this host
vendor.example/class=type|hostPath is not an absolute path
vendor.example/class=fs|is of the type 'tmpfs'
vendor.example/class=\*,required|cannot be given to a step
EOT
# By the class that an annotation names: all devices of the file.
rm "$T/cdi/four.json"
sed -i '/"gone"\|"type"\|"fs"/d; s/\(OLD=first.*\),$/\1/' "$T/cdi/one.json"
for spec in some 'vendor.example/class=*'; do
    run "$spec" 'ls -d /dev/some /dev/some-full; echo $A $B $OLD $CDI_ALL' | dockerfile all
    made "8.5 --device=$spec" all --no-cache "${with[@]}"
    like "$out" '/dev/some-full' "8.5 has all of them"
    like "$out" ' device device (second )?1$' "8.5 what belongs to the file comes once"
done

# ---- the command line
run 'a.b/c=d' 'stat -c %t,%T /dev/mine; ls /dev/some; echo "$A"; ls /dev/zero2' | sed 's/--device=[^ ]*//' | dockerfile cli
refused "14 a device for every RUN" '/dev/zero2: No such file' --device /dev/null:/dev/mine:rw --device vendor.example/class=zero --cdi-config-dir "$T/cdi" <"$T/cli/Dockerfile"
like "$out" ' 1,3$' "14 a node by its path"
like "$out" ' zero$' "14 and one by its name"
like "$out" ' device$' "14 with its variable"
made "14 by its path, in its place" cli --device /dev/null:/dev/mine --device /dev/zero:/dev/zero2 --device /dev/zero:/dev/some/x:r
made "14 again" cli --device /dev/null:/dev/mine --device /dev/zero:/dev/zero2 --device /dev/zero:/dev/some/x:r
like "$out" ' cached$' "17.3 is cached"
made "14 another" cli --device /dev/null:/dev/mine --device /dev/zero:/dev/zero2 --device /dev/zero:/dev/some/y
unlike "$out" ' cached$' "17.3 is not"
while IFS='|' read -r spec re; do
    refused "14 --device=$spec" "$re" --device "$spec" --cdi-config-dir "$T/cdi" <<<$'FROM busybox:1.35\nRUN true'
done <<EOT
/dev/kiln-is-not-there|cannot find '/dev/kiln-is-not-there'
/etc/passwd|'/etc/passwd' is no device
/dev/null:/dev/x:rz|made of other letters
/dev/null:x/y:r|not an absolute path
null|neither an absolute path nor of the form
vendor.example/class=none|required CDI device 'vendor.example/class=none' is not registered
EOT
registry_down
done_testing
