/* build/exec/mount.c - the table of RUN --mount kinds, and what their files share (spec/executor.md 6.7). */
#include "build/exec/box.h"

#include "base/mem.h"
#include "layers/snap_mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

static const struct mount_type *const types[] = {
	[RUN_BIND] = &mount_bind,     [RUN_CACHE] = &mount_cache, [RUN_TMPFS] = &mount_tmpfs,
	[RUN_SECRET] = &mount_secret, [RUN_SSH] = &mount_ssh,     [RUN_FILE] = &mount_file,
	[RUN_HOST] = &mount_host,     [RUN_DEVICE] = &mount_device,
};

int mount_prepare(struct box *b, int *mounts, struct err **e)
{
	for (size_t i = 0; i < b->spec->nmount; i++) {
		const struct run_mount *m = &b->spec->mount[i];

		mounts[i] = -1;
		if (types[m->kind]->prepare(b, m, &mounts[i], e) < 0) {
			err_part_set(e, i);
			return err_wrap(e, "cannot prepare the mount for '%s'", m->target);
		}
	}
	return 0;
}

int mount_attach_all(struct box *b, int *mounts, struct err **e)
{
	for (size_t i = 0; i < b->spec->nmount; i++) {
		const struct run_mount *m = &b->spec->mount[i];
		size_t before = b->nmade;

		if (mounts[i] < 0)
			continue;
		if (target_mount(b, m->target, mounts[i], e) < 0)
			return err_part_set(e, i);
		if (m->kind == RUN_SECRET)
			target_secret(b, before, m->target);
		fd_closep(&mounts[i]);
	}
	return 0;
}

int box_dir(struct box *b, char **ret, struct err **e)
{
	AUTO(mem_freep) char *name = mem_printf("d%u", b->nfile++);

	if (mkdirat(b->files, name, 0755) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot make a directory for a mount");
	*ret = mem_printf("%s/%s", b->at, name);
	return 0;
}

int box_own(int fd, uint32_t uid, uint32_t gid, struct err **e)
{
	if (uid == 0 && gid == 0)
		return 0;
	if (fchown(fd, uid, gid) < 0 && errno != EINVAL)
		return err_errno(e, ERR_HOST, errno, "cannot give a file to %u:%u", uid, gid);
	return 0;
}

int box_file(struct box *b, struct slice content, uint32_t mode, uint32_t uid, uint32_t gid, unsigned attrs, struct err **e)
{
	AUTO(mem_freep) char *name = mem_printf("f%u", b->nfile++);
	AUTO(fd_closep) int fd = openat(b->files, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	AUTO(fd_closep) int mount = -1;

	if (fd < 0)
		return err_errno(e, ERR_HOST, errno, "cannot make a file for a mount");
	if (fd_write_all(fd, content.p, content.n, e) < 0 || box_own(fd, uid, gid, e) < 0)
		return -1;
	if (fchmod(fd, mode & 07777) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot set the mode of a mounted file");
	mount = mnt_clone(b->files, name, false, e);
	if (mount < 0 || mnt_attr(mount, false, MNT_RDONLY | attrs, e) < 0)
		return -1;
	return fd_take(&mount);
}

void box_hold(struct box *b, int take_fd)
{
	MEM_ROOM(b->held, b->nheld, b->heldcap);
	b->held[b->nheld++] = take_fd;
}

void box_helper(struct box *b, pid_t pid)
{
	MEM_ROOM(b->helper, b->nhelper, b->helpercap);
	b->helper[b->nhelper++] = pid;
}

bool box_cancelled(const struct box *b, int wait_ms)
{
	struct pollfd f = { job_fd(b->self), POLLIN | POLLRDHUP, 0 };

	return poll(&f, 1, wait_ms) > 0;
}
