/* registry/push.c - an image into a repository: blobs first, then the manifest, its tags last (spec/oci.md 2.7, R13). */
#include "registry/upload.h"

#include "base/at.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { PARALLEL = 4, PARALLEL_MAX = 16, MOUNTS_TRIED = 3 };

struct lane {
	bool used;
	size_t blob;                     /* index in the request */
	int fd;
	struct upload u;
	char path[DIST_PATH];
};
struct push {
	const struct push_req *req;
	struct dist d;
	struct candidate *place;
	size_t nplace;
	struct peer *peer;
	bool *there;                     /* per blob: the registry has it */
	struct lane lane[PARALLEL_MAX];
	size_t nlane;
};

static void push_clear(struct push *p)
{
	for (size_t i = 0; i < PARALLEL_MAX; i++) {
		if (p->lane[i].used)
			upload_clear(&p->lane[i].u);
		fd_closep(&p->lane[i].fd);
	}
	mirror_free(p->place, p->nplace);
	free(p->there);
	dist_clear(&p->d);
}

static bool earlier(const struct push_req *r, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (digest_equal(&r->blob[k].digest, &r->blob[i].digest))
			return true;
	}
	return false;
}

/* ---- which blobs are there already */

static int look(struct push *p, struct err **e)
{
	const struct push_req *r = p->req;
	size_t next = 0, busy = 1;

	while (busy || next < r->nblob) {
		busy = 0;
		for (size_t i = 0; i < p->nlane; i++) {
			struct lane *l = &p->lane[i];

			if (l->used && l->u.req.done) {
				p->there[l->blob] = upload_present(&l->u);
				upload_clear(&l->u);
				l->used = false;
			}
			while (!l->used && next < r->nblob && earlier(r, next))
				next++;
			if (!l->used && next < r->nblob) {
				l->blob = next++;
				upload_init(&l->u, &p->d, p->peer, &r->blob[l->blob].digest, r->blob[l->blob].size);
				l->used = true;
				if (upload_head(&l->u, l->path, e) < 0)
					return -1;
			}
			busy += l->used;
		}
		if (busy && net_poll(&p->d.net, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- sending what is not */

/* A base that was pulled without its layers: from where it lives, through a file without a name. */
static int borrow(struct push *p, const struct push_blob *b, int fd, struct err **e)
{
	for (size_t i = 0; b->from && b->from[i]; i++) {
		AUTO(ref_clear) struct ref ref = { 0 };
		AUTO(download_clear) struct download w = { .fd = -1 };
		struct candidate *c = NULL;
		size_t n = 0;
		struct peer *peer = NULL;

		if (ref_parse(slice_of(b->from[i]), &ref, NULL) == 0 && mirror_candidates(&ref, p->d.o, false, &c, &n, NULL) == 0)
			peer = dist_peer(&p->d, &c[n - 1], NULL);
		mirror_free(c, n);
		if (!peer)
			continue;
		int rc = download_start(&w, &p->d, peer, &b->digest, b->size, fd, NULL);
		while (rc == 0 && !w.req.done)
			rc = net_poll(&p->d.net, e);
		if (rc < 0)
			return -1;
		if (download_verdict(&w, NULL) == 0)
			return 0;
		if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
			return err_errno(e, ERR_HOST, errno, "cannot empty a temporary file");
	}
	return err_set(e, ERR_PUSH, "the blob %s is neither in the store nor where it came from", digest_text(&b->digest).s);
}

static int blob_open(struct push *p, const struct push_blob *b, int *ret, struct err **e)
{
	char path[DIGEST_HEX + 16], hex[DIGEST_HEX + 1];
	AUTO(fd_closep) int fd = -1;
	struct stat st;

	digest_hex(&b->digest, hex);
	snprintf(path, sizeof(path), "blobs/sha256/%s", hex);
	int rc = at_try_store(p->req->store, path, O_RDONLY, &fd, e);
	if (rc == AT_MISSING) {
		fd = at_open_store(p->req->store, "tmp", O_TMPFILE | O_RDWR, 0600, e);
		if (fd < 0 || borrow(p, b, fd, e) < 0)
			return -1;
	} else if (rc < 0) {
		return -1;
	}
	if (fstat(fd, &st) < 0 || st.st_size != b->size)
		return err_set(e, ERR_HOST, "the blob %s has another size in the store than its manifest says",
			       digest_text(&b->digest).s);
	*ret = fd_take(&fd);
	return 0;
}

static int lane_start(struct push *p, struct lane *l, size_t blob, struct err **e)
{
	const struct push_blob *b = &p->req->blob[blob];

	upload_init(&l->u, &p->d, p->peer, &b->digest, b->size);
	l->used = true;
	for (size_t i = 0; b->from && b->from[i] && i < MOUNTS_TRIED; i++) {
		int rc = upload_mount(&l->u, b->from[i], e);

		if (rc < 0)
			return -1;
		if (rc == UPLOAD_MOUNTED) {
			l->u.done = true;
			return 0;
		}
	}
	if (blob_open(p, b, &l->fd, e) < 0)
		return -1;
	return upload_start(&l->u, l->fd, e);
}

static int lane_step(struct push *p, struct lane *l, struct err **e)
{
	if (!l->u.done && l->u.req.done && upload_step(&l->u, e) < 0)
		return -1;
	if (!l->u.done)
		return 0;
	dist_progress(&p->d, &l->u.digest, (uint64_t)l->u.size, (uint64_t)l->u.size);
	upload_clear(&l->u);
	fd_closep(&l->fd);
	l->fd = -1;
	l->used = false;
	return 0;
}

static int send_all(struct push *p, struct err **e)
{
	const struct push_req *r = p->req;
	size_t next = 0, busy = 0;

	for (;;) {
		busy = 0;
		for (size_t i = 0; i < p->nlane; i++) {
			struct lane *l = &p->lane[i];

			if (l->used && lane_step(p, l, e) < 0)
				return -1;
			while (!l->used && next < r->nblob && (p->there[next] || earlier(r, next)))
				next++;
			if (!l->used && next < r->nblob && lane_start(p, l, next++, e) < 0)
				return -1;
			busy += l->used;
		}
		if (busy == 0 && next == r->nblob)
			return 0;
		if (net_poll(&p->d.net, e) < 0)
			return -1;
	}
}

/* ---- the manifest */

/* The registry misses blobs that it said it had: forget what it said about those it names. */
static bool missing_blobs(struct push *p, const struct request *r)
{
	char code[64];
	bool any = false;

	request_code(r, code);
	if (strcmp(code, "MANIFEST_BLOB_UNKNOWN") != 0 && strcmp(code, "BLOB_UNKNOWN") != 0)
		return false;
	for (size_t i = 0; i < p->req->nblob; i++) {
		bool named = strstr(r->hop.text.p, digest_text(&p->req->blob[i].digest).s) != NULL;

		p->there[i] = !named;
		any = any || named;
	}
	for (size_t i = 0; !any && i < p->req->nblob; i++)
		p->there[i] = false;
	return true;
}

static int confirmed(struct push *p, const struct request *r, const struct digest *ours, struct err **e)
{
	struct digest told;
	struct slice s;

	if (!hop_header(&r->hop, "Docker-Content-Digest", 0, &s) || !slice_starts(s, "sha256:"))
		return 0;
	if (digest_parse(s, &told, ERR_PUSH, e) < 0)
		return -1;
	if (digest_equal(&told, ours))
		return 0;
	return err_set(e, ERR_PUSH, "%s stored another manifest (%s) than was sent (%s)", p->peer->host, digest_text(&told).s,
		       digest_text(ours).s);
}

static int put(struct push *p, const struct push_doc *m, const char *what, const struct digest *ours, bool retry, struct err **e)
{
	AUTO(request_clear) struct request r = { 0 };
	struct http_bytes doc = { .bytes = m->bytes };
	struct http_source src = http_source_bytes(&doc);
	AUTO(mem_freep) char *type = mem_printf("Content-Type: %s", m->media_type);
	char path[DIST_PATH], scope[DIST_PATH];

	request_init(&r, &p->d.net, p->peer, "PUT");
	snprintf(path, sizeof(path), "/v2/%s/manifests/%s", p->peer->repo, what);
	snprintf(scope, sizeof(scope), "repository:%s:pull,push", p->peer->repo);
	r.path = path;
	r.scope = scope;
	r.source = &src;
	r.header[0] = type;
	if (request_run(&r, e) < 0)
		return err_wrap(e, "cannot send the manifest");
	if (r.hop.status == 201 || r.hop.status == 200 || r.hop.status == 202)
		return confirmed(p, &r, ours, e);
	if (!retry || !missing_blobs(p, &r))
		return request_refused(&r, "cannot send the manifest", e);
	return send_all(p, e) < 0 ? -1 : put(p, m, what, ours, false, e);
}

static int by_digest(struct push *p, const struct push_doc *m, struct err **e)
{
	struct digest digest;

	digest_of(m->bytes.p, m->bytes.n, &digest);
	if (m->bytes.n > MANIFEST_MAX)
		return err_set(e, ERR_LIMIT, "a manifest has %zu bytes; registries take 4 MiB", m->bytes.n);
	return put(p, m, digest_text(&digest).s, &digest, true, e);
}

static int manifest(struct push *p, const struct digest *digest, struct err **e)
{
	const struct push_req *r = p->req;
	const struct push_doc *m = &r->manifest;
	size_t n = 0;

	for (size_t i = 0; i < r->nchild; i++) {
		if (by_digest(p, &r->child[i], e) < 0)
			return -1;
	}
	if (m->bytes.n > MANIFEST_MAX)
		return err_set(e, ERR_LIMIT, "the manifest has %zu bytes; registries take 4 MiB", m->bytes.n);
	if (!r->tag)
		return put(p, m, r->ref->tag ? r->ref->tag : digest_text(digest).s, digest, true, e);
	while (r->tag[n])
		n++;
	/* Once by digest, so that all tags appear only when everything is there. */
	if (n != 1 && by_digest(p, m, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (put(p, m, r->tag[i], digest, true, e) < 0)
			return err_wrap(e, "cannot set the tag '%s'", r->tag[i]);
	}
	return 0;
}

int push_run(const struct push_req *r, const struct transfer_opts *o, const struct transfer_calls *c, struct digest *ret_manifest,
	     struct err **e)
{
	AUTO(push_clear) struct push p = { .req = r };
	AUTO(buf_freep) struct buf name = BUF_MAX(1024);
	struct digest digest;

	for (size_t i = 0; i < PARALLEL_MAX; i++)
		p.lane[i].fd = -1;
	dist_init(&p.d, o, c);
	ref_familiar(r->ref, &name);
	p.there = mem_array(r->nblob + 1, sizeof(*p.there));
	p.nlane = o->parallel ? o->parallel : PARALLEL;
	p.nlane = p.nlane < PARALLEL_MAX ? p.nlane : PARALLEL_MAX;
	digest_of(r->manifest.bytes.p, r->manifest.bytes.n, &digest);
	if (mirror_candidates(r->ref, o, true, &p.place, &p.nplace, e) < 0)
		return err_wrap(e, "cannot push '%s'", name.p);
	p.peer = dist_peer(&p.d, &p.place[p.nplace - 1], e);
	if (!p.peer || look(&p, e) < 0 || send_all(&p, e) < 0 || manifest(&p, &digest, e) < 0)
		return err_wrap(e, "cannot push '%s'", name.p);
	*ret_manifest = digest;
	return 0;
}

int login_check(const char *host, const char *user, const char *password, const struct transfer_opts *o, struct err **e)
{
	AUTO(mem_freep) char *given = mem_printf("%s:%s", user, password);
	struct dist d;
	struct request r;
	struct candidate c = { .host = mem_str(host), .repo = mem_str(""), .insecure = o->insecure, .named = true };

	dist_init(&d, o, NULL);
	struct peer *p = dist_peer(&d, &c, e);
	request_init(&r, &d.net, p, "GET");
	r.path = "/v2/";
	int rc = p ? 0 : -1;
	if (rc == 0) {
		p->given = given;
		rc = request_run(&r, e);
	}
	if (rc == 0 && r.hop.status == 401)
		rc = err_set(e, o->kind, "%s refuses this user name and password", host);
	else if (rc == 0 && r.hop.status == 404)
		rc = err_set(e, o->kind, "%s is not a registry: it knows no /v2/", host);
	else if (rc == 0 && r.hop.status != 200)
		rc = request_refused(&r, "cannot log in", e);
	request_clear(&r);
	dist_clear(&d);
	free(c.host);
	free(c.repo);
	mem_wipe(given, strlen(given));
	return rc < 0 ? err_wrap(e, "cannot log in to %s", host) : 0;
}
