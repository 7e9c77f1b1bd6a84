/* base/report.c - progress: every call is optional on both sides. */
#include "base/report.h"
#include "base/buf.h"

enum { NOTE_MAX = 16 << 10 };

void report_step(struct report *r, unsigned id, const char *title)
{
	if (r && r->ops->step)
		r->ops->step(r, id, title);
}

void report_state(struct report *r, unsigned id, enum report_state s, const char *why, uint64_t bytes)
{
	if (r && r->ops->state)
		r->ops->state(r, id, s, why, bytes);
}

void report_output(struct report *r, unsigned id, int stream, struct slice text)
{
	if (r && r->ops->output)
		r->ops->output(r, id, stream, text);
}

void report_bytes(struct report *r, unsigned id, const char *what, uint64_t done, uint64_t total)
{
	if (r && r->ops->bytes)
		r->ops->bytes(r, id, what, done, total);
}

void report_note(struct report *r, enum report_level level, const char *fmt, ...)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(NOTE_MAX);
	va_list ap;

	if (!r || !r->ops->note)
		return;
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	r->ops->note(r, level, text.p);
}

void report_warning(struct report *r, const char *rule, const char *text, const char *where, const char *excerpt)
{
	if (r && r->ops->warning)
		r->ops->warning(r, rule, text, where, excerpt);
}

void report_error(struct report *r, const struct err *e)
{
	if (r && r->ops->error)
		r->ops->error(r, e);
}
