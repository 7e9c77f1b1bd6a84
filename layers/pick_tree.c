/* layers/pick_tree.c - where a COPY reads: a directory with an ignore file, or a view of layers. */
#include "layers/pick_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { PATH_MOST = 4095, LINKS_MOST = 40, XATTR_LIST_MOST = 64 << 10, XATTR_VALUE_MOST = 64 << 10, XATTR_MOST = 256 };

struct pick_tree *pick_tree_dir(int dir, const struct pats *ignore)
{
	struct pick_tree *t = mem_zalloc(sizeof(*t));

	*t = (struct pick_tree){ .dir = dir, .ignore = ignore && pats_count(ignore) ? ignore : NULL, .last_fd = -1,
				 .last = BUF_MAX(2 * PATH_MOST) };
	return t;
}

struct pick_tree *pick_tree_view(const struct view *v, const int *layer_dir)
{
	struct pick_tree *t = mem_zalloc(sizeof(*t));

	*t = (struct pick_tree){ .dir = -1, .view = v, .layer_dir = layer_dir, .last_fd = -1, .last = BUF_MAX(2 * PATH_MOST) };
	return t;
}

void pick_tree_free(struct pick_tree *t)
{
	if (!t)
		return;
	fd_closep(&t->last_fd);
	buf_free(&t->last);
	free(t);
}

void pick_tree_freep(struct pick_tree **t)
{
	pick_tree_free(take(t));
}

char *pick_path_room(struct buf *out, size_t len)
{
	buf_reset(out);
	buf_add(out, "", 0);
	char *path = len > 1 ? buf_room(out, len) : NULL;
	if (path) {
		out->n = len - 1;
		path[len - 1] = '\0';
	}
	return path;
}

void pick_attr_stat(struct pick_attr *at, const struct stat *st)
{
	static const struct {
		mode_t fmt;
		enum entry_type type;
	} types[] = {
		{ S_IFREG, ENTRY_FILE },  { S_IFDIR, ENTRY_DIR },   { S_IFLNK, ENTRY_SYMLINK }, { S_IFCHR, ENTRY_CHAR },
		{ S_IFBLK, ENTRY_BLOCK }, { S_IFIFO, ENTRY_FIFO }, { S_IFSOCK, ENTRY_FILE },
	};

	*at = (struct pick_attr){
		.mode = st->st_mode & 07777,
		.mtime = st->st_mtim.tv_sec, .mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
		.ctime = st->st_ctim.tv_sec, .ctime_ns = (uint32_t)st->st_ctim.tv_nsec,
		.dev = st->st_dev, .ino = st->st_ino, .empty = S_ISSOCK(st->st_mode),
	};
	for (size_t i = 0; i < countof(types); i++)
		if ((st->st_mode & S_IFMT) == types[i].fmt)
			at->type = types[i].type;
	if (S_ISREG(st->st_mode)) {
		at->size = (uint64_t)st->st_size;
		at->linked = st->st_nlink > 1;
	} else if (at->type == ENTRY_CHAR || at->type == ENTRY_BLOCK) {
		at->dev = major(st->st_rdev);
		at->ino = minor(st->st_rdev);
	} else if (at->type == ENTRY_SYMLINK) {
		at->mode = 0777;
	}
}

void pick_attr_entry(struct pick_attr *at, const struct entry *en)
{
	bool hard = en->type == ENTRY_LINK;

	*at = (struct pick_attr){
		.type = hard ? ENTRY_FILE : en->type,
		.mode = en->mode, .uid = en->uid, .gid = en->gid, .size = en->type == ENTRY_FILE ? en->size : 0,
		.mtime = en->mtime, .mtime_ns = en->mtime_ns,
		.text = en->type == ENTRY_SYMLINK ? en->link : en->type == ENTRY_FILE || hard ? en->path : NULL,
		.first = hard ? en->link : en->type == ENTRY_FILE ? en->path : NULL,
		.xattr = en->xattr, .nxattr = (uint32_t)en->nxattr, .linked = en->type == ENTRY_FILE || hard,
	};
	if (en->type == ENTRY_CHAR || en->type == ENTRY_BLOCK) {
		at->dev = en->major;
		at->ino = en->minor;
	}
}

