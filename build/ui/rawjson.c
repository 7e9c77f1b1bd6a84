/* build/ui/rawjson.c - BuildKit's own form (client.SolveStatus), for programs that read what buildx writes with --progress=rawjson.
 *
 *     {"vertexes":[{"digest","name","started","completed","cached","error"}]}      a step, again at each change
 *     {"statuses":[{"id","vertex","total","current","timestamp",...}]}             a transfer of it
 *     {"logs":[{"vertex","stream","data" (base64),"timestamp"}]}                   a line of it
 *     {"warnings":[{"level","short","detail" (base64),"url"}]}
 *
 * One list of one element a line. Notes have no place there; the error at the end is text, as buildx has it.
 */
#include "base/clock.h"
#include "base/digest.h"
#include "build/ui/parts.h"
#include "registry/base64.h"

#include <stdio.h>

static const int64_t transfer_interval = 200000000;

/* A moment of our clock, as Go prints one: RFC 3339 with nanoseconds. One moment is always printed alike: readers compare. */
static void put_time(const struct ui *u, struct buf *b, const char *name, int64_t at)
{
	int64_t ns = u->wall + at;
	struct clock_text seconds = clock_rfc3339(ns / 1000000000);

	buf_printf(b, ",\"%s\":\"%.19s.%09jdZ\"", name, seconds.s, (intmax_t)(ns % 1000000000));
}

/* Nobody compares them with those of a BuildKit: a step is told by it from others of the same build. */
static void put_vertex(struct buf *b, const char *name, const struct ui_step *s)
{
	char text[40];
	struct digest d;

	snprintf(text, sizeof(text), "step %u", s->id);
	digest_of(text, strlen(text), &d);
	buf_printf(b, "\"%s\":\"%s\"", name, digest_text(&d).s);
}

static void put_base64(struct buf *b, const char *text)
{
	buf_char(b, '"');
	base64_put(b, slice_of(text));
	buf_char(b, '"');
}

static void raw_vertex(struct ui *u, const struct ui_step *s)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(8 * UI_LINE_MAX);

	buf_str(&b, "{\"vertexes\":[{");
	put_vertex(&b, "digest", s);
	buf_str(&b, ",\"name\":");
	buf_json(&b, slice_of(s->title));
	/* What is known is over when it begins. */
	if (s->started || s->ended)
		put_time(u, &b, "started", s->begin ? s->begin : s->end);
	if (s->ended)
		put_time(u, &b, "completed", s->end);
	if (s->ended && s->state == REPORT_CACHED)
		buf_str(&b, ",\"cached\":true");
	if (s->ended && s->state == REPORT_FAILED) {
		buf_str(&b, ",\"error\":");
		buf_json(&b, slice_of(s->why ? s->why : "failed"));
	}
	/* By these words readers tell it from what failed. */
	if (s->ended && s->state == REPORT_CANCELED)
		buf_str(&b, ",\"error\":\"context canceled\"");
	buf_str(&b, "}]}\n");
	ui_write(u, &b);
}

static void raw_line(struct ui *u, const struct ui_step *s, int stream, const char *line)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(8 * UI_LINE_MAX);
	AUTO(buf_freep) struct buf data = BUF_MAX(UI_LINE_MAX + 2);

	buf_printf(&data, "%s\n", line);
	buf_str(&b, "{\"logs\":[{");
	put_vertex(&b, "vertex", s);
	buf_printf(&b, ",\"stream\":%d,\"data\":", stream);
	put_base64(&b, data.p ? data.p : "");
	put_time(u, &b, "timestamp", clock_ns());
	buf_str(&b, "}]}\n");
	ui_write(u, &b);
}

static void raw_bytes(struct ui *u, struct ui_step *s, struct ui_transfer *t)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(8 * UI_LINE_MAX);
	int64_t now = clock_ns();

	if (t->shown && now - t->shown < transfer_interval && t->done != t->total)
		return;
	t->shown = now;
	buf_str(&b, "{\"statuses\":[{\"id\":");
	buf_json(&b, slice_of(t->what));
	buf_char(&b, ',');
	put_vertex(&b, "vertex", s);
	if (t->total)
		buf_printf(&b, ",\"total\":%ju", (uintmax_t)t->total);
	buf_printf(&b, ",\"current\":%ju", (uintmax_t)t->done);
	put_time(u, &b, "timestamp", now);
	put_time(u, &b, "started", s->begin ? s->begin : now);
	if (t->total && t->done == t->total)
		put_time(u, &b, "completed", now);
	buf_str(&b, "}]}\n");
	ui_write(u, &b);
}

static void raw_warning(struct ui *u, const char *rule, const char *text, const char *where, const char *excerpt)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(64 * UI_LINE_MAX);
	AUTO(buf_freep) struct buf first = BUF_MAX(2 * UI_LINE_MAX);

	buf_printf(&first, "%s%s%s%s%s%s", rule, *rule ? ": " : "", text, *where ? " (" : "", where, *where ? ")" : "");
	buf_str(&b, "{\"warnings\":[{\"level\":1,\"short\":");
	put_base64(&b, first.p ? first.p : "");
	if (*excerpt) {
		buf_str(&b, ",\"detail\":[");
		put_base64(&b, excerpt);
		buf_char(&b, ']');
	}
	buf_str(&b, "}]}\n");
	ui_write(u, &b);
}

static void raw_note(struct ui *u, enum report_level level, const char *text)
{
	if (level == REPORT_WARNING)
		raw_warning(u, "", text, "", "");
}

const struct ui_mode ui_rawjson = {
	.name = "rawjson",
	.step = raw_vertex,
	.state = raw_vertex,
	.line = raw_line,
	.bytes = raw_bytes,
	.note = raw_note,
	.warning = raw_warning,
	.error = ui_error_write,
};
