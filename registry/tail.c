/* registry/tail.c - see tail.h.
 *
 *     POST uploads/ -> PATCH Location, chunked, as long as the file grows -> PUT Location?digest=...
 *                                     \- complete, much left: HEAD -> there: DELETE Location
 */
#include "registry/tail.h"

#include "base/fd.h"
#include "base/mem.h"
#include "registry/upload.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum { LOOK_MS = 10, MUCH = 8 << 20 };

struct tail {
	const struct tail_req *req;
	struct dist d;
	struct candidate *place;
	size_t nplace;
	struct upload u;
	struct hasher *hasher;
	uint64_t at;                     /* read so far */
	bool complete, asked;            /* `end` is known; and whether the registry has it */
	struct tail_end end;
};

static void tail_clear(struct tail *t)
{
	upload_clear(&t->u);
	hasher_free(t->hasher);
	mirror_free(t->place, t->nplace);
	dist_clear(&t->d);
}

static int hear(struct tail *t, int ms, struct err **e)
{
	struct pollfd f = { t->req->end, POLLIN, 0 };

	if (t->complete || poll(&f, 1, ms) <= 0)
		return 0;
	if (fd_read_exact(t->req->end, &t->end, sizeof(t->end), NULL) != 0)
		return err_set(e, ERR_PUSH, "the layer was not finished");
	t->complete = true;
	return 0;
}

static ssize_t tail_read(void *arg, void *p, size_t n, struct err **e)
{
	struct tail *t = arg;
	int ms = 0;

	for (;; ms = LOOK_MS) {
		ssize_t got;

		if (hear(t, ms, e) < 0)
			return -1;
		if (t->complete && !t->asked && t->end.size - (int64_t)t->at > MUCH)
			return HTTP_WAIT;
		got = pread(t->req->file, p, n, (off_t)t->at);
		if (got < 0 && errno != EINTR)
			return err_errno(e, ERR_HOST, errno, "cannot read a layer");
		if (got > 0) {
			hasher_add(t->hasher, p, (size_t)got);
			t->at += (uint64_t)got;
			return got;
		}
		if (got == 0 && t->complete)
			return 0;
	}
}

static int tail_rewind(void *arg, struct err **e)
{
	struct tail *t = arg;

	hasher_free(t->hasher);
	t->hasher = hasher_new();
	t->at = 0;
	return 0;
}

static int is_there(struct tail *t, bool *ret, struct err **e)
{
	struct upload look;
	char path[DIST_PATH];
	int rc;

	upload_init(&look, &t->d, t->u.peer, &t->end.digest, t->end.size);
	rc = upload_head(&look, path, e);
	while (rc == 0 && !look.req.done)
		rc = net_poll(&t->d.net, e);
	*ret = rc == 0 && upload_present(&look);
	upload_clear(&look);
	return rc;
}

/* The registry may throw away what it has of it. */
static void forget(struct tail *t)
{
	request_clear(&t->u.req);
	if (upload_send(&t->u, "DELETE", NULL, false, 0, NULL) == 0)
		while (!t->u.req.done && net_poll(&t->d.net, NULL) == 0)
			;
}

/* 1: it was there all the time. */
static int send_bytes(struct tail *t, const struct http_source *body, struct err **e)
{
	if (upload_send(&t->u, "PATCH", body, false, 0, e) < 0)
		return -1;
	while (!t->u.req.done) {
		bool there = false;

		if (net_poll(&t->d.net, e) < 0)
			return -1;
		if (!t->complete || t->asked)
			continue;
		t->asked = true;
		if (is_there(t, &there, e) < 0)
			return -1;
		if (there) {
			forget(t);
			return 1;
		}
		hop_go_on(&t->u.req.hop);
	}
	return 0;
}

static int answer(struct tail *t, struct err **e)
{
	struct request *r = &t->u.req;

	if (r->err) {
		*e = take(&r->err);
		return err_wrap(e, "cannot upload a layer");
	}
	return r->hop.status >= 200 && r->hop.status <= 299 ? 0 : request_refused(r, "cannot upload a layer", e);
}

static int close_upload(struct tail *t, struct err **e)
{
	struct http_source nothing = { .arg = t, .size = 0, .read = tail_read, .rewind = tail_rewind };
	struct digest have;

	hasher_end(t->hasher, &have);
	if ((int64_t)t->at != t->end.size || !digest_equal(&have, &t->end.digest))
		return err_set(e, ERR_HOST, "the layer %s is not what was packed", digest_text(&t->end.digest).s);
	if (upload_moved(&t->u, &t->u.req, e) < 0)
		return -1;
	t->u.digest = t->end.digest;
	if (upload_send(&t->u, "PUT", &nothing, true, 0, e) < 0)
		return -1;
	while (!t->u.req.done)
		if (net_poll(&t->d.net, e) < 0)
			return -1;
	return answer(t, e);
}

int tail_run(const struct tail_req *r, const struct transfer_opts *o, const struct transfer_calls *c, struct err **e)
{
	static const struct digest unknown;
	AUTO(tail_clear) struct tail t = { .req = r, .hasher = hasher_new() };
	const struct http_source body = { &t, -1, tail_read, tail_rewind };
	struct peer *peer;
	int rc;

	dist_init(&t.d, o, c);
	if (mirror_candidates(r->ref, o, true, &t.place, &t.nplace, e) < 0)
		return -1;
	peer = dist_peer(&t.d, &t.place[t.nplace - 1], e);
	if (!peer)
		return -1;
	upload_init(&t.u, &t.d, peer, &unknown, 0);
	if (upload_place(&t.u, e) < 0)
		return -1;
	rc = send_bytes(&t, &body, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	return answer(&t, e) < 0 ? -1 : close_upload(&t, e);
}
