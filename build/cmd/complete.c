/* build/cmd/complete.c - kiln version, help, and __complete, which the completion scripts of the shells call.
 *
 *     kiln __complete WORD...        the words behind "kiln" up to the cursor; the last one is completed
 *     candidate<TAB>description      one line each; ":files" as the last line: names of files fit too
 */
#include "base/jdoc.h"
#include "base/mem.h"
#include "build/cmd/cmd.h"
#include "parser/flags.h"

/* ---- version, help */

struct version_opts {
	bool json;
};
static const struct opt_row version_table[] = {
	{ 0, "json", NULL, "print as JSON", OPT_BOOL, offsetof(struct version_opts, json), NULL },
	{ 0, NULL, NULL, NULL, OPT_BOOL, 0, NULL },
};

static int version_main(struct app *a, void *opts, struct strs *pos, struct err **e)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(256);
	struct version_opts *o = opts;

	if (cmd_words(&cmd_version, pos, 0, 0, e) < 0)
		return -1;
	buf_printf(&out, o && o->json ? "{\"version\":\"%s\"}\n" : "kiln %s\n", KILN_VERSION);
	return cmd_print(&out, e);
}

const struct cmd cmd_version = {
	.name = "version", .help = "print the version", .opts = version_table, .opts_size = sizeof(struct version_opts), .run = version_main,
};

static int help_main(struct app *a, void *opts, struct strs *pos, struct err **e)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(1 << 20);
	const struct cmd *c = NULL;

	if (cmd_words(&cmd_help, pos, 0, 1, e) < 0)
		return -1;
	if (pos->n) {
		c = cmd_find(pos->v[0]);
		if (!c)
			return cmd_unknown(pos->v[0], e);
	}
	cmd_usage(c, &out);
	return cmd_print(&out, e);
}

const struct cmd cmd_help = { .name = "help", .args = "[COMMAND]", .help = "show how a command is used", .run = help_main };

/* ---- completion */

static void commands(const char *word, struct buf *out)
{
	for (size_t i = 0; cmd_table[i]; i++)
		if (!(cmd_table[i]->flags & CMD_HIDDEN) && slice_starts(slice_of(cmd_table[i]->name), word))
			buf_printf(out, "%s\t%s\n", cmd_table[i]->name, cmd_table[i]->help);
}

/* Names of images; a store that cannot be read has none: nobody wants errors while typing. */
static void images(struct app *a, const char *word, struct buf *out)
{
	AUTO(err_freep) struct err *e = NULL;
	struct name_record *r = NULL;
	size_t n = 0, bad = 0;

	if (app_store(a, &e) < 0 || names_list(a->store, &r, &n, &bad, &e) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		AUTO(buf_freep) struct buf name = BUF_MAX(8192);
		struct ref ref = { 0 };

		if (ref_parse(slice_of(r[i].name), &ref, NULL) < 0)
			continue;
		ref_familiar(&ref, &name);
		ref_clear(&ref);
		if (slice_starts(buf_view(&name), word))
			buf_printf(out, "%s\timage\n", name.p);
	}
	names_list_free(r, n);
}

/* The command among the words: the first that is no option and no value of one. */
static const struct cmd *command_of(const struct strs *words)
{
	for (size_t i = 0; i + 1 < words->n; i++) {
		const char *w = words->v[i];

		if (w[0] != '-')
			return cmd_find(w);
		if (strcmp(w, "--root") == 0 || strcmp(w, "--storage") == 0 || strcmp(w, "--storage-driver") == 0 || strcmp(w, "--progress") == 0)
			i++;
	}
	return NULL;
}

static int complete_main(struct app *a, void *opts, struct strs *pos, struct err **e)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(4 << 20);
	const char *word = pos->n ? pos->v[pos->n - 1] : "", *before = pos->n > 1 ? pos->v[pos->n - 2] : NULL;
	const struct cmd *c = command_of(pos);
	struct opt_set sets[OPTS_SETS + 1] = { 0 };
	bool files = false;

	if (c && c->opts)
		sets[0].rows = c->opts;
	sets[sets[0].rows ? 1 : 0].rows = common_table;
	if (!opts_complete(sets, before, word, &out, &files)) {
		if (!c)
			commands(word, &out);
		else if (c->args && strncmp(c->args, "NAME", 4) == 0)
			images(a, word, &out);
		else if (c == &cmd_help)
			commands(word, &out);
		else
			files = c->args != NULL;
	}
	if (files)
		buf_str(&out, ":files\n");
	return cmd_print(&out, e);
}

const struct cmd cmd_complete = {
	.name = "__complete", .args = "WORD...", .help = "what a shell may offer", .flags = CMD_HIDDEN | CMD_RAW | CMD_STORE, .run = complete_main,
};
