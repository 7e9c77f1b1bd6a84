/* What a step changed: overlays really mounted, changed by a shell, read back (spec/executor.md 14.2, 14.3). */
#include "base/at.h"
#include "base/mem.h"
#include "layers/diff.h"
#include "layers/fill.h"
#include "tests/list.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static const struct item lower_items[] = {
	{ { ENTRY_DIR, "", .mode = 0755, .mtime = 100 }, NULL },
	{ { ENTRY_DIR, "empty", .mode = 0755, .mtime = 100 }, NULL },
	{ { ENTRY_DIR, "etc", .mode = 0755, .mtime = 100 }, NULL },
	{ { ENTRY_FILE, "etc/passwd", .mode = 0644, .mtime = 100 }, "root" },
	{ { ENTRY_DIR, "full", .mode = 0755, .mtime = 100 }, NULL },
	{ { ENTRY_FILE, "full/1", .mode = 0644, .mtime = 100 }, "1" },
	{ { ENTRY_FILE, "full/2", .mode = 0644, .mtime = 100 }, "2" },
	{ { ENTRY_DIR, "full/3", .mode = 0755, .mtime = 100 }, NULL },
	{ { ENTRY_FILE, "full/3/4", .mode = 0644, .mtime = 100 }, "4" },
	{ { ENTRY_DIR, "hl", .mode = 0755, .mtime = 100 }, NULL },
	{ { ENTRY_FILE, "hl/x", .mode = 0644, .mtime = 100 }, "xx" },
	{ { ENTRY_LINK, "hl/y", "hl/x", .mode = 0644, .mtime = 100 }, NULL },
	{ { ENTRY_DIR, "tmp", .mode = 01777, .mtime = 100 }, NULL },
	{ { ENTRY_DIR, "usr", .mode = 0755, .mtime = 100 }, NULL },
	{ { ENTRY_SYMLINK, "usr/l", "lib", .mode = 0777, .mtime = 100 }, NULL },
	{ { ENTRY_DIR, "usr/lib", .mode = 0700, .mtime = 100 }, NULL },
	{ { ENTRY_FILE, "usr/lib/a", .mode = 0644, .mtime = 100, .mtime_ns = 5 }, "aaa" },
	{ { ENTRY_FILE, "usr/lib/b", .mode = 0644, .mtime = 100 }, "bbb" },
};

