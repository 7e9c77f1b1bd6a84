/* build/treeout.c - one pass over the merged view: sorted entries into a tar or a directory. */
#include "build/treeout.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/at.h"
#include "base/mem.h"
#include "build/imagestore.h"
#include "build/wait.h"
#include "build/work.h"
#include "layers/fill.h"
#include "layers/pick.h"
#include "layers/tarout.h"

void treeout_put(struct buf *b, const struct treeout_req *r)
{
	wire_put_str(b, r->store);
	wire_put_u32(b, (uint32_t)r->n);
	for (size_t i = 0; i < r->n; i++) {
		const struct treeout_part *p = &r->part[i];

		wire_put_str(b, p->platform.s);
		wire_put_u32(b, p->split);
		wire_put_u32(b, (uint32_t)p->dir.n);
		for (size_t k = 0; k < p->dir.n; k++) {
			wire_put_str(b, p->dir.v[k]);
			wire_put(b, (struct slice){ (const char *)p->diff[k].b, 32 });
		}
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

/* One image in the worker: its layers, and what is picked of them, which is everything. */
struct part {
	char *platform;
	bool split;
	int *dir;
	struct digest *diff;
	size_t n;
	struct view *view;
	struct pick_tree *tree;
	struct picked *picked;
};
struct treeout_args {
	char *store;
	struct part *part;
	size_t n;
	bool tar, mode_delete;
	int64_t epoch;
};

static void treeout_args_clear(struct treeout_args *a)
{
	mem_freep(&a->store);
	for (size_t i = 0; i < a->n; i++) {
		struct part *p = &a->part[i];

		picked_free(p->picked);
		pick_tree_free(p->tree);
		view_freep(&p->view);
		for (size_t k = 0; k < p->n; k++)
			fd_closep(&p->dir[k]);
		free(p->dir);
		free(p->diff);
		free(p->platform);
	}
	mem_freep(&a->part);
}

static int part_get(struct wire *w, int store, struct part *p, struct err **e)
{
	p->platform = wire_str(w);
	p->split = wire_u32(w);
	uint32_t n = wire_u32(w);
	for (uint32_t i = 0; i < n && !w->bad; i++) {
		AUTO(mem_freep) char *path = wire_str(w);
		struct slice d = wire_get(w);

		p->dir = mem_grow(p->dir, i + 1, sizeof(*p->dir));
		p->diff = mem_grow(p->diff, i + 1, sizeof(*p->diff));
		p->dir[i] = w->bad ? -1 : at_open_store(store, path, O_RDONLY | O_DIRECTORY, 0, e);
		p->n = i + 1;
		if (p->dir[i] < 0)
			return w->bad ? 0 : -1;
		if (d.n == 32)
			memcpy(p->diff[i].b, d.p, 32);
	}
	return 0;
}

static int treeout_args_get(struct slice in, struct treeout_args *a, int *store, struct err **e)
{
	struct wire w = wire_of(in);

	a->store = wire_str(&w);
	uint32_t n = wire_u32(&w);
	*store = w.bad ? -1 : fd_open_host(a->store, O_RDONLY | O_DIRECTORY, 0, e);
	if (*store < 0 && !w.bad)
		return -1;
	for (uint32_t i = 0; i < n && !w.bad; i++) {
		a->part = mem_grow(a->part, i + 1, sizeof(*a->part));
		a->part[i] = (struct part){ 0 };
		a->n = i + 1;
		if (part_get(&w, *store, &a->part[i], e) < 0)
			return -1;
	}
	a->tar = wire_u32(&w);
	a->mode_delete = wire_u32(&w);
	a->epoch = wire_i64(&w);
	if (wire_done(&w, "a tree to write", e) < 0)
		return -1;
	return a->part ? 0 : err_set(e, ERR_BUG, "a tree to write has no files");
}

/* "linux/arm/v7" is linux_arm_v7 there. */
static char *directory_of(const char *platform)
{
	char *s = mem_printf("/%s/", platform);

	for (char *p = s + 1; p[1]; p++)
		if (*p == '/' || *p == ' ')
			*p = '_';
	return s;
}

static int part_pick(struct part *p, int store, struct err **e)
{
	AUTO(mem_freep) char *below = p->split ? directory_of(p->platform) : mem_str("/");
	struct pick_source all = { .path = "/", .content_fd = -1 };
	struct pick_req req = { .source = &all, .nsource = 1, .dest = below, .spool = -1 };

	if (work_view(store, p->diff, p->n, &p->view, e) < 0)
		return -1;
	p->tree = pick_tree_view(p->view, p->dir);
	return pick_run(p->tree, NULL, &req, &p->picked, e);
}

/* ---- several in one place */

/* Which of the parts before has this path, and as what? NULL: none. Their lists are sorted. */
static const struct part *has_path(const struct part *part, size_t before, const char *path, enum entry_type *ret)
{
	for (size_t i = 0; i < before; i++) {
		size_t from = 0, to = picked_count(part[i].picked);

		while (from < to) {
			size_t mid = from + (to - from) / 2;
			struct picked_item it;

			picked_at(part[i].picked, mid, &it);
			int order = entry_path_cmp(path, it.en->path);
			*ret = it.en->type;
			if (order == 0)
				return &part[i];
			from = order > 0 ? mid + 1 : from;
			to = order < 0 ? mid : to;
		}
	}
	return NULL;
}

/* Only directories may be in two of them. Told before anything is written or deleted. */
static int check_paths(const struct treeout_args *a, struct err **e)
{
	for (size_t i = 1; i < a->n; i++) {
		for (size_t k = 0; k < picked_count(a->part[i].picked); k++) {
			struct picked_item it;
			enum entry_type other;

			picked_at(a->part[i].picked, k, &it);
			const struct part *p = has_path(a->part, i, it.en->path, &other);
			if (!p || (it.en->type == ENTRY_DIR && other == ENTRY_DIR))
				continue;
			err_set(e, ERR_INPUT, "'/%s' of %s would overwrite that of %s", it.en->path, a->part[i].platform, p->platform);
			return err_hint(e, "without platform-split=false each platform gets a directory of its own");
		}
	}
	return 0;
}

/* The entries of all parts, one part behind the other; each directory once. */
struct joined {
	struct entries base;
	const struct treeout_args *a;
	struct entries *now;
	size_t at;
};

static int joined_next(struct entries *s, const struct entry **ret, struct err **e)
{
	struct joined *j = container_of(s, struct joined, base);
	enum entry_type other;

	for (;;) {
		int rc = entries_next(j->now, ret, e);

		if (rc < 0 || (rc == 0 && j->at + 1 == j->a->n))
			return rc;
		if (rc == 0) {
			if (entries_close(take(&j->now), e) < 0)
				return -1;
			j->now = picked_entries(j->a->part[++j->at].picked, NULL, NULL);
		} else if (j->at == 0 || !has_path(j->a->part, j->at, (*ret)->path, &other)) {
			return 1;
		}
	}
}

static ssize_t joined_data(struct entries *s, void *p, size_t n, struct err **e)
{
	return entries_data(container_of(s, struct joined, base)->now, p, n, e);
}

static int joined_close(struct entries *s, struct err **e)
{
	struct joined *j = container_of(s, struct joined, base);
	int rc = j->now ? entries_close(j->now, e) : -1;

	free(j);
	return rc;
}

static const struct entries_ops joined_ops = { joined_next, joined_data, joined_close };

static struct entries *joined_new(const struct treeout_args *a)
{
	struct joined *j = mem_zalloc(sizeof(*j));

	assert(a->part);
	j->base.ops = &joined_ops;
	j->a = a;
	j->now = picked_entries(a->part[0].picked, NULL, NULL);
	return &j->base;
}

int treeout_job(struct job_self *self, struct slice in, const int *fds, size_t nfds, struct buf *out, struct err **e)
{
	AUTO(treeout_args_clear) struct treeout_args a = { 0 };
	AUTO(entries_drop) struct entries *src = NULL;
	AUTO(sink_free) struct sink *sink = NULL;
	AUTO(fd_closep) int store = -1;
	struct fill_opts fill = { .plain = true, .as_caller = true, .all_mtime = -1 };
	struct tarout_opts tar = { .clamp_mtime = INT64_MAX, .plain = true };
	int fd = nfds == 1 ? fds[0] : -1;

	if (treeout_args_get(in, &a, &store, e) < 0)
		return -1;
	for (size_t i = 0; i < a.n; i++)
		if (part_pick(&a.part[i], store, e) < 0)
			return -1;
	if (check_paths(&a, e) < 0 || (a.mode_delete && empty_directory(fd, e) < 0))
		return -1;
	src = joined_new(&a);
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

static void parts_clear(struct treeout_req *r)
{
	for (size_t i = 0; i < r->n; i++) {
		strs_clear(&r->part[i].dir);
		free(r->part[i].diff);
	}
	mem_freep(&r->part);
}

static int parts_unpack(struct app *a, const struct image *im, size_t n, bool split, struct treeout_req *ret, struct err **e)
{
	ret->part = mem_array(n, sizeof(*ret->part));
	for (; ret->n < n; im++) {
		struct treeout_part *p = &ret->part[ret->n++];

		p->platform = platform_text(&im->platform);
		p->split = split;
		p->diff = mem_array(im->nlayer + 1, sizeof(*p->diff));
		for (size_t i = 0; i < im->nlayer; i++)
			p->diff[i] = im->layer[i].diff;
		if (imagestore_unpack(a, im, &p->dir, e) < 0)
			return -1;
	}
	return 0;
}

int imagestore_export_tree(struct app *a, const struct image *im, size_t n, bool split, enum output_type type, const char *dest,
			   bool mode_delete, int64_t epoch, struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(1 << 20);
	AUTO(treeout_clear) struct treeout_dest d = TREEOUT_NONE;
	AUTO(parts_clear) struct treeout_req r = {
		.store = store_path(a->store), .tar = type == OUTPUT_TAR, .mode_delete = mode_delete, .epoch = epoch,
	};

	if (parts_unpack(a, im, n, split, &r, e) < 0)
		return -1;
	mode_t ours = umask(a->umask);
	int rc = treeout_open(type == OUTPUT_TAR, dest, &d, e);
	umask(ours);
	if (rc == 0) {
		treeout_put(&b, &r);
		rc = wait_job(a, JOB_MAPPED, WORK_TREE, buf_view(&b), &d.fd, 1, NULL, NULL, NULL, e);
	}
	if (rc == 0) {
		ours = umask(a->umask);
		rc = treeout_finish(&d, dest, e);
		umask(ours);
	}
	return rc < 0 ? err_wrap(e, "cannot write '%s'", dest) : 0;
}
