/* layers/pick.c - the rules of COPY and ADD: what is a source, where it goes (spec/dockerfile.md 9, 10.2, Appendix H.4). */
#include "layers/pick_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* One source of the instruction, being applied. */
struct applying {
	struct picked *p;
	const struct pick_req *r;
	const struct pick_source *s;
	struct pick_tree *tree;
	struct pick_look look;
	struct buf path;                 /* of the source, cleaned */
	bool found;                      /* --parents: something was selected */
};

/* ---- the destination (9.3) */

/* Where it leads now: links followed, earlier sources of the instruction counted. */
struct spot {
	const char *path;                /* real, in the arena */
	bool exists, dir;
	bool marked;                     /* written as a directory */
};

static int dest_spot(struct applying *a, struct spot *ret, struct err **e)
{
	AUTO(buf_freep) struct buf clean = BUF_MAX(64 << 10);
	AUTO(buf_freep) struct buf real = BUF_MAX(64 << 10);
	struct slice text = slice_of(a->r->dest);
	struct pick_attr at;

	pick_clean(text, &clean);
	if (buf_ok(&clean, "destination", e) < 0)
		return -1;
	int rc = pick_resolve(pick_dest_find, a->p, "", buf_view(&clean), true, &real, &at, e);
	if (rc < 0)
		return -1;
	*ret = (struct spot){
		.exists = rc == 0, .dir = rc == 0 && at.type == ENTRY_DIR,
		.marked = !clean.n || slice_ends(text, "/") || slice_ends(text, "/."),
	};
	if (rc == PICK_NOTDIR || (ret->exists && !ret->dir && ret->marked)) {
		err_set(e, ERR_INPUT, "'/%.*s': not a directory", SLICE_F(buf_view(&real)));
		return pick_dest_bad(a->p, e);
	}
	ret->path = arena_str(&a->p->arena, buf_view(&real));
	return 0;
}

/* Cut "a/b/c" into "a/b" (in the arena) and "c". */
static const char *split_last(struct arena *a, const char *path, const char **last)
{
	assert(path);
	const char *slash = strrchr(path, '/');

	*last = arena_str(a, slice_of(slash ? slash + 1 : path));
	return arena_str(a, slash ? slice_range(path, slash) : SLICE_NONE);
}

static int check_device(const char *name, const struct pick_attr *at, struct err **e)
{
	/* Layers use this very device for "removed" once they are unpacked. */
	if (at->type == ENTRY_CHAR && at->dev == 0 && at->ino == 0)
		return err_set(e, ERR_INPUT, "'%s' is the device 0:0, which an image cannot hold", name);
	return 0;
}

/* A source that is no directory. name: what it is called when it goes into one. */
static int put_file(struct applying *a, const char *name, const struct pick_attr *at, const struct pick_from *from, struct err **e)
{
	struct picked *p = a->p;
	struct pick_node *dir = NULL, *n = NULL;
	struct pick_attr own = *at;
	struct spot to;

	if (check_device(name, at, e) < 0 || dest_spot(a, &to, e) < 0)
		return -1;
	const char *last = name, *up = to.dir || to.marked ? to.path : split_last(&p->arena, to.path, &last);
	if (pick_dest_dir(p, up, MAKE_COPY, &dir, e) < 0 || pick_apply(p, &own, e) < 0)
		return -1;
	if (pick_dest_put(p, dir, last, &own, &n, e) < 0)
		return -1;
	if (own.type == ENTRY_FILE) {
		n->from = own.empty ? NULL : from;
		n->group = pick_inode_group(p, at);
	}
	return 0;
}

static void add_top(struct applying *a, const char *name, const struct pick_attr *at, const struct pick_from *from)
{
	struct pick_top *t = arena_alloc(&a->p->arena, sizeof(*t));

	*t = (struct pick_top){ .at = *at, .name = name, .from = from, .archive = from };
	*a->p->top_end = t;
	a->p->top_end = &t->next;
	a->p->narchive += t->archive;
}

/* ---- a directory's contents */

static int make_step(struct applying *a, struct pick_step *s, struct err **e)
{
	struct pick_attr at = s->at;

	if (s->lead)
		return pick_dest_lead(a->p, s->up->node, s->name, &at, &s->node, e);
	if (pick_apply(a->p, &at, e) < 0)
		return -1;
	return pick_dest_put(a->p, s->up->node, s->name, &at, &s->node, e);
}

