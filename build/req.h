/* build/req.h - what a build was asked for: the command line, in the builder's own terms. Filled by build/cmd/build.c. */
#pragma once
#include "build/app.h"

struct strs {                            /* a list of strings in order */
	char **v;
	size_t n, cap;
};
void strs_add(struct strs *s, const char *v);            /* copies */
void strs_clear(struct strs *s);
const char *const *strs_null(struct strs *s);            /* NULL-terminated view */

enum pull_mode { PULL_MISSING, PULL_ALWAYS, PULL_NEVER, PULL_NEWER };

/* Where an annotation stands: in a manifest, with its entry in an index, in the index, or with what names the index. */
enum annotation_place { ANNOTATE_MANIFEST, ANNOTATE_ENTRY, ANNOTATE_INDEX, ANNOTATE_TOP };
struct annotation {
	enum annotation_place place;
	char *platform;                  /* normalised; NULL: all */
	char *key, *value;
};
struct annotations {
	struct annotation *v;
	size_t n;
};
void annotations_clear(struct annotations *a);

enum output_type { OUTPUT_STORE, OUTPUT_REGISTRY, OUTPUT_OCI, OUTPUT_DOCKER, OUTPUT_LOCAL, OUTPUT_TAR, OUTPUT_CACHEONLY };
struct output_spec {
	enum output_type type;
	char *dest;                      /* path, "-" for stdout, NULL */
	struct strs names;               /* name=, else the -t names */
	struct annotations annotations;  /* beside those of the request */
	bool tar_false;                  /* tar=false: a directory */
	bool push, push_by_digest;
	char *comp;                      /* NULL: the request's */
	int level;                       /* -1: default */
	bool force_comp;
	bool docker_types;               /* oci-mediatypes=false */
	bool rewrite_timestamp;
	bool mode_delete;                /* type=local,mode=delete */
	bool join;                       /* add to the index that the name stands for */
	enum split { SPLIT_SEVERAL, SPLIT_YES, SPLIT_NO } split;         /* platform-split: a directory for each platform */
};
void output_spec_clear(struct output_spec *o);

struct secret {
	char *id;
	char *value;                     /* wiped by req_clear */
	size_t n;
};
struct volume {                          /* a place of the host, for every RUN */
	char *source, *target;           /* absolute, clean */
	bool readonly;
	bool device;                     /* --device: a node, not what lies below it */
};
struct limits {                          /* of each RUN; 0, NULL: none */
	uint64_t memory, swap;           /* swap: of both together; UINT64_MAX: all there is */
	uint64_t cpu_shares, cpu_period, cpu_quota;
	char *cpus, *mems;               /* "0-2,4" */
};
struct run_opts {                        /* what every RUN gets beside its own flags (build/cmd/build_steps.c) */
	struct strs dns, dns_search, dns_options;      /* instead of the host's lines */
	bool no_resolv, no_hosts, no_hostname;         /* these files are the image's */
	bool use_stdin;
	bool unfiltered;                 /* --security-opt seccomp=unconfined */
	struct limits limits;            /* those that this host can set */
	const char *cgroup_parent;       /* as it was given, or NULL */
	uint64_t cap_add, cap_drop;
	struct strs groups;
	struct strs mounts;              /* --mount */
	struct strs proxies;             /* "http_proxy=VALUE" of the environment */
	struct volume *volume;
	size_t nvolume;
	struct strs devices;             /* --device by the names of CDI */
	struct strs cdi_dirs;            /* where they are described */
};
enum squash { SQUASH_NONE, SQUASH_NEW, SQUASH_ALL };
struct image_opts {                      /* what the image is besides its files (build/cmd/build_image.c) */
	const char *from;                /* instead of the image of the first FROM */
	struct strs env;                 /* "K=V", before all that the Dockerfile says */
	struct strs unset_env, unset_labels, unset_annotations;
	bool drop_labels;                /* those of the base */
	bool base_annotations;           /* those of its manifest are kept */
	bool created_annotation, identity, omit_history;
	enum squash squash;
	const char *os_version;
	struct strs os_features;
};
struct git_opts {                        /* of the main context, where its address says nothing (--git) */
	char *branch;
	bool no_submodules, insecure;
};
struct build_req {
	const char *context;             /* PATH, URL, "-"; NULL: none given */
	const char *file;                /* -f, or NULL */
	struct strs tags;                /* as given */
	const char *target;
	struct strs build_args;          /* "K=V", names without value already resolved from the environment */
	struct strs labels;              /* "K=V" */
	struct annotations annotations;
	struct strs build_contexts;      /* "NAME=SPEC" */
	bool no_cache;
	struct strs no_cache_filter;     /* stage names */
	enum pull_mode pull;
	struct strs platforms;           /* normalised, one image each, in their order; empty: the host's, which nobody asked for */
	bool all_platforms;              /* those that the base of the target is there for */
	bool index;                      /* the result is an index, also if it is of one image */
	const char *comp;                /* --compression: "zstd" (default), "gzip", "uncompressed" */
	int level;                       /* -1 */
	bool force_comp;
	struct output_spec *output;
	size_t noutput;                  /* 0: the store */
	const char *iidfile, *iidfile_raw, *metadata_file;
	const char *digest_file, *name_digest_file, *tag_digest_file;
	unsigned jobs;                   /* 0: cores */
	const char *network;             /* "default", "host", "none", "private" */
	struct strs add_hosts;           /* "name=ip" */
	struct strs ulimits;
	uint64_t shm_size;
	const char *hostname;            /* or NULL */
	struct run_opts run;
	struct image_opts image;
	struct secret *secret;
	size_t nsecret;
	struct strs ssh;                 /* "id=socket" */
	struct strs allow;               /* network.host, security.insecure */
	const char *ignorefile;
	const char *call;                /* "build", "check", "outline", "targets" */
	enum call_format { CALL_TEXT, CALL_JSON, CALL_SARIF } call_format;      /* SARIF: check only */
	bool call_ignore_status;
	int64_t cache_ttl;               /* seconds; INT64_MAX: all that is known counts */
	bool retime;                     /* --timestamp: every file of a new layer gets that time, and it is the epoch */
	const char *sub_path;            /* directory of the context that is the context; NULL */
	struct git_opts git;
	bool has_epoch;                  /* SOURCE_DATE_EPOCH of the environment */
	const char *epoch;
	struct transfer_opts transfer;   /* kind is set where it is used */
};
void req_clear(struct build_req *r);

/* The whole build: parse, plan, run, export; or, by r->call, only what is checked and listed (printed by the command from `text`). What
 * --iidfile and --metadata-file ask for is written too. */
struct build_done {
	struct digest id;                /* of the image: of its config or index; zero when nothing was built */
	struct buf text;                 /* of --call=check|outline|targets; max set by build_run */
	int status;                      /* exit status of a call; 0 for a build */
};
int build_run(struct app *a, const struct build_req *r, struct build_done *ret, struct err **e);
