/* registry/request.h - one request as its caller means it: redirects, logins, retries and resuming are inside.
 *
 * Data:   fill a struct request, request_start() it, net_poll() until `done`; or request_run() for one alone. The outcome is
 *         a status with headers and body in hop, whatever the status, or err when no answer could be had.
 * Owns:   a net owns its peers and the engine. Requests are the caller's and leave the net with request_clear().
 * Rules:  spec/threats.md R1-R12, spec/oci.md 2.3, 2.8, 2.10: Authorization goes to the peer's own origin only; redirects are
 *         at most 5, never https to http, never to internal addresses the peer is not on itself; retries at most 5.
 */
#pragma once
#include "registry/auth.h"
#include "registry/http.h"

struct request;
struct net {
	struct http *http;
	enum err_kind kind;              /* of failures nobody here knows better */
	unsigned retries;                /* attempts, at least 1 */
	int64_t retry_delay_ns;          /* 0: longer each time */
	const char *authfile, *cert_dir;
	void (*note)(void *arg, const char *text);       /* NULL */
	void *note_arg;
	struct peer **peer;
	size_t npeer, peer_cap;
	struct request **active;
	size_t nactive, active_cap;
	struct certs *plain;             /* for hosts that are no peers */
};
void net_init(struct net *n, enum err_kind kind);
void net_clear(struct net *n);
void PRINTF(2, 3) net_note(struct net *n, const char *fmt, ...);
/* Find or make the peer for host/repo. api: "host:port" requests go to, NULL: host. */
struct peer *net_peer(struct net *n, const char *host, const char *repo, const char *api, bool insecure, struct err **e);
/* Move all started requests; returns when something happened or after about a second. */
int net_poll(struct net *n, struct err **e);

enum { REQUEST_HEADERS = 6 };
struct request {
	/* ---- the question */
	struct net *net;
	struct peer *peer;               /* whose login is used; NULL: none */
	const char *method;
	const char *path;                /* below the peer ("/v2/..."), whichever scheme it speaks; else url */
	struct url url;                  /* owned; the start when path is NULL */
	const char *scope;               /* what a token must allow; NULL: "" */
	struct peer *tls_of;             /* without its login, but with its certificates; NULL: peer */
	const char *authorization;       /* a fixed header value for the first origin; NULL */
	const char *header[REQUEST_HEADERS];     /* "Name: value", borrowed */
	const struct http_source *source;
	uint64_t max_body;               /* of a 2xx */
	int64_t expect;                  /* exact size of the 2xx body, -1 unknown: less is a broken transfer */
	/* 2xx body in order, each byte once even when resumed; NULL: hop.text. restart: begin again from nothing. */
	int (*sink)(void *arg, const void *p, size_t n, struct err **e);
	int (*restart)(void *arg, struct err **e);
	void *arg;
	bool resume;                     /* continue with Range after a break */
	bool once;                       /* never repeat a broken or refused attempt (uploads) */
	int64_t delay_ms;                /* before the first attempt */
	bool stay;                       /* the body is a secret: no other origin */
	bool guarded;                    /* a server of class `from` named url: not to an internal address (R5) */
	enum addr_class from;

	/* ---- the answer */
	bool done;
	struct hop hop;
	struct url at;                   /* where it came from */
	bool sent_login;                 /* the last attempt carried an Authorization of the peer */
	struct err *err;                 /* set: no usable answer */

	/* ---- in progress */
	bool active, running, away, skipping_checked, misplaced, restarted, came_back;
	unsigned redirects, tries, logins, token;
	uint64_t good, good_before, skip;        /* bytes given to the sink; at the last break; to leave out of this answer */
	int64_t started, broke, not_before;      /* ns */
	char *auth_line, *range_line;
	const char *lines[REQUEST_HEADERS + 3];
};
void request_init(struct request *r, struct net *n, struct peer *p, const char *method);
int request_start(struct request *r, struct err **e);
/* Alone, to its end: 0 with an answer of any status, -1 without. */
int request_run(struct request *r, struct err **e);
void request_clear(struct request *r);
/* The answer is not what was wanted: method, URL, status, the registry's words, whether a login was sent. Always -1. */
int request_refused(struct request *r, const char *what, struct err **e);
/* First error code of the answer's body ("MANIFEST_UNKNOWN"), "" when there is none. */
void request_code(const struct request *r, char ret[64]);
