/* build/work.c - the table of jobs, and what workers do: pack a directory, delete trash, call a function. */
#include "build/work.h"

#include <fcntl.h>
#include <string.h>

#include "base/at.h"
#include "base/mem.h"
#include "build/exec/run.h"
#include "build/op/copy.h"
#include "build/treeout.h"
#include "cache/store.h"
#include "layers/diff.h"
#include "layers/listing.h"
#include "layers/relist.h"
#include "layers/snap.h"

void work_put_digest(struct buf *b, const struct digest *d)
{
	wire_put(b, (struct slice){ (const char *)d->b, sizeof(d->b) });
}

void work_get_digest(struct wire *w, struct digest *d)
{
	struct slice s = wire_get(w);

	memset(d, 0, sizeof(*d));
	if (s.n == sizeof(d->b))
		memcpy(d->b, s.p, sizeof(d->b));
	else
		w->bad = true;
}

struct digest *work_get_digests(struct wire *w, size_t *n)
{
	struct digest *d = NULL;

	*n = 0;
	for (uint32_t left = wire_u32(w); left > 0 && !w->bad; left--) {
		d = mem_grow(d, *n + 1, sizeof(*d));
		work_get_digest(w, &d[(*n)++]);
	}
	return d;
}

int work_store(const char *path, struct err **e)
{
	int fd = fd_open_host(path, O_RDONLY | O_DIRECTORY, 0, e);

	if (fd < 0)
		err_wrap(e, "cannot open the store '%s'", path);
	return fd;
}

/* ---- WORK_PACK */

void pack_job_put(struct buf *b, const struct pack_job *r)
{
	size_t nskip = 0;

	wire_put_str(b, r->store);
	wire_put_str(b, r->dir);
	wire_put_str(b, r->tmp);
	wire_put_u32(b, (uint32_t)r->nlower);
	for (size_t i = 0; i < r->nlower; i++)
		work_put_digest(b, &r->lower[i]);
	while (r->skip && r->skip[nskip])
		nskip++;
	wire_put_u32(b, (uint32_t)nskip);
	for (size_t i = 0; i < nskip; i++)
		wire_put_str(b, r->skip[i]);
	work_put_digest(b, r->stored ? r->stored : &(struct digest){ 0 });
	wire_put_u32(b, r->listing);
	wire_put_str(b, r->comp);
	wire_put_i64(b, r->level);
	wire_put_i64(b, r->clamp);
	wire_put_u32(b, r->retime);
}

int pack_answer_get(struct slice in, struct pack_facts *ret, struct err **e)
{
	struct wire w = wire_of(in);

	pack_facts_get(&w, ret);
	return wire_done(&w, "the facts of a packed layer", e);
}

int work_view(int store, const struct digest *diff, size_t n, struct view **ret, struct err **e)
{
	AUTO(view_freep) struct view *v = view_new();

	for (size_t i = 0; i < n; i++) {
		struct listing *l = NULL;
		char path[80];

		store_listing_path(&diff[i], path);
		int fd = at_open_store(store, path, O_RDONLY, 0, e);
		if (fd < 0 || listing_open(fd, &l, e) < 0)
			return err_wrap(e, "cannot read the listing of layer %s", digest_short(&diff[i]).s);
		view_push(v, l);
		if (view_settle(v, e) < 0)
			return -1;
	}
	*ret = take(&v);
	return 0;
}

struct pack_args {
	char *store, *dir, *tmp, *comp;
	struct digest *lower;
	char **skip;
	size_t nlower, nskip;
	struct digest stored;
	bool listing, retime;
	int64_t level, clamp;
};

static void pack_args_clear(struct pack_args *a)
{
	mem_freep(&a->store);
	mem_freep(&a->dir);
	mem_freep(&a->tmp);
	mem_freep(&a->comp);
	mem_freep(&a->lower);
	for (size_t i = 0; i < a->nskip; i++)
		mem_freep(&a->skip[i]);
	mem_freep(&a->skip);
}

static int pack_args_get(struct slice in, struct pack_args *a, struct err **e)
{
	struct wire w = wire_of(in);

	a->store = wire_str(&w);
	a->dir = wire_str(&w);
	a->tmp = wire_str(&w);
	a->lower = work_get_digests(&w, &a->nlower);
	uint32_t n = wire_u32(&w);
	a->skip = mem_zalloc(sizeof(char *));
	for (uint32_t i = 0; i < n && !w.bad; i++) {
		a->skip = mem_grow(a->skip, i + 2, sizeof(*a->skip));
		a->skip[i] = wire_str(&w);
		a->skip[i + 1] = NULL;
		a->nskip = i + 1;
	}
	work_get_digest(&w, &a->stored);
	a->listing = wire_u32(&w);
	a->comp = wire_str(&w);
	a->level = wire_i64(&w);
	a->clamp = wire_i64(&w);
	a->retime = wire_u32(&w);
	return wire_done(&w, "a layer to pack", e);
}

static int pack_entries(const struct pack_args *a, struct entries *take_src, int tmp, struct pack_facts *facts, struct err **e)
{
	struct pack_req p = {
		.src = take_src, .dir = tmp, .comp = a->comp, .level = (int)a->level, .listing = a->listing,
		.clamp_mtime = a->clamp, .set_mtime = a->retime, .fill_root = -1,
	};

	return pack_run(&p, facts, e);
}

