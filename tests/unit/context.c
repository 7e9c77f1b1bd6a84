/* tests/unit/context.c - git references, file names of URLs, and which Dockerfile and ignore file a directory has (10, 12.1, 13). */
#include "base/at.h"
#include "base/mem.h"
#include "build/context/context.h"
#include "build/context/git.h"
#include "build/context/http.h"
#include "layers/entry.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- 10.1, 10.4 */

static const struct {
	const char *text;
	const char *remote;              /* NULL: not a git reference; "!": refused with err */
	const char *ref, *subdir, *checksum;
	const char *err;
} refs[] = {
	{ "https://host/path/repo.git", "https://host/path/repo.git", NULL, NULL, NULL, NULL },
	{ "https://host/path/repo.git#main", "https://host/path/repo.git", "main", NULL, NULL, NULL },
	{ "https://host/path/repo.git#main:sub/dir", "https://host/path/repo.git", "main", "sub/dir", NULL, NULL },
	{ "https://host/path/repo.git#:sub", "https://host/path/repo.git", NULL, "sub", NULL, NULL },
	{ "https://host/repo.git?branch=x", "https://host/repo.git", "refs/heads/x", NULL, NULL, NULL },
	{ "https://host/repo.git?tag=v1&subdir=a%2Fb", "https://host/repo.git", "refs/tags/v1", "a/b", NULL, NULL },
	{ "https://host/repo.git?tag=refs/tags/v1#refs/tags/v1", "https://host/repo.git", "refs/tags/v1", NULL, NULL, NULL },
	{ "https://host/repo.git?commit=0123abc", "https://host/repo.git", NULL, NULL, "0123abc", NULL },
	{ "https://host/repo.tar.gz", NULL, NULL, NULL, NULL, NULL },
	{ "https://host.git", NULL, NULL, NULL, NULL, NULL },
	{ "https://host/x?y=repo.git", NULL, NULL, NULL, NULL, NULL },
	{ "git://host/x", "git://host/x", NULL, NULL, NULL, NULL },
	{ "ssh://git@host:22/x#v1", "ssh://git@host:22/x", "v1", NULL, NULL, NULL },
	{ "git@github.com:owner/repo", "git@github.com:owner/repo", NULL, NULL, NULL, NULL },
	{ "git@github.com:owner/repo.git#dev:doc", "git@github.com:owner/repo.git", "dev", "doc", NULL, NULL },
	{ "-o@host:x", NULL, NULL, NULL, NULL, NULL },
	{ "./git@github.com:x", NULL, NULL, NULL, NULL, NULL },
	{ "ftp://host/repo.git", NULL, NULL, NULL, NULL, NULL },
	{ "github.com/owner/repo", NULL, NULL, NULL, NULL, NULL },
	{ "dir/file", NULL, NULL, NULL, NULL, NULL },
	{ "https://host/r.git?tag=v1#v1", "!", NULL, NULL, NULL, "ref conflicts" },
	{ "https://host/r.git?ref=a#b", "!", NULL, NULL, NULL, "ref conflicts" },
	{ "https://host/r.git?tag=a&branch=b", "!", NULL, NULL, NULL, "branch conflicts with tag" },
	{ "https://host/r.git?subdir=a#x:b", "!", NULL, NULL, NULL, "subdir conflicts" },
	{ "https://host/r.git?color=red", "!", NULL, NULL, NULL, "unexpected query" },
	{ "https://host/r.git?ref=", "!", NULL, NULL, NULL, "has no value" },
	{ "https://host/r.git?ref=a&ref=b", "!", NULL, NULL, NULL, "has multiple values" },
	{ "https://host/r.git?keep-git-dir=maybe", "!", NULL, NULL, NULL, "invalid keep-git-dir value" },
	{ "https://host/r.git?submodules=2", "!", NULL, NULL, NULL, "invalid submodules value" },
	{ "https://host/r.git?mtime=now", "!", NULL, NULL, NULL, "invalid mtime value" },
	{ "https://host/r.git?checksum=xyz", "!", NULL, NULL, NULL, "expected hex commit hash" },
	{ "https://host/r.git?fetch-by-commit&commit=0123", "!", NULL, NULL, NULL, "fetch-by-commit requires" },
	{ "https://host/r.git#--upload-pack=x", "!", NULL, NULL, NULL, "begins with '-'" },
	{ "https://host/r.git#a..b", "!", NULL, NULL, NULL, "invalid git ref" },
	{ "https://host/r.git?subdir=-x", "!", NULL, NULL, NULL, "begins with '-'" },
	{ "git://-host/x", "!", NULL, NULL, NULL, "invalid git host" },
};

