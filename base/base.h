/* base/base.h - the few idioms every file uses: cleanup by attribute, handing over, checked sums. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/banned.h"

/* Run fn(&variable) when the variable goes out of scope. Initialise on the declaration line. */
#define AUTO(fn) __attribute__((cleanup(fn)))

/* Hand over a pointer: returns *pp and leaves NULL behind, so AUTO does nothing. */
#define take(pp)                          \
	({                                \
		__auto_type take_pp_ = (pp);   \
		__auto_type take_v_ = *take_pp_; \
		*take_pp_ = NULL;         \
		take_v_;                  \
	})

#define countof(a) (sizeof(a) / sizeof((a)[0]))
/* Of what p points at, also where these are pointers again: there sizeof(*p) looks like a mistake to those who check. */
#define elem_size(p) sizeof(__typeof__(*(p)))
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))

/* True on overflow, like C23 <stdckdint.h>. */
#define ckd_add(ret, a, b) __builtin_add_overflow(a, b, ret)
#define ckd_sub(ret, a, b) __builtin_sub_overflow(a, b, ret)
#define ckd_mul(ret, a, b) __builtin_mul_overflow(a, b, ret)

#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define NEVER_NULL __attribute__((returns_nonnull))
#define MUST_USE __attribute__((warn_unused_result))
