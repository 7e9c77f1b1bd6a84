/* cache/mark.c - what names and live leases want. */
#include "cache/mark.h"
#include "base/mem.h"
#include "cache/names.h"
#include "cache/store_priv.h"

#include <fcntl.h>
#include <stdlib.h>

enum { LEASE_MAX = 256 << 20 };

/* ---- sets of digests */

static struct mark *slot_of(const struct marks *m, const struct digest *d)
{
	size_t i = 0;

	/* A digest is its own hash. */
	memcpy(&i, d->b, sizeof(i));
	for (i &= m->cap - 1; m->slot[i].used && !digest_equal(&m->slot[i].d, d);)
		i = (i + 1) & (m->cap - 1);
	return &m->slot[i];
}

struct mark *marks_find(const struct marks *m, const struct digest *d)
{
	struct mark *at = m->cap ? slot_of(m, d) : NULL;

	return at && at->used ? at : NULL;
}

struct mark *marks_add(struct marks *m, const struct digest *d)
{
	if (m->n * 2 >= m->cap) {
		struct marks larger = { .cap = m->cap ? m->cap * 2 : 64, .n = m->n };

		larger.slot = mem_array(larger.cap, sizeof(*larger.slot));
		for (size_t i = 0; i < m->cap; i++)
			if (m->slot[i].used)
				*slot_of(&larger, &m->slot[i].d) = m->slot[i];
		free(m->slot);
		*m = larger;
	}
	struct mark *at = slot_of(m, d);
	if (!at->used) {
		*at = (struct mark){ .d = *d, .used = true };
		m->n++;
	}
	return at;
}

/* ---- who wants what */

static void hold(struct marks *m, const struct digest *d, bool by_name)
{
	if (digest_zero(d))
		return;
	struct mark *at = marks_add(m, d);
	at->held = true;
	at->names += by_name;
}

static void from_image(struct wanted *w, const struct name_record *im)
{
	hold(&w->blobs, &im->config, true);
	hold(&w->blobs, &im->manifest, true);
	for (size_t i = 0; i < im->nlayer; i++) {
		hold(&w->blobs, &im->layer[i].blob, true);
		hold(&w->diffs, &im->layer[i].diff, true);
	}
}

static int from_names(struct store *s, struct wanted *w, struct err **e)
{
	struct name_record *r = NULL;
	size_t n = 0;

	if (names_list(s, &r, &n, &w->bad_names, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (w->tagged_only && name_untagged(r[i].name))
			continue;
		hold(&w->blobs, &r[i].index, true);
		const struct name_record *im;
		for (size_t k = 0; (im = name_image(&r[i], k)); k++)
			from_image(w, im);
	}
	names_list_free(r, n);
	return 0;
}

/* "blob sha256:<hex>", "layer <flavour> <hex>", "listing <hex>"; a half-written last line names nothing. */
static void from_line(struct wanted *w, struct slice line)
{
	bool blob = slice_starts(line, "blob sha256:");
	struct digest d;

	if (line.n < DIGEST_HEX || digest_parse_hex(slice_skip(line, line.n - DIGEST_HEX), &d) < 0)
		return;
	if (blob || slice_starts(line, "layer ") || slice_starts(line, "listing "))
		hold(blob ? &w->blobs : &w->diffs, &d, false);
}

static int from_leases(struct store *s, struct wanted *w, struct err **e)
{
	AUTO(at_names_clear) struct at_names names = { 0 };
	AUTO(fd_closep) int dir = at_open_store(s->fd, "leases", O_RDONLY | O_DIRECTORY, 0, e);

	if (dir < 0 || at_list(dir, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		AUTO(buf_freep) struct buf text = BUF_MAX(LEASE_MAX);
		struct slice line = SLICE_NONE;

		if (!lease_live(s->fd, names.name[i]))
			continue;
		int rc = at_read(dir, names.name[i], &text, e);
		if (rc < 0)
			return -1;
		struct slice rest = rc == 0 ? buf_view(&text) : SLICE_NONE;
		while (slice_cut(rest, '\n', &line, &rest))
			from_line(w, line);
	}
	return 0;
}

int wanted_blobs_of(struct store *s, struct wanted *w, const struct digest *diff, bool held, uint64_t *bytes,
		    struct err **e)
{
	AUTO(at_names_clear) struct at_names names = { 0 };
	AUTO(fd_closep) int dir = -1;
	char hex[DIGEST_HEX + 1], path[80];

	digest_hex(diff, hex);
	snprintf(path, sizeof(path), "info/diff/%s", hex);
	int rc = at_try_store(s->fd, path, O_RDONLY | O_DIRECTORY, &dir, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	AUTO(fd_closep) int blobs = at_open_store(s->fd, "blobs/sha256", O_PATH | O_DIRECTORY, 0, e);
	if (blobs < 0 || at_list(dir, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		struct digest blob;
		struct stat st;

		if (digest_parse_hex(slice_of(names.name[i]), &blob) < 0)
			continue;
		struct mark *m = marks_add(&w->blobs, &blob);
		m->held = m->held || held;
		rc = at_stat(blobs, names.name[i], &st, e);
		if (rc < 0)
			return -1;
		if (rc == 0 && bytes)
			*bytes += (uint64_t)st.st_size;
	}
	return 0;
}

int wanted_collect(struct store *s, struct wanted *w, struct err **e)
{
	if (from_names(s, w, e) < 0 || from_leases(s, w, e) < 0)
		return err_wrap(e, "cannot find out what is in use in the store '%s'", s->path);
	return 0;
}

void wanted_clear(struct wanted *w)
{
	free(w->blobs.slot);
	free(w->diffs.slot);
	*w = (struct wanted){ 0 };
}

/* ---- walking the store's folders */

int store_visit(struct store *s, const char *folder, visit_fn *fn, void *arg, struct err **e)
{
	AUTO(at_names_clear) struct at_names names = { 0 };
	AUTO(fd_closep) int dir = -1;

	int rc = at_try_store(s->fd, folder, O_RDONLY | O_DIRECTORY, &dir, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (at_list(dir, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		AUTO(mem_freep) char *path = mem_printf("%s/%s", folder, names.name[i]);
		struct stat st;

		rc = at_stat(dir, names.name[i], &st, e);
		if (rc < 0 || (rc == 0 && fn(arg, path, names.name[i], &st, e) < 0))
			return -1;
	}
	return 0;
}

struct inner {
	struct store *s;
	visit_fn *fn;
	void *arg;
};

static int visit_inner(void *arg, const char *path, const char *name, const struct stat *st, struct err **e)
{
	const struct inner *in = arg;

	return S_ISDIR(st->st_mode) ? store_visit(in->s, path, in->fn, in->arg, e) : 0;
}

int store_visit2(struct store *s, const char *folder, visit_fn *fn, void *arg, struct err **e)
{
	struct inner in = { s, fn, arg };

	return store_visit(s, folder, visit_inner, &in, e);
}
