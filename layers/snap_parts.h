/* layers/snap_parts.h - what the storage drivers share among themselves. */
#pragma once
#include "layers/snap.h"

/* Put a detached mount on an absolute path of ours. */
int snap_attach(int mount, const char *target, struct err **e);
/* A read-only view of a single lower: a bind, which needs no driver. */
int snap_bind(const struct snap_mount *m, struct err **e);
/* Mount, change what a step may change, unmount, freeze, and look for the one form on disk (P6). As snap_driver.probe. */
int snap_trial(const struct snap_driver *d, int store, const char *scratch, struct buf *why, struct err **e);
/* snap_freeze.c: fuse-overlayfs's upper into the one form. */
int snap_fuse_freeze(const struct snap_mount *m, struct err **e);
