/* tests/unit/expand.c - the tables of spec/dockerfile.md 3, H.2. */
#include "tests/tap.h"

#include "base/mem.h"
#include "parser/expand.h"

#include <stdlib.h>
#include <time.h>

/* B=b, v=/foo/bar/baz.tar.gz, e is empty, A and u are not set. */
static const struct { const char *name, *value; } variables[] = {
	{ "B", "b" },
	{ "v", "/foo/bar/baz.tar.gz" },
	{ "e", "" },
	{ "q", "a$b\"c" },
	{ "set", "yes" },
	{ "hash", "#*/" },
	{ "sp", "x  y" },
	{ "repl", "$1" },
	{ "1", "one" },
	{ "\xC3\xA4", "umlaut" },
	{ "nl", "a\nb" },
	{ "uni", "\xC3\xA4\xC3\xB6\xC3\xBC" },
	{ "star", "a*b" },
	{ "dots", "a.b.c" },
	{ "brace", "}" },
};

static const char *get(void *arg, struct slice name)
{
	for (size_t i = 0; i < countof(variables); i++)
		if (slice_is(name, variables[i].name))
			return variables[i].value;
	return NULL;
}

enum mode { WORD, RAW, TICK, KEEP };

static const struct { enum mode mode; const char *in, *out, *err; } cases[] = {
	/* 3.2 */
	{ WORD, "x\\ty", "xty", NULL },
	{ WORD, "\"x\\ty\"", "x\\ty", NULL },
	{ WORD, "\"x\\\\ty\"", "x\\ty", NULL },
	{ WORD, "'x\\\\ty'", "x\\\\ty", NULL },
	{ WORD, "h'e l'lo", "he llo", NULL },
	{ WORD, "\"it's\"", "it's", NULL },
	{ WORD, "it\\'s", "it's", NULL },
	{ WORD, "\\$B", "$B", NULL },
	{ WORD, "\"\\$B\"", "$B", NULL },
	{ WORD, "'$B'", "$B", NULL },
	{ WORD, "\\\\$B", "\\b", NULL },
	{ WORD, "\\${B}c", "${B}c", NULL },
	{ WORD, "${A:-\\}}", "}", NULL },
	{ WORD, "${A:-\"}\"}", "}", NULL },
	{ WORD, "\"${A:-\"x y\"}\"", "x y", NULL },
	{ WORD, "\"${A:-'x'}\"", "x", NULL },
	{ WORD, "\"${A:-\\\"x\\\"}\"", "\"x\"", NULL },
	{ RAW, "\"${A:-'x'}\" \\$B \\n", "\"'x'\" $B n", NULL },
	{ RAW, "n=$B \\$N '$B' \\n\n", "n=b $N 'b' n\n", NULL },
	{ RAW, "a\\\nb", "a\nb", NULL },
	{ RAW, "end\\", "end", NULL },
	{ RAW, "it's \"open", "it's \"open", NULL },
	{ WORD, "end\\", "end", NULL },
	{ WORD, "", "", NULL },
	{ WORD, "\"\"", "", NULL },
	{ WORD, "\xEF\xBB\xBF" "a", "a", NULL },
	{ WORD, "a\xFF" "b", "a\xEF\xBF\xBD" "b", NULL },
	{ WORD, "'open", NULL, "looking for matching single-quote" },
	{ WORD, "\"open", NULL, "looking for matching double-quote" },
	{ TICK, "a\\b`$B $B", "a\\b$B b", NULL },
	{ TICK, "\"`$`\"`x\"", "$\"`x", NULL },
	/* 3.3 */
	{ WORD, "$B", "b", NULL },
	{ WORD, "$Bx", "", NULL },
	{ WORD, "${B}x", "bx", NULL },
	{ WORD, "$1a", "onea", NULL },
	{ WORD, "$\xC3\xA4", "umlaut", NULL },
	{ WORD, "$$", "", NULL },
	{ WORD, "$?x", "x", NULL },
	{ WORD, "$", "$", NULL },
	{ WORD, "$/a", "$/a", NULL },
	{ WORD, "a$ b", "a$ b", NULL },
	{ WORD, "\"$\"", "$", NULL },
	{ WORD, "${u}", "", NULL },
	{ WORD, "${u:-w}|${e:-w}|${B:-w}", "w|w|b", NULL },
	{ WORD, "${u-w}|${e-w}|${B-w}", "w||b", NULL },
	{ WORD, "${u:+w}|${e:+w}|${B:+w}", "||w", NULL },
	{ WORD, "${u+w}|${e+w}|${B+w}", "|w|w", NULL },
	{ WORD, "${B:?w}${B?w}${e?w}", "bb", NULL },
	{ WORD, "${u:?w}", NULL, "u: w" },
	{ WORD, "${e:?w}", NULL, "e: w" },
	{ WORD, "${u?w}", NULL, "u: w" },
	{ WORD, "${u:?}", NULL, "is not allowed to be unset" },
	{ WORD, "${e:?}", NULL, "is not allowed to be empty" },
	{ WORD, "${u?}", NULL, "is not allowed to be unset" },
	{ WORD, "${set:-${x:?no}}", NULL, "x: no" },
	{ WORD, "${u:-${e:-${B}}}", "b", NULL },
	{ WORD, "${u:-\"x y\"}", "x y", NULL },
	{ WORD, "${u:-$B$B}", "bb", NULL },
	{ WORD, "${", NULL, "missing '}'" },
	{ WORD, "${B:", NULL, "missing '}'" },
	{ WORD, "${B:}", NULL, "missing '}'" },
	{ WORD, "${B-x", NULL, "missing '}'" },
	{ WORD, "${B:-\"x", NULL, "missing '}'" },
	{ WORD, "${B", NULL, "unsupported modifier" },
	{ WORD, "${}", NULL, "bad substitution" },
	{ WORD, "${{B}}", NULL, "bad substitution" },
	{ WORD, "${:-x}", NULL, "bad substitution" },
	{ WORD, "${B/p}", NULL, "missing '/' in ${}" },
	{ WORD, "${B/p/r", NULL, "missing '}'" },
	{ WORD, "${B:=w}", NULL, "unsupported modifier (:=)" },
	{ WORD, "${B=w}", NULL, "unsupported modifier (=)" },
	{ WORD, "${B:1}", NULL, "unsupported modifier (:1)" },
	{ WORD, "${B^}", NULL, "unsupported modifier (^)" },
	{ WORD, "${B,}", NULL, "unsupported modifier (,)" },
	{ WORD, "${B@Q}", NULL, "unsupported modifier (@)" },
	{ WORD, "${#B}", NULL, "unsupported modifier (B)" },
	{ WORD, "${!B}", NULL, "unsupported modifier (B)" },
	{ WORD, "${B }", NULL, "unsupported modifier ( )" },
	{ WORD, "${B[0]}", NULL, "unsupported modifier ([)" },
	{ WORD, "${B:#p}", NULL, "unsupported modifier (:#)" },
	{ WORD, "${B:%p}", NULL, "unsupported modifier (:%)" },
	{ WORD, "${v#\\a}", NULL, "invalid escape" },
	{ WORD, "${v/\\d/x}", NULL, "invalid pattern" },
	/* 3.4, 3.5 */
	{ WORD, "${v#*/}", "foo/bar/baz.tar.gz", NULL },
	{ WORD, "${v##*/}", "baz.tar.gz", NULL },
	{ WORD, "${v%.*}", "/foo/bar/baz.tar", NULL },
	{ WORD, "${v%%.*}", "/foo/bar/baz", NULL },
	{ WORD, "${v/o/0}", "/f0o/bar/baz.tar.gz", NULL },
	{ WORD, "${v//a/A}", "/foo/bAr/bAz.tAr.gz", NULL },
	{ WORD, "${v//\\//-}", "-foo-bar-baz.tar.gz", NULL },
	{ WORD, "${v//b*r/X}", "/foo/X.gz", NULL },
	{ WORD, "${v#$hash}", "baz.tar.gz", NULL },
	{ WORD, "${q#a\\$}", NULL, "invalid escape" },
	{ WORD, "${q#\"a\\$\"}", NULL, "invalid escape" },
	{ WORD, "${q#'a$'}", "b\"c", NULL },
	{ WORD, "${q%'\"'*}", "a$b", NULL },
	{ WORD, "${u/*/x}", "x", NULL },
	{ WORD, "${e//*/x}", "x", NULL },
	{ WORD, "${u#x}${u%x}", "", NULL },
	{ WORD, "${B//\"\"/-}", "-b-", NULL },
	{ WORD, "${star#a\\*}", "b", NULL },
	{ WORD, "${star#a?}", "b", NULL },
	{ WORD, "${star/\\*/-}", "a-b", NULL },
	{ WORD, "${v/foo/\\/}", "/\\//bar/baz.tar.gz", NULL },
	{ WORD, "${dots//./$repl}", "a$1b$1c", NULL },
	{ WORD, "${dots//./'$$'}", "a$$b$$c", NULL },
	{ WORD, "${dots/b/$brace}", "a.}.c", NULL },
	{ WORD, "${nl#*b}", "a\nb", NULL },
	{ WORD, "${nl##a*}", "\nb", NULL },
	{ WORD, "${nl//?/x}", "x\nx", NULL },
	{ WORD, "${uni#?}", "\xC3\xB6\xC3\xBC", NULL },
	{ WORD, "${uni%?}", "\xC3\xA4\xC3\xB6", NULL },
	{ WORD, "${uni//?/x}", "xxx", NULL },
	{ WORD, "${B#[b]}", "b", NULL },
	{ WORD, "${B#nope}", "b", NULL },
	{ WORD, "${dots%%.*}${dots%.*}${dots#*.}${dots##*.}", "aa.bb.cc", NULL },
	{ WORD, "${v#\"*\\/\"}", "/foo/bar/baz.tar.gz", NULL },
	{ TICK, "${star#a\\*}", "b", NULL },
	{ TICK, "${B#`x}", "b", NULL },
	/* 3.7 */
	{ KEEP, "echo $B $u ${u} ${u:-x} \"$B\" 'y'", "echo b $u ${u} ${u:-x} \"b\" 'y'", NULL },
};

