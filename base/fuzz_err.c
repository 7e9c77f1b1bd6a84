/* base/fuzz_err.c - bytes that claim to be an error from a helper: always an error, and what reads well packs again. */
#include "base/buf.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(err_freep) struct err *e = NULL, *again = NULL;
	AUTO(buf_freep) struct buf packed = BUF_MAX(16 << 20), a = BUF_MAX(64 << 20), b = BUF_MAX(64 << 20);

	err_unpack((struct slice){ (const char *)data, size }, &e);
	assert(e);
	err_pack(e, &packed);
	err_unpack(buf_view(&packed), &again);
	err_print(e, &a);
	err_print(again, &b);
	assert(slice_equal(buf_view(&a), buf_view(&b)));
	err_json(e, &a);
	return 0;
}
