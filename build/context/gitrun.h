/* build/context/gitrun.h - the git program at work on one repository: inside build/context/git*.c only.
 *
 * Data:   git_open() makes the folders and an empty repository; git_ask() says which commit; git_fetch() brings it, without its history;
 *         git_place() makes files of it; git_modules() does the same for its submodules.
 * Owns:   git_clear().
 * Fails:  ERR_SOURCE with what git said, escaped and cut (spec/threats.md X7).
 * Blocks: all of it is for a child.
 */
#pragma once
#include "build/context/git.h"
#include "build/req.h"

struct git {
	const struct git_req *r;
	char *program, *shown;           /* shown: the remote without user information (S8) */
	struct strs env;
	int tree;
};
int git_open(struct git *g, const struct git_req *r, struct err **e);
/* The same in a directory that is there. The request's credential is for the host of auth_of. */
int git_init(struct git *g, const struct git_req *r, const struct git_ref *auth_of, int take_tree, struct err **e);
void git_clear(struct git *g);

/* git with these words, in the tree. Its exit status; out may be NULL. */
int git_try(struct git *g, const char *const *words, struct buf *out, struct buf *said, struct err **e);
/* The same, and any status but 0 is an error. */
int git_run(struct git *g, const char *const *words, struct buf *out, struct err **e);
#define GIT(g, out, e, ...) git_run(g, (const char *const[]){ __VA_ARGS__, NULL }, out, e)
/* The error of a git that failed. */
int git_said(struct git *g, const char *verb, const struct buf *said, struct err **e);

/* Which commit the reference stands for (10.4.2). */
int git_ask(struct git *g, struct git_got *ret, struct err **e);
/* Bring it; its checksum is right. */
int git_fetch(struct git *g, const struct git_got *got, struct err **e);
/* Not more than the limit, with what came before. */
int git_size(struct git *g, const char *commit, struct err **e);
/* Bring it and check it out; .git is made fit to be kept if that is asked. */
int git_place(struct git *g, const struct git_got *got, bool keep, struct err **e);
/* The submodules of what is checked out, and theirs. */
int git_modules(struct git *g, bool keep, struct err **e);