static void test_refs(void)
{
	for (size_t i = 0; i < countof(refs); i++) {
		struct git_ref g = { 0 };
		struct err *e = NULL;
		int rc = git_parse(refs[i].text, false, &g, &e);

		if (!refs[i].remote) {
			is_int(rc, GIT_NOT, refs[i].text);
		} else if (refs[i].err) {
			ok(rc < 0 && strstr(err_text(e), refs[i].err), "%s: %s", refs[i].text, rc < 0 ? err_text(e) : "accepted");
		} else {
			ok(rc == 0, "%s: %s", refs[i].text, rc < 0 ? err_text(e) : "accepted");
			is_str(g.remote, refs[i].remote, "  its remote");
			is_str(g.ref, refs[i].ref, "  its ref");
			is_str(g.subdir, refs[i].subdir, "  its sub-directory");
			is_str(g.checksum, refs[i].checksum, "  its checksum");
		}
		err_free(e);
		git_ref_clear(&g);
	}

	struct git_ref g = { 0 };
	ok(git_parse("github.com/owner/repo#v2", true, &g, NULL) == 0, "the old short form of contexts");
	is_str(g.remote, "https://github.com/owner/repo.git", "  becomes an https address");
	is_str(g.host, "github.com", "  of that host");
	git_ref_clear(&g);
	ok(git_parse("https://me:secret@host:8443/r.git", false, &g, NULL) == 0, "user information");
	is_str(g.host, "host", "  is not part of the host");
	git_ref_clear(&g);
}

/* ---- addresses of submodules (10.4.1, D11) */

static void test_modules(void)
{
	static const struct {
		const char *of, *url, *remote;  /* NULL: not allowed */
	} rows[] = {
		{ "https://h/a/b.git", "https://o/x", "https://o/x" },
		{ "https://h/a/b.git", "git@o:x", "git@o:x" },
		{ "https://h/a/b.git", "ssh://git@o/x", "ssh://git@o/x" },
		{ "https://h/a/b.git", "./x", "https://h/a/b.git/x" },
		{ "https://h/a/b.git", "../x.git", "https://h/a/x.git" },
		{ "https://h/a/b.git/", "../x.git", "https://h/a/x.git" },
		{ "https://u:p@h/a/b.git", "../../c/x.git", "https://u:p@h/c/x.git" },
		{ "https://h/a/b.git", ".././../x", "https://h/x" },
		{ "https://h/a/b.git", "../../../x", NULL },
		{ "https://h/a/b.git", "../../../../o/x", NULL },
		{ "ssh://h", "../x", NULL },
		{ "git@h:b.git", "../x.git", "git@h:x.git" },
		{ "git@h:a/b.git", "../x.git", "git@h:a/x.git" },
		{ "git@h:/srv/b.git", "../../x.git", "git@h:/x.git" },
		{ "git@h:b.git", "../../o:x.git", NULL },
		{ "https://h/b.git", "/srv/x.git", NULL },
		{ "https://h/b.git", "x.git", NULL },
		{ "https://h/b.git", "..", NULL },
		{ "https://h/b.git", "file:///srv/x.git", NULL },
		{ "https://h/b.git", "ext::sh -c id", NULL },
		{ "https://h/b.git", "http::ext::id", NULL },
		{ "https://h/b.git", "ftp://h/x.git", NULL },
		{ "https://h/b.git", "--upload-pack=id", NULL },
		{ "https://h/b.git", "ssh://-oProxyCommand=id/x", NULL },
		{ "https://h/b.git", "-oProxyCommand=id@h:x", NULL },
		{ "https://h/b.git", "git@-oProxyCommand=id:x", NULL },
		{ "https://h/b.git", "../x\n[core]", NULL },
		{ "https://h/b.git", "https:///x", NULL },
		{ "https://h/b.git", "", NULL },
	};

	for (size_t i = 0; i < countof(rows); i++) {
		struct git_ref of = { .remote = (char *)rows[i].of }, g = { 0 };
		struct err *e = NULL;
		int rc = git_parse_module(&of, rows[i].url, "0123", &g, &e);

		if (rows[i].remote)
			is_str(g.remote, rows[i].remote, rows[i].url);
		else
			ok(rc < 0 && strstr(err_text(e), "is not allowed"), "%s of %s: %s", rows[i].url, rows[i].of, rc < 0 ? err_text(e) : g.remote);
		err_free(e);
		git_ref_clear(&g);
	}
}

