/* The tar reader: what it accepts, and every malformed header that it must not (spec/threats.md E1-E22). */
#include "base/mem.h"
#include "layers/tarin.h"
#include "layers/tarout.h"
#include "tests/list.h"
#include "tests/tap.h"

#include <stdlib.h>

/* One header block and its data. NULL fields get a usual value. */
struct block {
	char type;
	const char *name, *link, *data;
	const char *mode, *uid, *size, *mtime;
	size_t at;                       /* patch: bytes put at this offset, before the checksum is made */
	struct slice patch;
	size_t data_n;                   /* of data with NUL bytes */
	bool bad_sum, gnu, cut;          /* wrong checksum; old GNU magic; no padding, no end */
};
enum { BLOCKS = 6 };
#define P(s) { s, sizeof(s) - 1 }
#define A10 "aaaaaaaaaa"
#define A100 A10 A10 A10 A10 A10 A10 A10 A10 A10 A10

static void put_block(struct buf *out, const struct block *b)
{
	static const char zeros[512];
	char h[512] = { 0 }, number[16];
	size_t n = b->data_n ? b->data_n : b->data ? strlen(b->data) : 0;
	unsigned sum = 0;

	snprintf(number, sizeof(number), "%011zo", n);
	memcpy(h, b->name, strlen(b->name) < 100 ? strlen(b->name) : 100);
	memcpy(h + 100, b->mode ? b->mode : "0000644", 7);
	memcpy(h + 108, b->uid ? b->uid : "0000000", 7);
	memcpy(h + 116, "0000000", 7);
	memcpy(h + 124, b->size ? b->size : number, 11);
	memcpy(h + 136, b->mtime ? b->mtime : "00000000007", 11);
	h[156] = b->type;
	if (b->link)
		memcpy(h + 157, b->link, strlen(b->link) < 100 ? strlen(b->link) : 100);
	memcpy(h + 257, b->gnu ? "ustar  " : "ustar\00000", 8);
	if (b->patch.n)
		memcpy(h + b->at, b->patch.p, b->patch.n);
	memset(h + 148, ' ', 8);
	for (size_t i = 0; i < sizeof(h); i++)
		sum += (unsigned char)h[i];
	snprintf(h + 148, 8, "%06o", sum + b->bad_sum);
	buf_add(out, h, sizeof(h));
	buf_add(out, b->data, n);
	if (!b->cut)
		buf_add(out, zeros, -n % 512);
}

static void describe(struct entries *src, struct buf *out)
{
	AUTO(err_freep) struct err *e = NULL;
	const struct entry *en = NULL;
	char block[1000];
	ssize_t n = 0;
	int rc;

	while ((rc = entries_next(src, &en, &e)) == 1) {
		buf_printf(out, "%c:%s", en->type, en->path);
		if (en->link)
			buf_printf(out, ">%s", en->link);
		for (size_t i = 0; i < en->nxattr; i++)
			buf_printf(out, "[%s=%.*s]", en->xattr[i].name, SLICE_F(en->xattr[i].value));
		if (en->type == ENTRY_FILE && en->size) {
			buf_char(out, '=');
			while ((n = entries_data(src, block, sizeof(block), &e)) > 0)
				for (ssize_t i = 0; i < n; i++)
					buf_char(out, block[i] ? block[i] : '.');
			if (n < 0) {
				rc = -1;
				break;
			}
		}
		buf_char(out, ' ');
	}
	if (rc == 0)
		rc = entries_close(src, &e);
	else
		entries_drop(&src);
	if (rc < 0) {
		buf_reset(out);
		buf_printf(out, "error: %s", err_cause(e));
	}
}

