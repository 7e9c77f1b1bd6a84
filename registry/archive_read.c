/* registry/archive_read.c - images out of archives: OCI layouts by index.json, docker archives by manifest.json.
 *
 * An archive that has both (docker save since 25, ours) is read as a layout: its digests then stay what they were.
 */
#include "registry/archive.h"

#include "base/at.h"
#include "base/mem.h"
#include "base/stream.h"
#include "layers/comp.h"
#include "registry/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { MANIFEST_MAX = 4 << 20, CONFIG_MAX = 8 << 20, LIST_MAX = 1 << 20, NESTING_MAX = 3, LAYERS_MAX = 1000 };

struct reader {
	struct tree *t;
	const char *ref;                 /* as asked for; NULL */
	char *full;                      /* the same, normalised; NULL when it is no reference */
	const struct platform *platform;
	bool any;                        /* of any other one */
	const struct transfer_calls *c;
	struct archive_found *found;
	size_t n, cap;
	size_t others;                   /* images for other platforms */
	struct digest other;             /* the last of them: it may have several names */
	struct digest root;              /* index that is being read */
	struct digest *told;             /* blobs that were handed over: each once, whoever shares it */
	size_t ntold, told_cap;
};

static void found_clear(struct archive_found *f)
{
	for (size_t i = 0; i < f->nname; i++)
		free(f->name[i]);
	free(f->name);
	buf_free(&f->manifest);
	buf_free(&f->config);
	free(f->media_type);
}

void archive_found_free(struct archive_found *f, size_t n)
{
	for (size_t i = 0; i < n; i++)
		found_clear(&f[i]);
	free(f);
}

static char *normalised(const char *text)
{
	AUTO(ref_clear) struct ref r = { 0 };
	struct buf b = BUF_MAX(1024);

	if (!text || ref_parse(slice_of(text), &r, NULL) < 0)
		return NULL;
	ref_print(&r, &b);
	return buf_steal(&b);
}

static void add_name(struct archive_found *f, const char *name)
{
	for (size_t i = 0; i < f->nname; i++) {
		if (strcmp(f->name[i], name) == 0)
			return;
	}
	f->name = mem_grow(f->name, f->nname + 1, sizeof(*f->name));
	f->name[f->nname++] = mem_str(name);
}

/* Add a complete image, or its name to the one that is there. Takes f's content. */
static void keep(struct reader *r, struct archive_found *f)
{
	f->root = r->root;
	for (size_t i = 0; i < r->n; i++) {
		if (!digest_equal(&r->found[i].manifest_digest, &f->manifest_digest))
			continue;
		for (size_t k = 0; k < f->nname; k++)
			add_name(&r->found[i], f->name[k]);
		found_clear(f);
		return;
	}
	MEM_ROOM(r->found, r->n, r->cap);
	r->found[r->n++] = *f;
}

static int tell(struct reader *r, const struct digest *d, int64_t size, struct err **e)
{
	for (size_t i = 0; i < r->ntold; i++) {
		if (digest_equal(&r->told[i], d))
			return 0;
	}
	MEM_ROOM(r->told, r->ntold, r->told_cap);
	r->told[r->ntold++] = *d;
	if (r->c->have && r->c->have(r->c->arg, d, size))
		return 0;
	return r->c->blob(r->c->arg, d, size, e);
}

/* ---- OCI layout */

static int layout_version(struct tree *t, struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(64 << 10);
	AUTO(jval_freep) struct jval *doc = NULL;
	const char *v = NULL;

	if (tree_doc(t, "oci-layout", &b, e) != 0 || jdoc_parse(buf_view(&b), "oci-layout", &doc, e) < 0 ||
	    jval_get_str(doc, "imageLayoutVersion", &v, e) < 0)
		return err_wrap(e, "cannot read 'oci-layout'");
	if (!v || strcmp(v, "1.0.0") != 0)
		return err_set(e, ERR_SOURCE, "the layout has version '%s'; 1.0.0 is understood", v ? v : "");
	return 0;
}

