/* layers/pick_walk.c - a directory of a source tree and what lies below, seen through pattern filters (9.10, 9.11, 12.3).
 *
 * Directories wait on a list, not on the C stack (P8, X8); at most one is open at a time. What is filtered out is neither
 * stat'ed nor listed, unless a pattern may rescue something below it: such a directory becomes real with the first find.
 */
#include "layers/pick_parts.h"

#include <stdlib.h>

static size_t name_room(const char *name)
{
	return name[0] ? strlen(name) + 1 : 0;
}

static void step_path(const struct pick_step *s, struct buf *out)
{
	size_t len = 0;

	for (const struct pick_step *d = s; d; d = d->up)
		len += name_room(d->name);
	char *path = pick_path_room(out, len);
	for (size_t pos = len - 1; path && s; s = s->up)
		pos = pick_prepend(path, pos, s->name);
}

/* Can something below path, which the one inclusion pattern does not hit, still be hit? */
static bool may_include(struct slice pattern, struct slice path)
{
	struct slice want, name;

	while (path.n) {
		if (!slice_cut(path, '/', &name, &path))
			path = SLICE_NONE;
		if (!pattern.n)
			return false;
		if (!slice_cut(pattern, '/', &want, &pattern))
			pattern = SLICE_NONE;
		for (size_t i = 0; i + 1 < want.n; i++)
			if (want.p[i] == '*' && want.p[i + 1] == '*')
				return true;
		/* A class of that grammar may match a '/'. */
		if (slice_find(want, '['))
			return true;
		if (glob_match(want, name) != GLOB_YES)
			return false;
	}
	return pattern.n > 0;
}

enum verdict { OUT, MAYBE, IN };

/* file: it cannot have anything below. lead: it is kept out by an inclusion alone. */
static enum verdict judge(const struct pick_walk *w, const struct pick_step *up, struct slice path, bool file, struct pats_hits *hits,
			  bool *lead)
{
	enum verdict v = IN;

	*lead = true;
	for (size_t i = 0; i < w->nfilter; i++) {
		const struct pick_filter *f = &w->filter[i];
		struct slice own = slice_skip(path, f->skip);

		pats_judge(f->pats, own, up->hits[i].hit ? &up->hits[i] : NULL, &hits[i]);
		if (hits[i].ignored == f->include)
			continue;
		if (file || (f->include ? !may_include(f->pattern, own) : !pats_may_rescue(f->pats, own, &hits[i])))
			return OUT;
		v = MAYBE;
		*lead &= f->include;
	}
	*lead &= v == MAYBE;
	return v;
}

static struct pick_from *from_of(struct pick_walk *w, const struct pick_step *up, const char *name)
{
	struct pick_from *f = arena_alloc(w->arena, sizeof(*f));

	*f = (struct pick_from){ .tree = w->tree, .up = up ? up->from : NULL, .name = name, .fd = -1 };
	return f;
}

/* A directory to look into later. */
static void push(struct pick_walk *w, struct pick_step **list, struct pick_step *up, const char *name, const struct pick_attr *at,
		 struct pick_node *node, bool lead, struct pats_hits *hits)
{
	struct pick_step *s = arena_alloc(w->arena, sizeof(*s));

	*s = (struct pick_step){ .up = up, .next = *list, .name = name, .at = *at, .node = node, .lead = lead };
	s->from = from_of(w, up, name);
	for (size_t i = 0; hits && i < w->nfilter; i++) {
		s->hits[i] = hits[i];
		pats_hits_init(&hits[i], w->filter[i].pats);
	}
	*list = s;
}

static void step_done(const struct pick_walk *w, struct pick_step *s)
{
	for (size_t i = 0; i < w->nfilter; i++)
		pats_hits_clear(&s->hits[i]);
}

/* A directory being looked into. */
struct looking {
	struct pick_walk *w;
	struct pick_step **list, *s;
	struct buf path;
	struct pats_hits hits[3];
};

