/* tests/unit/full.c - a store on a full disk stays whole, and is good again when there is room (F2, F3, L4). */
#include "cache/gc.h"
#include "cache/steps.h"
#include "tests/unit/tmpstore.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <time.h>

static bool write_proc(const char *path, const char *text)
{
	AUTO(fd_closep) int fd = openat(AT_FDCWD, path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && fd_write_all(fd, text, strlen(text), NULL) == 0;
}

/* A tmpfs of 2 MiB over the store's directory, in namespaces of our own. False: not allowed here. */
static bool small_disk(void)
{
	AUTO(mem_freep) char *uids = mem_printf("0 %u 1", (unsigned)geteuid());
	AUTO(mem_freep) char *gids = mem_printf("0 %u 1", (unsigned)getegid());

	return mkdtemp(tmpstore_root) && unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
	       write_proc("/proc/self/uid_map", uids) && write_proc("/proc/self/setgroups", "deny") &&
	       write_proc("/proc/self/gid_map", gids) &&
	       mount("tmpfs", tmpstore_root, "tmpfs", MS_NOSUID | MS_NODEV, "size=2m,mode=0700") == 0;
}

static void fill(int dir)
{
	static const char zeros[4096];
	AUTO(fd_closep) int fd = openat(dir, "ballast", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	while (fd >= 0 && write(fd, zeros, sizeof(zeros)) == (ssize_t)sizeof(zeros))
		;
}

int main(void)
{
	if (!small_disk()) {
		ok(true, "no user and mount namespace to make a small disk in # SKIP");
		rmdir(tmpstore_root);
		return done_testing();
	}
	struct store *s = tmpstore_open();
	AUTO(err_freep) struct err *e = NULL;
	struct digest first, d, diff, key = tmpstore_digest("key");
	struct step_record r = { .empty = true }, got;
	struct layer_meta m;
	char dir[80], text[64];

	store_blob_put(s, slice_of("first"), &first, NULL);
	diff = tmpstore_layer(s, "layer", 5);
	size_t tmps = tmpstore_count(s, "tmp");
	fill(s->fd);

	ok(store_blob_put(s, slice_of("second"), &d, &e) < 0 && err_kind(e) == ERR_HOST && err_errnum(e) == ENOSPC,
	   "F2: a blob on a full disk is an error");
	struct buf message = BUF_MAX(4096);
	err_print(e, &message);
	ok(strstr(message.p, tmpstore_root) && strstr(message.p, "kiln prune"), "that names the place and the remedy");
	buf_free(&message);
	ok(steps_save(s, &key, NULL, NULL, SLICE_LIT("slot"), &r, NULL) < 0, "so is a record");
	int64_t size = 0;
	d = tmpstore_digest("second");
	is_int(store_blob_find(s, &d, &size, NULL), STORE_MISS, "no partial blob is visible");
	is_int(steps_find(s, &key, &got, NULL), STEPS_MISS, "nor a record");
	ok(store_blob_find(s, &first, &size, NULL) == 0 && store_layer_find(s, &diff, &m, NULL) == 0, "what was there is there");
	ok(tmpstore_count(s, "tmp") == tmps, "nothing is left behind");

	/* Everything is unpinned and old; the sweep itself gets no new block. */
	store_close(s);
	s = tmpstore_open();
	int blobs = at_open_store(s->fd, "blobs/sha256", O_RDONLY | O_DIRECTORY, 0, NULL);
	struct at_names names = { 0 };
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	at_list(blobs, &names, NULL);
	for (size_t i = 0; i < names.n; i++)
		utimensat(blobs, names.name[i], old, 0);
	at_names_clear(&names);
	close(blobs);
	struct gc_policy all = { .all = true };
	struct gc_result freed;
	err_freep(&e);
	ok(gc_run(s, &all, &freed, &e) == 0 && freed.blobs == 1 && freed.layers == 1, "L4: gc works on a full disk");

	at_unlink(s->fd, "ballast", NULL);
	is_int(store_blob_put(s, slice_of("second"), &d, NULL), 0, "F3: with room again the same works");
	is_int(steps_save(s, &key, NULL, NULL, SLICE_LIT("slot"), &r, NULL), 0, "all of it");

	/* Ever fuller: each call succeeds or leaves no trace. */
	int bad = 0;
	for (int i = 0; i < 400; i++) {
		snprintf(text, sizeof(text), "%d", i);
		AUTO(mem_freep) char *big = mem_zalloc(8192);
		memcpy(big, text, strlen(text));
		int rc = store_blob_put(s, (struct slice){ big, 8192 }, &d, NULL);
		digest_of(big, 8192, &d);
		bad += (store_blob_find(s, &d, &size, NULL) == 0) != (rc == 0);
		bad += rc == 0 && size != 8192;
		if (store_tmp(s, dir, NULL) == 0)
			store_tmp_drop(s, dir);
	}
	is_int(bad, 0, "400 blobs on a disk for 250: each is there or not at all");
	store_close(s);
	umount2(tmpstore_root, MNT_DETACH);
	rmdir(tmpstore_root);
	return done_testing();
}
