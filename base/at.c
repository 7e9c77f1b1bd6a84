/* base/at.c - resolving paths below a root fd. Trees are removed in rmtree.c. */
#define BANNED_ALLOW_OPEN
#include "base/at.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { AGAIN_MAX = 128, NAMES_MAX = 1 << 30, LINK_MAX_BYTES = 4096 };

#define IN_ROOT (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
#define BENEATH (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)

static bool is_root_path(const char *path)
{
	return path[strspn(path, "/")] == '\0';
}

/* The fd, or -1 with errno. */
static int resolve(int root, const char *path, int flags, mode_t mode, uint64_t how_to)
{
	bool makes = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE;
	struct open_how how = {
		.flags = (uint64_t)(unsigned)flags | O_CLOEXEC | (flags & O_PATH ? 0 : O_NOCTTY),
		.mode = makes ? mode & 07777 : 0,             /* refused where it means nothing */
		.resolve = how_to,
	};

	/* EAGAIN: a rename anywhere on the system raced with a step through ".." (P2). */
	for (int i = 0; i < AGAIN_MAX; i++) {
		long fd = syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof(how));

		if (fd >= 0)
			return (int)fd;
		if (errno != EAGAIN && errno != EINTR)
			return -1;
	}
	errno = EAGAIN;
	return -1;
}

static int open_error(const char *path, struct err **e)
{
	int errnum = errno;
	bool fresh = e && !*e;

	err_errno(e, ERR_HOST, errnum, "cannot open '%s'", path);
	if (fresh && errnum == ENOSYS)
		err_hint(e, "use Linux 5.6 or later: this kernel, or the sandbox around us, does not know openat2");
	return -1;
}

static int try_resolve(int root, const char *path, int flags, uint64_t how_to, int *ret, struct err **e)
{
	int fd = resolve(root, path, flags, 0, how_to);

	*ret = fd;
	if (fd >= 0)
		return 0;
	return errno == ENOENT || errno == ENOTDIR ? AT_MISSING : open_error(path, e);
}

int at_open(int root, const char *path, int flags, mode_t mode, struct err **e)
{
	int fd = resolve(root, path, flags, mode, IN_ROOT);

	return fd >= 0 ? fd : open_error(path, e);
}

int at_open_store(int root, const char *path, int flags, mode_t mode, struct err **e)
{
	int fd = resolve(root, path, flags, mode, BENEATH);

	return fd >= 0 ? fd : open_error(path, e);
}

int at_try(int root, const char *path, int flags, int *ret, struct err **e)
{
	return try_resolve(root, path, flags, IN_ROOT, ret, e);
}

int at_try_store(int root, const char *path, int flags, int *ret, struct err **e)
{
	return try_resolve(root, path, flags, BENEATH, ret, e);
}

int at_open_file(int root, const char *path, int *ret, struct stat *st, struct err **e)
{
	AUTO(fd_closep) int probe = -1;
	struct stat before, after;

	/* Opening a device can already do something, so look first without opening (P7). */
	int rc = at_try(root, path, O_PATH, &probe, e);
	if (rc != 0)
		return rc;
	if (fstat(probe, &before) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot look at '%s'", path);
	if (!S_ISREG(before.st_mode))
		return err_set(e, ERR_HOST, "'%s' is not a regular file", path);

	AUTO(fd_closep) int fd = -1;
	rc = at_try(root, path, O_RDONLY | O_NONBLOCK, &fd, e);
	if (rc != 0)
		return rc;
	if (fstat(fd, &after) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot look at '%s'", path);
	if (!S_ISREG(after.st_mode) || before.st_dev != after.st_dev || before.st_ino != after.st_ino)
		return err_set(e, ERR_HOST, "'%s' was replaced while it was opened", path);

	if (st)
		*st = after;
	*ret = fd_take(&fd);
	return 0;
}

int at_read(int root, const char *path, struct buf *out, struct err **e)
{
	AUTO(fd_closep) int fd = -1;

	int rc = at_open_file(root, path, &fd, NULL, e);
	if (rc != 0)
		return rc;
	return fd_read_all(fd, out, e) < 0 ? err_wrap(e, "cannot read '%s'", path) : 0;
}

int at_parent(int root, const char *path, int *ret_dir, const char **ret_name, struct err **e)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	if (is_root_path(path) || strcmp(path, ".") == 0) {
		name = path + strlen(path);
		slash = NULL;
	} else if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		return err_errno(e, ERR_HOST, EINVAL, "path '%s' does not end in a name", path);
	}

	AUTO(mem_freep) char *above = mem_strn(path, slash ? (size_t)(slash - path) : 0);
	AUTO(fd_closep) int dir = -1;
	int rc = at_try(root, above, O_PATH | O_DIRECTORY, &dir, e);
	if (rc != 0)
		return rc;
	*ret_dir = fd_take(&dir);
	*ret_name = name;
	return 0;
}

/* mkdirat obeys the umask, and a set-group-ID parent adds its bit: the mode is set on the new directory's fd. */
int at_mkdir(int dir, const char *name, mode_t mode, struct err **e)
{
	struct stat st;

	if (mkdirat(dir, name, 0700) < 0) {
		if (errno != EEXIST)
			return err_errno(e, ERR_HOST, errno, "cannot make directory '%s'", name);
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_errno(e, ERR_HOST, errno, "cannot look at '%s'", name);
		return S_ISDIR(st.st_mode) ? 0
					   : err_errno(e, ERR_HOST, ENOTDIR, "cannot make directory '%s'", name);
	}
	AUTO(fd_closep) int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchmod(fd, mode & 07777) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot set the mode of '%s'", name);
	return 0;
}

