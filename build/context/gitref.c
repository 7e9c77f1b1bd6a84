/* build/context/gitref.c - the text of a git reference (spec/dockerfile.md 10.1, 10.4). Pure: nothing is asked. */
#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "base/mem.h"
#include "build/context/git.h"

void git_ref_clear(struct git_ref *g)
{
	free(g->remote);
	free(g->host);
	free(g->ref);
	free(g->subdir);
	free(g->checksum);
	*g = (struct git_ref){ 0 };
}

static bool is_hex(const char *s)
{
	return *s && s[strspn(s, "0123456789abcdef")] == '\0';
}

bool git_full_hash(const char *s)
{
	size_t n = strlen(s);

	return (n == 40 || n == 64) && is_hex(s);
}

int git_check_name(const char *what, const char *name, struct err **e)
{
	if (!*name || *name == '-')
		return err_set(e, ERR_INPUT, "invalid %s '%s': it is empty or begins with '-'", what, name);
	for (const char *p = name; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f || strchr("~^:?*[\\", *p))
			return err_set(e, ERR_INPUT, "invalid %s '%s'", what, name);
	if (strstr(name, "..") || strstr(name, "@{"))
		return err_set(e, ERR_INPUT, "invalid %s '%s'", what, name);
	return 0;
}

/* ---- is it one? */

static size_t url_end(const char *s)
{
	return strcspn(s, "?#");
}

/* user@host:path, with the narrow alphabets of 10.4. The index of the colon, 0: no. */
static size_t scp_colon(const char *s)
{
	size_t user = 0, host;

	while (isalnum((unsigned char)s[user]) || s[user] == '_' || s[user] == '-')
		user++;
	if (!user || s[user] != '@' || s[0] == '-')
		return 0;
	host = user + 1;
	while (isalnum((unsigned char)s[host]) || s[host] == '.' || s[host] == '-')
		host++;
	return host > user + 1 && s[host] == ':' && s[user + 1] != '-' ? host : 0;
}

static bool is_http(const char *s)
{
	return strncasecmp(s, "http://", 7) == 0 || strncasecmp(s, "https://", 8) == 0;
}

static bool is_legacy(const char *s)
{
	static const char host[] = "github.com/";
	const char *slash = strncmp(s, host, sizeof(host) - 1) == 0 ? strchr(s + sizeof(host) - 1, '/') : NULL;

	return slash && slash > s + sizeof(host) - 1 && slash[1];
}

bool git_is(const char *text, bool legacy)
{
	if (text[0] == '.' || text[0] == '/')
		return false;
	if (is_http(text)) {
		struct slice path = { text, url_end(text) };
		const char *host = strstr(text, "://") + 3;

		return slice_ends(path, ".git") && memchr(host, '/', path.n - (size_t)(host - text));
	}
	if (strncmp(text, "git://", 6) == 0 || strncmp(text, "ssh://", 6) == 0)
		return true;
	return scp_colon(text) > 0 || (legacy && is_legacy(text));
}

/* ---- its parts */

static char *decode(struct slice s)
{
	char *out = mem_alloc(s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		char hex[3] = { 0 };

		if (s.p[i] == '%' && i + 2 < s.n && isxdigit((unsigned char)s.p[i + 1]) && isxdigit((unsigned char)s.p[i + 2])) {
			memcpy(hex, s.p + i + 1, 2);
			out[n++] = (char)strtoul(hex, NULL, 16);
			i += 2;
		} else {
			out[n++] = s.p[i] == '+' ? ' ' : s.p[i];
		}
	}
	out[n] = '\0';
	return out;
}

static int bool_value(const char *key, const char *value, bool *ret, struct err **e)
{
	static const char *const yes[] = { "", "1", "t", "T", "true", "TRUE", "True" }, *const no[] = { "0", "f", "F", "false", "FALSE", "False" };

	for (size_t i = 0; i < countof(yes); i++)
		if (strcmp(value, yes[i]) == 0) {
			*ret = true;
			return 0;
		}
	for (size_t i = 0; i < countof(no); i++)
		if (strcmp(value, no[i]) == 0) {
			*ret = false;
			return 0;
		}
	return err_set(e, ERR_INPUT, "invalid %s value: '%s'", key, value);
}

/* Every query key once, kept until all are known. */
struct query {
	char *ref, *tag, *branch, *subdir, *checksum, *keep, *submodules, *mtime, *by_commit;
};

