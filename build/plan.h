/* build/plan.h - a parsed file + a request -> stages, evaluated, with the graph of their steps (spec/dockerfile.md 1, 4, 5).
 *
 * Data:   plan_make() does phases 7-14: global arguments, stage table, target, dependencies, base images, triggers, evaluation.
 *         Nothing is executed but the resolution of base images. Stages nobody needs are not evaluated; the plan remembers why.
 * Owns:   the arena owns stages, steps and their strings; images and views are freed by plan_free().
 */
#pragma once
#include "build/imagestore.h"
#include "build/step.h"

struct base_image {                      /* an image the plan refers to, resolved once */
	char *name;                      /* as normalised */
	struct pulled pulled;
	struct digest def;               /* its definition key */
	struct digest *diff;             /* its layers, bottom first */
	struct digest content;           /* chain ID */
};
struct pstage {
	const struct stage *st;
	const char *title;               /* name or "stage-N" */
	struct plan *plan;
	struct platform platform;
	const char *base_name;           /* expanded */
	struct pstage *parent;           /* FROM an earlier stage */
	struct base_image *base;         /* FROM an image; NULL with parent NULL: scratch */
	bool needed, evaluated, no_cache;
	const char *needed_by;           /* who asked for it, for messages */
	struct pstage **dep;             /* stages read by COPY --from and mounts */
	size_t ndep, depcap;
	bool visiting, visited;          /* cycle search */
	const struct instr **instr;      /* triggers, then its own */
	size_t ninstr, ntrigger;
	struct eval eval;                /* its state at the end */
	struct image image;              /* its config at the end, without the layers of its steps */
	size_t base_history;             /* history entries that came from the base image */
	struct step *last;               /* last step of its chain, through its parents; NULL: only the base */
	unsigned nsteps;                 /* counted for titles: FROM an image, RUN, COPY, ADD, WORKDIR */
	bool workdir_set;                /* lint: a WORKDIR was seen in the chain */
	struct view *view;               /* of base + the steps done so far (step_view) */
	size_t nview;                    /* layers pushed */
	struct digest *diff, *content;   /* of base + the steps done so far, and the chain IDs (chain_of) */
	size_t nchain;
	bool base_dir;                   /* FROM a named context that is no image: its files, the config of scratch (13.2) */
	bool hidden;                     /* made for a mount of the context: not in the file */
};
struct context;                          /* build/context/context.h */
struct sched;
struct plan {
	struct app *app;
	const struct build_req *req;
	struct file *file;
	struct arena arena;
	struct lint lint;
	size_t told;                     /* findings that the user saw */
	struct context *context;         /* main context, borrowed */
	struct context **named;          /* named contexts that were opened */
	size_t nnamed, namedcap;
	struct platform build_platform, target_platform;
	struct plan *const *all;         /* the plans of the request, borrowed: up to this one they are made */
	size_t which;                    /* the request's platform that it is for; the findings of the first are told */
	struct vars global;              /* global scope */
	struct pstage *stage;
	size_t nstage;
	struct pstage *target;
	struct step **step;              /* needed steps, in evaluation order */
	size_t nstep, stepcap;
	struct base_image **base;
	size_t nbase, basecap;
	int64_t epoch;                   /* SOURCE_DATE_EPOCH, INT64_MIN: none */
	bool epoch_lost;                 /* it named something that has no time: stages see none */
	size_t expanded;                 /* bytes of all expansions so far (parser/expand.h) */
	struct pstage **hidden;          /* trees of context mounts */
	size_t nhidden, hiddencap;
	struct sched *sched;
	struct sender *sender;           /* NULL: nothing is pushed */
	bool any_run;                    /* some needed stage has a RUN: bases are unpacked while they arrive */
	struct err *error;               /* --check: what stopped the evaluation; a part of the answer (16.1) */
	bool check_only;                 /* --check and friends: all stages, nothing pulled but configs */
};
/* all[which], for that of the request's platforms; those before it share with it what they have opened. */
int plan_make(struct app *a, const struct build_req *r, struct file *f, struct context *c, struct plan **all, size_t which, struct err **e);
/* The image that the target is built on, below all stages: new memory, or NULL when it is none of a registry. */
int plan_root(struct app *a, const struct build_req *r, struct file *f, struct context *c, char **ret, struct err **e);
void plan_free(struct plan *p);
void plan_freep(struct plan **p);

/* The base a name means (build context, stored or remote image), resolved once for all plans. */
int plan_image(struct plan *p, const char *name, const struct platform *pf, bool layers, struct base_image **ret, struct err **e);
int plan_image_name(const char *name, struct err **e);                                 /* is it well-formed? */
struct pstage *plan_stage(const struct plan *p, const char *name, size_t before);      /* latest of that name with index < before */
const char *plan_arg(const struct build_req *r, const char *name);                     /* NULL when not given */
const char *plan_build_arg(const struct plan *p, const char *name);
/* The configuration of the checks: an error is found before those of the text (1, 15.1). */
int plan_lint(const struct build_req *r, const struct source *s, struct lint *ret, struct err **e);

