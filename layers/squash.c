/* layers/squash.c - a merge of listings: the smallest path of all is next, and the topmost layer that has it says what it is. */
#include "layers/squash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/at.h"
#include "base/mem.h"

/* A file that has several names in its layer. */
struct inode {
	size_t layer;
	const char *target;              /* how the listing's links call it */
	char *first;                     /* the name that was given; NULL: none yet */
};
struct squash {
	struct entries base;
	struct squash_req r;
	size_t nbelow;
	uint64_t *next;                  /* of each layer */
	struct inode *inode;             /* sorted */
	size_t ninode, inodecap;
	char **hidden;                   /* whiteouts that are due, last first */
	size_t nhidden, hiddencap;
	bool started;
	struct entry en;
	char *path;                      /* of en, when it is a whiteout */
	int fd;
};

/* ---- whiteouts */

struct hiding {
	struct squash *s;
	const char *dir;
};

static int hide_child(void *arg, const char *name, const struct entry *en, size_t layer, struct err **e)
{
	struct hiding *h = arg;
	struct squash *s = h->s;
	AUTO(mem_freep) char *path = *h->dir ? mem_printf("%s/%s", h->dir, name) : mem_str(name);
	struct entry seen;

	if (view_find(s->r.all, path, &seen, NULL) == 0)
		return 0;
	MEM_ROOM(s->hidden, s->nhidden, s->hiddencap);
	s->hidden[s->nhidden++] = take(&path);
	return 0;
}

static int backwards(const void *a, const void *b)
{
	return strcmp(*(const char *const *)b, *(const char *const *)a);
}

/* What a directory of the result has below and does not show. */
static int hide_in(struct squash *s, const char *dir, struct err **e)
{
	struct hiding h = { s, dir };
	struct entry en;

	if (!s->r.below || view_find(s->r.below, dir, &en, NULL) != 0 || en.type != ENTRY_DIR)
		return 0;
	if (view_children(s->r.below, dir, hide_child, &h, e) < 0)
		return -1;
	if (s->nhidden)
		qsort(s->hidden, s->nhidden, elem_size(s->hidden), backwards);
	return 0;
}

/* ---- names of one file */

static int by_target(const void *a, const void *b)
{
	const struct inode *x = a, *y = b;

	return x->layer != y->layer ? (x->layer < y->layer ? -1 : 1) : strcmp(x->target, y->target);
}

static void find_inodes(struct squash *s)
{
	struct entry en;

	for (size_t k = 0; k < s->r.n; k++) {
		for (uint64_t i = 0; listing_links(s->r.layer[k]) && i < listing_count(s->r.layer[k]); i++) {
			listing_at(s->r.layer[k], i, &en);
			if (en.type != ENTRY_LINK)
				continue;
			MEM_ROOM(s->inode, s->ninode, s->inodecap);
			s->inode[s->ninode++] = (struct inode){ .layer = k, .target = en.link };
		}
	}
	if (s->ninode)
		qsort(s->inode, s->ninode, sizeof(*s->inode), by_target);
}

/* Of equal ones the first in the array stands for all. */
static struct inode *inode_of(struct squash *s, size_t layer, const char *target)
{
	const struct inode want = { .layer = layer, .target = target };
	struct inode *i = s->ninode ? bsearch(&want, s->inode, s->ninode, sizeof(*s->inode), by_target) : NULL;

	while (i && i > s->inode && by_target(i - 1, &want) == 0)
		i--;
	return i;
}

/* Its name in the layer it came from may not be there any more, or come later. */
static int name_it(struct squash *s, size_t layer, struct err **e)
{
	const char *path = s->en.path;
	struct inode *i = inode_of(s, layer, s->en.type == ENTRY_LINK ? s->en.link : path);

	if (!i)
		return 0;
	if (i->first) {
		s->en = (struct entry){ .type = ENTRY_LINK, .path = path, .link = i->first, .mode = s->en.mode, .uid = s->en.uid,
					.gid = s->en.gid, .mtime = s->en.mtime };
		return 0;
	}
	if (s->en.type == ENTRY_LINK && listing_find(s->r.layer[layer], s->en.link, &s->en) != 0)
		return err_set(e, ERR_HOST, "the listing of a layer has a link '%s' to nothing", path);
	s->en.path = path;
	i->first = mem_str(path);
	return 0;
}

