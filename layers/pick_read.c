/* layers/pick_read.c - the finished list as a source of entries, and as its content digest.
 *
 * Both make their entries by the same function, so the digest that the stat cache gives is the one that reading gives.
 */
#include "layers/pick_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 256 << 10 };

void pick_from_path(const struct pick_from *from, const char *name, struct buf *out)
{
	size_t len = strlen(name) + 1;

	/* In a view it is the path in a layer already. */
	if (from->tree && from->tree->dir < 0)
		from = NULL;
	for (const struct pick_from *f = from; f; f = f->up)
		len += f->name[0] ? strlen(f->name) + 1 : 0;
	char *path = pick_path_room(out, len);
	size_t pos = path ? pick_prepend(path, len - 1, name) : 0;
	for (; path && from; from = from->up)
		pos = pick_prepend(path, pos, from->name);
}

static void stat_of(const struct pick_attr *at, struct stat *ret)
{
	*ret = (struct stat){
		.st_dev = at->dev, .st_ino = at->ino, .st_mode = S_IFREG | at->mode, .st_size = (off_t)at->size,
		.st_mtim = { .tv_sec = at->mtime, .tv_nsec = at->mtime_ns },
		.st_ctim = { .tv_sec = at->ctime, .tv_nsec = at->ctime_ns },
	};
}

/* Only files of a directory have a stat that says something. */
static bool has_stat(const struct pick_from *from)
{
	return from && from->tree && from->tree->dir >= 0;
}

/* Everything but the content and, for files of a directory, the xattrs. path and link are filled. */
static void entry_of(const struct picked *p, const struct pick_node *n, struct buf *path, struct buf *link, struct entry *ret)
{
	const struct pick_attr *at = &n->at;
	bool device = at->type == ENTRY_CHAR || at->type == ENTRY_BLOCK;

	pick_node_path(n, path);
	*ret = (struct entry){
		.type = at->type, .path = path->p, .link = at->type == ENTRY_SYMLINK ? at->text : NULL,
		.mode = at->mode, .uid = at->uid, .gid = at->gid, .mtime = at->mtime, .mtime_ns = at->mtime_ns,
		.size = at->type == ENTRY_FILE ? at->size : 0,
		.major = device ? (uint32_t)at->dev : 0, .minor = device ? (uint32_t)at->ino : 0,
		.xattr = at->xattr, .nxattr = at->nxattr, .parent = n->flags & NODE_PARENT,
	};
	if (at->type == ENTRY_FILE && n->group && p->first[n->group] != n) {
		const struct pick_node *first = p->first[n->group];

		pick_node_path(first, link);
		ret->type = ENTRY_LINK;
		ret->link = link->p;
		ret->size = 0;
		/* Readers differ in whose metadata they apply (oci.md 1.6): the same on both. */
		ret->mode = first->at.mode;
		ret->uid = first->at.uid;
		ret->gid = first->at.gid;
		ret->mtime = first->at.mtime;
		ret->mtime_ns = first->at.mtime_ns;
	}
}

size_t picked_count(const struct picked *p)
{
	return p->n;
}

size_t picked_selected(const struct picked *p)
{
	return p->selected;
}

bool picked_nothing(const struct picked *p, size_t source)
{
	return p->nothing[source];
}

size_t picked_archives(const struct picked *p)
{
	return p->narchive;
}

void picked_at(const struct picked *p, size_t i, struct picked_item *ret)
{
	const struct pick_node *n = pick_at(p, i);
	struct pick_scratch *s = p->scratch;
	bool file = n->at.type == ENTRY_FILE && n->from;
	const struct pick_digest *digest = n->at.type == ENTRY_FILE ? n->digest : NULL;

	entry_of(p, n, &s->path, &s->link, &s->en);
	*ret = (struct picked_item){ .en = &s->en, .digest = !digest ? NULL : digest->xattrs ? digest->xattrs : &digest->d, .parent = n->flags & NODE_PARENT };
	if (file && n->from->tree) {
		pick_from_path(n->from, n->at.text, &s->source);
		ret->source = s->source.p;
	}
	if (n->at.type == ENTRY_DIR)
		ret->source = n->at.text;
	if (file && has_stat(n->from)) {
		stat_of(&n->at, &s->st);
		ret->st = &s->st;
	}
}

