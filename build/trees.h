/* build/trees.h - directories for layers: a layer is a fact, a tree is a service (design.md 3.14).
 *
 * Data:   who needs a root asks for the layers' directories; what is not unpacked is unpacked from its blob by mapped workers, in
 *         parallel, each layer once however many ask. Listings come from the same pass.
 */
#pragma once
#include "build/req.h"

struct trees;
struct view;
struct trees *trees_new(struct app *a);
void trees_free(struct trees *t);

enum trees_want { TREES_LISTING, TREES_DIR };
/* A blob of the store that should be layer `diff` (zero: unknown yet). Reads it (listing) or unpacks it, then calls back. */
typedef void trees_done(void *arg, const struct digest *diff, struct err *take_err);
int trees_read(struct trees *t, const struct digest *blob, int64_t size, const struct digest *diff, enum trees_want want,
	       trees_done *done, void *arg, struct err **e);
/* All these layers, bottom first; calls back with ROOT-relative directories ("layers/<flavour>/<hex>/fs"). */
typedef void trees_dirs_done(void *arg, char **dirs, size_t n, struct err *take_err);
int trees_dirs(struct trees *t, const struct digest *diff, size_t n, trees_dirs_done *done, void *arg, struct err **e);
/* Listings for all of these exist afterwards (reads blobs where needed); drives the loop. */
int trees_listings(struct trees *t, const struct digest *diff, size_t n, struct err **e);
/* A view of layers whose listings exist. */
int trees_view(struct app *a, const struct digest *diff, size_t n, struct view **ret, struct err **e);
