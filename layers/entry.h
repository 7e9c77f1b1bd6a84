/* layers/entry.h - one file system entry in normal form: the currency of layers/ (design.md 3.13).
 *
 * Data:   sources (tarin, diff, pick) are pulled; sinks (tarout, fill, listing, digests) are pushed; entries_pump() runs one
 *         source into any number of sinks in one pass, reading each byte of content once.
 * Owns:   an entry and all it points to belong to the source and live until its next next() call.
 * Bounds: spec/threats.md 17: path and link 4,095 bytes, component 255, xattr value 64 KiB, 128 KiB a file, 256 of them.
 */
#pragma once
#include "base/digest.h"

#include <sys/types.h>

enum entry_type {
	ENTRY_FILE = '0',
	ENTRY_LINK = '1',                /* hard link: link is the path of the first name in the same layer */
	ENTRY_SYMLINK = '2',
	ENTRY_CHAR = '3',
	ENTRY_BLOCK = '4',
	ENTRY_DIR = '5',
	ENTRY_FIFO = '6',
	ENTRY_WHITEOUT = 'w',            /* path names the hidden entry itself, without ".wh." */
	ENTRY_OPAQUE = 'o',              /* path names the directory whose lower content is hidden */
};
struct xattr {
	const char *name;
	struct slice value;
};
struct entry {
	enum entry_type type;
	const char *path;                /* relative, no leading or trailing '/', "" is the root; raw bytes */
	const char *link;                /* symlink text, hard-link target path; NULL otherwise */
	uint32_t mode;                   /* 07777 */
	uint32_t uid, gid;               /* container ids */
	int64_t mtime;                   /* seconds */
	uint32_t mtime_ns;               /* kept on disk, never in a tar */
	uint64_t size;                   /* ENTRY_FILE only */
	uint32_t major, minor;           /* devices */
	const struct xattr *xattr;       /* sorted by name */
	size_t nxattr;
	bool parent;                     /* repeated or made only because something below it needs it: no part of a content digest */
};

/* A source of entries. */
struct entries;
struct entries_ops {
	int (*next)(struct entries *s, const struct entry **ret, struct err **e);        /* 1: one, 0: no more */
	ssize_t (*data)(struct entries *s, void *p, size_t n, struct err **e);           /* content of the last ENTRY_FILE; 0: end */
	int (*close)(struct entries *s, struct err **e);                                 /* frees s; verdicts come here */
};
struct entries {
	const struct entries_ops *ops;
};
int entries_next(struct entries *s, const struct entry **ret, struct err **e);
ssize_t entries_data(struct entries *s, void *p, size_t n, struct err **e);
int entries_close(struct entries *s, struct err **e);
void entries_drop(struct entries **s);           /* for AUTO */

/* A sink. data() gets exactly entry->size bytes in pieces after an ENTRY_FILE; end() completes the whole stream. */
struct sink;
struct sink_ops {
	int (*entry)(struct sink *k, const struct entry *en, struct err **e);
	int (*data)(struct sink *k, const void *p, size_t n, struct err **e);
	int (*end)(struct sink *k, struct err **e);
	void (*free)(struct sink *k);            /* also after end(); undoes nothing */
};
struct sink {
	const struct sink_ops *ops;
};
void sink_free(struct sink **k);                 /* for AUTO */

struct pump_totals {
	uint64_t entries, bytes;         /* bytes: file content */
};
/* All of src into all sinks, end() included. A file that gives fewer or more bytes than its size is an error (W3). */
int entries_pump(struct entries *src, struct sink *const *sinks, size_t n, struct pump_totals *ret, struct err **e);

/* Deep copies for who must keep an entry. */
struct entry *entry_dup(const struct entry *en);
void entry_free(struct entry *en);
/* May this xattr be stored in, or taken from, a layer (spec/oci.md 1.6, E22)? */
bool xattr_allowed(const char *name);
/* Order of a layer: parents first, depth-first, names bytewise within a directory: '/' sorts below every other byte. */
int entry_path_cmp(const char *a, const char *b);
/* Clean an archive name (strip "/", "./", "//"); -1 for NUL, "..", a component over 255, a path over 4,095. */
int entry_path_clean(struct slice name, bool clamp_dotdot, struct buf *out, struct err **e);

/* The digest of what a COPY selects (spec/dockerfile.md 17.2): type, mode, owner, size, content or link, xattrs; not times. It reads what
 * picked_digest() remembers: tests hold the two against each other. */
struct sink *content_sink_new(struct digest *ret);
/* One entry of that digest: who knows what a file holds (the stat cache) gets the same result without reading it. content: of an
 * ENTRY_FILE, else NULL. Entries in layer order; parents add nothing. */
void content_add(struct hasher *h, const struct entry *en, const struct digest *content);
