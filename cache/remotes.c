/* cache/remotes.c - remotes/<hex>: see remotes.h. A torn or foreign one is a miss: what it spares is a download. */
#include "cache/remotes.h"
#include "base/mem.h"
#include "cache/steps_priv.h"
#include "cache/store_priv.h"

#include <stdlib.h>

void remote_record_clear(struct remote_record *r)
{
	for (size_t i = 0; i < r->nsource; i++) {
		free(r->source[i].tag);
		free(r->source[i].modified);
	}
	free(r->source);
	free(r->told);
	*r = (struct remote_record){ 0 };
}

static void record_path(const struct digest *question, char ret[96])
{
	char hex[DIGEST_HEX + 1];

	digest_hex(question, hex);
	snprintf(ret, 96, "remotes/%s", hex);
}

static bool get_text(const struct jval *v, const char *name, char **ret)
{
	const char *text = NULL;

	if (jval_get_str(v, name, &text, NULL) < 0)
		return false;
	*ret = text ? mem_str(text) : NULL;
	return true;
}

static bool parse(const struct jval *v, const struct digest *question, struct remote_record *r)
{
	struct jval *sources = NULL;
	struct digest own;

	if (!jval_get_digest(v, "question", &own) || !digest_equal(&own, question) || !jval_get_digest(v, "selected", &r->selected) ||
	    !get_text(v, "told", &r->told) || !r->told || jval_get_arr(v, "sources", &sources, NULL) < 0)
		return false;
	size_t n = jval_len(sources);
	r->source = mem_array(n + 1, sizeof(*r->source));
	for (; r->nsource < n; r->nsource++) {
		const struct jval *one = jval_at(sources, r->nsource);

		r->source[r->nsource] = (struct remote_tag){ 0 };
		if (!get_text(one, "tag", &r->source[r->nsource].tag) || !get_text(one, "modified", &r->source[r->nsource].modified)) {
			free(r->source[r->nsource].tag);
			return false;
		}
	}
	return true;
}

int remotes_get(struct store *s, const struct digest *question, struct remote_record *ret, struct err **e)
{
	AUTO(remote_record_clear) struct remote_record r = { 0 };
	AUTO(jval_freep) struct jval *v = NULL;
	char path[96];

	record_path(question, path);
	int rc = sealed_read(s, path, &v, e);
	if (rc < 0)
		return -1;
	if (rc > 0 || !parse(v, question, &r))
		return REMOTES_MISS;
	record_touch(s, path);
	*ret = r;
	r = (struct remote_record){ 0 };
	return 0;
}

int remotes_put(struct store *s, const struct digest *question, const struct remote_record *r, struct err **e)
{
	AUTO(jval_freep) struct jval *v = jval_obj();
	struct jval *sources = jval_arr();
	char path[96];

	jval_set_digest(v, "question", question);
	jval_set_digest(v, "selected", &r->selected);
	jval_set_str(v, "told", r->told);
	for (size_t i = 0; i < r->nsource; i++) {
		struct jval *one = jval_obj();

		if (r->source[i].tag)
			jval_set_str(one, "tag", r->source[i].tag);
		if (r->source[i].modified)
			jval_set_str(one, "modified", r->source[i].modified);
		jval_add(sources, one);
	}
	jval_set(v, "sources", sources);
	record_path(question, path);
	return sealed_write(s, path, v, 0, e);
}
