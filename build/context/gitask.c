/* build/context/gitask.c - which commit a reference stands for: the remote is asked (spec/dockerfile.md 10.4.2). */
#include <stdlib.h>

#include "base/mem.h"
#include "build/context/gitrun.h"

void git_got_clear(struct git_got *g)
{
	free(g->commit);
	free(g->ref);
	*g = (struct git_got){ 0 };
}

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

int git_ask(struct git *g, struct git_got *ret, struct err **e)
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

int git_resolve(const struct git_req *r, struct git_got *ret, struct err **e)
{
	AUTO(git_clear) struct git g = { .tree = -1 };

	*ret = (struct git_got){ 0 };
	if (git_open(&g, r, e) < 0 || git_ask(&g, ret, e) < 0) {
		git_got_clear(ret);
		return -1;
	}
	return 0;
}
