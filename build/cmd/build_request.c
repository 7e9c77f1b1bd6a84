/* build/cmd/build_request.c - options of `kiln build` to a request: every value is checked before anything is started. */
#include "base/mem.h"
#include "build/cmd/build.h"
#include "build/output/output.h"
#include "build/plan.h"
#include "build/wait.h"
#include "layers/comp.h"
#include "parser/flags.h"

enum { ARG_FILE_MAX = 1 << 20 };

/* "K=V", or "K" for the value of the builder's own environment; a K that is not there counts as not given. */
static int build_arg(const char *text, struct build_req *r, struct err **e)
{
	if (!*text || *text == '=')
		return err_set(e, ERR_USAGE, "--build-arg is '%s': the name is missing", text);
	if (strchr(text, '=')) {
		strs_add(&r->build_args, text);
	} else if (getenv(text)) {
		AUTO(mem_freep) char *pair = mem_printf("%s=%s", text, getenv(text));

		strs_add(&r->build_args, pair);
	}
	return 0;
}

/* Lines of NAME=VALUE; empty ones and those that start with '#' do not count. */
static int build_arg_file(struct app *a, const char *path, struct build_req *r, struct err **e)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(ARG_FILE_MAX);
	struct slice rest, line;
	bool more = true;

	if (wait_read_file(a, path, &text, e) < 0) {
		err_kind_set(e, ERR_USAGE);
		return err_wrap(e, "cannot read the build arguments in '%s'", path);
	}
	rest = buf_view(&text);
	while (more) {
		more = slice_cut(rest, '\n', &line, &rest);
		line = slice_trim(line, "\r");
		if (line.n == 0 || line.p[0] == '#')
			continue;
		AUTO(mem_freep) char *arg = mem_strn(line.p, line.n);
		if (build_arg(arg, r, e) < 0)
			return err_wrap(e, "cannot use the build arguments in '%s'", path);
	}
	return 0;
}

static int build_args(struct app *a, struct build_opts *o, struct build_req *r, struct err **e)
{
	const char *epoch = o->epoch ? o->epoch : getenv("SOURCE_DATE_EPOCH");

	/* Files first: what is on the command line wins. */
	for (size_t i = 0; i < o->build_arg_files.n; i++)
		if (build_arg_file(a, o->build_arg_files.v[i], r, e) < 0)
			return -1;
	for (size_t i = 0; i < o->build_args.n; i++)
		if (build_arg(o->build_args.v[i], r, e) < 0)
			return -1;
	r->has_epoch = epoch && *epoch;
	r->epoch = r->has_epoch ? epoch : NULL;
	return 0;
}

/* "NAME" or "NAME::PLATFORM"; the name is like that of an image (spec/dockerfile.md 13.2). */
static int context_name(const char *text, size_t n, struct err **e)
{
	const char *colons = memmem(text, n, "::", 2);
	struct slice name = { text, colons ? (size_t)(colons - text) : n };
	struct platform pf;
	struct ref ref = { 0 };

	if (colons && platform_parse(slice_skip((struct slice){ text, n }, name.n + 2), &pf, e) < 0)
		return err_wrap(e, "--build-context is '%s': invalid context name", text);
	if (ref_parse(name, &ref, e) < 0) {
		err_kind_set(e, ERR_USAGE);
		return err_wrap(e, "--build-context is '%s': invalid context name '%.*s'", text, SLICE_F(name));
	}
	ref_clear(&ref);
	return 0;
}

static int contexts(struct build_opts *o, struct build_req *r, struct err **e)
{
	for (size_t i = 0; i < o->build_contexts.n; i++) {
		const char *text = o->build_contexts.v[i], *eq = strchr(text, '=');

		if (!eq || eq == text || !eq[1])
			return err_set(e, ERR_USAGE, "--build-context is '%s', not of the form NAME=SPEC", text);
		if (context_name(text, (size_t)(eq - text), e) < 0)
			return -1;
		strs_add(&r->build_contexts, text);
	}
	return 0;
}

