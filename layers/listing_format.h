/* layers/listing_format.h - a listing on disk: little-endian, every part a multiple of 8 bytes.
 *
 *   offset        what
 *   0             struct head: magic, version, counts, offsets, checksum of everything but itself
 *   128           records in order of arrival, each text behind its record
 *   head.index    uint64 offset of each record that counts, in layer order
 *
 * A record is its fixed part, then path NUL, link NUL, then for each xattr: u32 name length, u32 value length, name NUL,
 * value, zeros to 8. A file that may hold accounts has its text; its major is where, in units of 8. One path may have three
 * records: the entry, an opaque mark, a whiteout; in this order.
 *
 * The checksum finds damage, not malice: who can write below the store can do anything (spec/threats.md 1).
 */
#pragma once
#include "layers/entry.h"

#include <endian.h>

enum { VERSION = 1, NTEXT = 2 };

struct head {
	char magic[8];
	uint64_t version, count, index, nxattr, size;
	struct {
		uint64_t at, n;          /* at 0: none */
	} text[NTEXT];                   /* of etc/passwd and etc/group, in listings made when only these had one */
	uint64_t reserved[5];
	uint64_t sum;
};
_Static_assert(sizeof(struct head) == 128, "head is written as it is");
static const char magic[8] = "kilnlist";

struct record {
	uint32_t length, seq;            /* of the whole record; order of arrival */
	uint8_t type, parent;
	uint16_t nxattr;
	uint32_t mode, uid, gid, mtime_ns, major, minor;
	int64_t mtime;
	uint64_t size;
	uint32_t xattr;                  /* number of its first xattr among all */
	uint16_t path, link;             /* lengths without NUL; link 0xffff: none */
};
_Static_assert(sizeof(struct record) == 64, "records are written as they are");
enum { NO_LINK = 0xffff };

/* Eight bytes at a time; any change of a word changes the sum. */
static inline uint64_t sum_add(uint64_t sum, const void *p, size_t n)
{
	const uint64_t *w = p;

	for (size_t i = 0; i < n / 8; i++) {
		sum = (sum ^ le64toh(w[i])) * UINT64_C(0x9e3779b97f4a7c15);
		sum ^= sum >> 29;
	}
	return sum;
}

/* A copy of a listing has those texts that the original has. */
void listing_sink_texts(struct sink *k, bool keep);

static inline const char *record_path(const struct record *r)
{
	return (const char *)(r + 1);
}
