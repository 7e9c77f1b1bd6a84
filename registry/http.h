/* registry/http.h - HTTP on top of libcurl, which is opened at the first request (design.md 2).
 *
 * Data:   a hop is one request and its one answer: no redirect, no retry, no credentials but the headers it was given (those
 *         are registry/request.h). Hops run side by side in one engine; http_poll() moves all of them.
 * Owns:   the engine owns connections, a hop what was answered. hop_clear() of a running hop cancels it.
 * Fails:  a hop ends with a `enum hop_end`; err is set for all but HOP_ANSWER, its kind is the caller's.
 * Bounds: header block 256 KiB, body of an error 64 KiB, other bodies max_body (R2, R7).
 */
#pragma once
#include "registry/url.h"

struct http;                             /* the engine: one per process that talks */
struct http *http_new(void);
void http_free(struct http *h);
void http_freep(struct http **h);        /* for AUTO */

struct http_tls {
	bool insecure;                   /* any certificate will do */
	const char *ca_file, *ca_dir;    /* NULL: the system's */
	struct slice ca;                 /* PEM bytes that replace both, when not empty */
	const char *cert, *key;          /* client certificate, NULL */
};

enum hop_end {
	HOP_ANSWER,                      /* status, headers and the whole body are here */
	HOP_UNREACHED,                   /* nothing was sent: no such host, refused, no TLS spoken there */
	HOP_UNTRUSTED,                   /* the certificate does not verify */
	HOP_BROKEN,                      /* died or stalled on the way; may be tried again */
	HOP_STOPPED,                     /* a limit, an address rule, or our own sink or source said no */
};

/* Body to send: size bytes, or -1: until read gives 0. read gives 1..n, -1 with *e, or HTTP_WAIT: not before hop_go_on(). rewind starts over. */
enum { HTTP_WAIT = -2 };
struct http_source {
	void *arg;
	int64_t size;
	ssize_t (*read)(void *arg, void *p, size_t n, struct err **e);
	int (*rewind)(void *arg, struct err **e);
};
/* One of bytes that are in memory: both are the caller's. */
struct http_bytes {
	struct slice bytes;
	size_t at;
};
struct http_source http_source_bytes(struct http_bytes *b);

struct hop {
	/* the question; borrowed until done */
	const char *method;
	const struct url *url;
	const char *const *header;       /* "Name: value", NULL-terminated */
	const struct http_tls *tls;
	const char *identity;            /* who is speaking; "" nobody (R3) */
	const struct http_source *source;        /* NULL: no body */
	enum addr_class from;            /* redirected by a server of this class: addr_allowed() decides where to (R5) */
	bool guarded;                    /* `from` counts */
	uint64_t max_body;               /* of a 2xx answer */
	/* Body of a 2xx answer; NULL: kept in text. */
	int (*sink)(struct hop *p, const void *bytes, size_t n, struct err **e);
	void *arg;
	enum err_kind kind;

	/* the answer */
	bool done;
	enum hop_end end;
	long status;
	struct buf headers;              /* "Name: value\n" lines of the final answer */
	struct buf text;                 /* the body, unless it went to the sink */
	uint64_t body;                   /* bytes of a 2xx body seen */
	enum addr_class peer;            /* whom we talked to; ADDR_NAME through a proxy */
	struct err *err;

	struct hop_curl *curl;           /* running */
	struct http *http;
};
int http_start(struct http *h, struct hop *p, struct err **e);
/* Move everything for at most ms milliseconds; returns early when a hop is done. */
int http_poll(struct http *h, int ms, struct err **e);
void hop_go_on(struct hop *p);           /* its source has something again */
void hop_clear(struct hop *p);
/* The i-th header of that name (any case), trimmed. */
bool hop_header(const struct hop *p, const char *name, size_t i, struct slice *ret);

/* ---- one URL into a file, for ADD and contexts (spec/dockerfile.md 10.3, threats.md D13) */
enum { HTTP_UNCHANGED = 1 };             /* answer: 304 to if_none_match or if_modified_since */
struct http_fetch_req {
	const char *url;
	int fd;                          /* written from its start; truncated when an attempt is repeated */
	uint64_t max;                    /* ERR_LIMIT over it; 0: 16 GiB */
	const char *authorization;       /* value of the header, for the URL's own origin only; NULL */
	const char *if_none_match, *if_modified_since;   /* NULL */
	bool head;                       /* ask for the headers only; fd is not used */
	void (*progress)(void *arg, uint64_t done, uint64_t total);      /* NULL; total 0: unknown */
	void *arg;
};
struct http_fetched {
	char *etag, *last_modified;      /* as sent, NULL */
	char *date;                      /* as sent, NULL */
	bool moved;                      /* another URL than the one asked for answered; told with HTTP_UNCHANGED, too */
	bool gzip;                       /* the bytes are still Content-Encoding: gzip; read them through comp_gzip */
	uint64_t size;                   /* bytes written */
};
int http_fetch(const struct http_fetch_req *r, struct http_fetched *ret, struct err **e);
void http_fetched_clear(struct http_fetched *f);
