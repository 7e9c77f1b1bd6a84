/* build/output/output.c - the table of outputs, and what --output says. */
#include "build/output/output.h"
#include "base/mem.h"
#include "layers/comp.h"
#include "parser/flags.h"

#include <unistd.h>

static const struct output *const outputs[] = {
	&output_store, &output_registry, &output_docker, &output_oci, &output_local, &output_tar, &output_cacheonly,
};
static const char types[] = "image, registry, docker, oci, local, tar and cacheonly";

static const struct output *find(const char *name)
{
	for (size_t i = 0; i < countof(outputs); i++)
		if (strcmp(outputs[i]->name, name) == 0)
			return outputs[i];
	return NULL;
}

static const struct output *of_type(enum output_type type)
{
	for (size_t i = 0; i < countof(outputs); i++)
		if (outputs[i]->type == type)
			return outputs[i];
	return NULL;
}

static int truth(const char *key, const char *value, bool *ret, struct err **e)
{
	if (strcmp(value, "true") == 0 || strcmp(value, "1") == 0)
		*ret = true;
	else if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
		*ret = false;
	else
		return err_set(e, ERR_USAGE, "%s is '%s', which is neither true nor false", key, value);
	return 0;
}

static int key_comp(struct output_spec *o, const char *value, struct err **e)
{
	const struct comp *c = comp_find(value);

	if (strcmp(value, "estargz") == 0 || !c || !c->media_type) {
		err_set(e, ERR_USAGE, "there is no compression '%s'", value);
		return err_hint(e, "choose zstd, gzip or uncompressed");
	}
	o->comp = mem_str(value);
	return 0;
}

/* Keys of images; 1: it is none of them. */
static int image_key(struct output_spec *o, const char *key, const char *value, struct err **e)
{
	uint64_t n = 0;
	bool oci = true;

	if (strcmp(key, "name") == 0) {
		struct slice rest = slice_of(value), one = SLICE_NONE;
		bool more = true;

		while (more) {
			more = slice_cut(rest, ',', &one, &rest);
			AUTO(mem_freep) char *name = mem_strn(one.p, one.n);
			strs_add(&o->names, name);
		}
		return 0;
	}
	if (strcmp(key, "push") == 0)
		return truth(key, value, &o->push, e);
	if (strcmp(key, "push-by-digest") == 0)
		return truth(key, value, &o->push_by_digest, e);
	if (strcmp(key, "compression") == 0)
		return key_comp(o, value, e);
	if (strcmp(key, "compression-level") == 0) {
		if (!slice_u64(slice_of(value), &n) || n > 22)
			return err_set(e, ERR_USAGE, "compression-level is '%s', not a number from 0 to 22", value);
		o->level = (int)n;
		return 0;
	}
	if (strcmp(key, "force-compression") == 0)
		return truth(key, value, &o->force_comp, e);
	if (strcmp(key, "rewrite-timestamp") == 0)
		return truth(key, value, &o->rewrite_timestamp, e);
	if (strcmp(key, "oci-mediatypes") == 0) {
		if (truth(key, value, &oci, e) < 0)
			return -1;
		o->docker_types = !oci;
		return 0;
	}
	/* What they ask for is how it is done anyway, or concerns an engine that is not here. */
	if (strcmp(key, "store") == 0 || strcmp(key, "unpack") == 0 || strcmp(key, "name-canonical") == 0)
		return 0;
	return annotation_key(key, value, &o->annotations, e);
}

