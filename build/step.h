/* build/step.h - an instruction that works on files: its operation, inputs, key and result.
 *
 * Data:   a stage is evaluated instruction by instruction (struct eval): expansion, config, history. Instructions that work on
 *         files add a struct step to the stage's chain. The scheduler asks the step's operation for its key, looks it up, and
 *         only on a miss calls exec, which starts jobs and ends by exactly one of step_packed() or step_failed().
 * Owns:   steps, their strings and data live in the plan's arena.
 */
#pragma once
#include "base/arena.h"
#include "build/req.h"
#include "build/vars.h"
#include "cache/steps.h"
#include "layers/config.h"
#include "layers/listing.h"
#include "layers/pack.h"
#include "parser/file.h"
#include "parser/lint.h"

struct plan;
struct pstage;
struct step;
struct eval;
struct tree_ref;
struct base_image;
struct context;

/* One row per instruction (parser/instr.def): the symbol op_<ID> in build/op/<id>.c, or meta.c. */
struct op {
	/* Evaluate: expand, edit ev's image config, add history; file system instructions call eval_step(). */
	int (*eval)(struct eval *ev, const struct instr *in, struct err **e);
	/* Every input that exec reads, by name. STEP_READ: a content digest is only known after exec's pass; STEP_ASK: nor the names
	 * that a reason would tell. NULL: no files. */
	int (*key)(struct step *s, struct keyer *k, struct err **e);
	/* Start it. -1: could not start. */
	int (*exec)(struct step *s, struct err **e);
	/* May be NULL. The step below is running: make ready what exec will start then. False: not this one. Afterwards either exec comes, or
	 * ahead_off, which ends by step_not_ahead(). */
	bool (*ahead)(struct step *s);
	void (*ahead_off)(struct step *s);
	/* Title words after the instruction word are in->text by default. */
};
enum { STEP_READ = 1, STEP_ASK };
extern const struct op *const op_table[INSTR_COUNT];

/* ---- evaluation */
struct eval {
	struct plan *plan;
	struct pstage *stage;
	struct arena *arena;
	struct image *image;             /* the stage's config so far */
	struct vars var;                 /* stage build environment in order (4.1) */
	struct vars arg;                 /* declared ARGs, first position kept; value NULL: none (8.9) */
	bool env_twice;                  /* the image's Env has a name twice: vars' places in it are not sure */
	bool cmd_set;                    /* a CMD was seen in this stage (7.8) */
	bool trigger;                    /* the instruction is an ONBUILD trigger */
	const char *const *onbuild;      /* collected by ONBUILD */
	size_t nonbuild;
};
const char *eval_get(const struct eval *ev, const char *name);
void eval_set(struct eval *ev, const char *key, const char *value, bool arg);
/* Also in the image. */
void eval_env(struct eval *ev, const char *key, const char *value);
/* Expand text (NUL-terminated, arena). Errors are placed at `at`; unknown variables go to lint. */
int eval_expand(struct eval *ev, const struct instr *in, const char *text, struct span at, const char **ret, struct err **e);
int eval_expand_raw(struct eval *ev, const struct instr *in, struct slice text, const char **ret, struct err **e);   /* here-documents */
int eval_expand_words(struct eval *ev, const struct instr *in, const char *text, struct span at, const char ***ret, size_t *n, struct err **e);
const char *eval_cwd(const struct eval *ev);             /* absolute; "/" by default */
/* Absolute, cleaned; a trailing '/' or '/.' of text, "" and "." keep the directory mark '/' (6.1). */
const char *eval_path(struct eval *ev, const char *text);
const char *eval_printf(struct eval *ev, const char *fmt, ...) PRINTF(2, 3);
/* History of an instruction without a layer. */
void eval_history(struct eval *ev, const char *created_by);
/* A file system step with its history line. data: the operation's own, arena. */
struct step *eval_step(struct eval *ev, const struct instr *in, const char *created_by, void *data);
/* Another stage, named context or image that the step reads (COPY --from, mount from=). place: what errors call it ("cannot copy from
 * stage"). NULL name: the main context (no tree). Registers the dependency. */
int eval_from(struct eval *ev, const struct instr *in, struct step *s, const char *name, struct span at, bool numbers, const char *what,
	      struct tree_ref **ret, struct err **e);

/* ---- trees a step can read */
enum tree_kind { TREE_SCRATCH, TREE_STAGE, TREE_IMAGE, TREE_DIR };
struct tree_ref {
	enum tree_kind kind;
	struct pstage *stage;            /* TREE_STAGE */
	struct image *image;             /* TREE_IMAGE (digest known) */
	struct base_image *base;
	struct context *context;         /* TREE_DIR: a named context (directory, git, http) */
	const char *name;
};
/* What a finished tree is: its layers' diff IDs bottom first, its keys. */
struct chain {
	const struct digest *diff;
	size_t n;
	struct digest def, content;      /* definition key of the tree; content key (chain ID; all-zero for empty) */
};
/* Valid once the step's dependencies are done. */
int tree_chain(struct step *s, const struct tree_ref *t, struct chain *ret, struct err **e);
int tree_view(struct step *s, const struct tree_ref *t, struct view **ret, struct err **e);      /* new; listings are there */

