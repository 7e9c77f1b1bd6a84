/* cache/store_priv.h - what the files of cache/ share: the open store, sealed documents, stamps. Private to cache/.
 *
 * Sealed: {"sum":"sha256:<of all bytes behind the comma>",...}: JSON that tells whether it is whole. A torn, foreign or
 *         missing one is SEALED_BAD, never an error: the reader treats it as absent (T9).
 * Stamp:  the members "boot" and "at" say when this boot committed it; good when that boot still runs, or when its time
 *         is covered by synced/<boot> (T8).
 */
#pragma once
#include "base/jdoc.h"
#include "cache/lease.h"
#include "cache/store.h"

#include <sys/types.h>

enum { SEALED_BAD = 1, SEALED_MAX = 64 << 20, STORE_VERSION = 1 };

struct store {
	char *path;
	int fd;
	char *flavour;
	struct lease *lease;
	uint64_t ntmp;
	bool read_only;                  /* no locks, no leases: only what reads works (oci.md 7.8) */
	bool dirty;
	pid_t syncing;                   /* the child in syncfs, or 0 */
	int sync_failed;                 /* errno of a sync that failed, or 0 */
	int64_t sync_from;               /* CLOCK_BOOTTIME at which it was started */
	char boot[40];                   /* "" when there is none: then every commit is synced */
	char seen_boot[40];              /* the last other boot looked up in synced/ */
	int64_t seen_synced;
	struct buf met;                  /* in gc: the former boots of what is good, a line each; else without a maximum */
};

/* The lease, made on first use. */
int store_lease(struct store *s, struct lease **ret, struct err **e);
/* The directory of a ROOT-relative path, and its last component (borrowed). */
int store_parent(const struct store *s, const char *path, int *ret_dir, const char **ret_name, struct err **e);
/* Rename a ROOT-relative path into trash/ under a random name. Missing is fine. Plain files are deleted at once when
 * the disk is too full for the rename. *tree: it was a directory. */
int store_trash(const struct store *s, const char *path, bool *tree, struct err **e);
/* Make the directory of a ROOT-relative path (its own directory exists). */
int store_make_parent(const struct store *s, const char *path, struct err **e);
/* Before a commit: without a boot id nothing else tells what is on disk. */
int store_commit_begins(struct store *s, struct err **e);
/* Wait for the sync that runs, if one does. */
int store_sync_finish(struct store *s, struct err **e);
void store_layer_path_of(const char *flavour, const struct digest *diff, char ret[160]);
/* meta.json of a layer directory; SEALED_BAD when it is not complete, torn, suspect, or another layer's. */
int store_layer_meta(struct store *s, const char *path, const struct digest *diff, struct layer_meta *ret,
		     struct err **e);

/* Read a sealed document below ROOT. *ret is new. */
int sealed_read(const struct store *s, const char *path, struct jval **ret, struct err **e);
/* Write body, whose members follow the sum, to a ROOT-relative path, whose directory is made. flags as tmp_commit. */
int sealed_write(struct store *s, const char *path, const struct jval *body, unsigned flags, struct err **e);
void sealed_text(const struct jval *body, struct buf *out);
int sealed_open(struct slice bytes, struct jval **ret);          /* SEALED_BAD */

void stamp_put(const struct store *s, struct jval *body);
bool stamp_good(struct store *s, const struct jval *body);

void jval_set_digest(struct jval *obj, const char *name, const struct digest *d);   /* all-zero is left out */
bool jval_get_digest(const struct jval *obj, const char *name, struct digest *ret); /* absent is all-zero; false: malformed */

struct name_record;
/* The name record at refs/...: NAMES_MISS when it is absent, torn, or under a name that is not its own. */
int name_read(struct store *s, const char *path, struct name_record *ret, struct err **e);

/* Move leases and tmp/ directories whose process is gone into trash/. Call under LOCK_EX. */
int lease_sweep(const struct store *s, bool dry_run, size_t *ret_tmps, struct err **e);
/* Is somebody holding leases/<id>? */
bool lease_live(int store, const char *id);
