/* tests/unit/job.c - jobs in forks of this process and of the zygote. The program is its own zygote. */
#include "base/clock.h"
#include "base/fd.h"
#include "base/idmap.h"
#include "base/job.h"
#include "base/mem.h"
#include "base/proc.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int row_echo(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	buf_slice(out, in);
	return 0;
}

/* Two numbers about this process, and the text of its first fd. */
static int row_facts(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	job_tell(self, 7, SLICE_LIT("started"));
	for (size_t i = 0; i < nfds; i++)
		if (fd_write_all(fds[i], "hello", 5, e) < 0)
			return -1;
	buf_printf(out, "%u:%u dumpable %d session %d", (unsigned)geteuid(), (unsigned)getegid(),
		   prctl(PR_GET_DUMPABLE), getsid(0) != getppid());
	return 0;
}

static int row_fail(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	err_errno(e, ERR_LIMIT, ENOENT, "cannot find '%.*s'", SLICE_F(in));
	return err_wrap(e, "cannot do it");
}

static int row_die(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	kill(getpid(), SIGKILL);
	return 0;
}

static int row_sleep(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	job_tell(self, 1, SLICE_NONE);
	for (;;)
		pause();
	return 0;
}

static int row_wait(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	struct pollfd f = { job_fd(self), POLLIN, 0 };

	job_graceful(self);
	job_tell(self, 1, SLICE_NONE);
	poll(&f, 1, -1);
	return fd_write_all(fds[0], "tidied", 6, e);
}

static int row_orphan(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out,
		      struct err **e)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (fork() == 0)
			for (;;)
				pause();          /* holds fds[0] for ever */
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return 0;
}

/* The names of all open fds. */
static int row_fds(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	for (int i = 0; i < 256; i++)
		if (fcntl(i, F_GETFD) >= 0)
			buf_printf(out, "%d ", i);
	return 0;
}

static int row_address(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out,
		       struct err **e)
{
	const char *const *p;

	memcpy(&p, in.p, sizeof(p));
	buf_str(out, *p);
	return 0;
}

/* Who did what before the job came. */
struct ahead {
	pid_t once, ahead;
	int64_t when;
};

static void *ahead_once(void)
{
	struct ahead *a = mem_zalloc(sizeof(*a));

	a->once = getpid();
	return a;
}

static void *ahead_ahead(void *once)
{
	struct ahead *a = once;

	a->ahead = getpid();
	a->when = clock_ns();
	return a;
}

static int row_ahead(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	const struct ahead *a = job_ahead(self);
	int64_t asked = 0;

	if (in.n == sizeof(asked))
		memcpy(&asked, in.p, sizeof(asked));
	if (!a)
		buf_str(out, "nothing");
	else if (a->once != getppid() || a->ahead != getpid())
		buf_str(out, "by somebody else");
	else
		buf_str(out, a->when < asked ? "before it was asked for" : "when it was asked for");
	return 0;
}

enum { ECHO, FACTS, FAIL, DIE, SLEEP, WAIT, ORPHAN, FDS, ADDRESS, AHEAD };
static const struct job_row rows[] = {
	[ECHO] = { .name = "echo", .run = row_echo },
	[FACTS] = { .name = "facts", .run = row_facts },
	[FAIL] = { .name = "fail", .run = row_fail },
	[DIE] = { .name = "die", .run = row_die },
	[SLEEP] = { .name = "sleep", .run = row_sleep },
	[WAIT] = { .name = "wait", .run = row_wait },
	[ORPHAN] = { .name = "orphan", .run = row_orphan },
	[FDS] = { .name = "fds", .run = row_fds },
	[ADDRESS] = { .name = "address", .run = row_address },
	[AHEAD] = { .name = "ahead", .run = row_ahead, .once = ahead_once, .ahead = ahead_ahead },
};

struct seen {
	bool done, event;
	struct buf out;
	struct err *e;
	struct job *job;
	bool cancel;          /* at the first event */
	bool all;
};

static void on_done(void *arg, struct slice out, struct err *e)
{
	struct seen *s = arg;

	s->done = true;
	s->out = (struct buf)BUF_MAX(JOB_MAX);
	buf_slice(&s->out, out);
	s->e = e;
}

