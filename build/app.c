/* build/app.c - what is opened at the first need: the store, the flavour of its layers, the storage driver. */
#include "build/app.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/idmap.h"
#include "base/mem.h"
#include "base/tmp.h"
#include "build/trees.h"
#include "build/work.h"
#include "layers/snap.h"

enum { DISK_LEAST = 1 << 20 };

int app_store(struct app *a, struct err **e)
{
	if (a->store)
		return 0;
	if (store_open(a->root, &a->store, e) < 0)
		return -1;
	if (!a->trees)
		a->trees = trees_new(a);
	return app_flavour(a, e);
}

bool app_disk_full(const struct app *a)
{
	struct statvfs fs;

	return fstatvfs(store_fd(a->store), &fs) == 0 && fs.f_blocks > 0 &&
	       (uint64_t)(geteuid() == 0 ? fs.f_bfree : fs.f_bavail) * fs.f_frsize < DISK_LEAST;
}

static void take_flavour(void *arg, const struct idmap *m)
{
	struct app *a = arg;
	char flavour[16];

	idmap_flavour(m, flavour);
	store_flavour(a->store, flavour);
}

void app_flavour_used(struct app *a)
{
	jobs_on_idmap(a->jobs, NULL, NULL);
}

int app_flavour(struct app *a, struct err **e)
{
	const struct idmap *m;

	if (a->flavoured)
		return 0;
	m = jobs_idmap(a->jobs, e);
	if (!m)
		return -1;
	take_flavour(a, m);
	jobs_on_idmap(a->jobs, take_flavour, a);
	a->flavoured = true;
	return 0;
}

/* ---- the storage driver: probed once per boot, remembered in ROOT/driver as "<boot id> <flavour> <name>" */

struct driver_wait {
	struct app *a;
	app_driver_then *then;
	void *arg;
	char scratch[80];
};

static char *driver_stamp(struct app *a, const char *name)
{
	char boot[40];

	return mem_printf("%s %s %s\n", clock_boot_id(boot), store_flavour_get(a->store), name);
}

static bool driver_remembered(struct app *a)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(256);

	if (at_read(store_fd(a->store), "driver", &b, NULL) != 0)
		return false;
	for (size_t i = 0; snap_table[i]; i++) {
		AUTO(mem_freep) char *stamp = driver_stamp(a, snap_table[i]->name);

		if (strcmp(b.p, stamp) == 0)
			snprintf(a->driver_chosen, sizeof(a->driver_chosen), "%s", snap_table[i]->name);
	}
	return a->driver_chosen[0];
}

static void driver_remember(struct app *a)
{
	AUTO(tmp_rollback) struct tmp t = TMP_NONE;
	AUTO(mem_freep) char *stamp = driver_stamp(a, a->driver_chosen);

	/* Only a memory: without it the next build probes again. */
	if (tmp_open(&t, store_fd(a->store), NULL) == 0 && fd_write_all(t.fd, stamp, strlen(stamp), NULL) == 0)
		tmp_commit(&t, store_fd(a->store), "driver", 0, 0600, NULL);
}

static void driver_known(void *arg, struct slice out, struct err *e)
{
	struct driver_wait *w = arg;
	struct app *a = w->a;
	struct wire r = wire_of(out);
	AUTO(mem_freep) char *name = e ? NULL : wire_str(&r);
	AUTO(mem_freep) char *why = e ? NULL : wire_str(&r);

	store_tmp_drop(a->store, w->scratch);
	if (!e && wire_done(&r, "a storage driver", &e) == 0) {
		/* Steps that begin together all ask; it is told once. */
		bool told = a->driver_chosen[0] != '\0';

		snprintf(a->driver_chosen, sizeof(a->driver_chosen), "%s", name);
		if (!told)
			report_note(a->report, REPORT_NOTE, "storage driver: %s%s%s", name, why && *why ? " - " : "",
				    why ? why : "");
		if (!a->driver || strcmp(a->driver, "auto") == 0)
			driver_remember(a);
	}
	w->then(w->arg, a->driver_chosen, e);
	free(w);
}

int app_driver(struct app *a, app_driver_then *then, void *arg, struct err **e)
{
	const char *want = a->driver ? a->driver : "auto";
	AUTO(buf_freep) struct buf b = BUF_MAX(64 << 10);
	struct driver_wait *w;

	if (a->driver_chosen[0] || (strcmp(want, "auto") == 0 && driver_remembered(a))) {
		then(arg, a->driver_chosen, NULL);
		return 0;
	}
	if (strcmp(want, "auto") != 0 && !snap_find(want)) {
		err_set(e, ERR_USAGE, "unknown storage driver '%s'", want);
		return err_hint(e, "auto, overlay or fuse-overlayfs");
	}
	w = mem_zalloc(sizeof(*w));
	*w = (struct driver_wait){ .a = a, .then = then, .arg = arg };
	if (store_tmp(a->store, w->scratch, e) < 0) {
		free(w);
		return -1;
	}
	wire_put_str(&b, store_path(a->store));
	wire_put_str(&b, w->scratch);
	wire_put_str(&b, want);
	if (job_start(a->jobs, JOB_MAPPED, WORK_SNAP, buf_view(&b), NULL, 0, NULL, driver_known, w, NULL, e) == 0)
		return 0;
	free(w);
	return -1;
}
