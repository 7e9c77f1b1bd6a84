/* parser/expand.c - variables, quotes and escapes of a word, in one pass (spec/dockerfile.md 3).
 *
 *     word      = { '...' | "..." | escape c | $name | ${name} | ${name op word} | other }
 *     op        = [:]- [:]+ [:]?  #  %  /pattern/  //pattern/
 */
#include "parser/expand.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "parser/subst.h"
#include "parser/words.h"

enum { EXPAND_DEPTH = 64, EXPAND_MAX = 1 << 20, EXPAND_TOTAL_MAX = 64 << 20, SHOWN_MAX = 200 };

struct run {
	const struct expand *x;
	struct slice word;
	size_t at;
	unsigned depth;
	size_t work;
	char escape;
	struct err **e;
};

/* Where the result goes. split: unquoted blanks end a word (3.6). */
struct sink {
	struct buf *out;
	bool split;
	size_t *n;
	size_t start;                    /* of the word being made */
};

static int peek(const struct run *r)
{
	return r->at < r->word.n ? (unsigned char)r->word.p[r->at] : -1;
}

/* One character onto the sink, as it is; bytes that are no UTF-8 become U+FFFD. */
static void take_char(struct run *r, struct sink *s)
{
	char bytes[4];
	size_t width = 0;
	uint32_t c = utf8_decode(slice_skip(r->word, r->at), &width);

	buf_add(s->out, bytes, utf8_encode(c, bytes));
	r->at += width;
}

/* And what follows it, as far as that is plain ASCII and means nothing. */
static void take_plain(struct run *r, struct sink *s, int stop)
{
	const char *p = r->word.p + r->at;
	size_t n = 0, left = r->word.n - r->at;

	while (n < left && (unsigned char)p[n] < 0x80 && (n == 0 || (!strchr("$'\"", p[n]) && p[n] != r->escape && p[n] != stop)))
		n++;
	if (n == 0 || s->split) {
		take_char(r, s);
		return;
	}
	buf_add(s->out, p, n);
	r->at += n;
}

static void end_word(struct sink *s)
{
	if (s->out->n > s->start) {
		buf_char(s->out, '\0');
		s->start = s->out->n;
		(*s->n)++;
	}
}

/* A substituted value: where words are made, its blanks separate. */
static void add_value(struct sink *s, struct slice text)
{
	size_t width = 0;

	if (!s->split) {
		buf_slice(s->out, text);
		return;
	}
	for (; text.n; text = slice_skip(text, width)) {
		width = blank_at(text);
		if (width) {
			end_word(s);
			continue;
		}
		utf8_decode(text, &width);
		buf_add(s->out, text.p, width);
	}
}

static int until(struct run *r, int stop, bool keep_escapes, struct sink *s);

/* The text up to `stop`, expanded, into a buffer of its own. */
static int inner(struct run *r, int stop, bool keep_escapes, struct buf *out)
{
	struct sink s = { .out = out };

	buf_str(out, "");
	if (r->depth >= EXPAND_DEPTH)
		return err_set(r->e, ERR_LIMIT, "substitutions are nested more than %d deep", EXPAND_DEPTH);
	r->depth++;

	int rc = until(r, stop, keep_escapes, &s);

	r->depth--;
	return rc == 0 ? buf_ok(out, "expansion", r->e) : rc;
}

static const char *look_up(struct run *r, struct slice name)
{
	const char *value = r->x->get(r->x->arg, name);

	if (r->x->seen)
		r->x->seen(r->x->arg, name, value != NULL);
	return value;
}

/* ---- quotes ---- */

static int unmatched(struct run *r, const char *which)
{
	err_set(r->e, ERR_INPUT, "unexpected end of statement while looking for matching %s", which);
	return err_hint(r->e, "close the quote, or escape it with %c", r->escape);
}

