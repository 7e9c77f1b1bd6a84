/* build/flight.c - waiting for another builder that runs the same step, or pulls the same image. */
#include "build/flight.h"

#include <errno.h>
#include <sys/file.h>

#include "base/fd.h"
#include "base/mem.h"
#include "build/app.h"
#include "build/plan.h"
#include "build/wait.h"
#include "build/work.h"

enum { SAY_AFTER_MS = 2000 };

struct waiting {
	struct app *a;
	const char *what, *title;
	int fd;
	struct watch *timer;
	struct step *s;                  /* with again: who goes on afterwards */
	flight_again *again;
};

/* In a child: the lock falls to the open file description that the child shares with the main process. */
static int wait_lock(void *arg, struct job_self *self, struct buf *out, struct err **e)
{
	const struct waiting *w = arg;

	while (flock(w->fd, LOCK_EX) < 0) {
		if (errno != EINTR)
			return err_errno(e, ERR_HOST, errno, "cannot wait for a lock");
	}
	return 0;
}

static void say(void *arg, short revents)
{
	const struct waiting *w = arg;

	report_note(w->a->report, REPORT_NOTE, "waiting for another build that %s: %s", w->what, w->title);
}

static void waited(void *arg, struct slice out, struct err *e)
{
	struct waiting *w = arg;
	struct step *s = w->s;
	flight_again *again = w->again;

	/* Let go again: gc may have removed the file's name, so who goes on takes the lock anew. */
	loop_drop(w->a->loop, w->timer);
	store_job_unlock(&w->fd);
	free(w);
	s->job = NULL;
	again(s, e);
}

static int wait_for(struct step *s, int take_fd, flight_again *again, struct err **e)
{
	struct waiting *w = mem_zalloc(sizeof(*w));
	AUTO(buf_freep) struct buf call = BUF_MAX(64);

	*w = (struct waiting){ .a = step_app(s), .what = "runs the same step", .title = s->title, .fd = take_fd, .s = s, .again = again };
	work_call_put(&call, wait_lock, w);
	if (job_start(w->a->jobs, JOB_LOCAL, WORK_CALL, buf_view(&call), NULL, 0, NULL, waited, w, &s->job, e) == 0) {
		w->timer = loop_timer(w->a->loop, SAY_AFTER_MS, say, w);
		return FLIGHT_BUSY;
	}
	fd_closep(&w->fd);
	free(w);
	return -1;
}

int flight_begin(struct step *s, flight_again *again, struct err **e)
{
	char hex[DIGEST_HEX + 1];
	int fd = -1;

	digest_hex(&s->def, hex);
	AUTO(mem_freep) char *name = mem_printf("run-%s", hex);
	int rc = store_job_lock(step_app(s)->store, name, &fd, e);
	if (rc == STORE_MISS)
		return wait_for(s, fd, again, e);
	if (rc == 0) {
		s->locked = true;
		s->lock = fd;
	}
	return rc;
}

void flight_end(struct step *s)
{
	if (s->locked)
		store_job_unlock(&s->lock);
	s->locked = false;
}

int flight_take(struct app *a, const char *name, const char *what, const char *title, int *ret_lock, struct err **e)
{
	struct waiting w = { .a = a, .what = what, .title = title, .fd = -1 };
	AUTO(buf_freep) struct buf call = BUF_MAX(64);
	bool busy = false;
	int rc;

	work_call_put(&call, wait_lock, &w);
	while ((rc = store_job_lock(a->store, name, &w.fd, e)) == STORE_MISS) {
		busy = true;
		w.timer = loop_timer(a->loop, SAY_AFTER_MS, say, &w);
		rc = wait_job(a, JOB_LOCAL, WORK_CALL, buf_view(&call), NULL, 0, NULL, NULL, NULL, e);
		loop_drop(a->loop, w.timer);
		store_job_unlock(&w.fd);
		if (rc < 0)
			return -1;
	}
	*ret_lock = w.fd;
	return rc < 0 ? -1 : busy ? FLIGHT_BUSY : 0;
}
