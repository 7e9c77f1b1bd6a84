/* build/op/expose.c - EXPOSE: words, ranges, protocols (spec/dockerfile.md 7.4). */
#include <arpa/inet.h>

#include "base/mem.h"
#include "build/plan.h"
#include "parser/diag.h"

struct range {
	uint32_t from, to;
};

static int parse_port(struct slice s, uint32_t *ret)
{
	uint64_t v;

	if (s.n && s.p[0] == '+')
		s = slice_skip(s, 1);
	if (!slice_u64(s, &v) || v > 65535)
		return -1;
	*ret = (uint32_t)v;
	return 0;
}

static int parse_range(struct slice s, struct range *ret)
{
	struct slice from = s, to = s;

	slice_cut(s, '-', &from, &to);
	if (!slice_find(s, '-'))
		to = from;
	if (parse_port(from, &ret->from) < 0 || parse_port(to, &ret->to) < 0 || ret->to < ret->from)
		return -1;
	return 0;
}

static int check_ip(struct slice s, struct err **e)
{
	unsigned char addr[16];
	struct slice bare = s;

	if (s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
		bare = (struct slice){ s.p + 1, s.n - 2 };
	AUTO(mem_freep) char *text = mem_strn(bare.p, bare.n);
	if (s.n && inet_pton(AF_INET, text, addr) != 1 && inet_pton(AF_INET6, text, addr) != 1)
		return err_set(e, ERR_INPUT, "invalid IP address: %.*s", SLICE_F(s));
	return 0;
}

/* The last ':' parts: [ip:][host:]container. */
static void split_spec(struct slice s, struct slice *ip, struct slice *host, struct slice *port)
{
	size_t cut = s.n;

	*ip = *host = SLICE_NONE;
	while (cut > 0 && s.p[cut - 1] != ':')
		cut--;
	*port = slice_skip(s, cut);
	if (cut == 0)
		return;
	s.n = cut - 1;
	for (cut = s.n; cut > 0 && s.p[cut - 1] != ':';)
		cut--;
	*host = slice_skip(s, cut);
	if (cut)
		*ip = (struct slice){ s.p, cut - 1 };
}

struct expose {
	struct eval *ev;
	const struct instr *in;
	struct span at;
	const char **list;
	size_t n, cap;
};

static int expose_proto(struct expose *x, struct slice proto, const char *spec, const char **ret, struct err **e)
{
	static const char *const known[] = { "tcp", "udp", "sctp" };

	*ret = "tcp";
	if (proto.n == 0)
		return 0;
	for (size_t i = 0; i < countof(known); i++) {
		if (!slice_is_nocase(proto, known[i]))
			continue;
		*ret = known[i];
		if (!slice_is(proto, known[i]))
			lint_report(&x->ev->plan->lint, LINT_ExposeProtoCasing, x->in, x->at,
				    "Defined protocol in EXPOSE instruction should be lowercase, found '%s'", spec);
		return 0;
	}
	return err_set(e, ERR_INPUT, "invalid proto: %.*s", SLICE_F(proto));
}

static int expose_one(struct expose *x, const char *spec, struct err **e)
{
	struct slice text = slice_of(spec), proto = SLICE_NONE, ip, host, port;
	struct range hr = { 0 }, cr;
	const char *name;

	slice_cut(text, '/', &text, &proto);
	split_spec(text, &ip, &host, &port);
	if (port.n == 0)
		return err_set(e, ERR_INPUT, "no port specified: %s<empty>", spec);
	if (check_ip(ip, e) < 0)
		return -1;
	if (parse_range(port, &cr) < 0)
		return err_set(e, ERR_INPUT, "invalid containerPort: %.*s", SLICE_F(port));
	if (host.n && parse_range(host, &hr) < 0)
		return err_set(e, ERR_INPUT, "invalid hostPort: %.*s", SLICE_F(host));
	if (host.n && hr.to - hr.from != cr.to - cr.from && cr.to != cr.from)
		return err_set(e, ERR_INPUT, "invalid ranges specified for container and host Ports: %.*s and %.*s", SLICE_F(port),
			       SLICE_F(host));
	if (expose_proto(x, proto, spec, &name, e) < 0)
		return -1;
	if (host.p || ip.n)
		lint_report(&x->ev->plan->lint, LINT_ExposeInvalidFormat, x->in, x->at,
			    "EXPOSE instruction should not define an IP address or host-port mapping, found '%s'", spec);
	for (uint32_t p = cr.from; p <= cr.to; p++) {
		MEM_ROOM(x->list, x->n, x->cap);
		x->list[x->n] = eval_printf(x->ev, "%u/%s", p, name);
		config_set_add(x->ev->image, "ExposedPorts", x->list[x->n++]);
	}
	return 0;
}

static int by_text(const void *a, const void *b)
{
	const struct word *const *x = a, *const *y = b;

	return strcmp((*x)->text, (*y)->text);
}

static int expose_words(struct expose *x, struct err **e)
{
	const struct instr *in = x->in;
	const struct word **word = arena_alloc(x->ev->arena, in->narg * elem_size(word));

	/* Sorted before expansion: a quirk that shows in the history. */
	for (size_t i = 0; i < in->narg; i++)
		word[i] = &in->arg[i];
	qsort(word, in->narg, elem_size(word), by_text);
	for (size_t i = 0; i < in->narg; i++) {
		const char **v;
		size_t n;

		x->at = word[i]->at;
		if (eval_expand_words(x->ev, in, word[i]->text, word[i]->at, &v, &n, e) < 0)
			return -1;
		for (size_t k = 0; k < n; k++) {
			if (expose_one(x, v[k], e) < 0) {
				err_hint(e, "a port or a range of 0 to 65535, and perhaps /tcp, /udp or /sctp: 80, 8000-8010/udp");
				err_wrap(e, "invalid port: \"%s\"", v[k]);
				return diag_place(e, x->ev->plan->file->source, word[i]->at);
			}
		}
	}
	return 0;
}

static int expose_eval(struct eval *ev, const struct instr *in, struct err **e)
{
	struct expose x = { .ev = ev, .in = in };
	AUTO(buf_freep) struct buf b = BUF_MAX(4 << 20);
	int rc = expose_words(&x, e);

	buf_str(&b, "EXPOSE [");
	for (size_t i = 0; i < x.n; i++)
		buf_printf(&b, "%s%s", i ? " " : "", x.list[i]);
	buf_char(&b, ']');
	free(x.list);
	if (rc < 0 || buf_ok(&b, "EXPOSE", e) < 0)
		return -1;
	eval_history(ev, b.p);
	return 0;
}

const struct op op_EXPOSE = { .eval = expose_eval };
