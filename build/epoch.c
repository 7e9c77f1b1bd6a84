/* build/epoch.c - SOURCE_DATE_EPOCH: seconds, or the time of a context or of a stage that only fetches (spec/dockerfile.md 18.5). */
#include "build/context/context.h"
#include "build/context/git.h"
#include "build/context/http.h"
#include "build/plan.h"
#include "parser/diag.h"

static const char name[] = "SOURCE_DATE_EPOCH";

static int stage_bad(struct plan *p, struct span at, struct err **e)
{
	err_hint(e, "the stage is FROM scratch, ARGs and one ADD of one http or git address");
	return diag_place(e, p->file->source, at);
}

/* As the stage itself will see it; findings are told there. */
static int stage_arg(struct eval *ev, const struct instr *in, struct err **e)
{
	for (size_t i = 0; i < in->npair; i++) {
		const char *key = in->pair[i].key, *value = plan_build_arg(ev->plan, key);

		if (!value && in->pair[i].value && eval_expand(ev, in, in->pair[i].value, in->pair[i].at, &value, e) < 0)
			return -1;
		if (!value)
			value = eval_global_get(ev->plan, key);
		if (value)
			eval_set(ev, key, value, true);
	}
	return 0;
}

/* What the one ADD of a stage that is nothing else fetches. */
static int stage_source(struct eval *ev, const struct stage *st, const char **ret, struct err **e)
{
	struct plan *p = ev->plan;
	const char *base, *found = NULL;
	unsigned n = 0;

	/* Findings are told by the stage table: not in the name of FROM. */
	if (eval_global_expand(p, st->base, st->base_at, p->file->escape, st->ninstr ? st->instr[0] : st->from, &base, e) < 0)
		return -1;
	if (strcmp(base, "scratch") != 0) {
		err_set(e, ERR_INPUT, "%s stage must use FROM scratch", name);
		return stage_bad(p, st->from->at, e);
	}
	for (size_t i = 0; i < st->ninstr; i++) {
		const struct instr *in = st->instr[i];

		if (in->id == INSTR_ARG && stage_arg(ev, in, e) < 0)
			return -1;
		if (in->id == INSTR_ADD && in->narg == 2 && in->ndoc == 0 && eval_expand(ev, in, in->arg[0].text, in->arg[0].at, &found, e) < 0)
			return -1;
		n += in->id == INSTR_ADD;
		if (in->id == INSTR_ARG || in->id == INSTR_ADD)
			continue;
		err_set(e, ERR_INPUT, "unsupported %s instruction in %s stage", instr_table[in->id].word, name);
		return stage_bad(p, in->at, e);
	}
	if (n != 1 || !found || !(git_is(found, false) || http_is(found))) {
		err_set(e, ERR_INPUT, "%s stage must contain exactly one remote ADD source", name);
		return stage_bad(p, st->from->at, e);
	}
	*ret = found;
	return 0;
}

static int stage_address(struct plan *p, const struct stage *st, const char **ret, struct err **e)
{
	struct pstage ps = { .st = st, .plan = p, .title = st->name, .hidden = true };
	struct eval *ev = &ps.eval;

	ev->plan = p;
	ev->stage = &ps;
	ev->arena = &p->arena;
	int rc = stage_source(ev, st, ret, e);
	vars_clear(&ev->var);
	return rc;
}

/* The SPEC that a name stands for, NULL: it has no time. */
static int address_of(struct plan *p, const char *text, const char **ret, struct err **e)
{
	struct ref ref = { 0 };

	if (ref_parse(slice_of(text), &ref, NULL) < 0) {
		err_set(e, ERR_INPUT, "invalid context name %s", text);
		return err_hint(e, "%s is seconds since 1970, 'context', or the name of a context or stage", name);
	}
	ref_clear(&ref);
	*ret = plan_named_context(p, text, &p->target_platform);
	if (*ret && slice_starts(slice_of(*ret), "target:")) {
		text = *ret + strlen("target:");
	} else if (*ret) {
		*ret = plan_spec_image(*ret) ? NULL : *ret;
		return 0;
	}
	for (size_t i = p->file->nstage; i-- > 0;) {
		const struct stage *st = p->file->stage[i];

		if (st->name && strcasecmp(st->name, text) == 0)
			return stage_address(p, st, ret, e);
	}
	err_set(e, ERR_INPUT, "invalid %s: %s", name, text);
	return err_hint(e, "give seconds since 1970, 'context', or the name of a context or stage");
}

static int time_of(struct plan *p, const char *text, struct err **e)
{
	struct context *c = p->context;
	const char *spec = NULL;

	if (strcmp(text, "context") != 0) {
		if (address_of(p, text, &spec, e) < 0)
			return -1;
		/* A check fetches nothing. */
		c = NULL;
		if (spec && !p->check_only && eval_named(p, text, spec, &c, e) < 0)
			return -1;
	}
	if (c && context_time(c, &p->epoch, e) < 0)
		return err_wrap(e, "cannot find the time of '%s'", text);
	p->epoch_lost = p->epoch == INT64_MIN;
	return 0;
}

/* A decimal integer, of either sign. */
static bool seconds(const char *text, int64_t *ret)
{
	uint64_t v;

	if (!slice_u64(slice_of(text + (*text == '-' || *text == '+')), &v) || v > INT64_MAX)
		return false;
	*ret = *text == '-' ? -(int64_t)v : (int64_t)v;
	return true;
}

int epoch_find(struct plan *p, struct err **e)
{
	const char *text = p->req->retime ? p->req->epoch : plan_build_arg(p, name);

	p->epoch = INT64_MIN;
	if (!text && p->req->has_epoch)
		text = p->req->epoch;
	if (!text)
		text = eval_global_get(p, name);
	if (!text || !*text)
		return 0;
	if (!seconds(text, &p->epoch) && time_of(p, text, e) < 0)
		return -1;
	/* The number, or nothing, takes the place of what was written. */
	if (eval_global_get(p, name)) {
		const char *number = p->epoch_lost ? NULL : arena_printf(&p->arena, "%jd", (intmax_t)p->epoch);

		vars_set(&p->global, &p->arena, name, number, true);
	}
	return 0;
}
