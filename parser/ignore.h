/* parser/ignore.h - an ignore file's bytes to patterns (spec/dockerfile.md 12.2). Matching is base/glob.h. */
#pragma once
#include "base/glob.h"

/* ERR_INPUT with the line for an illegal pattern. Bounds: 4 MiB, 100,000 patterns. */
int ignore_parse(const char *name, struct slice text, struct pats **ret, struct err **e);
/* --exclude=PATTERN values: trimmed and cleaned only (9.11). */
int exclude_add(struct pats *p, struct slice value, struct err **e);
/* Lexical cleaning as Go's path.Clean: "./a//b/../c/" -> "a/c"; "" -> ".". */
void path_clean(struct slice path, struct buf *out);
