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

enum { BLOCK = 256 << 10, SETTLED_SECONDS = 60 };

void copy_remote_clear(struct copy_remote *r)
{
	pick_tree_freep(&r->tree);
	if (r->open) {
		fd_closep(&r->dir);
		fd_closep(&r->fd);
	}
	mem_freep(&r->name);
	mem_freep(&r->told);
	mem_freep(&r->tag.tag);
	mem_freep(&r->tag.modified);
}

/* A commit that a tag object's own hash stands for says nothing of that object: then there is none (10.4.2). */
static char *git_tag(const struct git_ref *g, const struct git_got *got)
{
	bool by_tag = g->checksum && strncmp(got->commit, g->checksum, strlen(g->checksum)) != 0;

	return by_tag ? NULL : mem_printf("%s %s", got->commit, got->ref);
}

/* COPY_UNCHANGED: the reference stands for the commit it stood for. */
static int ask_git(const struct git_req *like, const struct remote_tag *ask, struct err **e)
{
	AUTO(mem_freep) char *path = mem_printf("%s/asked", like->path);
	struct git_req r = *like;
	struct git_got got = { 0 };

	if (at_mkdir(like->dir, "asked", 0700, e) < 0)
		return -1;
	AUTO(fd_closep) int dir = at_open_store(like->dir, "asked", O_RDONLY | O_DIRECTORY, 0, e);
	r.dir = dir;
	r.path = path;
	if (dir < 0 || git_resolve(&r, &got, e) < 0)
		return -1;
	AUTO(mem_freep) char *tag = git_tag(r.ref, &got);
	git_got_clear(&got);
	return tag && ask->tag && strcmp(tag, ask->tag) == 0 ? COPY_UNCHANGED : 0;
}

/* ask: what it was last, NULL. COPY_UNCHANGED. */
static int fetch_git(const struct copy *c, const struct copy_source *s, const struct remote_tag *ask, int dir, const char *path,
		     struct copy_remote *ret, struct pick_source *to, struct err **e)
{
	AUTO(git_ref_clear) struct git_ref g = { 0 };
	const struct build_req *q = step_req(c->s);
	struct git_got got = { 0 };
	uint64_t used = 0;

	if (git_parse(s->text, false, &g, e) < 0)
		return -1;
	if (c->has_keep)
		g.keep = c->keep;
	if (c->checksum && !g.checksum)
		g.checksum = mem_str(c->checksum);
	g.mtime_commit = false;          /* for build contexts only (10.4) */
	AUTO(mem_freep) char *header = git_auth_header(q, g.host);
	struct git_req r = { .ref = &g, .dir = dir, .path = path, .auth_header = header, .ssh_socket = git_ssh_socket(q),
			     .limits = &step_app(c->s)->limits, .used = &used };
	int rc = ask ? ask_git(&r, ask, e) : 0;
	if (rc == 0)
		rc = git_checkout(&r, &got, &ret->dir, e);
	if (header)
		mem_wipe(header, strlen(header));
	if (rc)
		return rc;
	ret->kept = g.keep && !g.subdir;
	ret->tree = pick_tree_dir(ret->dir, NULL);
	to->tree = ret->tree;
	to->path = "/";
	to->unpack = false;
	ret->told = mem_printf("commit %s%s%s", got.commit, ret->kept ? " of " : "", ret->kept ? got.ref : "");
	ret->tag.tag = git_tag(&g, &got);
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

/* Sent as a validator only when it was old by then, by the server's own clock: within the same second the file may have changed once more; and not
 * when a redirection, which may lead elsewhere next time, answered (RFC 9110 8.8.2.2). */
static bool settled(const struct http_fetched *got)
{
	return !got->moved && got->last_modified && got->date && http_time(got->last_modified) > 0 &&
	       http_time(got->date) - http_time(got->last_modified) >= SETTLED_SECONDS;
}

static void http_tell(const struct copy *c, struct http_fetched *got, struct copy_remote *ret)
{
	/* With a given checksum the server's date does not count: the file may come from anywhere. */
	ret->told = mem_printf("%s of %s", ret->name, got->last_modified && !c->checksum ? got->last_modified : "any time");
	if (settled(got))
		ret->tag.modified = mem_str(got->last_modified);
	ret->tag.tag = take(&got->etag);
}

/* The same of a file. */
static int fetch_http(const struct copy *c, const struct copy_source *s, const struct remote_tag *ask, int dir, struct copy_remote *ret,
		      struct pick_source *to, struct err **e)
{
	AUTO(mem_freep) char *header = http_auth_header(step_req(c->s), s->text);
	const struct limit_values *limits = &step_app(c->s)->limits;
	struct http_fetch_req r = { .url = s->text, .authorization = header, .fd = -1, .max = limits->v[LIMIT_DOWNLOAD_SIZE] };
	struct http_fetched got = { 0 };

