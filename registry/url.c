/* registry/url.c - see url.h. */
#include "registry/url.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

enum { URL_MAX = 8192, HOST_MAX = 255 };

static int bad(struct slice text, const char *why, struct err **e)
{
	struct slice head = text;

	slice_cut(text, '?', &head, &text);
	const char *at = slice_find(head, '@');
	if (at)
		head = slice_range(at + 1, head.p + head.n);
	if (head.n > 200)
		head.n = 200;
	return err_set(e, ERR_SOURCE, "the URL '%.*s' %s", SLICE_F(head), why);
}

static bool host_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

/* "host", "host:port", "[v6]", "[v6]:port" */
static int authority(struct slice text, struct slice s, struct url *u, struct err **e)
{
	struct slice host = s, port = SLICE_NONE;
	bool has_port = false;
	uint64_t n = u->https ? 443 : 80;

	if (s.n && s.p[0] == '[') {
		struct in6_addr a;
		char v6[INET6_ADDRSTRLEN] = "";

		if (!slice_cut(slice_skip(s, 1), ']', &host, &port) || host.n >= sizeof(v6))
			return bad(text, "has a malformed host", e);
		memcpy(v6, host.p, host.n);
		if (inet_pton(AF_INET6, v6, &a) != 1 || (port.n && port.p[0] != ':'))
			return bad(text, "has a malformed host", e);
		has_port = port.n > 0;
		port = slice_skip(port, 1);
	} else {
		has_port = slice_cut(s, ':', &host, &port);
		if (host.n == 0 || host.n > HOST_MAX)
			return bad(text, "has no host", e);
		for (size_t i = 0; i < host.n; i++) {
			/* No empty label: the host is also a directory's name below certs.d. */
			if (!host_char(host.p[i]) || (host.p[i] == '.' && (i == 0 || host.p[i - 1] == '.')))
				return bad(text, "has a malformed host", e);
		}
	}
	if (has_port && (!slice_u64(port, &n) || n == 0 || n > 65535))
		return bad(text, "has a malformed port", e);
	u->port = (unsigned)n;
	u->host = mem_strn(host.p, host.n);
	for (char *p = u->host; *p; p++)
		*p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
	return 0;
}

int url_parse(struct slice text, struct url *ret, struct err **e)
{
	AUTO(url_clear) struct url u = { 0 };
	struct slice rest = text, fragment = SLICE_NONE;
	size_t n = 0;

	if (text.n > URL_MAX)
		return bad(text, "is longer than 8192 bytes", e);
	for (size_t i = 0; i < text.n; i++) {
		if ((unsigned char)text.p[i] <= ' ' || text.p[i] == 0x7f || text.p[i] == '\\')
			return bad(text, "has a blank, backslash or control character", e);
	}
	slice_cut(rest, '#', &rest, &fragment);
	u.https = rest.n >= 8 && strncasecmp(rest.p, "https://", 8) == 0;
	if (!u.https && !(rest.n >= 7 && strncasecmp(rest.p, "http://", 7) == 0))
		return bad(text, "is neither https nor http", e);
	rest = slice_skip(rest, u.https ? 8 : 7);
	while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
		n++;
	struct slice auth = { rest.p, n };
	rest = slice_skip(rest, n);
	for (size_t i = auth.n; i > 0; i--) {
		if (auth.p[i - 1] == '@') {
			u.userinfo = mem_strn(auth.p, i - 1);
			auth = slice_skip(auth, i);
			break;
		}
	}
	if (authority(text, auth, &u, e) < 0)
		return -1;
	u.text = mem_printf("%s://%.*s%s%.*s", u.https ? "https" : "http", SLICE_F(auth),
			    rest.n && rest.p[0] == '/' ? "" : "/", SLICE_F(rest));
	u.path = (u.https ? 8 : 7) + auth.n;
	*ret = u;
	u = (struct url){ 0 };
	return 0;
}

static bool has_scheme(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == ':')
			return i > 0;
		if (c == '/' || c == '?' || c == '#')
			return false;
	}
	return false;
}

int url_resolve(const struct url *base, struct slice location, struct url *ret, struct err **e)
{
	AUTO(mem_freep) char *text = NULL;
	const char *scheme = base->https ? "https:" : "http:";
	const char *query = strchr(base->text, '?');
	size_t path_end = query ? (size_t)(query - base->text) : strlen(base->text);

	location = slice_trim(location, " \t");
	if (has_scheme(location))
		text = mem_strn(location.p, location.n);
	else if (slice_starts(location, "//"))
		text = mem_printf("%s%.*s", scheme, SLICE_F(location));
	else if (slice_starts(location, "/"))
		text = mem_printf("%.*s%.*s", (int)base->path, base->text, SLICE_F(location));
	else if (slice_starts(location, "?"))
		text = mem_printf("%.*s%.*s", (int)path_end, base->text, SLICE_F(location));
	else if (location.n == 0)
		text = mem_str(base->text);
	else {
		while (base->text[path_end - 1] != '/')
			path_end--;
		text = mem_printf("%.*s%.*s", (int)path_end, base->text, SLICE_F(location));
	}
	if (url_parse(slice_of(text), ret, e) < 0)
		return -1;
	free(ret->userinfo);
	ret->userinfo = NULL;
	return 0;
}