static const struct {
	const char *name, *script, *want;
} cases[] = {
	{ "nothing", ":", "" },
	{ "rule 6: a file that was touched and put back", "chmod 600 usr/lib/a; chmod 644 usr/lib/a", "" },
	{ "rule 6: with whole seconds its content decides, same", "chmod 600 usr/lib/b; chmod 644 usr/lib/b", "" },
	{ "rule 6: with whole seconds its content decides, other", "printf bxb >usr/lib/b; touch -d @100 usr/lib/b",
	  "5 usr 0755\n5 usr/lib 0700\n0 usr/lib/b 0644 bxb\n" },
	{ "a changed mode is the whole file", "chmod 600 usr/lib/a", "5 usr 0755\n5 usr/lib 0700\n0 usr/lib/a 0600 aaa\n" },
	{ "rule 5: parents keep their modes", "echo -n x >tmp/f", "5 tmp 1777\n0 tmp/f 0644 x\n" },
	{ "deleted file", "rm usr/lib/a", "5 usr 0755\n5 usr/lib 0700\nw usr/lib/a\n" },
	{ "made and deleted again", "echo >tmp/f; rm tmp/f; touch -d @100 tmp", "" },
	{ "rule 2: a deleted new file in a changed directory", "echo >tmp/f; rm tmp/f", "5 tmp 1777\n" },
	{ "deleted directory", "rm -r full", "w full\n" },
	{ "rule 3: deleted and made again", "rm -r full; mkdir full; echo -n n >full/2",
	  "5 full 0755\nw full/1\nw full/3\n0 full/2 0644 n\n" },
	{ "rule 3: also inside", "rm -r full; mkdir -p full/3; echo -n n >full/3/5", "5 full 0755\nw full/1\nw full/2\n5 full/3 0755\nw full/3/4\n0 full/3/5 0644 n\n" },
	{ "rule 3: deep", "rm -r usr; mkdir -p usr/lib", "5 usr 0755\nw usr/l\n5 usr/lib 0755\nw usr/lib/a\nw usr/lib/b\n" },
	{ "directory replaced by a file", "rm -r full; echo -n f >full", "0 full 0644 f\n" },
	{ "file replaced by a directory", "rm full/1; mkdir full/1", "5 full 0755\n5 full/1 0755\n" },
	{ "symlink replaced by a directory", "rm usr/l; mkdir usr/l; echo -n x >usr/l/a", "5 usr 0755\n5 usr/l 0755\n0 usr/l/a 0644 x\n" },
	{ "rule 4: whiteouts come first", "rm usr/lib/b; echo -n 0 >usr/lib/0", "5 usr 0755\n5 usr/lib 0700\nw usr/lib/b\n0 usr/lib/0 0644 0\n" },
	{ "new tree", "mkdir -p new/a; echo -n 1 >new/a/f; ln -s f new/a/l", "5 new 0755\n5 new/a 0755\n0 new/a/f 0644 1\n2 new/a/l 0777 -> f\n" },
	{ "sorted as in a tar: what is below comes before longer names", "mkdir n; echo -n 1 >n/f; echo -n 2 >n-x",
	  "5 n 0755\n0 n/f 0644 1\n0 n-x 0644 2\n" },
	{ "mode of a directory", "chmod 711 empty", "5 empty 0711\n" },
	{ "rule 10: a new name for a lower file brings the file", "ln usr/lib/a usr/lib/c",
	  "5 usr 0755\n5 usr/lib 0700\n0 usr/lib/a 0644 aaa\n1 usr/lib/c 0644 -> usr/lib/a\n" },
	{ "a changed one of two names", "echo -n z >>hl/y", "5 hl 0755\n0 hl/y 0644 xxz\n" },
	{ "W6: rule 10: new hard links", "echo -n q >tmp/2; ln tmp/2 tmp/1; ln tmp/1 tmp/3",
	  "5 tmp 1777\n0 tmp/1 0644 q\n1 tmp/2 0644 -> tmp/1\n1 tmp/3 0644 -> tmp/1\n" },
	{ "renamed file", "mv usr/lib/a tmp/z", "5 tmp 1777\n0 tmp/z 0644 aaa\n5 usr 0755\n5 usr/lib 0700\nw usr/lib/a\n" },
	{ "fifo", "mkfifo -m 640 tmp/p", "5 tmp 1777\n6 tmp/p 0640\n" },
	{ "rule 14: what is skipped", "echo -n x >tmp/skipped; mkdir tmp/skip; echo >tmp/skip/y; touch -d @100 tmp", "" },
	{ "rule 7: .wh. names", "echo >tmp/.wh.x", "error: the step made '/tmp/.wh.x', a name that image layers use to mark deleted files" },
};

static char base[64];

static int dir_at(int root, const char *name)
{
	mkdirat(root, name, 0755);
	return openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* The entries as text, a line each. */
static void describe(struct entries *src, struct buf *out)
{
	AUTO(err_freep) struct err *e = NULL;
	const struct entry *en = NULL;
	char block[4096];
	ssize_t n = 0;
	int rc;

	while ((rc = entries_next(src, &en, &e)) == 1) {
		buf_printf(out, "%c %s", en->type, en->path);
		if (en->type != ENTRY_WHITEOUT && en->type != ENTRY_OPAQUE)
			buf_printf(out, " %04o", en->mode);
		if (en->link)
			buf_printf(out, " -> %s", en->link);
		for (size_t i = 0; i < en->nxattr; i++)
			buf_printf(out, " %s=%.*s", en->xattr[i].name, SLICE_F(en->xattr[i].value));
		if (en->type == ENTRY_FILE) {
			buf_char(out, ' ');
			while ((n = entries_data(src, block, sizeof(block), &e)) > 0)
				buf_add(out, block, (size_t)n);
		}
		buf_char(out, '\n');
	}
	if (rc < 0) {
		buf_reset(out);
		buf_printf(out, "error: %s", err_cause(e));
	}
}

static struct view *make_lower(int root)
{
	AUTO(entries_drop) struct entries *src = list_new(lower_items, countof(lower_items));
	struct fill_opts o = FILL_OPTS_INIT;
	AUTO(sink_free) struct sink *fill = fill_new(root, &o);
	int fd = openat(root, "../listing", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	AUTO(sink_free) struct sink *listing = listing_sink_new(fd);
	struct sink *sinks[] = { fill, listing };
	struct listing *l = NULL;
	AUTO(err_freep) struct err *e = NULL;

	if (entries_pump(src, sinks, 2, NULL, &e) < 0 || listing_open(fd, &l, &e) < 0) {
		printf("Bail out! %s\n", err_cause(e));
		exit(1);
	}
	struct view *v = view_new();
	view_push(v, l);
	return v;
}

static int shell(const char *script, const char *where)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		umask(022);
		if (chdir(where) == 0)
			execl("/bin/sh", "sh", "-ec", script, NULL);
		_exit(99);
	}
	waitpid(pid, &status, 0);
	return status;
}

