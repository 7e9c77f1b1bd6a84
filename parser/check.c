/* parser/check.c - phase T: what each instruction asks of its arguments (spec/dockerfile.md 2.6, 5.1, 7 - 11, 19.2). */
#include "base/mem.h"
#include "parser/flags.h"
#include "parser/heredoc.h"
#include "parser/parse.h"
#include "parser/words.h"

#include <stdlib.h>

static const char *word_of(const struct draft *d)
{
	return instr_table[d->in->id].word;
}

static void need_one(struct draft *d, const char *hint)
{
	draft_error(d, d->args, hint, "%s requires at least one argument", word_of(d));
}

static void check_exactly_one(struct draft *d)
{
	static const char *const hints[INSTR_COUNT] = {
		[INSTR_USER] = "USER name",
		[INSTR_WORKDIR] = "WORKDIR /path",
		[INSTR_STOPSIGNAL] = "STOPSIGNAL SIGTERM",
		[INSTR_MAINTAINER] = "LABEL org.opencontainers.image.authors=\"name\" instead",
	};

	if (d->in->narg != 1)
		draft_error(d, d->args, hints[d->in->id], "%s requires exactly one argument", word_of(d));
}

/* ---- FROM ---- */

/* [a-z][a-z0-9-_.]* after lower-casing. */
static bool is_stage_name(const char *s)
{
	for (size_t i = 0; s[i]; i++) {
		char c = s[i] >= 'A' && s[i] <= 'Z' ? s[i] | 0x20 : s[i];
		bool letter = c >= 'a' && c <= 'z';

		if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.')))
			return false;
	}
	return *s;
}

/* The name is also looked up as a named context, so it has to be a repository name: separators only between letters
 * and digits, one '.', one or two '_', any number of '-' (5.1). */
static bool is_context_name(const char *s)
{
	for (size_t i = 0; s[i];) {
		size_t n = strspn(s + i, "-._");

		if (n == 0) {
			i++;
			continue;
		}
		bool dashes = strspn(s + i, "-") == n, one = n == 1, two = n == 2 && s[i] == '_' && s[i + 1] == '_';

		if ((!dashes && !one && !two) || !s[i + n])
			return false;
		i += n;
	}
	return true;
}

static void check_from(struct draft *d)
{
	const struct word *arg = d->in->arg;
	size_t n = d->in->narg;

	if (n != 1 && (n != 3 || !slice_is_nocase(slice_of(arg[1].text), "as"))) {
		const char *hint = "FROM image, or FROM image AS name";

		for (size_t i = 1; i < n; i++)
			if (arg[i].text[0] == '#')
				hint = "put the comment on a line of its own: it cannot end an instruction";
		draft_error(d, d->args, hint, "FROM requires either one or three arguments");
		return;
	}
	if (n != 3)
		return;
	if (!is_stage_name(arg[2].text))
		draft_error_at(d, arg[2].at, "begin with a letter, then letters, digits, '-', '_' or '.'",
			       "invalid name for build stage: '%s', name can't start with a number or contain symbols",
			       arg[2].text);
	else if (!is_context_name(arg[2].text))
		draft_error_at(d, arg[2].at, "put '-', '_' and '.' only between letters or digits",
			       "invalid context name '%s'", arg[2].text);
}

/* ---- RUN ---- */

static void check_one_of(struct draft *d, const struct flag *f, const char *const *names, size_t n, const char *fmt)
{
	const char *hint = NULL, *join = arena_str(d->parse->arena, slice_of(names[0]));

	if (!f->value)
		return;
	for (size_t i = 0; i < n; i++)
		if (strcmp(f->value, names[i]) == 0)
			return;
	for (size_t i = 1; i < n; i++)
		join = arena_printf(d->parse->arena, "%s, %s", join, names[i]);
	hint = draft_nearest(d, slice_of(f->value), names, n, false, "");
	draft_error_at(d, f->value_at, hint ? hint : join, "%s", arena_printf(d->parse->arena, fmt, f->value));
}

static bool is_go_bool(const char *s)
{
	static const char *const all[] = {
		"1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False",
	};

	for (size_t i = 0; i < countof(all); i++)
		if (strcmp(s, all[i]) == 0)
			return true;
	return false;
}

