/* build/op/run.c - RUN: a command in a root (spec/dockerfile.md 8; design.md 6 walks through one). */
#include "build/op/run.h"

#include <fcntl.h>
#include <poll.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"
#include "build/sched.h"
#include "build/trees.h"
#include "build/work.h"
#include "layers/snap.h"
#include "parser/diag.h"

/* ---- evaluation */

static void argv_eval(struct eval *ev, const struct instr *in, struct run *r)
{
	size_t nshell = in->json ? 0 : config_list_count(ev->image, "Shell");

	r->argv = arena_alloc(ev->arena, (in->narg + nshell + 4) * sizeof(*r->argv));
	for (size_t i = 0; in->json && i < in->narg; i++)
		r->argv[r->argc++] = in->arg[i].text;
	if (in->json)
		return;
	for (size_t i = 0; i < nshell; i++)
		r->argv[r->argc++] = arena_str(ev->arena, slice_of(config_list_at(ev->image, "Shell", i)));
	if (nshell == 0) {
		r->argv[r->argc++] = "/bin/sh";
		r->argv[r->argc++] = "-c";
	}
	/* A sole here-document that names its interpreter becomes a file (2.9.4). */
	if (in->sole_doc && slice_starts(in->doc[0].content, "#!")) {
		r->script_name = in->doc[0].name;
		r->script = in->doc[0].content;
		r->argv[r->argc++] = eval_printf(ev, "/dev/pipes/%s", r->script_name);
	} else {
		r->argv[r->argc++] = in->run_text ? in->run_text : "";
	}
}

static int history(struct eval *ev, const struct run *r, const char **ret, struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(32 << 20);

	buf_str(&b, "RUN ");
	if (ev->arg.n)
		buf_printf(&b, "|%zu ", ev->arg.n);
	for (size_t i = 0; i < ev->arg.n; i++) {
		const struct var *arg = &ev->arg.v[i];
		const char *now = eval_get(ev, arg->key);
		const char *value = now ? now : arg->value;

		buf_printf(&b, "%s=%s ", arg->key, value ? value : "");
	}
	for (size_t i = 0; i < r->argc; i++)
		buf_printf(&b, "%s ", r->argv[i]);
	buf_str(&b, "# buildkit");
	*ret = arena_str(ev->arena, buf_view(&b));
	return buf_ok(&b, "the command", e);
}

static void env_add(struct eval *ev, const char ***v, size_t *n, const char *key, const char *value)
{
	const char **grown = arena_alloc(ev->arena, (*n + 1) * sizeof(*grown));

	if (*n)
		memcpy(grown, *v, *n * sizeof(*grown));
	grown[(*n)++] = eval_printf(ev, "%s=%s", key, value);
	*v = grown;
}

/* In any case, but as it stands here in the first place. */
static const char *proxy_of(const struct strs *list, const char *name)
{
	const char *other = NULL;
	size_t n = strlen(name);

	for (size_t i = list->n; i-- > 0;) {
		if (strncasecmp(list->v[i], name, n) != 0 || list->v[i][n] != '=')
			continue;
		if (strncmp(list->v[i], name, n) == 0)
			return list->v[i] + n + 1;
		other = other ? other : list->v[i] + n + 1;
	}
	return other;
}

static void env_eval(struct eval *ev, struct run *r)
{
	static const char *const proxy[] = { "http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy" };

	r->env = arena_alloc(ev->arena, (ev->var.n + 2) * sizeof(*r->env));
	for (size_t i = 0; i < ev->var.n; i++)
		if (ev->var.v[i].key)
			r->env[r->nenv++] = eval_printf(ev, "%s=%s", ev->var.v[i].key, ev->var.v[i].value);
	for (size_t i = 0; i < countof(proxy); i++) {
		AUTO(mem_freep) char *upper = mem_str(proxy[i]);
		const char *value = proxy_of(&ev->plan->req->build_args, proxy[i]);

		for (char *c = upper; *c; c++)
			*c = (char)(*c >= 'a' ? *c - 32 : *c);
		if (!value)
			value = proxy_of(&ev->plan->req->run.proxies, proxy[i]);
		if (!value || !*value)
			continue;
		env_add(ev, &r->extra, &r->nextra, upper, value);
		env_add(ev, &r->extra, &r->nextra, proxy[i], value);
	}
}

