/* parser/lint_ours.c - advice beyond the rules of the language, where the file alone is enough to give it. */
#include "parser/lint.h"

#include "base/mem.h"
#include "parser/flags.h"

#include <stdlib.h>

/* The text a RUN executes as far as it is known here: NULL in exec form. */
static const char *command_of(const struct instr *in)
{
	return in->id == INSTR_RUN ? in->run_text : NULL;
}

/* Is the phrase there as whole words? */
static bool has_words(const char *text, const char *phrase)
{
	size_t n = strlen(phrase);

	for (const char *p = text; (p = strstr(p, phrase)); p++) {
		bool starts = p == text || strchr(" \t\n;&|(`", p[-1]);

		if (starts && (!p[n] || strchr(" \t\r\n;&|)`", p[n])))
			return true;
	}
	return false;
}

/* ---- carriage returns ---- */

static void check_script(struct lint *l, const struct instr *in)
{
	for (size_t i = 0; i < in->ndoc; i++) {
		struct slice body = in->doc[i].body;

		if (in->id != INSTR_RUN && !slice_starts(in->doc[i].content, "#!"))
			continue;
		if (body.n && memmem(body.p, body.n, "\r\n", 2))
			lint_report(l, LINT_CarriageReturnInScript, in, in->at,
				    "Lines of the here-document '%s' end in CR LF: the carriage returns become part of its "
				    "commands and of the interpreter's name", in->doc[i].name);
	}
}

/* ---- package lists ---- */

static char *as_it_is(void *arg, const char *text, struct err **e)
{
	return mem_str(text);
}

/* A mount that keeps what is below /var/lib/apt/lists out of the layer. */
static bool lists_are_mounted(const struct instr *in)
{
	for (size_t i = 0; i < in->nflag; i++) {
		struct mount_opts m = { 0 };
		bool covers = false;

		if (strcmp(in->flag[i].name, "mount") != 0 ||
		    mount_parse(in->flag[i].value, as_it_is, NULL, &m, NULL) < 0)
			continue;
		if (m.target && (m.type == MOUNT_CACHE || m.type == MOUNT_TMPFS)) {
			struct slice target = slice_trim(slice_of(m.target), "/");

			covers = slice_is(target, "var/lib/apt") || slice_is(target, "var/lib/apt/lists") ||
				 slice_is(target, "var/lib") || slice_is(target, "var");
		}
		mount_opts_clear(&m);
		if (covers)
			return true;
	}
	return false;
}

static void check_lists(struct lint *l, const struct instr *in)
{
	const char *text = command_of(in);

	if (!text || (!has_words(text, "apt-get update") && !has_words(text, "apt update") &&
		      !has_words(text, "apt-get -y update") && !has_words(text, "apt-get -qq update")))
		return;
	if (strstr(text, "/var/lib/apt") || lists_are_mounted(in))
		return;
	lint_report(l, LINT_PackageListsKept, in, in->at,
		    "The package lists stay in this layer: end the command with 'rm -rf /var/lib/apt/lists/*', or add "
		    "--mount=type=cache,target=/var/lib/apt/lists");
}

/* The last stage and those it is based on: what becomes the image unless another target is named. */
static void check_lists_of_image(struct lint *l, const struct file *f)
{
	size_t i = f->nstage;

	while (i > 0) {
		const struct stage *s = f->stage[i - 1];

		for (size_t k = 0; k < s->ninstr; k++)
			check_lists(l, s->instr[k]);
		for (i--; i > 0; i--)
			if (f->stage[i - 1]->name && strcmp(f->stage[i - 1]->name, s->base) == 0)
				break;
	}
}

/* ---- order of COPY and installation ---- */

static const char *installer_in(const char *text)
{
	static const char *const phrases[] = {
		"npm install", "npm ci", "yarn install", "pnpm install", "pip install -r", "pip3 install -r", "bundle install",
		"composer install", "poetry install", "go mod download", "cargo fetch",
	};

	for (size_t i = 0; text && i < countof(phrases); i++)
		if (has_words(text, phrases[i]))
			return phrases[i];
	return NULL;
}

static bool copies_everything(const struct instr *in)
{
	if ((in->id != INSTR_COPY && in->id != INSTR_ADD) || instr_flag(in, "from") || in->narg != 2)
		return false;

	struct slice source = slice_of(in->arg[0].text);

	return slice_is(source, ".") || slice_is(source, "./") || slice_is(source, "/");
}

static void check_order(struct lint *l, const struct stage *s)
{
	const struct instr *copy = NULL;

	for (size_t k = 0; k < s->ninstr; k++) {
		const char *installer = installer_in(command_of(s->instr[k]));

		if (!copy && copies_everything(s->instr[k]))
			copy = s->instr[k];
		if (!installer)
			continue;
		if (copy)
			lint_report(l, LINT_CopyBeforeInstall, copy, copy->at,
				    "Every changed file repeats '%s' in line %u: copy the files it needs first, and the "
				    "rest behind it",
				    installer, s->instr[k]->line);
		return;
	}
}

void lint_ours(struct lint *l, const struct file *f)
{
	for (size_t i = 0; i < f->nstage; i++) {
		const struct stage *s = f->stage[i];

		for (size_t k = 0; k < s->ninstr; k++)
			check_script(l, s->instr[k]);
		check_order(l, s);
	}
	check_lists_of_image(l, f);
}
