/* build/cgroup.c - see cgroup.h. */
#include "build/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/at.h"
#include "base/mem.h"

enum { CGROUP2_MAGIC = 0x63677270 };

static const char *const names[] = { "memory", "cpu", "cpuset", "pids" };

struct cgroup {
	char *parent, *prefix;
	char *supervisor;                /* where this process moved to; NULL: it did not */
	bool made;                       /* the parent is ours to remove */
	unsigned there, enabled;         /* enabled: by us */
};

void cgroup_free(struct cgroup *g)
{
	struct at_names list = { 0 };

	if (!g)
		return;
	AUTO(fd_closep) int dir = g->parent ? openat(AT_FDCWD, g->parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	const char *base = g->prefix ? strrchr(g->prefix, '/') + 1 : "";

	/* Of steps whose monitor was killed. */
	if (dir >= 0 && at_list(dir, &list, NULL) == 0)
		for (size_t i = 0; i < list.n; i++)
			if (strncmp(list.name[i], base, strlen(base)) == 0)
				unlinkat(dir, list.name[i], AT_REMOVEDIR);
	at_names_clear(&list);
	for (size_t i = 0; i < countof(names) && dir >= 0; i++) {
		AUTO(mem_freep) char *text = mem_printf("-%s", names[i]);
		AUTO(fd_closep) int fd = g->enabled >> i & 1 ? openat(dir, "cgroup.subtree_control", O_WRONLY | O_CLOEXEC) : -1;

		(void)(fd >= 0 && fd_write_all(fd, text, strlen(text), NULL) < 0);
	}
	if (g->supervisor && dir >= 0) {
		AUTO(fd_closep) int fd = openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);

		if (fd >= 0 && fd_write_all(fd, "0", 1, NULL) == 0)
			rmdir(g->supervisor);
	}
	if (g->parent && g->made)
		rmdir(g->parent);
	free(g->supervisor);
	free(g->parent);
	free(g->prefix);
	free(g);
}

unsigned cgroup_controllers(const struct cgroup *g)
{
	return g ? g->there : 0;
}

const char *cgroup_prefix(const struct cgroup *g)
{
	return g->prefix;
}

/* ---- where */

static bool is_v2(const char *path)
{
	struct statfs st;

	return statfs(path, &st) == 0 && st.f_type == CGROUP2_MAGIC;
}