static int look_at(void *arg, struct pick_dir *d, const struct pick_kid *k, struct err **e)
{
	struct looking *l = arg;
	struct pick_walk *w = l->w;
	struct buf *path = &l->path;
	struct pick_node *node = NULL;
	struct pick_attr at;
	size_t dir_len = path->n;
	enum verdict v = IN;
	bool lead = false;
	int rc = 0;

	if (w->nfilter) {
		if (dir_len)
			buf_char(path, '/');
		buf_str(path, k->name);
		v = judge(w, l->s, buf_view(path), k->file, l->hits, &lead);
		path->n = dir_len;
		path->p[dir_len] = '\0';
	}
	if (v == OUT)
		return 0;
	if (pick_dir_attr(d, k, &at, e) < 0)
		return -1;
	if (v == MAYBE && at.type != ENTRY_DIR)
		return 0;
	const char *name = arena_str(w->arena, slice_of(k->name));
	if (v == IN) {
		if (at.type == ENTRY_FILE && d->fd >= 0)
			at.text = name;
		rc = w->found(w->arg, l->s, name, &at, &node, e);
	}
	if (rc == 0 && at.type == ENTRY_DIR)
		push(w, l->list, l->s, name, &at, node, lead, l->hits);
	return rc;
}

static int look_into(struct looking *l, struct pick_step *s, struct err **e)
{
	AUTO(pick_dir_close) struct pick_dir d = { .fd = -1 };

	l->s = s;
	step_path(s, &l->path);
	if (buf_ok(&l->path, "path", e) < 0 || pick_dir_open(l->w->tree, l->w->arena, l->path.p, &s->at, &d, e) < 0)
		return -1;
	s->at.xattr = d.xattr;
	s->at.nxattr = d.nxattr;
	if (s->node && s->up) {
		s->node->at.xattr = d.xattr;
		s->node->at.nxattr = d.nxattr;
	}
	return pick_dir_each(&d, look_at, l, e);
}

/* Hits of the directory `top` itself, so that what is below inherits them. */
static void judge_top(struct pick_walk *w, const char *top, struct pick_step *s)
{
	for (size_t i = 0; i < w->nfilter; i++) {
		struct slice own = slice_skip(slice_of(top), w->filter[i].skip);
		struct pats_hits up = { 0 };
		bool first = true;

		for (size_t n = 1; own.n && n <= own.n; n++) {
			if (n < own.n && own.p[n] != '/')
				continue;
			pats_hits_init(&s->hits[i], w->filter[i].pats);
			pats_judge(w->filter[i].pats, (struct slice){ own.p, n }, first ? NULL : &up, &s->hits[i]);
			pats_hits_clear(&up);
			up = s->hits[i];
			first = false;
		}
	}
}

int pick_walk(struct pick_walk *w, const char *top, const struct pick_attr *at, struct pick_node *node, struct err **e)
{
	struct pick_step *list = NULL;
	struct looking l = { .w = w, .list = &list, .path = BUF_MAX(64 << 10) };
	int rc = 0;

	push(w, &list, NULL, top, at, node, false, NULL);
	judge_top(w, top, list);
	for (size_t i = 0; i < w->nfilter; i++)
		pats_hits_init(&l.hits[i], w->filter[i].pats);
	while (list && rc == 0) {
		struct pick_step *s = list;

		list = s->next;
		rc = look_into(&l, s, e);
		step_done(w, s);
	}
	for (; list; list = list->next)
		step_done(w, list);
	for (size_t i = 0; i < w->nfilter; i++)
		pats_hits_clear(&l.hits[i]);
	buf_free(&l.path);
	return rc;
}

/* ---- the ignore file */

static int any_found(void *arg, struct pick_step *dir, const char *name, const struct pick_attr *at, struct pick_node **ret_node,
		     struct err **e)
{
	return PICK_FOUND;
}

int pick_visible(struct pick_tree *t, struct arena *a, const char *path, const struct pick_attr *at, unsigned *line, struct err **e)
{
	struct pick_walk w = { .tree = t, .arena = a, .filter = { { .pats = t->ignore } }, .nfilter = 1, .found = any_found };
	struct pick_step top = { 0 };
	int rc = 0;

	if (!t->ignore || !path[0])
		return 0;
	judge_top(&w, path, &top);
	if (top.hits[0].ignored) {
		if (line && top.hits[0].decided_by >= 0)
			*line = pats_line(t->ignore, (size_t)top.hits[0].decided_by);
		rc = PICK_MISS;
		if (at->type == ENTRY_DIR && pats_may_rescue(t->ignore, slice_of(path), &top.hits[0])) {
			int found = pick_walk(&w, path, at, NULL, e);

			rc = found < 0 ? -1 : found == PICK_FOUND ? 0 : PICK_MISS;
		}
	}
	step_done(&w, &top);
	return rc;
}

