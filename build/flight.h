/* build/flight.h - one builder at a time runs a step: the others wait for its result (spec/oci.md 7.5).
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
