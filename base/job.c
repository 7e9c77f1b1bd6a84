/* base/job.c - jobs as the main process sees them; see job.h. */
#include "base/jobframe.h"

#include "base/fd.h"
#include "base/idmap.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/zygote.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILL_AFTER_MS = 10000, READ_AT_ONCE = 1 << 20 };

struct jobs {
	struct loop *loop;
	const struct job_row *table;
	size_t ntable;
	struct job *head;
	size_t nmapped;            /* of them in the zygote: its socket keeps the loop going while there are any */
	uint32_t next_id;
	struct zygote z;
	struct watch *z_watch;
	struct idmap map;
	bool planned, shown;       /* shown: somebody relies on it */
	void (*on_idmap)(void *arg, const struct idmap *m);
	void *on_idmap_arg;
	char *z_lost;              /* why there is no zygote any more */
};

struct job {
	struct jobs *jobs;
	struct job *next, **link;
	uint32_t id;
	const struct job_row *row;
	job_event *on_event;
	job_done *on_done;
	void *arg;

	pid_t pid;                 /* local: the process; mapped: 0 */
	int pidfd, sock;
	struct watch *sock_watch, *pid_watch, *timer;
	struct buf send;           /* what did not fit into the socket at the start */
	size_t sent;
	struct buf in;             /* frames being received */
	struct buf answer;
	uint32_t answer_what;      /* FRAME_OK, FRAME_ERR or 0 */
	bool cancelled, garbled;
	int wstatus;
};

struct jobs *jobs_new(struct loop *l, const struct job_row *table, size_t n, struct err **e)
{
	struct jobs *j = mem_zalloc(sizeof(*j));

	*j = (struct jobs){ .loop = l, .table = table, .ntable = n, .z = ZYGOTE_NONE };
	return j;
}

static void count_mapped(struct jobs *j, int by)
{
	j->nmapped += (size_t)by;
	if (j->z_watch)
		loop_quiet(j->z_watch, j->nmapped == 0);
}

static void job_free(struct job *job)
{
	struct loop *l = job->jobs->loop;

	if (job->pid == 0)
		count_mapped(job->jobs, -1);

	loop_drop(l, job->sock_watch);
	loop_drop(l, job->pid_watch);
	loop_drop(l, job->timer);
	fd_closep(&job->sock);
	fd_closep(&job->pidfd);
	if (job->send.p)
		mem_wipe(job->send.p, job->send.n);        /* may have held a secret */
	buf_free(&job->send);
	buf_free(&job->in);
	buf_free(&job->answer);
	*job->link = job->next;
	if (job->next)
		job->next->link = job->link;
	free(job);
}

void jobs_free(struct jobs *j)
{
	if (!j)
		return;
	for (struct job *job = j->head; job; job = job->next)
		if (job->pid > 0) {
			kill(job->pid, SIGKILL);
			while (waitpid(job->pid, &job->wstatus, 0) < 0 && errno == EINTR)
				;
		}
	while (j->head)
		job_free(j->head);
	loop_drop(j->loop, j->z_watch);
	zygote_stop(&j->z);
	free(j->z_lost);
	free(j);
}

static int map_need(struct jobs *j, struct err **e)
{
	if (!j->planned && idmap_plan(&j->map, e) < 0)
		return -1;
	j->planned = true;
	return 0;
}

const struct idmap *jobs_idmap(struct jobs *j, struct err **e)
{
	if (map_need(j, e) < 0)
		return NULL;
	j->shown = true;
	return &j->map;
}

void jobs_on_idmap(struct jobs *j, void (*fn)(void *arg, const struct idmap *m), void *arg)
{
	j->on_idmap = fn;
	j->on_idmap_arg = arg;
}

static int job_failure(struct job *job, struct err **e)
{
	const char *name = job->row->name;

	if (job->answer_what == FRAME_ERR && !job->cancelled) {
		err_unpack(buf_view(&job->answer), e);
		return -1;
	}
	if (job->cancelled)
		return err_set(e, ERR_HOST, "%s was cancelled", name);
	if (job->garbled)
		return err_set(e, ERR_BUG, "%s gave an answer that cannot be read", name);
	if (job->jobs->z_lost && job->pid == 0)
		return err_set(e, ERR_HOST, "%s ended unexpectedly: %s", name, job->jobs->z_lost);
	if (WIFSIGNALED(job->wstatus))
		return err_set(e, ERR_HOST, "%s ended unexpectedly (signal %d, %s)", name, WTERMSIG(job->wstatus),
			       strsignal(WTERMSIG(job->wstatus)));
	return err_set(e, ERR_HOST, "%s ended unexpectedly (status %d)", name, WEXITSTATUS(job->wstatus));
}

