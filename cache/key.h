/* cache/key.h - the key of a step: named fields, encoded unambiguously (spec/oci.md 5.2, spec/dockerfile.md 17, K1-K2).
 *
 * Data:   key_init, then every input that exec() reads, by the name a user would call it, then key_end. Two keys come
 *         out: the definition key (inputs by their own keys: known before anything runs) and the content key (inputs by
 *         what they turned out to be). The fields stay for steps_why().
 * Owns:   the keyer owns copies of all it was given; key_clear().
 */
#pragma once
#include "base/digest.h"

struct key_item {                        /* one line of a list field: a copied file */
	char *name;
	struct digest digest;            /* of content or link text */
	uint32_t mode;
	char type;                       /* entry type */
};
struct key_field {
	char *name;                      /* "working directory", "argument VER", "file conf/a.d" */
	char *value;                     /* shown in reasons; NULL when only the digest counts */
	struct digest def, content;      /* for inputs; else digest of value in both */
	bool input, has_content;
	bool told;                       /* a list for reasons only */
	struct key_item *item;           /* list fields */
	size_t nitem, cap;
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
/* A list field ("files"); items in a fixed order. Valid until the next field is added. */
struct key_field *key_list(struct keyer *k, const char *name);
void key_list_add(struct key_field *list, const char *name, char type, uint32_t mode, const struct digest *d);
/* The list only serves the reason: another field holds a digest of all that counts of it. */
void key_list_told(struct key_field *list);
/* content: false in *has_content while an input's content is unknown. */
void key_end(const struct keyer *k, struct digest *def, struct digest *content, bool *has_content);
