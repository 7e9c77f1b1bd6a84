/* build/ui/ui.h - what the user sees of running work: implements base/report.h.
 *
 * Data:   all modes get the same events: steps, their states, whole lines of output, transfers. Lines are assembled, stripped of secrets and escaped
 *         (spec/threats.md X7, S7) here, once, before any mode sees them.
 * Owns:   the fd is the caller's. A failed write is ignored: a closed terminal must not fail a build.
 * Bounds: per step the unfinished line (16 KiB) and the last 20 lines.
 */
#pragma once
#include "base/loop.h"
#include "base/report.h"

struct ui;

/* progress: "auto" or NULL (tty on a terminal, else plain), "tty", "plain", "json", "rawjson", "quiet", "none". debug: show debug notes. */
int ui_new(const char *progress, int fd, bool debug, struct ui **ret, struct err **e);
void ui_free(struct ui *u);
struct report *ui_report(struct ui *u);
/* A terminal is kept up to date from this loop. */
void ui_loop(struct ui *u, struct loop *l);
/* Both find the ui behind a report; NULL is fine.
 * From now on only errors, warnings and the last lines of what failed are shown (-q; json and rawjson stay). */
void ui_quiet(struct report *r);
/* From now on everything goes to take_fd, one line for each event, and what ended a failed build to the terminal too. */
void ui_log(struct report *r, int take_fd);
/* This must never be printed. Copied; wiped by ui_free(). */
void ui_redact(struct report *r, struct slice secret);
/* Finish lines in flight and leave the cursor below them. */
void ui_end(struct ui *u);
/* The end of a command that failed: the last lines of the step that failed, then the error. */
void ui_error(struct ui *u, const struct err *e);