/* Lengths of PAX records count themselves. */
static const struct {
	const char *name;
	struct block block[BLOCKS];
	const char *want;                /* the entries; or "error: ..." of which a part */
	enum tar_mode mode;
} cases[] = {
	{ "file, directory, symlink, hard link, fifo", { { '0', "f", .data = "hi" }, { '5', "d/" }, { '2', "s", "../x" }, { '1', "h", "./f" }, { '6', "p" } },
	  "0:f=hi 5:d 2:s>../x 1:h>f 6:p " },
	{ "types NUL and 7 are files", { { 0, "a", .data = "1" }, { '7', "b", .data = "2" } }, "0:a=1 0:b=2 " },
	{ "a file with a slash is a directory", { { 0, "a/" }, { '0', "b/" } }, "5:a 5:b " },
	{ "names are cleaned", { { '0', "/./a//b/./c" } }, "0:a/b/c " },
	{ "prefix and name", { { '0', "name", .at = 345, .patch = P("some/prefix") } }, "0:some/prefix/name " },
	{ "old GNU headers have no prefix", { { '0', "name", .at = 345, .patch = P("12345670123"), .gnu = true } }, "0:name " },
	{ "E6: names are bytes", { { '0', "\xff\xfe" }, { '0', "caf\xc3\xa9", .data = "x" } }, "0:\xff\xfe 0:caf\xc3\xa9=x " },
	{ "E6: in PAX too, whatever the locale", { { 'x', "p", .data = "12 path=\xff\xc3\xa9\n" }, { '0', "n", .data = "x" } }, "0:\xff\xc3\xa9=x " },
	{ "E5: PAX size wins", { { 'x', "p", .data = "9 size=2\n" }, { '0', "n", .data = "xy", .size = "00000000000" } }, "0:n=xy " },
	{ "E5: also with a long name between", { { 'x', "p", .data = "9 size=2\n" }, { 'L', "l", .data = "long", .data_n = 5 },
						   { '0', "n", .data = "xy", .size = "00000000000" } }, "0:long=xy " },
	{ "E5: a global header changes nothing", { { 'g', "g", .data = "9 size=7\n10 path=x\n" }, { '0', "n", .data = "xy" } }, "0:n=xy " },
	{ "E5: an empty value is no value", { { 'x', "p", .data = "8 path=\n8 size=\n" }, { '0', "n", .data = "xy" } }, "0:n=xy " },
	{ "GNU long name and link", { { 'L', "l", .data = A100 A10, .data_n = 111 }, { 'K', "l", .data = A100 "b", .data_n = 102 }, { '2', "n", "x" } },
	  "2:" A100 A10 ">" A100 "b " },
	{ "base-256", { { '0', "n", .data = "xy", .size = "\x80\0\0\0\0\0\0\0\0\0\0", .at = 124, .patch = P("\x80\0\0\0\0\0\0\0\0\0\0\x02") } }, "0:n=xy " },
	{ "blanks around numbers", { { '0', "n", .mode = "   644 ", .uid = "  0 \0\0\0" } }, "0:n " },
	{ "fields of NULs are 0", { { '0', "n", .mode = "\0\0\0\0\0\0", .uid = "\0\0\0\0\0\0" } }, "0:n " },
	{ "V is ignored", { { 'V', "label" }, { '0', "n" } }, "0:n " },
	{ "E22: attributes, both spellings", { { 'x', "p", .data = "25 SCHILY.xattr.user.b=2\n32 LIBARCHIVE.xattr.user.a=MQ==\n28 SCHILY.xattr.trusted.x=3\n" },
						 { '0', "n" } }, "0:n[user.a=1][user.b=2] " },
	{ "E22: private names are dropped", { { 'x', "p", .data = "38 SCHILY.xattr.user.overlay.opaque=y\n32 SCHILY.xattr.user.kiln.own=1\n" }, { '0', "n" } }, "0:n " },
	{ "E1: unknown type", { { 'Z', "n" } }, "error: an entry is of the unknown type 0x5a" },
	{ "E1: GNU dump directory", { { 'D', "n" } }, "error: an entry is of the unknown type" },
	{ "E1: GNU continuation", { { 'M', "n" } }, "error: an entry is of the unknown type" },
	{ "E4: wrong checksum", { { '0', "n", .bad_sum = true } }, "error: the checksum of a header is wrong" },
	{ "E3, E4: wrong checksum later", { { '0', "n", .data = "x" }, { '0', "m", .bad_sum = true } }, "error: the checksum of a header is wrong" },
	{ "E4: truncated data", { { '0', "n", .data = "x", .cut = true } }, "error: the tar ends inside a" },
	{ "E4: missing data", { { '0', "n", .size = "00000001000", .cut = true } }, "error: the tar ends inside a file" },
	{ "E4: a number that is none", { { '0', "n", .uid = "12x4567" } }, "error: a number in a header is malformed" },
	{ "E4: digits after a gap", { { '0', "n", .uid = "12 4567" } }, "error: a number in a header is malformed" },
	{ "E4: 8 is no octal digit", { { '0', "n", .size = "00000000008" } }, "error: a number in a header is malformed" },
	{ "E4: negative size", { { '0', "n", .at = 124, .patch = P("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff") } }, "error: a number in a header is out of range" },
	{ "E4: size over 2^63", { { '0', "n", .at = 124, .patch = P("\x80\0\0\1\0\0\0\0\0\0\0\0") } }, "error: a number in a header is out of range" },
	{ "E4: size of 2^63-512", { { '0', "n", .at = 124, .patch = P("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xfe\0") } }, "error: a number in a header is out of range" },
	{ "E4: PAX record too short", { { 'x', "p", .data = "8 path=x\n" }, { '0', "n" } }, "error: an extended header has a record" },
	{ "E4: PAX record too long", { { 'x', "p", .data = "99 path=x\n" }, { '0', "n" } }, "error: an extended header has a record of wrong length" },
	{ "E4: PAX record without length", { { 'x', "p", .data = "path=x\n" }, { '0', "n" } }, "error: an extended header has a record of wrong length" },
	{ "E4: PAX record of length 0", { { 'x', "p", .data = "0 path=x\n" }, { '0', "n" } }, "error: an extended header has a record of wrong length" },
	{ "E4: PAX record of negative length", { { 'x', "p", .data = "-9 path=x\n" }, { '0', "n" } }, "error: an extended header has a record of wrong length" },
	{ "E4: PAX record without =", { { 'x', "p", .data = "9 path-x\n" }, { '0', "n" } }, "error: an extended header has a record" },
	{ "E4: PAX record without key", { { 'x', "p", .data = "5 =x\n" }, { '0', "n" } }, "error: an extended header has a record without a key" },
	{ "E4: NUL in a key", { { 'x', "p", .data = "10 pa\0h=x\n", .data_n = 10 }, { '0', "n" } }, "error: an extended header has a key with a NUL byte" },
	{ "E4: NUL in a path", { { 'x', "p", .data = "11 path=x\0\n", .data_n = 11 }, { '0', "n" } }, "error: a name in an extended header contains a NUL byte" },
	{ "E4: NUL in a link path", { { 'x', "p", .data = "15 linkpath=x\0\n", .data_n = 15 }, { '2', "n", "x" } }, "error: a name in an extended header contains a NUL byte" },
	{ "E4: PAX size that is no number", { { 'x', "p", .data = "11 size=0x2\n" }, { '0', "n" } }, "error: an extended header" },
	{ "E4: PAX uid with a sign", { { 'x', "p", .data = "9 uid=+1\n" }, { '0', "n" } }, "error: a number in an extended header is malformed" },
	{ "E4: PAX gid with a blank", { { 'x', "p", .data = "9 gid= 1\n" }, { '0', "n" } }, "error: a number in an extended header is malformed" },
	{ "E4: PAX size over 64 bits", { { 'x', "p", .data = "29 size=18446744073709551618\n" }, { '0', "n" } }, "error: a number in an extended header is malformed" },
	{ "E4: malformed times", { { 'x', "p", .data = "12 mtime=1e5\n" }, { '0', "n" } }, "error: " },
	{ "E4: global records are checked too", { { 'g', "p", .data = "9 path-x\n" }, { '0', "n" } }, "error: an extended header has a record" },
	{ "E4: long name without end", { { 'L', "l", .data = "long" }, { '0', "n" } }, "error: a long name does not end" },
	{ "E4: extension header without entry", { { 'x', "p", .data = "10 path=ab\n" } }, "error: an extended header" },
	{ "E4: two of them", { { 'x', "p", .data = NULL }, { 'x', "p" }, { '0', "n" } }, "error: two extended headers" },
	{ "17: five extension headers", { { 'g', "p" }, { 'g', "p" }, { 'g', "p" }, { 'g', "p" }, { 'g', "p" }, { '0', "n" } }, "error: more than 4 extended headers" },
	{ "17: an extension header of 2 MiB", { { 'x', "p", .size = "00010000000" } }, "error: an extended header is larger than 1 MiB" },
	{ "E9: .. in a layer", { { '0', "a/../b" } }, "error: the name 'a/../b' has a component '..'" },
	{ "E9: .. is clamped in plain mode", { { '0', "../a/../b" } }, "0:b ", TAR_PLAIN },
	{ "E9: empty name", { { '0', "" } }, "error: a name is empty" },
	{ "E10: root entries", { { '5', "./" }, { '5', "/" } }, "5: 5: " },
	{ "E10: a root that is a file", { { '0', "." } }, "error: the root is not a directory" },
	{ "E10: a root that is a symlink", { { '2', "/", "x" } }, "error: the root is not a directory" },
	{ "empty link target", { { '2', "n", "" } }, "error: a link has no target" },
	{ "hard link to itself", { { '1', "a", "./a" } }, "error: a hard link names itself" },
	{ "hard link with ..", { { '1', "a", "../a" } }, "error: the name '../a' has a component '..'" },
	{ "hard link to a whiteout", { { '1', "a", "b/.wh.x" } }, "error: a hard link names a whiteout" },
	{ "E14: hard link that announces a size", { { '0', "a", .data = "x" }, { '1', "b", "a", .size = "00000000001" }, { '0', "c", .data = "y" } }, "0:a=x 1:b>a 0:c=y " },
	{ "E14: directory with data", { { '5', "d", .data = "x" } }, "error: data is attached to something that is no file" },
	{ "E14: symlink with PAX size", { { 'x', "p", .data = "9 size=2\n" }, { '2', "d", "x" } }, "error: data is attached" },
	{ "devices are left out", { { '3', "c", .at = 329, .patch = P("0000001\0000003") }, { '4', "b" }, { '0', "f" } }, "0:f " },
	{ "E15: whiteouts", { { '0', ".wh.a" }, { '0', "d/.wh.b", .data = "ignored" }, { '0', "d/.wh..wh..opq" }, { '0', ".wh..wh..opq" } }, "w:a w:d/b o:d o: " },
	{ "E15: leftovers of aufs are dropped", { { '5', ".wh..wh.plnk" }, { '0', ".wh..wh.plnk/1.2", .data = "x" }, { '1', ".wh..wh.aufs", "f" }, { '0', "f" } }, "0:f " },
	{ "E15: in plain mode they are files", { { '0', ".wh.a" }, { '5', "d/.wh..wh..opq" } }, "0:.wh.a 5:d/.wh..wh..opq ", TAR_PLAIN },
	{ "E16: whiteout of nothing", { { '0', ".wh." } }, "error: a whiteout names nothing" },
	{ "E16: whiteout of .", { { '0', ".wh.." } }, "error: a whiteout names nothing" },
	{ "E16: whiteout of ..", { { '0', "a/.wh..." } }, "error: a whiteout names nothing" },
	{ "E16: whiteout of ... is one", { { '0', "a/.wh...." } }, "w:a/... " },
	{ "E16: a directory", { { '5', ".wh.a" } }, "error: a whiteout is not a regular file" },
	{ "E16: a symlink", { { '2', ".wh.a", "x" } }, "error: a whiteout is not a regular file" },
	{ "E16: as a directory on the way", { { '0', ".wh.a/b" } }, "error: a whiteout is used as a directory" },
	{ "E19: uid 4294967295", { { 'x', "p", .data = "18 uid=4294967295\n" }, { '0', "n" } }, "error: an owner is not between" },
	{ "E19: uid that wraps", { { '0', "n", .at = 108, .patch = P("\x80\0\0\1\0\0\0\0") } }, "error: an owner is not between" },
	{ "E19: negative uid", { { '0', "n", .at = 108, .patch = P("\xff\xff\xff\xff\xff\xff\xff\xfe") } }, "error: a number in a header is out of range" },
	{ "E22: capability of wrong length", { { 'x', "p", .data = "41 SCHILY.xattr.security.capability=1234\n" }, { '0', "n" } }, "error: the extended attribute 'security.capability'" },
	{ "sparse 0.1", { { 'x', "p", .data = "21 GNU.sparse.size=6\n26 GNU.sparse.numblocks=1\n22 GNU.sparse.map=2,2\n" },
			    { '0', "n", .data = "xy" } }, "0:n=..xy.. " },
	{ "E4: sparse map out of order", { { 'x', "p", .data = "21 GNU.sparse.size=9\n26 GNU.sparse.numblocks=2\n26 GNU.sparse.map=4,2,2,2\n" }, { '0', "n", .data = "wxyz" } },
	  "error: a sparse map is not in order" },
	{ "E4: sparse map that overlaps", { { 'x', "p", .data = "21 GNU.sparse.size=9\n26 GNU.sparse.numblocks=2\n26 GNU.sparse.map=2,2,3,2\n" }, { '0', "n", .data = "wxyz" } },
	  "error: a sparse map is not in order" },
	{ "E4: sparse map that leaves the size", { { 'x', "p", .data = "21 GNU.sparse.size=3\n26 GNU.sparse.numblocks=1\n22 GNU.sparse.map=2,2\n" }, { '0', "n", .data = "xy" } },
	  "error: a sparse map leaves the file's size" },
	{ "E4: sparse map with too few segments", { { 'x', "p", .data = "21 GNU.sparse.size=9\n26 GNU.sparse.numblocks=2\n22 GNU.sparse.map=2,2\n" }, { '0', "n", .data = "xy" } },
	  "error: a sparse map does not have the segments" },
	{ "old GNU sparse", { { 'S', "n", .data = "xy", .at = 386, .patch = P("00000000002\00000000000002\0"), .gnu = true } }, "error: a sparse map leaves the file's size" },
	{ "sparse 1.0 with a million segments", { { 'x', "p", .data = "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n25 GNU.sparse.realsize=9\n" }, { '0', "n", .data = "1000000\n" } },
	  "error: a sparse file has more than 65536 segments" },
};

