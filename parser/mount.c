/* parser/mount.c - CSV records (Appendix G) and the fields of RUN --mount (spec/dockerfile.md 8.6). */
#include "parser/flags.h"

#include "base/mem.h"

#include <stdlib.h>

/* ---- CSV ---- */

static int csv_field(struct slice text, size_t *at, struct buf *out, struct err **e)
{
	bool quoted = *at < text.n && text.p[*at] == '"';

	*at += quoted;
	for (; *at < text.n; (*at)++) {
		char c = text.p[*at];

		if (!quoted && c == ',')
			return 0;
		if (c == '\n' || c == '\r')
			return err_set(e, ERR_INPUT, "failed to parse csv: a line break inside the record");
		if (c == '"' && !quoted)
			return err_set(e, ERR_INPUT, "failed to parse csv: bare \" in an unquoted field");
		if (c == '"') {
			(*at)++;
			if (*at == text.n || text.p[*at] == ',')
				return 0;
			if (text.p[*at] != '"')
				return err_set(e, ERR_INPUT, "failed to parse csv: only ',' may follow a closing \"");
		}
		buf_char(out, c);
	}
	return quoted ? err_set(e, ERR_INPUT, "failed to parse csv: a quoted field has no closing \"") : 0;
}

int csv_split(struct slice text, char ***ret, size_t *n, struct err **e)
{
	char **v = NULL;
	size_t count = 0, cap = 0, at = 0;

	for (;;) {
		AUTO(buf_freep) struct buf field = BUF_MAX(1 << 20);

		buf_str(&field, "");
		if (csv_field(text, &at, &field, e) < 0 || buf_ok(&field, "csv field", e) < 0) {
			csv_free(v, count);
			return err_hint(e, "quote a field that holds commas as a whole: '\"target=/a,b\"'");
		}
		MEM_ROOM(v, count, cap);
		v[count++] = buf_steal(&field);
		if (at >= text.n)
			break;
		at++;                    /* the comma; a field follows even when it is empty */
	}
	*ret = v;
	*n = count;
	return 0;
}

void csv_free(char **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i]);
	free(v);
}

struct record {
	char **v;
	size_t n;
};

static void record_freep(struct record *r)
{
	csv_free(r->v, r->n);
}

/* ---- fields ---- */

enum key {
	KEY_TYPE, KEY_TARGET, KEY_SOURCE, KEY_FROM, KEY_READONLY, KEY_READWRITE, KEY_ID, KEY_SHARING, KEY_SIZE, KEY_MODE,
	KEY_UID, KEY_GID, KEY_REQUIRED, KEY_ENV,
};
static const struct { const char *name; enum key key; } keys[] = {
	{ "type", KEY_TYPE },
	{ "from", KEY_FROM },
	{ "source", KEY_SOURCE },
	{ "src", KEY_SOURCE },
	{ "target", KEY_TARGET },
	{ "dst", KEY_TARGET },
	{ "destination", KEY_TARGET },
	{ "readonly", KEY_READONLY },
	{ "ro", KEY_READONLY },
	{ "readwrite", KEY_READWRITE },
	{ "rw", KEY_READWRITE },
	{ "id", KEY_ID },
	{ "sharing", KEY_SHARING },
	{ "required", KEY_REQUIRED },
	{ "size", KEY_SIZE },
	{ "mode", KEY_MODE },
	{ "uid", KEY_UID },
	{ "gid", KEY_GID },
	{ "env", KEY_ENV },
};
static const char *const type_names[] = {
	[MOUNT_BIND] = "bind", [MOUNT_CACHE] = "cache", [MOUNT_TMPFS] = "tmpfs", [MOUNT_SECRET] = "secret",
	[MOUNT_SSH] = "ssh",
};
static const char *const sharing_names[] = {
	[SHARING_SHARED] = "shared", [SHARING_PRIVATE] = "private", [SHARING_LOCKED] = "locked",
};

/* What was written, before the defaults of the type are known. */
struct seen {
	struct mount_opts m;
	bool ro_set, sharing_set;
};

