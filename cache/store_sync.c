/* cache/store_sync.c - the one sync of a build (spec/oci.md 7.4, T7): beside export and push, before the first ref. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/tmp.h"
#include "cache/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int store_commit_begins(struct store *s, struct err **e)
{
	s->dirty = true;
	if (!*s->boot && syncfs(s->fd) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot write the store '%s' to disk", s->path);
	return 0;
}

bool store_dirty(const struct store *s)
{
	return s->dirty;
}

/* The pages that failed are forgotten by the kernel: asking again would look like success (F1). */
static int sync_error(const struct store *s, struct err **e)
{
	return err_errno(e, ERR_HOST, s->sync_failed, "cannot write the store '%s' to disk", s->path);
}

/* Ends with its parent, and holds nothing of it but the store: least of all the locks of its lease and jobs (X6, L7), for a sync takes long. */
static void sync_child(const struct store *s, pid_t parent) __attribute__((noreturn));
static void sync_child(const struct store *s, pid_t parent)
{
	unsigned fd = (unsigned)s->fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EIO);
	/* Kernels before 5.9 do not know the call: there the locks last as long as the sync. */
	if (fd > 0)
		syscall(SYS_close_range, 0U, fd - 1, 0U);
	syscall(SYS_close_range, fd + 1, ~0U, 0U);
	_exit(syncfs(s->fd) < 0 ? errno & 0x7f : 0);
}

int store_sync_start(struct store *s, struct err **e)
{
	pid_t self = getpid();

	if (!s->dirty || s->syncing)
		return 0;
	if (s->sync_failed)
		return sync_error(s, e);
	s->sync_from = clock_boot_ns();
	pid_t pid = fork();
	if (pid < 0)
		return err_errno(e, ERR_HOST, errno, "cannot start a process");
	if (pid == 0)
		sync_child(s, self);
	s->syncing = pid;
	s->dirty = false;
	return 0;
}

/* synced/<boot id> says up to when; never back. Two builds may race here: the earlier time costs a look, no more. */
static int note_synced(struct store *s, struct err **e)
{
	AUTO(tmp_rollback) struct tmp t = TMP_NONE;
	AUTO(buf_freep) struct buf old = BUF_MAX(32);
	AUTO(fd_closep) int fd = -1;
	struct lease *lease = NULL;
	uint64_t before = 0;
	char text[32];

	if (!*s->boot)
		return 0;
	AUTO(mem_freep) char *path = mem_printf("synced/%s", s->boot);
	int rc = at_try_store(s->fd, path, O_RDONLY, &fd, e);
	if (rc < 0)
		return -1;
	if (rc == 0 && fd_read_all(fd, &old, NULL) == 0 && slice_u64(slice_trim(buf_view(&old), "\n"), &before) &&
	    before >= (uint64_t)s->sync_from)
		return 0;

	if (store_lease(s, &lease, e) < 0)
		return -1;
	AUTO(mem_freep) char *scratch = mem_printf("tmp/%s", lease_id(lease));
	AUTO(fd_closep) int dir = at_open_store(s->fd, scratch, O_PATH | O_DIRECTORY, 0, e);
	int n = snprintf(text, sizeof(text), "%" PRId64 "\n", s->sync_from);
	if (dir < 0 || tmp_open(&t, dir, e) < 0 || fd_write_all(t.fd, text, (size_t)n, e) < 0)
		return -1;
	return tmp_commit(&t, s->fd, path, 0, 0600, e);
}

int store_sync_finish(struct store *s, struct err **e)
{
	int status = 0;
	pid_t pid = s->syncing;

	if (pid == 0)
		return 0;
	s->syncing = 0;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno(e, ERR_HOST, errno, "cannot wait for the store to be written");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		s->dirty = true;
		s->sync_failed = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
		return sync_error(s, e);
	}
	if (note_synced(s, e) < 0)
		return err_wrap(e, "cannot note that the store '%s' is on disk", s->path);
	return 0;
}

int store_sync_wait(struct store *s, struct err **e)
{
	if (store_sync_finish(s, e) < 0)
		return -1;
	/* What was committed while the first one ran, such as the config of the image: little, so this is short. */
	return store_sync_start(s, e) < 0 || store_sync_finish(s, e) < 0 ? -1 : 0;
}