static void test_cases(void)
{
	static const char zeros[1024];

	for (size_t i = 0; i < countof(cases); i++) {
		AUTO(buf_freep) struct buf tar = BUF_MAX(1 << 20), got = BUF_MAX(1 << 20);
		struct tarin_opts o = { .mode = cases[i].mode };
		struct entries *src = NULL;
		bool cut = false;

		for (size_t k = 0; k < BLOCKS && cases[i].block[k].name; k++) {
			put_block(&tar, &cases[i].block[k]);
			cut = cases[i].block[k].cut;
		}
		if (!cut)
			buf_add(&tar, zeros, sizeof(zeros));
		tarin_new(stream_bytes(buf_view(&tar)), &o, &src, NULL);
		describe(src, &got);
		if (strncmp(cases[i].want, "error: ", 7) == 0)
			ok(got.p && strstr(got.p, cases[i].want), "%s (%s)", cases[i].name, got.p ? got.p : "nothing");
		else
			is_str(got.p ? got.p : "", cases[i].want, cases[i].name);
	}
}

static void is_read(struct slice bytes, uint64_t max, const char *want, const char *name)
{
	AUTO(buf_freep) struct buf got = BUF_MAX(1 << 20);
	struct tarin_opts o = { .max_bytes = max };
	struct entries *src = NULL;

	tarin_new(stream_bytes(bytes), &o, &src, NULL);
	describe(src, &got);
	ok(strstr(got.p ? got.p : "", want) && (*want || got.n == 0), "%s (%s)", name, got.p ? got.p : "");
}

