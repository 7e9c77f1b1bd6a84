/* tests/unit/flags.c - CSV records, --mount fields, sizes, durations (spec/dockerfile.md 8.6, Appendix D.1, G). */
#include "tests/tap.h"

#include "base/mem.h"
#include "parser/flags.h"

#include <inttypes.h>
#include <stdlib.h>

/* want: fields joined by '|'. */
static const struct { const char *in, *want; } csv[] = {
	{ "a,b", "a|b" },
	{ "a", "a" },
	{ "", "" },
	{ "a,", "a|" },
	{ ",,", "||" },
	{ "\"a,b\",c", "a,b|c" },
	{ "\"a\"\"b\"", "a\"b" },
	{ "\"\"", "" },
	{ " a , b", " a | b" },
	{ "a\"b", NULL },
	{ "\"a\"b", NULL },
	{ "\"a", NULL },
	{ "a\nb", NULL },
};

static void run_csv(size_t i)
{
	AUTO(buf_freep) struct buf got = BUF_MAX(1000);
	AUTO(err_freep) struct err *e = NULL;
	char **v = NULL;
	size_t n = 0;

	if (csv_split(slice_of(csv[i].in), &v, &n, &e) < 0) {
		ok(!csv[i].want && strstr(err_text(e), "failed to parse csv"), "csv record %zu is refused", i);
		return;
	}
	for (size_t k = 0; k < n; k++)
		buf_printf(&got, "%s%s", k ? "|" : "", v[k]);
	is_str(got.p ? got.p : "", csv[i].want, csv[i].in);
	csv_free(v, n);
}

static const struct { const char *in, *want, *err; } mounts[] = {
	{ "target=/x", "bind target=/x ro", NULL },
	{ "type=bind,src=a,dst=/x,from=st", "bind target=/x source=a from=st ro", NULL },
	{ "TYPE=Cache,Destination=/x", "cache target=/x rw sharing=0", NULL },
	{ "type=cache,target=/x,sharing=locked,id=i,mode=0700,uid=1,gid=2", "cache target=/x id=i rw sharing=2 mode=700 uid=1 gid=2", NULL },
	{ "type=tmpfs,target=/x,size=64m", "tmpfs target=/x rw size=67108864", NULL },
	{ "type=secret,id=s,required", "secret id=s ro required", NULL },
	{ "type=secret,id=s,env=E", "secret id=s env=E ro", NULL },
	{ "type=secret,id=s,required=false,mode=444", "secret id=s ro mode=444", NULL },
	{ "type=ssh", "ssh ro", NULL },
	{ "type=ssh,required=1", "ssh ro required", NULL },
	{ "target=/x,rw", "bind target=/x rw", NULL },
	{ "target=/x,rw=false", "bind target=/x ro", NULL },
	{ "type=cache,target=/x,readonly", "cache target=/x ro sharing=0", NULL },
	{ "target=/a,target=/b", "bind target=/b ro", NULL },
	{ "target=$V", "bind target=(V) ro", NULL },
	{ "\"target=/a,b\"", "bind target=/a,b ro", NULL },
	{ "from=a$", "bind from=a$ ro", NULL },
	{ "target=/x,foo", NULL, "invalid field 'foo' must be a key=value pair" },
	{ "target=/x,", NULL, "invalid field '' must be a key=value pair" },
	{ "type=bind,required", NULL, "unexpected key 'required' for mount type 'bind'" },
	{ "required,type=secret", NULL, "unexpected key 'required' for mount type 'bind'" },
	{ "size=1,type=tmpfs", NULL, "unexpected key 'size' for mount type 'bind'" },
	{ "taget=/x", NULL, "unexpected key 'taget' in 'taget=/x'" },
	{ "type=bid", NULL, "unsupported mount type" },
	{ "type=cache,sharing=shraed", NULL, "unsupported sharing value" },
	{ "type=cache,mode=9", NULL, "invalid value 9 for mode" },
	{ "type=cache,uid=-1", NULL, "invalid value -1 for uid" },
	{ "type=cache,gid=4294967296", NULL, "invalid value 4294967296 for gid" },
	{ "ro=maybe", NULL, "invalid value for ro: maybe" },
	{ "target=/x,mode=1", NULL, "mode not allowed for \"bind\" type mounts" },
	{ "type=tmpfs,target=/x,uid=1", NULL, "uid not allowed for \"tmpfs\" type mounts" },
	{ "target=/x,sharing=locked", NULL, "invalid cache sharing set for bind mount" },
	{ "type=secret,from=a,id=s", NULL, "secret mount should not have a from" },
	{ "type=secret,sharing=shared,id=s", NULL, "secret mount should not define sharing" },
	{ "type=secret", NULL, "invalid secret mount. one of source, target required" },
	{ "type=secret,source=a,id=b", NULL, "both source and id can't be set" },
	{ "type=ssh,source=a", NULL, "ssh does not support source" },
	{ "type=tmpfs,target=/x,size=-1", NULL, "invalid value for size" },
	{ "from=$X", NULL, "'from' doesn't support variable expansion" },
	{ "a\"b", NULL, "failed to parse csv mounts" },
};

