/* base/zygote.c - make the build's namespaces once and fork workers in them; see zygote.h.
 *
 *   main process                          child of clone()                  same process after exec
 *   clone(NEWUSER NEWNS NEWPID)  ───────▶ waits for ZYGOTE_GO
 *   newuidmap, newgidmap
 *   ZYGOTE_GO                    ───────▶ ids 0:0, exec of ourselves ─────▶ private mounts, own /proc
 *   ZYGOTE_START + job socket    ─────────────────────────────────────────▶ fork: a worker
 *                                ◀───────────────────────────────────────── ZYGOTE_ENDED
 *
 * The maps are written before anything is executed: execve with an unmapped id drops every capability (executor.md 1).
 */
#include "base/zygote.h"

#include "base/digest.h"
#include "base/mem.h"
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ZYGOTE_ARGV0 "kiln-zygote"
enum { ZYGOTE_FD = 3 };

enum { STAGE_IDS = 1, STAGE_EXEC, STAGE_MOUNTS, STAGE_SIGNALS };

const char *zygote_stage(uint32_t id)
{
	static const char *const names[] = { "start", "take its ids", "execute itself", "make its mounts private",
					     "watch its children" };

	return id < countof(names) ? names[id] : names[0];
}

int zygote_send(int ctl, const struct zygote_msg *msg, int fd, struct err **e)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .room = { 0 } };
	struct iovec iov = { (void *)msg, sizeof(*msg) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		h.msg_control = control.room;
		h.msg_controllen = sizeof(control.room);
		control.align = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	}
	while (sendmsg(ctl, &h, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return err_errno(e, ERR_HOST, errno, "cannot reach the build's helper process");
	return 0;
}

int zygote_receive(int ctl, struct zygote_msg *msg, int *ret_fd, int flags, struct err **e)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { msg, sizeof(*msg) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room,
			    .msg_controllen = sizeof(control.room) };
	ssize_t n;

	*ret_fd = -1;
	do
		n = recvmsg(ctl, &h, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n == 0 || (n < 0 && (errno == EAGAIN || errno == ECONNRESET)))
		return 1;
	if (n < 0)
		return err_errno(e, ERR_HOST, errno, "cannot hear from the build's helper process");

	struct cmsghdr *c = CMSG_FIRSTHDR(&h);

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	if (n != sizeof(*msg)) {
		fd_closep(ret_fd);
		return err_set(e, ERR_BUG, "message of %zd bytes between kiln and its helper process", n);
	}
	return 0;
}

int zygote_stop(struct zygote *z)
{
	int wstatus = 0;

	fd_closep(&z->ctl);
	if (z->pid > 0) {
		/* As process 1 of its namespace it is reaped after everything below it is gone. */
		kill(z->pid, SIGKILL);
		while (waitpid(z->pid, &wstatus, 0) < 0 && errno == EINTR)
			;
	}
	z->pid = -1;
	return wstatus;
}

/* ---- the child between clone and exec: system calls only ---- */

static void child_failed(int ctl, uint32_t stage) __attribute__((noreturn));
static void child_failed(int ctl, uint32_t stage)
{
	struct zygote_msg msg = { ZYGOTE_FAILED, stage, errno };

	(void)!send(ctl, &msg, sizeof(msg), MSG_NOSIGNAL);
	_exit(125);
}

static void child_run(int ctl, bool ids, char *const env[]) __attribute__((noreturn));
static void child_run(int ctl, bool ids, char *const env[])
{
	char *const argv[] = { (char *)ZYGOTE_ARGV0, (char *)"--", NULL };
	struct zygote_msg msg;
	int null;

	/* Our copy of the main process's end has to go, or its death would not show as end of file. */
	if (dup2(ctl, ZYGOTE_FD) < 0 || syscall(SYS_close_range, ZYGOTE_FD + 1, ~0U, 0) < 0)
		child_failed(ctl, STAGE_EXEC);
	if (ctl == ZYGOTE_FD && fcntl(ZYGOTE_FD, F_SETFD, 0) < 0)
		child_failed(ZYGOTE_FD, STAGE_EXEC);
	if (recv(ZYGOTE_FD, &msg, sizeof(msg), 0) != sizeof(msg) || msg.kind != ZYGOTE_GO)
		_exit(125);

	/* EPERM: denied by the map, the groups of the user stay attached (executor.md 3.1). */
	if (syscall(SYS_setgroups, 0, NULL) < 0 && errno != EPERM)
		child_failed(ZYGOTE_FD, STAGE_IDS);
	if (ids && (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0))
		child_failed(ZYGOTE_FD, STAGE_IDS);
	null = openat(AT_FDCWD, "/dev/null", O_RDWR);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || (null > 2 && fcntl(null, F_SETFD, FD_CLOEXEC) < 0))
		child_failed(ZYGOTE_FD, STAGE_EXEC);
	execve("/proc/self/exe", argv, env);
	child_failed(ZYGOTE_FD, STAGE_EXEC);
}

