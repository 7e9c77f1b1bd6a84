/* build/trees.c - unpacking on demand: one mapped job per layer in flight, any number of waiters. */
#include "build/trees.h"

#include <fcntl.h>

#include "base/mem.h"
#include "build/wait.h"
#include "build/work.h"
#include "layers/listing.h"

struct waiter {
	trees_done *done;
	void *arg;
	struct tally *tally;
	struct waiter *next;
};
struct reading {                         /* one blob being read */
	struct trees *t;
	struct digest blob, diff;        /* diff zero: unknown */
	struct digest chain;
	enum trees_want want;
	bool over;                       /* on top of the layers below */
	char tmp[80];
	struct waiter *waiters;
	struct reading *next;
};
/* Directories that are there: found once, and pinned by this process since. Sorted. A chain of n RUNs would read n*n/2 records. */
struct known {
	struct known_dir {
		struct digest d;
		bool leans;
		uint64_t bytes, entries;
	} *dir;
	size_t n, cap;
};
struct trees {
	struct app *a;
	struct reading *readings;
	struct known known;
};

struct trees *trees_new(struct app *a)
{
	struct trees *t = mem_zalloc(sizeof(*t));

	t->a = a;
	return t;
}

void trees_free(struct trees *t)
{
	while (t && t->readings) {
		struct reading *r = t->readings;

		t->readings = r->next;
		while (r->waiters) {
			struct waiter *w = r->waiters;

			r->waiters = w->next;
			free(w);
		}
		free(r);
	}
	if (t)
		free(t->known.dir);
	free(t);
}

static int tally_add(struct tally *t, const struct limit_values *l, uint64_t bytes, uint64_t entries, struct err **e)
{
	t->bytes += bytes;
	t->entries += entries;
	if (t->bytes > l->v[LIMIT_IMAGE_SIZE]) {
		err_set(e, ERR_LIMIT, "the layers of the image hold more");
		return limit_hit(l, LIMIT_IMAGE_SIZE, e);
	}
	if (t->entries > l->v[LIMIT_IMAGE_ENTRIES]) {
		err_set(e, ERR_LIMIT, "the layers of the image have more");
		return limit_hit(l, LIMIT_IMAGE_ENTRIES, e);
	}
	return 0;
}

/* f: what it was, for whoever counts. */
static int commit_reading(struct reading *r, struct slice out, struct read_facts *ret, struct err **e)
{
	struct store *s = r->t->a->store;
	struct read_facts f = { 0 };
	AUTO(mem_freep) char *listing = mem_printf("%s/listing", r->tmp);

	if (read_facts_get(out, &f, e) < 0)
		return -1;
	*ret = f;
	struct blob_info info = { .diff = f.diff, .blob = r->blob, .level = -1 };
	int rc = store_blob_find(s, &r->blob, &info.size, e);
	if (rc != 0)
		return rc < 0 ? -1 : err_set(e, ERR_HOST, "blob %s vanished from the store", digest_short(&r->blob).s);
	snprintf(info.comp, sizeof(info.comp), "%s", f.comp);
	if (store_info_add(s, &info, e) < 0 || store_listing_commit(s, listing, &f.diff, e) < 0)
		return -1;
	r->diff = f.diff;
	if (f.unmapped)
		report_note(r->t->a->report, REPORT_WARNING,
			    "layer %s: %ju entries belong to ids outside the id map; their owners are kept in a record (see /etc/subuid)",
			    digest_short(&r->blob).s, (uintmax_t)f.unmapped);
	/* One that leans and was read alone: it is unpacked again when it is known what lies below. */
	bool lowest = digest_equal(&r->chain, &f.diff);
	if (r->want != TREES_DIR || (f.leaning && !f.mended && (f.hard || !lowest))) {
		store_tmp_drop(s, r->tmp);
		return 0;
	}
	struct layer_meta m = {
		.diff = f.mended ? r->chain : f.diff, .blob = r->blob, .bytes = f.bytes, .entries = f.entries, .leans = f.leaning && !f.mended,
	};
	return store_layer_commit(s, r->tmp, &m, e);
}

