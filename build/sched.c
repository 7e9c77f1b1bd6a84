/* build/sched.c - ready steps run, as many at once as asked for; the first failure stops the rest (design.md 3.6).
 *
 * A step waits for its parent and for the stages it reads; a RUN may start as soon as its parent's upper is frozen, while that is still
 * being hashed. Then: key, look-up by definition, look-up by content, and only then work. Results are committed in the order of the
 * chain, and never between the moment when a worker was told store directories and the moment when it has mounted them.
 */
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "build/flight.h"
#include "build/sender.h"
#include "build/plan.h"
#include "build/sched.h"
#include "build/stepkey.h"
#include "build/work.h"
#include "layers/comp.h"

struct sched {
	struct app *app;
	struct step **step;              /* of all platforms, in evaluation order */
	size_t nstep;
	struct step **by_key;            /* those that miss, hashed by their definition keys; its size is a power of two */
	size_t nkey;
	unsigned running, max;
	unsigned ahead;                  /* steps that are ready and wait for the one below */
	unsigned mounting;               /* workers that know directory names and have not mounted yet */
	size_t first;                    /* every step before it is done */
	bool kicking, again, done;
	struct err *e;
};

static void kick(struct sched *d);

/* ---- ends */

static void ahead_off(struct step *s)
{
	if (s->ahead != AHEAD_WAITS)
		return;
	s->ahead = AHEAD_LEAVES;
	s->op->ahead_off(s);
}

/* What runs for nothing now. A command that is over is not lost with the one that failed: it is packed and committed. */
static void fail(struct sched *d, struct step *s, struct err *e)
{
	s->state = STEP_FAILED;
	flight_end(s);
	if (d->e) {
		err_free(e);
		return;
	}
	d->e = e;
	step_wrap(s, &d->e);
	report_state(d->app->report, s->id, REPORT_FAILED, NULL, 0);
	for (size_t i = 0; i < d->nstep; i++) {
		struct step *other = d->step[i];

		ahead_off(other);
		if (other->job && other->state != STEP_FROZEN)
			job_cancel(other->job);
	}
}

static void drop_tmp(struct step *s)
{
	/* Somebody may run on a frozen tree: then it stays until the store is closed. */
	if (s->tmp[0] && !s->frozen[0])
		store_tmp_drop(s->plan->app->store, s->tmp);
	s->tmp[0] = '\0';
}

/* Once: what was asked for and is unchanged comes by again. */
static void announce(struct step *s)
{
	if (!s->started)
		report_step(s->plan->app->report, s->id, s->title);
}

static void finish(struct sched *d, struct step *s, bool cached, const char *why)
{
	s->state = STEP_DONE;
	flight_end(s);
	s->cached = cached;
	report_state(d->app->report, s->id, cached ? REPORT_CACHED : REPORT_DONE, why, s->record.size);
}

/* ---- results */

static int commit(struct step *s, struct err **e)
{
	struct store *store = s->plan->app->store;
	const struct step_made *m = s->made;
	const struct pack_facts *f = &m->facts;
	AUTO(mem_freep) char *listing = mem_printf("%s/listing", m->tmp);
	AUTO(mem_freep) char *blob = mem_printf("%s/blob", m->tmp);
	struct layer_meta have;

	if (store_listing_commit(store, listing, &f->diff, e) < 0)
		return -1;
	if (m->comp) {
		struct blob_info info = { .diff = f->diff, .blob = f->blob, .size = (int64_t)f->blob_size, .level = m->level };

		snprintf(info.comp, sizeof(info.comp), "%s", comp_find(m->comp)->name);
		if (store_blob_commit(store, blob, &f->blob, info.size, e) < 0 || store_info_add(store, &info, e) < 0)
			return -1;
	}
	if (m->tree) {
		struct layer_meta meta = { .diff = f->diff, .bytes = f->bytes, .entries = f->entries, .made_here = true };
		int rc = store_layer_find(store, &f->diff, &have, e);

		if (rc < 0)
			return -1;
		if (rc > 0) {
			if (store_layer_commit(store, m->tmp, &meta, e) < 0)
				return -1;
			s->tmp[0] = '\0';
		}
	}
	s->record = (struct step_record){
		.diff = f->diff, .size = f->tar_size, .created = clock_wall(), .took_ms = (clock_ns() - s->started) / 1000000,
		.empty = f->entries == 0,
	};
	return steps_save(store, &s->def, s->has_content ? &s->content : NULL, &s->keyer, stepkey_slot(s), &s->record, e);
}

