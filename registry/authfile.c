/* registry/authfile.c - see authfile.h. */
#include "registry/authfile.h"

#include "base/mem.h"
#include "registry/userfile.h"

#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

enum { FILE_MAX = 4 << 20 };

const char *const authfile_hub_keys[] = {
	"https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io", NULL,
};

bool authfile_is_hub(const char *host)
{
	return strcasecmp(host, "docker.io") == 0 || strcasecmp(host, "index.docker.io") == 0 ||
	       strcasecmp(host, "registry-1.docker.io") == 0;
}

const char *authfile_key(const char *host)
{
	return authfile_is_hub(host) ? authfile_hub_keys[0] : host;
}

static void add(struct authfiles *a, struct authfile f)
{
	if (f.path || f.text)
		a->f[a->n++] = f;
}

void authfiles_init(struct authfiles *a, const char *authfile)
{
	const char *named = authfile ? authfile : getenv("REGISTRY_AUTH_FILE");
	const char *inline_text = getenv("DOCKER_AUTH_CONFIG"), *run = getenv("XDG_RUNTIME_DIR");
	const char *docker = getenv("DOCKER_CONFIG");
	AUTO(mem_freep) char *home = userfile_home();

	*a = (struct authfiles){ 0 };
	if (named && *named) {
		/* docker points its own file out this way too; credsStore then means what it says. */
		add(a, (struct authfile){ .path = mem_str(named), .docker = true, .must = authfile != NULL });
		return;
	}
	if (inline_text && *inline_text)
		add(a, (struct authfile){ .text = inline_text });
	add(a, (struct authfile){ .path = run && *run == '/' ? mem_printf("%s/containers/auth.json", run)
							     : mem_printf("/run/containers/%u/auth.json", geteuid()) });
	add(a, (struct authfile){ .path = userfile_config("containers/auth.json") });
	if (docker && *docker)
		add(a, (struct authfile){ .path = mem_printf("%s/config.json", docker), .docker = true });
	else if (home)
		add(a, (struct authfile){ .path = mem_printf("%s/.docker/config.json", home), .docker = true });
	if (home)
		add(a, (struct authfile){ .path = mem_printf("%s/.dockercfg", home), .legacy = true });
}

void authfiles_clear(struct authfiles *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->f[i].path);
	a->n = 0;
}

int authfile_load(const struct authfile *f, struct jval **ret, struct stat *st, struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(FILE_MAX);
	const char *name = f->path ? f->path : "$DOCKER_AUTH_CONFIG";
	int rc = 0;

	*st = (struct stat){ .st_uid = geteuid() };
	if (f->text)
		buf_str(&b, f->text);
	else if ((rc = userfile_read(f->path, &b, st, e)) != 0)
		return rc;
	if (slice_trim(buf_view(&b), " \t\r\n").n == 0)
		return AUTHFILE_MISSING;                 /* `mktemp` makes such files for --authfile */
	rc = jdoc_parse(buf_view(&b), name, ret, e);
	mem_wipe(b.p, b.n);
	if (rc == 0 && jval_type(*ret) != JT_OBJ) {
		jval_free(*ret);
		rc = err_set(e, ERR_HOST, "'%s' is not a JSON object", name);
	}
	if (rc < 0)
		err_kind_set(e, ERR_HOST);
	return rc;
}

static struct jval *member(const struct jval *obj, const char *name)
{
	return obj && jval_type(obj) == JT_OBJ ? jval_get(obj, name) : NULL;
}

const char *authfile_helper(const struct authfile *f, const struct jval *doc, const char *host, const char **ret_key)
{
	struct jval *helpers = member(doc, "credHelpers");
	const char *name = jval_str(member(helpers, host));

	*ret_key = authfile_key(host);
	for (size_t i = 0; !name && authfile_is_hub(host) && authfile_hub_keys[i]; i++)
		name = jval_str(member(helpers, authfile_hub_keys[i]));
	if (!name && f->docker)
		name = jval_str(member(doc, "credsStore"));
	return name && *name ? name : NULL;
}

static bool usable(const struct jval *entry)
{
	static const char *const known[] = { "auth", "username", "identitytoken", "registrytoken" };

	for (size_t i = 0; i < countof(known); i++) {
		const struct jval *v = member(entry, known[i]);

		/* One of a wrong type is not absent: who reads it says so. */
		if (v && (jval_type(v) != JT_STR || *jval_str(v)))
			return true;
	}
	return false;
}

/* Keys of older files: with a scheme, a path behind the host, other names for Docker Hub. */
static bool legacy_match(const struct authfile *f, const char *key, const char *host)
{
	struct slice k = slice_of(key), tail = SLICE_NONE;
	bool scheme = slice_starts(k, "https://") || slice_starts(k, "http://");

	if (scheme)
		k = slice_skip(k, slice_starts(k, "https://") ? 8 : 7);
	if (scheme || f->legacy)
		slice_cut(k, '/', &k, &tail);
	AUTO(mem_freep) char *bare = mem_strn(k.p, k.n);
	return strcasecmp(bare, host) == 0 || (authfile_is_hub(bare) && authfile_is_hub(host));
}

struct jval *authfile_entry(const struct authfile *f, const struct jval *doc, const char *host, const char *repo)
{
	struct jval *auths = f->legacy ? (struct jval *)(uintptr_t)doc : member(doc, "auths");
	AUTO(mem_freep) char *key = *repo ? mem_printf("%s/%s", host, repo) : mem_str(host);

	if (!auths || jval_type(auths) != JT_OBJ)
		return NULL;
	for (size_t n = strlen(key), least = strlen(host); n >= least;) {
		struct jval *v = member(auths, key);

		if (v && usable(v))
			return v;
		while (n > 0 && key[n - 1] != '/')
			n--;
		if (n == 0)
			break;
		key[--n] = '\0';
	}
	for (void *it = jval_first(auths); it; it = jval_next(auths, it)) {
		if (legacy_match(f, jval_key(it), host) && usable(jval_val(it)))
			return jval_val(it);
	}
	return NULL;
}
