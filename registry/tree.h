/* registry/tree.h - the files of an image archive, whether it is a directory or a tar (spec/oci.md 1.3, 4.1).
 *
 * Data:   a tar is read once, front to back: every regular member is hashed and placed in `dir` under its hex digest, whatever
 *         its name is; members are then found by name. Of an OCI directory only what is asked for is read.
 * Fails:  ERR_SOURCE: links that lead out, other kinds of files, a name twice, content that is not what its name says.
 */
#pragma once
#include "registry/transfer.h"

struct stream;
struct tree;
enum { TREE_MISS = 1 };

/* dir: where content goes, borrowed. calls: `have` spares writing what the store has. */
int tree_open_dir(int take_root, int dir, const struct transfer_calls *c, struct tree **ret, struct err **e);
int tree_open_tar(struct stream *take, int dir, const struct transfer_calls *c, struct tree **ret, struct err **e);
void tree_free(struct tree *t);
void tree_freep(struct tree **t);

bool tree_has(const struct tree *t, const char *path);
/* A document, at most out->max. TREE_MISS. */
int tree_doc(struct tree *t, const char *path, struct buf *out, struct err **e);
/* blobs/sha256/<hex>, small, verified. TREE_MISS. */
int tree_blob_doc(struct tree *t, const struct digest *d, int64_t size, struct buf *out, struct err **e);
/* The blob is in dir now, or `have` knows it. TREE_MISS when it is nowhere. */
int tree_blob(struct tree *t, const struct digest *d, int64_t size, struct err **e);
struct tree_member {
	struct digest digest;
	int64_t size;
	unsigned char head[8];           /* first bytes, for compressions' magics */
	bool known;                      /* in the store already, so not in dir */
};
/* A tar's member by name, one link followed. TREE_MISS. */
int tree_member(const struct tree *t, const char *path, struct tree_member *ret, struct err **e);
