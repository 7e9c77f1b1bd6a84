/* build/cmd/login.c - kiln login, logout: credentials for registries, checked before they are stored. */
#include "base/fd.h"
#include "base/mem.h"
#include "build/cmd/cmd.h"
#include "build/ui/ui.h"
#include "build/wait.h"
#include "build/work.h"
#include "registry/creds.h"

#include <errno.h>
#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 64 << 10 };

struct login_opts {
	const char *user, *authfile, *cert_dir;
	char *password;
	bool password_stdin, get_login;
	enum tri tls_verify;
};
#define AT(m) offsetof(struct login_opts, m)
static const struct opt_row login_table[] = {
	{ 'u', "username", "USER", "name of the user", OPT_TEXT, AT(user), NULL },
	{ 'p', "password", "PASSWORD", "password; other users of this host can see it: prefer --password-stdin", OPT_HIDDEN, AT(password), "--password-stdin" },
	{ 0, "password-stdin", NULL, "read the password from standard input", OPT_BOOL, AT(password_stdin), NULL },
	{ 0, "get-login", NULL, "print the user that is logged in", OPT_BOOL, AT(get_login), NULL },
	{ 0, "authfile", "FILE", "keep credentials in FILE", OPT_TEXT, AT(authfile), NULL },
	{ 0, "cert-dir", "DIR", "read CA and client certificates from DIR", OPT_TEXT, AT(cert_dir), NULL },
	{ 0, "tls-verify", "[true|false]", "check certificates of registries", OPT_TRI, AT(tls_verify), NULL },
	{ 'v', "verbose", NULL, NULL, OPT_ACCEPT, 0, NULL },
	{ 0, NULL, NULL, NULL, OPT_BOOL, 0, NULL },
};
#undef AT

/* "https://index.docker.io/v1/", "docker.io", "host:5000/path" -> the host of references. New memory. */
static char *host_of(const char *text)
{
	const char *p = strstr(text, "://");

	p = p ? p + 3 : text;
	size_t n = strcspn(p, "/");
	if ((n == 15 && strncmp(p, "index.docker.io", n) == 0) || (n == 20 && strncmp(p, "registry-1.docker.io", n) == 0))
		return mem_str("docker.io");
	return mem_strn(p, n);
}

static void wipe(struct buf *b)
{
	if (b->p)
		mem_wipe(b->p, b->cap);
	buf_free(b);
}

/* A line from the terminal, with or without echo. */
static int ask(struct app *a, const char *question, bool echo, struct buf *ret, struct err **e)
{
	AUTO(fd_closep) int tty = fd_open_host("/dev/tty", O_RDWR | O_NOCTTY, 0, NULL);
	struct termios old, quiet;
	char c = 0;
	ssize_t n = 0;

	if (tty < 0 || tcgetattr(tty, &old) < 0) {
		err_set(e, ERR_USAGE, "there is no terminal to ask for the %s", echo ? "user" : "password");
		return err_hint(e, "use --username and --password-stdin");
	}
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	if (fd_write_all(tty, question, strlen(question), e) < 0)
		return -1;
	if (!echo && tcsetattr(tty, TCSAFLUSH, &quiet) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot switch off the echo of the terminal");
	while ((n = wait_readable(a, tty, e) < 0 ? -1 : fd_read(tty, &c, 1, e)) == 1 && c != '\n')
		buf_char(ret, c);
	if (!echo) {
		tcsetattr(tty, TCSAFLUSH, &old);
		fd_write_all(tty, "\n", 1, NULL);
	}
	return n < 0 ? -1 : buf_ok(ret, "the answer", e);
}

static int password(struct app *a, const struct login_opts *o, struct buf *ret, struct err **e)
{
	if (o->password) {
		buf_str(ret, o->password);
		return buf_ok(ret, "the password", e);
	}
	if (!o->password_stdin)
		return ask(a, "Password: ", false, ret, e);
	if (wait_read_all(a, STDIN_FILENO, ret, e) < 0)
		return err_wrap(e, "cannot read the password from standard input");
	while (ret->n && (ret->p[ret->n - 1] == '\n' || ret->p[ret->n - 1] == '\r'))
		ret->p[--ret->n] = '\0';
	return 0;
}

struct check {
	const char *host, *user, *password;
	struct transfer_opts opts;
};

static int check_child(void *arg, struct job_self *self, struct buf *out, struct err **e)
{
	struct check *c = arg;

	return login_check(c->host, c->user, c->password, &c->opts, e);
}

static void tell_note(void *arg, const char *text)
{
	struct app *a = arg;

	report_note(a->report, REPORT_WARNING, "%s", text);
}

static int get_login(struct app *a, const struct login_opts *o, const char *host, struct err **e)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(LINE_MAX_BYTES);
	AUTO(creds_clear) struct creds c = { 0 };
	int rc = creds_find(host, "", o->authfile, tell_note, a, &c, e);

	if (rc < 0)
		return -1;
	if (rc == CREDS_NONE || !c.user)
		return err_set(e, ERR_USAGE, "nobody is logged in to %s", host);
	buf_escaped(&out, slice_of(c.user), 4096);
	buf_char(&out, '\n');
	return cmd_print(&out, e);
}

