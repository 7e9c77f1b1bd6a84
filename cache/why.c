/* cache/why.c - the fields of the newest record of a place, and the sentence that tells what changed since.
 *
 *   last/<sha256 of the slot>    sha256 of the rest (32 bytes), then wire: version, fields
 *   field                        name, value (may be NULL), is-input, is-list, digest; items
 *   item                         name, type, mode, first 8 bytes of its digest
 * Only reasons come from here, never results: shortened digests will do, and a file that is torn or too large says
 * "first build of this step".
 */
#include "base/mem.h"
#include "base/tmp.h"
#include "base/wire.h"
#include "cache/steps_priv.h"
#include "cache/store_priv.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

enum { LAST_VERSION = 1, LAST_MAX = 16 << 20, VALUE_SHOWN = 60, FIELDS_MAX = 10000 };

static void slot_path(struct slice slot, char ret[80])
{
	char hex[DIGEST_HEX + 1];
	struct digest d;

	digest_of(slot.p, slot.n, &d);
	digest_hex(&d, hex);
	snprintf(ret, 80, "last/%s", hex);
}

static uint64_t short_digest(const struct digest *d)
{
	uint64_t v = 0;

	memcpy(&v, d->b, sizeof(v));
	return v;
}

/* ---- on disk */

static void put_field(struct buf *b, const struct key_field *f)
{
	wire_put_str(b, f->name);
	wire_put_str(b, f->value);
	wire_put_u32(b, f->input);
	wire_put_u32(b, f->item != NULL);
	wire_put_u64(b, short_digest(&f->def));
	wire_put_u32(b, (uint32_t)f->nitem);
	for (size_t i = 0; f->item && i < f->nitem; i++) {
		wire_put_str(b, f->item[i].name);
		wire_put_u32(b, (unsigned char)f->item[i].type);
		wire_put_u32(b, f->item[i].mode);
		wire_put_u64(b, short_digest(&f->item[i].digest));
	}
}

int why_save(struct store *s, struct slice slot, const struct keyer *k, struct err **e)
{
	AUTO(tmp_rollback) struct tmp t = TMP_NONE;
	AUTO(buf_freep) struct buf b = BUF_MAX(LAST_MAX);
	struct lease *lease = NULL;
	struct digest sum;
	char path[80];

	wire_put_u32(&b, LAST_VERSION);
	wire_put_u32(&b, (uint32_t)k->nfield);
	for (size_t i = 0; i < k->nfield; i++)
		put_field(&b, &k->field[i]);
	if (b.over)
		return 0;
	digest_of(b.p, b.n, &sum);

	slot_path(slot, path);
	if (store_lease(s, &lease, e) < 0)
		return -1;
	AUTO(mem_freep) char *scratch = mem_printf("tmp/%s", lease_id(lease));
	AUTO(fd_closep) int dir = at_open_store(s->fd, scratch, O_PATH | O_DIRECTORY, 0, e);
	if (dir < 0 || tmp_open(&t, dir, e) < 0 || fd_write_all(t.fd, sum.b, sizeof(sum.b), e) < 0 ||
	    fd_write_all(t.fd, b.p, b.n, e) < 0)
		return -1;
	return tmp_commit(&t, s->fd, path, 0, 0600, e);
}

static uint64_t get_digest(struct wire *w, struct digest *ret)
{
	uint64_t v = wire_u64(w);

	*ret = (struct digest){ { 0 } };
	memcpy(ret->b, &v, sizeof(v));
	return v;
}

