/* registry/dist.h - the distribution verbs that pull and push are made of (spec/oci.md 2.2, 2.5, 2.6).
 *
 * Data:   a struct dist lives as long as one transfer: network, options, callbacks.
 * Fails:  kinds from transfer_opts.kind; messages name host, status, and whether a login was sent.
 */
#pragma once
#include "registry/mirror.h"
#include "registry/request.h"

enum { MANIFEST_MAX = 4 << 20, CONFIG_MAX = 8 << 20, DIST_PATH = 512 };

struct dist {
	struct net net;
	const struct transfer_opts *o;
	const struct transfer_calls *c;
};
void dist_init(struct dist *d, const struct transfer_opts *o, const struct transfer_calls *c);
void dist_clear(struct dist *d);
struct peer *dist_peer(struct dist *d, const struct candidate *c, struct err **e);
void dist_progress(struct dist *d, const struct digest *digest, uint64_t done, uint64_t total);

enum { DIST_MISS = 1 };                  /* answer: the registry says there is no such thing; *e tells it in words */
struct dist_doc {
	struct buf bytes;
	char *type;                      /* Content-Type without parameters, NULL */
	struct digest digest;
};
void dist_doc_clear(struct dist_doc *doc);
/* what: tag or digest text. want: the digest it must have, NULL for a tag; size -1 unknown. */
int dist_manifest(struct dist *d, struct peer *p, const char *what, const struct digest *want, int64_t size,
		  struct dist_doc *ret, struct err **e);
/* A small blob into memory, verified. */
int dist_small_blob(struct dist *d, struct peer *p, const struct digest *digest, int64_t size, struct buf *out, struct err **e);

/* A blob into a file, beside others: request_start()ed here, finished when req.done. */
struct download {
	struct dist *dist;
	struct request req;
	struct digest digest;
	int64_t size;                    /* -1: unknown */
	int fd;                          /* borrowed; written from its start */
	struct hasher *hasher;
	uint64_t told;                   /* progress already reported */
	char path[DIST_PATH];
	char scope[DIST_PATH];
};
int download_start(struct download *w, struct dist *d, struct peer *p, const struct digest *digest, int64_t size, int fd,
		   struct err **e);
/* After req.done: 0 when size and digest are right. */
int download_verdict(struct download *w, struct err **e);
void download_clear(struct download *w);
