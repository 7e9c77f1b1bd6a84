/* cache/names.c - image names.
 *
 *   refs/<2 hex>/<sha256 of the name>.json   sealed: name, config, manifest, platform, source, repo_digest, created,
 *                                            size, layers: [{diff, blob, size, media_type}]
 *                                            of several platforms also: index, more: [{config, manifest, platform,
 *                                            created, size, layers}]
 * Written with fsync after the store's sync, so that a durable name has durable content (I3).
 */
#include "cache/names.h"
#include "base/mem.h"
#include "base/tmp.h"
#include "cache/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

bool name_untagged(const char *name)
{
	return strncmp(name, "sha256:", 7) == 0;
}

const struct digest *name_id(const struct name_record *r)
{
	return digest_zero(&r->index) ? &r->config : &r->index;
}

const struct name_record *name_image(const struct name_record *r, size_t i)
{
	return i == 0 ? r : i <= r->nmore ? &r->more[i - 1] : NULL;
}

uint64_t name_size(const struct name_record *r)
{
	uint64_t sum = r->size;

	for (size_t i = 0; i < r->nmore; i++)
		sum += r->more[i].size;
	return sum;
}

void name_record_clear(struct name_record *r)
{
	names_list_free(r->more, r->nmore);
	free(r->name);
	free(r->platform);
	free(r->source);
	free(r->repo_digest);
	free(r->layer);
	*r = (struct name_record){ 0 };
}

static void name_path(const char *name, char ret[96])
{
	char hex[DIGEST_HEX + 1];
	struct digest d;

	digest_of(name, strlen(name), &d);
	digest_hex(&d, hex);
	snprintf(ret, 96, "refs/%.2s/%s.json", hex, hex);
}

static void set_text(struct jval *obj, const char *name, const char *s)
{
	if (s)
		jval_set_str(obj, name, s);
}

/* What concerns one image. */
static void set_image(struct jval *v, const struct name_record *r)
{
	struct jval *layers = jval_arr();

	jval_set_digest(v, "config", &r->config);
	jval_set_digest(v, "manifest", &r->manifest);
	set_text(v, "platform", r->platform);
	jval_set_int(v, "created", r->created);
	jval_set_int(v, "size", (int64_t)r->size);
	for (size_t i = 0; i < r->nlayer; i++) {
		struct jval *l = jval_obj();

		jval_set_digest(l, "diff", &r->layer[i].diff);
		jval_set_digest(l, "blob", &r->layer[i].blob);
		jval_set_int(l, "size", r->layer[i].size);
		jval_set_str(l, "media_type", r->layer[i].media_type);
		jval_add(layers, l);
	}
	jval_set(v, "layers", layers);
}

static struct jval *body(const struct name_record *r)
{
	struct jval *v = jval_obj(), *more = r->nmore ? jval_arr() : NULL;

	jval_set_str(v, "name", r->name);
	set_image(v, r);
	set_text(v, "source", r->source);
	set_text(v, "repo_digest", r->repo_digest);
	jval_set_digest(v, "index", &r->index);
	for (size_t i = 0; i < r->nmore; i++) {
		struct jval *one = jval_obj();

		set_image(one, &r->more[i]);
		jval_add(more, one);
	}
	if (more)
		jval_set(v, "more", more);
	return v;
}

static bool get_text(const struct jval *v, const char *name, char **ret)
{
	const char *text = NULL;

	if (jval_get_str(v, name, &text, NULL) < 0)
		return false;
	*ret = mem_str(text);
	return true;
}

static bool get_layer(const struct jval *v, struct name_layer *l)
{
	const char *type = NULL;

	if (!jval_get_digest(v, "diff", &l->diff) || !jval_get_digest(v, "blob", &l->blob) ||
	    jval_get_int(v, "size", &l->size, NULL) < 0 || jval_get_str(v, "media_type", &type, NULL) < 0 ||
	    (type && strlen(type) >= sizeof(l->media_type)))
		return false;
	snprintf(l->media_type, sizeof(l->media_type), "%s", type ? type : "");
	return true;
}

static bool get_image(const struct jval *v, struct name_record *r)
{
	struct jval *layers = NULL;
	int64_t size = 0;

	if (!jval_get_digest(v, "config", &r->config) || !jval_get_digest(v, "manifest", &r->manifest) ||
	    !get_text(v, "platform", &r->platform) || jval_get_int(v, "created", &r->created, NULL) < 0 ||
	    jval_get_int(v, "size", &size, NULL) < 0 || jval_get_arr(v, "layers", &layers, NULL) < 0)
		return false;
	r->size = (uint64_t)size;
	r->nlayer = jval_len(layers);
	r->layer = mem_array(r->nlayer, sizeof(*r->layer));
	for (size_t i = 0; i < r->nlayer; i++)
		if (!get_layer(jval_at(layers, i), &r->layer[i]))
			return false;
	return true;
}

static bool parse(const struct jval *v, struct name_record *r)
{
	struct jval *more = NULL;

	if (!get_text(v, "name", &r->name) || !r->name || !get_image(v, r) || !get_text(v, "source", &r->source) ||
	    !get_text(v, "repo_digest", &r->repo_digest) || !jval_get_digest(v, "index", &r->index) ||
	    jval_get_arr(v, "more", &more, NULL) < 0)
		return false;
	r->nmore = jval_len(more);
	r->more = mem_array(r->nmore + 1, sizeof(*r->more));
	for (size_t i = 0; i < r->nmore; i++) {
		r->more[i].name = mem_str(r->name);
		if (!get_image(jval_at(more, i), &r->more[i]))
			return false;
	}
	return true;
}

