/* registry/auth.c - see auth.h. */
#include "registry/auth.h"

#include "base/clock.h"
#include "base/jdoc.h"
#include "base/mem.h"
#include "registry/base64.h"
#include "registry/request.h"

#include <stdlib.h>

enum { VALUE_MAX = 128 << 10, TOKEN_ANSWER_MAX = 1 << 20, LIFE_MIN_S = 60, CLIENT_MAX = 4096 };
#define SECOND INT64_C(1000000000)

static void token_clear(struct token *t)
{
	free(t->scope);
	if (t->value)
		mem_wipe(t->value, strlen(t->value));
	free(t->value);
	*t = (struct token){ 0 };
}

void peer_free(struct peer *p)
{
	for (size_t i = 0; i < p->ntoken; i++)
		token_clear(&p->token[i]);
	free(p->token);
	free(p->host);
	free(p->repo);
	free(p->api);
	free(p->warning);
	certs_clear(&p->certs);
	creds_clear(&p->creds);
	challenge_clear(&p->challenge);
	free(p);
}

bool peer_may_be_plain(const struct peer *p)
{
	return p->insecure || (p->loopback && !p->verify);
}

int peer_url(const struct peer *p, const char *path, struct url *ret, struct err **e)
{
	AUTO(mem_freep) char *text = mem_printf("%s://%s%s", p->http ? "http" : "https", p->api, path);

	return url_parse(slice_of(text), ret, e);
}

const char *peer_identity(const struct peer *p)
{
	if (p->creds.user)
		return p->creds.user;
	return p->creds.source ? p->creds.source : "";
}

static int look_up(struct net *n, struct peer *p, struct err **e)
{
	struct slice user, password;

	if (p->looked)
		return 0;
	p->looked = true;
	if (p->given) {
		if (!slice_cut(slice_of(p->given), ':', &user, &password))
			return err_set(e, ERR_USAGE, "--creds is not of the form USER:PASSWORD");
		p->creds.user = mem_strn(user.p, user.n);
		p->creds.password = mem_strn(password.n ? password.p : "", password.n);
		p->creds.source = mem_str("--creds");
		return 0;
	}
	return creds_find(p->host, p->repo, n->authfile, n->note, n->note_arg, &p->creds, e) < 0 ? -1 : 0;
}

static char *basic_value(const struct creds *c)
{
	struct buf plain = BUF_MAX(VALUE_MAX / 2), out = BUF_MAX(VALUE_MAX);

	buf_printf(&plain, "%s:%s", c->user, c->password);
	buf_str(&out, "Basic ");
	base64_put(&out, buf_view(&plain));
	mem_wipe(plain.p, plain.n);
	buf_free(&plain);
	return buf_steal(&out);
}

/* ---- scopes: space separated "type:name:action,action" */

/* Is every action of scope `one` among those of a scope with the same name in `all`? */
static bool scope_has(struct slice all, struct slice one)
{
	struct slice s;

	while (all.n) {
		slice_cut(all, ' ', &s, &all);
		if (slice_equal(s, one))
			return true;
	}
	return false;
}

/* The challenge's scope first, because some servers look at the first parameter only; then what we want besides. */
static void add_scopes(struct url *u, const char *theirs, const char *ours)
{
	struct slice rest = slice_of(theirs), one;

	while (rest.n) {
		slice_cut(rest, ' ', &one, &rest);
		AUTO(mem_freep) char *text = mem_strn(one.p, one.n);
		if (one.n)
			url_add_query(u, "scope", text);
	}
	rest = slice_of(ours);
	while (rest.n) {
		slice_cut(rest, ' ', &one, &rest);
		AUTO(mem_freep) char *text = mem_strn(one.p, one.n);
		if (one.n && !scope_has(slice_of(theirs), one))
			url_add_query(u, "scope", text);
	}
}

/* ---- the token server */

/* R9: who gets the password. */
static bool realm_trusted(const struct url *own, const struct url *realm)
{
	return strcmp(own->host, realm->host) == 0 || url_same_site(own->host, realm->host);
}

static int realm_check(struct net *n, const struct peer *p, const struct url *own, const struct url *realm, struct err **e)
{
	AUTO(mem_freep) char *shown = url_shown(realm);

	if (!realm->https && !(peer_may_be_plain(p) && strcmp(own->host, realm->host) == 0))
		return err_set(e, n->kind, "%s names the token server '%s', which is not https", p->host, shown);
	if (!addr_allowed(p->class, addr_class_host(realm->host)))
		return err_set(e, n->kind, "%s names the token server '%s', which is an internal address", p->host, shown);
	return 0;
}

