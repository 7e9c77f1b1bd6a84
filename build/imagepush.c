/* build/imagepush.c - blobs for layers that have none, and images out of the store: registries, archives, trees. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "build/imagestore.h"
#include "build/trees.h"
#include "build/treeout.h"
#include "build/wait.h"
#include "build/work.h"
#include "layers/comp.h"
#include "layers/config.h"
#include "registry/archive.h"

/* ---- blobs */

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
static int only_docker(struct app *a, struct image *im, int level, struct err **e)
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

/* ---- documents */

struct documents {
	struct buf config, manifest;
	struct digest config_digest, manifest_digest;
	const char *media_type;
};

static void documents_clear(struct documents *d)
{
	buf_free(&d->config);
	buf_free(&d->manifest);
}

static void documents_say(const struct documents *d, struct descriptor *ret)
{
	*ret = (struct descriptor){ .digest = d->manifest_digest, .size = (int64_t)d->manifest.n };
	snprintf(ret->media_type, sizeof(ret->media_type), "%s", d->media_type);
}

/* keep: a manifest that goes out as it is. id: the config bytes that stay as they are under another manifest. Both may be NULL. */
static int documents_make(struct app *a, const struct image *im, const struct digest *keep, const struct digest *id, bool docker,
			  struct documents *d, struct err **e)
{
	d->config.max = 8 << 20;
	d->manifest.max = 4 << 20;
	d->media_type = manifest_media_type(DOC_MANIFEST, docker);
	if (!id || store_blob_read(a->store, id, &d->config, e) != 0)
		image_config_bytes(im, &d->config);
	if (*e || buf_ok(&d->config, "image config", e) < 0 || store_blob_put(a->store, buf_view(&d->config), &d->config_digest, e) < 0)
		return -1;
	/* A pulled image goes out with the bytes it came with. */
	if (keep && !digest_zero(keep) && store_blob_read(a->store, keep, &d->manifest, e) == 0) {
		struct manifest m = { 0 };

		if (manifest_parse(buf_view(&d->manifest), NULL, &m, e) < 0)
			return -1;
		d->media_type = manifest_media_type(DOC_MANIFEST, m.docker);
		d->manifest_digest = *keep;
		d->config_digest = m.config.digest;
		manifest_clear(&m);
		buf_reset(&d->config);
		int rc = store_blob_read(a->store, &d->config_digest, &d->config, e);
		return rc > 0 ? err_set(e, ERR_HOST, "the config %s is not in the store", digest_short(&d->config_digest).s) : rc;
	}
	if (*e)
		return -1;
	if (image_manifest(im, &d->config_digest, (int64_t)d->config.n, docker, &d->manifest, e) < 0)
		return -1;
	return store_blob_put(a->store, buf_view(&d->manifest), &d->manifest_digest, e);
}

/* ---- push */

struct push_call {
	struct app *a;
	struct push_req req;
	const struct transfer_opts *opts;
};

static int push_child(void *arg, struct job_self *self, struct buf *out, struct err **e)
{
	struct push_call *p = arg;
	struct transfer_calls calls = { 0 };
	struct digest d;

	if (push_run(&p->req, p->opts, &calls, &d, e) < 0)
		return -1;
	wire_put(out, (struct slice){ (char *)d.b, 32 });
	return 0;
}

/* "host/repo" lines of one blob as an array. */
static void blob_sources(struct app *a, const struct digest *d, struct strs *ret)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(1 << 20);
	struct slice rest, line;

	if (store_source_list(a->store, d, &text, NULL) < 0)
		return;
	for (rest = buf_view(&text); rest.n;) {
		if (!slice_cut(rest, '\n', &line, &rest))
			rest = SLICE_NONE;
		AUTO(mem_freep) char *one = mem_strn(line.p, line.n);
		if (line.n)
			strs_add(ret, one);
	}
}

