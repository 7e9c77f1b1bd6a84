/* build/context/gitrun.c - the git program, disarmed (spec/threats.md D11, D12).
 *
 *   dir/home       empty: HOME and template directory of git
 *   dir/tree       the repository and its checkout
 */
#include "build/context/gitrun.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>

#include "base/at.h"
#include "base/mem.h"
#include "base/proc.h"

enum { GIT_TIMEOUT_MS = 30 * 60 * 1000, ARGS_MAX = 16 };

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

/* The token is for the repository's own host; where it redirects to would get it too (R4), so it may not. */
static void env_auth(struct git *g, size_t *n, const char *remote, const char *header)
{
	const char *host = strstr(remote, "://");

	if (!host || !header)
		return;
	host += 3;
	struct slice scheme = slice_range(remote, host), name = { host, strcspn(host, "/") };
	const char *at = memrchr(name.p, '@', name.n);
	if (at)
		name = slice_range(at + 1, name.p + name.n);
	AUTO(mem_freep) char *key = mem_printf("http.%.*s%.*s/.extraHeader", SLICE_F(scheme), SLICE_F(name));
	AUTO(mem_freep) char *value = mem_printf("Authorization: %s", header);

	env_config(g, n, key, value);
	env_config(g, n, "http.followRedirects", "false");
	mem_wipe(value, strlen(value));
}

static void env_configs(struct git *g, const struct git_ref *auth_of)
{
	static const struct {
		const char *key, *value;
	} rows[] = {
		{ "protocol.file.allow", "never" }, { "core.hooksPath", "/dev/null" }, { "core.fsmonitor", "false" },
		{ "core.symlinks", "true" },        { "core.autocrlf", "false" },      { "transfer.fsckObjects", "true" },
		{ "credential.helper", "" },        { "advice.detachedHead", "false" }, { "gc.auto", "0" },
		{ "core.logAllRefUpdates", "false" },  /* a kept .git would tell who and where we are (W7) */
	};
	size_t n = 0;
	char count[24];

	for (size_t i = 0; i < countof(rows); i++)
		env_config(g, &n, rows[i].key, rows[i].value);
	env_config(g, &n, "remote.origin.url", g->r->ref->remote);
	env_auth(g, &n, auth_of->remote, g->r->auth_header);
	if (g->r->insecure)
		env_config(g, &n, "http.sslVerify", "false");
	snprintf(count, sizeof(count), "%zu", n);
	env_add(g, "GIT_CONFIG_COUNT", count);
}