/* ---- a step */
enum step_state { STEP_WAITING, STEP_KEYED, STEP_RUNNING, STEP_FROZEN, STEP_DONE, STEP_FAILED };
struct step {
	unsigned id;
	const struct op *op;
	const struct instr *in;
	struct plan *plan;
	struct pstage *stage;
	struct step *parent;             /* the step below in the chain; NULL: the stage's base */
	const char *title, *goal;        /* goal: "->arm64", what another platform is compiled for here; "" */
	const char *cwd, *user;          /* state before the instruction */
	void *data;
	struct tree_ref **reads;
	size_t nreads;
	enum step_state state;
	bool no_cache, trigger;
	/* keys and result */
	struct keyer keyer;
	struct digest def, content;
	bool has_def, has_content, cached, asks;         /* asks: its key was STEP_ASK */
	bool stale;                      /* found, and too old */
	struct step_record record;
	int64_t started;
	const char *why;
	char tmp[80];                    /* its directory in the store while it is made */
	char frozen[96];                 /* "tmp/<id>/<n>/fs" once frozen and not committed yet; "" otherwise */
	size_t history;                  /* index of its history entry among the stage's new ones */
	void *run;                       /* the operation's running state */
	bool locked;
	int lock;                        /* of its key, when locked: other builders wait (build/flight.h) */
	struct sending *sending;         /* its blob is on its way to a registry (build/sender.h) */
	struct job *job;                 /* what runs for it now: cancelled when another step failed */
	bool packed;                     /* made[] is there, waiting to be committed */
	enum { AHEAD_NO, AHEAD_WAITS, AHEAD_LEAVES } ahead;      /* op->ahead() made it ready; it is on its way out */
	bool wait_parent;                /* may hit by content key once its frozen parent is packed */
	struct step_made *made;
	void (*resume)(struct step *s);  /* called once everything below is committed */
	size_t ordinal;                  /* place in the stage, for the slot of reasons */
};
struct app *step_app(const struct step *s);
const struct build_req *step_req(const struct step *s);
/* The merged view below the step (its parent chain): borrowed, valid until the step is done (it grows with the stage, so that a chain of
 * n steps opens n listings, not n*n). Empty for scratch. */
int step_view(struct step *s, struct view **ret, struct err **e);
/* The diff IDs below the step, bottom first; borrowed from the plan's arena. For a mapped job that opens the view itself. */
int step_lower(struct step *s, const struct digest **ret, size_t *n, struct err **e);
/* Parent chain as a key input "parent" (def and, when known, content). */
void step_key_parent(struct step *s, struct keyer *k);
/* The compression its blob should have for the outputs asked for. */
const char *step_comp(const struct step *s, int *level);
/* Its layer leaves this store at the end of the build, or an index of it names blobs: it is compressed in the pass that reads it anyway. */
bool step_leaves(const struct step *s);
int64_t step_clamp(const struct step *s);                /* INT64_MAX: none */
/* ROOT-relative lower directories for a mount, bottom first; unpacks what is missing first: calls then() when they are there. */
typedef void step_then(void *arg, char **dirs, size_t n, struct err *take_err);
int tree_dirs(struct step *s, const struct tree_ref *t, step_then *then, void *arg, struct err **e);
int step_dirs(struct step *s, step_then *then, void *arg, struct err **e);       /* of its parent chain */

struct step_made {
	struct pack_facts facts;
	const char *tmp;                 /* store directory that holds "listing", "blob" when comp, "fs" when tree */
	const char *comp;                /* NULL: no blob */
	int level;
	bool tree;
};
void step_packing(struct step *s, const char *comp);              /* a job that writes the blob (comp) has begun */
void step_frozen(struct step *s);                                /* s->frozen is set: a RUN on top may start */
void step_packed(struct step *s, const struct step_made *m);
/* The one or the other, by a packer's answer or its error: m but for the facts. */
void step_pack_answer(struct step *s, struct slice out, struct err *take, struct step_made m);
void step_failed(struct step *s, struct err *take);
void step_not_ahead(struct step *s);                             /* what op->ahead() made is gone */
void step_unchanged(struct step *s);                             /* nothing was made, as its key is known now: look it up again */
void step_output(struct step *s, int stream, struct slice text);

/* build/cgroup_leaf.c: a cgroup of the step's own; path NULL: nobody asked for limits. */
struct cgroup_leaf {
	char *path;
	int dir, procs;                  /* procs: a process that writes "0" to it is in */
};
int step_cgroup(struct step *s, struct cgroup_leaf *ret, struct err **e);
/* Its job is gone. Why memory ran out, if it did: new memory, or NULL. */
char *step_cgroup_end(struct step *s, struct cgroup_leaf *c);

/* Errors at the instruction: "Dockerfile:7: COPY a b: ..." with excerpt. Returns -1. */
int step_wrap(struct step *s, struct err **e);
int step_wrap_at(struct step *s, struct span at, struct err **e);

/* History helpers (18, 8.9). */
const char *history_run(struct eval *ev, const char *argv_text);
