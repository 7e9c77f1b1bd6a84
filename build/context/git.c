/* build/context/git.c - a git repository as the build's context, and the credentials of repositories (spec/dockerfile.md 10.4.2, 13.1). */
#include "build/context/git.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/at.h"
#include "base/mem.h"
#include "build/context/context.h"
#include "build/wait.h"
#include "build/work.h"
#include "registry/base64.h"

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

static int use_options(const struct git_opts *o, struct git_ref *g, struct err **e)
{
	if (o->branch && g->ref)
		return err_set(e, ERR_USAGE, "--git says branch=%s, and the address says '%s'", o->branch, g->ref);
	if (o->branch)
		g->ref = mem_printf("refs/heads/%s", o->branch);
	g->no_submodules |= o->no_submodules;
	return 0;
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
	uint64_t used = 0;

	if (git_parse(c->spec, true, &ref, e) < 0)
		return -1;
	use_build_args(r, &ref);
	if (!c->named && use_options(&r->git, &ref, e) < 0)
		return -1;
	if (context_tmp(c, &dir, e) < 0)
		return -1;
	AUTO(mem_freep) char *path = mem_printf("%s/%s", store_path(c->app->store), c->tmp);
	AUTO(mem_freep) char *header = git_auth_header(r, ref.host);
	struct context_git_job j = { { .ref = &ref, .dir = dir, .path = path, .auth_header = header, .ssh_socket = git_ssh_socket(r),
					.insecure = !c->named && r->git.insecure, .limits = &c->app->limits, .used = &used } };
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