static int layers(struct reader *r, const struct manifest *m, struct err **e)
{
	if (m->nitem > LAYERS_MAX)
		return err_set(e, ERR_LIMIT, "the image has %zu layers; %d are allowed", m->nitem, LAYERS_MAX);
	for (size_t i = 0; i < m->nitem; i++) {
		int rc = tree_blob(r->t, &m->item[i].digest, m->item[i].size, e);

		if (rc == TREE_MISS)
			return err_set(e, ERR_SOURCE, "the layer %s is not in the archive", digest_text(&m->item[i].digest).s);
		if (rc < 0 || tell(r, &m->item[i].digest, m->item[i].size, e) < 0)
			return -1;
	}
	return 0;
}

static int layout_image(struct reader *r, const struct descriptor *d, const char *name, struct err **e);

static bool is_index(const struct descriptor *d)
{
	return strstr(d->media_type, "index") || strstr(d->media_type, "manifest.list");
}

static int layout_index(struct reader *r, const struct manifest *index, const char *name, unsigned depth, struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(MANIFEST_MAX);
	AUTO(manifest_clear) struct manifest inner = { 0 };
	size_t i = 0;

	if (depth > NESTING_MAX)
		return err_set(e, ERR_SOURCE, "indexes are nested more than %d deep", NESTING_MAX);
	if (manifest_choose(index, r->platform, &i, e) < 0)
		return -1;
	const struct descriptor *d = &index->item[i];
	if (!is_index(d))
		return layout_image(r, d, name, e);
	int rc = tree_blob_doc(r->t, &d->digest, d->size, &b, e);
	if (rc == TREE_MISS)
		return err_set(e, ERR_SOURCE, "the index %s is not in the archive", digest_text(&d->digest).s);
	if (rc < 0 || manifest_parse(buf_view(&b), d->media_type, &inner, e) < 0)
		return -1;
	return layout_index(r, &inner, name, depth + 1, e);
}

static int layout_manifest(struct reader *r, const struct descriptor *d, const struct manifest *m, struct archive_found *f,
			   struct err **e)
{
	f->config = (struct buf)BUF_MAX(CONFIG_MAX);
	f->manifest_digest = d->digest;
	f->media_type = mem_str(manifest_media_type(DOC_MANIFEST, m->docker));
	int rc = tree_blob_doc(r->t, &m->config.digest, m->config.size, &f->config, e);
	if (rc == TREE_MISS)
		return err_set(e, ERR_SOURCE, "the config %s is not in the archive", digest_text(&m->config.digest).s);
	return rc < 0 ? -1 : layers(r, m, e);
}

static int layout_image(struct reader *r, const struct descriptor *d, const char *name, struct err **e)
{
	struct archive_found f = { .manifest = BUF_MAX(MANIFEST_MAX) };
	AUTO(manifest_clear) struct manifest m = { 0 };
	int rc = tree_blob_doc(r->t, &d->digest, d->size, &f.manifest, e);

	if (rc == TREE_MISS)
		rc = err_set(e, ERR_SOURCE, "the manifest %s is not in the archive", digest_text(&d->digest).s);
	if (rc == 0)
		rc = manifest_parse(buf_view(&f.manifest), d->media_type, &m, e);
	if (rc == 0 && m.kind == DOC_INDEX)
		rc = layout_index(r, &m, name, 1, e);
	else if (rc == 0)
		rc = layout_manifest(r, d, &m, &f, e);
	if (rc < 0 || m.kind == DOC_INDEX) {
		found_clear(&f);
		return rc < 0 ? err_wrap(e, "cannot read the image %s", name ? name : digest_text(&d->digest).s) : 0;
	}
	if (name)
		add_name(&f, name);
	keep(r, &f);
	return 0;
}

