/* registry/refusal.c - what a registry said when it said no, in words (spec/oci.md 2.10, threats.md R7, 18). */
#include "registry/request.h"

#include "base/jdoc.h"
#include "base/mem.h"

#include <stdlib.h>

enum { SHOWN_MAX = 256 };

static const struct jval *first_error(const struct jval *doc)
{
	struct jval *list = doc && jval_type(doc) == JT_OBJ ? jval_get(doc, "errors") : NULL;

	if (list && jval_type(list) == JT_ARR && jval_len(list) > 0 && jval_type(jval_at(list, 0)) == JT_OBJ)
		return jval_at(list, 0);
	return NULL;
}

static struct jval *parsed(const struct request *r)
{
	struct jval *doc = NULL;

	if (r->hop.text.n == 0 || jdoc_parse(buf_view(&r->hop.text), "the error", &doc, NULL) < 0)
		return NULL;
	return doc;
}

void request_code(const struct request *r, char ret[64])
{
	AUTO(jval_freep) struct jval *doc = parsed(r);
	const struct jval *one = first_error(doc);
	const char *code = one ? jval_str(jval_get(one, "code")) : NULL;

	snprintf(ret, 64, "%s", code ? code : "");
}

/* Other shapes that token servers and proxies use. */
static const char *message_of(const struct jval *doc)
{
	static const char *const names[] = { "message", "details", "error_description", "error" };
	const struct jval *one = first_error(doc);

	if (one)
		return jval_str(jval_get(one, "message"));
	for (size_t i = 0; doc && jval_type(doc) == JT_OBJ && i < countof(names); i++) {
		const struct jval *v = jval_get(doc, names[i]);

		if (v && jval_str(v))
			return jval_str(v);
	}
	return NULL;
}

/* A server that echoes what it was sent does not get it printed: in what would be shown, after JSON's own escapes. */
static bool echoes(const struct request *r, struct slice text)
{
	const struct peer *p = r->peer ? r->peer : r->tls_of;
	const char *login = r->auth_line ? strchr(r->auth_line + sizeof("Authorization: ") - 1, ' ') : NULL;
	const char *const sent[] = { login ? login + 1 : NULL, p ? p->creds.password : NULL, p ? p->creds.identity_token : NULL };

	for (size_t i = 0; i < countof(sent); i++) {
		if (text.n && sent[i] && *sent[i] && memmem(text.p, text.n, sent[i], strlen(sent[i])))
			return true;
	}
	return false;
}

static void reason(const struct request *r, struct buf *out)
{
	AUTO(jval_freep) struct jval *doc = parsed(r);
	char code[64];
	const char *message = message_of(doc);
	struct slice text = message ? slice_of(message) : SLICE_NONE, type;

	request_code(r, code);
	if (!doc && r->hop.text.n && hop_header(&r->hop, "Content-Type", 0, &type) && slice_starts(type, "text/plain"))
		text = slice_trim(buf_view(&r->hop.text), " \t\r\n");
	if (echoes(r, text) || echoes(r, slice_of(code)))
		return;
	if (*code) {
		buf_char(out, ' ');
		buf_escaped(out, slice_of(code), sizeof(code));
	}
	if (text.n) {
		buf_str(out, ": ");
		buf_escaped(out, text, SHOWN_MAX);
	}
}

int request_refused(struct request *r, const char *what, struct err **e)
{
	AUTO(buf_freep) struct buf why = BUF_MAX(4096);
	AUTO(mem_freep) char *shown = url_shown(&r->at);
	const struct peer *p = r->peer;
	long s = r->hop.status;

	reason(r, &why);
	/* What is not there may only be hidden. */
	if (p && s == 404)
		buf_printf(&why, "%s%s", r->sent_login && p->creds.source ? "; asked with the login from " : "; asked without a login",
			   r->sent_login && p->creds.source ? p->creds.source : "");
	err_set(e, r->net->kind, "%s %s: status %ld%s", r->method, shown, s, why.n ? why.p : "");
	if (p && (s == 401 || s == 403)) {
		if (p->creds.source)
			err_wrap(e, "%s refuses the login from %s, or there is no such repository", p->host, p->creds.source);
		else
			err_hint(e, "kiln login %s (no login is stored for it)", p->host);
		if (!p->creds.source && r->sent_login)
			err_wrap(e, "%s has no such repository, or it is not public", p->host);
	}
	if (s == 429)
		err_hint(e, "the registry limits requests; log in or wait");
	return err_wrap(e, "%s", what);
}
