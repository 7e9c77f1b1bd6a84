/* build/context/gittree.c - a commit as a tree of files, submodules and all, without what git keeps beside it (spec/dockerfile.md 10.4.1). */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/at.h"
#include "base/mem.h"
#include "build/context/gitrun.h"

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

int git_place(struct git *g, const struct git_got *got, bool keep, struct err **e)
{
	if (git_fetch(g, got, e) < 0 || git_size(g, got->commit, e) < 0 || GIT(g, NULL, e, "checkout", "-q", "--force", "--detach", got->commit) < 0)
		return -1;
	return keep ? keep_git(g, got, e) : 0;
}

static int check_out(struct git *g, struct git_got *got, int *ret_tree, struct err **e)
{
	const struct git_ref *r = g->r->ref;
	bool keep = r->keep && !r->subdir;

	if (git_ask(g, got, e) < 0 || git_place(g, got, keep, e) < 0 || (!r->no_submodules && git_modules(g, keep, e) < 0) ||
	    commit_time(g, got->commit, &got->time, e) < 0)
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
	rc = git_open(&g, r, e) < 0 ? -1 : check_out(&g, ret, ret_tree, e);
	umask(old);
	if (rc < 0)
		git_got_clear(ret);
	return rc;
}
