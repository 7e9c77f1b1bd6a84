/* registry/archive.c - images into archives; reading is archive_read.c.
 *
 *     index.json  oci-layout  [manifest.json]     first, so that a reader of a stream knows what comes
 *     blobs/  blobs/sha256/  blobs/sha256/<hex>   sorted by name
 * manifest.json points at the same blobs: docker, podman, containerd and skopeo all read that form (spec/oci.md 4.1).
 */
#include "registry/archive.h"

#include "base/at.h"
#include "base/mem.h"
#include "base/stream.h"
#include "base/tmp.h"
#include "layers/comp.h"
#include "layers/tarout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum { INDEX_MAX = 4 << 20, PIECE = 256 << 10 };

static const char layout_text[] = "{\"imageLayoutVersion\":\"1.0.0\"}";

/* One file below blobs/sha256: bytes of ours, or a blob of the store. */
struct item {
	struct digest digest;
	int64_t size;
	struct slice bytes;              /* p NULL: in the store */
};
struct items {
	struct item *item;
	size_t n;
	const struct archive_image *im;  /* what they belong to */
	size_t nim;
	const struct archive_index *index;       /* NULL */
};

static int by_digest(const void *a, const void *b)
{
	return digest_cmp(&((const struct item *)a)->digest, &((const struct item *)b)->digest);
}

static struct item of_bytes(struct slice s)
{
	struct item it = { .size = (int64_t)s.n, .bytes = s };

	digest_of(s.p, s.n, &it.digest);
	return it;
}

/* All blobs of all images, each once, sorted. */
static void items_collect(struct items *ret)
{
	const struct archive_image *im = ret->im;
	size_t n = ret->nim, most = 1, k = 0;

	for (size_t i = 0; i < n; i++)
		most += 2 + im[i].nblob;
	ret->item = mem_array(most, sizeof(*ret->item));
	if (ret->index)
		ret->item[ret->n++] = of_bytes(ret->index->bytes);
	for (size_t i = 0; i < n; i++) {
		ret->item[ret->n++] = of_bytes(im[i].manifest);
		ret->item[ret->n++] = of_bytes(im[i].config);
		for (size_t b = 0; b < im[i].nblob; b++)
			ret->item[ret->n++] = (struct item){ .digest = im[i].blob[b].digest, .size = im[i].blob[b].size };
	}
	qsort(ret->item, ret->n, sizeof(*ret->item), by_digest);
	for (size_t i = 0; i < ret->n; i++) {
		if (k == 0 || by_digest(&ret->item[k - 1], &ret->item[i]) != 0)
			ret->item[k++] = ret->item[i];
	}
	ret->n = k;
}

/* ---- documents */

static void platform_member(struct jval *d, struct slice config)
{
	static const char *const names[] = { "architecture", "os", "variant" };
	AUTO(jval_freep) struct jval *doc = NULL;
	struct jval *p = NULL;

	if (jdoc_parse(config, "config", &doc, NULL) < 0 || jval_type(doc) != JT_OBJ)
		return;
	p = jval_obj();
	for (size_t i = 0; i < countof(names); i++) {
		const char *v = jval_str(jval_get(doc, names[i]));

		if (v && *v)
			jval_set_str(p, names[i], v);
	}
	jval_set(d, "platform", p);
}

/* Entry of index.json. name NULL: none. config: of a manifest; an index has no platform of its own. */
static struct jval *index_entry(struct slice doc, const char *media_type, struct slice config, const struct jval *annotation, const char *name)
{
	const struct item m = of_bytes(doc);
	struct jval *d = jval_obj(), *a = annotation ? jval_copy(annotation) : NULL;
	AUTO(ref_clear) struct ref r = { 0 };

	jval_set_str(d, "mediaType", media_type);
	jval_set_str(d, "digest", digest_text(&m.digest).s);
	jval_set_int(d, "size", m.size);
	if (config.n)
		platform_member(d, config);
	if (name) {
		a = a ? a : jval_obj();
		jval_set_str(a, "io.containerd.image.name", name);
		if (ref_parse(slice_of(name), &r, NULL) == 0 && r.tag)
			jval_set_str(a, "org.opencontainers.image.ref.name", r.tag);
	}
	if (a)
		jval_set(d, "annotations", a);
	return d;
}

