/* tests/unit/steps.c - step records: hits only when the content stands, and why a step missed. */
#include "cache/steps.h"
#include "cache/steps_priv.h"
#include "tests/unit/tmpstore.h"

#include <time.h>

#define SLOT SLICE_LIT("context\0stage\0003")

static void hits(struct store *s)
{
	struct digest key = tmpstore_digest("key"), content = tmpstore_digest("content key"), none = tmpstore_digest("none");
	struct digest diff = tmpstore_layer(s, "step layer", 10);
	struct step_record r = { .diff = diff, .size = 2048, .created = 1700000000, .took_ms = 1500 }, got;
	char path[96];

	is_int(steps_find(s, &key, &got, NULL), STEPS_MISS, "nothing is recorded at first");
	is_int(steps_save(s, &key, &content, NULL, SLOT, &r, NULL), 0, "a record is saved");
	ok(steps_find(s, &key, &got, NULL) == 0 && digest_equal(&got.diff, &diff) && got.size == 2048 &&
		   got.created == 1700000000 && got.took_ms == 1500 && !got.empty,
	   "and found under the definition key");
	is_int(steps_find(s, &content, &got, NULL), 0, "and the content key");
	is_int(steps_find(s, &none, &got, NULL), STEPS_MISS, "another key is a miss");

	steps_record_path(&key, path);
	AUTO(fd_closep) int dir = -1;
	const char *name = NULL;
	struct stat st;
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	store_parent(s, path, &dir, &name, NULL);
	utimensat(dir, name, old, 0);
	steps_find(s, &key, &got, NULL);
	ok(fstatat(dir, name, &st, 0) == 0 && time(NULL) - st.st_mtime < 100, "a hit touches an old record");

	tmpstore_age(s, path, "00000000-1111-2222-3333-444444444444", 5);
	is_int(steps_find(s, &key, &got, NULL), STEPS_MISS, "T8: a suspect record is a miss");
	steps_save(s, &key, NULL, NULL, SLOT, &r, NULL);
	is_int(steps_find(s, &key, &got, NULL), 0, "until it is made again");
	tmpstore_bend(s, path);
	is_int(steps_find(s, &key, &got, NULL), STEPS_MISS, "T9: a torn record is a miss");
	tmpstore_write(s, path, "");
	is_int(steps_find(s, &key, &got, NULL), STEPS_MISS, "so is an empty one");

	char other[96];
	steps_record_path(&none, other);
	steps_record_path(&content, path);
	AUTO(buf_freep) struct buf text = BUF_MAX(4096);
	at_read(s->fd, path, &text, NULL);
	store_make_parent(s, other, NULL);
	tmpstore_write(s, other, text.p);
	is_int(steps_find(s, &none, &got, NULL), STEPS_MISS, "a record under another's name is a miss");
}

static void content_gone(struct store *s)
{
	struct digest key = tmpstore_digest("key2"), diff = tmpstore_layer(s, "step layer 2", 10), blob;
	struct step_record r = { .diff = diff }, got;
	char path[160];

	steps_save(s, &key, NULL, NULL, SLOT, &r, NULL);
	is_int(steps_find(s, &key, &got, NULL), 0, "a layer as a directory is a hit");
	store_layer_path(s, &diff, path);
	store_trash(s, path, NULL, NULL);
	is_int(steps_find(s, &key, &got, NULL), STEPS_MISS, "K3: without its content a record is a miss");
	store_blob_put(s, slice_of("the blob"), &blob, NULL);
	struct blob_info i = { .diff = diff, .blob = blob, .size = 8, .comp = "gzip", .level = 6 };
	store_info_add(s, &i, NULL);
	is_int(steps_find(s, &key, &got, NULL), 0, "as a blob it is a hit again");
	store_listing_path(&diff, path);
	at_unlink(s->fd, path, NULL);
	is_int(steps_find(s, &key, &got, NULL), STEPS_MISS, "without its listing a miss");

	struct step_record nothing = { .empty = true };
	steps_save(s, &key, NULL, NULL, SLOT, &nothing, NULL);
	ok(steps_find(s, &key, &got, NULL) == 0 && got.empty, "a step without a layer needs nothing");
}

/* ---- why */

struct given {
	const char *command, *arg;       /* arg NULL: not declared */
	const char *parent;
	struct {
		const char *name, *content;
		uint32_t mode;
	} file[3];
};

