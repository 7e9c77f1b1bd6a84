/* parser/jsonform.c - is the text one JSON array of strings? (spec/dockerfile.md 2.7)
 *
 * All or nothing: a text that is not valid JSON to its last byte is no error but the other form, so the grammar is
 * checked to the end before anything is decoded. The nesting is a stack of bits, not of C frames (threats.md D1).
 */
#include "parser/words.h"

#include "base/arena.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>

enum { JSON_DEPTH = 10000 };
enum want { WANT_VALUE, WANT_VALUE_OR_END, WANT_KEY, WANT_KEY_OR_END, WANT_COLON, WANT_MORE };

struct scan {
	struct slice text;
	size_t at;
	unsigned depth;
	unsigned char object[JSON_DEPTH / 8 + 1];
	struct json_element *element;
	size_t n, cap;
	struct slice other;              /* the first element that is not a string */
};

static int peek(const struct scan *s)
{
	return s->at < s->text.n ? (unsigned char)s->text.p[s->at] : -1;
}

static bool in_object(const struct scan *s)
{
	return s->object[s->depth / 8] >> (s->depth % 8) & 1;
}

static bool push(struct scan *s, bool object)
{
	if (s->depth + 1 > JSON_DEPTH)
		return false;
	s->depth++;
	s->object[s->depth / 8] &= (unsigned char)~(1u << (s->depth % 8));
	s->object[s->depth / 8] |= (unsigned char)(object << (s->depth % 8));
	s->at++;
	return true;
}

