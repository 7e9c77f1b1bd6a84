/* build/cmd/image.c - kiln images, tag, rmi, inspect, history: what is in the store. */
#include "base/clock.h"
#include "base/jdoc.h"
#include "base/mem.h"
#include "build/cmd/cmd.h"
#include "build/cmd/table.h"
#include "build/ui/human.h"
#include "layers/config.h"
#include "parser/flags.h"

struct records {
	struct name_record *v;
	size_t n;
};

static void records_clear(struct records *r)
{
	names_list_free(r->v, r->n);
}

static int list(struct app *a, struct records *ret, struct err **e)
{
	size_t bad = 0;

	if (app_store(a, e) < 0 || names_list(a->store, &ret->v, &ret->n, &bad, e) < 0)
		return -1;
	if (bad)
		report_note(a->report, REPORT_WARNING, "%zu names in the store cannot be read; see 'kiln check'", bad);
	return 0;
}

static bool is_untagged(const struct name_record *r)
{
	return name_untagged(r->name);
}

/* As people write it: repository and tag apart; "<none>" for what has no name. */
static void familiar(const struct name_record *r, struct buf *repo, struct buf *tag)
{
	struct ref ref = { 0 };

	if (is_untagged(r) || ref_parse(slice_of(r->name), &ref, NULL) < 0) {
		buf_str(repo, "<none>");
		buf_str(tag, "<none>");
		return;
	}
	buf_str(tag, ref.tag ? ref.tag : "<none>");
	/* Without its tag, the familiar form is the repository. */
	free(ref.tag);
	ref.tag = mem_str("latest");
	ref.has_digest = false;
	ref_familiar(&ref, repo);
	ref_clear(&ref);
}

/* ---- images */

struct images_opts {
	struct strs filter;
	bool all, digests, no_trunc, quiet, json;
};
static const struct opt_row images_table[] = {
	{ 'a', "all", NULL, NULL, OPT_ACCEPT, 0, NULL },
	{ 0, "digests", NULL, "show digests of manifests", OPT_BOOL, offsetof(struct images_opts, digests), NULL },
	{ 'f', "filter", "dangling=BOOL|reference=NAME", "show only these", OPT_LIST, offsetof(struct images_opts, filter), NULL },
	{ 0, "no-trunc", NULL, "show whole ids", OPT_BOOL, offsetof(struct images_opts, no_trunc), NULL },
	{ 'q', "quiet", NULL, "show ids only", OPT_BOOL, offsetof(struct images_opts, quiet), NULL },
	{ 0, "json", NULL, "print as JSON", OPT_BOOL, offsetof(struct images_opts, json), NULL },
	{ 0, "format", "TEMPLATE", NULL, OPT_ERR, 0, "use --json" },
	{ 0, NULL, NULL, NULL, OPT_BOOL, 0, NULL },
};

/* A word of the command: the whole familiar name, or the repository. */
static bool named(const struct name_record *r, const char *word)
{
	AUTO(buf_freep) struct buf repo = BUF_MAX(8192);
	AUTO(buf_freep) struct buf tag = BUF_MAX(8192);

	familiar(r, &repo, &tag);
	AUTO(mem_freep) char *both = mem_printf("%s:%s", repo.p, tag.p);
	return strcmp(word, repo.p) == 0 || strcmp(word, both) == 0 || strcmp(word, r->name) == 0;
}

static int filtered(const struct images_opts *o, const struct strs *pos, const struct name_record *r, bool *ret, struct err **e)
{
	*ret = pos->n == 0;
	for (size_t i = 0; i < pos->n; i++)
		*ret = *ret || named(r, pos->v[i]);
	for (size_t i = 0; i < o->filter.n; i++) {
		const char *f = o->filter.v[i];

		if (strncmp(f, "reference=", 10) == 0)
			*ret = *ret && named(r, f + 10);
		else if (strcmp(f, "dangling=true") == 0)
			*ret = *ret && is_untagged(r);
		else if (strcmp(f, "dangling=false") == 0)
			*ret = *ret && !is_untagged(r);
		else
			return err_set(e, ERR_USAGE, "--filter is '%s', neither dangling=true|false nor reference=NAME", f);
	}
	return 0;
}

static void set_digest(struct jval *o, const char *name, const struct digest *d)
{
	if (digest_zero(d))
		jval_set_null(o, name);
	else
		jval_set_str(o, name, digest_text(d).s);
}

