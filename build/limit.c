/* build/limit.c - see limit.h; the one table is limit.def. */
#include "build/limit.h"
#include "parser/flags.h"

/* What is counted must not wrap when something is added to it. */
#define VALUE_MAX (UINT64_C(1) << 60)

static const struct {
	const char *name;
	bool bytes;
	uint64_t value, most;
} table[LIMIT_COUNT] = {
#define LIMIT(id, name, bytes, value, most, about) [LIMIT_##id] = { name, bytes, value, most },
#include "build/limit.def"
#undef LIMIT
};

void limits_init(struct limit_values *l)
{
	for (size_t i = 0; i < LIMIT_COUNT; i++)
		l->v[i] = table[i].value;
}

int limits_set(struct limit_values *l, const char *text, struct err **e)
{
	const char *names[LIMIT_COUNT];
	struct slice name, value;
	uint64_t v = 0;

	if (!slice_cut(slice_of(text), '=', &name, &value))
		return err_set(e, ERR_USAGE, "--limit is '%s', not of the form NAME=VALUE", text);
	for (size_t i = 0; i < LIMIT_COUNT; i++) {
		names[i] = table[i].name;
		if (!slice_is(name, names[i]))
			continue;
		if (!(table[i].bytes ? parse_size(value, &v, NULL) == 0 : slice_u64(value, &v)) || v == 0 || v > table[i].most)
			return err_set(e, ERR_USAGE, "--limit %s is '%s', which is no %s from 1 to %ju", names[i], value.p,
				       table[i].bytes ? "size such as 64g" : "number", (uintmax_t)table[i].most);
		l->v[i] = v;
		return 0;
	}
	err_set(e, ERR_USAGE, "--limit is '%s': there is no limit of that name", text);
	const char *near = nearest_word(name, names, LIMIT_COUNT, true);
	return near ? err_hint(e, "did you mean '%s'?", near) : -1;
}

int limit_hit(const struct limit_values *l, enum limit which, struct err **e)
{
	if (!e || !*e || err_kind(*e) != ERR_LIMIT)
		return -1;
	err_hint(e, "--limit %s=%s raises it", table[which].name, table[which].bytes ? "SIZE" : "NUMBER");
	return err_wrap(e, "the limit %s is %ju", table[which].name, (uintmax_t)l->v[which]);
}
