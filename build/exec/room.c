/* build/exec/room.c - what a step needs whatever it is to run: its namespaces, the device nodes, the filter.
 *
 * Made before the step is known, by a process that waits for it (base/job.h, ahead), so that it costs no step any time. The
 * tmpfs for our files lies on "/" of the new mount namespace until the step's own place is known: no path lookup meets it there.
 */
#include "build/exec/box.h"

#include "base/mem.h"
#include "layers/snap_mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int room_refused(struct err **e)
{
	int code = errno;

	err_errno(e, ERR_HOST, code, "cannot create the step's namespaces");
	if (code == ENOSPC)
		err_hint(e, "raise user.max_mnt_namespaces, user.max_ipc_namespaces, user.max_uts_namespaces and "
			    "user.max_net_namespaces");
	return -1;
}

static int enter_namespaces(struct room *r, struct err **e)
{
	int flags = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;

	r->outside = openat(AT_FDCWD, "/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (r->outside < 0)
		return err_errno(e, ERR_HOST, errno, "cannot open the mount namespace");
	if (unshare(flags | CLONE_NEWCGROUP) < 0 && unshare(flags) < 0)
		return room_refused(e);
	return 0;
}

/* Our /dev/null masks files, so it has to be the one (threats C4). */
static int open_null(struct room *r, struct err **e)
{
	struct stat st;

	r->null = openat(AT_FDCWD, "/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (r->null < 0 || fstat(r->null, &st) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot open '/dev/null'");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return err_set(e, ERR_HOST, "'/dev/null' of this host is not the null device");
	return 0;
}

static int make_files(struct room *r, struct err **e)
{
	static const struct mnt_opt opt[] = { { "mode", "0711" }, { NULL, NULL } };
	AUTO(fd_closep) int top = openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	r->files = mnt_new("tmpfs", opt, MNT_NOSUID | MNT_NODEV, e);
	if (r->files < 0)
		return -1;
	if (top < 0)
		return err_errno(e, ERR_HOST, errno, "cannot open '/'");
	if (mnt_attach(r->files, top, "/", e) < 0)
		return -1;
	if (mkdirat(r->files, "empty", 0555) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot make an empty directory");
	return 0;
}

void *room_make(void *once)
{
	struct room *r = mem_alloc(sizeof(*r));

	*r = (struct room){ .filter = once, .outside = -1, .null = -1, .files = -1, .dev = -1 };
	if (enter_namespaces(r, &r->e) == 0 && open_null(r, &r->e) == 0 && make_files(r, &r->e) == 0)
		r->dev = fixed_dev(r->files, &r->e);
	return r;
}
