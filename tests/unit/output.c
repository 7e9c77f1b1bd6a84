/* tests/unit/output.c - what --output says (spec/cli-flags.md 9.1), and what is refused before a build. */
#include "build/output/output.h"
#include "base/mem.h"
#include "tests/tap.h"

static const struct {
	const char *name, *in, *want, *err;
} cases[] = {
	{ "a path is a directory", "out", "local dest=out", NULL },
	{ "a dash is a tar on standard output", "-", "tar dest=-", NULL },
	{ "the store", "type=image", "image", NULL },
	{ "the store, and a push", "type=image,name=a:1,push=true", "image push name=a:1", NULL },
	{ "several names in quotes", "type=image,\"name=a:1,b\",push=1", "image push name=a:1 name=b", NULL },
	{ "a registry", "type=registry,name=r.io/a", "registry name=r.io/a", NULL },
	{ "by digest only", "type=registry,name=r.io/a,push-by-digest=true", "registry by-digest name=r.io/a", NULL },
	{ "docker's engine is our store", "type=docker", "image", NULL },
	{ "a docker archive", "type=docker,dest=x.tar", "docker dest=x.tar", NULL },
	{ "an OCI archive goes to standard output", "type=oci", "oci dest=-", NULL },
	{ "an OCI directory", "type=oci,dest=d,tar=false", "oci dest=d directory", NULL },
	{ "keys of layers", "type=oci,dest=d,compression=gzip,compression-level=9,force-compression=true,oci-mediatypes=false,rewrite-timestamp=true",
	  "oci dest=d gzip 9 force docker rewrite", NULL },
	{ "a directory that loses what is not in the image", "type=local,dest=o,mode=delete", "local dest=o delete", NULL },
	{ "a path with '=' in quotes", "type=local,\"dest=a,b\"", "local dest=a,b", NULL },
	{ "nothing", "type=cacheonly", "cacheonly", NULL },
	{ "the order does not matter", "dest=x,type=tar", "tar dest=x", NULL },
	{ "empty", "", NULL, "it is empty" },
	{ "no type", "dest=x", NULL, "type= is missing" },
	{ "an unknown type", "type=squashfs,dest=x", NULL, "there is no output type 'squashfs', only image, registry, docker, oci, local, tar and cacheonly" },
	{ "a key of another type", "type=local,dest=x,name=a", NULL, "type=local has no key 'name'" },
	{ "an unknown key", "type=image,nmae=a", NULL, "type=image has no key 'nmae'" },
	{ "no destination", "type=local", NULL, "dest= is missing" },
	{ "not a pair", "type=image,push", NULL, "'push' is not of the form KEY=VALUE" },
	{ "not a boolean", "type=image,push=maybe", NULL, "push is 'maybe', which is neither true nor false" },
	{ "an unknown compression", "type=oci,dest=x,compression=estargz", NULL, "there is no compression 'estargz'" },
	{ "a compression that is only read", "type=oci,dest=x,compression=xz", NULL, "there is no compression 'xz'" },
	{ "a level out of reach", "type=oci,dest=x,compression-level=99", NULL, "compression-level is '99', not a number from 0 to 22" },
	{ "a bad mode", "type=local,dest=x,mode=move", NULL, "mode is 'move', neither copy nor delete" },
	{ "a quote that is not closed", "type=image,\"name=a", NULL, "failed to parse csv: a quoted field has no closing \"" },
};

static const char *type_name(enum output_type t)
{
	static const char *const names[] = { [OUTPUT_STORE] = "image", [OUTPUT_REGISTRY] = "registry", [OUTPUT_OCI] = "oci", [OUTPUT_DOCKER] = "docker",
					     [OUTPUT_LOCAL] = "local", [OUTPUT_TAR] = "tar",           [OUTPUT_CACHEONLY] = "cacheonly" };

	return names[t];
}

