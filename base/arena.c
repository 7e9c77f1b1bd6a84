/* base/arena.c - blocks that double up to 64 KiB; what is larger gets a block of its own. */
#include "base/arena.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_MIN = 1024, BLOCK_MAX = 64 << 10, ALIGN = _Alignof(max_align_t) };

struct arena_block {
	struct arena_block *next;
	size_t used, cap;
	_Alignas(max_align_t) char bytes[];
};

static struct arena_block *block_new(size_t cap)
{
	struct arena_block *b = mem_zalloc(sizeof(*b) + cap);

	b->cap = cap;
	return b;
}

void *arena_alloc(struct arena *a, size_t n)
{
	struct arena_block *b = a->head;
	size_t need = 0;

	if (ckd_add(&need, n ? n : 1, (size_t)ALIGN - 1) || need > SIZE_MAX / 2)
		mem_out(n);
	need &= ~((size_t)ALIGN - 1);

	if (!b || b->cap - b->used < need) {
		size_t cap = b && b->cap >= BLOCK_MIN ? b->cap * 2 : BLOCK_MIN;

		if (cap > BLOCK_MAX)
			cap = BLOCK_MAX;
		if (need > cap / 2) {
			/* Behind the head, which still has room for small ones. */
			b = block_new(need);
			b->next = a->head ? a->head->next : NULL;
			*(a->head ? &a->head->next : &a->head) = b;
		} else {
			b = block_new(cap);
			b->next = a->head;
			a->head = b;
		}
	}
	void *p = b->bytes + b->used;
	b->used += need;
	return p;
}

void *arena_dup(struct arena *a, const void *p, size_t n)
{
	void *copy = arena_alloc(a, n);

	if (n)
		memcpy(copy, p, n);
	return copy;
}

char *arena_str(struct arena *a, struct slice s)
{
	char *copy = arena_alloc(a, s.n + 1);

	if (s.n)
		memcpy(copy, s.p, s.n);
	return copy;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		mem_out(0);

	char *s = arena_alloc(a, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(s, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return s;
}

struct slice arena_slice(struct arena *a, struct slice s)
{
	return (struct slice){ arena_str(a, s), s.n };
}

void arena_clear(struct arena *a)
{
	while (a->head) {
		struct arena_block *next = a->head->next;

		free(a->head);
		a->head = next;
	}
}