static void set_text(struct jval *o, const char *name, const char *s)
{
	if (s)
		jval_set_str(o, name, s);
	else
		jval_set_null(o, name);
}

/* Of a name, or of one of its images. */
static void set_image(struct jval *o, const struct name_record *r, uint64_t size)
{
	jval_set_str(o, "platform", r->platform ? r->platform : "");
	jval_set_str(o, "created", clock_rfc3339(r->created).s);
	jval_set_int(o, "size", (int64_t)size);
}

static struct jval *platforms_json(const struct name_record *r)
{
	struct jval *list = jval_arr();
	const struct name_record *im;

	for (size_t i = 0; (im = name_image(r, i)); i++) {
		struct jval *o = jval_obj();

		set_digest(o, "id", &im->config);
		set_digest(o, "manifest", &im->manifest);
		set_image(o, im, im->size);
		jval_add(list, o);
	}
	return list;
}

/* one: of its images that is shown; NULL: the name as a whole. */
static struct jval *record_json(const struct name_record *r, const struct name_record *one)
{
	struct jval *o = jval_obj();

	jval_set_str(o, "name", r->name);
	set_digest(o, "id", one ? &one->config : name_id(r));
	set_digest(o, "manifest", one ? &one->manifest : digest_zero(&r->index) ? &r->manifest : &r->index);
	set_text(o, "digest", r->repo_digest ? r->repo_digest : digest_zero(&r->index) ? NULL : digest_text(&r->index).s);
	set_text(o, "source", r->source);
	set_image(o, one ? one : r, one ? one->size : name_size(r));
	if (r->nmore || !digest_zero(&r->index))
		jval_set(o, "platforms", platforms_json(r));
	return o;
}

/* What a registry calls it. */
static const char *shown_digest(const struct name_record *r, struct digest_text *text)
{
	const struct digest *d = digest_zero(&r->index) ? &r->manifest : &r->index;

	*text = digest_text(d);
	return r->repo_digest ? r->repo_digest : digest_zero(d) ? "<none>" : text->s;
}

static void images_row(const struct images_opts *o, const struct name_record *r, int64_t now, struct table *t)
{
	AUTO(buf_freep) struct buf repo = BUF_MAX(8192);
	AUTO(buf_freep) struct buf tag = BUF_MAX(8192);
	struct digest_text text;

	familiar(r, &repo, &tag);
	table_cell(t, "%s", repo.p);
	table_cell(t, "%s", tag.p);
	if (o->digests)
		table_cell(t, "%s", shown_digest(r, &text));
	table_cell(t, "%s", o->no_trunc ? digest_text(name_id(r)).s : digest_short(name_id(r)).s);
	/* An image without layers has no time of its own. */
	table_cell(t, "%s", r->created ? human_ago(r->created, now).s : "-");
	table_cell(t, "%s", human_bytes(name_size(r)).s);
}

static int images_main(struct app *a, void *opts, struct strs *pos, struct err **e)
{
	AUTO(records_clear) struct records all = { 0 };
	AUTO(jval_freep) struct jval *json = jval_arr();
	AUTO(buf_freep) struct buf out = BUF_MAX(64 << 20);
	struct images_opts *o = opts;
	AUTO(table_clear) struct table t = { .columns = o->digests ? 6 : 5 };

	if (list(a, &all, e) < 0)
		return -1;
	table_cell(&t, "REPOSITORY");
	table_cell(&t, "TAG");
	if (o->digests)
		table_cell(&t, "DIGEST");
	table_cell(&t, "IMAGE ID");
	table_cell(&t, "CREATED");
	table_cell(&t, "SIZE");
	for (size_t i = 0; i < all.n; i++) {
		bool show = false;

		if (filtered(o, pos, &all.v[i], &show, e) < 0)
			return -1;
		if (!show)
			continue;
		jval_add(json, record_json(&all.v[i], NULL));
		if (o->quiet)
			buf_printf(&out, "%s\n", o->no_trunc ? digest_text(name_id(&all.v[i])).s : digest_short(name_id(&all.v[i])).s);
		else
			images_row(o, &all.v[i], clock_wall(), &t);
	}
	if (o->json)
		return cmd_print_json(json, e);
	if (!o->quiet)
		table_print(&t, 0, true, &out);
	return cmd_print(&out, e);
}

