/* parser/fuzz_ignore.c - an ignore file, a NUL, a path: the matchers agree with slow ones, and with each other. */
#include "base/mem.h"
#include "parser/ignore.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SMALL = 14, LEVELS = 16 };

/* Appendix B without classes, as it is written there. */
static bool slow_glob(const char *p, size_t np, const char *s, size_t ns)
{
	if (np == 0)
		return ns == 0;
	if (*p == '*')
		return slow_glob(p + 1, np - 1, s, ns) || (ns && *s != '/' && slow_glob(p, np, s + 1, ns - 1));
	if (ns == 0)
		return false;
	if (*p == '\\') {
		p++;
		np--;
	} else if (*p == '?') {
		return *s != '/' && slow_glob(p + 1, np - 1, s + 1, ns - 1);
	}
	return *p == *s && slow_glob(p + 1, np - 1, s + 1, ns - 1);
}

/* Appendix C without classes. */
static bool slow_pattern(const char *p, size_t np, const char *s, size_t ns)
{
	if (np >= 2 && p[0] == '*' && p[1] == '*') {
		p += 2;
		np -= 2;
		if (np && *p == '/') {
			p++;
			np--;
		}
		if (np == 0 || slow_pattern(p, np, s, ns))
			return true;
		for (size_t i = 0; i < ns; i++)
			if (s[i] == '/' && slow_pattern(p, np, s + i + 1, ns - i - 1))
				return true;
		return false;
	}
	if (np == 0)
		return ns == 0;
	if (*p == '*')
		return slow_pattern(p + 1, np - 1, s, ns) || (ns && *s != '/' && slow_pattern(p, np, s + 1, ns - 1));
	if (ns == 0)
		return false;
	if (*p == '\\') {
		p++;
		np--;
	} else if (*p == '?') {
		return *s != '/' && slow_pattern(p + 1, np - 1, s + 1, ns - 1);
	}
	return *p == *s && slow_pattern(p + 1, np - 1, s + 1, ns - 1);
}

/* Bytes and characters are the same thing only in ASCII. */
static bool is_plain(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80 || s.p[i] == '[')
			return false;
	return s.n <= SMALL;
}

/* "**foo" compares the end of the path: the one rule the slow form does not have. */
static bool ends_with_text(struct slice p)
{
	return slice_starts(p, "**") && !slice_starts(p, "**/");
}

static void compare(const struct pats *p, struct slice path)
{
	for (size_t i = 0; i < pats_count(p); i++) {
		struct slice text = pats_text(p, i);

		if (!is_plain(text) || !is_plain(path))
			continue;
		assert((glob_match(text, path) == GLOB_YES) == slow_glob(text.p, text.n, path.p, path.n));
		if (!ends_with_text(text))
			assert(pats_match_one(p, i, path) == slow_pattern(text.p, text.n, path.p, path.n));
	}
}

/* What is kept below an ignored directory must have been announced by pats_may_rescue(). */
static void judge(const struct pats *p, struct slice path)
{
	struct pats_hits levels[LEVELS] = { 0 };
	bool hopeless = false;
	size_t n = 0;

	for (size_t at = 1; at <= path.n && n < LEVELS; at++) {
		if (at < path.n && path.p[at] != '/')
			continue;

		struct slice dir = { path.p, at };

		pats_hits_init(&levels[n], p);
		pats_judge(p, dir, n ? &levels[n - 1] : NULL, &levels[n]);
		assert(!hopeless || levels[n].ignored);
		hopeless |= levels[n].ignored && !pats_may_rescue(p, dir, &levels[n]);
		n++;
	}
	for (size_t i = 0; i < n; i++)
		pats_hits_clear(&levels[i]);
}

static void check_clean(struct slice path)
{
	AUTO(buf_freep) struct buf once = BUF_MAX(1 << 20), twice = BUF_MAX(1 << 20);

	path_clean(path, &once);
	path_clean(buf_view(&once), &twice);
	assert(slice_equal(buf_view(&once), buf_view(&twice)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = { (const char *)data, size }, path = SLICE_NONE;
	AUTO(pats_freep) struct pats *p = NULL;
	AUTO(pats_freep) struct pats *excluded = pats_new();
	AUTO(err_freep) struct err *e = NULL;
	AUTO(buf_freep) struct buf clean = BUF_MAX(1 << 20);

	slice_cut(text, '\0', &text, &path);
	check_clean(path);
	path_clean(path, &clean);
	path = slice_trim(buf_view(&clean), "/");
	exclude_add(excluded, text, NULL);
	compare(excluded, path);
	if (ignore_parse(".dockerignore", text, &p, &e) < 0) {
		assert(err_placed(e) || err_kind(e) == ERR_LIMIT);
		return 0;
	}
	compare(p, path);
	judge(p, path);
	return 0;
}