/* ---- the merge */

static int open_content(struct squash *s, size_t layer, struct err **e)
{
	struct stat st;

	s->fd = at_open_store(s->r.root[layer], s->en.path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, e);
	if (s->fd < 0)
		return -1;
	if (fstat(s->fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != s->en.size)
		return err_set(e, ERR_HOST, "'%s' of a stored layer was changed", s->en.path);
	return 0;
}

/* The smallest path that a layer still has, and every layer behind it. */
static const char *next_path(struct squash *s)
{
	const char *path = NULL;
	struct entry en;

	for (size_t k = 0; k < s->r.n; k++) {
		if (s->next[k] == listing_count(s->r.layer[k]))
			continue;
		listing_at(s->r.layer[k], s->next[k], &en);
		if (!path || entry_path_cmp(en.path, path) < 0)
			path = en.path;
	}
	for (size_t k = 0; path && k < s->r.n; k++) {
		for (; s->next[k] < listing_count(s->r.layer[k]); s->next[k]++) {
			listing_at(s->r.layer[k], s->next[k], &en);
			if (strcmp(en.path, path) != 0)
				break;
		}
	}
	return path;
}

static int whiteout(struct squash *s)
{
	free(s->path);
	s->path = s->hidden[--s->nhidden];
	s->en = (struct entry){ .type = ENTRY_WHITEOUT, .path = s->path };
	return 1;
}

static int squash_next(struct entries *src, const struct entry **ret, struct err **e)
{
	struct squash *s = container_of(src, struct squash, base);
	const char *path;
	size_t layer = 0;

	fd_closep(&s->fd);
	s->fd = -1;
	*ret = &s->en;
	if (!s->started && hide_in(s, "", e) < 0)
		return -1;
	s->started = true;
	if (s->nhidden)
		return whiteout(s);
	while ((path = next_path(s))) {
		/* Hidden by a layer above, or what one of them only passes through. */
		if (!*path || view_find(s->r.all, path, &s->en, &layer) != 0 || layer < s->nbelow)
			continue;
		layer -= s->nbelow;
		if (listing_find(s->r.layer[layer], path, &s->en) != 0)
			continue;
		if (s->en.type == ENTRY_DIR)
			return hide_in(s, path, e) < 0 ? -1 : 1;
		if (name_it(s, layer, e) < 0 || (s->en.type == ENTRY_FILE && open_content(s, layer, e) < 0))
			return -1;
		return 1;
	}
	return 0;
}

static ssize_t squash_data(struct entries *src, void *p, size_t n, struct err **e)
{
	return fd_read(container_of(src, struct squash, base)->fd, p, n, e);
}

static int squash_close(struct entries *src, struct err **e)
{
	struct squash *s = container_of(src, struct squash, base);

	fd_closep(&s->fd);
	for (size_t i = 0; i < s->ninode; i++)
		free(s->inode[i].first);
	for (size_t i = 0; i < s->nhidden; i++)
		mem_freep(&s->hidden[i]);
	free(s->hidden);
	free(s->inode);
	free(s->next);
	free(s->path);
	free(s);
	return 0;
}

static const struct entries_ops squash_ops = { squash_next, squash_data, squash_close };

struct entries *squash_new(const struct squash_req *r)
{
	struct squash *s = mem_zalloc(sizeof(*s));

	s->base.ops = &squash_ops;
	s->r = *r;
	s->fd = -1;
	s->nbelow = r->below ? view_depth(r->below) : 0;
	s->next = mem_array(r->n + 1, sizeof(*s->next));
	find_inodes(s);
	return &s->base;
}
