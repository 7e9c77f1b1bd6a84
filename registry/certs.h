/* registry/certs.h - certificates for a host: certs.d directories and --cert-dir (spec/oci.md 2.15). */
#pragma once
#include "registry/http.h"

struct certs {
	struct http_tls tls;             /* points into what follows */
	struct http_tls guest;           /* for hosts that this one sends us to: its CAs, no client certificate, always verified */
	struct buf ca;
	char *cert, *key;
};
/* host as in the reference, with its port; NULL: the system's CAs alone. cert_dir NULL: the usual directories. */
int certs_find(const char *host, const char *cert_dir, bool insecure, struct certs *ret, struct err **e);
void certs_clear(struct certs *c);
