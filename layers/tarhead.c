/* layers/tarhead.c - header blocks: checksums, numbers, names, extension headers, old sparse maps.
 *
 * Offsets as in layers/tarout.c. Old GNU headers (magic "ustar  ") have no prefix; in their sparse kind 'S':
 *   386  4 x (offset 12, length 12)      482  more blocks follow      483  12  real size
 * and in each further block 21 such pairs, then at 504 "more blocks follow".
 */
#include "layers/tarhead.h"

#include "base/mem.h"

enum {
	BLOCK = 512,
	BUFFER = 256 << 10,
	EXTENSION_MOST = 1 << 20,
	EXTENSIONS_MOST = 4,
	GROUP_MOST = 6 << 20,
};
#define SIZE_MOST ((UINT64_C(1) << 63) - 513)

struct tarheads {
	struct stream *inner;
	unsigned char *buffer;
	size_t at, n;
	bool end;                        /* of the stream */
	struct buf group;                /* the header blocks of this entry */
	bool group_given;
	uint64_t left;                   /* data and padding not given yet */
	struct pax pax;
	struct buf long_path, long_link;
	bool has_path, has_link, has_pax;
	struct xattr xattr[256];
};

static int bad(struct err **e, const char *what)
{
	return err_set(e, ERR_SOURCE, "%s", what);
}

struct tarheads *tarheads_new(struct stream *take)
{
	struct tarheads *t = mem_zalloc(sizeof(*t));

	t->inner = take;
	t->buffer = mem_alloc(BUFFER);
	t->group = (struct buf)BUF_MAX(GROUP_MOST);
	t->long_path = t->long_link = (struct buf)BUF_MAX(EXTENSION_MOST);
	pax_init(&t->pax);
	return t;
}

int tarheads_close(struct tarheads *t, struct err **e)
{
	int rc = stream_close(t->inner, e);

	mem_freep(&t->buffer);
	buf_free(&t->group);
	buf_free(&t->long_path);
	buf_free(&t->long_link);
	pax_clear(&t->pax);
	mem_freep(&t);
	return rc;
}

void tarhead_clear(struct tarhead *h)
{
	buf_free(&h->path);
	buf_free(&h->link);
}

/* ---- bytes */

/* At least one byte at buffer[at], a whole block unless the stream ends: 1; 0 at the end of the stream. */
static int fill_buffer(struct tarheads *t, struct err **e)
{
	if (t->n - t->at >= BLOCK)
		return 1;
	memmove(t->buffer, t->buffer + t->at, t->n - t->at);
	t->n -= t->at;
	t->at = 0;
	while (t->n < BLOCK && !t->end) {
		ssize_t got = stream_read(t->inner, t->buffer + t->n, BUFFER - t->n, e);

		if (got < 0)
			return -1;
		t->end = got == 0;
		t->n += (size_t)got;
	}
	return t->n > t->at;
}

/* The next whole block: 1, 0 at the end of the stream. */
static int next_block(struct tarheads *t, const unsigned char **ret, struct err **e)
{
	int rc = fill_buffer(t, e);

	if (rc <= 0)
		return rc;
	if (t->n - t->at < BLOCK) {
		bad(e, "the tar ends inside a block");
		return -1;
	}
	*ret = t->buffer + t->at;
	t->at += BLOCK;
	return 1;
}

/* ---- fields */

