/* build/plan.c - global scope, stage table, target, base images; then graph.c and eval.c do their parts. */
#include "build/plan.h"

#include <ctype.h>

#include "base/mem.h"
#include "build/context/context.h"
#include "parser/diag.h"
#include "parser/flags.h"
#include "parser/lines.h"

const char *plan_arg(const struct build_req *r, const char *name)
{
	const struct strs *args = &r->build_args;
	size_t n = strlen(name);

	for (size_t i = args->n; i-- > 0;) {
		if (strncmp(args->v[i], name, n) == 0 && args->v[i][n] == '=')
			return args->v[i] + n + 1;
	}
	return NULL;
}

const char *plan_build_arg(const struct plan *p, const char *name)
{
	return plan_arg(p->req, name);
}

struct pstage *plan_stage(const struct plan *p, const char *name, size_t before)
{
	for (size_t i = before; i-- > 0;) {
		const char *have = p->stage[i].st->name;

		if (have && strcmp(have, name) == 0)
			return &p->stage[i];
	}
	return NULL;
}

/* ---- images */

static void base_keys(struct base_image *b, const struct platform *pf)
{
	struct keyer k;
	struct digest unused;
	bool has;

	key_init(&k, "image");
	key_digest(&k, "image", digest_zero(&b->pulled.manifest) ? &b->pulled.config : &b->pulled.manifest);
	key_text(&k, "platform", platform_text(pf).s);
	key_end(&k, &b->def, &unused, &has);
	key_clear(&k);
	b->diff = mem_array(b->pulled.image.nlayer + 1, sizeof(*b->diff));
	for (size_t i = 0; i < b->pulled.image.nlayer; i++) {
		b->diff[i] = b->pulled.image.layer[i].diff;
		digest_chain(i ? &b->content : NULL, &b->diff[i], &b->content);
	}
}

/* oci-layout://DIR[:TAG][@DIGEST]: loaded into the store under a name of its own. */
static int layout_image(struct plan *p, const char *spec, const struct platform *pf, struct base_image *b, struct err **e)
{
	AUTO(mem_freep) char *path = mem_str(spec + strlen("oci-layout://"));
	struct strs names = { 0 };
	struct name_record r = { 0 };
	char *digest = strstr(path, "@sha256:"), *tag;

	if (digest)
		*digest++ = '\0';
	tag = strrchr(path, ':');
	if (tag && !strchr(tag, '/'))
		*tag++ = '\0';
	else
		tag = NULL;
	int rc = imagestore_read(p->app, path, digest ? digest : tag, pf, true, &names, e);
	if (rc == 0 && names.n == 0)
		rc = err_set(e, ERR_SOURCE, "'%s' holds no image for %s", spec, platform_text(pf).s);
	if (rc == 0)
		rc = imagestore_find(p->app, names.v[0], &r, e);
	const struct name_record *im = rc == 0 ? imagestore_choose(&r, pf) : NULL;
	im = im ? im : &r;
	if (rc == 0)
		rc = imagestore_load(p->app, im, &b->pulled.image, e);
	b->pulled.config = im->config;
	b->pulled.manifest = im->manifest;
	name_record_clear(&r);
	strs_clear(&names);
	return rc > 0 ? err_set(e, ERR_BUG, "'%s' was loaded and is not in the store", spec) : rc;
}

static int remote_image(struct plan *p, const char *name, const struct platform *pf, struct base_image *b, struct err **e)
{
	struct ref ref = { 0 };

	if (ref_parse(slice_of(name), &ref, e) < 0)
		return err_wrap(e, "failed to parse stage name \"%s\"", name);
	int rc = imagestore_pull(p->app, &ref, pf, p->req->pull, &p->req->transfer, p->any_run && !p->check_only, &b->pulled, e);
	ref_clear(&ref);
	if (rc < 0)
		named_near(p, name, e);
	if (rc < 0 && p->req->pull == PULL_NEVER && err_kind(*e) == ERR_SOURCE)
		err_hint(e, "kiln pull %s", name);
	return rc;
}