static void on_event(void *arg, uint32_t kind, struct slice payload)
{
	struct seen *s = arg;

	s->event = true;
	if (s->cancel)
		job_cancel(s->job);
}

static void seen_clear(struct seen *s)
{
	buf_free(&s->out);
	err_free(s->e);
	*s = (struct seen){ .done = false };
}

static void run(struct jobs *j, struct loop *l, enum job_where where, unsigned row, struct slice in, const int *fds,
		size_t nfds, struct seen *s)
{
	struct err *e = NULL;

	if (job_start(j, where, row, in, fds, nfds, on_event, on_done, s, &s->job, &e) < 0) {
		on_done(s, SLICE_NONE, e);
		return;
	}
	loop_until(l, &s->done, &s->e);
}

static const char *text(struct seen *s)
{
	return s->e ? err_cause(s->e) : s->out.p ? s->out.p : "";
}

static void test_where(struct jobs *j, struct loop *l, enum job_where where, const char *word)
{
	AUTO(seen_clear) struct seen s = { .done = false };
	AUTO(buf_freep) struct buf got = BUF_MAX(100);
	static char big[3000000];
	int p[2];

	run(j, l, where, ECHO, SLICE_LIT("abc"), NULL, 0, &s);
	is_str(text(&s), "abc", "a job answers");
	seen_clear(&s);

	memset(big, 'x', sizeof(big));
	run(j, l, where, ECHO, (struct slice){ big, sizeof(big) }, NULL, 0, &s);
	ok(s.out.n == sizeof(big) && memcmp(s.out.p, big, sizeof(big)) == 0, "three megabytes there and back (%s)", word);
	seen_clear(&s);

	fd_pipe(p, NULL);
	run(j, l, where, FACTS, SLICE_NONE, &p[1], 1, &s);
	ok(s.event, "an event arrives (%s): %s", word, text(&s));
	close(p[1]);
	fd_read_all(p[0], &got, NULL);
	close(p[0]);
	is_str(got.p, "hello", "it has the fd");
	if (where == JOB_MAPPED)
		ok(strncmp(text(&s), "0:0 dumpable 0", 14) == 0, "a mapped job is 0:0 and not dumpable: %s", text(&s));
	seen_clear(&s);

	run(j, l, where, FAIL, SLICE_LIT("it"), NULL, 0, &s);
	ok(s.e && err_kind(s.e) == ERR_LIMIT && err_errnum(s.e) == ENOENT, "an error arrives whole (%s)", word);
	is_str(s.e ? err_text(s.e) : "", "cannot do it", "with its sentences");
	seen_clear(&s);

	run(j, l, where, DIE, SLICE_NONE, NULL, 0, &s);
	is_str(text(&s), "die ended unexpectedly (signal 9, Killed)", "a death is told with its signal");
	seen_clear(&s);

	int64_t t0 = clock_ns();

	s.cancel = true;
	run(j, l, where, SLEEP, SLICE_NONE, NULL, 0, &s);
	is_str(text(&s), "sleep was cancelled", "a sleeping job is cancelled");
	ok(clock_ns() - t0 < 1000000000, "at once (%s)", word);
	seen_clear(&s);
}

/* The process of a row's next job is there before the job, with what it makes ahead. */
static void test_ahead(struct jobs *j, struct loop *l)
{
	AUTO(seen_clear) struct seen s = { .done = false };
	int64_t now = clock_ns();

	run(j, l, JOB_LOCAL, AHEAD, SLICE_NONE, NULL, 0, &s);
	is_str(text(&s), "nothing", "nothing is made ahead for a local job");
	seen_clear(&s);
	run(j, l, JOB_MAPPED, AHEAD, (struct slice){ (const char *)&now, sizeof(now) }, NULL, 0, &s);
	is_str(text(&s), "when it was asked for", "the first job of a row makes it itself");
	jobs_ahead(j, AHEAD);
	jobs_ahead(j, AHEAD);
	for (int i = 0; i < 200 && strcmp(text(&s), "before it was asked for") != 0; i++) {
		jobs_ahead(j, AHEAD);
		usleep(20000);
		seen_clear(&s);
		now = clock_ns();
		run(j, l, JOB_MAPPED, AHEAD, (struct slice){ (const char *)&now, sizeof(now) }, NULL, 0, &s);
	}
	is_str(text(&s), "before it was asked for", "the next one finds it");
}

