/* parser/subst.c - matching by sets of positions, so that no pattern makes it slow. */
#include "parser/subst.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>

enum kind { LITERAL, ANY, RUN };

struct element {
	enum kind kind;
	unsigned char n;                 /* LITERAL: bytes of one character */
	char bytes[4];
};
struct pattern {
	struct element *v;
	size_t n, cap;
};

static void pattern_freep(struct pattern *p)
{
	free(p->v);
}

static void add_literal(struct pattern *p, struct slice text, size_t *at)
{
	struct element el = { .kind = LITERAL };
	size_t width = 0;

	utf8_decode(slice_skip(text, *at), &width);
	memcpy(el.bytes, text.p + *at, width);
	el.n = (unsigned char)width;
	MEM_ROOM(p->v, p->n, p->cap);
	p->v[p->n++] = el;
	*at += width;
}

static int bad_escape(struct slice text, size_t at, struct err **e)
{
	struct slice what = slice_skip(text, at);

	if (what.n > 2)
		what.n = 2;
	err_set(e, ERR_INPUT, "invalid pattern (%.*s): invalid escape '%.*s'", SLICE_F(text), SLICE_F(what));
	return err_hint(e, "only \\* \\? \\\\ \\} and \\/ are escapes here; put other characters in single quotes");
}

static int compile(struct slice text, struct pattern *p, struct err **e)
{
	for (size_t at = 0; at < text.n;) {
		char c = text.p[at];

		if (c == '*' || c == '?') {
			MEM_ROOM(p->v, p->n, p->cap);
			p->v[p->n++] = (struct element){ .kind = c == '*' ? RUN : ANY };
			at++;
			continue;
		}
		if (c == '\\') {
			if (at + 1 == text.n || !text.p[at + 1] || !strchr("*?\\}/", text.p[at + 1]))
				return bad_escape(text, at, e);
			at++;
		}
		add_literal(p, text, &at);
	}
	return 0;
}

static int spend(size_t *work, size_t n, struct err **e)
{
	if (n > SUBST_WORK_MAX || *work > SUBST_WORK_MAX - n)
		return err_set(e, ERR_LIMIT, "pattern substitution takes more than %d steps", SUBST_WORK_MAX);
	*work += n;
	return 0;
}

/* Does the element take the character at `at`? Its width, or 0. */
static size_t takes(const struct element *el, struct slice value, size_t at)
{
	size_t width = 0;

	if (at >= value.n)
		return 0;
	if (el->kind == LITERAL)
		return value.n - at >= el->n && memcmp(value.p + at, el->bytes, el->n) == 0 ? el->n : 0;
	return utf8_decode(slice_skip(value, at), &width) == '\n' ? 0 : width;
}

/* Sets of positions as bytes; nothing is set outside [low, high]. */
struct set {
	unsigned char *at;
	size_t low, high;
	bool any;
};

static void set_add(struct set *s, size_t i)
{
	s->at[i] = 1;
	if (!s->any || i < s->low)
		s->low = i;
	if (!s->any || i > s->high)
		s->high = i;
	s->any = true;
}

static void set_empty(struct set *s)
{
	if (s->any)
		memset(s->at + s->low, 0, s->high - s->low + 1);
	s->any = false;
}

static void advance(const struct element *el, struct slice value, struct set *from, struct set *to)
{
	set_empty(to);
	if (!from->any)
		return;

	bool run = el->kind == RUN;

	/* A run goes on from where it got to, so what it adds is looked at in the same pass. */
	for (size_t i = from->low, last = from->high; i <= last; i++) {
		if (!from->at[i] && !(run && to->at[i]))
			continue;
		if (run)
			set_add(to, i);

		size_t width = takes(el, value, i);

		if (width)
			set_add(to, i + width);
		if (run && width && i + width > last)
			last = i + width;
	}
}

struct matcher {
	struct slice value;
	struct set a, b;
};

static void matcher_freep(struct matcher *m)
{
	free(m->a.at);
	free(m->b.at);
}

static void matcher_init(struct matcher *m, struct slice value)
{
	*m = (struct matcher){ .value = value };
	m->a.at = mem_array(value.n + 1, 1);
	m->b.at = mem_array(value.n + 1, 1);
}

/* Where a match that starts at `start` ends: the nearest or the farthest place. False: there is none, or *work is over
 * its bound, which the caller's next spend() reports. */
static bool match_end(struct matcher *m, const struct pattern *p, size_t start, bool longest, size_t *ret, size_t *work)
{
	struct set *from = &m->a, *to = &m->b;

	set_empty(from);
	set_add(from, start);
	for (size_t i = 0; i < p->n && from->any; i++) {
		struct set *swap = from;

		*work += from->high - from->low + 1;
		if (*work > SUBST_WORK_MAX)
			return false;
		advance(&p->v[i], m->value, from, to);
		from = to;
		to = swap;
	}
	if (!from->any)
		return false;
	*ret = longest ? from->high : from->low;
	return true;
}