const struct cmd cmd_images = {
	.name = "images",
	.alias = "list ls",
	.args = "[NAME...]",
	.help = "list the images in the store",
	.opts = images_table,
	.opts_size = sizeof(struct images_opts),
	.flags = CMD_STORE,
	.run = images_main,
};

/* ---- tag */

static int tag_main(struct app *a, void *opts, struct strs *pos, struct err **e)
{
	AUTO(name_record_clear) struct name_record r = { 0 };

	if (cmd_words(&cmd_tag, pos, 2, SIZE_MAX, e) < 0 || cmd_image(a, pos->v[0], &r, e) < 0)
		return -1;
	AUTO(mem_freep) char *old = mem_str(r.name);
	for (size_t i = 1; i < pos->n; i++) {
		AUTO(buf_freep) struct buf name = BUF_MAX(8192);
		struct ref ref = { 0 };

		if (ref_parse(slice_of(pos->v[i]), &ref, e) < 0) {
			err_kind_set(e, ERR_USAGE);
			return err_wrap(e, "'%s' cannot be the name of an image", pos->v[i]);
		}
		bool digest = ref.has_digest;
		ref_print(&ref, &name);
		ref_clear(&ref);
		if (digest)
			return err_set(e, ERR_USAGE, "'%s' cannot be given to an image: it has a digest", pos->v[i]);
		free(r.name);
		r.name = mem_str(name.p);
		if (names_put(a->store, &r, e) < 0)
			return err_wrap(e, "cannot name the image '%s'", pos->v[i]);
	}
	/* What has a name now is not listed as nameless any more. */
	if (strncmp(old, "sha256:", 7) == 0 && names_delete(a->store, old, e) < 0)
		return -1;
	return 0;
}

const struct cmd cmd_tag = {
	.name = "tag", .args = "NAME NEW-NAME...", .help = "give an image of the store more names", .flags = CMD_STORE, .run = tag_main,
};

/* ---- rmi */

struct rmi_opts {
	bool all, force, ignore;
};
static const struct opt_row rmi_table[] = {
	{ 'a', "all", NULL, "remove all names", OPT_BOOL, offsetof(struct rmi_opts, all), NULL },
	{ 'f', "force", NULL, "given an id, remove all names of that image", OPT_BOOL, offsetof(struct rmi_opts, force), NULL },
	{ 'i', "ignore", NULL, "do not mind names that are not there", OPT_BOOL, offsetof(struct rmi_opts, ignore), NULL },
	{ 0, "no-prune", NULL, NULL, OPT_ACCEPT, 0, NULL },
	{ 0, NULL, NULL, NULL, OPT_BOOL, 0, NULL },
};

static int rmi_name(struct app *a, const char *name, struct buf *out, struct err **e)
{
	int rc = names_delete(a->store, name, e);

	if (rc == 0)
		buf_printf(out, "removed %s\n", name);
	return rc < 0 ? -1 : 0;
}

/* A word that is a name removes that name; an id removes every name of its image, if that is one or --force. */
static int rmi_one(struct app *a, const struct rmi_opts *o, const char *word, struct buf *out, struct err **e)
{
	AUTO(name_record_clear) struct name_record r = { 0 };
	AUTO(records_clear) struct records all = { 0 };
	size_t names = 0;
	int rc = imagestore_find(a, word, &r, e);

	if (rc == IMAGE_MISS && o->ignore)
		return 0;
	if (rc != 0)
		return rc < 0 ? -1 : err_set(e, ERR_USAGE, "there is no image '%s' in the store", word);
	if (named(&r, word) && !is_untagged(&r))
		return rmi_name(a, r.name, out, e);
	struct ref ref = { 0 };
	if (!is_untagged(&r) && ref_parse(slice_of(word), &ref, NULL) == 0) {
		AUTO(buf_freep) struct buf text = BUF_MAX(8192);

		ref_print(&ref, &text);
		ref_clear(&ref);
		if (strcmp(text.p, r.name) == 0)
			return rmi_name(a, r.name, out, e);
	}
	if (list(a, &all, e) < 0)
		return -1;
	for (size_t i = 0; i < all.n; i++)
		names += digest_equal(name_id(&all.v[i]), name_id(&r));
	if (names == 0) {
		err_set(e, ERR_USAGE, "'%s' is one of the images of a name, which has several platforms", word);
		return err_hint(e, "remove the name: 'kiln images --json' tells which one");
	}
	if (names > 1 && !o->force) {
		err_set(e, ERR_USAGE, "the image '%s' has %zu names", word, names);
		return err_hint(e, "remove one of them, or all with -f");
	}
	for (size_t i = 0; i < all.n; i++)
		if (digest_equal(name_id(&all.v[i]), name_id(&r)) && rmi_name(a, all.v[i].name, out, e) < 0)
			return -1;
	return 0;
}