static void get_field(struct wire *w, struct keyer *k)
{
	AUTO(mem_freep) char *name = wire_str(w);
	AUTO(mem_freep) char *value = wire_str(w);

	if (w->bad || !name) {
		w->bad = true;
		return;
	}
	MEM_ROOM(k->field, k->nfield, k->cap);
	struct key_field *f = &k->field[k->nfield++];
	*f = (struct key_field){ .name = take(&name), .value = take(&value) };
	f->input = wire_u32(w) != 0;
	bool list = wire_u32(w) != 0;
	get_digest(w, &f->def);
	uint32_t n = wire_u32(w);
	for (uint32_t i = 0; i < n && !w->bad; i++) {
		AUTO(mem_freep) char *item = wire_str(w);
		char type = (char)wire_u32(w);
		uint32_t mode = wire_u32(w);
		struct digest d;

		get_digest(w, &d);
		if (!item || w->bad)
			w->bad = true;
		else
			key_list_add(f, item, type, mode, &d);
	}
	if (list && !f->item)
		MEM_ROOM(f->item, f->nitem, f->cap);
}

/* STEPS_MISS: none that can be read. */
static int load(struct store *s, struct slice slot, struct keyer *ret, struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(LAST_MAX + sizeof(struct digest));
	AUTO(key_clear) struct keyer k = { 0 };
	AUTO(fd_closep) int fd = -1;
	struct digest want, got;
	char path[80];

	slot_path(slot, path);
	int rc = at_try_store(s->fd, path, O_RDONLY | O_NONBLOCK, &fd, e);
	if (rc != 0)
		return rc < 0 ? -1 : STEPS_MISS;
	if (fd_read_all(fd, &b, NULL) < 0 || b.n < sizeof(want.b))
		return STEPS_MISS;
	memcpy(want.b, b.p, sizeof(want.b));
	struct slice rest = slice_skip(buf_view(&b), sizeof(want.b));
	digest_of(rest.p, rest.n, &got);
	if (!digest_equal(&want, &got))
		return STEPS_MISS;

	struct wire w = wire_of(rest);
	bool known = wire_u32(&w) == LAST_VERSION;
	uint32_t n = wire_u32(&w);
	for (uint32_t i = 0; known && i < n && n <= FIELDS_MAX && !w.bad; i++)
		get_field(&w, &k);
	if (!known || wire_done(&w, path, NULL) < 0)
		return STEPS_MISS;
	*ret = k;
	k = (struct keyer){ 0 };
	return 0;
}

/* ---- the sentence */

struct reasons {
	struct buf *why;
	size_t n;                /* told or counted */
	bool inputs, others;
};

/* The first difference is told, the others are counted. True: tell it. */
static bool differs(struct reasons *r, bool input)
{
	r->inputs = r->inputs || input;
	r->others = r->others || !input;
	return r->n++ == 0;
}

static void quoted(struct buf *out, const char *value)
{
	if (!value) {
		buf_str(out, "not set");
		return;
	}
	buf_char(out, '\'');
	buf_escaped(out, slice_of(value), VALUE_SHOWN);
	buf_char(out, '\'');
}

/* "file" of the list "files". */
static void item_name(struct buf *out, const struct key_field *list, const struct key_item *it)
{
	struct slice word = slice_of(list->name);

	if (slice_ends(word, "s"))
		word.n--;
	buf_printf(out, "%.*s ", SLICE_F(word));
	buf_escaped(out, slice_of(it->name), VALUE_SHOWN * 4);
}

static void item_changed(struct buf *out, const struct key_field *f, const struct key_item *now,
			 const struct key_item *was)
{
	item_name(out, f, now);
	buf_str(out, " changed");
	if (now->type != was->type)
		buf_str(out, ", it was something else");
	else if (now->mode != was->mode)
		buf_printf(out, ", mode was %04" PRIo32, was->mode & 07777);
}

static int by_item(const void *a, const void *b)
{
	return strcmp((*(const struct key_item *const *)a)->name, (*(const struct key_item *const *)b)->name);
}

static const struct key_item **sorted(const struct key_field *f)
{
	const struct key_item **p = mem_array(f->nitem, sizeof(void *));

	for (size_t i = 0; i < f->nitem; i++)
		p[i] = &f->item[i];
	if (f->nitem)
		qsort(p, f->nitem, sizeof(void *), by_item);
	return p;
}