static struct base_image *base_find(const struct plan *p, const char *key)
{
	for (size_t k = 0; k <= p->which; k++) {
		const struct plan *q = k < p->which ? p->all[k] : p;

		for (size_t i = 0; i < q->nbase; i++)
			if (strcmp(q->base[i]->name, key) == 0)
				return q->base[i];
	}
	return NULL;
}

/* The reference in the SPEC of a named context; NULL: it is none of a registry. */
static const char *spec_reference(const char *spec)
{
	if (strncmp(spec, "docker-image://", 15) == 0)
		return spec + 15;
	return strncmp(spec, "container-image://", 18) == 0 ? spec + 18 : NULL;
}

int plan_image(struct plan *p, const char *name, const struct platform *pf, bool layers, struct base_image **ret, struct err **e)
{
	const char *spec = plan_named_context(p, name, pf);
	const char *real = spec ? spec_reference(spec) : name;
	struct base_image *b;
	int rc;

	if (spec && !plan_spec_image(spec)) {
		err_set(e, ERR_INPUT, "named context '%s' is no image", name);
		return err_hint(e, "use it with COPY --from=%s", name);
	}
	AUTO(mem_freep) char *key = mem_printf("%s %s", spec ? spec : name, platform_text(pf).s);
	*ret = base_find(p, key);
	if (*ret)
		return 0;
	b = arena_alloc(&p->arena, sizeof(*b));
	rc = real ? remote_image(p, real, pf, b, e) : layout_image(p, spec, pf, b, e);
	if (rc < 0) {
		pulled_clear(&b->pulled);
		return -1;
	}
	b->name = arena_str(&p->arena, slice_of(key));
	base_keys(b, pf);
	MEM_ROOM(p->base, p->nbase, p->basecap);
	p->base[p->nbase++] = b;
	*ret = b;
	return 0;
}

/* ---- stage table (5.1, 5.2) */

static int stage_error(struct plan *p, const struct stage *st, struct span at, struct err **e)
{
	return diag_place(e, p->file->source, at.to > at.from ? at : st->from->at);
}

static int stage_platform(struct plan *p, struct pstage *ps, struct err **e)
{
	const struct stage *st = ps->st;
	const char *text;

	ps->platform = p->target_platform;
	if (!st->platform)
		return 0;
	if (eval_global_expand(p, st->platform, st->platform_at, p->file->escape, st->from, &text, e) < 0)
		return -1;
	if (!*text) {
		err_set(e, ERR_INPUT, "empty platform value from expression %s%s", st->platform, lint_meant(p, st->platform));
		return stage_error(p, st, st->platform_at, e);
	}
	if (platform_parse(slice_of(text), &ps->platform, e) == 0)
		return 0;
	err_kind_set(e, ERR_INPUT);
	err_wrap(e, "failed to parse platform %s%s", text, lint_meant(p, st->platform));
	return stage_error(p, st, st->platform_at, e);
}

/* FROM the stage that a named context stands for (13.2). */
static int stage_target(struct pstage *ps, struct err **e)
{
	struct plan *p = ps->plan;
	struct pstage *to;
	int rc = plan_target(p, ps->base_name, &ps->platform, &to, e);

	if (rc == 0 && to && to >= ps)
		rc = err_set(e, ERR_INPUT, "named context '%s' is the stage '%s', it needs to be defined before this one", ps->base_name,
			     p->file->stage[to - p->stage]->name);
	if (rc < 0)
		return stage_error(p, ps->st, ps->st->base_at, e);
	ps->parent = to;
	if (to)
		ps->platform = to->platform;
	return 0;
}

int plan_image_name(const char *name, struct err **e)
{
	struct ref ref = { 0 };

	if (ref_parse(slice_of(name), &ref, e) < 0)
		return err_wrap(e, "failed to parse stage name \"%s\"", name);
	ref_clear(&ref);
	return 0;
}

