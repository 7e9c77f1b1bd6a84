/* base/arena.c - blocks that double up to 64 KiB; what is larger gets a block of its own. Blocks of the file are 1 MiB. */
#include "base/arena.h"
#include "base/at.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { BLOCK_MIN = 1024, BLOCK_MAX = 64 << 10, ALIGN = _Alignof(max_align_t) };
enum { HEAP_MOST = 4 << 20, SWAP_BLOCK = 1 << 20, WARM_MOST = 4 << 20 };

struct arena_block {
	struct arena_block *next;
	size_t used, cap;
	size_t mapped;                   /* size of the mapping; 0: the heap's */
	struct map file;                 /* arena_map()'s */
	_Alignas(max_align_t) char bytes[];
};

void arena_swap(struct arena *a, int dir)
{
	a->swap_dir = dir > 0 ? dir : 0;
}

void arena_cool(const struct arena *a)
{
	/* Shared pages of a file: they stay in its cache. */
	for (struct arena_block *b = a->swap_size ? a->head : NULL, *next; b; b = next) {
		next = b->next;
		if (b->mapped)
			(void)madvise(b, b->mapped, MADV_DONTNEED);
	}
}

/* NULL: the heap has to do. The room is taken from the disk now: running out of it later would be a signal. */
static struct arena_block *block_map(struct arena *a, size_t cap)
{
	size_t size = 0;

	if (ckd_add(&size, cap, sizeof(struct arena_block) + SWAP_BLOCK - 1))
		return NULL;
	size = size / SWAP_BLOCK * SWAP_BLOCK;
	if (!a->swap_fd) {
		int fd = at_open_store(a->swap_dir, "", O_TMPFILE | O_RDWR, 0600, NULL);

		a->swap_fd = fd > 0 ? fd : 0;
	}
	if (!a->swap_fd || posix_fallocate(a->swap_fd, (off_t)a->swap_size, (off_t)size) != 0) {
		a->swap_dir = 0;
		return NULL;
	}
	struct arena_block *b = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, a->swap_fd, (off_t)a->swap_size);
	if (b == MAP_FAILED)
		return NULL;
	a->swap_size += size;
	a->warm += size;
	if (a->warm > WARM_MOST) {
		arena_cool(a);
		a->warm = 0;
	}
	b->cap = size - sizeof(*b);
	b->mapped = size;
	return b;
}

static bool swaps(const struct arena *a)
{
	return a->swap_dir && a->heap > HEAP_MOST;
}

static struct arena_block *block_new(struct arena *a, size_t cap)
{
	struct arena_block *b = swaps(a) ? block_map(a, cap) : NULL;

	if (b)
		return b;
	b = mem_zalloc(sizeof(*b) + cap);
	b->cap = cap;
	a->heap += cap;
	return b;
}

/* Behind the head, which still has room for small ones. */
static void block_behind(struct arena *a, struct arena_block *b)
{
	b->next = a->head ? a->head->next : NULL;
	*(a->head ? &a->head->next : &a->head) = b;
}

void arena_map(struct arena *a, const struct map *take_map)
{
	struct arena_block *b = mem_zalloc(sizeof(*b));

	b->file = *take_map;
	block_behind(a, b);
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
		if (swaps(a))
			cap = SWAP_BLOCK - sizeof(*b);
		if (need > cap / 2) {
			b = block_new(a, need);
			block_behind(a, b);
		} else {
			b = block_new(a, cap);
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

		map_clear(&a->head->file);
		if (a->head->mapped)
			(void)munmap(a->head, a->head->mapped);
		else
			free(a->head);
		a->head = next;
	}
	if (a->swap_fd)
		fd_closep(&a->swap_fd);
	*a = (struct arena){ 0 };
}
