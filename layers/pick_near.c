/* layers/pick_near.c - a source that is not there: what hides it, or which name was meant (spec/threats.md 18). */
#include "layers/pick_parts.h"

struct nearing {
	struct pick_look *look;
	struct slice want;
	struct slice dir;                /* of the names, real; "" the top */
	unsigned least;
	const char *best;                /* arena */
};

static int nearer(void *arg, struct pick_dir *d, const struct pick_kid *k, struct err **e)
{
	struct nearing *n = arg;
	AUTO(buf_freep) struct buf path = BUF_MAX(64 << 10);
	unsigned far = slice_distance(n->want, slice_of(k->name), true);
	struct pick_attr at;

	if (far >= n->least || far >= n->want.n)
		return 0;
	buf_printf(&path, "%.*s%s%s", SLICE_F(n->dir), n->dir.n ? "/" : "", k->name);
	/* Only what could be copied. */
	if (buf_ok(&path, "path", e) < 0 || pick_tree_find(n->look, path.p, &at, e) != 0)
		return 0;
	n->least = far;
	n->best = arena_str(n->look->arena, slice_of(k->name));
	return 0;
}

/* The name in the existing directory `dir` that is nearest to `want`; NULL. */
static const char *near_name(struct pick_look *l, struct slice dir, struct slice want)
{
	AUTO(buf_freep) struct buf real = BUF_MAX(64 << 10);
	struct pick_attr at;
	struct pick_dir d;

	if (pick_resolve(pick_tree_find, l, "", dir, true, &real, &at, NULL) != 0 || at.type != ENTRY_DIR)
		return NULL;
	struct nearing n = { .look = l, .want = want, .dir = buf_view(&real), .least = 3 };
	if (pick_dir_open(l->tree, l->arena, real.n ? real.p : "", &at, &d, NULL) < 0)
		return NULL;
	(void)pick_dir_each(&d, nearer, &n, NULL);
	pick_dir_close(&d);
	return n.best;
}

/* Each name that is not there, from the top, replaced by the nearest that is. A link that is there leads nowhere. */
static void hint_near(struct pick_look *l, struct slice path, const char *lead, struct err **e)
{
	AUTO(buf_freep) struct buf meant = BUF_MAX(64 << 10);
	AUTO(buf_freep) struct buf real = BUF_MAX(64 << 10);
	struct slice name = SLICE_NONE;
	struct pick_attr at;

	for (bool more = true; more;) {
		size_t keep = meant.n;

		more = slice_cut(path, '/', &name, &path);
		buf_printf(&meant, "%s%.*s", keep ? "/" : "", SLICE_F(name));
		buf_reset(&real);
		if (pick_resolve(pick_tree_find, l, "", buf_view(&meant), true, &real, &at, NULL) == 0)
			continue;
		buf_reset(&real);
		if (pick_resolve(pick_tree_find, l, "", buf_view(&meant), false, &real, &at, NULL) == 0 && at.type == ENTRY_SYMLINK) {
			err_hint(e, "'%s%s' is a link to '%s', which is not there", lead, meant.p, at.text);
			return;
		}
		const char *near = near_name(l, (struct slice){ meant.p, keep }, name);
		if (!near)
			return;
		meant.n = keep;
		buf_printf(&meant, "%s%s", keep ? "/" : "", near);
	}
	if (buf_ok(&meant, "path", NULL) == 0)
		err_hint(e, "did you mean '%s%s'?", lead, meant.p);
}

/* The line of the ignore file that hides what is there otherwise. 0: none does. */
static unsigned hiding_line(struct pick_look *l, struct slice path)
{
	struct pick_tree plain = { .dir = l->tree->dir, .last_fd = -1, .last = BUF_MAX(64 << 10) };
	struct pick_look look = { &plain, l->arena };
	AUTO(buf_freep) struct buf real = BUF_MAX(64 << 10);
	struct pick_attr at;
	unsigned line = 0;

	if (pick_resolve(pick_tree_find, &look, "", path, true, &real, &at, NULL) != 0 ||
	    pick_visible(l->tree, l->arena, real.p, &at, &line, NULL) != PICK_MISS)
		line = 0;
	fd_closep(&plain.last_fd);
	buf_free(&plain.last);
	return line;
}

