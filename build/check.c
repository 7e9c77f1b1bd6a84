/* build/check.c - --call=check: findings and errors as text and JSON (spec/dockerfile.md 16.1). */
#include "build/check.h"

#include <stdlib.h>

#include "base/mem.h"
#include "parser/diag.h"
#include "registry/base64.h"

struct jval *call_location(unsigned line, unsigned end)
{
	struct jval *o = jval_obj(), *ranges = jval_arr(), *range = jval_obj(), *from = jval_obj(), *to = jval_obj();

	jval_set_int(from, "line", line);
	jval_set_int(to, "line", end);
	jval_set(range, "start", from);
	jval_set(range, "end", to);
	jval_add(ranges, range);
	jval_set_int(o, "sourceIndex", 0);
	jval_set(o, "ranges", ranges);
	return o;
}

struct jval *call_sources(const char *name, struct slice text)
{
	struct jval *list = jval_arr(), *o = jval_obj();
	AUTO(buf_freep) struct buf data = BUF_MAX(SIZE_MAX);

	base64_put(&data, text);
	jval_set_str(o, "filename", name);
	jval_set_str(o, "language", "Dockerfile");
	jval_set_slice(o, "data", buf_view(&data));
	jval_add(list, o);
	return list;
}

/* ---- errors */

char *check_message(const struct err *error)
{
	const char *text = err_text(error), *cause = err_cause(error);

	return strcmp(text, cause) == 0 ? mem_str(text) : mem_printf("%s: %s", text, cause);
}

/* ---- text */

static void check_text(const struct check *c, struct buf *out)
{
	if (c->nfound == 0 && c->nerror == 0)
		buf_str(out, "Check complete, no warnings found.\n");
	if (c->nfound)
		buf_printf(out, "Check complete, %zu warning%s been found!\n", c->nfound, c->nfound == 1 ? " has" : "s have");
	for (size_t i = 0; i < c->nfound; i++) {
		const struct lint_finding *f = &c->found[i];
		char url[160];
		const char *u = lint_url(f->rule, url, sizeof(url));

		buf_printf(out, "\nWARNING: %s%s%s\n%s\n%s:%u\n", lint_table[f->rule].name, u ? " - " : "", u ? u : "", f->detail, c->name, f->line);
		if (f->at.to > f->at.from)
			diag_excerpt(c->source, f->at, out);
	}
	for (size_t i = 0; i < c->nerror; i++) {
		buf_str(out, c->nfound && i == 0 ? "\nerror: " : "error: ");
		err_print(c->error[i], out);
	}
}

/* ---- JSON */

static struct jval *error_json(const struct err *error)
{
	struct jval *o = jval_obj();
	AUTO(mem_freep) char *both = check_message(error);
	unsigned line, column;
	struct slice file;

	jval_set_str(o, "message", both);
	err_where_apart(error, &file, &line, &column);
	if (line)
		jval_set(o, "location", call_location(line, line));
	return o;
}

static struct jval *check_json(const struct check *c)
{
	struct jval *o = jval_obj(), *list = jval_arr();

	for (size_t i = 0; i < c->nfound; i++) {
		const struct lint_finding *f = &c->found[i];
		struct jval *w = jval_obj();
		char url[160];

		jval_set_str(w, "ruleName", lint_table[f->rule].name);
		jval_set_str(w, "description", lint_table[f->rule].description);
		jval_set_str(w, "url", lint_url(f->rule, url, sizeof(url)));
		jval_set_str(w, "detail", f->detail);
		jval_set(w, "location", call_location(f->line, f->end_line));
		jval_add(list, w);
	}
	jval_set(o, "warnings", list);
	jval_set(o, "sources", call_sources(c->name, c->text));
	/* There is room for one: the first of the file. */
	if (c->nerror)
		jval_set(o, "buildError", error_json(c->error[0]));
	return o;
}

/* ---- */

static int answer(const struct build_req *r, const struct check *c, struct build_done *ret, struct err **e)
{
	if (r->call_format == CALL_TEXT) {
		check_text(c, &ret->text);
	} else {
		AUTO(jval_freep) struct jval *v = r->call_format == CALL_SARIF ? sarif_log(c) : check_json(c);

		jval_print(v, &ret->text, 2);
		buf_char(&ret->text, '\n');
	}
	for (size_t i = 0; i < c->nfound && !r->call_ignore_status; i++)
		ret->status |= !(lint_table[c->found[i].rule].bits & LINT_OURS);
	ret->status |= c->nerror > 0;
	return buf_ok(&ret->text, "the answer", e);
}

/* Findings of one line stay in the order in which they were found: qsort alone promises nothing. */
static int by_line(const void *a, const void *b)
{
	const struct lint_finding *x = a, *y = b;

	return x->line != y->line ? (x->line < y->line ? -1 : 1) : x->number < y->number ? -1 : x->number > y->number;
}

int check_run(struct plan *p, struct build_done *ret, struct err **e)
{
	struct check c = { .name = source_name(p->file->source), .text = source_text(p->file->source), .source = p->file->source };

	if (!p->error)
		(void)plan_violations(p, &p->error);
	if (p->req->call_format != CALL_JSON && p->lint.nfound)
		qsort(p->lint.found, p->lint.nfound, sizeof(*p->lint.found), by_line);
	c.found = p->lint.found;
	c.nfound = p->lint.nfound;
	c.error = &p->error;
	c.nerror = p->error != NULL;
	return answer(p->req, &c, ret, e);
}

int check_parse_errors(const struct build_req *r, const char *name, struct slice text, const struct file_errors *errors,
		       struct build_done *ret, struct err **e)
{
	struct check c = { .name = name, .text = text, .error = errors->err, .nerror = errors->n };

	return answer(r, &c, ret, e);
}
