/* layers/comp.h - compressions: one table row and one file each (spec/oci.md 3, spec/threats.md Z).
 *
 * Reading: a pull stream in front of a byte stream. Layers: none, gzip, zstd by magic (Z1). ADD and contexts: also xz and
 *          bzip2 (Z6). Checksums verified, trailing bytes are errors, window at most 128 MiB.
 * Writing: a push filter into a byte callback; deterministic for a given level (zstd: level, 2 MiB jobs, >= 1 worker,
 *          checksum on; gzip: fixed-size blocks so that both cores work, MTIME 0, OS 255).
 */
#pragma once
#include "base/stream.h"

struct compw;                            /* a writer */
typedef int comp_out(void *arg, const void *p, size_t n, struct err **e);
struct comp {
	const char *name;                /* "none", "gzip", "zstd", "xz", "bzip2" */
	const char *media_type;          /* of an OCI layer; NULL: not for layers */
	const char *docker_type;         /* of a docker schema 2 layer; NULL: cannot be one */
	int level_min, level_max, level_default;
	bool (*magic)(const unsigned char *p, size_t n);
	struct stream *(*reader)(struct stream *take_inner);
	/* NULL: reading only. */
	struct compw *(*writer)(int level, unsigned threads, comp_out *out, void *arg);
	int (*write)(struct compw *w, const void *p, size_t n, struct err **e);
	int (*finish)(struct compw *w, struct err **e);
	void (*free)(struct compw *w);
};
extern const struct comp comp_none, comp_gzip, comp_zstd, comp_xz, comp_bzip2;
const struct comp *comp_find(const char *name);                  /* also "uncompressed"; NULL */
const struct comp *comp_by_media_type(const char *media_type);   /* OCI or docker layer types; NULL */
enum { COMP_LAYER, COMP_ANY };
/* Look at the first bytes, put the right decompressor in front. which = COMP_ANY also takes xz and bzip2; unknown magic is
 * "none". *ret_comp tells which it was. */
int comp_detect(struct stream *take_inner, int which, struct stream **ret, const struct comp **ret_comp, struct err **e);
