/* base/job.h - work beside the main loop, in a child process (design.md 4).
 *
 * Data:   a job is a number in a table that main gives, flat bytes and fds in; events, then one answer
 *         (flat bytes or an error) out. It runs either in a plain fork of this process ("local": the
 *         user's ids) or in a fork of the zygote (mapped ids, in the build user namespace).
 * Owns:   the caller keeps its fds (the job gets duplicates). struct job is freed after `done` ran.
 * Fails:  a job that dies without an answer gives ERR_HOST "... ended unexpectedly (signal N)". Answers are
 *         untrusted bytes: decode them with base/wire.h.
 * Bounds: payload, answer and event at most JOB_MAX bytes each; 200 fds.
 */
#pragma once
#include "base/loop.h"
#include "base/wire.h"

enum { JOB_MAX = 64 << 20 };

struct job;
struct jobs;
struct job_self;          /* the job's own side */

/* In the child. Returns 0 with *out filled, or -1. fds are the job's own, closed after it returns. */
typedef int job_main(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out,
		     struct err **e);
struct job_row {
	const char *name;             /* what people see when it dies */
	job_main *run;
	/* Each NULL, or for the row's mapped jobs, who find in job_ahead() what was made. once: in the zygote, when it starts. ahead: in
	 * the job's own process, maybe long before there is the job (jobs_ahead()). */
	void *(*once)(void);
	void *(*ahead)(void *once);
	bool at_once;                 /* mapped: what it answers it has done and left behind, so nobody waits for the end of its process */
};

/* In the main process. table outlives jobs. The zygote is our own program again ("/proc/self/exe"). */
struct jobs *jobs_new(struct loop *l, const struct job_row *table, size_t n, struct err **e);
void jobs_free(struct jobs *j);                       /* kills what still runs, the zygote too */

typedef void job_done(void *arg, struct slice out, struct err *take_err);     /* err NULL: success */
typedef void job_event(void *arg, uint32_t kind, struct slice payload);

enum job_where { JOB_LOCAL, JOB_MAPPED };
/* Start; never blocks for the job. on_event may be NULL. The zygote is started by the first JOB_MAPPED. */
int job_start(struct jobs *j, enum job_where where, unsigned row, struct slice payload, const int *fds, size_t nfds,
	      job_event *on_event, job_done *on_done, void *arg, struct job **ret, struct err **e);
/* Ask it to end: its socket is shut down and, for a local job, SIGKILL; a mapped one that is still there after 10 s
 * is killed too. `done` still runs, with ERR_HOST. `done` runs after the process is gone, and with it its mounts, but for the good answer of a row with at_once. */
void job_cancel(struct job *j);
void jobs_cancel(struct jobs *j);                     /* all of them */

/* Say to a job that waits for it in job_wait_go() that it may go on. Not before it has told something. */
void job_go(struct job *j);

/* A mapped job of this row will come: let its process be there already. At most one process waits. */
void jobs_ahead(struct jobs *j, unsigned row);

/* In the child: tell the main process something now. */
void job_tell(struct job_self *self, uint32_t kind, struct slice payload);
/* What the row's ahead() returned, else what once() did. NULL: nothing, or the job is local. */
void *job_ahead(const struct job_self *self);
/* The fd that becomes readable (EOF) when the main process gave the job up or died. */
int job_fd(const struct job_self *self);
/* A mapped job is killed at that moment, wherever it is; after this call it is not, and has to watch job_fd(). */
void job_graceful(struct job_self *self);
/* After that: until job_go(). -1: the main process gave the job up. */
int job_wait_go(struct job_self *self, struct err **e);

/* main() calls this first: when the process was started as the zygote it never returns. */
void zygote_main(int argc, char **argv, const struct job_row *table, size_t n);
/* What the zygote runs as, for doctor and output: borrowed, valid after the first mapped job. */
struct idmap;
const struct idmap *jobs_idmap(struct jobs *j, struct err **e);     /* plans it when nothing was started */
/* newuidmap may refuse what was planned. Then the zygote gets one id, and fn is told before the first job runs. Without
 * an fn a map that jobs_idmap() has given away is not changed any more: the job fails with the cause. */
void jobs_on_idmap(struct jobs *j, void (*fn)(void *arg, const struct idmap *m), void *arg);
