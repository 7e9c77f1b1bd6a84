/* build/call.c - --call=outline, targets: what a Dockerfile says, without building it (spec/dockerfile.md 16.2, 16.3). */
#include <stdlib.h>

#include "base/mem.h"
#include "build/check.h"
#include "build/op/run.h"
#include "parser/expand.h"

/* Doc comment (16.4): the first line of the block above that starts with the name. */
static const char *described(const struct instr *in, const char *name, size_t *n)
{
	for (const char *line = in->doc_comment; *line;) {
		size_t len = strcspn(line, "\n"), k = strlen(name);

		if (strncmp(line, name, k) == 0 && line[k] == ' ') {
			*n = len - k - 1;
			return line + k + 1;
		}
		line += len + (line[len] == '\n');
	}
	*n = 0;
	return "";
}

/* ---- targets */

static struct jval *targets_json(const struct plan *p)
{
	struct jval *o = jval_obj(), *list = jval_arr();

	for (size_t i = 0; i < p->nstage; i++) {
		const struct stage *st = p->stage[i].st;
		struct jval *t = jval_obj();
		size_t n;
		const char *text = st->name ? described(st->from, st->name, &n) : "";

		if (st->name)
			jval_set_str(t, "name", st->name);
		if (i + 1 == p->nstage)
			jval_set_bool(t, "default", true);
		if (*text)
			jval_set_slice(t, "description", (struct slice){ text, n });
		jval_set_str(t, "base", st->base);
		if (st->platform)
			jval_set_str(t, "platform", st->platform);
		jval_set(t, "location", call_location(st->from->line, st->from->end_line));
		jval_add(list, t);
	}
	jval_set(o, "targets", list);
	jval_set(o, "sources", call_sources(source_name(p->file->source), source_text(p->file->source)));
	return o;
}

static void targets_text(const struct plan *p, struct buf *out)
{
	buf_printf(out, "%-24s %s\n", "TARGET", "DESCRIPTION");
	for (size_t i = 0; i < p->nstage; i++) {
		const struct stage *st = p->stage[i].st;
		bool last = i + 1 == p->nstage;
		size_t n = 0;
		const char *text = st->name ? described(st->from, st->name, &n) : "";
		AUTO(mem_freep) char *name = mem_printf("%s%s%s", st->name ? st->name : "", st->name && last ? " " : "", last ? "(default)" : "");

		buf_printf(out, "%-24s %.*s\n", name, (int)n, text);
	}
}

/* ---- outline */

struct outline_row {
	const char *kind, *name, *value;
	const char *text;
	size_t ntext;
	bool required;
	const struct instr *in;          /* where it is said */
	struct span first;               /* of a global argument */
};
struct outline {
	struct outline_row *row;
	size_t n, cap;
	struct vars index;               /* "kind name", in the places of the rows */
	struct arena *arena;             /* of the names in it */
	const struct outline *global;    /* the global arguments, each at its last line */
};

static struct outline_row *outline_find(const struct outline *o, const char *kind, const char *name)
{
	AUTO(mem_freep) char *key = mem_printf("%s %s", kind, name);
	const struct var *v = vars_find(&o->index, slice_of(key));

	return v ? &o->row[v - o->index.v] : NULL;
}

/* NULL: it was there. */
static struct outline_row *outline_add(struct outline *o, const char *kind, const char *name, const struct instr *in)
{
	AUTO(mem_freep) char *key = mem_printf("%s %s", kind, name);

	if (outline_find(o, kind, name))
		return NULL;
	vars_set(&o->index, o->arena, key, NULL, false);
	MEM_ROOM(o->row, o->n, o->cap);
	o->row[o->n] = (struct outline_row){ .kind = kind, .name = name, .in = in };
	return &o->row[o->n++];
}

static void outline_clear(struct outline *o)
{
	free(o->row);
	vars_clear(&o->index);
}

static void outline_global(const struct plan *p, struct outline *o)
{
	for (size_t i = 0; i < p->file->nglobal; i++) {
		const struct instr *in = p->file->global[i];

		for (size_t k = 0; k < in->npair; k++) {
			struct outline_row *r = outline_add(o, "arg", in->pair[k].key, in);

			if (r)
				r->first = in->pair[k].at;
			else
				outline_find(o, "arg", in->pair[k].key)->in = in;
		}
	}
}

static void outline_arg(struct plan *p, struct outline *o, const struct instr *in, const char *name, const char *value, bool own)
{
	/* One that only imports a global is listed at the global's line. */
	const struct outline_row *at = own ? NULL : outline_find(o->global, "arg", name);
	struct outline_row *r;

	if (at)
		in = at->in;
	/* What is global and in no line is predefined: not something to set. */
	else if (!own && eval_global_get(p, name))
		return;
	r = outline_add(o, "arg", name, in);
	if (r) {
		r->value = value ? value : eval_global_get(p, name);
		r->text = described(in, name, &r->ntext);
	}
}

