/* The tar writer against the test vectors of spec/oci.md 8.7, byte for byte. */
#include "base/digest.h"
#include "base/mem.h"
#include "layers/tarout.h"
#include "tests/list.h"
#include "tests/tap.h"

#define A60 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B90 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define Z60 "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"

static const struct xattr xattrs[] = {
	{ "user.a", { "1", 1 } }, { "user.b", { "2", 1 } }, { "user.empty", { "", 0 } }, { "user.overlay.opaque", { "y", 1 } },
};

static const struct {
	const char *name;
	struct entry en;
	const char *content;
	size_t bytes;
	const char *sha;
} rows[] = {
	{ "regular file", { ENTRY_FILE, "d/f", NULL, 0644, .mtime = 1700000000, .size = 3 }, "hi\n", 2048,
	  "22e90bf54ee8a344c370e4387b36b7ac2ec8d7c6a50cb81e7e982b3500e2fdad" },
	{ "directory", { ENTRY_DIR, "d", NULL, 0755, .mtime = 1700000000 }, NULL, 1536,
	  "f812f4f3c3857ab29536e585e8986cb94ecdcda150debdbc17e3fe78848dba3a" },
	{ "symlink", { ENTRY_SYMLINK, "l", "d/f", 0777 }, NULL, 1536,
	  "677413cc83476deb93d99956233e83aa51c9330986dc04d7107c163d4bfcf66f" },
	{ "hard link", { ENTRY_LINK, "h", "d/f", 0644, .mtime = 1700000000, .size = 3 }, NULL, 1536,
	  "91a82b8fbe93088a6f0e2bcd58b3c906cd7d8c08fbb1a5f9ad92f3e1cbb8318b" },
	{ "character device", { ENTRY_CHAR, "c", NULL, 0666, .major = 1, .minor = 3 }, NULL, 1536,
	  "d5881fcb8d47db26e8830d7f4b5de9fa7cfe015d1673cb699bbedbccbcd17093" },
	{ "whiteout, whatever its attributes", { ENTRY_WHITEOUT, "d/gone", NULL, 0644, 7, 7, 99 }, NULL, 1536,
	  "b0ec7648c4cf221d17bb5951554f4fb077b84b244986b55bf576bf812c7923f4" },
	{ "name in UTF-8", { ENTRY_FILE, "caf\xc3\xa9", NULL, 0644 }, NULL, 2560,
	  "16edc3c320be1fa3f0ddaccae83169ed16b5edd75a93e2dc91e648bd9082a4a4" },
	{ "long path that fits prefix and name", { ENTRY_FILE, A60 "/" B90, NULL, 0644 }, NULL, 1536,
	  "14465ea4ecc1a8204484c896008ff635a2f718a12e08870bb1fa6bc9063535b9" },
	{ "long name", { ENTRY_FILE, X50 X50 X50, NULL, 0644 }, NULL, 2560,
	  "4b7c443f2dad11d790784a2ec41e8cc7f448bf4fe644c7026c8efb130a9c062f" },
	{ "large ids", { ENTRY_FILE, "u", NULL, 0600, 3000000, 2147483653, .size = 1 }, "q", 3072,
	  "1832f1a401e6cda0b7670c27c3a2398840aef58473ca86fcd0bc130e21f247a9" },
	{ "time before 1970", { ENTRY_FILE, "n", NULL, 0644, .mtime = -1 }, NULL, 2560,
	  "77b36d51f44c422cd4dcb16742ff470903658b832903edfcd79b19f9f10c5ad1" },
	{ "extended attributes; empty and private ones are left out", { ENTRY_FILE, "p", NULL, 04755, .xattr = xattrs, .nxattr = 4 },
	  NULL, 2560, "f680dc493a55ff37e83ea7135621212f340f41bac95ab05112d80b1ba7da00a3" },
	{ "long link target", { ENTRY_SYMLINK, "y", Z60 Z60, 0777 }, NULL, 2560,
	  "d638eb4418e1f0cec316cbc09a852a9c1e7ea8d5bf3800bc7690283beb45adbe" },
};

