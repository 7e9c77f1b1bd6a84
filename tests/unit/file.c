/* tests/unit/file.c - what the cases of tests/data/parse do not show: excerpts, triggers, values of flags, bounds. */
#include "tests/tap.h"

#include "base/mem.h"
#include "parser/diag.h"
#include "parser/file.h"

#include <stdlib.h>
#include <time.h>

static void print_first(const char *text, size_t n, struct buf *out)
{
	AUTO(file_freep) struct file *f = NULL;
	struct file_errors errors = { 0 };

	buf_str(out, "");
	if (file_parse("Dockerfile", (struct slice){ text, n }, &f, &errors) < 0)
		err_print(errors.err[0], out);
	file_errors_clear(&errors);
}

/* ---- excerpts ---- */

static const struct { const char *name, *text, *want; } excerpts[] = {
	{ "caret under the word", "FROM a\nCOPY --chwon=1 a /b\n",
	  "Dockerfile:2:6: unknown flag: --chwon\n"
	  "       2 | COPY --chwon=1 a /b\n"
	  "         |      ^~~~~~~~~\n"
	  "  try: --chown\n" },
	{ "tabs and characters of several bytes", "FROM a\n\tCOPY\t\xC3\xA4 --x\n\tCOPY --\xC3\xA4 x y\n",
	  "Dockerfile:3:7: unknown flag: --\xC3\xA4\n"
	  "       3 |  COPY --\xC3\xA4 x y\n"
	  "         |       ^~~\n"
	  "  try: COPY takes --from, --chown, --chmod, --link, --parents, --exclude\n" },
	{ "a span over several lines is marked in its first", "FROM a\nCMD [\"a\", [ \\\n 1]]\n",
	  "Dockerfile:2:11: when using JSON array syntax, arrays must be comprised of strings only\n"
	  "       2 | CMD [\"a\", [ \\\n"
	  "         |           ^~~\n"
	  "  try: put every element in double quotes\n" },
	{ "control characters are shown as blanks or escaped", "FROM a\nR\x1b[1m x\n",
	  "Dockerfile:2:1: unknown instruction: R\\x1b[1m\n"
	  "       2 | R [1m x\n"
	  "         | ^~~~~\n"
	  "  try: end the line before with '\\' if this one continues it\n" },
};

static void run_long_line(void)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(1 << 20), out = BUF_MAX(1 << 20);

	buf_str(&text, "FROM a\nCOPY ");
	for (int i = 0; i < 5000; i++)
		buf_str(&text, "--exclude=x ");
	buf_str(&text, "--chwon=1 a b\n");
	print_first(text.p, text.n, &out);
	ok(out.n < 600 && strstr(out.p, "--chwon=1 a b\n") && strstr(out.p, "^~~~~~~~~\n"), "a long line is cut around the caret");
}

/* ---- triggers ---- */

static const struct { const char *text, *word, *run_text, *err; } triggers[] = {
	{ "RUN x", "RUN", "x", NULL },
	{ "copy --from=a b c", "copy", NULL, NULL },
	{ "RUN <<EOF\na\nEOF", "RUN", "a\n", NULL },
	{ "RUN a \\\n b", "RUN", "a  b", NULL },
	{ "# comment\nRUN x", "RUN", "x", NULL },
	{ "RUN x\nRUN y", NULL, NULL, "single expression" },
	{ "", NULL, NULL, "single expression" },
	{ "FOO x", NULL, NULL, "unknown instruction: FOO" },
	{ "RUN --x y", NULL, NULL, "unknown flag: --x" },
	{ "RUN <<EOF\na", NULL, NULL, "unterminated heredoc" },
	{ "FROM b", NULL, NULL, "FROM isn't allowed as an ONBUILD trigger" },
	{ "ONBUILD RUN x", NULL, NULL, "ONBUILD isn't allowed as an ONBUILD trigger" },
	{ "MAINTAINER x", NULL, NULL, "MAINTAINER isn't allowed as an ONBUILD trigger" },
};

static void run_trigger(size_t i)
{
	AUTO(file_freep) struct file *f = NULL;
	AUTO(err_freep) struct err *e = NULL;
	AUTO(buf_freep) struct buf text = BUF_MAX(1 << 20);
	struct file_errors errors = { 0 };
	const struct instr *in = NULL;
	const char *dockerfile = "# escape=`\nFROM base `\n AS b\nRUN x\n";

	if (file_parse("Dockerfile", slice_of(dockerfile), &f, &errors) < 0) {
		ok(false, "the Dockerfile around the trigger parses");
		return;
	}
	if (file_parse_trigger(f, f->stage[0], triggers[i].text, &in, &e) < 0) {
		err_print(e, &text);
		ok(triggers[i].err && strstr(text.p, triggers[i].err) && strstr(text.p, "Dockerfile:2:1"),
		   "M11: trigger %zu fails at FROM: %s", i, triggers[i].err ? triggers[i].err : text.p);
		return;
	}
	is_str(in->spelling, triggers[i].word, triggers[i].word ? triggers[i].word : "should fail");
	is_str(in->run_text, triggers[i].run_text, "its command");
	ok(in->line == 2 && in->end_line == 3 && in->at.from == f->stage[0]->from->at.from, "it lies at FROM");
}