static int find_name(const char *const *names, size_t n, const char *word, bool nocase)
{
	for (size_t i = 0; i < n; i++)
		if (nocase ? slice_is_nocase(slice_of(word), names[i]) : strcmp(word, names[i]) == 0)
			return (int)i;
	return -1;
}

static int suggest(struct err **e, const char *word, const char *const *names, size_t n)
{
	const char *near = nearest_word(slice_of(word), names, n, false);

	return near ? err_hint(e, "%s", near) : -1;
}

static int unknown_key(const char *key, const char *field, struct err **e)
{
	const char *names[countof(keys)] = { NULL };

	for (size_t i = 0; i < countof(keys); i++)
		names[i] = keys[i].name;
	err_set(e, ERR_INPUT, "unexpected key '%s' in '%s'", key, field);
	return suggest(e, key, names, countof(keys));
}

static int parse_bool(const char *key, const char *value, bool *ret, struct err **e)
{
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };

	for (size_t i = 0; i < countof(yes); i++)
		if (strcmp(value, yes[i]) == 0 || strcmp(value, no[i]) == 0) {
			*ret = strcmp(value, yes[i]) == 0;
			return 0;
		}
	err_set(e, ERR_INPUT, "invalid value for %s: %s", key, value);
	return err_hint(e, "true or false");
}

static int parse_number(const char *key, const char *value, bool octal, bool *has, uint32_t *ret, struct err **e)
{
	uint64_t n = 0;
	bool fine = octal ? slice_octal(slice_of(value), UINT32_MAX, &n) : slice_u64(slice_of(value), &n);

	if (!fine || n > UINT32_MAX) {
		err_set(e, ERR_INPUT, "invalid value %s for %s", value, key);
		return err_hint(e, octal ? "an octal number such as 0755" : "a decimal number");
	}
	*has = true;
	*ret = (uint32_t)n;
	return 0;
}

static void put(char **field, const char *value)
{
	free(*field);
	*field = mem_str(value);
}

static int set_type(struct seen *s, const char *value, struct err **e)
{
	int i = find_name(type_names, countof(type_names), value, true);

	if (i < 0) {
		err_set(e, ERR_INPUT, "unsupported mount type '%s'", value);
		return suggest(e, value, type_names, countof(type_names));
	}
	s->m.type = (enum mount_type)i;
	return 0;
}

static int set_sharing(struct seen *s, const char *value, struct err **e)
{
	int i = find_name(sharing_names, countof(sharing_names), value, false);

	if (i < 0) {
		err_set(e, ERR_INPUT, "unsupported sharing value '%s'", value);
		return suggest(e, value, sharing_names, countof(sharing_names));
	}
	s->m.sharing = (enum mount_sharing)i;
	s->sharing_set = true;
	return 0;
}

/* required and size look at the type seen so far, so they have to come behind it. */
static int wrong_for_type(const struct seen *s, const char *key, struct err **e)
{
	err_set(e, ERR_INPUT, "unexpected key '%s' for mount type '%s'", key, type_names[s->m.type]);
	return err_hint(e, "write type=... in front of it");
}

static bool may_be_required(const struct seen *s)
{
	return s->m.type == MOUNT_SECRET || s->m.type == MOUNT_SSH;
}

static int set_size(struct seen *s, const char *value, struct err **e)
{
	if (s->m.type != MOUNT_TMPFS)
		return wrong_for_type(s, "size", e);
	if (parse_size(slice_of(value), &s->m.size, e) < 0)
		return err_wrap(e, "invalid value for size: %s", value);
	return 0;
}

