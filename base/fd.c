/* base/fd.c - file descriptors: every one close-on-exec, every result checked. */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { READ_STEP = 64 << 10 };

void fd_closep(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

int fd_dup(int fd, struct err **e)
{
	/* From 3 up: a duplicate must never become somebody's standard stream. */
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (copy < 0)
		return err_errno(e, ERR_HOST, errno, "cannot duplicate a file descriptor");
	return copy;
}

int fd_write_all(int fd, const void *p, size_t n, struct err **e)
{
	const char *at = p;

	while (n > 0) {
		ssize_t done = write(fd, at, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return err_errno(e, ERR_HOST, done < 0 ? errno : EIO, "cannot write %zu bytes", n);
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

ssize_t fd_read(int fd, void *p, size_t n, struct err **e)
{
	for (;;) {
		ssize_t got = read(fd, p, n);

		if (got >= 0)
			return got;
		if (errno != EINTR)
			return err_errno(e, ERR_HOST, errno, "cannot read");
	}
}

int fd_read_exact(int fd, void *p, size_t n, struct err **e)
{
	char *at = p;
	size_t left = n;

	while (left > 0) {
		ssize_t got = fd_read(fd, at, left, e);

		if (got < 0)
			return -1;
		if (got == 0 && left == n)
			return 1;
		if (got == 0)
			return err_set(e, ERR_HOST, "ends after %zu of %zu bytes", n - left, n);
		at += got;
		left -= (size_t)got;
	}
	return 0;
}

int fd_read_some(int fd, struct buf *out, struct err **e)
{
	size_t left = out->max > out->n ? out->max - out->n : 0;
	char probe = 0;
	char *p = &probe;

	buf_add(out, "", 0);
	/* At the maximum one more byte tells "exactly full" from "too long". */
	if (left > 0)
		p = buf_room(out, left < READ_STEP ? left : READ_STEP);
	if (!p)
		return buf_ok(out, "file", e);
	ssize_t got = fd_read(fd, p, left == 0 ? 1 : left < READ_STEP ? left : READ_STEP, e);
	if (got < 0)
		return -1;
	if (got > 0 && left == 0) {
		out->over = true;
		return buf_ok(out, "file", e);
	}
	out->n += (size_t)got;
	out->p[out->n] = '\0';
	return got > 0;
}

int fd_read_all(int fd, struct buf *out, struct err **e)
{
	int rc;

	do
		rc = fd_read_some(fd, out, e);
	while (rc > 0);
	return rc;
}

int fd_pipe(int ret[2], struct err **e)
{
	int p[2] = { -1, -1 };

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot make a pipe");
	ret[0] = p[0];
	ret[1] = p[1];
	return 0;
}

int fd_nonblock(int fd, bool on, struct err **e)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot set the mode of a file descriptor");
	return 0;
}

void fd_write_back(int fd, off_t from, off_t n)
{
	(void)sync_file_range(fd, from, n, SYNC_FILE_RANGE_WRITE);
}

int fd_close(int *fd, const char *what, struct err **e)
{
	int rc = close(fd_take(fd));

	/* Linux has closed it even after EINTR. */
	if (rc < 0 && errno != EINTR)
		return err_errno(e, ERR_HOST, errno, "cannot write %s", what);
	return 0;
}

int fd_open_host(const char *path, int flags, mode_t mode, struct err **e)
{
	int fd;

	do
		fd = openat(AT_FDCWD, path, flags | O_CLOEXEC, mode);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? err_errno(e, ERR_HOST, errno, "cannot open '%s'", path) : fd;
}
