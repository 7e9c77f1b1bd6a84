/* build/cgroup.h - a place below which every step gets a cgroup of its own, when limits or --cgroup-parent ask for it (spec/executor.md 10.4).
 *
 * Data:   cgroup version 2 only. The place is the cgroup this process is in, or what --cgroup-parent names. Processes and enabled controllers
 *         cannot share a cgroup, so if need be this process moves to a leaf "supervisor" first. That it works is found out by trying it: a child
 *         enters a cgroup made there.
 * Owns:   cgroup_free() takes back what was made and moved, when all jobs are gone.
 * Fails:  not at all: a host that does not permit it is an answer, in words.
 */
#pragma once
#include "build/app.h"

enum { CGROUP_MEMORY = 1, CGROUP_CPU = 2, CGROUP_CPUSET = 4, CGROUP_PIDS = 8, CGROUP_ALL = 15 };

struct cgroup;
/* parent: --cgroup-parent, or NULL. wanted: controllers. *ret_why: why there is none (*ret NULL), or why some are not there; NULL: they are.
 * New memory. */
void cgroup_open(const char *parent, unsigned wanted, struct cgroup **ret, char **ret_why);
void cgroup_free(struct cgroup *g);
unsigned cgroup_controllers(const struct cgroup *g);
/* What the path of each step's cgroup begins with. */
const char *cgroup_prefix(const struct cgroup *g);
