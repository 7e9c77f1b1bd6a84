/* base/wire.c - flat bytes.
 *
 *   number   4 or 8 bytes, little-endian
 *   bytes    u32 length, then the bytes; length 0xffffffff is a NULL string
 */
#include "base/wire.h"
#include "base/mem.h"

#include <endian.h>

#define WIRE_NULL UINT32_MAX

void wire_put_u32(struct buf *b, uint32_t v)
{
	v = htole32(v);
	buf_add(b, &v, sizeof(v));
}

void wire_put_u64(struct buf *b, uint64_t v)
{
	v = htole64(v);
	buf_add(b, &v, sizeof(v));
}

void wire_put_i64(struct buf *b, int64_t v)
{
	wire_put_u64(b, (uint64_t)v);
}

void wire_put(struct buf *b, struct slice s)
{
	if (s.n >= WIRE_NULL) {
		b->over = true;
		return;
	}
	wire_put_u32(b, (uint32_t)s.n);
	buf_slice(b, s);
}

void wire_put_str(struct buf *b, const char *s)
{
	if (s)
		wire_put(b, slice_of(s));
	else
		wire_put_u32(b, WIRE_NULL);
}

static struct slice cut(struct wire *w, size_t n)
{
	if (w->bad || n > w->rest.n) {
		w->bad = true;
		return SLICE_NONE;
	}
	struct slice s = { w->rest.p, n };
	w->rest = slice_skip(w->rest, n);
	return s;
}

uint32_t wire_u32(struct wire *w)
{
	struct slice s = cut(w, 4);
	uint32_t v = 0;

	if (s.n)
		memcpy(&v, s.p, sizeof(v));
	return le32toh(v);
}

uint64_t wire_u64(struct wire *w)
{
	struct slice s = cut(w, 8);
	uint64_t v = 0;

	if (s.n)
		memcpy(&v, s.p, sizeof(v));
	return le64toh(v);
}

int64_t wire_i64(struct wire *w)
{
	return (int64_t)wire_u64(w);
}

struct slice wire_get(struct wire *w)
{
	return cut(w, wire_u32(w));
}

char *wire_str(struct wire *w)
{
	uint32_t n = wire_u32(w);

	if (w->bad || n == WIRE_NULL)
		return NULL;
	struct slice s = cut(w, n);
	/* A string with a NUL inside would mean one thing to us and another to whoever wrote it. */
	if (slice_find(s, '\0'))
		w->bad = true;
	return w->bad ? NULL : mem_strn(s.p, s.n);
}

int wire_done(const struct wire *w, const char *what, struct err **e)
{
	if (w->bad)
		return err_set(e, ERR_BUG, "%s: message is malformed", what);
	if (w->rest.n)
		return err_set(e, ERR_BUG, "%s: message has %zu bytes too many", what, w->rest.n);
	return 0;
}
