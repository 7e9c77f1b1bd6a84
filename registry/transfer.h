/* registry/transfer.h - whole images to and from registries (spec/oci.md 2).
 *
 * Data:   runs in a child of the main process (a JOB_LOCAL), so it blocks: libcurl's multi interface moves up to four blobs at once.
 *         So network bytes are parsed outside the main process, credentials live only here, and a build that needs no network
 *         never loads libcurl. Blobs are written into a tmp directory of the store under their hex digest, size and digest
 *         verified while they arrive, then `blob` is called: the main process commits them.
 * Fails:  kinds come from transfer_opts.kind (ERR_SOURCE for a pull, ERR_PUSH for a push); messages by spec/threats.md 18.
 */
#pragma once
#include "layers/image.h"
#include "registry/ref.h"

struct transfer_opts {
	enum err_kind kind;
	const char *authfile;            /* --authfile; NULL: the usual files (2.13) */
	const char *creds;               /* "user:password" from --creds, wiped by the caller */
	const char *cert_dir;
	bool insecure;                   /* --tls-verify=false for the named registries */
	bool verify;                     /* --tls-verify=true: none is insecure, no loopback address is spoken to without TLS */
	unsigned retries;                /* 0: 5 */
	int64_t retry_delay_ns;          /* 0: longer each time */
	unsigned parallel;               /* 0: 4 */
	const char *const *mirror;       /* --registry-mirror HOST, for docker.io; NULL-terminated or NULL */
};
struct transfer_calls {
	void *arg;
	/* Is this blob in the store already? */
	bool (*have)(void *arg, const struct digest *d, int64_t size);
	/* A blob is complete in dir under its hex name. */
	int (*blob)(void *arg, const struct digest *d, int64_t size, struct err **e);
	void (*progress)(void *arg, const struct digest *d, uint64_t done, uint64_t total);
	void (*note)(void *arg, const char *text);
};

struct pull_req {
	const struct ref *ref;
	const struct platform *platform;
	int dir;                         /* tmp directory fd */
	bool layers;                     /* also the layers; else manifest and config only */
	/* Only these layers (indexes are of the manifest); NULL: all that `have` does not know. */
	const struct digest *want;
	size_t nwant;
};
struct pull_result {
	struct digest root;              /* what the reference resolved to: index or manifest */
	struct digest manifest;
	struct buf manifest_bytes, config_bytes;     /* exact bytes; max set by pull */
	char *media_type;                /* of the manifest */
	char *source;                    /* "host/repo" they came from (a mirror's own name) */
};
void pull_result_clear(struct pull_result *r);
int pull_run(const struct pull_req *r, const struct transfer_opts *o, const struct transfer_calls *c, struct pull_result *ret,
	     struct err **e);
/* What a reference is there for: the platforms of its index in their order, or the one of its image. ret: free(). */
int pull_platforms(const struct ref *ref, const struct transfer_opts *o, const struct transfer_calls *c, struct platform **ret, size_t *n,
		   struct err **e);

struct push_blob {
	struct digest digest;
	int64_t size;
	const char *const *from;         /* "host/repo" candidates for a mount, NULL-terminated; NULL */
};
struct push_doc {
	struct slice bytes;
	const char *media_type;
};
struct push_req {
	const struct ref *ref;           /* every tag of one repository in one request: */
	const char *const *tag;          /* NULL-terminated; NULL: ref's own tag; empty list: by digest only */
	int store;                       /* store directory fd; blobs are read from blobs/sha256/<hex> and verified again (T9) */
	const struct push_blob *blob;    /* configs included, manifests not; one may be there several times */
	size_t nblob;
	const struct push_doc *child;    /* manifests that the manifest, an index, is of: by digest, before it */
	size_t nchild;
	struct push_doc manifest;
	/* A blob that is in no store (a base that was never downloaded) may be fetched from its source while pushing. */
};
int push_run(const struct push_req *r, const struct transfer_opts *o, const struct transfer_calls *c, struct digest *ret_manifest,
	     struct err **e);

/* login: check credentials against /v2/ before they are stored. */
int login_check(const char *host, const char *user, const char *password, const struct transfer_opts *o, struct err **e);
