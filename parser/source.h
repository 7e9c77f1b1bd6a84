/* parser/source.h - a file's bytes and its lines (spec/dockerfile.md 2.1, 2.10).
 *
 * Owns:   source_new copies the bytes (a BOM at the start is dropped). Spans are byte offsets into text.
 * Bounds: 16 MiB a file (ERR_LIMIT).
 */
#pragma once
#include "base/buf.h"

struct span {
	uint32_t from, to;               /* to is exclusive; from == to: a point */
};

struct source;
int source_new(const char *name, struct slice text, struct source **ret, struct err **e);
void source_free(struct source *s);
const char *source_name(const struct source *s);
struct slice source_text(const struct source *s);
unsigned source_lines(const struct source *s);
struct slice source_line(const struct source *s, unsigned line);                  /* 1-based, without CR/LF run */
struct span source_line_span(const struct source *s, unsigned line);              /* with its CR/LF */
void source_where(const struct source *s, uint32_t offset, unsigned *line, unsigned *column);   /* both 1-based */
