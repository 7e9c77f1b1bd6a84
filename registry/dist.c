/* registry/dist.c - see dist.h. */
#include "registry/dist.h"

#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { PROGRESS_STEP = 256 << 10 };

/* One header, comma separated: some registries read the first one only, and docker-registry answers 404 for an existing
 * OCI manifest when its type is not listed. */
static const char accept_manifests[] =
	"Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
	"application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

static void note(void *arg, const char *text)
{
	struct dist *d = arg;

	if (d->c && d->c->note)
		d->c->note(d->c->arg, text);
}

void dist_init(struct dist *d, const struct transfer_opts *o, const struct transfer_calls *c)
{
	*d = (struct dist){ .o = o, .c = c };
	net_init(&d->net, o->kind);
	d->net.retries = o->retries ? o->retries : 5;
	d->net.retry_delay_ns = o->retry_delay_ns;
	d->net.authfile = o->authfile;
	d->net.cert_dir = o->cert_dir;
	d->net.note = note;
	d->net.note_arg = d;
}

void dist_clear(struct dist *d)
{
	net_clear(&d->net);
}

struct peer *dist_peer(struct dist *d, const struct candidate *c, struct err **e)
{
	struct peer *p = net_peer(&d->net, c->host, c->repo, mirror_api(c->host), c->insecure && !d->o->verify, e);

	/* --creds are for the registry the user named, not for a mirror of it. */
	if (p && c->named)
		p->given = d->o->creds;
	if (p)
		p->verify = d->o->verify;
	return p;
}

void dist_progress(struct dist *d, const struct digest *digest, uint64_t done, uint64_t total)
{
	if (d->c && d->c->progress)
		d->c->progress(d->c->arg, digest, done, total);
}

void dist_doc_clear(struct dist_doc *doc)
{
	buf_free(&doc->bytes);
	free(doc->type);
	*doc = (struct dist_doc){ 0 };
}

static void pull_scope(const struct peer *p, char ret[DIST_PATH])
{
	snprintf(ret, DIST_PATH, "repository:%s:pull", p->repo);
}

/* ---- documents */

static int header_digest(const struct request *r, const struct digest *have, struct err **e)
{
	struct digest told;
	struct slice s;

	/* Another algorithm's digest cannot be compared; the registry's own answer only, not a storage's (spec/oci.md 2.8). */
	if (r->away || !hop_header(&r->hop, "Docker-Content-Digest", 0, &s) || !slice_starts(s, "sha256:"))
		return 0;
	if (digest_parse(s, &told, r->net->kind, e) < 0)
		return -1;
	if (!digest_equal(&told, have))
		return err_set(e, r->net->kind, "%s announces %s and sends %s: refusing to use it", r->at.host, digest_text(&told).s,
			       digest_text(have).s);
	return 0;
}

static int check(const struct request *r, const struct digest *want, int64_t size, const struct digest *have, struct err **e)
{
	const struct buf *text = &r->hop.text;

	if (size >= 0 && (uint64_t)size != text->n)
		return err_set(e, r->net->kind, "%s has %zu bytes, expected are %jd: refusing to use it", r->path, text->n,
			       (intmax_t)size);
	if (want && !digest_equal(want, have))
		return err_set(e, r->net->kind, "%s has the digest %s, expected is %s: refusing to use it", r->path,
			       digest_text(have).s, digest_text(want).s);
	return header_digest(r, have, e);
}

static char *content_type(const struct request *r)
{
	struct slice s, head, tail;

	if (!hop_header(&r->hop, "Content-Type", 0, &s))
		return NULL;
	slice_cut(s, ';', &head, &tail);
	head = slice_trim(head, " \t");
	return mem_strn(head.p, head.n);
}

/* Types that say nothing about the document: plain file servers and careless proxies send them. */
static bool says_nothing(const char *type)
{
	return !*type || strcmp(type, "application/json") == 0 || strcmp(type, "text/plain") == 0 ||
	       strcmp(type, "application/octet-stream") == 0;
}

int dist_manifest(struct dist *d, struct peer *p, const char *what, const struct digest *want, int64_t size,
		  struct dist_doc *ret, struct err **e)
{
	AUTO(request_clear) struct request r = { 0 };
	char path[DIST_PATH], scope[DIST_PATH];
	struct digest have;

