/* layers/chain.c - the chain of directories of a tree that is being written. */
#include "layers/chain.h"

#include "base/mem.h"
#include "layers/entry.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
	OPEN_MOST = 48,
	DIR_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
};

static int host(struct err **e, const char *what, const char *path)
{
	return err_errno(e, ERR_HOST, errno, "%s '/%s'", what, path);
}

int chain_set_opaque(int dir, struct err **e)
{
	if (fsetxattr(dir, "user.overlay.opaque", "y", 1, 0) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot mark a directory as opaque");
	return 0;
}

int chain_remove(struct chain *c, const char *name, struct err **e)
{
	int dir = chain_top(c)->fd;

	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno == EISDIR || errno == EPERM)
		return at_rmtree(dir, name, e);
	return host(e, "cannot remove", name);
}

/* ---- links of the chain */

/* Put an open directory at the end; takes fd. */
static int push(struct chain *c, int take_fd, bool fresh, struct err **e)
{
	AUTO(fd_closep) int fd = take_fd;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return host(e, "cannot look at", c->path.p);
	if (c->n >= OPEN_MOST)
		fd_closep(&c->link[c->n - OPEN_MOST].fd);
	MEM_ROOM(c->link, c->n, c->cap);
	c->link[c->n++] = (struct link){
		.path_n = c->path.n,
		.fd = fd_take(&fd),
		.dev = st.st_dev,
		.ino = st.st_ino,
		.mode = fresh ? 0755 : st.st_mode & 07777,
		.set_mode = fresh,
		.mtime = fresh ? 0 : st.st_mtim.tv_sec,
		.mtime_ns = fresh ? 0 : (uint32_t)st.st_mtim.tv_nsec,
		.inherits = st.st_mode & S_ISGID,
	};
	return 0;
}

/* An fd that was closed for want of room. CHAIN_BLOCKED: the directory is no longer there. */
static int reopen(struct chain *c, struct link *l, struct err **e)
{
	AUTO(mem_freep) char *path = mem_strn(c->path.p, l->path_n);
	AUTO(fd_closep) int fd = -1;
	struct stat st;

	if (l->fd >= 0)
		return 0;
	int rc = at_try(c->root, path, O_RDONLY | O_DIRECTORY, &fd, e);
	if (rc != 0)
		return rc < 0 ? -1 : CHAIN_BLOCKED;
	if (fstat(fd, &st) < 0)
		return host(e, "cannot look at", path);
	if (st.st_dev != l->dev || st.st_ino != l->ino)
		return CHAIN_BLOCKED;
	l->fd = fd_take(&fd);
	return 0;
}

static int leave(struct chain *c, struct err **e)
{
	struct link *l = chain_top(c);
	int64_t mtime = c->all_mtime >= 0 ? c->all_mtime : l->mtime;
	struct timespec times[2] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_sec = mtime, .tv_nsec = c->all_mtime >= 0 ? 0 : (long)l->mtime_ns },
	};
	int rc = reopen(c, l, e);

	if (rc < 0)
		return -1;
	/* Gone: an archive that removed it through another name of it. Then there is nothing to set. */
	if (rc == 0) {
		if (l->set_mode && fchmod(l->fd, l->mode) < 0)
			return host(e, "cannot set the mode of", c->path.p);
		if (futimens(l->fd, times) < 0)
			return host(e, "cannot set the time of", c->path.p);
	}
	fd_closep(&l->fd);
	c->n--;
	c->path.n = c->n ? chain_top(c)->path_n : 0;
	c->path.p[c->path.n] = 0;
	return 0;
}

int chain_open(struct chain *c, struct err **e)
{
	int fd = at_open(c->root, "", O_RDONLY | O_DIRECTORY, 0, e);

	if (fd < 0)
		return -1;
	c->path = (struct buf)BUF_MAX(8192);
	buf_add(&c->path, "", 0);
	return push(c, fd, false, e);
}

int chain_end(struct chain *c, struct err **e)
{
	while (c->n)
		if (leave(c, e) < 0)
			return -1;
	return 0;
}

void chain_clear(struct chain *c)
{
	for (size_t i = 0; i < c->n; i++)
		fd_closep(&c->link[i].fd);
	mem_freep(&c->link);
	buf_free(&c->path);
	c->n = c->cap = 0;
}

/* ---- going down */

static void add_name(struct chain *c, const char *name)
{
	if (c->path.n)
		buf_char(&c->path, '/');
	buf_str(&c->path, name);
}

int chain_into(struct chain *c, const char *name, bool fresh, struct err **e)
{
	int dir = chain_top(c)->fd, fd = openat(dir, name, DIR_FLAGS);

	if (fd < 0 && errno == EACCES && c->caller && fchmodat(dir, name, 0700, 0) == 0)
		fd = openat(dir, name, DIR_FLAGS);
	if (fd < 0)
		return host(e, "cannot open", name);
	add_name(c, name);
	return push(c, fd, fresh, e);
}

