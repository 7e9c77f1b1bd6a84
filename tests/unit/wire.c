/* tests/unit/wire.c - flat bytes come back as they went, and torn ones are noticed. */
#include "base/mem.h"
#include "base/wire.h"
#include "tests/tap.h"

#include <stdlib.h>

static bool read_all(struct slice s)
{
	struct wire w = wire_of(s);
	bool good = wire_u32(&w) == 7 && wire_u64(&w) == UINT64_MAX && wire_i64(&w) == -5 &&
		    slice_equal(wire_get(&w), SLICE_LIT("a\0b"));
	AUTO(mem_freep) char *text = wire_str(&w);
	AUTO(mem_freep) char *none = wire_str(&w);
	AUTO(mem_freep) char *empty = wire_str(&w);

	return wire_done(&w, "test", NULL) == 0 && good && text && strcmp(text, "text") == 0 && !none && empty &&
	       !*empty;
}

int main(void)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(1000);
	AUTO(err_freep) struct err *e = NULL;

	wire_put_u32(&b, 7);
	wire_put_u64(&b, UINT64_MAX);
	wire_put_i64(&b, -5);
	wire_put(&b, SLICE_LIT("a\0b"));
	wire_put_str(&b, "text");
	wire_put_str(&b, NULL);
	wire_put_str(&b, "");
	ok(read_all(buf_view(&b)), "everything comes back, NULL apart from empty");
	ok(memcmp(b.p, "\7\0\0\0", 4) == 0, "numbers are little-endian");

	bool all = true;
	for (size_t n = 0; n < b.n; n++) {
		AUTO(mem_freep) char *exact = mem_dup(b.p, n);

		all = all && !read_all((struct slice){ exact, n });
	}
	ok(all, "every shorter message is bad");

	struct wire more = wire_of(SLICE_LIT("\1\0\0\0x"));
	wire_u32(&more);
	ok(wire_done(&more, "job", &e) < 0 && err_kind(e) == ERR_BUG, "left-over bytes are bad");
	is_str(err_text(e), "job: message has 1 bytes too many", "and are told");

	struct wire nul = wire_of(SLICE_LIT("\3\0\0\0a\0b"));
	AUTO(mem_freep) char *text = wire_str(&nul);
	ok(!text && nul.bad, "a NUL inside a string is bad");

	struct wire long_one = wire_of(SLICE_LIT("\xfe\xff\xff\xff" "abc"));
	ok(wire_get(&long_one).n == 0 && long_one.bad, "a length beyond the end is bad");
	ok(wire_u64(&long_one) == 0 && wire_get(&long_one).n == 0, "and everything after it is empty");
	return done_testing();
}
