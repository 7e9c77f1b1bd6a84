/* tests/unit/gc.c - what is wanted stays, what is not goes, whoever is running beside. */
#include "cache/gc.h"
#include "cache/names.h"
#include "cache/steps.h"
#include "tests/unit/tmpstore.h"

#include <sys/stat.h>
#include <signal.h>
#include <time.h>

static const struct gc_policy everything = { .all = true }, unlimited = { 0 };

/* Blobs younger than a minute are safe from gc: make all of them old. */
static void age_blobs(struct store *s)
{
	AUTO(fd_closep) int dir = at_open_store(s->fd, "blobs/sha256", O_RDONLY | O_DIRECTORY, 0, NULL);
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	struct at_names n = { 0 };

	at_list(dir, &n, NULL);
	for (size_t i = 0; i < n.n; i++)
		utimensat(dir, n.name[i], old, 0);
	at_names_clear(&n);
}

/* Reopen: the pins of what a test has made fall. */
static struct store *unpin(struct store *s)
{
	age_blobs(s);
	store_close(s);
	return tmpstore_open();
}

static bool has_blob(struct store *s, const struct digest *d)
{
	char path[80];
	AUTO(fd_closep) int fd = -1;

	store_blob_path(d, path);
	return at_try_store(s->fd, path, O_PATH, &fd, NULL) == 0;
}

static bool has_layer(struct store *s, const struct digest *d)
{
	char path[160];
	AUTO(fd_closep) int fd = -1;

	store_layer_path(s, d, path);
	return at_try_store(s->fd, path, O_PATH, &fd, NULL) == 0;
}

static void name_it(struct store *s, const char *name, const struct digest *config, const struct digest *diff)
{
	struct name_layer l = { .diff = *diff };
	struct name_record r = { .name = (char *)name, .config = *config, .platform = (char *)"linux/amd64",
				 .layer = &l, .nlayer = 1 };

	names_put(s, &r, NULL);
}

static void record(struct store *s, const char *key, const struct digest *diff, int64_t used)
{
	struct digest k = tmpstore_digest(key);
	struct step_record r = { .diff = *diff };
	char hex[DIGEST_HEX + 1], path[96];
	const struct timespec at[2] = { { .tv_sec = used }, { .tv_sec = used } };

	steps_save(s, &k, NULL, NULL, SLICE_LIT("slot"), &r, NULL);
	digest_hex(&k, hex);
	snprintf(path, sizeof(path), "records/%.2s/%s", hex, hex);
	AUTO(fd_closep) int dir = -1;
	const char *name = NULL;
	store_parent(s, path, &dir, &name, NULL);
	utimensat(dir, name, at, 0);
}

static void marking(void)
{
	struct store *s = tmpstore_open();
	struct digest config, loose, blob, named = tmpstore_layer(s, "named", 10), recorded = tmpstore_layer(s, "recorded", 20),
		      lost = tmpstore_layer(s, "lost", 30);
	struct gc_result r;

	store_blob_put(s, slice_of("config"), &config, NULL);
	store_blob_put(s, slice_of("loose"), &loose, NULL);
	store_blob_put(s, slice_of("blob of recorded"), &blob, NULL);
	struct blob_info i = { .diff = recorded, .blob = blob, .size = 16, .comp = "zstd", .level = 3 };
	store_info_add(s, &i, NULL);
	name_it(s, "img:1", &config, &named);
	record(s, "key", &recorded, time(NULL));

	is_int(gc_run(s, &unlimited, &r, NULL), 0, "gc runs");
	ok(has_blob(s, &loose) && has_layer(s, &lost), "what the own lease pins stays");
	s = unpin(s);

	struct gc_policy dry = { .dry_run = true };
	gc_run(s, &dry, &r, NULL);
	ok(r.blobs == 1 && r.layers == 1 && r.listings == 1 && r.bytes == 5 + 30 + 4, "a dry run tells what would go");
	ok(has_blob(s, &loose) && has_layer(s, &lost), "and removes nothing");

	gc_run(s, &unlimited, &r, NULL);
	ok(r.blobs == 1 && r.layers == 1 && r.listings == 1 && r.records == 0, "then it goes");
	ok(!has_blob(s, &loose) && !has_layer(s, &lost), "really");
	ok(has_blob(s, &config) && has_layer(s, &named), "what a name lists stays");
	ok(has_blob(s, &blob) && has_layer(s, &recorded), "what a record lists stays, with its blob");
	ok(r.trees && tmpstore_count(s, "trash") == 1, "trees wait in trash/ for a worker");

	name_it(s, "sha256:1234", &config, &named);
	struct gc_policy nameless = { .untagged = true, .dry_run = true };
	gc_run(s, &nameless, &r, NULL);
	is_int(r.names, 1, "a dry run counts untagged images");
	nameless.dry_run = false;
	gc_run(s, &nameless, &r, NULL);
	ok(r.names == 1 && names_delete(s, "sha256:1234", NULL) == NAMES_MISS, "an untagged image goes when it is asked for");
	ok(has_blob(s, &config) && has_layer(s, &named), "what another name lists stays");

	gc_run(s, &everything, &r, NULL);
	ok(r.records == 1 && !has_blob(s, &blob) && !has_layer(s, &recorded), "with all, records go and what they kept");
	ok(has_blob(s, &config) && has_layer(s, &named), "names stay");
	ok(tmpstore_count(s, "info/diff") == 0 && tmpstore_count(s, "info/blob") == 0, "facts about lost blobs go too");
	names_delete(s, "img:1", NULL);
	gc_run(s, &unlimited, &r, NULL);
	ok(!has_blob(s, &config) && !has_layer(s, &named), "without its name an image goes");
	store_close(s);
}

