/* parser/file.c - the whole file: instructions in order, gathered into stages; every mistake of one run. */
#include "parser/file.h"

#include "base/mem.h"
#include "parser/diag.h"
#include "parser/flags.h"
#include "parser/parse.h"

#include <stdlib.h>

struct file_priv {
	struct arena arena;
	struct source **trigger;         /* texts of triggers: instructions point into them */
	size_t ntrigger, cap;
};

/* What grows while the file is read. */
struct gather {
	const struct instr **instr;      /* of the stage being read */
	size_t ninstr, cap_instr;
	const struct instr **global;
	size_t nglobal, cap_global;
	const struct stage **stage;
	size_t nstage, cap_stage;
	struct stage *open;
	struct parse_note *note;
	size_t nnote, cap_note;
	size_t total;
	bool early;                      /* an instruction before the first FROM was reported */
	bool strange;                    /* the line before was an unknown instruction without suggestion */
};

static void gather_freep(struct gather *g)
{
	free(g->instr);
	free(g->global);
	free(g->stage);
	free(g->note);
}

/* ---- one instruction ---- */

static bool any_case(struct slice word, char from, char to)
{
	for (size_t i = 0; i < word.n; i++)
		if (word.p[i] >= from && word.p[i] <= to)
			return true;
	return false;
}

/* The nearest instruction in the case of what was written (19.1). */
static const char *nearest_instr(struct draft *d)
{
	const char *names[INSTR_COUNT] = { NULL };

	for (int i = 0; i < INSTR_COUNT; i++)
		names[i] = instr_table[i].word;

	const char *near = nearest_word(d->word, names, INSTR_COUNT, true);

	if (!near || any_case(d->word, 'A', 'Z'))
		return near;

	char *lower = arena_str(d->parse->arena, slice_of(near));

	for (char *c = lower; *c; c++)
		*c |= 0x20;
	return lower;
}

static const char *unknown_hint(struct draft *d)
{
	const char *near = nearest_instr(d);

	if (d->parse->lost_doc && d->parse->no_docs)
		return arena_printf(d->parse->arena, "look at '<<' in line %u: only RUN, COPY and ADD take here-documents", d->parse->lost_doc);
	if (d->parse->lost_doc)
		return arena_printf(d->parse->arena,
				    "look at '<<' in line %u: it opens a here-document only at the start of a word, "
				    "with all quotes closed", d->parse->lost_doc);
	if (near)
		return near;
	if (d->word.n == 0)
		return "remove the continuation character that stands alone";
	return any_case(d->word, 'a', 'z') ? "end the line before with '\\' if this one continues it" : NULL;
}

/* Lines of a body that was not recognised, or of a script, look like unknown instructions: one report with the reason
 * is enough. */
static void unknown_instr(struct draft *d, struct gather *g)
{
	bool typo = !d->parse->lost_doc && nearest_instr(d), again = g->strange && !typo;

	g->strange = !typo;
	d->failed = true;
	if (!again)
		draft_error(d, d->word, unknown_hint(d), "unknown instruction: %.*s", SLICE_F(d->word));
}

static struct instr *new_instr(struct parse *p, const struct logical *l)
{
	struct instr *in = arena_alloc(p->arena, sizeof(*in));

	*in = (struct instr){
		.at = logical_span(l, 0, l->text.n),
		.line = l->line,
		.end_line = l->end_line,
		.spelling = "",
		.text = "",
		.doc_comment = l->comment,
	};
	if (p->fixed) {
		in->at = p->fixed->at;
		in->line = p->fixed->line;
		in->end_line = p->fixed->end_line;
	} else {
		unsigned column = 0;

		source_where(p->file->source, in->at.from, &in->line, &column);
	}
	return in;
}

/* NULL: nothing that could be added to a stage (the errors are recorded). */
static struct instr *read_instr(struct parse *p, const struct logical *l, struct gather *g)
{
	struct draft d = { .parse = p, .line = l, .in = new_instr(p, l) };

	if (!l->text.p || l->text.n > LOGICAL_LINE_MAX) {
		parse_error(p, d.in->at, "a here-document has room for more",
			    "an instruction of %zu bytes, at most %d are read", l->text.n, LOGICAL_LINE_MAX);
		parse_limit(p);
		return NULL;
	}
	if (l->text.n && memchr(l->text.p, 0, l->text.n)) {
		parse_error(p, d.in->at, "remove it: no argument of a command can hold one",
			    "a NUL byte in an instruction");
		return NULL;
	}
	args_split(&d);
	if (d.in->id == INSTR_UNKNOWN) {
		unknown_instr(&d, g);
		return NULL;
	}
	g->strange = false;
	p->lost_doc = 0;
	args_shape(&d);
	if (!args_heredocs(&d)) {
		p->full = true;          /* what follows was read as the body */
		return NULL;
	}
	if (!d.failed)
		check_instr(&d);
	else
		flags_check(&d);
	/* A FROM with a mistake still opens its stage, or all that follows would be reported too. */
	return d.failed && d.in->id != INSTR_FROM ? NULL : d.in;
}

