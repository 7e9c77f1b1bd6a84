/* build/exec/seed.c - a copy of a tree, for the first content of a cache mount (spec/dockerfile.md 8.6, from=).
 *
 * Both sides are ours while it runs: the source is a read-only mount of frozen layers, the destination has no name anybody knows.
 * Everything goes through descriptors and single components, and no link is followed. What a cache needs is copied: files,
 * directories and links with owner, mode and time; devices, pipes and extended attributes are left out.
 */
#include "build/exec/box.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 256, BLOCK = 256 << 10 };

static int seed_attrs(int fd, const struct stat *st, struct err **e)
{
	const struct timespec times[] = { { .tv_nsec = UTIME_OMIT }, st->st_mtim };

	if (fchown(fd, st->st_uid, st->st_gid) < 0 || fchmod(fd, st->st_mode & 07777) < 0 || futimens(fd, times) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot set owner, mode and time");
	return 0;
}

static int seed_bytes(int in, int out, struct err **e)
{
	AUTO(mem_freep) char *block = mem_alloc(BLOCK);
	ssize_t n;

	while ((n = fd_read(in, block, BLOCK, e)) > 0) {
		if (fd_write_all(out, block, (size_t)n, e) < 0)
			return -1;
	}
	return n < 0 ? -1 : 0;
}

static int seed_file(int from, int to, const char *name, const struct stat *st, struct err **e)
{
	AUTO(fd_closep) int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	AUTO(fd_closep) int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (in < 0 || out < 0)
		return err_errno(e, ERR_HOST, errno, "cannot copy '%s'", name);
	if (seed_bytes(in, out, e) < 0 || seed_attrs(out, st, e) < 0)
		return err_wrap(e, "cannot copy '%s'", name);
	return 0;
}

static int seed_link(int from, int to, const char *name, const struct stat *st, struct err **e)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(8192);

	if (at_readlink(from, name, &text, e) < 0)
		return -1;
	if (symlinkat(text.p, to, name) < 0 || fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot copy the link '%s'", name);
	return 0;
}

static int seed_dir(int from, int to, unsigned depth, struct err **e);

static int seed_one(int from, int to, const char *name, unsigned depth, struct err **e)
{
	AUTO(fd_closep) int in = -1;
	AUTO(fd_closep) int out = -1;
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot look at '%s'", name);
	if (S_ISREG(st.st_mode))
		return seed_file(from, to, name, &st, e);
	if (S_ISLNK(st.st_mode))
		return seed_link(from, to, name, &st, e);
	if (!S_ISDIR(st.st_mode))
		return 0;
	if (mkdirat(to, name, 0700) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot make '%s'", name);
	in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (in < 0 || out < 0)
		return err_errno(e, ERR_HOST, errno, "cannot open '%s'", name);
	return seed_dir(in, out, depth + 1, e) < 0 ? err_wrap(e, "in '%s'", name) : 0;
}

static int seed_dir(int from, int to, unsigned depth, struct err **e)
{
	struct at_names names;
	struct stat st;
	int rc = 0;

	if (depth > DEPTH_MAX)
		return err_set(e, ERR_LIMIT, "directories are nested deeper than %d", DEPTH_MAX);
	if (fstat(from, &st) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot look at a directory");
	if (at_list(from, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n && rc == 0; i++)
		rc = seed_one(from, to, names.name[i], depth, e);
	at_names_clear(&names);
	return rc < 0 ? -1 : seed_attrs(to, &st, e);
}

int seed_copy(int from, int to, struct err **e)
{
	return seed_dir(from, to, 0, e);
}