static bool fits(const struct reader *r, const struct platform *p)
{
	return !r->platform || r->any || !p || platform_rank(r->platform, p) > 0;
}

/* What an entry of index.json is called: containerd's annotation, else ref.name when it is a whole reference. */
static char *entry_name(const struct jval *entry)
{
	const struct jval *a = jval_get(entry, "annotations");
	const char *full = a ? jval_str(jval_get(a, "io.containerd.image.name")) : NULL;
	const char *ref = a ? jval_str(jval_get(a, "org.opencontainers.image.ref.name")) : NULL;
	char *name = normalised(full);

	if (!name && ref && strchr(ref, '/'))
		name = normalised(ref);
	return name;
}

static bool chosen(const struct reader *r, const struct descriptor *d, const char *name)
{
	const char *ref_name = d->ref_name;

	if (!r->ref || strcmp(digest_text(&d->digest).s, r->ref) == 0)
		return true;
	return (name && r->full && strcmp(name, r->full) == 0) || (ref_name && strcmp(ref_name, r->ref) == 0);
}

static int read_layout(struct reader *r, struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(MANIFEST_MAX);
	AUTO(manifest_clear) struct manifest index = { 0 };
	AUTO(jval_freep) struct jval *doc = NULL;

	if (layout_version(r->t, e) < 0 || tree_doc(r->t, "index.json", &b, e) != 0)
		return err_wrap(e, "cannot read 'index.json'");
	/* The file has no descriptor and often no mediaType of its own; what it is says its name. */
	if (manifest_parse(buf_view(&b), manifest_media_type(DOC_INDEX, false), &index, e) < 0 ||
	    jdoc_parse(buf_view(&b), "index.json", &doc, e) < 0)
		return err_wrap(e, "cannot read 'index.json'");
	const struct jval *list = jval_get(doc, "manifests");
	for (size_t i = 0; i < index.nitem; i++) {
		const struct descriptor *d = &index.item[i];
		AUTO(mem_freep) char *name = entry_name(jval_at(list, i));

		/* Other things (signatures, caches of builders) lie in layouts too. */
		bool image = strstr(d->media_type, "oci.image.") || strstr(d->media_type, "docker.distribution.");
		if (!image || !chosen(r, d, name))
			continue;
		if (!fits(r, *d->platform.os ? &d->platform : NULL)) {
			r->others += !digest_equal(&r->other, &d->digest);
			r->other = d->digest;
			continue;
		}
		r->root = is_index(d) ? d->digest : (struct digest){ 0 };
		if (layout_image(r, d, name, e) < 0)
			return -1;
	}
	r->root = (struct digest){ 0 };
	/* One of an index, by its digest. */
	struct descriptor inner = { .size = -1 };
	snprintf(inner.media_type, sizeof(inner.media_type), "%s", manifest_media_type(DOC_MANIFEST, false));
	bool pinned = r->n == 0 && r->others == 0 && r->ref && digest_parse(slice_of(r->ref), &inner.digest, ERR_SOURCE, NULL) == 0;
	return pinned ? layout_image(r, &inner, NULL, e) : 0;
}

/* ---- docker archive */

static const struct comp *comp_of(const struct tree_member *m)
{
	const struct comp *const known[] = { &comp_gzip, &comp_zstd };

	for (size_t i = 0; i < countof(known); i++) {
		if (known[i]->magic(m->head, m->size < (int64_t)sizeof(m->head) ? (size_t)m->size : sizeof(m->head)))
			return known[i];
	}
	return &comp_none;
}

