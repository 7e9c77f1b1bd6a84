/* cache/store.h - the local store: content-addressed files, no database (spec/oci.md 7, spec/threats.md T, L).
 *
 * Layout: ROOT/{version,lock,blobs/sha256/<hex>,layers/<flavour>/<diff hex>/{meta.json,fs/},listings/<diff hex>,
 *         refs/,records/,last/,remotes/,stat/,cache/,info/,synced/,leases/,jobs/,tmp/<id>/,trash/<random>}. Mode 0700.
 * Data:   everything is made below tmp/<id>/ and becomes visible by one rename. A reader sees a whole object or none.
 *         Only the main process commits; children (packers, zygote workers, transfers) get a directory below tmp/ to
 *         write into and the store's path to read from, and answer with facts.
 * Owns:   one lease (cache/lease.h) per open store, made at the first pin or temporary directory and held to store_close().
 * Fails:  -1 ERR_HOST with *e. STORE_MISS is an answer.
 * Bounds: no object is ever held in memory, but for small documents the caller bounds.
 */
#pragma once
#include "base/digest.h"
#include "base/at.h"

enum { STORE_MISS = 1 };

struct store;

/* One that cannot be written to can be read: then nothing is pinned, and what would write fails.
 * path NULL: KILN_ROOT, else $XDG_DATA_HOME/kiln, else ~/.local/share/kiln. Creates the layout. Refuses a wrong owner or
 * mode (T1, says the chmod), an unknown version, ROOT's subdirectories on other file systems. */
int store_open(const char *path, struct store **ret, struct err **e);
void store_close(struct store *s);                       /* own tmp/ goes, the lease falls; NULL is fine */
const char *store_path(const struct store *s);           /* absolute */
int store_fd(const struct store *s);                     /* borrowed directory fd */
void store_flavour(struct store *s, const char *flavour);        /* of unpacked layers (7.6); default "r" */
const char *store_flavour_get(const struct store *s);

/* ---- temporary directories: ROOT-relative paths such as "tmp/<id>/7" */
int store_tmp(struct store *s, char ret_path[80], struct err **e);      /* a new empty directory, 0700 */
int store_scratch(struct store *s, struct err **e);      /* fd of the directory in which those are made: for nameless files */
void store_tmp_drop(struct store *s, const char *path);  /* renamed into trash/ (deleted by gc or a worker) */
bool store_has_trash(const struct store *s);

/* ---- pins: from now on gc keeps it, whether it exists already or not */
enum pin_kind { PIN_BLOB, PIN_LAYER, PIN_LISTING };
int store_pin(struct store *s, enum pin_kind kind, const struct digest *d, struct err **e);
/* By this process: then one look tells whether it is there, for no sweep comes after it. */
bool store_pinned(const struct store *s, enum pin_kind kind, const struct digest *d);

/* ---- blobs */
void store_blob_path(const struct digest *d, char ret[80]);               /* "blobs/sha256/<hex>" */
int store_blob_find(struct store *s, const struct digest *d, int64_t *ret_size, struct err **e);     /* pins when found */
int store_blob_open(struct store *s, const struct digest *d, int *ret_fd, int64_t *ret_size, struct err **e);
/* The file tmp_path (ROOT-relative, complete, size and digest already verified by who wrote it) becomes the blob. */
int store_blob_commit(struct store *s, const char *tmp_path, const struct digest *d, int64_t size, struct err **e);
int store_blob_put(struct store *s, struct slice bytes, struct digest *ret, struct err **e);          /* small documents */
/* A whole small blob, verified by digest; a bad one goes to trash and is STORE_MISS. */
int store_blob_read(struct store *s, const struct digest *d, struct buf *out, struct err **e);
/* A blob that failed verification: out of the way (same inode re-checked under the lock). */
int store_blob_bad(struct store *s, const struct digest *d, struct err **e);

/* ---- unpacked layers */
struct layer_meta {
	struct digest diff;              /* computed here, never claimed (K5, M8) */
	struct digest blob;              /* what it was unpacked from; zero when made by a step */
	uint64_t bytes, entries;
	bool made_here;                  /* a suspect one can be proved by packing it again (7.4) */
	bool leans;                      /* it has directories that it does not list: right as the lowest layer only (1.7) */
};
void store_layer_path(const struct store *s, const struct digest *diff, char ret[160]);    /* "layers/<fl>/<hex>" ; the root is at /fs */
/* Complete and not suspect after a system crash; pins when found. */
int store_layer_find(struct store *s, const struct digest *diff, struct layer_meta *ret, struct err **e);
/* tmp_path holds fs/; writes meta.json beside it and renames. An existing one wins, ours goes to trash. */
int store_layer_commit(struct store *s, const char *tmp_path, const struct layer_meta *m, struct err **e);

/* ---- listings (layers/listing.h says what is in them) */
void store_listing_path(const struct digest *diff, char ret[80]);         /* "listings/<hex>" */
int store_listing_find(struct store *s, const struct digest *diff, struct err **e);                    /* pins when found */
int store_listing_commit(struct store *s, const char *tmp_path, const struct digest *diff, struct err **e);

/* ---- info: facts computed here about a layer's blobs (never claimed ones) */
struct blob_info {
	struct digest diff, blob;
	int64_t size;
	char comp[16];                   /* "none", "gzip", "zstd" */
	int level;                       /* of ours; -1: somebody else's */
};
int store_info_add(struct store *s, const struct blob_info *i, struct err **e);
/* A present blob for this diff ID with that compression ("" = any). STORE_MISS. */
int store_info_find(struct store *s, const struct digest *diff, const char *comp, struct blob_info *ret, struct err **e);
/* The diff ID we computed for a blob. STORE_MISS. */
int store_info_diff(struct store *s, const struct digest *blob, struct digest *ret, struct err **e);
/* Repositories ("host/repo") where a blob is known to be: for cross-repository mounts. */
int store_source_add(struct store *s, const struct digest *blob, const char *repo, struct err **e);
int store_source_list(struct store *s, const struct digest *blob, struct buf *out, struct err **e);  /* newline-separated */

/* ---- cache mounts: the place for an id, by hash (P11): "cache/<hash>". The step that first mounts it makes it, with its owner and mode. */
void store_cache_path(const char *id, char ret[80]);

/* ---- the one sync of a build (7.4): start in a child, wait before the first ref is written. After a wait that succeeds
 * everything committed so far is on disk, also what was committed while the sync ran. */
int store_sync_start(struct store *s, struct err **e);   /* nothing committed: nothing to do */
int store_sync_wait(struct store *s, struct err **e);
bool store_dirty(const struct store *s);                 /* something was committed since open */

/* Single flight (7.5): try to take jobs/<name>. 0: held until job_unlock; STORE_MISS: somebody else has it (fd can be
 * waited on by a child that calls flock on it). */
int store_job_lock(struct store *s, const char *name, int *ret_fd, struct err **e);
void store_job_unlock(int *fd);