/* ---- wildcards (9.2 rule 5) */

struct globbing {
	struct pick_tree *tree;
	struct arena *arena;
	struct slice name;               /* the component */
	bool last;
	size_t most;                     /* more are not looked for */
	struct pick_match *to;
	size_t n, cap;
};

static int glob_kid(void *arg, struct pick_dir *d, const struct pick_kid *k, struct err **e)
{
	struct globbing *g = arg;
	struct pick_match m;

	if ((!g->last && k->file) || glob_match(g->name, slice_of(k->name)) != GLOB_YES)
		return 0;
	m.path = arena_printf(g->arena, "%s%s%s", d->path, d->path[0] ? "/" : "", k->name);
	if (pick_dir_attr(d, k, &m.at, e) < 0)
		return -1;
	if (!g->last && m.at.type != ENTRY_DIR)
		return 0;
	int rc = pick_visible(g->tree, g->arena, m.path, &m.at, NULL, e);
	if (rc)
		return rc == PICK_MISS ? 0 : -1;
	MEM_ROOM(g->to, g->n, g->cap);
	g->to[g->n++] = m;
	return g->last && g->n == g->most ? PICK_FOUND : 0;
}

/* What in this directory matches the component. */
static int glob_dir(struct globbing *g, const struct pick_match *dir, struct err **e)
{
	AUTO(pick_dir_close) struct pick_dir d = { .fd = -1 };

	if (pick_dir_open(g->tree, g->arena, dir->path, &dir->at, &d, e) < 0)
		return -1;
	return pick_dir_each(&d, glob_kid, g, e);
}

/* Component by component, breadth first: '*' and '?' match no '/', so the depth is that of the pattern. The order of the
 * matches stays lexical, as that of their directories is. */
static int glob_below(struct pick_look *l, struct pick_match dir, struct slice pattern, size_t most, struct pick_match **ret, size_t *ret_n,
		      struct err **e)
{
	struct globbing g = { .tree = l->tree, .arena = l->arena, .most = most };
	struct pick_match *at = mem_dup(&dir, sizeof(dir));
	size_t n = 1;
	int rc = 0;

	while (rc == 0 && pattern.n) {
		g.last = !glob_cut(pattern, &g.name, &pattern);
		g.to = NULL;
		g.n = g.cap = 0;
		rc = glob_check(g.name, e);
		for (size_t i = 0; i < n && rc == 0; i++)
			rc = glob_dir(&g, &at[i], e);
		free(at);
		at = g.to;
		n = g.n;
		if (g.last)
			break;
	}
	if (rc < 0) {
		free(at);
		return -1;
	}
	*ret = arena_dup(l->arena, at, n * sizeof(*at));
	*ret_n = n;
	free(at);
	return 0;
}

void pick_split_pattern(struct slice pattern, struct slice *dir, struct slice *rest)
{
	size_t at = 0, from = 0;

	for (; from < pattern.n; from = at + 1) {
		at = from;
		while (at < pattern.n && pattern.p[at] != '/')
			at++;
		if (glob_has_meta((struct slice){ pattern.p + from, at - from }))
			break;
	}
	*dir = (struct slice){ pattern.p, from ? from - 1 : 0 };
	*rest = slice_skip(pattern, from);
}

int pick_expand(struct pick_look *l, struct slice pattern, size_t most, struct slice *dir, struct pick_match **ret, size_t *n, struct err **e)
{
	AUTO(buf_freep) struct buf real = BUF_MAX(64 << 10);
	struct pick_match top = { 0 };
	struct slice rest;

	pick_split_pattern(pattern, dir, &rest);
	if (glob_check(pattern, e) < 0)
		return -1;
	int rc = pick_resolve(pick_tree_find, l, "", *dir, true, &real, &top.at, e);
	if (rc < 0)
		return -1;
	if (rc || top.at.type != ENTRY_DIR)
		return PICK_MISS;
	top.path = arena_str(l->arena, buf_view(&real));
	return glob_below(l, top, rest, most, ret, n, e);
}

