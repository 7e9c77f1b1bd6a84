/* build/cmd/build_steps.c - options of `kiln build` that say what every RUN is given (spec/cli-flags.md 5). */
#include "base/mem.h"
#include "build/cmd/build.h"
#include "parser/flags.h"
#include "parser/ignore.h"

#include <arpa/inet.h>
#include <errno.h>
#include <strings.h>

/* "name:ip" or "name=ip"; an address may stand in brackets. */
static int add_host(const char *text, struct build_req *r, struct err **e)
{
	unsigned char addr[16];
	const char *sep = strchr(text, '=');

	if (!sep)
		sep = strchr(text, ':');
	if (!sep || sep == text || !sep[1])
		return err_set(e, ERR_USAGE, "--add-host is '%s', not of the form NAME=IP", text);
	AUTO(mem_freep) char *name = mem_strn(text, (size_t)(sep - text));
	struct slice ip = slice_of(sep + 1);
	if (ip.n > 2 && ip.p[0] == '[' && ip.p[ip.n - 1] == ']')
		ip = (struct slice){ ip.p + 1, ip.n - 2 };
	/* With the network of the host, the host is at its own loopback address. */
	AUTO(mem_freep) char *address = slice_is(ip, "host-gateway") ? mem_str("127.0.0.1") : mem_strn(ip.p, ip.n);
	if (inet_pton(AF_INET, address, addr) != 1 && inet_pton(AF_INET6, address, addr) != 1)
		return err_set(e, ERR_USAGE, "--add-host is '%s', but '%s' is no IP address", text, address);
	if (name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")])
		return err_set(e, ERR_USAGE, "--add-host is '%s', but '%s' is no host name", text, name);
	AUTO(mem_freep) char *pair = mem_printf("%s=%s", name, address);
	strs_add(&r->add_hosts, pair);
	return 0;
}

static bool limit_value(struct slice s, uint64_t *v)
{
	*v = UINT64_MAX;
	return slice_is(s, "-1") || slice_is(s, "unlimited") || slice_u64(s, v);
}

static int ulimit(const char *text, struct build_req *r, struct err **e)
{
	static const char *const names[] = { "as",      "core", "cpu",    "data",   "fsize",      "locks",    "memlock", "msgqueue",
					     "nice",    "nofile", "nproc", "rss",    "rtprio",     "rttime",   "sigpending", "stack" };
	struct slice name, value, soft, hard = SLICE_NONE;
	uint64_t low, high = UINT64_MAX;

	if (!slice_cut(slice_of(text), '=', &name, &value))
		return err_set(e, ERR_USAGE, "--ulimit is '%s', not of the form NAME=SOFT[:HARD]", text);
	bool known = false;
	for (size_t i = 0; i < countof(names); i++)
		known = known || slice_is(name, names[i]);
	if (!known)
		return err_set(e, ERR_USAGE, "--ulimit is '%s', but there is no limit '%.*s'", text, SLICE_F(name));
	bool two = slice_cut(value, ':', &soft, &hard);
	if (!limit_value(soft, &low) || (two && !limit_value(hard, &high)))
		return err_set(e, ERR_USAGE, "--ulimit is '%s', but its value is no number", text);
	if (low > high)
		return err_set(e, ERR_USAGE, "--ulimit is '%s': invalid ulimit, its soft limit is above its hard limit", text);
	strs_add(&r->ulimits, text);
	return 0;
}

static int hostname(const char *name, struct err **e)
{
	size_t n = strlen(name);

	if (n == 0 || n > 63 || name[0] == '-' || name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")])
		return err_set(e, ERR_USAGE, "--hostname is '%s', which is no host name", name);
	return 0;
}

/* ---- /etc/resolv.conf */

static void copy(const struct strs *from, struct strs *to)
{
	for (size_t i = 0; i < from->n; i++)
		strs_add(to, from->v[i]);
}

/* A line break would begin a line of its own. */
static int one_word(const char *option, const struct strs *list, struct err **e)
{
	for (size_t i = 0; i < list->n; i++)
		if (!*list->v[i] || strpbrk(list->v[i], " \t\r\n#;"))
			return err_set(e, ERR_USAGE, "--%s is '%s', which is not one word", option, list->v[i]);
	return 0;
}

static int resolver(struct build_opts *o, struct build_req *r, struct err **e)
{
	unsigned char addr[16];

	for (size_t i = 0; i < o->dns.n; i++) {
		const char *ip = o->dns.v[i];

		if (strcmp(ip, "none") == 0 && o->dns.n == 1 && o->dns_search.n == 0 && o->dns_options.n == 0)
			r->run.no_resolv = true;
		else if (inet_pton(AF_INET, ip, addr) != 1 && inet_pton(AF_INET6, ip, addr) != 1)
			return err_set(e, ERR_USAGE, "--dns is '%s', which is no IP address", ip);
	}
	if (one_word("dns-search", &o->dns_search, e) < 0 || one_word("dns-option", &o->dns_options, e) < 0)
		return -1;
	if ((o->dns.n || o->dns_search.n || o->dns_options.n) && o->network && strcmp(o->network, "none") == 0)
		return err_set(e, ERR_USAGE, "--dns, --dns-search and --dns-option need a network, and --network is 'none'");
	if (!r->run.no_resolv)
		copy(&o->dns, &r->run.dns);
	copy(&o->dns_search, &r->run.dns_search);
	copy(&o->dns_options, &r->run.dns_options);
	return 0;
}

/* ---- who a step is */

/* By number. */
static const char *const cap_names[] = {
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
	"NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
	"SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE",
	"AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
	"PERFMON", "BPF", "CHECKPOINT_RESTORE",
};

/* "NET_ADMIN", "cap_net_admin", "all" to a set. */
static int cap_set(const char *option, const struct strs *list, bool *all, uint64_t *ret, struct err **e)
{
	for (size_t i = 0; i < list->n; i++) {
		const char *name = list->v[i] + (strncasecmp(list->v[i], "CAP_", 4) == 0 ? 4 : 0);
		size_t cap = 0;

		if (strcasecmp(name, "all") == 0) {
			*all = true;
			continue;
		}
		while (cap < countof(cap_names) && strcasecmp(cap_names[cap], name) != 0)
			cap++;
		if (cap == countof(cap_names)) {
			const char *near = nearest_word(slice_of(name), cap_names, countof(cap_names), true);

			err_set(e, ERR_USAGE, "--%s is '%s', which is no capability", option, list->v[i]);
			return near ? err_hint(e, "did you mean CAP_%s?", near) : -1;
		}
		*ret |= 1ULL << cap;
	}
	return 0;
}

/* What is named counts more than "all". */
static int capabilities(struct build_opts *o, struct build_req *r, struct err **e)
{
	uint64_t add = 0, drop = 0;
	bool add_all = false, drop_all = false;

	if (cap_set("cap-add", &o->cap_add, &add_all, &add, e) < 0 || cap_set("cap-drop", &o->cap_drop, &drop_all, &drop, e) < 0)
		return -1;
	if ((add & drop) || (add_all && drop_all))
		return err_set(e, ERR_USAGE, "a capability is in --cap-add and in --cap-drop");
	r->run.cap_add = add_all ? ~drop : add;
	r->run.cap_drop = drop_all ? ~add : drop;
	return 0;
}

static int groups(struct app *a, struct build_opts *o, struct build_req *r, struct err **e)
{
	for (size_t i = 0; i < o->groups.n; i++) {
		const char *g = o->groups.v[i];

		/* They mean something on this host alone, and are left behind before a step begins. */
		if (strcmp(g, "keep-groups") == 0)
			report_note(a->report, REPORT_WARNING, "--group-add=keep-groups has no effect: a step has no groups of this host");
		else if (!*g || strpbrk(g, ":, "))
			return err_set(e, ERR_USAGE, "--group-add is '%s', which is no group", g);
		else
			strs_add(&r->run.groups, g);
	}
	return 0;
}

/* Only the filter of system calls is for us to leave out; the rest is what the host does with every process. */
static int security(struct app *a, struct build_opts *o, struct build_req *r, struct err **e)
{
	for (size_t i = 0; i < o->security.n; i++) {
		const char *opt = o->security.v[i];

		if (strcmp(opt, "seccomp=unconfined") == 0 || strcmp(opt, "seccomp:unconfined") == 0) {
			r->run.unfiltered = true;
		} else if (strncmp(opt, "seccomp", 7) == 0) {
			err_set(e, ERR_USAGE, "--security-opt is '%s', but the filter of system calls is built in", opt);
			return err_hint(e, "seccomp=unconfined leaves it out");
		} else {
			report_note(a->report, REPORT_WARNING, "--security-opt has no effect: '%s' is decided by the host", opt);
		}
	}
	return 0;
}

/* Of the environment, unless a build argument says otherwise (spec/cli-flags.md 10). */
static void proxies(struct build_opts *o, struct build_req *r)
{
	static const char *const names[] = { "http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy" };

	for (size_t i = 0; i < countof(names) && o->http_proxy != TRI_NO; i++) {
		AUTO(mem_freep) char *upper = mem_str(names[i]);

		for (char *c = upper; *c; c++)
			*c = (char)(*c >= 'a' && *c <= 'z' ? *c - 32 : *c);
		const char *value = getenv(names[i]) ? getenv(names[i]) : getenv(upper);
		if (!value || !*value)
			continue;
		AUTO(mem_freep) char *pair = mem_printf("%s=%s", names[i], value);
		strs_add(&r->run.proxies, pair);
	}
}

/* ---- what a step sees of other places */

static char *as_written(void *arg, const char *text, struct err **e)
{
	return mem_str(text);
}

static int mounts(struct build_opts *o, struct build_req *r, struct err **e)
{
	for (size_t i = 0; i < o->mounts.n; i++) {
		struct mount_opts m = { 0 };

		if (mount_parse(o->mounts.v[i], as_written, NULL, &m, e) < 0) {
			err_kind_set(e, ERR_USAGE);
			return err_wrap(e, "--mount is '%s'", o->mounts.v[i]);
		}
		mount_opts_clear(&m);
		strs_add(&r->run.mounts, o->mounts.v[i]);
	}
	return 0;
}

static int volume_options(struct slice list, bool *readonly, struct err **e)
{
	/* Labels, propagation and the caches of other systems: nothing is to be done. */
	static const char *const taken[] = { "rw", "z", "Z", "bind", "rbind", "private", "rprivate", "slave", "rslave", "shared", "rshared",
					     "nodev", "nosuid", "exec", "cached", "delegated", "consistent" };
	struct slice one = SLICE_NONE;
	bool more = true;

	while (more) {
		bool known = false;

		more = slice_cut(list, ',', &one, &list);
		for (size_t i = 0; i < countof(taken); i++)
			known = known || slice_is(one, taken[i]);
		if (slice_is(one, "ro"))
			*readonly = true;
		else if (!known)
			return err_set(e, ERR_USAGE, "there is no option '%.*s' here, only ro, rw, z and Z", SLICE_F(one));
	}
	return 0;
}

static bool reserved(const char *path)
{
	static const char *const place[] = { "/proc", "/sys", "/dev" };

	for (size_t i = 0; i < countof(place); i++)
		if (strncmp(path, place[i], strlen(place[i])) == 0 && strchr("/", path[strlen(place[i])]))
			return true;
	return strcmp(path, "/") == 0;
}

static void volume_add(struct build_req *r, struct volume v)
{
	r->run.volume = mem_grow(r->run.volume, r->run.nvolume + 1, sizeof(*r->run.volume));
	r->run.volume[r->run.nvolume++] = v;
}

/* SOURCE:TARGET[:OPTIONS] */
static int volume(const char *text, struct build_req *r, struct err **e)
{
	AUTO(buf_freep) struct buf target = BUF_MAX(8192);
	struct slice source, rest, path, options = SLICE_NONE;
	bool readonly = false;

	if (!slice_cut(slice_of(text), ':', &source, &rest) || source.n == 0 || rest.n == 0 || rest.p[0] != '/')
		return err_set(e, ERR_USAGE, "it is not of the form SOURCE:TARGET[:ro], with an absolute TARGET");
	if (slice_cut(rest, ':', &path, &options) && volume_options(options, &readonly, e) < 0)
		return -1;
	path_clean(path, &target);
	if (buf_ok(&target, "its target", e) < 0)
		return -1;
	if (reserved(target.p))
		return err_set(e, ERR_USAGE, "'%s' belongs to the step", target.p);
	AUTO(mem_freep) char *name = mem_strn(source.p, source.n);
	AUTO(mem_freep) char *real = realpath(name, NULL);
	if (!real)
		return err_errno(e, ERR_SOURCE, errno, "cannot find '%s'", name);
	volume_add(r, (struct volume){ .source = take(&real), .target = buf_steal(&target), .readonly = readonly });
	return 0;
}

/* PATH[:TARGET][:PERMISSIONS] of a node, or "vendor/class=name". What the step may do with it is the node's mode to say. */
static int device(const char *text, struct build_req *r, struct err **e)
{
	AUTO(buf_freep) struct buf target = BUF_MAX(8192);
	struct slice source, rest = SLICE_NONE, path = SLICE_NONE, rights = SLICE_NONE;
	struct stat st;

	if (text[0] != '/') {
		if (!strchr(text, '/') || !strchr(text, '='))
			return err_set(e, ERR_USAGE, "it is neither an absolute path nor of the form vendor/class=name");
		strs_add(&r->run.devices, text);
		return 0;
	}
	slice_cut(slice_of(text), ':', &source, &rest);
	slice_cut(rest, ':', &path, &rights);
	if (path.n && path.p[0] != '/' && !rights.n) {
		rights = path;
		path = SLICE_NONE;
	}
	for (size_t i = 0; i < rights.n; i++)
		if (!strchr("rwm", rights.p[i]))
			return err_set(e, ERR_USAGE, "'%.*s' is made of other letters than r, w and m", SLICE_F(rights));
	path_clean(path.n ? path : source, &target);
	if (buf_ok(&target, "its target", e) < 0)
		return -1;
	if (target.p[0] != '/' || target.n == 1)
		return err_set(e, ERR_USAGE, "its target '%s' is not an absolute path of a file", target.p);
	AUTO(mem_freep) char *name = mem_strn(source.p, source.n);
	if (fstatat(AT_FDCWD, name, &st, 0) < 0)
		return err_errno(e, ERR_SOURCE, errno, "cannot find '%s'", name);
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(e, ERR_USAGE, "'%s' is no device; a file or directory is given with --volume", name);
	volume_add(r, (struct volume){ .source = take(&name), .target = buf_steal(&target), .device = true });
	return 0;
}

static int devices(struct build_opts *o, struct build_req *r, struct err **e)
{
	static const char *const usual[] = { "/etc/cdi", "/var/run/cdi" };

	for (size_t i = 0; i < o->devices.n; i++)
		if (device(o->devices.v[i], r, e) < 0)
			return err_wrap(e, "--device is '%s'", o->devices.v[i]);
	for (size_t i = 0; i < o->cdi_dirs.n; i++)
		strs_add(&r->run.cdi_dirs, o->cdi_dirs.v[i]);
	for (size_t i = 0; i < countof(usual) && !o->cdi_dirs.n; i++)
		strs_add(&r->run.cdi_dirs, usual[i]);
	return 0;
}

static int by_target(const void *a, const void *b)
{
	const struct volume *x = a, *y = b;

	return strcmp(x->target, y->target);
}

static int volumes(struct build_opts *o, struct build_req *r, struct err **e)
{
	for (size_t i = 0; i < o->volumes.n; i++)
		if (volume(o->volumes.v[i], r, e) < 0)
			return err_wrap(e, "--volume is '%s'", o->volumes.v[i]);
	if (r->run.nvolume)
		qsort(r->run.volume, r->run.nvolume, sizeof(*r->run.volume), by_target);
	return 0;
}

int build_steps(struct app *a, struct build_opts *o, struct build_req *r, struct err **e)
{
	for (size_t i = 0; i < o->add_hosts.n; i++)
		if (add_host(o->add_hosts.v[i], r, e) < 0)
			return -1;
	for (size_t i = 0; i < o->ulimits.n; i++)
		if (ulimit(o->ulimits.v[i], r, e) < 0)
			return -1;
	for (size_t i = 0; i < o->secrets.n; i++)
		if (build_secret(a, o->secrets.v[i], r, e) < 0)
			return -1;
	for (size_t i = 0; i < o->ssh.n; i++)
		if (build_ssh(a, o->ssh.v[i], r, e) < 0)
			return -1;
	for (size_t i = 0; i < o->allow.n; i++) {
		const char *what = o->allow.v[i];

		if (strcmp(what, "network.host") != 0 && strcmp(what, "security.insecure") != 0 && strcmp(what, "device") != 0)
			return err_set(e, ERR_USAGE, "--allow is '%s', none of network.host, security.insecure, device", what);
		strs_add(&r->allow, what);
	}
	if ((o->hostname && hostname(o->hostname, e) < 0) || resolver(o, r, e) < 0 || capabilities(o, r, e) < 0 || mounts(o, r, e) < 0 ||
	    devices(o, r, e) < 0 || volumes(o, r, e) < 0 || groups(a, o, r, e) < 0 || security(a, o, r, e) < 0)
		return -1;
	if (o->use_stdin && (strcmp(r->context, "-") == 0 || (r->file && strcmp(r->file, "-") == 0)))
		return err_set(e, ERR_USAGE, "--stdin gives standard input to the steps, and it is where the Dockerfile comes from");
	proxies(o, r);
	r->run.no_hosts = o->no_hosts;
	r->run.no_hostname = o->no_hostname;
	r->run.use_stdin = o->use_stdin;
	r->hostname = o->hostname;
	r->shm_size = o->shm_size;
	r->network = o->network ? o->network : "default";
	r->jobs = (unsigned)o->jobs;
	return 0;
}
