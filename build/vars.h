/* build/vars.h - the variables of a scope in order, found by name (spec/dockerfile.md 4).
 *
 * Owns:   vars_clear(). Names and values live in the caller's arena.
 * Bounds: a set, a find and a step of an iteration take constant time on average; what vars_near() takes, see there.
 */
#pragma once
#include "base/arena.h"

struct var {
	char *key, *value;               /* key NULL: set again further on */
	bool arg;                        /* came from ARG: not in the image */
	size_t env;                      /* place in the image's Env + 1, 0: not there. It stays when the value changes */
};
struct vars {
	struct var *v;                   /* in order */
	size_t n, cap;
	uint32_t *slot;                  /* the index: places in v + 1 by hash of the key, 0 free */
	size_t nslot;                    /* a power of two, at least half of it free */
};
struct var *vars_find(const struct vars *s, struct slice name);
/* A name that is there keeps its place. value may be NULL. */
void vars_set(struct vars *s, struct arena *a, const char *key, const char *value, bool arg);
/* It goes to the end. */
struct var *vars_move(struct vars *s, struct arena *a, const char *key, const char *value, bool arg);
/* Into an empty one; the texts are shared. */
void vars_copy(struct vars *to, const struct vars *from);
void vars_clear(struct vars *s);
/* The nearest name (19.1), NULL when there is none. *compared: letters looked at so far, for all the names that are asked for:
 * after some 60 millions (half a second) nothing more is found. */
const char *vars_near(const struct vars *s, struct slice name, size_t *compared);
