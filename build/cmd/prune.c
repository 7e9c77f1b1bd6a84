/* build/cmd/prune.c - kiln prune, du, check: the space and the health of the store. */
#include "base/clock.h"
#include "base/jdoc.h"
#include "base/mem.h"
#include "build/cmd/cmd.h"
#include "build/cmd/table.h"
#include "build/ui/human.h"
#include "build/wait.h"
#include "build/work.h"
#include "cache/gc.h"
#include "parser/flags.h"

/* ---- prune */

struct prune_opts {
	bool all, dry_run, json;
	uint64_t max_used, min_free, reserved;
	struct strs filter;
};
#define AT(m) offsetof(struct prune_opts, m)
static const struct opt_row prune_table[] = {
	{ 'a', "all", NULL, "forget every step result and cache mount; named images stay", OPT_BOOL, AT(all), NULL },
	{ 'f', "force", NULL, NULL, OPT_ACCEPT, 0, NULL },
	{ 0, "dry-run", NULL, "tell what would go, and keep it", OPT_BOOL, AT(dry_run), NULL },
	{ 0, "filter", "FILTER", "until=24h: only what was not used for so long; type=exec.cachemount: only cache mounts; type=regular: none of them", OPT_LIST, AT(filter), NULL },
	{ 0, "max-used-space", "SIZE", "forget the oldest results, then cache mounts, until the store is at most SIZE", OPT_SIZE, AT(max_used), NULL },
	{ 0, "min-free-space", "SIZE", "forget the oldest results, then cache mounts, until SIZE is free on the disk", OPT_SIZE, AT(min_free), NULL },
	{ 0, "reserved-space", "SIZE", "never go below SIZE", OPT_SIZE, AT(reserved), NULL },
	{ 0, "keep-storage", "SIZE", NULL, OPT_ALIAS, 0, "reserved-space" },
	{ 0, "json", NULL, "print what went as JSON", OPT_BOOL, AT(json), NULL },
	{ 0, "verbose", NULL, NULL, OPT_ACCEPT, 0, NULL },
	{ 0, "volumes", NULL, NULL, OPT_ACCEPT, 0, NULL },
	{ 0, NULL, NULL, NULL, OPT_BOOL, 0, NULL },
};
#undef AT

static int filter_until(const char *f, struct gc_policy *p, struct err **e)
{
	int64_t ns = 0;

	if (parse_duration(slice_of(f + 6), &ns, e) < 0) {
		err_kind_set(e, ERR_USAGE);
		return err_wrap(e, "--filter is '%s'", f);
	}
	if (ns < 0)
		return err_set(e, ERR_USAGE, "--filter is '%s', which lies in the future", f);
	p->keep_seconds = ns / 1000000000;
	return 0;
}

struct scope {
	bool results, caches;
};

static int policy(const struct prune_opts *o, struct gc_policy *p, struct scope *s, struct err **e)
{
	bool aged = false;

	*s = (struct scope){ true, true };
	*p = (struct gc_policy){ .max_used = o->max_used, .min_free = o->min_free, .reserved = o->reserved, .all = o->all, .untagged = true, .dry_run = o->dry_run };
	for (size_t i = 0; i < o->filter.n; i++) {
		const char *f = o->filter.v[i];
		bool until = strncmp(f, "until=", 6) == 0, caches = strcmp(f, "type=exec.cachemount") == 0;

		if (!until && !caches && strcmp(f, "type=regular") != 0)
			return err_set(e, ERR_USAGE, "--filter is '%s', not until=DURATION, type=exec.cachemount or type=regular", f);
		if (until && filter_until(f, p, e) < 0)
			return -1;
		if (!until)
			*s = (struct scope){ !caches, caches };
		aged = aged || until;
	}
	/* Without a size, all that is older goes, or all cache mounts. */
	if ((aged || !s->results) && !p->max_used && !p->min_free)
		p->max_used = 1;
	return 0;
}

/* They are in nobody's way until asked for: by age, by size, or all of them. */
static int prune_caches(struct app *a, const struct gc_policy *p, const struct gc_result *r, struct caches_facts *ret, struct err **e)
{
	AUTO(buf_freep) struct buf in = BUF_MAX(8192);
	AUTO(buf_freep) struct buf out = BUF_MAX(4096);
	struct caches_job q = { store_path(a->store), p, r->left, r->free };

	if (!p->all && !p->max_used && !p->min_free)
		return 0;
	caches_job_put(&in, &q);
	if (wait_job(a, JOB_MAPPED, WORK_CACHES, buf_view(&in), NULL, 0, NULL, NULL, &out, e) < 0)
		return -1;
	return caches_facts_get(buf_view(&out), ret, e);
}