/* The pass is over and everything below is done: the keys are complete now. */
static int settle(struct step *s, bool *cached, struct err **e)
{
	bool had_def = s->has_def, asked = s->asks, parent_only = false;
	int rc;

	rc = stepkey_make(s, e);
	if (rc < 0)
		return -1;
	if (rc > 0)
		return err_set(e, ERR_BUG, "the key of %s is not known after everything was read", s->title);
	/* A COPY whose files had to be read first may hit after all; a RUN was looked up before it ran. */
	if (s->in->id != INSTR_RUN && (!had_def || s->has_content)) {
		rc = stepkey_find(s, e);
		if (rc <= 0) {
			*cached = rc == 0;
			return rc;
		}
	}
	/* Of what was fetched it is known only now what is new. */
	if (asked && !s->no_cache)
		report_state(s->plan->app->report, s->id, REPORT_STARTED, s->why = stepkey_why(s, &parent_only), 0);
	return commit(s, e);
}

static void try_settle(struct sched *d, struct step *s)
{
	struct err *e = NULL;
	bool cached = false;

	if (!s->packed || d->mounting || (s->parent && s->parent->state != STEP_DONE))
		return;
	s->packed = false;
	if (settle(s, &cached, &e) < 0)
		fail(d, s, e);
	else
		finish(d, s, cached, cached ? NULL : s->why);
	drop_tmp(s);
	free((char *)s->made->tmp);
	free(s->made);
	s->made = NULL;
}

void step_packing(struct step *s, const char *comp)
{
	if (comp && step_leaves(s))
		s->sending = sender_begin(s->plan->sender, s->tmp);
}

void step_packed(struct step *s, const struct step_made *m)
{
	struct sched *d = s->plan->sched;

	sender_end(take(&s->sending), &m->facts);
	d->running--;
	s->job = NULL;
	s->made = mem_dup(m, sizeof(*m));
	s->made->tmp = mem_str(m->tmp);
	s->packed = true;
	kick(d);
}

void step_failed(struct step *s, struct err *e)
{
	struct sched *d = s->plan->sched;

	sender_end(take(&s->sending), NULL);
	d->running--;
	s->job = NULL;
	fail(d, s, e);
	drop_tmp(s);
	kick(d);
}

void step_pack_answer(struct step *s, struct slice out, struct err *e, struct step_made m)
{
	if (!e)
		pack_answer_get(out, &m.facts, &e);
	if (e)
		step_failed(s, e);
	else
		step_packed(s, &m);
}

void step_frozen(struct step *s)
{
	s->state = STEP_FROZEN;
	kick(s->plan->sched);
}

void sched_mounting(struct step *s, bool on)
{
	struct sched *d = s->plan->sched;

	d->mounting += on ? 1 : (unsigned)-1;
	if (d->mounting == 0)
		kick(d);
}

bool sched_parent_done(const struct step *s)
{
	return !s->parent || s->parent->state == STEP_DONE;
}

/* ---- steps that are the same, for several platforms or in one file: one of them runs (spec/dockerfile.md 17.6) */

static struct step **by_key(const struct sched *d, const struct digest *def)
{
	size_t at;

	for (memcpy(&at, def->b, sizeof(at));; at++) {
		struct step **place = &d->by_key[at & (d->nkey - 1)];

		if (!*place || digest_equal(&(*place)->def, def))
			return place;
	}
}

/* s misses. Who runs for it: itself, or the first one with its key. */
static struct step *runner(struct sched *d, struct step *s)
{
	struct step **place = s->has_def ? by_key(d, &s->def) : NULL;

	if (place && !*place)
		*place = s;
	return place ? *place : s;
}

/* ---- starts */

static bool deps_ready(const struct step *s)
{
	if (s->parent && s->parent->state != STEP_DONE &&
	    !(s->parent->state == STEP_FROZEN && s->in->id == INSTR_RUN && !s->wait_parent))
		return false;
	for (size_t i = 0; i < s->nreads; i++) {
		const struct tree_ref *t = s->reads[i];

		if (t->kind == TREE_STAGE && t->stage->last && t->stage->last->state != STEP_DONE)
			return false;
	}
	return true;
}

