/* Listings on disk, the merged view of a stack of them, accounts. */
#include "base/fd.h"
#include "layers/listing.h"
#include "tests/list.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define D(p) { { ENTRY_DIR, p, .mode = 0755 }, NULL }
#define DM(p, m) { { ENTRY_DIR, p, .mode = m }, NULL }
#define F(p, c) { { ENTRY_FILE, p, .mode = 0644 }, c }
#define L(p, t) { { ENTRY_SYMLINK, p, t, .mode = 0777 }, NULL }
#define W(p) { { ENTRY_WHITEOUT, p }, NULL }
#define O(p) { { ENTRY_OPAQUE, p }, NULL }

static int write_listing(const struct item *item, size_t n)
{
	int fd = memfd_create("listing", MFD_CLOEXEC);
	AUTO(entries_drop) struct entries *src = list_new(item, n);
	AUTO(sink_free) struct sink *k = listing_sink_new(fd);
	AUTO(err_freep) struct err *e = NULL;

	if (entries_pump(src, &k, 1, NULL, &e) < 0) {
		ok(false, "writing a listing: %s", err_cause(e));
		exit(1);
	}
	return fd;
}

static struct listing *make(const struct item *item, size_t n)
{
	struct listing *l = NULL;
	AUTO(err_freep) struct err *e = NULL;

	ok(listing_open(write_listing(item, n), &l, &e) == 0, "a listing of %zu opens (%s)", n, e ? err_cause(e) : "");
	return l;
}
#define MAKE(items) make(items, countof(items))

static void test_roundtrip(void)
{
	static const struct xattr xattr[] = { { "user.a", { "1\0002", 3 } }, { "user.b", { "", 0 } } };
	static const struct item items[] = {
		{ { ENTRY_DIR, "d", .mode = 01777, .uid = 4294967294, .gid = 7, .mtime = -5, .mtime_ns = 999999999 }, NULL },
		{ { ENTRY_FILE, "d/f", .mode = 04755, .mtime = 1, .xattr = xattr, .nxattr = 2, .parent = true }, "hello" },
		{ { ENTRY_CHAR, "d/c", .major = 5, .minor = 6 }, NULL },
		{ { ENTRY_SYMLINK, "d/l", "some/where" }, NULL },
	};
	struct listing *l = MAKE(items);
	struct entry en;

	is_int((long long)listing_count(l), 4, "count");
	ok(listing_find(l, "d", &en) == 0 && en.mode == 01777 && en.uid == 4294967294 && en.gid == 7 && en.mtime == -5 &&
	   en.mtime_ns == 999999999, "numbers come back");
	ok(listing_find(l, "d/f", &en) == 0 && en.size == 5 && en.parent && en.nxattr == 2 && en.xattr[0].value.n == 3 &&
	   memcmp(en.xattr[0].value.p, "1\0002", 3) == 0 && strcmp(en.xattr[1].name, "user.b") == 0, "attributes come back");
	ok(listing_find(l, "d/c", &en) == 0 && en.major == 5 && en.minor == 6, "device numbers come back");
	ok(listing_find(l, "d/l", &en) == 0 && strcmp(en.link, "some/where") == 0, "link texts come back");
	ok(listing_find(l, "x", &en) == LISTING_MISS && listing_find(l, "d/f/x", &en) == LISTING_MISS &&
	   listing_find(l, "", &en) == LISTING_MISS, "what is not there");
	listing_at(l, 1, &en);
	is_str(en.path, "d/c", "entries are in layer order");
	listing_close(l);
}

