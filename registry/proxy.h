/* registry/proxy.h - which proxy a URL goes through, from the environment (spec/oci.md 2.16, threats.md R14). */
#pragma once
#include "registry/url.h"

/* New text for libcurl, NULL: direct. Loopback is never proxied. */
char *proxy_for(const struct url *u);
/* Does a NO_PROXY list cover this host and port? */
bool proxy_bypassed(struct slice no_proxy, const char *host, unsigned port);
