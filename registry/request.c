/* registry/request.c - see request.h.
 *
 *     begin -> hop -> answer --- 401 --> auth -> begin
 *                |      |------- 3xx --> hop elsewhere
 *                |      |- 429, 5xx ---> pause -> begin
 *                |- broken ------------> pause -> begin (Range)
 */
#include "registry/request.h"

#include "base/clock.h"
#include "base/jdoc.h"
#include "base/mem.h"

#include <stdlib.h>
#include <sys/random.h>

enum {
	REDIRECTS_MAX = 5, LOGINS_MAX = 2, PAUSE_MAX_S = 30, RETRY_AFTER_MAX_S = 120, PROGRESS = 1 << 20, PROGRESS_MINUTE = 60 << 10,
};
#define SECOND INT64_C(1000000000)

void net_init(struct net *n, enum err_kind kind)
{
	*n = (struct net){ .http = http_new(), .kind = kind, .retries = 5 };
}

void net_clear(struct net *n)
{
	for (size_t i = 0; i < n->npeer; i++)
		peer_free(n->peer[i]);
	free(n->peer);
	free(n->active);
	if (n->plain)
		certs_clear(n->plain);
	free(n->plain);
	http_free(n->http);
	*n = (struct net){ 0 };
}

void net_note(struct net *n, const char *fmt, ...)
{
	struct buf b = BUF_MAX(4096);
	va_list ap;

	if (!n->note)
		return;
	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	n->note(n->note_arg, b.p ? b.p : "");
	buf_free(&b);
}

struct peer *net_peer(struct net *n, const char *host, const char *repo, const char *api, bool insecure, struct err **e)
{
	for (size_t i = 0; i < n->npeer; i++) {
		struct peer *p = n->peer[i];

		if (strcmp(p->host, host) == 0 && strcmp(p->repo, repo) == 0 && p->insecure == insecure)
			return p;
	}
	struct peer *p = mem_zalloc(sizeof(*p));
	AUTO(url_clear) struct url u = { 0 };
	p->host = mem_str(host);
	p->repo = mem_str(repo);
	p->api = mem_str(api ? api : host);
	p->insecure = insecure;
	if (peer_url(p, "/", &u, e) < 0 || certs_find(host, n->cert_dir, insecure, &p->certs, e) < 0) {
		peer_free(p);
		return NULL;
	}
	p->class = addr_class_host(u.host);
	p->loopback = p->class == ADDR_LOOPBACK;
	MEM_ROOM(n->peer, n->npeer, n->peer_cap);
	return n->peer[n->npeer++] = p;
}

/* ---- one attempt */

static int request_sink(struct hop *hop, const void *bytes, size_t n, struct err **e)
{
	struct request *r = hop->arg;

	uint64_t fresh = hop->body > r->skip ? hop->body - r->skip : 0;

	if (fresh > n)
		fresh = n;
	if (r->expect >= 0 && r->good + fresh > (uint64_t)r->expect)
		return err_set(e, r->net->kind, "%s sent more than the %jd bytes announced", hop->url->host, (intmax_t)r->expect);
	if (fresh && r->sink(r->arg, (const char *)bytes + (n - fresh), fresh, e) < 0)
		return -1;
	r->good += fresh;
	return 0;
}

/* First bytes of a 2xx after a break: where do they belong? */
static int resumed(struct request *r, struct err **e)
{
	int64_t first = 0, last = 0, total = 0;
	struct slice s;

	r->skip = 0;
	if (r->hop.status != 206) {
		r->skip = r->good;                   /* the whole again: leave out what we have */
		return 0;
	}
	if (r->good && hop_header(&r->hop, "Content-Range", 0, &s) && content_range_parse(s, &first, &last, &total) &&
	    (uint64_t)first == r->good && (total < 0 || r->expect < 0 || total == r->expect))
		return 0;
	r->misplaced = true;
	return err_set(e, r->net->kind, "%s sent a part that was not asked for", r->hop.url->host);
}

