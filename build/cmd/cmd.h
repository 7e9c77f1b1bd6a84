/* build/cmd/cmd.h - commands: a row in cmd.def, a function in the file of its noun. */
#pragma once
#include "build/opts.h"
#include "build/imagestore.h"

/* args: parsed values of the command's own option struct; pos: positional words. Returns the exit status through *e (0 or -1), or a
 * positive exit status of its own. */
typedef int cmd_fn(struct app *a, void *opts, struct strs *pos, struct err **e);
struct cmd {
	const char *name, *alias;        /* alias: space-separated other spellings */
	const char *args;                /* "CONTEXT", "[NAME]" for the usage line */
	const char *help;                /* one line */
	const struct opt_row *opts;
	size_t opts_size;                /* of the option struct */
	cmd_fn *run;
};
extern const struct cmd *const cmd_table[];              /* NULL-terminated */
