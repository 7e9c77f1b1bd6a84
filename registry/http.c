/* registry/http.c - the only file that knows libcurl; see http.h.
 *
 * HTTP/1.1 on purpose: four blobs come over four connections, each with the kernel's own window, where HTTP/2 would
 * put them into one; and header lines arrive as they were sent.
 */
#include "registry/http.h"

#include "base/mem.h"
#include "registry/proxy.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

enum {
	HEADERS_MAX = 256 << 10, ERROR_KEEP = 64 << 10, ERROR_READ = 1 << 20,
	CONNECT_S = 30, SLOW_BYTES = 1024, SLOW_S = 60, SLOW_UPLOAD_S = 300, WAIT_100_MS = 1000,
};

#define CURL_SYMBOLS(X)                                                                                            \
	X(global_init) X(global_cleanup) X(easy_init) X(easy_setopt) X(easy_getinfo) X(easy_cleanup) X(easy_strerror)  \
	X(easy_pause)                                                                                             \
	X(multi_init) X(multi_add_handle) X(multi_remove_handle) X(multi_perform) X(multi_poll) X(multi_info_read)     \
	X(multi_cleanup) X(multi_strerror) X(slist_append) X(slist_free_all)

struct lib {
#define X(name) __typeof__(curl_##name) *name;
	CURL_SYMBOLS(X)
#undef X
};

/* Whose identity the kept connections of an origin carry (R3). */
struct owner {
	char *origin, *identity;
};

struct http {
	struct lib lib;
	CURLM *multi;                    /* NULL: libcurl not opened yet */
	bool paused;                     /* a source has just asked to wait: its owner is to hear of it */
	struct owner *owner;
	size_t nowner, owner_cap;
};

struct hop_curl {
	CURL *easy;
	struct curl_slist *header;
	char *proxy;
	bool cut;                        /* enough of an error's body was read */
	size_t headers;                  /* bytes of header lines, of 1xx answers and trailers too */
	char why[CURL_ERROR_SIZE];
};

static int lib_open(struct http *h, struct err **e)
{
	void *so = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);

	if (!so) {
		err_set(e, ERR_HOST, "cannot load libcurl: %s", dlerror());
		return err_hint(e, "install the package libcurl4");
	}
#define X(fn)                                                                                 \
	h->lib.fn = (__typeof__(h->lib.fn))dlsym(so, "curl_" #fn);                             \
	if (!h->lib.fn)                                                                        \
		return err_set(e, ERR_HOST, "libcurl has no function curl_" #fn);
	CURL_SYMBOLS(X)
#undef X
	/* CURLOPT_NOSIGNAL leaves a peer's reset to us: without this it would end the process. */
	signal(SIGPIPE, SIG_IGN);
	if (h->lib.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(e, ERR_HOST, "libcurl cannot be initialised");
	h->multi = h->lib.multi_init();
	return h->multi ? 0 : err_set(e, ERR_HOST, "libcurl cannot be initialised");
}

struct http *http_new(void)
{
	return mem_zalloc(sizeof(struct http));
}

void http_free(struct http *h)
{
	if (!h)
		return;
	if (h->multi) {
		h->lib.multi_cleanup(h->multi);
		h->lib.global_cleanup();
	}
	for (size_t i = 0; i < h->nowner; i++) {
		free(h->owner[i].origin);
		free(h->owner[i].identity);
	}
	free(h->owner);
	free(h);
}

void http_freep(struct http **h)
{
	http_free(*h);
}

/* The first identity that speaks to an origin owns its connection pool; any other one gets connections that are not kept. */
static bool owns_pool(struct http *h, const struct hop *p)
{
	AUTO(mem_freep) char *origin = mem_strn(p->url->text, p->url->path);

	for (size_t i = 0; i < h->nowner; i++) {
		if (strcmp(h->owner[i].origin, origin) == 0)
			return strcmp(h->owner[i].identity, p->identity) == 0;
	}
	MEM_ROOM(h->owner, h->nowner, h->owner_cap);
	h->owner[h->nowner++] = (struct owner){ .origin = take(&origin), .identity = mem_str(p->identity) };
	return true;
}

/* ---- a body that is in memory */

static ssize_t bytes_read(void *arg, void *p, size_t n, struct err **e)
{
	struct http_bytes *b = arg;
	size_t left = b->bytes.n - b->at;

	n = n < left ? n : left;
	memcpy(p, b->bytes.p + b->at, n);
	b->at += n;
	return (ssize_t)n;
}

static int bytes_rewind(void *arg, struct err **e)
{
	struct http_bytes *b = arg;

	b->at = 0;
	return 0;
}

struct http_source http_source_bytes(struct http_bytes *b)
{
	return (struct http_source){ b, (int64_t)b->bytes.n, bytes_read, bytes_rewind };
}

/* ---- what libcurl calls */

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct hop *p = arg;
	struct slice s = { line, size * n };

	p->curl->headers += n;
	if (p->curl->headers > HEADERS_MAX) {
		err_set(&p->err, p->kind, "%s sent more than 256 KiB of headers", p->url->host);
		return 0;
	}
	while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
		s.n--;
	if (slice_starts(s, "HTTP/")) {                  /* a new answer: what came before was 1xx */
		buf_reset(&p->headers);
		return n;
	}
	for (size_t i = 0; i < s.n; i++) {
		if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f) {
			err_set(&p->err, p->kind, "%s sent a header with control characters", p->url->host);
			return 0;
		}
	}
	buf_slice(&p->headers, s);
	buf_char(&p->headers, '\n');
	return n;
}

