/* base/buf.c - owned, growing bytes with a maximum. */
#include "base/buf.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Make room for n more bytes and the NUL, not looking at max. */
static void grow(struct buf *b, size_t n)
{
	size_t need = 0;

	if (ckd_add(&need, b->n, n) || ckd_add(&need, need, (size_t)1))
		mem_out(n);
	if (need <= b->cap)
		return;
	size_t cap = b->cap < 64 ? 64 : b->cap;
	while (cap < need && cap <= SIZE_MAX / 2)
		cap *= 2;
	if (cap < need)
		cap = need;
	b->p = mem_grow(b->p, cap, 1);
	b->cap = cap;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	size_t left = b->max > b->n ? b->max - b->n : 0;

	if (b->over)
		return;
	if (n > left) {
		n = left;
		b->over = true;
	}
	grow(b, n);
	if (n)
		memcpy(b->p + b->n, p, n);
	b->n += n;
	b->p[b->n] = '\0';
}

void buf_slice(struct buf *b, struct slice s)
{
	buf_add(b, s.p, s.n);
}

void buf_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_char(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	char small[256];
	va_list again;

	va_copy(again, ap);
	int n = vsnprintf(small, sizeof(small), fmt, again);
	va_end(again);
	if (n < 0)
		mem_out(0);
	if ((size_t)n < sizeof(small)) {
		buf_add(b, small, (size_t)n);
		return;
	}
	AUTO(mem_freep) char *large = mem_alloc((size_t)n + 1);
	vsnprintf(large, (size_t)n + 1, fmt, ap);
	buf_add(b, large, (size_t)n);
}

char *buf_room(struct buf *b, size_t n)
{
	if (b->over || b->n > b->max || n > b->max - b->n) {
		b->over = true;
		return NULL;
	}
	grow(b, n);
	return b->p + b->n;
}

/* Characters that could steer a terminal or make text look like other text. */
static bool hides(uint32_t c)
{
	return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e ||
	       c == 0x200f || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

void buf_escaped(struct buf *b, struct slice s, size_t most)
{
	size_t shown = 0;

	while (s.n) {
		uint32_t c = 0;
		size_t n = slice_utf8(s, &c);
		bool plain = n && !hides(c);

		if (n == 0)
			n = 1;
		if (n > most - shown) {
			buf_str(b, "...");
			return;
		}
		shown += n;
		if (plain)
			buf_add(b, s.p, n);
		else
			for (size_t i = 0; i < n; i++)
				buf_printf(b, "\\x%02x", (unsigned char)s.p[i]);
		s = slice_skip(s, n);
	}
}

static void json_char(struct buf *b, uint32_t c, const char *p, size_t n)
{
	static const char named[] = "\bb\ff\nn\rr\tt\"\"\\\\";

	for (size_t i = 0; c < 0x80 && i + 1 < sizeof(named); i += 2)
		if ((char)c == named[i]) {
			buf_char(b, '\\');
			buf_char(b, named[i + 1]);
			return;
		}
	if (c < 0x20 || hides(c))
		buf_printf(b, "\\u%04" PRIx32, c);
	else
		buf_add(b, p, n);
}

void buf_json(struct buf *b, struct slice s)
{
	buf_char(b, '"');
	while (s.n) {
		uint32_t c = 0;
		size_t n = slice_utf8(s, &c);

		if (n)
			json_char(b, c, s.p, n);
		else
			buf_str(b, "\xef\xbf\xbd");
		s = slice_skip(s, n ? n : 1);
	}
	buf_char(b, '"');
}

void buf_json_text(struct buf *b, struct slice s)
{
	while (s.n) {
		uint32_t c = 0;
		size_t n = slice_utf8(s, &c);

		if (n && hides(c))
			buf_printf(b, "\\u%04" PRIx32, c);
		else
			buf_add(b, s.p, n ? n : 1);
		s = slice_skip(s, n ? n : 1);
	}
}

int buf_ok(const struct buf *b, const char *what, struct err **e)
{
	if (!b->over)
		return 0;
	return err_set(e, ERR_LIMIT, "%s is larger than %zu bytes", what, b->max);
}

void buf_reset(struct buf *b)
{
	b->n = 0;
	b->over = false;
	if (b->p)
		b->p[0] = '\0';
}

void buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf)BUF_MAX(b->max);
}

void buf_freep(struct buf *b)
{
	buf_free(b);
}

char *buf_steal(struct buf *b)
{
	char *p = b->p ? b->p : mem_str("");

	*b = (struct buf)BUF_MAX(b->max);
	return p;
}