/* Directories that were filtered out themselves become real with the first thing found in them. */
static int make_steps(struct applying *a, struct pick_step *dir, struct err **e)
{
	while (!dir->node) {
		struct pick_step *s = dir;

		while (!s->up->node)
			s = s->up;
		if (make_step(a, s, e) < 0)
			return -1;
	}
	return 0;
}

static const char *dir_source(struct applying *a, const struct pick_step *dir, const char *name)
{
	struct buf *path = &a->p->scratch->source;

	pick_from_path(dir->from, name, path);
	return arena_str(&a->p->arena, buf_view(path));
}

static int on_found(void *arg, struct pick_step *dir, const char *name, const struct pick_attr *at, struct pick_node **ret_node,
		    struct err **e)
{
	struct applying *a = arg;
	struct pick_attr own = *at;
	struct pick_node *n = NULL;

	a->found = true;
	if (make_steps(a, dir, e) < 0 || check_device(name, at, e) < 0 || pick_apply(a->p, &own, e) < 0)
		return -1;
	if (own.type == ENTRY_DIR && a->tree->dir >= 0)
		own.text = dir_source(a, dir, name);
	if (pick_dest_put(a->p, dir->node, name, &own, &n, e) < 0)
		return -1;
	if (own.type == ENTRY_FILE) {
		n->from = own.empty ? NULL : dir->from;
		n->group = pick_inode_group(a->p, at);
	}
	*ret_node = n;
	return 0;
}

/* What is below `dir` of the tree into the directory `to`. include: only what it hits (--parents), or NULL. */
static int walk_into(struct applying *a, const char *dir, const struct pick_attr *at, struct pick_node *to, const struct pats *include,
		     struct slice pattern, struct err **e)
{
	struct pick_walk w = { .tree = a->tree, .arena = &a->p->arena, .found = on_found, .arg = a };
	size_t skip = dir[0] ? strlen(dir) + 1 : 0;

	if (a->tree->ignore)
		w.filter[w.nfilter++] = (struct pick_filter){ .pats = a->tree->ignore };
	if (a->r->exclude && pats_count(a->r->exclude))
		w.filter[w.nfilter++] = (struct pick_filter){ .pats = a->r->exclude, .skip = skip };
	if (include)
		w.filter[w.nfilter++] = (struct pick_filter){ .pats = include, .include = true, .pattern = pattern, .skip = skip };
	return pick_walk(&w, dir, at, to, e);
}

/* name: what tells this source from others in the digest, "" for a literal one. */
static int put_dir(struct applying *a, const char *dir, const char *name, const struct pick_attr *at, struct err **e)
{
	struct pick_node *n = NULL;
	struct spot to;

	if (dest_spot(a, &to, e) < 0)
		return -1;
	if (to.exists && !to.dir) {
		err_set(e, ERR_INPUT, "cannot copy to non-directory: '/%s'", to.path);
		return pick_dest_bad(a->p, e);
	}
	if (pick_dest_dir(a->p, to.path, MAKE_COPY, &n, e) < 0 || walk_into(a, dir, at, n, NULL, SLICE_NONE, e) < 0)
		return -1;
	add_top(a, name, at, NULL);
	/* The one attribute of the source directory that its destination takes over (9.5). */
	n->at.mtime = at->mtime;
	n->at.mtime_ns = at->mtime_ns;
	n->flags &= ~(uint32_t)NODE_MADE;
	return 0;
}

/* ---- archives (10.2) */

static int put_archive(struct applying *a, const char *name, const struct pick_attr *at, const struct pick_from *from, int take_fd,
		       struct err **e)
{
	AUTO(fd_closep) int fd = take_fd;
	struct pick_node *n = NULL;
	struct spot to;

	if (dest_spot(a, &to, e) < 0)
		return -1;
	if (to.exists && !to.dir) {
		err_set(e, ERR_INPUT, "'/%s': not a directory", to.path);
		return pick_dest_bad(a->p, e);
	}
	if (pick_dest_dir(a->p, to.path, MAKE_UNPACK, &n, e) < 0)
		return -1;
	add_top(a, name, at, from);
	return a->r->spool < 0 ? 0 : pick_archive_unpack(a->p, fd_take(&fd), name, to.path, e);
}

