/* build/context/context.c - the table of kinds; which Dockerfile and which ignore file belong to a context (12.1, 13.3). */
#include "build/context/context.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "build/wait.h"
#include "layers/pick.h"
#include "parser/ignore.h"

enum { DOCKERFILE_MAX = 16 << 20, IGNORE_MAX = 4 << 20 };

/* The first that takes it; the last one takes everything. */
static const struct context_kind *const kinds[] = { &context_stdin, &context_git, &context_http, &context_dir };

void context_free(struct context *c)
{
	if (!c)
		return;
	if (c->known) {
		/* A cache that cannot be written costs time, not the build. */
		(void)statcache_save(c->known, NULL);
		statcache_close(c->known);
	}
	fd_closep(&c->dir);
	pats_freep(&c->ignore);
	buf_free(&c->file);
	free(c->path);
	free(c->ignore_name);
	free(c->file_name);
	if (c->tmp[0])
		store_tmp_drop(c->app->store, c->tmp);
	free(c);
}

void context_freep(struct context **c)
{
	context_free(take(c));
}

struct statcache *context_known(struct context *c)
{
	if (!c->known && !c->forgetful && c->path)
		(void)statcache_open(c->app->store, c->path, &c->known, NULL);
	c->forgetful = !c->known;
	return c->known;
}

int context_tmp(struct context *c, int *ret_dir, struct err **e)
{
	if (app_store(c->app, e) < 0 || store_tmp(c->app->store, c->tmp, e) < 0)
		return -1;
	*ret_dir = at_open_store(store_fd(c->app->store), c->tmp, O_RDONLY | O_DIRECTORY, 0, e);
	return *ret_dir < 0 ? -1 : 0;
}

int context_read_host(const struct context *c, const char *path, struct buf *out, struct err **e)
{
	struct err *why = NULL;

	if (wait_read_file(c->app, path, out, &why) == 0)
		return 0;
	int code = err_errnum(why);
	if (code == ENOENT || code == ENOTDIR) {
		err_free(why);
		return CONTEXT_MISSING;
	}
	if (err_kind(why) == ERR_HOST)
		err_kind_set(&why, ERR_INPUT);
	*e = why;
	return err_wrap(e, "cannot read '%s'", path);
}

/* shown: the whole of path, for messages. */
static int read_below(int dir, const char *path, const char *shown, struct buf *out, struct err **e)
{
	int rc = at_read(dir, path, out, e);

	if (rc < 0) {
		if (err_kind(*e) == ERR_HOST)
			err_kind_set(e, ERR_INPUT);
		return err_wrap(e, "cannot read %s", shown);
	}
	return rc == AT_MISSING ? CONTEXT_MISSING : 0;
}

int context_read(int dir, const char *path, struct buf *out, struct err **e)
{
	AUTO(mem_freep) char *shown = mem_printf("'%s' of the build context", path);

	return read_below(dir, path, shown, out, e);
}

/* ---- the Dockerfile (13.3) */

static int file_missing(const char *name, struct err **e)
{
	err_set(e, ERR_INPUT, "failed to read dockerfile: open %s: no such file or directory", name);
	return err_hint(e, "it is called Dockerfile and lies in the build context, unless -f FILE names another");
}

/* "some/dir/Dockerfile" also as "some/dir/dockerfile". NULL: it is called otherwise. */
static char *lower_name(const char *path)
{
	struct slice s = slice_of(path);

	if (!slice_is(s, "Dockerfile") && !slice_ends(s, "/Dockerfile"))
		return NULL;
	char *lower = mem_str(path);
	lower[s.n - strlen("Dockerfile")] = 'd';
	return lower;
}

static int try_file(struct context *c, bool host, const char *name, struct err **e)
{
	int rc = host ? context_read_host(c, name, &c->file, e) : c->dir < 0 ? CONTEXT_MISSING : context_read(c->dir, name, &c->file, e);

	if (rc == 0) {
		c->file_name = mem_str(name);
		c->file_host = host;
	}
	return rc;
}

