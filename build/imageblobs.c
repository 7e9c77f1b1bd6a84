/* build/imageblobs.c - blobs for layers that have none, or one of another kind. */
#include <fcntl.h>

#include "base/mem.h"
#include "build/imagestore.h"
#include "build/trees.h"
#include "build/wait.h"
#include "build/work.h"
#include "layers/comp.h"

struct packing {
	struct app *a;
	struct image *im;
	const struct comp *comp;
	int level;
	size_t next, running;
	bool done;
	struct err *e;
};
struct packing_one {
	struct packing *p;
	struct digest diff;
	struct digest blob;              /* recoded from this one */
	int64_t size;
	char tmp[80];
};

static void packing_step(struct packing *p);

static int packed(struct packing_one *o, struct slice out, struct err **e)
{
	struct store *s = o->p->a->store;
	struct pack_facts f;
	AUTO(mem_freep) char *blob = mem_printf("%s/blob", o->tmp);

	if (pack_answer_get(out, &f, e) < 0)
		return -1;
	if (!digest_equal(&f.diff, &o->diff)) {
		err_set(e, ERR_HOST, "layer %s packs to diff ID %s: its files were changed in the store", digest_text(&o->diff).s,
			digest_text(&f.diff).s);
		return err_hint(e, "run kiln check --repair, then build again");
	}
	struct blob_info info = { .diff = f.diff, .blob = f.blob, .size = (int64_t)f.blob_size, .level = o->p->level };
	snprintf(info.comp, sizeof(info.comp), "%s", o->p->comp->name);
	if (store_blob_commit(s, blob, &f.blob, info.size, e) < 0)
		return -1;
	return store_info_add(s, &info, e);
}

static void packing_done(void *arg, struct slice out, struct err *failed)
{
	struct packing_one *o = arg;
	struct packing *p = o->p;
	struct err *e = failed;

	if (!e)
		packed(o, out, &e);
	if (p->e)
		err_free(e);
	else
		p->e = e;
	store_tmp_drop(p->a->store, o->tmp);
	free(o);
	p->running--;
	packing_step(p);
}

static int packing_start(struct packing *p, const struct digest *diff, const char *dir, struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(1 << 20);
	struct packing_one *o = mem_zalloc(sizeof(*o));

	o->p = p;
	o->diff = *diff;
	if (store_tmp(p->a->store, o->tmp, e) < 0) {
		free(o);
		return -1;
	}
	struct pack_job q = {
		.store = store_path(p->a->store), .dir = dir, .tmp = o->tmp, .stored = &o->diff, .comp = p->comp->name, .level = p->level,
		.clamp = INT64_MAX,
	};
	pack_job_put(&b, &q);
	if (job_start(p->a->jobs, JOB_MAPPED, WORK_PACK, buf_view(&b), NULL, 0, NULL, packing_done, o, NULL, e) == 0)
		return 0;
	store_tmp_drop(p->a->store, o->tmp);
	free(o);
	return -1;
}

/* In a local job. What others packed is not what we would pack of the same files, so it is the tar that counts. */
static int recode_child(void *arg, struct job_self *self, struct buf *out, struct err **e)
{
	struct packing_one *o = arg;
	int store = store_fd(o->p->a->store);
	const struct comp *was;
	struct pack_facts facts = { 0 };
	struct stream *plain = NULL;
	char path[80];

	store_blob_path(&o->blob, path);
	int blob = at_open_store(store, path, O_RDONLY, 0, e);
	AUTO(fd_closep) int dir = blob < 0 ? -1 : at_open_store(store, o->tmp, O_RDONLY | O_DIRECTORY, 0, e);
	struct stream *s = blob < 0 ? NULL : stream_verify(stream_fd(blob, "layer"), &o->blob, o->size);
	struct pack_req q = { .dir = dir, .comp = o->p->comp->name, .level = o->p->level };
	if (dir < 0) {
		stream_drop(&s);
		return -1;
	}
	if (comp_detect(s, COMP_LAYER, &plain, &was, e) < 0 || pack_recode(plain, &q, &facts, e) < 0)
		return -1;
	pack_facts_put(out, &facts);
	return 0;
}

