/* parser/parse.h - inside the parser: one file, or one instruction, while it is being read.
 *
 * file.c drives, args.c splits arguments by shape (phase P), check.c and flags.c judge what was written (phase T).
 * All of them report through draft_error() and go on, so that one run shows every mistake.
 */
#pragma once
#include "parser/file.h"
#include "parser/lines.h"

#include <stdarg.h>

enum { FILE_INSTR_MAX = 100000, FILE_STAGE_MAX = 1000, FILE_TRIGGER_MAX = 1000 };         /* spec/threats.md 17 */

struct parse {
	struct file *file;
	struct arena *arena;             /* the file's */
	struct lines lines;
	struct file_errors *errors;
	const struct instr *fixed;       /* a trigger: everything lies where this instruction does */
	unsigned lost_doc;               /* line whose "<<" opened nothing although bodies may follow */
	bool no_docs;                    /* since its instruction takes none */
	bool full;                       /* no room for more errors: stop reading */
};

/* One instruction on its way. */
struct draft {
	struct parse *parse;
	const struct logical *line;
	struct instr *in;
	struct slice word;               /* the instruction word */
	struct slice args;               /* argument text behind the flags, trimmed */
	struct slice health;             /* HEALTHCHECK: its type word */
	const struct instr *inner;       /* ONBUILD: what was seen of the inner line; NULL without one */
	bool failed;
};

/* draft.c: mistakes. Of the file: */
void parse_error(struct parse *p, struct span at, const char *hint, const char *fmt, ...) PRINTF(4, 5);
/* An error that another module made; *e is taken. */
void parse_take(struct parse *p, struct span at, struct err **e);
void parse_limit(struct parse *p);       /* the error just reported is ERR_LIMIT */
/* Of an instruction: */
struct span draft_span(const struct draft *d, struct slice part);
/* hint may be NULL; part: what to point at, the instruction word when it is empty. */
void draft_error(struct draft *d, struct slice part, const char *hint, const char *fmt, ...) PRINTF(4, 5);
/* The same for places that are known as spans. */
void draft_error_at(struct draft *d, struct span at, const char *hint, const char *fmt, ...) PRINTF(4, 5);
void draft_take(struct draft *d, struct span at, struct err **e);
void draft_limit(struct draft *d);
/* "did you mean": NULL or a hint in the arena. */
const char *draft_nearest(struct draft *d, struct slice word, const char *const *candidates, size_t n, bool nocase,
			  const char *prefix);

/* args.c: word, flags, then arguments by shape. */
void args_split(struct draft *d);
void args_shape(struct draft *d);
/* here-documents: 2.9. False when there is no terminator. */
bool args_heredocs(struct draft *d);

void flags_check(struct draft *d);       /* flags.c */
void check_instr(struct draft *d);       /* check.c */
