/* tests/unit/ui.c - what the screen shows: lines, reasons, escapes, secrets, the last lines of what failed. */
#include "build/ui/ui.h"
#include "base/fd.h"
#include "build/ui/human.h"
#include "build/ui/redact.h"
#include "tests/tap.h"

#include <regex.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

static void read_back(int fd, struct buf *out)
{
	lseek(fd, 0, SEEK_SET);
	fd_read_all(fd, out, NULL);
}

static void out(struct report *r, unsigned id, const char *text)
{
	report_output(r, id, 1, slice_of(text));
}

/* A build with a hit, a miss, a transfer and a failure. */
static void play(struct report *r)
{
	report_step(r, 1, "[1/2] FROM alpine");
	report_state(r, 1, REPORT_CACHED, NULL, 0);
	report_step(r, 2, "RUN make");
	report_state(r, 2, REPORT_STARTED, "run again: argument changed, 'make' was 'make -j4'", 0);
	out(r, 2, "one\ntw");
	out(r, 2, "o\r\n10%\r20%\r30%\nevil \033]0;title\007 \033[31mred\033[0m\n");
	out(r, 2, "the key is s3cr");
	out(r, 2, "et-value!\npart");
	report_bytes(r, 2, "sha256:ab", 5, 10);
	report_note(r, REPORT_WARNING, "old %s", "kernel");
	report_note(r, REPORT_DEBUG, "chatter");
	report_warning(r, "StageNameCasing", "stage name should be lower case", "Dockerfile:1", "FROM x AS Y\n     ^");
	report_state(r, 2, REPORT_DONE, NULL, 3400000);
	report_step(r, 3, "RUN\nfalse");
	report_state(r, 3, REPORT_STARTED, NULL, 0);
	for (int i = 0; i < 30; i++) {
		char line[32];

		snprintf(line, sizeof(line), "line %d\n", i);
		out(r, 3, line);
	}
	report_state(r, 3, REPORT_FAILED, "exited with status 1", 0);
	report_step(r, 4, "RUN sleep");
	report_state(r, 4, REPORT_STARTED, NULL, 0);
}

/* Numbers that depend on the clock become N. */
static void without_times(struct buf *b)
{
	regex_t re;
	regmatch_t m[2];
	struct buf n = BUF_MAX(1 << 20);
	const char *p = b->p;

	regcomp(&re, "[^0-9#]([0-9]+\\.[0-9]+)s?[ :,\n}]", REG_EXTENDED);
	while (regexec(&re, p, 2, m, 0) == 0 && m[0].rm_eo > 0) {
		buf_add(&n, p, (size_t)m[1].rm_so);
		buf_str(&n, "N");
		p += m[1].rm_eo;
	}
	buf_str(&n, p);
	regfree(&re);
	buf_free(b);
	*b = n;
}

static void run(const char *progress, bool quiet, struct buf *text)
{
	AUTO(fd_closep) int fd = memfd_create("ui", MFD_CLOEXEC);
	AUTO(err_freep) struct err *e = NULL;
	struct ui *u = NULL;

	if (ui_new(progress, fd, false, &u, NULL) < 0)
		return;
	ui_redact(ui_report(u), SLICE_LIT("s3cret-value!\n"));
	if (quiet)
		ui_quiet(ui_report(u));
	play(ui_report(u));
	err_set(&e, ERR_STEP, "exited with status 1, not s3cret-value!");
	err_wrap(&e, "RUN false");
	ui_error(u, e);
	ui_free(u);
	read_back(fd, text);
	without_times(text);
}

static void plain(void)
{
	AUTO(buf_freep) struct buf t = BUF_MAX(1 << 20);

	run("plain", false, &t);
	const char *want = "#1 [1/2] FROM alpine\n"
			   "#1 cached\n"
			   "#2 RUN make\n"
			   "#2 run again: argument changed, 'make' was 'make -j4'\n"
			   "#2 N one\n"
			   "#2 N two\n"
			   "#2 N 30%\n"
			   "#2 N evil \\x1b]0;title\\x07 red\n"
			   "#2 N the key is ***\n"
			   "warning: old kernel\n"
			   "warning: StageNameCasing: stage name should be lower case\n"
			   "  at Dockerfile:1\n"
			   "    FROM x AS Y\n"
			   "         ^\n"
			   "#2 N part\n"
			   "#2 done Ns N MB\n"
			   "#3 RUN false\n";
	size_t n = strlen(want);
	char head[2048];
	snprintf(head, sizeof(head), "%.*s", (int)n, t.p ? t.p : "");
	is_str(head, want, "plain lines");
	ok(strstr(t.p, "#3 failed Ns: exited with status 1\n") != NULL, "a failure says why");
	ok(strstr(t.p, "\n#4 canceled Ns\n\nlast") != NULL, "what was running is canceled");
	const char *tail = strstr(t.p, "\nlast lines of #3 RUN false:\n    line 10\n");
	ok(tail && strstr(tail, "    line 29\n") && !strstr(tail, "    line 9\n"), "the last 20 lines are shown before the error");
	ok(strstr(t.p, "error: RUN false\n  because: exited with status 1, not ***\n") != NULL, "then the error, without the secret");
	ok(!strstr(t.p, "s3cret") && !strstr(t.p, "chatter"), "neither secret nor debug notes");
}

