/* base/proc.h - helper programs: started by absolute path or a PATH search, built environment (threats.md X2). */
#pragma once
#include "base/fd.h"

#include <sys/types.h>

/* Absolute path of a program on PATH (empty and relative elements ignored), then the usual sbin and bin
 * directories. NULL when there is none. New memory. */
char *proc_find(const char *name);

/* "NAME=value" of our environment for a helper's, NULL: not set. PATH is always set, and has no empty or relative
 * element: a helper may work in a directory that others filled. New memory. */
char *proc_env(const char *name);

struct proc_run {
	const char *const *argv;       /* argv[0] is an absolute path */
	const char *const *env;        /* NULL: PATH, HOME, LANG only */
	struct slice input;            /* fed to its stdin */
	int dir;                       /* working directory fd, -1: unchanged */
	unsigned timeout_ms;           /* 0: none */
	uint64_t file_max;             /* bytes that a file may have which it writes (SIGXFSZ), 0: any */
	struct buf *out, *err;         /* bounded by their max; NULL: discarded */
};
/* Run to the end. Returns its exit status (128+n for a signal) or -1 when it could not be started or timed out. */
int proc_run(const struct proc_run *r, struct err **e);

/* The two halves of proc_run, for helpers that run at the same time. r is borrowed until proc_finish(), which
 * frees; the time limit counts from the start. */
struct proc;
int proc_start(const struct proc_run *r, struct proc **ret, struct err **e);
int proc_finish(struct proc *take_p, struct err **e);
void proc_killp(struct proc **p);                               /* for AUTO: kills and reaps */

int proc_wait(pid_t pid, int *ret_status, struct err **e);      /* status as 0-255 or 128+signal */
int proc_pidfd(pid_t pid);                                      /* -1 with errno */
/* fork with CLONE_NEW* flags; -1 with errno. */
pid_t proc_clone(unsigned long flags);
