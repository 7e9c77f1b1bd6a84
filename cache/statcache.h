/* cache/statcache.h - remembered digests of context files, so that an unchanged file is never read again.
 *
 * Data:   one file per context directory (named by hash of its path and device), mapped; key: device, inode, size, mtime
 *         ns, ctime ns. An entry is not trusted unless ctime is older than the read by more than the clock's grain.
 * Owns:   statcache_open maps the old file; additions go to memory and are written as a whole by statcache_save (rename).
 * Fails:  a damaged file is an empty one. Cost of a look-up: a search among near inodes, no allocation.
 * Bounds: 8 to 16 bytes in memory for an added file, a bit for an old one; the rest lies in files.
 */
#pragma once
#include "cache/store.h"

struct statcache;
int statcache_open(struct store *s, const char *context, struct statcache **ret, struct err **e);
void statcache_close(struct statcache *c);
bool statcache_get(struct statcache *c, const struct stat *st, struct digest *ret);
/* read_at: wall clock ns taken before the file was opened. */
void statcache_put(struct statcache *c, const struct stat *st, int64_t read_at_ns, const struct digest *d);
/* Keeps what was looked up or added in this run; nothing to write when nothing changed. */
int statcache_save(struct statcache *c, struct err **e);