static void test_settle(void)
{
	static const struct item items[] = {
		L("lib", "usr/lib"), F("lib/x", "12"), D("usr"), DM("usr/lib", 0711), F("b/c/d", "1"), F("b/c", "22"), F("dup", "1"),
		F("dup", "333"), D("e"), F("e/f", "1"), L("e", "/usr"), F("e/lib/y", "1"), W("w"), D("w"),
	};
	struct listing *l = MAKE(items);
	struct entry en;

	ok(listing_find(l, "usr/lib/x", &en) == 0 && en.size == 2 && listing_find(l, "lib/x", &en) == LISTING_MISS,
	   "an entry through a symlink of its own layer is listed where it lands");
	ok(listing_find(l, "b/c", &en) == 0 && en.size == 2 && listing_find(l, "b/c/d", &en) == LISTING_MISS,
	   "a file that replaced a directory hides what was in it");
	ok(listing_find(l, "dup", &en) == 0 && en.size == 3, "the later of two wins");
	ok(listing_find(l, "e", &en) == 0 && en.type == ENTRY_SYMLINK && listing_find(l, "e/f", &en) == LISTING_MISS &&
	   listing_find(l, "usr/lib/y", &en) == 0, "a symlink that replaced a directory");
	ok(listing_find(l, "w", &en) == 0 && en.type == ENTRY_DIR, "an entry is found before the whiteout of its name");
	listing_close(l);

	static const struct item circle[] = { L("a", "a"), F("a/b", "x") };
	AUTO(entries_drop) struct entries *src = list_new(circle, 2);
	int fd = memfd_create("listing", MFD_CLOEXEC);
	AUTO(sink_free) struct sink *k = listing_sink_new(fd);
	ok(entries_pump(src, &k, 1, NULL, NULL) < 0, "a circle of symlinks is an error");
	close(fd);
}

static void test_damage(void)
{
	static const struct item items[] = { D("d"), F("d/f", "hello"), L("l", "x") };
	AUTO(fd_closep) int good = write_listing(items, countof(items));
	AUTO(buf_freep) struct buf bytes = BUF_MAX(1 << 20);
	unsigned refused = 0, tried = 0;

	lseek(good, 0, SEEK_SET);
	fd_read_all(good, &bytes, NULL);
	for (size_t i = 0; i < bytes.n; i++) {
		int fd = memfd_create("bad", MFD_CLOEXEC);
		struct listing *l = NULL;

		bytes.p[i] ^= 0x10;
		fd_write_all(fd, bytes.p, bytes.n, NULL);
		bytes.p[i] ^= 0x10;
		tried++;
		refused += listing_open(fd, &l, NULL) < 0;
		listing_close(l);
	}
	is_int(refused, tried, "any changed byte is noticed");
	refused = 0;
	for (size_t i = 0; i < bytes.n; i++) {
		int fd = memfd_create("bad", MFD_CLOEXEC);
		struct listing *l = NULL;

		fd_write_all(fd, bytes.p, i, NULL);
		refused += listing_open(fd, &l, NULL) < 0;
		listing_close(l);
	}
	is_int(refused, (long long)bytes.n, "any shorter file is noticed");
}

static struct view *stack(void)
{
	static const struct item bottom[] = {
		DM("", 0711), L("bin", "usr/bin"), DM("deep", 0700), DM("deep/er", 0701), F("deep/er/x", "1"), D("etc"),
		F("etc/group", "root:x:0:\nstaff:x:50:a,b\nbad:x:no:\n"), F("etc/passwd", "root:x:0:0::/:/bin/sh\nweb:x:33:44:w:/:/\nnogid:x:5\n"),
		D("gone"), F("gone/f", "1"), D("opq"), F("opq/a", "1"), F("opq/b", "1"), DM("tmp", 01777), D("usr"), D("usr/bin"),
		F("usr/bin/sh", "1"), F("was-file", "1"), D("was-dir"), F("was-dir/x", "1"), L("abs", "/etc/./passwd"), L("loop", "loop"),
		L("up", "../../usr"),
	};
	static const struct item middle[] = {
		W("gone"), D("opq"), O("opq"), F("opq/c", "1"), F("usr/bin/new", "22"), D("was-file"), F("was-file/in", "1"), F("was-dir", "1"),
		F("deep-er", "1"),
	};
	static const struct item top[] = { D("gone"), F("gone/again", "1"), W("usr/bin/sh"), F("was-dir2/implied", "1") };
	struct view *v = view_new();

