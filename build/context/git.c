/* build/context/git.c - a git repository as build context or ADD source: the git program, disarmed (10.4, 13.1, D11, D12).
 *
 *   dir/home       empty: HOME and template directory of git
 *   dir/tree       the repository and its checkout
 */
#include "build/context/git.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/at.h"
#include "base/mem.h"
#include "base/proc.h"
#include "build/context/context.h"
#include "build/wait.h"
#include "build/work.h"
#include "registry/base64.h"

enum { GIT_TIMEOUT_MS = 30 * 60 * 1000, ARGS_MAX = 16, CONFIGS = 12 };

void git_got_clear(struct git_got *g)
{
	free(g->commit);
	free(g->ref);
	*g = (struct git_got){ 0 };
}

/* ---- running git */

struct git {
	const struct git_req *r;
	char *program, *shown;           /* shown: the remote without user information (S8) */
	struct strs env;
	int tree;
};

/* "scheme://user:password@host/..." without the middle. */
static char *without_userinfo(const char *remote)
{
	const char *from = strstr(remote, "://");

	if (!from)
		return mem_str(remote);
	from += 3;
	const char *end = from + strcspn(from, "/"), *at = memrchr(from, '@', (size_t)(end - from));
	return at ? mem_printf("%.*s%s", (int)(from - remote), remote, at + 1) : mem_str(remote);
}

static void env_add(struct git *g, const char *name, const char *value)
{
	AUTO(mem_freep) char *line = mem_printf("%s=%s", name, value);

	strs_add(&g->env, line);
}

/* Settings go by the environment: nothing of them is in argv, and no file has to be trusted. */
static void env_config(struct git *g, size_t *n, const char *key, const char *value)
{
	AUTO(mem_freep) char *k = mem_printf("GIT_CONFIG_KEY_%zu", *n);
	AUTO(mem_freep) char *v = mem_printf("GIT_CONFIG_VALUE_%zu", *n);

	env_add(g, k, key);
	env_add(g, v, value);
	++*n;
}

static void env_configs(struct git *g)
{
	static const struct {
		const char *key, *value;
	} rows[] = {
		{ "protocol.file.allow", "never" }, { "core.hooksPath", "/dev/null" }, { "core.fsmonitor", "false" },
		{ "core.symlinks", "true" },        { "core.autocrlf", "false" },      { "transfer.fsckObjects", "true" },
		{ "credential.helper", "" },        { "advice.detachedHead", "false" }, { "gc.auto", "0" },
		{ "core.logAllRefUpdates", "false" },  /* a kept .git would tell who and where we are (W7) */
	};
	const struct git_req *r = g->r;
	size_t n = 0;
	char count[24];

	for (size_t i = 0; i < countof(rows); i++)
		env_config(g, &n, rows[i].key, rows[i].value);
	env_config(g, &n, "remote.origin.url", r->ref->remote);
	if (r->auth_header && strstr(r->ref->remote, "://")) {
		const char *scheme = strstr(r->ref->remote, "://");
		AUTO(mem_freep) char *key = mem_printf("http.%.*s://%s/.extraHeader", (int)(scheme - r->ref->remote), r->ref->remote, r->ref->host);
		AUTO(mem_freep) char *value = mem_printf("Authorization: %s", r->auth_header);

		env_config(g, &n, key, value);
		mem_wipe(value, strlen(value));
	}
	snprintf(count, sizeof(count), "%zu", n);
	env_add(g, "GIT_CONFIG_COUNT", count);
}

