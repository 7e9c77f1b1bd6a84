/* tests/unit/slice.c - borrowed bytes. */
#include "base/slice.h"
#include "tests/tap.h"

static void numbers(void)
{
	static const struct {
		const char *in;
		bool good;
		uint64_t value;
	} cases[] = {
		{ "0", true, 0 },
		{ "18446744073709551615", true, UINT64_MAX },
		{ "18446744073709551616", false, 0 },
		{ "", false, 0 },
		{ "-1", false, 0 },
		{ "+1", false, 0 },
		{ " 1", false, 0 },
		{ "1 ", false, 0 },
		{ "0x1", false, 0 },
		{ "007", true, 7 },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		uint64_t v = 0;
		bool good = slice_u64(slice_of(cases[i].in), &v);

		ok(good == cases[i].good && v == cases[i].value, "X8: number '%s'", cases[i].in);
	}
	uint64_t v = 0;
	ok(slice_octal(slice_of("7777"), 07777, &v) && v == 07777, "octal up to its maximum");
	ok(!slice_octal(slice_of("10000"), 07777, &v), "octal beyond its maximum");
	ok(!slice_octal(slice_of("8"), 07777, &v), "8 is no octal digit");
}

static void distances(void)
{
	static const struct {
		const char *a, *b;
		bool nocase;
		unsigned want;
	} cases[] = {
		{ "WORKDIR", "WORKDIR", false, 0 }, { "WROKDIR", "WORKDIR", false, 2 }, { "workdi", "WORKDIR", true, 1 },
		{ "run", "RUN", false, 3 },         { "", "ab", false, 2 },             { "abcdef", "uvwxyz", false, 3 },
		{ "kitten", "sitting", false, 3 },  { "", "", false, 0 },               { "a", "abcdefgh", false, 3 },
		{ "xabc", "abcy", false, 2 },       { "ab", "ba", false, 2 },           { "abcd", "bcd", false, 1 },
		{ "abc", "cab", false, 2 },         { "aabbcc", "abcc", false, 2 },     { "abcdef", "bcdefab", false, 3 },
	};

	for (size_t i = 0; i < countof(cases); i++)
		is_int(slice_distance(slice_of(cases[i].a), slice_of(cases[i].b), cases[i].nocase), cases[i].want,
		       cases[i].a);
}

static void cutting(void)
{
	struct slice head = SLICE_NONE, tail = SLICE_NONE;

	ok(slice_cut(slice_of("a=b=c"), '=', &head, &tail) && slice_is(head, "a") && slice_is(tail, "b=c"),
	   "cut at the first separator");
	ok(!slice_cut(slice_of("abc"), '=', &head, &tail) && slice_is(head, "abc") && tail.n == 0,
	   "no separator: all is head");
	ok(slice_is(slice_trim(slice_of("  x y\t"), " \t"), "x y"), "trim both ends");
	ok(slice_trim(slice_of("   "), " ").n == 0, "trim everything");
	ok(slice_starts(slice_of("abc"), "ab") && !slice_starts(slice_of("a"), "ab"), "prefix");
	ok(slice_ends(slice_of("abc"), "bc") && !slice_ends(slice_of("c"), "bc"), "suffix");
	ok(slice_is_nocase(slice_of("CoPy"), "COPY") && !slice_is_nocase(slice_of("COPYX"), "COPY"), "letter case");
	ok(slice_cmp(slice_of("a"), slice_of("ab")) < 0 && slice_cmp(slice_of("b"), slice_of("ab")) > 0 &&
		   slice_cmp(SLICE_NONE, slice_of("")) == 0,
	   "order is bytewise, then by length");
	ok(slice_skip(slice_of("ab"), 5).n == 0, "skipping too much is the end");
}

int main(void)
{
	numbers();
	distances();
	cutting();
	return done_testing();
}
