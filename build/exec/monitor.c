/* build/exec/monitor.c - one process for each step: it owns the step's mounts, starts process 1 and waits for it.
 *
 * It stays outside the step's pid namespace, so that process 1 can be the user's command (spec/executor.md 1). When the
 * command is over it goes back to the zygote's mount namespace: the step's own, with all that is mounted in it, is gone
 * then, and what it had to make for mount points can be removed.
 */
#include "build/exec/box.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/proc.h"
#include "layers/owner.h"
#include "layers/snap_mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MESSAGE_MAX = 64 << 10 };

static int enter_namespaces(struct box *b, struct err **e)
{
	if (net_prepare(b, e) < 0)
		return -1;
	if (b->spec->net != RUN_NET_HOST && unshare(CLONE_NEWNET) < 0)
		return room_refused(e);
	if (sethostname(b->spec->hostname, strlen(b->spec->hostname)) < 0)
		return err_errno(e, ERR_STEP, errno, "cannot set the host name '%s'", b->spec->hostname);
	return 0;
}

/* What every root needs to mount on, as the lowest layer of all: where the image has it not, nothing has to be made in the upper and
 * taken out again. One for the steps of a build; whoever finds it half made makes what it lacks itself (target.c). */
static int make_seed(struct box *b, struct err **e)
{
	static const char *const dirs[] = { "dev", "proc", "sys", "etc" };
	const char *const files[] = { b->spec->no_resolv ? NULL : "etc/resolv.conf", b->spec->no_hosts ? NULL : "etc/hosts" };
	AUTO(fd_closep) int seed = -1;
	int rc = at_try_store(b->store, b->seed, O_PATH | O_DIRECTORY, &seed, e);

	if (rc != AT_MISSING)
		return rc;
	if (at_mkdirs(b->store, b->seed, 0755, e) < 0)
		return -1;
	seed = at_open_store(b->store, b->seed, O_PATH | O_DIRECTORY, 0, e);
	if (seed < 0)
		return -1;
	for (size_t i = 0; i < countof(dirs); i++)
		if (mkdirat(seed, dirs[i], 0755) < 0 && errno != EEXIST)
			return err_errno(e, ERR_HOST, errno, "cannot make '%s/%s'", b->seed, dirs[i]);
	for (size_t i = 0; i < countof(files); i++) {
		if (!files[i])
			continue;
		AUTO(fd_closep) int fd = openat(seed, files[i], O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);

		if (fd < 0)
			return err_errno(e, ERR_HOST, errno, "cannot make '%s/%s'", b->seed, files[i]);
	}
	return 0;
}

