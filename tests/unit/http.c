/* tests/unit/http.c - URLs, addresses, sites, proxies (threats.md R4-R9, R14). The network side is in transfer.c. */
#include "registry/http.h"
#include "registry/proxy.h"

#include "base/mem.h"
#include "../tap.h"

#include <stdlib.h>

static const struct {
	const char *name, *in, *text, *host;
	unsigned port;
	const char *user;
} urls[] = {
	{ "a host alone gets a path and its port", "https://a.b", "https://a.b/", "a.b", 443, NULL },
	{ "http has port 80", "http://A.b/x", "http://A.b/x", "a.b", 80, NULL },
	{ "a port and a query", "https://a:5000/x?y=z", "https://a:5000/x?y=z", "a", 5000, NULL },
	{ "a query without path", "https://a?x", "https://a/?x", "a", 443, NULL },
	{ "the fragment goes", "https://a/x#y", "https://a/x", "a", 443, NULL },
	{ "user information is kept apart", "https://me:p@w@a/x", "https://a/x", "a", 443, "me:p@w" },
	{ "an address of version 6", "http://[::1]:99/x", "http://[::1]:99/x", "::1", 99, NULL },
	{ "an @ in the path is no user", "https://a/x@y", "https://a/x@y", "a", 443, NULL },
	{ "another scheme is refused", "ftp://a/x", NULL, NULL, 0, NULL },
	{ "no scheme is refused", "a/x", NULL, NULL, 0, NULL },
	{ "no host is refused", "https:///x", NULL, NULL, 0, NULL },
	{ "a line end is refused", "https://a/x\r\nHost: b", NULL, NULL, 0, NULL },
	{ "a backslash is refused", "https://a\\@b/x", NULL, NULL, 0, NULL },
	{ "a host with percent is refused", "https://a%2eb/", NULL, NULL, 0, NULL },
	{ "a host of dots is refused", "https://../x", NULL, NULL, 0, NULL },
	{ "port 0 is refused", "https://a:0/", NULL, NULL, 0, NULL },
	{ "a port too far is refused", "https://a:65536/", NULL, NULL, 0, NULL },
	{ "a broken address of version 6 is refused", "https://[::zz]/", NULL, NULL, 0, NULL },
};

static const struct {
	const char *base, *location, *want;
} resolved[] = {
	{ "https://a/v2/x?y", "/z", "https://a/z" },
	{ "https://a/v2/x?y", "z?q", "https://a/v2/z?q" },
	{ "https://a/v2/x?y", "?q", "https://a/v2/x?q" },
	{ "https://a/v2/x", "//b/c", "https://b/c" },
	{ "https://a/v2/x", "http://b/c", "http://b/c" },
	{ "https://a/v2/x", "https://u:p@b/c", "https://b/c" },
	{ "https://a/v2/x", "javascript:alert(1)", NULL },
	{ "https://a:99/v2/", " up ", "https://a:99/v2/up" },
};

static const struct {
	const char *host;
	enum addr_class class;
} addresses[] = {
	{ "127.0.0.1", ADDR_LOOPBACK }, { "127.9.9.9", ADDR_LOOPBACK }, { "127.1", ADDR_LOOPBACK }, { "0x7f000001", ADDR_LOOPBACK },
	{ "2130706433", ADDR_LOOPBACK }, { "0.0.0.0", ADDR_LOOPBACK }, { "::1", ADDR_LOOPBACK }, { "::ffff:127.0.0.1", ADDR_LOOPBACK },
	{ "localhost", ADDR_LOOPBACK }, { "reg.localhost", ADDR_LOOPBACK }, { "10.1.2.3", ADDR_PRIVATE }, { "172.31.0.1", ADDR_PRIVATE },
	{ "172.32.0.1", ADDR_PUBLIC }, { "192.168.0.1", ADDR_PRIVATE }, { "100.64.0.1", ADDR_PRIVATE }, { "100.128.0.1", ADDR_PUBLIC },
	{ "169.254.169.254", ADDR_LINK_LOCAL }, { "fe80::1", ADDR_LINK_LOCAL }, { "fd00::1", ADDR_PRIVATE }, { "8.8.8.8", ADDR_PUBLIC },
	{ "2001:4860::1", ADDR_PUBLIC }, { "example.com", ADDR_NAME }, { "localhost.example.com", ADDR_NAME },
};

static const struct {
	const char *a, *b;
	bool same;
} sites[] = {
	{ "registry-1.docker.io", "auth.docker.io", true }, { "ghcr.io", "ghcr.io", true }, { "a.example.com", "b.example.com", true },
	{ "example.com", "evil.com", false }, { "a.co.uk", "b.co.uk", false }, { "x.a.co.uk", "y.a.co.uk", true },
	{ "a.github.io", "b.github.io", true }, { "10.0.0.1", "10.0.0.1", false }, { "localhost", "localhost", false }, { "single", "single", false },
	{ "good.com.", "evil.com.", false },
};

