/* build/ui/plain.c - one line per event, for pipes and logs; and the quiet mode, which tells only what went wrong.
 *
 *     #7 RUN make
 *     #7 run again: argument changed, 'make' was 'make -j4'
 *     #7 0.3 cc -o hello hello.c
 *     #7 done 1.2s 3.4 MB
 */
#include "base/clock.h"
#include "build/ui/human.h"
#include "build/ui/parts.h"

static const int64_t transfer_interval = 5000000000;

static void plain_step(struct ui *u, const struct ui_step *s)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(4 * UI_LINE_MAX);

	buf_printf(&b, "#%u %s\n", s->id, s->title);
	ui_write(u, &b);
}

static void plain_state(struct ui *u, const struct ui_step *s)
{
	static const char *const words[] = { [REPORT_CACHED] = "cached", [REPORT_DONE] = "done", [REPORT_FAILED] = "failed",
					     [REPORT_CANCELED] = "canceled" };
	AUTO(buf_freep) struct buf b = BUF_MAX(4 * UI_LINE_MAX);

	if (s->state == REPORT_STARTED) {
		if (s->why)
			buf_printf(&b, "#%u %s\n", s->id, s->why);
		ui_write(u, &b);
		return;
	}
	buf_printf(&b, "#%u %s", s->id, words[s->state]);
	if (s->state != REPORT_CACHED)
		buf_printf(&b, " %s", human_seconds(ui_seconds(s)).s);
	if (s->bytes && s->state == REPORT_DONE)
		buf_printf(&b, " %s", human_bytes(s->bytes).s);
	if (s->why && s->state == REPORT_FAILED)
		buf_printf(&b, ": %s", s->why);
	buf_char(&b, '\n');
	ui_write(u, &b);
}

static void plain_line(struct ui *u, const struct ui_step *s, int stream, const char *line)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(4 * UI_LINE_MAX);

	buf_printf(&b, "#%u %.1f %s\n", s->id, ui_seconds(s), line);
	ui_write(u, &b);
}

/* Rarely: so that a log shows that a long transfer is alive, not each of its packets. */
static void plain_bytes(struct ui *u, struct ui_step *s, struct ui_transfer *t)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(4 * UI_LINE_MAX);
	int64_t now = clock_ns();

	if (!t->shown)
		t->shown = now;
	if (now - t->shown < transfer_interval)
		return;
	t->shown = now;
	buf_printf(&b, "#%u %s %s", s->id, t->what, human_bytes(t->done).s);
	if (t->total)
		buf_printf(&b, " / %s", human_bytes(t->total).s);
	buf_char(&b, '\n');
	ui_write(u, &b);
}

static void plain_note(struct ui *u, enum report_level level, const char *text)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(4 * UI_LINE_MAX);

	buf_printf(&b, "%s%s\n", level == REPORT_WARNING ? "warning: " : level == REPORT_DEBUG ? "debug: " : "", text);
	ui_write(u, &b);
}

static void plain_warning(struct ui *u, const char *rule, const char *text, const char *where, const char *excerpt)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(16 * UI_LINE_MAX);

	ui_warning_text(rule, text, where, excerpt, &b);
	ui_write(u, &b);
}

const struct ui_mode ui_plain = {
	.name = "plain",
	.step = plain_step,
	.state = plain_state,
	.line = plain_line,
	.bytes = plain_bytes,
	.note = plain_note,
	.warning = plain_warning,
	.error = ui_error_write,
};

static void quiet_note(struct ui *u, enum report_level level, const char *text)
{
	if (level == REPORT_WARNING)
		plain_note(u, level, text);
}

const struct ui_mode ui_quiet_mode = {
	.name = "quiet",
	.note = quiet_note,
	.error = ui_error_write,
};
