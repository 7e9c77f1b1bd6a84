/* layers/pick_parts.h - what the files pick*.c share; nobody else includes this.
 *
 *   pick_tree     where a COPY reads: a directory, or a view of layers
 *   pick_walk     a directory of it and what lies below, seen through pattern filters
 *   pick_near     a source that is not there: what may have been meant
 *   pick_dest     the layer in the making, on top of the target's view: a tree of nodes, children sorted
 *   pick_archive  an archive into the layer in the making, its bytes into a spool file
 *   pick_read     the finished list as a digest, and as a source of entries
 *
 * Everything of one pick_run() lives in the arena of its struct picked.
 */
#pragma once
#include "base/arena.h"
#include "base/at.h"
#include "base/mem.h"
#include "layers/pick.h"

enum { PICK_MISS = 1, PICK_NOTDIR = 2, PICK_FOUND = 3 };      /* answers among ourselves */

/* One thing of a tree. */
struct pick_attr {
	enum entry_type type;            /* ENTRY_LINK never: a file with `linked` set */
	uint32_t mode, uid, gid;
	uint64_t size;
	int64_t mtime, ctime;            /* ctime, dev, ino: of directory trees, to tell whether it changed */
	uint32_t mtime_ns, ctime_ns;
	uint64_t dev, ino;               /* view: layer index, 0. Archive: 0, offset in the spool. Devices: major, minor */
	const char *text;                /* symlink: its target. File: its name in `from`, in a view its path in the layer. A directory
					    of a directory tree: its path there, where it was found by a walk */
	const char *first;               /* view: path of the first hard link, which may be itself */
	const struct xattr *xattr;
	uint32_t nxattr;
	bool linked;                     /* may have other names */
	bool empty;                      /* a socket: an empty file that cannot be opened (9.5) */
};

/* A file's content. */
struct pick_digest {
	struct digest d;
	const struct digest *xattrs;     /* it has some, to be had from the file: the digest of both; else NULL */
};

/* Where bytes come from: a directory of a tree (a chain of names), or memory, or an fd. */
struct pick_from {
	struct pick_tree *tree;
	const struct pick_from *up;      /* NULL: name is a path below the root of the tree */
	const char *name;
	struct slice bytes;              /* without tree: these, or */
	int fd;                          /* >= 0: a borrowed file */
};

enum {
	NODE_PARENT = 1,                 /* not selected: only there so that the layer is complete */
	NODE_MADE = 2,                   /* a parent that did not exist: its time comes from what is below */
	NODE_FRESH = 4,                  /* a directory: the target has nothing at or below it */
	NODE_OPAQUE = 8,                 /* a directory in place of one that was removed */
	NODE_ARCHIVE = 16,
};
struct pick_node {
	struct pick_node *up;
	const char *name;
	union {
		struct {                         /* a directory */
			struct pick_node **kid;  /* sorted */
			uint32_t nkid, cap;
		};
		struct {                         /* a file */
			const struct pick_from *from;
			struct pick_digest *digest;      /* once known */
		};
	};
	struct pick_attr at;
	uint32_t group;                  /* hard links: same number, same file; 0: none */
	uint32_t flags;
};

/* A directory or archive that was a source itself: part of the digest, not of the layer. */
struct pick_top {
	struct pick_top *next;
	struct pick_attr at;
	const char *name;
	const struct pick_from *from;    /* archive */
	struct pick_digest *digest;      /* archive, once known */
	bool archive;
};

/* Files that may have several names, in one source operation. */
struct pick_inode {
	uint64_t dev, ino;
	const char *first;
	uint32_t group;
};
/* Kept apart from the list, which is finished when others see it. */
struct pick_scratch {
	struct entry en;
	struct stat st;
	struct buf path, link, source;
	struct arena digests;
};
struct picked {
	struct arena arena;
	const struct view *target;       /* NULL: empty */
	const struct pick_req *req;      /* during pick_run() only */
	struct pick_node root;
	struct pick_node **order;        /* layer order */
	size_t n, selected, made;        /* made: nodes there ever were */
	struct pick_top *top, **top_end;
	size_t narchive;
	bool *nothing;                   /* by source: a pattern that matched nothing */
	bool unpacked;
	int spool;                       /* file with the content of archives, -1 */
	uint64_t spool_size;
	uint32_t groups;
	struct pick_inode *inode;        /* open addressing, of the current source */
	size_t ninode, inode_cap;
	struct pick_node **first;        /* by group: the name that carries the data */
	struct pick_scratch *scratch;
};

