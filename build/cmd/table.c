/* build/cmd/table.c - columns of text for people. */
#include "build/cmd/table.h"
#include "base/mem.h"

enum { CELL_MAX = 64 << 10, COLUMNS_MAX = 16 };

void table_cell(struct table *t, const char *fmt, ...)
{
	AUTO(buf_freep) struct buf raw = BUF_MAX(CELL_MAX);
	AUTO(buf_freep) struct buf safe = BUF_MAX(4 * CELL_MAX);
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&raw, fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < raw.n; i++)
		if (raw.p[i] == '\n' || raw.p[i] == '\t')
			raw.p[i] = ' ';
	buf_escaped(&safe, buf_view(&raw), CELL_MAX);
	strs_add(&t->cells, safe.n ? safe.p : "");
}

static size_t characters(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* At most `most` characters, "..." at a cut. */
static void put(struct buf *out, const char *s, size_t most, size_t width, bool right, bool last)
{
	size_t n = characters(s), take_n = most && n > most ? most - 3 : n, shown = most && n > most ? most : n;

	if (right)
		buf_printf(out, "%*s", (int)(width - shown), "");
	for (size_t i = 0; *s; s++) {
		if (((unsigned char)*s & 0xc0) != 0x80 && i++ == take_n)
			break;
		buf_char(out, *s);
	}
	if (shown != n)
		buf_str(out, "...");
	if (!right && !last)
		buf_printf(out, "%*s", (int)(width - shown), "");
}

void table_print(const struct table *t, size_t most, bool heading, struct buf *out)
{
	size_t width[COLUMNS_MAX] = { 0 };

	for (size_t i = heading ? 0 : t->columns; i < t->cells.n; i++) {
		size_t n = characters(t->cells.v[i]), *w = &width[i % t->columns];

		n = most && n > most ? most : n;
		*w = n > *w ? n : *w;
	}
	for (size_t i = heading ? 0 : t->columns; i < t->cells.n; i++) {
		size_t c = i % t->columns;
		bool last = c + 1 == t->columns;

		put(out, t->cells.v[i], most, width[c], t->right & 1u << c, last);
		buf_str(out, last ? "\n" : "   ");
	}
}

void table_clear(struct table *t)
{
	strs_clear(&t->cells);
}
