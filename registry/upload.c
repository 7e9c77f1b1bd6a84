/* registry/upload.c - see upload.h.
 *
 *     POST uploads/ -> Location -> PUT Location?digest=... with all bytes
 *                               -> PATCH, PATCH, ... each with a new Location -> PUT Location?digest=...
 * A broken PUT starts over from POST; a broken PATCH asks the upload how much it has (spec/oci.md 2.7).
 */
#include "registry/upload.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { RESTARTS_MAX = 3, BREAKS_MAX = 5, CHUNK = 32 << 20, CHUNK_MOST = 256 << 20, PROGRESS_STEP = 256 << 10 };

/* ---- the bytes */

static ssize_t source_read(void *arg, void *p, size_t n, struct err **e)
{
	struct upload *u = arg;
	uint64_t left = u->len - u->at;
	struct digest have;

	if (left == 0)
		return 0;
	ssize_t got = pread(u->fd, p, n < left ? n : (size_t)left, (off_t)(u->from + u->at));
	if (got < 0 && errno == EINTR)
		return source_read(arg, p, n, e);
	if (got <= 0)
		return err_errno(e, ERR_HOST, got < 0 ? errno : EIO, "cannot read the blob %s", digest_text(&u->digest).s);
	u->at += (uint64_t)got;
	if (!u->chunked) {
		hasher_add(u->hasher, p, (size_t)got);
		if (u->at == u->len) {
			hasher_end(u->hasher, &have);
			/* Before the last bytes leave, so that no registry can call it complete. */
			if (!digest_equal(&have, &u->digest)) {
				err_set(e, ERR_HOST, "the blob %s is damaged in the store", digest_text(&u->digest).s);
				return err_hint(e, "kiln check --repair");
			}
		}
	}
	if (u->from + u->at - u->told >= PROGRESS_STEP || u->from + u->at == (uint64_t)u->size) {
		u->told = u->from + u->at;
		dist_progress(u->dist, &u->digest, u->told, (uint64_t)u->size);
	}
	return got;
}

static int source_rewind(void *arg, struct err **e)
{
	struct upload *u = arg;
	struct digest unused;

	(void)e;
	if (u->at > 0)
		hasher_end(u->hasher, &unused);
	u->at = 0;
	u->told = u->from;
	return 0;
}

/* Chunks are read out of order, so the whole is hashed before the first of them. */
static int check_whole(struct upload *u, struct err **e)
{
	AUTO(mem_freep) char *p = mem_alloc(256 << 10);
	struct digest have;
	ssize_t got = 1;
	off_t at = 0;

	while (got > 0) {
		got = pread(u->fd, p, 256 << 10, at);
		if (got < 0 && errno != EINTR)
			return err_errno(e, ERR_HOST, errno, "cannot read the blob %s", digest_text(&u->digest).s);
		if (got > 0) {
			hasher_add(u->hasher, p, (size_t)got);
			at += got;
		}
		got = got < 0 ? 1 : got;
	}
	hasher_end(u->hasher, &have);
	if (digest_equal(&have, &u->digest))
		return 0;
	err_set(e, ERR_HOST, "the blob %s is damaged in the store", digest_text(&u->digest).s);
	return err_hint(e, "kiln check --repair");
}

/* ---- a place */

void upload_init(struct upload *u, struct dist *d, struct peer *p, const struct digest *digest, int64_t size)
{
	*u = (struct upload){ .dist = d, .peer = p, .digest = *digest, .size = size, .fd = -1, .hasher = hasher_new() };
	snprintf(u->scope, sizeof(u->scope), "repository:%s:pull,push", p->repo);
}

int upload_head(struct upload *u, char path[DIST_PATH], struct err **e)
{
	request_init(&u->req, &u->dist->net, u->peer, "HEAD");
	snprintf(path, DIST_PATH, "/v2/%s/blobs/%s", u->peer->repo, digest_text(&u->digest).s);
	u->req.path = path;
	u->req.scope = u->scope;
	u->req.max_body = UINT64_C(1) << 53;
	return request_start(&u->req, e);
}

bool upload_present(const struct upload *u)
{
	struct slice s;
	uint64_t n = 0;

	if (u->req.err || u->req.hop.status != 200)
		return false;
	return !hop_header(&u->req.hop, "Content-Length", 0, &s) || (slice_u64(s, &n) && n == (uint64_t)u->size);
}