/* Each of them once (spec/oci.md 4.5 rule 4); "" is none. */
static int platform_add(struct build_req *r, struct slice text, struct err **e)
{
	struct platform p;

	if (text.n == 0)
		return 0;
	if (platform_parse(text, &p, e) < 0)
		return err_wrap(e, "failed to parse target platform '%.*s'", SLICE_F(text));
	const struct platform_text t = platform_text(&p);
	for (size_t i = 0; i < r->platforms.n; i++) {
		if (strcmp(r->platforms.v[i], t.s) == 0) {
			err_set(e, ERR_USAGE, "the platform %s is asked for twice", t.s);
			return err_hint(e, "name each platform once");
		}
	}
	strs_add(&r->platforms, t.s);
	return 0;
}

/* --os, --arch and --variant: what is not given is the host's. */
static int platform_parts(const struct build_opts *o, struct build_req *r, struct err **e)
{
	struct platform host;

	if (!o->os && !o->arch && !o->variant)
		return 0;
	if (r->platforms.n)
		return err_set(e, ERR_USAGE, "--platform names the platform already, so --os, --arch and --variant cannot");
	platform_host(&host);
	AUTO(mem_freep) char *text = mem_printf("%s/%s%s%s", o->os ? o->os : host.os, o->arch ? o->arch : host.arch, o->variant ? "/" : "",
						o->variant ? o->variant : "");
	return platform_add(r, slice_of(text), e);
}

/* An index is what several platforms give, and what one gives when it is asked for (spec/dockerfile.md 4.6). */
static int platform_index(struct build_req *r, struct err **e)
{
	const char *text = plan_arg(r, "BUILDKIT_MULTI_PLATFORM");
	bool several = r->platforms.n > 1 || r->all_platforms, wanted = several;

	if (text && *text && opts_bool(text, &wanted) < 0)
		return err_set(e, ERR_USAGE, "invalid boolean value for multi-platform: '%s'", text);
	if (several && !wanted) {
		err_set(e, ERR_USAGE, "conflicting config: several platforms give an index, which BUILDKIT_MULTI_PLATFORM=%s forbids", text);
		return err_hint(e, "leave it out, or build each platform on its own");
	}
	r->index = wanted;
	return 0;
}

static int platform(const struct build_opts *o, struct build_req *r, struct err **e)
{
	const char *dflt = getenv("DOCKER_DEFAULT_PLATFORM");
	struct slice one = SLICE_NONE, rest = slice_of(dflt);

	for (size_t i = 0; i < o->platforms.n; i++)
		if (platform_add(r, slice_of(o->platforms.v[i]), e) < 0)
			return -1;
	if (platform_parts(o, r, e) < 0)
		return -1;
	if (o->all_platforms && r->platforms.n)
		return err_set(e, ERR_USAGE, "--all-platforms and %s are both asked for", r->platforms.v[0]);
	r->all_platforms = o->all_platforms;
	for (bool more = r->platforms.n == 0 && !r->all_platforms; more;) {
		more = slice_cut(rest, ',', &one, &rest);
		if (platform_add(r, one, e) < 0)
			return err_wrap(e, "cannot use DOCKER_DEFAULT_PLATFORM");
	}
	return platform_index(r, e);
}

