/* Entries: names, their order, attributes, copies, the pump, the content digest. */
#include "layers/entry.h"
#include "tests/list.h"
#include "tests/tap.h"

static void test_clean(void)
{
	static const struct {
		const char *name;
		struct slice in;
		bool clamp;
		const char *want;        /* NULL: refused */
	} rows[] = {
		{ "plain", SLICE_LIT("a/b"), false, "a/b" },
		{ "absolute, doubled and trailing slashes", SLICE_LIT("//a//b//"), false, "a/b" },
		{ "dots", SLICE_LIT("./a/./b/."), false, "a/b" },
		{ "the root", SLICE_LIT("/"), false, "" },
		{ "the root again", SLICE_LIT("./"), false, "" },
		{ "E9: .. is refused", SLICE_LIT("a/../b"), false, NULL },
		{ "E9: .. at the front is refused", SLICE_LIT("../b"), false, NULL },
		{ "E9: or clamped", SLICE_LIT("../../a/../b/c"), true, "b/c" },
		{ "clamped to nothing", SLICE_LIT("a/.."), true, "" },
		{ "names that only look like it", SLICE_LIT("..a/b.."), false, "..a/b.." },
		{ "P10: NUL", { "a\0b", 3 }, false, NULL },
		{ "P10: odd bytes are kept", SLICE_LIT("-\n\x01\xff\\ "), false, "-\n\x01\xff\\ " },
	};
	char long_name[5000];

	for (size_t i = 0; i < countof(rows); i++) {
		AUTO(buf_freep) struct buf out = BUF_MAX(8192);
		int rc = entry_path_clean(rows[i].in, rows[i].clamp, &out, NULL);

		is_str(rc < 0 ? NULL : out.p, rows[i].want, rows[i].name);
	}
	AUTO(buf_freep) struct buf out = BUF_MAX(8192);
	memset(long_name, 'a', sizeof(long_name));
	ok(entry_path_clean((struct slice){ long_name, 255 }, false, &out, NULL) == 0, "a component of 255 bytes");
	ok(entry_path_clean((struct slice){ long_name, 256 }, false, &out, NULL) < 0, "P10: one of 256 is refused");
	for (size_t i = 1; i < sizeof(long_name); i += 2)
		long_name[i] = '/';
	ok(entry_path_clean((struct slice){ long_name, 4095 }, false, &out, NULL) == 0, "a path of 4,095 bytes");
	ok(entry_path_clean((struct slice){ long_name, 4097 }, false, &out, NULL) < 0, "P10: one of 4,097 is refused");
}

static void test_order(void)
{
	static const char *const sorted[] = { "", "a", "a/b", "a/b/c", "a/b!", "a/c", "a!", "a-", "aa", "b", "\xff" };

	for (size_t i = 0; i < countof(sorted); i++)
		for (size_t k = 0; k < countof(sorted); k++) {
			int c = entry_path_cmp(sorted[i], sorted[k]);

			if ((c < 0) != (i < k) || (c > 0) != (i > k))
				ok(false, "'%s' against '%s'", sorted[i], sorted[k]);
		}
	ok(true, "parents first, what is below before longer names");
}

static void test_xattrs(void)
{
	static const struct {
		const char *name;
		bool allowed;
	} rows[] = {
		{ "user.a", true }, { "security.capability", true }, { "user.", false }, { "user", false }, { "user.a=b", false },
		{ "trusted.a", false }, { "security.selinux", false }, { "system.posix_acl_access", false },
		{ "user.overlay.opaque", false }, { "user.overlayfs", true }, { "user.fuseoverlayfs.origin", false },
		{ "user.containers.override_stat", false }, { "user.rootlesscontainers", false }, { "user.kiln.own", false },
	};

	for (size_t i = 0; i < countof(rows); i++)
		ok(xattr_allowed(rows[i].name) == rows[i].allowed, "E22: %s is %s", rows[i].name, rows[i].allowed ? "kept" : "left out");
}

