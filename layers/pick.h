/* layers/pick.h - what a COPY or ADD selects, as sorted entries with their destination paths (spec/dockerfile.md 9, 10.2).
 *
 * Data:   a tree to select from (a directory: context; or a view with the directories of its layers: stage, image), the
 *         target's view (where links on the way lead, what exists), the request -> a picked list, sorted in layer order:
 *         parents first (with the target's real attributes, spec/oci.md 1.6), then the entries. Then: its content digest, or
 *         its entries as a source for pack.
 * Owns:   picked_free(). Content is opened when it is read, by P7, and must still be what was listed (W3, D7).
 * Fails:  ERR_INPUT with the fragments of spec/dockerfile.md 19.2 rows 55-58, 73.
 * Bounds: memory per selected entry (about 150 bytes), never content.
 */
#pragma once
#include "base/glob.h"
#include "layers/listing.h"

struct pick_tree;
/* dir: borrowed directory fd. ignore: patterns that hide files, or NULL. Owners are presented as 0:0. */
struct pick_tree *pick_tree_dir(int dir, const struct pats *ignore);
/* view and layer roots borrowed; layer_dir[i] is the fs/ directory fd of the view's layer i, -1 when it is not unpacked. */
struct pick_tree *pick_tree_view(const struct view *v, const int *layer_dir);
void pick_tree_free(struct pick_tree *t);
void pick_tree_freep(struct pick_tree **t);

struct pick_source {
	const char *path;                /* as written after expansion; NULL for inline content */
	const char *name;                /* inline content (here-document, downloaded file): its file name */
	struct slice content;            /* inline bytes; or */
	int content_fd;                  /* >= 0: a regular file to read them from (borrowed) */
	uint32_t mode;                   /* of inline content */
	int64_t mtime;
	bool unpack;                     /* ADD: extract when it is an archive */
	bool must_unpack;                /* --unpack=true on remote */
};
struct pick_req {
	const struct pick_source *source;
	size_t nsource;
	const char *dest;                /* absolute; trailing '/' means directory (spec/dockerfile.md 6.1) */
	bool has_owner;
	uint32_t uid, gid;               /* --chown, resolved */
	const char *chmod;               /* octal or symbolic text, NULL: none */
	const struct pats *exclude;      /* NULL: none */
	bool parents;                    /* --parents */
	bool link;                       /* --link: the target is taken as empty */
	int64_t now;                     /* mtime for what has none */
	int spool;                       /* directory fd where archives may be unpacked (W: the packer's tmp), -1: none */
};
struct picked;
int pick_run(struct pick_tree *t, const struct view *target, const struct pick_req *r, struct picked **ret, struct err **e);
void picked_free(struct picked *p);
void picked_freep(struct picked **p);
size_t picked_count(const struct picked *p);

/* One selected entry for keys: source path relative to the tree's root, NULL content digest when it has to be read. */
struct picked_item {
	const struct entry *en;          /* path: destination */
	const char *source;              /* in the tree; NULL for parents and inline content */
	const struct stat *st;           /* of a directory tree's file, for the stat cache; else NULL */
	bool parent;                     /* an existing or created parent: not part of the content digest */
};
void picked_at(const struct picked *p, size_t i, struct picked_item *ret);
/* The content digest needs the digest of each regular file: get returns false when it does not know one. Then the answer is
 * PICK_UNKNOWN and nothing is decided: read everything through picked_entries() instead. */
enum { PICK_UNKNOWN = 1 };
typedef bool pick_get(void *arg, const struct stat *st, struct digest *ret);
int picked_digest(const struct picked *p, pick_get *get, void *arg, struct digest *ret, struct err **e);
/* The entries as a source. put (may be NULL) is told each file's digest after it was read completely. */
typedef void pick_put(void *arg, const struct stat *st, int64_t read_at_ns, const struct digest *d);
struct entries *picked_entries(const struct picked *p, pick_put *put, void *arg);
