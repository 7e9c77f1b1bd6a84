build_exec_src := run.c room.c monitor.c payload.c exec.c user.c seed.c seccomp.c net.c target.c fixed.c mount.c mount_bind.c \
                  mount_cache.c mount_tmpfs.c mount_secret.c mount_ssh.c mount_host.c
