/* tests/unit/picktext.h - trees, listings and what was picked of them, each as one line of text.
 *
 * "d/" a directory, "d/x=text" a file, "l>d" a link, "h:d/x" a hard link, each with an optional "@mode[:uid:gid[:mtime]]" at the end.
 * So are results; attributes appear when a case asks for them.
 */
#pragma once
#include "base/at.h"
#include "base/buf.h"
#include "base/mem.h"
#include "layers/pick.h"
#include "parser/ignore.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { NOW = 1000 };

static inline void die(const char *what)
{
	fprintf(stderr, "pick: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- trees from text */

struct thing {
	char path[300], text[300];
	char kind;                       /* '/', '=', '>', ':' */
	uint32_t mode, uid, gid;
	int64_t mtime;
};

static inline const char *thing_parse(const char *p, struct thing *t)
{
	const char *end = p + strcspn(p, " "), *at = memchr(p, '@', (size_t)(end - p)), *stop = at ? at : end;
	size_t n = strcspn(p, "=>: @");

	*t = (struct thing){ .kind = '/', .mode = 0755, .mtime = 100 };
	if (p + n < stop && strchr("=>:", p[n]))
		t->kind = p[n];
	if (t->kind == '/') {
		n = (size_t)(stop - p) - 1;
		snprintf(t->path, sizeof(t->path), "%.*s", (int)n, p);
	} else {
		t->mode = t->kind == '>' ? 0777 : 0644;
		snprintf(t->path, sizeof(t->path), "%.*s", (int)n, p);
		snprintf(t->text, sizeof(t->text), "%.*s", (int)(stop - p - (ptrdiff_t)n - 1), p + n + 1);
	}
	if (at)
		sscanf(at + 1, "%o:%u:%u:%ld", &t->mode, &t->uid, &t->gid, &t->mtime);
	while (*end == ' ')
		end++;
	return end;
}

static inline int dup_dir(int fd)
{
	return openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static inline int fresh_dir(void)
{
	char name[] = "/tmp/pick-test-XXXXXX";
	struct err *e = NULL;

	if (!mkdtemp(name))
		die("mkdtemp");
	int fd = openat(AT_FDCWD, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int again = at_open(fd, ".", O_RDONLY | O_DIRECTORY, 0, &e);
	close(fd);
	if (again < 0)
		die(name);
	return again;
}

static inline void remove_dir(int fd)
{
	char link[64], path[200];
	struct err *e = NULL;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlinkat(AT_FDCWD, link, path, sizeof(path) - 1);
	if (n < 0)
		die("readlink");
	path[n] = 0;
	close(fd);
	int tmp = openat(AT_FDCWD, "/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at_rmtree(tmp, path + strlen("/tmp/"), &e) < 0)
		die(path);
	close(tmp);
}

static inline void make_file(int dir, const struct thing *t)
{
	int fd = openat(dir, t->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, t->text, strlen(t->text)) < 0 || fchmod(fd, t->mode) < 0)
		die(t->path);
	close(fd);
}

static inline void make_tree(int dir, const char *text)
{
	struct thing t;
	const char *p;

	for (p = text; *p;) {
		p = thing_parse(p, &t);
		if (t.kind == '/' && mkdirat(dir, t.path, 0755) < 0)
			die(t.path);
		if (t.kind == '=')
			make_file(dir, &t);
		if (t.kind == '>' && symlinkat(t.text, dir, t.path) < 0)
			die(t.path);
		if (t.kind == ':' && linkat(dir, t.text, dir, t.path, 0) < 0)
			die(t.path);
	}
	/* Directory modes and times last, deepest first is not needed: nothing is made any more. */
	for (p = text; *p;) {
		p = thing_parse(p, &t);
		struct timespec times[2] = { { .tv_sec = t.mtime }, { .tv_sec = t.mtime } };
		if (t.kind == '/' && fchmodat(dir, t.path, t.mode, 0) < 0)
			die(t.path);
		if (utimensat(dir, t.path, times, AT_SYMLINK_NOFOLLOW) < 0)
			die(t.path);
	}
}

/* The tree as entries; the sink is freed. */
static inline void put_things(struct sink *k, const char *text)
{
	struct err *e = NULL;
	struct thing t;

	for (const char *p = text; *p;) {
		p = thing_parse(p, &t);
		struct entry en = { .path = t.path, .mode = t.mode, .uid = t.uid, .gid = t.gid, .mtime = t.mtime };
		en.type = t.kind == '/' ? ENTRY_DIR : t.kind == '=' ? ENTRY_FILE : t.kind == '>' ? ENTRY_SYMLINK : ENTRY_LINK;
		en.link = t.kind == '>' || t.kind == ':' ? t.text : NULL;
		en.size = t.kind == '=' ? strlen(t.text) : 0;
		if (k->ops->entry(k, &en, &e) < 0 || (en.size && k->ops->data(k, t.text, en.size, &e) < 0))
			die(err_text(e));
	}
	if (k->ops->end(k, &e) < 0)
		die(err_text(e));
	sink_free(&k);
}

static inline struct listing *make_listing(const char *text)
{
	int fd = memfd_create("listing", MFD_CLOEXEC);
	struct sink *k = listing_sink_new(fd);
	struct listing *l = NULL;
	struct err *e = NULL;

	put_things(k, text);
	if (listing_open(fd, &l, &e) < 0)
		die(err_text(e));
	return l;
}

static inline struct view *make_view(const char *text)
{
	struct view *v = view_new();

	if (text && *text)
		view_push(v, make_listing(text));
	return v;
}

static inline struct pats *make_pats(const char *text, bool ignore)
{
	struct pats *p = NULL;
	struct err *e = NULL;
	char *copy = mem_str(text), *save = NULL;

	if (!text)
		return NULL;
	if (ignore && ignore_parse("x", slice_of(text), &p, &e) < 0)
		die(err_text(e));
	if (!ignore)
		p = pats_new();
	for (char *w = ignore ? NULL : strtok_r(copy, "\n", &save); w; w = strtok_r(NULL, "\n", &save))
		if (exclude_add(p, slice_of(w), &e) < 0)
			die(err_text(e));
	free(copy);
	return p;
}

/* ---- results to text */

static inline void put_bytes(struct entries *src, struct sink *k, struct buf *out)
{
	char some[64];
	struct err *e = NULL;
	ssize_t n;

	while ((n = entries_data(src, some, sizeof(some), &e)) > 0) {
		buf_add(out, some, (size_t)n);
		k->ops->data(k, some, (size_t)n, &e);
	}
	if (n < 0) {
		buf_printf(out, "!%s", err_cause(e));
		err_free(e);
	}
}

/* The list as text; its digest as the sink sees it. */
static inline void show(const struct picked *p, bool attrs, struct buf *out, struct digest *digest)
{
	struct sink *k = content_sink_new(digest);
	struct entries *src = picked_entries(p, NULL, NULL);
	const struct entry *en = NULL;
	struct err *e = NULL;
	int rc;

	while ((rc = entries_next(src, &en, &e)) == 1) {
		k->ops->entry(k, en, &e);
		buf_printf(out, "%s%s%s", out->n ? " " : "", en->path, en->type == ENTRY_DIR ? "/" : "");
		if (en->type == ENTRY_FILE) {
			buf_char(out, '=');
			put_bytes(src, k, out);
		} else if (en->type != ENTRY_DIR) {
			buf_printf(out, "%c%s", en->type == ENTRY_SYMLINK ? '>' : en->type == ENTRY_LINK ? ':' : en->type,
				   en->link ? en->link : "");
		}
		for (size_t i = 0; i < en->nxattr; i++)
			buf_printf(out, "[%s]", en->xattr[i].name);
		if (attrs)
			buf_printf(out, "@%04o:%u:%u:%ld", en->mode, en->uid, en->gid, en->mtime);
	}
	if (rc < 0) {
		buf_printf(out, "!%s", err_cause(e));
		err_free(e);
	}
	k->ops->end(k, NULL);
	sink_free(&k);
	entries_close(src, NULL);
}

static inline struct picked *pick(struct pick_tree *t, const struct view *target, const struct pick_source *source, size_t n, const char *dest, int spool,
			   struct err **e)
{
	struct pick_req r = { .source = source, .nsource = n, .dest = dest, .now = NOW, .spool = spool };
	struct picked *p = NULL;

	return pick_run(t, target, &r, &p, e) < 0 ? NULL : p;
}

static inline void expect(struct picked *p, struct err *e, bool attrs, const char *want, const char *name)
{
	AUTO(buf_freep) struct buf got = BUF_MAX(1 << 20);
	struct digest a, b;

	if (!p) {
		ok(false, "%s: %s: %s", name, err_text(e), err_cause(e));
		err_free(e);
		return;
	}
	show(p, attrs, &got, &a);
	is_str(got.p ? got.p : "", want, name);
	if (!picked_archives(p))
		ok(picked_digest(p, NULL, NULL, NULL, UINT64_MAX, &b, NULL) == 0 && digest_equal(&a, &b), "%s: both digests agree", name);
	picked_free(p);
}