static int query_add(struct query *q, const char *key, char *take_value, bool has_value, struct err **e)
{
	const struct {
		const char *key;
		char **at;
		bool is_bool;
	} rows[] = {
		{ "ref", &q->ref, false },           { "tag", &q->tag, false },
		{ "branch", &q->branch, false },     { "subdir", &q->subdir, false },
		{ "checksum", &q->checksum, false }, { "commit", &q->checksum, false },
		{ "keep-git-dir", &q->keep, true },  { "submodules", &q->submodules, true },
		{ "mtime", &q->mtime, false },       { "fetch-by-commit", &q->by_commit, true },
	};
	AUTO(mem_freep) char *value = take_value;

	for (size_t i = 0; i < countof(rows); i++) {
		if (strcmp(key, rows[i].key) != 0)
			continue;
		if (!rows[i].is_bool && (!has_value || !*value))
			return err_set(e, ERR_INPUT, "query \"%s\" has no value", key);
		if (*rows[i].at)
			return err_set(e, ERR_INPUT, "query \"%s\" has multiple values", key);
		*rows[i].at = take(&value);
		return 0;
	}
	return err_set(e, ERR_INPUT, "unexpected query \"%s\"", key);
}

static int query_parse(struct slice text, struct query *q, struct err **e)
{
	while (text.n) {
		struct slice pair, key, value;

		if (!slice_cut(text, '&', &pair, &text))
			text = SLICE_NONE;
		if (!pair.n)
			continue;
		bool has = slice_cut(pair, '=', &key, &value);
		AUTO(mem_freep) char *name = decode(key);
		if (query_add(q, name, decode(has ? value : SLICE_NONE), has, e) < 0)
			return -1;
	}
	return 0;
}

static void query_clear(struct query *q)
{
	char **all[] = { &q->ref, &q->tag, &q->branch, &q->subdir, &q->checksum, &q->keep, &q->submodules, &q->mtime, &q->by_commit };

	for (size_t i = 0; i < countof(all); i++)
		mem_freep(all[i]);
}

/* "v1" -> "refs/tags/v1". */
static char *full_name(const char *space, const char *name)
{
	return strncmp(name, space, strlen(space)) == 0 ? mem_str(name) : mem_printf("%s%s", space, name);
}

/* The ref that fragment, ref=, tag= and branch= agree on. */
static int choose_ref(struct git_ref *g, struct query *q, struct err **e)
{
	if (q->ref && g->ref && strcmp(q->ref, g->ref) != 0)
		return err_set(e, ERR_INPUT, "ref conflicts: '%s' and '%s'", q->ref, g->ref);
	if (q->tag && q->branch)
		return err_set(e, ERR_INPUT, "branch conflicts with tag");
	if (q->ref && !g->ref)
		g->ref = take(&q->ref);
	if (!q->tag && !q->branch)
		return 0;
	/* Before anything stands in front of its '-' (D11). */
	if (git_check_name(q->tag ? "git tag" : "git branch", q->tag ? q->tag : q->branch, e) < 0)
		return -1;
	AUTO(mem_freep) char *full = q->tag ? full_name("refs/tags/", q->tag) : full_name("refs/heads/", q->branch);
	if (g->ref && strcmp(g->ref, full) != 0)
		return err_set(e, ERR_INPUT, "ref conflicts: '%s' and '%s'", full, g->ref);
	free(g->ref);
	g->ref = take(&full);
	return 0;
}

static int use_query(struct git_ref *g, struct query *q, struct err **e)
{
	bool on = true;

	if (choose_ref(g, q, e) < 0)
		return -1;
	if (q->subdir && g->subdir && strcmp(q->subdir, g->subdir) != 0)
		return err_set(e, ERR_INPUT, "subdir conflicts: '%s' and '%s'", q->subdir, g->subdir);
	if (q->subdir && !g->subdir)
		g->subdir = take(&q->subdir);
	if (q->checksum && (!is_hex(q->checksum) || strlen(q->checksum) > 64))
		return err_set(e, ERR_INPUT, "invalid checksum '%s': expected hex commit hash", q->checksum);
	g->checksum = take(&q->checksum);
	g->has_keep = q->keep;
	g->has_mtime = q->mtime;
	if (q->keep && bool_value("keep-git-dir", q->keep, &g->keep, e) < 0)
		return -1;
	if (q->submodules && bool_value("submodules", q->submodules, &on, e) < 0)
		return -1;
	g->no_submodules = !on;
	if (q->by_commit && bool_value("fetch-by-commit", q->by_commit, &g->by_commit, e) < 0)
		return -1;
	if (g->by_commit && (!g->checksum || !git_full_hash(g->checksum)))
		return err_set(e, ERR_INPUT, "fetch-by-commit requires the full hash of a commit");
	if (q->mtime && strcmp(q->mtime, "commit") != 0 && strcmp(q->mtime, "checkout") != 0)
		return err_set(e, ERR_INPUT, "invalid mtime value: '%s'", q->mtime);
	g->mtime_commit = q->mtime && strcmp(q->mtime, "commit") == 0;
	return 0;
}

