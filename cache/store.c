/* cache/store.c - opening the local store, temporary directories, pins, locks of single objects. */
#include "cache/store.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/tmp.h"
#include "cache/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

static const char *const folders[] = {
	"blobs",   "blobs/sha256", "layers",      "listings",    "refs", "records", "last",  "cache", "info",
	"info/blob", "info/diff",  "info/source", "synced",      "stat", "leases",  "jobs",  "tmp",   "trash",
	"remotes",
};

/* ---- opening */

static char *default_path(struct err **e)
{
	const char *root = getenv("KILN_ROOT"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");

	if (root && *root)
		return mem_str(root);
	if (data && data[0] == '/')
		return mem_printf("%s/kiln", data);
	if (home && home[0] == '/')
		return mem_printf("%s/.local/share/kiln", home);
	err_set(e, ERR_HOST, "there is no place for the store: neither KILN_ROOT nor XDG_DATA_HOME nor HOME is set");
	err_hint(e, "set KILN_ROOT to a directory of yours on a local disk");
	return NULL;
}

/* The user's own path: its missing directories are made as mkdir -p does. */
static int make_path(const char *path, struct err **e)
{
	AUTO(mem_freep) char *part = mem_str(path);

	for (char *at = part + strspn(part, "/"); *at;) {
		char *end = at + strcspn(at, "/");
		char kept = *end;

		*end = '\0';
		if (mkdirat(AT_FDCWD, part, 0700) < 0 && errno != EEXIST)
			return err_errno(e, ERR_HOST, errno, "cannot make directory '%s'", part);
		*end = kept;
		at = end + strspn(end, "/");
	}
	return 0;
}

static int check_root(const struct store *s, struct stat *st, struct err **e)
{
	if (fstat(s->fd, st) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot look at the store '%s'", s->path);
	if (st->st_uid != geteuid()) {
		err_set(e, ERR_HOST, "the store '%s' belongs to user %u, not to you (%u)", s->path,
			(unsigned)st->st_uid, (unsigned)geteuid());
		return err_hint(e, "set KILN_ROOT to a directory of yours, or take it over with 'chown -R %u %s'",
				(unsigned)geteuid(), s->path);
	}
	/* Layers contain set-user-ID files and other people's secrets (T1). */
	if (st->st_mode & 077) {
		err_set(e, ERR_HOST, "the store '%s' is open to other users (mode %03o)", s->path,
			(unsigned)st->st_mode & 0777);
		return err_hint(e, "chmod 700 '%s'", s->path);
	}
	return 0;
}

/* A directory that is none of ours must not be filled with folders because of a mistyped option. */
static int check_empty(const struct store *s, struct err **e)
{
	AUTO(at_names_clear) struct at_names names = { 0 };

	if (at_list(s->fd, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++)
		/* "version": another process has made the store since we looked for it. */
		if (strcmp(names.name[i], "version") == 0)
			return 0;
	for (size_t i = 0; i < names.n; i++)
		if (strcmp(names.name[i], "lost+found") != 0 && !slice_starts(slice_of(names.name[i]), ".tmp-")) {
			err_set(e, ERR_HOST, "'%s' is no store of kiln: it has no file 'version', but '%s'", s->path,
				names.name[i]);
			return err_hint(e, "name an empty or new directory");
		}
	return 0;
}

static int check_version(const struct store *s, struct err **e)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(64);
	AUTO(fd_closep) int fd = -1;
	struct stat st;
	uint64_t version = 0;

	int rc = at_try_store(s->fd, "version", O_RDONLY | O_NONBLOCK, &fd, e);
	if (rc < 0)
		return -1;
	if (rc == AT_MISSING) {
		AUTO(tmp_rollback) struct tmp t = TMP_NONE;

		if (check_empty(s, e) < 0 || tmp_open(&t, s->fd, e) < 0 || fd_write_all(t.fd, "1\n", 2, e) < 0)
			return -1;
		return tmp_commit(&t, s->fd, "version", TMP_KEEP | TMP_SYNC, 0600, e);
	}
	if (fd_read_all(fd, &text, NULL) < 0 || !slice_u64(slice_trim(buf_view(&text), "\n"), &version))
		return err_set(e, ERR_HOST, "the store '%s' is damaged: its file 'version' holds no number", s->path);
	if (version != STORE_VERSION) {
		err_set(e, ERR_HOST, "the store '%s' has format %ju, this program knows format %d", s->path,
			(uintmax_t)version, STORE_VERSION);
		return err_hint(e, "use a newer kiln, or another store with KILN_ROOT");
	}
	/* Layers have names that differ in letter case only (oci.md 7.8). */
	if (fstatat(s->fd, "VERSION", &st, AT_SYMLINK_NOFOLLOW) == 0) {
		err_set(e, ERR_HOST, "the store '%s' is on a file system that ignores letter case", s->path);
		return err_hint(e, "set KILN_ROOT to a directory on another file system");
	}
	return 0;
}

static int check_folders(const struct store *s, dev_t dev, struct err **e)
{
	for (size_t i = 0; i < countof(folders); i++) {
		AUTO(fd_closep) int dir = -1;
		const char *name = NULL;
		struct stat st;

		if (store_parent(s, folders[i], &dir, &name, e) < 0)
			return -1;
		int rc = at_stat(dir, name, &st, e);
		if (rc < 0)
			return -1;
		if (rc == AT_MISSING && (at_mkdir(dir, name, 0700, e) < 0 || at_stat(dir, name, &st, e) != 0))
			return err_wrap(e, "cannot make the store '%s'", s->path);
		if (!S_ISDIR(st.st_mode))
			return err_set(e, ERR_HOST, "'%s/%s' is not a directory", s->path, folders[i]);
		if (st.st_dev != dev)
			return err_set(e, ERR_HOST,
				       "'%s/%s' is on another file system than the store: nothing could be renamed",
				       s->path, folders[i]);
	}
	return 0;
}

/* What a killed process left goes at the next start (X6), unless somebody is busy: then it can wait. */
static void sweep_leftovers(const struct store *s)
{
	AUTO(store_unlock) int lock = at_open_store(s->fd, "lock", O_RDWR | O_CREAT, 0600, NULL);

	if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0)
		lease_sweep(s, false, NULL, NULL);
}

static void store_closep(struct store **s)
{
	store_close(*s);
}

int store_open(const char *path, struct store **ret, struct err **e)
{
	AUTO(mem_freep) char *wanted = path ? mem_str(path) : default_path(e);
	struct stat st;

	if (!wanted)
		return -1;
	if (make_path(wanted, e) < 0)
		return err_wrap(e, "cannot make the store '%s'", wanted);

	AUTO(store_closep) struct store *s = mem_zalloc(sizeof(*s));
	s->fd = openat(AT_FDCWD, wanted, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	s->path = s->fd < 0 ? NULL : realpath(wanted, NULL);
	s->flavour = mem_str("r");
	if (!s->path)
		return err_errno(e, ERR_HOST, errno, "cannot open the store '%s'", wanted);
	clock_boot_id(s->boot);
	if (check_root(s, &st, e) < 0 || check_version(s, e) < 0 || check_folders(s, st.st_dev, e) < 0)
		return -1;
	s->read_only = faccessat(s->fd, "leases", W_OK, AT_EACCESS) < 0 && (errno == EROFS || errno == EACCES);
	if (!s->read_only)
		sweep_leftovers(s);
	*ret = take(&s);
	return 0;
}

static void drop_own_tmp(struct store *s)
{
	AUTO(at_names_clear) struct at_names names = { 0 };
	AUTO(mem_freep) char *own = mem_printf("tmp/%s", lease_id(s->lease));
	AUTO(fd_closep) int dir = at_open_store(s->fd, own, O_RDONLY | O_DIRECTORY, 0, NULL);

	if (dir < 0 || at_list(dir, &names, NULL) < 0)
		return;
	for (size_t i = 0; i < names.n; i++) {
		AUTO(mem_freep) char *path = mem_printf("%s/%s", own, names.name[i]);

		store_tmp_drop(s, path);
	}
}

void store_close(struct store *s)
{
	if (!s)
		return;
	store_sync_finish(s, NULL);
	if (s->lease)
		drop_own_tmp(s);
	lease_close(s->lease);
	fd_closep(&s->fd);
	free(s->flavour);
	free(s->path);
	free(s);
}

const char *store_path(const struct store *s)
{
	return s->path;
}

int store_fd(const struct store *s)
{
	return s->fd;
}

void store_flavour(struct store *s, const char *flavour)
{
	free(s->flavour);
	s->flavour = mem_str(flavour);
}

const char *store_flavour_get(const struct store *s)
{
	return s->flavour;
}

/* ---- paths, temporary directories, trash */

int store_lease(struct store *s, struct lease **ret, struct err **e)
{
	if (s->read_only) {
		err_set(e, ERR_HOST, "the store '%s' is read-only", s->path);
		return err_hint(e, "make it writable, or set KILN_ROOT to another directory");
	}
	if (!s->lease && lease_open(s->fd, &s->lease, e) < 0)
		return err_wrap(e, "cannot use the store '%s'", s->path);
	*ret = s->lease;
	return 0;
}

int store_parent(const struct store *s, const char *path, int *ret_dir, const char **ret_name, struct err **e)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	AUTO(mem_freep) char *above = mem_strn(path, slash ? (size_t)(slash - path) : 0);

	/* Beneath the root is not enough: dots could make one object out of another. */
	if (!*name || strcmp(name, ".") == 0 || strstr(path, ".."))
		return err_set(e, ERR_BUG, "'%s' is no path of an object", path);
	AUTO(fd_closep) int dir = at_open_store(s->fd, above, O_PATH | O_DIRECTORY, 0, e);
	if (dir < 0)
		return -1;
	*ret_dir = fd_take(&dir);
	*ret_name = name;
	return 0;
}

int store_make_parent(const struct store *s, const char *path, struct err **e)
{
	const char *slash = strrchr(path, '/');
	AUTO(mem_freep) char *above = mem_strn(path, slash ? (size_t)(slash - path) : 0);
	AUTO(fd_closep) int dir = -1;
	const char *name = NULL;

	return store_parent(s, above, &dir, &name, e) < 0 ? -1 : at_mkdir(dir, name, 0700, e);
}

int store_scratch(struct store *s, struct err **e)
{
	struct lease *lease = NULL;

	if (store_lease(s, &lease, e) < 0)
		return -1;
	AUTO(mem_freep) char *path = mem_printf("tmp/%s", lease_id(lease));
	return at_open_store(s->fd, path, O_RDONLY | O_DIRECTORY, 0, e);
}

int store_tmp(struct store *s, char ret_path[80], struct err **e)
{
	struct lease *lease = NULL;

	if (store_lease(s, &lease, e) < 0)
		return -1;
	AUTO(fd_closep) int dir = -1;
	const char *name = NULL;
	char path[80];
	snprintf(path, sizeof(path), "tmp/%s/%ju", lease_id(lease), (uintmax_t)s->ntmp++);
	if (store_parent(s, path, &dir, &name, e) < 0 || at_mkdir(dir, name, 0700, e) < 0)
		return err_wrap(e, "cannot make a temporary directory in the store '%s'", s->path);
	memcpy(ret_path, path, sizeof(path));
	return 0;
}

enum { SMALL_DEPTH = 6, SMALL_MOST = 32 };

/* Removes what holds few things that are this user's own; false when it does not. *left: of them. */
static bool remove_small(int parent, const char *name, unsigned depth, size_t *left)
{
	AUTO(at_names_clear) struct at_names names = { 0 };

	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT || unlinkat(parent, name, AT_REMOVEDIR) == 0)
		return true;
	AUTO(fd_closep) int dir = depth == 0 ? -1 : openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || at_list(dir, &names, NULL) < 0 || names.n > *left)
		return false;
	*left -= names.n;
	for (size_t i = 0; i < names.n; i++)
		if (!remove_small(dir, names.name[i], depth - 1, left))
			return false;
	return unlinkat(parent, name, AT_REMOVEDIR) == 0;
}

