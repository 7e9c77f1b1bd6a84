/* build/cmd/cmd.h - commands: a row in cmd.def, a function in the file of its noun. */
#pragma once
#include "build/imagestore.h"
#include "build/opts.h"

/* opts: the command's own option struct, filled by its table; pos: the words that are no options. 0, or -1 with *e, or a positive exit status of its own
 * (what it had to say is printed already). */
typedef int cmd_fn(struct app *a, void *opts, struct strs *pos, struct err **e);
enum {
	CMD_STORE = 1,                   /* has a->loop and a->jobs, so app_store() works */
	CMD_WORK = 2 | CMD_STORE,        /* drives the loop: signals end work in order, the screen is alive */
	CMD_HIDDEN = 4,                  /* not in the help */
	CMD_RAW = 8,                     /* takes its words as they are, options too */
};
struct cmd {
	const char *name, *alias;        /* alias: space-separated other spellings, or NULL */
	const char *args;                /* "CONTEXT", "[NAME]" for the usage line */
	const char *help;                /* one line */
	const char *about;               /* a paragraph for --help, or NULL */
	const struct opt_row *opts;      /* NULL: none */
	size_t opts_size;                /* of the option struct */
	const void *defaults;            /* what it starts as; NULL: zeroes */
	unsigned flags;
	cmd_fn *run;
};
extern const struct cmd *const cmd_table[];              /* NULL-terminated */
const struct cmd *cmd_find(const char *name);            /* NULL */
int cmd_unknown(const char *name, struct err **e);       /* ERR_USAGE with the nearest one */

#define CMD(id) extern const struct cmd cmd_##id;
#include "build/cmd/cmd.def"
#undef CMD

/* Options that stand before and behind every command. */
struct common_opts {
	const char *root, *driver, *progress;
	bool debug;
	struct strs limits;
};
extern const struct opt_row common_table[];

/* Text of --help: one command, or all (NULL). */
void cmd_usage(const struct cmd *c, struct buf *out);
/* ERR_USAGE unless at least min and at most max words were given; what: how the usage line calls them. */
int cmd_words(const struct cmd *c, const struct strs *pos, size_t min, size_t max, struct err **e);
/* An image of the store by what the user wrote. A missing one is ERR_USAGE. */
int cmd_image(struct app *a, const char *text, struct name_record *ret, struct err **e);
/* Which of the images that the name has: that of the platform, which has to be there; NULL: the host's, else the first. With its config and
 * layers. */
int cmd_one(struct app *a, const struct name_record *r, const char *platform, const struct name_record **ret, struct image *ret_image,
	    struct err **e);
#define PLATFORM_ROW(T, help) { 0, "platform", "OS/ARCH[/VARIANT]", help, OPT_TEXT, offsetof(T, platform), NULL }
/* Everything to standard output; a full disk or closed pipe is an error. */
int cmd_print(const struct buf *b, struct err **e);
struct jval;
int cmd_print_json(const struct jval *v, struct err **e);

/* Rows that several commands share; T is the option struct, which has a member `net` of struct net_opts. */
struct net_opts {
	const char *authfile, *cert_dir;
	char *creds;
	enum tri tls_verify;
	int64_t retries, retry_delay;
	struct strs mirrors;
};
#define NET_ROWS(T)                                                                                                                      \
	{ 0, "authfile", "FILE", "read credentials from FILE", OPT_TEXT, offsetof(T, net.authfile), NULL },                              \
	{ 0, "creds", "USER:PASSWORD", "credentials for the registry", OPT_HIDDEN, offsetof(T, net.creds), "'kiln login' or --authfile" },                          \
	{ 0, "cert-dir", "DIR", "read CA and client certificates from DIR", OPT_TEXT, offsetof(T, net.cert_dir), NULL },                  \
	{ 0, "tls-verify", "[true|false]", "check certificates of registries", OPT_TRI, offsetof(T, net.tls_verify), NULL },              \
	{ 0, "registry-mirror", "HOST", "try HOST first for docker.io; may be repeated", OPT_LIST, offsetof(T, net.mirrors), NULL },      \
	{ 0, "retry", "N", "try a failed transfer N times again", OPT_NUMBER, offsetof(T, net.retries), NULL },                           \
	{ 0, "retry-delay", "DURATION", "wait that long before each further try", OPT_DURATION, offsetof(T, net.retry_delay), NULL }
/* Borrows from the options; the screen learns the password, so that it never shows it. */
struct transfer_opts cmd_transfer(struct app *a, struct net_opts *n, enum err_kind kind);