static void reading_done(void *arg, struct slice out, struct err *failed)
{
	struct reading *r = arg;
	struct err *e = failed;
	struct read_facts f = { 0 };

	for (struct reading **p = &r->t->readings; *p; p = &(*p)->next) {
		if (*p == r) {
			*p = r->next;
			break;
		}
	}
	if (!e)
		commit_reading(r, out, &f, &e);
	if (e)
		store_tmp_drop(r->t->a->store, r->tmp);
	/* Everybody who waits gets the error; the first owns the chain, the others a copy. */
	while (r->waiters) {
		struct waiter *w = r->waiters;
		struct err *mine = e;

		r->waiters = w->next;
		if (e && r->waiters) {
			AUTO(buf_freep) struct buf b = BUF_MAX(1 << 20);

			err_pack(e, &b);
			mine = NULL;
			err_unpack(buf_view(&b), &mine);
		}
		if (!mine && w->tally)
			tally_add(w->tally, &r->t->a->limits, f.bytes, f.entries, &mine);
		w->done(w->arg, &r->diff, mine);
		free(w);
	}
	free(r);
}

static void add_waiter(struct reading *r, struct tally *tally, trees_done *done, void *arg)
{
	struct waiter **p = &r->waiters;
	struct waiter *w = mem_zalloc(sizeof(*w));

	w->done = done;
	w->arg = arg;
	w->tally = tally;
	while (*p)
		p = &(*p)->next;
	*p = w;
}

int trees_read(struct trees *t, const struct trees_blob *q, enum trees_want want, trees_done *done, void *arg, struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(JOB_MAX);
	struct reading *r;

	for (r = t->readings; r; r = r->next) {
		if (digest_equal(&r->blob, &q->blob) && digest_equal(&r->chain, &q->chain) && (r->want == want || r->want == TREES_DIR) &&
		    r->over == (q->driver != NULL)) {
			add_waiter(r, q->tally, done, arg);
			return 0;
		}
	}
	if (app_flavour(t->a, e) < 0)
		return -1;
	r = mem_zalloc(sizeof(*r));
	r->t = t;
	r->blob = q->blob;
	r->chain = q->chain;
	r->want = want;
	r->over = q->driver;
	if (store_tmp(t->a->store, r->tmp, e) < 0) {
		free(r);
		return -1;
	}
	struct read_req req = {
		.store = store_path(t->a->store), .blob = q->blob, .diff = q->diff, .size = q->size, .tmp = r->tmp,
		.limits = t->a->limits, .used_bytes = q->used ? q->used->bytes : 0, .used_entries = q->used ? q->used->entries : 0,
		.fill = want == TREES_DIR, .lower = q->lower, .nlower = q->nlower,
		.driver = q->driver, .under = q->under, .nunder = q->nunder,
	};
	read_req_put(&b, &req);
	/* A listing alone needs no mapped ids: nothing is written but one file of ours. */
	enum job_where where = want == TREES_DIR ? JOB_MAPPED : JOB_LOCAL;
	if (job_start(t->a->jobs, where, WORK_READ, buf_view(&b), NULL, 0, NULL, reading_done, r, NULL, e) < 0) {
		store_tmp_drop(t->a->store, r->tmp);
		free(r);
		return -1;
	}
	add_waiter(r, q->tally, done, arg);
	r->next = t->readings;
	t->readings = r;
	return 0;
}

/* ---- directories of a whole stack */

struct dirs_wait {
	struct trees *t;
	struct digest *diff, *chain;
	size_t n, pending;
	struct strs dirs;                /* of the lowest layers */
	struct tally there, all;         /* of the layers that were there, and of those that are */
	size_t over;                     /* layers below this number need not be tried again on top of the others */
	struct err *e;
	trees_dirs_done *done;
	void *arg;
};

static bool known_find(const struct known *k, const struct digest *d, size_t *ret)
{
	size_t from = 0, to = k->n;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		int c = digest_cmp(&k->dir[middle].d, d);

		if (c == 0) {
			*ret = middle;
			return true;
		}
		if (c < 0)
			from = middle + 1;
		else
			to = middle;
	}
	*ret = from;
	return false;
}

