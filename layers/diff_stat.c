/* layers/diff_stat.c - looking at one object of an upper directory: attributes, owner, overlay's private marks. */
#include "layers/diff_stat.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
	NAMES_MOST = 64 << 10,           /* what the kernel gives at most */
	VALUE_MOST = 64 << 10,
	VALUES_MOST = 128 << 10,
	BLOCK = 64 << 10,
	LARGE = 1 << 20,
};

void look_init(struct look *l)
{
	l->fd = -1;
	l->attr = (struct buf)BUF_MAX(VALUES_MOST + VALUE_MOST);
	(void)buf_room(&l->attr, VALUES_MOST + VALUE_MOST);      /* values are pointed into: it must not move */
	l->names = (struct buf)BUF_MAX(2 * NAMES_MOST);
	l->link = (struct buf)BUF_MAX(8192);
	owner_init(&l->owner);
}

void look_clear(struct look *l)
{
	fd_closep(&l->fd);
	buf_free(&l->attr);
	buf_free(&l->names);
	buf_free(&l->link);
}

static int host(struct err **e, const char *what)
{
	return err_errno(e, ERR_HOST, errno, "%s", what);
}

/* ---- overlay's marks */

int look_whiteout(int dir, const char *name, unsigned char type, bool xwhite, struct err **e)
{
	struct stat st;

	if (type != DT_CHR && type != DT_UNKNOWN && !(xwhite && type == DT_REG))
		return 0;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot look at '%s'", name);
	if (S_ISCHR(st.st_mode))
		return st.st_rdev == 0;
	if (!xwhite || !S_ISREG(st.st_mode) || st.st_size != 0)
		return 0;
	AUTO(fd_closep) int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, ERR_HOST, errno, "cannot open '%s'", name);
	return fgetxattr(fd, "user.overlay.whiteout", NULL, 0) >= 0;
}

static int mark_of(int fd, char *ret, struct err **e)
{
	ssize_t n = fgetxattr(fd, "user.overlay.opaque", ret, 1);

	if (n == 1)
		return 0;
	*ret = 0;
	return n >= 0 || errno == ENODATA || errno == ENOTSUP ? 0 : host(e, "cannot read an extended attribute");
}

int look_marks(int fd, bool *opaque, struct err **e)
{
	char mark = 0;

	if (mark_of(fd, &mark, e) < 0)
		return -1;
	*opaque = mark == 'y';
	return 0;
}

/* ---- extended attributes */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct xattr *)a)->name, ((const struct xattr *)b)->name);
}

static int value_of(struct look *l, const char *name, struct err **e)
{
	char *room = buf_room(&l->attr, VALUE_MOST);
	ssize_t n = room ? fgetxattr(l->fd, name, room, VALUE_MOST) : -1;

	if (!room || (n < 0 && (errno == ERANGE || errno == E2BIG)) || l->en.nxattr >= countof(l->xattr))
		return err_set(e, ERR_LIMIT, "the extended attribute '%s' is over the limits: 64 KiB a value, 128 KiB and 256 a file",
			       name);
	if (n < 0)
		return host(e, "cannot read an extended attribute");
	/* An empty value cannot be stored. A capability of 24 bytes belongs to some other user namespace: it is void here. */
	if (n == 0 || (n != 20 && strcmp(name, "security.capability") == 0))
		return 0;
	l->xattr[l->en.nxattr++] = (struct xattr){ name, { room, (size_t)n } };
	l->attr.n += (size_t)n;
	return 0;
}

static int one_xattr(struct look *l, const char *name, bool *owned, struct err **e)
{
	char mark = 0;

	if (xattr_allowed(name))
		return value_of(l, name, e);
	if (strcmp(name, "user.kiln.own") == 0)
		*owned = true;
	/* We mount so that these cannot come to be; a layer made from one would lack content. */
	if (strcmp(name, "user.overlay.redirect") == 0 || strcmp(name, "user.overlay.metacopy") == 0)
		return err_set(e, ERR_HOST, "it has the attribute '%s': the file system was mounted in an unexpected way", name);
	if (strcmp(name, "user.overlay.opaque") != 0)
		return 0;
	if (mark_of(l->fd, &mark, e) < 0)
		return -1;
	l->opaque = mark == 'y';
	l->xwhite = mark == 'x';
	return 0;
}

