/* parser/file.h - a whole Dockerfile: global arguments, stages, instructions (spec/dockerfile.md 1-2, 5.1).
 *
 * Data:   bytes in, a struct file out. Everything is validated that needs no evaluation (phases D, P, T of
 *         19.2): words, flags, argument counts, here-documents, of every stage. Text is NOT expanded.
 * Owns:   the file owns its source, its arena and all it points to; file_free() frees everything. All char
 *         pointers are NUL-terminated and never NULL unless said so.
 * Fails:  file_parse() collects up to 20 errors in struct file_errors, each with place, excerpt and hint; -1
 *         when there is any. ERR_INPUT; ERR_LIMIT over the bounds.
 * Bounds: spec/threats.md 17 (100,000 instructions, 1,000 stages, 4 MiB a logical line, 16 MiB a heredoc).
 */
#pragma once
#include "parser/instr.h"
#include "parser/source.h"

struct word {
	const char *text;                /* unquoted for flags and JSON elements; as written for words */
	struct span at;
};
struct flag {
	const char *name;                /* without "--" */
	const char *value;               /* NULL: given bare */
	struct span at;                  /* the whole word */
	struct span value_at;
};
struct pair {                            /* ENV, LABEL (quotes and escapes kept until expansion), ARG */
	const char *key;
	const char *value;               /* ARG without default: NULL */
	struct span at;
};
struct heredoc {
	const char *name;
	struct slice body;               /* raw bytes up to the terminator line */
	struct slice content;            /* body after TAB removal for <<- */
	bool quoted;                     /* no expansion in COPY/ADD */
	bool strip_tabs;                 /* <<- */
	int word;                        /* COPY/ADD: index into arg[] of the source it is; else -1 */
};
struct instr {
	enum instr_id id;
	const char *spelling;            /* the instruction word as written */
	struct span at;                  /* first to last byte, terminators of here-documents included */
	unsigned line, end_line;
	const struct flag *flag;
	size_t nflag;
	bool json;                       /* arg[] are the elements of a JSON array */
	const char *text;                /* argument text after flags, trimmed; "" when absent */
	struct span text_at;
	const struct word *arg;          /* words, JSON elements, or for SHAPE_TEXT the one argument */
	size_t narg;
	bool has_text;                   /* there was argument text at all */
	const struct pair *pair;
	size_t npair;
	bool legacy;                     /* ENV/LABEL key value form */
	const struct heredoc *doc;
	size_t ndoc;
	bool sole_doc;                   /* RUN: the argument is one here-document and nothing else (2.9.4) */
	const char *run_text;            /* RUN shell form: the command text, here-documents put back (2.9.4 case 2);
	                                    with sole_doc the content. NULL in JSON form */
	/* HEALTHCHECK: text is all of it, arg[] the command behind the type word. */
	const char *trigger;             /* ONBUILD: the stored inner text (2.9.6, 11) */
	bool health_none;                /* HEALTHCHECK NONE */
	const char *doc_comment;         /* collected comment block above (2.4), lines joined by \n; "" */
};
struct stage {
	unsigned index;
	const char *name;                /* lower-cased; NULL when unnamed */
	const char *name_spelling;       /* as written, or NULL */
	struct span name_at;
	const char *base;                /* unexpanded */
	struct span base_at;
	const char *platform;            /* unexpanded --platform, or NULL */
	struct span platform_at;
	const struct instr *from;        /* the FROM itself */
	const struct instr *const *instr;      /* without FROM, in order */
	size_t ninstr;
	unsigned end_line;
};
enum note_kind { NOTE_EMPTY_CONTINUATION };
struct parse_note {
	enum note_kind kind;
	unsigned line;                   /* the last physical line of the logical line, before any here-document */
};
struct file {
	struct source *source;
	char escape;                     /* '\\' or '`' */
	const char *syntax;              /* value of # syntax=, or NULL */
	const char *check;               /* value of # check=, or NULL */
	const struct instr *const *global;     /* ARG before the first FROM */
	size_t nglobal;
	const struct stage *const *stage;
	size_t nstage;
	/* Findings of the parse phase that lint turns into warnings: see parser/lint.h */
	struct parse_note *notes;
	size_t nnotes;
	struct file_priv *priv;
};

struct file_errors {
	struct err *err[20];
	size_t n;
};

int file_parse(const char *name, struct slice text, struct file **ret, struct file_errors *errors);
void file_errors_clear(struct file_errors *errors);
void file_free(struct file *f);
void file_freep(struct file **f);

/* An ONBUILD trigger text: exactly one instruction, escape always backslash (section 11). The instr lives in f's
 * arena and is located at stage's FROM line. */
int file_parse_trigger(struct file *f, const struct stage *stage, const char *text, const struct instr **ret,
		       struct err **e);

/* Values of a flag: NULL / false when absent. */
const struct flag *instr_flag(const struct instr *in, const char *name);
bool instr_flag_bool(const struct instr *in, const char *name, bool absent);
