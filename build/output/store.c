/* build/output/store.c - type=image: the image gets its names in the store; type=cacheonly: only the steps are kept. */
#include "build/output/image.h"
#include "base/mem.h"

int output_blobs(struct output_job *j, const char *form, struct err **e)
{
	const char *comp = j->spec->comp ? j->spec->comp : j->req->comp ? j->req->comp : form;
	int level = j->spec->level >= 0 ? j->spec->level : j->req->level;

	for (size_t i = 0; i < j->n; i++)
		if (imagestore_blobs(j->app, &j->image[i], comp, level, j->spec->force_comp || j->req->force_comp, e) < 0)
			return -1;
	return 0;
}

int output_id(const struct output_job *j, struct digest *ret, struct err **e)
{
	AUTO(buf_freep) struct buf bytes = BUF_MAX(4 << 20);

	if (j->req->index)
		return 0;
	image_config_bytes(j->image, &bytes);
	if (buf_ok(&bytes, "the config of the image", e) < 0)
		return -1;
	digest_of(bytes.p, bytes.n, ret);
	return 0;
}

struct parcel output_parcel(struct output_job *j)
{
	return (struct parcel){
		.image = j->image, .n = j->n, .index = j->req->index, .docker = j->spec->docker_types, .annotation = j->annotation,
		.top = j->top,
	};
}

static int save(struct output_job *j, struct output_done *ret, struct err **e)
{
	const struct parcel p = output_parcel(j);

	return p.index ? imagestore_save_index(j->app, &p, strs_null(&j->names), j->names.n, &ret->manifest, e)
		       : imagestore_save(j->app, j->image, strs_null(&j->names), j->names.n, NULL, NULL, &ret->config, e);
}

/* A directory that a RUN left stays one: its blob is made at the first push, unless a compression was asked for, or an index, which
 * names manifests, is what the name stands for. */
static int store_run(struct output_job *j, struct output_done *ret, struct err **e)
{
	if (j->spec->join)
		return output_join(j, ret, e);
	if ((j->spec->comp || j->spec->force_comp || j->req->index) && output_blobs(j, NULL, e) < 0)
		return -1;
	/* The push first, beside the sync that a name waits for; when it fails, the name is there to be pushed again. */
	AUTO(err_freep) struct err *second = NULL;
	int rc = j->spec->push || j->spec->push_by_digest ? output_registry.run(j, ret, e) : 0;
	if (save(j, ret, rc < 0 ? &second : e) < 0)
		return -1;
	return rc;
}

const struct output output_store = { .name = "image", .type = OUTPUT_STORE, .image = true, .run = store_run };

static int cacheonly_run(struct output_job *j, struct output_done *ret, struct err **e)
{
	return output_id(j, &ret->config, e);
}

const struct output output_cacheonly = { .name = "cacheonly", .type = OUTPUT_CACHEONLY, .run = cacheonly_run };
