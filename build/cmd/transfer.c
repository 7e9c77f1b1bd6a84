/* build/cmd/transfer.c - kiln pull, push, save, load: images between the store, registries and files. */
#include "base/fd.h"
#include "base/jdoc.h"
#include "base/mem.h"
#include "build/cmd/cmd.h"
#include "build/ui/ui.h"
#include "layers/comp.h"

#include <fcntl.h>
#include <unistd.h>

static int parse_ref(const char *text, struct ref *ret, struct err **e)
{
	if (ref_parse(slice_of(text), ret, e) < 0) {
		err_kind_set(e, ERR_USAGE);
		return err_wrap(e, "'%s' is not the name of an image", text);
	}
	return 0;
}

/* The wanted platform: as given, else the host's. */
static int wanted(const char *text, struct platform *ret, struct err **e)
{
	if (text)
		return platform_parse(slice_of(text), ret, e);
	platform_host(ret);
	return 0;
}

/* ---- pull */

struct pull_opts {
	const char *platform, *policy;
	bool quiet, json;
	struct net_opts net;
};
static const struct opt_row pull_table[] = {
	{ 0, "platform", "OS/ARCH[/VARIANT]", "platform of the image", OPT_TEXT, offsetof(struct pull_opts, platform), NULL },
	{ 0, "policy", "always|missing|newer|never", "when to ask the registry", OPT_WORD, offsetof(struct pull_opts, policy), NULL },
	{ 'q', "quiet", NULL, "show no progress", OPT_BOOL, offsetof(struct pull_opts, quiet), NULL },
	{ 0, "json", NULL, "print what was pulled as JSON", OPT_BOOL, offsetof(struct pull_opts, json), NULL },
	{ 'a', "all-tags", NULL, NULL, OPT_ERR, 0, "name the tags" },
	{ 0, "disable-content-trust", "[true|false]", NULL, OPT_ACCEPT, 0, NULL },
	NET_ROWS(struct pull_opts),
	{ 0, NULL, NULL, NULL, OPT_BOOL, 0, NULL },
};

static enum pull_mode policy(const char *word)
{
	if (!word || strcmp(word, "always") == 0)
		return PULL_ALWAYS;
	return strcmp(word, "missing") == 0 ? PULL_MISSING : strcmp(word, "newer") == 0 ? PULL_NEWER : PULL_NEVER;
}

static void pulled_json(const char *name, const struct pulled *p, struct jval *list)
{
	struct jval *o = jval_obj();

	jval_set_str(o, "name", name);
	jval_set_str(o, "id", digest_text(&p->config).s);
	jval_set_str(o, "digest", digest_text(&p->root).s);
	jval_set_str(o, "manifest", digest_text(&p->manifest).s);
	jval_set_str(o, "platform", platform_text(&p->image.platform).s);
	jval_add(list, o);
}

static int pull_one(struct app *a, struct pull_opts *o, const char *text, const struct platform *p, struct jval *json, struct buf *out,
		    struct err **e)
{
	AUTO(ref_clear) struct ref ref = { 0 };
	AUTO(pulled_clear) struct pulled pulled = { 0 };
	AUTO(buf_freep) struct buf name = BUF_MAX(8192);
	struct transfer_opts t = cmd_transfer(a, &o->net, ERR_SOURCE);

	if (parse_ref(text, &ref, e) < 0)
		return -1;
	if (imagestore_pull(a, &ref, p, policy(o->policy), &t, false, &pulled, e) < 0)
		return policy(o->policy) == PULL_NEVER ? err_hint(e, "to ask the registry, leave out --policy=never") : -1;
	if (pulled.fresh && (store_sync_start(a->store, e) < 0 || imagestore_keep(a, &ref, &pulled, e) < 0))
		return -1;
	ref_print(&ref, &name);
	pulled_json(name.p, &pulled, json);
	buf_printf(out, "%s\n", digest_text(&pulled.config).s);
	return 0;
}

static int pull_main(struct app *a, void *opts, struct strs *pos, struct err **e)
{
	AUTO(jval_freep) struct jval *json = jval_arr();
	AUTO(buf_freep) struct buf out = BUF_MAX(1 << 20);
	struct pull_opts *o = opts;
	struct platform p;

	if (cmd_words(&cmd_pull, pos, 1, SIZE_MAX, e) < 0 || wanted(o->platform, &p, e) < 0)
		return -1;
	if (o->quiet)
		ui_quiet(a->report);
	for (size_t i = 0; i < pos->n; i++)
		if (pull_one(a, o, pos->v[i], &p, json, &out, e) < 0)
			return -1;
	return o->json ? cmd_print_json(json, e) : cmd_print(&out, e);
}