static void test_dup(void)
{
	const struct xattr xattr[] = { { "user.a", { "x\0y", 3 } } };
	const struct entry en = { ENTRY_SYMLINK, "a/b", "c", .mode = 0777, .xattr = xattr, .nxattr = 1 };
	struct entry *copy = entry_dup(&en);

	ok(copy->path != en.path && strcmp(copy->path, "a/b") == 0 && strcmp(copy->link, "c") == 0, "a copy has its own strings");
	ok(copy->nxattr == 1 && copy->xattr[0].value.n == 3 && memcmp(copy->xattr[0].value.p, "x\0y", 3) == 0, "and attributes");
	entry_free(copy);
}

static int digest_list(const struct item *item, size_t n, struct digest *ret)
{
	AUTO(entries_drop) struct entries *src = list_new(item, n);
	AUTO(sink_free) struct sink *k = content_sink_new(ret);

	return entries_pump(src, &k, 1, NULL, NULL);
}

static void test_content(void)
{
	static const struct xattr a[] = { { "user.a", { "1", 1 } } }, se[] = { { "security.selinux", { "1", 1 } } };
	static const struct {
		const char *name;
		struct item item[2];
		bool same;
	} rows[] = {
		{ "times do not count", { { { ENTRY_FILE, "f", .mode = 0644, .mtime = 9, .mtime_ns = 7 }, "x" } }, true },
		{ "SELinux labels do not count", { { { ENTRY_FILE, "f", .mode = 0644, .xattr = se, .nxattr = 1 }, "x" } }, true },
		{ "parents do not count", { { { ENTRY_FILE, "f", .mode = 0644 }, "x" }, { { ENTRY_DIR, "g", .parent = true }, NULL } }, true },
		{ "content counts", { { { ENTRY_FILE, "f", .mode = 0644 }, "y" } }, false },
		{ "the mode counts", { { { ENTRY_FILE, "f", .mode = 04644 }, "x" } }, false },
		{ "the owner counts", { { { ENTRY_FILE, "f", .mode = 0644, .gid = 1 }, "x" } }, false },
		{ "the name counts", { { { ENTRY_FILE, "g", .mode = 0644 }, "x" } }, false },
		{ "the type counts", { { { ENTRY_FIFO, "f", .mode = 0644 }, NULL } }, false },
		{ "attributes count", { { { ENTRY_FILE, "f", .mode = 0644, .xattr = a, .nxattr = 1 }, "x" } }, false },
		{ "a further entry counts", { { { ENTRY_FILE, "f", .mode = 0644 }, "x" }, { { ENTRY_DIR, "g" }, NULL } }, false },
	};
	static const struct item base[] = { { { ENTRY_FILE, "f", .mode = 0644 }, "x" } };
	struct digest want, got, file;

	digest_list(base, 1, &want);
	for (size_t i = 0; i < countof(rows); i++) {
		digest_list(rows[i].item, rows[i].item[1].en.path ? 2 : 1, &got);
		ok(digest_equal(&want, &got) == rows[i].same, "content digest: %s", rows[i].name);
	}
	struct hasher *h = hasher_new();
	digest_of("x", 1, &file);
	content_add(h, &(struct entry){ ENTRY_FILE, "f", .mode = 0644, .size = 1 }, &file);
	hasher_end(h, &got);
	hasher_free(h);
	ok(digest_equal(&want, &got), "who knows the file's digest gets the same without reading it");
}

static void test_pump(void)
{
	/* The table's size wins where there is no content: one byte is announced, none comes. */
	static const struct item short_file[] = { { { ENTRY_FILE, "f", .size = 1 }, NULL } };
	AUTO(err_freep) struct err *e = NULL;
	AUTO(entries_drop) struct entries *src = list_new(short_file, 1);
	struct digest d;
	AUTO(sink_free) struct sink *k = content_sink_new(&d);

	ok(entries_pump(src, &k, 1, NULL, &e) < 0 && strstr(err_text(e), "changed while it was read"), "W3: a file that got shorter");
}

int main(void)
{
	test_clean();
	test_order();
	test_xattrs();
	test_dup();
	test_content();
	test_pump();
	return done_testing();
}
