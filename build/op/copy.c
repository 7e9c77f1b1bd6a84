/* build/op/copy.c - COPY, and what ADD shares with it: words to sources, the key (spec/dockerfile.md 9, 17.2). */
#include "build/op/copy.h"

#include <fcntl.h>

#include "base/clock.h"
#include "base/mem.h"
#include "build/context/context.h"
#include "build/context/git.h"
#include "build/context/http.h"
#include "build/op/copying.h"
#include "build/plan.h"
#include "build/sched.h"
#include "build/work.h"
#include "parser/diag.h"
#include "parser/ignore.h"

/* Changed files beyond these bytes are not read for the key alone: the pass that reads them makes the layer, too. */
enum { READ_FOR_KEY = 8 << 20, ITEMS_IN_MEMORY = 10000 };

/* ---- evaluation */

static int bad(struct eval *ev, const struct instr *in, struct span at, struct err **e)
{
	return diag_place(e, ev->plan->file->source, at.to > at.from ? at : in->at);
}

static int flag_text(struct eval *ev, const struct instr *in, const char *name, const char **ret, struct err **e)
{
	const struct flag *f = instr_flag(in, name);

	*ret = NULL;
	if (!f || !f->value)
		return 0;
	if (eval_expand(ev, in, f->value, f->value_at, ret, e) < 0)
		return -1;
	if (!**ret)
		*ret = NULL;             /* empty is not given (9.6, 9.7) */
	return 0;
}

static int excludes(struct eval *ev, const struct instr *in, struct copy *c, struct err **e)
{
	AUTO(pats_freep) struct pats *check = pats_new();
	const char **v = arena_alloc(ev->arena, (in->nflag + 1) * sizeof(*v));

	for (size_t i = 0; i < in->nflag; i++) {
		const struct flag *f = &in->flag[i];

		if (strcmp(f->name, "exclude") != 0)
			continue;
		v[c->nexclude++] = f->value ? f->value : "";
		if (exclude_add(check, slice_of(v[c->nexclude - 1]), e) < 0)
			return bad(ev, in, f->value_at, e);
	}
	c->exclude = v;
	return 0;
}

/* Which here-document a word opens, NULL: none. */
static const struct heredoc *doc_of(const struct instr *in, size_t word)
{
	for (size_t i = 0; i < in->ndoc; i++)
		if (in->doc[i].word == (int)word)
			return &in->doc[i];
	return NULL;
}

static int add_docs(struct eval *ev, const struct instr *in, struct copy *c, struct err **e)
{
	for (size_t i = 0; i < in->ndoc; i++) {
		const struct heredoc *d = &in->doc[i];
		struct copy_source *s = &c->source[c->nsource];
		const char *text = NULL;

		if (d->word < 0)
			continue;
		*s = (struct copy_source){ .kind = COPY_INLINE, .name = d->name, .content = d->content };
		if (!d->quoted) {
			if (eval_expand_raw(ev, in, d->content, &text, e) < 0)
				return -1;
			s->content = slice_of(text);
		}
		c->nsource++;
	}
	return 0;
}

/* "attempting to Copy file ... excluded" (15.2): the word as text, and only when nothing can be rescued. */
static void warn_ignored(struct eval *ev, const struct instr *in, const struct copy *c, const struct word *w, const char *text)
{
	const struct context *x = ev->plan->context;

	if (c->from || !x || !context_hides(x, text))
		return;
	lint_report(&ev->plan->lint, LINT_CopyIgnoredFile, in, w->at, "Attempting to %s file \"%s\" that is excluded by %s",
		    in->id == INSTR_ADD ? "Add" : "Copy", text, x->ignore_name);
}

