/* build/eval.c - evaluation: variables, expansion, config, history; one stage from its base to its end (spec/dockerfile.md 3, 4, 6.4). */
#include <ctype.h>
#include <stdarg.h>

#include "base/mem.h"
#include "build/context/context.h"
#include "build/plan.h"
#include "parser/diag.h"
#include "parser/expand.h"
#include "parser/flags.h"
#include "parser/ignore.h"
#include "registry/hide.h"

const char *eval_get(const struct eval *ev, const char *name)
{
	struct var *v = vars_find(&ev->var, slice_of(name));

	return v ? v->value : NULL;
}

/* An assignment moves the name to the end of RUN's environment (4.1). */
void eval_set(struct eval *ev, const char *key, const char *value, bool arg)
{
	vars_move(&ev->var, ev->arena, key, value, arg);
}

void eval_env(struct eval *ev, const char *key, const char *value)
{
	struct var *v = vars_move(&ev->var, ev->arena, key, value, false);

	if (ev->env_twice) {
		config_env_set(ev->image, key, value);
	} else if (v->env) {
		config_env_put(ev->image, v->env - 1, key, value);
	} else {
		config_env_add(ev->image, key, value);
		v->env = config_env_count(ev->image);
	}
}

const char *eval_global_get(const struct plan *p, const char *name)
{
	struct var *v = vars_find(&p->global, slice_of(name));

	return v ? v->value : NULL;
}

/* ---- global scope (4.2, 4.4) */

static void predefine(struct plan *p, const char *prefix, const struct platform *pf)
{
	const struct {
		const char *suffix, *value;
	} rows[] = {
		{ "PLATFORM", NULL }, { "OS", pf->os }, { "ARCH", pf->arch }, { "VARIANT", pf->variant },
		{ "OSVERSION", pf->os_version },
	};
	struct platform_text text = platform_text(pf);

	for (size_t i = 0; i < countof(rows); i++) {
		AUTO(mem_freep) char *name = mem_printf("%s%s", prefix, rows[i].suffix);
		const char *given = plan_build_arg(p, name);

		vars_set(&p->global, &p->arena, name, given ? given : i == 0 ? text.s : rows[i].value, true);
	}
}

void eval_predefine(struct plan *p)
{
	const struct stage *last = p->file->stage[p->file->nstage - 1];
	const char *given = plan_build_arg(p, "TARGETSTAGE");
	const char *want = p->req->target && *p->req->target ? p->req->target : last->name ? last->name : "default";

	predefine(p, "TARGET", &p->target_platform);
	predefine(p, "BUILD", &p->build_platform);
	vars_set(&p->global, &p->arena, "TARGETSTAGE", given ? given : want, true);
}

struct global_look {
	struct plan *p;
	const struct instr *in;
	struct span at;
	bool from;                       /* a FROM line: unknown names are a finding */
};

static const char *global_get(void *arg, struct slice name)
{
	struct global_look *g = arg;
	struct var *v = vars_find(&g->p->global, name);

	return v ? v->value : NULL;
}

/* A global ARG without a value is declared, too. */
static bool is_global(const struct file *f, struct slice name)
{
	for (size_t i = 0; i < f->nglobal; i++)
		for (size_t k = 0; k < f->global[i]->npair; k++)
			if (slice_is(name, f->global[i]->pair[k].key))
				return true;
	return false;
}

