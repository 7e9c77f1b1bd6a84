/* layers/tarout.c - the tar writer. One header block per entry, in front of it a PAX header when the block cannot hold a value:
 *
 *   offset size field         form
 *        0  100 name          the path, or what is left of it after the last possible cut; "_" for non-ASCII when PAX has it
 *      100    8 mode          7 octal digits, NUL
 *      108    8 uid           so too; 0 when PAX has it
 *      116    8 gid
 *      124   12 size          11 octal digits, NUL
 *      136   12 mtime
 *      148    8 checksum      6 octal digits, NUL, space
 *      156    1 typeflag
 *      157  100 linkname
 *      257    8 "ustar" NUL "00"
 *      265   64 uname, gname  empty
 *      329   16 major, minor  7 octal digits, NUL; 0 for all but devices
 *      345  155 prefix
 *
 * Rules and test vectors: spec/oci.md 1.6, 8.7.
 */
#include "layers/tarout.h"

#include "base/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum {
	BLOCK = 512,
	SPOOL = 256 << 10,
	NAME = 100,
	PREFIX = 155,
	PAX_MOST = 1 << 20,
};
#define MTIME_MAX ((INT64_C(1) << 33) - 1)
#define SIZE_MAX_OCTAL ((UINT64_C(1) << 33) - 1)
#define ID_MAX ((UINT32_C(1) << 21) - 1)

struct tarout {
	struct sink sink;
	comp_out *out;
	void *arg;
	struct tarout_opts o;
	char *spool;                     /* headers and small files travel in big pieces */
	size_t used;
	uint64_t left;                   /* content of the current file still to come */
	unsigned pad;                    /* zeros behind it */
	struct buf name, pax;
};

/* ---- bytes out */

static int spool_flush(struct tarout *t, struct err **e)
{
	size_t n = t->used;

	t->used = 0;
	return n ? t->out(t->arg, t->spool, n, e) : 0;
}

static int spool_add(struct tarout *t, const void *p, size_t n, struct err **e)
{
	if (t->used + n > SPOOL && spool_flush(t, e) < 0)
		return -1;
	if (n >= SPOOL)
		return t->out(t->arg, p, n, e);
	memcpy(t->spool + t->used, p, n);
	t->used += n;
	return 0;
}

static int spool_zeros(struct tarout *t, size_t n, struct err **e)
{
	static const char zeros[2 * BLOCK];

	return spool_add(t, zeros, n, e);
}

/* ---- header blocks */

static void octal(char *field, unsigned digits, uint64_t v)
{
	for (unsigned i = digits; i-- > 0; v >>= 3)
		field[i] = (char)('0' + (v & 7));
	field[digits] = 0;
}

static bool ascii(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s >= 0x80)
			return false;
	return true;
}

/* For readers that do not know PAX: as much of it as a field holds. */
static void put_cut(char *field, size_t size, const char *s)
{
	for (size_t i = 0; i < size && s[i]; i++)
		field[i] = (unsigned char)s[i] >= 0x80 ? '_' : s[i];
}

/* Name and prefix fields; false when the path needs PAX. */
static bool put_name(char *h, const char *path, size_t n)
{
	if (!ascii(path))
		return false;
	if (n <= NAME) {
		memcpy(h, path, n);
		return true;
	}
	/* The longest prefix whose rest is a name; the slash that ends a directory is no place to cut. */
	size_t i = n - 1 < PREFIX + 1 ? n - 1 : PREFIX + 1;

	while (i > 0 && path[--i] != '/')
		;
	if (i == 0 || n - i - 1 > NAME)
		return false;
	memcpy(h + 345, path, i);
	memcpy(h, path + i + 1, n - i - 1);
	return true;
}

static void seal(char *h, uint32_t major, uint32_t minor)
{
	static const char magic[8] = { 'u', 's', 't', 'a', 'r', '\0', '0', '0' };
	unsigned sum = 0;

	octal(h + 329, 7, major);
	octal(h + 337, 7, minor);
	memcpy(h + 257, magic, sizeof(magic));
	memset(h + 148, ' ', 8);
	for (unsigned i = 0; i < BLOCK; i++)
		sum += (unsigned char)h[i];
	octal(h + 148, 6, sum);
}