static void test_graceful(struct jobs *j, struct loop *l)
{
	AUTO(seen_clear) struct seen s = { .cancel = true };
	AUTO(buf_freep) struct buf got = BUF_MAX(100);
	int p[2];

	fd_pipe(p, NULL);
	run(j, l, JOB_MAPPED, WAIT, SLICE_NONE, &p[1], 1, &s);
	close(p[1]);
	fd_read_all(p[0], &got, NULL);
	close(p[0]);
	is_str(got.p, "tidied", "a graceful job has time to tidy up");
}

static void test_fds(struct jobs *j, struct loop *l)
{
	AUTO(seen_clear) struct seen s = { .done = false };
	AUTO(fd_closep) int leak = openat(AT_FDCWD, "/dev/null", O_RDONLY);       /* deliberately inheritable */
	AUTO(fd_closep) int leak2 = fcntl(leak, F_DUPFD, 40);
	struct err *e = NULL;

	/* A fresh zygote: nothing but its three, its socket, the signals; here the job's socket. */
	struct jobs *other = jobs_new(l, rows, countof(rows), &e);

	run(other, l, JOB_MAPPED, FDS, SLICE_NONE, NULL, 0, &s);
	jobs_free(other);
	ok(leak2 >= 40 && s.out.n && s.out.n <= strlen("0 1 2 10 "), "L7 no fd of the main process in a worker: %s", text(&s));
}

static void test_speed(struct jobs *j, struct loop *l)
{
	int64_t t0 = clock_ns();

	for (int i = 0; i < 200; i++) {
		AUTO(seen_clear) struct seen s = { .done = false };

		run(j, l, JOB_MAPPED, ECHO, SLICE_LIT("x"), NULL, 0, &s);
	}
	printf("# %.0f us for an empty mapped job\n", (double)(clock_ns() - t0) / 200 / 1000);
}

static void test_many(struct jobs *j, struct loop *l)
{
	static struct seen s[60];
	struct err *e = NULL;
	unsigned good = 0;

	for (size_t i = 0; i < countof(s); i++)
		job_start(j, i & 1 ? JOB_LOCAL : JOB_MAPPED, ECHO, SLICE_LIT("many"), NULL, 0, NULL, on_done, &s[i], NULL, &e);
	loop_run(l, &e);
	for (size_t i = 0; i < countof(s); i++) {
		good += s[i].done && strcmp(text(&s[i]), "many") == 0;
		seen_clear(&s[i]);
	}
	is_int(good, countof(s), "sixty at once, and the loop ends when no job is left");
}

static void test_leftovers(struct loop *l)
{
	AUTO(seen_clear) struct seen s = { .done = false };
	struct err *e = NULL;
	struct jobs *j = jobs_new(l, rows, countof(rows), &e);
	struct pollfd f = { .events = POLLIN };
	int p[2];

	fd_pipe(p, NULL);
	run(j, l, JOB_MAPPED, ORPHAN, SLICE_NONE, &p[1], 1, &s);
	close(p[1]);
	f.fd = p[0];
	ok(poll(&f, 1, 50) == 0, "an orphan of a job is there");
	jobs_free(j);
	ok(poll(&f, 1, 2000) == 1 && f.revents & POLLHUP, "and ends with the zygote");
	close(p[0]);
}

