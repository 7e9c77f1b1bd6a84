/* layers/snap.h - a root to work in: storage drivers, one row and one file each (spec/executor.md 6.2, 6.3, 7).
 *
 * Data:   lowers are directories of the store (ROOT-relative, bottom first), upper a fresh directory tmp/<id>/<n>/fs. Mounting
 *         happens in the monitor, inside its own mount namespace. Whatever the driver, the upper is left in the one form on
 *         disk: char 0:0 whiteouts, user.overlay.opaque=y.
 */
#pragma once
#include "base/at.h"

enum { SNAP_MAX_LOWERS = 400 };

struct snap_mount {
	int store;                       /* ROOT directory fd, opened in this mount namespace */
	const char *const *lower;        /* bottom first; may be empty */
	size_t nlower;
	const char *upper;               /* NULL: read-only view */
	const char *work;                /* beside upper, on the same file system */
	const char *target;              /* absolute path of an empty directory to mount on */
	const int *lower_fd;             /* the lowers, where they may have other names by now; for mount, of a driver with by_fd. NULL: by name */
};
struct snap_driver {
	const char *name;                /* "overlay", "fuse-overlayfs", "copy" */
	bool by_fd;                      /* mount takes lower_fd */
	/* Does it work for this store, here and now? Run in a mapped worker. 0 yes; 1 no, *why a sentence with a remedy. */
	int (*probe)(int store, const char *scratch, struct buf *why, struct err **e);
	/* *state: what unmount needs (fuse server pid), 0 when nothing. */
	int (*mount)(const struct snap_mount *m, pid_t *state, struct err **e);
	int (*unmount)(const struct snap_mount *m, pid_t state, struct err **e);
	/* Bring the upper into the one form (7.2 last row). lower: as in mount. */
	int (*freeze)(const struct snap_mount *m, struct err **e);
};
extern const struct snap_driver snap_overlay, snap_fuse;
const struct snap_driver *snap_find(const char *name);           /* NULL */
extern const struct snap_driver *const snap_table[];             /* best first, NULL-terminated */

/* A mapped job: payload {store path, scratch, driver name or "auto"}; answer {chosen name, reasons text}. */
struct job_self;
int snap_choose_job(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e);
