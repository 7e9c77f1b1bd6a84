/* cache/remotes.h - what remote sources were when a step last read them, so that it is enough to ask whether they changed
 * (spec/dockerfile.md 10.3, 17.5).
 *
 * Data:   remotes/<sha256 of the question>: sealed: selected, told, sources: [{tag, modified}]. The question is the step's key as far as it
 *         is known without fetching, and its URLs. A record says nothing by itself: its step must still be found, and its servers must
 *         confirm every source.
 */
#pragma once
#include "cache/store.h"

enum { REMOTES_MISS = 1 };

struct remote_tag {
	char *tag, *modified;            /* ETag or commit; Last-Modified. NULL: not known */
};
struct remote_record {
	struct digest selected;          /* content digest of what the step selected */
	char *told;                      /* what the sources turned out to be: part of the key */
	struct remote_tag *source;
	size_t nsource;
};
void remote_record_clear(struct remote_record *r);
/* Touches the record's mtime at most once a day: gc forgets those that nobody asked for in a month. */
int remotes_get(struct store *s, const struct digest *question, struct remote_record *ret, struct err **e);       /* REMOTES_MISS */
int remotes_put(struct store *s, const struct digest *question, const struct remote_record *r, struct err **e);
