/* tests/unit/yaml.c - YAML as JSON, and what is not read. */
#include "base/yaml.h"
#include "base/mem.h"
#include "tests/tap.h"

static void reading(void)
{
	static const struct {
		const char *name, *in, *out, *err;
	} cases[] = {
		{ "a mapping", "a: x\nb: y z\n", "{\"a\":\"x\",\"b\":\"y z\"}", NULL },
		{ "a nested one", "a:\n  b:\n    c: 1\nd: 2\n", "{\"a\":{\"b\":{\"c\":1}},\"d\":2}", NULL },
		{ "a sequence below its key", "a:\n- x\n- y\nb: z", "{\"a\":[\"x\",\"y\"],\"b\":\"z\"}", NULL },
		{ "an indented one", "a:\n  - x\n  -   y\n", "{\"a\":[\"x\",\"y\"]}", NULL },
		{ "mappings in it", "a:\n- b: 1\n  c: 2\n- b: 3\n", "{\"a\":[{\"b\":1,\"c\":2},{\"b\":3}]}", NULL },
		{ "their sequences", "- a:\n  - 1\n  b: 2\n", "[{\"a\":[1],\"b\":2}]", NULL },
		{ "sequences in sequences", "- - 1\n  - 2\n- - 3\n", "[[1,2],[3]]", NULL },
		{ "a dash alone", "-\n  a: 1\n-\n- 2\n", "[{\"a\":1},null,2]", NULL },
		{ "a key without a value", "a:\nb:\n", "{\"a\":null,\"b\":null}", NULL },
		{ "numbers, truth and nothing", "- 12\n- -3\n- 012\n- 0.5.0\n- true\n- False\n- ~\n- null\n- yes\n",
		  "[12,-3,\"012\",\"0.5.0\",true,false,null,null,\"yes\"]", NULL },
		{ "quotes", "a: \"x\\ty # \\\"z\\\"\"\nb: 'it''s: #'\n'c d': \"\"\n", "{\"a\":\"x\\ty # \\\"z\\\"\",\"b\":\"it's: #\",\"c d\":\"\"}", NULL },
		{ "comments", "---\n# one\na: b # two\n\n  # three\nc: d#e\n", "{\"a\":\"b\",\"c\":\"d#e\"}", NULL },
		{ "colons in text", "a: http://h:1/x\nb:c: d\n", "{\"a\":\"http://h:1/x\",\"b:c\":\"d\"}", NULL },
		{ "an apostrophe in text", "a: it's # not quoted'\n", "{\"a\":\"it's\"}", NULL },
		{ "brackets", "a: [x, 'y, z', 1, [ ], {}]\nb: {c: d, \"e\": [f], }\n", "{\"a\":[\"x\",\"y, z\",1,[],{}],\"b\":{\"c\":\"d\",\"e\":[\"f\"]}}", NULL },
		{ "carriage returns", "a: b\r\nc:\r\n- d\r\n", "{\"a\":\"b\",\"c\":[\"d\"]}", NULL },
		{ "JSON", "{\"a\": [1, {\"b\": null}]}", "{\"a\":[1,{\"b\":null}]}", NULL },
		{ "a key twice", "a: 1\na: 2\n", NULL, "a" },
		{ "a text of two lines", "a: b\n  c\n", "{\"a\":\"b c\"}", NULL },
		{ "a block text", "a: |\n  x\n  y\n", "{\"a\":\"x\\ny\\n\"}", NULL },
		{ "brackets over two lines", "a: [x,\n  y]\n", "{\"a\":[\"x\",\"y\"]}", NULL },
		{ "keys that look like values", "1: a\ntrue: b\n", "{\"1\":\"a\",\"true\":\"b\"}", NULL },
		{ "a key that is a list", "[a]: b\n", NULL, "line 1: a key is no text" },
		{ "indentation that fits nothing", "a:\n    b: 1\n  c: 2\n", NULL, "line 3: " },
		{ "more than its value", "a: 1\n  b: 2\n", NULL, "line 2: " },
		{ "a sequence after a mapping", "a: 1\n- b\n", NULL, "line 2: " },
		{ "a tab", "a:\n\tb: 1\n", NULL, "line 2: " },
		{ "an anchor", "a: &x 1\n", NULL, "line 1: anchors" },
		{ "an anchored list", "a: &x [1]\n", NULL, "line 1: anchors" },
		{ "an alias", "a: *x\n", NULL, "line 1: anchors" },
		{ "a tag", "a: !!str 1\n", NULL, "line 1: anchors" },
		{ "two documents", "a: 1\n---\nb: 1\n", NULL, "line 2: there is more than one" },
		{ "a quote without an end", "a: \"x\n", NULL, "line 2: " },
		{ "text behind a quote", "a: 'x' y\n", NULL, "line 1: " },
		{ "bytes that are no text", "a: \xff\n", NULL, "x: line " },
		{ "a bare text", "x\n", NULL, "x" },
		{ "nothing", "# nothing\n", NULL, "x" },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		AUTO(jval_freep) struct jval *v = NULL;
		AUTO(buf_freep) struct buf out = BUF_MAX(4096);
		struct err *e = NULL;
		int rc = yaml_parse(slice_of(cases[i].in), "x", &v, &e);

		if (rc == 0)
			jval_print(v, &out, 0);
		if (cases[i].out)
			is_str(rc == 0 ? out.p : err_text(e), cases[i].out, cases[i].name);
		else
			ok(rc < 0 && strstr(err_text(e), cases[i].err), "%s is refused: %s", cases[i].name, rc < 0 ? err_text(e) : out.p);
		err_free(e);
	}
}

static void depth(void)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(1 << 20);
	AUTO(buf_freep) struct buf flow = BUF_MAX(1 << 20);
	struct jval *v = NULL;

	for (int i = 0; i < 200; i++) {
		buf_str(&text, "- ");
		buf_str(&flow, i ? "[" : "a: [");
	}
	ok(yaml_parse(buf_view(&text), "x", &v, NULL) < 0 && yaml_parse(buf_view(&flow), "x", &v, NULL) < 0, "depth is bounded");
}

int main(void)
{
	reading();
	depth();
	return done_testing();
}
