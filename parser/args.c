/* parser/args.c - phase P: from a logical line to words, pairs, JSON elements, here-documents (2.5 - 2.9). */
#include "base/mem.h"
#include "parser/heredoc.h"
#include "parser/parse.h"
#include "parser/words.h"

#include <stdlib.h>

enum { HEREDOC_LINE_MAX = 256 };

static char *text_of(const struct draft *d, struct slice s)
{
	return arena_str(d->parse->arena, s);
}

/* ---- instruction word and flags ---- */

static struct flag flag_of(const struct draft *d, struct slice raw, char *text)
{
	struct flag f = { .name = text + 2, .at = draft_span(d, raw), .value_at = draft_span(d, raw) };
	char *equals = strchr(text, '=');
	const char *raw_equals = slice_find(raw, '=');

	if (equals) {
		*equals = '\0';
		f.value = equals + 1;
	}
	if (raw_equals && raw_equals + 1 < raw.p + raw.n)
		f.value_at = draft_span(d, slice_range(raw_equals + 1, raw.p + raw.n));
	return f;
}

static void split_flags(struct draft *d, struct slice rest)
{
	struct flag *v = NULL;
	size_t n = 0, cap = 0, at = 0;
	struct slice raw = SLICE_NONE;
	char *text = NULL;

	while (flag_next(rest, d->parse->lines.escape, &at, &raw, d->parse->arena, &text)) {
		MEM_ROOM(v, n, cap);
		v[n++] = flag_of(d, raw, text);
	}
	if (n) {
		d->in->flag = arena_dup(d->parse->arena, v, n * sizeof(*v));
		d->in->nflag = n;
	}
	free(v);
	d->args = trim_blanks(slice_skip(rest, at));
}

static void split(struct draft *d, struct slice text)
{
	size_t at = 0;

	word_next(text, &at, &d->word);
	d->in->spelling = text_of(d, d->word);
	d->in->id = instr_find(d->word);
	split_flags(d, slice_skip(text, at));
	d->in->has_text = d->args.n > 0;
	d->in->text = text_of(d, d->args);
	d->in->text_at = draft_span(d, d->args);
}

void args_split(struct draft *d)
{
	split(d, trim_blanks(d->line->text));
}

/* ---- shapes ---- */

static void shape_words(struct draft *d)
{
	struct slice w = SLICE_NONE;
	size_t n = 0, at = 0;

	while (word_next(d->args, &at, &w))
		n++;

	struct word *v = arena_alloc(d->parse->arena, n * sizeof(*v));

	at = 0;
	for (size_t i = 0; i < n && word_next(d->args, &at, &w); i++)
		v[i] = (struct word){ text_of(d, w), draft_span(d, w) };
	d->in->arg = v;
	d->in->narg = n;
}

static void one_arg(struct draft *d, struct slice text)
{
	struct word *v = arena_alloc(d->parse->arena, sizeof(*v));

	*v = (struct word){ text_of(d, text), draft_span(d, text) };
	d->in->arg = v;
	d->in->narg = text.n > 0;
}

/* True when the text is a JSON array, be it one of strings or the error of 2.7. */
static bool shape_json(struct draft *d, struct slice text)
{
	struct json_element *el = NULL;
	size_t n = 0;
	enum json_form form = json_form(text, d->parse->arena, &el, &n);

	if (form == JSON_FORM_NO)
		return false;
	if (form == JSON_FORM_OTHER) {
		draft_error(d, el->raw, "put every element in double quotes",
			    "when using JSON array syntax, arrays must be comprised of strings only");
		return true;
	}

	struct word *v = arena_alloc(d->parse->arena, n * sizeof(*v));

	for (size_t i = 0; i < n; i++) {
		v[i] = (struct word){ el[i].text, draft_span(d, el[i].raw) };
		if (strlen(el[i].text) != el[i].n)
			draft_error(d, el[i].raw, NULL, "an argument cannot hold a NUL character");
	}
	d->in->json = true;
	d->in->arg = v;
	d->in->narg = n;
	return true;
}

static void add_pair(struct draft *d, struct pair *ret, struct slice word)
{
	struct slice key = word, value = SLICE_NONE;
	bool has = slice_cut(word, '=', &key, &value);

	*ret = (struct pair){ text_of(d, key), has ? text_of(d, value) : NULL, draft_span(d, word) };
}

static size_t count_pairs(const struct draft *d, struct slice *first)
{
	struct slice w = SLICE_NONE;
	size_t n = 0, at = 0;

	while (pair_next(d->args, d->parse->lines.escape, &at, &w))
		if (n++ == 0)
			*first = w;
	return n;
}

/* `ENV key value`: split once at the first blanks, the value verbatim. */
static void shape_legacy(struct draft *d)
{
	struct slice key = SLICE_NONE;
	size_t at = 0;

	word_next(d->args, &at, &key);
	while (at < d->args.n && is_arg_blank(d->args.p[at]))
		at++;
	if (at == d->args.n) {
		const char *word = instr_table[d->in->id].word;

		draft_error(d, key, arena_printf(d->parse->arena, "%s %.*s=VALUE", word, SLICE_F(key)),
			    "%s must have two arguments", word);
		return;
	}

	struct pair *v = arena_alloc(d->parse->arena, sizeof(*v));

	*v = (struct pair){ text_of(d, key), text_of(d, slice_skip(d->args, at)), draft_span(d, d->args) };
	d->in->pair = v;
	d->in->npair = 1;
	d->in->legacy = true;
}

