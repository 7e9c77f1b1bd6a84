/* build/sarif.c - a check as SARIF 2.1.0, for whoever shows findings beside code.
 *
 *     runs[0].tool.driver.rules    the lint table, and one for what is an error of the file
 *     runs[0].results              findings (level warning; our advice: note), then errors (level error)
 *
 * Nothing in it depends on the time, the machine or the run.
 */
#include "base/mem.h"
#include "build/check.h"

static struct jval *message(const char *text)
{
	struct jval *o = jval_obj();

	jval_set_str(o, "text", text);
	return o;
}

static const char *level_of(unsigned bits)
{
	return bits & LINT_OURS ? "note" : "warning";
}

static struct jval *rule(const char *id, const char *description, const char *url, const char *level)
{
	struct jval *o = jval_obj(), *configuration = jval_obj();

	jval_set_str(o, "id", id);
	jval_set_str(o, "name", id);
	jval_set(o, "shortDescription", message(description));
	if (url)
		jval_set_str(o, "helpUri", url);
	jval_set_str(configuration, "level", level);
	jval_set(o, "defaultConfiguration", configuration);
	return o;
}

static struct jval *rules(void)
{
	struct jval *list = jval_arr();
	char url[160];

	for (int i = 0; i < LINT_COUNT; i++)
		jval_add(list, rule(lint_table[i].name, lint_table[i].description, lint_url((enum lint_rule)i, url, sizeof(url)),
				    level_of(lint_table[i].bits)));
	jval_add(list, rule("BuildError", "The Dockerfile cannot be built", NULL, "error"));
	return list;
}

/* A path as a URI reference: what is not plain is %XX, and a colon in front of a slash would be a scheme. */
static void add_uri(struct jval *o, const char *path)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(64 << 10);

	buf_str(&b, *path == '/' ? "file://" : "");
	for (const char *p = path; *p; p++)
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("-._~/", *p))
			buf_char(&b, *p);
		else
			buf_printf(&b, "%%%02X", (unsigned char)*p);
	jval_set_str(o, "uri", b.p);
}

static struct jval *region_of(const struct check *c, const struct lint_finding *f)
{
	struct jval *o = jval_obj();
	unsigned line = f->line, column = 0, end = f->end_line, end_column = 0;

	if (f->at.to > f->at.from) {
		source_where(c->source, f->at.from, &line, &column);
		source_where(c->source, f->at.to, &end, &end_column);
	}
	jval_set_int(o, "startLine", line ? line : 1);
	if (column)
		jval_set_int(o, "startColumn", column);
	jval_set_int(o, "endLine", end ? end : 1);
	if (end_column)
		jval_set_int(o, "endColumn", end_column);
	return o;
}

static struct jval *error_region(const struct err *error)
{
	struct jval *o = jval_obj();
	unsigned line, column;
	struct slice file;

	err_where_apart(error, &file, &line, &column);
	jval_set_int(o, "startLine", line ? line : 1);
	if (column)
		jval_set_int(o, "startColumn", column);
	return o;
}

static void add_result(struct jval *list, const struct check *c, size_t index, const char *id, const char *level, const char *text,
		       struct jval *take_region)
{
	struct jval *o = jval_obj(), *locations = jval_arr(), *location = jval_obj(), *physical = jval_obj(), *artifact = jval_obj();

	add_uri(artifact, c->name);
	jval_set_int(artifact, "index", 0);
	jval_set(physical, "artifactLocation", artifact);
	jval_set(physical, "region", take_region);
	jval_set(location, "physicalLocation", physical);
	jval_add(locations, location);
	jval_set_str(o, "ruleId", id);
	jval_set_int(o, "ruleIndex", (int64_t)index);
	jval_set_str(o, "level", level);
	jval_set(o, "message", message(text));
	jval_set(o, "locations", locations);
	jval_add(list, o);
}

static struct jval *results(const struct check *c)
{
	struct jval *list = jval_arr();

	for (size_t i = 0; i < c->nfound; i++) {
		const struct lint_finding *f = &c->found[i];
		const struct lint_row *row = &lint_table[f->rule];

		add_result(list, c, f->rule, row->name, level_of(row->bits), f->detail, region_of(c, f));
	}
	for (size_t i = 0; i < c->nerror; i++) {
		AUTO(mem_freep) char *text = check_message(c->error[i]);

		add_result(list, c, LINT_COUNT, "BuildError", "error", text, error_region(c->error[i]));
	}
	return list;
}

static struct jval *artifacts(const struct check *c)
{
	struct jval *list = jval_arr(), *o = jval_obj(), *location = jval_obj();

	add_uri(location, c->name);
	jval_set(o, "location", location);
	jval_set_str(o, "sourceLanguage", "dockerfile");
	jval_add(list, o);
	return list;
}

struct jval *sarif_log(const struct check *c)
{
	struct jval *o = jval_obj(), *runs = jval_arr(), *run = jval_obj(), *tool = jval_obj(), *driver = jval_obj();

	jval_set_str(driver, "name", "kiln");
	jval_set_str(driver, "version", KILN_VERSION);
	jval_set(driver, "rules", rules());
	jval_set(tool, "driver", driver);
	jval_set(run, "tool", tool);
	/* parser/source counts characters, not the units of UTF-16. */
	jval_set_str(run, "columnKind", "unicodeCodePoints");
	jval_set(run, "artifacts", artifacts(c));
	jval_set(run, "results", results(c));
	jval_add(runs, run);
	jval_set_str(o, "$schema", "https://json.schemastore.org/sarif-2.1.0.json");
	jval_set_str(o, "version", "2.1.0");
	jval_set(o, "runs", runs);
	return o;
}
