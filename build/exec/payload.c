/* build/exec/payload.c - process 1 of a step, from the fork to the execve of the user's command.
 *
 * The order is spec/executor.md 8.4: everything that needs root first, the filter while CAP_SYS_ADMIN is still there (no
 * no_new_privs: sudo has to work), then the ids, then the command. Failures go to the monitor through a close-on-exec
 * pipe, whose end of file means that the command runs.
 */
#include "build/exec/box.h"

#include "base/mem.h"
#include "build/exec/exec.h"
#include "build/exec/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* chown dac_override fsetid fowner mknod net_raw setgid setuid setfcap setpcap net_bind_service sys_chroot kill audit_write */
#define DEFAULT_CAPS 0xa80425fbULL
#define ALL_CAPS (~0ULL)
enum { NOFILE_MOST = 1048576, KEYCTL_JOIN = 1 };

/* ---- root */

static int enter_root(struct box *b, struct err **e)
{
	/* pivot_root(".", "."): the old root lies on the new one and is taken off it, so no directory is needed for it. */
	if (fchdir(b->root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return err_errno(e, ERR_HOST, errno, "cannot enter the root file system");
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_errno(e, ERR_HOST, errno, "cannot leave the old root file system");
	return 0;
}

/* ---- working directory (12.3) */

static int make_cwd(struct box *b, int root, const char *path, struct err **e)
{
	AUTO(mem_freep) char *part = mem_str(path);

	for (char *at = part + 1;; at++) {
		AUTO(fd_closep) int parent = -1;
		AUTO(fd_closep) int there = -1;
		const char *name = NULL;
		char end = *at;

		if (end != '/' && end != '\0')
			continue;
		*at = '\0';
		int rc = at_try(root, part, O_PATH | O_DIRECTORY, &there, e);

		if (rc == AT_MISSING && (rc = at_parent(root, part, &parent, &name, e)) == 0) {
			if (mkdirat(parent, name, 0755) < 0)
				return err_errno(e, ERR_STEP, errno, "cannot make the working directory '%s'", path);
			if (fchownat(parent, name, b->user.uid, b->user.gid, AT_SYMLINK_NOFOLLOW) < 0)
				return err_errno(e, ERR_HOST, errno, "cannot give '%s' to %u:%u", path, b->user.uid, b->user.gid);
		}
		if (rc != 0)
			return rc < 0 ? -1 : err_set(e, ERR_STEP, "cannot make the working directory '%s'", path);
		if (end == '\0')
			return 0;
		*at = end;
	}
}

static int open_cwd(struct box *b, struct err **e)
{
	AUTO(fd_closep) int root = openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *path = b->spec->cwd;
	int fd = -1, rc;

	if (root < 0)
		return err_errno(e, ERR_HOST, errno, "cannot open the root file system");
	rc = at_try(root, path, O_PATH | O_DIRECTORY, &fd, e);
	if (rc < 0 || (rc == AT_MISSING && make_cwd(b, root, path, e) < 0))
		return -1;
	return rc == 0 ? fd : at_open(root, path, O_PATH | O_DIRECTORY, 0, e);
}

/* As the user: a directory that they may not enter is an error of the step (threats C13). */
static int enter_cwd(int fd, const char *path, struct err **e)
{
	char real[8192];

	if (fchdir(fd) < 0)
		return err_errno(e, ERR_STEP, errno, "cannot enter the working directory '%s'", path);
	if (!getcwd(real, sizeof(real)) || real[0] != '/')
		return err_set(e, ERR_STEP, "the working directory '%s' is not inside the root file system", path);
	return 0;
}

/* ---- limits */

static const struct {
	const char *name;
	int resource;
} limits[] = {
	{ "as", RLIMIT_AS },         { "core", RLIMIT_CORE },       { "cpu", RLIMIT_CPU },       { "data", RLIMIT_DATA },
	{ "fsize", RLIMIT_FSIZE },   { "locks", RLIMIT_LOCKS },     { "memlock", RLIMIT_MEMLOCK }, { "msgqueue", RLIMIT_MSGQUEUE },
	{ "nice", RLIMIT_NICE },     { "nofile", RLIMIT_NOFILE },   { "nproc", RLIMIT_NPROC },   { "rss", RLIMIT_RSS },
	{ "rtprio", RLIMIT_RTPRIO }, { "rttime", RLIMIT_RTTIME },   { "sigpending", RLIMIT_SIGPENDING },
	{ "stack", RLIMIT_STACK },
};

static bool limit_value(struct slice s, rlim_t *ret)
{
	uint64_t v = 0;

	if (slice_is(s, "unlimited") || slice_is(s, "-1"))
		v = RLIM_INFINITY;
	else if (!slice_u64(s, &v))
		return false;
	*ret = v;
	return true;
}

/* "nofile=1024:2048", "core=0" */
static int limit_set(const char *text, struct err **e)
{
	struct slice name = slice_of(text), value = SLICE_NONE, soft = SLICE_NONE, hard = SLICE_NONE;
	struct rlimit r;

	if (!slice_cut(name, '=', &name, &value))
		return err_set(e, ERR_USAGE, "the limit '%s' has no value", text);
	if (!slice_cut(value, ':', &soft, &hard))
		soft = hard = value;
	if (!limit_value(soft, &r.rlim_cur) || !limit_value(hard, &r.rlim_max))
		return err_set(e, ERR_USAGE, "the limit '%s' is not a number", text);
	for (size_t i = 0; i < countof(limits); i++) {
		if (!slice_is(name, limits[i].name))
			continue;
		if (setrlimit(limits[i].resource, &r) < 0)
			return err_errno(e, ERR_HOST, errno, "cannot set the limit '%s'", text);
		return 0;
	}
	return err_set(e, ERR_USAGE, "unknown limit '%.*s'", SLICE_F(name));
}

static int set_limits(const struct run_spec *spec, struct err **e)
{
	struct rlimit none = { 0, 0 }, files;

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot turn core dumps off");
	/* Programs that close all descriptors in a loop would take minutes. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur > NOFILE_MOST) {
		files.rlim_cur = NOFILE_MOST;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	for (size_t i = 0; spec->ulimit[i]; i++)
		if (limit_set(spec->ulimit[i], e) < 0)
			return -1;
	return 0;
}

/* A step should be killed before the builder. Never lower, and never mind. */
static void raise_oom_score(void)
{
	AUTO(fd_closep) int fd = openat(AT_FDCWD, "/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	char text[24] = "";
	long score;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return;
	score = strtol(text, NULL, 10) + 100;
	snprintf(text, sizeof(text), "%ld", score > 1000 ? 1000 : score);
	(void)!pwrite(fd, text, strlen(text), 0);
}

/* ---- who */

static int set_stdio(const struct box *b, const int out[2], struct err **e)
{
	/* /dev/null is ours, in the fresh /dev. */
	AUTO(fd_closep) int null = b->in >= 0 ? b->in : openat(AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (null < 0 || dup2(null, 0) < 0 || dup2(out[0], 1) < 0 || dup2(out[1], 2) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot set up the standard streams");
	/* Or a user other than the one who made the pipes could not open /dev/stdout. */
	for (int i = 1; i <= 2; i++)
		if (fstat(i, &st) == 0 && S_ISFIFO(st.st_mode) && fchown(i, b->user.uid, b->user.gid) < 0 && errno != EINVAL &&
		    errno != EPERM)
			return err_errno(e, ERR_HOST, errno, "cannot give the output to the step's user");
	return 0;
}

static int drop_bounding(uint64_t keep, struct err **e)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (!(cap < 64 && keep >> cap & 1) && prctl(PR_CAPBSET_DROP, cap) < 0)
			return err_errno(e, ERR_HOST, errno, "cannot drop capability %d", cap);
	return 0;
}

static int set_caps(uint64_t caps, uint64_t inheritable, struct err **e)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	for (int i = 0; i < 2; i++) {
		d[i].effective = d[i].permitted = (uint32_t)(caps >> 32 * i);
		d[i].inheritable = (uint32_t)(inheritable >> 32 * i);
	}
	if (syscall(SYS_capset, &h, d) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot set capabilities");
	return 0;
}

static uint64_t bounding(void)
{
	uint64_t caps = 0;

	for (int cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_READ, cap) == 1)
			caps |= 1ULL << cap;
	return caps;
}

void *room_filter(void)
{
	return seccomp_filter(bounding() & DEFAULT_CAPS);
}

static int id_failed(const char *what, uint32_t id, int code, struct err **e)
{
	if (code != EINVAL)
		return err_errno(e, ERR_HOST, code, "cannot become %s %u", what, id);
	err_set(e, ERR_HOST, "%s id %u does not exist in the build's user namespace", what, id);
	return err_hint(e, "enlarge the user's range in /etc/subuid and /etc/subgid; 'kiln doctor' shows what is mapped");
}

static int set_ids(const struct user *u, struct err **e)
{
	uid_t r[3];
	gid_t g[3];
	bool dropped = setgroups(u->ngroup, u->group) == 0;

	/* EPERM: the map denies it; then the list is empty or the user's own, and stays (executor.md 3.1). */
	if (!dropped && !(errno == EPERM && u->ngroup <= 1)) {
		err_errno(e, ERR_HOST, errno, "cannot set the supplementary groups of user %u", u->uid);
		return err_hint(e, "give the build more ids in /etc/subuid and /etc/subgid; 'kiln doctor' shows what is mapped");
	}
	if (setresgid(u->gid, u->gid, u->gid) < 0)
		return id_failed("group", u->gid, errno, e);
	if (setresuid(u->uid, u->uid, u->uid) < 0)
		return id_failed("user", u->uid, errno, e);
	if (getresuid(&r[0], &r[1], &r[2]) < 0 || getresgid(&g[0], &g[1], &g[2]) < 0 || r[0] != u->uid || r[1] != u->uid ||
	    r[2] != u->uid || g[0] != u->gid || g[1] != u->gid || g[2] != u->gid || (dropped && getgroups(0, NULL) != (int)u->ngroup))
		return err_set(e, ERR_BUG, "the ids of the step's user did not stick");
	return 0;
}

static int become_user(const struct box *b, struct err **e)
{
	bool all = b->spec->insecure;
	uint64_t some = (DEFAULT_CAPS & ~b->spec->cap_drop) | b->spec->cap_add;
	uint64_t caps = bounding() & (all ? ALL_CAPS : some);

	if (!all && (drop_bounding(some, e) < 0 || (!b->spec->unfiltered && seccomp_install(b->filter, caps, e) < 0)))
		return -1;
	if (prctl(PR_SET_KEEPCAPS, 1) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot keep capabilities");
	if (set_ids(&b->user, e) < 0)
		return -1;
	(void)prctl(PR_SET_KEEPCAPS, 0);
	if (set_caps(b->user.uid == 0 || all ? caps : 0, all ? caps : 0, e) < 0)
		return -1;
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int cap = 0; all && cap < 64; cap++)
		if (caps >> cap & 1)
			(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
	return 0;
}

/* ---- all of it */

static void send_message(int status, uint32_t kind, uint32_t code, struct slice bytes)
{
	struct payload_message m = { kind, code, (uint32_t)bytes.n };

	(void)(fd_write_all(status, &m, sizeof(m), NULL) == 0 && fd_write_all(status, bytes.p, bytes.n, NULL) == 0);
}

/* Asked of the kernel: the C library keeps 32 and 33 to itself and refuses to reset them, and GNU make 4.3 leaves them ignored. */
static void reset_signals(void)
{
	static const struct {
		void (*handler)(int);
		unsigned long flags;
		void (*restorer)(void);
		unsigned long mask;
	} initial = { .handler = SIG_DFL };
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		syscall(SYS_rt_sigaction, sig, &initial, NULL, sizeof(initial.mask));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Opened by who is in no namespace of cgroups: the kernel asks for that of the opener. In the step's own, its cgroup is the root. */
static int enter_cgroup(const struct box *b, struct err **e)
{
	if (write(b->cgroup, "0", 1) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot enter the step's cgroup");
	(void)unshare(CLONE_NEWCGROUP);          /* without it, it sees the host's names */
	return 0;
}

static int payload_setup(struct box *b, const int out[2], bool *ret_self, struct err **e)
{
	AUTO(fd_closep) int cwd = -1;

	if (b->cgroup >= 0 && enter_cgroup(b, e) < 0)
		return -1;
	if (fixed_proc(b, e) < 0)
		return err_wrap(e, "cannot prepare '/proc'");
	raise_oom_score();
	if (enter_root(b, e) < 0)
		return -1;
	cwd = open_cwd(b, e);
	if (cwd < 0)
		return -1;
	*ret_self = fchdir(cwd) == 0 && exec_is_self(b->spec->argv, b->spec->env);
	setsid();
	/* Not of the user's session; quotas and missing support do not matter. */
	(void)syscall(SYS_keyctl, KEYCTL_JOIN, "kiln", 0, 0, 0);
	if (set_limits(b->spec, e) < 0)
		return -1;
	umask(0022);
	if (set_stdio(b, out, e) < 0 || become_user(b, e) < 0 || enter_cwd(cwd, b->spec->cwd, e) < 0)
		return -1;
	reset_signals();
	/* Last, since a change of ids clears it; a backstop only (executor.md 10.3). */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (syscall(SYS_close_range, 3, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot close inherited descriptors (close_range, Linux 5.11)");
	return 0;
}

void payload_run(struct box *b, const int out[2], int status)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(64 << 10);
	struct err *e = NULL;
	bool self = false;
	char **env;
	int code = 126;

	close(job_fd(b->self));
	if (payload_setup(b, out, &self, &e) < 0) {
		err_pack(e, &text);
		send_message(status, PAYLOAD_SETUP, 125, buf_view(&text));
		_exit(125);
	}
	env = exec_env(b->spec->env, b->user.home);
	if (self)
		buf_printf(&text, "'%s' leads to /proc/self/exe, which is the builder's own program", b->spec->argv[0]);
	else
		code = exec_command(b->spec->argv, env, &text);
	send_message(status, PAYLOAD_EXEC, (uint32_t)code, buf_view(&text));
	_exit(code);
}