/* The characters in reverse order, so that a suffix becomes a prefix. */
static void reverse(struct slice value, char *out)
{
	size_t left = value.n, width = 0;

	for (size_t i = 0; i < value.n; i += width) {
		utf8_decode(slice_skip(value, i), &width);
		left -= width;
		memcpy(out + left, value.p + i, width);
	}
}

static void reverse_pattern(struct pattern *p)
{
	for (size_t i = 0, k = p->n; i + 1 < k; i++) {
		struct element el = p->v[i];

		p->v[i] = p->v[--k];
		p->v[k] = el;
	}
}

int subst_trim(struct slice pattern, struct slice value, bool suffix, bool longest, size_t *work, struct buf *out,
	       struct err **e)
{
	AUTO(pattern_freep) struct pattern p = { 0 };
	AUTO(matcher_freep) struct matcher m = { 0 };
	AUTO(mem_freep) char *turned = NULL;
	struct slice seen = value;
	size_t end = 0;

	if (compile(pattern, &p, e) < 0 || spend(work, 2 * value.n, e) < 0)
		return -1;
	if (suffix) {
		turned = mem_alloc(value.n + 1);
		reverse(value, turned);
		reverse_pattern(&p);
		seen.p = turned;
	}
	matcher_init(&m, seen);
	if (!match_end(&m, &p, 0, longest, &end, work))
		end = 0;
	buf_slice(out, suffix ? (struct slice){ value.p, value.n - end } : slice_skip(value, end));
	return spend(work, 0, e);
}

/* can[i]: a match may start at i. From the last element to the first, each set made of the next one's in place. */
static int mark_starts(const struct pattern *p, struct slice value, unsigned char *can, size_t *work, struct err **e)
{
	size_t cost = 0;

	if (ckd_mul(&cost, p->n + 1, value.n + 1))
		cost = SIZE_MAX;
	if (spend(work, cost, e) < 0)
		return -1;
	memset(can, 1, value.n + 1);
	for (size_t k = p->n; k-- > 0;) {
		const struct element *el = &p->v[k];

		for (size_t step = 0; step <= value.n; step++) {
			size_t i = el->kind == RUN ? value.n - step : step;
			size_t width = takes(el, value, i);
			bool further = width && can[i + width];

			can[i] = el->kind == RUN ? can[i] || further : further;
		}
	}
	return 0;
}

struct replacing {
	struct matcher *m;
	const struct pattern *p;
	const unsigned char *can;
	struct slice by;
	size_t *work;
};

/* The first match at or behind `from`; only places where a character starts count. */
static bool next_match(const struct replacing *r, size_t from, size_t *start, size_t *end)
{
	struct slice value = r->m->value;
	size_t width = 1;

	for (size_t i = from; i <= value.n; i += width) {
		if (i < value.n)
			utf8_decode(slice_skip(value, i), &width);
		if (r->can[i]) {
			*start = i;
			return match_end(r->m, r->p, i, true, end, r->work);
		}
	}
	return false;
}

/* An empty match directly behind another one is not replaced, and the search always moves on (as Go's regexp does). */
static int replace_all(const struct replacing *r, bool all, struct buf *out, struct err **e)
{
	struct slice value = r->m->value;
	size_t search = 0, last = 0, start = 0, end = 0;

	while (search <= value.n && next_match(r, search, &start, &end)) {
		size_t width = 1;

		if (spend(r->work, 1, e) < 0 || buf_ok(out, "expansion", e) < 0)
			return -1;
		buf_slice(out, (struct slice){ value.p + last, start - last });
		if (end > last || start == 0)
			buf_slice(out, r->by);
		last = end;
		if (!all)
			break;
		if (search < value.n)
			utf8_decode(slice_skip(value, search), &width);
		search = search + width > end ? search + width : end;
	}
	buf_slice(out, slice_skip(value, last));
	return spend(r->work, 0, e);
}

int subst_replace(struct slice pattern, struct slice value, struct slice by, bool all, size_t *work, struct buf *out,
		  struct err **e)
{
	AUTO(pattern_freep) struct pattern p = { 0 };
	AUTO(matcher_freep) struct matcher m = { 0 };
	AUTO(mem_freep) unsigned char *can = mem_alloc(value.n + 1);

	if (compile(pattern, &p, e) < 0 || mark_starts(&p, value, can, work, e) < 0)
		return -1;
	matcher_init(&m, value);

	struct replacing r = { &m, &p, can, by, work };

	return replace_all(&r, all, out, e);
}
