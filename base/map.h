/* base/map.h - a file of ours as memory, whose pages can be given back while it is walked through.
 *
 * Owns:   the mapping; the fd may be closed.
 * Bounds: what map_cool() was not told of stays in memory once it was touched.
 */
#pragma once
#include "base/err.h"
#include "base/slice.h"

enum { MAP_STRIDE = 2 << 20 };           /* a good distance from one map_cool() to the next */

struct map {
	const char *p;                   /* NULL: none, or an empty file */
	size_t n;
};

int map_open(int fd, struct map *ret, struct err **e);
void map_clear(struct map *m);
/* [from, to) of a mapped file may leave memory; what is read again returns. Never of other memory, which would lose its bytes. */
void map_cool(const char *from, const char *to);
/* Call step() with all of it, piece by piece, each a multiple of MAP_STRIDE but the last; mapped: the pieces are given back. */
void map_each(struct slice s, bool mapped, void (*step)(void *arg, struct slice piece), void *arg);
