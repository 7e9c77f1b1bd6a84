/* parser/lint.c - configuration, findings, and the rules that the file alone decides (spec/dockerfile.md 15). */
#include "parser/lint.h"

#include "base/mem.h"
#include "parser/words.h"

#include <stdlib.h>

const struct lint_row lint_table[LINT_COUNT] = {
#define LINT(id, name, description, slug, bits, hadolint) [LINT_##id] = { name, description, slug, bits, hadolint },
#include "parser/lint.def"
#undef LINT
};

/* ---- configuration (15.1) ---- */

static enum lint_rule rule_find(struct slice name)
{
	for (int i = 0; i < LINT_COUNT; i++)
		if (slice_is(name, lint_table[i].name))
			return (enum lint_rule)i;
	return LINT_COUNT;
}

/* "all" or a list of names; unknown ones are nobody's. */
static void set_rules(struct slice list, bool *all, bool rules[LINT_COUNT])
{
	struct slice one = SLICE_NONE;

	*all |= slice_is(list, "all");
	for (bool more = true; more;) {
		more = slice_cut(list, ',', &one, &list);

		enum lint_rule rule = rule_find(trim_blanks(one));

		if (rule != LINT_COUNT)
			rules[rule] = true;
	}
}

static int set_error(struct slice value, bool *ret, struct err **e)
{
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };

	for (size_t i = 0; i < countof(yes); i++)
		if (slice_is(value, yes[i]) || slice_is(value, no[i])) {
			*ret = slice_is(value, yes[i]);
			return 0;
		}
	err_set(e, ERR_INPUT, "failed to parse check option 'error=%.*s'", SLICE_F(value));
	return err_hint(e, "error=true or error=false");
}

static int set_option(struct lint *l, struct slice option, struct err **e)
{
	struct slice key = SLICE_NONE, value = SLICE_NONE;
	bool pair = slice_cut(option, '=', &key, &value), all = false;

	key = trim_blanks(key);
	value = trim_blanks(value);
	if (pair && slice_is(key, "skip")) {
		set_rules(value, &l->skip_all, l->skip);
		return 0;
	}
	if (pair && slice_is(key, "experimental")) {
		set_rules(value, &all, l->on);
		for (int i = 0; all && i < LINT_COUNT; i++)
			l->on[i] = true;
		return 0;
	}
	if (pair && slice_is(key, "error"))
		return set_error(value, &l->error, e);
	err_set(e, ERR_INPUT, "invalid check option '%.*s'", SLICE_F(trim_blanks(option)));
	return err_hint(e, "skip=RuleA,RuleB, experimental=..., error=true, separated by ';'");
}

int lint_init(struct lint *l, const char *config, struct err **e)
{
	struct slice rest = slice_of(config), option = SLICE_NONE;

	*l = (struct lint){ 0 };
	if (trim_blanks(rest).n == 0)
		return 0;
	for (bool more = true; more;) {
		more = slice_cut(rest, ';', &option, &rest);
		if (set_option(l, option, e) < 0)
			return err_wrap(e, "failed to parse check options");
	}
	return 0;
}

void lint_clear(struct lint *l)
{
	for (size_t i = 0; i < l->nfound; i++)
		free(l->found[i].detail);
	free(l->found);
	*l = (struct lint){ 0 };
}

/* The first "# check=..." of the block above an instruction. Malformed ones count for nothing. */
static void local_config(const struct instr *in, struct lint *ret)
{
	struct slice rest = slice_of(in->doc_comment), line = SLICE_NONE;

	*ret = (struct lint){ 0 };
	for (bool more = rest.n > 0; more;) {
		struct slice key = SLICE_NONE, value = SLICE_NONE;

		more = slice_cut(rest, '\n', &line, &rest);
		if (!slice_cut(line, '=', &key, &value) || !slice_is_nocase(trim_blanks(key), "check"))
			continue;
		value = trim_blanks(value);
		slice_cut(value, ' ', &value, &line);

		AUTO(mem_freep) char *config = mem_strn(value.p, value.n);

		if (lint_init(ret, config, NULL) < 0)
			*ret = (struct lint){ 0 };
		return;
	}
}

/* ---- comments for hadolint, which files that are checked by both already have ---- */

static bool in_list(const char *list, struct slice name)
{
	struct slice rest = slice_of(list ? list : ""), one = SLICE_NONE;

	for (bool more = rest.n > 0; more;) {
		more = slice_cut(rest, ',', &one, &rest);
		if (slice_equal(one, name))
			return true;
	}
	return false;
}

