/* cache/store_blob.c - blobs: immutable, mode 0444, named by the digest of their content (T4, I1). */
#include "base/mem.h"
#include "base/stream.h"
#include "base/tmp.h"
#include "cache/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <unistd.h>

void store_blob_path(const struct digest *d, char ret[80])
{
	char hex[DIGEST_HEX + 1];

	digest_hex(d, hex);
	snprintf(ret, 80, "blobs/sha256/%s", hex);
}

/* The open blob and its size; STORE_MISS. Not pinned. */
static int open_blob(struct store *s, const struct digest *d, int *ret_fd, int64_t *ret_size, struct err **e)
{
	AUTO(fd_closep) int fd = -1;
	char path[80];
	struct stat st;

	store_blob_path(d, path);
	int rc = at_try_store(s->fd, path, O_RDONLY | O_NONBLOCK, &fd, e);
	if (rc != 0)
		return rc < 0 ? -1 : STORE_MISS;
	if (fstat(fd, &st) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot look at '%s/%s'", s->path, path);
	if (!S_ISREG(st.st_mode))
		return STORE_MISS;
	*ret_size = st.st_size;
	*ret_fd = fd_take(&fd);
	return 0;
}

int store_blob_open(struct store *s, const struct digest *d, int *ret_fd, int64_t *ret_size, struct err **e)
{
	AUTO(fd_closep) int fd = -1;

	bool pinned = store_pinned(s, PIN_BLOB, d);
	int rc = open_blob(s, d, &fd, ret_size, e);
	if (rc != 0)
		return rc;
	if (pinned) {
		*ret_fd = fd_take(&fd);
		return 0;
	}
	/* A sweep may have come between the look and the pin; after the pin it cannot, so look again. */
	fd_closep(&fd);
	if (store_pin(s, PIN_BLOB, d, e) < 0)
		return -1;
	return open_blob(s, d, ret_fd, ret_size, e);
}

int store_blob_find(struct store *s, const struct digest *d, int64_t *ret_size, struct err **e)
{
	AUTO(fd_closep) int fd = -1;
	int64_t size = 0;

	int rc = store_blob_open(s, d, &fd, &size, e);
	if (rc == 0 && ret_size)
		*ret_size = size;
	return rc;
}

/* dir/name becomes the blob: an existing one of the same size stays, another is replaced, for ours was verified. */
static int into_place(struct store *s, int dir, const char *name, const struct digest *d, int64_t size, struct err **e)
{
	AUTO(fd_closep) int blobs = at_open_store(s->fd, "blobs/sha256", O_PATH | O_DIRECTORY, 0, e);
	char hex[DIGEST_HEX + 1];
	struct stat st;

	if (blobs < 0)
		return -1;
	digest_hex(d, hex);
	if (renameat2(dir, name, blobs, hex, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno == EEXIST && fstatat(blobs, hex, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	    st.st_size == size)
		return at_unlink(dir, name, e);
	/* Also for file systems without RENAME_NOREPLACE: what is replaced is the same content. */
	if (errno != EEXIST && errno != EINVAL && errno != ENOSYS)
		return err_errno(e, ERR_HOST, errno, "cannot put a blob into the store '%s'", s->path);
	if (renameat(dir, name, blobs, hex) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot put a blob into the store '%s'", s->path);
	return 0;
}

int store_blob_commit(struct store *s, const char *tmp_path, const struct digest *d, int64_t size, struct err **e)
{
	AUTO(fd_closep) int dir = -1;
	const char *name = NULL;
	struct stat st;

	/* The pin comes first: it protects ours, and also the other copy when there is one (7.5). */
	if (store_pin(s, PIN_BLOB, d, e) < 0 || store_parent(s, tmp_path, &dir, &name, e) < 0)
		return -1;
	AUTO(fd_closep) int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot open '%s/%s'", s->path, tmp_path);
	if (!S_ISREG(st.st_mode) || st.st_size != size)
		return err_set(e, ERR_HOST, "'%s/%s' has %jd bytes instead of %" PRId64, s->path, tmp_path,
			       (intmax_t)st.st_size, size);
	if (fchmod(fd, 0444) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot set the mode of '%s/%s'", s->path, tmp_path);
	if (store_commit_begins(s, e) < 0)
		return -1;
	return into_place(s, dir, name, d, size, e);
}

int store_blob_put(struct store *s, struct slice bytes, struct digest *ret, struct err **e)
{
	AUTO(tmp_rollback) struct tmp t = TMP_NONE;
	struct lease *lease = NULL;
	struct digest d;
	int64_t size = 0;

	digest_of(bytes.p, bytes.n, &d);
	int rc = store_blob_find(s, &d, &size, e);
	if (rc < 0)
		return -1;
	if (rc == 0 && (uint64_t)size == bytes.n) {
		*ret = d;
		return 0;
	}

	if (store_lease(s, &lease, e) < 0)
		return -1;
	AUTO(mem_freep) char *scratch = mem_printf("tmp/%s", lease_id(lease));
	AUTO(fd_closep) int dir = at_open_store(s->fd, scratch, O_PATH | O_DIRECTORY, 0, e);
	if (dir < 0 || tmp_open(&t, dir, e) < 0 || fd_write_all(t.fd, bytes.p, bytes.n, e) < 0 ||
	    fd_close(&t.fd, "a blob", e) < 0)
		return err_wrap(e, "cannot put a document into the store '%s'", s->path);
	AUTO(mem_freep) char *path = mem_printf("%s/%s", scratch, t.name);
	if (store_blob_commit(s, path, &d, (int64_t)bytes.n, e) < 0)
		return -1;
	*ret = d;
	return 0;
}

int store_blob_read(struct store *s, const struct digest *d, struct buf *out, struct err **e)
{
	AUTO(fd_closep) int fd = -1;
	size_t before = out->n;
	struct digest got;
	int64_t size = 0;

	int rc = store_blob_open(s, d, &fd, &size, e);
	if (rc != 0)
		return rc;
	if (fd_read_all(fd, out, e) < 0)
		return err_wrap(e, "cannot read blob %s", digest_text(d).s);
	digest_of(out->p + before, out->n - before, &got);
	if (digest_equal(&got, d))
		return 0;
	out->n = before;
	out->p[before] = '\0';
	return store_blob_bad(s, d, e) < 0 ? -1 : STORE_MISS;
}

int store_blob_bad(struct store *s, const struct digest *d, struct err **e)
{
	AUTO(fd_closep) int fd = -1;
	AUTO(store_unlock) int lock = -1;
	char path[80];
	int64_t size = 0;
	struct stat read, now;

	/* Read it again, outside the lock: the caller may have met a broken pipe, not a broken blob. */
	int rc = open_blob(s, d, &fd, &size, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (fstat(fd, &read) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot look at blob %s", digest_text(d).s);
	struct stream *content = stream_verify(stream_fd(fd_take(&fd), "blob"), d, size);
	int drained = stream_drain(content, NULL);
	if (stream_close(content, NULL) == 0 && drained == 0)
		return 0;

	store_blob_path(d, path);
	if (store_lock(s->fd, LOCK_EX, &lock, e) < 0)
		return -1;
	if (at_try_store(s->fd, path, O_PATH | O_NOFOLLOW, &fd, e) != 0)
		return 0;
	if (fstat(fd, &now) < 0 || now.st_ino != read.st_ino || now.st_dev != read.st_dev)
		return 0;         /* somebody has already put a good one there */
	return store_trash(s, path, NULL, e);
}
