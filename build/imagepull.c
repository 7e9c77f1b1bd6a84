/* build/imagepull.c - an image from a registry or an archive into the store: blobs are committed as they arrive, and read (listing, or
 * unpacked as well) while the next ones are on their way. */
#include <fcntl.h>

#include "base/clock.h"
#include "base/mem.h"
#include "build/flight.h"
#include "build/imagestore.h"
#include "build/trees.h"
#include "build/wait.h"
#include "build/work.h"
#include "registry/archive.h"

enum { EV_BLOB = 1, EV_BYTES, EV_NOTE };

/* What arrives from the child, in the main process. */
struct arrival {
	struct app *a;
	unsigned id;                     /* of the line on the screen */
	const char *tmp;                 /* store directory the child writes into */
	bool read, unpack;
	size_t pending;                  /* blobs being read */
	bool idle;                       /* pending == 0 */
	struct tally tally;
	struct err *e;
};

static void blob_read(void *arg, const struct digest *diff, struct err *e)
{
	struct arrival *r = arg;

	if (r->e)
		err_free(e);
	else
		r->e = e;
	r->idle = --r->pending == 0;
}

static void take_blob(struct arrival *r, const struct digest *d, int64_t size)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(d, hex);
	AUTO(mem_freep) char *path = mem_printf("%s/%s", r->tmp, hex);
	if (r->e || store_blob_commit(r->a->store, path, d, size, &r->e) < 0 || !r->read)
		return;
	struct trees_blob q = { .blob = *d, .size = size, .used = &r->tally, .tally = &r->tally };
	if (trees_read(r->a->trees, &q, r->unpack ? TREES_DIR : TREES_LISTING, blob_read, r, &r->e) == 0) {
		r->pending++;
		r->idle = false;
	}
}

static void arrival_event(void *arg, uint32_t kind, struct slice payload)
{
	struct arrival *r = arg;
	struct wire w = wire_of(payload);
	struct slice text = wire_get(&w);
	uint64_t size = wire_u64(&w), total = wire_u64(&w);
	struct digest d;

	if (kind == EV_NOTE) {
		report_note(r->a->report, REPORT_NOTE, "%.*s", SLICE_F(text));
		return;
	}
	if (wire_done(&w, "a transfer event", NULL) < 0 || digest_parse_hex(text, &d) < 0)
		return;
	if (kind == EV_BLOB)
		take_blob(r, &d, (int64_t)size);
	else if (kind == EV_BYTES)
		report_bytes(r->a->report, r->id, digest_short(&d).s, size, total);
}

/* Also after an interruption: blobs that are still being read report to r. */
static int wait_idle(struct arrival *r, struct err **e)
{
	return wait_until(r->a, &r->idle, &r->e, e);
}

/* ---- the child's side */

struct child_calls {
	struct app *a;
	struct job_self *self;
	int64_t last_told;
};

static void tell(struct child_calls *c, uint32_t kind, struct slice text, uint64_t size, uint64_t total)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(8192);

	wire_put(&b, text);
	wire_put_u64(&b, size);
	wire_put_u64(&b, total);
	job_tell(c->self, kind, buf_view(&b));
}

static bool child_have(void *arg, const struct digest *d, int64_t size)
{
	struct child_calls *c = arg;
	int64_t have;

	return store_blob_find(c->a->store, d, &have, NULL) == 0 && have == size;
}

static int child_blob(void *arg, const struct digest *d, int64_t size, struct err **e)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(d, hex);
	tell(arg, EV_BLOB, slice_of(hex), (uint64_t)size, 0);
	return 0;
}

static void child_progress(void *arg, const struct digest *d, uint64_t done, uint64_t total)
{
	struct child_calls *c = arg;
	int64_t now = clock_ns();
	char hex[DIGEST_HEX + 1];

	if (done != total && now - c->last_told < 100000000)
		return;
	c->last_told = now;
	digest_hex(d, hex);
	tell(c, EV_BYTES, slice_of(hex), done, total);
}

static void child_note(void *arg, const char *text)
{
	tell(arg, EV_NOTE, slice_of(text), 0, 0);
}

struct pull_call {
	struct app *a;
	struct pull_req req;
	const struct transfer_opts *opts;
	const char *tmp;
};