void picked_tops(const struct picked *p, struct buf *out)
{
	for (const struct pick_top *t = p->top; t; t = t->next)
		buf_printf(out, "%s %zu:%s %o %u:%u\n", t->archive ? "archive" : "directory", strlen(t->name), t->name, t->at.mode, t->at.uid,
			   t->at.gid);
}

void picked_each_top(const struct picked *p, picked_top_fn *fn, void *arg)
{
	for (const struct pick_top *t = p->top; t; t = t->next)
		fn(arg, t->name, t->archive, t->at.mode, t->digest ? &t->digest->d : NULL);
}

/* ---- one file being read */

struct reading {
	const struct picked *p;
	int fd;
	bool own;
	bool check;                      /* compare with what was listed, at the end */
	uint64_t off, left;
	struct slice bytes;
	struct hasher *hash;
	int64_t read_at;
	const struct pick_from *from;
	const struct pick_attr *at;
	struct pick_digest **digest;     /* where the answer is kept */
	struct arena xattrs;
	const struct xattr *xattr;
	uint32_t nxattr;
};

static void reading_end(struct reading *r)
{
	if (r->own)
		fd_closep(&r->fd);
	r->fd = -1;
	r->own = false;
}

static int64_t wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int reading_start(struct reading *r, const struct pick_from *from, const struct pick_attr *at, struct pick_digest **digest,
			 struct err **e)
{
	AUTO(buf_freep) struct buf path = BUF_MAX(64 << 10);

	reading_end(r);
	arena_clear(&r->xattrs);
	r->from = from;
	r->at = at;
	r->digest = digest;
	r->left = at->size;
	r->bytes = SLICE_NONE;
	r->check = false;
	r->xattr = at->xattr;
	r->nxattr = at->nxattr;
	if (!from || (!from->tree && from->fd < 0)) {
		if (from)
			r->bytes = from->bytes;
		return 0;
	}
	if (!from->tree) {
		r->fd = from->fd;
		r->off = at->ino;
		return 0;
	}
	if (at->size == 0 && !has_stat(from))
		return 0;
	pick_from_path(from, at->text, &path);
	r->read_at = wall_ns();
	r->off = 0;
	if (buf_ok(&path, "path", e) < 0 || pick_tree_open(from->tree, path.p, at, &r->fd, e) < 0)
		return -1;
	r->own = true;
	r->check = has_stat(from);
	return r->check ? pick_xattrs(r->fd, path.p, &r->xattrs, &r->xattr, &r->nxattr, e) : 0;
}

static const struct digest *with_xattrs(struct reading *r, const struct digest *content)
{
	AUTO(hasher_freep) struct hasher *h = hasher_new();
	const struct entry en = { .type = ENTRY_FILE, .path = "", .xattr = r->xattr, .nxattr = r->nxattr };
	struct digest d;

	content_add(h, &en, content);
	hasher_end(h, &d);
	return arena_dup(&r->p->scratch->digests, &d, sizeof(d));
}

/* The file is read: was it what was listed all the time (W3)? */
static int reading_done(struct reading *r, pick_put *put, void *arg, struct err **e)
{
	struct pick_digest d = { 0 };
	struct stat st;
	bool same = true;

	hasher_end(r->hash, &d.d);
	if (r->check) {
		if (fstat(r->fd, &st) < 0)
			return err_errno(e, ERR_SOURCE, errno, "cannot read '%s'", r->at->text);
		same = (uint64_t)st.st_size == r->at->size && st.st_mtim.tv_sec == r->at->mtime &&
		       (uint32_t)st.st_mtim.tv_nsec == r->at->mtime_ns;
	}
	if (!same)
		return pick_changed(r->at->text, e);
	if (r->check && r->nxattr)
		d.xattrs = with_xattrs(r, &d.d);
	*r->digest = arena_dup(&r->p->scratch->digests, &d, sizeof(d));
	/* A change of the xattrs changes the ctime: who finds this file remembered knows that it has none. */
	if (r->check && put && !r->nxattr) {
		stat_of(r->at, &st);
		put(arg, &st, r->read_at, &d.d);
	}
	reading_end(r);
	return 0;
}

