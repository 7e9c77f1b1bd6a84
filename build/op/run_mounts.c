/* build/op/run_mounts.c - RUN --mount: evaluated, in the key, in the worker's description (spec/dockerfile.md 8.6). */
#include "base/mem.h"
#include "build/op/run.h"
#include "layers/pick.h"
#include "parser/diag.h"
#include "parser/ignore.h"

enum { SECRET_MAX = 512000 };

struct mount_look {
	struct eval *ev;
	const struct instr *in;
	struct span at;
};

static char *expand_value(void *arg, const char *text, struct err **e)
{
	struct mount_look *l = arg;
	const char *v;

	return eval_expand(l->ev, l->in, text, l->at, &v, e) < 0 ? NULL : mem_str(v);
}

static int wrong(struct eval *ev, const struct flag *f, struct err **e)
{
	const struct source *s = ev->plan->file->source;
	size_t i;

	if (err_placed(*e))
		return -1;
	return diag_place(e, s, err_part(*e, &i) ? mount_field_at(s, f, i) : f->value_at);
}

/* Where a value of the mount is written; a trigger's is not in the file. */
static struct span value_at(const struct run *r, const struct run_input *m, const char *key)
{
	return r->s->trigger ? r->s->stage->st->from->at : mount_value_at(r->s->plan->file->source, m->flag, key);
}

