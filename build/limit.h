/* build/limit.h - limits that the user may change, with --limit NAME=VALUE (spec/threats.md 17). */
#pragma once
#include "base/err.h"

enum limit {
#define LIMIT(id, ...) LIMIT_##id,
#include "build/limit.def"
#undef LIMIT
	LIMIT_COUNT,
};
struct limit_values {
	uint64_t v[LIMIT_COUNT];
};
void limits_init(struct limit_values *l);
/* "NAME=VALUE". ERR_USAGE. */
int limits_set(struct limit_values *l, const char *text, struct err **e);
/* When e is ERR_LIMIT: it gets the limit's name, its value, and how to change it. -1. */
int limit_hit(const struct limit_values *l, enum limit which, struct err **e);
