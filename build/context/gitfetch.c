/* build/context/gitfetch.c - one commit of a remote, with as little of its history as the server allows (spec/dockerfile.md 10.4.2). */
#include "base/mem.h"
#include "build/context/gitrun.h"

static int check_commit(struct git *g, const struct git_got *got, const char *tag, struct err **e)
{
	const char *want = g->r->ref->checksum;

	if (!want || strncmp(got->commit, want, strlen(want)) == 0 || (tag && strncmp(tag, want, strlen(want)) == 0))
		return 0;
	return err_set(e, ERR_SOURCE, "expected checksum to match %s, got %s", want, got->commit);
}

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
	return git_said(g, words[0], &said, e);
}

/* One commit without its history; a server that does not hand out commits by hash is asked for everything. */
int git_fetch(struct git *g, const struct git_got *got, struct err **e)
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
