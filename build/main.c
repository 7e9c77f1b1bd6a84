/* build/main.c - start of the program: a sane process, the command line, one command, one error, the exit status. */
#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "build/cgroup.h"
#include "build/imagestore.h"
#include "build/sshagent.h"
#include "build/cmd/cmd.h"
#include "build/trees.h"
#include "build/ui/ui.h"
#include "build/work.h"
#include "registry/hide.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

/* spec/threats.md X1. Nothing is trusted yet, so messages go out without the ui. */
static int process_start(mode_t *ret_umask, struct err **e)
{
	const struct rlimit none = { 0, 0 };
	char cap[64];

	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		int null = fd_open_host("/dev/null", O_RDWR, 0, e);
		if (null != fd || fcntl(fd, F_SETFD, 0) < 0)
			return err_set(e, ERR_HOST, "cannot open /dev/null in place of a closed descriptor");
	}
	if (getuid() != geteuid() || getgid() != getegid() || getxattr("/proc/self/exe", "security.capability", cap, sizeof(cap)) > 0) {
		err_set(e, ERR_HOST, "this program was made setuid, setgid or got file capabilities, and refuses to run so");
		return err_hint(e, "it needs no privilege: chmod ug-s, or setcap -r");
	}
	*ret_umask = umask(077);
	/* Descriptors of the caller stay usable (a file as /dev/fd/63), but no child gets them. Kernels before 5.11 do not know the flag. */
	syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
	/* No image of our memory on disk: it may hold secrets. */
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	return 0;
}

enum { SAME_SIGNAL_NS = 200000000 };

struct run {
	struct app app;
	int64_t interrupted_at;
	struct ui *ui;
	struct common_opts common;
	void *opts;
	const struct cmd *cmd;
	struct strs pos, warnings;
};

/* The first signal ends work in order, the second at once. timeout(1) sends one to the process and one to its group: in one breath they
 * are one.
 */
static void on_signal(void *arg, int signo)
{
	struct run *r = arg;

	if (r->app.interrupted) {
		if (clock_ns() - r->interrupted_at > SAME_SIGNAL_NS)
			_exit(128 + signo);
		return;
	}
	r->app.interrupted = signo;
	r->interrupted_at = clock_ns();
	loop_stop(r->app.loop);
}

static int parse(struct run *r, char **argv, struct err **e)
{
	struct opt_set sets[OPTS_SETS + 1] = { { common_table, &r->common } };
	size_t first = 0;
	int rc = opts_parse(sets, argv, &r->pos, &r->warnings, &first, e);

	if (rc != 0)
		return rc;
	if (!argv[first]) {
		err_set(e, ERR_USAGE, "no command was given");
		return err_hint(e, "'kiln help' lists the commands; 'kiln build .' builds the current directory");
	}
	r->cmd = cmd_find(argv[first]);
	if (!r->cmd)
		return cmd_unknown(argv[first], e);
	argv += first + 1;
	if (r->cmd->flags & CMD_RAW) {
		for (; *argv; argv++)
			strs_add(&r->pos, *argv);
		return 0;
	}
	size_t n = 0;
	if (r->cmd->opts) {
		r->opts = r->cmd->defaults ? mem_dup(r->cmd->defaults, r->cmd->opts_size) : mem_zalloc(r->cmd->opts_size);
		sets[n++] = (struct opt_set){ r->cmd->opts, r->opts };
	}
	sets[n] = (struct opt_set){ common_table, &r->common };
	return opts_parse(sets, argv, &r->pos, &r->warnings, NULL, e);
}

/* An environment that asks another tool for a form we do not have is no mistake of this command line. */
static const char *progress_of(const struct run *r)
{
	static const char *const known[] = { "auto", "tty", "plain", "json", "rawjson", "quiet", "none" };
	const char *env = getenv("BUILDKIT_PROGRESS");

	if (r->common.progress)
		return r->common.progress;
	for (size_t i = 0; env && i < countof(known); i++)
		if (strcmp(env, known[i]) == 0)
			return strcmp(env, "tty") == 0 && !isatty(STDERR_FILENO) ? "auto" : env;
	return "auto";
}

