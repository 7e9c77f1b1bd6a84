/* registry/url.h - http and https URLs from people and from servers: split, resolved, compared, judged.
 *
 * Data:   a URL is kept as the text to request, without fragment and user information. Nothing is percent-decoded.
 * Owns:   url_clear() frees; AUTO(url_clear) on `struct url u = { 0 }`.
 * Fails:  ERR_SOURCE with a sentence that shows the URL without query (it may hold a signature).
 */
#pragma once
#include "base/buf.h"

struct sockaddr;

struct url {
	char *text;                      /* "https://host:port/path?query" */
	bool https;
	char *host;                      /* lower case, IPv6 without brackets */
	unsigned port;                   /* filled in when the text has none */
	size_t path;                     /* offset of the path in text */
	char *userinfo;                  /* "user:password" as written, NULL; never part of text */
};
int url_parse(struct slice text, struct url *ret, struct err **e);
/* A redirect's Location, an upload's Location, a token realm: relative or absolute. User information in it is dropped. */
int url_resolve(const struct url *base, struct slice location, struct url *ret, struct err **e);
void url_clear(struct url *u);
void url_copy(struct url *to, const struct url *from);
/* Same scheme, host and port. */
bool url_same_origin(const struct url *a, const struct url *b);
/* For people: no query. New text. */
char *url_shown(const struct url *u);
/* Append to the query. value is percent-encoded here. */
void url_add_query(struct url *u, const char *name, const char *value);
void url_encode(struct buf *out, struct slice s);

/* Where an address leads (R5). A name is judged when it is connected to, by the address it resolved to. */
enum addr_class { ADDR_NAME, ADDR_PUBLIC, ADDR_PRIVATE, ADDR_LOOPBACK, ADDR_LINK_LOCAL };
enum addr_class addr_class(const struct sockaddr *sa);
/* Literal addresses, localhost and *.localhost; anything else is ADDR_NAME. */
enum addr_class addr_class_host(const char *host);
/* May a server reached at `from` send us to `to`? */
bool addr_allowed(enum addr_class from, enum addr_class to);

/* The same registrable domain as R9 counts it: last two labels, three below a two-letter country with a short second label. */
bool url_same_site(const char *host_a, const char *host_b);