/* Take the last component off. */
static void path_up(struct buf *path)
{
	while (path->n && path->p[path->n - 1] != '/')
		path->n--;
	if (path->n)
		path->n--;
	if (path->p)
		path->p[path->n] = '\0';
}

static void path_add(struct buf *path, struct slice name)
{
	if (path->n)
		buf_char(path, '/');
	buf_slice(path, name);
}

/* The next component of *rest, or an empty slice at its end. */
static struct slice path_next(struct slice *rest)
{
	struct slice head = *rest;

	while (head.n && head.p[0] == '/')
		head = slice_skip(head, 1);
	if (!slice_cut(head, '/', &head, rest))
		*rest = SLICE_NONE;
	return head;
}

void pick_clean(struct slice path, struct buf *out)
{
	struct slice name = path_next(&path);

	buf_add(out, "", 0);
	for (; name.n; name = path_next(&path)) {
		if (slice_is(name, ".."))
			path_up(out);
		else if (!slice_is(name, "."))
			path_add(out, name);
	}
}

static int too_long(struct slice path, struct err **e)
{
	return err_set(e, ERR_INPUT, "'%.*s': path longer than %d bytes or component longer than 255", 200 < path.n ? 200 : SLICE_F(path),
		       PATH_MOST);
}

/* A link was met at *real (its own name included): put its text in front of *rest. */
static int follow(struct buf *real, size_t root, const char *text, struct buf *rest_buf, struct slice *rest, struct err **e)
{
	struct buf next = BUF_MAX(4 * PATH_MOST);

	if (text[0] == '/') {
		real->n = root;
		real->p[root] = '\0';
	} else {
		path_up(real);
	}
	buf_str(&next, text);
	buf_char(&next, '/');
	buf_slice(&next, *rest);
	buf_free(rest_buf);
	*rest_buf = next;
	*rest = buf_view(rest_buf);
	return buf_ok(rest_buf, "path with links", e);
}

int pick_resolve(pick_find *find, void *arg, const char *root, struct slice path, bool follow_last, struct buf *real,
		 struct pick_attr *ret, struct err **e)
{
	AUTO(buf_freep) struct buf spliced = BUF_MAX(4 * PATH_MOST);
	struct slice rest = path;
	size_t top = strlen(root);
	bool missing = false;
	unsigned links = 0;
	int rc;

	buf_reset(real);
	buf_str(real, root);
	rc = find(arg, real->p, ret, e);
	if (rc < 0)
		return -1;
	missing = rc == PICK_MISS;
	for (struct slice name = path_next(&rest); name.n; name = path_next(&rest)) {
		if (slice_is(name, "."))
			continue;
		if (slice_is(name, "..")) {
			if (real->n > top)
				path_up(real);
			if (!missing)
				rc = find(arg, real->p, ret, e);
			if (rc < 0)
				return -1;
			continue;
		}
		if (!missing && ret->type != ENTRY_DIR)
			return PICK_NOTDIR;
		path_add(real, name);
		if (name.n > 255 || real->n > PATH_MOST)
			return too_long(buf_view(real), e);
		rc = missing ? PICK_MISS : find(arg, real->p, ret, e);
		if (rc < 0)
			return -1;
		missing = rc == PICK_MISS;
		if (missing || ret->type != ENTRY_SYMLINK || (!follow_last && !rest.n))
			continue;
		if (++links > LINKS_MOST)
			return err_set(e, ERR_INPUT, "'/%s': too many levels of symbolic links", real->p);
		if (follow(real, top, ret->text, &spliced, &rest, e) < 0)
			return -1;
		rc = find(arg, real->p, ret, e);
		if (rc < 0)
			return -1;
	}
	return missing ? PICK_MISS : 0;
}

