/* build/req.c - lists of strings, and giving a request back. */
#include "build/req.h"
#include "base/mem.h"

void strs_add(struct strs *s, const char *v)
{
	/* Room for the NULL that strs_null() puts behind the last one. */
	if (s->n + 1 >= s->cap) {
		s->cap = s->cap ? s->cap * 2 : 8;
		s->v = mem_grow(s->v, s->cap, sizeof(*s->v));
	}
	s->v[s->n++] = mem_str(v);
	s->v[s->n] = NULL;
}

void strs_clear(struct strs *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
	*s = (struct strs){ 0 };
}

const char *const *strs_null(struct strs *s)
{
	static const char *const none[] = { NULL };

	/* strs_add() keeps the NULL behind the last one. */
	return s->v ? (const char *const *)s->v : none;
}

void annotations_clear(struct annotations *a)
{
	for (size_t i = 0; i < a->n; i++) {
		free(a->v[i].platform);
		free(a->v[i].key);
		free(a->v[i].value);
	}
	free(a->v);
	*a = (struct annotations){ 0 };
}

void output_spec_clear(struct output_spec *o)
{
	free(o->dest);
	free(o->comp);
	strs_clear(&o->names);
	annotations_clear(&o->annotations);
	*o = (struct output_spec){ 0 };
}

static void run_opts_clear(struct run_opts *o)
{
	struct strs *const list[] = { &o->dns, &o->dns_search, &o->dns_options, &o->groups, &o->mounts, &o->proxies, &o->devices, &o->cdi_dirs };

	for (size_t i = 0; i < countof(list); i++)
		strs_clear(list[i]);
	for (size_t i = 0; i < o->nvolume; i++) {
		free(o->volume[i].source);
		free(o->volume[i].target);
	}
	free(o->volume);
	free(o->limits.cpus);
	free(o->limits.mems);
}

static void image_opts_clear(struct image_opts *o)
{
	struct strs *const list[] = { &o->env, &o->unset_env, &o->unset_labels, &o->unset_annotations, &o->os_features };

	for (size_t i = 0; i < countof(list); i++)
		strs_clear(list[i]);
}

void req_clear(struct build_req *r)
{
	image_opts_clear(&r->image);
	free(r->git.branch);
	run_opts_clear(&r->run);
	strs_clear(&r->tags);
	strs_clear(&r->platforms);
	strs_clear(&r->build_args);
	strs_clear(&r->labels);
	annotations_clear(&r->annotations);
	strs_clear(&r->build_contexts);
	strs_clear(&r->no_cache_filter);
	strs_clear(&r->add_hosts);
	strs_clear(&r->ulimits);
	strs_clear(&r->ssh);
	strs_clear(&r->allow);
	for (size_t i = 0; i < r->noutput; i++)
		output_spec_clear(&r->output[i]);
	free(r->output);
	for (size_t i = 0; i < r->nsecret; i++) {
		free(r->secret[i].id);
		mem_secret_free(r->secret[i].value, r->secret[i].n);
	}
	free(r->secret);
	*r = (struct build_req){ 0 };
}
