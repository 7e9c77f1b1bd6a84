/* registry/fuzz_challenge.c - values of response headers, one a line: challenges, ranges, dates, places.
 *
 * What is taken from a place resolves to itself; what is taken from a range is in order.
 */
#include "registry/header.h"
#include "registry/url.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void place(struct slice line)
{
	AUTO(url_clear) struct url base = { 0 };
	AUTO(url_clear) struct url u = { 0 };
	AUTO(url_clear) struct url again = { 0 };
	int rc = url_parse(SLICE_LIT("https://registry.example/v2/a/b?c"), &base, NULL);

	assert(rc == 0);
	if (url_resolve(&base, line, &u, NULL) < 0)
		return;
	assert(!u.userinfo && *u.host && u.text[u.path] == '/' && u.port > 0);
	/* A place may grow by a byte when it is made whole, so at the limit the second reading may refuse it. */
	if (url_resolve(&u, slice_of(u.text), &again, NULL) == 0)
		assert(strcmp(u.text, again.text) == 0 && url_same_origin(&u, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = { (const char *)data, size }, line;
	struct challenge c = { 0 };
	int64_t a = 0, b = 0, n = 0;
	bool more = size > 0;

	while (more) {
		more = slice_cut(rest, '\n', &line, &rest);
		challenge_parse(line, &c);
		assert(!c.bearer || (c.realm && *c.realm));
		if (content_range_parse(line, &a, &b, &n))
			assert(a >= 0 && a <= b && (n < 0 || b < n));
		if (upload_range_parse(line, &a, &b))
			assert(a >= 0 && a <= b);
		if (retry_after_parse(line, 1000000000, &n))
			assert(n >= 0);
		place(line);
	}
	challenge_clear(&c);
	return 0;
}
