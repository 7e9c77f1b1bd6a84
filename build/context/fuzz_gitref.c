/* build/context/fuzz_gitref.c - any bytes as a source of ADD: what becomes a git reference is nothing that git takes for an option (D11). */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "build/context/git.h"
#include "build/context/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_ref(const struct git_ref *g)
{
	struct git_ref again = { 0 };

	assert(g->remote[0] != '-' && g->host[0] && g->host[0] != '-');
	assert(!strpbrk(g->remote, "?#"));
	assert(!g->ref || (g->ref[0] && g->ref[0] != '-' && !strstr(g->ref, "..")));
	assert(!g->subdir || g->subdir[0] != '-');
	assert(!g->by_commit || git_full_hash(g->checksum));
	/* The remote alone names the same place. */
	assert(git_parse(g->remote, false, &again, NULL) == 0);
	assert(strcmp(again.remote, g->remote) == 0 && strcmp(again.host, g->host) == 0 && !again.ref && !again.subdir);
	git_ref_clear(&again);
}

/* As the address of a submodule: what is counted from ours stays on our host. */
static void check_module(const char *text)
{
	const struct git_ref of = { .remote = (char *)"https://h/a/b.git", .host = (char *)"h" };
	struct git_ref g = { 0 };

	if (git_parse_module(&of, text, "0123", &g, NULL) < 0)
		return;
	assert(g.remote[0] != '-' && g.host[0] && g.host[0] != '-' && g.by_commit);
	assert(text[0] != '.' || (strncmp(g.remote, "https://h/", 10) == 0 && strcmp(g.host, "h") == 0));
	git_ref_clear(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(mem_freep) char *text = mem_strn((const char *)data, size);
	AUTO(mem_freep) char *name = http_file_name(text);
	struct git_ref g = { 0 };
	struct err *e = NULL;
	int rc = git_parse(text, size % 2, &g, &e);

	assert(name[0] && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
	check_module(text);
	assert((rc < 0) == (e != NULL));
	assert((rc == GIT_NOT) == !git_is(text, size % 2));
	if (rc == 0)
		check_ref(&g);
	git_ref_clear(&g);
	err_free(e);
	return 0;
}
