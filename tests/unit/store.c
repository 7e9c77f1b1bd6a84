/* tests/unit/store.c - the store: opening, blobs, layers, infos, crashes, several processes at once. */
#include "tests/unit/tmpstore.h"

#include <errno.h>
#include <signal.h>
#include <sys/file.h>
#include <time.h>

#define OTHER_BOOT "00000000-1111-2222-3333-444444444444"

static void opening(void)
{
	AUTO(err_freep) struct err *e = NULL;
	struct store *s = tmpstore_open(), *again = NULL;
	struct stat st;

	ok(fstat(s->fd, &st) == 0 && (st.st_mode & 07777) == 0700, "T1: the store is private");
	is_str(store_path(s), tmpstore_root, "its path");
	ok(store_open(tmpstore_root, &again, &e) == 0, "it can be opened twice");
	store_close(again);

	AUTO(mem_freep) char *strange = mem_printf("%s/cache", tmpstore_root);
	tmpstore_write(s, "cache/something", "x");
	ok(store_open(strange, &again, &e) < 0 && strstr(err_text(e), "no store of kiln"), "a directory with other things is refused");
	at_unlink(s->fd, "cache/something", NULL);
	err_freep(&e);

	ok(fchmod(s->fd, 0750) == 0 && store_open(tmpstore_root, &again, &e) < 0, "T1: a group bit is refused");
	struct buf text = BUF_MAX(4096);
	err_print(e, &text);
	ok(strstr(text.p, "chmod 700 '"), "with the command that repairs it");
	buf_free(&text);
	err_freep(&e);
	fchmod(s->fd, 0700);

	tmpstore_write(s, "version", "99\n");
	ok(store_open(tmpstore_root, &again, &e) < 0 && strstr(err_text(e), "format 99"), "T3: an unknown version is refused");
	err_freep(&e);
	tmpstore_write(s, "version", "");
	ok(store_open(tmpstore_root, &again, &e) < 0, "a torn version file is refused");
	tmpstore_write(s, "version", "1\n");
	store_close(s);
}

static void blobs(void)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(100);
	AUTO(err_freep) struct err *e = NULL;
	struct store *s = tmpstore_open();
	struct digest d, other = tmpstore_digest("none");
	int64_t size = 0;
	char path[80], dir[80], file[128];
	struct stat st;

	is_int(store_blob_put(s, slice_of("hello"), &d, &e), 0, "a small document is put");
	is_int(store_blob_find(s, &d, &size, &e), 0, "and found");
	is_int(size, 5, "with its size");
	is_int(store_blob_find(s, &other, &size, &e), STORE_MISS, "another is a miss");
	ok(store_blob_read(s, &d, &b, &e) == 0 && strcmp(b.p, "hello") == 0, "and read");
	store_blob_path(&d, path);
	AUTO(fd_closep) int probe = at_open_store(s->fd, path, O_PATH, 0, NULL);
	ok(fstat(probe, &st) == 0 && (st.st_mode & 07777) == 0444, "T4: mode 0444");

	store_tmp(s, dir, NULL);
	snprintf(file, sizeof(file), "%s/blob", dir);
	tmpstore_write(s, file, "hello");
	is_int(store_blob_commit(s, file, &d, 5, &e), 0, "committing what exists is success");
	ok(tmpstore_count(s, dir) == 0, "and the second copy is gone");
	tmpstore_write(s, file, "hell");
	ok(store_blob_commit(s, file, &d, 5, &e) < 0, "a file of another size is refused");
	err_freep(&e);
	ok(symlinkat("/etc/passwd", s->fd, "tmp/evil") == 0 && store_blob_commit(s, "tmp/evil", &d, 5, NULL) < 0,
	   "a link is refused");
	at_unlink(s->fd, "tmp/evil", NULL);
	ok(store_blob_commit(s, "tmp/../version", &d, 2, NULL) < 0, "a path with dots is refused");

	tmpstore_bend(s, path);
	buf_reset(&b);
	is_int(store_blob_read(s, &d, &b, &e), STORE_MISS, "I5: a damaged blob is a miss");
	is_int(store_blob_find(s, &d, &size, &e), STORE_MISS, "and is out of the way");
	is_int(b.n, 0, "and none of its bytes are handed out");
	store_blob_put(s, slice_of("hello"), &d, NULL);
	ok(store_blob_bad(s, &d, &e) == 0 && store_blob_find(s, &d, &size, &e) == 0, "a good blob that is called bad stays");

	/* Wreckage of a power cut: the name is there, the content is not. */
	at_unlink(s->fd, path, NULL);
	tmpstore_write(s, path, "");
	is_int(store_blob_put(s, slice_of("hello"), &d, &e), 0, "an empty file in the place of a blob is replaced");
	buf_reset(&b);
	ok(store_blob_read(s, &d, &b, &e) == 0 && strcmp(b.p, "hello") == 0, "by the right one");
	store_close(s);
}

