/* parser/instr.c - the table of instructions and the way from a word to its row. */
#include "parser/instr.h"

const struct instr_row instr_table[INSTR_COUNT] = {
#define INSTR(id, word, shape, bits) [INSTR_##id] = { word, shape, bits },
#include "parser/instr.def"
#undef INSTR
};

enum instr_id instr_find(struct slice word)
{
	for (int i = 0; i < INSTR_COUNT; i++)
		if (slice_is_nocase(word, instr_table[i].word))
			return (enum instr_id)i;
	return INSTR_UNKNOWN;
}