static ssize_t reading_some(struct reading *r, void *to, size_t n, struct err **e)
{
	ssize_t got = 0;

	if (r->left < n)
		n = (size_t)r->left;
	if (n == 0)
		return 0;
	if (r->fd < 0) {
		memcpy(to, r->bytes.p + (r->at->size - r->left), n);
		got = (ssize_t)n;
	} else {
		do
			got = pread(r->fd, to, n, (off_t)r->off);
		while (got < 0 && errno == EINTR);
		if (got < 0)
			return err_errno(e, ERR_SOURCE, errno, "cannot read '%s'", r->at->text ? r->at->text : "the unpacked archive");
		if (got == 0)
			return pick_changed(r->at->text ? r->at->text : "the unpacked archive", e);
		r->off += (uint64_t)got;
	}
	r->left -= (uint64_t)got;
	hasher_add(r->hash, to, (size_t)got);
	return got;
}

/* ---- the digest */

struct digesting {
	pick_get *get;
	pick_put *put;
	void *arg;
	uint64_t left;                   /* may still be read */
	struct reading r;
	char *block;
};

/* The digest and, of a file that has some, the xattrs. 0, PICK_UNKNOWN. */
static int know(struct digesting *d, const struct pick_from *from, const struct pick_attr *at, struct pick_digest **digest,
		struct entry *en, struct err **e)
{
	struct pick_digest known = { 0 };
	struct stat st;
	ssize_t n = 0;

	if (*digest && !(*digest)->xattrs)
		return 0;
	if (!*digest && has_stat(from) && d->get) {
		stat_of(at, &st);
		if (d->get(d->arg, &st, &known.d)) {
			*digest = arena_dup(&d->r.p->scratch->digests, &known, sizeof(known));
			return 0;
		}
	}
	if (!*digest && at->size > d->left)
		return PICK_UNKNOWN;
	if (reading_start(&d->r, from, at, digest, e) < 0)
		return -1;
	en->xattr = d->r.xattr;
	en->nxattr = d->r.nxattr;
	if (*digest)
		return 0;
	d->left -= at->size;
	if (!d->block)
		d->block = mem_alloc(BLOCK);
	do
		n = reading_some(&d->r, d->block, BLOCK, e);
	while (n > 0);
	return n < 0 ? -1 : reading_done(&d->r, d->put, d->arg, e);
}

static int digest_all(const struct picked *p, struct digesting *d, struct hasher *all, struct err **e)
{
	struct pick_scratch *s = p->scratch;
	int rc = 0;

	for (size_t i = 0; i < p->n && rc == 0; i++) {
		struct pick_node *n = pick_at(p, i);

		if (n->flags & (NODE_PARENT | NODE_ARCHIVE))
			continue;
		entry_of(p, n, &s->path, &s->link, &s->en);
		if (s->en.type == ENTRY_FILE)
			rc = know(d, n->from, &n->at, &n->digest, &s->en, e);
		if (rc == 0)
			content_add(all, &s->en, s->en.type == ENTRY_FILE ? &n->digest->d : NULL);
	}
	for (struct pick_top *t = p->top; t && rc == 0; t = t->next) {
		if (!t->archive)
			continue;
		s->en = (struct entry){ .type = ENTRY_FILE, .path = t->name, .mode = t->at.mode, .uid = t->at.uid, .gid = t->at.gid,
					.size = t->at.size };
		rc = know(d, t->from, &t->at, &t->digest, &s->en, e);
		if (rc == 0)
			content_add(all, &s->en, &t->digest->d);
	}
	return rc;
}

