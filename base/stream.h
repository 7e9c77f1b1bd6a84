/* base/stream.h - pull streams: small adaptors, stacked; closing the outermost closes all.
 *
 * Data:   stream_read() gives 1..n bytes, 0 at the end. A failure sticks.
 * Owns:   an adaptor takes its inner stream. stream_close(NULL) is fine.
 * Fails:  bytes nobody read were never checked: stream_close() of a verifying stream that was not read
 *         to its end is a failure. Only stream_close() == 0 makes the bytes trustworthy (M2).
 */
#pragma once
#include "base/digest.h"

#include <sys/types.h>

struct stream;
struct stream_ops {
	ssize_t (*read)(struct stream *s, void *p, size_t n, struct err **e);
	int (*close)(struct stream *s, struct err **e);          /* frees s; closes its inner stream */
};
struct stream {
	const struct stream_ops *ops;
	bool failed;
};

ssize_t stream_read(struct stream *s, void *p, size_t n, struct err **e);
int stream_close(struct stream *s, struct err **e);
void stream_drop(struct stream **s);                             /* for AUTO: close, discard the verdict */
int stream_drain(struct stream *s, struct err **e);              /* read to the end */

struct stream *stream_fd(int take_fd, const char *name);
struct stream *stream_bytes(struct slice borrowed);
/* More than max bytes is ERR_LIMIT naming `what`. */
struct stream *stream_limit(struct stream *take_inner, uint64_t max, const char *what);
/* Exactly size bytes with this digest, else ERR_SOURCE (size < 0: unknown). */
struct stream *stream_verify(struct stream *take_inner, const struct digest *d, int64_t size);
/* Hash and count what passes; read the answers after the end. h and n are borrowed. */
struct stream *stream_hash(struct stream *take_inner, struct hasher *h, uint64_t *count);
/* Copy what passes into fd (borrowed); a write error fails the read. */
struct stream *stream_tee(struct stream *take_inner, int fd);