/* The i-th in layer order. A long list is mostly not in memory: what was walked through is given back. */
static inline struct pick_node *pick_at(const struct picked *p, size_t i)
{
	enum { COOL_EACH = 16384 };

	if (i % COOL_EACH == COOL_EACH - 1) {
		arena_cool(&p->arena);
		arena_cool(&p->scratch->digests);
	}
	return p->order[i];
}

/* Paths are written backwards, as the chains of names lead: name before what begins at pos. */
static inline size_t pick_prepend(char *path, size_t pos, const char *name)
{
	size_t n = strlen(name);

	pos -= n;
	memcpy(path + pos, name, n);
	if (pos && n)
		path[--pos] = '/';
	return pos;
}
/* out becomes a text of len - 1 bytes, to be filled; NULL when it is empty or too long. */
char *pick_path_room(struct buf *out, size_t len);

/* ---- pick_tree.c */
struct pick_tree {
	int dir;                         /* -1: a view */
	const struct pats *ignore;
	const struct view *view;
	const int *layer_dir;
	struct buf last;                 /* the directory last looked into, and */
	int last_fd;                     /* its fd */
};
void pick_attr_stat(struct pick_attr *at, const struct stat *st);
void pick_attr_entry(struct pick_attr *at, const struct entry *en);
/* Lexical: relative, no ".", "..", "//"; ".." above the top is dropped (6.1). */
void pick_clean(struct slice path, struct buf *out);

/* What is at a real path: 0, PICK_MISS. */
typedef int pick_find(void *arg, const char *path, struct pick_attr *ret, struct err **e);
/* Follow links below `root`, which is a real path ("" the top): 0; PICK_MISS: *real is where it would be; PICK_NOTDIR: *real
 * names what is not a directory. */
int pick_resolve(pick_find *find, void *arg, const char *root, struct slice path, bool follow_last, struct buf *real,
		 struct pick_attr *ret, struct err **e);
struct pick_look {                       /* what pick_tree_find takes as arg */
	struct pick_tree *tree;
	struct arena *arena;             /* link texts go here */
};
/* Hidden things are missing. */
int pick_tree_find(void *look, const char *path, struct pick_attr *ret, struct err **e);
/* Open for reading what was listed as *at: P7, and the same file (W3). */
int pick_tree_open(struct pick_tree *t, const char *path, const struct pick_attr *at, int *ret, struct err **e);
int pick_changed(const char *path, struct err **e);

struct pick_kid {
	const char *name;                /* until the next one */
	bool file;                       /* certainly no directory */
	const struct entry *en;          /* view */
	size_t layer;
};
struct pick_dir {                        /* a directory, open for listing */
	struct pick_tree *tree;
	const char *path;
	int fd;
	struct at_names names;           /* of a directory tree; those of a view are never held together */
	struct arena *arena;
	const struct xattr *xattr;       /* of the directory itself */
	uint32_t nxattr;
};
int pick_dir_open(struct pick_tree *t, struct arena *a, const char *path, const struct pick_attr *at, struct pick_dir *ret, struct err **e);
/* One by one, sorted; an answer other than 0 ends it. */
typedef int pick_kid_fn(void *arg, struct pick_dir *d, const struct pick_kid *k, struct err **e);
int pick_dir_each(struct pick_dir *d, pick_kid_fn *fn, void *arg, struct err **e);
int pick_dir_attr(struct pick_dir *d, const struct pick_kid *k, struct pick_attr *ret, struct err **e);
void pick_dir_close(struct pick_dir *d);
/* The xattrs that a layer may hold. *ret in the arena. */
int pick_xattrs(int fd, const char *path, struct arena *a, const struct xattr **ret, uint32_t *n, struct err **e);

