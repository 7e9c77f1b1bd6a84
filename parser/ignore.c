/* parser/ignore.c - the lines of an ignore file, the values of --exclude (spec/dockerfile.md 12.2, 9.11). */
#include "parser/ignore.h"

#include "base/mem.h"
#include "parser/diag.h"
#include "parser/words.h"

enum { IGNORE_FILE_MAX = 4 << 20, IGNORE_PATTERN_MAX = 100000, IGNORE_LINE_MAX = 64 << 10 };

/* Drop the last component of what was written behind `base`, if there is one. */
static bool drop_last(struct buf *out, size_t base)
{
	size_t n = out->n;

	if (n == base)
		return false;
	while (n > base && out->p[n - 1] != '/')
		n--;
	if (out->n - n == 2 && out->p[n] == '.' && out->p[n + 1] == '.')
		return false;
	out->n = n > base ? n - 1 : n;
	out->p[out->n] = '\0';
	return true;
}

void path_clean(struct slice path, struct buf *out)
{
	size_t start = out->n;
	bool rooted = slice_starts(path, "/");
	struct slice part = SLICE_NONE;

	buf_str(out, rooted ? "/" : "");

	size_t base = out->n;

	for (bool more = true; more;) {
		more = slice_cut(path, '/', &part, &path);
		if (part.n == 0 || slice_is(part, "."))
			continue;
		if (slice_is(part, "..") && (drop_last(out, base) || rooted))
			continue;
		if (out->n > base)
			buf_char(out, '/');
		buf_slice(out, part);
	}
	if (out->n == start)
		buf_char(out, '.');
}

int exclude_add(struct pats *p, struct slice value, struct err **e)
{
	AUTO(buf_freep) struct buf clean = BUF_MAX(IGNORE_FILE_MAX);

	value = trim_blanks(value);
	if (value.n == 0)
		return 0;
	path_clean(value, &clean);
	if (buf_ok(&clean, "exclude pattern", e) < 0)
		return -1;

	struct slice text = buf_view(&clean);
	bool negative = slice_starts(text, "!");

	if (negative && text.n == 1)
		return err_set(e, ERR_INPUT, "illegal exclusion pattern: '!'");
	return pats_add(p, slice_skip(text, negative), negative, 0, e);
}

static int add_line(struct pats *p, struct slice line, unsigned number, struct err **e)
{
	AUTO(buf_freep) struct buf clean = BUF_MAX(IGNORE_LINE_MAX + 2);
	bool negative = false;

	if (slice_starts(line, "#"))
		return 0;
	line = trim_blanks(line);
	if (line.n == 0)
		return 0;
	negative = slice_starts(line, "!");
	if (negative)
		line = trim_blanks(slice_skip(line, 1));
	if (line.n == 0) {
		err_set(e, ERR_INPUT, "illegal exclusion pattern: '!'");
		return err_hint(e, "write the pattern to keep behind the '!'");
	}
	path_clean(line, &clean);

	struct slice text = buf_view(&clean);

	if (text.n > 1)
		text = slice_skip(text, slice_starts(text, "/"));
	return pats_add(p, text, negative, number, e);
}

static int add_lines(struct pats *p, const struct source *s, struct err **e)
{
	for (unsigned i = 1; i <= source_lines(s); i++) {
		struct slice line = source_line(s, i);
		struct span at = source_line_span(s, i);

		at.to = at.from + (uint32_t)line.n;
		if (line.n > IGNORE_LINE_MAX) {
			err_set(e, ERR_LIMIT, "a line of %zu bytes, at most %d are read", line.n, IGNORE_LINE_MAX);
			return diag_place(e, s, at);
		}
		if (pats_count(p) == IGNORE_PATTERN_MAX) {
			err_set(e, ERR_LIMIT, "more than %d patterns", IGNORE_PATTERN_MAX);
			return diag_place(e, s, at);
		}
		if (add_line(p, line, i, e) < 0)
			return diag_place(e, s, at);
	}
	return 0;
}

static void source_freep(struct source **s)
{
	source_free(*s);
}

int ignore_parse(const char *name, struct slice text, struct pats **ret, struct err **e)
{
	AUTO(source_freep) struct source *s = NULL;
	AUTO(pats_freep) struct pats *p = pats_new();

	if (text.n > IGNORE_FILE_MAX)
		return err_set(e, ERR_LIMIT, "'%s' has %zu bytes, at most %d are read", name, text.n, IGNORE_FILE_MAX);
	if (source_new(name, text, &s, e) < 0 || add_lines(p, s, e) < 0)
		return -1;
	*ret = take(&p);
	return 0;
}
