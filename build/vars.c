/* build/vars.c - variables with an index: an open hash table of places. What is set again leaves a gap, closed when the table grows. */
#include "build/vars.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "parser/flags.h"

/* The slot of a name: its own, or the free one where it belongs. */
static uint32_t *slot_of(const struct vars *s, struct slice name)
{
	uint32_t h = 2166136261U;

	for (size_t i = 0; i < name.n; i++)
		h = (h ^ (unsigned char)name.p[i]) * 16777619U;
	for (size_t at = h & (s->nslot - 1);; at = (at + 1) & (s->nslot - 1)) {
		uint32_t *slot = &s->slot[at];

		if (!*slot || slice_is(name, s->v[*slot - 1].key))
			return slot;
	}
}

/* For one more. */
static void make_room(struct vars *s)
{
	size_t n = 0;

	MEM_ROOM(s->v, s->n, s->cap);
	if ((s->n + 1) * 2 <= s->nslot)
		return;
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].key)
			s->v[n++] = s->v[i];
	s->n = n;
	free(s->slot);
	for (s->nslot = 64; s->nslot < (n + 1) * 4;)
		s->nslot *= 2;
	s->slot = mem_array(s->nslot, sizeof(*s->slot));
	for (size_t i = 0; i < n; i++)
		*slot_of(s, slice_of(s->v[i].key)) = (uint32_t)i + 1;
}

static struct var *put(struct vars *s, struct arena *a, const char *key, const char *value, bool arg, bool move)
{
	make_room(s);
	assert(s->v);
	uint32_t *slot = slot_of(s, slice_of(key));
	struct var *old = *slot ? &s->v[*slot - 1] : NULL;
	struct var v = {
		.key = old ? old->key : arena_str(a, slice_of(key)), .value = value ? arena_str(a, slice_of(value)) : NULL, .arg = arg,
		.env = old ? old->env : 0,
	};

	if (old && (!move || *slot == s->n)) {
		*old = v;
		return old;
	}
	if (old)
		old->key = NULL;
	s->v[s->n++] = v;
	*slot = (uint32_t)s->n;
	return &s->v[s->n - 1];
}

struct var *vars_find(const struct vars *s, struct slice name)
{
	uint32_t *slot = s->nslot ? slot_of(s, name) : NULL;

	return slot && *slot ? &s->v[*slot - 1] : NULL;
}

void vars_set(struct vars *s, struct arena *a, const char *key, const char *value, bool arg)
{
	(void)put(s, a, key, value, arg, false);
}

struct var *vars_move(struct vars *s, struct arena *a, const char *key, const char *value, bool arg)
{
	return put(s, a, key, value, arg, true);
}

void vars_copy(struct vars *to, const struct vars *from)
{
	if (!from->n)
		return;
	*to = (struct vars){
		.v = mem_dup(from->v, from->n * sizeof(*from->v)), .n = from->n, .cap = from->n,
		.slot = mem_dup(from->slot, from->nslot * sizeof(*from->slot)), .nslot = from->nslot,
	};
}

void vars_clear(struct vars *s)
{
	free(s->v);
	free(s->slot);
	*s = (struct vars){ 0 };
}

enum { NEAR_LETTERS = 1 << 26 };

const char *vars_near(const struct vars *s, struct slice name, size_t *compared)
{
	size_t n = 0, letters = 0;

	if (ckd_mul(&letters, s->n, name.n) || letters > NEAR_LETTERS - *compared)
		return NULL;
	*compared += letters;

	const char **names = mem_array(s->n + 1, elem_size(names));
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].key)
			names[n++] = s->v[i].key;
	const char *near = nearest_word(name, names, n, false);
	free(names);
	return near;
}