static size_t error_body(struct hop *p, const char *bytes, size_t n)
{
	if (p->text.n < ERROR_KEEP) {
		size_t room = ERROR_KEEP - p->text.n;

		p->text.max = ERROR_KEEP;
		buf_add(&p->text, bytes, n < room ? n : room);
	}
	p->body += n;
	p->curl->cut = p->body > ERROR_READ;
	return p->curl->cut ? 0 : n;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
	struct hop *p = arg;

	n *= size;
	p->http->lib.easy_getinfo(p->curl->easy, CURLINFO_RESPONSE_CODE, &p->status);
	if (p->status < 200 || p->status > 299)
		return error_body(p, bytes, n);
	p->body += n;
	if (p->body > p->max_body) {
		err_set(&p->err, ERR_LIMIT, "%s sent more than the %ju bytes allowed", p->url->host, (uintmax_t)p->max_body);
		return 0;
	}
	if (p->sink)
		return p->sink(p, bytes, n, &p->err) < 0 ? 0 : n;
	p->text.max = p->max_body;
	buf_add(&p->text, bytes, n);
	return n;
}

static size_t on_source(char *bytes, size_t size, size_t n, void *arg)
{
	struct hop *p = arg;
	ssize_t got = p->source->read(p->source->arg, bytes, size * n, &p->err);

	if (got == HTTP_WAIT) {
		p->http->paused = true;
		return CURL_READFUNC_PAUSE;
	}
	return got < 0 ? CURL_READFUNC_ABORT : (size_t)got;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct hop *p = arg;

	if (offset != 0 || origin != SEEK_SET)
		return CURL_SEEKFUNC_CANTSEEK;
	return p->source->rewind(p->source->arg, &p->err) < 0 ? CURL_SEEKFUNC_FAIL : CURL_SEEKFUNC_OK;
}

