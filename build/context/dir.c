/* build/context/dir.c - a directory of this machine as build context. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "build/context/context.h"

bool context_is_dir(const char *spec)
{
	return !context_stdin.is(spec) && !context_git.is(spec) && !context_http.is(spec);
}

static bool dir_is(const char *spec)
{
	return true;
}

/* Where the fd leads, so that "." and its full name share one stat cache. Only a name: nothing is opened by it. */
static char *real_path(int fd)
{
	char link[40], path[4096];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlinkat(AT_FDCWD, link, path, sizeof(path));
	return n > 0 && (size_t)n < sizeof(path) && path[0] == '/' ? mem_strn(path, (size_t)n) : NULL;
}

static int dir_open(struct context *c, const struct build_req *r, struct err **e)
{
	struct err *why = NULL;

	c->dir = fd_open_host(c->spec, O_RDONLY | O_DIRECTORY, 0, &why);
	if (c->dir < 0) {
		int code = err_errnum(why);

		err_free(why);
		err_errno(e, ERR_SOURCE, code, "cannot open the build context '%s'", c->spec);
		if (code == ENOTDIR)
			err_hint(e, "the context is a directory; the Dockerfile is named with -f");
		return -1;
	}
	c->path = real_path(c->dir);
	return 0;
}

const struct context_kind context_dir = { .name = "directory", .is = dir_is, .open = dir_open, .local = true };