/* kill -9 of the main process: nobody may be left. */
static void test_main_killed(void)
{
	struct pollfd f = { .events = POLLIN };
	int p[2];
	pid_t pid;

	fd_pipe(p, NULL);
	pid = fork();
	if (pid == 0) {
		struct err *e = NULL;
		struct loop *l = loop_new(&e);
		struct jobs *j = jobs_new(l, rows, countof(rows), &e);
		struct seen s = { .done = false }, t = { .done = false };

		close(p[0]);
		run(j, l, JOB_MAPPED, ORPHAN, SLICE_NONE, &p[1], 1, &s);
		job_start(j, JOB_MAPPED, SLEEP, SLICE_NONE, &p[1], 1, on_event, on_done, &t, NULL, &e);
		job_start(j, JOB_LOCAL, SLEEP, SLICE_NONE, &p[1], 1, on_event, on_done, &t, NULL, &e);
		loop_until(l, &t.event, &e);
		usleep(100000);
		kill(getpid(), SIGKILL);
	}
	close(p[1]);
	waitpid(pid, NULL, 0);
	f.fd = p[0];
	ok(poll(&f, 1, 3000) == 1 && f.revents & POLLHUP, "after kill -9 of the main process nothing is left");
	close(p[0]);
}

static void test_zygote_killed(struct loop *l)
{
	AUTO(seen_clear) struct seen s = { .done = false };
	AUTO(seen_clear) struct seen t = { .done = false };
	AUTO(buf_freep) struct buf kids = BUF_MAX(1000);
	struct err *e = NULL;
	struct jobs *j = jobs_new(l, rows, countof(rows), &e);
	AUTO(mem_freep) char *path = mem_printf("/proc/self/task/%d/children", (int)getpid());
	AUTO(fd_closep) int fd = -1;

	job_start(j, JOB_MAPPED, SLEEP, SLICE_NONE, NULL, 0, on_event, on_done, &s, NULL, &e);
	loop_until(l, &s.event, &e);
	fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	fd_read_all(fd, &kids, NULL);
	/* The newest child is this zygote. */
	char *last = kids.p, *save = kids.p;

	while ((save = strchr(save, ' ')) && save[1])
		last = ++save;
	kill((pid_t)strtol(last, NULL, 10), SIGKILL);
	loop_until(l, &s.done, &e);
	is_str(text(&s), "sleep ended unexpectedly: the build's helper process was killed by signal 9",
	       "a dead zygote fails its jobs with the cause");
	run(j, l, JOB_MAPPED, ECHO, SLICE_NONE, NULL, 0, &t);
	is_str(text(&t), "the build's helper process was killed by signal 9", "and none is started anew");
	jobs_free(j);
}

static int told;

static void on_idmap(void *arg, const struct idmap *m)
{
	told += m->how == IDMAP_SINGLE;
}