static int set_key(const struct output *row, struct output_spec *o, const char *key, const char *value, struct err **e)
{
	bool keep = false;

	if (strcmp(key, "dest") == 0 && row->to_dest) {
		free(o->dest);
		o->dest = mem_str(value);
		return 0;
	}
	if (strcmp(key, "tar") == 0 && (row->type == OUTPUT_OCI || row->type == OUTPUT_DOCKER)) {
		if (truth(key, value, &keep, e) < 0)
			return -1;
		o->tar_false = !keep;
		return 0;
	}
	if (strcmp(key, "mode") == 0 && row->type == OUTPUT_LOCAL) {
		if (strcmp(value, "copy") != 0 && strcmp(value, "delete") != 0)
			return err_set(e, ERR_USAGE, "mode is '%s', neither copy nor delete", value);
		o->mode_delete = value[0] == 'd';
		return 0;
	}
	if (strcmp(key, "platform-split") == 0 && (row->type == OUTPUT_LOCAL || row->type == OUTPUT_TAR)) {
		if (truth(key, value, &keep, e) < 0)
			return -1;
		o->split = keep ? SPLIT_YES : SPLIT_NO;
		return 0;
	}
	int rc = row->image ? image_key(o, key, value, e) : 1;
	return rc == 1 ? err_set(e, ERR_USAGE, "type=%s has no key '%s'", row->name, key) : rc;
}

static int set_keys(char **field, size_t n, struct output_spec *o, struct err **e)
{
	const struct output *row = NULL;

	for (size_t i = 0; i < n; i++)
		if (strncmp(field[i], "type=", 5) == 0) {
			row = find(field[i] + 5);
			if (!row)
				return err_set(e, ERR_USAGE, "there is no output type '%s', only %s", field[i] + 5, types);
		}
	if (!row)
		return err_set(e, ERR_USAGE, "type= is missing");
	o->type = row->type;
	for (size_t i = 0; i < n; i++) {
		struct slice key, value;

		if (strncmp(field[i], "type=", 5) == 0)
			continue;
		if (!slice_cut(slice_of(field[i]), '=', &key, &value))
			return err_set(e, ERR_USAGE, "'%s' is not of the form KEY=VALUE", field[i]);
		AUTO(mem_freep) char *name = mem_strn(key.p, key.n);
		if (set_key(row, o, name, value.p, e) < 0)
			return -1;
	}
	if (row->to_dest && !o->dest && row->type != OUTPUT_DOCKER) {
		if (!row->to_stdout)
			return err_set(e, ERR_USAGE, "dest= is missing");
		o->dest = mem_str("-");
	}
	/* docker's "into the engine" is our own store. */
	if (row->type == OUTPUT_DOCKER && !o->dest)
		o->type = OUTPUT_STORE;
	return 0;
}

static int parse(const char *text, struct output_spec *o, struct err **e)
{
	char **field = NULL;
	size_t n = 0;

	if (csv_split(slice_of(text), &field, &n, e) < 0)
		return err_kind_set(e, ERR_USAGE);
	if (n == 1 && !strchr(field[0], '=')) {
		/* A lone path is a directory, a lone "-" a tar on standard output. */
		o->type = strcmp(field[0], "-") == 0 ? OUTPUT_TAR : OUTPUT_LOCAL;
		o->dest = mem_str(field[0]);
		int empty = !*field[0];
		csv_free(field, n);
		return empty ? err_set(e, ERR_USAGE, "it is empty") : 0;
	}
	int rc = set_keys(field, n, o, e);
	csv_free(field, n);
	return rc;
}

int output_parse(const char *text, struct output_spec *ret, struct err **e)
{
	struct output_spec o = { .level = -1 };

	if (parse(text, &o, e) < 0) {
		output_spec_clear(&o);
		return err_wrap(e, "--output is '%s'", text);
	}
	*ret = o;
	return 0;
}

/* ---- before the build */

static int check_names(const struct strs *names, struct err **e)
{
	for (size_t i = 0; i < names->n; i++) {
		struct ref ref = { 0 };

		if (ref_parse(slice_of(names->v[i]), &ref, e) < 0) {
			err_kind_set(e, ERR_USAGE);
			return err_wrap(e, "'%s' cannot be the name of an image", names->v[i]);
		}
		bool digest = ref.has_digest;
		ref_clear(&ref);
		if (digest)
			return err_set(e, ERR_USAGE, "'%s' cannot be the name of an image that is still to be built: it has a digest", names->v[i]);
	}
	return 0;
}

