/* layers/tarin.c - a tar as entries. What an entry is comes from layers/tarhead.c, which is strict, and so does the content of a
 * plain file. Sparse files come from libarchive, which knows all kinds of their maps. It is shown the headers and data of such
 * files only, one at a time, so it cannot see an end, a link or another entry differently from us; and both must agree on the
 * size. Names it cannot convert to the locale are warnings of it: names are not taken from it, so these, and no other warning,
 * are passed over (spec/threats.md E3, E6).
 */
#include "layers/tarin.h"

#include "base/mem.h"
#include "layers/tarhead.h"

#include <archive.h>
#include <archive_entry.h>
#include <dlfcn.h>
#include <errno.h>

enum { ENTRIES_DEFAULT = 4000000, PATH_MOST = 4095 };
#define BYTES_DEFAULT (UINT64_C(64) << 30)

/* Opened at the first sparse file, which few layers have: libarchive brings eight more libraries, which were most of the start of
 * this program and of each page table that a worker copies.
 */
#define ARCHIVE_SYMBOLS(X)                                                                                            \
	X(error_string) X(set_error) X(read_new) X(read_support_format_tar) X(read_open) X(read_next_header)           \
	X(read_data_block) X(read_free) X(entry_filetype) X(entry_size)

struct archive_lib {
#define X(name) __typeof__(archive_##name) *name;
	ARCHIVE_SYMBOLS(X)
#undef X
};

struct tarin {
	struct entries s;
	struct tarheads *heads;
	struct tarhead h;
	struct tarin_opts o;
	struct buf path, link;
	struct entry en;
	uint64_t number, bytes;          /* entries so far, and what they hold */
	bool done;
	struct archive_lib lib;
	struct archive *a;               /* opened by the first sparse file */
	struct err *raw_err;             /* why the bytes for it ended */
	uint64_t at;                     /* position in the current file */
	const char *piece;               /* of it, not given yet */
	uint64_t piece_at;
	size_t piece_n;
	bool in_archive;                 /* libarchive is at the current file */
};

/* ---- libarchive's view */

static la_ssize_t feed_archive(struct archive *a, void *arg, const void **ret)
{
	struct tarin *t = arg;
	ssize_t n = tarheads_raw(t->heads, ret, t->raw_err ? NULL : &t->raw_err);

	if (n < 0)
		t->lib.set_error(a, EIO, "no more bytes");
	return n;
}

static int archive_bad(struct tarin *t, const char *what, struct err **e)
{
	const char *text = t->a ? t->lib.error_string(t->a) : NULL;

	if (t->raw_err) {
		if (e)
			*e = take(&t->raw_err);
		return -1;
	}
	return err_set(e, ERR_SOURCE, "%s: %s", what, text ? text : "unknown error");
}

static bool acceptable(struct tarin *t, int rc)
{
	const char *text = t->lib.error_string(t->a);

	return rc == ARCHIVE_OK || (rc == ARCHIVE_WARN && text && strstr(text, "can't be converted"));
}

static void *archive_load(struct err **e)
{
	void *so = dlopen("libarchive.so.13", RTLD_NOW | RTLD_LOCAL);

	if (!so) {
		err_set(e, ERR_HOST, "cannot load libarchive, which reads sparse files: %s", dlerror());
		err_hint(e, "install the package libarchive13");
	}
	return so;
}

/* A library that is loaded is found again without looking for its file. */
int tarin_prepare(struct err **e)
{
	return archive_load(e) ? 0 : -1;
}