static int push_group(struct app *a, const struct image *im, const struct documents *d, const struct ref *ref, struct strs *tags,
		      const struct transfer_opts *o, struct err **e)
{
	AUTO(buf_freep) struct buf call = BUF_MAX(64);
	AUTO(buf_freep) struct buf answer = BUF_MAX(4096);
	AUTO(buf_freep) struct buf name = BUF_MAX(8192);
	AUTO(mem_freep) struct push_blob *blob = mem_array(im->nlayer + 1, sizeof(*blob));
	AUTO(mem_freep) struct strs *from = mem_array(im->nlayer + 1, sizeof(*from));
	struct transfer_opts opts = *o;
	unsigned id = a->next_id++;

	opts.kind = ERR_PUSH;
	for (size_t i = 0; i < im->nlayer; i++) {
		blob_sources(a, &im->layer[i].blob, &from[i]);
		blob[i] = (struct push_blob){ im->layer[i].blob, im->layer[i].size, strs_null(&from[i]) };
	}
	blob[im->nlayer] = (struct push_blob){ .digest = d->config_digest, .size = (int64_t)d->config.n };
	struct push_call pc = {
		.a = a, .opts = &opts,
		.req = { .ref = ref, .tag = strs_null(tags), .store = store_fd(a->store), .blob = blob, .nblob = im->nlayer + 1,
			 .manifest = buf_view(&d->manifest), .media_type = d->media_type },
	};
	ref_familiar(ref, &name);
	AUTO(mem_freep) char *title = mem_printf("push %s", name.p);
	report_step(a->report, id, title);
	report_state(a->report, id, REPORT_STARTED, NULL, 0);
	work_call_put(&call, push_child, &pc);
	int rc = wait_job(a, JOB_LOCAL, WORK_PUSH, buf_view(&call), NULL, 0, NULL, NULL, &answer, e);
	report_state(a->report, id, rc == 0 ? REPORT_DONE : REPORT_FAILED, NULL, 0);
	AUTO(mem_freep) char *repo = mem_printf("%s/%s", ref->domain, ref->repo);
	for (size_t i = 0; i < im->nlayer; i++) {
		if (rc == 0)
			rc = store_source_add(a->store, &im->layer[i].blob, repo, e);
		strs_clear(&from[i]);
	}
	return rc;
}

static bool same_repo(const struct ref *a, const struct ref *b)
{
	return strcmp(a->domain, b->domain) == 0 && strcmp(a->repo, b->repo) == 0;
}

int imagestore_push(struct app *a, struct image *im, const struct digest *keep_manifest, const char *const *names, size_t n, bool docker,
		    const struct transfer_opts *o, struct descriptor *ret_manifest, struct err **e)
{
	AUTO(mem_freep) struct ref *ref = mem_array(n + 1, sizeof(*ref));
	AUTO(mem_freep) bool *seen = mem_array(n + 1, sizeof(*seen));
	AUTO(documents_clear) struct documents d = { 0 };
	int rc = 0;

	if ((docker && only_docker(a, im, -1, e) < 0) || documents_make(a, im, keep_manifest, NULL, docker, &d, e) < 0)
		return -1;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = ref_parse(slice_of(names[i]), &ref[i], e);
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct strs tags = { 0 };

		for (size_t k = i; k < n && !seen[i]; k++) {
			if (!same_repo(&ref[i], &ref[k]))
				continue;
			if (ref[k].tag)
				strs_add(&tags, ref[k].tag);
			seen[k] = k != i;
		}
		if (!seen[i])
			rc = push_group(a, im, &d, &ref[i], &tags, o, e);
		strs_clear(&tags);
	}
	for (size_t i = 0; i < n; i++)
		ref_clear(&ref[i]);
	if (rc == 0)
		documents_say(&d, ret_manifest);
	return rc;
}

/* ---- archives and trees */

struct write_call {
	struct app *a;
	enum archive_form form;
	const char *dest;
	struct archive_image im;
};

