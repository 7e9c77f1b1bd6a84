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

int main(void)
{
	struct store *s = tmpstore_open();
	struct statcache *c = NULL;
	struct digest d = tmpstore_digest("content"), got;
	struct stat st = example(1, 1000);
	int64_t now = wall();
	char path[96];

	is_int(statcache_open(s, tmpstore_root, &c, NULL), 0, "open without a file");
	ok(!statcache_get(c, &st, &got), "knows nothing");
	is_int(statcache_save(c, NULL), 0, "and has nothing to write");
	is_int((long long)tmpstore_count(s, "stat"), 0, "really nothing");
	statcache_put(c, &st, now, &d);
	ok(statcache_get(c, &st, &got) && digest_equal(&got, &d), "remembers at once");
	for (uint64_t i = 2; i < 3000; i++) {
		char text[32];
		struct stat more = example(i, (int64_t)i);

		snprintf(text, sizeof(text), "%ju", (uintmax_t)i);
		struct digest each = tmpstore_digest(text);
		statcache_put(c, &more, now, &each);
	}
	is_int(statcache_save(c, NULL), 0, "save");
	statcache_close(c);

	statcache_open(s, tmpstore_root, &c, NULL);
	ok(statcache_get(c, &st, &got) && digest_equal(&got, &d), "remembers across runs");
	bool all = true;
	for (uint64_t i = 2; i < 3000; i++) {
		char text[32];
		struct stat more = example(i, (int64_t)i);

		snprintf(text, sizeof(text), "%ju", (uintmax_t)i);
		struct digest each = tmpstore_digest(text);
		all = all && (i % 2 || (statcache_get(c, &more, &got) && digest_equal(&got, &each)));
	}
	ok(all, "every one of 3,000");

	struct stat changed = st;
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
	statcache_open(s, tmpstore_root, &c, NULL);
	struct stat odd = example(3, 3), even = example(4, 4);
	ok(statcache_get(c, &even, &got) && !statcache_get(c, &odd, &got), "what was not looked up in a run is forgotten");
	statcache_close(c);

	/* A real file. */
	tmpstore_write(s, "cache/file", "one");
	AUTO(fd_closep) int dir = at_open_store(s->fd, "cache", O_PATH | O_DIRECTORY, 0, NULL);
	nanosleep(&(struct timespec){ .tv_nsec = 60000000 }, NULL);
	statcache_open(s, tmpstore_root, &c, NULL);
	at_stat(dir, "file", &st, NULL);
	statcache_put(c, &st, wall(), &d);
	ok(statcache_get(c, &st, &got), "a real file is remembered");
	tmpstore_write(s, "cache/file", "two");
	at_stat(dir, "file", &st, NULL);
	ok(!statcache_get(c, &st, &got), "and not trusted after a change of the same size");
	statcache_save(c, NULL);
	statcache_close(c);

	only_statcache(s, path);
	AUTO(buf_freep) struct buf whole = BUF_MAX(64 << 20);
	at_read(s->fd, path, &whole, NULL);
	ok(whole.n > 100, "the file is there");
	bool survived = true, lied = false;
	struct digest want = tmpstore_digest("4");
	for (int i = 0; i < 200; i++) {
		int fd = at_open_store(s->fd, path, O_WRONLY | O_TRUNC, 0, NULL);
		size_t n = whole.n;
		size_t at = ((size_t)i * 7919 * 13) % whole.n;

		if (i % 3 == 0)
			n = at;
		whole.p[at] ^= 0x55;
		if (fd_write_all(fd, whole.p, n, NULL) < 0)
			return 1;
		whole.p[at] ^= 0x55;
		close(fd);
		survived = survived && statcache_open(s, tmpstore_root, &c, NULL) == 0;
		lied = lied || (statcache_get(c, &even, &got) && !digest_equal(&got, &want));
		statcache_close(c);
	}
	ok(survived && !lied, "200 damaged files: none fails, none lies");
	store_close(s);
	tmpstore_remove();
	return done_testing();
}