static int collect(void *arg, const void *p, size_t n, struct err **e)
{
	buf_add(arg, p, n);
	return 0;
}

static struct sink *start(struct buf *out, bool plain, int64_t clamp)
{
	return tarout_new(collect, out, &(struct tarout_opts){ .clamp_mtime = clamp, .plain = plain });
}

static int put(struct sink *k, const struct entry *en, const char *content, struct err **e)
{
	if (k->ops->entry(k, en, e) < 0)
		return -1;
	return content ? k->ops->data(k, content, strlen(content), e) : 0;
}

static void is_tar(const struct buf *out, size_t bytes, const char *sha, const char *name)
{
	struct digest d;
	char hex[DIGEST_HEX + 1];

	digest_of(out->p, out->n, &d);
	digest_hex(&d, hex);
	is_int((long long)out->n, (long long)bytes, name);
	is_str(hex, sha, name);
}

static void test_vectors(void)
{
	AUTO(buf_freep) struct buf all = BUF_MAX(1 << 20);
	AUTO(sink_free) struct sink *ka = start(&all, false, INT64_MAX);

	for (size_t i = 0; i < countof(rows); i++) {
		AUTO(buf_freep) struct buf one = BUF_MAX(1 << 20);
		AUTO(sink_free) struct sink *k = start(&one, false, INT64_MAX);

		ok(put(k, &rows[i].en, rows[i].content, NULL) == 0 && k->ops->end(k, NULL) == 0, "%s is written", rows[i].name);
		is_tar(&one, rows[i].bytes, rows[i].sha, rows[i].name);
		put(ka, &rows[i].en, rows[i].content, NULL);
	}
	ka->ops->end(ka, NULL);
	is_tar(&all, 14848, "093e4db7785da959bc9560b9161974bf0e3a3d982426a23e992adb0ded2b24b4", "all rows in one archive");
}

static void test_names(void)
{
	static const struct {
		const char *name, *path;
		enum entry_type type;
		bool plain, refused;
		const char *field;
	} names[] = {
		{ "W1: a user's .wh. name is refused", ".wh.x", ENTRY_FILE, false, true, NULL },
		{ "W1: also as a directory on the way", "a/.wh.x/b", ENTRY_FILE, false, true, NULL },
		{ "a plain archive may have one", "a/.wh.x", ENTRY_FILE, true, false, "a/.wh.x" },
		{ "the root is ./", "", ENTRY_DIR, false, false, "./" },
		{ "opaque mark of a directory", "a/b", ENTRY_OPAQUE, false, false, "a/b/.wh..wh..opq" },
		{ "opaque mark of the root", "", ENTRY_OPAQUE, false, false, ".wh..wh..opq" },
		{ "whiteout at the top", "x", ENTRY_WHITEOUT, false, false, ".wh.x" },
		{ "a directory of 99 bytes has room for its slash", X50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ENTRY_DIR,
		  false, false, X50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/" },
	};

	for (size_t i = 0; i < countof(names); i++) {
		AUTO(buf_freep) struct buf out = BUF_MAX(1 << 20);
		AUTO(sink_free) struct sink *k = start(&out, names[i].plain, INT64_MAX);
		AUTO(err_freep) struct err *e = NULL;
		int rc = put(k, &(struct entry){ names[i].type, names[i].path }, NULL, &e);

		ok((rc < 0) == names[i].refused, "%s", names[i].name);
		if (rc == 0 && k->ops->end(k, NULL) == 0)
			ok(strncmp(out.p, names[i].field, 100) == 0, "%s: header name", names[i].name);
	}
}

static void test_clamp(void)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(1 << 20);
	AUTO(sink_free) struct sink *k = start(&out, false, 8);

	put(k, &(struct entry){ ENTRY_DIR, "d", .mtime = 1700000000 }, NULL, NULL);
	k->ops->end(k, NULL);
	is_str(out.p + 136, "00000000010", "later times become the clamp");
}

int main(void)
{
	test_vectors();
	test_names();
	test_clamp();
	return done_testing();
}
