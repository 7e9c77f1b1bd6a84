/* tests/unit/parse.c - tests/data/parse/<case>/{Dockerfile,want} or {Dockerfile,error}: parse, dump, compare.
 *
 * want: the dump below. error: for each error "line:col: message", then its "because:" and "try:" lines.
 * UPDATE=1 in the environment writes the files that are missing, for a look before they are committed.
 */
#include "tests/tap.h"

#include "base/mem.h"
#include "parser/file.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

static void quoted(struct buf *out, struct slice s)
{
	buf_char(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c == '\n')
			buf_str(out, "\\n");
		else if (c == '\t')
			buf_str(out, "\\t");
		else if (c < 0x20 || c == 0x7F)
			buf_printf(out, "\\x%02x", c);
		else
			buf_char(out, (char)c);
	}
	buf_char(out, '"');
}

static void field(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, "    %s ", name);
	quoted(out, slice_of(value));
	buf_char(out, '\n');
}

static void dump_docs(const struct instr *in, struct buf *out)
{
	for (size_t i = 0; i < in->ndoc; i++) {
		buf_str(out, "    doc ");
		quoted(out, slice_of(in->doc[i].name));
		if (in->doc[i].quoted)
			buf_str(out, " quoted");
		if (in->doc[i].word >= 0)
			buf_printf(out, " source %d", in->doc[i].word);
		buf_str(out, " = ");
		quoted(out, in->doc[i].content);
		buf_char(out, '\n');
	}
}

static void dump_pairs(const struct instr *in, struct buf *out)
{
	for (size_t i = 0; i < in->npair; i++) {
		buf_str(out, in->legacy ? "    legacy " : "    pair ");
		quoted(out, slice_of(in->pair[i].key));
		if (in->pair[i].value) {
			buf_str(out, " = ");
			quoted(out, slice_of(in->pair[i].value));
		}
		buf_char(out, '\n');
	}
}

static void dump_instr(const struct instr *in, struct buf *out)
{
	buf_printf(out, "  %u", in->line);
	if (in->end_line != in->line)
		buf_printf(out, "-%u", in->end_line);
	buf_printf(out, " %s\n", in->spelling);
	if (*in->doc_comment)
		field(out, "comment", in->doc_comment);
	for (size_t i = 0; i < in->nflag; i++) {
		buf_printf(out, "    flag %s", in->flag[i].name);
		if (in->flag[i].value) {
			buf_str(out, " = ");
			quoted(out, slice_of(in->flag[i].value));
		}
		buf_char(out, '\n');
	}
	if (in->health_none)
		buf_str(out, "    none\n");
	if (in->json && in->narg == 0)
		buf_str(out, "    json (empty)\n");
	for (size_t i = 0; i < in->narg; i++)
		field(out, in->json ? "json" : "arg", in->arg[i].text);
	dump_pairs(in, out);
	dump_docs(in, out);
	if (in->run_text && (in->ndoc || !in->has_text))
		field(out, in->sole_doc ? "script" : "shell", in->run_text);
	if (in->trigger)
		field(out, "trigger", in->trigger);
}

static void dump(const struct file *f, struct buf *out)
{
	if (f->escape != '\\')
		buf_printf(out, "escape %c\n", f->escape);
	if (f->syntax)
		buf_printf(out, "syntax %s\n", f->syntax);
	if (f->check)
		buf_printf(out, "check %s\n", f->check);
	for (size_t i = 0; i < f->nnotes; i++)
		buf_printf(out, "empty continuation %u\n", f->notes[i].line);
	if (f->nglobal)
		buf_str(out, "global\n");
	for (size_t i = 0; i < f->nglobal; i++)
		dump_instr(f->global[i], out);
	for (size_t i = 0; i < f->nstage; i++) {
		const struct stage *s = f->stage[i];

		buf_printf(out, "stage %u", s->index);
		if (s->name)
			buf_printf(out, " %s", s->name);
		buf_str(out, " from ");
		quoted(out, slice_of(s->base));
		if (s->platform) {
			buf_str(out, " on ");
			quoted(out, slice_of(s->platform));
		}
		buf_char(out, '\n');
		if (*s->from->doc_comment)
			field(out, "comment", s->from->doc_comment);
		for (size_t k = 0; k < s->ninstr; k++)
			dump_instr(s->instr[k], out);
	}
}

/* The message without its excerpt and without the file's name. */
static void dump_error(const struct err *e, struct buf *out)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(1 << 20);
	struct slice rest = SLICE_NONE, line = SLICE_NONE;

	err_print(e, &text);
	rest = slice_trim(buf_view(&text), "\n");
	if (slice_starts(rest, "Dockerfile:"))
		rest = slice_skip(rest, strlen("Dockerfile:"));
	for (bool more = true; more;) {
		more = slice_cut(rest, '\n', &line, &rest);
		if (slice_starts(line, "    "))
			continue;
		buf_slice(out, line);
		buf_char(out, '\n');
	}
}

static bool read_file(const char *dir, const char *name, struct buf *out)
{
	AUTO(mem_freep) char *path = mem_printf("%s/%s", dir, name);
	FILE *f = fopen(path, "re");
	char chunk[4096];

	if (!f)
		return false;
	for (size_t n; (n = fread(chunk, 1, sizeof(chunk), f)) > 0;)
		buf_add(out, chunk, n);
	fclose(f);
	return true;
}

static void write_file(const char *dir, const char *name, struct slice text)
{
	AUTO(mem_freep) char *path = mem_printf("%s/%s", dir, name);
	FILE *f = fopen(path, "we");

	if (!f)
		return;
	fwrite(text.p, 1, text.n, f);
	fclose(f);
}

static void run_case(const char *root, const char *name)
{
	AUTO(mem_freep) char *dir = mem_printf("%s/%s", root, name);
	AUTO(buf_freep) struct buf text = BUF_MAX(32 << 20), want = BUF_MAX(1 << 20), got = BUF_MAX(1 << 20);
	AUTO(file_freep) struct file *f = NULL;
	struct file_errors errors = { 0 };

	if (!read_file(dir, "Dockerfile", &text)) {
		ok(false, "%s: has a Dockerfile", name);
		return;
	}

	bool fails = file_parse("Dockerfile", buf_view(&text), &f, &errors) < 0;

	if (fails)
		for (size_t i = 0; i < errors.n; i++)
			dump_error(errors.err[i], &got);
	else
		dump(f, &got);
	file_errors_clear(&errors);
	buf_str(&want, "");
	if (!read_file(dir, fails ? "error" : "want", &want) && getenv("UPDATE")) {
		write_file(dir, fails ? "error" : "want", buf_view(&got));
		printf("# wrote %s/%s\n", name, fails ? "error" : "want");
		return;
	}
	buf_str(&got, "");
	is_str(got.p, want.p, name);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(void)
{
	const char *top = getenv("top_srcdir");
	AUTO(mem_freep) char *root = mem_printf("%s/tests/data/parse", top ? top : ".");
	DIR *d = opendir(root);
	char **names = NULL;
	size_t n = 0, cap = 0;

	for (struct dirent *e; d && (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		MEM_ROOM(names, n, cap);
		names[n++] = mem_str(e->d_name);
	}
	if (d)
		closedir(d);
	ok(n > 0, "cases found in %s", root);
	if (n)
		qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 0; i < n; i++) {
		run_case(root, names[i]);
		free(names[i]);
	}
	free(names);
	return done_testing();
}