static int git_init(struct git *g, const struct git_req *r, struct err **e)
{
	static const char *const pass[] = { "PATH",	   "http_proxy", "https_proxy", "all_proxy", "no_proxy",
					    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY",	  "NO_PROXY" };
	AUTO(mem_freep) char *home = mem_printf("%s/home", r->path);

	*g = (struct git){ .r = r, .tree = -1 };
	g->shown = without_userinfo(r->ref->remote);
	g->program = proc_find("git");
	if (!g->program) {
		err_set(e, ERR_HOST, "'%s' needs the program git, which is not on PATH", g->shown);
		return err_hint(e, "install git, or clone the repository and give its directory");
	}
	for (size_t i = 0; i < countof(pass); i++)
		if (getenv(pass[i]))
			env_add(g, pass[i], getenv(pass[i]));
	env_add(g, "HOME", home);
	env_add(g, "GIT_TEMPLATE_DIR", home);
	env_add(g, "LANG", "C");
	env_add(g, "GIT_TERMINAL_PROMPT", "0");
	env_add(g, "GIT_CONFIG_NOSYSTEM", "1");
	env_add(g, "GIT_CONFIG_GLOBAL", "/dev/null");
	env_add(g, "GIT_ALLOW_PROTOCOL", "http:https:ssh:git");
	env_add(g, "GIT_SSH_COMMAND", "ssh -o BatchMode=yes");
	if (r->ssh_socket)
		env_add(g, "SSH_AUTH_SOCK", r->ssh_socket);
	env_configs(g);
	if (at_mkdir(r->dir, "home", 0700, e) < 0 || at_mkdir(r->dir, "tree", 0755, e) < 0)
		return -1;
	g->tree = at_open_store(r->dir, "tree", O_RDONLY | O_DIRECTORY, 0, e);
	return g->tree < 0 ? -1 : 0;
}

static void git_clear(struct git *g)
{
	free(g->program);
	free(g->shown);
	/* It may hold a header with a secret. */
	for (size_t i = 0; i < g->env.n; i++)
		mem_wipe(g->env.v[i], strlen(g->env.v[i]));
	strs_clear(&g->env);
	fd_closep(&g->tree);
}

/* git with these words, in the tree. Its exit status; out may be NULL. */
static int git_try(struct git *g, const char *const *words, struct buf *out, struct buf *said, struct err **e)
{
	const char *argv[ARGS_MAX + 2] = { g->program };
	struct proc_run p = { .argv = argv, .env = strs_null(&g->env), .dir = g->tree, .timeout_ms = GIT_TIMEOUT_MS, .out = out, .err = said };
	size_t n = 1;

	while (*words && n <= ARGS_MAX)
		argv[n++] = *words++;
	return proc_run(&p, e);
}

static int said_error(struct git *g, const char *verb, const struct buf *said, struct err **e)
{
	AUTO(buf_freep) struct buf clean = BUF_MAX(4096);

	buf_escaped(&clean, slice_trim(buf_view(said), " \n"), 1000);
	return err_set(e, ERR_SOURCE, "git %s of '%s' failed: %s", verb, g->shown, clean.n ? clean.p : "no reason given");
}

static int git_run(struct git *g, const char *const *words, struct buf *out, struct err **e)
{
	AUTO(buf_freep) struct buf said = BUF_MAX(64 << 10);
	int rc = git_try(g, words, out, &said, e);

	return rc <= 0 ? rc : said_error(g, words[0], &said, e);
}
#define GIT(g, out, e, ...) git_run(g, (const char *const[]){ __VA_ARGS__, NULL }, out, e)

/* ---- which commit (10.4.2) */

/* One line of ls-remote: "<hash>\t<name>" or "ref: <name>\tHEAD". Only names that were asked for count (D11). */
static void advertised(struct slice text, const char *name, char **ret)
{
	struct slice line, hash, ref;

	while (text.n) {
		if (!slice_cut(text, '\n', &line, &text))
			text = SLICE_NONE;
		if (!slice_cut(line, '\t', &hash, &ref) || !slice_is(ref, name))
			continue;
		AUTO(mem_freep) char *h = mem_strn(hash.p, hash.n);
		if (!git_full_hash(h))
			continue;
		free(*ret);
		*ret = take(&h);
	}
}

static int default_branch(struct git *g, struct git_got *ret, struct err **e)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(64 << 10);
	struct slice line, text, name;

	if (GIT(g, &out, e, "ls-remote", "--symref", "origin", "HEAD") < 0)
		return -1;
	advertised(buf_view(&out), "HEAD", &ret->commit);
	text = buf_view(&out);
	while (text.n && !ret->ref) {
		if (!slice_cut(text, '\n', &line, &text))
			text = SLICE_NONE;
		if (slice_starts(line, "ref: refs/heads/") && slice_cut(slice_skip(line, 5), '\t', &name, &line))
			ret->ref = mem_strn(name.p, name.n);
	}
	if (!ret->commit)
		return err_set(e, ERR_SOURCE, "repository '%s' has no default branch", g->shown);
	if (!ret->ref)
		ret->ref = mem_str("HEAD");
	return git_check_name("git ref of the remote", ret->ref, e);
}

