/* build/cmd/build.h - inside `kiln build`: what its options hold, and how they become a request. */
#pragma once
#include "build/cmd/cmd.h"

enum { BUILD_LIMITS = 7 };               /* in the order of build_limits.c */
struct build_opts {
	const char *limit[BUILD_LIMITS], *cgroup_parent;
	struct strs resources;
	struct strs tags, build_args, build_arg_files, labels, annotations, build_contexts, no_cache_filter, outputs, add_hosts, ulimits, secrets, ssh, allow, devices, cdi_dirs, platforms,
		dns, dns_search, dns_options, cap_add, cap_drop, groups, mounts, volumes, envs, unset_envs, unset_labels, unset_annotations,
		os_features, git, destinations;
	const char *file, *target, *pull, *comp, *iidfile, *iidfile_raw, *metadata_file, *epoch, *network, *hostname, *ignorefile, *call, *provenance, *sbom;
	const char *os, *arch, *variant, *ipc, *pid, *uts, *cgroupns;
	struct strs security;
	const char *timestamp, *sub_path, *context, *logfile, *tar_path, *layout_path;
	const char *digest_file, *name_digest_file, *tag_digest_file;
	const char *from, *format, *os_version, *manifest;
	enum tri http_proxy, inherit_labels, inherit_annotations, created_annotation, identity_label, layers;
	bool no_hosts, no_hostname, use_stdin, omit_history, no_push, squash, squash_all, all_platforms;
	bool no_cache, force_comp, push, load, quiet, rewrite_timestamp;
	int64_t level, jobs, cache_ttl;
	uint64_t shm_size;
	struct net_opts net;
};
extern const struct opt_row build_table[];
extern const struct build_opts build_defaults;

/* Options and the context word to a request, which borrows from them. Secrets are told to the screen, so that it never shows them. */
int build_request(struct app *a, struct build_opts *o, const char *context, struct build_req *r, struct err **e);
/* build_image.c; outputs are known. */
int build_image(struct app *a, struct build_opts *o, struct build_req *r, struct err **e);
/* build_steps.c */
int build_steps(struct app *a, struct build_opts *o, struct build_req *r, struct err **e);
/* build_limits.c; before anything else is started, for this process may have to move. */
int build_limits(struct app *a, struct build_opts *o, struct build_req *r, struct err **e);
/* --secret and --ssh (build_secret.c). */
int build_secret(struct app *a, const char *spec, struct build_req *r, struct err **e);
int build_ssh(struct app *a, const char *spec, struct build_req *r, struct err **e);
