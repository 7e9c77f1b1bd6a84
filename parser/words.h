/* parser/words.h - the characters and words of an instruction (spec/dockerfile.md 2.1, 2.5, 2.7, 2.8).
 *
 * Data:   slices in, slices of the same text out. Four classes of blanks exist; each function names the one it uses.
 */
#pragma once
#include "base/slice.h"

struct arena;

/* WS-uni: Unicode White_Space. The width in bytes of the blank at text.p, 0 when there is none. */
size_t blank_at(struct slice text);
struct slice trim_blanks(struct slice text);
struct slice trim_blanks_left(struct slice text);
/* WS-arg: TAB VT FF CR SPACE. */
bool is_arg_blank(char c);
/* A character of a variable's name: Unicode letters and digits, '_'. */
bool is_name_char(uint32_t c);
/* A character that shows as itself in a quoted list of the history (Appendix D.2): letters, marks, numbers, punctuation, symbols, ' '. */
bool is_printable(uint32_t c);
/* Bytes of the variable name at the start of text (3.3): one special character, a run of digits, or a name. */
size_t name_length(struct slice text);

/* The next word at *at, blanks being WS-arg. False at the end. */
bool word_next(struct slice text, size_t *at, struct slice *ret);

/* The next word of ENV, LABEL, ARG: blanks are WS-uni, quotes group and stay, the escape protects and stays. */
bool pair_next(struct slice text, char escape, size_t *at, struct slice *ret);

/* One word that begins with "--", quotes and escapes removed (2.5). raw: as written. False when the text at *at
 * begins with anything else; *at is then the first character of the argument text. After "--" alone: false too. */
bool flag_next(struct slice text, char escape, size_t *at, struct slice *raw, struct arena *a, char **ret);

/* 2.7: is the whole text a JSON array? Elements are decoded into the arena; of JSON_FORM_OTHER the first that is no string, raw. */
enum json_form { JSON_FORM_NO, JSON_FORM_STRINGS, JSON_FORM_OTHER };
struct json_element {
	struct slice raw;                /* with its quotes */
	char *text;
	size_t n;                        /* bytes of text: more than strlen() when it holds a NUL */
};
enum json_form json_form(struct slice text, struct arena *a, struct json_element **ret, size_t *n);
