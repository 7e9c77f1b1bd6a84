/* registry/login.c - auth files rewritten: lock, read, change one key, replace (spec/oci.md 2.13 "Writing"). */
#include "registry/creds.h"

#include "base/jdoc.h"
#include "base/mem.h"
#include "base/tmp.h"
#include "registry/authfile.h"
#include "registry/base64.h"
#include "registry/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum { LOGIN_MAX = 64 << 10, FILE_MAX = 8 << 20 };

/* The directory and name behind path, a symbolic link followed: the link stays, its target is replaced. */
static int place(const char *path, int *ret_dir, char **ret_name, struct err **e)
{
	AUTO(mem_freep) char *real = realpath(path, NULL);
	const char *whole = real ? real : path, *slash = strrchr(whole, '/');
	AUTO(mem_freep) char *dir = slash ? mem_strn(whole, (size_t)(slash - whole)) : mem_str(".");

	if (slash == whole) {
		free(dir);
		dir = mem_str("/");
	}
	for (char *p = dir + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(dir, 0700) < 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
			return err_errno(e, ERR_HOST, errno, "cannot make the directory '%s'", dir);
		*p = '/';
	}
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_errno(e, ERR_HOST, errno, "cannot make the directory '%s'", dir);
	int fd = openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, ERR_HOST, errno, "cannot open the directory '%s'", dir);
	*ret_dir = fd;
	*ret_name = mem_str(slash ? slash + 1 : whole);
	return 0;
}

static int replace(int dir, const char *name, const struct jval *doc, struct err **e)
{
	AUTO(tmp_rollback) struct tmp t = TMP_NONE;
	AUTO(buf_freep) struct buf b = BUF_MAX(FILE_MAX);

	jval_print(doc, &b, 8);
	buf_char(&b, '\n');
	int rc = buf_ok(&b, "the auth file", e);
	if (rc == 0)
		rc = tmp_open(&t, dir, e);
	if (rc == 0)
		rc = fd_write_all(t.fd, b.p, b.n, e);
	if (rc == 0)
		rc = tmp_commit(&t, dir, name, TMP_SYNC, 0600, e);
	mem_wipe(b.p, b.n);
	return rc;
}

static struct jval *auths_of(const struct authfile *f, struct jval *doc)
{
	struct jval *v = f->legacy ? doc : jval_get(doc, "auths");

	return v && jval_type(v) == JT_OBJ ? v : NULL;
}

/* Every key of this host goes; true when there was one. */
static bool forget(const struct authfile *f, struct jval *doc, const char *host)
{
	struct jval *auths = auths_of(f, doc);
	bool any = false;

	if (!auths)
		return false;
	if (jval_get(auths, host)) {
		jval_del(auths, host);
		any = true;
	}
	for (size_t i = 0; authfile_is_hub(host) && authfile_hub_keys[i]; i++) {
		if (jval_get(auths, authfile_hub_keys[i])) {
			jval_del(auths, authfile_hub_keys[i]);
			any = true;
		}
	}
	return any;
}

static void remember(struct jval *doc, const char *host, const char *user, const char *password)
{
	struct buf plain = BUF_MAX(LOGIN_MAX), text = BUF_MAX(2 * LOGIN_MAX);
	struct jval *entry = jval_obj();

	buf_printf(&plain, "%s:%s", user, password);
	base64_put(&text, buf_view(&plain));
	jval_set_slice(entry, "auth", buf_view(&text));
	mem_wipe(plain.p, plain.n);
	mem_wipe(text.p, text.n);
	buf_free(&plain);
	buf_free(&text);
	if (!jval_get(doc, "auths"))
		jval_set(doc, "auths", jval_obj());
	jval_set(jval_get(doc, "auths"), authfile_key(host), entry);
}

/* Change the file under its lock. user NULL: erase. *changed: something was there to erase. */
static int rewrite(const struct authfile *f, const char *host, const char *user, const char *password, bool *changed,
		   struct err **e)
{
	AUTO(fd_closep) int dir = -1;
	AUTO(fd_closep) int lock = -1;
	AUTO(mem_freep) char *name = NULL;
	AUTO(jval_freep) struct jval *doc = NULL;
	struct stat st;

	if (place(f->path, &dir, &name, e) < 0)
		return -1;
	/* The directory itself is the lock: a lock file would stay behind, and the file itself is replaced. */
	lock = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock < 0 || flock(lock, LOCK_EX) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot lock the directory of '%s'", f->path);
	int rc = authfile_load(f, &doc, &st, e);
	if (rc < 0)
		return -1;
	if (rc == AUTHFILE_MISSING) {
		if (access(f->path, F_OK) == 0 && access(f->path, R_OK) != 0)
			return err_set(e, ERR_HOST, "'%s' is not readable", f->path);
		doc = jval_obj();
	}
	struct jval *auths = jval_get(doc, "auths");
	if (auths && jval_type(auths) != JT_OBJ)
		return err_set(e, ERR_HOST, "'auths' in '%s' is not an object", f->path);
	*changed = forget(f, doc, host);
	if (!user && !*changed)
		return 0;
	if (user)
		remember(doc, host, user, password);
	return replace(dir, name, doc, e);
}

