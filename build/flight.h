/* build/flight.h - one builder at a time runs a step or pulls an image: the others wait for its result (spec/oci.md 7.5, L5).
 *
 * Data:   a lock file named after the step's definition key. A local job waits for it, so the loop goes on; when its holder ends, however
 *         it ends, the step is looked up once more. Who waits for long says so.
 */
#pragma once
#include "build/step.h"

enum { FLIGHT_BUSY = 1 };
typedef void flight_again(struct step *s, struct err *take_err);
/* 0: this step is ours until flight_end(). FLIGHT_BUSY: again() is called when whoever has it is done; s->job is set until then. */
int flight_begin(struct step *s, flight_again *again, struct err **e);
void flight_end(struct step *s);                 /* nothing held: fine */
/* The same, driving the loop, for the job `name`, by which another build `what` it is ("pulls the same image"): 0, or FLIGHT_BUSY when somebody else had it meanwhile: look what is there now. *ret_lock is
 * for store_job_unlock() either way. */
int flight_take(struct app *a, const char *name, const char *what, const char *title, int *ret_lock, struct err **e);