static void show(const struct output_spec *o, struct buf *b)
{
	buf_str(b, type_name(o->type));
	if (o->dest)
		buf_printf(b, " dest=%s", o->dest);
	buf_printf(b, "%s%s%s", o->tar_false ? " directory" : "", o->push ? " push" : "", o->push_by_digest ? " by-digest" : "");
	for (size_t i = 0; i < o->names.n; i++)
		buf_printf(b, " name=%s", o->names.v[i]);
	if (o->comp)
		buf_printf(b, " %s", o->comp);
	if (o->level >= 0)
		buf_printf(b, " %d", o->level);
	buf_printf(b, "%s%s%s%s", o->force_comp ? " force" : "", o->docker_types ? " docker" : "", o->rewrite_timestamp ? " rewrite" : "",
		   o->mode_delete ? " delete" : "");
}

static void parse_cases(void)
{
	for (size_t i = 0; i < countof(cases); i++) {
		AUTO(err_freep) struct err *e = NULL;
		AUTO(buf_freep) struct buf got = BUF_MAX(1 << 16);
		struct output_spec o = { 0 };
		int rc = output_parse(cases[i].in, &o, &e);

		if (rc == 0)
			show(&o, &got);
		if (cases[i].err)
			ok(rc < 0 && err_kind(e) == ERR_USAGE, "it is a usage error: %s", cases[i].name);
		is_str(rc < 0 ? err_cause(e) : got.p, cases[i].err ? cases[i].err : cases[i].want, cases[i].name);
		output_spec_clear(&o);
	}
}

/* Each row: a tag or NULL, --compression or NULL, one output. */
static const struct {
	const char *name, *tag, *comp, *output, *err;
} checks[] = {
	{ "a push without a name", NULL, NULL, "type=registry", "there is no name to push to" },
	{ "a push with a name of -t", "a", NULL, "type=registry", NULL },
	{ "a push with a name of its own", NULL, NULL, "type=image,name=a,push=true", NULL },
	{ "a name that is none", "A b", NULL, "type=image", "invalid reference format: 'A b': the repository must be lower case" },
	{ "a name with a digest", "a@sha256:1111111111111111111111111111111111111111111111111111111111111111", NULL, "type=image",
	  "'a@sha256:1111111111111111111111111111111111111111111111111111111111111111' cannot be the name of an image that is still to be built: it "
	  "has a digest" },
	{ "a directory on standard output", NULL, NULL, "type=local,dest=-", "a directory cannot be written to standard output" },
	{ "an OCI directory on standard output", NULL, NULL, "type=oci,tar=false", "a directory cannot be written to standard output" },
	{ "docker's form with zstd", NULL, NULL, "type=oci,dest=x,oci-mediatypes=false", "a manifest of docker's form cannot hold layers compressed with zstd" },
	{ "docker's form with gzip", NULL, "gzip", "type=oci,dest=x,oci-mediatypes=false", NULL },
	{ "a level that the compression does not have", NULL, "gzip", "type=oci,dest=x,compression-level=22", NULL },
};

static void check_cases(void)
{
	for (size_t i = 0; i < countof(checks); i++) {
		AUTO(err_freep) struct err *e = NULL;
		AUTO(req_clear) struct build_req r = { .comp = checks[i].comp, .level = -1 };

		if (checks[i].tag)
			strs_add(&r.tags, checks[i].tag);
		r.output = mem_zalloc(sizeof(*r.output));
		r.noutput = 1;
		ok(output_parse(checks[i].output, r.output, NULL) == 0, "an output: %s", checks[i].output);
		int rc = output_check(&r, &e);
		if (strstr(checks[i].output, "level=22"))
			ok(rc < 0 && strstr(err_cause(e), "gzip has the levels ") == err_cause(e), "%s: %s", checks[i].name, err_cause(e));
		else
			is_str(rc < 0 ? err_cause(e) : NULL, checks[i].err, checks[i].name);
	}
}

int main(void)
{
	parse_cases();
	check_cases();
	return done_testing();
}
