/* base/yaml.c - see yaml.h. Lines to JSON text by recursive descent: what is a mistake of values, such as a key twice, base/jdoc.c finds. */
#include "base/yaml.h"

#include <stdlib.h>

#include "base/mem.h"

enum { DEPTH_MAX = 64, JSON_MAX = 64 << 20 };

struct line {
	struct slice text;               /* without indentation and comment */
	size_t indent;
	unsigned number;
};
struct yaml {
	struct line *line;
	size_t n, cap, at;
	const char *what;
	unsigned depth;
	struct buf out;                  /* JSON */
};

static int bad(const struct yaml *y, const char *why, struct err **e)
{
	unsigned number = y->n == 0 ? 1 : y->line[y->at < y->n ? y->at : y->n - 1].number;

	return err_set(e, ERR_INPUT, "%s: line %u: %s", y->what, number, why);
}

/* ---- lines */

/* The length of a quoted scalar with its quotes, 0: it has no end. */
static size_t quoted_len(struct slice s)
{
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[0] == '"' && s.p[i] == '\\')
			i++;
		else if (s.p[i] == s.p[0] && s.p[0] == '\'' && i + 1 < s.n && s.p[i + 1] == '\'')
			i++;
		else if (s.p[i] == s.p[0])
			return i + 1;
	}
	return 0;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Without a comment: '#' after a blank, outside of quotes. A quote is one at the start of a scalar only. */
static struct slice uncommented(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		bool starts = i == 0 || blank(s.p[i - 1]) || strchr("[{,", s.p[i - 1]);
		size_t quoted = starts && (s.p[i] == '"' || s.p[i] == '\'') ? quoted_len(slice_skip(s, i)) : 0;

		if (quoted)
			i += quoted - 1;
		else if (s.p[i] == '#' && (i == 0 || blank(s.p[i - 1])))
			return (struct slice){ s.p, i };
	}
	return s;
}

static int lines_read(struct yaml *y, struct slice text, struct err **e)
{
	struct slice raw = SLICE_NONE;

	for (unsigned number = 1; text.n; number++) {
		struct line l = { .number = number };

		if (!slice_cut(text, '\n', &raw, &text))
			text = SLICE_NONE;
		while (l.indent < raw.n && raw.p[l.indent] == ' ')
			l.indent++;
		l.text = slice_trim(uncommented(slice_skip(raw, l.indent)), " \t\r");
		if (!l.text.n || (y->n == 0 && slice_is(l.text, "---")))
			continue;
		MEM_ROOM(y->line, y->n, y->cap);
		y->line[y->n++] = l;
		y->at = y->n - 1;
		if (raw.n > l.indent && raw.p[l.indent] == '\t')
			return bad(y, "a tab cannot indent", e);
		if (l.indent == 0 && (slice_starts(l.text, "---") || slice_is(l.text, "...") || slice_starts(l.text, "%")))
			return bad(y, "there is more than one document, or a directive", e);
	}
	y->at = 0;
	return 0;
}

/* ---- scalars */

static int escape(struct yaml *y, struct slice *s, struct buf *text, struct err **e)
{
	static const char from[] = "\"\\/nrt0abefv", to[] = "\"\\/\n\r\t\0\a\b\033\f\v";
	const char *known = s->n > 1 && s->p[1] ? strchr(from, s->p[1]) : NULL;

	if (!known)
		return bad(y, "an escape that is not read here", e);
	buf_char(text, to[known - from]);
	*s = slice_skip(*s, 2);
	return 0;
}

static int quoted(struct yaml *y, struct slice s, struct err **e)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(JSON_MAX);
	char quote = s.p[0];

	s = (struct slice){ s.p + 1, s.n - 2 };
	while (s.n) {
		if (quote == '"' && s.p[0] == '\\') {
			if (escape(y, &s, &text, e) < 0)
				return -1;
			continue;
		}
		buf_char(&text, s.p[0]);
		s = slice_skip(s, quote == '\'' && s.p[0] == '\'' ? 2 : 1);
	}
	buf_json(&y->out, buf_view(&text));
	return 0;
}

