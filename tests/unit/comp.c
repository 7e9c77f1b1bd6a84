/* Compressions: what is written is read again, the same bytes for any number of threads, and damage is noticed (Z1-Z6). */
#include "base/mem.h"
#include "layers/comp.h"
#include "tests/tap.h"

#define XZ "\xfd\x37\x7a\x58\x5a\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x16\x00\x00\x00\x74\x2f\xe5\xa3\x01\x00\x05\x68\x65\x6c\x6c\x6f\x0a\x00\x00\x00\xa5\x60\x97\xf1\x94\xf6\xfd\xe0\x00\x01\x1e\x06\xc1\x2f\xa4\x1d\x1f\xb6\xf3\x7d\x01\x00\x00\x00\x00\x04\x59\x5a"
#define BZ "\x42\x5a\x68\x39\x31\x41\x59\x26\x53\x59\xc1\xc0\x80\xe2\x00\x00\x01\x41\x00\x00\x10\x02\x44\xa0\x00\x30\xcd\x00\xc3\x46\x29\x97\x17\x72\x45\x38\x50\x90\xc1\xc0\x80\xe2"

static int collect(void *arg, const void *p, size_t n, struct err **e)
{
	buf_add(arg, p, n);
	return buf_ok(arg, "output", e);
}

static void compress(const struct comp *c, int level, unsigned threads, struct slice in, size_t step, struct buf *out)
{
	struct compw *w = c->writer(level, threads, collect, out);
	AUTO(err_freep) struct err *e = NULL;
	int rc = 0;

	for (size_t at = 0; rc == 0 && at < in.n; at += step)
		rc = c->write(w, in.p + at, in.n - at < step ? in.n - at : step, &e);
	if (rc < 0 || c->finish(w, &e) < 0)
		ok(false, "%s: %s", c->name, err_cause(e));
	c->free(w);
}

/* 0 and *out, or -1. */
static int decompress(struct slice in, int which, size_t step, struct buf *out, const struct comp **which_one, struct err **e)
{
	AUTO(stream_drop) struct stream *s = NULL;
	AUTO(mem_freep) char *block = mem_alloc(step);
	ssize_t n = 0;

	buf_reset(out);
	if (comp_detect(stream_bytes(in), which, &s, which_one, e) < 0)
		return -1;
	while ((n = stream_read(s, block, step, e)) > 0)
		buf_add(out, block, (size_t)n);
	return n < 0 ? -1 : stream_close(take(&s), e);
}

static char *noise(size_t n)
{
	char *p = mem_alloc(n ? n : 1);
	uint32_t x = 1;

	for (size_t i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = i % 3000 < 1500 ? (char)(x >> 24) : (char)(i >> 8);
	}
	return p;
}

static void test_roundtrip(void)
{
	static const struct comp *const all[] = { &comp_none, &comp_gzip, &comp_zstd };
	static const size_t sizes[] = { 0, 1, 511, 512 << 10, (512 << 10) + 1, 5 << 20 };

	for (size_t c = 0; c < countof(all); c++)
		for (size_t i = 0; i < countof(sizes); i++) {
			AUTO(mem_freep) char *text = noise(sizes[i]);
			struct slice in = { text, sizes[i] };
			AUTO(buf_freep) struct buf one = BUF_MAX(16 << 20), four = BUF_MAX(16 << 20), back = BUF_MAX(16 << 20);
			const struct comp *found = NULL;
			int level = all[c]->level_default;

			compress(all[c], level, 1, in, 100000, &one);
			compress(all[c], level, 4, in, 7777, &four);
			ok(slice_equal(buf_view(&one), buf_view(&four)), "%s of %zu bytes: the same with 1 and 4 threads", all[c]->name, sizes[i]);
			int rc = decompress(buf_view(&one), COMP_LAYER, 65536, &back, &found, NULL);
			ok(rc == 0 && slice_equal(buf_view(&back), in), "and read again");
			ok(found == (one.n ? all[c] : &comp_none), "and recognised");
		}
}

static void test_levels(void)
{
	AUTO(mem_freep) char *text = noise(300000);
	struct slice in = { text, 300000 };

	for (int level = 0; level <= 9; level++) {
		AUTO(buf_freep) struct buf out = BUF_MAX(4 << 20), back = BUF_MAX(4 << 20);

		compress(&comp_gzip, level, 2, in, 50000, &out);
		ok(decompress(buf_view(&out), COMP_LAYER, 4096, &back, NULL, NULL) == 0 && slice_equal(buf_view(&back), in), "gzip level %d",
		   level);
	}
}

/* Every changed or missing byte: either it is noticed or the content is the same (unused header bits). */
static void test_damage(struct slice good, const char *name, struct slice content)
{
	AUTO(buf_freep) struct buf bad = BUF_MAX(1 << 20), back = BUF_MAX(1 << 20);
	unsigned wrong = 0;

	for (size_t i = 0; i < good.n; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			buf_reset(&bad);
			buf_slice(&bad, good);
			bad.p[i] ^= (char)(1 << bit);
			/* A changed magic makes it something else, which the tar reader refuses. */
			const struct comp *found = NULL;
			int rc = decompress(buf_view(&bad), COMP_ANY, 4096, &back, &found, NULL);
			wrong += rc == 0 && found != &comp_none && !slice_equal(buf_view(&back), content) && back.n != 0;
		}
	is_int(wrong, 0, name);
	wrong = 0;
	for (size_t i = 8; i < good.n; i++)
		wrong += decompress((struct slice){ good.p, i }, COMP_ANY, 4096, &back, NULL, NULL) == 0;
	is_int(wrong, 0, "nothing cut short passes");
	buf_reset(&bad);
	buf_slice(&bad, good);
	buf_str(&bad, "trailing");
	ok(decompress(buf_view(&bad), COMP_ANY, 4096, &back, NULL, NULL) < 0, "bytes behind it are an error");
	buf_reset(&bad);
	buf_slice(&bad, good);
	buf_slice(&bad, good);
	ok(decompress(buf_view(&bad), COMP_ANY, 1, &back, NULL, NULL) == 0 && back.n == 2 * content.n, "two in a row are one");
}

