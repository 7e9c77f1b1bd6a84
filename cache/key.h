/* cache/key.h - the key of a step: named fields, encoded unambiguously (spec/oci.md 5.2, spec/dockerfile.md 17, K1-K2).
 *
 * Data:   key_init, then every input that exec() reads, by the name a user would call it, then key_end. Two keys come
 *         out: the definition key (inputs by their own keys: known before anything runs) and the content key (inputs by
 *         what they turned out to be). The fields stay for steps_why().
 * Owns:   the keyer owns copies of all it was given, but of lists; key_clear().
 */
#pragma once
#include "base/digest.h"
#include "base/wire.h"

struct key_item {                        /* one of a list: a copied file */
	struct slice name;
	uint64_t digest;                 /* the first bytes of that of its content or link text */
	uint32_t mode;
	char type;                       /* entry type */
};
/* A list is key_item_put()'s bytes: in memory, or of a mapped file, whose pages are given back while it is walked through. */
struct key_items {
	struct slice bytes;
	bool mapped;
};
struct key_field {
	char *name;                      /* "working directory", "argument VER", "file conf/a.d" */
	char *value;                     /* shown in reasons; NULL when only the digest counts */
	struct digest def, content;      /* for inputs; else digest of value in both */
	bool input, has_content;
	bool list;                       /* only for reasons: another field holds a digest of all that counts of it */
	struct key_items items;
};
struct keyer {
	struct key_field *field;
	size_t nfield, cap;
};

void key_init(struct keyer *k, const char *kind);                         /* kind: "RUN", "COPY", ...: domain separation (K2) */
void key_clear(struct keyer *k);
void key_text(struct keyer *k, const char *name, const char *value);      /* NULL value is kept apart from "" */
void key_slice(struct keyer *k, const char *name, struct slice value);
void key_u64(struct keyer *k, const char *name, uint64_t value);
void key_digest(struct keyer *k, const char *name, const struct digest *d);
/* A parent or source stage: def is always known; content NULL while it is not. */
void key_input(struct keyer *k, const char *name, const struct digest *def, const struct digest *content);
/* A list field ("files"), which only serves the reason. The items are borrowed. */
void key_list(struct keyer *k, const char *name, struct key_items items);
void key_item_put(struct buf *b, const char *name, char type, uint32_t mode, const struct digest *d);
bool key_item_get(struct wire *w, struct key_item *ret);                  /* false at the end, and when it is damaged */
/* content: false in *has_content while an input's content is unknown. */
void key_end(const struct keyer *k, struct digest *def, struct digest *content, bool *has_content);
