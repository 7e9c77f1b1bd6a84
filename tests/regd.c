/* tests/regd.c - a small registry on 127.0.0.1 that misbehaves on request.
 *
 *     regd LOG SCRIPT...        prints "PORT STORAGE-PORT", then serves until its standard input ends or it is killed
 *
 * It keeps blobs and manifests in memory. The storage port serves the same below "/storage", asks for no login, and stands
 * for an object store that a registry redirects to. Each request becomes one line of LOG:
 *     registry|storage METHOD PATH auth=none|Basic|Bearer range=- status
 *
 * Script lines: directives that hold, and rules that hold for the next COUNT matching requests (0: for ever). The first rule
 * whose METHOD ("*" is any) is equal and whose WORD is part of the path ("^WORD": its beginning) acts.
 *     auth basic USER PASSWORD
 *     auth bearer USER PASSWORD     token endpoint /token; USER "-": it gives tokens to anybody
 *     rule COUNT METHOD WORD ACTION ARGUMENT...
 * Actions; in arguments %1 is our port, %2 the storage port, %p the path asked for:
 *     status CODE [HEADER: VALUE]   answer that, with an error body
 *     redirect CODE URL
 *     short N      announce the whole body, send N bytes, close          stop N     the same without Content-Length
 *     reset N      send N bytes, then a TCP reset                        drop       close without an answer
 *     wrong        change the first byte of the body                     long N     N bytes more than there are
 *     type T       Content-Type                                          digest D   Docker-Content-Digest
 *     header H: V  one more header                                       norange    ignore Range
 *     location U   Location of an upload's answer                        forget     all tokens become invalid, answer 401
 *     huge N       Content-Length N and as many bytes                    encode     claim Content-Encoding: gzip
 *     noauth       answer 401 without WWW-Authenticate                   body TEXT  that text, status 200
 *     echo         answer 400 with the login that was sent             escaped TEXT that text, status 400
 *     interim N    N answers 103 before the answer                    headers N  N headers more
 *     line N       a header line of N bytes
 */
#include "tests/regd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_MAX = 64 << 10 };

bool acts(const struct req *q, const char *action)
{
	return q->rule && strcmp(q->rule->action, action) == 0;
}

/* ---- bytes out */

static void send_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t got = send(fd, p, n, MSG_NOSIGNAL);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return;
		p += got;
		n -= (size_t)got;
	}
}

char *expand(const struct req *q, const char *s)
{
	struct buf b = BUF_MAX(1 << 16);

	for (; *s; s++) {
		if (s[0] == '%' && (s[1] == '1' || s[1] == '2'))
			buf_printf(&b, "%u", q->d->port[s[1] - '1']);
		else if (s[0] == '%' && s[1] == 'p')
			buf_str(&b, q->path);
		else {
			buf_char(&b, *s);
			continue;
		}
		s++;
	}
	return buf_steal(&b);
}

void note(const struct req *q, int status)
{
	char scheme[16] = "none";

	if (*q->auth)
		snprintf(scheme, sizeof(scheme), "%.*s", (int)strcspn(q->auth, " "), q->auth);
	fprintf(q->d->log, "%s %s %s auth=%s range=%s %d\n", q->side ? "storage" : "registry", q->method, q->path, scheme,
		*q->range ? q->range : "-", status);
	fflush(q->d->log);
}

void cut(struct req *q, bool reset)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };

	if (reset) {
		usleep(50000);           /* let what was sent arrive: a reset throws it away otherwise */
		setsockopt(q->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	}
	q->alive = false;
}