static int pull_child(void *arg, struct job_self *self, struct buf *out, struct err **e)
{
	struct pull_call *p = arg;
	struct child_calls c = { .a = p->a, .self = self };
	struct transfer_calls calls = {
		.arg = &c, .have = child_have, .blob = child_blob, .progress = child_progress, .note = child_note,
	};
	struct pull_result r = { 0 };

	p->req.dir = at_open_store(store_fd(p->a->store), p->tmp, O_RDONLY | O_DIRECTORY, 0, e);
	if (p->req.dir < 0 || pull_run(&p->req, p->opts, &calls, &r, e) < 0)
		return -1;
	wire_put(out, (struct slice){ (char *)r.root.b, 32 });
	wire_put(out, (struct slice){ (char *)r.manifest.b, 32 });
	wire_put(out, buf_view(&r.manifest_bytes));
	wire_put(out, buf_view(&r.config_bytes));
	wire_put_str(out, r.media_type);
	wire_put_str(out, r.source);
	pull_result_clear(&r);
	return 0;
}

/* ---- after the transfer: documents, layers, listings */

/* Check every layer against what we computed, make listings that are missing. */
static int settle_layers(struct app *a, struct image *im, const char *source, struct err **e)
{
	AUTO(mem_freep) struct digest *diff = mem_array(im->nlayer + 1, sizeof(*diff));

	for (size_t i = 0; i < im->nlayer; i++) {
		struct image_layer *l = &im->layer[i];
		struct digest have;
		int rc = store_info_diff(a->store, &l->blob, &have, e);

		if (rc < 0)
			return -1;
		if (rc == 0 && !digest_equal(&have, &l->diff))
			return err_set(e, ERR_SOURCE, "layer %s has diff ID %s, the config says %s; refusing to use it",
				       digest_short(&l->blob).s, digest_text(&have).s, digest_text(&l->diff).s);
		/* Not read in this pass (it was here already): this job checks the diff ID as well. */
		if (rc > 0) {
			struct arrival r = { .a = a, .pending = 1 };
			struct trees_blob q = { .blob = l->blob, .diff = l->diff, .size = l->size };

			if (trees_read(a->trees, &q, TREES_LISTING, blob_read, &r, e) < 0 || wait_idle(&r, e) < 0)
				return -1;
		}
		diff[i] = l->diff;
		if (source && store_source_add(a->store, &l->blob, source, e) < 0)
			return -1;
	}
	return trees_listings(a->trees, diff, im->nlayer, e);
}

static int settle(struct app *a, struct slice manifest, struct slice config, const char *media_type, const char *source,
		  struct pulled *ret, struct err **e)
{
	struct manifest m = { 0 };
	int rc = -1;

	if (manifest_parse(manifest, media_type, &m, e) < 0)
		return -1;
	if (image_from(&m, config, &ret->image, e) == 0 && store_blob_put(a->store, manifest, &ret->manifest, e) == 0 &&
	    store_blob_put(a->store, config, &ret->config, e) == 0)
		rc = settle_layers(a, &ret->image, source, e);
	manifest_clear(&m);
	ret->source = mem_str(source);
	ret->fresh = true;
	return rc;
}

static int pulled_unwire(struct app *a, struct slice answer, struct pulled *ret, struct err **e)
{
	struct wire w = wire_of(answer);
	struct slice root = wire_get(&w);
	struct slice manifest_digest = wire_get(&w);
	struct slice manifest = wire_get(&w), config = wire_get(&w);
	AUTO(mem_freep) char *media_type = wire_str(&w);
	AUTO(mem_freep) char *source = wire_str(&w);

	if (wire_done(&w, "a download", e) < 0)
		return -1;
	if (root.n != 32 || manifest_digest.n != 32)
		return err_set(e, ERR_BUG, "a download answered with a short digest");
	memcpy(ret->root.b, root.p, 32);
	return settle(a, manifest, config, media_type, source, ret, e);
}

static int pull_remote(struct app *a, const struct ref *ref, const struct platform *p, const struct transfer_opts *o, bool unpack,
		       struct pulled *ret, struct err **e)
{
	AUTO(buf_freep) struct buf name = BUF_MAX(8192);
	AUTO(buf_freep) struct buf answer = BUF_MAX(JOB_MAX);
	AUTO(buf_freep) struct buf call = BUF_MAX(64);
	struct transfer_opts opts = *o;
	char tmp[80];

	ref_familiar(ref, &name);
	if (store_tmp(a->store, tmp, e) < 0)
		return -1;
	opts.kind = ERR_SOURCE;
	opts.parallel = (unsigned)a->limits.v[LIMIT_DOWNLOADS];
	struct pull_call pc = { .a = a, .opts = &opts, .tmp = tmp, .req = { .ref = ref, .platform = p, .layers = true } };
	struct arrival r = { .a = a, .id = a->next_id++, .tmp = tmp, .read = true, .unpack = unpack, .idle = true };
	struct platform host;

