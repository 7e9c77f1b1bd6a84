/* build/op/cdi.h - devices by the Container Device Interface: what a step gets of the devices that this host's files describe
 * (spec/dockerfile.md 8.5; github.com/cncf-tags/container-device-interface, SPEC.md).
 *
 * Data:   *.json and *.yaml of some directories -> a list of devices -> nodes, mounts, variables and groups of a step.
 * Owns:   cdi_freep(). What cdi_edits() gives is the arena's.
 * Fails:  ERR_LIMIT for what a description asks and no build gives. A file that cannot be read hides its devices only: why they
 *         are not there is cdi_broken().
 * Bounds: FILES_MAX files of FILE_MAX bytes. The files are the administrator's: what they say of the host is taken as it is.
 */
#pragma once
#include "base/arena.h"
#include "build/exec/run.h"
#include "build/req.h"

enum { CDI_NONE = 1 };                   /* answer: no such device */

struct cdi;
struct cdi_edit {
	const char **env;                /* "K=V" */
	struct run_mount *mount;
	char **group;                    /* numbers */
	size_t nenv, nmount, ngroup;
};
/* dirs: the last one wins. One that is not there holds nothing. */
int cdi_open(const struct strs *dirs, struct cdi **ret, struct err **e);
void cdi_freep(struct cdi **c);
/* For one step: what a file says of all its devices is added once. "vendor/class=name", "vendor/class=*" (all), "vendor/class" (the first) or the class that an
 * annotation names. */
int cdi_edits(const struct cdi *c, const char *name, struct arena *a, struct cdi_edit *ret, struct err **e);
/* What was wrong with the first bad file, NULL: nothing. Taken by the caller. */
struct err *cdi_broken(struct cdi *c);