/* ---- global arguments that the FROM lines of the closure use, and those their defaults mention */

struct outline_globals {
	struct plan *p;
	struct outline *o;
	size_t end;                      /* what is declared from here on is not seen */
};

static const char *globals_get(void *arg, struct slice name)
{
	struct outline_globals *g = arg;
	AUTO(mem_freep) char *text = mem_strn(name.p, name.n);

	return eval_global_get(g->p, text);
}

static void globals_seen(void *arg, struct slice name, bool found)
{
	struct outline_globals *g = arg;
	AUTO(mem_freep) char *text = mem_strn(name.p, name.n);
	const struct outline_row *at = outline_find(g->o->global, "arg", text);

	if (at && at->first.from < g->end)
		outline_arg(g->p, g->o, at->in, at->name, NULL, false);
}

static void globals_of(struct outline_globals *g, const char *text, size_t end)
{
	struct expand x = { .escape = g->p->file->escape, .get = globals_get, .seen = globals_seen, .arg = g, .total = &g->p->expanded };
	AUTO(buf_freep) struct buf b = BUF_MAX(1 << 20);

	g->end = end;
	if (text)
		(void)expand_word(&x, slice_of(text), &b, NULL);         /* it was valid a moment ago */
}

static void outline_from(struct plan *p, struct outline *o)
{
	struct outline_globals g = { .p = p, .o = o };

	for (size_t i = 0; i < p->nstage; i++) {
		if (p->stage[i].needed) {
			globals_of(&g, p->stage[i].st->base, SIZE_MAX);
			globals_of(&g, p->stage[i].st->platform, SIZE_MAX);
		}
	}
	/* From the end, because a default sees what is declared before it. */
	for (size_t i = p->file->nglobal; i-- > 0;) {
		const struct instr *in = p->file->global[i];

		for (size_t k = in->npair; k-- > 0;)
			if (outline_find(o, "arg", in->pair[k].key))
				globals_of(&g, in->pair[k].value, in->pair[k].at.from);
	}
}

static void outline_mounts(struct outline *o, struct eval *ev, const struct instr *in)
{
	for (size_t i = 0; i < in->nflag; i++) {
		AUTO(err_freep) struct err *e = NULL;
		struct mount_opts m;

		if (strcmp(in->flag[i].name, "mount") != 0 || run_mount_parse(ev, in, &in->flag[i], &m, &e) < 0)
			continue;
		if (m.type == MOUNT_SECRET || m.type == MOUNT_SSH) {
			struct outline_row *r = outline_add(o, m.type == MOUNT_SSH ? "ssh" : "secret", run_mount_id(ev, &m), in);

			if (r)
				r->required = m.required;
		}
	}
}

static void outline_collect(struct plan *p, struct outline *o)
{
	struct outline global = { .arena = &p->arena };

	outline_global(p, &global);
	o->global = &global;
	outline_from(p, o);
	for (size_t i = 0; i < p->nstage; i++) {
		struct pstage *ps = &p->stage[i];

		for (size_t k = 0; ps->needed && k < ps->ninstr; k++) {
			const struct instr *in = ps->instr[k];

			for (size_t j = 0; in->id == INSTR_ARG && j < in->npair; j++)
				outline_arg(p, o, in, in->pair[j].key, eval_get(&ps->eval, in->pair[j].key), in->pair[j].value);
			if (in->id == INSTR_RUN)
				outline_mounts(o, &ps->eval, in);
		}
	}
	o->global = NULL;
	outline_clear(&global);
}

static struct jval *outline_list(const struct outline *o, const char *kind)
{
	struct jval *list = jval_arr();

	for (size_t i = 0; i < o->n; i++) {
		const struct outline_row *r = &o->row[i];
		struct jval *v;

		if (strcmp(r->kind, kind) != 0)
			continue;
		v = jval_obj();
		jval_set_str(v, "name", r->name);
		if (r->ntext)
			jval_set_slice(v, "description", (struct slice){ r->text, r->ntext });
		if (r->value)
			jval_set_str(v, "value", r->value);
		if (r->required)
			jval_set_bool(v, "required", true);
		jval_set(v, "location", call_location(r->in->line, r->in->end_line));
		jval_add(list, v);
	}
	return list;
}

static struct jval *outline_json(const struct plan *p, const struct outline *o)
{
	struct jval *v = jval_obj();
	size_t n = 0;
	const char *text = p->target->st->name ? described(p->target->st->from, p->target->st->name, &n) : "";

