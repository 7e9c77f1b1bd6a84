/* registry/upload.h - one blob into a repository: mount, monolithic PUT, chunks when that does not work (spec/oci.md 2.7).
 *
 * Data:   upload_start() asks for a place and starts sending; upload_step() is called whenever req.done until `done`.
 *         The file is hashed again while it is sent (T9).
 * Owns:   upload_clear() frees all but fd, which is the caller's.
 */
#pragma once
#include "registry/dist.h"

struct upload {
	struct dist *dist;
	struct peer *peer;
	struct digest digest;
	int64_t size;
	int fd;
	bool done;                       /* the registry has it */

	struct request req;              /* the one that carries bytes */
	struct http_source source;
	struct hasher *hasher;
	uint64_t from, len, at, told;    /* this piece of the file; read of it; progress reported */
	struct url location;             /* where this upload continues; text NULL: no place yet */
	bool chunked, closing;           /* pieces by PATCH; the empty PUT behind them */
	uint64_t acked;                  /* bytes the registry confirmed */
	uint64_t chunk;
	unsigned restarts, breaks;
	char scope[DIST_PATH], range[80];
};
enum { UPLOAD_MOUNTED = 1 };
/* Is it there? A started HEAD; upload_present() judges it when req.done. */
void upload_init(struct upload *u, struct dist *d, struct peer *p, const struct digest *digest, int64_t size);
int upload_head(struct upload *u, char path[DIST_PATH], struct err **e);
bool upload_present(const struct upload *u);
/* Ask to mount from "host/repo" of the same host. UPLOAD_MOUNTED, or 0: not, go on (perhaps with a place given). */
int upload_mount(struct upload *u, const char *from, struct err **e);
/* Start to send fd. */
int upload_start(struct upload *u, int fd, struct err **e);
int upload_step(struct upload *u, struct err **e);
/* The parts, for tail.c. A place; a request there with this body (last: with the digest); where its answer says to go on. */
int upload_place(struct upload *u, struct err **e);
int upload_send(struct upload *u, const char *method, const struct http_source *body, bool last, int64_t delay_ms, struct err **e);
int upload_moved(struct upload *u, const struct request *r, struct err **e);
void upload_clear(struct upload *u);
