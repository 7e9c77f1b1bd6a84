/* tests/unit/image.c - manifests and configs from hostile bytes, and back (spec/threats.md M). */
#include "layers/image.h"
#include "base/mem.h"
#include "layers/comp.h"
#include "tests/tap.h"

#define D1 "sha256:1111111111111111111111111111111111111111111111111111111111111111"
#define D2 "sha256:2222222222222222222222222222222222222222222222222222222222222222"
#define OCI "application/vnd.oci.image.manifest.v1+json"
#define INDEX "application/vnd.oci.image.index.v1+json"
#define DOCKER "application/vnd.docker.distribution.manifest.v2+json"
#define CONFIG "{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"" D1 "\",\"size\":2}"
#define GZIP "{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"" D2 "\",\"size\":7}"

static const struct {
	const char *name, *type, *in, *err;
} docs[] = {
	{ "a manifest by its shape", NULL, "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[" GZIP "]}", NULL },
	{ "a manifest by content type", OCI "; charset=utf-8", "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[]}", NULL },
	{ "a server that knows no types", "text/plain", "{\"schemaVersion\":2,\"mediaType\":\"" OCI "\",\"config\":" CONFIG ",\"layers\":[]}",
	  NULL },
	{ "an index", INDEX, "{\"schemaVersion\":2,\"manifests\":[]}", NULL },
	{ "M5: types that contradict each other", OCI, "{\"schemaVersion\":2,\"mediaType\":\"" DOCKER "\",\"config\":" CONFIG ",\"layers\":[]}",
	  "it calls itself '" DOCKER "' but was sent as '" OCI "'" },
	{ "M5: an index sent as a manifest", OCI, "{\"schemaVersion\":2,\"manifests\":[]}",
	  "it has the media type '" OCI "' but the members of an index" },
	{ "M5: both at once", NULL, "{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}", "it is both a manifest and an index" },
	{ "M5: neither", NULL, "{\"schemaVersion\":2}", "it has neither 'layers' nor 'manifests'" },
	{ "M5: schema 1", NULL, "{\"schemaVersion\":1}", "it is in docker's schema 1, which nobody has written for years and kiln does not read" },
	{ "M5: no version", NULL, "{}", "'schemaVersion' is 0, not 2" },
	{ "not an object", NULL, "[]", "it is not a JSON object" },
	{ "M5: some other type", "application/vnd.acme.thing", "{\"schemaVersion\":2,\"layers\":[]}",
	  "it has the media type 'application/vnd.acme.thing', so it is not a container image" },
	{ "M4: layers of the wrong type", NULL, "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":{}}", "member 'layers' is an object instead of an array" },
	{ "no config", NULL, "{\"schemaVersion\":2,\"layers\":[]}", "'config' is missing" },
	{ "M2: a negative size", NULL, "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[{\"mediaType\":\"x\",\"digest\":\"" D1 "\",\"size\":-1}]}",
	  "'size' is -1" },
	{ "M2: no size", NULL, "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[{\"mediaType\":\"x\",\"digest\":\"" D1 "\"}]}", "'size' is missing" },
	{ "no media type", NULL, "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[{\"digest\":\"" D1 "\",\"size\":1}]}",
	  "'mediaType' is missing" },
};

static void parse_cases(void)
{
	for (size_t i = 0; i < countof(docs); i++) {
		AUTO(err_freep) struct err *e = NULL;
		AUTO(manifest_clear) struct manifest m = { 0 };
		int rc = manifest_parse(slice_of(docs[i].in), docs[i].type, &m, &e);

		if (docs[i].err)
			is_str(rc < 0 ? err_cause(e) : "accepted", docs[i].err, docs[i].name);
		else
			ok(rc == 0, "%s%s%s", docs[i].name, rc < 0 ? ": " : "", rc < 0 ? err_cause(e) : "");
	}
}