	view_push(v, MAKE(bottom));
	view_push(v, MAKE(middle));
	view_push(v, MAKE(top));
	return v;
}

static void test_find(const struct view *v)
{
	static const struct {
		const char *path;
		int layer;               /* -1: not there */
		enum entry_type type;
		uint32_t mode;
	} rows[] = {
		{ "", 0, ENTRY_DIR, 0711 }, { "usr/bin/new", 1, ENTRY_FILE, 0644 }, { "usr/bin/sh", -1, 0, 0 },
		{ "usr/bin", 0, ENTRY_DIR, 0755 }, { "gone", 2, ENTRY_DIR, 0755 }, { "gone/f", -1, 0, 0 }, { "gone/again", 2, ENTRY_FILE, 0644 },
		{ "opq/a", -1, 0, 0 }, { "opq/c", 1, ENTRY_FILE, 0644 }, { "was-file", 1, ENTRY_DIR, 0755 }, { "was-file/in", 1, ENTRY_FILE, 0644 },
		{ "was-dir", 1, ENTRY_FILE, 0644 }, { "was-dir/x", -1, 0, 0 }, { "bin", 0, ENTRY_SYMLINK, 0777 }, { "bin/sh", -1, 0, 0 },
		{ "tmp", 0, ENTRY_DIR, 01777 }, { "was-dir2", 2, ENTRY_DIR, 0755 }, { "nothing", -1, 0, 0 }, { "deep/er/x", 0, ENTRY_FILE, 0644 },
	};

	for (size_t i = 0; i < countof(rows); i++) {
		struct entry en = { 0 };
		size_t layer = 99;
		int rc = view_find(v, rows[i].path, &en, &layer);

		if (rows[i].layer < 0)
			ok(rc == LISTING_MISS, "'%s' cannot be seen", rows[i].path);
		else
			ok(rc == 0 && layer == (size_t)rows[i].layer && en.type == rows[i].type && en.mode == rows[i].mode &&
			   strcmp(en.path, rows[i].path) == 0, "'%s' is seen in layer %d", rows[i].path, rows[i].layer);
	}
}

static void test_resolve(const struct view *v)
{
	static const struct {
		const char *path;
		bool follow;
		int rc;
		const char *want;
	} rows[] = {
		{ "/", true, 0, "" }, { "bin/new", true, 0, "usr/bin/new" }, { "/bin", true, 0, "usr/bin" }, { "bin", false, 0, "bin" },
		{ "bin/", false, 0, "bin" }, { "abs", true, 0, "etc/passwd" }, { "up/bin", true, 0, "usr/bin" }, { "bin/..", true, 0, "usr" },
		{ "../../etc", true, 0, "etc" }, { "new/dir", true, LISTING_MISS, "new/dir" }, { "bin/x/y", true, LISTING_MISS, "usr/bin/x/y" },
		{ "x/../etc", true, 0, "etc" }, { "x/y/../z", true, LISTING_MISS, "x/z" }, { "x/y/../../etc", true, 0, "etc" },
		{ "loop", true, -1, "too many" }, { "loop", false, 0, "loop" }, { "etc/passwd/x", true, -1, "not a directory" },
		{ "etc/passwd/..", true, -1, "not a directory" }, { "gone/f", true, LISTING_MISS, "gone/f" },
	};

	for (size_t i = 0; i < countof(rows); i++) {
		AUTO(buf_freep) struct buf path = BUF_MAX(8192);
		AUTO(err_freep) struct err *e = NULL;
		int rc = view_resolve(v, rows[i].path, rows[i].follow, &path, NULL, NULL, &e);

		is_int(rc, rows[i].rc, rows[i].path);
		if (rc < 0)
			ok(strstr(err_cause(e), rows[i].want) != NULL && err_kind(e) == ERR_INPUT, "%s: %s", rows[i].path, err_cause(e));
		else
			is_str(path.p, rows[i].want, rows[i].path);
	}
}