/* The fd of the directory that holds path, kept for the next question. AT_MISSING. */
static int parent_of(struct pick_tree *t, const char *path, const char **name, struct err **e)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;
	int fd = -1;

	*name = slash ? slash + 1 : path;
	if (t->last_fd >= 0 && t->last.n == n && memcmp(t->last.p, path, n) == 0)
		return 0;
	fd_closep(&t->last_fd);
	t->last_fd = -1;
	buf_reset(&t->last);
	buf_add(&t->last, path, n);
	if (buf_ok(&t->last, "path", e) < 0)
		return -1;
	int rc = at_try(t->dir, n ? t->last.p : ".", O_PATH | O_DIRECTORY, &fd, e);
	if (rc)
		return rc;
	t->last_fd = fd;
	return 0;
}

static const char *link_text(int dir, const char *name, struct arena *a, struct err **e)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(PATH_MOST + 1);

	if (at_readlink(dir, name, &text, e) < 0)
		return NULL;
	return arena_str(a, buf_view(&text));
}

static int dir_find(struct pick_look *l, const char *path, struct pick_attr *ret, struct err **e)
{
	struct pick_tree *t = l->tree;
	const char *name = "";
	struct stat st;

	if (!path[0]) {
		if (fstat(t->dir, &st) < 0)
			return err_errno(e, ERR_SOURCE, errno, "cannot read the build context");
		pick_attr_stat(ret, &st);
		return 0;
	}
	int rc = parent_of(t, path, &name, e);
	if (rc == 0)
		rc = at_stat(t->last_fd, name, &st, e);
	if (rc < 0)
		return err_wrap(e, "cannot read '/%s'", path);
	if (rc == AT_MISSING)
		return PICK_MISS;
	pick_attr_stat(ret, &st);
	ret->text = ret->type == ENTRY_SYMLINK ? link_text(t->last_fd, name, l->arena, e) : NULL;
	if (ret->type == ENTRY_SYMLINK && !ret->text)
		return err_wrap(e, "cannot read link '/%s'", path);
	return pick_visible(t, l->arena, path, ret, NULL, e);
}

/* A hard link's size is known where its first name is; when that was hidden by a layer above, on disk. */
static int link_size(struct pick_tree *t, struct pick_attr *at, struct err **e)
{
	AUTO(fd_closep) int fd = -1;
	const char *name = "";
	struct entry en;
	struct stat st = { 0 };
	size_t layer;
	int rc;

	if (view_find(t->view, at->first, &en, &layer) == 0 && layer == at->dev && en.type == ENTRY_FILE) {
		at->size = en.size;
		return 0;
	}
	rc = t->layer_dir && t->layer_dir[at->dev] >= 0 ? at_parent(t->layer_dir[at->dev], at->text, &fd, &name, e) : AT_MISSING;
	if (rc == 0)
		rc = at_stat(fd, name, &st, e);
	if (rc < 0)
		return -1;
	if (rc == AT_MISSING)
		return err_set(e, ERR_HOST, "the layer that has '/%s' is not unpacked", at->text);
	at->size = (uint64_t)st.st_size;
	return 0;
}

static int view_attr(struct pick_tree *t, struct pick_attr *at, const struct entry *en, size_t layer, struct err **e)
{
	pick_attr_entry(at, en);
	if (at->type == ENTRY_FILE) {
		at->dev = layer;
		at->linked = view_links(t->view, layer);
	}
	return en->type == ENTRY_LINK ? link_size(t, at, e) : 0;
}

int pick_tree_find(void *arg, const char *path, struct pick_attr *ret, struct err **e)
{
	struct pick_look *l = arg;
	struct entry en;
	size_t layer;

	if (l->tree->dir >= 0)
		return dir_find(l, path, ret, e);
	if (view_find(l->tree->view, path, &en, &layer) == 0)
		return view_attr(l->tree, ret, &en, layer, e);
	if (path[0])
		return PICK_MISS;
	/* No layer lists its root. */
	*ret = (struct pick_attr){ .type = ENTRY_DIR, .mode = 0755 };
	return 0;
}

