/* tests/unit/glob.c - spec/dockerfile.md Appendix B and C, verdicts of 12.3. */
#include "tests/tap.h"

#include "base/glob.h"
#include "base/mem.h"

#include <limits.h>
#include <stdlib.h>
#include <time.h>

enum answer { NO, YES, BAD };

static const struct { const char *pattern, *name; enum answer want; } globs[] = {
	{ "abc", "abc", YES },
	{ "abc", "abcd", NO },
	{ "abc", "ab", NO },
	{ "", "", YES },
	{ "", "a", NO },
	{ "*", "", YES },
	{ "*", "abc", YES },
	{ "*", ".hidden", YES },
	{ "*", "a/b", NO },
	{ "**", "a/b", NO },
	{ "**", "ab", YES },
	{ "a*/b", "abc/b", YES },
	{ "a*/b", "a/c/b", NO },
	{ "*/b", "a/b", YES },
	{ "*c", "abcbc", YES },
	{ "a*b*c", "aXbXXbc", YES },
	{ "a*b?c*x", "abxbbxdbxebxczzx", YES },
	{ "a*b?c*x", "abxbbxdbxebxczzy", NO },
	{ "a?c", "abc", YES },
	{ "a?c", "a/c", NO },
	{ "?", "\xC3\xA4", YES },
	{ "??", "\xC3\xA4", NO },
	{ "ab[c]", "abc", YES },
	{ "ab[b-d]", "abc", YES },
	{ "ab[e-g]", "abc", NO },
	{ "ab[^c]", "abc", NO },
	{ "ab[^b-d]", "abc", NO },
	{ "ab[^e-g]", "abc", YES },
	{ "a[^a]b", "a/b", NO },
	{ "[!a]", "!", YES },
	{ "[!a]", "b", NO },
	{ "[\xC3\xA4-\xC3\xBC]", "\xC3\xB6", YES },
	{ "[\\]a]", "]", YES },
	{ "[\\-]", "-", YES },
	{ "[x\\-]", "-", YES },
	{ "[a^]", "^", YES },
	{ "[*]", "*", YES },
	{ "[[]", "[", YES },
	{ "a\\*b", "a*b", YES },
	{ "a\\*b", "axb", NO },
	{ "\\a", "a", YES },
	{ "]", "]", YES },
	{ "[]a]", "]", BAD },
	{ "[-]", "-", BAD },
	{ "[x-]", "x", BAD },
	{ "[-x]", "x", BAD },
	{ "[a-b-c]", "a", BAD },
	{ "[", "a", BAD },
	{ "[^", "a", BAD },
	{ "[^bc", "a", BAD },
	{ "[]", "a", BAD },
	{ "a[", "ab", BAD },
	{ "a\\", "a", BAD },
	{ "[\\", "a", BAD },
	{ "*x[", "ab", BAD },
};

static void run_glob(size_t i)
{
	struct slice p = slice_of(globs[i].pattern);
	bool bad = glob_check(p, NULL) < 0;
	int got = glob_match(p, slice_of(globs[i].name));

	ok(bad == (globs[i].want == BAD) && got == (globs[i].want == YES ? GLOB_YES : GLOB_NO), "glob '%s' on '%s' is %s",
	   globs[i].pattern, globs[i].name, globs[i].want == BAD ? "malformed" : globs[i].want == YES ? "a hit" : "none");
}

static const struct { const char *pattern, *path; bool want; } ones[] = {
	{ "*.md", "README.md", true },
	{ "*.md", "docs/a.md", false },
	{ "**/*.md", "README.md", true },
	{ "**/*.md", "docs/a.md", true },
	{ "**/*.md", "docs/b/a.md", true },
	{ "docs", "docs", true },
	{ "docs", "x/docs", false },
	{ "**/docs", "x/docs", true },
	{ "**/docs", "docs", true },
	{ "**/docs", "xdocs", false },
	{ "docs/**", "docs/a", true },
	{ "docs/**", "docs/b/c", true },
	{ "docs/**", "docs", false },
	{ "*/temp*", "a/temporary.txt", true },
	{ "*/temp*", "temp", false },
	{ "*/temp*", "a/b/temp", false },
	{ "temp?", "tempa", true },
	{ "temp?", "temp", false },
	{ "temp?", "temp/", false },
	{ "**", "a/b/c", true },
	{ "**", "a", true },
	{ "a**", "a", true },
	{ "a**", "ab", true },
	{ "a**", "ab/c", true },
	{ "a**", "b", false },
	{ "a/**/b", "a/b", true },
	{ "a/**/b", "a/x/y/b", true },
	{ "a/**/b", "a/xb", false },
	{ "a**b", "ab", true },
	{ "a**b", "ax/y/b", true },
	{ "a**b", "axb", false },
	{ "**foo", "a/xfoo", true },
	{ "**foo", "xfoo", true },
	{ "**foo*", "a/xfoo", false },
	{ "**foo*", "a/foox", true },
	{ "**x*", "x", true },
	{ "**/**", "a/b", true },
	{ "*/**/c*", "a/c", true },
	{ "*/**/c*", "a/b/cd", true },
	{ "*/**/c*", "c", false },
	{ "**/a*/**/b?", "x/ay/z/bc", true },
	{ "[a-c]x", "bx", true },
	{ "[^a]x", "/x", true },
	{ "a[^x]b", "a/b", true },
	{ "\\d", "d", true },
	{ "\\d", "1", false },
	{ "^*", "^a", true },
	{ "a.b*", "axb", false },
	{ "a+*", "a+", true },
	{ "(a|b)*", "(a|b)", true },
	{ "$*", "$x", true },
	{ "\xC3\xA4?", "\xC3\xA4\xC3\xB6", true },
	{ ".", "a", false },
	{ "/", "a", false },
};

