/* cache/statcache.c - remembered digests of context files.
 *
 *   stat/<sha256 of device and path>:
 *     header  magic, version, entries                                      (struct header, 32 bytes)
 *     slots   device, inode, size, mtime ns, ctime ns, digest, check       (struct slot, 80 bytes each), by device and inode
 * In the byte order of the machine: it never leaves it. check is a sum over the slot, so a page that a crash turned into zeros,
 * or anything else, forgets and never lies. The files of a directory mostly have neighbouring inodes: a look-up starts where the
 * last one ended, and what it went through can be given back.
 */
#include "cache/statcache.h"
#include "base/arena.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/tmp.h"
#include "cache/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAGIC = 0x6b737430, VERSION = 2, ENTRIES_MAX = 200000000, CHUNK = 800, WARM_MOST = 16384, WRITE_BLOCK = 64 << 10 };

/* The kernel stamps files with the time of its last tick, at most 10 ms old; file systems that keep whole or even
 * seconds only are recognised by times without a fraction. */
#define GRAIN_NS ((int64_t)20 * 1000 * 1000)
#define GRAIN_COARSE_NS ((int64_t)2100 * 1000 * 1000)

struct header {
	uint32_t magic, version;
	uint64_t entries, unused[2];
};
struct slot {
	uint64_t dev, ino, size;
	int64_t mtime, ctime;
	struct digest digest;
	uint64_t check;
};

/* What came in this run, by number, CHUNK of them together; found by an open-addressing index. */
struct added {
	struct arena arena;
	int dir;                         /* where the arena's file is made, -1 */
	struct slot **chunk;
	size_t n, nchunk, chunk_cap;
	struct added_at {
		uint32_t place, number;  /* number: from 1; 0: empty */
	} *index;
	size_t cap;
};

struct statcache {
	struct store *s;
	char path[80];
	struct map map;
	const struct slot *old;          /* in the map */
	size_t nold, last;               /* where the last look-up ended */
	unsigned char *used;             /* a bit per old slot: looked up in this run */
	size_t warm;                     /* look-ups since pages were given back */
	struct added added;
};

static uint64_t mix(uint64_t h, uint64_t v)
{
	h ^= v;
	h *= 0x9e3779b97f4a7c15u;
	return h ^ h >> 29;
}

static uint64_t place(const struct slot *k)
{
	return mix(mix(0, k->ino), k->dev);
}

static uint64_t check_of(const struct slot *k)
{
	uint64_t h = mix(mix(mix(place(k), k->size), (uint64_t)k->mtime), (uint64_t)k->ctime);

	for (size_t i = 0; i < sizeof(k->digest.b); i += 8) {
		uint64_t v = 0;

		memcpy(&v, k->digest.b + i, sizeof(v));
		h = mix(h, v);
	}
	return h ? h : 1;
}

