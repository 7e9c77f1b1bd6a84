/* tests/unit/mirror.c - registries.conf and the mirrors it names (spec/oci.md 2.17). */
#include "registry/mirror.h"
#include "registry/toml.h"

#include "base/at.h"
#include "base/fd.h"
#include "base/mem.h"
#include "../tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static const struct {
	const char *name, *in, *json, *err;
} documents[] = {
	{ "nothing", "", "{}", NULL },
	{ "comments and blank lines", "# a\n\n  # b\r\n", "{}", NULL },
	{ "strings", "a = \"x\\n\\u00e9\\\"\"\nb = 'c:\\d'\nc = \"\" # end", "{\"a\":\"x\\n\303\251\\\"\",\"b\":\"c:\\\\d\",\"c\":\"\"}", NULL },
	{ "booleans and numbers", "a = true\nb = false\nc = 12", "{\"a\":true,\"b\":false,\"c\":12}", NULL },
	{ "an array over lines", "a = [ \"x\", # c\n  'y',\n]\n", "{\"a\":[\"x\",\"y\"]}", NULL },
	{ "an empty array", "a = []", "{\"a\":[]}", NULL },
	{ "an inline table", "a = { b = \"c\", d = true }", "{\"a\":{\"b\":\"c\",\"d\":true}}", NULL },
	{ "tables", "[a]\nx = 1\n[b.\"c d\"]\ny = 2", "{\"a\":{\"x\":1},\"b\":{\"c d\":{\"y\":2}}}", NULL },
	{ "arrays of tables below each other", "[[r]]\nl = \"1\"\n[[r.m]]\nl = \"2\"\n[[r.m]]\nl = \"3\"\n[[r]]\nl = \"4\"",
	  "{\"r\":[{\"l\":\"1\",\"m\":[{\"l\":\"2\"},{\"l\":\"3\"}]},{\"l\":\"4\"}]}", NULL },
	{ "dotted keys", "a.b = 1", "{\"a\":{\"b\":1}}", NULL },
	{ "a key twice is refused", "a = 1\na = 2", NULL, "f:2: the key is there already" },
	{ "a value that is none is refused", "a = yes", NULL, "f:1: a value is expected" },
	{ "no value is refused", "a =", NULL, "a value is expected" },
	{ "no equals sign is refused", "a 1", NULL, "a '=' is expected" },
	{ "an open string is refused", "a = \"x\nb = 1", NULL, "f:1: the string does not end on its line" },
	{ "an open array is refused", "a = [1,", NULL, "the array does not end" },
	{ "multi-line strings are refused", "a = \"\"\"x\"\"\"", NULL, "multi-line" },
	{ "text behind a value is refused", "a = 1 b", NULL, "goes on" },
	{ "a table that is a value is refused", "a = 1\n[a]", NULL, "not a [table]" },
	{ "a list that is a table is refused", "[a]\n[[a]]", NULL, "not a [[list]]" },
	{ "nesting is limited", "a = [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]", NULL, "nested too deep" },
	{ "an unknown escape is refused", "a = \"\\q\"", NULL, "unknown escape" },
	{ "half a character is refused", "a = \"\\ud800\"", NULL, "names no character" },
};

static void toml(void)
{
	for (size_t i = 0; i < countof(documents); i++) {
		AUTO(jval_freep) struct jval *doc = NULL;
		AUTO(buf_freep) struct buf b = BUF_MAX(4096);
		struct err *e = NULL;
		int rc = toml_parse(slice_of(documents[i].in), "f", &doc, &e);

		if (rc == 0)
			jval_print(doc, &b, 0);
		bool good = documents[i].json ? rc == 0 && strcmp(b.p, documents[i].json) == 0 : rc < 0 && strstr(err_cause(e), documents[i].err);
		ok(good, "toml: %s", documents[i].name);
		if (!good)
			printf("# %s\n", rc < 0 ? err_cause(e) : b.p);
		err_free(e);
	}
}

#define D "@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
#define HUB "[[registry]]\nprefix = \"docker.io\"\nlocation = \"docker.io\"\n[[registry.mirror]]\nlocation = \"m1.io/hub\"\n" \
	    "[[registry.mirror]]\nlocation = \"m2.io:5000\"\ninsecure = true\n"
