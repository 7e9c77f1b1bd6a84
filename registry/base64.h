/* registry/base64.h - RFC 4648 4: as Basic authentication and auth files use it. */
#pragma once
#include "base/buf.h"

void base64_put(struct buf *out, struct slice s);
/* false when it is malformed; padding may be missing. */
bool base64_get(struct slice s, struct buf *out);