static void test_special(void)
{
	static const struct {
		const char *name;
		struct slice in;
		const char *want;        /* content, or part of the error */
		bool fails;
	} rows[] = {
		{ "zstd: skippable frame in front", SLICE_LIT("\x50\x2a\x4d\x18\x03\0\0\0abc\x28\xb5\x2f\xfd\x20\x01\x09\0\0x"), "x", false },
		{ "zstd: a window of 128 MiB", SLICE_LIT("\x28\xb5\x2f\xfd\x00\x88\x09\0\0x"), "x", false },
		{ "Z3: zstd: a window of 256 MiB", SLICE_LIT("\x28\xb5\x2f\xfd\x00\x90\x09\0\0x"), "more than 128 MiB", true },
		{ "Z3: zstd: a dictionary", SLICE_LIT("\x28\xb5\x2f\xfd\x21\x05\x01\x09\0\0x"), "damaged: Dictionary", true },
		{ "Z3: zstd: wrong content size", SLICE_LIT("\x28\xb5\x2f\xfd\x20\x02\x09\0\0x"), "damaged", true },
		{ "gzip: every optional field", SLICE_LIT("\x1f\x8b\x08\x1e\0\0\0\0\0\xff\x02\0zzname\0comment\0\x12\x34\x01\x01\0\xfe\xffx\x83\x16\xdc\x8c\x01\0\0\0"), "x", false },
		{ "Z2: gzip: reserved flags", SLICE_LIT("\x1f\x8b\x08\x20\0\0\0\0\0\xff\x01\x01\0\xfe\xffx\x83\x16\xdc\x8c\x01\0\0\0"), "reserved", true },
		{ "Z2: gzip: wrong checksum", SLICE_LIT("\x1f\x8b\x08\0\0\0\0\0\0\xff\x01\x01\0\xfe\xffx\x84\x16\xdc\x8c\x01\0\0\0"), "checksum", true },
		{ "Z2: gzip: wrong length", SLICE_LIT("\x1f\x8b\x08\0\0\0\0\0\0\xff\x01\x01\0\xfe\xffx\x83\x16\xdc\x8c\x02\0\0\0"), "checksum", true },
		{ "xz", { XZ, sizeof(XZ) - 1 }, "hello\n", false },
		{ "bzip2", { BZ, sizeof(BZ) - 1 }, "hello\n", false },
		{ "nothing at all", SLICE_LIT(""), "", false },
	};

	for (size_t i = 0; i < countof(rows); i++) {
		AUTO(buf_freep) struct buf back = BUF_MAX(1 << 20);
		AUTO(err_freep) struct err *e = NULL;
		int rc = decompress(rows[i].in, COMP_ANY, 4096, &back, NULL, &e);

		if (rows[i].fails)
			ok(rc < 0 && strstr(err_text(e), rows[i].want), "%s: %s", rows[i].name, rc < 0 ? err_text(e) : "was accepted");
		else
			ok(rc == 0 && slice_is(buf_view(&back), rows[i].want), "%s%s%s", rows[i].name, e ? ": " : "", e ? err_text(e) : "");
	}
}

static void test_table(void)
{
	const struct comp *found = &comp_gzip;
	AUTO(buf_freep) struct buf back = BUF_MAX(1 << 20);

	ok(decompress((struct slice){ XZ, sizeof(XZ) - 1 }, COMP_LAYER, 4096, &back, &found, NULL) == 0 && found == &comp_none,
	   "Z6: xz is not for layers");
	ok(comp_find("uncompressed") == &comp_none && comp_find("zstd") == &comp_zstd && !comp_find("lzma"), "names");
	ok(comp_by_media_type("application/vnd.oci.image.layer.v1.tar+zstd") == &comp_zstd &&
	   comp_by_media_type("application/vnd.docker.image.rootfs.diff.tar.gzip") == &comp_gzip &&
	   comp_by_media_type("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip") == &comp_gzip &&
	   !comp_by_media_type("text/plain"), "media types");
}

int main(void)
{
	AUTO(buf_freep) struct buf gz = BUF_MAX(1 << 20), zs = BUF_MAX(1 << 20);
	struct slice text = SLICE_LIT("some text, some more text, and some more text again");

	test_table();
	test_special();
	test_levels();
	test_roundtrip();
	compress(&comp_gzip, 6, 1, text, 100, &gz);
	compress(&comp_zstd, 3, 1, text, 100, &zs);
	test_damage(buf_view(&gz), "gzip: no changed bit passes", text);
	test_damage(buf_view(&zs), "zstd: no changed bit passes", text);
	test_damage((struct slice){ BZ, sizeof(BZ) - 1 }, "bzip2: no changed bit passes", SLICE_LIT("hello\n"));
	test_damage((struct slice){ XZ, sizeof(XZ) - 1 }, "xz: no changed bit passes", SLICE_LIT("hello\n"));
	return done_testing();
}
