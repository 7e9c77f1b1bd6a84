/* build/op/copy_work.c - the pass of a COPY or ADD: select, read each file once, pack (design.md 7).
 *
 * Runs in a fork of the main process for contexts (copy_child: what it needs is in inherited memory) and in a mapped worker for
 * trees of layers (copy_job: everything by payload). Both end in pass().
 *
 *   answer   facts, digest of what was selected, remote text; of a fork also the tags of remote sources. Nothing: they are unchanged
 *   "items"  the list of copy_items_put()
 *   "read"   wire bytes: (dev, inode, size, mtime s ns, ctime s ns, read at, digest) per file read
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/map.h"
#include "base/mem.h"
#include "build/context/context.h"
#include "build/op/copy.h"
#include "build/op/copying.h"
#include "build/plan.h"
#include "build/work.h"
#include "parser/ignore.h"

enum { FLUSH = 64 << 10 };

/* ---- the request */

void copy_req_clear(struct copy_req *r)
{
	mem_freep(&r->source);
	pats_freep(&r->exclude);
}

static int add_exclude(struct copy_req *r, const char *pattern, struct err **e)
{
	if (!r->exclude)
		r->exclude = pats_new();
	r->req.exclude = r->exclude;
	return exclude_add(r->exclude, slice_of(pattern), e);
}

int copy_req_init(const struct copy *c, struct copy_req *ret, struct err **e)
{
	const struct context *x = copy_context(c);
	int64_t now = copy_now(c);

	ret->source = mem_array(c->nsource + 1, sizeof(*ret->source));
	for (size_t i = 0; i < c->nsource; i++) {
		const struct copy_source *s = &c->source[i];

		ret->source[i] = (struct pick_source){ .content_fd = -1, .mode = 0644, .mtime = now, .unpack = c->unpack };
		if (s->kind == COPY_INLINE) {
			ret->source[i].name = s->name;
			ret->source[i].content = s->content;
			ret->source[i].unpack = false;
		} else {
			ret->source[i].path = s->text;
		}
	}
	ret->req = (struct pick_req){
		.ignore_name = x ? x->ignore_name : NULL,
		.source = ret->source, .nsource = c->nsource, .dest = c->dest, .chmod = c->chmod, .parents = c->parents, .link = c->link,
		.literal = c->literal, .now = now, .spool = -1,
	};
	for (size_t i = 0; i < c->nexclude; i++)
		if (add_exclude(ret, c->exclude[i], e) < 0)
			return -1;
	return copy_owner(c, &ret->req.has_owner, &ret->req.uid, &ret->req.gid, e);
}

/* ---- what was selected */

int copy_selected(const struct picked *p, pick_get *get, pick_put *put, void *arg, uint64_t most, struct digest *ret, struct err **e)
{
	AUTO(buf_freep) struct buf tops = BUF_MAX(1 << 28);
	struct digest content;
	int rc = picked_digest(p, get, put, arg, most, &content, e);

	if (rc)
		return rc;
	buf_add(&tops, content.b, sizeof(content.b));
	picked_tops(p, &tops);
	digest_of(tops.p, tops.n, ret);
	return buf_ok(&tops, "list of source directories", e);
}

static void put_top(void *out, const char *name, bool archive, uint32_t mode, const struct digest *d)
{
	const struct digest none = { 0 };

	key_item_put(out, *name ? name : "/", archive ? ENTRY_FILE : ENTRY_DIR, mode, d ? d : &none);
}

/* To the file what there is, once it is worth it. */
static int flush(struct buf *b, int fd, size_t least, struct err **e)
{
	if (fd < 0 || b->n < least)
		return 0;
	size_t n = b->n;
	b->n = 0;
	return fd_write_all(fd, b->p, n, e);
}

int copy_items_put(const struct picked *p, struct buf *out, int fd, struct err **e)
{
	struct picked_item item;

	picked_each_top(p, put_top, out);
	for (size_t i = 0; i < picked_count(p); i++) {
		struct digest d = { 0 };

		picked_at(p, i, &item);
		if (item.parent)
			continue;
		if (item.digest)
			d = *item.digest;
		else if (item.en->link)
			digest_of(item.en->link, strlen(item.en->link), &d);
		key_item_put(out, item.source ? item.source : item.en->path, (char)item.en->type, item.en->mode, &d);
		if (flush(out, fd, FLUSH, e) < 0)
			return -1;
	}
	return buf_ok(out, "list of selected files", e) < 0 ? -1 : flush(out, fd, 0, e);
}