static int archive_open(struct tarin *t, struct err **e)
{
	void *so = archive_load(e);

	if (!so)
		return -1;
#define X(fn)                                                                                 \
	t->lib.fn = (__typeof__(t->lib.fn))dlsym(so, "archive_" #fn);                          \
	if (!t->lib.fn)                                                                        \
		return err_set(e, ERR_HOST, "libarchive has no function archive_" #fn);
	ARCHIVE_SYMBOLS(X)
#undef X
	return 0;
}

static int archive_start(struct tarin *t, struct err **e)
{
	struct archive_entry *ae = NULL;

	if (!t->a) {
		if (archive_open(t, e) < 0)
			return -1;
		t->a = t->lib.read_new();
		if (!t->a)
			mem_out(0);
		if (t->lib.read_support_format_tar(t->a) != ARCHIVE_OK ||
		    t->lib.read_open(t->a, t, NULL, feed_archive, NULL) != ARCHIVE_OK)
			return archive_bad(t, "cannot read the tar", e);
	}
	if (!acceptable(t, t->lib.read_next_header(t->a, &ae)))
		return archive_bad(t, "a header is malformed", e);
	if (t->lib.entry_filetype(ae) != AE_IFREG || t->lib.entry_size(ae) != (la_int64_t)t->h.size)
		return err_set(e, ERR_SOURCE, "a header can be read in two ways");
	return 0;
}

/* The next piece of a sparse file; 0 at its end. */
static int archive_piece(struct tarin *t, struct err **e)
{
	const void *p = NULL;
	size_t n = 0;
	la_int64_t at = 0;

	do {
		int rc = t->lib.read_data_block(t->a, &p, &n, &at);

		if (rc == ARCHIVE_EOF) {
			t->piece_at = t->h.size;
			t->piece_n = 0;
			return 0;
		}
		if (rc != ARCHIVE_OK)
			return archive_bad(t, "a file cannot be read", e);
	} while (n == 0);
	if (at < 0 || (uint64_t)at < t->at || (uint64_t)at > t->h.size || n > t->h.size - (uint64_t)at)
		return err_set(e, ERR_SOURCE, "a sparse map is not in order");
	t->piece = p;
	t->piece_at = (uint64_t)at;
	t->piece_n = n;
	return 1;
}

/* ---- content */

static int next_piece(struct tarin *t, struct err **e)
{
	const void *p = NULL;

	if (t->h.sparse) {
		if (!t->in_archive && archive_start(t, e) < 0)
			return -1;
		t->in_archive = true;
		return archive_piece(t, e);
	}
	ssize_t n = tarheads_data(t->heads, &p, e);
	if (n < 0)
		return -1;
	t->piece = p;
	t->piece_n = (uint64_t)n < t->h.size - t->at ? (size_t)n : (size_t)(t->h.size - t->at);
	return 1;
}

static ssize_t tarin_data(struct entries *s, void *p, size_t n, struct err **e)
{
	struct tarin *t = container_of(s, struct tarin, s);

	if (t->at >= t->h.size || t->h.type != '0' || n == 0)
		return 0;
	if (t->piece_n == 0 && t->at >= t->piece_at && next_piece(t, e) < 0)
		return -1;
	if (t->at < t->piece_at) {       /* a hole */
		if (n > t->piece_at - t->at)
			n = (size_t)(t->piece_at - t->at);
		memset(p, 0, n);
	} else {
		if (n > t->piece_n)
			n = t->piece_n;
		memcpy(p, t->piece, n);
		t->piece += n;
		t->piece_n -= n;
		t->piece_at += n;
	}
	t->at += n;
	return (ssize_t)n;
}

/* A sparse file, to its end: libarchive must have seen all of it, padding too, before the next header. */
static int finish_file(struct tarin *t, struct err **e)
{
	if (!t->in_archive)
		return 0;
	int rc = 1;
	t->piece_n = 0;
	while (rc == 1) {
		t->at = t->piece_at + t->piece_n;
		rc = archive_piece(t, e);
	}
	t->in_archive = false;
	return rc;
}

/* ---- entries */

static int clean(struct tarin *t, const struct buf *raw, struct buf *to, struct err **e)
{
	if (raw->n == 0)
		return err_set(e, ERR_SOURCE, "a name is empty");
	return entry_path_clean(buf_view(raw), t->o.mode == TAR_PLAIN, to, e);
}

enum { KEEP, DROP };

/* Names beginning ".wh.": KEEP, DROP or -1 (E15, E16). */
static int whiteout(struct tarin *t, struct err **e)
{
	struct entry *en = &t->en;
	char *p = t->path.p, *base = strrchr(p, '/');
	static const char aufs[] = ".wh..wh.";

	base = base ? base + 1 : p;
	for (char *c = p; c < base; c = strchr(c, '/') + 1) {
		if (strncmp(c, aufs, 8) == 0)
			return DROP;
		if (strncmp(c, ".wh.", 4) == 0)
			return err_set(e, ERR_SOURCE, "a whiteout is used as a directory");
	}
	if (strncmp(base, ".wh.", 4) != 0)
		return KEEP;
	bool opaque = strcmp(base, ".wh..wh..opq") == 0;
	if (!opaque && strncmp(base, aufs, 8) == 0)
		return DROP;
	if (en->type != ENTRY_FILE)
		return err_set(e, ERR_SOURCE, "a whiteout is not a regular file");
	if (!opaque && (!base[4] || strcmp(base + 4, ".") == 0 || strcmp(base + 4, "..") == 0))
		return err_set(e, ERR_SOURCE, "a whiteout names nothing");
	en->type = opaque ? ENTRY_OPAQUE : ENTRY_WHITEOUT;
	en->mode = en->uid = en->gid = en->mtime_ns = 0;
	en->mtime = 0;
	en->nxattr = 0;
	if (opaque)
		base[base > p ? -1 : 0] = 0;
	else
		memmove(base, base + 4, strlen(base + 4) + 1);
	return KEEP;
}

static int link_target(struct tarin *t, struct err **e)
{
	const char *base;

	if (t->h.link.n == 0)
		return err_set(e, ERR_SOURCE, "a link has no target");
	if (t->h.link.n > PATH_MOST || memchr(t->h.link.p, 0, t->h.link.n))
		return err_set(e, ERR_SOURCE, "a link target is longer than 4095 bytes");
	if (t->h.type == '2') {
		t->en.link = t->h.link.p;
		return 0;
	}
	if (clean(t, &t->h.link, &t->link, e) < 0)
		return -1;
	t->en.link = t->link.p;
	base = strrchr(t->en.link, '/');
	base = base ? base + 1 : t->en.link;
	if (t->o.mode == TAR_LAYER && strncmp(base, ".wh.", 4) == 0)
		return err_set(e, ERR_SOURCE, "a hard link names a whiteout");
	if (!*t->en.link || strcmp(t->en.link, t->en.path) == 0)
		return err_set(e, ERR_SOURCE, "a hard link names itself or the root");
	return 0;
}

static int take_entry(struct tarin *t, struct err **e)
{
	uint64_t max = t->o.max_content;
	const struct tarhead *h = &t->h;

	if (clean(t, &h->path, &t->path, e) < 0)
		return -1;
	if (h->size > max - t->bytes && t->o.much)
		*t->o.much = true;
	if (h->size > max - t->bytes)
		return err_set(e, ERR_LIMIT, "the archive holds more than %ju bytes", (uintmax_t)max);
	t->bytes += h->size;
	t->en = (struct entry){
		.type = (enum entry_type)h->type,
		.path = t->path.p,
		.mode = h->mode,
		.uid = h->uid,
		.gid = h->gid,
		.mtime = h->mtime,
		.mtime_ns = h->mtime_ns,
		.size = h->type == '0' ? h->size : 0,
		.xattr = h->xattr,
		.nxattr = h->nxattr,
	};
	if (t->path.n == 0 && h->type != '5')
		return err_set(e, ERR_SOURCE, "the root is not a directory");
	if (h->type == '3' || h->type == '4') {
		if (t->o.devices)
			++*t->o.devices;
		return DROP;
	}
	if ((h->type == '1' || h->type == '2') && link_target(t, e) < 0)
		return -1;
	return t->o.mode == TAR_LAYER ? whiteout(t, e) : KEEP;
}

static int name_error(struct tarin *t, struct err **e)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(1024);

	/* Its header may be wrong before the name is known. */
	if (!t->h.path.n)
		return err_wrap(e, "entry %ju of the tar", (uintmax_t)t->number);
	buf_escaped(&text, buf_view(&t->h.path), 200);
	return err_wrap(e, "entry %ju of the tar, '%.*s'", (uintmax_t)t->number, SLICE_F(buf_view(&text)));
}

static int tarin_next(struct entries *s, const struct entry **ret, struct err **e)
{
	struct tarin *t = container_of(s, struct tarin, s);
	int rc = DROP;

	if (t->done)
		return 0;
	while (rc == DROP) {
		if (finish_file(t, e) < 0)
			return name_error(t, e);
		t->number++;
		buf_reset(&t->h.path);
		rc = tarheads_next(t->heads, &t->h, e);
		if (rc == 0)
			t->done = true;
		if (rc <= 0)
			return rc < 0 ? name_error(t, e) : 0;
		if (t->number > t->o.max_entries) {
			if (t->o.many)
				*t->o.many = true;
			return err_set(e, ERR_LIMIT, "the archive has more than %ju entries", (uintmax_t)t->o.max_entries);
		}
		t->at = t->piece_at = 0;
		t->piece_n = 0;
		rc = take_entry(t, e);
		if (rc < 0)
			return name_error(t, e);
	}
	*ret = &t->en;
	return 1;
}

static int tarin_close(struct entries *s, struct err **e)
{
	struct tarin *t = container_of(s, struct tarin, s);

	if (t->a)
		t->lib.read_free(t->a);
	err_free(t->raw_err);
	tarhead_clear(&t->h);
	buf_free(&t->path);
	buf_free(&t->link);
	int rc = tarheads_close(t->heads, e);
	mem_freep(&t);
	return rc;
}

int tarin_new(struct stream *take, const struct tarin_opts *o, struct entries **ret, struct err **e)
{
	static const struct entries_ops ops = { tarin_next, tarin_data, tarin_close };
	struct tarin *t = mem_zalloc(sizeof(*t));

	t->s.ops = &ops;
	t->o = *o;
	if (!t->o.max_bytes)
		t->o.max_bytes = BYTES_DEFAULT;
	if (!t->o.max_content)
		t->o.max_content = t->o.max_bytes;
	if (!t->o.max_entries)
		t->o.max_entries = ENTRIES_DEFAULT;
	t->heads = tarheads_new(stream_limit(take, t->o.max_bytes, "a decompressed archive"));
	t->path = t->link = (struct buf)BUF_MAX(8192);
	t->h.path = t->h.link = (struct buf)BUF_MAX(1 << 20);
	*ret = &t->s;
	return 0;
}

bool tar_magic(const unsigned char *p, size_t n)
{
	if (n < 512)
		return false;
	for (size_t i = 0; i < 512; i++)
		if (p[i])
			return tarhead_block(p);
	return true;                     /* an empty archive */
}
