/* tests/unit/pick_archive.c - archives that ADD unpacks (spec/dockerfile.md 10.2). */
#include "layers/comp.h"
#include "layers/tarout.h"
#include "tests/unit/picktext.h"

static int tar_bytes(void *arg, const void *p, size_t n, struct err **e)
{
	buf_add(arg, p, n);
	return 0;
}

static void make_tar(int dir, const char *name, const char *text, const struct comp *comp)
{
	struct tarout_opts o = { .clamp_mtime = INT64_MAX, .plain = true };
	AUTO(buf_freep) struct buf tar = BUF_MAX(1 << 20);
	AUTO(buf_freep) struct buf out = BUF_MAX(1 << 20);
	struct sink *k = tarout_new(tar_bytes, &tar, &o);
	struct err *e = NULL;

	put_things(k, text);
	if (comp) {
		struct compw *w = comp->writer(comp->level_default, 1, tar_bytes, &out);

		if (comp->write(w, tar.p, tar.n, &e) < 0 || comp->finish(w, &e) < 0)
			die(err_text(e));
		comp->free(w);
	}
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct buf *b = comp ? &out : &tar;
	if (fd < 0 || write(fd, b->p, b->n) != (ssize_t)b->n)
		die(name);
	close(fd);
}

static void test_archives(void)
{
	static const struct {
		const char *name, *archive, *dest, *target, *want, *err;
	} rows[] = {
		{ "10.2 extracted with owners and modes", "d/@711:5:6:9 d/f=F@4755:7:8:9", "/a", "",
		  "a/@0755:0:0:9 a/d/@0711:5:6:9 a/d/f=F@4755:7:8:9", NULL },
		{ "10.2 missing parents are 0755 0:0", "x/y=Y@644:1:1:9", "/a", "", "a/@0755:0:0:9 a/x/@0755:0:0:9 a/x/y=Y@0644:1:1:9", NULL },
		{ "10.2 links on the way, '/' is the destination", "run/@755:0:0:1 var/@755:0:0:1 var/run>/run@777:0:0:1 var/run/x=X@644:0:0:1", "/a", "",
		  "a/@0755:0:0:1 a/run/@0755:0:0:1 a/run/x=X@0644:0:0:1 a/var/@0755:0:0:1 a/var/run>/run@0777:0:0:1", NULL },
		{ "10.2 through a link of the target", "run/x=X@644:0:0:1", "/", "lib/ run>lib", "lib/@0755:0:0:100 lib/x=X@0644:0:0:1", NULL },
		{ "10.2 a directory merges", "d/@711:5:6:9", "/", "d/@755:0:0:1 d/q=1", "d/@0711:5:6:9", NULL },
		{ "10.2 a file replaces a directory", "d=F@644:0:0:1", "/", "d/ d/q=1", "d=F@0644:0:0:1", NULL },
		{ "E13 the later entry wins", "f=1@644:0:0:1 f=22@600:0:0:2", "/a", "", "a/@0755:0:0:2 a/f=22@0600:0:0:2", NULL },
		{ "10.2 hard links", "f=F@644:0:0:1 g:f@644:0:0:1", "/a", "", "a/@0755:0:0:1 a/f=F@0644:0:0:1 a/g:a/f@0644:0:0:1", NULL },
		{ "a hard link to nothing", "g:f", "/a", "", NULL, "is not a file of the archive" },
		{ "10.2 whiteout names are ordinary files", ".wh.x=1@644:0:0:1", "/a", "", "a/@0755:0:0:1 a/.wh.x=1@0644:0:0:1", NULL },
		{ "E11 a file in the way of a parent", "f=1@644:0:0:1 f/x=2@644:0:0:1", "/a", "",
		  "a/@0755:0:0:1 a/f/@0755:0:0:1 a/f/x=2@0644:0:0:1", NULL },
		{ "a directory that comes back hides the target's", "d=1@644:0:0:1 d/@700:0:0:1 d/x=2@644:0:0:1", "/", "d/ d/old=q",
		  "d/@0700:0:0:1 do@0000:0:0:0 d/x=2@0644:0:0:1", NULL },
		{ "10.2 the destination is a directory in any case", "f=F@644:0:0:1", "/a.tar", "", "a.tar/@0755:0:0:1 a.tar/f=F@0644:0:0:1", NULL },
	};
	static const struct comp *const comps[] = { NULL, &comp_gzip, &comp_zstd };

	for (size_t i = 0; i < countof(rows); i++) {
		struct pick_source source = { .path = "x", .content_fd = -1, .unpack = true };
		AUTO(view_freep) struct view *target = make_view(rows[i].target);
		int dir = fresh_dir(), spool = fresh_dir();
		struct err *e = NULL;

		make_tar(dir, "x", rows[i].archive, comps[i % countof(comps)]);
		struct pick_tree *t = pick_tree_dir(dir, NULL);
		struct picked *p = pick(t, target, &source, 1, rows[i].dest, spool, &e);
		if (rows[i].err) {
			ok(!p && strstr(err_cause(e), rows[i].err), "%s", rows[i].name);
			err_free(e);
			picked_free(p);
		} else {
			expect(p, e, true, rows[i].want, rows[i].name);
		}
		pick_tree_free(t);
		remove_dir(dir);
		remove_dir(spool);
	}
}

static void test_archive_digest(void)
{
	struct pick_source source[2] = { { .path = "x", .content_fd = -1, .unpack = true }, { .path = "f", .content_fd = -1, .unpack = true } };
	int dir = fresh_dir();
	struct digest a, b, c;
	struct err *e = NULL;

	make_tree(dir, "f=F");
	make_tar(dir, "x", "g=1", NULL);
	struct pick_tree *t = pick_tree_dir(dir, NULL);
	struct picked *p = pick(t, NULL, source, 2, "/d/", -1, &e);
	ok(p && picked_archives(p) == 1, "10.2 without a spool archives are noted, other files are copied");
	ok(picked_digest(p, NULL, NULL, NULL, UINT64_MAX, &a, &e) == 0, "an archive has a digest without being unpacked");
	picked_free(p);
	source[0].unpack = false;
	p = pick(t, NULL, source, 2, "/d/", -1, &e);
	ok(picked_archives(p) == 0 && picked_digest(p, NULL, NULL, NULL, UINT64_MAX, &b, &e) == 0 && !digest_equal(&a, &b),
	   "10.2 --unpack=false copies it");
	picked_free(p);
	make_tar(dir, "x", "g=2", NULL);
	source[0].unpack = true;
	p = pick(t, NULL, source, 2, "/d/", -1, &e);
	ok(picked_digest(p, NULL, NULL, NULL, UINT64_MAX, &c, &e) == 0 && !digest_equal(&a, &c), "its content counts");
	picked_free(p);
	pick_tree_free(t);
	remove_dir(dir);
}

int main(void)
{
	umask(022);
	test_archives();
	test_archive_digest();
	return done_testing();
}