static int named_ref(struct git *g, const char *name, struct git_got *ret, struct err **e)
{
	static const char *const spaces[] = { "refs/", "refs/heads/", "refs/tags/" };
	bool full = strncmp(name, "refs/", 5) == 0;

	for (size_t i = 0; i < countof(spaces) && !ret->commit; i++) {
		AUTO(buf_freep) struct buf out = BUF_MAX(1 << 20);
		AUTO(mem_freep) char *ref = mem_printf("%s%s", full && i == 0 ? "" : spaces[i], name);
		AUTO(mem_freep) char *peeled = mem_printf("%s^{}", ref);

		if (GIT(g, &out, e, "ls-remote", "origin", ref, peeled) < 0)
			return -1;
		advertised(buf_view(&out), ref, &ret->commit);
		/* An annotated tag stands for its commit. */
		advertised(buf_view(&out), peeled, &ret->commit);
		if (ret->commit)
			ret->ref = take(&ref);
	}
	return ret->commit ? 0 : err_set(e, ERR_SOURCE, "repository does not contain ref %s", name);
}

static int resolve(struct git *g, struct git_got *ret, struct err **e)
{
	const struct git_ref *r = g->r->ref;

	if (r->by_commit || (r->ref && git_full_hash(r->ref))) {
		ret->commit = mem_str(r->by_commit ? r->checksum : r->ref);
		ret->ref = r->by_commit && r->ref && !git_full_hash(r->ref) ? mem_printf("refs/heads/%s", r->ref) : mem_str("");
	} else if ((r->ref ? named_ref(g, r->ref, ret, e) : default_branch(g, ret, e)) < 0) {
		return -1;
	}
	return 0;
}

static int check_commit(struct git *g, const struct git_got *got, const char *tag, struct err **e)
{
	const char *want = g->r->ref->checksum;

	if (!want || strncmp(got->commit, want, strlen(want)) == 0 || (tag && strncmp(tag, want, strlen(want)) == 0))
		return 0;
	return err_set(e, ERR_SOURCE, "expected checksum to match %s, got %s", want, got->commit);
}

int git_resolve(const struct git_req *r, struct git_got *ret, struct err **e)
{
	AUTO(git_clear) struct git g = { .tree = -1 };

	*ret = (struct git_got){ 0 };
	if (git_init(&g, r, e) < 0 || GIT(&g, NULL, e, "init", "-q") < 0 || resolve(&g, ret, e) < 0) {
		git_got_clear(ret);
		return -1;
	}
	return 0;
}

/* ---- the tree */

static char *first_line(struct buf *out)
{
	struct slice s = slice_trim(buf_view(out), " \n");

	return mem_strn(s.p, s.n);
}

static int commit_of(struct git *g, const char *what, char **ret, struct err **e)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(4096);

	if (GIT(g, &out, e, "rev-parse", "--verify", "--quiet", "--end-of-options", what) < 0)
		return -1;
	*ret = first_line(&out);
	return git_full_hash(*ret) ? 0 : err_set(e, ERR_SOURCE, "'%s' of '%s' is not a commit", what, g->shown);
}

/* One branch, tag or HEAD without its history; a server of plain files ("dumb" http) can only hand out all of it. */
static int fetch_ref(struct git *g, const char *spec, struct err **e)
{
	const char *const words[] = { "fetch", "-q", "--depth=1", "--no-tags", "--no-recurse-submodules", "origin", spec, NULL };
	AUTO(buf_freep) struct buf said = BUF_MAX(64 << 10);
	int rc = git_try(g, words, NULL, &said, e);

	if (rc <= 0)
		return rc;
	if (said.n && strstr(said.p, "dumb http"))
		return GIT(g, NULL, e, "fetch", "-q", "--no-tags", "--no-recurse-submodules", "origin", spec);
	return said_error(g, words[0], &said, e);
}