	platform_host(&host);
	const struct platform_text want = platform_text(p);
	bool ours = strcmp(want.s, platform_text(&host).s) == 0;
	AUTO(mem_freep) char *title = mem_printf("pull %s%s%s", name.p, ours ? "" : " for ", ours ? "" : want.s);

	report_step(a->report, r.id, title);
	report_state(a->report, r.id, REPORT_STARTED, NULL, 0);
	work_call_put(&call, pull_child, &pc);
	int rc = wait_job(a, JOB_LOCAL, WORK_PULL, buf_view(&call), NULL, 0, arrival_event, &r, &answer, e);
	bool moved = rc == 0;            /* what the child could not do, it tells as a whole */
	struct err *late = NULL;
	if (wait_idle(&r, rc == 0 ? e : &late) < 0)
		rc = -1;
	err_free(late);
	if (rc == 0)
		rc = pulled_unwire(a, buf_view(&answer), ret, e);
	if (rc < 0 && err_kind(*e) == ERR_HOST && err_errnum(*e))
		err_wrap(e, "cannot write to the store '%s'", store_path(a->store));
	store_tmp_drop(a->store, tmp);
	report_state(a->report, r.id, rc == 0 ? REPORT_DONE : REPORT_FAILED, NULL, 0);
	if (rc < 0 && moved)
		err_wrap(e, "cannot pull '%s'", name.p);
	return rc;
}

/* One builder at a time: who waited for another asks the registry for the manifest again, and finds the blobs here, read and unpacked. The
 * name may not be recorded yet, which is for after the build's sync. */
static int pull_once(struct app *a, const struct ref *ref, const struct platform *p, const struct transfer_opts *o, bool unpack,
		     struct pulled *ret, struct err **e)
{
	AUTO(store_job_unlock) int lock = -1;
	AUTO(buf_freep) struct buf name = BUF_MAX(8192);

	ref_print(ref, &name);
	AUTO(mem_freep) char *job = mem_printf("pull-%s-%s", name.p, platform_text(p).s);
	return flight_take(a, job, "pulls the same image", name.p, &lock, e) < 0 ? -1 : pull_remote(a, ref, p, o, unpack, ret, e);
}

/* Of an index some of whose images are here another one may serve the platform better: 32-bit arm runs on arm64, and is not what was asked for. */
static bool better_elsewhere(const struct name_record *r, const struct name_record *im, const struct platform *p)
{
	struct platform have;

	if (!digest_zero(&r->index) || !r->repo_digest || strcmp(r->repo_digest, digest_text(&im->manifest).s) == 0)
		return false;
	return platform_parse(slice_of(im->platform), &have, NULL) < 0 || strcmp(platform_text(&have).s, platform_text(p).s) != 0;
}

/* The store's copy, if all of it is there. */
static int pull_stored(struct app *a, const struct ref *ref, const struct platform *p, bool never, struct pulled *ret, struct err **e)
{
	AUTO(buf_freep) struct buf name = BUF_MAX(8192);
	struct name_record r = { 0 };
	int rc;

	ref_print(ref, &name);
	rc = imagestore_find(a, name.p, &r, e);
	if (rc)
		return rc;
	const struct name_record *im = imagestore_choose(&r, p);
	rc = !im || (!never && better_elsewhere(&r, im, p)) ? IMAGE_MISS : imagestore_load(a, im, &ret->image, e);
	if (rc == 0) {
		ret->manifest = im->manifest;
		ret->config = im->config;
		ret->root = digest_zero(&r.index) ? im->manifest : r.index;
		if (r.repo_digest)
			digest_parse(slice_of(r.repo_digest), &ret->root, ERR_HOST, NULL);
		ret->source = mem_str(r.source);
	}
	name_record_clear(&r);
	if (rc)
		return rc;
	AUTO(mem_freep) struct digest *diff = mem_array(ret->image.nlayer + 1, sizeof(*diff));
	for (size_t i = 0; i < ret->image.nlayer; i++)
		diff[i] = ret->image.layer[i].diff;
	if (trees_listings(a->trees, diff, ret->image.nlayer, e) == 0)
		return 0;
	pulled_clear(ret);
	return -1;
}

