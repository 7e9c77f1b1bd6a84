/* registry/toml.c - see toml.h.
 *
 *     document  (blank | comment | "[" key "]" | "[[" key "]]" | key "=" value)*, one a line
 *     key       word ("." word)*; a word is bare [A-Za-z0-9_-]+ or a string
 *     value     string | true | false | integer | "[" value, ... "]" | "{" key = value, ... "}"
 */
#include "registry/toml.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>

enum { NESTING_MAX = 16, KEY_MAX = 1024, STRING_MAX = 64 << 10 };

struct toml {
	struct slice rest;
	const char *name;
	unsigned line, depth;
	struct err **e;
};

static int bad(struct toml *t, const char *why)
{
	return err_set(t->e, ERR_HOST, "%s:%u: %s", t->name, t->line, why);
}

static char peek(const struct toml *t)
{
	return t->rest.n ? t->rest.p[0] : '\0';
}

static void step(struct toml *t)
{
	if (peek(t) == '\n')
		t->line++;
	t->rest = slice_skip(t->rest, 1);
}

/* Blanks; with lines also comments and line ends, as inside arrays. */
static void skip(struct toml *t, bool lines)
{
	for (;;) {
		char c = peek(t);

		if (t->rest.n == 0)
			return;
		if (c == '#' && lines) {
			while (t->rest.n && peek(t) != '\n')
				step(t);
		} else if (c == ' ' || c == '\t' || (lines && (c == '\n' || c == '\r'))) {
			step(t);
		} else {
			return;
		}
	}
}

static bool bare(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static int hex_escape(struct toml *t, unsigned digits, struct buf *out)
{
	uint32_t v = 0;
	char utf[4];

	for (unsigned i = 0; i < digits; i++) {
		const char *at = peek(t) ? strchr("0123456789abcdef0123456789ABCDEF", peek(t)) : NULL;

		if (!at)
			return bad(t, "a \\u is followed by hexadecimal digits");
		v = v << 4 | (uint32_t)((at - "0123456789abcdef0123456789ABCDEF") & 15);
		step(t);
	}
	if (v == 0 || v > 0x10FFFF || (v >= 0xD800 && v < 0xE000))
		return bad(t, "a \\u names no character");
	buf_add(out, utf, utf8_encode(v, utf));
	return 0;
}

static int escape(struct toml *t, struct buf *out)
{
	static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
	char c = peek(t);
	const char *at = c ? strchr(from, c) : NULL;

	step(t);
	if (c == 'u' || c == 'U')
		return hex_escape(t, c == 'u' ? 4 : 8, out);
	if (!at)
		return bad(t, "unknown escape in a string");
	buf_char(out, to[at - from]);
	return 0;
}

static int string(struct toml *t, struct buf *out)
{
	char quote = peek(t);

	if (t->rest.n >= 3 && t->rest.p[1] == quote && t->rest.p[2] == quote)
		return bad(t, "multi-line strings are not understood here");
	step(t);
	while (t->rest.n && peek(t) != quote) {
		char c = peek(t);

		if ((unsigned char)c < ' ' && c != '\t')
			return bad(t, "the string does not end on its line");
		step(t);
		if (c == '\\' && quote == '"') {
			if (escape(t, out) < 0)
				return -1;
		} else {
			buf_char(out, c);
		}
	}
	if (t->rest.n == 0)
		return bad(t, "the string does not end");
	step(t);
	return out->over ? bad(t, "the string is too long") : 0;
}

static int word(struct toml *t, struct buf *out)
{
	buf_reset(out);
	if (peek(t) == '"' || peek(t) == '\'')
		return string(t, out);
	while (bare(peek(t))) {
		buf_char(out, peek(t));
		step(t);
	}
	return out->n ? 0 : bad(t, "a key is expected");
}

/* Walk "a.b.c" down from *at, making tables; leaves the last word in `last`. A step into an array goes to its newest table. */
static int key(struct toml *t, struct jval **at, struct buf *last)
{
	for (;;) {
		skip(t, false);
		if (word(t, last) < 0)
			return -1;
		skip(t, false);
		if (peek(t) != '.')
			return 0;
		step(t);
		struct jval *next = jval_get(*at, last->p);

		if (!next) {
			jval_set(*at, last->p, jval_obj());
			next = jval_get(*at, last->p);
		}
		if (jval_type(next) == JT_ARR && jval_len(next))
			next = jval_at(next, jval_len(next) - 1);
		if (jval_type(next) != JT_OBJ)
			return bad(t, "a part of the key is not a table");
		*at = next;
	}
}

static int pair(struct toml *t, struct jval *into);

static int array(struct toml *t, struct jval *arr);

/* One value, put into obj under name, or appended to arr. */
static int value(struct toml *t, struct jval *obj, const char *name, struct jval *arr)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(STRING_MAX);
	AUTO(jval_freep) struct jval *v = NULL;
	AUTO(jval_freep) struct jval *holder = jval_obj();
	char c = peek(t);
	int rc = 0;

	if (++t->depth > NESTING_MAX)
		return bad(t, "values are nested too deep");
	if (c == '"' || c == '\'') {
		rc = string(t, &text);
		jval_set_slice(holder, "v", text.p ? buf_view(&text) : SLICE_LIT(""));
	} else if (c == '[') {
		v = jval_arr();
		rc = array(t, v);
	} else if (c == '{') {
		v = jval_obj();
		step(t);
		for (skip(t, false); rc == 0 && peek(t) != '}'; skip(t, false)) {
			rc = pair(t, v);
			skip(t, false);
			if (rc == 0 && peek(t) == ',')
				step(t);
			else if (rc == 0 && peek(t) != '}')
				rc = bad(t, "a ',' or '}' is expected");
		}
		step(t);
	} else {
		uint64_t n = 0;

		while (bare(peek(t)) || peek(t) == '+' || peek(t) == '.') {
			buf_char(&text, peek(t));
			step(t);
		}
		struct slice s = buf_view(&text);
		if (slice_is(s, "true") || slice_is(s, "false"))
			jval_set_bool(holder, "v", slice_is(s, "true"));
		else if (slice_u64(s, &n) && n <= INT64_MAX)
			jval_set_int(holder, "v", (int64_t)n);
		else
			rc = bad(t, "a value is expected: a string, true, false, a number, [...] or {...}");
	}
	t->depth--;
	if (rc < 0)
		return -1;
	if (!v)
		v = jval_copy(jval_get(holder, "v"));
	if (arr)
		jval_add(arr, take(&v));
	else
		jval_set(obj, name, take(&v));
	return 0;
}

