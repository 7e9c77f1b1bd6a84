/* tests/unit/ref.c - references (spec/oci.md 2.1). */
#include "registry/ref.h"

#include "../tap.h"

#define D "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
#define HEX "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
#define X32 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X128 X32 X32 X32 X32

static const struct {
	const char *name, *in, *full, *familiar, *err;
} cases[] = {
	{ "a short name gets host, library and latest", "alpine", "docker.io/library/alpine:latest", "alpine", NULL },
	{ "a path on the default host stays", "foo/bar:1", "docker.io/foo/bar:1", "foo/bar:1", NULL },
	{ "localhost is a host", "localhost/x", "localhost/x:latest", "localhost/x", NULL },
	{ "an upper-case first part is a host", "Foo/x", "Foo/x:latest", "Foo/x", NULL },
	{ "a port makes a host", "reg:5000/a/b", "reg:5000/a/b:latest", "reg:5000/a/b", NULL },
	{ "a digest alone has no tag", "reg.io/x@" D, "reg.io/x@" D, "reg.io/x@" D, NULL },
	{ "docker.io can be written out", "docker.io/nginx", "docker.io/library/nginx:latest", "nginx", NULL },
	{ "index.docker.io is docker.io", "index.docker.io/nginx:1", "docker.io/library/nginx:1", "nginx:1", NULL },
	{ "tag and digest are both kept", "alpine:3@" D, "docker.io/library/alpine:3@" D, "alpine:3@" D, NULL },
	{ "latest is kept beside a digest", "alpine:latest@" D, "docker.io/library/alpine:latest@" D, "alpine:latest@" D, NULL },
	{ "an address of version 6 is a host", "[::1]:5000/x:y", "[::1]:5000/x:y", "[::1]:5000/x:y", NULL },
	{ "separators inside components", "a.b/c_d/e__f/g---h", "a.b/c_d/e__f/g---h:latest", "a.b/c_d/e__f/g---h", NULL },
	{ "one level of library is not shortened when it looks like a host", "docker.io/library/a.b", "docker.io/library/a.b:latest",
	  "library/a.b", NULL },
	{ "deeper paths below library keep it", "docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b", NULL },
	{ "a path that looks like a host keeps docker.io", "docker.io/a.b/c", "docker.io/a.b/c:latest", "docker.io/a.b/c", NULL },
	{ "library elsewhere is a word like any other", "reg.io/library/x", "reg.io/library/x:latest", "reg.io/library/x", NULL },
	{ "the longest tag", "x:" X128, "docker.io/library/x:" X128, "x:" X128, NULL },
	{ "an empty name is refused", "", NULL, NULL, "it is empty" },
	{ "an empty tag is refused", "alpine:", NULL, NULL, "the tag is empty" },
	{ "a tag that is too long is refused", "x:" X128 "x", NULL, NULL, "longer than 128" },
	{ "a tag cannot begin with a dot", "x:.y", NULL, NULL, "the tag is malformed" },
	{ "upper case in the repository is refused", "docker.io/Foo", NULL, NULL, "must be lower case" },
	{ "64 hex digits are an image id", HEX, NULL, NULL, "an image id" },
	{ "a blank is refused", "a b", NULL, NULL, "the repository is malformed" },
	{ "three underscores are refused", "a___b", NULL, NULL, "the repository is malformed" },
	{ "two dots are refused", "a..b/c", NULL, NULL, "host name is malformed" },
	{ "a leading dash is refused", "-a", NULL, NULL, "the repository is malformed" },
	{ "an empty component is refused", "reg.io/a//b", NULL, NULL, "the repository is malformed" },
	{ "a missing repository is refused", "reg.io/", NULL, NULL, "the repository is empty" },
	{ "a scheme is refused", "https://reg.io/x", NULL, NULL, "host name is malformed" },
	{ "a port that is none is refused", "reg:99999/x", NULL, NULL, "host name is malformed" },
	{ "a digest in upper case is refused", "x@sha256:" "44136FA355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", NULL, NULL,
	  "the digest is not" },
	{ "a short digest is refused", "x@sha256:4413", NULL, NULL, "the digest is not" },
	{ "another algorithm is refused", "x@md5:" HEX, NULL, NULL, "the digest is not" },
	{ "dots that lead out are refused", "reg.io/../x", NULL, NULL, "the repository is malformed" },
};

static void one(size_t i)
{
	struct ref r = { 0 }, again = { 0 };
	struct err *e = NULL;
	AUTO(buf_freep) struct buf full = BUF_MAX(1024);
	AUTO(buf_freep) struct buf familiar = BUF_MAX(1024);
	int rc = ref_parse(slice_of(cases[i].in), &r, &e);

	if (cases[i].err) {
		ok(rc < 0 && err_kind(e) == ERR_INPUT && strstr(err_cause(e), "invalid reference format") && strstr(err_cause(e), cases[i].err),
		   "%s", cases[i].name);
		if (rc < 0 && !strstr(err_cause(e), cases[i].err))
			printf("# %s\n", err_cause(e));
		err_free(e);
		ref_clear(&r);
		return;
	}
	if (!ok(rc == 0, "%s: parses", cases[i].name)) {
		printf("# %s\n", err_cause(e));
		err_free(e);
		return;
	}
	ref_print(&r, &full);
	ref_familiar(&r, &familiar);
	is_str(full.p, cases[i].full, cases[i].name);
	is_str(familiar.p, cases[i].familiar, cases[i].name);
	ok(ref_parse(buf_view(&full), &again, NULL) == 0 && ref_equal(&r, &again), "%s: the full form means the same", cases[i].name);
	ref_clear(&again);
	ok(ref_parse(buf_view(&familiar), &again, NULL) == 0 && ref_equal(&r, &again), "%s: so does the short one", cases[i].name);
	ref_clear(&again);
	ref_clear(&r);
}

int main(void)
{
	struct ref a = { 0 }, b = { 0 };

	for (size_t i = 0; i < countof(cases); i++)
		one(i);
	ok(ref_parse(slice_of("Reg.io/x"), &a, NULL) == 0 && ref_parse(slice_of("reg.IO/x"), &b, NULL) == 0 && ref_equal(&a, &b),
	   "the case of a host does not count");
	ref_clear(&b);
	ref_copy(&b, &a);
	ok(ref_equal(&a, &b), "a copy is equal");
	ref_clear(&a);
	ref_clear(&b);
	return done_testing();
}
