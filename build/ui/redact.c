/* build/ui/redact.c - known secrets, and what looks like one, never reach the screen.
 *
 * Patterns are the lines of a secret (6 bytes or more), each also percent-encoded and in base64, and the base64 form of the whole.
 * Output is looked at line by line, so a secret that comes in two writes is found too.
 */
#include "build/ui/redact.h"
#include "base/mem.h"
#include "registry/base64.h"
#include "registry/hide.h"

enum { PATTERN_MIN = 6, PATTERN_MAX = 1 << 20 };

/* Takes what is in p. */
static void add(struct redact *r, struct buf *p)
{
	if (p->n < PATTERN_MIN) {
		mem_wipe(p->p, p->n);
		buf_free(p);
		return;
	}
	MEM_ROOM(r->pattern, r->n, r->cap);
	r->pattern[r->n++] = *p;
	*p = (struct buf)BUF_MAX(PATTERN_MAX);
}

static void add_base64(struct redact *r, struct slice s)
{
	struct buf b = BUF_MAX(PATTERN_MAX);

	base64_put(&b, s);
	/* Encoded together with what follows, the last characters differ. */
	while (b.n && b.p[b.n - 1] == '=')
		b.n--;
	if (b.n && s.n % 3)
		b.n--;
	add(r, &b);
}

static void add_percent(struct redact *r, struct slice s)
{
	struct buf b = BUF_MAX(PATTERN_MAX);
	bool differs = false;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("-._~", c);

		if (plain && c)
			buf_char(&b, (char)c);
		else
			buf_printf(&b, "%%%02X", c);
		differs = differs || !plain;
	}
	if (differs)
		add(r, &b);
	buf_free(&b);
}

/* As it is shown: escaped for people, or in JSON (without the quotes). */
static void add_shown(struct redact *r, struct slice s)
{
	struct buf escaped = BUF_MAX(PATTERN_MAX), json = BUF_MAX(PATTERN_MAX);

	buf_escaped(&escaped, s, PATTERN_MAX);
	if (!slice_equal(buf_view(&escaped), s))
		add(r, &escaped);
	buf_json(&json, s);
	struct slice inner = json.n > 2 ? (struct slice){ json.p + 1, json.n - 2 } : SLICE_NONE;
	if (!slice_equal(inner, s)) {
		if (escaped.p)
			mem_wipe(escaped.p, escaped.cap);
		buf_reset(&escaped);
		buf_slice(&escaped, inner);
		add(r, &escaped);
	}
	if (escaped.p)
		mem_wipe(escaped.p, escaped.cap);
	mem_wipe(json.p, json.cap);
	buf_free(&escaped);
	buf_free(&json);
}

void redact_add(struct redact *r, struct slice secret)
{
	struct slice rest = secret, line = SLICE_NONE;
	bool more = true;

	if (slice_trim(secret, "\r\n").n >= PATTERN_MIN)
		add_base64(r, slice_trim(secret, "\r\n"));
	while (more) {
		struct buf b = BUF_MAX(PATTERN_MAX);

		more = slice_cut(rest, '\n', &line, &rest);
		line = slice_trim(line, "\r");
		if (line.n < PATTERN_MIN)
			continue;
		add_base64(r, line);
		add_percent(r, line);
		add_shown(r, line);
		buf_slice(&b, line);
		add(r, &b);
	}
}

/* Length of the longest pattern that stands at the start of text; 0: none. */
static size_t match(const struct redact *r, struct slice text)
{
	size_t longest = 0;

	for (size_t i = 0; i < r->n; i++) {
		size_t n = r->pattern[i].n;

		if (n > longest && n <= text.n && memcmp(text.p, r->pattern[i].p, n) == 0)
			longest = n;
	}
	return longest;
}

void redact_apply(const struct redact *r, struct slice text, struct buf *out)
{
	AUTO(buf_freep) struct buf rest = BUF_MAX(out->max);

	if (r->n == 0) {
		hide_credentials(text, out);
		return;
	}
	while (text.n) {
		size_t n = match(r, text);

		if (n)
			buf_str(&rest, "***");
		else
			buf_char(&rest, text.p[0]);
		text = slice_skip(text, n ? n : 1);
	}
	hide_credentials(buf_view(&rest), out);
}

void redact_clear(struct redact *r)
{
	for (size_t i = 0; i < r->n; i++) {
		mem_wipe(r->pattern[i].p, r->pattern[i].n);
		buf_free(&r->pattern[i]);
	}
	free(r->pattern);
	*r = (struct redact){ 0 };
}
