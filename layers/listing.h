/* layers/listing.h - a layer's entries without content, on disk, and look-ups through a stack of layers.
 *
 * Data:   a sink writes one (whiteouts and opaque marks included, plus the text of files that are called passwd or
 *         group: at most 64 of 10 MiB each); reading maps the file. A view is a stack of listings, top last, plus one
 *         layer in the making; it answers what the merged tree looks like without a mount.
 * Owns:   a view owns its listings; answers borrow from it.
 * Fails:  a damaged listing is ERR_HOST "damaged" (checksum in the file): the caller makes it again.
 * Bounds: a listing is mapped, never loaded, and of a large one pages are given back; symlinks followed at most 40 times.
 */
#pragma once
#include "layers/entry.h"

enum { LISTING_MISS = 1 };

/* Writes to fd (borrowed, O_RDWR, empty). Entries may come in any order (a tar's): sorted at end(); later duplicates win. */
struct sink *listing_sink_new(int fd);

struct listing;
int listing_open(int take_fd, struct listing **ret, struct err **e);
struct listing *listing_share(struct listing *l);        /* once more: each is closed */
void listing_close(struct listing *l);
uint64_t listing_count(const struct listing *l);
bool listing_links(const struct listing *l);             /* has it hard links? */
/* The entry of exactly this path in this one layer; else its opaque mark, else its whiteout. LISTING_MISS. Fills *ret (points into the map). */
int listing_find(const struct listing *l, const char *path, struct entry *ret);
/* i-th in layer order. xattrs are included. */
void listing_at(const struct listing *l, uint64_t i, struct entry *ret);
/* Its place in the order in which the entries came: that of the layer's tar, which may differ (whiteouts leave before their siblings). */
uint32_t listing_arrival(const struct listing *l, uint64_t i);
/* Number of the first entry that is not before path in layer order; behind: the first that is neither path nor below it. */
uint64_t listing_seek(const struct listing *l, const char *path, bool behind);
/* The text of a file of this layer that may hold accounts; false when it has none. */
bool listing_text(const struct listing *l, const char *path, struct slice *ret);

struct view;
/* A copy of l with real paths; v: all the layers up to l, included. LISTING_MISS: it lists all its parents. */
int listing_settle(const struct listing *l, const struct view *v, struct listing **ret, struct err **e);
struct view *view_new(void);
void view_push(struct view *v, struct listing *take);    /* on top of what is there */
void view_share(struct view *v, const struct view *from);        /* the same: all of another one's layers */
/* The topmost layer's entries get real paths, where it leans on links of the layers below (spec/oci.md 1.7). After each push of a stored one. */
int view_settle(struct view *v, struct err **e);
void view_free(struct view *v);
void view_freep(struct view **v);
size_t view_depth(const struct view *v);
bool view_links(const struct view *v, size_t layer);

/* Merged look-up, no link followed. *layer: index of the layer that has it (for its content). LISTING_MISS. */
int view_find(const struct view *v, const char *path, struct entry *ret, size_t *layer);
/* Resolve inside the root: links followed (the last component too when follow_last), ".." clamped. *ret_path: the real path,
 * also when its last components do not exist (then LISTING_MISS).
 * A component that is not a directory: ERR_INPUT "not a directory". */
int view_resolve(const struct view *v, const char *path, bool follow_last, struct buf *ret_path, struct entry *ret, size_t *layer,
		 struct err **e);
/* Merged names of a directory, sorted, whiteouts and opaque applied. */
typedef int view_child(void *arg, const char *name, const struct entry *en, size_t layer, struct err **e);
int view_children(const struct view *v, const char *dir, view_child *fn, void *arg, struct err **e);
/* The merged text of etc/passwd or etc/group; false when the tree has none. */
bool view_text(const struct view *v, const char *path, struct slice *ret);
/* passwd/group look-ups for --chown and WORKDIR (spec/dockerfile.md 6.2, the lax algorithm, names never fail).
 * empty_fs: the stage's file system is empty -> "invalid user index" for names. */
int view_owner(const struct view *v, const char *spec, bool empty_fs, uint32_t *uid, uint32_t *gid, struct err **e);