/* Absolute and cleaned, without a trailing slash; relative ones join WORKDIR. */
static const char *target_of(struct eval *ev, const char *text)
{
	AUTO(buf_freep) struct buf clean = BUF_MAX(1 << 20);
	AUTO(mem_freep) char *joined = text && text[0] == '/' ? mem_str(text) : mem_printf("%s/%s", eval_cwd(ev), text ? text : "");

	path_clean(slice_of(joined), &clean);
	return arena_str(ev->arena, buf_view(&clean));
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

const char *run_mount_id(struct eval *ev, const struct mount_opts *o)
{
	if (o->type == MOUNT_SECRET && o->source && *o->source)
		return o->source;
	if (o->id && *o->id)
		return o->id;
	return o->type == MOUNT_SSH ? "default" : base_name(target_of(ev, o->target));
}

static void secret_eval(struct eval *ev, struct run_input *m)
{
	const struct build_req *q = ev->plan->req;

	for (size_t i = 0; i < q->nsecret; i++) {
		if (strcmp(q->secret[i].id, m->id) == 0)
			m->secret = &q->secret[i];
	}
	if (m->o.target && *m->o.target)
		m->target = target_of(ev, m->o.target);
	else if (!m->o.env)
		m->target = eval_printf(ev, "/run/secrets/%s", base_name(m->id));
}

static void ssh_eval(struct eval *ev, struct run_input *m, size_t index)
{
	const struct strs *ssh = &ev->plan->req->ssh;

	for (size_t i = 0; i < ssh->n; i++) {
		size_t n = strcspn(ssh->v[i], "=");

		if (strncmp(ssh->v[i], m->id, n) == 0 && m->id[n] == '\0')
			m->socket = ssh->v[i][n] ? ssh->v[i] + n + 1 : getenv("SSH_AUTH_SOCK");
	}
	m->target = m->o.target && *m->o.target ? target_of(ev, m->o.target) : eval_printf(ev, "/run/buildkit/ssh_agent.%zu", index);
}

/* Only a command that runs needs what it asks for: a step that is known does not (17.3). */
int run_mounts_given(const struct run *r, struct err **e)
{
	for (size_t i = 0; i < r->nmount; i++) {
		const struct run_input *m = &r->mount[i];

		if (m->secret && m->secret->n > SECRET_MAX) {
			err_set(e, ERR_LIMIT, "secret %s is too big: %zu bytes, at most %d", m->id, m->secret->n, SECRET_MAX);
		} else if (m->o.type == MOUNT_SECRET && m->o.required && !m->secret) {
			err_set(e, ERR_LIMIT, "secret %s: not found", m->id);
			err_hint(e, "give --secret id=%s,src=FILE or --secret id=%s,env=VARIABLE", m->id, m->id);
		} else if (m->o.type == MOUNT_SSH && m->o.required && !m->socket) {
			err_set(e, ERR_LIMIT, "no SSH key \"%s\" forwarded from the client", m->id);
			err_hint(e, "give --ssh %s", m->id);
		} else {
			continue;
		}
		return diag_place(e, r->s->plan->file->source, value_at(r, m, m->o.source ? "source" : m->o.id ? "id" : "target"));
	}
	return 0;
}

/* Its directory is made with these attributes, the default ones too (8.6). */
static bool cache_prepared(const struct run_input *m)
{
	return !*m->source && (m->o.has_mode || m->o.has_uid || m->o.has_gid);
}

static uint32_t mode_of(const struct mount_opts *o)
{
	static const uint32_t by_default[] = { [MOUNT_CACHE] = 0755, [MOUNT_SECRET] = 0400, [MOUNT_SSH] = 0600 };

	return o->has_mode ? o->mode : by_default[o->type];
}

static int place_eval(struct eval *ev, const struct flag *f, struct run_input *m, struct err **e)
{
	const char *ns = plan_build_arg(ev->plan, "BUILDKIT_CACHE_MOUNT_NS");

	m->target = target_of(ev, m->o.target);
	if (strcmp(m->target, "/") == 0) {
		err_set(e, ERR_INPUT, "invalid mount target \"/\"");
		if (!m->o.target)
			err_hint(e, "say where it goes, with target=PATH");
		return wrong(ev, f, e);
	}
	/* "/" is the default. */
	m->source = target_of(ev, m->o.source && *m->o.source ? eval_printf(ev, "/%s", m->o.source) : "/") + 1;
	if (m->o.type == MOUNT_CACHE)
		m->id = eval_printf(ev, "%s/%s", ns ? ns : "", m->o.id && *m->o.id ? m->o.id : m->target);
	return 0;
}

static int by_target(const void *a, const void *b)
{
	const struct run_input *x = a, *y = b;

	return strcmp(x->target ? x->target : "", y->target ? y->target : "");
}

static bool late(const struct run_input *m)
{
	return m->o.type == MOUNT_SECRET || m->o.type == MOUNT_SSH;
}

/* Identical targets: the last one given counts, secrets and sockets after all others. */
static void drop_covered(struct run *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->nmount; i++) {
		bool covered = false;

		for (size_t k = 0; k < r->nmount && r->mount[i].target; k++) {
			if (k == i || !r->mount[k].target || strcmp(r->mount[k].target, r->mount[i].target) != 0)
				continue;
			covered |= late(&r->mount[k]) != late(&r->mount[i]) ? late(&r->mount[k]) : k > i;
		}
		if (covered)
			r->mount[i].target = NULL;
	}
	for (size_t i = 0; i < r->nmount; i++) {
		if (r->mount[i].target || r->mount[i].o.env)
			r->mount[n++] = r->mount[i];
	}
	r->nmount = n;
}

/* The texts live as long as the plan does. */
static void keep_opts(struct arena *a, struct mount_opts *o)
{
	char **text[] = { &o->target, &o->source, &o->from, &o->id, &o->env };

	for (size_t i = 0; i < countof(text); i++) {
		char *mine = *text[i];

		if (mine)
			*text[i] = arena_str(a, slice_of(mine));
		free(mine);
	}
}

int run_mount_parse(struct eval *ev, const struct instr *in, const struct flag *f, struct mount_opts *ret, struct err **e)
{
	struct mount_look l = { ev, in, f->value_at };

	if (mount_parse(f->value, expand_value, &l, ret, e) < 0)
		return wrong(ev, f, e);
	keep_opts(ev->arena, ret);
	return 0;
}