static bool all_zero(const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

/* Octal digits between blanks and NULs, or base-256 (top bit set, big-endian, two's complement). Nothing at all is 0. */
static int field_signed(const unsigned char *p, size_t n, int64_t *ret, struct err **e)
{
	uint64_t v = 0;
	size_t i = 0;

	if (p[0] & 0x80) {
		uint64_t sign = p[0] & 0x40 ? UINT64_MAX : 0;

		v = sign << 6 | (p[0] & 0x3f);
		for (i = 1; i < n; i++) {
			/* What is pushed out must be sign only. */
			if ((int64_t)v >> 55 != (int64_t)sign)
				return bad(e, "a number in a header is out of range");
			v = v << 8 | p[i];
		}
		*ret = (int64_t)v;
		return 0;
	}
	while (i < n && (p[i] == ' ' || p[i] == 0))
		i++;
	for (; i < n && p[i] >= '0' && p[i] <= '7'; i++)
		v = v << 3 | (uint64_t)(p[i] - '0');
	while (i < n && (p[i] == ' ' || p[i] == 0))
		i++;
	if (i < n)
		return bad(e, "a number in a header is malformed");
	*ret = (int64_t)v;
	return 0;
}

static int field(const unsigned char *p, size_t n, uint64_t *ret, struct err **e)
{
	int64_t v = 0;

	if (field_signed(p, n, &v, e) < 0)
		return -1;
	if (v < 0 || (uint64_t)v > SIZE_MOST)
		return bad(e, "a number in a header is out of range");
	*ret = (uint64_t)v;
	return 0;
}

static bool checksum_right(const unsigned char *p)
{
	unsigned sum = 0;
	int with_sign = 0;
	uint64_t want = 0;

	for (unsigned i = 0; i < BLOCK; i++) {
		unsigned char c = i >= 148 && i < 156 ? ' ' : p[i];

		sum += c;
		with_sign += (signed char)c;     /* some old writers */
	}
	if (field(p + 148, 8, &want, NULL) < 0 || all_zero(p + 148, 8))
		return false;
	return want == sum || (int64_t)want == with_sign;
}

bool tarhead_block(const unsigned char *p)
{
	return !all_zero(p, BLOCK) && checksum_right(p);
}

static void put_text(struct buf *b, const unsigned char *p, size_t n)
{
	buf_add(b, p, strnlen((const char *)p, n));
}

/* ---- extension headers */

/* The data of an extension header, appended to the group. */
static int read_extension(struct tarheads *t, uint64_t size, struct slice *ret, struct err **e)
{
	size_t from = t->group.n;

	if (size > EXTENSION_MOST)
		return err_set(e, ERR_LIMIT, "an extended header is larger than 1 MiB");
	for (uint64_t left = size; left > 0; left -= left < BLOCK ? left : BLOCK) {
		const unsigned char *p = NULL;
		int rc = next_block(t, &p, e);

		if (rc < 0)
			return -1;
		if (rc == 0)
			return bad(e, "the tar ends inside an extended header");
		buf_add(&t->group, p, BLOCK);
	}
	if (buf_ok(&t->group, "headers of one tar entry", e) < 0)
		return -1;
	*ret = (struct slice){ t->group.p + from, size };
	return 0;
}

/* GNU: the text, one NUL. */
static int long_name(struct slice text, struct buf *to, bool *has, struct err **e)
{
	size_t n = text.n ? strnlen(text.p, text.n) : 0;

	if (*has)
		return bad(e, "two long names for one entry");
	if (n == text.n || !all_zero((const unsigned char *)text.p + n, text.n - n))
		return bad(e, "a long name does not end in a NUL byte");
	buf_reset(to);
	buf_add(to, text.p, n);
	*has = true;
	return 0;
}

static int extension(struct tarheads *t, const unsigned char *h, struct err **e)
{
	struct slice text = SLICE_NONE;
	uint64_t size = 0;
	size_t from = t->group.n;
	char type = (char)h[156];

	buf_add(&t->group, h, BLOCK);
	if (field(h + 124, 12, &size, e) < 0 || read_extension(t, size, &text, e) < 0)
		return -1;
	if (type == 'L')
		return long_name(text, &t->long_path, &t->has_path, e);
	if (type == 'K')
		return long_name(text, &t->long_link, &t->has_link, e);
	if (type == 'x') {
		if (t->has_pax)
			return bad(e, "two extended headers for one entry");
		t->has_pax = true;
		return pax_parse(&t->pax, text, false, e);
	}
	/* Global headers are checked and forgotten, and the reader behind us never sees them. */
	int rc = pax_parse(&t->pax, text, true, e);
	t->group.n = from;
	return rc;
}

/* ---- sparse */

static int sparse_pairs(const unsigned char *p, unsigned n, struct sparse *s, struct err **e)
{
	for (unsigned i = 0; i < n; i++, p += 24) {
		uint64_t offset = 0, length = 0;

		if (p[0] == 0)
			break;
		if (field(p, 12, &offset, e) < 0 || field(p + 12, 12, &length, e) < 0 || sparse_add(s, offset, length, e) < 0)
			return -1;
	}
	return 0;
}

static int sparse_old(struct tarheads *t, const unsigned char *h, struct sparse *s, struct err **e)
{
	bool more = h[482];

	s->given = s->has_size = true;
	if (field(h + 483, 12, &s->size, e) < 0 || sparse_pairs(h + 386, 4, s, e) < 0)
		return -1;
	while (more) {
		const unsigned char *p = NULL;
		int rc = next_block(t, &p, e);

		if (rc < 0)
			return -1;
		if (rc == 0)
			return bad(e, "the tar ends inside a sparse map");
		/* A chain of empty maps would never end otherwise. */
		if (++s->announced > SPARSE_MOST / 21 + 1)
			return err_set(e, ERR_LIMIT, "a sparse file has more than %d segments", SPARSE_MOST);
		buf_add(&t->group, p, BLOCK);
		more = p[504];
		if (sparse_pairs(p, 21, s, e) < 0)
			return -1;
	}
	return 0;
}

/* Version 1.0: the map stands before the data, its first line is the number of segments. libarchive reads the rest. */
static int sparse_in_data(struct tarheads *t, struct err **e)
{
	uint64_t n = 0;
	int rc = fill_buffer(t, e);
	struct slice first = { (const char *)t->buffer + t->at, t->n - t->at < 20 ? t->n - t->at : 20 }, rest = SLICE_NONE;

	if (rc < 0)
		return -1;
	if (rc == 0 || !slice_cut(first, '\n', &first, &rest) || !slice_u64(first, &n))
		return bad(e, "a sparse map is malformed");
	if (n > SPARSE_MOST)
		return err_set(e, ERR_LIMIT, "a sparse file has more than %d segments", SPARSE_MOST);
	return 0;
}

static int sparse_size(struct tarheads *t, struct tarhead *ret, const struct sparse *s, struct err **e)
{
	if (!s->has_size || s->end > s->size)
		return bad(e, "a sparse map leaves the file's size");
	ret->size = s->size;
	return s->in_data ? sparse_in_data(t, e) : 0;
}

/* ---- the entry's own header */

static int owner_of(uint64_t v, uint32_t *ret, struct err **e)
{
	/* What wraps to 0, or means "unchanged" to chown, would give a file away. */
	if (v > UINT32_MAX - 1)
		return err_set(e, ERR_SOURCE, "an owner is not between 0 and 4294967294");
	*ret = (uint32_t)v;
	return 0;
}

static int numbers(struct tarheads *t, const unsigned char *h, struct tarhead *ret, struct err **e)
{
	const struct pax *p = &t->pax;
	uint64_t mode = 0, uid = 0, gid = 0;

	if (field(h + 100, 8, &mode, e) < 0 || field(h + 108, 8, &uid, e) < 0 || field(h + 116, 8, &gid, e) < 0 ||
	    field(h + 124, 12, &ret->stored, e) < 0 || field_signed(h + 136, 12, &ret->mtime, e) < 0)
		return -1;
	ret->mode = mode & 07777;
	ret->mtime_ns = 0;
	if (p->has_size)
		ret->stored = p->size;
	if (p->has_mtime) {
		ret->mtime = p->mtime;
		ret->mtime_ns = p->mtime_ns;
	}
	ret->size = ret->stored;
	if (owner_of(p->has_uid ? p->uid : uid, &ret->uid, e) < 0)
		return -1;
	return owner_of(p->has_gid ? p->gid : gid, &ret->gid, e);
}

static int names(struct tarheads *t, const unsigned char *h, struct tarhead *ret, struct err **e)
{
	buf_reset(&ret->path);
	buf_reset(&ret->link);
	if (t->pax.has_path) {
		buf_slice(&ret->path, buf_view(&t->pax.path));
	} else if (t->has_path) {
		buf_slice(&ret->path, buf_view(&t->long_path));
	} else {
		if (memcmp(h + 257, "ustar", 6) == 0 && h[345]) {
			put_text(&ret->path, h + 345, 155);
			buf_char(&ret->path, '/');
		}
		put_text(&ret->path, h, 100);
	}
	if (t->pax.has_link)
		buf_slice(&ret->link, buf_view(&t->pax.link));
	else if (t->has_link)
		buf_slice(&ret->link, buf_view(&t->long_link));
	else
		put_text(&ret->link, h + 157, 100);
	return buf_ok(&ret->path, "a name in a tar", e) < 0 ? -1 : buf_ok(&ret->link, "a name in a tar", e);
}

static int kind(const unsigned char *h, struct tarhead *ret, struct err **e)
{
	char c = (char)h[156];

	if (c == 0 || c == '7' || c == 'S')
		c = '0';
	if (c < '0' || c > '6')
		return err_set(e, ERR_SOURCE, "an entry is of the unknown type 0x%02x", h[156]);
	/* Old writers mark a directory by its slash alone. */
	if (c == '0' && ret->path.n && ret->path.p[ret->path.n - 1] == '/')
		c = '5';
	ret->type = c;
	if (c == '1')
		/* It may repeat the size of the file it names, but nothing follows. */
		ret->stored = ret->size = 0;
	if (c != '0' && ret->stored)
		return err_set(e, ERR_SOURCE, "data is attached to something that is no file");
	return 0;
}

static int own_header(struct tarheads *t, const unsigned char *block, struct tarhead *ret, struct err **e)
{
	unsigned char h[BLOCK];
	struct sparse *s = &t->pax.sparse;

	memcpy(h, block, BLOCK);
	buf_add(&t->group, h, BLOCK);
	if (numbers(t, h, ret, e) < 0 || names(t, h, ret, e) < 0)
		return -1;
	if (h[156] == 'S') {
		if (s->given)
			return bad(e, "two sparse maps for one file");
		if (sparse_old(t, h, s, e) < 0)
			return -1;
	}
	if (kind(h, ret, e) < 0)
		return -1;
	ret->sparse = ret->type == '0' && s->given;
	if (ret->sparse && sparse_size(t, ret, s, e) < 0)
		return -1;
	ret->xattr = t->xattr;
	if (pax_xattrs(&t->pax, t->xattr, &ret->nxattr, e) < 0)
		return -1;
	t->left = ret->stored + -ret->stored % BLOCK;
	return buf_ok(&t->group, "headers of one tar entry", e);
}

static int finish(struct tarheads *t, unsigned extensions, struct err **e)
{
	if (extensions && (t->has_path || t->has_link || t->has_pax))
		return bad(e, "an extended header is not followed by an entry");
	/* What follows the end is hashed by the streams below, never interpreted (E7, Z5). */
	t->at = t->n = 0;
	return t->end ? 0 : stream_drain(t->inner, e);
}

int tarheads_next(struct tarheads *t, struct tarhead *ret, struct err **e)
{
	const unsigned char *h = NULL;

	if (tarheads_skip(t, e) < 0)
		return -1;
	buf_reset(&t->group);
	pax_reset(&t->pax);
	t->group_given = t->has_path = t->has_link = t->has_pax = false;
	for (unsigned extensions = 0;; extensions++) {
		int rc = next_block(t, &h, e);

		if (rc < 0)
			return -1;
		if (rc == 0 || all_zero(h, BLOCK))
			return finish(t, extensions, e);
		if (!checksum_right(h))
			return bad(e, "the checksum of a header is wrong");
		if (!strchr("xgLKV", (char)h[156]) || !h[156])
			return own_header(t, h, ret, e) < 0 ? -1 : 1;
		if (extensions >= EXTENSIONS_MOST)
			return err_set(e, ERR_LIMIT, "more than %d extended headers before one entry", EXTENSIONS_MOST);
		if (h[156] != 'V' && extension(t, h, e) < 0)
			return -1;
	}
}

ssize_t tarheads_data(struct tarheads *t, const void **ret, struct err **e)
{
	t->group_given = true;
	if (t->left == 0)
		return 0;

	int rc = fill_buffer(t, e);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return bad(e, "the tar ends inside a file");
	size_t n = t->n - t->at < t->left ? t->n - t->at : (size_t)t->left;
	*ret = t->buffer + t->at;
	t->at += n;
	t->left -= n;
	return (ssize_t)n;
}

ssize_t tarheads_raw(struct tarheads *t, const void **ret, struct err **e)
{
	if (t->group_given)
		return tarheads_data(t, ret, e);
	t->group_given = true;
	*ret = t->group.p;
	return (ssize_t)t->group.n;
}

int tarheads_skip(struct tarheads *t, struct err **e)
{
	const void *p;
	ssize_t n;

	do
		n = tarheads_data(t, &p, e);
	while (n > 0);
	return (int)n;
}