static void index_add(struct jval *list, const char *const *name, struct slice doc, const char *media_type, struct slice config,
		      const struct jval *annotation)
{
	if (!name || !name[0])
		jval_add(list, index_entry(doc, media_type, config, annotation, NULL));
	for (size_t i = 0; name && name[i]; i++)
		jval_add(list, index_entry(doc, media_type, config, annotation, name[i]));
}

static void index_fill(struct jval *list, const struct items *all)
{
	const struct archive_index *x = all->index;

	if (x)
		index_add(list, x->name, x->bytes, x->media_type, SLICE_NONE, x->annotation);
	for (size_t i = 0; !x && i < all->nim; i++) {
		const struct archive_image *im = &all->im[i];

		index_add(list, im->name, im->manifest, im->media_type, im->config, im->annotation);
	}
}

static struct jval *index_new(void)
{
	struct jval *doc = jval_obj();

	jval_set_int(doc, "schemaVersion", 2);
	jval_set_str(doc, "mediaType", manifest_media_type(DOC_INDEX, false));
	jval_set(doc, "manifests", jval_arr());
	return doc;
}

static char *blob_path(const struct digest *d)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(d, hex);
	return mem_printf("blobs/sha256/%s", hex);
}

static void docker_entry(struct jval *list, const struct archive_image *im)
{
	struct jval *o = jval_obj(), *tags = jval_arr(), *layers = jval_arr();
	const struct item c = of_bytes(im->config);
	AUTO(mem_freep) char *config = blob_path(&c.digest);

	for (size_t i = 0; im->name && im->name[i]; i++) {
		AUTO(ref_clear) struct ref r = { 0 };
		AUTO(buf_freep) struct buf b = BUF_MAX(1024);

		if (ref_parse(slice_of(im->name[i]), &r, NULL) < 0 || !r.tag)
			continue;
		r.has_digest = false;            /* docker takes tags only here */
		ref_print(&r, &b);
		jval_add_str(tags, b.p);
	}
	for (size_t i = 0; i < im->nblob; i++) {
		AUTO(mem_freep) char *path = blob_path(&im->blob[i].digest);

		jval_add_str(layers, path);
	}
	jval_set_str(o, "Config", config);
	if (jval_len(tags)) {
		jval_set(o, "RepoTags", tags);
	} else {
		jval_set_null(o, "RepoTags");
		jval_free(tags);
	}
	jval_set(o, "Layers", layers);
	jval_add(list, o);
}

/* ---- a tar */

struct out {
	int fd;
	struct sink *tar;
	int store;
};

static int to_fd(void *arg, const void *p, size_t n, struct err **e)
{
	struct out *o = arg;

	return fd_write_all(o->fd, p, n, e);
}

static int member(struct out *o, enum entry_type type, const char *path, uint64_t size, struct err **e)
{
	struct entry en = {
		.type = type, .path = path, .mode = type == ENTRY_DIR ? 0755 : 0444, .size = type == ENTRY_DIR ? 0 : size,
	};

	return o->tar->ops->entry(o->tar, &en, e);
}

static int member_bytes(struct out *o, const char *path, struct slice s, struct err **e)
{
	if (member(o, ENTRY_FILE, path, s.n, e) < 0)
		return -1;
	return s.n ? o->tar->ops->data(o->tar, s.p, s.n, e) : 0;
}

static int member_doc(struct out *o, const char *path, const struct jval *doc, struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(INDEX_MAX);

	jval_print(doc, &b, 0);
	return buf_ok(&b, path, e) < 0 ? -1 : member_bytes(o, path, buf_view(&b), e);
}

/* A blob leaves the store: verified while it passes (T9). */
typedef int piece_fn(void *arg, const void *p, size_t n, struct err **e);
static int from_store(int store, const struct item *it, piece_fn *fn, void *arg, struct err **e)
{
	AUTO(mem_freep) char *path = blob_path(&it->digest);
	AUTO(mem_freep) char *piece = mem_alloc(PIECE);
	int fd = at_open_store(store, path, O_RDONLY, 0, e);
	ssize_t got = 1;
	int rc = 0;

	if (fd < 0)
		return err_wrap(e, "the blob %s is not in the store", digest_text(&it->digest).s);
	struct stream *in = stream_verify(stream_fd(fd, path), &it->digest, it->size);
	while (rc == 0 && got > 0) {
		got = stream_read(in, piece, PIECE, e);
		rc = got < 0 ? -1 : got > 0 ? fn(arg, piece, (size_t)got, e) : 0;
	}
	if (rc < 0) {
		stream_drop(&in);
		return -1;
	}
	return stream_close(in, e);
}