/* One commit without its history; a server that does not hand out commits by hash is asked for everything. */
static int fetch(struct git *g, struct git_got *got, struct err **e)
{
	AUTO(mem_freep) char *spec = mem_printf("+%s:refs/kiln/head", *got->ref && !g->r->ref->by_commit ? got->ref : got->commit);
	AUTO(mem_freep) char *real = NULL;
	AUTO(mem_freep) char *tag = NULL;
	AUTO(buf_freep) struct buf said = BUF_MAX(64 << 10);

	if (*got->ref && !g->r->ref->by_commit) {
		if (fetch_ref(g, spec, e) < 0)
			return -1;
	} else {
		const char *const words[] = { "fetch", "-q", "--depth=1", "--no-tags", "--no-recurse-submodules", "origin", spec, NULL };
		int rc = git_try(g, words, NULL, &said, e);

		if (rc < 0)
			return -1;
		if (rc && (GIT(g, NULL, e, "fetch", "-q", "--no-recurse-submodules", "origin", "+refs/heads/*:refs/kiln/h/*",
			       "+refs/tags/*:refs/kiln/t/*") < 0 ||
			   GIT(g, NULL, e, "update-ref", "refs/kiln/head", got->commit) < 0))
			return err_wrap(e, "commit %s is not there", got->commit);
	}
	if (commit_of(g, "refs/kiln/head^{commit}", &real, e) < 0 || commit_of(g, "refs/kiln/head", &tag, e) < 0)
		return -1;
	if (strcmp(real, got->commit) != 0) {
		err_set(e, ERR_SOURCE, "'%s' of '%s' moved while it was fetched", got->ref, g->shown);
		return err_hint(e, "build again");
	}
	return check_commit(g, got, tag, e);
}

/* Addresses of submodules come from the repository: only the protocols of D11 or a path relative to the remote. */
static int check_submodules(struct git *g, bool *any, struct err **e)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(1 << 20);
	AUTO(buf_freep) struct buf said = BUF_MAX(4096);
	static const char *const words[] = { "config", "-z", "-f", ".gitmodules", "--get-regexp", "^submodule\\..*\\.url$", NULL };
	struct stat st;

	*any = false;
	int rc = at_stat(g->tree, ".gitmodules", &st, e);
	if (rc)
		return rc < 0 ? -1 : 0;
	/* git itself does not read one that is a link. */
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_SOURCE, "'.gitmodules' of '%s' is not a file", g->shown);
	if (git_try(g, words, &out, &said, e) < 0)
		return -1;
	for (struct slice rest = buf_view(&out), item, key, url; rest.n;) {
		if (!slice_cut(rest, '\0', &item, &rest))
			rest = SLICE_NONE;
		if (!slice_cut(item, '\n', &key, &url))
			continue;
		AUTO(mem_freep) char *text = mem_strn(url.p, url.n);
		bool relative = strncmp(text, "./", 2) == 0 || strncmp(text, "../", 3) == 0;
		bool known = strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0 || git_is(text, false);
		if (!relative && !known)
			return err_set(e, ERR_SOURCE, "submodule address '%s' of '%s' is not allowed", text, g->shown);
		*any = true;
	}
	return 0;
}

/* git's own files out of the tree, times set: every directory once, none deeper than one component from its fd. */
static int tidy(int tree, bool drop_git, int64_t mtime, struct err **e)
{
	struct strs pending = { 0 };
	int rc = 0;

	strs_add(&pending, "");
	for (size_t i = 0; i < pending.n && rc == 0; i++) {
		struct at_names names = { 0 };
		AUTO(fd_closep) int dir = at_open(tree, pending.v[i], O_RDONLY | O_DIRECTORY, 0, e);

		rc = dir < 0 ? -1 : at_list(dir, &names, e);
		for (size_t k = 0; k < names.n && rc == 0; k++) {
			const char *name = names.name[k];
			struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = mtime } };
			struct stat st = { 0 };

			if (strcmp(name, ".git") == 0) {
				rc = drop_git ? at_rmtree(dir, name, e) : 0;
				continue;
			}
			if (mtime != INT64_MIN && utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
				rc = err_errno(e, ERR_HOST, errno, "cannot set the time of '%s'", name);
			if (rc == 0)
				rc = at_stat(dir, name, &st, e);
			if (rc == 0 && S_ISDIR(st.st_mode)) {
				AUTO(mem_freep) char *path = mem_printf("%s%s%s", pending.v[i], pending.v[i][0] ? "/" : "", name);
				strs_add(&pending, path);
			}
		}
		at_names_clear(&names);
	}
	strs_clear(&pending);
	return rc < 0 ? -1 : 0;
}

