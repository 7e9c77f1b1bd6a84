/* parser/fuzz_expand.c - any bytes as a word: bounded, and what is quoted or escaped stays itself. */
#include "base/mem.h"
#include "base/utf8.h"
#include "parser/expand.h"
#include "parser/subst.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *get(void *arg, struct slice name)
{
	if (name.n == 0 || name.p[0] == 'u')
		return NULL;
	return name.p[0] == 'e' ? "" : "a/b.c \"$x\" '*' \\ /a.c\nend";
}

/* Every character behind an escape; bytes that are no UTF-8 are left out of this. */
static void check_escaped(const struct expand *x, struct slice text)
{
	AUTO(buf_freep) struct buf in = BUF_MAX(1 << 20), want = BUF_MAX(1 << 20), out = BUF_MAX(1 << 20);
	size_t width = 0;

	buf_str(&want, "");
	buf_str(&out, "");
	for (size_t i = 0; i < text.n; i += width) {
		if (utf8_decode(slice_skip(text, i), &width) == UTF8_BAD)
			continue;
		buf_char(&in, x->escape);
		buf_add(&in, text.p + i, width);
		buf_add(&want, text.p + i, width);
	}
	if (!in.over)
		assert(expand_word(x, buf_view(&in), &out, NULL) == 0 && slice_equal(buf_view(&out), buf_view(&want)));
}

/* The words of a text without quotes and substitutions are what lies between its blanks. */
static void check_words(const struct expand *x, struct slice text)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(1 << 20);
	size_t n = 0, seen = 0;

	if (expand_words(x, text, &out, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < out.n; i++) {
		assert(i == 0 || out.p[i] || out.p[i - 1] || memchr(text.p, 0, text.n));
		seen += !out.p[i];
	}
	assert(seen >= n);
}

/* ---- patterns: every way of cutting a small value is tried ---- */

enum { SMALL = 10 };

static bool slow_match(struct slice p, struct slice s)
{
	if (p.n == 0)
		return s.n == 0;
	if (p.p[0] == '*')
		return slow_match(slice_skip(p, 1), s) || (s.n && s.p[0] != '\n' && slow_match(p, slice_skip(s, 1)));
	if (s.n == 0)
		return false;
	if (p.p[0] == '?')
		return s.p[0] != '\n' && slow_match(slice_skip(p, 1), slice_skip(s, 1));
	if (p.p[0] == '\\')
		p = slice_skip(p, 1);
	return p.p[0] == s.p[0] && slow_match(slice_skip(p, 1), slice_skip(s, 1));
}

/* How many bytes a prefix (or suffix) that matches has; 0 when none does. */
static size_t slow_trim(struct slice p, struct slice s, bool suffix, bool longest)
{
	size_t best = 0;

	for (size_t n = 0; n <= s.n; n++) {
		struct slice part = suffix ? slice_skip(s, s.n - n) : (struct slice){ s.p, n };

		if (!slow_match(p, part))
			continue;
		if (!longest)
			return n;
		best = n;
	}
	return best;
}

static void check_trim(struct slice pattern, struct slice value, bool suffix, bool longest)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(1000);
	size_t work = 0;

	if (subst_trim(pattern, value, suffix, longest, &work, &out, NULL) < 0)
		return;

	size_t n = slow_trim(pattern, value, suffix, longest);

	assert(slice_equal(buf_view(&out), suffix ? (struct slice){ value.p, value.n - n } : slice_skip(value, n)));
}

static void check_first(struct slice pattern, struct slice value)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(1000), want = BUF_MAX(1000);
	size_t work = 0, start = 0;

	if (subst_replace(pattern, value, SLICE_LIT("<>"), false, &work, &out, NULL) < 0)
		return;
	buf_str(&want, "");
	for (; start <= value.n; start++)
		for (size_t n = value.n - start + 1; n-- > 0;)
			if (slow_match(pattern, (struct slice){ value.p + start, n })) {
				buf_slice(&want, (struct slice){ value.p, start });
				buf_str(&want, "<>");
				buf_slice(&want, slice_skip(value, start + n));
				assert(slice_equal(buf_view(&out), buf_view(&want)));
				return;
			}
	assert(slice_equal(buf_view(&out), value));
}

/* A pattern, a NUL, a value; bytes are characters only in ASCII. */
static void check_patterns(struct slice text)
{
	struct slice pattern = SLICE_NONE, value = SLICE_NONE;

	if (!slice_cut(text, '\0', &pattern, &value) || pattern.n > SMALL || value.n > SMALL)
		return;
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] >= 0x80)
			return;
	for (int i = 0; i < 4; i++)
		check_trim(pattern, value, i & 1, i & 2);
	check_first(pattern, value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = { (const char *)data, size };
	struct expand x = { .get = get };

	if (size == 0)
		return 0;
	x.escape = data[0] & 1 ? '`' : '\\';
	x.raw = data[0] & 2;
	x.keep_unset = data[0] & 4;
	text = slice_skip(text, 1);

	AUTO(buf_freep) struct buf out = BUF_MAX(1 << 20);
	AUTO(err_freep) struct err *e = NULL;
	int rc = expand_word(&x, text, &out, &e);

	assert(rc == 0 ? !e : e && strncmp(err_text(e), "failed to process \"", 19) == 0);
	x.raw = x.keep_unset = false;
	check_escaped(&x, text);
	check_words(&x, text);
	check_patterns(text);
	return 0;
}