static int xattrs_of(struct look *l, bool *owned, struct err **e)
{
	buf_reset(&l->attr);
	buf_reset(&l->names);
	char *room = buf_room(&l->names, NAMES_MOST);
	ssize_t n = flistxattr(l->fd, room, NAMES_MOST);

	if (n < 0)
		return errno == ENOTSUP ? 0 : host(e, "cannot list extended attributes");
	for (ssize_t i = 0; i < n; i += (ssize_t)strlen(room + i) + 1)
		if (one_xattr(l, room + i, owned, e) < 0)
			return -1;
	if (l->en.nxattr > 1)
		qsort(l->xattr, l->en.nxattr, sizeof(*l->xattr), by_name);
	l->en.xattr = l->xattr;
	return 0;
}

/* ---- objects */

/* Through an fd where that is harmless. O_NOATIME needs to own the file: try it, do without. */
static int open_object(int dir, const char *name, int flags)
{
	flags |= O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

	int fd = openat(dir, name, flags | O_NOATIME);
	return fd < 0 && errno == EPERM ? openat(dir, name, flags) : fd;
}

static int stat_object(struct look *l, int dir, const char *name, unsigned char type, struct err **e)
{
	if (type != DT_REG && type != DT_DIR) {
		if (fstatat(dir, name, &l->st, AT_SYMLINK_NOFOLLOW) < 0)
			return host(e, "cannot look at it");
		if (!S_ISREG(l->st.st_mode) && !S_ISDIR(l->st.st_mode))
			return 0;
		type = S_ISDIR(l->st.st_mode) ? DT_DIR : DT_REG;
	}
	l->fd = open_object(dir, name, type == DT_DIR ? O_DIRECTORY : 0);
	if (l->fd < 0 || fstat(l->fd, &l->st) < 0)
		return host(e, "cannot open it");
	if (!S_ISREG(l->st.st_mode) && !S_ISDIR(l->st.st_mode))
		return err_set(e, ERR_HOST, "it was replaced while it was read");
	return 0;
}

static enum entry_type type_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return ENTRY_FILE;
	case S_IFDIR:
		return ENTRY_DIR;
	case S_IFLNK:
		return ENTRY_SYMLINK;
	case S_IFIFO:
		return ENTRY_FIFO;
	case S_IFCHR:
		return ENTRY_CHAR;
	default:
		return ENTRY_BLOCK;
	}
}

int look_at(struct look *l, int dir, const char *name, unsigned char type, const char *path, struct err **e)
{
	struct entry *en = &l->en;
	bool owned = false;

	fd_closep(&l->fd);
	l->opaque = l->xwhite = false;
	l->given = 0;
	*en = (struct entry){ .path = path };
	if (type == DT_SOCK)
		return LOOK_NOTHING;
	if (stat_object(l, dir, name, type, e) < 0)
		return -1;
	if (S_ISSOCK(l->st.st_mode))
		return LOOK_NOTHING;
	if (l->fd >= 0 && xattrs_of(l, &owned, e) < 0)
		return -1;
	if (owner_get(&l->owner, owned ? l->fd : -1, &l->st, &en->uid, &en->gid, e) < 0)
		return -1;
	en->type = type_of(l->st.st_mode);
	en->mode = l->st.st_mode & 07777;
	en->mtime = l->st.st_mtim.tv_sec;
	en->mtime_ns = (uint32_t)l->st.st_mtim.tv_nsec;
	en->size = en->type == ENTRY_FILE ? (uint64_t)l->st.st_size : 0;
	if (en->type == ENTRY_CHAR || en->type == ENTRY_BLOCK) {
		en->major = major(l->st.st_rdev);
		en->minor = minor(l->st.st_rdev);
	}
	if (en->type != ENTRY_SYMLINK)
		return 0;
	buf_reset(&l->link);
	if (at_readlink(dir, name, &l->link, e) != 0)
		return -1;
	en->link = l->link.p;
	return 0;
}

