/* base/tmp.h - a file that appears whole or not at all.
 *
 *     AUTO(tmp_rollback) struct tmp t = TMP_NONE;
 *     if (tmp_open(&t, dir, e) < 0 || fd_write_all(t.fd, p, n, e) < 0 || tmp_commit(&t, dir, name, e) < 0) ...
 */
#pragma once
#include "base/at.h"

struct tmp {
	int fd;                  /* writable; -1 when none */
	int dir;                 /* borrowed */
	char name[48];           /* temporary name below dir */
};

#define TMP_NONE { .fd = -1, .dir = -1 }

enum {
	TMP_KEEP = 1,            /* an existing final name wins (content-addressed); else it is replaced */
	TMP_SYNC = 2,            /* fsync the file before and the directory after the rename */
};

int tmp_open(struct tmp *t, int dir, struct err **e);
/* Rename to to_dir/name (one component or a store path) and close. */
int tmp_commit(struct tmp *t, int to_dir, const char *name, unsigned flags, mode_t mode, struct err **e);
void tmp_rollback(struct tmp *t);        /* no-op after commit */
