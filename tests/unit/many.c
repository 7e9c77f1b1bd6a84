/* tests/unit/many.c - memory does not grow with the number of files ("Memory is bounded by constants"): each part in a process of
 * its own, whose peak is compared with what it had before.
 */
#include "base/map.h"
#include "cache/statcache.h"
#include "cache/steps_priv.h"
#include "layers/pack.h"
#include "layers/pick.h"
#include "tests/unit/tmpstore.h"

#include <sys/resource.h>

enum { DIRS = 200, EACH = 1000 };

/* Sanitizers keep what was freed. */
#if defined(__SANITIZE_ADDRESS__)
enum { BOUNDED = false };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
enum { BOUNDED = false };
#else
enum { BOUNDED = true };
#endif
#else
enum { BOUNDED = true };
#endif

static long peak(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

/* part() in a child; 0 when all was well. */
static void bounded(const char *name, long most, int (*part)(struct store *s))
{
	pid_t pid = fork();
	int status = 1;

	if (pid == 0) {
		struct store *s = tmpstore_open();
		long before = peak();
		int rc = part(s);
		long grown = peak() - before;

		printf("# %s: %ld KiB for %d files\n", name, grown, DIRS * EACH);
		fflush(stdout);
		store_close(s);
		_exit(rc < 0 ? 1 : BOUNDED && grown > most << 10 ? 2 : 0);
	}
	waitpid(pid, &status, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) != 1, "%s works", name);
	ok(WIFEXITED(status) && WEXITSTATUS(status) != 2, "%s stays below %ld MiB", name, most);
}

/* Many empty files in directories. reverse: as a tar may have them, not in layer order. */
struct many {
	struct entries src;
	struct entry en;
	char path[80];
	int next;
	bool reverse;
};

static int many_next(struct entries *src, const struct entry **ret, struct err **e)
{
	struct many *m = container_of(src, struct many, src);
	int i = m->next++, dir = i / (EACH + 1), file = i % (EACH + 1);

	if (dir == DIRS)
		return 0;
	dir = m->reverse ? DIRS - 1 - dir : dir;
	m->en = (struct entry){ .type = file ? ENTRY_FILE : ENTRY_DIR, .path = m->path, .mode = 0755, .mtime = 1 };
	if (file)
		snprintf(m->path, sizeof(m->path), "directory-%03d/a-name-as-they-are-%04d", dir, file);
	else
		snprintf(m->path, sizeof(m->path), "directory-%03d", dir);
	*ret = &m->en;
	return 1;
}

static ssize_t many_data(struct entries *src, void *p, size_t n, struct err **e)
{
	return 0;
}

static int many_close(struct entries *src, struct err **e)
{
	free(container_of(src, struct many, src));
	return 0;
}

static int listing_of_many(struct store *s, bool reverse, struct listing **ret)
{
	static const struct entries_ops ops = { many_next, many_data, many_close };
	AUTO(fd_closep) int dir = store_scratch(s, NULL);
	AUTO(fd_closep) int fd = at_open_store(dir, "", O_TMPFILE | O_RDWR, 0600, NULL);
	AUTO(sink_free) struct sink *k = listing_sink_new(fd);
	struct many *m = mem_zalloc(sizeof(*m));
	AUTO(entries_drop) struct entries *src = &m->src;

	m->src.ops = &ops;
	m->reverse = reverse;
	if (entries_pump(src, &k, 1, NULL, NULL) < 0)
		return -1;
	return listing_open(fd_dup(fd, NULL), ret, NULL);
}

static int list_all(struct store *s)
{
	struct listing *l = NULL;
	struct entry en;

	for (int reverse = 0; reverse < 2; reverse++) {
		if (listing_of_many(s, reverse, &l) < 0 || listing_count(l) != DIRS * (EACH + 1))
			return -1;
		for (uint64_t i = 0; i < listing_count(l); i++) {
			listing_at(l, i, &en);
			if (!en.path[0])
				return -1;
		}
		listing_close(l);
	}
	return 0;
}

