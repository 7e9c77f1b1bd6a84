/* build/output/registry.c - type=registry: the image to where its names say. */
#include "build/output/image.h"
#include "base/mem.h"

/* The names without their tags: the registry then knows the image by its digest alone. */
static void by_digest(struct output_job *j, const struct digest *manifest, struct strs *ret)
{
	for (size_t i = 0; i < j->names.n; i++) {
		const char *name = j->names.v[i], *slash = strrchr(name, '/'), *colon = strrchr(slash ? slash : name, ':');
		size_t n = colon ? (size_t)(colon - name) : strlen(name);
		AUTO(mem_freep) char *text = mem_printf("%.*s@%s", (int)n, name, digest_text(manifest).s);

		strs_add(ret, text);
	}
}

/* The digest that the manifest will have. */
static int manifest_digest(struct output_job *j, struct digest *ret, struct err **e)
{
	AUTO(buf_freep) struct buf config = BUF_MAX(4 << 20);
	AUTO(buf_freep) struct buf manifest = BUF_MAX(4 << 20);
	struct digest d;

	image_config_bytes(j->image, &config);
	digest_of(config.p, config.n, &d);
	if (image_manifest(j->image, &d, (int64_t)config.n, j->spec->docker_types, &manifest, e) < 0)
		return -1;
	digest_of(manifest.p, manifest.n, ret);
	return 0;
}

static int registry_run(struct output_job *j, struct output_done *ret, struct err **e)
{
	struct transfer_opts o = j->req->transfer;
	struct strs bare = { 0 };
	struct digest expect;

	o.kind = ERR_PUSH;
	if (output_id(j->image, &ret->config, e) < 0 || output_blobs(j, NULL, e) < 0)
		return -1;
	if (!j->spec->push_by_digest)
		return imagestore_push(j->app, j->image, NULL, strs_null(&j->names), j->names.n, j->spec->docker_types, &o, &ret->manifest, e);
	if (manifest_digest(j, &expect, e) < 0)
		return -1;
	by_digest(j, &expect, &bare);
	int rc = imagestore_push(j->app, j->image, NULL, strs_null(&bare), bare.n, j->spec->docker_types, &o, &ret->manifest, e);
	strs_clear(&bare);
	return rc;
}

const struct output output_registry = { .name = "registry", .type = OUTPUT_REGISTRY, .image = true, .run = registry_run };
