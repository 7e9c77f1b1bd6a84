/* tests/unit/buf.c - bounded bytes, escaping, JSON strings; arenas and times beside them. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/tap.h"

static void bounds(void)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(8);
	AUTO(err_freep) struct err *e = NULL;

	buf_str(&b, "");
	is_str(b.p, "", "adding nothing makes an empty string");
	buf_str(&b, "12345678");
	is_int(buf_ok(&b, "thing", &e), 0, "exactly the maximum fits");
	buf_char(&b, '9');
	is_str(b.p, "12345678", "what does not fit is dropped");
	ok(buf_ok(&b, "thing", &e) < 0 && err_kind(e) == ERR_LIMIT, "and is a limit error");
	is_str(err_text(e), "thing is larger than 8 bytes", "that names the thing and the limit");
	buf_reset(&b);
	ok(buf_room(&b, 9) == NULL && b.over, "no room beyond the maximum");
	buf_reset(&b);
	buf_printf(&b, "%s", "a longer text than fits");
	is_str(b.p, "a longer", "printing is cut at the maximum");
	buf_str(&b, "x");
	is_str(b.p, "a longer", "nothing is added behind a cut");
}

static void escaped(void)
{
	static const struct {
		const char *name, *in;
		size_t most;
		const char *out;
	} cases[] = {
		{ "plain text stays", "caf\xc3\xa9\t\n", SIZE_MAX, "caf\xc3\xa9\t\n" },
		{ "escape is shown", "\x1b[31m\r", SIZE_MAX, "\\x1b[31m\\x0d" },
		{ "delete is shown", "\x7f", SIZE_MAX, "\\x7f" },
		{ "C1 is shown", "\xc2\x9b" "31m", SIZE_MAX, "\\xc2\\x9b31m" },
		{ "bad UTF-8 is shown", "a\xff\xc3", SIZE_MAX, "a\\xff\\xc3" },
		{ "overlong is shown", "\xc0\xaf", SIZE_MAX, "\\xc0\\xaf" },
		{ "surrogate is shown", "\xed\xa0\x80", SIZE_MAX, "\\xed\\xa0\\x80" },
		{ "right-to-left override is shown", "a\xe2\x80\xae" "b", SIZE_MAX, "a\\xe2\\x80\\xaeb" },
		{ "isolate is shown", "\xe2\x81\xa6", SIZE_MAX, "\\xe2\\x81\\xa6" },
		{ "cut between characters", "ab\xc3\xa9" "cd", 3, "ab..." },
		{ "exact length is not cut", "abc", 3, "abc" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		AUTO(buf_freep) struct buf b = BUF_MAX(1000);

		buf_escaped(&b, slice_of(cases[i].in), cases[i].most);
		is_str(b.p, cases[i].out, cases[i].name);
	}
}

static void json(void)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(1000);

	buf_json(&b, SLICE_LIT("a\"b\\c/\n\t\x01\0\xff\xc3\xa9"));
	is_str(b.p, "\"a\\\"b\\\\c/\\n\\t\\u0001\\u0000\xef\xbf\xbd\xc3\xa9\"", "a JSON string escapes what it must");
	buf_reset(&b);
	buf_json(&b, SLICE_LIT("a\xc2\x9b" "1m\x7f\xe2\x80\xae"));
	is_str(b.p, "\"a\\u009b1m\\u007f\\u202e\"", "X7: and what steers a terminal or hides text");
}

static void arena(void)
{
	struct arena a = { 0 };
	bool zero = true, aligned = true;

	for (size_t i = 0; i < 2000; i++) {
		size_t n = i % 7 == 0 ? 5000 + i : i % 50;
		char *p = arena_alloc(&a, n);

		aligned = aligned && (uintptr_t)p % _Alignof(max_align_t) == 0;
		for (size_t j = 0; j < n; j++)
			zero = zero && p[j] == 0;
		memset(p, 0xee, n);
	}
	ok(zero && aligned, "arena memory is zeroed, aligned and not shared");
	is_str(arena_printf(&a, "%s-%d", "x", 5), "x-5", "arena_printf");
	arena_clear(&a);
	ok(a.head == NULL, "clear leaves it ready for reuse");
}

static void times(void)
{
	static const struct {
		const char *in;
		int rc;
		int64_t t;
	} cases[] = {
		{ "1970-01-01T00:00:00Z", 0, 0 },
		{ "2024-01-02T03:04:05.123456789Z", 0, 1704164645 },
		{ "2024-01-02T03:04:05+01:30", 0, 1704159245 },
		{ "2024-02-29t00:00:00z", 0, 1709164800 },
		{ "0001-01-01T00:00:00Z", 0, -62135596800 },
		{ "2023-02-29T00:00:00Z", -1, 0 },
		{ "2024-13-01T00:00:00Z", -1, 0 },
		{ "2024-01-02T03:04:05", -1, 0 },
		{ "2024-01-02T03:04:05.Z", -1, 0 },
		{ "2024-01-02 03:04:05Z", -1, 0 },
		{ "2024-01-02T03:04:05Zjunk", -1, 0 },
		{ "", -1, 0 },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		int64_t t = 0;
		int rc = clock_parse_rfc3339(slice_of(cases[i].in), &t);

		ok(rc == cases[i].rc && t == cases[i].t, "time '%s'", cases[i].in);
	}
	is_str(clock_rfc3339(1704164645).s, "2024-01-02T03:04:05Z", "a time is printed");
	is_str(clock_rfc3339(-62135596800).s, "0001-01-01T00:00:00Z", "the Go zero time is printed");
	char id[40];
	ok(strlen(clock_boot_id(id)) == 36, "the boot id has 36 characters");
}

int main(void)
{
	bounds();
	escaped();
	json();
	arena();
	times();
	return done_testing();
}
