/* build/treeout.h - the merged file system of an image, as a tar stream or a directory (spec/oci.md 4.4).
 *
 * The destination is opened by the main process; a mapped worker, which alone can read the layers, writes into that fd. Container root is
 * the user, so files of a directory output belong to the caller.
 */
#pragma once
#include "base/job.h"
#include "base/digest.h"

struct treeout_req {
	const char *store;
	const char *const *dir;          /* ROOT-relative, bottom first */
	size_t ndir;
	struct digest *diff;             /* of the same layers */
	bool tar, mode_delete;
	int64_t epoch;                   /* INT64_MIN: times as they are; else of every file */
};
void treeout_put(struct buf *b, const struct treeout_req *r);
job_main treeout_job;

/* "-" is stdout (tar only). A tar is written to DEST.<random> beside its name; a directory is made if it is missing. */
int treeout_open(bool tar, const char *dest, int *ret_fd, struct err **e);
int treeout_finish(bool tar, const char *dest, struct err **e);
