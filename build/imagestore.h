/* build/imagestore.h - images of the store, and moving them: used by the build and by the commands.
 *
 * All of these drive the loop until they are done (loop_until) and report progress; -1 also when interrupted.
 */
#pragma once
#include "build/req.h"
#include "cache/names.h"

enum { IMAGE_MISS = 1 };

/* A user's text to a stored image: normalised name, "sha256:<id>", or an id prefix of at least 6 hex digits. Pins everything. IMAGE_MISS. */
int imagestore_find(struct app *a, const char *text, struct name_record *ret, struct err **e);
/* Its config and layers as an image value. */
int imagestore_load(struct app *a, const struct name_record *r, struct image *ret, struct err **e);
/* Give an image names (normalised); the config blob is put, listing of layers kept. names empty: only "sha256:<config>".
 * Waits for the store's sync first. ret_id: config digest. */
int imagestore_save(struct app *a, const struct image *im, const char *const *names, size_t n, const char *source,
		    const struct digest *manifest, struct digest *ret_id, struct err **e);

struct pulled {
	struct image image;
	struct digest root, manifest, config;
	char *source;
	bool fresh;                      /* came over the network just now: its name is not recorded yet */
};
void pulled_clear(struct pulled *p);
/* By mode: from the store or from the registry (mirrors included), with blobs and listings. unpack: layers are unpacked while the
 * next ones arrive. The name is not recorded: imagestore_keep() does that, after the store's sync. */
int imagestore_pull(struct app *a, const struct ref *ref, const struct platform *p, enum pull_mode mode, const struct transfer_opts *o,
		    bool unpack, struct pulled *ret, struct err **e);
int imagestore_keep(struct app *a, const struct ref *ref, const struct pulled *p, struct err **e);
/* The same under any names, without a source: what an archive held, with the config bytes it came with. */
int imagestore_keep_as(struct app *a, const char *const *names, size_t n, const struct pulled *p, struct err **e);
/* Every layer that has no blob gets one with that compression (NULL: zstd), whatever else is known of it, so that what was done before does not
 * decide a digest; layers[] of im are updated. force: also layers that have a blob of another kind. */
int imagestore_blobs(struct app *a, struct image *im, const char *comp, int level, bool force, struct err **e);
/* blobs, config and manifest to every name; names of one repository share the upload. docker: schema 2 types. */
int imagestore_push(struct app *a, struct image *im, const struct digest *keep_manifest, const char *const *names, size_t n, bool docker,
		    const struct transfer_opts *o, struct descriptor *ret_manifest, struct err **e);
/* Make sure that every layer is unpacked for the map in force; its directories come back ROOT-relative, bottom first. */
int imagestore_unpack(struct app *a, const struct image *im, struct strs *ret_dirs, struct err **e);
/* OCI layout / docker archive / tar on stdin ("-"): into the store, named by what it says (or by ref). ref, p and lone as for archive_read(). */
int imagestore_read(struct app *a, const char *path, const char *ref, const struct platform *p, bool lone, struct strs *ret_names, struct err **e);
/* type=local and type=tar: the merged tree. dest "-" is stdout for tar. epoch INT64_MIN: none. */
int imagestore_export_tree(struct app *a, const struct image *im, enum output_type type, const char *dest, bool mode_delete, int64_t epoch,
			   struct err **e);
/* type=oci, type=docker; comp NULL: default of the form. id: of the stored config, whose bytes stay as they are; NULL: im's own. */
int imagestore_export_archive(struct app *a, struct image *im, enum output_type type, bool dir, const char *dest, const char *const *names,
			      size_t n, const char *comp, int level, bool force, const struct digest *id, struct descriptor *ret_manifest,
			      struct err **e);
/* Delete what gc left in trash/ with mapped ids. */
int imagestore_empty_trash(struct app *a, struct err **e);
