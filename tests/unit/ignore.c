/* tests/unit/ignore.c - the lines of an ignore file (spec/dockerfile.md 12.2), --exclude values (9.11), path_clean. */
#include "tests/tap.h"

#include "base/mem.h"
#include "parser/ignore.h"

/* want: the patterns as "line:[!]text", joined by blanks. */
static const struct { const char *name, *text, *want, *err; } files[] = {
	{ "comments only with # in the first column", "#a\n  #b\n", "2:#b", NULL },
	{ "blanks are trimmed, empty lines skipped", "  a b  \n\n \t\nc\r\n", "1:a b 4:c", NULL },
	{ "a BOM is dropped", "\xEF\xBB\xBF#x\na", "2:a", NULL },
	{ "paths are cleaned", "./a\na/\na//b\na/../b\n/c\n//d\n", "1:a 2:a 3:a/b 4:b 5:c 6:d", NULL },
	{ "negation, also with blanks", "!a\n! b \n!/c/\n!!d", "1:!a 2:!b 3:!c 4:!!d", NULL },
	{ "dot and root match nothing but are there", ".\n/\n", "1:. 2:/", NULL },
	{ "upwards", "../a\n/../a\n", "1:../a 2:a", NULL },
	{ "backslash and stars stay", "a\\*b\n**/x\n", "1:a\\*b 2:**/x", NULL },
	{ "nothing", "", "", NULL },
	{ "a lone !", "a\n!\n", NULL, "illegal exclusion pattern" },
	{ "a lone ! with its line", "a\n!\n", NULL, ".dockerignore:2:1" },
	{ "an open class", "ok\n  x[\n", NULL, "syntax error in pattern" },
	{ "a trailing backslash", "a\\\n", NULL, "syntax error in pattern" },
};

static void list(const struct pats *p, const bool *negative, struct buf *out)
{
	for (size_t i = 0; i < pats_count(p); i++)
		buf_printf(out, "%s%u:%s%.*s", i ? " " : "", pats_line(p, i), negative[i] ? "!" : "",
			   SLICE_F(pats_text(p, i)));
}

/* Which patterns are negative shows in what they do: an ignored path is asked for each one alone. */
static bool is_negative(const struct pats *p, size_t i, const char *want)
{
	AUTO(mem_freep) char *mark = mem_printf("%u:!%.*s", pats_line(p, i), SLICE_F(pats_text(p, i)));

	return pats_has_negative(p) && want && strstr(want, mark);
}

static void run_file(size_t i)
{
	AUTO(pats_freep) struct pats *p = NULL;
	AUTO(err_freep) struct err *e = NULL;
	AUTO(buf_freep) struct buf got = BUF_MAX(10000);
	bool negative[16] = { false };

	buf_str(&got, "");
	if (ignore_parse(".dockerignore", slice_of(files[i].text), &p, &e) < 0) {
		err_print(e, &got);
		ok(files[i].err && strstr(got.p, files[i].err), "%s: %s", files[i].name, files[i].err);
		return;
	}
	for (size_t k = 0; k < pats_count(p); k++)
		negative[k] = is_negative(p, k, files[i].want);
	list(p, negative, &got);
	is_str(got.p, files[i].want, files[i].name);
}

static const struct { const char *in, *out; } cleans[] = {
	{ "", "." },
	{ ".", "." },
	{ "./a//b/../c/", "a/c" },
	{ "a/..", "." },
	{ "a/../..", ".." },
	{ "../../a", "../../a" },
	{ "/", "/" },
	{ "/..", "/" },
	{ "/../a/./b/", "/a/b" },
	{ "//a", "/a" },
	{ "a/b/../../c", "c" },
	{ "..a/..b", "..a/..b" },
	{ ".../x", ".../x" },
};

static const struct { const char *value, *path; bool hit; const char *err; } excludes[] = {
	{ "*.txt", "a.txt", true, NULL },
	{ "*.txt", "sub/a.txt", false, NULL },
	{ " ./x/ ", "x", true, NULL },
	{ "/a", "a", false, NULL },
	{ "#x", "#x", true, NULL },
	{ "! a", "a", false, NULL },
	{ "!", "a", false, "illegal exclusion pattern" },
	{ "[", "a", false, "syntax error in pattern" },
};

static void run_exclude(size_t i)
{
	AUTO(pats_freep) struct pats *p = pats_new();
	AUTO(err_freep) struct err *e = NULL;
	int rc = exclude_add(p, slice_of(excludes[i].value), &e);

	if (excludes[i].err)
		ok(rc < 0 && strstr(err_cause(e), excludes[i].err), "exclude '%s' is refused", excludes[i].value);
	else
		ok(rc == 0 && pats_match_one(p, 0, slice_of(excludes[i].path)) == excludes[i].hit, "exclude '%s' %s '%s'",
		   excludes[i].value, excludes[i].hit ? "hits" : "does not hit", excludes[i].path);
}

int main(void)
{
	for (size_t i = 0; i < countof(files); i++)
		run_file(i);
	for (size_t i = 0; i < countof(cleans); i++) {
		AUTO(buf_freep) struct buf out = BUF_MAX(1000);

		path_clean(slice_of(cleans[i].in), &out);
		is_str(out.p, cleans[i].out, cleans[i].in);
	}
	for (size_t i = 0; i < countof(excludes); i++)
		run_exclude(i);
	return done_testing();
}
