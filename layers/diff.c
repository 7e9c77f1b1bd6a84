/* layers/diff.c - an upper directory as sorted entries (spec/executor.md 14, spec/oci.md 1.6). Looking at one object is
 * layers/diff_stat.c.
 *
 * Depth first with a stack of frames, one per directory. A directory is given out before the first thing below it; one that
 * equals the lower's waits for that, and is dropped when nothing comes (rule 5).
 */
#include "layers/diff.h"

#include "base/mem.h"
#include "layers/diff_stat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	OPEN_MOST = 40,
	HIDE_MOST = 1000,                /* children to hide one by one, else an opaque mark (rule 3) */
	GONE = 0xff,                     /* at_names.type of what is no entry: whiteouts */
};

struct frame {
	int fd;                          /* -1: closed between reads */
	dev_t dev;
	ino_t ino;
	size_t path_n;
	struct at_names names;
	size_t next;
	struct entry *en;                /* the directory itself; NULL: the root */
	bool must, given;                /* it has to be given out; it was */
	bool in_lower;                   /* there is a directory below that shines through */
	bool opaque;                     /* it does not, its children have to be hidden */
	bool mark_opaque;                /* by one mark, still to be given out */
	char **hide;                     /* or by these whiteouts */
	size_t nhide, hide_cap, next_hide;
};

struct diff {
	struct entries s;
	int root;
	struct diff_opts o;
	struct look look;                /* the object in hand */
	struct buf path;
	struct frame *frame;
	size_t n, cap;
	struct inodes inodes;
	bool held;                       /* look.en is to be given out */
	struct entry mark;
	bool held_mark;
	bool started;
};

static int in_path(struct diff *d, struct err **e)
{
	return err_wrap(e, "cannot store what the step did to '/%s'", d->path.p);
}

/* ---- paths and frames */

static struct frame *top(struct diff *d)
{
	return &d->frame[d->n - 1];
}

static int set_path(struct diff *d, const char *name, struct err **e)
{
	d->path.n = top(d)->path_n;
	d->path.p[d->path.n] = 0;
	if (d->path.n)
		buf_char(&d->path, '/');
	buf_str(&d->path, name);
	if (d->path.n <= 4095 && !d->path.over)
		return 0;
	return err_set(e, ERR_STEP, "a path is longer than 4095 bytes, which a layer cannot hold: '/%.200s...'", d->path.p);
}

static bool skipped(const struct diff *d)
{
	for (const char *const *s = d->o.skip; s && *s; s++)
		if (strcmp(*s, d->path.p) == 0)
			return true;
	return false;
}

static void frame_clear(struct frame *f)
{
	fd_closep(&f->fd);
	at_names_clear(&f->names);
	entry_free(f->en);
	for (size_t i = 0; i < f->nhide; i++)
		mem_freep(&f->hide[i]);
	mem_freep(&f->hide);
}

static int frame_reopen(struct diff *d, struct frame *f, struct err **e)
{
	AUTO(mem_freep) char *path = mem_strn(d->path.p, f->path_n);
	struct stat st;

	if (f->fd >= 0)
		return 0;
	f->fd = at_open_store(d->root, path, O_RDONLY | O_DIRECTORY, 0, e);
	if (f->fd < 0)
		return -1;
	if (fstat(f->fd, &st) < 0 || st.st_dev != f->dev || st.st_ino != f->ino)
		return err_set(e, ERR_HOST, "the directory '/%s' was replaced while it was read", path);
	return 0;
}

static void hide(struct frame *f, const char *name)
{
	MEM_ROOM(f->hide, f->nhide, f->hide_cap);
	f->hide[f->nhide++] = mem_str(name);
}

static int by_name(const void *name, const void *at)
{
	return strcmp(name, *(const char *const *)at);
}

static bool shows(const struct frame *f, const char *name)
{
	char **at = f->names.n ? bsearch(name, f->names.name, f->names.n, sizeof(char *), by_name) : NULL;

	return at && f->names.type[at - f->names.name] != GONE;
}

static int hide_child(void *arg, const char *name, const struct entry *en, size_t layer, struct err **e)
{
	struct frame *f = arg;

	if (!shows(f, name))
		hide(f, name);
	return 0;
}

static bool lower_has(const struct diff *d)
{
	struct entry en;

	return d->o.lower && view_find(d->o.lower, d->path.p, &en, NULL) == 0;
}

/* Sort out the whiteouts among the names of a new frame, and what else has to be hidden (rules 2, 3). xwhite: they may be
 * regular files with an attribute. */
