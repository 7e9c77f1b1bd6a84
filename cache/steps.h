/* cache/steps.h - the local step cache: key -> result, and why a step missed (spec/oci.md 7.3-7.4, design.md 3.6).
 *
 * Data:   records/<2 hex>/<key> holds the result, a checksum and the stamp of T8; last/<slot hash> holds the fields of the
 *         newest record of the same place in the same Dockerfile, for reasons. A torn, suspect or foreign record is a miss.
 * Fails:  STEPS_MISS is an answer. A cache that cannot be written is an error of the build (disk full).
 */
#pragma once
#include "cache/key.h"
#include "cache/store.h"

enum { STEPS_MISS = 1 };

struct step_record {
	struct digest diff;              /* the layer it made */
	uint64_t size;                   /* uncompressed tar bytes */
	int64_t created;                 /* wall clock seconds, for history */
	int64_t took_ms;
	bool empty;                      /* nothing changed: the layer has no entries */
};
/* A hit is told only when the content stands: an unpacked layer or a blob of the diff ID, and its listing (K3). Everything
 * named is pinned. Touches the record's mtime at most once a day. */
int steps_find(struct store *s, const struct digest *key, struct step_record *ret, struct err **e);
/* Under the definition key and, when given, the content key. slot: names the place ("context\0stage\0ordinal"). */
int steps_save(struct store *s, const struct digest *def, const struct digest *content, const struct keyer *k,
	       struct slice slot, const struct step_record *r, struct err **e);
/* Why does k miss? Compares with the newest record of the slot; appends a sentence such as
 *     "run again: argument changed, 'make' was 'make -j4'"   "run again: file conf/a.d changed, mode was 0644"   "first build of this step"
 * *parent_only: nothing but the inputs differ. */
int steps_why(struct store *s, struct slice slot, const struct keyer *k, struct buf *why, bool *parent_only, struct err **e);