static int set_value(struct seen *s, enum key key, const char *name, const char *value, struct err **e)
{
	struct mount_opts *m = &s->m;
	bool flag = false;

	switch (key) {
	case KEY_TYPE:
		return set_type(s, value, e);
	case KEY_TARGET:
		put(&m->target, value);
		return 0;
	case KEY_SOURCE:
		put(&m->source, value);
		return 0;
	case KEY_FROM:
		put(&m->from, value);
		return 0;
	case KEY_ID:
		put(&m->id, value);
		return 0;
	case KEY_ENV:
		put(&m->env, value);
		return 0;
	case KEY_READONLY:
	case KEY_READWRITE:
		if (parse_bool(name, value, &flag, e) < 0)
			return -1;
		m->readonly = key == KEY_READONLY ? flag : !flag;
		s->ro_set = true;
		return 0;
	case KEY_REQUIRED:
		return may_be_required(s) ? parse_bool(name, value, &m->required, e) : wrong_for_type(s, name, e);
	case KEY_SHARING:
		return set_sharing(s, value, e);
	case KEY_SIZE:
		return set_size(s, value, e);
	case KEY_MODE:
		return parse_number("mode", value, true, &m->has_mode, &m->mode, e);
	case KEY_UID:
		return parse_number("uid", value, false, &m->has_uid, &m->uid, e);
	case KEY_GID:
		return parse_number("gid", value, false, &m->has_gid, &m->gid, e);
	}
	return 0;
}

static int check_from(const char *value, struct err **e)
{
	const char *dollar = strchr(value, '$');

	if (!dollar || !dollar[1])
		return 0;
	err_set(e, ERR_INPUT, "'from' doesn't support variable expansion");
	return err_hint(e, "define a stage with 'FROM ... AS name' that uses the variable, and name that stage here");
}

/* The row of a field's key, whatever its letter case; NULL for none. */
static int find_key(const char *name)
{
	for (size_t i = 0; i < countof(keys); i++)
		if (slice_is_nocase(slice_of(name), keys[i].name))
			return (int)i;
	return -1;
}

static int set_bare(struct seen *s, const char *field, struct err **e)
{
	int i = find_key(field);

	if (i >= 0 && (keys[i].key == KEY_READONLY || keys[i].key == KEY_READWRITE || keys[i].key == KEY_REQUIRED))
		return set_value(s, keys[i].key, keys[i].name, "true", e);
	err_set(e, ERR_INPUT, "invalid field '%s' must be a key=value pair", field);
	return *field ? -1 : err_hint(e, "remove the empty field: a comma too many");
}

static int set_field(struct seen *s, const char *field, mount_expand *expand, void *arg, struct err **e)
{
	const char *equals = strchr(field, '=');

	if (!equals)
		return set_bare(s, field, e);

	AUTO(mem_freep) char *name = mem_strn(field, (size_t)(equals - field));
	int i = find_key(name);

	if (i < 0)
		return unknown_key(name, field, e);
	if (keys[i].key == KEY_FROM)
		return check_from(equals + 1, e) < 0 ? -1 : set_value(s, KEY_FROM, "from", equals + 1, e);

	AUTO(mem_freep) char *value = expand(arg, equals + 1, e);

	return value ? set_value(s, keys[i].key, keys[i].name, value, e) : -1;
}

static bool has_owner(const struct mount_opts *m)
{
	return m->has_mode || m->has_uid || m->has_gid;
}

static int check_secret(const struct seen *s, struct err **e)
{
	const struct mount_opts *m = &s->m;

	if (m->from)
		return err_set(e, ERR_INPUT, "secret mount should not have a from");
	if (s->sharing_set)
		return err_set(e, ERR_INPUT, "secret mount should not define sharing");
	if (m->source && m->id)
		return err_set(e, ERR_INPUT, "both source and id can't be set");
	if (!m->source && !m->id && !m->target)
		return err_set(e, ERR_INPUT, "invalid secret mount. one of source, target required");
	return 0;
}

/* What a type does not take. */
static int check_type(const struct seen *s, struct err **e)
{
	const struct mount_opts *m = &s->m;
	const char *type = type_names[m->type];

	if (m->type == MOUNT_SECRET)
		return check_secret(s, e);
	if (s->sharing_set && m->type != MOUNT_CACHE)
		return err_set(e, ERR_INPUT, "invalid cache sharing set for %s mount", type);
	if ((m->type == MOUNT_BIND || m->type == MOUNT_TMPFS) && has_owner(m))
		return err_set(e, ERR_INPUT, "%s not allowed for \"%s\" type mounts",
			       m->has_mode ? "mode" : m->has_uid ? "uid" : "gid", type);
	if (m->type == MOUNT_SSH && m->source)
		return err_set(e, ERR_INPUT, "ssh does not support source");
	return 0;
}

