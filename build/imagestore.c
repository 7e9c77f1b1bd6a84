/* build/imagestore.c - images of the store: found, loaded, saved under names. */
#include "build/imagestore.h"

#include <fcntl.h>

#include "base/clock.h"
#include "base/mem.h"
#include "build/trees.h"
#include "build/wait.h"
#include "layers/comp.h"
#include "layers/config.h"
#include "layers/listing.h"

#define CONFIG_MAX (8 << 20)

void pulled_clear(struct pulled *p)
{
	image_clear(&p->image);
	mem_freep(&p->source);
}

/* ---- finding */

static bool is_hex(const char *s)
{
	return s[strspn(s, "0123456789abcdef")] == '\0';
}

/* An id or a prefix of one (at least 6 digits) among all names. */
static int find_by_id(struct app *a, const char *hex, struct name_record *ret, struct err **e)
{
	struct name_record *all = NULL;
	size_t n = 0, bad = 0, found = SIZE_MAX;
	bool twice = false;

	if (names_list(a->store, &all, &n, &bad, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		char have[DIGEST_HEX + 1];

		digest_hex(&all[i].config, have);
		if (strncmp(have, hex, strlen(hex)) != 0)
			continue;
		if (found != SIZE_MAX && !digest_equal(&all[found].config, &all[i].config))
			twice = true;
		if (found == SIZE_MAX)
			found = i;
	}
	if (found != SIZE_MAX && !twice) {
		*ret = all[found];
		all[found] = (struct name_record){ 0 };
	}
	names_list_free(all, n);
	if (twice)
		return err_set(e, ERR_USAGE, "'%s' is the beginning of more than one image id", hex);
	return found == SIZE_MAX ? IMAGE_MISS : 0;
}

static int pin_record(struct app *a, const struct name_record *r, struct err **e)
{
	if (store_pin(a->store, PIN_BLOB, &r->config, e) < 0)
		return -1;
	if (!digest_zero(&r->manifest) && store_pin(a->store, PIN_BLOB, &r->manifest, e) < 0)
		return -1;
	for (size_t i = 0; i < r->nlayer; i++) {
		if (store_pin(a->store, PIN_LAYER, &r->layer[i].diff, e) < 0 ||
		    store_pin(a->store, PIN_LISTING, &r->layer[i].diff, e) < 0)
			return -1;
		if (!digest_zero(&r->layer[i].blob) && store_pin(a->store, PIN_BLOB, &r->layer[i].blob, e) < 0)
			return -1;
	}
	return 0;
}

int imagestore_find(struct app *a, const char *text, struct name_record *ret, struct err **e)
{
	const char *hex = strncmp(text, "sha256:", 7) == 0 ? text + 7 : text;
	int rc = IMAGE_MISS;

	if (app_store(a, e) < 0)
		return -1;
	if (hex == text) {
		AUTO(buf_freep) struct buf name = BUF_MAX(8192);
		struct ref ref = { 0 };
		struct err *bad = NULL;

		if (ref_parse(slice_of(text), &ref, &bad) == 0) {
			ref_print(&ref, &name);
			rc = names_get(a->store, name.p, ret, e);
			ref_clear(&ref);
		}
		err_free(bad);
	}
	if (rc == IMAGE_MISS && strlen(hex) >= 6 && is_hex(hex))
		rc = find_by_id(a, hex, ret, e);
	if (rc)
		return rc;
	if (pin_record(a, ret, e) == 0)
		return 0;
	name_record_clear(ret);
	return -1;
}

int imagestore_load(struct app *a, const struct name_record *r, struct image *ret, struct err **e)
{
	AUTO(buf_freep) struct buf bytes = BUF_MAX(CONFIG_MAX);
	int rc = store_blob_read(a->store, &r->config, &bytes, e);

	if (rc < 0)
		return -1;
	if (rc > 0) {
		err_set(e, ERR_HOST, "the config of image '%s' is not in the store", r->name);
		return err_hint(e, "run kiln check --repair, then pull or build the image again");
	}
	memset(ret, 0, sizeof(*ret));
	if (jdoc_parse(buf_view(&bytes), "image config", &ret->config, e) < 0)
		return -1;
	ret->layer = mem_array(r->nlayer + 1, sizeof(*ret->layer));
	ret->nlayer = r->nlayer;
	for (size_t i = 0; i < r->nlayer; i++) {
		struct image_layer *l = &ret->layer[i];
		const struct comp *c = comp_by_media_type(r->layer[i].media_type);

		l->diff = r->layer[i].diff;
		l->blob = r->layer[i].blob;
		l->size = r->layer[i].size;
		l->comp = c ? c->name : NULL;
		memcpy(l->media_type, r->layer[i].media_type, sizeof(l->media_type));
	}
	if (platform_parse(slice_of(r->platform), &ret->platform, e) == 0)
		return 0;
	image_clear(ret);
	return -1;
}

/* ---- saving */

static int64_t created_of(const struct image *im)
{
	const char *text = jval_str(jval_get(im->config, "created"));
	int64_t t;

	return text && clock_parse_rfc3339(slice_of(text), &t) == 0 ? t : 0;
}

/* Bytes of the files of a layer that is known by its listing. */
static uint64_t listing_bytes(struct app *a, const struct digest *diff)
{
	struct listing *l = NULL;
	uint64_t sum = 0;
	struct entry en;
	char path[80];
	int fd;

	store_listing_path(diff, path);
	fd = at_open_store(store_fd(a->store), path, O_RDONLY, 0, NULL);
	if (fd < 0 || listing_open(fd, &l, NULL) < 0)
		return 0;
	for (uint64_t i = 0; i < listing_count(l); i++) {
		listing_at(l, i, &en);
		sum += en.type == ENTRY_FILE ? en.size : 0;
	}
	listing_close(l);
	return sum;
}

static uint64_t tree_size(struct app *a, const struct image *im)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < im->nlayer; i++) {
		struct layer_meta m;

		if (store_layer_find(a->store, &im->layer[i].diff, &m, NULL) == 0)
			sum += m.bytes;
		else
			sum += listing_bytes(a, &im->layer[i].diff);
	}
	return sum;
}

