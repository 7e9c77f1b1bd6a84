/* build/lintfrom.c - the checks of FROM lines and build arguments that need evaluation (spec/dockerfile.md 15.2). */
#include "base/mem.h"
#include "build/plan.h"
#include "parser/expand.h"

/* ---- --build-arg */

static bool is_declared(const struct plan *p, const char *name)
{
	size_t n = strlen(name);

	/* The builder's own, which no ARG has to declare. */
	if (strncmp(name, "BUILDKIT_", 9) == 0 || strcmp(name, "SOURCE_DATE_EPOCH") == 0 || (n > 6 && strcasecmp(name + n - 6, "_proxy") == 0))
		return true;
	if (vars_find(&p->global, slice_of(name)))
		return true;
	for (size_t i = 0; i < p->nstage; i++) {
		for (size_t k = 0; k < p->stage[i].ninstr; k++) {
			const struct instr *in = p->stage[i].instr[k];

			for (size_t j = 0; in->id == INSTR_ARG && j < in->npair; j++)
				if (strcmp(in->pair[j].key, name) == 0)
					return true;
		}
	}
	return false;
}

/* After triggers were read: an ARG may come from ONBUILD. */
void lint_build_args(const struct plan *p)
{
	const struct strs *args = &p->req->build_args;

	for (size_t i = 0; i < args->n; i++) {
		AUTO(mem_freep) char *name = mem_strn(args->v[i], strcspn(args->v[i], "="));

		if (!is_declared(p, name))
			report_note(p->app->report, REPORT_NOTE, "the build argument '%s' is not used: no ARG declares it", name);
	}
}

/* ---- --platform */

static const char *bare_variable(const char *text)
{
	static const char *const forms[] = { "$TARGETPLATFORM", "${TARGETPLATFORM}", "\"$TARGETPLATFORM\"" };

	for (size_t i = 0; i < countof(forms); i++) {
		if (strcmp(text, forms[i]) == 0)
			return forms[i];
	}
	return NULL;
}

static void lint_platform(struct plan *p, const struct pstage *ps)
{
	const struct stage *st = ps->st;

	if (!st->platform)
		return;
	if (bare_variable(st->platform)) {
		lint_report(&p->lint, LINT_RedundantTargetPlatform, st->from, st->platform_at,
			    "Setting platform to predefined %s in FROM is redundant as this is the default behavior", st->platform);
	} else if (!strchr(st->platform, '$')) {
		const char *name = st->name ? st->name : "";

		if (!strstr(name, ps->platform.os) && !strstr(name, ps->platform.arch))
			lint_report(&p->lint, LINT_FromPlatformFlagConstDisallowed, st->from, st->platform_at,
				    "FROM --platform flag should not use constant value \"%s\"", st->platform);
	}
}

/* ---- what an unknown variable of a FROM line was meant to be */

struct meant {
	struct plan *p;
	const char *near;
};

static const char *meant_get(void *arg, struct slice name)
{
	struct meant *m = arg;
	struct var *v = vars_find(&m->p->global, name);

	return v ? v->value : NULL;
}

static void meant_seen(void *arg, struct slice name, bool found)
{
	struct meant *m = arg;

	if (!found && !m->near)
		m->near = vars_near(&m->p->global, name, &m->p->lint.compared);
}

const char *lint_meant(struct plan *p, const char *text)
{
	struct meant m = { .p = p };
	struct expand x = { .escape = p->file->escape, .get = meant_get, .seen = meant_seen, .arg = &m };
	AUTO(buf_freep) struct buf b = BUF_MAX(1 << 20);

	(void)expand_word(&x, slice_of(text), &b, NULL);
	return m.near ? arena_printf(&p->arena, " (did you mean %s?)", m.near) : "";
}

/* ---- the base with defaults only */

static const char *default_get(void *arg, struct slice name)
{
	struct var *v = vars_find(arg, name);

	return v ? v->value : NULL;
}

static void defaults_init(struct plan *p, struct vars *d)
{
	static const char *const predefined[] = {
		"TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT", "TARGETOSVERSION", "TARGETSTAGE", "BUILDPLATFORM",
		"BUILDOS", "BUILDARCH", "BUILDVARIANT", "BUILDOSVERSION",
	};
	struct expand x = { .escape = p->file->escape, .get = default_get, .arg = d };

	for (size_t i = 0; i < countof(predefined); i++) {
		const struct var *v = vars_find(&p->global, slice_of(predefined[i]));

		if (v)
			vars_set(d, &p->arena, predefined[i], v->value ? v->value : "", true);
	}
	for (size_t i = 0; i < p->file->nglobal; i++) {
		const struct instr *in = p->file->global[i];

		for (size_t k = 0; k < in->npair; k++) {
			AUTO(buf_freep) struct buf b = BUF_MAX(1 << 20);

			if (in->pair[k].value && expand_word(&x, slice_of(in->pair[k].value), &b, NULL) == 0)
				vars_set(d, &p->arena, in->pair[k].key, b.p ? b.p : "", true);
		}
	}
}

static void lint_default(struct plan *p, const struct pstage *ps, struct vars *d)
{
	struct expand x = { .escape = p->file->escape, .get = default_get, .arg = d };
	AUTO(buf_freep) struct buf b = BUF_MAX(1 << 20);
	struct ref ref = { 0 };
	struct err *e = NULL;

	if (!strchr(ps->st->base, '$'))
		return;
	if (expand_word(&x, slice_of(ps->st->base), &b, &e) == 0 && b.n && ref_parse(buf_view(&b), &ref, &e) == 0) {
		ref_clear(&ref);
		return;
	}
	err_free(e);
	lint_report(&p->lint, LINT_InvalidDefaultArgInFrom, ps->st->from, ps->st->base_at,
		    "Default value for ARG %s results in empty or invalid base image name", ps->st->base);
}

void lint_from(struct plan *p)
{
	struct vars d = { 0 };

	defaults_init(p, &d);
	for (size_t i = 0; i < p->nstage; i++) {
		lint_platform(p, &p->stage[i]);
		lint_default(p, &p->stage[i], &d);
	}
	vars_clear(&d);
}

void lint_base(struct plan *p, const struct pstage *ps)
{
	const struct platform *have = &ps->base->pulled.image.platform;
	struct platform_text want = platform_text(&ps->platform), got = platform_text(have);

	if (strcmp(have->os, ps->platform.os) != 0 || strcmp(have->arch, ps->platform.arch) != 0)
		lint_report(&p->lint, LINT_InvalidBaseImagePlatform, ps->st->from, ps->st->base_at,
			    "Base image %s was pulled with platform \"%s\", expected \"%s\" for current build", ps->base_name, got.s, want.s);
}
