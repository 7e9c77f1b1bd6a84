/* tests/unit/transfer.c - pull_run() and push_run() against a registry that misbehaves (tests/regd.c, in a child). */
int regd_main(int argc, char **argv);
#define main regd_main
#include "../regd.c"
#include "../regd_api.c"
#undef main

#include "base/at.h"
#include "base/clock.h"
#include "registry/http.h"
#include "registry/transfer.h"
#include "../tap.h"

#include <fcntl.h>
#include <regex.h>
#include <sys/wait.h>

enum { LAYERS = 3, SCRIPT = 5, LOGS = 3 };

/* ---- a registry in a child */

struct server {
	pid_t pid;
	int in;
	unsigned port, storage;
	char log[64];
};

static void server_start(struct server *s, const char *const *script)
{
	char *argv[SCRIPT + 3] = { (char *)(uintptr_t)"regd", s->log, NULL };
	int in[2], out[2];
	char line[64] = "";

	snprintf(s->log, sizeof(s->log), "/tmp/kiln-regd-%d.log", getpid());
	for (size_t i = 0; i < SCRIPT && script[i]; i++)
		argv[i + 2] = mem_str(script[i]);
	if (fd_pipe(in, NULL) < 0 || fd_pipe(out, NULL) < 0)
		abort();
	fflush(stdout);                          /* or the child would say it again */
	s->pid = fork();
	if (s->pid == 0) {
		int argc = 0;

		while (argv[argc])
			argc++;
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		_exit(regd_main(argc, argv));
	}
	close(in[0]);
	close(out[1]);
	for (size_t i = 2; argv[i]; i++)
		free(argv[i]);
	for (size_t n = 0; n + 1 < sizeof(line) && (n == 0 || line[n - 1] != '\n') && read(out[0], line + n, 1) == 1; n++)
		;
	close(out[0]);
	s->in = in[1];
	if (sscanf(line, "%u %u", &s->port, &s->storage) != 2)
		abort();
}

static void server_stop(struct server *s)
{
	close(s->in);
	kill(s->pid, SIGTERM);
	waitpid(s->pid, NULL, 0);
	unlink(s->log);
}

static bool log_has(const struct server *s, const char *pattern)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(1 << 20);
	AUTO(fd_closep) int fd = openat(AT_FDCWD, s->log, O_RDONLY | O_CLOEXEC);
	regex_t re;

	if (fd < 0 || fd_read_all(fd, &b, NULL) < 0 || regcomp(&re, pattern, REG_EXTENDED | REG_NEWLINE | REG_NOSUB) != 0)
		return false;
	bool hit = b.p && regexec(&re, b.p, 0, NULL, 0) == 0;
	regfree(&re);
	return hit;
}

static void log_show(const struct server *s)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(1 << 20);
	AUTO(fd_closep) int fd = openat(AT_FDCWD, s->log, O_RDONLY | O_CLOEXEC);
	struct slice rest, line;

	if (fd < 0 || fd_read_all(fd, &b, NULL) < 0)
		return;
	rest = buf_view(&b);
	while (slice_cut(rest, '\n', &line, &rest))
		printf("# log: %.*s\n", SLICE_F(line));
}

/* ---- an image in a store */

struct image_data {
	char dir[64];
	int store;
	struct push_blob blob[LAYERS + 1];
	struct buf manifest;
};

static void blob_put(struct image_data *im, size_t i, struct slice bytes)
{
	char hex[DIGEST_HEX + 1], path[128];

	digest_of(bytes.p, bytes.n, &im->blob[i].digest);
	im->blob[i].size = (int64_t)bytes.n;
	digest_hex(&im->blob[i].digest, hex);
	snprintf(path, sizeof(path), "blobs/sha256/%s", hex);
	AUTO(fd_closep) int fd = openat(im->store, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || fd_write_all(fd, bytes.p, bytes.n, NULL) < 0)
		abort();
}

