/* build/opts.c - a command line by table. */
#include "build/opts.h"
#include "base/mem.h"
#include "parser/flags.h"

/* One option on the command line, as it was written. */
struct use {
	const struct opt_row *row;
	void *at;                        /* the struct of its set */
	const char *text;                /* "--tag", "-t", for messages */
};

static const struct opt_row *find_name(const struct opt_set *sets, struct slice name, void **ret_at)
{
	for (; sets->rows; sets++)
		for (const struct opt_row *r = sets->rows; r->name; r++)
			if (slice_is(name, r->name)) {
				*ret_at = sets->at;
				return r;
			}
	return NULL;
}

static const struct opt_row *find_letter(const struct opt_set *sets, char letter, void **ret_at)
{
	for (; sets->rows; sets++)
		for (const struct opt_row *r = sets->rows; r->name; r++)
			if (r->letter == letter) {
				*ret_at = sets->at;
				return r;
			}
	return NULL;
}

static int unknown(const struct opt_set *sets, struct slice name, const char *text, struct err **e)
{
	const char *names[512];
	size_t n = 0;

	for (; sets->rows; sets++)
		for (const struct opt_row *r = sets->rows; r->name && n < countof(names); r++)
			names[n++] = r->name;
	const char *near = name.n > 1 ? nearest_word(name, names, n, true) : NULL;
	err_set(e, ERR_USAGE, "unknown option '%s'", text);
	return near ? err_hint(e, "did you mean '--%s'?", near) : err_hint(e, "see --help for the options there are");
}

int opts_bool(const char *s, bool *ret)
{
	static const char *const yes[] = { "1", "t", "T", "TRUE", "true", "True" };
	static const char *const no[] = { "0", "f", "F", "FALSE", "false", "False" };

	for (size_t i = 0; i < countof(yes); i++) {
		if (strcmp(s, yes[i]) == 0 || strcmp(s, no[i]) == 0) {
			*ret = strcmp(s, yes[i]) == 0;
			return 0;
		}
	}
	return -1;
}

/* Is value one of the words in "a|b|c" (also "[a|b|c]")? The table's own copy comes back. */
static bool one_of(const char *words, const char *value)
{
	struct slice rest = slice_trim(slice_of(words), "[]"), word = SLICE_NONE;
	bool more = true;

	while (more) {
		more = slice_cut(rest, '|', &word, &rest);
		if (slice_is(word, value))
			return true;
	}
	return false;
}

static int set_word(const struct use *u, const char *value, struct err **e)
{
	const char **to = (const char **)((char *)u->at + u->row->at);
	bool yes = false;

	if (!value) {
		*to = u->row->to;
		return 0;
	}
	if (one_of(u->row->arg, value)) {
		*to = value;
		return 0;
	}
	/* An option that may stand alone was a boolean once: --pull=true, --pull=false. */
	if (u->row->to && opts_bool(value, &yes) == 0) {
		*to = yes ? u->row->to : NULL;
		return 0;
	}
	struct slice list = slice_trim(slice_of(u->row->arg), "[]");
	return err_set(e, ERR_USAGE, "%s is '%s', which is none of %.*s", u->text, value, SLICE_F(list));
}

static int set_csv(const struct use *u, const char *value, struct err **e)
{
	struct strs *list = (struct strs *)((char *)u->at + u->row->at);
	char **field = NULL;
	size_t n = 0;

	if (csv_split(slice_of(value), &field, &n, e) < 0) {
		err_kind_set(e, ERR_USAGE);
		return err_wrap(e, "%s is '%s'", u->text, value);
	}
	for (size_t i = 0; i < n; i++)
		strs_add(list, field[i]);
	csv_free(field, n);
	return 0;
}

/* Numbers, sizes, durations: the parser of the language, with our own kind. */
static int set_quantity(const struct use *u, const char *value, struct err **e)
{
	void *to = (char *)u->at + u->row->at;
	struct slice s = slice_of(value);
	uint64_t v = 0;
	int rc = 0;

	if (u->row->kind == OPT_SIZE)
		rc = parse_size(s, to, e);
	else if (u->row->kind == OPT_DURATION)
		rc = parse_duration(s, to, e);
	else if (!slice_u64(s, &v) || v > INT32_MAX)
		rc = err_set(e, ERR_USAGE, "it is not a number from 0 to %d", INT32_MAX);
	else
		*(int64_t *)to = (int64_t)v;
	if (rc < 0) {
		err_kind_set(e, ERR_USAGE);
		return err_wrap(e, "%s is '%s'", u->text, value);
	}
	return 0;
}

/* Other users read the command line of a process (spec/threats.md X4): it shows the value no longer than it takes to get here. */
static void set_hidden(char **to, const char *value)
{
	if (*to)
		mem_wipe(*to, strlen(*to));
	free(*to);
	*to = mem_str(value);
	memset((char *)value, '*', strlen(value));
}