static void seen_freep(struct seen *s)
{
	mount_opts_clear(&s->m);
}

int mount_parse(const char *spec, mount_expand *expand, void *arg, struct mount_opts *ret, struct err **e)
{
	AUTO(record_freep) struct record fields = { 0 };
	AUTO(seen_freep) struct seen s = { .m.type = MOUNT_BIND };

	if (csv_split(slice_of(spec), &fields.v, &fields.n, e) < 0)
		return err_wrap(e, "failed to parse csv mounts");
	for (size_t i = 0; i < fields.n; i++)
		if (set_field(&s, fields.v[i], expand, arg, e) < 0)
			return err_part_set(e, i);
	if (check_type(&s, e) < 0)
		return -1;
	if (!s.ro_set)
		s.m.readonly = s.m.type != MOUNT_CACHE && s.m.type != MOUNT_TMPFS;
	*ret = s.m;
	s.m = (struct mount_opts){ 0 };
	return 0;
}

int mount_from(const char *spec, char **ret_from, struct err **e)
{
	AUTO(record_freep) struct record fields = { 0 };
	AUTO(mem_freep) char *from = NULL;

	if (csv_split(slice_of(spec), &fields.v, &fields.n, e) < 0)
		return err_wrap(e, "failed to parse csv mounts");
	for (size_t i = 0; i < fields.n; i++) {
		struct slice key = SLICE_NONE, value = SLICE_NONE;

		if (!slice_cut(slice_of(fields.v[i]), '=', &key, &value) || !slice_is_nocase(key, "from"))
			continue;
		if (check_from(value.p, e) < 0)
			return -1;
		put(&from, value.p);
	}
	*ret_from = take(&from);
	return 0;
}

/* ---- places ---- */

/* Commas part the fields unless something is quoted or escaped: then the value is not what the file holds, or holds a ". */
static bool plain(const struct source *s, const struct flag *f)
{
	struct slice file = source_text(s), value = slice_of(f->value);

	return value.p && f->value_at.to <= file.n && f->value_at.from + value.n == f->value_at.to && !memchr(value.p, '"', value.n) &&
	       memcmp(file.p + f->value_at.from, value.p, value.n) == 0;
}

struct span mount_field_at(const struct source *s, const struct flag *f, size_t i)
{
	struct slice field = SLICE_NONE, rest = slice_of(f->value);
	bool more = true;

	if (!plain(s, f))
		return f->value_at;
	for (size_t k = 0; more && k <= i; k++)
		more = slice_cut(rest, ',', &field, &rest);
	uint32_t from = f->value_at.from + (uint32_t)(field.p - f->value);
	return field.n ? (struct span){ from, from + (uint32_t)field.n } : f->value_at;
}

struct span mount_value_at(const struct source *s, const struct flag *f, const char *key)
{
	struct slice field, name, value, rest = slice_of(f->value);
	struct span at = f->value_at;
	int row = find_key(key);

	for (bool more = plain(s, f); more;) {
		more = slice_cut(rest, ',', &field, &rest);
		if (!slice_cut(field, '=', &name, &value) || !value.n)
			continue;
		AUTO(mem_freep) char *written = mem_strn(name.p, name.n);
		int have = find_key(written);
		if (have < 0 || keys[have].key != keys[row].key)
			continue;
		at.from = f->value_at.from + (uint32_t)(value.p - f->value);
		at.to = at.from + (uint32_t)value.n;
	}
	return at;
}

void mount_opts_clear(struct mount_opts *m)
{
	free(m->target);
	free(m->source);
	free(m->from);
	free(m->id);
	free(m->env);
	*m = (struct mount_opts){ 0 };
}
