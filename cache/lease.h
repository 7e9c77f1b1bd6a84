/* cache/lease.h - pins of a running process: a file whose flock lives as long as the process (spec/oci.md 7.5).
 *
 * Rules that close the races: appends, creations of leases and of tmp/<id>/ happen inside a LOCK_SH section of ROOT/lock;
 * sweeping happens only inside LOCK_EX. No time-outs, no pid files (L1).
 */
#pragma once
#include "base/digest.h"

struct lease;
int lease_open(int store, struct lease **ret, struct err **e);        /* also creates tmp/<id>/ */
void lease_close(struct lease *l);                                    /* removes the file, tmp/<id>/ must be empty */
const char *lease_id(const struct lease *l);
/* One line "blob sha256:...", "layer <flavour> <hex>", "listing <hex>"; remembered, so it is written once. */
int lease_pin(struct lease *l, const char *line, struct err **e);
bool lease_pinned(const struct lease *l, const char *line);

/* ROOT/lock: LOCK_SH or LOCK_EX (bounded wait of 60 s for EX). */
int store_lock(int store, int how, int *ret_fd, struct err **e);
void store_unlock(int *fd);
