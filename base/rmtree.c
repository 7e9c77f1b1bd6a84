/* base/rmtree.c - at_rmtree: remove a tree of any depth and mode (spec/threats.md P8, P9).
 *
 * Depth first with an explicit stack of at most LEVELS open directories. What lies deeper is renamed up into the
 * tree's top directory under a random name and is met there again: the tree gets flatter, nothing recurses, and
 * a crash at any point leaves a tree that the next call removes.
 */
#include "base/at.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

/* RESCANS: how often a directory may refill without our doing before somebody else is to blame. */
enum { LEVELS = 48, RESCANS = 64 };

struct level {
	DIR *d;
	char name[NAME_MAX + 1];
};

struct walk {
	int above;               /* the directory that holds the tree */
	size_t n;
	unsigned rescans;
	bool flattened;          /* the top got entries since it was last read from its start */
	struct level level[LEVELS];
};

static int fail(const char *name, struct err **e)
{
	return err_errno(e, ERR_HOST, errno, "cannot remove '%s'", name);
}

static void walk_freep(struct walk **w)
{
	while (*w && (*w)->n > 0)
		closedir((*w)->level[--(*w)->n].d);
	mem_freep(w);
}

static int holder(const struct walk *w, size_t level)
{
	return level ? dirfd(w->level[level - 1].d) : w->above;
}

/* Give the owner all bits on a directory that could not even be opened. Errors show in what is tried next. */
static void unlock(int dir, const char *name)
{
	if (syscall(SYS_fchmodat2, dir, name, 0700, AT_SYMLINK_NOFOLLOW) < 0)
		(void)!fchmodat(dir, name, 0700, AT_SYMLINK_NOFOLLOW);
}

/* Never into something that is mounted there: it is not part of the tree. */
static int open_here(int dir, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH,
	};

	return (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
}

static int open_dir(int dir, const char *name)
{
	struct stat st;
	int fd = open_here(dir, name);

	if (fd < 0 && errno == EACCES) {
		unlock(dir, name);
		fd = open_here(dir, name);
	}
	/* Readable is not enough: entries go only from a directory one may write and search. */
	if (fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700)
		(void)!fchmod(fd, 0700);
	return fd;
}

static int push(struct walk *w, const char *name, struct err **e)
{
	struct level *l = &w->level[w->n];
	size_t n = strlen(name);

	AUTO(fd_closep) int fd = open_dir(holder(w, w->n), name);
	if (fd < 0)
		return errno == ENOENT ? 0 : fail(name, e);
	if (n >= sizeof(l->name)) {
		errno = ENAMETOOLONG;
		return fail(name, e);
	}
	l->d = fdopendir(fd);
	if (!l->d)
		return fail(name, e);
	fd_take(&fd);
	memcpy(l->name, name, n + 1);
	w->n++;
	return 0;
}

/* The directory on top of the stack was read to its end: remove it, or read it again if it is not empty. */
static int pop(struct walk *w, struct err **e)
{
	struct level *l = &w->level[w->n - 1];

	if (unlinkat(holder(w, w->n - 1), l->name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
		closedir(l->d);
		w->n--;
		return 0;
	}
	if (errno != ENOTEMPTY && errno != EEXIST)
		return fail(l->name, e);
	if (w->n == 1 && w->flattened)
		w->flattened = false;
	else if (++w->rescans > RESCANS)
		return fail(l->name, e);
	rewinddir(l->d);
	return 0;
}

static int flatten(struct walk *w, int dir, const char *name, struct err **e)
{
	char above[33];

	at_random_name(above);
	/* Its ".." changes, so the directory itself has to be writable. */
	AUTO(fd_closep) int fd = open_dir(dir, name);
	if (fd < 0)
		return errno == ENOENT ? 0 : fail(name, e);
	if (renameat(dir, name, dirfd(w->level[0].d), above) < 0)
		return errno == ENOENT ? 0 : fail(name, e);
	w->flattened = true;
	return 0;
}

/* name in dir: gone, or on the stack. dir is the top of the stack (or what holds the tree). */
static int remove_one(struct walk *w, int dir, const char *name, unsigned char type, struct err **e)
{
	if (type != DT_DIR) {
		if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
			return 0;
		if (errno != EISDIR)
			return fail(name, e);
	}
	if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST && errno != EACCES)
		return fail(name, e);
	return w->n < LEVELS ? push(w, name, e) : flatten(w, dir, name, e);
}

int at_rmtree(int dir, const char *name, struct err **e)
{
	if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		errno = EINVAL;
		return fail(name, e);
	}

	AUTO(walk_freep) struct walk *w = mem_zalloc(sizeof(*w));
	w->above = dir;
	if (remove_one(w, dir, name, DT_UNKNOWN, e) < 0)
		return -1;
	while (w->n > 0) {
		DIR *d = w->level[w->n - 1].d;

		errno = 0;
		const struct dirent *ent = readdir(d);
		if (!ent && errno)
			return fail(w->level[w->n - 1].name, e);
		if (ent && (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0))
			continue;
		if ((ent ? remove_one(w, dirfd(d), ent->d_name, ent->d_type, e) : pop(w, e)) < 0)
			return -1;
	}
	return 0;
}
