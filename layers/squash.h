/* layers/squash.h - several layers as one (spec/cli-flags.md 3, --squash).
 *
 * Data:   what the merged tree has from the layers above `below`, in layer order, and a whiteout for everything that they hide of the layers
 *         below. A file with several names is given once; the other names are links to the first one that comes.
 * Owns:   views and directories are borrowed.
 */
#pragma once
#include "layers/listing.h"

struct squash_req {
	const struct view *all;          /* every layer */
	const struct view *below;        /* those that stay as they are; NULL: none */
	const struct listing *const *layer;    /* the others, bottom first: numbers view_depth(below) and up of `all` */
	const int *root;                 /* and their directories */
	size_t n;
};
struct entries *squash_new(const struct squash_req *r);