static int start(struct run *r, struct err **e)
{
	struct app *a = &r->app;

	if (ui_new(progress_of(r), STDERR_FILENO, r->common.debug, &r->ui, e) < 0)
		return -1;
	a->report = ui_report(r->ui);
	a->root = r->common.root;
	a->driver = r->common.driver ? r->common.driver : "auto";
	a->debug = r->common.debug;
	limits_init(&a->limits);
	for (size_t i = 0; i < r->common.limits.n; i++)
		if (limits_set(&a->limits, r->common.limits.v[i], e) < 0)
			return -1;
	a->next_id = 1;
	if (!(r->cmd->flags & CMD_STORE))
		return 0;
	a->loop = loop_new(e);
	if (!a->loop)
		return -1;
	a->jobs = jobs_new(a->loop, work_table, WORK_COUNT, e);
	if (!a->jobs)
		return -1;
	if ((r->cmd->flags & CMD_WORK) != CMD_WORK)
		return 0;
	if (loop_signals(a->loop, on_signal, r, e) < 0)
		return -1;
	ui_loop(r->ui, a->loop);
	return 0;
}

/* Trees of steps that failed may be large and belong to subordinate ids. Who builds without an error is not kept waiting for it, nor is
 * the error. */
static void clean_up(struct run *r)
{
	if (r->app.store && !r->app.interrupted && (r->cmd->flags & CMD_WORK) == CMD_WORK && store_has_trash(r->app.store))
		imagestore_empty_trash(&r->app, NULL);
}

/* In the order in which they need each other; what still runs is killed here. */
static void stop(struct run *r)
{
	struct app *a = &r->app;
	const struct opt_set sets[OPTS_SETS] = { { r->cmd ? r->cmd->opts : NULL, r->opts } };

	jobs_free(a->jobs);
	cgroup_free(a->cgroup);
	ssh_agents_end(a);
	trees_free(a->trees);
	store_close(a->store);
	if (r->opts)
		opts_clear(sets);
	free(r->opts);
	strs_clear(&r->common.limits);
	strs_clear(&r->pos);
	strs_clear(&r->warnings);
	if (r->ui)
		ui_end(r->ui);
	loop_free(a->loop);
	ui_free(r->ui);
}

static int help(const struct run *r, struct err **e)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(1 << 20);

	cmd_usage(r->cmd, &out);
	return cmd_print(&out, e);
}

static int run(struct run *r, char **argv, struct err **e)
{
	if (argv[0] && !argv[1] && strcmp(argv[0], "--version") == 0)
		return cmd_version.run(&r->app, NULL, &r->pos, e);
	int rc = parse(r, argv, e);
	if (rc == OPTS_HELP)
		return help(r, e);
	if (rc < 0 || start(r, e) < 0)
		return -1;
	for (size_t i = 0; i < r->warnings.n; i++)
		report_note(r->app.report, REPORT_WARNING, "%s", r->warnings.v[i]);
	return r->cmd->run(&r->app, r->opts, &r->pos, e);
}

/* Before there is a ui: a mistake on the command line. */
static void print_error(const struct err *e)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(1 << 20);

	AUTO(buf_freep) struct buf text = BUF_MAX(1 << 20);

	err_print(e, &text);
	buf_str(&out, "error: ");
	hide_credentials(buf_view(&text), &out);
	fd_write_all(STDERR_FILENO, out.p, out.n, NULL);
}

int main(int argc, char **argv)
{
	AUTO(err_freep) struct err *e = NULL;
	struct run r = { 0 };

	zygote_main(argc, argv, work_table, WORK_COUNT);
	int rc = process_start(&r.app.umask, &e);
	if (rc == 0)
		rc = run(&r, argc > 0 ? argv + 1 : argv, &e);
	int status = rc < 0 ? err_status(e) : rc;
	/* Interrupted is what the user asked for; what failed on the way down is not worth a word. */
	if (r.app.interrupted) {
		status = 128 + r.app.interrupted;
		if (r.ui)
			report_note(r.app.report, REPORT_NOTE, "stopped: %s", strsignal(r.app.interrupted));
	} else if (rc < 0 && r.ui) {
		ui_error(r.ui, e);
		clean_up(&r);
	} else if (rc < 0) {
		print_error(e);
	}
	stop(&r);
	return status;
}
