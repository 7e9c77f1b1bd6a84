/* layers/snap_freeze.c - the upper of fuse-overlayfs into the one form on disk (spec/executor.md 7.2 last row, 14.2).
 *
 *   user.fuseoverlayfs.opaque=y, .wh..opq, .wh..wh..opq   ->  user.overlay.opaque=y where a lower has that directory
 *   .wh.NAME (an empty regular file)                      ->  char 0:0 NAME
 *   every other user.fuseoverlayfs.*                      ->  removed
 *   char 0:0 that hides nothing                           ->  removed
 *
 * Directory times are put back. The walk holds one directory at a time and goes back up by ".." after comparing inodes.
 */
#include "layers/snap_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { XATTRS_MAX = 64 << 10 };

struct level {
	struct at_names names;
	size_t next;
	dev_t dev;
	ino_t ino;
	struct timespec times[2];
	size_t path;                     /* length of the path before this directory's name */
};
struct walk {
	const struct snap_mount *m;
	struct level *level;
	size_t n, cap;
	int dir;                         /* of the last level */
	struct buf path;                 /* from the upper's root, for looks into the lowers */
};

static void walk_clear(struct walk *w)
{
	for (size_t i = 0; i < w->n; i++)
		at_names_clear(&w->level[i].names);
	free(w->level);
	fd_closep(&w->dir);
	buf_free(&w->path);
}

/* What do the lowers show at the current path, or at name in it? The topmost that has it decides; 0: none does.
 * A lower that cannot be asked (a link on the way) counts as having it, so nothing is dropped by mistake. */
static mode_t lower_type(const struct walk *w, const char *name)
{
	AUTO(mem_freep) char *path = !name ? mem_str(w->path.p) : mem_printf("%s%s%s", w->path.n ? w->path.p : "",
									     w->path.n ? "/" : "", name);

	for (size_t i = w->m->nlower; i-- > 0;) {
		int held = w->m->lower_fd ? w->m->lower_fd[i] : -1;
		AUTO(fd_closep) int named = held < 0 ? at_open_store(w->m->store, w->m->lower[i], O_PATH | O_DIRECTORY, 0, NULL) : -1;
		AUTO(fd_closep) int fd = -1;
		int lower = held < 0 ? named : held;
		struct stat st;
		int rc = lower < 0 ? -1 : at_try_store(lower, path, O_PATH | O_NOFOLLOW, &fd, NULL);

		if (rc < 0 || (rc == 0 && fstat(fd, &st) < 0))
			return S_IFREG;
		if (rc == 0)
			return st.st_mode & S_IFMT;
	}
	return 0;
}

static int drop_xattrs(int fd, bool *opaque, struct err **e)
{
	AUTO(mem_freep) char *list = mem_alloc(XATTRS_MAX);
	ssize_t n = flistxattr(fd, list, XATTRS_MAX);
	char value[4] = "";

	if (n < 0 && errno != EOPNOTSUPP)
		return err_errno(e, ERR_HOST, errno, "cannot list xattrs");
	for (const char *at = list; n > 0 && at < list + n; at += strlen(at) + 1) {
		if (strncmp(at, "user.fuseoverlayfs.", 19) != 0)
			continue;
		if (strcmp(at, "user.fuseoverlayfs.opaque") == 0 && fgetxattr(fd, at, value, sizeof(value)) >= 1 && value[0] == 'y')
			*opaque = true;
		if (fremovexattr(fd, at) < 0 && errno != ENODATA)
			return err_errno(e, ERR_HOST, errno, "cannot remove an xattr");
	}
	return 0;
}

static bool is_opaque_mark(const char *name)
{
	return strcmp(name, ".wh..opq") == 0 || strcmp(name, ".wh..wh..opq") == 0;
}

