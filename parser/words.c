/* parser/words.c - blanks, words, flag words, words of ENV/LABEL/ARG. */
#include "parser/words.h"

#include "base/arena.h"
#include "base/utf8.h"

static bool is_space(uint32_t c)
{
	return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

size_t blank_at(struct slice text)
{
	size_t width = 0;

	if (text.n == 0)
		return 0;
	return is_space(utf8_decode(text, &width)) ? width : 0;
}

struct slice trim_blanks_left(struct slice text)
{
	for (size_t width; (width = blank_at(text)) > 0;)
		text = slice_skip(text, width);
	return text;
}

static bool blank_ends(struct slice text, size_t width)
{
	return text.n >= width && blank_at((struct slice){ text.p + text.n - width, width }) == width;
}

struct slice trim_blanks(struct slice text)
{
	text = trim_blanks_left(text);
	for (;;) {
		if (blank_ends(text, 1))
			text.n--;
		else if (blank_ends(text, 2))
			text.n -= 2;
		else if (blank_ends(text, 3))
			text.n -= 3;
		else
			return text;
	}
}

bool is_arg_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}

struct range {
	uint32_t from, to;
};
static const struct range letters[] = {
#include "parser/letters.def"
};
static const struct range printable[] = {
#include "parser/printable.def"
};

static bool in_ranges(const struct range *v, size_t n, uint32_t c)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (c < v[mid].from)
			high = mid;
		else if (c > v[mid].to)
			low = mid + 1;
		else
			return true;
	}
	return false;
}

bool is_name_char(uint32_t c)
{
	if (c < 0x80)
		return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
	return in_ranges(letters, countof(letters), c);
}

bool is_printable(uint32_t c)
{
	return c < 0x80 ? c >= ' ' && c < 0x7F : in_ranges(printable, countof(printable), c);
}

size_t name_length(struct slice text)
{
	size_t n = 0, width = 0;

	if (text.n == 0)
		return 0;
	if (text.p[0] && strchr("@*#?-$!", text.p[0]))
		return 1;
	if (text.p[0] >= '0' && text.p[0] <= '9') {
		while (n < text.n && text.p[n] >= '0' && text.p[n] <= '9')
			n++;
		return n;
	}
	while (n < text.n && is_name_char(utf8_decode(slice_skip(text, n), &width)))
		n += width;
	return n;
}

bool word_next(struct slice text, size_t *at, struct slice *ret)
{
	size_t from = *at;

	while (from < text.n && is_arg_blank(text.p[from]))
		from++;
	*at = from;
	while (*at < text.n && !is_arg_blank(text.p[*at]))
		(*at)++;
	*ret = (struct slice){ text.p + from, *at - from };
	return ret->n > 0;
}

/* Where the word that starts at `at` ends. An escape as the very last byte belongs to nothing (2.8). */
static size_t pair_end(struct slice text, char escape, size_t at, size_t *ret_end)
{
	char quote = 0;

	for (size_t width = 0; at < text.n; at += width) {
		char c = text.p[at];

		utf8_decode(slice_skip(text, at), &width);
		if (!quote && blank_at(slice_skip(text, at)))
			break;
		if (c == escape && quote != '\'') {
			if (at + 1 == text.n) {
				*ret_end = at;
				return text.n;
			}
			at++;
			utf8_decode(slice_skip(text, at), &width);
		} else if (quote ? c == quote : c == '\'' || c == '"') {
			quote = quote ? 0 : c;
		}
	}
	*ret_end = at;
	return at;
}

bool pair_next(struct slice text, char escape, size_t *at, struct slice *ret)
{
	for (size_t width; (width = blank_at(slice_skip(text, *at))) > 0;)
		*at += width;

	size_t from = *at, end = from;

	*at = pair_end(text, escape, from, &end);
	*ret = (struct slice){ text.p + from, end - from };
	return ret->n > 0;
}

/* Reads the flag word at the start of text: how many bytes it takes; its own text goes to out unless that is NULL. */
static size_t flag_word(struct slice text, char escape, char *out)
{
	size_t at = 0, n = 0;
	char quote = 0;

	while (at < text.n && (quote || !blank_at(slice_skip(text, at)))) {
		char c = text.p[at++];

		if (quote ? c == quote : c == '\'' || c == '"') {
			quote = quote ? 0 : c;
			continue;
		}
		if (c == escape) {
			if (at == text.n)
				break;
			c = text.p[at++];
		}
		if (out)
			out[n++] = c;
	}
	return at;
}

bool flag_next(struct slice text, char escape, size_t *at, struct slice *raw, struct arena *a, char **ret)
{
	for (size_t width; (width = blank_at(slice_skip(text, *at))) > 0;)
		*at += width;

	struct slice rest = slice_skip(text, *at);

	if (!slice_starts(rest, "--"))
		return false;
	*raw = (struct slice){ rest.p, flag_word(rest, escape, NULL) };
	*ret = arena_alloc(a, raw->n + 1);
	flag_word(*raw, escape, *ret);
	*at += raw->n;
	return !slice_is(slice_of(*ret), "--");
}
