/* parser/diag.c - excerpts of a Dockerfile. Escaping is left to err_print(), which does it for all text (threats.md X7);
 * only what would move the caret is replaced here. */
#include "parser/diag.h"

#include "base/utf8.h"

enum { EXCERPT_WIDTH = 120, EXCERPT_MAX = 64 << 10, CARET_LEAD = 60 };

/* One line from byte `from` on, cut to a width that fits a terminal; TABs and control characters as blanks. */
static void add_text(struct buf *out, struct slice line, size_t from)
{
	size_t shown = 0, width = 0;

	if (from)
		buf_str(out, "...");
	for (size_t i = from; i < line.n; i += width) {
		uint32_t c = utf8_decode(slice_skip(line, i), &width);

		if (shown++ == EXCERPT_WIDTH) {
			buf_str(out, "...");
			return;
		}
		if (c < 0x20 || (c >= 0x7F && c < 0xA0))
			buf_char(out, ' ');
		else
			buf_add(out, line.p + i, width);
	}
}

static size_t count_chars(struct slice s)
{
	size_t n = 0, width = 0;

	for (size_t i = 0; i < s.n; i += width, n++)
		utf8_decode(slice_skip(s, i), &width);
	return n;
}

/* Where a long line is cut so that the caret can be seen: at the start of a character. */
static size_t cut_at(struct slice line, size_t caret)
{
	size_t from = caret > EXCERPT_WIDTH - 20 ? caret - CARET_LEAD : 0;

	while (from && ((unsigned char)line.p[from] & 0xC0) == 0x80)
		from--;
	return from;
}

void diag_excerpt(const struct source *s, struct span at, struct buf *out)
{
	unsigned number = 0, column = 0;

	source_where(s, at.from, &number, &column);

	struct slice line = source_line(s, number);
	size_t caret = at.from - source_line_span(s, number).from;
	size_t end = at.to - source_line_span(s, number).from;

	if (caret > line.n)
		caret = line.n;
	if (end > line.n)
		end = line.n;

	size_t from = cut_at(line, caret);
	size_t lead = count_chars((struct slice){ line.p + from, caret - from }) + (from ? 3 : 0);
	size_t marks = end > caret ? count_chars((struct slice){ line.p + caret, end - caret }) : 1;

	if (lead + marks > EXCERPT_WIDTH + 3)
		marks = lead < EXCERPT_WIDTH + 3 ? EXCERPT_WIDTH + 3 - lead : 1;
	buf_printf(out, "%4u | ", number);
	add_text(out, line, from);
	buf_printf(out, "\n     | %*s^", (int)lead, "");
	for (size_t i = 1; i < marks; i++)
		buf_char(out, '~');
	buf_char(out, '\n');
}

int diag_place(struct err **e, const struct source *s, struct span at)
{
	AUTO(buf_freep) struct buf where = BUF_MAX(EXCERPT_MAX), text = BUF_MAX(EXCERPT_MAX);
	unsigned line = 0, column = 0;

	if (source_lines(s) == 0)
		return err_place(e, source_name(s), NULL);
	source_where(s, at.from, &line, &column);
	buf_printf(&where, "%s:%u:%u", source_name(s), line, column);
	diag_excerpt(s, at, &text);
	return err_place(e, where.p, text.p);
}

int diag_place_lines(struct err **e, const struct source *s, unsigned line, unsigned end_line)
{
	AUTO(buf_freep) struct buf where = BUF_MAX(EXCERPT_MAX), text = BUF_MAX(EXCERPT_MAX);
	unsigned around = line == end_line ? 2 : 1;
	unsigned first = line > around ? line - around : 1, last = end_line + around;

	if (last > source_lines(s))
		last = source_lines(s);
	buf_printf(&where, "%s:%u", source_name(s), line);
	buf_str(&text, "--------------------\n");
	for (unsigned i = first; i <= last; i++) {
		buf_printf(&text, " %3u | %s ", i, i >= line && i <= end_line ? ">>>" : "   ");
		add_text(&text, source_line(s, i), 0);
		buf_char(&text, '\n');
	}
	buf_str(&text, "--------------------\n");
	return err_place(e, where.p, text.p);
}
