/* base/clock.h - time as the program needs it. */
#pragma once
#include "base/err.h"

int64_t clock_ns(void);                              /* CLOCK_MONOTONIC, for durations */
int64_t clock_wall(void);                            /* seconds since 1970 */
int64_t clock_boot_ns(void);                         /* CLOCK_BOOTTIME, for store stamps */
const char *clock_boot_id(char ret[40]);             /* "" when unreadable */
struct clock_text {
	char s[40];
};
struct clock_text clock_rfc3339(int64_t seconds);    /* 2024-01-02T03:04:05Z */
int clock_parse_rfc3339(struct slice s, int64_t *ret);
