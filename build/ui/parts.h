/* build/ui/parts.h - inside the ui: what is known of steps, and what a mode is. */
#pragma once
#include "build/ui/redact.h"
#include "build/ui/ui.h"

enum { UI_TAIL = 20, UI_LINE_MAX = 16 << 10 };

struct ui_transfer {
	char *what;
	uint64_t done, total;
	int64_t shown;                   /* when it was last told, ns; plain and json tell seldom */
};
struct ui_step {
	unsigned id;
	char *title, *why;
	enum report_state state;
	bool started, ended;
	int64_t begin, end;              /* ns */
	uint64_t bytes;
	struct buf part[2];              /* unfinished line of each stream */
	char *tail[UI_TAIL];             /* ring of the last lines */
	size_t ntail;                    /* lines seen */
	struct ui_transfer *transfer;
	size_t ntransfer, transfercap;
};
struct ui_mode {
	const char *name;
	void (*step)(struct ui *u, const struct ui_step *s);
	void (*state)(struct ui *u, const struct ui_step *s);
	void (*line)(struct ui *u, const struct ui_step *s, int stream, const char *line);
	void (*bytes)(struct ui *u, struct ui_step *s, struct ui_transfer *t);
	void (*note)(struct ui *u, enum report_level level, const char *text);
	void (*warning)(struct ui *u, const char *rule, const char *text, const char *where, const char *excerpt);
	void (*draw)(struct ui *u);      /* terminals: bring the screen up to date */
	void (*end)(struct ui *u);
	void (*error)(struct ui *u, const struct ui_step *failed, const struct err *e);
};
struct ui {
	struct report report;
	const struct ui_mode *mode;
	int fd, log;                     /* log: >= 0: ours, and fd is not used but for the last error */
	bool debug, colour, dirty;
	int64_t wall;                    /* ns from our clock to that on the wall */
	struct loop *loop;
	struct watch *tick;
	struct ui_step **step;
	size_t nstep, cap;
	const struct ui_step *failed;
	unsigned drawn;                  /* lines of the live region on the screen */
	struct redact redact;
};
extern const struct ui_mode ui_tty, ui_plain, ui_json, ui_rawjson, ui_quiet_mode;

void ui_write(struct ui *u, const struct buf *b);
/* "error: ..." as people read it, secrets replaced. */
void ui_error_write(struct ui *u, const struct ui_step *failed, const struct err *e);
/* The i-th of the kept lines, oldest first; NULL behind the last. */
const char *ui_tail_line(const struct ui_step *s, size_t i);
double ui_seconds(const struct ui_step *s);
/* A finding, for people; used by all modes but json. */
void ui_warning_text(const char *rule, const char *text, const char *where, const char *excerpt, struct buf *out);
