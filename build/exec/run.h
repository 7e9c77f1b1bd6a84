/* build/exec/run.h - one command in a root: what a RUN step asks for, and the job that does it (spec/executor.md 1.1).
 *
 * Data:   the main process packs a run_spec into a job payload; run_job() is the monitor: it mounts, starts process 1, waits.
 *         fds: [0] stdout pipe, [1] stderr pipe, [2] what the command reads, if anything, and last
 *         "cgroup.procs" of the cgroup it is to be in, if one was made. Event RUN_OPEN: it has opened the directories of
 *         the store (they may be renamed from now on); RUN_READY: the root is mounted. Answer: run_result.
 * Owns:   run_spec_unpack makes a copy; run_spec_clear.
 * Fails:  the command's own failure is an answer, not an error. Set-up failures are ERR_HOST naming stage and path, bad users
 *         ERR_STEP, refused modes ERR_LIMIT.
 */
#pragma once
#include "base/job.h"

enum run_net { RUN_NET_HOST, RUN_NET_NONE, RUN_NET_PRIVATE };
enum run_mount_kind { RUN_BIND, RUN_CACHE, RUN_TMPFS, RUN_SECRET, RUN_SSH, RUN_FILE, RUN_HOST, RUN_DEVICE };
struct run_mount {
	enum run_mount_kind kind;
	char *target;                    /* absolute inside the root, cleaned */
	/* RUN_BIND: a read-only stack of store directories (bottom first), and a path in it */
	char **lower;
	size_t nlower;
	char *source;                    /* path inside it ("" = its root); RUN_HOST, RUN_DEVICE: absolute path of the host */
	bool readonly;
	/* RUN_CACHE: store directory ("cache/<hash>"), what it is the hash of, a sub-path in it */
	char *cache, *id;
	bool lock_exclusive, lock_private;
	bool has_perm;                   /* mode/uid/gid were given: prepared sub-directory */
	uint32_t mode, uid, gid;         /* also of secrets, ssh sockets, files */
	uint64_t size;                   /* tmpfs, 0: unlimited */
	char *content;                   /* RUN_SECRET, RUN_FILE (here-document scripts): bytes, never on disk */
	size_t ncontent;
	char *socket;                    /* RUN_SSH: host path of the agent's socket */
};
struct run_spec {
	char *store;                     /* absolute path of the store */
	char *driver;                    /* storage driver */
	char **lower;                    /* store directories, bottom first */
	size_t nlower;
	char *snap;                      /* "tmp/<id>/<n>": fs/ (upper) and work/ are made below it */
	uint32_t root_mode, root_uid, root_gid;  /* attributes of the new upper's root; */
	bool root_follows;               /* or those that the topmost lower has */
	bool waits;                      /* the step below still runs: everything but the root is made ready, then job_go() is waited for */
	char **argv;
	char **env;                      /* complete, "K=V" */
	char *cwd;                       /* absolute; made when missing */
	char *user;                      /* USER text, "" = root */
	char *hostname;
	char **hosts;                    /* extra lines for /etc/hosts: "IP\tNAME" */
	char **dns, **dns_search, **dns_options;       /* instead of the lines of the host's resolv.conf */
	bool no_resolv, no_hosts, no_hostname;         /* the image's own files are seen */
	char **group;                    /* further groups: names of the image's group file, or numbers */
	uint64_t cap_add, cap_drop;      /* beside the usual capabilities */
	enum run_net net;
	bool unfiltered;                 /* every system call is let through */
	bool insecure;                   /* --security=insecure, already permitted */
	uint64_t shm_size;               /* 0: 64 MiB */
	char **ulimit;                   /* "nofile=1024:2048" */
	bool reads, grouped;             /* there is a [2]; there is a [3], or a [2] when it reads nothing */
	struct run_mount *mount;         /* in the order of application */
	size_t nmount;
	uint32_t timeout_s;              /* 0: none */
};
/* *_pack wipes nothing: the payload buffer of a spec with secrets is the caller's to mem_wipe. */
void run_spec_pack(const struct run_spec *r, struct buf *out);
int run_spec_unpack(struct slice in, struct run_spec *ret, struct err **e);
void run_spec_clear(struct run_spec *r);

enum { RUN_OPEN = 1, RUN_READY };
struct run_result {
	int status;                      /* 0-255; 128+n for a signal */
	bool oom, timed_out;
	char *reason;                    /* 126/127: "image has no /bin/sh" and the like; NULL */
	int64_t user_us, sys_us;
	uint64_t max_rss;
};
void run_result_put(struct buf *b, const struct run_result *r);
int run_result_get(struct slice in, struct run_result *ret, struct err **e);
job_main run_job;
/* Its row's once(), a struct seccomp_filter, and ahead(). */
void *room_filter(void);
void *room_make(void *once);
