/* layers/snap_fuse.c - the program fuse-overlayfs as storage driver, where the kernel's overlay cannot be used
 * (spec/executor.md 7).
 *
 * The FUSE file system is mounted here, by descriptor, and the server gets the connection as /dev/fd/N. So the server can
 * live in a mount namespace of its own that does not have the mount: it ends when the last mount does.
 */
#include "layers/snap.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/proc.h"
#include "layers/snap_mnt.h"
#include "layers/snap_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { END_MS = 5000 };

/* The mount itself, still detached and without anybody to answer. */
static int fuse_new(int connection, bool readonly, struct err **e)
{
	AUTO(mem_freep) char *fd = mem_printf("%d", connection);
	const struct mnt_opt opt[] = { { "source", "fuse-overlayfs" }, { "fd", fd }, { "rootmode", "40000" },
				       { "user_id", "0" }, { "group_id", "0" }, { "allow_other", NULL },
				       { "default_permissions", NULL }, { NULL, NULL } };

	return mnt_new("fuse", opt, MNT_NODEV | (readonly ? MNT_RDONLY | MNT_NOSUID : 0), e);
}

/* lowerdir=top:...:bottom with names relative to the store: those are ours and hold no ':' or ','. */
static int server_options(const struct snap_mount *m, const char *empty, struct buf *opt, struct err **e)
{
	buf_str(opt, "lowerdir=");
	for (size_t i = m->nlower; i-- > 0;)
		buf_printf(opt, "%s%s", m->lower[i], i ? ":" : "");
	if (m->nlower == 0)
		buf_str(opt, empty);
	if (m->upper)
		buf_printf(opt, ",upperdir=%s,workdir=%s,volatile", m->upper, m->work);
	/* Without it two lower hard links are one node, and a write to one is lost from the layer (7.2). */
	buf_str(opt, ",static_nlink,noacl");
	return buf_ok(opt, "the options of fuse-overlayfs", e);
}

static void server_exec(const struct snap_mount *m, const char *program, char *options, int connection, int said)
	__attribute__((noreturn));
static void server_exec(const struct snap_mount *m, const char *program, char *options, int connection, int said)
{
	struct rlimit files;
	char place[32];
	char *argv[] = { (char *)program, (char *)"-f", (char *)"-o", options, place, NULL };
	char *env[] = { NULL };

	snprintf(place, sizeof(place), "/dev/fd/%d", connection);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNS) < 0 || fchdir(m->store) < 0)
		_exit(126);
	/* It keeps a descriptor for everything in use. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGPIPE, SIG_DFL);
	if (dup2(said, 1) < 0 || dup2(said, 2) < 0 || fcntl(connection, F_SETFD, 0) < 0)
		_exit(126);
	execve(program, argv, env);
	_exit(127);
}

static int server_died(int said, struct err **e)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(4096);
	AUTO(buf_freep) struct buf clean = BUF_MAX(1024);

	if (lseek(said, 0, SEEK_SET) == 0)
		(void)fd_read_all(said, &text, NULL);
	buf_escaped(&clean, slice_trim(buf_view(&text), " \n"), 500);
	return err_set(e, ERR_HOST, "fuse-overlayfs did not start%s%s", clean.n ? ": " : "", clean.n ? clean.p : "");
}

/* Wait for the first answer: the attributes of the root. */
static int server_ready(int mount, pid_t pid, int said, struct err **e)
{
	struct stat st;
	int status;

	if (fstatat(mount, "", &st, AT_EMPTY_PATH) == 0 && S_ISDIR(st.st_mode))
		return 0;
	kill(pid, SIGKILL);
	(void)proc_wait(pid, &status, NULL);
	return server_died(said, e);
}

static int fuse_start(const struct snap_mount *m, const char *program, struct buf *opt, int *ret_mount, pid_t *state,
		      struct err **e)
{
	AUTO(fd_closep) int connection = openat(AT_FDCWD, "/dev/fuse", O_RDWR | O_CLOEXEC);
	AUTO(fd_closep) int said = memfd_create("fuse-overlayfs", MFD_CLOEXEC);
	AUTO(fd_closep) int mount = -1;
	pid_t pid;

	if (connection < 0 || said < 0)
		return err_errno(e, ERR_HOST, errno, "cannot open '/dev/fuse'");
	mount = fuse_new(connection, !m->upper, e);
	if (mount < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		close(mount);                   /* or the mount would live as long as its server */
		server_exec(m, program, opt->p, connection, said);
	}
	if (pid < 0)
		return err_errno(e, ERR_HOST, errno, "cannot start fuse-overlayfs");
	fd_closep(&connection);                 /* a dead server ends the connection */
	if (server_ready(mount, pid, said, e) < 0)
		return -1;
	*state = pid;
	*ret_mount = fd_take(&mount);
	return 0;
}

static int fuse_mount(const struct snap_mount *m, pid_t *state, struct err **e)
{
	AUTO(mem_freep) char *program = NULL;
	AUTO(mem_freep) char *empty = NULL;
	AUTO(buf_freep) struct buf opt = BUF_MAX(100 << 10);
	AUTO(fd_closep) int mount = -1;

	*state = 0;
	if (m->nlower == 1 && !m->upper)
		return snap_bind(m, e);
	program = proc_find("fuse-overlayfs");
	if (!program)
		return err_set(e, ERR_HOST, "fuse-overlayfs is not installed");
	if (m->nlower == 0) {
		empty = mem_printf("%s.empty", m->work);
		if (at_mkdirs(m->store, empty, 0755, e) < 0)
			return -1;
	}
	if (server_options(m, empty, &opt, e) < 0 || fuse_start(m, program, &opt, &mount, state, e) < 0)
		return -1;
	return snap_attach(mount, m->target, e);
}

/* The mounts are gone, or go now; then the server ends by itself. */
static int fuse_unmount(const struct snap_mount *m, pid_t state, struct err **e)
{
	AUTO(fd_closep) int pidfd = -1;
	struct pollfd f;
	int status;

	(void)umount2(m->target, MNT_DETACH | UMOUNT_NOFOLLOW);
	if (state <= 0)
		return 0;
	pidfd = proc_pidfd(state);
	f = (struct pollfd){ pidfd, POLLIN, 0 };
	if (pidfd >= 0 && poll(&f, 1, END_MS) == 1)
		return proc_wait(state, &status, e);
	kill(state, SIGKILL);
	(void)proc_wait(state, &status, NULL);
	return err_set(e, ERR_HOST, "fuse-overlayfs did not end within %d seconds; the step's changes may be incomplete",
		       END_MS / 1000);
}

static int fuse_probe(int store, const char *scratch, struct buf *why, struct err **e)
{
	AUTO(mem_freep) char *program = proc_find("fuse-overlayfs");

	if (!program) {
		buf_str(why, "fuse-overlayfs is not installed; install the package fuse-overlayfs");
		return 1;
	}
	if (faccessat(AT_FDCWD, "/dev/fuse", R_OK | W_OK, 0) < 0) {
		buf_printf(why, "/dev/fuse cannot be opened (%s); load the module fuse and let users open the device", strerror(errno));
		return 1;
	}
	return snap_trial(&snap_fuse, store, scratch, why, e);
}

const struct snap_driver snap_fuse = {
	.name = "fuse-overlayfs",
	.probe = fuse_probe,
	.mount = fuse_mount,
	.unmount = fuse_unmount,
	.freeze = snap_fuse_freeze,
};
