/* parser/lint_secret.c - secrets by their name and by their form. A finding never shows the value: logs are read by many. */
#include "parser/lint.h"

/* ---- names */

/* Is one of the `_`-separated words of name in the list? */
static bool has_word(struct slice name, const char *const *list, size_t n)
{
	struct slice word = SLICE_NONE;

	for (bool more = true; more;) {
		more = slice_cut(name, '_', &word, &name);
		for (size_t i = 0; i < n; i++)
			if (slice_is_nocase(word, list[i]))
				return true;
	}
	return false;
}

bool lint_secret_name(struct slice name)
{
	static const char *const secret[] = {
		"apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token",
	};
	static const char *const harmless[] = { "public", "file", "version" };

	return has_word(name, secret, countof(secret)) && !has_word(name, harmless, countof(harmless));
}

/* Of a shell's variable: `key` and `auth` alone are too often the fingerprint of a public key. */
static bool is_shell_secret(struct slice name)
{
	static const char *const vague[] = { "key", "auth" };
	static const char *const which[] = { "api", "access", "private", "secret", "token", "password", "passwd" };

	return lint_secret_name(name) && (!has_word(name, vague, countof(vague)) || has_word(name, which, countof(which)));
}

/* ---- forms */

enum letters { UPPER = 1, LOWER = 2, DIGIT = 4, MARK = 8 };         /* MARK: _ and - */
static const struct form {
	const char *start, *what;
	unsigned letters;
	size_t least;                               /* letters behind the start */
	bool exact;                                 /* and no more */
} forms[] = {
	{ "AKIA", "an AWS access key", UPPER | DIGIT, 16, true },
	{ "ASIA", "an AWS access key", UPPER | DIGIT, 16, true },
	{ "ghp_", "a GitHub token", UPPER | LOWER | DIGIT, 36, false },
	{ "gho_", "a GitHub token", UPPER | LOWER | DIGIT, 36, false },
	{ "ghs_", "a GitHub token", UPPER | LOWER | DIGIT, 36, false },
	{ "ghu_", "a GitHub token", UPPER | LOWER | DIGIT, 36, false },
	{ "github_pat_", "a GitHub token", UPPER | LOWER | DIGIT | MARK, 22, false },
	{ "glpat-", "a GitLab token", UPPER | LOWER | DIGIT | MARK, 20, false },
	{ "npm_", "an npm token", UPPER | LOWER | DIGIT, 36, true },
	{ "pypi-AgE", "a PyPI token", UPPER | LOWER | DIGIT | MARK, 30, false },
	{ "xoxb-", "a Slack token", UPPER | LOWER | DIGIT | MARK, 20, false },
	{ "xoxp-", "a Slack token", UPPER | LOWER | DIGIT | MARK, 20, false },
	{ "sk_live_", "a Stripe key", UPPER | LOWER | DIGIT, 16, false },
	{ "AIza", "a Google API key", UPPER | LOWER | DIGIT | MARK, 35, true },
};

static bool is_letter(char c, unsigned letters)
{
	return ((letters & UPPER) && c >= 'A' && c <= 'Z') || ((letters & LOWER) && c >= 'a' && c <= 'z') ||
	       ((letters & DIGIT) && c >= '0' && c <= '9') || ((letters & MARK) && (c == '_' || c == '-'));
}

static bool has_form(struct slice text, const struct form *f)
{
	size_t len = strlen(f->start);

	for (const char *p = text.p; text.n; p++) {
		p = memmem(p, (size_t)(text.p + text.n - p), f->start, len);
		if (!p)
			return false;

		/* Not further than it takes: a text of nothing but starts is read once. */
		size_t n = 0, rest = (size_t)(text.p + text.n - p) - len;

		while (n < rest && n <= f->least && is_letter(p[len + n], f->letters))
			n++;
		if (n >= f->least && (!f->exact || n == f->least) && (p == text.p || !is_letter(p[-1], UPPER | LOWER | DIGIT | MARK)))
			return true;
	}
	return false;
}

static bool is_private_key(struct slice text)
{
	static const char begin[] = "-----BEGIN ", end[] = "PRIVATE KEY-----";

	for (const char *p = text.p; text.n && (p = memmem(p, (size_t)(text.p + text.n - p), begin, strlen(begin))); p++) {
		size_t rest = (size_t)(text.p + text.n - p), near = rest < 60 ? rest : 60;

		if (memmem(p, near, end, strlen(end)))
			return true;
	}
	return false;
}

/* Start and letters of the shortest form in one piece. */
static bool has_long_word(struct slice text)
{
	enum { SHORTEST = 20 };
	size_t n = 0;

	for (size_t i = 0; i < text.n && n < SHORTEST; i++)
		n = is_letter(text.p[i], UPPER | LOWER | DIGIT | MARK) ? n + 1 : 0;
	return n == SHORTEST;
}

const char *lint_secret_kind(struct slice text)
{
	if (is_private_key(text))
		return "a private key";
	if (!has_long_word(text))
		return NULL;
	for (size_t i = 0; i < countof(forms); i++)
		if (has_form(text, &forms[i]))
			return forms[i].what;
	return NULL;
}

/* ---- TOKEN=... in a command */

/* The value is there, not asked for: no variable, no command, not empty. */
static bool is_literal(struct slice value)
{
	size_t n = 0;

	if (value.n && (*value.p == '"' || *value.p == '\''))
		value = slice_skip(value, 1);
	while (n < value.n && !strchr(" \t\r\n;&|)\"'`$\\", value.p[n]))
		n++;
	return n >= 4 && (n == value.n || !strchr("$`", value.p[n]));
}

/* The name of the first secret that a command sets to a literal. */
static struct slice assigned(const char *text)
{
	for (const char *p = text; (p = strchr(p, '=')); p++) {
		const char *name = p;

		while (name > text && is_letter(name[-1], UPPER | LOWER | DIGIT | MARK))
			name--;
		if (name > text && !strchr(" \t\n;&|(", name[-1]))
			continue;

		struct slice key = { name, (size_t)(p - name) };

		if (is_shell_secret(key) && is_literal(slice_of(p + 1)))
			return key;
	}
	return SLICE_NONE;
}

/* No span: the excerpt would be the secret. */
static void check_instr(struct lint *l, const struct file *f, const struct instr *in)
{
	struct slice text = source_text(f->source);
	const char *kind = lint_secret_kind((struct slice){ text.p + in->at.from, in->at.to - in->at.from });
	struct slice name = in->id == INSTR_RUN && in->run_text ? assigned(in->run_text) : SLICE_NONE;

	if (kind)
		lint_report(l, LINT_SecretValue, in, (struct span){ 0 },
			    "This %s holds what looks like %s: whoever has the file or the image has it; use RUN --mount=type=secret",
			    instr_table[in->id].word, kind);
	else if (name.n)
		lint_report(l, LINT_SecretValue, in, (struct span){ 0 },
			    "The command sets %.*s to a value that stays in the file and in the image's history; use "
			    "RUN --mount=type=secret,env=%.*s",
			    SLICE_F(name), SLICE_F(name));
}

void lint_secrets(struct lint *l, const struct file *f)
{
	for (size_t i = 0; i < f->nglobal; i++)
		check_instr(l, f, f->global[i]);
	for (size_t i = 0; i < f->nstage; i++)
		for (size_t k = 0; k < f->stage[i]->ninstr; k++)
			check_instr(l, f, f->stage[i]->instr[k]);
}