static void global_seen(void *arg, struct slice name, bool found)
{
	struct global_look *g = arg;

	if (found || !g->from || is_global(g->p->file, name))
		return;
	const char *near = vars_near(&g->p->global, name, &g->p->lint.compared);
	lint_report(&g->p->lint, LINT_UndefinedArgInFrom, g->in, g->at, "FROM argument '%.*s' is not declared%s%s%s", SLICE_F(name),
		    near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
}

int eval_global_expand(struct plan *p, const char *text, struct span at, char escape, const struct instr *in, const char **ret, struct err **e)
{
	struct global_look g = { .p = p, .in = in, .at = at, .from = in->id == INSTR_FROM };
	struct expand x = { .escape = escape, .get = global_get, .seen = global_seen, .arg = &g, .total = &p->expanded };
	AUTO(buf_freep) struct buf b = BUF_MAX(1 << 20);

	if (expand_word(&x, slice_of(text), &b, e) < 0 || buf_ok(&b, "expansion", e) < 0)
		return diag_place(e, p->file->source, at);
	*ret = arena_str(&p->arena, buf_view(&b));
	return 0;
}

int eval_global(struct plan *p, struct err **e)
{
	for (size_t i = 0; i < p->file->nglobal; i++) {
		const struct instr *in = p->file->global[i];

		for (size_t k = 0; k < in->npair; k++) {
			const char *value = plan_build_arg(p, in->pair[k].key);

			if (!value && in->pair[k].value &&
			    eval_global_expand(p, in->pair[k].value, in->pair[k].at, p->file->escape, in, &value, e) < 0)
				return -1;
			if (value)
				vars_set(&p->global, &p->arena, in->pair[k].key, value, true);
		}
	}
	return 0;
}

/* ---- expansion in a stage */

struct look {
	struct eval *ev;
	const struct instr *in;
	struct span at;
};

static const char *stage_get(void *arg, struct slice name)
{
	struct look *l = arg;
	struct var *v = vars_find(&l->ev->var, name);

	return v ? v->value : NULL;
}

static void stage_seen(void *arg, struct slice name, bool found)
{
	struct look *l = arg;
	struct eval *ev = l->ev;

	if (found || ev->stage->hidden || l->in->id == INSTR_EXPOSE || vars_find(&ev->arg, name))
		return;
	const char *near = vars_near(&ev->var, name, &ev->plan->lint.compared);
	lint_report(&ev->plan->lint, LINT_UndefinedVar, l->in, l->at, "usage of undefined variable '$%.*s'%s%s%s", SLICE_F(name),
		    near ? " (did you mean $" : "", near ? near : "", near ? "?)" : "");
}

/* Errors of triggers are located at the FROM line. */
static int place(struct eval *ev, const struct instr *in, struct span at, struct err **e)
{
	if (err_placed(*e))
		return -1;
	if (ev->trigger)
		at = ev->stage->st->from->at;
	return diag_place(e, ev->plan->file->source, at.to > at.from ? at : in->at);
}

static struct expand stage_expand(struct look *l)
{
	return (struct expand){ .escape = l->ev->plan->file->escape, .get = stage_get, .seen = stage_seen, .arg = l,
				.total = &l->ev->plan->expanded };
}

int eval_expand(struct eval *ev, const struct instr *in, const char *text, struct span at, const char **ret, struct err **e)
{
	struct look l = { ev, in, at };
	struct expand x = stage_expand(&l);
	AUTO(buf_freep) struct buf b = BUF_MAX(1 << 20);

	if (expand_word(&x, slice_of(text), &b, e) < 0 || buf_ok(&b, "expansion", e) < 0)
		return place(ev, in, at, e);
	*ret = arena_str(ev->arena, buf_view(&b));
	return 0;
}

int eval_expand_raw(struct eval *ev, const struct instr *in, struct slice text, const char **ret, struct err **e)
{
	struct look l = { ev, in, in->at };
	struct expand x = stage_expand(&l);
	AUTO(buf_freep) struct buf b = BUF_MAX(16 << 20);

	x.escape = '\\';
	x.raw = true;
	if (expand_word(&x, text, &b, e) < 0 || buf_ok(&b, "here-document", e) < 0)
		return place(ev, in, in->at, e);
	*ret = arena_str(ev->arena, buf_view(&b));
	return 0;
}

int eval_expand_words(struct eval *ev, const struct instr *in, const char *text, struct span at, const char ***ret, size_t *n, struct err **e)
{
	struct look l = { ev, in, at };
	struct expand x = stage_expand(&l);
	AUTO(buf_freep) struct buf b = BUF_MAX(1 << 20);
	const char **v;

	*n = 0;
	if (expand_words(&x, slice_of(text), &b, n, e) < 0 || buf_ok(&b, "expansion", e) < 0)
		return place(ev, in, at, e);
	v = arena_alloc(ev->arena, (*n + 1) * sizeof(*v));
	const char *bytes = arena_slice(ev->arena, buf_view(&b)).p;
	for (size_t i = 0; i < *n; i++) {
		v[i] = bytes;
		bytes += strlen(bytes) + 1;
	}
	*ret = v;
	return 0;
}

const char *eval_cwd(const struct eval *ev)
{
	const char *cwd = config_text(ev->image, "WorkingDir");

	return *cwd ? cwd : "/";
}

const char *eval_printf(struct eval *ev, const char *fmt, ...)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(32 << 20);
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	return arena_str(ev->arena, buf_view(&b));
}

