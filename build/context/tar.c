/* build/context/tar.c - standard input as build context: a tar in any compression, or a Dockerfile alone (13.1, D14). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/stream.h"
#include "build/context/context.h"
#include "build/wait.h"
#include "build/work.h"
#include "layers/comp.h"
#include "layers/fill.h"
#include "layers/tarin.h"

enum { TAR_BLOCK = 512 };

/* ---- a stream that gives some bytes before the rest of another */

struct prefixed {
	struct stream s;
	struct stream *inner;
	struct slice head;               /* borrowed */
};

static ssize_t prefixed_read(struct stream *s, void *to, size_t n, struct err **e)
{
	struct prefixed *p = container_of(s, struct prefixed, s);

	if (!p->head.n)
		return stream_read(p->inner, to, n, e);
	if (n > p->head.n)
		n = p->head.n;
	memcpy(to, p->head.p, n);
	p->head = slice_skip(p->head, n);
	return (ssize_t)n;
}

static int prefixed_close(struct stream *s, struct err **e)
{
	struct prefixed *p = container_of(s, struct prefixed, s);
	int rc = stream_close(p->inner, e);

	free(p);
	return rc;
}

static struct stream *prefixed(struct slice head, struct stream *take_inner)
{
	static const struct stream_ops ops = { prefixed_read, prefixed_close };
	struct prefixed *p = mem_zalloc(sizeof(*p));

	*p = (struct prefixed){ .s = { .ops = &ops }, .inner = take_inner, .head = head };
	return &p->s;
}

/* ---- unpacking */

/* The whole stream below dir. The caller decided that it is a tar. */
static int unpack(struct stream *take, int dir, const struct limit_values *limits, struct err **e)
{
	bool many = false;
	struct tarin_opts to = { .mode = TAR_PLAIN, .max_bytes = limits->v[LIMIT_CONTEXT_SIZE], .many = &many };
	struct fill_opts fo = FILL_OPTS_INIT;
	AUTO(entries_drop) struct entries *src = NULL;
	AUTO(sink_free) struct sink *fill = NULL;

	fo.plain = fo.as_caller = true;
	if (tarin_new(take, &to, &src, e) < 0)
		return -1;
	fill = fill_new(dir, &fo);
	if (entries_pump(src, &fill, 1, NULL, e) < 0)
		return many ? -1 : limit_hit(limits, LIMIT_CONTEXT_SIZE, e);
	return entries_close(take(&src), e);
}

static int read_upto(int fd, struct buf *head, size_t want, struct err **e)
{
	while (head->n < want) {
		char *room = buf_room(head, want - head->n);
		ssize_t n = room ? fd_read(fd, room, want - head->n, e) : -1;

		if (n < 0)
			return room ? -1 : buf_ok(head, "first bytes", e);
		if (n == 0)
			break;
		head->n += (size_t)n;
	}
	return 0;
}

int context_unpack(int take_fd, const char *name, int to, const struct limit_values *limits, struct buf *head, struct err **e)
{
	AUTO(fd_closep) int fd = take_fd;
	const struct comp *comp = NULL;
	struct stream *s = NULL;

	if (read_upto(fd, head, TAR_BLOCK, e) < 0)
		return err_wrap(e, "cannot read %s", name);
	AUTO(fd_closep) int rest = fd_dup(fd, e);
	if (rest < 0)
		return -1;
	/* Magic bytes of a compression are enough: a Dockerfile cannot begin with them (13.1). */
	if (comp_detect(prefixed(buf_view(head), stream_fd(fd_take(&rest), name)), COMP_ANY, &s, &comp, e) < 0)
		return -1;
	if (comp == &comp_none && !tar_magic((const unsigned char *)head->p, head->n)) {
		stream_drop(&s);
		return CONTEXT_MISSING;
	}
	return unpack(s, to, limits, e) < 0 ? err_wrap(e, "cannot unpack %s", name) : 0;
}

/* ---- standard input */

static bool stdin_is(const char *spec)
{
	return strcmp(spec, "-") == 0;
}

struct stdin_job {
	int dir;
	size_t max;
	const struct limit_values *limits;
};
enum { GOT_TAR, GOT_TEXT };

/* In a child, so that the loop goes on and hostile bytes are parsed away from it. */
static int stdin_child(void *arg, struct job_self *self, struct buf *out, struct err **e)
{
	struct stdin_job *j = arg;
	AUTO(buf_freep) struct buf text = BUF_MAX(j->max);
	int in = fd_dup(STDIN_FILENO, e);

	if (in < 0)
		return -1;
	int rc = context_unpack(in, "standard input", j->dir, j->limits, &text, e);
	if (rc < 0)
		return -1;
	if (rc == CONTEXT_MISSING && fd_read_all(STDIN_FILENO, &text, e) < 0)
		return err_wrap(e, "cannot read the Dockerfile from standard input");
	wire_put_u32(out, rc == CONTEXT_MISSING ? GOT_TEXT : GOT_TAR);
	wire_put(out, buf_view(&text));
	return 0;
}

static int stdin_open(struct context *c, const struct build_req *r, struct err **e)
{
	AUTO(buf_freep) struct buf call = BUF_MAX(64);
	AUTO(buf_freep) struct buf answer = BUF_MAX(JOB_MAX);
	struct stdin_job j = { .dir = -1, .max = c->file.max, .limits = &c->app->limits };

	if (isatty(STDIN_FILENO)) {
		err_set(e, ERR_USAGE, "standard input is a terminal: there is no build context to read");
		return err_hint(e, "kiln build - < Dockerfile, or tar -c . | kiln build -");
	}
	if (context_tmp(c, &c->dir, e) < 0)
		return -1;
	j.dir = c->dir;
	work_call_put(&call, stdin_child, &j);
	if (wait_job(c->app, JOB_LOCAL, WORK_CALL, buf_view(&call), NULL, 0, NULL, NULL, &answer, e) < 0)
		return -1;
	struct wire w = wire_of(buf_view(&answer));
	uint32_t what = wire_u32(&w);
	struct slice text = wire_get(&w);
	if (wire_done(&w, "standard input", e) < 0)
		return -1;
	if (what == GOT_TAR)
		return 0;
	if (r->file)
		return err_set(e, ERR_USAGE, "ambiguous Dockerfile source: standard input is a Dockerfile, and -f names '%s'", r->file);
	fd_closep(&c->dir);
	c->dir = -1;
	buf_slice(&c->file, text);
	c->file_name = mem_str("-");
	c->file_done = true;
	return buf_ok(&c->file, "Dockerfile", e);
}

const struct context_kind context_stdin = { .name = "standard input", .is = stdin_is, .open = stdin_open };