#define OLD_BOOT "00000000-1111-2222-3333-444444444444"
#define OLDER_BOOT "00000000-1111-2222-3333-555555555555"

/* T8: what a former boot made is trusted by its synced/<boot>; that file goes after the last of it. */
static void boots(void)
{
	struct store *s = tmpstore_open();
	struct digest d = tmpstore_layer(s, "of a former boot", 10);
	struct gc_result r;
	char path[160];

	store_layer_path(s, &d, path);
	AUTO(mem_freep) char *meta = mem_printf("%s/meta.json", path);
	tmpstore_age(s, meta, OLD_BOOT, 1000);
	tmpstore_write(s, "synced/" OLD_BOOT, "1000\n");
	tmpstore_write(s, "synced/" OLDER_BOOT, "1000\n");
	tmpstore_write(s, "synced/unknown", "");
	store_sync_start(s, NULL);
	store_sync_wait(s, NULL);
	is_int(tmpstore_count(s, "synced"), 4, "every boot that synced has left a file");
	struct gc_policy dry = { .dry_run = true };
	ok(gc_run(s, &dry, &r, NULL) == 0 && tmpstore_count(s, "synced") == 4, "a dry run leaves them");
	ok(gc_run(s, &unlimited, &r, NULL) == 0 && tmpstore_count(s, "synced") == 2, "those of boots of which nothing is left go");
	is_int(store_layer_find(s, &d, NULL, NULL), 0, "what another boot has made is as good as before");
	s = unpin(s);
	gc_run(s, &unlimited, &r, NULL);
	ok(!has_layer(s, &d), "it goes");
	gc_run(s, &unlimited, &r, NULL);
	is_int(tmpstore_count(s, "synced"), 1, "and then the file of its boot");
	store_close(s);
}

static void young(void)
{
	struct store *s = tmpstore_open();
	struct gc_result r;
	struct digest d;

	store_blob_put(s, slice_of("young"), &d, NULL);
	store_close(s);
	s = tmpstore_open();
	gc_run(s, &everything, &r, NULL);
	ok(has_blob(s, &d), "a blob of this minute stays in any case");
	s = unpin(s);
	gc_run(s, &everything, &r, NULL);
	ok(!has_blob(s, &d), "an old one does not");
	store_close(s);
}

