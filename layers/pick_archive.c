/* layers/pick_archive.c - an archive that ADD extracts (spec/dockerfile.md 10.2, spec/threats.md 3, mode plain).
 *
 * Nothing is created in a tree: entries become nodes of the layer in the making, where names are resolved against what is there
 * already, with the destination as the root. Content goes, in the order of the archive, into one unlinked file of the spool.
 */
#include "layers/comp.h"
#include "layers/pick_parts.h"
#include "layers/tarin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 256 << 10, TAR_BLOCK = 512 };

/* Any failure while looking means: not an archive. What it really is, its copy will tell. */
int pick_archive_test(int take_fd, const char *name, struct err **e)
{
	AUTO(stream_drop) struct stream *s = NULL;
	unsigned char head[TAR_BLOCK];
	const struct comp *comp = NULL;
	size_t n = 0;
	ssize_t got = 0;

	if (comp_detect(stream_fd(take_fd, name), COMP_ANY, &s, &comp, NULL) < 0)
		return 0;
	do {
		got = stream_read(s, head + n, sizeof(head) - n, NULL);
		if (got > 0)
			n += (size_t)got;
	} while (got > 0 && n < sizeof(head));
	/* Zeros end an archive, and alone are none. */
	for (size_t i = 0; i < n; i++)
		if (head[i])
			return tar_magic(head, n) ? PICK_FOUND : 0;
	return 0;
}

static int spool_open(struct picked *p, struct err **e)
{
	char name[33];

	if (p->spool >= 0)
		return 0;
	at_random_name(name);
	AUTO(fd_closep) int fd = at_open_store(p->req->spool, name, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW, 0600, e);
	if (fd < 0 || at_unlink(p->req->spool, name, e) < 0)
		return -1;
	p->spool = fd_take(&fd);
	return 0;
}

struct unpacking {
	struct picked *p;
	struct entries *src;
	const char *root;                /* destination, a real path */
	struct pick_from *from;          /* the spool file */
	struct hasher *hash;
	char *block;
	struct buf parent, path;
};

/* The directory that a name of the archive lies in: links followed below root, missing parents made, a file in the way replaced
 * (E11). */
static int parent_dir(struct unpacking *u, struct slice dir, struct pick_node **ret, struct err **e)
{
	struct pick_attr at, plain = { .type = ENTRY_DIR, .mode = 0755, .mtime = INT64_MIN };

	/* Each turn replaces one thing that is no directory. */
	for (unsigned i = 0; i < 2048; i++) {
		int rc = pick_resolve(pick_dest_find, u->p, u->root, dir, true, &u->parent, &at, e);

		if (rc < 0)
			return -1;
		if (rc == PICK_MISS || (rc == 0 && at.type == ENTRY_DIR))
			return pick_dest_dir(u->p, u->parent.p, MAKE_PLAIN, ret, e);
		const char *slash = strrchr(u->parent.p, '/');
		struct slice up = slash ? slice_range(u->parent.p, slash) : SLICE_NONE;
		const char *above = arena_str(&u->p->arena, up);
		const char *name = arena_str(&u->p->arena, slice_of(slash ? slash + 1 : u->parent.p));
		if (pick_dest_dir(u->p, above, MAKE_PLAIN, ret, e) < 0 || pick_dest_replace(u->p, *ret, name, &plain, ret, e) < 0)
			return -1;
		(*ret)->flags |= NODE_MADE;
	}
	return err_set(e, ERR_SOURCE, "the directory of '%.*s' cannot be made", SLICE_F(dir));
}

static struct slice dir_part(const char *path, const char **base)
{
	const char *slash = strrchr(path, '/');

	*base = slash ? slash + 1 : path;
	return slash ? slice_range(path, slash) : SLICE_NONE;
}

/* The content of an entry to the end of the spool. */
static int spool_content(struct unpacking *u, const struct entry *en, struct pick_node *n, struct err **e)
{
	struct picked *p = u->p;
	uint64_t left = en->size;
	struct pick_digest d = { 0 };

	n->from = u->from;
	n->at.dev = 0;
	n->at.ino = p->spool_size;
	while (left) {
		ssize_t got = entries_data(u->src, u->block, BLOCK, e);

		if (got < 0)
			return -1;
		if (got == 0 || (uint64_t)got > left)
			return err_set(e, ERR_SOURCE, "'%s' has not the size that the archive announced", en->path);
		if (fd_write_all(p->spool, u->block, (size_t)got, e) < 0)
			return err_wrap(e, "cannot unpack '%s'", en->path);
		hasher_add(u->hash, u->block, (size_t)got);
		left -= (uint64_t)got;
		p->spool_size += (uint64_t)got;
	}
	hasher_end(u->hash, &d.d);
	n->digest = arena_dup(&p->arena, &d, sizeof(d));
	return 0;
}