static void pax_add(struct buf *b, const char *prefix, const char *key, const void *value, size_t n)
{
	char digits[24];
	size_t body = strlen(prefix) + strlen(key) + n + 3;     /* blank, '=', newline */
	size_t total = body + 1;

	/* The length counts its own digits. */
	while (body + (size_t)snprintf(digits, sizeof(digits), "%zu", total) != total)
		total = body + strlen(digits);
	buf_printf(b, "%zu %s%s=", total, prefix, key);
	buf_add(b, value, n);
	buf_char(b, '\n');
}

static void pax_number(struct buf *b, const char *key, int64_t v)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%" PRId64, v);

	pax_add(b, "", key, text, (size_t)n);
}

static int pax_write(struct tarout *t, struct err **e)
{
	char h[BLOCK] = { 0 };
	AUTO(buf_freep) struct buf name = BUF_MAX(8192);
	size_t n = t->name.n && t->name.p[t->name.n - 1] == '/' ? t->name.n - 1 : t->name.n;
	size_t base = n;

	if (buf_ok(&t->pax, "extended attributes of one entry", e) < 0)
		return -1;
	while (base > 0 && t->name.p[base - 1] != '/')
		base--;
	buf_str(&name, "PaxHeaders.0/");
	buf_add(&name, t->name.p + base, n - base);
	put_cut(h, NAME, name.p);
	octal(h + 100, 7, 0644);
	octal(h + 108, 7, 0);
	octal(h + 116, 7, 0);
	octal(h + 124, 11, t->pax.n);
	octal(h + 136, 11, 0);
	h[156] = 'x';
	seal(h, 0, 0);
	if (spool_add(t, h, BLOCK, e) < 0 || spool_add(t, t->pax.p, t->pax.n, e) < 0)
		return -1;
	return spool_zeros(t, -t->pax.n % BLOCK, e);
}

/* ---- entries */

static int set_name(struct tarout *t, const struct entry *en, struct err **e)
{
	const char *slash = strrchr(en->path, '/');
	const char *base = slash ? slash + 1 : en->path;

	buf_reset(&t->name);
	buf_add(&t->name, en->path, strlen(en->path));
	if (en->type == ENTRY_OPAQUE) {
		buf_str(&t->name, en->path[0] ? "/.wh..wh..opq" : ".wh..wh..opq");
	} else if (en->type == ENTRY_WHITEOUT) {
		t->name.n = (size_t)(base - en->path);
		buf_printf(&t->name, ".wh.%s", base);
	} else if (!t->o.plain && (strncmp(en->path, ".wh.", 4) == 0 || strstr(en->path, "/.wh."))) {
		err_set(e, ERR_STEP, "'/%s' has a name that image layers use to mark deleted files", en->path);
		return err_hint(e, "names that begin with '.wh.' cannot be stored in an image; rename or remove it in the same step");
	} else if (en->type == ENTRY_DIR) {
		buf_str(&t->name, en->path[0] ? "/" : "./");
	}
	return buf_ok(&t->name, "a path in a layer", e);
}