/* 8.5: "vendor/class=name,required". Only its grammar; whether the device exists is the build's matter. */
static const char *device_problem(struct draft *d, char *const *field, size_t n)
{
	bool named = false;

	for (size_t i = 0; i < n; i++) {
		struct slice key = SLICE_NONE, value = SLICE_NONE;
		bool pair = slice_cut(slice_of(field[i]), '=', &key, &value);

		if (slice_is_nocase(key, "required")) {
			if (pair && !is_go_bool(value.p))
				return arena_printf(d->parse->arena, "invalid value for required: %s", value.p);
		} else if (slice_is_nocase(key, "name") || (i == 0 && (!pair || slice_find(key, '/')))) {
			if (named)
				return "device name already set";
			named = true;
		} else if (!pair) {
			return arena_printf(d->parse->arena, "invalid field '%s' must be a key=value pair", field[i]);
		} else if (slice_find(key, '/')) {
			return "device name already set";
		} else {
			return arena_printf(d->parse->arena, "unexpected key '%.*s' in '%s'", SLICE_F(key), field[i]);
		}
	}
	return NULL;
}

static void check_device(struct draft *d, const struct flag *f)
{
	AUTO(err_freep) struct err *e = NULL;
	char **field = NULL;
	const char *problem = NULL;
	size_t n = 0;

	if (csv_split(slice_of(f->value), &field, &n, &e) < 0) {
		err_wrap(&e, "failed to parse csv devices");
		draft_take(d, f->value_at, &e);
		return;
	}
	problem = device_problem(d, field, n);
	if (problem)
		draft_error_at(d, f->value_at, "--device=vendor/class=name or --device=vendor/class=name,required",
			       "%s", problem);
	csv_free(field, n);
}

static void check_mount(struct draft *d, const struct flag *f)
{
	AUTO(err_freep) struct err *e = NULL;
	AUTO(mem_freep) char *from = NULL;

	if (mount_from(f->value, &from, &e) < 0)
		draft_take(d, mount_value_at(d->parse->file->source, f, "from"), &e);
}

static void check_run(struct draft *d)
{
	static const char *const networks[] = { "default", "none", "host" };
	static const char *const securities[] = { "sandbox", "insecure" };

	for (size_t i = 0; i < d->in->nflag; i++) {
		const struct flag *f = &d->in->flag[i];

		if (!f->value)
			continue;
		if (strcmp(f->name, "network") == 0)
			check_one_of(d, f, networks, countof(networks), "invalid network mode '%s'");
		else if (strcmp(f->name, "security") == 0)
			check_one_of(d, f, securities, countof(securities), "security \"%s\" is not valid");
		else if (strcmp(f->name, "mount") == 0)
			check_mount(d, f);
		else if (strcmp(f->name, "device") == 0)
			check_device(d, f);
	}
}

/* ---- the others ---- */

static void check_pairs(struct draft *d)
{
	if (d->in->npair == 0)
		need_one(d, d->in->id == INSTR_ARG ? "ARG name or ARG name=default"
						   : arena_printf(d->parse->arena, "%s name=value", word_of(d)));
	for (size_t i = 0; i < d->in->npair; i++)
		if (!*d->in->pair[i].key)
			draft_error_at(d, d->in->pair[i].at, "write name=value without blanks around '='",
				       "%s names can not be blank", word_of(d));
}

static void check_copy(struct draft *d)
{
	struct heredoc_word w = { 0 };
	const struct instr *in = d->in;

	if (in->narg < 2) {
		draft_error(d, d->args, arena_printf(d->parse->arena, "%s source destination", word_of(d)),
			    "%s requires at least two arguments, but only one was provided. "
			    "Destination could not be determined",
			    word_of(d));
		return;
	}

	const struct word *dest = &in->arg[in->narg - 1];

	if (!in->json && heredoc_word(slice_of(dest->text), d->parse->arena, &w))
		draft_error_at(d, dest->at, "name the destination behind the here-document",
			       "%s cannot accept a heredoc as a destination", word_of(d));
}

static void check_expose(struct draft *d)
{
	if (d->in->narg == 0)
		need_one(d, "EXPOSE 8080");
}

static void check_volume(struct draft *d)
{
	if (d->in->narg == 0)
		need_one(d, "VOLUME /path");
	for (size_t i = 0; i < d->in->narg; i++)
		if (trim_blanks(slice_of(d->in->arg[i].text)).n == 0)
			draft_error_at(d, d->in->arg[i].at, NULL, "VOLUME specified can not be an empty string");
}

