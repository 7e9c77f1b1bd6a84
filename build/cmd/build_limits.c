/* build/cmd/build_limits.c - --memory, --cpu-*, --cpuset-*, --resource, --cgroup-parent: limits of every RUN (spec/cli-flags.md 5). */
#include "base/mem.h"
#include "build/cgroup.h"
#include "build/cmd/build.h"
#include "parser/flags.h"

#include <stdio.h>
#include <stdlib.h>

static int size(const char *text, uint64_t *ret, struct err **e)
{
	if (parse_size(slice_of(text), ret, e) < 0)
		return -1;
	return *ret ? 0 : err_set(e, ERR_USAGE, "it is 0");
}

static int count(const char *text, uint64_t least, uint64_t *ret, struct err **e)
{
	if (!slice_u64(slice_of(text), ret) || *ret < least || *ret > INT64_MAX)
		return err_set(e, ERR_USAGE, "it is not a number from %ju on", (uintmax_t)least);
	return 0;
}

/* "0-2,4" */
static int set_of(const char *text, char **ret, struct err **e)
{
	struct slice rest = slice_of(text), range, from, to;
	bool more = true;

	while (more) {
		uint64_t a = 0, b = 0;

		more = slice_cut(rest, ',', &range, &rest);
		bool two = slice_cut(range, '-', &from, &to);
		if (!slice_u64(from, &a) || (two && (!slice_u64(to, &b) || b < a)))
			return err_set(e, ERR_USAGE, "it is not a list such as 0-2,4");
	}
	free(*ret);
	*ret = mem_str(text);
	return 0;
}

static int set_memory(struct limits *l, const char *text, struct err **e)
{
	return size(text, &l->memory, e);
}

static int set_swap(struct limits *l, const char *text, struct err **e)
{
	if (strcmp(text, "-1") == 0) {
		l->swap = UINT64_MAX;
		return 0;
	}
	return size(text, &l->swap, e);
}

static int set_shares(struct limits *l, const char *text, struct err **e)
{
	if (count(text, 2, &l->cpu_shares, e) < 0)
		return -1;
	return l->cpu_shares <= 262144 ? 0 : err_set(e, ERR_USAGE, "it is more than 262144");
}

static int set_period(struct limits *l, const char *text, struct err **e)
{
	return count(text, 1000, &l->cpu_period, e);
}

static int set_quota(struct limits *l, const char *text, struct err **e)
{
	return count(text, 1000, &l->cpu_quota, e);
}

static int set_cpus(struct limits *l, const char *text, struct err **e)
{
	return set_of(text, &l->cpus, e);
}

static int set_mems(struct limits *l, const char *text, struct err **e)
{
	return set_of(text, &l->mems, e);
}

static const struct {
	const char *name;
	unsigned controller;
	int (*set)(struct limits *l, const char *text, struct err **e);
} rows[BUILD_LIMITS] = {
	{ "memory", CGROUP_MEMORY, set_memory }, { "memory-swap", CGROUP_MEMORY, set_swap }, { "cpu-shares", CGROUP_CPU, set_shares },
	{ "cpu-period", CGROUP_CPU, set_period }, { "cpu-quota", CGROUP_CPU, set_quota },     { "cpuset-cpus", CGROUP_CPUSET, set_cpus },
	{ "cpuset-mems", CGROUP_CPUSET, set_mems },
};

/* key=value of --resource, to what the option of that name would hold. */
static int resources(struct build_opts *o, struct err **e)
{
	for (size_t i = 0; i < o->resources.n; i++) {
		struct slice key, value;
		size_t k = 0;

		if (!slice_cut(slice_of(o->resources.v[i]), '=', &key, &value))
			return err_set(e, ERR_USAGE, "--resource is '%s', not of the form KEY=VALUE", o->resources.v[i]);
		while (k < countof(rows) && !slice_is(key, rows[k].name))
			k++;
		if (k == countof(rows)) {
			err_set(e, ERR_USAGE, "--resource is '%s', and there is no limit '%.*s'", o->resources.v[i], SLICE_F(key));
			return err_hint(e, "there are memory, memory-swap, cpu-shares, cpu-period, cpu-quota, cpuset-cpus and cpuset-mems");
		}
		o->limit[k] = value.p;
	}
	return 0;
}

static int read_limits(const struct build_opts *o, struct limits *l, unsigned *wanted, struct err **e)
{
	for (size_t i = 0; i < countof(rows); i++) {
		if (!o->limit[i])
			continue;
		*wanted |= rows[i].controller;
		if (rows[i].set(l, o->limit[i], e) < 0) {
			err_kind_set(e, ERR_USAGE);
			return err_wrap(e, "--%s is '%s'", rows[i].name, o->limit[i]);
		}
	}
	if (l->swap && !l->memory)
		return err_set(e, ERR_USAGE, "--memory-swap is the sum of memory and swap, so it needs --memory");
	if (l->swap && l->swap < l->memory)
		return err_set(e, ERR_USAGE, "--memory-swap is the sum of memory and swap, and less than --memory");
	return 0;
}

/* Those whose controllers are not there: told once, with the reason, and not set. */
static void drop(struct app *a, const struct build_opts *o, unsigned there, const char *why)
{
	AUTO(buf_freep) struct buf list = BUF_MAX(4096);

	for (size_t i = 0; i < countof(rows); i++)
		if (o->limit[i] && !(rows[i].controller & there))
			buf_printf(&list, "%s--%s", list.n ? ", " : "", rows[i].name);
	if (o->cgroup_parent && !a->cgroup)
		buf_printf(&list, "%s--cgroup-parent", list.n ? ", " : "");
	if (list.n)
		report_note(a->report, REPORT_WARNING, "%s %s no effect: %s", list.p, strchr(list.p, ',') ? "have" : "has", why);
}

int build_limits(struct app *a, struct build_opts *o, struct build_req *r, struct err **e)
{
	struct limits *l = &r->run.limits;
	unsigned wanted = 0;

	if (resources(o, e) < 0 || read_limits(o, l, &wanted, e) < 0)
		return -1;
	r->run.cgroup_parent = o->cgroup_parent && *o->cgroup_parent ? o->cgroup_parent : NULL;
	if (r->run.cgroup_parent && (strstr(r->run.cgroup_parent, "..") || strpbrk(r->run.cgroup_parent, "\n:")))
		return err_set(e, ERR_USAGE, "--cgroup-parent is '%s', which is no path of a cgroup", r->run.cgroup_parent);
	if ((!wanted && !r->run.cgroup_parent) || strcmp(r->call, "build") != 0)
		return 0;
	AUTO(mem_freep) char *why = NULL;
	cgroup_open(r->run.cgroup_parent, wanted | CGROUP_PIDS, &a->cgroup, &why);
	unsigned there = cgroup_controllers(a->cgroup);
	drop(a, o, there, why ? why : "");
	if (!(there & CGROUP_MEMORY))
		l->memory = l->swap = 0;
	if (!(there & CGROUP_CPU))
		l->cpu_shares = l->cpu_period = l->cpu_quota = 0;
	if (!(there & CGROUP_CPUSET)) {
		free(take(&l->cpus));
		free(take(&l->mems));
	}
	return 0;
}