/* "$V" gives "(V)", so that a test sees which values went through. */
static char *expand(void *arg, const char *text, struct err **e)
{
	return text[0] == '$' ? mem_printf("(%s)", text + 1) : mem_str(text);
}

static void describe(const struct mount_opts *m, struct buf *out)
{
	static const char *const types[] = { "bind", "cache", "tmpfs", "secret", "ssh" };

	buf_str(out, types[m->type]);
	if (m->target)
		buf_printf(out, " target=%s", m->target);
	if (m->source)
		buf_printf(out, " source=%s", m->source);
	if (m->from)
		buf_printf(out, " from=%s", m->from);
	if (m->id)
		buf_printf(out, " id=%s", m->id);
	if (m->env)
		buf_printf(out, " env=%s", m->env);
	buf_str(out, m->readonly ? " ro" : " rw");
	if (m->required)
		buf_str(out, " required");
	if (m->type == MOUNT_CACHE)
		buf_printf(out, " sharing=%d", (int)m->sharing);
	if (m->size)
		buf_printf(out, " size=%" PRIu64, m->size);
	if (m->has_mode)
		buf_printf(out, " mode=%o", m->mode);
	if (m->has_uid)
		buf_printf(out, " uid=%u", m->uid);
	if (m->has_gid)
		buf_printf(out, " gid=%u", m->gid);
}

static void run_mount(size_t i)
{
	AUTO(buf_freep) struct buf got = BUF_MAX(1000), text = BUF_MAX(4000);
	AUTO(err_freep) struct err *e = NULL;
	struct mount_opts m = { 0 };

	if (mount_parse(mounts[i].in, expand, NULL, &m, &e) < 0) {
		err_print(e, &text);
		ok(mounts[i].err && strstr(text.p, mounts[i].err), "mount %s: %s", mounts[i].in,
		   mounts[i].err ? mounts[i].err : text.p);
		return;
	}
	describe(&m, &got);
	mount_opts_clear(&m);
	is_str(got.p, mounts[i].want, mounts[i].in);
}

static const struct { const char *in, *from; } froms[] = {
	{ "type=cache,from=a,target=/x", "a" },
	{ "FROM=b", "b" },
	{ "from=a,from=b", "b" },
	{ "target=/x", NULL },
	{ "nonsense,from=c", "c" },
};

