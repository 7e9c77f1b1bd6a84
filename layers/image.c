/* layers/image.c - the image value; manifests and configs to and from bytes.
 *
 * What is read here came from a registry or an archive: every length, count and type is checked before use
 * (spec/threats.md M1-M12), and a failure names the document by its digest.
 */
#include "layers/image.h"
#include "base/mem.h"
#include "layers/comp.h"

#include <assert.h>

enum {
	DOC_MAX = 4 << 20,
	CONFIG_MAX = 8 << 20,
	LAYERS_MAX = 1000,
	ENTRIES_MAX = 10000,
};
static const int64_t size_max = (int64_t)1 << 53;

static const struct {
	const char *type;
	enum doc_kind kind;
	bool docker;
} doc_types[] = {
	{ "application/vnd.oci.image.index.v1+json", DOC_INDEX, false },
	{ "application/vnd.oci.image.manifest.v1+json", DOC_MANIFEST, false },
	{ "application/vnd.docker.distribution.manifest.list.v2+json", DOC_INDEX, true },
	{ "application/vnd.docker.distribution.manifest.v2+json", DOC_MANIFEST, true },
};
static const char config_oci[] = "application/vnd.oci.image.config.v1+json";
static const char config_docker[] = "application/vnd.docker.container.image.v1+json";
/* Servers that know no media types say one of these: as good as nothing. */
static const char *const generic[] = { "", "application/json", "application/octet-stream", "text/plain" };

const char *manifest_media_type(enum doc_kind kind, bool docker)
{
	for (size_t i = 0; i < countof(doc_types); i++)
		if (doc_types[i].kind == kind && doc_types[i].docker == docker)
			return doc_types[i].type;
	return NULL;
}

/* ---- the value */

void image_clear(struct image *im)
{
	jval_free(im->config);
	jval_free(im->annotation);
	jval_free(im->entry_annotation);
	free(im->layer);
	*im = (struct image){ 0 };
}

void image_annotate(struct jval **to, const char *key, const char *value)
{
	if (!*to)
		*to = jval_obj();
	jval_set_str(*to, key, value);
}

void image_copy(struct image *to, const struct image *from)
{
	*to = *from;
	to->config = from->config ? jval_copy(from->config) : NULL;
	to->annotation = from->annotation ? jval_copy(from->annotation) : NULL;
	to->entry_annotation = from->entry_annotation ? jval_copy(from->entry_annotation) : NULL;
	to->layer = from->nlayer ? mem_dup(from->layer, from->nlayer * sizeof(*from->layer)) : NULL;
}

