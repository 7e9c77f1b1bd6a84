/* registry/creds.c - see creds.h. */
#include "registry/creds.h"

#include "base/jdoc.h"
#include "base/mem.h"
#include "registry/authfile.h"
#include "registry/base64.h"
#include "registry/helper.h"

#include <stdlib.h>
#include <unistd.h>

enum { SECRET_MAX = 64 << 10 };

static void wipe(char *s)
{
	if (s)
		mem_wipe(s, strlen(s));
	free(s);
}

void creds_clear(struct creds *c)
{
	wipe(c->user);
	wipe(c->password);
	wipe(c->identity_token);
	wipe(c->registry_token);
	free(c->source);
	*c = (struct creds){ 0 };
}

static void PRINTF(3, 4) tell(creds_note *note, void *arg, const char *fmt, ...)
{
	struct buf b = BUF_MAX(2048);
	va_list ap;

	if (!note)
		return;
	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	note(arg, b.p ? b.p : "");
	buf_free(&b);
}

/* "user:password" in base64; a password may be padded with NULs (docker's helper for Windows did). */
static int basic(const char *auth, struct creds *c)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(SECRET_MAX);
	struct slice user = SLICE_NONE, password = SLICE_NONE;

	if (!base64_get(slice_of(auth), &b) || !slice_cut(buf_view(&b), ':', &user, &password))
		return -1;
	while (password.n && password.p[password.n - 1] == '\0')
		password.n--;
	c->user = mem_strn(user.p, user.n);
	c->password = mem_strn(password.p, password.n);
	mem_wipe(b.p, b.n);
	return 0;
}

static int from_entry(const struct authfile *f, const struct jval *entry, const char *host, struct creds *c, struct err **e)
{
	const char *auth = NULL, *user = NULL, *password = NULL, *identity = NULL, *registry = NULL;

	if (jval_get_str(entry, "auth", &auth, e) < 0 || jval_get_str(entry, "username", &user, e) < 0 ||
	    jval_get_str(entry, "password", &password, e) < 0 || jval_get_str(entry, "identitytoken", &identity, e) < 0 ||
	    jval_get_str(entry, "registrytoken", &registry, e) < 0) {
		err_kind_set(e, ERR_HOST);
		return err_wrap(e, "the login for %s in '%s' is malformed", host, f->path ? f->path : "$DOCKER_AUTH_CONFIG");
	}
	if (auth && *auth && basic(auth, c) < 0)
		return err_set(e, ERR_HOST, "the login for %s in '%s' is malformed: 'auth' is not base64 of 'user:password'", host,
			       f->path ? f->path : "$DOCKER_AUTH_CONFIG");
	if (!c->user && user && *user) {
		c->user = mem_str(user);
		c->password = mem_str(password ? password : "");
	}
	c->identity_token = identity && *identity ? mem_str(identity) : NULL;
	c->registry_token = registry && *registry ? mem_str(registry) : NULL;
	c->source = f->path ? mem_printf("'%s'", f->path) : mem_str("$DOCKER_AUTH_CONFIG");
	return 0;
}

static int helper_get(const char *name, const char *key, struct creds *c, struct err **e)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(SECRET_MAX);
	AUTO(jval_freep) struct jval *doc = NULL;
	const char *user = NULL, *secret = NULL;
	int rc = helper_run(name, "get", slice_of(key), &out, e);

	if (rc != 0)
		return rc;
	rc = jdoc_parse(buf_view(&out), "the helper's answer", &doc, e);
	mem_wipe(out.p, out.n);
	if (rc < 0 || jval_get_str(doc, "Username", &user, e) < 0 || jval_get_str(doc, "Secret", &secret, e) < 0) {
		err_kind_set(e, ERR_HOST);
		return err_wrap(e, "the credential helper '%s' gave a malformed answer", name);
	}
	if ((!user || !*user) && (!secret || !*secret))
		return HELPER_NONE;
	if (user && strcmp(user, "<token>") == 0) {
		c->identity_token = mem_str(secret ? secret : "");
	} else {
		c->user = mem_str(user ? user : "");
		c->password = mem_str(secret ? secret : "");
	}
	c->source = mem_printf("credential helper '%s'", name);
	return 0;
}

static int from_helper(const char *name, const char *key, const char *host, creds_note *note, void *arg, struct creds *c,
		       struct err **e)
{
	int rc = helper_get(name, key, c, e);

	if (rc == HELPER_NONE && strcmp(key, host) != 0)
		rc = helper_get(name, host, c, e);
	if (rc == HELPER_ABSENT) {
		tell(note, arg, "the credential helper 'docker-credential-%s' for %s is not installed; going on without a login", name,
		     host);
		return CREDS_NONE;
	}
	return rc == HELPER_NONE ? CREDS_NONE : rc;
}

static int from_file(const struct authfile *f, const char *host, const char *repo, creds_note *note, void *arg,
		     struct creds *c, struct err **e)
{
	AUTO(jval_freep) struct jval *doc = NULL;
	const char *key = NULL;
	struct stat st;
	int rc = authfile_load(f, &doc, &st, e);

	if (rc == AUTHFILE_MISSING && f->must && access(f->path, F_OK) != 0)
		return err_set(e, ERR_USAGE, "the file '%s' given with --authfile is not there", f->path);
	if (rc != 0)
		return rc < 0 ? -1 : CREDS_NONE;
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		tell(note, arg, "'%s' is ignored: others may write it (chmod 600 helps)", f->path);
		return CREDS_NONE;
	}
	const char *name = authfile_helper(f, doc, host, &key);
	if (name && st.st_uid != geteuid() && st.st_uid != 0) {
		tell(note, arg, "the credential helper '%s' is not started: '%s' belongs to another user", name, f->path);
		name = NULL;
	}
	if (name && (rc = from_helper(name, key, host, note, arg, c, e)) != CREDS_NONE)
		return rc;
	struct jval *entry = authfile_entry(f, doc, host, repo);
	return entry ? from_entry(f, entry, host, c, e) : CREDS_NONE;
}

int creds_find(const char *host, const char *repo, const char *authfile, creds_note *note, void *arg, struct creds *ret,
	       struct err **e)
{
	struct authfiles a;
	struct creds c = { 0 };
	int rc = CREDS_NONE;

	authfiles_init(&a, authfile);
	for (size_t i = 0; i < a.n && rc == CREDS_NONE; i++)
		rc = from_file(&a.f[i], host, repo, note, arg, &c, e);
	authfiles_clear(&a);
	if (rc == 0)
		*ret = c;
	else
		creds_clear(&c);
	return rc < 0 ? err_wrap(e, "cannot look up the login for %s", host) : rc;
}