/* A whole frame. Answers are kept until the process is gone: its mounts go with it (threats C17). */
static void job_frame(struct job *job, const struct frame *f, struct slice bytes)
{
	if (job->answer_what)
		job->garbled = true;
	else if (f->what == FRAME_EVENT && job->on_event && !job->cancelled)
		job->on_event(job->arg, f->kind, bytes);
	else if (f->what == FRAME_OK || f->what == FRAME_ERR) {
		job->answer_what = f->what;
		job->answer = (struct buf)BUF_MAX(JOB_MAX);
		buf_slice(&job->answer, bytes);
	} else if (f->what != FRAME_EVENT)
		job->garbled = true;
}

static void job_frames(struct job *job)
{
	struct slice rest = buf_view(&job->in);
	struct frame f;

	while (rest.n >= sizeof(f) && !job->garbled) {
		memcpy(&f, rest.p, sizeof(f));
		if (f.length > JOB_MAX)
			job->garbled = true;
		if (f.length > JOB_MAX || rest.n - sizeof(f) < f.length)
			break;
		job_frame(job, &f, (struct slice){ rest.p + sizeof(f), f.length });
		rest = slice_skip(rest, sizeof(f) + f.length);
	}
	if (rest.n > 0 && rest.n < job->in.n)
		memmove(job->in.p, rest.p, rest.n);
	job->in.n = rest.n;
}

/* Read what is there. False: end of file, or nothing more to come. */
static bool job_receive(struct job *job, size_t most)
{
	char block[65536];
	size_t got = 0;

	while (got < most && !job->garbled) {
		ssize_t n = recv(job->sock, block, sizeof(block), MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0)
			return false;
		got += (size_t)n;
		buf_add(&job->in, block, (size_t)n);
		job_frames(job);
	}
	return !job->garbled;
}

static void job_finish(struct job *job)
{
	AUTO(buf_freep) struct buf answer = BUF_MAX(JOB_MAX);
	job_done *done = job->on_done;
	void *arg = job->arg;
	struct err *e = NULL;

	if (job->sock >= 0)
		(void)job_receive(job, SIZE_MAX);
	if (job->answer_what != FRAME_OK || job->cancelled || job->garbled) {
		job_failure(job, &e);
	} else {
		answer = job->answer;
		job->answer = (struct buf)BUF_MAX(JOB_MAX);
	}
	job_free(job);
	done(arg, buf_view(&answer), e);
}

/* A job that sent nonsense is not worth waiting for. */
static void job_kill(struct job *job)
{
	struct zygote_msg msg = { .kind = ZYGOTE_KILL, .id = job->id };

	if (job->pid > 0)
		kill(job->pid, SIGKILL);
	else if (job->jobs->z.ctl >= 0)
		(void)zygote_send(job->jobs->z.ctl, &msg, -1, NULL);
}

