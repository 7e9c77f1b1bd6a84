/* tests/unit/tmpstore.h - a store in a fresh directory, for the tests of cache/. */
#pragma once
#include "base/mem.h"
#include "cache/store_priv.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char tmpstore_root[] = "/tmp/kiln-unit-store-XXXXXX";

static inline struct store *tmpstore_open(void)
{
	struct store *s = NULL;
	struct err *e = NULL;

	if (strstr(tmpstore_root, "XXXXXX") && !mkdtemp(tmpstore_root))
		exit(1);
	if (store_open(tmpstore_root, &s, &e) < 0) {
		printf("# %s: %s\n", err_text(e), err_cause(e));
		exit(1);
	}
	return s;
}

static inline void tmpstore_remove(void)
{
	int tmp = openat(AT_FDCWD, "/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	at_rmtree(tmp, tmpstore_root + strlen("/tmp/"), NULL);
	close(tmp);
}

static inline struct digest tmpstore_digest(const char *s)
{
	struct digest d;

	digest_of(s, strlen(s), &d);
	return d;
}

static inline void tmpstore_write(struct store *s, const char *path, const char *text)
{
	int fd = at_open_store(s->fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0600, NULL);

	if (fd < 0 || fd_write_all(fd, text, strlen(text), NULL) < 0)
		exit(1);
	close(fd);
}

/* Names in a folder of the store. */
static inline size_t tmpstore_count(struct store *s, const char *folder)
{
	int fd = at_open_store(s->fd, folder, O_RDONLY | O_DIRECTORY, 0, NULL);
	struct at_names n = { 0 };

	if (fd < 0)
		return 0;
	at_list(fd, &n, NULL);
	size_t got = n.n;
	at_names_clear(&n);
	close(fd);
	return got;
}

/* A layer called `name` with one file, its listing, and its directory. */
static inline struct digest tmpstore_layer(struct store *s, const char *name, uint64_t bytes)
{
	struct digest d = tmpstore_digest(name);
	struct layer_meta m = { .diff = d, .bytes = bytes, .entries = 1, .made_here = true };
	char dir[80], path[128];

	store_tmp(s, dir, NULL);
	snprintf(path, sizeof(path), "%s/fs", dir);
	int fd = at_open_store(s->fd, dir, O_RDONLY | O_DIRECTORY, 0, NULL);
	at_mkdir(fd, "fs", 0755, NULL);
	close(fd);
	snprintf(path, sizeof(path), "%s/fs/file", dir);
	tmpstore_write(s, path, name);
	store_layer_commit(s, dir, &m, NULL);

	store_tmp(s, dir, NULL);
	snprintf(path, sizeof(path), "%s/listing", dir);
	tmpstore_write(s, path, name);
	store_listing_commit(s, path, &d, NULL);
	store_tmp_drop(s, dir);
	return d;
}

/* Pretend that a sealed document was committed by another boot. */
static inline void tmpstore_age(struct store *s, const char *path, const char *boot, int64_t at)
{
	struct jval *v = NULL;

	if (sealed_read(s, path, &v, NULL) != 0)
		exit(1);
	jval_del(v, "sum");
	jval_set_str(v, "boot", boot);
	jval_set_int(v, "at", at);
	sealed_write(s, path, v, 0, NULL);
	jval_free(v);
}

/* Flip one byte in the middle. */
static inline void tmpstore_bend(struct store *s, const char *path)
{
	int fd = at_open_store(s->fd, path, O_RDONLY, 0, NULL);
	struct stat st;
	char c = 0;

	if (fd < 0 || fstat(fd, &st) < 0 || fchmod(fd, 0600) < 0)
		exit(1);
	close(fd);
	fd = at_open_store(s->fd, path, O_RDWR, 0, NULL);
	if (pread(fd, &c, 1, st.st_size / 2) != 1)
		exit(1);
	c ^= 1;
	if (pwrite(fd, &c, 1, st.st_size / 2) != 1)
		exit(1);
	close(fd);
}
