/* build/exec/mount_secret.c - RUN --mount=type=secret, and files that the builder brings (here-document scripts).
 *
 * Both are files on the step's own tmpfs, mounted read-only: never on a disk, gone with the step (spec/threats.md S4).
 */
#include "build/exec/box.h"

#include "base/mem.h"
#include "layers/snap_mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static int secret_prepare(struct box *b, const struct run_mount *m, int *ret, struct err **e)
{
	/* Executable only when its mode says so (spec/dockerfile.md 8.6). */
	unsigned attrs = m->mode & 0111 ? MNT_NOSUID | MNT_NODEV : MNT_QUIET;

	if (!m->content)                 /* not required and not given: nothing is mounted */
		return 0;
	*ret = box_file(b, (struct slice){ m->content, m->ncontent }, m->mode, m->uid, m->gid, attrs, e);
	return *ret < 0 ? -1 : 0;
}

/* A script, executed by its name: the file `source` in a read-only directory of its own. */
static int file_prepare(struct box *b, const struct run_mount *m, int *ret, struct err **e)
{
	AUTO(mem_freep) char *path = NULL;
	AUTO(fd_closep) int dir = -1;
	AUTO(fd_closep) int fd = -1;
	AUTO(fd_closep) int mount = -1;

	if (box_dir(b, &path, e) < 0)
		return -1;
	dir = openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = dir < 0 ? -1 : openat(dir, m->source, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(e, ERR_HOST, errno, "cannot make the script '%s'", m->source);
	if (fd_write_all(fd, m->content, m->ncontent, e) < 0)
		return -1;
	if (fchmod(fd, m->mode & 07777) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot set the mode of a script");
	mount = mnt_clone(dir, "", false, e);
	if (mount < 0 || mnt_attr(mount, false, MNT_RDONLY | MNT_NOSUID | MNT_NODEV, e) < 0)
		return -1;
	*ret = fd_take(&mount);
	return 0;
}

const struct mount_type mount_secret = { .prepare = secret_prepare };
const struct mount_type mount_file = { .prepare = file_prepare };
