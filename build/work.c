/* build/work.c - what workers do: read a layer's blob, pack a directory, delete trash. */
#include "build/work.h"

#include <fcntl.h>
#include <string.h>

#include "base/at.h"
#include "base/mem.h"
#include "build/exec/run.h"
#include "build/op/copy.h"
#include "build/treeout.h"
#include "cache/store.h"
#include "layers/comp.h"
#include "layers/diff.h"
#include "layers/fill.h"
#include "layers/listing.h"
#include "layers/mend.h"
#include "layers/relist.h"
#include "layers/snap.h"
#include "layers/tarin.h"

#define LAYER_MAX (64ULL << 30)

static void put_digest(struct buf *b, const struct digest *d)
{
	wire_put(b, (struct slice){ (const char *)d->b, sizeof(d->b) });
}

static void get_digest(struct wire *w, struct digest *d)
{
	struct slice s = wire_get(w);

	memset(d, 0, sizeof(*d));
	if (s.n == sizeof(d->b))
		memcpy(d->b, s.p, sizeof(d->b));
	else
		w->bad = true;
}

static struct digest *get_digests(struct wire *w, size_t *n)
{
	struct digest *d = NULL;

	*n = 0;
	for (uint32_t left = wire_u32(w); left > 0 && !w->bad; left--) {
		d = mem_grow(d, *n + 1, sizeof(*d));
		get_digest(w, &d[(*n)++]);
	}
	return d;
}

static int open_store(const char *path, struct err **e)
{
	int fd = fd_open_host(path, O_RDONLY | O_DIRECTORY, 0, e);

	if (fd < 0)
		err_wrap(e, "cannot open the store '%s'", path);
	return fd;
}

/* ---- WORK_READ */

void read_req_put(struct buf *b, const struct read_req *r)
{
	wire_put_str(b, r->store);
	put_digest(b, &r->blob);
	put_digest(b, &r->diff);
	wire_put_i64(b, r->size);
	wire_put_str(b, r->tmp);
	wire_put_u32(b, r->fill);
	wire_put_u32(b, (uint32_t)r->nlower);
	for (size_t i = 0; i < r->nlower; i++)
		put_digest(b, &r->lower[i]);
}

int read_facts_get(struct slice in, struct read_facts *ret, struct err **e)
{
	struct wire w = wire_of(in);
	struct slice comp;

	get_digest(&w, &ret->diff);
	ret->tar_size = wire_u64(&w);
	ret->entries = wire_u64(&w);
	ret->bytes = wire_u64(&w);
	ret->leaning = wire_u64(&w);
	ret->unmapped = wire_u64(&w);
	ret->mended = wire_u32(&w);
	comp = wire_get(&w);
	if (comp.n >= sizeof(ret->comp))
		w.bad = true;
	else
		memcpy(ret->comp, comp.p, comp.n);
	ret->comp[w.bad ? 0 : comp.n] = '\0';
	return wire_done(&w, "the facts of a layer", e);
}

/* The blob as a verified, decompressed, hashed stream. */
static int layer_stream(int blob, const struct read_req *r, struct hasher *h, uint64_t *count, const struct comp **comp,
			struct stream **ret, struct err **e)
{
	struct stream *s = stream_verify(stream_fd(blob, "layer"), &r->blob, r->size);

	if (comp_detect(s, COMP_LAYER, &s, comp, e) < 0)
		return -1;
	*ret = stream_hash(stream_limit(s, LAYER_MAX, "layer, decompressed"), h, count);
	return 0;
}

static int read_sinks(const struct read_req *r, int tmp, struct fill_opts *fo, struct sink *sinks[2], size_t *n, int *listing,
		      int *root, struct err **e)
{
	*listing = at_open_store(tmp, "listing", O_RDWR | O_CREAT | O_EXCL, 0600, e);
	if (*listing < 0)
		return -1;
	sinks[(*n)++] = listing_sink_new(*listing);
	if (!r->fill)
		return 0;
	if (at_mkdir(tmp, "fs", 0755, e) < 0)
		return -1;
	*root = at_open_store(tmp, "fs", O_RDONLY | O_DIRECTORY, 0, e);
	if (*root < 0)
		return -1;
	sinks[(*n)++] = fill_new(*root, fo);
	return 0;
}

/* Parents that the layer does not list are what they are below (spec/oci.md 1.7). */
static int mend(const struct read_req *r, int store, int tmp, int root, const struct fill_opts *fo, struct err **e)
{
	AUTO(buf_freep) struct buf where = BUF_MAX(8192);
	AUTO(view_freep) struct view *lower = NULL;
	struct listing *own = NULL;
	int fd, rc;

	if (fo->leans_hard)
		return err_set(e, ERR_SOURCE, "the layer has a hard link to a file that only a layer below has");
	if (work_view(store, r->lower, r->nlower, &lower, e) < 0)
		return -1;
	fd = at_open_store(tmp, "listing", O_RDONLY, 0, e);
	if (fd < 0 || listing_open(fd, &own, e) < 0)
		return -1;
	rc = mend_layer(root, own, lower, &where, e);
	listing_close(own);
	if (rc > 0)
		return err_set(e, ERR_SOURCE, "the layer has entries below '%s', which is a link in the layers below", where.p);
	return rc;
}

