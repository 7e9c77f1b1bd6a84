/* parser/draft.c - mistakes of what is being read: each with its place and hint, several of one run. */
#include "parser/diag.h"
#include "parser/flags.h"
#include "parser/parse.h"

struct span draft_span(const struct draft *d, struct slice part)
{
	if (d->parse->fixed)
		return d->parse->fixed->at;
	if (part.n == 0)
		part = d->word;

	size_t from = (size_t)(part.p - d->line->text.p);

	return logical_span(d->line, from, from + part.n);
}

static struct err **error_slot(struct parse *p)
{
	struct file_errors *x = p->errors;

	p->full = x->n + 1 >= countof(x->err);
	return &x->err[x->n++];
}

static void verror(struct parse *p, struct span at, const char *hint, const char *fmt, va_list ap)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(64 << 10);

	if (p->full)
		return;

	struct err **slot = error_slot(p);

	buf_vprintf(&text, fmt, ap);
	err_set(slot, ERR_INPUT, "%s", text.p);
	if (hint)
		err_hint(slot, "%s", hint);
	diag_place(slot, p->file->source, at);
}

void parse_error(struct parse *p, struct span at, const char *hint, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	verror(p, at, hint, fmt, ap);
	va_end(ap);
}

void parse_take(struct parse *p, struct span at, struct err **e)
{
	if (p->full)
		return;

	struct err **slot = error_slot(p);

	*slot = take(e);
	diag_place(slot, p->file->source, at);
}

void parse_limit(struct parse *p)
{
	if (p->errors->n)
		err_kind_set(&p->errors->err[p->errors->n - 1], ERR_LIMIT);
}

void draft_error(struct draft *d, struct slice part, const char *hint, const char *fmt, ...)
{
	va_list ap;

	d->failed = true;
	va_start(ap, fmt);
	verror(d->parse, draft_span(d, part), hint, fmt, ap);
	va_end(ap);
}

void draft_error_at(struct draft *d, struct span at, const char *hint, const char *fmt, ...)
{
	va_list ap;

	d->failed = true;
	va_start(ap, fmt);
	verror(d->parse, at, hint, fmt, ap);
	va_end(ap);
}

void draft_take(struct draft *d, struct span at, struct err **e)
{
	d->failed = true;
	parse_take(d->parse, at, e);
}

void draft_limit(struct draft *d)
{
	parse_limit(d->parse);
}

const char *draft_nearest(struct draft *d, struct slice word, const char *const *candidates, size_t n, bool nocase,
			  const char *prefix)
{
	const char *near = nearest_word(word, candidates, n, nocase);

	return near ? arena_printf(d->parse->arena, "%s%s", prefix, near) : NULL;
}
