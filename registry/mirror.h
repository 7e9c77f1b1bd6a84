/* registry/mirror.h - where a reference is really looked for: registries.conf, --registry-mirror (spec/oci.md 2.17).
 *
 * Data:   candidates in the order to try; the last one is the primary place, the only one that is pushed to.
 * Fails:  a malformed file is ERR_HOST naming file and line; a blocked registry is ERR_LIMIT.
 */
#pragma once
#include "registry/ref.h"
#include "registry/transfer.h"

struct candidate {
	char *host, *repo;               /* host as logins and certificates know it */
	bool insecure;
	bool named;                      /* the registry the user named: --creds and --tls-verify are about it */
};
int mirror_candidates(const struct ref *ref, const struct transfer_opts *o, bool push, struct candidate **ret, size_t *n,
		      struct err **e);
void mirror_free(struct candidate *c, size_t n);
/* Host that speaks for a registry ("registry-1.docker.io"); borrowed. */
const char *mirror_api(const char *host);