/* ENV, LABEL, ARG; only ARG has names without a value. */
static void shape_pairs(struct draft *d)
{
	struct slice w = SLICE_NONE;
	size_t n = count_pairs(d, &w), at = 0;
	bool values = d->in->id != INSTR_ARG;

	if (n && values && !slice_find(w, '=')) {
		shape_legacy(d);
		return;
	}

	struct pair *v = arena_alloc(d->parse->arena, n * sizeof(*v));

	for (size_t i = 0; i < n && pair_next(d->args, d->parse->lines.escape, &at, &w); i++) {
		add_pair(d, &v[i], w);
		if (values && !v[i].value)
			draft_error(d, w, "quote a value that holds blanks: name=\"a b\"",
				    "can't find = in '%.*s', must be of the form name=value", SLICE_F(w));
	}
	d->in->pair = v;
	d->in->npair = n;
}

static void shape_json_or_text(struct draft *d, struct slice text)
{
	if (!shape_json(d, text))
		one_arg(d, text);
}

/* Bytewise, as other implementations do it: the bytes 85 and A0 count, whatever character they belong to (2.1). */
static bool is_health_blank(char c)
{
	return is_arg_blank(c) || c == '\n' || c == '\x85' || c == '\xA0';
}

/* First word NONE or CMD, the rest as RUN. */
static void shape_health(struct draft *d)
{
	size_t n = 0, at = 0;

	while (n < d->args.n && !is_health_blank(d->args.p[n]))
		n++;
	at = n;
	while (at < d->args.n && is_health_blank(d->args.p[at]))
		at++;
	d->health = (struct slice){ d->args.p, n };
	d->in->health_none = slice_is_nocase(d->health, "NONE");
	shape_json_or_text(d, slice_skip(d->args, at));
}

static void shape_inner(struct draft *d);

static void shape(struct draft *d)
{
	switch (instr_table[d->in->id].shape) {
	case SHAPE_WORDS:
		shape_words(d);
		break;
	case SHAPE_TEXT:
		one_arg(d, d->args);
		break;
	case SHAPE_PAIRS:
	case SHAPE_ARGS:
		shape_pairs(d);
		break;
	case SHAPE_JSON:
	case SHAPE_JSON_OR_TEXT:
		shape_json_or_text(d, d->args);
		break;
	case SHAPE_JSON_OR_WORDS:
		if (!shape_json(d, d->args))
			shape_words(d);
		break;
	case SHAPE_HEALTH:
		shape_health(d);
		break;
	case SHAPE_INSTR:
		shape_inner(d);
		break;
	}
}

void args_shape(struct draft *d)
{
	if (d->in->id != INSTR_UNKNOWN)
		shape(d);
}

/* ONBUILD: the inner line is looked at for what fails on the line itself; the rest of it waits for the trigger (11). */
static void shape_inner(struct draft *d)
{
	struct instr *in = arena_alloc(d->parse->arena, sizeof(*in));
	struct draft inner = { .parse = d->parse, .line = d->line, .in = in };

	one_arg(d, d->args);
	if (d->args.n == 0)
		return;
	split(&inner, d->args);
	d->inner = in;
	if (in->id == INSTR_UNKNOWN || in->id == INSTR_ONBUILD)
		return;
	shape(&inner);
	d->failed |= inner.failed;
}

/* ---- here-documents ---- */

/* NULL: this line cannot open any. */
static const struct instr *heredoc_owner(const struct draft *d)
{
	const struct instr *in = d->in->id == INSTR_ONBUILD ? d->inner : d->in;

	if (!in || in->id == INSTR_UNKNOWN || in->json || !(instr_table[in->id].bits & INSTR_HEREDOC))
		return NULL;
	return memmem(d->line->text.p, d->line->text.n, "<<", 2) ? in : NULL;
}

static bool read_body(struct draft *d, const struct heredoc_word *w, struct heredoc *ret)
{
	struct lines *r = &d->parse->lines;
	struct span body = { 0 }, end = { 0 };

	if (!lines_heredoc(r, w->name, w->strip_tabs, &body, &end)) {
		const char *hint = arena_printf(d->parse->arena, "end it with a line that is exactly '%.*s'",
						SLICE_F(w->name));

		draft_error(d, w->raw, hint, "unterminated heredoc '%.*s'", SLICE_F(w->name));
		return false;
	}
	*ret = (struct heredoc){
		.name = w->name.p,
		.body = { source_text(r->source).p + body.from, body.to - body.from },
		.quoted = w->quoted,
		.strip_tabs = w->strip_tabs,
		.word = -1,
	};
	d->in->end_line = r->next - 1;
	if (!d->parse->fixed)
		d->in->at.to = end.to;
	return true;
}

