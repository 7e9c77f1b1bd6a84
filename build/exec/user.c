/* build/exec/user.c - look-ups in an image's /etc/passwd and /etc/group; see user.h.
 *
 *   passwd   name:x:uid:gid:text:home:shell
 *   group    name:x:gid:member,member
 */
#include "build/exec/user.h"

#include "base/mem.h"

#include <stdlib.h>

enum { FILE_BYTES = 10 << 20, LINE_BYTES = 64 << 10, ID_LAST = INT32_MAX };

/* Field i of a line, empty when there are fewer. */
static struct slice field(struct slice line, unsigned i)
{
	struct slice head = line, rest = line;

	for (;; i--) {
		bool more = slice_cut(rest, ':', &head, &rest);

		if (i == 0)
			return head;
		if (!more)
			return SLICE_NONE;
	}
}

static bool next_line(struct slice *text, struct slice *line)
{
	while (text->n > 0) {
		struct slice rest = SLICE_NONE;

		if (!slice_cut(*text, '\n', line, &rest))
			rest = SLICE_NONE;
		*text = rest;
		if (line->n > 0 && line->n <= LINE_BYTES)
			return true;
	}
	return false;
}

static bool digits(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0;
}

static bool is_id(struct slice s)
{
	return digits(s) || slice_is(s, "root");
}

/* 1: a name. */
static int number(struct slice s, const char *what, uint32_t *ret, struct err **e)
{
	uint64_t v = 0;

	if (!digits(s))
		return 1;
	if (!slice_u64(s, &v) || v > ID_LAST)
		return err_set(e, ERR_STEP, "%s id '%.*s' is larger than %d", what, SLICE_F(s), ID_LAST);
	*ret = (uint32_t)v;
	return 0;
}

static bool id_field(struct slice line, unsigned i, uint32_t *ret)
{
	uint64_t v = 0;

	if (!slice_u64(field(line, i), &v) || v > ID_LAST)
		return false;
	*ret = (uint32_t)v;
	return true;
}

/* The first well-formed passwd line with that name, or (name.p NULL) that uid. */
static bool passwd_find(struct slice text, struct slice name, uint32_t uid, struct slice *ret, uint32_t *ret_uid,
			uint32_t *ret_gid)
{
	struct slice line = SLICE_NONE;

	while (next_line(&text, &line)) {
		if (!id_field(line, 2, ret_uid) || !id_field(line, 3, ret_gid))
			continue;
		if (name.p ? slice_equal(field(line, 0), name) : *ret_uid == uid) {
			*ret = line;
			return true;
		}
	}
	return false;
}

static bool group_find(struct slice text, struct slice name, uint32_t *ret)
{
	struct slice line = SLICE_NONE;

	while (next_line(&text, &line))
		if (slice_equal(field(line, 0), name) && id_field(line, 2, ret))
			return true;
	return false;
}

static bool has_member(struct slice members, struct slice name)
{
	struct slice one = members, rest = members;

	for (bool more = true; more;) {
		more = slice_cut(rest, ',', &one, &rest);
		if (slice_equal(one, name))
			return true;
	}
	return false;
}

static int group_add(struct user *u, uint32_t gid, size_t *cap, struct err **e)
{
	for (size_t i = 0; i < u->ngroup; i++)
		if (u->group[i] == gid)
			return 0;
	if (u->ngroup >= USER_GROUPS)
		return err_set(e, ERR_STEP, "the user is in more than %d groups", USER_GROUPS);
	MEM_ROOM(u->group, u->ngroup, *cap);
	u->group[u->ngroup++] = gid;
	return 0;
}

/* The primary group, and all that list the user. */
static int groups_of(struct user *u, struct slice text, struct slice name, struct err **e)
{
	struct slice line = SLICE_NONE;
	uint32_t gid = 0;
	size_t cap = 0;

	if (group_add(u, u->gid, &cap, e) < 0)
		return -1;
	while (next_line(&text, &line))
		if (has_member(field(line, 3), name) && id_field(line, 2, &gid) && group_add(u, gid, &cap, e) < 0)
			return -1;
	return 0;
}