static int pack_stored(const struct pack_args *a, int store, int root, int tmp, struct pack_facts *facts, struct err **e)
{
	struct listing *l = NULL;
	char path[80];
	int fd, rc;

	store_listing_path(&a->stored, path);
	fd = at_open_store(store, path, O_RDONLY, 0, e);
	if (fd < 0 || listing_open(fd, &l, e) < 0)
		return -1;
	rc = pack_entries(a, relist_new(l, root), tmp, facts, e);
	listing_close(l);
	return rc;
}

/* What a layer that comes twice holds is all in its topmost place (a RUN that changes nothing makes the same layer each time). */
static size_t keep_topmost(struct digest *d, size_t n)
{
	size_t kept = n;

	for (size_t i = n; i-- > 0;) {
		size_t k = kept;

		while (k < n && !digest_equal(&d[k], &d[i]))
			k++;
		if (k == n)
			d[--kept] = d[i];
	}
	memmove(d, d + kept, (n - kept) * sizeof(*d));
	return n - kept;
}

static int pack_upper(const struct pack_args *a, int store, int root, int tmp, struct pack_facts *facts, struct err **e)
{
	AUTO(view_freep) struct view *lower = NULL;
	struct diff_opts d = { .lower_root = -1, .skip = (const char *const *)a->skip };
	struct entries *src = NULL;

	size_t nlower = keep_topmost(a->lower, a->nlower);
	if (nlower && work_view(store, a->lower, nlower, &lower, e) < 0)
		return -1;
	d.lower = lower;
	if (diff_new(root, &d, &src, e) < 0)
		return -1;
	return pack_entries(a, src, tmp, facts, e);
}

static int pack_layer(const struct pack_args *a, struct pack_facts *facts, struct err **e)
{
	AUTO(fd_closep) int store = work_store(a->store, e);
	AUTO(fd_closep) int root = store < 0 ? -1 : at_open_store(store, a->dir, O_RDONLY | O_DIRECTORY, 0, e);
	AUTO(fd_closep) int tmp = root < 0 ? -1 : at_open_store(store, a->tmp, O_RDONLY | O_DIRECTORY, 0, e);

	if (tmp < 0)
		return -1;
	if (digest_zero(&a->stored))
		return pack_upper(a, store, root, tmp, facts, e);
	return pack_stored(a, store, root, tmp, facts, e);
}

static int pack_job_run(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	AUTO(pack_args_clear) struct pack_args a = { 0 };
	struct pack_facts facts = { 0 };

	if (pack_args_get(in, &a, e) < 0)
		return -1;
	if (pack_layer(&a, &facts, e) < 0)
		return err_wrap(e, "cannot make a layer of what the step changed");
	pack_facts_put(out, &facts);
	return 0;
}

/* ---- WORK_RMTREE: payload {store}; everything in trash/ goes, whoever put it there. */

static int rmtree_job(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	struct wire w = wire_of(in);
	AUTO(mem_freep) char *path = wire_str(&w);
	struct at_names names = { 0 };
	int rc = 0;

	if (wire_done(&w, "a store to clean", e) < 0)
		return -1;
	AUTO(fd_closep) int store = work_store(path, e);
	AUTO(fd_closep) int trash = store < 0 ? -1 : at_open_store(store, "trash", O_RDONLY | O_DIRECTORY, 0, e);
	if (trash < 0 || at_list(trash, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n && rc == 0; i++)
		rc = at_rmtree(trash, names.name[i], e);
	at_names_clear(&names);
	return rc;
}

/* ---- WORK_CALL */

void work_call_put(struct buf *b, work_fn *fn, void *arg)
{
	buf_add(b, &fn, sizeof(fn));
	buf_add(b, &arg, sizeof(arg));
}

static int call_job(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	work_fn *fn;
	void *arg;

	if (in.n != sizeof(fn) + sizeof(arg))
		return err_set(e, ERR_BUG, "a local call has %zu bytes", in.n);
	memcpy(&fn, in.p, sizeof(fn));
	memcpy(&arg, in.p + sizeof(fn), sizeof(arg));
	return fn(arg, self, out, e);
}

const struct job_row work_table[WORK_COUNT] = {
	[WORK_SNAP] = { .name = "choosing a storage driver", .run = snap_choose_job },
	[WORK_READ] = { .name = "unpacking a layer", .run = work_read },
	[WORK_PACK] = { .name = "packing a layer", .run = pack_job_run },
	[WORK_RUN] = { .name = "running a step", .run = run_job, .once = room_filter, .ahead = room_make, .at_once = true },
	[WORK_RMTREE] = { .name = "deleting old trees", .run = rmtree_job },
	[WORK_CACHES] = { .name = "removing cache mounts", .run = work_caches },
	[WORK_COPY] = { .name = "copying files", .run = copy_job },
	[WORK_SQUASH] = { .name = "making one layer", .run = squash_job },
	[WORK_TREE] = { .name = "writing the file system", .run = treeout_job },
	[WORK_PULL] = { .name = "downloading an image", .run = call_job },
	[WORK_PUSH] = { .name = "uploading an image", .run = call_job },
	[WORK_ARCHIVE] = { .name = "reading an archive", .run = call_job },
	[WORK_CALL] = { .name = "working", .run = call_job },
};