/* -12 and 0, but not 012: that is text here, and octal elsewhere. */
static bool whole_number(struct slice s)
{
	struct slice digits = slice_skip(s, s.n && s.p[0] == '-');
	uint64_t value;

	return digits.n && digits.n < 19 && (digits.n == 1 || digits.p[0] != '0') && slice_u64(digits, &value);
}

static int scalar(struct yaml *y, struct slice s, struct err **e)
{
	static const char *const null[] = { "", "~", "null", "Null", "NULL" }, *const yes[] = { "true", "True", "TRUE" },
				 *const no[] = { "false", "False", "FALSE" };

	if (s.n && (s.p[0] == '"' || s.p[0] == '\''))
		return quoted_len(s) == s.n ? quoted(y, s, e) : bad(y, "a quoted text does not end with its line", e);
	if (s.n && strchr("&*!|>@`%", s.p[0]))
		return bad(y, "anchors, tags and block texts are not read here", e);
	for (size_t i = 0; i < countof(null); i++)
		if (slice_is(s, null[i])) {
			buf_str(&y->out, "null");
			return 0;
		}
	for (size_t i = 0; i < countof(yes); i++)
		if (slice_is(s, yes[i]) || slice_is(s, no[i])) {
			buf_str(&y->out, slice_is(s, yes[i]) ? "true" : "false");
			return 0;
		}
	if (whole_number(s))
		buf_slice(&y->out, s);
	else
		buf_json(&y->out, s);
	return 0;
}

/* ---- [a, b] and {k: v} on one line */

static int flow(struct yaml *y, struct slice *s, struct err **e);

static struct slice skip_blanks(struct slice s)
{
	while (s.n && blank(s.p[0]))
		s = slice_skip(s, 1);
	return s;
}

static int flow_scalar(struct yaml *y, struct slice *s, bool key, struct err **e)
{
	bool quote = s->n && (s->p[0] == '"' || s->p[0] == '\'');
	size_t n = quote ? quoted_len(*s) : 0;

	if (quote && !n)
		return bad(y, "a quoted text does not end with its line", e);
	while (!quote && n < s->n && !strchr(",[]{}", s->p[n]) && !(s->p[n] == ':' && (n + 1 == s->n || blank(s->p[n + 1]))))
		n++;
	struct slice text = slice_trim((struct slice){ s->p, n }, " \t");
	*s = skip_blanks(slice_skip(*s, n));
	if (!key || quote)
		return scalar(y, text, e);
	buf_json(&y->out, text);
	return 0;
}

static int flow_list(struct yaml *y, struct slice *s, struct err **e)
{
	bool map = s->p[0] == '{';
	char end = map ? '}' : ']';

	buf_char(&y->out, s->p[0]);
	*s = skip_blanks(slice_skip(*s, 1));
	for (bool first = true; !s->n || s->p[0] != end; first = false) {
		if (!first && (!s->n || s->p[0] != ','))
			return bad(y, "a list in brackets does not end with its line", e);
		if (!first) {
			*s = skip_blanks(slice_skip(*s, 1));
			if (s->n && s->p[0] == end)
				break;
			buf_char(&y->out, ',');
		}
		if (map && flow_scalar(y, s, true, e) < 0)
			return -1;
		if (map && (!s->n || s->p[0] != ':'))
			return bad(y, "a key in braces has no value", e);
		if (map) {
			buf_char(&y->out, ':');
			*s = skip_blanks(slice_skip(*s, 1));
		}
		if (flow(y, s, e) < 0)
			return -1;
	}
	buf_char(&y->out, end);
	*s = skip_blanks(slice_skip(*s, 1));
	return 0;
}

static int flow(struct yaml *y, struct slice *s, struct err **e)
{
	if (!s->n || (s->p[0] != '[' && s->p[0] != '{'))
		return flow_scalar(y, s, false, e);
	if (++y->depth > DEPTH_MAX)
		return bad(y, "nested too deeply", e);
	int rc = flow_list(y, s, e);
	y->depth--;
	return rc;
}

/* ---- blocks */

static int node(struct yaml *y, size_t indent, struct err **e);