static int file_text(int root, const char *path, struct buf *text, struct err **e)
{
	if (at_read(root, path, text, e) < 0) {                /* missing is an empty file */
		err_wrap(e, "cannot read '%s' of the image", path);
		return err_kind_set(e, ERR_STEP);
	}
	return 0;
}

static int user_group(struct user *u, struct slice group, struct slice text, struct err **e)
{
	int rc = number(group, "group", &u->gid, e);

	if (rc == 1 && !group_find(text, group, &u->gid))
		return err_set(e, ERR_STEP, "unable to find group %.*s: no matching entries in group file", SLICE_F(group));
	return rc < 0 ? -1 : 0;
}

int user_resolve(int root, const char *user_text, struct user *ret, struct err **e)
{
	AUTO(user_clear) struct user u = { .uid = 0 };
	AUTO(buf_freep) struct buf passwd = BUF_MAX(FILE_BYTES);
	AUTO(buf_freep) struct buf groups = BUF_MAX(FILE_BYTES);
	struct slice name = slice_of(user_text), group = SLICE_NONE, line = SLICE_NONE;
	uint32_t uid = 0, gid = 0;
	bool grouped = slice_cut(name, ':', &name, &group), listed;
	int rc;

	if (!grouped)
		group = SLICE_NONE;
	/* Beside another number the word is one (spec/dockerfile.md 6.2); alone it is a name like others. */
	if (name.n == 0 || (slice_is(name, "root") && is_id(group)))
		name = SLICE_LIT("0");
	if (slice_is(group, "root") && digits(name))
		group = SLICE_LIT("0");
	rc = number(name, "user", &u.uid, e);
	if (rc < 0)
		return -1;
	/* Both numeric: no file is looked at, but for the home directory. */
	if (file_text(root, "/etc/passwd", &passwd, e) < 0 ||
	    (!(rc == 0 && grouped && digits(group)) && file_text(root, "/etc/group", &groups, e) < 0))
		return -1;

	listed = passwd_find(buf_view(&passwd), rc == 1 ? name : SLICE_NONE, u.uid, &line, &uid, &gid);
	if (rc == 1 && !listed)
		return err_set(e, ERR_STEP, "unable to find user %.*s: no matching entries in passwd file", SLICE_F(name));
	if (listed) {
		struct slice home = field(line, 5);

		u.uid = uid;
		u.gid = gid;
		u.home = home.n ? mem_strn(home.p, home.n) : NULL;
	}
	if (group.n > 0 && user_group(&u, group, buf_view(&groups), e) < 0)
		return -1;
	if (groups_of(&u, listed && group.n == 0 ? buf_view(&groups) : SLICE_NONE, field(line, 0), e) < 0)
		return -1;
	*ret = u;
	u = (struct user){ .uid = 0 };
	return 0;
}

int user_add_groups(int root, char *const *list, struct user *u, struct err **e)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(FILE_BYTES);
	size_t cap = u->ngroup;

	if (!list[0])
		return 0;
	if (file_text(root, "/etc/group", &text, e) < 0)
		return -1;
	for (size_t i = 0; list[i]; i++) {
		uint32_t gid = 0;
		int rc = number(slice_of(list[i]), "group", &gid, e);

		if (rc == 1 && !group_find(buf_view(&text), slice_of(list[i]), &gid))
			return err_set(e, ERR_STEP, "unable to find group %s: no matching entries in group file", list[i]);
		if (rc < 0 || group_add(u, gid, &cap, e) < 0)
			return -1;
	}
	return 0;
}

void user_clear(struct user *u)
{
	free(u->group);
	free(u->home);
	*u = (struct user){ .uid = 0 };
}