static int single_quoted(struct run *r, struct sink *s)
{
	if (r->x->keep_unset)
		buf_char(s->out, '\'');
	for (r->at++; peek(r) >= 0;) {
		if (peek(r) == '\'') {
			if (r->x->keep_unset)
				buf_char(s->out, '\'');
			r->at++;
			return 0;
		}
		take_char(r, s);
	}
	return unmatched(r, "single-quote");
}

static int dollar(struct run *r, struct sink *s);

static int double_quoted(struct run *r, bool keep_escapes, struct sink *s)
{
	struct sink whole = { .out = s->out };          /* blanks in quotes do not separate words */

	if (r->x->keep_unset)
		buf_char(s->out, '"');
	for (r->at++; peek(r) >= 0;) {
		int c = peek(r);

		if (c == '"') {
			if (r->x->keep_unset)
				buf_char(s->out, '"');
			r->at++;
			return 0;
		}
		if (c == '$') {
			if (dollar(r, &whole) < 0)
				return -1;
			continue;
		}
		/* In a pattern the escape stays, and one that protects nothing is doubled: it stands for itself (3.5). */
		if (c == r->escape) {
			int next = r->at + 1 < r->word.n ? (unsigned char)r->word.p[r->at + 1] : -1;

			if (keep_escapes)
				buf_char(s->out, (char)c);
			if (next == '"' || next == '$' || next == r->escape)
				r->at++;
		}
		take_plain(r, s, '"');
	}
	return unmatched(r, "double-quote");
}

/* ---- substitutions ---- */

/* What stands for the modifier when the text ends before it. */
static const char cut_off[] = "\xEF\xBF\xBD";
static const char close_it[] = "close the substitution with '}'";

static int bad_modifier(struct run *r, struct slice op)
{
	err_set(r->e, ERR_INPUT, "unsupported modifier (%.*s) in substitution", SLICE_F(op));
	if (op.p == cut_off)
		return err_hint(r->e, "%s", close_it);
	return err_hint(r->e, "known are - + ? with or without ':', # ## %% %%%%, /pattern/text and //pattern/text");
}

static int missing(struct run *r, const char *what)
{
	err_set(r->e, ERR_INPUT, "syntax error: missing %s", what);
	return err_hint(r->e, "%s", *what == '\'' && what[1] == '/' ? "write ${name/pattern/text}" : close_it);
}

/* The rest of ${name op...}: a failure at the very end of the text is a missing end, whatever it looked like. */
static int operand(struct run *r, int stop, bool keep_escapes, const char *what, struct buf *out)
{
	AUTO(err_freep) struct err *e = NULL;
	struct err **outer = r->e;

	r->e = &e;

	int rc = inner(r, stop, keep_escapes, out);

	r->e = outer;
	if (rc == 0)
		return 0;
	if (peek(r) < 0 && err_kind(e) != ERR_LIMIT)
		return missing(r, what);
	if (outer)
		*outer = take(&e);
	return -1;
}

struct form {
	struct slice name;
	struct slice op;                 /* as written: "-", ":-", "#", ... */
	const char *value;               /* NULL: not set */
	struct slice word;
};

static int required(struct run *r, const struct form *f, bool empty_counts)
{
	if (f->word.n)
		return err_set(r->e, ERR_INPUT, "%.*s: %.*s", SLICE_F(f->name), SLICE_F(f->word));
	return err_set(r->e, ERR_INPUT, "%.*s: is not allowed to be %s", SLICE_F(f->name),
		       empty_counts && f->value ? "empty" : "unset");
}

static int trim(struct run *r, const struct form *f, char op, struct sink *s)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(EXPAND_MAX);
	bool longest = f->word.n && f->word.p[0] == op;

	if (subst_trim(slice_skip(f->word, longest), slice_of(f->value ? f->value : ""), op == '%', longest, &r->work,
		       &out, r->e) < 0)
		return -1;
	add_value(s, buf_view(&out));
	return 0;
}

