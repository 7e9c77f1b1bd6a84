/* registry/userfile.c - see userfile.h. */
#include "registry/userfile.h"

#include "base/at.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

int userfile_read(const char *path, struct buf *out, struct stat *st, struct err **e)
{
	AUTO(fd_closep) int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat own;

	if (fd < 0) {
		if (errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == EPERM)
			return USERFILE_MISSING;
		return err_errno(e, ERR_HOST, errno, "cannot open '%s'", path);
	}
	if (!st)
		st = &own;
	if (fstat(fd, st) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot look at '%s'", path);
	if (!S_ISREG(st->st_mode))
		return err_set(e, ERR_HOST, "'%s' is not a regular file", path);
	if (fd_read_all(fd, out, e) < 0)
		return err_wrap(e, "cannot read '%s'", path);
	return 0;
}

char *userfile_home(void)
{
	const char *home = getenv("HOME");

	if (!home || *home != '/') {
		struct passwd *pw = getpwuid(geteuid());

		home = pw ? pw->pw_dir : NULL;
	}
	return home && *home == '/' ? mem_str(home) : NULL;
}

char *userfile_config(const char *rest)
{
	const char *xdg = getenv("XDG_CONFIG_HOME");

	if (xdg && *xdg == '/')
		return mem_printf("%s/%s", xdg, rest);
	AUTO(mem_freep) char *home = userfile_home();
	return home ? mem_printf("%s/.config/%s", home, rest) : NULL;
}

char **userfile_list(const char *dir, const char *suffix, size_t *n)
{
	AUTO(fd_closep) int fd = openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct at_names names = { 0 };
	char **ret = NULL;
	size_t cap = 0;

	*n = 0;
	if (fd < 0 || at_list(fd, &names, NULL) < 0)
		return NULL;
	for (size_t i = 0; i < names.n; i++) {
		if (!slice_ends(slice_of(names.name[i]), suffix))
			continue;
		MEM_ROOM(ret, *n, cap);
		ret[(*n)++] = mem_str(names.name[i]);
	}
	at_names_clear(&names);
	return ret;
}
