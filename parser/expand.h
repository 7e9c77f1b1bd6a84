/* parser/expand.h - ${v:-x} and its family (spec/dockerfile.md 3): one engine for all instructions.
 *
 * Data:   a word and a look-up in, a string out, NUL-terminated even when nothing was added. Results are never expanded
 *         again.
 * Fails:  ERR_INPUT `failed to process "<word>": ...`; ERR_LIMIT over 1 MiB result (of a word), 64 nestings, out->max.
 */
#pragma once
#include "base/buf.h"

/* The value of name, or NULL when it is not set. */
typedef const char *expand_get(void *arg, struct slice name);
/* Told of every name looked up; found: it was set. For lints. May be NULL. */
typedef void expand_seen(void *arg, struct slice name, bool found);

struct expand {
	char escape;
	bool raw;                        /* here-document bodies (2.9.5) */
	bool keep_unset;                 /* skip-unset mode (3.7): titles */
	expand_get *get;
	expand_seen *seen;
	void *arg;
	size_t *total;                   /* bytes of all results of one file, at most 64 MiB; may be NULL */
};
int expand_word(const struct expand *x, struct slice word, struct buf *out, struct err **e);
/* Word-list mode (3.6): appends NUL-terminated words to out, *n counts them. */
int expand_words(const struct expand *x, struct slice word, struct buf *out, size_t *n, struct err **e);
