/* registry/tree.c - see tree.h. */
#include "registry/tree.h"

#include "base/at.h"
#include "base/mem.h"
#include "base/stream.h"
#include "base/tmp.h"
#include "layers/tarin.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { MEMBERS_MAX = 100000, SMALL = 8 << 20, PIECE = 256 << 10 };
#define ARCHIVE_MAX (UINT64_C(128) << 30)

struct member {
	char *path;
	char *link;                      /* cleaned path of what it points at; NULL for a file */
	struct tree_member m;
};
struct tree {
	int root;                        /* an OCI directory; -1: a tar */
	int dir;
	const struct transfer_calls *c;
	struct member *member;
	size_t n, cap;
};

void tree_free(struct tree *t)
{
	if (!t)
		return;
	fd_closep(&t->root);
	for (size_t i = 0; i < t->n; i++) {
		free(t->member[i].path);
		free(t->member[i].link);
	}
	free(t->member);
	free(t);
}

void tree_freep(struct tree **t)
{
	tree_free(*t);
}

int tree_open_dir(int take_root, int dir, const struct transfer_calls *c, struct tree **ret, struct err **e)
{
	struct tree *t = mem_zalloc(sizeof(*t));

	(void)e;
	*t = (struct tree){ .root = take_root, .dir = dir, .c = c };
	*ret = t;
	return 0;
}

/* ---- a tar, front to back */

/* "blobs/sha256/<hex>" says what is in it. */
static bool blob_name(const char *path, struct digest *ret)
{
	struct slice s = slice_of(path);

	return slice_starts(s, "blobs/sha256/") && digest_parse_hex(slice_skip(s, 13), ret) == 0;
}

static int content(struct tree *t, struct entries *in, const struct entry *en, struct tree_member *m, struct err **e)
{
	AUTO(mem_freep) char *piece = mem_alloc(PIECE);
	AUTO(tmp_rollback) struct tmp file = TMP_NONE;
	AUTO(hasher_freep) struct hasher *h = hasher_new();
	struct digest said;
	char hex[DIGEST_HEX + 1];
	uint64_t done = 0;
	ssize_t got = 0;
	bool named = blob_name(en->path, &said);

	m->size = (int64_t)en->size;
	m->known = named && en->size > SMALL && t->c->have && t->c->have(t->c->arg, &said, m->size);
	if (!m->known && tmp_open(&file, t->dir, e) < 0)
		return -1;
	while ((got = entries_data(in, piece, PIECE, e)) > 0) {
		for (size_t i = 0; done == 0 && i < sizeof(m->head) && i < (size_t)got; i++)
			m->head[i] = (unsigned char)piece[i];
		hasher_add(h, piece, (size_t)got);
		if (!m->known && fd_write_all(file.fd, piece, (size_t)got, e) < 0)
			return -1;
		done += (uint64_t)got;
		if (named && t->c->progress && en->size > SMALL)
			t->c->progress(t->c->arg, &said, done, en->size);
	}
	if (got < 0)
		return -1;
	hasher_end(h, &m->digest);
	if (named && !digest_equal(&said, &m->digest))
		return err_set(e, ERR_SOURCE, "the member '%s' has the digest %s: refusing to use it", en->path,
			       digest_text(&m->digest).s);
	digest_hex(&m->digest, hex);
	return m->known ? 0 : tmp_commit(&file, t->dir, hex, TMP_KEEP, 0444, e);
}

/* Where a link inside the archive points: relative to its own directory (symbolic) or to the top (hard). */
static int link_target(const struct entry *en, char **ret, struct err **e)
{
	AUTO(buf_freep) struct buf whole = BUF_MAX(16 << 10);
	AUTO(buf_freep) struct buf clean = BUF_MAX(8 << 10);
	const char *slash = strrchr(en->path, '/');

	if (en->type == ENTRY_SYMLINK && slash && en->link[0] != '/')
		buf_printf(&whole, "%.*s/", (int)(slash - en->path), en->path);
	buf_str(&whole, en->link);
	/* ".." above the top stays at the top: what is found there is still a member of this archive, or nothing. */
	if (entry_path_clean(buf_view(&whole), true, &clean, e) < 0)
		return -1;
	*ret = buf_steal(&clean);
	return 0;
}