/* Where the key of "key: value" ends, 0: it is none. */
static size_t key_len(struct slice s)
{
	size_t i = s.n && (s.p[0] == '"' || s.p[0] == '\'') ? quoted_len(s) : 0;

	for (; i < s.n; i++)
		if (s.p[i] == ':' && (i + 1 == s.n || blank(s.p[i + 1])))
			return i;
	return 0;
}

static bool is_item(struct slice s)
{
	return s.n && s.p[0] == '-' && (s.n == 1 || blank(s.p[1]));
}

/* A value that is on its key's line, or one of no text. */
static int inline_value(struct yaml *y, struct slice s, struct err **e)
{
	if (!s.n || (s.p[0] != '[' && s.p[0] != '{'))
		return scalar(y, s, e);
	if (flow(y, &s, e) < 0)
		return -1;
	return s.n ? bad(y, "something follows a list in brackets", e) : 0;
}

static int sequence(struct yaml *y, size_t indent, struct err **e)
{
	buf_char(&y->out, '[');
	for (bool first = true; y->at < y->n && y->line[y->at].indent == indent && is_item(y->line[y->at].text); first = false) {
		struct line *l = &y->line[y->at];
		struct slice rest = skip_blanks(slice_skip(l->text, 1));

		buf_str(&y->out, first ? "" : ",");
		if (rest.n) {
			/* What follows the dash is a block of its own, indented as far as it stands. */
			l->indent += l->text.n - rest.n;
			l->text = rest;
		} else {
			y->at++;
		}
		if (node(y, indent + 1, e) < 0)
			return -1;
	}
	buf_char(&y->out, ']');
	return 0;
}

static int mapping(struct yaml *y, size_t indent, struct err **e)
{
	buf_char(&y->out, '{');
	for (bool first = true; y->at < y->n && y->line[y->at].indent == indent && !is_item(y->line[y->at].text); first = false) {
		struct slice s = y->line[y->at].text, key = { s.p, key_len(s) }, rest = skip_blanks(slice_skip(s, key.n + 1));

		if (!key.n)
			return bad(y, "not of the form 'key: value'", e);
		buf_str(&y->out, first ? "" : ",");
		key = slice_trim(key, " \t");
		if (key.p[0] == '"' || key.p[0] == '\'' ? scalar(y, key, e) < 0 : (buf_json(&y->out, key), false))
			return -1;
		buf_char(&y->out, ':');
		if (rest.n && inline_value(y, rest, e) < 0)
			return -1;
		y->at++;
		/* A sequence may stand right below its key. */
		bool item = y->at < y->n && y->line[y->at].indent == indent && is_item(y->line[y->at].text);
		if (!rest.n && node(y, item ? indent : indent + 1, e) < 0)
			return -1;
	}
	buf_char(&y->out, '}');
	return 0;
}

/* What is indented at least so far; null when nothing is. */
static int node(struct yaml *y, size_t indent, struct err **e)
{
	if (y->at == y->n || y->line[y->at].indent < indent) {
		buf_str(&y->out, "null");
		return 0;
	}
	if (++y->depth > DEPTH_MAX)
		return bad(y, "nested too deeply", e);
	struct line l = y->line[y->at];
	bool block = is_item(l.text) || (l.text.p[0] != '[' && l.text.p[0] != '{' && key_len(l.text));
	if (block && (is_item(l.text) ? sequence(y, l.indent, e) : mapping(y, l.indent, e)) < 0)
		return -1;
	if (!block && inline_value(y, l.text, e) < 0)
		return -1;
	y->at += !block;
	y->depth--;
	return 0;
}

int yaml_parse(struct slice text, const char *what, struct jval **ret, struct err **e)
{
	struct yaml y = { .what = what, .out = BUF_MAX(JSON_MAX) };
	int rc = lines_read(&y, text, e);

	if (rc == 0)
		rc = node(&y, 0, e);
	if (rc == 0 && y.at < y.n)
		rc = bad(&y, "it does not belong to what is above it", e);
	if (rc == 0)
		rc = buf_ok(&y.out, what, e);
	if (rc == 0)
		rc = jdoc_parse(buf_view(&y.out), what, ret, e);
	free(y.line);
	buf_free(&y.out);
	return rc;
}