static void get_digest(struct wire *w, struct digest *d)
{
	struct slice s = wire_get(w);

	*d = (struct digest){ 0 };
	if (s.n == sizeof(d->b))
		memcpy(d->b, s.p, s.n);
	else
		w->bad = true;
}

/* ---- the pass */

struct pass {
	int dir;                         /* the step's directory */
	struct pick_tree *tree;
	const struct view *target;
	struct pick_req *req;
	struct statcache *cache;         /* NULL */
	bool items;
	const char *comp;
	int level;
	int64_t clamp;
	bool retime;
	struct buf log;                  /* files read, for the stat cache: what is not in the file yet */
	int log_fd;
	struct err *log_error;
	const char *remote;
	bool by_remote;                  /* what was fetched is known by name: a kept .git never has the same bytes twice */
};

static void log_put(void *arg, const struct stat *st, int64_t read_at, const struct digest *d)
{
	struct pass *p = arg;

	if (!p->items || p->log_error)
		return;
	wire_put_u64(&p->log, st->st_dev);
	wire_put_u64(&p->log, st->st_ino);
	wire_put_u64(&p->log, (uint64_t)st->st_size);
	wire_put_i64(&p->log, st->st_mtim.tv_sec);
	wire_put_i64(&p->log, st->st_mtim.tv_nsec);
	wire_put_i64(&p->log, st->st_ctim.tv_sec);
	wire_put_i64(&p->log, st->st_ctim.tv_nsec);
	wire_put_i64(&p->log, read_at);
	wire_put(&p->log, (struct slice){ (const char *)d->b, sizeof(d->b) });
	(void)flush(&p->log, p->log_fd, FLUSH, &p->log_error);
}

static bool cache_get(void *arg, const struct stat *st, struct digest *ret)
{
	struct pass *p = arg;

	return p->cache && statcache_get(p->cache, st, ret);
}

static int write_items(struct pass *p, const struct picked *picked, struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(1 << 20);
	AUTO(fd_closep) int fd = at_open_store(p->dir, "items", O_WRONLY | O_CREAT | O_EXCL, 0600, e);

	if (fd < 0 || (picked && copy_items_put(picked, &b, fd, e) < 0))
		return -1;
	return fd_close(&fd, "list of selected files", e);
}

static int log_end(struct pass *p, struct err **e)
{
	if (!p->log_error)
		(void)flush(&p->log, p->log_fd, 0, &p->log_error);
	if (p->log_error) {
		*e = take(&p->log_error);
		return -1;
	}
	return fd_close(&p->log_fd, "list of read files", e);
}

static void pass_clear(struct pass *p)
{
	fd_closep(&p->log_fd);
	buf_free(&p->log);
	err_free(p->log_error);
}

/* Patterns that matched nothing: the source from 1, and what may have been meant; 0. */
static void put_unmatched(const struct pass *p, const struct picked *picked, struct buf *out)
{
	for (size_t i = 0; p->tree && i < p->req->nsource; i++) {
		if (!picked_nothing(picked, i))
			continue;
		AUTO(mem_freep) char *near = pick_near_match(p->tree, p->req->source[i].path);
		wire_put_u32(out, (uint32_t)i + 1);
		wire_put_str(out, near);
	}
	wire_put_u32(out, 0);
}

/* Select, read and pack, then say what it was. */
static int pass(struct pass *p, struct buf *out, struct err **e)
{
	AUTO(picked_freep) struct picked *picked = NULL;
	AUTO(picked_freep) struct picked *unpacked = NULL;
	struct pack_req pack = {
		.dir = p->dir, .comp = p->comp, .level = p->level, .listing = true, .clamp_mtime = p->clamp,
		.set_mtime = p->retime, .fill_root = -1,
	};
	struct pack_facts facts;

	p->req->swap = p->dir;
	if (p->items)
		p->log_fd = at_open_store(p->dir, "read", O_WRONLY | O_CREAT | O_EXCL, 0600, e);
	if ((p->items && p->log_fd < 0) || pick_run(p->tree, p->target, p->req, &picked, e) < 0)
		return -1;
	if (picked_archives(picked)) {
		p->req->spool = p->dir;
		if (pick_run(p->tree, p->target, p->req, &unpacked, e) < 0)
			return -1;
	}
	pack.src = picked_entries(unpacked ? unpacked : picked, log_put, p);
	if (pack_run(&pack, &facts, e) < 0)
		return -1;
	/* All is known by now, but archives themselves and what they replaced. */
	if (copy_selected(picked, cache_get, log_put, p, UINT64_MAX, &facts.content, e) < 0)
		return -1;
	if (p->by_remote)
		digest_of(p->remote, strlen(p->remote), &facts.content);
	if (p->items && (log_end(p, e) < 0 || write_items(p, p->by_remote ? NULL : picked, e) < 0))
		return -1;
	pack_facts_put(out, &facts);
	wire_put_str(out, p->remote);
	put_unmatched(p, picked, out);
	return 0;
}

