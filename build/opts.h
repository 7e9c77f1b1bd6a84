/* build/opts.h - a command line by table: one row per option is the master copy of parsing, help and completion.
 *
 * Data:   argv -> the command's own struct. Syntax is that of Go's pflag (spec/cli-flags.md 1): --flag value, --flag=value, --flag[=true|false],
 *         -f value, -fvalue, -f=value, grouped short booleans (-qt name), options behind words, "--" ends options.
 * Owns:   texts are borrowed from argv or the table; lists and secrets are copied: opts_clear(), which wipes the secrets.
 * Fails:  ERR_USAGE with the option as it was written; an unknown one gets the nearest spelling.
 */
#pragma once
#include "build/req.h"

enum opt_kind {
	OPT_BOOL,      /* bool */
	OPT_TRI,       /* enum tri: whether it was given counts */
	OPT_TEXT,      /* const char * */
	OPT_HIDDEN,    /* char *: a secret; moved to the heap, what stands in argv is overwritten, with a warning: `to` is the better way */
	OPT_WORD,      /* const char *, one of the words in arg ("auto|tty"); `to`: the value that the bare option means */
	OPT_LIST,      /* struct strs, one element per use */
	OPT_CSV,       /* struct strs, each use may hold several, separated by commas */
	OPT_NUMBER,    /* int64_t */
	OPT_SIZE,      /* uint64_t bytes: "64m" */
	OPT_DURATION,  /* int64_t nanoseconds: "24h" */
	OPT_ALIAS,     /* another row's: to = "name", or "name=value" for a fixed value */
	OPT_ACCEPT,    /* taken, no effect, silent */
	OPT_WARN,      /* taken, no effect; `to` says why, once */
	OPT_ERR,       /* refused; `to` explains */
};
enum tri { TRI_UNSET, TRI_YES, TRI_NO };
struct opt_row {
	char letter;                     /* 0: none */
	const char *name;                /* NULL name ends a table */
	const char *arg;                 /* what help calls its value; NULL: it takes none. "[...]": the value may be left out */
	const char *help;                /* one line; NULL: not listed */
	enum opt_kind kind;
	size_t at;                       /* offset in the struct */
	const char *to;
};
struct opt_set {
	const struct opt_row *rows;
	void *at;                        /* the struct */
};
enum { OPTS_HELP = 1, OPTS_SETS = 2 };

/* sets ends with rows NULL; the first row of a name wins. argv: NULL-terminated, without the program's name. Words that are no options go to pos.
 * Notes of OPT_WARN rows go to warnings. OPTS_HELP: -h or --help was met.
 * stop: NULL, or the index of the first word is stored there and parsing ends before it. */
int opts_parse(const struct opt_set *sets, char *const *argv, struct strs *pos, struct strs *warnings, size_t *stop, struct err **e);
void opts_clear(const struct opt_set *sets);

/* The options as help shows them: sorted, one line each. */
void opts_help(const struct opt_set *sets, struct buf *out);
/* Completion of the last word; before: the word in front of it, or NULL. A line per candidate: "value\thelp". True when the words of a value were
 * the answer (the caller adds nothing); *wants_file: the option takes a value that only the file system knows. */
bool opts_complete(const struct opt_set *sets, const char *before, const char *word, struct buf *out, bool *wants_file);
/* As Go's strconv.ParseBool; -1: it is none. */
int opts_bool(const char *s, bool *ret);
