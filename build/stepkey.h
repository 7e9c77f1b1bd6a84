/* build/stepkey.h - what a step is known by: its keys, its record in the cache, and why there is none (spec/oci.md 7.4, design.md 3.6). */
#pragma once
#include "build/step.h"

/* Its place: project, Dockerfile, stage, number. What ran there last explains why it runs again. Borrowed from the plan's arena. */
struct slice stepkey_slot(struct step *s);
/* s->def and s->content from all that it reads, as far as that is known. Returns as op->key. */
int stepkey_make(struct step *s, struct err **e);
/* 0: s->record is what it made before; STEPS_MISS; -1. */
int stepkey_find(struct step *s, struct err **e);
/* Why it is not found, or counts for nothing; from the plan's arena. *parent_only: nothing but what lies below differs. */
const char *stepkey_why(struct step *s, bool *parent_only);