ssize_t look_read(struct look *l, void *p, size_t n, struct err **e)
{
	/* Who reads past the end is told so without a system call. */
	if (l->en.type != ENTRY_FILE || l->given >= l->en.size)
		return 0;
	/* What a step wrote is synced once, at the end of the build: the disk need not be idle until then. */
	if (l->given == 0 && l->en.size >= LARGE)
		fd_write_back(l->fd, 0, 0);
	ssize_t got = fd_read(l->fd, p, n, e);
	if (got > 0)
		l->given += (uint64_t)got;
	return got;
}

/* ---- comparing */

static bool same_xattrs(const struct entry *a, const struct entry *b)
{
	size_t i = 0, k = 0;

	for (;; i++, k++) {
		/* A listing may hold what a layer would not. */
		while (i < a->nxattr && (!xattr_allowed(a->xattr[i].name) || !a->xattr[i].value.n))
			i++;
		while (k < b->nxattr && (!xattr_allowed(b->xattr[k].name) || !b->xattr[k].value.n))
			k++;
		if (i == a->nxattr || k == b->nxattr)
			return i == a->nxattr && k == b->nxattr;
		if (strcmp(a->xattr[i].name, b->xattr[k].name) != 0 || !slice_equal(a->xattr[i].value, b->xattr[k].value))
			return false;
	}
}

bool look_same(const struct entry *a, const struct entry *b)
{
	if (a->type != b->type || a->mode != b->mode || a->uid != b->uid || a->gid != b->gid || a->size != b->size ||
	    a->mtime != b->mtime || a->major != b->major || a->minor != b->minor)
		return false;
	/* A tar has whole seconds only. */
	if (a->mtime_ns && b->mtime_ns && a->mtime_ns != b->mtime_ns)
		return false;
	if (!a->link != !b->link || (a->link && strcmp(a->link, b->link) != 0))
		return false;
	return same_xattrs(a, b);
}

/* Fill p as far as the file goes. */
static ssize_t read_block(int fd, char *p, off_t at, struct err **e)
{
	size_t n = 0;

	while (n < BLOCK) {
		ssize_t got = pread(fd, p + n, BLOCK - n, at + (off_t)n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return host(e, "cannot read it");
		if (got == 0)
			break;
		n += (size_t)got;
	}
	return (ssize_t)n;
}

int look_same_content(int a, int b, bool *ret, struct err **e)
{
	AUTO(mem_freep) char *x = mem_alloc(BLOCK);
	AUTO(mem_freep) char *y = mem_alloc(BLOCK);
	off_t at = 0;

	*ret = false;
	for (;;) {
		ssize_t n = read_block(a, x, at, e), m = n < 0 ? -1 : read_block(b, y, at, e);

		if (n < 0 || m < 0)
			return -1;
		if (n != m || memcmp(x, y, (size_t)n) != 0)
			return 0;
		if (n < BLOCK)
			break;
		at += n;
	}
	*ret = true;
	return 0;
}

/* ---- files with several names */

static struct inode *inode_slot(const struct inodes *t, dev_t dev, ino_t ino)
{
	size_t i = (size_t)(((uint64_t)ino ^ (uint64_t)dev << 32) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (t->cap - 1);

	while (t->slot[i].path && (t->slot[i].dev != dev || t->slot[i].ino != ino))
		i = (i + 1) & (t->cap - 1);
	return &t->slot[i];
}

static void inodes_grow(struct inodes *t)
{
	struct inodes bigger = { .n = t->n, .cap = t->cap ? t->cap * 2 : 64 };

	bigger.slot = mem_array(bigger.cap, sizeof(*bigger.slot));
	for (size_t i = 0; i < t->cap; i++)
		if (t->slot[i].path)
			*inode_slot(&bigger, t->slot[i].dev, t->slot[i].ino) = t->slot[i];
	mem_freep(&t->slot);
	*t = bigger;
}

const char *inodes_first(struct inodes *t, const struct stat *st, const char *path)
{
	if (t->n * 2 >= t->cap)
		inodes_grow(t);
	struct inode *slot = inode_slot(t, st->st_dev, st->st_ino);
	if (slot->path)
		return slot->path;
	*slot = (struct inode){ st->st_dev, st->st_ino, mem_str(path) };
	t->n++;
	return NULL;
}

void inodes_clear(struct inodes *t)
{
	for (size_t i = 0; i < t->cap; i++)
		mem_freep(&t->slot[i].path);
	mem_freep(&t->slot);
	t->n = t->cap = 0;
}
