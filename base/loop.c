/* base/loop.c - poll(2) over an array of watches; see loop.h. */
#include "base/loop.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>

struct watch {
	int fd;              /* -1: a timer */
	short events;
	int64_t due;         /* timers: clock_ns() at which it fires */
	bool dead, fired, quiet;
	loop_fn *fn;
	void *arg;
};

struct loop {
	struct watch **w;
	size_t n, cap;
	struct pollfd *p;    /* one slot for each watch, and one for the signals */
	size_t pcap;
	bool stop, running;
	int sigfd;
	void (*on_signal)(void *arg, int signo);
	void *signal_arg;
};

struct loop *loop_new(struct err **e)
{
	struct loop *l = mem_zalloc(sizeof(*l));

	l->sigfd = -1;
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n; i++)
		free(l->w[i]);
	free(l->w);
	free(l->p);
	fd_closep(&l->sigfd);
	free(l);
}

static struct watch *loop_add(struct loop *l, struct watch w)
{
	MEM_ROOM(l->w, l->n, l->cap);
	l->w[l->n] = mem_dup(&w, sizeof(w));
	return l->w[l->n++];
}

struct watch *loop_fd(struct loop *l, int fd, short events, loop_fn *fn, void *arg)
{
	return loop_add(l, (struct watch){ .fd = fd, .events = events, .fn = fn, .arg = arg });
}

struct watch *loop_timer(struct loop *l, int64_t ms, loop_fn *fn, void *arg)
{
	return loop_add(l, (struct watch){ .fd = -1, .due = clock_ns() + ms * 1000000, .fn = fn, .arg = arg });
}

void loop_quiet(struct watch *w, bool quiet)
{
	w->quiet = quiet;
}

static void loop_sweep(struct loop *l)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (l->w[i]->dead)
			free(l->w[i]);
		else
			l->w[kept++] = l->w[i];
	}
	l->n = kept;
}

/* Inside a callback the slots must stay where they are: poll's answers are matched by index. */
void loop_drop(struct loop *l, struct watch *w)
{
	if (!w)
		return;
	w->dead = true;
	if (!l->running)
		loop_sweep(l);
}

int loop_signals(struct loop *l, void (*fn)(void *arg, int signo), void *arg, struct err **e)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot block signals");
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return err_errno(e, ERR_HOST, errno, "cannot ignore SIGPIPE");
	fd_closep(&l->sigfd);
	l->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (l->sigfd < 0)
		return err_errno(e, ERR_HOST, errno, "cannot watch for signals");
	l->on_signal = fn;
	l->signal_arg = arg;
	return 0;
}

static void loop_read_signals(struct loop *l)
{
	struct signalfd_siginfo info;

	while (read(l->sigfd, &info, sizeof(info)) == sizeof(info))
		l->on_signal(l->signal_arg, (int)info.ssi_signo);
}

/* Fill l->p; returns how many watches are alive, and in *wait how long poll may sleep. */
static size_t loop_prepare(struct loop *l, int *wait)
{
	int64_t now = clock_ns(), next = INT64_MAX;
	size_t alive = 0;

	if (l->pcap < l->n + 1) {
		l->pcap = l->cap + 1;
		l->p = mem_grow(l->p, l->pcap, sizeof(*l->p));
	}
	for (size_t i = 0; i < l->n; i++) {
		struct watch *w = l->w[i];

		l->p[i] = (struct pollfd){ .fd = w->fd, .events = w->events };
		if (w->fired)
			continue;
		alive += !w->quiet;
		if (w->fd < 0 && w->due < next)
			next = w->due;
	}
	l->p[l->n] = (struct pollfd){ .fd = l->sigfd, .events = POLLIN };

	*wait = -1;
	if (next != INT64_MAX) {
		int64_t ms = next <= now ? 0 : (next - now + 999999) / 1000000;

		*wait = ms > INT_MAX ? INT_MAX : (int)ms;
	}
	return alive;
}

static void loop_dispatch(struct loop *l, size_t n)
{
	int64_t now = clock_ns();

	if (l->p[n].revents)
		loop_read_signals(l);
	for (size_t i = 0; i < n && !l->stop; i++) {
		struct watch *w = l->w[i];

		if (w->dead)
			continue;
		if (w->fd >= 0 && l->p[i].revents) {
			w->fn(w->arg, l->p[i].revents);
		} else if (w->fd < 0 && !w->fired && w->due <= now) {
			w->fired = true;
			w->fn(w->arg, 0);
		}
	}
}

int loop_until(struct loop *l, const bool *done, struct err **e)
{
	while (!l->stop && !(done && *done)) {
		int wait = -1;
		size_t n = l->n;

		if (loop_prepare(l, &wait) == 0)
			break;
		if (poll(l->p, n + 1, wait) < 0) {
			if (errno == EINTR)
				continue;
			return err_errno(e, ERR_HOST, errno, "cannot wait for events");
		}
		l->running = true;
		loop_dispatch(l, n);
		l->running = false;
		loop_sweep(l);
	}
	l->stop = false;
	return 0;
}

int loop_run(struct loop *l, struct err **e)
{
	return loop_until(l, NULL, e);
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}
