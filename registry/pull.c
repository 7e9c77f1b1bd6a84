/* registry/pull.c - a whole image from the first place that has it (spec/oci.md 2.19). */
#include "registry/dist.h"

#include "base/mem.h"
#include "base/tmp.h"

#include <stdlib.h>

enum { NESTING_MAX = 3, PARALLEL = 4, PARALLEL_MAX = 16, LAYERS_MAX = 1000 };

struct pull {
	const struct pull_req *req;
	bool top;                        /* only what the reference names, be it an index */
	struct dist d;
	struct candidate *place;
	size_t nplace, at;               /* at: the place the manifest came from */
	struct manifest manifest;
	struct buf failures;             /* what was wrong with the places before */
};

static void pull_clear(struct pull *p)
{
	manifest_clear(&p->manifest);
	mirror_free(p->place, p->nplace);
	buf_free(&p->failures);
	dist_clear(&p->d);
}

void pull_result_clear(struct pull_result *r)
{
	buf_free(&r->manifest_bytes);
	buf_free(&r->config_bytes);
	free(r->media_type);
	free(r->source);
	*r = (struct pull_result){ 0 };
}

/* ---- the manifest */

/* The descriptor, the transport and the document itself must agree (M5). */
static int parse(const struct dist_doc *doc, const char *announced, struct manifest *ret, struct err **e)
{
	if (doc->type && announced && *announced && strcmp(doc->type, announced) != 0)
		return err_set(e, ERR_SOURCE, "the manifest %s is sent as '%s' and described as '%s'", digest_text(&doc->digest).s,
			       doc->type, announced);
	return manifest_parse(buf_view(&doc->bytes), doc->type ? doc->type : announced, ret, e);
}

static int child(struct pull *p, struct peer *peer, struct dist_doc *doc, struct digest *seen, size_t nseen, struct err **e)
{
	struct manifest index = p->manifest;
	size_t i = 0;

	p->manifest = (struct manifest){ 0 };
	int rc = manifest_choose(&index, p->req->platform, &i, e);

	for (size_t k = 0; rc == 0 && k < nseen; k++) {
		if (digest_equal(&seen[k], &index.item[i].digest))
			rc = err_set(e, ERR_SOURCE, "the index %s contains itself", digest_text(&seen[k]).s);
	}
	if (rc == 0) {
		struct descriptor *d = &index.item[i];

		dist_doc_clear(doc);
		rc = dist_manifest(&p->d, peer, digest_text(&d->digest).s, &d->digest, d->size, doc, e);
		if (rc == 0)
			rc = parse(doc, d->media_type, &p->manifest, e);
	}
	manifest_clear(&index);
	return rc;
}

/* From the reference down to one manifest; *doc holds its bytes. */
static int descend(struct pull *p, struct peer *peer, struct dist_doc *doc, struct digest *ret_root, struct err **e)
{
	const struct ref *ref = p->req->ref;
	struct digest seen[NESTING_MAX + 1];
	size_t depth = 0;
	struct digest_text text = digest_text(&ref->digest);
	int rc = dist_manifest(&p->d, peer, ref->has_digest ? text.s : ref->tag, ref->has_digest ? &ref->digest : NULL, -1, doc, e);

	if (rc == 0)
		rc = parse(doc, NULL, &p->manifest, e);
	*ret_root = doc->digest;
	while (rc == 0 && p->manifest.kind == DOC_INDEX && !p->top) {
		if (depth == NESTING_MAX)
			return err_set(e, ERR_SOURCE, "indexes are nested more than %d deep", NESTING_MAX);
		seen[depth++] = doc->digest;
		rc = child(p, peer, doc, seen, depth, e);
	}
	return rc;
}

