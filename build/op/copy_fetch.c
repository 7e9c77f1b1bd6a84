/* build/op/copy_fetch.c - remote sources of ADD: a git checkout is a tree, a URL is one file (spec/dockerfile.md 10.3, 10.4). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "build/context/git.h"
#include "build/context/http.h"
#include "build/op/copying.h"
#include "build/plan.h"

enum { BLOCK = 256 << 10 };

void copy_remote_clear(struct copy_remote *r)
{
	pick_tree_freep(&r->tree);
	if (r->open) {
		fd_closep(&r->dir);
		fd_closep(&r->fd);
	}
	mem_freep(&r->name);
}

static int fetch_git(const struct copy *c, const struct copy_source *s, int dir, const char *path, struct copy_remote *ret,
		     struct pick_source *to, struct buf *told, struct err **e)
{
	AUTO(git_ref_clear) struct git_ref g = { 0 };
	const struct build_req *q = step_req(c->s);
	struct git_got got = { 0 };

	if (git_parse(s->text, false, &g, e) < 0)
		return -1;
	if (c->has_keep)
		g.keep = c->keep;
	if (c->checksum && !g.checksum)
		g.checksum = mem_str(c->checksum);
	g.mtime_commit = false;          /* for build contexts only (10.4) */
	AUTO(mem_freep) char *header = git_auth_header(q, g.host);
	struct git_req r = { .ref = &g, .dir = dir, .path = path, .auth_header = header, .ssh_socket = git_ssh_socket(q) };
	int rc = git_checkout(&r, &got, &ret->dir, e);
	if (header)
		mem_wipe(header, strlen(header));
	if (rc < 0)
		return -1;
	ret->kept = g.keep && !g.subdir;
	ret->tree = pick_tree_dir(ret->dir, NULL);
	to->tree = ret->tree;
	to->path = "/";
	to->unpack = false;
	buf_printf(told, "%scommit %s%s%s", told->n ? ", " : "", got.commit, ret->kept ? " of " : "", ret->kept ? got.ref : "");
	git_got_clear(&got);
	return 0;
}

static int verify(int fd, const char *checksum, struct err **e)
{
	AUTO(hasher_freep) struct hasher *h = NULL;
	AUTO(mem_freep) char *block = mem_alloc(BLOCK);
	struct checksum want;
	ssize_t n = 0;
	off_t off = 0;

	if (checksum_parse(slice_of(checksum), &want, e) < 0)
		return -1;
	h = hasher_new_checksum(&want);
	for (; (n = pread(fd, block, BLOCK, off)) > 0; off += n)
		hasher_add(h, block, (size_t)n);
	if (n < 0)
		return err_errno(e, ERR_HOST, errno, "cannot read the downloaded file");
	if (hasher_matches(h, &want))
		return 0;
	return err_set(e, ERR_SOURCE, "digest mismatch: the file is not %s; refusing to use it", checksum);
}

static int fetch_http(const struct copy *c, const struct copy_source *s, int dir, struct copy_remote *ret, struct pick_source *to,
		      struct buf *told, struct err **e)
{
	AUTO(mem_freep) char *header = http_auth_header(step_req(c->s), s->text);
	struct http_fetch_req r = { .url = s->text, .authorization = header, .fd = -1 };
	struct http_fetched got = { 0 };

	int rc = http_file(&r, dir, "body", &ret->fd, &got, e);
	if (header)
		mem_wipe(header, strlen(header));
	if (rc == 0 && c->checksum)
		rc = verify(ret->fd, c->checksum, e);
	if (rc == 0) {
		ret->name = http_file_name(s->text);
		*to = (struct pick_source){
			.name = ret->name, .content_fd = ret->fd, .mode = 0600, .mtime = http_time(got.last_modified),
			.must_unpack = c->unpack_remote,
		};
		/* With a given checksum the server's date does not count: the file may come from anywhere. */
		buf_printf(told, "%s%s of %s", told->n ? ", " : "", ret->name,
			   got.last_modified && !c->checksum ? got.last_modified : "any time");
	}
	http_fetched_clear(&got);
	return rc < 0 ? -1 : 0;
}

int copy_fetch(const struct copy *c, size_t i, int dir, const char *path, struct copy_remote *ret, struct pick_source *to, struct buf *told,
	       struct err **e)
{
	const struct copy_source *s = &c->source[i];
	AUTO(mem_freep) char *name = mem_printf("source-%zu", i);
	AUTO(mem_freep) char *own = mem_printf("%s/%s", path, name);

	*ret = (struct copy_remote){ .dir = -1, .fd = -1, .open = true };
	if (at_mkdir(dir, name, 0700, e) < 0)
		return -1;
	AUTO(fd_closep) int sub = at_open_store(dir, name, O_RDONLY | O_DIRECTORY, 0, e);
	if (sub < 0)
		return -1;
	if (s->kind == COPY_GIT)
		return fetch_git(c, s, sub, own, ret, to, told, e);
	return fetch_http(c, s, sub, ret, to, told, e);
}