/* "hadolint ignore=DL3006, DL3009 why": rules that go by one of these names over there. */
static void hadolint_line(struct slice line, const char *key, bool skip[LINT_COUNT])
{
	struct slice head = SLICE_NONE, rest = SLICE_NONE, one = SLICE_NONE, name = SLICE_NONE, why = SLICE_NONE;

	if (!slice_cut(line, '=', &head, &rest) || !slice_is(trim_blanks(head), key))
		return;
	for (bool more = true; more;) {
		more = slice_cut(rest, ',', &one, &rest);
		name = trim_blanks(one);
		slice_cut(name, ' ', &name, &why);
		for (int i = 0; name.n && i < LINT_COUNT; i++)
			skip[i] |= in_list(lint_table[i].hadolint, name);
	}
}

/* What hadolint ignores of one instruction; also where "# check=" has no exceptions. */
static bool hadolint_ignores(const struct instr *in, enum lint_rule rule)
{
	struct slice rest = slice_of(in->doc_comment), line = SLICE_NONE;
	bool skip[LINT_COUNT] = { false };

	for (bool more = rest.n > 0; more;) {
		more = slice_cut(rest, '\n', &line, &rest);
		hadolint_line(line, "hadolint ignore", skip);
	}
	return skip[rule];
}

/* "# hadolint global ignore=..." above the first instruction. */
static void hadolint_global(struct lint *l, const struct source *s)
{
	for (unsigned i = 1; i <= source_lines(s); i++) {
		struct slice line = trim_blanks(source_line(s, i));

		if (line.n && *line.p != '#')
			return;
		hadolint_line(trim_blanks(slice_skip(line, line.n > 0)), "hadolint global ignore", l->skip);
	}
}

static bool wanted(const struct lint *l, enum lint_rule rule, const struct instr *in)
{
	struct lint own = { 0 };

	if (in && *in->doc_comment && (lint_table[rule].bits & LINT_EXCEPTION))
		local_config(in, &own);
	if (in && *in->doc_comment && hadolint_ignores(in, rule))
		return false;
	if (lint_table[rule].bits & LINT_EXPERIMENTAL)
		return l->on[rule] || own.on[rule];
	return !l->skip_all && !l->skip[rule] && !own.skip_all && !own.skip[rule];
}

/* ---- findings ---- */

static void add(struct lint *l, struct lint_finding f, const char *fmt, va_list ap)
{
	struct buf detail = BUF_MAX(64 << 10);

	buf_vprintf(&detail, fmt, ap);
	f.detail = buf_steal(&detail);
	f.number = l->nfound;
	MEM_ROOM(l->found, l->nfound, l->cap);
	l->found[l->nfound++] = f;
}

void lint_report(struct lint *l, enum lint_rule rule, const struct instr *in, struct span at, const char *fmt, ...)
{
	va_list ap;

	if (!wanted(l, rule, in))
		return;
	va_start(ap, fmt);
	add(l, (struct lint_finding){ .rule = rule, .line = in->line, .end_line = in->end_line, .at = at }, fmt, ap);
	va_end(ap);
}

void lint_report_line(struct lint *l, enum lint_rule rule, unsigned line, const char *fmt, ...)
{
	va_list ap;

	if (!wanted(l, rule, NULL))
		return;
	va_start(ap, fmt);
	add(l, (struct lint_finding){ .rule = rule, .line = line, .end_line = line }, fmt, ap);
	va_end(ap);
}

const char *lint_url(enum lint_rule rule, char *buf, size_t n)
{
	if (!lint_table[rule].slug)
		return NULL;
	snprintf(buf, n, "https://docs.docker.com/go/dockerfile/rule/%s/", lint_table[rule].slug);
	return buf;
}

/* ---- the rules ---- */

static bool has_letter(const char *s, char from, char to)
{
	for (; *s; s++)
		if (*s >= from && *s <= to)
			return true;
	return false;
}

static bool is_lower(const char *s)
{
	return !has_letter(s, 'A', 'Z');
}

static bool is_upper(const char *s)
{
	return !has_letter(s, 'a', 'z');
}

static void check_casing_of(struct lint *l, const struct instr *in, bool lower)
{
	if (lower ? !is_lower(in->spelling) : !is_upper(in->spelling))
		lint_report(l, LINT_ConsistentInstructionCasing, in, in->at,
			    "Command '%s' should match the case of the command majority (%s)", in->spelling,
			    lower ? "lowercase" : "uppercase");
}

