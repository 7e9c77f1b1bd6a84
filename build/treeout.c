/* build/treeout.c - one pass over the merged view: sorted entries into a tar or a directory. */
#include "build/treeout.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/at.h"
#include "base/mem.h"
#include "build/work.h"
#include "layers/fill.h"
#include "layers/pick.h"
#include "layers/tarout.h"

void treeout_put(struct buf *b, const struct treeout_req *r)
{
	wire_put_str(b, r->store);
	wire_put_u32(b, (uint32_t)r->ndir);
	for (size_t i = 0; i < r->ndir; i++) {
		wire_put_str(b, r->dir[i]);
		wire_put(b, (struct slice){ (const char *)r->diff[i].b, 32 });
	}
	wire_put_u32(b, r->tar);
	wire_put_u32(b, r->mode_delete);
	wire_put_i64(b, r->epoch);
}

/* Every time becomes the epoch: the exporters' rule, not the clamp of image layers. */
struct retime {
	struct entries base;
	struct entries *inner;
	struct entry en;
	int64_t epoch;
};

static int retime_next(struct entries *s, const struct entry **ret, struct err **e)
{
	struct retime *r = container_of(s, struct retime, base);
	const struct entry *en = NULL;
	int rc = entries_next(r->inner, &en, e);

	if (rc == 1) {
		r->en = *en;
		r->en.mtime = r->epoch;
		r->en.mtime_ns = 0;
		*ret = &r->en;
	}
	return rc;
}

static ssize_t retime_data(struct entries *s, void *p, size_t n, struct err **e)
{
	return entries_data(container_of(s, struct retime, base)->inner, p, n, e);
}

static int retime_close(struct entries *s, struct err **e)
{
	struct retime *r = container_of(s, struct retime, base);
	int rc = entries_close(r->inner, e);

	free(r);
	return rc;
}

static const struct entries_ops retime_ops = { retime_next, retime_data, retime_close };

static struct entries *retime_new(struct entries *take_inner, int64_t epoch)
{
	struct retime *r = mem_zalloc(sizeof(*r));

	r->base.ops = &retime_ops;
	r->inner = take_inner;
	r->epoch = epoch;
	return &r->base;
}

static int out_write(void *arg, const void *p, size_t n, struct err **e)
{
	return fd_write_all(*(int *)arg, p, n, e);
}

static int empty_directory(int dir, struct err **e)
{
	struct at_names names = { 0 };
	int rc = at_list(dir, &names, e);

	for (size_t i = 0; i < names.n && rc == 0; i++)
		rc = at_rmtree(dir, names.name[i], e);
	at_names_clear(&names);
	return rc;
}

struct treeout_args {
	char *store;
	struct digest *diff;
	int *dir;
	size_t n;
	bool tar, mode_delete;
	int64_t epoch;
};

static void treeout_args_clear(struct treeout_args *a)
{
	mem_freep(&a->store);
	for (size_t i = 0; i < a->n; i++)
		fd_closep(&a->dir[i]);
	mem_freep(&a->dir);
	mem_freep(&a->diff);
}

static int treeout_args_get(struct slice in, struct treeout_args *a, int *store, struct err **e)
{
	struct wire w = wire_of(in);

	a->store = wire_str(&w);
	uint32_t n = wire_u32(&w);
	*store = w.bad ? -1 : fd_open_host(a->store, O_RDONLY | O_DIRECTORY, 0, e);
	for (uint32_t i = 0; i < n && *store >= 0 && !w.bad; i++) {
		AUTO(mem_freep) char *path = wire_str(&w);
		struct slice d = wire_get(&w);

		a->dir = mem_grow(a->dir, i + 1, sizeof(*a->dir));
		a->diff = mem_grow(a->diff, i + 1, sizeof(*a->diff));
		a->dir[i] = w.bad ? -1 : at_open_store(*store, path, O_RDONLY | O_DIRECTORY, 0, e);
		a->n = i + 1;
		if (a->dir[i] < 0)
			return -1;
		if (d.n == 32)
			memcpy(a->diff[i].b, d.p, 32);
	}
	if (*store < 0)
		return -1;
	a->tar = wire_u32(&w);
	a->mode_delete = wire_u32(&w);
	a->epoch = wire_i64(&w);
	return wire_done(&w, "a tree to write", e);
}

