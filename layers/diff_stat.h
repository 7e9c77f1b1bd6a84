/* layers/diff_stat.h - one object of an upper directory as an entry. For layers/diff.c. */
#pragma once
#include "base/at.h"
#include "layers/entry.h"
#include "layers/owner.h"

struct look {
	struct entry en;                 /* path is the caller's string */
	struct stat st;
	int fd;                          /* of regular files and directories */
	bool opaque, xwhite;             /* a directory's marks: hides what is below; may hold whiteouts of the attribute kind */
	uint64_t given;                  /* content read so far */
	struct owner owner;
	struct xattr xattr[256];
	struct buf names, attr, link;
};
void look_init(struct look *l);
void look_clear(struct look *l);

enum { LOOK_NOTHING = 1 };               /* a socket */
int look_at(struct look *l, int dir, const char *name, unsigned char type, const char *path, struct err **e);
ssize_t look_read(struct look *l, void *p, size_t n, struct err **e);
/* Is this name a whiteout? 1, 0, -1. xwhite: also look for the attribute kind. */
int look_whiteout(int dir, const char *name, unsigned char type, bool xwhite, struct err **e);
/* The opaque mark of an open directory. */
int look_marks(int fd, bool *opaque, struct err **e);

/* The same type, mode, owner, size, time, link, attributes? Nanoseconds are compared when both have some. */
bool look_same(const struct entry *a, const struct entry *b);
int look_same_content(int a, int b, bool *ret, struct err **e);

/* First names of files that have several. */
struct inodes {
	struct inode {
		dev_t dev;
		ino_t ino;
		char *path;
	} *slot;
	size_t n, cap;
};
/* NULL: this is the first, now remembered. */
const char *inodes_first(struct inodes *t, const struct stat *st, const char *path);
void inodes_clear(struct inodes *t);
