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
/* Of two builds that add to what a name stands for, the second one sees what the first one did. *ret_lock is for store_job_unlock(). */
int imagestore_lock(struct app *a, const char *name, int *ret_lock, struct err **e);
/* Which of the images that the name has serves that platform (oci.md 1.8); NULL: none. */
const struct name_record *imagestore_choose(const struct name_record *r, const struct platform *want);
/* Config and layers of one of its images. */
int imagestore_load(struct app *a, const struct name_record *r, struct image *ret, struct err **e);
/* Give an image names (normalised); the config blob is put, listing of layers kept. names empty: only "sha256:<config>".
 * Waits for the store's sync first. ret_id: config digest. */
int imagestore_save(struct app *a, const struct image *im, const char *const *names, size_t n, const char *source,
		    const struct digest *manifest, struct digest *ret_id, struct err **e);

/* What goes out under one name: an image, or, under an index, the images of several platforms. */
struct parcel {
	struct image *image;             /* layers[] are updated when blobs are made */
	size_t n;                        /* 1 without an index */
	bool index, docker;              /* docker: schema 2 types */
	const struct digest *config;     /* stored bytes that stay, one for each image; NULL: made of it */
	const struct digest *manifest;   /* the same of manifests; NULL, or a zero one: made */
	struct digest keep;              /* the stored index of those manifests, which stays; zero: made */
	const struct jval *annotation;   /* of the index; NULL: none */
	const struct jval *top;          /* of the descriptor that an archive has of the index; NULL: none */
};
/* Make its documents, whose blobs exist, and put them into the store. ret: the index, or the manifest of the one image. ret_config and
 * ret_manifest: arrays of n, or NULL. */
int imagestore_documents(struct app *a, const struct parcel *p, struct descriptor *ret, struct digest *ret_config, struct digest *ret_manifest,
			 struct err **e);
/* Give the images of an index names, as imagestore_save() does it for one image. Every layer has a blob. */
int imagestore_save_index(struct app *a, const struct parcel *p, const char *const *names, size_t n, struct descriptor *ret, struct err **e);

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
/* Under its name. Images that the name has for other platforms stay there, if they came out of the same index. */
int imagestore_keep(struct app *a, const struct ref *ref, const struct pulled *p, struct err **e);
/* The same under any names, without a source: what an archive held, with the config bytes it came with. */
int imagestore_keep_as(struct app *a, const char *const *names, size_t n, const struct pulled *p, struct err **e);
/* Every layer that has no blob gets one with that compression (NULL: zstd), whatever else is known of it, so that what was done before does not
 * decide a digest; layers[] of im are updated. force: also layers that have a blob of another kind. */
int imagestore_blobs(struct app *a, struct image *im, const char *comp, int level, bool force, struct err **e);
/* Instead of blobs that a manifest of docker's form cannot hold, gzip. */
int imagestore_docker_blobs(struct app *a, struct image *im, int level, struct err **e);
/* blobs and documents to every name; names of one repository share the upload. */
int imagestore_push(struct app *a, const struct parcel *p, const char *const *names, size_t n, const struct transfer_opts *o,
		    struct descriptor *ret, struct err **e);
/* Make sure that every layer is unpacked for the map in force; its directories come back ROOT-relative, bottom first. */
int imagestore_unpack(struct app *a, const struct image *im, struct strs *ret_dirs, struct err **e);
/* OCI layout / docker archive / tar on stdin ("-"): into the store, named by what it says (or by ref). ref, p and lone as for archive_read(). */
int imagestore_read(struct app *a, const char *path, const char *ref, const struct platform *p, bool lone, struct strs *ret_names, struct err **e);
/* type=local and type=tar: the merged trees. split: each below a directory that is named after its platform. dest "-" is stdout for tar. epoch
 * INT64_MIN: none. */
int imagestore_export_tree(struct app *a, const struct image *im, size_t n, bool split, enum output_type type, const char *dest,
			   bool mode_delete, int64_t epoch, struct err **e);
/* type=oci, type=docker; names NULL-terminated; comp NULL: default of the form. */
int imagestore_export_archive(struct app *a, const struct parcel *p, enum output_type type, bool dir, const char *dest,
			      const char *const *names, const char *comp, int level, bool force, struct descriptor *ret, struct err **e);
/* Delete what gc left in trash/ with mapped ids. */
int imagestore_empty_trash(struct app *a, struct err **e);