int treeout_job(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	AUTO(treeout_args_clear) struct treeout_args a = { 0 };
	AUTO(view_freep) struct view *view = NULL;
	AUTO(pick_tree_freep) struct pick_tree *tree = NULL;
	AUTO(picked_freep) struct picked *picked = NULL;
	AUTO(entries_drop) struct entries *src = NULL;
	AUTO(sink_free) struct sink *sink = NULL;
	AUTO(fd_closep) int store = -1;
	struct pick_source all = { .path = "/", .content_fd = -1 };
	struct pick_req req = { .source = &all, .nsource = 1, .dest = "/", .spool = -1 };
	struct fill_opts fill = { .plain = true, .as_caller = true, .all_mtime = -1 };
	struct tarout_opts tar = { .clamp_mtime = INT64_MAX, .plain = true };
	int fd = nfds == 1 ? fds[0] : -1;

	if (treeout_args_get(in, &a, &store, e) < 0 || work_view(store, a.diff, a.n, &view, e) < 0)
		return -1;
	if (a.mode_delete && empty_directory(fd, e) < 0)
		return -1;
	tree = pick_tree_view(view, a.dir);
	if (pick_run(tree, NULL, &req, &picked, e) < 0)
		return -1;
	src = picked_entries(picked, NULL, NULL);
	if (a.epoch != INT64_MIN)
		src = retime_new(src, a.epoch);
	sink = a.tar ? tarout_new(out_write, &fd, &tar) : fill_new(fd, &fill);
	if (entries_pump(src, &sink, 1, NULL, e) < 0)
		return -1;
	return entries_close(take(&src), e);
}

/* A planted link or file of that name beside it would be written through: a new file, renamed at the end. */
static int open_file(const char *dest, struct treeout_dest *d, struct err **e)
{
	const char *slash = strrchr(dest, '/');
	AUTO(mem_freep) char *above = slash == dest ? mem_str("/") : slash ? mem_strn(dest, (size_t)(slash - dest)) : mem_str(".");
	struct stat st;

	if (stat(dest, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		d->fd = fd_open_host(dest, O_WRONLY | O_NOCTTY, 0, e);
		return d->fd < 0 ? -1 : 0;
	}
	if (slash && !slash[1])
		return err_set(e, ERR_USAGE, "'%s' is not the name of a file", dest);
	d->dir = fd_open_host(above, O_RDONLY | O_DIRECTORY, 0, e);
	if (d->dir < 0 || tmp_open(&d->tmp, d->dir, e) < 0)
		return -1;
	d->fd = fd_dup(d->tmp.fd, e);
	return d->fd < 0 ? -1 : 0;
}

int treeout_open(bool tar, const char *dest, struct treeout_dest *ret, struct err **e)
{
	int rc = 0;

	if (tar && strcmp(dest, "-") == 0) {
		ret->fd = fd_dup(STDOUT_FILENO, e);
		return ret->fd < 0 ? -1 : 0;
	}
	if (tar) {
		rc = open_file(dest, ret, e);
	} else {
		if (mkdir(dest, 0755) < 0 && errno != EEXIST)
			return err_errno(e, ERR_HOST, errno, "cannot make directory '%s'", dest);
		ret->fd = fd_open_host(dest, O_RDONLY | O_DIRECTORY, 0, e);
		rc = ret->fd < 0 ? -1 : 0;
	}
	return rc < 0 ? err_wrap(e, "cannot open '%s'", dest) : 0;
}

int treeout_finish(struct treeout_dest *d, const char *dest, struct err **e)
{
	const char *slash = strrchr(dest, '/');

	if (d->dir < 0)
		return fd_close(&d->fd, dest, e);
	fd_closep(&d->fd);
	mode_t mask = umask(0);
	umask(mask);
	return tmp_commit(&d->tmp, d->dir, slash ? slash + 1 : dest, 0, 0666 & ~mask, e);
}

void treeout_clear(struct treeout_dest *d)
{
	fd_closep(&d->fd);
	tmp_rollback(&d->tmp);
	fd_closep(&d->dir);
}
