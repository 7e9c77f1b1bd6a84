/* parser/heredoc.h - which words of a line open here-documents (spec/dockerfile.md 2.9.2).
 *
 * The escape is always the backslash here, whatever the file's own is.
 */
#pragma once
#include "base/arena.h"

struct heredoc_word {
	struct slice name;               /* in the arena, NUL-terminated */
	struct slice raw;                /* the whole word as written */
	bool quoted;
	bool strip_tabs;
};

/* Is the whole text one here-document word? */
bool heredoc_word(struct slice text, struct arena *a, struct heredoc_word *ret);
/* All of a logical line. False: the line cannot be split into shell words, so it opens none. */
bool heredoc_find(struct slice line, struct arena *a, struct heredoc_word **ret, size_t *n);
