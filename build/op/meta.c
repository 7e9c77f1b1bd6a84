/* build/op/meta.c - instructions that only edit the config (spec/dockerfile.md 7). */
#include <signal.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "build/plan.h"
#include "parser/diag.h"
#include "parser/flags.h"
#include "parser/words.h"

static int bad(struct eval *ev, const struct instr *in, struct span at, struct err **e)
{
	return diag_place(e, ev->plan->file->source, at.to > at.from ? at : in->at);
}

/* ---- lists in history: [a b c] and ["a" "b"] (Appendix D) */

static void add_quoted(struct buf *b, const char *s)
{
	static const struct {
		char c, esc;
	} rows[] = { { '\a', 'a' }, { '\b', 'b' }, { '\f', 'f' }, { '\n', 'n' }, { '\r', 'r' }, { '\t', 't' }, { '\v', 'v' },
		     { '\\', '\\' }, { '"', '"' } };

	buf_char(b, '"');
	for (size_t width = 0; *s; s += width) {
		uint32_t c = utf8_decode(slice_of(s), &width);
		size_t i;

		for (i = 0; i < countof(rows) && rows[i].c != *s; i++)
			;
		if (i < countof(rows))
			buf_printf(b, "\\%c", rows[i].esc);
		else if (c == UTF8_BAD && width == 1)
			buf_printf(b, "\\x%02x", (unsigned char)*s);
		else if (is_printable(c))
			buf_add(b, s, width);
		else
			buf_printf(b, c < 0x80 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
	}
	buf_char(b, '"');
}

static void add_list(struct buf *b, const char *const *v, size_t n, bool quoted)
{
	buf_char(b, '[');
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_char(b, ' ');
		if (quoted)
			add_quoted(b, v[i]);
		else
			buf_str(b, v[i]);
	}
	buf_char(b, ']');
}

static int history_list(struct eval *ev, const char *word, const char *const *v, size_t n, bool quoted, struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(4 << 20);

	buf_printf(&b, "%s ", word);
	add_list(&b, v, n, quoted);
	if (buf_ok(&b, word, e) < 0)
		return -1;
	eval_history(ev, b.p);
	return 0;
}

/* ---- CMD, ENTRYPOINT, SHELL */

/* Exec form: the elements; shell form: SHELL and the text. */
static const char **argv_of(struct eval *ev, const struct instr *in, size_t *n)
{
	size_t nshell = in->json ? 0 : config_list_count(ev->image, "Shell");
	const char **v = arena_alloc(ev->arena, (in->narg + nshell + 4) * sizeof(*v));

	*n = 0;
	if (in->json) {
		for (size_t i = 0; i < in->narg; i++)
			v[(*n)++] = in->arg[i].text;
		return v;
	}
	for (size_t i = 0; i < nshell; i++)
		v[(*n)++] = arena_str(ev->arena, slice_of(config_list_at(ev->image, "Shell", i)));
	if (nshell == 0) {
		v[(*n)++] = "/bin/sh";
		v[(*n)++] = "-c";
	}
	v[(*n)++] = in->text;
	return v;
}

static void lint_again(struct eval *ev, const struct instr *in)
{
	const struct pstage *ps = ev->stage;
	bool seen = false;

	for (size_t i = 0; i < ps->ninstr; i++) {
		if (ps->instr[i] == in)
			seen = true;
		else if (seen && ps->instr[i]->id == in->id) {
			lint_report(&ev->plan->lint, LINT_MultipleInstructionsDisallowed, in, in->at,
				    "Multiple %s instructions should not be used in the same stage because only the last one will be used",
				    instr_table[in->id].word);
			return;
		}
	}
}

static void lint_json(struct eval *ev, const struct instr *in)
{
	if (!in->json && config_list_count(ev->image, "Shell") == 0)
		lint_report(&ev->plan->lint, LINT_JSONArgsRecommended, in, in->at,
			    "JSON arguments recommended for %s to prevent unintended behavior related to OS signals", instr_table[in->id].word);
}

