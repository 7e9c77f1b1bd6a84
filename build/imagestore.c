/* build/imagestore.c - images of the store: found, loaded, saved under names. */
#include "build/imagestore.h"

#include <assert.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/mem.h"
#include "build/flight.h"
#include "build/trees.h"
#include "build/wait.h"
#include "build/work.h"
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

/* Only the image at i, which has no name of its own: the name stands for all of them. */
static void single_out(struct name_record *r, size_t i)
{
	struct name_record *from = i == 0 ? r : &r->more[i - 1], one = *from;

	*from = (struct name_record){ .more = from->more, .nmore = from->nmore };
	free(one.name);
	one.name = mem_str(digest_text(&one.config).s);
	one.index = (struct digest){ 0 };
	one.more = NULL;
	one.nmore = 0;
	name_record_clear(r);
	*r = one;
}

/* Does the id begin so? */
static bool begins(const struct digest *id, const char *hex)
{
	char have[DIGEST_HEX + 1];

	digest_hex(id, have);
	return strncmp(have, hex, strlen(hex)) == 0;
}

struct id_search {
	const char *hex;
	struct digest id;
	size_t found, which;             /* SIZE_MAX: none; index of the image in the record */
	bool twice;
};

static void id_try(struct id_search *s, const struct digest *id, size_t found, size_t which)
{
	if (!begins(id, s->hex))
		return;
	s->twice = s->twice || (s->found != SIZE_MAX && !digest_equal(&s->id, id));
	if (s->found != SIZE_MAX)
		return;
	s->id = *id;
	s->found = found;
	s->which = which;
}

