/* cache/why.c - the fields of the newest record of a place, and the sentence that tells what changed since.
 *
 *   last/<sha256 of the slot>    sha256 of the rest (32 bytes), then wire: version, fields
 *   field                        name, value (may be NULL), is-input, is-list, digest, u64 bytes of items; items
 *   item                         name, type, mode, first 8 bytes of its digest: key_item_put()
 * Only reasons come from here, never results: shortened digests will do, and a file that is torn or too large says
 * "first build of this step".
 */
#include "base/map.h"
#include "base/mem.h"
#include "base/tmp.h"
#include "base/wire.h"
#include "cache/steps_priv.h"
#include "cache/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum { LAST_VERSION = 2, LAST_MAX = 256 << 20, LAST_SMALL = 64 << 10, VALUE_SHOWN = 60, WARM_MOST = 32768, FIELDS_MAX = 10000 };

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
	wire_put_u32(b, f->list);
	wire_put_u64(b, short_digest(&f->def));
	wire_put_u64(b, f->items.bytes.n);
}

struct saving {
	int fd;                          /* -1: only the sum is wanted */
	struct hasher *h;
	struct err **e;
	int rc;
};

static void save_piece(void *arg, struct slice piece)
{
	struct saving *s = arg;

	hasher_add(s->h, piece.p, piece.n);
	if (s->rc == 0 && s->fd >= 0)
		s->rc = fd_write_all(s->fd, piece.p, piece.n, s->e);
}

static int save_fields(int fd, const struct keyer *k, struct digest *sum, struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(LAST_MAX);
	AUTO(hasher_freep) struct hasher *h = hasher_new();
	struct saving s = { .fd = fd, .h = h, .e = e };

	wire_put_u32(&b, LAST_VERSION);
	wire_put_u32(&b, (uint32_t)k->nfield);
	*sum = (struct digest){ 0 };
	if (fd >= 0 && fd_write_all(fd, sum->b, sizeof(sum->b), e) < 0)
		return -1;
	for (size_t i = 0; i < k->nfield; i++) {
		const struct key_items *items = &k->field[i].items;

		put_field(&b, &k->field[i]);
		if (!items->bytes.n && i + 1 < k->nfield)
			continue;
		save_piece(&s, buf_view(&b));
		buf_reset(&b);
		map_each(items->bytes, items->mapped, save_piece, &s);
	}
	hasher_end(h, sum);
	if (s.rc < 0)
		return -1;
	return fd < 0 || pwrite(fd, sum->b, sizeof(sum->b), 0) == sizeof(sum->b) ? 0 : err_errno(e, ERR_HOST, errno, "cannot write");
}

/* Has the place this very record already? Where that is cheap to tell; replacing a file is not (what ext4 writes then is waited for). */
static bool saved(struct store *s, const char *path, const struct keyer *k, uint64_t size)
{
	AUTO(fd_closep) int fd = -1;
	struct digest sum, have;

	if (size > LAST_SMALL || at_try_store(s->fd, path, O_RDONLY, &fd, NULL) != 0 || save_fields(-1, k, &sum, NULL) < 0 ||
	    fd_read_exact(fd, have.b, sizeof(have.b), NULL) != 0 || !digest_equal(&have, &sum))
		return false;
	record_touch(s, path);
	return true;
}

int why_save(struct store *s, struct slice slot, const struct keyer *k, struct err **e)
{
	AUTO(tmp_rollback) struct tmp t = TMP_NONE;
	struct digest sum;
	char path[80];
	uint64_t size = 0;

	for (size_t i = 0; i < k->nfield; i++)
		size += k->field[i].items.bytes.n + slice_of(k->field[i].name).n + slice_of(k->field[i].value).n + 64;
	if (size > LAST_MAX)
		return 0;
	slot_path(slot, path);
	if (saved(s, path, k, size))
		return 0;
	AUTO(fd_closep) int dir = store_scratch(s, e);
	if (dir < 0 || tmp_open(&t, dir, e) < 0 || save_fields(t.fd, k, &sum, e) < 0)
		return -1;
	return tmp_commit(&t, s->fd, path, 0, 0600, e);
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
	f->list = wire_u32(w) != 0;
	uint64_t v = wire_u64(w), n = wire_u64(w);
	memcpy(f->def.b, &v, sizeof(v));
	if (n > w->rest.n)
		w->bad = true;
	if (w->bad)
		return;
	f->items = (struct key_items){ { w->rest.p, (size_t)n }, true };
	w->rest = slice_skip(w->rest, (size_t)n);
}

static void sum_piece(void *h, struct slice piece)
{
	hasher_add(h, piece.p, piece.n);
}

