/* layers/pack.c - one pass: entries become a tar, its digest, a compressed blob with its digest, a listing. */
#include "layers/pack.h"

#include "base/at.h"
#include "base/mem.h"
#include "layers/comp.h"
#include "layers/fill.h"
#include "layers/listing.h"
#include "layers/tarout.h"

#include <fcntl.h>
#include <sched.h>

enum {
	BLOB_BLOCK = 256 << 10,
	THREADS_MOST = 4,                /* more would cost memory: about 6 MiB each */
	SINKS = 3,
	WRITE_BACK = 8 << 20,
};

/* The end of the pipe: tar bytes come in, blob bytes go to the file. */
struct packer {
	struct hasher *tar, *blob;
	uint64_t tar_size, blob_size;
	const struct comp *comp;         /* NULL: no blob */
	struct compw *w;
	int fd;
	char *block;
	size_t used;
};

static void packer_clear(struct packer *p)
{
	if (p->comp)
		p->comp->free(p->w);
	hasher_free(p->tar);
	hasher_free(p->blob);
	mem_freep(&p->block);
	fd_closep(&p->fd);
}

static int blob_flush(struct packer *p, struct err **e)
{
	const uint64_t from = p->blob_size - p->blob_size % WRITE_BACK;
	size_t n = p->used;

	p->used = 0;
	hasher_add(p->blob, p->block, n);
	if (fd_write_all(p->fd, p->block, n, e) < 0)
		return err_wrap(e, "cannot write a layer");
	p->blob_size += n;
	if (p->blob_size - from >= WRITE_BACK)
		fd_write_back(p->fd, (off_t)from, WRITE_BACK);
	return 0;
}

static int blob_out(void *arg, const void *bytes, size_t n, struct err **e)
{
	struct packer *p = arg;

	while (n > 0) {
		size_t part = BLOB_BLOCK - p->used < n ? BLOB_BLOCK - p->used : n;

		memcpy(p->block + p->used, bytes, part);
		p->used += part;
		bytes = (const char *)bytes + part;
		n -= part;
		if (p->used == BLOB_BLOCK && blob_flush(p, e) < 0)
			return -1;
	}
	return 0;
}

/* The compressor first: its threads work while this one hashes. */
static int tar_out(void *arg, const void *bytes, size_t n, struct err **e)
{
	struct packer *p = arg;

	if (p->comp && p->comp->write(p->w, bytes, n, e) < 0)
		return -1;
	hasher_add(p->tar, bytes, n);
	p->tar_size += n;
	return 0;
}

static unsigned threads(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

	return n < 1 ? 1 : n > THREADS_MOST ? THREADS_MOST : (unsigned)n;
}

static int make_file(int dir, const char *name, int *ret, struct err **e)
{
	int fd = at_open_store(dir, name, O_RDWR | O_CREAT | O_EXCL, 0600, e);

	if (fd < 0)
		return err_wrap(e, "cannot make the file '%s' of a new layer", name);
	*ret = fd;
	return 0;
}

static int packer_init(struct packer *p, const struct pack_req *r, struct err **e)
{
	int level = r->level;

	*p = (struct packer){ .fd = -1, .tar = hasher_new(), .blob = hasher_new() };
	if (!r->comp)
		return 0;
	const struct comp *comp = comp_find(r->comp);
	if (!comp || !comp->writer)
		return err_set(e, ERR_USAGE, "layers cannot be compressed with '%s'", r->comp);
	if (level < 0)
		level = comp->level_default;
	if (level < comp->level_min || level > comp->level_max)
		return err_set(e, ERR_USAGE, "compression level %d of %s is not between %d and %d", level, comp->name,
			       comp->level_min, comp->level_max);
	if (make_file(r->dir, "blob", &p->fd, e) < 0)
		return -1;
	p->block = mem_alloc(BLOB_BLOCK);
	p->w = comp->writer(level, threads(), blob_out, p);
	p->comp = comp;
	return 0;
}