static int on_first_bytes(struct hop *hop, const void *bytes, size_t n, struct err **e)
{
	struct request *r = hop->arg;
	struct slice coding;

	if (!r->skipping_checked) {
		r->skipping_checked = true;
		if (r->resume && hop_header(hop, "Content-Encoding", 0, &coding) && !slice_is_nocase(coding, "identity"))
			return err_set(e, r->net->kind, "%s sent '%.*s' content where the bytes as they are were asked for",
				       hop->url->host, SLICE_F(coding));
		if (resumed(r, e) < 0)
			return -1;
	}
	return request_sink(hop, bytes, n, e);
}

static const struct http_tls *tls_for(struct request *r, struct err **e)
{
	struct net *n = r->net;
	AUTO(url_clear) struct url own = { 0 };
	const struct peer *p = r->peer ? r->peer : r->tls_of;

	if (p)
		return peer_url(p, "/", &own, e) < 0 ? NULL : url_same_origin(&own, &r->at) ? &p->certs.tls : &p->certs.guest;
	if (!n->plain) {
		struct certs *c = mem_zalloc(sizeof(*c));

		if (certs_find(NULL, NULL, false, c, e) < 0) {
			free(c);
			return NULL;
		}
		n->plain = c;
	}
	return &n->plain->tls;
}

/* The Authorization for this attempt: none once the chain has left its first origin, for good (R4). */
static int login_line(struct request *r, struct err **e)
{
	AUTO(mem_freep) char *value = NULL;
	AUTO(url_clear) struct url own = { 0 };

	if (r->auth_line)
		mem_wipe(r->auth_line, strlen(r->auth_line));
	free(take(&r->auth_line));
	r->sent_login = false;
	r->token = 0;
	if (r->away)
		return 0;
	if (r->peer) {
		if (peer_url(r->peer, "/", &own, e) < 0)
			return -1;
		if (!url_same_origin(&own, &r->at))
			return 0;
		if (auth_value(r->net, r->peer, r->scope ? r->scope : "", &value, &r->token, e) < 0)
			return -1;
		r->sent_login = value != NULL;
	} else if (r->authorization) {
		value = mem_str(r->authorization);
	}
	if (!value)
		return 0;
	r->auth_line = mem_printf("Authorization: %s", value);
	mem_wipe(value, strlen(value));
	return 0;
}

static int hop_begin(struct request *r, struct err **e)
{
	size_t n = 0;

	if (login_line(r, e) < 0)
		return -1;
	free(take(&r->range_line));
	if (r->resume && r->good > 0)
		r->range_line = mem_printf("Range: bytes=%ju-", (uintmax_t)r->good);
	for (size_t i = 0; i < REQUEST_HEADERS && r->header[i]; i++)
		r->lines[n++] = r->header[i];
	if (r->range_line)
		r->lines[n++] = r->range_line;
	if (r->auth_line)
		r->lines[n++] = r->auth_line;
	r->lines[n] = NULL;
	if (r->source && r->source->rewind(r->source->arg, e) < 0)
		return -1;
	r->skipping_checked = false;
	r->hop.method = r->method;
	r->hop.url = &r->at;
	r->hop.header = r->lines;
	r->hop.tls = tls_for(r, e);
	if (!r->hop.tls)
		return -1;
	r->hop.identity = r->auth_line ? (r->peer ? peer_identity(r->peer) : r->auth_line) : "";
	r->hop.source = r->source;
	r->hop.max_body = r->max_body;
	r->hop.sink = r->sink ? on_first_bytes : NULL;
	r->hop.arg = r;
	r->hop.kind = r->net->kind;
	r->running = true;
	r->started = clock_ns();
	return http_start(r->net->http, &r->hop, e);
}

