/* layers/snap_mnt.h - mounts as descriptors (fsopen, open_tree, move_mount; spec/executor.md 6.1, spec/threats.md C6).
 *
 * Data:   a new mount is a detached descriptor until mnt_attach() puts it on a directory or file that is a descriptor
 *         too, so no path of an image is resolved by a mount call.
 * Fails:  -1 with ERR_HOST; the kernel's own words (fs context log) are part of the message.
 */
#pragma once
#include "base/at.h"

enum {
	MNT_RDONLY = 1, MNT_NOSUID = 2, MNT_NODEV = 4, MNT_NOEXEC = 8, MNT_STRICTATIME = 0x20,
	MNT_QUIET = MNT_NOSUID | MNT_NODEV | MNT_NOEXEC,
};

/* One setting of a file system: value NULL is a flag. */
struct mnt_opt {
	const char *key, *value;
};
/* New detached mount of a file system type. opt ends with a NULL key; NULL: none. */
int mnt_new(const char *type, const struct mnt_opt *opt, unsigned attrs, struct err **e);
/* The steps of mnt_new, for whom a string is not enough. */
int mnt_fsopen(const char *type, struct err **e);
int mnt_set(int fs, const char *key, const char *value);                /* -1 with errno */
int mnt_set_fd(int fs, const char *key, int fd);                        /* -1 with errno */
int mnt_create(int fs, const char *type, unsigned attrs, struct err **e);

/* Detached copy of the mount at dir/path ("" = dir itself); recursive: with what is mounted below. */
int mnt_clone(int dir, const char *path, bool recursive, struct err **e);
int mnt_attr(int mount, bool recursive, unsigned attrs, struct err **e);        /* add attributes */
/* Put it on `on` (O_PATH, a directory or file as the mount's root is). what: how messages call the place. */
int mnt_attach(int mount, int on, const char *what, struct err **e);