static const struct xattr *keep_xattrs(struct arena *a, const struct entry *en)
{
	struct xattr *x = en->nxattr ? arena_alloc(a, en->nxattr * sizeof(*x)) : NULL;

	for (size_t i = 0; i < en->nxattr; i++) {
		x[i].name = arena_str(a, slice_of(en->xattr[i].name));
		x[i].value = arena_slice(a, en->xattr[i].value);
	}
	return x;
}

/* A hard link: another name for a file that this archive, or an earlier source, put there. */
static int put_link(struct unpacking *u, const struct entry *en, struct pick_node *dir, const char *name, struct err **e)
{
	struct picked *p = u->p;
	struct pick_node *to = NULL, *n = NULL;
	const char *base = "";
	struct slice up = dir_part(en->link, &base);
	struct pick_attr at;

	int rc = pick_resolve(pick_dest_find, p, u->root, up, true, &u->path, &at, e);
	if (rc < 0)
		return -1;
	if (rc == 0 && at.type == ENTRY_DIR && pick_dest_dir(p, u->path.p, MAKE_PLAIN, &to, e) < 0)
		return -1;
	to = to ? pick_node_kid(to, base) : NULL;
	if (!to || to->at.type == ENTRY_DIR) {
		err_set(e, ERR_SOURCE, "hard link '%s': its target '%s' is not a file of the archive", en->path, en->link);
		return err_hint(e, "a link to a file that only the layers below have cannot be written into this one");
	}
	if (to->up == dir && strcmp(to->name, name) == 0)
		return err_set(e, ERR_SOURCE, "hard link '%s' points to itself", en->path);
	if (to->at.type == ENTRY_FILE && !to->group)
		to->group = ++p->groups;
	struct pick_node old = *to;
	if (pick_dest_replace(p, dir, name, &old.at, &n, e) < 0)
		return -1;
	if (old.at.type == ENTRY_FILE) {
		n->from = old.from;
		n->digest = old.digest;
		n->group = old.group;
	}
	n->flags |= NODE_ARCHIVE;
	return 0;
}

static int put_entry(struct unpacking *u, const struct entry *en, struct err **e)
{
	struct picked *p = u->p;
	struct pick_node *dir = NULL, *n = NULL;
	const char *base = "";
	struct slice up = dir_part(en->path, &base);
	struct pick_attr at;

	/* An entry for the destination itself is skipped. */
	if (!en->path[0])
		return 0;
	if (parent_dir(u, up, &dir, e) < 0)
		return -1;
	const char *name = arena_str(&p->arena, slice_of(base));
	if (en->type == ENTRY_LINK)
		return put_link(u, en, dir, name, e);
	pick_attr_entry(&at, en);
	at.text = en->type == ENTRY_SYMLINK ? arena_str(&p->arena, slice_of(en->link)) : NULL;
	if (en->type == ENTRY_SYMLINK)
		at.mode = 0777;          /* a link has no other, whatever the archive says */
	at.first = NULL;
	at.linked = false;
	at.xattr = keep_xattrs(&p->arena, en);
	if (p->req->has_owner) {
		at.uid = p->req->uid;
		at.gid = p->req->gid;
	}
	if (pick_dest_replace(p, dir, name, &at, &n, e) < 0)
		return -1;
	n->flags |= NODE_ARCHIVE;
	return en->type == ENTRY_FILE ? spool_content(u, en, n, e) : 0;
}

static int unpack_all(struct unpacking *u, struct err **e)
{
	const struct entry *en = NULL;
	int rc;

	while ((rc = entries_next(u->src, &en, e)) == 1)
		if (put_entry(u, en, e) < 0)
			return err_wrap(e, "cannot unpack '%s'", en->path);
	return rc;
}

int pick_archive_unpack(struct picked *p, int take_fd, const char *name, const char *dest, struct err **e)
{
	AUTO(fd_closep) int fd = take_fd;
	struct unpacking u = { .p = p, .root = dest, .parent = BUF_MAX(64 << 10), .path = BUF_MAX(64 << 10) };
	struct tarin_opts o = { .mode = TAR_PLAIN };
	const struct comp *comp = NULL;
	struct stream *s = NULL;

	if (spool_open(p, e) < 0 || comp_detect(stream_fd(fd_take(&fd), name), COMP_ANY, &s, &comp, e) < 0)
		return -1;
	if (tarin_new(s, &o, &u.src, e) < 0)
		return -1;
	u.from = arena_alloc(&p->arena, sizeof(*u.from));
	*u.from = (struct pick_from){ .fd = p->spool };
	u.hash = hasher_new();
	u.block = mem_alloc(BLOCK);
	int rc = unpack_all(&u, e);
	/* The verdict on the rest of the stream, checksums included. */
	if (entries_close(u.src, rc < 0 ? NULL : e) < 0)
		rc = -1;
	hasher_free(u.hash);
	free(u.block);
	buf_free(&u.parent);
	buf_free(&u.path);
	p->unpacked = true;
	return rc < 0 ? err_wrap(e, "unpack error: '%s'", name) : 0;
}