/* "#ref:subdir". */
static void use_fragment(struct git_ref *g, const char *text)
{
	const char *colon = strchr(text, ':');

	if (colon ? colon > text : *text)
		g->ref = mem_strn(text, colon ? (size_t)(colon - text) : strlen(text));
	if (colon && colon[1])
		g->subdir = mem_str(colon + 1);
}

/* Where the host begins and ends in the remote. */
static char *host_of(const char *remote)
{
	const char *p = strstr(remote, "://");
	const char *from = p ? p + 3 : remote, *end = from + strcspn(from, p ? "/" : ":");
	const char *at = memrchr(from, '@', (size_t)(end - from));

	if (at)
		from = at + 1;
	return mem_strn(from, strcspn(from, "/:") < (size_t)(end - from) ? strcspn(from, "/:") : (size_t)(end - from));
}

int git_parse(const char *text, bool legacy, struct git_ref *ret, struct err **e)
{
	struct git_ref g = { 0 };
	struct query q = { 0 };
	size_t end = url_end(text);
	const char *hash = strchr(text, '#');
	int rc = 0;

	if (!git_is(text, legacy))
		return GIT_NOT;
	bool bare = !git_is(text, false);
	g.remote = mem_printf("%s%.*s%s", bare ? "https://" : "", (int)end, text, bare && !slice_ends((struct slice){ text, end }, ".git") ? ".git" : "");
	g.host = host_of(g.remote);
	if (hash)
		use_fragment(&g, hash + 1);
	if (text[end] == '?')
		rc = query_parse(hash ? slice_range(text + end + 1, hash) : slice_of(text + end + 1), &q, e);
	if (rc == 0)
		rc = use_query(&g, &q, e);
	for (const char *p = g.remote; *p && rc == 0; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			rc = err_set(e, ERR_INPUT, "invalid git address '%s': it has blanks or control bytes", g.remote);
	if (rc == 0 && (!*g.host || g.host[0] == '-'))
		rc = err_set(e, ERR_INPUT, "invalid git host '%s'", g.host);
	if (rc == 0 && g.ref)
		rc = git_check_name("git ref", g.ref, e);
	if (rc == 0 && g.subdir && g.subdir[0] == '-')
		rc = err_set(e, ERR_INPUT, "invalid subdir '%s': it begins with '-'", g.subdir);
	query_clear(&q);
	if (rc < 0) {
		git_ref_clear(&g);
		return -1;
	}
	*ret = g;
	return 0;
}

/* ---- submodules */

/* "./x" and "../x" from a remote; never above its host. NULL: that high. */
static char *relative_to(const char *remote, const char *url)
{
	const char *scheme = strstr(remote, "://");
	size_t root = scheme ? (size_t)(scheme + 3 - remote) + strcspn(scheme + 3, "/") : strcspn(remote, ":") + 1, n = strlen(remote);

	if (scheme && remote[root] != '/')
		return NULL;
	root += strspn(remote + root, "/");
	while (n > root && remote[n - 1] == '/')
		n--;
	for (;; url += strcspn(url, "/") + 1) {
		if (strncmp(url, "./", 2) == 0)
			continue;
		if (strncmp(url, "../", 3) != 0)
			return mem_printf("%.*s%s%s", (int)n, remote, n > root ? "/" : "", url);
		if (n <= root)
			return NULL;
		while (n > root && remote[n - 1] != '/')
			n--;
		while (n > root && remote[n - 1] == '/')
			n--;
	}
}

static bool plain_address(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == 0x7f)
			return false;
	return true;
}

int git_parse_module(const struct git_ref *of, const char *url, const char *commit, struct git_ref *ret, struct err **e)
{
	bool relative = strncmp(url, "./", 2) == 0 || strncmp(url, "../", 3) == 0;
	AUTO(mem_freep) char *remote = relative ? relative_to(of->remote, url) : mem_str(url);
	AUTO(mem_freep) char *host = remote && plain_address(remote) && (is_http(remote) || git_is(remote, false)) ? host_of(remote) : NULL;

	if (!host || !*host || *host == '-')
		return err_set(e, ERR_SOURCE, "submodule address '%s' is not allowed", url);
	*ret = (struct git_ref){ .remote = take(&remote), .host = take(&host), .checksum = mem_str(commit), .by_commit = true };
	return 0;
}
