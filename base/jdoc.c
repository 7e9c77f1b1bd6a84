/* base/jdoc.c - JSON documents through jansson. struct jval is never defined: it is a json_t. */
#include "base/jdoc.h"
#include "base/mem.h"

#include <inttypes.h>
#include <jansson.h>

static json_t *node(const struct jval *v)
{
	return (json_t *)v;
}

/* jansson answers NULL when memory is out; everything else it could refuse is ruled out before. */
static struct jval *made(json_t *j)
{
	if (!j)
		mem_out(0);
	return (struct jval *)j;
}

int jdoc_parse(struct slice text, const char *what, struct jval **ret, struct err **e)
{
	json_error_t why;

	if (slice_starts(text, "\xef\xbb\xbf"))
		return err_set(e, ERR_SOURCE, "%s: JSON begins with a byte order mark", what);
	json_t *j = json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES, &why);
	if (!j)
		return err_set(e, ERR_SOURCE, "%s: invalid JSON at line %d, column %d: %s", what, why.line, why.column,
			       why.text);
	*ret = (struct jval *)j;
	return 0;
}

void jval_free(struct jval *v)
{
	json_decref(node(v));
}

void jval_freep(struct jval **v)
{
	jval_free(*v);
	*v = NULL;
}

enum jtype jval_type(const struct jval *v)
{
	switch (v ? json_typeof(node(v)) : JSON_NULL) {
	case JSON_OBJECT:
		return JT_OBJ;
	case JSON_ARRAY:
		return JT_ARR;
	case JSON_STRING:
		return JT_STR;
	case JSON_INTEGER:
		return JT_INT;
	case JSON_REAL:
		return JT_REAL;
	case JSON_TRUE:
	case JSON_FALSE:
		return JT_BOOL;
	case JSON_NULL:
		break;
	}
	return JT_NULL;
}

struct jval *jval_get(const struct jval *obj, const char *name)
{
	json_t *j = json_object_get(node(obj), name);

	return json_is_null(j) ? NULL : (struct jval *)j;
}

/* The member if it has the type; 0 with *ret NULL when it is absent. */
static int member(const struct jval *obj, const char *name, enum jtype type, struct jval **ret, struct err **e)
{
	static const char *const words[] = {
		[JT_NULL] = "null",      [JT_BOOL] = "true or false", [JT_INT] = "an integer", [JT_REAL] = "a number",
		[JT_STR] = "a string",   [JT_ARR] = "an array",       [JT_OBJ] = "an object",
	};
	struct jval *v = jval_get(obj, name);

	*ret = NULL;
	if (v && jval_type(v) != type)
		return err_set(e, ERR_SOURCE, "member '%s' is %s instead of %s", name, words[jval_type(v)],
			       words[type]);
	*ret = v;
	return 0;
}

int jval_get_str(const struct jval *obj, const char *name, const char **ret, struct err **e)
{
	struct jval *v = NULL;
	int rc = member(obj, name, JT_STR, &v, e);

	*ret = jval_str(v);
	return rc;
}

int jval_get_int(const struct jval *obj, const char *name, int64_t *ret, struct err **e)
{
	struct jval *v = NULL;
	int rc = member(obj, name, JT_INT, &v, e);

	*ret = jval_int(v);
	return rc;
}

int jval_get_bool(const struct jval *obj, const char *name, bool *ret, struct err **e)
{
	struct jval *v = NULL;
	int rc = member(obj, name, JT_BOOL, &v, e);

	*ret = v && json_is_true(node(v));
	return rc;
}

int jval_get_arr(const struct jval *obj, const char *name, struct jval **ret, struct err **e)
{
	return member(obj, name, JT_ARR, ret, e);
}

int jval_get_obj(const struct jval *obj, const char *name, struct jval **ret, struct err **e)
{
	return member(obj, name, JT_OBJ, ret, e);
}

const char *jval_str(const struct jval *v)
{
	return v ? json_string_value(node(v)) : NULL;
}

int64_t jval_int(const struct jval *v)
{
	return v ? (int64_t)json_integer_value(node(v)) : 0;
}