static const struct {
	const char *name, *conf, *ref, *mirror;
	bool push;
	const char *want, *err;          /* "host/repo", '!' behind insecure ones, separated by blanks */
} cases[] = {
	{ "no file", NULL, "alpine", NULL, false, "docker.io/library/alpine", NULL },
	{ "mirrors come first, in order", HUB, "alpine", NULL, false, "m1.io/hub/library/alpine m2.io:5000/library/alpine! docker.io/library/alpine", NULL },
	{ "a push goes to the primary place", HUB, "alpine", NULL, true, "docker.io/library/alpine", NULL },
	{ "another host is not touched", HUB, "ghcr.io/a/b", NULL, false, "ghcr.io/a/b", NULL },
	{ "--registry-mirror is before those of the file", HUB, "x/y", "http://near:99/", false,
	  "near:99/x/y! m1.io/hub/x/y m2.io:5000/x/y! docker.io/x/y", NULL },
	{ "--registry-mirror is for Docker Hub", NULL, "ghcr.io/a/b", "near:99", false, "ghcr.io/a/b", NULL },
	{ "a location replaces its prefix", "[[registry]]\nprefix = \"a.io/team\"\nlocation = \"b.io/x\"", "a.io/team/app:1", NULL, false, "b.io/x/app", NULL },
	{ "also for a push", "[[registry]]\nprefix = \"a.io/team\"\nlocation = \"b.io/x\"", "a.io/team/app:1", NULL, true, "b.io/x/app", NULL },
	{ "a prefix ends at a border", "[[registry]]\nprefix = \"a.io/team\"\nlocation = \"b.io/x\"", "a.io/teams/app", NULL, false, "a.io/teams/app", NULL },
	{ "the longest prefix wins", "[[registry]]\nprefix = \"a.io\"\nlocation = \"one.io\"\n[[registry]]\nprefix = \"a.io/b\"\nlocation = \"two.io\"",
	  "a.io/b/c", NULL, false, "two.io/c", NULL },
	{ "a wildcard matches hosts below", "[[registry]]\nprefix = \"*.a.io\"\ninsecure = true", "x.y.a.io/b", NULL, false, "x.y.a.io/b!", NULL },
	{ "and not the host itself", "[[registry]]\nprefix = \"*.a.io\"\ninsecure = true", "a.io/b", NULL, false, "a.io/b", NULL },
	{ "insecure is per registry", "[[registry]]\nlocation = \"a.io\"\ninsecure = true", "a.io/b", NULL, false, "a.io/b!", NULL },
	{ "blocked is an error", "[[registry]]\nlocation = \"a.io\"\nblocked = true", "a.io/b", NULL, false, NULL, "is blocked" },
	{ "mirrors by digest only: not for a tag", "[[registry]]\nlocation = \"a.io\"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = \"m.io\"",
	  "a.io/b:1", NULL, false, "a.io/b", NULL },
	{ "but for a digest", "[[registry]]\nlocation = \"a.io\"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = \"m.io\"",
	  "a.io/b" D, NULL, false, "m.io/b a.io/b", NULL },
	{ "a mirror for tags only", "[[registry]]\nlocation = \"a.io\"\n[[registry.mirror]]\nlocation = \"m.io\"\npull-from-mirror = \"tag-only\"",
	  "a.io/b" D, NULL, false, "a.io/b", NULL },
	{ "the old format is explained", "[registries.search]\nregistries = ['docker.io']", "alpine", NULL, false, NULL, "old format" },
	{ "a URL is no location", "[[registry]]\nlocation = \"https://a.io\"", "alpine", NULL, false, NULL, "is a URL" },
	{ "a registry needs a name", "[[registry]]\ninsecure = true", "alpine", NULL, false, NULL, "needs a location" },
	{ "a mirror needs a location", "[[registry]]\nlocation = \"a.io\"\n[[registry.mirror]]\ninsecure = true", "alpine", NULL, false, NULL, "needs a location" },
	{ "two minds about one place", "[[registry]]\nprefix = \"a.io\"\nlocation = \"c.io\"\n[[registry]]\nprefix = \"b.io\"\nlocation = \"c.io\"\ninsecure = true",
	  "alpine", NULL, false, NULL, "disagree" },
	{ "a wrong type is named", "[[registry]]\nlocation = \"a.io\"\ninsecure = \"yes\"", "alpine", NULL, false, NULL, "insecure" },
	{ "a location that leads elsewhere is refused", "[[registry]]\nprefix = \"a.io\"\nlocation = \"b.io/../x\"", "a.io/b", NULL, false, NULL,
	  "not the name of a repository" },
};

