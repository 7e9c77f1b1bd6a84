/* build/imagepush.c - images out of the store: their documents, registries, archives. */
#include "base/mem.h"
#include "build/imagestore.h"
#include "build/wait.h"
#include "build/work.h"
#include "registry/archive.h"

#include <sys/stat.h>

/* ---- documents */

struct documents {
	struct buf config, manifest;
	struct digest config_digest, manifest_digest;
	const char *media_type;
};

/* All of a parcel. */
struct papers {
	struct documents *of;            /* one per image */
	size_t n;
	struct buf index;                /* empty: there is none */
	struct descriptor root;          /* of the index, or of the one manifest */
};

static void papers_clear(struct papers *p)
{
	for (size_t i = 0; i < p->n; i++) {
		buf_free(&p->of[i].config);
		buf_free(&p->of[i].manifest);
	}
	free(p->of);
	buf_free(&p->index);
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

/* The index that is kept is one of just these manifests: they are kept too. */
static int index_kept(struct app *a, const struct parcel *p, struct papers *ret, bool *docker, struct err **e)
{
	struct manifest m = { 0 };
	int rc = store_blob_read(a->store, &p->keep, &ret->index, e);

	for (size_t i = 0; rc == 0 && i < p->n; i++)
		rc = !digest_equal(&ret->of[i].manifest_digest, &p->manifest[i]);
	if (rc > 0) {
		err_set(e, ERR_HOST, "the index %s, or a manifest of it, is not in the store", digest_short(&p->keep).s);
		return err_hint(e, "run kiln check --repair, then build the image again");
	}
	if (rc < 0 || manifest_parse(buf_view(&ret->index), NULL, &m, e) < 0)
		return -1;
	*docker = m.docker;
	manifest_clear(&m);
	return 0;
}

static int papers_make(struct app *a, const struct parcel *p, bool docker, struct papers *ret, struct err **e)
{
	AUTO(mem_freep) struct descriptor *item = mem_array(p->n, sizeof(*item));
	struct digest d;

	for (size_t i = 0; i < p->n && docker; i++)
		if (imagestore_docker_blobs(a, &p->image[i], -1, e) < 0)
			return -1;
	ret->of = mem_array(p->n, sizeof(*ret->of));
	for (ret->n = 0; ret->n < p->n;) {
		size_t i = ret->n++;

		if (documents_make(a, &p->image[i], p->manifest ? &p->manifest[i] : NULL, p->config ? &p->config[i] : NULL, docker, &ret->of[i],
				   e) < 0)
			return -1;
		documents_say(&ret->of[i], &item[i]);
	}
	ret->root = item[0];
	if (!p->index)
		return 0;
	ret->index.max = 4 << 20;
	int rc = digest_zero(&p->keep) ? image_index(p->image, item, p->n, p->annotation, docker, &ret->index, e)
				       : index_kept(a, p, ret, &docker, e);
	if (rc < 0 || store_blob_put(a->store, buf_view(&ret->index), &d, e) < 0)
		return -1;
	ret->root = (struct descriptor){ .digest = d, .size = (int64_t)ret->index.n };
	snprintf(ret->root.media_type, sizeof(ret->root.media_type), "%s", manifest_media_type(DOC_INDEX, docker));
	return 0;
}

int imagestore_documents(struct app *a, const struct parcel *p, struct descriptor *ret, struct digest *ret_config, struct digest *ret_manifest,
			 struct err **e)
{
	AUTO(papers_clear) struct papers d = { 0 };

	if (papers_make(a, p, p->docker, &d, e) < 0)
		return -1;
	for (size_t i = 0; i < d.n && ret_config; i++) {
		ret_config[i] = d.of[i].config_digest;
		ret_manifest[i] = d.of[i].manifest_digest;
	}
	*ret = d.root;
	return 0;
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

/* Every blob that the documents name, with where it may be had. */
struct cargo {
	struct push_blob *blob;
	struct strs *from;
	size_t n;
};

static void cargo_clear(struct cargo *c)
{
	for (size_t i = 0; i < c->n; i++)
		strs_clear(&c->from[i]);
	free(c->blob);
	free(c->from);
}

static void cargo_load(struct app *a, const struct parcel *p, const struct papers *d, struct cargo *ret)
{
	size_t n = p->n;

	for (size_t i = 0; i < p->n; i++)
		n += p->image[i].nlayer;
	ret->blob = mem_array(n, sizeof(*ret->blob));
	ret->from = mem_array(n, sizeof(*ret->from));
	for (size_t i = 0; i < p->n; i++) {
		const struct image *im = &p->image[i];

		for (size_t k = 0; k < im->nlayer; k++, ret->n++) {
			blob_sources(a, &im->layer[k].blob, &ret->from[ret->n]);
			ret->blob[ret->n] = (struct push_blob){ im->layer[k].blob, im->layer[k].size, strs_null(&ret->from[ret->n]) };
		}
		ret->blob[ret->n++] = (struct push_blob){ .digest = d->of[i].config_digest, .size = (int64_t)d->of[i].config.n };
	}
}

static struct push_doc doc_of(const struct documents *d)
{
	return (struct push_doc){ buf_view(&d->manifest), d->media_type };
}

static int push_group(struct app *a, const struct parcel *p, const struct papers *d, const struct ref *ref, struct strs *tags,
		      const struct transfer_opts *o, struct err **e)
{
	AUTO(buf_freep) struct buf call = BUF_MAX(64);
	AUTO(buf_freep) struct buf answer = BUF_MAX(4096);
	AUTO(buf_freep) struct buf name = BUF_MAX(8192);
	AUTO(cargo_clear) struct cargo cargo = { 0 };
	AUTO(mem_freep) struct push_doc *child = mem_array(d->n, sizeof(*child));
	struct transfer_opts opts = *o;
	unsigned id = a->next_id++;

	opts.kind = ERR_PUSH;
	cargo_load(a, p, d, &cargo);
	for (size_t i = 0; i < d->n; i++)
		child[i] = doc_of(&d->of[i]);
	struct push_call pc = {
		.a = a, .opts = &opts,
		.req = { .ref = ref, .tag = strs_null(tags), .store = store_fd(a->store), .blob = cargo.blob, .nblob = cargo.n,
			 .child = child, .nchild = p->index ? d->n : 0,
			 .manifest = p->index ? (struct push_doc){ buf_view(&d->index), d->root.media_type } : child[0] },
	};
	ref_familiar(ref, &name);
	AUTO(mem_freep) char *title = mem_printf("push %s", name.p);
	report_step(a->report, id, title);
	report_state(a->report, id, REPORT_STARTED, NULL, 0);
	work_call_put(&call, push_child, &pc);
	int rc = wait_job(a, JOB_LOCAL, WORK_PUSH, buf_view(&call), NULL, 0, NULL, NULL, &answer, e);
	report_state(a->report, id, rc == 0 ? REPORT_DONE : REPORT_FAILED, NULL, 0);
	AUTO(mem_freep) char *repo = mem_printf("%s/%s", ref->domain, ref->repo);
	for (size_t i = 0; i < cargo.n && rc == 0; i++)
		if (cargo.blob[i].from)          /* not a config */
			rc = store_source_add(a->store, &cargo.blob[i].digest, repo, e);
	return rc;
}

static bool same_repo(const struct ref *a, const struct ref *b)
{
	return strcmp(a->domain, b->domain) == 0 && strcmp(a->repo, b->repo) == 0;
}

int imagestore_push(struct app *a, const struct parcel *p, const char *const *names, size_t n, const struct transfer_opts *o,
		    struct descriptor *ret, struct err **e)
{
	AUTO(mem_freep) struct ref *ref = mem_array(n + 1, sizeof(*ref));
	AUTO(mem_freep) bool *seen = mem_array(n + 1, sizeof(*seen));
	AUTO(papers_clear) struct papers d = { 0 };
	int rc = 0;

	if (papers_make(a, p, p->docker, &d, e) < 0)
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
			rc = push_group(a, p, &d, &ref[i], &tags, o, e);
		strs_clear(&tags);
	}
	for (size_t i = 0; i < n; i++)
		ref_clear(&ref[i]);
	if (rc == 0)
		*ret = d.root;
	return rc;
}

/* ---- archives */

struct write_call {
	struct app *a;
	enum archive_form form;
	const char *dest;
	struct archive_image *im;
	size_t n;
	const struct archive_index *index;
};

static int write_child(void *arg, struct job_self *self, struct buf *out, struct err **e)
{
	struct write_call *w = arg;

	umask(w->a->umask);
	return archive_write(w->form, w->dest, store_fd(w->a->store), w->im, w->n, w->index, e);
}

static void layers_clear(struct archive_image *im, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free((struct descriptor *)(uintptr_t)im[i].blob);
	free(im);
}

static struct archive_image *images_of(const struct parcel *p, const struct papers *d, const char *const *names)
{
	struct archive_image *ret = mem_array(p->n, sizeof(*ret));

	for (size_t i = 0; i < p->n; i++) {
		const struct image *im = &p->image[i];
		struct descriptor *blob = mem_array(im->nlayer + 1, sizeof(*blob));

		for (size_t k = 0; k < im->nlayer; k++) {
			blob[k] = (struct descriptor){ .digest = im->layer[k].blob, .size = im->layer[k].size };
			memcpy(blob[k].media_type, im->layer[k].media_type, sizeof(im->layer[k].media_type));
		}
		ret[i] = (struct archive_image){
			.name = names, .manifest = buf_view(&d->of[i].manifest), .config = buf_view(&d->of[i].config),
			.media_type = d->of[i].media_type, .blob = blob, .nblob = im->nlayer, .annotation = im->entry_annotation,
		};
	}
	return ret;
}

int imagestore_export_archive(struct app *a, const struct parcel *p, enum output_type type, bool dir, const char *dest,
			      const char *const *names, const char *comp, int level, bool force, struct descriptor *ret, struct err **e)
{
	AUTO(papers_clear) struct papers d = { 0 };
	AUTO(buf_freep) struct buf call = BUF_MAX(64);
	bool docker = type == OUTPUT_DOCKER;

	for (size_t i = 0; i < p->n; i++)
		if (imagestore_blobs(a, &p->image[i], comp ? comp : docker ? "gzip" : NULL, level, force, e) < 0 ||
		    (docker && imagestore_docker_blobs(a, &p->image[i], level, e) < 0))
			return -1;
	if (papers_make(a, p, false, &d, e) < 0)
		return -1;
	const struct archive_index index = { names, buf_view(&d.index), d.root.media_type, p->top };
	struct write_call w = {
		.a = a, .form = docker ? ARCHIVE_DOCKER_TAR : dir ? ARCHIVE_OCI_DIR : ARCHIVE_OCI_TAR, .dest = dest,
		.im = images_of(p, &d, names), .n = p->n, .index = p->index ? &index : NULL,
	};
	work_call_put(&call, write_child, &w);
	int rc = wait_job(a, JOB_LOCAL, WORK_ARCHIVE, buf_view(&call), NULL, 0, NULL, NULL, NULL, e);
	layers_clear(w.im, w.n);
	if (rc < 0)
		return err_wrap(e, "cannot write '%s'", dest);
	*ret = d.root;
	return 0;
}