const char *eval_path(struct eval *ev, const char *text)
{
	AUTO(buf_freep) struct buf joined = BUF_MAX(1 << 20);
	AUTO(buf_freep) struct buf clean = BUF_MAX(1 << 20);
	size_t n = strlen(text);
	bool dir = n == 0 || strcmp(text, ".") == 0 || text[n - 1] == '/' || (n >= 2 && strcmp(text + n - 2, "/.") == 0);

	if (text[0] != '/') {
		buf_str(&joined, eval_cwd(ev));
		buf_char(&joined, '/');
	}
	buf_str(&joined, text);
	/* Rooted, so ".." is clamped at the root. */
	path_clean(buf_view(&joined), &clean);
	if (dir && clean.p[clean.n - 1] != '/')
		buf_char(&clean, '/');
	return arena_str(ev->arena, buf_view(&clean));
}

/* ---- history and steps */

/* An image is for others: nobody's password is in its history (spec/threats.md S8). */
static void history_add(struct eval *ev, const char *created_by, bool empty_layer)
{
	AUTO(buf_freep) struct buf line = BUF_MAX(UINT32_MAX);

	hide_credentials(slice_of(created_by), &line);
	config_history(ev->image, line.p ? line.p : "", INT64_MIN, empty_layer);
}

void eval_history(struct eval *ev, const char *created_by)
{
	history_add(ev, created_by, true);
}

struct step *eval_step(struct eval *ev, const struct instr *in, const char *created_by, void *data)
{
	struct plan *p = ev->plan;
	struct pstage *ps = ev->stage;
	struct step *s = arena_alloc(&p->arena, sizeof(*s));
	AUTO(buf_freep) struct buf cwd = BUF_MAX(1 << 20);

	history_add(ev, created_by, false);
	s->op = op_table[in->id];
	s->in = in;
	s->plan = p;
	s->stage = ps;
	s->parent = ps->last;
	s->data = data;
	path_clean(slice_of(eval_cwd(ev)), &cwd);        /* the config keeps it as written */
	s->cwd = arena_str(&p->arena, buf_view(&cwd));
	s->user = arena_str(&p->arena, slice_of(config_text(ev->image, "User")));
	s->no_cache = ps->no_cache && in->id != INSTR_WORKDIR;
	s->ordinal = ps->nsteps++;
	s->id = p->app->next_id++;
	s->trigger = ev->trigger;
	step_title(ev, s, NULL, 0);
	ps->last = s;
	MEM_ROOM(p->step, p->nstep, p->stepcap);
	p->step[p->nstep++] = s;
	return s;
}

static int from_stage(struct eval *ev, const struct instr *in, struct pstage *to, struct span at, const char *what, struct tree_ref *t,
		      struct err **e)
{
	if (!to->evaluated) {
		err_set(e, ERR_INPUT, "%s \"%s\", it needs to be defined before current %s", what, to->title,
			strncmp(what, "cannot copy", 11) == 0 ? "stage" : "command");
		return place(ev, in, at, e);
	}
	t->kind = TREE_STAGE;
	t->stage = to;
	return 0;
}

int eval_named(struct plan *p, const char *name, const char *spec, struct context **ret, struct err **e)
{
	for (size_t k = 0; k <= p->which; k++) {
		const struct plan *q = k < p->which ? p->all[k] : p;

		for (size_t i = 0; i < q->nnamed; i++) {
			if (strcmp(q->named[i]->spec, spec) == 0) {
				*ret = q->named[i];
				return 0;
			}
		}
	}
	if (context_open_named(p->app, p->req, spec, ret, e) < 0)
		return err_wrap(e, "cannot open named context '%s'", name);
	MEM_ROOM(p->named, p->nnamed, p->namedcap);
	p->named[p->nnamed++] = *ret;
	return 0;
}

static int from_outside(struct eval *ev, const struct instr *in, const char *name, struct span at, struct tree_ref *t, struct err **e)
{
	/* For the target's platform (5.6); a FROM that is read this way, for its own. */
	const struct platform *pf = ev->stage->hidden ? &ev->stage->platform : &ev->plan->target_platform;
	const char *spec = plan_named_context(ev->plan, name, pf);
	struct base_image *b;

	if (strcmp(name, "scratch") == 0 || (spec && strcmp(spec, "docker-image://scratch") == 0)) {
		t->kind = TREE_SCRATCH;
		return 0;
	}
	if (spec && !plan_spec_image(spec)) {
		t->kind = TREE_DIR;
		return eval_named(ev->plan, name, spec, &t->context, e) < 0 ? place(ev, in, at, e) : 0;
	}
	if (plan_image(ev->plan, name, pf, true, &b, e) < 0)
		return place(ev, in, at, e);
	t->kind = TREE_IMAGE;
	t->image = &b->pulled.image;
	t->base = b;
	return 0;
}

