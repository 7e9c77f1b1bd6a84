/* base/wire.h - flat bytes for job payloads and records: little-endian numbers, length-prefixed bytes.
 *
 * Data:   wire_put_* append to a buf; a struct wire reads them back in the same order.
 * Fails:  reading past the end or a bad length makes the reader `bad` and every later answer zero or
 *         empty; check wire_done() once at the end. Nothing read is trusted to be well-formed.
 */
#pragma once
#include "base/buf.h"

struct wire {
	struct slice rest;
	bool bad;
};

void wire_put_u32(struct buf *b, uint32_t v);
void wire_put_u64(struct buf *b, uint64_t v);
void wire_put_i64(struct buf *b, int64_t v);
void wire_put(struct buf *b, struct slice s);          /* u32 length, bytes */
void wire_put_str(struct buf *b, const char *s);       /* NULL is kept apart from "" */

static inline struct wire wire_of(struct slice s)
{
	return (struct wire){ .rest = s };
}

uint32_t wire_u32(struct wire *w);
uint64_t wire_u64(struct wire *w);
int64_t wire_i64(struct wire *w);
struct slice wire_get(struct wire *w);                 /* borrowed from the input */
char *wire_str(struct wire *w);                        /* new NUL-terminated copy; NULL stays NULL */
/* 0 when everything was read and nothing was bad, else -1 with ERR_BUG naming `what`. */
int wire_done(const struct wire *w, const char *what, struct err **e);