static int check_one(const struct build_req *r, const struct output_spec *o, struct err **e)
{
	const struct output *row = of_type(o->type);
	const struct comp *c = comp_find(o->comp ? o->comp : r->comp ? r->comp : "zstd");
	int level = o->level >= 0 ? o->level : r->level;
	bool nameless = o->names.n == 0 && r->tags.n == 0;

	if (check_names(&o->names, e) < 0)
		return -1;
	if (nameless && (o->type == OUTPUT_REGISTRY || o->push)) {
		err_set(e, ERR_USAGE, "there is no name to push to");
		return err_hint(e, "give the image one with -t NAME");
	}
	if (o->dest && strcmp(o->dest, "-") == 0) {
		if (!row->to_stdout || o->tar_false)
			return err_set(e, ERR_USAGE, "a directory cannot be written to standard output");
		if (isatty(STDOUT_FILENO)) {
			err_set(e, ERR_USAGE, "a tar is not written to a terminal");
			return err_hint(e, "redirect standard output, or give dest=FILE");
		}
	}
	if (row->image && o->docker_types && c && !c->docker_type) {
		err_set(e, ERR_USAGE, "a manifest of docker's form cannot hold layers compressed with %s", c->name);
		return err_hint(e, "use --compression=gzip, or leave out oci-mediatypes=false");
	}
	if (row->image && o->docker_types && (o->annotations.n || r->annotations.n || r->image.base_annotations || r->image.created_annotation)) {
		err_set(e, ERR_USAGE, "a manifest of docker's form holds no annotations");
		return err_hint(e, "leave out oci-mediatypes=false");
	}
	if (o->type == OUTPUT_DOCKER && r->index) {
		err_set(e, ERR_USAGE, r->platforms.n == 1 ? "docker's archive holds no index"
							  : "docker's archive holds one platform, and several are built");
		return err_hint(e, "use type=oci, or build each platform into an archive of its own");
	}
	if (annotation_check(r, &r->annotations, e) < 0 || annotation_check(r, &o->annotations, e) < 0)
		return -1;
	if (row->image && level >= 0 && c && (level < c->level_min || level > c->level_max))
		return err_set(e, ERR_USAGE, "%s has the levels %d to %d, not %d", c->name, c->level_min, c->level_max, level);
	return 0;
}

int output_check(const struct build_req *r, struct err **e)
{
	const struct output_spec store = { .type = OUTPUT_STORE, .level = -1 };
	bool piped = false;

	if (check_names(&r->tags, e) < 0)
		return -1;
	if (r->noutput == 0)
		return check_one(r, &store, e);
	for (size_t i = 0; i < r->noutput; i++) {
		const struct output_spec *o = &r->output[i];

		if (check_one(r, o, e) < 0)
			return -1;
		if (o->dest && strcmp(o->dest, "-") == 0) {
			if (piped)
				return err_set(e, ERR_USAGE, "two outputs cannot both go to standard output");
			piped = true;
		}
	}
	return 0;
}

/* ---- after it */

static int normalised(const struct strs *from, struct strs *to, struct err **e)
{
	for (size_t i = 0; i < from->n; i++) {
		AUTO(buf_freep) struct buf text = BUF_MAX(8192);
		struct ref ref = { 0 };

		if (ref_parse(slice_of(from->v[i]), &ref, e) < 0)
			return -1;
		ref_print(&ref, &text);
		ref_clear(&ref);
		strs_add(to, text.p);
	}
	return 0;
}

int output_run(struct app *a, const struct build_req *r, const struct output_spec *spec, struct image *im, size_t n, int64_t epoch,
	       struct output_done *ret, struct err **e)
{
	struct output_job j = { .app = a, .req = r, .spec = spec, .image = im, .n = n, .epoch = epoch };

	*ret = (struct output_done){ 0 };
	if (annotation_check(r, &r->annotations, e) < 0 || annotation_check(r, &spec->annotations, e) < 0)
		return -1;
	annotate(&j);
	int rc = normalised(spec->names.n ? &spec->names : &r->tags, &j.names, e);
	if (rc == 0)
		rc = of_type(spec->type)->run(&j, ret, e);
	strs_clear(&j.names);
	jval_free(j.annotation);
	jval_free(j.top);
	return rc;
}