static int write_child(void *arg, struct job_self *self, struct buf *out, struct err **e)
{
	struct write_call *w = arg;

	umask(w->a->umask);
	return archive_write(w->form, w->dest, store_fd(w->a->store), &w->im, 1, e);
}

int imagestore_export_archive(struct app *a, struct image *im, enum output_type type, bool dir, const char *dest, const char *const *names,
			      size_t n, const char *comp, int level, bool force, const struct digest *id, struct descriptor *ret_manifest,
			      struct err **e)
{
	AUTO(documents_clear) struct documents d = { 0 };
	AUTO(buf_freep) struct buf call = BUF_MAX(64);
	AUTO(mem_freep) struct descriptor *blob = mem_array(im->nlayer + 1, sizeof(*blob));
	bool docker = type == OUTPUT_DOCKER;

	if (imagestore_blobs(a, im, comp ? comp : docker ? "gzip" : NULL, level, force, e) < 0)
		return -1;
	if (docker && only_docker(a, im, level, e) < 0)
		return -1;
	if (documents_make(a, im, NULL, id, false, &d, e) < 0)
		return -1;
	for (size_t i = 0; i < im->nlayer; i++) {
		blob[i] = (struct descriptor){ .digest = im->layer[i].blob, .size = im->layer[i].size };
		memcpy(blob[i].media_type, im->layer[i].media_type, sizeof(im->layer[i].media_type));
	}
	struct write_call w = {
		.a = a, .form = docker ? ARCHIVE_DOCKER_TAR : dir ? ARCHIVE_OCI_DIR : ARCHIVE_OCI_TAR, .dest = dest,
		.im = { .name = names, .manifest = buf_view(&d.manifest), .config = buf_view(&d.config), .media_type = d.media_type,
			.blob = blob, .nblob = im->nlayer },
	};
	work_call_put(&call, write_child, &w);
	if (wait_job(a, JOB_LOCAL, WORK_ARCHIVE, buf_view(&call), NULL, 0, NULL, NULL, NULL, e) < 0)
		return err_wrap(e, "cannot write '%s'", dest);
	documents_say(&d, ret_manifest);
	return 0;
}

int imagestore_export_tree(struct app *a, const struct image *im, enum output_type type, const char *dest, bool mode_delete, int64_t epoch,
			   struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(1 << 20);
	AUTO(treeout_clear) struct treeout_dest d = TREEOUT_NONE;
	struct strs dirs = { 0 };
	int rc = -1;

	if (imagestore_unpack(a, im, &dirs, e) < 0)
		return -1;
	mode_t ours = umask(a->umask);
	rc = treeout_open(type == OUTPUT_TAR, dest, &d, e);
	umask(ours);
	if (rc == 0) {
		struct treeout_req r = {
			.store = store_path(a->store), .dir = (const char *const *)dirs.v, .ndir = dirs.n, .tar = type == OUTPUT_TAR,
			.mode_delete = mode_delete, .epoch = epoch, .diff = mem_array(im->nlayer + 1, sizeof(struct digest)),
		};
		for (size_t i = 0; i < im->nlayer; i++)
			r.diff[i] = im->layer[i].diff;
		treeout_put(&b, &r);
		free(r.diff);
		rc = wait_job(a, JOB_MAPPED, WORK_TREE, buf_view(&b), &d.fd, 1, NULL, NULL, NULL, e);
	}
	strs_clear(&dirs);
	if (rc == 0) {
		ours = umask(a->umask);
		rc = treeout_finish(&d, dest, e);
		umask(ours);
	}
	return rc < 0 ? err_wrap(e, "cannot write '%s'", dest) : 0;
}

int imagestore_empty_trash(struct app *a, struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(8192);

	wire_put_str(&b, store_path(a->store));
	return wait_job(a, JOB_MAPPED, WORK_RMTREE, buf_view(&b), NULL, 0, NULL, NULL, NULL, e);
}
