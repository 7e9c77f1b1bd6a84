/* layers/snap_mnt.c - thin wrappers of the descriptor-based mount calls; see snap_mnt.h. */
#include "layers/snap_mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* By number: C libraries before glibc 2.36 do not have them. */
enum { OPEN_CLONE = 1, CONFIG_FLAG = 0, CONFIG_STRING = 1, CONFIG_FD = 5, CONFIG_CREATE = 6, MOVE_F_EMPTY = 4, MOVE_T_EMPTY = 0x40 };
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

struct attr_set {
	uint64_t set, clear, propagation, userns;
};

int mnt_fsopen(const char *type, struct err **e)
{
	int fs = (int)syscall(SYS_fsopen, type, 1 /* FSOPEN_CLOEXEC */);

	if (fs < 0)
		return err_errno(e, ERR_HOST, errno, "cannot open file system type '%s'", type);
	return fs;
}

int mnt_set(int fs, const char *key, const char *value)
{
	return (int)syscall(SYS_fsconfig, fs, value ? CONFIG_STRING : CONFIG_FLAG, key, value, 0);
}

int mnt_set_fd(int fs, const char *key, int fd)
{
	return (int)syscall(SYS_fsconfig, fs, CONFIG_FD, key, NULL, fd);
}

/* The kernel's last error line about this context: "e overlay: ..." */
static int mnt_failed(int fs, int code, const char *type, struct err **e)
{
	char line[512], last[512] = "";
	ssize_t n;

	while ((n = read(fs, line, sizeof(line) - 1)) > 0)
		if (line[0] == 'e' && n > 2) {
			memcpy(last, line + 2, (size_t)n - 2);
			last[n - 2] = '\0';
		}
	err_errno(e, ERR_HOST, code, "cannot mount %s%s%s%s", type, last[0] ? " (" : "", last, last[0] ? ")" : "");
	return -1;
}

int mnt_create(int fs, const char *type, unsigned attrs, struct err **e)
{
	int mount;

	if (syscall(SYS_fsconfig, fs, CONFIG_CREATE, NULL, NULL, 0) < 0)
		return mnt_failed(fs, errno, type, e);
	mount = (int)syscall(SYS_fsmount, fs, 1 /* FSMOUNT_CLOEXEC */, attrs);
	if (mount < 0)
		return mnt_failed(fs, errno, type, e);
	return mount;
}

int mnt_new(const char *type, const struct mnt_opt *opt, unsigned attrs, struct err **e)
{
	AUTO(fd_closep) int fs = mnt_fsopen(type, e);

	if (fs < 0)
		return -1;
	for (; opt && opt->key; opt++)
		if (mnt_set(fs, opt->key, opt->value) < 0)
			return mnt_failed(fs, errno, type, e);
	return mnt_create(fs, type, attrs, e);
}

int mnt_clone(int dir, const char *path, bool recursive, struct err **e)
{
	int fd = (int)syscall(SYS_open_tree, dir, path,
			      OPEN_CLONE | O_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0));

	if (fd < 0)
		return err_errno(e, ERR_HOST, errno, "cannot bind '%s'", path);
	return fd;
}

int mnt_attr(int mount, bool recursive, unsigned attrs, struct err **e)
{
	struct attr_set a = { .set = attrs };

	if (syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &a, sizeof(a)) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot set mount attributes");
	return 0;
}

int mnt_attach(int mount, int on, const char *what, struct err **e)
{
	if (syscall(SYS_move_mount, mount, "", on, "", MOVE_F_EMPTY | MOVE_T_EMPTY) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot mount on '%s'", what);
	return 0;
}
