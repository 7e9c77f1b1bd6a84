/* cache/gc.h - what can go, what it takes, is everything right (spec/oci.md 7.5, T10-T12, L4).
 *
 * Data:   marks from names, records within policy and live leases, each of which lists what it keeps; renames the rest
 *         into trash/<id>/; plain files there are deleted at once, trees (subordinate ids) are left for a mapped worker.
 */
#pragma once
#include "cache/store.h"

struct gc_policy {
	uint64_t max_used;               /* records go oldest-first until the store is at most this; 0: no limit */
	uint64_t min_free, reserved;
	int64_t keep_seconds;            /* records used within are kept whatever the size; 0: none */
	bool all;                        /* the other records go whatever the size (prune -a), names stay */
	bool untagged;                   /* names that are only an id go too */
	bool dry_run;
};
struct gc_result {
	uint64_t bytes;                  /* freed, or what would be */
	size_t blobs, layers, listings, records, tmps;
	size_t names;                    /* of untagged images */
	uint64_t left, free;             /* with limits: bytes that stay, and bytes free on the disk then; cache mounts are not counted */
	size_t bad_names;                /* unreadable: then blobs, layers and listings all stay */
	bool trees;                      /* trash/ holds trees that a mapped worker must delete */
};
/* Has something to go yet? */
bool gc_too_much(const struct gc_policy *p, uint64_t used, uint64_t free);
int gc_run(struct store *s, const struct gc_policy *p, struct gc_result *ret, struct err **e);

struct du_row {
	char kind[16];                   /* "image", "layer", "blob", "record", "cache", "listing", "trash", "tmp" */
	char id[80];
	char note[128];
	uint64_t bytes;
	bool shared, in_use;
	int64_t used;                    /* last use, seconds */
};
/* Trees whose files cannot be read from here are counted by their meta.json. */
/* The bytes on disk below folder/name as far as they can be read from here. */
uint64_t gc_tree_bytes(int folder, const char *name);
int gc_du(struct store *s, struct du_row **ret, size_t *n, struct err **e);      /* *ret: free() it */

struct check_result {
	size_t objects, bad, repaired;
	struct buf text;                 /* a line per finding; buf_free() it */
};
/* Re-hash every blob, read every record, ref, listing, meta.json; leftovers; permissions (T10). */
int gc_check(struct store *s, bool repair, struct check_result *ret, struct err **e);
