/* Entries into a directory: hostile archives inside a canary, and what overlay needs to see (spec/threats.md P, E9-E26). */
#include "base/at.h"
#include "base/mem.h"
#include "layers/fill.h"
#include "tests/list.h"
#include "tests/mapped.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define D(p, m) { { ENTRY_DIR, p, .mode = m, .mtime = 5 }, NULL }
#define F(p, c) { { ENTRY_FILE, p, .mode = 0644, .mtime = 6 }, c }
#define L(p, t) { { ENTRY_SYMLINK, p, t, .mode = 0777 }, NULL }
#define H(p, t) { { ENTRY_LINK, p, t, .mode = 0644 }, NULL }
#define W(p) { { ENTRY_WHITEOUT, p }, NULL }
#define O(p) { { ENTRY_OPAQUE, p }, NULL }
enum { ITEMS = 12 };

/* Two directories: "out", which must stay as it is, and "out/root", which is filled. */
struct place {
	char path[64];
	int out, root;
};

static void place_make(struct place *p)
{
	snprintf(p->path, sizeof(p->path), "%s/kiln-fill-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(p->path))
		exit(99);
	p->out = openat(AT_FDCWD, p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mkdirat(p->out, "root", 0755);
	p->root = openat(p->out, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = openat(p->out, "canary", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (p->root < 0 || fd < 0 || write(fd, "sings", 5) != 5)
		exit(99);
	close(fd);
}

static void place_drop(struct place *p)
{
	close(p->root);
	at_rmtree(p->out, "root", NULL);
	unlinkat(p->out, "canary", 0);
	close(p->out);
	rmdir(p->path);
}

static bool canary_sings(const struct place *p)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(100);
	struct at_names names = { 0 };
	struct stat st;
	bool alone = at_list(p->out, &names, NULL) == 0 && names.n == 2;

	at_names_clear(&names);
	return alone && at_read(p->out, "canary", &text, NULL) == 0 && slice_is(buf_view(&text), "sings") &&
	       at_stat(p->out, "canary", &st, NULL) == 0 && st.st_nlink == 1 && (st.st_mode & 07777) == 0600;
}

static int fill(int root, const struct item *item, size_t n, struct fill_opts *o, struct err **e)
{
	AUTO(entries_drop) struct entries *src = list_new(item, n);
	AUTO(sink_free) struct sink *k = fill_new(root, o);

	return entries_pump(src, &k, 1, NULL, e);
}

/* A short picture of one name: type, mode, "opaque", content or target. */
static const char *picture(int root, const char *path, char ret[200])
{
	AUTO(fd_closep) int dir = -1;
	AUTO(buf_freep) struct buf text = BUF_MAX(150);
	const char *name = NULL;
	struct stat st;
	char mark[4] = "";

	if (at_parent(root, path, &dir, &name, NULL) != 0 || at_stat(dir, *name ? name : ".", &st, NULL) != 0)
		return "missing";
	AUTO(fd_closep) int fd = openat(dir, *name ? name : ".", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (S_ISREG(st.st_mode))
		fd_read_all(fd, &text, NULL);
	if (S_ISLNK(st.st_mode))
		at_readlink(dir, name, &text, NULL);
	if (S_ISDIR(st.st_mode) && fgetxattr(fd, "user.overlay.opaque", mark, 2) == 1)
		mark[1] = 0;
	snprintf(ret, 200, "%s %04o %s%s",
		 S_ISDIR(st.st_mode) ? "dir" : S_ISREG(st.st_mode) ? "file" : S_ISLNK(st.st_mode) ? "link"
		 : S_ISFIFO(st.st_mode) ? "fifo" : S_ISCHR(st.st_mode) && !st.st_rdev ? "whiteout" : "other",
		 st.st_mode & 07777, *mark ? "opaque" : "", text.p ? text.p : "");
	return ret;
}

static const struct {
	const char *name;
	struct item item[ITEMS];
	bool plain;
	const char *error;               /* part of the message, NULL: works */
	const char *path, *want;         /* one name looked at afterwards */
	int leaning;
} cases[] = {
	{ "P1: a file through a symlink out of the root", { L("s", "../"), F("s/canary", "dead") }, false, NULL, "canary", "file 0644 dead" },
	{ "P1: a file through an absolute symlink", { L("s", "/"), F("s/canary", "dead") }, false, NULL, "canary", "file 0644 dead" },
	{ "P1: a file over a symlink to the outside", { L("canary", "../canary"), F("canary", "x") }, false, NULL, "canary", "file 0644 x" },
	{ "P1: a directory over a symlink", { L("d", ".."), D("d", 0700), F("d/canary", "x") }, false, NULL, "d", "dir 0700 " },
	{ "P1: dangling links are followed inside", { L("s", "../../etc"), F("s/x", "in") }, false, NULL, "etc/x", "file 0644 in", 1 },
	{ "P1: a link to itself as parent", { L("s", "s"), F("s/x", "in") }, false, "s", "x", "missing" },
	{ "P3: hard link through a symlink stays inside", { L("s", ".."), H("h", "s/canary") }, true, "does not exist", "h", "missing" },
	{ "E11: hard link whose target lower layers may have", { H("h", "a/b") }, false, NULL, "h", "missing", 1 },
	{ "hard link to a symlink links the symlink", { L("s", "../canary"), H("h", "s") }, false, NULL, "h", "link 0777 ../canary" },
	{ "hard link to a directory", { D("d", 0755), H("h", "d") }, false, "not a file", "h", "missing" },
	{ "hard link to a whiteout", { W("w"), H("h", "w") }, false, "not a file", "h", "missing" },
	{ "hard link given twice", { F("a", "1"), H("b", "a"), H("b", "a") }, false, NULL, "b", "file 0644 1" },
	{ "hard link over another file", { F("a", "1"), F("b", "2"), H("b", "a") }, false, NULL, "b", "file 0644 1" },
	{ "E13: the later of two wins, a link made before keeps the old", { F("a", "1"), H("b", "a"), F("a", "2") }, false, NULL, "b",
	  "file 0644 1" },
	{ "E12: a file over a full directory", { D("d", 0755), D("d/e", 0), F("d/e/f", "x"), F("d", "y") }, false, NULL, "d",
	  "file 0644 y" },
	{ "a directory over a file", { F("d", "y"), D("d", 0711) }, false, NULL, "d", "dir 0711 " },
	{ "a directory over a directory keeps what is in it", { D("d", 0755), F("d/f", "x"), D("d", 0500) }, false, NULL, "d/f",
	  "file 0644 x" },
	{ "and takes the new mode", { D("d", 0755), F("d/f", "x"), D("d", 0500) }, false, NULL, "d", "dir 0500 " },
	{ "E11: a file as parent, layer", { F("d", "y"), F("d/f", "x") }, false, "not a directory", "d", "file 0644 y" },
	{ "E11: a file as parent, plain", { F("d", "y"), F("d/f", "x") }, true, NULL, "d/f", "file 0644 x", 1 },
	{ "E11: missing parents are 0755", { F("a/b/c", "x") }, false, NULL, "a/b", "dir 0755 ", 2 },
	{ "a parent described after its child", { F("a/c", "x"), D("a", 01777) }, false, NULL, "a", "dir 1777 ", 1 },
	{ "E21: set-id and sticky bits are kept", { { { ENTRY_FILE, "s", .mode = 06755, .uid = 0 }, "x" } }, false, NULL, "s", "file 6755 x" },
	{ "mode 0 and a child", { D("d", 0), F("d/f", "x") }, false, NULL, "d", "dir 0000 " },
	{ "whiteout", { D("d", 0755), W("d/x") }, false, NULL, "d/x", "whiteout 0000 " },
	{ "E17: whiteout after the entry of its name", { F("x", "1"), W("x") }, false, NULL, "x", "file 0644 1" },
	{ "E17: whiteout before the entry of its name", { W("x"), F("x", "1") }, false, NULL, "x", "file 0644 1" },
	{ "E17: whiteout, then a directory: what is below is hidden", { W("x"), D("x", 0755) }, false, NULL, "x", "dir 0755 opaque" },
	{ "E17: a directory, then its whiteout", { D("x", 0755), W("x") }, false, NULL, "x", "dir 0755 opaque" },
	{ "a child below a whiteout", { W("x"), F("x/y", "1") }, false, NULL, "x", "dir 0755 opaque", 1 },
	{ "whiteout below a whiteout is nothing", { W("x"), W("x/y") }, false, NULL, "x", "whiteout 0000 " },
	{ "whiteout below a file is nothing", { F("x", "1"), W("x/y") }, false, NULL, "x", "file 0644 1" },
	{ "E18: whiteout through a symlink out of the root", { L("s", ".."), W("s/canary") }, false, NULL, "canary", "whiteout 0000 " },
	{ "opaque", { D("d", 0750), O("d"), F("d/f", "x") }, false, NULL, "d", "dir 0750 opaque" },
	{ "opaque after its siblings", { D("d", 0750), F("d/f", "x"), O("d") }, false, NULL, "d/f", "file 0644 x" },
	{ "opaque on the root", { O("") }, false, NULL, "", "dir 0755 opaque" },
	{ "whiteouts of odd names", { W("-rf"), W(" "), W("\n"), W("\xff") }, false, NULL, "\xff", "whiteout 0000 " },
	{ "marks mean nothing in plain mode", { W("x"), O("") }, true, NULL, "x", "missing" },
	{ "devices are left out", { { { ENTRY_CHAR, "c", .mode = 0666, .major = 1, .minor = 3 }, NULL } }, false, NULL, "c", "missing" },
	{ "device 0:0 is no whiteout", { { { ENTRY_CHAR, "c" }, NULL } }, false, NULL, "c", "missing" },
	{ "fifo", { { { ENTRY_FIFO, "p", .mode = 0620 }, NULL } }, false, NULL, "p", "fifo 0620 " },
	{ "a file over a fifo does not wait", { { { ENTRY_FIFO, "p", .mode = 0620 }, NULL }, F("p", "x") }, false, NULL, "p", "file 0644 x" },
	{ "E10: the root's own mode", { D("", 0711) }, false, NULL, "", "dir 0711 " },
	{ "names of control bytes and bad UTF-8", { F("a\n\x01\xc3(\\-", "x") }, false, NULL, "a\n\x01\xc3(\\-", "file 0644 x" },
	{ "E23: times at both ends", { { { ENTRY_FILE, "a", .mode = 0600, .mtime = INT64_MIN }, "x" },
				       { { ENTRY_FILE, "b", .mode = 0600, .mtime = INT64_MAX, .mtime_ns = 999999999 }, "x" } },
	  false, NULL, "b", "file 0600 x" },
	{ "P3: a source that gives ..", { F("../canary", "x") }, false, "not a clean path", "canary", "missing" },
	{ "P3: .. in the middle", { F("a/../../canary", "x") }, false, "not a clean path", "canary", "missing" },
	{ "P3: .. as a name", { D("..", 0) }, false, "not a clean path", "canary", "missing" },
	{ "P3: .. as a target", { H("h", "a/..") }, false, "not a clean path", "canary", "missing" },
	{ "P3: a target through ..", { H("h", "../canary") }, true, "does not exist", "h", "missing" },
	{ "a removed directory that is still being filled", { D("a", 0755), L("a/up", ".."), F("a/up/a", "x"), F("a/up/b", "y") }, false,
	  NULL, "a", "file 0644 x" },
};

static void test_cases(void)
{
	for (size_t i = 0; i < countof(cases); i++) {
		AUTO(err_freep) struct err *e = NULL;
		struct fill_opts o = FILL_OPTS_INIT;
		struct place p;
		char ret[200];
		size_t n = 0;

		while (n < ITEMS && cases[i].item[n].en.type)
			n++;
		place_make(&p);
		o.plain = cases[i].plain;
		int rc = fill(p.root, cases[i].item, n, &o, &e);
		if (cases[i].error)
			ok(rc < 0 && strstr(err_cause(e), cases[i].error), "%s: refused (%s)", cases[i].name, rc < 0 ? err_cause(e) : "");
		else
			ok(rc == 0, "%s (%s)", cases[i].name, rc < 0 ? err_cause(e) : "");
		is_str(picture(p.root, cases[i].path, ret), cases[i].want, cases[i].name);
		if (!cases[i].error)
			is_int((long long)o.leaning, cases[i].leaning, "it leans as often as it should");
		ok(canary_sings(&p), "nothing outside changed");
		place_drop(&p);
	}
}

static void test_metadata(void)
{
	static const struct xattr xattr[] = { { "trusted.x", { "1", 1 } }, { "user.a", { "v", 1 } }, { "user.overlay.opaque", { "y", 1 } } };
	static const struct item items[] = {
		{ { ENTRY_DIR, "d", .mode = 0555, .uid = 7, .gid = 8, .mtime = 100, .mtime_ns = 5, .xattr = xattr, .nxattr = 3 }, NULL },
		{ { ENTRY_FILE, "d/f", .mode = 04755, .uid = 9, .gid = 10, .mtime = 200, .xattr = xattr, .nxattr = 3 }, "x" },
		{ { ENTRY_SYMLINK, "d/l", "f", .uid = 11, .gid = 12, .mtime = 300 }, NULL },
	};
	AUTO(err_freep) struct err *e = NULL;
	struct fill_opts o = FILL_OPTS_INIT;
	struct place p;
	struct stat d, f, l;
	char value[8];

	place_make(&p);
	ok(fill(p.root, items, countof(items), &o, &e) == 0, "metadata is set (%s)", e ? err_cause(e) : "");
	AUTO(fd_closep) int dir = openat(p.root, "d", O_RDONLY | O_CLOEXEC);
	AUTO(fd_closep) int file = openat(dir, "f", O_RDONLY | O_CLOEXEC);
	at_stat(p.root, "d", &d, NULL);
	at_stat(dir, "f", &f, NULL);
	at_stat(dir, "l", &l, NULL);
	is_int(d.st_mtim.tv_sec, 100, "directory time survives its children");
	is_int(d.st_mtim.tv_nsec, 5, "to the nanosecond");
	is_int(d.st_mode & 07777, 0555, "directory mode");
	ok(d.st_uid == 7 && d.st_gid == 8 && f.st_uid == 9 && f.st_gid == 10 && l.st_uid == 11 && l.st_gid == 12, "owners");
	is_int(f.st_mode & 07777, 04755, "set-user-id comes after the owner");
	ok(f.st_mtim.tv_sec == 200 && l.st_mtim.tv_sec == 300, "times of file and symlink");
	ok(fgetxattr(file, "user.a", value, 8) == 1 && fgetxattr(dir, "user.a", value, 8) == 1, "user attributes are set");
	ok(fgetxattr(dir, "user.overlay.opaque", value, 8) < 0 && fgetxattr(file, "trusted.x", value, 8) < 0, "E22: others are not");
	place_drop(&p);
}

static void test_all_mtime(void)
{
	static const struct item items[] = { D("d", 0755), F("d/f", "x"), L("l", "x") };
	struct fill_opts o = { .all_mtime = 77, .as_caller = true, .plain = true };
	struct place p;
	struct stat st[3];

	place_make(&p);
	ok(fill(p.root, items, countof(items), &o, NULL) == 0, "local output");
	AUTO(fd_closep) int dir = openat(p.root, "d", O_RDONLY | O_CLOEXEC);
	at_stat(p.root, "d", &st[0], NULL);
	at_stat(dir, "f", &st[1], NULL);
	at_stat(p.root, "l", &st[2], NULL);
	ok(st[0].st_mtim.tv_sec == 77 && st[1].st_mtim.tv_sec == 77 && st[2].st_mtim.tv_sec == 77, "one time for everything");
	place_drop(&p);
}

/* In a user namespace that has the ids 0 to 99 only: others are recorded (E20). */
static void unmapped_child(int root, int ready, int go, int other_end)
{
	static const struct item items[] = {
		{ { ENTRY_DIR, "d", .mode = 0755, .uid = 100, .gid = 0 }, NULL },
		{ { ENTRY_FILE, "d/f", .mode = 04755, .uid = 99, .gid = 3000000 }, "x" },
		{ { ENTRY_FILE, "d/g", .mode = 0644, .uid = 99, .gid = 98 }, "x" },
		{ { ENTRY_SYMLINK, "d/l", "f", .uid = 200, .gid = 200 }, NULL },
	};
	struct fill_opts o = FILL_OPTS_INIT;
	char c = 0;

	close(other_end);        /* ours would keep the read below waiting when the map cannot be written */
	if (unshare(CLONE_NEWUSER) < 0 || write(ready, "x", 1) != 1 || read(go, &c, 1) != 1)
		_exit(77);
	int rc = fill(root, items, countof(items), &o, NULL);
	_exit(rc < 0 ? 1 : (int)(10 + o.unmapped));
}

static bool write_map(pid_t pid, const char *file)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	AUTO(fd_closep) int fd = openat(AT_FDCWD, path, O_WRONLY | O_CLOEXEC);
	/* Two extents: inside a namespace, root's id and the subordinate ones lie apart. */
	return fd >= 0 && write(fd, "0 0 1\n1 1 99\n", 13) == 13;
}

static void test_unmapped(void)
{
	int ready[2], go[2], status = 0;
	struct place p;
	char text[32] = "", c = 0;
	struct stat st;

	place_make(&p);
	if (fd_pipe(ready, NULL) < 0 || fd_pipe(go, NULL) < 0)
		exit(99);
	pid_t pid = fork();
	if (pid == 0)
		unmapped_child(p.root, ready[1], go[0], go[1]);
	close(ready[1]);
	bool mapped = read(ready[0], &c, 1) == 1 && write_map(pid, "uid_map") && write_map(pid, "gid_map") && write(go[1], "x", 1) == 1;
	close(go[1]);
	waitpid(pid, &status, 0);
	close(ready[0]);
	close(go[0]);
	if (!mapped) {
		ok(true, "unmapped owners # SKIP no user namespace of our own here");
	} else {
		is_int(WEXITSTATUS(status), 13, "E20: three owners that the map does not have");
		AUTO(fd_closep) int file = at_open(p.root, "d/f", O_RDONLY, 0, NULL);
		ok(fgetxattr(file, "user.kiln.own", text, sizeof(text) - 1) == 10, "are recorded");
		is_str(text, "99:3000000", "as they were given");
		ok(fstat(file, &st) == 0 && st.st_uid == 0 && st.st_gid == 0 && (st.st_mode & 07777) == 04755, "the file itself is root's");
		AUTO(fd_closep) int other = at_open(p.root, "d/g", O_RDONLY, 0, NULL);
		ok(fstat(other, &st) == 0 && st.st_uid == 99 && fgetxattr(other, "user.kiln.own", text, 8) < 0, "others just have their owner");
	}
	place_drop(&p);
}

/* As deep as a path can name: 2,047 levels, a file in each, with few file descriptors. */
static void test_deep(void)
{
	enum { LEVELS = 2047 };
	AUTO(mem_freep) char *path = mem_zalloc(2 * LEVELS + 1);
	AUTO(mem_freep) struct item *item = mem_array(LEVELS, sizeof(*item));
	struct rlimit old, few = { 100, 100 };
	struct fill_opts o = FILL_OPTS_INIT;
	AUTO(err_freep) struct err *e = NULL;
	struct place p;
	struct stat st;

	for (size_t i = 0; i < LEVELS; i++) {
		path[2 * i] = 'd';
		path[2 * i + 1] = i + 1 < LEVELS ? '/' : 0;
		item[i] = (struct item){ { ENTRY_DIR, mem_strn(path, 2 * i + 1), .mode = 0500, .mtime = 9 }, NULL };
	}
	place_make(&p);
	getrlimit(RLIMIT_NOFILE, &old);
	few.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_NOFILE, &few);
	ok(fill(p.root, item, LEVELS, &o, &e) == 0, "P8: a tree of 2,047 levels (%s)", e ? err_cause(e) : "");
	AUTO(fd_closep) int deep = at_open(p.root, item[LEVELS - 2].en.path, O_RDONLY, 0, NULL);
	ok(deep >= 0 && fstat(deep, &st) == 0 && (st.st_mode & 07777) == 0500 && st.st_mtim.tv_sec == 9, "also its deepest parts have mode and time");
	setrlimit(RLIMIT_NOFILE, &old);
	for (size_t i = 0; i < LEVELS; i++) {
		char *name = (char *)item[i].en.path;
		mem_freep(&name);
	}
	place_drop(&p);
}

int main(int argc, char **argv)
{
	(void)argc;
	mapped_root(argv);
	umask(022);
	test_cases();
	test_metadata();
	test_all_mtime();
	test_unmapped();
	test_deep();
	return done_testing();
}