static void test_ends(void)
{
	AUTO(buf_freep) struct buf tar = BUF_MAX(1 << 20);
	static const char zeros[4096];

	is_read(SLICE_LIT(""), 0, "", "E7: no bytes at all is an empty layer");
	is_read((struct slice){ zeros, 512 }, 0, "", "E7: one zero block");
	is_read((struct slice){ zeros, 100 }, 0, "error: the tar ends inside a block", "E4: less than a block");
	put_block(&tar, &(struct block){ '0', "f", .data = "hi" });
	is_read(buf_view(&tar), 0, "0:f=hi ", "E7: no end at all");
	is_read(buf_view(&tar), 1000, "error: ", "Z4: more bytes than allowed");
	buf_add(&tar, zeros, 512);
	put_block(&tar, &(struct block){ '0', "g", .data = "hi" });
	is_read(buf_view(&tar), 0, "0:f=hi ", "E7: what follows the end is not read");
	buf_reset(&tar);
	put_block(&tar, &(struct block){ '0', "f", .size = "00000002000" });
	is_read(buf_view(&tar), 1023, "error: the archive holds more than 1023 bytes", "E8: the announced size is compared first");
}

/* Z5: the bytes behind the end are hashed as well. */
static void test_drain(void)
{
	AUTO(buf_freep) struct buf tar = BUF_MAX(1 << 20), got = BUF_MAX(1000);
	struct hasher *h = hasher_new();
	struct digest want, have;
	struct tarin_opts o = { 0 };
	struct entries *src = NULL;
	static const char zeros[2048];

	put_block(&tar, &(struct block){ '0', "f", .data = "hi" });
	buf_add(&tar, zeros, sizeof(zeros));
	buf_str(&tar, "anything");
	digest_of(tar.p, tar.n, &want);
	tarin_new(stream_hash(stream_bytes(buf_view(&tar)), h, NULL), &o, &src, NULL);
	describe(src, &got);
	hasher_end(h, &have);
	hasher_free(h);
	is_str(got.p, "0:f=hi ", "an archive with something behind its end");
	ok(digest_equal(&want, &have), "Z5: is hashed to its last byte");
}

