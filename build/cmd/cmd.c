/* build/cmd/cmd.c - the table of commands, their help, and what they share. */
#include "build/cmd/cmd.h"
#include "base/fd.h"
#include "base/jdoc.h"
#include "build/ui/ui.h"
#include "parser/flags.h"

#include <unistd.h>

const struct cmd *const cmd_table[] = {
#define CMD(id) &cmd_##id,
#include "build/cmd/cmd.def"
#undef CMD
	NULL,
};

#define LIMIT(id, name, ...) " " name
static const char LIMIT_HELP[] = "change a limit:"
#include "build/limit.def"
	;
#undef LIMIT

const struct opt_row common_table[] = {
	{ 0, "root", "DIR", "keep images and cache in DIR", OPT_TEXT, offsetof(struct common_opts, root), NULL },
	{ 0, "storage", "DIR", NULL, OPT_ALIAS, 0, "root" },
	{ 0, "storage-driver", "auto|overlay|fuse-overlayfs", "how a step gets its root", OPT_WORD, offsetof(struct common_opts, driver), NULL },
	{ 0, "progress", "auto|tty|plain|json|rawjson|quiet|none", "how to show progress", OPT_WORD, offsetof(struct common_opts, progress), NULL },
	{ 0, "limit", "NAME=VALUE", LIMIT_HELP, OPT_LIST, offsetof(struct common_opts, limits), NULL },
	{ 'D', "debug", NULL, "show what else is decided on the way", OPT_BOOL, offsetof(struct common_opts, debug), NULL },
	{ 0, NULL, NULL, NULL, OPT_BOOL, 0, NULL },
};

const struct cmd *cmd_find(const char *name)
{
	for (size_t i = 0; cmd_table[i]; i++) {
		struct slice rest = slice_of(cmd_table[i]->alias), word = SLICE_NONE;
		bool more = cmd_table[i]->alias;

		if (strcmp(cmd_table[i]->name, name) == 0)
			return cmd_table[i];
		while (more) {
			more = slice_cut(rest, ' ', &word, &rest);
			if (slice_is(word, name))
				return cmd_table[i];
		}
	}
	return NULL;
}

int cmd_unknown(const char *name, struct err **e)
{
	const char *names[64];
	size_t n = 0;

	for (size_t i = 0; cmd_table[i] && n < countof(names); i++)
		if (!(cmd_table[i]->flags & CMD_HIDDEN))
			names[n++] = cmd_table[i]->name;
	const char *near = nearest_word(slice_of(name), names, n, true);
	err_set(e, ERR_USAGE, "there is no command '%s'", name);
	return near ? err_hint(e, "did you mean 'kiln %s'?", near) : err_hint(e, "'kiln help' lists the commands");
}

static void help_all(struct buf *out)
{
	const struct opt_set common[OPTS_SETS] = { { common_table, NULL } };

	buf_str(out, "kiln builds container images from Dockerfiles, without a daemon and without root.\n\n"
		     "usage: kiln [OPTIONS] COMMAND ...\n\ncommands:\n");
	for (size_t i = 0; cmd_table[i]; i++)
		if (!(cmd_table[i]->flags & CMD_HIDDEN))
			buf_printf(out, "  %-10s %s\n", cmd_table[i]->name, cmd_table[i]->help);
	buf_str(out, "\noptions of every command:\n");
	opts_help(common, out);
	buf_str(out, "\n'kiln COMMAND --help' tells more; 'man kiln' all.\n");
}

void cmd_usage(const struct cmd *c, struct buf *out)
{
	if (!c) {
		help_all(out);
		return;
	}
	const struct opt_set own[OPTS_SETS] = { { c->opts, NULL } };
	const struct opt_set common[OPTS_SETS] = { { common_table, NULL } };

	buf_printf(out, "usage: kiln %s%s%s%s\n\n%c%s.\n", c->name, c->opts ? " [OPTIONS]" : "", c->args && *c->args ? " " : "",
		   c->args ? c->args : "", c->help[0] & ~0x20, c->help + 1);
	if (c->about)
		buf_printf(out, "%s\n", c->about);
	if (c->alias)
		buf_printf(out, "\nalso called: %s\n", c->alias);
	if (c->opts) {
		buf_str(out, "\noptions:\n");
		opts_help(own, out);
	}
	buf_str(out, "\noptions of every command:\n");
	opts_help(common, out);
}

int cmd_words(const struct cmd *c, const struct strs *pos, size_t min, size_t max, struct err **e)
{
	if (pos->n >= min && pos->n <= max)
		return 0;
	if (pos->n < min)
		return err_set(e, ERR_USAGE, "kiln %s needs %s; see 'kiln %s --help'", c->name, c->args, c->name);
	return err_set(e, ERR_USAGE, "kiln %s does not know what to do with '%s'; see 'kiln %s --help'", c->name, pos->v[max], c->name);
}

int cmd_image(struct app *a, const char *text, struct name_record *ret, struct err **e)
{
	int rc = imagestore_find(a, text, ret, e);

	if (rc == IMAGE_MISS) {
		err_set(e, ERR_USAGE, "there is no image '%s' in the store", text);
		return err_hint(e, "'kiln images' lists what there is; 'kiln pull' fetches from a registry");
	}
	return rc < 0 ? -1 : 0;
}

int cmd_one(struct app *a, const struct name_record *r, const char *platform, const struct name_record **ret, struct image *ret_image,
	    struct err **e)
{
	AUTO(buf_freep) struct buf have = BUF_MAX(8192);
	const struct name_record *im;
	struct platform p;

	if (platform && platform_parse(slice_of(platform), &p, e) < 0)
		return -1;
	if (!platform)
		platform_host(&p);
	*ret = imagestore_choose(r, &p);
	if (*ret || !platform) {
		*ret = *ret ? *ret : r;
		return imagestore_load(a, *ret, ret_image, e);
	}
	for (size_t i = 0; (im = name_image(r, i)); i++)
		buf_printf(&have, "%s%s", i ? ", " : "", im->platform ? im->platform : "");
	return err_set(e, ERR_USAGE, "the image '%s' in the store is for %s, not for %s", r->name, have.p, platform_text(&p).s);
}

int cmd_print(const struct buf *b, struct err **e)
{
	if (buf_ok(b, "the output", e) < 0 || fd_write_all(STDOUT_FILENO, b->p, b->n, e) < 0)
		return err_wrap(e, "cannot write to standard output");
	return 0;
}

int cmd_print_json(const struct jval *v, struct err **e)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(256 << 20);

	jval_print(v, &out, 2);
	buf_char(&out, '\n');
	return cmd_print(&out, e);
}

struct transfer_opts cmd_transfer(struct app *a, struct net_opts *n, enum err_kind kind)
{
	const char *colon = n->creds ? strchr(n->creds, ':') : NULL;

	if (colon)
		ui_redact(a->report, slice_of(colon + 1));
	return (struct transfer_opts){
		.kind = kind,
		.authfile = n->authfile,
		.creds = n->creds,
		.cert_dir = n->cert_dir,
		.insecure = n->tls_verify == TRI_NO,
		.verify = n->tls_verify == TRI_YES,
		.retries = (unsigned)n->retries,
		.retry_delay_ns = n->retry_delay,
		.mirror = n->mirrors.n ? strs_null(&n->mirrors) : NULL,
	};
}
