/* tests/unit/opts.c - a command line by table: Go's flag syntax, kinds of rows, help, completion. */
#include "build/opts.h"
#include "base/mem.h"
#include "tests/tap.h"

struct o {
	bool quiet, force, verify;
	const char *file, *pull, *progress;
	struct strs tags, csv;
	int64_t jobs, age;
	uint64_t size;
};
#define AT(m) offsetof(struct o, m)
static const struct opt_row table[] = {
	{ 'q', "quiet", NULL, "say nothing", OPT_BOOL, AT(quiet), NULL },
	{ 0, "force", NULL, "no questions", OPT_BOOL, AT(force), NULL },
	{ 0, "verify", "[true|false]", "look twice", OPT_BOOL, AT(verify), NULL },
	{ 'f', "file", "PATH", "the file", OPT_TEXT, AT(file), NULL },
	{ 0, "dockerfile", "PATH", NULL, OPT_ALIAS, 0, "file" },
	{ 't', "tag", "NAME", "a name", OPT_LIST, AT(tags), NULL },
	{ 0, "csv", "A,B", "several", OPT_CSV, AT(csv), NULL },
	{ 0, "pull", "[missing|always|never]", "when to ask", OPT_WORD, AT(pull), "always" },
	{ 0, "pull-never", NULL, NULL, OPT_ALIAS, 0, "pull=never" },
	{ 0, "progress", "auto|tty|plain", "how to show", OPT_WORD, AT(progress), NULL },
	{ 'j', "jobs", "N", "at once", OPT_NUMBER, AT(jobs), NULL },
	{ 0, "age", "DURATION", "how old", OPT_DURATION, AT(age), NULL },
	{ 0, "size", "SIZE", "how much", OPT_SIZE, AT(size), NULL },
	{ 0, "rm", "[true|false]", NULL, OPT_ACCEPT, 0, NULL },
	{ 'm', "memory", "SIZE", NULL, OPT_WARN, 0, "steps are not limited" },
	{ 0, "squash", NULL, NULL, OPT_ERR, 0, "layers are kept" },
	{ 0, NULL, NULL, NULL, OPT_BOOL, 0, NULL },
};

/* What was parsed, as one line. */
static void show(const struct o *o, const struct strs *pos, const struct strs *warnings, struct buf *out)
{
	buf_printf(out, "%s%s%s", o->quiet ? "quiet " : "", o->force ? "force " : "", o->verify ? "verify " : "");
	if (o->file)
		buf_printf(out, "file=%s ", o->file);
	if (o->pull)
		buf_printf(out, "pull=%s ", o->pull);
	if (o->progress)
		buf_printf(out, "progress=%s ", o->progress);
	for (size_t i = 0; i < o->tags.n; i++)
		buf_printf(out, "tag=%s ", o->tags.v[i]);
	for (size_t i = 0; i < o->csv.n; i++)
		buf_printf(out, "csv=%s ", o->csv.v[i]);
	if (o->jobs)
		buf_printf(out, "jobs=%d ", (int)o->jobs);
	if (o->age)
		buf_printf(out, "age=%jd ", (intmax_t)o->age);
	if (o->size)
		buf_printf(out, "size=%ju ", (uintmax_t)o->size);
	for (size_t i = 0; i < pos->n; i++)
		buf_printf(out, "<%s> ", pos->v[i]);
	for (size_t i = 0; i < warnings->n; i++)
		buf_printf(out, "warn: %s ", warnings->v[i]);
	while (out->n && out->p[out->n - 1] == ' ')
		out->p[--out->n] = '\0';
}

