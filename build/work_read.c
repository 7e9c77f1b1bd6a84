/* build/work_read.c - WORK_READ: a layer's blob -> its listing, and its directory when somebody will stand in it.
 *
 * Every byte of it is somebody else's. It is read by a process of its own; when that writes a tree it has no network, no root directory but that
 * tree's, and no core file (spec/threats.md E24), and P1 to P8 hold all the same. What it made is only used if size, digest and diff ID match.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/at.h"
#include "base/mem.h"
#include "build/over.h"
#include "build/work.h"
#include "cache/store.h"
#include "layers/comp.h"
#include "layers/fill.h"
#include "layers/listing.h"
#include "layers/mend.h"
#include "layers/tarin.h"

void read_req_put(struct buf *b, const struct read_req *r)
{
	wire_put_str(b, r->store);
	work_put_digest(b, &r->blob);
	work_put_digest(b, &r->diff);
	wire_put_i64(b, r->size);
	wire_put_str(b, r->tmp);
	for (size_t i = 0; i < LIMIT_COUNT; i++)
		wire_put_u64(b, r->limits.v[i]);
	wire_put_u64(b, r->used_bytes);
	wire_put_u64(b, r->used_entries);
	wire_put_u32(b, r->fill);
	wire_put_u32(b, (uint32_t)r->nlower);
	for (size_t i = 0; i < r->nlower; i++)
		work_put_digest(b, &r->lower[i]);
	wire_put_str(b, r->driver);
	wire_put_u32(b, (uint32_t)r->nunder);
	for (size_t i = 0; i < r->nunder; i++)
		wire_put_str(b, r->under[i]);
}

int read_facts_get(struct slice in, struct read_facts *ret, struct err **e)
{
	struct wire w = wire_of(in);
	struct slice comp;

	work_get_digest(&w, &ret->diff);
	ret->tar_size = wire_u64(&w);
	ret->entries = wire_u64(&w);
	ret->bytes = wire_u64(&w);
	ret->leaning = wire_u64(&w);
	ret->unmapped = wire_u64(&w);
	ret->mended = wire_u32(&w);
	ret->hard = wire_u32(&w);
	comp = wire_get(&w);
	if (comp.n >= sizeof(ret->comp))
		w.bad = true;
	else
		memcpy(ret->comp, comp.p, comp.n);
	ret->comp[w.bad ? 0 : comp.n] = '\0';
	return wire_done(&w, "the facts of a layer", e);
}

/* The rest of an image's limit, when that is less than a layer's, or of the disk. */
struct budget {
	uint64_t max;
	enum limit which;
	bool disk;
};

struct reader {
	const struct read_req *r;
	int store, tmp, listing, root;   /* fds */
	struct hasher *hash;
	uint64_t count;
	struct budget bytes, content, entries;
	bool many, much;                 /* over entries, over content */
	const struct comp *comp;
	struct sink *sink[2];
	size_t nsink;
	struct fill_opts fill;
	struct owner owner;
	struct pump_totals totals;
	struct digest diff;
	bool mended, hard;
	struct over over;
};

static void reader_clear(struct reader *d)
{
	for (size_t i = 0; i < d->nsink; i++)
		sink_free(&d->sink[i]);
	hasher_freep(&d->hash);
	over_clear(&d->over);
	fd_closep(&d->root);
	fd_closep(&d->listing);
	fd_closep(&d->tmp);
	fd_closep(&d->store);
}

/* The blob as a verified, decompressed, hashed stream. */
static int reader_stream(struct reader *d, struct stream **ret, struct err **e)
{
	struct stream *s;
	char path[80];
	int blob;

	store_blob_path(&d->r->blob, path);
	blob = at_open_store(d->store, path, O_RDONLY, 0, e);
	if (blob < 0)
		return -1;
	s = stream_verify(stream_fd(blob, "layer"), &d->r->blob, d->r->size);
	if (comp_detect(s, COMP_LAYER, &s, &d->comp, e) < 0)
		return -1;
	d->hash = hasher_new();
	*ret = stream_hash(stream_limit(s, d->bytes.max, "layer, decompressed"), d->hash, &d->count);
	return 0;
}