int imagestore_pull(struct app *a, const struct ref *ref, const struct platform *p, enum pull_mode mode, const struct transfer_opts *o,
		    bool unpack, struct pulled *ret, struct err **e)
{
	memset(ret, 0, sizeof(*ret));
	if (app_store(a, e) < 0)
		return -1;
	if (mode == PULL_MISSING || mode == PULL_NEVER) {
		struct err *broken = NULL;
		int rc = pull_stored(a, ref, p, mode == PULL_NEVER, ret, &broken);

		if (rc == 0)
			return 0;
		if (rc < 0 && mode == PULL_NEVER) {
			*e = broken;
			return -1;
		}
		err_free(broken);
		memset(ret, 0, sizeof(*ret));
	}
	if (mode == PULL_NEVER) {
		AUTO(buf_freep) struct buf name = BUF_MAX(8192);

		ref_familiar(ref, &name);
		return err_set(e, ERR_SOURCE, "image '%s' for %s is not in the store, and --pull=never forbids asking a registry", name.p,
			       platform_text(p).s);
	}
	return pull_once(a, ref, p, o, unpack, ret, e);
}

/* ---- archives */

struct read_call {
	struct app *a;
	const char *path, *ref, *tmp;
	const struct platform *platform;
	bool lone;
};

static int read_child(void *arg, struct job_self *self, struct buf *out, struct err **e)
{
	struct read_call *p = arg;
	struct child_calls c = { .a = p->a, .self = self };
	struct transfer_calls calls = {
		.arg = &c, .have = child_have, .blob = child_blob, .progress = child_progress, .note = child_note,
	};
	struct archive_found *found = NULL;
	size_t n = 0;
	AUTO(fd_closep) int dir = at_open_store(store_fd(p->a->store), p->tmp, O_RDONLY | O_DIRECTORY, 0, e);

	if (dir < 0 || archive_read(p->path, 0, dir, p->ref, p->platform, p->lone, &calls, &found, &n, e) < 0)
		return -1;
	wire_put_u32(out, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		wire_put(out, (struct slice){ (char *)found[i].root.b, 32 });
		wire_put(out, buf_view(&found[i].manifest));
		wire_put(out, buf_view(&found[i].config));
		wire_put_str(out, found[i].media_type);
		wire_put_u32(out, (uint32_t)found[i].nname);
		for (size_t k = 0; k < found[i].nname; k++)
			wire_put_str(out, found[i].name[k]);
	}
	archive_found_free(found, n);
	return 0;
}

static int keep_found(struct app *a, struct wire *w, struct strs *ret_names, struct err **e)
{
	struct slice root = wire_get(w);
	struct slice manifest = wire_get(w), config = wire_get(w);
	AUTO(mem_freep) char *media_type = wire_str(w);
	uint32_t n = wire_u32(w);
	struct strs names = { 0 };
	struct pulled p = { 0 };
	int rc;

	for (uint32_t i = 0; i < n && !w->bad; i++) {
		AUTO(mem_freep) char *name = wire_str(w);

		strs_add(&names, name);
	}
	if (w->bad || root.n != 32)
		return err_set(e, ERR_BUG, "an archive answered with too few bytes");
	memcpy(p.root.b, root.p, 32);
	rc = settle(a, manifest, config, media_type, NULL, &p, e);
	if (rc == 0)
		rc = imagestore_keep_as(a, strs_null(&names), names.n, &p, e);
	for (size_t i = 0; i < names.n && rc == 0; i++)
		strs_add(ret_names, names.v[i]);
	if (rc == 0 && names.n == 0)
		strs_add(ret_names, digest_text(&p.config).s);
	strs_clear(&names);
	pulled_clear(&p);
	return rc;
}

int imagestore_read(struct app *a, const char *path, const char *ref, const struct platform *p, bool lone, struct strs *ret_names, struct err **e)
{
	AUTO(buf_freep) struct buf answer = BUF_MAX(JOB_MAX);
	AUTO(buf_freep) struct buf call = BUF_MAX(64);
	char tmp[80];

	if (app_store(a, e) < 0 || store_tmp(a->store, tmp, e) < 0)
		return -1;
	struct read_call rc = { .a = a, .path = path, .ref = ref, .tmp = tmp, .platform = p, .lone = lone };
	struct arrival r = { .a = a, .id = a->next_id++, .tmp = tmp, .idle = true };

	work_call_put(&call, read_child, &rc);
	int res = wait_job(a, JOB_LOCAL, WORK_ARCHIVE, buf_view(&call), NULL, 0, arrival_event, &r, &answer, e);
	if (res == 0)
		res = wait_idle(&r, e);
	struct wire w = wire_of(buf_view(&answer));
	for (uint32_t n = res == 0 ? wire_u32(&w) : 0; n > 0 && res == 0; n--)
		res = keep_found(a, &w, ret_names, e);
	store_tmp_drop(a->store, tmp);
	return res < 0 ? err_wrap(e, "cannot load '%s'", path) : 0;
}
