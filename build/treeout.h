/* build/treeout.h - the merged file system of an image, as a tar stream or a directory (spec/oci.md 4.4); of several platforms each in a
 * directory of its own, or all in one, if no two have a file of the same name.
 *
 * The destination is opened by the main process; a mapped worker, which alone can read the layers, writes into that fd. Container root is
 * the user, so files of a directory output belong to the caller.
 */
#pragma once
#include "base/digest.h"
#include "base/job.h"
#include "base/tmp.h"
#include "build/req.h"
#include "layers/platform.h"

struct treeout_part {                    /* one image */
	struct platform_text platform;
	bool split;                      /* below a directory that is named after it */
	struct strs dir;                 /* ROOT-relative, bottom first */
	struct digest *diff;             /* of the same layers */
};
struct treeout_req {
	const char *store;
	struct treeout_part *part;
	size_t n;
	bool tar, mode_delete;
	int64_t epoch;                   /* INT64_MIN: times as they are; else of every file */
};
void treeout_put(struct buf *b, const struct treeout_req *r);
job_main treeout_job;

/* "-" is stdout (tar only). A tar is written to a new file beside its name, a pipe or device is written to; a directory is made if it is
 * missing. Files are as the umask says, which the caller has set to the user's. */
struct treeout_dest {
	int fd;                          /* what the worker writes to */
	int dir;                         /* that of tmp; -1: fd is the destination itself */
	struct tmp tmp;
};
#define TREEOUT_NONE { .fd = -1, .dir = -1, .tmp = TMP_NONE }
int treeout_open(bool tar, const char *dest, struct treeout_dest *ret, struct err **e);
int treeout_finish(struct treeout_dest *d, const char *dest, struct err **e);
void treeout_clear(struct treeout_dest *d);      /* unfinished: nothing is left of it */