/* 0: not an archive, or not to be unpacked; PICK_FOUND: it went in. */
static int try_archive(struct applying *a, const char *path, const char *name, const struct pick_attr *at, const struct pick_from *from,
		       struct err **e)
{
	AUTO(fd_closep) int fd = -1;

	if (!a->s->unpack || at->type != ENTRY_FILE || at->size == 0)
		return 0;
	if (pick_tree_open(a->tree, path, at, &fd, e) < 0)
		return -1;
	int rc = pick_archive_test(fd_take(&fd), name, e);
	if (rc != PICK_FOUND)
		return rc;
	if (a->r->spool >= 0 && pick_tree_open(a->tree, path, at, &fd, e) < 0)
		return -1;
	return put_archive(a, name, at, from, fd_take(&fd), e) < 0 ? -1 : PICK_FOUND;
}

/* ---- sources from a tree (9.2) */

static int missing(struct applying *a, struct slice path, bool lstat, struct err **e)
{
	return pick_missing(&a->look, a->s->path, path, a->r->ignore_name, lstat || a->r->exclude, e);
}

/* One selected path, links followed. base: its name as written or matched. matched: it came from a pattern. */
static int put_path(struct applying *a, const char *path, const char *base, bool matched, struct err **e)
{
	AUTO(buf_freep) struct buf real = BUF_MAX(64 << 10);
	struct arena *arena = &a->p->arena;
	struct pick_attr at;
	const char *last = "";

	int rc = pick_resolve(pick_tree_find, &a->look, "", slice_of(path), true, &real, &at, e);
	if (rc < 0)
		return -1;
	if (rc)
		return missing(a, slice_of(path), false, e);
	const char *own = arena_str(arena, buf_view(&real));
	if (at.type == ENTRY_DIR)
		return put_dir(a, own, matched ? path : "", &at, e);

	struct pick_from *from = arena_alloc(arena, sizeof(*from));
	*from = (struct pick_from){ .tree = a->tree, .name = split_last(arena, own, &last), .fd = -1 };
	if (a->tree->dir >= 0 && at.type == ENTRY_FILE)
		at.text = last;
	rc = try_archive(a, own, base, &at, from, e);
	if (rc)
		return rc < 0 ? -1 : 0;
	return put_file(a, base, &at, from, e);
}

static int expand_pattern(struct applying *a, struct slice pattern, struct pick_match **ret, size_t *n, struct err **e)
{
	struct slice dir = SLICE_NONE;
	int rc = pick_expand(&a->look, pattern, SIZE_MAX, &dir, ret, n, e);

	return rc == PICK_MISS ? missing(a, dir, true, e) : rc;
}

/* "x*" says that it may be absent: COPY package.json yarn.lock* ./ */
static bool is_optional(const char *pattern)
{
	const char *slash = strrchr(pattern, '/'), *last = slash ? slash + 1 : pattern;

	return slice_ends(slice_of(last), "*") && last[strspn(last, "*")];
}