static void one_case(size_t i, int top, const struct view *v, int lower)
{
	static const char *const skip[] = { "tmp/skipped", "tmp/skip", NULL };
	AUTO(buf_freep) struct buf got = BUF_MAX(1 << 20);
	char options[512], merged[128];
	struct entries *src = NULL;

	at_rmtree(top, "upper", NULL);
	at_rmtree(top, "work", NULL);
	AUTO(fd_closep) int upper = dir_at(top, "upper");
	mkdirat(top, "work", 0755);
	snprintf(options, sizeof(options), "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work,userxattr,index=off,metacopy=off,volatile",
		 base, base, base);
	snprintf(merged, sizeof(merged), "%s/merged", base);
	if (mount("overlay", merged, "overlay", 0, options) < 0) {
		ok(true, "%s # SKIP overlay: %s", cases[i].name, strerror(errno));
		return;
	}
	is_int(shell(cases[i].script, merged), 0, cases[i].script);
	umount2(merged, MNT_DETACH);
	if (diff_new(upper, &(struct diff_opts){ .lower = v, .lower_root = lower, .skip = skip }, &src, NULL) < 0)
		return;
	describe(src, &got);
	entries_drop(&src);
	is_str(got.p ? got.p : "", cases[i].want, cases[i].name);
}

static void test_overlay(int top)
{
	AUTO(fd_closep) int lower = dir_at(top, "lower");
	AUTO(view_freep) struct view *v = make_lower(lower);

	mkdirat(top, "merged", 0755);
	for (size_t i = 0; i < countof(cases); i++)
		one_case(i, top, v, lower);
}

/* ---- without a mount: objects put into an upper directly */

static void diff_is(int upper, const struct diff_opts *o, const char *want, const char *name)
{
	AUTO(buf_freep) struct buf got = BUF_MAX(1 << 20);
	struct entries *src = NULL;

	diff_new(upper, o, &src, NULL);
	describe(src, &got);
	entries_drop(&src);
	is_str(got.p ? got.p : "", want, name);
}

static int fresh(int top)
{
	at_rmtree(top, "upper", NULL);
	return dir_at(top, "upper");
}

static void put(int dir, const char *name, const char *text)
{
	AUTO(fd_closep) int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		exit(98);
}

static void test_forms(int top)
{
	const struct diff_opts plain = { .lower_root = -1 }, whole = { .lower_root = -1, .whole = true };
	AUTO(fd_closep) int a = fresh(top);

	put(a, "f", "x");
	mknodat(a, "s", S_IFSOCK | 0600, 0);
	mknodat(a, "w", S_IFCHR, makedev(0, 0));
	diff_is(a, &plain, "0 f 0644 x\n", "W5: rules 2 and 8: sockets and whiteouts of nothing are left out");
	diff_is(a, &whole, "w w\n0 f 0644 x\n", "a whole tree keeps its whiteouts");

	AUTO(fd_closep) int b = fresh(top);
	AUTO(fd_closep) int d = dir_at(b, "d");
	put(d, "f", "x");
	fsetxattr(d, "user.overlay.opaque", "y", 1, 0);
	diff_is(b, &whole, "5 d 0755\no d\n0 d/f 0644 x\n", "a whole tree keeps its opaque marks");
	diff_is(b, &plain, "5 d 0755\n0 d/f 0644 x\n", "rule 3: opaque with nothing below is nothing");
	fsetxattr(d, "user.overlay.opaque", "x", 1, 0);
	put(d, "g", "");
	AUTO(fd_closep) int g = openat(d, "g", O_RDONLY | O_CLOEXEC);
	fsetxattr(g, "user.overlay.whiteout", "", 0, 0);
	diff_is(b, &whole, "5 d 0755\nw d/g\n0 d/f 0644 x\n", "whiteouts of the attribute kind");
	fsetxattr(d, "user.overlay.redirect", "/x", 2, 0);
	diff_is(b, &plain, "error: it has the attribute 'user.overlay.redirect': the file system was mounted in an unexpected way",
		"a redirect is refused");

	AUTO(fd_closep) int c = fresh(top);
	put(c, "f", "x");
	AUTO(fd_closep) int f = openat(c, "f", O_RDONLY | O_CLOEXEC);
	fsetxattr(f, "user.b", "2", 1, 0);
	fsetxattr(f, "user.a", "1", 1, 0);
	fsetxattr(f, "user.overlay.origin", "z", 1, 0);
	fsetxattr(f, "user.empty", "", 0, 0);
	diff_is(c, &plain, "0 f 0644 user.a=1 user.b=2 x\n", "W2: rule 13: attributes, sorted, without private ones");
	put(c, "f", "y");
}