static int recode_start(struct packing *p, const struct digest *diff, const struct blob_info *info, struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(64);
	struct packing_one *o = mem_zalloc(sizeof(*o));

	*o = (struct packing_one){ .p = p, .diff = *diff, .blob = info->blob, .size = info->size };
	if (store_tmp(p->a->store, o->tmp, e) < 0) {
		free(o);
		return -1;
	}
	work_call_put(&b, recode_child, o);
	if (job_start(p->a->jobs, JOB_LOCAL, WORK_CALL, buf_view(&b), NULL, 0, NULL, packing_done, o, NULL, e) == 0)
		return 0;
	store_tmp_drop(p->a->store, o->tmp);
	free(o);
	return -1;
}

struct packing_dirs {
	struct packing *p;
	struct digest diff;
};

static void packing_dirs(void *arg, char **dirs, size_t n, struct err *e)
{
	struct packing_dirs *d = arg;
	struct packing *p = d->p;

	p->running--;
	if (!e && packing_start(p, &d->diff, dirs[n - 1], &e) == 0)
		p->running++;
	if (p->e)
		err_free(e);
	else
		p->e = e;
	free(d);
	packing_step(p);
}

/* Does layer i need a blob? Fills what is known. A layer that has one (of its base, or made for this output) keeps it unless forced. */
static int packing_wants(struct packing *p, size_t i, bool force, struct err **e)
{
	struct image_layer *l = &p->im->layer[i];
	struct blob_info info;
	int64_t size;

	if (!digest_zero(&l->blob) && !force && store_blob_find(p->a->store, &l->blob, &size, NULL) == 0)
		return 0;
	int rc = store_info_find(p->a->store, &l->diff, p->comp->name, &info, e);
	if (rc)
		return rc < 0 ? -1 : 1;
	const struct comp *c = comp_find(info.comp);
	l->blob = info.blob;
	l->size = info.size;
	l->comp = c->name;
	snprintf(l->media_type, sizeof(l->media_type), "%s", c->media_type);
	return 0;
}

static void packing_step(struct packing *p)
{
	while (!p->e && p->running < 2 && p->next < p->im->nlayer) {
		size_t i = p->next++;

		if (digest_zero(&p->im->layer[i].blob) == false)
			continue;
		struct blob_info info;
		int rc = store_info_find(p->a->store, &p->im->layer[i].diff, "", &info, &p->e);
		if (rc <= 0) {
			if (rc == 0 && recode_start(p, &p->im->layer[i].diff, &info, &p->e) == 0)
				p->running++;
			continue;
		}
		struct packing_dirs *d = mem_zalloc(sizeof(*d));
		d->p = p;
		d->diff = p->im->layer[i].diff;
		p->running++;
		if (trees_dirs(p->a->trees, &d->diff, 1, packing_dirs, d, &p->e) < 0) {
			p->running--;
			free(d);
		}
	}
	p->done = p->running == 0;
}

int imagestore_blobs(struct app *a, struct image *im, const char *comp, int level, bool force, struct err **e)
{
	struct packing p = { .a = a, .im = im, .comp = comp_find(comp ? comp : "zstd"), .level = level };

	if (!p.comp || !p.comp->media_type || !p.comp->writer) {
		err_set(e, ERR_USAGE, "unknown compression '%s'", comp);
		return err_hint(e, "zstd, gzip or uncompressed");
	}
	for (size_t i = 0; i < im->nlayer; i++) {
		int want = packing_wants(&p, i, force, e);

		if (want < 0)
			return -1;
		if (want)
			im->layer[i].blob = (struct digest){ 0 };
	}
	packing_step(&p);
	if (wait_until(a, &p.done, &p.e, e) < 0)
		return -1;
	for (size_t i = 0; i < im->nlayer; i++) {
		if (packing_wants(&p, i, force, e) != 0)
			return *e ? -1 : err_set(e, ERR_BUG, "layer %s was packed but has no blob", digest_short(&im->layer[i].diff).s);
	}
	return 0;
}

/* Docker's own types want gzip or plain layers. */
int imagestore_docker_blobs(struct app *a, struct image *im, int level, struct err **e)
{
	bool zstd = false;

	for (size_t i = 0; i < im->nlayer; i++) {
		const struct comp *c = im->layer[i].comp ? comp_find(im->layer[i].comp) : NULL;

		if (!c || !c->docker_type) {
			im->layer[i].blob = (struct digest){ 0 };
			zstd = true;
		}
	}
	return zstd ? imagestore_blobs(a, im, "gzip", level, true, e) : 0;
}