static int add_child(void *arg, const char *name, const struct entry *en, size_t layer, struct err **e)
{
	buf_printf(arg, "%s%c%zu ", name, en->type, layer);
	return 0;
}

static void test_children(const struct view *v)
{
	static const struct {
		const char *dir, *want;
	} rows[] = {
		{ "", "abs20 bin20 deep50 deep-er01 etc50 gone52 loop20 opq51 tmp50 up20 usr50 was-dir01 was-dir252 was-file51 " },
		{ "usr/bin", "new01 " }, { "gone", "again02 " }, { "opq", "c01 " }, { "was-file", "in01 " }, { "etc", "group00 passwd00 " },
		{ "was-dir", "" }, { "nothing", "" }, { "tmp", "" },
	};

	for (size_t i = 0; i < countof(rows); i++) {
		AUTO(buf_freep) struct buf got = BUF_MAX(4096);

		view_children(v, rows[i].dir, add_child, &got, NULL);
		is_str(got.p ? got.p : "", rows[i].want, rows[i].dir);
	}
}

static void test_owner(const struct view *v)
{
	static const struct {
		const char *spec;
		bool empty;
		int rc;
		uint32_t uid, gid;
	} rows[] = {
		{ "1000", false, 0, 1000, 1000 }, { "1000:5", false, 0, 1000, 5 }, { "root", false, 0, 0, 0 }, { "root", true, 0, 0, 0 },
		{ "web", false, 0, 33, 44 }, { "web:staff", false, 0, 33, 50 }, { "web:", false, 0, 33, 0 }, { "1000:", false, 0, 1000, 0 },
		{ ":staff", false, 0, 0, 50 }, { "who", false, 0, 0, 0 }, { "who:staff", false, 0, 0, 50 }, { "web:who", false, 0, 33, 44 },
		{ "7:who", false, 0, 7, 7 }, { "web:root", false, 0, 33, 0 }, { "nogid", false, 0, 0, 0 }, { "web", true, -1, 0, 0 },
		{ "5:staff", true, -1, 0, 0 }, { "5:6", true, 0, 5, 6 }, { "", false, 0, 0, 0 }, { "4294967295", false, -1, 0, 0 },
		{ "web:bad", false, 0, 33, 44 },
	};

	for (size_t i = 0; i < countof(rows); i++) {
		uint32_t uid = 99, gid = 99;
		AUTO(err_freep) struct err *e = NULL;
		int rc = view_owner(v, rows[i].spec, rows[i].empty, &uid, &gid, &e);

		ok(rc == rows[i].rc && (rc < 0 || (uid == rows[i].uid && gid == rows[i].gid)), "owner '%s'%s: %u:%u", rows[i].spec,
		   rows[i].empty ? " in an empty tree" : "", uid, gid);
		if (rc < 0 && rows[i].empty)
			ok(strstr(err_text(e), "invalid user index") != NULL, "the message is the usual one");
	}
	struct slice text = SLICE_NONE;
	ok(view_text(v, "etc/group", &text) && slice_starts(text, "root:x:0:\n"), "text of etc/group");
	ok(!view_text(v, "usr/bin/new", &text), "no text of other files");
}

int main(void)
{
	AUTO(view_freep) struct view *v = stack();
	AUTO(view_freep) struct view *empty = view_new();
	struct entry en;

	test_roundtrip();
	test_settle();
	test_damage();
	test_find(v);
	test_resolve(v);
	test_children(v);
	test_owner(v);
	ok(view_find(empty, "", &en, NULL) == 0 && en.type == ENTRY_DIR && en.mode == 0755, "the root of nothing is a directory");
	ok(view_find(empty, "a", &en, NULL) == LISTING_MISS, "and has nothing in it");
	return done_testing();
}