static int clone_refused(bool userns, struct err **e)
{
	int code = errno;

	err_errno(e, ERR_HOST, code, "cannot create %s", userns ? "a user namespace" : "namespaces");
	if (code == ENOSPC)
		return err_hint(e, "raise the limits user.max_user_namespaces, user.max_mnt_namespaces and "
				   "user.max_pid_namespaces (sysctl -w user.max_user_namespaces=15000)");
	if (code == EPERM && userns)
		return err_hint(e, "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1; in a container, "
				   "run it with a seccomp profile that permits unshare, clone and mount");
	if (code == EINVAL && userns)
		return err_hint(e, "this kernel has no user namespaces (CONFIG_USER_NS); run as root");
	return -1;
}

/* One try with this map. */
static int zygote_try(struct zygote *z, const struct idmap *m, char *const env[], struct err **e)
{
	int sv[2] = { -1, -1 };
	bool userns = m->how != IDMAP_NONE;
	unsigned long flags = CLONE_NEWNS | (userns ? CLONE_NEWUSER : 0);
	struct zygote_msg go = { .kind = ZYGOTE_GO };

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot make a socket pair");

	/* While it waits for its maps, the child's files in /proc have to belong to the user (executor.md 1, rule 3), and it
	 * inherits whether they do. A program that was executed is dumpable again; main is not. */
	int dumpable = prctl(PR_GET_DUMPABLE);
	prctl(PR_SET_DUMPABLE, 1);
	/* Without pid namespaces (limit 0) it works too; then the death signals of the workers have to do. */
	z->pid = proc_clone(flags | CLONE_NEWPID);
	if (z->pid < 0 && errno == ENOSPC)
		z->pid = proc_clone(flags);
	if (z->pid == 0)
		child_run(sv[1], userns, env);
	if (z->pid < 0)
		clone_refused(userns, e);
	prctl(PR_SET_DUMPABLE, dumpable);
	fd_closep(&sv[1]);
	z->ctl = sv[0];
	if (z->pid < 0 || idmap_write(m, z->pid, e) < 0 || zygote_send(z->ctl, &go, -1, e) < 0) {
		zygote_stop(z);
		return -1;
	}
	return 0;
}

int zygote_start(struct zygote *z, struct idmap *m, struct err **e)
{
	/* Nothing of the user's environment: it may hold secrets, and lives as long as the build (threats X4). */
	AUTO(mem_freep) char *path = proc_env("PATH");
	char *const env[] = { path, NULL };

	for (;;) {
		AUTO(err_freep) struct err *cause = NULL;

		if (zygote_try(z, m, env, &cause) == 0)
			return 0;
		if (!idmap_worse(m, cause)) {
			*e = take(&cause);
			return err_wrap(e, "cannot start the build's helper process");
		}
	}
}

/* ---- the zygote itself ---- */

struct worker {
	pid_t pid;
	uint32_t id;
};
/* A worker that waits for the next job of its row. */
struct spare {
	pid_t pid;
	uint32_t row;
	int sock;                  /* where it hears of the job; -1: there is no spare */
};
struct nest {
	struct worker *w;
	size_t n, cap;
	struct spare spare;
	int sigfd;
	const struct job_row *table;
	size_t ntable;
	void **once;               /* of each row */
};

/* In the fork. sock: the job's own, or, for a spare, where that will come from. */
static void worker_run(const struct nest *nest, uint32_t row, int sock, bool spare, pid_t parent) __attribute__((noreturn));
static void worker_run(const struct nest *nest, uint32_t row, int sock, bool spare, pid_t parent)
{
	const struct job_row *r = &nest->table[row];
	void *ahead = nest->once[row];
	int job = sock;
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	close(ZYGOTE_FD);
	close(nest->sigfd);
	if (nest->spare.sock >= 0)
		close(nest->spare.sock);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(125);
	if (r->ahead)
		ahead = r->ahead(ahead);
	if (spare) {
		struct zygote_msg msg;

		if (zygote_receive(sock, &msg, &job, 0, NULL) != 0 || job < 0)
			_exit(0);
		close(sock);
	}
	job_serve(r, row, ahead, job);
}