int pick_changed(const char *path, struct err **e)
{
	err_set(e, ERR_SOURCE, "'%s' changed while it was being read", path);
	return err_hint(e, "leave files that other programs write out of the copy (ignore file, --exclude), or build again");
}

static int view_open(struct pick_tree *t, const char *path, const struct pick_attr *at, int *ret, struct err **e)
{
	AUTO(fd_closep) int fd = -1;
	struct stat st;

	if (!t->layer_dir || t->layer_dir[at->dev] < 0)
		return err_set(e, ERR_HOST, "the layer that has '/%s' is not unpacked", path);
	int rc = at_open_file(t->layer_dir[at->dev], path, &fd, &st, e);
	if (rc < 0)
		return -1;
	if (rc == AT_MISSING || (uint64_t)st.st_size != at->size)
		return err_set(e, ERR_HOST, "the unpacked layer is damaged: '/%s' is not what its listing says", path);
	*ret = fd_take(&fd);
	return 0;
}

int pick_tree_open(struct pick_tree *t, const char *path, const struct pick_attr *at, int *ret, struct err **e)
{
	const char *name = "";
	struct stat st;

	if (t->dir < 0)
		return view_open(t, path, at, ret, e);
	int rc = parent_of(t, path, &name, e);
	if (rc < 0)
		return -1;
	if (rc == AT_MISSING)
		return pick_changed(path, e);
	/* The parent above is an O_PATH fd resolved in the root, name one component (P3); nothing is waited for (P7). */
	AUTO(fd_closep) int fd = openat(t->last_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0) {
		if (errno == ENOENT || errno == ELOOP || errno == ENOTDIR)
			return pick_changed(path, e);
		return err_errno(e, ERR_SOURCE, errno, "cannot read '%s'", path);
	}
	if (fstat(fd, &st) < 0)
		return err_errno(e, ERR_SOURCE, errno, "cannot read '%s'", path);
	if (!S_ISREG(st.st_mode) || st.st_dev != at->dev || st.st_ino != at->ino || (uint64_t)st.st_size != at->size ||
	    st.st_mtim.tv_sec != at->mtime || (uint32_t)st.st_mtim.tv_nsec != at->mtime_ns)
		return pick_changed(path, e);
	*ret = fd_take(&fd);
	return 0;
}

/* ---- listing a directory */

static int xattr_read(int fd, const char *path, const char *name, struct arena *a, struct xattr *ret, bool *have, struct err **e)
{
	char value[512], *big = NULL;
	ssize_t n = fgetxattr(fd, name, value, sizeof(value));

	*have = false;
	if (n < 0 && errno == ERANGE) {
		big = mem_alloc(XATTR_VALUE_MOST);
		n = fgetxattr(fd, name, big, XATTR_VALUE_MOST);
	}
	/* Best effort (9.5), but too big a value would be dropped silently. An empty one cannot be written (oci.md 1.6). */
	if (n < 0 && errno == ERANGE) {
		free(big);
		return err_set(e, ERR_LIMIT, "'%s': extended attribute %s is larger than %d bytes", path, name, XATTR_VALUE_MOST);
	}
	/* Version 3 of a capability belongs to a user namespace that is not the image's. */
	if (n > 0 && !(strcmp(name, "security.capability") == 0 && n != 20)) {
		ret->name = arena_str(a, slice_of(name));
		ret->value = arena_slice(a, (struct slice){ big ? big : value, (size_t)n });
		*have = true;
	}
	free(big);
	return 0;
}

static int xattr_order(const void *a, const void *b)
{
	return strcmp(((const struct xattr *)a)->name, ((const struct xattr *)b)->name);
}

