/* tests/unit/run.c - commands in a root of busybox: what they see, how they end, what they leave behind.
 *
 * Each row runs in a fresh upper on the layer "layers/base" of a store of its own; the program is its own zygote.
 */
#include "base/clock.h"
#include "base/fd.h"
#include "base/idmap.h"
#include "base/mem.h"
#include "base/proc.h"
#include "build/exec/run.h"
#include "layers/snap.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int rmtree_job(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	AUTO(mem_freep) char *name = mem_strn(in.p, in.n);
	AUTO(fd_closep) int dir = openat(AT_FDCWD, "/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return at_rmtree(dir, name, e);
}

/* A listing of a directory as the build's root sees it: type, mode, owner, device, name. */
static void list(int dir, const char *prefix, struct buf *out)
{
	struct at_names names;

	if (at_list(dir, &names, NULL) < 0)
		return;
	for (size_t i = 0; i < names.n; i++) {
		AUTO(mem_freep) char *path = mem_printf("%s/%s", prefix, names.name[i]);
		struct stat st;

		if (fstatat(dir, names.name[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		buf_printf(out, "%c %s\n", S_ISDIR(st.st_mode) ? 'd' : S_ISCHR(st.st_mode) ? 'c' : S_ISREG(st.st_mode) ? 'f' : '?',
			   path);
		if (S_ISDIR(st.st_mode)) {
			AUTO(fd_closep) int sub = at_open(dir, names.name[i], O_RDONLY | O_DIRECTORY, 0, NULL);

			if (sub >= 0)
				list(sub, path, out);
		}
	}
	at_names_clear(&names);
}

static int list_job(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	AUTO(mem_freep) char *path = mem_strn(in.p, in.n);
	AUTO(fd_closep) int dir = openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return err_errno(e, ERR_HOST, errno, "cannot open '%s'", path);
	buf_str(out, "");
	list(dir, "", out);
	return 0;
}

/* How many mounts does the zygote's namespace have? */
static int mounts_job(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	AUTO(fd_closep) int fd = openat(AT_FDCWD, "/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);

	return fd_read_all(fd, out, e);
}

/* pids in the zygote's namespace, without itself and the zygote */
static int pids_job(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	DIR *d = opendir("/proc");

	buf_str(out, "");
	for (struct dirent *t; (t = readdir(d));) {
		long pid = strtol(t->d_name, NULL, 10);

		if (pid > 1 && pid != getpid())
			buf_printf(out, "%ld ", pid);
	}
	closedir(d);
	return 0;
}

enum { RUN, RMTREE, LIST, MOUNTS, PIDS, CHOOSE };
static const struct job_row rows[] = {
	[RUN] = { .name = "run", .run = run_job, .once = room_filter, .ahead = room_make },
	[RMTREE] = { .name = "rmtree", .run = rmtree_job },
	[LIST] = { .name = "list", .run = list_job },
	[MOUNTS] = { .name = "mounts", .run = mounts_job },
	[PIDS] = { .name = "pids", .run = pids_job },
	[CHOOSE] = { .name = "choose", .run = snap_choose_job },
};

static struct loop *loop;
static struct jobs *jobs;
static char store[64];
static const char *driver = "overlay";
static unsigned snaps;

/* ---- plumbing */

struct answer {
	bool done;
	struct buf out;
	struct err *e;
	struct job *job;
	int cancel_ms;
};

static void on_done(void *arg, struct slice out, struct err *e)
{
	struct answer *a = arg;

	a->out = (struct buf)BUF_MAX(JOB_MAX);
	buf_str(&a->out, "");
	buf_slice(&a->out, out);
	a->e = e;
	a->done = true;
}

static void on_cancel(void *arg, short revents)
{
	job_cancel(arg);
}

static void on_event(void *arg, uint32_t kind, struct slice payload)
{
	struct answer *a = arg;

	if (kind == RUN_READY && a->cancel_ms)
		loop_timer(loop, a->cancel_ms, on_cancel, a->job);
}

static void answer_clear(struct answer *a)
{
	buf_free(&a->out);
	err_free(a->e);
	*a = (struct answer){ .done = false };
}

static void call(unsigned row, struct slice in, const int *fds, size_t nfds, struct answer *a)
{
	struct err *e = NULL;

	if (job_start(jobs, JOB_MAPPED, row, in, fds, nfds, on_event, on_done, a, &a->job, &e) < 0)
		on_done(a, SLICE_NONE, e);
	else
		loop_until(loop, &a->done, NULL);
}

/* One step. */
struct ran {
	struct run_result r;
	struct buf out, err;
	struct err *e;
	char snap[32];
};

static void ran_clear(struct ran *x)
{
	buf_free(&x->out);
	buf_free(&x->err);
	err_free(x->e);
	free(x->r.reason);
	*x = (struct ran){ .snap = "" };
}

static void run_spec(struct run_spec *s, struct ran *x, int cancel_ms)
{
	AUTO(answer_clear) struct answer a = { .cancel_ms = cancel_ms };
	AUTO(buf_freep) struct buf in = BUF_MAX(JOB_MAX);
	char *const env[] = { (char *)"PATH=/bin", (char *)"GREETING=hello", NULL };
	static char *base[] = { (char *)"layers/base", NULL };
	char *nothing[] = { NULL };
	int fd[2];

	snprintf(x->snap, sizeof(x->snap), "tmp/%u", ++snaps);
	AUTO(mem_freep) char *dir = mem_printf("%s/%s", store, x->snap);
	AUTO(mem_freep) char *outfile = mem_printf("%s/out", store);
	AUTO(mem_freep) char *errfile = mem_printf("%s/err", store);

	mkdir(dir, 0700);
	if (!s->lower) {
		s->lower = base;
		s->nlower = 1;
	}
	s->store = store;
	s->driver = (char *)driver;
	s->snap = x->snap;
	s->root_mode = 0755;
	if (!s->env)
		s->env = (char **)env;
	if (!s->hosts)
		s->hosts = nothing;
	if (!s->ulimit)
		s->ulimit = nothing;
	run_spec_pack(s, &in);
	fd[0] = openat(AT_FDCWD, outfile, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	fd[1] = openat(AT_FDCWD, errfile, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	call(RUN, buf_view(&in), fd, 2, &a);
	x->out = (struct buf)BUF_MAX(1 << 20);
	x->err = (struct buf)BUF_MAX(1 << 20);
	buf_str(&x->out, "");
	buf_str(&x->err, "");
	lseek(fd[0], 0, SEEK_SET);
	lseek(fd[1], 0, SEEK_SET);
	fd_read_all(fd[0], &x->out, NULL);
	fd_read_all(fd[1], &x->err, NULL);
	close(fd[0]);
	close(fd[1]);
	x->e = take(&a.e);
	if (!x->e)
		run_result_get(buf_view(&a.out), &x->r, &x->e);
}

static void sh(const char *text, struct run_spec s, struct ran *x)
{
	char *argv[] = { (char *)"/bin/sh", (char *)"-c", (char *)text, NULL };

	s.argv = argv;
	run_spec(&s, x, 0);
}

static const char *text(struct ran *x)
{
	return x->e ? err_cause(x->e) : x->out.p;
}

/* ---- rows */

static const struct {
	const char *name, *script, *want;
	int status;
} sees[] = {
	{ "it is process 1", "echo $$", "1\n", 0 },
	{ "it is root", "id -u; id -g", "0\n0\n", 0 },
	{ "the environment is what was given, with HOME", "env | sort", "GREETING=hello\nHOME=/root\nPATH=/bin\nPWD=/\nSHLVL=1\n", 0 },
	{ "the working directory is /", "pwd", "/\n", 0 },
	{ "the host name", "hostname", "buildkitsandbox\n", 0 },
	{ "umask 022", "umask", "0022\n", 0 },
	{ "core dumps are off", "ulimit -c", "0\n", 0 },
	{ "stdin is /dev/null", "readlink /proc/self/fd/0", "/dev/null\n", 0 },
	{ "no descriptor but three", "ls /proc/self/fd | wc -l", "4\n", 0 },
	{ "/dev holds what it should", "ls /dev | tr '\\n' ' '", "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero ", 0 },
	{ "/dev/null swallows", "echo x > /dev/null && wc -c < /dev/null", "0\n", 0 },
	{ "/dev/zero and /dev/urandom give", "head -c 5 /dev/zero | wc -c; head -c 5 /dev/urandom | wc -c", "5\n5\n", 0 },
	{ "a device made by mknod cannot be used", "mknod /x b 8 0 2>/dev/null; mknod /dev/x c 1 5 2>/dev/null; cat /x 2>/dev/null || head -c1 /dev/x 2>/dev/null || echo no", "no\n", 0 },
	{ "/proc shows its own processes only", "n=$(ls /proc | grep -c '^[0-9]'); [ $n -ge 1 ] && [ $n -le 4 ] && echo few", "few\n", 0 },
	{ "kcore is masked", "wc -c < /proc/keys; test ! -s /proc/kcore && echo empty", "0\nempty\n", 0 },
	{ "firmware is masked", "ls /sys/firmware | wc -l", "0\n", 0 },
	{ "/proc/sys is read-only", "echo 1 > /proc/sys/kernel/panic || echo no", "no\n", 0 },
	{ "/proc/sysrq-trigger is read-only", "echo h > /proc/sysrq-trigger || echo no", "no\n", 0 },
	{ "/sys is read-only", "mkdir /sys/fs/cgroup/x 2>/dev/null || mkdir /sys/x 2>/dev/null || echo no", "no\n", 0 },
	{ "resolv.conf is read-only", "echo x > /etc/resolv.conf || echo no", "no\n", 0 },
	{ "hosts names the step", "grep -c buildkitsandbox /etc/hosts", "1\n", 0 },
	{ "mount is refused", "mount -t tmpfs x /mnt || echo no", "no\n", 0 },
	{ "unshare is refused", "unshare -m true || echo no", "no\n", 0 },
	{ "chroot is allowed", "chroot / echo yes", "yes\n", 0 },
	{ "chown works", "touch /f && chown 5:6 /f && stat -c %u:%g /f", "5:6\n", 0 },
	{ "capabilities are the usual fourteen", "grep CapEff /proc/self/status | cut -f2", "00000000a80425fb\n", 0 },
	{ "inheritable and ambient are empty", "grep -E 'CapInh|CapAmb' /proc/self/status | cut -f2 | uniq", "0000000000000000\n", 0 },
	{ "a seccomp filter is there", "grep Seccomp: /proc/self/status | cut -f2", "2\n", 0 },
	{ "no_new_privs is off", "grep NoNewPrivs /proc/self/status | cut -f2", "0\n", 0 },
	{ "signals are default", "grep -E 'SigBlk|SigIgn' /proc/self/status | cut -f2 | uniq", "0000000000000000\n", 0 },
	{ "no supplementary groups of the host", "id -G", "0\n", 0 },
	{ "no terminal", "cat /dev/tty 2>/dev/null || echo no", "no\n", 0 },
	{ "the old root is not reachable", "ls /proc/1/root/ | tr '\\n' ' '; cat /proc/self/mountinfo | grep -c ' /tmp/'", "bin dangling dev etc lib proc root sys tmp toproc toroot 0\n", 1 },
	{ "the monitor's descriptors are not there", "ls -l /proc/1/fd | grep -c socket", "0\n", 1 },
	{ "stdout can be reopened", "echo again > /dev/stdout", "again\n", 0 },
	{ "a pseudo terminal can be made", "test -c /dev/ptmx && echo yes", "yes\n", 0 },
	{ "shm is there, sticky", "stat -c %a /dev/shm", "1777\n", 0 },
	{ "exit status 3", "exit 3", "", 3 },
	{ "exit status 255", "exit 255", "", 255 },
	{ "a signal is 128 and its number", "sh -c 'kill -TERM $$'; exit $?", "", 143 },
	{ "not found is 127", "nosuchthing 2>/dev/null", "", 127 },
};

/* Inside a container that masks its /proc, a step sees that one (executor.md 5.4). */
static bool outer_proc(void)
{
	static int known = -1;

	if (known < 0) {
		AUTO(answer_clear) struct answer a = { .done = false };

		call(PIDS, SLICE_NONE, NULL, 0, &a);
		known = a.out.n > 0;
	}
	return known;
}

static bool skip_outer(const char *name)
{
	if (outer_proc())
		printf("ok %d # SKIP %s: no new /proc can be mounted here\n", ++tap_run, name);
	return outer_proc();
}

/* With one id there is no other user to be. */
static bool skip_single(const char *name)
{
	const struct idmap *m = jobs_idmap(jobs, NULL);
	bool single = m && m->nuid == 1 && m->uid[0].count == 1;

	if (single)
		printf("ok %d # SKIP %s: one id only\n", ++tap_run, name);
	return single;
}

static void test_sees(void)
{
	for (size_t i = 0; i < countof(sees); i++) {
		AUTO(ran_clear) struct ran x = { .snap = "" };

		if (strstr(sees[i].script, "/proc/1/") || strstr(sees[i].script, "/proc/[0-9]"))
			if (skip_outer(sees[i].name))
				continue;

		if (strstr(sees[i].script, "chown") && skip_single(sees[i].name))
			continue;
		sh(sees[i].script, (struct run_spec){ .cwd = NULL }, &x);
		is_str(text(&x), sees[i].want, sees[i].name);
		if (x.e || x.r.status != sees[i].status) {
			ok(false, "%s: status %d, not %d: %s%s", sees[i].name, x.r.status, sees[i].status, x.err.p, x.e ? err_text(x.e) : "");
		}
	}
}

static const struct {
	const char *name, *argv[3];
	int status;
	const char *reason;
} execs[] = {
	{ "a program by name", { "true" }, 0, NULL },
	{ "a program by path", { "/bin/false" }, 1, NULL },
	{ "missing by name", { "nosuch" }, 127, "'nosuch' is not in PATH" },
	{ "missing by path", { "/nosuch" }, 127, "the image has no '/nosuch'" },
	{ "a directory", { "/etc" }, 126, "'/etc' is a directory" },
	{ "not executable", { "/etc/passwd" }, 126, "cannot execute '/etc/passwd': Permission denied" },
	{ "no interpreter", { "/bin/script" }, 127, "'/bin/script' needs the interpreter '/usr/bin/nosuch', which the image does not have" },
	{ "no format", { "/bin/text" }, 126, "'/bin/text' is neither a program nor a script with a '#!' line" },
	{ "the exe link of process 1 is a normal failure", { "/proc/1/exe" }, 126, "'/proc/1/exe' leads to /proc/self/exe, which is the builder's own program" },
};

static void test_execs(void)
{
	for (size_t i = 0; i < countof(execs); i++) {
		AUTO(ran_clear) struct ran x = { .snap = "" };
		struct run_spec s = { .argv = (char **)execs[i].argv };

		run_spec(&s, &x, 0);
		if (execs[i].reason || x.r.status <= 1)
			is_str(x.e ? err_cause(x.e) : x.r.reason, execs[i].reason, execs[i].name);
		else
			printf("# %s: %s\n", execs[i].name, x.e ? err_cause(x.e) : x.r.reason);
		if (execs[i].reason || execs[i].status < 2)
			is_int(x.r.status, execs[i].status, "its status");
	}
}

static const struct {
	const char *name, *user, *want;
} users[] = {
	{ "no user is root", "", "0 0 0" },
	{ "by name", "app", "1000 1000 1000 50" },
	{ "by number, with the groups of the line", "1000", "1000 1000 1000 50" },
	{ "by unknown number", "4242", "4242 0 0" },
	{ "with a group there are no others", "app:staff", "1000 50 50" },
	{ "numbers", "7:8", "7 8 8" },
	{ "an unknown name", "nobodyhere", "unable to find user nobodyhere: no matching entries in passwd file" },
	{ "an unknown group", "app:nogroup", "unable to find group nogroup: no matching entries in group file" },
	{ "a number that is too large", "99999999999", "user id '99999999999' is larger than 2147483647" },
	{ "a name of digits only is never looked up", "123", "123 0 0" },
	{ "malformed lines are skipped", "bad", "unable to find user bad: no matching entries in passwd file" },
	{ "the first line wins", "twice", "2001 2001 2001" },
};

static void test_users(void)
{
	AUTO(ran_clear) struct ran x = { .snap = "" };

	for (size_t i = 0; i < countof(users); i++) {
		AUTO(ran_clear) struct ran y = { .snap = "" };

		sh("echo -n $(id -u) $(id -g) $(id -G)", (struct run_spec){ .user = (char *)users[i].user }, &y);
		is_str(text(&y), users[i].want, users[i].name);
	}
	sh("grep CapEff /proc/self/status | cut -f2; echo $HOME; echo hi > /dev/stderr; touch /x 2>/dev/null || echo no; cat /root/secret 2>/dev/null || echo no",
	   (struct run_spec){ .user = (char *)"app" }, &x);
	is_str(text(&x), "0000000000000000\n/home/app\nno\nno\n", "a user has no capabilities, a home, and may not everything");
}

static void test_cwd(void)
{
	AUTO(ran_clear) struct ran x = { .snap = "" }, y = { .snap = "" }, z = { .snap = "" };

	sh("pwd; stat -c '%a %u' . ..", (struct run_spec){ .cwd = (char *)"/made/for me", .user = (char *)"app" }, &x);
	is_str(text(&x), "/made/for me\n755 1000\n755 1000\n", "a missing working directory is made, the user's");
	sh("true", (struct run_spec){ .cwd = (char *)"/etc/passwd" }, &y);
	ok(y.e && err_kind(y.e) == ERR_STEP, "a file is no working directory: %s", text(&y));
	sh("true", (struct run_spec){ .cwd = (char *)"/root", .user = (char *)"app" }, &z);
	ok(z.e && err_kind(z.e) == ERR_STEP, "one that the user may not enter: %s", text(&z));
}

static void test_net(void)
{
	AUTO(ran_clear) struct ran x = { .snap = "" }, y = { .snap = "" };

	sh("cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' \\n'; ifconfig lo | grep -c UP; ls /sys/class/net; wc -c < /etc/resolv.conf",
	   (struct run_spec){ .net = RUN_NET_NONE }, &x);
	is_str(text(&x), "lo1\nlo\n0\n", "network none has lo only, up, and no resolver");
	sh("cmp /etc/resolv.conf /etc/hosts >/dev/null || wc -l < /etc/hosts", (struct run_spec){ .net = RUN_NET_HOST }, &y);
	is_str(text(&y), "2\n", "network host");
}

static void test_private_net(void)
{
	AUTO(ran_clear) struct ran x = { .snap = "" };
	AUTO(mem_freep) char *pasta = proc_find("pasta");

	if (!pasta) {
		printf("ok %d # SKIP a private network: pasta is not installed\n", ++tap_run);
		return;
	}
	sh("head -1 /etc/resolv.conf; cut -d: -f1 /proc/net/dev | tail -n +3 | wc -l; grep -c 00000000 /proc/net/route; nc 127.0.0.1 1 || echo closed",
	   (struct run_spec){ .net = RUN_NET_PRIVATE }, &x);
	ok(!x.e && strncmp(text(&x), "nameserver 169.254.1.1\n2\n", 25) == 0 && strstr(text(&x), "closed"),
	   "a private network through pasta: %s", text(&x));
}

static bool upper_is(const char *snap, const char *want, const char *name)
{
	AUTO(answer_clear) struct answer a = { .done = false };
	AUTO(mem_freep) char *path = mem_printf("%s/%s/fs", store, snap);

	call(LIST, slice_of(path), NULL, 0, &a);
	return is_str(a.e ? err_cause(a.e) : a.out.p, want, name);
}

static void test_upper(void)
{
	AUTO(ran_clear) struct ran x = { .snap = "" }, y = { .snap = "" };

	sh("true", (struct run_spec){ .cwd = NULL }, &x);
	upper_is(x.snap, "", "nothing of the mount points is left in the upper");
	sh("rm /etc/gone; mkdir /new; echo x > /new/f", (struct run_spec){ .cwd = NULL }, &y);
	upper_is(y.snap, "d /etc\nc /etc/gone\nd /new\nf /new/f\n", "what a command changed is there");
}

static void touch_file(const char *path, const char *content, int mode)
{
	AUTO(mem_freep) char *full = mem_printf("%s/%s", store, path);
	int fd = openat(AT_FDCWD, full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	fd_write_all(fd, content, strlen(content), NULL);
	fchmod(fd, (mode_t)mode);
	close(fd);
}

static void make_dir(const char *path, int mode)
{
	AUTO(mem_freep) char *full = mem_printf("%s/%s", store, path);

	mkdir(full, (mode_t)mode);
	chmod(full, (mode_t)mode);
}

static void make_link(const char *to, const char *path)
{
	AUTO(mem_freep) char *full = mem_printf("%s/%s", store, path);

	if (symlink(to, full) < 0)
		printf("# symlink %s: %s\n", full, strerror(errno));
}

/* ---- mounts */

static void test_mounts(void)
{
	char *tool[] = { (char *)"layers/tool", NULL }, *both[] = { (char *)"layers/tool", (char *)"layers/tool2", NULL };
	struct run_mount m[] = {
		{ .kind = RUN_BIND, .target = (char *)"/tool", .lower = tool, .nlower = 1, .source = (char *)"sub", .readonly = true },
		{ .kind = RUN_BIND, .target = (char *)"/rw", .lower = both, .nlower = 2, .source = (char *)"" },
		{ .kind = RUN_BIND, .target = (char *)"/etc/one file", .lower = both, .nlower = 2, .source = (char *)"/sub/f", .readonly = true },
		{ .kind = RUN_TMPFS, .target = (char *)"/t", .size = 1 << 20 },
		{ .kind = RUN_SECRET, .target = (char *)"/run/secrets/s", .content = (char *)"geheim", .ncontent = 6, .mode = 0440, .uid = 3, .gid = 4 },
		{ .kind = RUN_SECRET, .target = (char *)"/run/secrets/absent" },
		{ .kind = RUN_FILE, .target = (char *)"/dev/pipes", .source = (char *)"EOF", .content = (char *)"#!/bin/sh\necho script\n", .ncontent = 22, .mode = 0755 },
		{ .kind = RUN_CACHE, .target = (char *)"/cache", .cache = (char *)"cache/c1", .has_perm = true, .mode = 0700, .uid = 5, .gid = 6 },
		{ .kind = RUN_CACHE, .target = (char *)"/cache/below", .cache = (char *)"cache/c2", .lock_exclusive = true },
		{ .kind = RUN_CACHE, .target = (char *)"/private", .cache = (char *)"cache/c3", .lock_private = true, .source = (char *)"deep/er" },
	};
	AUTO(ran_clear) struct ran x = { .snap = "" }, y = { .snap = "" };

	sh("cat /tool/f; echo no > /tool/f 2>/dev/null || echo ro; cat /rw/two; echo written > /rw/sub/f && cat /rw/sub/f; cat '/etc/one file';"
	   "stat -c '%a' /t; head -c 2000000 /dev/zero > /t/big 2>/dev/null || echo full; cat /run/secrets/s; stat -c ' %a %u %g' /run/secrets/s;"
	   "ls /run/secrets; /dev/pipes/EOF; stat -c '%a %u %g' /cache; echo kept > /cache/k; echo kept2 > /cache/below/k; echo p > /private/p",
	   (struct run_spec){ .mount = m, .nmount = countof(m) }, &x);
	is_str(text(&x), "tool\nro\ntwo\nwritten\ntool\n1777\nfull\ngeheim 440 3 4\ns\nscript\n700 5 6\n", "mounts of all kinds");
	if (x.err.n)
		printf("# %s\n", x.err.p);
	upper_is(x.snap, "d /etc\n", "and their targets are gone from the upper");
	sh("cat /cache/k /cache/below/k /private/p; ls /cache; cat /tool/f /rw/sub/f", (struct run_spec){ .mount = m, .nmount = countof(m) }, &y);
	is_str(text(&y), "kept\nkept2\np\nbelow\nk\ntool\ntool\n", "caches are kept, writes to a bind are not");
}

static const struct {
	const char *name, *target;
} refused[] = {
	{ "the root", "/" }, { "/proc", "/proc" }, { "below /proc", "/proc/x" }, { "/sys", "/sys" }, { "/dev", "/dev" },
	{ "a link to the root", "/toroot" }, { "a link to /proc", "/toproc" },
};

static void test_refused(void)
{
	for (size_t i = 0; i < countof(refused); i++) {
		AUTO(ran_clear) struct ran x = { .snap = "" };
		struct run_mount m = { .kind = RUN_TMPFS, .target = (char *)refused[i].target };

		sh("true", (struct run_spec){ .mount = &m, .nmount = 1 }, &x);
		ok(x.e && err_kind(x.e) == ERR_STEP, "no mount on %s: %s", refused[i].name, text(&x));
	}
}

static void test_bad_mounts(void)
{
	char *tool[] = { (char *)"layers/tool", NULL };
	struct run_mount missing = { .kind = RUN_BIND, .target = (char *)"/x", .lower = tool, .nlower = 1, .source = (char *)"nosuch", .readonly = true };
	struct run_mount wrong = { .kind = RUN_TMPFS, .target = (char *)"/etc/passwd" };
	struct run_mount away = { .kind = RUN_TMPFS, .target = (char *)"/dangling/x" };
	AUTO(ran_clear) struct ran x = { .snap = "" }, y = { .snap = "" }, z = { .snap = "" };

	sh("true", (struct run_spec){ .mount = &missing, .nmount = 1 }, &x);
	ok(x.e && err_kind(x.e) == ERR_INPUT, "a missing bind source: %s", text(&x));
	sh("true", (struct run_spec){ .mount = &wrong, .nmount = 1 }, &y);
	ok(y.e && err_kind(y.e) == ERR_STEP, "a directory on a file: %s", text(&y));
	sh("ls -d /far/away/x; touch /dangling/x/f", (struct run_spec){ .mount = &away, .nmount = 1 }, &z);
	is_str(text(&z), "/far/away/x\n", "a link to nowhere is followed inside the root");
	upper_is(z.snap, "", "and all that was made is removed");
}

/* ---- an agent: busybox cannot speak to a UNIX socket, so this program goes into a layer, with its libraries */

static void copy_file(const char *from, const char *to)
{
	AUTO(mem_freep) char *full = mem_printf("%s/%s", store, to);
	AUTO(buf_freep) struct buf bytes = BUF_MAX(64 << 20);
	AUTO(fd_closep) int in = openat(AT_FDCWD, from, O_RDONLY | O_CLOEXEC);
	AUTO(fd_closep) int out = openat(AT_FDCWD, full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	if (in < 0 || out < 0 || fd_read_all(in, &bytes, NULL) < 0 || fd_write_all(out, bytes.p, bytes.n, NULL) < 0)
		printf("# cannot copy %s\n", from);
	fchmod(out, 0755);
}

static int copy_library(struct dl_phdr_info *info, size_t size, void *arg)
{
	const char *path = info->dlpi_name;

	if (path[0] == '/') {
		AUTO(mem_freep) char *to = mem_printf("layers/self/lib/%s", strstr(path, "/ld-") ? "ld.so" : strrchr(path, '/') + 1);

		copy_file(path, to);
	}
	return 0;
}

static void make_self_layer(void)
{
	make_dir("layers/self", 0755);
	make_dir("layers/self/lib", 0755);
	copy_file("/proc/self/exe", "layers/self/lib/self");
	dl_iterate_phdr(copy_library, NULL);
}

/* What the program does inside the step. */
static int agent_client(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char block[100];
	ssize_t n = 0;

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (connect(s, (struct sockaddr *)&a, sizeof(a)) < 0 || write(s, "sign", 4) != 4 || (n = read(s, block, sizeof(block))) < 0)
		return 1;
	return write(1, block, (size_t)n) == n ? 0 : 1;
}

static void agent_serve(int s)
{
	for (;;) {
		int c = accept4(s, NULL, NULL, SOCK_CLOEXEC);
		char block[100] = "key:";
		ssize_t n = read(c, block + 4, sizeof(block) - 4);

		if (n > 0)
			(void)!write(c, block, (size_t)n + 4);
		close(c);
	}
}

static void test_ssh(void)
{
	static char *lower[] = { (char *)"layers/base", (char *)"layers/self", NULL };
	AUTO(ran_clear) struct ran x = { .snap = "" }, y = { .snap = "" };
	AUTO(mem_freep) char *path = mem_printf("%s/agent", store);
	struct run_mount m = { .kind = RUN_SSH, .target = (char *)"/run/agent.0", .socket = path, .mode = 0600, .uid = 1000, .gid = 1000 };
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	unlink(path);
	if (bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s, 5) < 0)
		printf("# %s\n", strerror(errno));
	pid = fork();
	if (pid == 0)
		agent_serve(s);
	close(s);
	sh("stat -c '%a %u' /run/agent.0; exec /lib/ld.so --library-path /lib /lib/self --client /run/agent.0",
	   (struct run_spec){ .mount = &m, .nmount = 1, .user = (char *)"app", .lower = lower, .nlower = 2 }, &x);
	is_str(text(&x), "600 1000\nkey:sign", "an ssh socket for the step's user");
	if (x.err.n)
		printf("# %s\n", x.err.p);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	sh("true", (struct run_spec){ .mount = &m, .nmount = 1 }, &y);
	ok(y.e && err_kind(y.e) == ERR_LIMIT, "no agent: %s", text(&y));
}

/* ---- hostile roots */

static void test_hostile(void)
{
	static char *etc[] = { (char *)"layers/base", (char *)"layers/evil-etc", NULL };
	static char *proc[] = { (char *)"layers/base", (char *)"layers/evil-proc", NULL };
	static char *dev[] = { (char *)"layers/base", (char *)"layers/evil-dev", NULL };
	static char *bare[] = { (char *)"layers/bare", NULL };
	static char *none[] = { NULL };
	AUTO(ran_clear) struct ran x = { .snap = "" }, y = { .snap = "" }, z = { .snap = "" }, u = { .snap = "" }, v = { .snap = "" },
				   w = { .snap = "" };
	struct stat st;

	sh("ls -d /elsewhere; cat /etc/hosts | grep -c localhost", (struct run_spec){ .lower = etc, .nlower = 2 }, &x);
	is_str(text(&x), "/elsewhere\n2\n", "/etc -> /elsewhere stays inside the root");
	ok(stat("/elsewhere", &st) < 0, "and makes nothing on the host");
	sh("true", (struct run_spec){ .lower = proc, .nlower = 2 }, &y);
	ok(y.e && err_kind(y.e) == ERR_STEP, "/proc as a link: %s", text(&y));
	sh("true", (struct run_spec){ .lower = dev, .nlower = 2 }, &z);
	ok(z.e && err_kind(z.e) == ERR_STEP, "/dev as a file: %s", text(&z));
	sh("id -u; echo $HOME", (struct run_spec){ .lower = bare, .nlower = 1 }, &u);
	is_str(text(&u), "0\n/\n", "no /etc/passwd");
	upper_is(u.snap, "", "and nothing is left of made /etc, /dev, /proc, /sys");
	sh("true", (struct run_spec){ .lower = bare, .nlower = 1, .user = (char *)"app" }, &v);
	ok(v.e && err_kind(v.e) == ERR_STEP, "a user without a passwd file: %s", text(&v));
	sh("true", (struct run_spec){ .lower = none, .nlower = 0 }, &w);
	is_int(w.r.status, 127, "an empty root");
	is_str(w.e ? err_cause(w.e) : w.r.reason, "the image has no /bin/sh", "says what is missing");
}

/* ---- ends */

/* The id of a mount and where it is: "36 35 98:0 /root /mnt ..." */
static void mount_name(struct slice line, struct slice *id, struct slice *at)
{
	struct slice rest = line, skipped;

	slice_cut(rest, ' ', id, &rest);
	for (int i = 0; i < 3; i++)
		slice_cut(rest, ' ', &skipped, &rest);
	slice_cut(rest, ' ', at, &rest);
}

/* Lines of after that are of no mount in before. What was there may go meanwhile: the namespace has copies of the host's mounts, and one
 * whose directory somebody removes is gone here too. */
static void mounts_added(struct slice before, struct slice after, struct buf *ret)
{
	struct slice line, old, id, at, old_id, old_at;

	buf_str(ret, "");
	while (slice_cut(after, '\n', &line, &after)) {
		struct slice rest = before;
		bool was = false;

		mount_name(line, &id, &at);
		while (!was && slice_cut(rest, '\n', &old, &rest)) {
			mount_name(old, &old_id, &old_at);
			was = slice_equal(id, old_id) && slice_equal(at, old_at);
		}
		if (!was)
			buf_printf(ret, "%.*s\n", SLICE_F(line));
	}
}

static void test_ends(void)
{
	AUTO(buf_freep) struct buf added = BUF_MAX(1 << 20);
	AUTO(ran_clear) struct ran x = { .snap = "" }, y = { .snap = "" }, z = { .snap = "" };
	AUTO(answer_clear) struct answer before = { .done = false }, after = { .done = false }, pids = { .done = false };
	char *sleep[] = { (char *)"/bin/sleep", (char *)"100", NULL };
	struct run_spec s = { .argv = sleep };
	int64_t t0 = clock_ns();

	call(MOUNTS, SLICE_NONE, NULL, 0, &before);
	run_spec(&s, &x, 30);
	ok(x.e && clock_ns() - t0 < 1000000000, "a cancelled step ends at once: %s", text(&x));
	s = (struct run_spec){ .argv = sleep, .timeout_s = 1 };
	run_spec(&s, &y, 0);
	ok(y.r.status == 124 && y.r.timed_out, "a time limit");
	sh("(sleep 1000 &) ; (setsid sleep 1000 &); kill -9 $$; echo still", (struct run_spec){ .cwd = NULL }, &z);
	is_str(text(&z), "still\n", "process 1 cannot kill itself");
	call(PIDS, SLICE_NONE, NULL, 0, &pids);
	if (!skip_outer("no process is left"))
		is_str(pids.e ? "" : pids.out.p, "", "no process is left");
	call(MOUNTS, SLICE_NONE, NULL, 0, &after);
	mounts_added(buf_view(&before.out), buf_view(&after.out), &added);
	is_str(added.p, "", "no mount is left");
}

static void test_all_codes(void)
{
	unsigned good = 0;

	for (int i = 0; i < 256; i += 5) {
		AUTO(ran_clear) struct ran x = { .snap = "" };
		char script[32];

		snprintf(script, sizeof(script), "exit %d", i);
		sh(script, (struct run_spec){ .cwd = NULL }, &x);
		good += !x.e && x.r.status == i;
	}
	is_int(good, 52, "exit codes from 0 to 255");
}

static void test_limits(void)
{
	char *some[] = { (char *)"nofile=100:200", (char *)"core=0", NULL }, *wrong[] = { (char *)"nosuch=1", NULL };
	AUTO(ran_clear) struct ran x = { .snap = "" }, y = { .snap = "" };

	sh("ulimit -n; ulimit -Hn", (struct run_spec){ .ulimit = some }, &x);
	is_str(text(&x), "100\n200\n", "limits");
	sh("true", (struct run_spec){ .ulimit = wrong }, &y);
	is_str(text(&y), "unknown limit 'nosuch'", "an unknown one");
}

static void test_insecure(void)
{
	AUTO(ran_clear) struct ran x = { .snap = "" };

	sh("mkdir -p /mnt; mount -t tmpfs x /mnt && echo mounted; grep Seccomp: /proc/self/status | cut -f2", (struct run_spec){ .insecure = true }, &x);
	is_str(text(&x), "mounted\n0\n", "an insecure step may mount");
}

static void test_speed(void)
{
	char *argv[] = { (char *)"/bin/true", NULL };
	int64_t best = INT64_MAX, t0, all = clock_ns();

	for (int i = 0; i < 50; i++) {
		AUTO(ran_clear) struct ran x = { .snap = "" };
		struct run_spec s = { .argv = argv };

		t0 = clock_ns();
		run_spec(&s, &x, 0);
		if (clock_ns() - t0 < best)
			best = clock_ns() - t0;
	}
	printf("# RUN true: %.2f ms at best, %.2f ms on average\n", (double)best / 1e6, (double)(clock_ns() - all) / 50e6);
}

/* ---- */

static void make_store(void)
{
	static const char *const tools[] = { "sh", "true", "false", "ls", "cat", "echo", "id", "env", "sort", "hostname", "readlink", "wc", "tr",
		"head", "tail", "mknod", "stat", "chown", "touch", "grep", "cut", "uniq", "mkdir", "rm", "mount", "unshare", "chroot", "sleep",
		"setsid", "kill", "ifconfig", "cmp", "nc", "test", "pwd" };
	static const char *const dirs[] = { "layers", "tmp", "cache", "layers/base", "layers/base/bin", "layers/base/etc", "layers/base/lib",
		"layers/base/root", "layers/base/tmp", "layers/tool", "layers/tool/sub", "layers/tool2", "layers/evil-etc", "layers/evil-proc",
		"layers/evil-dev", "layers/bare", "layers/bare/bin" };

	snprintf(store, sizeof(store), "/tmp/kiln-run-XXXXXX");
	if (!mkdtemp(store))
		exit(1);
	for (size_t i = 0; i < countof(dirs); i++)
		make_dir(dirs[i], 0755);
	make_dir("layers/base/root", 0700);
	for (int k = 0; k < 2; k++) {
		AUTO(mem_freep) char *to = mem_printf("%s/layers/%s/bin/busybox", store, k ? "bare" : "base");
		AUTO(buf_freep) struct buf box = BUF_MAX(8 << 20);
		int fd = openat(AT_FDCWD, "/bin/busybox", O_RDONLY | O_CLOEXEC);

		fd_read_all(fd, &box, NULL);
		close(fd);
		fd = openat(AT_FDCWD, to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
		fd_write_all(fd, box.p, box.n, NULL);
		fchmod(fd, 0755);
		close(fd);
	}
	for (size_t i = 0; i < countof(tools); i++) {
		AUTO(mem_freep) char *at = mem_printf("layers/base/bin/%s", tools[i]);
		AUTO(mem_freep) char *bare = mem_printf("layers/bare/bin/%s", tools[i]);

		make_link("busybox", at);
		make_link("busybox", bare);
	}
	touch_file("layers/base/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nbad:x:nine:1::/:\nbad2\n:::\napp:x:1000:1000::/home/app:/bin/sh\n"
		   "twice:x:2001:2001::/a:/b\ntwice:x:2002:2002::/a:/b\n", 0644);
	touch_file("layers/base/etc/group", "root:x:0:\napp:x:1000:\nstaff:x:50:x,app\n", 0644);
	touch_file("layers/base/etc/gone", "x", 0644);
	touch_file("layers/base/bin/script", "#!/usr/bin/nosuch\n", 0755);
	touch_file("layers/base/bin/text", "no format\n", 0755);
	touch_file("layers/tool/sub/f", "tool\n", 0644);
	touch_file("layers/tool2/two", "two\n", 0644);
	make_link("/", "layers/base/toroot");
	make_link("proc", "layers/base/toproc");
	make_link("/far/away", "layers/base/dangling");
	make_link("/elsewhere", "layers/evil-etc/etc");
	make_link("/", "layers/evil-proc/proc");
	touch_file("layers/evil-dev/dev", "x", 0644);
}

static void tests(void)
{
	test_sees();
	test_execs();
	if (!skip_single("users of the image")) {
		test_users();
		test_cwd();
	}
	test_net();
	test_private_net();
	test_upper();
	if (!skip_single("mounts with owners")) {
		test_mounts();
		test_ssh();
	}
	test_refused();
	test_bad_mounts();
	test_hostile();
	test_limits();
	test_insecure();
	test_ends();
	test_all_codes();
	test_speed();
}

int main(int argc, char **argv)
{
	struct err *e = NULL;

	zygote_main(argc, argv, rows, countof(rows));
	if (argc == 3 && strcmp(argv[1], "--client") == 0)
		return agent_client(argv[2]);
	signal(SIGPIPE, SIG_IGN);
	umask(022);
	if (access("/bin/busybox", X_OK) < 0) {
		printf("1..0 # SKIP busybox-static is not installed\n");
		return getenv("MUST") != NULL;
	}
	loop = loop_new(&e);
	jobs = jobs_new(loop, rows, countof(rows), &e);
	make_store();
	make_self_layer();

	for (int i = 1; i < (argc > 1 ? argc : 2); i++) {
		AUTO(answer_clear) struct answer a = { .done = false };
		AUTO(buf_freep) struct buf in = BUF_MAX(1000);

		wire_put_str(&in, store);
		wire_put_str(&in, "tmp/probe");
		wire_put_str(&in, argc > 1 ? argv[i] : "overlay");
		call(CHOOSE, buf_view(&in), NULL, 0, &a);
		if (a.e) {
			printf("ok %d # SKIP %s\n", ++tap_run, err_cause(a.e));
			printf("# %s\n", jobs_idmap(jobs, &e) ? jobs_idmap(jobs, &e)->why : "");
			continue;
		}
		driver = argc > 1 ? argv[i] : "overlay";
		/* A failed helper is known by now. */
		printf("# driver %s; %s\n", driver, jobs_idmap(jobs, &e)->why);
		tests();
	}

	AUTO(answer_clear) struct answer a = { .done = false };

	call(RMTREE, slice_of(store + strlen("/tmp/")), NULL, 0, &a);
	ok(!a.e, "the store can be removed %s", a.e ? err_cause(a.e) : "");
	jobs_free(jobs);
	loop_free(loop);
	err_free(e);
	return done_testing();
}
