/* layers/config.c - pure edits of an image config.
 *
 * The config is one JSON document that keeps what it inherited, also members we do not know (spec/dockerfile.md 5.4); edits touch
 * single members. Member names are Docker's, which are case-sensitive.
 */
#include "layers/config.h"
#include "base/clock.h"
#include "base/mem.h"

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* Cache metadata that BuildKit leaves in a config: it describes the base's build, not ours (spec/oci.md 1.5). */
static const char *const foreign[] = { "moby.buildkit.cache.v0", "moby.buildkit.buildinfo.v1" };

/* A container member of obj, made when it is absent or something else. */
static struct jval *child(struct jval *obj, const char *name, enum jtype type)
{
	struct jval *v = jval_get(obj, name);

	if (v && jval_type(v) == type)
		return v;
	jval_set(obj, name, type == JT_OBJ ? jval_obj() : jval_arr());
	return jval_get(obj, name);
}

static struct jval *document(struct image *im)
{
	if (!im->config)
		im->config = jval_obj();
	return im->config;
}

struct jval *config_inner(struct image *im)
{
	return child(document(im), "config", JT_OBJ);
}

static const struct jval *inner(const struct image *im)
{
	return im->config ? jval_get(im->config, "config") : NULL;
}

static const struct jval *member(const struct image *im, const char *name)
{
	const struct jval *in = inner(im);

	return in ? jval_get(in, name) : NULL;
}

size_t config_list_count(const struct image *im, const char *name)
{
	const struct jval *v = member(im, name);

	return v && jval_type(v) == JT_ARR ? jval_len(v) : 0;
}

const char *config_list_at(const struct image *im, const char *name, size_t i)
{
	const struct jval *v = member(im, name);
	const char *s = v && i < jval_len(v) ? jval_str(jval_at(v, i)) : NULL;

	return s ? s : "";
}

size_t config_env_count(const struct image *im)
{
	return config_list_count(im, "Env");
}

const char *config_env_at(const struct image *im, size_t i)
{
	return config_list_at(im, "Env", i);
}

/* The value in "K=V", or NULL when it is another key's. */
static const char *env_value(const char *pair, const char *key)
{
	size_t n = strlen(key);

	return strncmp(pair, key, n) == 0 && pair[n] == '=' ? pair + n + 1 : NULL;
}

const char *config_env_get(const struct image *im, const char *key)
{
	for (size_t i = config_env_count(im); i-- > 0;) {
		const char *v = env_value(config_env_at(im, i), key);

		if (v)
			return v;
	}
	return NULL;
}

void config_env_set(struct image *im, const char *key, const char *value)
{
	AUTO(mem_freep) char *pair = mem_printf("%s=%s", key, value);
	struct jval *env = child(config_inner(im), "Env", JT_ARR);
	bool found = false;

	for (size_t i = 0; i < jval_len(env); i++) {
		const char *old = jval_str(jval_at(env, i));

		if (!old || !env_value(old, key))
			continue;
		/* An image of others may have it twice. */
		if (found)
			jval_remove(env, i--);
		else
			jval_put_str(env, i, pair);
		found = true;
	}
	if (!found)
		jval_add_str(env, pair);
}

void config_env_put(struct image *im, size_t i, const char *key, const char *value)
{
	AUTO(mem_freep) char *pair = mem_printf("%s=%s", key, value);

	jval_put_str(child(config_inner(im), "Env", JT_ARR), i, pair);
}

void config_env_add(struct image *im, const char *key, const char *value)
{
	AUTO(mem_freep) char *pair = mem_printf("%s=%s", key, value);

	jval_add_str(child(config_inner(im), "Env", JT_ARR), pair);
}

void config_label_set(struct image *im, const char *key, const char *value)
{
	jval_set_str(child(config_inner(im), "Labels", JT_OBJ), key, value);
}

void config_env_unset(struct image *im, const char *key)
{
	struct jval *env = child(config_inner(im), "Env", JT_ARR);

	for (size_t i = jval_len(env); i-- > 0;) {
		const char *pair = jval_str(jval_at(env, i));

		if (pair && env_value(pair, key))
			jval_remove(env, i);
	}
}

void config_label_unset(struct image *im, const char *key)
{
	if (key)
		jval_del(child(config_inner(im), "Labels", JT_OBJ), key);
	else
		jval_del(config_inner(im), "Labels");
}

void config_text_set(struct image *im, const char *name, const char *value)
{
	if (*value)
		jval_set_str(config_inner(im), name, value);
	else
		jval_del(config_inner(im), name);
}

const char *config_text(const struct image *im, const char *name)
{
	const struct jval *v = member(im, name);
	const char *s = v ? jval_str(v) : NULL;

	return s ? s : "";
}

