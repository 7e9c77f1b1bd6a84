/* build/exec/mount_host.c - --volume: a place of the host in every RUN, as it is, with what is mounted below it. */
#include "build/exec/box.h"

#include "layers/snap_mnt.h"

#include <fcntl.h>

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