/* A newuidmap that refuses: one id, but not behind the back of who was told otherwise. */
static void test_refused_map(struct loop *l)
{
	AUTO(mem_freep) char *path = mem_printf("/tmp/kiln-bin-XXXXXX:%s", getenv("PATH"));
	AUTO(mem_freep) char *before = mem_str(getenv("PATH"));
	AUTO(seen_clear) struct seen s = { .done = false }, t = { .done = false }, u = { .done = false };
	char dir[] = "/tmp/kiln-bin-XXXXXX", file[64];
	struct err *e = NULL;
	struct jobs *j = jobs_new(l, rows, countof(rows), &e);
	int fd;

	if (!mkdtemp(dir))
		return;
	memcpy(path, dir, strlen(dir));
	snprintf(file, sizeof(file), "%s/newuidmap", dir);
	fd = openat(AT_FDCWD, file, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	fd_write_all(fd, "#!/bin/sh\necho no >&2; exit 1\n", 30, NULL);
	fchmod(fd, 04755);
	close(fd);
	setenv("PATH", path, 1);
	jobs_idmap(j, &e);
	run(j, l, JOB_MAPPED, ECHO, SLICE_LIT("x"), NULL, 0, &s);
	run(j, l, JOB_MAPPED, ECHO, SLICE_LIT("x"), NULL, 0, &t);
	ok(s.e && t.e, "a refused map fails jobs of those who saw another: %s", text(&s));
	jobs_free(j);
	j = jobs_new(l, rows, countof(rows), &e);
	jobs_idmap(j, &e);
	jobs_on_idmap(j, on_idmap, NULL);
	run(j, l, JOB_MAPPED, ECHO, SLICE_LIT("x"), NULL, 0, &u);
	ok(!u.e && told == 1, "or tells them");
	jobs_free(j);
	setenv("PATH", before, 1);
	unlink(file);
	rmdir(dir);
}

static void test_loop(void)
{
	struct err *e = NULL;
	struct loop *l = loop_new(&e);

	ok(loop_run(l, &e) == 0, "a loop without watches ends");
	loop_free(l);
}

static bool signalled;

static void on_signal(void *arg, int signo)
{
	signalled = signo == SIGTERM;
	loop_stop(arg);
}

static void on_timer(void *arg, short revents)
{
	bool *b = arg;

	*b = true;
}

static void test_timer(struct loop *l)
{
	bool fired = false, late = false;
	struct err *e = NULL;
	struct watch *w = loop_timer(l, 20, on_timer, &fired), *v = loop_timer(l, 100000, on_timer, &late);

	loop_until(l, &fired, &e);
	ok(fired && !late, "a timer fires");
	loop_drop(l, w);
	kill(getpid(), SIGTERM);
	loop_run(l, &e);
	ok(signalled, "a signal is read in the loop and loop_stop() ends it");
	loop_drop(l, v);
}

static void test_proc(void)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(1000);
	AUTO(mem_freep) char *sh = proc_find("sh");
	struct err *e = NULL;

	const char *cat[] = { sh, "-c", "cat; echo err >&2; env | grep -c SECRET; exit 3", NULL };
	const char *slow[] = { sh, "-c", "sleep 20", NULL };
	const char *none[] = { "/nonexistent", NULL };

	setenv("SECRET", "1", 1);
	is_int(proc_run(&(struct proc_run){ .argv = cat, .input = SLICE_LIT("in:"), .dir = -1, .out = &out }, &e), 3,
	       "a helper's status");
	is_str(out.p, "in:0\n", "its output, without the caller's environment");
	is_int(proc_run(&(struct proc_run){ .argv = slow, .dir = -1, .timeout_ms = 50 }, &e), -1, "a slow helper is ended");
	ok(e && err_kind(e) == ERR_TIMEOUT, "as a timeout: %s", err_text(e));
	err_free(take(&e));
	is_int(proc_run(&(struct proc_run){ .argv = none, .dir = -1 }, &e), -1, "a missing helper");
	ok(e && err_errnum(e) == ENOENT, "is told: %s", err_text(e));
	err_free(take(&e));
	ok(!proc_find("no-such-program-here"), "proc_find finds nothing");
}

int main(int argc, char **argv)
{
	struct err *e = NULL;

	zygote_main(argc, argv, rows, countof(rows));

	struct loop *l = loop_new(&e);
	struct jobs *j = jobs_new(l, rows, countof(rows), &e);
	AUTO(seen_clear) struct seen s = { .done = false };
	const char *address = "pointer";
	const char *const *at = &address;

	loop_signals(l, on_signal, l, &e);
	test_loop();
	test_proc();
	test_timer(l);
	test_where(j, l, JOB_LOCAL, "local");
	run(j, l, JOB_LOCAL, ADDRESS, (struct slice){ (const char *)&at, sizeof(at) }, NULL, 0, &s);
	is_str(text(&s), "pointer", "a local job inherits memory");
	seen_clear(&s);

	run(j, l, JOB_MAPPED, ECHO, SLICE_NONE, NULL, 0, &s);
	if (s.e) {
		printf("ok %d # SKIP no zygote here: %s\n", ++tap_run, text(&s));
		printf("# %s\n", jobs_idmap(j, &e)->why);
	} else {
		const struct idmap *m = jobs_idmap(j, &e);

		printf("# map: %d, %u uid lines, %s\n", m->how, m->nuid, m->why);
		test_where(j, l, JOB_MAPPED, "mapped");
		test_ahead(j, l);
		test_graceful(j, l);
		test_fds(j, l);
		test_many(j, l);
		test_speed(j, l);
		test_leftovers(l);
		test_main_killed();
		test_zygote_killed(l);
		if (m->how == IDMAP_HELPERS)
			test_refused_map(l);
	}
	seen_clear(&s);
	jobs_free(j);
	loop_free(l);
	err_free(e);
	return done_testing();
}