static int cmd_eval(struct eval *ev, const struct instr *in, struct err **e)
{
	size_t n;
	const char **v = argv_of(ev, in, &n);

	lint_json(ev, in);
	lint_again(ev, in);
	config_list_set(ev->image, "Cmd", v, n);
	jval_set_bool(config_inner(ev->image), "ArgsEscaped", true);
	ev->cmd_set = true;
	return history_list(ev, "CMD", v, n, true, e);
}

static int entrypoint_eval(struct eval *ev, const struct instr *in, struct err **e)
{
	size_t n;
	const char **v = argv_of(ev, in, &n);

	lint_json(ev, in);
	lint_again(ev, in);
	if (n)
		config_list_set(ev->image, "Entrypoint", v, n);
	else
		config_list_null(ev->image, "Entrypoint");
	if (!ev->cmd_set)
		config_list_null(ev->image, "Cmd");
	return history_list(ev, "ENTRYPOINT", v, n, true, e);
}

static int shell_eval(struct eval *ev, const struct instr *in, struct err **e)
{
	const char **v = arena_alloc(ev->arena, (in->narg + 1) * sizeof(*v));

	for (size_t i = 0; i < in->narg; i++)
		v[i] = in->arg[i].text;
	config_list_set(ev->image, "Shell", v, in->narg);
	return history_list(ev, "SHELL", v, in->narg, false, e);
}

/* ---- one text */

static int one_text(struct eval *ev, const struct instr *in, const char **ret, struct err **e)
{
	return eval_expand(ev, in, in->arg[0].text, in->arg[0].at, ret, e);
}

static int user_eval(struct eval *ev, const struct instr *in, struct err **e)
{
	const char *v;

	if (one_text(ev, in, &v, e) < 0)
		return -1;
	config_text_set(ev->image, "User", v);
	eval_history(ev, eval_printf(ev, "USER %s", v));
	return 0;
}

static int maintainer_eval(struct eval *ev, const struct instr *in, struct err **e)
{
	jval_set_str(ev->image->config, "author", in->arg[0].text);
	eval_history(ev, eval_printf(ev, "MAINTAINER %s", in->arg[0].text));
	return 0;
}

static bool signal_known(const char *s)
{
	static const char *const names[] = {
		"ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
		"PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
		"USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
	};
	const char *digits = s + (*s == '-' || *s == '+');
	uint64_t n;

	if (*digits && digits[strspn(digits, "0123456789")] == '\0')
		return digits[strspn(digits, "0")] != '\0';
	if (strncasecmp(s, "SIG", 3) == 0)
		s += 3;
	for (size_t i = 0; i < countof(names); i++) {
		if (strcasecmp(s, names[i]) == 0)
			return true;
	}
	/* Names, not sums: RTMIN+01 is none. */
	if (strlen(s) > 6 && s[6] == '0')
		return false;
	if (strncasecmp(s, "RTMIN+", 6) == 0)
		return slice_u64(slice_of(s + 6), &n) && n >= 1 && n <= 15;
	return strncasecmp(s, "RTMAX-", 6) == 0 && slice_u64(slice_of(s + 6), &n) && n >= 1 && n <= 14;
}

static int stopsignal_eval(struct eval *ev, const struct instr *in, struct err **e)
{
	const char *v;

	if (one_text(ev, in, &v, e) < 0)
		return -1;
	if (!signal_known(v)) {
		err_set(e, ERR_INPUT, "invalid signal: %s", v);
		err_hint(e, "a name such as SIGTERM, or a number");
		return bad(ev, in, in->arg[0].at, e);
	}
	config_text_set(ev->image, "StopSignal", v);
	eval_history(ev, eval_printf(ev, "STOPSIGNAL %s", v));
	return 0;
}

/* ---- VOLUME */

static int volume_eval(struct eval *ev, const struct instr *in, struct err **e)
{
	const char **v = arena_alloc(ev->arena, (in->narg + 1) * sizeof(*v));

	for (size_t i = 0; i < in->narg; i++) {
		struct slice s;

		if (eval_expand(ev, in, in->arg[i].text, in->arg[i].at, &v[i], e) < 0)
			return -1;
		s = slice_trim(slice_of(v[i]), " \t\r\n\v\f");
		if (s.n == 0) {
			err_set(e, ERR_INPUT, "VOLUME specified can not be an empty string");
			return bad(ev, in, in->arg[i].at, e);
		}
		v[i] = arena_str(ev->arena, s);
		config_set_add(ev->image, "Volumes", v[i]);
	}
	return history_list(ev, "VOLUME", v, in->narg, false, e);
}

