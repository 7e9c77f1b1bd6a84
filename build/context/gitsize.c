/* build/context/gitsize.c - what a commit's files hold, before they are written (spec/threats.md 17). */
#include "build/context/gitrun.h"

enum { SIZES_MAX = 256 << 20 };                  /* a line per file */

int git_size(struct git *g, const char *commit, struct err **e)
{
	AUTO(buf_freep) struct buf sizes = BUF_MAX(SIZES_MAX);
	const struct git_req *r = g->r;
	struct slice rest, line;

	if (!r->limits)
		return 0;
	if (GIT(g, &sizes, e, "ls-tree", "-r", "--format=%(objectsize)", "--end-of-options", commit) < 0)
		return -1;
	if (buf_ok(&sizes, "list of files", e) < 0)
		return -1;
	for (rest = buf_view(&sizes); rest.n;) {
		uint64_t n = 0;

		if (!slice_cut(rest, '\n', &line, &rest))
			rest = SLICE_NONE;
		/* "-": a submodule. */
		if (slice_u64(line, &n) && __builtin_add_overflow(*r->used, n, r->used))
			*r->used = UINT64_MAX;
	}
	if (*r->used <= r->limits->v[LIMIT_DOWNLOAD_SIZE])
		return 0;
	err_set(e, ERR_LIMIT, "the files of '%s' hold %ju bytes", g->shown, (uintmax_t)*r->used);
	return limit_hit(r->limits, LIMIT_DOWNLOAD_SIZE, e);
}