static void run_case(size_t i)
{
	struct expand x = {
		.escape = cases[i].mode == TICK ? '`' : '\\',
		.raw = cases[i].mode == RAW,
		.keep_unset = cases[i].mode == KEEP,
		.get = get,
	};
	AUTO(buf_freep) struct buf out = BUF_MAX(1 << 20), text = BUF_MAX(1 << 20), name = BUF_MAX(4000);
	AUTO(err_freep) struct err *e = NULL;

	buf_str(&name, "");
	for (const char *c = cases[i].in; *c; c++)
		buf_char(&name, *c == '\n' ? ' ' : *c);
	if (expand_word(&x, slice_of(cases[i].in), &out, &e) < 0) {
		err_print(e, &text);
		ok(cases[i].err && strstr(text.p, cases[i].err) && strstr(text.p, "failed to process \""),
		   "%s fails: %s", name.p, cases[i].err ? cases[i].err : "(should not)");
		return;
	}
	buf_str(&out, "");
	is_str(out.p ? out.p : "", cases[i].out ? cases[i].out : "(an error)", name.p);
}

static const struct { const char *in, *out; } word_cases[] = {
	{ "80", "80;" },
	{ "80/tcp 81", "80/tcp;81;" },
	{ "$sp", "x;y;" },
	{ "\"$sp\"", "x  y;" },
	{ "a$sp", "ax;y;" },
	{ "a\\ b", "a b;" },
	{ "'a b' c", "a b;c;" },
	{ "$u", "" },
	{ "\"\"", "" },
	{ "80${u:-80}", "8080;" },
	{ "${A:-80}-${B:-90}", "80-b;" },
	{ "${A:-80}/tcp", "80/tcp;" },
	{ "\xC2\xA0" "80\xE2\x80\x83" "81", "80;81;" },
};

