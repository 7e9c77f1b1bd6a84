/* build/sender.h - layers on their way to the registry while they are still packed, so that a push overlaps its build.
 *
 * Data:   a layer that is not packed after a moment and has some size gets a child that follows its file (registry/tail.h).
 * Fails:  never: the push looks for each blob and sends what is not there. The first failure ends the sending ahead.
 * Owns:   a struct sending is freed by sender_end(), or with the sender, which outlives the scheduler.
 */
#pragma once
#include "build/req.h"
#include "layers/pack.h"

struct sender;
struct sending;
/* NULL: this build pushes nothing. */
struct sender *sender_new(struct app *a, const struct build_req *r);
void sender_freep(struct sender **s);
/* A job writes tmp/blob from now on. NULL in, NULL out. */
struct sending *sender_begin(struct sender *s, const char *tmp);
/* It is complete; facts NULL: it will never be. */
void sender_end(struct sending *g, const struct pack_facts *facts);
/* Until all that was begun is there, or has failed. */
int sender_wait(struct sender *s, struct err **e);
