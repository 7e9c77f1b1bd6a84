/* build/exec/target.c - where a mount goes: resolved inside the root, made when missing, removed afterwards.
 *
 * No process of the image runs yet, so between a look and the mkdir nobody can swap a link; still everything goes through
 * descriptors and single components (spec/threats.md P3).
 */
#include "build/exec/box.h"

#include "base/mem.h"
#include "layers/snap_mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { LINKS_MAX = 40, DEPTH_MAX = 300 };

struct made {
	int parent;                      /* readable directory */
	char *name;
	bool dir;
	const char *secret;              /* the mount whose place it is */
	dev_t dev;
	ino_t ino;
	struct stat before, after;       /* the parent's times around it */
};

static int made_add(struct box *b, int dir, const char *name, bool is_dir, struct err **e)
{
	struct made m = { .parent = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), .dir = is_dir };
	struct stat st;
	int rc;

	if (m.parent < 0 || fstat(m.parent, &m.before) < 0) {
		fd_closep(&m.parent);
		return err_errno(e, ERR_HOST, errno, "cannot open the directory for '%s'", name);
	}
	if (is_dir) {
		rc = mkdirat(m.parent, name, 0755);
	} else {
		rc = openat(m.parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
		if (rc >= 0)
			close(rc);
	}
	if (rc < 0 || fstatat(m.parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || fstat(m.parent, &m.after) < 0) {
		/* EROFS: below /sys, which the Dockerfile cannot name. */
		err_errno(e, errno == EROFS ? ERR_STEP : ERR_HOST, errno, "cannot make the mount point '%s'", name);
		fd_closep(&m.parent);
		return -1;
	}
	m.name = mem_str(name);
	m.dev = st.st_dev;
	m.ino = st.st_ino;
	MEM_ROOM(b->made, b->nmade, b->madecap);
	b->made[b->nmade++] = m;
	return 0;
}

/* path up to its last component, "/" at least. */
static char *dir_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash > path ? mem_strn(path, (size_t)(slash - path)) : mem_str("/");
}