/* COPY "a b" c: three words, since only JSON holds a name with a blank together. */
static int cut_in_quotes(struct eval *ev, const struct instr *in, size_t i, struct err **e)
{
	const struct word *w = &in->arg[i];
	char q = w->text[0];

	if (in->json || (q != '"' && q != '\'') || strchr(w->text + 1, q))
		return 0;
	for (size_t k = i + 1; k < in->narg; k++) {
		size_t n = strlen(in->arg[k].text);

		if (!n || in->arg[k].text[n - 1] != q)
			continue;
		err_set(e, ERR_INPUT, "unexpected end of statement while looking for matching %s", q == '"' ? "double-quote" : "single-quote");
		err_wrap(e, "failed to process \"%s\"", w->text);
		err_hint(e, "a blank ends a word even in quotes: names with blanks need the JSON form, %s [\"a b\", \"c\"]",
			 instr_table[in->id].word);
		return bad(ev, in, w->at, e);
	}
	return 0;
}

int copy_eval_words(struct eval *ev, const struct instr *in, copy_classify *classify, struct copy **ret, struct err **e)
{
	struct copy *c = arena_alloc(ev->arena, sizeof(*c));
	const struct word *last = &in->arg[in->narg - 1];

	*ret = c;
	c->source = arena_alloc(ev->arena, (in->narg + in->ndoc) * sizeof(*c->source));
	if (flag_text(ev, in, "chown", &c->chown, e) < 0 || flag_text(ev, in, "chmod", &c->chmod, e) < 0 || excludes(ev, in, c, e) < 0)
		return -1;
	if (c->chmod && pick_chmod_check(c->chmod, e) < 0)
		return bad(ev, in, instr_flag(in, "chmod")->value_at, e);
	c->parents = instr_flag_bool(in, "parents", false);
	/* The source of a mount is expanded already, and no pattern (8.6). */
	c->literal = ev->stage->hidden;
	/* Together with --chmod it is silently an ordinary copy (9.9). */
	c->link = instr_flag_bool(in, "link", false) && !c->chmod;
	for (size_t i = 0; i + 1 < in->narg; i++) {
		struct copy_source *s = &c->source[c->nsource];

		if (doc_of(in, i))
			continue;
		s->word = &in->arg[i];
		s->text = s->word->text;
		if (cut_in_quotes(ev, in, i, e) < 0)
			return -1;
		if (!c->literal && (eval_expand(ev, in, in->arg[i].text, in->arg[i].at, &s->text, e) < 0 || classify(ev, in, &in->arg[i], s, e) < 0))
			return -1;
		c->nsource++;
	}
	if (add_docs(ev, in, c, e) < 0)
		return -1;
	if (eval_expand(ev, in, last->text, last->at, &c->dest_text, e) < 0)
		return -1;
	c->dest = eval_path(ev, c->dest_text);
	return 0;
}

struct step *copy_eval_step(struct eval *ev, const struct instr *in, struct copy *c)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(32 << 20);

	buf_str(&b, instr_table[in->id].word);
	if (c->parents)
		buf_str(&b, " --parents");
	if (c->chown)
		buf_printf(&b, " --chown=%s", c->chown);
	if (c->chmod)
		buf_printf(&b, " --chmod=%s", c->chmod);
	for (size_t i = 0; i < c->nsource; i++)
		buf_printf(&b, " %s%s", c->source[i].kind == COPY_INLINE ? "<<" : "",
			   c->source[i].kind == COPY_INLINE ? c->source[i].name : c->source[i].text);
	buf_printf(&b, " %s # buildkit", c->dest_text);
	c->s = eval_step(ev, in, arena_str(ev->arena, buf_view(&b)), c);
	for (size_t i = 0; i < c->nsource; i++)
		if (c->source[i].kind == COPY_PATH)
			warn_ignored(ev, in, c, c->source[i].word, c->source[i].text);
	return c->s;
}

static int copy_classify_path(struct eval *ev, const struct instr *in, const struct word *w, struct copy_source *s, struct err **e)
{
	if (git_is(s->text, false)) {
		err_set(e, ERR_INPUT, "source can't be a git ref for COPY");
		err_hint(e, "use ADD");
		return bad(ev, in, w->at, e);
	}
	if (http_is(s->text)) {
		err_set(e, ERR_INPUT, "source can't be a URL for COPY");
		err_hint(e, "use ADD");
		return bad(ev, in, w->at, e);
	}
	s->kind = COPY_PATH;
	return 0;
}

