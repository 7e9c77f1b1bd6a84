/* layers/tarout.h - entries as a tar stream: our own ustar + PAX writer, deterministic to the bit (spec/oci.md 1.6, 8.7).
 *
 * Fails:  a base name beginning ".wh." that is not a whiteout of ours is refused, naming the path (W1).
 */
#pragma once
#include "layers/comp.h"
#include "layers/entry.h"

struct tarout_opts {
	int64_t clamp_mtime;             /* later mtimes become this; INT64_MAX: none (SOURCE_DATE_EPOCH) */
	bool set_mtime;                  /* earlier ones too */
	bool plain;                      /* names beginning ".wh." are ordinary (type=tar output, contexts) */
};
struct sink *tarout_new(comp_out *out, void *arg, const struct tarout_opts *o);
