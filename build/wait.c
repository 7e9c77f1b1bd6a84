/* build/wait.c - a job or a read as a blocking call. */
#include "build/wait.h"

#include "base/fd.h"
#include "base/mem.h"

#include <fcntl.h>
#include <poll.h>

struct waited {
	bool done;
	struct buf *out;
	struct err *e;
	job_event *on_event;
	void *event_arg;
};

static void waited_event(void *arg, uint32_t kind, struct slice payload)
{
	struct waited *w = arg;

	if (w->on_event)
		w->on_event(w->event_arg, kind, payload);
}

static void waited_done(void *arg, struct slice out, struct err *e)
{
	struct waited *w = arg;

	w->e = e;
	if (!e && w->out)
		buf_slice(w->out, out);
	w->done = true;
}

int wait_until(struct app *a, const bool *done, struct err **failed, struct err **e)
{
	while (!*done) {
		if (loop_until(a->loop, done, e) < 0)
			return -1;
		if (!*done)
			jobs_cancel(a->jobs);
	}
	if (*failed) {
		struct err *why = take(failed);

		if (e)
			*e = why;
		else
			err_free(why);
		return -1;
	}
	return a->interrupted ? err_set(e, ERR_HOST, "interrupted") : 0;
}

int wait_job(struct app *a, enum job_where where, unsigned row, struct slice payload, const int *fds, size_t nfds, job_event *on_event,
	     void *event_arg, struct buf *out, struct err **e)
{
	struct waited w = { .out = out, .on_event = on_event, .event_arg = event_arg };

	if (a->interrupted)
		return err_set(e, ERR_HOST, "interrupted");
	if (job_start(a->jobs, where, row, payload, fds, nfds, waited_event, waited_done, &w, NULL, e) < 0)
		return -1;
	return wait_until(a, &w.done, &w.e, e);
}

static void waited_input(void *arg, short revents)
{
	*(bool *)arg = true;
}

int wait_readable(struct app *a, int fd, struct err **e)
{
	bool ready = false;

	if (a->loop && !a->interrupted) {
		struct watch *w = loop_fd(a->loop, fd, POLLIN, waited_input, &ready);
		int rc = loop_until(a->loop, &ready, e);

		loop_drop(a->loop, w);
		if (rc < 0)
			return -1;
	}
	return a->interrupted ? err_set(e, ERR_HOST, "interrupted") : 0;
}

int wait_read_all(struct app *a, int fd, struct buf *out, struct err **e)
{
	int rc;

	do
		rc = wait_readable(a, fd, e) < 0 ? -1 : fd_read_some(fd, out, e);
	while (rc > 0);
	return rc;
}

int wait_read_file(struct app *a, const char *path, struct buf *out, struct err **e)
{
	/* Or the open itself would wait for somebody to write into the pipe. */
	AUTO(fd_closep) int fd = fd_open_host(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, e);

	return fd < 0 || fd_nonblock(fd, false, e) < 0 ? -1 : wait_read_all(a, fd, out, e);
}