int run_mounts_eval(struct eval *ev, const struct instr *in, struct run *r, struct err **e)
{
	size_t nssh = 0;

	r->mount = arena_alloc(ev->arena, (in->nflag + 1) * sizeof(*r->mount));
	for (size_t i = 0; i < in->nflag; i++) {
		const struct flag *f = &in->flag[i];
		struct run_input *m = &r->mount[r->nmount];

		if (strcmp(f->name, "mount") != 0)
			continue;
		if (run_mount_parse(ev, in, f, &m->o, e) < 0)
			return -1;
		r->nmount++;
		m->flag = f;
		m->id = run_mount_id(ev, &m->o);
		if (m->o.type == MOUNT_SECRET)
			secret_eval(ev, m);
		else if (m->o.type == MOUNT_SSH)
			ssh_eval(ev, m, nssh++);
		else if (place_eval(ev, f, m, e) < 0)
			return -1;
		if (m->o.type == MOUNT_SSH && !eval_get(ev, "SSH_AUTH_SOCK") && nssh == 1)
			r->env[r->nenv++] = eval_printf(ev, "SSH_AUTH_SOCK=%s", m->target);
	}
	drop_covered(r);
	return 0;
}

/* They are placed where the RUN is, and read as if they were written there. */
const struct instr *run_with_mounts(struct plan *p, const struct instr *in)
{
	const struct strs *more = &p->req->run.mounts;

	if (in->id != INSTR_RUN || more->n == 0)
		return in;
	struct instr *run = arena_dup(&p->arena, in, sizeof(*in));
	struct flag *flag = arena_alloc(&p->arena, (more->n + in->nflag) * sizeof(*flag));
	for (size_t i = 0; i < more->n; i++)
		flag[i] = (struct flag){ .name = "mount", .value = more->v[i], .at = in->at, .value_at = in->at };
	if (in->nflag)
		memcpy(flag + more->n, in->flag, in->nflag * sizeof(*flag));
	run->flag = flag;
	run->nflag += more->n;
	return run;
}

/* A directory is mounted as a tree of its own: the step reads what was hashed, whatever happens to the files meanwhile. */
static int context_tree(struct eval *ev, const struct instr *in, struct run *r, struct run_input *m, const char *from, struct err **e)
{
	struct tree_ref *t = arena_alloc(ev->arena, sizeof(*t));
	struct tree_ref **reads = arena_alloc(ev->arena, (r->s->nreads + 1) * elem_size(reads));

	t->kind = TREE_STAGE;
	if (eval_hidden(ev, in, from, &ev->plan->target_platform, *m->source ? m->o.source : "/", "/x", value_at(r, m, "source"), &t->stage, e) < 0)
		return -1;
	if (r->s->nreads)
		memcpy(reads, r->s->reads, r->s->nreads * elem_size(reads));
	reads[r->s->nreads++] = t;
	r->s->reads = reads;
	m->tree = t;
	m->source = "x";
	m->context = true;
	return 0;
}

/* Stages, images and contexts that mounts read. */
int run_mounts_deps(struct eval *ev, const struct instr *in, struct run *r, struct err **e)
{
	for (size_t i = 0; i < r->nmount; i++) {
		struct run_input *m = &r->mount[i];
		const char *from = m->o.from && *m->o.from ? m->o.from : NULL;
		bool reads = m->o.type == MOUNT_BIND || m->o.type == MOUNT_CACHE;
		struct tree_ref *t = NULL;

		if (from && eval_from(ev, in, r->s, from, value_at(r, m, "from"), false, "cannot mount from stage", &t, e) < 0)
			return -1;
		if (reads && t && t->kind != TREE_DIR)
			m->tree = t;
		else if (reads && (t || m->o.type == MOUNT_BIND) && context_tree(ev, in, r, m, from, e) < 0)
			return -1;
	}
	qsort(r->mount, r->nmount, sizeof(*r->mount), by_target);
	return 0;
}

/* ---- key */

