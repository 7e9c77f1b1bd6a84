/* build/check.h - the answer of --call=check as text, JSON and SARIF 2.1.0 (spec/dockerfile.md 16.1), and what the other calls share.
 *
 * Data:   findings and errors of one Dockerfile. A file that does not parse has no findings, and may have several errors.
 */
#pragma once
#include "base/jdoc.h"
#include "build/plan.h"

struct check {
	const char *name;                /* of the Dockerfile, as shown */
	struct slice text;
	const struct source *source;     /* NULL: it did not parse */
	const struct lint_finding *found;       /* by line; in JSON as they were found */
	size_t nfound;
	struct err *const *error;
	size_t nerror;
};
int check_run(struct plan *p, struct build_done *ret, struct err **e);
/* A file that does not parse: its errors are the answer. */
int check_parse_errors(const struct build_req *r, const char *name, struct slice text, const struct file_errors *errors,
		       struct build_done *ret, struct err **e);
struct jval *sarif_log(const struct check *c);                                         /* build/sarif.c */
/* Text and cause in one sentence. new */
char *check_message(const struct err *error);

struct jval *call_location(unsigned line, unsigned end);
struct jval *call_sources(const char *name, struct slice text);
