/* build/allplatforms.c - --all-platforms: those that the image below the target is there for (spec/cli-flags.md 6). */
#include "base/mem.h"
#include "build/plan.h"
#include "build/wait.h"
#include "build/work.h"

enum { PLATFORMS_MAX = 64 };

struct question {
	const struct ref *ref;
	const struct transfer_opts *opts;
};

static int ask_child(void *arg, struct job_self *self, struct buf *out, struct err **e)
{
	const struct question *q = arg;
	const struct transfer_calls calls = { 0 };
	AUTO(mem_freep) struct platform *p = NULL;
	size_t n = 0;

	if (pull_platforms(q->ref, q->opts, &calls, &p, &n, e) < 0)
		return -1;
	wire_put_u32(out, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		wire_put(out, slice_of(platform_text(&p[i]).s));
	return 0;
}

/* Once each: an index may have an image for a platform in two compressions. */
static int add(struct strs *to, struct slice text, struct err **e)
{
	struct platform p;

	if (platform_parse(text, &p, e) < 0)
		return err_kind_set(e, ERR_SOURCE);
	const struct platform_text t = platform_text(&p);
	for (size_t i = 0; i < to->n; i++)
		if (strcmp(to->v[i], t.s) == 0)
			return 0;
	if (to->n == PLATFORMS_MAX)
		return err_set(e, ERR_LIMIT, "the image is there for more than %d platforms", PLATFORMS_MAX);
	strs_add(to, t.s);
	return 0;
}

static int ask_registry(struct app *a, const struct build_req *r, const struct ref *ref, struct strs *ret, struct err **e)
{
	struct transfer_opts opts = r->transfer;
	struct question q = { ref, &opts };
	AUTO(buf_freep) struct buf call = BUF_MAX(64);
	AUTO(buf_freep) struct buf answer = BUF_MAX(JOB_MAX);

	opts.kind = ERR_SOURCE;
	work_call_put(&call, ask_child, &q);
	if (wait_job(a, JOB_LOCAL, WORK_PULL, buf_view(&call), NULL, 0, NULL, NULL, &answer, e) < 0)
		return -1;
	struct wire w = wire_of(buf_view(&answer));
	for (uint32_t n = wire_u32(&w); n > 0 && !w.bad; n--)
		if (add(ret, wire_get(&w), e) < 0)
			return -1;
	return wire_done(&w, "a list of platforms", e);
}

/* The store's answer; IMAGE_MISS: it has not got the name, or not all of its images. */
static int ask_store(struct app *a, const struct build_req *r, const struct ref *ref, struct strs *ret, struct err **e)
{
	AUTO(buf_freep) struct buf name = BUF_MAX(8192);
	struct name_record rec = { 0 };
	const struct name_record *im;

	ref_print(ref, &name);
	int rc = imagestore_find(a, name.p, &rec, e);
	if (rc == 0 && digest_zero(&rec.index) && r->pull != PULL_NEVER)
		rc = IMAGE_MISS;
	for (size_t i = 0; rc == 0 && (im = name_image(&rec, i)); i++)
		rc = add(ret, slice_of(im->platform), e);
	name_record_clear(&rec);
	return rc;
}

static int ask(struct app *a, const struct build_req *r, const char *name, struct strs *ret, struct err **e)
{
	struct ref ref = { 0 };
	int rc = IMAGE_MISS;

	if (ref_parse(slice_of(name), &ref, e) < 0)
		return -1;
	if (r->pull == PULL_MISSING || r->pull == PULL_NEVER)
		rc = ask_store(a, r, &ref, ret, e);
	if (rc == IMAGE_MISS && r->pull == PULL_NEVER)
		rc = err_set(e, ERR_SOURCE, "it is not in the store, and --pull=never forbids asking a registry");
	else if (rc == IMAGE_MISS)
		rc = ask_registry(a, r, &ref, ret, e);
	ref_clear(&ref);
	return rc;
}

int all_platforms(struct app *a, const struct build_req *r, struct file *f, struct context *c, struct strs *ret, struct err **e)
{
	AUTO(mem_freep) char *name = NULL;

	if (plan_root(a, r, f, c, &name, e) < 0)
		return -1;
	if (!name) {
		err_set(e, ERR_USAGE, "--all-platforms: the target is built on no image of a registry, which would say for which platforms it is there");
		return err_hint(e, "name them with --platform");
	}
	if (ask(a, r, name, ret, e) < 0)
		return err_wrap(e, "cannot find out for which platforms there is '%s'", name);
	if (ret->n == 0)
		return err_set(e, ERR_SOURCE, "--all-platforms: the index of '%s' names no platform", name);
	return 0;
}