static int bind_key(struct run *r, const struct run_input *m, struct keyer *k, struct err **e)
{
	struct chain c;
	AUTO(mem_freep) char *name = mem_printf("mount %s", m->target);

	if (m->tree->kind == TREE_SCRATCH) {
		key_text(k, name, "scratch");
		return 0;
	}
	if (tree_chain(r->s, m->tree, &c, e) < 0)
		return -1;
	/* The context counts by its content alone, in both keys. */
	key_input(k, name, m->context ? &c.content : &c.def, &c.content);
	key_text(k, "mount source", m->source);
	return 0;
}

int run_mounts_key(struct run *r, struct keyer *k, struct err **e)
{
	static const char *const type[] = { "bind", "cache", "tmpfs", "secret", "ssh" };

	for (size_t i = 0; i < r->nmount; i++) {
		const struct run_input *m = &r->mount[i];
		const struct mount_opts *o = &m->o;

		key_text(k, "mount type", type[o->type]);
		key_text(k, "mount target", m->target);
		key_u64(k, "mount is read-only", late(m) || o->readonly);
		if (m->tree && bind_key(r, m, k, e) < 0)
			return -1;
		if (o->type == MOUNT_TMPFS)
			key_u64(k, "mount size", o->size);
		if (late(m)) {
			key_text(k, "mount id", m->id);
			key_text(k, "mount variable", o->env);
			key_u64(k, "mount is required", o->required);
		}
		/* What they come to: an option that restates a default changes nothing. */
		if (late(m) || (o->type == MOUNT_CACHE && cache_prepared(m))) {
			key_u64(k, "mount mode", mode_of(o));
			key_u64(k, "mount owner", o->uid);
			key_u64(k, "mount group", o->gid);
		}
	}
	return 0;
}

/* ---- the worker's description; everything borrowed but the array itself */

static int cache_spec(struct run *r, const struct run_input *m, struct run_mount *out, struct err **e)
{
	struct arena *arena = &r->s->plan->arena;
	char path[80];
	const char *id = m->id;
	struct chain c;

	/* Another origin or another preparation is another cache (8.6). */
	if (m->tree && m->tree->kind != TREE_SCRATCH) {
		if (tree_chain(r->s, m->tree, &c, e) < 0)
			return -1;
		id = arena_printf(arena, "%s\n%s\n%s", id, digest_text(&c.content).s, m->source);
	}
	out->has_perm = cache_prepared(m);
	out->mode = mode_of(&m->o);
	out->uid = m->o.uid;
	out->gid = m->o.gid;
	if (out->has_perm)
		id = arena_printf(arena, "%s\n%o %u %u", id, out->mode, out->uid, out->gid);
	store_cache_path(id, path);
	out->kind = RUN_CACHE;
	out->id = arena_str(arena, slice_of(id));
	out->cache = arena_str(arena, slice_of(path));
	out->source = (char *)m->source;
	out->lock_exclusive = m->o.sharing == SHARING_LOCKED;
	out->lock_private = m->o.sharing == SHARING_PRIVATE;
	return 0;
}

static void late_spec(const struct run_input *m, struct run_mount *out)
{
	bool ssh = m->o.type == MOUNT_SSH;

	out->kind = ssh ? RUN_SSH : RUN_SECRET;
	out->readonly = true;
	out->mode = mode_of(&m->o);
	out->uid = m->o.uid;
	out->gid = m->o.gid;
	if (ssh)
		out->socket = (char *)m->socket;
	else if (m->secret) {
		out->content = m->secret->value;
		out->ncontent = m->secret->n;
	}
}

static int mount_spec(struct run *r, struct run_input *m, struct run_mount *out, struct err **e)
{
	out->target = (char *)m->target;
	out->readonly = m->o.readonly;
	out->lower = m->dirs.v;
	out->nlower = m->dirs.n;
	out->source = (char *)m->source;
	switch (m->o.type) {
	case MOUNT_BIND:
		out->kind = RUN_BIND;
		return 0;
	case MOUNT_CACHE:
		return cache_spec(r, m, out, e);
	case MOUNT_TMPFS:
		out->kind = RUN_TMPFS;
		out->size = m->o.size;
		return 0;
	default:
		late_spec(m, out);
		return 0;
	}
}

