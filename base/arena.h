/* base/arena.h - memory that lives exactly as long as one object (a parsed file, a plan).
 *
 * Owns:   everything it hands out; arena_clear() frees it all at once.
 * Bounds: none of its own; the caller bounds its input. With arena_swap() only the first 4 MiB are the heap's: the rest lies in a
 *         nameless file, whose pages the kernel can write and forget.
 */
#pragma once
#include "base/map.h"

struct arena_block;
struct arena {
	struct arena_block *head;
	int swap_dir;                    /* 0: none */
	int swap_fd;                     /* 0: not made yet */
	uint64_t swap_size;
	size_t heap, warm;               /* bytes in the heap; in blocks of the file since the last arena_cool() */
};

void *arena_alloc(struct arena *a, size_t n) NEVER_NULL;      /* zeroed, aligned for any type */
void *arena_dup(struct arena *a, const void *p, size_t n);
char *arena_str(struct arena *a, struct slice s) NEVER_NULL;  /* NUL-terminated copy */
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3) NEVER_NULL;
struct slice arena_slice(struct arena *a, struct slice s);    /* copied bytes, also NUL-terminated */
void arena_clear(struct arena *a);
/* A mapped file lives as long as the arena. */
void arena_map(struct arena *a, const struct map *take_map);
/* What grows beyond the heap's part goes to a nameless file in dir (borrowed until arena_clear()), where the file system can make one. */
void arena_swap(struct arena *a, int dir);
/* Give the file's pages back; they return when they are touched. For who walks through a large arena, now and then. */
void arena_cool(const struct arena *a);