void answer(struct req *q, int status, const char *headers, struct slice body)
{
	AUTO(buf_freep) struct buf head = BUF_MAX(1 << 20);
	AUTO(buf_freep) struct buf all = BUF_MAX(BODY_MAX + 4096);
	size_t n = 0, announced = 0;
	uint64_t number = 0;
	bool good = status < 300, is_head = strcmp(q->method, "HEAD") == 0;

	buf_slice(&all, body);
	if (good && q->rule)
		slice_u64(slice_of(q->rule->arg), &number);
	if (good && acts(q, "wrong") && all.n)
		all.p[0] ^= 1;
	for (uint64_t i = 0; good && acts(q, "long") && i < number; i++)
		buf_char(&all, 'x');
	while (good && acts(q, "huge") && all.n < number)
		buf_char(&all, 'x');
	announced = n = all.n;
	if (good && (acts(q, "short") || acts(q, "stop") || acts(q, "reset")) && number < n)
		n = (size_t)number;
	for (uint64_t i = 0; good && acts(q, "interim") && i < number; i++)
		buf_str(&head, "HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n");
	buf_printf(&head, "HTTP/1.1 %d X\r\n%s", status, headers);
	for (uint64_t i = 0; good && acts(q, "headers") && i < number; i++)
		buf_str(&head, "X-Many: of these\r\n");
	for (uint64_t i = 0; good && acts(q, "line") && i < number; i++)
		buf_str(&head, i == 0 ? "X-Long: " : i + 1 < number ? "a" : "\r\n");
	if (good && acts(q, "header"))
		buf_printf(&head, "%s\r\n", q->rule->arg);
	if (good && acts(q, "encode"))
		buf_str(&head, "Content-Encoding: gzip\r\n");
	if (good && acts(q, "stop"))
		buf_str(&head, "Connection: close\r\n\r\n");
	else
		buf_printf(&head, "Content-Length: %zu\r\n\r\n", announced);
	note(q, status);
	send_all(q->fd, head.p, head.n);
	if (!is_head)
		send_all(q->fd, all.p, n);
	if (n < announced || (good && acts(q, "stop")))
		cut(q, acts(q, "reset"));
}

void failure(struct req *q, int status, const char *code, const char *headers)
{
	AUTO(buf_freep) struct buf b = BUF_MAX(4096);
	AUTO(mem_freep) char *h = mem_printf("Content-Type: application/json\r\n%s", headers);

	buf_printf(&b, "{\"errors\":[{\"code\":\"%s\",\"message\":\"regd says no\"}]}", code);
	answer(q, status, h, buf_view(&b));
}

/* ---- bytes in */

static void header(struct req *q, struct slice line, uint64_t *length, bool *expect)
{
	static const char *const names[] = { "authorization", "range", "content-type", "content-range" };
	char *const fields[] = { q->auth, q->range, q->type, q->content_range };
	const size_t sizes[] = { sizeof(q->auth), sizeof(q->range), sizeof(q->type), sizeof(q->content_range) };
	struct slice key, v;

	slice_cut(line, ':', &key, &v);
	v = slice_trim(v, " \r");
	for (size_t i = 0; i < countof(names); i++) {
		if (slice_is_nocase(key, names[i]))
			snprintf(fields[i], sizes[i], "%.*s", SLICE_F(v));
	}
	if (slice_is_nocase(key, "content-length"))
		slice_u64(v, length);
	*expect = *expect || slice_is_nocase(key, "expect");
}

