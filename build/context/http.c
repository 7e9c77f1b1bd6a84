/* build/context/http.c - a file by URL as build context: a tarball, or a Dockerfile (13.1); and the same fetch for ADD. */
#include "build/context/http.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/tmp.h"
#include "build/context/context.h"
#include "build/wait.h"
#include "build/work.h"
#include "layers/comp.h"

enum { BLOCK = 256 << 10 };

bool http_is(const char *spec)
{
	return strncasecmp(spec, "http://", 7) == 0 || strncasecmp(spec, "https://", 8) == 0;
}

static int hex(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? (tolower((unsigned char)c) - 'a') + 10 : -1;
}

char *http_file_name(const char *url)
{
	const char *p = strstr(url, "://");
	const char *host = p ? p + 3 : url, *path = host + strcspn(host, "/?#"), *end = path + strcspn(path, "?#");
	char *name = mem_alloc((size_t)(end - path) + 1);
	size_t n = 0;

	for (; path < end; path++) {
		int a = *path == '%' && end - path > 2 ? hex(path[1]) : -1, b = a >= 0 ? hex(path[2]) : -1;

		name[n++] = b >= 0 ? (char)(a << 4 | b) : *path;
		path += b >= 0 ? 2 : 0;
	}
	name[n] = '\0';
	/* What is behind an encoded NUL or slash would be another name. */
	while (n && name[n - 1] == '/')
		name[--n] = '\0';
	char *last = strrchr(name, '/');
	if (last)
		memmove(name, last + 1, strlen(last + 1) + 1);
	if (name[0] && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
		return name;
	free(name);
	return mem_str("__unnamed__");
}

static const struct secret *find_secret(const struct build_req *r, const char *id, const char *host)
{
	AUTO(mem_freep) char *own = mem_printf("%s_%s", id, host);

	for (size_t i = 0; i < r->nsecret; i++)
		if (strcmp(r->secret[i].id, own) == 0)
			return &r->secret[i];
	return NULL;
}

char *http_auth_header(const struct build_req *r, const char *url)
{
	struct url u = { 0 };
	char *header = NULL;

	if (url_parse(slice_of(url), &u, NULL) < 0)
		return NULL;
	const struct secret *s = find_secret(r, "HTTP_AUTH_HEADER", u.host), *token = find_secret(r, "HTTP_AUTH_TOKEN", u.host);
	if (s || token) {
		const struct secret *use = s ? s : token;
		struct slice v = slice_trim((struct slice){ use->value, use->n }, " \r\n");

		header = mem_printf("%s%.*s", s ? "" : "Bearer ", SLICE_F(v));
	}
	url_clear(&u);
	return header;
}

int64_t http_time(const char *last_modified)
{
	struct tm tm = { 0 };
	const char *end = last_modified ? strptime(last_modified, "%a, %d %b %Y %H:%M:%S GMT", &tm) : NULL;

	return end && !*end ? (int64_t)timegm(&tm) : 0;
}

/* The encoding of the transfer is not part of the file. */
static int decode_gzip(int dir, int take_fd, int *ret_fd, uint64_t *size, uint64_t max, struct err **e)
{
	AUTO(stream_drop) struct stream *s = stream_limit(comp_gzip.reader(stream_fd(take_fd, "body")), max, "remote file");
	AUTO(mem_freep) char *block = mem_alloc(BLOCK);
	AUTO(fd_closep) int to = at_open_store(dir, "decoded", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, e);
	ssize_t n = 0;

	if (to < 0)
		return -1;
	*size = 0;
	while ((n = stream_read(s, block, BLOCK, e)) > 0) {
		if (fd_write_all(to, block, (size_t)n, e) < 0)
			return -1;
		*size += (uint64_t)n;
	}
	if (n < 0 || stream_close(take(&s), e) < 0)
		return -1;
	*ret_fd = fd_take(&to);
	return 0;
}

int http_file(const struct http_fetch_req *like, int dir, const char *name, int *ret_fd, struct http_fetched *ret, struct err **e)
{
	AUTO(fd_closep) int fd = at_open_store(dir, name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600, e);
	struct http_fetch_req r = *like;

	if (fd < 0)
		return -1;
	r.fd = fd;
	int rc = http_fetch(&r, ret, e);
	if (rc)
		return rc;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot read the body of an answer");
	if (!ret->gzip) {
		*ret_fd = fd_take(&fd);
		return 0;
	}
	if (decode_gzip(dir, fd_take(&fd), ret_fd, &ret->size, r.max ? r.max : 16ULL << 30, e) < 0)
		return err_wrap(e, "cannot decode the answer");
	if (lseek(*ret_fd, 0, SEEK_SET) < 0 || at_rename(dir, "decoded", dir, name, 0, e) < 0)
		return -1;
	ret->gzip = false;
	return 0;
}

/* ---- as a context */

struct http_job {
	const char *url, *auth;
	int dir, tree;
	bool named;
	size_t max;
	const struct limit_values *limits;
};
enum { GOT_TREE, GOT_TEXT };

static int put_context_file(int dir, int tree, struct err **e)
{
	return at_rename(dir, "body", tree, "context", 0, e);
}

static int http_child(void *arg, struct job_self *self, struct buf *out, struct err **e)
{
	struct http_job *j = arg;
	struct http_fetch_req r = { .url = j->url, .authorization = j->auth, .fd = -1, .max = j->limits->v[LIMIT_DOWNLOAD_SIZE] };
	struct http_fetched got = { 0 };
	AUTO(buf_freep) struct buf text = BUF_MAX(j->max);
	AUTO(fd_closep) int fd = -1;

	int rc = http_file(&r, j->dir, "body", &fd, &got, e);
	int64_t mtime = http_time(got.last_modified);
	http_fetched_clear(&got);
	if (rc < 0)
		return limit_hit(j->limits, LIMIT_DOWNLOAD_SIZE, e);
	/* A file of the user's that everybody may read, like any checked-out one; its time as the server says. */
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = mtime } };
	if (fchmod(fd, 0600) < 0 || futimens(fd, times) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot set the attributes of the downloaded file");
	if (j->named) {
		wire_put_u32(out, GOT_TREE);
		wire_put(out, SLICE_NONE);
		wire_put_i64(out, mtime ? mtime : INT64_MIN);
		return put_context_file(j->dir, j->tree, e);
	}
	AUTO(fd_closep) int again = fd_dup(fd, e);
	if (again < 0)
		return -1;
	rc = context_unpack(fd_take(&again), "the build context", j->tree, j->limits, &text, e);
	if (rc < 0)
		return -1;
	if (rc == CONTEXT_MISSING && (fd_read_all(fd, &text, e) < 0 || put_context_file(j->dir, j->tree, e) < 0))
		return -1;
	wire_put_u32(out, rc == CONTEXT_MISSING ? GOT_TEXT : GOT_TREE);
	wire_put(out, buf_view(&text));
	wire_put_i64(out, mtime ? mtime : INT64_MIN);
	return 0;
}

