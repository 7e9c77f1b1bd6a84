/* registry/ref.h - image references, normalised as docker does (spec/oci.md 2.1). */
#pragma once
#include "base/digest.h"

struct ref {
	char *domain;                    /* "docker.io", "localhost:5000" */
	char *repo;                      /* "library/alpine" */
	char *tag;                       /* NULL when a digest was given without tag */
	bool has_digest;
	struct digest digest;
};
/* ERR_INPUT "invalid reference format" with what is wrong. */
int ref_parse(struct slice text, struct ref *ret, struct err **e);
void ref_clear(struct ref *r);
void ref_copy(struct ref *to, const struct ref *from);
/* "docker.io/library/alpine:latest", with "@sha256:..." when it has a digest. */
void ref_print(const struct ref *r, struct buf *out);
/* As people write it: without docker.io/library/ and without :latest. */
void ref_familiar(const struct ref *r, struct buf *out);
bool ref_equal(const struct ref *a, const struct ref *b);
