/* build/exec/mount_ssh.c - RUN --mount=type=ssh: a socket in the step, relayed to the user's agent.
 *
 * Not a bind of the agent's socket: connect() asks for write permission on the socket file, and that one belongs to the
 * user alone. The relay is a child of the monitor with a mount namespace of its own, so that it keeps the host's view
 * after pivot_root and does not keep the step's mounts alive. It ends with the monitor.
 */
#include "build/exec/box.h"

#include "base/mem.h"
#include "layers/snap_mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { RELAY_MAX = 32 };

struct relay {
	int fd[2];              /* step, agent */
};

static int agent_connect(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		fd_closep(&fd);
	return fd;
}

/* One block from side `from` to the other. False: the connection is over. */
static bool relay_move(const struct relay *r, int from)
{
	char block[16384];
	ssize_t n = fd_read(r->fd[from], block, sizeof(block), NULL);

	return n > 0 && fd_write_all(r->fd[!from], block, (size_t)n, NULL) == 0;
}

static void relay_accept(struct relay *r, size_t *n, int listener, const char *agent)
{
	struct relay one = { { accept4(listener, NULL, NULL, SOCK_CLOEXEC), -1 } };

	if (one.fd[0] < 0)
		return;
	one.fd[1] = agent_connect(agent);
	if (one.fd[1] < 0)
		close(one.fd[0]);
	else
		r[(*n)++] = one;
}

static void relay_run(int listener, const char *agent) __attribute__((noreturn));
static void relay_run(int listener, const char *agent)
{
	struct relay r[RELAY_MAX];
	size_t n = 0;

	for (;;) {
		struct pollfd f[1 + 2 * RELAY_MAX];

		f[0] = (struct pollfd){ n < RELAY_MAX ? listener : -1, POLLIN, 0 };
		for (size_t i = 0; i < 2 * n; i++)
			f[1 + i] = (struct pollfd){ r[i / 2].fd[i % 2], POLLIN, 0 };
		if (poll(f, 1 + 2 * n, -1) < 0 && errno != EINTR)
			_exit(1);
		for (size_t i = n; i-- > 0;) {
			bool over = (f[1 + 2 * i].revents && !relay_move(&r[i], 0)) ||
				    (f[2 + 2 * i].revents && !relay_move(&r[i], 1));

			if (!over)
				continue;
			close(r[i].fd[0]);
			close(r[i].fd[1]);
			r[i] = r[--n];
		}
		if (f[0].revents)
			relay_accept(r, &n, listener, agent);
	}
}

/* Returns when the relay has its own mount namespace: after pivot_root it would be too late. */
static int relay_start(struct box *b, int listener, const char *agent, struct err **e)
{
	AUTO(fd_closep) int near = -1;
	AUTO(fd_closep) int far = -1;
	int ready[2];
	pid_t self = getpid(), pid;
	char byte;

	if (fd_pipe(ready, e) < 0)
		return -1;
	near = ready[0];
	far = ready[1];
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* Nothing of the monitor's but the listener: not the agent's connection, not the step's output. */
		if (getppid() != self || unshare(CLONE_NEWNS) < 0 || write(far, "", 1) != 1 || dup2(listener, 3) < 0 ||
		    syscall(SYS_close_range, 4, ~0U, 0) < 0)
			_exit(1);
		relay_run(3, agent);
	}
	if (pid < 0)
		return err_errno(e, ERR_HOST, errno, "cannot start the ssh relay");
	box_helper(b, pid);
	fd_closep(&far);
	if (fd_read(near, &byte, 1, e) != 1)
		return *e ? -1 : err_set(e, ERR_HOST, "the ssh relay did not start");
	return 0;
}

static int ssh_prepare(struct box *b, const struct run_mount *m, int *ret, struct err **e)
{
	AUTO(fd_closep) int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	AUTO(fd_closep) int agent = agent_connect(m->socket ? m->socket : "");
	AUTO(fd_closep) int mount = -1;
	AUTO(mem_freep) char *name = mem_printf("s%u", b->nfile++);
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (!m->socket)
		return 0;
	if (agent < 0) {
		err_errno(e, ERR_LIMIT, errno, "cannot reach the ssh agent at '%s'", m->socket);
		return err_hint(e, "start ssh-agent and add a key, or leave --ssh out");
	}
	/* A descriptor's path is short whatever the store's is called. */
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", b->files, name);
	if (listener < 0 || bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 16) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot make the ssh socket");
	if (fchmodat(b->files, name, m->mode & 0777, 0) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot set the mode of the ssh socket");
	if ((m->uid || m->gid) && fchownat(b->files, name, m->uid, m->gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != EINVAL)
		return err_errno(e, ERR_HOST, errno, "cannot give the ssh socket to %u:%u", m->uid, m->gid);
	if (relay_start(b, listener, m->socket, e) < 0)
		return -1;
	mount = mnt_clone(b->files, name, false, e);
	if (mount < 0 || mnt_attr(mount, false, MNT_RDONLY | MNT_QUIET, e) < 0)
		return -1;
	*ret = fd_take(&mount);
	return 0;
}

const struct mount_type mount_ssh = { .prepare = ssh_prepare };
