/* build/op/copying.h - what the files of COPY and ADD share (copy.c, add.c, copy_work.c, copy_fetch.c).
 *
 * Data:   eval fills a struct copy. key() selects in the main process, with digests from the stat cache. What it does not know is read by
 *         exec's one pass, in a child: a fork of us for contexts, a mapped worker for stages and images. The pass answers with the facts of the
 *         layer and the digest of what was selected; for contexts also, in the files "items" and "read", with every selected file and
 *         what the stat cache should remember. Then key() is asked again and knows.
 * Owns:   everything lives in the plan's arena.
 */
#pragma once
#include "build/step.h"
#include "cache/remotes.h"
#include "layers/pick.h"

enum copy_kind { COPY_PATH, COPY_INLINE, COPY_GIT, COPY_HTTP };
struct copy_source {
	enum copy_kind kind;
	const char *text;                /* path or URL */
	const struct word *word;         /* as written */
	const char *name;                /* COPY_INLINE: its file */
	struct slice content;
};
struct copy {
	struct step *s;
	struct copy_source *source;
	size_t nsource;
	const char *dest_text;           /* expanded */
	const char *dest;                /* absolute, '/' at the end: a directory */
	const char *chown, *chmod;       /* NULL: not given */
	const char *const *exclude;
	size_t nexclude;
	bool parents, link;
	bool literal;                    /* the words stand for themselves */
	struct tree_ref *from;           /* NULL: the main context */
	/* ADD */
	bool unpack, unpack_remote;      /* local archives; --unpack=true */
	bool has_keep, keep;             /* --keep-git-dir */
	const char *checksum;            /* NULL */
	bool pinned;                     /* what is fetched is named by its digest: known without fetching */
	/* after the pass, or when nothing had to be read */
	bool known;
	struct digest selected;
	struct key_items items;          /* copy_items_put()'s */
	const char *remote;              /* what remote sources turned out to be; NULL */
	/* of sources that are all remote and unpinned */
	struct digest question;          /* all of the key that is known without fetching; zero: not of this kind, or not asked yet */
	struct remote_record last;       /* what they were; empty when that is not known */
	/* while it runs */
	const char *comp;
	int level;
};

/* ---- copy.c: evaluation and key, the same for both instructions */
/* Sort a source word into its kind, or refuse it. */
typedef int copy_classify(struct eval *ev, const struct instr *in, const struct word *w, struct copy_source *s, struct err **e);
int copy_eval_words(struct eval *ev, const struct instr *in, copy_classify *classify, struct copy **ret, struct err **e);
/* The step with its history line. */
struct step *copy_eval_step(struct eval *ev, const struct instr *in, struct copy *c);
int copy_key(struct step *s, struct keyer *k, struct err **e);
int copy_exec(struct step *s, struct err **e);
/* The context it reads, NULL when it reads a tree of layers or nothing. */
struct context *copy_context(const struct copy *c);
/* Is the source a tree of layers, which only a mapped worker can read? */
bool copy_mapped(const struct copy *c);
/* --chown resolved in the target; false in *has when it was not given. */
int copy_owner(const struct copy *c, bool *has, uint32_t *uid, uint32_t *gid, struct err **e);
int64_t copy_now(const struct copy *c);
/* What its sources are looked for in, for messages: "the stage 'build'". */
const char *copy_root(const struct copy *c);

/* ---- copy_work.c: the pass */
/* What is selected, as one digest: content and names, with the attributes of source directories (17.2). PICK_UNKNOWN. */
int copy_selected(const struct picked *p, pick_get *get, pick_put *put, void *arg, uint64_t most, struct digest *ret, struct err **e);
/* The selected things for reasons, as a key's list: to the file, or at its end in out when fd is -1. */
int copy_items_put(const struct picked *p, struct buf *out, int fd, struct err **e);
/* A request for pick_run() from the instruction, without trees. Free with copy_req_clear(). */
struct copy_req {
	struct pick_req req;
	struct pick_source *source;
	struct pats *exclude;
};
int copy_req_init(const struct copy *c, struct copy_req *ret, struct err **e);
void copy_req_clear(struct copy_req *r);
/* The local pass: copy_child is a work_fn. */
struct job_self;
int copy_child(void *copy, struct job_self *self, struct buf *out, struct err **e);
/* The mapped one: its payload. dirs: of the source's layers, ROOT-relative. */
int copy_job_put(struct buf *b, const struct copy *c, char **dirs, size_t ndirs, struct err **e);
/* The answer of either, applied to c and *facts. */
int copy_answer(struct copy *c, struct slice out, struct pack_facts *facts, struct err **e);

/* ---- copy_fetch.c: remote sources of ADD, in the pass */
enum { COPY_UNCHANGED = 1 };
struct copy_remote {
	struct pick_tree *tree;          /* of a checkout */
	int dir, fd;                     /* its directory, or the downloaded file; both valid only with `open` */
	bool open, kept;                 /* kept: with .git */
	char *name;
	char *told;                      /* what it was, for the key */
	struct remote_tag tag;           /* with what to ask next time */
	bool same;                       /* not fetched: it is what c->last says */
};
/* Fetch the remote sources below the directory dir, whose absolute path is `path`; fill what pick wants of them. Only asks when c->last is known:
 * COPY_UNCHANGED when it all stands, with nothing fetched. */
int copy_fetch(const struct copy *c, int dir, const char *path, struct copy_remote *ret, struct pick_source *to, struct err **e);
void copy_remote_clear(struct copy_remote *r);
bool copy_all_remote(const struct copy *c);
/* Before it runs, in the main process: the question, and the record of its answer unless the cache is off. */
int copy_ask(struct copy *c, struct err **e);
/* The tags of what was fetched, from the child to the record. */
void copy_tags_put(const struct copy *c, const struct copy_remote *r, struct buf *out);
int copy_tags_get(struct copy *c, struct wire *w, struct err **e);