void url_clear(struct url *u)
{
	free(u->text);
	free(u->host);
	if (u->userinfo)
		mem_wipe(u->userinfo, strlen(u->userinfo));
	free(u->userinfo);
	*u = (struct url){ 0 };
}

void url_copy(struct url *to, const struct url *from)
{
	*to = *from;
	to->text = mem_str(from->text);
	to->host = mem_str(from->host);
	to->userinfo = mem_str(from->userinfo);
}

bool url_same_origin(const struct url *a, const struct url *b)
{
	return a->https == b->https && a->port == b->port && strcmp(a->host, b->host) == 0;
}

char *url_shown(const struct url *u)
{
	return mem_strn(u->text, strcspn(u->text, "?"));
}

void url_encode(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-._~/", c)))
			buf_char(out, c);
		else
			buf_printf(out, "%%%02X", (unsigned char)c);
	}
}

void url_add_query(struct url *u, const char *name, const char *value)
{
	struct buf b = BUF_MAX(4 * URL_MAX);

	buf_printf(&b, "%s%c%s=", u->text, strchr(u->text, '?') ? '&' : '?', name);
	url_encode(&b, slice_of(value));
	free(u->text);
	u->text = buf_steal(&b);
}

static enum addr_class class4(uint32_t a)
{
	if (a >> 24 == 127 || a >> 24 == 0)
		return ADDR_LOOPBACK;
	if (a >> 16 == 0xA9FE)
		return ADDR_LINK_LOCAL;          /* 169.254: where clouds keep their metadata services */
	if (a >> 24 == 10 || a >> 20 == 0xAC1 || a >> 16 == 0xC0A8 || a >> 22 == 0x6440 >> 6)
		return ADDR_PRIVATE;             /* 10/8, 172.16/12, 192.168/16, 100.64/10 */
	return ADDR_PUBLIC;
}

static enum addr_class class6(const struct in6_addr *a)
{
	uint32_t v4 = 0;

	memcpy(&v4, a->s6_addr + 12, sizeof(v4));
	if (IN6_IS_ADDR_LOOPBACK(a) || IN6_IS_ADDR_UNSPECIFIED(a))
		return ADDR_LOOPBACK;
	if (IN6_IS_ADDR_V4MAPPED(a) || IN6_IS_ADDR_V4COMPAT(a))
		return class4(ntohl(v4));
	if (IN6_IS_ADDR_LINKLOCAL(a))
		return ADDR_LINK_LOCAL;
	if ((a->s6_addr[0] & 0xFE) == 0xFC)
		return ADDR_PRIVATE;
	return ADDR_PUBLIC;
}

enum addr_class addr_class(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		return class4(ntohl(in.sin_addr.s_addr));
	}
	if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, sa, sizeof(in6));
		return class6(&in6.sin6_addr);
	}
	return ADDR_LINK_LOCAL;                  /* nothing we know: as untrusted as it gets */
}

enum addr_class addr_class_host(const char *host)
{
	struct in_addr a4;
	struct in6_addr a6;

	/* inet_aton() reads every spelling that a resolver would: 127.1, 0x7f000001, 2130706433. */
	if (inet_aton(host, &a4))
		return class4(ntohl(a4.s_addr));
	if (inet_pton(AF_INET6, host, &a6) == 1)
		return class6(&a6);
	if (strcmp(host, "localhost") == 0 || slice_ends(slice_of(host), ".localhost"))
		return ADDR_LOOPBACK;
	return ADDR_NAME;
}

bool addr_allowed(enum addr_class from, enum addr_class to)
{
	if (to == ADDR_PUBLIC || to == ADDR_NAME || from == to)
		return true;
	/* Who talks to a registry on this machine may be sent to the private network beside it, not the other way round. */
	return from == ADDR_LOOPBACK && to == ADDR_PRIVATE;
}

/* The last n labels of host, NULL when it has fewer. */
static const char *last_labels(const char *host, unsigned n)
{
	const char *p = host + strlen(host);

	while (p > host) {
		if (p[-1] == '.' && --n == 0)
			return p;
		p--;
	}
	return n <= 1 ? host : NULL;
}

static const char *site(const char *host)
{
	const char *two = last_labels(host, 2);

	if (!two)
		return NULL;
	const char *top = strchr(two, '.');
	/* "co.uk", "com.au": everybody's, so one label more. */
	if (strlen(top + 1) == 2 && top - two <= 3)
		return last_labels(host, 3);
	return two;
}

bool url_same_site(const char *host_a, const char *host_b)
{
	if (addr_class_host(host_a) != ADDR_NAME || addr_class_host(host_b) != ADDR_NAME)
		return false;
	/* A final dot would make the top domain the whole site. */
	if (slice_ends(slice_of(host_a), ".") || slice_ends(slice_of(host_b), "."))
		return false;
	const char *a = site(host_a), *b = site(host_b);
	return a && b && strcmp(a, b) == 0;
}
