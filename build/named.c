/* build/named.c - what a name in FROM and from= means besides an earlier stage: a context of --build-context (spec/dockerfile.md
 * 5.2, 13.2), a stage by target:; and which name a wrong one may have been meant for (19.1).
 */
#include "base/mem.h"
#include "build/plan.h"
#include "parser/flags.h"

/* "docker.io/library/alpine:latest" and "alpine" are the same name (5.2 rule 4). */
static bool same_name(struct slice a, const char *b)
{
	AUTO(buf_freep) struct buf x = BUF_MAX(8192);
	AUTO(buf_freep) struct buf y = BUF_MAX(8192);
	struct ref ra = { 0 }, rb = { 0 };
	bool same = slice_equal(a, slice_of(b));

	if (same)
		return true;
	if (ref_parse(a, &ra, NULL) == 0 && ref_parse(slice_of(b), &rb, NULL) == 0) {
		ref_familiar(&ra, &x);
		ref_familiar(&rb, &y);
		same = slice_equal(buf_view(&x), buf_view(&y));
	}
	ref_clear(&ra);
	ref_clear(&rb);
	return same;
}

static bool same_platform(struct slice text, const struct platform *want)
{
	struct platform pf = { 0 };

	return platform_parse(text, &pf, NULL) == 0 && strcmp(platform_text(&pf).s, platform_text(want).s) == 0;
}

/* "NAME=SPEC" or "NAME::PLATFORM=SPEC"; *platform.p NULL: of any platform. */
static struct slice name_of(const char *text, struct slice *platform)
{
	struct slice all = { text, strcspn(text, "=") };
	const char *colons = memmem(all.p, all.n, "::", 2);

	*platform = SLICE_NONE;
	if (!colons)
		return all;
	*platform = slice_skip(all, (size_t)(colons - text) + 2);
	return (struct slice){ text, (size_t)(colons - text) };
}

const char *plan_named_context(const struct plan *p, const char *name, const struct platform *pf)
{
	const struct strs *c = &p->req->build_contexts;
	const char *any = NULL;

	for (size_t i = c->n; i-- > 0;) {
		struct slice platform, key = name_of(c->v[i], &platform);
		const char *spec = platform.p ? platform.p + platform.n + 1 : key.p + key.n + 1;

		if (!same_name(key, name))
			continue;
		if (platform.p && same_platform(platform, pf))
			return spec;
		if (!platform.p && !any)
			any = spec;
	}
	return any;
}

bool plan_spec_image(const char *spec)
{
	static const char *const scheme[] = { "docker-image://", "container-image://", "oci-layout://" };

	for (size_t i = 0; i < countof(scheme); i++) {
		if (strncmp(spec, scheme[i], strlen(scheme[i])) == 0)
			return true;
	}
	return false;
}

/* ---- wrong ones */

static const char *near_stage(struct plan *p, const char *want)
{
	const char **names = mem_array(p->nstage + 1, sizeof(*names));
	size_t n = 0;

	for (size_t i = 0; i < p->nstage; i++)
		if (p->file->stage[i]->name)
			names[n++] = p->file->stage[i]->name;
	const char *near = nearest_word(slice_of(want), names, n, false);
	free(names);
	return near;
}

static const char *near_context(struct plan *p, const char *want)
{
	const struct strs *c = &p->req->build_contexts;
	const char **names = mem_array(c->n + 1, sizeof(*names));
	struct slice platform;

	for (size_t i = 0; i < c->n; i++)
		names[i] = arena_str(&p->arena, name_of(c->v[i], &platform));
	const char *near = nearest_word(slice_of(want), names, c->n, false);
	free(names);
	return near;
}

/* A common one, with the tag that was written; or with a tag that is nearly "latest". */
static const char *near_image(struct plan *p, const char *want)
{
	static const char *const images[] = { "alpine", "busybox", "centos", "debian", "golang", "ubuntu", "fedora" }, *const tags[] = { "latest" };
	struct slice name = slice_of(want), tag = SLICE_NONE;
	bool tagged = slice_cut(name, ':', &name, &tag);
	const char *near = nearest_word(name, images, countof(images), false);

	if (near)
		return arena_printf(&p->arena, "%s%s%.*s", near, tagged ? ":" : "", SLICE_F(tag));
	if (tagged && nearest_word(tag, tags, countof(tags), false))
		return arena_printf(&p->arena, "%.*s:latest", SLICE_F(name));
	return NULL;
}

int named_near(struct plan *p, const char *name, struct err **e)
{
	static const char *const kinds[] = { "stage", "context", "image" };
	const char *near[] = { near_stage(p, name), near_context(p, name), near_image(p, name) };
	size_t best = 0;

	/* Only FROM tells upper from lower case, and stages are in lower case (5.2 rule 2). */
	for (size_t i = 0; i < p->nstage; i++) {
		const char *stage = p->file->stage[i]->name;

		if (stage && strcasecmp(stage, name) == 0 && strcmp(stage, name) != 0)
			return err_hint(e, "the name of the stage is '%s', in lower case", stage);
	}
	for (size_t i = 1; i < countof(near); i++) {
		if (near[i] && (!near[best] || slice_distance(slice_of(name), slice_of(near[i]), false) <
						       slice_distance(slice_of(name), slice_of(near[best]), false)))
			best = i;
	}
	if (near[best])
		err_hint(e, "did you mean the %s '%s'?", kinds[best], near[best]);
	return -1;
}

/* ---- stages by name */

int plan_stage_called(struct plan *p, const char *want, struct pstage **ret, struct err **e)
{
	*ret = NULL;
	for (size_t i = 0; i < p->nstage; i++) {
		const char *have = p->file->stage[i]->name;

		if (have && strcasecmp(have, want) == 0)
			*ret = &p->stage[i];
	}
	if (*ret)
		return 0;
	const char *near = near_stage(p, want);
	err_set(e, ERR_INPUT, "target stage \"%s\" could not be found", want);
	if (near)
		err_hint(e, "did you mean %s?", near);
	return -1;
}

int plan_target(struct plan *p, const char *name, const struct platform *pf, struct pstage **ret, struct err **e)
{
	const char *spec = plan_named_context(p, name, pf);

	*ret = NULL;
	if (!spec || !slice_starts(slice_of(spec), "target:"))
		return 0;
	return plan_stage_called(p, spec + strlen("target:"), ret, e) < 0 ? err_wrap(e, "cannot open named context '%s'", name) : 0;
}