/* build/named.c: names that are none of an earlier stage. */
/* The SPEC of a named context for this name, that of the platform before that of any (5.2 rule 4), or NULL. */
const char *plan_named_context(const struct plan *p, const char *name, const struct platform *pf);
bool plan_spec_image(const char *spec);                  /* docker-image://, oci-layout://: a named context with a config */
/* The last stage of that name in any case; the table may not be complete yet. */
int plan_stage_called(struct plan *p, const char *want, struct pstage **ret, struct err **e);
/* The stage that a named context target:STAGE of this name stands for; *ret NULL: there is no such context. */
int plan_target(struct plan *p, const char *name, const struct platform *pf, struct pstage **ret, struct err **e);
/* A hint for a name that nothing has: a stage, a context or a common image with a letter wrong (19.1). Returns -1. */
int named_near(struct plan *p, const char *name, struct err **e);

/* build/eval.c: one stage, from its base to its last instruction. */
int eval_stage(struct pstage *ps, struct err **e);
/* A stage that is not in the file: FROM scratch with one COPY of a path of the main context (from NULL) or of a named one that is no
 * image, for RUN --mount=type=bind and for FROM. */
int eval_hidden(struct eval *ev, const struct instr *in, const char *from, const struct platform *pf, const char *source, const char *dest,
		struct span at, struct pstage **ret, struct err **e);
/* A named context that is no image, opened once however often it is read. spec lives as long as the plan. */
int eval_named(struct plan *p, const char *name, const char *spec, struct context **ret, struct err **e);
void eval_predefine(struct plan *p);
int eval_global(struct plan *p, struct err **e);
const char *eval_global_get(const struct plan *p, const char *name);      /* NULL: not set */
int eval_global_expand(struct plan *p, const char *text, struct span at, char escape, const struct instr *in, const char **ret, struct err **e);

/* build/title.c: the text of a step's title, secret variables as ****; and all titles, once the steps are counted. */
void step_title(const struct eval *ev, struct step *s, const char *const *secret, size_t nsecret);
void plan_titles(struct plan *p);

/* build/allplatforms.c: for --all-platforms. */
int all_platforms(struct app *a, const struct build_req *r, struct file *f, struct context *c, struct strs *ret, struct err **e);

/* build/epoch.c: the time that SOURCE_DATE_EPOCH gives or names (18.5). */
int epoch_find(struct plan *p, struct err **e);

/* build/lintfrom.c: findings of FROM lines. */
void lint_from(struct plan *p);
/* " (did you mean X?)" for the text of a FROM line with a variable that nothing sets, or "" (5.1). */
const char *lint_meant(struct plan *p, const char *text);
void lint_build_args(const struct plan *p);
void lint_base(struct plan *p, const struct pstage *ps);

/* build/lintcontext.c: findings that need the files of the context or the values of build arguments. */
void lint_context(struct plan *p);

/* build/op/run_mounts.c: a RUN with the mounts that every RUN gets (--mount) before its own. */
const struct instr *run_with_mounts(struct plan *p, const struct instr *in);

/* build/graph.c: which stage needs which. */
/* Is it a decimal integer, with or without a sign? */
bool graph_index(const char *name, long *ret);
int graph_link(struct plan *p, struct err **e);
int graph_edges_of(struct pstage *ps, const struct instr *in, struct err **e);
void graph_reach(struct plan *p);
int graph_cycles(struct plan *p, struct err **e);

/* build/build.c: what was found since the last call, to the user; of the first platform only (15.1). */
void plan_findings(struct plan *p);
/* Rules that fired although the file asks for errors (15.1). */
int plan_violations(struct plan *p, struct err **e);
/* build/call.c: --call=check (by build/check.c), outline, targets: of the first plan; steps: of all. */
int call_run(struct plan *const *all, size_t n, struct build_done *ret, struct err **e);
/* build/sched.c */
/* All the steps of n plans. */
int sched_run(struct plan *const *p, size_t n, struct err **e);
/* build/imageopts.c: what the command line says about the image; before its config is finished, and after. */
void imageopts_config(const struct build_req *r, struct image *im);
int imageopts_finish(struct plan *p, const struct base_image *base, struct image *im, struct err **e);
/* build/squash.c: one layer instead of those above the first nbase, or of all; its blob is in the store. */
int squash_layers(struct plan *p, size_t nbase, struct image *im, struct err **e);
/* build/result.c: the finished image of the target. */
int result_image(struct plan *p, struct image *ret, struct err **e);
/* One image per platform, of plan p[i]. */
int result_outputs(struct plan *const *p, const struct image *im, size_t n, struct build_done *ret, struct err **e);