static int mend_mark(struct walk *w, const char *name, bool *opaque, struct err **e)
{
	if (unlinkat(w->dir, name, 0) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot remove '%s'", name);
	if (is_opaque_mark(name)) {
		*opaque = true;
		return 0;
	}
	if (mknodat(w->dir, name + 4, S_IFCHR, makedev(0, 0)) < 0 && errno != EEXIST)
		return err_errno(e, ERR_HOST, errno, "cannot make a whiteout for '%s'", name + 4);
	return 0;
}

/* Only regular files and directories can carry user xattrs. */
static int mend_file(int dir, const char *name, struct err **e)
{
	AUTO(fd_closep) int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
	bool opaque = false;

	if (fd < 0)
		return err_errno(e, ERR_HOST, errno, "cannot open '%s'", name);
	return drop_xattrs(fd, &opaque, e);
}

/* Enter a directory: its marks first, then its names wait in the level. Takes fd. */
static int walk_enter(struct walk *w, int take_fd, size_t path, struct err **e)
{
	struct level l = { .path = path };
	bool opaque = false;
	struct stat st;
	int rc;

	fd_closep(&w->dir);
	w->dir = take_fd;
	if (fstat(w->dir, &st) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot look at a directory");
	l.dev = st.st_dev;
	l.ino = st.st_ino;
	l.times[0] = st.st_atim;
	l.times[1] = st.st_mtim;
	if (drop_xattrs(w->dir, &opaque, e) < 0 || at_list(w->dir, &l.names, e) < 0)
		return -1;
	rc = 0;
	for (size_t i = 0; i < l.names.n && rc == 0; i++)
		if (strncmp(l.names.name[i], ".wh.", 4) == 0)
			rc = mend_mark(w, l.names.name[i], &opaque, e);
	if (rc == 0 && opaque && w->path.n > 0 && lower_type(w, NULL) == S_IFDIR && fsetxattr(w->dir, "user.overlay.opaque", "y", 1, 0) < 0)
		rc = err_errno(e, ERR_HOST, errno, "cannot mark a directory opaque");
	MEM_ROOM(w->level, w->n, w->cap);
	w->level[w->n++] = l;
	return rc;
}

/* Leave the innermost directory. */
static int walk_leave(struct walk *w, struct err **e)
{
	struct level *l = &w->level[w->n - 1];
	struct stat st;
	int up;

	if (futimens(w->dir, l->times) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot put a directory's time back");
	w->path.n = l->path;
	if (w->path.p)
		w->path.p[w->path.n] = '\0';
	at_names_clear(&l->names);
	w->n--;
	if (w->n == 0)
		return 0;
	up = openat(w->dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd_closep(&w->dir);
	w->dir = up;
	if (up < 0 || fstat(up, &st) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot go back to a directory");
	if (st.st_dev != w->level[w->n - 1].dev || st.st_ino != w->level[w->n - 1].ino)
		return err_set(e, ERR_HOST, "a directory was moved while it was read");
	return 0;
}

static int walk_name(struct walk *w, const char *name, struct err **e)
{
	struct stat st;
	size_t path = w->path.n;
	int fd;

	if (strncmp(name, ".wh.", 4) == 0)
		return 0;
	if (fstatat(w->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot look at '%s'", name);
	/* It leaves one for every removed name, also where nothing is hidden. */
	if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0) && lower_type(w, name) == 0 && unlinkat(w->dir, name, 0) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot remove the whiteout '%s'", name);
	if (S_ISREG(st.st_mode))
		return mend_file(w->dir, name, e);
	if (!S_ISDIR(st.st_mode))
		return 0;
	fd = openat(w->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, ERR_HOST, errno, "cannot open '%s'", name);
	buf_printf(&w->path, "%s%s", path ? "/" : "", name);
	return walk_enter(w, fd, path, e);
}

int snap_fuse_freeze(const struct snap_mount *m, struct err **e)
{
	AUTO(walk_clear) struct walk w = { .m = m, .dir = -1, .path = BUF_MAX(1 << 20) };
	int root = at_open_store(m->store, m->upper, O_RDONLY | O_DIRECTORY, 0, e);

	if (root < 0)
		return -1;
	if (walk_enter(&w, root, 0, e) < 0)
		return err_wrap(e, "cannot freeze '%s'", m->upper);
	while (w.n > 0) {
		struct level *l = &w.level[w.n - 1];
		int rc = l->next < l->names.n ? walk_name(&w, l->names.name[l->next++], e) : walk_leave(&w, e);

		if (rc < 0)
			return err_wrap(e, "cannot freeze '%s/%s'", m->upper, w.path.p ? w.path.p : "");
	}
	return 0;
}
