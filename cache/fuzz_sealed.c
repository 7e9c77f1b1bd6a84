/* cache/fuzz_sealed.c - records, names and layer facts with any content but a right sum (threats.md 19). */
#include "cache/store_priv.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(jval_freep) struct jval *v = NULL, *inner = NULL;
	AUTO(buf_freep) struct buf text = BUF_MAX(16 << 20);
	struct store s = { .fd = -1 };
	struct digest d;

	/* As it is: a sum that fits by chance does not happen. */
	assert(sealed_open((struct slice){ (const char *)data, size }, &v) == SEALED_BAD);
	/* Sealed: what was put in comes out. */
	if (jdoc_parse((struct slice){ (const char *)data, size }, "fuzz", &v, NULL) < 0 || jval_type(v) != JT_OBJ)
		return 0;
	jval_del(v, "sum");
	sealed_text(v, &text);
	if (jval_len(v) > 0)
		assert(sealed_open(buf_view(&text), &inner) == 0 && jval_len(inner) == jval_len(v) + 1);
	stamp_good(&s, v);
	jval_get_digest(v, "diff", &d);
	return 0;
}