int pick_xattrs(int fd, const char *path, struct arena *a, const struct xattr **ret, uint32_t *ret_n, struct err **e)
{
	char names[1024], *big = NULL;
	ssize_t len = flistxattr(fd, names, sizeof(names));
	struct xattr *x = NULL;
	uint32_t n = 0;
	int rc = 0;

	*ret = NULL;
	*ret_n = 0;
	if (len < 0 && errno == ERANGE) {
		big = mem_alloc(XATTR_LIST_MOST);
		len = flistxattr(fd, big, XATTR_LIST_MOST);
	}
	for (const char *p = big ? big : names, *end = p + (len > 0 ? len : 0); p < end && rc == 0; p += strlen(p) + 1) {
		bool have = false;

		if (!xattr_allowed(p))
			continue;
		if (!x)
			x = arena_alloc(a, XATTR_MOST * sizeof(*x));
		if (n == XATTR_MOST)
			rc = err_set(e, ERR_LIMIT, "'%s' has more than %d extended attributes", path, XATTR_MOST);
		else
			rc = xattr_read(fd, path, p, a, &x[n], &have, e);
		n += have;
	}
	free(big);
	if (n)
		qsort(x, n, sizeof(*x), xattr_order);
	*ret = n ? x : NULL;
	*ret_n = n;
	return rc;
}

int pick_dir_open(struct pick_tree *t, struct arena *a, const char *path, const struct pick_attr *at, struct pick_dir *ret, struct err **e)
{
	struct stat st;

	*ret = (struct pick_dir){ .tree = t, .arena = a, .path = path, .fd = -1 };
	if (t->dir < 0) {
		ret->xattr = at->xattr;
		ret->nxattr = at->nxattr;
		return 0;
	}
	AUTO(fd_closep) int fd = at_open(t->dir, path[0] ? path : ".", O_RDONLY | O_DIRECTORY, 0, e);
	if (fd < 0 || fstat(fd, &st) < 0) {
		if (fd < 0)
			err_kind_set(e, ERR_SOURCE);
		return fd < 0 ? err_wrap(e, "cannot list '/%s'", path) : err_errno(e, ERR_SOURCE, errno, "cannot list '/%s'", path);
	}
	if (st.st_dev != at->dev || st.st_ino != at->ino)
		return pick_changed(path, e);
	if (pick_xattrs(fd, path, a, &ret->xattr, &ret->nxattr, e) < 0 || at_list(fd, &ret->names, e) < 0)
		return err_wrap(e, "cannot list '/%s'", path);
	ret->fd = fd_take(&fd);
	return 0;
}

struct each_kid {
	struct pick_dir *dir;
	pick_kid_fn *fn;
	void *arg;
};

static int view_kid(void *arg, const char *name, const struct entry *en, size_t layer, struct err **e)
{
	struct each_kid *k = arg;
	struct pick_kid kid = { .name = name, .file = en->type != ENTRY_DIR, .en = en, .layer = layer };

	return k->fn(k->arg, k->dir, &kid, e);
}

int pick_dir_each(struct pick_dir *d, pick_kid_fn *fn, void *arg, struct err **e)
{
	int rc = 0;

	if (d->tree->dir < 0) {
		AUTO(mem_freep) char *path = mem_str(d->path);

		return view_children(d->tree->view, path, view_kid, &(struct each_kid){ d, fn, arg }, e);
	}
	for (size_t i = 0; i < d->names.n && rc == 0; i++) {
		unsigned char type = d->names.type[i];
		struct pick_kid kid = { .name = d->names.name[i], .file = type != DT_DIR && type != DT_UNKNOWN };

		rc = fn(arg, d, &kid, e);
	}
	return rc;
}

int pick_dir_attr(struct pick_dir *d, const struct pick_kid *k, struct pick_attr *ret, struct err **e)
{
	struct stat st;

	if (d->tree->dir < 0)
		return view_attr(d->tree, ret, k->en, k->layer, e);
	if (fstatat(d->fd, k->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? pick_changed(k->name, e) : err_errno(e, ERR_SOURCE, errno, "cannot read '%s'", k->name);
	pick_attr_stat(ret, &st);
	if (ret->type != ENTRY_SYMLINK)
		return 0;
	ret->text = link_text(d->fd, k->name, d->arena, e);
	return ret->text ? 0 : err_wrap(e, "cannot read link '%s'", k->name);
}

void pick_dir_close(struct pick_dir *d)
{
	fd_closep(&d->fd);
	d->fd = -1;
	at_names_clear(&d->names);
}