static int set(const struct use *u, const char *value, struct strs *warnings, struct err **e)
{
	void *to = (char *)u->at + u->row->at;
	bool yes = true;

	switch (u->row->kind) {
	case OPT_BOOL:
		*(bool *)to = true;
		if (value && opts_bool(value, to) < 0)
			return err_set(e, ERR_USAGE, "%s is '%s', which is neither true nor false", u->text, value);
		return 0;
	case OPT_TRI:
		if (value && opts_bool(value, &yes) < 0)
			return err_set(e, ERR_USAGE, "%s is '%s', which is neither true nor false", u->text, value);
		*(enum tri *)to = yes ? TRI_YES : TRI_NO;
		return 0;
	case OPT_TEXT:
		*(const char **)to = value ? value : u->row->to;
		return 0;
	case OPT_HIDDEN: {
		AUTO(mem_freep) char *note = mem_printf("%s: other users of this host may have read it: prefer %s", u->text, u->row->to);

		set_hidden(to, value);
		strs_add(warnings, note);
		return 0;
	}
	case OPT_WORD:
		return set_word(u, value, e);
	case OPT_LIST:
		strs_add(to, value);
		return 0;
	case OPT_CSV:
		return set_csv(u, value, e);
	case OPT_NUMBER:
	case OPT_SIZE:
	case OPT_DURATION:
		return set_quantity(u, value, e);
	case OPT_WARN: {
		AUTO(mem_freep) char *note = mem_printf("%s has no effect: %s", u->text, u->row->to);
		strs_add(warnings, note);
		return 0;
	}
	case OPT_ERR:
		return err_set(e, ERR_USAGE, "%s is not supported: %s", u->text, u->row->to);
	case OPT_ALIAS:
	case OPT_ACCEPT:
		break;
	}
	return 0;
}

/* Follow an alias to the row that holds the value. */
static const char *resolve(const struct opt_set *sets, struct use *u, const char *value)
{
	struct slice name, fixed;

	if (u->row->kind != OPT_ALIAS)
		return value;
	const char *to = u->row->to;
	bool has_value = slice_cut(slice_of(to), '=', &name, &fixed);
	u->row = find_name(sets, name, &u->at);
	return has_value ? fixed.p : value;
}

static bool takes_value(const struct opt_row *r)
{
	return r->arg && r->arg[0] != '[';
}

static int long_option(const struct opt_set *sets, char *const *argv, size_t *i, struct strs *warnings, struct err **e)
{
	const char *text = argv[*i];
	struct slice name = slice_of(text + 2), rest = SLICE_NONE;
	bool inlined = slice_cut(name, '=', &name, &rest);
	AUTO(mem_freep) char *shown = mem_strn(text, name.n + 2);
	struct use u = { .text = shown };
	const char *value = inlined ? rest.p : NULL;

	u.row = find_name(sets, name, &u.at);
	if (!u.row)
		return unknown(sets, name, shown, e);
	if (takes_value(u.row) && !value) {
		value = argv[*i + 1];
		if (!value)
			return err_set(e, ERR_USAGE, "%s needs a value: %s", shown, u.row->arg);
		++*i;
	}
	/* --check=false: an alias for a fixed value that is not wanted. */
	if (u.row->kind == OPT_ALIAS && !u.row->arg && value && strchr(u.row->to, '=')) {
		bool wanted = false;

		if (opts_bool(value, &wanted) < 0)
			return err_set(e, ERR_USAGE, "%s is '%s', which is neither true nor false", shown, value);
		if (!wanted)
			return 0;
	}
	value = resolve(sets, &u, value);
	return set(&u, value, warnings, e);
}

/* -q, -qt name, -tname, -t=name. */
static int short_options(const struct opt_set *sets, char *const *argv, size_t *i, struct strs *warnings, struct err **e)
{
	for (const char *p = argv[*i] + 1; *p;) {
		char shown[3] = { '-', *p, '\0' };
		struct use u = { .text = shown };
		const char *value = NULL;

		u.row = find_letter(sets, *p, &u.at);
		if (!u.row)
			return unknown(sets, (struct slice){ p, 1 }, shown, e);
		p++;
		if (takes_value(u.row)) {
			value = *p == '=' ? p + 1 : *p ? p : argv[*i + 1];
			if (!value)
				return err_set(e, ERR_USAGE, "%s needs a value: %s", shown, u.row->arg);
			if (!*p)
				++*i;
			p = "";
		} else if (*p == '=') {
			value = p + 1;
			p = "";
		}
		value = resolve(sets, &u, value);
		if (set(&u, value, warnings, e) < 0)
			return -1;
	}
	return 0;
}

int opts_parse(const struct opt_set *sets, char *const *argv, struct strs *pos, struct strs *warnings, size_t *stop, struct err **e)
{
	bool options = true;
	size_t i = 0;

	for (; argv[i]; i++) {
		const char *word = argv[i];
		int rc = 0;

		if (options && strcmp(word, "--") == 0) {
			options = false;
			continue;
		}
		if (!options || word[0] != '-' || word[1] == '\0') {
			if (stop)
				break;
			strs_add(pos, word);
			continue;
		}
		if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
			return OPTS_HELP;
		if (word[1] == '-')
			rc = long_option(sets, argv, &i, warnings, e);
		else
			rc = short_options(sets, argv, &i, warnings, e);
		if (rc < 0)
			return -1;
	}
	if (stop)
		*stop = i;
	return 0;
}

