/* base/proc.c - start a helper program, feed it, collect what it says; see proc.h. */
#include "base/proc.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROC_PATH "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"

static char *proc_try(struct slice dir, const char *name)
{
	AUTO(mem_freep) char *path = mem_printf("%.*s/%s", SLICE_F(dir), name);
	struct stat st;

	if (access(path, X_OK) < 0 || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	return take(&path);
}

static char *proc_search(struct slice path, const char *name)
{
	while (path.n > 0) {
		struct slice dir = path;
		struct slice rest = SLICE_NONE;

		if (!slice_cut(path, ':', &dir, &rest))
			rest = SLICE_NONE;
		if (dir.n > 0 && dir.p[0] == '/') {
			char *found = proc_try(dir, name);

			if (found)
				return found;
		}
		path = rest;
	}
	return NULL;
}

char *proc_find(const char *name)
{
	char *found = proc_search(slice_of(getenv("PATH")), name);

	return found ? found : proc_search(SLICE_LIT(PROC_PATH), name);
}

/* The elements of PATH that proc_find() would look at. */
static char *proc_path(void)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(1 << 20);
	struct slice rest = slice_of(getenv("PATH")), dir;

	while (rest.n > 0) {
		if (!slice_cut(rest, ':', &dir, &rest))
			rest = SLICE_NONE;
		if (dir.n > 0 && dir.p[0] == '/') {
			buf_str(&out, out.n ? ":" : "");
			buf_slice(&out, dir);
		}
	}
	return mem_str(out.n ? out.p : PROC_PATH);
}

char *proc_env(const char *name)
{
	AUTO(mem_freep) char *path = strcmp(name, "PATH") == 0 ? proc_path() : NULL;
	const char *value = path ? path : getenv(name);

	return value ? mem_printf("%s=%s", name, value) : NULL;
}

int proc_pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);       /* close-on-exec by definition */
}

/* clone(2), not clone3: container seccomp profiles answer ENOSYS to the latter. Without CLONE_VM no new stack is
 * needed. The order of arguments differs on s390. */
pid_t proc_clone(unsigned long flags)
{
#ifdef __s390__
	return (pid_t)syscall(SYS_clone, 0UL, flags | SIGCHLD, NULL, NULL, 0UL);
#else
	return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0UL, NULL, NULL, 0UL);
#endif
}

static int proc_status(int wstatus)
{
	return WIFSIGNALED(wstatus) ? 128 + WTERMSIG(wstatus) : WEXITSTATUS(wstatus);
}

int proc_wait(pid_t pid, int *ret_status, struct err **e)
{
	int wstatus = 0;

	while (waitpid(pid, &wstatus, 0) < 0)
		if (errno != EINTR)
			return err_errno(e, ERR_HOST, errno, "cannot wait for process %d", (int)pid);
	*ret_status = proc_status(wstatus);
	return 0;
}

struct proc {
	const struct proc_run *run;
	pid_t pid;
	int in, out, err, status;   /* our ends; -1 when not wanted or at the end */
	size_t fed;
	int64_t deadline;           /* clock_ns(), 0: none */
};

static void proc_free(struct proc *p)
{
	fd_closep(&p->in);
	fd_closep(&p->out);
	fd_closep(&p->err);
	fd_closep(&p->status);
	free(p);
}

void proc_killp(struct proc **pp)
{
	struct proc *p = take(pp);
	int status;

	if (!p)
		return;
	kill(p->pid, SIGKILL);          /* not reaped yet, so the number is still ours */
	(void)proc_wait(p->pid, &status, NULL);
	proc_free(p);
}

/* Between fork and exec: system calls only. Never returns. */
static void proc_child(const struct proc_run *r, const int fds[3], int status, pid_t parent,
		       const char *const *env) __attribute__((noreturn));
static void proc_child(const struct proc_run *r, const int fds[3], int status, pid_t parent, const char *const *env)
{
	int null = openat(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;
	int code;

	sigemptyset(&none);
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);

	for (int i = 0; i < 3; i++)
		if (dup2(fds[i] >= 0 ? fds[i] : null, i) < 0)
			goto failed;
	if (r->dir >= 0 && fchdir(r->dir) < 0)
		goto failed;
	if (r->file_max && setrlimit(RLIMIT_FSIZE, &(struct rlimit){ r->file_max, r->file_max }) < 0)
		goto failed;
	execve(r->argv[0], (char *const *)r->argv, (char *const *)env);
failed:
	code = errno;
	if (write(status, &code, sizeof(code)) < 0)
		_exit(126);
	_exit(127);
}

/* The environment of a helper that asked for none: three variables, nothing of the caller's (X2). */
struct proc_env {
	char *vars[4];
	size_t n;
};

static void proc_env_clear(struct proc_env *env)
{
	for (size_t i = 0; i < env->n; i++)
		free(env->vars[i]);
}

static void proc_env_fill(struct proc_env *env)
{
	static const char *const names[] = { "PATH", "HOME", "LANG" };

	for (size_t i = 0; i < countof(names); i++) {
		char *line = proc_env(names[i]);

		if (line)
			env->vars[env->n++] = line;
	}
}

