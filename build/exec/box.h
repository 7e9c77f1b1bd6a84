/* build/exec/box.h - what the files of build/exec share about the one step that this process, the monitor, runs.
 *
 * Data:   the monitor prepares sources, mounts the root over them, attaches everything below it by descriptor, forks the
 *         payload. `at` is a directory of the step's own; a tmpfs with our files lies on it, covered by the root.
 * Owns:   all descriptors, until box_close().
 */
#pragma once
#include "build/exec/run.h"
#include "build/exec/user.h"
#include "layers/snap.h"

/* ---- room.c: what is there before the step is known */
struct room {
	const struct seccomp_filter *filter;
	int outside;                     /* the mount namespace that we came from */
	int null;                        /* the host's /dev/null, verified */
	int files;                       /* a tmpfs for our files */
	int dev;                         /* on it, what becomes /dev */
	struct err *e;                   /* why it is not there */
};
int room_refused(struct err **e);    /* errno: no more namespaces */

struct made;
struct box {
	const struct run_spec *spec;
	const struct snap_driver *driver;
	struct job_self *self;
	const struct seccomp_filter *filter;
	int outside, null, files, dev;   /* of the room; `files` lies below the root */
	char *at;                        /* absolute */
	int store;                       /* opened in the step's mount namespace */
	int pasta_go, pasta_said;        /* net.c */
	int root;                        /* the step's root, O_PATH */
	int sys, resolv, hosts;          /* what will be mounted on /sys, /etc/resolv.conf, /etc/hosts; -1: nothing */
	int proc;                        /* where /proc goes, O_PATH */
	int in;                          /* what the command reads; -1: nothing */
	int cgroup;                      /* "cgroup.procs" of the step's own; -1: it has none */
	char *seed;                      /* what every root has to mount on, as a layer below the image's */
	const char **stack;              /* the root's lowers, bottom first: the seed, then what the image has */
	size_t nstack;
	int *lower;                      /* the same, O_PATH: as soon as they are mounted, others may rename them */
	unsigned nfile;
	struct made *made;               /* targets that were not in the image (target.c) */
	size_t nmade, madecap;
	struct snap_mount *side;         /* mounts of the driver beside the root's: sources of binds */
	pid_t *server;                   /* what their unmount needs; the last one is the root's */
	size_t nserver, servercap;
	int *held;                       /* descriptors that hold locks */
	size_t nheld, heldcap;
	pid_t *helper;                   /* processes that end with the step: ssh proxies, network */
	size_t nhelper, helpercap;
	struct user user;
};

/* ---- target.c: places to mount on, made when missing and removed again (spec/executor.md 6.6, threats W8) */
/* O_PATH descriptor of path inside the root; dir: what is to be mounted there is a directory. */
int target_open(struct box *b, const char *path, bool dir, int *ret, struct err **e);
/* Attach mount (a detached one) at path. */
int target_mount(struct box *b, const char *path, int mount, struct err **e);
/* What was made since there were `before` is the place of the secret at path. */
void target_secret(struct box *b, size_t before, const char *path);
/* After the step, when its mounts are gone: remove what was made, if nothing came into it. A secret's place that the step filled, or NULL. */
const char *target_remove_made(struct box *b);

/* ---- fixed.c: /dev, /sys, /proc, files in /etc (6.4 to 6.6) */
int fixed_dev(int files, struct err **e);         /* /dev but for its place and its shm, on the tmpfs of our files */
int fixed_prepare(struct box *b, struct err **e);        /* what needs no root */
int fixed_mount(struct box *b, struct err **e);
int fixed_etc(struct box *b, struct err **e);
/* In the payload, which is in the new pid namespace: /proc and the masked paths. */
int fixed_proc(struct box *b, struct err **e);

/* ---- mount.c and mount_*.c: RUN --mount, a row and a file for each kind (6.7) */
struct mount_type {
	/* Make the source, before the root is there. *ret: a detached mount; -1: nothing is to be mounted. */
	int (*prepare)(struct box *b, const struct run_mount *m, int *ret, struct err **e);
};
extern const struct mount_type mount_bind, mount_cache, mount_tmpfs, mount_secret, mount_ssh, mount_file, mount_host, mount_device;
int mount_prepare(struct box *b, int *mounts, struct err **e);          /* spec->nmount of them */
int mount_attach_all(struct box *b, int *mounts, struct err **e);

/* Mount the stack of layers that m reads at target: read-only, or with an upper that goes with the step. */
int bind_tree(struct box *b, const struct run_mount *m, const char *target, struct err **e);
/* seed.c: what directory `from` holds, and its attributes, into the new directory `to`. */
int seed_copy(int from, int to, struct err **e);
/* A new directory below `files`, absolute path in *ret. */
int box_dir(struct box *b, char **ret, struct err **e);
/* A new file below `files` with this content, as a detached read-only mount. */
int box_file(struct box *b, struct slice content, uint32_t mode, uint32_t uid, uint32_t gid, unsigned attrs, struct err **e);
/* Ids that this namespace does not have become 0 (6.7). */
int box_own(int fd, uint32_t uid, uint32_t gid, struct err **e);
void box_hold(struct box *b, int take_fd);
void box_helper(struct box *b, pid_t pid);
/* Did the main process give up? */
bool box_cancelled(const struct box *b, int wait_ms);

/* ---- net.c */
int net_prepare(struct box *b, struct err **e);                         /* before the network namespace is entered */
int net_start(struct box *b, struct err **e);                           /* in it */
int net_resolv(const struct box *b, struct buf *out, struct err **e);   /* /etc/resolv.conf of the step */

/* ---- payload.c: process 1. Messages on its status pipe; end of file: the command runs. */
enum { PAYLOAD_SETUP = 1, PAYLOAD_EXEC };
struct payload_message {
	uint32_t kind, code, length;     /* then: a packed error, or the reason */
};
void payload_run(struct box *b, const int out[2], int status) __attribute__((noreturn));