static int root_attributes(struct box *b, struct err **e)
{
	const struct run_spec *s = b->spec;
	AUTO(mem_freep) char *fs = mem_printf("%s/fs", s->snap);
	AUTO(fd_closep) int upper = at_open_store(b->store, fs, O_RDONLY | O_DIRECTORY, 0, e);
	uint32_t mode = s->root_mode, uid = s->root_uid, gid = s->root_gid;
	struct owner own = { .any = false };
	bool recorded = false;

	if (upper < 0)
		return -1;
	owner_init(&own);
	if (s->root_follows) {
		AUTO(fd_closep) int top = openat(b->lower[b->nstack - 1], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		struct stat st;

		if (top < 0 || fstat(top, &st) < 0)
			return err_errno(e, ERR_HOST, errno, "cannot look at the root that lies below");
		mode = st.st_mode;
		if (owner_get(&own, top, &st, &uid, &gid, e) < 0)
			return -1;
	}
	if (owner_set(&own, upper, -1, NULL, uid, gid, &recorded, e) < 0)
		return -1;
	return fchmod(upper, mode & 07777) < 0 ? err_errno(e, ERR_HOST, errno, "cannot set the mode of the new root") : 0;
}

/* Upper and work, the place of the root, and on it the tmpfs with our files. */
static int make_dirs(struct box *b, struct err **e)
{
	const struct run_spec *s = b->spec;
	AUTO(mem_freep) char *fs = mem_printf("%s/fs", s->snap);
	AUTO(mem_freep) char *work = mem_printf("%s/work", s->snap);
	AUTO(mem_freep) char *root = mem_printf("%.*s/root", (int)(strrchr(s->snap, '/') - s->snap), s->snap);
	AUTO(fd_closep) int on = -1;

	if (at_mkdirs(b->store, fs, 0700, e) < 0 || at_mkdirs(b->store, work, 0700, e) < 0 ||
	    at_mkdirs(b->store, root, 0700, e) < 0 || make_seed(b, e) < 0)
		return -1;
	b->at = mem_printf("%s/%s", s->store, root);
	on = at_open_store(b->store, root, O_PATH | O_DIRECTORY, 0, e);
	return on < 0 ? -1 : mnt_attach(b->files, on, b->at, e);
}

static int open_lowers(struct box *b, struct err **e)
{
	b->lower = mem_array(b->nstack, sizeof(*b->lower));
	for (size_t i = 0; i < b->nstack; i++)
		b->lower[i] = -1;
	for (size_t i = 0; i < b->nstack; i++) {
		b->lower[i] = at_open_store(b->store, b->stack[i], O_PATH | O_DIRECTORY, 0, e);
		if (b->lower[i] < 0)
			return -1;
	}
	return 0;
}

static int mount_root(struct box *b, struct err **e)
{
	const struct run_spec *s = b->spec;
	AUTO(mem_freep) char *fs = mem_printf("%s/fs", s->snap);
	AUTO(mem_freep) char *work = mem_printf("%s/work", s->snap);
	struct snap_mount m = { b->store, b->stack, b->nstack, fs, work, b->at, b->driver->by_fd ? b->lower : NULL };
	pid_t server = 0;

	if (b->driver->mount(&m, &server, e) < 0)
		return err_wrap(e, "cannot mount the root file system");
	MEM_ROOM(b->server, b->nserver, b->servercap);
	b->server[b->nserver++] = server;
	b->root = openat(AT_FDCWD, b->at, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (b->root < 0)
		return err_errno(e, ERR_HOST, errno, "cannot open the root file system");
	return 0;
}

/* Below the image's layers: the seed. */
static void stack_layers(struct box *b)
{
	const struct run_spec *s = b->spec;

	b->stack = mem_array(s->nlower + 1, sizeof(*b->stack));
	b->seed = mem_printf("%.*s/seed", (int)(strrchr(s->snap, '/') - s->snap), s->snap);
	b->stack[b->nstack++] = b->seed;
	for (size_t i = 0; i < s->nlower; i++)
		b->stack[b->nstack++] = s->lower[i];
}

/* All that needs nothing of the root. */
static int build_around(struct box *b, int *mounts, struct err **e)
{
	stack_layers(b);
	b->driver = snap_find(b->spec->driver);
	if (!b->driver)
		return err_set(e, ERR_BUG, "unknown storage driver '%s'", b->spec->driver);
	if (enter_namespaces(b, e) < 0)
		return -1;
	b->store = openat(AT_FDCWD, b->spec->store, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (b->store < 0)
		return err_errno(e, ERR_HOST, errno, "cannot open the store '%s'", b->spec->store);
	if (make_dirs(b, e) < 0 || net_start(b, e) < 0 || fixed_prepare(b, e) < 0 || mount_prepare(b, mounts, e) < 0)
		return -1;
	return open_lowers(b, e);
}

static int build_box(struct box *b, struct err **e)
{
	AUTO(mem_freep) int *mounts = mem_array(b->spec->nmount + 1, sizeof(*mounts));

	if (build_around(b, mounts, e) < 0)
		return -1;
	if (b->driver->by_fd)
		job_tell(b->self, RUN_OPEN, SLICE_NONE);
	if (b->spec->waits && job_wait_go(b->self, e) < 0)
		return -1;
	if (root_attributes(b, e) < 0 || mount_root(b, e) < 0)
		return -1;
	if (!b->driver->by_fd)
		job_tell(b->self, RUN_OPEN, SLICE_NONE);
	if (fixed_mount(b, e) < 0 || fixed_etc(b, e) < 0 || mount_attach_all(b, mounts, e) < 0)
		return -1;
	if (user_resolve(b->root, b->spec->user, &b->user, e) < 0)
		return -1;
	return user_add_groups(b->root, b->spec->group, &b->user, e);
}

/* ---- waiting */

struct wait {
	pid_t pid;
	int pidfd, status;              /* status: the payload's pipe */
	struct buf said;
	int64_t deadline;               /* 0: none */
	bool cancelled, timed_out, killed;
};

static void wait_clear(struct wait *w)
{
	buf_free(&w->said);
	fd_closep(&w->pidfd);
	fd_closep(&w->status);
}

static void wait_kill(struct wait *w)
{
	/* Process 1: everything in its namespace goes with it. */
	(void)syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0);
	w->killed = true;
}

static int wait_for(const struct box *b, struct wait *w, struct err **e)
{
	for (;;) {
		struct pollfd f[3] = { { w->pidfd, POLLIN, 0 }, { w->killed ? -1 : job_fd(b->self), POLLIN | POLLRDHUP, 0 },
				       { w->status, POLLIN, 0 } };
		int timeout = -1;

		if (w->deadline && !w->killed) {
			int64_t left = w->deadline - clock_ns();

			timeout = left <= 0 ? 0 : left / 1000000 > 3600000 ? 3600000 : (int)(left / 1000000 + 1);
		}
		if (poll(f, 3, timeout) < 0 && errno != EINTR)
			return err_errno(e, ERR_HOST, errno, "cannot wait for the step");
		if (f[2].revents) {
			char block[4096];
			ssize_t n = fd_read(w->status, block, sizeof(block), NULL);

			if (n > 0)
				buf_add(&w->said, block, (size_t)n);
			else
				fd_closep(&w->status);
		}
		if (f[1].revents) {
			w->cancelled = true;
			wait_kill(w);
		} else if (w->deadline && !w->killed && clock_ns() >= w->deadline) {
			w->timed_out = true;
			wait_kill(w);
		}
		/* The pipe's end first: it holds why the command did not start. */
		if (f[0].revents && w->status < 0)
			return 0;
	}
}

/* What the payload said before it became the command, if it did not. 1: nothing. */
static int payload_said(const struct wait *w, struct run_result *r, struct err **e)
{
	struct payload_message m;
	struct slice text;

	if (w->said.n < sizeof(m))
		return 1;
	memcpy(&m, w->said.p, sizeof(m));
	text = slice_skip(buf_view(&w->said), sizeof(m));
	if (m.kind == PAYLOAD_SETUP) {
		err_unpack(text, e);
		return -1;
	}
	r->status = (int)m.code;
	r->reason = mem_strn(text.p, text.n);
	return 0;
}

static int wait_result(struct wait *w, struct run_result *r, struct err **e)
{
	struct rusage ru;
	int wstatus = 0;

	while (wait4(w->pid, &wstatus, 0, &ru) < 0)
		if (errno != EINTR)
			return err_errno(e, ERR_HOST, errno, "cannot wait for the step");
	r->user_us = ru.ru_utime.tv_sec * 1000000LL + ru.ru_utime.tv_usec;
	r->sys_us = ru.ru_stime.tv_sec * 1000000LL + ru.ru_stime.tv_usec;
	r->max_rss = (uint64_t)ru.ru_maxrss * 1024;
	if (w->cancelled)
		return err_set(e, ERR_HOST, "the step was cancelled");

	int rc = payload_said(w, r, e);

	if (rc <= 0)
		return rc;
	r->status = WIFSIGNALED(wstatus) ? 128 + WTERMSIG(wstatus) : WEXITSTATUS(wstatus);
	r->timed_out = w->timed_out;
	if (w->timed_out)
		r->status = 124;
	else if (WIFSIGNALED(wstatus) && WTERMSIG(wstatus) == SIGKILL)
		r->reason = mem_str("killed, possibly because memory ran out");
	return 0;
}

static int run_payload(struct box *b, const int out[2], struct run_result *r, struct err **e)
{
	AUTO(fd_closep) int far = -1;
	AUTO(wait_clear) struct wait w = {
		.pidfd = -1, .status = -1, .said = BUF_MAX(MESSAGE_MAX + sizeof(struct payload_message)),
	};
	int st[2] = { -1, -1 }, rc;

	if (fd_pipe(st, e) < 0)
		return -1;
	far = st[1];
	w.status = st[0];
	if (b->spec->timeout_s)
		w.deadline = clock_ns() + (int64_t)b->spec->timeout_s * 1000000000;
	/* Until it executes the command it works in our memory, and we wait: nothing has to be copied. */
	w.pid = unshare(CLONE_NEWPID) < 0 ? -1 : vfork();
	if (w.pid == 0) {
		close(st[0]);
		payload_run(b, out, far);
	}
	if (w.pid < 0) {
		int code = errno;

		err_errno(e, ERR_HOST, code, "cannot create the step's pid namespace");
		return code == ENOSPC ? err_hint(e, "raise user.max_pid_namespaces") : -1;
	}
	/* The ends of the command's output are its own: that all of it is written is seen while we clear up. */
	close(out[0]);
	close(out[1]);
	fd_closep(&far);
	w.pidfd = proc_pidfd(w.pid);
	rc = w.pidfd < 0 ? err_errno(e, ERR_HOST, errno, "cannot watch the step") : wait_for(b, &w, e);
	if (rc < 0)
		kill(w.pid, SIGKILL);
	if (wait_result(&w, r, rc < 0 ? NULL : e) < 0)
		rc = -1;
	return rc;
}

/* ---- afterwards */

static void end_helpers(struct box *b)
{
	for (size_t i = 0; i < b->nhelper; i++) {
		int status;

		kill(b->helper[i], SIGKILL);
		(void)proc_wait(b->helper[i], &status, NULL);
	}
	b->nhelper = 0;
}

/* The root's mount goes with the last descriptor on it; then the upper is brought into the one form. */
static int leave_box(struct box *b, const char **ret_filled, struct err **e)
{
	const struct run_spec *s = b->spec;
	AUTO(mem_freep) char *fs = mem_printf("%s/fs", s->snap);
	AUTO(mem_freep) char *work = mem_printf("%s/work", s->snap);
	struct snap_mount m = { -1, b->stack, b->nstack, fs, work, b->at, b->lower };
	AUTO(fd_closep) int store = -1;

	end_helpers(b);
	if (setns(b->outside, CLONE_NEWNS) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot leave the step's mounts");
	*ret_filled = target_remove_made(b);
	fd_closep(&b->root);
	fd_closep(&b->proc);
	fd_closep(&b->store);
	fd_closep(&b->files);
	fd_closep(&b->dev);
	fd_closep(&b->sys);
	fd_closep(&b->resolv);
	fd_closep(&b->hosts);
	fd_closep(&b->null);
	store = openat(AT_FDCWD, s->store, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (store < 0)
		return err_errno(e, ERR_HOST, errno, "cannot open the store '%s'", s->store);
	m.store = store;
	for (size_t i = 0; i < b->nserver; i++)
		if (b->server[i] > 0 && b->driver->unmount(&m, b->server[i], e) < 0)
			return -1;
	return b->driver->freeze(&m, e);
}

static void box_clear(struct box *b)
{
	end_helpers(b);
	user_clear(&b->user);
	free(b->at);
	free(b->server);
	free(b->seed);
	free(b->stack);
	free(b->lower);              /* the descriptors go with the process */
	free(b->helper);
	free(b->held);               /* the locks fall with the process, after the mounts */
}

static void result_clear(struct run_result *r)
{
	free(r->reason);
}

int run_job(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	AUTO(run_spec_clear) struct run_spec spec = { .store = NULL };
	struct room *room = job_ahead(self);
	AUTO(box_clear) struct box b = {
		.spec = &spec, .self = self, .filter = room->filter, .outside = room->outside, .null = room->null, .files = room->files,
		.dev = room->dev, .sys = -1, .resolv = -1, .hosts = -1, .store = -1, .root = -1, .proc = -1, .in = -1, .cgroup = -1, .pasta_go = -1, .pasta_said = -1,
	};
	AUTO(result_clear) struct run_result r = { .status = 0 };
	const char *filled = NULL;

	job_graceful(self);
	umask(0);
	if (room->e) {
		*e = take(&room->e);
		return -1;
	}
	if (run_spec_unpack(in, &spec, e) < 0)
		return -1;
	if (nfds != 2u + spec.reads + spec.grouped)
		return err_set(e, ERR_BUG, "a step was given %zu descriptors", nfds);
	b.in = spec.reads ? fds[2] : -1;
	b.cgroup = spec.grouped ? fds[nfds - 1] : -1;
	if (build_box(&b, e) < 0)
		return -1;
	job_tell(self, RUN_READY, SLICE_NONE);
	if (run_payload(&b, fds, &r, e) < 0 || leave_box(&b, &filled, e) < 0)
		return -1;
	/* It would be in the layer for everybody to read (spec/threats.md S6). */
	if (filled && r.status == 0)
		return err_set(e, ERR_STEP, "the command left a file with content at '%s', the place of a secret", filled);
	run_result_put(out, &r);
	return 0;
}