static int check_and_store(struct app *a, const struct login_opts *o, const char *host, const char *user, const char *secret, struct err **e)
{
	AUTO(buf_freep) struct buf call = BUF_MAX(64);
	AUTO(buf_freep) struct buf out = BUF_MAX(LINE_MAX_BYTES);
	AUTO(mem_freep) char *where = NULL;
	bool plain = false;
	struct check c = {
		host, user, secret,
		{ .kind = ERR_SOURCE, .authfile = o->authfile, .cert_dir = o->cert_dir, .insecure = o->tls_verify == TRI_NO, .verify = o->tls_verify == TRI_YES },
	};

	ui_redact(a->report, slice_of(secret));
	work_call_put(&call, check_child, &c);
	if (wait_job(a, JOB_LOCAL, WORK_CALL, buf_view(&call), NULL, 0, NULL, NULL, NULL, e) < 0)
		return err_wrap(e, "cannot log in to %s as '%s'", host, user);
	if (creds_store(host, user, secret, o->authfile, &where, &plain, e) < 0)
		return err_wrap(e, "cannot store the credentials for %s", host);
	if (plain)
		report_note(a->report, REPORT_WARNING, "the password is stored unencrypted in %s; a credential helper would keep it safer", where);
	buf_printf(&out, "logged in to %s as ", host);
	buf_escaped(&out, slice_of(user), 4096);
	buf_char(&out, '\n');
	return cmd_print(&out, e);
}

static int login_main(struct app *a, void *opts, struct strs *pos, struct err **e)
{
	AUTO(wipe) struct buf secret = BUF_MAX(LINE_MAX_BYTES);
	AUTO(buf_freep) struct buf user = BUF_MAX(LINE_MAX_BYTES);
	struct login_opts *o = opts;

	if (cmd_words(&cmd_login, pos, 0, 1, e) < 0)
		return -1;
	AUTO(mem_freep) char *host = host_of(pos->n ? pos->v[0] : "docker.io");
	if (o->get_login)
		return get_login(a, o, host, e);
	if (o->password && o->password_stdin)
		return err_set(e, ERR_USAGE, "--password and --password-stdin exclude each other");
	if (o->password_stdin && !o->user)
		return err_set(e, ERR_USAGE, "--password-stdin needs --username");
	if (o->user)
		buf_str(&user, o->user);
	else if (ask(a, "Username: ", true, &user, e) < 0)
		return -1;
	if (password(a, o, &secret, e) < 0)
		return -1;
	if (!user.n || !secret.n)
		return err_set(e, ERR_USAGE, "the %s is empty", user.n ? "password" : "user");
	return check_and_store(a, o, host, user.p, secret.p, e);
}

const struct cmd cmd_login = {
	.name = "login",
	.args = "[REGISTRY]",
	.help = "store credentials for a registry",
	.about = "Without REGISTRY it is docker.io. The credentials are checked first.",
	.opts = login_table,
	.opts_size = sizeof(struct login_opts),
	.flags = CMD_WORK,
	.run = login_main,
};

/* ---- logout */

struct logout_opts {
	const char *authfile;
};
static const struct opt_row logout_table[] = {
	{ 0, "authfile", "FILE", "forget credentials in FILE only", OPT_TEXT, offsetof(struct logout_opts, authfile), NULL },
	{ 'a', "all", NULL, NULL, OPT_ERR, 0, "name the registries" },
	{ 0, NULL, NULL, NULL, OPT_BOOL, 0, NULL },
};

static int logout_main(struct app *a, void *opts, struct strs *pos, struct err **e)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(LINE_MAX_BYTES);
	struct logout_opts *o = opts;

	if (cmd_words(&cmd_logout, pos, 0, 1, e) < 0)
		return -1;
	AUTO(mem_freep) char *host = host_of(pos->n ? pos->v[0] : "docker.io");
	int rc = creds_erase(host, o->authfile, e);
	if (rc < 0)
		return err_wrap(e, "cannot forget the credentials for %s", host);
	buf_printf(&out, rc == CREDS_NONE ? "nobody was logged in to %s\n" : "logged out of %s\n", host);
	return cmd_print(&out, e);
}

const struct cmd cmd_logout = {
	.name = "logout",
	.args = "[REGISTRY]",
	.help = "forget credentials for a registry",
	.opts = logout_table,
	.opts_size = sizeof(struct logout_opts),
	.run = logout_main,
};
