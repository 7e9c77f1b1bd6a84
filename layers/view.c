/* layers/view.c - a stack of listings as one merged tree. The second half of layers/listing.h; accounts are in view_owner.c.
 *
 * What can be seen of a path depends on every directory above it: a layer's whiteout, opaque mark or non-directory hides what
 * lies below it in lower layers. So a walk carries a floor: the lowest layer that still counts.
 */
#include "layers/listing.h"

#include "base/mem.h"

enum { LINKS_MOST = 40 };

struct view {
	struct listing **layer;          /* bottom first */
	size_t n, cap;
};

struct view *view_new(void)
{
	return mem_zalloc(sizeof(struct view));
}

void view_push(struct view *v, struct listing *take)
{
	MEM_ROOM(v->layer, v->n, v->cap);
	v->layer[v->n++] = take;
}

void view_share(struct view *v, const struct view *from)
{
	for (size_t i = 0; i < from->n; i++)
		view_push(v, listing_share(from->layer[i]));
}

bool view_links(const struct view *v, size_t layer)
{
	return listing_links(v->layer[layer]);
}

int view_settle(struct view *v, struct err **e)
{
	struct listing *real = NULL, **top = &v->layer[v->n - 1];
	int rc = v->n > 1 ? listing_settle(*top, v, &real, e) : LISTING_MISS;

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	listing_close(*top);
	*top = real;
	return 0;
}

void view_free(struct view *v)
{
	if (!v)
		return;
	for (size_t i = 0; i < v->n; i++)
		listing_close(v->layer[i]);
	mem_freep(&v->layer);
	mem_freep(&v);
}

void view_freep(struct view **v)
{
	view_free(take(v));
}

size_t view_depth(const struct view *v)
{
	return v->n;
}

/* ---- one layer's word about one path */

struct said {
	bool real, white, opaque, implied;       /* implied: something below it is listed, it itself is not */
	struct entry en;                         /* when real */
};

static bool below(const char *path, const char *dir, size_t n)
{
	return n == 0 ? path[0] != 0 : strncmp(path, dir, n) == 0 && path[n] == '/';
}

static void ask(const struct listing *l, const char *path, struct said *ret)
{
	uint64_t count = listing_count(l);
	struct entry en;

	*ret = (struct said){ 0 };
	for (uint64_t i = listing_seek(l, path, false); i < count; i++) {
		listing_at(l, i, &en);
		if (strcmp(en.path, path) != 0) {
			ret->implied = !ret->real && en.type != ENTRY_WHITEOUT && en.type != ENTRY_OPAQUE &&
				       below(en.path, path, strlen(path));
			return;
		}
		if (en.type == ENTRY_WHITEOUT) {
			ret->white = true;
		} else if (en.type == ENTRY_OPAQUE) {
			ret->opaque = true;
		} else {
			ret->real = true;
			ret->en = en;
		}
	}
}

/* The visible thing at path, when its parent can be seen down to *floor; *floor becomes the floor below it. */
static int step(const struct view *v, const char *path, size_t *floor, struct entry *ret, size_t *layer)
{
	bool found = false, implied = false;
	size_t from = *floor, implied_layer = 0;
	struct said s;

	for (size_t i = v->n; i-- > from;) {
		ask(v->layer[i], path, &s);
		if (s.real && s.en.type != ENTRY_DIR) {
			*floor = i + 1;
			/* A parent that is only implied does not replace a link (spec/oci.md 1.7). */
			if (found || (implied && s.en.type != ENTRY_SYMLINK))
				break;
			*ret = s.en;
			*layer = i;
			return 0;
		}
		if (s.real && !found) {
			*ret = s.en;
			*layer = i;
			found = true;
		}
		if (s.implied && !implied) {
			implied = true;
			implied_layer = i;
		}
		*floor = i;
		if (s.white || s.opaque)
			break;
	}
	if (found)
		return 0;
	if (!implied && *path)
		return LISTING_MISS;
	/* A parent that no layer describes is made like this when it is unpacked. */
	*ret = (struct entry){ .type = ENTRY_DIR, .path = path, .mode = 0755 };
	*layer = implied_layer;
	return 0;
}

/* ---- look-ups */