/* "check,format=json|sarif,ignorestatus=true"; lint is check. */
static int call(struct build_opts *o, struct build_req *r, struct err **e)
{
	static const char *const known[] = { "build", "check", "outline", "targets", "steps" };
	char **field = NULL;
	size_t n = 0;
	int rc = 0;

	r->call = "build";
	if (!o->call)
		return 0;
	if (csv_split(slice_of(o->call), &field, &n, e) < 0)
		return err_kind_set(e, ERR_USAGE);
	const char *name = n && strcmp(field[0], "lint") == 0 ? "check" : n ? field[0] : "";
	r->call = NULL;
	for (size_t i = 0; i < countof(known); i++)
		if (strcmp(name, known[i]) == 0)
			r->call = known[i];
	if (!r->call)
		rc = err_set(e, ERR_USAGE, "--call is '%s', none of build, check, outline and targets", o->call);
	for (size_t i = 1; i < n && rc == 0; i++) {
		if (strcmp(field[i], "format=json") == 0)
			r->call_format = CALL_JSON;
		else if (strcmp(field[i], "format=sarif") == 0 && r->call && strcmp(r->call, "check") == 0)
			r->call_format = CALL_SARIF;
		else if (strcmp(field[i], "ignorestatus=true") == 0 || strcmp(field[i], "ignorestatus=1") == 0)
			r->call_ignore_status = true;
		else if (strcmp(field[i], "format=text") != 0 && strncmp(field[i], "ignorestatus=", 13) != 0)
			rc = err_set(e, ERR_USAGE, "--call is '%s', but '%s' is neither format=json, ignorestatus=true nor, of a check, format=sarif", o->call, field[i]);
	}
	csv_free(field, n);
	return rc;
}

/* "branch=x,recurse-submodules=false": as kaniko has it. What it fetches is always one commit, so depth and single-branch say nothing. */
static int git(struct build_opts *o, struct build_req *r, struct err **e)
{
	for (size_t i = 0; i < o->git.n; i++) {
		struct slice key, value;
		bool has = slice_cut(slice_of(o->git.v[i]), '=', &key, &value);
		bool yes = !has || slice_is(value, "true") || slice_is(value, "1");

		if (slice_is(key, "branch") && has && value.n) {
			free(r->git.branch);
			r->git.branch = mem_strn(value.p, value.n);
		} else if (slice_is(key, "recurse-submodules")) {
			r->git.no_submodules = !yes;
		} else if (slice_is(key, "insecure-skip-tls")) {
			r->git.insecure = yes;
		} else if (!slice_is(key, "single-branch") && !slice_is(key, "depth")) {
			err_set(e, ERR_USAGE, "--git is '%s', which is no option of a repository", o->git.v[i]);
			return err_hint(e, "there are branch=, recurse-submodules=, insecure-skip-tls=, single-branch= and depth=");
		}
	}
	return 0;
}

/* --timestamp is both: the time of the image, and that of every file in a new layer. */
static int times(struct build_opts *o, struct build_req *r, struct err **e)
{
	uint64_t v;

	r->cache_ttl = o->cache_ttl < 0 ? INT64_MAX : o->cache_ttl / 1000000000;
	r->no_cache |= o->cache_ttl == 0;
	if (!o->timestamp)
		return 0;
	if (!slice_u64(slice_of(o->timestamp), &v) || v > INT64_MAX)
		return err_set(e, ERR_USAGE, "--timestamp is '%s', which is no number of seconds since 1970", o->timestamp);
	if (o->epoch)
		return err_set(e, ERR_USAGE, "--timestamp and --source-date-epoch both say the time");
	r->retime = r->has_epoch = true;
	r->epoch = o->timestamp;
	return 0;
}

static struct output_spec *output_new(struct build_req *r)
{
	r->output = mem_grow(r->output, r->noutput + 1, sizeof(*r->output));
	r->output[r->noutput] = (struct output_spec){ .level = -1 };
	return &r->output[r->noutput++];
}

/* --push alone keeps the image here too; --output replaces the store, --load brings it back. */
static int outputs(struct build_opts *o, struct build_req *r, struct err **e)
{
	r->comp = o->comp;
	r->level = (int)o->level;
	r->force_comp = o->force_comp;
	for (size_t i = 0; i < o->outputs.n; i++) {
		struct output_spec spec;

		if (output_parse(o->outputs.v[i], &spec, e) < 0)
			return -1;
		if (o->no_push) {
			spec.push = spec.push_by_digest = false;
			spec.type = spec.type == OUTPUT_REGISTRY ? OUTPUT_STORE : spec.type;
		}
		*output_new(r) = spec;
	}
	if (o->tar_path) {
		struct output_spec *spec = output_new(r);

		spec->type = OUTPUT_DOCKER;
		spec->dest = mem_str(o->tar_path);
	}
	if (o->layout_path) {
		struct output_spec *spec = output_new(r);

		spec->type = OUTPUT_OCI;
		spec->dest = mem_str(o->layout_path);
		spec->tar_false = true;
	}
	if (o->load || ((o->push || o->rewrite_timestamp) && r->noutput == 0))
		output_new(r)->type = OUTPUT_STORE;
	if (o->push)
		output_new(r)->type = OUTPUT_REGISTRY;
	if (o->manifest && *o->manifest) {
		if (r->tags.n && r->noutput == 0)
			output_new(r)->type = OUTPUT_STORE;
		struct output_spec *spec = output_new(r);

		spec->join = true;
		strs_add(&spec->names, o->manifest);
	}
	for (size_t i = 0; i < r->noutput; i++)
		r->output[i].rewrite_timestamp |= o->rewrite_timestamp;
	return 0;
}