static const struct {
	const char *name, *argv[8], *want, *err, *hint;
} cases[] = {
	{ "value in the next word", { "--file", "x", "." }, "file=x <.>", NULL, NULL },
	{ "value behind '='", { "--file=x=y" }, "file=x=y", NULL, NULL },
	{ "empty value", { "--tag=", "." }, "tag= <.>", NULL, NULL },
	{ "a value may look like an option", { "--file", "--quiet" }, "file=--quiet", NULL, NULL },
	{ "options behind words", { ".", "-q" }, "quiet <.>", NULL, NULL },
	{ "'--' ends options", { "--", "-q" }, "<-q>", NULL, NULL },
	{ "'-' is a word", { "-", "-q" }, "quiet <->", NULL, NULL },
	{ "boolean alone", { "--quiet", "." }, "quiet <.>", NULL, NULL },
	{ "boolean true", { "--quiet=1" }, "quiet", NULL, NULL },
	{ "boolean false", { "--quiet", "--quiet=false" }, "", NULL, NULL },
	{ "boolean of the short form", { "-q=false" }, "", NULL, NULL },
	{ "short value in the next word", { "-t", "a" }, "tag=a", NULL, NULL },
	{ "short value attached", { "-ta" }, "tag=a", NULL, NULL },
	{ "short value behind '='", { "-t=a" }, "tag=a", NULL, NULL },
	{ "grouped short options", { "-qt", "a", "." }, "quiet tag=a <.>", NULL, NULL },
	{ "lists keep order", { "-t", "a", "--tag=b", "-tc" }, "tag=a tag=b tag=c", NULL, NULL },
	{ "comma lists", { "--csv", "a,b", "--csv=\"c,d\"" }, "csv=a csv=b csv=c,d", NULL, NULL },
	{ "later value wins", { "--file=a", "--file=b" }, "file=b", NULL, NULL },
	{ "word alone means its usual value", { "--pull", "." }, "pull=always <.>", NULL, NULL },
	{ "word with a value", { "--pull=never" }, "pull=never", NULL, NULL },
	{ "word that was a boolean: true", { "--pull=true" }, "pull=always", NULL, NULL },
	{ "word that was a boolean: false", { "--pull=false" }, "", NULL, NULL },
	{ "alias", { "--dockerfile", "x" }, "file=x", NULL, NULL },
	{ "alias of a value", { "--pull-never" }, "pull=never", NULL, NULL },
	{ "alias of a value, switched off", { "--pull-never=false" }, "", NULL, NULL },
	{ "number", { "-j4" }, "jobs=4", NULL, NULL },
	{ "size", { "--size", "64m" }, "size=67108864", NULL, NULL },
	{ "duration", { "--age=1h" }, "age=3600000000000", NULL, NULL },
	{ "accepted in silence", { "--rm", "--rm=false", "." }, "<.>", NULL, NULL },
	{ "accepted with a warning", { "-m", "1g", "." }, "<.> warn: -m has no effect: steps are not limited", NULL, NULL },
	{ "refused with the reason", { "--squash" }, NULL, "--squash is not supported: layers are kept", NULL },
	{ "missing value", { "--file" }, NULL, "--file needs a value: PATH", NULL },
	{ "missing value, short", { "-t" }, NULL, "-t needs a value: NAME", NULL },
	{ "bad boolean", { "--quiet=maybe" }, NULL, "--quiet is 'maybe', which is neither true nor false", NULL },
	{ "bad word", { "--progress=fancy" }, NULL, "--progress is 'fancy', which is none of auto|tty|plain", NULL },
	{ "bad number", { "-j", "many" }, NULL, "it is not a number from 0 to 2147483647", NULL },
	{ "negative number", { "--jobs=-1" }, NULL, "it is not a number from 0 to 2147483647", NULL },
	{ "unknown option, near another", { "--tga=x" }, NULL, "unknown option '--tga'", "did you mean '--tag'?" },
	{ "unknown option, near none", { "--zzzzzzzz" }, NULL, "unknown option '--zzzzzzzz'", "see --help for the options there are" },
	{ "unknown letter in a group", { "-qz" }, NULL, "unknown option '-z'", NULL },
};