static int docker_layers(struct reader *r, const struct jval *list, struct image *im, struct err **e)
{
	im->nlayer = jval_len(list);
	if (im->nlayer > LAYERS_MAX)
		return err_set(e, ERR_LIMIT, "the image has %zu layers; %d are allowed", im->nlayer, LAYERS_MAX);
	im->layer = mem_array(im->nlayer + 1, sizeof(*im->layer));
	for (size_t i = 0; i < im->nlayer; i++) {
		const char *path = jval_str(jval_at(list, i));
		struct image_layer *l = &im->layer[i];
		struct tree_member m;

		if (!path)
			return err_set(e, ERR_SOURCE, "'Layers' of manifest.json has something that is not a string");
		int rc = tree_member(r->t, path, &m, e);
		if (rc == TREE_MISS)
			return err_set(e, ERR_SOURCE, "the layer '%s' is not in the archive", path);
		if (rc < 0 || tell(r, &m.digest, m.size, e) < 0)
			return -1;
		l->blob = m.digest;
		l->size = m.size;
		l->comp = comp_of(&m)->name;
		snprintf(l->media_type, sizeof(l->media_type), "%s", comp_of(&m)->media_type);
	}
	return 0;
}

static void config_platform(const struct jval *config, struct platform *ret)
{
	const char *os = jval_str(jval_get(config, "os")), *arch = jval_str(jval_get(config, "architecture"));
	const char *variant = jval_str(jval_get(config, "variant"));

	snprintf(ret->os, sizeof(ret->os), "%s", os ? os : "linux");
	snprintf(ret->arch, sizeof(ret->arch), "%s", arch ? arch : "");
	snprintf(ret->variant, sizeof(ret->variant), "%s", variant ? variant : "");
	platform_normalise(ret);
}

static int diff_ids_match(const struct jval *config, size_t n, struct err **e)
{
	struct jval *rootfs = NULL, *ids = NULL;

	if (jval_get_obj(config, "rootfs", &rootfs, e) < 0 || (rootfs && jval_get_arr(rootfs, "diff_ids", &ids, e) < 0))
		return err_wrap(e, "the image's config is malformed");
	if (jval_len(ids) != n)
		return err_set(e, ERR_SOURCE, "the image has %zu layers and its config names %zu", n, ids ? jval_len(ids) : 0);
	return 0;
}

static int docker_image(struct reader *r, const struct jval *item, struct archive_found *f, struct err **e)
{
	AUTO(image_clear) struct image im = { 0 };
	struct jval *list = NULL, *tags = NULL;
	const char *path = NULL;
	struct digest config;

	if (jval_type(item) != JT_OBJ || jval_get_str(item, "Config", &path, e) < 0 || jval_get_arr(item, "Layers", &list, e) < 0 ||
	    jval_get_arr(item, "RepoTags", &tags, e) < 0 || !path)
		return err_set(e, ERR_SOURCE, "an entry of manifest.json is malformed");
	for (size_t i = 0; i < jval_len(tags); i++) {
		AUTO(mem_freep) char *name = normalised(jval_str(jval_at(tags, i)));

		if (name)
			add_name(f, name);
	}
	bool wanted = !r->ref;
	for (size_t i = 0; i < f->nname; i++)
		wanted = wanted || (r->full && strcmp(f->name[i], r->full) == 0);
	if (!wanted)
		return 1;
	int rc = tree_doc(r->t, path, &f->config, e);
	if (rc == TREE_MISS)
		return err_set(e, ERR_SOURCE, "the config '%s' is not in the archive", path);
	if (rc < 0 || jdoc_parse(buf_view(&f->config), path, &im.config, e) < 0)
		return -1;
	config_platform(im.config, &im.platform);
	if (!fits(r, &im.platform)) {
		r->others++;
		return 1;
	}
	if (docker_layers(r, list, &im, e) < 0 || diff_ids_match(im.config, im.nlayer, e) < 0)
		return -1;
	digest_of(f->config.p, f->config.n, &config);
	if (image_manifest(&im, &config, (int64_t)f->config.n, false, &f->manifest, e) < 0)
		return -1;
	digest_of(f->manifest.p, f->manifest.n, &f->manifest_digest);
	f->media_type = mem_str(manifest_media_type(DOC_MANIFEST, false));
	return 0;
}