/* Where to go on: relative to what was asked, and not inside our own network unless the registry is there (R5, R6). */
int upload_moved(struct upload *u, const struct request *r, struct err **e)
{
	struct slice s;
	struct url to = { 0 };

	if (!hop_header(&r->hop, "Location", 0, &s))
		return err_set(e, r->net->kind, "%s answered an upload without a Location", u->peer->host);
	if (url_resolve(&r->at, s, &to, e) < 0)
		return err_wrap(e, "%s sends the upload to a place that cannot be used", u->peer->host);
	if (r->at.https && !to.https) {
		AUTO(mem_freep) char *shown = url_shown(&to);

		url_clear(&to);
		return err_set(e, r->net->kind, "%s sends the upload from https to '%s'", u->peer->host, shown);
	}
	url_clear(&u->location);
	u->location = to;
	return 0;
}

static int post(struct upload *u, const char *path, const char *scope, struct request *r, struct err **e)
{
	request_init(r, &u->dist->net, u->peer, "POST");
	r->path = path;
	r->scope = scope;
	return request_run(r, e);
}

int upload_mount(struct upload *u, const char *from, struct err **e)
{
	AUTO(request_clear) struct request r = { 0 };
	const char *repo = strchr(from, '/');
	AUTO(mem_freep) char *path = NULL;
	AUTO(mem_freep) char *scope = NULL;

	if (!repo || strncmp(from, u->peer->host, (size_t)(repo - from)) != 0 || u->peer->host[repo - from] != '\0' ||
	    strcmp(repo + 1, u->peer->repo) == 0)
		return 0;
	struct buf q = BUF_MAX(2048);
	url_encode(&q, slice_of(repo + 1));
	path = mem_printf("/v2/%s/blobs/uploads/?mount=%s&from=%s", u->peer->repo, digest_text(&u->digest).s, q.p);
	buf_free(&q);
	scope = mem_printf("repository:%s:pull %s", repo + 1, u->scope);
	/* Whatever goes wrong with a mount, sending the blob is the answer. */
	if (post(u, path, scope, &r, NULL) < 0)
		return 0;
	if (r.hop.status == 201)
		return UPLOAD_MOUNTED;
	if (r.hop.status == 202 && upload_moved(u, &r, e) < 0)
		return -1;
	return 0;
}

int upload_place(struct upload *u, struct err **e)
{
	AUTO(request_clear) struct request r = { 0 };
	char path[DIST_PATH];
	struct slice s;
	uint64_t least = 0;

	snprintf(path, sizeof(path), "/v2/%s/blobs/uploads/", u->peer->repo);
	if (post(u, path, u->scope, &r, e) < 0)
		return err_wrap(e, "cannot begin to upload the blob %s", digest_text(&u->digest).s);
	if (r.hop.status != 202)
		return request_refused(&r, "cannot begin to upload a blob", e);
	u->acked = 0;
	u->chunk = CHUNK;
	if (hop_header(&r.hop, "OCI-Chunk-Min-Length", 0, &s) && slice_u64(s, &least) && least > u->chunk)
		u->chunk = least < CHUNK_MOST ? least : CHUNK_MOST;
	return upload_moved(u, &r, e);
}

/* ---- sending */

int upload_send(struct upload *u, const char *method, const struct http_source *body, bool last, int64_t delay_ms, struct err **e)
{
	struct request *r = &u->req;
	struct url own = { 0 };

	request_clear(r);
	request_init(r, &u->dist->net, u->peer, method);
	url_copy(&r->url, &u->location);
	if (peer_url(u->peer, "/", &own, e) < 0)
		return -1;
	r->guarded = !url_same_origin(&own, &r->url);
	r->from = u->peer->class;
	url_clear(&own);
	if (last)
		url_add_query(&r->url, "digest", digest_text(&u->digest).s);
	r->scope = u->scope;
	r->source = body;
	r->once = true;
	r->delay_ms = delay_ms;
	r->header[0] = "Content-Type: application/octet-stream";
	if (*u->range)
		r->header[1] = u->range;
	return request_start(r, e);
}

static int send_piece(struct upload *u, const char *method, uint64_t from, uint64_t len, bool last, int64_t delay_ms,
		      struct err **e)
{
	u->from = from;
	u->len = len;
	u->source = (struct http_source){ u, (int64_t)len, source_read, source_rewind };
	u->range[0] = '\0';
	if (u->chunked && !last)
		snprintf(u->range, sizeof(u->range), "Content-Range: %ju-%ju", (uintmax_t)from, (uintmax_t)(from + len - 1));
	return upload_send(u, method, &u->source, last, delay_ms, e);
}

