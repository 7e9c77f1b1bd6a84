/* build/sender.c - see sender.h. */
#include "build/sender.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "build/wait.h"
#include "build/work.h"
#include "registry/tail.h"

enum { LOOK_MS = 50, LEAST = 4 << 20, MOST = 3 };

struct sender {
	struct app *a;
	const struct build_req *req;
	const char *name;                /* borrowed */
	struct sending *head;
	unsigned running;
	bool off, idle;
};
struct sending {
	struct sender *s;
	struct sending *next, **link;
	char tmp[80];
	struct watch *timer;             /* it has no child yet */
	struct job *job;
	int file, end, far;              /* far: the child's side of the pipe, until it is there */
};

struct sender *sender_new(struct app *a, const struct build_req *r)
{
	/* The layers of steps go nowhere then. */
	if (r->image.squash != SQUASH_NONE)
		return NULL;
	for (size_t i = 0; i < r->noutput; i++) {
		const struct output_spec *o = &r->output[i];
		const struct strs *names = o->names.n ? &o->names : &r->tags;

		if (o->type != OUTPUT_REGISTRY && !o->push && !o->push_by_digest)
			continue;
		struct sender *s = mem_zalloc(sizeof(*s));
		*s = (struct sender){ .a = a, .req = r, .name = names->n ? names->v[0] : NULL };
		s->off = !s->name;
		return s;
	}
	return NULL;
}

static void sending_free(struct sending *g)
{
	loop_drop(g->s->a->loop, g->timer);
	fd_closep(&g->file);
	fd_closep(&g->end);
	*g->link = g->next;
	if (g->next)
		g->next->link = g->link;
	free(g);
}

void sender_freep(struct sender **s)
{
	struct err *none = NULL;

	if (!*s)
		return;
	for (struct sending *g = (*s)->head; g; g = g->next)
		if (g->job)
			job_cancel(g->job);
	(*s)->idle = (*s)->running == 0;
	(void)wait_until((*s)->a, &(*s)->idle, &none, NULL);
	while ((*s)->head)
		sending_free((*s)->head);
	free(*s);
}

static int follow(void *arg, struct job_self *self, struct buf *out, struct err **e)
{
	struct sending *g = arg;
	AUTO(ref_clear) struct ref ref = { 0 };
	struct transfer_opts o = g->s->req->transfer;
	const struct transfer_calls calls = { 0 };
	const struct tail_req r = { .ref = &ref, .file = g->file, .end = g->far };

	(void)self;
	(void)out;
	fd_closep(&g->end);
	o.kind = ERR_PUSH;
	return ref_parse(slice_of(g->s->name), &ref, e) < 0 ? -1 : tail_run(&r, &o, &calls, e);
}

static void followed(void *arg, struct slice out, struct err *e)
{
	struct sending *g = arg;
	struct sender *s = g->s;

	(void)out;
	s->off = s->off || e;
	err_free(e);
	s->running--;
	s->idle = s->running == 0;
	g->job = NULL;
}

static int send_on(struct sending *g)
{
	struct sender *s = g->s;
	AUTO(buf_freep) struct buf call = BUF_MAX(64);
	AUTO(err_freep) struct err *e = NULL;
	int pipe[2];

	if (fd_pipe(pipe, &e) < 0)
		return -1;
	g->far = pipe[0];
	g->end = pipe[1];
	work_call_put(&call, follow, g);
	int rc = job_start(s->a->jobs, JOB_LOCAL, WORK_PUSH, buf_view(&call), NULL, 0, NULL, followed, g, &g->job, &e);
	fd_closep(&g->far);
	s->running += rc == 0;
	return rc;
}

/* Small layers, and those that are packed at once, are left to the push. */
static void look(void *arg, short revents)
{
	struct sending *g = arg;
	struct sender *s = g->s;
	AUTO(mem_freep) char *path = mem_printf("%s/blob", g->tmp);
	struct stat st;

	(void)revents;
	loop_drop(s->a->loop, take(&g->timer));
	if (s->off)
		return;
	if (g->file < 0 && at_try_store(store_fd(s->a->store), path, O_RDONLY, &g->file, NULL) < 0)
		return;
	if (g->file < 0 || fstat(g->file, &st) < 0 || st.st_size < LEAST || s->running >= MOST)
		g->timer = loop_timer(s->a->loop, LOOK_MS, look, g);
	else if (send_on(g) < 0)
		s->off = true;
}

struct sending *sender_begin(struct sender *s, const char *tmp)
{
	struct sending *g;

	if (!s || s->off)
		return NULL;
	g = mem_zalloc(sizeof(*g));
	*g = (struct sending){ .s = s, .next = s->head, .link = &s->head, .file = -1, .end = -1, .far = -1 };
	snprintf(g->tmp, sizeof(g->tmp), "%s", tmp);
	if (s->head)
		s->head->link = &g->next;
	s->head = g;
	g->timer = loop_timer(s->a->loop, LOOK_MS, look, g);
	return g;
}

void sender_end(struct sending *g, const struct pack_facts *facts)
{
	if (!g)
		return;
	loop_drop(g->s->a->loop, take(&g->timer));
	if (!g->job) {
		sending_free(g);
	} else if (!facts) {
		job_cancel(g->job);
	} else {
		const struct tail_end end = { facts->blob, (int64_t)facts->blob_size };

		if (fd_write_all(g->end, &end, sizeof(end), NULL) < 0)
			job_cancel(g->job);
	}
}

int sender_wait(struct sender *s, struct err **e)
{
	struct err *none = NULL;
	unsigned id;

	if (!s || s->running == 0)
		return 0;
	id = s->a->next_id++;
	AUTO(mem_freep) char *title = mem_printf("push layers to %s", s->name);
	s->idle = false;
	report_step(s->a->report, id, title);
	report_state(s->a->report, id, REPORT_STARTED, NULL, 0);
	int rc = wait_until(s->a, &s->idle, &none, e);
	report_state(s->a->report, id, rc == 0 ? REPORT_DONE : REPORT_FAILED, NULL, 0);
	return rc;
}
