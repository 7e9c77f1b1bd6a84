/* parser/diag.h - source line, caret, message: how a place in a Dockerfile is shown.
 *
 *     Dockerfile:7:6: unknown flag: --chwon
 *        7 | COPY --chwon=1 a /b
 *          |      ^~~~~~~
 *       try: --chown
 */
#pragma once
#include "parser/source.h"

/* Give *e its place: "name:line:col" and the excerpt of the line with carets under `at`. */
int diag_place(struct err **e, const struct source *s, struct span at);
/* For a whole instruction: lines with >>> marks as in spec 2.10. */
int diag_place_lines(struct err **e, const struct source *s, unsigned line, unsigned end_line);
void diag_excerpt(const struct source *s, struct span at, struct buf *out);
