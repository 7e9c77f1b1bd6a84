/* base/buf.h - owned, growing bytes with a maximum.
 *
 * Data:   `struct buf b = BUF_MAX(4 << 20);` then add. Going over the maximum sets `over` and drops
 *         what does not fit; buf_ok() turns that into ERR_LIMIT. So a chain of adds needs one check.
 * Owns:   p. buf_free() or AUTO(buf_freep). p[n] is always NUL once anything was added.
 */
#pragma once
#include "base/err.h"

#include <stdarg.h>

struct buf {
	char *p;
	size_t n, cap, max;
	bool over;
};

#define BUF_MAX(m) { .max = (m) }

void buf_add(struct buf *b, const void *p, size_t n);
void buf_slice(struct buf *b, struct slice s);
void buf_str(struct buf *b, const char *s);
void buf_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap);
/* Room for n more bytes at p+n without changing n (NULL when that would go over). */
char *buf_room(struct buf *b, size_t n);
/* Text from outside for people: control bytes, bad UTF-8, bidi overrides as \xHH (threats.md X7). */
void buf_escaped(struct buf *b, struct slice s, size_t most);
/* A JSON string with quotes; invalid UTF-8 becomes U+FFFD, what hides or steers a \u escape (X7). */
void buf_json(struct buf *b, struct slice s);
/* Finished JSON, which means the same afterwards and steers no terminal (X7). */
void buf_json_text(struct buf *b, struct slice s);
int buf_ok(const struct buf *b, const char *what, struct err **e);
void buf_reset(struct buf *b);          /* n = 0, keeps the memory */
void buf_free(struct buf *b);
void buf_freep(struct buf *b);          /* for AUTO on a struct buf */
char *buf_steal(struct buf *b);         /* the bytes, NUL-terminated; b is empty afterwards */

static inline struct slice buf_view(const struct buf *b)
{
	return (struct slice){ b->p, b->n };
}