static void start(struct sched *d, struct step *s, const char *why)
{
	struct err *e = NULL;

	if (s->ahead == AHEAD_WAITS) {
		s->ahead = AHEAD_NO;
		d->ahead--;
	}
	s->why = why;
	s->state = STEP_RUNNING;
	s->started = clock_ns();
	d->running++;
	report_state(d->app->report, s->id, REPORT_STARTED, why, 0);
	if (s->op->exec(s, &e) == 0)
		return;
	d->running--;
	fail(d, s, e);
	drop_tmp(s);
}

static void again(struct step *s, struct err *e)
{
	struct sched *d = s->plan->sched;

	d->running--;
	s->job = NULL;
	s->state = STEP_WAITING;
	if (e) {
		announce(s);
		fail(d, s, e);
	}
	kick(d);
}

void step_unchanged(struct step *s)
{
	drop_tmp(s);
	again(s, NULL);
}

/* Does another builder run it, or has it just done so? Then 1: not now. */
static int elsewhere(struct sched *d, struct step *s, struct err **e)
{
	if (s->in->id != INSTR_RUN || !s->has_def || s->no_cache)
		return 0;
	int rc = flight_begin(s, again, e);
	if (rc == FLIGHT_BUSY) {
		s->state = STEP_RUNNING;
		d->running++;
	}
	if (rc != 0)
		return rc;
	rc = stepkey_find(s, e);
	if (rc == 0) {
		flight_end(s);
		s->state = STEP_WAITING;
		d->again = true;
	}
	return rc < 0 ? -1 : rc == 0;
}

static void try_start(struct sched *d, struct step *s)
{
	const char *why = NULL;
	struct err *e = NULL;
	bool parent_only = false;
	int rc;

	if ((s->state != STEP_WAITING && s->state != STEP_KEYED) || s->ahead == AHEAD_LEAVES || !deps_ready(s))
		return;
	if (s->state == STEP_WAITING) {
		s->wait_parent = false;
		s->state = STEP_KEYED;
		rc = stepkey_make(s, &e);
		if (rc >= 0)
			rc = stepkey_find(s, &e);
		if (rc < 0) {
			announce(s);
			fail(d, s, e);
			return;
		}
		/* Another builder has made it meanwhile: a chain is only done from below. */
		if (rc == 0 && !sched_parent_done(s)) {
			s->wait_parent = true;
			s->state = STEP_WAITING;
			return;
		}
		if (rc == 0) {
			announce(s);
			finish(d, s, true, NULL);
			return;
		}
	}
	const struct step *same = runner(d, s);
	if (same != s) {
		if (same->state == STEP_DONE && sched_parent_done(s)) {
			s->record = same->record;
			announce(s);
			finish(d, s, true, NULL);
		}
		return;
	}
	if (d->running >= d->max)
		return;
	if (s->ahead == AHEAD_WAITS)
		why = s->why;
	else if (!s->asks || s->no_cache)
		why = stepkey_why(s, &parent_only);
	/* Only what lies below differs: its result decides, so that is waited for. */
	if (parent_only && !s->has_content && s->parent && s->parent->state == STEP_FROZEN) {
		s->wait_parent = true;
		s->state = STEP_WAITING;
		return;
	}
	rc = elsewhere(d, s, &e);
	if (rc != 0)
		ahead_off(s);
	if (rc > 0)
		return;
	announce(s);
	if (rc < 0) {
		fail(d, s, e);
		return;
	}
	start(d, s, why);
}

/* It will run: its key says so, whatever the step below leaves. */
static bool runs_anyway(struct step *s)
{
	struct err *e = NULL;
	bool parent_only = false, runs = stepkey_make(s, &e) == 0 && stepkey_find(s, &e) == STEPS_MISS;

	runs = runs && runner(s->plan->sched, s) == s;
	if (runs)
		s->why = stepkey_why(s, &parent_only);
	err_free(e);
	return runs && !parent_only;
}

bool sched_ahead(struct step *s)
{
	struct sched *d = s->plan->sched;

	if (sched_ending(s))
		return false;
	for (size_t i = d->first; i < d->nstep; i++) {
		struct step *next = d->step[i];

		if (next->parent != s || next->state != STEP_WAITING || next->ahead != AHEAD_NO || !next->op->ahead || next->nreads > 0)
			continue;
		if (!runs_anyway(next) || !next->op->ahead(next))
			return false;
		next->state = STEP_KEYED;
		next->ahead = AHEAD_WAITS;
		d->ahead++;
		return true;
	}
	return false;
}

