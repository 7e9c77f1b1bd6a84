/* tests/unit/err.c - the chain as the user reads it, and across a process boundary. */
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "tests/tap.h"

#include <errno.h>

static char *printed(const struct err *e)
{
	struct buf b = BUF_MAX(1 << 16);

	err_print(e, &b);
	return buf_steal(&b);
}

static void chain(void)
{
	AUTO(err_freep) struct err *e = NULL;

	is_int(err_set(&e, ERR_INPUT, "it is a link to '%s'", "/etc/app.cfg"), -1, "err_set returns -1");
	err_hint(&e, "copy the file into the context");
	err_wrap(&e, "cannot read it");
	err_wrap(&e, "COPY app/cfg /srv: cannot copy 'app/cfg'");
	err_hint(&e, "a later hint");
	err_place(&e, "Dockerfile:7", "   7 | COPY app/cfg /srv\n     |      ^^^^^^^");
	err_place(&e, "elsewhere", NULL);

	AUTO(mem_freep) char *text = printed(e);
	is_str(text,
	       "Dockerfile:7: COPY app/cfg /srv: cannot copy 'app/cfg'\n"
	       "       7 | COPY app/cfg /srv\n"
	       "         |      ^^^^^^^\n"
	       "  because: cannot read it\n"
	       "  because: it is a link to '/etc/app.cfg'\n"
	       "  try: copy the file into the context\n",
	       "place, intent, excerpt, causes, hint");
	is_str(err_text(e), "COPY app/cfg /srv: cannot copy 'app/cfg'", "the text is the outermost sentence");
	is_str(err_cause(e), "it is a link to '/etc/app.cfg'", "the cause is the innermost sentence");
	ok(err_placed(e) && err_kind(e) == ERR_INPUT && err_status(e) == 2, "kind, status and place are kept");

	struct buf json = BUF_MAX(1 << 16);
	err_json(e, &json);
	is_str(json.p,
	       "{\"kind\":\"input\",\"status\":2,\"messages\":[\"COPY app/cfg /srv: cannot copy 'app/cfg'\","
	       "\"cannot read it\",\"it is a link to '/etc/app.cfg'\"],\"where\":\"Dockerfile:7\",\"file\":\"Dockerfile\",\"line\":7,"
	       "\"hint\":\"copy the file into the context\"}",
	       "the same as JSON");
	buf_free(&json);
}

static void hostile_text(void)
{
	AUTO(err_freep) struct err *e = NULL;

	err_set(&e, ERR_SOURCE, "server says\x1b[2J\n  try: rm -rf /\n");
	AUTO(mem_freep) char *text = printed(e);
	is_str(text, "server says\\x1b[2J\n      try: rm -rf /\n", "X7: control bytes are escaped, lines indented");
}

static void first_wins(void)
{
	AUTO(err_freep) struct err *e = NULL;

	err_set(&e, ERR_STEP, "the cause");
	err_errno(&e, ERR_HOST, ENOSPC, "what failed later");
	AUTO(mem_freep) char *text = printed(e);
	is_str(text, "the cause\n", "a second cause does not hide the first");
	is_int(err_set(NULL, ERR_BUG, "nobody listens"), -1, "no place for an error is fine");
	is_int(err_wrap(NULL, "nobody listens"), -1, "wrapping nothing is fine");
	is_int(err_status(NULL), 70, "no error where one was expected is a bug");
}

static void with_errno(void)
{
	AUTO(err_freep) struct err *e = NULL;

	err_errno(&e, ERR_HOST, ENOSPC, "cannot write '%s'", "x");
	AUTO(mem_freep) char *text = printed(e);
	is_str(text, "cannot write 'x': no space left on device\n  try: free some space, for example with 'kiln prune'\n",
	       "F2: a full disk comes with the remedy");
	is_int(err_errnum(e), ENOSPC, "errno is kept");
	err_kind_set(&e, ERR_PUSH);
	is_int(err_status(e), 4, "the kind can be changed");
}

static void across(void)
{
	AUTO(err_freep) struct err *e = NULL, *copy = NULL;
	struct buf packed = BUF_MAX(1 << 16);

	err_errno(&e, ERR_TIMEOUT, EIO, "inner");
	err_wrap(&e, "outer");
	err_hint(&e, "wait");
	err_place(&e, "here:1", "excerpt");
	err_pack(e, &packed);
	err_unpack(buf_view(&packed), &copy);
	AUTO(mem_freep) char *a = printed(e);
	AUTO(mem_freep) char *b = printed(copy);
	is_str(b, a, "pack and unpack give the same message");
	ok(err_kind(copy) == ERR_TIMEOUT && err_errnum(copy) == EIO, "and the same kind and errno");

	bool all = true;
	for (size_t n = 0; n < packed.n; n++) {
		AUTO(err_freep) struct err *torn = NULL;
		AUTO(mem_freep) char *exact = mem_dup(packed.p, n);

		err_unpack((struct slice){ exact, n }, &torn);
		all = all && torn && err_kind(torn) == ERR_BUG;
	}
	ok(all, "every shorter form is a bug report, not a crash");
	for (size_t i = 0; i < packed.n; i++) {
		AUTO(err_freep) struct err *bent = NULL;

		packed.p[i] ^= (char)0xff;
		err_unpack(buf_view(&packed), &bent);
		packed.p[i] ^= (char)0xff;
		all = all && bent;
	}
	ok(all, "every flipped byte still gives an error");
	buf_free(&packed);
}

static void kinds(void)
{
	static const struct {
		enum err_kind kind;
		int status;
	} cases[] = {
		{ ERR_INPUT, 2 }, { ERR_STEP, 1 },    { ERR_SOURCE, 3 }, { ERR_PUSH, 4 },      { ERR_CACHE, 5 },
		{ ERR_LIMIT, 6 }, { ERR_USAGE, 125 }, { ERR_HOST, 125 }, { ERR_TIMEOUT, 124 }, { ERR_BUG, 70 },
	};

	for (size_t i = 0; i < countof(cases); i++) {
		AUTO(err_freep) struct err *e = NULL;

		err_set(&e, cases[i].kind, "x");
		ok(err_status(e) == cases[i].status, "kind %d exits with %d", (int)cases[i].kind, cases[i].status);
	}
}

int main(void)
{
	chain();
	hostile_text();
	first_wins();
	with_errno();
	across();
	kinds();
	return done_testing();
}
