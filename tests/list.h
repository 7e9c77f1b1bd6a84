/* tests/list.h - entries from a table, for unit tests. */
#pragma once
#include "base/mem.h"
#include "layers/entry.h"

#include <string.h>

/* A row of a table names what matters in it; the rest is zero. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

struct item {
	struct entry en;                 /* size is taken from content */
	const char *content;
};
struct list {
	struct entries s;
	const struct item *item;
	size_t n, next, given;
	struct entry en;
};

static inline int list_next(struct entries *s, const struct entry **ret, struct err **e)
{
	struct list *l = container_of(s, struct list, s);

	if (l->next == l->n)
		return 0;
	const struct item *i = &l->item[l->next++];
	l->en = i->en;
	l->en.size = i->content ? strlen(i->content) : l->en.size;
	l->given = 0;
	*ret = &l->en;
	return 1;
}

static inline ssize_t list_data(struct entries *s, void *p, size_t n, struct err **e)
{
	struct list *l = container_of(s, struct list, s);
	const char *text = l->item[l->next - 1].content;
	size_t left = text ? strlen(text) - l->given : 0;

	n = n < left ? n : left;
	if (n)
		memcpy(p, text + l->given, n);
	l->given += n;
	return (ssize_t)n;
}

static inline int list_close(struct entries *s, struct err **e)
{
	struct list *l = container_of(s, struct list, s);

	mem_freep(&l);
	return 0;
}

static inline struct entries *list_new(const struct item *item, size_t n)
{
	static const struct entries_ops ops = { list_next, list_data, list_close };
	struct list *l = mem_zalloc(sizeof(*l));

	l->s.ops = &ops;
	l->item = item;
	l->n = n;
	return &l->s;
}
