/* base/tmp.c - a file that appears whole or not at all. */
#include "base/tmp.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int tmp_open(struct tmp *t, int dir, struct err **e)
{
	char id[33];

	at_random_name(id);
	snprintf(t->name, sizeof(t->name), ".tmp-%s", id);
	t->dir = dir;
	t->fd = openat(dir, t->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (t->fd < 0) {
		t->name[0] = '\0';
		return err_errno(e, ERR_HOST, errno, "cannot make a temporary file");
	}
	return 0;
}

/* 0, or -1 with errno. An existing name is EEXIST under TMP_KEEP. */
static int move(const struct tmp *t, int dir, const char *name, unsigned flags)
{
	if (!(flags & TMP_KEEP))
		return renameat(t->dir, t->name, dir, name);
	if (renameat2(t->dir, t->name, dir, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	/* A file system without it: a hard link does not replace either. */
	if (linkat(t->dir, t->name, dir, name, 0) < 0)
		return -1;
	return unlinkat(t->dir, t->name, 0);
}

int tmp_commit(struct tmp *t, int to_dir, const char *name, unsigned flags, mode_t mode, struct err **e)
{
	const char *slash = strrchr(name, '/');
	const char *last = slash ? slash + 1 : name;
	AUTO(mem_freep) char *above = mem_strn(name, slash ? (size_t)(slash - name) : 0);
	AUTO(fd_closep) int dir = at_open_store(to_dir, above, O_RDONLY | O_DIRECTORY, 0, e);

	if (dir < 0)
		return err_wrap(e, "cannot write '%s'", name);
	if (fchmod(t->fd, mode) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot set the mode of '%s'", name);
	if (flags & TMP_SYNC && fsync(t->fd) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot write '%s' to disk", name);
	if (fd_close(&t->fd, name, e) < 0)
		return -1;

	if (move(t, dir, last, flags) == 0)
		t->name[0] = '\0';
	else if (!(flags & TMP_KEEP) || errno != EEXIST)
		return err_errno(e, ERR_HOST, errno, "cannot write '%s'", name);
	else
		tmp_rollback(t);
	if (flags & TMP_SYNC && fsync(dir) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot write the directory of '%s' to disk", name);
	return 0;
}

void tmp_rollback(struct tmp *t)
{
	fd_closep(&t->fd);
	/* Failing, it leaves a file that nobody reads and gc removes. */
	if (t->name[0])
		unlinkat(t->dir, t->name, 0);
	t->name[0] = '\0';
}
