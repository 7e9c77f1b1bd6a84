/* cache/statcache.c - remembered digests of context files.
 *
 *   stat/<sha256 of device and path>:
 *     header  magic, version, log2 of slots, entries                       (struct header, 32 bytes)
 *     slots   device, inode, size, mtime ns, ctime ns, digest, check       (struct slot, 80 bytes each)
 * An open-addressing table in the byte order of the machine: it never leaves it. check is a sum over the slot; 0 is an
 * empty slot, so a page that a crash turned into zeros, or anything else, forgets and never lies.
 */
#include "cache/statcache.h"
#include "base/mem.h"
#include "base/tmp.h"
#include "cache/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAGIC = 0x6b737430, VERSION = 1, SLOTS_LOG_MAX = 28 };

/* The kernel stamps files with the time of its last tick, at most 10 ms old; file systems that keep whole or even
 * seconds only are recognised by times without a fraction. */
#define GRAIN_NS ((int64_t)20 * 1000 * 1000)
#define GRAIN_COARSE_NS ((int64_t)2100 * 1000 * 1000)

struct header {
	uint32_t magic, version, log, unused;
	uint64_t entries, unused2;
};
struct slot {
	uint64_t dev, ino, size;
	int64_t mtime, ctime;
	struct digest digest;
	uint64_t check;
};
struct table {
	struct slot *slot;
	uint64_t cap, n;
};

struct statcache {
	struct store *s;
	char path[80];
	void *map;
	size_t map_size;
	struct table old;                /* in the map, read-only */
	unsigned char *used;             /* a bit per old slot: looked up in this run */
	struct table added;
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

/* The slot of this file (device and inode), or the empty one where it belongs; NULL in a table that is full of junk. */
static struct slot *probe(const struct table *t, const struct slot *k)
{
	uint64_t at = place(k);

	for (uint64_t i = 0; i < t->cap; i++) {
		struct slot *s = &t->slot[(at + i) & (t->cap - 1)];

		if (s->check == 0 || (s->ino == k->ino && s->dev == k->dev))
			return s;
	}
	return NULL;
}

static void insert(struct table *t, const struct slot *k)
{
	if ((t->n + 1) * 4 > t->cap * 3) {
		struct table larger = { .cap = t->cap ? t->cap * 2 : 256 };

		larger.slot = mem_array(larger.cap, sizeof(*larger.slot));
		for (uint64_t i = 0; i < t->cap; i++)
			if (t->slot[i].check)
				*probe(&larger, &t->slot[i]) = t->slot[i];
		larger.n = t->n;
		free(t->slot);
		*t = larger;
	}
	struct slot *at = probe(t, k);
	t->n += at->check == 0;
	*at = *k;
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
	struct stat st;

	int rc = at_try_store(c->s->fd, c->path, O_RDONLY | O_NONBLOCK, &fd, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (size_t)st.st_size < sizeof(struct header))
		return 0;
	size_t size = (size_t)st.st_size;
	void *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return 0;
	const struct header *h = map;
	if (h->magic != MAGIC || h->version != VERSION || h->log > SLOTS_LOG_MAX ||
	    size != sizeof(*h) + (sizeof(struct slot) << h->log)) {
		munmap(map, size);
		return 0;
	}
	c->map = map;
	c->map_size = size;
	c->old = (struct table){ .slot = (struct slot *)((char *)map + sizeof(*h)), .cap = (uint64_t)1 << h->log };
	c->used = mem_zalloc(((size_t)1 << h->log) / 8 + 1);
	return 0;
}

int statcache_open(struct store *s, const char *context, struct statcache **ret, struct err **e)
{
	struct statcache *c = mem_zalloc(sizeof(*c));

	c->s = s;
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
	if (c->map)
		munmap(c->map, c->map_size);
	free(c->used);
	free(c->added.slot);
	free(c);
}

/* ---- look-ups */

static bool same(const struct slot *s, const struct slot *k)
{
	return s && s->check && s->size == k->size && s->mtime == k->mtime && s->ctime == k->ctime &&
	       s->check == check_of(s);
}

bool statcache_get(struct statcache *c, const struct stat *st, struct digest *ret)
{
	struct slot k = slot_for(st);

	const struct slot *s = probe(&c->added, &k);
	if (s && s->check) {
		if (!same(s, &k))
			return false;
		*ret = s->digest;
		return true;
	}
	s = probe(&c->old, &k);
	if (!same(s, &k))
		return false;
	size_t i = (size_t)(s - c->old.slot);
	c->used[i / 8] |= (unsigned char)(1u << i % 8);
	*ret = s->digest;
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
	insert(&c->added, &k);
}

/* ---- the new file */

static int write_table(struct statcache *c, const struct table *t, struct err **e)
{
	AUTO(tmp_rollback) struct tmp t_file = TMP_NONE;
	struct header h = { .magic = MAGIC, .version = VERSION, .entries = t->n };
	struct lease *lease = NULL;

	while ((uint64_t)1 << h.log < t->cap)
		h.log++;
	if (h.log > SLOTS_LOG_MAX)
		return 0;
	if (store_lease(c->s, &lease, e) < 0)
		return -1;
	AUTO(mem_freep) char *scratch = mem_printf("tmp/%s", lease_id(lease));
	AUTO(fd_closep) int dir = at_open_store(c->s->fd, scratch, O_PATH | O_DIRECTORY, 0, e);
	if (dir < 0 || tmp_open(&t_file, dir, e) < 0 || fd_write_all(t_file.fd, &h, sizeof(h), e) < 0 ||
	    fd_write_all(t_file.fd, t->slot, t->cap * sizeof(*t->slot), e) < 0)
		return err_wrap(e, "cannot remember the digests of a context");
	return tmp_commit(&t_file, c->s->fd, c->path, 0, 0600, e);
}

int statcache_save(struct statcache *c, struct err **e)
{
	struct table all = { 0 };

	if (c->added.n == 0)
		return 0;
	for (uint64_t i = 0; i < c->old.cap; i++)
		if (c->used[i / 8] & 1u << i % 8)
			insert(&all, &c->old.slot[i]);
	for (uint64_t i = 0; i < c->added.cap; i++)
		if (c->added.slot[i].check)
			insert(&all, &c->added.slot[i]);
	int rc = write_table(c, &all, e);
	free(all.slot);
	return rc;
}