int at_mkdirs(int root, const char *path, mode_t mode, struct err **e)
{
	AUTO(fd_closep) int whole = -1;
	AUTO(mem_freep) char *part = mem_str(path);

	int rc = at_try(root, path, O_PATH | O_DIRECTORY, &whole, e);
	if (rc <= 0)
		return rc;

	for (char *at = part + strspn(part, "/"); *at;) {
		AUTO(fd_closep) int dir = -1;
		const char *name = "";
		char *end = at + strcspn(at, "/");
		char *next = end + strspn(end, "/");
		char kept = *end;

		*end = '\0';
		rc = at_try(root, part, O_PATH | O_DIRECTORY, &dir, e);
		if (rc < 0)
			return -1;
		if (rc == AT_MISSING) {
			rc = at_parent(root, part, &dir, &name, e);
			if (rc == AT_MISSING)
				err_errno(e, ERR_HOST, ENOTDIR, "cannot make directory '%s'", part);
			if (rc != 0 || at_mkdir(dir, name, mode, e) < 0)
				return err_wrap(e, "cannot make directory '%s'", path);
		}
		*end = kept;
		at = next;
	}
	return 0;
}

int at_stat(int dir, const char *name, struct stat *st, struct err **e)
{
	if (fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH)) == 0)
		return 0;
	if (errno == ENOENT || errno == ENOTDIR)
		return AT_MISSING;
	return err_errno(e, ERR_HOST, errno, "cannot look at '%s'", name);
}

int at_unlink(int dir, const char *name, struct err **e)
{
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return err_errno(e, ERR_HOST, errno, "cannot remove '%s'", name);
	return 0;
}

int at_rename(int from_dir, const char *from, int to_dir, const char *to, unsigned flags, struct err **e)
{
	if (renameat2(from_dir, from, to_dir, to, flags) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot rename '%s' to '%s'", from, to);
	return 0;
}

int at_readlink(int dir, const char *name, struct buf *out, struct err **e)
{
	char target[LINK_MAX_BYTES + 1];
	ssize_t n = readlinkat(dir, name, target, sizeof(target));

	if (n < 0)
		return err_errno(e, ERR_HOST, errno, "cannot read the link '%s'", name);
	if ((size_t)n == sizeof(target))
		return err_errno(e, ERR_HOST, ENAMETOOLONG, "cannot read the link '%s'", name);
	buf_add(out, target, (size_t)n);
	return buf_ok(out, "link target", e);
}

static void dir_closep(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* A DIR of its own position. "." needs search permission, which a mode 0444 directory lacks; then its own
 * open file is shared, rewound. */
static DIR *dir_again(int dir)
{
	AUTO(fd_closep) int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == EACCES)
		fd = fcntl(dir, F_DUPFD_CLOEXEC, 3);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (d) {
		fd_take(&fd);
		rewinddir(d);
	}
	return d;
}

struct named {
	const char *name;
	unsigned char type;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

/* bytes: for each entry its type, then its name and NUL. */
static void fill_names(struct at_names *names, char *bytes, size_t n)
{
	AUTO(mem_freep) struct named *sorted = mem_array(n, sizeof(*sorted));
	char *at = bytes;

	for (size_t i = 0; i < n; i++) {
		sorted[i] = (struct named){ .type = (unsigned char)*at, .name = at + 1 };
		at += strlen(at + 1) + 2;
	}
	qsort(sorted, n, sizeof(*sorted), by_name);

	names->bytes = bytes;
	names->n = n;
	names->name = mem_array(n, sizeof(*names->name));
	names->type = mem_array(n, 1);
	for (size_t i = 0; i < n; i++) {
		names->name[i] = bytes + (sorted[i].name - bytes);
		names->type[i] = sorted[i].type;
	}
}

int at_list(int dir, struct at_names *ret, struct err **e)
{
	AUTO(dir_closep) DIR *d = dir_again(dir);
	AUTO(buf_freep) struct buf bytes = BUF_MAX(NAMES_MAX);
	size_t n = 0;

	if (!d)
		return err_errno(e, ERR_HOST, errno, "cannot list a directory");
	for (;;) {
		errno = 0;
		const struct dirent *ent = readdir(d);

		if (!ent && errno)
			return err_errno(e, ERR_HOST, errno, "cannot list a directory");
		if (!ent)
			break;
		if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
			continue;
		buf_char(&bytes, (char)ent->d_type);
		buf_add(&bytes, ent->d_name, strlen(ent->d_name) + 1);
		n++;
	}
	if (buf_ok(&bytes, "list of the names in a directory", e) < 0)
		return -1;
	fill_names(ret, buf_steal(&bytes), n);
	return 0;
}

void at_names_clear(struct at_names *n)
{
	free(n->name);
	free(n->type);
	free(n->bytes);
	*n = (struct at_names){ 0 };
}

void at_random_name(char ret[33])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char b[16];
	size_t have = 0;

	while (have < sizeof(b)) {
		ssize_t n = getrandom(b + have, sizeof(b) - have, 0);

		if (n > 0)
			have += (size_t)n;
		else if (n < 0 && errno != EINTR)
			abort();         /* every kernel with openat2 has it */
	}
	for (size_t i = 0; i < sizeof(b); i++) {
		ret[2 * i] = digits[b[i] >> 4];
		ret[2 * i + 1] = digits[b[i] & 15];
	}
	ret[32] = '\0';
}
