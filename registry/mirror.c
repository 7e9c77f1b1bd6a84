/* registry/mirror.c - see mirror.h. */
#include "registry/mirror.h"

#include "base/jdoc.h"
#include "base/mem.h"
#include "registry/authfile.h"
#include "registry/toml.h"
#include "registry/userfile.h"

#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

enum { CONF_MAX = 1 << 20, REPO_MAX = 255 };

/* All [[registry]] tables that count, in one array; a later file replaces a prefix. */
struct conf {
	struct jval *rule;
};

const char *mirror_api(const char *host)
{
	return authfile_is_hub(host) ? "registry-1.docker.io" : host;
}

void mirror_free(struct candidate *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(c[i].host);
		free(c[i].repo);
	}
	free(c);
}

static const char *text_of(const struct jval *table, const char *name)
{
	const char *v = jval_str(jval_get(table, name));

	return v ? v : "";
}

static bool flag_of(const struct jval *table, const char *name)
{
	bool v = false;

	return jval_get_bool(table, name, &v, NULL) == 0 && v;
}

static const char *prefix_of(const struct jval *rule)
{
	const char *p = text_of(rule, "prefix");

	return *p ? p : text_of(rule, "location");
}

/* ---- reading */

static int check_types(const struct jval *table, const char *file, struct err **e)
{
	static const char *const strings[] = { "prefix", "location", "pull-from-mirror" };
	static const char *const bools[] = { "insecure", "blocked", "mirror-by-digest-only" };
	struct jval *mirrors = jval_get(table, "mirror");
	const char *s = NULL;
	bool b = false;

	for (size_t i = 0; i < countof(strings); i++) {
		if (jval_get_str(table, strings[i], &s, e) < 0)
			return err_wrap(e, "'%s' is malformed", file);
		if (s && strstr(s, "://"))
			return err_set(e, ERR_HOST, "'%s': '%s' is a URL; '%s' takes a host and a path", file, s, strings[i]);
	}
	for (size_t i = 0; i < countof(bools); i++) {
		if (jval_get_bool(table, bools[i], &b, e) < 0)
			return err_wrap(e, "'%s' is malformed", file);
	}
	for (size_t i = 0; i < jval_len(mirrors); i++) {
		struct jval *m = jval_at(mirrors, i);

		if (jval_type(mirrors) != JT_ARR || jval_type(m) != JT_OBJ || !*text_of(m, "location"))
			return err_set(e, ERR_HOST, "'%s': a [[registry.mirror]] needs a location", file);
		if (check_types(m, file, e) < 0)
			return -1;
	}
	return 0;
}

static int add_rule(struct conf *c, const struct jval *rule, const char *file, struct err **e)
{
	const char *prefix = prefix_of(rule);
	struct jval *kept = jval_arr();

	if (jval_type(rule) != JT_OBJ || !*prefix) {
		jval_free(kept);
		return err_set(e, ERR_HOST, "'%s': a [[registry]] needs a location or a prefix", file);
	}
	for (size_t i = 0; i < jval_len(c->rule); i++) {
		if (strcmp(prefix_of(jval_at(c->rule, i)), prefix) != 0)
			jval_add(kept, jval_copy(jval_at(c->rule, i)));
	}
	jval_add(kept, jval_copy(rule));
	jval_free(c->rule);
	c->rule = kept;
	return check_types(rule, file, e);
}

static int read_one(struct conf *c, const char *path, struct err **e)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(CONF_MAX);
	AUTO(jval_freep) struct jval *doc = NULL;
	int rc = userfile_read(path, &text, NULL, e);

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (toml_parse(buf_view(&text), path, &doc, e) < 0)
		return -1;
	if (jval_get(doc, "registries")) {
		err_set(e, ERR_HOST, "'%s' is in the old format with [registries.search]", path);
		return err_hint(e, "write it as [[registry]] tables: containers-registries.conf(5), version 2");
	}
	struct jval *rules = jval_get(doc, "registry");
	if (rules && jval_type(rules) != JT_ARR)
		return err_set(e, ERR_HOST, "'%s': write [[registry]], there may be several", path);
	for (size_t i = 0; i < jval_len(rules); i++) {
		if (add_rule(c, jval_at(rules, i), path, e) < 0)
			return -1;
	}
	return 0;
}