static void image_make(struct image_data *im)
{
	static const size_t sizes[LAYERS] = { 3 << 20, 700001, 10 };
	static const char type[] = "application/vnd.oci.image.layer.v1.tar+gzip";
	static const char config[] = "{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":["
				     "\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\","
				     "\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\","
				     "\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\"]}}";
	uint32_t x = 1;

	snprintf(im->dir, sizeof(im->dir), "/tmp/kiln-transfer-XXXXXX");
	if (!mkdtemp(im->dir))
		abort();
	im->store = openat(AT_FDCWD, im->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (at_mkdirs(im->store, "blobs/sha256", 0700, NULL) < 0 || at_mkdirs(im->store, "tmp/in", 0700, NULL) < 0)
		abort();
	blob_put(im, 0, SLICE_LIT(config));
	for (size_t i = 0; i < LAYERS; i++) {
		struct buf b = BUF_MAX(8 << 20);

		for (size_t k = 0; k < sizes[i]; k++)
			buf_char(&b, (char)((x = x * 1664525 + 1013904223) >> 24));
		blob_put(im, i + 1, buf_view(&b));
		buf_free(&b);
	}
	im->manifest = (struct buf)BUF_MAX(1 << 16);
	buf_printf(&im->manifest, "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{"
				  "\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"%s\",\"size\":%jd},\"layers\":[",
		   digest_text(&im->blob[0].digest).s, (intmax_t)im->blob[0].size);
	for (size_t i = 1; i <= LAYERS; i++)
		buf_printf(&im->manifest, "%s{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%jd}", i > 1 ? "," : "", type,
			   digest_text(&im->blob[i].digest).s, (intmax_t)im->blob[i].size);
	buf_str(&im->manifest, "]}");
}

/* ---- calls */

static size_t blobs_seen;

static bool have_none(void *arg, const struct digest *d, int64_t size)
{
	return false;
}

static int on_blob(void *arg, const struct digest *d, int64_t size, struct err **e)
{
	blobs_seen++;
	return 0;
}

static void on_note(void *arg, const char *text)
{
	printf("# note: %s\n", text);
}

static const struct transfer_calls calls = { .have = have_none, .blob = on_blob, .note = on_note };

static int do_push(struct image_data *im, const struct server *s, const char *const *tag, const struct transfer_opts *base,
		   struct err **e)
{
	AUTO(ref_clear) struct ref ref = { 0 };
	AUTO(mem_freep) char *name = mem_printf("127.0.0.1:%u/a/b:t", s->port);
	struct transfer_opts o = *base;
	struct digest d;

	o.kind = ERR_PUSH;
	if (ref_parse(slice_of(name), &ref, e) < 0)
		return -1;
	const struct push_req r = {
		.ref = &ref, .tag = tag, .store = im->store, .blob = im->blob, .nblob = LAYERS + 1,
		.manifest = { buf_view(&im->manifest), "application/vnd.oci.image.manifest.v1+json" },
	};
	return push_run(&r, &o, &calls, &d, e);
}

static int do_pull(struct image_data *im, const struct server *s, const struct transfer_opts *base, struct err **e)
{
	AUTO(ref_clear) struct ref ref = { 0 };
	AUTO(pull_result_clear) struct pull_result got = { 0 };
	AUTO(fd_closep) int dir = -1;
	AUTO(mem_freep) char *name = mem_printf("127.0.0.1:%u/a/b:t", s->port);
	struct platform p = { .os = "linux", .arch = "amd64" };
	struct transfer_opts o = *base;

	o.kind = ERR_SOURCE;
	at_rmtree(im->store, "in", NULL);
	if (at_mkdir(im->store, "in", 0700, e) < 0 || (dir = at_open_store(im->store, "in", O_RDONLY | O_DIRECTORY, 0, e)) < 0 ||
	    ref_parse(slice_of(name), &ref, e) < 0)
		return -1;
	blobs_seen = 0;
	const struct pull_req r = { .ref = &ref, .platform = &p, .dir = dir, .layers = true };
	if (pull_run(&r, &o, &calls, &got, e) < 0)
		return -1;
	for (size_t i = 1; i <= LAYERS; i++) {
		AUTO(buf_freep) struct buf b = BUF_MAX(8 << 20);
		struct digest d;
		char hex[DIGEST_HEX + 1];

		digest_hex(&im->blob[i].digest, hex);
		if (at_read(dir, hex, &b, e) != 0)
			return err_set(e, ERR_BUG, "a layer is not there");
		digest_of(b.p, b.n, &d);
		if (!digest_equal(&d, &im->blob[i].digest))
			return err_set(e, ERR_BUG, "a layer is wrong");
	}
	return blobs_seen == LAYERS && slice_equal(buf_view(&got.manifest_bytes), buf_view(&im->manifest))
		       ? 0
		       : err_set(e, ERR_BUG, "not all was told");
}

/* ---- cases */

#define BEARER "auth bearer me secret"
static const struct {
	const char *name;
	const char *script[SCRIPT];
	const char *creds;
	const char *push_err, *pull_err;         /* NULL: must work; part of the message */
	const char *logged[LOGS], *not_logged[LOGS];
} cases[] = {
	{ "a plain registry on loopback takes and gives an image", .script = { NULL } },
	{ "Basic is answered after the first challenge", .script = { "auth basic me secret" }, .creds = "me:secret",
	  .logged = { "GET /v2/a/b/manifests/t auth=none .* 401", "GET /v2/a/b/manifests/t auth=Basic .* 200" } },
	{ "wrong Basic credentials are refused with their source", .script = { "auth basic me secret" }, .creds = "me:wrong",
	  .push_err = "status 401", .pull_err = "status 401" },
	{ "no credentials gives the login hint", .script = { "auth basic me secret" }, .push_err = "kiln login", .pull_err = "kiln login" },
	{ "R10: a token is fetched and reused", .script = { BEARER }, .creds = "me:secret",
	  .logged = { "GET /token\\?service=regd&scope=repository%3Aa/b%3Apull%2Cpush&account=me auth=Basic", "auth=Bearer .* 200" },
	  .not_logged = { "manifests/t auth=Basic" } },
	{ "R11: a pull asks for no more than to pull", .script = { BEARER, "rule 1 GET /manifests/ forget" }, .creds = "me:secret",
	  .logged = { "GET /token\\?service=regd&scope=repository%3Aa/b%3Apull&account=me auth=Basic" } },
	{ "R13: a blob that is refused leaves no manifest", .script = { "rule 0 PUT /uploads/ status 400", "rule 0 PATCH /uploads/ status 400" }, .push_err = "400",
	  .not_logged = { "PUT /v2/a/b/manifests" } },
	{ "anonymous tokens work", .script = { "auth bearer - x" }, .logged = { "GET /token.* auth=none" } },
	{ "a refused token request names where the login came from", .script = { BEARER }, .creds = "me:wrong",
	  .push_err = "the login from --creds", .pull_err = "the login from --creds" },
	{ "R9: a realm on another site never sees the password",
	  .script = { "rule 0 GET /manifests/ status 401 WWW-Authenticate: Bearer realm=\"https://token.evil.example:1/t\"" },
	  .creds = "me:secret", .pull_err = "" },
	{ "R9: a realm over plain http on another host is refused",
	  .script = { "rule 0 GET /manifests/ status 401 WWW-Authenticate: Bearer realm=\"http://token.evil.example/t\"" },
	  .creds = "me:secret", .pull_err = "which is not https" },
	{ "a login of another kind is named", .script = { "rule 0 GET /manifests/ status 401 WWW-Authenticate: Negotiate" },
	  .creds = "me:secret", .pull_err = "neither Basic nor Bearer" },
	{ "a 401 without a challenge asks /v2/", .script = { BEARER, "rule 1 GET /manifests/ noauth" }, .creds = "me:secret",
	  .logged = { "GET /v2/ auth=none" } },
	{ "tokens that die in mid-push are renewed", .script = { BEARER, "rule 1 PUT uploads/ forget", "rule 1 PUT /manifests/ forget" },
	  .creds = "me:secret", .logged = { "PUT /v2/x/blobs/uploads/.* 401", "PUT /v2/a/b/manifests/t .* 401" } },
	{ "R4: a redirected blob gets no Authorization", .script = { BEARER, "rule 0 GET ^/v2/a/b/blobs/ redirect 307 http://127.0.0.1:%2/storage%p" },
	  .creds = "me:secret", .logged = { "storage GET /storage/v2/a/b/blobs/.* auth=none .* 200" },
	  .not_logged = { "storage .* auth=B" } },
	{ "R4: a redirect without end is given up", .script = { "rule 0 GET /manifests/ redirect 302 http://127.0.0.1:%1%px" },
	  .pull_err = "more than 5 redirects" },
	{ "a redirect in a circle is given up", .script = { "rule 0 GET /v2/ redirect 302 http://127.0.0.1:%1%p" },
	  .pull_err = "redirects to itself" },
	{ "R5: a redirect to link-local is refused", .script = { "rule 0 GET /manifests/ redirect 302 http://169.254.169.254/latest" },
	  .pull_err = "internal address" },
	{ "R4: a redirect to another scheme is refused", .script = { "rule 0 GET /manifests/ redirect 302 file:///etc/passwd" },
	  .pull_err = "neither https nor http" },
	{ "a signed address that expired is asked for again",
	  .script = { "rule 0 GET ^/v2/a/b/blobs/ redirect 307 http://127.0.0.1:%2/storage%p", "rule 1 GET /storage/v2/a/b/blobs/ status 403" },
	  .logged = { "storage .* 403" } },
	{ "R12: 429 waits as told", .script = { "rule 1 GET /manifests/ status 429 Retry-After: 1" }, .logged = { "manifests.* 429" } },
	{ "R12: a wait that is too long is an error", .script = { "rule 0 GET /manifests/ status 429 Retry-After: 4000" },
	  .pull_err = "asks to come back in 4000 seconds" },
	{ "R12: 503 is tried again", .script = { "rule 2 GET /manifests/ status 503", "rule 1 HEAD /blobs/ status 502",
				  "rule 1 POST /uploads/ status 500", "rule 1 PUT /manifests/ status 503" } },
	{ "an upload that fails with 500 starts over", .script = { "rule 2 PUT /uploads/ status 500" } },
	{ "a connection reset in mid-blob resumes where it broke", .script = { "rule 1 GET /blobs/ reset 0", "rule 2 GET /blobs/ reset 300000" },
	  .logged = { "range=bytes=[0-9]+- 206" } },
	{ "R12: a server that ignores Range is skipped through", .script = { "rule 1 GET /blobs/ reset 200", "rule 2 GET /blobs/ reset 300000",
							      "rule 0 GET /blobs/ norange" },
	  .logged = { "range=bytes=[0-9]+- 200" } },
	{ "a short body is resumed", .script = { "rule 1 GET /blobs/ short 200", "rule 2 GET /blobs/ short 500000" } },
	{ "a body without length that stops early is resumed", .script = { "rule 1 GET /blobs/ stop 200", "rule 2 GET /blobs/ stop 500000" } },
	{ "R12: a wrong blob is fetched once more", .script = { "rule 1 GET /blobs/ header X: y", "rule 1 GET /blobs/ wrong" } },
	{ "R12: a blob that stays wrong is refused", .script = { "rule 1 GET /blobs/ header X: y", "rule 0 GET /blobs/ wrong" },
	  .pull_err = "refusing to use it" },
	{ "M2: a wrong config is refused", .script = { "rule 0 GET /blobs/ wrong" }, .pull_err = "refusing to use it" },
	{ "M2: a blob that is too long is refused", .script = { "rule 1 GET /blobs/ header X: y", "rule 0 GET /blobs/ long 5" }, .pull_err = "" },
	{ "R8: a manifest that does not match its header is refused",
	  .script = { "rule 0 GET /manifests/ digest sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" },
	  .pull_err = "refusing to use it" },
	{ "M5: a manifest of another type than it says is refused",
	  .script = { "rule 0 GET /manifests/ type application/vnd.oci.image.index.v1+json" }, .pull_err = "" },
	{ "M3, R2: a manifest over 4 MiB is refused", .script = { "rule 0 GET /manifests/ huge 4194305" }, .pull_err = "bytes allowed" },
	{ "R2: encoded blobs are refused", .script = { "rule 1 GET /blobs/ header X: y", "rule 0 GET /blobs/ encode" }, .pull_err = "'gzip' content" },
	{ "a header with control characters is refused", .script = { "rule 0 GET /manifests/ header X: a\001b" }, .pull_err = "control characters" },
	{ "a warning of the registry is passed on", .script = { "rule 0 GET /manifests/ header Warning: 299 - \"going away\"" } },
	{ "a registry that echoes the login does not get it shown",
	  .script = { "auth basic me secret", "rule 0 GET /blobs/ echo" }, .creds = "me:secret", .pull_err = "status 400" },
	{ "R7: nor in JSON's escapes",
	  .script = { "auth basic me secret", "rule 0 GET /blobs/ escaped {\"errors\":[{\"code\":\"X\",\"message\":\"\\u0073ecret\"}]}" },
	  .creds = "me:secret", .pull_err = "status 400" },
	{ "R7: nor by the token server", .script = { BEARER, "rule 0 GET /token escaped {\"message\":\"not_secret\"}" }, .creds = "me:secret",
	  .push_err = "status 400", .pull_err = "status 400" },
	{ "R7: answers before the answer count as headers", .script = { "rule 0 GET /manifests/ interim 20000" },
	  .pull_err = "256 KiB of headers" },
	{ "R7: a line over the limit", .script = { "rule 0 GET /manifests/ line 300000" }, .pull_err = "line of the header is too long" },
	{ "R7: headers over the limit", .script = { "rule 0 GET /manifests/ headers 20000" }, .pull_err = "256 KiB of headers" },
	{ "an image that is not there is said to be missing", .script = { "rule 0 GET /manifests/ status 404" }, .pull_err = "no such image" },
	{ "18: and whether it was asked with a login", .script = { "rule 0 GET /manifests/ status 404" }, .pull_err = "; asked without a login" },
	{ "R6: upload places on another origin get no Authorization",
	  .script = { BEARER, "rule 0 POST /uploads/ location http://127.0.0.1:%2/storage/v2/x/blobs/uploads/u1?sig=1" }, .creds = "me:secret",
	  .logged = { "storage PUT /storage/v2/x/blobs/uploads/u1\\?sig=1&digest=.* auth=none" }, .not_logged = { "storage .* auth=B" } },
	{ "R5: an upload place inside the network is refused", .script = { "rule 0 POST /uploads/ location http://169.254.169.254/u" },
	  .push_err = "internal address", .pull_err = "" },
	{ "an upload redirected by 307 goes on there", .script = { BEARER, "rule 1 PUT /v2/x/blobs/uploads/u1 redirect 307 http://127.0.0.1:%2/storage%p" },
	  .creds = "me:secret", .logged = { "storage PUT .* 201" }, .not_logged = { "storage .* auth=B" } },
	{ "a registry that takes no whole blob gets chunks", .script = { "rule 4 PUT /uploads/u status 413" },
	  .logged = { "PATCH /v2/x/blobs/uploads/.* 202" } },
	{ "a broken chunk asks how much there is", .script = { "rule 1 PUT /uploads/u status 405", "rule 1 PATCH /uploads/ drop" },
	  .logged = { "GET /v2/x/blobs/uploads/.* 204" } },
	{ "an upload that was forgotten starts over", .script = { "rule 1 PUT /uploads/u status 404" } },
	{ "R13: a registry that rewrites the manifest is noticed",
	  .script = { "rule 0 PUT /manifests/ digest sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" },
	  .push_err = "stored another manifest" },
	{ "R13: a manifest that is refused says so", .script = { "rule 0 PUT /manifests/ status 400" }, .push_err = "regd says no", .pull_err = "" },
};

static void judge(const struct server *s, const char *what, const char *name, int rc, const char *want, struct err *e)
{
	struct buf text = BUF_MAX(1 << 16);

	if (e)
		err_print(e, &text);
	bool good = want ? rc < 0 && (!*want || strstr(text.p ? text.p : "", want)) : rc == 0;
	ok(good, "%s: %s", name, what);
	if (!good) {
		printf("# rc %d, wanted '%s'\n# %s\n", rc, want ? want : "success", text.p ? text.p : "");
		log_show(s);
	}
	ok(!strstr(text.p ? text.p : "", "secret"), "%s: %s: no password in the message", name, what);
	buf_free(&text);
	err_free(e);
}

static void run_cases(struct image_data *im)
{
	for (size_t i = 0; i < countof(cases); i++) {
		struct server s = { 0 };
		struct err *e = NULL;
		const struct transfer_opts o = { .creds = cases[i].creds, .authfile = NULL };

		server_start(&s, cases[i].script);
		int rc = do_push(im, &s, NULL, &o, &e);
		judge(&s, "push", cases[i].name, rc, cases[i].push_err, e);
		e = NULL;
		if (!cases[i].push_err || cases[i].pull_err) {
			rc = do_pull(im, &s, &o, &e);
			judge(&s, "pull", cases[i].name, rc, cases[i].pull_err, e);
		}
		for (size_t k = 0; k < LOGS && cases[i].logged[k]; k++) {
			if (!ok(log_has(&s, cases[i].logged[k]), "%s: the log has '%s'", cases[i].name, cases[i].logged[k]))
				log_show(&s);
		}
		for (size_t k = 0; k < LOGS && cases[i].not_logged[k]; k++) {
			if (!ok(!log_has(&s, cases[i].not_logged[k]), "%s: the log lacks '%s'", cases[i].name, cases[i].not_logged[k]))
				log_show(&s);
		}
		server_stop(&s);
	}
}

static void tags_and_mounts(struct image_data *im)
{
	static const char *const none[SCRIPT] = { NULL }, *const tags[] = { "one", "t", NULL }, *const no_tag[] = { NULL };
	struct server s = { 0 };
	struct err *e = NULL;
	const struct transfer_opts o = { 0 };

	server_start(&s, none);
	ok(do_push(im, &s, tags, &o, &e) == 0, "two tags are pushed");
	ok(log_has(&s, "PUT /v2/a/b/manifests/sha256:") && log_has(&s, "manifests/one") && log_has(&s, "manifests/t "),
	   "by digest first, then each tag");
	ok(do_push(im, &s, no_tag, &o, &e) == 0, "an empty list pushes by digest");
	ok(do_pull(im, &s, &o, &e) == 0, "and all is there");
	AUTO(mem_freep) char *from = mem_printf("127.0.0.1:%u/other/repo", s.port);
	const char *const list[] = { "example.com/x", from, NULL };
	im->blob[1].from = list;
	char hex[DIGEST_HEX + 1], path[128];
	digest_hex(&im->blob[1].digest, hex);
	snprintf(path, sizeof(path), "blobs/sha256/%s", hex);
	server_stop(&s);

	static const char *const script[SCRIPT] = { "rule 0 HEAD /blobs/ status 404" };
	server_start(&s, script);
	from[0] = '\0';
	AUTO(mem_freep) char *again = mem_printf("127.0.0.1:%u/other/repo", s.port);
	const char *const list2[] = { "example.com/x", again, NULL };
	im->blob[1].from = list2;
	ok(do_push(im, &s, NULL, &o, &e) == 0 && do_push(im, &s, NULL, &o, &e) == 0, "pushed twice to a registry that hides its blobs");
	ok(log_has(&s, "POST /v2/a/b/blobs/uploads/\\?mount=sha256:[0-9a-f]+&from=other/repo .* 201"), "the second time a blob is mounted");
	ok(!log_has(&s, "example.com"), "never from another host");
	renameat(im->store, path, im->store, "hidden");
	ok(do_push(im, &s, NULL, &o, &e) == 0, "a blob that is in no store is mounted");
	server_stop(&s);

	static const char *const hide[SCRIPT] = { "rule 0 HEAD /blobs/ status 404", "rule 0 POST mount= status 405" };
	renameat(im->store, "hidden", im->store, path);
	server_start(&s, hide);
	AUTO(mem_freep) char *third = mem_printf("127.0.0.1:%u/other/repo", s.port);
	const char *const list3[] = { third, NULL };
	im->blob[1].from = list3;
	ok(do_push(im, &s, NULL, &o, &e) == 0, "a mount that is refused becomes an upload");
	renameat(im->store, path, im->store, "hidden");
	ok(do_push(im, &s, NULL, &o, &e) == 0, "a blob that is in no store is borrowed from its source");
	ok(log_has(&s, "GET /v2/other/repo/blobs/"), "with a GET there");
	renameat(im->store, "hidden", im->store, path);
	AUTO(fd_closep) int fd = openat(im->store, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || pwrite(fd, "damage", 6, 100) != 6)
		abort();
	ok(do_push(im, &s, NULL, &o, &e) < 0 && strstr(err_cause(e), "damaged in the store"), "a damaged blob is not pushed");
	err_free(e);
	server_stop(&s);
}

static void login(void)
{
	static const char *const script[SCRIPT] = { BEARER };
	struct server s = { 0 };
	struct err *e = NULL;
	const struct transfer_opts o = { .kind = ERR_SOURCE };

	server_start(&s, script);
	AUTO(mem_freep) char *host = mem_printf("127.0.0.1:%u", s.port);
	ok(login_check(host, "me", "secret", &o, &e) == 0, "the right password logs in");
	ok(login_check(host, "me", "nonsense", &o, &e) < 0, "the wrong one does not");
	err_free(e);
	server_stop(&s);
}

static void fetch(void)
{
	static const char *const script[SCRIPT] = {
		"rule 1 GET /flaky status 503", "rule 0 GET /flaky body hello", "rule 0 GET /away redirect 302 http://127.0.0.1:%2/flaky",
		"rule 0 GET /same status 304", "rule 0 GET /big huge 100",
	};
	struct server s = { 0 };
	struct err *e = NULL;
	struct http_fetched got = { 0 };
	AUTO(fd_closep) int fd = openat(AT_FDCWD, "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char text[6] = "";

	server_start(&s, script);
	AUTO(mem_freep) char *flaky = mem_printf("http://me:pw%%21@127.0.0.1:%u/away", s.port);
	AUTO(mem_freep) char *same = mem_printf("http://127.0.0.1:%u/same", s.port);
	AUTO(mem_freep) char *gone = mem_printf("http://127.0.0.1:%u/gone", s.port);
	AUTO(mem_freep) char *big = mem_printf("http://127.0.0.1:%u/v2/", s.port);
	ok(http_fetch(&(struct http_fetch_req){ .url = flaky, .fd = fd }, &got, &e) == 0 && got.size == 5 &&
	   pread(fd, text, 5, 0) == 5 && strcmp(text, "hello") == 0, "a URL is fetched through a redirect and a 503");
	ok(log_has(&s, "registry GET /away auth=Basic") && log_has(&s, "storage GET /flaky auth=none"),
	   "its login stays with its own origin");
	http_fetched_clear(&got);
	ok(http_fetch(&(struct http_fetch_req){ .url = same, .fd = fd, .if_none_match = "\"x\"" }, &got, &e) == HTTP_UNCHANGED,
	   "304 is an answer");
	ok(http_fetch(&(struct http_fetch_req){ .url = gone, .fd = fd }, &got, &e) < 0 && strstr(err_cause(e), "response status 404"),
	   "404 is an error");
	err_free(take(&e));
	ok(http_fetch(&(struct http_fetch_req){ .url = big, .fd = fd, .max = 1 }, &got, &e) < 0 && err_kind(e) == ERR_LIMIT,
	   "more than allowed is a limit");
	err_free(take(&e));
	AUTO(mem_freep) char *proxy = mem_printf("http://px:secret@127.0.0.1:%u", s.port);
	setenv("http_proxy", proxy, 1);
	ok(http_fetch(&(struct http_fetch_req){ .url = "http://example.test/flaky", .fd = fd }, &got, &e) == 0 &&
	   log_has(&s, "^registry GET http://example.test/flaky auth=none .* 200"), "a proxy is asked with the whole URL, and sees no login of ours");
	http_fetched_clear(&got);
	ok(http_fetch(&(struct http_fetch_req){ .url = "http://169.254.169.254/none", .fd = fd }, &got, &e) < 0 && !strstr(err_cause(e), "secret"),
	   "the proxy's password is in no message");
	err_free(take(&e));
	unsetenv("http_proxy");
	server_stop(&s);
}

/* The folder made by mkdtemp() below /tmp goes. */
static void folder_drop(const char *path)
{
	AUTO(fd_closep) int tmp = openat(AT_FDCWD, "/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ok(tmp >= 0 && at_rmtree(tmp, path + strlen("/tmp/"), NULL) == 0, "nothing is left behind");
}

int main(void)
{
	struct image_data im = { 0 };

	/* Nobody's logins, mirrors or proxies. */
	setenv("HOME", "/nonexistent", 1);
	setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
	setenv("XDG_RUNTIME_DIR", "/nonexistent", 1);
	setenv("CONTAINERS_REGISTRIES_CONF", "/nonexistent", 1);
	unsetenv("REGISTRY_AUTH_FILE");
	unsetenv("DOCKER_AUTH_CONFIG");
	unsetenv("DOCKER_CONFIG");
	image_make(&im);
	run_cases(&im);
	tags_and_mounts(&im);
	login();
	fetch();
	folder_drop(im.dir);
	buf_free(&im.manifest);
	close(im.store);
	return done_testing();
}
