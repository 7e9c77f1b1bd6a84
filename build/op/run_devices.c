/* build/op/run_devices.c - RUN --device: devices of this host, by the name that its descriptions give them (spec/dockerfile.md 8.5). */
#include <strings.h>

#include "base/mem.h"
#include "build/op/run.h"
#include "parser/diag.h"

bool run_allowed(const struct plan *p, const char *what)
{
	for (size_t i = 0; i < p->req->allow.n; i++)
		if (strcmp(p->req->allow.v[i], what) == 0)
			return true;
	return false;
}

int run_refuse(struct eval *ev, const struct flag *f, const char *what, struct err **e)
{
	err_set(e, ERR_LIMIT, "%s is not allowed", what);
	err_hint(e, "give --allow %s on the command line", what);
	return diag_place(e, ev->plan->file->source, f->at);
}

/* Its grammar was checked when the file was read: "NAME[,required[=BOOL]]", or with "name=NAME". */
static void device_fields(struct eval *ev, char *const *field, size_t n, struct run_device *ret)
{
	for (size_t i = 0; i < n; i++) {
		struct slice key = SLICE_NONE, value = SLICE_NONE;
		bool pair = slice_cut(slice_of(field[i]), '=', &key, &value);

		if (slice_is_nocase(key, "required"))
			ret->required = !pair || !value.n || !strchr("0fF", value.p[0]);
		else
			ret->name = eval_printf(ev, "%s", pair && slice_is_nocase(key, "name") ? value.p : field[i]);
	}
}

static int device_eval(struct eval *ev, const struct instr *in, const struct flag *f, struct run *r, struct err **e)
{
	struct run_device d = { .name = "", .flag = f };
	const char *text = NULL;
	char **field = NULL;
	size_t n = 0;

	if (!run_allowed(ev->plan, "device"))
		return run_refuse(ev, f, "device", e);
	if (eval_expand(ev, in, f->value, f->value_at, &text, e) < 0 || csv_split(slice_of(text), &field, &n, e) < 0)
		return -1;
	device_fields(ev, field, n, &d);
	csv_free(field, n);
	r->device[r->ndevice++] = d;
	return 0;
}

int run_devices_eval(struct eval *ev, const struct instr *in, struct run *r, struct err **e)
{
	r->device = arena_alloc(ev->arena, (in->nflag + 1) * sizeof(*r->device));
	for (size_t i = 0; i < in->nflag; i++)
		if (strcmp(in->flag[i].name, "device") == 0 && device_eval(ev, in, &in->flag[i], r, e) < 0)
			return -1;
	return 0;
}

void run_devices_key(const struct run *r, struct keyer *k)
{
	const struct strs *all = &step_req(r->s)->run.devices;

	for (size_t i = 0; i < all->n + r->ndevice; i++) {
		key_text(k, "device", i < all->n ? all->v[i] : r->device[i - all->n].name);
		key_u64(k, "device is required", i < all->n || r->device[i - all->n].required);
	}
}

static int device_given(struct run *r, struct cdi *c, const char *name, bool required, struct err **e)
{
	int rc = cdi_edits(c, name, &r->s->plan->arena, &r->edit, e);

	if (rc < 0)
		return -1;
	/* One that nobody needs and nobody has is left out. */
	if (rc == 0 || !required)
		return 0;
	AUTO(err_freep) struct err *broken = cdi_broken(c);
	if (broken) {
		*e = take(&broken);
		err_kind_set(e, ERR_LIMIT);
		err_wrap(e, "required CDI device '%s' is not registered", name);
	} else {
		err_set(e, ERR_LIMIT, "required CDI device '%s' is not registered", name);
	}
	return err_hint(e, "describe it in a file of /etc/cdi or /var/run/cdi; without 'required' a RUN does without it");
}

int run_devices_given(struct run *r, struct err **e)
{
	const struct run_opts *o = &step_req(r->s)->run;
	AUTO(cdi_freep) struct cdi *c = NULL;

	if (!r->ndevice && !o->devices.n)
		return 0;
	if (cdi_open(&o->cdi_dirs, &c, e) < 0)
		return -1;
	for (size_t i = 0; i < o->devices.n; i++)
		if (device_given(r, c, o->devices.v[i], true, e) < 0)
			return err_wrap(e, "--device is '%s'", o->devices.v[i]);
	for (size_t i = 0; i < r->ndevice; i++)
		if (device_given(r, c, r->device[i].name, r->device[i].required, e) < 0)
			return diag_place(e, r->s->plan->file->source, r->device[i].flag->value_at);
	return 0;
}

void run_devices_groups(struct run *r, struct run_spec *spec)
{
	size_t n = 0;

	if (!r->edit.ngroup)
		return;
	while (spec->group && spec->group[n])
		n++;
	char **all = arena_alloc(&r->s->plan->arena, (n + r->edit.ngroup + 1) * elem_size(all));
	if (n)
		memcpy(all, spec->group, n * elem_size(all));
	memcpy(all + n, r->edit.group, r->edit.ngroup * elem_size(all));
	spec->group = all;
}