static int manifest_from(struct pull *p, const struct candidate *c, struct pull_result *ret, struct err **e)
{
	struct dist_doc doc = { 0 };
	struct peer *peer = dist_peer(&p->d, c, e);

	if (!peer)
		return -1;
	int rc = descend(p, peer, &doc, &ret->root, e);
	if (rc == 0 && p->manifest.kind == DOC_MANIFEST) {
		const struct descriptor *config = &p->manifest.config;

		ret->manifest = doc.digest;
		ret->manifest_bytes = doc.bytes;
		doc.bytes = (struct buf){ 0 };
		ret->media_type = mem_str(manifest_media_type(DOC_MANIFEST, p->manifest.docker));
		ret->config_bytes = (struct buf)BUF_MAX(CONFIG_MAX);
		ret->source = mem_printf("%s/%s", c->host, c->repo);
		rc = dist_small_blob(&p->d, peer, &config->digest, config->size, &ret->config_bytes, e);
	}
	dist_doc_clear(&doc);
	if (rc != 0) {
		manifest_clear(&p->manifest);
		p->manifest = (struct manifest){ 0 };
		pull_result_clear(ret);
	}
	return rc == 0 ? 0 : -1;
}

static int find_manifest(struct pull *p, struct pull_result *ret, struct err **e)
{
	for (p->at = 0; p->at < p->nplace; p->at++) {
		const struct candidate *c = &p->place[p->at];
		AUTO(err_freep) struct err *x = NULL;

		if (manifest_from(p, c, ret, &x) == 0)
			return 0;
		if (p->at + 1 < p->nplace) {
			net_note(&p->d.net, "%s/%s cannot serve this image (%s); trying the next place", c->host, c->repo,
				 err_cause(x));
			buf_printf(&p->failures, "%s%s/%s: %s", p->failures.n ? "; " : "", c->host, c->repo, err_cause(x));
		} else if (e && !*e) {
			*e = take(&x);
		}
	}
	if (p->failures.n)
		return err_wrap(e, "no mirror could serve it either (%s)", p->failures.p);
	return -1;
}

/* ---- layers */

struct slot {
	bool used, again;                /* again: the second try after a wrong digest */
	size_t layer, place;
	struct tmp file;
	struct download w;
};

static int slot_start(struct pull *p, struct slot *s, struct err **e)
{
	const struct descriptor *l = &p->manifest.item[s->layer];
	struct peer *peer = dist_peer(&p->d, &p->place[s->place], e);

	if (!peer || tmp_open(&s->file, p->req->dir, e) < 0)
		return -1;
	s->used = true;
	return download_start(&s->w, &p->d, peer, &l->digest, l->size, s->file.fd, e);
}

static void slot_clear(struct slot *s)
{
	if (s->used)
		download_clear(&s->w);
	tmp_rollback(&s->file);
	s->file = (struct tmp)TMP_NONE;
	s->used = false;
}

static int slot_done(struct pull *p, struct slot *s, struct err **e)
{
	const struct descriptor *l = &p->manifest.item[s->layer];
	AUTO(err_freep) struct err *x = NULL;
	char hex[DIGEST_HEX + 1];

	/* The transfer went well, so if the verdict is bad the content was wrong. */
	bool whole = !s->w.req.err && s->w.req.hop.status < 300;

	digest_hex(&l->digest, hex);
	if (download_verdict(&s->w, &x) == 0) {
		int rc = tmp_commit(&s->file, p->req->dir, hex, TMP_KEEP, 0444, e);

		slot_clear(s);
		return rc < 0 ? -1 : p->d.c->blob(p->d.c->arg, &l->digest, l->size, e);
	}
	slot_clear(s);
	if (whole && !s->again) {
		s->again = true;
		return slot_start(p, s, e);
	}
	/* A full disk is no fault of the place. */
	if (s->place + 1 < p->nplace && err_kind(x) != ERR_HOST) {
		net_note(&p->d.net, "%s cannot serve a layer (%s); trying the next place", p->place[s->place].host, err_cause(x));
		s->place++;
		s->again = false;
		return slot_start(p, s, e);
	}
	if (e && !*e)
		*e = take(&x);
	if (strstr(l->media_type, "foreign") || strstr(l->media_type, "nondistributable"))
		err_hint(e, "this layer is marked as not distributable: registries often do not have it, and its own addresses are "
			    "never fetched");
	return -1;
}

static bool wanted(const struct pull *p, size_t layer)
{
	const struct pull_req *r = p->req;
	const struct descriptor *l = &p->manifest.item[layer];
	const struct transfer_calls *c = p->d.c;

	for (size_t i = 0; i < layer; i++) {
		if (digest_equal(&p->manifest.item[i].digest, &l->digest))
			return false;
	}
	for (size_t i = 0; r->want && i < r->nwant; i++) {
		if (digest_equal(&r->want[i], &l->digest))
			return true;
	}
	return !r->want && !(c->have && c->have(c->arg, &l->digest, l->size));
}

