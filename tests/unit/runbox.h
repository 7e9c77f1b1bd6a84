/* tests/unit/runbox.h - commands in a root of busybox: each runs in a fresh upper on the layer "layers/base" of a store of its own. */
#pragma once
#include "base/clock.h"
#include "base/fd.h"
#include "base/idmap.h"
#include "base/mem.h"
#include "build/exec/run.h"
#include "layers/snap.h"
#include "tests/tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static inline int rmtree_job(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	AUTO(mem_freep) char *name = mem_strn(in.p, in.n);
	AUTO(fd_closep) int dir = openat(AT_FDCWD, "/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return at_rmtree(dir, name, e);
}

/* A listing of a directory as the build's root sees it: type, mode, owner, device, name. */
static inline void list(int dir, const char *prefix, struct buf *out)
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

static inline int list_job(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
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
static inline int mounts_job(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	AUTO(fd_closep) int fd = openat(AT_FDCWD, "/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);

	return fd_read_all(fd, out, e);
}

/* pids in the zygote's namespace, without itself and the zygote */
static inline int pids_job(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
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

static inline void on_done(void *arg, struct slice out, struct err *e)
{
	struct answer *a = arg;

	a->out = (struct buf)BUF_MAX(JOB_MAX);
	buf_str(&a->out, "");
	buf_slice(&a->out, out);
	a->e = e;
	a->done = true;
}

static inline void on_cancel(void *arg, short revents)
{
	job_cancel(arg);
}

static inline void on_event(void *arg, uint32_t kind, struct slice payload)
{
	struct answer *a = arg;

	if (kind == RUN_READY && a->cancel_ms)
		loop_timer(loop, a->cancel_ms, on_cancel, a->job);
}

static inline void answer_clear(struct answer *a)
{
	buf_free(&a->out);
	err_free(a->e);
	*a = (struct answer){ .done = false };
}

static inline void call(unsigned row, struct slice in, const int *fds, size_t nfds, struct answer *a)
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

static inline void ran_clear(struct ran *x)
{
	buf_free(&x->out);
	buf_free(&x->err);
	err_free(x->e);
	free(x->r.reason);
	*x = (struct ran){ .snap = "" };
}

static inline void run_spec(struct run_spec *s, struct ran *x, int cancel_ms)
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

static inline void sh(const char *text, struct run_spec s, struct ran *x)
{
	char *argv[] = { (char *)"/bin/sh", (char *)"-c", (char *)text, NULL };

	s.argv = argv;
	run_spec(&s, x, 0);
}

static inline const char *text(struct ran *x)
{
	return x->e ? err_cause(x->e) : x->out.p;
}

/* Inside a container that masks its /proc, a step sees that one (executor.md 5.4). */
static inline bool outer_proc(void)
{
	static int known = -1;

	if (known < 0) {
		AUTO(answer_clear) struct answer a = { .done = false };

		call(PIDS, SLICE_NONE, NULL, 0, &a);
		known = a.out.n > 0;
	}
	return known;
}

static inline bool skip_outer(const char *name)
{
	if (outer_proc())
		printf("ok %d # SKIP %s: no new /proc can be mounted here\n", ++tap_run, name);
	return outer_proc();
}

/* With one id there is no other user to be. */
static inline bool skip_single(const char *name)
{
	const struct idmap *m = jobs_idmap(jobs, NULL);
	bool single = m && m->nuid == 1 && m->uid[0].count == 1;

	if (single)
		printf("ok %d # SKIP %s: one id only\n", ++tap_run, name);
	return single;
}

static inline bool upper_is(const char *snap, const char *want, const char *name)
{
	AUTO(answer_clear) struct answer a = { .done = false };
	AUTO(mem_freep) char *path = mem_printf("%s/%s/fs", store, snap);

	call(LIST, slice_of(path), NULL, 0, &a);
	return is_str(a.e ? err_cause(a.e) : a.out.p, want, name);
}

static inline void touch_file(const char *path, const char *content, int mode)
{
	AUTO(mem_freep) char *full = mem_printf("%s/%s", store, path);
	int fd = openat(AT_FDCWD, full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	fd_write_all(fd, content, strlen(content), NULL);
	fchmod(fd, (mode_t)mode);
	close(fd);
}

static inline void make_dir(const char *path, int mode)
{
	AUTO(mem_freep) char *full = mem_printf("%s/%s", store, path);

	mkdir(full, (mode_t)mode);
	chmod(full, (mode_t)mode);
}

static inline void make_link(const char *to, const char *path)
{
	AUTO(mem_freep) char *full = mem_printf("%s/%s", store, path);

	if (symlink(to, full) < 0)
		printf("# symlink %s: %s\n", full, strerror(errno));
}

static inline void make_store(void)
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

/* tests() with each driver that argv names, or the kernel's overlay; the program is its own zygote. */
static inline int runbox_main(int argc, char **argv, void (*tests)(void))
{
	struct err *e = NULL;

	zygote_main(argc, argv, rows, countof(rows));
	signal(SIGPIPE, SIG_IGN);
	umask(022);
	if (access("/bin/busybox", X_OK) < 0) {
		printf("1..0 # SKIP busybox-static is not installed\n");
		return getenv("MUST") != NULL;
	}
	loop = loop_new(&e);
	jobs = jobs_new(loop, rows, countof(rows), &e);
	make_store();

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