static void secret_env(struct run *r, const struct run_input *m)
{
	struct arena *arena = &r->s->plan->arena;
	const char **v = arena_alloc(arena, (r->nextra + 1) * sizeof(*v));

	if (r->nextra)
		memcpy(v, r->extra, r->nextra * sizeof(*v));
	v[r->nextra++] = arena_printf(arena, "%s=%.*s", m->o.env, m->secret ? (int)m->secret->n : 0, m->secret ? m->secret->value : "");
	r->extra = v;
}

/* The volumes, in the order of their targets, up to `target`, or the rest: what lies above is mounted first, and of two with one target the
 * RUN's own covers the other. */
static size_t volumes_spec(const struct run_opts *o, size_t i, const char *target, struct run_spec *spec)
{
	for (; i < o->nvolume && (!target || strcmp(o->volume[i].target, target) <= 0); i++)
		spec->mount[spec->nmount++] = (struct run_mount){
			.kind = o->volume[i].device ? RUN_DEVICE : RUN_HOST, .target = o->volume[i].target, .source = o->volume[i].source, .readonly = o->volume[i].readonly,
		};
	return i;
}

int run_mounts_spec(struct run *r, struct run_spec *spec, struct err **e)
{
	const struct run_opts *o = &step_req(r->s)->run;
	size_t volume = 0;

	spec->mount = mem_array(r->edit.nmount + r->nmount + o->nvolume + 1, sizeof(*spec->mount));
	for (size_t i = 0; i < r->edit.nmount; i++)
		spec->mount[spec->nmount++] = r->edit.mount[i];
	for (size_t i = 0; i < r->nmount; i++) {
		struct run_input *m = &r->mount[i];
		bool absent = late(m) && !m->secret && !m->socket;

		m->row = SIZE_MAX;
		if (!m->target || absent)
			continue;
		volume = volumes_spec(o, volume, m->target, spec);
		m->row = spec->nmount++;
		if (mount_spec(r, m, &spec->mount[m->row], e) < 0)
			return -1;
	}
	volumes_spec(o, volume, NULL, spec);
	if (r->script_name) {
		struct run_mount *f = &spec->mount[spec->nmount++];

		f->kind = RUN_FILE;
		f->target = (char *)"/dev/pipes";
		f->source = (char *)r->script_name;
		f->mode = 0755;
		f->readonly = true;
		f->content = (char *)r->script.p;
		f->ncontent = r->script.n;
	}
	return 0;
}

void run_mounts_env(struct run *r)
{
	for (size_t i = 0; i < r->nmount; i++) {
		if (r->mount[i].o.type == MOUNT_SECRET && r->mount[i].o.env)
			secret_env(r, &r->mount[i]);
	}
}

static void source_near(struct run *r, const struct run_input *m, struct err **e)
{
	AUTO(view_freep) struct view *v = NULL;

	if (tree_view(r->s, m->tree, &v, NULL) < 0)
		return;
	AUTO(pick_tree_freep) struct pick_tree *t = pick_tree_view(v, NULL);
	pick_near(t, m->o.source, e);
}

void run_mounts_failed(struct run *r, struct err **e)
{
	size_t row;

	for (size_t i = 0; err_part(*e, &row) && i < r->nmount; i++) {
		const struct run_input *m = &r->mount[i];

		if (m->row != row)
			continue;
		if (err_kind(*e) == ERR_INPUT && m->tree && m->tree->kind != TREE_SCRATCH)
			source_near(r, m, e);
		step_wrap_at(r->s, value_at(r, m, err_kind(*e) == ERR_INPUT ? "source" : "target"), e);
	}
}
