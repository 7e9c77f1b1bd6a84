/* layers/pick_dest.c - the layer in the making: a tree of nodes on top of the target's view (spec/dockerfile.md 9.3, 9.4).
 *
 * A directory remembers when the target has nothing below it (NODE_FRESH): then no name in it is looked up there, and copying
 * into a new directory, which is the usual case, costs no look-ups at all. Sources come sorted, so a new child is nearly
 * always the last one.
 */
#include "layers/pick_parts.h"

#include <stdlib.h>

void pick_node_path(const struct pick_node *n, struct buf *out)
{
	size_t len = 0;

	for (const struct pick_node *d = n; d->up; d = d->up)
		len += strlen(d->name) + 1;
	char *path = pick_path_room(out, len);
	for (size_t pos = len - 1; path && n->up; n = n->up)
		pos = pick_prepend(path, pos, n->name);
}

/* Where name is among the children, or would be. */
static bool kid_find(const struct pick_node *dir, struct slice name, uint32_t *ret)
{
	uint32_t lo = 0, hi = dir->nkid;

	if (hi) {
		int c = slice_cmp(slice_of(dir->kid[hi - 1]->name), name);

		*ret = c < 0 ? hi : hi - 1;
		if (c <= 0)
			return c == 0;
		hi--;
	}
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = slice_cmp(slice_of(dir->kid[mid]->name), name);

		if (c == 0) {
			*ret = mid;
			return true;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*ret = lo;
	return false;
}

static struct pick_node *kid_get(const struct pick_node *dir, struct slice name)
{
	uint32_t i = 0;

	return kid_find(dir, name, &i) ? dir->kid[i] : NULL;
}

struct pick_node *pick_node_kid(const struct pick_node *n, const char *name)
{
	return kid_get(n, slice_of(name));
}

static struct pick_node *kid_add(struct picked *p, struct pick_node *dir, const char *name)
{
	struct pick_node *n = arena_alloc(&p->arena, sizeof(*n));
	uint32_t i = 0;

	kid_find(dir, slice_of(name), &i);
	if (dir->nkid == dir->cap) {
		uint32_t cap = dir->cap ? dir->cap * 2 : 8;
		struct pick_node **more = arena_alloc(&p->arena, cap * sizeof(struct pick_node *));

		if (dir->nkid)
			memcpy(more, dir->kid, dir->nkid * sizeof(struct pick_node *));
		dir->kid = more;
		dir->cap = cap;
	}
	memmove(dir->kid + i + 1, dir->kid + i, (dir->nkid - i) * sizeof(struct pick_node *));
	dir->kid[i] = n;
	dir->nkid++;
	p->made++;
	n->up = dir;
	n->name = name;
	return n;
}

static int target_find(const struct picked *p, const char *path, struct pick_attr *ret)
{
	struct entry en;
	size_t layer;

	if (!p->target || view_find(p->target, path, &en, &layer) != 0)
		return PICK_MISS;
	pick_attr_entry(ret, &en);
	return 0;
}

/* What the target has at dir/name, where the layer in the making has nothing. */
static int below(const struct picked *p, const struct pick_node *dir, const char *name, struct pick_attr *ret, struct err **e)
{
	AUTO(buf_freep) struct buf path = BUF_MAX(64 << 10);

	if (dir->flags & NODE_FRESH)
		return PICK_MISS;
	pick_node_path(dir, &path);
	if (path.n)
		buf_char(&path, '/');
	buf_str(&path, name);
	return buf_ok(&path, "path", e) < 0 ? -1 : target_find(p, path.p, ret);
}

int pick_dest_find(void *arg, const char *path, struct pick_attr *ret, struct err **e)
{
	const struct picked *p = arg;
	const struct pick_node *n = &p->root;
	struct slice rest = slice_of(path), name;

	while (rest.n) {
		if (!slice_cut(rest, '/', &name, &rest))
			rest = SLICE_NONE;
		if (n->at.type != ENTRY_DIR)
			return PICK_MISS;
		const struct pick_node *kid = kid_get(n, name);
		if (!kid)
			return n->flags & NODE_FRESH ? PICK_MISS : target_find(p, path, ret);
		n = kid;
	}
	*ret = n->at;
	return 0;
}

int pick_apply(const struct picked *p, struct pick_attr *at, struct err **e)
{
	const struct pick_req *r = p->req;

	if (r->has_owner) {
		at->uid = r->uid;
		at->gid = r->gid;
	}
	if (!r->chmod || !r->chmod[0] || at->type == ENTRY_SYMLINK)
		return 0;
	return pick_chmod(r->chmod, at->mode, at->type == ENTRY_DIR, &at->mode, e);
}

static void made_attr(const struct picked *p, enum pick_make how, struct pick_attr *at)
{
	const struct pick_req *r = p->req;
	uint64_t mode = 0;

	*at = (struct pick_attr){ .type = ENTRY_DIR, .mode = 0755, .mtime = INT64_MIN };
	if (how != MAKE_PLAIN && r->has_owner) {
		at->uid = r->uid;
		at->gid = r->gid;
	}
	if (how == MAKE_COPY && r->chmod && slice_octal(slice_of(r->chmod), 07777, &mode))
		at->mode = (uint32_t)mode & 0777;
}

static int not_dir(const struct picked *p, enum pick_make how, const struct pick_node *dir, const char *name, struct err **e)
{
	AUTO(buf_freep) struct buf path = BUF_MAX(64 << 10);

	pick_node_path(dir, &path);
	err_set(e, ERR_INPUT, "'/%.*s%s%s': not a directory", SLICE_F(buf_view(&path)), path.n ? "/" : "", name);
	return how == MAKE_PLAIN ? -1 : pick_dest_bad(p, e);
}

int pick_dest_dir(struct picked *p, const char *path, enum pick_make how, struct pick_node **ret, struct err **e)
{
	struct slice rest = slice_of(path), name;
	struct pick_node *n = &p->root;

	while (rest.n) {
		if (!slice_cut(rest, '/', &name, &rest))
			rest = SLICE_NONE;
		struct pick_node *kid = kid_get(n, name);
		if (!kid) {
			const char *copy = arena_str(&p->arena, name);
			uint32_t flags = NODE_PARENT;
			struct pick_attr at;
			int rc = below(p, n, copy, &at, e);

			if (rc < 0)
				return -1;
			if (rc == PICK_MISS) {
				made_attr(p, how, &at);
				flags |= NODE_MADE | NODE_FRESH;
			}
			if (at.type != ENTRY_DIR)
				return not_dir(p, how, n, copy, e);
			kid = kid_add(p, n, copy);
			kid->at = at;
			kid->flags = flags;
		}
		if (kid->at.type != ENTRY_DIR)
			return not_dir(p, how, n, kid->name, e);
		n = kid;
	}
	*ret = n;
	return 0;
}

static int clash(const struct pick_node *dir, const char *name, bool is_dir, struct err **e)
{
	AUTO(buf_freep) struct buf path = BUF_MAX(64 << 10);

	pick_node_path(dir, &path);
	if (path.n)
		buf_char(&path, '/');
	buf_str(&path, name);
	if (is_dir)
		return err_set(e, ERR_INPUT, "cannot copy to non-directory: '/%s'", path.p);
	return err_set(e, ERR_INPUT, "cannot replace to directory '/%s' with file", path.p);
}

/* The node becomes *at; its name and place stay. A directory that stays one keeps its children. */
static void node_set(struct pick_node *n, const struct pick_attr *at)
{
	if (at->type != ENTRY_DIR || n->at.type != ENTRY_DIR) {
		n->kid = NULL;
		n->nkid = n->cap = 0;
		n->flags = 0;
	}
	if (at->type != ENTRY_DIR) {
		n->from = NULL;
		n->digest = NULL;
	}
	n->at = *at;
	n->group = 0;
	n->flags &= ~(uint32_t)(NODE_PARENT | NODE_MADE | NODE_ARCHIVE);
}

int pick_dest_put(struct picked *p, struct pick_node *dir, const char *name, const struct pick_attr *at, struct pick_node **ret,
		  struct err **e)
{
	struct pick_node *kid = kid_get(dir, slice_of(name));
	bool is_dir = at->type == ENTRY_DIR;
	struct pick_attr old;
	int rc = 0;

	if (kid)
		old.type = kid->at.type;
	else
		rc = below(p, dir, name, &old, e);
	if (rc < 0)
		return -1;
	if (rc == 0 && is_dir != (old.type == ENTRY_DIR))
		return clash(dir, name, is_dir, e);
	if (!kid) {
		kid = kid_add(p, dir, name);
		kid->at.type = at->type;
		kid->flags = is_dir && rc == PICK_MISS ? NODE_FRESH : 0;
	}
	node_set(kid, at);
	*ret = kid;
	return 0;
}

int pick_dest_replace(struct picked *p, struct pick_node *dir, const char *name, const struct pick_attr *at, struct pick_node **ret,
		      struct err **e)
{
	struct pick_node *kid = kid_get(dir, slice_of(name));
	bool is_dir = at->type == ENTRY_DIR, made = kid && kid->at.type != ENTRY_DIR;
	struct pick_attr old = { 0 };
	int rc = 0;

	if (!kid || made)
		rc = below(p, dir, name, &old, e);
	if (rc < 0)
		return -1;
	if (!kid) {
		kid = kid_add(p, dir, name);
		kid->at.type = at->type;
		if (is_dir && (rc == PICK_MISS || old.type != ENTRY_DIR))
			kid->flags = NODE_FRESH;
	}
	node_set(kid, at);
	/* A directory of the target that a file of this archive had replaced must not come back with a directory of that name. */
	if (is_dir && made)
		kid->flags |= rc == 0 && old.type == ENTRY_DIR ? NODE_FRESH | NODE_OPAQUE : NODE_FRESH;
	*ret = kid;
	return 0;
}

int pick_dest_lead(struct picked *p, struct pick_node *dir, const char *name, const struct pick_attr *at, struct pick_node **ret,
		   struct err **e)
{
	const struct pick_node *kid = kid_get(dir, slice_of(name));
	struct pick_attr now;
	int rc = 0;

	if (kid)
		now = kid->at;
	else
		rc = below(p, dir, name, &now, e);
	if (rc < 0)
		return -1;
	if (rc == 0 && now.type == ENTRY_DIR) {
		now.mode = at->mode;
	} else {
		now = *at;
		if (pick_apply(p, &now, e) < 0)
			return -1;
	}
	return pick_dest_put(p, dir, name, &now, ret, e);
}

/* ---- hard links */

void pick_inodes_reset(struct picked *p)
{
	free(p->inode);
	p->inode = NULL;
	p->ninode = p->inode_cap = 0;
}

static uint64_t inode_hash(const struct pick_inode *i)
{
	uint64_t h = i->dev * 0x9e3779b97f4a7c15u ^ i->ino;

	for (const char *p = i->first; p && *p; p++)
		h = (h ^ (unsigned char)*p) * 0x100000001b3u;
	h *= 0x9e3779b97f4a7c15u;
	return h ^ h >> 32;
}

static struct pick_inode *inode_slot(struct pick_inode *table, size_t cap, const struct pick_inode *want)
{
	for (size_t i = inode_hash(want) & (cap - 1);; i = (i + 1) & (cap - 1)) {
		struct pick_inode *s = &table[i];

		if (!s->group || (s->dev == want->dev && s->ino == want->ino && (!want->first || strcmp(s->first, want->first) == 0)))
			return s;
	}
}

static void inodes_grow(struct picked *p)
{
	size_t cap = p->inode_cap ? p->inode_cap * 2 : 64;
	struct pick_inode *more = mem_array(cap, sizeof(*more));

	for (size_t i = 0; i < p->inode_cap; i++)
		if (p->inode[i].group)
			*inode_slot(more, cap, &p->inode[i]) = p->inode[i];
	free(p->inode);
	p->inode = more;
	p->inode_cap = cap;
}

uint32_t pick_inode_group(struct picked *p, const struct pick_attr *at)
{
	struct pick_inode want = { .dev = at->dev, .ino = at->first ? 0 : at->ino, .first = at->first };

	if (!at->linked)
		return 0;
	if (2 * (p->ninode + 1) > p->inode_cap)
		inodes_grow(p);
	struct pick_inode *s = inode_slot(p->inode, p->inode_cap, &want);
	if (!s->group) {
		want.group = ++p->groups;
		*s = want;
		p->ninode++;
	}
	return s->group;
}

/* ---- the finished list */

/* Depth first, names bytewise: the order of a layer (spec/oci.md 1.6). */
static void put_in_order(struct picked *p)
{
	struct {
		struct pick_node *dir;
		uint32_t next;
	} *stack = NULL;
	size_t depth = 1, stack_cap = 0;

	p->order = arena_alloc(&p->arena, (p->made + 1) * sizeof(struct pick_node *));
	MEM_ROOM(stack, depth, stack_cap);
	stack[0].dir = &p->root;
	stack[0].next = 0;
	while (depth) {
		struct pick_node *dir = stack[depth - 1].dir;

		if (stack[depth - 1].next == dir->nkid) {
			depth--;
			continue;
		}
		struct pick_node *n = dir->kid[stack[depth - 1].next++];
		p->order[p->n++] = n;
		(void)pick_at(p, p->n - 1);      /* gives back what lies behind */
		p->selected += !(n->flags & NODE_PARENT);
		if (n->at.type != ENTRY_DIR)
			continue;
		MEM_ROOM(stack, depth, stack_cap);
		stack[depth].dir = n;
		stack[depth++].next = 0;
	}
	free(stack);
}

/* A parent we make is as old as the newest thing below it. A directory's ctime is not needed any more: it holds that time here. */
static void date_parents(struct picked *p, int64_t now)
{
	for (size_t i = 0; i < p->n; i++) {
		struct pick_attr *at = &pick_at(p, i)->at;

		if (at->type == ENTRY_DIR)
			at->ctime = at->mtime;
	}
	for (size_t i = p->n; i-- > 0;) {
		struct pick_node *n = pick_at(p, i), *up = n->up;
		int64_t newest = n->at.type == ENTRY_DIR ? n->at.ctime : n->at.mtime;

		if (n->flags & NODE_MADE)
			n->at.mtime = newest == INT64_MIN ? now : newest;
		if (newest > up->at.ctime)
			up->at.ctime = newest;
	}
}

void pick_finish(struct picked *p, int64_t now)
{
	put_in_order(p);
	date_parents(p, now);
	if (!p->groups)
		return;
	p->first = arena_alloc(&p->arena, (p->groups + 1) * sizeof(struct pick_node *));
	for (size_t i = 0; i < p->n; i++) {
		struct pick_node *n = pick_at(p, i);

		if (n->at.type == ENTRY_FILE && n->group && !p->first[n->group])
			p->first[n->group] = n;
	}
}
