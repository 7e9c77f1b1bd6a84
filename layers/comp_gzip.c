/* layers/comp_gzip.c - gzip (spec/oci.md 3.3, spec/threats.md Z2).
 *
 * Reading: headers by hand, so that their fields are bounded and nothing is skipped; deflate by zlib, CRC by libdeflate (several
 *          times faster).
 * Writing: one independent member per block of fixed size, so the bytes do not depend on the number of threads. Blocks wait in
 *          a ring; threads compress them in any order, the caller's thread writes them out in theirs.
 */
#include "layers/comp.h"
#include "layers/feed.h"

#include <libdeflate.h>
#include <pthread.h>
#include <zlib.h>

enum {
	FLAG_CRC = 2, FLAG_EXTRA = 4, FLAG_NAME = 8, FLAG_COMMENT = 16, FLAG_RESERVED = 0xe0,
	FIELD_MOST = 64 << 10,
	MEMBERS_MOST = 1000000,
	BLOCK = 512 << 10,
	THREADS_MOST = 8,
	SLOTS_MOST = 2 * THREADS_MOST + 1,
};

static bool gzip_magic(const unsigned char *p, size_t n)
{
	return n >= 3 && p[0] == 0x1f && p[1] == 0x8b && p[2] == 8;
}

/* ---- reading */

struct gzip_in {
	struct stream s;
	struct feed feed;
	z_stream z;
	bool inside;                     /* of a member's data */
	unsigned members;
	uint32_t crc, size;
};

static int gzip_byte(struct gzip_in *r, unsigned char *ret, struct err **e)
{
	int more = feed_more(&r->feed, e);

	if (more < 0)
		return -1;
	if (!more)
		return err_set(e, ERR_SOURCE, "gzip data ends too early");
	*ret = r->feed.block[r->feed.at++];
	return 0;
}

static int gzip_skip(struct gzip_in *r, unsigned n, struct err **e)
{
	unsigned char c;

	while (n-- > 0)
		if (gzip_byte(r, &c, e) < 0)
			return -1;
	return 0;
}

static int gzip_text(struct gzip_in *r, struct err **e)
{
	unsigned char c = 1;

	for (unsigned i = 0; c; i++)
		if (i > FIELD_MOST)
			return err_set(e, ERR_SOURCE, "a name or comment in a gzip header is longer than 64 KiB");
		else if (gzip_byte(r, &c, e) < 0)
			return -1;
	return 0;
}

static int gzip_u32(struct gzip_in *r, uint32_t *ret, struct err **e)
{
	unsigned char c[4] = { 0 };

	for (unsigned i = 0; i < 4; i++)
		if (gzip_byte(r, &c[i], e) < 0)
			return -1;
	*ret = (uint32_t)c[0] | (uint32_t)c[1] << 8 | (uint32_t)c[2] << 16 | (uint32_t)c[3] << 24;
	return 0;
}

static int gzip_head(struct gzip_in *r, struct err **e)
{
	unsigned char h[10] = { 0 }, lo = 0, hi = 0;

	for (unsigned i = 0; i < sizeof(h); i++)
		if (gzip_byte(r, &h[i], e) < 0)
			return -1;
	if (!gzip_magic(h, sizeof(h)))
		return err_set(e, ERR_SOURCE, r->members ? "something follows the gzip data" : "this is not gzip data");
	if (h[3] & FLAG_RESERVED)
		return err_set(e, ERR_SOURCE, "a gzip header has reserved flags");
	if (++r->members > MEMBERS_MOST)
		return err_set(e, ERR_LIMIT, "gzip data has more than %d members", MEMBERS_MOST);
	if (h[3] & FLAG_EXTRA && (gzip_byte(r, &lo, e) < 0 || gzip_byte(r, &hi, e) < 0 || gzip_skip(r, lo | hi << 8, e) < 0))
		return -1;
	if ((h[3] & FLAG_NAME && gzip_text(r, e) < 0) || (h[3] & FLAG_COMMENT && gzip_text(r, e) < 0))
		return -1;
	if (h[3] & FLAG_CRC && gzip_skip(r, 2, e) < 0)
		return -1;
	inflateReset(&r->z);
	r->inside = true;
	r->crc = r->size = 0;
	return 0;
}

static int gzip_tail(struct gzip_in *r, struct err **e)
{
	uint32_t crc = 0, size = 0;

	r->inside = false;
	if (gzip_u32(r, &crc, e) < 0 || gzip_u32(r, &size, e) < 0)
		return -1;
	if (crc != r->crc || size != r->size)
		return err_set(e, ERR_SOURCE, "gzip data is damaged: its checksum differs");
	return 0;
}

