/* build/exec/mount_secret.c - RUN --mount=type=secret, and files that the builder brings (here-document scripts).
 *
 * Both are files on the step's own tmpfs, bound read-only: never on a disk, gone with the step (spec/threats.md S4).
 */
#include "build/exec/box.h"

#include "layers/snap_mnt.h"

static int file_mount(struct box *b, const struct run_mount *m, unsigned attrs, int *ret, struct err **e)
{
	if (!m->content)                 /* not required and not given: nothing is mounted */
		return 0;
	*ret = box_file(b, (struct slice){ m->content, m->ncontent }, m->mode, m->uid, m->gid, attrs, e);
	return *ret < 0 ? -1 : 0;
}

static int secret_prepare(struct box *b, const struct run_mount *m, int *ret, struct err **e)
{
	return file_mount(b, m, MNT_QUIET, ret, e);
}

/* Scripts are executed. */
static int file_prepare(struct box *b, const struct run_mount *m, int *ret, struct err **e)
{
	return file_mount(b, m, MNT_NOSUID | MNT_NODEV, ret, e);
}

const struct mount_type mount_secret = { .prepare = secret_prepare };
const struct mount_type mount_file = { .prepare = file_prepare };