static void quiet(void)
{
	AUTO(buf_freep) struct buf t = BUF_MAX(1 << 20);

	run("plain", true, &t);
	ok(strncmp(t.p, "warning: old kernel\n\nlast lines of #3 RUN false:\n", 47) == 0, "quiet shows warnings and the failure only");
}

static void json(void)
{
	AUTO(buf_freep) struct buf t = BUF_MAX(1 << 20);

	run("json", true, &t);
	const char *want = "{\"event\":\"step\",\"id\":1,\"title\":\"[1/2] FROM alpine\"}\n"
			   "{\"event\":\"cached\",\"id\":1,\"reason\":null}\n"
			   "{\"event\":\"step\",\"id\":2,\"title\":\"RUN make\"}\n"
			   "{\"event\":\"started\",\"id\":2,\"reason\":\"run again: argument changed, 'make' was 'make -j4'\"}\n"
			   "{\"event\":\"output\",\"id\":2,\"stream\":1,\"seconds\":N,\"text\":\"one\"}\n";
	char head[2048];
	snprintf(head, sizeof(head), "%.*s", (int)strlen(want), t.p ? t.p : "");
	is_str(head, want, "events as JSON, also when quiet");
	ok(strstr(t.p, "{\"event\":\"done\",\"id\":2,\"seconds\":N,\"bytes\":3400000}\n") != NULL, "done has seconds and bytes");
	ok(strstr(t.p, "{\"event\":\"canceled\",\"id\":4,\"seconds\":N,\"reason\":null}\n{\"event\":\"error\"") != NULL, "what was running is canceled");
	ok(strstr(t.p, "{\"event\":\"transfer\",\"id\":2,\"what\":\"sha256:ab\",\"done\":5,\"total\":10}\n") != NULL, "transfers");
	ok(strstr(t.p, "{\"event\":\"warning\",\"rule\":\"StageNameCasing\",") != NULL, "findings");
	ok(strstr(t.p, "{\"event\":\"error\",\"error\":{\"kind\":\"step\",\"status\":1,") && strstr(t.p, "\"id\":3,\"output\":[\"line 10\","), "the error has the output");
	ok(!strstr(t.p, "s3cret"), "no secret");
}

static const struct {
	const char *name, *secret, *text, *want;
} secrets[] = {
	{ "the value itself", "s3cret-value", "a s3cret-value b", "a *** b" },
	{ "twice in a row", "s3cret-value", "s3cret-values3cret-value", "******" },
	{ "each line of several", "first-line\nsecond-line\n", "second-line first-line", "*** ***" },
	{ "in base64", "s3cret-value", "czNjcmV0LXZhbHVl", "***" },
	{ "in base64, with the end of the line", "s3cret-values", "czNjcmV0LXZhbHVlcwo=", "***wo=" },
	{ "percent-encoded", "a b/c d!", "x=a%20b%2Fc%20d%21&y", "x=***&y" },
	{ "too short to tell from other text", "abc", "abcdef", "abcdef" },
	{ "nothing known", "", "text", "text" },
	{ "S7 in the escaped form of messages", "se\033cret", "a se\\x1bcret b", "a *** b" },
	{ "S7 in JSON", "se\"c\\ret", "{\"a\":\"se\\\"c\\\\ret\"}", "{\"a\":\"***\"}" },
	{ "S7 user and password of a URL", "", "at https://me:pw@h/x: no", "at https://***@h/x: no" },
	{ "S7 a token as the user of a URL", "", "HTTPS://tok@h", "HTTPS://***@h" },
	{ "S7 an @ in the password", "", "http://me:p@w@h/a@b", "http://***@h/a@b" },
	{ "S7 a password of another scheme", "", "ssh://git:pw@h/x", "ssh://***@h/x" },
	{ "a mere user of ssh", "", "ssh://git@h/x git@h:x", "ssh://git@h/x git@h:x" },
	{ "no user", "", "http://h:1/a:b@c http://@h https:// x://", "http://h:1/a:b@c http://@h https:// x://" },
	{ "S7 parameters of a query", "", "'http://h/?a=1&X-Amz-Signature=s&api_key=k;b=2&access_token=&PassWord=p#Token=t'",
	  "'http://h/?a=1&X-Amz-Signature=***&api_key=***;b=2&access_token=&PassWord=***#Token=***'" },
	{ "a query without a URL", "", "sort?key=3 a:b=c", "sort?key=3 a:b=c" },
	{ "S7 Authorization", "", "> authorization: Bearer abc\n> x", "> authorization: ***\n> x" },
	{ "S7 Authorization in quotes", "", "-H \"Authorization: Basic x\" {\"Authorization\":\"y\"}", "-H \"Authorization: ***\" {\"Authorization\":\"***\"}" },
	{ "an Authorization of nothing", "", "Authorization: ", "Authorization: " },
};

