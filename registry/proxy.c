/* registry/proxy.c - see proxy.h.
 *
 * NO_PROXY is a list, separated by commas or blanks, of: "*", a host ("a.b" and ".a.b" also cover x.a.b), an address,
 * a network "10.0.0.0/8"; hosts and addresses may end in ":port".
 */
#include "registry/proxy.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <strings.h>

/* Lower case first, as curl does. */
static const char *either(const char *lower, const char *upper)
{
	const char *v = getenv(lower);

	if (!v || !*v)
		v = getenv(upper);
	return v && *v ? v : NULL;
}

/* Address as 4 or 16 bytes; 0 when it is none. */
static size_t address(struct slice s, unsigned char ret[16])
{
	char text[INET6_ADDRSTRLEN] = "";

	if (s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
		s = (struct slice){ s.p + 1, s.n - 2 };
	if (s.n == 0 || s.n >= sizeof(text))
		return 0;
	memcpy(text, s.p, s.n);
	if (inet_pton(AF_INET, text, ret) == 1)
		return 4;
	return inet_pton(AF_INET6, text, ret) == 1 ? 16 : 0;
}

static bool network_covers(struct slice net, struct slice bits, struct slice host)
{
	unsigned char a[16] = { 0 }, b[16] = { 0 };
	size_t n = address(net, a);
	uint64_t left = 0;

	if (n == 0 || address(host, b) != n || !slice_u64(bits, &left) || left > n * 8)
		return false;
	for (size_t i = 0; i < n && left > 0; i++) {
		unsigned take_bits = left < 8 ? (unsigned)left : 8;
		unsigned char mask = (unsigned char)(0xFF << (8 - take_bits));

		if ((a[i] ^ b[i]) & mask)
			return false;
		left -= take_bits;
	}
	return true;
}

static bool element_covers(struct slice el, struct slice host, unsigned port)
{
	struct slice head = el, tail = SLICE_NONE;
	unsigned char a[16], b[16];
	uint64_t n = 0;

	if (slice_is(el, "*"))
		return true;
	if (slice_cut(el, '/', &head, &tail))
		return network_covers(head, tail, host);
	size_t na = address(el, a);
	if (na == 0) {
		/* The last ':' parts a port, unless this is an address of version 6. */
		for (size_t i = el.n; i > 0; i--) {
			if (el.p[i - 1] != ':')
				continue;
			if (!slice_u64(slice_skip(el, i), &n) || n != port)
				return false;
			el.n = i - 1;
			break;
		}
		na = address(el, a);
	}
	if (na)
		return address(host, b) == na && memcmp(a, b, na) == 0;
	if (slice_starts(el, "*."))
		el = slice_skip(el, 1);
	if (slice_starts(el, "."))
		el = slice_skip(el, 1);
	if (el.n == 0 || host.n < el.n || strncasecmp(host.p + host.n - el.n, el.p, el.n) != 0)
		return false;
	return host.n == el.n || host.p[host.n - el.n - 1] == '.';
}

bool proxy_bypassed(struct slice no_proxy, const char *host, unsigned port)
{
	size_t from = 0;

	for (size_t i = 0; i <= no_proxy.n; i++) {
		if (i < no_proxy.n && no_proxy.p[i] != ',' && no_proxy.p[i] != ' ' && no_proxy.p[i] != '\t')
			continue;
		struct slice el = { no_proxy.p + from, i - from };

		from = i + 1;
		if (el.n && element_covers(el, slice_of(host), port))
			return true;
	}
	return false;
}

char *proxy_for(const struct url *u)
{
	const char *proxy = NULL, *none = either("no_proxy", "NO_PROXY");

	if (addr_class_host(u->host) == ADDR_LOOPBACK)
		return NULL;
	if (u->https)
		proxy = either("https_proxy", "HTTPS_PROXY");
	else   /* a CGI program's HTTP_PROXY is the client's "Proxy:" header */
		proxy = either("http_proxy", getenv("REQUEST_METHOD") ? "http_proxy" : "HTTP_PROXY");
	if (!proxy)
		proxy = either("all_proxy", "ALL_PROXY");
	if (!proxy || (none && proxy_bypassed(slice_of(none), u->host, u->port)))
		return NULL;
	return mem_str(proxy);
}
