/* build/cmd/table.h - columns of text for people. */
#pragma once
#include "build/req.h"

/* Cells of a table, row by row; the first row is the heading. Text from outside is escaped and cut here. */
struct table {
	struct strs cells;
	size_t columns;
	unsigned right;                  /* bit i: column i is aligned to the right */
};
void table_cell(struct table *t, const char *fmt, ...) PRINTF(2, 3);
/* most: longest cell in characters; 0: no limit. heading: with the first row. */
void table_print(const struct table *t, size_t most, bool heading, struct buf *out);
void table_clear(struct table *t);