static int frame_marks(struct diff *d, struct frame *f, bool xwhite, struct err **e)
{
	for (size_t i = 0; i < f->names.n; i++) {
		int white = look_whiteout(f->fd, f->names.name[i], f->names.type[i], xwhite, e);

		if (white < 0)
			return -1;
		if (!white)
			continue;
		f->names.type[i] = GONE;
		if (d->o.whole) {
			hide(f, f->names.name[i]);
		} else if (f->in_lower && !f->opaque) {
			if (set_path(d, f->names.name[i], e) < 0)
				return -1;
			if (lower_has(d))
				hide(f, f->names.name[i]);
		}
	}
	d->path.n = f->path_n;
	d->path.p[f->path_n] = 0;
	if (d->o.whole) {
		f->mark_opaque = f->opaque;
		return 0;
	}
	if (!f->opaque || !f->in_lower)
		return 0;
	if (view_children(d->o.lower, d->path.p, hide_child, f, e) < 0)
		return -1;
	if (f->nhide <= HIDE_MOST)
		return 0;
	while (f->nhide)
		mem_freep(&f->hide[--f->nhide]);
	f->mark_opaque = true;
	f->in_lower = false;             /* nothing shines through the mark: all below is new */
	return 0;
}

/* Into a directory; takes fd. en: its entry, NULL for the root. */
static int frame_push(struct diff *d, int take_fd, const struct stat *st, const struct frame *like, bool xwhite, struct err **e)
{
	MEM_ROOM(d->frame, d->n, d->cap);
	struct frame *f = &d->frame[d->n++];

	*f = *like;
	f->fd = take_fd;
	f->dev = st->st_dev;
	f->ino = st->st_ino;
	f->path_n = d->path.n;
	if (d->n > OPEN_MOST + 1)
		fd_closep(&d->frame[d->n - 1 - OPEN_MOST].fd);
	if (at_list(f->fd, &f->names, e) < 0)
		return -1;
	return frame_marks(d, f, xwhite, e);
}

static int frame_pop(struct diff *d, struct err **e)
{
	frame_clear(top(d));
	d->n--;
	if (d->n == 0)
		return 0;
	d->path.n = top(d)->path_n;
	d->path.p[d->path.n] = 0;
	return frame_reopen(d, top(d), e);
}

/* ---- rules 5 and 6: what is as it was */

static int content_equal(struct diff *d, bool *ret, struct err **e)
{
	AUTO(fd_closep) int fd = -1;
	struct stat st;

	*ret = false;
	if (d->o.lower_root < 0)
		return 0;
	int rc = at_open_file(d->o.lower_root, d->path.p, &fd, &st, e);
	if (rc < 0)
		return -1;
	return rc == AT_MISSING ? 0 : look_same_content(d->look.fd, fd, ret, e);
}

/* Does the object in hand equal the lower one in everything that a layer tells? */
static int unchanged(struct diff *d, bool *ret, struct err **e)
{
	const struct entry *en = &d->look.en;
	struct entry low;

	*ret = false;
	if (view_find(d->o.lower, d->path.p, &low, NULL) != 0 || !look_same(en, &low))
		return 0;
	/* Whole seconds may come from a tar or from somebody's touch: then only the content tells. */
	if (en->type == ENTRY_FILE && (en->mtime_ns == 0 || low.mtime_ns == 0))
		return content_equal(d, ret, e);
	*ret = true;
	return 0;
}

/* ---- one name */

static int visit_dir(struct diff *d, bool in_lower, struct err **e)
{
	struct look *l = &d->look;
	struct frame like = { .must = true, .opaque = l->opaque || top(d)->opaque };
	struct entry low;
	bool same = false;

	if (in_lower && view_find(d->o.lower, d->path.p, &low, NULL) == 0 && low.type == ENTRY_DIR) {
		like.in_lower = true;
		if (unchanged(d, &same, e) < 0)
			return -1;
		like.must = !same;
	}
	if (d->o.whole)
		like.opaque = l->opaque;
	like.en = entry_dup(&l->en);
	return frame_push(d, fd_take(&l->fd), &l->st, &like, l->xwhite, e);
}

static int visit(struct diff *d, const char *name, unsigned char type, struct err **e)
{
	bool in_lower = top(d)->in_lower, same = false;
	struct look *l = &d->look;

	if (set_path(d, name, e) < 0)
		return -1;
	if (skipped(d))
		return 0;
	if (strncmp(name, ".wh.", 4) == 0) {
		err_set(e, ERR_STEP, "the step made '/%s', a name that image layers use to mark deleted files", d->path.p);
		return err_hint(e, "names that begin with '.wh.' cannot be stored in an image; remove or rename it in the same step");
	}
	int rc = look_at(l, top(d)->fd, name, type, d->path.p, e);
	if (rc < 0)
		return in_path(d, e);
	if (rc == LOOK_NOTHING)
		return 0;
	if (l->en.type == ENTRY_DIR)
		return visit_dir(d, in_lower, e) < 0 ? in_path(d, e) : 0;
	/* Names of one file go together: dropping one would leave the others without their content. */
	if (in_lower && l->st.st_nlink == 1 && unchanged(d, &same, e) < 0)
		return in_path(d, e);
	if (same)
		return 0;
	if (l->en.type == ENTRY_FILE && l->st.st_nlink > 1)
		l->en.link = inodes_first(&d->inodes, &l->st, d->path.p);
	if (l->en.link && l->en.type == ENTRY_FILE) {
		l->en.type = ENTRY_LINK;
		l->en.size = 0;
	}
	d->held = true;
	return 0;
}

