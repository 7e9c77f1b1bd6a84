/* tests/unit/jdoc.c - strict reading, ordered writing (spec/oci.md 0.2). */
#include "base/jdoc.h"
#include "base/mem.h"
#include "tests/tap.h"

#include <inttypes.h>

static char *deep(size_t n)
{
	char *s = mem_alloc(2 * n + 1);

	memset(s, '[', n);
	memset(s + n, ']', n);
	s[2 * n] = '\0';
	return s;
}

static void reading(void)
{
	AUTO(mem_freep) char *at_limit = deep(2048);
	AUTO(mem_freep) char *beyond = deep(2049);
	const struct {
		const char *name, *in;
		bool good;
	} cases[] = {
		{ "an object", "{\"a\":1}", true },
		{ "an array", "[1]", true },
		{ "a duplicate member", "{\"a\":1,\"a\":2}", false },
		{ "a byte order mark", "\xef\xbb\xbf{}", false },
		{ "trailing bytes", "{} x", false },
		{ "trailing blank", "{} \n", true },
		{ "nothing", "", false },
		{ "a bare string", "\"x\"", false },
		{ "bad UTF-8", "[\"\xff\"]", false },
		{ "a NUL in a string", "[\"a\\u0000b\"]", false },
		{ "an integer too large", "[9223372036854775808]", false },
		{ "depth 2048", at_limit, true },
		{ "depth 2049", beyond, false },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		AUTO(jval_freep) struct jval *v = NULL;
		AUTO(err_freep) struct err *e = NULL;
		int rc = jdoc_parse(slice_of(cases[i].in), "manifest", &v, &e);

		ok((rc == 0) == cases[i].good && (rc == 0 || err_kind(e) == ERR_SOURCE), "M4: %s", cases[i].name);
	}
}

static void getters(void)
{
	AUTO(jval_freep) struct jval *v = NULL;
	AUTO(err_freep) struct err *e = NULL;
	const char *s = "x";
	int64_t n = 1;
	bool b = true;
	struct jval *child = NULL;

	jdoc_parse(slice_of("{\"s\":\"text\",\"n\":-3,\"f\":1e3,\"b\":true,\"z\":null,\"a\":[1,2],\"o\":{\"k\":\"v\"},\"S\":\"no\"}"),
		   "x", &v, NULL);
	ok(jval_get_str(v, "s", &s, &e) == 0 && strcmp(s, "text") == 0, "a string");
	ok(jval_get_str(v, "missing", &s, &e) == 0 && !s, "an absent string is NULL");
	ok(jval_get_str(v, "z", &s, &e) == 0 && !s, "null means absent");
	ok(jval_get_int(v, "n", &n, &e) == 0 && n == -3, "an integer");
	ok(jval_get_int(v, "missing", &n, &e) == 0 && n == 0, "an absent integer is 0");
	ok(jval_get_bool(v, "b", &b, &e) == 0 && b, "a truth value");
	ok(jval_get_arr(v, "a", &child, &e) == 0 && jval_len(child) == 2 && jval_int(jval_at(child, 1)) == 2, "an array");
	ok(jval_get_obj(v, "o", &child, &e) == 0 && jval_len(child) == 1, "an object");
	ok(jval_get_int(v, "f", &n, &e) < 0, "1e3 is not an integer");
	is_str(err_text(e), "member 'f' is a number instead of an integer", "and the message says so");
	ok(!e || err_kind(e) == ERR_SOURCE, "of kind source");
	ok(jval_at(child, 0) == NULL && jval_get(jval_get(v, "a"), "x") == NULL, "wrong containers have nothing");
}

static void writing(void)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(1000);
	AUTO(jval_freep) struct jval *v = jval_obj();
	AUTO(jval_freep) struct jval *copy = NULL;
	struct jval *a = jval_arr();

	jval_set_str(v, "z", "caf\xc3\xa9 /\"\x01");
	jval_set_int(v, "n", INT64_MIN);
	jval_set_bool(v, "yes", true);
	jval_set_null(v, "nil");
	jval_set_slice(v, "bad", SLICE_LIT("a\xff\0b"));
	jval_add_str(a, "x");
	jval_add(a, jval_obj());
	jval_set(v, "a", a);
	jval_set_str(v, "gone", "x");
	jval_del(v, "gone");
	jval_print(v, &b, 0);
	is_str(b.p,
	       "{\"z\":\"caf\xc3\xa9 /\\\"\\u0001\",\"n\":-9223372036854775808,\"yes\":true,\"nil\":null,"
	       "\"bad\":\"a\xef\xbf\xbd\xef\xbf\xbd" "b\",\"a\":[\"x\",{}]}",
	       "members stay in order, bad bytes become U+FFFD");

	copy = jval_copy(v);
	jval_set_str(v, "z", "changed");
	AUTO(buf_freep) struct buf second = BUF_MAX(1000);
	jval_print(copy, &second, 0);
	is_str(second.p, b.p, "a copy is deep and prints the same");

	AUTO(buf_freep) struct buf keys = BUF_MAX(100);
	for (void *it = jval_first(copy); it; it = jval_next(copy, it))
		buf_printf(&keys, "%s,", jval_key(it));
	is_str(keys.p, "z,n,yes,nil,bad,a,", "members are visited in order");
	buf_reset(&b);
	jval_print(a, &b, 2);
	is_str(b.p, "[\n  \"x\",\n  {}\n]", "indented");

	buf_reset(&b);
	jval_add_str(a, "\xc2\x9b" "0c\x7f\xe2\x80\xaex\xc3\xa9");
	jval_print(a, &b, 2);
	is_str(b.p, "[\n  \"x\",\n  {},\n  \"\\u009b0c\\u007f\\u202ex\xc3\xa9\"\n]", "X7: indented text does not steer a terminal");
	buf_reset(&b);
	jval_print(a, &b, 0);
	is_str(b.p, "[\"x\",{},\"\xc2\x9b" "0c\x7f\xe2\x80\xaex\xc3\xa9\"]", "compact text keeps its bytes");
}

int main(void)
{
	reading();
	getters();
	writing();
	return done_testing();
}