static int apply(struct run *r, const struct form *f, struct sink *s)
{
	bool colon = f->op.n > 1;
	char op = f->op.n ? f->op.p[colon] : '\0';
	bool have = f->value && (!colon || *f->value);

	switch (op) {
	case '-':
		add_value(s, have ? slice_of(f->value) : f->word);
		return 0;
	case '+':
		add_value(s, have ? f->word : SLICE_NONE);
		return 0;
	case '?':
		if (!have)
			return required(r, f, colon);
		add_value(s, slice_of(f->value));
		return 0;
	case '#':
	case '%':
		return trim(r, f, op, s);
	default:
		return bad_modifier(r, f->op);
	}
}

/* ${name-w} and its like; the operator starts at r->at. */
static int with_operator(struct run *r, struct slice name, struct sink *s)
{
	AUTO(buf_freep) struct buf word = BUF_MAX(EXPAND_MAX);
	struct form f = { .name = name, .op = { r->word.p + r->at, 1 } };
	bool pattern = peek(r) == '#' || peek(r) == '%';

	if (peek(r) == ':') {
		size_t width = 0;

		r->at++;
		if (peek(r) >= 0) {
			utf8_decode(slice_skip(r->word, r->at), &width);
			f.op.n += width;
		}
		if (peek(r) == '#' || peek(r) == '%')
			return bad_modifier(r, f.op);
		r->at += width;
	} else {
		r->at++;
	}
	if (operand(r, '}', pattern, "'}'", &word) < 0)
		return -1;
	f.word = buf_view(&word);
	f.value = look_up(r, name);
	if (r->x->keep_unset && !f.value) {
		buf_printf(s->out, "${%.*s%.*s%.*s}", SLICE_F(name), SLICE_F(f.op), SLICE_F(f.word));
		return 0;
	}
	return apply(r, &f, s);
}

/* ${name/pattern/text}; r->at is behind the first slash. */
static int with_replacement(struct run *r, struct slice name, struct sink *s)
{
	AUTO(buf_freep) struct buf pattern = BUF_MAX(EXPAND_MAX), by = BUF_MAX(EXPAND_MAX), out = BUF_MAX(EXPAND_MAX);
	bool all = peek(r) == '/';

	r->at += all;
	if (operand(r, '/', true, "'/' in ${}", &pattern) < 0 || operand(r, '}', true, "'}'", &by) < 0)
		return -1;

	const char *value = look_up(r, name);

	if (r->x->keep_unset && !value) {
		buf_printf(s->out, "${%.*s/%s%s/%s}", SLICE_F(name), all ? "/" : "", pattern.p, by.p);
		return 0;
	}
	if (subst_replace(buf_view(&pattern), slice_of(value ? value : ""), buf_view(&by), all, &r->work, &out,
			  r->e) < 0 ||
	    buf_ok(&out, "expansion", r->e) < 0)
		return -1;
	add_value(s, buf_view(&out));
	return 0;
}

static void plain(struct run *r, struct slice name, struct slice source, struct sink *s)
{
	const char *value = look_up(r, name);

	if (value)
		add_value(s, slice_of(value));
	else if (r->x->keep_unset)
		buf_slice(s->out, source);
}

static struct slice take_name(struct run *r)
{
	struct slice name = slice_skip(r->word, r->at);

	name.n = name_length(name);
	r->at += name.n;
	return name;
}

static int braced(struct run *r, size_t start, struct sink *s)
{
	if (peek(r) < 0)
		return missing(r, "'}'");
	if (peek(r) == '{' || peek(r) == '}' || peek(r) == ':') {
		err_set(r->e, ERR_INPUT, "syntax error: bad substitution");
		return err_hint(r->e, "write the name of a variable behind '${'");
	}

	struct slice name = take_name(r), op = slice_skip(r->word, r->at);
	size_t width = 0;

	switch (peek(r)) {
	case '}':
		r->at++;
		plain(r, name, (struct slice){ r->word.p + start, r->at - start }, s);
		return 0;
	case ':':
	case '-':
	case '+':
	case '?':
	case '#':
	case '%':
		return with_operator(r, name, s);
	case '/':
		r->at++;
		return with_replacement(r, name, s);
	case -1:
		return bad_modifier(r, (struct slice){ cut_off, sizeof(cut_off) - 1 });
	default:
		utf8_decode(op, &width);
		op.n = width;
		return bad_modifier(r, op);
	}
}

