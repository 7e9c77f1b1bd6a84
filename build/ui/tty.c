/* build/ui/tty.c - a terminal: finished steps scroll up, running ones are redrawn below them.
 *
 *     #6 COPY hello.c /src/                                         0.0s 412 B
 *     #7 RUN make                                                        12.4s        <- live region, redrawn
 *        cc -O2 -o hello hello.c
 *     #8 docker.io/library/alpine                                         3.1s
 *        sha256:4a1c0f9e2b7d 12.3 MB / 45.6 MB
 *
 * The live region never has more lines than the terminal, less one: what scrolled out could not be erased.
 */
#include "base/mem.h"
#include "build/ui/human.h"
#include "build/ui/parts.h"

#include <sys/ioctl.h>

enum { OUTPUT_LINES = 6, TRANSFER_LINES = 4 };

struct area {
	unsigned rows, cols;
};

static struct area area(const struct ui *u)
{
	struct winsize w = { 0 };

	if (ioctl(u->fd, TIOCGWINSZ, &w) < 0 || w.ws_row < 2 || w.ws_col < 20)
		return (struct area){ 24, 80 };
	return (struct area){ w.ws_row, w.ws_col };
}

/* At most cols columns of text; tabs become blanks. What is beyond the scripts of Europe may be two columns wide, so it counts as two: a line
 * that wraps could not be erased. Returns the columns used. */
static unsigned clip(struct buf *b, const char *text, unsigned cols)
{
	struct slice s = slice_of(text);
	unsigned used = 0;

	while (s.n) {
		uint32_t c = 0;
		size_t n = slice_utf8(s, &c);
		unsigned width = c >= 0x1100 ? 2 : 1;

		if (n == 0 || used + width > cols)
			break;
		if (c == '\t' || c == '\n')
			buf_char(b, ' ');
		else
			buf_add(b, s.p, n);
		used += width;
		s = slice_skip(s, n);
	}
	return used;
}

static void style(const struct ui *u, struct buf *b, const char *code)
{
	if (u->colour)
		buf_printf(b, "\033[%sm", code);
}

/* "#7 title          1.2s 3.4 MB", the right part at the right edge. */
static void head(const struct ui *u, struct buf *b, const struct ui_step *s, const char *right, const char *code, unsigned cols)
{
	AUTO(mem_freep) char *left = mem_printf("#%u %s", s->id, s->title);
	unsigned r = (unsigned)strlen(right), room = cols > r + 2 ? cols - r - 2 : 1;
	unsigned used = clip(b, left, room);

	buf_printf(b, "%*s", (int)(room - used + 1), "");
	style(u, b, code);
	buf_str(b, right);
	style(u, b, "0");
	buf_char(b, '\n');
}

static void erase(struct ui *u, struct buf *b)
{
	if (u->drawn)
		buf_printf(b, "\033[%uA\r\033[J", u->drawn);
	u->drawn = 0;
}

static bool running(const struct ui_step *s)
{
	return s->started && !s->ended;
}

static void indented(const struct ui *u, struct buf *b, const char *text, unsigned cols)
{
	style(u, b, "2");
	buf_str(b, "   ");
	clip(b, text, cols - 4);
	style(u, b, "0");
	buf_char(b, '\n');
}

/* Transfers under way, then the newest lines of output; returns the lines drawn. */
static unsigned details(const struct ui *u, struct buf *b, const struct ui_step *s, unsigned most, unsigned cols)
{
	unsigned n = 0;
	size_t kept = s->ntail < UI_TAIL ? s->ntail : UI_TAIL;

	for (size_t i = 0; i < s->ntransfer && n < most && n < TRANSFER_LINES; i++) {
		const struct ui_transfer *t = &s->transfer[i];

		if (t->total && t->done >= t->total)
			continue;
		AUTO(mem_freep) char *line = t->total ? mem_printf("%s %s / %s", t->what, human_bytes(t->done).s, human_bytes(t->total).s)
						      : mem_printf("%s %s", t->what, human_bytes(t->done).s);
		indented(u, b, line, cols);
		n++;
	}
	size_t show = most - n < OUTPUT_LINES ? most - n : OUTPUT_LINES;
	for (size_t i = kept > show ? kept - show : 0; i < kept; i++, n++)
		indented(u, b, ui_tail_line(s, i), cols);
	return n;
}

