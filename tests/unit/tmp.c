/* tests/unit/tmp.c - a file appears whole or not at all. */
#include "base/tmp.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static size_t count(int dir)
{
	struct at_names n = { 0 };

	at_list(dir, &n, NULL);
	size_t got = n.n;
	at_names_clear(&n);
	return got;
}

static int put(int dir, const char *name, const char *text, unsigned flags, struct err **e)
{
	AUTO(tmp_rollback) struct tmp t = TMP_NONE;

	if (tmp_open(&t, dir, e) < 0 || fd_write_all(t.fd, text, strlen(text), e) < 0)
		return -1;
	return tmp_commit(&t, dir, name, flags, 0444, e);
}

static void content_is(int dir, const char *path, const char *want, const char *name)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(100);

	at_read(dir, path, &b, NULL);
	is_str(b.p, want, name);
}

int main(void)
{
	char path[] = "/tmp/kiln-unit-tmp-XXXXXX";
	AUTO(err_freep) struct err *e = NULL;
	struct stat st;

	if (!mkdtemp(path))
		return 1;
	AUTO(fd_closep) int dir = openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	{
		AUTO(tmp_rollback) struct tmp t = TMP_NONE;
		is_int(tmp_open(&t, dir, &e), 0, "a temporary file is made");
		ok(fstat(t.fd, &st) == 0 && (st.st_mode & 07777) == 0600, "private");
		is_int((long long)count(dir), 1, "under some name");
	}
	is_int((long long)count(dir), 0, "and is gone when it was not committed");

	is_int(put(dir, "a", "one", TMP_SYNC, &e), 0, "commit");
	content_is(dir, "a", "one", "the content is there");
	ok(at_stat(dir, "a", &st, NULL) == 0 && (st.st_mode & 07777) == 0444, "with the mode asked for");
	is_int(put(dir, "a", "two", 0, &e), 0, "commit over it");
	content_is(dir, "a", "two", "replaces");
	is_int(put(dir, "a", "three", TMP_KEEP, &e), 0, "commit that keeps an existing file");
	content_is(dir, "a", "two", "keeps it");
	is_int((long long)count(dir), 1, "and leaves nothing else behind");

	at_mkdir(dir, "sub", 0700, NULL);
	is_int(put(dir, "sub/b", "deep", TMP_KEEP | TMP_SYNC, &e), 0, "a store path as target");
	content_is(dir, "sub/b", "deep", "works");
	ok(put(dir, "../x", "evil", 0, NULL) < 0, "a path out of the directory is refused");
	ok(symlinkat("..", dir, "link") == 0 && put(dir, "link/x", "evil", 0, NULL) < 0, "so is one through a link");
	ok(put(dir, "none/x", "lost", 0, NULL) < 0, "a missing directory is an error");
	is_int((long long)count(dir), 3, "failures leave nothing behind");

	AUTO(fd_closep) int above = openat(AT_FDCWD, "/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	is_int(at_rmtree(above, path + 5, &e), 0, "clean up");
	return done_testing();
}
