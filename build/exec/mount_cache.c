/* build/exec/mount_cache.c - RUN --mount=type=cache: a directory of the store that outlives the step.
 *
 * Its content is the container's: nothing outside follows a link in it (spec/threats.md C8). Owner and mode are set once,
 * when it is made. Locks are on the directory itself and held by this process until the step ends.
 *
 *   shared     no lock            locked     one step after the other
 *   private    a sibling <dir>.N that nobody uses, kept for the next time
 *
 * Beside it lies its note, <dir>.id, with the id for people (du): locked, shared, as long as it is mounted, so that nobody takes it away (prune).
 *
 * With from= its first content is a copy of the source directory there: the cache is written to, and layers are shared.
 */
#include "build/exec/box.h"

#include "base/mem.h"
#include "layers/snap_mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { PRIVATE_MAX = 1000, LOCK_POLL_MS = 50 };

/* Mode or owner were asked for: then it is an empty directory of its own whatever the origin holds (8.6). */
static bool seeded(const struct run_mount *m)
{
	return m->nlower > 0 && !(m->has_perm && (!m->source || !*m->source || strcmp(m->source, "/") == 0));
}

static int cache_seed(struct box *b, const struct run_mount *m, int dir, struct err **e)
{
	AUTO(mem_freep) char *at = NULL;
	AUTO(fd_closep) int top = -1;
	AUTO(fd_closep) int source = -1;
	const char *path = m->source && *m->source ? m->source : "/";
	struct run_mount tree = *m;
	int rc;

	tree.readonly = true;
	if (box_dir(b, &at, e) < 0 || bind_tree(b, &tree, at, e) < 0)
		return -1;
	top = openat(AT_FDCWD, at, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (top < 0)
		return err_errno(e, ERR_HOST, errno, "cannot open the source");
	rc = at_try(top, path, O_RDONLY | O_DIRECTORY, &source, e);
	if (rc == AT_MISSING)
		return err_set(e, ERR_INPUT, "\"/%s\": not found", m->source);
	if (rc < 0 || seed_copy(source, dir, e) < 0)
		return err_wrap(e, "cannot fill the cache from '%s'", path);
	return 0;
}

static int cache_fill(struct box *b, const struct run_mount *m, int dir, struct err **e)
{
	bool seed = seeded(m);

	if (seed && cache_seed(b, m, dir, e) < 0)
		return -1;
	if (seed && !m->has_perm)
		return 0;
	if (m->has_perm && box_own(dir, m->uid, m->gid, e) < 0)
		return -1;
	if (fchmod(dir, m->has_perm ? m->mode & 07777 : 0755) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot set the mode of a cache directory");
	return 0;
}

/* Made under another name first: whoever sees it sees it with its owner and mode. */
static int cache_make(struct box *b, const struct run_mount *m, const char *path, struct err **e)
{
	AUTO(fd_closep) int parent = -1;
	AUTO(fd_closep) int dir = -1;
	const char *name = NULL;
	char fresh[33];

	if (at_parent(b->store, path, &parent, &name, e) != 0)
		return *e ? -1 : err_set(e, ERR_HOST, "the store has no directory for '%s'", path);
	at_random_name(fresh);
	if (at_mkdir(parent, fresh, 0700, e) < 0)
		return -1;
	dir = at_open_store(parent, fresh, O_RDONLY | O_DIRECTORY, 0, e);
	if (dir < 0)
		return -1;
	if (cache_fill(b, m, dir, e) < 0) {
		(void)at_rmtree(parent, fresh, NULL);
		return -1;
	}
	if (renameat2(parent, fresh, parent, name, RENAME_NOREPLACE) < 0) {
		int code = errno;

		(void)at_rmtree(parent, fresh, NULL);
		if (code != EEXIST && code != ENOTEMPTY)
			return err_errno(e, ERR_HOST, code, "cannot make the cache directory");
	}
	return 0;
}

static int cache_open(struct box *b, const struct run_mount *m, const char *path, int *ret, struct err **e)
{
	int rc = at_try_store(b->store, path, O_RDONLY | O_DIRECTORY, ret, e);

	if (rc != AT_MISSING)
		return rc;
	if (cache_make(b, m, path, e) < 0)
		return -1;
	*ret = at_open_store(b->store, path, O_RDONLY | O_DIRECTORY, 0, e);
	return *ret < 0 ? -1 : 0;
}

/* 1: somebody else has it. */
static int cache_lock(int dir, struct err **e)
{
	if (flock(dir, LOCK_EX | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK || errno == EINTR ? 1 : err_errno(e, ERR_HOST, errno, "cannot lock the cache directory");
}

static int cache_locked(struct box *b, const struct run_mount *m, int *ret, struct err **e)
{
	AUTO(fd_closep) int dir = -1;
	int rc;

	if (cache_open(b, m, m->cache, &dir, e) < 0)
		return -1;
	while ((rc = cache_lock(dir, e)) == 1)
		if (box_cancelled(b, LOCK_POLL_MS))
			return err_set(e, ERR_HOST, "cancelled while waiting for a cache mount");
	if (rc == 0)
		*ret = fd_take(&dir);
	return rc;
}

static int cache_private(struct box *b, const struct run_mount *m, int *ret, struct err **e)
{
	for (unsigned i = 0; i < PRIVATE_MAX; i++) {
		AUTO(mem_freep) char *path = i ? mem_printf("%s.%u", m->cache, i) : mem_str(m->cache);
		AUTO(fd_closep) int dir = -1;
		int rc;

		if (cache_open(b, m, path, &dir, e) < 0)
			return -1;
		rc = cache_lock(dir, e);
		if (rc == 0)
			*ret = fd_take(&dir);
		if (rc != 1)
			return rc;
	}
	return err_set(e, ERR_LIMIT, "%d private copies of one cache mount are in use", PRIVATE_MAX);
}

/* Its time is that of the last use. Who took the caches away took the note too: then there is a new one. */
static int cache_hold(struct box *b, const struct run_mount *m, struct err **e)
{
	AUTO(mem_freep) char *note = mem_printf("%s.id", m->cache);

	for (;;) {
		AUTO(fd_closep) int fd = at_open_store(b->store, note, O_RDWR | O_CREAT, 0600, e);
		struct stat st;

		if (fd < 0)
			return -1;
		while (flock(fd, LOCK_SH) < 0)
			if (errno != EINTR)
				return err_errno(e, ERR_HOST, errno, "cannot lock '%s'", note);
		if (fstat(fd, &st) < 0)
			return err_errno(e, ERR_HOST, errno, "cannot look at '%s'", note);
		if (st.st_nlink == 0)
			continue;
		/* Empty: new, or its maker was killed. Several that write it write the same. */
		if (st.st_size == 0 && m->id && fd_write_all(fd, m->id, strlen(m->id), e) < 0)
			return err_wrap(e, "cannot note the id of a cache mount");
		(void)futimens(fd, NULL);
		box_hold(b, fd_take(&fd));
		return 0;
	}
}

static int cache_prepare(struct box *b, const struct run_mount *m, int *ret, struct err **e)
{
	AUTO(fd_closep) int dir = -1;
	AUTO(fd_closep) int sub = -1;
	AUTO(fd_closep) int mount = -1;
	/* The source of a seeded one was chosen when it was filled. */
	const char *path = m->source && *m->source && m->nlower == 0 ? m->source : "/";
	int rc;

	if (cache_hold(b, m, e) < 0)
		return -1;
	rc = m->lock_exclusive ? cache_locked(b, m, &dir, e) :
	     m->lock_private   ? cache_private(b, m, &dir, e) :
				 cache_open(b, m, m->cache, &dir, e);
	if (rc < 0)
		return -1;
	rc = at_try(dir, path, O_PATH, &sub, e);
	if (rc == AT_MISSING) {
		AUTO(err_freep) struct err *why = NULL;

		/* What a step left there, a link to nowhere or a file, is the Dockerfile's business. */
		if (at_mkdirs(dir, path, 0755, &why) < 0)
			return err_errno(e, err_errnum(why) == ENOTDIR || err_errnum(why) == EEXIST ? ERR_STEP : ERR_HOST,
					 err_errnum(why), "cannot make '%s' in the cache", path);
		sub = at_open(dir, path, O_PATH, 0, e);
	}
	if (sub < 0)
		return -1;
	mount = mnt_clone(sub, "", false, e);
	if (mount < 0 || mnt_attr(mount, false, MNT_NODEV | (m->readonly ? MNT_RDONLY : 0), e) < 0)
		return -1;
	box_hold(b, fd_take(&dir));
	*ret = fd_take(&mount);
	return 0;
}

const struct mount_type mount_cache = { .prepare = cache_prepare };