static int make(struct box *b, const char *path, bool dir, unsigned depth, struct err **e)
{
	AUTO(mem_freep) char *at = mem_str(path);

	if (depth > DEPTH_MAX)
		return err_set(e, ERR_STEP, "the mount target '%s' is too deep", path);
	for (unsigned hops = 0; hops < LINKS_MAX; hops++) {
		AUTO(mem_freep) char *up = dir_part(at);
		AUTO(buf_freep) struct buf link = BUF_MAX(4096);
		AUTO(fd_closep) int parent = -1;
		AUTO(fd_closep) int there = -1;
		const char *name = NULL;
		int rc = at_try(b->root, at, O_PATH, &there, e);

		if (rc <= 0)
			return rc;
		rc = at_parent(b->root, at, &parent, &name, e);
		if (rc < 0)
			return -1;
		if (rc == AT_MISSING) {
			if (make(b, up, true, depth + 1, e) < 0)
				return -1;
			rc = at_try(b->root, up, O_PATH | O_DIRECTORY, &there, e);
			if (rc == AT_MISSING)
				return err_set(e, ERR_STEP, "cannot make the mount point '%s': '%s' is not a directory", path, up);
			if (rc < 0)
				return -1;
			continue;
		}
		if (faccessat(parent, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			return made_add(b, parent, name, dir, e);

		/* A link to nowhere: go on where it points to. A file in the way of a directory ends here. */
		if (at_readlink(parent, name, &link, NULL) < 0)
			return err_set(e, ERR_STEP, "cannot make the mount point '%s': there is a file in its way", path);
		char *next = link.n && link.p[0] == '/' ? mem_strn(link.p, link.n) :
							  mem_printf("%s/%.*s", up, SLICE_F(buf_view(&link)));
		free(at);
		at = next;
	}
	return err_set(e, ERR_STEP, "too many symbolic links in the mount target '%s'", path);
}

/* Where a resolved target really is, below the root. The step's /proc is not there yet, so this is ours. */
static bool target_forbidden(const struct box *b, int fd)
{
	static const char *const below[] = { "/proc", "/sys" };
	AUTO(mem_freep) char *link = mem_printf("/proc/self/fd/%d", fd);
	char real[8192];
	ssize_t n = readlink(link, real, sizeof(real) - 1);
	size_t skip = strlen(b->at);
	struct stat st, root;

	if (n < 0 || fstat(fd, &st) < 0 || fstat(b->root, &root) < 0)
		return true;
	if (st.st_dev == root.st_dev && st.st_ino == root.st_ino)
		return true;
	real[n] = '\0';
	if (strncmp(real, b->at, skip) != 0)
		return true;
	for (size_t i = 0; i < countof(below); i++) {
		size_t len = strlen(below[i]);

		if (strncmp(real + skip, below[i], len) == 0 && (real[skip + len] == '/' || !real[skip + len]))
			return true;
	}
	return strcmp(real + skip, "/dev") == 0;
}

int target_open(struct box *b, const char *path, bool dir, int *ret, struct err **e)
{
	AUTO(fd_closep) int fd = -1;
	struct stat st;
	int rc = at_try(b->root, path, O_PATH, &fd, e);

	if (rc == AT_MISSING) {
		if (make(b, path, dir, 0, e) < 0)
			return -1;
		rc = at_try(b->root, path, O_PATH, &fd, e);
	}
	if (rc < 0)
		return -1;
	if (rc == AT_MISSING || fstat(fd, &st) < 0)
		return err_set(e, ERR_STEP, "cannot find the mount point '%s' that was just made", path);
	if (S_ISDIR(st.st_mode) != dir)
		return err_set(e, ERR_STEP, "cannot mount a %s on '%s': the image has a %s there", dir ? "directory" : "file",
			       path, S_ISDIR(st.st_mode) ? "directory" : "file");
	*ret = fd_take(&fd);
	return 0;
}

int target_mount(struct box *b, const char *path, int mount, struct err **e)
{
	AUTO(fd_closep) int on = -1;
	struct stat st;

	if (fstat(mount, &st) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot look at the source for '%s'", path);
	if (target_open(b, path, S_ISDIR(st.st_mode), &on, e) < 0)
		return -1;
	if (target_forbidden(b, on))
		return err_set(e, ERR_STEP, "nothing can be mounted on '%s'", path);
	return mnt_attach(mount, on, path, e);
}

void target_secret(struct box *b, size_t before, const char *path)
{
	if (b->nmade > before)
		b->made[b->nmade - 1].secret = path;
}

/* Still the thing we made, and nothing in it? */
static bool made_untouched(const struct made *m)
{
	struct stat st;

	if (fstatat(m->parent, m->name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != m->dev || st.st_ino != m->ino)
		return false;
	return m->dir ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode) && st.st_size == 0;
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool made_filled(const struct made *m)
{
	struct stat st;

	return fstatat(m->parent, m->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
}

const char *target_remove_made(struct box *b)
{
	const char *filled = NULL;

	for (; b->nmade > 0; b->nmade--) {
		struct made *m = &b->made[b->nmade - 1];
		struct stat now;

		/* A directory that is in use stays: unlinkat says ENOTEMPTY. */
		if (made_untouched(m) && fstat(m->parent, &now) == 0 &&
		    unlinkat(m->parent, m->name, m->dir ? AT_REMOVEDIR : 0) == 0) {
			/* If the step changed the directory too, its time is the one before our removal. */
			const struct stat *t = same_time(now.st_mtim, m->after.st_mtim) ? &m->before : &now;
			struct timespec times[2] = { t->st_atim, t->st_mtim };

			(void)futimens(m->parent, times);
		} else if (m->secret && made_filled(m)) {
			filled = m->secret;
		}
		fd_closep(&m->parent);
		free(m->name);
	}
	free(take(&b->made));
	return filled;
}