static int modes_eval(struct eval *ev, const struct instr *in, struct run *r, struct err **e)
{
	const struct build_req *q = ev->plan->req;
	const struct flag *net = instr_flag(in, "network"), *sec = instr_flag(in, "security");
	const char *host = plan_build_arg(ev->plan, "BUILDKIT_SANDBOX_HOSTNAME");
	bool wide_host = !q->network || strcmp(q->network, "default") == 0 || strcmp(q->network, "host") == 0;

	r->net = wide_host ? RUN_NET_HOST : strcmp(q->network, "none") == 0 ? RUN_NET_NONE : RUN_NET_PRIVATE;
	if (net && net->value && strcmp(net->value, "none") == 0)
		r->net = RUN_NET_NONE;
	if (net && net->value && strcmp(net->value, "host") == 0) {
		if (!wide_host && !run_allowed(ev->plan, "network.host"))
			return run_refuse(ev, net, "network.host", e);
		r->net = RUN_NET_HOST;
	}
	r->insecure = sec && sec->value && strcmp(sec->value, "insecure") == 0;
	if (r->insecure && !run_allowed(ev->plan, "security.insecure"))
		return run_refuse(ev, sec, "security.insecure", e);
	r->hostname = q->hostname ? q->hostname : host ? host : "buildkitsandbox";
	return run_devices_eval(ev, in, r, e);
}

/* 3.7: the variable of a secret is not shown, whatever the image has by its name. */
static void hide_secrets(struct eval *ev, struct run *r)
{
	const char **name = arena_alloc(ev->arena, (r->nmount + 1) * sizeof(*name));
	size_t n = 0;

	for (size_t i = 0; i < r->nmount; i++)
		if (r->mount[i].o.type == MOUNT_SECRET && r->mount[i].o.env)
			name[n++] = r->mount[i].o.env;
	if (n)
		step_title(ev, r->s, name, n);
}

static int run_eval(struct eval *ev, const struct instr *in, struct err **e)
{
	struct run *r = arena_alloc(ev->arena, sizeof(*r));
	const char *line;

	argv_eval(ev, in, r);
	env_eval(ev, r);
	if (modes_eval(ev, in, r, e) < 0 || run_mounts_eval(ev, in, r, e) < 0 || history(ev, r, &line, e) < 0)
		return -1;
	r->s = eval_step(ev, in, line, r);
	hide_secrets(ev, r);
	return run_mounts_deps(ev, in, r, e);
}

/* ---- running */

/* Its worker needs no names of the store any more. */
static void run_open(struct run *r)
{
	if (r->mounting) {
		r->mounting = false;
		sched_mounting(r->s, false);
	}
}

/* While the command runs there is time for what the next one needs. */
static void run_next(struct run *r)
{
	if (!sched_ahead(r->s) && sched_more(r->s))
		jobs_ahead(step_app(r->s)->jobs, WORK_RUN);
}

/* As people know it from BuildKit; a long script is cut, the excerpt shows where it is. */
static char *argv_text(const struct run *r)
{
	enum { SHOWN = 1000 };
	AUTO(buf_freep) struct buf b = BUF_MAX(SHOWN + 16);

	for (size_t i = 0; i < r->argc; i++) {
		size_t n = strlen(r->argv[i]), room = SHOWN - b.n;

		buf_printf(&b, "%s%.*s", i ? " " : "", (int)(n < room ? n : room), r->argv[i]);
		if (n > room || b.n >= SHOWN) {
			buf_str(&b, " ...");
			break;
		}
	}
	return mem_strn(b.p, b.n);
}

