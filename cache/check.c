/* cache/check.c - is everything right: each object read and compared with what its name promises (T10).
 *
 * Content is read without a lock; only a repair takes it, for one rename. What vanishes meanwhile was swept.
 */
#include "base/mem.h"
#include "base/stream.h"
#include "cache/gc.h"
#include "cache/mark.h"
#include "cache/names.h"
#include "cache/steps_priv.h"
#include "cache/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

enum { FINDINGS_MAX = 16 << 20 };

struct check {
	struct store *s;
	bool repair;
	struct check_result *r;
};

/* Record a finding, and with --repair move path out of the way. */
static int bad(struct check *c, const char *path, const char *what, struct err **e)
{
	AUTO(store_unlock) int lock = -1;

	c->r->bad++;
	buf_printf(&c->r->text, "%s: %s%s\n", path, what, c->repair ? ", removed" : "");
	if (!c->repair)
		return 0;
	if (store_lock(c->s->fd, LOCK_EX, &lock, e) < 0 || store_trash(c->s, path, NULL, e) < 0)
		return -1;
	c->r->repaired++;
	return 0;
}

static int mode_is(struct check *c, const char *path, const struct stat *st, mode_t want, struct err **e)
{
	AUTO(fd_closep) int fd = -1;

	if ((st->st_mode & 07777) == want)
		return 0;
	c->r->bad++;
	buf_printf(&c->r->text, "%s: mode is %04o instead of %04o%s\n", path, (unsigned)st->st_mode & 07777,
		   (unsigned)want, c->repair ? ", set" : "");
	if (!c->repair)
		return 0;
	int rc = at_try_store(c->s->fd, path, O_RDONLY | O_NONBLOCK, &fd, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (fchmod(fd, want) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot set the mode of '%s/%s'", c->s->path, path);
	c->r->repaired++;
	return 0;
}

static int check_blob(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	struct check *c = arg;
	AUTO(fd_closep) int fd = -1;
	struct digest d;

	c->r->objects++;
	if (digest_parse_hex(slice_of(name), &d) < 0 || !S_ISREG(st->st_mode))
		return bad(c, path, "is no blob", e);
	int rc = at_try_store(c->s->fd, path, O_RDONLY | O_NONBLOCK, &fd, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	struct stream *content = stream_verify(stream_fd(fd_take(&fd), path), &d, -1);
	bool good = stream_drain(content, NULL) == 0;
	good = stream_close(content, NULL) == 0 && good;
	if (!good)
		return bad(c, path, "content does not have this digest", e);
	return mode_is(c, path, st, 0444, e);
}

static int check_record(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	struct check *c = arg;
	struct step_record r;
	struct digest key;

	c->r->objects++;
	int rc = digest_parse_hex(slice_of(name), &key) < 0 ? STEPS_MISS : steps_read(c->s, path, &key, &r, e);
	if (rc < 0)
		return -1;
	return rc == 0 ? 0 : bad(c, path, "step record is damaged, or not known to have survived a crash", e);
}

/* 1: the blob is not there. */
static int lacks(struct check *c, const struct digest *d, struct err **e)
{
	AUTO(fd_closep) int fd = -1;
	char path[80];

	store_blob_path(d, path);
	int rc = at_try_store(c->s->fd, path, O_PATH, &fd, e);
	return rc < 0 ? -1 : rc != 0;
}

/* A name depends on its configs and its index; layers may be elsewhere (spec/oci.md 7.7: keep-blobs). */
static int check_name(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	struct check *c = arg;
	AUTO(name_record_clear) struct name_record r = { 0 };
	const struct name_record *im;

	c->r->objects++;
	int rc = name_read(c->s, path, &r, e);
	if (rc < 0)
		return -1;
	if (rc == NAMES_MISS)
		return bad(c, path, "name is damaged", e);
	if (!digest_zero(&r.index) && (rc = lacks(c, &r.index, e)) != 0) {
		AUTO(mem_freep) char *what = mem_printf("image '%s' lacks its index %s", r.name, digest_text(&r.index).s);

		return rc < 0 ? -1 : bad(c, path, what, e);
	}
	for (size_t i = 0; (im = name_image(&r, i)); i++) {
		AUTO(mem_freep) char *what = mem_printf("image '%s' lacks its config %s", r.name, digest_text(&im->config).s);

		rc = lacks(c, &im->config, e);
		if (rc != 0)
			return rc < 0 ? -1 : bad(c, path, what, e);
	}
	return 0;
}

static int check_listing(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	struct check *c = arg;
	struct digest d;

	/* What is inside is layers/listing's, which checks its sum at every reading. */
	c->r->objects++;
	if (digest_parse_hex(slice_of(name), &d) < 0 || !S_ISREG(st->st_mode) || st->st_size == 0)
		return bad(c, path, "is no listing", e);
	return 0;
}

static int check_layer(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	struct check *c = arg;
	struct layer_meta m;
	struct digest d;

	c->r->objects++;
	int rc = digest_parse_hex(slice_of(name), &d) < 0 ? SEALED_BAD : store_layer_meta(c->s, path, &d, &m, e);
	if (rc < 0)
		return -1;
	return rc == 0 ? 0 : bad(c, path, "layer is incomplete, or not known to have survived a crash", e);
}

static int check_info(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	struct check *c = arg;
	AUTO(jval_freep) struct jval *v = NULL;

	c->r->objects++;
	int rc = sealed_read(c->s, path, &v, e);
	return rc <= 0 ? rc : bad(c, path, "facts about a blob are damaged", e);
}

static int check_folder(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	return S_ISDIR(st->st_mode) ? mode_is(arg, path, st, 0700, e) : 0;
}

static int check_leftovers(struct check *c, struct err **e)
{
	AUTO(store_unlock) int lock = -1;
	size_t tmps = 0;

	/* Only looked at, in a store that nobody can change. */
	if ((!c->s->read_only || c->repair) && store_lock(c->s->fd, LOCK_EX, &lock, e) < 0)
		return -1;
	if (lease_sweep(c->s, !c->repair, &tmps, e) < 0)
		return -1;
	/* Not damage: whoever was killed leaves them, and gc takes them (promise 6). */
	if (tmps > 0)
		buf_printf(&c->r->text, "tmp: %zu director%s of processes that ended%s\n", tmps, tmps == 1 ? "y" : "ies",
			   c->repair ? ", removed" : ", for gc to remove");
	return 0;
}

int gc_check(struct store *s, bool repair, struct check_result *ret, struct err **e)
{
	/* Blobs before names: what a name needs may turn out bad. */
	static const struct {
		const char *folder;
		int (*visit)(struct store *s, const char *folder, visit_fn *fn, void *arg, struct err **e);
		visit_fn *fn;
	} parts[] = {
		{ "blobs/sha256", store_visit, check_blob }, { "refs", store_visit2, check_name },
		{ "records", store_visit2, check_record },   { "listings", store_visit, check_listing },
		{ "layers", store_visit2, check_layer },     { "info/blob", store_visit, check_info },
		{ "tmp", store_visit, check_folder },
	};
	struct check_result r = { .text = BUF_MAX(FINDINGS_MAX) };
	struct check c = { .s = s, .repair = repair, .r = &r };
	int rc = 0;

	buf_str(&r.text, "");
	for (size_t i = 0; rc == 0 && i < countof(parts); i++)
		rc = parts[i].visit(s, parts[i].folder, parts[i].fn, &c, e);
	if (rc == 0)
		rc = check_leftovers(&c, e);
	if (rc < 0) {
		buf_free(&r.text);
		return err_wrap(e, "cannot check the store '%s'", s->path);
	}
	*ret = r;
	return 0;
}