/* lowest: one that leans on nothing will do. */
static int dir_there(struct trees *t, const struct digest *d, bool lowest, struct err **e)
{
	struct known *k = &t->known;
	struct layer_meta m;
	size_t at = 0;

	if (!known_find(k, d, &at)) {
		int rc = store_layer_find(t->a->store, d, &m, e);

		if (rc != 0)
			return rc;
		app_flavour_used(t->a);
		MEM_ROOM(k->dir, k->n, k->cap);
		memmove(k->dir + at + 1, k->dir + at, (k->n - at) * sizeof(*k->dir));
		k->dir[at] = (struct known_dir){ *d, m.leans, m.bytes, m.entries };
		k->n++;
	}
	return k->dir[at].leans && !lowest ? STORE_MISS : 0;
}

/* A layer's directory is filed under its diff ID, or under the chain ID when it leans on what is below. Under the diff ID there may be
 * one that was made where nothing is below. */
static int dir_find(struct dirs_wait *d, size_t i, struct digest *ret, struct err **e)
{
	int rc = dir_there(d->t, &d->diff[i], i == 0, e);

	*ret = d->diff[i];
	if (rc != STORE_MISS || i == 0)
		return rc;
	*ret = d->chain[i];
	return dir_there(d->t, &d->chain[i], false, e);
}

/* Several layers are unpacked at a time, for several images maybe: what is counted is what each stack has in the end. */
static int dir_count(struct dirs_wait *d, const struct digest *at, struct tally *t, struct err **e)
{
	size_t k = 0;

	if (!known_find(&d->t->known, at, &k))
		return 0;
	return tally_add(t, &d->t->a->limits, d->t->known.dir[k].bytes, d->t->known.dir[k].entries, e);
}

static void dirs_end(struct dirs_wait *d)
{
	d->done(d->arg, d->dirs.v, d->e ? 0 : d->dirs.n, d->e);
	strs_clear(&d->dirs);
	free(d->diff);
	free(d->chain);
	free(d);
}

/* What is needed of layer i to unpack it. */
static int dirs_blob(struct dirs_wait *d, size_t i, struct trees_blob *ret, struct err **e)
{
	struct blob_info info;
	int rc = store_info_find(d->t->a->store, &d->diff[i], "", &info, e);

	if (rc < 0)
		return -1;
	if (rc > 0) {
		err_set(e, ERR_HOST, "layer %s has no content in the store", digest_short(&d->diff[i]).s);
		return err_hint(e, "run kiln check --repair, or build again with --pull=always");
	}
	*ret = (struct trees_blob){
		.blob = info.blob, .diff = d->diff[i], .size = info.size, .lower = d->diff, .nlower = i, .used = &d->there, .chain = d->chain[i],
	};
	return 0;
}

static void dirs_finish(struct dirs_wait *d);

static void dirs_over_done(void *arg, const struct digest *diff, struct err *e)
{
	struct dirs_wait *d = arg;

	d->e = e;
	dirs_finish(d);
}

/* A layer that could not be mended: its turn is when all below it is there. */
static void dirs_over(void *arg, const char *driver, struct err *e)
{
	struct dirs_wait *d = arg;
	struct strs under = { 0 };
	struct trees_blob q;

	d->e = e;
	if (!d->e && dirs_blob(d, d->dirs.n, &q, &d->e) == 0) {
		trees_stack(&under, d->dirs.v, d->dirs.n);
		q.driver = driver;
		q.under = under.v;
		q.nunder = under.n;
		trees_read(d->t, &q, TREES_DIR, dirs_over_done, d, &d->e);
		strs_clear(&under);
	}
	if (d->e)
		dirs_end(d);
}

