/* build/limit.h - limits that the user may change, with --limit NAME=VALUE (spec/threats.md 17). */
#pragma once
#include "base/err.h"

enum limit {
	LIMIT_LAYER_SIZE, LIMIT_LAYER_ENTRIES,
	LIMIT_IMAGE_SIZE, LIMIT_IMAGE_ENTRIES,  /* all layers of a stack that is unpacked */
	LIMIT_DOWNLOAD_SIZE,             /* one remote file or repository of ADD or as context */
	LIMIT_DOWNLOADS,                 /* blobs of an image at a time */
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
