/* base/slice.h - borrowed bytes. A slice points into memory that somebody else owns.
 *
 * Print with "%.*s" and SLICE_F(s). Never NUL-terminated unless a function says so.
 */
#pragma once
#include "base/base.h"

#include <string.h>

struct slice {
	const char *p;
	size_t n;
};

#define SLICE_NONE ((struct slice){ NULL, 0 })
#define SLICE_LIT(s) ((struct slice){ (s), sizeof(s) - 1 })
#define SLICE_F(s) (int)(s).n, (s).p ? (s).p : ""

static inline struct slice slice_of(const char *s)
{
	return (struct slice){ s, s ? strlen(s) : 0 };
}

static inline struct slice slice_range(const char *from, const char *to)
{
	return (struct slice){ from, (size_t)(to - from) };
}

bool slice_equal(struct slice a, struct slice b);
bool slice_is(struct slice a, const char *s);
bool slice_is_nocase(struct slice a, const char *s);          /* ASCII letters only */
bool slice_starts(struct slice a, const char *prefix);
bool slice_ends(struct slice a, const char *suffix);
int slice_cmp(struct slice a, struct slice b);                /* bytewise, then length */
const char *slice_find(struct slice a, char c);               /* NULL when absent */
struct slice slice_skip(struct slice a, size_t n);            /* without the first n bytes (at most all) */
struct slice slice_trim(struct slice a, const char *set);     /* both ends */
/* Cut at the first c: true with the parts around it, false (and *head = a) when c is absent. */
bool slice_cut(struct slice a, char c, struct slice *head, struct slice *tail);
/* Strict unsigned decimal: digits only, no sign or blank, fits in 64 bits (spec/threats.md X8). */
bool slice_u64(struct slice a, uint64_t *ret);
/* Strict octal, at most max. */
bool slice_octal(struct slice a, uint64_t max, uint64_t *ret);
/* Length of the valid UTF-8 character at the start and its code point; 0 when empty or invalid. */
size_t slice_utf8(struct slice a, uint32_t *ret);

/* Edit distance of at most 3, else 3 (spec/dockerfile.md 19.1: "did you mean"). */
unsigned slice_distance(struct slice a, struct slice b, bool nocase);
