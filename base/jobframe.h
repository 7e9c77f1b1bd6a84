/* base/jobframe.h - what passes between a job and the main process: inside base/job.c, base/jobself.c only.
 *
 * Job socket (SOCK_STREAM), both ways frames of  u32 what · u32 kind or row · u32 length · bytes
 *   to the job:    FRAME_REQUEST, once, its fds beside the header
 *   from the job:  FRAME_EVENT ... FRAME_OK or FRAME_ERR, once
 */
#pragma once
#include "base/job.h"

enum frame_what { FRAME_REQUEST = 1, FRAME_EVENT, FRAME_OK, FRAME_ERR };
struct frame {
	uint32_t what, kind, length;
};
enum { JOB_FDS = 200 };

struct job_self {
	int sock;
	void *ahead;
};
/* The whole of a job's process: run the row, answer, end. */
void job_do(const struct job_row *row, struct job_self self, struct slice in, const int *fds, size_t nfds) __attribute__((noreturn));
