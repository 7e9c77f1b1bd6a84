/* build/title.c - what progress calls a step: its place, and its line with what is known of the variables (spec/dockerfile.md 18.6, 3.7). */
#include "build/plan.h"
#include "parser/expand.h"

struct title {
	const struct eval *ev;
	const char *const *secret;
	size_t nsecret;
};

static const char *title_get(void *arg, struct slice name)
{
	const struct title *t = arg;

	for (size_t i = 0; i < t->nsecret; i++)
		if (slice_is(name, t->secret[i]))
			return "****";
	const struct var *v = vars_find(&t->ev->var, name);
	return v ? v->value : NULL;
}

/* The first line as written, flags included; a trigger has only its text. */
static struct slice first_line(const struct step *s)
{
	struct slice file = source_text(s->plan->file->source), line, rest;

	if (s->trigger || s->in->at.to > file.n || s->in->at.from > s->in->at.to)
		return slice_of(s->in->text);
	slice_cut((struct slice){ file.p + s->in->at.from, s->in->at.to - s->in->at.from }, '\n', &line, &rest);
	return slice_trim(slice_skip(line, strlen(s->in->spelling)), " \t\r\\");
}

void step_title(const struct eval *ev, struct step *s, const char *const *secret, size_t nsecret)
{
	struct title t = { ev, secret, nsecret };
	struct expand x = { .escape = s->plan->file->escape, .keep_unset = true, .get = title_get, .arg = &t };
	AUTO(buf_freep) struct buf b = BUF_MAX(1 << 20);
	struct slice line = first_line(s), doc, rest;

	/* What is no word for us, like an apostrophe in a command, stays as it is. */
	if (expand_word(&x, line, &b, NULL) == 0 && buf_ok(&b, "a title", NULL) == 0)
		line = buf_view(&b);
	bool more = line.n > 200 || (!s->in->sole_doc && s->in->end_line > s->in->line);
	s->title = arena_printf(ev->arena, "%.*s%s", (int)(line.n > 200 ? 200 : line.n), line.p ? line.p : "", more ? "..." : "");
	if (!s->in->sole_doc)
		return;
	more = slice_cut(slice_trim(s->in->doc[0].content, " \t\r\n"), '\n', &doc, &rest);
	doc = slice_trim(doc, "\r");
	s->title = arena_printf(ev->arena, "%s (%.*s%s)", s->title, (int)(doc.n > 200 ? 200 : doc.n), doc.p ? doc.p : "", more ? "..." : "");
}

/* "[build 2/5] RUN make": FROM of an image counts, one stage alone is not named. */
void plan_titles(struct plan *p)
{
	for (size_t i = 0; i < p->nstep; i++) {
		struct step *s = p->step[i];
		unsigned from = s->stage->base && !s->stage->parent ? 1 : 0;

		if (s->stage->hidden)
			s->title = arena_printf(&p->arena, "[internal] context %s", s->in->text);
		else
			s->title = arena_printf(&p->arena, "[%s%s%zu/%u] %s%s %s", p->nstage > 1 ? s->stage->title : "",
						p->nstage > 1 ? " " : "", s->ordinal + 1 + from, s->stage->nsteps + from,
						s->trigger ? "ONBUILD " : "", instr_table[s->in->id].word, s->title);
	}
}
