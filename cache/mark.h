/* cache/mark.h - which objects somebody wants: by names, by live leases, by records (spec/oci.md 7.5). For gc, du, check.
 *
 * Data:   two sets of digests: blobs, and diff IDs, which stand for a layer and its listing.
 */
#pragma once
#include "cache/store.h"

struct mark {
	struct digest d;
	bool used;                       /* this slot of the table */
	bool held;                       /* by a name or a live lease */
	uint32_t names, records;         /* how many of them want it */
	uint64_t bytes;                  /* of all that goes with a diff ID; filled by gc */
};
struct marks {
	struct mark *slot;               /* open addressing, a power of two */
	size_t n, cap;
};
struct wanted {
	struct marks blobs, diffs;
	bool tagged_only;                /* set by the caller: names that are only an id want nothing */
	size_t bad_names;
};

struct mark *marks_find(const struct marks *m, const struct digest *d);  /* NULL */
struct mark *marks_add(struct marks *m, const struct digest *d);
/* All that names and live leases list. Call under LOCK_EX when something is removed afterwards. */
int wanted_collect(struct store *s, struct wanted *w, struct err **e);
/* The blobs known for a diff ID are wanted with it; *bytes grows by their sizes. */
int wanted_blobs_of(struct store *s, struct wanted *w, const struct digest *diff, bool held, uint64_t *bytes,
		    struct err **e);
void wanted_clear(struct wanted *w);

/* Visit ROOT-relative folder/<name>; missing folders are empty. fn gets the path and its last component. */
typedef int visit_fn(void *arg, const char *path, const char *name, const struct stat *st, struct err **e);
int store_visit(struct store *s, const char *folder, visit_fn *fn, void *arg, struct err **e);
/* The same two levels deep: folder/<x>/<name>. */
int store_visit2(struct store *s, const char *folder, visit_fn *fn, void *arg, struct err **e);
