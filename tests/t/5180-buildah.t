#!/bin/bash
# buildah wants to be root: an ordinary user is, in a user namespace with the subordinate ids.
[ "$(id -u)" -eq 0 ] || exec env _CONTAINERS_USERNS_CONFIGURED=done _CONTAINERS_ROOTLESS_UID="$(id -u)" _CONTAINERS_ROOTLESS_GID="$(id -g)" unshare --user --map-auto --map-root-user --mount "$0" "$@"
# The same Dockerfile by buildah and by kiln: the same tree and config, where buildah follows the specification.
. "$(dirname "$0")/../lang.sh"
need buildah umoci || skip_all

# All of buildah's is in $T, which lib.sh made: never the storage of the machine.
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs REGISTRY_AUTH_FILE=$T/auth.json
printf "{}" >"$T/auth.json"
: >"$T/containers.conf"
cat >"$T/storage.conf" <<EOT
[storage]
driver = "vfs"
graphroot = "$T/buildah"
runroot = "$T/run/buildah"
EOT
printf '{"default":[{"type":"insecureAcceptAnything"}]}' >"$T/policy.json"
theirs() { timeout 150 buildah --root "$T/buildah" --runroot "$T/run/buildah" "$@" </dev/null; }

mkdir -p "$T/ctx/d/s" "$T/ctx/conf"
cd "$T/ctx" || exit 1
printf F >f
printf X >d/x
printf Y >d/s/y
ln -s x d/m
ln -s /abs d/abs
chmod 750 d/s
chmod 711 d/x
printf 1 >conf/1.conf
printf 2 >conf/2.conf
printf h >conf/.hidden
printf i >ignored
tar -czf a.tar.gz --owner=3 --group=4 --numeric-owner d
printf 'ignored\n**/*.none\n' >.dockerignore
cat >Dockerfile <<'EOT'
ARG TAG=1.35
FROM docker.io/library/busybox:${TAG} AS tool
ARG V=default
ENV A=1 B="two words" C=$V
RUN mkdir /t && echo "$A,$B,$C,$V" > /t/env && chown -R 7:8 /t && ln /t/env /t/hard && mkfifo /t/p && chmod 2751 /t
WORKDIR /w/deep
RUN pwd > pwd
FROM docker.io/library/busybox:${TAG}
COPY f /one
COPY f /dir/
COPY d /d1
COPY d/ conf/*.conf /d2/
COPY conf/* /d3/
COPY --chown=12:34 --chmod=0640 f /own
COPY --chown=www-data:users d/x /named
ADD a.tar.gz /arch/
COPY a.tar.gz /
COPY --from=tool /t /from/
COPY --from=0 /w/deep/pwd /pwd
RUN rm -rf /bin/vi /d1/s && mkdir /d1/s && touch /d1/s/new && mv /one /moved && echo x >> /etc/group
USER 5:6
WORKDIR /byuser
USER root
RUN --mount=type=bind,source=d,target=/m cat /m/x > /bound; test ! -e /ignored
RUN --mount=type=tmpfs,target=/tt touch /tt/x
LABEL l=1 "m n"=2
EXPOSE 80 53/udp
VOLUME /vol
STOPSIGNAL SIGINT
ENTRYPOINT ["/bin/e"]
CMD ["c", "d e"]
EOT
if ! out=$(theirs bud -q --layers=false --format oci --signature-policy "$T/policy.json" --tls-verify=false --build-arg V=given -t cmp -f Dockerfile . 2>&1); then
    diag "$out"
    lacks="a buildah that can build here"
    skip_all
fi
ok "buildah's image" theirs push -q --signature-policy "$T/policy.json" cmp "oci:$T/theirs:1"
made "kiln's" ctx --build-arg V=given
umoci unpack --image "$T/theirs:1" "$T/bundle" >/dev/null 2>&1
tar -C "$T/bundle/rootfs" -cf "$T/theirs.tar" .
# Not compared: what a runtime bound or left in /etc, /dev, /proc, /sys, /run; the root itself; a volume's directory, which buildah makes.
few() { tree "$1" | grep -vE '^(\.|etc/(hosts|resolv.conf|hostname|mtab)|dev|proc|sys|run|vol)( |/)'; }
few theirs >"$T/theirs.list"
same "7.7, 8, 9, 10.2 the same tree" "$(few ctx)" <"$T/theirs.list"
c=$(skopeo inspect --config --raw "oci:$T/theirs:1")
for key in Env Entrypoint Cmd ExposedPorts Volumes StopSignal WorkingDir; do
    is "$(raw ctx | json - "d['config'].get('$key')")" "$(json - "d['config'].get('$key')" <<<"$c")" "7 the same $key"
done
is "$(raw ctx | json - 'd["config"]["Labels"]')" "$(json - '{k: v for k, v in d["config"]["Labels"].items() if not k.startswith("io.buildah")}' <<<"$c")" "7 the same labels"
registry_down
done_testing