static int find_file(struct context *c, bool host, const char *name, struct err **e)
{
	AUTO(mem_freep) char *lower = lower_name(name);
	int rc = try_file(c, host, name, e);

	if (rc == CONTEXT_MISSING && lower)
		rc = try_file(c, host, lower, e);
	return rc;
}

static int read_file(struct context *c, const struct build_req *r, struct err **e)
{
	int rc;

	if (c->file_done)
		return 0;
	if (r->file && strcmp(r->file, "-") == 0) {
		AUTO(fd_closep) int in = fd_dup(STDIN_FILENO, e);

		c->file_name = mem_str("-");
		return in < 0 || wait_read_all(c->app, in, &c->file, e) < 0 ? err_wrap(e, "cannot read the Dockerfile from standard input") : 0;
	}
	/* For a local context -f is a path of the host; what is not there may be meant from the context's root. */
	rc = find_file(c, r->file && c->kind->local, r->file ? r->file : "Dockerfile", e);
	if (rc == CONTEXT_MISSING && r->file && c->kind->local && r->file[0] != '/')
		rc = find_file(c, false, r->file, e);
	if (rc == CONTEXT_MISSING && !r->file)
		rc = find_file(c, false, "Containerfile", e);
	return rc == CONTEXT_MISSING ? file_missing(r->file ? r->file : "Dockerfile", e) : rc;
}

/* ---- the ignore file (12.1) */

static int set_ignore(struct context *c, const char *name, const struct buf *text, struct err **e)
{
	c->ignore_name = mem_str(name);
	if (ignore_parse(name, buf_view(text), &c->ignore, e) < 0)
		return err_wrap(e, "failed parsing '%s'", name);
	return 0;
}

/* Of a Dockerfile anywhere on the host: its folder is the root, for it may have come with the rest of a foreign tree (D8). */
static int beside(const char *file, const char *name, struct buf *text, struct err **e)
{
	const char *slash = strrchr(file, '/');
	size_t n = slash ? (size_t)(slash + 1 - file) : 0;
	AUTO(mem_freep) char *dir = n ? mem_strn(file, n) : mem_str(".");
	AUTO(fd_closep) int fd = fd_open_host(dir, O_RDONLY | O_DIRECTORY, 0, e);
	AUTO(mem_freep) char *shown = mem_printf("'%s'", name);

	return fd < 0 ? -1 : read_below(fd, name + n, shown, text, e);
}

/* The one that belongs to this Dockerfile alone lies beside it. */
static int specific_ignore(struct context *c, struct buf *text, struct err **e)
{
	if (strcmp(c->file_name, "-") == 0)
		return CONTEXT_MISSING;
	AUTO(mem_freep) char *name = mem_printf("%s.dockerignore", c->file_name);
	int rc = c->file_host ? beside(c->file_name, name, text, e) : context_read(c->dir, name, text, e);
	return rc ? rc : set_ignore(c, name, text, e);
}

static int root_ignore(struct context *c, bool other, struct buf *text, struct err **e)
{
	static const char *const names[] = { ".dockerignore", ".containerignore" };

	for (size_t i = 0; i < (other ? countof(names) : 1); i++) {
		int rc = context_read(c->dir, names[i], text, e);

		if (rc != CONTEXT_MISSING)
			return rc ? rc : set_ignore(c, names[i], text, e);
	}
	return 0;
}

static int read_ignore(struct context *c, const struct build_req *r, struct err **e)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(IGNORE_MAX);
	int rc;

	if (!c->kind->local || c->dir < 0)
		return 0;
	if (r->ignorefile) {
		rc = context_read_host(c, r->ignorefile, &text, e);
		if (rc == CONTEXT_MISSING)
			return err_set(e, ERR_INPUT, "the ignore file '%s' does not exist", r->ignorefile);
		return rc ? rc : set_ignore(c, r->ignorefile, &text, e);
	}
	rc = specific_ignore(c, &text, e);
	return rc == CONTEXT_MISSING ? root_ignore(c, true, &text, e) : rc;
}

/* ---- opening */

static struct context *context_new(struct app *a, const char *spec)
{
	struct context *c = mem_zalloc(sizeof(*c));

