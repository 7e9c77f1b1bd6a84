/* base/zygote.h - the helper in the build's user namespace, as base/job.c sees it (spec/executor.md 1, 3).
 *
 * Data:   one SOCK_SEQPACKET socketpair of struct zygote_msg. The zygote forks a worker for each ZYGOTE_START, whose
 *         job socket comes with the message, and tells with ZYGOTE_ENDED that it is gone. It does no work of its own.
 *         ZYGOTE_AHEAD asks for a worker before there is a job for it.
 * Owns:   struct zygote holds the socket and the process; zygote_stop() kills it and everything below it.
 */
#pragma once
#include "base/idmap.h"
#include "base/job.h"

enum zygote_kind {
	ZYGOTE_GO = 1,       /* to it: the maps are written */
	ZYGOTE_START,        /* to it: id, status = row, one fd */
	ZYGOTE_AHEAD,        /* to it: status = row; one worker more for the next job of it */
	ZYGOTE_KILL,         /* to it: id */
	ZYGOTE_ENDED,        /* from it: id, status as of wait(2) */
	ZYGOTE_FAILED,       /* from it: id = stage, status = errno; it ends */
};
struct zygote_msg {
	uint32_t kind, id;
	int32_t status;
};
struct zygote {
	int ctl;             /* -1: not started */
	pid_t pid;
};

#define ZYGOTE_NONE { .ctl = -1, .pid = -1 }

/* Start it with this map, or the next worse one (m tells which in the end). */
int zygote_start(struct zygote *z, struct idmap *m, struct err **e);
/* fd -1: none goes along. */
int zygote_send(int ctl, const struct zygote_msg *msg, int fd, struct err **e);
/* 0 with a message, 1 end of file or nothing there now. *ret_fd is -1 or new. */
int zygote_receive(int ctl, struct zygote_msg *msg, int *ret_fd, int flags, struct err **e);
/* What stage a ZYGOTE_FAILED names. */
const char *zygote_stage(uint32_t id);
/* Kill and reap. Returns the wait status, 0 when there was none. */
int zygote_stop(struct zygote *z);

/* job.c, in a worker: read the request from the job's socket, run it, answer. */
void job_serve(const struct job_row *row, uint32_t number, void *ahead, int sock) __attribute__((noreturn));
