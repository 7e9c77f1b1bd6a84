/* base/arena.h - memory that lives exactly as long as one object (a parsed file, a plan).
 *
 * Owns:   everything it hands out; arena_clear() frees it all at once.
 * Bounds: none of its own; the caller bounds its input.
 */
#pragma once
#include "base/slice.h"

struct arena_block;
struct arena {
	struct arena_block *head;
};

void *arena_alloc(struct arena *a, size_t n);                 /* zeroed, aligned for any type */
void *arena_dup(struct arena *a, const void *p, size_t n);
char *arena_str(struct arena *a, struct slice s);             /* NUL-terminated copy */
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);
struct slice arena_slice(struct arena *a, struct slice s);    /* copied bytes, also NUL-terminated */
void arena_clear(struct arena *a);
