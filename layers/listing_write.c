/* layers/listing_write.c - entries into a listing, and from order of arrival into layer order. */
#include "layers/listing.h"

#include "base/fd.h"
#include "base/map.h"
#include "base/mem.h"
#include "layers/listing_format.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	SPOOL = 64 << 10,
	RECORD_MOST = 256 << 10,         /* paths and 128 KiB of xattrs */
	TEXT_MOST = 10 << 20,
	TEXTS_MOST = 64,                 /* of a layer */
	ROUNDS_MOST = 40,
	WARM_MOST = 32768,               /* records looked at */
	ENTRIES_MOST = 4000000,
};

struct listed {
	struct sink sink;
	int fd;
	char *spool;
	size_t used;
	uint64_t at;                     /* file offset of spool[0] */
	struct head head;
	uint64_t sum;
	uint64_t *index;
	size_t n, cap;
	uint32_t seq;
	struct buf last;                 /* path of the last record: mostly they come in order */
	enum entry_type last_type;
	bool sorted;
	bool odd;                        /* something lies below what is no directory */
	bool texts, text;                /* wanted; one is coming */
	size_t ntext;
	uint64_t left;
	struct buf record;
};

static int write_at(int fd, const void *p, size_t n, uint64_t at, struct err **e)
{
	while (n > 0) {
		ssize_t done = pwrite(fd, p, n, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return err_errno(e, ERR_HOST, errno, "cannot write a layer listing");
		p = (const char *)p + done;
		n -= (size_t)done;
		at += (uint64_t)done;
	}
	return 0;
}

static int spool_flush(struct listed *k, struct err **e)
{
	size_t n = k->used;
	uint64_t at = k->at;

	k->sum = sum_add(k->sum, k->spool, n);
	k->at += n;
	k->used = 0;
	return write_at(k->fd, k->spool, n, at, e);
}

/* The spool holds a multiple of 8 whenever it is full, so the sum sees whole words. */
static int spool_add(struct listed *k, const void *p, size_t n, struct err **e)
{
	while (n > 0) {
		size_t part = SPOOL - k->used < n ? SPOOL - k->used : n;

		memcpy(k->spool + k->used, p, part);
		k->used += part;
		p = (const char *)p + part;
		n -= part;
		if (k->used == SPOOL && spool_flush(k, e) < 0)
			return -1;
	}
	return 0;
}

static int spool_pad(struct listed *k, struct err **e)
{
	static const char zeros[8];

	return spool_add(k, zeros, -k->used % 8, e);
}

/* Entry, then opaque mark, then whiteout, where they share a path. */
static int rank(enum entry_type type)
{
	return type == ENTRY_WHITEOUT ? 2 : type == ENTRY_OPAQUE;
}

static void put_u32(struct buf *b, size_t v)
{
	uint32_t le = htole32((uint32_t)v);

	buf_add(b, &le, sizeof(le));
}

static int put_record(struct listed *k, const struct entry *en, bool text, struct err **e)
{
	struct buf *b = &k->record;
	size_t npath = strlen(en->path);
	struct record r = {
		.seq = htole32(k->seq++),
		.type = (uint8_t)en->type,
		.parent = en->parent,
		.nxattr = htole16((uint16_t)en->nxattr),
		.mode = htole32(en->mode),
		.uid = htole32(en->uid),
		.gid = htole32(en->gid),
		.mtime_ns = htole32(en->mtime_ns),
		.major = htole32(en->type == ENTRY_FILE ? 0 : en->major),
		.minor = htole32(en->minor),
		.mtime = (int64_t)htole64((uint64_t)en->mtime),
		.size = htole64(en->type == ENTRY_FILE ? en->size : 0),
		.xattr = htole32((uint32_t)k->head.nxattr),
		.path = htole16((uint16_t)npath),
		.link = htole16(en->link ? (uint16_t)strlen(en->link) : NO_LINK),
	};

	if (k->n >= ENTRIES_MOST || npath > 4095 || (en->link && strlen(en->link) > 4095) || en->nxattr > 256)
		return err_set(e, ERR_LIMIT, "a layer has more than %d entries, or one of them names longer than 4095 bytes",
			       ENTRIES_MOST);
	buf_reset(b);
	buf_add(b, &r, sizeof(r));
	buf_add(b, en->path, npath + 1);
	if (en->link)
		buf_add(b, en->link, strlen(en->link) + 1);
	for (size_t i = 0; i < en->nxattr; i++) {
		put_u32(b, strlen(en->xattr[i].name));
		put_u32(b, en->xattr[i].value.n);
		buf_add(b, en->xattr[i].name, strlen(en->xattr[i].name) + 1);
		buf_add(b, en->xattr[i].value.p, en->xattr[i].value.n);
	}
	buf_add(b, "\0\0\0\0\0\0\0", -b->n % 8);
	if (buf_ok(b, "attributes of one file", e) < 0)
		return -1;
	((struct record *)b->p)->length = htole32((uint32_t)b->n);
	if (text)
		((struct record *)b->p)->major = htole32((uint32_t)((k->at + k->used + b->n) / 8));
	k->head.nxattr += en->nxattr;
	MEM_ROOM(k->index, k->n, k->cap);
	k->index[k->n++] = k->at + k->used;
	return spool_add(k, b->p, b->n, e);
}

/* Links may lead from etc/passwd and etc/group to anywhere, and from anywhere to them. bin/passwd is a program. */
static bool holds_accounts(const struct entry *en)
{
	const char *slash = strrchr(en->path, '/'), *name = slash ? slash + 1 : en->path;

	if (en->type != ENTRY_FILE || en->size == 0 || en->size > TEXT_MOST || (strcmp(name, "passwd") != 0 && strcmp(name, "group") != 0))
		return false;
	return name - en->path < 4 || memcmp(name - 4, "bin/", 4) != 0;
}

static int listed_entry(struct sink *s, const struct entry *en, struct err **e)
{
	struct listed *k = container_of(s, struct listed, sink);

	if (k->n && k->sorted) {
		k->sorted = entry_path_cmp(k->last.p, en->path) < 0;
		k->odd |= rank(k->last_type) == 0 && k->last_type != ENTRY_DIR && strncmp(k->last.p, en->path, k->last.n) == 0 &&
			  en->path[k->last.n] == '/';
	}
	k->last_type = en->type;
	buf_reset(&k->last);
	buf_add(&k->last, en->path, strlen(en->path));
	k->text = k->texts && holds_accounts(en) && k->ntext < TEXTS_MOST && k->at / 8 < UINT32_MAX - RECORD_MOST;
	k->ntext += k->text;
	k->left = en->size;
	return put_record(k, en, k->text, e);
}

static int listed_data(struct sink *s, const void *p, size_t n, struct err **e)
{
	struct listed *k = container_of(s, struct listed, sink);

	if (!k->text)
		return 0;
	k->left -= n;
	if (spool_add(k, p, n, e) < 0)
		return -1;
	return k->left == 0 ? spool_pad(k, e) : 0;
}

/* ---- from order of arrival to layer order */

/* What was written, read back. Pages are given back now and then: mostly the order is nearly right, so the next records are near. */
struct back {
	struct map map;
	size_t warm;
};

static const struct record *rec(struct back *b, uint64_t at)
{
	if (++b->warm % WARM_MOST == 0)
		map_cool(b->map.p, b->map.p + b->map.n);
	return (const struct record *)(b->map.p + at);
}

static int by_path(const void *a, const void *b, void *back)
{
	const struct record *x = rec(back, *(const uint64_t *)a), *y = rec(back, *(const uint64_t *)b);
	int c = entry_path_cmp(record_path(x), record_path(y));

	if (c == 0)
		c = rank(x->type) - rank(y->type);
	if (c == 0)
		c = le32toh(x->seq) < le32toh(y->seq) ? -1 : 1;
	return c;
}

static void back_clear(struct back *b)
{
	map_clear(&b->map);
}

/* Later ones of a name win. */
static void drop_duplicates(struct listed *k, struct back *back)
{
	size_t n = 0;

	for (size_t i = 0; i < k->n; i++) {
		const struct record *r = rec(back, k->index[i]), *next = i + 1 < k->n ? rec(back, k->index[i + 1]) : NULL;

		if (next && rank(r->type) == rank(next->type) && strcmp(record_path(r), record_path(next)) == 0)
			continue;
		k->index[n++] = k->index[i];
	}
	k->n = n;
}

/* The path of something that lies "below" a symlink of this same layer, after following it once. */
static int through_link(const struct record *link, const char *path, struct buf *out, struct err **e)
{
	AUTO(buf_freep) struct buf whole = BUF_MAX(16384);
	const char *at = record_path(link), *slash = strrchr(at, '/'), *text = at + le16toh(link->path) + 1;

	if (text[0] != '/' && slash)
		buf_add(&whole, at, (size_t)(slash - at));
	buf_char(&whole, '/');
	buf_str(&whole, text);
	buf_str(&whole, path + le16toh(link->path));
	return entry_path_clean(buf_view(&whole), true, out, e);
}

/* A copy of record r under another path, at the end of the file; the xattrs keep their numbers. */
static int put_moved(struct listed *k, const struct record *r, struct slice path, uint64_t *ret, struct err **e)
{
	size_t old = sizeof(*r) + le16toh(r->path) + 1U;
	struct record to = *r;
	struct buf *b = &k->record;

	to.path = htole16((uint16_t)path.n);
	buf_reset(b);
	buf_add(b, &to, sizeof(to));
	buf_add(b, path.p, path.n);
	buf_char(b, 0);
	buf_add(b, (const char *)r + old, le32toh(r->length) - old);
	buf_add(b, "\0\0\0\0\0\0\0", -b->n % 8);
	if (buf_ok(b, "attributes of one file", e) < 0)
		return -1;
	((struct record *)b->p)->length = htole32((uint32_t)b->n);
	*ret = k->at + k->used;
	return spool_add(k, b->p, b->n, e);
}

/* An archive may put entries below what is no directory: a symlink that came before is followed, as when it is unpacked;
 * anything that came later replaced the directory and all in it. Returns the number of paths that were rewritten. */
static int settle_parents(struct listed *k, struct back *back, struct err **e)
{
	AUTO(buf_freep) struct buf path = BUF_MAX(8192);
	const struct record *block = NULL;
	size_t n = 0, all = k->n;
	int moved = 0;

	for (size_t i = 0; i < all; i++) {
		const struct record *r = rec(back, k->index[i]);
		size_t len = block ? le16toh(block->path) : 0;

		if (!block || strncmp(record_path(block), record_path(r), len) != 0 || record_path(r)[len] != '/') {
			if (rank(r->type) == 0)
				block = r->type == ENTRY_DIR ? NULL : r;
			k->index[n++] = k->index[i];
			continue;
		}
		if (block->type != ENTRY_SYMLINK || le32toh(block->seq) > le32toh(r->seq))
			continue;
		if (through_link(block, record_path(r), &path, e) < 0 ||
		    put_moved(k, r, buf_view(&path), &k->index[n++], e) < 0)
			return -1;
		moved++;
	}
	k->n = n;
	return moved;
}

static int settle(struct listed *k, struct err **e)
{
	for (unsigned round = 0; !k->sorted || k->odd; round++) {
		AUTO(back_clear) struct back back = { 0 };

		if (spool_flush(k, e) < 0 || map_open(k->fd, &back.map, e) < 0)
			return -1;
		if (!k->sorted) {
			qsort_r(k->index, k->n, sizeof(*k->index), by_path, &back);
			drop_duplicates(k, &back);
		}
		int moved = settle_parents(k, &back, e);
		if (moved <= 0)
			return moved;
		if (round >= ROUNDS_MOST)
			return err_set(e, ERR_SOURCE, "symlinks in the layer lead in a circle");
		k->sorted = false;
	}
	return 0;
}

static int put_head(struct listed *k, struct err **e)
{
	struct head h = k->head;
	uint64_t w[(sizeof(h) - 8) / 8];

	memcpy(h.magic, magic, sizeof(magic));
	h.version = VERSION;
	h.count = k->n;
	h.size = k->at;
	/* All but the magic and the sum are numbers. */
	memcpy(w, (char *)&h + sizeof(h.magic), sizeof(w));
	for (size_t i = 0; i < countof(w); i++)
		w[i] = htole64(w[i]);
	memcpy((char *)&h + sizeof(h.magic), w, sizeof(w));
	h.sum = htole64(sum_add(k->sum, &h, sizeof(h) - 8));
	return write_at(k->fd, &h, sizeof(h), 0, e);
}

static int listed_end(struct sink *s, struct err **e)
{
	struct listed *k = container_of(s, struct listed, sink);

	if (settle(k, e) < 0)
		return -1;
	k->head.index = k->at + k->used;
	for (size_t i = 0; i < k->n; i++) {
		uint64_t le = htole64(k->index[i]);

		if (spool_add(k, &le, sizeof(le), e) < 0)
			return -1;
	}
	return spool_flush(k, e) < 0 ? -1 : put_head(k, e);
}

static void listed_free(struct sink *s)
{
	struct listed *k = container_of(s, struct listed, sink);

	mem_freep(&k->spool);
	mem_freep(&k->index);
	buf_free(&k->last);
	buf_free(&k->record);
	mem_freep(&k);
}

struct sink *listing_sink_new(int fd)
{
	static const struct sink_ops ops = { listed_entry, listed_data, listed_end, listed_free };
	struct listed *k = mem_zalloc(sizeof(*k));

	k->sink.ops = &ops;
	k->fd = fd;
	k->spool = mem_alloc(SPOOL);
	k->at = sizeof(struct head);
	k->last = (struct buf)BUF_MAX(65536);
	k->record = (struct buf)BUF_MAX(RECORD_MOST);
	k->sorted = true;
	k->texts = true;
	return &k->sink;
}

void listing_sink_texts(struct sink *k, bool keep)
{
	container_of(k, struct listed, sink)->texts = keep;
}
