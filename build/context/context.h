/* build/context/context.h - where COPY reads: kinds of build contexts, one row and one file each (spec/dockerfile.md 12.1, 13).
 *
 * Data:   what the command line names -> a directory fd, the ignore patterns that hide files of it, the Dockerfile's bytes. What is no
 *         local directory is fetched into a tmp directory of the store first, by a child.
 * Owns:   context_free(). The directory, patterns and stat cache are borrowed from it.
 * Fails:  ERR_INPUT (Dockerfile, ignore file), ERR_SOURCE (context not there, not readable, hostile), ERR_USAGE.
 * Bounds: Dockerfile 16 MiB, ignore file 4 MiB, a fetched or unpacked context what limit.def says.
 */
#pragma once
#include "base/glob.h"
#include "build/req.h"
#include "cache/statcache.h"

struct context_kind;
struct context {
	const struct context_kind *kind;
	struct app *app;
	const char *spec;                /* as given; borrowed */
	int dir;                         /* the root of the files; -1: there are none */
	char *path;                      /* where it really is, for the stat cache; NULL: a tree of this build */
	struct pats *ignore;             /* NULL: nothing is hidden */
	char *ignore_name;               /* the ignore file, as shown; NULL */
	char *file_name;                 /* the Dockerfile, as shown */
	struct buf file;                 /* its bytes */
	bool file_host;                  /* it was found by a path of the host, not in the context */
	bool file_done;                  /* found while the context was opened */
	bool named;                      /* 13.2: nobody asks it for a Dockerfile */
	bool forgetful;                  /* the stat cache was asked for and is not there */
	struct statcache *known;
	char tmp[80];                    /* store directory that holds it; "" */
	int64_t time;                    /* of the commit or by Last-Modified; INT64_MIN: not known */
	bool archive;                    /* fetched and unpacked */
};
struct context_kind {
	const char *name;                /* as messages call it */
	bool (*is)(const char *spec);
	int (*open)(struct context *c, const struct build_req *r, struct err **e);
	bool local;                      /* -f and the ignore file are looked for on the host */
};
extern const struct context_kind context_stdin, context_git, context_http, context_dir;
/* Directories only, not "-" */
bool context_is_dir(const char *spec);

/* The main context and the Dockerfile. */
int context_open(struct app *a, const struct build_req *r, struct context **ret, struct err **e);
/* The main context without a Dockerfile, for looking into it. */
int context_open_files(struct app *a, const struct build_req *r, struct context **ret, struct err **e);
/* A named one (13.2) that is no image: a path, a git or http URL. Its own .dockerignore; no Dockerfile. */
int context_open_named(struct app *a, const struct build_req *r, const char *spec, struct context **ret, struct err **e);
/* Its time for SOURCE_DATE_EPOCH (18.5): *ret INT64_MIN when it has none. */
int context_time(const struct context *c, int64_t *ret, struct err **e);
void context_free(struct context *c);
void context_freep(struct context **c);
/* Remembered digests of its files, NULL when there are none to be had. Opened at the first question. */
struct statcache *context_known(struct context *c);

/* ---- what the rows share */
/* A fresh tmp directory of the store for this context: opened. */
int context_tmp(struct context *c, int *ret_dir, struct err **e);
/* A whole file: of the host by path, or below the context's root. CONTEXT_MISSING. */
enum { CONTEXT_MISSING = 1 };
int context_read_host(const struct context *c, const char *path, struct buf *out, struct err **e);
int context_read(int dir, const char *path, struct buf *out, struct err **e);
/* The bytes of fd (taken) into the directory `to`, when they start a tar in any compression: else CONTEXT_MISSING with what was read so far
 * in `head` (its max bounds it). */
int context_unpack(int take_fd, const char *name, int to, const struct limit_values *limits, struct buf *head, struct err **e);

/* ---- looking into a context (kiln context) */
struct entry;
typedef int context_each(void *arg, const struct entry *en, struct err **e);
/* Everything that is visible, in layer order. */
int context_list(const struct context *c, context_each *fn, void *arg, struct err **e);
struct context_verdict {
	bool exists, ignored;
	unsigned line;                   /* of the ignore file; 0: no line decided */
	struct slice pattern;            /* as the matcher keeps it, borrowed */
	bool negative;                   /* the line began with '!' */
	char *at;                        /* the path that the line matched: this one or a directory above */
	bool rescued;                    /* an ignored directory that is visible because of what it holds */
};
/* Would a COPY of this word name something that the ignore file hides (lint CopyIgnoredFile, 15.2)? */
bool context_hides(const struct context *c, const char *word);
int context_explain(const struct context *c, const char *path, struct context_verdict *ret, struct err **e);
void context_verdict_clear(struct context_verdict *v);
