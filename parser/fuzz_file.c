/* parser/fuzz_file.c - any bytes as a Dockerfile: spans lie inside, and what was parsed parses to the same again. */
#include "base/mem.h"
#include "parser/file.h"
#include "parser/lint.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same_text(const char *a, const char *b)
{
	assert(!a == !b && (!a || strcmp(a, b) == 0));
}

static void same_instr(const struct instr *a, const struct instr *b)
{
	assert(a->id == b->id && a->nflag == b->nflag && a->json == b->json && a->narg == b->narg);
	assert(a->npair == b->npair && a->ndoc == b->ndoc && a->legacy == b->legacy && a->sole_doc == b->sole_doc);
	same_text(a->spelling, b->spelling);
	same_text(a->text, b->text);
	same_text(a->run_text, b->run_text);
	same_text(a->trigger, b->trigger);
	for (size_t i = 0; i < a->nflag; i++) {
		same_text(a->flag[i].name, b->flag[i].name);
		same_text(a->flag[i].value, b->flag[i].value);
	}
	for (size_t i = 0; i < a->narg; i++)
		same_text(a->arg[i].text, b->arg[i].text);
	for (size_t i = 0; i < a->npair; i++) {
		same_text(a->pair[i].key, b->pair[i].key);
		same_text(a->pair[i].value, b->pair[i].value);
	}
	for (size_t i = 0; i < a->ndoc; i++) {
		same_text(a->doc[i].name, b->doc[i].name);
		assert(slice_equal(a->doc[i].content, b->doc[i].content));
	}
}

static void inside(const struct file *f, const struct instr *in)
{
	size_t n = source_text(f->source).n;

	assert(in->at.from < in->at.to && in->at.to <= n);
	assert(in->line >= 1 && in->line <= in->end_line && in->end_line <= source_lines(f->source));
	for (size_t i = 0; i < in->narg; i++)
		assert(in->arg[i].at.from >= in->at.from && in->arg[i].at.to <= in->at.to);
	for (size_t i = 0; i < in->nflag; i++)
		assert(in->flag[i].at.from >= in->at.from && in->flag[i].at.to <= in->at.to);
	for (size_t i = 0; i < in->npair; i++)
		assert(in->pair[i].at.from >= in->at.from && in->pair[i].at.to <= in->at.to);
}

/* The bytes of the instruction and a line end. False: it ended at the end of the file, in the middle of a
 * continuation, and would go on with what is printed next. */
static bool print_instr(const struct file *f, const struct instr *in, struct buf *out)
{
	struct slice text = { source_text(f->source).p + in->at.from, in->at.to - in->at.from };
	size_t n = text.n;

	inside(f, in);
	while (n && (text.p[n - 1] == ' ' || text.p[n - 1] == '\t'))
		n--;
	buf_slice(out, text);
	buf_char(out, '\n');
	return in->ndoc || n == 0 || text.p[n - 1] != f->escape;
}

static bool print_file(const struct file *f, struct buf *out)
{
	bool whole = true;

	buf_str(out, f->escape == '`' ? "# escape=`\n" : "");
	for (size_t i = 0; i < f->nglobal; i++)
		whole &= print_instr(f, f->global[i], out);
	for (size_t i = 0; i < f->nstage; i++) {
		whole &= print_instr(f, f->stage[i]->from, out);
		for (size_t k = 0; k < f->stage[i]->ninstr; k++)
			whole &= print_instr(f, f->stage[i]->instr[k], out);
	}
	return whole && !out->over;
}

static void same_file(const struct file *a, const struct file *b)
{
	assert(a->nglobal == b->nglobal && a->nstage == b->nstage);
	for (size_t i = 0; i < a->nglobal; i++)
		same_instr(a->global[i], b->global[i]);
	for (size_t i = 0; i < a->nstage; i++) {
		same_text(a->stage[i]->name, b->stage[i]->name);
		same_text(a->stage[i]->base, b->stage[i]->base);
		assert(a->stage[i]->ninstr == b->stage[i]->ninstr);
		for (size_t k = 0; k < a->stage[i]->ninstr; k++)
			same_instr(a->stage[i]->instr[k], b->stage[i]->instr[k]);
	}
}

static void try_lint(struct file *f)
{
	struct lint l = { 0 };
	const struct instr *in = NULL;
	struct err *e = NULL;

	if (lint_init(&l, f->check, NULL) == 0)
		lint_file(&l, f);
	lint_clear(&l);
	for (size_t k = 0; k < f->stage[0]->ninstr; k++)
		if (f->stage[0]->instr[k]->trigger &&
		    file_parse_trigger(f, f->stage[0], f->stage[0]->instr[k]->trigger, &in, &e) < 0) {
			assert(err_placed(e));
			err_freep(&e);
		}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(file_freep) struct file *f = NULL, *again = NULL;
	AUTO(buf_freep) struct buf text = BUF_MAX(1 << 20);
	struct file_errors errors = { 0 };

	if (file_parse("Dockerfile", (struct slice){ (const char *)data, size }, &f, &errors) < 0) {
		assert(errors.n >= 1 && errors.n <= countof(errors.err));
		for (size_t i = 0; i < errors.n; i++)
			err_print(errors.err[i], &text);
		file_errors_clear(&errors);
		return 0;
	}
	assert(errors.n == 0 && f->nstage > 0);
	if (print_file(f, &text)) {
		assert(file_parse("again", buf_view(&text), &again, &errors) == 0);
		same_file(f, again);
	}
	try_lint(f);
	return 0;
}
