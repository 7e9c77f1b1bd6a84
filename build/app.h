/* build/app.h - what main owns and passes down: the loop, the jobs, the store, the screen. */
#pragma once
#include "base/job.h"
#include "base/report.h"
#include "build/limit.h"
#include "cache/store.h"
#include "registry/transfer.h"

#include <sys/types.h>

struct app {
	struct loop *loop;
	struct jobs *jobs;
	struct store *store;             /* NULL until app_store() */
	struct report *report;
	const char *root;                /* --root / --storage, or NULL */
	const char *driver;              /* --storage-driver: "auto", "overlay", ... */
	char driver_chosen[32];          /* set by app_driver(); "" while unknown */
	int interrupted;                 /* signal number, 0: none */
	bool flavoured;                  /* the store knows the id map in force */
	bool debug;
	struct limit_values limits;
	mode_t umask;                    /* the user's: for files that the command line names; ours is 077 (spec/threats.md T1) */
	unsigned next_id;                /* of steps and transfers shown by report */
	struct cgroup *cgroup;           /* of the steps of a build with limits (build/cgroup.h); NULL */
	struct ssh_agent *agents;        /* of this build alone (build/sshagent.h) */
	struct trees *trees;             /* unpacking in flight (build/trees.h) */
};
/* Open the store at the first need. */
int app_store(struct app *a, struct err **e);
/* Is there next to nothing left on its disk? (spec/threats.md F4) */
bool app_disk_full(const struct app *a);
/* Probe the storage drivers in a mapped worker at the first need and say which it took. The answer is kept per boot in the store, so
 * then() usually runs at once. driver: what to use. */
typedef void app_driver_then(void *arg, const char *driver, struct err *take_err);
int app_driver(struct app *a, app_driver_then *then, void *arg, struct err **e);
/* Flavour of unpacked layers for the id map in force; sets it on the store. */
int app_flavour(struct app *a, struct err **e);
/* A directory of that flavour was found: should newuidmap refuse the map after all, mapped jobs fail, for its owners would be wrong. */
void app_flavour_used(struct app *a);
