/* layers/tarin.h - a tar stream as entries (spec/threats.md 3, spec/oci.md 1.7). The only user of libarchive: tar format alone, no
 * filter, strict; our decompression is in front.
 *
 * Data:   entries in the order of the archive; whiteouts become ENTRY_WHITEOUT / ENTRY_OPAQUE in mode layer and stay files
 *         in mode plain. Devices are counted and left out. After the last entry the stream is drained to its end, so that
 *         a hash in front of it covers every byte (Z5).
 * Fails:  ERR_SOURCE naming the entry number, the escaped name and the rule. ERR_LIMIT over a maximum.
 */
#pragma once
#include "base/stream.h"
#include "layers/entry.h"

enum tar_mode { TAR_LAYER, TAR_PLAIN };
struct tarin_opts {
	enum tar_mode mode;
	uint64_t max_bytes;              /* decompressed; 0: 64 GiB */
	uint64_t max_content;            /* of all files; 0: max_bytes */
	uint64_t max_entries;            /* 0: 4,000,000 */
	bool *many, *much;               /* set when there are more, or when files hold more; may be NULL */
	uint64_t *devices;               /* counts what was left out, may be NULL */
};
int tarin_new(struct stream *take, const struct tarin_opts *o, struct entries **ret, struct err **e);
/* Do these first bytes (decompressed, up to 512) start a tar? (spec/dockerfile.md 10.2, 13.1) */
bool tar_magic(const unsigned char *p, size_t n);
/* Load now what a sparse file will need: for a process that is about to lose sight of the libraries (chroot). */
int tarin_prepare(struct err **e);
