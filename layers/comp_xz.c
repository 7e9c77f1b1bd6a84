/* layers/comp_xz.c - xz, for ADD archives and contexts only (spec/threats.md Z6). */
#include "layers/comp.h"
#include "layers/feed.h"

#include <inttypes.h>
#include <lzma.h>

#define MEMORY_MOST (UINT64_C(128) << 20)

static bool xz_magic(const unsigned char *p, size_t n)
{
	static const unsigned char magic[] = { 0xfd, '7', 'z', 'X', 'Z', 0 };

	return n >= sizeof(magic) && memcmp(p, magic, sizeof(magic)) == 0;
}

struct xz_in {
	struct stream s;
	struct feed feed;
	lzma_stream z;
	bool end;
};

static int xz_bad(lzma_ret rc, struct err **e)
{
	switch (rc) {
	case LZMA_MEM_ERROR:
		mem_out(0);
	case LZMA_MEMLIMIT_ERROR:
		err_set(e, ERR_LIMIT, "xz data needs more than 128 MiB of memory");
		return err_hint(e, "compress it again with xz -9 or less");
	case LZMA_UNSUPPORTED_CHECK:
		return err_set(e, ERR_SOURCE, "xz data has a checksum of an unknown kind");
	case LZMA_BUF_ERROR:
		return err_set(e, ERR_SOURCE, "xz data ends too early");
	case LZMA_OPTIONS_ERROR:
		return err_set(e, ERR_SOURCE, "xz data uses options this version does not know");
	default:
		return err_set(e, ERR_SOURCE, "xz data is damaged");
	}
}

static ssize_t xz_read(struct stream *s, void *p, size_t n, struct err **e)
{
	struct xz_in *r = container_of(s, struct xz_in, s);

	r->z.next_out = p;
	r->z.avail_out = n;
	while (r->z.avail_out == n && n > 0 && !r->end) {
		int more = feed_more(&r->feed, e);

		if (more < 0)
			return -1;
		r->z.next_in = r->feed.block + r->feed.at;
		r->z.avail_in = r->feed.n - r->feed.at;
		lzma_ret rc = lzma_code(&r->z, more ? LZMA_RUN : LZMA_FINISH);
		r->feed.at = r->feed.n - r->z.avail_in;
		if (rc == LZMA_STREAM_END)
			r->end = true;
		else if (rc != LZMA_OK)
			return xz_bad(rc, e);
	}
	return (ssize_t)(n - r->z.avail_out);
}

static int xz_close(struct stream *s, struct err **e)
{
	struct xz_in *r = container_of(s, struct xz_in, s);
	int rc = feed_clear(&r->feed, e);

	lzma_end(&r->z);
	mem_freep(&r);
	return rc;
}

static struct stream *xz_reader(struct stream *take_inner)
{
	static const struct stream_ops ops = { xz_read, xz_close };
	struct xz_in *r = mem_zalloc(sizeof(*r));

	r->s.ops = &ops;
	feed_init(&r->feed, take_inner);
	r->z = (lzma_stream)LZMA_STREAM_INIT;
	if (lzma_stream_decoder(&r->z, MEMORY_MOST, LZMA_CONCATENATED | LZMA_TELL_UNSUPPORTED_CHECK) != LZMA_OK)
		mem_out(0);
	return &r->s;
}

const struct comp comp_xz = {
	.name = "xz",
	.magic = xz_magic,
	.reader = xz_reader,
};