static void limits(void)
{
	static const struct {
		const char *name;
		struct gc_policy p;
		bool old, middle, recent;
	} cases[] = {
		{ "no limit keeps all", { 0 }, true, true, true },
		{ "room for all", { .max_used = 10000 }, true, true, true },
		{ "the oldest goes first", { .max_used = 2500 }, false, true, true },
		{ "then the next", { .max_used = 1500 }, false, false, true },
		{ "what was used of late stays", { .max_used = 1, .keep_seconds = 3600 }, false, false, true },
		{ "not below what is reserved", { .max_used = 1, .reserved = 2500 }, false, true, true },
		{ "free space that cannot be had takes all", { .min_free = UINT64_MAX }, false, false, false },
	};
	int64_t now = time(NULL);

	for (size_t i = 0; i < countof(cases); i++) {
		struct store *s = tmpstore_open();
		struct digest a = tmpstore_layer(s, "old", 1000), b = tmpstore_layer(s, "middle", 1000),
			      c = tmpstore_layer(s, "recent", 1000);
		struct gc_result r;

		record(s, "a", &a, now - 3 * 86400);
		record(s, "b", &b, now - 2 * 86400);
		record(s, "c", &c, now - 60);
		s = unpin(s);
		gc_run(s, &cases[i].p, &r, NULL);
		ok(has_layer(s, &a) == cases[i].old && has_layer(s, &b) == cases[i].middle &&
			   has_layer(s, &c) == cases[i].recent,
		   "T12: %s", cases[i].name);
		store_close(s);
	}
}

