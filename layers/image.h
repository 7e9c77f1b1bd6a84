/* layers/image.h - the image value: config, layers, platform; manifests to and from bytes (spec/oci.md 1, spec/threats.md M).
 *
 * Owns:   image_clear() frees all. Unknown members of an inherited config are kept.
 * Fails:  ERR_SOURCE naming the document's digest and the member.
 */
#pragma once
#include "base/digest.h"
#include "base/jdoc.h"
#include "layers/platform.h"

struct image_layer {
	struct digest diff;              /* zero until known (config not read yet) */
	struct digest blob;              /* zero: not made yet */
	int64_t size;                    /* of the blob */
	const char *comp;                /* static name from layers/comp.h, NULL unknown */
	char media_type[96];
};
struct image {
	struct jval *config;             /* the whole config document */
	struct image_layer *layer;
	size_t nlayer;
	struct platform platform;
	struct jval *annotation;         /* of the manifest that is made from it; NULL: none */
	struct jval *entry_annotation;   /* of its descriptor in an index; NULL: none */
};
void image_clear(struct image *im);
/* to: one of its annotation members, made when it is NULL. */
void image_annotate(struct jval **to, const char *key, const char *value);
void image_copy(struct image *to, const struct image *from);      /* deep */
/* The config of FROM scratch for a platform: WorkingDir "/", Env PATH (spec/dockerfile.md 5.3). */
void image_scratch(struct image *im, const struct platform *p);

enum doc_kind { DOC_INDEX, DOC_MANIFEST };
struct descriptor {
	char media_type[128];
	struct digest digest;
	int64_t size;
	struct platform platform;        /* of an index entry; os "" when absent */
	char *ref_name;                  /* annotation org.opencontainers.image.ref.name, or NULL */
};
struct manifest {
	enum doc_kind kind;
	bool docker;                     /* media types of the docker family */
	struct descriptor config;        /* DOC_MANIFEST */
	struct descriptor *item;         /* layers, or the entries of an index */
	size_t nitem;
};
/* media_type: from the descriptor or HTTP header, NULL unknown; contradictions are errors (M5). */
int manifest_parse(struct slice bytes, const char *media_type, struct manifest *ret, struct err **e);
void manifest_clear(struct manifest *m);
/* Which entry of an index serves `want` (oci.md 1.8); -1 with the available platforms in the message. */
int manifest_choose(const struct manifest *m, const struct platform *want, size_t *ret, struct err **e);
/* Config bytes + manifest -> image (counts checked, M8). */
int image_from(const struct manifest *m, struct slice config, struct image *ret, struct err **e);
/* Deterministic bytes. docker: schema 2 media types. Every layer must have a blob. */
int image_manifest(const struct image *im, const struct digest *config, int64_t config_size, bool docker, struct buf *out, struct err **e);
/* An index of manifests, in the order given; item: what they are, images: their platforms and annotations. annotation: of the index; NULL: none. */
int image_index(const struct image *im, const struct descriptor *item, size_t n, const struct jval *annotation, bool docker, struct buf *out,
		struct err **e);
void image_config_bytes(const struct image *im, struct buf *out);
const char *manifest_media_type(enum doc_kind kind, bool docker);
