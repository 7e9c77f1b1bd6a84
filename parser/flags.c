/* parser/flags.c - which instruction takes which flags, and what a flag may look like (spec/dockerfile.md 2.5). */
#include "parser/flags.h"

#include "base/mem.h"
#include "parser/parse.h"

#include <stdlib.h>

enum flag_kind { FLAG_BOOL, FLAG_TEXT, FLAG_LIST };

static const struct flag_row {
	enum instr_id id;
	const char *name;
	enum flag_kind kind;
} flag_table[] = {
	{ INSTR_FROM, "platform", FLAG_TEXT },
	{ INSTR_RUN, "mount", FLAG_LIST },
	{ INSTR_RUN, "network", FLAG_TEXT },
	{ INSTR_RUN, "security", FLAG_TEXT },
	{ INSTR_RUN, "device", FLAG_LIST },
	{ INSTR_COPY, "from", FLAG_TEXT },
	{ INSTR_COPY, "chown", FLAG_TEXT },
	{ INSTR_COPY, "chmod", FLAG_TEXT },
	{ INSTR_COPY, "link", FLAG_BOOL },
	{ INSTR_COPY, "parents", FLAG_BOOL },
	{ INSTR_COPY, "exclude", FLAG_LIST },
	{ INSTR_ADD, "chown", FLAG_TEXT },
	{ INSTR_ADD, "chmod", FLAG_TEXT },
	{ INSTR_ADD, "link", FLAG_BOOL },
	{ INSTR_ADD, "keep-git-dir", FLAG_BOOL },
	{ INSTR_ADD, "checksum", FLAG_TEXT },
	{ INSTR_ADD, "unpack", FLAG_BOOL },
	{ INSTR_ADD, "exclude", FLAG_LIST },
	{ INSTR_HEALTHCHECK, "interval", FLAG_TEXT },
	{ INSTR_HEALTHCHECK, "timeout", FLAG_TEXT },
	{ INSTR_HEALTHCHECK, "start-period", FLAG_TEXT },
	{ INSTR_HEALTHCHECK, "start-interval", FLAG_TEXT },
	{ INSTR_HEALTHCHECK, "retries", FLAG_TEXT },
};

static const struct flag_row *row_of(enum instr_id id, const char *name)
{
	for (size_t i = 0; i < countof(flag_table); i++)
		if (flag_table[i].id == id && strcmp(flag_table[i].name, name) == 0)
			return &flag_table[i];
	return NULL;
}

static const char *flags_of(struct draft *d, const char *const *names, size_t n)
{
	struct arena *a = d->parse->arena;
	const char *word = instr_table[d->in->id].word, *list = "";

	if (d->in->id == INSTR_ONBUILD)
		return "write the flags behind the instruction that ONBUILD keeps";
	if (n == 0)
		return arena_printf(a, "%s takes no flags; write '%s -- ...' when the argument itself begins with --", word,
				    word);
	for (size_t i = 0; i < n; i++)
		list = arena_printf(a, "%s%s--%s", list, i ? ", " : "", names[i]);
	return arena_printf(a, "%s takes %s", word, list);
}

static void unknown_flag(struct draft *d, const struct flag *f)
{
	const char *names[countof(flag_table)] = { NULL };
	const char *near = NULL;
	size_t n = 0;

	for (size_t i = 0; i < countof(flag_table); i++)
		if (flag_table[i].id == d->in->id)
			names[n++] = flag_table[i].name;
	near = draft_nearest(d, slice_of(f->name), names, n, false, "--");
	draft_error_at(d, f->at, near ? near : flags_of(d, names, n), "unknown flag: --%s", f->name);
}

static void check_bool(struct draft *d, const struct flag *f)
{
	if (!f->value)
		return;
	if (!*f->value)
		draft_error_at(d, f->at, "leave out the '=', or write true or false behind it",
			       "missing a value on flag: --%s", f->name);
	else if (!slice_is_nocase(slice_of(f->value), "true") && !slice_is_nocase(slice_of(f->value), "false"))
		draft_error_at(d, f->value_at, "true or false",
			       "expecting boolean value for flag --%s, not: %s", f->name, f->value);
}

static bool repeated(const struct draft *d, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (strcmp(d->in->flag[k].name, d->in->flag[i].name) == 0)
			return true;
	return false;
}

void flags_check(struct draft *d)
{
	enum instr_id id = d->in->id;

	/* 2.5: these words are dropped unread. */
	if (id == INSTR_ARG || id == INSTR_STOPSIGNAL || d->in->health_none) {
		d->in->nflag = 0;
		return;
	}
	for (size_t i = 0; i < d->in->nflag && !d->parse->full; i++) {
		const struct flag *f = &d->in->flag[i];
		const struct flag_row *row = row_of(id, f->name);

		if (!row)
			unknown_flag(d, f);
		else if (row->kind == FLAG_BOOL)
			check_bool(d, f);
		else if (!f->value)
			draft_error_at(d, f->at, arena_printf(d->parse->arena, "--%s=VALUE", f->name),
				       "missing a value on flag: --%s", f->name);
		if (row && row->kind != FLAG_LIST && repeated(d, i))
			draft_error_at(d, f->at, "keep one of them", "duplicate flag specified: --%s", f->name);
	}
}

const struct flag *instr_flag(const struct instr *in, const char *name)
{
	for (size_t i = 0; i < in->nflag; i++)
		if (strcmp(in->flag[i].name, name) == 0)
			return &in->flag[i];
	return NULL;
}

bool instr_flag_bool(const struct instr *in, const char *name, bool absent)
{
	const struct flag *f = instr_flag(in, name);

	if (!f)
		return absent;
	return !f->value || slice_is_nocase(slice_of(f->value), "true");
}

/* 19.1: the first of the smallest distances below 3; an exact match means there is nothing to suggest. */
const char *nearest_word(struct slice word, const char *const *candidates, size_t n, bool nocase)
{
	const char *best = NULL;
	unsigned least = 3;

	for (size_t i = 0; i < n; i++) {
		unsigned far = slice_distance(word, slice_of(candidates[i]), nocase);

		if (far == 0)
			return NULL;
		if (far < least) {
			least = far;
			best = candidates[i];
		}
	}
	return best;
}