int eval_from(struct eval *ev, const struct instr *in, struct step *s, const char *name, struct span at, bool numbers, const char *what,
	      struct tree_ref **ret, struct err **e)
{
	struct plan *p = ev->plan;
	struct tree_ref *t = arena_alloc(&p->arena, sizeof(*t));
	struct tree_ref **reads;
	long i;
	int rc;

	t->name = arena_str(&p->arena, slice_of(name));
	AUTO(mem_freep) char *lower = mem_str(name);
	for (char *c = lower; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	struct pstage *to = numbers && graph_index(name, &i) ? &p->stage[i] : plan_stage(p, lower, p->nstage);
	if (ev->stage->hidden)
		to = NULL;               /* made for a context, which a stage may be called like */
	else if (!to && plan_target(p, name, &p->target_platform, &to, e) < 0)
		return place(ev, in, at, e);
	rc = to ? from_stage(ev, in, to, at, what, t, e) : from_outside(ev, in, name, at, t, e);
	if (rc < 0)
		return -1;
	reads = arena_alloc(&p->arena, (s->nreads + 1) * elem_size(reads));
	if (s->nreads)
		memcpy(reads, s->reads, s->nreads * elem_size(reads));
	reads[s->nreads++] = t;
	s->reads = reads;
	*ret = t;
	return 0;
}

/* ---- one stage */

static void begin_vars(struct eval *ev)
{
	size_t n = config_env_count(ev->image), named = 0;

	for (size_t i = 0; i < n; i++) {
		const char *kv = config_env_at(ev->image, i);
		const char *eq = strchr(kv, '=');

		if (!eq)
			continue;
		AUTO(mem_freep) char *key = mem_strn(kv, (size_t)(eq - kv));
		vars_move(&ev->var, ev->arena, key, eq + 1, false)->env = i + 1;
		named++;
	}
	/* Each took a place of its own, unless an image of others has a name twice. */
	for (size_t i = 0; i < ev->var.n; i++)
		named -= ev->var.v[i].key && ev->var.v[i].env;
	ev->env_twice = named != 0;
}

/* Nobody else wants to know the config of the stage that ps is built from: no other stage and no output. */
static bool is_heir(const struct pstage *ps)
{
	const struct plan *p = ps->plan;

	for (size_t i = 0; i < p->nstage; i++)
		if (p->stage[i].parent == ps->parent && &p->stage[i] != ps)
			return false;
	return ps->parent != p->target;
}

static void begin_parent(struct pstage *ps)
{
	struct eval *ev = &ps->eval, *from = &ps->parent->eval;

	/* A config holds the history of all below: copied at each of n stages it would be read n times. */
	if (is_heir(ps)) {
		ps->image = ps->parent->image;
		ps->parent->image = (struct image){ 0 };
	} else {
		image_copy(&ps->image, &ps->parent->image);
	}
	config_list_null(&ps->image, "OnBuild");
	vars_copy(&ev->var, &from->var);
	vars_copy(&ev->arg, &from->arg);
	ps->base = ps->parent->base;
	ps->last = ps->parent->last;
	ps->base_history = ps->parent->base_history;
	ps->workdir_set = ps->parent->workdir_set;
}

static void begin_image(struct pstage *ps)
{
	size_t n = 0;

	image_copy(&ps->image, &ps->base->pulled.image);
	char **onbuild = config_begin(&ps->image, &n);
	for (size_t i = 0; i < n; i++)
		free(onbuild[i]);
	free(onbuild);
	ps->base_history = config_history_count(&ps->image);
}

/* What the command line says about every stage: --env, --unsetlabel, --inherit-labels. */
static void begin_options(struct pstage *ps)
{
	const struct image_opts *o = &ps->plan->req->image;

	/* A stage has the variables of the one it is built from, changed as that one's file says. */
	for (size_t i = 0; i < o->env.n && !ps->parent; i++) {
		const char *eq = strchr(o->env.v[i], '=');
		AUTO(mem_freep) char *key = mem_strn(o->env.v[i], (size_t)(eq - o->env.v[i]));

		config_env_set(&ps->image, key, eq + 1);
	}
	if (o->drop_labels)
		config_label_unset(&ps->image, NULL);
	for (size_t i = 0; i < o->unset_labels.n; i++)
		config_label_unset(&ps->image, o->unset_labels.v[i]);
}

static int eval_instr(struct eval *ev, const struct instr *in, struct err **e)
{
	const struct op *op = op_table[in->id];

	if (!op || op->eval(ev, in, e) < 0)
		return place(ev, in, in->at, e);
	return 0;
}

int eval_stage(struct pstage *ps, struct err **e)
{
	struct eval *ev = &ps->eval;

	ev->plan = ps->plan;
	ev->stage = ps;
	ev->arena = &ps->plan->arena;
	ev->image = &ps->image;
	if (ps->base_dir && eval_hidden(ev, ps->st->from, ps->base_name, &ps->platform, "/", "/", ps->st->base_at, &ps->parent, e) < 0)
		return -1;
	if (ps->parent)
		begin_parent(ps);
	else if (ps->base)
		begin_image(ps);
	else
		image_scratch(&ps->image, &ps->plan->target_platform);
	begin_options(ps);
	begin_vars(ev);
	for (size_t i = 0; i < ps->ninstr; i++) {
		ev->trigger = i < ps->ntrigger;
		if (eval_instr(ev, ps->instr[i], e) < 0)
			return -1;
	}
	if (ev->nonbuild)
		config_list_set(ev->image, "OnBuild", ev->onbuild, ev->nonbuild);
	ps->evaluated = true;
	return 0;
}

/* COPY [--from=from] source dest, as if it were written where `in` is. */
static const struct instr *hidden_copy(struct plan *p, const struct instr *in, const char *from, const char *source, const char *dest,
				       struct span at)
{
	struct instr *copy = arena_alloc(&p->arena, sizeof(*copy));
	struct word *word = arena_alloc(&p->arena, 2 * sizeof(*word));
	const struct flag flag = { .name = "from", .value = from, .at = at, .value_at = at };