	*c = (struct context){ .app = a, .spec = spec, .dir = -1, .time = INT64_MIN, .file = BUF_MAX(DOCKERFILE_MAX) };
	for (size_t i = 0; !c->kind; i++)
		if (kinds[i]->is(spec))
			c->kind = kinds[i];
	return c;
}

/* --context-sub-path: from now on that directory is the context. */
static int enter(struct context *c, const char *sub, struct err **e)
{
	AUTO(fd_closep) int whole = fd_take(&c->dir);

	c->dir = whole < 0 ? -1 : at_open(whole, sub, O_RDONLY | O_DIRECTORY, 0, e);
	if (whole < 0)
		return err_set(e, ERR_USAGE, "there is no '%s' in a context without files", sub);
	if (c->dir < 0) {
		err_kind_set(e, ERR_SOURCE);
		return err_wrap(e, "cannot open '%s' of the build context", sub);
	}
	if (c->path) {
		char *path = mem_printf("%s/%s", c->path, sub);

		free(c->path);
		c->path = path;
	}
	return 0;
}

int context_open(struct app *a, const struct build_req *r, struct context **ret, struct err **e)
{
	if (!r->context) {
		err_set(e, ERR_USAGE, "no build context was given");
		return err_hint(e, "name a directory, such as '.', a URL, or '-' for standard input");
	}
	if (strcmp(r->context, "-") == 0 && r->file && strcmp(r->file, "-") == 0)
		return err_set(e, ERR_USAGE, "the build context and the Dockerfile cannot both come from standard input");
	AUTO(context_freep) struct context *c = context_new(a, r->context);
	if (app_store(a, e) < 0 || c->kind->open(c, r, e) < 0 || (r->sub_path && enter(c, r->sub_path, e) < 0) || read_file(c, r, e) < 0 || read_ignore(c, r, e) < 0)
		return -1;
	*ret = take(&c);
	return 0;
}

int context_open_files(struct app *a, const struct build_req *r, struct context **ret, struct err **e)
{
	AUTO(context_freep) struct context *c = context_new(a, r->context);

	if (app_store(a, e) < 0 || c->kind->open(c, r, e) < 0)
		return -1;
	/* Which Dockerfile it would be matters for its own ignore file alone. */
	if (!c->file_name)
		c->file_name = mem_str(r->file ? r->file : "Dockerfile");
	c->file_host = r->file && c->kind->local;
	if (read_ignore(c, r, e) < 0)
		return -1;
	*ret = take(&c);
	return 0;
}

int context_open_named(struct app *a, const struct build_req *r, const char *spec, struct context **ret, struct err **e)
{
	AUTO(buf_freep) struct buf text = BUF_MAX(IGNORE_MAX);
	static const char *const prefix[] = { "local:", "git:" };

	assert(spec);
	for (size_t i = 0; i < countof(prefix); i++)
		if (slice_starts(slice_of(spec), prefix[i]) && !slice_starts(slice_of(spec), "git://"))
			spec += strlen(prefix[i]);
	if (strcmp(spec, "-") == 0)
		return err_set(e, ERR_USAGE, "invalid context specifier: a named context cannot come from standard input");
	if (context_is_dir(spec) && (strstr(spec, "://") || slice_starts(slice_of(spec), "target:") || slice_starts(slice_of(spec), "input:"))) {
		err_set(e, ERR_INPUT, "unsupported context source '%.*s'", (int)strcspn(spec, ":"), spec);
		return err_hint(e, "a directory, a git or http(s) address, docker-image://REF, oci-layout://DIR or target:STAGE");
	}
	AUTO(context_freep) struct context *c = context_new(a, spec);
	c->named = true;
	if (app_store(a, e) < 0 || c->kind->open(c, r, e) < 0)
		return -1;
	if (c->kind->local && root_ignore(c, false, &text, e) < 0)
		return -1;
	*ret = take(&c);
	return 0;
}

/* ---- looking into it */

