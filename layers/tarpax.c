/* layers/tarpax.c - PAX records: "<length> <key>=<value>\n", the length counting all of it. */
#include "layers/tarhead.h"

#include "base/mem.h"

#include <stdlib.h>

enum {
	RECORDS_MOST = 10000,
	VALUE_MOST = 64 << 10,           /* of one xattr */
	VALUES_MOST = 128 << 10,
};
#define SIZE_MOST ((UINT64_C(1) << 63) - 513)

static int bad(struct err **e, const char *what)
{
	return err_set(e, ERR_SOURCE, "%s", what);
}

void pax_init(struct pax *p)
{
	memset(p, 0, sizeof(*p));
	p->path = p->link = (struct buf)BUF_MAX(1 << 20);
	p->attr = (struct buf)BUF_MAX(VALUES_MOST + 256 * 512);
}

void pax_reset(struct pax *p)
{
	struct buf path = p->path, link = p->link, attr = p->attr;

	memset(p, 0, offsetof(struct pax, at));
	p->nattr = 0;
	buf_reset(&path);
	buf_reset(&link);
	buf_reset(&attr);
	p->path = path;
	p->link = link;
	p->attr = attr;
}

void pax_clear(struct pax *p)
{
	buf_free(&p->path);
	buf_free(&p->link);
	buf_free(&p->attr);
}

/* ---- values */

static int number(struct slice v, uint64_t *ret, struct err **e)
{
	if (!slice_u64(v, ret) || *ret > SIZE_MOST)
		return bad(e, "a number in an extended header is malformed");
	return 0;
}

static int optional(struct slice v, bool *has, uint64_t *ret, struct err **e)
{
	*has = v.n > 0;
	return *has ? number(v, ret, e) : 0;
}

static int text(struct slice v, bool *has, struct buf *ret, struct err **e)
{
	if (v.n && memchr(v.p, 0, v.n))
		return bad(e, "a name in an extended header contains a NUL byte");
	buf_reset(ret);
	buf_slice(ret, v);
	*has = v.n > 0;
	return buf_ok(ret, "a name in a tar", e);
}

/* [-]seconds[.fraction], rounded towards the past as all times here are. */
static int moment(struct slice v, struct pax *p, struct err **e)
{
	bool negative = slice_starts(v, "-");
	struct slice whole = slice_skip(v, negative), fraction = SLICE_NONE;
	uint64_t seconds = 0;
	uint32_t ns = 0;

	p->has_mtime = v.n > 0;
	if (!p->has_mtime)
		return 0;
	slice_cut(whole, '.', &whole, &fraction);
	if (!slice_u64(whole, &seconds) || seconds > INT64_MAX)
		return bad(e, "a time in an extended header is malformed");
	for (size_t i = 0; i < 9; i++) {
		char c = i < fraction.n ? fraction.p[i] : '0';

		if (c < '0' || c > '9')
			return bad(e, "a time in an extended header is malformed");
		ns = ns * 10 + (uint32_t)(c - '0');
	}
	p->mtime = negative ? -(int64_t)seconds : (int64_t)seconds;
	p->mtime_ns = ns;
	if (negative && ns) {
		p->mtime--;
		p->mtime_ns = 1000000000 - ns;
	}
	return 0;
}

/* ---- sparse maps */

int sparse_add(struct sparse *s, uint64_t offset, uint64_t n, struct err **e)
{
	if (++s->count > SPARSE_MOST)
		return err_set(e, ERR_LIMIT, "a sparse file has more than %d segments", SPARSE_MOST);
	if (offset > SIZE_MOST || n > SIZE_MOST - offset || offset < s->end)
		return bad(e, "a sparse map is not in order");
	s->end = offset + n;
	return 0;
}

static int sparse_list(struct sparse *s, struct slice v, struct err **e)
{
	struct slice part = SLICE_NONE;
	uint64_t offset = 0, n = 0;

	while (v.n) {
		if (!slice_cut(v, ',', &part, &v) || number(part, &offset, e) < 0)
			return e && *e ? -1 : bad(e, "a sparse map is malformed");
		slice_cut(v, ',', &part, &v);
		if (number(part, &n, e) < 0 || sparse_add(s, offset, n, e) < 0)
			return -1;
	}
	return 0;
}