const struct cmd cmd_pull = {
	.name = "pull",
	.args = "NAME...",
	.help = "fetch images from registries into the store",
	.about = "The image ids are printed.",
	.opts = pull_table,
	.opts_size = sizeof(struct pull_opts),
	.flags = CMD_WORK,
	.run = pull_main,
};

/* ---- push */

struct push_opts {
	const char *platform, *comp, *digestfile, *format;
	int64_t level;
	bool force_comp, quiet, json;
	struct net_opts net;
};
static const struct push_opts push_defaults = { .level = -1 };
static const struct opt_row push_table[] = {
	PLATFORM_ROW(struct push_opts, "send only the image for that platform"),
	{ 0, "compression", "zstd|gzip|uncompressed", "how layers without a blob are compressed", OPT_WORD, offsetof(struct push_opts, comp), NULL },
	{ 0, "compression-format", "zstd|gzip|uncompressed", NULL, OPT_ALIAS, 0, "compression" },
	{ 0, "compression-level", "N", "level of the compression", OPT_NUMBER, offsetof(struct push_opts, level), NULL },
	{ 0, "force-compression", NULL, "compress layers that have another compression anew", OPT_BOOL, offsetof(struct push_opts, force_comp), NULL },
	{ 0, "format", "oci|docker", "media types of the manifest", OPT_WORD, offsetof(struct push_opts, format), NULL },
	{ 0, "digestfile", "FILE", "write the digest of the manifest to FILE", OPT_TEXT, offsetof(struct push_opts, digestfile), NULL },
	{ 'q', "quiet", NULL, "show no progress", OPT_BOOL, offsetof(struct push_opts, quiet), NULL },
	{ 0, "json", NULL, "print what was pushed as JSON", OPT_BOOL, offsetof(struct push_opts, json), NULL },
	{ 'a', "all-tags", NULL, NULL, OPT_ERR, 0, "name the tags" },
	{ 0, "disable-content-trust", "[true|false]", NULL, OPT_ACCEPT, 0, NULL },
	NET_ROWS(struct push_opts),
	{ 0, NULL, NULL, NULL, OPT_BOOL, 0, NULL },
};

static int check_level(const char *comp, int64_t level, struct err **e)
{
	const struct comp *c = comp_find(comp ? comp : "zstd");

	if (level >= 0 && c && (level < c->level_min || level > c->level_max))
		return err_set(e, ERR_USAGE, "%s has the levels %d to %d, not %jd", c->name, c->level_min, c->level_max, (intmax_t)level);
	return 0;
}

static int write_digest(const char *path, const char *text, struct err **e)
{
	AUTO(fd_closep) int fd = fd_open_host(path, O_WRONLY | O_CREAT | O_TRUNC, 0644, e);

	if (fd < 0 || fd_write_all(fd, text, strlen(text), e) < 0 || fd_close(&fd, path, e) < 0)
		return err_wrap(e, "cannot write '%s'", path);
	return 0;
}

static int push_print(const struct push_opts *o, const char *name, const struct digest *manifest, struct err **e)
{
	AUTO(jval_freep) struct jval *json = jval_obj();
	AUTO(buf_freep) struct buf out = BUF_MAX(8192);

	if (o->digestfile && write_digest(o->digestfile, digest_text(manifest).s, e) < 0)
		return -1;
	jval_set_str(json, "name", name);
	jval_set_str(json, "digest", digest_text(manifest).s);
	buf_printf(&out, "%s\n", digest_text(manifest).s);
	return o->json ? cmd_print_json(json, e) : cmd_print(&out, e);
}

/* Images of a name on their way out, and the stored documents that they go with. */
struct outgoing {
	struct name_record r;
	struct image *image;
	struct digest *config, *manifest;
	struct parcel parcel;
};

static void outgoing_clear(struct outgoing *o)
{
	for (size_t i = 0; i < o->parcel.n; i++)
		image_clear(&o->image[i]);
	free(o->image);
	free(o->config);
	free(o->manifest);
	name_record_clear(&o->r);
}

/* The index with all its images, if there is one; or the one image that is meant (cmd_one). */
static int outgoing_load(struct app *a, struct outgoing *o, bool whole, const char *platform, struct err **e)
{
	bool index = whole && !platform && !digest_zero(&o->r.index);
	size_t n = index ? 1 + o->r.nmore : 1;
	const struct name_record *im = NULL;

	o->image = mem_array(n, sizeof(*o->image));
	o->config = mem_array(n, sizeof(*o->config));
	o->manifest = mem_array(n, sizeof(*o->manifest));
	o->parcel = (struct parcel){ .image = o->image, .index = index, .config = o->config, .manifest = o->manifest };
	while (o->parcel.n < n) {
		size_t i = o->parcel.n++;

		if (index)
			im = name_image(&o->r, i);
		int rc = index ? imagestore_load(a, im, &o->image[i], e) : cmd_one(a, &o->r, platform, &im, &o->image[i], e);
		if (rc < 0)
			return -1;
		o->config[i] = im->config;
		o->manifest[i] = im->manifest;
	}
	if (index)
		o->parcel.keep = o->r.index;
	return 0;
}