static int rmi_main(struct app *a, void *opts, struct strs *pos, struct err **e)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(16 << 20);
	AUTO(records_clear) struct records all = { 0 };
	struct rmi_opts *o = opts;

	if (cmd_words(&cmd_rmi, pos, o->all ? 0 : 1, o->all ? 0 : SIZE_MAX, e) < 0)
		return -1;
	if (o->all && list(a, &all, e) < 0)
		return -1;
	for (size_t i = 0; i < all.n; i++)
		if (rmi_name(a, all.v[i].name, &out, e) < 0)
			return -1;
	for (size_t i = 0; i < pos->n; i++)
		if (rmi_one(a, o, pos->v[i], &out, e) < 0)
			return -1;
	return cmd_print(&out, e);
}

const struct cmd cmd_rmi = {
	.name = "rmi",
	.alias = "delete",
	.args = "NAME...",
	.help = "remove names of images from the store",
	.about = "What no name needs any more stays until 'kiln prune'.",
	.opts = rmi_table,
	.opts_size = sizeof(struct rmi_opts),
	.flags = CMD_STORE,
	.run = rmi_main,
};

/* ---- inspect */

struct inspect_opts {
	const char *platform;
};
static const struct opt_row inspect_table[] = {
	{ 0, "json", NULL, NULL, OPT_ACCEPT, 0, NULL },
	PLATFORM_ROW(struct inspect_opts, "which image, when the name has several platforms"),
	{ 0, "type", "image", NULL, OPT_ACCEPT, 0, NULL },
	{ 'f', "format", "TEMPLATE", NULL, OPT_ERR, 0, "the output is JSON: take it apart with jq" },
	{ 0, NULL, NULL, NULL, OPT_BOOL, 0, NULL },
};

static struct jval *layers_json(const struct image *im)
{
	struct jval *v = jval_arr();

	for (size_t i = 0; i < im->nlayer; i++) {
		const struct image_layer *l = &im->layer[i];
		struct jval *o = jval_obj();

		jval_set_str(o, "diff_id", digest_text(&l->diff).s);
		if (digest_zero(&l->blob)) {
			jval_set_null(o, "blob");
		} else {
			jval_set_str(o, "blob", digest_text(&l->blob).s);
			jval_set_int(o, "size", l->size);
			jval_set_str(o, "media_type", l->media_type);
		}
		jval_add(v, o);
	}
	return v;
}

static int inspect_main(struct app *a, void *opts, struct strs *pos, struct err **e)
{
	AUTO(jval_freep) struct jval *all = jval_arr();
	const struct inspect_opts *o = opts;

	if (cmd_words(&cmd_inspect, pos, 1, SIZE_MAX, e) < 0)
		return -1;
	for (size_t i = 0; i < pos->n; i++) {
		AUTO(name_record_clear) struct name_record r = { 0 };
		AUTO(image_clear) struct image im = { 0 };

		const struct name_record *one = NULL;

		if (cmd_image(a, pos->v[i], &r, e) < 0 || cmd_one(a, &r, o->platform, &one, &im, e) < 0)
			return -1;
		struct jval *v = record_json(&r, one);
		jval_set(v, "layers", layers_json(&im));
		jval_set(v, "config", jval_copy(im.config));
		jval_add(all, v);
	}
	return cmd_print_json(all, e);
}

const struct cmd cmd_inspect = {
	.name = "inspect",
	.args = "NAME...",
	.help = "show config and layers of images as JSON",
	.opts = inspect_table,
	.opts_size = sizeof(struct inspect_opts),
	.flags = CMD_STORE,
	.run = inspect_main,
};

/* ---- history */

