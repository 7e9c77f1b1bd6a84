/* build/imageopts.c - what the command line says about the finished image (spec/cli-flags.md 3). */
#include "base/mem.h"
#include "build/plan.h"

void imageopts_config(const struct build_req *r, struct image *im)
{
	const struct image_opts *o = &r->image;

	for (size_t i = 0; i < o->unset_env.n; i++)
		config_env_unset(im, o->unset_env.v[i]);
	if (o->identity)
		config_label_set(im, "io.kiln.version", KILN_VERSION);
	for (size_t i = 0; i < r->labels.n; i++) {
		const char *kv = r->labels.v[i];
		size_t n = strcspn(kv, "=");
		AUTO(mem_freep) char *key = mem_strn(kv, n);

		config_label_set(im, key, kv[n] ? kv + n + 1 : "");
	}
}

static void system_members(const struct image_opts *o, struct image *im)
{
	if (o->os_version) {
		snprintf(im->platform.os_version, sizeof(im->platform.os_version), "%s", o->os_version);
		jval_set_str(im->config, "os.version", o->os_version);
	}
	if (o->os_features.n) {
		struct jval *list = jval_arr();

		for (size_t i = 0; i < o->os_features.n; i++)
			jval_add_str(list, o->os_features.v[i]);
		jval_set(im->config, "os.features", list);
	}
}

static bool unset(const struct image_opts *o, const char *key)
{
	for (size_t i = 0; i < o->unset_annotations.n; i++)
		if (strcmp(o->unset_annotations.v[i], key) == 0)
			return true;
	return false;
}

/* The manifest is in the store: what was pulled can be pushed as it came. */
static int base_annotations(struct plan *p, const struct base_image *base, struct image *im, struct err **e)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(4 << 20);
	AUTO(jval_freep) struct jval *doc = NULL;
	struct jval *list = NULL;

	if (!base || digest_zero(&base->pulled.manifest))
		return 0;
	int rc = store_blob_read(p->app->store, &base->pulled.manifest, &text, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (jdoc_parse(buf_view(&text), "the manifest of the base image", &doc, e) < 0 || jval_get_obj(doc, "annotations", &list, e) < 0)
		return -1;
	for (void *it = list ? jval_first(list) : NULL; it; it = jval_next(list, it)) {
		const char *value = jval_str(jval_val(it));

		if (value && !unset(&p->req->image, jval_key(it)))
			image_annotate(&im->annotation, jval_key(it), value);
	}
	return 0;
}

int imageopts_finish(struct plan *p, const struct base_image *base, struct image *im, struct err **e)
{
	const struct image_opts *o = &p->req->image;
	const char *created = NULL;

	system_members(o, im);
	if (o->omit_history)
		jval_del(im->config, "history");
	if (o->base_annotations && base_annotations(p, base, im, e) < 0)
		return -1;
	if (o->created_annotation && jval_get_str(im->config, "created", &created, NULL) == 0 && created)
		image_annotate(&im->annotation, "org.opencontainers.image.created", created);
	return 0;
}