static void run_one(size_t i)
{
	AUTO(pats_freep) struct pats *p = pats_new();

	ok(pats_add(p, slice_of(ones[i].pattern), false, 0, NULL) == 0 &&
		   pats_match_one(p, 0, slice_of(ones[i].path)) == ones[i].want,
	   "pattern '%s' %s '%s'", ones[i].pattern, ones[i].want ? "hits" : "does not hit", ones[i].path);
}

/* Patterns separated by blanks, '!' in front of negative ones. The path is judged from its first component on. */
static const struct { const char *patterns, *path; bool ignored; int decided_by; } verdicts[] = {
	{ "* !keep", "keep/a.log", false, 1 },
	{ "* !keep", "other/a", true, 0 },
	{ "**/*.log !keep", "keep/a.log", true, 0 },
	{ "**/*.log !keep/**", "keep/a.log", false, 1 },
	{ "a/b !a", "a/b", true, 0 },
	{ "docs !docs/*.md docs/x.md", "docs/x.md", true, 2 },
	{ "docs !docs/*.md docs/x.md", "docs/y.md", false, 1 },
	{ "docs !docs/*.md docs/x.md", "docs/y.txt", true, 0 },
	{ "a/b/f !a/b", "a/b/f", true, 0 },
	{ "* !*/b", "a/b/f", false, 1 },
	{ "* !*/b", "a/g", true, 0 },
	{ "a[/]b", "a/b/f", true, 0 },
	{ "docs", "docs/a/b/c", true, 0 },
	{ "docs", "doc", false, -1 },
	{ "dir !dir/file", "dir/file", false, 1 },
	{ "dir !dir/file", "dir/other", true, 0 },
	{ "!a", "a", false, -1 },
	{ "a !a a", "a", true, 2 },
	{ "**/node_modules", "x/node_modules/y/z", true, 0 },
};

static void add_all(struct pats *p, const char *patterns)
{
	struct slice rest = slice_of(patterns), one = SLICE_NONE;

	for (bool more = true; more;) {
		more = slice_cut(rest, ' ', &one, &rest);
		pats_add(p, slice_skip(one, slice_starts(one, "!")), slice_starts(one, "!"), 0, NULL);
	}
}

enum { LEVELS = 8 };

/* Judge every directory on the way, then the path itself: the last of the levels used. */
static size_t judge(const struct pats *p, struct slice path, struct pats_hits levels[LEVELS])
{
	size_t n = 0;

	for (size_t at = 0; at <= path.n; at++)
		if (at == path.n || path.p[at] == '/') {
			pats_hits_init(&levels[n], p);
			pats_judge(p, (struct slice){ path.p, at }, n ? &levels[n - 1] : NULL, &levels[n]);
			n++;
		}
	return n;
}

static void clear(struct pats_hits levels[LEVELS], size_t n)
{
	for (size_t k = 0; k < n; k++)
		pats_hits_clear(&levels[k]);
}

static void run_verdict(size_t i)
{
	AUTO(pats_freep) struct pats *p = pats_new();
	struct pats_hits levels[LEVELS] = { 0 };
	size_t n = 0;

	add_all(p, verdicts[i].patterns);
	n = judge(p, slice_of(verdicts[i].path), levels);
	ok(levels[n - 1].ignored == verdicts[i].ignored && levels[n - 1].decided_by == verdicts[i].decided_by,
	   "with '%s' the path '%s' is %s by %d", verdicts[i].patterns, verdicts[i].path,
	   verdicts[i].ignored ? "ignored" : "kept", verdicts[i].decided_by);
	clear(levels, n);
}

