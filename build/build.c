/* build/build.c - the spine: context and Dockerfile -> plan -> steps -> image -> outputs (design.md 1). */
#include "base/mem.h"
#include "build/context/context.h"
#include "build/check.h"
#include "build/sender.h"
#include "parser/diag.h"
#include "parser/lines.h"

/* The frontend that the file was written for: ours speaks Docker's language and no other, and nothing is fetched (2.2.4). */
static int check_frontend(const struct build_req *r, const struct source *s, struct err **e)
{
	const char *given = plan_arg(r, "BUILDKIT_SYNTAX");
	struct slice text = slice_of(given), name, rest;
	struct ref ref = { 0 };
	bool ours = false;

	if (!given)
		(void)lines_directive(s, "syntax", &text);
	slice_cut(text, ' ', &name, &rest);
	if (name.n == 0 || slice_is(name, "dockerfile.v0"))
		return 0;
	if (ref_parse(name, &ref, NULL) == 0)
		ours = strcmp(ref.domain, "docker.io") == 0 &&
		       (strcmp(ref.repo, "docker/dockerfile") == 0 || strcmp(ref.repo, "docker/dockerfile-upstream") == 0);
	ref_clear(&ref);
	if (ours)
		return 0;
	err_set(e, ERR_INPUT, "the file asks for the frontend '%.*s', but kiln has only the Dockerfile language built in", SLICE_F(name));
	err_hint(e, "to read it as a Dockerfile all the same, give --build-arg BUILDKIT_SYNTAX=docker/dockerfile:1");
	if (given)
		return -1;
	uint32_t at = (uint32_t)(name.p - source_text(s).p);
	return diag_place(e, s, (struct span){ at, at + (uint32_t)name.n });
}

/* Of a file that cannot be read: what is looked at before its text may be why (1). */
static int directives(const struct build_req *r, const struct context *c, struct err **e)
{
	struct source *s = NULL;
	struct lint l = { 0 };

	if (source_new(c->file_name, buf_view(&c->file), &s, NULL) < 0)
		return 0;
	int rc = check_frontend(r, s, e) < 0 || plan_lint(r, s, &l, e) < 0 ? -1 : 0;
	lint_clear(&l);
	source_free(s);
	return rc;
}

/* Several errors of one file in one run: the last one ends the build, and those before it are shown as what they are. For a check they
 * are the answer, and there is no file then. */
static int parse(struct app *a, const struct build_req *r, const struct context *c, struct file **ret, struct build_done *done, struct err **e)
{
	struct file_errors errors = { 0 };

	if (file_parse(c->file_name, buf_view(&c->file), ret, &errors) == 0)
		return 0;
	if (errors.n == 0)
		return err_set(e, ERR_BUG, "the Dockerfile was refused without a reason");
	if (directives(r, c, e) < 0) {
		file_errors_clear(&errors);
		return -1;
	}
	if (strcmp(r->call, "check") == 0) {
		int rc = check_parse_errors(r, c->file_name, buf_view(&c->file), &errors, done, e);

		file_errors_clear(&errors);
		return rc;
	}
	for (size_t i = 0; i + 1 < errors.n; i++)
		report_error(a->report, errors.err[i]);
	*e = errors.err[errors.n - 1];
	errors.err[--errors.n] = NULL;
	file_errors_clear(&errors);
	return -1;
}

void plan_findings(struct plan *p)
{
	if (p->which)
		return;
	for (; p->told < p->lint.nfound; p->told++) {
		const struct lint_finding *f = &p->lint.found[p->told];
		AUTO(buf_freep) struct buf excerpt = BUF_MAX(64 << 10);
		AUTO(mem_freep) char *where = mem_printf("%s:%u", source_name(p->file->source), f->line);

		if (f->at.to > f->at.from)
			diag_excerpt(p->file->source, f->at, &excerpt);
		report_warning(p->app->report, lint_table[f->rule].name, f->detail, where, excerpt.p ? excerpt.p : "");
	}
}

int plan_violations(struct plan *p, struct err **e)
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

