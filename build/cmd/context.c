/* build/cmd/context.c - kiln context: what a COPY can see, how large it is, which line of the ignore file decided. */
#include "base/mem.h"
#include "build/cmd/cmd.h"
#include "build/cmd/table.h"
#include "build/context/context.h"
#include "build/ui/human.h"
#include "layers/entry.h"

struct context_opts {
	struct build_req req;            /* context, file, ignorefile */
};
#define AT(m) offsetof(struct context_opts, req.m)
static const struct opt_row context_table[] = {
	{ 'C', "context", "PATH|URL", "the build context; default is '.'", OPT_TEXT, AT(context), NULL },
	{ 'f', "file", "FILE", "the Dockerfile, whose own ignore file may count", OPT_TEXT, AT(file), NULL },
	{ 0, "ignorefile", "FILE", "use this ignore file", OPT_TEXT, AT(ignorefile), NULL },
	{ 0, NULL, NULL, NULL, OPT_BOOL, 0, NULL },
};
#undef AT

/* ---- ls */

static int ls_one(void *arg, const struct entry *en, struct err **e)
{
	struct buf *out = arg;

	buf_escaped(out, slice_of(en->path), 4096);
	if (en->type == ENTRY_SYMLINK) {
		buf_str(out, " -> ");
		buf_escaped(out, slice_of(en->link), 4096);
	}
	buf_str(out, en->type == ENTRY_DIR ? "/\n" : "\n");
	return 0;
}

static int context_ls(const struct context *c, struct err **e)
{
	AUTO(buf_freep) struct buf out = BUF_MAX((size_t)1 << 30);

	if (context_list(c, ls_one, &out, e) < 0 || buf_ok(&out, "list of files", e) < 0)
		return -1;
	return cmd_print(&out, e);
}

/* ---- du: what lies in each name of the root, largest first */

struct du_row {
	char *name;
	uint64_t bytes, files;
};
struct du {
	struct du_row *row;
	size_t n, cap;
	uint64_t bytes, files;
};

static int du_one(void *arg, const struct entry *en, struct err **e)
{
	struct du *d = arg;
	size_t len = strcspn(en->path, "/");

	/* In layer order all of one name come together. */
	if (!d->n || strncmp(d->row[d->n - 1].name, en->path, len) != 0 || d->row[d->n - 1].name[len]) {
		MEM_ROOM(d->row, d->n, d->cap);
		d->row[d->n++] = (struct du_row){ .name = mem_strn(en->path, len) };
	}
	if (en->type == ENTRY_DIR)
		return 0;
	d->row[d->n - 1].bytes += en->size;
	d->row[d->n - 1].files++;
	d->bytes += en->size;
	d->files++;
	return 0;
}

static int du_order(const void *a, const void *b)
{
	const struct du_row *x = a, *y = b;

	return x->bytes != y->bytes ? (x->bytes < y->bytes) - (x->bytes > y->bytes) : strcmp(x->name, y->name);
}

static int context_du(const struct context *c, struct err **e)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(64 << 20);
	struct table t = { .columns = 3, .right = 3 };
	struct du d = { 0 };
	int rc = context_list(c, du_one, &d, e);

	if (rc == 0 && d.n)
		qsort(d.row, d.n, sizeof(*d.row), du_order);
	table_cell(&t, "SIZE");
	table_cell(&t, "FILES");
	table_cell(&t, "NAME");
	for (size_t i = 0; i < d.n; i++) {
		table_cell(&t, "%s", human_bytes(d.row[i].bytes).s);
		table_cell(&t, "%ju", (uintmax_t)d.row[i].files);
		table_cell(&t, "%s", d.row[i].name);
		mem_freep(&d.row[i].name);
	}
	table_cell(&t, "%s", human_bytes(d.bytes).s);
	table_cell(&t, "%ju", (uintmax_t)d.files);
	table_cell(&t, "%s", "in all");
	mem_freep(&d.row);
	if (rc == 0)
		table_print(&t, 200, true, &out);
	table_clear(&t);
	return rc < 0 ? -1 : cmd_print(&out, e);
}

/* ---- explain */

static int explain_one(const struct context *c, const char *path, struct buf *out, struct err **e)
{
	struct context_verdict v;

	if (context_explain(c, path, &v, e) < 0)
		return -1;
	buf_escaped(out, slice_of(path), 4096);
	if (!v.exists)
		buf_str(out, ": does not exist");
	else if (v.rescued)
		buf_str(out, ": in the context, for what is below it");
	else
		buf_str(out, v.ignored ? ": ignored" : ": in the context");
	if (!c->ignore)
		buf_str(out, " (there is no ignore file)");
	else if (!v.at)
		buf_printf(out, " (no line of %s matches)", c->ignore_name);
	else
		buf_printf(out, "\n  %s:%u: %s%.*s  matches '%s'", c->ignore_name, v.line, v.negative ? "!" : "", SLICE_F(v.pattern), v.at);
	buf_char(out, '\n');
	context_verdict_clear(&v);
	return 0;
}

static int context_why(const struct context *c, const struct strs *pos, struct err **e)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(64 << 20);

	if (pos->n < 2)
		return err_set(e, ERR_USAGE, "context explain needs the path of a file in the context");
	for (size_t i = 1; i < pos->n; i++)
		if (explain_one(c, pos->v[i], &out, e) < 0)
			return -1;
	return cmd_print(&out, e);
}

static int context_main(struct app *a, void *opts, struct strs *pos, struct err **e)
{
	struct context_opts *o = opts;
	AUTO(context_freep) struct context *c = NULL;
	const char *what = pos->n ? pos->v[0] : "ls";
	bool explain = strcmp(what, "explain") == 0;

	if (!explain && strcmp(what, "ls") != 0 && strcmp(what, "du") != 0) {
		err_set(e, ERR_USAGE, "'%s' is not something to ask about a context", what);
		return err_hint(e, "kiln context ls, kiln context du, kiln context explain PATH");
	}
	if (!explain && pos->n > 1)
		return err_set(e, ERR_USAGE, "context %s takes no further words", what);
	if (!o->req.context)
		o->req.context = ".";
	if (context_open_files(a, &o->req, &c, e) < 0)
		return -1;
	if (explain)
		return context_why(c, pos, e);
	return strcmp(what, "du") == 0 ? context_du(c, e) : context_ls(c, e);
}

const struct cmd cmd_context = {
	.name = "context",
	.args = "ls|du|explain [PATH...]",
	.help = "show what COPY can see of a build context",
	.about = "'ls' lists the files that the ignore file leaves, 'du' adds their sizes up, 'explain' names the line that decided about a path.",
	.opts = context_table,
	.opts_size = sizeof(struct context_opts),
	.flags = CMD_WORK,
	.run = context_main,
};
