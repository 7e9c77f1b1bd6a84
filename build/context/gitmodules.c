/* build/context/gitmodules.c - the submodules of a repository, and theirs (spec/dockerfile.md 10.4.1, spec/threats.md D11, D12).
 *
 * Each is a repository of its own: git's "submodule" would ask every server for a shallow clone, which not all of them can give, and would count the
 * "../x" of a submodule from the address that our settings name.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/at.h"
#include "base/mem.h"
#include "build/context/gitrun.h"

enum { MODULES_MAX = 1000, SETTINGS_MAX = 1 << 20, INDEX_MAX = 64 << 20 };

struct module {
	char *path;                      /* from the tree's root */
	struct git_ref ref;
};
struct modules {
	struct module *v;
	size_t n, cap;
};

static void modules_clear(struct modules *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->v[i].path);
		git_ref_clear(&m->v[i].ref);
	}
	free(m->v);
}

/* .gitmodules as "submodule.NAME.KEY\nVALUE\0"... */
static int settings_read(struct git *g, struct buf *ret, struct err **e)
{
	static const char *const words[] = { "config", "-z", "-f", ".gitmodules", "--get-regexp", "^submodule\\.", NULL };
	AUTO(buf_freep) struct buf said = BUF_MAX(4096);
	struct stat st;

	int rc = at_stat(g->tree, ".gitmodules", &st, e);
	if (rc)
		return rc < 0 ? -1 : 0;
	/* git itself does not read one that is a link. */
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_SOURCE, "'.gitmodules' of '%s' is not a file", g->shown);
	rc = git_try(g, words, ret, &said, e);
	/* 1: nothing of that name. */
	return rc <= 1 ? (rc < 0 ? -1 : 0) : git_said(g, "config", &said, e);
}

/* The next setting of the list: name and key from "submodule.NAME.KEY". */
static bool setting_next(struct slice *rest, struct slice *name, struct slice *key, struct slice *value)
{
	static const char prefix[] = "submodule.";
	struct slice item;

	while (rest->n) {
		if (!slice_cut(*rest, '\0', &item, rest))
			*rest = SLICE_NONE;
		if (!slice_cut(item, '\n', name, value) || !slice_starts(*name, prefix))
			continue;
		*name = slice_skip(*name, sizeof(prefix) - 1);
		const char *dot = memrchr(name->p, '.', name->n);
		if (!dot)
			continue;
		*key = slice_range(dot + 1, name->p + name->n);
		*name = slice_range(name->p, dot);
		return true;
	}
	return false;
}

/* The last one counts, as in git. */
static struct slice setting_get(struct slice all, struct slice of, const char *what)
{
	struct slice name, key, value, found = SLICE_NONE;

	while (setting_next(&all, &name, &key, &value))
		if (slice_equal(name, of) && slice_is(key, what))
			found = value;
	return found;
}

static struct slice name_of(struct slice all, struct slice path)
{
	struct slice rest = all, name, key, value;

	while (setting_next(&rest, &name, &key, &value))
		if (slice_is(key, "path") && slice_equal(value, path))
			return name;
	return SLICE_NONE;
}

static int module_add(struct git *g, struct modules *all, const char *parent, struct slice settings, struct slice path, struct slice commit, struct err **e)
{
	struct slice name = name_of(settings, path), url = setting_get(settings, name, "url");
	AUTO(mem_freep) char *text = mem_strn(url.p, url.n);
	AUTO(mem_freep) char *hash = mem_strn(commit.p, commit.n);
	struct git_ref ref = { 0 };

	if (!name.n || !url.n) {
		err_set(e, ERR_SOURCE, "submodule '%.*s' of '%s' has no url in .gitmodules", SLICE_F(path), g->shown);
		return err_hint(e, "add ?submodules=false to the address to do without submodules");
	}
	if (slice_is(setting_get(settings, name, "update"), "none"))
		return 0;
	if (all->n == MODULES_MAX)
		return err_set(e, ERR_LIMIT, "'%s' has more than %d submodules", g->shown, MODULES_MAX);
	if (git_parse_module(g->r->ref, text, hash, &ref, e) < 0)
		return err_wrap(e, "'%s' has a submodule '%.*s'", g->shown, SLICE_F(path));
	MEM_ROOM(all->v, all->n, all->cap);
	all->v[all->n++] = (struct module){ mem_printf("%s%s%.*s", parent, *parent ? "/" : "", SLICE_F(path)), ref };
	return 0;
}

/* Those of one repository: what its index has as "160000 <commit> <stage>\t<path>". */
static int modules_of(struct git *g, struct modules *all, const char *parent, struct err **e)
{
	AUTO(buf_freep) struct buf index = BUF_MAX(INDEX_MAX);
	AUTO(buf_freep) struct buf settings = BUF_MAX(SETTINGS_MAX);

	if (GIT(g, &index, e, "ls-files", "-s", "-z") < 0 || settings_read(g, &settings, e) < 0)
		return -1;
	for (struct slice rest = buf_view(&index), item, facts, path, commit; rest.n;) {
		if (!slice_cut(rest, '\0', &item, &rest))
			rest = SLICE_NONE;
		if (!slice_starts(item, "160000 ") || !slice_cut(item, '\t', &facts, &path) || !slice_cut(slice_skip(facts, 7), ' ', &commit, &facts))
			continue;
		if (module_add(g, all, parent, buf_view(&settings), path, commit, e) < 0)
			return -1;
	}
	return 0;
}

static int module_out(struct git *top, struct modules *all, size_t i, bool keep, struct err **e)
{
	/* The list grows while this one is made. */
	const struct module m = all->v[i];
	struct git_req r = *top->r;
	AUTO(git_clear) struct git g = { .tree = -1 };
	struct git_got got = { .commit = m.ref.checksum, .ref = (char[]){ "" } };

	r.ref = &m.ref;
	int tree = at_open_store(top->tree, m.path, O_RDONLY | O_DIRECTORY, 0, e);
	if (tree < 0 || git_init(&g, &r, top->r->ref, tree, e) < 0 || git_place(&g, &got, keep, e) < 0 || modules_of(&g, all, m.path, e) < 0)
		return err_wrap(e, "cannot fetch submodule '%s'", m.path);
	return 0;
}

int git_modules(struct git *g, bool keep, struct err **e)
{
	AUTO(modules_clear) struct modules all = { 0 };
	int rc = modules_of(g, &all, "", e);

	for (size_t i = 0; rc == 0 && i < all.n; i++)
		rc = module_out(g, &all, i, keep, e);
	return rc;
}
