/* layers/settle.c - a leaning layer's listing with real paths: "lib/x" over a lower link lib -> usr/lib is usr/lib/x (spec/oci.md 1.7). */
#include "layers/listing.h"

#include "base/fd.h"
#include "base/mem.h"
#include "layers/listing_format.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t parent_length(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

/* Is there a parent that the layer does not list itself? */
static bool leans(const struct listing *l)
{
	AUTO(buf_freep) struct buf last = BUF_MAX(8192);
	struct entry en;

	for (uint64_t i = 0; i < listing_count(l); i++) {
		listing_at(l, i, &en);
		size_t n = parent_length(en.path);
		if (n == 0 || (n == last.n && memcmp(last.p, en.path, n) == 0))
			continue;
		buf_reset(&last);
		buf_add(&last, en.path, n);
		if (listing_find(l, last.p, &en) != 0 || en.type != ENTRY_DIR)
			return true;
	}
	return false;
}

struct real {
	const struct view *v;
	struct buf asked, parent;        /* neighbours share their parents */
};

/* *ret: path with its parents as they are in the view. */
static int real_path(struct real *r, const char *path, struct buf *ret, struct err **e)
{
	size_t n = parent_length(path);

	if (!r->asked.p || n != r->asked.n || memcmp(r->asked.p, path, n) != 0) {
		buf_reset(&r->asked);
		buf_add(&r->asked, path, n);
		if (view_resolve(r->v, r->asked.p, true, &r->parent, NULL, NULL, e) < 0)
			return -1;
	}
	buf_reset(ret);
	buf_slice(ret, buf_view(&r->parent));
	buf_str(ret, r->parent.n ? "/" : "");
	buf_str(ret, path + n + (n > 0));
	return buf_ok(ret, "a path", e);
}

/* One entry under its real path, with its text. */
static int put(struct sink *k, const struct listing *l, struct real *r, const struct entry *old, struct err **e)
{
	AUTO(buf_freep) struct buf path = BUF_MAX(8192), link = BUF_MAX(8192);
	struct entry en = *old;
	struct slice text = SLICE_NONE;

	if (real_path(r, old->path, &path, e) < 0 || (old->type == ENTRY_LINK && real_path(r, old->link, &link, e) < 0))
		return -1;
	en.path = path.p;
	if (old->type == ENTRY_LINK)
		en.link = link.p;
	bool has_text = en.type == ENTRY_FILE && listing_text(l, old->path, &text);
	listing_sink_texts(k, has_text);
	if (k->ops->entry(k, &en, e) < 0)
		return -1;
	return has_text ? k->ops->data(k, text.p, text.n, e) : 0;
}

int listing_settle(const struct listing *l, const struct view *v, struct listing **ret, struct err **e)
{
	AUTO(fd_closep) int fd = -1;
	AUTO(sink_free) struct sink *k = NULL;
	struct real r = { .v = v, .asked = BUF_MAX(8192), .parent = BUF_MAX(8192) };
	struct entry en;
	int rc = 0;

	if (!leans(l))
		return LISTING_MISS;
	fd = memfd_create("listing", MFD_CLOEXEC);
	if (fd < 0)
		return err_errno(e, ERR_HOST, errno, "cannot make room for a listing");
	k = listing_sink_new(fd);
	for (uint64_t i = 0; i < listing_count(l) && rc == 0; i++) {
		listing_at(l, i, &en);
		rc = put(k, l, &r, &en, e);
	}
	buf_free(&r.asked);
	buf_free(&r.parent);
	if (rc < 0 || k->ops->end(k, e) < 0)
		return -1;
	return listing_open(fd_take(&fd), ret, e);
}
