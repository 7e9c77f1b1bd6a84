/* build/output/output.h - where an image goes: one row per --output type (spec/cli-flags.md 9.1).
 *
 * Data:   text -> struct output_spec (output_parse), checked before anything is built (output_check); spec + finished image -> its place
 *         (output_run).
 * Fails:  ERR_USAGE for the text; kinds of the place while running.
 */
#pragma once
#include "build/imagestore.h"

struct output_job {
	struct app *app;
	const struct build_req *req;
	const struct output_spec *spec;
	struct image *image;             /* one per platform; layers[] are updated when blobs are made */
	size_t n;
	struct strs names;               /* normalised */
	struct jval *annotation, *top;   /* of the index, and of what names it; NULL: none */
	int64_t epoch;                   /* SOURCE_DATE_EPOCH as resolved; INT64_MIN: none */
};
struct output_done {
	struct digest config;            /* zero when the output made no image, or an index */
	struct descriptor manifest;      /* or index; its digest is zero when none was written */
};
struct output {
	const char *name;                /* type=... */
	enum output_type type;
	bool image;                      /* takes names and layer keys */
	bool to_dest;                    /* needs dest= */
	bool to_stdout;                  /* dest=- is fine */
	int (*run)(struct output_job *j, struct output_done *ret, struct err **e);
};
extern const struct output output_store, output_registry, output_docker, output_oci, output_local, output_tar, output_cacheonly;

/* One --output value. */
int output_parse(const char *text, struct output_spec *ret, struct err **e);
/* build/output/annotate.c: "[TYPE[PLATFORM],...:]KEY=VALUE", with the types manifest, index, manifest-descriptor and index-descriptor. */
int annotation_parse(const char *text, struct annotations *to, struct err **e);
/* The key of an output, "annotation-TYPE[PLATFORM].KEY"; 1: it is none of these. */
int annotation_key(const char *key, const char *value, struct annotations *to, struct err **e);
/* Is there what they are for? */
int annotation_check(const struct build_req *r, const struct annotations *list, struct err **e);
/* Those of the request and of the output to the images and the index of a job. */
void annotate(struct output_job *j);
/* What cannot work is told before the build: no name to push, a tar for a terminal, a form that cannot hold the compression. */
int output_check(const struct build_req *r, struct err **e);
/* Put the images there, as an index if the request says so. epoch: see above. */
int output_run(struct app *a, const struct build_req *r, const struct output_spec *spec, struct image *im, size_t n, int64_t epoch,
	       struct output_done *ret, struct err **e);