/* Does it go up from the top? */
static bool leads_out(struct slice path)
{
	struct slice name = SLICE_NONE;
	size_t depth = 0;

	for (bool more = true; more;) {
		more = slice_cut(path, '/', &name, &path);
		if (slice_is(name, "..") && depth-- == 0)
			return true;
		depth += name.n && !slice_is(name, ".") && !slice_is(name, "..");
	}
	return false;
}

int pick_missing(struct pick_look *l, const char *written, struct slice path, const char *ignore_name, bool lstat, struct err **e)
{
	const struct pats *ignore = l->tree->ignore;
	unsigned line = ignore ? hiding_line(l, path) : 0;

	for (size_t i = 0; line && i < pats_count(ignore); i++) {
		if (pats_line(ignore, i) != line)
			continue;
		err_set(e, ERR_INPUT, "hidden by %s:%u: %.*s", ignore_name ? ignore_name : "the ignore file", line, SLICE_F(pats_text(ignore, i)));
		err_hint(e, "add the line '!%.*s' below it", SLICE_F(path));
		break;
	}
	AUTO(mem_freep) char *text = lstat ? mem_printf("lstat /%.*s: no such file or directory", SLICE_F(path)) :
					     mem_printf("\"/%.*s\": not found", SLICE_F(path));
	if (line)
		err_wrap(e, "%s", text);
	else
		err_set(e, ERR_INPUT, "%s", text);
	if (!line)
		hint_near(l, path, written[0] == '/' ? "/" : "", e);
	if (l->tree->dir >= 0 && leads_out(slice_of(written)))
		err_hint(e, "'..' leads nowhere above the top of a context: take the directory above as the context, or add it with --build-context");
	return -1;
}

void pick_near(struct pick_tree *t, const char *path, struct err **e)
{
	AUTO(arena_clear) struct arena a = { 0 };
	AUTO(buf_freep) struct buf clean = BUF_MAX(64 << 10);

	pick_clean(slice_of(path), &clean);
	hint_near(&(struct pick_look){ t, &a }, buf_view(&clean), path[0] == '/' ? "/" : "", e);
}

struct glob_nearing {
	struct pick_look *look;
	struct slice pattern;            /* one component */
	unsigned least;
	const char *best;                /* arena */
};

static int nearer_match(void *arg, struct pick_dir *d, const struct pick_kid *k, struct err **e)
{
	struct glob_nearing *n = arg;
	const char *path = arena_printf(n->look->arena, "%s%s%s", d->path, d->path[0] ? "/" : "", k->name);
	unsigned far = glob_distance(n->pattern, slice_of(k->name));
	struct pick_attr at;

	if (far >= n->least || pick_tree_find(n->look, path, &at, e) != 0)
		return 0;
	n->least = far;
	n->best = path;
	return 0;
}

char *pick_near_match(struct pick_tree *t, const char *word)
{
	enum { FAR = 3 };
	AUTO(arena_clear) struct arena a = { 0 };
	AUTO(buf_freep) struct buf clean = BUF_MAX(64 << 10);
	AUTO(buf_freep) struct buf real = BUF_MAX(64 << 10);
	AUTO(pick_dir_close) struct pick_dir d = { .fd = -1 };
	struct pick_look look = { t, &a };
	struct glob_nearing n = { .look = &look, .least = FAR };
	struct slice dir, rest, below;
	struct pick_attr at;

	pick_clean(slice_of(word), &clean);
	pick_split_pattern(buf_view(&clean), &dir, &rest);
	/* A star at the end says that it may be absent: COPY package.json yarn.lock* ./ */
	if (slice_ends(rest, "*") || glob_check(rest, NULL) < 0 || glob_cut(rest, &n.pattern, &below))
		return NULL;
	if (pick_resolve(pick_tree_find, &look, "", dir, true, &real, &at, NULL) != 0 || at.type != ENTRY_DIR)
		return NULL;
	if (pick_dir_open(t, &a, arena_str(&a, buf_view(&real)), &at, &d, NULL) < 0)
		return NULL;
	(void)pick_dir_each(&d, nearer_match, &n, NULL);
	return n.best ? mem_printf("%s%s", word[0] == '/' ? "/" : "", n.best) : NULL;
}
