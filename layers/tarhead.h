/* layers/tarhead.h - the headers of a tar, read strictly (spec/threats.md E4-E6, E14, E19). For layers/tarin.c.
 *
 * Data:   one call reads the header blocks that belong to one entry: extension headers and its own. Values come from here, raw
 *         bytes as they are; whatever libarchive would guess, convert or forgive is an error here first.
 * Owns:   the stream; everything a struct tarhead points to lives until the next call.
 * Bounds: 1 MiB an extension header, 4 of them an entry, 10,000 records in one.
 */
#pragma once
#include "base/stream.h"
#include "layers/entry.h"

struct tarhead {
	char type;                       /* '0' to '6'; 'S' and '7' have become '0' */
	struct buf path, link;
	uint32_t mode, uid, gid, mtime_ns;
	int64_t mtime;
	uint64_t stored, size;           /* bytes of data in the archive; of the file */
	bool sparse;                     /* the data is not the content, a map says where its pieces lie */
	struct xattr *xattr;             /* only allowed ones, sorted */
	size_t nxattr;
};

struct tarheads;
struct tarheads *tarheads_new(struct stream *take);
int tarheads_close(struct tarheads *t, struct err **e);
/* 1: an entry; 0: the archive ended, and so did the stream. The data of the last entry must have been taken. */
int tarheads_next(struct tarheads *t, struct tarhead *ret, struct err **e);
void tarhead_clear(struct tarhead *h);

/* What a reader of the same archive would see next: the header blocks of this entry, then its data and padding, in pieces that
 * live until the next call. 0 when it was all given. */
ssize_t tarheads_raw(struct tarheads *t, const void **ret, struct err **e);
/* As above, without the header blocks. */
ssize_t tarheads_data(struct tarheads *t, const void **ret, struct err **e);
/* Pass over what tarheads_raw() has not given yet. */
int tarheads_skip(struct tarheads *t, struct err **e);

/* One block that starts a tar? */
bool tarhead_block(const unsigned char *p);

/* ---- PAX records (tarpax.c) */

enum { SPARSE_MOST = 65536 };
struct sparse {                          /* what is known of a map while its parts come */
	bool given, in_data;             /* in_data: version 1.0, the map is before the data */
	uint64_t size, end;              /* of the file; of the last segment */
	uint64_t announced, count;
	uint64_t offset;                 /* version 0.0: waiting for its length */
	bool has_size, has_count, has_offset;
};
int sparse_add(struct sparse *s, uint64_t offset, uint64_t n, struct err **e);

struct pax {
	bool has_path, has_link, has_size, has_uid, has_gid, has_mtime;
	struct buf path, link;
	uint64_t size, uid, gid;
	int64_t mtime;
	uint32_t mtime_ns;
	struct sparse sparse;
	struct buf attr;                 /* names and values of xattrs */
	struct pax_attr {
		uint32_t name, value, n; /* offsets in attr */
	} at[256];
	size_t nattr;
};
void pax_init(struct pax *p);
void pax_reset(struct pax *p);
void pax_clear(struct pax *p);
/* The records of one extended header. global: checked, then forgotten (E5). */
int pax_parse(struct pax *p, struct slice text, bool global, struct err **e);
/* Sorted, one of each name, into *ret (room for 256); capabilities in the form that images carry. */
int pax_xattrs(struct pax *p, struct xattr *ret, size_t *n, struct err **e);