int view_find(const struct view *v, const char *path, struct entry *ret, size_t *layer)
{
	AUTO(mem_freep) char *part = mem_str(path);
	size_t floor = 0, which = 0;
	struct entry en;
	int rc = step(v, "", &floor, &en, &which);

	for (char *end = part; rc == 0 && *path; end++) {
		char kept;

		if (en.type != ENTRY_DIR)
			return LISTING_MISS;
		end += strcspn(end, "/");
		kept = *end;
		*end = 0;
		rc = step(v, part, &floor, &en, &which);
		*end = kept;
		if (!kept)
			break;
	}
	if (rc != 0)
		return LISTING_MISS;
	if (en.path == part || strcmp(en.path, path) != 0 || !*path)
		en.path = path;          /* an implied one: the caller's string outlives ours */
	*ret = en;
	if (layer)
		*layer = which;
	return 0;
}

/* Where resolving stands: the real path so far, and the floor at each of its components. */
struct walk {
	const struct view *v;
	struct buf *path;
	struct buf ahead;                 /* what is still to be walked, from ahead.p[at] */
	size_t at;
	size_t *floor;
	size_t n, cap;
	unsigned links;
	bool missing;                    /* the last component does not exist */
};

static void walk_enter(struct walk *w, size_t floor)
{
	MEM_ROOM(w->floor, w->n, w->cap);
	w->floor[w->n++] = floor;
}

static void walk_up(struct walk *w)
{
	struct buf *p = w->path;

	while (p->n && p->p[p->n - 1] != '/')
		p->n--;
	if (p->n)
		p->n--;
	p->p[p->n] = 0;
	if (w->n > 1)
		w->n--;
	w->missing = false;
}

/* Put a link's text in front of what is still to be walked. */
static int walk_link(struct walk *w, const char *text, struct err **e)
{
	AUTO(buf_freep) struct buf rest = BUF_MAX(65536);

	if (++w->links > LINKS_MOST)
		return err_set(e, ERR_INPUT, "too many symbolic links: '/%s'", w->path->p);
	buf_str(&rest, text);
	buf_char(&rest, '/');
	buf_str(&rest, w->ahead.p + w->at);
	if (buf_ok(&rest, "a path with the links in it", e) < 0)
		return -1;
	walk_up(w);
	if (text[0] == '/')
		while (w->path->n)
			walk_up(w);
	buf_reset(&w->ahead);
	buf_slice(&w->ahead, buf_view(&rest));
	w->at = 0;
	return 0;
}

static int walk_component(struct walk *w, struct slice name, bool last, bool follow_last, struct entry *en, size_t *layer,
			  struct err **e)
{
	size_t floor = w->floor[w->n - 1];

	if (!w->missing && en->type != ENTRY_DIR)
		return err_set(e, ERR_INPUT, "not a directory: '/%s'", w->path->p);
	if (name.n > 255 || w->path->n + name.n > 4094)
		return err_set(e, ERR_INPUT, "file name too long: '%.*s'", (int)(name.n < 300 ? name.n : 300), name.p);
	if (w->path->n)
		buf_char(w->path, '/');
	buf_slice(w->path, name);
	if (w->missing)
		floor = w->v->n;
	w->missing = w->missing || step(w->v, w->path->p, &floor, en, layer) == LISTING_MISS;
	walk_enter(w, floor);
	if (w->missing || en->type != ENTRY_SYMLINK || (last && !follow_last))
		return 0;

	AUTO(mem_freep) char *text = mem_str(en->link);
	if (walk_link(w, text, e) < 0)
		return -1;
	*en = (struct entry){ .type = ENTRY_DIR };
	return 0;
}

/* After ".." the entry is the directory above, which exists as we came through it. */
static void walk_dotdot(struct walk *w, struct entry *en)
{
	walk_up(w);
	*en = (struct entry){ .type = ENTRY_DIR };
}

static int walk_all(struct walk *w, bool follow_last, struct entry *en, size_t *layer, struct err **e)
{
	size_t misses = 0;               /* components behind the first missing one, for ".." */

	for (;;) {
		const char *p = w->ahead.p + w->at;
		size_t skip = strspn(p, "/"), n = strcspn(p + skip, "/");
		struct slice name = { p + skip, n };
		bool last = p[skip + n + strspn(p + skip + n, "/")] == 0;

		w->at += skip + n;
		if (n == 0)
			return 0;
		if (slice_is(name, "."))
			continue;
		if (slice_is(name, "..")) {
			bool still = w->missing && misses > 1;

			if (!w->missing && en->type != ENTRY_DIR)
				return err_set(e, ERR_INPUT, "not a directory: '/%s'", w->path->p);
			walk_dotdot(w, en);
			misses = misses ? misses - 1 : 0;
			w->missing = still;
			continue;
		}
		if (walk_component(w, name, last, follow_last, en, layer, e) < 0)
			return -1;
		misses = w->missing ? misses + 1 : 0;
	}
}

