/* build/exec/run.c - a step's description and its result as flat bytes; see run.h. */
#include "build/exec/run.h"

#include "base/mem.h"

#include <stdlib.h>

enum { LIST_MAX = 1 << 20 };

static void put_strs(struct buf *b, char *const *v)
{
	uint32_t n = 0;

	while (v && v[n])
		n++;
	wire_put_u32(b, n);
	for (uint32_t i = 0; i < n; i++)
		wire_put_str(b, v[i]);
}

static void put_list(struct buf *b, char *const *v, size_t n)
{
	wire_put_u32(b, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		wire_put_str(b, v[i]);
}

/* A NULL-terminated list. Every element takes at least four bytes of input, which bounds the count. */
static char **get_strs(struct wire *w, size_t *ret_n)
{
	uint32_t n = wire_u32(w);
	char **v;

	if (n > w->rest.n / 4 || n > LIST_MAX) {
		w->bad = true;
		n = 0;
	}
	v = mem_array((size_t)n + 1, sizeof(*v));
	for (uint32_t i = 0; i < n; i++) {
		v[i] = wire_str(w);
		if (!v[i])
			v[i] = mem_str("");
	}
	if (ret_n)
		*ret_n = n;
	return v;
}

static void free_strs(char **v)
{
	for (size_t i = 0; v && v[i]; i++) {
		mem_wipe(v[i], strlen(v[i]));          /* env may hold secrets */
		free(v[i]);
	}
	free(v);
}

static void put_mount(struct buf *b, const struct run_mount *m)
{
	wire_put_u32(b, m->kind);
	wire_put_str(b, m->target);
	put_list(b, m->lower, m->nlower);
	wire_put_str(b, m->source);
	wire_put_str(b, m->cache);
	wire_put_str(b, m->id);
	wire_put_str(b, m->socket);
	wire_put_u32(b, (uint32_t)(m->readonly | m->lock_exclusive << 1 | m->lock_private << 2 | m->has_perm << 3 |
				   (m->content != NULL) << 4));
	wire_put_u32(b, m->mode);
	wire_put_u32(b, m->uid);
	wire_put_u32(b, m->gid);
	wire_put_u64(b, m->size);
	wire_put(b, (struct slice){ m->content, m->content ? m->ncontent : 0 });
}

static void get_mount(struct wire *w, struct run_mount *m)
{
	struct slice content;
	uint32_t bits;

	m->kind = wire_u32(w);
	if (m->kind > RUN_DEVICE)
		w->bad = true;
	m->target = wire_str(w);
	m->lower = get_strs(w, &m->nlower);
	m->source = wire_str(w);
	m->cache = wire_str(w);
	m->id = wire_str(w);
	m->socket = wire_str(w);
	bits = wire_u32(w);
	m->readonly = bits & 1;
	m->lock_exclusive = bits & 2;
	m->lock_private = bits & 4;
	m->has_perm = bits & 8;
	m->mode = wire_u32(w);
	m->uid = wire_u32(w);
	m->gid = wire_u32(w);
	m->size = wire_u64(w);
	content = wire_get(w);
	if (bits & 16) {
		m->content = mem_strn(content.p ? content.p : "", content.n);
		m->ncontent = content.n;
	}
	if (!m->target || (m->kind == RUN_CACHE && !m->cache))
		w->bad = true;
}

void run_spec_pack(const struct run_spec *r, struct buf *out)
{
	wire_put_str(out, r->store);
	wire_put_str(out, r->driver);
	put_list(out, r->lower, r->nlower);
	wire_put_str(out, r->snap);
	wire_put_u32(out, r->root_mode);
	wire_put_u32(out, r->root_uid);
	wire_put_u32(out, r->root_gid);
	wire_put_u32(out, r->root_follows);
	wire_put_u32(out, r->waits);
	put_strs(out, r->argv);
	put_strs(out, r->env);
	wire_put_str(out, r->cwd);
	wire_put_str(out, r->user);
	wire_put_str(out, r->hostname);
	put_strs(out, r->hosts);
	put_strs(out, r->dns);
	put_strs(out, r->dns_search);
	put_strs(out, r->dns_options);
	wire_put_u32(out, (uint32_t)(r->no_resolv | r->no_hosts << 1 | r->no_hostname << 2 | r->unfiltered << 3));
	put_strs(out, r->group);
	wire_put_u64(out, r->cap_add);
	wire_put_u64(out, r->cap_drop);
	wire_put_u32(out, r->net);
	wire_put_u32(out, r->insecure);
	wire_put_u64(out, r->shm_size);
	put_strs(out, r->ulimit);
	wire_put_u32(out, (uint32_t)(r->reads | r->grouped << 1));
	wire_put_u32(out, (uint32_t)r->nmount);
	for (size_t i = 0; i < r->nmount; i++)
		put_mount(out, &r->mount[i]);
	wire_put_u32(out, r->timeout_s);
}

static char *get_default(struct wire *w, const char *absent)
{
	char *s = wire_str(w);

	return s ? s : mem_str(absent);
}

static void get_network(struct wire *w, struct run_spec *r)
{
	uint32_t bits;

	r->hosts = get_strs(w, NULL);
	r->dns = get_strs(w, NULL);
	r->dns_search = get_strs(w, NULL);
	r->dns_options = get_strs(w, NULL);
	bits = wire_u32(w);
	r->no_resolv = bits & 1;
	r->no_hosts = bits & 2;
	r->no_hostname = bits & 4;
	r->unfiltered = bits & 8;
}

int run_spec_unpack(struct slice in, struct run_spec *ret, struct err **e)
{
	struct wire w = wire_of(in);
	struct run_spec r = { .store = NULL };
	uint32_t n;

	r.store = get_default(&w, "");
	r.driver = get_default(&w, "");
	r.lower = get_strs(&w, &r.nlower);
	r.snap = get_default(&w, "");
	r.root_mode = wire_u32(&w);
	r.root_uid = wire_u32(&w);
	r.root_gid = wire_u32(&w);
	r.root_follows = wire_u32(&w);
	r.waits = wire_u32(&w);
	r.argv = get_strs(&w, NULL);
	r.env = get_strs(&w, NULL);
	r.cwd = get_default(&w, "/");
	r.user = get_default(&w, "");
	r.hostname = get_default(&w, "buildkitsandbox");
	get_network(&w, &r);
	r.group = get_strs(&w, NULL);
	r.cap_add = wire_u64(&w);
	r.cap_drop = wire_u64(&w);
	r.net = wire_u32(&w);
	r.insecure = wire_u32(&w);
	r.shm_size = wire_u64(&w);
	r.ulimit = get_strs(&w, NULL);
	n = wire_u32(&w);
	r.reads = n & 1;
	r.grouped = n & 2;
	n = wire_u32(&w);
	if (n > w.rest.n / 4)
		w.bad = true;
	r.nmount = w.bad ? 0 : n;
	r.mount = mem_array(r.nmount + 1, sizeof(*r.mount));
	for (size_t i = 0; i < r.nmount; i++)
		get_mount(&w, &r.mount[i]);
	r.timeout_s = wire_u32(&w);
	if (r.net > RUN_NET_PRIVATE)
		w.bad = true;
	if (wire_done(&w, "the description of a step", e) < 0) {
		run_spec_clear(&r);
		return -1;
	}
	*ret = r;
	return 0;
}

void run_spec_clear(struct run_spec *r)
{
	for (size_t i = 0; i < r->nmount; i++) {
		struct run_mount *m = &r->mount[i];

		if (m->content)
			mem_wipe(m->content, m->ncontent);
		free(m->content);
		free(m->target);
		free_strs(m->lower);
		free(m->source);
		free(m->cache);
		free(m->id);
		free(m->socket);
	}
	free(r->mount);
	free(r->store);
	free(r->driver);
	free_strs(r->lower);
	free(r->snap);
	free_strs(r->argv);
	free_strs(r->env);
	free(r->cwd);
	free(r->user);
	free(r->hostname);
	free_strs(r->hosts);
	free_strs(r->dns);
	free_strs(r->dns_search);
	free_strs(r->dns_options);
	free_strs(r->group);
	free_strs(r->ulimit);
	*r = (struct run_spec){ .store = NULL };
}

void run_result_put(struct buf *b, const struct run_result *r)
{
	wire_put_u32(b, (uint32_t)r->status);
	wire_put_u32(b, (uint32_t)(r->oom | r->timed_out << 1));
	wire_put_str(b, r->reason);
	wire_put_i64(b, r->user_us);
	wire_put_i64(b, r->sys_us);
	wire_put_u64(b, r->max_rss);
}

int run_result_get(struct slice in, struct run_result *ret, struct err **e)
{
	struct wire w = wire_of(in);
	struct run_result r = { .status = 0 };
	uint32_t bits;

	r.status = (int)(wire_u32(&w) & 255);
	bits = wire_u32(&w);
	r.oom = bits & 1;
	r.timed_out = bits & 2;
	r.reason = wire_str(&w);
	r.user_us = wire_i64(&w);
	r.sys_us = wire_i64(&w);
	r.max_rss = wire_u64(&w);
	if (wire_done(&w, "the result of a step", e) < 0) {
		free(r.reason);
		return -1;
	}
	*ret = r;
	return 0;
}
