/* tests/unit/stream.c - stacks of streams: what is not verified to the end is not trusted. */
#include "base/fd.h"
#include "base/mem.h"
#include "base/stream.h"
#include "tests/tap.h"

#include <sys/mman.h>
#include <unistd.h>

static int slurp(struct stream *s, struct buf *out, struct err **e)
{
	char p[7];

	for (;;) {
		ssize_t n = stream_read(s, p, sizeof(p), e);

		if (n <= 0)
			return (int)n;
		buf_add(out, p, (size_t)n);
	}
}

static void verify(void)
{
	static const struct {
		const char *name, *bytes;
		int64_t size;
		bool good;
	} cases[] = {
		{ "the right bytes", "hello, world", 12, true },
		{ "the right bytes of unknown size", "hello, world", -1, true },
		{ "one byte changed", "hello, World", 12, false },
		{ "too short", "hello, worl", 12, false },
		{ "too long", "hello, world!", 12, false },
		{ "nothing", "", 12, false },
	};
	struct digest d;

	digest_of("hello, world", 12, &d);
	for (size_t i = 0; i < countof(cases); i++) {
		AUTO(err_freep) struct err *e = NULL;
		AUTO(buf_freep) struct buf b = BUF_MAX(100);
		struct stream *s = stream_verify(stream_bytes(slice_of(cases[i].bytes)), &d, cases[i].size);
		int rc = slurp(s, &b, &e);
		int closed = stream_close(s, rc < 0 ? NULL : &e);

		ok((rc == 0 && closed == 0) == cases[i].good && (cases[i].good || err_kind(e) == ERR_SOURCE),
		   "M2: %s", cases[i].name);
	}
}

static void early(void)
{
	struct digest d;
	char p[12];

	digest_of("hello, world", 12, &d);
	AUTO(err_freep) struct err *e = NULL;
	struct stream *s = stream_verify(stream_bytes(slice_of("hello, world")), &d, 12);
	stream_read(s, p, 5, NULL);
	ok(stream_close(s, &e) < 0 && err_kind(e) == ERR_SOURCE, "closing before the end is a failure");

	s = stream_verify(stream_bytes(slice_of("hello, world")), &d, 12);
	stream_read(s, p, 12, NULL);
	is_int(stream_close(s, NULL), 0, "reading exactly the size is reading to the end");

	s = stream_verify(stream_bytes(slice_of("hello, worlD")), &d, 12);
	stream_read(s, p, 12, NULL);
	is_int(stream_close(s, NULL), -1, "but the digest is still checked");

	s = stream_verify(stream_bytes(slice_of("hello, world!")), &d, 12);
	stream_read(s, p, 12, NULL);
	is_int(stream_close(s, NULL), -1, "and that nothing follows");
	is_int(stream_close(NULL, NULL), 0, "closing nothing is fine");
}

static void limit(void)
{
	AUTO(err_freep) struct err *e = NULL;
	AUTO(buf_freep) struct buf b = BUF_MAX(100);

	struct stream *s = stream_limit(stream_bytes(slice_of("12345678")), 8, "layer");
	ok(slurp(s, &b, &e) == 0 && stream_close(s, &e) == 0 && b.n == 8, "exactly the limit passes");
	s = stream_limit(stream_bytes(slice_of("123456789")), 8, "layer");
	ok(slurp(s, &b, &e) < 0 && err_kind(e) == ERR_LIMIT, "one byte more is a limit error");
	is_str(err_text(e), "layer is larger than 8 bytes", "that names it");
	ok(stream_read(s, b.p, 1, NULL) < 0, "a failure sticks");
	is_int(stream_close(s, NULL), -1, "and close tells it again");
}

static void passing(void)
{
	AUTO(err_freep) struct err *e = NULL;
	AUTO(buf_freep) struct buf b = BUF_MAX(100);
	AUTO(hasher_freep) struct hasher *h = hasher_new();
	AUTO(fd_closep) int source = memfd_create("source", MFD_CLOEXEC), copy = memfd_create("copy", MFD_CLOEXEC);
	uint64_t n = 0;
	struct digest got, want;
	char text[13] = "";

	fd_write_all(source, "hello, world", 12, NULL);
	lseek(source, 0, SEEK_SET);
	struct stream *s = stream_tee(stream_hash(stream_fd(fd_take(&source), "memory"), h, &n), copy);
	is_int(stream_drain(s, &e), 0, "a stack is read to its end");
	is_int(stream_close(s, &e), 0, "and closed");
	hasher_end(h, &got);
	digest_of("hello, world", 12, &want);
	ok(digest_equal(&got, &want) && n == 12, "what passed was hashed and counted");
	ok(pread(copy, text, 12, 0) == 12 && strcmp(text, "hello, world") == 0, "and copied");

	int bad = memfd_create("read only", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	fcntl(bad, F_ADD_SEALS, F_SEAL_WRITE);
	s = stream_tee(stream_bytes(slice_of("x")), bad);
	ok(slurp(s, &b, &e) < 0 && stream_close(s, NULL) < 0, "a copy that cannot be written fails the read");
	close(bad);
}

int main(void)
{
	verify();
	early();
	limit();
	passing();
	return done_testing();
}
