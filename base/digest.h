/* base/digest.h - sha256 digests of bytes (spec/oci.md 0.3, spec/threats.md M1). The only user of OpenSSL's hashes. */
#pragma once
#include "base/buf.h"

enum { DIGEST_TEXT = 71, DIGEST_HEX = 64 };     /* "sha256:" + 64 */

struct digest {
	unsigned char b[32];
};

struct hasher;

struct digest_text {
	char s[DIGEST_TEXT + 1];
};

/* "sha256:<64 lower-case hex>" and nothing else; -1 with `kind`. */
int digest_parse(struct slice text, struct digest *ret, enum err_kind kind, struct err **e);
int digest_parse_hex(struct slice hex, struct digest *ret);     /* -1 when it is not 64 lower-case hex digits */
struct digest_text digest_text(const struct digest *d);          /* digest_text(d).s prints it */
void digest_hex(const struct digest *d, char ret[DIGEST_HEX + 1]);
/* First 12 hex digits, for people. */
struct digest_text digest_short(const struct digest *d);
bool digest_equal(const struct digest *a, const struct digest *b);
bool digest_zero(const struct digest *d);
int digest_cmp(const struct digest *a, const struct digest *b);
void digest_of(const void *p, size_t n, struct digest *ret);
/* ChainID step (spec/oci.md 1.1): sha256(text(parent) + " " + text(diff)); parent NULL gives diff. */
void digest_chain(const struct digest *parent, const struct digest *diff, struct digest *ret);

/* A checksum as users write it for a file from elsewhere: "sha256:", "sha384:" or "sha512:" and hex digits. */
enum { CHECKSUM_MAX = 64 };
struct checksum {
	const char *algorithm;           /* OpenSSL's name of it */
	size_t n;
	unsigned char b[CHECKSUM_MAX];
};
int checksum_parse(struct slice text, struct checksum *ret, struct err **e);     /* -1 ERR_INPUT */

struct hasher *hasher_new(void);
struct hasher *hasher_new_checksum(const struct checksum *want);
/* Is what was added what was wanted? Ends it. */
bool hasher_matches(struct hasher *h, const struct checksum *want);
void hasher_add(struct hasher *h, const void *p, size_t n);
void hasher_end(struct hasher *h, struct digest *ret);           /* and starts afresh */
void hasher_free(struct hasher *h);
void hasher_freep(struct hasher **h);
