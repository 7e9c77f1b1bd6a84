/* tests/unit/statcache.c - a remembered digest is the digest of what is there now, or none. */
#include "cache/statcache.h"
#include "tests/unit/tmpstore.h"

#include <time.h>

static int64_t wall(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct stat example(uint64_t ino, int64_t seconds)
{
	struct stat st = { .st_dev = 7, .st_ino = ino, .st_size = 100 };

	st.st_mtim = (struct timespec){ .tv_sec = seconds, .tv_nsec = 5 };
	st.st_ctim = (struct timespec){ .tv_sec = seconds, .tv_nsec = 6 };
	return st;
}

static void only_statcache(struct store *s, char ret[96])
{
	AUTO(fd_closep) int dir = at_open_store(s->fd, "stat", O_RDONLY | O_DIRECTORY, 0, NULL);
	struct at_names n = { 0 };

	at_list(dir, &n, NULL);
	snprintf(ret, 96, "stat/%s", n.n == 1 ? n.name[0] : "none");
	at_names_clear(&n);
}

/* ---- FILES files, each with the digest of its number; those of even number are looked up in every run */

enum { FILES = 3000 };

static struct digest numbered(uint64_t i)
{
	char text[32];

	snprintf(text, sizeof(text), "%ju", (uintmax_t)i);
	return tmpstore_digest(text);
}

static bool evens_known(struct statcache *c)
{
	bool all = true;

	for (uint64_t i = 2; i < FILES; i += 2) {
		struct stat st = example(i, (int64_t)i);
		struct digest want = numbered(i), got;

		all = all && statcache_get(c, &st, &got) && digest_equal(&got, &want);
	}
	return all;
}

static void remembered(struct store *s)
{
	struct statcache *c = NULL;
	struct digest d = tmpstore_digest("content"), got;
	struct stat st = example(1, 1000);
	int64_t now = wall();

	is_int(statcache_open(s, tmpstore_root, &c, NULL), 0, "open without a file");
	ok(!statcache_get(c, &st, &got), "knows nothing");
	is_int(statcache_save(c, NULL), 0, "and has nothing to write");
	is_int((long long)tmpstore_count(s, "stat"), 0, "really nothing");
	statcache_put(c, &st, now, &d);
	ok(statcache_get(c, &st, &got) && digest_equal(&got, &d), "remembers at once");
	for (uint64_t i = 2; i < FILES; i++) {
		struct stat more = example(i, (int64_t)i);
		struct digest each = numbered(i);

		statcache_put(c, &more, now, &each);
	}
	is_int(statcache_save(c, NULL), 0, "save");
	statcache_close(c);
}

static void trusted(struct store *s)
{
	struct statcache *c = NULL;
	struct digest d = tmpstore_digest("content"), got;
	struct stat st = example(1, 1000), changed = st;
	int64_t now = wall();

	statcache_open(s, tmpstore_root, &c, NULL);
	ok(statcache_get(c, &st, &got) && digest_equal(&got, &d), "remembers across runs");
	ok(evens_known(c), "every one of 3,000");
	changed.st_size++;
	ok(!statcache_get(c, &changed, &got), "another size is not trusted");
	changed = st;
	changed.st_mtim.tv_nsec++;
	ok(!statcache_get(c, &changed, &got), "another mtime is not");
	changed = st;
	changed.st_ctim.tv_nsec++;
	ok(!statcache_get(c, &changed, &got), "another ctime is not");
	changed = st;
	changed.st_dev++;
	ok(!statcache_get(c, &changed, &got), "another device is not");

	/* The racy rule: changed within the clock's grain before it was read. */
	struct stat fresh = example(5000, now / 1000000000);
	fresh.st_ctim.tv_nsec = now % 1000000000;
	statcache_put(c, &fresh, now + 1000000, &d);
	ok(!statcache_get(c, &fresh, &got), "a file that changed a millisecond before it was read is not remembered");
	statcache_put(c, &fresh, now + 100000000, &d);
	ok(statcache_get(c, &fresh, &got), "one that changed 100 ms before is");
	struct stat coarse = example(5001, now / 1000000000 - 1);
	coarse.st_ctim.tv_nsec = coarse.st_mtim.tv_nsec = 0;
	statcache_put(c, &coarse, now, &d);
	ok(!statcache_get(c, &coarse, &got), "whole seconds ask for more distance");
	struct stat future = example(5002, now / 1000000000 + 1000);
	statcache_put(c, &future, now, &d);
	ok(!statcache_get(c, &future, &got), "a ctime in the future is not trusted");
	is_int(statcache_save(c, NULL), 0, "save again");
	statcache_close(c);
}

static void forgotten(struct store *s)
{
	struct statcache *c = NULL;
	struct stat odd = example(3, 3), even = example(4, 4);
	struct digest got;

	statcache_open(s, tmpstore_root, &c, NULL);
	ok(statcache_get(c, &even, &got) && !statcache_get(c, &odd, &got), "what was not looked up in a run is forgotten");
	statcache_close(c);
}

static void real_file(struct store *s)
{
	AUTO(fd_closep) int dir = at_open_store(s->fd, "cache", O_PATH | O_DIRECTORY, 0, NULL);
	struct statcache *c = NULL;
	struct digest d = tmpstore_digest("content"), got;
	struct stat st;

	tmpstore_write(s, "cache/file", "one");
	nanosleep(&(struct timespec){ .tv_nsec = 60000000 }, NULL);
	statcache_open(s, tmpstore_root, &c, NULL);
	at_stat(dir, "file", &st, NULL);
	statcache_put(c, &st, wall(), &d);
	ok(statcache_get(c, &st, &got), "a real file is remembered");
	tmpstore_write(s, "cache/file", "two");
	at_stat(dir, "file", &st, NULL);
	ok(!statcache_get(c, &st, &got), "and not trusted after a change of the same size");
	ok(evens_known(c), "the others still are");
	statcache_save(c, NULL);
	statcache_close(c);
}

/* Whatever of them it still knows has the right digest. */
static bool tells_lies(struct statcache *c)
{
	bool lies = false;

	for (uint64_t i = 2; i < FILES; i += 2) {
		struct stat st = example(i, (int64_t)i);
		struct digest want = numbered(i), got;

		lies = lies || (statcache_get(c, &st, &got) && !digest_equal(&got, &want));
	}
	return lies;
}

static void damaged(struct store *s)
{
	AUTO(buf_freep) struct buf whole = BUF_MAX(64 << 20);
	bool survived = true, lied = false;
	char path[96];

	only_statcache(s, path);
	at_read(s->fd, path, &whole, NULL);
	ok(whole.n > 1000, "the file is there");
	for (int i = 0; i < 200; i++) {
		AUTO(fd_closep) int fd = at_open_store(s->fd, path, O_WRONLY | O_TRUNC, 0, NULL);
		size_t at = ((size_t)i * 7919 * 13) % whole.n;
		struct statcache *c = NULL;

		whole.p[at] ^= 0x55;
		survived = survived && fd_write_all(fd, whole.p, i % 3 ? whole.n : at, NULL) == 0;
		whole.p[at] ^= 0x55;
		survived = survived && statcache_open(s, tmpstore_root, &c, NULL) == 0;
		lied = lied || tells_lies(c);
		statcache_close(c);
	}
	ok(survived && !lied, "200 damaged files: none fails, none lies");
}

int main(void)
{
	struct store *s = tmpstore_open();

	remembered(s);
	trusted(s);
	forgotten(s);
	real_file(s);
	damaged(s);
	store_close(s);
	tmpstore_remove();
	return done_testing();
}