/* An id or a prefix of one (at least 6 digits) among all names; then of one of the images that a name has for several platforms. */
static int find_by_id(struct app *a, const char *hex, struct name_record *ret, struct err **e)
{
	struct id_search s = { .hex = hex, .found = SIZE_MAX };
	struct name_record *all = NULL;
	const struct name_record *im;
	size_t n = 0, bad = 0;

	if (names_list(a->store, &all, &n, &bad, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		id_try(&s, name_id(&all[i]), i, 0);
	bool inner = s.found == SIZE_MAX;
	for (size_t i = 0; i < n && inner; i++)
		for (size_t k = 0; (im = name_image(&all[i], k)); k++)
			id_try(&s, &im->config, i, k);
	if (s.found != SIZE_MAX && !s.twice) {
		*ret = all[s.found];
		all[s.found] = (struct name_record){ 0 };
		if (inner)
			single_out(ret, s.which);
	}
	names_list_free(all, n);
	if (s.twice)
		return err_set(e, ERR_USAGE, "'%s' is the beginning of more than one image id", hex);
	return s.found == SIZE_MAX ? IMAGE_MISS : 0;
}

static int pin_image(struct app *a, const struct name_record *r, struct err **e)
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

static int pin_record(struct app *a, const struct name_record *r, struct err **e)
{
	const struct name_record *im;

	if (!digest_zero(&r->index) && store_pin(a->store, PIN_BLOB, &r->index, e) < 0)
		return -1;
	for (size_t i = 0; (im = name_image(r, i)); i++)
		if (pin_image(a, im, e) < 0)
			return -1;
	return 0;
}

int imagestore_lock(struct app *a, const char *name, int *ret_lock, struct err **e)
{
	AUTO(mem_freep) char *job = mem_printf("name-%s", name);

	return flight_take(a, job, "adds to the same index", name, ret_lock, e) < 0 ? -1 : 0;
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

const struct name_record *imagestore_choose(const struct name_record *r, const struct platform *want)
{
	const struct name_record *best = NULL, *im;
	struct platform have;
	int most = 0;

	for (size_t i = 0; (im = name_image(r, i)); i++) {
		int rank = platform_parse(slice_of(im->platform), &have, NULL) < 0 ? 0 : platform_rank(want, &have);

		if (rank > most) {
			best = im;
			most = rank;
		}
	}
	return best;
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
	struct digest_text id = digest_text(name_id(take));
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

int imagestore_save_index(struct app *a, const struct parcel *p, const char *const *names, size_t n, struct descriptor *ret, struct err **e)
{
	AUTO(mem_freep) struct digest *config = mem_array(p->n, sizeof(*config));
	AUTO(mem_freep) struct digest *manifest = mem_array(p->n, sizeof(*manifest));
	struct name_record r = { 0 };

	if (imagestore_documents(a, p, ret, config, manifest, e) < 0 || synced(a, e) < 0)
		return -1;
	record_init(a, &p->image[0], NULL, &manifest[0], &config[0], &r);
	r.index = ret->digest;
	r.more = mem_array(p->n, sizeof(*r.more));
	for (; r.nmore + 1 < p->n; r.nmore++) {
		size_t i = r.nmore + 1;

		record_init(a, &p->image[i], NULL, &manifest[i], &config[i], &r.more[r.nmore]);
	}
	return put_names(a, &r, names, n, e);
}

/* The image of one becomes that of the other, which keeps its name and what belongs to that. */
static void image_take(struct name_record *to, struct name_record *from)
{
	free(to->platform);
	free(to->layer);
	to->config = from->config;
	to->manifest = from->manifest;
	to->platform = take(&from->platform);
	to->created = from->created;
	to->size = from->size;
	to->layer = take(&from->layer);
	to->nlayer = from->nlayer;
	from->nlayer = 0;
}

/* What came from this index earlier stays; false: there is nothing such. */
static bool join(struct name_record *have, struct name_record *fresh)
{
	struct name_record *to = NULL;
	bool same = have->repo_digest && strcmp(have->repo_digest, fresh->repo_digest) == 0;

	if (!same && (digest_zero(&have->index) || strcmp(digest_text(&have->index).s, fresh->repo_digest) != 0))
		return false;
	assert(have->more || have->nmore == 0);
	for (size_t i = 0; i <= have->nmore && !to; i++) {
		struct name_record *im = i == 0 ? have : &have->more[i - 1];

		if (digest_equal(&im->manifest, &fresh->manifest) || strcmp(im->platform ? im->platform : "", fresh->platform) == 0)
			to = im;
	}
	if (!to) {
		have->more = mem_grow(have->more, have->nmore + 1, sizeof(*have->more));
		to = &have->more[have->nmore++];
		*to = (struct name_record){ 0 };
	}
	image_take(to, fresh);
	if (fresh->source) {
		free(have->source);
		have->source = take(&fresh->source);
	}
	free(have->repo_digest);
	have->repo_digest = take(&fresh->repo_digest);
	return true;
}

static int keep(struct app *a, const char *name, const struct pulled *p, struct err **e)
{
	AUTO(name_record_clear) struct name_record have = { 0 };
	AUTO(name_record_clear) struct name_record r = { 0 };
	int rc = NAMES_MISS;

	record_init(a, &p->image, p->source, &p->manifest, &p->config, &r);
	r.name = mem_str(name);
	if (!digest_zero(&p->root)) {
		r.repo_digest = mem_str(digest_text(&p->root).s);
		rc = names_get(a->store, name, &have, e);
	}
	return rc < 0 ? -1 : names_put(a->store, rc == 0 && join(&have, &r) ? &have : &r, e);
}

int imagestore_keep(struct app *a, const struct ref *ref, const struct pulled *p, struct err **e)
{
	AUTO(buf_freep) struct buf name = BUF_MAX(8192);

	ref_print(ref, &name);
	return synced(a, e) < 0 ? -1 : keep(a, name.p, p, e);
}

int imagestore_keep_as(struct app *a, const char *const *names, size_t n, const struct pulled *p, struct err **e)
{
	const struct digest_text id = digest_text(&p->config);

	if (synced(a, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (keep(a, names[i], p, e) < 0)
			return -1;
	if (n == 0)
		return keep(a, id.s, p, e);
	return names_delete(a->store, id.s, e) < 0 ? -1 : 0;
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

int imagestore_empty_trash(struct app *a, struct err **e)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(8192);

	wire_put_str(&b, store_path(a->store));
	return wait_job(a, JOB_MAPPED, WORK_RMTREE, buf_view(&b), NULL, 0, NULL, NULL, NULL, e);
}