/* Push on with the request. */
static void job_send(struct job *job)
{
	while (job->sent < job->send.n) {
		ssize_t n = send(job->sock, job->send.p + job->sent, job->send.n - job->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			break;                  /* it is gone; the zygote will say how */
		job->sent += (size_t)n;
	}
	if (job->send.p)
		mem_wipe(job->send.p, job->send.n);
	buf_free(&job->send);
	job->send.n = job->sent = 0;
}

static void job_socket_ready(void *arg, short revents);

static void job_watch(struct job *job)
{
	short events = (short)(POLLIN | (job->sent < job->send.n ? POLLOUT : 0));

	loop_drop(job->jobs->loop, job->sock_watch);
	job->sock_watch = loop_fd(job->jobs->loop, job->sock, events, job_socket_ready, job);
}

static void job_socket_ready(void *arg, short revents)
{
	struct job *job = arg;

	if (revents & POLLOUT) {
		job_send(job);
		if (job->sent == job->send.n)
			job_watch(job);
	}
	if (!(revents & (POLLIN | POLLHUP | POLLERR)))
		return;
	bool more = job_receive(job, READ_AT_ONCE);

	if (job->row->at_once && job->answer_what == FRAME_OK && !job->cancelled && !job->garbled) {
		job_finish(job);
	} else if (!more) {
		/* End of file comes before the end of the process: wait for that. */
		loop_drop(job->jobs->loop, take(&job->sock_watch));
		fd_closep(&job->sock);
		if (job->garbled)
			job_kill(job);
	}
}

static void job_pid_ready(void *arg, short revents)
{
	struct job *job = arg;

	while (waitpid(job->pid, &job->wstatus, 0) < 0 && errno == EINTR)
		;
	job->pid = -1;
	job_finish(job);
}

static void job_overdue(void *arg, short revents)
{
	job_kill(arg);
}

void job_cancel(struct job *job)
{
	if (job->cancelled)
		return;
	job->cancelled = true;
	if (job->sock >= 0)
		shutdown(job->sock, SHUT_RDWR);
	if (job->pid > 0)
		kill(job->pid, SIGKILL);
	else
		job->timer = loop_timer(job->jobs->loop, KILL_AFTER_MS, job_overdue, job);
}

void job_go(struct job *job)
{
	/* Its request has been read, so the socket is empty. If it is gone, its end says so. */
	if (job->sock >= 0)
		(void)send(job->sock, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void jobs_cancel(struct jobs *j)
{
	for (struct job *job = j->head; job; job = job->next)
		job_cancel(job);
}

/* ---- starting ---- */

/* The zygote is gone: so is everything that ran below it. */
static void zygote_lost(struct jobs *j, const char *why)
{
	int wstatus;

	loop_drop(j->loop, take(&j->z_watch));
	wstatus = zygote_stop(&j->z);
	if (why)
		j->z_lost = mem_str(why);
	else if (WIFSIGNALED(wstatus))
		j->z_lost = mem_printf("the build's helper process was killed by signal %d", WTERMSIG(wstatus));
	else
		j->z_lost = mem_str("the build's helper process is gone");

	/* Callbacks may end or start other jobs: look for the next one afresh each time. */
	for (struct job *job = j->head; job;) {
		if (job->pid != 0) {
			job = job->next;
			continue;
		}
		job_finish(job);
		job = j->head;
	}
}

static void zygote_ready(void *arg, short revents)
{
	struct jobs *j = arg;
	struct zygote_msg msg;
	int fd = -1;

	int rc = zygote_receive(j->z.ctl, &msg, &fd, MSG_DONTWAIT, NULL);

	fd_closep(&fd);
	if (rc == 0 && msg.kind == ZYGOTE_ENDED) {
		struct job *job = j->head;

		while (job && job->id != msg.id)
			job = job->next;
		if (job) {
			job->wstatus = msg.status;
			job_finish(job);
		}
	} else if (rc == 0 && msg.kind == ZYGOTE_FAILED) {
		AUTO(mem_freep) char *why = mem_printf("the build's helper process could not %s: %s",
						       zygote_stage(msg.id), strerror(msg.status));
		zygote_lost(j, why);
	} else if (rc != 0 && (rc < 0 || revents & (POLLHUP | POLLERR))) {
		zygote_lost(j, NULL);
	}
}

static int zygote_need(struct jobs *j, struct err **e)
{
	enum idmap_how planned;

	if (j->z_lost)
		return err_set(e, ERR_HOST, "%s", j->z_lost);
	if (j->z.ctl >= 0)
		return 0;
	if (map_need(j, e) < 0)
		return -1;
	planned = j->map.how;
	if (zygote_start(&j->z, &j->map, e) < 0)
		return -1;
	if (j->map.how != planned && j->shown && !j->on_idmap) {
		zygote_stop(&j->z);
		j->z_lost = mem_printf("the subordinate ids cannot be used: %s", j->map.why);   /* nor by the next job */
		err_set(e, ERR_HOST, "%s", j->z_lost);
		return err_hint(e, "compare /etc/subuid and /etc/subgid with what newuidmap allows");
	}
	if (j->map.how != planned && j->on_idmap)
		j->on_idmap(j->on_idmap_arg, &j->map);
	j->z_watch = loop_fd(j->loop, j->z.ctl, POLLIN, zygote_ready, j);
	return 0;
}

void jobs_ahead(struct jobs *j, unsigned row)
{
	struct zygote_msg msg = { .kind = ZYGOTE_AHEAD, .status = (int32_t)row };

	if (j->z.ctl >= 0)
		(void)zygote_send(j->z.ctl, &msg, -1, NULL);
}

/* The header goes at once, with the fds: an empty socket always has room for it. */
static int send_request(int sock, const struct frame *f, const int *fds, size_t nfds, struct err **e)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * JOB_FDS)];
	} control = { .room = { 0 } };
	struct iovec iov = { (void *)f, sizeof(*f) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds > 0) {
		h.msg_control = control.room;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		control.align = (struct cmsghdr){ CMSG_LEN(sizeof(int) * nfds), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.align), fds, nfds * sizeof(int));
	}
	if (sendmsg(sock, &h, MSG_NOSIGNAL) != sizeof(*f))
		return err_errno(e, ERR_HOST, errno, "cannot hand over a job");
	return 0;
}

