/* layers/relist.c - entries in the order in which they came, files opened when their content is asked for. */
#include "layers/relist.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/at.h"
#include "base/mem.h"

struct relist {
	struct entries base;
	const struct listing *l;
	int root, fd;
	uint32_t *order;                 /* numbers of the listing's entries, first that came first */
	uint64_t next;
	struct entry en;
};

static int relist_next(struct entries *s, const struct entry **ret, struct err **e)
{
	struct relist *r = container_of(s, struct relist, base);
	struct stat st;

	fd_closep(&r->fd);
	r->fd = -1;
	if (r->next == listing_count(r->l))
		return 0;
	listing_at(r->l, r->order[r->next++], &r->en);
	*ret = &r->en;
	if (r->en.type != ENTRY_FILE)
		return 1;
	r->fd = at_open_store(r->root, r->en.path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, e);
	if (r->fd < 0)
		return -1;
	if (fstat(r->fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != r->en.size)
		return err_set(e, ERR_HOST, "'%s' of a stored layer was changed", r->en.path);
	return 1;
}

static ssize_t relist_data(struct entries *s, void *p, size_t n, struct err **e)
{
	return fd_read(container_of(s, struct relist, base)->fd, p, n, e);
}

static int relist_close(struct entries *s, struct err **e)
{
	struct relist *r = container_of(s, struct relist, base);

	fd_closep(&r->fd);
	free(r->order);
	free(r);
	return 0;
}

static const struct entries_ops relist_ops = { relist_next, relist_data, relist_close };

static int by_arrival(const void *a, const void *b, void *l)
{
	uint32_t x = listing_arrival(l, *(const uint32_t *)a), y = listing_arrival(l, *(const uint32_t *)b);

	return x < y ? -1 : x > y;
}

struct entries *relist_new(const struct listing *l, int root)
{
	struct relist *r = mem_zalloc(sizeof(*r));

	r->base.ops = &relist_ops;
	r->l = l;
	r->root = root;
	r->fd = -1;
	r->order = mem_array(listing_count(l) + 1, sizeof(*r->order));
	for (uint64_t i = 0; i < listing_count(l); i++)
		r->order[i] = (uint32_t)i;
	qsort_r(r->order, listing_count(l), sizeof(*r->order), by_arrival, (void *)(uintptr_t)l);
	return &r->base;
}