static struct jval *strings(const char *const *v, size_t n)
{
	struct jval *list = jval_arr();

	for (size_t i = 0; i < n; i++)
		jval_add_str(list, v[i]);
	return list;
}

void config_list_set(struct image *im, const char *name, const char *const *v, size_t n)
{
	jval_set(config_inner(im), name, strings(v, n));
}

void config_list_null(struct image *im, const char *name)
{
	jval_set_null(config_inner(im), name);
}

void config_set_add(struct image *im, const char *name, const char *key)
{
	jval_set(child(config_inner(im), name, JT_OBJ), key, jval_obj());
}

/* A duration of zero means "inherit" and is left out (spec/dockerfile.md 7.11). */
static void number(struct jval *obj, const char *name, int64_t v)
{
	if (v)
		jval_set_int(obj, name, v);
}

void config_health_set(struct image *im, const struct health *h)
{
	struct jval *o = jval_obj();

	jval_set(o, "Test", strings(h->test, h->ntest));
	number(o, "Interval", h->interval);
	number(o, "Timeout", h->timeout);
	number(o, "StartPeriod", h->start_period);
	number(o, "StartInterval", h->start_interval);
	number(o, "Retries", h->retries);
	jval_set(config_inner(im), "Healthcheck", o);
}

/* Absolute, without "." and "", and ".." stops at the root. */
static char *absolute(const char *path)
{
	struct slice rest = slice_of(path), word = SLICE_NONE;
	struct buf out = BUF_MAX(1 << 20);
	bool more = true;

	while (more) {
		more = slice_cut(rest, '/', &word, &rest);
		if (word.n == 0 || slice_is(word, "."))
			continue;
		if (slice_is(word, "..")) {
			while (out.n && out.p[--out.n] != '/')
				;
			continue;
		}
		buf_char(&out, '/');
		buf_slice(&out, word);
	}
	if (out.n == 0) {
		buf_free(&out);
		return mem_str("/");
	}
	out.p[out.n] = '\0';
	return buf_steal(&out);
}

char **config_begin(struct image *im, size_t *nonbuild)
{
	struct jval *doc = document(im);
	size_t n = config_list_count(im, "OnBuild");
	char **onbuild = mem_array(n + 1, sizeof(*onbuild));

	for (size_t i = 0; i < n; i++)
		onbuild[i] = mem_str(config_list_at(im, "OnBuild", i));
	*nonbuild = n;
	jval_del(config_inner(im), "OnBuild");
	jval_del(doc, "created");
	for (size_t i = 0; i < countof(foreign); i++)
		jval_del(doc, foreign[i]);
	if (!config_env_get(im, "PATH"))
		config_env_set(im, "PATH", default_path);
	if (*config_text(im, "WorkingDir")) {
		AUTO(mem_freep) char *dir = absolute(config_text(im, "WorkingDir"));

		config_text_set(im, "WorkingDir", dir);
	}
	return onbuild;
}

void config_history(struct image *im, const char *created_by, int64_t created, bool empty_layer)
{
	struct jval *h = jval_obj();

	/* Null holds the place of a time that config_finish decides, so that members stay in one order. */
	if (created == INT64_MIN)
		jval_set_null(h, "created");
	else
		jval_set_str(h, "created", clock_rfc3339(created).s);
	jval_set_str(h, "created_by", created_by);
	jval_set_str(h, "comment", "buildkit.dockerfile.v0");
	if (empty_layer)
		jval_set_bool(h, "empty_layer", true);
	jval_add(child(document(im), "history", JT_ARR), h);
}

void config_history_time(struct image *im, size_t i, int64_t created)
{
	struct jval *list = jval_get(document(im), "history");

	if (list && i < jval_len(list))
		jval_set_str(jval_at(list, i), "created", clock_rfc3339(created).s);
}

size_t config_history_count(const struct image *im)
{
	const struct jval *list = im->config ? jval_get(im->config, "history") : NULL;

	return list ? jval_len(list) : 0;
}

bool config_history_empty(const struct image *im, size_t i)
{
	const struct jval *list = jval_get(im->config, "history");
	bool empty = false;

	return list && jval_get_bool(jval_at(list, i), "empty_layer", &empty, NULL) == 0 && empty;
}

void config_layer(struct image *im, const struct image_layer *l)
{
	im->layer = mem_grow(im->layer, im->nlayer + 1, sizeof(*im->layer));
	im->layer[im->nlayer++] = *l;
}

static bool is_empty_layer(const struct jval *h)
{
	bool v = false;

	return jval_get_bool(h, "empty_layer", &v, NULL) == 0 && v;
}