int view_resolve(const struct view *v, const char *path, bool follow_last, struct buf *ret_path, struct entry *ret, size_t *layer,
		 struct err **e)
{
	struct entry en = { 0 };
	size_t which = 0, floor = 0;
	struct walk w = { .v = v, .path = ret_path, .ahead = BUF_MAX(65536) };

	buf_reset(ret_path);
	buf_add(ret_path, "", 0);
	buf_str(&w.ahead, path);
	step(v, "", &floor, &en, &which);
	walk_enter(&w, floor);
	int rc = buf_ok(&w.ahead, "a path", e) < 0 ? -1 : walk_all(&w, follow_last, &en, &which, e);
	if (rc == 0 && buf_ok(ret_path, "a path", e) < 0)
		rc = -1;
	if (rc == 0)
		rc = w.missing ? LISTING_MISS : view_find(v, ret_path->p, &en, &which);
	buf_free(&w.ahead);
	mem_freep(&w.floor);
	if (rc == 0 && ret)
		*ret = en;
	if (rc == 0 && layer)
		*layer = which;
	return rc;
}

/* ---- directories */

/* The next direct child of dir in one layer from *i on: its name's length, or 0. *i then stands behind all that is below it. */
static size_t next_child(const struct listing *l, uint64_t i, const char *dir, size_t ndir, const char **ret)
{
	struct entry en;

	while (i < listing_count(l)) {
		listing_at(l, i++, &en);
		if (!below(en.path, dir, ndir)) {
			if (strcmp(en.path, dir) == 0)
				continue;        /* marks of the directory itself */
			return 0;
		}
		*ret = en.path + ndir + (ndir > 0);
		return strcspn(*ret, "/");
	}
	return 0;
}

/* The smallest child name at any layer's position. */
static size_t least_child(const struct view *v, size_t floor, const uint64_t *at, const char *dir, const char **ret)
{
	size_t ndir = strlen(dir), best = 0;

	for (size_t i = floor; i < v->n; i++) {
		const char *name = NULL;
		size_t n = next_child(v->layer[i], at[i], dir, ndir, &name);

		if (n && (!best || slice_cmp((struct slice){ name, n }, (struct slice){ *ret, best }) < 0)) {
			*ret = name;
			best = n;
		}
	}
	return best;
}

/* The floor of a directory, or LISTING_MISS. */
static int dir_floor(const struct view *v, const char *dir, size_t *floor)
{
	AUTO(mem_freep) char *part = mem_str(dir);
	struct entry en;
	size_t layer, from = 0;
	int rc = step(v, "", &from, &en, &layer);

	for (char *end = part; rc == 0 && *dir; end++) {
		char kept;

		end += strcspn(end, "/");
		kept = *end;
		*end = 0;
		rc = step(v, part, &from, &en, &layer);
		*end = kept;
		if (rc == 0 && en.type != ENTRY_DIR)
			return LISTING_MISS;
		if (!kept)
			break;
	}
	*floor = from;
	return rc;
}

int view_children(const struct view *v, const char *dir, view_child *fn, void *arg, struct err **e)
{
	AUTO(mem_freep) uint64_t *at = mem_array(v->n + 1, sizeof(*at));
	AUTO(buf_freep) struct buf path = BUF_MAX(8192);
	size_t floor = 0, prefix, n;
	const char *name = NULL;

	if (dir_floor(v, dir, &floor) == LISTING_MISS)
		return 0;
	buf_str(&path, dir);
	if (*dir)
		buf_char(&path, '/');
	prefix = path.n;
	for (size_t i = floor; i < v->n; i++)
		at[i] = listing_seek(v->layer[i], dir, false);

	while ((n = least_child(v, floor, at, dir, &name)) > 0) {
		struct entry en;
		size_t layer = 0, sub = floor;
		int rc = 0;

		path.n = prefix;
		buf_add(&path, name, n);
		if (step(v, path.p, &sub, &en, &layer) == 0)
			rc = fn(arg, path.p + prefix, &en, layer, e);
		if (rc != 0)
			return rc;
		for (size_t i = floor; i < v->n; i++)
			at[i] = listing_seek(v->layer[i], path.p, true);
	}
	return 0;
}

bool view_text(const struct view *v, const char *path, struct slice *ret)
{
	AUTO(buf_freep) struct buf real = BUF_MAX(8192);
	struct entry en;
	size_t layer = 0;

	if (view_resolve(v, path, true, &real, &en, &layer, NULL) != 0 || en.type != ENTRY_FILE)
		return false;
	return listing_text(v->layer[layer], real.p, ret);
}
