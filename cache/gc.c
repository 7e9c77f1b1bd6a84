/* cache/gc.c - mark, choose, sweep (spec/oci.md 7.5, L4).
 *
 * Everything up to the last rename happens under LOCK_EX, so no lease grows meanwhile. Records go before what they
 * name. Killed at any point it leaves a store with less garbage, and perhaps a fuller trash/.
 */
#include "cache/gc.h"
#include "base/mem.h"
#include "cache/mark.h"
#include "cache/names.h"
#include "cache/steps_priv.h"
#include "cache/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

/* GRACE: blobs this young stay whatever happens, as a safety net under the leases. FORGET: reasons and remembered
 * stats that nobody refreshed. */
enum { GRACE_SECONDS = 60, FORGET_SECONDS = 30 * 24 * 60 * 60 };

struct record {
	char *path;
	struct digest diff;
	int64_t used;
	bool keep;
};
struct gc {
	struct store *s;
	const struct gc_policy *p;
	struct gc_result *r;
	struct wanted w;
	struct record *record;
	size_t nrecord, cap;
	int64_t now;
};

static void gc_clear(struct gc *g)
{
	for (size_t i = 0; i < g->nrecord; i++)
		free(g->record[i].path);
	free(g->record);
	buf_free(&g->s->met);
	g->s->met = (struct buf){ 0 };
	wanted_clear(&g->w);
}

static int drop(struct gc *g, const char *path, uint64_t bytes, size_t *count, struct err **e)
{
	++*count;
	g->r->bytes += bytes;
	return g->p->dry_run ? 0 : store_trash(g->s, path, NULL, e);
}

/* ---- mark */

static int load_record(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	struct gc *g = arg;
	struct step_record r = { 0 };
	struct digest key;

	/* Torn and suspect ones are misses for everybody: they go. */
	int rc = digest_parse_hex(slice_of(name), &key) < 0 ? STEPS_MISS : steps_read(g->s, path, &key, &r, e);
	if (rc < 0)
		return -1;
	bool young = g->p->keep_seconds && g->now - st->st_mtime < g->p->keep_seconds;
	MEM_ROOM(g->record, g->nrecord, g->cap);
	g->record[g->nrecord++] = (struct record){
		.path = mem_str(path), .diff = r.diff, .used = st->st_mtime, .keep = rc == 0 && (!g->p->all || young),
	};
	if (g->record[g->nrecord - 1].keep)
		marks_add(&g->w.diffs, &r.diff)->records++;
	return 0;
}

static int add_bytes(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	struct gc *g = arg;
	struct layer_meta m;
	struct digest d;

	if (digest_parse_hex(slice_of(name), &d) < 0)
		return 0;
	struct mark *mark = marks_find(&g->w.diffs, &d);
	if (!mark)
		return 0;
	if (S_ISREG(st->st_mode))
		mark->bytes += (uint64_t)st->st_size;
	else if (store_layer_meta(g->s, path, &d, &m, NULL) == 0)
		mark->bytes += m.bytes;
	return 0;
}