static int copy_eval(struct eval *ev, const struct instr *in, struct err **e)
{
	const struct flag *from = instr_flag(in, "from");
	struct copy *c = NULL;

	if (copy_eval_words(ev, in, copy_classify_path, &c, e) < 0)
		return -1;
	bool outside = from && from->value && *from->value;
	struct tree_ref none = { 0 };
	c->from = outside ? &none : NULL;
	struct step *s = copy_eval_step(ev, in, c);
	c->from = NULL;
	return outside ? eval_from(ev, in, s, from->value, from->value_at, true, "cannot copy from stage", &c->from, e) : 0;
}

/* ---- what it reads */

struct context *copy_context(const struct copy *c)
{
	if (!c->from)
		return c->s->plan->context;
	return c->from->kind == TREE_DIR ? c->from->context : NULL;
}

bool copy_mapped(const struct copy *c)
{
	return c->from && (c->from->kind == TREE_STAGE || c->from->kind == TREE_IMAGE);
}

int copy_owner(const struct copy *c, bool *has, uint32_t *uid, uint32_t *gid, struct err **e)
{
	struct view *v = NULL;

	*has = c->chown;
	*uid = *gid = 0;
	if (!c->chown)
		return 0;
	if (step_view(c->s, &v, e) < 0)
		return -1;
	return view_owner(v, c->chown, view_depth(v) == 0, uid, gid, e);
}

int64_t copy_now(const struct copy *c)
{
	int64_t epoch = c->s->plan->epoch;

	return epoch != INT64_MIN ? epoch : clock_wall();
}

const char *copy_root(const struct copy *c)
{
	static const char *const kind[] = { "", "the stage", "the image", "the context" };
	const struct context *x = c->s->plan->context;
	struct arena *a = &c->s->plan->arena;

	if (c->from)
		return arena_printf(a, c->from->kind == TREE_SCRATCH ? "scratch" : "%s '%s'", kind[c->from->kind], c->from->name);
	/* Where it was fetched to says nothing. */
	return x && x->path ? arena_printf(a, "the build context '%s'", x->path) : "the build context";
}

/* Which of the words it was, and where that was looked for (spec/threats.md 18). */
static void place_source(struct copy *c, struct err **e)
{
	struct step *s = c->s;
	size_t i;

	if (err_placed(*e) || !err_part(*e, &i))
		return;
	if (i == c->nsource && !s->stage->hidden && !s->trigger)
		step_wrap_at(s, s->in->arg[s->in->narg - 1].at, e);
	if (i >= c->nsource || !c->source[i].word)
		return;
	err_wrap(e, "cannot %s '%s' from %s", s->stage->hidden ? "mount" : "copy", c->source[i].word->text, copy_root(c));
	step_wrap_at(s, s->trigger ? s->in->at : c->source[i].word->at, e);
}

/* ---- key */

/* The directory part of a single named file does not count, nor does a slash behind a directory (17.2). clean: for the answer. */
static const char *source_name_of(const struct copy *c, const struct copy_source *s, struct buf *clean)
{
	if (c->parents || s->kind != COPY_PATH || glob_has_meta(slice_of(s->text)))
		return s->text;
	buf_reset(clean);
	path_clean(slice_of(s->text + strspn(s->text, "/")), clean);
	const char *slash = strrchr(clean->p, '/');
	return slash ? slash + 1 : clean->p;
}