static bool is_hex(int c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool scan_string(struct scan *s)
{
	for (s->at++; peek(s) >= 0x20; s->at++) {
		int c = peek(s);

		if (c == '"') {
			s->at++;
			return true;
		}
		if (c != '\\')
			continue;
		s->at++;
		c = peek(s);
		if (c == 'u') {
			for (int i = 0; i < 4; i++) {
				s->at++;
				if (!is_hex(peek(s)))
					return false;
			}
		} else if (c <= 0 || !strchr("\"\\/bfnrt", c)) {
			return false;
		}
	}
	return false;
}

static bool scan_digits(struct scan *s)
{
	size_t from = s->at;

	while (peek(s) >= '0' && peek(s) <= '9')
		s->at++;
	return s->at > from;
}

static bool scan_number(struct scan *s)
{
	if (peek(s) == '-')
		s->at++;
	if (peek(s) == '0')
		s->at++;
	else if (!scan_digits(s))
		return false;
	if (peek(s) == '.') {
		s->at++;
		if (!scan_digits(s))
			return false;
	}
	if (peek(s) == 'e' || peek(s) == 'E') {
		s->at++;
		if (peek(s) == '+' || peek(s) == '-')
			s->at++;
		return scan_digits(s);
	}
	return true;
}

static bool scan_literal(struct scan *s, const char *word)
{
	if (!slice_starts(slice_skip(s->text, s->at), word))
		return false;
	s->at += strlen(word);
	return true;
}

static bool scan_scalar(struct scan *s)
{
	switch (peek(s)) {
	case '"':
		return scan_string(s);
	case 't':
		return scan_literal(s, "true");
	case 'f':
		return scan_literal(s, "false");
	case 'n':
		return scan_literal(s, "null");
	default:
		return scan_number(s);
	}
}

static bool scan_value(struct scan *s, enum want *want)
{
	size_t from = s->at;
	int c = peek(s);
	bool top = s->depth == 1;

	if (top && c != '"' && !s->other.p)
		s->other.p = s->text.p + from;
	if (c == '[' || c == '{') {
		*want = c == '[' ? WANT_VALUE_OR_END : WANT_KEY_OR_END;
		return push(s, c == '{');
	}
	if (!scan_scalar(s))
		return false;
	if (top && c == '"') {
		MEM_ROOM(s->element, s->n, s->cap);
		s->element[s->n++] = (struct json_element){ .raw = { s->text.p + from, s->at - from } };
	}
	*want = WANT_MORE;
	return true;
}

/* One token of the array whose '[' has been read. */
static bool scan_token(struct scan *s, enum want *want)
{
	int c = peek(s);

	if ((*want == WANT_MORE || *want == WANT_VALUE_OR_END || *want == WANT_KEY_OR_END) &&
	    c == (in_object(s) ? '}' : ']')) {
		s->depth--;
		s->at++;
		*want = WANT_MORE;
		return true;
	}
	switch (*want) {
	case WANT_VALUE:
	case WANT_VALUE_OR_END:
		return scan_value(s, want);
	case WANT_KEY:
	case WANT_KEY_OR_END:
		*want = WANT_COLON;
		return c == '"' && scan_string(s);
	case WANT_COLON:
		*want = WANT_VALUE;
		s->at++;
		return c == ':';
	case WANT_MORE:
		*want = in_object(s) ? WANT_KEY : WANT_VALUE;
		s->at++;
		return c == ',';
	}
	return false;
}

static void skip_blanks(struct scan *s)
{
	while (peek(s) == ' ' || peek(s) == '\t' || peek(s) == '\n' || peek(s) == '\r')
		s->at++;
}

static bool scan_array(struct scan *s)
{
	enum want want = WANT_VALUE_OR_END;

	if (peek(s) != '[')
		return false;
	push(s, false);
	while (s->depth > 0) {
		skip_blanks(s);
		if (peek(s) < 0 || !scan_token(s, &want))
			return false;
		if (s->other.p && !s->other.n && s->depth == 1)
			s->other.n = (size_t)(s->text.p + s->at - s->other.p);
	}
	skip_blanks(s);
	return s->at == s->text.n;
}

static uint32_t hex4(const char *p)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 4 | (uint32_t)(p[i] <= '9' ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
	return v;
}

/* \uXXXX at p, with its second half when it is a surrogate; a lone one becomes U+FFFD. */
static uint32_t unescape_u(const char *p, const char *end, size_t *used)
{
	uint32_t c = hex4(p + 2);

	*used = 6;
	if (c < 0xD800 || c > 0xDFFF)
		return c;
	if (c < 0xDC00 && end - p >= 12 && p[6] == '\\' && p[7] == 'u') {
		uint32_t low = hex4(p + 8);

		if (low >= 0xDC00 && low <= 0xDFFF) {
			*used = 12;
			return 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
		}
	}
	return UTF8_BAD;
}

static void decode(struct json_element *el, struct arena *a)
{
	const char *p = el->raw.p + 1, *end = el->raw.p + el->raw.n - 1;
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";

	/* A bad byte grows to three, everything else keeps its size or shrinks. */
	el->text = arena_alloc(a, 3 * el->raw.n + 1);
	for (size_t used; p < end; p += used) {
		uint32_t c;

		if (*p != '\\') {
			c = utf8_decode(slice_range(p, end), &used);
		} else if (p[1] == 'u') {
			c = unescape_u(p, end, &used);
		} else {
			const char *named = strchr(from, p[1]);

			c = named ? (unsigned char)to[named - from] : (unsigned char)p[1];
			used = 2;
		}
		el->n += utf8_encode(c, el->text + el->n);
	}
}

enum json_form json_form(struct slice text, struct arena *a, struct json_element **ret, size_t *n)
{
	struct scan s = { .text = text };
	enum json_form form = JSON_FORM_NO;

	*ret = NULL;
	*n = 0;
	if (scan_array(&s))
		form = s.other.p ? JSON_FORM_OTHER : JSON_FORM_STRINGS;
	if (form == JSON_FORM_STRINGS && s.n) {
		*ret = arena_dup(a, s.element, s.n * sizeof(*s.element));
		*n = s.n;
		for (size_t i = 0; i < s.n; i++)
			decode(&(*ret)[i], a);
	}
	if (form == JSON_FORM_OTHER) {
		*ret = arena_dup(a, &(struct json_element){ .raw = s.other }, sizeof(**ret));
		*n = 1;
	}
	free(s.element);
	return form;
}
