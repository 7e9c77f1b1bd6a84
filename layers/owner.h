/* layers/owner.h - owners of image trees: the only caller of chown and the only reader of st_uid there, so that single-id
 * mode changes this file alone (spec/executor.md 4.4).
 *
 * An owner the kernel can hold is set by chown; one outside the map is 0:0 plus xattr user.kiln.own ("uid:gid").
 */
#pragma once
#include "base/at.h"

/* How this process may own things: filled once per worker. */
struct owner {
	bool single;                     /* one id only */
	bool any;                        /* every id: nothing is ever recorded */
	bool nobody_uid, nobody_gid;     /* the map has 65534, which otherwise means "not in the map" */
};
void owner_init(struct owner *o);
/* fd >= 0: that object; else dir/name without following. name: for messages. *recorded: the map could not hold it. */
int owner_set(const struct owner *o, int fd, int dir, const char *name, uint32_t uid, uint32_t gid, bool *recorded, struct err **e);
/* Drop an old record, before the object gets a new owner. */
void owner_forget(int fd);
/* Container ids of a stat'ed object; reads the record where the kernel's answer may be a stand-in (fd -1: it is known to have
 * none). W4: an unmapped owner without a record is an error. */
int owner_get(const struct owner *o, int fd, const struct stat *st, uint32_t *uid, uint32_t *gid, struct err **e);
