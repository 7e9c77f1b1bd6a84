/* build/op/workdir.c - WORKDIR: remember a directory and make sure it exists (spec/dockerfile.md 6.1, 7.7).
 *
 * The layer is written from what the listings say: no root is mounted. Existing parents are repeated with their attributes, missing
 * directories are 0755 and owned by USER (the lax algorithm of 6.2).
 */
#include <fcntl.h>

#include "base/clock.h"
#include "base/mem.h"
#include "build/plan.h"
#include "build/work.h"
#include "parser/ignore.h"

struct workdir {
	const char *path;                /* without "..": what the config keeps as written is made by its lexical meaning */
};

static int workdir_eval(struct eval *ev, const struct instr *in, struct err **e)
{
	struct workdir *w = arena_alloc(ev->arena, sizeof(*w));
	AUTO(buf_freep) struct buf clean = BUF_MAX(1 << 20);
	const char *v;

	if (eval_expand(ev, in, in->arg[0].text, in->arg[0].at, &v, e) < 0)
		return -1;
	AUTO(mem_freep) char *joined = v[0] == '/' ? mem_str(v) : mem_printf("%s/%s", eval_cwd(ev), v);
	if (v[0] != '/' && *v && !ev->stage->workdir_set)
		lint_report(&ev->plan->lint, LINT_WorkdirRelativePath, in, in->at,
			    "Relative workdir \"%s\" can have unexpected results if the base image changes", v);
	path_clean(slice_of(joined), &clean);
	w->path = arena_str(ev->arena, buf_view(&clean));
	ev->stage->workdir_set = true;
	config_text_set(ev->image, "WorkingDir", v[0] == '/' ? v : w->path);
	const char *line = eval_printf(ev, "WORKDIR %s", eval_cwd(ev));
	if (strcmp(w->path, "/") == 0)
		eval_history(ev, line);
	else
		eval_step(ev, in, line, w);
	return 0;
}

static int owner_of(struct step *s, struct view *v, uint32_t *uid, uint32_t *gid, struct err **e)
{
	*uid = *gid = 0;
	return *s->user ? view_owner(v, s->user, view_depth(v) == 0, uid, gid, e) : 0;
}

static int workdir_key(struct step *s, struct keyer *k, struct err **e)
{
	const struct workdir *w = s->data;
	struct view *v;
	uint32_t uid, gid;

	if (step_view(s, &v, e) < 0 || owner_of(s, v, &uid, &gid, e) < 0)
		return -1;
	key_text(k, "directory", w->path);
	key_u64(k, "owner", uid);
	key_u64(k, "group", gid);
	if (s->plan->epoch != INT64_MIN) {
		AUTO(mem_freep) char *epoch = mem_printf("%jd", (intmax_t)s->plan->epoch);

		key_text(k, "SOURCE_DATE_EPOCH", epoch);
	}
	return 0;
}

/* ---- the entries: a path's directories, top first */

struct dirs {
	struct entries base;
	struct entry *en;
	size_t n, next;
};

static int dirs_next(struct entries *s, const struct entry **ret, struct err **e)
{
	struct dirs *d = container_of(s, struct dirs, base);

	if (d->next == d->n)
		return 0;
	*ret = &d->en[d->next++];
	return 1;
}

static ssize_t dirs_data(struct entries *s, void *p, size_t n, struct err **e)
{
	return 0;
}

static int dirs_close(struct entries *s, struct err **e)
{
	return 0;
}

static const struct entries_ops dirs_ops = { dirs_next, dirs_data, dirs_close };

/* Only when something is missing: a path that exists makes an empty layer. */
static int dirs_make(struct step *s, struct dirs *d, struct err **e)
{
	const struct workdir *w = s->data;
	AUTO(buf_freep) struct buf real = BUF_MAX(8192);
	struct entry have;
	struct view *v;
	uint32_t uid, gid;
	size_t layer;
	int rc;

	d->base.ops = &dirs_ops;
	if (step_view(s, &v, e) < 0 || owner_of(s, v, &uid, &gid, e) < 0)
		return -1;
	rc = view_resolve(v, w->path, true, &real, &have, &layer, e);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return have.type == ENTRY_DIR ? 0 : err_set(e, ERR_INPUT, "'%s' is not a directory", w->path);
	const char *path = arena_str(&s->plan->arena, buf_view(&real));
	d->en = arena_alloc(&s->plan->arena, (strlen(path) + 2) * sizeof(*d->en));
	for (size_t i = 0; path[i]; i++) {
		if (path[i + 1] != '/' && path[i + 1] != '\0')
			continue;
		struct entry *en = &d->en[d->n++];
		const char *one = arena_str(&s->plan->arena, (struct slice){ path, i + 1 });

		if (view_find(v, one, en, &layer) == 0)
			continue;
		int64_t now = s->plan->epoch != INT64_MIN ? s->plan->epoch : clock_wall();
		*en = (struct entry){ .type = ENTRY_DIR, .path = one, .mode = 0755, .uid = uid, .gid = gid, .mtime = now };
	}
	return 0;
}

struct workdir_run {
	struct step *s;
	struct dirs dirs;
	const char *comp;
	int level;
};

static int workdir_child(void *arg, struct job_self *self, struct buf *out, struct err **e)
{
	struct workdir_run *r = arg;
	struct step *s = r->s;
	struct pack_facts f;
	int dir = at_open_store(store_fd(step_app(s)->store), s->tmp, O_RDONLY | O_DIRECTORY, 0, e);
	struct pack_req p = {
		.src = &r->dirs.base, .dir = dir, .comp = r->comp, .level = r->level, .listing = true, .clamp_mtime = step_clamp(s),
		.set_mtime = step_req(s)->retime, .fill_root = -1,
	};

	if (dir < 0 || pack_run(&p, &f, e) < 0)
		return -1;
	pack_facts_put(out, &f);
	return 0;
}

static void workdir_done(void *arg, struct slice out, struct err *e)
{
	struct workdir_run *r = arg;

	step_pack_answer(r->s, out, e, (struct step_made){ .tmp = r->s->tmp, .comp = r->comp, .level = r->level });
}

static int workdir_exec(struct step *s, struct err **e)
{
	struct workdir_run *r = arena_alloc(&s->plan->arena, sizeof(*r));
	AUTO(buf_freep) struct buf call = BUF_MAX(64);

	r->s = s;
	r->comp = step_comp(s, &r->level);
	if (dirs_make(s, &r->dirs, e) < 0)
		return step_wrap_at(s, s->trigger ? s->in->at : s->in->arg[0].at, e);
	if (store_tmp(step_app(s)->store, s->tmp, e) < 0)
		return -1;
	work_call_put(&call, workdir_child, r);
	return job_start(step_app(s)->jobs, JOB_LOCAL, WORK_CALL, buf_view(&call), NULL, 0, NULL, workdir_done, r, &s->job, e);
}

const struct op op_WORKDIR = { .eval = workdir_eval, .key = workdir_key, .exec = workdir_exec };