/* Wraps for times that a file system was told to keep and no clock shows; as a key that does no harm. */
static int64_t ns(struct timespec t)
{
	return (int64_t)((uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec);
}

static struct slot slot_for(const struct stat *st)
{
	return (struct slot){
		.dev = st->st_dev, .ino = st->st_ino, .size = (uint64_t)st->st_size,
		.mtime = ns(st->st_mtim), .ctime = ns(st->st_ctim),
	};
}

/* ---- what came in this run */

static struct slot *added_slot(const struct added *a, size_t number)
{
	return &a->chunk[(number - 1) / CHUNK][(number - 1) % CHUNK];
}

static bool is_of(const struct slot *s, const struct slot *k)
{
	return s->ino == k->ino && s->dev == k->dev;
}

/* Where the index has this file, or would. */
static struct added_at *probe(const struct added *a, const struct slot *k)
{
	uint32_t want = (uint32_t)place(k);

	for (size_t i = want;; i++) {
		struct added_at *at = &a->index[i & (a->cap - 1)];

		if (!at->number || (at->place == want && is_of(added_slot(a, at->number), k)))
			return at;
	}
}

static void index_grow(struct added *a)
{
	size_t cap = a->cap ? a->cap * 2 : 256;
	struct added_at *larger = mem_array(cap, sizeof(*larger));

	for (size_t i = 0; i < a->cap; i++) {
		size_t to = a->index[i].place;

		if (!a->index[i].number)
			continue;
		while (larger[to & (cap - 1)].number)
			to++;
		larger[to & (cap - 1)] = a->index[i];
	}
	free(a->index);
	a->index = larger;
	a->cap = cap;
}

static void cool(struct statcache *c)
{
	if (++c->warm % WARM_MOST)
		return;
	if (c->map.p)
		map_cool(c->map.p, c->map.p + c->map.n);
	arena_cool(&c->added.arena);
}

static void insert(struct statcache *c, const struct slot *k)
{
	struct added *a = &c->added;

	if ((a->n + 1) * 4 > a->cap * 3)
		index_grow(a);
	struct added_at *at = probe(a, k);
	if (!at->number) {
		if (a->n == 10 * CHUNK && a->dir < 0) {
			a->dir = store_scratch(c->s, NULL);
			arena_swap(&a->arena, a->dir);
		}
		if (a->n == a->nchunk * CHUNK) {
			MEM_ROOM(a->chunk, a->nchunk, a->chunk_cap);
			a->chunk[a->nchunk++] = arena_alloc(&a->arena, CHUNK * sizeof(struct slot));
		}
		*at = (struct added_at){ (uint32_t)place(k), (uint32_t)++a->n };
	}
	*added_slot(a, at->number) = *k;
}

/* ---- the old file */

static int path_of(const char *context, char ret[80], struct err **e)
{
	char hex[DIGEST_HEX + 1];
	struct digest d;
	struct stat st;

	/* The user's own path: what they call it, and the device that is there now. */
	if (fstatat(AT_FDCWD, context, &st, 0) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot look at '%s'", context);
	AUTO(mem_freep) char *real = realpath(context, NULL);
	AUTO(mem_freep) char *text = mem_printf("%ju %s", (uintmax_t)st.st_dev, real ? real : context);
	digest_of(text, strlen(text), &d);
	digest_hex(&d, hex);
	snprintf(ret, 80, "stat/%s", hex);
	return 0;
}

/* A file that does not fit its own header is an empty one. */
static int map_old(struct statcache *c, struct err **e)
{
	AUTO(fd_closep) int fd = -1;
	AUTO(map_clear) struct map map = { 0 };

	int rc = at_try_store(c->s->fd, c->path, O_RDONLY | O_NONBLOCK, &fd, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (map_open(fd, &map, NULL) < 0 || map.n < sizeof(struct header))
		return 0;
	const struct header *h = (const void *)map.p;
	if (h->magic != MAGIC || h->version != VERSION || h->entries > ENTRIES_MAX ||
	    map.n != sizeof(*h) + h->entries * sizeof(struct slot))
		return 0;
	c->nold = (size_t)h->entries;
	c->old = (const void *)(map.p + sizeof(*h));
	c->used = mem_zalloc(c->nold / 8 + 1);
	c->map = map;
	map = (struct map){ 0 };
	return 0;
}

int statcache_open(struct store *s, const char *context, struct statcache **ret, struct err **e)
{
	struct statcache *c = mem_zalloc(sizeof(*c));

	c->s = s;
	c->added.dir = -1;
	if (path_of(context, c->path, e) < 0 || map_old(c, e) < 0) {
		statcache_close(c);
		return -1;
	}
	*ret = c;
	return 0;
}

void statcache_close(struct statcache *c)
{
	if (!c)
		return;
	map_clear(&c->map);
	free(c->used);
	free(c->added.index);
	free(c->added.chunk);
	arena_clear(&c->added.arena);
	fd_closep(&c->added.dir);
	free(c);
}

/* ---- look-ups */

/* a < b by device and inode. */
static bool before(const struct slot *a, const struct slot *b)
{
	return a->dev != b->dev ? a->dev < b->dev : a->ino < b->ino;
}

/* The first old slot that is not before k, beginning at the last answer. In a damaged file: any. */
static size_t old_seek(const struct statcache *c, const struct slot *k)
{
	size_t n = c->nold, at = c->last < n ? c->last : 0, lo = 0, hi = n;

	if (n && before(&c->old[at], k)) {
		lo = at + 1;
		for (size_t step = 1; step < n - at; step *= 2) {
			if (!before(&c->old[at + step], k)) {
				hi = at + step;
				break;
			}
			lo = at + step + 1;
		}
	} else {
		hi = at;
		for (size_t step = 1; step <= at; step *= 2) {
			if (before(&c->old[at - step], k)) {
				lo = at - step + 1;
				break;
			}
			hi = at - step;
		}
	}
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (before(&c->old[mid], k))
			lo = mid + 1;
		else
			hi = mid;
	}
	return hi;
}

static bool same(const struct slot *s, const struct slot *k)
{
	return s->size == k->size && s->mtime == k->mtime && s->ctime == k->ctime && is_of(s, k) && s->check == check_of(s);
}

bool statcache_get(struct statcache *c, const struct stat *st, struct digest *ret)
{
	struct slot k = slot_for(st);
	const struct added_at *at = c->added.n ? probe(&c->added, &k) : NULL;

	cool(c);
	if (at && at->number) {
		const struct slot *s = added_slot(&c->added, at->number);

		if (!same(s, &k))
			return false;
		*ret = s->digest;
		return true;
	}
	size_t i = old_seek(c, &k);
	c->last = i;
	if (i == c->nold || !same(&c->old[i], &k))
		return false;
	c->used[i / 8] |= (unsigned char)(1u << i % 8);
	*ret = c->old[i].digest;
	return true;
}

void statcache_put(struct statcache *c, const struct stat *st, int64_t read_at_ns, const struct digest *d)
{
	struct slot k = slot_for(st);
	bool coarse = st->st_ctim.tv_nsec == 0 && st->st_mtim.tv_nsec == 0;

	/* Changed so shortly before it was read that a second change could leave the same times: only ctime counts,
	 * it cannot be set back. The next build reads the file again, and then remembers it. */
	if (k.ctime >= read_at_ns - (coarse ? GRAIN_COARSE_NS : GRAIN_NS))
		return;
	k.digest = *d;
	k.check = check_of(&k);
	cool(c);
	insert(c, &k);
}

/* ---- the new file */

static int by_file(const void *a, const void *b, void *cache)
{
	struct statcache *c = cache;
	const struct slot *x = added_slot(&c->added, *(const uint32_t *)a), *y = added_slot(&c->added, *(const uint32_t *)b);

	cool(c);
	return before(y, x) - before(x, y);
}

/* Their numbers. */
static uint32_t *sorted_added(struct statcache *c)
{
	uint32_t *v = mem_array(c->added.n, sizeof(*v));

	for (size_t i = 0; i < c->added.n; i++)
		v[i] = (uint32_t)i + 1;
	qsort_r(v, c->added.n, sizeof(*v), by_file, c);
	return v;
}

struct writing {
	int fd;
	struct buf block;
	uint64_t n;
};

static int write_slot(struct writing *w, const struct slot *s, struct err **e)
{
	buf_add(&w->block, s, sizeof(*s));
	w->n++;
	if (w->block.n < WRITE_BLOCK)
		return 0;
	int rc = fd_write_all(w->fd, w->block.p, w->block.n, e);
	buf_reset(&w->block);
	return rc;
}

/* The old ones that were looked up and the new ones, merged; a new one replaces an old one. */
static int write_all(struct statcache *c, struct writing *w, struct err **e)
{
	AUTO(mem_freep) uint32_t *v = sorted_added(c);
	size_t i = 0, j = 0;
	int rc = 0;

	while (rc == 0 && (i < c->nold || j < c->added.n)) {
		const struct slot *s = j < c->added.n ? added_slot(&c->added, v[j]) : NULL;

		cool(c);
		if (i < c->nold && (!s || !before(s, &c->old[i]))) {
			if (c->used[i / 8] & 1u << i % 8 && (!s || !is_of(s, &c->old[i])))
				rc = write_slot(w, &c->old[i], e);
			i++;
			continue;
		}
		rc = write_slot(w, s, e);
		j++;
	}
	return rc < 0 ? -1 : fd_write_all(w->fd, w->block.p, w->block.n, e);
}

int statcache_save(struct statcache *c, struct err **e)
{
	AUTO(tmp_rollback) struct tmp t = TMP_NONE;
	struct header h = { .magic = MAGIC, .version = VERSION };
	struct writing w = { .block = BUF_MAX(2 * WRITE_BLOCK) };

	if (c->added.n == 0)
		return 0;
	AUTO(fd_closep) int dir = store_scratch(c->s, e);
	int rc = dir < 0 || tmp_open(&t, dir, e) < 0 ? -1 : 0;
	w.fd = t.fd;
	buf_add(&w.block, &h, sizeof(h));
	if (rc == 0)
		rc = write_all(c, &w, e);
	buf_free(&w.block);
	h.entries = w.n;
	if (rc == 0 && pwrite(t.fd, &h, sizeof(h), 0) != sizeof(h))
		rc = err_errno(e, ERR_HOST, errno, "cannot write");
	if (rc < 0)
		return err_wrap(e, "cannot remember the digests of a context");
	return tmp_commit(&t, c->s->fd, c->path, 0, 0600, e);
}