static void spare_make(struct nest *nest, uint32_t row)
{
	pid_t self = getpid();
	int sv[2];

	if (nest->spare.sock >= 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return;
	nest->spare = (struct spare){ fork(), row, sv[0] };
	if (nest->spare.pid == 0)
		worker_run(nest, row, sv[1], true, self);
	close(sv[1]);
	if (nest->spare.pid < 0)
		fd_closep(&nest->spare.sock);
}

/* The job goes to the worker that waits for one. -1: there is none. */
static pid_t spare_take(struct nest *nest, uint32_t row, int sock)
{
	AUTO(fd_closep) int to = -1;
	struct zygote_msg msg = { .kind = ZYGOTE_START };

	if (nest->spare.sock < 0 || nest->spare.row != row)
		return -1;
	to = fd_take(&nest->spare.sock);
	return zygote_send(to, &msg, sock, NULL) == 0 ? nest->spare.pid : -1;
}

static void worker_start(struct nest *nest, uint32_t id, uint32_t row, int sock)
{
	pid_t self = getpid(), pid = spare_take(nest, row, sock);

	if (pid < 0)
		pid = fork();
	if (pid == 0)
		worker_run(nest, row, sock, false, self);
	if (pid < 0) {
		struct zygote_msg msg = { ZYGOTE_ENDED, id, 125 << 8 };

		(void)zygote_send(ZYGOTE_FD, &msg, -1, NULL);
		return;
	}
	MEM_ROOM(nest->w, nest->n, nest->cap);
	nest->w[nest->n++] = (struct worker){ pid, id };
}

/* Also what was left behind by workers and came to us as process 1. */
static void workers_reap(struct nest *nest)
{
	int wstatus;
	pid_t pid;

	while ((pid = waitpid(-1, &wstatus, WNOHANG)) > 0) {
		if (pid == nest->spare.pid)
			fd_closep(&nest->spare.sock);
		for (size_t i = 0; i < nest->n; i++) {
			struct zygote_msg msg = { ZYGOTE_ENDED, nest->w[i].id, wstatus };

			if (nest->w[i].pid != pid)
				continue;
			nest->w[i] = nest->w[--nest->n];
			(void)zygote_send(ZYGOTE_FD, &msg, -1, NULL);
			break;
		}
	}
}

static void worker_kill(const struct nest *nest, uint32_t id)
{
	for (size_t i = 0; i < nest->n; i++)
		if (nest->w[i].id == id)
			kill(nest->w[i].pid, SIGKILL);
}

/* 1: the main process is gone. */
static int nest_hear(struct nest *nest)
{
	AUTO(fd_closep) int fd = -1;
	struct zygote_msg msg;

	if (zygote_receive(ZYGOTE_FD, &msg, &fd, 0, NULL) != 0)
		return 1;
	if (msg.kind == ZYGOTE_START && fd >= 0 && (size_t)msg.status < nest->ntable)
		worker_start(nest, msg.id, (uint32_t)msg.status, fd);
	else if (msg.kind == ZYGOTE_AHEAD && (size_t)msg.status < nest->ntable)
		spare_make(nest, (uint32_t)msg.status);
	else if (msg.kind == ZYGOTE_KILL)
		worker_kill(nest, msg.id);
	return 0;
}

static void nest_setup(struct nest *nest)
{
	sigset_t child;

	prctl(PR_SET_NAME, ZYGOTE_ARGV0);           /* not "exe" */
	setsid();                                   /* the user's Ctrl-C goes to the main process only */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		child_failed(ZYGOTE_FD, STAGE_MOUNTS);
	/* Refused where the outer /proc is masked: then that one stays, with the outer pid numbers (executor.md 5.4). */
	if (getpid() == 1)
		(void)mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, sig == SIGPIPE ? SIG_IGN : SIG_DFL);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	if (sigprocmask(SIG_SETMASK, &child, NULL) < 0)
		child_failed(ZYGOTE_FD, STAGE_SIGNALS);
	nest->sigfd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	if (nest->sigfd < 0)
		child_failed(ZYGOTE_FD, STAGE_SIGNALS);

	prctl(PR_SET_DUMPABLE, 0);
	/* Last: a change of ids would clear it. Should the main process be gone already, the socket is at its end. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

void zygote_main(int argc, char **argv, const struct job_row *table, size_t n)
{
	struct nest nest = { .table = table, .ntable = n, .sigfd = -1, .spare = { .sock = -1 } };
	int type = 0;
	socklen_t len = sizeof(type);

	if (argc != 2 || strcmp(argv[0], ZYGOTE_ARGV0) != 0 ||
	    getsockopt(ZYGOTE_FD, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET ||
	    fcntl(ZYGOTE_FD, F_SETFD, FD_CLOEXEC) < 0)
		return;
	nest_setup(&nest);
	/* The start of the hash library costs more than most jobs: done here once, the workers inherit it. */
	hasher_free(hasher_new());
	nest.once = mem_array(n, elem_size(nest.once));
	for (size_t i = 0; i < n; i++)
		nest.once[i] = table[i].once ? table[i].once() : NULL;
	for (;;) {
		struct pollfd f[2] = { { ZYGOTE_FD, POLLIN, 0 }, { nest.sigfd, POLLIN, 0 } };
		struct signalfd_siginfo info;

		if (poll(f, 2, -1) < 0 && errno != EINTR)
			_exit(125);
		if (f[1].revents) {
			while (read(nest.sigfd, &info, sizeof(info)) > 0)
				;
			workers_reap(&nest);
		}
		if (f[0].revents && nest_hear(&nest) != 0)
			break;
	}
	/* Without an own pid namespace nobody else ends them. */
	for (size_t i = 0; i < nest.n; i++)
		kill(nest.w[i].pid, SIGKILL);
	if (nest.spare.sock >= 0)
		kill(nest.spare.pid, SIGKILL);
	_exit(0);
}
