/* build/exec/mount_bind.c - RUN --mount=type=bind: a piece of another tree, read-only, or writable for this step only.
 *
 * The tree is a stack of frozen directories, so nobody changes it while it is mounted (spec/threats.md C7). A writable
 * bind is an overlay with an upper that is thrown away with the step's directory.
 */
#include "build/exec/box.h"

#include "base/mem.h"
#include "layers/snap_mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

int bind_tree(struct box *b, const struct run_mount *m, const char *target, struct err **e)
{
	AUTO(mem_freep) char *dir = mem_printf("%s/bind%zu", b->spec->snap, b->nserver);
	AUTO(mem_freep) char *upper = mem_printf("%s/fs", dir);
	AUTO(mem_freep) char *work = mem_printf("%s/work", dir);
	struct snap_mount s = { b->store, (const char *const *)m->lower, m->nlower, NULL, NULL, target, NULL };
	pid_t server = 0;

	if (!m->readonly) {
		if (at_mkdirs(b->store, upper, 0755, e) < 0 || at_mkdirs(b->store, work, 0700, e) < 0)
			return -1;
		s.upper = upper;
		s.work = work;
	}
	if (b->driver->mount(&s, &server, e) < 0)
		return -1;
	MEM_ROOM(b->server, b->nserver, b->servercap);
	b->server[b->nserver++] = server;
	return 0;
}

static int bind_prepare(struct box *b, const struct run_mount *m, int *ret, struct err **e)
{
	AUTO(mem_freep) char *target = NULL;
	AUTO(fd_closep) int top = -1;
	AUTO(fd_closep) int source = -1;
	AUTO(fd_closep) int mount = -1;
	const char *path = m->source && *m->source ? m->source : "/";
	int rc;

	if (box_dir(b, &target, e) < 0)
		return -1;
	/* An empty tree is an empty directory. */
	if ((m->nlower > 0 || !m->readonly) && bind_tree(b, m, target, e) < 0)
		return -1;
	top = openat(AT_FDCWD, target, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (top < 0)
		return err_errno(e, ERR_HOST, errno, "cannot open the source");
	rc = at_try(top, path, O_PATH, &source, e);
	if (rc < 0)
		return -1;
	if (rc == AT_MISSING)
		return err_set(e, ERR_INPUT, "\"/%s\": not found", m->source);
	mount = mnt_clone(source, "", false, e);
	if (mount < 0 || mnt_attr(mount, false, MNT_NODEV | (m->readonly ? MNT_RDONLY | MNT_NOSUID : 0), e) < 0)
		return -1;
	*ret = fd_take(&mount);
	return 0;
}

const struct mount_type mount_bind = { .prepare = bind_prepare };
