/* base/fd.h - file descriptors: every one close-on-exec, every result checked (spec/threats.md F1). */
#pragma once
#include "base/buf.h"

#include <sys/types.h>

void fd_closep(int *fd);                 /* for AUTO: closes when >= 0 */
/* A path of the host that the user (or we) named, as opposed to one from an image or context: those go through base/at.h. */
int fd_open_host(const char *path, int flags, mode_t mode, struct err **e);
static inline int fd_take(int *fd)
{
	int v = *fd;
	*fd = -1;
	return v;
}
int fd_dup(int fd, struct err **e);      /* F_DUPFD_CLOEXEC */
/* All n bytes; short writes go on, EINTR retries. ERR_HOST. */
int fd_write_all(int fd, const void *p, size_t n, struct err **e);
ssize_t fd_read(int fd, void *p, size_t n, struct err **e);             /* one read, EINTR retried */
int fd_read_exact(int fd, void *p, size_t n, struct err **e);           /* 1 = end of file at once, -1 short */
/* One more read into out. 1: there may be more, 0: the end. More than `out->max` is ERR_LIMIT. */
int fd_read_some(int fd, struct buf *out, struct err **e);
/* Everything up to `out->max`; more is ERR_LIMIT. */
int fd_read_all(int fd, struct buf *out, struct err **e);
int fd_pipe(int ret[2], struct err **e);                                /* O_CLOEXEC */
int fd_nonblock(int fd, bool on, struct err **e);
/* What is dirty of these bytes (n 0: to the end) may go to the disk from now on; nobody waits. For what a sync will need anyway. */
void fd_write_back(int fd, off_t from, off_t n);
int fd_close(int *fd, const char *what, struct err **e);                /* checked close of written data */
