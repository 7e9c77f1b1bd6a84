/* build/ui/human.h - quantities as people read them. */
#pragma once
#include "base/buf.h"

struct human {
	char s[32];
};
struct human human_bytes(uint64_t n);            /* "3.4 MB" */
struct human human_seconds(double seconds);      /* "0.3s", "1m23s" */
struct human human_ago(int64_t when, int64_t now);       /* "3 days ago" */
