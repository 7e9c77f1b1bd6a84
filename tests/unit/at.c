/* tests/unit/at.c - paths below a root fd: links stay inside, trees of any shape go. */
#include "base/at.h"
#include "base/mem.h"
#include "tests/tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static void write_file(int dir, const char *path, const char *text)
{
	AUTO(fd_closep) int fd = at_open(dir, path, O_WRONLY | O_CREAT | O_TRUNC, 0644, NULL);

	if (fd < 0 || fd_write_all(fd, text, strlen(text), NULL) < 0)
		abort();
}

static void reading(int root)
{
	static const struct {
		const char *name, *path;
		int rc;
		const char *content;
	} cases[] = {
		{ "a file", "etc/passwd", 0, "inside" },
		{ "an absolute path is below the root", "/etc/passwd", 0, "inside" },
		{ "dots do not leave the root", "../../../../etc/passwd", 0, "inside" },
		{ "an absolute link stays inside", "abs/passwd", 0, "inside" },
		{ "a link with dots stays inside", "dots/passwd", 0, "inside" },
		{ "a link to a file is followed", "file-link", 0, "inside" },
		{ "a missing file", "etc/none", AT_MISSING, NULL },
		{ "a file used as a directory", "etc/passwd/x", AT_MISSING, NULL },
		{ "a link to nowhere", "nowhere", AT_MISSING, NULL },
		{ "a fifo is not waited on", "fifo", -1, NULL },
		{ "a directory is not a file", "etc", -1, NULL },
		{ "a link loop", "loop", -1, NULL },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		AUTO(buf_freep) struct buf b = BUF_MAX(100);
		int rc = at_read(root, cases[i].path, &b, NULL);

		ok(rc == cases[i].rc && (rc != 0 || strcmp(b.p, cases[i].content) == 0), "P1, P7: %s", cases[i].name);
	}
	AUTO(buf_freep) struct buf small = BUF_MAX(3);
	AUTO(err_freep) struct err *e = NULL;
	ok(at_read(root, "etc/passwd", &small, &e) < 0 && err_kind(e) == ERR_LIMIT, "a file beyond the buffer is a limit");

	int fd = -1;
	ok(at_open_store(root, "etc/passwd", O_RDONLY, 0, NULL) >= 0, "the store's own paths open");
	ok(at_open_store(root, "abs/passwd", O_RDONLY, 0, NULL) < 0, "but not through links");
	ok(at_open_store(root, "../x", O_RDONLY, 0, NULL) < 0, "and not out of it");
	ok(at_try_store(root, "none", O_RDONLY, &fd, NULL) == AT_MISSING && fd == -1, "missing is an answer");
	fd = at_open(root, "", O_PATH, 0, NULL);
	ok(fd >= 0 && fcntl(fd, F_GETFD) & FD_CLOEXEC, "the empty path is the root; close-on-exec");
	close(fd);
}

static void parents(int root)
{
	static const struct {
		const char *path;
		int rc;
		const char *name;
	} cases[] = {
		{ "etc/passwd", 0, "passwd" }, { "/etc/new", 0, "new" }, { "top", 0, "top" },   { "/", 0, "" },
		{ "", 0, "" },                 { ".", 0, "" },           { "a/b/c", AT_MISSING, NULL },
		{ "etc/..", -1, NULL },        { "etc/", -1, NULL },     { "etc/.", -1, NULL },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		AUTO(fd_closep) int dir = -1;
		const char *name = NULL;
		int rc = at_parent(root, cases[i].path, &dir, &name, NULL);

		ok(rc == cases[i].rc && (rc != 0 || (dir >= 0 && strcmp(name, cases[i].name) == 0)), "P3: parent of '%s'",
		   cases[i].path);
	}
}

static void making(int root)
{
	struct stat st;
	mode_t old = umask(077);

	is_int(at_mkdirs(root, "x/y/z", 0755, NULL), 0, "directories are made");
	AUTO(fd_closep) int x = at_open(root, "x/y", O_PATH, 0, NULL);
	ok(at_stat(x, "z", &st, NULL) == 0 && (st.st_mode & 07777) == 0755, "with the mode asked for, whatever the umask");
	is_int(at_mkdirs(root, "x/y/z/", 0700, NULL), 0, "existing ones are fine");
	is_int(at_mkdirs(root, "abs/sub", 0755, NULL), 0, "through a link that stays inside");
	AUTO(fd_closep) int etc = at_open(root, "etc", O_PATH, 0, NULL);
	ok(at_stat(etc, "sub", &st, NULL) == 0 && S_ISDIR(st.st_mode), "where the link leads");
	ok(at_mkdirs(root, "etc/passwd/x", 0755, NULL) < 0, "a file in the way is an error");
	ok(at_mkdirs(root, "nowhere/x", 0755, NULL) < 0, "a link to nowhere is an error");
	is_int(at_mkdirs(root, "/", 0755, NULL), 0, "the root is there");
	is_int(at_mkdir(x, "z", 0755, NULL), 0, "an existing directory is fine");
	ok(at_mkdir(root, "abs", 0755, NULL) < 0, "an existing link is not");
	is_int(at_stat(root, "none", &st, NULL), AT_MISSING, "stat of nothing");
	is_int(at_unlink(root, "none", NULL), 0, "removing nothing is fine");
	umask(old);
}

