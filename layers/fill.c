/* layers/fill.c - entries become files below a root (spec/oci.md 1.7, spec/threats.md E9-E26, P3-P7).
 *
 * Everything is done by one component below the fd of its parent, which layers/chain.c finds inside the root. An existing name
 * is removed and made anew, never written to. Calls that would change nothing are left out: a file that already has its owner
 * and mode costs openat, write, utimensat, close.
 */
#include "layers/fill.h"

#include "base/at.h"
#include "base/mem.h"
#include "layers/chain.h"
#include "layers/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

struct fill {
	struct sink sink;
	struct fill_opts *o;
	struct chain chain;
	struct owner owner;
	uid_t uid;                       /* what new entries get */
	gid_t gid;
	mode_t umask;
	bool acl;                        /* a default ACL may change modes at creation */
	int fd;                          /* the file whose content is coming */
	bool mode_done;
	struct entry *file;
};

static int host(struct err **e, const char *what, const char *path)
{
	return err_errno(e, ERR_HOST, errno, "%s '/%s'", what, path);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static size_t dir_length(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

static int start(struct fill *f, struct err **e)
{
	if (f->chain.n)
		return 0;
	if (chain_open(&f->chain, e) < 0)
		return -1;
	f->acl = fgetxattr(chain_top(&f->chain)->fd, "system.posix_acl_default", NULL, 0) > 0;
	return 0;
}

/* ---- metadata */

/* Does creation with this mode give exactly this mode? */
static bool mode_by_creation(const struct fill *f, uint32_t mode)
{
	return !f->acl && !(mode & 07000) && !(mode & f->umask) && !chain_top((struct chain *)&f->chain)->inherits;
}

static bool owner_by_creation(const struct fill *f, const struct entry *en, const struct link *parent)
{
	return f->o->as_caller || (en->uid == f->uid && en->gid == f->gid && !parent->inherits);
}

static int set_owner(struct fill *f, int fd, int dir, const char *name, const struct entry *en, struct err **e)
{
	bool recorded = false;

	if (owner_set(&f->owner, fd, dir, name, en->uid, en->gid, &recorded, e) < 0)
		return err_wrap(e, "cannot set the owner of '/%s'", en->path);
	f->o->unmapped += recorded;
	return 0;
}

static int set_xattrs(struct fill *f, int fd, const struct entry *en, struct err **e)
{
	for (size_t i = 0; i < en->nxattr; i++) {
		const struct xattr *x = &en->xattr[i];

		if (!xattr_allowed(x->name) || fsetxattr(fd, x->name, x->value.p, x->value.n, 0) == 0)
			continue;
		/* Not every file system has them, and not everybody may give capabilities: counted, and told once. */
		if (errno != ENOTSUP && errno != EPERM)
			return host(e, "cannot set an extended attribute of", en->path);
		f->o->xattr_refused++;
	}
	return 0;
}

static void times_of(const struct fill *f, const struct entry *en, struct timespec ret[2])
{
	bool all = f->o->all_mtime >= 0;

	ret[0] = (struct timespec){ .tv_nsec = UTIME_OMIT };
	ret[1] = (struct timespec){ .tv_sec = all ? f->o->all_mtime : en->mtime, .tv_nsec = all ? 0 : (long)en->mtime_ns };
}

/* Owner and time of what has no fd of its own (P6). */
static int set_by_name(struct fill *f, const char *name, const struct entry *en, struct err **e)
{
	struct link *parent = chain_top(&f->chain);
	struct timespec times[2];

	if (!owner_by_creation(f, en, parent) && set_owner(f, -1, parent->fd, name, en, e) < 0)
		return -1;
	times_of(f, en, times);
	if (utimensat(parent->fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return host(e, "cannot set the time of", en->path);
	return 0;
}

/* ---- files */

static int file_finish(struct fill *f, struct err **e)
{
	AUTO(fd_closep) int fd = fd_take(&f->fd);
	struct entry *en = f->file;
	struct timespec times[2];

	/* The order matters: chown clears set-id bits and capabilities (P5). */
	if (!owner_by_creation(f, en, chain_top(&f->chain)) && set_owner(f, fd, -1, base_name(en->path), en, e) < 0)
		return -1;
	if (set_xattrs(f, fd, en, e) < 0)
		return -1;
	if (!f->mode_done && fchmod(fd, en->mode & 07777) < 0)
		return host(e, "cannot set the mode of", en->path);
	times_of(f, en, times);
	if (futimens(fd, times) < 0)
		return host(e, "cannot set the time of", en->path);
	if (fd_close(&fd, en->path, e) < 0)
		return -1;
	entry_free(take(&f->file));
	return 0;
}

static int file_start(struct fill *f, const char *name, const struct entry *en, struct err **e)
{
	int dir = chain_top(&f->chain)->fd, flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;

	f->mode_done = mode_by_creation(f, en->mode);
	mode_t mode = f->mode_done ? en->mode & 0777 : 0600;
	f->fd = openat(dir, name, flags, mode);
	if (f->fd < 0 && errno == EEXIST) {
		if (chain_remove(&f->chain, name, e) < 0)
			return -1;
		f->fd = openat(dir, name, flags, mode);
	}
	if (f->fd < 0)
		return host(e, "cannot make", en->path);
	f->file = entry_dup(en);
	return en->size == 0 ? file_finish(f, e) : 0;
}

static int fill_data(struct sink *k, const void *p, size_t n, struct err **e)
{
	struct fill *f = container_of(k, struct fill, sink);

	if (fd_write_all(f->fd, p, n, e) < 0)
		return err_wrap(e, "cannot write '/%s'", f->file->path);
	f->file->size -= n;
	return f->file->size == 0 ? file_finish(f, e) : 0;
}

/* ---- directories */

/* Make or keep the directory, go into it. *fresh: made now; *opaque: it replaces a whiteout of this layer. */
static int dir_make(struct fill *f, const char *name, uint32_t mode, bool *fresh, bool *opaque, struct err **e)
{
	int dir = chain_top(&f->chain)->fd;
	struct stat st;

	*opaque = false;
	*fresh = mkdirat(dir, name, mode) == 0;
	if (*fresh)
		return 0;
	if (errno != EEXIST || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return host(e, "cannot make", name);
	if (S_ISDIR(st.st_mode))
		return 0;
	*opaque = f->chain.layer && chain_is_whiteout(&st);
	if (chain_remove(&f->chain, name, e) < 0)
		return -1;
	*fresh = mkdirat(dir, name, mode) == 0;
	return *fresh ? 0 : host(e, "cannot make", name);
}

static int fill_dir(struct fill *f, const char *name, const struct entry *en, struct err **e)
{
	struct link *l = chain_top(&f->chain);
	bool inherits = l->inherits, fresh = false, opaque = false, given = false;

	if (*en->path) {
		given = mode_by_creation(f, en->mode) && (en->mode & 0700) == 0700;
		if (dir_make(f, name, given ? en->mode & 0777 : 0700, &fresh, &opaque, e) < 0 ||
		    chain_into(&f->chain, name, fresh, e) < 0)
			return -1;
		l = chain_top(&f->chain);
		if (opaque && chain_set_opaque(l->fd, e) < 0)
			return -1;
	}
	if (!f->o->as_caller && !fresh)
		owner_forget(l->fd);
	if (!f->o->as_caller && !(fresh && owner_by_creation(f, en, &(struct link){ .inherits = inherits })) &&
	    set_owner(f, l->fd, -1, name, en, e) < 0)
		return -1;
	if (set_xattrs(f, l->fd, en, e) < 0)
		return -1;
	l->set_mode = !(fresh && given) || l->inherits;
	l->mode = en->mode & 07777;
	l->mtime = en->mtime;
	l->mtime_ns = en->mtime_ns;
	return 0;
}

/* ---- links */

/* The parent of a hard link's target, mostly the current directory; *opened is the caller's. AT_MISSING. */
static int target_dir(struct fill *f, const char *target, int *opened, int *ret, struct err **e)
{
	size_t n = dir_length(target);

	if (n == f->chain.path.n && memcmp(target, f->chain.path.p, n) == 0) {
		*ret = chain_top(&f->chain)->fd;
		return 0;
	}
	AUTO(mem_freep) char *dir = mem_strn(target, n);
	int rc = at_try(f->chain.root, dir, O_PATH | O_DIRECTORY, opened, e);
	*ret = *opened;
	return rc;
}

/* Too many names for one file: the content again. */
static int link_copy(struct fill *f, int dir, const char *target, const char *name, const struct entry *en, struct err **e)
{
	AUTO(fd_closep) int from = openat(dir, target, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	AUTO(mem_freep) char *block = mem_alloc(64 << 10);
	struct entry copy = *en;
	struct stat st;
	ssize_t n = 0;

	if (from < 0 || fstat(from, &st) < 0 || !S_ISREG(st.st_mode))
		return host(e, "cannot copy", en->link);
	copy.type = ENTRY_FILE;
	copy.size = (uint64_t)st.st_size;
	if (file_start(f, name, &copy, e) < 0)
		return -1;
	while (f->file && (n = fd_read(from, block, 64 << 10, e)) > 0)
		if (fill_data(&f->sink, block, (uint64_t)n < f->file->size ? (size_t)n : f->file->size, e) < 0)
			return -1;
	if (n < 0 || f->file)
		return n < 0 ? -1 : err_set(e, ERR_HOST, "'/%s' became shorter", en->link);
	return 0;
}

static int link_missing(struct fill *f, const struct entry *en, struct err **e)
{
	if (!f->chain.layer)
		return err_set(e, ERR_SOURCE, "'/%s' is a hard link to '%s', which does not exist", en->path, en->link);
	f->o->leans_hard = true;
	f->o->leaning++;
	return 0;
}

static int fill_link(struct fill *f, const char *name, const struct entry *en, struct err **e)
{
	AUTO(fd_closep) int opened = -1;
	const char *target = base_name(en->link);
	int here = chain_top(&f->chain)->fd, dir = -1;
	struct stat st, old;

	if (!chain_name_ok(target))
		return err_set(e, ERR_BUG, "its target is not a clean path");
	int rc = target_dir(f, en->link, &opened, &dir, e);
	if (rc < 0)
		return -1;
	if (rc == AT_MISSING || fstatat(dir, target, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return rc == AT_MISSING || errno == ENOENT ? link_missing(f, en, e) : host(e, "cannot look at", en->link);
	if (S_ISDIR(st.st_mode) || (f->chain.layer && chain_is_whiteout(&st)))
		return err_set(e, ERR_SOURCE, "'/%s' is a hard link to '%s', which is not a file", en->path, en->link);
	if (linkat(dir, target, here, name, 0) == 0)
		return 0;
	if (errno == EEXIST) {
		if (fstatat(here, name, &old, AT_SYMLINK_NOFOLLOW) == 0 && old.st_dev == st.st_dev && old.st_ino == st.st_ino)
			return 0;
		if (chain_remove(&f->chain, name, e) < 0)
			return -1;
		if (linkat(dir, target, here, name, 0) == 0)
			return 0;
	}
	if (errno == EMLINK)
		return link_copy(f, dir, target, name, en, e);
	return host(e, "cannot make the hard link", en->path);
}

static int fill_symlink(struct fill *f, const char *name, const struct entry *en, struct err **e)
{
	int dir = chain_top(&f->chain)->fd, rc = symlinkat(en->link, dir, name);

	if (rc < 0 && errno == EEXIST) {
		if (chain_remove(&f->chain, name, e) < 0)
			return -1;
		rc = symlinkat(en->link, dir, name);
	}
	return rc < 0 ? host(e, "cannot make the symlink", en->path) : set_by_name(f, name, en, e);
}

static int fill_fifo(struct fill *f, const char *name, const struct entry *en, struct err **e)
{
	int dir = chain_top(&f->chain)->fd;

	if (chain_remove(&f->chain, name, e) < 0)
		return -1;
	if (mknodat(dir, name, S_IFIFO | 0600, 0) < 0)
		return host(e, "cannot make the fifo", en->path);
	if (set_by_name(f, name, en, e) < 0)
		return -1;
	/* Nobody else is in this tree, so the name still is the fifo. */
	return fchmodat(dir, name, en->mode & 07777, 0) < 0 ? host(e, "cannot set the mode of", en->path) : 0;
}

/* ---- marks */

/* What this layer has under that name stays (E17); a directory then hides what is below it. */
static int fill_whiteout(struct fill *f, const char *name, const struct entry *en, struct err **e)
{
	int dir = chain_top(&f->chain)->fd;
	struct stat st;

	if (mknodat(dir, name, S_IFCHR, makedev(0, 0)) == 0)
		return 0;
	if (errno != EEXIST) {
		host(e, "cannot record that a layer deletes", en->path);
		return err_hint(e, "use Linux 5.8 or later and a file system that can hold device nodes 0:0");
	}
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return host(e, "cannot look at", en->path);
	if (!S_ISDIR(st.st_mode))
		return 0;
	AUTO(fd_closep) int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return host(e, "cannot open", en->path);
	return chain_set_opaque(fd, e);
}

static int fill_mark(struct fill *f, const struct entry *en, struct err **e)
{
	bool opaque = en->type == ENTRY_OPAQUE;

	if (!f->chain.layer)
		return 0;
	int rc = chain_to(&f->chain, en->path, opaque ? strlen(en->path) : dir_length(en->path), true, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	return opaque ? chain_set_opaque(chain_top(&f->chain)->fd, e) : fill_whiteout(f, base_name(en->path), en, e);
}

/* ---- the sink */

static int fill_one(struct fill *f, const struct entry *en, struct err **e)
{
	const char *name = base_name(en->path);

	if (*en->path && !chain_name_ok(name))
		return err_set(e, ERR_BUG, "it is not a clean path");
	if (en->type == ENTRY_WHITEOUT || en->type == ENTRY_OPAQUE)
		return fill_mark(f, en, e);
	/* Devices do not come out of archives, at no level of isolation (E, "char 3, block 4"). */
	if (en->type == ENTRY_CHAR || en->type == ENTRY_BLOCK)
		return 0;
	if (chain_to(&f->chain, en->path, dir_length(en->path), false, e) < 0)
		return -1;
	switch (en->type) {
	case ENTRY_DIR:
		return fill_dir(f, name, en, e);
	case ENTRY_FILE:
		return file_start(f, name, en, e);
	case ENTRY_LINK:
		return fill_link(f, name, en, e);
	case ENTRY_SYMLINK:
		return fill_symlink(f, name, en, e);
	case ENTRY_FIFO:
		return fill_fifo(f, name, en, e);
	default:
		return err_set(e, ERR_BUG, "unknown entry type");
	}
}

static int fill_entry(struct sink *k, const struct entry *en, struct err **e)
{
	struct fill *f = container_of(k, struct fill, sink);

	if (start(f, e) < 0)
		return -1;
	if (fill_one(f, en, e) < 0)
		return err_wrap(e, "cannot unpack '/%s'", en->path);
	return 0;
}

static int fill_end(struct sink *k, struct err **e)
{
	struct fill *f = container_of(k, struct fill, sink);

	if (start(f, e) < 0 || chain_end(&f->chain, e) < 0)
		return -1;
	f->o->leaning += f->chain.made;
	return 0;
}

static void fill_free(struct sink *k)
{
	struct fill *f = container_of(k, struct fill, sink);

	fd_closep(&f->fd);
	entry_free(f->file);
	chain_clear(&f->chain);
	mem_freep(&f);
}

struct sink *fill_new(int root, struct fill_opts *o)
{
	static const struct sink_ops ops = { fill_entry, fill_data, fill_end, fill_free };
	struct fill *f = mem_zalloc(sizeof(*f));

	f->sink.ops = &ops;
	f->o = o;
	f->fd = -1;
	f->chain.root = root;
	f->chain.layer = !o->plain;
	f->chain.caller = o->as_caller;
	f->chain.all_mtime = o->all_mtime;
	owner_init(&f->owner);
	f->uid = geteuid();
	f->gid = getegid();
	f->umask = umask(0);
	umask(f->umask);
	return &f->sink;
}
