/* build/squash.c - --squash and --squash-all: the layers of the result as one. The steps keep theirs, so the next build finds them. */
#include <fcntl.h>

#include "base/mem.h"
#include "build/plan.h"
#include "build/wait.h"
#include "build/work.h"
#include "layers/comp.h"
#include "layers/squash.h"

/* Payload: store, tmp, comp, level, clamp, retime, number of layers below, then a directory and a diff ID of each. */
struct squash_args {
	char *store, *tmp, *comp;
	int64_t level, clamp;
	bool retime;
	uint32_t first, n;
	char **dir;
	struct digest *diff;
	struct listing **layer;
	int *root;
};

static void args_clear(struct squash_args *a)
{
	for (size_t i = 0; i < a->n; i++) {
		free(a->dir[i]);
		listing_close(a->layer[i]);
		fd_closep(&a->root[i]);
	}
	free(a->dir);
	free(a->diff);
	free(a->layer);
	free(a->root);
	free(a->store);
	free(a->tmp);
	free(a->comp);
}

static int args_get(struct slice in, struct squash_args *a, struct err **e)
{
	struct wire w = wire_of(in);

	a->store = wire_str(&w);
	a->tmp = wire_str(&w);
	a->comp = wire_str(&w);
	a->level = wire_i64(&w);
	a->clamp = wire_i64(&w);
	a->retime = wire_u32(&w);
	a->first = wire_u32(&w);
	uint32_t n = wire_u32(&w);
	for (uint32_t i = 0; i < n && !w.bad; i++) {
		a->dir = mem_grow(a->dir, i + 1, elem_size(a->dir));
		a->diff = mem_grow(a->diff, i + 1, sizeof(*a->diff));
		a->layer = mem_grow(a->layer, i + 1, elem_size(a->layer));
		a->root = mem_grow(a->root, i + 1, sizeof(*a->root));
		a->dir[i] = wire_str(&w);
		work_get_digest(&w, &a->diff[i]);
		a->layer[i] = NULL;
		a->root[i] = -1;
		a->n = i + 1;
	}
	if (a->first > a->n || !a->comp)
		w.bad = true;
	return wire_done(&w, "layers to make one of", e);
}

static int open_layer(struct squash_args *a, int store, size_t i, struct err **e)
{
	char path[80];

	store_listing_path(&a->diff[i], path);
	int fd = at_open_store(store, path, O_RDONLY, 0, e);
	if (fd < 0 || listing_open(fd, &a->layer[i], e) < 0)
		return -1;
	a->root[i] = at_open_store(store, a->dir[i], O_RDONLY | O_DIRECTORY, 0, e);
	return a->root[i] < 0 ? -1 : 0;
}

int squash_job(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	AUTO(args_clear) struct squash_args a = { .n = 0 };
	AUTO(view_freep) struct view *all = NULL;
	AUTO(view_freep) struct view *below = NULL;
	struct pack_facts facts = { 0 };

	if (args_get(in, &a, e) < 0)
		return -1;
	AUTO(fd_closep) int store = work_store(a.store, e);
	AUTO(fd_closep) int tmp = store < 0 ? -1 : at_open_store(store, a.tmp, O_RDONLY | O_DIRECTORY, 0, e);
	if (tmp < 0 || work_view(store, a.diff, a.n, &all, e) < 0 || (a.first && work_view(store, a.diff, a.first, &below, e) < 0))
		return -1;
	for (size_t i = a.first; i < a.n; i++)
		if (open_layer(&a, store, i, e) < 0)
			return err_wrap(e, "cannot read layer %s", digest_short(&a.diff[i]).s);
	const struct squash_req r = { .all = all, .below = below, .layer = (const struct listing *const *)a.layer + a.first, .root = a.root + a.first,
				      .n = a.n - a.first };
	const struct pack_req p = { .src = squash_new(&r), .dir = tmp, .comp = a.comp, .level = (int)a.level, .listing = true,
				    .clamp_mtime = a.clamp, .set_mtime = a.retime, .fill_root = -1 };
	if (pack_run(&p, &facts, e) < 0)
		return err_wrap(e, "cannot make one layer of %zu", r.n);
	pack_facts_put(out, &facts);
	return 0;
}