static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct hop *p = arg;

	(void)purpose;
	/* The address that is really connected to: a name that resolves to something else each time does not help. */
	if (p->guarded && !p->curl->proxy && !addr_allowed(p->from, addr_class(&a->addr))) {
		err_set(&p->err, p->kind, "refusing to be sent to '%s', which is an internal address", p->url->host);
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* ---- one hop */

static void set_long(struct hop *p, CURLoption o, long v)
{
	p->http->lib.easy_setopt(p->curl->easy, o, v);
}

static void set_off(struct hop *p, CURLoption o, curl_off_t v)
{
	p->http->lib.easy_setopt(p->curl->easy, o, v);
}

static void set_ptr(struct hop *p, CURLoption o, const void *v)
{
	p->http->lib.easy_setopt(p->curl->easy, o, v);
}

#define set_fn(p, o, fn) (p)->http->lib.easy_setopt((p)->curl->easy, (o), (fn))

static void setup_tls(struct hop *p)
{
	const struct http_tls *t = p->tls;

	set_long(p, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
	set_long(p, CURLOPT_SSL_VERIFYPEER, t->insecure ? 0 : 1);
	set_long(p, CURLOPT_SSL_VERIFYHOST, t->insecure ? 0 : 2);
	if (t->ca_file)
		set_ptr(p, CURLOPT_CAINFO, t->ca_file);
	if (t->ca_dir)
		set_ptr(p, CURLOPT_CAPATH, t->ca_dir);
	if (t->ca.n) {
		struct curl_blob b = { (void *)(uintptr_t)t->ca.p, t->ca.n, CURL_BLOB_COPY };

		set_ptr(p, CURLOPT_CAINFO_BLOB, &b);
	}
	if (t->cert) {
		set_ptr(p, CURLOPT_SSLCERT, t->cert);
		set_ptr(p, CURLOPT_SSLKEY, t->key);
	}
}

static void setup_body(struct hop *p)
{
	set_ptr(p, CURLOPT_CUSTOMREQUEST, p->method);
	if (strcmp(p->method, "HEAD") == 0)
		set_long(p, CURLOPT_NOBODY, 1);
	if (p->source || strcmp(p->method, "POST") == 0 || strcmp(p->method, "PUT") == 0 || strcmp(p->method, "PATCH") == 0) {
		set_long(p, CURLOPT_UPLOAD, 1);
		set_off(p, CURLOPT_INFILESIZE_LARGE, p->source ? p->source->size : 0);
		set_long(p, CURLOPT_EXPECT_100_TIMEOUT_MS, WAIT_100_MS);
		set_long(p, CURLOPT_LOW_SPEED_TIME, SLOW_UPLOAD_S);
	}
	if (p->source) {
		set_fn(p, CURLOPT_READFUNCTION, on_source);
		set_ptr(p, CURLOPT_READDATA, p);
		set_fn(p, CURLOPT_SEEKFUNCTION, on_seek);
		set_ptr(p, CURLOPT_SEEKDATA, p);
		set_long(p, CURLOPT_UPLOAD_BUFFERSIZE, 256 << 10);
	}
	set_fn(p, CURLOPT_WRITEFUNCTION, on_body);
	set_ptr(p, CURLOPT_WRITEDATA, p);
	set_fn(p, CURLOPT_HEADERFUNCTION, on_header);
	set_ptr(p, CURLOPT_HEADERDATA, p);
	set_off(p, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)(p->max_body > ERROR_READ ? p->max_body : ERROR_READ));
	set_long(p, CURLOPT_BUFFERSIZE, 128 << 10);
}

static void setup(struct hop *p, bool keep)
{
	struct curl_slist *list = NULL;

	for (size_t i = 0; p->header && p->header[i]; i++)
		list = p->http->lib.slist_append(list, p->header[i]);
	p->curl->header = list;
	p->curl->proxy = proxy_for(p->url);
	set_ptr(p, CURLOPT_URL, p->url->text);
	set_ptr(p, CURLOPT_PROTOCOLS_STR, p->url->https ? "https" : "http");
	set_ptr(p, CURLOPT_REDIR_PROTOCOLS_STR, "");
	set_long(p, CURLOPT_FOLLOWLOCATION, 0);
	set_long(p, CURLOPT_NETRC, CURL_NETRC_IGNORED);
	set_long(p, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	set_ptr(p, CURLOPT_HTTPHEADER, list);
	set_long(p, CURLOPT_HEADEROPT, CURLHEADER_SEPARATE);
	set_ptr(p, CURLOPT_USERAGENT, "kiln/" KILN_VERSION);
	set_ptr(p, CURLOPT_PROXY, p->curl->proxy ? p->curl->proxy : "");
	set_ptr(p, CURLOPT_NOPROXY, "");
	set_long(p, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1);
	set_long(p, CURLOPT_NOSIGNAL, 1);
	set_long(p, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
	set_long(p, CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES);
	set_long(p, CURLOPT_LOW_SPEED_TIME, SLOW_S);
	set_ptr(p, CURLOPT_ERRORBUFFER, p->curl->why);
	set_ptr(p, CURLOPT_PRIVATE, p);
	set_fn(p, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	set_ptr(p, CURLOPT_OPENSOCKETDATA, p);
	if (!keep) {
		set_long(p, CURLOPT_FRESH_CONNECT, 1);
		set_long(p, CURLOPT_FORBID_REUSE, 1);
	}
	setup_tls(p);
	setup_body(p);
}

int http_start(struct http *h, struct hop *p, struct err **e)
{
	if (!h->multi && lib_open(h, e) < 0)
		return -1;
	p->http = h;
	p->done = false;
	p->status = 0;
	p->body = 0;
	p->peer = ADDR_NAME;
	p->headers.max = 2 * HEADERS_MAX;       /* on_header() counts */
	buf_reset(&p->headers);
	buf_reset(&p->text);
	err_free(p->err);
	p->err = NULL;
	p->curl = mem_zalloc(sizeof(*p->curl));
	p->curl->easy = h->lib.easy_init();
	if (!p->curl->easy) {
		free(p->curl);
		p->curl = NULL;
		return err_set(e, ERR_HOST, "libcurl cannot make a handle");
	}
	setup(p, owns_pool(h, p));
	CURLMcode rc = h->lib.multi_add_handle(h->multi, p->curl->easy);
	return rc == CURLM_OK ? 0 : err_set(e, ERR_HOST, "libcurl: %s", h->lib.multi_strerror(rc));
}

static void release(struct hop *p)
{
	struct lib *lib = &p->http->lib;

	lib->multi_remove_handle(p->http->multi, p->curl->easy);
	lib->easy_cleanup(p->curl->easy);
	lib->slist_free_all(p->curl->header);
	if (p->curl->proxy)
		mem_wipe(p->curl->proxy, strlen(p->curl->proxy));
	free(p->curl->proxy);
	free(p->curl);
	p->curl = NULL;
}

static enum hop_end end_of(CURLcode rc)
{
	switch (rc) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_URL_MALFORMAT:
		return HOP_UNREACHED;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
		return HOP_UNTRUSTED;
	case CURLE_FILESIZE_EXCEEDED:
	case CURLE_OUT_OF_MEMORY:
		return HOP_STOPPED;
	default:
		return HOP_BROKEN;
	}
}

static enum addr_class peer_class(struct hop *p)
{
	const char *ip = NULL;

	if (p->curl->proxy || p->http->lib.easy_getinfo(p->curl->easy, CURLINFO_PRIMARY_IP, &ip) != CURLE_OK || !ip || !*ip)
		return ADDR_NAME;
	return addr_class_host(ip);
}

/* Was the connection, with its TLS, made at all? */
static bool began(struct hop *p)
{
	curl_off_t us = 0;

	return p->http->lib.easy_getinfo(p->curl->easy, CURLINFO_PRETRANSFER_TIME_T, &us) == CURLE_OK && us > 0;
}

static void finish(struct hop *p, CURLcode rc)
{
	p->http->lib.easy_getinfo(p->curl->easy, CURLINFO_RESPONSE_CODE, &p->status);
	p->peer = peer_class(p);
	p->done = true;
	/* The status before the transfer's result: a 416 with a lying Content-Length is still a 416 (spec/oci.md 0.4). */
	bool told = p->status >= 300 && (p->curl->cut || rc == CURLE_PARTIAL_FILE || rc == CURLE_SEND_ERROR);

	if (p->err) {
		p->end = HOP_STOPPED;
	} else if (rc == CURLE_OK || told) {
		p->end = HOP_ANSWER;
	} else {
		const char *why = *p->curl->why ? p->curl->why : p->http->lib.easy_strerror(rc);

		if (rc == CURLE_OUT_OF_MEMORY)           /* what it calls a line of more than 100 KiB, too */
			why = "a line of the header is too long, or libcurl has no memory";
		p->end = end_of(rc);
		if (rc == CURLE_OPERATION_TIMEDOUT && !began(p))
			p->end = HOP_UNREACHED;
		if (rc == CURLE_FILESIZE_EXCEEDED)
			err_set(&p->err, ERR_LIMIT, "%s announces more than the %ju bytes allowed", p->url->host,
				(uintmax_t)p->max_body);
		else
			err_set(&p->err, p->kind, "%s: %s", p->url->host, why);
	}
	release(p);
}

int http_poll(struct http *h, int ms, struct err **e)
{
	CURLMsg *m = NULL;
	int running = 0, left = 0;
	bool any = false;

	if (!h->multi && lib_open(h, e) < 0)
		return -1;
	CURLMcode rc = h->lib.multi_perform(h->multi, &running);
	while (rc == CURLM_OK && (m = h->lib.multi_info_read(h->multi, &left))) {
		struct hop *p = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		CURLcode result = m->data.result;        /* m dies with the handle */
		h->lib.easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &p);
		finish(p, result);
		any = true;
	}
	if (rc == CURLM_OK && !any && !h->paused)
		rc = h->lib.multi_poll(h->multi, NULL, 0, ms, NULL);
	h->paused = false;
	return rc == CURLM_OK ? 0 : err_set(e, ERR_HOST, "libcurl: %s", h->lib.multi_strerror(rc));
}

void hop_go_on(struct hop *p)
{
	if (p->curl)
		p->http->lib.easy_pause(p->curl->easy, CURLPAUSE_CONT);
}

void hop_clear(struct hop *p)
{
	if (p->curl)
		release(p);
	buf_free(&p->headers);
	buf_free(&p->text);
	err_free(p->err);
	p->err = NULL;
}

bool hop_header(const struct hop *p, const char *name, size_t i, struct slice *ret)
{
	struct slice rest = buf_view(&p->headers), line, key, value;

	while (rest.n) {
		slice_cut(rest, '\n', &line, &rest);
		if (!slice_cut(line, ':', &key, &value) || !slice_is_nocase(key, name) || i-- > 0)
			continue;
		*ret = slice_trim(value, " \t");
		return true;
	}
	return false;
}
