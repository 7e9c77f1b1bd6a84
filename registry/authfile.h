/* registry/authfile.h - the JSON files that hold logins; shared by looking up (creds.c) and writing (login.c). */
#pragma once
#include "base/jdoc.h"

#include <sys/stat.h>

enum { AUTHFILE_MISSING = 1, AUTHFILES_MAX = 6 };

struct authfile {
	char *path;                      /* NULL: text is the content */
	const char *text;                /* $DOCKER_AUTH_CONFIG */
	bool docker;                     /* docker's own: credsStore counts */
	bool legacy;                     /* .dockercfg: the whole document is `auths` */
	bool must;                       /* named by --authfile: it has to be there */
};
struct authfiles {
	struct authfile f[AUTHFILES_MAX];
	size_t n;
};
/* In the order of looking up. */
void authfiles_init(struct authfiles *a, const char *authfile);
void authfiles_clear(struct authfiles *a);

int authfile_load(const struct authfile *f, struct jval **ret, struct stat *st, struct err **e);
/* Name of the helper responsible for host in this document, NULL; *ret_key is the key that it knows the host by. */
const char *authfile_helper(const struct authfile *f, const struct jval *doc, const char *host, const char **ret_key);
/* The entry in `auths` for host/repo, most specific first; an empty one counts as absent. NULL. */
struct jval *authfile_entry(const struct authfile *f, const struct jval *doc, const char *host, const char *repo);
/* The key that login writes: docker's spelling for Docker Hub, the host itself for others. */
const char *authfile_key(const char *host);
bool authfile_is_hub(const char *host);
/* Spellings of Docker Hub in files, NULL-terminated; docker's own first. */
extern const char *const authfile_hub_keys[];