static int token_answer(struct net *n, const struct request *r, int64_t now, struct token *t, struct err **e)
{
	AUTO(jval_freep) struct jval *doc = NULL;
	const char *value = NULL, *access = NULL;
	int64_t life = 0;

	if (jdoc_parse(buf_view(&r->hop.text), "the token server's answer", &doc, e) < 0 ||
	    jval_get_str(doc, "token", &value, e) < 0 || jval_get_str(doc, "access_token", &access, e) < 0) {
		err_kind_set(e, n->kind);
		return err_wrap(e, "%s sent a malformed token", r->at.host);
	}
	if (!value || !*value)
		value = access;
	if (!value || !*value)
		return err_set(e, n->kind, "%s sent no token", r->at.host);
	for (const char *p = value; *p; p++) {
		if (*p <= ' ' || *p >= 0x7f)
			return err_set(e, n->kind, "%s sent a token with blanks or control characters", r->at.host);
	}
	if (jval_get_int(doc, "expires_in", &life, NULL) < 0 || life < LIFE_MIN_S)
		life = LIFE_MIN_S;
	if (life > 86400)
		life = 86400;
	t->value = mem_str(value);
	t->stale = now + life * SECOND * 7 / 10;
	return 0;
}

static void form_field(struct buf *b, const char *name, const char *v)
{
	buf_printf(b, "%s%s=", b->n ? "&" : "", name);
	url_encode(b, slice_of(v));
}

/* An identity token is shown by POST, and to nobody the server redirects to. */
static int by_identity(struct request *r, const struct peer *p, const char *scopes, struct err **e)
{
	struct buf form = BUF_MAX(VALUE_MAX);

	form_field(&form, "grant_type", "refresh_token");
	form_field(&form, "service", p->challenge.service ? p->challenge.service : "");
	form_field(&form, "client_id", "kiln");
	form_field(&form, "scope", scopes);
	form_field(&form, "refresh_token", p->creds.identity_token);
	struct http_bytes bytes = { .bytes = buf_view(&form) };
	struct http_source src = http_source_bytes(&bytes);
	r->method = "POST";
	r->header[0] = "Content-Type: application/x-www-form-urlencoded";
	r->source = &src;
	r->stay = true;
	int rc = request_run(r, e);
	mem_wipe(form.p, form.n);
	buf_free(&form);
	r->source = NULL;
	return rc;
}

static char *joined(const struct peer *p, const char *scope)
{
	const char *theirs = p->challenge.scope ? p->challenge.scope : "";

	if (!*theirs || scope_has(slice_of(scope), slice_of(theirs)))
		return mem_str(scope);
	return mem_printf("%s%s%s", theirs, *scope ? " " : "", scope);
}

static int ask(struct net *n, struct peer *p, struct request *r, const struct url *own, const char *scope, struct err **e)
{
	AUTO(mem_freep) char *basic = NULL;
	AUTO(mem_freep) char *scopes = joined(p, scope);
	const struct creds *c = &p->creds;
	bool known = c->user || c->identity_token;
	bool trusted = realm_trusted(own, &r->url);

	if (known && !trusted)
		net_note(n, "the login for %s is not sent to its token server '%s', which belongs to somebody else", p->host, r->url.host);
	if (trusted && c->identity_token)
		return by_identity(r, p, scopes, e);
	if (p->challenge.service)
		url_add_query(&r->url, "service", p->challenge.service);
	add_scopes(&r->url, p->challenge.scope ? p->challenge.scope : "", scope);
	if (trusted && c->user) {
		url_add_query(&r->url, "account", c->user);
		basic = basic_value(c);
		r->authorization = basic;
	}
	int rc = request_run(r, e);
	r->authorization = NULL;
	if (basic)
		mem_wipe(basic, strlen(basic));
	return rc;
}

static int refused(struct net *n, const struct peer *p, struct request *r, struct err **e)
{
	if (r->hop.status != 401 && r->hop.status != 403)
		return request_refused(r, "cannot get a token", e);
	if (p->creds.source)
		return err_set(e, n->kind, "the token server of %s refuses the login from %s", p->host, p->creds.source);
	err_set(e, n->kind, "the token server of %s wants a login, and there is none for it", p->host);
	return err_hint(e, "kiln login %s", p->host);
}

