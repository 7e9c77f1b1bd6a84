/* base/fuzz_jdoc.c - whatever jdoc_parse accepts, prints to text that it accepts again and prints alike. */
#include "base/jdoc.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(jval_freep) struct jval *v = NULL, *again = NULL;
	AUTO(buf_freep) struct buf first = BUF_MAX(16 << 20), second = BUF_MAX(16 << 20);

	if (jdoc_parse((struct slice){ (const char *)data, size }, "fuzz", &v, NULL) < 0)
		return 0;
	jval_print(v, &first, 0);
	assert(jdoc_parse(buf_view(&first), "fuzz", &again, NULL) == 0);
	jval_print(again, &second, 0);
	assert(slice_equal(buf_view(&first), buf_view(&second)));
	return 0;
}
