/* registry/fuzz_ref.c - references from bytes; what parses prints and parses again to the same, in both spellings. */
#include "registry/ref.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const struct ref *r, void (*print)(const struct ref *r, struct buf *out))
{
	AUTO(buf_freep) struct buf b = BUF_MAX(4096);
	AUTO(ref_clear) struct ref again = { 0 };

	print(r, &b);
	assert(!b.over && ref_parse(buf_view(&b), &again, NULL) == 0 && ref_equal(r, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(ref_clear) struct ref r = { 0 };
	AUTO(err_freep) struct err *e = NULL;

	if (ref_parse((struct slice){ (const char *)data, size }, &r, &e) < 0) {
		assert(err_kind(e) == ERR_INPUT);
		return 0;
	}
	/* It becomes a path of a URL and a directory's name. */
	assert(*r.domain && *r.repo && !strstr(r.repo, "..") && !strchr(r.domain, '/') && (r.tag || r.has_digest));
	same(&r, ref_print);
	same(&r, ref_familiar);
	return 0;
}