static int prune_print(const struct prune_opts *o, const struct gc_result *r, const struct caches_facts *c, struct err **e)
{
	AUTO(jval_freep) struct jval *json = jval_obj();
	AUTO(buf_freep) struct buf out = BUF_MAX(4096);

	jval_set_int(json, "bytes", (int64_t)(r->bytes + c->bytes));
	jval_set_int(json, "images", (int64_t)r->names);
	jval_set_int(json, "blobs", (int64_t)r->blobs);
	jval_set_int(json, "layers", (int64_t)r->layers);
	jval_set_int(json, "listings", (int64_t)r->listings);
	jval_set_int(json, "records", (int64_t)r->records);
	jval_set_int(json, "caches", (int64_t)c->count);
	jval_set_bool(json, "dry_run", o->dry_run);
	if (o->json)
		return cmd_print_json(json, e);
	buf_printf(&out, "%s %s: %zu untagged images, %zu step results, %zu blobs, %zu unpacked layers, %ju cache mounts\n", o->dry_run ? "would free" : "freed",
		   human_bytes(r->bytes + c->bytes).s, r->names, r->records, r->blobs, r->layers, (uintmax_t)c->count);
	return cmd_print(&out, e);
}

static int prune_main(struct app *a, void *opts, struct strs *pos, struct err **e)
{
	struct prune_opts *o = opts;
	struct gc_policy p;
	struct gc_result r = { 0 };
	struct caches_facts c = { 0 };
	struct scope s;

	if (cmd_words(&cmd_prune, pos, 0, 0, e) < 0 || policy(o, &p, &s, e) < 0 || app_store(a, e) < 0 || (s.results && gc_run(a->store, &p, &r, e) < 0) ||
	    (s.caches && prune_caches(a, &p, &r, &c, e) < 0))
		return -1;
	if ((r.trees || c.count) && !o->dry_run && imagestore_empty_trash(a, e) < 0)
		return -1;
	if (r.bad_names)
		report_note(a->report, REPORT_WARNING, "%zu names cannot be read, so nothing they might need was removed; see 'kiln check'", r.bad_names);
	return prune_print(o, &r, &c, e);
}

const struct cmd cmd_prune = {
	.name = "prune",
	.alias = "gc",
	.help = "free space in the store",
	.about = "Untagged images, and what no name, no step result within the limits and no running build needs, are removed; cache mounts only by --all, age, size or type. Nothing is asked.",
	.opts = prune_table,
	.opts_size = sizeof(struct prune_opts),
	.flags = CMD_WORK,
	.run = prune_main,
};

/* ---- du */

struct du_opts {
	bool verbose, json;
};
static const struct opt_row du_table[] = {
	{ 'v', "verbose", NULL, "show every object", OPT_BOOL, offsetof(struct du_opts, verbose), NULL },
	{ 0, "json", NULL, "print every object as JSON", OPT_BOOL, offsetof(struct du_opts, json), NULL },
	{ 0, "format", "TEMPLATE", NULL, OPT_ERR, 0, "use --json" },
	{ 0, NULL, NULL, NULL, OPT_BOOL, 0, NULL },
};

static struct jval *du_json(const struct du_row *r, size_t n)
{
	struct jval *list = jval_arr();

	for (size_t i = 0; i < n; i++) {
		struct jval *o = jval_obj();

		jval_set_str(o, "kind", r[i].kind);
		jval_set_str(o, "id", r[i].id);
		jval_set_str(o, "note", r[i].note);
		jval_set_int(o, "bytes", (int64_t)r[i].bytes);
		jval_set_bool(o, "shared", r[i].shared);
		jval_set_bool(o, "in_use", r[i].in_use);
		if (r[i].used)
			jval_set_str(o, "used", clock_rfc3339(r[i].used).s);
		else
			jval_set_null(o, "used");
		jval_add(list, o);
	}
	return list;
}

static void du_objects(const struct du_row *r, size_t n, struct buf *out)
{
	AUTO(table_clear) struct table t = { .columns = 5, .right = 1 << 2 };
	int64_t now = clock_wall();

	table_cell(&t, "KIND");
	table_cell(&t, "ID");
	table_cell(&t, "SIZE");
	table_cell(&t, "USED");
	table_cell(&t, "NOTE");
	for (size_t i = 0; i < n; i++) {
		table_cell(&t, "%s", r[i].kind);
		table_cell(&t, "%.12s", strncmp(r[i].id, "sha256:", 7) == 0 ? r[i].id + 7 : r[i].id);
		table_cell(&t, "%s", human_bytes(r[i].bytes).s);
		table_cell(&t, "%s", r[i].used ? human_ago(r[i].used, now).s : "-");
		table_cell(&t, "%s%s", r[i].note, r[i].in_use ? r[i].note[0] ? ", in use" : "in use" : "");
	}
	table_print(&t, 0, true, out);
}

