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

static int registry_run(struct output_job *j, struct output_done *ret, struct err **e)
{
	const struct parcel p = output_parcel(j);
	struct transfer_opts o = j->req->transfer;
	struct descriptor expect;
	struct strs bare = { 0 };

	o.kind = ERR_PUSH;
	if (output_id(j, &ret->config, e) < 0 || output_blobs(j, NULL, e) < 0)
		return -1;
	if (!j->spec->push_by_digest)
		return imagestore_push(j->app, &p, strs_null(&j->names), j->names.n, &o, &ret->manifest, e);
	if (imagestore_documents(j->app, &p, &expect, NULL, NULL, e) < 0)
		return -1;
	by_digest(j, &expect.digest, &bare);
	int rc = imagestore_push(j->app, &p, strs_null(&bare), bare.n, &o, &ret->manifest, e);
	strs_clear(&bare);
	return rc;
}

const struct output output_registry = { .name = "registry", .type = OUTPUT_REGISTRY, .image = true, .run = registry_run };