/* They get documents of their own. */
static void outgoing_anew(struct outgoing *o)
{
	o->parcel.manifest = NULL;
	o->parcel.keep = (struct digest){ 0 };
}

static int push_main(struct app *a, void *opts, struct strs *pos, struct err **e)
{
	AUTO(outgoing_clear) struct outgoing out = { 0 };
	AUTO(ref_clear) struct ref ref = { 0 };
	AUTO(buf_freep) struct buf name = BUF_MAX(8192);
	struct push_opts *o = opts;
	struct transfer_opts t = cmd_transfer(a, &o->net, ERR_PUSH);
	bool docker = o->format && strcmp(o->format, "docker") == 0;
	struct descriptor root;

	if (cmd_words(&cmd_push, pos, 1, 2, e) < 0 || check_level(o->comp, o->level, e) < 0 || cmd_image(a, pos->v[0], &out.r, e) < 0 ||
	    outgoing_load(a, &out, true, o->platform, e) < 0)
		return -1;
	if (o->quiet)
		ui_quiet(a->report);
	const char *to = pos->n > 1 ? pos->v[1] : out.r.name;
	if (strncmp(to, "docker://", 9) == 0)
		to += 9;
	if (pos->n == 1 && name_untagged(out.r.name))
		return err_set(e, ERR_USAGE, "the image has no name: say where it goes with kiln push %s NAME", pos->v[0]);
	if (parse_ref(to, &ref, e) < 0)
		return -1;
	ref_print(&ref, &name);
	/* Unless something is asked for, what has a manifest keeps it to the byte. */
	bool anew = o->comp || o->force_comp || docker;
	for (size_t i = 0; i < out.parcel.n; i++)
		if ((anew || digest_zero(&out.manifest[i])) &&
		    imagestore_blobs(a, &out.image[i], docker && !o->comp ? "gzip" : o->comp, (int)o->level, o->force_comp || docker, e) < 0)
			return -1;
	if (anew)
		outgoing_anew(&out);
	out.parcel.docker = docker;
	const char *names[] = { name.p, NULL };
	if (imagestore_push(a, &out.parcel, names, 1, &t, &root, e) < 0)
		return -1;
	return push_print(o, name.p, &root.digest, e);
}

const struct cmd cmd_push = {
	.name = "push",
	.args = "NAME [DESTINATION]",
	.help = "send an image of the store to a registry",
	.about = "The digest of the manifest is printed.",
	.opts = push_table,
	.opts_size = sizeof(struct push_opts),
	.defaults = &push_defaults,
	.flags = CMD_WORK,
	.run = push_main,
};

/* ---- save */

struct save_opts {
	const char *platform, *output, *format, *comp;
	int64_t level;
	bool quiet;
};
static const struct save_opts save_defaults = { .level = -1 };
static const struct opt_row save_table[] = {
	PLATFORM_ROW(struct save_opts, "save only the image for that platform"),
	{ 'o', "output", "FILE", "write to FILE instead of standard output", OPT_TEXT, offsetof(struct save_opts, output), NULL },
	{ 0, "format", "docker-archive|oci-archive|oci-dir", "form of the archive", OPT_WORD, offsetof(struct save_opts, format), NULL },
	{ 0, "compression", "zstd|gzip|uncompressed", "how layers are compressed", OPT_WORD, offsetof(struct save_opts, comp), NULL },
	{ 0, "compression-level", "N", "level of the compression", OPT_NUMBER, offsetof(struct save_opts, level), NULL },
	{ 'q', "quiet", NULL, "show no progress", OPT_BOOL, offsetof(struct save_opts, quiet), NULL },
	{ 0, NULL, NULL, NULL, OPT_BOOL, 0, NULL },
};

/* All words name one image; each name that is not an id goes into the archive. */
static int save_names(struct app *a, const struct strs *pos, struct strs *names, struct name_record *first, struct err **e)
{
	if (cmd_image(a, pos->v[0], first, e) < 0)
		return -1;
	for (size_t i = 0; i < pos->n; i++) {
		AUTO(name_record_clear) struct name_record r = { 0 };

		if (cmd_image(a, pos->v[i], &r, e) < 0)
			return -1;
		if (!digest_equal(name_id(&r), name_id(first))) {
			err_set(e, ERR_USAGE, "'%s' and '%s' are different images, and an archive is written of one", pos->v[0], pos->v[i]);
			return err_hint(e, "save them one by one; with --format=oci-dir they can go into the same directory");
		}
		if (!name_untagged(r.name))
			strs_add(names, r.name);
	}
	return 0;
}