/* The plans of a build, one per platform. */
struct plans {
	struct plan **p;
	struct image *image;
	size_t n;
};

static void plans_clear(struct plans *all)
{
	for (size_t i = 0; i < all->n; i++) {
		image_clear(&all->image[i]);
		plan_free(all->p[i]);
	}
	free(all->image);
	free(all->p);
}

/* What fails for the first platform would for all, most of the time; of another one it is said. */
static int for_platform(const struct build_req *r, size_t i, struct err **e)
{
	return i ? err_wrap(e, "cannot build for %s", r->platforms.v[i]) : -1;
}

/* Which stages nobody needs, for any platform, and which arguments. */
static void tell_unused(const struct plans *all)
{
	struct plan *p = all->p[0];

	for (size_t i = 0; i < p->nstage && !p->error; i++) {
		bool needed = false;

		for (size_t k = 0; k < all->n; k++)
			needed |= all->p[k]->stage[i].needed;
		if (!needed)
			report_note(p->app->report, REPORT_NOTE, "stage '%s' is skipped: '%s' does not need it", p->stage[i].title,
				    p->target->title);
	}
	lint_build_args(p);
}

static int execute(struct app *a, struct plans *all, struct build_done *ret, struct err **e)
{
	const struct build_req *r = all->p[0]->req;
	AUTO(sender_freep) struct sender *sender = sender_new(a, r);

	plan_findings(all->p[0]);
	for (size_t i = 0; i < all->n; i++)
		if (plan_violations(all->p[i], e) < 0)
			return for_platform(r, i, e);
	for (size_t i = 0; i < all->n; i++)
		all->p[i]->sender = sender;
	if (sched_run(all->p, all->n, e) < 0)
		return -1;
	if (a->interrupted)
		return err_set(e, ERR_HOST, "interrupted");
	for (size_t i = 0; i < all->n; i++)
		if (result_image(all->p[i], &all->image[i], e) < 0)
			return for_platform(r, i, e);
	/* Beside what is still on its way (spec/oci.md 7.4). */
	if (store_sync_start(a->store, e) < 0 || sender_wait(sender, e) < 0)
		return -1;
	return result_outputs(all->p, all->image, all->n, ret, e);
}

/* A question about the file is answered for the first platform. */
static bool every_platform(const struct build_req *r)
{
	return strcmp(r->call, "build") == 0 || strcmp(r->call, "steps") == 0;
}

static int run(struct app *a, const struct build_req *r, struct file *f, struct context *c, struct build_done *ret, struct err **e)
{
	AUTO(plans_clear) struct plans all = { 0 };
	size_t n = r->platforms.n && every_platform(r) ? r->platforms.n : 1;

	all.p = mem_array(n, elem_size(all.p));
	all.image = mem_array(n, sizeof(*all.image));
	for (; all.n < n; all.n++)
		if (plan_make(a, r, f, c, all.p, all.n, e) < 0)
			return for_platform(r, all.n, e);
	tell_unused(&all);
	if (!all.p[0]->check_only || strcmp(r->call, "check") == 0)
		lint_context(all.p[0]);
	return all.p[0]->check_only ? call_run(all.p, all.n, ret, e) : execute(a, &all, ret, e);
}

int build_run(struct app *a, const struct build_req *r, struct build_done *ret, struct err **e)
{
	AUTO(context_freep) struct context *c = NULL;
	AUTO(file_freep) struct file *f = NULL;
	AUTO(strs_clear) struct strs found = { 0 };

	*ret = (struct build_done){ .text = BUF_MAX(64 << 20) };
	if (app_store(a, e) < 0 || context_open(a, r, &c, e) < 0 || parse(a, r, c, &f, ret, e) < 0)
		return -1;
	if (!f)
		return 0;
	if (check_frontend(r, f->source, e) < 0)
		return -1;
	if (!r->all_platforms || !every_platform(r))
		return run(a, r, f, c, ret, e);
	if (all_platforms(a, r, f, c, &found, e) < 0)
		return -1;
	struct build_req each = *r;
	each.platforms = found;
	return run(a, &each, f, c, ret, e);
}