static int read_docker(struct reader *r, struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(LIST_MAX);
	AUTO(jval_freep) struct jval *doc = NULL;

	if (tree_doc(r->t, "manifest.json", &b, e) != 0 || jdoc_parse(buf_view(&b), "manifest.json", &doc, e) < 0)
		return err_wrap(e, "cannot read 'manifest.json'");
	if (jval_type(doc) != JT_ARR)
		return err_set(e, ERR_SOURCE, "manifest.json is not a list");
	for (size_t i = 0; i < jval_len(doc); i++) {
		struct archive_found f = { .manifest = BUF_MAX(MANIFEST_MAX), .config = BUF_MAX(CONFIG_MAX) };
		int rc = docker_image(r, jval_at(doc, i), &f, e);

		if (rc == 0)
			keep(r, &f);
		else
			found_clear(&f);
		if (rc < 0)
			return err_wrap(e, "cannot read image %zu of manifest.json", i + 1);
	}
	return 0;
}

/* ---- both */

static int open_tree(const char *path, int stdin_fd, int dir, const struct transfer_calls *c, struct tree **ret, struct err **e)
{
	AUTO(fd_closep) int fd = -1;
	struct stream *plain = NULL;
	const struct comp *comp = NULL;
	struct stat st;

	if (strcmp(path, "-") == 0)
		fd = fd_dup(stdin_fd, e);
	else if ((fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY)) < 0)
		return err_errno(e, ERR_SOURCE, errno, "cannot open '%s'", path);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return err_errno(e, ERR_SOURCE, errno, "cannot look at '%s'", path);
	if (S_ISDIR(st.st_mode))
		return tree_open_dir(fd_take(&fd), dir, c, ret, e);
	if (comp_detect(stream_fd(fd_take(&fd), path), COMP_ANY, &plain, &comp, e) < 0)
		return -1;
	return tree_open_tar(plain, dir, c, ret, e);
}

static int read_images(struct reader *r, bool lone, struct err **e)
{
	bool layout = tree_has(r->t, "oci-layout") && tree_has(r->t, "index.json");
	bool docker = tree_has(r->t, "manifest.json");

	if (!layout && !docker) {
		err_set(e, ERR_SOURCE, "there is neither 'oci-layout' with 'index.json' nor 'manifest.json' in it");
		return err_hint(e, "OCI directories, OCI tars and docker archives are understood");
	}
	do {
		r->any = lone && r->others == 1;
		if ((layout ? read_layout(r, e) : read_docker(r, e)) < 0)
			return -1;
		if (r->n > 0)
			return 0;
	} while (lone && r->others == 1 && !r->any);
	if (r->others)
		return err_set(e, ERR_SOURCE, "it has %zu image(s), none for %s", r->others, platform_text(r->platform).s);
	if (r->ref)
		return err_set(e, ERR_SOURCE, "it has no image called '%s'", r->ref);
	return err_set(e, ERR_SOURCE, "it has no image");
}

int archive_read(const char *path, int stdin_fd, int dir, const char *ref, const struct platform *p, bool lone, const struct transfer_calls *c,
		 struct archive_found **ret, size_t *n, struct err **e)
{
	AUTO(tree_freep) struct tree *t = NULL;
	AUTO(mem_freep) char *full = normalised(ref);
	struct reader r = { .ref = ref, .full = full, .platform = p, .c = c };

	if (open_tree(path, stdin_fd, dir, c, &t, e) < 0)
		return err_wrap(e, "cannot read the archive '%s'", path);
	r.t = t;
	int rc = read_images(&r, lone, e);
	free(r.told);
	if (rc < 0) {
		archive_found_free(r.found, r.n);
		return err_wrap(e, "cannot read the archive '%s'", path);
	}
	*ret = r.found;
	*n = r.n;
	return 0;
}