static int put_source(struct applying *a, struct err **e)
{
	struct pick_match *match = NULL;
	const char *base = "";
	size_t n = 0;

	if (a->p->req->literal || !glob_has_meta(buf_view(&a->path))) {
		split_last(&a->p->arena, a->path.p, &base);
		return put_path(a, a->path.p, base, false, e);
	}
	if (expand_pattern(a, buf_view(&a->path), &match, &n, e) < 0)
		return -1;
	a->p->nothing[a->s - a->r->source] = n == 0 && !is_optional(a->path.p);
	for (size_t i = 0; i < n; i++) {
		split_last(&a->p->arena, match[i].path, &base);
		if (put_path(a, match[i].path, base, true, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- --parents (9.10) */

/* A path without wildcards must exist, with no link on the way: below the base none is followed. */
static int must_exist(struct applying *a, const char *base, struct slice pattern, struct err **e)
{
	AUTO(buf_freep) struct buf real = BUF_MAX(64 << 10);
	AUTO(buf_freep) struct buf want = BUF_MAX(64 << 10);
	struct pick_attr at;

	buf_printf(&want, "%s%s%.*s", base, base[0] ? "/" : "", SLICE_F(pattern));
	int rc = pick_resolve(pick_tree_find, &a->look, base, pattern, false, &real, &at, e);
	if (rc < 0)
		return -1;
	return rc || !slice_is(buf_view(&real), want.p) ? missing(a, buf_view(&want), false, e) : 0;
}

static int put_base(struct applying *a, const char *base, const struct pick_attr *at, struct slice pattern, bool literal, struct err **e)
{
	AUTO(pats_freep) struct pats *include = pattern.n ? pats_new() : NULL;
	struct pick_node *n = NULL;
	struct spot to;

	if (include && pats_add(include, pattern, false, 0, e) < 0)
		return -1;
	if (literal && pattern.n && must_exist(a, base, pattern, e) < 0)
		return -1;
	if (dest_spot(a, &to, e) < 0)
		return -1;
	if (to.exists && !to.dir) {
		err_set(e, ERR_INPUT, "'/%s': not a directory", to.path);
		return pick_dest_bad(a->p, e);
	}
	if (pick_dest_dir(a->p, to.path, MAKE_COPY, &n, e) < 0)
		return -1;
	return walk_into(a, base, at, n, include, pattern, e);
}

/* A base is followed through links like any source; what is no directory holds nothing. */
static int put_base_path(struct applying *a, const char *path, struct slice pattern, bool base_literal, struct err **e)
{
	AUTO(buf_freep) struct buf real = BUF_MAX(64 << 10);
	struct pick_attr at;

	int rc = pick_resolve(pick_tree_find, &a->look, "", slice_of(path), true, &real, &at, e);
	if (rc < 0)
		return -1;
	if (rc == 0 && at.type != ENTRY_DIR && !base_literal)
		return 0;
	if (rc || at.type != ENTRY_DIR)
		return missing(a, slice_of(path), true, e);
	return put_base(a, arena_str(&a->p->arena, buf_view(&real)), &at, pattern, base_literal && !glob_has_meta(pattern), e);
}

static int put_parents(struct applying *a, struct err **e)
{
	AUTO(buf_freep) struct buf base = BUF_MAX(64 << 10);
	AUTO(buf_freep) struct buf pattern = BUF_MAX(64 << 10);
	struct pick_match *match = NULL;
	size_t n = 0;

	if (pick_pivot(a->s->path, &base, &pattern, e) < 0)
		return -1;
	bool literal = !glob_has_meta(buf_view(&base));
	if (literal && put_base_path(a, base.p, buf_view(&pattern), true, e) < 0)
		return -1;
	if (!literal && expand_pattern(a, buf_view(&base), &match, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (put_base_path(a, match[i].path, buf_view(&pattern), false, e) < 0)
			return -1;
	/* What was kept out on purpose is not nothing. */
	a->p->nothing[a->s - a->r->source] = !a->found && !a->r->exclude && glob_has_meta(buf_view(&a->path)) && !is_optional(a->path.p);
	return 0;
}

/* ---- content that is in no tree: here-documents, downloads */

static int try_inline_archive(struct applying *a, const struct pick_attr *at, const struct pick_from *from, struct err **e)
{
	AUTO(fd_closep) int fd = -1;

	if (!(a->s->unpack || a->s->must_unpack) || from->fd < 0 || at->size == 0)
		return 0;
	fd = fd_dup(from->fd, e);
	if (fd < 0)
		return -1;
	/* The offset is shared with the borrowed fd, which is only ever read by pread(). */
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(e, ERR_SOURCE, errno, "cannot read '%s'", a->s->name);
	int rc = pick_archive_test(fd_take(&fd), a->s->name, e);
	if (rc != PICK_FOUND)
		return rc;
	fd = fd_dup(from->fd, e);
	if (fd < 0)
		return -1;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(e, ERR_SOURCE, errno, "cannot read '%s'", a->s->name);
	return put_archive(a, a->s->name, at, from, fd_take(&fd), e) < 0 ? -1 : PICK_FOUND;
}

static int put_inline(struct applying *a, struct err **e)
{
	const struct pick_source *s = a->s;
	struct pick_attr at = { .type = ENTRY_FILE, .mode = s->mode, .mtime = s->mtime, .size = s->content.n };
	struct pick_from *from = arena_alloc(&a->p->arena, sizeof(*from));
	size_t n = strlen(s->name);
	struct stat st;

	if (!n || n > 255 || strchr(s->name, '/') || slice_is(slice_of(s->name), ".") || slice_is(slice_of(s->name), ".."))
		return err_set(e, ERR_INPUT, "'%s' cannot be a file name", s->name);
	*from = (struct pick_from){ .bytes = s->content, .fd = -1 };
	if (!s->content.p && s->content_fd >= 0) {
		if (fstat(s->content_fd, &st) < 0)
			return err_errno(e, ERR_SOURCE, errno, "cannot read '%s'", s->name);
		from->fd = s->content_fd;
		at.size = (uint64_t)st.st_size;
	}
	const char *name = arena_str(&a->p->arena, slice_of(s->name));
	int rc = try_inline_archive(a, &at, from, e);
	if (rc)
		return rc < 0 ? -1 : 0;
	return put_file(a, name, &at, from, e);
}

/* ---- the whole */

static int apply(struct applying *a, struct err **e)
{
	pick_inodes_reset(a->p);
	a->found = false;
	if (!a->s->path)
		return put_inline(a, e);
	buf_reset(&a->path);
	pick_clean(slice_of(a->s->path), &a->path);
	if (buf_ok(&a->path, "source", e) < 0)
		return -1;
	return a->r->parents ? put_parents(a, e) : put_source(a, e);
}

static struct picked *picked_new(const struct view *target, const struct pick_req *r)
{
	struct picked *p = mem_zalloc(sizeof(*p));
	struct entry en;
	size_t layer;

	p->target = r->link || !target || !view_depth(target) ? NULL : target;
	p->req = r;
	p->spool = -1;
	p->top_end = &p->top;
	p->root = (struct pick_node){ .name = "", .flags = NODE_PARENT | (p->target ? 0 : NODE_FRESH) };
	p->root.at = (struct pick_attr){ .type = ENTRY_DIR, .mode = 0755 };
	if (p->target && view_find(p->target, "", &en, &layer) == 0)
		pick_attr_entry(&p->root.at, &en);
	arena_swap(&p->arena, r->swap);
	p->scratch = mem_zalloc(sizeof(*p->scratch));
	*p->scratch = (struct pick_scratch){ .path = BUF_MAX(64 << 10), .link = BUF_MAX(64 << 10), .source = BUF_MAX(64 << 10) };
	arena_swap(&p->scratch->digests, r->swap);
	return p;
}

int pick_run(struct pick_tree *t, const struct view *target, const struct pick_req *r, struct picked **ret, struct err **e)
{
	AUTO(view_freep) struct view *empty = view_new();
	AUTO(pick_tree_freep) struct pick_tree *nothing = pick_tree_view(empty, NULL);
	AUTO(picked_freep) struct picked *p = NULL;
	struct applying a = { .r = r, .path = BUF_MAX(64 << 10) };
	int rc = 0;

	if (r->chmod && r->chmod[0] && pick_chmod_check(r->chmod, e) < 0)
		return -1;
	p = picked_new(target, r);
	p->nothing = arena_alloc(&p->arena, (r->nsource + 1) * sizeof(*p->nothing));
	a.p = p;
	for (size_t i = 0; i < r->nsource && rc == 0; i++) {
		a.s = &r->source[i];
		a.tree = a.s->tree ? a.s->tree : t ? t : nothing;
		a.look = (struct pick_look){ a.tree, &p->arena };
		rc = apply(&a, e);
		if (rc < 0)
			err_part_set(e, i);
	}
	buf_free(&a.path);
	pick_inodes_reset(p);
	if (rc < 0)
		return -1;
	pick_finish(p, r->now);
	p->req = NULL;
	*ret = take(&p);
	return 0;
}

void picked_free(struct picked *p)
{
	if (!p)
		return;
	pick_inodes_reset(p);
	fd_closep(&p->spool);
	arena_clear(&p->arena);
	arena_clear(&p->scratch->digests);
	buf_free(&p->scratch->path);
	buf_free(&p->scratch->link);
	buf_free(&p->scratch->source);
	free(p->scratch);
	free(p);
}

void picked_freep(struct picked **p)
{
	picked_free(take(p));
}
