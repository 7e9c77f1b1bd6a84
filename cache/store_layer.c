/* cache/store_layer.c - unpacked layers and listings (spec/oci.md 7.4, T7, T8).
 *
 *   layers/<flavour>/<diff>/meta.json   sealed and stamped: diff, blob, bytes, entries, made, leans, flavour, tool
 *   layers/<flavour>/<diff>/fs/         the tree
 * The directory alone means nothing: without a valid meta.json the layer does not exist.
 */
#include "base/mem.h"
#include "base/tmp.h"
#include "cache/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

void store_layer_path_of(const char *flavour, const struct digest *diff, char ret[160])
{
	char hex[DIGEST_HEX + 1];

	digest_hex(diff, hex);
	snprintf(ret, 160, "layers/%s/%s", flavour, hex);
}

void store_layer_path(const struct store *s, const struct digest *diff, char ret[160])
{
	store_layer_path_of(s->flavour, diff, ret);
}

int store_layer_meta(struct store *s, const char *path, const struct digest *diff, struct layer_meta *ret,
		     struct err **e)
{
	AUTO(mem_freep) char *meta = mem_printf("%s/meta.json", path);
	AUTO(mem_freep) char *tree = mem_printf("%s/fs", path);
	AUTO(jval_freep) struct jval *v = NULL;
	AUTO(fd_closep) int fs = -1;
	struct layer_meta m = { 0 };
	int64_t bytes = 0, entries = 0;

	int rc = sealed_read(s, meta, &v, e);
	if (rc != 0)
		return rc;
	if (!jval_get_digest(v, "diff", &m.diff) || !jval_get_digest(v, "blob", &m.blob) ||
	    !digest_equal(&m.diff, diff) || jval_get_int(v, "bytes", &bytes, NULL) < 0 ||
	    jval_get_int(v, "entries", &entries, NULL) < 0 || jval_get_bool(v, "made", &m.made_here, NULL) < 0 ||
	    jval_get_bool(v, "leans", &m.leans, NULL) < 0 ||
	    !stamp_good(s, v))
		return SEALED_BAD;
	rc = at_try_store(s->fd, tree, O_PATH | O_DIRECTORY | O_NOFOLLOW, &fs, e);
	if (rc != 0)
		return rc < 0 ? -1 : SEALED_BAD;
	m.bytes = (uint64_t)bytes;
	m.entries = (uint64_t)entries;
	*ret = m;
	return 0;
}

int store_layer_find(struct store *s, const struct digest *diff, struct layer_meta *ret, struct err **e)
{
	struct layer_meta m;
	char path[160];

	store_layer_path(s, diff, path);
	bool pinned = store_pinned(s, PIN_LAYER, diff);
	int rc = store_layer_meta(s, path, diff, &m, e);
	if (rc != 0)
		return rc < 0 ? -1 : STORE_MISS;
	/* Look again after the pin, as for blobs. */
	if (!pinned) {
		if (store_pin(s, PIN_LAYER, diff, e) < 0)
			return -1;
		rc = store_layer_meta(s, path, diff, &m, e);
	}
	if (rc == 0 && ret)
		*ret = m;
	return rc < 0 ? -1 : rc == 0 ? 0 : STORE_MISS;
}

static int write_meta(struct store *s, const char *tmp_path, const struct layer_meta *m, struct err **e)
{
	AUTO(jval_freep) struct jval *v = jval_obj();
	AUTO(mem_freep) char *path = mem_printf("%s/meta.json", tmp_path);

	jval_set_digest(v, "diff", &m->diff);
	jval_set_digest(v, "blob", &m->blob);
	jval_set_int(v, "bytes", (int64_t)m->bytes);
	jval_set_int(v, "entries", (int64_t)m->entries);
	jval_set_bool(v, "made", m->made_here);
	jval_set_bool(v, "leans", m->leans);
	jval_set_str(v, "flavour", s->flavour);
	jval_set_str(v, "tool", KILN_VERSION);
	stamp_put(s, v);
	return sealed_write(s, path, v, 0, e);
}

/* from becomes path unless something is there: 0, STORE_MISS (then errno tells it is), -1. */
static int rename_new(struct store *s, const char *from, const char *path, struct err **e)
{
	AUTO(fd_closep) int from_dir = -1, dir = -1;
	const char *from_name = NULL, *name = NULL;

	if (store_parent(s, from, &from_dir, &from_name, e) < 0 || store_parent(s, path, &dir, &name, e) < 0)
		return -1;
	int rc = renameat2(from_dir, from_name, dir, name, RENAME_NOREPLACE);
	/* Without RENAME_NOREPLACE: a directory is never renamed over one that holds something. */
	if (rc < 0 && (errno == EINVAL || errno == ENOSYS))
		rc = renameat(from_dir, from_name, dir, name);
	if (rc == 0)
		return 0;
	if (errno == EEXIST || errno == ENOTEMPTY)
		return STORE_MISS;
	return err_errno(e, ERR_HOST, errno, "cannot put a layer into the store '%s'", s->path);
}

