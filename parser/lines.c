/* parser/lines.c - directives, comments, continuation, bodies of here-documents. */
#include "parser/lines.h"

#include "base/mem.h"
#include "parser/words.h"

#include <stdlib.h>

void lines_init(struct lines *r, const struct source *s, struct arena *a)
{
	*r = (struct lines){ .source = s, .arena = a, .escape = '\\', .next = 1 };
}

void lines_clear(struct lines *r)
{
	free(r->comment);
	r->comment = NULL;
	r->ncomment = r->cap = 0;
}

unsigned lines_too_long(const struct source *s)
{
	for (unsigned line = 1; line <= source_lines(s); line++) {
		struct span at = source_line_span(s, line);

		if (at.to - at.from > PHYSICAL_LINE_MAX && source_line(s, line).n > PHYSICAL_LINE_MAX)
			return line;
	}
	return 0;
}

/* ---- directives ---- */

enum directive { DIRECTIVE_SYNTAX, DIRECTIVE_ESCAPE, DIRECTIVE_CHECK, DIRECTIVES, DIRECTIVE_NONE = -1 };
static const char *const directive_name[DIRECTIVES] = { "syntax", "escape", "check" };

static struct slice skip_directive_blanks(struct slice s)
{
	while (s.n && strchr(" \t\n\f\r", s.p[0]))
		s = slice_skip(s, 1);
	return s;
}

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* `# name = value` with a name we know, else DIRECTIVE_NONE. */
static enum directive directive_of(struct slice line, struct slice *name, struct slice *value)
{
	if (!slice_starts(line, "#"))
		return DIRECTIVE_NONE;
	line = skip_directive_blanks(slice_skip(line, 1));

	size_t n = 0;

	while (n < line.n && (is_alpha(line.p[n]) || (n && line.p[n] >= '0' && line.p[n] <= '9')))
		n++;
	*name = (struct slice){ line.p, n };
	line = skip_directive_blanks(slice_skip(line, n));
	if (n == 0 || !slice_starts(line, "="))
		return DIRECTIVE_NONE;
	*value = slice_trim(slice_skip(line, 1), " \t\n\f\r");
	if (value->n == 0)
		return DIRECTIVE_NONE;
	for (int i = 0; i < DIRECTIVES; i++)
		if (slice_is_nocase(*name, directive_name[i]))
			return (enum directive)i;
	return DIRECTIVE_NONE;
}

static struct span span_in(const struct source *s, struct slice part)
{
	uint32_t from = (uint32_t)(part.p - source_text(s).p);

	return (struct span){ from, from + (uint32_t)part.n };
}

int lines_directives(struct lines *r, struct span *at, struct err **e)
{
	bool seen[DIRECTIVES] = { false };

	for (; r->next <= source_lines(r->source); r->next++) {
		struct slice name = SLICE_NONE, value = SLICE_NONE;
		enum directive d = directive_of(trim_blanks_left(source_line(r->source, r->next)), &name, &value);

		if (d == DIRECTIVE_NONE)
			break;
		if (seen[d]) {
			*at = span_in(r->source, name);
			err_set(e, ERR_INPUT, "only one %s parser directive can be used", directive_name[d]);
			return err_hint(e, "remove one of the lines");
		}
		seen[d] = true;
		if (d != DIRECTIVE_ESCAPE)
			continue;
		if (!slice_is(value, "\\") && !slice_is(value, "`")) {
			*at = span_in(r->source, value);
			err_set(e, ERR_INPUT, "invalid escape token '%.*s' does not match ` or \\", SLICE_F(value));
			return err_hint(e, "use '# escape=\\' or '# escape=`'");
		}
		r->escape = value.p[0];
	}
	return 0;
}

bool lines_directive(const struct source *s, const char *name, struct slice *ret)
{
	bool seen[DIRECTIVES] = { false };
	unsigned line = slice_starts(source_text(s), "#!") ? 2 : 1;

	for (; line <= source_lines(s); line++) {
		struct slice found = SLICE_NONE, value = SLICE_NONE;
		enum directive d = directive_of(source_line(s, line), &found, &value);

		if (d == DIRECTIVE_NONE || seen[d])
			return false;
		seen[d] = true;
		if (strcmp(directive_name[d], name) == 0) {
			slice_cut(value, ' ', ret, &value);
			return true;
		}
	}
	return false;
}

/* ---- comments ---- */

static bool is_comment(struct slice line)
{
	return slice_starts(trim_blanks_left(line), "#");
}

/* Only the first byte of the line is dropped, so an indented comment keeps its '#' (2.4). */
static void collect_comment(struct lines *r, struct slice line)
{
	struct slice text = trim_blanks(slice_skip(line, 1));

	if (text.n == 0) {
		r->ncomment = 0;
		return;
	}
	MEM_ROOM(r->comment, r->ncomment, r->cap);
	r->comment[r->ncomment++] = text;
}

