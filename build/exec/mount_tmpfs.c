/* build/exec/mount_tmpfs.c - RUN --mount=type=tmpfs: memory, gone with the step. */
#include "build/exec/box.h"

#include "base/mem.h"
#include "layers/snap_mnt.h"

static int tmpfs_prepare(struct box *b, const struct run_mount *m, int *ret, struct err **e)
{
	AUTO(mem_freep) char *size = mem_printf("%ju", (uintmax_t)m->size);
	const struct mnt_opt opt[] = { { "mode", "1777" }, { m->size ? "size" : NULL, size }, { NULL, NULL } };

	/* exec as in BuildKit; nodev, since a real root could make devices. */
	*ret = mnt_new("tmpfs", opt, MNT_NOSUID | MNT_NODEV, e);
	return *ret < 0 ? -1 : 0;
}

const struct mount_type mount_tmpfs = { .prepare = tmpfs_prepare };
