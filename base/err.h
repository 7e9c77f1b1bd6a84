/* base/err.h - an error is a chain from what was wanted to what went wrong.
 *
 * Data:   the cause is set once, where it is known, with its kind; callers wrap it with their intent.
 *         main prints the chain once:
 *             Dockerfile:7: COPY app/cfg /srv: cannot copy 'app/cfg'
 *               because: ...
 *               try: ...
 * Owns:   *e is owned by whoever holds the pointer; err_free(NULL) is fine. Functions taking
 *         `struct err **e` require *e == NULL on entry; e itself may be NULL to discard the text.
 * Kinds:  decide the exit status one for one (spec/threats.md 18, spec/cli-flags.md 11).
 * Words:  lower case, no final stop, names in 'quotes', the user's own spelling.
 */
#pragma once
#include "base/slice.h"

enum err_kind {
	ERR_INPUT,    /* 2: Dockerfile, ignore file, missing source */
	ERR_STEP,     /* 1: the user's command failed */
	ERR_SOURCE,   /* 3: base image, context, URL not available or hostile */
	ERR_PUSH,     /* 4 */
	ERR_CACHE,    /* 5: remote cache, only if strict */
	ERR_LIMIT,    /* 6: limit, policy, secret, permission */
	ERR_USAGE,    /* 125: command line */
	ERR_HOST,     /* 125: kernel, disk, store, subordinate ids */
	ERR_TIMEOUT,  /* 124 */
	ERR_BUG,      /* 70 */
};

struct err;
struct buf;

/* All return -1, so that `return err_set(...)` reads well. */
int err_set(struct err **e, enum err_kind kind, const char *fmt, ...) PRINTF(3, 4);
/* "...: <strerror(errnum)>"; ENOSPC/EDQUOT get the prune hint (spec/threats.md F2). */
int err_errno(struct err **e, enum err_kind kind, int errnum, const char *fmt, ...) PRINTF(4, 5);
int err_wrap(struct err **e, const char *fmt, ...) PRINTF(2, 3);
/* "try:" line; the innermost one wins, later calls do nothing. */
int err_hint(struct err **e, const char *fmt, ...) PRINTF(2, 3);
/* Where in which file ("Dockerfile:7:12"), with the excerpt already made (parser/diag). Set once. */
int err_place(struct err **e, const char *where, const char *excerpt);
/* Which of several things that were asked for together failed, from 0: the caller knows their places. Set once. */
int err_part_set(struct err **e, size_t i);
bool err_part(const struct err *e, size_t *ret);
/* Change the kind: code that does not know the phase takes it from its caller. */
int err_kind_set(struct err **e, enum err_kind kind);

enum err_kind err_kind(const struct err *e);
int err_errnum(const struct err *e);              /* errno of the cause, or 0 */
int err_status(const struct err *e);              /* exit status */
bool err_placed(const struct err *e);
const char *err_where(const struct err *e);       /* "Dockerfile:7:12", NULL when it has no place */
void err_where_apart(const struct err *e, struct slice *file, unsigned *line, unsigned *column);        /* 0: it says nothing */
const char *err_text(const struct err *e);        /* outermost sentence */
const char *err_cause(const struct err *e);       /* innermost sentence */

/* The whole message as the user reads it, escaped (spec/threats.md X7), newline-terminated. */
void err_print(const struct err *e, struct buf *out);
/* Stable JSON members: kind, status, messages[], where, hint; file, line, column of what has a place. */
void err_json(const struct err *e, struct buf *out);

/* Flat bytes for crossing a process boundary; unpacking hostile bytes gives an ERR_BUG error. */
void err_pack(const struct err *e, struct buf *out);
void err_unpack(struct slice bytes, struct err **e);

void err_free(struct err *e);
void err_freep(struct err **e);