static int stage_init(struct plan *p, size_t i, struct err **e)
{
	struct pstage *ps = &p->stage[i];
	const struct stage *st = ps->st = p->file->stage[i];

	ps->plan = p;
	ps->title = st->name ? st->name : arena_printf(&p->arena, "stage-%zu", i);
	ps->instr = (const struct instr **)st->instr;
	ps->ninstr = st->ninstr;
	/* The file is the same for every platform. */
	if (p->req->run.mounts.n)
		ps->instr = arena_dup(&p->arena, st->instr, ps->ninstr * elem_size(ps->instr));
	for (size_t k = 0; k < ps->ninstr && p->req->run.mounts.n; k++)
		ps->instr[k] = run_with_mounts(p, ps->instr[k]);
	ps->no_cache = p->req->no_cache;
	for (size_t k = 0; st->name && k < p->req->no_cache_filter.n; k++)
		ps->no_cache |= strcasecmp(p->req->no_cache_filter.v[k], st->name) == 0;
	/* --from: what stands in the file does not count, and may be the argument that nobody gave. */
	ps->base_name = i == 0 ? p->req->image.from : NULL;
	if (stage_platform(p, ps, e) < 0 ||
	    (!ps->base_name && eval_global_expand(p, st->base, st->base_at, p->file->escape, st->from, &ps->base_name, e) < 0))
		return -1;
	if (!*ps->base_name) {
		err_set(e, ERR_INPUT, "base name (%s) should not be blank%s", st->base, lint_meant(p, st->base));
		if (strchr(st->base, '$'))
			err_hint(e, "give it a value: ARG NAME=VALUE above the first FROM, or --build-arg NAME=VALUE");
		return stage_error(p, st, st->base_at, e);
	}
	if (st->name && plan_named_context(p, st->name, &ps->platform) && strcmp(st->name, "scratch") != 0 && strcmp(st->name, "context") != 0) {
		if (!plan_stage(p, ps->base_name, i) && plan_image_name(ps->base_name, e) < 0)
			return stage_error(p, st, st->base_at, e);
		ps->base_name = st->name;        /* the whole stage is replaced (5.2 rule 1) */
		ps->ninstr = 0;
		return stage_target(ps, e);
	}
	ps->parent = plan_stage(p, ps->base_name, i);
	if (!ps->parent && strcmp(ps->base_name, "scratch") != 0 && stage_target(ps, e) < 0)
		return -1;
	if (ps->parent)
		ps->platform = ps->parent->platform;
	else if (strcmp(ps->base_name, "scratch") == 0)
		ps->platform = p->target_platform;       /* its --platform is ignored (5.3) */
	if (ps->parent || strcmp(ps->base_name, "scratch") == 0 || plan_named_context(p, ps->base_name, &ps->platform))
		return 0;
	if (plan_image_name(ps->base_name, e) == 0)
		return 0;
	named_near(p, ps->base_name, e);
	return stage_error(p, st, st->base_at, e);
}

static int find_target(struct plan *p, struct err **e)
{
	const char *want = p->req->target;

	if (want && *want)
		return plan_stage_called(p, want, &p->target, e);
	p->target = &p->stage[p->nstage - 1];
	return 0;
}

/* ---- base images and triggers */

static int parse_triggers(struct pstage *ps, const char *const *text, size_t n, struct err **e)
{
	struct plan *p = ps->plan;
	const struct instr **all;

	if (n == 0 || ps->ntrigger)
		return 0;
	all = arena_alloc(&p->arena, (n + ps->ninstr + 1) * elem_size(all));
	for (size_t i = 0; i < n; i++) {
		if (file_parse_trigger(p->file, ps->st, text[i], &all[i], e) < 0)
			return -1;
		all[i] = run_with_mounts(p, all[i]);
	}
	memcpy(all + n, ps->instr, ps->ninstr * elem_size(all));
	ps->instr = all;
	ps->ninstr += n;
	ps->ntrigger = n;
	return 0;
}