/* A pipe end below 3 would be lost to the dup2s of the child: threats X1 keeps 0-2 open, so there is none. */
int proc_start(const struct proc_run *r, struct proc **ret, struct err **e)
{
	AUTO(proc_env_clear) struct proc_env env = { .n = 0 };
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, err[2] = { -1, -1 }, st[2] = { -1, -1 };
	struct proc *p = mem_zalloc(sizeof(*p));
	pid_t self = getpid();
	int rc = 0;

	if ((r->input.n > 0 && fd_pipe(in, e) < 0) || (r->out && fd_pipe(out, e) < 0) ||
	    (r->err && fd_pipe(err, e) < 0) || fd_pipe(st, e) < 0)
		rc = -1;
	*p = (struct proc){ .run = r, .pid = -1, .in = in[1], .out = out[0], .err = err[0], .status = st[0] };
	if (r->timeout_ms)
		p->deadline = clock_ns() + (int64_t)r->timeout_ms * 1000000;
	if (!r->env)
		proc_env_fill(&env);

	if (rc == 0) {
		p->pid = fork();
		if (p->pid == 0)
			proc_child(r, (int[]){ in[0], out[1], err[1] }, st[1], self,
				   r->env ? r->env : (const char *const *)env.vars);
		if (p->pid < 0)
			rc = err_errno(e, ERR_HOST, errno, "cannot start '%s'", r->argv[0]);
	}
	fd_closep(&in[0]);
	fd_closep(&out[1]);
	fd_closep(&err[1]);
	fd_closep(&st[1]);
	if (rc < 0) {
		proc_free(p);
		return -1;
	}
	*ret = p;
	return 0;
}

/* What is over the buffer's maximum is read and dropped: a chatty helper must not block for ever. */
static int proc_drain(int *fd, struct buf *to, struct err **e)
{
	char block[4096];
	ssize_t n = fd_read(*fd, block, sizeof(block), e);

	if (n < 0)
		return -1;
	if (n == 0)
		fd_closep(fd);
	else
		buf_add(to, block, (size_t)n);
	return 0;
}

static int proc_feed(struct proc *p, struct err **e)
{
	struct slice rest = slice_skip(p->run->input, p->fed);
	ssize_t n = write(p->in, rest.p, rest.n);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n < 0 && errno != EPIPE)
		return err_errno(e, ERR_HOST, errno, "cannot write to '%s'", p->run->argv[0]);
	if (n > 0)
		p->fed += (size_t)n;
	if (n < 0 || p->fed == p->run->input.n)      /* EPIPE: it does not want the rest */
		fd_closep(&p->in);
	return 0;
}

/* Move bytes until both outputs are at their end. */
static int proc_pump(struct proc *p, struct err **e)
{
	if (p->in >= 0 && fd_nonblock(p->in, true, e) < 0)
		return -1;
	while (p->in >= 0 || p->out >= 0 || p->err >= 0 || p->status >= 0) {
		struct pollfd f[4] = { { p->in, POLLOUT, 0 }, { p->out, POLLIN, 0 }, { p->err, POLLIN, 0 },
				       { p->status, POLLIN, 0 } };
		int wait = -1;

		if (p->deadline) {
			int64_t left = p->deadline - clock_ns();

			wait = left <= 0 ? 0 : (int)(left / 1000000 + 1);
		}
		int ready = poll(f, countof(f), wait);

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready < 0)
			return err_errno(e, ERR_HOST, errno, "cannot wait for '%s'", p->run->argv[0]);
		if (ready == 0)
			return err_set(e, ERR_TIMEOUT, "'%s' did not end within %u seconds", p->run->argv[0],
				       (p->run->timeout_ms + 999) / 1000);
		if ((f[0].revents && proc_feed(p, e) < 0) || (f[1].revents && proc_drain(&p->out, p->run->out, e) < 0) ||
		    (f[2].revents && proc_drain(&p->err, p->run->err, e) < 0))
			return -1;
		if (f[3].revents) {
			int code = 0;
			ssize_t n = fd_read(p->status, &code, sizeof(code), e);

			if (n < 0)
				return -1;
			fd_closep(&p->status);
			if (n == sizeof(code))
				return err_errno(e, ERR_HOST, code, "cannot start '%s'", p->run->argv[0]);
		}
	}
	return 0;
}

int proc_finish(struct proc *take_p, struct err **e)
{
	AUTO(proc_killp) struct proc *p = take_p;
	int status = 0;

	if (proc_pump(p, e) < 0)
		return -1;

	/* Output closed is not ended: the limit holds for the rest too. */
	if (p->deadline) {
		AUTO(fd_closep) int pidfd = proc_pidfd(p->pid);
		struct pollfd f = { pidfd, POLLIN, 0 };
		int64_t left = p->deadline - clock_ns();

		if (pidfd >= 0 && poll(&f, 1, left <= 0 ? 0 : (int)(left / 1000000 + 1)) == 0)
			return err_set(e, ERR_TIMEOUT, "'%s' did not end within %u seconds", p->run->argv[0],
				       (p->run->timeout_ms + 999) / 1000);
	}
	if (proc_wait(p->pid, &status, e) < 0)
		return -1;
	proc_free(take(&p));
	return status;
}

int proc_run(const struct proc_run *r, struct err **e)
{
	struct proc *p = NULL;

	if (proc_start(r, &p, e) < 0)
		return -1;
	return proc_finish(p, e);
}