static int sparse_record(struct pax *p, const char *key, struct slice v, struct err **e)
{
	struct sparse *s = &p->sparse;
	uint64_t n = 0;

	s->given = true;
	if (strcmp(key, "name") == 0)
		return text(v, &p->has_path, &p->path, e);
	if (strcmp(key, "map") == 0)
		return sparse_list(s, v, e);
	if (number(v, &n, e) < 0)
		return -1;
	if (strcmp(key, "size") == 0 || strcmp(key, "realsize") == 0) {
		s->has_size = true;
		s->size = n;
	} else if (strcmp(key, "numblocks") == 0) {
		s->has_count = true;
		s->announced = n;
	} else if (strcmp(key, "offset") == 0) {
		if (s->has_offset)
			return bad(e, "a sparse map is malformed");
		s->has_offset = true;
		s->offset = n;
	} else if (strcmp(key, "numbytes") == 0) {
		if (!s->has_offset)
			return bad(e, "a sparse map is malformed");
		s->has_offset = false;
		return sparse_add(s, s->offset, n, e);
	} else if (strcmp(key, "major") == 0 && n <= 1) {
		s->in_data = n == 1;
	} else if (strcmp(key, "minor") != 0 || n > 1) {
		return bad(e, "a sparse file of an unknown kind");
	}
	return 0;
}

/* ---- extended attributes */

static int attr_add(struct pax *p, const char *name, const void *value, size_t n, struct err **e)
{
	/* An empty value means "no such attribute" in PAX. */
	if (!xattr_allowed(name) || n == 0)
		return 0;
	if (p->nattr >= countof(p->at) || n > VALUE_MOST || p->attr.n + n > VALUES_MOST + 256 * 256)
		return err_set(e, ERR_LIMIT, "the extended attribute '%s' is over the limits: 64 KiB a value, 128 KiB and 256 a file",
			       name);
	struct pax_attr *a = &p->at[p->nattr++];
	a->name = (uint32_t)p->attr.n;
	buf_add(&p->attr, name, strlen(name) + 1);
	a->value = (uint32_t)p->attr.n;
	a->n = (uint32_t)n;
	buf_add(&p->attr, value, n);
	return buf_ok(&p->attr, "extended attributes of one file", e);
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void url_decode(const char *s, struct buf *out)
{
	for (; *s; s++) {
		int hi = *s == '%' ? hex(s[1]) : -1, lo = hi >= 0 ? hex(s[2]) : -1;

		buf_char(out, lo >= 0 ? (char)(hi << 4 | lo) : *s);
		s += lo >= 0 ? 2 : 0;
	}
}

static int base64_decode(struct slice v, struct buf *out, struct err **e)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits = 0;
	unsigned n = 0;

	for (size_t i = 0; i < v.n && v.p[i] != '='; i++) {
		const char *d = v.p[i] ? strchr(digits, v.p[i]) : NULL;

		if (!d)
			return bad(e, "an extended attribute is malformed");
		bits = bits << 6 | (uint32_t)(d - digits);
		n += 6;
		if (n >= 8) {
			n -= 8;
			buf_char(out, (char)(bits >> n));
		}
	}
	return buf_ok(out, "an extended attribute", e);
}

static int attr_libarchive(struct pax *p, const char *key, struct slice v, struct err **e)
{
	AUTO(buf_freep) struct buf name = BUF_MAX(1024);
	AUTO(buf_freep) struct buf value = BUF_MAX(VALUE_MOST + 1);

	url_decode(key, &name);
	if (name.over || !name.p || strlen(name.p) != name.n)
		return 0;                /* no attribute can have such a name */
	if (base64_decode(v, &value, e) < 0)
		return -1;
	return attr_add(p, name.p, value.p, value.n, e);
}

static int by_name(const void *a, const void *b)
{
	const struct xattr *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	/* Later ones have higher addresses in the buffer, and win. */
	return c ? c : x->value.p < y->value.p ? -1 : 1;
}

