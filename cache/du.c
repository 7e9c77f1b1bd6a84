/* cache/du.c - what takes how much room. */
#include "base/mem.h"
#include "cache/gc.h"
#include "cache/mark.h"
#include "cache/names.h"
#include "cache/store_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>

/* LEVELS: directories open at once while a tree is measured; what lies deeper is not counted. */
enum { LEVELS = 48 };

struct du {
	struct store *s;
	struct wanted w;
	const char *kind;                /* of the folder being visited */
	struct du_row *row;
	size_t n, cap;
};

static void du_clear(struct du *d)
{
	free(d->row);
	wanted_clear(&d->w);
}

static struct du_row *add(struct du *d, const char *id, uint64_t bytes, const struct stat *st)
{
	MEM_ROOM(d->row, d->n, d->cap);
	struct du_row *r = &d->row[d->n++];

	*r = (struct du_row){ .bytes = bytes, .used = st ? st->st_mtime : 0 };
	snprintf(r->kind, sizeof(r->kind), "%s", d->kind);
	snprintf(r->id, sizeof(r->id), "%s", id);
	return r;
}

static void use(struct du_row *r, const struct marks *m, const struct digest *d)
{
	const struct mark *mark = marks_find(m, d);

	r->in_use = mark && mark->held;
	r->shared = mark && mark->names > 1;
}

/* The bytes on disk below folder/name as far as they can be read from here. */
uint64_t gc_tree_bytes(int folder, const char *name)
{
	AUTO(mem_freep) DIR **open = mem_array(LEVELS, sizeof(void *));
	uint64_t total = 0;
	struct stat st;
	size_t n = 0;

	int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	open[0] = fd < 0 ? NULL : fdopendir(fd);
	n = open[0] != NULL;
	if (fd >= 0 && n == 0)
		fd_closep(&fd);
	while (n > 0) {
		const struct dirent *ent = readdir(open[n - 1]);

		if (!ent) {
			closedir(open[--n]);
			continue;
		}
		if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0 ||
		    fstatat(dirfd(open[n - 1]), ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		total += (uint64_t)st.st_blocks * 512;
		if (!S_ISDIR(st.st_mode) || n == LEVELS)
			continue;
		fd = openat(dirfd(open[n - 1]), ent->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		open[n] = fd < 0 ? NULL : fdopendir(fd);
		if (open[n])
			n++;
		else
			fd_closep(&fd);
	}
	return total;
}

static int row_blob(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	struct du *d = arg;
	struct digest digest;

	if (digest_parse_hex(slice_of(name), &digest) == 0)
		use(add(d, digest_text(&digest).s, (uint64_t)st->st_size, st), &d->w.blobs, &digest);
	return 0;
}

static int row_listing(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	struct du *d = arg;
	struct digest digest;

	if (digest_parse_hex(slice_of(name), &digest) == 0)
		use(add(d, digest_text(&digest).s, (uint64_t)st->st_size, st), &d->w.diffs, &digest);
	return 0;
}

static int row_layer(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	struct du *d = arg;
	struct layer_meta m = { 0 };
	struct digest digest;

	if (digest_parse_hex(slice_of(name), &digest) < 0)
		return 0;
	int rc = store_layer_meta(d->s, path, &digest, &m, e);
	if (rc < 0)
		return -1;
	struct du_row *r = add(d, digest_text(&digest).s, m.bytes, st);
	use(r, &d->w.diffs, &digest);
	snprintf(r->note, sizeof(r->note), "%s", rc != 0 ? "incomplete" : m.made_here ? "made here" : "unpacked");
	return 0;
}

static int row_file(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	add(arg, name, (uint64_t)st->st_size, st);
	return 0;
}

/* Of cache/, tmp/ and trash/: a tree, a file, or the note beside a cache mount (and its private siblings <hash>.N). */
static int row_tree(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	struct du *d = arg;
	AUTO(mem_freep) char *note = mem_printf("cache/%.*s.id", DIGEST_HEX, name);
	AUTO(buf_freep) struct buf text = BUF_MAX(4096);
	AUTO(fd_closep) int fd = -1;

	if (!S_ISDIR(st->st_mode))
		return slice_ends(slice_of(name), ".id") ? 0 : row_file(arg, path, name, st, e);
	AUTO(mem_freep) char *folder = mem_strn(path, (size_t)(strrchr(path, '/') - path));
	AUTO(fd_closep) int dir = at_open_store(d->s->fd, folder, O_PATH | O_DIRECTORY, 0, e);
	if (dir < 0)
		return -1;
	struct du_row *r = add(d, name, gc_tree_bytes(dir, name), st);
	if (strcmp(folder, "tmp") == 0)
		r->in_use = lease_live(d->s->fd, name);
	else if (at_try_store(d->s->fd, note, O_RDONLY, &fd, NULL) == 0 && fd_read_all(fd, &text, NULL) == 0 && text.n)
		snprintf(r->note, sizeof(r->note), "%s", text.p);
	return 0;
}

static int row_images(struct du *d, struct err **e)
{
	struct name_record *r = NULL;
	size_t n = 0;

	d->kind = "image";
	if (names_list(d->s, &r, &n, NULL, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct du_row *row = add(d, digest_text(name_id(&r[i])).s, name_size(&r[i]), NULL);

		use(row, &d->w.blobs, name_id(&r[i]));
		row->in_use = true;
		row->used = r[i].created;
		snprintf(row->note, sizeof(row->note), "%s", r[i].name);
	}
	names_list_free(r, n);
	return 0;
}

int gc_du(struct store *s, struct du_row **ret, size_t *n, struct err **e)
{
	static const struct {
		const char *kind, *folder;
		int (*visit)(struct store *s, const char *folder, visit_fn *fn, void *arg, struct err **e);
		visit_fn *fn;
	} parts[] = {
		{ "layer", "layers", store_visit2, row_layer },     { "blob", "blobs/sha256", store_visit, row_blob },
		{ "listing", "listings", store_visit, row_listing }, { "record", "records", store_visit2, row_file },
		{ "cache", "cache", store_visit, row_tree },         { "tmp", "tmp", store_visit, row_tree },
		{ "trash", "trash", store_visit, row_tree },
	};
	AUTO(du_clear) struct du d = { .s = s };

	if (wanted_collect(s, &d.w, e) < 0 || row_images(&d, e) < 0)
		return -1;
	for (size_t i = 0; i < countof(parts); i++) {
		d.kind = parts[i].kind;
		if (parts[i].visit(s, parts[i].folder, parts[i].fn, &d, e) < 0)
			return err_wrap(e, "cannot measure the store '%s'", s->path);
	}
	*n = d.n;
	*ret = take(&d.row);
	return 0;
}
