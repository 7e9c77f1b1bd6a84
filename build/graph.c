/* build/graph.c - which stage needs which: edges from COPY --from and mounts, reachability, cycles (spec/dockerfile.md 5.6, 5.8). */
#include <ctype.h>

#include "base/mem.h"
#include "build/plan.h"
#include "parser/diag.h"
#include "parser/flags.h"

static void add_edge(struct pstage *ps, struct pstage *to)
{
	for (size_t i = 0; i < ps->ndep; i++) {
		if (ps->dep[i] == to)
			return;
	}
	MEM_ROOM(ps->dep, ps->ndep, ps->depcap);
	ps->dep[ps->ndep++] = to;
}

bool graph_index(const char *name, long *ret)
{
	char *end;

	*ret = strtol(name, &end, 10);
	return *name && !isspace((unsigned char)*name) && !*end;
}

/* A --from that is a number is an index; else a stage name, the last of that name in the file; else something outside. */
static int edge_by_name(struct pstage *ps, const struct flag *f, const char *name, bool numbers, struct err **e)
{
	struct plan *p = ps->plan;
	long i;

	if (numbers && graph_index(name, &i)) {
		if (i < 0 || (size_t)i >= p->nstage) {
			err_set(e, ERR_INPUT, "invalid stage index %s", name);
			err_hint(e, "this file has %zu stage%s, counted from 0", p->nstage, p->nstage == 1 ? "" : "s");
			return diag_place(e, p->file->source, f->value_at);
		}
		add_edge(ps, &p->stage[i]);
		return 0;
	}
	AUTO(mem_freep) char *lower = mem_str(name);
	for (char *c = lower; *c; c++)
		*c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
	struct pstage *to = plan_stage(p, lower, p->nstage);
	if (!to && plan_target(p, name, &p->target_platform, &to, e) < 0)
		return diag_place(e, p->file->source, f->value_at);
	if (to)
		add_edge(ps, to);
	else if (!plan_named_context(p, name, &p->target_platform) && plan_image_name(name, e) < 0)
		return diag_place(e, p->file->source, f->value_at);
	return 0;
}

static bool expands(const char *text)
{
	return strpbrk(text, "$\\'\"`") != NULL;
}

int graph_edges_of(struct pstage *ps, const struct instr *in, struct err **e)
{
	struct plan *p = ps->plan;

	if (in->id == INSTR_COPY) {
		const struct flag *f = instr_flag(in, "from");

		if (!f || !f->value || !*f->value)
			return 0;
		if (expands(f->value)) {
			err_set(e, ERR_INPUT, "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround");
			return diag_place(e, p->file->source, f->value_at);
		}
		return edge_by_name(ps, f, f->value, true, e);
	}
	for (size_t i = 0; in->id == INSTR_RUN && i < in->nflag; i++) {
		AUTO(mem_freep) char *from = NULL;

		if (strcmp(in->flag[i].name, "mount") != 0)
			continue;
		if (mount_from(in->flag[i].value, &from, e) < 0)
			return err_placed(*e) ? -1 : diag_place(e, p->file->source, in->flag[i].value_at);
		if (from && *from && edge_by_name(ps, &in->flag[i], from, false, e) < 0)
			return -1;
	}
	return 0;
}

int graph_link(struct plan *p, struct err **e)
{
	for (size_t i = 0; i < p->nstage; i++) {
		for (size_t k = 0; k < p->stage[i].st->ninstr; k++) {
			if (graph_edges_of(&p->stage[i], p->stage[i].instr[k], e) < 0)
				return -1;
		}
	}
	if (graph_cycles(p, e) < 0)
		return -1;
	/* What stands in a stage that a context replaces is checked, and needs nothing (5.2). */
	for (size_t i = 0; i < p->nstage; i++)
		if (p->stage[i].ninstr == 0)
			p->stage[i].ndep = 0;
	return 0;
}

/* An explicit stack: the depth of the graph does not consume C stack (spec/threats.md D4). */
struct visit {
	struct pstage *ps;
	size_t next;
};

static struct pstage *visit_next(struct visit *v)
{
	struct pstage *ps = v->ps;
	size_t i = v->next++;

	if (i == 0 && ps->parent)
		return ps->parent;
	if (i == 0)
		i = v->next++;
	return i - 1 < ps->ndep ? ps->dep[i - 1] : NULL;
}

static int cycle_from(struct plan *p, struct pstage *start, struct visit *stack, struct err **e)
{
	size_t n = 0;

	stack[n++] = (struct visit){ start, 0 };
	start->visiting = true;
	while (n) {
		struct pstage *to = visit_next(&stack[n - 1]);

		if (!to) {
			stack[n - 1].ps->visiting = false;
			stack[--n].ps->visited = true;
			continue;
		}
		if (to->visiting) {
			err_set(e, ERR_INPUT, "circular dependency detected on stage: %s", to->title);
			return diag_place(e, p->file->source, to->st->from->at);
		}
		if (!to->visited) {
			to->visiting = true;
			stack[n++] = (struct visit){ to, 0 };
		}
	}
	return 0;
}

int graph_cycles(struct plan *p, struct err **e)
{
	struct visit *stack = mem_array(p->nstage + 1, elem_size(stack));
	int rc = 0;

	for (size_t i = 0; i < p->nstage; i++)
		p->stage[i].visited = p->stage[i].visiting = false;
	for (size_t i = 0; i < p->nstage && rc == 0; i++) {
		if (!p->stage[i].visited)
			rc = cycle_from(p, &p->stage[i], stack, e);
	}
	free(stack);
	return rc;
}

static void need(struct pstage *ps, const char *by, struct pstage **stack, size_t *n)
{
	if (!ps || ps->needed)
		return;
	ps->needed = true;
	ps->needed_by = by;
	stack[(*n)++] = ps;
}

void graph_reach(struct plan *p)
{
	struct pstage **stack = mem_array(p->nstage + 1, elem_size(stack));
	size_t n = 0;

	/* What was needed before stays; its new edges are followed again. */
	for (size_t i = 0; i < p->nstage; i++) {
		if (p->stage[i].needed)
			stack[n++] = &p->stage[i];
	}
	need(p->target, "the target", stack, &n);
	while (n) {
		struct pstage *ps = stack[--n];

		need(ps->parent, ps->title, stack, &n);
		for (size_t i = 0; i < ps->ndep; i++)
			need(ps->dep[i], ps->title, stack, &n);
	}
	free(stack);
}