int name_read(struct store *s, const char *path, struct name_record *ret, struct err **e)
{
	AUTO(name_record_clear) struct name_record r = { 0 };
	AUTO(jval_freep) struct jval *v = NULL;
	char own[96];

	int rc = sealed_read(s, path, &v, e);
	if (rc != 0)
		return rc < 0 ? -1 : NAMES_MISS;
	if (!parse(v, &r))
		return NAMES_MISS;
	name_path(r.name, own);
	if (strcmp(own, path) != 0)
		return NAMES_MISS;
	*ret = r;
	r = (struct name_record){ 0 };
	return 0;
}

int names_get(struct store *s, const char *name, struct name_record *ret, struct err **e)
{
	char path[96];

	name_path(name, path);
	return name_read(s, path, ret, e);
}

/* A new refs/<2 hex> must be as durable as what is in it. */
static int sync_refs(struct store *s, struct err **e)
{
	AUTO(fd_closep) int dir = at_open_store(s->fd, "refs", O_RDONLY | O_DIRECTORY, 0, e);

	if (dir < 0)
		return -1;
	return fsync(dir) < 0 ? err_errno(e, ERR_HOST, errno, "cannot write '%s/refs' to disk", s->path) : 0;
}

int names_put(struct store *s, const struct name_record *r, struct err **e)
{
	AUTO(jval_freep) struct jval *v = body(r);
	AUTO(buf_freep) struct buf want = BUF_MAX(SEALED_MAX), have = BUF_MAX(SEALED_MAX);
	AUTO(fd_closep) int fd = -1;
	bool dirty = s->dirty;
	char path[96];

	name_path(r->name, path);
	sealed_text(v, &want);
	int rc = at_try_store(s->fd, path, O_RDONLY | O_NONBLOCK, &fd, e);
	if (rc < 0)
		return -1;
	if (rc == 0 && fd_read_all(fd, &have, NULL) == 0 && slice_equal(buf_view(&want), buf_view(&have)))
		return 0;
	if (sealed_write(s, path, v, TMP_SYNC, e) < 0 || sync_refs(s, e) < 0)
		return err_wrap(e, "cannot name the image '%s'", r->name);
	/* It is on disk already: nothing is left for the next sync to do. */
	s->dirty = dirty;
	return 0;
}

int names_delete(struct store *s, const char *name, struct err **e)
{
	AUTO(fd_closep) int dir = -1;
	const char *file = NULL;
	char path[96];
	struct stat st;

	name_path(name, path);
	AUTO(mem_freep) char *above = mem_strn(path, sizeof("refs/xx") - 1);
	int rc = at_try_store(s->fd, above, O_RDONLY | O_DIRECTORY, &dir, e);
	if (rc != 0)
		return rc < 0 ? -1 : NAMES_MISS;
	file = path + sizeof("refs/xx");
	rc = at_stat(dir, file, &st, e);
	if (rc != 0)
		return rc < 0 ? -1 : NAMES_MISS;
	/* Durable before gc may take what it named (I3). */
	if (at_unlink(dir, file, e) < 0)
		return err_wrap(e, "cannot remove the name '%s'", name);
	return fsync(dir) < 0 ? err_errno(e, ERR_HOST, errno, "cannot remove the name '%s'", name) : 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct name_record *)a)->name, ((const struct name_record *)b)->name);
}

struct list {
	struct name_record *r;
	size_t n, cap, bad;
};

static void list_clear(struct list *l)
{
	names_list_free(l->r, l->n);
}

static int list_folder(struct store *s, const char *folder, struct list *l, struct err **e)
{
	AUTO(at_names_clear) struct at_names files = { 0 };
	AUTO(fd_closep) int dir = at_open_store(s->fd, folder, O_RDONLY | O_DIRECTORY, 0, e);

	if (dir < 0 || at_list(dir, &files, e) < 0)
		return -1;
	for (size_t i = 0; i < files.n; i++) {
		AUTO(mem_freep) char *path = mem_printf("%s/%s", folder, files.name[i]);

		MEM_ROOM(l->r, l->n, l->cap);
		int rc = name_read(s, path, &l->r[l->n], e);
		if (rc < 0)
			return -1;
		if (rc == 0)
			l->n++;
		else
			l->bad++;
	}
	return 0;
}

int names_list(struct store *s, struct name_record **ret, size_t *n, size_t *bad, struct err **e)
{
	AUTO(list_clear) struct list l = { 0 };
	AUTO(at_names_clear) struct at_names folders = { 0 };
	AUTO(fd_closep) int refs = at_open_store(s->fd, "refs", O_RDONLY | O_DIRECTORY, 0, e);

	if (refs < 0 || at_list(refs, &folders, e) < 0)
		return -1;
	for (size_t i = 0; i < folders.n; i++) {
		AUTO(mem_freep) char *folder = mem_printf("refs/%s", folders.name[i]);

		if (list_folder(s, folder, &l, e) < 0)
			return err_wrap(e, "cannot list the names in the store '%s'", s->path);
	}
	if (l.n)
		qsort(l.r, l.n, sizeof(*l.r), by_name);
	*n = l.n;
	if (bad)
		*bad = l.bad;
	*ret = take(&l.r);
	l.n = 0;
	return 0;
}

void names_list_free(struct name_record *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		name_record_clear(&r[i]);
	free(r);
}
