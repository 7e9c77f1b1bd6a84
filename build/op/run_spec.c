/* build/op/run_spec.c - everything that a RUN reads: in its key, and in the description that its worker gets (spec/dockerfile.md 17.3). */
#include "base/mem.h"
#include "build/op/run.h"
#include "build/sched.h"
#include "build/trees.h"

/* ---- key (17.3) */

/* The name of an --add-host NAME=IP, in lower case (14). */
static char *host_name(const char *h)
{
	char *name = mem_strn(h, strcspn(h, "=:"));

	for (char *c = name; *c; c++)
		*c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
	return name;
}

/* What was not given is not there, so that a key is what it always was. Addresses and names of servers do not count, nor what a volume
 * holds: nobody knows whether it changed. */
static void options_key(const struct run_opts *o, struct keyer *k)
{
	if (o->cgroup_parent)
		key_text(k, "cgroup parent", o->cgroup_parent);
	if (o->no_resolv)
		key_u64(k, "own /etc/resolv.conf", 1);
	if (o->no_hosts)
		key_u64(k, "own /etc/hosts", 1);
	if (o->no_hostname)
		key_u64(k, "own /etc/hostname", 1);
	if (o->unfiltered)
		key_u64(k, "no filter of system calls", 1);
	if (o->cap_add)
		key_u64(k, "added capabilities", o->cap_add);
	if (o->cap_drop)
		key_u64(k, "dropped capabilities", o->cap_drop);
	for (size_t i = 0; i < o->groups.n; i++)
		key_text(k, "further group", o->groups.v[i]);
	for (size_t i = 0; i < o->nvolume; i++) {
		key_text(k, "volume", o->volume[i].target);
		key_text(k, "volume source", o->volume[i].source);
		key_u64(k, "volume is read-only", o->volume[i].readonly);
	}
}

int run_key(struct step *s, struct keyer *k, struct err **e)
{
	const struct run *r = s->data;
	const struct build_req *q = step_req(s);

	if (r->argc == 0)
		return err_set(e, ERR_STEP, "arguments are required");
	key_u64(k, "number of arguments", r->argc);
	for (size_t i = 0; i < r->argc; i++)
		key_text(k, i + 1 == r->argc ? "argument" : "command", r->argv[i]);
	if (r->script_name)
		key_slice(k, "script", r->script);
	for (size_t i = 0; i < r->nenv; i++) {
		const char *eq = strchr(r->env[i], '=');
		AUTO(mem_freep) char *name = mem_printf("variable %.*s", (int)(eq - r->env[i]), r->env[i]);

		key_text(k, name, eq + 1);
	}
	key_text(k, "working directory", s->cwd);
	key_text(k, "user", s->user);
	key_text(k, "host name", r->hostname);
	key_u64(k, "network", r->net);
	key_u64(k, "security", r->insecure);
	run_devices_key(r, k);
	key_text(k, "platform", platform_text(&s->stage->platform).s);
	key_u64(k, "size of /dev/shm", q->shm_size);
	for (size_t i = 0; i < q->ulimits.n; i++)
		key_text(k, "ulimit", q->ulimits.v[i]);
	for (size_t i = 0; i < q->add_hosts.n; i++) {
		AUTO(mem_freep) char *name = host_name(q->add_hosts.v[i]);

		key_text(k, "extra host", name);
	}
	options_key(&q->run, k);
	return run_mounts_key(s->data, k, e);
}

/* ---- the description */

static void spec_root(struct step *s, struct run_spec *spec)
{
	struct entry root;
	struct view *v;
	size_t layer;

	/* What lies right below may be frozen only: then its directory tells. */
	spec->root_follows = !sched_parent_done(s);
	spec->root_mode = 0755;
	if (spec->root_follows || step_view(s, &v, NULL) < 0 || view_find(v, "", &root, &layer) != 0)
		return;
	spec->root_mode = root.mode;
	spec->root_uid = root.uid;
	spec->root_gid = root.gid;
}

static void spec_options(const struct run_opts *o, struct run_spec *spec)
{
	spec->dns = (char **)o->dns.v;
	spec->dns_search = (char **)o->dns_search.v;
	spec->dns_options = (char **)o->dns_options.v;
	spec->no_resolv = o->no_resolv;
	spec->no_hosts = o->no_hosts;
	spec->no_hostname = o->no_hostname;
	spec->group = (char **)o->groups.v;
	spec->reads = o->use_stdin;
	spec->unfiltered = o->unfiltered;
	spec->cap_add = o->cap_add;
	spec->cap_drop = o->cap_drop;
}

/* Is the variable among those of v? Of two with one name a program may see either. */
static bool set_again(const char *pair, const char *const *v, size_t n)
{
	size_t len = strcspn(pair, "=");

	for (size_t i = 0; i < n; i++)
		if (strncmp(v[i], pair, len + 1) == 0)
			return true;
	return false;
}

int run_spec_of(struct run *r, bool waits, struct buf *out, struct err **e)
{
	struct step *s = r->s;
	const struct build_req *q = step_req(s);
	struct run_spec spec = {
		.store = (char *)store_path(step_app(s)->store), .driver = (char *)r->driver, .lower = r->lower.v, .nlower = r->lower.n,
		.snap = s->tmp, .cwd = (char *)s->cwd, .user = (char *)s->user, .hostname = (char *)r->hostname, .net = r->net,
		.insecure = r->insecure, .shm_size = q->shm_size, .waits = waits,
	};
	struct strs hosts = { 0 }, env = { 0 }, argv = { 0 };
	struct strs limits = q->ulimits;
	int rc;

	run_mounts_env(r);
	for (size_t i = 0; i < q->add_hosts.n; i++) {
		const char *h = q->add_hosts.v[i];
		size_t n = strcspn(h, "=:");
		AUTO(mem_freep) char *name = host_name(h);
		AUTO(mem_freep) char *line = mem_printf("%s\t%s", h[n] ? h + n + 1 : "", name);

		strs_add(&hosts, line);
	}
	for (size_t i = 0; i < r->argc; i++)
		strs_add(&argv, r->argv[i]);
	for (size_t i = 0; i < r->nenv; i++)
		if (!set_again(r->env[i], r->extra, r->nextra) && !set_again(r->env[i], r->edit.env, r->edit.nenv))
			strs_add(&env, r->env[i]);
	for (size_t i = 0; i < r->edit.nenv; i++)
		if (!set_again(r->edit.env[i], r->extra, r->nextra))
			strs_add(&env, r->edit.env[i]);
	size_t open = env.n;
	for (size_t i = 0; i < r->nextra; i++)
		if (!set_again(r->extra[i], r->extra + i + 1, r->nextra - i - 1))
			strs_add(&env, r->extra[i]);
	spec.hosts = (char **)strs_null(&hosts);
	spec.env = (char **)strs_null(&env);
	spec.argv = (char **)strs_null(&argv);
	spec.ulimit = (char **)strs_null(&limits);
	spec_options(&q->run, &spec);
	spec.grouped = r->cgroup.path;
	run_devices_groups(r, &spec);
	spec_root(s, &spec);
	rc = run_mounts_spec(r, &spec, e);
	if (rc == 0) {
		run_spec_pack(&spec, out);
		rc = buf_ok(out, "a step's description", e);
	}
	free(spec.mount);
	for (size_t i = open; i < env.n; i++)
		mem_wipe(env.v[i], strlen(env.v[i]));
	strs_clear(&hosts);
	strs_clear(&env);
	strs_clear(&argv);
	return rc;
}
