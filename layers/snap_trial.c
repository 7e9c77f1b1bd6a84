/* layers/snap_trial.c - is a storage driver usable here? Not "does mount succeed" but "are the forms on disk, after freeze,
 * those that diff reads" (spec/executor.md 2, P6).
 */
#include "layers/snap_parts.h"

#include "base/mem.h"
#include "layers/snap_mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

int snap_attach(int mount, const char *target, struct err **e)
{
	AUTO(fd_closep) int on = openat(AT_FDCWD, target, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (on < 0)
		return err_errno(e, ERR_HOST, errno, "cannot open '%s'", target);
	return mnt_attach(mount, on, target, e);
}

int snap_bind(const struct snap_mount *m, struct err **e)
{
	AUTO(fd_closep) int lower = at_open_store(m->store, m->lower[0], O_PATH | O_DIRECTORY, 0, e);
	AUTO(fd_closep) int mount = -1;

	if (lower < 0)
		return err_wrap(e, "cannot open layer directory '%s'", m->lower[0]);
	mount = mnt_clone(lower, "", false, e);
	if (mount < 0 || mnt_attr(mount, false, MNT_RDONLY | MNT_NOSUID | MNT_NODEV, e) < 0)
		return -1;
	return snap_attach(mount, m->target, e);
}

static int trial_file(int dir, const char *name, struct err **e)
{
	AUTO(fd_closep) int fd = at_open(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600, e);

	return fd < 0 ? -1 : 0;
}

static int trial_make(int dir, struct err **e)
{
	static const char *const dirs[] = { "lower", "lower/d", "upper", "work", "on" };
	static const char *const files[] = { "lower/gone", "lower/moved", "lower/d/inside" };

	for (size_t i = 0; i < countof(dirs); i++)
		if (at_mkdirs(dir, dirs[i], 0700, e) < 0)
			return -1;
	for (size_t i = 0; i < countof(files); i++)
		if (trial_file(dir, files[i], e) < 0)
			return -1;
	return 0;
}

/* The changes of 14.2, through the mount. */
static int trial_change(int on, struct err **e)
{
	AUTO(fd_closep) int d = -1;

	if (unlinkat(on, "gone", 0) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot delete a file of a layer");
	if (renameat(on, "moved", on, "here") < 0)
		return err_errno(e, ERR_HOST, errno, "cannot rename a file of a layer");
	if (at_rmtree(on, "d", e) < 0)
		return err_wrap(e, "cannot delete a directory of a layer");
	if (mkdirat(on, "d", 0700) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot replace a directory of a layer");
	d = at_open(on, "d", O_RDONLY | O_DIRECTORY, 0, e);
	if (d < 0)
		return -1;
	if (fsetxattr(d, "user.kiln.probe", "1", 1, 0) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot set a user xattr");
	return 0;
}

static int trial_check(int dir, struct err **e)
{
	AUTO(fd_closep) int d = at_open(dir, "upper/d", O_RDONLY | O_DIRECTORY, 0, e);
	AUTO(fd_closep) int upper = d < 0 ? -1 : at_open(dir, "upper", O_PATH | O_DIRECTORY, 0, e);
	struct stat st;
	char value[4] = "";

	if (upper < 0)
		return -1;
	if (fstatat(upper, "gone", &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(0, 0))
		return err_set(e, ERR_HOST, "a deleted file leaves no whiteout device");
	if (fstatat(upper, "moved", &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISCHR(st.st_mode))
		return err_set(e, ERR_HOST, "a renamed file leaves no whiteout device");
	if (fgetxattr(d, "user.overlay.opaque", value, sizeof(value)) != 1 || value[0] != 'y')
		return err_set(e, ERR_HOST, "a replaced directory is not marked opaque");
	return 0;
}

/* The mount's own path, for umount: the place it lies on would name what is below. */
static void trial_umount(int on)
{
	AUTO(mem_freep) char *path = mem_printf("/proc/self/fd/%d", on);

	(void)umount2(path, MNT_DETACH);
}

static int trial_run(const struct snap_driver *d, int store, const char *base, int dir, struct err **e)
{
	AUTO(mem_freep) char *lower = mem_printf("%s/lower", base);
	AUTO(mem_freep) char *upper = mem_printf("%s/upper", base);
	AUTO(mem_freep) char *work = mem_printf("%s/work", base);
	AUTO(fd_closep) int at = at_open(dir, "on", O_PATH | O_DIRECTORY, 0, e);
	AUTO(mem_freep) char *target = mem_printf("/proc/self/fd/%d", at);
	AUTO(fd_closep) int on = -1;
	const char *lowers[] = { lower };
	struct snap_mount m = { store, lowers, 1, upper, work, target, NULL };
	pid_t state = 0;
	int rc;

	if (at < 0 || d->mount(&m, &state, e) < 0)
		return -1;
	on = at_open(dir, "on", O_RDONLY | O_DIRECTORY, 0, e);
	if (on < 0)
		return -1;
	rc = trial_change(on, e);
	trial_umount(on);
	fd_closep(&on);
	if (d->unmount(&m, state, rc < 0 ? NULL : e) < 0 || rc < 0 || d->freeze(&m, e) < 0)
		return -1;
	return trial_check(dir, e);
}

int snap_trial(const struct snap_driver *d, int store, const char *scratch, struct buf *why, struct err **e)
{
	AUTO(mem_freep) char *path = mem_printf("%s/%s", scratch, d->name);
	AUTO(fd_closep) int base = -1;
	AUTO(fd_closep) int dir = -1;
	AUTO(err_freep) struct err *found = NULL;
	int rc;

	if (at_mkdirs(store, path, 0700, e) < 0)
		return -1;
	base = at_open_store(store, scratch, O_PATH | O_DIRECTORY, 0, e);
	dir = base < 0 ? -1 : at_open_store(base, d->name, O_PATH | O_DIRECTORY, 0, e);
	if (dir < 0)
		return -1;
	rc = trial_make(dir, &found) < 0 || trial_run(d, store, path, dir, &found) < 0;
	if (rc)
		buf_printf(why, "%s; put the store on a local file system with user xattrs (ext4, xfs, btrfs, tmpfs)",
			   err_cause(found));
	fd_closep(&dir);
	(void)at_rmtree(base, d->name, NULL);
	return rc;
}
