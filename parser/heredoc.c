/* parser/heredoc.c - finds `<<NAME` among the shell words of a line. */
#include "parser/heredoc.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "parser/words.h"

#include <stdlib.h>

enum { HEREDOC_DEPTH = 64 };

struct lex {
	struct slice text;
	size_t at;
	unsigned depth;
};

static int peek(const struct lex *x)
{
	return x->at < x->text.n ? (unsigned char)x->text.p[x->at] : -1;
}

static void step(struct lex *x)
{
	size_t width = 1;

	if (x->at < x->text.n)
		utf8_decode(slice_skip(x->text, x->at), &width);
	x->at += width;
	if (x->at > x->text.n)
		x->at = x->text.n;
}

static bool skip_unit(struct lex *x);

static bool skip_until(struct lex *x, int stop)
{
	while (peek(x) >= 0 && peek(x) != stop)
		if (!skip_unit(x))
			return false;
	if (peek(x) < 0)
		return false;
	x->at++;
	return true;
}

/* What follows the name in ${name...}; the same forms fail here as in expansion, but for unknown ones after ':'. */
static bool skip_operator(struct lex *x)
{
	int c = peek(x);

	if (c < 0)
		return false;
	step(x);
	switch (c) {
	case '}':
		return true;
	case ':':
		if (peek(x) == '#' || peek(x) == '%')
			return false;
		step(x);
		return skip_until(x, '}');
	case '+':
	case '-':
	case '?':
	case '#':
	case '%':
		return skip_until(x, '}');
	case '/':
		if (peek(x) == '/')
			x->at++;
		return skip_until(x, '/') && skip_until(x, '}');
	default:
		return false;
	}
}

static bool skip_dollar(struct lex *x)
{
	x->at++;
	if (peek(x) != '{') {
		x->at += name_length(slice_skip(x->text, x->at));
		return true;
	}
	x->at++;
	if (peek(x) < 0 || peek(x) == '{' || peek(x) == '}' || peek(x) == ':' || x->depth >= HEREDOC_DEPTH)
		return false;
	x->at += name_length(slice_skip(x->text, x->at));
	x->depth++;

	bool fine = skip_operator(x);

	x->depth--;
	return fine;
}

static bool skip_single(struct lex *x)
{
	const char *end = slice_find(slice_skip(x->text, x->at + 1), '\'');

	if (!end)
		return false;
	x->at = (size_t)(end - x->text.p) + 1;
	return true;
}

static bool skip_double(struct lex *x)
{
	x->at++;
	while (peek(x) >= 0) {
		int c = peek(x);

		if (c == '"') {
			x->at++;
			return true;
		}
		if (c == '$') {
			if (!skip_dollar(x))
				return false;
			continue;
		}
		step(x);
		if (c == '\\' && (peek(x) == '"' || peek(x) == '$' || peek(x) == '\\'))
			x->at++;
	}
	return false;
}

/* One character, escaped pair, quoted part or substitution. */
static bool skip_unit(struct lex *x)
{
	switch (peek(x)) {
	case '\'':
		return skip_single(x);
	case '"':
		return skip_double(x);
	case '$':
		return skip_dollar(x);
	case '\\':
		x->at++;
	}
	step(x);
	return true;
}

/* The delimiter's own text: quotes and escapes removed. Returns false unless it is exactly one word. */
static bool unquote(struct slice rest, char *out, size_t *n, bool *quoted)
{
	struct lex x = { .text = rest };
	bool over = false;

	*n = 0;
	*quoted = false;
	while (peek(&x) >= 0) {
		size_t from = x.at, blank = blank_at(slice_skip(rest, from));

		if (blank) {
			over = *n > 0 || *quoted;
			x.at += blank;
			continue;
		}
		if (over || !skip_unit(&x))
			return false;

		struct slice unit = { rest.p + from, x.at - from };

		if (unit.p[0] == '\'' || unit.p[0] == '"')
			*quoted = true;
		for (size_t i = 0; i < unit.n; i++) {
			bool escape = unit.p[i] == '\\' && unit.p[0] != '\'' && unit.p[0] != '$';

			if (unit.p[i] == unit.p[0] && (unit.p[0] == '\'' || unit.p[0] == '"'))
				continue;
			if (escape && i + 1 < unit.n && (i == 0 || strchr("\"$\\", unit.p[i + 1])))
				i++;
			else if (escape && i == 0)
				continue;        /* the last character of all: dropped */
			out[(*n)++] = unit.p[i];
		}
	}
	return *n > 0;
}

bool heredoc_word(struct slice text, struct arena *a, struct heredoc_word *ret)
{
	struct slice raw = text;

	while (text.n && text.p[0] >= '0' && text.p[0] <= '9')
		text = slice_skip(text, 1);
	if (!slice_starts(text, "<<"))
		return false;
	text = slice_skip(text, 2);

	bool strip = slice_starts(text, "-");

	text = slice_skip(text, strip);
	if (text.n == 0 || slice_find(text, '<'))
		return false;

	char *name = arena_alloc(a, text.n + 1);
	size_t n = 0;
	bool quoted = false;

	if (!unquote(text, name, &n, &quoted))
		return false;
	*ret = (struct heredoc_word){ { name, n }, raw, quoted, strip };
	return true;
}

/* Blanks directly behind << belong to the word, so `<< EOF` is one; this does not hold for <<- (2.9.2). */
static void glue_blanks(struct lex *x)
{
	while (peek(x) == ' ' || peek(x) == '\t' || peek(x) == '\r')
		x->at++;
}

/* The next shell word with its quotes: 1, none left: 0, the line cannot be split: -1. */
static int shell_word(struct lex *x, struct slice *ret)
{
	for (size_t blank; (blank = blank_at(slice_skip(x->text, x->at))) > 0;)
		x->at += blank;

	size_t from = x->at;
	unsigned angles = 0;

	while (peek(x) >= 0 && !blank_at(slice_skip(x->text, x->at))) {
		angles = peek(x) == '<' ? angles + 1 : 0;
		if (!skip_unit(x))
			return -1;
		if (angles == 2)
			glue_blanks(x);
	}
	*ret = (struct slice){ x->text.p + from, x->at - from };
	return ret->n > 0;
}

bool heredoc_find(struct slice line, struct arena *a, struct heredoc_word **ret, size_t *n)
{
	struct heredoc_word *v = NULL;
	struct lex x = { .text = line };
	struct slice word = SLICE_NONE;
	size_t cap = 0;
	int more = 0;

	*ret = NULL;
	*n = 0;
	while ((more = shell_word(&x, &word)) > 0) {
		MEM_ROOM(v, *n, cap);
		if (heredoc_word(word, a, &v[*n]))
			(*n)++;
	}
	if (more < 0)
		*n = 0;
	if (*n)
		*ret = arena_dup(a, v, *n * sizeof(*v));
	free(v);
	return more == 0;
}