/* Some output of the current member; *ret 0 when it ended without. */
static int gzip_inflate(struct gzip_in *r, unsigned char *p, size_t n, size_t *ret, struct err **e)
{
	int more = feed_more(&r->feed, e);

	if (more < 0)
		return -1;
	r->z.next_in = r->feed.block + r->feed.at;
	r->z.avail_in = more ? (uInt)(r->feed.n - r->feed.at) : 0;
	r->z.next_out = p;
	r->z.avail_out = (uInt)n;
	int rc = inflate(&r->z, Z_NO_FLUSH);
	if (more)
		r->feed.at = r->feed.n - r->z.avail_in;
	*ret = n - r->z.avail_out;
	r->crc = libdeflate_crc32(r->crc, p, *ret);
	r->size += (uint32_t)*ret;
	if (rc == Z_STREAM_END)
		return gzip_tail(r, e);
	if (rc == Z_OK || (rc == Z_BUF_ERROR && more))
		return 0;
	if (rc == Z_BUF_ERROR)
		return err_set(e, ERR_SOURCE, "gzip data ends too early");
	return err_set(e, ERR_SOURCE, "gzip data is damaged: %s", r->z.msg ? r->z.msg : "unknown deflate error");
}

static ssize_t gzip_read(struct stream *s, void *p, size_t n, struct err **e)
{
	struct gzip_in *r = container_of(s, struct gzip_in, s);
	size_t got = 0;

	if (n > 1 << 30)
		n = 1 << 30;
	while (got == 0 && n > 0) {
		if (!r->inside) {
			int more = feed_more(&r->feed, e);

			if (more < 0 || (more == 0 && r->members > 0))
				return more;
			if (gzip_head(r, e) < 0)
				return -1;
		}
		if (gzip_inflate(r, p, n, &got, e) < 0)
			return -1;
	}
	return (ssize_t)got;
}

static int gzip_in_close(struct stream *s, struct err **e)
{
	struct gzip_in *r = container_of(s, struct gzip_in, s);
	int rc = feed_clear(&r->feed, e);

	inflateEnd(&r->z);
	mem_freep(&r);
	return rc;
}

static struct stream *gzip_reader(struct stream *take_inner)
{
	static const struct stream_ops ops = { gzip_read, gzip_in_close };
	struct gzip_in *r = mem_zalloc(sizeof(*r));

	r->s.ops = &ops;
	feed_init(&r->feed, take_inner);
	if (inflateInit2(&r->z, -MAX_WBITS) != Z_OK)
		mem_out(0);
	return &r->s;
}

/* ---- writing */

enum slot_state { SLOT_EMPTY, SLOT_FULL, SLOT_BUSY, SLOT_DONE };
struct slot {
	enum slot_state state;
	char *in, *out;
	size_t in_n, out_n;
};
struct compw {
	comp_out *out;
	void *arg;
	int level;
	size_t out_size;
	struct slot slot[SLOTS_MOST];
	unsigned nslot, fill, drain;     /* the slot being filled, the oldest not yet written out */
	bool any;                        /* a member was written */
	struct libdeflate_compressor *own;       /* when no thread could be started */
	pthread_t thread[THREADS_MOST];
	unsigned nthread;
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	unsigned next;                   /* the slot a thread takes next */
	bool stop;
};

static struct libdeflate_compressor *compressor(int level)
{
	struct libdeflate_compressor *c = libdeflate_alloc_compressor(level);

	if (!c)
		mem_out(0);
	return c;
}

static void slot_compress(const struct compw *w, struct libdeflate_compressor *c, struct slot *s)
{
	s->out_n = libdeflate_gzip_compress(c, s->in, s->in_n, s->out, w->out_size);
}

static void *gzip_thread(void *arg)
{
	struct compw *w = arg;
	struct libdeflate_compressor *c = compressor(w->level);

	pthread_mutex_lock(&w->lock);
	for (;;) {
		struct slot *s = &w->slot[w->next];

		if (w->stop)
			break;
		if (s->state != SLOT_FULL) {
			pthread_cond_wait(&w->work, &w->lock);
			continue;
		}
		s->state = SLOT_BUSY;
		w->next = (w->next + 1) % w->nslot;
		pthread_mutex_unlock(&w->lock);
		slot_compress(w, c, s);
		pthread_mutex_lock(&w->lock);
		s->state = SLOT_DONE;
		pthread_cond_signal(&w->done);
	}
	pthread_mutex_unlock(&w->lock);
	libdeflate_free_compressor(c);
	return NULL;
}