size_t jval_len(const struct jval *v)
{
	if (jval_type(v) == JT_ARR)
		return json_array_size(node(v));
	return jval_type(v) == JT_OBJ ? json_object_size(node(v)) : 0;
}

struct jval *jval_at(const struct jval *arr, size_t i)
{
	return (struct jval *)json_array_get(node(arr), i);
}

void *jval_first(const struct jval *obj)
{
	return json_object_iter(node(obj));
}

void *jval_next(const struct jval *obj, void *it)
{
	return json_object_iter_next(node(obj), it);
}

const char *jval_key(void *it)
{
	return json_object_iter_key(it);
}

struct jval *jval_val(void *it)
{
	return (struct jval *)json_object_iter_value(it);
}

struct jval *jval_obj(void)
{
	return made(json_object());
}

struct jval *jval_arr(void)
{
	return made(json_array());
}

struct jval *jval_copy(const struct jval *v)
{
	return made(json_deep_copy(node(v)));
}

/* Valid UTF-8 as it is; a bad byte or a NUL, which strict readers refuse, becomes U+FFFD. New memory. */
static char *clean(struct slice s, size_t *ret_n)
{
	struct buf b = BUF_MAX(SIZE_MAX / 4);

	buf_add(&b, "", 0);
	while (s.n) {
		uint32_t c = 0;
		size_t n = 0;

		while (n < s.n && (signed char)s.p[n] > 0)
			n++;
		if (n) {
			buf_add(&b, s.p, n);
			s = slice_skip(s, n);
			continue;
		}
		n = slice_utf8(s, &c);
		if (n && c)
			buf_add(&b, s.p, n);
		else
			buf_str(&b, "\xef\xbf\xbd");
		s = slice_skip(s, n ? n : 1);
	}
	*ret_n = b.n;
	return buf_steal(&b);
}

static json_t *string(struct slice s)
{
	size_t n = 0;
	AUTO(mem_freep) char *text = clean(s, &n);

	return json_stringn(text, n);
}

void jval_set(struct jval *obj, const char *name, struct jval *take)
{
	size_t n = 0;
	AUTO(mem_freep) char *key = clean(slice_of(name), &n);

	if (json_object_set_new(node(obj), key, node(take)) < 0)
		mem_out(0);
}

void jval_set_str(struct jval *obj, const char *name, const char *s)
{
	jval_set_slice(obj, name, slice_of(s));
}

void jval_set_slice(struct jval *obj, const char *name, struct slice s)
{
	jval_set(obj, name, made(string(s)));
}

void jval_set_int(struct jval *obj, const char *name, int64_t v)
{
	jval_set(obj, name, made(json_integer(v)));
}

void jval_set_bool(struct jval *obj, const char *name, bool v)
{
	jval_set(obj, name, made(json_boolean(v)));
}

void jval_set_null(struct jval *obj, const char *name)
{
	jval_set(obj, name, made(json_null()));
}

void jval_del(struct jval *obj, const char *name)
{
	json_object_del(node(obj), name);
}

void jval_add(struct jval *arr, struct jval *take)
{
	if (json_array_append_new(node(arr), node(take)) < 0)
		mem_out(0);
}

void jval_put_str(struct jval *arr, size_t i, const char *s)
{
	if (json_array_set_new(node(arr), i, node(made(string(slice_of(s))))) < 0)
		mem_out(0);
}

void jval_remove(struct jval *arr, size_t i)
{
	json_array_remove(node(arr), i);
}

void jval_add_str(struct jval *arr, const char *s)
{
	jval_add(arr, made(string(slice_of(s))));
}

static int print(const char *p, size_t n, void *out)
{
	buf_add(out, p, n);
	return 0;
}

/* jansson gives whole characters. */
static int print_for_people(const char *p, size_t n, void *out)
{
	buf_json_text(out, (struct slice){ p, n });
	return 0;
}

void jval_print(const struct jval *v, struct buf *out, unsigned indent)
{
	size_t flags = JSON_ENCODE_ANY | (indent ? JSON_INDENT(indent) : JSON_COMPACT);

	if (json_dump_callback(node(v), indent ? print_for_people : print, out, flags) < 0)
		mem_out(0);
}