static void layers(void)
{
	struct store *s = tmpstore_open();
	struct layer_meta m;
	char path[160], meta[200];
	struct digest d = tmpstore_layer(s, "layer one", 100), none = tmpstore_digest("none");

	ok(store_layer_find(s, &d, &m, NULL) == 0 && m.bytes == 100 && m.entries == 1 && m.made_here, "a layer is found");
	is_int(store_layer_find(s, &none, &m, NULL), STORE_MISS, "another is a miss");
	is_int(store_listing_find(s, &d, NULL), 0, "its listing is found");
	store_flavour(s, "m-abc");
	is_int(store_layer_find(s, &d, &m, NULL), STORE_MISS, "another flavour does not have it");
	store_flavour(s, "r");

	store_layer_path(s, &d, path);
	snprintf(meta, sizeof(meta), "%s/meta.json", path);
	tmpstore_layer(s, "layer one", 200);
	ok(store_layer_find(s, &d, &m, NULL) == 0 && m.bytes == 100, "an existing layer wins");

	tmpstore_age(s, meta, OTHER_BOOT, 1000);
	is_int(store_layer_find(s, &d, &m, NULL), STORE_MISS, "T8: a layer of a former boot that no sync covers is suspect");
	tmpstore_write(s, "synced/" OTHER_BOOT, "999\n");
	s->seen_boot[0] = '\0';
	is_int(store_layer_find(s, &d, &m, NULL), STORE_MISS, "also when a sync came before it");
	tmpstore_layer(s, "layer one", 300);
	ok(store_layer_find(s, &d, &m, NULL) == 0 && m.bytes == 300, "a new one replaces a suspect one");
	tmpstore_age(s, meta, OTHER_BOOT, 999);
	is_int(store_layer_find(s, &d, &m, NULL), 0, "T8: a layer that a sync covers is good");

	tmpstore_bend(s, meta);
	is_int(store_layer_find(s, &d, &m, NULL), STORE_MISS, "T7: a torn meta.json is no layer");
	tmpstore_write(s, meta, "");
	is_int(store_layer_find(s, &d, &m, NULL), STORE_MISS, "nor is an empty one");
	at_unlink(s->fd, meta, NULL);
	is_int(store_layer_find(s, &d, &m, NULL), STORE_MISS, "nor a directory without");
	store_close(s);
}

static void infos(void)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(1000);
	struct store *s = tmpstore_open();
	struct digest diff = tmpstore_digest("tar"), blob, got;
	struct blob_info found;

	store_blob_put(s, slice_of("compressed"), &blob, NULL);
	struct blob_info i = { .diff = diff, .blob = blob, .size = 10, .comp = "zstd", .level = 3 };
	is_int(store_info_find(s, &diff, "", &found, NULL), STORE_MISS, "nothing is known at first");
	is_int(store_info_add(s, &i, NULL), 0, "facts are noted");
	ok(store_info_find(s, &diff, NULL, &found, NULL) == 0 && digest_equal(&found.blob, &blob) && found.level == 3,
	   "and found by diff ID");
	is_int(store_info_find(s, &diff, "gzip", &found, NULL), STORE_MISS, "another compression is a miss");
	ok(store_info_diff(s, &blob, &got, NULL) == 0 && digest_equal(&got, &diff), "and the other way round");

	char path[80];
	store_blob_path(&blob, path);
	at_unlink(s->fd, path, NULL);
	is_int(store_info_find(s, &diff, NULL, &found, NULL), STORE_MISS, "a blob that is gone is not offered");
	tmpstore_write(s, path, "comp");
	is_int(store_info_find(s, &diff, NULL, &found, NULL), STORE_MISS, "nor one that is torn");

	ok(store_source_list(s, &blob, &b, NULL) == 0 && b.n == 0, "no source at first");
	store_source_add(s, &blob, "docker.io/library/alpine", NULL);
	store_source_add(s, &blob, "ghcr.io/a/b", NULL);
	store_source_add(s, &blob, "docker.io/library/alpine", NULL);
	store_source_list(s, &blob, &b, NULL);
	is_str(b.p, "docker.io/library/alpine\nghcr.io/a/b\n", "each source once");
	store_close(s);
}

static void small_things(void)
{
	struct store *s = tmpstore_open();
	char a[80], b[80], tmp[80];
	int one = -1, two = -1;

	store_cache_path("../../evil", a);
	store_cache_path("../../evil", b);
	ok(strcmp(a, b) == 0 && !strstr(a, ".."), "P11: a cache mount's directory is named by hash");
	is_int(store_job_lock(s, "pull-x", &one, NULL), 0, "a job lock is taken");
	is_int(store_job_lock(s, "pull-x", &two, NULL), STORE_MISS, "once");
	store_job_unlock(&two);
	store_job_unlock(&one);
	is_int(store_job_lock(s, "pull-x", &one, NULL), 0, "and again when it is free");
	store_job_unlock(&one);

	store_tmp(s, tmp, NULL);
	AUTO(fd_closep) int dir = at_open_store(s->fd, tmp, O_RDONLY | O_DIRECTORY, 0, NULL);
	at_mkdirs(dir, "deep/er", 0700, NULL);
	store_tmp_drop(s, tmp);
	ok(tmpstore_count(s, "trash") >= 1, "a dropped tree waits in trash/");
	store_tmp(s, tmp, NULL);
	store_close(s);
	s = tmpstore_open();
	ok(tmpstore_count(s, "tmp") == 0 && tmpstore_count(s, "leases") == 0, "closing leaves no tmp/ and no lease");
	store_close(s);
}

