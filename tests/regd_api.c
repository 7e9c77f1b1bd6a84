/* tests/regd_api.c - what regd keeps, whom it lets in, and the registry's API. */
#include "tests/regd.h"

#include <stdlib.h>
#include <strings.h>

/* ---- what is kept */

static struct item *find(struct regd *d, const char *name)
{
	for (size_t i = 0; i < d->nitem; i++) {
		if (strcmp(d->item[i].name, name) == 0)
			return &d->item[i];
	}
	return NULL;
}

static struct item *keep(struct regd *d, const char *name, const char *type, struct slice bytes)
{
	struct item *it = find(d, name);

	if (!it) {
		it = &d->item[d->nitem++];
		*it = (struct item){ .name = mem_str(name), .bytes = BUF_MAX(BODY_MAX) };
	}
	free(it->type);
	it->type = mem_str(type);
	buf_reset(&it->bytes);
	buf_slice(&it->bytes, bytes);
	return it;
}

/* ---- logins */

static void decode_basic(const char *auth, char ret[256])
{
	static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = strncasecmp(auth, "Basic ", 6) == 0 ? auth + 6 : "";
	uint32_t v = 0;
	unsigned bits = 0;
	size_t n = 0;

	for (; *p && strchr(abc, *p) && n < 255; p++) {
		v = v << 6 | (uint32_t)(strchr(abc, *p) - abc);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			ret[n++] = (char)(v >> bits);
		}
	}
	ret[n] = '\0';
}

static bool basic_ok(const struct req *q)
{
	char have[256];
	AUTO(mem_freep) char *want = mem_printf("%s:%s", q->d->user, q->d->password);

	decode_basic(q->auth, have);
	return strcmp(have, want) == 0;
}

static void token(struct req *q)
{
	AUTO(mem_freep) char *body = NULL;

	if (strcmp(q->d->user, "-") != 0 && !basic_ok(q)) {
		failure(q, 401, "UNAUTHORIZED", "");
		return;
	}
	body = mem_printf("{\"token\":\"tok-%u\",\"expires_in\":300}", ++q->d->tokens);
	answer(q, 200, "Content-Type: application/json\r\n", slice_of(body));
}

static bool allowed(struct req *q)
{
	struct regd *d = q->d;
	unsigned n = 0;

	if (!d->scheme || q->side == 1)
		return true;
	if (strcmp(d->scheme, "basic") == 0)
		return basic_ok(q);
	return sscanf(q->auth, "Bearer tok-%u", &n) == 1 && n > d->oldest_token && n <= d->tokens;
}

static void challenge(struct req *q)
{
	AUTO(mem_freep) char *h = NULL;

	if (strcmp(q->d->scheme, "basic") == 0)
		h = mem_str("WWW-Authenticate: Basic realm=\"regd\"\r\n");
	else
		h = mem_printf("WWW-Authenticate: Bearer realm=\"http://127.0.0.1:%u/token\",service=\"regd\"\r\n", q->d->port[0]);
	failure(q, 401, "UNAUTHORIZED", acts(q, "noauth") ? "" : h);
}

/* ---- the API */

static void get_bytes(struct req *q, const struct item *it, const char *digest)
{
	AUTO(buf_freep) struct buf h = BUF_MAX(8192);
	struct slice body = buf_view(&it->bytes);
	unsigned long long from = 0;

	buf_printf(&h, "Content-Type: %s\r\n", acts(q, "type") ? q->rule->arg : it->type);
	if (digest)
		buf_printf(&h, "Docker-Content-Digest: %s\r\n", acts(q, "digest") ? q->rule->arg : digest);
	if (*q->range && !acts(q, "norange") && sscanf(q->range, "bytes=%llu-", &from) == 1) {
		if (from >= body.n) {
			failure(q, 416, "RANGE", "");
			return;
		}
		buf_printf(&h, "Content-Range: bytes %llu-%zu/%zu\r\n", from, body.n - 1, body.n);
		answer(q, 206, h.p, slice_skip(body, (size_t)from));
		return;
	}
	answer(q, 200, h.p, body);
}

static void upload_answer(struct req *q, int status, const char *name, size_t have)
{
	AUTO(mem_freep) char *where = acts(q, "location") ? expand(q, q->rule->arg) : mem_printf("/v2/x/blobs/uploads/%s?s=1", name);
	AUTO(mem_freep) char *h = mem_printf("Location: %s\r\nRange: 0-%zu\r\n", where, have ? have - 1 : 0);

	answer(q, status, h, SLICE_NONE);
}

