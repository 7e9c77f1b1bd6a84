/* build/op/add.c - ADD: a COPY that also fetches and unpacks (spec/dockerfile.md 10). */
#include "base/mem.h"
#include "build/context/git.h"
#include "build/context/http.h"
#include "build/op/copying.h"
#include "build/plan.h"
#include "parser/diag.h"

static int bad(struct eval *ev, const struct instr *in, struct span at, struct err **e)
{
	return diag_place(e, ev->plan->file->source, at.to > at.from ? at : in->at);
}

/* The order of 10.1. */
static int classify(struct eval *ev, const struct instr *in, const struct word *w, struct copy_source *s, struct err **e)
{
	AUTO(git_ref_clear) struct git_ref g = { 0 };
	const struct flag *keep = instr_flag(in, "keep-git-dir");
	int rc = git_parse(s->text, false, &g, e);

	if (rc < 0)
		return bad(ev, in, w->at, e);
	s->kind = rc == 0 ? COPY_GIT : http_is(s->text) ? COPY_HTTP : COPY_PATH;
	if (rc == 0 && keep && g.has_keep && g.keep != instr_flag_bool(in, "keep-git-dir", false)) {
		err_set(e, ERR_INPUT, "inconsistent keep-git-dir configuration");
		return bad(ev, in, keep->value_at, e);
	}
	return 0;
}

/* 10.5 */
static int check_checksum(const struct copy *c, struct err **e)
{
	AUTO(git_ref_clear) struct git_ref g = { 0 };
	struct checksum sum;

	if (c->nsource != 1)
		return err_set(e, ERR_INPUT, "checksum can't be specified for multiple sources");
	switch (c->source[0].kind) {
	case COPY_HTTP:
		if (checksum_parse(slice_of(c->checksum), &sum, e) < 0) {
			err_wrap(e, "invalid checksum '%s'", c->checksum);
			return err_hint(e, "give it as sha256:<64 hexadecimal digits>");
		}
		return 0;
	case COPY_GIT:
		if (strlen(c->checksum) > 64 || c->checksum[strspn(c->checksum, "0123456789abcdef")])
			return err_set(e, ERR_INPUT, "invalid checksum '%s': expected hex commit hash", c->checksum);
		if (git_parse(c->source[0].text, false, &g, e) < 0)
			return -1;
		if (g.checksum && strcmp(g.checksum, c->checksum) != 0)
			return err_set(e, ERR_INPUT, "checksum mismatch: '%s' and '%s'", c->checksum, g.checksum);
		return 0;
	default:
		return err_set(e, ERR_INPUT, "checksum requires HTTP(S) or Git sources");
	}
}

/* A checksum of a file, a whole commit hash: the key says all, nothing has to be fetched to know it. */
static bool is_pinned(const struct copy *c)
{
	bool pinned = c->nsource > 0;

	for (size_t i = 0; i < c->nsource && pinned; i++) {
		AUTO(git_ref_clear) struct git_ref g = { 0 };

		if (c->source[i].kind == COPY_HTTP)
			pinned = c->checksum;
		else
			pinned = c->source[i].kind == COPY_GIT && git_parse(c->source[i].text, false, &g, NULL) == 0 &&
				 (g.by_commit || (g.ref && git_full_hash(g.ref)));
	}
	return pinned;
}

static int add_eval(struct eval *ev, const struct instr *in, struct err **e)
{
	const struct flag *checksum = instr_flag(in, "checksum");
	struct copy *c = NULL;

	if (copy_eval_words(ev, in, classify, &c, e) < 0)
		return -1;
	c->unpack = instr_flag_bool(in, "unpack", true);
	c->unpack_remote = instr_flag_bool(in, "unpack", false);
	c->has_keep = instr_flag(in, "keep-git-dir");
	c->keep = instr_flag_bool(in, "keep-git-dir", false);
	if (checksum && checksum->value && eval_expand(ev, in, checksum->value, checksum->value_at, &c->checksum, e) < 0)
		return -1;
	if (c->checksum && !*c->checksum)
		c->checksum = NULL;
	if (checksum && c->checksum && check_checksum(c, e) < 0)
		return bad(ev, in, checksum->value_at, e);
	c->pinned = is_pinned(c);
	copy_eval_step(ev, in, c);
	return 0;
}

const struct op op_ADD = { .eval = add_eval, .key = copy_key, .exec = copy_exec };