int pick_matches(struct pick_tree *t, const char *word, size_t most, pick_name_fn *fn, void *arg, struct err **e)
{
	AUTO(arena_clear) struct arena a = { 0 };
	AUTO(buf_freep) struct buf clean = BUF_MAX(64 << 10);
	struct pick_match *match = NULL;
	struct slice dir;
	size_t n = 0;

	pick_clean(slice_of(word), &clean);
	int rc = pick_expand(&(struct pick_look){ t, &a }, buf_view(&clean), most, &dir, &match, &n, e);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = fn(arg, match[i].path, match[i].at.type == ENTRY_DIR);
	return rc < 0 ? -1 : 0;
}

/* ---- --parents (9.10) */

int pick_pivot(const char *word, struct buf *base, struct buf *pattern, struct err **e)
{
	const char *pivot = strstr(word, "/./");

	pick_clean(pivot ? slice_range(word, pivot) : SLICE_NONE, base);
	pick_clean(slice_of(pivot ? pivot + 3 : word), pattern);
	return buf_ok(base, "source", e) < 0 || buf_ok(pattern, "source", e) < 0 ? -1 : 0;
}

struct telling {
	pick_name_fn *fn;
	void *arg;
	struct buf path;
};

static int tell_found(void *arg, struct pick_step *dir, const char *name, const struct pick_attr *at, struct pick_node **ret_node,
		      struct err **e)
{
	struct telling *t = arg;

	pick_from_path(dir->from, name, &t->path);
	return buf_ok(&t->path, "path", e) < 0 ? -1 : t->fn(t->arg, t->path.p, at->type == ENTRY_DIR);
}

static int walk_base(struct pick_look *l, struct slice base, struct slice pattern, const struct pats *include, struct telling *t, struct err **e)
{
	struct pick_walk w = { .tree = l->tree, .arena = l->arena, .found = tell_found, .arg = t };
	AUTO(buf_freep) struct buf real = BUF_MAX(64 << 10);
	struct pick_attr at;
	int rc = pick_resolve(pick_tree_find, l, "", base, true, &real, &at, e);

	if (rc || at.type != ENTRY_DIR)
		return rc < 0 ? -1 : 0;
	if (l->tree->ignore)
		w.filter[w.nfilter++] = (struct pick_filter){ .pats = l->tree->ignore };
	if (pattern.n)
		w.filter[w.nfilter++] = (struct pick_filter){ .pats = include, .include = true, .pattern = pattern, .skip = real.n ? real.n + 1 : 0 };
	return pick_walk(&w, arena_str(l->arena, buf_view(&real)), &at, NULL, e);
}

int pick_matches_parents(struct pick_tree *t, const char *word, pick_name_fn *fn, void *arg, struct err **e)
{
	AUTO(arena_clear) struct arena a = { 0 };
	AUTO(buf_freep) struct buf base = BUF_MAX(64 << 10);
	AUTO(buf_freep) struct buf pattern = BUF_MAX(64 << 10);
	AUTO(pats_freep) struct pats *include = pats_new();
	struct telling tell = { .fn = fn, .arg = arg, .path = BUF_MAX(64 << 10) };
	struct pick_look look = { t, &a };
	struct pick_match one = { 0 }, *match = &one;
	struct slice dir;
	size_t n = 1;
	int rc = pick_pivot(word, &base, &pattern, e);

	one.path = base.p;
	if (rc == 0)
		rc = pattern.n ? pats_add(include, buf_view(&pattern), false, 0, e) : 0;
	if (rc == 0 && glob_has_meta(buf_view(&base)))
		rc = pick_expand(&look, buf_view(&base), SIZE_MAX, &dir, &match, &n, e);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = walk_base(&look, slice_of(match[i].path), buf_view(&pattern), include, &tell, e);
	buf_free(&tell.path);
	return rc < 0 ? -1 : 0;
}