/* ---- 10.3 */

static void test_names(void)
{
	static const struct {
		const char *url, *name;
	} rows[] = {
		{ "http://h/a/b.txt", "b.txt" },   { "http://h/a/b.txt?x=/y#z", "b.txt" }, { "http://h/a%20b", "a b" },
		{ "http://h/", "__unnamed__" },    { "http://h", "__unnamed__" },          { "http://h/..", "__unnamed__" },
		{ "http://h/a/", "a" },            { "http://h/a%2Fb", "b" },              { "http://h/%zz", "%zz" },
		{ "http://h/x%2", "x%2" },
	};

	for (size_t i = 0; i < countof(rows); i++) {
		AUTO(mem_freep) char *name = http_file_name(rows[i].url);

		is_str(name, rows[i].name, rows[i].url);
	}
	is_int(http_time("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777, "a Last-Modified");
	is_int(http_time("yesterday"), 0, "one that cannot be read is the epoch");
	is_int(http_time(NULL), 0, "none is the epoch");
}

/* ---- directories */

static char *scratch(void)
{
	char *name = mem_str("/tmp/context-test-XXXXXX");

	if (!mkdtemp(name))
		exit(1);
	return name;
}

static void put(const char *dir, const char *name, const char *text)
{
	AUTO(mem_freep) char *path = mem_printf("%s/%s", dir, name);
	int fd = openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		exit(1);
	close(fd);
}

static int list_names(void *arg, const struct entry *en, struct err **e)
{
	struct buf *out = arg;

	buf_printf(out, "%s%s", out->n ? " " : "", en->path);
	return 0;
}

struct dir_case {
	const char *name;
	const char *files[8][2];
	const char *file;                /* -f, below the directory */
	const char *dockerfile, *ignore; /* text that must be found; NULL ignore: none */
	const char *seen;
};
static const struct dir_case dirs[] = {
	{ "the usual names", { { "Dockerfile", "D" }, { ".dockerignore", "x" }, { "x", "" }, { "y", "" } }, NULL, "D", ".dockerignore",
	  ".dockerignore Dockerfile y" },
	{ "13.3 all lower-case", { { "dockerfile", "d" } }, NULL, "d", NULL, "dockerfile" },
	{ "the other tools' name", { { "Containerfile", "c" } }, NULL, "c", NULL, "Containerfile" },
	{ "12.1 the specific ignore file replaces the general one",
	  { { "a.Dockerfile", "A" }, { "a.Dockerfile.dockerignore", "y" }, { ".dockerignore", "x" }, { "x", "" }, { "y", "" } },
	  "a.Dockerfile", "A", "a.Dockerfile.dockerignore", ".dockerignore a.Dockerfile a.Dockerfile.dockerignore x" },
	{ "12.1 an empty specific file ignores nothing", { { "Dockerfile", "A" }, { "Dockerfile.dockerignore", "" }, { ".dockerignore", "*" } },
	  NULL, "A", "Dockerfile.dockerignore", ".dockerignore Dockerfile Dockerfile.dockerignore" },
	{ "the other tools' ignore file", { { "Dockerfile", "A" }, { ".containerignore", "x" }, { "x", "" } }, NULL, "A", ".containerignore",
	  ".containerignore Dockerfile" },
	{ "12.1 both may be ignored and are used", { { "Dockerfile", "A" }, { ".dockerignore", "*" } }, NULL, "A", ".dockerignore", "" },
};

static void remove_scratch(const char *path)
{
	int tmp = openat(AT_FDCWD, "/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (at_rmtree(tmp, path + strlen("/tmp/"), NULL) < 0)
		printf("# cannot remove %s\n", path);
	close(tmp);
}

static void dir_case(struct app *a, const struct dir_case *d)
{
	AUTO(mem_freep) char *dir = scratch();
	AUTO(mem_freep) char *file = d->file ? mem_printf("%s/%s", dir, d->file) : NULL;
	AUTO(context_freep) struct context *c = NULL;
	AUTO(buf_freep) struct buf seen = BUF_MAX(4096);
	struct build_req r = { .context = dir, .file = file };
	struct err *e = NULL;

	for (size_t i = 0; d->files[i][0]; i++)
		put(dir, d->files[i][0], d->files[i][1]);
	if (!ok(context_open(a, &r, &c, &e) == 0, "%s", d->name)) {
		printf("# %s: %s\n", err_text(e), err_cause(e));
	} else {
		const char *slash = c->ignore_name ? strrchr(c->ignore_name, '/') : NULL;

		is_str(c->file.p, d->dockerfile, "  its Dockerfile");
		is_str(slash ? slash + 1 : c->ignore_name, d->ignore, "  its ignore file");
		ok(context_list(c, list_names, &seen, &e) == 0, "  is listed");
		is_str(seen.p ? seen.p : "", d->seen, "  without what is hidden");
	}
	err_free(e);
	remove_scratch(dir);
}

static void test_errors(struct app *a)
{
	AUTO(mem_freep) char *dir = scratch();
	AUTO(mem_freep) char *file = mem_printf("%s/x", dir);
	struct {
		struct build_req r;
		enum err_kind kind;
		const char *text;
	} rows[] = {
		{ { .context = NULL }, ERR_USAGE, "no build context was given" },
		{ { .context = "-", .file = "-" }, ERR_USAGE, "cannot both come from standard input" },
		{ { .context = dir }, ERR_INPUT, "failed to read dockerfile: open Dockerfile: no such file" },
		{ { .context = dir, .file = "/nowhere/D" }, ERR_INPUT, "failed to read dockerfile: open /nowhere/D: no such file" },
		{ { .context = "/nowhere/at/all" }, ERR_SOURCE, "cannot open the build context" },
		{ { .context = file }, ERR_SOURCE, "cannot open the build context" },
		{ { .context = dir, .file = file, .ignorefile = "/nowhere/i" }, ERR_INPUT, "does not exist" },
	};

	put(dir, "x", "FROM scratch\n");
	for (size_t i = 0; i < countof(rows); i++) {
		struct context *c = NULL;
		struct err *e = NULL;

		ok(context_open(a, &rows[i].r, &c, &e) < 0 && err_kind(e) == rows[i].kind && strstr(err_text(e), rows[i].text), "error: %s",
		   rows[i].text);
		err_free(e);
		context_free(c);
	}
	put(dir, ".dockerignore", "ok\n[a\n");
	struct build_req r = { .context = dir, .file = file };
	struct context *c = NULL;
	struct err *e = NULL;
	ok(context_open(a, &r, &c, &e) < 0 && strstr(err_cause(e), "syntax error in pattern"), "12.1 an illegal pattern fails every build");
	err_free(e);
	remove_scratch(dir);
}

static void test_explain(struct app *a)
{
	static const struct {
		const char *path;
		bool exists, ignored, negative, rescued;
		unsigned line;
		const char *at;
	} rows[] = {
		{ "x", true, true, false, false, 2, "x" },         { "y", true, false, false, false, 0, NULL },
		{ "d", true, true, false, true, 3, "d" },          { "d/keep", true, false, true, false, 4, "d/keep" },
		{ "d/other", true, true, false, false, 3, "d" },   { "/d//other", true, true, false, false, 3, "d" },
		{ "gone", false, false, false, false, 0, NULL },
	};
	AUTO(mem_freep) char *dir = scratch();
	AUTO(mem_freep) char *sub = mem_printf("%s/d", dir);
	AUTO(context_freep) struct context *c = NULL;
	struct build_req r = { .context = dir };
	struct err *e = NULL;

	put(dir, "Dockerfile", "");
	put(dir, ".dockerignore", "# comment\nx\nd\n!d/keep\n");
	put(dir, "x", "");
	put(dir, "y", "");
	if (mkdirat(AT_FDCWD, sub, 0755) < 0)
		exit(1);
	put(sub, "keep", "");
	put(sub, "other", "");
	ok(context_open(a, &r, &c, &e) == 0, "a context to explain");
	for (size_t i = 0; i < countof(rows); i++) {
		struct context_verdict v;

		ok(context_explain(c, rows[i].path, &v, &e) == 0 && v.exists == rows[i].exists && v.ignored == rows[i].ignored &&
			   v.negative == rows[i].negative && v.rescued == rows[i].rescued && v.line == rows[i].line,
		   "explain %s: line %u, %s", rows[i].path, v.line, v.ignored ? "ignored" : "visible");
		is_str(v.at, rows[i].at, "  and where it matched");
		context_verdict_clear(&v);
	}
	ok(!context_hides(c, "x"), "15.2 no lint while a pattern can rescue");
	remove_scratch(dir);
}

static void test_named(struct app *a)
{
	static const struct {
		const char *spec, *text;
	} bad[] = {
		{ "ftp://host/x", "unsupported context source 'ftp'" }, { "target:base", "unsupported context source 'target'" },
		{ "input:0", "unsupported context source 'input'" },    { "-", "invalid context specifier" },
		{ "/nowhere/at/all", "cannot open the build context" },
	};
	AUTO(mem_freep) char *dir = scratch();
	AUTO(mem_freep) char *local = mem_printf("local:%s", dir);
	AUTO(buf_freep) struct buf seen = BUF_MAX(4096);
	struct build_req r = { .context = "." };
	struct context *c = NULL;
	struct err *e = NULL;

	for (size_t i = 0; i < countof(bad); i++) {
		ok(context_open_named(a, &r, bad[i].spec, &c, &e) < 0 && strstr(err_text(e), bad[i].text), "13.2 %s: %s", bad[i].spec, bad[i].text);
		err_free(take(&e));
	}
	put(dir, ".dockerignore", "x\n");
	put(dir, ".containerignore", "y\n");
	put(dir, "x", "");
	put(dir, "y", "");
	ok(context_open_named(a, &r, local, &c, &e) == 0 && context_list(c, list_names, &seen, &e) == 0, "13.2 a directory");
	is_str(seen.p, ".containerignore .dockerignore y", "12.1 with the .dockerignore of its own root, only that name");
	context_free(c);
	remove_scratch(dir);
}

int main(void)
{
	AUTO(mem_freep) char *root = scratch();
	AUTO(mem_freep) char *store = mem_printf("%s/store", root);
	struct app a = { .root = store };

	if (store_open(store, &a.store, NULL) < 0)
		return 1;
	test_refs();
	test_modules();
	test_names();
	for (size_t i = 0; i < countof(dirs); i++)
		dir_case(&a, &dirs[i]);
	test_errors(&a);
	test_named(&a);
	test_explain(&a);
	store_close(a.store);
	remove_scratch(root);
	return done_testing();
}
