/* parser/subst.h - the patterns of ${v#p}, ${v%p}, ${v/p/r} (spec/dockerfile.md 3.5).
 *
 * Data:   '*' any run and '?' one character, neither crosses a newline; everything else is itself.
 * Bounds: O(pattern x value), counted in *work; over the bound is ERR_LIMIT (spec/threats.md D3).
 */
#pragma once
#include "base/buf.h"

enum { SUBST_WORK_MAX = 1 << 26 };

/* The value without the shortest or longest prefix, or suffix, that matches. */
int subst_trim(struct slice pattern, struct slice value, bool suffix, bool longest, size_t *work, struct buf *out,
	       struct err **e);
/* The value with the first match, or all, replaced by literal text. */
int subst_replace(struct slice pattern, struct slice value, struct slice by, bool all, size_t *work, struct buf *out,
		  struct err **e);
