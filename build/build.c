/* build/build.c - the spine: context and Dockerfile -> plan -> steps -> image -> outputs (design.md 1). */
#include "base/mem.h"
#include "build/context/context.h"
#include "build/plan.h"
#include "parser/diag.h"

/* Several errors of one file in one run: all but the last are shown as they are, the last one ends the build. */
static int parse(struct app *a, const struct context *c, struct file **ret, struct err **e)
{
	struct file_errors errors = { 0 };

	if (file_parse(c->file_name, buf_view(&c->file), ret, &errors) == 0)
		return 0;
	for (size_t i = 0; i + 1 < errors.n; i++) {
		AUTO(buf_freep) struct buf b = BUF_MAX(64 << 10);

		err_print(errors.err[i], &b);
		report_note(a->report, REPORT_WARNING, "%.*s", SLICE_F(slice_trim(buf_view(&b), "\n")));
	}
	if (errors.n == 0)
		return err_set(e, ERR_BUG, "the Dockerfile was refused without a reason");
	*e = errors.err[errors.n - 1];
	errors.err[--errors.n] = NULL;
	file_errors_clear(&errors);
	return -1;
}

static void tell_findings(struct plan *p)
{
	for (size_t i = 0; i < p->lint.nfound; i++) {
		const struct lint_finding *f = &p->lint.found[i];
		AUTO(buf_freep) struct buf excerpt = BUF_MAX(64 << 10);
		AUTO(mem_freep) char *where = mem_printf("%s:%u", source_name(p->file->source), f->line);

		if (f->at.to > f->at.from)
			diag_excerpt(p->file->source, f->at, &excerpt);
		report_warning(p->app->report, lint_table[f->rule].name, f->detail, where, excerpt.p ? excerpt.p : "");
	}
}

static int findings_fail(struct plan *p, struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(8192);

	/* Our own advice is no violation: a file that BuildKit builds with error=true builds here. */
	for (size_t r = 0; r < LINT_COUNT && p->lint.error; r++) {
		if (lint_table[r].bits & LINT_OURS)
			continue;
		for (size_t i = 0; i < p->lint.nfound; i++) {
			if (p->lint.found[i].rule == (enum lint_rule)r) {
				buf_printf(&b, "%s%s", b.n ? ", " : "", lint_table[r].name);
				break;
			}
		}
	}
	return b.n == 0 ? 0 : err_set(e, ERR_INPUT, "lint violation found for rules: %s", b.p);
}

static int execute(struct plan *p, struct build_done *ret, struct err **e)
{
	struct image im = { 0 };
	int rc;

	tell_findings(p);
	if (findings_fail(p, e) < 0 || sched_run(p, e) < 0)
		return -1;
	if (p->app->interrupted)
		return err_set(e, ERR_HOST, "interrupted");
	result_image(p, &im);
	rc = result_outputs(p, &im, ret, e);
	image_clear(&im);
	return rc;
}

int build_run(struct app *a, const struct build_req *r, struct build_done *ret, struct err **e)
{
	AUTO(context_freep) struct context *c = NULL;
	AUTO(file_freep) struct file *f = NULL;
	AUTO(plan_freep) struct plan *p = NULL;

	*ret = (struct build_done){ .text = BUF_MAX(64 << 20) };
	if (app_store(a, e) < 0 || context_open(a, r, &c, e) < 0 || parse(a, c, &f, e) < 0 || plan_make(a, r, f, c, &p, e) < 0)
		return -1;
	return p->check_only ? call_run(p, ret, e) : execute(p, ret, e);
}
