/* base/report.h - progress goes up through this one interface: declared at the bottom, implemented by build/ui.
 *
 * Data:   calls come from the main process only (children tell it through job events). Strings are borrowed.
 */
#pragma once
#include "base/err.h"

struct report;

enum report_state { REPORT_STARTED, REPORT_CACHED, REPORT_DONE, REPORT_FAILED, REPORT_CANCELED };
enum report_level { REPORT_DEBUG, REPORT_NOTE, REPORT_WARNING };

struct report_ops {
	/* A step (or transfer) appears. id is stable; title as spec/dockerfile.md 18.6. */
	void (*step)(struct report *r, unsigned id, const char *title);
	/* It changes state; why: the recorded reason ("run again: ..."), may be NULL. bytes: result size or 0. */
	void (*state)(struct report *r, unsigned id, enum report_state s, const char *why, uint64_t bytes);
	/* A piece of the step's output; stream 1 or 2. */
	void (*output)(struct report *r, unsigned id, int stream, struct slice text);
	/* Transfer progress. total 0: unknown. */
	void (*bytes)(struct report *r, unsigned id, const char *what, uint64_t done, uint64_t total);
	void (*note)(struct report *r, enum report_level level, const char *text);
	/* A lint finding or similar, with place. */
	void (*warning)(struct report *r, const char *rule, const char *text, const char *where, const char *excerpt);
	/* One of several errors, which does not end the work: the last one is returned. */
	void (*error)(struct report *r, const struct err *e);
};
struct report {
	const struct report_ops *ops;
};

/* NULL r is silent. */
void report_step(struct report *r, unsigned id, const char *title);
void report_state(struct report *r, unsigned id, enum report_state s, const char *why, uint64_t bytes);
void report_output(struct report *r, unsigned id, int stream, struct slice text);
void report_bytes(struct report *r, unsigned id, const char *what, uint64_t done, uint64_t total);
void report_note(struct report *r, enum report_level level, const char *fmt, ...) PRINTF(3, 4);
void report_error(struct report *r, const struct err *e);
void report_warning(struct report *r, const char *rule, const char *text, const char *where, const char *excerpt);