static int next_piece(struct upload *u, int64_t delay_ms, struct err **e)
{
	uint64_t left = (uint64_t)u->size - u->acked;

	if (!u->chunked)
		return send_piece(u, "PUT", 0, (uint64_t)u->size, true, delay_ms, e);
	u->closing = left == 0;
	if (u->closing)
		return send_piece(u, "PUT", 0, 0, true, delay_ms, e);
	return send_piece(u, "PATCH", u->acked, left < u->chunk ? left : u->chunk, false, delay_ms, e);
}

int upload_start(struct upload *u, int fd, struct err **e)
{
	u->fd = fd;
	if (!u->location.text && upload_place(u, e) < 0)
		return -1;
	u->chunk = u->chunk ? u->chunk : CHUNK;
	return next_piece(u, 0, e);
}

/* Another upload from its beginning. */
static int restart(struct upload *u, struct err **e)
{
	int64_t delay = u->restarts * INT64_C(1000);

	if (upload_place(u, e) < 0)
		return -1;
	return next_piece(u, delay, e);
}

static int gave_up(struct upload *u, struct err **e)
{
	if (u->req.err) {
		if (e && !*e)
			*e = take(&u->req.err);
		return err_wrap(e, "cannot upload the blob %s", digest_text(&u->digest).s);
	}
	return request_refused(&u->req, "cannot upload a blob", e);
}

/* How much of it is there? false: not known, start over. */
static bool ask_progress(struct upload *u)
{
	AUTO(request_clear) struct request r = { 0 };
	int64_t first = 0, last = 0;
	struct slice s;

	request_init(&r, &u->dist->net, u->peer, "GET");
	url_copy(&r.url, &u->location);
	r.scope = u->scope;
	if (request_run(&r, NULL) < 0 || r.hop.status != 204 || !hop_header(&r.hop, "Range", 0, &s) ||
	    !upload_range_parse(s, &first, &last) || first != 0 || last >= u->size)
		return false;
	/* "0-0" is what docker-registry says of an upload that holds nothing. A smaller end than what was confirmed before
	 * means that this registry counts from the last chunk: not to be relied on. */
	uint64_t have = last == 0 && u->acked == 0 ? 0 : (uint64_t)last + 1;
	if (have < u->acked)
		return false;
	u->acked = have;
	return !hop_header(&r.hop, "Location", 0, &s) || upload_moved(u, &r, NULL) == 0;
}

static int failed(struct upload *u, struct err **e)
{
	long s = u->req.err ? 0 : u->req.hop.status;
	bool broken = u->req.err && u->req.hop.end == HOP_BROKEN;
	bool busy = s == 408 || s == 429 || (s >= 500 && s < 600);
	bool no_put = s == 413 || s == 405;
	char code[64] = "";

	if (s)
		request_code(&u->req, code);
	if (u->chunked && !u->closing && (broken || busy || s == 416) && u->breaks++ < BREAKS_MAX && ask_progress(u))
		return next_piece(u, u->breaks * INT64_C(500), e);
	if (!u->chunked && (no_put || (s == 404 && u->restarts > 0) || (broken && u->restarts > 0))) {
		if (check_whole(u, e) < 0)
			return -1;
		u->chunked = true;
		u->restarts = 0;
		return restart(u, e);
	}
	bool lost = s == 404 || strcmp(code, "DIGEST_INVALID") == 0 || strcmp(code, "BLOB_UPLOAD_INVALID") == 0;
	if ((broken || busy || lost) && u->restarts++ < RESTARTS_MAX)
		return restart(u, e);
	return gave_up(u, e);
}

int upload_step(struct upload *u, struct err **e)
{
	long s = u->req.err ? 0 : u->req.hop.status;
	struct slice loc;

	if (u->chunked && !u->closing && (s == 202 || s == 201 || s == 204)) {
		u->acked += u->len;
		/* The old place dies with each answer. */
		if (hop_header(&u->req.hop, "Location", 0, &loc) && upload_moved(u, &u->req, e) < 0)
			return -1;
		return next_piece(u, 0, e);
	}
	if ((!u->chunked || u->closing) && (s == 201 || s == 204)) {
		u->done = true;
		request_clear(&u->req);
		return 0;
	}
	return failed(u, e);
}

void upload_clear(struct upload *u)
{
	request_clear(&u->req);
	url_clear(&u->location);
	hasher_freep(&u->hasher);
	u->hasher = NULL;
}