static const struct {
	const char *list, *host;
	unsigned port;
	bool bypassed;
} no_proxy[] = {
	{ "*", "a.b", 443, true }, { "example.com", "example.com", 443, true }, { "example.com", "x.example.com", 443, true },
	{ ".example.com", "x.example.com", 443, true }, { "example.com", "badexample.com", 443, false }, { "a, b c", "c", 80, true },
	{ "10.0.0.0/8", "10.2.3.4", 443, true }, { "10.0.0.0/8", "11.2.3.4", 443, false }, { "10.0.0.0/33", "10.2.3.4", 443, false },
	{ "fd00::/8", "fd12::1", 443, true }, { "10.1.1.1", "10.1.1.1", 443, true }, { "reg:5000", "reg", 5000, true },
	{ "reg:5000", "reg", 5001, false }, { "::1", "::1", 443, true }, { "", "a", 443, false }, { "*.example.com", "x.example.com", 443, true },
	{ "EXAMPLE.com", "example.COM", 443, true },
};

static void url_cases(void)
{
	for (size_t i = 0; i < countof(urls); i++) {
		struct url u = { 0 };
		int rc = url_parse(slice_of(urls[i].in), &u, NULL);

		ok(rc == 0 ? urls[i].text && strcmp(u.text, urls[i].text) == 0 && strcmp(u.host, urls[i].host) == 0 && u.port == urls[i].port
			   : !urls[i].text, "%s", urls[i].name);
		ok(!u.userinfo == !urls[i].user && (!u.userinfo || strcmp(u.userinfo, urls[i].user) == 0), "%s: user", urls[i].name);
		ok(rc < 0 || u.text[u.path] == '/', "%s: path", urls[i].name);
		url_clear(&u);
	}
	for (size_t i = 0; i < countof(resolved); i++) {
		struct url base = { 0 }, u = { 0 };

		if (url_parse(slice_of(resolved[i].base), &base, NULL) < 0)
			abort();
		int rc = url_resolve(&base, slice_of(resolved[i].location), &u, NULL);
		ok(rc == 0 ? resolved[i].want && strcmp(u.text, resolved[i].want) == 0 && !u.userinfo : !resolved[i].want, "'%s' seen from '%s'",
		   resolved[i].location, resolved[i].base);
		url_clear(&base);
		url_clear(&u);
	}
}

static void proxies(void)
{
	struct url http = { 0 }, https = { 0 }, here = { 0 };

	if (url_parse(SLICE_LIT("http://a.b/"), &http, NULL) < 0 || url_parse(SLICE_LIT("https://a.b/"), &https, NULL) < 0 ||
	    url_parse(SLICE_LIT("https://127.0.0.1/"), &here, NULL) < 0)
		abort();
	clearenv();
	ok(!proxy_for(&http), "no variable, no proxy");
	setenv("HTTP_PROXY", "http://p:1", 1);
	setenv("https_proxy", "http://p:2", 1);
	setenv("HTTPS_PROXY", "http://p:3", 1);
	AUTO(mem_freep) char *a = proxy_for(&http);
	AUTO(mem_freep) char *b = proxy_for(&https);
	is_str(a, "http://p:1", "HTTP_PROXY is for http");
	is_str(b, "http://p:2", "lower case is preferred");
	ok(!proxy_for(&here), "loopback is never proxied");
	setenv("REQUEST_METHOD", "GET", 1);
	ok(!proxy_for(&http), "HTTP_PROXY is not believed in a CGI program");
	setenv("NO_PROXY", ".b", 1);
	ok(!proxy_for(&https), "NO_PROXY counts");
	url_clear(&http);
	url_clear(&https);
	url_clear(&here);
}

int main(void)
{
	url_cases();
	for (size_t i = 0; i < countof(addresses); i++)
		ok(addr_class_host(addresses[i].host) == addresses[i].class, "the class of %s", addresses[i].host);
	for (size_t i = 0; i < countof(sites); i++)
		ok(url_same_site(sites[i].a, sites[i].b) == sites[i].same, "%s and %s", sites[i].a, sites[i].b);
	for (size_t i = 0; i < countof(no_proxy); i++)
		ok(proxy_bypassed(slice_of(no_proxy[i].list), no_proxy[i].host, no_proxy[i].port) == no_proxy[i].bypassed, "'%s' for %s:%u",
		   no_proxy[i].list, no_proxy[i].host, no_proxy[i].port);
	ok(!addr_allowed(ADDR_PUBLIC, ADDR_PRIVATE) && !addr_allowed(ADDR_PRIVATE, ADDR_LOOPBACK) && !addr_allowed(ADDR_NAME, ADDR_LINK_LOCAL) &&
	   addr_allowed(ADDR_LOOPBACK, ADDR_LOOPBACK) && addr_allowed(ADDR_PRIVATE, ADDR_PRIVATE) && addr_allowed(ADDR_PRIVATE, ADDR_PUBLIC),
	   "who may send us where");
	proxies();
	return done_testing();
}