	if (ask) {
		r.if_none_match = ask->tag;
		r.if_modified_since = ask->tag ? NULL : ask->modified;
	}
	int rc = http_file(&r, dir, "body", &ret->fd, &got, e);
	if (rc == HTTP_UNCHANGED && r.if_modified_since && got.moved) {
		r.if_modified_since = NULL;
		rc = http_file(&r, dir, "body", &ret->fd, &got, e);
	}
	if (header)
		mem_wipe(header, strlen(header));
	if (rc == HTTP_UNCHANGED && !r.if_none_match && !r.if_modified_since)
		rc = err_set(e, ERR_SOURCE, "cannot download '%s': the server says that it has not changed, which was not asked", s->text);
	if (rc == 0 && c->checksum)
		rc = verify(ret->fd, c->checksum, e);
	if (rc == 0) {
		ret->name = http_file_name(s->text);
		*to = (struct pick_source){
			.name = ret->name, .content_fd = ret->fd, .mode = 0600, .mtime = http_time(got.last_modified),
			.must_unpack = c->unpack_remote,
		};
		http_tell(c, &got, ret);
	}
	http_fetched_clear(&got);
	return rc < 0 ? limit_hit(limits, LIMIT_DOWNLOAD_SIZE, e) : rc == HTTP_UNCHANGED ? COPY_UNCHANGED : 0;
}

static int fetch_one(const struct copy *c, size_t i, const struct remote_tag *ask, int dir, const char *path, struct copy_remote *ret,
		     struct pick_source *to, struct err **e)
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
	int rc = s->kind == COPY_GIT ? fetch_git(c, s, ask, sub, own, ret, to, e) : fetch_http(c, s, ask, sub, ret, to, e);
	ret->same = rc == COPY_UNCHANGED;
	return rc;
}

int copy_fetch(const struct copy *c, int dir, const char *path, struct copy_remote *ret, struct pick_source *to, struct err **e)
{
	bool ask = c->last.nsource == c->nsource, all = ask;

	for (size_t i = 0; i < c->nsource; i++) {
		if (c->source[i].kind != COPY_GIT && c->source[i].kind != COPY_HTTP)
			continue;
		if (fetch_one(c, i, ask ? &c->last.source[i] : NULL, dir, path, &ret[i], &to[i], e) < 0)
			return -1;
		all &= ret[i].same;
	}
	if (all)
		return COPY_UNCHANGED;
	/* One is new, so the step runs and wants them all. */
	for (size_t i = 0; i < c->nsource; i++)
		if (ret[i].same && fetch_one(c, i, NULL, dir, path, &ret[i], &to[i], e) < 0)
			return -1;
	return 0;
}

/* ---- asking instead of fetching */

bool copy_all_remote(const struct copy *c)
{
	for (size_t i = 0; i < c->nsource; i++)
		if (c->source[i].kind != COPY_HTTP && c->source[i].kind != COPY_GIT)
			return false;
	return c->nsource > 0;
}

int copy_ask(struct copy *c, struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(64 << 20);
	const struct step *s = c->s;

	/* Asked before: then all was as it had been, but the step is gone. */
	if (c->pinned || !copy_all_remote(c) || !digest_zero(&c->question))
		return 0;
	/* The step's key now, without what its sources are. */
	buf_add(&b, s->has_content ? s->content.b : s->def.b, sizeof(s->def.b));
	for (size_t i = 0; i < c->nsource; i++)
		wire_put_str(&b, c->source[i].text);
	if (buf_ok(&b, "list of URLs", e) < 0)
		return -1;
	digest_of(b.p, b.n, &c->question);
	return s->no_cache || remotes_get(step_app(s)->store, &c->question, &c->last, e) >= 0 ? 0 : -1;
}

void copy_tags_put(const struct copy *c, const struct copy_remote *r, struct buf *out)
{
	for (size_t i = 0; i < c->nsource && !digest_zero(&c->question); i++) {
		wire_put_str(out, r[i].tag.tag);
		wire_put_str(out, r[i].tag.modified);
	}
}

int copy_tags_get(struct copy *c, struct wire *w, struct err **e)
{
	AUTO(remote_record_clear) struct remote_record r = { .selected = c->selected, .told = c->remote ? mem_str(c->remote) : NULL };
	bool all = true;

	if (digest_zero(&c->question))
		return 0;
	r.source = mem_array(c->nsource, sizeof(*r.source));
	for (; r.nsource < c->nsource; r.nsource++) {
		struct remote_tag *t = &r.source[r.nsource];

		t->tag = wire_str(w);
		t->modified = wire_str(w);
		all &= t->tag || t->modified;
	}
	/* A source that cannot be asked for is fetched. */
	return w->bad || !all || !r.told ? 0 : remotes_put(step_app(c->s)->store, &c->question, &r, e);
}