static void make_key(struct keyer *k, struct buf *items, const struct given *g)
{
	struct digest parent = tmpstore_digest(g->parent);

	key_init(k, "COPY");
	key_input(k, "parent", &parent, NULL);
	key_text(k, "argument", g->command);
	if (g->arg)
		key_text(k, "argument VER", g->arg);
	buf_reset(items);
	for (size_t i = 0; i < countof(g->file) && g->file[i].name; i++) {
		struct digest d = tmpstore_digest(g->file[i].content);

		key_item_put(items, g->file[i].name, 'f', g->file[i].mode, &d);
	}
	key_list(k, "files", (struct key_items){ .bytes = buf_view(items) });
}

static void reasons(struct store *s)
{
	static const struct given before = {
		"make -j4", "1", "p", { { "conf/a.d", "A", 0644 }, { "conf/b", "B", 0644 } },
	};
	static const struct {
		const char *name;
		struct given now;
		const char *why;
		bool parent_only;
	} cases[] = {
		{ "an argument", { "make", "1", "p", { { "conf/a.d", "A", 0644 }, { "conf/b", "B", 0644 } } },
		  "run again: argument changed, 'make' was 'make -j4'", false },
		{ "a mode", { "make -j4", "1", "p", { { "conf/a.d", "A", 0755 }, { "conf/b", "B", 0644 } } },
		  "run again: file conf/a.d changed, mode was 0644", false },
		{ "a content", { "make -j4", "1", "p", { { "conf/a.d", "A", 0644 }, { "conf/b", "X", 0644 } } },
		  "run again: file conf/b changed", false },
		{ "a new file", { "make -j4", "1", "p", { { "conf/a.d", "A", 0644 }, { "conf/aa", "", 0644 }, { "conf/b", "B", 0644 } } },
		  "run again: file conf/aa is new", false },
		{ "a file less", { "make -j4", "1", "p", { { "conf/b", "B", 0644 } } },
		  "run again: file conf/a.d is gone", false },
		{ "an argument that is gone", { "make -j4", NULL, "p", { { "conf/a.d", "A", 0644 }, { "conf/b", "B", 0644 } } },
		  "run again: argument VER is gone", false },
		{ "the parent alone", { "make -j4", "1", "q", { { "conf/a.d", "A", 0644 }, { "conf/b", "B", 0644 } } },
		  "run again: parent changed", true },
		{ "several", { "make", "2", "q", { { "conf/a.d", "A", 0644 }, { "conf/b", "B", 0644 } } },
		  "run again: argument changed, 'make' was 'make -j4', and 2 more", false },
		{ "control bytes", { "\x1b[2J", "1", "p", { { "conf/a.d", "A", 0644 }, { "conf/b", "B", 0644 } } },
		  "run again: argument changed, '\\x1b[2J' was 'make -j4'", false },
		{ "nothing", { "make -j4", "1", "p", { { "conf/a.d", "A", 0644 }, { "conf/b", "B", 0644 } } },
		  "run again: its result is no longer in the store", false },
	};
	struct digest key = tmpstore_digest("key3");
	struct step_record r = { .empty = true };
	struct keyer k;
	AUTO(buf_freep) struct buf items = BUF_MAX(1000);
	bool parent_only = true;

	for (size_t i = 0; i < countof(cases); i++) {
		AUTO(buf_freep) struct buf why = BUF_MAX(1000);

		make_key(&k, &items, &before);
		steps_save(s, &key, NULL, &k, SLOT, &r, NULL);
		key_clear(&k);
		make_key(&k, &items, &cases[i].now);
		steps_why(s, SLOT, &k, &why, &parent_only, NULL);
		key_clear(&k);
		is_str(why.p, cases[i].why, cases[i].name);
		ok(parent_only == cases[i].parent_only, "and whether that is the parent alone");
	}

	AUTO(buf_freep) struct buf why = BUF_MAX(1000);
	make_key(&k, &items, &before);
	steps_why(s, SLICE_LIT("elsewhere"), &k, &why, &parent_only, NULL);
	is_str(why.p, "first build of this step", "a place that was never built");

	AUTO(mem_freep) char *last = NULL;
	struct digest slot;
	char hex[DIGEST_HEX + 1];
	digest_of(SLOT.p, SLOT.n, &slot);
	digest_hex(&slot, hex);
	last = mem_printf("last/%s", hex);
	tmpstore_bend(s, last);
	buf_reset(&why);
	steps_why(s, SLOT, &k, &why, &parent_only, NULL);
	is_str(why.p, "first build of this step", "a torn memory is none");
	key_clear(&k);
}

int main(void)
{
	struct store *s = tmpstore_open();

	hits(s);
	content_gone(s);
	reasons(s);
	store_close(s);
	tmpstore_remove();
	return done_testing();
}
