/* cache/names.h - image names: one file per name, written after everything it names is durable (spec/oci.md 7.3, T5).
 *
 * Data:   refs/<2 hex>/<sha256 of the name>.json: name, config digest, manifest digest (when one exists), layers with what
 *         is known of each, created; plus a checksum. It lists all it keeps, so gc parses nothing else. A name of several platforms
 *         lists an image for each.
 */
#pragma once
#include "cache/store.h"

enum { NAMES_MISS = 1 };

struct name_layer {
	struct digest diff;
	struct digest blob;              /* zero: no blob yet (made at push or export) */
	int64_t size;                    /* of the blob */
	char media_type[96];             /* of the blob, as in the manifest */
};
struct name_record {
	char *name;                      /* normalised reference, or "sha256:<id>" for an untagged image */
	struct digest config;
	struct digest manifest;          /* zero: none yet */
	char *platform;                  /* "linux/amd64" */
	char *source;                    /* "host/repo" it was pulled from, or NULL */
	char *repo_digest;               /* digest text of what the reference resolved to (index or manifest), or NULL */
	int64_t created;                 /* seconds */
	uint64_t size;                   /* uncompressed bytes of all layers */
	struct name_layer *layer;
	size_t nlayer;
	struct digest index;             /* of all its images; zero: there is none, or some of what it lists are not here */
	struct name_record *more;        /* images for further platforms: of these only what concerns one image is kept */
	size_t nmore;
};
/* What the name stands for: the index, or the config of its image. */
const struct digest *name_id(const struct name_record *r);
uint64_t name_size(const struct name_record *r);         /* of all images */
/* The images in order, the record itself first; NULL: no more. */
const struct name_record *name_image(const struct name_record *r, size_t i);
/* Has it no name but its id? */
bool name_untagged(const char *name);
void name_record_clear(struct name_record *r);
int names_get(struct store *s, const char *name, struct name_record *ret, struct err **e);
/* Waits for nothing: call after store_sync_wait(). An unchanged record is not written. */
int names_put(struct store *s, const struct name_record *r, struct err **e);
int names_delete(struct store *s, const char *name, struct err **e);            /* NAMES_MISS */
/* All of them, sorted by name. An unreadable one is skipped and counted in *bad. */
int names_list(struct store *s, struct name_record **ret, size_t *n, size_t *bad, struct err **e);
void names_list_free(struct name_record *r, size_t n);
