/* layers/pack.h - entries -> tar -> diff ID -> (compress -> digest -> blob file), with listing: one pass.
 *
 * Data:   runs in a child (packer or zygote worker). Files are made in dir (a tmp/ directory of the store) under fixed names:
 *         "listing", "blob". The main process commits them from the facts that come back.
 * Bounds: a buffer of 1 MiB plus the compressor's; nothing grows with the layer but the listing's index.
 */
#pragma once
#include "base/wire.h"
#include "layers/entry.h"

struct pack_req {
	struct entries *src;             /* taken */
	int dir;                         /* where the files go, borrowed */
	const char *comp;                /* NULL: diff ID only, no blob. Else "none", "gzip", "zstd" */
	int level;                       /* -1: the default */
	bool listing;                    /* write "listing" */
	int64_t clamp_mtime;             /* later times become this; INT64_MAX: none */
	bool set_mtime;                  /* earlier ones too */
	int fill_root;                   /* >= 0: also unpacked below this root (design.md 3.14, the tee) */
	struct fill_opts *fill;
};
struct pack_facts {
	struct digest diff, blob, content;       /* blob zero without comp; content: for who knows it (copy_work.c), else zero */
	uint64_t tar_size, blob_size, entries, bytes;
};
int pack_run(const struct pack_req *r, struct pack_facts *ret, struct err **e);
/* The tar that src gives, as it is, in another compression: "blob" in r->dir; r->src and the rest are not looked at. */
struct stream;
int pack_recode(struct stream *take_src, const struct pack_req *r, struct pack_facts *ret, struct err **e);
void pack_facts_put(struct buf *b, const struct pack_facts *f);
void pack_facts_get(struct wire *w, struct pack_facts *f);