/* The majority counts words of one case only; global ARGs do not count at all. */
static void check_casing(struct lint *l, const struct file *f)
{
	size_t lower = 0, upper = 0;

	for (size_t i = 0; i < f->nstage; i++) {
		const struct stage *s = f->stage[i];

		lower += is_lower(s->from->spelling);
		upper += is_upper(s->from->spelling);
		for (size_t k = 0; k < s->ninstr; k++) {
			lower += is_lower(s->instr[k]->spelling);
			upper += is_upper(s->instr[k]->spelling);
		}
	}
	for (size_t i = 0; i < f->nstage; i++) {
		const struct stage *s = f->stage[i];

		check_casing_of(l, s->from, lower > upper);
		for (size_t k = 0; k < s->ninstr; k++)
			check_casing_of(l, s->instr[k], lower > upper);
	}
}

static bool name_used_before(const struct file *f, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (f->stage[k]->name && strcmp(f->stage[k]->name, f->stage[i]->name) == 0)
			return true;
	return false;
}

static void check_stage_name(struct lint *l, const struct file *f, size_t i)
{
	const struct stage *s = f->stage[i];
	const char *from = s->from->spelling, *as = s->from->arg[1].text;

	if (!is_lower(s->name_spelling))
		lint_report(l, LINT_StageNameCasing, s->from, s->name_at, "Stage name '%s' should be lowercase",
			    s->name_spelling);
	if ((is_lower(from) && !is_lower(as)) || (is_upper(from) && !is_upper(as)))
		lint_report(l, LINT_FromAsCasing, s->from, s->from->arg[1].at,
			    "'%s' and '%s' keywords' casing do not match", as, from);
	if (name_used_before(f, i))
		lint_report(l, LINT_DuplicateStageName, s->from, s->name_at,
			    "Duplicate stage name \"%s\", stage names should be unique", s->name);
	if (strcmp(s->name, "scratch") == 0 || strcmp(s->name, "context") == 0)
		lint_report(l, LINT_ReservedStageName, s->from, s->name_at,
			    "Stage name should not use the same name as reserved stage \"%s\"", s->name);
}

/* The first word of the last comment line. */
static struct slice described(const char *comment)
{
	const char *last = strrchr(comment, '\n');
	struct slice line = slice_of(last ? last + 1 : comment), word = line, rest = SLICE_NONE;

	slice_cut(line, ' ', &word, &rest);
	return word;
}

static void check_arg_comment(struct lint *l, const struct instr *in)
{
	if (in->id != INSTR_ARG || !*in->doc_comment)
		return;
	for (size_t i = 0; i < in->npair; i++)
		if (slice_is(described(in->doc_comment), in->pair[i].key))
			return;
	lint_report(l, LINT_InvalidDefinitionDescription, in, in->at,
		    "Comment for ARG should follow the format: `# %s <description>`",
		    in->npair == 1 ? in->pair[0].key : "<arg_key>");
}

static void check_stage_comment(struct lint *l, const struct stage *s)
{
	if (*s->from->doc_comment && !slice_is(described(s->from->doc_comment), s->name))
		lint_report(l, LINT_InvalidDefinitionDescription, s->from, s->from->at,
			    "Comment for FROM should follow the format: `# %s <description>`", s->name);
}

static void check_stage(struct lint *l, const struct file *f, size_t i)
{
	const struct stage *s = f->stage[i];

	if (s->name) {
		check_stage_name(l, f, i);
		check_stage_comment(l, s);
	}
	for (size_t k = 0; k < s->ninstr; k++) {
		const struct instr *in = s->instr[k];

		if (in->id == INSTR_MAINTAINER)
			lint_report(l, LINT_MaintainerDeprecated, in, in->at,
				    "Maintainer instruction is deprecated in favor of using label");
		check_arg_comment(l, in);
	}
}

void lint_file(struct lint *l, const struct file *f)
{
	hadolint_global(l, f->source);
	for (size_t i = 0; i < f->nnotes; i++)
		if (f->notes[i].kind == NOTE_EMPTY_CONTINUATION)
			lint_report_line(l, LINT_NoEmptyContinuation, f->notes[i].line, "Empty continuation line");
	for (size_t i = 0; i < f->nglobal; i++)
		check_arg_comment(l, f->global[i]);
	for (size_t i = 0; i < f->nstage; i++)
		check_stage(l, f, i);
	check_casing(l, f);
	lint_ours(l, f);
	lint_secrets(l, f);
}
