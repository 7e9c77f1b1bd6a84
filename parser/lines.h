/* parser/lines.h - physical lines to logical lines (spec/dockerfile.md 2.2 - 2.4, 2.9.3).
 *
 * Data:   the pieces of a continued line are joined in the arena; a line that is not continued is a slice of the
 *         source. Either way logical_span() leads back to the bytes as written.
 * Owns:   the reader only its comment list: lines_clear().
 * Bounds: 65,535 bytes a physical line, 4 MiB a logical one.
 */
#pragma once
#include "base/arena.h"
#include "parser/source.h"

enum { PHYSICAL_LINE_MAX = 65535, LOGICAL_LINE_MAX = 4 << 20 };

struct piece {
	uint32_t at;                     /* in the logical text */
	uint32_t from;                   /* in the source */
	uint32_t n;
};
struct logical {
	struct slice text;               /* left-trimmed, otherwise as it stands */
	const struct piece *piece;
	size_t npiece;
	unsigned line, end_line;         /* physical, 1-based */
	bool empty_continuation;         /* a blank line was dropped */
	const char *comment;             /* the collected block above (2.4), joined by \n */
};
struct lines {
	const struct source *source;
	struct arena *arena;
	char escape;
	unsigned next;
	struct slice *comment;
	size_t ncomment, cap;
};

void lines_init(struct lines *r, const struct source *s, struct arena *a);
void lines_clear(struct lines *r);

/* 2.2: read the directives at the top and step behind them; escape takes effect. On failure *at is the place. */
int lines_directives(struct lines *r, struct span *at, struct err **e);
/* The value of "# name=value" up to its first blank as the separate scan for syntax and check sees it (2.2.3). */
bool lines_directive(const struct source *s, const char *name, struct slice *ret);

/* The first line that is too long, 0 for none. */
unsigned lines_too_long(const struct source *s);
/* The next instruction's line. False at the end of the file. A line over the bound has text.n > LOGICAL_LINE_MAX and
 * text.p NULL. */
bool lines_next(struct lines *r, struct logical *ret);
/* The body of a here-document and the line of its terminator. False: unterminated; everything is read. */
bool lines_heredoc(struct lines *r, struct slice name, bool strip_tabs, struct span *body, struct span *terminator);

/* Where the bytes [from, to) of the logical text are in the source. */
struct span logical_span(const struct logical *l, size_t from, size_t to);