/* Revision 2 as it is; revision 3 names the root of a user namespace somewhere else, which says nothing here. */
static int capability(char *p, uint32_t *n, struct err **e)
{
	unsigned revision = (unsigned char)p[3];

	if ((*n == 20 && revision == 2) || (*n == 24 && revision == 3)) {
		p[3] = 2;
		*n = 20;
		return 0;
	}
	return err_set(e, ERR_SOURCE, "the extended attribute 'security.capability' is malformed");
}

int pax_xattrs(struct pax *p, struct xattr *ret, size_t *n, struct err **e)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->nattr; i++) {
		struct pax_attr *a = &p->at[i];

		if (strcmp(p->attr.p + a->name, "security.capability") == 0 && a->n >= 4 &&
		    capability(p->attr.p + a->value, &a->n, e) < 0)
			return -1;
		ret[i] = (struct xattr){ p->attr.p + a->name, { p->attr.p + a->value, a->n } };
	}
	if (p->nattr)
		qsort(ret, p->nattr, sizeof(*ret), by_name);
	for (size_t i = 0; i < p->nattr; i++)
		if (i + 1 == p->nattr || strcmp(ret[i].name, ret[i + 1].name) != 0)
			ret[kept++] = ret[i];
	*n = kept;
	return 0;
}

/* ---- records */

static int record(struct pax *p, const char *key, struct slice v, struct err **e)
{
	if (strcmp(key, "path") == 0)
		/* GNU.sparse.name is the real one. */
		return p->sparse.given && p->has_path ? 0 : text(v, &p->has_path, &p->path, e);
	if (strcmp(key, "linkpath") == 0)
		return text(v, &p->has_link, &p->link, e);
	if (strcmp(key, "size") == 0)
		return optional(v, &p->has_size, &p->size, e);
	if (strcmp(key, "uid") == 0)
		return optional(v, &p->has_uid, &p->uid, e);
	if (strcmp(key, "gid") == 0)
		return optional(v, &p->has_gid, &p->gid, e);
	if (strcmp(key, "mtime") == 0)
		return moment(v, p, e);
	if (strncmp(key, "SCHILY.xattr.", 13) == 0)
		return attr_add(p, key + 13, v.p, v.n, e);
	if (strncmp(key, "LIBARCHIVE.xattr.", 17) == 0)
		return attr_libarchive(p, key + 17, v, e);
	if (strncmp(key, "GNU.sparse.", 11) == 0)
		return sparse_record(p, key + 11, v, e);
	return 0;
}

/* Cut one record off *text. */
static int next_record(struct slice *text, struct slice *key, struct slice *value, struct err **e)
{
	struct slice digits = SLICE_NONE, rest = SLICE_NONE, body;
	uint64_t n = 0;
	struct slice head = { text->p, text->n < 20 ? text->n : 20 };

	if (!slice_cut(head, ' ', &digits, &rest) || !slice_u64(digits, &n) || n > text->n || n < digits.n + 3)
		return bad(e, "an extended header has a record of wrong length");
	body = (struct slice){ text->p + digits.n + 1, n - digits.n - 1 };
	if (body.p[body.n - 1] != '\n')
		return bad(e, "an extended header has a record that does not end in a newline");
	body.n--;
	if (!slice_cut(body, '=', key, value) || key->n == 0)
		return bad(e, "an extended header has a record without a key");
	if (memchr(key->p, 0, key->n))
		return bad(e, "an extended header has a key with a NUL byte");
	*text = slice_skip(*text, n);
	return 0;
}

int pax_parse(struct pax *p, struct slice text, bool global, struct err **e)
{
	AUTO(buf_freep) struct buf name = BUF_MAX(4096);
	struct slice key = SLICE_NONE, value = SLICE_NONE;

	for (unsigned i = 0; text.n; i++) {
		if (i >= RECORDS_MOST)
			return err_set(e, ERR_LIMIT, "an extended header has more than %d records", RECORDS_MOST);
		if (next_record(&text, &key, &value, e) < 0)
			return -1;
		if (global || key.n > 1000)
			continue;
		buf_reset(&name);
		buf_slice(&name, key);
		if (record(p, name.p, value, e) < 0)
			return -1;
	}
	if (p->sparse.has_offset || (p->sparse.has_count && !p->sparse.in_data && p->sparse.announced != p->sparse.count))
		return bad(e, "a sparse map does not have the segments it announces");
	return 0;
}
