/* build/output/annotate.c - annotations: what the command line says, and to which document it goes (spec/oci.md 1.4). */
#include "base/mem.h"
#include "build/output/output.h"

static const struct {
	const char *name;
	enum annotation_place place;
} types[] = {
	{ "manifest", ANNOTATE_MANIFEST }, { "manifest-descriptor", ANNOTATE_ENTRY },
	{ "index", ANNOTATE_INDEX },       { "index-descriptor", ANNOTATE_TOP },
};

static bool find(struct slice name, enum annotation_place *ret)
{
	for (size_t i = 0; i < countof(types); i++)
		if (slice_is(name, types[i].name)) {
			*ret = types[i].place;
			return true;
		}
	return false;
}

static int add(struct annotations *to, enum annotation_place place, struct slice platform, const char *key, size_t nkey, const char *value,
	       struct err **e)
{
	struct platform p;

	if (platform.n && platform_parse(platform, &p, e) < 0)
		return -1;
	if (platform.n && (place == ANNOTATE_INDEX || place == ANNOTATE_TOP))
		return err_set(e, ERR_USAGE, "an index has no platform");
	to->v = mem_grow(to->v, to->n + 1, sizeof(*to->v));
	to->v[to->n++] = (struct annotation){
		.place = place, .platform = platform.n ? mem_str(platform_text(&p).s) : NULL, .key = mem_strn(key, nkey), .value = mem_str(value),
	};
	return 0;
}

/* "TYPE", "TYPE[PLATFORM]" from the beginning of *rest. */
static int one_type(struct slice *rest, enum annotation_place *ret, struct slice *ret_platform, struct err **e)
{
	size_t n = 0;

	while (n < rest->n && !strchr(",:[", rest->p[n]))
		n++;
	if (!find((struct slice){ rest->p, n }, ret))
		return err_set(e, ERR_USAGE, "there is no type '%.*s', only manifest, index, manifest-descriptor and index-descriptor", (int)n, rest->p);
	*rest = slice_skip(*rest, n);
	*ret_platform = SLICE_NONE;
	if (rest->n == 0 || rest->p[0] != '[')
		return 0;
	if (!slice_cut(slice_skip(*rest, 1), ']', ret_platform, rest) || ret_platform->n == 0)
		return err_set(e, ERR_USAGE, "there is no platform between brackets");
	return 0;
}

static int parse(const char *text, struct annotations *to, struct err **e)
{
	const char *equal = strchr(text, '=');
	size_t word = strcspn(text, ":=,[");
	struct slice rest = { text, equal ? (size_t)(equal - text) : 0 }, platform = SLICE_NONE;
	enum annotation_place place;

	if (!equal || equal == text)
		return err_set(e, ERR_USAGE, "it is not of the form KEY=VALUE");
	/* A key may have a colon too. */
	if (text[word] == '=' || !find((struct slice){ text, word }, &place))
		return add(to, ANNOTATE_MANIFEST, SLICE_NONE, text, rest.n, equal + 1, e);
	const char *key = memchr(text, ':', rest.n);
	if (!key || key + 1 == equal)
		return err_set(e, ERR_USAGE, "it is not of the form TYPE:KEY=VALUE");
	for (rest.n = (size_t)(key - text); rest.n; rest = slice_skip(rest, 1)) {
		if (one_type(&rest, &place, &platform, e) < 0 || add(to, place, platform, key + 1, (size_t)(equal - key - 1), equal + 1, e) < 0)
			return -1;
		if (rest.n == 0)
			return 0;
		if (rest.p[0] != ',')
			break;
	}
	return err_set(e, ERR_USAGE, "a type ends with ',' or ':'");
}

int annotation_parse(const char *text, struct annotations *to, struct err **e)
{
	return parse(text, to, e) < 0 ? err_wrap(e, "the annotation is '%s'", text) : 0;
}

int annotation_key(const char *key, const char *value, struct annotations *to, struct err **e)
{
	struct slice rest = slice_of(key), platform = SLICE_NONE;
	enum annotation_place place = ANNOTATE_MANIFEST;

	if (!slice_starts(rest, "annotation") || !key[10] || !strchr(".-[", key[10]))
		return 1;
	rest = slice_skip(rest, 10);
	if (rest.p[0] == '-') {
		size_t n = strcspn(rest.p + 1, ".[");

		if (!find((struct slice){ rest.p + 1, n }, &place))
			return 1;
		rest = slice_skip(rest, 1 + n);
	}
	if (rest.n && rest.p[0] == '[' && (!slice_cut(slice_skip(rest, 1), ']', &platform, &rest) || platform.n == 0))
		return err_set(e, ERR_USAGE, "the annotation is '%s': there is no platform between brackets", key);
	if (rest.n < 2 || rest.p[0] != '.')
		return 1;
	return add(to, place, platform, rest.p + 1, rest.n - 1, value, e) < 0 ? err_wrap(e, "the annotation is '%s'", key) : 0;
}

/* The platform of an image as the request calls it. */
static struct platform_text called(const struct build_req *r, size_t i)
{
	struct platform_text t = { "" };
	struct platform host;

	if (r->platforms.n) {
		snprintf(t.s, sizeof(t.s), "%s", r->platforms.v[i]);
		return t;
	}
	platform_host(&host);
	return platform_text(&host);
}

int annotation_check(const struct build_req *r, const struct annotations *list, struct err **e)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct annotation *a = &list->v[i];
		bool built = !a->platform || (r->all_platforms && !r->platforms.n);      /* which these are is not known yet */

		if ((a->place == ANNOTATE_INDEX || a->place == ANNOTATE_TOP) && !r->index)
			return err_set(e, ERR_USAGE, "the annotation '%s' is one of an index, but one platform is built, without an index", a->key);
		for (size_t k = 0; k < (r->platforms.n ? r->platforms.n : 1); k++)
			built = built || strcmp(a->platform, called(r, k).s) == 0;
		if (!built)
			return err_set(e, ERR_USAGE, "the annotation '%s' is for %s, which is not built", a->key, a->platform);
	}
	return 0;
}

static void apply(struct output_job *j, const struct annotation *a)
{
	if (a->place == ANNOTATE_INDEX || a->place == ANNOTATE_TOP) {
		image_annotate(a->place == ANNOTATE_INDEX ? &j->annotation : &j->top, a->key, a->value);
		return;
	}
	for (size_t i = 0; i < j->n; i++) {
		struct image *im = &j->image[i];

		if (!a->platform || strcmp(a->platform, called(j->req, i).s) == 0)
			image_annotate(a->place == ANNOTATE_MANIFEST ? &im->annotation : &im->entry_annotation, a->key, a->value);
	}
}

/* What is said of one platform wins over what is said of all. */
void annotate(struct output_job *j)
{
	const struct annotations *const list[] = { &j->req->annotations, &j->spec->annotations };

	for (size_t pass = 0; pass < 2; pass++)
		for (size_t k = 0; k < countof(list); k++)
			for (size_t i = 0; i < list[k]->n; i++)
				if ((list[k]->v[i].platform != NULL) == (pass == 1))
					apply(j, &list[k]->v[i]);
}
