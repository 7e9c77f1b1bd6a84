/* build/ui/redact.h - known secrets never reach the screen (spec/threats.md S7). */
#pragma once
#include "base/buf.h"

struct redact {
	struct buf *pattern;             /* secrets and their usual encodings */
	size_t n, cap;
};
void redact_add(struct redact *r, struct slice secret);
/* text to out, with every occurrence of a known secret replaced by "***", and of credentials that show as such (registry/hide.h). */
void redact_apply(const struct redact *r, struct slice text, struct buf *out);
void redact_clear(struct redact *r);     /* wipes */