static void live(struct ui *u, struct buf *b)
{
	struct area a = area(u);
	unsigned left = a.rows - 1, count = 0;

	for (size_t i = 0; i < u->nstep; i++)
		count += running(u->step[i]);
	for (size_t i = 0; i < u->nstep && left; i++) {
		const struct ui_step *s = u->step[i];

		if (!running(s))
			continue;
		if (left == 1 && count > 1) {
			buf_printf(b, "... and %u more\n", count);
			u->drawn++;
			break;
		}
		head(u, b, s, human_seconds(ui_seconds(s)).s, "36", a.cols);
		left--;
		/* What is left is shared by the steps that are still to come; each has a line of its own. */
		unsigned share = left > count - 1 ? (left - (count - 1)) / count : 0;
		unsigned n = details(u, b, s, share, a.cols);
		left -= n;
		u->drawn += 1 + n;
		count--;
	}
}

static void redraw(struct ui *u, struct buf *b)
{
	live(u, b);
	u->dirty = false;
	ui_write(u, b);
}

static void tty_draw(struct ui *u)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(1 << 20);
	bool any = u->dirty || u->drawn;

	for (size_t i = 0; i < u->nstep && !any; i++)
		any = running(u->step[i]);
	if (!any)
		return;
	erase(u, &b);
	redraw(u, &b);
}

static void tty_state(struct ui *u, const struct ui_step *s)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(1 << 20);
	AUTO(buf_freep) struct buf right = BUF_MAX(256);
	struct area a = area(u);

	erase(u, &b);
	switch (s->state) {
	case REPORT_STARTED:
		/* What is built for the first time needs no reason. */
		if (s->why && strncmp(s->why, "first build", 11) != 0) {
			buf_printf(&b, "#%u ", s->id);
			clip(&b, s->why, a.cols - 12);
			buf_char(&b, '\n');
		}
		break;
	case REPORT_CACHED:
		head(u, &b, s, "cached", "32", a.cols);
		break;
	case REPORT_DONE:
		buf_str(&right, human_seconds(ui_seconds(s)).s);
		if (s->bytes)
			buf_printf(&right, " %s", human_bytes(s->bytes).s);
		head(u, &b, s, right.p, "32", a.cols);
		break;
	case REPORT_FAILED:
		head(u, &b, s, "failed", "31", a.cols);
		break;
	case REPORT_CANCELED:
		head(u, &b, s, "canceled", "2", a.cols);
		break;
	}
	redraw(u, &b);
}

static void above(struct ui *u, struct buf *text)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(4 << 20);

	erase(u, &b);
	buf_slice(&b, buf_view(text));
	redraw(u, &b);
}

static void tty_note(struct ui *u, enum report_level level, const char *text)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(4 * UI_LINE_MAX);

	buf_printf(&b, "%s%s\n", level == REPORT_WARNING ? "warning: " : level == REPORT_DEBUG ? "debug: " : "", text);
	above(u, &b);
}

static void tty_warning(struct ui *u, const char *rule, const char *text, const char *where, const char *excerpt)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(16 * UI_LINE_MAX);

	ui_warning_text(rule, text, where, excerpt, &b);
	above(u, &b);
}

static void tty_line(struct ui *u, const struct ui_step *s, int stream, const char *line)
{
	u->dirty = true;
}

static void tty_bytes(struct ui *u, struct ui_step *s, struct ui_transfer *t)
{
	u->dirty = true;
}

static void tty_end(struct ui *u)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(1 << 10);

	erase(u, &b);
	ui_write(u, &b);
}

const struct ui_mode ui_tty = {
	.name = "tty",
	.state = tty_state,
	.line = tty_line,
	.bytes = tty_bytes,
	.note = tty_note,
	.warning = tty_warning,
	.draw = tty_draw,
	.end = tty_end,
	.error = ui_error_write,
};
