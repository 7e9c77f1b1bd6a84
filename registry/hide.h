/* registry/hide.h - credentials out of text for people and for images (spec/threats.md S7, S8). */
#pragma once
#include "base/buf.h"

/* text to out, with "***" for the user information of its http and https URLs, passwords of others, values of query parameters whose
 * name tells of a secret, and what follows "Authorization:" on its line. */
void hide_credentials(struct slice text, struct buf *out);