static void upload(struct req *q, const char *rest)
{
	char name[32] = "", digest[DIGEST_TEXT + 1] = "";
	const char *query = strchr(q->path, '?'), *at = query ? strstr(query, "digest=") : NULL;
	struct digest have;

	if (strcmp(q->method, "POST") == 0) {
		const char *mount = query ? strstr(query, "mount=") : NULL;

		if (mount)
			snprintf(digest, sizeof(digest), "%.71s", mount + 6);
		if (mount && find(q->d, digest)) {
			answer(q, 201, "", SLICE_NONE);
			return;
		}
		snprintf(name, sizeof(name), "u%u", ++q->d->uploads);
		keep(q->d, name, "upload", SLICE_NONE);
		upload_answer(q, 202, name, 0);
		return;
	}
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(rest, "?"), rest);
	struct item *u = find(q->d, name);
	if (!u) {
		failure(q, 404, "BLOB_UPLOAD_UNKNOWN", "");
		return;
	}
	if (strcmp(q->method, "GET") == 0) {
		upload_answer(q, 204, name, u->bytes.n);
		return;
	}
	buf_slice(&u->bytes, buf_view(&q->body));
	if (strcmp(q->method, "PATCH") == 0) {
		upload_answer(q, 202, name, u->bytes.n);
		return;
	}
	if (at && strncmp(at + 7, "sha256%3A", 9) == 0)
		snprintf(digest, sizeof(digest), "sha256:%.64s", at + 16);
	digest_of(u->bytes.p, u->bytes.n, &have);
	if (strcmp(digest_text(&have).s, digest) != 0) {
		buf_reset(&u->bytes);
		failure(q, 400, "DIGEST_INVALID", "");
		return;
	}
	keep(q->d, digest, "application/octet-stream", buf_view(&u->bytes));
	answer(q, 201, "", SLICE_NONE);
}

static void manifest(struct req *q, const char *repo, size_t nrepo, const char *reference)
{
	AUTO(mem_freep) char *name = mem_printf("%.*s/%s", (int)nrepo, repo, reference);
	struct digest d;

	if (strcmp(q->method, "PUT") == 0) {
		digest_of(q->body.p, q->body.n, &d);
		AUTO(mem_freep) char *by_digest = mem_printf("%.*s/%s", (int)nrepo, repo, digest_text(&d).s);
		AUTO(mem_freep) char *h = mem_printf("Docker-Content-Digest: %s\r\n",
						     acts(q, "digest") ? q->rule->arg : digest_text(&d).s);
		keep(q->d, name, q->type, buf_view(&q->body));
		keep(q->d, by_digest, q->type, buf_view(&q->body));
		answer(q, 201, h, SLICE_NONE);
		return;
	}
	const struct item *it = find(q->d, name);
	if (!it) {
		failure(q, 404, "MANIFEST_UNKNOWN", "");
		return;
	}
	digest_of(it->bytes.p, it->bytes.n, &d);
	get_bytes(q, it, digest_text(&d).s);
}

static void api(struct req *q)
{
	const char *path = q->path;

	if (strncmp(path, "/storage", 8) == 0)
		path += 8;
	const char *blobs = strstr(path, "/blobs/"), *manifests = strstr(path, "/manifests/");
	if (strncmp(path, "/v2/", 4) != 0) {
		failure(q, 404, "NOT_FOUND", "");
	} else if (path[4] == '\0') {
		answer(q, 200, "", SLICE_LIT("{}"));
	} else if (blobs && strncmp(blobs, "/blobs/uploads/", 15) == 0) {
		upload(q, blobs + 15);
	} else if (manifests) {
		manifest(q, path + 4, (size_t)(manifests - path - 4), manifests + 11);
	} else {
		const struct item *it = blobs ? find(q->d, blobs + 7) : NULL;

		if (it)
			get_bytes(q, it, NULL);
		else
			failure(q, 404, "BLOB_UNKNOWN", "");
	}
}

void serve(struct req *q)
{
	struct regd *d = q->d;

	for (size_t i = 0; i < d->nrule && !q->rule; i++) {
		struct rule *r = &d->rule[i];

		if (r->left == 0 || (strcmp(r->method, "*") != 0 && strcmp(r->method, q->method) != 0) ||
		    (*r->word == '^' ? strncmp(q->path, r->word + 1, strlen(r->word + 1)) != 0 : !strstr(q->path, r->word)))
			continue;
		r->left -= r->left > 0;
		q->rule = r;
	}
	if (acts(q, "drop")) {
		note(q, 0);
		cut(q, true);
	} else if (acts(q, "forget")) {
		d->oldest_token = d->tokens;
		challenge(q);
	} else if (acts(q, "status")) {
		const char *header = strchr(q->rule->arg, ' ');
		AUTO(mem_freep) char *h = header ? mem_printf("%s\r\n", header + 1) : mem_str("");

		failure(q, (int)strtol(q->rule->arg, NULL, 10), "UNAVAILABLE", h);
	} else if (acts(q, "redirect")) {
		const char *to = strchr(q->rule->arg, ' ');
		AUTO(mem_freep) char *url = expand(q, to ? to + 1 : "/");
		AUTO(mem_freep) char *h = mem_printf("Location: %s\r\n", url);

		answer(q, (int)strtol(q->rule->arg, NULL, 10), h, SLICE_NONE);
	} else if (acts(q, "echo")) {
		char plain[256];

		decode_basic(q->auth, plain);
		AUTO(mem_freep) char *b = mem_printf("{\"errors\":[{\"code\":\"ECHO\",\"message\":\"%s %s\"}]}", plain, q->auth);
		answer(q, 400, "Content-Type: application/json\r\n", slice_of(b));
	} else if (acts(q, "escaped")) {
		answer(q, 400, "Content-Type: application/json\r\n", slice_of(q->rule->arg));
	} else if (acts(q, "body")) {
		answer(q, 200, "Content-Type: application/json\r\n", slice_of(q->rule->arg));
	} else if (strncmp(q->path, "/token", 6) == 0) {
		token(q);
	} else if (!allowed(q)) {
		challenge(q);
	} else {
		api(q);
	}
}
