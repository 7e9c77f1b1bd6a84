/* base/jobself.c - the job's own side: what its process is told, what it tells, and how it ends. */
#include "base/jobframe.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int send_all(int sock, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t k = send(sock, at, n, MSG_NOSIGNAL);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -1;
		at += k;
		n -= (size_t)k;
	}
	return 0;
}

static int send_frame(int sock, uint32_t what, uint32_t kind, struct slice bytes)
{
	struct frame f = { what, kind, (uint32_t)bytes.n };

	if (send_all(sock, &f, sizeof(f)) < 0 || send_all(sock, bytes.p, bytes.n) < 0)
		return -1;
	return 0;
}

void job_tell(struct job_self *self, uint32_t kind, struct slice payload)
{
	/* Nobody listens any more: job_fd() says so too. */
	(void)send_frame(self->sock, FRAME_EVENT, kind, payload);
}

int job_fd(const struct job_self *self)
{
	return self->sock;
}

void *job_ahead(const struct job_self *self)
{
	return self->ahead;
}

void job_graceful(struct job_self *self)
{
	(void)fcntl(self->sock, F_SETFL, O_RDWR);
}

int job_wait_go(struct job_self *self, struct err **e)
{
	char go;

	return fd_read(self->sock, &go, sizeof(go), NULL) == 1 ? 0 : err_set(e, ERR_HOST, "nobody waits for it any more");
}

static void job_answer(int sock, int rc, struct buf *out, struct err **e) __attribute__((noreturn));
static void job_answer(int sock, int rc, struct buf *out, struct err **e)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(JOB_MAX);

	if (rc >= 0 && buf_ok(out, "the answer of a job", e) < 0)
		rc = -1;
	if (rc < 0) {
		if (!*e)
			err_set(e, ERR_BUG, "a job failed without saying why");
		err_pack(*e, &text);
	}
	(void)send_frame(sock, rc < 0 ? FRAME_ERR : FRAME_OK, 0, rc < 0 ? buf_view(&text) : buf_view(out));
	_exit(0);
}

void job_do(const struct job_row *row, struct job_self self, struct slice in, const int *fds, size_t nfds)
{
	struct buf out = BUF_MAX(JOB_MAX);
	struct err *e = NULL;
	int rc;

	prctl(PR_SET_NAME, row->name);
	rc = row->run(&self, in, fds, nfds, &out, &e);
	job_answer(self.sock, rc, &out, &e);
}

/* The header of the request and the fds that came with it. */
static int request_head(int sock, struct frame *f, int *fds, size_t *nfds)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * JOB_FDS)];
	} control;
	struct iovec iov = { f, sizeof(*f) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room,
			    .msg_controllen = sizeof(control.room) };
	ssize_t n;

	do
		n = recvmsg(sock, &h, MSG_CMSG_CLOEXEC | MSG_WAITALL);
	while (n < 0 && errno == EINTR);
	if (n != sizeof(*f) || h.msg_flags & MSG_CTRUNC)
		return -1;

	struct cmsghdr *c = CMSG_FIRSTHDR(&h);

	*nfds = 0;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		*nfds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), *nfds * sizeof(int));
	}
	return 0;
}

/* From now on the end of the socket is the end of this process, whatever it is doing (until job_graceful()). */
static void die_with_socket(int sock)
{
	struct pollfd f = { sock, POLLRDHUP, 0 };

	if (fcntl(sock, F_SETOWN, getpid()) < 0 || fcntl(sock, F_SETFL, O_RDWR | O_ASYNC) < 0)
		_exit(125);
	if (poll(&f, 1, 0) != 0)                  /* it came before we listened */
		_exit(125);
}

void job_serve(const struct job_row *row, uint32_t number, void *ahead, int sock)
{
	int fds[JOB_FDS];
	size_t nfds = 0;
	struct frame f;
	char *payload;

	if (request_head(sock, &f, fds, &nfds) < 0 || f.what != FRAME_REQUEST || f.kind != number || f.length > JOB_MAX)
		_exit(125);
	payload = mem_alloc((size_t)f.length + 1);
	if (f.length > 0 && fd_read_exact(sock, payload, f.length, NULL) != 0)
		_exit(125);
	die_with_socket(sock);
	job_do(row, (struct job_self){ sock, ahead }, (struct slice){ payload, f.length }, fds, nfds);
}
