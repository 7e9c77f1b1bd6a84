/* registry/fetch.c - one URL into a file: http_fetch() of http.h, for ADD and contexts. */
#include "registry/request.h"

#include "base/fd.h"
#include "base/mem.h"
#include "registry/base64.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { VALUE_MAX = 16 << 10 };

struct fetch {
	const struct http_fetch_req *req;
	struct request r;
	uint64_t size, total;
};

static int on_bytes(void *arg, const void *p, size_t n, struct err **e)
{
	struct fetch *f = arg;
	struct slice s;

	if (f->size == 0 && hop_header(&f->r.hop, "Content-Length", 0, &s))
		slice_u64(s, &f->total);
	if (fd_write_all(f->req->fd, p, n, e) < 0)
		return -1;
	f->size += n;
	if (f->req->progress)
		f->req->progress(f->req->arg, f->size, f->total);
	return 0;
}

static int on_restart(void *arg, struct err **e)
{
	struct fetch *f = arg;

	f->size = 0;
	if (ftruncate(f->req->fd, 0) < 0 || lseek(f->req->fd, 0, SEEK_SET) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot start the download again");
	return 0;
}

static char *header_copy(const struct request *r, const char *name)
{
	struct slice s;

	return hop_header(&r->hop, name, 0, &s) ? mem_strn(s.p, s.n) : NULL;
}

/* "user:password@" of the URL becomes a header, percent-decoded; it is never shown and never sent elsewhere. */
static char *userinfo_value(const char *userinfo)
{
	struct buf plain = BUF_MAX(VALUE_MAX), out = BUF_MAX(2 * VALUE_MAX);
	bool colon = strchr(userinfo, ':') != NULL;

	for (const char *p = userinfo; *p; p++) {
		char hex[3] = { p[0] == '%' ? p[1] : '\0', p[1] && p[0] == '%' ? p[2] : '\0', '\0' };
		char *end = NULL;
		long v = strtol(hex, &end, 16);

		if (*p == '%' && end == hex + 2) {
			buf_char(&plain, (char)v);
			p += 2;
		} else {
			buf_char(&plain, *p);
		}
	}
	if (!colon)
		buf_char(&plain, ':');
	buf_str(&out, "Basic ");
	base64_put(&out, buf_view(&plain));
	mem_wipe(plain.p, plain.n);
	buf_free(&plain);
	return buf_steal(&out);
}

static int prepare(struct fetch *f, char **login, char **etag, char **since, struct err **e)
{
	struct request *r = &f->r;
	size_t n = 0;

	if (url_parse(slice_of(f->req->url), &r->url, e) < 0)
		return err_kind_set(e, ERR_INPUT);
	if (f->req->authorization)
		*login = mem_str(f->req->authorization);
	else if (r->url.userinfo)
		*login = userinfo_value(r->url.userinfo);
	r->authorization = *login;
	r->header[n++] = "Accept: */*";
	r->header[n++] = "Accept-Encoding: identity";
	if (f->req->if_none_match)
		r->header[n++] = *etag = mem_printf("If-None-Match: %s", f->req->if_none_match);
	if (f->req->if_modified_since)
		r->header[n++] = *since = mem_printf("If-Modified-Since: %s", f->req->if_modified_since);
	for (size_t i = 0; i < n; i++) {
		if (strpbrk(r->header[i], "\r\n"))
			return err_set(e, ERR_INPUT, "a header for '%s' would contain a line end", r->url.host);
	}
	if (*login && strpbrk(*login, "\r\n"))
		return err_set(e, ERR_INPUT, "the login for '%s' contains a line end", r->url.host);
	r->max_body = f->req->max ? f->req->max : UINT64_C(16) << 30;
	r->sink = f->req->head ? NULL : on_bytes;
	r->restart = on_restart;
	r->arg = f;
	return 0;
}

static int finished(struct fetch *f, struct http_fetched *ret, struct err **e)
{
	struct request *r = &f->r;
	AUTO(mem_freep) char *shown = url_shown(&r->at);
	struct slice s;

	*ret = (struct http_fetched){ .moved = strcmp(r->at.text, r->url.text) != 0 };
	if (r->hop.status == 304)
		return HTTP_UNCHANGED;
	if (r->hop.status < 200 || r->hop.status > 299)
		return err_set(e, ERR_SOURCE, "%s: invalid response status %ld", shown, r->hop.status);
	bool coded = hop_header(&r->hop, "Content-Encoding", 0, &s) && s.n && !slice_is_nocase(s, "identity");
	if (coded && !slice_is_nocase(s, "gzip") && !slice_is_nocase(s, "x-gzip"))
		return err_set(e, ERR_SOURCE, "%s is sent with the content encoding '%.*s', which was not asked for", shown, SLICE_F(s));
	ret->etag = header_copy(r, "ETag");
	ret->last_modified = header_copy(r, "Last-Modified");
	ret->date = header_copy(r, "Date");
	ret->gzip = coded;
	ret->size = f->size;
	return 0;
}

int http_fetch(const struct http_fetch_req *q, struct http_fetched *ret, struct err **e)
{
	struct fetch f = { .req = q };
	struct net net;
	AUTO(mem_freep) char *login = NULL;
	AUTO(mem_freep) char *etag = NULL;
	AUTO(mem_freep) char *since = NULL;

	net_init(&net, ERR_SOURCE);
	request_init(&f.r, &net, NULL, q->head ? "HEAD" : "GET");
	int rc = prepare(&f, &login, &etag, &since, e);
	if (rc == 0)
		rc = request_run(&f.r, e);
	if (rc == 0)
		rc = finished(&f, ret, e);
	AUTO(mem_freep) char *shown = f.r.url.text ? url_shown(&f.r.url) : NULL;
	request_clear(&f.r);
	net_clear(&net);
	if (login)
		mem_wipe(login, strlen(login));
	return rc < 0 ? err_wrap(e, "cannot download '%s'", shown ? shown : "the URL") : rc;
}

void http_fetched_clear(struct http_fetched *f)
{
	free(f->etag);
	free(f->last_modified);
	free(f->date);
	*f = (struct http_fetched){ 0 };
}
