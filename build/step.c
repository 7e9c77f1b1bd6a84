/* build/step.c - what a step's operation may ask: trees, views, directories, keys of its parent; places for its errors. */
#include "build/step.h"

#include <fcntl.h>

#include "base/mem.h"
#include "build/plan.h"
#include "build/trees.h"
#include "parser/diag.h"

struct app *step_app(const struct step *s)
{
	return s->plan->app;
}

const struct build_req *step_req(const struct step *s)
{
	return s->plan->req;
}

static size_t layers_of(const struct base_image *base)
{
	return base ? base->pulled.image.nlayer : 0;
}

static size_t depth(const struct step *last)
{
	size_t n = 0;

	for (; last; last = last->parent)
		n++;
	return n;
}

/* The stage remembers what is done of its chain, as every step of it asks several times: n layers hashed, not n*n. */
static int chain_grow(struct pstage *ps, const struct step *last, size_t n, struct err **e)
{
	size_t nbase = layers_of(ps->base);

	for (const struct step *s = last; s; s = s->parent)
		if (s->state != STEP_DONE)
			return err_set(e, ERR_BUG, "the tree of %s is asked for before it is done", s->title);
	if (!ps->diff) {
		size_t most = nbase + depth(ps->last);

		ps->diff = arena_alloc(&ps->plan->arena, (most + 1) * sizeof(*ps->diff));
		ps->content = arena_alloc(&ps->plan->arena, (most + 1) * sizeof(*ps->content));
	}
	for (size_t i = n; last && i > ps->nchain; last = last->parent)
		ps->diff[--i] = last->record.diff;
	if (ps->nchain == 0 && nbase)
		memcpy(ps->diff, ps->base->diff, nbase * sizeof(*ps->diff));
	for (; ps->nchain < n; ps->nchain++)
		digest_chain(ps->nchain ? &ps->content[ps->nchain - 1] : NULL, &ps->diff[ps->nchain], &ps->content[ps->nchain]);
	return 0;
}

/* The tree that a stage has after `last`: its base's layers and those of the steps, bottom first. */
static int chain_of(const struct base_image *base, const struct step *last, struct chain *ret, struct err **e)
{
	*ret = (struct chain){ .n = layers_of(base) };
	if (!last) {
		if (base) {
			ret->diff = base->diff;
			ret->def = base->def;
			ret->content = base->content;
		}
		return 0;
	}
	ret->n += depth(last);
	if (chain_grow(last->stage, last, ret->n, e) < 0)
		return -1;
	ret->diff = last->stage->diff;
	ret->content = last->stage->content[ret->n - 1];
	ret->def = last->def;
	return 0;
}

int tree_chain(struct step *s, const struct tree_ref *t, struct chain *ret, struct err **e)
{
	switch (t->kind) {
	case TREE_STAGE:
		return chain_of(t->stage->base, t->stage->last, ret, e);
	case TREE_IMAGE:
		return chain_of(t->base, NULL, ret, e);
	default:
		return chain_of(NULL, NULL, ret, e);
	}
}

int tree_view(struct step *s, const struct tree_ref *t, struct view **ret, struct err **e)
{
	struct chain c;

	if (tree_chain(s, t, &c, e) < 0)
		return -1;
	return trees_view(s->plan->app, c.diff, c.n, ret, e);
}

int tree_dirs(struct step *s, const struct tree_ref *t, step_then *then, void *arg, struct err **e)
{
	struct chain c;

	if (tree_chain(s, t, &c, e) < 0)
		return -1;
	return trees_dirs(s->plan->app->trees, c.diff, c.n, then, arg, e);
}

int step_lower(struct step *s, const struct digest **ret, size_t *n, struct err **e)
{
	struct chain c;

	if (chain_of(s->stage->base, s->parent, &c, e) < 0)
		return -1;
	*ret = c.diff;
	*n = c.n;
	return 0;
}

/* The stage's own view grows with its chain: at any moment it holds what is done. */
int step_view(struct step *s, struct view **ret, struct err **e)
{
	struct pstage *ps = s->stage;
	const struct digest *diff;
	size_t n;

	if (step_lower(s, &diff, &n, e) < 0)
		return -1;
	if (!ps->view) {
		ps->view = view_new();
		/* A stage goes on where the one that it is built from ended: its layers are open. */
		if (ps->parent && ps->parent->view) {
			view_share(ps->view, ps->parent->view);
			ps->nview = ps->parent->nview;
		}
	}
	for (; ps->nview < n; ps->nview++) {
		struct listing *l = NULL;
		char path[80];

		store_listing_path(&diff[ps->nview], path);
		int fd = at_open_store(store_fd(s->plan->app->store), path, O_RDONLY, 0, e);
		if (fd < 0 || listing_open(fd, &l, e) < 0)
			return err_wrap(e, "cannot read the listing of layer %s", digest_short(&diff[ps->nview]).s);
		view_push(ps->view, l);
		if (view_settle(ps->view, e) < 0)
			return -1;
	}
	*ret = ps->view;
	return 0;
}

/* ---- directories for a mount: committed layers, then steps that are frozen and not committed yet */

