/* build/title.c - what progress calls a step: its place, and its line with what is known of the variables (spec/dockerfile.md 18.6, 3.7). */
#include "base/mem.h"
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

/* "->arm64" in a stage of another platform that knows what it builds for: TARGETPLATFORM, or its parts, are declared (18.6). */
static const char *goal(const struct eval *ev, const struct platform *at)
{
	static const char *const name[] = { "TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT" };
	const char *v[countof(name)];
	struct platform to = { 0 };

	for (size_t i = 0; i < countof(name); i++) {
		const struct var *var = vars_find(&ev->var, slice_of(name[i]));

		v[i] = var ? var->value : NULL;
	}
	AUTO(mem_freep) char *parts = mem_printf("%s/%s%s%s", v[1] ? v[1] : at->os, v[2] ? v[2] : at->arch, v[3] && *v[3] ? "/" : "", v[3] ? v[3] : "");
	if ((!v[0] || platform_parse(slice_of(v[0]), &to, NULL) < 0) && platform_parse(slice_of(parts), &to, NULL) < 0)
		return "";
	const struct platform_text text = platform_text(&to);
	if (strcmp(to.os, at->os) != 0)
		return arena_printf(ev->arena, "->%s", text.s);
	return strcmp(to.arch, at->arch) == 0 ? "" : arena_printf(ev->arena, "->%s", strchr(text.s, '/') + 1);
}

void step_title(const struct eval *ev, struct step *s, const char *const *secret, size_t nsecret)
{
	struct title t = { ev, secret, nsecret };
	struct expand x = { .escape = s->plan->file->escape, .keep_unset = true, .get = title_get, .arg = &t };
	AUTO(buf_freep) struct buf b = BUF_MAX(1 << 20);
	struct slice line = first_line(s), doc, rest;

	s->goal = s->plan->req->platforms.n > 1 ? goal(ev, &s->stage->platform) : "";

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

/* "[build 2/5] RUN make": FROM of an image counts, one stage alone is not named. "[linux/amd64->arm64 build 2/5] RUN make" where several
 * platforms are built. */
void plan_titles(struct plan *p)
{
	bool several = p->req->platforms.n > 1;

	for (size_t i = 0; i < p->nstep; i++) {
		struct step *s = p->step[i];
		unsigned from = s->stage->base && !s->stage->parent ? 1 : 0;

		if (s->stage->hidden)
			s->title = arena_printf(&p->arena, "[internal] context %s", s->in->text);
		else
			s->title = arena_printf(&p->arena, "[%s%s%s%s%s%zu/%u] %s%s %s", several ? platform_text(&s->stage->platform).s : "",
						several ? s->goal : "", several ? " " : "", p->nstage > 1 ? s->stage->title : "",
						p->nstage > 1 ? " " : "", s->ordinal + 1 + from, s->stage->nsteps + from,
						s->trigger ? "ONBUILD " : "", instr_table[s->in->id].word, s->title);
	}
}
