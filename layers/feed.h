/* layers/feed.h - compressed bytes for a decompressor: a block at a time from the stream below. For layers/comp_*.c only. */
#pragma once
#include "base/mem.h"
#include "base/stream.h"

enum { FEED_BLOCK = 128 << 10 };

struct feed {
	struct stream *inner;
	unsigned char *block;
	size_t at, n;
	uint64_t total;                  /* bytes that came so far */
	bool end;
};

static inline void feed_init(struct feed *f, struct stream *take_inner)
{
	*f = (struct feed){ .inner = take_inner, .block = mem_alloc(FEED_BLOCK) };
}

static inline int feed_clear(struct feed *f, struct err **e)
{
	mem_freep(&f->block);
	return stream_close(take(&f->inner), e);
}

/* Is there a byte at block[at]? 1 yes, 0 the end, -1 failed. */
static inline int feed_more(struct feed *f, struct err **e)
{
	if (f->at < f->n)
		return 1;
	if (f->end)
		return 0;

	ssize_t got = stream_read(f->inner, f->block, FEED_BLOCK, e);
	if (got < 0)
		return -1;
	f->at = 0;
	f->n = (size_t)got;
	f->total += (uint64_t)got;
	f->end = got == 0;
	return got > 0;
}