/* A record of the ownership store comes back as the owner (W4). */
static void test_owner(int top)
{
	AUTO(fd_closep) int a = fresh(top);
	const struct diff_opts o = { .lower_root = -1 };
	AUTO(entries_drop) struct entries *src = NULL;
	const struct entry *en = NULL;

	put(a, "f", "x");
	AUTO(fd_closep) int f = openat(a, "f", O_RDONLY | O_CLOEXEC);
	fsetxattr(f, "user.kiln.own", "3000000:7", 9, 0);
	diff_new(a, &o, &src, NULL);
	ok(entries_next(src, &en, NULL) == 1 && en->uid == 3000000 && en->gid == 7 && en->nxattr == 0, "recorded owners come back");
}

/* Rule 3: more than 1,000 children to hide are hidden by one mark. */
static void test_many(int top)
{
	enum { MANY = 1500 };
	AUTO(mem_freep) struct item *item = mem_array(MANY + 1, sizeof(*item));
	AUTO(mem_freep) char *names = mem_alloc(MANY * 16);
	int fd = openat(top, "many", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	AUTO(sink_free) struct sink *k = listing_sink_new(fd);
	struct listing *l = NULL;
	AUTO(view_freep) struct view *v = view_new();

	item[0] = (struct item){ { ENTRY_DIR, "d", .mode = 0755 }, NULL };
	for (size_t i = 0; i < MANY; i++) {
		snprintf(names + 16 * i, 16, "d/%zu", i);
		item[i + 1] = (struct item){ { ENTRY_FILE, names + 16 * i, .mode = 0644 }, NULL };
	}
	AUTO(entries_drop) struct entries *src = list_new(item, MANY + 1);
	ok(entries_pump(src, &k, 1, NULL, NULL) == 0 && listing_open(fd, &l, NULL) == 0, "a large lower directory");
	view_push(v, l);

	AUTO(fd_closep) int a = fresh(top);
	AUTO(fd_closep) int d = dir_at(a, "d");
	put(d, "7", "x");
	fsetxattr(d, "user.overlay.opaque", "y", 1, 0);
	diff_is(a, &(struct diff_opts){ .lower = v, .lower_root = -1 }, "5 d 0755\no d\n0 d/7 0644 x\n", "one mark instead of 1,499");
}

static int into_namespace(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char map[64];

	if (uid == 0)
		return unshare(CLONE_NEWNS);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return -1;
	const struct {
		const char *file, *text;
	} maps[] = { { "/proc/self/setgroups", "deny" }, { "/proc/self/uid_map", NULL }, { "/proc/self/gid_map", NULL } };
	for (size_t i = 0; i < countof(maps); i++) {
		AUTO(fd_closep) int fd = openat(AT_FDCWD, maps[i].file, O_WRONLY | O_CLOEXEC);

		snprintf(map, sizeof(map), "0 %u 1", i == 1 ? (unsigned)uid : (unsigned)gid);
		const char *text = maps[i].text ? maps[i].text : map;
		if (fd < 0 || write(fd, text, strlen(text)) < 0)
			return -1;
	}
	return 0;
}

int main(void)
{
	umask(022);
	snprintf(base, sizeof(base), "%s/kiln-diff-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (into_namespace() < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !mkdtemp(base) ||
	    mount("tmpfs", base, "tmpfs", 0, "mode=0755") < 0) {
		printf("1..0 # SKIP no mount namespace: %s\n", strerror(errno));
		return 0;
	}
	AUTO(fd_closep) int top = openat(AT_FDCWD, base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(top, "try", "");
	AUTO(fd_closep) int probe = openat(top, "try", O_RDONLY | O_CLOEXEC);
	if (fsetxattr(probe, "user.x", "y", 1, 0) < 0) {
		printf("1..0 # SKIP tmpfs has no user attributes here\n");
	} else {
		test_overlay(top);
		test_forms(top);
		test_owner(top);
		test_many(top);
	}
	umount2(base, MNT_DETACH);
	rmdir(base);
	return tap_run ? done_testing() : 0;
}
