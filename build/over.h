/* build/over.h - a layer unpacked through a mount on top of the layers below (spec/oci.md 1.7): for build/work_read.c, in its worker.
 *
 * Data:   over_mount() mounts the layers below with tmp/fs as upper on tmp/on; over_delete() removes through it what the layer deletes;
 *         then the layer's entries are written there; over_leave() takes the mount away and leaves tmp/fs in the one form on disk.
 */
#pragma once
#include "build/work.h"
#include "layers/listing.h"
#include "layers/snap.h"

struct over {
	const struct read_req *r;
	int store, outside;              /* the store is borrowed; the root directory before the layer's was entered */
	char *on, *fs, *work;
	const struct snap_driver *driver;
	struct snap_mount m;
	pid_t server;
	struct listing *own;             /* names what the layer deletes */
};
#define OVER_NONE { .store = -1, .outside = -1 }
int over_mount(struct over *o, int store, const struct read_req *r, struct err **e);
int over_delete(struct over *o, int root, struct err **e);
int over_leave(struct over *o, int take_root, struct err **e);
void over_clear(struct over *o);