	word[0] = (struct word){ source, at };
	word[1] = (struct word){ dest, at };
	*copy = *in;
	copy->id = INSTR_COPY;
	copy->flag = arena_dup(&p->arena, &flag, sizeof(flag));
	copy->nflag = from ? 1 : 0;
	copy->ndoc = 0;
	copy->arg = word;
	copy->narg = 2;
	copy->json = true;
	copy->text = arena_printf(&p->arena, "%s%s%s", from ? from : "", from ? ":" : "", source);
	return copy;
}

/* Mounts of one path share its tree. */
static struct pstage *hidden_find(const struct plan *p, const char *text, const struct platform *pf, const char *dest, bool no_cache)
{
	for (size_t i = 0; i < p->nhidden; i++) {
		const struct instr *copy = p->hidden[i]->instr[0];

		if (p->hidden[i]->no_cache == no_cache && strcmp(copy->text, text) == 0 && strcmp(copy->arg[1].text, dest) == 0 &&
		    strcmp(platform_text(&p->hidden[i]->platform).s, platform_text(pf).s) == 0)
			return p->hidden[i];
	}
	return NULL;
}

int eval_hidden(struct eval *ev, const struct instr *in, const char *from, const struct platform *pf, const char *source, const char *dest,
		struct span at, struct pstage **ret, struct err **e)
{
	struct plan *p = ev->plan;
	const struct instr *copy = hidden_copy(p, in, from, source, dest, at);
	struct pstage *ps;

	*ret = hidden_find(p, copy->text, pf, dest, ev->stage->no_cache);
	if (*ret)
		return 0;
	ps = arena_alloc(&p->arena, sizeof(*ps));
	ps->st = ev->stage->st;
	ps->title = ev->stage->title;
	ps->plan = p;
	ps->platform = *pf;
	ps->hidden = true;
	ps->no_cache = ev->stage->no_cache;
	ps->instr = arena_dup(&p->arena, &copy, elem_size(&copy));
	ps->ninstr = 1;
	MEM_ROOM(p->hidden, p->nhidden, p->hiddencap);
	p->hidden[p->nhidden++] = ps;
	*ret = ps;
	return eval_stage(ps, e);
}