/* ---- pick_walk.c */
struct pick_filter {
	const struct pats *pats;
	bool include;                    /* what they hit is in, not out */
	struct slice pattern;            /* include: the one pattern, to see where it cannot lead */
	size_t skip;                     /* bytes of a path that it does not see */
};
struct pick_step {                       /* a directory on the way */
	struct pick_step *up, *next;
	const char *name;                /* of the first: the whole path */
	struct pick_from *from;
	struct pick_attr at;
	struct pick_node *node;          /* NULL: not yet, nothing below it was selected so far */
	bool lead;                       /* only on the way to what `include` hits */
	struct pats_hits hits[3];
};
struct pick_walk {
	struct pick_tree *tree;
	struct arena *arena;
	struct pick_filter filter[3];
	size_t nfilter;
	/* Selected: name in the directory dir. *ret_node: what a directory became. */
	int (*found)(void *arg, struct pick_step *dir, const char *name, const struct pick_attr *at, struct pick_node **ret_node,
		     struct err **e);
	void *arg;
};
/* Below the directory `top`. 0, or the first positive answer of found(). */
int pick_walk(struct pick_walk *w, const char *top, const struct pick_attr *at, struct pick_node *node, struct err **e);
/* Does the ignore file leave this visible? An ignored directory is, when something below it is rescued. 0 or PICK_MISS.
 * *line: the pattern's line that hides it. */
int pick_visible(struct pick_tree *t, struct arena *a, const char *path, const struct pick_attr *at, unsigned *line, struct err **e);
/* The first `most` things that the cleaned pattern matches, as paths below real directories, in lexical order. 0; PICK_MISS: there is no
 * directory *dir, its part without wildcards. */
struct pick_match {
	const char *path;
	struct pick_attr at;
};
int pick_expand(struct pick_look *l, struct slice pattern, size_t most, struct slice *dir, struct pick_match **ret, size_t *n,
		struct err **e);
/* Cut a pattern before its first component with a wildcard. */
void pick_split_pattern(struct slice pattern, struct slice *dir, struct slice *rest);
/* A source of --parents: where it is matched from, and what is matched; both cleaned. */
int pick_pivot(const char *word, struct buf *base, struct buf *pattern, struct err **e);

/* ---- pick_near.c */
/* The error of a path that is not there, with what hides it or the nearest one that is there. written: the whole source. */
int pick_missing(struct pick_look *l, const char *written, struct slice path, const char *ignore_name, bool lstat, struct err **e);

/* ---- pick_chmod.c: 9.7. */
int pick_chmod(const char *text, uint32_t mode, bool dir, uint32_t *ret, struct err **e);

/* ---- pick_dest.c */
/* It is not the source that is wrong. */
static inline int pick_dest_bad(const struct picked *p, struct err **e)
{
	return err_part_set(e, p->req->nsource);
}
void pick_node_path(const struct pick_node *n, struct buf *out);
struct pick_node *pick_node_kid(const struct pick_node *n, const char *name);
/* --chown and --chmod on what is copied. */
int pick_apply(const struct picked *p, struct pick_attr *at, struct err **e);
/* A pick_find over the layer in the making and the target; arg: the struct picked. */
int pick_dest_find(void *picked, const char *path, struct pick_attr *ret, struct err **e);
/* The directory at a real path, with its parents, missing ones made: */
enum pick_make {
	MAKE_COPY,                       /* 9.3: --chown, numeric --chmod */
	MAKE_UNPACK,                     /* 10.2, the destination: --chown */
	MAKE_PLAIN,                      /* 10.2, below it: 0755 0:0 */
};
int pick_dest_dir(struct picked *p, const char *path, enum pick_make how, struct pick_node **ret, struct err **e);
/* A name in a directory: what merging does (9.4). Attributes are final. */
int pick_dest_put(struct picked *p, struct pick_node *dir, const char *name, const struct pick_attr *at, struct pick_node **ret,
		  struct err **e);
/* The same for archives: what is in the way goes, whatever it is (10.2). */
int pick_dest_replace(struct picked *p, struct pick_node *dir, const char *name, const struct pick_attr *at, struct pick_node **ret,
		      struct err **e);
/* A directory on the way to a match of --parents (9.10). */
int pick_dest_lead(struct picked *p, struct pick_node *dir, const char *name, const struct pick_attr *at, struct pick_node **ret,
		   struct err **e);
void pick_inodes_reset(struct picked *p);
uint32_t pick_inode_group(struct picked *p, const struct pick_attr *at);
/* Layer order, times of made parents, which of several names carries the data. */
void pick_finish(struct picked *p, int64_t now);

/* ---- pick_archive.c */
/* Is this file an archive? 0 no, PICK_FOUND. Takes fd. */
int pick_archive_test(int take_fd, const char *name, struct err **e);
/* Extract below the directory at the real path dest. Takes fd. */
int pick_archive_unpack(struct picked *p, int take_fd, const char *name, const char *dest, struct err **e);

/* ---- pick_read.c */
/* The path of from/name below the root of its tree (for error messages and opening). */
void pick_from_path(const struct pick_from *from, const char *name, struct buf *out);