static void compare_items(struct reasons *r, const struct key_field *now, const struct key_field *was)
{
	AUTO(mem_freep) const struct key_item **a = sorted(now);
	AUTO(mem_freep) const struct key_item **b = sorted(was);

	for (size_t i = 0, j = 0; i < now->nitem || j < was->nitem;) {
		int c = i == now->nitem ? 1 : j == was->nitem ? -1 : strcmp(a[i]->name, b[j]->name);

		if (c == 0) {
			if ((short_digest(&a[i]->digest) != short_digest(&b[j]->digest) || a[i]->mode != b[j]->mode ||
			     a[i]->type != b[j]->type) && differs(r, false))
				item_changed(r->why, now, a[i], b[j]);
			i++;
			j++;
		} else if (c < 0) {
			if (differs(r, false)) {
				item_name(r->why, now, a[i]);
				buf_str(r->why, " is new");
			}
			i++;
		} else {
			if (differs(r, false)) {
				item_name(r->why, was, b[j]);
				buf_str(r->why, " is gone");
			}
			j++;
		}
	}
}

static void compare_field(struct reasons *r, const struct key_field *now, const struct key_field *was)
{
	if (now->item && was->item) {
		compare_items(r, now, was);
		return;
	}
	bool same = short_digest(&now->def) == short_digest(&was->def) && now->input == was->input;
	if (same || !differs(r, now->input))
		return;
	buf_printf(r->why, "%s changed", now->name);
	if (now->value || was->value) {
		buf_str(r->why, ", ");
		quoted(r->why, now->value);
		buf_str(r->why, " was ");
		quoted(r->why, was->value);
	}
}

/* Names may repeat ("mount"): the n-th of a name is compared with the n-th of the same name. */
static const struct key_field *counterpart(const struct keyer *in, const struct keyer *of, size_t i)
{
	size_t nth = 0;

	for (size_t j = 0; j < i; j++)
		nth += strcmp(of->field[j].name, of->field[i].name) == 0;
	for (size_t j = 0; j < in->nfield; j++)
		if (strcmp(in->field[j].name, of->field[i].name) == 0 && nth-- == 0)
			return &in->field[j];
	return NULL;
}

/* A bare digest behind a list sums that list up: it says nothing that the list does not say better. */
static bool summed_up(const struct keyer *now, const struct keyer *was, size_t i)
{
	const struct key_field *f = &now->field[i];
	bool list = false;

	for (size_t j = 0; j < i; j++)
		list = list || now->field[j].item;
	const struct key_field *old = counterpart(was, now, i);
	return list && !f->value && !f->input && !f->item && old && !old->value;
}

static void compare(struct reasons *r, const struct keyer *now, const struct keyer *was)
{
	/* What the user wrote comes first; that an input was made anew explains the rest. */
	for (int inputs = 0; inputs < 2; inputs++)
		for (size_t i = 0; i < now->nfield; i++) {
			const struct key_field *old = counterpart(was, now, i);

			if (now->field[i].input != (inputs == 1) || (r->n && summed_up(now, was, i)))
				continue;
			if (old)
				compare_field(r, &now->field[i], old);
			else if (differs(r, inputs == 1))
				buf_printf(r->why, "%s is new", now->field[i].name);
		}
	for (size_t i = 0; i < was->nfield; i++)
		if (!counterpart(now, was, i) && differs(r, was->field[i].input))
			buf_printf(r->why, "%s is gone", was->field[i].name);
}

int steps_why(struct store *s, struct slice slot, const struct keyer *k, struct buf *why, bool *parent_only, struct err **e)
{
	AUTO(key_clear) struct keyer was = { 0 };
	struct reasons r = { .why = why };

	*parent_only = false;
	int rc = load(s, slot, &was, e);
	if (rc < 0)
		return -1;
	if (rc == STEPS_MISS) {
		buf_str(why, "first build of this step");
		return 0;
	}
	buf_str(why, "run again: ");
	compare(&r, k, &was);
	if (r.n == 0)
		buf_str(why, "its result is no longer in the store");
	else if (r.n > 1)
		buf_printf(why, ", and %zu more", r.n - 1);
	*parent_only = r.inputs && !r.others;
	return 0;
}
