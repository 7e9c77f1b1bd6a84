/* tests/unit/fd.c - reading and writing whole things through descriptors. */
#include "base/fd.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

static int with(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	if (fd_write_all(fd, text, strlen(text), NULL) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return -1;
	return fd;
}

static void all(void)
{
	static const struct {
		const char *name, *text;
		size_t max;
		int rc;
	} cases[] = {
		{ "nothing", "", 4, 0 },
		{ "less than the maximum", "abc", 4, 0 },
		{ "exactly the maximum", "abcd", 4, 0 },
		{ "one byte more", "abcde", 4, -1 },
		{ "nothing allowed, nothing there", "", 0, 0 },
		{ "nothing allowed, something there", "a", 0, -1 },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		AUTO(buf_freep) struct buf b = BUF_MAX(cases[i].max);
		AUTO(err_freep) struct err *e = NULL;
		AUTO(fd_closep) int fd = with(cases[i].text);
		int rc = fd_read_all(fd, &b, &e);

		ok(rc == cases[i].rc && (rc < 0 ? err_kind(e) == ERR_LIMIT : strcmp(b.p, cases[i].text) == 0),
		   "read all: %s", cases[i].name);
	}
}

static void exact(void)
{
	char p[4] = "";

	AUTO(fd_closep) int fd = with("abcdef");
	ok(fd_read_exact(fd, p, 4, NULL) == 0 && memcmp(p, "abcd", 4) == 0, "four bytes");
	is_int(fd_read_exact(fd, p, 4, NULL), -1, "two where four are wanted are an error");
	is_int(fd_read_exact(fd, p, 4, NULL), 1, "none is the end");
}

static void pipes(void)
{
	int p[2] = { -1, -1 };
	AUTO(err_freep) struct err *e = NULL;

	signal(SIGPIPE, SIG_IGN);
	is_int(fd_pipe(p, NULL), 0, "a pipe");
	ok(fcntl(p[0], F_GETFD) & FD_CLOEXEC && fcntl(p[1], F_GETFD) & FD_CLOEXEC, "close-on-exec");
	int copy = fd_dup(p[0], NULL);
	ok(copy > 2 && fcntl(copy, F_GETFD) & FD_CLOEXEC, "so is a duplicate, which is no standard stream");
	ok(fd_nonblock(p[0], true, NULL) == 0 && fcntl(copy, F_GETFL) & O_NONBLOCK, "non-blocking");
	ok(fd_read(p[0], &(char){ 0 }, 1, &e) < 0 && err_errnum(e) == EAGAIN, "an empty pipe says so");
	err_freep(&e);
	fd_closep(&copy);
	fd_closep(&p[0]);
	ok(p[0] == -1, "closing forgets the number");
	ok(fd_write_all(p[1], "x", 1, &e) < 0 && err_errnum(e) == EPIPE, "writing to nobody is an error");
	is_int(fd_close(&p[1], "pipe", NULL), 0, "a checked close");
	ok(p[1] == -1 && fd_take(&p[1]) == -1, "nothing is left to take");
}

int main(void)
{
	all();
	exact();
	pipes();
	return done_testing();
}
