/* build/op/ops.c - the table of operations: made from the parser's rows, so a row without its operation does not link. */
#include "build/step.h"

#define INSTR(id, word, shape, bits) extern const struct op op_##id;
#include "parser/instr.def"
#undef INSTR

const struct op *const op_table[INSTR_COUNT] = {
#define INSTR(id, word, shape, bits) [INSTR_##id] = &op_##id,
#include "parser/instr.def"
#undef INSTR
};
