/* build/work_caches.c - WORK_CACHES: which cache mounts go, and into trash/ with them.
 *
 *   cache/<hash>, cache/<hash>.N   the directory, its private siblings
 *   cache/<hash>.id                their note, locked by every step that has one of them mounted (build/exec/mount_cache.c)
 *
 * In a mapped worker, for they may belong to subordinate ids. Killed anywhere it leaves a fuller trash/, or a note or a directory alone,
 * which the next prune takes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "base/at.h"
#include "base/clock.h"
#include "base/mem.h"
#include "build/work.h"

void caches_job_put(struct buf *b, const struct caches_job *q)
{
	wire_put_str(b, q->store);
	wire_put_u32(b, (uint32_t)(q->p->all | q->p->dry_run << 1));
	wire_put_i64(b, q->p->keep_seconds);
	wire_put_u64(b, q->p->max_used);
	wire_put_u64(b, q->p->min_free);
	wire_put_u64(b, q->p->reserved);
	wire_put_u64(b, q->used);
	wire_put_u64(b, q->free);
}

int caches_facts_get(struct slice in, struct caches_facts *ret, struct err **e)
{
	struct wire w = wire_of(in);

	*ret = (struct caches_facts){ .count = wire_u64(&w), .bytes = wire_u64(&w) };
	return wire_done(&w, "what was removed of the cache mounts", e);
}

struct cache {
	char **name;                     /* of the directories and the note, borrowed */
	size_t n;
	int64_t used;                    /* the note's time; none: 0 */
	uint64_t bytes;
};
struct caches {
	int dir, trash;                  /* cache/ and trash/ */
	struct gc_policy p;
	uint64_t used, free;
	int64_t now;
	struct at_names names;
	struct cache *cache;
	size_t n, cap;
	struct caches_facts facts;
};

static void caches_clear(struct caches *c)
{
	at_names_clear(&c->names);
	free(c->cache);
	fd_closep(&c->dir);
	fd_closep(&c->trash);
}

static bool is_note(const char *name)
{
	return strcmp(name + DIGEST_HEX, ".id") == 0;
}

/* Names are sorted, so those of one cache follow each other. */
static int caches_find(struct caches *c, struct err **e)
{
	if (at_list(c->dir, &c->names, e) < 0)
		return -1;
	for (size_t i = 0; i < c->names.n; i++) {
		char **name = &c->names.name[i];
		struct stat st;

		if (strspn(*name, "0123456789abcdef") != DIGEST_HEX || at_stat(c->dir, *name, &st, NULL) != 0)
			continue;
		if (c->n == 0 || strncmp(c->cache[c->n - 1].name[0], *name, DIGEST_HEX) != 0) {
			MEM_ROOM(c->cache, c->n, c->cap);
			c->cache[c->n++] = (struct cache){ .name = name };
		}
		struct cache *last = &c->cache[c->n - 1];
		last->n = (size_t)(name - last->name) + 1;
		if (is_note(*name))
			last->used = st.st_mtime;
		else
			last->bytes += gc_tree_bytes(c->dir, *name);
	}
	return 0;
}

static int by_use(const void *a, const void *b)
{
	const struct cache *x = a, *y = b;

	return x->used != y->used ? (x->used > y->used) - (x->used < y->used) : strcmp(x->name[0], y->name[0]);
}

static bool young(const struct caches *c, int64_t used)
{
	return c->p.keep_seconds && c->now - used < c->p.keep_seconds;
}

/* The note, locked against steps and other prunes; -1: it stays. Looked at with the lock: another prune may have taken the note, and a step
 * made a new one or used this one meanwhile. Ours, where there was none, is empty. */
static int cache_lock(const struct caches *c, const char *note)
{
	AUTO(fd_closep) int fd = openat(c->dir, note, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | (c->p.dry_run ? 0 : O_CREAT), 0600);
	struct stat st;

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 || st.st_nlink == 0 || (st.st_size > 0 && young(c, st.st_mtime)))
		return -1;
	return fd_take(&fd);
}

static int cache_take(struct caches *c, const struct cache *x, struct err **e)
{
	AUTO(mem_freep) char *note = mem_printf("%.*s.id", DIGEST_HEX, x->name[0]);
	AUTO(fd_closep) int lock = cache_lock(c, note);

	if (lock < 0)
		return 0;
	for (size_t i = 0; i < x->n; i++) {
		char to[33];

		if (is_note(x->name[i]))
			continue;
		at_random_name(to);
		if (!c->p.dry_run && renameat(c->dir, x->name[i], c->trash, to) < 0 && errno != ENOENT)
			return err_errno(e, ERR_HOST, errno, "cannot remove the cache mount '%s'", x->name[i]);
		c->facts.count++;
	}
	c->facts.bytes += x->bytes;
	c->used -= x->bytes;
	c->free += x->bytes;
	return c->p.dry_run ? 0 : at_unlink(c->dir, note, e);
}

static int caches_take(struct caches *c, struct err **e)
{
	for (size_t i = 0; i < c->n; i++)
		c->used += c->cache[i].bytes;
	if (c->n)
		qsort(c->cache, c->n, sizeof(*c->cache), by_use);
	for (size_t i = 0; i < c->n && (c->p.all || gc_too_much(&c->p, c->used, c->free)); i++)
		if (!young(c, c->cache[i].used) && cache_take(c, &c->cache[i], e) < 0)
			return -1;
	return 0;
}

int work_caches(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	struct wire w = wire_of(in);
	AUTO(mem_freep) char *path = wire_str(&w);
	uint32_t bits = wire_u32(&w);
	AUTO(caches_clear) struct caches c = { .dir = -1, .trash = -1, .now = clock_wall(), .p = { .all = bits & 1, .dry_run = bits & 2 } };

	c.p.keep_seconds = wire_i64(&w);
	c.p.max_used = wire_u64(&w);
	c.p.min_free = wire_u64(&w);
	c.p.reserved = wire_u64(&w);
	c.used = wire_u64(&w);
	c.free = wire_u64(&w);
	if (wire_done(&w, "which cache mounts are to go", e) < 0)
		return -1;
	AUTO(fd_closep) int store = work_store(path, e);
	c.dir = store < 0 ? -1 : at_open_store(store, "cache", O_RDONLY | O_DIRECTORY, 0, e);
	c.trash = c.dir < 0 ? -1 : at_open_store(store, "trash", O_PATH | O_DIRECTORY, 0, e);
	if (c.trash < 0 || caches_find(&c, e) < 0 || caches_take(&c, e) < 0)
		return -1;
	wire_put_u64(out, c.facts.count);
	wire_put_u64(out, c.facts.bytes);
	return 0;
}