struct lower_wait {
	struct step *s;
	char **frozen;
	size_t nfrozen;
	step_then *then;
	void *arg;
};

static void lower_arrived(void *arg, char **dirs, size_t n, struct err *e)
{
	struct lower_wait *w = arg;
	char **all = mem_array(n + w->nfrozen + 1, sizeof(*all));

	if (n)
		memcpy(all, dirs, n * sizeof(*all));
	memcpy(all + n, w->frozen, w->nfrozen * sizeof(*all));
	w->then(w->arg, all, e ? 0 : n + w->nfrozen, e);
	free(all);
	free(w->frozen);
	free(w);
}

int step_dirs(struct step *s, step_then *then, void *arg, struct err **e)
{
	struct lower_wait *w = mem_zalloc(sizeof(*w));
	struct step *done = s->parent;
	struct chain c;

	for (; done && done->state != STEP_DONE; done = done->parent)
		w->nfrozen++;
	w->frozen = mem_array(w->nfrozen + 1, sizeof(*w->frozen));
	size_t i = w->nfrozen;
	/* What still runs will be frozen where it is. */
	for (struct step *f = s->parent; f != done; f = f->parent)
		w->frozen[--i] = f->frozen[0] ? f->frozen : arena_printf(&s->plan->arena, "%s/fs", f->tmp);
	w->s = s;
	w->then = then;
	w->arg = arg;
	if (chain_of(s->stage->base, done, &c, e) == 0 && trees_dirs(s->plan->app->trees, c.diff, c.n, lower_arrived, w, e) == 0)
		return 0;
	free(w->frozen);
	free(w);
	return -1;
}

/* ---- keys */

void step_key_parent(struct step *s, struct keyer *k)
{
	const struct base_image *base = s->stage->base;
	struct chain c;

	if (!s->parent) {
		if (base)
			key_input(k, "parent", &base->def, &base->content);
		else
			key_text(k, "parent", "scratch");
		return;
	}
	if (s->parent->state != STEP_DONE || chain_of(base, s->parent, &c, NULL) < 0)
		key_input(k, "parent", &s->parent->def, NULL);
	else
		key_input(k, "parent", &s->parent->def, &c.content);
}

/* The compression that the first output which moves layers wants; so a later push has the same digest. */
const char *step_comp(const struct step *s, int *level)
{
	const struct build_req *r = s->plan->req;

	*level = r->level;
	for (size_t i = 0; i < r->noutput; i++) {
		const struct output_spec *o = &r->output[i];

		if (o->comp) {
			*level = o->level;
			return o->comp;
		}
		if (o->type == OUTPUT_DOCKER && !r->comp)
			return "gzip";
	}
	return r->comp ? r->comp : "zstd";
}

static bool output_moves(const struct output_spec *o)
{
	return o->type == OUTPUT_REGISTRY || o->type == OUTPUT_OCI || o->type == OUTPUT_DOCKER || o->push || o->push_by_digest || o->comp ||
	       o->force_comp || o->join;
}

bool step_leaves(const struct step *s)
{
	const struct build_req *r = s->plan->req;
	const struct step *t = s->plan->target ? s->plan->target->last : NULL;

	if (r->image.squash != SQUASH_NONE)
		return false;
	while (t && t != s)
		t = t->parent;
	for (size_t i = 0; t && i < r->noutput; i++)
		if (output_moves(&r->output[i]) || (r->index && r->output[i].type == OUTPUT_STORE))
			return true;
	return t && r->index && r->noutput == 0;
}

int64_t step_clamp(const struct step *s)
{
	if (s->plan->req->retime)
		return s->plan->epoch;
	for (size_t i = 0; i < s->plan->req->noutput; i++) {
		if (s->plan->req->output[i].rewrite_timestamp && s->plan->epoch != INT64_MIN)
			return s->plan->epoch;
	}
	return INT64_MAX;
}

void step_output(struct step *s, int stream, struct slice text)
{
	report_output(s->plan->app->report, s->id, stream, text);
}

int step_wrap_at(struct step *s, struct span at, struct err **e)
{
	if (err_placed(*e))
		return -1;
	if (s->in->id == INSTR_RUN && strstr(err_cause(*e), "a program for another architecture"))
		err_hint(e, "the stage is for %s and this machine is %s: compile in a stage FROM --platform=$BUILDPLATFORM, or install qemu-user-static",
			 platform_text(&s->stage->platform).s, platform_text(&s->plan->build_platform).s);
	/* A hidden stage copies for an instruction of another kind. */
	if (s->stage->hidden)
		err_wrap(e, "%s", s->in->spelling);
	else if (s->plan->req->platforms.n > 1)
		err_wrap(e, "%s %.200s (for %s)", instr_table[s->in->id].word, s->in->text, platform_text(&s->plan->target_platform).s);
	else
		err_wrap(e, "%s %.200s", instr_table[s->in->id].word, s->in->text);
	return diag_place(e, s->plan->file->source, at);
}

int step_wrap(struct step *s, struct err **e)
{
	return step_wrap_at(s, s->in->at, e);
}
