/* registry/tail.h - a blob on its way into a repository while it is still written (spec/oci.md 2.7).
 *
 * Data:   one request whose body ends when the blob does; its digest is told to the registry afterwards. When the blob is complete
 *         and much of it is still to be sent, the registry is asked whether it has it: then the rest is not.
 * Fails:  as push_run(), which is also the way out: it looks for each blob and sends what is not there.
 */
#pragma once
#include "registry/transfer.h"

struct tail_end {
	struct digest digest;
	int64_t size;
};
struct tail_req {
	const struct ref *ref;
	int file;                        /* of the blob, growing */
	int end;                         /* pipe: a struct tail_end when it is complete */
};
int tail_run(const struct tail_req *r, const struct transfer_opts *o, const struct transfer_calls *c, struct err **e);
