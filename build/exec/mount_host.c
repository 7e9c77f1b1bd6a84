/* build/exec/mount_host.c - what RUN gets of the host as it is: a place (--volume), with what is mounted below it, and a device (--device). */
#include "build/exec/box.h"

#include "layers/snap_mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* With all that is mounted below: a user namespace may not uncover what a mount of its owner covers. */
static int host_prepare(struct box *b, const struct run_mount *m, int *ret, struct err **e)
{
	AUTO(fd_closep) int mount = mnt_clone(AT_FDCWD, m->source, true, e);

	if (mount < 0 || mnt_attr(mount, true, MNT_NODEV | MNT_NOSUID | (m->readonly ? MNT_RDONLY : 0), e) < 0)
		return err_wrap(e, "cannot use '%s' of this host", m->source);
	*ret = fd_take(&mount);
	return 0;
}

const struct mount_type mount_host = { .prepare = host_prepare };

/* The node itself, which its owner and mode on the host let the step open or not. */
static int device_prepare(struct box *b, const struct run_mount *m, int *ret, struct err **e)
{
	AUTO(fd_closep) int host = openat(AT_FDCWD, m->source, O_PATH | O_CLOEXEC);
	AUTO(fd_closep) int mount = -1;
	struct stat st;

	if (host < 0 || fstat(host, &st) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot use the device '%s' of this host", m->source);
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode) && !S_ISFIFO(st.st_mode))
		return err_set(e, ERR_HOST, "'%s' of this host is no device", m->source);
	mount = mnt_clone(host, "", false, e);
	if (mount < 0 || mnt_attr(mount, false, MNT_NOSUID | MNT_NOEXEC, e) < 0)
		return err_wrap(e, "cannot use the device '%s' of this host", m->source);
	*ret = fd_take(&mount);
	return 0;
}

const struct mount_type mount_device = { .prepare = device_prepare };