void image_scratch(struct image *im, const struct platform *p)
{
	struct jval *inner = jval_obj(), *env = jval_arr(), *rootfs = jval_obj();

	*im = (struct image){ .config = jval_obj(), .platform = *p };
	jval_set_str(im->config, "architecture", p->arch);
	jval_set_str(im->config, "os", p->os);
	if (p->variant[0])
		jval_set_str(im->config, "variant", p->variant);
	jval_add_str(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	jval_set(inner, "Env", env);
	jval_set_str(inner, "WorkingDir", "/");
	jval_set(im->config, "config", inner);
	jval_set_str(rootfs, "type", "layers");
	jval_set(rootfs, "diff_ids", jval_arr());
	jval_set(im->config, "rootfs", rootfs);
}

/* ---- reading a manifest or an index */

void manifest_clear(struct manifest *m)
{
	free(m->config.ref_name);
	for (size_t i = 0; i < m->nitem; i++)
		free(m->item[i].ref_name);
	free(m->item);
	*m = (struct manifest){ 0 };
}

static void *jval_first_of(const struct jval *obj)
{
	return obj && jval_type(obj) == JT_OBJ ? jval_first(obj) : NULL;
}

/* A string member into a field of fixed size; absent is "". */
static int field(const struct jval *obj, const char *name, char *to, size_t size, struct err **e)
{
	const char *s = NULL;

	if (jval_get_str(obj, name, &s, e) < 0)
		return -1;
	if (s && strlen(s) >= size)
		return err_set(e, ERR_SOURCE, "'%s' is longer than %zu characters", name, size - 1);
	snprintf(to, size, "%s", s ? s : "");
	return 0;
}

static int platform_read(const struct jval *obj, struct platform *p, struct err **e)
{
	if (field(obj, "os", p->os, sizeof(p->os), e) < 0 || field(obj, "architecture", p->arch, sizeof(p->arch), e) < 0 ||
	    field(obj, "variant", p->variant, sizeof(p->variant), e) < 0 ||
	    field(obj, "os.version", p->os_version, sizeof(p->os_version), e) < 0)
		return -1;
	return 0;
}

static int descriptor_read(const struct jval *v, struct descriptor *d, struct err **e)
{
	const char *digest = NULL, *name = NULL;
	struct jval *platform = NULL, *annotations = NULL;

	if (jval_type(v) != JT_OBJ)
		return err_set(e, ERR_SOURCE, "it is not an object");
	if (field(v, "mediaType", d->media_type, sizeof(d->media_type), e) < 0 || jval_get_str(v, "digest", &digest, e) < 0 ||
	    jval_get_int(v, "size", &d->size, e) < 0 || jval_get_obj(v, "platform", &platform, e) < 0 ||
	    jval_get_obj(v, "annotations", &annotations, e) < 0)
		return -1;
	if (!d->media_type[0])
		return err_set(e, ERR_SOURCE, "'mediaType' is missing");
	if (!digest)
		return err_set(e, ERR_SOURCE, "'digest' is missing");
	if (digest_parse(slice_of(digest), &d->digest, ERR_SOURCE, e) < 0)
		return -1;
	if (!jval_get(v, "size"))
		return err_set(e, ERR_SOURCE, "'size' is missing");
	if (d->size < 0 || d->size > size_max)
		return err_set(e, ERR_SOURCE, "'size' is %jd", (intmax_t)d->size);
	if (platform && platform_read(platform, &d->platform, e) < 0)
		return -1;
	if (annotations && jval_get_str(annotations, "org.opencontainers.image.ref.name", &name, e) < 0)
		return -1;
	d->ref_name = mem_str(name);
	return 0;
}

static int items_read(const struct jval *list, const char *name, size_t max, struct manifest *m, struct err **e)
{
	size_t n = jval_len(list);

	if (n > max)
		return err_set(e, ERR_LIMIT, "'%s' has %zu entries, more than the limit of %zu", name, n, max);
	m->item = mem_array(n + 1, sizeof(*m->item));
	for (; m->nitem < n; m->nitem++)
		if (descriptor_read(jval_at(list, m->nitem), &m->item[m->nitem], e) < 0)
			return err_wrap(e, "entry %zu of '%s' is malformed", m->nitem, name);
	return 0;
}

static bool type_generic(struct slice type)
{
	for (size_t i = 0; i < countof(generic); i++)
		if (slice_is_nocase(type, generic[i]))
			return true;
	return false;
}

/* A media type to its row; parameters after ';' do not count. */
static int type_find(struct slice type, size_t *ret, struct err **e)
{
	for (size_t i = 0; i < countof(doc_types); i++)
		if (slice_is_nocase(type, doc_types[i].type)) {
			*ret = i;
			return 0;
		}
	if (slice_starts(type, "application/vnd.docker.distribution.manifest.v1+"))
		return err_set(e, ERR_SOURCE, "it is in docker's schema 1, which nobody has written for years and kiln does not read");
	return err_set(e, ERR_SOURCE, "it has the media type '%.*s', so it is not a container image", SLICE_F(type));
}

/* Which kind of document: all who say must say the same (M5). */
static int kind_of(const struct jval *doc, const char *media_type, struct manifest *m, struct err **e)
{
	struct slice outer = slice_of(media_type), params = SLICE_NONE;
	const char *own = NULL;
	size_t row = countof(doc_types), own_row = countof(doc_types);

	if (slice_cut(outer, ';', &outer, &params))
		outer = slice_trim(outer, " \t");
	if (jval_get_str(doc, "mediaType", &own, e) < 0)
		return -1;
	if (!type_generic(outer) && type_find(outer, &row, e) < 0)
		return -1;
	if (own && type_find(slice_of(own), &own_row, e) < 0)
		return -1;
	if (own && row < countof(doc_types) && own_row != row)
		return err_set(e, ERR_SOURCE, "it calls itself '%s' but was sent as '%.*s'", own, SLICE_F(outer));
	if (own)
		row = own_row;
	bool index = jval_get(doc, "manifests"), manifest = jval_get(doc, "layers") || jval_get(doc, "config");
	if (index && manifest)
		return err_set(e, ERR_SOURCE, "it is both a manifest and an index");
	if (!index && !manifest)
		return err_set(e, ERR_SOURCE, "it has neither 'layers' nor 'manifests'");
	m->kind = index ? DOC_INDEX : DOC_MANIFEST;
	m->docker = row < countof(doc_types) && doc_types[row].docker;
	if (row < countof(doc_types) && doc_types[row].kind != m->kind)
		return err_set(e, ERR_SOURCE, "it has the media type '%s' but the members of %s", doc_types[row].type,
			       index ? "an index" : "a manifest");
	return 0;
}

static int manifest_read(const struct jval *doc, const char *media_type, struct manifest *m, struct err **e)
{
	struct jval *list = NULL, *config = NULL;
	int64_t version = 0;

	if (jval_type(doc) != JT_OBJ)
		return err_set(e, ERR_SOURCE, "it is not a JSON object");
	if (jval_get_int(doc, "schemaVersion", &version, e) < 0)
		return -1;
	if (version == 1)
		return err_set(e, ERR_SOURCE, "it is in docker's schema 1, which nobody has written for years and kiln does not read");
	if (version != 2)
		return err_set(e, ERR_SOURCE, "'schemaVersion' is %jd, not 2", (intmax_t)version);
	if (kind_of(doc, media_type, m, e) < 0)
		return -1;
	if (m->kind == DOC_INDEX) {
		if (jval_get_arr(doc, "manifests", &list, e) < 0)
			return -1;
		return items_read(list, "manifests", ENTRIES_MAX, m, e);
	}
	if (jval_get_arr(doc, "layers", &list, e) < 0 || jval_get_obj(doc, "config", &config, e) < 0)
		return -1;
	if (!list || !config)
		return err_set(e, ERR_SOURCE, "'%s' is missing", list ? "config" : "layers");
	if (descriptor_read(config, &m->config, e) < 0)
		return err_wrap(e, "'config' is malformed");
	if (!media_type || type_generic(slice_of(media_type)))
		m->docker = m->docker || strcmp(m->config.media_type, config_docker) == 0;
	return items_read(list, "layers", LAYERS_MAX, m, e);
}

int manifest_parse(struct slice bytes, const char *media_type, struct manifest *ret, struct err **e)
{
	AUTO(manifest_clear) struct manifest m = { 0 };
	AUTO(jval_freep) struct jval *doc = NULL;
	struct digest d;

	if (bytes.n > DOC_MAX)
		return err_set(e, ERR_LIMIT, "a manifest of %zu bytes is larger than the limit of %d", bytes.n, DOC_MAX);
	digest_of(bytes.p, bytes.n, &d);
	if (jdoc_parse(bytes, "the document", &doc, e) < 0 || manifest_read(doc, media_type, &m, e) < 0)
		return err_wrap(e, "cannot use the manifest %s", digest_text(&d).s);
	*ret = m;
	m = (struct manifest){ 0 };
	return 0;
}

/* ---- choosing from an index */

static bool is_manifest_type(const char *type)
{
	for (size_t i = 0; i < countof(doc_types); i++)
		if (slice_is_nocase(slice_of(type), doc_types[i].type))
			return true;
	return false;
}

/* Attestations have the platform unknown/unknown; other media types are BuildKit's old caches (oci.md 1.4). */
static bool is_candidate(const struct descriptor *d)
{
	return is_manifest_type(d->media_type) && strcmp(d->platform.os, "unknown") != 0;
}

int manifest_choose(const struct manifest *m, const struct platform *want, size_t *ret, struct err **e)
{
	AUTO(buf_freep) struct buf have = BUF_MAX(1024);
	size_t best = m->nitem, bare = m->nitem;
	int rank = 0;

	assert(m->item || m->nitem == 0);
	for (size_t i = 0; i < m->nitem; i++) {
		const struct descriptor *d = &m->item[i];

		if (!is_candidate(d))
			continue;
		if (!d->platform.os[0]) {
			bare = bare < m->nitem ? bare : i;
			continue;
		}
		int r = platform_rank(want, &d->platform);
		if (r > rank) {
			rank = r;
			best = i;
		}
		buf_printf(&have, "%s%s", have.n ? ", " : "", platform_text(&d->platform).s);
	}
	/* An entry that does not say its platform serves when nothing else does; its config tells. */
	if (best == m->nitem)
		best = bare;
	if (best == m->nitem) {
		err_set(e, ERR_SOURCE, "there is no image for the platform %s; available: %s", platform_text(want).s, have.n ? have.p : "none");
		return have.n ? err_hint(e, "choose another platform with --platform") : -1;
	}
	*ret = best;
	return 0;
}

/* ---- reading a config */

static int check_strings(const struct jval *obj, const char *name, bool pairs, struct err **e)
{
	struct jval *list = NULL;

	if (jval_get_arr(obj, name, &list, e) < 0)
		return -1;
	for (size_t i = 0; i < jval_len(list); i++) {
		const char *s = jval_str(jval_at(list, i));

		if (!s)
			return err_set(e, ERR_SOURCE, "entry %zu of '%s' is not a string", i, name);
		/* Without '=' some programs would take the value from their own environment (M9). */
		if (pairs && (*s == '=' || !strchr(s, '=')))
			return err_set(e, ERR_SOURCE, "entry %zu of '%s' is not of the form NAME=VALUE", i, name);
	}
	return 0;
}

static int check_inner(const struct jval *in, struct err **e)
{
	static const char *const texts[] = { "User", "WorkingDir", "StopSignal" };
	static const char *const lists[] = { "Cmd", "Entrypoint", "Shell", "OnBuild" };
	static const char *const maps[] = { "ExposedPorts", "Volumes", "Labels", "Healthcheck" };
	struct jval *v = NULL;
	const char *s = NULL;

	for (size_t i = 0; i < countof(texts); i++)
		if (jval_get_str(in, texts[i], &s, e) < 0)
			return -1;
	for (size_t i = 0; i < countof(lists); i++)
		if (check_strings(in, lists[i], false, e) < 0)
			return -1;
	for (size_t i = 0; i < countof(maps); i++)
		if (jval_get_obj(in, maps[i], &v, e) < 0)
			return -1;
	jval_get_obj(in, "Labels", &v, NULL);
	for (void *it = jval_first_of(v); it; it = jval_next(v, it))
		if (!jval_str(jval_val(it)))
			return err_set(e, ERR_SOURCE, "the value of the label '%s' is not a string", jval_key(it));
	return check_strings(in, "Env", true, e);
}

static int check_history(const struct jval *doc, struct err **e)
{
	struct jval *list = NULL;
	const char *s = NULL;
	bool empty = false;

	if (jval_get_arr(doc, "history", &list, e) < 0)
		return -1;
	for (size_t i = 0; i < jval_len(list); i++) {
		struct jval *h = jval_at(list, i);

		if (jval_type(h) != JT_OBJ)
			return err_set(e, ERR_SOURCE, "entry %zu of 'history' is not an object", i);
		if (jval_get_str(h, "created", &s, e) < 0 || jval_get_str(h, "created_by", &s, e) < 0 ||
		    jval_get_str(h, "comment", &s, e) < 0 || jval_get_bool(h, "empty_layer", &empty, e) < 0)
			return err_wrap(e, "entry %zu of 'history' is malformed", i);
	}
	return 0;
}

/* rootfs.diff_ids, one per layer of the manifest (M8). */
static int diff_ids(const struct jval *doc, const struct manifest *m, struct image *im, struct err **e)
{
	struct jval *rootfs = NULL, *list = NULL;
	const char *type = NULL;

	if (jval_get_obj(doc, "rootfs", &rootfs, e) < 0)
		return -1;
	if (!rootfs)
		return err_set(e, ERR_SOURCE, "'rootfs' is missing, so it is not a container image");
	if (jval_get_str(rootfs, "type", &type, e) < 0 || jval_get_arr(rootfs, "diff_ids", &list, e) < 0)
		return -1;
	if (!type || strcmp(type, "layers") != 0)
		return err_set(e, ERR_SOURCE, "'rootfs.type' is '%s', not 'layers'", type ? type : "");
	if (jval_len(list) != m->nitem)
		return err_set(e, ERR_SOURCE, "it has %zu diff_ids, but the manifest has %zu layers", jval_len(list), m->nitem);
	im->layer = mem_array(m->nitem + 1, sizeof(*im->layer));
	for (size_t i = 0; i < m->nitem; i++) {
		struct image_layer *l = &im->layer[i];
		const char *text = jval_str(jval_at(list, i));
		const struct comp *c = comp_by_media_type(m->item[i].media_type);

		if (!text)
			return err_set(e, ERR_SOURCE, "entry %zu of 'rootfs.diff_ids' is not a string", i);
		if (digest_parse(slice_of(text), &l->diff, ERR_SOURCE, e) < 0)
			return err_wrap(e, "entry %zu of 'rootfs.diff_ids' is malformed", i);
		l->blob = m->item[i].digest;
		l->size = m->item[i].size;
		l->comp = c ? c->name : NULL;
		if (strlen(m->item[i].media_type) >= sizeof(l->media_type))
			return err_set(e, ERR_SOURCE, "layer %zu has an overlong media type", i);
		snprintf(l->media_type, sizeof(l->media_type), "%.95s", m->item[i].media_type);
		im->nlayer = i + 1;
	}
	return 0;
}

static int config_read(const struct manifest *m, struct image *im, struct err **e)
{
	struct jval *in = NULL;
	struct platform again;

	if (jval_type(im->config) != JT_OBJ)
		return err_set(e, ERR_SOURCE, "it is not a JSON object");
	if (platform_read(im->config, &im->platform, e) < 0)
		return -1;
	if (!im->platform.os[0] || !im->platform.arch[0])
		return err_set(e, ERR_SOURCE, "'%s' is missing", im->platform.os[0] ? "architecture" : "os");
	/* The store remembers images by that text: what cannot be read back could never be used, or removed. */
	if (platform_parse(slice_of(platform_text(&im->platform).s), &again, NULL) < 0)
		return err_set(e, ERR_SOURCE, "its platform '%s' is malformed", platform_text(&im->platform).s);
	if (jval_get_obj(im->config, "config", &in, e) < 0 || (in && check_inner(in, e) < 0) || check_history(im->config, e) < 0)
		return -1;
	return diff_ids(im->config, m, im, e);
}

int image_from(const struct manifest *m, struct slice config, struct image *ret, struct err **e)
{
	AUTO(image_clear) struct image im = { 0 };
	const char *type = m->config.media_type;
	struct digest d;

	digest_of(config.p, config.n, &d);
	if (strcmp(type, config_oci) != 0 && strcmp(type, config_docker) != 0)
		return err_set(e, ERR_SOURCE, "the config %s has the media type '%s', so it is not a container image", digest_text(&d).s, type);
	if (config.n > CONFIG_MAX)
		return err_set(e, ERR_LIMIT, "the config %s has %zu bytes, more than the limit of %d", digest_text(&d).s, config.n, CONFIG_MAX);
	if (jdoc_parse(config, "the document", &im.config, e) < 0 || config_read(m, &im, e) < 0)
		return err_wrap(e, "cannot use the config %s", digest_text(&d).s);
	*ret = im;
	im = (struct image){ 0 };
	return 0;
}

/* ---- writing */

static struct jval *descriptor(const char *media_type, const struct digest *d, int64_t size)
{
	struct jval *o = jval_obj();

	jval_set_str(o, "mediaType", media_type);
	jval_set_str(o, "digest", digest_text(d).s);
	jval_set_int(o, "size", size);
	return o;
}

/* One family per manifest (oci.md 1.2); what we do not know stays as it came. */
static int layer_type(const struct image_layer *l, bool docker, const char **ret, struct err **e)
{
	const struct comp *c = l->comp ? comp_find(l->comp) : comp_by_media_type(l->media_type);

	*ret = !c ? l->media_type : docker ? c->docker_type : c->media_type;
	if (*ret && **ret)
		return 0;
	if (!c || !docker)
		return err_set(e, ERR_BUG, "the layer %s has no media type", digest_text(&l->diff).s);
	err_set(e, ERR_INPUT, "a manifest of docker's form cannot hold a layer compressed with %s", c->name);
	return err_hint(e, "use --compression=gzip --force-compression, or leave out oci-mediatypes=false");
}

int image_manifest(const struct image *im, const struct digest *config, int64_t config_size, bool docker, struct buf *out,
		   struct err **e)
{
	AUTO(jval_freep) struct jval *doc = jval_obj();
	struct jval *layers = jval_arr();

	jval_set_int(doc, "schemaVersion", 2);
	jval_set_str(doc, "mediaType", manifest_media_type(DOC_MANIFEST, docker));
	jval_set(doc, "config", descriptor(docker ? config_docker : config_oci, config, config_size));
	jval_set(doc, "layers", layers);
	for (size_t i = 0; i < im->nlayer; i++) {
		const struct image_layer *l = &im->layer[i];
		const char *type = NULL;

		if (digest_zero(&l->blob))
			return err_set(e, ERR_BUG, "the layer %s has no blob yet", digest_text(&l->diff).s);
		if (layer_type(l, docker, &type, e) < 0)
			return -1;
		jval_add(layers, descriptor(type, &l->blob, l->size));
	}
	if (im->annotation)
		jval_set(doc, "annotations", jval_copy(im->annotation));
	jval_print(doc, out, 2);
	return buf_ok(out, "the manifest", e);
}

/* Member names with dots are the specification's. */
static struct jval *platform_member(struct platform p)
{
	struct jval *o = jval_obj(), *list = jval_arr();
	char feature[PLATFORM_WORD];

	platform_normalise(&p);
	jval_set_str(o, "architecture", p.arch);
	jval_set_str(o, "os", p.os);
	if (p.os_version[0])
		jval_set_str(o, "os.version", p.os_version);
	for (size_t i = 0; platform_feature(&p, i, feature); i++)
		jval_add_str(list, feature);
	if (jval_len(list))
		jval_set(o, "os.features", list);
	else
		jval_free(list);
	if (p.variant[0])
		jval_set_str(o, "variant", p.variant);
	return o;
}

int image_index(const struct image *im, const struct descriptor *item, size_t n, const struct jval *annotation, bool docker, struct buf *out,
		struct err **e)
{
	AUTO(jval_freep) struct jval *doc = jval_obj();
	struct jval *list = jval_arr();

	jval_set_int(doc, "schemaVersion", 2);
	jval_set_str(doc, "mediaType", manifest_media_type(DOC_INDEX, docker));
	jval_set(doc, "manifests", list);
	for (size_t i = 0; i < n; i++) {
		struct jval *d = descriptor(item[i].media_type, &item[i].digest, item[i].size);

		jval_set(d, "platform", platform_member(im[i].platform));
		if (im[i].entry_annotation)
			jval_set(d, "annotations", jval_copy(im[i].entry_annotation));
		jval_add(list, d);
	}
	if (annotation)
		jval_set(doc, "annotations", jval_copy(annotation));
	jval_print(doc, out, 2);
	return buf_ok(out, "the index", e);
}

void image_config_bytes(const struct image *im, struct buf *out)
{
	jval_print(im->config, out, 0);
}