void step_not_ahead(struct step *s)
{
	struct sched *d = s->plan->sched;

	drop_tmp(s);
	s->ahead = AHEAD_NO;
	s->state = s->state == STEP_KEYED ? STEP_WAITING : s->state;
	d->ahead--;
	kick(d);
}

bool sched_ending(const struct step *s)
{
	const struct sched *d = s->plan->sched;

	return d->e || d->app->interrupted;
}

bool sched_more(const struct step *s)
{
	const struct sched *d = s->plan->sched;

	for (size_t i = d->first; i < d->nstep; i++)
		if (d->step[i]->in->id == s->in->id && (d->step[i]->state == STEP_WAITING || d->step[i]->state == STEP_KEYED))
			return true;
	return false;
}

/* What is waited for will not come any more. */
static void give_up(struct step *s)
{
	struct err *e = NULL;

	s->resume = NULL;
	err_set(&e, ERR_HOST, "the build ended before it was done");
	step_failed(s, e);
}

/* Steps that wait for those below them. */
static void go_on(struct sched *d)
{
	for (size_t i = d->first; i < d->nstep; i++) {
		struct step *s = d->step[i];
		void (*resume)(struct step *) = s->resume;

		if (resume && (d->app->interrupted || (s->parent && s->parent->state == STEP_FAILED))) {
			give_up(s);
		} else if (resume && sched_parent_done(s)) {
			s->resume = NULL;
			resume(s);
		}
	}
}

static void skip_done(struct sched *d)
{
	while (d->first < d->nstep && d->step[d->first]->state == STEP_DONE)
		d->first++;
}

/* Everything that can move, moves; callbacks that arrive meanwhile ask for one more round. */
static void kick(struct sched *d)
{
	if (d->kicking) {
		d->again = true;
		return;
	}
	d->kicking = true;
	do {
		d->again = false;
		skip_done(d);
		for (size_t i = d->first; i < d->nstep; i++) {
			struct step *s = d->step[i];
			enum step_state before = s->state;

			try_settle(d, s);
			if (!d->e && !d->app->interrupted)
				try_start(d, s);
			d->again |= s->state == STEP_DONE && before != STEP_DONE && i > d->first;
		}
		/* What can start comes first: nothing waits for a layer to be packed. */
		if (!d->again)
			go_on(d);
	} while (d->again);
	skip_done(d);
	d->kicking = false;
	d->done = d->running == 0 && d->ahead == 0 && (d->e || d->first == d->nstep || d->app->interrupted);
}

static void sched_clear(struct sched *d)
{
	free(d->step);
	free(d->by_key);
}

int sched_run(struct plan *const *p, size_t n, struct err **e)
{
	AUTO(sched_clear) struct sched d = { .app = p[0]->app, .max = p[0]->req->jobs, .nkey = 2 };
	size_t most = 1;
	int rc = 0;

	for (size_t i = 0; i < n; i++)
		most += p[i]->nstep;
	while (d.nkey < 2 * most)
		d.nkey *= 2;
	d.step = mem_array(most, elem_size(d.step));
	d.by_key = mem_array(d.nkey, elem_size(d.by_key));
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < p[i]->nstep; k++)
			d.step[d.nstep++] = p[i]->step[k];
		p[i]->sched = &d;
	}
	if (d.max == 0) {
		long cores = sysconf(_SC_NPROCESSORS_ONLN);

		d.max = cores > 0 ? (unsigned)cores : 1;
	}
	kick(&d);
	while (!d.done && rc == 0) {
		rc = loop_until(d.app->loop, &d.done, e);
		if (rc == 0 && !d.done && d.app->interrupted) {
			jobs_cancel(d.app->jobs);
			kick(&d);
		} else if (rc == 0 && !d.done && d.running == 0 && d.ahead == 0) {
			rc = err_set(e, ERR_BUG, "no step can run and the build is not done");
		}
	}
	for (size_t i = 0; i < n; i++)
		p[i]->sched = NULL;
	if (d.e && rc == 0)
		*e = d.e;
	return d.e ? -1 : rc;
}