/* What the base of this stage triggers: texts of its own file's stage, or of the image's config. */
static int stage_triggers(struct pstage *ps, struct err **e)
{
	const char **text = NULL;
	size_t n = 0, cap = 0;
	int rc;

	if (ps->parent) {
		for (size_t i = 0; i < ps->parent->ninstr; i++) {
			if (ps->parent->instr[i]->id != INSTR_ONBUILD)
				continue;
			MEM_ROOM(text, n, cap);
			text[n++] = ps->parent->instr[i]->trigger;
		}
	} else if (ps->base) {
		const struct image *im = &ps->base->pulled.image;

		for (size_t i = 0; i < config_list_count(im, "OnBuild"); i++) {
			MEM_ROOM(text, n, cap);
			text[n++] = config_list_at(im, "OnBuild", i);
		}
	}
	rc = parse_triggers(ps, text, n, e);
	free(text);
	return rc;
}

static int stage_base(struct pstage *ps, struct err **e)
{
	struct plan *p = ps->plan;
	const char *spec = plan_named_context(p, ps->base_name, &ps->platform);

	if (ps->parent || ps->base || strcmp(ps->base_name, "scratch") == 0 || (spec && strcmp(spec, "docker-image://scratch") == 0))
		return 0;
	if (spec && !plan_spec_image(spec)) {
		ps->base_dir = true;
		return 0;
	}
	if (plan_image(p, ps->base_name, &ps->platform, true, &ps->base, e) == 0) {
		lint_base(p, ps);
		return 0;
	}
	return stage_error(p, ps->st, ps->st->base_at, e);
}

/* Resolve bases of what is reachable; their triggers may make more reachable: until nothing changes (phase 12). */
static int resolve_needed(struct plan *p, struct err **e)
{
	bool again = true;

	for (unsigned round = 0; again; round++) {
		again = false;
		graph_reach(p);
		for (size_t i = 0; i < p->nstage; i++) {
			struct pstage *ps = &p->stage[i];
			size_t had = ps->ntrigger;

			if (!ps->needed)
				continue;
			if (stage_base(ps, e) < 0 || stage_triggers(ps, e) < 0)
				return -1;
			for (size_t k = had; k < ps->ntrigger; k++) {
				if (graph_edges_of(ps, ps->instr[k], e) < 0)
					return -1;
				again = true;
			}
		}
	}
	return graph_cycles(p, e);
}

static bool has_run(const struct pstage *ps)
{
	for (size_t i = 0; i < ps->ninstr; i++) {
		if (ps->instr[i]->id == INSTR_RUN)
			return true;
	}
	return false;
}

/* ---- the whole */

static int plan_stages(struct plan *p, struct err **e)
{
	eval_predefine(p);
	if (eval_global(p, e) < 0 || epoch_find(p, e) < 0)
		return -1;
	p->nstage = p->file->nstage;
	p->stage = arena_alloc(&p->arena, p->nstage * sizeof(*p->stage));
	for (size_t i = 0; i < p->nstage; i++) {
		if (stage_init(p, i, e) < 0)
			return -1;
	}
	return find_target(p, e) < 0 || graph_link(p, e) < 0 ? -1 : 0;
}

static int plan_table(struct plan *p, struct err **e)
{
	if (plan_stages(p, e) < 0)
		return -1;
	lint_from(p);
	graph_reach(p);
	for (size_t i = 0; i < p->nstage; i++) {
		/* What is looked at, unless a stage was named: all of them; of a dry run those that a build needs. */
		if (p->check_only && !p->req->target && strcmp(p->req->call, "steps") != 0)
			p->stage[i].needed = true;
		p->any_run |= p->stage[i].needed && has_run(&p->stage[i]);
	}
	return resolve_needed(p, e);
}

static int plan_all(struct plan *p, struct err **e)
{
	if (plan_table(p, e) < 0)
		return -1;
	for (size_t i = 0; i < p->nstage; i++) {
		if (p->stage[i].needed && eval_stage(&p->stage[i], e) < 0)
			return -1;
	}
	return 0;
}

