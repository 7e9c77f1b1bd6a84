/* base/idmap.h - which ids a user namespace of ours gets (spec/executor.md 3, spec/threats.md U5).
 *
 * Data:   /etc/subuid, /etc/subgid (or the own maps of a root inside a container) -> extents -> the map
 *         files of a child, by newuidmap/newgidmap or written directly where we may.
 */
#pragma once
#include "base/buf.h"

#include <sys/types.h>

struct idmap_extent {
	uint32_t inside, outside, count;
};
enum idmap_how {
	IDMAP_NONE,          /* real root: no user namespace needed */
	IDMAP_HELPERS,       /* newuidmap and newgidmap */
	IDMAP_DIRECT,        /* written by us (CAP_SETUID in the namespace above) */
	IDMAP_SINGLE,        /* one id only: level B */
};
struct idmap {
	enum idmap_how how;
	struct idmap_extent uid[64], gid[64];
	unsigned nuid, ngid;
	char why[256];       /* the sentence that tells how it was decided, and a remedy if it is not the best */
};

/* Work out the map for this process. Never fails for lack of ranges: falls to IDMAP_SINGLE and says why. */
int idmap_plan(struct idmap *ret, struct err **e);
/* Parse one subuid/subgid text for the owner (name or uid); appends extents, inside ids from *next on. */
int idmap_parse(struct slice text, const char *name, uid_t uid, uint32_t skip, struct idmap_extent *ext, unsigned max,
		unsigned *n, uint32_t *next);
/* Write the maps of child pid (both helpers at once), read them back. */
int idmap_write(const struct idmap *m, pid_t pid, struct err **e);
/* After a failed write: the next worse map, with the cause in its why. False: there is none. */
bool idmap_worse(struct idmap *m, const struct err *cause);
/* Short text that names the map: part of a layer's flavour (spec/oci.md 7.6). */
void idmap_flavour(const struct idmap *m, char ret[16]);
bool idmap_covers(const struct idmap_extent *ext, unsigned n, uint32_t inside);