int context_list(const struct context *c, context_each *fn, void *arg, struct err **e)
{
	struct pick_source all = { .path = "/", .content_fd = -1 };
	struct pick_req req = { .source = &all, .nsource = 1, .dest = "/", .spool = -1 };
	AUTO(pick_tree_freep) struct pick_tree *t = c->dir < 0 ? NULL : pick_tree_dir(c->dir, c->ignore);
	AUTO(picked_freep) struct picked *p = NULL;

	if (!t)
		return 0;
	if (pick_run(t, NULL, &req, &p, e) < 0)
		return -1;
	for (size_t i = 0; i < picked_count(p); i++) {
		struct picked_item item;

		picked_at(p, i, &item);
		int rc = fn(arg, item.en, e);
		if (rc)
			return rc;
	}
	return 0;
}

static int newest(void *arg, const struct entry *en, struct err **e)
{
	int64_t *t = arg;

	if (en->type == ENTRY_FILE && en->mtime > *t)
		*t = en->mtime;
	return 0;
}

int context_time(const struct context *c, int64_t *ret, struct err **e)
{
	*ret = c->time;
	return c->time == INT64_MIN && c->archive ? context_list(c, newest, ret, e) : 0;
}

/* The verdict of 12.3, walked from the top as the build does. */
static void judge(const struct pats *p, const char *path, struct context_verdict *v)
{
	struct pats_hits up = { 0 }, self = { 0 };

	for (size_t n = 1; path[0] && n <= strlen(path); n++) {
		if (path[n] && path[n] != '/')
			continue;
		pats_hits_init(&self, p);
		pats_judge(p, (struct slice){ path, n }, up.hit ? &up : NULL, &self);
		if (self.decided_by >= 0) {
			size_t i = (size_t)self.decided_by;

			/* Above, the same line hit already. */
			if (!v->at || pats_line(p, i) != v->line) {
				free(v->at);
				v->at = mem_strn(path, n);
			}
			v->line = pats_line(p, i);
			v->pattern = pats_text(p, i);
			v->negative = !self.ignored;
		}
		v->ignored = self.ignored;
		pats_hits_clear(&up);
		up = self;
		self = (struct pats_hits){ 0 };
	}
	pats_hits_clear(&up);
}

bool context_hides(const struct context *c, const char *word)
{
	AUTO(buf_freep) struct buf clean = BUF_MAX(1 << 20);
	struct context_verdict v = { 0 };
	static const char *const all[] = { "*", "**", "**/*" };

	if (!c->ignore || pats_has_negative(c->ignore))
		return false;
	path_clean(slice_of(word), &clean);
	if (slice_is(buf_view(&clean), ".") || slice_is(buf_view(&clean), "/")) {
		for (size_t i = 0; i < pats_count(c->ignore) * countof(all); i++)
			if (slice_is(pats_text(c->ignore, i / countof(all)), all[i % countof(all)]))
				return true;
		return false;
	}
	judge(c->ignore, clean.p, &v);
	context_verdict_clear(&v);
	return v.ignored;
}

static int seen(void *arg, const struct entry *en, struct err **e)
{
	return strcmp(en->path, arg) == 0;
}

int context_explain(const struct context *c, const char *path, struct context_verdict *ret, struct err **e)
{
	AUTO(buf_freep) struct buf clean = BUF_MAX(8192);
	AUTO(fd_closep) int dir = -1;
	const char *name = "";
	struct stat st = { 0 };

	*ret = (struct context_verdict){ 0 };
	path_clean(slice_of(path + strspn(path, "/")), &clean);
	if (buf_ok(&clean, "path", e) < 0)
		return -1;
	const char *own = strcmp(clean.p, ".") == 0 ? "" : clean.p;
	if (c->dir < 0)
		return 0;
	int rc = at_parent(c->dir, own, &dir, &name, e);
	if (rc == 0 && name[0])
		rc = at_stat(dir, name, &st, e);
	if (rc < 0)
		return -1;
	ret->exists = rc == 0;
	if (c->ignore)
		judge(c->ignore, own, ret);
	if (ret->exists && ret->ignored && name[0] && S_ISDIR(st.st_mode)) {
		rc = context_list(c, seen, (void *)own, e);
		if (rc < 0)
			return -1;
		ret->rescued = rc == 1;
	}
	return 0;
}

void context_verdict_clear(struct context_verdict *v)
{
	mem_freep(&v->at);
}