static int to_tar(void *arg, const void *p, size_t n, struct err **e)
{
	struct out *o = arg;

	return o->tar->ops->data(o->tar, p, n, e);
}

static int tar_blobs(struct out *o, const struct items *all, struct err **e)
{
	if (member(o, ENTRY_DIR, "blobs", 0, e) < 0 || member(o, ENTRY_DIR, "blobs/sha256", 0, e) < 0)
		return -1;
	for (size_t i = 0; i < all->n; i++) {
		const struct item *it = &all->item[i];
		AUTO(mem_freep) char *path = blob_path(&it->digest);

		if (it->bytes.p) {
			if (member_bytes(o, path, it->bytes, e) < 0)
				return -1;
		} else if (member(o, ENTRY_FILE, path, (uint64_t)it->size, e) < 0 || from_store(o->store, it, to_tar, o, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int tar_all(struct out *o, bool docker, const struct items *all, struct err **e)
{
	AUTO(jval_freep) struct jval *index = index_new();
	AUTO(jval_freep) struct jval *list = jval_arr();

	index_fill(jval_get(index, "manifests"), all);
	for (size_t i = 0; i < all->nim; i++)
		docker_entry(list, &all->im[i]);
	if (member_doc(o, "index.json", index, e) < 0 || member_bytes(o, "oci-layout", SLICE_LIT(layout_text), e) < 0 ||
	    (docker && member_doc(o, "manifest.json", list, e) < 0) || tar_blobs(o, all, e) < 0)
		return -1;
	return o->tar->ops->end(o->tar, e);
}

static int write_tar(int fd, bool docker, int store, const struct items *all, struct err **e)
{
	struct out o = { .fd = fd, .store = store };
	const struct tarout_opts opts = { .clamp_mtime = INT64_MAX, .plain = true };

	o.tar = tarout_new(to_fd, &o, &opts);
	int rc = tar_all(&o, docker, all, e);
	sink_free(&o.tar);
	return rc;
}

/* The directory that dest lies in, and its name there. */
static int beside(const char *dest, int *ret_dir, const char **ret_name, struct err **e)
{
	const char *slash = strrchr(dest, '/');
	AUTO(mem_freep) char *above = slash == dest ? mem_str("/") : slash ? mem_strn(dest, (size_t)(slash - dest)) : mem_str(".");

	*ret_name = slash ? slash + 1 : dest;
	if (!**ret_name)
		return err_set(e, ERR_USAGE, "'%s' is not the name of a file", dest);
	*ret_dir = openat(AT_FDCWD, above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_dir >= 0 ? 0 : err_errno(e, ERR_HOST, errno, "cannot open the directory '%s'", above);
}

static int tar_to(const char *dest, bool docker, int store, const struct items *all, struct err **e)
{
	AUTO(fd_closep) int dir = -1;
	AUTO(tmp_rollback) struct tmp t = TMP_NONE;      /* behind dir, which its rollback needs */
	const char *name = NULL;
	struct stat st;

	if (strcmp(dest, "-") == 0)
		return write_tar(STDOUT_FILENO, docker, store, all, e);
	/* A pipe or a device is written to, not replaced. */
	if (stat(dest, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		AUTO(fd_closep) int fd = openat(AT_FDCWD, dest, O_WRONLY | O_CLOEXEC | O_NOCTTY);

		if (fd < 0)
			return err_errno(e, ERR_HOST, errno, "cannot open '%s'", dest);
		return write_tar(fd, docker, store, all, e) < 0 ? -1 : fd_close(&fd, dest, e);
	}
	mode_t mask = umask(0);
	umask(mask);
	if (beside(dest, &dir, &name, e) < 0 || tmp_open(&t, dir, e) < 0 || write_tar(t.fd, docker, store, all, e) < 0)
		return -1;
	return tmp_commit(&t, dir, name, TMP_SYNC, 0666 & ~mask, e);
}

/* ---- a directory */

static int to_file(void *arg, const void *p, size_t n, struct err **e)
{
	return fd_write_all(*(int *)arg, p, n, e);
}

static int dir_blob(int root, int store, const struct item *it, struct err **e)
{
	AUTO(tmp_rollback) struct tmp t = TMP_NONE;
	AUTO(mem_freep) char *path = blob_path(&it->digest);
	struct stat st;

	if (at_stat(root, path, &st, NULL) == 0 && S_ISREG(st.st_mode) && st.st_size == it->size)
		return 0;
	if (tmp_open(&t, root, e) < 0)
		return -1;
	int rc = it->bytes.p ? fd_write_all(t.fd, it->bytes.p, it->bytes.n, e) : from_store(store, it, to_file, &t.fd, e);
	return rc < 0 ? -1 : tmp_commit(&t, root, path, TMP_SYNC, 0644, e);
}

static int dir_file(int root, const char *name, struct slice s, struct err **e)
{
	AUTO(tmp_rollback) struct tmp t = TMP_NONE;

	if (tmp_open(&t, root, e) < 0 || fd_write_all(t.fd, s.p, s.n, e) < 0)
		return -1;
	return tmp_commit(&t, root, name, TMP_SYNC, 0644, e);
}

static const char *annotation(const struct jval *entry, const char *name)
{
	const struct jval *a = jval_get(entry, "annotations");
	const char *v = a && jval_type(a) == JT_OBJ ? jval_str(jval_get(a, name)) : NULL;

	return v ? v : "";
}

/* Would the two entries be called the same? Then the newer one stays, as a tag moves. */
static bool same_name(const struct jval *old, const struct jval *new)
{
	static const char full[] = "io.containerd.image.name", ref[] = "org.opencontainers.image.ref.name";
	const char *a = annotation(old, full), *b = annotation(new, full);

	if (*a || *b)
		return strcmp(a, b) == 0;
	if (*annotation(old, ref) || *annotation(new, ref))
		return strcmp(annotation(old, ref), annotation(new, ref)) == 0;
	const char *da = jval_str(jval_get(old, "digest")), *db = jval_str(jval_get(new, "digest"));
	return da && db && strcmp(da, db) == 0;
}

/* The index that is there, without what ours replace, then ours. */
static int merged(int root, const struct items *all, struct jval **ret, struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(INDEX_MAX);
	AUTO(jval_freep) struct jval *doc = NULL;
	AUTO(jval_freep) struct jval *ours = jval_arr();
	struct jval *list = jval_arr();
	int rc = at_read(root, "index.json", &b, e);

	index_fill(ours, all);
	if (rc == 0)
		rc = jdoc_parse(buf_view(&b), "index.json", &doc, e);
	else if (rc == AT_MISSING)
		doc = index_new();
	struct jval *old = rc < 0 ? NULL : jval_get(doc, "manifests");
	if (rc < 0 || !old || jval_type(old) != JT_ARR) {
		jval_free(list);
		return rc < 0 ? -1 : err_set(e, ERR_SOURCE, "the index.json that is there has no 'manifests'");
	}
	for (size_t i = 0; i < jval_len(old); i++) {
		bool replaced = false;

		for (size_t k = 0; k < jval_len(ours); k++)
			replaced = replaced || same_name(jval_at(old, i), jval_at(ours, k));
		if (!replaced)
			jval_add(list, jval_copy(jval_at(old, i)));
	}
	for (size_t k = 0; k < jval_len(ours); k++)
		jval_add(list, jval_copy(jval_at(ours, k)));
	jval_set(doc, "manifests", list);
	*ret = take(&doc);
	return 0;
}

static int is_layout(int root, struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(64 << 10);
	AUTO(jval_freep) struct jval *doc = NULL;
	struct at_names names = { 0 };
	const char *v = NULL;
	int rc = at_read(root, "oci-layout", &b, e);

	if (rc == AT_MISSING) {
		if (at_list(root, &names, e) < 0)
			return -1;
		bool empty = names.n == 0;
		at_names_clear(&names);
		return empty ? 0 : err_set(e, ERR_HOST, "it is neither empty nor an OCI layout");
	}
	if (rc < 0 || jdoc_parse(buf_view(&b), "oci-layout", &doc, e) < 0 || jval_get_str(doc, "imageLayoutVersion", &v, e) < 0)
		return -1;
	return v && strcmp(v, "1.0.0") == 0 ? 0 : err_set(e, ERR_HOST, "its layout has version '%s'; 1.0.0 is understood", v ? v : "");
}

static int dir_fill(int root, int store, const struct items *all, struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(INDEX_MAX);
	AUTO(jval_freep) struct jval *index = NULL;

	if (at_mkdirs(root, "blobs/sha256", 0755, e) < 0)
		return -1;
	for (size_t i = 0; i < all->n; i++) {
		if (dir_blob(root, store, &all->item[i], e) < 0)
			return -1;
	}
	if (dir_file(root, "oci-layout", SLICE_LIT(layout_text), e) < 0 || merged(root, all, &index, e) < 0)
		return -1;
	jval_print(index, &b, 0);
	/* Last, so that whoever reads the directory meanwhile finds all that it names. */
	return buf_ok(&b, "index.json", e) < 0 ? -1 : dir_file(root, "index.json", buf_view(&b), e);
}

static int dir_new(const char *dest, int store, const struct items *all, struct err **e)
{
	AUTO(fd_closep) int above = -1;
	AUTO(fd_closep) int root = -1;
	AUTO(mem_freep) char *clean = mem_str(dest);
	const char *name = NULL;
	char made[48] = ".tmp-";

	for (size_t k = strlen(clean); k > 1 && clean[k - 1] == '/'; k--)
		clean[k - 1] = '\0';
	at_random_name(made + 5);
	if (beside(clean, &above, &name, e) < 0 || at_mkdir(above, made, 0755, e) < 0)
		return -1;
	root = at_open_store(above, made, O_RDONLY | O_DIRECTORY, 0, e);
	int rc = root < 0 ? -1 : dir_fill(root, store, all, e);
	if (rc == 0)
		rc = at_rename(above, made, above, name, RENAME_NOREPLACE, e);
	if (rc < 0)
		at_rmtree(above, made, NULL);
	return rc;
}

static int dir_to(const char *dest, int store, const struct items *all, struct err **e)
{
	AUTO(fd_closep) int root = openat(AT_FDCWD, dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (root < 0 && errno == ENOENT)
		return dir_new(dest, store, all, e);
	if (root < 0)
		return err_errno(e, ERR_HOST, errno, "cannot open the directory '%s'", dest);
	if (flock(root, LOCK_EX) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot lock the directory '%s'", dest);
	return is_layout(root, e) < 0 ? -1 : dir_fill(root, store, all, e);
}

/* docker reads gzip and plain layers; its older versions nothing else. */
static int docker_layers_ok(const struct archive_image *im, size_t n, struct err **e)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t b = 0; b < im[i].nblob; b++) {
			const struct comp *c = comp_by_media_type(im[i].blob[b].media_type);

			if (c && c->docker_type)
				continue;
			err_set(e, ERR_INPUT, "the layer %s is '%s', which a docker archive cannot hold", digest_text(&im[i].blob[b].digest).s,
				im[i].blob[b].media_type);
			return err_hint(e, "use gzip for it (--compression gzip), or write an OCI archive");
		}
	}
	return 0;
}

int archive_write(enum archive_form form, const char *dest, int store, const struct archive_image *im, size_t n,
		  const struct archive_index *index, struct err **e)
{
	struct items all = { .im = im, .nim = n, .index = index };
	int rc = form == ARCHIVE_DOCKER_TAR ? docker_layers_ok(im, n, e) : 0;

	items_collect(&all);
	if (rc == 0 && form == ARCHIVE_OCI_DIR)
		rc = dir_to(dest, store, &all, e);
	else if (rc == 0)
		rc = tar_to(dest, form == ARCHIVE_DOCKER_TAR, store, &all, e);
	free(all.item);
	return rc < 0 ? err_wrap(e, "cannot write the archive '%s'", dest) : 0;
}
