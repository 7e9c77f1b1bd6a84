/* build/sched.h - what the operations tell the scheduler beside step_packed() and step_failed(). */
#pragma once
#include "build/step.h"

/* From the moment a worker is given store directories (on) until it mounted them (off) nothing is renamed in the store. */
void sched_mounting(struct step *s, bool on);
/* Is everything below committed, so that a view of it can be had? */
bool sched_parent_done(const struct step *s);
/* s runs: the step on top of it is made ready to start, if it is one that can. */
bool sched_ahead(struct step *s);
/* Will there be more steps of this instruction? */
bool sched_more(const struct step *s);
/* The build has failed or was interrupted: what is not running does not start any more. */
bool sched_ending(const struct step *s);