void store_tmp_drop(struct store *s, const char *path)
{
	AUTO(fd_closep) int dir = -1;
	const char *name = NULL;
	size_t left = SMALL_MOST;

	/* The usual cases, a packer's directory and what the roots of all steps shared, cost no trip through trash/. */
	if (store_parent(s, path, &dir, &name, NULL) == 0 && !remove_small(dir, name, SMALL_DEPTH, &left))
		store_trash(s, path, NULL, NULL);
}

int store_trash(const struct store *s, const char *path, bool *tree, struct err **e)
{
	AUTO(fd_closep) int dir = -1;
	const char *name = NULL;
	struct stat st;
	char to[33];

	if (store_parent(s, path, &dir, &name, e) < 0)
		return -1;
	int rc = at_stat(dir, name, &st, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (tree)
		*tree = S_ISDIR(st.st_mode);

	AUTO(fd_closep) int trash = at_open_store(s->fd, "trash", O_PATH | O_DIRECTORY, 0, e);
	if (trash < 0)
		return -1;
	at_random_name(to);
	if (renameat(dir, name, trash, to) == 0 || errno == ENOENT)
		return 0;
	/* A full disk may have no room for a longer directory: removing a file needs none (L4, F5). */
	if (!S_ISDIR(st.st_mode) && unlinkat(dir, name, 0) == 0)
		return 0;
	return err_errno(e, ERR_HOST, errno, "cannot remove '%s/%s'", s->path, path);
}

bool store_has_trash(const struct store *s)
{
	AUTO(fd_closep) int dir = at_open_store(s->fd, "trash", O_RDONLY | O_DIRECTORY, 0, NULL);
	struct at_names names = { 0 };
	bool has = dir >= 0 && at_list(dir, &names, NULL) == 0 && names.n;

	at_names_clear(&names);
	return has;
}

/* ---- pins */

static void pin_line(const struct store *s, enum pin_kind kind, const struct digest *d, char line[256])
{
	char hex[DIGEST_HEX + 1];

	digest_hex(d, hex);
	switch (kind) {
	case PIN_BLOB:
		snprintf(line, 256, "blob sha256:%s", hex);
		break;
	case PIN_LAYER:
		snprintf(line, 256, "layer %s %s", s->flavour, hex);
		break;
	case PIN_LISTING:
		snprintf(line, 256, "listing %s", hex);
		break;
	}
}

bool store_pinned(const struct store *s, enum pin_kind kind, const struct digest *d)
{
	char line[256];

	pin_line(s, kind, d, line);
	return s->lease && lease_pinned(s->lease, line);
}

int store_pin(struct store *s, enum pin_kind kind, const struct digest *d, struct err **e)
{
	struct lease *lease = NULL;
	char line[256];

	if (s->read_only)
		return 0;
	pin_line(s, kind, d, line);
	if (store_lease(s, &lease, e) < 0)
		return -1;
	return lease_pin(lease, line, e);
}

/* ---- cache mounts */

void store_cache_path(const char *id, char ret[80])
{
	char hex[DIGEST_HEX + 1];
	struct digest d;

	digest_of(id, strlen(id), &d);
	digest_hex(&d, hex);
	snprintf(ret, 80, "cache/%s", hex);
}

/* ---- single flight */

int store_job_lock(struct store *s, const char *name, int *ret_fd, struct err **e)
{
	char hex[DIGEST_HEX + 1], pid[32];
	struct digest d;
	struct stat held, named;

	/* Hashed: a key or a reference would be no safe file name (P11). */
	digest_of(name, strlen(name), &d);
	digest_hex(&d, hex);
	AUTO(fd_closep) int dir = at_open_store(s->fd, "jobs", O_PATH | O_DIRECTORY, 0, e);
	if (dir < 0)
		return -1;
	for (;;) {
		AUTO(fd_closep) int fd = openat(dir, hex, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

		if (fd < 0)
			return err_errno(e, ERR_HOST, errno, "cannot make the lock of '%s'", name);
		int rc = flock(fd, LOCK_EX | LOCK_NB);
		if (rc < 0 && errno == EINTR)
			continue;
		if (rc < 0 && errno != EWOULDBLOCK)
			return err_errno(e, ERR_HOST, errno, "cannot lock '%s'", name);
		/* gc may have removed the name between open and flock: a lock nobody else can find is none. */
		if (rc == 0 && (fstat(fd, &held) < 0 || fstatat(dir, hex, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
				held.st_ino != named.st_ino))
			continue;
		if (rc == 0) {
			int n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
			/* Only shown to who waits: without it the lock is as good. */
			if (ftruncate(fd, 0) == 0 && pwrite(fd, pid, (size_t)n, 0) < 0)
				errno = 0;
		}
		*ret_fd = fd_take(&fd);
		return rc == 0 ? 0 : STORE_MISS;
	}
}

void store_job_unlock(int *fd)
{
	if (*fd >= 0)
		flock(*fd, LOCK_UN);
	fd_closep(fd);
}