static void run(const char *top, int root, size_t i)
{
	AUTO(ref_clear) struct ref r = { 0 };
	AUTO(buf_freep) struct buf b = BUF_MAX(4096);
	const char *const mirrors[] = { cases[i].mirror, NULL };
	const struct transfer_opts o = { .mirror = mirrors };
	struct candidate *c = NULL;
	struct err *e = NULL;
	size_t n = 0;
	AUTO(mem_freep) char *path = mem_printf("%s/conf", top);

	unlinkat(root, "conf", 0);
	if (cases[i].conf) {
		AUTO(fd_closep) int fd = openat(root, "conf", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		if (fd < 0 || fd_write_all(fd, cases[i].conf, strlen(cases[i].conf), NULL) < 0)
			abort();
	}
	setenv("CONTAINERS_REGISTRIES_CONF", path, 1);
	if (ref_parse(slice_of(cases[i].ref), &r, NULL) < 0)
		abort();
	int rc = mirror_candidates(&r, &o, cases[i].push, &c, &n, &e);
	for (size_t k = 0; k < n; k++)
		buf_printf(&b, "%s%s/%s%s", k ? " " : "", c[k].host, c[k].repo, c[k].insecure ? "!" : "");
	bool good = cases[i].want ? rc == 0 && strcmp(b.p, cases[i].want) == 0 && c[n - 1].named : rc < 0 && strstr(err_cause(e), cases[i].err);
	ok(good, "%s", cases[i].name);
	if (!good)
		printf("# %s\n", rc < 0 ? err_cause(e) : b.p);
	mirror_free(c, n);
	err_free(e);
}

static void dropins(const char *top, int root)
{
	AUTO(ref_clear) struct ref r = { 0 };
	AUTO(mem_freep) char *config = mem_printf("%s/config", top);
	static const char *const files[][2] = {
		{ "config/containers/registries.conf", "[[registry]]\nlocation = \"a.io\"\ninsecure = true\n" },
		{ "config/containers/registries.conf.d/1.conf", "[[registry]]\nprefix = \"a.io\"\nlocation = \"one.io\"\n" },
		{ "config/containers/registries.conf.d/2.conf", "[[registry]]\nprefix = \"a.io\"\nlocation = \"two.io\"\n" },
	};
	const struct transfer_opts o = { 0 };
	struct candidate *c = NULL;
	size_t n = 0;

	if (at_mkdirs(root, "config/containers/registries.conf.d", 0755, NULL) < 0)
		abort();
	for (size_t i = 0; i < countof(files); i++) {
		AUTO(fd_closep) int fd = openat(root, files[i][0], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		if (fd < 0 || fd_write_all(fd, files[i][1], strlen(files[i][1]), NULL) < 0)
			abort();
	}
	unsetenv("CONTAINERS_REGISTRIES_CONF");
	setenv("XDG_CONFIG_HOME", config, 1);
	ok(ref_parse(slice_of("a.io/x"), &r, NULL) == 0 && mirror_candidates(&r, &o, false, &c, &n, NULL) == 0 && n == 1 &&
	   strcmp(c[0].host, "two.io") == 0 && !c[0].insecure, "the last drop-in replaces the whole table");
	mirror_free(c, n);
}

/* The folder made by mkdtemp() below /tmp goes. */
static void folder_drop(const char *path)
{
	AUTO(fd_closep) int tmp = openat(AT_FDCWD, "/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ok(tmp >= 0 && at_rmtree(tmp, path + strlen("/tmp/"), NULL) == 0, "nothing is left behind");
}

int main(void)
{
	char top[] = "/tmp/kiln-mirror-XXXXXX";

	if (!mkdtemp(top))
		return 2;
	AUTO(fd_closep) int root = openat(AT_FDCWD, top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
	toml();
	for (size_t i = 0; i < countof(cases); i++)
		run(top, root, i);
	dropins(top, root);
	folder_drop(top);
	return done_testing();
}
