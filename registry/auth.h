/* registry/auth.h - peers and what they accept as a login: Basic, or a token from the server they name (spec/oci.md 2.12).
 *
 * Data:   a peer is a registry host as one repository sees it. Its login is looked up at the first challenge.
 * Owns:   tokens live here, in memory, until they expire or the peer goes (R10).
 * Rules:  R9: a password goes to a token server on the registry's own host or site only.
 */
#pragma once
#include "registry/certs.h"
#include "registry/creds.h"
#include "registry/header.h"

struct net;
struct request;

struct token {
	char *scope;                     /* as asked for */
	char *value;
	int64_t stale;                   /* clock_ns() from which on a new one is fetched (70 % of its life) */
	unsigned serial;
};
struct peer {
	char *host, *repo;               /* as in the reference: names logins and certificates */
	char *api;                       /* "host[:port]" that is spoken to */
	bool insecure, loopback, verify;
	bool http, decided;              /* plain HTTP; the scheme worked once */
	enum addr_class class;           /* where it lives; ADDR_NAME: not known (yet, or behind a proxy) */
	struct certs certs;
	char *warning;                   /* the last one that was passed on */
	bool looked;                     /* creds were searched */
	const char *given;               /* "user:password" of --creds instead; NULL */
	struct creds creds;
	struct challenge challenge;      /* the last one; realm NULL: none yet */
	bool basic;                      /* the peer takes Basic */
	struct token *token;
	size_t ntoken, token_cap;
	unsigned serial;
};
void peer_free(struct peer *p);
bool peer_may_be_plain(const struct peer *p);
/* "https://host:port" + path. */
int peer_url(const struct peer *p, const char *path, struct url *ret, struct err **e);
const char *peer_identity(const struct peer *p);

/* Authorization value for the next attempt, NULL: none. Fetches a token when one is known to be needed. *ret_token: its serial. */
int auth_value(struct net *n, struct peer *p, const char *scope, char **ret, unsigned *ret_token, struct err **e);
enum { AUTH_FINAL = 1 };                 /* answer: asking again would not help */
/* A 401 arrived: learn its challenge so that the next auth_value() has something better. logins: 401s so far. */
int auth_challenged(struct net *n, struct peer *p, struct request *r, struct err **e);
