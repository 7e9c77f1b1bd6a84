/* registry/header.h - values of response headers: challenges, ranges, pauses (spec/oci.md 2.6, 2.7, 2.10, 2.12).
 *
 * Bounds: input is one header line, bounded by registry/http.h. Nothing here fails: what is malformed is absent.
 */
#pragma once
#include "base/slice.h"

/* What a server wants to hear. Bearer with a realm is chosen before Basic. */
struct challenge {
	bool basic, bearer;
	char *realm, *service, *scope, *error;   /* of the chosen Bearer challenge; NULL when absent */
};
/* One WWW-Authenticate header; call it for each, starting from zeros. */
void challenge_parse(struct slice header, struct challenge *c);
void challenge_clear(struct challenge *c);

/* "bytes 100-109/110"; total -1 for "*". */
bool content_range_parse(struct slice s, int64_t *first, int64_t *last, int64_t *total);
/* "0-99" as an upload's answer tells how much is there; also with "bytes=". */
bool upload_range_parse(struct slice s, int64_t *first, int64_t *last);
/* Seconds or an HTTP date, from `now` (seconds since 1970) on. */
bool retry_after_parse(struct slice s, int64_t now, int64_t *ret_seconds);
/* "Tue, 15 Nov 1994 08:12:31 GMT" to seconds since 1970. */
bool http_date_parse(struct slice s, int64_t *ret);