static int begin(struct request *r, struct err **e)
{
	url_clear(&r->at);
	r->redirects = 0;
	r->away = false;
	r->hop.guarded = r->guarded;
	r->hop.from = r->from;
	if (!r->path)
		url_copy(&r->at, &r->url);
	else if (peer_url(r->peer, r->path, &r->at, e) < 0)
		return -1;
	if (r->guarded && !addr_allowed(r->from, addr_class_host(r->at.host)))
		return err_set(e, r->net->kind, "refusing to be sent to '%s', which is an internal address", r->at.host);
	return hop_begin(r, e);
}

/* ---- after an attempt */

static void finish(struct request *r)
{
	r->running = false;
	r->done = true;
}

static int fail(struct request *r, struct err *take_err)
{
	if (!r->err)
		r->err = take_err;
	else
		err_free(take_err);
	finish(r);
	return 0;
}

static int from_nothing(struct request *r, struct err **e)
{
	r->good = 0;
	return r->restart ? r->restart(r->arg, e) : 0;
}

/* Try again later, or give up: then *take_err is the reason, or the answer stands when that is NULL. */
static int again(struct request *r, int64_t pause_s, struct err *take_err, struct err **e)
{
	int64_t now = clock_ns();
	uint32_t dice = 0;

	/* It goes on, if slowly. A minute in which nothing came does not count: a server could hold us with such minutes for ever. */
	if (r->good >= r->good_before + PROGRESS ||
	    (r->broke && now - r->broke > 60 * SECOND && r->good >= r->good_before + PROGRESS_MINUTE))
		r->tries = 0;
	r->good_before = r->good;
	r->broke = now;
	if (r->once || ++r->tries >= r->net->retries) {
		if (take_err)
			return fail(r, take_err);
		finish(r);
		return 0;
	}
	err_free(take_err);
	if (!r->resume && r->sink && from_nothing(r, e) < 0)
		return -1;
	int64_t ns = pause_s * SECOND;
	if (pause_s < 0 && r->net->retry_delay_ns) {
		ns = r->net->retry_delay_ns;
	} else if (pause_s < 0) {
		if (getrandom(&dice, sizeof(dice), GRND_NONBLOCK) < 0)
			dice = (uint32_t)now;
		ns = (r->tries > 6 ? PAUSE_MAX_S : INT64_C(1) << (r->tries - 1)) * SECOND / 2;
		ns += ns / 2 * (dice % 1000) / 1000;     /* so that those who were refused together do not come back together */
	}
	r->running = false;
	r->not_before = now + ns;
	return 0;
}

static int retry_status(struct request *r, struct err **e)
{
	int64_t wait = -1;
	struct slice s;

	if (hop_header(&r->hop, "Retry-After", 0, &s) && retry_after_parse(s, clock_wall(), &wait) && wait > RETRY_AFTER_MAX_S) {
		struct err *x = NULL;

		err_set(&x, r->net->kind, "%s asks to come back in %jd seconds", r->at.host, (intmax_t)wait);
		return fail(r, x);
	}
	return again(r, wait, NULL, e);
}

static bool leads_inside(struct request *r, const struct url *to)
{
	enum addr_class from = r->hop.guarded ? r->hop.from : r->hop.peer;

	if (r->peer && r->peer->class != ADDR_NAME)
		from = r->peer->class;
	r->hop.from = from;
	r->hop.guarded = true;
	return !addr_allowed(from, addr_class_host(to->host));
}

static int redirect_to(struct request *r, struct slice location, struct err **e)
{
	AUTO(url_clear) struct url to = { 0 };
	AUTO(mem_freep) char *shown = NULL;

	if (url_resolve(&r->at, location, &to, e) < 0)
		return err_wrap(e, "%s redirects to a place that cannot be used", r->at.host);
	shown = url_shown(&to);
	if (++r->redirects > REDIRECTS_MAX)
		return err_set(e, r->net->kind, "%s: more than %d redirects", r->at.host, REDIRECTS_MAX);
	if (strcmp(to.text, r->at.text) == 0)
		return err_set(e, r->net->kind, "%s redirects to itself", r->at.host);
	if (r->at.https && !to.https)
		return err_set(e, r->net->kind, "refusing the redirect from https to '%s'", shown);
	bool other = !url_same_origin(&r->at, &to);
	if (other && r->stay)
		return err_set(e, r->net->kind, "refusing to send a login on to '%s'", shown);
	if (other && leads_inside(r, &to))
		return err_set(e, r->net->kind, "refusing the redirect to '%s', which is an internal address", shown);
	r->away = r->away || other;
	url_clear(&r->at);
	r->at = to;
	to = (struct url){ 0 };
	return hop_begin(r, e);
}