static int reader_open(struct reader *d, struct err **e)
{
	/* Before anything is opened: what is mounted has to be of this process's mount namespace. */
	if (d->r->driver && unshare(CLONE_NEWNS) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot leave the mount namespace");
	d->store = work_store(d->r->store, e);
	if (d->store < 0)
		return -1;
	d->tmp = at_open_store(d->store, d->r->tmp, O_RDONLY | O_DIRECTORY, 0, e);
	if (d->tmp < 0)
		return -1;
	d->listing = at_open_store(d->tmp, "listing", O_RDWR | O_CREAT | O_EXCL, 0600, e);
	if (d->listing < 0)
		return -1;
	d->sink[d->nsink++] = listing_sink_new(d->listing);
	if (!d->r->fill)
		return 0;
	if (at_mkdir(d->tmp, "fs", 0755, e) < 0)
		return -1;
	if (d->r->driver && over_mount(&d->over, d->store, d->r, e) < 0)
		return -1;
	d->root = at_open_store(d->tmp, d->r->driver ? "on" : "fs", O_RDONLY | O_DIRECTORY, 0, e);
	if (d->root < 0)
		return -1;
	d->fill.plain = d->r->driver;
	owner_init(&d->owner);
	d->sink[d->nsink++] = fill_new(d->root, &d->fill);
	return 0;
}

/* The second line of defence; what is still needed is open. */
static int confine(int root, struct err **e)
{
	static const struct rlimit none = { 0, 0 };

	if (tarin_prepare(e) < 0)
		return -1;
	if (unshare(CLONE_NEWNET) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot leave the network before unpacking");
	if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 || fchdir(root) < 0 || chroot(".") < 0)
		return err_errno(e, ERR_HOST, errno, "cannot enter the directory of the layer");
	return 0;
}

static void disk_budget(struct budget *b, uint64_t left)
{
	if (left < b->max)
		*b = (struct budget){ left, LIMIT_LAYER_SIZE, true };
}

static struct budget budget(const struct read_req *r, enum limit layer, enum limit image, uint64_t used)
{
	uint64_t left = used < r->limits.v[image] ? r->limits.v[image] - used : 1;      /* enough for nothing; 0 would mean something else */

	return left < r->limits.v[layer] ? (struct budget){ left, image, false } : (struct budget){ r->limits.v[layer], layer, false };
}

/* What this layer may fill: a small blob that holds much must not take the disk from everybody else (threats.md 17). */
static void budgets(struct reader *d)
{
	struct statvfs fs;
	uint64_t keep = UINT64_C(1) << 30;

	d->bytes = (struct budget){ d->r->limits.v[LIMIT_LAYER_SIZE], LIMIT_LAYER_SIZE, false };
	d->content = budget(d->r, LIMIT_LAYER_SIZE, LIMIT_IMAGE_SIZE, d->r->used_bytes);
	d->entries = budget(d->r, LIMIT_LAYER_ENTRIES, LIMIT_IMAGE_ENTRIES, d->r->used_entries);
	if (!d->r->fill || fstatvfs(d->tmp, &fs) < 0 || fs.f_blocks == 0)
		return;
	if (keep > (uint64_t)fs.f_blocks * fs.f_frsize / 16)
		keep = (uint64_t)fs.f_blocks * fs.f_frsize / 16;
	uint64_t has = (uint64_t)fs.f_bavail * fs.f_frsize, left = has > keep ? has - keep : 1;
	disk_budget(&d->bytes, left);
	disk_budget(&d->content, left);
}

static int too_much(const struct reader *d, struct err **e)
{
	const struct budget *b = d->many ? &d->entries : d->much ? &d->content : &d->bytes;

	if (!b->disk || !e || !*e || err_kind(*e) != ERR_LIMIT)
		return limit_hit(&d->r->limits, b->which, e);
	err_kind_set(e, ERR_HOST);
	err_wrap(e, "the disk of the store has room for %ju bytes, and its last part is not used for unpacking", (uintmax_t)b->max);
	return err_hint(e, "free some space, for example with 'kiln prune'");
}

static int reader_pump(struct reader *d, struct err **e)
{
	AUTO(entries_drop) struct entries *src = NULL;
	struct stream *s = NULL;

	budgets(d);
	if (reader_stream(d, &s, e) < 0)
		return -1;
	const struct tarin_opts to = {
		.mode = TAR_LAYER, .max_bytes = d->bytes.max, .max_content = d->content.max, .max_entries = d->entries.max,
		.many = &d->many, .much = &d->much,
	};
	if (d->r->fill && confine(d->root, e) < 0) {
		stream_close(s, NULL);
		return -1;
	}
	/* Deletions first: they are about what lies below, never about this layer's own. */
	if (d->r->driver && over_delete(&d->over, d->root, e) < 0) {
		stream_close(s, NULL);
		return -1;
	}
	if (tarin_new(s, &to, &src, e) < 0 || entries_pump(src, d->sink, d->nsink, &d->totals, e) < 0)
		return too_much(d, e);
	if (entries_close(take(&src), e) < 0)
		return -1;
	hasher_end(d->hash, &d->diff);
	if (!digest_zero(&d->r->diff) && !digest_equal(&d->diff, &d->r->diff))
		return err_set(e, ERR_SOURCE, "layer content has diff ID %s, the image says %s; refusing to use it",
			       digest_text(&d->diff).s, digest_text(&d->r->diff).s);
	return 0;
}

/* Parents that the layer does not list are what they are below (spec/oci.md 1.7). */
static int reader_mend(struct reader *d, struct err **e)
{
	AUTO(buf_freep) struct buf where = BUF_MAX(8192);
	AUTO(view_freep) struct view *lower = NULL;
	struct listing *own = NULL;
	int fd, rc;

	d->hard = d->fill.leans_hard;
	if (d->hard || d->r->nlower == 0)
		return 0;
	if (work_view(d->store, d->r->lower, d->r->nlower, &lower, e) < 0)
		return -1;
	fd = at_open_store(d->tmp, "listing", O_RDONLY, 0, e);
	if (fd < 0 || listing_open(fd, &own, e) < 0)
		return -1;
	rc = mend_layer(d->root, own, lower, &d->owner, &where, e);
	listing_close(own);
	d->hard = rc == MEND_REFUSED;
	d->mended = rc == 0;
	return rc < 0 ? -1 : 0;
}

/* Merged with what lies below: the mount goes, and its upper is the layer. */
static int reader_leave(struct reader *d, struct err **e)
{
	while (d->nsink)
		sink_free(&d->sink[--d->nsink]);
	d->mended = true;
	return over_leave(&d->over, fd_take(&d->root), e);
}

struct names {
	char **v;
	size_t n;
};

static void names_clear(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
}

static void names_get(struct wire *w, struct names *ret)
{
	uint32_t n = wire_u32(w);

	for (uint32_t i = 0; i < n && !w->bad; i++) {
		ret->v = mem_grow(ret->v, i + 1, sizeof(*ret->v));
		ret->v[i] = wire_str(w);
		ret->n = i + 1;
	}
}

static void reader_answer(const struct reader *d, struct buf *out)
{
	work_put_digest(out, &d->diff);
	wire_put_u64(out, d->count);
	wire_put_u64(out, d->totals.entries);
	wire_put_u64(out, d->totals.bytes);
	wire_put_u64(out, d->fill.leaning);
	wire_put_u64(out, d->fill.unmapped);
	wire_put_u32(out, d->mended);
	wire_put_u32(out, d->hard);
	wire_put(out, slice_of(d->comp->name));
}

int work_read(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	struct wire w = wire_of(in);
	AUTO(mem_freep) char *store = wire_str(&w);
	struct read_req r = { .store = store };

	work_get_digest(&w, &r.blob);
	work_get_digest(&w, &r.diff);
	r.size = wire_i64(&w);
	AUTO(mem_freep) char *tmp = wire_str(&w);
	r.tmp = tmp;
	for (size_t i = 0; i < LIMIT_COUNT; i++)
		r.limits.v[i] = wire_u64(&w);
	r.used_bytes = wire_u64(&w);
	r.used_entries = wire_u64(&w);
	r.fill = wire_u32(&w);
	AUTO(mem_freep) struct digest *lower = work_get_digests(&w, &r.nlower);
	r.lower = lower;
	AUTO(mem_freep) char *driver = wire_str(&w);
	r.driver = driver;
	AUTO(names_clear) struct names under = { 0 };
	names_get(&w, &under);
	r.under = under.v;
	r.nunder = under.n;
	if (wire_done(&w, "a layer to read", e) < 0)
		return -1;
	AUTO(reader_clear) struct reader d = {
		.r = &r, .store = -1, .tmp = -1, .listing = -1, .root = -1, .fill = FILL_OPTS_INIT, .over = OVER_NONE,
	};
	if (reader_open(&d, e) < 0 || reader_pump(&d, e) < 0 ||
	    (driver ? reader_leave(&d, e) : d.fill.leaning ? reader_mend(&d, e) : 0) < 0)
		return err_wrap(e, "cannot unpack layer %s", digest_short(&r.blob).s);
	reader_answer(&d, out);
	return 0;
}