static int helper_store(const char *helper, const char *key, const char *user, const char *password, struct err **e)
{
	AUTO(jval_freep) struct jval *doc = jval_obj();
	AUTO(buf_freep) struct buf in = BUF_MAX(2 * LOGIN_MAX);
	AUTO(buf_freep) struct buf out = BUF_MAX(4096);

	jval_set_str(doc, "ServerURL", key);
	jval_set_str(doc, "Username", user);
	jval_set_str(doc, "Secret", password);
	jval_print(doc, &in, 0);
	int rc = helper_run(helper, "store", buf_view(&in), &out, e);
	mem_wipe(in.p, in.n);
	if (rc == HELPER_ABSENT)
		err_set(e, ERR_HOST, "the credential helper 'docker-credential-%s' is not installed", helper);
	return rc == 0 ? 0 : -1;
}

/* Which file login writes: the one that answers for the host already, else docker's. */
static const struct authfile *choose(const struct authfiles *a, const char *host)
{
	const struct authfile *fallback = NULL;

	for (size_t i = 0; i < a->n; i++) {
		AUTO(jval_freep) struct jval *doc = NULL;
		const char *key = NULL;
		struct stat st;

		if (!a->f[i].path || a->f[i].legacy)
			continue;
		if (a->f[i].docker || !fallback)
			fallback = &a->f[i];
		if (authfile_load(&a->f[i], &doc, &st, NULL) == 0 &&
		    (authfile_entry(&a->f[i], doc, host, "") || authfile_helper(&a->f[i], doc, host, &key)))
			return &a->f[i];
	}
	return fallback;
}

static int store_in(const struct authfile *f, const char *host, const char *user, const char *password, char **ret_where,
		    bool *ret_plain, struct err **e)
{
	AUTO(jval_freep) struct jval *doc = NULL;
	const char *key = NULL, *helper = NULL;
	struct stat st;
	bool changed = false;
	int rc = authfile_load(f, &doc, &st, e);

	if (rc < 0)
		return -1;
	if (rc == 0)
		helper = authfile_helper(f, doc, host, &key);
	if (helper) {
		rc = helper_store(helper, key, user, password, e);
		if (rc == 0 && ret_where)
			*ret_where = mem_printf("helper '%s'", helper);
		return rc;
	}
	*ret_plain = true;
	rc = rewrite(f, host, user, password, &changed, e);
	if (rc == 0 && ret_where)
		*ret_where = mem_printf("'%s'", f->path);
	return rc;
}

int creds_store(const char *host, const char *user, const char *password, const char *authfile, char **ret_where,
		bool *ret_plain, struct err **e)
{
	struct authfiles a;
	int rc = -1;

	*ret_plain = false;
	if (!*user || strchr(user, ':'))
		return err_set(e, ERR_USAGE, "a user name is not empty and has no ':'");
	authfiles_init(&a, authfile);
	const struct authfile *f = choose(&a, host);
	if (!f)
		err_set(e, ERR_HOST, "there is no home directory to keep the login in");
	else
		rc = store_in(f, host, user, password, ret_where, ret_plain, e);
	authfiles_clear(&a);
	return rc < 0 ? err_wrap(e, "cannot store the login for %s", host) : 0;
}

static int erase_in(const struct authfile *f, const char *host, bool *any, struct err **e)
{
	AUTO(jval_freep) struct jval *doc = NULL;
	AUTO(buf_freep) struct buf out = BUF_MAX(4096);
	const char *key = NULL;
	struct stat st;
	bool changed = false;
	int rc = f->path ? authfile_load(f, &doc, &st, e) : AUTHFILE_MISSING;

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	const char *helper = authfile_helper(f, doc, host, &key);
	rc = helper ? helper_run(helper, "erase", slice_of(key), &out, e) : HELPER_NONE;
	if (rc < 0)
		return -1;
	*any = *any || rc == 0;
	/* Looked at first, so that a file without this host is not even locked. */
	if (!forget(f, doc, host))
		return 0;
	rc = rewrite(f, host, NULL, NULL, &changed, e);
	*any = *any || changed;
	return rc;
}

int creds_erase(const char *host, const char *authfile, struct err **e)
{
	struct authfiles a;
	bool any = false;
	int rc = 0;

	authfiles_init(&a, authfile);
	for (size_t i = 0; i < a.n && rc == 0; i++)
		rc = erase_in(&a.f[i], host, &any, e);
	authfiles_clear(&a);
	if (rc < 0)
		return err_wrap(e, "cannot remove the login for %s", host);
	return any ? 0 : CREDS_NONE;
}
