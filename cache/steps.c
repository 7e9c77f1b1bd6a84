/* cache/steps.c - the local step cache.
 *
 *   records/<2 hex>/<key>    sealed and stamped: key, diff, size, created, took_ms, empty
 * Written without fsync: a record of a former boot that no sync covers is a miss (T8).
 */
#include "cache/steps.h"
#include "base/mem.h"
#include "cache/steps_priv.h"
#include "cache/store_priv.h"

#include <fcntl.h>
#include <time.h>

enum { TOUCH_SECONDS = 24 * 60 * 60 };

void steps_record_path(const struct digest *key, char ret[96])
{
	char hex[DIGEST_HEX + 1];

	digest_hex(key, hex);
	snprintf(ret, 96, "records/%.2s/%s", hex, hex);
}

int steps_read(struct store *s, const char *path, const struct digest *key, struct step_record *ret, struct err **e)
{
	AUTO(jval_freep) struct jval *v = NULL;
	struct step_record r = { 0 };
	struct digest own;
	int64_t size = 0;

	int rc = sealed_read(s, path, &v, e);
	if (rc != 0)
		return rc < 0 ? -1 : STEPS_MISS;
	if (!jval_get_digest(v, "key", &own) || !digest_equal(&own, key) || !jval_get_digest(v, "diff", &r.diff) ||
	    jval_get_int(v, "size", &size, NULL) < 0 || jval_get_int(v, "created", &r.created, NULL) < 0 ||
	    jval_get_int(v, "took_ms", &r.took_ms, NULL) < 0 || jval_get_bool(v, "empty", &r.empty, NULL) < 0 ||
	    !stamp_good(s, v))
		return STEPS_MISS;
	r.size = (uint64_t)size;
	*ret = r;
	return 0;
}

/* A layer is there when its content can be had, unpacked or as a blob, and its listing too (K3). */
static int content_stands(struct store *s, const struct digest *diff, struct err **e)
{
	struct blob_info blob;

	int rc = store_listing_find(s, diff, e);
	if (rc != 0)
		return rc;
	rc = store_layer_find(s, diff, NULL, e);
	if (rc == STORE_MISS)
		rc = store_info_find(s, diff, NULL, &blob, e);
	return rc;
}

/* gc drops what was not used for long. Once a day is enough, and no write at all for most builds. */
void record_touch(struct store *s, const char *path)
{
	AUTO(fd_closep) int dir = -1;
	const char *name = NULL;
	struct stat st;
	const struct timespec now[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_NOW } };

	if (store_parent(s, path, &dir, &name, NULL) < 0 || at_stat(dir, name, &st, NULL) != 0)
		return;
	/* Failing costs only the order in which gc forgets. */
	if (time(NULL) - st.st_mtime > TOUCH_SECONDS)
		(void)!utimensat(dir, name, now, AT_SYMLINK_NOFOLLOW);
}

int steps_find(struct store *s, const struct digest *key, struct step_record *ret, struct err **e)
{
	struct step_record r;
	char path[96];

	steps_record_path(key, path);
	int rc = steps_read(s, path, key, &r, e);
	/* A step that made no layer at all leaves nothing that could be missing. */
	if (rc == 0 && !digest_zero(&r.diff))
		rc = content_stands(s, &r.diff, e);
	if (rc < 0)
		return err_wrap(e, "cannot look up a step in the store '%s'", s->path);
	if (rc > 0)
		return STEPS_MISS;
	record_touch(s, path);
	*ret = r;
	return 0;
}

static int save_under(struct store *s, const struct digest *key, const struct step_record *r, struct err **e)
{
	AUTO(jval_freep) struct jval *v = jval_obj();
	char path[96];

	jval_set_digest(v, "key", key);
	jval_set_digest(v, "diff", &r->diff);
	jval_set_int(v, "size", (int64_t)r->size);
	jval_set_int(v, "created", r->created);
	jval_set_int(v, "took_ms", r->took_ms);
	jval_set_bool(v, "empty", r->empty);
	stamp_put(s, v);
	steps_record_path(key, path);
	return sealed_write(s, path, v, 0, e);
}

/* The same result is known of the content already: only its age would change, and the definition's record has that. */
static bool known(struct store *s, const struct digest *content, const struct step_record *r)
{
	struct step_record have;
	char path[96];

	steps_record_path(content, path);
	if (steps_read(s, path, content, &have, NULL) != 0 || !digest_equal(&have.diff, &r->diff) || have.empty != r->empty ||
	    have.size != r->size)
		return false;
	record_touch(s, path);
	return true;
}

int steps_save(struct store *s, const struct digest *def, const struct digest *content, const struct keyer *k,
	       struct slice slot, const struct step_record *r, struct err **e)
{
	if (save_under(s, def, r, e) < 0 || (content && !known(s, content, r) && save_under(s, content, r, e) < 0) ||
	    (k && why_save(s, slot, k, e) < 0))
		return err_wrap(e, "cannot record a step");
	return 0;
}
