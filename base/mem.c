/* base/mem.c - heap memory that cannot fail half-way. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { EXIT_HOST = 125 };

static void (*out_hook)(size_t n);

void mem_hook(void (*hook)(size_t n))
{
	out_hook = hook;
}

void mem_out(size_t n)
{
	static const char text[] = "error: out of memory\n";

	if (out_hook)
		out_hook(n);
	/* Nothing that allocates, and _exit: this may be a forked child with its parent's exit handlers. */
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(EXIT_HOST);
	_exit(EXIT_HOST);
}

void *mem_alloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	if (!p)
		mem_out(n);
	return p;
}

void *mem_zalloc(size_t n)
{
	return mem_array(1, n);
}

void *mem_array(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		mem_out(n);
	return p;
}

void *mem_grow(void *p, size_t n, size_t size)
{
	size_t bytes = 0;

	if (ckd_mul(&bytes, n, size))
		mem_out(n);
	p = realloc(p, bytes ? bytes : 1);
	if (!p)
		mem_out(bytes);
	return p;
}

void *mem_dup(const void *p, size_t n)
{
	void *copy = mem_alloc(n);

	if (n)
		memcpy(copy, p, n);
	return copy;
}

char *mem_str(const char *s)
{
	return s ? mem_dup(s, strlen(s) + 1) : NULL;
}

char *mem_strn(const char *s, size_t n)
{
	char *copy = mem_alloc(n + 1);

	if (n)
		memcpy(copy, s, n);
	copy[n] = '\0';
	return copy;
}

char *mem_printf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		mem_out(0);
	return s;
}

void mem_freep(void *pp)
{
	void *p = NULL;

	/* By memcpy: *pp is a pointer to some other type, which void ** must not alias. */
	memcpy(&p, pp, sizeof(p));
	free(p);
}

void mem_wipe(void *p, size_t n)
{
	if (n)
		explicit_bzero(p, n);
}

void *mem_secret(const void *p, size_t n)
{
	size_t size = n ? n : 1;
	void *own = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (own == MAP_FAILED)
		mem_out(size);
	(void)mlock(own, size);
	(void)madvise(own, size, MADV_DONTDUMP);
	if (n)
		memcpy(own, p, n);
	return own;
}

void mem_secret_free(void *p, size_t n)
{
	if (!p)
		return;
	mem_wipe(p, n);
	munmap(p, n ? n : 1);
}