static int add(struct tree *t, struct entries *in, const struct entry *en, struct err **e)
{
	struct member m = { 0 };

	if (en->type == ENTRY_DIR)
		return 0;
	if (t->n == MEMBERS_MAX)
		return err_set(e, ERR_LIMIT, "the archive has more than %d members", MEMBERS_MAX);
	if (en->type == ENTRY_SYMLINK || en->type == ENTRY_LINK) {
		if (link_target(en, &m.link, e) < 0)
			return -1;
	} else if (en->type != ENTRY_FILE) {
		return err_set(e, ERR_SOURCE, "the member '%s' is neither a file nor a directory", en->path);
	} else if (content(t, in, en, &m.m, e) < 0) {
		return -1;
	}
	m.path = mem_str(en->path);
	MEM_ROOM(t->member, t->n, t->cap);
	t->member[t->n++] = m;
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct member *)a)->path, ((const struct member *)b)->path);
}

static int sort(struct tree *t, struct err **e)
{
	if (t->n)
		qsort(t->member, t->n, sizeof(*t->member), by_path);
	for (size_t i = 1; i < t->n; i++) {
		if (strcmp(t->member[i - 1].path, t->member[i].path) == 0)
			return err_set(e, ERR_SOURCE, "the member '%s' is there twice", t->member[i].path);
	}
	return 0;
}

int tree_open_tar(struct stream *take, int dir, const struct transfer_calls *c, struct tree **ret, struct err **e)
{
	AUTO(tree_freep) struct tree *t = mem_zalloc(sizeof(*t));
	const struct tarin_opts o = { .mode = TAR_PLAIN, .max_bytes = ARCHIVE_MAX };
	struct entries *in = NULL;
	const struct entry *en = NULL;
	int rc = 0;

	*t = (struct tree){ .root = -1, .dir = dir, .c = c };
	if (tarin_new(take, &o, &in, e) < 0)
		return -1;
	while ((rc = entries_next(in, &en, e)) > 0) {
		if ((rc = add(t, in, en, e)) < 0)
			break;
	}
	if (rc < 0)
		entries_drop(&in);
	else
		rc = entries_close(in, e);
	if (rc < 0 || sort(t, e) < 0)
		return -1;
	*ret = take(&t);
	return 0;
}

static const struct member *find(const struct tree *t, const char *path)
{
	struct member key = { .path = (char *)(uintptr_t)path };

	return t->n ? bsearch(&key, t->member, t->n, sizeof(key), by_path) : NULL;
}

int tree_member(const struct tree *t, const char *path, struct tree_member *ret, struct err **e)
{
	AUTO(buf_freep) struct buf clean = BUF_MAX(8 << 10);

	if (entry_path_clean(slice_of(path), false, &clean, e) < 0)
		return -1;
	const struct member *m = find(t, clean.p);
	if (m && m->link)
		m = find(t, m->link);
	if (!m)
		return TREE_MISS;
	if (m->link)
		return err_set(e, ERR_SOURCE, "the member '%s' is a link to a link", path);
	*ret = m->m;
	return 0;
}

/* ---- both kinds */

bool tree_has(const struct tree *t, const char *path)
{
	struct stat st;

	if (t->root >= 0)
		return at_stat(t->root, path, &st, NULL) == 0 && S_ISREG(st.st_mode);
	const struct member *m = find(t, path);
	return m && !m->link;
}

/* A regular file of the directory, no link on its way (P1, P7); TREE_MISS. What else it is, is the layout's fault. */
static int open_file(const struct tree *t, const char *path, int *ret, struct err **e)
{
	AUTO(fd_closep) int fd = -1;
	struct stat st;
	int rc = at_try_store(t->root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, &fd, e);

	if (rc != 0)
		return rc < 0 ? err_kind_set(e, ERR_SOURCE) : TREE_MISS;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, ERR_SOURCE, "'%s' is not a regular file", path);
	*ret = fd_take(&fd);
	return 0;
}