	if (p->target->st->name)
		jval_set_str(v, "name", p->target->st->name);
	if (n)
		jval_set_slice(v, "description", (struct slice){ text, n });
	jval_set(v, "args", outline_list(o, "arg"));
	jval_set(v, "secrets", outline_list(o, "secret"));
	jval_set(v, "ssh", outline_list(o, "ssh"));
	jval_set(v, "sources", call_sources(source_name(p->file->source), source_text(p->file->source)));
	return v;
}

static void outline_table(const struct outline *o, const char *kind, const char *head, struct buf *out)
{
	bool any = false;

	for (size_t i = 0; i < o->n; i++) {
		const struct outline_row *r = &o->row[i];

		if (strcmp(r->kind, kind) != 0)
			continue;
		if (!any)
			buf_printf(out, "\n%s\n", head);
		any = true;
		if (strcmp(kind, "arg") == 0)
			buf_printf(out, "%-20s %-20s %.*s\n", r->name, r->value ? r->value : "", (int)r->ntext, r->text ? r->text : "");
		else
			buf_printf(out, "%-20s %s\n", r->name, r->required ? "true" : "");
	}
}

static void outline_text(const struct plan *p, const struct outline *o, struct buf *out)
{
	size_t n = 0;
	const char *text = p->target->st->name ? described(p->target->st->from, p->target->st->name, &n) : "";
	AUTO(mem_freep) char *arg = mem_printf("%-20s %-20s %s", "BUILD ARG", "VALUE", "DESCRIPTION");
	AUTO(mem_freep) char *secret = mem_printf("%-20s %s", "SECRET", "REQUIRED");
	AUTO(mem_freep) char *ssh = mem_printf("%-20s %s", "SSH", "REQUIRED");

	if (p->target->st->name)
		buf_printf(out, "TARGET:      %s\n", p->target->st->name);
	if (n)
		buf_printf(out, "DESCRIPTION: %.*s\n", (int)n, text);
	outline_table(o, "arg", arg, out);
	outline_table(o, "secret", secret, out);
	outline_table(o, "ssh", ssh, out);
}

static int by_row_line(const void *a, const void *b)
{
	const struct outline_row *x = a, *y = b;

	return x->in->line < y->in->line ? -1 : x->in->line > y->in->line;
}

static void outline_run(struct plan *p, bool json, struct buf *out)
{
	struct outline o = { .arena = &p->arena };

	outline_collect(p, &o);
	if (o.n)
		qsort(o.row, o.n, sizeof(*o.row), by_row_line);
	if (json) {
		AUTO(jval_freep) struct jval *v = outline_json(p, &o);

		jval_print(v, out, 2);
		buf_char(out, '\n');
	} else {
		outline_text(p, &o, out);
	}
	outline_clear(&o);
}

/* ---- --dry-run: what a build would do, in the order in which it would begin (spec/cli-flags.md 2) */

static struct jval *step_json(const struct step *s)
{
	struct jval *v = jval_obj();

	jval_set_int(v, "id", s->id);
	jval_set_str(v, "title", s->title);
	jval_set_str(v, "stage", s->stage->title);
	jval_set(v, "location", call_location(s->in->line, s->in->end_line));
	return v;
}

static void steps_run(struct plan *const *p, size_t n, bool json, struct buf *out)
{
	AUTO(jval_freep) struct jval *list = jval_arr();

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < p[i]->nstep; k++) {
			const struct step *s = p[i]->step[k];

			if (json)
				jval_add(list, step_json(s));
			else
				buf_printf(out, "#%u %s\n", s->id, s->title);
		}
	}
	if (json) {
		jval_print(list, out, 2);
		buf_char(out, '\n');
	}
}

int call_run(struct plan *const *all, size_t n, struct build_done *ret, struct err **e)
{
	struct plan *p = all[0];
	const struct build_req *r = p->req;
	struct buf *out = &ret->text;

	if (strcmp(r->call, "outline") == 0) {
		outline_run(p, r->call_format == CALL_JSON, out);
		return buf_ok(out, "the outline", e);
	}
	if (strcmp(r->call, "steps") == 0) {
		steps_run(all, n, r->call_format == CALL_JSON, out);
		return buf_ok(out, "the steps", e);
	}
	if (strcmp(r->call, "targets") != 0)
		return check_run(p, ret, e);
	if (r->call_format == CALL_JSON) {
		AUTO(jval_freep) struct jval *v = targets_json(p);

		jval_print(v, out, 2);
		buf_char(out, '\n');
	} else {
		targets_text(p, out);
	}
	return buf_ok(out, "the answer", e);
}