int store_layer_commit(struct store *s, const char *tmp_path, const struct layer_meta *m, struct err **e)
{
	AUTO(store_unlock) int lock = -1;
	struct layer_meta other;
	char path[160];

	store_layer_path(s, &m->diff, path);
	if (store_pin(s, PIN_LAYER, &m->diff, e) < 0 || write_meta(s, tmp_path, m, e) < 0 ||
	    store_make_parent(s, path, e) < 0)
		return -1;
	int rc = rename_new(s, tmp_path, path, e);
	if (rc <= 0)
		return rc;

	/* Somebody was first, or left wreckage of a former boot. Under the lock, lest two of us replace each other. */
	if (store_lock(s->fd, LOCK_EX, &lock, e) < 0)
		return -1;
	rc = store_layer_meta(s, path, &m->diff, &other, e);
	if (rc < 0)
		return -1;
	if (rc == SEALED_BAD) {
		if (store_trash(s, path, NULL, e) < 0)
			return -1;
		rc = rename_new(s, tmp_path, path, e);
		return rc > 0 ? err_set(e, ERR_HOST, "'%s/%s' comes back while it is replaced", s->path, path) : rc;
	}
	store_unlock(&lock);
	store_tmp_drop(s, tmp_path);
	return 0;
}

/* ---- listings: checked by their own sum when they are read (layers/listing.h) */

void store_listing_path(const struct digest *diff, char ret[80])
{
	char hex[DIGEST_HEX + 1];

	digest_hex(diff, hex);
	snprintf(ret, 80, "listings/%s", hex);
}

int store_listing_find(struct store *s, const struct digest *diff, struct err **e)
{
	AUTO(fd_closep) int first = -1, again = -1;
	char path[80];

	store_listing_path(diff, path);
	bool pinned = store_pinned(s, PIN_LISTING, diff);
	int rc = at_try_store(s->fd, path, O_PATH, &first, e);
	if (rc != 0)
		return rc < 0 ? -1 : STORE_MISS;
	if (pinned)
		return 0;
	if (store_pin(s, PIN_LISTING, diff, e) < 0)
		return -1;
	rc = at_try_store(s->fd, path, O_PATH, &again, e);
	return rc < 0 ? -1 : rc == 0 ? 0 : STORE_MISS;
}

/* The listing of a layer that is made again is mostly the one that is there; replacing it costs more than a look at a short one. */
static bool same_file(int a_dir, const char *a, int b_dir, const char *b, const struct stat *st)
{
	enum { SHORT = 16 << 10 };
	AUTO(fd_closep) int x = openat(a_dir, a, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	AUTO(fd_closep) int y = openat(b_dir, b, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char p[SHORT], q[SHORT];
	struct stat other;

	if (st->st_size > SHORT || x < 0 || y < 0 || fstat(y, &other) < 0 || other.st_size != st->st_size)
		return false;
	size_t n = (size_t)st->st_size;
	return fd_read_exact(x, p, n, NULL) == 0 && fd_read_exact(y, q, n, NULL) == 0 && memcmp(p, q, n) == 0;
}

int store_listing_commit(struct store *s, const char *tmp_path, const struct digest *diff, struct err **e)
{
	AUTO(fd_closep) int from_dir = -1, dir = -1;
	const char *from_name = NULL, *name = NULL;
	char path[80];
	struct stat st;

	store_listing_path(diff, path);
	if (store_pin(s, PIN_LISTING, diff, e) < 0 || store_commit_begins(s, e) < 0 ||
	    store_parent(s, tmp_path, &from_dir, &from_name, e) < 0 || store_parent(s, path, &dir, &name, e) < 0)
		return -1;
	int rc = at_stat(from_dir, from_name, &st, e);
	if (rc != 0 || !S_ISREG(st.st_mode))
		return rc < 0 ? -1 : err_set(e, ERR_HOST, "'%s/%s' is no listing", s->path, tmp_path);
	if (same_file(from_dir, from_name, dir, name, &st))
		return 0;
	/* Replaces: a caller that makes one again does so because the old one is damaged. */
	return at_rename(from_dir, from_name, dir, name, 0, e);
}
