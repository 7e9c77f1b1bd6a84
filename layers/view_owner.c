/* layers/view_owner.c - accounts of the merged tree, as --chown and WORKDIR look them up (spec/dockerfile.md 6.2): a name that
 * is not found is no error. RUN has its own, stricter rules (build/exec/user.c). */
#include "layers/listing.h"

enum { LINE_MOST = 64 << 10 };

static bool numeric(struct slice s, uint32_t *ret)
{
	uint64_t v;

	if (!slice_u64(s, &v) || v > UINT32_MAX)
		return false;
	*ret = (uint32_t)v;
	return true;
}

/* The fields 2 and 3 of the first line whose field 0 is name: ids in passwd; in group only field 2 is one. */
static bool account(struct slice text, struct slice name, bool has_group, uint32_t *id, uint32_t *group)
{
	struct slice line, part[4], rest;

	while (text.n) {
		unsigned n = 0;

		slice_cut(text, '\n', &line, &text);
		if (line.n > LINE_MOST)
			continue;
		line = slice_trim(line, " \t\r");
		for (rest = line; n < countof(part) && rest.p; n++)
			slice_cut(rest, ':', &part[n], &rest);
		if (n < (has_group ? 4U : 3U) || !slice_equal(part[0], name) || !numeric(part[2], id))
			continue;
		if (!has_group || numeric(part[3], group))
			return true;
	}
	return false;
}

struct lookup {
	const struct view *v;
	bool empty_fs;
};

static int find_name(const struct lookup *l, const char *file, struct slice name, uint32_t *id, uint32_t *group, bool *found,
		     struct err **e)
{
	struct slice text;

	*found = false;
	/* Digits are an id, never a name (spec/threats.md U1). */
	if (slice_trim(name, "0123456789").n == 0)
		return err_set(e, ERR_INPUT, "'%.*s' is not an id: it is larger than %u", SLICE_F(name), UINT32_MAX - 1);
	if (l->empty_fs) {
		err_set(e, ERR_INPUT, "invalid user index: '%.*s' cannot be looked up in an empty file system", SLICE_F(name));
		return err_hint(e, "use a number");
	}
	if (view_text(l->v, file, &text))
		*found = account(text, name, group != NULL, id, group);
	return 0;
}

int view_owner(const struct view *v, const char *spec, bool empty_fs, uint32_t *uid, uint32_t *gid, struct err **e)
{
	struct slice all = slice_of(spec), user = all, group = SLICE_NONE;
	struct lookup l = { v, empty_fs };
	bool has_group = slice_cut(all, ':', &user, &group), found;
	uint32_t u = 0, g = 0, id = 0;

	if (user.n == 0 || slice_is(user, "root"))
		u = g = 0;
	else if (numeric(user, &u))
		g = u;
	else if (find_name(&l, "etc/passwd", user, &u, &g, &found, e) < 0)
		return -1;
	else if (!found)
		u = g = 0;

	if (has_group && (group.n == 0 || slice_is(group, "root")))
		g = 0;
	else if (has_group && numeric(group, &id))
		g = id;
	else if (has_group && find_name(&l, "etc/group", group, &id, NULL, &found, e) < 0)
		return -1;
	else if (has_group && found)
		g = id;

	/* -1 is "leave it unchanged" to chown (spec/threats.md E19). */
	if (u == UINT32_MAX || g == UINT32_MAX)
		return err_set(e, ERR_INPUT, "'%s' is not an owner: 4294967295 is not an id", spec);
	*uid = u;
	*gid = g;
	return 0;
}