/* The path behind "0::" in the list of our cgroups. */
static char *own_path(void)
{
	AUTO(fd_closep) int fd = openat(AT_FDCWD, "/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	AUTO(buf_freep) struct buf text = BUF_MAX(64 << 10);
	struct slice rest, line;
	bool more = fd >= 0 && fd_read_all(fd, &text, NULL) == 0;

	rest = buf_view(&text);
	while (more) {
		more = slice_cut(rest, '\n', &line, &rest);
		if (slice_starts(line, "0::/"))
			return mem_strn(line.p + 3, line.n - 3);
	}
	return NULL;
}

/* Its directory on this host. NULL with *why. */
static char *find_parent(const char *parent, char **why)
{
	AUTO(mem_freep) char *own = own_path();
	const char *root = is_v2("/sys/fs/cgroup") ? "/sys/fs/cgroup" : is_v2("/sys/fs/cgroup/unified") ? "/sys/fs/cgroup/unified" : NULL;

	if (!root || !own) {
		*why = mem_str("this host has no cgroups of version 2");
		return NULL;
	}
	if (strstr(own, "/..")) {
		*why = mem_str("the cgroup of this process lies outside of what is mounted on /sys/fs/cgroup");
		return NULL;
	}
	if (parent && parent[0] == '/')
		return mem_printf("%s%s", root, parent);
	return mem_printf("%s%s%s%s", root, strcmp(own, "/") == 0 ? "" : own, parent ? "/" : "", parent ? parent : "");
}

/* ---- controllers */

static unsigned listed(const char *dir, const char *file)
{
	AUTO(mem_freep) char *path = mem_printf("%s/%s", dir, file);
	AUTO(fd_closep) int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	AUTO(buf_freep) struct buf text = BUF_MAX(4096);
	struct slice rest, word;
	unsigned all = 0;
	bool more = fd >= 0 && fd_read_all(fd, &text, NULL) == 0;

	rest = slice_trim(buf_view(&text), "\n");
	while (more) {
		more = slice_cut(rest, ' ', &word, &rest);
		for (size_t i = 0; i < countof(names); i++)
			if (slice_is(word, names[i]))
				all |= 1u << i;
	}
	return all;
}

static int write_to(const char *dir, const char *file, const char *text)
{
	AUTO(mem_freep) char *path = mem_printf("%s/%s", dir, file);
	AUTO(fd_closep) int fd = openat(AT_FDCWD, path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	return write(fd, text, strlen(text)) < 0 ? -1 : 0;
}

/* One by one: a controller that is missing does not take the others with it. -1 with errno when processes are in the way. */
static int enable(struct cgroup *g, unsigned wanted)
{
	for (size_t i = 0; i < countof(names); i++) {
		AUTO(mem_freep) char *text = mem_printf("+%s", names[i]);

		if (!(wanted & ~g->there >> i & 1) || !(wanted >> i & 1))
			continue;
		if (write_to(g->parent, "cgroup.subtree_control", text) == 0) {
			g->enabled |= 1u << i;
			g->there |= 1u << i;
		} else if (errno == EBUSY) {
			return -1;
		}
	}
	return 0;
}

static int move_out(struct cgroup *g)
{
	AUTO(mem_freep) char *leaf = mem_printf("%s/supervisor-%d", g->parent, (int)getpid());

	if (mkdir(leaf, 0755) < 0 || write_to(leaf, "cgroup.procs", "0") < 0)
		return -1;
	g->supervisor = take(&leaf);
	return 0;
}

/* A process of ours enters a cgroup there, as each step will. 0 or an errno. */
static int try_it(const struct cgroup *g)
{
	AUTO(mem_freep) char *leaf = mem_printf("%s-try", g->prefix);
	int status = 0, code = 0;

	if (mkdir(leaf, 0755) < 0)
		return errno;
	pid_t pid = fork();
	if (pid == 0)
		_exit(write_to(leaf, "cgroup.procs", "0") < 0 ? errno : 0);
	if (pid < 0)
		code = errno;
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid > 0)
		code = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
	rmdir(leaf);
	return code;
}

static char *refused(const struct cgroup *g, int code)
{
	if (code == EBUSY)
		return mem_printf("other processes run in the cgroup '%s' (try systemd-run --user --scope -p Delegate=yes kiln ...)", g->parent);
	if (code == EACCES || code == EPERM || code == EROFS)
		return mem_printf("the cgroup '%s' is not delegated to this user (try systemd-run --user --scope -p Delegate=yes kiln ...)", g->parent);
	return mem_printf("the cgroup '%s' cannot be used: %s", g->parent, strerror(code));
}

static int prepare(struct cgroup *g, unsigned wanted)
{
	g->there = listed(g->parent, "cgroup.subtree_control");
	wanted &= listed(g->parent, "cgroup.controllers");
	if (enable(g, wanted) < 0 && (move_out(g) < 0 || enable(g, wanted) < 0))
		return errno;
	return try_it(g);
}

static char *missing(const struct cgroup *g, unsigned lack)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(4096);

	for (size_t i = 0; i < countof(names); i++)
		if (lack >> i & 1)
			buf_printf(&b, "%s%s", b.n ? ", " : "", names[i]);
	return is_v2("/sys/fs/cgroup") ? mem_printf("the cgroup '%s' has no controller %s", g->parent, b.p) :
					 mem_printf("this host has %s in cgroups of version 1", b.p);
}

void cgroup_open(const char *parent, unsigned wanted, struct cgroup **ret, char **ret_why)
{
	struct cgroup *g = mem_zalloc(sizeof(*g));
	int code = 0;

	*ret = NULL;
	*ret_why = NULL;
	g->parent = find_parent(parent, ret_why);
	if (g->parent) {
		g->prefix = mem_printf("%s/kiln-%d", g->parent, (int)getpid());
		g->made = parent && mkdir(g->parent, 0755) == 0;
		code = parent && !g->made && errno != EEXIST ? errno : prepare(g, wanted);
		if (code)
			*ret_why = refused(g, code);
		else if (wanted & ~g->there & ~(unsigned)CGROUP_PIDS)
			*ret_why = missing(g, wanted & ~g->there & ~(unsigned)CGROUP_PIDS);
	}
	if (!g->parent || code) {
		cgroup_free(g);
		return;
	}
	*ret = g;
}
