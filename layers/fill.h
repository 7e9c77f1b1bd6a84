/* layers/fill.h - entries into a directory below a root fd (spec/oci.md 1.7, spec/threats.md E9-E26, P1-P9).
 *
 * Data:   a sink. Whiteouts become char 0:0, opaque marks the xattr user.overlay.opaque=y: the one form on disk. Plain mode
 *         (ADD archives, local output) has neither.
 * Fails:  P-rules by openat2; directory modes and times are applied at end(), deepest first.
 */
#pragma once
#include "layers/entry.h"

struct fill_opts {
	bool plain;                      /* no whiteouts */
	bool as_caller;                  /* local output: owners are not set, devices skipped */
	int64_t all_mtime;               /* >= 0: every mtime becomes this (type=local with SOURCE_DATE_EPOCH) */
	/* answers, filled while running */
	uint64_t unmapped;               /* entries whose owner is outside the id map: recorded (E20) */
	uint64_t leaning;                /* parents or hard-link targets this layer does not list (oci.md 1.7) */
	bool leans_hard;                 /* a hard link's target is missing: needs the layers below */
	uint64_t xattr_refused;
};
#define FILL_OPTS_INIT { .all_mtime = -1 }

struct sink *fill_new(int root, struct fill_opts *o);