/* What goes with each wanted diff ID: directories, listing, blobs. */
static int weigh(struct gc *g, struct err **e)
{
	if (store_visit2(g->s, "layers", add_bytes, g, e) < 0 || store_visit(g->s, "listings", add_bytes, g, e) < 0)
		return -1;
	for (size_t i = 0; i < g->w.diffs.cap; i++) {
		struct mark *m = &g->w.diffs.slot[i];

		if (m->used && wanted_blobs_of(g->s, &g->w, &m->d, m->held, &m->bytes, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- choose: records go, least recently used first, until the limits are kept */

static int by_use(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	return x->used != y->used ? (x->used > y->used) - (x->used < y->used) : strcmp(x->path, y->path);
}

bool gc_too_much(const struct gc_policy *p, uint64_t used, uint64_t free)
{
	return used > p->reserved && ((p->max_used && used > p->max_used) || (p->min_free && free < p->min_free));
}

static int choose(struct gc *g, struct err **e)
{
	const struct gc_policy *p = g->p;
	uint64_t total = 0, free_bytes = 0;
	struct statvfs fs;

	if (!p->max_used && !p->min_free)
		return 0;
	if (fstatvfs(g->s->fd, &fs) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot ask for the free space of '%s'", g->s->path);
	free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	for (size_t i = 0; i < g->w.diffs.cap; i++)
		total += g->w.diffs.slot[i].bytes;
	if (g->nrecord)
		qsort(g->record, g->nrecord, sizeof(*g->record), by_use);

	for (size_t i = 0; i < g->nrecord && gc_too_much(p, total, free_bytes); i++) {
		struct record *r = &g->record[i];

		if (!r->keep || (p->keep_seconds && g->now - r->used < p->keep_seconds))
			continue;
		struct mark *m = marks_find(&g->w.diffs, &r->diff);
		r->keep = false;
		m->records--;
		if (m->records == 0 && !m->held) {
			total -= m->bytes;
			free_bytes += m->bytes;
		}
	}
	g->r->left = total;
	g->r->free = free_bytes;
	return 0;
}

/* The sets hold what anybody wanted before the choice; a diff ID is kept when somebody still does. */
static bool diff_kept(const struct gc *g, const struct digest *d)
{
	const struct mark *m = marks_find(&g->w.diffs, d);

	return m && (m->held || m->records > 0);
}

/* Blobs: hold those of the kept diff IDs; the others of the set were wanted by dropped records only. */
static int hold_blobs(struct gc *g, struct err **e)
{
	for (size_t i = 0; i < g->w.diffs.cap; i++) {
		struct mark *m = &g->w.diffs.slot[i];

		if (m->used && diff_kept(g, &m->d) && wanted_blobs_of(g->s, &g->w, &m->d, true, NULL, e) < 0)
			return -1;
	}
	return 0;
}

static bool blob_kept(const struct gc *g, const struct digest *d)
{
	const struct mark *m = marks_find(&g->w.blobs, d);

	return m && m->held;
}

/* ---- sweep */

static int sweep_records(struct gc *g, struct err **e)
{
	for (size_t i = 0; i < g->nrecord; i++)
		if (!g->record[i].keep && drop(g, g->record[i].path, 0, &g->r->records, e) < 0)
			return -1;
	return 0;
}

static int sweep_blob(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	struct gc *g = arg;
	struct digest d;

	if (digest_parse_hex(slice_of(name), &d) == 0 && (blob_kept(g, &d) || g->now - st->st_mtime < GRACE_SECONDS))
		return 0;
	return drop(g, path, (uint64_t)st->st_size, &g->r->blobs, e);
}

static int sweep_listing(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	struct gc *g = arg;
	struct digest d;

	if (digest_parse_hex(slice_of(name), &d) == 0 && diff_kept(g, &d))
		return 0;
	return drop(g, path, (uint64_t)st->st_size, &g->r->listings, e);
}

static int sweep_layer(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	struct gc *g = arg;
	struct layer_meta m = { 0 };
	struct digest d;
	bool named = digest_parse_hex(slice_of(name), &d) == 0;

	if (named && diff_kept(g, &d))
		return 0;
	uint64_t bytes = named && store_layer_meta(g->s, path, &d, &m, NULL) == 0 ? m.bytes : 0;
	return drop(g, path, bytes, &g->r->layers, e);
}

static int sweep_info(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	struct gc *g = arg;
	struct digest d;
	size_t uncounted = 0;

	if (digest_parse_hex(slice_of(name), &d) == 0 && blob_kept(g, &d))
		return 0;
	return drop(g, path, 0, &uncounted, e);
}

/* info/diff/<diff> is empty when its last blob has gone. */
static int sweep_info_folder(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	struct gc *g = arg;

	if (store_visit(g->s, path, sweep_info, g, e) < 0)
		return -1;
	AUTO(fd_closep) int dir = at_open_store(g->s->fd, "info/diff", O_PATH | O_DIRECTORY, 0, e);
	if (dir < 0)
		return -1;
	if (!g->p->dry_run && unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY)
		return err_errno(e, ERR_HOST, errno, "cannot remove '%s/%s'", g->s->path, path);
	return 0;
}

static int sweep_old(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	struct gc *g = arg;
	size_t uncounted = 0;

	if (!g->p->all && g->now - st->st_mtime < FORGET_SECONDS)
		return 0;
	return drop(g, path, (uint64_t)st->st_size, &uncounted, e);
}

/* A job's lock file goes only in the hands of who holds it; store_job_lock() looks for its name afterwards. */
static int sweep_job(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	struct gc *g = arg;
	AUTO(fd_closep) int dir = at_open_store(g->s->fd, "jobs", O_PATH | O_DIRECTORY, 0, e);
	AUTO(fd_closep) int fd = -1;

	if (dir < 0)
		return -1;
	int rc = at_try_store(g->s->fd, path, O_RDONLY, &fd, e);
	if (rc != 0 || g->p->dry_run || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return rc < 0 ? -1 : 0;
	return at_unlink(dir, name, e);
}

/* Without synced/<boot> all of that boot is suspect (T8): it goes after the last of what that boot has made. */
static int sweep_synced(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	struct gc *g = arg;
	size_t uncounted = 0;

	if (strcmp(name, g->s->boot) == 0 || memmem(g->s->met.p, g->s->met.n, name, strlen(name)))
		return 0;
	return drop(g, path, (uint64_t)st->st_size, &uncounted, e);
}

static int sweep_untagged(struct gc *g, struct err **e)
{
	struct name_record *r = NULL;
	size_t n = 0, bad = 0;
	int rc = names_list(g->s, &r, &n, &bad, e);

	for (size_t i = 0; rc >= 0 && i < n; i++) {
		if (!name_untagged(r[i].name))
			continue;
		g->r->names++;
		if (!g->p->dry_run)
			rc = names_delete(g->s, r[i].name, e);
	}
	names_list_free(r, n);
	return rc < 0 ? -1 : 0;
}

/* Files first: a full disk has room again before directories are renamed. */
static int sweep(struct gc *g, struct err **e)
{
	struct store *s = g->s;

	if (g->p->untagged && sweep_untagged(g, e) < 0)
		return -1;
	if (sweep_records(g, e) < 0 || store_visit(s, "last", sweep_old, g, e) < 0 ||
	    store_visit(s, "stat", sweep_old, g, e) < 0 || store_visit(s, "remotes", sweep_old, g, e) < 0 ||
	    store_visit(s, "jobs", sweep_job, g, e) < 0)
		return -1;
	/* A name that cannot be read could mean anything. */
	if (g->w.bad_names == 0 &&
	    (store_visit(s, "blobs/sha256", sweep_blob, g, e) < 0 ||
	     store_visit(s, "listings", sweep_listing, g, e) < 0 || store_visit(s, "info/blob", sweep_info, g, e) < 0 ||
	     store_visit(s, "info/source", sweep_info, g, e) < 0 ||
	     store_visit(s, "info/diff", sweep_info_folder, g, e) < 0 ||
	     store_visit2(s, "layers", sweep_layer, g, e) < 0 || buf_ok(&s->met, "the list of boots", e) < 0 ||
	     store_visit(s, "synced", sweep_synced, g, e) < 0))
		return -1;
	return lease_sweep(s, g->p->dry_run, &g->r->tmps, e);
}

/* What is in trash/ is nobody's any more: no lock. Trees may belong to subordinate ids. */
static int empty_trash(struct store *s, bool *trees, struct err **e)
{
	AUTO(at_names_clear) struct at_names names = { 0 };
	AUTO(fd_closep) int dir = at_open_store(s->fd, "trash", O_RDONLY | O_DIRECTORY, 0, e);

	if (dir < 0 || at_list(dir, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		if (unlinkat(dir, names.name[i], 0) == 0 || errno == ENOENT)
			continue;
		if (errno != EISDIR)
			return err_errno(e, ERR_HOST, errno, "cannot remove '%s/trash/%s'", s->path, names.name[i]);
		if (unlinkat(dir, names.name[i], AT_REMOVEDIR) < 0 && errno != ENOENT)
			*trees = true;
	}
	return 0;
}

int gc_run(struct store *s, const struct gc_policy *p, struct gc_result *ret, struct err **e)
{
	struct gc_result r = { 0 };
	AUTO(gc_clear) struct gc g = { .s = s, .p = p, .r = &r, .now = time(NULL), .w.tagged_only = p->untagged };
	AUTO(store_unlock) int lock = -1;

	s->met = (struct buf)BUF_MAX(1 << 20);
	buf_str(&s->met, "");
	if (store_lock(s->fd, LOCK_EX, &lock, e) < 0 || wanted_collect(s, &g.w, e) < 0 ||
	    store_visit2(s, "records", load_record, &g, e) < 0 || weigh(&g, e) < 0 || choose(&g, e) < 0 ||
	    hold_blobs(&g, e) < 0 || sweep(&g, e) < 0)
		return err_wrap(e, "cannot clean the store '%s'", s->path);
	store_unlock(&lock);
	r.bad_names = g.w.bad_names;
	if (!p->dry_run && empty_trash(s, &r.trees, e) < 0)
		return err_wrap(e, "cannot clean the store '%s'", s->path);
	*ret = r;
	return 0;
}
