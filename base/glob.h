/* base/glob.h - the two pattern grammars of the Dockerfile language, as matchers.
 *
 * glob_*   COPY/ADD wildcards: Go's path.Match (spec/dockerfile.md, Appendix B).
 * pats_*   ignore files, --exclude, --parents (Appendix C, evaluation 12.3).
 * Bounds:  time O(pattern x name), no recursion for '*' (spec/threats.md D6).
 */
#pragma once
#include "base/buf.h"

enum { GLOB_NO = 0, GLOB_YES = 1 };

bool glob_has_meta(struct slice pattern);                              /* an unescaped * ? or [ */
int glob_check(struct slice pattern, struct err **e);                  /* "syntax error in pattern" */
int glob_match(struct slice pattern, struct slice name);               /* GLOB_*; malformed: GLOB_NO */

/* How many characters would have to be other ones for the name to match, in any case; UINT_MAX: half of the pattern's own. */
unsigned glob_distance(struct slice pattern, struct slice name);

/* Cut at the first '/' that is not in a class; false: there was none. For well-formed patterns. */
bool glob_cut(struct slice pattern, struct slice *component, struct slice *rest);

/* One compiled Appendix C pattern list; order matters, '!' re-includes. */
struct pats;
struct pats *pats_new(void);
/* text: trimmed and cleaned by the caller's rules. line: 1-based line it came from, 0 for none. */
int pats_add(struct pats *p, struct slice text, bool negative, unsigned line, struct err **e);
size_t pats_count(const struct pats *p);
bool pats_has_negative(const struct pats *p);
void pats_freep(struct pats **p);
/* Does pattern i alone match the whole path? */
bool pats_match_one(const struct pats *p, size_t i, struct slice path);
struct slice pats_text(const struct pats *p, size_t i);
unsigned pats_line(const struct pats *p, size_t i);

/* The verdict of 12.3 for one entry. `parent` holds the hits of the directory above (NULL for the
 * root's children); `self` (pats_hits_new) receives the hits of this entry for its own children. */
struct pats_hits {
	unsigned char *hit;      /* one byte per pattern */
	bool ignored;
	int decided_by;          /* index of the last effective hit, -1: none */
};
void pats_hits_init(struct pats_hits *h, const struct pats *p);
void pats_hits_clear(struct pats_hits *h);
void pats_judge(const struct pats *p, struct slice path, const struct pats_hits *parent, struct pats_hits *self);
/* Could anything below an ignored directory be rescued? False lets a walk skip it. */
bool pats_may_rescue(const struct pats *p, struct slice dir, const struct pats_hits *hits);