static int pick_all(struct store *s)
{
	AUTO(fd_closep) int dir = store_scratch(s, NULL);
	AUTO(view_freep) struct view *v = view_new();
	AUTO(pick_tree_freep) struct pick_tree *t = pick_tree_view(v, NULL);
	AUTO(picked_freep) struct picked *p = NULL;
	const struct pick_source source = { .path = "/", .content_fd = -1 };
	struct pick_req r = { .source = &source, .nsource = 1, .dest = "/to/", .now = 1, .spool = -1, .swap = dir };
	struct pack_req pack = { .dir = dir, .listing = true, .level = -1, .clamp_mtime = INT64_MAX, .fill_root = -1 };
	struct pack_facts facts = { 0 };
	struct listing *l = NULL;
	struct digest d, all;

	if (listing_of_many(s, false, &l) < 0)
		return -1;
	view_push(v, l);
	if (pick_run(t, NULL, &r, &p, NULL) < 0 || picked_selected(p) != DIRS * (EACH + 1))
		return -1;
	pack.src = picked_entries(p, NULL, NULL);
	if (pack_run(&pack, &facts, NULL) < 0 || picked_digest(p, NULL, NULL, NULL, UINT64_MAX, &d, NULL) != 0)
		return -1;
	AUTO(entries_drop) struct entries *same = picked_entries(p, NULL, NULL);
	AUTO(sink_free) struct sink *content = content_sink_new(&all);
	if (facts.entries < DIRS * (EACH + 1) || entries_pump(same, &content, 1, NULL, NULL) < 0)
		return -1;
	return digest_equal(&d, &all) ? 0 : -1;
}

static int stat_all(struct store *s)
{
	struct digest d = tmpstore_digest("content"), got;

	for (int round = 0; round < 2; round++) {
		struct statcache *c = NULL;

		if (statcache_open(s, tmpstore_root, &c, NULL) < 0)
			return -1;
		for (int i = 0; i < DIRS * EACH; i++) {
			struct stat st = { .st_dev = 7, .st_ino = (ino_t)(DIRS - i / EACH) * 100000 + (ino_t)i, .st_size = i };

			if (round && (!statcache_get(c, &st, &got) || !digest_equal(&got, &d)))
				return -1;
			/* The second time half of them are new. */
			st.st_ino += round && i % 2 ? 1000000000 : 0;
			statcache_put(c, &st, INT64_MAX / 2, &d);
		}
		if (statcache_save(c, NULL) < 0)
			return -1;
		statcache_close(c);
	}
	return 0;
}

static int items_of_many(int dir, int changed, struct map *ret)
{
	AUTO(fd_closep) int fd = at_open_store(dir, "", O_TMPFILE | O_RDWR, 0600, NULL);
	AUTO(buf_freep) struct buf b = BUF_MAX(1 << 20);
	struct digest d = tmpstore_digest("content");
	char name[80];

	for (int i = 0; i < DIRS * EACH; i++) {
		snprintf(name, sizeof(name), "directory-%03d/a-name-as-they-are-%04d", i / EACH, i % EACH);
		key_item_put(&b, name, '0', i == changed ? 0755 : 0644, &d);
		if (b.n > 60000 || i + 1 == DIRS * EACH) {
			if (fd_write_all(fd, b.p, b.n, NULL) < 0)
				return -1;
			buf_reset(&b);
		}
	}
	return map_open(fd, ret, NULL);
}

static int why_all(struct store *s)
{
	AUTO(fd_closep) int dir = store_scratch(s, NULL);
	AUTO(buf_freep) struct buf why = BUF_MAX(1000);
	AUTO(map_clear) struct map was = { 0 };
	AUTO(map_clear) struct map now = { 0 };
	struct keyer k;
	bool parent_only;

	if (items_of_many(dir, -1, &was) < 0 || items_of_many(dir, 5, &now) < 0)
		return -1;
	key_init(&k, "COPY");
	key_list(&k, "file", (struct key_items){ { was.p, was.n }, true });
	if (why_save(s, SLICE_LIT("slot"), &k, NULL) < 0)
		return -1;
	key_clear(&k);
	key_init(&k, "COPY");
	key_list(&k, "file", (struct key_items){ { now.p, now.n }, true });
	if (steps_why(s, SLICE_LIT("slot"), &k, &why, &parent_only, NULL) < 0)
		return -1;
	key_clear(&k);
	return strcmp(why.p, "run again: file directory-000/a-name-as-they-are-0005 changed, mode was 0644") == 0 ? 0 : -1;
}

int main(void)
{
	struct store *s = tmpstore_open();
	AUTO(fd_closep) int dir = store_scratch(s, NULL);
	AUTO(fd_closep) int nameless = at_open_store(dir, "", O_TMPFILE | O_RDWR, 0600, NULL);

	if (nameless < 0) {
		printf("1..0 # SKIP the file system of /tmp makes no nameless files\n");
		store_close(s);
		tmpstore_remove();
		return 0;
	}
	bounded("a listing, in order and not", 14, list_all);
	bounded("a COPY", 32, pick_all);
	bounded("remembering digests", 28, stat_all);
	bounded("finding the file that changed", 20, why_all);
	store_close(s);
	tmpstore_remove();
	return done_testing();
}
