/* build/output/join.c - --manifest: into the index that a name of the store stands for (spec/oci.md 4.5 rule 5). */
#include <assert.h>

#include "base/mem.h"
#include "build/output/image.h"

/* What the index will be of: images that are new, in the place of those for the same platform, and old ones, whose documents stay. */
struct joined {
	struct image *image;
	struct digest *config, *manifest;        /* zero: made */
	bool *old;
	size_t n;
	struct jval *annotation;
};

static void joined_clear(struct joined *j)
{
	for (size_t i = 0; i < j->n; i++)
		if (j->old[i])
			image_clear(&j->image[i]);
	free(j->image);
	free(j->config);
	free(j->manifest);
	free(j->old);
	jval_free(j->annotation);
}

static struct image *of_platform(const struct output_job *j, const char *text)
{
	for (size_t i = 0; i < j->n; i++)
		if (text && strcmp(platform_text(&j->image[i].platform).s, text) == 0)
			return &j->image[i];
	return NULL;
}

static void add_new(struct joined *all, const struct image *im)
{
	for (size_t i = 0; i < all->n; i++)
		if (!all->old[i] && all->image[i].config == im->config)
			return;
	all->image[all->n++] = *im;
}

/* A layer of an image that had no manifest has no blob yet. */
static int add_old(struct output_job *j, const struct name_record *r, struct joined *all, struct err **e)
{
	size_t i = all->n;

	if (imagestore_load(j->app, r, &all->image[i], e) < 0)
		return -1;
	all->n++;
	all->old[i] = true;
	all->config[i] = r->config;
	all->manifest[i] = r->manifest;
	return digest_zero(&r->manifest) ? imagestore_blobs(j->app, &all->image[i], j->req->comp, j->req->level, false, e) : 0;
}

/* The annotations of the index and of its entries stay. */
static int keep_annotations(struct app *a, const struct digest *index, struct joined *all, struct err **e)
{
	AUTO(buf_freep) struct buf bytes = BUF_MAX(4 << 20);
	AUTO(jval_freep) struct jval *doc = NULL;
	struct jval *list = NULL, *of = NULL;

	if (digest_zero(index))
		return 0;
	if (store_blob_read(a->store, index, &bytes, e) != 0 || jdoc_parse(buf_view(&bytes), "the index", &doc, e) < 0 ||
	    jval_get_arr(doc, "manifests", &list, e) < 0 || jval_get_obj(doc, "annotations", &of, e) < 0)
		return *e ? -1 : err_set(e, ERR_HOST, "the index %s is not in the store", digest_short(index).s);
	all->annotation = of ? jval_copy(of) : NULL;
	for (size_t k = 0; k < jval_len(list); k++) {
		const char *digest = jval_str(jval_get(jval_at(list, k), "digest"));

		of = jval_get(jval_at(list, k), "annotations");
		for (size_t i = 0; i < all->n && digest && of; i++)
			if (all->old[i] && strcmp(digest_text(&all->manifest[i]).s, digest) == 0 && !all->image[i].entry_annotation)
				all->image[i].entry_annotation = jval_copy(of);
	}
	return 0;
}

static int collect(struct output_job *j, const struct name_record *have, struct joined *all, struct err **e)
{
	const struct name_record *im;
	size_t most = j->n;

	assert(j->image);
	while (have && name_image(have, most - j->n))
		most++;
	all->image = mem_array(most, sizeof(*all->image));
	all->config = mem_array(most, sizeof(*all->config));
	all->manifest = mem_array(most, sizeof(*all->manifest));
	all->old = mem_array(most, sizeof(*all->old));
	for (size_t i = 0; have && (im = name_image(have, i)); i++) {
		const struct image *fresh = of_platform(j, im->platform);

		if (fresh)
			add_new(all, fresh);
		else if (add_old(j, im, all, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < j->n; i++)
		add_new(all, &j->image[i]);
	if (have && keep_annotations(j->app, &have->index, all, e) < 0)
		return -1;
	for (void *it = j->annotation ? jval_first(j->annotation) : NULL; it; it = jval_next(j->annotation, it))
		image_annotate(&all->annotation, jval_key(it), jval_str(jval_val(it)));
	return 0;
}

static int save(struct output_job *j, const struct name_record *have, struct descriptor *ret, struct err **e)
{
	AUTO(joined_clear) struct joined all = { 0 };

	if (collect(j, have, &all, e) < 0)
		return -1;
	const struct parcel p = {
		.image = all.image, .n = all.n, .index = true, .docker = j->spec->docker_types, .config = all.config, .manifest = all.manifest,
		.annotation = all.annotation,
	};
	return imagestore_save_index(j->app, &p, strs_null(&j->names), 1, ret, e);
}

int output_join(struct output_job *j, struct output_done *ret, struct err **e)
{
	AUTO(store_job_unlock) int lock = -1;
	struct name_record have = { 0 };
	struct descriptor index = { 0 };
	const char *name = j->names.v[0];

	if (output_id(j, &ret->config, e) < 0 || output_blobs(j, NULL, e) < 0 || imagestore_lock(j->app, name, &lock, e) < 0)
		return -1;
	int rc = imagestore_find(j->app, name, &have, e);
	if (rc >= 0)
		rc = save(j, rc == 0 ? &have : NULL, &index, e);
	name_record_clear(&have);
	if (rc == 0 && j->req->index)
		ret->manifest = index;
	return rc < 0 ? err_wrap(e, "cannot add to the index '%s'", j->spec->names.v[0]) : 0;
}