static void command_failed(struct run *r)
{
	AUTO(mem_freep) char *text = argv_text(r);
	struct err *e = NULL;

	if (r->result.timed_out)
		err_set(&e, ERR_TIMEOUT, "timed out");
	else if (r->result.oom)
		err_set(&e, ERR_STEP, "%s", r->result.reason ? r->result.reason : "out of memory");
	else if (r->result.reason)
		err_set(&e, ERR_STEP, "%s", r->result.reason);
	if (e)
		err_wrap(&e, "process \"%s\" did not complete successfully: exit code: %d", text, r->result.status);
	else
		err_set(&e, ERR_STEP, "process \"%s\" did not complete successfully: exit code: %d", text, r->result.status);
	if (app_disk_full(step_app(r->s)))
		err_hint(&e, "the disk of the store '%s' is full: free some space, for example with 'kiln prune'", store_path(step_app(r->s)->store));
	step_failed(r->s, e);
}

static void pack_done(void *arg, struct slice out, struct err *e)
{
	struct run *r = arg;

	step_pack_answer(r->s, out, e, (struct step_made){ .tmp = r->s->tmp, .comp = r->comp, .level = r->level, .tree = true });
}

/* Everything below is committed: the layer can be told from what it lies on. */
static void pack_start(struct step *s)
{
	struct run *r = s->data;
	AUTO(buf_freep) struct buf b = BUF_MAX(JOB_MAX);
	const struct digest *lower;
	struct err *e = NULL;
	size_t n;

	/* What stays here is compressed when it is first pushed, if ever; but its directory does not tell the times that were changed. */
	if (step_leaves(s) || step_clamp(s) != INT64_MAX)
		r->comp = step_comp(s, &r->level);
	if (step_lower(s, &lower, &n, &e) == 0) {
		struct pack_job q = {
			.store = store_path(step_app(s)->store), .dir = s->frozen, .tmp = s->tmp, .lower = lower, .nlower = n,
			.comp = r->comp, .level = r->level, .listing = true, .clamp = step_clamp(s),
			.retime = step_req(s)->retime,
		};

		pack_job_put(&b, &q);
		if (job_start(step_app(s)->jobs, JOB_MAPPED, WORK_PACK, buf_view(&b), NULL, 0, NULL, pack_done, r, &s->job, &e) == 0) {
			step_packing(s, r->comp);
			return;
		}
	}
	step_failed(s, e);
}

/* The command is over when its job has answered and both pipes are at their end. */
static void run_check(struct run *r)
{
	struct step *s = r->s;

	if (!r->ended || r->out[0] >= 0 || r->out[1] >= 0)
		return;
	run_open(r);
	s->job = NULL;
	if (r->e) {
		run_mounts_failed(r, &r->e);
		step_failed(s, take(&r->e));
	} else if (r->result.status != 0) {
		command_failed(r);
	} else {
		snprintf(s->frozen, sizeof(s->frozen), "%s/fs", s->tmp);
		s->resume = pack_start;
		step_frozen(s);
	}
	mem_freep(&r->result.reason);
}

static void leave_cgroup(struct run *r)
{
	char *why = step_cgroup_end(r->s, &r->cgroup);

	if (!why)
		return;
	free(r->result.reason);
	r->result.reason = why;
	r->result.oom = true;
}

/* It was ready for nothing. */
static void ahead_gone(struct run *r)
{
	r->waits = NULL;
	/* What is at its end already is not watched any more. */
	for (int i = 0; i < 2; i++) {
		if (r->out[i] >= 0)
			loop_drop(step_app(r->s)->loop, r->watch[i]);
		fd_closep(&r->out[i]);
	}
	run_open(r);
	step_not_ahead(r->s);
}

static void run_done(void *arg, struct slice out, struct err *e)
{
	struct run *r = arg;

	if (r->waits) {
		err_free(e);
		leave_cgroup(r);
		ahead_gone(r);
		return;
	}
	if (!e)
		run_result_get(out, &r->result, &e);
	leave_cgroup(r);
	r->e = e;
	r->ended = true;
	run_check(r);
}

static void run_event(void *arg, uint32_t kind, struct slice payload)
{
	struct run *r = arg;

	if (kind == RUN_READY) {
		run_next(r);
	} else if (kind == RUN_OPEN) {
		r->open = true;
		if (r->go)
			job_go(r->s->job);
		run_open(r);
	}
}

