/* base/stream.c - pull streams and the small adaptors. */
#include "base/stream.h"
#include "base/fd.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>

enum { DRAIN_STEP = 64 << 10 };

ssize_t stream_read(struct stream *s, void *p, size_t n, struct err **e)
{
	if (s->failed)
		return err_set(e, ERR_HOST, "reading goes on after a failure");
	ssize_t got = s->ops->read(s, p, n, e);
	if (got < 0)
		s->failed = true;
	return got;
}

int stream_close(struct stream *s, struct err **e)
{
	if (!s)
		return 0;
	bool failed = s->failed;
	int rc = s->ops->close(s, e);
	if (rc == 0 && failed)
		return err_set(e, ERR_HOST, "an earlier read failed");
	return rc;
}

void stream_drop(struct stream **s)
{
	stream_close(take(s), NULL);
}

int stream_drain(struct stream *s, struct err **e)
{
	AUTO(mem_freep) char *p = mem_alloc(DRAIN_STEP);
	ssize_t n = 0;

	do
		n = stream_read(s, p, DRAIN_STEP, e);
	while (n > 0);
	return (int)n;
}

/* --- a file descriptor --- */

struct fd_stream {
	struct stream s;
	int fd;
	char *name;
};

static ssize_t fd_stream_read(struct stream *s, void *p, size_t n, struct err **e)
{
	struct fd_stream *f = container_of(s, struct fd_stream, s);
	ssize_t got = fd_read(f->fd, p, n, e);

	return got < 0 ? err_wrap(e, "cannot read '%s'", f->name) : got;
}

static int fd_stream_close(struct stream *s, struct err **e)
{
	struct fd_stream *f = container_of(s, struct fd_stream, s);

	fd_closep(&f->fd);
	free(f->name);
	free(f);
	return 0;
}

struct stream *stream_fd(int take_fd, const char *name)
{
	static const struct stream_ops ops = { fd_stream_read, fd_stream_close };
	struct fd_stream *f = mem_zalloc(sizeof(*f));

	f->s.ops = &ops;
	f->fd = take_fd;
	f->name = mem_str(name);
	return &f->s;
}

/* --- bytes in memory --- */

struct bytes_stream {
	struct stream s;
	struct slice rest;
};

static ssize_t bytes_read(struct stream *s, void *p, size_t n, struct err **e)
{
	struct bytes_stream *b = container_of(s, struct bytes_stream, s);

	if (n > b->rest.n)
		n = b->rest.n;
	if (n)
		memcpy(p, b->rest.p, n);
	b->rest = slice_skip(b->rest, n);
	return (ssize_t)n;
}

static int bytes_close(struct stream *s, struct err **e)
{
	free(container_of(s, struct bytes_stream, s));
	return 0;
}

struct stream *stream_bytes(struct slice borrowed)
{
	static const struct stream_ops ops = { bytes_read, bytes_close };
	struct bytes_stream *b = mem_zalloc(sizeof(*b));

	b->s.ops = &ops;
	b->rest = borrowed;
	return &b->s;
}

/* --- at most so many bytes --- */

struct limit_stream {
	struct stream s;
	struct stream *inner;
	uint64_t max, left;
	char *what;
};

static ssize_t limit_read(struct stream *s, void *p, size_t n, struct err **e)
{
	struct limit_stream *l = container_of(s, struct limit_stream, s);

	/* Ask for one byte more than is allowed: it tells the exact maximum from too much. */
	if (l->left < n)
		n = (size_t)l->left + 1;
	ssize_t got = stream_read(l->inner, p, n, e);
	if (got > 0 && (uint64_t)got > l->left)
		return err_set(e, ERR_LIMIT, "%s is larger than %" PRIu64 " bytes", l->what, l->max);
	if (got > 0)
		l->left -= (uint64_t)got;
	return got;
}

static int limit_close(struct stream *s, struct err **e)
{
	struct limit_stream *l = container_of(s, struct limit_stream, s);
	int rc = stream_close(l->inner, e);

	free(l->what);
	free(l);
	return rc;
}

struct stream *stream_limit(struct stream *take_inner, uint64_t max, const char *what)
{
	static const struct stream_ops ops = { limit_read, limit_close };
	struct limit_stream *l = mem_zalloc(sizeof(*l));

	l->s.ops = &ops;
	l->inner = take_inner;
	l->max = l->left = max;
	l->what = mem_str(what);
	return &l->s;
}

/* --- exactly these bytes --- */

