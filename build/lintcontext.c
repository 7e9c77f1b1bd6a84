/* build/lintcontext.c - advice that needs more than the Dockerfile: the files that COPY takes, the values of build arguments. What cannot be
 * read here is no finding: the step that needs it says so. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/at.h"
#include "base/fd.h"
#include "base/mem.h"
#include "build/context/context.h"
#include "build/op/copying.h"
#include "build/plan.h"
#include "layers/entry.h"
#include "layers/pick.h"
#include "parser/ignore.h"

/* A build that has nothing to do must not look at a whole context for advice: directories are for --check. */
enum { FIRST_LINE = 256, FILES_MAX = 500, HISTORY_MIN = 100 << 20 };

/* ---- values of build arguments */

static const struct instr *declaring(const struct plan *p, const char *name)
{
	const struct file *f = p->file;

	for (size_t i = 0; i < f->nglobal; i++)
		for (size_t j = 0; j < f->global[i]->npair; j++)
			if (strcmp(f->global[i]->pair[j].key, name) == 0)
				return f->global[i];
	for (size_t i = 0; i < f->nstage; i++)
		for (size_t k = 0; k < f->stage[i]->ninstr; k++)
			for (size_t j = 0; f->stage[i]->instr[k]->id == INSTR_ARG && j < f->stage[i]->instr[k]->npair; j++)
				if (strcmp(f->stage[i]->instr[k]->pair[j].key, name) == 0)
					return f->stage[i]->instr[k];
	return NULL;
}

static void check_build_args(struct plan *p)
{
	const struct strs *args = &p->req->build_args;

	for (size_t i = 0; i < args->n; i++) {
		struct slice name = SLICE_NONE, value = SLICE_NONE;

		if (!slice_cut(slice_of(args->v[i]), '=', &name, &value))
			continue;

		const char *kind = lint_secret_kind(value);
		AUTO(mem_freep) char *text = mem_strn(name.p, name.n);
		const struct instr *in = kind ? declaring(p, text) : NULL;

		if (in)
			lint_report(&p->lint, LINT_SecretValue, in, (struct span){ 0 },
				    "The value given for the build argument %s looks like %s: the image's history will hold it; use "
				    "--secret and RUN --mount=type=secret",
				    text, kind);
	}
}

/* ---- scripts that do not start */

static bool starts_wrong(int dir, const char *name)
{
	AUTO(fd_closep) int fd = -1;
	struct stat st = { 0 };
	char head[FIRST_LINE];

	if (at_open_file(dir, name, &fd, &st, NULL) != 0 || !S_ISREG(st.st_mode))
		return false;

	ssize_t n = pread(fd, head, sizeof(head), 0);
	const char *end = n > 3 && head[0] == '#' && head[1] == '!' ? memchr(head, '\n', (size_t)n) : NULL;

	return end && end[-1] == '\r';
}

/* A command of the stage that takes them out again. */
static bool is_repaired(const struct pstage *ps)
{
	for (size_t i = 0; i < ps->ninstr; i++) {
		const char *text = ps->instr[i]->id == INSTR_RUN ? ps->instr[i]->run_text : NULL;

		if (text && (strstr(text, "dos2unix") || strstr(text, "\\r") || strstr(text, "\\015")))
			return true;
	}
	return false;
}

static bool is_visible(const struct context *c, const char *path)
{
	struct context_verdict v = { 0 };
	bool visible = context_explain(c, path, &v, NULL) == 0 && v.exists && !v.ignored;

	context_verdict_clear(&v);
	return visible;
}

static void tell_script(struct plan *p, const struct step *s, const struct word *w, const char *path)
{
	if (is_visible(p->context, path))
		lint_report(&p->lint, LINT_CarriageReturnInScript, s->in, w->at,
			    "The first line of '%s' ends in CR LF: its interpreter's name will not be found; convert the file, or check it out "
			    "with eol=lf (.gitattributes)",
			    path);
}

/* Programs of the directory itself and one level below. */
static void check_scripts_in(struct plan *p, const struct step *s, const struct word *w, const char *path, unsigned depth, unsigned *left)
{
	AUTO(fd_closep) int dir = at_open(p->context->dir, path, O_RDONLY | O_DIRECTORY, 0, NULL);
	struct at_names names = { 0 };

	if (dir < 0 || at_list(dir, &names, NULL) < 0)
		return;
	for (size_t i = 0; i < names.n && *left; i++) {
		AUTO(mem_freep) char *full = *path ? mem_printf("%s/%s", path, names.name[i]) : mem_str(names.name[i]);
		struct stat st = { 0 };

		if (at_stat(dir, names.name[i], &st, NULL) != 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth && strcmp(names.name[i], ".git") != 0)
			check_scripts_in(p, s, w, full, depth - 1, left);
		if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111 || slice_ends(slice_of(full), ".sh")))
			continue;
		--*left;
		if (starts_wrong(dir, names.name[i]))
			tell_script(p, s, w, full);
	}
	at_names_clear(&names);
}

static void check_scripts(struct plan *p, const struct step *s, const struct copy_source *from, const char *path)
{
	unsigned left = FILES_MAX;

	if (is_repaired(s->stage))
		return;
	if (*path && starts_wrong(p->context->dir, path))
		tell_script(p, s, from->word, path);
	else if (p->check_only)
		check_scripts_in(p, s, from->word, path, 1, &left);
}

/* ---- .git */

static int add_size(void *arg, const struct entry *en, struct err **e)
{
	uint64_t *total = arg;

	*total += en->type == ENTRY_FILE ? en->size : 0;
	return *total > HISTORY_MIN;
}

