/* base/yaml.c - see yaml.h; the only file that knows libyaml. Its events become JSON text: a mistake of values, such as a key twice, is
 * what base/jdoc.c finds.
 */
#include "base/yaml.h"

#include <dlfcn.h>
#include <yaml.h>

#include "base/mem.h"

enum { DEPTH_MAX = 64, JSON_MAX = 64 << 20 };

#define YAML_SYMBOLS(X) X(parser_initialize) X(parser_set_input_string) X(parser_parse) X(parser_delete) X(event_delete)

struct reader {
	struct {
#define X(name) __typeof__(yaml_##name) *name;
		YAML_SYMBOLS(X)
#undef X
	} lib;
	yaml_parser_t parser;
	yaml_event_t event;              /* the current one */
	bool has_event;
	const char *what;
	struct buf out;                  /* JSON */
};

static int lib_open(struct reader *r, struct err **e)
{
	void *so = dlopen("libyaml-0.so.2", RTLD_NOW | RTLD_LOCAL);

	if (!so) {
		err_set(e, ERR_HOST, "cannot load libyaml, which '%s' needs: %s", r->what, dlerror());
		err_hint(e, "install the package libyaml-0-2, or write it as JSON");
		return -1;
	}
#define X(fn)                                                                                 \
	r->lib.fn = (__typeof__(r->lib.fn))dlsym(so, "yaml_" #fn);                             \
	if (!r->lib.fn)                                                                        \
		return err_set(e, ERR_HOST, "libyaml has no function yaml_" #fn);
	YAML_SYMBOLS(X)
#undef X
	return 0;
}

static int bad(const struct reader *r, yaml_mark_t at, const char *why, struct err **e)
{
	return err_set(e, ERR_INPUT, "%s: line %zu: %s", r->what, at.line + 1, why);
}

static int next(struct reader *r, struct err **e)
{
	if (r->has_event)
		r->lib.event_delete(&r->event);
	r->has_event = r->lib.parser_parse(&r->parser, &r->event);
	if (!r->has_event)
		return bad(r, r->parser.problem_mark, r->parser.problem ? r->parser.problem : "it cannot be read", e);
	/* What makes a small text a large value, or one value another. */
	const yaml_event_t *v = &r->event;
	bool anchored = v->type == YAML_ALIAS_EVENT || (v->type == YAML_SCALAR_EVENT && (v->data.scalar.anchor || v->data.scalar.tag)) ||
			(v->type == YAML_SEQUENCE_START_EVENT && (v->data.sequence_start.anchor || v->data.sequence_start.tag)) ||
			(v->type == YAML_MAPPING_START_EVENT && (v->data.mapping_start.anchor || v->data.mapping_start.tag));
	return anchored ? bad(r, v->start_mark, "anchors, aliases and tags are not read", e) : 0;
}

static bool whole_number(struct slice s)
{
	uint64_t v;

	if (s.n && s.p[0] == '-')
		s = slice_skip(s, 1);
	return s.n && s.n <= 18 && slice_u64(s, &v) && (s.n == 1 || s.p[0] != '0');
}

/* A plain scalar is what YAML's core schema takes it for, if JSON has that. */
static void scalar(struct reader *r, bool key)
{
	static const struct {
		const char *yaml, *json;
	} words[] = {
		{ "", "null" },      { "~", "null" },     { "null", "null" },   { "Null", "null" },   { "NULL", "null" },   { "true", "true" },
		{ "True", "true" },  { "TRUE", "true" },  { "false", "false" }, { "False", "false" }, { "FALSE", "false" },
	};
	const struct slice s = { (const char *)r->event.data.scalar.value, r->event.data.scalar.length };

	if (!key && r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
		for (size_t i = 0; i < countof(words); i++) {
			if (slice_is(s, words[i].yaml)) {
				buf_str(&r->out, words[i].json);
				return;
			}
		}
		if (whole_number(s)) {
			buf_slice(&r->out, s);
			return;
		}
	}
	buf_json(&r->out, s);
}

/* The value whose event is the current one. */
static int value(struct reader *r, unsigned depth, struct err **e)
{
	bool map = r->event.type == YAML_MAPPING_START_EVENT;
	const yaml_event_type_t end = map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;

	if (r->event.type == YAML_SCALAR_EVENT) {
		scalar(r, false);
		return 0;
	}
	if (depth == DEPTH_MAX)
		return bad(r, r->event.start_mark, "it is nested too deeply", e);
	buf_char(&r->out, map ? '{' : '[');
	if (next(r, e) < 0)
		return -1;
	for (bool first = true; r->event.type != end; first = false) {
		buf_str(&r->out, first ? "" : ",");
		if (map) {
			if (r->event.type != YAML_SCALAR_EVENT)
				return bad(r, r->event.start_mark, "a key is no text", e);
			scalar(r, true);
			buf_char(&r->out, ':');
			if (next(r, e) < 0)
				return -1;
		}
		if (value(r, depth + 1, e) < 0 || next(r, e) < 0)
			return -1;
	}
	buf_char(&r->out, map ? '}' : ']');
	return 0;
}

static int documents(struct reader *r, struct err **e)
{
	if (next(r, e) < 0 || next(r, e) < 0)
		return -1;
	if (r->event.type == YAML_STREAM_END_EVENT) {
		buf_str(&r->out, "null");
		return 0;
	}
	if (next(r, e) < 0 || value(r, 0, e) < 0 || next(r, e) < 0 || next(r, e) < 0)
		return -1;
	return r->event.type == YAML_STREAM_END_EVENT ? 0 : bad(r, r->event.start_mark, "there is more than one document", e);
}

int yaml_parse(struct slice text, const char *what, struct jval **ret, struct err **e)
{
	struct reader r = { .what = what, .out = BUF_MAX(JSON_MAX) };
	int rc;

	if (lib_open(&r, e) < 0)
		return -1;
	if (!r.lib.parser_initialize(&r.parser))
		mem_out(0);
	r.lib.parser_set_input_string(&r.parser, (const unsigned char *)text.p, text.n);
	rc = documents(&r, e);
	if (rc == 0)
		rc = buf_ok(&r.out, what, e);
	if (rc == 0)
		rc = jdoc_parse(buf_view(&r.out), what, ret, e);
	if (r.has_event)
		r.lib.event_delete(&r.event);
	r.lib.parser_delete(&r.parser);
	buf_free(&r.out);
	return rc;
}