/* ---- for contexts */

int copy_child(void *arg, struct job_self *self, struct buf *out, struct err **e)
{
	struct copy *c = arg;
	struct app *a = step_app(c->s);
	struct context *x = copy_context(c);
	AUTO(pick_tree_freep) struct pick_tree *t = x && x->dir >= 0 ? pick_tree_dir(x->dir, x->ignore) : NULL;
	AUTO(copy_req_clear) struct copy_req r = { 0 };
	AUTO(fd_closep) int dir = at_open_store(store_fd(a->store), c->s->tmp, O_RDONLY | O_DIRECTORY, 0, e);
	AUTO(mem_freep) char *path = mem_printf("%s/%s", store_path(a->store), c->s->tmp);
	AUTO(buf_freep) struct buf told = BUF_MAX(1 << 20);
	struct view *v = NULL;

	if (dir < 0 || step_view(c->s, &v, e) < 0 || copy_req_init(c, &r, e) < 0)
		return -1;
	struct copy_remote *remote = mem_array(c->nsource + 1, sizeof(*remote));
	bool by_remote = true, kept = false;
	int rc = copy_fetch(c, dir, path, remote, r.source, e);
	for (size_t i = 0; i < c->nsource && rc == 0; i++) {
		by_remote &= c->source[i].kind == COPY_GIT;
		kept |= remote[i].kept;
		if (remote[i].told)
			buf_printf(&told, "%s%s", told.n ? ", " : "", remote[i].told);
	}
	AUTO(pass_clear) struct pass p = {
		.log = BUF_MAX(1 << 20), .log_fd = -1, .dir = dir, .tree = t, .target = v, .req = &r.req, .cache = x ? x->known : NULL, .items = true, .comp = c->comp,
		.level = c->level, .clamp = step_clamp(c->s), .retime = step_req(c->s)->retime, .remote = told.n ? told.p : NULL, .by_remote = by_remote && kept,
	};
	if (rc == 0)
		rc = pass(&p, out, e);
	if (rc == 0)
		copy_tags_put(c, remote, out);
	for (size_t i = 0; i < c->nsource; i++)
		copy_remote_clear(&remote[i]);
	free(remote);
	return rc < 0 ? -1 : 0;
}

/* What was read, into the stat cache. */
static int remember(struct copy *c, struct slice read)
{
	struct context *x = copy_context(c);
	struct statcache *cache = x ? context_known(x) : NULL;
	struct wire w = wire_of(read);
	const char *cold = read.p;

	while (cache && w.rest.n && !w.bad) {
		struct stat st = { 0 };
		struct digest d;

		st.st_dev = wire_u64(&w);
		st.st_ino = wire_u64(&w);
		st.st_size = (off_t)wire_u64(&w);
		st.st_mtim.tv_sec = wire_i64(&w);
		st.st_mtim.tv_nsec = wire_i64(&w);
		st.st_ctim.tv_sec = wire_i64(&w);
		st.st_ctim.tv_nsec = wire_i64(&w);
		int64_t read_at = wire_i64(&w);
		get_digest(&w, &d);
		if (!w.bad)
			statcache_put(cache, &st, read_at, &d);
		if (w.rest.p - cold > MAP_STRIDE) {
			map_cool(cold, w.rest.p);
			cold = w.rest.p;
		}
	}
	return w.bad ? -1 : 0;
}

static int map_made(struct copy *c, const char *name, struct map *ret, struct err **e)
{
	struct step *s = c->s;
	AUTO(mem_freep) char *path = mem_printf("%s/%s", s->tmp, name);
	AUTO(fd_closep) int fd = at_open_store(store_fd(step_app(s)->store), path, O_RDONLY, 0, e);

	return fd < 0 ? -1 : map_open(fd, ret, e);
}