static int commit_time(struct git *g, const char *commit, int64_t *ret, struct err **e)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(4096);
	uint64_t t = 0;

	if (GIT(g, &out, e, "show", "-s", "--format=%ct", "--end-of-options", commit) < 0)
		return -1;
	if (!slice_u64(slice_trim(buf_view(&out), " \n"), &t) || t > INT64_MAX)
		return err_set(e, ERR_SOURCE, "commit %s of '%s' has no usable time", commit, g->shown);
	*ret = (int64_t)t;
	return 0;
}

/* A kept .git says where it came from. */
static int keep_git(struct git *g, const struct git_got *got, struct err **e)
{
	if (GIT(g, NULL, e, "config", "remote.origin.url", g->shown) < 0)
		return -1;
	if (strncmp(got->ref, "refs/", 5) == 0 && GIT(g, NULL, e, "update-ref", got->ref, got->commit) < 0)
		return -1;
	if (GIT(g, NULL, e, "update-ref", "-d", "refs/kiln/head") < 0)
		return -1;
	AUTO(fd_closep) int dir = at_open_store(g->tree, ".git", O_RDONLY | O_DIRECTORY, 0, e);
	if (dir < 0 || at_unlink(dir, "FETCH_HEAD", e) < 0)
		return -1;
	AUTO(fd_closep) int refs = at_open_store(dir, "refs", O_RDONLY | O_DIRECTORY, 0, e);
	return refs < 0 ? -1 : at_rmtree(refs, "kiln", e);
}

static int subdir_of(struct git *g, int *ret, struct err **e)
{
	const char *sub = g->r->ref->subdir;
	struct err *why = NULL;

	sub = sub ? sub + strspn(sub, "/") : "";
	/* No link on the way, and none at its end (10.4.1). */
	*ret = at_open_store(g->tree, *sub ? sub : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &why);
	if (*ret >= 0)
		return 0;
	err_free(why);
	return err_set(e, ERR_INPUT, "invalid subdir '%s' of '%s': it is not a directory of the repository", sub, g->shown);
}

static int check_out(struct git *g, struct git_got *got, int *ret_tree, struct err **e)
{
	const struct git_ref *r = g->r->ref;
	bool keep = r->keep && !r->subdir, modules = false;

	if (GIT(g, NULL, e, "init", "-q") < 0 || resolve(g, got, e) < 0 || fetch(g, got, e) < 0 ||
	    GIT(g, NULL, e, "checkout", "-q", "--force", "--detach", got->commit) < 0)
		return -1;
	if (!r->no_submodules && check_submodules(g, &modules, e) < 0)
		return -1;
	if (modules && GIT(g, NULL, e, "submodule", "-q", "update", "--init", "--recursive", "--depth=1") < 0)
		return -1;
	if (commit_time(g, got->commit, &got->time, e) < 0)
		return -1;
	if (keep && keep_git(g, got, e) < 0)
		return -1;
	if (tidy(g->tree, !keep, INT64_MIN, e) < 0 || (r->mtime_commit && tidy(g->tree, false, got->time, e) < 0))
		return -1;
	return subdir_of(g, ret_tree, e);
}

int git_checkout(const struct git_req *r, struct git_got *ret, int *ret_tree, struct err **e)
{
	AUTO(git_clear) struct git g = { .tree = -1 };
	/* Files are 0644 or 0755 by git's executable bit, whatever the builder's own umask (10.4.1). */
	mode_t old = umask(022);
	int rc;

	*ret = (struct git_got){ 0 };
	rc = git_init(&g, r, e) < 0 ? -1 : check_out(&g, ret, ret_tree, e);
	umask(old);
	if (rc < 0)
		git_got_clear(ret);
	return rc;
}

/* ---- as the main context */

static const struct secret *find_secret(const struct build_req *r, const char *id, const char *host)
{
	AUTO(mem_freep) char *own = mem_printf("%s.%s", id, host);
	const struct secret *any = NULL;

	for (size_t i = 0; i < r->nsecret; i++) {
		if (strcmp(r->secret[i].id, own) == 0)
			return &r->secret[i];
		if (strcmp(r->secret[i].id, id) == 0)
			any = &r->secret[i];
	}
	return any;
}

