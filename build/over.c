/* build/over.c - unpacking a layer that leans on links or files of the layers below. */
#include "build/over.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/mem.h"
#include "cache/store.h"

void over_clear(struct over *o)
{
	listing_close(o->own);
	o->own = NULL;
	fd_closep(&o->outside);
	mem_freep(&o->on);
	mem_freep(&o->fs);
	mem_freep(&o->work);
}

/* Its first reading has left the listing. */
static int open_own(struct over *o, struct err **e)
{
	char path[80];

	store_listing_path(&o->r->diff, path);
	int fd = at_open_store(o->store, path, O_RDONLY, 0, e);
	return fd < 0 ? -1 : listing_open(fd, &o->own, e);
}

int over_mount(struct over *o, int store, const struct read_req *r, struct err **e)
{
	o->store = store;
	o->r = r;
	o->on = mem_printf("%s/on", r->tmp);
	o->fs = mem_printf("%s/fs", r->tmp);
	o->work = mem_printf("%s/work", r->tmp);
	o->driver = snap_find(r->driver);
	if (!o->driver)
		return err_set(e, ERR_BUG, "there is no storage driver '%s'", r->driver);
	if (open_own(o, e) < 0 || at_mkdirs(store, o->on, 0700, e) < 0 || at_mkdirs(store, o->work, 0700, e) < 0)
		return -1;
	o->outside = openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO(fd_closep) int at = at_open_store(store, o->on, O_PATH | O_DIRECTORY, 0, e);
	if (o->outside < 0 || at < 0)
		return *e ? -1 : err_errno(e, ERR_HOST, errno, "cannot open the root directory");
	AUTO(mem_freep) char *target = mem_printf("/proc/self/fd/%d", at);
	o->m = (struct snap_mount){ store, (const char *const *)r->under, r->nunder, o->fs, o->work, target, NULL };
	int rc = o->driver->mount(&o->m, &o->server, e);
	o->m.target = NULL;
	return rc < 0 ? err_wrap(e, "cannot unpack on top of the layers below") : 0;
}

/* One name, or all names, of a directory; it keeps its time, as a layer that does not list it does not touch it. */
static int delete_in(int root, const char *path, const char *only, struct err **e)
{
	AUTO(at_names_clear) struct at_names names = { 0 };
	AUTO(fd_closep) int dir = -1;
	struct stat st;
	int rc = at_try(root, path, O_RDONLY | O_DIRECTORY, &dir, e);

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (fstat(dir, &st) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot look at '/%s'", path);
	if (only) {
		rc = at_rmtree(dir, only, e);
	} else {
		rc = at_list(dir, &names, e);
		for (size_t i = 0; i < names.n && rc == 0; i++)
			rc = at_rmtree(dir, names.name[i], e);
	}
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, st.st_mtim };
	if (rc == 0 && futimens(dir, times) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot set the time of '/%s'", path);
	return rc;
}

int over_delete(struct over *o, int root, struct err **e)
{
	for (uint64_t i = 0; i < listing_count(o->own); i++) {
		struct entry en;

		listing_at(o->own, i, &en);
		if (en.type != ENTRY_WHITEOUT && en.type != ENTRY_OPAQUE)
			continue;
		AUTO(mem_freep) char *path = mem_str(en.path);
		char *slash = strrchr(path, '/');
		const char *name = slash ? slash + 1 : path;
		if (slash)
			*slash = '\0';
		int rc = en.type == ENTRY_OPAQUE ? delete_in(root, en.path, NULL, e) : delete_in(root, slash ? path : "", name, e);
		if (rc < 0)
			return err_wrap(e, "cannot delete '/%s'", en.path);
	}
	return 0;
}

int over_leave(struct over *o, int take_root, struct err **e)
{
	AUTO(fd_closep) int root = take_root;
	AUTO(fd_closep) int tmp = -1;
	AUTO(mem_freep) char *mounted = mem_printf("/proc/self/fd/%d", root);

	if (fchdir(o->outside) < 0 || chroot(".") < 0)
		return err_errno(e, ERR_HOST, errno, "cannot leave the directory of the layer");
	if (umount2(mounted, MNT_DETACH) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot unmount the layer");
	fd_closep(&root);
	o->m.target = o->on;
	if (o->server > 0 && o->driver->unmount(&o->m, o->server, e) < 0)
		return -1;
	if (o->driver->freeze(&o->m, e) < 0)
		return -1;
	tmp = at_open_store(o->store, o->r->tmp, O_RDONLY | O_DIRECTORY, 0, e);
	if (tmp < 0 || at_rmtree(tmp, "work", e) < 0 || at_rmtree(tmp, "work.empty", e) < 0)
		return -1;
	return at_rmtree(tmp, "on", e);
}