/* What is not read is passed over; whatever mixture of both. */
static void test_skip(void)
{
	AUTO(buf_freep) struct buf tar = BUF_MAX(1 << 20);
	struct tarin_opts o = { 0 };
	AUTO(entries_drop) struct entries *src = NULL;
	const struct entry *en = NULL;
	char block[1000];

	AUTO(mem_freep) char *big = mem_alloc(100000);
	memset(big, 'b', 100000);
	put_block(&tar, &(struct block){ '0', "a", .data = big, .data_n = 100000 });
	put_block(&tar, &(struct block){ '0', "b", .data = big, .data_n = 99999 });
	put_block(&tar, &(struct block){ '0', "c", .data = "end" });
	tarin_new(stream_bytes(buf_view(&tar)), &o, &src, NULL);
	ok(entries_next(src, &en, NULL) == 1 && entries_data(src, block, 1000, NULL) == 1000, "a part of the first");
	ok(entries_next(src, &en, NULL) == 1 && strcmp(en->path, "b") == 0, "nothing of the second");
	ok(entries_next(src, &en, NULL) == 1 && entries_data(src, block, 1000, NULL) == 3 && memcmp(block, "end", 3) == 0, "all of the third");
	ok(entries_next(src, &en, NULL) == 0, "and the end");
}

static void test_devices(void)
{
	AUTO(buf_freep) struct buf tar = BUF_MAX(1 << 20), got = BUF_MAX(1000);
	uint64_t devices = 0;
	struct tarin_opts o = { .devices = &devices };
	struct entries *src = NULL;

	put_block(&tar, &(struct block){ '3', "a" });
	put_block(&tar, &(struct block){ '4', "b" });
	tarin_new(stream_bytes(buf_view(&tar)), &o, &src, NULL);
	describe(src, &got);
	is_int((long long)devices, 2, "devices are counted");
	ok(tar_magic((unsigned char *)tar.p, 512) && !tar_magic((const unsigned char *)"no tar", 6), "the first block tells a tar");
}

int main(void)
{
	test_cases();
	test_ends();
	test_drain();
	test_skip();
	test_devices();
	return done_testing();
}
