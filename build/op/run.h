/* build/op/run.h - the pieces of RUN: what was evaluated, its mounts. */
#pragma once
#include "build/op/cdi.h"
#include "build/plan.h"
#include "parser/flags.h"

struct run_input {                       /* one --mount, evaluated */
	struct mount_opts o;
	const char *target;              /* absolute, cleaned; NULL: only an environment variable */
	struct tree_ref *tree;           /* bind, cache with from */
	const char *source;              /* path in the tree, "" = root */
	const struct secret *secret;     /* NULL: not given */
	const char *id;                  /* secret, ssh, cache */
	const char *socket;              /* ssh */
	struct strs dirs;                /* filled before the start */
	const struct flag *flag;
	size_t row;                      /* in the worker's description */
	bool context;                    /* tree is a hidden stage made of the main context */
};
struct run_device {                      /* one --device */
	const char *name;
	bool required;
	const struct flag *flag;
};
struct run {
	struct step *s;
	const char **argv;
	size_t argc;
	const char **env;                /* "K=V": in the key */
	size_t nenv;
	const char **extra;              /* proxies and secrets: not in the key */
	size_t nextra;
	struct run_input *mount;
	size_t nmount;
	const char *script_name;         /* sole here-document with #!: /dev/pipes/NAME */
	struct slice script;
	enum run_net net;
	bool insecure;
	struct run_device *device;
	size_t ndevice;
	struct cdi_edit edit;            /* what they bring: found before the start, not in the key */
	const char *hostname;
	/* running */
	size_t pending;
	struct err *e;
	struct strs lower;
	const char *driver;
	const char *comp;                /* of the blob that the packer makes; NULL: none */
	int level;
	struct cgroup_leaf cgroup;       /* while it runs, if limits or --cgroup-parent were given */
	struct run_result result;
	bool ended, mounting, asking;
	struct job *waits;               /* its worker, ready and waiting for the step below (run_ahead) */
	bool open, go;                   /* the worker has opened its directories; it may go on */
	int out[2];                      /* read ends of stdout, stderr; -1 when at their end */
	struct watch *watch[2];
};

/* build/op/run_spec.c */
int run_key(struct step *s, struct keyer *k, struct err **e);
/* Packed. It may hold secrets: the caller wipes it. */
int run_spec_of(struct run *r, bool waits, struct buf *out, struct err **e);

/* build/op/run_mounts.c */
/* One --mount, expanded; its strings are the evaluation's. The id of a secret or an agent (8.6). */
int run_mount_parse(struct eval *ev, const struct instr *in, const struct flag *f, struct mount_opts *ret, struct err **e);
const char *run_mount_id(struct eval *ev, const struct mount_opts *o);
int run_mounts_eval(struct eval *ev, const struct instr *in, struct run *r, struct err **e);
int run_mounts_deps(struct eval *ev, const struct instr *in, struct run *r, struct err **e);
int run_mounts_key(struct run *r, struct keyer *k, struct err **e);
/* Is everything there that the mounts require? Asked before the start. */
int run_mounts_given(const struct run *r, struct err **e);
/* Secrets as environment variables: added to extra just before the start, never part of the key. */
void run_mounts_env(struct run *r);
int run_mounts_spec(struct run *r, struct run_spec *spec, struct err **e);
/* The worker could not prepare one: where that is written, and what its source may have been meant for. */
void run_mounts_failed(struct run *r, struct err **e);

/* build/op/run_devices.c */
/* Is the name of a permission among those that were given (8.4)? */
bool run_allowed(const struct plan *p, const char *what);
int run_refuse(struct eval *ev, const struct flag *f, const char *what, struct err **e);
int run_devices_eval(struct eval *ev, const struct instr *in, struct run *r, struct err **e);
void run_devices_key(const struct run *r, struct keyer *k);
/* What this host has of them; one that is required has to be there. Asked before the start. */
int run_devices_given(struct run *r, struct err **e);
/* The groups that they bring, behind those of the description. */
void run_devices_groups(struct run *r, struct run_spec *spec);
