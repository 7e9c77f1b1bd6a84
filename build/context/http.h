/* build/context/http.h - one remote file for a context or ADD (spec/dockerfile.md 10.3, spec/threats.md D13). */
#pragma once
#include "registry/http.h"

struct build_req;
bool http_is(const char *spec);
/* Base name of the URL's path, percent-decoded; "__unnamed__" when there is none. New memory. */
char *http_file_name(const char *url);
/* HTTP_AUTH_HEADER_<host> or HTTP_AUTH_TOKEN_<host> as Authorization value. NULL: none. New memory, to be wiped. */
char *http_auth_header(const struct build_req *r, const char *url);
/* GET url into dir/name (a Content-Encoding is decoded); *ret_fd is open for reading from its start. Blocks: for a child. */
int http_file(const struct http_fetch_req *like, int dir, const char *name, int *ret_fd, struct http_fetched *ret, struct err **e);
/* Last-Modified as seconds, or the epoch when there is none or it cannot be read. */
int64_t http_time(const char *last_modified);