/* Another process holds a lease with a pin; then it is killed. */
static void leases(void)
{
	struct store *s = tmpstore_open();
	struct digest d = tmpstore_layer(s, "leased", 10), blob;
	int ready[2] = { -1, -1 };
	struct gc_result r;
	char c = 0;

	store_blob_put(s, slice_of("leased blob"), &blob, NULL);
	s = unpin(s);
	fd_pipe(ready, NULL);
	pid_t pid = fork();
	if (pid == 0) {
		struct store *mine = tmpstore_open();
		char tmp[80];

		store_pin(mine, PIN_LAYER, &d, NULL);
		store_pin(mine, PIN_BLOB, &blob, NULL);
		store_tmp(mine, tmp, NULL);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	if (read(ready[0], &c, 1) != 1)
		exit(1);
	gc_run(s, &everything, &r, NULL);
	ok(has_layer(s, &d) && has_blob(s, &blob) && r.tmps == 0, "L3: what a living process has pinned stays");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	gc_run(s, &everything, &r, NULL);
	ok(!has_layer(s, &d) && !has_blob(s, &blob), "L1: when it is killed, its pins are gone");
	ok(r.tmps == 1 && tmpstore_count(s, "leases") == 0, "and its temporary directory and lease go");
	close(ready[0]);
	close(ready[1]);
	store_close(s);
}

static void unreadable(void)
{
	struct store *s = tmpstore_open();
	struct digest config, diff = tmpstore_layer(s, "of a torn name", 10), hash = tmpstore_digest("img:2");
	char hex[DIGEST_HEX + 1], path[96];
	struct gc_result r;

	store_blob_put(s, slice_of("config 2"), &config, NULL);
	name_it(s, "img:2", &config, &diff);
	s = unpin(s);
	digest_hex(&hash, hex);
	snprintf(path, sizeof(path), "refs/%.2s/%s.json", hex, hex);
	tmpstore_bend(s, path);
	gc_run(s, &everything, &r, NULL);
	ok(has_blob(s, &config) && has_layer(s, &diff) && r.bad_names == 1, "a name that cannot be read stops the sweep");

	struct check_result check;
	gc_check(s, true, &check, NULL);
	ok(check.bad >= 1 && check.repaired == check.bad, "check --repair removes it");
	buf_free(&check.text);
	gc_run(s, &everything, &r, NULL);
	ok(!has_blob(s, &config) && !has_layer(s, &diff) && r.bad_names == 0, "then the sweep goes on");
	store_close(s);
}

static void checking(void)
{
	struct store *s = tmpstore_open();
	struct digest config, blob, diff = tmpstore_layer(s, "checked", 10);
	struct check_result r;
	char path[160];

	store_blob_put(s, slice_of("config 3"), &config, NULL);
	store_blob_put(s, slice_of("blob 3"), &blob, NULL);
	name_it(s, "img:3", &config, &diff);
	record(s, "key 3", &diff, time(NULL));
	gc_check(s, false, &r, NULL);
	ok(r.bad == 0 && r.objects >= 6, "T10: a good store is clean");
	if (r.bad)
		printf("# %s", r.text.p);
	buf_free(&r.text);

	store_blob_path(&config, path);
	tmpstore_bend(s, path);
	store_layer_path(s, &diff, path);
	AUTO(mem_freep) char *meta = mem_printf("%s/meta.json", path);
	tmpstore_bend(s, meta);
	AUTO(fd_closep) int fd = -1;
	store_blob_path(&blob, path);
	fd = at_open_store(s->fd, path, O_RDONLY, 0, NULL);
	fchmod(fd, 0640);
	tmpstore_write(s, "listings/junk", "x");
	gc_check(s, false, &r, NULL);
	ok(r.bad == 4 && r.repaired == 0, "a bent blob, a bent layer, a mode and junk are found");
	ok(strstr(r.text.p, "does not have this digest") && strstr(r.text.p, "mode is 0640"), "and told");
	buf_free(&r.text);
	gc_check(s, true, &r, NULL);
	ok(r.bad == 5 && r.repaired == 5, "repaired, with the name that depended on the blob");
	buf_free(&r.text);
	gc_check(s, false, &r, NULL);
	ok(r.bad == 0, "then it is clean again");
	buf_free(&r.text);
	store_close(s);
}

static void usage(void)
{
	struct store *s = tmpstore_open();
	struct digest config, diff = tmpstore_layer(s, "used", 1234);
	struct du_row *row = NULL;
	char cache[80];
	size_t n = 0, layers = 0, images = 0, caches = 0;

	store_blob_put(s, slice_of("config 4"), &config, NULL);
	name_it(s, "img:4", &config, &diff);
	name_it(s, "img:5", &config, &diff);
	store_cache_path("apt", cache);
	AUTO(mem_freep) char *note = mem_printf("%s.id", cache);
	tmpstore_write(s, note, "apt");
	ok(mkdirat(store_fd(s), cache, 0755) == 0, "a cache mount was used");
	is_int(gc_du(s, &row, &n, NULL), 0, "du");
	for (size_t i = 0; i < n; i++) {
		bool ours = strcmp(row[i].id, digest_text(&diff).s) == 0;

		layers += ours && strcmp(row[i].kind, "layer") == 0 && row[i].bytes == 1234 && row[i].in_use && row[i].shared;
		images += strcmp(row[i].kind, "image") == 0 && strncmp(row[i].note, "img:", 4) == 0;
		caches += strcmp(row[i].kind, "cache") == 0 && strcmp(row[i].note, "apt") == 0;
	}
	ok(layers == 1, "a layer of two images is in use and shared");
	ok(images == 2 && caches == 1, "images and cache mounts have their names");
	free(row);
	names_delete(s, "img:4", NULL);
	names_delete(s, "img:5", NULL);
	store_close(s);
}

/* Makers and sweepers at once; what a maker has pinned must be there whenever it looks. */
static void beside(void)
{
	enum { MAKERS = 4, ROUNDS = 60 };
	pid_t pid[MAKERS];
	struct gc_result r;
	int failed = 0, running = MAKERS;

	for (int i = 0; i < MAKERS; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			struct store *s = tmpstore_open();
			int bad = 0;

			for (int j = 0; j < ROUNDS; j++) {
				struct digest l, k = tmpstore_digest("k");
				struct step_record rec, got;
				struct layer_meta m;
				char text[64];

				/* Shared by all, so that one finds what another made and gc is after. */
				snprintf(text, sizeof(text), "beside %d", j % 10);
				l = tmpstore_digest(text);
				if (store_layer_find(s, &l, &m, NULL) != 0 || store_listing_find(s, &l, NULL) != 0)
					tmpstore_layer(s, text, 5);
				rec = (struct step_record){ .diff = l };
				steps_save(s, &k, NULL, NULL, SLICE_LIT("slot"), &rec, NULL);
				bad += store_layer_find(s, &l, &m, NULL) != 0;
				bad += store_listing_find(s, &l, NULL) != 0;
				bad += steps_find(s, &k, &got, NULL) < 0;
				if (j % 15 == 14) {
					store_close(s);
					s = tmpstore_open();
				}
			}
			store_close(s);
			_exit(bad != 0);
		}
	}
	struct store *s = tmpstore_open();
	size_t sweeps = 0;
	while (running > 0) {
		int status = 0;

		failed += gc_run(s, &everything, &r, NULL) < 0;
		sweeps++;
		for (pid_t p = 0; (p = waitpid(-1, &status, WNOHANG)) > 0;) {
			running--;
			failed += status != 0;
		}
	}
	is_int(failed, 0, "L3, L4: four builders and a sweeper at once");
	ok(sweeps > 1, "with %zu sweeps", sweeps);
	store_close(s);
}

int main(void)
{
	marking();
	boots();
	young();
	limits();
	leases();
	unreadable();
	checking();
	usage();
	beside();
	tmpstore_remove();
	return done_testing();
}