static const struct {
	const char *name, *in, *err;
} configs[] = {
	{ "a config", "{\"os\":\"linux\",\"architecture\":\"arm64\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" D2 "\"]}}", NULL },
	{ "M8: too few diff IDs", "{\"os\":\"linux\",\"architecture\":\"arm64\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}",
	  "it has 0 diff_ids, but the manifest has 1 layers" },
	{ "a number as diff ID", "{\"os\":\"linux\",\"architecture\":\"arm64\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[1]}}",
	  "entry 0 of 'rootfs.diff_ids' is not a string" },
	{ "M8: another kind of root", "{\"os\":\"linux\",\"architecture\":\"arm64\",\"rootfs\":{\"type\":\"x\",\"diff_ids\":[]}}",
	  "'rootfs.type' is 'x', not 'layers'" },
	{ "M8: no root", "{\"os\":\"linux\",\"architecture\":\"arm64\"}", "'rootfs' is missing, so it is not a container image" },
	{ "no os", "{\"architecture\":\"arm64\"}", "'os' is missing" },
	{ "M9: a variable without value", "{\"os\":\"linux\",\"architecture\":\"x\",\"config\":{\"Env\":[\"HOME\"]}}",
	  "entry 0 of 'Env' is not of the form NAME=VALUE" },
	{ "M9: a variable without name", "{\"os\":\"linux\",\"architecture\":\"x\",\"config\":{\"Env\":[\"A=1\",\"=x\"]}}",
	  "entry 1 of 'Env' is not of the form NAME=VALUE" },
	{ "a label that is a number", "{\"os\":\"linux\",\"architecture\":\"x\",\"config\":{\"Labels\":{\"a\":1}}}",
	  "the value of the label 'a' is not a string" },
	{ "history of strings", "{\"os\":\"linux\",\"architecture\":\"x\",\"history\":[\"a\"]}", "entry 0 of 'history' is not an object" },
	{ "an overlong os", "{\"os\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"architecture\":\"x\"}",
	  "'os' is longer than 31 characters" },
	{ "a variant that cannot be named", "{\"os\":\"linux\",\"architecture\":\"x\",\"variant\":\"v\\u001b\"}",
	  "its platform 'linux/x/v\x1b' is malformed" },
};

static void config_cases(void)
{
	AUTO(manifest_clear) struct manifest m = { 0 };
	AUTO(manifest_clear) struct manifest helm = { 0 };
	AUTO(image_clear) struct image none = { 0 };
	AUTO(err_freep) struct err *err = NULL;

	manifest_parse(slice_of("{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[" GZIP "]}"), NULL, &m, NULL);
	for (size_t i = 0; i < countof(configs); i++) {
		AUTO(err_freep) struct err *e = NULL;
		AUTO(image_clear) struct image im = { 0 };
		int rc = image_from(&m, slice_of(configs[i].in), &im, &e);

		if (configs[i].err)
			is_str(rc < 0 ? err_cause(e) : "accepted", configs[i].err, configs[i].name);
		else
			ok(rc == 0 && im.nlayer == 1 && strcmp(im.layer[0].comp, "gzip") == 0 && im.layer[0].size == 7, "%s", configs[i].name);
	}
	manifest_parse(slice_of("{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/vnd.cncf.helm.config.v1+json\",\"digest\":\"" D1
				"\",\"size\":2},\"layers\":[]}"),
		       NULL, &helm, NULL);
	ok(image_from(&helm, SLICE_LIT("{}"), &none, &err) < 0 && strstr(err_text(err), "not a container image"),
	   "M12: an artifact of another kind is not a container image");
}

#define ENTRY(platform) "{\"mediaType\":\"" OCI "\",\"digest\":\"" D1 "\",\"size\":1" platform "}"
#define ON(os, arch) ",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\"}"

static const struct {
	const char *name, *entries, *want;
	int choice;              /* -1: none */
	const char *err;
} choices[] = {
	{ "the entry of the platform", ENTRY(ON("linux", "arm64")) "," ENTRY(ON("linux", "amd64")), "linux/amd64", 1, NULL },
	{ "the first of two equal ones", ENTRY(ON("linux", "amd64")) "," ENTRY(ON("linux", "amd64")), "linux/amd64", 0, NULL },
	{ "attestations are no candidates", ENTRY(ON("unknown", "unknown")) "," ENTRY(ON("linux", "amd64")), "linux/amd64", 1, NULL },
	{ "an entry without platform is the last resort", ENTRY("") "," ENTRY(ON("linux", "amd64")), "linux/amd64", 1, NULL },
	{ "and serves when nothing else does", ENTRY("") "," ENTRY(ON("linux", "arm64")), "linux/amd64", 0, NULL },
	{ "nothing fits", ENTRY(ON("linux", "arm64")) "," ENTRY(ON("linux", "s390x")), "linux/amd64", -1,
	  "there is no image for the platform linux/amd64; available: linux/arm64, linux/s390x" },
	{ "nothing at all", "", "linux/amd64", -1, "there is no image for the platform linux/amd64; available: none" },
};