	request_init(&r, &d->net, p, "GET");
	snprintf(path, sizeof(path), "/v2/%s/manifests/%s", p->repo, what);
	pull_scope(p, scope);
	r.path = path;
	r.scope = scope;
	r.max_body = MANIFEST_MAX;
	r.expect = size;
	r.header[0] = accept_manifests;
	if (size > MANIFEST_MAX)
		return err_set(e, ERR_LIMIT, "the manifest %s announces %jd bytes; 4 MiB are allowed", what, (intmax_t)size);
	if (request_run(&r, e) < 0)
		return err_wrap(e, "cannot read the manifest %s/%s", p->host, p->repo);
	if (r.hop.status == 404) {
		request_refused(&r, "there is no such image", e);
		return DIST_MISS;
	}
	if (r.hop.status != 200)
		return request_refused(&r, "cannot read the manifest", e);
	digest_of(r.hop.text.p, r.hop.text.n, &have);
	if (check(&r, want, size, &have, e) < 0)
		return -1;
	*ret = (struct dist_doc){ .bytes = r.hop.text, .digest = have, .type = content_type(&r) };
	r.hop.text = (struct buf){ 0 };
	if (ret->type && says_nothing(ret->type))
		free(take(&ret->type));
	return 0;
}

int dist_small_blob(struct dist *d, struct peer *p, const struct digest *digest, int64_t size, struct buf *out, struct err **e)
{
	AUTO(request_clear) struct request r = { 0 };
	char path[DIST_PATH], scope[DIST_PATH];
	struct digest have;

	if (size > CONFIG_MAX)
		return err_set(e, ERR_LIMIT, "the config %s announces %jd bytes; 8 MiB are allowed", digest_text(digest).s,
			       (intmax_t)size);
	request_init(&r, &d->net, p, "GET");
	snprintf(path, sizeof(path), "/v2/%s/blobs/%s", p->repo, digest_text(digest).s);
	pull_scope(p, scope);
	r.path = path;
	r.scope = scope;
	r.max_body = size >= 0 ? (uint64_t)size + 1 : CONFIG_MAX;
	r.expect = size;
	r.header[0] = "Accept-Encoding: identity";
	if (request_run(&r, e) < 0)
		return err_wrap(e, "cannot read the config %s", digest_text(digest).s);
	if (r.hop.status != 200)
		return request_refused(&r, "cannot read the config", e);
	digest_of(r.hop.text.p, r.hop.text.n, &have);
	if (check(&r, digest, size, &have, e) < 0)
		return -1;
	buf_free(out);
	*out = r.hop.text;
	out->max = CONFIG_MAX;
	r.hop.text = (struct buf){ 0 };
	return 0;
}

/* ---- blobs into files */

static int on_bytes(void *arg, const void *bytes, size_t n, struct err **e)
{
	struct download *w = arg;
	uint64_t done = w->req.good + n;

	hasher_add(w->hasher, bytes, n);
	if (fd_write_all(w->fd, bytes, n, e) < 0)
		return err_wrap(e, "cannot store the blob %s", digest_text(&w->digest).s);
	if (done - w->told >= PROGRESS_STEP || (int64_t)done == w->size) {
		w->told = done;
		dist_progress(w->dist, &w->digest, done, w->size < 0 ? 0 : (uint64_t)w->size);
	}
	return 0;
}

static int on_restart(void *arg, struct err **e)
{
	struct download *w = arg;
	struct digest unused;

	hasher_end(w->hasher, &unused);
	w->told = 0;
	if (ftruncate(w->fd, 0) < 0 || lseek(w->fd, 0, SEEK_SET) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot start the blob %s again", digest_text(&w->digest).s);
	return 0;
}

int download_start(struct download *w, struct dist *d, struct peer *p, const struct digest *digest, int64_t size, int fd,
		   struct err **e)
{
	*w = (struct download){ .dist = d, .digest = *digest, .size = size, .fd = fd, .hasher = hasher_new() };
	request_init(&w->req, &d->net, p, "GET");
	snprintf(w->path, sizeof(w->path), "/v2/%s/blobs/%s", p->repo, digest_text(digest).s);
	pull_scope(p, w->scope);
	w->req.path = w->path;
	w->req.scope = w->scope;
	w->req.header[0] = "Accept-Encoding: identity";
	w->req.expect = size;
	w->req.max_body = size >= 0 ? (uint64_t)size + 1 : UINT64_C(64) << 30;
	w->req.resume = true;
	w->req.sink = on_bytes;
	w->req.restart = on_restart;
	w->req.arg = w;
	return request_start(&w->req, e);
}

int download_verdict(struct download *w, struct err **e)
{
	struct request *r = &w->req;
	struct digest have;

	if (r->err) {
		if (e && !*e)
			*e = take(&r->err);
		return err_wrap(e, "cannot fetch the blob %s", digest_text(&w->digest).s);
	}
	if (r->hop.status != 200 && r->hop.status != 206)
		return request_refused(r, "cannot fetch a blob", e);
	hasher_end(w->hasher, &have);
	if (!digest_equal(&have, &w->digest))
		return err_set(e, r->net->kind, "the blob %s of %s/%s has the digest %s: refusing to use it", digest_text(&w->digest).s,
			       r->peer->host, r->peer->repo, digest_text(&have).s);
	return 0;
}

void download_clear(struct download *w)
{
	request_clear(&w->req);
	hasher_freep(&w->hasher);
}