/* One line per kind. The sizes of images are those of layers counted elsewhere, so they do not enter the sum. */
static void du_kinds(const struct du_row *r, size_t n, struct buf *out)
{
	static const char *const kinds[] = { "image", "layer", "blob", "listing", "record", "cache", "trash", "tmp" };
	AUTO(table_clear) struct table t = { .columns = 3, .right = 1 << 1 | 1 << 2 };
	uint64_t all = 0;

	table_cell(&t, "KIND");
	table_cell(&t, "NUMBER");
	table_cell(&t, "SIZE");
	for (size_t k = 0; k < countof(kinds); k++) {
		uint64_t sum = 0;
		size_t count = 0;

		for (size_t i = 0; i < n; i++)
			if (strcmp(r[i].kind, kinds[k]) == 0) {
				sum += r[i].bytes;
				count++;
			}
		if (k > 0)
			all += sum;
		table_cell(&t, "%s", kinds[k]);
		table_cell(&t, "%zu", count);
		table_cell(&t, "%s", human_bytes(sum).s);
	}
	table_cell(&t, "all");
	table_cell(&t, "%s", "");
	table_cell(&t, "%s", human_bytes(all).s);
	table_print(&t, 0, true, out);
}

static int du_main(struct app *a, void *opts, struct strs *pos, struct err **e)
{
	AUTO(mem_freep) struct du_row *row = NULL;
	AUTO(buf_freep) struct buf out = BUF_MAX(64 << 20);
	struct du_opts *o = opts;
	size_t n = 0;

	if (cmd_words(&cmd_du, pos, 0, 0, e) < 0 || app_store(a, e) < 0 || gc_du(a->store, &row, &n, e) < 0)
		return -1;
	if (o->json) {
		AUTO(jval_freep) struct jval *json = du_json(row, n);

		return cmd_print_json(json, e);
	}
	if (o->verbose)
		du_objects(row, n, &out);
	else
		du_kinds(row, n, &out);
	return cmd_print(&out, e);
}

const struct cmd cmd_du = {
	.name = "du",
	.alias = "df",
	.help = "show what takes space in the store",
	.opts = du_table,
	.opts_size = sizeof(struct du_opts),
	.flags = CMD_STORE,
	.run = du_main,
};

/* ---- check */

struct check_opts {
	bool repair, json;
};
static const struct opt_row check_table[] = {
	{ 0, "repair", NULL, "put damaged objects out of the way; they are made or fetched again when needed", OPT_BOOL,
	  offsetof(struct check_opts, repair), NULL },
	{ 0, "json", NULL, "print the findings as JSON", OPT_BOOL, offsetof(struct check_opts, json), NULL },
	{ 0, NULL, NULL, NULL, OPT_BOOL, 0, NULL },
};

static int check_print(const struct check_opts *o, const struct check_result *r, struct err **e)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(64 << 20);

	if (o->json) {
		AUTO(jval_freep) struct jval *json = jval_obj();
		struct jval *findings = jval_arr();
		struct slice rest = buf_view(&r->text), line = SLICE_NONE;

		while (rest.n) {
			slice_cut(rest, '\n', &line, &rest);
			AUTO(mem_freep) char *text = mem_strn(line.p, line.n);
			jval_add_str(findings, text);
			if (line.p + line.n >= r->text.p + r->text.n)
				break;
		}
		jval_set_int(json, "objects", (int64_t)r->objects);
		jval_set_int(json, "bad", (int64_t)r->bad);
		jval_set_int(json, "repaired", (int64_t)r->repaired);
		jval_set(json, "findings", findings);
		return cmd_print_json(json, e);
	}
	buf_escaped(&out, buf_view(&r->text), 32 << 20);
	buf_printf(&out, "%zu objects, %zu damaged", r->objects, r->bad);
	if (o->repair)
		buf_printf(&out, ", %zu repaired", r->repaired);
	buf_char(&out, '\n');
	return cmd_print(&out, e);
}

static int check_main(struct app *a, void *opts, struct strs *pos, struct err **e)
{
	struct check_opts *o = opts;
	struct check_result r = { 0 };

	if (cmd_words(&cmd_check, pos, 0, 0, e) < 0 || app_store(a, e) < 0 || gc_check(a->store, o->repair, &r, e) < 0)
		return -1;
	int rc = check_print(o, &r, e);
	buf_free(&r.text);
	if (rc < 0)
		return -1;
	if (r.bad > r.repaired) {
		err_set(e, ERR_HOST, "%zu objects of the store are damaged", r.bad - r.repaired);
		return o->repair ? -1 : err_hint(e, "kiln check --repair");
	}
	return 0;
}

const struct cmd cmd_check = {
	.name = "check",
	.alias = "fsck",
	.help = "verify every object of the store",
	.opts = check_table,
	.opts_size = sizeof(struct check_opts),
	.flags = CMD_STORE,
	.run = check_main,
};