static bool read_request(struct req *q)
{
	AUTO(buf_freep) struct buf head = BUF_MAX(HEAD_MAX);
	struct slice rest, line, word;
	uint64_t length = 0;
	bool expect = false;
	char c = 0;

	while (head.n < 4 || memcmp(head.p + head.n - 4, "\r\n\r\n", 4) != 0) {
		if (recv(q->fd, &c, 1, 0) <= 0 || head.over || c == 0x16)        /* somebody tries TLS */
			return false;
		buf_char(&head, c);
	}
	slice_cut(buf_view(&head), '\n', &line, &rest);
	slice_cut(line, ' ', &word, &line);
	snprintf(q->method, sizeof(q->method), "%.*s", SLICE_F(word));
	slice_cut(line, ' ', &word, &line);
	snprintf(q->path, sizeof(q->path), "%.*s", SLICE_F(word));
	while (slice_cut(rest, '\n', &line, &rest))
		header(q, line, &length, &expect);
	if (expect && length)
		send_all(q->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	while (q->body.n < length) {
		size_t want = length - q->body.n < 65536 ? (size_t)(length - q->body.n) : 65536;
		char *to = buf_room(&q->body, want);
		ssize_t got = to ? recv(q->fd, to, want, 0) : -1;

		if (got <= 0)
			return false;
		q->body.n += (size_t)got;
	}
	return true;
}

static bool one(struct regd *d, int fd, int side)
{
	struct req q = { .d = d, .fd = fd, .side = side, .body = BUF_MAX(BODY_MAX), .alive = true };

	if (read_request(&q))
		serve(&q);
	else
		q.alive = false;
	buf_free(&q.body);
	return q.alive;
}

/* ---- starting */

static void directive(struct regd *d, char *line)
{
	char *word[6] = { NULL };
	size_t n = 0;

	for (; n < 6; n++) {
		line += strspn(line, " ");
		if (!*line)
			break;
		word[n] = line;
		if (n == 5)
			continue;
		line += strcspn(line, " ");
		if (*line)
			*line++ = '\0';
	}
	if (n >= 4 && strcmp(word[0], "auth") == 0) {
		d->scheme = mem_str(word[1]);
		d->user = mem_str(word[2]);
		d->password = mem_str(word[3]);
	} else if (n >= 5 && strcmp(word[0], "rule") == 0) {
		int count = (int)strtol(word[1], NULL, 10);

		d->rule[d->nrule++] = (struct rule){
			.left = count ? count : -1, .method = mem_str(word[2]), .word = mem_str(word[3]), .action = mem_str(word[4]),
			.arg = mem_str(word[5] ? word[5] : ""),
		};
	} else {
		fprintf(stderr, "regd: cannot read the line '%s'\n", word[0] ? word[0] : "");
		exit(2);
	}
}

static int listen_on(unsigned *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 64) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &n) < 0) {
		perror("regd");
		exit(2);
	}
	*port = ntohs(a.sin_port);
	return fd;
}

static void round_of_poll(struct regd *d)
{
	if (poll(d->fd, d->nfd, -1) < 0)
		return;
	for (size_t i = 0; i < d->nfd; i++) {
		if (!d->fd[i].revents)
			continue;
		if (i == 0)                      /* who started us has gone */
			exit(0);
		if (i <= 2) {
			int fd = accept(d->fd[i].fd, NULL, NULL);

			if (fd >= 0 && d->nfd < CONNS) {
				d->side[d->nfd] = (int)i - 1;
				d->fd[d->nfd++] = (struct pollfd){ .fd = fd, .events = POLLIN };
			}
		} else if (!one(d, d->fd[i].fd, d->side[i])) {
			close(d->fd[i].fd);
			d->nfd--;
			d->fd[i] = d->fd[d->nfd];
			d->side[i] = d->side[d->nfd];
			d->fd[i].revents = 0;
		}
	}
}

int main(int argc, char **argv)
{
	static struct regd d;

	if (argc < 2)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	d.log = fopen(argv[1], "w");
	if (!d.log)
		return 2;
	for (int i = 2; i < argc; i++)
		directive(&d, argv[i]);
	for (int i = 0; i < 2; i++)
		d.listener[i] = listen_on(&d.port[i]);
	printf("%u %u\n", d.port[0], d.port[1]);
	fflush(stdout);
	d.fd[0] = (struct pollfd){ .fd = 0, .events = POLLIN | POLLHUP };
	d.fd[1] = (struct pollfd){ .fd = d.listener[0], .events = POLLIN };
	d.fd[2] = (struct pollfd){ .fd = d.listener[1], .events = POLLIN };
	d.nfd = 3;
	for (;;)
		round_of_poll(&d);
}