static void run_words(size_t i)
{
	struct expand x = { .escape = '\\', .get = get };
	AUTO(buf_freep) struct buf out = BUF_MAX(1 << 20);
	size_t n = 0;

	buf_str(&out, "");
	if (expand_words(&x, slice_of(word_cases[i].in), &out, &n, NULL) < 0) {
		ok(false, "words of %s", word_cases[i].in);
		return;
	}
	for (size_t k = 0; k < out.n; k++)
		if (!out.p[k])
			out.p[k] = ';';
	is_str(out.p, word_cases[i].out, word_cases[i].in);
}

struct names {
	struct buf found, missed;
};

static void seen(void *arg, struct slice name, bool found)
{
	struct names *n = arg;

	buf_printf(found ? &n->found : &n->missed, "%.*s;", SLICE_F(name));
}

static void run_seen(void)
{
	struct names n = { BUF_MAX(1000), BUF_MAX(1000) };
	struct expand x = { .escape = '\\', .get = get, .seen = seen, .arg = &n };
	AUTO(buf_freep) struct buf out = BUF_MAX(1000);

	ok(expand_word(&x, slice_of("$B ${u:-$set} '$x'"), &out, NULL) == 0, "names are told");
	is_str(n.found.p, "B;set;", "names that were set");
	is_str(n.missed.p, "u;", "names that were not");
	buf_free(&n.found);
	buf_free(&n.missed);
}

