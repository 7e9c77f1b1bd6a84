/* layers/fuzz_tarin.c - any bytes as a tar. Whatever is read from them must, written by our writer, be read as the same again: so
 * nothing in an entry depends on how the archive spelled it, and no entry breaks the stream around it. In both modes, through
 * the decompressors too.
 */
#include "base/mem.h"
#include "layers/comp.h"
#include "layers/tarin.h"
#include "layers/tarout.h"

#include <assert.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BYTES_MOST = 4 << 20 };

static int collect(void *arg, const void *p, size_t n, struct err **e)
{
	buf_add(arg, p, n);
	return buf_ok(arg, "a fuzzed tar", e);
}

/* The entries of some bytes as a tar and as a digest of all that they say. */
static int pass(struct slice in, enum tar_mode mode, struct buf *tar, struct digest *ret)
{
	struct tarin_opts o = { .mode = mode, .max_bytes = BYTES_MOST };
	struct stream *s = NULL;
	struct entries *src = NULL;

	if (comp_detect(stream_bytes(in), COMP_ANY, &s, NULL, NULL) < 0 || tarin_new(s, &o, &src, NULL) < 0)
		return -1;
	AUTO(entries_drop) struct entries *own = src;
	AUTO(sink_free) struct sink *content = content_sink_new(ret);
	AUTO(sink_free) struct sink *out = tarout_new(collect, tar,
						      &(struct tarout_opts){ .clamp_mtime = INT64_MAX, .plain = mode == TAR_PLAIN });
	struct sink *const both[] = { content, out };

	if (entries_pump(own, both, countof(both), NULL, NULL) < 0)
		return -1;
	return entries_close(take(&own), NULL);
}

/* Right checksums in what looks like a header, or no change would ever get behind them. */
static void repair(char *p, size_t n)
{
	for (; n >= 512; p += 512, n -= 512) {
		unsigned sum = 0;

		if (memcmp(p + 257, "ustar", 5) != 0)
			continue;
		memset(p + 148, ' ', 8);
		for (size_t i = 0; i < 512; i++)
			sum += (unsigned char)p[i];
		snprintf(p + 148, 8, "%06o", sum);
	}
}

static void both_modes(const char *data, size_t size)
{
	static const enum tar_mode modes[] = { TAR_LAYER, TAR_PLAIN };

	for (size_t i = 0; i < countof(modes); i++) {
		AUTO(buf_freep) struct buf first = BUF_MAX(4 * BYTES_MOST);
		AUTO(buf_freep) struct buf second = BUF_MAX(4 * BYTES_MOST);
		struct digest a, b;

		if (pass((struct slice){ data, size }, modes[i], &first, &a) < 0)
			continue;
		assert(pass(buf_view(&first), modes[i], &second, &b) == 0);
		assert(digest_equal(&a, &b));
		assert(slice_equal(buf_view(&first), buf_view(&second)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(mem_freep) char *copy = mem_dup(data, size);

	both_modes(copy, size);
	repair(copy, size);
	both_modes(copy, size);
	return 0;
}