/* ---- stages ---- */

static void close_stage(struct parse *p, struct gather *g)
{
	if (!g->open)
		return;
	g->open->instr = arena_dup(p->arena, g->instr, g->ninstr * elem_size(g->instr));
	g->open->ninstr = g->ninstr;
	g->ninstr = 0;
	g->open = NULL;
}

static char *lower_case(struct arena *a, const char *s)
{
	char *copy = arena_str(a, slice_of(s));

	for (char *c = copy; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c |= 0x20;
	return copy;
}

static void open_stage(struct parse *p, struct gather *g, const struct instr *in)
{
	struct stage *s = arena_alloc(p->arena, sizeof(*s));
	const struct flag *platform = instr_flag(in, "platform");

	close_stage(p, g);
	*s = (struct stage){
		.index = (unsigned)g->nstage,
		.base = in->narg ? in->arg[0].text : "",
		.base_at = in->narg ? in->arg[0].at : in->at,
		.from = in,
		.end_line = in->end_line,
	};
	if (platform) {
		s->platform = platform->value;
		s->platform_at = platform->value_at;
	}
	if (in->narg == 3) {
		s->name = lower_case(p->arena, in->arg[2].text);
		s->name_spelling = in->arg[2].text;
		s->name_at = in->arg[2].at;
	}
	MEM_ROOM(g->stage, g->nstage, g->cap_stage);
	g->stage[g->nstage++] = s;
	g->open = s;
	if (g->nstage > FILE_STAGE_MAX) {
		parse_error(p, in->at, NULL, "more than %d stages", FILE_STAGE_MAX);
		parse_limit(p);
		p->full = true;
	}
}

static void add_instr(struct parse *p, struct gather *g, const struct instr *in)
{
	if (in->id == INSTR_FROM) {
		open_stage(p, g, in);
	} else if (g->open) {
		MEM_ROOM(g->instr, g->ninstr, g->cap_instr);
		g->instr[g->ninstr++] = in;
		g->open->end_line = in->end_line;
	} else if (in->id == INSTR_ARG) {
		MEM_ROOM(g->global, g->nglobal, g->cap_global);
		g->global[g->nglobal++] = in;
	} else if (!g->early) {
		g->early = true;
		parse_error(p, in->at, "begin the first stage with a FROM line; only ARG may stand before it",
			    "no build stage in current context");
	}
}

static void note_line(struct parse *p, struct gather *g, const struct logical *l)
{
	if (!l->empty_continuation)
		return;
	MEM_ROOM(g->note, g->nnote, g->cap_note);
	g->note[g->nnote++] = (struct parse_note){ NOTE_EMPTY_CONTINUATION, l->end_line };
}

static void read_all(struct parse *p, struct gather *g)
{
	struct logical l = { 0 };

	while (!p->full && lines_next(&p->lines, &l)) {
		note_line(p, g, &l);
		if (++g->total > FILE_INSTR_MAX) {
			parse_error(p, logical_span(&l, 0, 0), NULL, "more than %d instructions", FILE_INSTR_MAX);
			parse_limit(p);
			return;
		}

		const struct instr *in = read_instr(p, &l, g);

		if (in)
			add_instr(p, g, in);
	}
	close_stage(p, g);
}

static void keep(struct parse *p, const struct gather *g)
{
	struct file *f = p->file;

	f->global = arena_dup(p->arena, g->global, g->nglobal * elem_size(g->global));
	f->nglobal = g->nglobal;
	f->stage = arena_dup(p->arena, g->stage, g->nstage * elem_size(g->stage));
	f->nstage = g->nstage;
	f->notes = arena_dup(p->arena, g->note, g->nnote * sizeof(*g->note));
	f->nnotes = g->nnote;
}

/* ---- the file ---- */

static void read_directives(struct parse *p)
{
	AUTO(err_freep) struct err *e = NULL;
	struct file *f = p->file;
	struct span at = { 0 };
	struct slice value = SLICE_NONE;

	if (lines_directives(&p->lines, &at, &e) < 0)
		parse_take(p, at, &e);
	f->escape = p->lines.escape;
	if (lines_directive(f->source, "syntax", &value))
		f->syntax = arena_str(p->arena, value);
	if (lines_directive(f->source, "check", &value))
		f->check = arena_str(p->arena, value);
}

static void missing_stages(struct parse *p, const struct gather *g)
{
	unsigned lines = source_lines(p->file->source);
	struct span last = source_line_span(p->file->source, lines);

	if (p->errors->n || g->nstage)
		return;
	if (source_text(p->file->source).n == 0)
		parse_error(p, last, "begin with a line such as 'FROM debian'", "the Dockerfile cannot be empty");
	else if (g->nglobal == 0)
		parse_error(p, source_line_span(p->file->source, 1), "begin with a line such as 'FROM debian'",
			    "file with no instructions");
	else
		parse_error(p, g->global[g->nglobal - 1]->at, "add a FROM line",
			    "dockerfile contains no stages to build");
}

static bool lines_fit(struct parse *p)
{
	unsigned line = lines_too_long(p->file->source);

	if (line == 0)
		return true;
	parse_error(p, source_line_span(p->file->source, line), "break it with continuation lines",
		    "dockerfile line greater than max allowed size of %d", PHYSICAL_LINE_MAX);
	parse_limit(p);
	return false;
}

int file_parse(const char *name, struct slice text, struct file **ret, struct file_errors *errors)
{
	AUTO(file_freep) struct file *f = mem_zalloc(sizeof(*f));
	AUTO(gather_freep) struct gather g = { 0 };
	struct parse p = { .file = f, .errors = errors };

	*errors = (struct file_errors){ 0 };
	f->priv = mem_zalloc(sizeof(*f->priv));
	p.arena = &f->priv->arena;
	if (source_new(name, text, &f->source, &errors->err[0]) < 0) {
		errors->n = 1;
		return -1;
	}
	lines_init(&p.lines, f->source, p.arena);
	if (lines_fit(&p)) {
		read_directives(&p);
		read_all(&p, &g);
		missing_stages(&p, &g);
		keep(&p, &g);
	}
	lines_clear(&p.lines);
	if (errors->n)
		return -1;
	*ret = take(&f);
	return 0;
}

void file_errors_clear(struct file_errors *errors)
{
	for (size_t i = 0; i < errors->n; i++)
		err_free(errors->err[i]);
	*errors = (struct file_errors){ 0 };
}

void file_free(struct file *f)
{
	if (!f)
		return;
	if (f->priv) {
		for (size_t i = 0; i < f->priv->ntrigger; i++)
			source_free(f->priv->trigger[i]);
		free(f->priv->trigger);
		arena_clear(&f->priv->arena);
		free(f->priv);
	}
	source_free(f->source);
	free(f);
}

void file_freep(struct file **f)
{
	file_free(*f);
}

/* ---- triggers ---- */

/* The first mistake in it, which lies at FROM already, or that it is not one instruction. */
static int trigger_error(const struct file *f, const struct stage *stage, const char *text, struct file_errors *errors,
			 struct err **e)
{
	if (errors->n && e) {
		*e = take(&errors->err[0]);
		err_wrap(e, "ONBUILD trigger '%s' of the base of this stage", text);
	} else {
		err_set(e, ERR_INPUT, "onbuild trigger should be a single expression: %s", text);
	}
	file_errors_clear(errors);
	return diag_place(e, f->source, stage->from->at);
}

int file_parse_trigger(struct file *f, const struct stage *stage, const char *text, const struct instr **ret,
		       struct err **e)
{
	AUTO(gather_freep) struct gather g = { 0 };
	struct file_errors errors = { 0 };
	struct parse p = { .file = f, .arena = &f->priv->arena, .errors = &errors, .fixed = stage->from };
	struct source *s = NULL;
	struct logical l = { 0 }, more = { 0 };
	const struct instr *in = NULL;

	if (f->priv->ntrigger >= FILE_TRIGGER_MAX) {
		err_set(e, ERR_LIMIT, "more than %d triggers", FILE_TRIGGER_MAX);
		return diag_place(e, f->source, stage->from->at);
	}
	if (source_new("ONBUILD", slice_of(text), &s, e) < 0)
		return -1;
	MEM_ROOM(f->priv->trigger, f->priv->ntrigger, f->priv->cap);
	f->priv->trigger[f->priv->ntrigger++] = s;
	lines_init(&p.lines, s, p.arena);

	bool single = lines_too_long(s) == 0 && lines_next(&p.lines, &l);

	if (single)
		in = read_instr(&p, &l, &g);
	if (in && errors.n == 0 && lines_next(&p.lines, &more))
		in = NULL;
	lines_clear(&p.lines);
	if (!in || errors.n)
		return trigger_error(f, stage, text, &errors, e);
	/* An image may say what no Dockerfile could have put there (spec/threats.md M11). */
	if (in->id == INSTR_FROM || in->id == INSTR_ONBUILD || (instr_table[in->id].bits & INSTR_NO_TRIGGER)) {
		err_set(e, ERR_INPUT, "%s isn't allowed as an ONBUILD trigger", instr_table[in->id].word);
		return diag_place(e, f->source, stage->from->at);
	}
	*ret = in;
	return 0;
}
