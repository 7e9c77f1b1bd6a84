/* One pass: digests, blob, listing, and a tree beside; whatever way the bytes go, they are the same. */
#include "base/at.h"
#include "base/mem.h"
#include "layers/comp.h"
#include "layers/diff.h"
#include "layers/fill.h"
#include "layers/listing.h"
#include "layers/pack.h"
#include "layers/tarin.h"
#include "tests/list.h"
#include "tests/mapped.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static const struct item items[] = {
	{ { ENTRY_DIR, "d", .mode = 01777, .mtime = 50 }, NULL },
	{ { ENTRY_WHITEOUT, "d/gone" }, NULL },
	{ { ENTRY_FILE, "d/f", .mode = 0644, .mtime = 2000 }, "some content" },
	{ { ENTRY_LINK, "d/h", "d/f", .mode = 0644, .mtime = 2000 }, NULL },
	{ { ENTRY_SYMLINK, "d/l", "f", .mode = 0777, .mtime = 50 }, NULL },
	{ { ENTRY_FILE, "e", .mode = 0600, .mtime = 50 }, NULL },
};

struct place {
	char path[64];
	int dir;
};

static void place_make(struct place *p)
{
	snprintf(p->path, sizeof(p->path), "%s/kiln-pack-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(p->path))
		exit(99);
	p->dir = openat(AT_FDCWD, p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void place_drop(struct place *p)
{
	at_rmtree(p->dir, "listing", NULL);
	at_rmtree(p->dir, "blob", NULL);
	at_rmtree(p->dir, "root", NULL);
	close(p->dir);
	rmdir(p->path);
}

static int pack(struct place *p, const struct pack_req *like, struct entries *src, struct pack_facts *f)
{
	struct pack_req r = *like;
	AUTO(err_freep) struct err *e = NULL;

	r.src = src;
	r.dir = p->dir;
	int rc = pack_run(&r, f, &e);
	if (rc < 0)
		printf("# %s\n", err_cause(e));
	return rc;
}

static int content_of(struct entries *take_src, struct digest *ret)
{
	AUTO(entries_drop) struct entries *src = take_src;
	AUTO(sink_free) struct sink *k = content_sink_new(ret);

	return entries_pump(src, &k, 1, NULL, NULL);
}

/* Does the blob hold what was packed, but for times? */
static bool blob_holds_items(const struct place *p)
{
	int fd = at_open(p->dir, "blob", O_RDONLY, 0, NULL);
	struct stream *tar = NULL;
	struct entries *src = NULL;
	struct digest got, want;

	if (comp_detect(stream_fd(fd, "blob"), COMP_LAYER, &tar, NULL, NULL) < 0)
		return false;
	tarin_new(tar, &(struct tarin_opts){ .mode = TAR_LAYER }, &src, NULL);
	return content_of(src, &got) == 0 && content_of(list_new(items, countof(items)), &want) == 0 && digest_equal(&got, &want);
}

/* The blob: its digest, and the digest and size of the tar in it; then the same entries through pack once more. */
static void test_blob(const char *comp, const struct pack_facts *plain)
{
	struct place p, again;
	struct pack_facts f = { 0 }, g = { 0 };
	struct pack_req r = { .comp = comp, .level = -1, .listing = true, .clamp_mtime = INT64_MAX, .fill_root = -1 };
	struct stat st;
	AUTO(err_freep) struct err *e = NULL;

	place_make(&p);
	place_make(&again);
	ok(pack(&p, &r, list_new(items, countof(items)), &f) == 0, "%s: packed", comp);
	ok(digest_equal(&f.diff, &plain->diff) && blob_holds_items(&p), "neither the diff ID nor the content depends on compression");
	ok(at_stat(p.dir, "blob", &st, NULL) == 0 && (uint64_t)st.st_size == f.blob_size, "the blob has the size that was told");
	ok((strcmp(comp, "none") == 0) == digest_equal(&f.blob, &f.diff), "without compression the blob is the tar");

	int fd = at_open(p.dir, "blob", O_RDONLY, 0, NULL);
	struct stream *s = stream_verify(stream_fd(fd, "blob"), &f.blob, (int64_t)f.blob_size), *tar = NULL;
	struct entries *src = NULL;
	ok(comp_detect(s, COMP_LAYER, &tar, NULL, &e) == 0, "its first bytes tell what it is");
	tar = stream_verify(tar, &f.diff, (int64_t)f.tar_size);
	tarin_new(tar, &(struct tarin_opts){ .mode = TAR_LAYER }, &src, NULL);
	ok(pack(&again, &r, src, &g) == 0, "the blob is what the digests say, and packed again");
	ok(digest_equal(&g.diff, &f.diff) && digest_equal(&g.blob, &f.blob) && blob_holds_items(&again) && g.entries == f.entries &&
	   g.bytes == f.bytes, "it is the same to the bit");

	struct listing *l = NULL;
	struct entry en;
	ok(listing_open(at_open(p.dir, "listing", O_RDONLY, 0, NULL), &l, NULL) == 0 && listing_count(l) == countof(items), "its listing");
	ok(l && listing_find(l, "d/gone", &en) == 0 && en.type == ENTRY_WHITEOUT && listing_find(l, "d/h", &en) == 0 && strcmp(en.link, "d/f") == 0,
	   "has whiteouts and links");
	listing_close(l);
	place_drop(&p);
	place_drop(&again);
}

/* The tee: a tree made in the same pass is what the tar says. */
static void test_tee(const struct pack_facts *plain)
{
	struct fill_opts fo = FILL_OPTS_INIT;
	struct place p;
	struct pack_facts f = { 0 };
	struct entries *src = NULL;

	place_make(&p);
	mkdirat(p.dir, "root", 0755);
	AUTO(fd_closep) int root = at_open(p.dir, "root", O_RDONLY | O_DIRECTORY, 0, NULL);
	struct pack_req r = { .clamp_mtime = INT64_MAX, .fill_root = root, .fill = &fo };
	ok(pack(&p, &r, list_new(items, countof(items)), &f) == 0 && digest_zero(&f.blob), "packed and filled, without a blob");
	diff_new(root, &(struct diff_opts){ .whole = true, .lower_root = -1 }, &src, NULL);
	r.fill_root = -1;
	ok(pack(&p, &r, src, &f) == 0 && digest_equal(&f.diff, &plain->diff), "the tree that was filled packs to the same layer");
	place_drop(&p);
}

static void test_errors(void)
{
	static const struct item bad[] = { { { ENTRY_FILE, ".wh.x" }, NULL } };
	const struct pack_req rows[] = {
		{ .comp = "xz", .level = -1, .clamp_mtime = INT64_MAX, .fill_root = -1 },
		{ .comp = "gzip", .level = 10, .clamp_mtime = INT64_MAX, .fill_root = -1 },
		{ .comp = "zstd", .level = 23, .clamp_mtime = INT64_MAX, .fill_root = -1 },
		{ .comp = "zstd", .level = 3, .clamp_mtime = INT64_MAX, .fill_root = -1 },
	};

	for (size_t i = 0; i < countof(rows); i++) {
		struct place p;
		struct pack_facts f;

		place_make(&p);
		ok(pack(&p, &rows[i], list_new(bad, 1), &f) < 0, "refused: %s level %d", rows[i].comp, rows[i].level);
		place_drop(&p);
	}
}

static void test_facts(const struct pack_facts *f)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(1000);
	struct pack_facts back;

	pack_facts_put(&b, f);
	struct wire w = wire_of(buf_view(&b));
	pack_facts_get(&w, &back);
	ok(wire_done(&w, "facts", NULL) == 0 && memcmp(f, &back, sizeof(back)) == 0, "facts cross a process boundary");
	w = wire_of((struct slice){ b.p, 50 });
	pack_facts_get(&w, &back);
	ok(wire_done(&w, "facts", NULL) < 0, "and are not believed when they are short");
}

int main(int argc, char **argv)
{
	(void)argc;
	mapped_root(argv);
	struct pack_req r = { .clamp_mtime = INT64_MAX, .fill_root = -1 };
	struct pack_facts f = { 0 }, clamped = { 0 };
	struct place p;

	umask(022);
	place_make(&p);
	ok(pack(&p, &r, list_new(items, countof(items)), &f) == 0 && f.entries == countof(items) && f.bytes == 12, "digests only");
	r.clamp_mtime = 1000;
	r.comp = "none";
	ok(pack(&p, &r, list_new(items, countof(items)), &clamped) == 0 && !digest_equal(&f.diff, &clamped.diff) && blob_holds_items(&p),
	   "a clamp changes the tar, not the content digest");
	place_drop(&p);
	test_blob("none", &f);
	test_blob("gzip", &f);
	test_blob("zstd", &f);
	test_tee(&f);
	test_errors();
	test_facts(&f);
	return done_testing();
}