/* <<-: all leading TABs of every line go. */
static struct slice strip_tabs(struct draft *d, struct slice body)
{
	char *out = arena_alloc(d->parse->arena, body.n + 1);
	size_t n = 0;
	bool start = true;

	for (size_t i = 0; i < body.n; i++) {
		if (start && body.p[i] == '\t')
			continue;
		start = body.p[i] == '\n';
		out[n++] = body.p[i];
	}
	return (struct slice){ out, n };
}

/* Text, then a newline, the body and the name for each: what a shell would have read (2.9.4 case 2, 2.9.6). */
static const char *with_bodies(struct draft *d, struct slice text)
{
	const struct instr *in = d->in;
	size_t total = text.n + 1;

	for (size_t i = 0; i < in->ndoc; i++)
		total += 1 + in->doc[i].body.n + strlen(in->doc[i].name);

	char *all = arena_alloc(d->parse->arena, total), *p = mempcpy(all, text.p, text.n);

	for (size_t i = 0; i < in->ndoc; i++) {
		*p++ = '\n';
		p = mempcpy(p, in->doc[i].body.p, in->doc[i].body.n);
		p = stpcpy(p, in->doc[i].name);
	}
	return all;
}

/* COPY and ADD: one here-document for every source word that names one; of two with the same name the last body
 * counts. What no word names was read and is not used (2.9.2, `<< EOF`). */
static void docs_of_sources(struct draft *d, struct heredoc *doc, size_t n)
{
	struct instr *in = d->in;
	struct heredoc *v = arena_alloc(d->parse->arena, (in->narg + n) * sizeof(*v));
	size_t nv = 0;

	for (size_t a = 0; a + 1 < in->narg; a++) {
		struct heredoc_word w = { 0 };

		if (!strstr(in->arg[a].text, "<<") || !heredoc_word(slice_of(in->arg[a].text), d->parse->arena, &w))
			continue;
		for (size_t i = n; i-- > 0;)
			if (slice_is(w.name, doc[i].name)) {
				v[nv] = doc[i];
				v[nv].quoted = w.quoted;
				v[nv].strip_tabs = w.strip_tabs;
				v[nv++].word = (int)a;
				break;
			}
	}
	for (size_t i = 0; i < n; i++) {
		bool used = false;

		for (size_t k = 0; k < nv && !used; k++)
			used = strcmp(v[k].name, doc[i].name) == 0;
		if (!used)
			v[nv++] = doc[i];
	}
	in->doc = v;
	in->ndoc = nv;
	for (size_t i = 0; i < nv; i++)
		v[i].content = v[i].strip_tabs ? strip_tabs(d, v[i].body) : v[i].body;
}

static void check_nul(struct draft *d, struct slice body)
{
	if (body.n && memchr(body.p, 0, body.n))
		draft_error(d, d->args, NULL, "the here-document of a command cannot hold a NUL byte");
}

static void use_docs(struct draft *d, struct heredoc *doc, size_t n)
{
	struct heredoc_word whole = { 0 };
	struct instr *in = d->in;

	in->doc = doc;
	in->ndoc = n;
	if (in->id == INSTR_COPY || in->id == INSTR_ADD) {
		docs_of_sources(d, doc, n);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		doc[i].content = doc[i].strip_tabs ? strip_tabs(d, doc[i].body) : doc[i].body;
		check_nul(d, doc[i].body);
	}
	if (in->id == INSTR_ONBUILD) {
		in->trigger = with_bodies(d, d->args);
		return;
	}
	in->sole_doc = heredoc_word(d->args, d->parse->arena, &whole);
	in->run_text = in->sole_doc ? text_of(d, doc[0].content) : with_bodies(d, d->args);
}

bool args_heredocs(struct draft *d)
{
	const struct instr *owner = heredoc_owner(d);
	struct heredoc_word *w = NULL;
	size_t n = 0;

	if (d->in->id == INSTR_RUN && !d->in->json)
		d->in->run_text = d->in->text;
	if (d->in->id == INSTR_ONBUILD)
		d->in->trigger = d->in->text;
	if (!owner) {
		d->parse->no_docs = !d->in->json && memmem(d->line->text.p, d->line->text.n, "<<", 2) &&
				    heredoc_find(d->line->text, d->parse->arena, &w, &n) && n;
		if (d->parse->no_docs)
			d->parse->lost_doc = d->in->line;
		return true;
	}
	heredoc_find(d->line->text, d->parse->arena, &w, &n);
	if (n == 0) {
		d->parse->lost_doc = d->in->line;
		d->parse->no_docs = false;
		return true;
	}

	if (n > HEREDOC_LINE_MAX) {
		draft_error(d, d->args, NULL, "%zu here-documents on one line, at most %d are read", n, HEREDOC_LINE_MAX);
		draft_limit(d);
		return false;
	}

	struct heredoc *doc = arena_alloc(d->parse->arena, n * sizeof(*doc));

	for (size_t i = 0; i < n; i++)
		if (!read_body(d, &w[i], &doc[i]))
			return false;
	use_docs(d, doc, n);
	return true;
}