static void dirs_finish(struct dirs_wait *d)
{
	while (!d->e && d->dirs.n < d->n) {
		size_t i = d->dirs.n;
		struct digest at;
		char path[160];
		int rc = dir_find(d, i, &at, &d->e);

		if (rc > 0 && d->over <= i) {
			d->over = i + 1;
			if (app_driver(d->t->a, dirs_over, d, &d->e) == 0)
				return;
		}
		if (rc > 0 && !d->e)
			err_set(&d->e, ERR_HOST, "layer %s is not in the store any more", digest_short(&d->diff[i]).s);
		if (rc || dir_count(d, &at, &d->all, &d->e) < 0)
			break;
		store_layer_path(d->t->a->store, &at, path);
		AUTO(mem_freep) char *fs = mem_printf("%s/fs", path);
		strs_add(&d->dirs, fs);
	}
	dirs_end(d);
}

static void dirs_one(void *arg, const struct digest *diff, struct err *e)
{
	struct dirs_wait *d = arg;

	if (d->e)
		err_free(e);
	else
		d->e = e;
	if (--d->pending == 0)
		dirs_finish(d);
}

/* Start unpacking layer i unless it is there. */
static int dirs_start(struct dirs_wait *d, size_t i, struct err **e)
{
	struct trees_blob q;
	struct digest at;
	int rc = dir_find(d, i, &at, e);

	if (rc <= 0)
		return rc < 0 ? -1 : dir_count(d, &at, &d->there, e);
	if (dirs_blob(d, i, &q, e) < 0)
		return -1;
	d->pending++;
	if (trees_read(d->t, &q, TREES_DIR, dirs_one, d, e) == 0)
		return 0;
	d->pending--;
	return -1;
}

int trees_dirs(struct trees *t, const struct digest *diff, size_t n, trees_dirs_done *done, void *arg, struct err **e)
{
	struct dirs_wait *d;

	if (app_flavour(t->a, e) < 0)
		return -1;
	d = mem_zalloc(sizeof(*d));
	*d = (struct dirs_wait){ .t = t, .n = n, .done = done, .arg = arg, .pending = 1 };
	d->diff = mem_array(n + 1, sizeof(*diff));
	d->chain = mem_array(n + 1, sizeof(*diff));
	for (size_t i = 0; i < n; i++) {
		d->diff[i] = diff[i];
		digest_chain(i ? &d->chain[i - 1] : NULL, &diff[i], &d->chain[i]);
	}
	for (size_t i = 0; i < n && !d->e; i++)
		dirs_start(d, i, &d->e);
	if (--d->pending == 0)
		dirs_finish(d);
	return 0;
}

void trees_stack(struct strs *stack, char *const *dirs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool again = false;

		for (size_t k = i + 1; k < n && !again; k++)
			again = strcmp(dirs[i], dirs[k]) == 0;
		if (!again)
			strs_add(stack, dirs[i]);
	}
}

/* ---- listings */

struct listing_wait {
	size_t pending;
	bool done;
	struct err *e;
};

static void listing_one(void *arg, const struct digest *diff, struct err *e)
{
	struct listing_wait *w = arg;

	if (w->e)
		err_free(e);
	else
		w->e = e;
	w->done = --w->pending == 0;
}

int trees_listings(struct trees *t, const struct digest *diff, size_t n, struct err **e)
{
	struct listing_wait w = { .pending = 1 };
	struct store *s = t->a->store;

	for (size_t i = 0; i < n && !w.e; i++) {
		struct blob_info info;
		int rc = store_listing_find(s, &diff[i], &w.e);

		if (rc <= 0)
			continue;
		rc = store_info_find(s, &diff[i], "", &info, &w.e);
		if (rc > 0)
			err_set(&w.e, ERR_HOST, "layer %s has no content in the store", digest_short(&diff[i]).s);
		if (rc)
			break;
		struct trees_blob q = { .blob = info.blob, .diff = diff[i], .size = info.size };
		w.pending++;
		if (trees_read(t, &q, TREES_LISTING, listing_one, &w, &w.e) < 0)
			w.pending--;
	}
	w.done = --w.pending == 0;
	return wait_until(t->a, &w.done, &w.e, e);
}

int trees_view(struct app *a, const struct digest *diff, size_t n, struct view **ret, struct err **e)
{
	return work_view(store_fd(a->store), diff, n, ret, e);
}
