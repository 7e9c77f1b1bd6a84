/* tests/unit/pick_digest.c - digests of what is copied (spec/dockerfile.md 17.2), and files that change meanwhile (spec/threats.md W3, D7). */
#include "tests/unit/picktext.h"

static struct digest digest_now(int dir, const char *src)
{
	struct pick_source source = { .path = src, .content_fd = -1 };
	struct pick_tree *t = pick_tree_dir(dir, NULL);
	struct digest d = { 0 };
	struct err *e = NULL;
	struct picked *p = pick(t, NULL, &source, 1, "/a", -1, &e);

	if (!p || picked_digest(p, NULL, NULL, NULL, UINT64_MAX, &d, &e) < 0)
		die(err_text(e));
	picked_free(p);
	pick_tree_free(t);
	return d;
}

static void test_digest(void)
{
	struct timespec now[2] = { { .tv_sec = 5 }, { .tv_sec = 5 } };
	int dir = fresh_dir();
	struct digest was, is;
	int fd;

	make_tree(dir, "d/ d/f=one d/g=two d/l>f");
	was = digest_now(dir, "d");
	utimensat(dir, "d/f", now, 0);
	is = digest_now(dir, "d/");
	ok(digest_equal(&was, &is), "17.2 times and a trailing slash do not count");
	ok(fchmodat(dir, "d/f", 0600, 0) == 0, "another mode");
	is = digest_now(dir, "d");
	ok(!digest_equal(&was, &is), "17.2 the mode counts");
	ok(fchmodat(dir, "d/f", 0644, 0) == 0, "the mode again");
	fd = openat(dir, "d/f", O_WRONLY | O_TRUNC | O_CLOEXEC);
	ok(write(fd, "eno", 3) == 3, "another content of the same size");
	close(fd);
	is = digest_now(dir, "d");
	ok(!digest_equal(&was, &is), "17.2 the content counts");
	fd = openat(dir, "d/f", O_WRONLY | O_TRUNC | O_CLOEXEC);
	ok(write(fd, "one", 3) == 3, "and back");
	close(fd);
	is = digest_now(dir, "d");
	ok(digest_equal(&was, &is), "17.2 the same again");
	unlinkat(dir, "d/l", 0);
	ok(symlinkat("g", dir, "d/l") == 0, "another target of a link");
	is = digest_now(dir, "d");
	ok(!digest_equal(&was, &is), "17.2 the text of a link counts");
	remove_dir(dir);
}

struct memory {
	struct stat st[8];
	struct digest d[8];
	size_t n, asked;
};

static void remember(void *arg, const struct stat *st, int64_t read_at, const struct digest *d)
{
	struct memory *m = arg;

	m->st[m->n] = *st;
	m->d[m->n++] = *d;
}

static bool recall(void *arg, const struct stat *st, struct digest *ret)
{
	struct memory *m = arg;

	m->asked++;
	for (size_t i = 0; i < m->n; i++) {
		if (m->st[i].st_ino != st->st_ino || m->st[i].st_ctim.tv_nsec != st->st_ctim.tv_nsec || m->st[i].st_size != st->st_size)
			continue;
		*ret = m->d[i];
		return true;
	}
	return false;
}

static void test_memory(void)
{
	struct pick_source source = { .path = "/", .content_fd = -1 };
	struct memory m = { .n = 0 };
	int dir = fresh_dir();
	struct digest a, b;
	struct err *e = NULL;

	make_tree(dir, "e= f=one g=two");
	struct pick_tree *t = pick_tree_dir(dir, NULL);
	struct picked *p = pick(t, NULL, &source, 1, "/a", -1, &e);
	is_int(picked_digest(p, recall, remember, &m, 2, &a, &e), PICK_UNKNOWN, "a digest of more than may be read is not known");
	struct entries *src = picked_entries(p, remember, &m);
	struct pump_totals totals;
	struct sink *k = content_sink_new(&a);
	ok(entries_pump(src, &k, 1, &totals, &e) == 0 && totals.bytes == 6, "the pass reads every file once");
	sink_free(&k);
	entries_close(src, NULL);
	ok(picked_digest(p, NULL, NULL, NULL, 0, &b, &e) == 0 && digest_equal(&a, &b), "after the pass the list knows its digest");
	picked_free(p);
	p = pick(t, NULL, &source, 1, "/a", -1, &e);
	ok(picked_digest(p, recall, NULL, &m, 0, &b, &e) == 0 && digest_equal(&a, &b), "remembered digests give the same without reading");
	picked_free(p);
	pick_tree_free(t);
	remove_dir(dir);
}

static void test_change(void)
{
	static const char *const how[] = { "W3 a longer file", "W3 a newer file", "D7 a file that vanished", "D7 a file that became a link" };

	for (size_t i = 0; i < countof(how); i++) {
		struct pick_source source = { .path = "f", .content_fd = -1 };
		AUTO(buf_freep) struct buf got = BUF_MAX(4096);
		struct timespec now[2] = { { .tv_sec = 5 }, { .tv_sec = 5 } };
		int dir = fresh_dir();
		struct err *e = NULL;
		struct digest d;

		make_tree(dir, "f=F g=G");
		struct pick_tree *t = pick_tree_dir(dir, NULL);
		struct picked *p = pick(t, NULL, &source, 1, "/a", -1, &e);
		if (i == 0) {
			int fd = openat(dir, "f", O_WRONLY | O_APPEND | O_CLOEXEC);
			ok(write(fd, "x", 1) == 1, "the file grows");
			close(fd);
		}
		if (i == 1)
			utimensat(dir, "f", now, 0);
		if (i >= 2)
			unlinkat(dir, "f", 0);
		if (i == 3 && symlinkat("g", dir, "f") < 0)
			die("symlink");
		show(p, false, &got, &d);
		ok(got.n && strstr(got.p, "changed while it was being read"), "%s is an error that says so", how[i]);
		picked_free(p);
		pick_tree_free(t);
		remove_dir(dir);
	}
}

int main(void)
{
	umask(022);
	test_digest();
	test_memory();
	test_change();
	return done_testing();
}