/* As many entries with a layer as there are layers (spec/dockerfile.md 18.2). */
static void history_count(struct jval *list, size_t nlayer)
{
	size_t with_layer = 0;

	for (size_t i = 0; i < jval_len(list); i++) {
		struct jval *h = jval_at(list, i);

		if (is_empty_layer(h))
			continue;
		if (with_layer == nlayer)
			jval_set_bool(h, "empty_layer", true);
		else
			with_layer++;
	}
	for (; with_layer < nlayer; with_layer++) {
		struct jval *h = jval_obj();

		jval_set_null(h, "created");
		jval_set_str(h, "comment", "buildkit.exporter.image.v0");
		jval_add(list, h);
	}
}

static const char *history_time(const struct jval *list, size_t i)
{
	struct jval *v = jval_get(jval_at(list, i), "created");

	return v ? jval_str(v) : NULL;
}

/* The time that metadata entries before the first new layer get: that layer's, else the last known one. */
static char *first_time(const struct jval *list, size_t base)
{
	const char *t = NULL;

	for (size_t i = 0; i < jval_len(list); i++) {
		const char *own = history_time(list, i);

		if (own)
			t = own;
		if (own && i >= base)
			break;
	}
	return mem_str(t);
}

static void clamp(struct jval *obj, const char *name, int64_t epoch)
{
	struct jval *v = jval_get(obj, name);
	const char *text = v ? jval_str(v) : NULL;
	int64_t t = 0;

	if (epoch != INT64_MIN && text && (clock_parse_rfc3339(slice_of(text), &t) < 0 || t >= epoch))
		jval_set_str(obj, name, clock_rfc3339(epoch).s);
}

static void history_times(struct jval *list, size_t base, int64_t epoch)
{
	AUTO(mem_freep) char *t = first_time(list, base);

	for (size_t i = base; i < jval_len(list); i++) {
		struct jval *h = jval_at(list, i);
		const char *own = history_time(list, i);

		if (own) {
			mem_freep(&t);
			t = mem_str(own);
		} else if (t) {
			jval_set_str(h, "created", t);
		} else {
			jval_del(h, "created");
		}
		clamp(h, "created", epoch);
	}
}

/* Empty lists and maps say nothing (spec/dockerfile.md 18.1); a nulled Cmd is the absent one. */
static void drop_empty(struct jval *in)
{
	static const char *const names[] = { "Env",  "Cmd",    "Entrypoint", "Shell", "OnBuild", "Labels", "Volumes", "ExposedPorts" };

	for (size_t i = 0; i < countof(names); i++) {
		struct jval *v = jval_get(in, names[i]);

		if (!v || jval_len(v) == 0)
			jval_del(in, names[i]);
	}
}

static void platform_members(struct jval *doc, const struct platform *p)
{
	jval_set_str(doc, "architecture", p->arch);
	jval_set_str(doc, "os", p->os);
	if (p->variant[0])
		jval_set_str(doc, "variant", p->variant);
	else
		jval_del(doc, "variant");
	if (p->os_version[0])
		jval_set_str(doc, "os.version", p->os_version);
	else
		jval_del(doc, "os.version");
}

static void platform_features(struct jval *doc, const struct platform *p)
{
	struct jval *list = jval_arr();
	char feature[PLATFORM_WORD];

	for (size_t i = 0; platform_feature(p, i, feature); i++)
		jval_add_str(list, feature);
	jval_set(doc, "os.features", list);
	if (jval_len(list) == 0)
		jval_del(doc, "os.features");
}

void config_finish(struct image *im, const struct platform *p, size_t base_history, int64_t epoch)
{
	struct jval *doc = document(im);
	struct jval *history = child(doc, "history", JT_ARR);
	struct jval *rootfs = jval_obj(), *diff_ids = jval_arr();
	const char *last = NULL;

	if (p) {
		/* Those of a base stay what they are. */
		if (p != &im->platform)
			platform_features(doc, p);
		im->platform = *p;
		platform_members(doc, p);
	}
	for (size_t i = 0; i < im->nlayer; i++)
		jval_add_str(diff_ids, digest_text(&im->layer[i].diff).s);
	jval_set_str(rootfs, "type", "layers");
	jval_set(rootfs, "diff_ids", diff_ids);
	jval_set(doc, "rootfs", rootfs);
	history_count(history, im->nlayer);
	history_times(history, base_history, epoch);
	for (size_t i = 0; i < jval_len(history); i++)
		last = history_time(history, i) ? history_time(history, i) : last;
	if (last) {
		jval_set_str(doc, "created", last);
		clamp(doc, "created", epoch);
	} else {
		jval_del(doc, "created");
	}
	if (jval_len(history) == 0)
		jval_del(doc, "history");
	drop_empty(config_inner(im));
}