static int start_mapped(struct job *job, uint32_t row, struct slice payload, const int *fds, size_t nfds, int far,
			struct err **e)
{
	struct frame f = { FRAME_REQUEST, row, (uint32_t)payload.n };
	struct zygote_msg msg = { .kind = ZYGOTE_START, .id = job->id, .status = (int32_t)row };

	if (zygote_need(job->jobs, e) < 0 || send_request(job->sock, &f, fds, nfds, e) < 0 ||
	    zygote_send(job->jobs->z.ctl, &msg, far, e) < 0)
		return -1;
	job->send = (struct buf)BUF_MAX(JOB_MAX);
	buf_slice(&job->send, payload);
	job_send(job);
	return 0;
}

/* In the fork: what belongs to the main process alone is closed, so that its end is seen by everybody. */
static void local_child(struct job *job, struct slice payload, const int *fds, size_t nfds, int far, pid_t parent)
	__attribute__((noreturn));
static void local_child(struct job *job, struct slice payload, const int *fds, size_t nfds, int far, pid_t parent)
{
	struct jobs *j = job->jobs;
	sigset_t none;

	for (struct job *other = j->head; other; other = other->next)
		fd_closep(&other->sock);
	fd_closep(&j->z.ctl);
	sigemptyset(&none);
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);                  /* the user's Ctrl-C is the main process's to act on */
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(125);
	job_do(job->row, (struct job_self){ far, NULL }, payload, fds, nfds);
}

static int start_local(struct job *job, struct slice payload, const int *fds, size_t nfds, int far, struct err **e)
{
	pid_t self = getpid();

	job->pid = fork();
	if (job->pid == 0)
		local_child(job, payload, fds, nfds, far, self);
	if (job->pid < 0) {
		job->pid = -1;
		return err_errno(e, ERR_HOST, errno, "cannot start a process");
	}
	job->pidfd = proc_pidfd(job->pid);
	if (job->pidfd < 0) {
		int code = errno;

		kill(job->pid, SIGKILL);
		while (waitpid(job->pid, &job->wstatus, 0) < 0 && errno == EINTR)
			;
		return err_errno(e, ERR_HOST, code, "cannot watch a process (pidfd_open, Linux 5.3)");
	}
	job->pid_watch = loop_fd(job->jobs->loop, job->pidfd, POLLIN, job_pid_ready, job);
	return 0;
}

int job_start(struct jobs *j, enum job_where where, unsigned row, struct slice payload, const int *fds, size_t nfds,
	      job_event *on_event, job_done *on_done, void *arg, struct job **ret, struct err **e)
{
	struct job *job;
	int sv[2], rc;

	assert(row < j->ntable && nfds <= JOB_FDS);
	if (payload.n > JOB_MAX)
		return err_set(e, ERR_LIMIT, "the request of %s is larger than %d bytes", j->table[row].name, JOB_MAX);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot make a socket pair");

	job = mem_alloc(sizeof(*job));
	*job = (struct job){ .jobs = j, .next = j->head, .link = &j->head, .id = j->next_id++, .row = &j->table[row],
			     .on_event = on_event, .on_done = on_done, .arg = arg, .pid = where == JOB_LOCAL ? -1 : 0, .pidfd = -1, .sock = sv[0],
			     .send = BUF_MAX(JOB_MAX), .in = BUF_MAX(JOB_MAX + sizeof(struct frame) + 65536),
			     .answer = BUF_MAX(JOB_MAX) };
	if (j->head)
		j->head->link = &job->next;
	j->head = job;

	if (where == JOB_MAPPED)
		count_mapped(j, 1);
	rc = where == JOB_LOCAL ? start_local(job, payload, fds, nfds, sv[1], e) :
				  start_mapped(job, row, payload, fds, nfds, sv[1], e);
	close(sv[1]);
	if (rc < 0) {
		job_free(job);
		return err_wrap(e, "cannot start %s", j->table[row].name);
	}
	job_watch(job);
	if (ret)
		*ret = job;
	return 0;
}