/* Fetch a token for scope and remember it in place of an older one. */
static int fetch(struct net *n, struct peer *p, const char *scope, struct err **e)
{
	AUTO(request_clear) struct request r = { 0 };
	AUTO(url_clear) struct url own = { 0 };
	struct token t = { 0 };
	size_t i = 0;

	request_init(&r, n, NULL, "GET");
	r.max_body = TOKEN_ANSWER_MAX;
	r.guarded = true;
	r.from = p->class;
	if (peer_url(p, "/v2/", &own, e) < 0 || url_resolve(&own, slice_of(p->challenge.realm), &r.url, e) < 0 ||
	    realm_check(n, p, &own, &r.url, e) < 0)
		return -1;
	r.tls_of = p;
	int64_t now = clock_ns();
	if (ask(n, p, &r, &own, scope, e) < 0)
		return err_wrap(e, "cannot get a token for %s", p->host);
	if (r.hop.status != 200)
		return refused(n, p, &r, e);
	if (token_answer(n, &r, now, &t, e) < 0)
		return -1;
	t.scope = mem_str(scope);
	t.serial = ++p->serial;
	while (i < p->ntoken && strcmp(p->token[i].scope, scope) != 0)
		i++;
	if (i < p->ntoken) {
		token_clear(&p->token[i]);
	} else {
		MEM_ROOM(p->token, p->ntoken, p->token_cap);
		p->ntoken++;
	}
	p->token[i] = t;
	return 0;
}

static const struct token *fresh(const struct peer *p, const char *scope)
{
	for (size_t i = 0; i < p->ntoken; i++) {
		if (strcmp(p->token[i].scope, scope) == 0 && clock_ns() < p->token[i].stale)
			return &p->token[i];
	}
	return NULL;
}

int auth_value(struct net *n, struct peer *p, const char *scope, char **ret, unsigned *ret_token, struct err **e)
{
	*ret = NULL;
	*ret_token = 0;
	if (p->challenge.realm) {
		if (p->creds.registry_token) {
			*ret = mem_printf("Bearer %s", p->creds.registry_token);
			return 0;
		}
		if (!fresh(p, scope) && fetch(n, p, scope, e) < 0)
			return -1;
		const struct token *t = fresh(p, scope);
		if (!t)
			return err_set(e, n->kind, "the token for %s is past its life as soon as it is made", p->host);
		*ret = mem_printf("Bearer %s", t->value);
		*ret_token = t->serial;
	} else if (p->basic && p->creds.user) {
		*ret = basic_value(&p->creds);
	}
	return 0;
}

/* Some registries answer 401 without saying what they want; GET /v2/ says it then (spec/oci.md 2.3). */
static int ping(struct net *n, struct peer *p, struct challenge *c, struct err **e)
{
	AUTO(request_clear) struct request r = { 0 };
	struct slice s;

	request_init(&r, n, NULL, "GET");
	r.tls_of = p;
	if (peer_url(p, "/v2/", &r.url, e) < 0 || request_run(&r, e) < 0)
		return -1;
	for (size_t i = 0; hop_header(&r.hop, "WWW-Authenticate", i, &s); i++)
		challenge_parse(s, c);
	return 0;
}

static int unknown_scheme(struct net *n, const struct peer *p, struct err **e)
{
	return err_set(e, n->kind, "%s wants a login of a kind that is neither Basic nor Bearer", p->host);
}

int auth_challenged(struct net *n, struct peer *p, struct request *r, struct err **e)
{
	struct challenge c = { 0 };
	const char *scope = r->scope ? r->scope : "";
	struct slice s;

	for (size_t i = 0; hop_header(&r->hop, "WWW-Authenticate", i, &s); i++)
		challenge_parse(s, &c);
	bool none = !hop_header(&r->hop, "WWW-Authenticate", 0, &s);
	if ((none && ping(n, p, &c, e) < 0) || look_up(n, p, e) < 0) {
		challenge_clear(&c);
		return -1;
	}
	if (!c.realm && !c.basic) {
		challenge_clear(&c);
		return none ? AUTH_FINAL : unknown_scheme(n, p, e);
	}
	if (!c.realm) {
		bool again = p->creds.user && !r->sent_login;

		challenge_clear(&c);
		challenge_clear(&p->challenge);
		p->basic = true;
		return again ? 0 : AUTH_FINAL;
	}
	/* A second refusal is final, unless the registry names a scope that we did not ask for. */
	bool more = c.error && strcmp(c.error, "insufficient_scope") == 0 && c.scope &&
		    !(p->challenge.scope && strcmp(c.scope, p->challenge.scope) == 0) &&
		    !scope_has(slice_of(scope), slice_of(c.scope));
	bool final = r->sent_login && r->logins > 1 && !more;
	challenge_clear(&p->challenge);
	p->challenge = c;
	if (final || (p->creds.registry_token && r->sent_login))
		return AUTH_FINAL;
	/* Somebody else's request may have fetched a newer token meanwhile; only the one that was refused is thrown away. */
	for (size_t i = 0; i < p->ntoken; i++) {
		if (p->token[i].serial == r->token)
			p->token[i].stale = 0;
	}
	return 0;
}
