/* base/glob.c - wildcard patterns of COPY, and lists of ignore patterns.
 *
 * The first kind is matched with one saved place to go back to: '*' stops at '/', so the last one decides. The second
 * kind becomes a list of tokens that runs as a set of states, because '**' and '*' together would need more than that.
 */
#include "base/glob.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <limits.h>
#include <stdlib.h>

/* A byte that is no UTF-8 equals only itself. */
enum { BAD_BYTE = 0x110000 };

static uint32_t take_char(struct slice s, size_t *at)
{
	size_t width = 0;
	uint32_t c = utf8_decode(slice_skip(s, *at), &width);

	if (c == UTF8_BAD && width == 1)
		c = BAD_BYTE + (unsigned char)s.p[*at];
	*at += width;
	return c;
}

/* ---- Appendix B ---- */

bool glob_has_meta(struct slice pattern)
{
	for (size_t i = 0; i < pattern.n; i++) {
		if (pattern.p[i] == '*' || pattern.p[i] == '?' || pattern.p[i] == '[')
			return true;
		if (pattern.p[i] == '\\')
			i++;
	}
	return false;
}

/* One end of a range at *at; false: malformed. Something has to follow it. */
static bool class_char(struct slice pattern, size_t *at, uint32_t *ret)
{
	if (*at >= pattern.n || pattern.p[*at] == '-' || pattern.p[*at] == ']')
		return false;
	if (pattern.p[*at] == '\\' && ++*at >= pattern.n)
		return false;
	*ret = take_char(pattern, at);
	return *ret < BAD_BYTE && *at < pattern.n;
}

/* The class whose '[' is at *at: 1 c is in it, 0 not, -1 malformed. *at moves behind it. */
static int class_match(struct slice pattern, size_t *at, uint32_t c)
{
	bool negated = false, in = false;

	(*at)++;
	if (*at < pattern.n && pattern.p[*at] == '^') {
		negated = true;
		(*at)++;
	}
	for (unsigned ranges = 0;; ranges++) {
		uint32_t low = 0, high = 0;

		if (ranges && *at < pattern.n && pattern.p[*at] == ']') {
			(*at)++;
			return in != negated;
		}
		if (!class_char(pattern, at, &low))
			return -1;
		high = low;
		if (pattern.p[*at] == '-') {
			(*at)++;
			if (!class_char(pattern, at, &high))
				return -1;
		}
		in |= low <= c && c <= high;
	}
}

static bool well_formed(struct slice pattern)
{
	for (size_t i = 0; i < pattern.n;) {
		if (pattern.p[i] == '[') {
			if (class_match(pattern, &i, 0) < 0)
				return false;
		} else if (pattern.p[i++] == '\\' && i++ == pattern.n) {
			return false;
		}
	}
	return true;
}

int glob_check(struct slice pattern, struct err **e)
{
	if (well_formed(pattern))
		return 0;
	err_set(e, ERR_INPUT, "syntax error in pattern '%.*s'", SLICE_F(pattern));
	return err_hint(e, "close every '[', and write '\\' only in front of another character");
}

bool glob_cut(struct slice pattern, struct slice *component, struct slice *rest)
{
	size_t at = 0, n = 0;

	for (; at < pattern.n && pattern.p[at] != '/'; n = at) {
		if (pattern.p[at] == '[') {
			if (class_match(pattern, &at, 0) < 0)
				break;
			continue;
		}
		/* An escaped '/' is one. */
		if (pattern.p[at] == '\\' && at + 1 < pattern.n && pattern.p[++at] == '/')
			break;
		at++;
	}
	*component = (struct slice){ pattern.p, n };
	*rest = slice_skip(pattern, at < pattern.n ? at + 1 : at);
	return at < pattern.n;
}

/* One step of the pattern at *p against the character at *n. False: no match; both move otherwise. */
static bool glob_step(struct slice pattern, size_t *p, struct slice name, size_t *n)
{
	size_t at = *n;

	if (at >= name.n)
		return false;

	uint32_t c = take_char(name, &at);
	bool same = false;

	switch (pattern.p[*p]) {
	case '?':
		same = c != '/';
		(*p)++;
		break;
	case '[':
		same = class_match(pattern, p, c) > 0 && c != '/';
		break;
	case '\\':
		(*p)++;
		same = take_char(pattern, p) == c;
		break;
	default:
		same = take_char(pattern, p) == c;
	}
	*n = at;
	return same;
}

