/* base/at.h - the one module that resolves paths of untrusted origin (spec/threats.md P1-P9).
 *
 * Data:   root fd + bytes -> fd. "in root": symlinks are followed but confined to the root
 *         (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS): images, stages, contexts. "beneath": no symlink
 *         at all (RESOLVE_BENEATH | NO_SYMLINKS | NO_MAGICLINKS): the store's own files.
 * Owns:   fds it returns belong to the caller, all O_CLOEXEC.
 * Fails:  -1 with ERR_HOST and errno kept (err_errnum); AT_MISSING (ENOENT, ENOTDIR) is an answer where
 *         the function says so. EAGAIN is retried 128 times. ENOSYS names the kernel that is needed (P2).
 * Bounds: at_rmtree keeps at most 64 directory fds open and does not recurse on the C stack.
 */
#pragma once
#include "base/fd.h"

#include <sys/stat.h>

enum { AT_MISSING = 1 };

int at_open(int root, const char *path, int flags, mode_t mode, struct err **e);           /* in root */
int at_open_store(int root, const char *path, int flags, mode_t mode, struct err **e);     /* beneath */
/* As the two above, but a missing path is the answer AT_MISSING with *ret = -1. */
int at_try(int root, const char *path, int flags, int *ret, struct err **e);
int at_try_store(int root, const char *path, int flags, int *ret, struct err **e);

/* Regular file for reading by P7 (looked at before it is opened); links are followed in root. st may be NULL.
 * AT_MISSING is an answer. */
int at_open_file(int root, const char *path, int *ret, struct stat *st, struct err **e);
/* Whole regular file, at most out->max. AT_MISSING is an answer. */
int at_read(int root, const char *path, struct buf *out, struct err **e);

/* The directory that holds the last component (O_PATH, in root) and that component. AT_MISSING.
 * *name borrows from path; "" when path is the root itself. */
int at_parent(int root, const char *path, int *ret_dir, const char **ret_name, struct err **e);
/* Make all missing directories of path in root with mode (0:0 or the caller's id); 0 also if it exists. */
int at_mkdirs(int root, const char *path, mode_t mode, struct err **e);
int at_mkdir(int dir, const char *name, mode_t mode, struct err **e);                      /* existing is fine */
int at_stat(int dir, const char *name, struct stat *st, struct err **e);                   /* nofollow; AT_MISSING */
int at_unlink(int dir, const char *name, struct err **e);                                  /* missing is fine */
/* Remove a tree of any depth and mode; missing is fine (P9). one component. */
int at_rmtree(int dir, const char *name, struct err **e);
int at_rename(int from_dir, const char *from, int to_dir, const char *to, unsigned flags, struct err **e);
int at_readlink(int dir, const char *name, struct buf *out, struct err **e);

/* The names in a directory, sorted bytewise, without . and .. ; takes nothing, d stays open. */
struct at_names {
	char **name;
	unsigned char *type;      /* DT_* as readdir told, DT_UNKNOWN possible */
	size_t n;
	char *bytes;              /* backing store */
};
int at_list(int dir, struct at_names *ret, struct err **e);
void at_names_clear(struct at_names *n);

/* A random name of 32 hex digits. */
void at_random_name(char ret[33]);