static int save_main(struct app *a, void *opts, struct strs *pos, struct err **e)
{
	AUTO(outgoing_clear) struct outgoing out = { 0 };
	AUTO(strs_clear) struct strs names = { 0 };
	struct save_opts *o = opts;
	const char *dest = o->output ? o->output : "-";
	bool oci = o->format && o->format[0] == 'o', dir = o->format && strcmp(o->format, "oci-dir") == 0;

	if (cmd_words(&cmd_save, pos, 1, SIZE_MAX, e) < 0 || check_level(o->comp, o->level, e) < 0)
		return -1;
	if (dir && strcmp(dest, "-") == 0)
		return err_set(e, ERR_USAGE, "a directory cannot be written to standard output: give it with -o");
	if (strcmp(dest, "-") == 0 && isatty(STDOUT_FILENO))
		return err_set(e, ERR_USAGE, "an archive is not written to a terminal: give a file with -o");
	if (!oci && o->comp && strcmp(o->comp, "zstd") == 0)
		return err_set(e, ERR_USAGE, "a docker archive cannot hold layers compressed with zstd: use --format=oci-archive");
	if (o->quiet)
		ui_quiet(a->report);
	if (save_names(a, pos, &names, &out.r, e) < 0 || outgoing_load(a, &out, oci, o->platform, e) < 0)
		return -1;
	/* An index stays what it is, unless its layers are compressed anew. */
	if (!out.parcel.index || o->comp)
		outgoing_anew(&out);
	struct descriptor root;
	return imagestore_export_archive(a, &out.parcel, oci ? OUTPUT_OCI : OUTPUT_DOCKER, dir, dest, strs_null(&names), o->comp, (int)o->level,
					 o->comp != NULL, &root, e);
}

const struct cmd cmd_save = {
	.name = "save",
	.args = "NAME...",
	.help = "write an image of the store to an archive",
	.opts = save_table,
	.opts_size = sizeof(struct save_opts),
	.defaults = &save_defaults,
	.flags = CMD_WORK,
	.run = save_main,
};

/* ---- load */

struct load_opts {
	const char *input, *platform, *ref;
	bool quiet, json;
};
static const struct opt_row load_table[] = {
	{ 'i', "input", "FILE", "read from FILE instead of standard input", OPT_TEXT, offsetof(struct load_opts, input), NULL },
	{ 0, "platform", "OS/ARCH[/VARIANT]", "platform of the images", OPT_TEXT, offsetof(struct load_opts, platform), NULL },
	{ 0, "ref", "NAME", "load only the image of this name", OPT_TEXT, offsetof(struct load_opts, ref), NULL },
	{ 'q', "quiet", NULL, "show no progress", OPT_BOOL, offsetof(struct load_opts, quiet), NULL },
	{ 0, "json", NULL, "print what was loaded as JSON", OPT_BOOL, offsetof(struct load_opts, json), NULL },
	{ 0, NULL, NULL, NULL, OPT_BOOL, 0, NULL },
};

static int load_main(struct app *a, void *opts, struct strs *pos, struct err **e)
{
	AUTO(strs_clear) struct strs names = { 0 };
	AUTO(jval_freep) struct jval *json = jval_arr();
	AUTO(buf_freep) struct buf out = BUF_MAX(4 << 20);
	struct load_opts *o = opts;
	struct platform p;

	if (cmd_words(&cmd_load, pos, 0, o->input ? 0 : 1, e) < 0 || wanted(o->platform, &p, e) < 0)
		return -1;
	const char *path = o->input ? o->input : pos->n ? pos->v[0] : "-";
	if (strcmp(path, "-") == 0 && isatty(STDIN_FILENO))
		return err_set(e, ERR_USAGE, "an archive is not read from a terminal: give a file with -i");
	if (o->quiet)
		ui_quiet(a->report);
	if (imagestore_read(a, path, o->ref, &p, !o->platform, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		jval_add_str(json, names.v[i]);
		buf_printf(&out, "%s\n", names.v[i]);
	}
	return o->json ? cmd_print_json(json, e) : cmd_print(&out, e);
}

const struct cmd cmd_load = {
	.name = "load",
	.alias = "import",
	.args = "[FILE]",
	.help = "read images from an archive into the store",
	.about = "FILE is an OCI layout (directory or tar) or a docker archive, compressed or not. The names of the images are printed.",
	.opts = load_table,
	.opts_size = sizeof(struct load_opts),
	.flags = CMD_WORK,
	.run = load_main,
};
