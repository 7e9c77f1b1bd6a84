/* build/op/env.c - ENV and ARG: the two ways a variable gets a value (spec/dockerfile.md 4, 7.1). */
#include "base/mem.h"
#include "build/plan.h"

static void lint_secret(struct eval *ev, const struct instr *in, struct span at, const char *key)
{
	if (lint_secret_name(slice_of(key)))
		lint_report(&ev->plan->lint, LINT_SecretsUsedInArgOrEnv, in, at,
			    "Do not use ARG or ENV instructions for sensitive data (%s \"%s\")", instr_table[in->id].word, key);
}

static int env_eval(struct eval *ev, const struct instr *in, struct err **e)
{
	const char **key = arena_alloc(ev->arena, in->npair * sizeof(*key));
	const char **value = arena_alloc(ev->arena, in->npair * sizeof(*value));
	AUTO(buf_freep) struct buf line = BUF_MAX(4 << 20);

	if (in->legacy)
		lint_report(&ev->plan->lint, LINT_LegacyKeyValueFormat, in, in->at,
			    "\"ENV key=value\" should be used instead of legacy \"ENV key value\" format");
	/* All of them see the environment before the instruction (3.1). */
	for (size_t i = 0; i < in->npair; i++) {
		if (eval_expand(ev, in, in->pair[i].key, in->pair[i].at, &key[i], e) < 0 ||
		    eval_expand(ev, in, in->pair[i].value, in->pair[i].at, &value[i], e) < 0)
			return -1;
	}
	buf_str(&line, "ENV");
	for (size_t i = 0; i < in->npair; i++) {
		lint_secret(ev, in, in->pair[i].at, key[i]);
		buf_printf(&line, " %s=%s", key[i], value[i]);
		eval_env(ev, key[i], value[i]);
	}
	if (buf_ok(&line, "ENV", e) < 0)
		return -1;
	eval_history(ev, line.p);
	return 0;
}

static int label_eval(struct eval *ev, const struct instr *in, struct err **e)
{
	AUTO(buf_freep) struct buf line = BUF_MAX(4 << 20);

	if (in->legacy)
		lint_report(&ev->plan->lint, LINT_LegacyKeyValueFormat, in, in->at,
			    "\"LABEL key=value\" should be used instead of legacy \"LABEL key value\" format");
	buf_str(&line, "LABEL");
	for (size_t i = 0; i < in->npair; i++) {
		const char *key, *value;

		if (eval_expand(ev, in, in->pair[i].key, in->pair[i].at, &key, e) < 0 ||
		    eval_expand(ev, in, in->pair[i].value, in->pair[i].at, &value, e) < 0)
			return -1;
		config_label_set(ev->image, key, value);
		buf_printf(&line, " %s=%s", key, value);
	}
	if (buf_ok(&line, "LABEL", e) < 0)
		return -1;
	eval_history(ev, line.p);
	return 0;
}

/* The ARG list of 8.9: a repeated name keeps its first position. */
static void declare(struct eval *ev, const char *key, const char *value)
{
	vars_set(&ev->arg, ev->arena, key, value, true);
}

static int arg_eval(struct eval *ev, const struct instr *in, struct err **e)
{
	struct plan *p = ev->plan;
	AUTO(buf_freep) struct buf line = BUF_MAX(4 << 20);

	buf_str(&line, "ARG");
	for (size_t i = 0; i < in->npair; i++) {
		const char *key = in->pair[i].key;
		const char *value = plan_build_arg(p, key);

		if (!value && in->pair[i].value && eval_expand(ev, in, in->pair[i].value, in->pair[i].at, &value, e) < 0)
			return -1;
		if (!value)
			value = eval_global_get(p, key);
		if (strcmp(key, "SOURCE_DATE_EPOCH") == 0 && (p->epoch != INT64_MIN || p->epoch_lost))
			value = p->epoch_lost ? NULL : eval_printf(ev, "%jd", (intmax_t)p->epoch);
		lint_secret(ev, in, in->pair[i].at, key);
		declare(ev, key, value);
		if (value && strcmp(key, "BUILDKIT_SBOM_SCAN_CONTEXT") != 0 && strcmp(key, "BUILDKIT_SBOM_SCAN_STAGE") != 0)
			eval_set(ev, key, value, true);
		if (value)
			buf_printf(&line, " %s=%s", key, value);
		else
			buf_printf(&line, " %s", key);
	}
	if (buf_ok(&line, "ARG", e) < 0)
		return -1;
	eval_history(ev, line.p);
	return 0;
}

const struct op op_ENV = { .eval = env_eval };
const struct op op_LABEL = { .eval = label_eval };
const struct op op_ARG = { .eval = arg_eval };