static int read_dropins(struct conf *c, const char *dir, struct err **e)
{
	size_t n = 0;
	int rc = 0;
	char **name = userfile_list(dir, ".conf", &n);

	for (size_t i = 0; i < n; i++) {
		AUTO(mem_freep) char *path = mem_printf("%s/%s", dir, name[i]);

		if (rc == 0)
			rc = read_one(c, path, e);
		free(name[i]);
	}
	free(name);
	return rc;
}

/* Two ideas of one place cannot both hold. */
static int check_conflicts(const struct conf *c, struct err **e)
{
	for (size_t i = 0; i < jval_len(c->rule); i++) {
		for (size_t k = i + 1; k < jval_len(c->rule); k++) {
			const struct jval *a = jval_at(c->rule, i), *b = jval_at(c->rule, k);

			if (!*text_of(a, "location") || strcmp(text_of(a, "location"), text_of(b, "location")) != 0)
				continue;
			if (flag_of(a, "insecure") != flag_of(b, "insecure") || flag_of(a, "blocked") != flag_of(b, "blocked"))
				return err_set(e, ERR_HOST, "registries.conf: two entries for the location '%s' disagree on insecure or blocked",
					       text_of(a, "location"));
		}
	}
	return 0;
}

static int conf_read(struct conf *c, struct err **e)
{
	const char *named = getenv("CONTAINERS_REGISTRIES_CONF");
	AUTO(mem_freep) char *own = userfile_config("containers/registries.conf");
	AUTO(mem_freep) char *own_dir = userfile_config("containers/registries.conf.d");
	bool have_own = own && access(own, R_OK) == 0;
	const char *main_file = named && *named ? named : have_own ? own : "/etc/containers/registries.conf";

	c->rule = jval_arr();
	if (read_one(c, main_file, e) < 0)
		return -1;
	if (!have_own && read_dropins(c, "/etc/containers/registries.conf.d", e) < 0)
		return -1;
	if (own_dir && read_dropins(c, own_dir, e) < 0)
		return -1;
	return check_conflicts(c, e);
}

/* ---- matching */

/* Length of the part of name that the prefix covers, 0 when it does not. */
static size_t covers(const char *prefix, const char *name)
{
	size_t n = strlen(prefix), host = strcspn(name, "/");

	if (strncmp(prefix, "*.", 2) == 0) {
		size_t tail = n - 1;             /* with the dot */

		return host > tail && strncasecmp(name + host - tail, prefix + 1, tail) == 0 ? host : 0;
	}
	if (strncmp(name, prefix, n) != 0 || !(name[n] == '\0' || strchr("/:@", name[n])))
		return 0;
	return n;
}

static const struct jval *match(const struct conf *c, const char *name, size_t *ret_len)
{
	const struct jval *best = NULL;
	size_t most = 0;

	for (size_t i = 0; i < jval_len(c->rule); i++) {
		const char *prefix = prefix_of(jval_at(c->rule, i));

		if (covers(prefix, name) && strlen(prefix) > most) {
			best = jval_at(c->rule, i);
			most = strlen(prefix);
			*ret_len = covers(prefix, name);
		}
	}
	return best;
}

struct list {
	struct candidate *c;
	size_t n, cap;
};

/* location + rest of the name, split at its first '/'. */
static int add(struct list *l, const char *location, const char *rest, bool insecure, bool named, struct err **e)
{
	AUTO(mem_freep) char *whole = mem_printf("%s%s", location, rest);
	AUTO(mem_freep) char *text = NULL;
	AUTO(ref_clear) struct ref r = { 0 };
	const char *slash = strchr(whole, '/');

	/* What comes out has to be a reference again: it becomes part of URLs and of directory names. */
	if (slash && !strpbrk(location, "@"))
		text = mem_str(whole);
	if (!text || ref_parse(slice_of(text), &r, NULL) < 0 || strlen(r.repo) > REPO_MAX ||
	    strncasecmp(r.domain, whole, strlen(r.domain)) != 0)
		return err_set(e, ERR_HOST, "registries.conf: '%s' is not the name of a repository", whole);
	MEM_ROOM(l->c, l->n, l->cap);
	l->c[l->n++] = (struct candidate){
		.host = take(&r.domain), .repo = take(&r.repo), .insecure = insecure, .named = named,
	};
	return 0;
}