char *git_auth_header(const struct build_req *r, const char *host)
{
	const struct secret *s = find_secret(r, "GIT_AUTH_HEADER", host);
	AUTO(buf_freep) struct buf plain = BUF_MAX(64 << 10);
	AUTO(buf_freep) struct buf coded = BUF_MAX(128 << 10);

	if (s) {
		struct slice v = slice_trim((struct slice){ s->value, s->n }, " \r\n");

		return mem_strn(v.p, v.n);
	}
	s = find_secret(r, "GIT_AUTH_TOKEN", host);
	if (!s)
		return NULL;
	buf_str(&plain, "x-access-token:");
	buf_slice(&plain, slice_trim((struct slice){ s->value, s->n }, " \r\n"));
	buf_str(&coded, "basic ");
	base64_put(&coded, buf_view(&plain));
	char *header = mem_strn(coded.p, coded.n);
	mem_wipe(plain.p, plain.n);
	mem_wipe(coded.p, coded.n);
	return header;
}

static bool context_git_is(const char *spec)
{
	return git_is(spec, true);
}

struct context_git_job {
	struct git_req req;
};

static int context_git_child(void *arg, struct job_self *self, struct buf *out, struct err **e)
{
	struct context_git_job *j = arg;
	struct git_got got;
	AUTO(fd_closep) int tree = -1;

	if (git_checkout(&j->req, &got, &tree, e) < 0)
		return -1;
	wire_put_i64(out, got.time);
	git_got_clear(&got);
	return 0;
}

/* Build arguments that a git context listens to (13.1); an explicit query wins. */
static void use_build_args(const struct build_req *r, struct git_ref *g)
{
	for (size_t i = 0; i < r->build_args.n; i++) {
		struct slice key, value;

		if (!slice_cut(slice_of(r->build_args.v[i]), '=', &key, &value))
			continue;
		if (slice_is(key, "BUILDKIT_CONTEXT_KEEP_GIT_DIR") && !g->has_keep)
			g->keep = slice_is(value, "1") || slice_is_nocase(value, "true");
		if (slice_is(key, "SOURCE_DATE_EPOCH") && value.n && !g->has_mtime)
			g->mtime_commit = true;
	}
}

const char *git_ssh_socket(const struct build_req *r)
{
	for (size_t i = 0; i < r->ssh.n; i++)
		if (strncmp(r->ssh.v[i], "default=", 8) == 0)
			return r->ssh.v[i] + 8;
	return getenv("SSH_AUTH_SOCK");
}

static int context_git_open(struct context *c, const struct build_req *r, struct err **e)
{
	AUTO(git_ref_clear) struct git_ref ref = { 0 };
	AUTO(buf_freep) struct buf call = BUF_MAX(64);
	AUTO(buf_freep) struct buf answer = BUF_MAX(64);
	AUTO(fd_closep) int dir = -1;

	if (git_parse(c->spec, true, &ref, e) < 0)
		return -1;
	use_build_args(r, &ref);
	if (context_tmp(c, &dir, e) < 0)
		return -1;
	AUTO(mem_freep) char *path = mem_printf("%s/%s", store_path(c->app->store), c->tmp);
	AUTO(mem_freep) char *header = git_auth_header(r, ref.host);
	struct context_git_job j = { { .ref = &ref, .dir = dir, .path = path, .auth_header = header, .ssh_socket = git_ssh_socket(r) } };
	work_call_put(&call, context_git_child, &j);
	int rc = wait_job(c->app, JOB_LOCAL, WORK_CALL, buf_view(&call), NULL, 0, NULL, NULL, &answer, e);
	if (header)
		mem_wipe(header, strlen(header));
	if (rc < 0)
		return err_wrap(e, "cannot fetch the build context");
	struct wire w = wire_of(buf_view(&answer));
	c->time = wire_i64(&w);
	if (wire_done(&w, "a checked-out repository", e) < 0)
		return -1;
	AUTO(fd_closep) int tree = at_open_store(dir, "tree", O_RDONLY | O_DIRECTORY, 0, e);
	if (tree < 0)
		return -1;
	const char *sub = ref.subdir ? ref.subdir + strspn(ref.subdir, "/") : "";
	c->dir = at_open_store(tree, *sub ? sub : ".", O_RDONLY | O_DIRECTORY, 0, e);
	return c->dir < 0 ? -1 : 0;
}

const struct context_kind context_git = { .name = "git repository", .is = context_git_is, .open = context_git_open };