/* A parent that the archive does not describe: 0755, 0:0 (E11). opaque: it replaces a whiteout of this layer. */
static int make_parent(struct chain *c, const char *name, bool opaque, struct err **e)
{
	c->made++;
	if (mkdirat(chain_top(c)->fd, name, 0700) < 0)
		return host(e, "cannot make", name);
	if (chain_into(c, name, true, e) < 0)
		return -1;
	return opaque ? chain_set_opaque(chain_top(c)->fd, e) : 0;
}

/* The parent is a symlink: the kernel follows it inside the root. One that leads to nothing is given what it leads to; in a
 * layer the lower ones have it. */
static int through_symlink(struct chain *c, const char *name, struct err **e)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(8192), whole = BUF_MAX(16384), clean = BUF_MAX(8192);
	AUTO(mem_freep) char *alias = mem_printf("%s%s%s", c->path.p, c->path.n ? "/" : "", name);
	int fd = -1;

	int rc = at_try(c->root, alias, O_RDONLY | O_DIRECTORY, &fd, e);
	if (rc == AT_MISSING) {
		c->made++;
		if (at_readlink(chain_top(c)->fd, name, &text, e) != 0)
			return -1;
		buf_printf(&whole, "%s/%s", text.p[0] == '/' ? "" : c->path.p, text.p);
		if (entry_path_clean(buf_view(&whole), true, &clean, e) < 0 || at_mkdirs(c->root, clean.p, 0755, e) < 0)
			return err_wrap(e, "the parent '/%s' is a symlink that leads nowhere", alias);
		rc = at_try(c->root, alias, O_RDONLY | O_DIRECTORY, &fd, e);
	}
	if (rc != 0)
		return rc < 0 ? -1 : err_set(e, ERR_SOURCE, "the parent '/%s' is a symlink that does not lead to a directory", alias);
	add_name(c, name);
	return push(c, fd, false, e);
}

/* One component that could not be opened as a directory. */
static int down_otherwise(struct chain *c, const char *name, bool marks, struct err **e)
{
	int dir = chain_top(c)->fd;
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return host(e, "cannot look at", name);
		return make_parent(c, name, false, e);
	}
	if (S_ISDIR(st.st_mode))
		return chain_into(c, name, false, e);
	if (S_ISLNK(st.st_mode))
		return through_symlink(c, name, e);
	if (marks)
		return CHAIN_BLOCKED;    /* nothing below it can be seen anyway */
	bool white = c->layer && chain_is_whiteout(&st);
	if (c->layer && !white)
		return err_set(e, ERR_SOURCE, "the parent '/%s%s%s' is not a directory", c->path.p, c->path.n ? "/" : "", name);
	return chain_remove(c, name, e) < 0 ? -1 : make_parent(c, name, white, e);
}

static int down(struct chain *c, const char *name, bool marks, struct err **e)
{
	int fd = openat(chain_top(c)->fd, name, DIR_FLAGS);

	if (fd < 0)
		return down_otherwise(c, name, marks, e);
	add_name(c, name);
	return push(c, fd, false, e);
}

/* Is link l on the way to path? */
static bool on_way(const struct chain *c, const struct link *l, const char *path, size_t n)
{
	if (l->path_n == 0)
		return true;
	return l->path_n <= n && memcmp(c->path.p, path, l->path_n) == 0 && (l->path_n == n || path[l->path_n] == '/');
}

/* Sources give clean paths; this is the last line of defence, as ".." would lead out of the root. */
bool chain_name_ok(const char *name)
{
	return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

int chain_to(struct chain *c, const char *path, size_t n, bool marks, struct err **e)
{
	char name[256];

	while (!on_way(c, chain_top(c), path, n))
		if (leave(c, e) < 0)
			return -1;
	int rc = reopen(c, chain_top(c), e);
	if (rc != 0)
		return rc < 0 ? -1 : err_set(e, ERR_SOURCE, "the directory '/%s' was removed by the archive", c->path.p);
	while (c->path.n < n) {
		const char *at = path + c->path.n + (c->path.n > 0), *end = memchr(at, '/', (size_t)(path + n - at));
		size_t len = end ? (size_t)(end - at) : (size_t)(path + n - at);

		if (len >= sizeof(name))
			return err_set(e, ERR_SOURCE, "a name is longer than 255 bytes");
		memcpy(name, at, len);
		name[len] = 0;
		if (!chain_name_ok(name))
			return err_set(e, ERR_BUG, "'%s' is not a clean path", path);
		rc = down(c, name, marks, e);
		if (rc != 0)
			return rc;
	}
	return 0;
}