static void run_readable(struct run *r, int i)
{
	char buf[32768];
	ssize_t n = fd_read(r->out[i], buf, sizeof(buf), NULL);

	if (n > 0) {
		step_output(r->s, i + 1, (struct slice){ buf, (size_t)n });
		return;
	}
	loop_drop(step_app(r->s)->loop, r->watch[i]);
	fd_closep(&r->out[i]);
	r->out[i] = -1;
	run_check(r);
}

static void run_stdout(void *arg, short revents)
{
	run_readable(arg, 0);
}

static void run_stderr(void *arg, short revents)
{
	run_readable(arg, 1);
}

/* The worker has its own copy of the directories. */
static void run_forget(struct run *r)
{
	strs_clear(&r->lower);
	for (size_t i = 0; i < r->nmount; i++)
		strs_clear(&r->mount[i].dirs);
}

/* ret: its job. waits: it does not go on before it is told to. */
static int run_start(struct run *r, bool waits, struct job **ret, struct err **e)
{
	struct app *a = step_app(r->s);
	AUTO(buf_freep) struct buf spec = BUF_MAX(JOB_MAX);
	int out[2] = { -1, -1 }, err[2] = { -1, -1 };
	int rc = -1;

	r->out[0] = r->out[1] = -1;
	if (app_disk_full(a)) {
		err_set(e, ERR_HOST, "the disk of the store '%s' is full", store_path(a->store));
		return err_hint(e, "free some space, for example with 'kiln prune'");
	}
	if (step_cgroup(r->s, &r->cgroup, e) < 0)
		return -1;
	if (run_spec_of(r, waits, &spec, e) < 0 || fd_pipe(out, e) < 0 || fd_pipe(err, e) < 0) {
		leave_cgroup(r);
		mem_wipe(spec.p, spec.n);
		fd_closep(&out[0]);
		fd_closep(&out[1]);
		return -1;
	}
	fcntl(out[1], F_SETPIPE_SZ, 1 << 20);
	fcntl(err[1], F_SETPIPE_SZ, 1 << 20);
	r->mounting = true;
	r->open = r->go = false;
	sched_mounting(r->s, true);
	int fds[4] = { out[1], err[1] };
	size_t nfds = 2;
	if (step_req(r->s)->run.use_stdin)
		fds[nfds++] = STDIN_FILENO;
	if (r->cgroup.path)
		fds[nfds++] = r->cgroup.procs;
	rc = job_start(a->jobs, JOB_MAPPED, WORK_RUN, buf_view(&spec), fds, nfds, run_event, run_done, r, ret, e);
	mem_wipe(spec.p, spec.n);
	run_forget(r);
	fd_closep(&out[1]);
	fd_closep(&err[1]);
	if (rc < 0) {
		fd_closep(&out[0]);
		fd_closep(&err[0]);
		leave_cgroup(r);
		r->mounting = false;
		sched_mounting(r->s, false);
		return -1;
	}
	r->out[0] = out[0];
	r->out[1] = err[0];
	r->watch[0] = loop_fd(a->loop, r->out[0], POLLIN, run_stdout, r);
	r->watch[1] = loop_fd(a->loop, r->out[1], POLLIN, run_stderr, r);
	return 0;
}

/* ---- what has to be there before the start: the driver, the directories below, those of the mounts */

static void lower_ask(struct run *r);

static void run_not_started(struct run *r)
{
	run_forget(r);
	step_failed(r->s, take(&r->e));
}

static void lower_arrived(void *arg, char **dirs, size_t n, struct err *e)
{
	struct run *r = arg;

	r->e = e;
	/* Unpacking takes a while: something else may have failed meanwhile. */
	if (!r->e && sched_ending(r->s))
		err_set(&r->e, ERR_HOST, "the build ended before it was started");
	if (!r->e && !r->asking) {
		lower_ask(r);
		return;
	}
	if (!r->e) {
		trees_stack(&r->lower, dirs, n);
		if (run_start(r, false, &r->s->job, &r->e) == 0)
			return;
	}
	run_not_started(r);
}

/* The last question before the start: a frozen parent is renamed when it is committed, so names may not be older than this. If
 * something had to be unpacked for the answer, it is asked again. */
