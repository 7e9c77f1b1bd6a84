/* base/loop.h - the one poll loop of the main process: fds, timers, signals.
 *
 * Data:   callbacks run from loop_run(), one at a time, never nested.
 * Owns:   watches belong to the loop until loop_drop(); the fds stay the caller's.
 */
#pragma once
#include "base/err.h"

struct loop;
struct watch;
typedef void loop_fn(void *arg, short revents);

struct loop *loop_new(struct err **e);
void loop_free(struct loop *l);
struct watch *loop_fd(struct loop *l, int fd, short events, loop_fn *fn, void *arg);
/* Fires once after ms milliseconds; then it rests, still the caller's to drop. */
struct watch *loop_timer(struct loop *l, int64_t ms, loop_fn *fn, void *arg);
/* Quiet: it does not keep the loop running; loop_run() ends when only such watches are left. */
void loop_quiet(struct watch *w, bool quiet);
void loop_drop(struct loop *l, struct watch *w);               /* NULL is fine; allowed inside callbacks */
/* SIGINT, SIGTERM, SIGHUP through a signalfd; SIGPIPE ignored (spec/executor.md 10.3). */
int loop_signals(struct loop *l, void (*fn)(void *arg, int signo), void *arg, struct err **e);
/* Until loop_stop() or nothing is watched any more (the signal watch does not count). */
int loop_run(struct loop *l, struct err **e);
/* Until *done becomes true (or as loop_run). */
int loop_until(struct loop *l, const bool *done, struct err **e);
void loop_stop(struct loop *l);