struct verify_stream {
	struct stream s;
	struct stream *inner;
	struct hasher *hasher;
	struct digest want;
	int64_t size;            /* -1: unknown */
	uint64_t seen;
	bool ended;
};

static ssize_t verify_end(struct verify_stream *v, struct err **e)
{
	struct digest got;

	if (v->size >= 0 && v->seen != (uint64_t)v->size)
		return err_set(e, ERR_SOURCE, "blob %s has %" PRIu64 " bytes instead of %" PRId64 ": refusing to use it",
			       digest_text(&v->want).s, v->seen, v->size);
	hasher_end(v->hasher, &got);
	if (!digest_equal(&got, &v->want))
		return err_set(e, ERR_SOURCE, "blob %s has the digest %s: refusing to use it",
			       digest_text(&v->want).s, digest_text(&got).s);
	v->ended = true;
	return 0;
}

static ssize_t verify_read(struct stream *s, void *p, size_t n, struct err **e)
{
	struct verify_stream *v = container_of(s, struct verify_stream, s);

	if (v->ended)
		return 0;
	ssize_t got = stream_read(v->inner, p, n, e);
	if (got < 0)
		return -1;
	if (got == 0)
		return verify_end(v, e);
	v->seen += (uint64_t)got;
	if (v->size >= 0 && v->seen > (uint64_t)v->size)
		return err_set(e, ERR_SOURCE, "blob %s is longer than its %" PRId64 " bytes: refusing to use it",
			       digest_text(&v->want).s, v->size);
	hasher_add(v->hasher, p, (size_t)got);
	return got;
}

static int verify_close(struct stream *s, struct err **e)
{
	struct verify_stream *v = container_of(s, struct verify_stream, s);
	char extra = 0;
	int rc = 0;

	/* A reader that knew the size may have stopped just before the end was seen. */
	if (!s->failed && !v->ended && v->size >= 0 && v->seen == (uint64_t)v->size)
		rc = verify_read(s, &extra, 1, e) < 0 ? -1 : 0;
	/* Bytes nobody read were never checked, so stopping early is a failure, not a shortcut. */
	if (rc == 0 && !s->failed && !v->ended)
		rc = err_set(e, ERR_SOURCE, "blob %s was closed after %" PRIu64 " bytes, before its end",
			     digest_text(&v->want).s, v->seen);
	if (stream_close(v->inner, e) < 0)
		rc = -1;
	hasher_free(v->hasher);
	free(v);
	return rc;
}

struct stream *stream_verify(struct stream *take_inner, const struct digest *d, int64_t size)
{
	static const struct stream_ops ops = { verify_read, verify_close };
	struct verify_stream *v = mem_zalloc(sizeof(*v));

	v->s.ops = &ops;
	v->inner = take_inner;
	v->hasher = hasher_new();
	v->want = *d;
	v->size = size;
	return &v->s;
}

/* --- hash, count and copy what passes --- */

struct pass_stream {
	struct stream s;
	struct stream *inner;
	struct hasher *hasher;
	uint64_t *count;
	int fd;                  /* -1: none */
};

static ssize_t pass_read(struct stream *s, void *p, size_t n, struct err **e)
{
	struct pass_stream *t = container_of(s, struct pass_stream, s);
	ssize_t got = stream_read(t->inner, p, n, e);

	if (got <= 0)
		return got;
	if (t->hasher)
		hasher_add(t->hasher, p, (size_t)got);
	if (t->count)
		*t->count += (uint64_t)got;
	if (t->fd >= 0 && fd_write_all(t->fd, p, (size_t)got, e) < 0)
		return -1;
	return got;
}

static int pass_close(struct stream *s, struct err **e)
{
	struct pass_stream *t = container_of(s, struct pass_stream, s);
	int rc = stream_close(t->inner, e);

	free(t);
	return rc;
}

static struct stream *pass_new(struct stream *take_inner, struct hasher *h, uint64_t *count, int fd)
{
	static const struct stream_ops ops = { pass_read, pass_close };
	struct pass_stream *t = mem_zalloc(sizeof(*t));

	t->s.ops = &ops;
	t->inner = take_inner;
	t->hasher = h;
	t->count = count;
	t->fd = fd;
	return &t->s;
}

struct stream *stream_hash(struct stream *take_inner, struct hasher *h, uint64_t *count)
{
	return pass_new(take_inner, h, count, -1);
}

struct stream *stream_tee(struct stream *take_inner, int fd)
{
	return pass_new(take_inner, NULL, NULL, fd);
}
