/* cache/key.c - keys of steps.
 *
 *   key    = sha256(bytes("kiln step key"), u32 version, bytes("definition" | "content"), u32 fields, field...)
 *   field  = bytes(name), u32 is-input, digest
 *   digest of a value = sha256(u32 tag, the value's form): the tags keep NULL, text, number and digest apart (K2); of a list: 0
 * where bytes() is a u64 length and the bytes; numbers are little-endian. Any change of this layout is a new version.
 */
#include "cache/key.h"
#include "base/mem.h"

#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>

enum { KEY_VERSION = 1 };
enum tag { TAG_NULL, TAG_BYTES, TAG_NUMBER, TAG_DIGEST };

static struct slice digest_bytes(const struct digest *d)
{
	return (struct slice){ (const char *)d->b, sizeof(d->b) };
}

static void add_u32(struct hasher *h, uint32_t v)
{
	v = htole32(v);
	hasher_add(h, &v, sizeof(v));
}

static void add_bytes(struct hasher *h, struct slice s)
{
	uint64_t n = htole64(s.n);

	hasher_add(h, &n, sizeof(n));
	hasher_add(h, s.p, s.n);
}

static void tagged(enum tag tag, struct slice s, struct digest *ret)
{
	AUTO(hasher_freep) struct hasher *h = hasher_new();

	add_u32(h, tag);
	hasher_add(h, s.p, s.n);
	hasher_end(h, ret);
}

static struct key_field *field_add(struct keyer *k, const char *name, char *take_value)
{
	MEM_ROOM(k->field, k->nfield, k->cap);
	struct key_field *f = &k->field[k->nfield++];

	*f = (struct key_field){ .name = mem_str(name), .value = take_value, .has_content = true };
	return f;
}

static void value_add(struct keyer *k, const char *name, char *take_shown, enum tag tag, struct slice bytes)
{
	struct key_field *f = field_add(k, name, take_shown);

	tagged(tag, bytes, &f->def);
	f->content = f->def;
}

void key_init(struct keyer *k, const char *kind)
{
	*k = (struct keyer){ 0 };
	key_text(k, "instruction", kind);
}

void key_clear(struct keyer *k)
{
	for (size_t i = 0; i < k->nfield; i++) {
		struct key_field *f = &k->field[i];

		free(f->name);
		free(f->value);
	}
	free(k->field);
	*k = (struct keyer){ 0 };
}

void key_text(struct keyer *k, const char *name, const char *value)
{
	value_add(k, name, mem_str(value), value ? TAG_BYTES : TAG_NULL, slice_of(value));
}

void key_slice(struct keyer *k, const char *name, struct slice value)
{
	value_add(k, name, mem_strn(value.p, value.n), TAG_BYTES, value);
}

void key_u64(struct keyer *k, const char *name, uint64_t value)
{
	char *text = mem_printf("%" PRIu64, value);

	value_add(k, name, text, TAG_NUMBER, slice_of(text));
}

void key_digest(struct keyer *k, const char *name, const struct digest *d)
{
	value_add(k, name, NULL, TAG_DIGEST, digest_bytes(d));
}

void key_input(struct keyer *k, const char *name, const struct digest *def, const struct digest *content)
{
	struct key_field *f = field_add(k, name, NULL);

	f->input = true;
	f->def = *def;
	f->has_content = content != NULL;
	if (content)
		f->content = *content;
}

void key_list(struct keyer *k, const char *name, struct key_items items)
{
	struct key_field *f = field_add(k, name, NULL);

	f->list = true;
	f->items = items;
}

void key_item_put(struct buf *b, const char *name, char type, uint32_t mode, const struct digest *d)
{
	wire_put_str(b, name);
	wire_put_u32(b, (unsigned char)type);
	wire_put_u32(b, mode);
	buf_add(b, d->b, sizeof(uint64_t));
}

bool key_item_get(struct wire *w, struct key_item *ret)
{
	if (!w->rest.n)
		return false;
	ret->name = wire_get(w);
	ret->type = (char)wire_u32(w);
	ret->mode = wire_u32(w);
	ret->digest = wire_u64(w);
	return !w->bad;
}

static void fold(const struct keyer *k, const char *which, bool content, struct digest *ret)
{
	AUTO(hasher_freep) struct hasher *h = hasher_new();

	add_bytes(h, SLICE_LIT("kiln step key"));
	add_u32(h, KEY_VERSION);
	add_bytes(h, slice_of(which));
	add_u32(h, (uint32_t)k->nfield);
	for (size_t i = 0; i < k->nfield; i++) {
		const struct key_field *f = &k->field[i];
		struct digest d = content ? f->content : f->def;

		add_bytes(h, slice_of(f->name));
		add_u32(h, f->input);
		hasher_add(h, d.b, sizeof(d.b));
	}
	hasher_end(h, ret);
}

void key_end(const struct keyer *k, struct digest *def, struct digest *content, bool *has_content)
{
	bool known = true;

	for (size_t i = 0; i < k->nfield; i++)
		known = known && k->field[i].has_content;
	fold(k, "definition", false, def);
	if (content && known)
		fold(k, "content", true, content);
	if (has_content)
		*has_content = known;
}