int tree_doc(struct tree *t, const char *path, struct buf *out, struct err **e)
{
	struct tree_member m = { 0 };
	char hex[DIGEST_HEX + 1];
	int rc = 0;

	if (t->root >= 0) {
		AUTO(fd_closep) int fd = -1;

		rc = open_file(t, path, &fd, e);
		if (rc != 0)
			return rc;
		return fd_read_all(fd, out, e) < 0 ? err_wrap(e, "cannot read '%s'", path) : 0;
	}
	rc = tree_member(t, path, &m, e);
	if (rc != 0)
		return rc;
	if ((uint64_t)m.size > out->max)
		return err_set(e, ERR_LIMIT, "'%s' has %jd bytes; %zu are allowed", path, (intmax_t)m.size, out->max);
	digest_hex(&m.digest, hex);
	rc = at_read(t->dir, hex, out, e);
	return rc == AT_MISSING ? TREE_MISS : rc;
}

static void blob_path(const struct digest *d, char ret[80])
{
	char hex[DIGEST_HEX + 1];

	digest_hex(d, hex);
	snprintf(ret, 80, "blobs/sha256/%s", hex);
}

int tree_blob_doc(struct tree *t, const struct digest *d, int64_t size, struct buf *out, struct err **e)
{
	char path[80];
	struct digest have;

	blob_path(d, path);
	int rc = tree_doc(t, path, out, e);
	if (rc != 0)
		return rc;
	digest_of(out->p, out->n, &have);
	if (!digest_equal(&have, d) || (size >= 0 && out->n != (uint64_t)size))
		return err_set(e, ERR_SOURCE, "'%s' has %zu bytes with the digest %s: refusing to use it", path, out->n,
			       digest_text(&have).s);
	return 0;
}

/* From the directory into dir, verified on the way. */
static int copy(struct tree *t, const char *path, int take_fd, const struct digest *d, int64_t size, struct err **e)
{
	AUTO(tmp_rollback) struct tmp file = TMP_NONE;
	AUTO(mem_freep) char *piece = mem_alloc(PIECE);
	struct stream *in = stream_verify(stream_fd(take_fd, path), d, size);
	char hex[DIGEST_HEX + 1];
	uint64_t done = 0;
	ssize_t got = 1;
	int rc = tmp_open(&file, t->dir, e);

	while (rc == 0 && got > 0) {
		got = stream_read(in, piece, PIECE, e);
		if (got < 0 || (got > 0 && fd_write_all(file.fd, piece, (size_t)got, e) < 0))
			rc = -1;
		done += got > 0 ? (uint64_t)got : 0;
		if (t->c->progress)
			t->c->progress(t->c->arg, d, done, size < 0 ? 0 : (uint64_t)size);
	}
	if (rc < 0) {
		stream_drop(&in);
		return -1;
	}
	digest_hex(d, hex);
	if (stream_close(in, e) < 0)
		return -1;
	return tmp_commit(&file, t->dir, hex, TMP_KEEP, 0444, e);
}

int tree_blob(struct tree *t, const struct digest *d, int64_t size, struct err **e)
{
	AUTO(fd_closep) int fd = -1;
	struct tree_member m = { 0 };
	char path[80];

	blob_path(d, path);
	if (t->root < 0) {
		int rc = tree_member(t, path, &m, e);

		if (rc == 0 && size >= 0 && m.size != size)
			return err_set(e, ERR_SOURCE, "'%s' has %jd bytes, its manifest says %jd", path, (intmax_t)m.size, (intmax_t)size);
		if (rc == 0 && !digest_equal(&m.digest, d))      /* a link with a blob's name to another blob */
			return err_set(e, ERR_SOURCE, "'%s' has the digest %s: refusing to use it", path, digest_text(&m.digest).s);
		if (rc != TREE_MISS)
			return rc;
	} else if (!(t->c->have && t->c->have(t->c->arg, d, size))) {
		int rc = open_file(t, path, &fd, e);

		if (rc != 0)
			return rc;
		return copy(t, path, fd_take(&fd), d, size, e);
	}
	return t->c->have && t->c->have(t->c->arg, d, size) ? 0 : TREE_MISS;
}