int picked_digest(const struct picked *p, pick_get *get, pick_put *put, void *arg, uint64_t most, struct digest *ret, struct err **e)
{
	AUTO(hasher_freep) struct hasher *all = hasher_new();
	struct digesting d = { .get = get, .put = put, .arg = arg, .left = most, .r = { .p = p, .fd = -1, .hash = hasher_new() } };
	int rc = digest_all(p, &d, all, e);

	reading_end(&d.r);
	arena_clear(&d.r.xattrs);
	hasher_free(d.r.hash);
	free(d.block);
	if (rc == 0)
		hasher_end(all, ret);
	return rc;
}

/* ---- the entries */

struct picking {
	struct entries src;
	const struct picked *p;
	pick_put *put;
	void *arg;
	size_t next;
	bool opaque;                     /* the mark of the directory just given is due */
	bool open;                       /* a file that was not read to its end */
	struct entry en;
	struct buf path, link;
	struct reading r;
};

static int picking_next(struct entries *src, const struct entry **ret, struct err **e)
{
	struct picking *k = container_of(src, struct picking, src);

	if (k->open)
		return err_set(e, ERR_BUG, "'%s' was not read to its end", k->en.path);
	if (k->p->narchive && !k->p->unpacked)
		return err_set(e, ERR_BUG, "the archives of a copy are not unpacked");
	*ret = &k->en;
	if (k->opaque) {
		k->opaque = false;
		k->en = (struct entry){ .type = ENTRY_OPAQUE, .path = k->path.p, .parent = true };
		return 1;
	}
	if (k->next == k->p->n)
		return 0;
	struct pick_node *n = pick_at(k->p, k->next++);
	entry_of(k->p, n, &k->path, &k->link, &k->en);
	if (buf_ok(&k->path, "path", e) < 0)
		return -1;
	k->opaque = n->at.type == ENTRY_DIR && n->flags & NODE_OPAQUE;
	if (k->en.type != ENTRY_FILE)
		return 1;
	if (reading_start(&k->r, n->from, &n->at, &n->digest, e) < 0)
		return -1;
	k->en.xattr = k->r.xattr;
	k->en.nxattr = k->r.nxattr;
	k->open = true;
	if (k->r.left == 0) {
		k->open = false;
		return reading_done(&k->r, k->put, k->arg, e) < 0 ? -1 : 1;
	}
	return 1;
}

/* The check that the file did not change comes with its last byte, before anybody takes the file for complete. */
static ssize_t picking_data(struct entries *src, void *to, size_t n, struct err **e)
{
	struct picking *k = container_of(src, struct picking, src);

	if (!k->open)
		return 0;
	ssize_t got = reading_some(&k->r, to, n, e);
	if (got < 0 || k->r.left)
		return got;
	k->open = false;
	return reading_done(&k->r, k->put, k->arg, e) < 0 ? -1 : got;
}

static int picking_close(struct entries *src, struct err **e)
{
	struct picking *k = container_of(src, struct picking, src);

	reading_end(&k->r);
	arena_clear(&k->r.xattrs);
	hasher_free(k->r.hash);
	buf_free(&k->path);
	buf_free(&k->link);
	free(k);
	return 0;
}

struct entries *picked_entries(const struct picked *p, pick_put *put, void *arg)
{
	static const struct entries_ops ops = { picking_next, picking_data, picking_close };
	struct picking *k = mem_zalloc(sizeof(*k));

	*k = (struct picking){
		.src = { &ops }, .p = p, .put = put, .arg = arg, .path = BUF_MAX(64 << 10), .link = BUF_MAX(64 << 10),
		.r = { .p = p, .fd = -1, .hash = hasher_new() },
	};
	return &k->src;
}