static int read_layer(const struct read_req *r, struct buf *out, struct err **e)
{
	AUTO(fd_closep) int store = open_store(r->store, e);
	AUTO(hasher_freep) struct hasher *h = hasher_new();
	AUTO(sink_free) struct sink *k0 = NULL;
	AUTO(sink_free) struct sink *k1 = NULL;
	AUTO(fd_closep) int listing = -1;
	AUTO(fd_closep) int root = -1;
	AUTO(entries_drop) struct entries *src = NULL;
	struct fill_opts fo = FILL_OPTS_INIT;
	struct tarin_opts to = { .mode = TAR_LAYER };
	struct pump_totals totals = { 0 };
	const struct comp *comp = NULL;
	struct stream *s = NULL;
	struct sink *sinks[2] = { NULL, NULL };
	struct digest diff;
	uint64_t count = 0;
	size_t n = 0;
	char path[80];
	int blob;

	if (store < 0)
		return -1;
	AUTO(fd_closep) int tmp = at_open_store(store, r->tmp, O_RDONLY | O_DIRECTORY, 0, e);
	if (tmp < 0)
		return -1;
	store_blob_path(&r->blob, path);
	blob = at_open_store(store, path, O_RDONLY, 0, e);
	if (blob < 0)
		return -1;
	if (layer_stream(blob, r, h, &count, &comp, &s, e) < 0)
		return -1;
	int rc = read_sinks(r, tmp, &fo, sinks, &n, &listing, &root, e);
	k0 = sinks[0];
	k1 = sinks[1];
	if (rc < 0) {
		stream_close(s, NULL);
		return -1;
	}
	if (tarin_new(s, &to, &src, e) < 0)
		return -1;
	if (entries_pump(src, sinks, n, &totals, e) < 0)
		return -1;
	if (entries_close(take(&src), e) < 0)
		return -1;
	hasher_end(h, &diff);
	if (!digest_zero(&r->diff) && !digest_equal(&diff, &r->diff)) {
		err_set(e, ERR_SOURCE, "layer content has diff ID %s, the image says %s; refusing to use it", digest_text(&diff).s,
			digest_text(&r->diff).s);
		return -1;
	}
	bool mended = fo.leaning && r->nlower;
	if (mended && mend(r, store, tmp, root, &fo, e) < 0)
		return -1;
	put_digest(out, &diff);
	wire_put_u64(out, count);
	wire_put_u64(out, totals.entries);
	wire_put_u64(out, totals.bytes);
	wire_put_u64(out, fo.leaning);
	wire_put_u64(out, fo.unmapped);
	wire_put_u32(out, mended);
	wire_put(out, slice_of(comp->name));
	return 0;
}

static int read_job(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	struct wire w = wire_of(in);
	AUTO(mem_freep) char *store = wire_str(&w);
	struct read_req r = { .store = store };

	get_digest(&w, &r.blob);
	get_digest(&w, &r.diff);
	r.size = wire_i64(&w);
	AUTO(mem_freep) char *tmp = wire_str(&w);
	r.tmp = tmp;
	r.fill = wire_u32(&w);
	AUTO(mem_freep) struct digest *lower = get_digests(&w, &r.nlower);
	r.lower = lower;
	if (wire_done(&w, "a layer to read", e) < 0)
		return -1;
	if (read_layer(&r, out, e) < 0)
		return err_wrap(e, "cannot unpack layer %s", digest_short(&r.blob).s);
	return 0;
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
		put_digest(b, &r->lower[i]);
	while (r->skip && r->skip[nskip])
		nskip++;
	wire_put_u32(b, (uint32_t)nskip);
	for (size_t i = 0; i < nskip; i++)
		wire_put_str(b, r->skip[i]);
	put_digest(b, r->stored ? r->stored : &(struct digest){ 0 });
	wire_put_u32(b, r->listing);
	wire_put_str(b, r->comp);
	wire_put_i64(b, r->level);
	wire_put_i64(b, r->clamp);
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
	bool listing;
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
	a->lower = get_digests(&w, &a->nlower);
	uint32_t n = wire_u32(&w);
	a->skip = mem_zalloc(sizeof(char *));
	for (uint32_t i = 0; i < n && !w.bad; i++) {
		a->skip = mem_grow(a->skip, i + 2, sizeof(*a->skip));
		a->skip[i] = wire_str(&w);
		a->skip[i + 1] = NULL;
		a->nskip = i + 1;
	}
	get_digest(&w, &a->stored);
	a->listing = wire_u32(&w);
	a->comp = wire_str(&w);
	a->level = wire_i64(&w);
	a->clamp = wire_i64(&w);
	return wire_done(&w, "a layer to pack", e);
}

static int pack_entries(const struct pack_args *a, struct entries *take_src, int tmp, struct pack_facts *facts, struct err **e)
{
	struct pack_req p = {
		.src = take_src, .dir = tmp, .comp = a->comp, .level = (int)a->level, .listing = a->listing,
		.clamp_mtime = a->clamp, .fill_root = -1,
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
	AUTO(fd_closep) int store = open_store(a->store, e);
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
	AUTO(fd_closep) int store = open_store(path, e);
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
	[WORK_SNAP] = { "choosing a storage driver", snap_choose_job },
	[WORK_READ] = { "unpacking a layer", read_job },
	[WORK_PACK] = { "packing a layer", pack_job_run },
	[WORK_RUN] = { "running a step", run_job },
	[WORK_RMTREE] = { "deleting old trees", rmtree_job },
	[WORK_COPY] = { "copying files", copy_job },
	[WORK_TREE] = { "writing the file system", treeout_job },
	[WORK_PULL] = { "downloading an image", call_job },
	[WORK_PUSH] = { "uploading an image", call_job },
	[WORK_ARCHIVE] = { "reading an archive", call_job },
	[WORK_CALL] = { "working", call_job },
};