static void lower_ask(struct run *r)
{
	r->asking = true;
	if (step_dirs(r->s, lower_arrived, r, &r->e) < 0)
		run_not_started(r);
	r->asking = false;
}

static void run_arrived(struct run *r, struct err *e)
{
	if (r->e)
		err_free(e);
	else
		r->e = e;
	if (--r->pending)
		return;
	if (r->e)
		run_not_started(r);
	else
		lower_ask(r);
}

static void unpacked(void *arg, char **dirs, size_t n, struct err *e)
{
	run_arrived(arg, e);
}

struct mount_wait {
	struct run *r;
	struct run_input *m;
};

static void mount_arrived(void *arg, char **dirs, size_t n, struct err *e)
{
	struct mount_wait *w = arg;

	trees_stack(&w->m->dirs, dirs, n);
	run_arrived(w->r, e);
}

static void driver_arrived(void *arg, const char *driver, struct err *e)
{
	struct run *r = arg;

	r->driver = driver;
	run_arrived(r, e);
}

/* ---- ready before the step below has ended */

struct ahead_wait {
	struct run *r;
	bool now, started;
};

static void ahead_arrived(void *arg, char **dirs, size_t n, struct err *e)
{
	struct ahead_wait *w = arg;
	struct run *r = w->r;

	/* Not now: something has to be unpacked. Then it starts in its turn. */
	if (!e && w->now) {
		trees_stack(&r->lower, dirs, n);
		w->started = run_start(r, true, &r->waits, &e) == 0;
		run_forget(r);
	}
	err_free(e);
}

/* Mounts wait for locks and other stages, and a driver that is a program needs names: those start in their turn. */
static bool run_ahead(struct step *s)
{
	struct run *r = s->data;
	const struct run *below = s->parent->data;
	struct ahead_wait *w = arena_alloc(&s->plan->arena, sizeof(*w));
	struct err *e = NULL;

	if (r->nmount || r->ndevice || r->net == RUN_NET_PRIVATE || step_req(s)->run.nvolume || step_req(s)->run.use_stdin ||
	    s->parent->in->id != INSTR_RUN || !snap_find(below->driver)->by_fd || store_tmp(step_app(s)->store, s->tmp, NULL) < 0)
		return false;
	r->driver = below->driver;
	*w = (struct ahead_wait){ .r = r, .now = true };
	step_dirs(s, ahead_arrived, w, &e);
	w->now = false;
	err_free(e);
	if (!w->started) {
		store_tmp_drop(step_app(s)->store, s->tmp);
		s->tmp[0] = '\0';
	}
	return w->started;
}

static void run_ahead_off(struct step *s)
{
	struct run *r = s->data;

	job_cancel(r->waits);
}

static int run_exec(struct step *s, struct err **e)
{
	struct run *r = s->data;

	if (r->waits) {
		s->job = take(&r->waits);
		r->go = true;
		if (r->open)
			job_go(s->job);
		return 0;
	}
	if (run_mounts_given(r, e) < 0 || run_devices_given(r, e) < 0)
		return -1;
	r->pending = 1;          /* ours, so that nothing starts before all were asked for */
	if (store_tmp(step_app(s)->store, s->tmp, e) < 0)
		return -1;
	r->pending++;
	if (app_driver(step_app(s), driver_arrived, r, &r->e) < 0)
		r->pending--;
	for (size_t i = 0; i < r->nmount && !r->e; i++) {
		struct mount_wait *w = arena_alloc(&s->plan->arena, sizeof(*w));

		if (!r->mount[i].tree || r->mount[i].tree->kind == TREE_SCRATCH)
			continue;
		*w = (struct mount_wait){ r, &r->mount[i] };
		r->pending++;
		if (tree_dirs(s, r->mount[i].tree, mount_arrived, w, &r->e) < 0)
			r->pending--;
	}
	if (!r->e) {
		r->pending++;
		if (step_dirs(s, unpacked, r, &r->e) < 0)
			r->pending--;
	}
	run_arrived(r, NULL);
	return 0;
}

const struct op op_RUN = { .eval = run_eval, .key = run_key, .exec = run_exec, .ahead = run_ahead, .ahead_off = run_ahead_off };
