/* parser/fuzz_expand.c - any bytes as a word: bounded, and what is quoted or escaped stays itself. */
#include "base/mem.h"
#include "base/utf8.h"
#include "parser/expand.h"

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
	return 0;
}