static bool redirects(const struct request *r)
{
	long s = r->hop.status;
	bool upload = strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0;

	return s == 307 || s == 308 || (!upload && (s == 301 || s == 302 || s == 303));
}

static int unauthorised(struct request *r, struct err **e)
{
	if (r->away) {                               /* a signed URL that expired: ask for a new one, once */
		if (r->came_back || r->once) {
			finish(r);
			return 0;
		}
		r->came_back = true;
		return begin(r, e);
	}
	if (r->hop.status != 401 || !r->peer || r->logins >= LOGINS_MAX) {
		finish(r);
		return 0;
	}
	r->logins++;
	int rc = auth_challenged(r->net, r->peer, r, e);
	if (rc == AUTH_FINAL) {
		finish(r);
		return 0;
	}
	return rc < 0 ? -1 : begin(r, e);
}

/* "299 - "text"": a registry's word to its users, passed on once. */
static void warnings(struct request *r)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(4096);
	struct slice s, code, agent;

	for (size_t i = 0; hop_header(&r->hop, "Warning", i, &s); i++) {
		if (!slice_cut(s, ' ', &code, &s) || !slice_is(code, "299") || !slice_cut(s, ' ', &agent, &s))
			continue;
		buf_reset(&text);
		buf_escaped(&text, slice_trim(s, "\" "), 1024);
		if (r->peer->warning && strcmp(r->peer->warning, text.p) == 0)
			continue;
		free(r->peer->warning);
		r->peer->warning = mem_str(text.p);
		net_note(r->net, "%s says: %s", r->peer->host, text.p);
	}
}

/* The registry itself spoke: what does that tell about it? */
static void learn(struct request *r)
{
	r->peer->decided = true;
	if (r->peer->class == ADDR_NAME)
		r->peer->class = r->hop.peer;
	warnings(r);
}

static int answered(struct request *r, struct err **e)
{
	long s = r->hop.status;
	struct slice location;

	if (r->peer && !r->away)
		learn(r);
	if (redirects(r) && hop_header(&r->hop, "Location", 0, &location))
		return redirect_to(r, location, e);
	if (s == 401 || (s == 403 && r->away))
		return unauthorised(r, e);
	if (s == 408 || s == 429 || s == 500 || s == 502 || s == 503 || s == 504)
		return retry_status(r, e);
	if (s == 416 && r->good > 0 && !r->restarted) {
		r->restarted = true;
		return from_nothing(r, e) < 0 ? -1 : begin(r, e);
	}
	/* A body without length or chunks that just stops is a success for HTTP (spec/oci.md 0.4). */
	uint64_t got = r->sink ? r->good : r->hop.text.n;
	if (s >= 200 && s < 300 && r->expect >= 0 && got < (uint64_t)r->expect) {
		struct err *x = NULL;

		err_set(&x, r->net->kind, "%s sent %ju of %jd bytes", r->at.host, (uintmax_t)got, (intmax_t)r->expect);
		return again(r, -1, x, e);
	}
	finish(r);
	return 0;
}

/* TLS is not spoken there, and plain HTTP is allowed: from now on that (R1). */
static bool fall_back(struct request *r)
{
	struct peer *p = r->peer;

	if (!p || !r->path || r->redirects || !peer_may_be_plain(p))
		return false;
	/* Another request may have found it out while this one was on its way. */
	if (p->http || p->decided)
		return p->http && r->at.https;
	p->http = true;
	return true;
}