int git_init(struct git *g, const struct git_req *r, const struct git_ref *auth_of, int take_tree, struct err **e)
{
	static const char *const pass[] = { "PATH",	   "http_proxy", "https_proxy", "all_proxy", "no_proxy",
					    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY",	  "NO_PROXY" };
	AUTO(mem_freep) char *home = mem_printf("%s/home", r->path);

	*g = (struct git){ .r = r, .tree = take_tree };
	g->shown = without_userinfo(r->ref->remote);
	g->program = proc_find("git");
	if (!g->program) {
		err_set(e, ERR_HOST, "'%s' needs the program git, which is not on PATH", g->shown);
		return err_hint(e, "install git, or clone the repository and give its directory");
	}
	for (size_t i = 0; i < countof(pass); i++) {
		AUTO(mem_freep) char *line = proc_env(pass[i]);

		if (line)
			strs_add(&g->env, line);
	}
	env_add(g, "HOME", home);
	env_add(g, "GIT_TEMPLATE_DIR", home);
	env_add(g, "LANG", "C");
	env_add(g, "GIT_TERMINAL_PROMPT", "0");
	env_add(g, "GIT_CONFIG_NOSYSTEM", "1");
	env_add(g, "GIT_CONFIG_GLOBAL", "/dev/null");
	env_add(g, "GIT_ALLOW_PROTOCOL", "http:https:ssh:git");
	/* The user's own configuration and known hosts; but what listens there is a stranger, and gets no agent, display or port. */
	env_add(g, "GIT_SSH_COMMAND", "ssh -axT -o BatchMode=yes -o ClearAllForwardings=yes -o PermitLocalCommand=no");
	if (r->ssh_socket)
		env_add(g, "SSH_AUTH_SOCK", r->ssh_socket);
	env_configs(g, auth_of);
	return GIT(g, NULL, e, "init", "-q");
}

int git_open(struct git *g, const struct git_req *r, struct err **e)
{
	if (at_mkdir(r->dir, "home", 0700, e) < 0 || at_mkdir(r->dir, "tree", 0755, e) < 0)
		return -1;
	int tree = at_open_store(r->dir, "tree", O_RDONLY | O_DIRECTORY, 0, e);
	return tree < 0 ? -1 : git_init(g, r, r->ref, tree, e);
}

void git_clear(struct git *g)
{
	free(g->program);
	free(g->shown);
	/* It may hold a header with a secret. */
	for (size_t i = 0; i < g->env.n; i++)
		mem_wipe(g->env.v[i], strlen(g->env.v[i]));
	strs_clear(&g->env);
	fd_closep(&g->tree);
}

int git_try(struct git *g, const char *const *words, struct buf *out, struct buf *said, struct err **e)
{
	const char *argv[ARGS_MAX + 2] = { g->program };
	struct proc_run p = { .argv = argv, .env = strs_null(&g->env), .dir = g->tree, .timeout_ms = GIT_TIMEOUT_MS, .out = out, .err = said,
			      .file_max = g->r->limits ? g->r->limits->v[LIMIT_DOWNLOAD_SIZE] : 0 };
	size_t n = 1;

	while (*words && n <= ARGS_MAX)
		argv[n++] = *words++;
	return proc_run(&p, e);
}

static const struct {
	const char *said, *hint;
} hints[] = {
	{ "Host key verification failed", "connect once with ssh, and compare the key it shows with what the host's owner says; then it is a known host" },
	{ "Permission denied (", "add a key that the host knows to your agent with ssh-add, or name an agent with --ssh default=SOCKET" },
	{ "ssh: not found", "install the ssh program, or use an https address" },
	{ "could not read Username", "give a token with --secret id=GIT_AUTH_TOKEN,src=FILE" },
	{ "returned error: 30", "the repository has moved: write its new address" },
	{ "Authentication failed", "give a token with --secret id=GIT_AUTH_TOKEN,src=FILE" },
};

int git_said(struct git *g, const char *verb, const struct buf *said, struct err **e)
{
	AUTO(buf_freep) struct buf plain = BUF_MAX(64 << 10);
	AUTO(buf_freep) struct buf clean = BUF_MAX(4096);
	char large[16];

	/* ssh ends its lines for a terminal. */
	for (size_t i = 0; i < said->n; i++)
		if (said->p[i] != '\r')
			buf_char(&plain, said->p[i]);
	buf_escaped(&clean, slice_trim(buf_view(&plain), " \n"), 1000);
	err_set(e, ERR_SOURCE, "git %s of '%s' failed: %s", verb, g->shown, clean.n ? clean.p : "no reason given");
	snprintf(large, sizeof(large), "signal %d", SIGXFSZ);
	if (g->r->limits && clean.n && strstr(clean.p, large)) {
		err_kind_set(e, ERR_LIMIT);
		return limit_hit(g->r->limits, LIMIT_DOWNLOAD_SIZE, e);
	}
	for (size_t i = 0; i < countof(hints) && clean.n; i++)
		if (strstr(clean.p, hints[i].said))
			return err_hint(e, "%s", hints[i].hint);
	return -1;
}

int git_run(struct git *g, const char *const *words, struct buf *out, struct err **e)
{
	AUTO(buf_freep) struct buf said = BUF_MAX(64 << 10);
	int rc = git_try(g, words, out, &said, e);

	return rc <= 0 ? rc : git_said(g, words[0], &said, e);
}