static struct compw *gzip_writer(int level, unsigned threads, comp_out *out, void *arg)
{
	struct compw *w = mem_zalloc(sizeof(*w));
	struct libdeflate_compressor *c = compressor(level);

	w->out = out;
	w->arg = arg;
	w->level = level;
	w->out_size = libdeflate_gzip_compress_bound(c, BLOCK);
	if (threads > THREADS_MOST)
		threads = THREADS_MOST;
	w->nslot = threads > 1 ? 2 * threads + 1 : 1;
	for (unsigned i = 0; i < w->nslot; i++) {
		w->slot[i].in = mem_alloc(BLOCK);
		w->slot[i].out = mem_alloc(w->out_size);
	}
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->work, NULL);
	pthread_cond_init(&w->done, NULL);
	while (threads > 1 && w->nthread < threads && pthread_create(&w->thread[w->nthread], NULL, gzip_thread, w) == 0)
		w->nthread++;
	if (w->nthread)
		libdeflate_free_compressor(c);
	else
		w->own = c;
	return w;
}

/* Write out the oldest block, waiting for it. */
static int gzip_drain(struct compw *w, struct err **e)
{
	struct slot *s = &w->slot[w->drain];

	pthread_mutex_lock(&w->lock);
	while (s->state != SLOT_DONE)
		pthread_cond_wait(&w->done, &w->lock);
	pthread_mutex_unlock(&w->lock);
	w->drain = (w->drain + 1) % w->nslot;
	s->state = SLOT_EMPTY;
	s->in_n = 0;
	w->any = true;
	/* Cannot happen: the buffer holds what libdeflate says is the worst case. */
	if (s->out_n == 0)
		return err_set(e, ERR_BUG, "gzip block does not fit");
	return w->out(w->arg, s->out, s->out_n, e);
}

/* The block is complete: to the threads, and make sure that the next slot is free. */
static int gzip_submit(struct compw *w, struct err **e)
{
	struct slot *s = &w->slot[w->fill];

	w->fill = (w->fill + 1) % w->nslot;
	if (w->own) {
		slot_compress(w, w->own, s);
		s->state = SLOT_DONE;
		return gzip_drain(w, e);
	}
	pthread_mutex_lock(&w->lock);
	s->state = SLOT_FULL;
	pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
	return w->fill == w->drain ? gzip_drain(w, e) : 0;
}

static int gzip_write(struct compw *w, const void *p, size_t n, struct err **e)
{
	while (n > 0) {
		struct slot *s = &w->slot[w->fill];
		size_t part = BLOCK - s->in_n < n ? BLOCK - s->in_n : n;

		memcpy(s->in + s->in_n, p, part);
		s->in_n += part;
		p = (const char *)p + part;
		n -= part;
		if (s->in_n == BLOCK && gzip_submit(w, e) < 0)
			return -1;
	}
	return 0;
}

static int gzip_finish(struct compw *w, struct err **e)
{
	bool first = !w->any && w->fill == w->drain;

	/* Nothing at all is one empty member: an empty file is not gzip. */
	if ((w->slot[w->fill].in_n > 0 || first) && gzip_submit(w, e) < 0)
		return -1;
	while (w->drain != w->fill)
		if (gzip_drain(w, e) < 0)
			return -1;
	return 0;
}

static void gzip_free(struct compw *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_broadcast(&w->work);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->nthread; i++)
		pthread_join(w->thread[i], NULL);
	for (unsigned i = 0; i < w->nslot; i++) {
		mem_freep(&w->slot[i].in);
		mem_freep(&w->slot[i].out);
	}
	if (w->own)
		libdeflate_free_compressor(w->own);
	pthread_cond_destroy(&w->work);
	pthread_cond_destroy(&w->done);
	pthread_mutex_destroy(&w->lock);
	mem_freep(&w);
}

const struct comp comp_gzip = {
	.name = "gzip",
	.media_type = "application/vnd.oci.image.layer.v1.tar+gzip",
	.docker_type = "application/vnd.docker.image.rootfs.diff.tar.gzip",
	.level_min = 0,
	.level_max = 9,
	.level_default = 6,
	.magic = gzip_magic,
	.reader = gzip_reader,
	.writer = gzip_writer,
	.write = gzip_write,
	.finish = gzip_finish,
	.free = gzip_free,
};
