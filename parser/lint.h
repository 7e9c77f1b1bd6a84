/* parser/lint.h - the checks of spec/dockerfile.md 15: rows in lint.def, one small function each.
 *
 * Data:   parse-phase rules run over a struct file; evaluation-phase rules are reported by the planner through
 *         lint_report() at the line that knows, with the same configuration and per-instruction exceptions.
 */
#pragma once
#include "parser/file.h"

enum lint_rule {
#define LINT(id, name, description, slug, bits, hadolint) LINT_##id,
#include "parser/lint.def"
#undef LINT
	LINT_COUNT,
};
struct lint_row {
	const char *name, *description, *slug;      /* slug NULL: no URL */
	unsigned bits;
	const char *hadolint;                       /* its names there, NULL: none */
};
/* EXPERIMENTAL: only when enabled. EXCEPTION: a comment above the instruction may switch it. OURS: no rule of the
 * language but advice, which neither error=true nor the exit status of a check counts. */
enum { LINT_EXPERIMENTAL = 1, LINT_EXCEPTION = 2, LINT_OURS = 4 };
extern const struct lint_row lint_table[LINT_COUNT];

struct lint_finding {
	enum lint_rule rule;
	char *detail;
	size_t number;                              /* in the order they were found */
	unsigned line, end_line;
	struct span at;                             /* for the caret; from == to: whole lines */
};
struct lint {
	bool skip_all, error;
	bool skip[LINT_COUNT], on[LINT_COUNT];      /* on: experimental ones that were enabled */
	struct lint_finding *found;
	size_t nfound, cap;
	size_t compared;                            /* letters, for "did you mean" */
};
/* config: the check directive's or build argument's value, NULL for none (15.1). */
int lint_init(struct lint *l, const char *config, struct err **e);
void lint_clear(struct lint *l);
void lint_file(struct lint *l, const struct file *f);
void lint_report(struct lint *l, enum lint_rule rule, const struct instr *in, struct span at, const char *fmt, ...)
	PRINTF(5, 6);
/* The same for a line without an instruction of its own. */
void lint_report_line(struct lint *l, enum lint_rule rule, unsigned line, const char *fmt, ...) PRINTF(4, 5);
/* lint_ours.c, lint_secret.c: the rules that are ours, part of lint_file(). */
void lint_ours(struct lint *l, const struct file *f);
void lint_secrets(struct lint *l, const struct file *f);
/* Does the name say that the value is a secret (15.2, SecretsUsedInArgOrEnv)? */
bool lint_secret_name(struct slice name);
/* What a text is that no file should hold ("a private key"), NULL: nothing known. */
const char *lint_secret_kind(struct slice text);
/* "https://docs.docker.com/go/dockerfile/rule/<slug>/" or NULL; borrowed buffer of the caller. */
const char *lint_url(enum lint_rule rule, char *buf, size_t n);
