/* build/exec/seccomp.h - the system calls a step may make (spec/executor.md 9, spec/threats.md C11).
 *
 * Data:   names -> numbers for each ABI of the machine -> intervals -> a BPF program that finds the number by binary search.
 *         Building takes about 0.1 ms, installing 0.2 ms.
 * Answers: allowed; known and refused: EPERM; unknown: ENOSYS, so that C libraries fall back.
 */
#pragma once
#include "base/err.h"

struct seccomp_filter;
/* caps: the step's bounding set. Freed with free(). */
struct seccomp_filter *seccomp_filter(uint64_t caps);
/* Install in this process. Needs CAP_SYS_ADMIN or no_new_privs. ready: a filter made before, or NULL; taken if it is for these caps. */
int seccomp_install(const struct seccomp_filter *ready, uint64_t caps, struct err **e);