/* The fields' lists lie in *map. STEPS_MISS: none that can be read. */
static int load(struct store *s, struct slice slot, struct map *map, struct keyer *ret, struct err **e)
{
	AUTO(hasher_freep) struct hasher *h = hasher_new();
	AUTO(key_clear) struct keyer k = { 0 };
	AUTO(fd_closep) int fd = -1;
	struct digest want, got;
	char path[80];

	slot_path(slot, path);
	int rc = at_try_store(s->fd, path, O_RDONLY | O_NONBLOCK, &fd, e);
	if (rc != 0)
		return rc < 0 ? -1 : STEPS_MISS;
	if (map_open(fd, map, NULL) < 0 || map->n < sizeof(want.b))
		return STEPS_MISS;
	memcpy(want.b, map->p, sizeof(want.b));
	struct wire w = wire_of(slice_skip((struct slice){ map->p, map->n }, sizeof(want.b)));
	map_each(w.rest, true, sum_piece, h);
	hasher_end(h, &got);
	if (!digest_equal(&want, &got))
		return STEPS_MISS;

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
	buf_escaped(out, it->name, VALUE_SHOWN * 4);
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

/* Layer order: '/' sorts below every other byte. */
static int name_cmp(struct slice a, struct slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;

	for (size_t i = 0; i < n; i++)
		if (a.p[i] != b.p[i])
			return (a.p[i] == '/' ? 0 : (unsigned char)a.p[i]) - (b.p[i] == '/' ? 0 : (unsigned char)b.p[i]);
	return a.n == b.n ? 0 : a.n < b.n ? -1 : 1;
}

/* A list being walked through by name: as it lies, or by an index of it when it is not sorted. */
struct walk {
	const struct key_items *items;
	struct wire w;
	size_t warm;                     /* items looked at since pages were given back */
	const char **order;
	size_t n, next;
	struct key_item it;
	bool end;
};

/* Whatever the order is, what comes next is mostly near. */
static void walk_cool(struct walk *k)
{
	struct slice all = k->items->bytes;

	if (k->items->mapped && ++k->warm % WARM_MOST == 0)
		map_cool(all.p, all.p + all.n);
}

static struct slice name_at(struct walk *k, const char *at)
{
	struct wire w = wire_of(slice_range(at, k->items->bytes.p + k->items->bytes.n));

	walk_cool(k);
	return wire_get(&w);
}

static int by_item(const void *a, const void *b, void *walk)
{
	return name_cmp(name_at(walk, *(const char *const *)a), name_at(walk, *(const char *const *)b));
}

static void walk_next(struct walk *k)
{
	walk_cool(k);
	if (k->order && k->next < k->n)
		k->w = wire_of(slice_range(k->order[k->next++], k->items->bytes.p + k->items->bytes.n));
	else if (k->order)
		k->w.rest = SLICE_NONE;
	k->end = !key_item_get(&k->w, &k->it);
}

static void walk_rewind(struct walk *k)
{
	k->w = wire_of(k->items->bytes);
	walk_next(k);
}

static void walk_init(struct walk *k, const struct key_items *items)
{
	struct slice last = SLICE_NONE;
	bool sorted = true;
	size_t n = 0;

	*k = (struct walk){ .items = items };
	for (walk_rewind(k); !k->end; walk_next(k), n++) {
		sorted = sorted && (n == 0 || name_cmp(last, k->it.name) <= 0);
		last = k->it.name;
	}
	if (!sorted) {
		const char **order = mem_array(n, sizeof(*order));

		k->w = wire_of(items->bytes);
		for (; k->n < n; k->n++) {
			order[k->n] = k->w.rest.p;
			walk_next(k);
		}
		qsort_r(order, n, sizeof(*order), by_item, k);
		k->order = order;
	}
	walk_rewind(k);
}

static void walk_clear(struct walk *k)
{
	mem_freep(&k->order);
}

static void compare_items(struct reasons *r, const struct key_field *now, const struct key_field *was)
{
	AUTO(walk_clear) struct walk a = { 0 };
	AUTO(walk_clear) struct walk b = { 0 };

	walk_init(&a, &now->items);
	walk_init(&b, &was->items);
	while (!a.end || !b.end) {
		int c = a.end ? 1 : b.end ? -1 : name_cmp(a.it.name, b.it.name);
		bool same = c == 0 && a.it.digest == b.it.digest && a.it.mode == b.it.mode && a.it.type == b.it.type;

		if (!same && differs(r, false)) {
			if (c == 0) {
				item_changed(r->why, now, &a.it, &b.it);
			} else {
				item_name(r->why, now, c < 0 ? &a.it : &b.it);
				buf_str(r->why, c < 0 ? " is new" : " is gone");
			}
		}
		if (c <= 0)
			walk_next(&a);
		if (c >= 0)
			walk_next(&b);
	}
}

static void compare_field(struct reasons *r, const struct key_field *now, const struct key_field *was)
{
	if (now->list && was->list) {
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
		list = list || now->field[j].list;
	const struct key_field *old = counterpart(was, now, i);
	return list && !f->value && !f->input && !f->list && old && !old->value;
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
	AUTO(map_clear) struct map map = { 0 };
	AUTO(key_clear) struct keyer was = { 0 };
	struct reasons r = { .why = why };

	*parent_only = false;
	int rc = load(s, slot, &map, &was, e);
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