static const struct { const char *in; uint64_t want; bool bad; } sizes[] = {
	{ "0", 0, false },
	{ "1", 1, false },
	{ "64m", UINT64_C(64) << 20, false },
	{ "64M", UINT64_C(64) << 20, false },
	{ "64mb", UINT64_C(64) << 20, false },
	{ "64MiB", UINT64_C(64) << 20, false },
	{ "1.5 GiB", UINT64_C(3) << 29, false },
	{ "1.5k", 1536, false },
	{ ".5k", 512, false },
	{ "2t", UINT64_C(2) << 40, false },
	{ "1p", UINT64_C(1) << 50, false },
	{ "3b", 3, false },
	{ "18446744073709551615", UINT64_MAX, false },
	{ "18446744073709551616", 0, true },
	{ "16384p", 0, true },
	{ "", 0, true },
	{ "k", 0, true },
	{ "-1", 0, true },
	{ "1  k", 0, true },
	{ "1x", 0, true },
	{ "1kk", 0, true },
	{ "1.2.3", 0, true },
	{ "1bb", 0, true },
};

static void run_size(size_t i)
{
	uint64_t got = 0;
	int rc = parse_size(slice_of(sizes[i].in), &got, NULL);

	ok(sizes[i].bad ? rc < 0 : rc == 0 && got == sizes[i].want, "size '%s' is %s", sizes[i].in,
	   sizes[i].bad ? "refused" : "read");
}

static const struct { const char *in, *out; } durations[] = {
	{ "0", "0s" },
	{ "-0", "0s" },
	{ "5s", "5s" },
	{ "90s", "1m30s" },
	{ "1h", "1h0m0s" },
	{ "5m", "5m0s" },
	{ "1.5s", "1.5s" },
	{ "1h15m30.918s", "1h15m30.918s" },
	{ "100ms", "100ms" },
	{ "1.5ms", "1.5ms" },
	{ "1us", "1\xC2\xB5s" },
	{ "1\xC2\xB5s", "1\xC2\xB5s" },
	{ "1\xCE\xBCs", "1\xC2\xB5s" },
	{ "999ns", "999ns" },
	{ "-1.5h", "-1h30m0s" },
	{ "+5s", "5s" },
	{ ".5s", "500ms" },
	{ "1.s", "1s" },
	{ "2562047h47m16.854775807s", "2562047h47m16.854775807s" },
	{ "-2562047h47m16.854775808s", "-2562047h47m16.854775808s" },
	{ "2562047h47m16.854775808s", NULL },
	{ "", NULL },
	{ "5", NULL },
	{ "s", NULL },
	{ ".s", NULL },
	{ "1d", NULL },
	{ "1 s", NULL },
	{ "-", NULL },
	{ "1s1", NULL },
	{ "99999999999999999999s", NULL },
};

static void run_duration(size_t i)
{
	AUTO(buf_freep) struct buf out = BUF_MAX(100);
	int64_t ns = 0;

	if (parse_duration(slice_of(durations[i].in), &ns, NULL) < 0) {
		ok(!durations[i].out, "duration '%s' is refused", durations[i].in);
		return;
	}
	print_duration(ns, &out);
	is_str(out.p, durations[i].out, durations[i].in);
}

static const struct { const char *word, *want; bool nocase; } nearest[] = {
	{ "COPPY", "COPY", true },
	{ "fro", "FROM", true },
	{ "run", NULL, true },
	{ "run", NULL, false },
	{ "banana", NULL, true },
};

int main(void)
{
	static const char *const words[] = { "FROM", "RUN", "COPY" };

	for (size_t i = 0; i < countof(csv); i++)
		run_csv(i);
	for (size_t i = 0; i < countof(mounts); i++)
		run_mount(i);
	for (size_t i = 0; i < countof(froms); i++) {
		AUTO(mem_freep) char *from = NULL;

		ok(mount_from(froms[i].in, &from, NULL) == 0, "from of %s is read", froms[i].in);
		is_str(from, froms[i].from, froms[i].in);
	}
	for (size_t i = 0; i < countof(sizes); i++)
		run_size(i);
	for (size_t i = 0; i < countof(durations); i++)
		run_duration(i);
	for (size_t i = 0; i < countof(nearest); i++)
		is_str(nearest_word(slice_of(nearest[i].word), words, countof(words), nearest[i].nocase), nearest[i].want,
		       nearest[i].word);
	return done_testing();
}