struct history_opts {
	const char *platform;
	bool json, no_trunc, quiet;
};
static const struct opt_row history_table[] = {
	PLATFORM_ROW(struct history_opts, "which image, when the name has several platforms"),
	{ 0, "json", NULL, "print as JSON", OPT_BOOL, offsetof(struct history_opts, json), NULL },
	{ 0, "no-trunc", NULL, "show whole lines", OPT_BOOL, offsetof(struct history_opts, no_trunc), NULL },
	{ 'q', "quiet", NULL, "show only the instructions", OPT_BOOL, offsetof(struct history_opts, quiet), NULL },
	{ 'H', "human", "[true|false]", NULL, OPT_ACCEPT, 0, NULL },
	{ 0, "format", "TEMPLATE", NULL, OPT_ERR, 0, "use --json" },
	{ 0, NULL, NULL, NULL, OPT_BOOL, 0, NULL },
};

struct line {
	const char *created, *by, *comment;
	bool empty;
};

static struct line line_of(const struct jval *h)
{
	struct line l = { 0 };

	jval_get_str(h, "created", &l.created, NULL);
	jval_get_str(h, "created_by", &l.by, NULL);
	jval_get_str(h, "comment", &l.comment, NULL);
	jval_get_bool(h, "empty_layer", &l.empty, NULL);
	return l;
}

static void history_row(const struct line *l, const struct image_layer *layer, struct table *t)
{
	int64_t when = 0;

	if (l->created && clock_parse_rfc3339(slice_of(l->created), &when) == 0)
		table_cell(t, "%s", human_ago(when, clock_wall()).s);
	else
		table_cell(t, "-");
	table_cell(t, "%s", l->by ? l->by : "");
	if (layer && !digest_zero(&layer->blob))
		table_cell(t, "%s", human_bytes((uint64_t)layer->size).s);
	else
		table_cell(t, "%s", layer ? "?" : "-");
}

static void history_json(const struct line *l, const struct image_layer *layer, struct jval *list_json)
{
	struct jval *o = jval_obj();

	jval_set_str(o, "created", l->created ? l->created : "");
	jval_set_str(o, "created_by", l->by ? l->by : "");
	jval_set_str(o, "comment", l->comment ? l->comment : "");
	if (layer)
		jval_set_str(o, "diff_id", digest_text(&layer->diff).s);
	else
		jval_set_null(o, "diff_id");
	if (layer && !digest_zero(&layer->blob))
		jval_set_int(o, "size", layer->size);
	else
		jval_set_null(o, "size");
	jval_add(list_json, o);
}

static int history_main(struct app *a, void *opts, struct strs *pos, struct err **e)
{
	AUTO(name_record_clear) struct name_record r = { 0 };
	AUTO(image_clear) struct image im = { 0 };
	AUTO(table_clear) struct table t = { .columns = 3, .right = 4 };
	AUTO(jval_freep) struct jval *json = jval_arr();
	AUTO(buf_freep) struct buf out = BUF_MAX(64 << 20);
	const struct name_record *one = NULL;
	struct history_opts *o = opts;

	if (cmd_words(&cmd_history, pos, 1, 1, e) < 0 || cmd_image(a, pos->v[0], &r, e) < 0 || cmd_one(a, &r, o->platform, &one, &im, e) < 0)
		return -1;
	table_cell(&t, "CREATED");
	table_cell(&t, "CREATED BY");
	table_cell(&t, "LAYER");
	size_t n = config_history_count(&im), layer = im.nlayer;
	/* Newest first; layers are counted from the top, so that a base without history takes the rest. */
	for (size_t i = n; i-- > 0;) {
		struct line l = line_of(jval_at(jval_get(im.config, "history"), i));
		const struct image_layer *own = !l.empty && layer ? &im.layer[--layer] : NULL;

		history_row(&l, own, &t);
		history_json(&l, own, json);
		if (o->quiet) {
			buf_escaped(&out, slice_of(l.by), 64 << 10);
			buf_char(&out, '\n');
		}
	}
	if (o->json)
		return cmd_print_json(json, e);
	if (!o->quiet)
		table_print(&t, o->no_trunc ? 0 : 72, true, &out);
	return cmd_print(&out, e);
}

const struct cmd cmd_history = {
	.name = "history",
	.args = "NAME",
	.help = "show how an image was made, newest first",
	.opts = history_table,
	.opts_size = sizeof(struct history_opts),
	.flags = CMD_STORE,
	.run = history_main,
};
