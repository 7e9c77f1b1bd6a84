/* base/mem.h - heap memory that cannot fail half-way.
 *
 * Fails:  out of memory ends the process through the hook (default: message, exit 125): sizes from
 *         outside are bounded before they get here (spec/threats.md F6, style.md 8).
 */
#pragma once
#include "base/base.h"

void *mem_alloc(size_t n) NEVER_NULL;            /* uninitialised */
void *mem_zalloc(size_t n) NEVER_NULL;           /* zeroed */
void *mem_array(size_t n, size_t size) NEVER_NULL;            /* zeroed; overflow is out of memory */
void *mem_grow(void *p, size_t n, size_t size) NEVER_NULL;    /* realloc to n elements of size */
void *mem_dup(const void *p, size_t n);
char *mem_str(const char *s);                    /* NULL gives NULL */
char *mem_strn(const char *s, size_t n) NEVER_NULL;
char *mem_printf(const char *fmt, ...) PRINTF(1, 2) NEVER_NULL;
void mem_freep(void *pp);                        /* for AUTO: frees *(void **)pp */
void mem_wipe(void *p, size_t n);                /* explicit_bzero */
/* A copy in pages of its own: in no core dump, and not swapped out when the user may lock memory (spec/threats.md S3). */
void *mem_secret(const void *p, size_t n) NEVER_NULL;
void mem_secret_free(void *p, size_t n);         /* wiped; NULL is fine */

/* Called when memory is out; must not return. The one writable global besides the signal flag. */
void mem_hook(void (*hook)(size_t n));
/* End the process as for a failed allocation of n bytes: for libraries that answer NULL without memory. */
void mem_out(size_t n) __attribute__((noreturn));

/* Make room for one more element in a growing array: MEM_ROOM(v->item, v->n, v->cap). */
#define MEM_ROOM(ptr, n, cap)                                                       \
	do {                                                                        \
		if ((n) >= (cap)) {                                                 \
			(cap) = (cap) ? (cap) * 2 : 8;                              \
			(ptr) = mem_grow((ptr), (cap), elem_size(ptr));              \
		}                                                                   \
	} while (0)
