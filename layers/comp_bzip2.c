/* layers/comp_bzip2.c - bzip2, for ADD archives and contexts only (spec/threats.md Z6). Its decoder never takes more than 4 MiB. */
#include "layers/comp.h"
#include "layers/feed.h"

#include <bzlib.h>

static bool bzip2_magic(const unsigned char *p, size_t n)
{
	return n >= 4 && memcmp(p, "BZh", 3) == 0 && p[3] >= '1' && p[3] <= '9';
}

struct bzip2_in {
	struct stream s;
	struct feed feed;
	bz_stream z;
	bool inside, begun;              /* of a member; there was one */
};

static void bzip2_begin(struct bzip2_in *r)
{
	memset(&r->z, 0, sizeof(r->z));
	if (BZ2_bzDecompressInit(&r->z, 0, 0) != BZ_OK)
		mem_out(0);
	r->inside = r->begun = true;
}

static void bzip2_finish(struct bzip2_in *r)
{
	if (r->inside)
		BZ2_bzDecompressEnd(&r->z);
	r->inside = false;
}

static ssize_t bzip2_read(struct stream *s, void *p, size_t n, struct err **e)
{
	struct bzip2_in *r = container_of(s, struct bzip2_in, s);
	unsigned room = n > 1 << 30 ? 1U << 30 : (unsigned)n, left = room;

	while (left == room && room > 0) {
		int more = feed_more(&r->feed, e);

		if (more < 0 || (more == 0 && !r->inside && r->begun))
			return more;
		if (!r->inside)
			bzip2_begin(r);
		r->z.next_in = (char *)r->feed.block + r->feed.at;
		r->z.avail_in = (unsigned)(r->feed.n - r->feed.at);
		r->z.next_out = p;
		r->z.avail_out = room;
		int rc = BZ2_bzDecompress(&r->z);
		r->feed.at = r->feed.n - r->z.avail_in;
		left = r->z.avail_out;
		/* Without input it may still hold output; when it does not, the rest is missing. */
		if (!more && rc == BZ_OK && left == room)
			return err_set(e, ERR_SOURCE, "bzip2 data ends too early");
		if (rc == BZ_STREAM_END)
			bzip2_finish(r);
		else if (rc == BZ_MEM_ERROR)
			mem_out(0);
		else if (rc != BZ_OK)
			return err_set(e, ERR_SOURCE, rc == BZ_DATA_ERROR_MAGIC ? "something that is not bzip2 is in the bzip2 data"
											: "bzip2 data is damaged");
	}
	return (ssize_t)(room - left);
}

static int bzip2_close(struct stream *s, struct err **e)
{
	struct bzip2_in *r = container_of(s, struct bzip2_in, s);
	int rc = feed_clear(&r->feed, e);

	bzip2_finish(r);
	mem_freep(&r);
	return rc;
}

static struct stream *bzip2_reader(struct stream *take_inner)
{
	static const struct stream_ops ops = { bzip2_read, bzip2_close };
	struct bzip2_in *r = mem_zalloc(sizeof(*r));

	r->s.ops = &ops;
	feed_init(&r->feed, take_inner);
	return &r->s;
}

const struct comp comp_bzip2 = {
	.name = "bzip2",
	.magic = bzip2_magic,
	.reader = bzip2_reader,
};