/* A layer of ours may have a blob by now (a COPY's, or one that was pushed): the name keeps it. */
static void record_layer(struct app *a, const struct image_layer *l, struct name_layer *r)
{
	struct blob_info info;

	*r = (struct name_layer){ .diff = l->diff, .blob = l->blob, .size = l->size };
	memcpy(r->media_type, l->media_type, sizeof(r->media_type));
	if (!digest_zero(&l->blob) || store_info_find(a->store, &l->diff, "", &info, NULL) != 0)
		return;
	r->blob = info.blob;
	r->size = info.size;
	snprintf(r->media_type, sizeof(r->media_type), "%s", comp_find(info.comp)->media_type);
}

static void record_init(struct app *a, const struct image *im, const char *source, const struct digest *manifest,
			const struct digest *config, struct name_record *r)
{
	*r = (struct name_record){
		.config = *config, .platform = mem_str(platform_text(&im->platform).s), .source = mem_str(source),
		.created = created_of(im), .size = tree_size(a, im), .nlayer = im->nlayer,
		.layer = mem_array(im->nlayer + 1, sizeof(struct name_layer)),
	};
	if (manifest)
		r->manifest = *manifest;
	for (size_t i = 0; i < im->nlayer; i++)
		record_layer(a, &im->layer[i], &r->layer[i]);
}

/* The record under every name; without a name it is kept by its id, until it gets one. */
static int put_names(struct app *a, struct name_record *take, const char *const *names, size_t n, struct err **e)
{
	struct digest_text id = digest_text(&take->config);
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		take->name = (char *)names[i];
		rc = names_put(a->store, take, e);
	}
	if (n == 0) {
		take->name = id.s;
		rc = names_put(a->store, take, e);
	} else if (rc == 0 && names_delete(a->store, id.s, e) < 0) {
		rc = -1;
	}
	take->name = NULL;
	name_record_clear(take);
	return rc;
}

static int synced(struct app *a, struct err **e)
{
	return store_sync_start(a->store, e) < 0 ? -1 : store_sync_wait(a->store, e);
}

int imagestore_save(struct app *a, const struct image *im, const char *const *names, size_t n, const char *source,
		    const struct digest *manifest, struct digest *ret_id, struct err **e)
{
	AUTO(buf_freep) struct buf bytes = BUF_MAX(CONFIG_MAX);
	struct name_record r = { 0 };

	image_config_bytes(im, &bytes);
	if (buf_ok(&bytes, "image config", e) < 0 || store_blob_put(a->store, buf_view(&bytes), ret_id, e) < 0 || synced(a, e) < 0)
		return -1;
	record_init(a, im, source, manifest, ret_id, &r);
	return put_names(a, &r, names, n, e);
}

int imagestore_keep_as(struct app *a, const char *const *names, size_t n, const struct pulled *p, struct err **e)
{
	struct name_record r = { 0 };

	if (synced(a, e) < 0)
		return -1;
	record_init(a, &p->image, NULL, &p->manifest, &p->config, &r);
	return put_names(a, &r, names, n, e);
}

int imagestore_keep(struct app *a, const struct ref *ref, const struct pulled *p, struct err **e)
{
	AUTO(buf_freep) struct buf name = BUF_MAX(8192);
	struct name_record r;
	int rc;

	ref_print(ref, &name);
	if (synced(a, e) < 0)
		return -1;
	record_init(a, &p->image, p->source, &p->manifest, &p->config, &r);
	r.name = mem_str(name.p);
	r.repo_digest = mem_str(digest_text(&p->root).s);
	rc = names_put(a->store, &r, e);
	name_record_clear(&r);
	return rc;
}

/* ---- waiting for one asynchronous answer */

struct dirs_answer {
	bool done;
	struct strs *dirs;
	struct err *e;
};

static void dirs_arrived(void *arg, char **dirs, size_t n, struct err *e)
{
	struct dirs_answer *d = arg;

	for (size_t i = 0; i < n; i++)
		strs_add(d->dirs, dirs[i]);
	d->e = e;
	d->done = true;
}

int imagestore_unpack(struct app *a, const struct image *im, struct strs *ret_dirs, struct err **e)
{
	AUTO(mem_freep) struct digest *diff = mem_array(im->nlayer + 1, sizeof(*diff));
	struct dirs_answer d = { .dirs = ret_dirs };

	for (size_t i = 0; i < im->nlayer; i++)
		diff[i] = im->layer[i].diff;
	if (trees_dirs(a->trees, diff, im->nlayer, dirs_arrived, &d, e) < 0)
		return -1;
	return wait_until(a, &d.done, &d.e, e);
}
