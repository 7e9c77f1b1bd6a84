/* layers/comp_zstd.c - zstd (spec/oci.md 0.4, spec/threats.md Z3). */
#include "layers/comp.h"
#include "layers/feed.h"

#include <zstd.h>

enum {
	WINDOW_LOG_MAX = 27,             /* 128 MiB */
	JOB = 2 << 20,                   /* fixed, or the bytes would depend on the number of workers */
};

static bool zstd_magic(const unsigned char *p, size_t n)
{
	if (n < 4)
		return false;
	if (p[0] == 0x28 && p[1] == 0xb5 && p[2] == 0x2f && p[3] == 0xfd)
		return true;
	return (p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18;
}

/* ---- reading */

struct zstd_in {
	struct stream s;
	struct feed feed;
	ZSTD_DCtx *z;
	bool inside;                     /* of a frame: the input must not end here */
};

static int zstd_bad(struct zstd_in *r, size_t code, struct err **e)
{
	if (strstr(ZSTD_getErrorName(code), "too much memory")) {
		err_set(e, ERR_SOURCE, "zstd data needs a window of more than 128 MiB");
		return err_hint(e, "compress it again without --ultra or --long");
	}
	if (strstr(ZSTD_getErrorName(code), "prefix"))
		return err_set(e, ERR_SOURCE, "something follows the zstd data");
	return err_set(e, ERR_SOURCE, "zstd data is damaged: %s", ZSTD_getErrorName(code));
}

static ssize_t zstd_read(struct stream *s, void *p, size_t n, struct err **e)
{
	struct zstd_in *r = container_of(s, struct zstd_in, s);
	ZSTD_outBuffer out = { p, n, 0 };

	while (out.pos == 0 && n > 0) {
		int more = feed_more(&r->feed, e);

		if (more < 0)
			return -1;
		/* At the end of input the decoder may still hold output: ask it once more with nothing. */
		ZSTD_inBuffer in = { r->feed.block, r->feed.n, r->feed.at };
		if (!more && !r->inside)
			return 0;
		size_t left = ZSTD_decompressStream(r->z, &out, &in);
		if (ZSTD_isError(left))
			return zstd_bad(r, left, e);
		r->inside = left != 0;
		r->feed.at = in.pos;
		if (!more && out.pos == 0)
			return err_set(e, ERR_SOURCE, "zstd data ends too early");
	}
	return (ssize_t)out.pos;
}

static int zstd_in_close(struct stream *s, struct err **e)
{
	struct zstd_in *r = container_of(s, struct zstd_in, s);
	int rc = feed_clear(&r->feed, e);

	ZSTD_freeDCtx(r->z);
	mem_freep(&r);
	return rc;
}

static struct stream *zstd_reader(struct stream *take_inner)
{
	static const struct stream_ops ops = { zstd_read, zstd_in_close };
	struct zstd_in *r = mem_zalloc(sizeof(*r));

	r->s.ops = &ops;
	feed_init(&r->feed, take_inner);
	r->z = ZSTD_createDCtx();
	if (!r->z)
		mem_out(0);
	ZSTD_DCtx_setParameter(r->z, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	return &r->s;
}

/* ---- writing */

struct compw {
	comp_out *out;
	void *arg;
	ZSTD_CCtx *z;
	void *block;
	size_t size;
};

static struct compw *zstd_writer(int level, unsigned threads, comp_out *out, void *arg)
{
	struct compw *w = mem_zalloc(sizeof(*w));

	*w = (struct compw){ out, arg, ZSTD_createCCtx(), NULL, ZSTD_CStreamOutSize() };
	w->block = mem_alloc(w->size);
	if (!w->z)
		mem_out(0);
	ZSTD_CCtx_setParameter(w->z, ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(w->z, ZSTD_c_checksumFlag, 1);
	ZSTD_CCtx_setParameter(w->z, ZSTD_c_contentSizeFlag, 0);
	ZSTD_CCtx_setParameter(w->z, ZSTD_c_nbWorkers, threads ? (int)threads : 1);
	ZSTD_CCtx_setParameter(w->z, ZSTD_c_jobSize, JOB);
	return w;
}

static int zstd_push(struct compw *w, ZSTD_inBuffer *in, ZSTD_EndDirective how, size_t *left, struct err **e)
{
	ZSTD_outBuffer out = { w->block, w->size, 0 };

	*left = ZSTD_compressStream2(w->z, &out, in, how);
	if (ZSTD_isError(*left))
		return err_set(e, ERR_HOST, "zstd cannot compress: %s", ZSTD_getErrorName(*left));
	return out.pos ? w->out(w->arg, w->block, out.pos, e) : 0;
}

static int zstd_write(struct compw *w, const void *p, size_t n, struct err **e)
{
	ZSTD_inBuffer in = { p, n, 0 };
	size_t left;

	while (in.pos < in.size)
		if (zstd_push(w, &in, ZSTD_e_continue, &left, e) < 0)
			return -1;
	return 0;
}

static int zstd_finish(struct compw *w, struct err **e)
{
	ZSTD_inBuffer in = { NULL, 0, 0 };
	size_t left;

	do
		if (zstd_push(w, &in, ZSTD_e_end, &left, e) < 0)
			return -1;
	while (left);
	return 0;
}

static void zstd_free(struct compw *w)
{
	if (!w)
		return;
	ZSTD_freeCCtx(w->z);
	mem_freep(&w->block);
	mem_freep(&w);
}

const struct comp comp_zstd = {
	.name = "zstd",
	.media_type = "application/vnd.oci.image.layer.v1.tar+zstd",
	.level_min = 0,
	.level_max = 22,
	.level_default = 3,
	.magic = zstd_magic,
	.reader = zstd_reader,
	.writer = zstd_writer,
	.write = zstd_write,
	.finish = zstd_finish,
	.free = zstd_free,
};
