/* registry/creds.h - who we are at a registry: auth files and credential helpers (spec/oci.md 2.13, 2.14, threats.md S1).
 *
 * Data:   --authfile or $REGISTRY_AUTH_FILE alone; else $DOCKER_AUTH_CONFIG, containers' auth.json files, docker's
 *         config.json, .dockercfg: the first that knows the host wins.
 * Owns:   creds_clear() wipes.
 * Fails:  a malformed file is an error; one that others may write is skipped with a note.
 */
#pragma once
#include "base/buf.h"

enum { CREDS_NONE = 1 };                 /* nothing is known about that host */

struct creds {
	char *user, *password;           /* NULL with the tokens below */
	char *identity_token;            /* for the token server */
	char *registry_token;            /* a bearer token as it is */
	char *source;                    /* "'/home/me/.docker/config.json'", for messages */
};
typedef void creds_note(void *arg, const char *text);

/* host as in a reference ("docker.io", "localhost:5000"); repo may be "". */
int creds_find(const char *host, const char *repo, const char *authfile, creds_note *note, void *arg, struct creds *ret,
	       struct err **e);
void creds_clear(struct creds *c);

/* login: into authfile, else where the host is already known, else docker's config.json. A helper configured there is used.
 * *ret_where (may be NULL): "'/path'" or "helper 'x'", new text; *ret_plain: stored unencrypted. */
int creds_store(const char *host, const char *user, const char *password, const char *authfile, char **ret_where,
		bool *ret_plain, struct err **e);
/* logout: from every file (or authfile) and helper that knows it; CREDS_NONE when none did. */
int creds_erase(const char *host, const char *authfile, struct err **e);