/* Silence says that nothing was meant (9.2 rule 5); a check of the context says so without running (lintcontext.c). */
static void tell_unmatched(struct copy *c, struct wire *w)
{
	struct plan *p = c->s->plan;

	for (uint32_t i = wire_u32(w); i && i <= c->nsource && !w->bad; i = wire_u32(w)) {
		AUTO(mem_freep) char *near = wire_str(w);
		const struct copy_source *s = &c->source[i - 1];

		if (c->from && s->word && !c->s->trigger)
			lint_report(&p->lint, LINT_PatternMatchesNothing, c->s->in, s->word->at, "'%s' matches nothing in %s%s%s%s", s->text,
				    copy_root(c), near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
	}
	plan_findings(p);
}

int copy_answer(struct copy *c, struct slice out, struct pack_facts *facts, struct err **e)
{
	struct step *s = c->s;
	AUTO(map_clear) struct map read = { 0 };
	struct map items = { 0 };
	struct wire w = wire_of(out);

	pack_facts_get(&w, facts);
	AUTO(mem_freep) char *remote = wire_str(&w);
	c->selected = facts->content;
	c->remote = remote ? arena_str(&s->plan->arena, slice_of(remote)) : NULL;
	tell_unmatched(c, &w);
	if (!copy_mapped(c) && copy_tags_get(c, &w, e) < 0)
		return -1;
	if (wire_done(&w, "the facts of a copy", e) < 0)
		return -1;
	c->known = true;
	if (copy_mapped(c))
		return 0;
	if (map_made(c, "items", &items, e) < 0)
		return -1;
	arena_map(&s->plan->arena, &items);
	c->items = (struct key_items){ { items.p, items.n }, true };
	if (map_made(c, "read", &read, e) < 0)
		return -1;
	return remember(c, (struct slice){ read.p, read.n }) < 0 ? err_set(e, ERR_BUG, "the list of a copy's files is damaged") : 0;
}

/* ---- for trees of layers */

static void put_diffs(struct buf *b, const struct digest *d, size_t n)
{
	wire_put_u32(b, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		wire_put(b, (struct slice){ (const char *)d[i].b, sizeof(d[i].b) });
}

int copy_job_put(struct buf *b, const struct copy *c, char **dirs, size_t ndirs, struct err **e)
{
	AUTO(copy_req_clear) struct copy_req r = { 0 };
	struct step *s = c->s;
	const struct digest *lower;
	struct chain chain;
	size_t n;

	if (copy_req_init(c, &r, e) < 0 || step_lower(s, &lower, &n, e) < 0 || tree_chain(s, c->from, &chain, e) < 0)
		return -1;
	wire_put_str(b, store_path(step_app(s)->store));
	wire_put_str(b, s->tmp);
	wire_put_str(b, c->comp);
	wire_put_i64(b, c->level);
	wire_put_i64(b, step_clamp(s));
	wire_put_u32(b, step_req(s)->retime);
	put_diffs(b, lower, n);
	put_diffs(b, chain.diff, chain.n);
	wire_put_u32(b, (uint32_t)ndirs);
	for (size_t i = 0; i < ndirs; i++)
		wire_put_str(b, dirs[i]);
	wire_put_str(b, c->dest);
	wire_put_str(b, c->chmod);
	wire_put_u32(b, (uint32_t)c->parents | (uint32_t)c->link << 1 | (uint32_t)r.req.has_owner << 2 | (uint32_t)r.req.literal << 3);
	wire_put_u32(b, r.req.uid);
	wire_put_u32(b, r.req.gid);
	wire_put_i64(b, r.req.now);
	wire_put_u32(b, (uint32_t)c->nexclude);
	for (size_t i = 0; i < c->nexclude; i++)
		wire_put_str(b, c->exclude[i]);
	wire_put_u32(b, (uint32_t)c->nsource);
	for (size_t i = 0; i < c->nsource; i++) {
		bool in = c->source[i].kind == COPY_INLINE;

		wire_put_str(b, in ? NULL : c->source[i].text);
		wire_put_str(b, in ? c->source[i].name : NULL);
		wire_put(b, in ? c->source[i].content : SLICE_NONE);
	}
	return buf_ok(b, "request of a copy", e);
}

/* Everything a worker was told; strings in the arena, which dies with the worker's job. */
struct told {
	struct arena arena;
	char *store, *tmp, *comp;
	int64_t level, clamp;
	bool retime;
	struct digest *lower, *diff;
	size_t nlower, ndiff, ndir;
	const char **dir;
	struct copy_req r;
};

static const char *told_str(struct told *t, struct wire *w)
{
	AUTO(mem_freep) char *s = wire_str(w);

	return s ? arena_str(&t->arena, slice_of(s)) : NULL;
}

/* A count of things that take at least four bytes each. */
static size_t told_count(struct wire *w)
{
	uint32_t n = wire_u32(w);

	if (n > w->rest.n / 4)
		w->bad = true;
	return w->bad ? 0 : n;
}

static struct digest *told_diffs(struct told *t, struct wire *w, size_t *n)
{
	*n = told_count(w);
	struct digest *d = arena_alloc(&t->arena, (*n + 1) * sizeof(*d));

	for (size_t i = 0; i < *n; i++)
		get_digest(w, &d[i]);
	return d;
}

static int told_get(struct told *t, struct wire *w, struct err **e)
{
	struct pick_req *q = &t->r.req;

	t->store = (char *)told_str(t, w);
	t->tmp = (char *)told_str(t, w);
	t->comp = (char *)told_str(t, w);
	t->level = wire_i64(w);
	t->clamp = wire_i64(w);
	t->retime = wire_u32(w);
	t->lower = told_diffs(t, w, &t->nlower);
	t->diff = told_diffs(t, w, &t->ndiff);
	t->ndir = told_count(w);
	t->dir = arena_alloc(&t->arena, (t->ndir + 1) * sizeof(*t->dir));
	for (size_t i = 0; i < t->ndir; i++)
		t->dir[i] = told_str(t, w);
	*q = (struct pick_req){ .spool = -1 };
	q->dest = told_str(t, w);
	q->chmod = told_str(t, w);
	uint32_t bits = wire_u32(w);
	q->parents = bits & 1;
	q->link = bits & 2;
	q->has_owner = bits & 4;
	q->literal = bits & 8;
	q->uid = wire_u32(w);
	q->gid = wire_u32(w);
	q->now = wire_i64(w);
	for (size_t n = told_count(w); n; n--) {
		const char *pattern = told_str(t, w);

		if (pattern && add_exclude(&t->r, pattern, e) < 0)
			return -1;
	}
	q->nsource = told_count(w);
	t->r.source = mem_array(q->nsource + 1, sizeof(*t->r.source));
	q->source = t->r.source;
	for (size_t i = 0; i < q->nsource; i++) {
		struct pick_source *s = &t->r.source[i];

		*s = (struct pick_source){ .content_fd = -1, .mode = 0644, .mtime = q->now };
		s->path = told_str(t, w);
		s->name = told_str(t, w);
		s->content = wire_get(w);
	}
	return wire_done(w, "a copy", e);
}

static int told_run(struct told *t, struct buf *out, struct err **e)
{
	AUTO(fd_closep) int store = fd_open_host(t->store, O_RDONLY | O_DIRECTORY, 0, e);
	AUTO(view_freep) struct view *target = NULL;
	AUTO(view_freep) struct view *source = NULL;
	AUTO(fd_closep) int dir = -1;

	if (store < 0 || work_view(store, t->lower, t->nlower, &target, e) < 0 || work_view(store, t->diff, t->ndiff, &source, e) < 0)
		return -1;
	if (t->ndir != t->ndiff)
		return err_set(e, ERR_BUG, "a copy was told %zu directories for %zu layers", t->ndir, t->ndiff);
	dir = at_open_store(store, t->tmp, O_RDONLY | O_DIRECTORY, 0, e);
	if (dir < 0)
		return -1;
	int *layers = arena_alloc(&t->arena, (t->ndir + 1) * sizeof(*layers));
	int rc = 0;
	for (size_t i = 0; i < t->ndir; i++) {
		layers[i] = rc == 0 ? at_open_store(store, t->dir[i], O_PATH | O_DIRECTORY, 0, e) : -1;
		rc = layers[i] < 0 ? -1 : rc;
	}
	AUTO(pick_tree_freep) struct pick_tree *tree = pick_tree_view(source, layers);
	AUTO(pass_clear) struct pass p = {
		.log = BUF_MAX(0), .log_fd = -1, .dir = dir, .tree = tree, .target = target, .req = &t->r.req, .comp = t->comp, .level = (int)t->level, .clamp = t->clamp,
		.retime = t->retime,
	};
	if (rc == 0)
		rc = pass(&p, out, e);
	for (size_t i = 0; i < t->ndir; i++)
		fd_closep(&layers[i]);
	return rc;
}

int copy_job(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	struct told t = { 0 };
	struct wire w = wire_of(in);
	int rc = told_get(&t, &w, e);

	if (rc == 0)
		rc = told_run(&t, out, e);
	copy_req_clear(&t.r);
	arena_clear(&t.arena);
	return rc;
}