static int dollar(struct run *r, struct sink *s)
{
	size_t start = r->at++;

	if (peek(r) == '{') {
		r->at++;
		return braced(r, start, s);
	}

	struct slice name = take_name(r);

	if (name.n == 0)
		buf_char(s->out, '$');
	else
		plain(r, name, (struct slice){ r->word.p + start, r->at - start }, s);
	return 0;
}

/* ---- the loop ---- */

/* An escape makes the next character itself; as the last one it is nothing. */
static void escaped(struct run *r, bool keep_escapes, struct sink *s)
{
	if (keep_escapes)
		buf_char(s->out, (char)peek(r));
	r->at++;
	if (peek(r) >= 0)
		take_char(r, s);
}

static int until(struct run *r, int stop, bool keep_escapes, struct sink *s)
{
	bool quotes = !r->x->raw;

	while (peek(r) >= 0 && peek(r) != stop) {
		int c = peek(r), rc = 0;
		size_t blank = s->split ? blank_at(slice_skip(r->word, r->at)) : 0;

		if (c == '$') {
			rc = dollar(r, s);
		} else if (quotes && c == '\'') {
			rc = single_quoted(r, s);
		} else if (quotes && c == '"') {
			rc = double_quoted(r, keep_escapes, s);
		} else if (c == r->escape) {
			escaped(r, keep_escapes, s);
		} else if (blank) {
			end_word(s);
			r->at += blank;
		} else {
			take_plain(r, s, stop);
		}
		if (rc < 0 || buf_ok(s->out, "expansion", r->e) < 0)
			return -1;
	}
	if (stop < 0)
		return 0;
	if (peek(r) < 0)
		return err_set(r->e, ERR_INPUT, "unexpected end of statement while looking for matching %c", stop);
	r->at++;
	return 0;
}

/* The bounds of what came out: of one word (a here-document's body has those of the file), of all words of a file. */
static int check_size(const struct expand *x, size_t n, struct err **e)
{
	if (!x->raw && n > EXPAND_MAX)
		return err_set(e, ERR_LIMIT, "expansion is larger than %d bytes", EXPAND_MAX);
	if (x->total && (n > EXPAND_TOTAL_MAX || *x->total > EXPAND_TOTAL_MAX - n))
		return err_set(e, ERR_LIMIT, "expansions of this file are larger than %d bytes in all", EXPAND_TOTAL_MAX);
	if (x->total)
		*x->total += n;
	return 0;
}

static int expand(const struct expand *x, struct slice word, struct sink *s, struct err **e)
{
	struct run r = { .x = x, .word = word, .escape = x->raw ? '\\' : x->escape, .e = e };
	struct slice shown = word;
	size_t before = s->out->n;

	buf_str(s->out, "");
	if (slice_starts(word, "\xEF\xBB\xBF"))
		r.at = 3;
	if (until(&r, -1, false, s) == 0 && check_size(x, s->out->n - before, e) == 0)
		return 0;
	if (shown.n > SHOWN_MAX)
		shown.n = SHOWN_MAX;
	return err_wrap(e, "failed to process \"%.*s%s\"", SLICE_F(shown), shown.n < word.n ? "..." : "");
}

int expand_word(const struct expand *x, struct slice word, struct buf *out, struct err **e)
{
	struct sink s = { .out = out };

	return expand(x, word, &s, e);
}

int expand_words(const struct expand *x, struct slice word, struct buf *out, size_t *n, struct err **e)
{
	struct sink s = { .out = out, .split = true, .n = n, .start = out->n };

	*n = 0;
	if (expand(x, word, &s, e) < 0)
		return -1;
	end_word(&s);
	return buf_ok(out, "expansion", e);
}
