/* layers/snap.c - the table of storage drivers, and the choice of the best that works here; see snap.h. */
#include "layers/snap.h"

#include "base/job.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

const struct snap_driver *const snap_table[] = { &snap_overlay, &snap_fuse, NULL };

const struct snap_driver *snap_find(const char *name)
{
	for (size_t i = 0; snap_table[i]; i++)
		if (strcmp(snap_table[i]->name, name) == 0)
			return snap_table[i];
	return NULL;
}

static int snap_choose(int store, const char *scratch, const char *want, const char **chosen, struct buf *reasons,
		       struct err **e)
{
	bool any = strcmp(want, "auto") == 0;

	if (!any && !snap_find(want)) {
		err_set(e, ERR_USAGE, "unknown storage driver '%s'", want);
		return err_hint(e, "use auto, overlay or fuse-overlayfs");
	}
	for (size_t i = 0; snap_table[i]; i++) {
		const struct snap_driver *d = snap_table[i];
		AUTO(buf_freep) struct buf why = BUF_MAX(4096);
		int rc;

		if (!any && strcmp(want, d->name) != 0)
			continue;
		rc = d->probe(store, scratch, &why, e);
		if (rc < 0)
			return err_wrap(e, "cannot try the storage driver %s", d->name);
		if (rc == 0) {
			*chosen = d->name;
			return 0;
		}
		buf_printf(reasons, "%s%s: %s", reasons->n ? "\n" : "", d->name, why.p ? why.p : "");
	}
	err_set(e, ERR_HOST, "no storage driver works for this store: %s", reasons->p ? reasons->p : "none was tried");
	return err_hint(e, "put the store on a local file system with user xattrs (ext4, xfs, btrfs, tmpfs), or install "
			   "fuse-overlayfs");
}

int snap_choose_job(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	struct wire w = wire_of(in);
	AUTO(mem_freep) char *path = wire_str(&w);
	AUTO(mem_freep) char *scratch = wire_str(&w);
	AUTO(mem_freep) char *want = wire_str(&w);
	AUTO(buf_freep) struct buf reasons = BUF_MAX(16 << 10);
	AUTO(fd_closep) int store = -1;
	const char *chosen = NULL;

	if (wire_done(&w, "the question for a storage driver", e) < 0)
		return -1;
	if (!path || !scratch || !want)
		return err_set(e, ERR_BUG, "the question for a storage driver lacks a name");
	if (unshare(CLONE_NEWNS) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot create a mount namespace");
	store = openat(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (store < 0)
		return err_errno(e, ERR_HOST, errno, "cannot open the store '%s'", path);
	if (snap_choose(store, scratch, want, &chosen, &reasons, e) < 0)
		return -1;
	wire_put_str(out, chosen);
	wire_put_str(out, reasons.p ? reasons.p : "");
	return 0;
}