static void listing(int root)
{
	AUTO(fd_closep) int dir = -1;
	struct at_names n = { 0 };

	at_mkdir(root, "list", 0755, NULL);
	dir = at_open(root, "list", O_RDONLY | O_DIRECTORY, 0, NULL);
	static const char *const names[] = { "b", "a", "\xc3\xa9", "B", "a.b", "a-b" };
	for (size_t i = 0; i < countof(names); i++)
		write_file(dir, names[i], "");
	for (int round = 0; round < 2; round++) {
		is_int(at_list(dir, &n, NULL), 0, "list");
		ok(n.n == 6 && strcmp(n.name[0], "B") == 0 && strcmp(n.name[1], "a") == 0 &&
			   strcmp(n.name[2], "a-b") == 0 && strcmp(n.name[3], "a.b") == 0 &&
			   strcmp(n.name[5], "\xc3\xa9") == 0,
		   "sorted bytewise, and again the same");
		at_names_clear(&n);
	}
	AUTO(fd_closep) int path_fd = at_open(root, "list", O_PATH, 0, NULL);
	ok(at_list(path_fd, &n, NULL) == 0 && n.n == 6, "an O_PATH fd will do");
	at_names_clear(&n);
}

/* Below dir: depth directories, one in the other. */
static void make_deep(int dir, size_t depth)
{
	int at = fd_dup(dir, NULL);

	for (size_t i = 0; i < depth; i++) {
		char name[16];

		snprintf(name, sizeof(name), "d%zu", i % 3);
		if (mkdirat(at, name, 0755) < 0)
			abort();
		int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (i % 50 == 0)
			write_file(next, "file", "x");
		if (i > 0 && i % 7 == 0 && fchmod(at, i % 2 ? 0 : 0555) < 0)
			abort();
		close(at);
		at = next;
	}
	close(at);
}

static void removing(int root)
{
	AUTO(err_freep) struct err *e = NULL;
	struct rlimit limit, few;
	struct stat st;

	at_mkdir(root, "deep", 0755, NULL);
	AUTO(fd_closep) int deep = at_open(root, "deep", O_RDONLY | O_DIRECTORY, 0, NULL);
	make_deep(deep, 5000);
	for (int i = 0; i < 200; i++) {
		char name[16];

		snprintf(name, sizeof(name), "wide%d", i);
		at_mkdir(deep, name, i % 2 ? 0 : 0755, NULL);
	}
	ok(symlinkat("/etc", deep, "outside") == 0, "a link out of the tree lies in it");

	getrlimit(RLIMIT_NOFILE, &limit);
	few = limit;
	few.rlim_cur = 3 + 64 + 10;
	setrlimit(RLIMIT_NOFILE, &few);
	is_int(at_rmtree(root, "deep", &e), 0, "P9: a tree of 5,000 levels with directories of mode 0000");
	setrlimit(RLIMIT_NOFILE, &limit);
	if (e)
		printf("# %s\n", err_text(e));
	is_int(at_stat(root, "deep", &st, NULL), AT_MISSING, "is gone");
	is_int(at_rmtree(root, "deep", NULL), 0, "removing it again is fine");
	is_int(at_rmtree(root, "abs", NULL), 0, "a link is removed itself");
	is_int(at_stat(root, "etc", &st, NULL), 0, "not what it points to");
	ok(at_rmtree(root, "..", NULL) < 0 && at_rmtree(root, "a/b", NULL) < 0 && at_rmtree(root, "", NULL) < 0,
	   "only one real component");
}

int main(void)
{
	char path[] = "/tmp/kiln-unit-at-XXXXXX";

	if (!mkdtemp(path))
		return 1;
	/* As root the modes would stop nobody: run as an ordinary user then. */
	if (geteuid() == 0 && (chown(path, 65534, 65534) < 0 || setgid(65534) < 0 || setuid(65534) < 0))
		return 1;
	int root = openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	at_mkdir(root, "etc", 0755, NULL);
	write_file(root, "etc/passwd", "inside");
	if (symlinkat("/etc", root, "abs") < 0 || symlinkat("../../etc", root, "dots") < 0 ||
	    symlinkat("/etc/passwd", root, "file-link") < 0 || symlinkat("/none/x", root, "nowhere") < 0 ||
	    symlinkat("loop", root, "loop") < 0 || mkfifoat(root, "fifo", 0644) < 0)
		return 1;

	reading(root);
	parents(root);
	making(root);
	listing(root);
	removing(root);

	AUTO(fd_closep) int above = openat(AT_FDCWD, "/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct at_names left = { 0 };
	at_list(root, &left, NULL);
	for (size_t i = 0; i < left.n; i++)
		at_rmtree(root, left.name[i], NULL);
	at_names_clear(&left);
	close(root);
	unlinkat(above, path + 5, AT_REMOVEDIR);
	return done_testing();
}