/* ---- giving out */

/* The outermost directory that was not given out yet; those that need not be wait for something below them. */
static bool give_dir(struct diff *d, const struct entry **ret)
{
	for (size_t i = 0; i < d->n; i++) {
		struct frame *f = &d->frame[i];

		if (f->given)
			continue;
		f->given = true;
		*ret = f->en;
		return true;
	}
	return false;
}

static bool give_mark(struct diff *d, const struct entry **ret)
{
	struct frame *f = top(d);

	d->held_mark = false;
	d->mark = (struct entry){ .type = ENTRY_OPAQUE, .path = d->path.p };
	if (!f->mark_opaque) {
		d->path.n = f->path_n;
		if (f->path_n)
			buf_char(&d->path, '/');
		buf_str(&d->path, f->hide[f->next_hide++]);
		d->mark.type = ENTRY_WHITEOUT;
		d->mark.path = d->path.p;
	} else {
		d->path.n = f->path_n;
		d->path.p[f->path_n] = 0;
		f->mark_opaque = false;
	}
	*ret = &d->mark;
	return true;
}

static bool give(struct diff *d, const struct entry **ret)
{
	if (!d->n || (!d->held && !d->held_mark && !top(d)->must))
		return false;
	if (give_dir(d, ret))
		return true;
	if (d->held_mark)
		return give_mark(d, ret);
	if (!d->held)
		return false;
	d->held = false;
	*ret = &d->look.en;
	return true;
}

static int start(struct diff *d, struct err **e)
{
	struct frame like = { .given = true, .in_lower = d->o.lower && !d->o.whole };
	AUTO(fd_closep) int fd = at_open(d->root, "", O_RDONLY | O_DIRECTORY, 0, e);
	struct stat st;

	d->started = true;
	buf_add(&d->path, "", 0);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot look at the root of a step");
	/* The kernel merges roots whatever they say, so only a stored layer can mean it. */
	if (d->o.whole && look_marks(fd, &like.opaque, e) < 0)
		return -1;
	return frame_push(d, fd_take(&fd), &st, &like, false, e);
}

static int diff_next(struct entries *s, const struct entry **ret, struct err **e)
{
	struct diff *d = container_of(s, struct diff, s);

	if (!d->held && d->started)
		fd_closep(&d->look.fd);
	if (!d->started && start(d, e) < 0)
		return -1;
	for (;;) {
		if (give(d, ret))
			return 1;
		if (d->n == 0)
			return 0;

		struct frame *f = top(d);
		if (f->mark_opaque || f->next_hide < f->nhide) {
			d->held_mark = true;
		} else if (f->next < f->names.n) {
			size_t i = f->next++;

			if (f->names.type[i] != GONE && visit(d, f->names.name[i], f->names.type[i], e) < 0)
				return -1;
			if (!d->held)
				fd_closep(&d->look.fd);
		} else if (frame_pop(d, e) < 0) {
			return -1;
		}
	}
}

static ssize_t diff_data(struct entries *s, void *p, size_t n, struct err **e)
{
	return look_read(&container_of(s, struct diff, s)->look, p, n, e);
}

static int diff_close(struct entries *s, struct err **e)
{
	struct diff *d = container_of(s, struct diff, s);

	while (d->n)
		frame_clear(&d->frame[--d->n]);
	mem_freep(&d->frame);
	look_clear(&d->look);
	inodes_clear(&d->inodes);
	buf_free(&d->path);
	mem_freep(&d);
	return 0;
}

int diff_new(int root, const struct diff_opts *o, struct entries **ret, struct err **e)
{
	static const struct entries_ops ops = { diff_next, diff_data, diff_close };
	struct diff *d = mem_zalloc(sizeof(*d));

	d->s.ops = &ops;
	d->root = root;
	d->o = *o;
	if (d->o.whole)
		d->o.lower = NULL;
	d->path = (struct buf)BUF_MAX(8192);
	look_init(&d->look);
	*ret = &d->s;
	return 0;
}
