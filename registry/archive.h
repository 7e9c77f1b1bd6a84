/* registry/archive.h - images in files: OCI layout directory or tar, docker archive (spec/oci.md 4, 1.3).
 *
 * Data:   writing streams blobs from the store, verified while they pass (T9). Reading copies blobs into a tmp directory of the store
 *         under their hex name, verified, and tells them like a pull does.
 */
#pragma once
#include "registry/transfer.h"

struct archive_image {
	const char *const *name;         /* normalised references, NULL-terminated; may be empty */
	struct slice manifest, config;
	const char *media_type;
	const struct descriptor *blob;   /* layers */
	size_t nblob;
	const struct jval *annotation;   /* of what index.json says of it; NULL: none but its name */
};
/* An index of all the images: then index.json names it, and not them. */
struct archive_index {
	const char *const *name;
	struct slice bytes;
	const char *media_type;
	const struct jval *annotation;
};
enum archive_form { ARCHIVE_OCI_DIR, ARCHIVE_OCI_TAR, ARCHIVE_DOCKER_TAR };
/* index: NULL for images apart. dest: path, or "-" for stdout (tars only). DOCKER_TAR is the universal form of 4.1: layout members plus manifest.json; its layers
 * must be gzip or uncompressed. Written to a temporary sibling and renamed; an existing OCI directory gets the image added. */
int archive_write(enum archive_form form, const char *dest, int store, const struct archive_image *im, size_t n,
		  const struct archive_index *index, struct err **e);

struct archive_found {
	char **name;                     /* references found for it */
	size_t nname;
	struct buf manifest, config;
	char *media_type;
	struct digest manifest_digest;
	struct digest root;              /* of the index that it was chosen from; zero: of none */
};
/* Whatever it is (OCI directory, OCI tar, docker archive, each tar also compressed): all images in it that fit the platform; with `lone` an
 * image without company, whatever it fits. layers are placed in dir. ref: NULL, or which one ("name:tag", ref.name, "sha256:..."). */
int archive_read(const char *path, int stdin_fd, int dir, const char *ref, const struct platform *p, bool lone, const struct transfer_calls *c,
		 struct archive_found **ret, size_t *n, struct err **e);
void archive_found_free(struct archive_found *f, size_t n);