/* ---- bounds ---- */

static void run_big(const char *name, const char *head, const char *repeat, size_t times, const char *want, double seconds)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(32 << 20), out = BUF_MAX(1 << 20);
	clock_t start = 0;

	buf_str(&text, head);
	for (size_t i = 0; i < times; i++)
		buf_str(&text, repeat);
	start = clock();
	print_first(text.p, text.n, &out);

	double took = (double)(clock() - start) / CLOCKS_PER_SEC;

	ok(want ? !!strstr(out.p, want) : out.n == 0, "%s: %s", name, want ? want : out.p);
	ok(took < seconds, "%s: %zu bytes in %.0f ms", name, text.n, took * 1000);
}

static void run_bounds(void)
{
	/* Times are generous: sanitizers and busy machines must not fail, quadratic behaviour must. */
	run_big("10,000 instructions", "FROM a\n",
		"COPY --chown=1:1 --from=b some/file other/file another/file /destination/directory/of/some/length/\n", 10000,
		NULL, 1);
	run_big("a long chain of continuations", "FROM a\nRUN true", " && \\\n  something --with --some=arguments and more", 80000,
		NULL, 1);
	run_big("an instruction of more than 4 MiB", "FROM a\nRUN true",
		" && \\\n  something --with --some=arguments and more and more and more and more", 80000, "at most 4194304", 1);
	run_big("more than 100,000 instructions", "FROM a\n", "USER x\n", 100001, "more than 100000 instructions", 2);
	run_big("more than 1,000 stages", "", "FROM a AS b\n", 1001, "more than 1000 stages", 1);
	run_big("a file over 16 MiB", "FROM a\n", "# a comment of one hundred bytes .................................."
						   "...............................\n", 180000, "at most 16777216", 2);
	run_big("a here-document of 10 MiB", "FROM a\nRUN <<EOF\n", "0123456789012345678901234567890123456789\n", 250000,
		"unterminated heredoc", 1);
	run_big("many here-documents on a line", "FROM a\nCOPY", " \\\n <<a", 20000, "at most 256", 1);
	run_big("many words that look like here-documents", "FROM a\nCOPY <<b", " \\\n \" <<a \"", 200000,
		"unterminated heredoc", 2);
	run_big("deep substitutions", "FROM a\nRUN <<b", "${a:-", 10000, NULL, 1);
	run_big("many errors", "FROM a\n", "FOO\nBAR --x\n", 20000, "unknown instruction: FOO", 1);
}

static void run_flags(void)
{
	AUTO(file_freep) struct file *f = NULL;
	struct file_errors errors = { 0 };
	const struct instr *in = NULL;

	file_parse("x", slice_of("FROM a\nADD --link --unpack=FALSE --chown=a b c\n"), &f, &errors);
	in = f->stage[0]->instr[0];
	ok(instr_flag_bool(in, "link", false), "a bare boolean is true");
	ok(!instr_flag_bool(in, "unpack", true), "false in any case");
	ok(instr_flag_bool(in, "keep-git-dir", true) && !instr_flag_bool(in, "keep-git-dir", false), "absent: as the caller says");
	is_str(instr_flag(in, "chown")->value, "a", "value of a flag");
	ok(!instr_flag(in, "checksum"), "a flag that is not there");
}

static void run_lines(void)
{
	AUTO(err_freep) struct err *e = NULL;
	AUTO(buf_freep) struct buf out = BUF_MAX(10000);
	struct source *s = NULL;

	source_new("Dockerfile", slice_of("FROM a\nRUN b\nRUN c\nRUN d\nRUN e\n"), &s, NULL);
	err_set(&e, ERR_INPUT, "no");
	diag_place_lines(&e, s, 3, 3);
	err_print(e, &out);
	is_str(out.p,
	       "Dockerfile:3: no\n"
	       "    --------------------\n"
	       "       1 |     FROM a\n"
	       "       2 |     RUN b\n"
	       "       3 | >>> RUN c\n"
	       "       4 |     RUN d\n"
	       "       5 |     RUN e\n"
	       "    --------------------\n", "whole lines with context");
	source_free(s);
}

int main(void)
{
	for (size_t i = 0; i < countof(excerpts); i++) {
		AUTO(buf_freep) struct buf out = BUF_MAX(1 << 20);

		print_first(excerpts[i].text, strlen(excerpts[i].text), &out);
		is_str(out.p, excerpts[i].want, excerpts[i].name);
	}
	run_long_line();
	for (size_t i = 0; i < countof(triggers); i++)
		run_trigger(i);
	run_flags();
	run_lines();
	run_bounds();
	return done_testing();
}
