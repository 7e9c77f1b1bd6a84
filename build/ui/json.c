/* build/ui/json.c - one JSON object per line, for programs. Members stay; new ones may come.
 *
 *     event     members
 *     step      id, title
 *     started   id, reason|null
 *     output    id, stream (1, 2), seconds, text
 *     transfer  id, what, done, total|null
 *     cached    id, reason|null
 *     done      id, seconds, bytes
 *     failed    id, seconds, reason|null
 *     canceled  id, seconds, reason|null
 *     note      level (debug, note, warning), text
 *     warning   rule, text, where, excerpt
 *     error     error {kind, status, messages[], where|null, hint|null}, id|null, output[]
 */
#include "base/clock.h"
#include "build/ui/parts.h"

static const int64_t transfer_interval = 200000000;

static void text(struct buf *b, const char *name, const char *s)
{
	buf_printf(b, ",\"%s\":", name);
	if (s)
		buf_json(b, slice_of(s));
	else
		buf_str(b, "null");
}

static void begin(struct buf *b, const char *event, const struct ui_step *s)
{
	buf_printf(b, "{\"event\":\"%s\"", event);
	if (s)
		buf_printf(b, ",\"id\":%u", s->id);
}

static void finish(struct ui *u, struct buf *b)
{
	buf_str(b, "}\n");
	ui_write(u, b);
}

static void json_step(struct ui *u, const struct ui_step *s)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(8 * UI_LINE_MAX);

	begin(&b, "step", s);
	text(&b, "title", s->title);
	finish(u, &b);
}

static void json_state(struct ui *u, const struct ui_step *s)
{
	static const char *const words[] = { [REPORT_STARTED] = "started", [REPORT_CACHED] = "cached", [REPORT_DONE] = "done",
					     [REPORT_FAILED] = "failed",   [REPORT_CANCELED] = "canceled" };
	AUTO(buf_freep) struct buf b = BUF_MAX(8 * UI_LINE_MAX);

	begin(&b, words[s->state], s);
	if (s->state == REPORT_DONE || s->state == REPORT_FAILED || s->state == REPORT_CANCELED)
		buf_printf(&b, ",\"seconds\":%.3f", ui_seconds(s));
	if (s->state == REPORT_DONE)
		buf_printf(&b, ",\"bytes\":%ju", (uintmax_t)s->bytes);
	else
		text(&b, "reason", s->why);
	finish(u, &b);
}

static void json_line(struct ui *u, const struct ui_step *s, int stream, const char *line)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(8 * UI_LINE_MAX);

	begin(&b, "output", s);
	buf_printf(&b, ",\"stream\":%d,\"seconds\":%.3f", stream, ui_seconds(s));
	text(&b, "text", line);
	finish(u, &b);
}

static void json_bytes(struct ui *u, struct ui_step *s, struct ui_transfer *t)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(8 * UI_LINE_MAX);
	int64_t now = clock_ns();

	if (t->shown && now - t->shown < transfer_interval && t->done != t->total)
		return;
	t->shown = now;
	begin(&b, "transfer", s);
	text(&b, "what", t->what);
	buf_printf(&b, ",\"done\":%ju,\"total\":", (uintmax_t)t->done);
	if (t->total)
		buf_printf(&b, "%ju", (uintmax_t)t->total);
	else
		buf_str(&b, "null");
	finish(u, &b);
}

static void json_note(struct ui *u, enum report_level level, const char *s)
{
	static const char *const names[] = { [REPORT_DEBUG] = "debug", [REPORT_NOTE] = "note", [REPORT_WARNING] = "warning" };
	AUTO(buf_freep) struct buf b = BUF_MAX(8 * UI_LINE_MAX);

	begin(&b, "note", NULL);
	text(&b, "level", names[level]);
	text(&b, "text", s);
	finish(u, &b);
}

static void json_warning(struct ui *u, const char *rule, const char *s, const char *where, const char *excerpt)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(32 * UI_LINE_MAX);

	begin(&b, "warning", NULL);
	text(&b, "rule", rule);
	text(&b, "text", s);
	text(&b, "where", where);
	text(&b, "excerpt", excerpt);
	finish(u, &b);
}

static void json_error(struct ui *u, const struct ui_step *failed, const struct err *e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(4 << 20);
	AUTO(buf_freep) struct buf err = BUF_MAX(2 << 20);

	buf_str(&b, "{\"event\":\"error\",\"error\":");
	err_json(e, &err);
	redact_apply(&u->redact, buf_view(&err), &b);
	if (failed)
		buf_printf(&b, ",\"id\":%u,\"output\":[", failed->id);
	else
		buf_str(&b, ",\"id\":null,\"output\":[");
	for (size_t i = 0; failed && ui_tail_line(failed, i); i++) {
		if (i)
			buf_char(&b, ',');
		buf_json(&b, slice_of(ui_tail_line(failed, i)));
	}
	buf_char(&b, ']');
	finish(u, &b);
}

const struct ui_mode ui_json = {
	.name = "json",
	.step = json_step,
	.state = json_state,
	.line = json_line,
	.bytes = json_bytes,
	.note = json_note,
	.warning = json_warning,
	.error = json_error,
};
