/* build/cgroup_leaf.c - the cgroup of one RUN: made with its limits before the start, asked and removed when its job is gone (executor.md 10.4).
 *
 * The main process does it, because the worker is in a namespace of cgroups already, and process 1 has to be moved by a descriptor that
 * was opened outside.
 */
#include "build/cgroup.h"
#include "build/step.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

enum { PIDS_MOST = 16384, TRIES = 20, PAUSE_MS = 5 };

static int set(int dir, const char *file, const char *text, struct err **e)
{
	AUTO(fd_closep) int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return 0;                        /* of a kernel, or a controller, that is not there: that was told */
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot set %s of the step's cgroup to '%s'", file, text);
	return 0;
}

static int set_number(int dir, const char *file, uint64_t v, struct err **e)
{
	AUTO(mem_freep) char *text = v == UINT64_MAX ? mem_str("max") : mem_printf("%ju", (uintmax_t)v);

	return set(dir, file, text, e);
}

static int set_cpu(int dir, const struct limits *l, struct err **e)
{
	uint64_t period = l->cpu_period ? l->cpu_period : 100000;

	if (l->cpu_quota || l->cpu_period) {
		AUTO(mem_freep) char *text = l->cpu_quota ? mem_printf("%ju %ju", (uintmax_t)l->cpu_quota, (uintmax_t)period) :
							    mem_printf("max %ju", (uintmax_t)period);

		if (set(dir, "cpu.max", text, e) < 0)
			return -1;
	}
	return l->cpu_shares ? set_number(dir, "cpu.weight", 1 + (l->cpu_shares - 2) * 9999 / 262142, e) : 0;
}

static int set_limits(int dir, const struct limits *l, struct err **e)
{
	/* One number for both is what people give; here swap is counted alone. Not said: as much again. */
	uint64_t swap = l->swap == UINT64_MAX ? UINT64_MAX : l->swap ? l->swap - l->memory : l->memory;

	if (set_number(dir, "pids.max", PIDS_MOST, e) < 0 || set_cpu(dir, l, e) < 0)
		return -1;
	if (l->memory && (set_number(dir, "memory.max", l->memory, e) < 0 || set_number(dir, "memory.swap.max", swap, e) < 0 ||
			  set(dir, "memory.oom.group", "1", e) < 0))
		return -1;
	if (l->cpus && set(dir, "cpuset.cpus", l->cpus, e) < 0)
		return -1;
	return l->mems ? set(dir, "cpuset.mems", l->mems, e) : 0;
}

int step_cgroup(struct step *s, struct cgroup_leaf *ret, struct err **e)
{
	const struct cgroup *g = step_app(s)->cgroup;
	struct cgroup_leaf c = { .dir = -1, .procs = -1 };

	if (!g)
		return 0;
	c.path = mem_printf("%s-%u", cgroup_prefix(g), s->id);
	if (mkdir(c.path, 0755) < 0) {
		err_errno(e, ERR_HOST, errno, "cannot make the step's cgroup '%s'", c.path);
		free(c.path);
		return -1;
	}
	c.dir = openat(AT_FDCWD, c.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	c.procs = c.dir < 0 ? -1 : openat(c.dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (c.procs < 0)
		err_errno(e, ERR_HOST, errno, "cannot open the step's cgroup '%s'", c.path);
	if (c.procs < 0 || set_limits(c.dir, &step_req(s)->run.limits, e) < 0) {
		free(step_cgroup_end(s, &c));
		return -1;
	}
	*ret = c;
	return 0;
}

/* The number behind a word of a file such as memory.events, or the file's only one; 0 when there is none. */
static uint64_t number(int dir, const char *file, const char *word)
{
	AUTO(fd_closep) int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
	AUTO(buf_freep) struct buf text = BUF_MAX(4096);
	const char *at = fd >= 0 && fd_read_all(fd, &text, NULL) == 0 && text.n ? text.p : NULL;

	if (at && word) {
		at = strstr(at, word);
		at = at ? at + strlen(word) : NULL;
	}
	return at ? strtoull(at, NULL, 10) : 0;
}

static char *out_of_memory(const struct cgroup_leaf *c, const struct limits *l)
{
	if (c->dir < 0 || !number(c->dir, "memory.events", "oom_kill "))
		return NULL;
	return mem_printf("out of memory: it may have %ju MiB, and took %ju", (uintmax_t)(l->memory >> 20),
			  (uintmax_t)(number(c->dir, "memory.peak", NULL) >> 20));
}

char *step_cgroup_end(struct step *s, struct cgroup_leaf *c)
{
	char *why = c->path ? out_of_memory(c, &step_req(s)->run.limits) : NULL;

	if (!c->path)
		return NULL;
	if (c->dir >= 0)
		(void)set(c->dir, "cgroup.kill", "1", NULL);
	/* They are dead, and may not be gone yet; what stays is removed at the end of the build. */
	for (unsigned i = 0; i < TRIES && rmdir(c->path) < 0 && errno == EBUSY; i++)
		poll(NULL, 0, PAUSE_MS);
	fd_closep(&c->procs);
	fd_closep(&c->dir);
	free(take(&c->path));
	return why;
}