int glob_match(struct slice pattern, struct slice name)
{
	size_t p = 0, n = 0, star = 0, retry = 0;
	bool again = false;

	if (!well_formed(pattern))
		return GLOB_NO;
	while (p < pattern.n || n < name.n) {
		if (p < pattern.n && pattern.p[p] == '*') {
			star = ++p;
			retry = n;
			again = true;
			continue;
		}
		if (p < pattern.n && glob_step(pattern, &p, name, &n))
			continue;
		if (!again || retry >= name.n || name.p[retry] == '/')
			return GLOB_NO;
		take_char(name, &retry);
		p = star;
		n = retry;
	}
	return GLOB_YES;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* One row of the table of distances, from that of the pattern without its next character. literal: what that is, 0 for any. */
static void distance_row(unsigned *row, struct slice name, bool star, char literal)
{
	unsigned diagonal = row[0];

	row[0] += !star;
	for (size_t j = 1; j <= name.n; j++) {
		unsigned above = row[j];
		struct slice here = { name.p + j - 1, 1 };
		bool same = !literal || slice_is_nocase(here, (char[]){ literal, '\0' });

		row[j] = star ? least(above, row[j - 1]) : least(diagonal + !same, least(above, row[j - 1]) + 1);
		diagonal = above;
	}
}

unsigned glob_distance(struct slice pattern, struct slice name)
{
	enum { NAME = 255 };
	unsigned row[NAME + 1], own = 0;

	if (name.n > NAME || !well_formed(pattern))
		return UINT_MAX;
	for (size_t j = 0; j <= name.n; j++)
		row[j] = (unsigned)j;
	for (size_t p = 0; p < pattern.n;) {
		char c = pattern.p[p], literal = '\0';

		if (c == '[') {
			(void)class_match(pattern, &p, 0);
		} else {
			p += c == '\\';
			literal = c == '*' || c == '?' ? '\0' : pattern.p[p];
			p++;
		}
		own += literal != '\0';
		distance_row(row, name, c == '*', literal);
	}
	return 2 * row[name.n] < own ? row[name.n] : UINT_MAX;
}

/* ---- Appendix C: one pattern as tokens ---- */

enum token_kind {
	T_CHAR,
	T_ANY,                           /* ? */
	T_CLASS,
	T_STAR,                          /* any run without '/' */
	T_TREE,                          /* two stars before more: nothing, or any text that ends in '/' */
	T_REST,                          /* two stars at the end: any text */
};
struct token {
	enum token_kind kind;
	uint32_t c;                      /* T_CHAR */
	uint32_t at;                     /* T_CLASS: where it begins in the text */
};
struct pat {
	char *text;
	size_t n;
	bool negative;
	bool suffix;                     /* two stars, then plain text: compares the end of the path */
	unsigned line;
	size_t plain;                    /* bytes at the start that stand for themselves */
	struct token *token;
	size_t ntoken, cap;
};
struct pats {
	struct pat *v;
	size_t n, cap;
	bool negative;
};

static struct slice text_of(const struct pat *t)
{
	return (struct slice){ t->text, t->n };
}

static void add_token(struct pat *t, struct token token)
{
	MEM_ROOM(t->token, t->ntoken, t->cap);
	t->token[t->ntoken++] = token;
}

static void add_stars(struct pat *t, size_t *at)
{
	struct slice s = text_of(t);

	(*at)++;
	if (*at >= s.n || s.p[*at] != '*') {
		add_token(t, (struct token){ .kind = T_STAR });
		return;
	}
	(*at)++;
	if (*at < s.n && s.p[*at] == '/')
		(*at)++;
	add_token(t, (struct token){ .kind = *at == s.n ? T_REST : T_TREE });
}

static void compile(struct pat *t)
{
	struct slice s = text_of(t);

	for (size_t at = 0; at < s.n;) {
		struct token token = { .kind = T_CHAR, .at = (uint32_t)at };

		switch (s.p[at]) {
		case '*':
			add_stars(t, &at);
			continue;
		case '?':
			token.kind = T_ANY;
			at++;
			break;
		case '[':
			token.kind = T_CLASS;
			class_match(s, &at, 0);
			break;
		case '\\':
			at++;
			token.c = take_char(s, &at);
			break;
		default:
			token.c = take_char(s, &at);
		}
		add_token(t, token);
	}
	while (t->plain < s.n && !strchr("*?[\\", s.p[t->plain]))
		t->plain++;
	t->suffix = slice_starts(s, "**") && !memchr(s.p + 2, '*', s.n - 2) && !memchr(s.p + 2, '?', s.n - 2) &&
		    !memchr(s.p + 2, '[', s.n - 2) && !memchr(s.p + 2, '\\', s.n - 2);
}

struct pats *pats_new(void)
{
	return mem_zalloc(sizeof(struct pats));
}

int pats_add(struct pats *p, struct slice text, bool negative, unsigned line, struct err **e)
{
	if (glob_check(text, e) < 0)
		return -1;
	MEM_ROOM(p->v, p->n, p->cap);

	struct pat *t = &p->v[p->n++];

	*t = (struct pat){
		.text = mem_strn(text.n ? text.p : "", text.n),
		.n = text.n,
		.negative = negative,
		.line = line,
	};
	compile(t);
	p->negative |= negative;
	return 0;
}

void pats_freep(struct pats **p)
{
	if (!*p)
		return;
	for (size_t i = 0; i < (*p)->n; i++) {
		free((*p)->v[i].text);
		free((*p)->v[i].token);
	}
	free((*p)->v);
	free(*p);
	*p = NULL;
}

size_t pats_count(const struct pats *p)
{
	return p->n;
}

bool pats_has_negative(const struct pats *p)
{
	return p->negative;
}

struct slice pats_text(const struct pats *p, size_t i)
{
	return text_of(&p->v[i]);
}

unsigned pats_line(const struct pats *p, size_t i)
{
	return p->v[i].line;
}

/* ---- the set of states ---- */

enum { STATES_SMALL = 128 };

struct states {
	uint32_t *at;
	uint32_t *mark;                  /* of each state: twice the round in which it was entered, and 1 when what follows it is, too */
	size_t n;
};
struct machine {
	const struct pat *t;
	struct states now, next;
	uint32_t round;
	uint32_t small[4 * (STATES_SMALL + 1)];
	uint32_t *big;
};

static void machine_freep(struct machine *m)
{
	free(m->big);
}

/* m is zeroed. */
static void machine_init(struct machine *m, const struct pat *t)
{
	size_t room = t->ntoken + 1;
	uint32_t *space = m->small;

	m->t = t;
	if (room > STATES_SMALL)
		space = m->big = mem_array(4 * room, sizeof(*space));
	m->now = (struct states){ space, space + room, 0 };
	m->next = (struct states){ space + 2 * room, space + 3 * room, 0 };
}

static void add_one(struct machine *m, struct states *s, size_t k)
{
	if (s->mark[k] / 2 == m->round)
		return;
	s->mark[k] = 2 * m->round;
	s->at[s->n++] = (uint32_t)k;
}

/* Enter state k, and what can be reached from it without a character: once in a round, or many stars would take the square of their number (D6). */
static void enter(struct machine *m, struct states *s, size_t k)
{
	for (; k < m->t->ntoken && m->t->token[k].kind >= T_STAR; k++) {
		if (s->mark[k] == 2 * m->round + 1)
			return;
		add_one(m, s, k);
		s->mark[k] = 2 * m->round + 1;
	}
	add_one(m, s, k);
}

static void step(struct machine *m, size_t k, uint32_t c)
{
	const struct token *token = &m->t->token[k];
	size_t at = token->at;

	switch (token->kind) {
	case T_CHAR:
		if (c == token->c)
			enter(m, &m->next, k + 1);
		break;
	case T_ANY:
		if (c != '/')
			enter(m, &m->next, k + 1);
		break;
	case T_CLASS:
		if (class_match(text_of(m->t), &at, c) > 0)
			enter(m, &m->next, k + 1);
		break;
	case T_STAR:
		if (c != '/')
			enter(m, &m->next, k);
		break;
	case T_TREE:
		add_one(m, &m->next, k);
		if (c == '/')
			enter(m, &m->next, k + 1);
		break;
	case T_REST:
		enter(m, &m->next, k);
		break;
	}
}

/* Feed the whole path; false as soon as no state is left. */
static bool feed(struct machine *m, struct slice path)
{
	m->round++;
	enter(m, &m->now, 0);
	for (size_t at = 0; at < path.n && m->now.n;) {
		uint32_t c = take_char(path, &at);
		struct states swap = m->now;

		m->round++;
		m->next.n = 0;
		for (size_t i = 0; i < m->now.n; i++)
			if (m->now.at[i] < m->t->ntoken)
				step(m, m->now.at[i], c);
		m->now = m->next;
		m->next = swap;
	}
	return m->now.n > 0;
}

static bool match_suffix(struct slice end, struct slice path)
{
	if (path.n >= end.n && (end.n == 0 || memcmp(path.p + path.n - end.n, end.p, end.n) == 0))
		return true;
	return slice_starts(end, "/") && slice_equal(slice_skip(end, 1), path);
}

static bool match_tokens(const struct pat *t, struct slice path)
{
	AUTO(machine_freep) struct machine m = { 0 };

	machine_init(&m, t);
	return feed(&m, path) && m.now.mark[t->ntoken] / 2 == m.round;
}

static bool match(const struct pat *t, struct slice path)
{
	struct slice text = text_of(t);

	if (t->suffix)
		return match_suffix(slice_skip(text, 2), path);
	if (path.n < t->plain || (t->plain && memcmp(path.p, text.p, t->plain) != 0))
		return false;
	return t->plain == text.n ? path.n == text.n : match_tokens(t, path);
}

bool pats_match_one(const struct pats *p, size_t i, struct slice path)
{
	return match(&p->v[i], path);
}

/* ---- verdicts (12.3) ---- */

void pats_hits_init(struct pats_hits *h, const struct pats *p)
{
	*h = (struct pats_hits){ .hit = mem_array(p->n ? p->n : 1, 1), .decided_by = -1 };
}

void pats_hits_clear(struct pats_hits *h)
{
	free(h->hit);
	*h = (struct pats_hits){ .decided_by = -1 };
}

void pats_judge(const struct pats *p, struct slice path, const struct pats_hits *parent, struct pats_hits *self)
{
	self->ignored = false;
	self->decided_by = -1;
	for (size_t i = 0; i < p->n; i++) {
		const struct pat *t = &p->v[i];
		bool hit = parent && parent->hit[i];

		if (!hit && t->negative == self->ignored)
			hit = match(t, path);
		self->hit[i] = hit;
		if (hit) {
			self->ignored = !t->negative;
			self->decided_by = (int)i;
		}
	}
}

/* Does the pattern leave anything open behind "dir/"? */
static bool may_match_below(const struct pat *t, struct slice dir)
{
	AUTO(machine_freep) struct machine m = { 0 };

	if (t->suffix)
		return true;
	machine_init(&m, t);
	if (!feed(&m, dir))
		return false;
	m.round++;
	m.next.n = 0;
	for (size_t i = 0; i < m.now.n; i++)
		if (m.now.at[i] < t->ntoken)
			step(&m, m.now.at[i], '/');
	for (size_t i = 0; i < m.next.n; i++)
		if (m.next.at[i] < t->ntoken)
			return true;
	return false;
}

/* The last hit of the directory is inherited by all below it, so only a later negation changes anything. */
bool pats_may_rescue(const struct pats *p, struct slice dir, const struct pats_hits *hits)
{
	if (!p->negative)
		return false;
	for (size_t i = hits ? (size_t)(hits->decided_by + 1) : 0; i < p->n; i++)
		if (p->v[i].negative && may_match_below(&p->v[i], dir))
			return true;
	return false;
}