static int judge(struct request *r, struct err **e)
{
	struct err *why = r->hop.err;

	r->running = false;
	r->hop.err = NULL;
	switch (r->hop.end) {
	case HOP_ANSWER:
		return answered(r, e);
	case HOP_UNREACHED:
		if (fall_back(r)) {
			err_free(why);
			return begin(r, e);
		}
		/* A first contact that is refused will be refused again; one that worked before may come back. */
		if (r->peer && r->peer->decided)
			return again(r, -1, why, e);
		return fail(r, why);
	case HOP_UNTRUSTED:
		err_hint(&why, "put the certificate of its CA into a directory and give it with --cert-dir");
		return fail(r, why);
	case HOP_BROKEN:
		return again(r, -1, why, e);
	case HOP_STOPPED:
		if (!r->misplaced || r->restarted)
			break;
		err_free(why);
		r->misplaced = false;
		r->restarted = true;
		return from_nothing(r, e) < 0 ? -1 : begin(r, e);
	}
	return fail(r, why);
}

/* Whatever goes wrong inside a step is the outcome of that request. */
static void step(struct request *r)
{
	struct err *x = NULL;
	int rc = 0;

	if (r->done)
		return;
	if (r->running && r->hop.done)
		rc = judge(r, &x);
	else if (!r->running && clock_ns() >= r->not_before)
		rc = begin(r, &x);
	if (rc < 0)
		fail(r, x);
}

void request_init(struct request *r, struct net *n, struct peer *p, const char *method)
{
	*r = (struct request){ .net = n, .peer = p, .method = method, .max_body = 1 << 20, .expect = -1 };
}

int request_start(struct request *r, struct err **e)
{
	struct net *n = r->net;

	MEM_ROOM(n->active, n->nactive, n->active_cap);
	n->active[n->nactive++] = r;
	r->active = true;
	r->done = false;
	if (r->delay_ms > 0) {
		r->not_before = clock_ns() + r->delay_ms * 1000000;
		return 0;
	}
	return begin(r, e);
}

static int64_t wait_ms(const struct request *r, int64_t now)
{
	if (r->running || r->done)
		return r->running && r->hop.done ? 0 : 1000;
	return r->not_before > now ? (r->not_before - now) / 1000000 + 1 : 0;
}

int net_poll(struct net *n, struct err **e)
{
	int64_t ms = 1000, now = clock_ns();
	bool any = false;

	/* A step may run token requests, but starts and ends none of the active ones. */
	for (size_t i = 0; i < n->nactive; i++) {
		step(n->active[i]);
		any = any || n->active[i]->done;
	}
	for (size_t i = 0; i < n->nactive; i++) {
		int64_t w = wait_ms(n->active[i], now);

		ms = w < ms ? w : ms;
	}
	return http_poll(n->http, any ? 0 : (int)ms, e);
}

int request_run(struct request *r, struct err **e)
{
	if (begin(r, e) < 0)
		return -1;
	while (!r->done) {
		step(r);
		int64_t ms = wait_ms(r, clock_ns());

		if (!r->done && http_poll(r->net->http, ms < 1000 ? (int)ms : 1000, e) < 0)
			return -1;
	}
	if (!r->err)
		return 0;
	if (e && !*e)
		*e = take(&r->err);
	return -1;
}

void request_clear(struct request *r)
{
	struct net *n = r->net;

	for (size_t i = 0; r->active && i < n->nactive; i++) {
		if (n->active[i] == r) {
			n->active[i] = n->active[--n->nactive];
			break;
		}
	}
	r->active = false;
	hop_clear(&r->hop);
	url_clear(&r->url);
	url_clear(&r->at);
	if (r->auth_line)
		mem_wipe(r->auth_line, strlen(r->auth_line));
	free(take(&r->auth_line));
	free(take(&r->range_line));
	err_free(take(&r->err));
}