static void redacts(void)
{
	for (size_t i = 0; i < countof(secrets); i++) {
		AUTO(buf_freep) struct buf b = BUF_MAX(1 << 16);
		AUTO(redact_clear) struct redact r = { 0 };

		redact_add(&r, slice_of(secrets[i].secret));
		redact_apply(&r, slice_of(secrets[i].text), &b);
		is_str(b.p, secrets[i].want, secrets[i].name);
	}
}

/* A pseudo-terminal of 6 lines; what was written to it comes back. */
static void tty(void)
{
	AUTO(fd_closep) int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	AUTO(buf_freep) struct buf t = BUF_MAX(1 << 20);
	struct winsize w = { .ws_row = 6, .ws_col = 40 };
	struct ui *u = NULL;

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0) {
		ok(true, "a terminal # SKIP no pseudo-terminals here");
		return;
	}
	AUTO(fd_closep) int slave = openat(AT_FDCWD, ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios raw;
	tcgetattr(slave, &raw);
	cfmakeraw(&raw);
	tcsetattr(slave, TCSANOW, &raw);
	ioctl(slave, TIOCSWINSZ, &w);
	setenv("NO_COLOR", "1", 1);
	ok(ui_new("tty", slave, false, &u, NULL) == 0, "a terminal");
	struct report *r = ui_report(u);
	struct loop *l = loop_new(NULL);
	ui_loop(u, l);
	for (unsigned i = 1; i <= 8; i++) {
		report_step(r, i, "RUN a command with a long line that does not fit");
		report_state(r, i, REPORT_STARTED, NULL, 0);
		out(r, i, "output\n");
	}
	for (unsigned i = 1; i <= 8; i++)
		report_state(r, i, REPORT_DONE, NULL, 0);
	ui_end(u);
	char bytes[65536];
	fd_nonblock(master, true, NULL);
	for (ssize_t n = 0; (n = read(master, bytes, sizeof(bytes))) > 0;)
		buf_add(&t, bytes, (size_t)n);
	unsigned column = 0, widest = 0, up = 0, most = 0;
	for (size_t i = 0; i < t.n; i++) {
		if (t.p[i] == '\033') {
			up = (unsigned)strtoul(t.p + i + 2, NULL, 10);
			most = t.p[i + strcspn(t.p + i, "AJ")] == 'A' && up > most ? up : most;
			i += strcspn(t.p + i, "AJ");
		} else {
			column = t.p[i] == '\n' || t.p[i] == '\r' ? 0 : column + 1;
			widest = column > widest ? column : widest;
		}
	}
	ok(widest <= 40, "no line is wider than the terminal (%u)", widest);
	ok(most > 0 && most <= 5, "the live lines leave one line of the terminal free (%u)", most);
	ok(strstr(t.p, "... and 4 more\n") != NULL, "what does not fit is counted");
	ui_free(u);
	loop_free(l);
}

static const struct {
	uint64_t n;
	const char *want;
} sizes[] = {
	{ 0, "0 B" }, { 999, "999 B" }, { 1000, "1.0 kB" }, { 3400000, "3.4 MB" }, { 123456789, "123 MB" }, { 999960, "1.0 MB" },
	{ UINT64_MAX, "18.4 EB" },
};

int main(void)
{
	struct ui *u = NULL;

	for (size_t i = 0; i < countof(sizes); i++)
		is_str(human_bytes(sizes[i].n).s, sizes[i].want, "a size");
	is_str(human_seconds(83.2).s, "1m23s", "a duration");
	is_str(human_ago(1000, 1000 + 3 * 86400).s, "3 days ago", "an age");
	redacts();
	plain();
	quiet();
	json();
	tty();
	ok(ui_new("fancy", 1, false, &u, NULL) < 0, "an unknown mode is refused");
	return done_testing();
}