static int array(struct toml *t, struct jval *arr)
{
	step(t);
	for (skip(t, true); peek(t) != ']'; skip(t, true)) {
		if (t->rest.n == 0)
			return bad(t, "the array does not end");
		if (value(t, NULL, NULL, arr) < 0)
			return -1;
		skip(t, true);
		if (peek(t) == ',')
			step(t);
		else if (peek(t) != ']')
			return bad(t, "a ',' or ']' is expected");
	}
	step(t);
	return 0;
}

static int pair(struct toml *t, struct jval *into)
{
	AUTO(buf_freep) struct buf name = BUF_MAX(KEY_MAX);

	if (key(t, &into, &name) < 0)
		return -1;
	if (peek(t) != '=')
		return bad(t, "a '=' is expected");
	step(t);
	skip(t, false);
	if (jval_get(into, name.p))
		return bad(t, "the key is there already");
	return value(t, into, name.p, NULL);
}

/* "[a.b]" or "[[a.b]]": *current becomes that table. */
static int header(struct toml *t, struct jval *root, struct jval **current)
{
	AUTO(buf_freep) struct buf name = BUF_MAX(KEY_MAX);
	struct jval *at = root;
	bool many = false;

	step(t);
	if (peek(t) == '[') {
		many = true;
		step(t);
	}
	if (key(t, &at, &name) < 0)
		return -1;
	for (int i = 0; i < (many ? 2 : 1); i++) {
		if (peek(t) != ']')
			return bad(t, "a ']' is expected");
		step(t);
	}
	struct jval *have = jval_get(at, name.p);
	if (!have) {
		jval_set(at, name.p, many ? jval_arr() : jval_obj());
		have = jval_get(at, name.p);
	}
	if (jval_type(have) != (many ? JT_ARR : JT_OBJ))
		return bad(t, many ? "the key is there already, and is not a [[list]]" : "the key is there already, and is not a [table]");
	if (many) {
		jval_add(have, jval_obj());
		have = jval_at(have, jval_len(have) - 1);
	}
	*current = have;
	return 0;
}

int toml_parse(struct slice text, const char *name, struct jval **ret, struct err **e)
{
	AUTO(jval_freep) struct jval *root = jval_obj();
	struct toml t = { .rest = text, .name = name, .line = 1, .e = e };
	struct jval *current = root;

	for (skip(&t, true); t.rest.n; skip(&t, true)) {
		if ((peek(&t) == '[' ? header(&t, root, &current) : pair(&t, current)) < 0)
			return -1;
		skip(&t, false);
		if (t.rest.n && peek(&t) != '\n' && peek(&t) != '\r' && peek(&t) != '#')
			return bad(&t, "the line goes on where it should end");
	}
	*ret = take(&root);
	return 0;
}
