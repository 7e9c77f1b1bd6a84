/* build/wait.h - one job or one input, waited for while the loop runs: for commands that have nothing else to do meanwhile. */
#pragma once
#include "build/app.h"

/* Start row with payload, drive the loop until it answered. out: its answer, copied. */
int wait_job(struct app *a, enum job_where where, unsigned row, struct slice payload, const int *fds, size_t nfds, job_event *on_event,
	     void *event_arg, struct buf *out, struct err **e);
/* Input may come late or never, from a terminal or a pipe: signals are heard meanwhile (spec/threats.md X5). */
int wait_readable(struct app *a, int fd, struct err **e);
int wait_read_all(struct app *a, int fd, struct buf *out, struct err **e);
/* A file that the command line names, which may be a pipe of the shell's. */
int wait_read_file(struct app *a, const char *path, struct buf *out, struct err **e);
/* Until *done, which a callback sets, as it may set *failed. Interrupted: every job is cancelled, and *done is waited for all the same, so
 * what the callbacks point to may live on the caller's stack. */
int wait_until(struct app *a, const bool *done, struct err **failed, struct err **e);
