/* layers/diff.h - what a step changed: an upper directory in the one form on disk, as sorted entries (spec/executor.md 14).
 *
 * Data:   runs in a mapped worker. lowers: a view of the layers below, for whiteouts that hide nothing (rule 2), opaque
 *         directories (rule 3), untouched copies (rules 5 and 6).
 * Fails:  names ".wh.*" (rule 7), unmapped owners (rule 11): ERR_STEP / ERR_HOST naming the path.
 */
#pragma once
#include "layers/listing.h"

struct diff_opts {
	const struct view *lower;        /* borrowed; NULL: nothing below */
	int lower_root;                  /* for rule 6's content comparison: -1 when not available */
	const char *const *skip;         /* paths left out with what is below (mount targets), NULL-terminated; or NULL */
	bool whole;                      /* not an upper but a complete tree (re-packing a stored layer): emit as it is, whiteouts included */
};
int diff_new(int root, const struct diff_opts *o, struct entries **ret, struct err **e);