static void check_shell(struct draft *d)
{
	if (d->in->narg == 0)
		need_one(d, "SHELL [\"/bin/sh\", \"-c\"]");
	else if (!d->in->json)
		draft_error(d, d->args, "SHELL [\"/bin/sh\", \"-c\"]", "SHELL requires the arguments to be in JSON form");
}

static void check_onbuild(struct draft *d)
{
	if (d->args.n == 0) {
		need_one(d, "ONBUILD RUN command");
		return;
	}
	if (!d->inner || d->inner->id == INSTR_UNKNOWN)
		return;
	if (d->inner->id == INSTR_ONBUILD)
		draft_error(d, d->args, NULL, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
	else if (d->inner->id == INSTR_FROM || (instr_table[d->inner->id].bits & INSTR_NO_TRIGGER))
		draft_error(d, d->args, NULL, "%s isn't allowed as an ONBUILD trigger", instr_table[d->inner->id].word);
}

static void check_interval(struct draft *d, const struct flag *f)
{
	AUTO(err_freep) struct err *e = NULL;
	int64_t ns = 0;

	if (!*f->value || (strcmp(f->name, "interval") != 0 && strcmp(f->name, "timeout") != 0 && strncmp(f->name, "start-", 6) != 0))
		return;
	if (parse_duration(slice_of(f->value), &ns, &e) < 0)
		draft_take(d, f->value_at, &e);
	else if (ns != 0 && ns < 1000000)
		draft_error_at(d, f->value_at, "at least 1ms, or 0 for the default",
			       "Interval \"%s\" cannot be less than 1ms", f->name);
}

static void check_retries(struct draft *d, const struct flag *f)
{
	struct slice digits = slice_of(f->value);
	bool negative = slice_starts(digits, "-");
	uint64_t n = 0;

	if (!*f->value)
		return;
	digits = slice_skip(digits, negative || slice_starts(digits, "+"));
	if (!slice_u64(digits, &n) || n > INT32_MAX)
		draft_error_at(d, f->value_at, "a whole number such as 3", "bad integer '%s' for --retries", f->value);
	else if (negative && n)
		draft_error_at(d, f->value_at, "0 for the default", "--retries cannot be negative (%s)", f->value);
}

static void check_health(struct draft *d)
{
	AUTO(mem_freep) char *type = mem_strn(d->health.p, d->health.n);

	for (char *c = type; *c; c++)
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
	if (d->args.n == 0) {
		need_one(d, "HEALTHCHECK CMD command, or HEALTHCHECK NONE");
		return;
	}
	if (d->in->health_none) {
		if (d->in->narg)
			draft_error_at(d, d->in->arg[0].at, NULL, "HEALTHCHECK NONE takes no arguments");
		return;
	}
	if (strcmp(type, "CMD") != 0)
		draft_error(d, d->health, "HEALTHCHECK CMD command, or HEALTHCHECK NONE",
			    "Unknown type \"%s\" in HEALTHCHECK (try CMD)", type);
	else if (d->in->narg == 0)
		draft_error(d, d->health, NULL, "Missing command after HEALTHCHECK CMD");
	for (size_t i = 0; i < d->in->nflag; i++) {
		const struct flag *f = &d->in->flag[i];

		if (!f->value)
			continue;
		if (strcmp(f->name, "retries") == 0)
			check_retries(d, f);
		else
			check_interval(d, f);
	}
}

static void (*const checks[INSTR_COUNT])(struct draft *d) = {
	[INSTR_FROM] = check_from,
	[INSTR_RUN] = check_run,
	[INSTR_LABEL] = check_pairs,
	[INSTR_MAINTAINER] = check_exactly_one,
	[INSTR_EXPOSE] = check_expose,
	[INSTR_ENV] = check_pairs,
	[INSTR_ADD] = check_copy,
	[INSTR_COPY] = check_copy,
	[INSTR_VOLUME] = check_volume,
	[INSTR_USER] = check_exactly_one,
	[INSTR_WORKDIR] = check_exactly_one,
	[INSTR_ARG] = check_pairs,
	[INSTR_ONBUILD] = check_onbuild,
	[INSTR_STOPSIGNAL] = check_exactly_one,
	[INSTR_HEALTHCHECK] = check_health,
	[INSTR_SHELL] = check_shell,
};

void check_instr(struct draft *d)
{
	flags_check(d);
	if (checks[d->in->id])
		checks[d->in->id](d);
}
