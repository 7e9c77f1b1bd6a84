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
/* What the layers of one image hold so far: over the limits of an image, the next one fails. */
struct tally {
	uint64_t bytes, entries;
};
struct trees_blob {
	struct digest blob, diff;
	int64_t size;
	const struct digest *lower;      /* the layers below, for one that leans on them; listings exist */
	size_t nlower;
	const char *driver;              /* with under: unpack it through a mount on top of these; NULL: alone */
	char *const *under;
	size_t nunder;
	const struct tally *used;        /* what the image holds already: this one gets the rest; NULL */
	struct tally *tally;             /* counts it when it is there; NULL: nobody counts */
	struct digest chain;             /* of this layer in that stack: what a mended directory is filed under */
};
int trees_read(struct trees *t, const struct trees_blob *b, enum trees_want want, trees_done *done, void *arg, struct err **e);
/* All these layers, bottom first; calls back with ROOT-relative directories ("layers/<flavour>/<hex>/fs"), one for each layer: a layer that
 * comes twice is there twice. */
typedef void trees_dirs_done(void *arg, char **dirs, size_t n, struct err *take_err);
int trees_dirs(struct trees *t, const struct digest *diff, size_t n, trees_dirs_done *done, void *arg, struct err **e);
/* The same for a mount: the kernel refuses one directory twice, and what a repeated layer holds is all in its topmost place. */
void trees_stack(struct strs *stack, char *const *dirs, size_t n);
/* Listings for all of these exist afterwards (reads blobs where needed); drives the loop. */
int trees_listings(struct trees *t, const struct digest *diff, size_t n, struct err **e);
/* A view of layers whose listings exist. */
int trees_view(struct app *a, const struct digest *diff, size_t n, struct view **ret, struct err **e);