static bool is_off(const char *s)
{
	return strcmp(s, "false") == 0 || strcmp(s, "0") == 0 || strstr(s, "disabled=true");
}

/* Every step has namespaces of its own: who asks for that gets it. */
static void namespaces(struct app *a, const struct build_opts *o)
{
	const char *const name[] = { "ipc", "pid", "uts", "cgroupns" }, *const mode[] = { o->ipc, o->pid, o->uts, o->cgroupns };

	for (size_t i = 0; i < countof(name); i++)
		if (mode[i] && strcmp(mode[i], "private") != 0 && strcmp(mode[i], "container") != 0)
			report_note(a->report, REPORT_WARNING, "--%s has no effect: steps get their own namespaces", name[i]);
}

static void notes(struct app *a, const struct build_opts *o)
{
	namespaces(a, o);
	if (o->provenance && !is_off(o->provenance))
		report_note(a->report, REPORT_WARNING, "--provenance has no effect: attestations are not written");
	if (o->sbom && !is_off(o->sbom))
		report_note(a->report, REPORT_WARNING, "--sbom has no effect: attestations are not written");
}

/* As docker has it: "" is what was not given, so that a script can say --target="$TARGET". */
static const char *given(const char *text)
{
	return text && *text ? text : NULL;
}

int build_request(struct app *a, struct build_opts *o, const char *context, struct build_req *r, struct err **e)
{
	static const char *const pulls[] = { "missing", "always", "never", "newer" };
	static const enum pull_mode modes[] = { PULL_MISSING, PULL_ALWAYS, PULL_NEVER, PULL_NEWER };

	r->context = context;
	r->file = given(o->file);
	r->ignorefile = given(o->ignorefile);
	r->target = given(o->target);
	r->no_cache = o->no_cache;
	r->iidfile = given(o->iidfile);
	r->iidfile_raw = given(o->iidfile_raw);
	r->metadata_file = given(o->metadata_file);
	r->transfer = cmd_transfer(a, &o->net, ERR_SOURCE);
	for (size_t i = 0; o->pull && i < countof(pulls); i++)
		if (strcmp(o->pull, pulls[i]) == 0)
			r->pull = modes[i];
	for (size_t i = 0; i < o->tags.n; i++)
		strs_add(&r->tags, o->tags.v[i]);
	for (size_t i = 0; i < o->destinations.n; i++)
		strs_add(&r->tags, o->destinations.v[i]);
	o->push |= o->destinations.n > 0;
	o->push &= !o->no_push;
	r->sub_path = given(o->sub_path);
	for (size_t i = 0; i < o->no_cache_filter.n; i++)
		strs_add(&r->no_cache_filter, o->no_cache_filter.v[i]);
	if (build_args(a, o, r, e) < 0 || times(o, r, e) < 0 || git(o, r, e) < 0 || contexts(o, r, e) < 0 || build_steps(a, o, r, e) < 0 ||
	    platform(o, r, e) < 0 || call(o, r, e) < 0 || outputs(o, r, e) < 0 || build_image(a, o, r, e) < 0 || output_check(r, e) < 0 ||
	    build_limits(a, o, r, e) < 0)
		return -1;
	notes(a, o);
	return 0;
}
