/* build/context/git.h - git references of contexts and ADD: parsed, resolved, checked out (spec/dockerfile.md 10.4, spec/threats.md D11, D12).
 *
 * Data:   text -> struct git_ref -> (in a child: the git program, disarmed) -> a tree below a directory fd.
 * Owns:   git_ref_clear(), git_got_clear().
 * Fails:  ERR_INPUT with the fragments of row 63 for what is written, ERR_SOURCE for what the remote does.
 */
#pragma once
#include "base/buf.h"
#include "build/work.h"

enum { GIT_NOT = 1 };                    /* answer: the text is no git reference */

struct git_ref {
	char *remote;                    /* without query and fragment */
	char *host;                      /* for secrets: "github.com" */
	char *ref, *subdir;              /* NULL: not given */
	char *checksum;                  /* hex, or NULL */
	bool has_keep, keep;             /* keep-git-dir */
	bool no_submodules;
	bool has_mtime, mtime_commit;
	bool by_commit;                  /* fetch-by-commit */
};
/* legacy: also github.com/owner/repo (contexts, not ADD). */
bool git_is(const char *text, bool legacy);
int git_parse(const char *text, bool legacy, struct git_ref *ret, struct err **e);
void git_ref_clear(struct git_ref *g);
/* A commit of a submodule: its address as .gitmodules of `of` has it, "../x" counted from there (D11, D12). */
int git_parse_module(const struct git_ref *of, const char *url, const char *commit, struct git_ref *ret, struct err **e);
/* Hexadecimal commit hash, whole (40 or 64 digits). */
bool git_full_hash(const char *s);
/* May this name be given to git (D11)? ERR_INPUT naming `what`. */
int git_check_name(const char *what, const char *name, struct err **e);

/* The value of the Authorization header for a host from the build's secrets GIT_AUTH_TOKEN[.host], GIT_AUTH_HEADER[.host]; NULL: none. New
 * memory, to be wiped. */
struct build_req;
char *git_auth_header(const struct build_req *r, const char *host);
/* The agent for ssh remotes: --ssh default=PATH, else the user's. NULL: none. Borrowed. */
const char *git_ssh_socket(const struct build_req *r);

struct git_req {
	const struct git_ref *ref;
	int dir;                         /* an empty directory; git's own files and "tree" are made in it */
	const char *path;                /* the same, absolute: git wants a name */
	const char *auth_header;         /* value of an Authorization header, NULL; never in argv */
	const char *ssh_socket;          /* agent, NULL */
	bool insecure;                   /* certificates are not checked */
	const struct limit_values *limits;       /* NULL: none; else *used counts what this and its submodules hold */
	uint64_t *used;
};
struct git_got {
	char *commit;                    /* resolved */
	char *ref;                       /* full name, "" for a commit */
	int64_t time;                    /* git_checkout(): when it was committed */
};
/* Only ask the remote what the reference stands for. Blocks: for a child. */
int git_resolve(const struct git_req *r, struct git_got *ret, struct err **e);
/* Resolve and check out. The tree (or its sub-directory) is *ret_tree. Blocks. */
int git_checkout(const struct git_req *r, struct git_got *ret, int *ret_tree, struct err **e);
void git_got_clear(struct git_got *g);