static int key_definition(const struct copy *c, struct keyer *k, struct err **e)
{
	AUTO(buf_freep) struct buf owner = BUF_MAX(64);
	AUTO(buf_freep) struct buf clean = BUF_MAX(1 << 20);
	uint32_t uid = 0, gid = 0;
	bool has = false;

	if (copy_owner(c, &has, &uid, &gid, e) < 0)
		return -1;
	for (size_t i = 0; i < c->nsource; i++) {
		const struct copy_source *s = &c->source[i];
		AUTO(mem_freep) char *file = s->kind == COPY_HTTP ? http_file_name(s->text) : NULL;

		key_text(k, "source", s->kind == COPY_INLINE ? s->name : file ? file : source_name_of(c, s, &clean));
	}
	key_text(k, "destination", c->dest);
	buf_printf(&owner, "%u:%u", uid, gid);
	key_text(k, "owner", has ? owner.p : NULL);
	key_text(k, "mode", c->chmod);
	for (size_t i = 0; i < c->nexclude; i++)
		key_text(k, "exclude", c->exclude[i]);
	key_u64(k, "parents", c->parents);
	key_u64(k, "link", c->link);
	key_u64(k, "unpack", (uint64_t)c->unpack * 2 + c->unpack_remote);
	key_text(k, "keep git directory", c->has_keep ? c->keep ? "true" : "false" : NULL);
	key_text(k, "checksum", c->checksum);
	return 0;
}

static bool has_remote(const struct copy *c)
{
	for (size_t i = 0; i < c->nsource; i++)
		if (c->source[i].kind == COPY_GIT || c->source[i].kind == COPY_HTTP)
			return true;
	return false;
}

static bool known_digest(void *cache, const struct stat *st, struct digest *ret)
{
	return cache && statcache_get(cache, st, ret);
}

static void put_digest(void *cache, const struct stat *st, int64_t read_at, const struct digest *d)
{
	if (cache)
		statcache_put(cache, st, read_at, d);
}

/* What was selected, by name, until it is known whether the step runs: a long list in a nameless file. */
static int keep_items(struct copy *c, const struct picked *p, int dir, struct err **e)
{
	AUTO(buf_freep) struct buf items = BUF_MAX(64 << 20);
	AUTO(fd_closep) int fd = -1;
	struct map map = { 0 };

	if (picked_selected(p) > ITEMS_IN_MEMORY && dir >= 0)
		fd = at_open_store(dir, "", O_TMPFILE | O_RDWR, 0600, NULL);
	if (copy_items_put(p, &items, fd, e) < 0)
		return -1;
	c->items = (struct key_items){ .mapped = fd >= 0 };
	if (fd < 0) {
		c->items.bytes = arena_slice(&c->s->plan->arena, buf_view(&items));
		return 0;
	}
	if (map_open(fd, &map, e) < 0)
		return -1;
	arena_map(&c->s->plan->arena, &map);
	c->items.bytes = (struct slice){ map.p, map.n };
	return 0;
}

/* Select now, with what the stat cache knows. 0, STEP_READ. */
static int select_now(struct copy *c, struct err **e)
{
	struct context *x = copy_context(c);
	AUTO(pick_tree_freep) struct pick_tree *t = x && x->dir >= 0 ? pick_tree_dir(x->dir, x->ignore) : NULL;
	AUTO(copy_req_clear) struct copy_req r = { 0 };
	AUTO(picked_freep) struct picked *p = NULL;
	AUTO(fd_closep) int dir = store_scratch(step_app(c->s)->store, NULL);
	struct statcache *cache = x ? context_known(x) : NULL;
	struct view *v = NULL;

	if (step_view(c->s, &v, e) < 0 || copy_req_init(c, &r, e) < 0)
		return -1;
	r.req.swap = dir;
	if (pick_run(t, v, &r.req, &p, e) < 0) {
		place_source(c, e);
		return -1;
	}
	int rc = copy_selected(p, known_digest, put_digest, cache, READ_FOR_KEY, &c->selected, e);
	if (rc < 0 || keep_items(c, p, dir, e) < 0)
		return -1;
	c->known = rc == 0;
	return rc == PICK_UNKNOWN ? STEP_READ : 0;
}