static char *big;

static const char *get_big(void *arg, struct slice name)
{
	return big;
}

/* threats.md D3: what would take ages in a backtracking matcher ends soon, one way or the other. */
static void run_bounds(void)
{
	static const char *const hard[] = {
		"${v#*a*a*a*a*a*a*b}", "${v%%b*a*a*a*a*a}", "${v//*a*a*a*b/x}", "${v//a/bb}", "${v//?/x}", "$v$v$v$v$v",
		"${v/a*a*a*a*a*c/x}",
	};
	struct expand x = { .escape = '\\', .get = get_big };
	AUTO(buf_freep) struct buf nested = BUF_MAX(1 << 20);
	clock_t start = clock();

	big = mem_alloc((1 << 18) + 1);
	memset(big, 'a', 1 << 18);
	big[1 << 18] = '\0';
	for (size_t i = 0; i < countof(hard); i++) {
		AUTO(buf_freep) struct buf out = BUF_MAX(1 << 20);
		AUTO(err_freep) struct err *e = NULL;
		int rc = expand_word(&x, slice_of(hard[i]), &out, &e);

		ok(rc == 0 || err_kind(e) == ERR_LIMIT, "%s on 256 KiB ends", hard[i]);
	}
	for (int i = 0; i < 100; i++)
		buf_str(&nested, "${u:-");
	for (int i = 0; i < 100; i++)
		buf_str(&nested, "}");

	AUTO(buf_freep) struct buf out = BUF_MAX(1 << 20);
	AUTO(err_freep) struct err *e = NULL;

	x.get = get;
	ok(expand_word(&x, buf_view(&nested), &out, &e) < 0 && err_kind(e) == ERR_LIMIT, "nesting is bounded");
	size_t total = (64 << 20) - 3;
	AUTO(buf_freep) struct buf small = BUF_MAX(100);

	x.total = &total;
	err_freep(&e);
	ok(expand_word(&x, slice_of("abc"), &small, NULL) == 0 && total == 64 << 20, "the results of a file are added up");
	ok(expand_word(&x, slice_of("d"), &small, &e) < 0 && err_kind(e) == ERR_LIMIT, "and bounded");
	ok(clock() - start < 10 * CLOCKS_PER_SEC, "all of it within seconds");
	free(big);
}

int main(void)
{
	for (size_t i = 0; i < countof(cases); i++)
		run_case(i);
	for (size_t i = 0; i < countof(word_cases); i++)
		run_words(i);
	run_seen();
	run_bounds();
	return done_testing();
}
