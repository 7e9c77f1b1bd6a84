/* base/map.c - mapped files. */
#include "base/map.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int map_open(int fd, struct map *ret, struct err **e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot look at a file of the store");
	void *p = st.st_size ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0) : NULL;
	if (p == MAP_FAILED)
		return err_errno(e, ERR_HOST, errno, "cannot read a file of the store");
	/* A search touches a few places: each would bring 2 MiB with it. */
	if (st.st_size >= MAP_STRIDE)
		(void)madvise(p, (size_t)st.st_size, MADV_NOHUGEPAGE);
	*ret = (struct map){ p, (size_t)st.st_size };
	return 0;
}

void map_clear(struct map *m)
{
	if (m->p)
		(void)munmap((void *)m->p, m->n);
	*m = (struct map){ 0 };
}

void map_cool(const char *from, const char *to)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t skip = -(uintptr_t)from % page, n = to > from ? (size_t)(to - from) : 0;

	if (n > skip && n - skip >= page)
		(void)madvise((void *)(from + skip), (n - skip) / page * page, MADV_DONTNEED);
}

void map_each(struct slice s, bool mapped, void (*step)(void *arg, struct slice piece), void *arg)
{
	while (s.n) {
		size_t n = s.n < MAP_STRIDE ? s.n : MAP_STRIDE;

		step(arg, (struct slice){ s.p, n });
		if (mapped && n == MAP_STRIDE)
			map_cool(s.p, s.p + n);
		s = slice_skip(s, n);
	}
}