static void syncing(void)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(100);
	struct store *s = tmpstore_open();
	struct digest d;
	char path[80];

	ok(!store_dirty(s) && store_sync_start(s, NULL) == 0 && s->syncing == 0, "a build that made nothing syncs nothing");
	store_blob_put(s, slice_of("to be synced"), &d, NULL);
	ok(store_dirty(s), "a commit makes it dirty");
	ok(store_sync_start(s, NULL) == 0 && s->syncing > 0 && store_sync_wait(s, NULL) == 0, "then it syncs");
	snprintf(path, sizeof(path), "synced/%s", s->boot);
	ok(at_read(s->fd, path, &b, NULL) == 0 && b.n > 1, "and notes the time of this boot");
	store_blob_put(s, slice_of("before"), &d, NULL);
	store_sync_start(s, NULL);
	store_blob_put(s, slice_of("while it ran"), &d, NULL);
	ok(store_sync_wait(s, NULL) == 0 && !store_dirty(s), "T5: what is committed while a sync runs is waited for too");
	s->sync_failed = EIO;
	s->dirty = true;
	ok(store_sync_start(s, NULL) < 0, "F1: after a failed sync no other is trusted");
	s->sync_failed = 0;
	store_close(s);
}

/* Kill a process that commits blobs and layers without end, at some moment. */
static void killed(void)
{
	for (int round = 0; round < 25; round++) {
		pid_t pid = fork();

		if (pid == 0) {
			struct store *s = tmpstore_open();

			for (int i = 0;; i++) {
				char text[64];
				struct digest d;

				snprintf(text, sizeof(text), "%d %d", round, i);
				store_blob_put(s, slice_of(text), &d, NULL);
				tmpstore_layer(s, text, 1);
			}
		}
		nanosleep(&(struct timespec){ .tv_nsec = 1000000L + 700000L * round }, NULL);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	struct store *s = tmpstore_open();
	AUTO(fd_closep) int dir = at_open_store(s->fd, "blobs/sha256", O_RDONLY | O_DIRECTORY, 0, NULL);
	struct at_names names = { 0 };
	bool whole = true;

	at_list(dir, &names, NULL);
	for (size_t i = 0; i < names.n; i++) {
		AUTO(buf_freep) struct buf b = BUF_MAX(1000);
		struct digest d;

		whole = whole && digest_parse_hex(slice_of(names.name[i]), &d) == 0;
		/* The torn one of infos() is a miss by design. */
		if (at_read(dir, names.name[i], &b, NULL) != 0 || slice_is(buf_view(&b), "comp"))
			continue;
		buf_reset(&b);
		whole = whole && store_blob_read(s, &d, &b, NULL) == 0;
	}
	ok(names.n > 20 && whole, "I1: after 25 kills every one of %zu blobs is whole", names.n);
	at_names_clear(&names);

	AUTO(fd_closep) int layers_dir = at_open_store(s->fd, "layers/r", O_RDONLY | O_DIRECTORY, 0, NULL);
	size_t good = 0;
	at_list(layers_dir, &names, NULL);
	for (size_t i = 0; i < names.n; i++) {
		struct layer_meta m;
		struct digest d;

		digest_parse_hex(slice_of(names.name[i]), &d);
		good += store_layer_find(s, &d, &m, NULL) == 0;
	}
	/* layers() left one without meta.json. */
	ok(good + 1 >= names.n && good > 10, "I2: and every one of %zu layers", names.n);
	at_names_clear(&names);
	ok(tmpstore_count(s, "tmp") <= 1, "X6: the next start removes what the dead left in tmp/");
	store_close(s);
}

static void together(void)
{
	enum { N = 8, ROUNDS = 40 };
	pid_t pid[N];
	int failed = 0;

	for (int i = 0; i < N; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			struct store *s = tmpstore_open();
			int bad = 0;

			for (int j = 0; j < ROUNDS; j++) {
				AUTO(buf_freep) struct buf b = BUF_MAX(100);
				struct layer_meta m;
				struct digest d, l;
				char text[64];

				/* Everybody makes the same things. */
				snprintf(text, sizeof(text), "common %d", j);
				bad += store_blob_put(s, slice_of(text), &d, NULL) != 0;
				bad += store_blob_read(s, &d, &b, NULL) != 0;
				l = tmpstore_layer(s, text, 7);
				bad += store_layer_find(s, &l, &m, NULL) != 0;
				bad += store_listing_find(s, &l, NULL) != 0;
			}
			store_close(s);
			_exit(bad != 0);
		}
	}
	for (int i = 0; i < N; i++) {
		int status = 0;

		waitpid(pid[i], &status, 0);
		failed += status != 0;
	}
	is_int(failed, 0, "L5: eight processes making the same objects all succeed");
}

int main(void)
{
	opening();
	blobs();
	layers();
	infos();
	small_things();
	syncing();
	killed();
	together();
	tmpstore_remove();
	return done_testing();
}