/* ---- HEALTHCHECK */

static int health_duration(struct eval *ev, const struct instr *in, const char *name, int64_t *ret, struct err **e)
{
	const struct flag *f = instr_flag(in, name);

	if (!f || !f->value || !*f->value)
		return 0;
	return parse_duration(slice_of(f->value), ret, e) < 0 ? bad(ev, in, f->value_at, e) : 0;
}

static int healthcheck_eval(struct eval *ev, const struct instr *in, struct err **e)
{
	const char **test = arena_alloc(ev->arena, (in->narg + 2) * sizeof(*test));
	struct health h = { .test = test };
	const struct flag *f = instr_flag(in, "retries");
	AUTO(buf_freep) struct buf b = BUF_MAX(4 << 20);
	uint64_t n = 0;

	lint_again(ev, in);
	if (in->health_none) {
		test[h.ntest++] = "NONE";
	} else {
		test[h.ntest++] = in->json ? "CMD" : "CMD-SHELL";
		for (size_t i = 0; i < in->narg; i++)
			test[h.ntest++] = in->arg[i].text;
		if (health_duration(ev, in, "interval", &h.interval, e) < 0 || health_duration(ev, in, "timeout", &h.timeout, e) < 0 ||
		    health_duration(ev, in, "start-period", &h.start_period, e) < 0 ||
		    health_duration(ev, in, "start-interval", &h.start_interval, e) < 0)
			return -1;
		/* The parser saw that it is a number; it may have a sign. */
		if (f && f->value && slice_u64(slice_of(f->value + strspn(f->value, "+-")), &n))
			h.retries = (int64_t)n;
	}
	config_health_set(ev->image, &h);
	buf_str(&b, "HEALTHCHECK {Test:");
	add_list(&b, test, h.ntest, false);
	const struct {
		const char *name;
		int64_t v;
	} rows[] = { { " Interval:", h.interval }, { " Timeout:", h.timeout }, { " StartPeriod:", h.start_period },
		     { " StartInterval:", h.start_interval } };
	for (size_t i = 0; i < countof(rows); i++) {
		buf_str(&b, rows[i].name);
		print_duration(rows[i].v, &b);
	}
	buf_printf(&b, " Retries:%jd}", (intmax_t)h.retries);
	if (buf_ok(&b, "HEALTHCHECK", e) < 0)
		return -1;
	eval_history(ev, b.p);
	return 0;
}

/* ---- ONBUILD, FROM */

enum { TRIGGERS_MAX = 1000 };                   /* spec/threats.md 17 */

static int onbuild_eval(struct eval *ev, const struct instr *in, struct err **e)
{
	if (ev->nonbuild >= TRIGGERS_MAX)
		return err_set(e, ERR_LIMIT, "more than %d ONBUILD instructions in a stage", TRIGGERS_MAX);
	const char **v = arena_alloc(ev->arena, (ev->nonbuild + 1) * sizeof(*v));

	if (ev->nonbuild)
		memcpy(v, ev->onbuild, ev->nonbuild * sizeof(*v));
	v[ev->nonbuild++] = in->trigger;
	ev->onbuild = v;
	return 0;
}

/* A FROM is what a stage starts with (build/eval.c), not an instruction in it. */
static int from_eval(struct eval *ev, const struct instr *in, struct err **e)
{
	return err_set(e, ERR_BUG, "FROM inside a stage");
}

const struct op op_CMD = { .eval = cmd_eval };
const struct op op_ENTRYPOINT = { .eval = entrypoint_eval };
const struct op op_SHELL = { .eval = shell_eval };
const struct op op_USER = { .eval = user_eval };
const struct op op_MAINTAINER = { .eval = maintainer_eval };
const struct op op_STOPSIGNAL = { .eval = stopsignal_eval };
const struct op op_VOLUME = { .eval = volume_eval };
const struct op op_HEALTHCHECK = { .eval = healthcheck_eval };
const struct op op_ONBUILD = { .eval = onbuild_eval };
const struct op op_FROM = { .eval = from_eval };