/* Records come sorted: SCHILY.xattr.*, gid, linkpath, mtime, path, size, uid. */
static void fill_header(struct tarout *t, const struct entry *en, char *h)
{
	bool marker = en->type == ENTRY_WHITEOUT || en->type == ENTRY_OPAQUE;
	int64_t mtime = marker ? 0 : en->mtime < t->o.clamp_mtime && !t->o.set_mtime ? en->mtime : t->o.clamp_mtime;
	uint32_t uid = marker ? 0 : en->uid, gid = marker ? 0 : en->gid;
	uint64_t size = en->type == ENTRY_FILE ? en->size : 0;
	bool mtime_fits = mtime >= 0 && mtime <= MTIME_MAX;

	for (size_t i = 0; !marker && i < en->nxattr; i++)
		/* An empty value cannot be told from "delete this key". */
		if (en->xattr[i].value.n && xattr_allowed(en->xattr[i].name))
			pax_add(&t->pax, "SCHILY.xattr.", en->xattr[i].name, en->xattr[i].value.p, en->xattr[i].value.n);
	if (gid > ID_MAX)
		pax_number(&t->pax, "gid", gid);
	if (en->link && en->type != ENTRY_FILE) {
		size_t n = strlen(en->link);

		put_cut(h + 157, NAME, en->link);
		if (n > NAME || !ascii(en->link))
			pax_add(&t->pax, "", "linkpath", en->link, n);
	}
	if (!mtime_fits)
		pax_number(&t->pax, "mtime", mtime);
	if (!put_name(h, t->name.p, t->name.n)) {
		put_cut(h, NAME, t->name.p);
		pax_add(&t->pax, "", "path", t->name.p, t->name.n);
	}
	if (size > SIZE_MAX_OCTAL)
		pax_number(&t->pax, "size", (int64_t)size);
	if (uid > ID_MAX)
		pax_number(&t->pax, "uid", uid);

	octal(h + 100, 7, marker ? 0 : en->mode & 07777);
	octal(h + 108, 7, uid > ID_MAX ? 0 : uid);
	octal(h + 116, 7, gid > ID_MAX ? 0 : gid);
	octal(h + 124, 11, size > SIZE_MAX_OCTAL ? 0 : size);
	octal(h + 136, 11, mtime_fits ? (uint64_t)mtime : 0);
	h[156] = marker ? '0' : (char)en->type;
}

static int tarout_entry(struct sink *k, const struct entry *en, struct err **e)
{
	struct tarout *t = container_of(k, struct tarout, sink);
	bool device = en->type == ENTRY_CHAR || en->type == ENTRY_BLOCK;
	char h[BLOCK] = { 0 };

	assert(t->left == 0);
	if (device && (en->major > ID_MAX || en->minor > ID_MAX))
		return err_set(e, ERR_STEP, "'/%s' has a device number that a layer cannot hold: %u:%u", en->path, en->major,
			       en->minor);
	if (set_name(t, en, e) < 0)
		return -1;
	buf_reset(&t->pax);
	fill_header(t, en, h);
	seal(h, device ? en->major : 0, device ? en->minor : 0);
	if (t->pax.n && pax_write(t, e) < 0)
		return -1;
	t->left = en->type == ENTRY_FILE ? en->size : 0;
	t->pad = (unsigned)(-t->left % BLOCK);
	return spool_add(t, h, BLOCK, e);
}

static int tarout_data(struct sink *k, const void *p, size_t n, struct err **e)
{
	struct tarout *t = container_of(k, struct tarout, sink);

	assert(n <= t->left);
	t->left -= n;
	if (spool_add(t, p, n, e) < 0)
		return -1;
	return t->left == 0 ? spool_zeros(t, t->pad, e) : 0;
}

static int tarout_end(struct sink *k, struct err **e)
{
	struct tarout *t = container_of(k, struct tarout, sink);

	assert(t->left == 0);
	return spool_zeros(t, 2 * BLOCK, e) < 0 ? -1 : spool_flush(t, e);
}

static void tarout_free(struct sink *k)
{
	struct tarout *t = container_of(k, struct tarout, sink);

	mem_freep(&t->spool);
	buf_free(&t->name);
	buf_free(&t->pax);
	mem_freep(&t);
}

struct sink *tarout_new(comp_out *out, void *arg, const struct tarout_opts *o)
{
	static const struct sink_ops ops = { tarout_entry, tarout_data, tarout_end, tarout_free };
	struct tarout *t = mem_zalloc(sizeof(*t));

	t->sink.ops = &ops;
	t->out = out;
	t->arg = arg;
	t->o = *o;
	t->spool = mem_alloc(SPOOL);
	t->name = (struct buf)BUF_MAX(8192);
	t->pax = (struct buf)BUF_MAX(PAX_MOST);
	return &t->sink;
}