static int http_open(struct context *c, const struct build_req *r, struct err **e)
{
	AUTO(buf_freep) struct buf call = BUF_MAX(64);
	AUTO(buf_freep) struct buf answer = BUF_MAX(JOB_MAX);
	AUTO(mem_freep) char *auth = http_auth_header(r, c->spec);
	AUTO(fd_closep) int dir = -1;
	struct http_job j = { .url = c->spec, .auth = auth, .named = c->named, .max = c->file.max, .limits = &c->app->limits };

	if (context_tmp(c, &dir, e) < 0 || at_mkdir(dir, "tree", 0755, e) < 0)
		return -1;
	c->dir = at_open_store(dir, "tree", O_RDONLY | O_DIRECTORY, 0, e);
	if (c->dir < 0)
		return -1;
	j.dir = dir;
	j.tree = c->dir;
	work_call_put(&call, http_child, &j);
	int rc = wait_job(c->app, JOB_LOCAL, WORK_CALL, buf_view(&call), NULL, 0, NULL, NULL, &answer, e);
	if (auth)
		mem_wipe(auth, strlen(auth));
	if (rc < 0)
		return err_wrap(e, "cannot fetch the build context");
	struct wire w = wire_of(buf_view(&answer));
	uint32_t what = wire_u32(&w);
	struct slice text = wire_get(&w);
	c->time = wire_i64(&w);
	if (wire_done(&w, "a fetched build context", e) < 0)
		return -1;
	c->archive = what == GOT_TREE && !c->named;
	if (what == GOT_TREE)
		return 0;
	buf_slice(&c->file, text);
	c->file_name = mem_str("context");
	c->file_done = true;
	return buf_ok(&c->file, "Dockerfile", e);
}

const struct context_kind context_http = { .name = "URL", .is = http_is, .open = http_open };