/* The build argument, even an empty one, replaces the directive (spec/dockerfile.md 15.1). */
int plan_lint(const struct build_req *r, const struct source *s, struct lint *ret, struct err **e)
{
	const char *given = plan_arg(r, "BUILDKIT_DOCKERFILE_CHECK");
	struct slice value = SLICE_NONE;
	unsigned line = 0, column = 0;

	if (!given)
		(void)lines_directive(s, "check", &value);
	AUTO(mem_freep) char *said = mem_strn(value.p, value.n);

	if (lint_init(ret, given ? given : said, e) == 0)
		return 0;
	if (given)
		return err_wrap(e, "failed to parse build-arg:BUILDKIT_DOCKERFILE_CHECK");
	source_where(s, (uint32_t)(value.p - source_text(s).p), &line, &column);
	return diag_place_lines(e, s, line, line);
}

static struct plan *plan_new(struct app *a, const struct build_req *r, struct file *f, struct context *c)
{
	struct plan *p = mem_zalloc(sizeof(*p));

	p->app = a;
	p->req = r;
	p->file = f;
	p->context = c;
	platform_host(&p->build_platform);
	p->target_platform = p->build_platform;
	return p;
}

int plan_root(struct app *a, const struct build_req *r, struct file *f, struct context *c, char **ret, struct err **e)
{
	AUTO(plan_freep) struct plan *p = plan_new(a, r, f, c);

	if (plan_lint(r, f->source, &p->lint, e) < 0 || plan_stages(p, e) < 0)
		return -1;
	struct pstage *ps = p->target;
	while (ps->parent)
		ps = ps->parent;
	const char *spec = plan_named_context(p, ps->base_name, &ps->platform);
	const char *name = spec ? spec_reference(spec) : ps->base_name;
	*ret = name && strcmp(name, "scratch") != 0 ? mem_str(name) : NULL;
	return 0;
}

int plan_make(struct app *a, const struct build_req *r, struct file *f, struct context *c, struct plan **all, size_t which, struct err **e)
{
	AUTO(plan_freep) struct plan *p = plan_new(a, r, f, c);

	p->all = all;
	p->which = which;
	p->check_only = strcmp(r->call, "build") != 0;
	if (plan_lint(p->req, f->source, &p->lint, e) < 0)
		return -1;
	lint_file(&p->lint, f);
	if (which < r->platforms.n && platform_parse(slice_of(r->platforms.v[which]), &p->target_platform, e) < 0)
		return -1;
	if (plan_all(p, &p->error) < 0 && strcmp(r->call, "check") != 0) {
		if (e)
			*e = take(&p->error);
		return -1;
	}
	if (!p->error)
		plan_titles(p);
	all[which] = take(&p);
	return 0;
}

static void stage_clear(struct pstage *ps)
{
	for (struct step *s = ps->last; s && s->stage == ps; s = s->parent)
		key_clear(&s->keyer);
	image_clear(&ps->image);
	view_freep(&ps->view);
	free(ps->dep);
	vars_clear(&ps->eval.var);
	vars_clear(&ps->eval.arg);
}

void plan_free(struct plan *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->nstage; i++)
		stage_clear(&p->stage[i]);
	for (size_t i = 0; i < p->nhidden; i++)
		stage_clear(p->hidden[i]);
	for (size_t i = 0; i < p->nbase; i++) {
		free(p->base[i]->diff);
		pulled_clear(&p->base[i]->pulled);
	}
	for (size_t i = 0; i < p->nnamed; i++)
		context_free(p->named[i]);
	free(p->named);
	err_free(p->error);
	free(p->hidden);
	free(p->base);
	free(p->step);
	vars_clear(&p->global);
	lint_clear(&p->lint);
	arena_clear(&p->arena);
	free(p);
}

void plan_freep(struct plan **p)
{
	plan_free(*p);
}