/* Layers of another tree: what its layers are counts until it is known what was selected of them. */
static int key_tree(struct copy *c, struct keyer *k, struct err **e)
{
	struct chain chain;

	if (tree_chain(c->s, c->from, &chain, e) < 0)
		return -1;
	/* Not by its name: a renamed stage is the same stage (17.1). */
	key_input(k, "files of --from", &chain.content, c->known ? &c->selected : NULL);
	return 0;
}

int copy_key(struct step *s, struct keyer *k, struct err **e)
{
	struct copy *c = s->data;
	int rc = 0;

	/* The result is the same on any parent (17.4). */
	if (c->link) {
		key_clear(k);
		key_init(k, instr_table[s->in->id].word);
	}
	if (key_definition(c, k, e) < 0)
		return -1;
	if (copy_mapped(c))
		return key_tree(c, k, e);
	if (c->pinned)
		return 0;
	if (!c->known)
		rc = has_remote(c) ? STEP_ASK : select_now(c, e);
	if (rc < 0)
		return -1;
	/* In the order in which reasons are told: the files by name first. Where a file came from does not count, only where it
	 * goes (17.2): that is in the content digest. */
	key_list(k, "file", c->items);
	key_text(k, "remote source", c->remote);
	key_digest(k, "content", &c->selected);
	return rc;
}

/* ---- running */

/* The servers say that nothing changed: the key is what it was, and its step is there, or it is fetched after all. */
static void unchanged(struct copy *c)
{
	c->selected = c->last.selected;
	c->remote = arena_str(&c->s->plan->arena, slice_of(c->last.told));
	c->known = true;
	remote_record_clear(&c->last);
	step_unchanged(c->s);
}

static void pass_done(void *arg, struct slice out, struct err *e)
{
	struct copy *c = arg;
	struct step_made m = { .tmp = c->s->tmp, .comp = c->comp, .level = c->level };

	if (!e && out.n == 0 && c->last.told) {
		unchanged(c);
		return;
	}
	remote_record_clear(&c->last);
	if (!e)
		copy_answer(c, out, &m.facts, &e);
	if (e)
		place_source(c, &e);
	if (e)
		step_failed(c->s, e);
	else
		step_packed(c->s, &m);
}

static void dirs_ready(void *arg, char **dirs, size_t n, struct err *e)
{
	struct copy *c = arg;
	struct step *s = c->s;
	AUTO(buf_freep) struct buf b = BUF_MAX(JOB_MAX);

	/* Unpacking takes a while: something else may have failed meanwhile. */
	if (!e && sched_ending(s))
		err_set(&e, ERR_HOST, "the build ended before it was started");
	if (!e && copy_job_put(&b, c, dirs, n, &e) == 0)
		(void)job_start(step_app(s)->jobs, JOB_MAPPED, WORK_COPY, buf_view(&b), NULL, 0, NULL, pass_done, c, &s->job, &e);
	if (e)
		step_failed(s, e);
	else
		step_packing(s, c->comp);
}

int copy_exec(struct step *s, struct err **e)
{
	struct copy *c = s->data;
	AUTO(buf_freep) struct buf call = BUF_MAX(64);

	c->comp = step_comp(s, &c->level);
	if (store_tmp(step_app(s)->store, s->tmp, e) < 0)
		return -1;
	if (copy_mapped(c))
		return tree_dirs(s, c->from, dirs_ready, c, e);
	if (copy_ask(c, e) < 0)
		return -1;
	work_call_put(&call, copy_child, c);
	if (job_start(step_app(s)->jobs, JOB_LOCAL, WORK_CALL, buf_view(&call), NULL, 0, NULL, pass_done, c, &s->job, e) < 0) {
		remote_record_clear(&c->last);
		return -1;
	}
	step_packing(s, c->comp);
	return 0;
}

const struct op op_COPY = { .eval = copy_eval, .key = copy_key, .exec = copy_exec };
