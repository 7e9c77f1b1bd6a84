/* parser/instr.h - the table of instructions (spec/dockerfile.md, Appendix A). */
#pragma once
#include "base/slice.h"

enum instr_id {
#define INSTR(id, word, shape, bits) INSTR_##id,
#include "parser/instr.def"
#undef INSTR
	INSTR_COUNT,
	INSTR_UNKNOWN = -1,
};
enum instr_shape {
	SHAPE_WORDS, SHAPE_TEXT, SHAPE_PAIRS, SHAPE_ARGS, SHAPE_JSON, SHAPE_JSON_OR_TEXT, SHAPE_JSON_OR_WORDS,
	SHAPE_HEALTH, SHAPE_INSTR,
};
enum {
	INSTR_HEREDOC = 1,               /* may open here-documents */
	INSTR_NO_TRIGGER = 2,            /* not allowed in ONBUILD (FROM has its own message) */
};
struct instr_row {
	const char *word;
	enum instr_shape shape;
	unsigned bits;
};
extern const struct instr_row instr_table[INSTR_COUNT];
enum instr_id instr_find(struct slice word);             /* any letter case */
