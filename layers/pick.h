/* layers/pick.h - what a COPY or ADD selects, as sorted entries with their destination paths (spec/dockerfile.md 9, 10.2).
 *
 * Data:   a tree to select from (a directory: context; or a view with the directories of its layers: stage, image), the
 *         target's view (where links on the way lead, what exists), the request -> a picked list, sorted in layer order:
 *         parents first (with the target's real attributes, spec/oci.md 1.6), then the entries. Then: its content digest, or
 *         its entries as a source for pack.
 * Owns:   picked_free(). Content is opened when it is read, by P7, and must still be what was listed (W3, D7).
 * Fails:  ERR_INPUT with the fragments of spec/dockerfile.md 19.2 rows 55-59, 74; ERR_SOURCE for a source that cannot be read, that
 *         changes meanwhile, or for an archive that is damaged. err_part() is the source, or their number: the destination.
 * Bounds: about 200 bytes and its name per selected entry, never content; in memory only the first few MiB of that, when `swap`
 *         is given: the rest lies in a nameless file there. Of one directory of a context all names are held. Archives are unpacked into one file of `spool`.
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

/* A hint for a path that this tree does not have: the nearest one that is there. */
void pick_near(struct pick_tree *t, const char *path, struct err **e);
/* The first `most` things that a word with wildcards matches, in lexical order (9.2 rule 5); or all that it takes as a source of --parents
 * (9.10). Until fn answers other than 0. */
typedef int pick_name_fn(void *arg, const char *path, bool dir);
int pick_matches(struct pick_tree *t, const char *word, size_t most, pick_name_fn *fn, void *arg, struct err **e);
int pick_matches_parents(struct pick_tree *t, const char *word, pick_name_fn *fn, void *arg, struct err **e);
/* Of a word that matches nothing: a path that it nearly matches, as new memory, or NULL. */
char *pick_near_match(struct pick_tree *t, const char *word);

struct pick_source {
	struct pick_tree *tree;          /* NULL: the one pick_run() was given */
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
	bool literal;                    /* paths of sources are no patterns */
	bool link;                       /* --link: the target is taken as empty */
	const char *ignore_name;         /* the ignore file, for messages; NULL */
	int64_t now;                     /* mtime for what has none */
	int spool;                       /* directory fd where archives may be unpacked (the packer's tmp); -1: they are only noted,
					    which is enough for the digest */
	int swap;                        /* directory fd where a long list may lie; 0: it stays in memory */
};
/* Is it a mode for --chmod (9.7)? */
int pick_chmod_check(const char *text, struct err **e);
struct picked;
int pick_run(struct pick_tree *t, const struct view *target, const struct pick_req *r, struct picked **ret, struct err **e);
void picked_free(struct picked *p);
void picked_freep(struct picked **p);
size_t picked_count(const struct picked *p);
size_t picked_selected(const struct picked *p);          /* without parents */
/* Is this source a pattern that matched nothing, and does not look as if that were meant? */
bool picked_nothing(const struct picked *p, size_t source);
/* Archives that were selected. When there are any, the digest is that of a list made without spool, the entries are those of one
 * made with it. */
size_t picked_archives(const struct picked *p);

/* One selected entry: source path relative to the tree's root. Valid until the next call. */
struct picked_item {
	const struct entry *en;          /* path: destination. A file's xattrs are only read with its content */
	const char *source;              /* in the tree, of files and walked directories; NULL for the rest, and for inline content */
	const struct stat *st;           /* of a directory tree's file, for the stat cache; else NULL */
	const struct digest *digest;     /* of a file's content and xattrs, once known; else NULL */
	bool parent;                     /* an existing or created parent: not part of the content digest */
};
void picked_at(const struct picked *p, size_t i, struct picked_item *ret);
/* Source directories and archives by name, with their mode and owner: they count for a key (17.2) although the layer does not have
 * them. Known without reading. */
void picked_tops(const struct picked *p, struct buf *out);
/* The same one by one, for reasons; d: of an archive, NULL while it is not known. */
typedef void picked_top_fn(void *arg, const char *name, bool archive, uint32_t mode, const struct digest *d);
void picked_each_top(const struct picked *p, picked_top_fn *fn, void *arg);

/* get: the digest of a file's content, false when it is not known. put is told each digest that had to be made by reading a whole
 * file (not those of files with xattrs, so that a known file needs no look at them). Both may be NULL. */
typedef bool pick_get(void *arg, const struct stat *st, struct digest *ret);
typedef void pick_put(void *arg, const struct stat *st, int64_t read_at_ns, const struct digest *d);
/* The content digest: the same as that of content_sink_new() over picked_entries(). Files that get does not know are read, at most
 * `most` bytes in all; beyond that the answer is PICK_UNKNOWN: read everything through picked_entries(), then ask again. */
enum { PICK_UNKNOWN = 1 };
int picked_digest(const struct picked *p, pick_get *get, pick_put *put, void *arg, uint64_t most, struct digest *ret, struct err **e);
/* The entries as a source; p is borrowed. */
struct entries *picked_entries(const struct picked *p, pick_put *put, void *arg);