static const char *take_comments(struct lines *r)
{
	size_t total = 1;

	if (r->ncomment == 0)
		return "";
	for (size_t i = 0; i < r->ncomment; i++)
		total += r->comment[i].n + 1;

	char *text = arena_alloc(r->arena, total), *p = text;

	for (size_t i = 0; i < r->ncomment; i++) {
		if (i)
			*p++ = '\n';
		memcpy(p, r->comment[i].p, r->comment[i].n);
		p += r->comment[i].n;
	}
	r->ncomment = 0;
	return text;
}

/* ---- continuation ---- */

struct pieces {
	struct piece *v;
	size_t n, cap, total;
};

static void pieces_freep(struct pieces *p)
{
	free(p->v);
}

/* Cuts the escape at the end of the line: true when the line goes on (2.3, step 2). */
static bool cut_continuation(struct slice *line, char escape)
{
	size_t n = line->n;

	while (n && (line->p[n - 1] == ' ' || line->p[n - 1] == '\t'))
		n--;
	if (n == 0 || line->p[n - 1] != escape || (n > 1 && line->p[n - 2] == escape))
		return false;
	line->n = n - 1;
	return true;
}

static void add_piece(struct pieces *p, const struct source *s, struct slice part)
{
	if (part.n == 0)
		return;
	MEM_ROOM(p->v, p->n, p->cap);
	p->v[p->n++] = (struct piece){ (uint32_t)p->total, span_in(s, part).from, (uint32_t)part.n };
	p->total += part.n;
}

static void read_continuation(struct lines *r, struct pieces *p, struct logical *ret)
{
	for (bool more = true; more && r->next <= source_lines(r->source);) {
		struct slice line = source_line(r->source, r->next);

		ret->end_line = r->next++;
		if (is_comment(line))
			continue;
		if (trim_blanks_left(line).n == 0) {
			ret->empty_continuation = true;
			continue;
		}
		more = cut_continuation(&line, r->escape);
		add_piece(p, r->source, line);
	}
}

static struct slice join(struct lines *r, const struct pieces *p)
{
	const char *text = source_text(r->source).p;

	if (p->total > LOGICAL_LINE_MAX)
		return (struct slice){ NULL, p->total };
	if (p->n == 0)
		return (struct slice){ text, 0 };
	if (p->n == 1)
		return (struct slice){ text + p->v[0].from, p->v[0].n };

	char *joined = arena_alloc(r->arena, p->total + 1);

	for (size_t i = 0; i < p->n; i++)
		memcpy(joined + p->v[i].at, text + p->v[i].from, p->v[i].n);
	return (struct slice){ joined, p->total };
}

bool lines_next(struct lines *r, struct logical *ret)
{
	while (r->next <= source_lines(r->source)) {
		AUTO(pieces_freep) struct pieces p = { 0 };
		unsigned number = r->next++;
		struct slice raw = source_line(r->source, number), line = trim_blanks_left(raw);

		if (slice_starts(line, "#")) {
			collect_comment(r, raw);
			continue;
		}
		if (line.n == 0)
			continue;
		*ret = (struct logical){ .line = number, .end_line = number };

		bool more = cut_continuation(&line, r->escape);

		add_piece(&p, r->source, line);
		if (more)
			read_continuation(r, &p, ret);
		ret->text = join(r, &p);
		if (p.n == 0)            /* an escape and nothing after it: an empty instruction word (2.3) */
			add_piece(&p, r->source, (struct slice){ line.p, 1 });
		ret->piece = arena_dup(r->arena, p.v, p.n * sizeof(*p.v));
		ret->npiece = p.n;
		ret->comment = take_comments(r);
		return true;
	}
	return false;
}

bool lines_heredoc(struct lines *r, struct slice name, bool strip_tabs, struct span *body, struct span *terminator)
{
	body->from = source_line_span(r->source, r->next).from;
	for (; r->next <= source_lines(r->source); r->next++) {
		struct slice line = source_line(r->source, r->next);

		if (strip_tabs)
			while (slice_starts(line, "\t"))
				line = slice_skip(line, 1);
		if (slice_equal(line, name)) {
			body->to = source_line_span(r->source, r->next).from;
			*terminator = span_in(r->source, line);
			r->next++;
			return true;
		}
	}
	body->to = (uint32_t)source_text(r->source).n;
	return false;
}

static const struct piece *piece_at(const struct logical *l, size_t at)
{
	size_t low = 0, high = l->npiece;

	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;

		if (l->piece[mid].at <= at)
			low = mid;
		else
			high = mid;
	}
	return &l->piece[low];
}

struct span logical_span(const struct logical *l, size_t from, size_t to)
{
	const struct piece *first = piece_at(l, from), *last = to > from ? piece_at(l, to - 1) : first;

	return (struct span){ first->from + (uint32_t)(from - first->at), last->from + (uint32_t)(to - last->at) };
}
