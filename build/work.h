/* build/work.h - the jobs this program knows: one row each. A worker reads the store, writes below the tmp directory it was given,
 * and answers with facts; the main process commits. */
#pragma once
#include "base/job.h"
#include "build/limit.h"
#include "cache/gc.h"
#include "layers/pack.h"

enum work {
	WORK_SNAP,               /* mapped: which storage driver works here */
	WORK_READ,               /* mapped: blob -> listing, and fs/ when asked */
	WORK_PACK,               /* mapped: a directory of the store -> listing, diff ID, blob */
	WORK_RUN,                /* mapped: a command in a root */
	WORK_RMTREE,             /* mapped: delete what is in trash/ */
	WORK_CACHES,             /* mapped: cache mounts into trash/ */
	WORK_COPY,               /* local or mapped: what a COPY or ADD selects -> pack */
	WORK_TREE,               /* mapped: a merged tree as tar or directory */
	WORK_SQUASH,             /* mapped: several layers -> pack */
	WORK_PULL,               /* local: an image from a registry */
	WORK_PUSH,               /* local: an image to a registry */
	WORK_ARCHIVE,            /* local: read or write an archive */
	WORK_CALL,               /* local: any function of this process: payload {function, argument} */
	WORK_COUNT,
};
extern const struct job_row work_table[WORK_COUNT];

/* What the workers share. */
void work_put_digest(struct buf *b, const struct digest *d);
void work_get_digest(struct wire *w, struct digest *d);
struct digest *work_get_digests(struct wire *w, size_t *n);      /* u32 count, digests; new */
int work_store(const char *path, struct err **e);                /* the store's directory, by path: a worker has only that */

/* WORK_READ (build/work_read.c) */
job_main work_read;
struct read_req {
	const char *store;
	struct digest blob, diff;        /* diff zero: unknown */
	int64_t size;
	const char *tmp;                 /* "listing" and, with fill, "fs" are made below it */
	struct limit_values limits;
	uint64_t used_bytes, used_entries;       /* of the image, by the layers below */
	bool fill;
	const struct digest *lower;      /* with fill: the layers below, whose listings exist; a layer that leans on them is mended */
	size_t nlower;
	/* It could not be mended: unpack it through a mount on top of these directories. driver NULL: no. */
	const char *driver;
	char *const *under;
	size_t nunder;
};
void read_req_put(struct buf *b, const struct read_req *r);
struct read_facts {
	struct digest diff;
	uint64_t tar_size, entries, bytes, unmapped;
	uint64_t leaning;                /* what it does not list itself */
	bool mended;                     /* by the layers below: its directory is right on top of those only */
	bool hard;                       /* it cannot be: a hard link to what only they have, or entries below a link of theirs */
	char comp[16];
};
int read_facts_get(struct slice in, struct read_facts *ret, struct err **e);

/* WORK_CACHES: cache mounts that no step uses go into trash/, least recently used first: those that were not used within p->keep_seconds; with
 * p->all every one of these, else until its limits are kept. used, free: bytes of the rest of the store, and of the disk. */
struct caches_job {
	const char *store;
	const struct gc_policy *p;
	uint64_t used, free;
};
struct caches_facts {
	uint64_t count, bytes;
};
void caches_job_put(struct buf *b, const struct caches_job *q);
int caches_facts_get(struct slice in, struct caches_facts *ret, struct err **e);
job_main work_caches;

/* WORK_PACK */
struct pack_job {
	const char *store;
	const char *dir;                 /* ROOT-relative directory that is packed */
	const char *tmp;                 /* where listing and blob go */
	const struct digest *lower;      /* diff IDs below, bottom first (their listings exist) */
	size_t nlower;
	const char *const *skip;         /* NULL-terminated or NULL */
	const struct digest *stored;     /* this stored layer again, from its listing; NULL: what a step left in an upper */
	bool listing;
	const char *comp;                /* NULL: none */
	int level;
	int64_t clamp;
	bool retime;
};
void pack_job_put(struct buf *b, const struct pack_job *r);
int pack_answer_get(struct slice in, struct pack_facts *ret, struct err **e);

/* WORK_SQUASH (build/squash.c) */
job_main squash_job;

/* WORK_CALL: local jobs inherit this process's memory, so a function and its argument are enough. */
typedef int work_fn(void *arg, struct job_self *self, struct buf *out, struct err **e);
void work_call_put(struct buf *b, work_fn *fn, void *arg);

/* A view of stored listings, in a worker. */
struct view;
int work_view(int store, const struct digest *diff, size_t n, struct view **ret, struct err **e);
