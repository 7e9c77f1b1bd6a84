/* layers/mend.h - a layer that leans on the ones below: parents that it does not list get the attributes they have there (spec/oci.md 1.7).
 *
 * root: its fs/ as unpacked alone, own: its listing, lower: the layers below. A parent that is a link below cannot be mended:
 * MEND_REFUSED, and the path that is in the way. Then the layer is unpacked again on top of them (build/over.h).
 */
#pragma once
#include "layers/listing.h"
#include "layers/owner.h"

enum { MEND_REFUSED = 1 };
int mend_layer(int root, const struct listing *own, const struct view *lower, const struct owner *o, struct buf *ret_path, struct err **e);
