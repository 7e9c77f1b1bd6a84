/* cache/steps_priv.h - the fields of a place's newest record: written by steps.c through why.c, read by gc. */
#pragma once
#include "cache/steps.h"

void steps_record_path(const struct digest *key, char ret[96]);          /* records/<2 hex>/<key> */
/* The record at path, whole, of this key and not suspect; content is not looked at. STEPS_MISS. */
int steps_read(struct store *s, const char *path, const struct digest *key, struct step_record *ret, struct err **e);
/* It was used now. */
void record_touch(struct store *s, const char *path);
/* Remember k as what this slot was made from last. */
int why_save(struct store *s, struct slice slot, const struct keyer *k, struct err **e);