static int drive(struct pull *p, struct slot *slot, size_t nslot, struct err **e)
{
	size_t next = 0, busy = 0;

	for (;;) {
		for (size_t i = 0; i < nslot; i++) {
			while (!slot[i].used && next < p->manifest.nitem && !wanted(p, next))
				next++;
			if (slot[i].used || next == p->manifest.nitem)
				continue;
			slot[i].layer = next++;
			slot[i].place = p->at;
			slot[i].again = false;
			if (slot_start(p, &slot[i], e) < 0)
				return -1;
		}
		busy = 0;
		for (size_t i = 0; i < nslot; i++) {
			if (slot[i].used && slot[i].w.req.done && slot_done(p, &slot[i], e) < 0)
				return -1;
			busy += slot[i].used;
		}
		if (busy == 0 && next == p->manifest.nitem)
			return 0;
		if (net_poll(&p->d.net, e) < 0)
			return -1;
	}
}

static int layers(struct pull *p, struct err **e)
{
	struct slot slot[PARALLEL_MAX];
	size_t n = p->d.o->parallel ? p->d.o->parallel : PARALLEL;

	if (p->manifest.nitem > LAYERS_MAX)
		return err_set(e, ERR_LIMIT, "the image has %zu layers; %d are allowed", p->manifest.nitem, LAYERS_MAX);
	n = n < PARALLEL_MAX ? n : PARALLEL_MAX;
	for (size_t i = 0; i < n; i++)
		slot[i] = (struct slot){ .file = TMP_NONE };
	int rc = drive(p, slot, n, e);
	for (size_t i = 0; i < n; i++)
		slot_clear(&slot[i]);
	return rc;
}

int pull_run(const struct pull_req *r, const struct transfer_opts *o, const struct transfer_calls *c, struct pull_result *ret,
	     struct err **e)
{
	AUTO(pull_clear) struct pull p = { .req = r, .failures = BUF_MAX(4096) };
	struct pull_result got = { 0 };
	AUTO(buf_freep) struct buf name = BUF_MAX(1024);

	dist_init(&p.d, o, c);
	ref_familiar(r->ref, &name);
	if (mirror_candidates(r->ref, o, false, &p.place, &p.nplace, e) < 0 || find_manifest(&p, &got, e) < 0 ||
	    (r->layers && layers(&p, e) < 0)) {
		pull_result_clear(&got);
		return err_wrap(e, "cannot pull '%s'", name.p);
	}
	*ret = got;
	return 0;
}

/* Of an index; what is in it for no platform, like an attestation, is not counted. */
static size_t platforms_of(const struct manifest *m, struct platform *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < m->nitem; i++)
		if (m->item[i].platform.os[0] && strcmp(m->item[i].platform.os, "unknown") != 0)
			ret[n++] = m->item[i].platform;
	return n;
}

int pull_platforms(const struct ref *ref, const struct transfer_opts *o, const struct transfer_calls *c, struct platform **ret, size_t *n,
		   struct err **e)
{
	const struct pull_req req = { .ref = ref };
	AUTO(pull_clear) struct pull p = { .req = &req, .top = true, .failures = BUF_MAX(4096) };
	struct pull_result got = { 0 };
	struct image im = { 0 };
	int rc = 0;

	dist_init(&p.d, o, c);
	if (mirror_candidates(ref, o, false, &p.place, &p.nplace, e) < 0 || find_manifest(&p, &got, e) < 0)
		return -1;
	*ret = mem_array(p.manifest.nitem + 1, sizeof(**ret));
	if (p.manifest.kind == DOC_INDEX) {
		*n = platforms_of(&p.manifest, *ret);
	} else if ((rc = image_from(&p.manifest, buf_view(&got.config_bytes), &im, e)) == 0) {
		(*ret)[0] = im.platform;
		*n = 1;
	}
	image_clear(&im);
	pull_result_clear(&got);
	if (rc < 0)
		mem_freep(ret);
	return rc;
}