void opts_clear(const struct opt_set *sets)
{
	for (; sets->rows; sets++)
		for (const struct opt_row *r = sets->rows; r->name; r++)
			if (r->kind == OPT_LIST || r->kind == OPT_CSV) {
				strs_clear((struct strs *)((char *)sets->at + r->at));
			} else if (r->kind == OPT_HIDDEN) {
				char **secret = (char **)((char *)sets->at + r->at);

				if (*secret)
					mem_wipe(*secret, strlen(*secret));
				free(*secret);
				*secret = NULL;
			}
}

/* ---- help and completion */

static int row_cmp(const void *a, const void *b)
{
	const struct opt_row *x = *(const struct opt_row *const *)a, *y = *(const struct opt_row *const *)b;

	return strcmp(x->name, y->name);
}

/* The rows that help lists, sorted; new memory. */
static const struct opt_row **listed(const struct opt_set *sets, size_t *ret_n)
{
	size_t n = 0, all = 0;

	for (const struct opt_set *s = sets; s->rows; s++)
		for (const struct opt_row *r = s->rows; r->name; r++)
			all++;
	const struct opt_row **v = mem_array(all + 1, sizeof(const struct opt_row *));
	for (; sets->rows; sets++)
		for (const struct opt_row *r = sets->rows; r->name; r++)
			if (r->help)
				v[n++] = r;
	qsort(v, n, sizeof(const struct opt_row *), row_cmp);
	*ret_n = n;
	return v;
}

static void row_head(const struct opt_row *r, struct buf *out)
{
	if (r->letter)
		buf_printf(out, "-%c, --%s", r->letter, r->name);
	else
		buf_printf(out, "    --%s", r->name);
	if (r->arg && r->arg[0] == '[')
		buf_printf(out, "[=%s", r->arg + 1);
	else if (r->arg)
		buf_printf(out, " %s", r->arg);
}

void opts_help(const struct opt_set *sets, struct buf *out)
{
	enum { COLUMN = 34 };
	size_t n = 0;
	const struct opt_row **v = listed(sets, &n);

	for (size_t i = 0; i < n; i++) {
		AUTO(buf_freep) struct buf head = BUF_MAX(512);

		row_head(v[i], &head);
		buf_printf(out, "  %-*s  %s\n", COLUMN, head.p, v[i]->help);
	}
	free(v);
}

/* The option that `before` names and that takes its value from the next word. */
static const struct opt_row *pending(const struct opt_set *sets, const char *before)
{
	void *at = NULL;
	const struct opt_row *r = NULL;

	if (!before || before[0] != '-' || !before[1])
		return NULL;
	if (before[1] == '-')
		r = find_name(sets, slice_of(before + 2), &at);
	else
		r = find_letter(sets, before[strlen(before) - 1], &at);
	return r && takes_value(r) ? r : NULL;
}

static void value_words(const struct opt_row *r, const char *prefix, const char *word, struct buf *out)
{
	struct slice rest = slice_trim(slice_of(r->arg), "[]"), item = SLICE_NONE;
	bool more = true;

	while (more) {
		more = slice_cut(rest, '|', &item, &rest);
		if (slice_starts(item, word))
			buf_printf(out, "%s%.*s\n", prefix, SLICE_F(item));
	}
}

static void option_names(const struct opt_set *sets, const char *word, struct buf *out)
{
	size_t n = 0;
	const struct opt_row **v = listed(sets, &n);

	for (size_t i = 0; i < n; i++) {
		AUTO(mem_freep) char *name = mem_printf("--%s", v[i]->name);

		if (slice_starts(slice_of(name), word))
			buf_printf(out, "%s\t%s\n", name, v[i]->help);
	}
	free(v);
}

bool opts_complete(const struct opt_set *sets, const char *before, const char *word, struct buf *out, bool *wants_file)
{
	const struct opt_row *r = pending(sets, before);
	struct slice name, value;

	*wants_file = false;
	if (r) {
		if (r->kind == OPT_WORD)
			value_words(r, "", word, out);
		*wants_file = r->kind != OPT_WORD;
		return true;
	}
	if (word[0] != '-')
		return false;
	if (strncmp(word, "--", 2) == 0 && slice_cut(slice_of(word + 2), '=', &name, &value)) {
		void *at = NULL;
		AUTO(mem_freep) char *prefix = mem_strn(word, name.n + 3);

		r = find_name(sets, name, &at);
		if (r && r->kind == OPT_WORD)
			value_words(r, prefix, value.p, out);
		*wants_file = r && r->arg && r->kind != OPT_WORD;
		return true;
	}
	option_names(sets, word, out);
	return true;
}