/* ---- the main process */

static void args_put(struct buf *b, struct plan *p, const struct image *im, size_t first, const struct strs *dirs, const char *tmp)
{
	const struct step *last = p->target->last;
	int level = -1;
	const char *comp = last ? step_comp(last, &level) : "zstd";

	wire_put_str(b, store_path(p->app->store));
	wire_put_str(b, tmp);
	wire_put_str(b, comp);
	wire_put_i64(b, level);
	wire_put_i64(b, last ? step_clamp(last) : INT64_MAX);
	wire_put_u32(b, p->req->retime);
	wire_put_u32(b, (uint32_t)first);
	wire_put_u32(b, (uint32_t)im->nlayer);
	for (size_t i = 0; i < im->nlayer; i++) {
		wire_put_str(b, dirs->v[i]);
		work_put_digest(b, &im->layer[i].diff);
	}
}

static int commit(struct plan *p, struct image *im, size_t first, const char *tmp, struct slice answer, struct err **e)
{
	AUTO(mem_freep) char *listing = mem_printf("%s/listing", tmp);
	AUTO(mem_freep) char *blob = mem_printf("%s/blob", tmp);
	struct store *s = p->app->store;
	struct pack_facts f;
	int level = -1;
	const struct comp *comp = comp_find(p->target->last ? step_comp(p->target->last, &level) : "zstd");

	if (pack_answer_get(answer, &f, e) < 0)
		return -1;
	struct blob_info info = { .diff = f.diff, .blob = f.blob, .size = (int64_t)f.blob_size, .level = level };
	snprintf(info.comp, sizeof(info.comp), "%s", comp->name);
	if (store_listing_commit(s, listing, &f.diff, e) < 0 || store_blob_commit(s, blob, &f.blob, info.size, e) < 0 ||
	    store_info_add(s, &info, e) < 0)
		return -1;
	im->nlayer = first;
	config_layer(im, &(struct image_layer){ .diff = f.diff });
	return 0;
}

static int run(struct plan *p, struct image *im, size_t first, struct err **e)
{
	struct app *a = p->app;
	AUTO(buf_freep) struct buf call = BUF_MAX(JOB_MAX);
	AUTO(buf_freep) struct buf answer = BUF_MAX(4096);
	struct strs dirs = { 0 };
	char tmp[80];

	if (imagestore_unpack(a, im, &dirs, e) < 0)
		return -1;
	int rc = store_tmp(a->store, tmp, e);
	if (rc == 0) {
		args_put(&call, p, im, first, &dirs, tmp);
		rc = wait_job(a, JOB_MAPPED, WORK_SQUASH, buf_view(&call), NULL, 0, NULL, NULL, &answer, e);
		if (rc == 0)
			rc = commit(p, im, first, tmp, buf_view(&answer), e);
		store_tmp_drop(a->store, tmp);
	}
	strs_clear(&dirs);
	return rc;
}

int squash_layers(struct plan *p, size_t nbase, struct image *im, struct err **e)
{
	size_t first = p->req->image.squash == SQUASH_ALL ? 0 : nbase;
	bool several = p->req->platforms.n > 1;
	AUTO(mem_freep) char *title = mem_printf("squash %zu layers%s%s", im->nlayer - first, several ? " for " : "",
						 several ? platform_text(&p->target_platform).s : "");
	unsigned id = p->app->next_id;

	if (p->req->image.squash == SQUASH_NONE || im->nlayer < first + 2)
		return 0;
	p->app->next_id++;
	report_step(p->app->report, id, title);
	report_state(p->app->report, id, REPORT_STARTED, NULL, 0);
	int rc = run(p, im, first, e);
	report_state(p->app->report, id, rc == 0 ? REPORT_DONE : REPORT_FAILED, NULL, 0);
	return rc;
}
