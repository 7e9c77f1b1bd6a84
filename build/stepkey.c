/* build/stepkey.c - see stepkey.h. */
#include "build/stepkey.h"

#include "base/clock.h"
#include "build/context/context.h"
#include "build/plan.h"

struct slice stepkey_slot(struct step *s)
{
	const struct plan *p = s->plan;
	const char *where = p->context && p->context->path ? p->context->path : p->req->context ? p->req->context : "";
	const char *text = arena_printf(&s->plan->arena, "%s\n%s\n%s\n%zu\n%s\n%s%s%s", where, p->req->file ? p->req->file : "",
					s->stage->title, s->ordinal, s->stage->hidden ? s->in->text : "", instr_table[s->in->id].word,
					p->which ? "\n" : "", p->which ? platform_text(&p->target_platform).s : "");

	return slice_of(text);
}

int stepkey_make(struct step *s, struct err **e)
{
	int rc;

	key_clear(&s->keyer);
	key_init(&s->keyer, instr_table[s->in->id].word);
	step_key_parent(s, &s->keyer);
	rc = s->op->key(s, &s->keyer, e);
	if (rc < 0)
		return -1;
	/* Layers whose times are rewritten are other layers; without, a key is what it always was. */
	if (step_clamp(s) != INT64_MAX)
		key_u64(&s->keyer, step_req(s)->retime ? "set timestamps" : "rewritten timestamps", (uint64_t)step_clamp(s));
	key_end(&s->keyer, &s->def, &s->content, &s->has_content);
	s->has_def = rc == 0;
	s->asks = rc == STEP_ASK;
	return rc;
}

int stepkey_find(struct step *s, struct err **e)
{
	struct store *store = s->plan->app->store;
	int rc = STEPS_MISS;

	s->stale = false;
	if (s->no_cache)
		return STEPS_MISS;
	if (s->has_def)
		rc = steps_find(store, &s->def, &s->record, e);
	if (rc == STEPS_MISS && s->has_content) {
		rc = steps_find(store, &s->content, &s->record, e);
		/* From now on the definition hits as well. */
		if (rc == 0 && s->has_def && steps_save(store, &s->def, NULL, &s->keyer, stepkey_slot(s), &s->record, e) < 0)
			return -1;
	}
	/* --cache-ttl */
	s->stale = rc == 0 && clock_wall() - s->record.created > step_req(s)->cache_ttl;
	return s->stale ? STEPS_MISS : rc;
}

const char *stepkey_why(struct step *s, bool *parent_only)
{
	AUTO(buf_freep) struct buf why = BUF_MAX(64 << 10);
	struct err *e = NULL;

	if (s->no_cache)
		return "the cache is off for this step";
	if (s->stale)
		return "what is known of it is older than --cache-ttl";
	if (steps_why(s->plan->app->store, stepkey_slot(s), &s->keyer, &why, parent_only, &e) < 0)
		err_free(e);
	return arena_str(&s->plan->arena, buf_view(&why));
}
