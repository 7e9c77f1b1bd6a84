/* cache/lease.c - pins of a running process, and the store lock. */
#include "cache/lease.h"
#include "base/at.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cache/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define LOCK_WAIT_NS (60 * (int64_t)1000000000)

struct lease {
	int store;               /* borrowed */
	int fd;                  /* leases/<id>, its flock is ours */
	char id[33];
	char **line;             /* sorted: what was pinned already */
	size_t n, cap;
};

int store_lock(int store, int how, int *ret_fd, struct err **e)
{
	AUTO(fd_closep) int fd = at_open_store(store, "lock", O_RDWR | O_CREAT, 0600, e);
	struct timespec pause = { .tv_nsec = 500000 };

	if (fd < 0)
		return err_wrap(e, "cannot open the store's lock");
	/* Holders leave after microseconds, a sweep after its renames; a stopped one must not stop everybody. */
	for (int64_t until = clock_ns() + LOCK_WAIT_NS; flock(fd, how | LOCK_NB) < 0;) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_errno(e, ERR_HOST, errno, "cannot lock the store");
		if (clock_ns() > until) {
			err_set(e, ERR_HOST, "the store was locked by another process for 60 seconds");
			return err_hint(e, "see which process has the file 'lock' of the store open, with 'fuser'");
		}
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 20000000)
			pause.tv_nsec *= 2;
	}
	*ret_fd = fd_take(&fd);
	return 0;
}

void store_unlock(int *fd)
{
	/* A child forked meanwhile shares the lock: closing alone would leave it locked. */
	if (*fd >= 0)
		flock(*fd, LOCK_UN);
	fd_closep(fd);
}

static void in_folder(char ret[48], const char *folder, const char *id)
{
	snprintf(ret, 48, "%s/%s", folder, id);
}

void lease_close(struct lease *l)
{
	char path[48];

	if (!l)
		return;
	in_folder(path, "tmp", l->id);
	unlinkat(l->store, path, AT_REMOVEDIR);
	in_folder(path, "leases", l->id);
	unlinkat(l->store, path, 0);
	fd_closep(&l->fd);
	for (size_t i = 0; i < l->n; i++)
		free(l->line[i]);
	free(l->line);
	free(l);
}

static void lease_closep(struct lease **l)
{
	lease_close(*l);
}

int lease_open(int store, struct lease **ret, struct err **e)
{
	AUTO(store_unlock) int lock = -1;
	AUTO(lease_closep) struct lease *l = mem_zalloc(sizeof(*l));
	char path[48];

	l->store = store;
	l->fd = -1;
	at_random_name(l->id);
	if (store_lock(store, LOCK_SH, &lock, e) < 0)
		return -1;

	in_folder(path, "leases", l->id);
	l->fd = at_open_store(store, path, O_RDWR | O_CREAT | O_EXCL | O_APPEND, 0600, e);
	if (l->fd < 0)
		return err_wrap(e, "cannot make a lease in the store");
	/* Waits at most for somebody who tries at this moment whether it is alive. */
	while (flock(l->fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return err_errno(e, ERR_HOST, errno, "cannot lock a lease of the store");
	in_folder(path, "tmp", l->id);
	AUTO(fd_closep) int tmp = at_open_store(store, "tmp", O_PATH | O_DIRECTORY, 0, e);
	if (tmp < 0 || at_mkdir(tmp, l->id, 0700, e) < 0)
		return err_wrap(e, "cannot make a temporary directory in the store");
	*ret = take(&l);
	return 0;
}

const char *lease_id(const struct lease *l)
{
	return l->id;
}

/* Where line is or belongs. */
static bool find(const struct lease *l, const char *line, size_t *ret)
{
	size_t from = 0, to = l->n;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		int c = strcmp(l->line[middle], line);

		if (c == 0) {
			*ret = middle;
			return true;
		}
		if (c < 0)
			from = middle + 1;
		else
			to = middle;
	}
	*ret = from;
	return false;
}

bool lease_pinned(const struct lease *l, const char *line)
{
	size_t at = 0;

	return find(l, line, &at);
}

int lease_pin(struct lease *l, const char *line, struct err **e)
{
	AUTO(store_unlock) int lock = -1;
	size_t at = 0;

	if (find(l, line, &at))
		return 0;
	if (store_lock(l->store, LOCK_SH, &lock, e) < 0)
		return -1;
	AUTO(mem_freep) char *text = mem_printf("%s\n", line);
	if (fd_write_all(l->fd, text, strlen(text), e) < 0)
		return err_wrap(e, "cannot write to a lease of the store");

	MEM_ROOM(l->line, l->n, l->cap);
	memmove(l->line + at + 1, l->line + at, (l->n - at) * sizeof(*l->line));
	l->line[at] = mem_str(line);
	l->n++;
	return 0;
}

bool lease_live(int store, const char *id)
{
	AUTO(fd_closep) int fd = -1;
	char path[48];

	if (strlen(id) != 32)
		return false;
	in_folder(path, "leases", id);
	int rc = at_try_store(store, path, O_RDONLY, &fd, NULL);
	if (rc == AT_MISSING)
		return false;
	/* What cannot be looked at is taken for alive: keeping garbage is the cheaper mistake. */
	return rc < 0 || flock(fd, LOCK_SH | LOCK_NB) < 0;
}

int lease_sweep(const struct store *s, bool dry_run, size_t *ret_tmps, struct err **e)
{
	static const char *const folders[] = { "tmp", "leases" };

	/* tmp/ first: its directories are judged by the leases. */
	for (size_t f = 0; f < countof(folders); f++) {
		AUTO(at_names_clear) struct at_names names = { 0 };
		AUTO(fd_closep) int dir = at_open_store(s->fd, folders[f], O_RDONLY | O_DIRECTORY, 0, e);

		if (dir < 0 || at_list(dir, &names, e) < 0)
			return -1;
		for (size_t i = 0; i < names.n; i++) {
			AUTO(mem_freep) char *path = mem_printf("%s/%s", folders[f], names.name[i]);

			if (lease_live(s->fd, names.name[i]))
				continue;
			if (f == 0 && ret_tmps)
				++*ret_tmps;
			if (dry_run)
				continue;
			if (f == 0 ? store_trash(s, path, NULL, e) < 0 : at_unlink(dir, names.name[i], e) < 0)
				return -1;
		}
	}
	return 0;
}
