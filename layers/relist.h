/* layers/relist.h - a stored layer again as entries: its listing says what, its directory holds the content.
 *
 * So the tar that is made at push or export is a function of the two, whatever lies below the layer then: bit for bit the one whose diff ID was
 * computed when the layer was made (spec/oci.md 7.7).
 */
#pragma once
#include "layers/listing.h"

/* listing and root are borrowed. A file that is missing or has another size: ERR_HOST. */
struct entries *relist_new(const struct listing *l, int root);