static void choose_cases(void)
{
	for (size_t i = 0; i < countof(choices); i++) {
		AUTO(err_freep) struct err *e = NULL;
		AUTO(manifest_clear) struct manifest m = { 0 };
		AUTO(buf_freep) struct buf text = BUF_MAX(1 << 16);
		struct platform want;
		size_t k = 99;

		platform_parse(slice_of(choices[i].want), &want, NULL);
		buf_printf(&text, "{\"schemaVersion\":2,\"mediaType\":\"" INDEX "\",\"manifests\":[%s]}", choices[i].entries);
		ok(manifest_parse(buf_view(&text), NULL, &m, &e) == 0, "an index: %s", choices[i].name);
		int rc = manifest_choose(&m, &want, &k, &e);
		if (choices[i].choice < 0)
			is_str(rc < 0 ? err_cause(e) : "chosen", choices[i].err, choices[i].name);
		else
			is_int(rc < 0 ? -1 : (long long)k, choices[i].choice, choices[i].name);
	}
}

static void write_back(void)
{
	AUTO(image_clear) struct image im = { 0 };
	AUTO(manifest_clear) struct manifest m = { 0 };
	AUTO(buf_freep) struct buf oci = BUF_MAX(1 << 16);
	AUTO(buf_freep) struct buf docker = BUF_MAX(1 << 16);
	AUTO(err_freep) struct err *e = NULL;
	struct digest d;

	digest_of("x", 1, &d);
	manifest_parse(slice_of("{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[" GZIP "]}"), NULL, &m, NULL);
	ok(image_from(&m, slice_of(configs[0].in), &im, NULL) == 0, "an image");
	manifest_clear(&m);
	ok(image_manifest(&im, &d, 5, false, &oci, NULL) == 0 && manifest_parse(buf_view(&oci), OCI, &m, NULL) == 0 && m.nitem == 1 &&
		   m.config.size == 5 && !m.docker,
	   "its manifest reads back");
	manifest_clear(&m);
	ok(image_manifest(&im, &d, 5, true, &docker, NULL) == 0 && manifest_parse(buf_view(&docker), DOCKER, &m, NULL) == 0 && m.docker,
	   "also in docker's form");
	is_str(m.nitem ? m.item[0].media_type : "", "application/vnd.docker.image.rootfs.diff.tar.gzip", "with docker's layer types");
	im.layer[0].comp = comp_zstd.name;
	buf_reset(&docker);
	ok(image_manifest(&im, &d, 5, true, &docker, &e) < 0, "docker's form cannot hold zstd: %s", err_text(e));
}

/* spec/oci.md 4.5 */
static void write_index(void)
{
	AUTO(manifest_clear) struct manifest m = { 0 };
	AUTO(buf_freep) struct buf out = BUF_MAX(1 << 16), again = BUF_MAX(1 << 16);
	struct image im[2] = {
		{ .platform = { .os = "linux", .arch = "arm64", .variant = "v8" } },
		{ .platform = { .os = "windows", .arch = "amd64", .os_version = "10.0", .os_features = "win32k+b" } },
	};
	struct descriptor d[2] = { { .media_type = OCI, .size = 3 }, { .media_type = OCI, .size = 4 } };
	const char *want = "{\"mediaType\":\"" OCI "\",\"digest\":\"%s\",\"size\":4,\"platform\":{\"architecture\":\"amd64\",\"os\":\"windows\","
			   "\"os.version\":\"10.0\",\"os.features\":[\"win32k\",\"b\"]},\"annotations\":{\"k\":\"v\"}}";
	struct jval *doc = NULL;

	digest_of("x", 1, &d[0].digest);
	digest_of("y", 1, &d[1].digest);
	image_annotate(&im[1].entry_annotation, "k", "v");
	ok(image_index(im, d, 2, im[1].entry_annotation, false, &out, NULL) == 0 &&
		   manifest_parse(buf_view(&out), manifest_media_type(DOC_INDEX, false), &m, NULL) == 0 && m.nitem == 2 && !m.docker,
	   "an index reads back");
	is_str(m.nitem ? platform_text(&m.item[0].platform).s : "", "linux/arm64", "its platforms are in normal form");
	ok(jdoc_parse(buf_view(&out), "index", &doc, NULL) == 0 && jval_get(doc, "annotations"), "it has annotations");
	AUTO(buf_freep) struct buf entry = BUF_MAX(1 << 12);
	AUTO(mem_freep) char *text = mem_printf(want, digest_text(&d[1].digest).s);
	if (doc)
		jval_print(jval_at(jval_get(doc, "manifests"), 1), &entry, 0);
	is_str(entry.p, text, "an entry has all that is known of its platform");
	jval_free(doc);
	ok(image_index(im, d, 2, im[1].entry_annotation, false, &again, NULL) == 0 && slice_equal(buf_view(&out), buf_view(&again)),
	   "the same bytes each time");
	jval_free(im[1].entry_annotation);
}

int main(void)
{
	write_index();
	parse_cases();
	config_cases();
	choose_cases();
	write_back();
	return done_testing();
}