static void parse_cases(void)
{
	for (size_t i = 0; i < countof(cases); i++) {
		AUTO(err_freep) struct err *e = NULL;
		AUTO(buf_freep) struct buf got = BUF_MAX(1 << 16);
		AUTO(buf_freep) struct buf text = BUF_MAX(1 << 16);
		AUTO(strs_clear) struct strs pos = { 0 };
		AUTO(strs_clear) struct strs warnings = { 0 };
		struct o o = { 0 };
		const struct opt_set sets[OPTS_SETS] = { { table, &o } };
		int rc = opts_parse(sets, (char *const *)cases[i].argv, &pos, &warnings, NULL, &e);

		if (cases[i].err) {
			is_str(rc < 0 ? err_cause(e) : "accepted", cases[i].err, cases[i].name);
			ok(rc < 0 && err_kind(e) == ERR_USAGE, "it is a usage error: %s", cases[i].name);
			err_print(e, &text);
			if (cases[i].hint)
				ok(strstr(text.p, cases[i].hint) != NULL, "with a hint: %s", cases[i].name);
		} else {
			show(&o, &pos, &warnings, &got);
			is_str(rc == 0 ? got.p ? got.p : "" : err_cause(e), cases[i].want, cases[i].name);
		}
		opts_clear(sets);
	}
}

static void stops(void)
{
	AUTO(strs_clear) struct strs pos = { 0 };
	struct o o = { 0 };
	const struct opt_set sets[OPTS_SETS] = { { table, &o } };
	static const char *const argv[] = { "-q", "--file", "x", "build", "--nonsense", NULL };
	static const char *const help[] = { "build", "-qh", NULL };
	static const char *const help2[] = { "build", "--help", NULL };
	size_t at = 0;

	ok(opts_parse(sets, (char *const *)argv, &pos, &pos, &at, NULL) == 0 && at == 3 && pos.n == 0, "parsing stops at the first word");
	ok(opts_parse(sets, (char *const *)help2, &pos, &pos, NULL, NULL) == OPTS_HELP, "--help is an answer");
	ok(opts_parse(sets, (char *const *)help, &pos, &pos, NULL, NULL) < 0, "h in a group is no option");
}

static void hides(void)
{
	static const struct opt_row rows[] = {
		{ 'p', "password", "PASSWORD", "a secret", OPT_HIDDEN, 0, "a file" },
		{ 0, NULL, NULL, NULL, OPT_BOOL, 0, NULL },
	};
	AUTO(strs_clear) struct strs pos = { 0 };
	char first[] = "--password=one", second[] = "-p", third[] = "two";
	char *const argv[] = { first, second, third, NULL };
	char *got = NULL;
	const struct opt_set sets[OPTS_SETS] = { { rows, &got } };

	ok(opts_parse(sets, argv, &pos, &pos, NULL, NULL) == 0, "S1 a secret on the command line");
	ok(pos.n == 2 && strstr(pos.v[0], "--password: other users of this host may have read it: prefer a file"), "with a warning");
	is_str(got, "two", "is taken");
	is_str(first, "--password=***", "S1, X4 and is not there any more");
	is_str(third, "***", "in neither spelling");
	opts_clear(sets);
	ok(!got, "it is wiped with the options");
}

static void complete(const char *before, const char *word, const char *want, bool files, const char *name)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(1 << 16);
	const struct opt_set sets[OPTS_SETS] = { { table, NULL } };
	bool wants_file = false;

	opts_complete(sets, before, word, &out, &wants_file);
	is_str(out.p ? out.p : "", want, name);
	ok(wants_file == files, "files are %soffered: %s", files ? "" : "not ", name);
}

int main(void)
{
	AUTO(buf_freep) struct buf help = BUF_MAX(1 << 16);
	const struct opt_set sets[OPTS_SETS] = { { table, NULL } };

	parse_cases();
	stops();
	hides();
	opts_help(sets, &help);
	ok(strstr(help.p, "  -f, --file PATH ") && strstr(help.p, "      --pull[=missing|always|never] "), "help shows letters, values and words");
	ok(!strstr(help.p, "--rm") && !strstr(help.p, "--dockerfile"), "help leaves out what has no line");
	ok(strstr(help.p, "--age") < strstr(help.p, "--tag"), "help is sorted");
	complete(NULL, "--pr", "--progress\thow to show\n", false, "names of options");
	complete("--progress", "t", "tty\n", false, "words of a value");
	complete(NULL, "--progress=p", "--progress=plain\n", false, "words of an attached value");
	complete("--file", "", "", true, "a value that only the disk knows");
	complete("-qf", "", "", true, "the same for a group of letters");
	complete("--quiet", "", "", false, "nothing behind a boolean");
	return done_testing();
}
