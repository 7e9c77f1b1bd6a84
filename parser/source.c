/* parser/source.c - a file's bytes and its line index. */
#include "parser/source.h"

#include "base/mem.h"

#include <stdlib.h>

enum { SOURCE_MAX = 16 << 20 };          /* spec/threats.md 17 */

struct source {
	char *name;
	char *text;
	size_t n;
	uint32_t *start;                 /* of each line; one more entry: n */
	unsigned nline;
};

static void index_lines(struct source *s)
{
	size_t cap = 0, lines = 0;

	for (size_t at = 0; at < s->n;) {
		const char *lf = memchr(s->text + at, '\n', s->n - at);

		MEM_ROOM(s->start, lines + 1, cap);
		s->start[lines++] = (uint32_t)at;
		at = lf ? (size_t)(lf - s->text) + 1 : s->n;
	}
	MEM_ROOM(s->start, lines, cap);
	s->start[lines] = (uint32_t)s->n;
	s->nline = (unsigned)lines;
}

int source_new(const char *name, struct slice text, struct source **ret, struct err **e)
{
	if (slice_starts(text, "\xEF\xBB\xBF"))
		text = slice_skip(text, 3);
	if (text.n > SOURCE_MAX) {
		err_set(e, ERR_LIMIT, "'%s' has %zu bytes, at most %d are read", name, text.n, SOURCE_MAX);
		return err_hint(e, "check that this is the file you meant");
	}

	struct source *s = mem_zalloc(sizeof(*s));

	s->name = mem_str(name);
	s->text = mem_alloc(text.n + 1);
	if (text.n)
		memcpy(s->text, text.p, text.n);
	s->text[text.n] = '\0';
	s->n = text.n;
	index_lines(s);
	*ret = s;
	return 0;
}

void source_free(struct source *s)
{
	if (!s)
		return;
	free(s->name);
	free(s->text);
	free(s->start);
	free(s);
}

const char *source_name(const struct source *s)
{
	return s->name;
}

struct slice source_text(const struct source *s)
{
	return (struct slice){ s->text, s->n };
}

unsigned source_lines(const struct source *s)
{
	return s->nline;
}

struct span source_line_span(const struct source *s, unsigned line)
{
	if (line == 0 || line > s->nline)
		return (struct span){ (uint32_t)s->n, (uint32_t)s->n };
	return (struct span){ s->start[line - 1], s->start[line] };
}

struct slice source_line(const struct source *s, unsigned line)
{
	struct span at = source_line_span(s, line);

	while (at.to > at.from && (s->text[at.to - 1] == '\n' || s->text[at.to - 1] == '\r'))
		at.to--;
	return (struct slice){ s->text + at.from, at.to - at.from };
}

/* Columns count characters, not bytes: bytes that continue a UTF-8 sequence are skipped. */
void source_where(const struct source *s, uint32_t offset, unsigned *line, unsigned *column)
{
	size_t low = 0, high = s->nline;

	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;

		if (s->start[mid] <= offset)
			low = mid;
		else
			high = mid;
	}
	*line = (unsigned)low + 1;
	*column = 1;
	for (size_t i = s->start[low]; i < offset && i < s->n; i++)
		if (((unsigned char)s->text[i] & 0xC0) != 0x80)
			(*column)++;
}