/* Where the history of a repository is, when there is much of it. */
static uint64_t pack_bytes(const struct context *c)
{
	AUTO(fd_closep) int dir = at_open(c->dir, ".git/objects/pack", O_RDONLY | O_DIRECTORY, 0, NULL);
	AUTO(at_names_clear) struct at_names names = { 0 };
	uint64_t total = 0;
	struct stat st;

	if (dir < 0 || at_list(dir, &names, NULL) < 0)
		return 0;
	for (size_t i = 0; i < names.n; i++)
		total += at_stat(dir, names.name[i], &st, NULL) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	return total;
}

/* A check adds everything up; a build, which may have nothing to do, looks at the packs alone. */
static bool is_large(struct plan *p)
{
	uint64_t total = 0;

	return p->check_only ? context_list(p->context, add_size, &total, NULL) == 1 : pack_bytes(p->context) > HISTORY_MIN;
}

static void check_history(struct plan *p, const struct step *s, const struct copy *c, const struct copy_source *from)
{
	for (size_t i = 0; i < c->nexclude; i++)
		if (strstr(c->exclude[i], ".git"))
			return;
	if (is_visible(p->context, ".git/HEAD") && is_large(p))
		lint_report(&p->lint, LINT_HistoryCopied, s->in, from->word->at,
			    "The context is over 100 MB, and this takes .git along: every commit repeats the step, and the whole history is in "
			    "the image; add .git to %s",
			    p->context->ignore_name ? p->context->ignore_name : ".dockerignore");
}

/* ---- patterns (9.2 rule 5) */

struct matching {
	struct plan *p;
	const struct step *s;
	const struct copy_source *from;
	bool parents;
	bool repaired;                   /* scripts are none of our business */
	unsigned left, n;
};

static int matched(void *arg, const char *path, bool dir)
{
	struct matching *m = arg;

	m->n++;
	if (m->repaired)
		return 1;
	if (!dir && starts_wrong(m->p->context->dir, path))
		tell_script(m->p, m->s, m->from->word, path);
	else if (dir && m->p->check_only)
		check_scripts_in(m->p, m->s, m->from->word, path, 1, &m->left);
	return m->left == 0 || --m->left == 0;
}

static int first_match(void *arg, const char *path, bool dir)
{
	*(char **)arg = mem_str(path);
	return 1;
}

static int each_match(const struct matching *m, struct pick_tree *t, size_t most, pick_name_fn *fn, void *arg)
{
	const char *word = m->from->text;

	return m->parents ? pick_matches_parents(t, word, fn, arg, NULL) : pick_matches(t, word, most, fn, arg, NULL);
}

/* Nothing is copied then, silently: worth a word when the ignore file or a letter is behind it. */
static void tell_nothing(const struct matching *m)
{
	const struct context *c = m->p->context;
	AUTO(pick_tree_freep) struct pick_tree *seen = pick_tree_dir(c->dir, c->ignore);
	AUTO(pick_tree_freep) struct pick_tree *all = pick_tree_dir(c->dir, NULL);
	AUTO(mem_freep) char *hidden = NULL;
	AUTO(mem_freep) char *near = NULL;
	struct context_verdict v = { 0 };

	(void)each_match(m, all, 1, first_match, &hidden);
	if (hidden && context_explain(c, hidden, &v, NULL) == 0 && v.ignored)
		lint_report(&m->p->lint, LINT_PatternMatchesNothing, m->s->in, m->from->word->at,
			    "'%s' matches nothing: '%s' is hidden by %s:%u: %.*s", m->from->text, hidden,
			    c->ignore_name ? c->ignore_name : "the ignore file", v.line, SLICE_F(v.pattern));
	else if ((near = pick_near_match(seen, m->from->text)))
		lint_report(&m->p->lint, LINT_PatternMatchesNothing, m->s->in, m->from->word->at, "'%s' matches nothing (did you mean '%s'?)",
			    m->from->text, near);
	context_verdict_clear(&v);
}

/* A pattern of any depth is for --check, too. */
static void check_pattern(struct plan *p, const struct step *s, const struct copy_source *from, bool parents)
{
	AUTO(pick_tree_freep) struct pick_tree *t = pick_tree_dir(p->context->dir, p->context->ignore);
	struct matching m = { .p = p, .s = s, .from = from, .parents = parents, .repaired = is_repaired(s->stage), .left = FILES_MAX };

	if (parents && !p->check_only && strstr(from->text, "**"))
		return;
	if (each_match(&m, t, FILES_MAX, matched, &m) == 0 && m.n == 0 && !context_hides(p->context, from->text))
		tell_nothing(&m);
}

static void check_copy(struct plan *p, const struct step *s)
{
	const struct copy *c = s->data;

	for (size_t i = 0; i < c->nsource && !c->from; i++) {
		const struct copy_source *from = &c->source[i];
		AUTO(buf_freep) struct buf clean = BUF_MAX(8192);

		if (from->kind != COPY_PATH)
			continue;
		if (glob_has_meta(slice_of(from->text))) {
			check_pattern(p, s, from, c->parents);
			continue;
		}
		path_clean(slice_of(from->text + strspn(from->text, "/")), &clean);
		if (clean.over || !clean.p)
			continue;

		bool all = strcmp(clean.p, ".") == 0 || !*clean.p;

		check_scripts(p, s, from, all ? "" : clean.p);
		if (all)
			check_history(p, s, c, from);
	}
}

void lint_context(struct plan *p)
{
	check_build_args(p);
	if (!p->context || p->context->dir < 0)
		return;
	for (size_t i = 0; i < p->nstep; i++) {
		const struct step *s = p->step[i];

		if ((s->in->id == INSTR_COPY || s->in->id == INSTR_ADD) && !s->stage->hidden && !s->trigger)
			check_copy(p, s);
	}
}