static int packer_end(struct packer *p, struct pack_facts *ret, struct err **e)
{
	hasher_end(p->tar, &ret->diff);
	ret->tar_size = p->tar_size;
	if (!p->comp)
		return 0;
	if (p->comp->finish(p->w, e) < 0 || blob_flush(p, e) < 0)
		return -1;
	hasher_end(p->blob, &ret->blob);
	ret->blob_size = p->blob_size;
	return fd_close(&p->fd, "the new layer", e);
}

int pack_run(const struct pack_req *r, struct pack_facts *ret, struct err **e)
{
	const struct tarout_opts o = { .clamp_mtime = r->clamp_mtime, .set_mtime = r->set_mtime };
	AUTO(entries_drop) struct entries *src = r->src;
	AUTO(packer_clear) struct packer p = { .fd = -1 };
	AUTO(fd_closep) int listing_fd = -1;
	struct pack_facts facts = { 0 };
	struct pump_totals totals = { 0 };

	if (packer_init(&p, r, e) < 0 || (r->listing && make_file(r->dir, "listing", &listing_fd, e) < 0))
		return -1;
	AUTO(sink_free) struct sink *tar = tarout_new(tar_out, &p, &o);
	AUTO(sink_free) struct sink *listing = r->listing ? listing_sink_new(listing_fd) : NULL;
	AUTO(sink_free) struct sink *fill = r->fill_root >= 0 ? fill_new(r->fill_root, r->fill) : NULL;
	struct sink *sink[SINKS] = { tar };
	size_t n = 1;

	if (listing)
		sink[n++] = listing;
	if (fill)
		sink[n++] = fill;
	if (entries_pump(src, sink, n, &totals, e) < 0 || entries_close(take(&src), e) < 0 || packer_end(&p, &facts, e) < 0)
		return -1;
	if (listing && fd_close(&listing_fd, "the listing of the new layer", e) < 0)
		return -1;
	facts.entries = totals.entries;
	facts.bytes = totals.bytes;
	*ret = facts;
	return 0;
}

int pack_recode(struct stream *take_src, const struct pack_req *r, struct pack_facts *ret, struct err **e)
{
	AUTO(stream_drop) struct stream *src = take_src;
	AUTO(packer_clear) struct packer p = { .fd = -1 };
	AUTO(mem_freep) char *block = mem_alloc(BLOB_BLOCK);
	struct pack_facts facts = { 0 };
	ssize_t n;

	if (packer_init(&p, r, e) < 0)
		return -1;
	while ((n = stream_read(src, block, BLOB_BLOCK, e)) > 0)
		if (tar_out(&p, block, (size_t)n, e) < 0)
			return -1;
	if (n < 0 || stream_close(take(&src), e) < 0 || packer_end(&p, &facts, e) < 0)
		return -1;
	*ret = facts;
	return 0;
}

static void put_digest(struct buf *b, const struct digest *d)
{
	buf_add(b, d->b, sizeof(d->b));
}

static void get_digest(struct wire *w, struct digest *d)
{
	memset(d, 0, sizeof(*d));
	if (w->bad || w->rest.n < sizeof(d->b)) {
		w->bad = true;
		return;
	}
	memcpy(d->b, w->rest.p, sizeof(d->b));
	w->rest = slice_skip(w->rest, sizeof(d->b));
}

void pack_facts_put(struct buf *b, const struct pack_facts *f)
{
	put_digest(b, &f->diff);
	put_digest(b, &f->blob);
	put_digest(b, &f->content);
	wire_put_u64(b, f->tar_size);
	wire_put_u64(b, f->blob_size);
	wire_put_u64(b, f->entries);
	wire_put_u64(b, f->bytes);
}

void pack_facts_get(struct wire *w, struct pack_facts *f)
{
	get_digest(w, &f->diff);
	get_digest(w, &f->blob);
	get_digest(w, &f->content);
	f->tar_size = wire_u64(w);
	f->blob_size = wire_u64(w);
	f->entries = wire_u64(w);
	f->bytes = wire_u64(w);
}
