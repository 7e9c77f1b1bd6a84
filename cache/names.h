/* cache/names.h - image names: one file per name, written after everything it names is durable (spec/oci.md 7.3, T5).
 *
 * Data:   refs/<2 hex>/<sha256 of the name>.json: name, config digest, manifest digest (when one exists), layers with what
 *         is known of each, created; plus a checksum. It lists all it keeps, so gc parses nothing else.
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
	char *name;                      /* normalised reference, or "sha256:<config>" for an untagged image */
	struct digest config;
	struct digest manifest;          /* zero: none yet */
	char *platform;                  /* "linux/amd64" */
	char *source;                    /* "host/repo" it was pulled from, or NULL */
	char *repo_digest;               /* digest text of what the reference resolved to (index or manifest), or NULL */
	int64_t created;                 /* seconds */
	uint64_t size;                   /* uncompressed bytes of all layers */
	struct name_layer *layer;
	size_t nlayer;
};
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
