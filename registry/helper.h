/* registry/helper.h - docker-credential-NAME programs (spec/oci.md 2.14, threats.md S2). */
#pragma once
#include "base/buf.h"

enum { HELPER_NONE = 1, HELPER_ABSENT = 2 };     /* nothing stored for that server; not installed */

bool helper_name_ok(const char *name);
/* verb: get, store, erase. out: what it printed. */
int helper_run(const char *name, const char *verb, struct slice input, struct buf *out, struct err **e);
