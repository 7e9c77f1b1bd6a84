/* layers/chain.h - where a tree is being written: the directories from its root down to the current one. For layers/fill.c.
 *
 * Data:   chain_to() moves to a directory, making what is missing; names are then used one component at a time below its fd
 *         (spec/threats.md P3). A directory that is left gets the mode and time it is to have, so children never disturb them and
 *         nothing is remembered for the whole archive.
 * Bounds: 48 open directories; deeper chains reopen them, and check that they are the same.
 */
#pragma once
#include "base/at.h"

struct link {                            /* of the chain */
	size_t path_n;                   /* of chain.path */
	int fd;                          /* readable; -1: closed between reads */
	dev_t dev;
	ino_t ino;
	uint32_t mode, mtime_ns;         /* to be when it is left */
	int64_t mtime;
	bool set_mode;                   /* it has another one now */
	bool inherits;                   /* new entries may get its group (set-group-id) */
};
struct chain {
	int root;                        /* borrowed */
	bool layer;                      /* whiteouts have a meaning; a file in the way is an error, not replaced */
	bool caller;                     /* as an ordinary user: directories may have to be opened up */
	int64_t all_mtime;               /* >= 0: every mtime */
	uint64_t made;                   /* parents that were missing */
	struct buf path;
	struct link *link;
	size_t n, cap;
};

int chain_open(struct chain *c, struct err **e);                 /* after the options are set */
/* All directories left, deepest first. */
int chain_end(struct chain *c, struct err **e);
void chain_clear(struct chain *c);

enum { CHAIN_BLOCKED = 1 };
/* path[0..n) becomes the current directory. marks: for a whiteout, which does not replace what is in the way: CHAIN_BLOCKED. */
int chain_to(struct chain *c, const char *path, size_t n, bool marks, struct err **e);
static inline struct link *chain_top(struct chain *c)
{
	return &c->link[c->n - 1];
}
/* Into the child `name` of the current directory, which is a directory. fresh: just made by us with mode 0700. */
int chain_into(struct chain *c, const char *name, bool fresh, struct err **e);
/* Remove whatever has this name in the current directory. */
int chain_remove(struct chain *c, const char *name, struct err **e);
/* One component that names something: not empty, ".", "..". */
bool chain_name_ok(const char *name);
int chain_set_opaque(int dir, struct err **e);
static inline bool chain_is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}
