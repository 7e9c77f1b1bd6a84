/* tests/unit/idmap.c - subordinate ranges: what is read, what is dropped, what the kernel then gets. */
#include "base/idmap.h"
#include "tests/tap.h"

#include <stdio.h>

static const struct {
	const char *name, *text, *want;       /* want: "inside:outside:count ..." */
} cases[] = {
	{ "an entry by name", "u:100000:65536\n", "1:100000:65536" },
	{ "an entry by number", "1000:100000:65536", "1:100000:65536" },
	{ "U5 other owners are skipped", "v:1:5\nu:100:5\n10000:7:7\n", "1:100:5" },
	{ "several entries lie back to back", "u:100:5\nu:300:6\n", "1:100:5 6:300:6" },
	{ "U5 the own id is cut out", "u:990:20\n", "1:990:10 11:1001:9" },
	{ "U5 an overlap is taken once", "u:100:10\nu:105:10\n", "1:100:10 11:110:5" },
	{ "a range around another gives both ends", "u:105:2\nu:100:10\n", "1:105:2 3:100:5 8:107:3" },
	{ "a count of 0 is skipped", "u:100:0\nu:200:1", "1:200:1" },
	{ "hexadecimal and octal are numbers", "u:0x64:0x0a\nu:0310:012", "1:100:10 11:200:10" },
	{ "U5 signs, blanks and words are not", "u:-5:10\nu: 5:10\nu:5:ten\nu:5:10:\nu:5\n:5:5\nu::5\n", "" },
	{ "U5 a range over the end of the ids is skipped", "u:4294967290:10\nu:4294967290:6\n", "1:4294967290:6" },
	{ "a comment matches nobody", "# u:1:1\n#u:1:1\n", "" },
	{ "a name of digits only is an id", "01000:5:5\n", "1:5:5" },
};

static void test_parse(void)
{
	for (size_t i = 0; i < countof(cases); i++) {
		AUTO(buf_freep) struct buf got = BUF_MAX(1000);
		struct idmap_extent ext[16];
		unsigned n = 0;
		uint32_t next = 1;

		idmap_parse(slice_of(cases[i].text), "u", 1000, 1000, ext, countof(ext), &n, &next);
		buf_str(&got, "");
		for (unsigned k = 0; k < n; k++)
			buf_printf(&got, "%s%u:%u:%u", k ? " " : "", ext[k].inside, ext[k].outside, ext[k].count);
		is_str(got.p, cases[i].want, cases[i].name);
	}
}

static void test_bounds(void)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(1 << 20);
	struct idmap_extent ext[4];
	unsigned n = 0;
	uint32_t next = 1;

	for (int i = 0; i < 1000; i++)
		buf_printf(&text, "u:%d:10\n", 100000 - i * 20);
	idmap_parse(buf_view(&text), "u", 1000, 1000, ext, countof(ext), &n, &next);
	is_int(n, 4, "no more extents than there is room for");
	ok(idmap_covers(ext, n, 1) && idmap_covers(ext, n, 40) && !idmap_covers(ext, n, 41) && !idmap_covers(ext, n, 0),
	   "covers knows the ends");
}

static void test_plan(void)
{
	struct err *e = NULL;
	struct idmap m, worse;
	char a[16], b[16];

	ok(idmap_plan(&m, &e) == 0 && m.why[0], "there is always a plan: %s", m.why);
	idmap_flavour(&m, a);
	worse = m;
	err_set(&e, ERR_HOST, "newuidmap refused: no");
	if (m.how == IDMAP_HELPERS) {
		ok(idmap_worse(&worse, e) && worse.how == IDMAP_SINGLE && worse.nuid == 1, "helpers fall to one id");
		is_str(worse.why, "newuidmap refused: no", "with the cause");
		idmap_flavour(&worse, b);
		ok(strcmp(a, b) != 0, "and another flavour: %s, %s", a, b);
		ok(idmap_covers(m.uid, m.nuid, 65534), "nobody is mapped");
	} else {
		ok(!idmap_worse(&worse, e), "nothing is worse");
	}
	err_free(e);
}

int main(void)
{
	test_parse();
	test_bounds();
	test_plan();
	return done_testing();
}