static bool mirror_serves(const struct jval *rule, const struct jval *mirror, bool by_digest)
{
	const char *from = text_of(mirror, "pull-from-mirror");

	if (strcmp(from, "digest-only") == 0 || flag_of(rule, "mirror-by-digest-only"))
		return by_digest;
	return strcmp(from, "tag-only") != 0 || !by_digest;
}

/* --registry-mirror HOST, for Docker Hub; docker's spelling with a scheme is understood. */
static int option_mirrors(struct list *l, const struct ref *ref, const struct transfer_opts *o, struct err **e)
{
	for (size_t i = 0; o->mirror && o->mirror[i] && strcmp(ref->domain, "docker.io") == 0; i++) {
		struct slice s = slice_of(o->mirror[i]);
		bool plain = slice_starts(s, "http://");

		if (plain || slice_starts(s, "https://"))
			s = slice_skip(s, plain ? 7 : 8);
		while (s.n && s.p[s.n - 1] == '/')
			s.n--;
		AUTO(mem_freep) char *host = mem_strn(s.p, s.n);
		AUTO(mem_freep) char *rest = mem_printf("/%s", ref->repo);
		if (add(l, host, rest, plain || o->insecure, false, NULL) < 0)
			return err_set(e, ERR_USAGE, "--registry-mirror: '%s' is not a host", o->mirror[i]);
	}
	return 0;
}

static int collect(struct list *l, const struct conf *conf, const struct ref *ref, const struct transfer_opts *o, bool push,
		   struct err **e)
{
	AUTO(mem_freep) char *name = mem_printf("%s/%s", ref->domain, ref->repo);
	AUTO(buf_freep) struct buf full = BUF_MAX(2048);
	size_t len = 0;

	ref_print(ref, &full);
	const struct jval *rule = match(conf, full.p, &len);
	if (rule && flag_of(rule, "blocked")) {
		err_set(e, ERR_LIMIT, "'%s' is blocked by registries.conf (prefix '%s')", full.p, prefix_of(rule));
		return err_hint(e, "remove 'blocked' there if you want to use it");
	}
	if (len > strlen(name))                          /* a prefix that names a tag: the name without it is what moves */
		len = strlen(name);
	if (!push && option_mirrors(l, ref, o, e) < 0)
		return -1;
	struct jval *mirrors = rule && !push ? jval_get(rule, "mirror") : NULL;
	for (size_t i = 0; i < jval_len(mirrors); i++) {
		const struct jval *m = jval_at(mirrors, i);

		if (mirror_serves(rule, m, ref->has_digest) &&
		    add(l, text_of(m, "location"), name + len, flag_of(m, "insecure"), false, e) < 0)
			return -1;
	}
	const char *location = rule ? text_of(rule, "location") : "";
	bool insecure = o->insecure || (rule && flag_of(rule, "insecure"));
	if (*location && strcmp(location, prefix_of(rule)) != 0)
		return add(l, location, name + len, insecure, true, e);
	MEM_ROOM(l->c, l->n, l->cap);
	l->c[l->n++] = (struct candidate){
		.host = mem_str(ref->domain), .repo = mem_str(ref->repo), .insecure = insecure, .named = true,
	};
	return 0;
}

int mirror_candidates(const struct ref *ref, const struct transfer_opts *o, bool push, struct candidate **ret, size_t *n,
		      struct err **e)
{
	struct conf conf = { 0 };
	struct list l = { 0 };
	int rc = conf_read(&conf, e);

	if (rc == 0)
		rc = collect(&l, &conf, ref, o, push, e);
	jval_free(conf.rule);
	if (rc < 0) {
		mirror_free(l.c, l.n);
		return -1;
	}
	*ret = l.c;
	*n = l.n;
	return 0;
}
