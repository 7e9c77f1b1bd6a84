/* build/cmd/build_image.c - options of `kiln build` that say what the image is besides its files (spec/cli-flags.md 3). */
#include "base/mem.h"
#include "build/cmd/build.h"
#include "build/output/output.h"

static int labels(struct build_opts *o, struct build_req *r, struct err **e)
{
	for (size_t i = 0; i < o->labels.n; i++) {
		const char *text = o->labels.v[i];

		if (!*text || *text == '=')
			return err_set(e, ERR_USAGE, "--label is '%s': the name is missing", text);
		AUTO(mem_freep) char *pair = strchr(text, '=') ? mem_str(text) : mem_printf("%s=", text);
		strs_add(&r->labels, pair);
	}
	return 0;
}

static bool makes_manifest(const struct build_req *r)
{
	for (size_t i = 0; i < r->noutput; i++) {
		const struct output_spec *o = &r->output[i];

		if (o->type == OUTPUT_REGISTRY || o->type == OUTPUT_OCI || o->type == OUTPUT_DOCKER || o->push || o->push_by_digest ||
		    (o->type == OUTPUT_STORE && r->index))
			return true;
	}
	return r->noutput == 0 && r->index;
}

static bool stores(const struct build_req *r)
{
	for (size_t i = 0; i < r->noutput; i++)
		if (r->output[i].type == OUTPUT_STORE)
			return true;
	return r->noutput == 0;
}

static int digest_files(const struct build_opts *o, struct build_req *r, struct err **e)
{
	const char *const name[] = { o->digest_file, o->name_digest_file, o->tag_digest_file };
	const char **const to[] = { &r->digest_file, &r->name_digest_file, &r->tag_digest_file };

	for (size_t i = 0; i < countof(name); i++) {
		*to[i] = name[i] && *name[i] ? name[i] : NULL;
		if (!*to[i] || makes_manifest(r))
			continue;
		err_set(e, ERR_USAGE, "there is no digest for '%s': %s", *to[i],
			stores(r) ? "the store keeps no manifest" : "no manifest is made");
		return err_hint(e, "give --push or --output=type=oci, or take the image id with --iidfile");
	}
	return 0;
}

static int annotations(struct app *a, struct build_opts *o, struct build_req *r, struct err **e)
{
	for (size_t i = 0; i < o->annotations.n; i++)
		if (annotation_parse(o->annotations.v[i], &r->annotations, e) < 0)
			return -1;
	const char *option = r->annotations.n ? "annotation" : r->image.base_annotations ? "inherit-annotations" :
			     r->image.created_annotation ? "created-annotation" : NULL;
	if (option && !makes_manifest(r))
		report_note(a->report, REPORT_WARNING, "--%s has no effect: a manifest is made by --push and --output=type=oci", option);
	return 0;
}

/* "K=V", or "K" for the value of the builder's own environment; a K that is not there counts as not given. */
static int env(struct build_opts *o, struct build_req *r, struct err **e)
{
	for (size_t i = 0; i < o->envs.n; i++) {
		const char *text = o->envs.v[i];

		if (!*text || *text == '=')
			return err_set(e, ERR_USAGE, "--env is '%s': the name is missing", text);
		if (strchr(text, '=')) {
			strs_add(&r->image.env, text);
		} else if (getenv(text)) {
			AUTO(mem_freep) char *pair = mem_printf("%s=%s", text, getenv(text));

			strs_add(&r->image.env, pair);
		}
	}
	return 0;
}

static void names(const struct strs *from, struct strs *to)
{
	for (size_t i = 0; i < from->n; i++)
		strs_add(to, from->v[i]);
}

/* Docker's form has no zstd. */
static void format(struct build_opts *o, struct build_req *r)
{
	bool docker = o->format && strcmp(o->format, "docker") == 0;

	if (docker && !r->comp)
		r->comp = "gzip";
	for (size_t i = 0; i < r->noutput; i++)
		if (docker && (r->output[i].type == OUTPUT_REGISTRY || r->output[i].type == OUTPUT_STORE))
			r->output[i].docker_types = true;
}

int build_image(struct app *a, struct build_opts *o, struct build_req *r, struct err **e)
{
	struct image_opts *im = &r->image;

	im->base_annotations = o->inherit_annotations == TRI_YES;
	im->created_annotation = o->created_annotation == TRI_YES;
	if (labels(o, r, e) < 0 || annotations(a, o, r, e) < 0 || env(o, r, e) < 0 || digest_files(o, r, e) < 0)
		return -1;
	names(&o->unset_envs, &im->unset_env);
	names(&o->unset_labels, &im->unset_labels);
	names(&o->unset_annotations, &im->unset_annotations);
	names(&o->os_features, &im->os_features);
	im->from = o->from && *o->from ? o->from : NULL;
	im->drop_labels = o->inherit_labels == TRI_NO;
	im->identity = o->identity_label == TRI_YES;
	im->omit_history = o->omit_history;
	im->squash = o->squash_all ? SQUASH_ALL : o->squash || o->layers == TRI_NO ? SQUASH_NEW : SQUASH_NONE;
	im->os_version = o->os_version && *o->os_version ? o->os_version : NULL;
	format(o, r);
	return 0;
}