static const struct { const char *patterns, *dir; bool want; } rescues[] = {
	{ "*", "a", false },
	{ "* !b/c", "a", false },
	{ "* !a/c", "a", true },
	{ "* !a/b/c", "a/b", true },
	{ "* !a/b/c", "a/x", false },
	{ "* !**/*.go", "a", true },
	{ "* !*.go", "a", false },
	{ "!a/b *", "a", false },
	{ "* !a/**", "a", true },
	{ "* !**foo", "x", true },
	{ "* !*/x", "a", true },
	{ "* !*/x", "a/b", false },
};

static void run_rescue(size_t i)
{
	AUTO(pats_freep) struct pats *p = pats_new();
	struct pats_hits levels[LEVELS] = { 0 };
	size_t n = 0;

	add_all(p, rescues[i].patterns);
	n = judge(p, slice_of(rescues[i].dir), levels);
	ok(levels[n - 1].ignored && pats_may_rescue(p, slice_of(rescues[i].dir), &levels[n - 1]) == rescues[i].want,
	   "with '%s' something below '%s' %s", rescues[i].patterns, rescues[i].dir,
	   rescues[i].want ? "may be rescued" : "cannot be rescued");
	clear(levels, n);
}

static void run_hard(void)
{
	AUTO(pats_freep) struct pats *p = pats_new();
	char path[4001] = { 0 };
	clock_t start = clock();

	memset(path, 'a', 4000);
	for (size_t i = 50; i < 4000; i += 50)
		path[i] = '/';
	pats_add(p, slice_of("**/a*a*a*a*a/**/a*a*a*a*/**/b"), false, 0, NULL);
	ok(!pats_match_one(p, 0, slice_of(path)), "a path of 4,000 bytes against many stars");
	ok(!glob_match(slice_of("a*a*a*a*a*a*a*a*a*b"), (struct slice){ path, 49 }), "many stars in one component");
	ok(clock() - start < CLOCKS_PER_SEC, "both end at once");
	ok(pats_add(p, slice_of("[a"), false, 0, NULL) < 0 && pats_count(p) == 1, "a malformed pattern is not added");
	ok(glob_has_meta(slice_of("a*")) && glob_has_meta(slice_of("[")) && !glob_has_meta(slice_of("a\\*b]")),
	   "escaped wildcards are none");
}

/* Components, joined by '|'. */
static const struct { const char *pattern, *want; } cuts[] = {
	{ "a", "a" },
	{ "a*/b?/c", "a*|b?|c" },
	{ "x[a/b]y/z", "x[a/b]y|z" },
	{ "[^\\]/a]/[[/]", "[^\\]/a]|[[/]" },
	{ "a\\/*/\\[/b", "a|*|\\[|b" },
};

static void run_cut(size_t i)
{
	AUTO(buf_freep) struct buf got = BUF_MAX(256);
	struct slice rest = slice_of(cuts[i].pattern), one;
	bool more = true;

	while (more) {
		more = glob_cut(rest, &one, &rest);
		buf_printf(&got, "%s%.*s", got.n ? "|" : "", SLICE_F(one));
	}
	is_str(got.p, cuts[i].want, cuts[i].pattern);
}

/* 19.1 */
static const struct { const char *pattern, *name; unsigned want; } distances[] = {
	{ "*.jsn", "package.json", 1 },
	{ "*.MD", "README.md", 0 },
	{ "ma[io]n*.c", "mainly.c", 0 },
	{ "mian?.c", "main2.c", 2 },
	{ "*\\*x.tar", "a*y.tar", 1 },
	{ "*.md", "a.c", UINT_MAX },
	{ "*", "a", UINT_MAX },
	{ "[a", "a", UINT_MAX },
	{ "abcd*", "", UINT_MAX },
};

int main(void)
{
	for (size_t i = 0; i < countof(distances); i++)
		is_int(glob_distance(slice_of(distances[i].pattern), slice_of(distances[i].name)), distances[i].want, distances[i].pattern);
	for (size_t i = 0; i < countof(globs); i++)
		run_glob(i);
	for (size_t i = 0; i < countof(cuts); i++)
		run_cut(i);
	for (size_t i = 0; i < countof(ones); i++)
		run_one(i);
	for (size_t i = 0; i < countof(verdicts); i++)
		run_verdict(i);
	for (size_t i = 0; i < countof(rescues); i++)
		run_rescue(i);
	run_hard();
	return done_testing();
}
