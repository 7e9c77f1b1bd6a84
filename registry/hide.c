/* registry/hide.c - see hide.h. Every form has a colon: one search finds them all. */
#include "registry/hide.h"

#include <strings.h>

static bool in_url(char c)
{
	return (unsigned char)c > ' ' && c != 0x7f && !strchr("\"'<>\\`", c);
}

static bool tells_of_secret(struct slice name)
{
	static const char *const words[] = { "token", "key", "secret", "sig", "password", "credential" };

	for (size_t i = 0; i < countof(words); i++)
		for (size_t n = strlen(words[i]), at = 0; at + n <= name.n; at++)
			if (strncasecmp(name.p + at, words[i], n) == 0)
				return true;
	return false;
}

/* "?a=b&token=c#d": of the query and the fragment, some servers put them there. */
static void hide_query(struct slice s, struct buf *out)
{
	while (s.n) {
		size_t n = 0;

		buf_char(out, s.p[0]);
		s = slice_skip(s, 1);
		while (n < s.n && !strchr("?&;#", s.p[n]))
			n++;
		struct slice part = { s.p, n }, name = part, value = SLICE_NONE;
		bool hidden = slice_cut(part, '=', &name, &value) && value.n && tells_of_secret(name);
		buf_slice(out, hidden ? name : part);
		buf_str(out, hidden ? "=***" : "");
		s = slice_skip(s, n);
	}
}

/* before: the text up to the "://". at: what follows it. Returns the length of the URL's rest. */
static size_t hide_url(struct slice before, struct slice at, struct buf *out)
{
	size_t all = 0, host = 0, path = 0;
	bool http = (before.n >= 4 && strncasecmp(before.p + before.n - 4, "http", 4) == 0) ||
		    (before.n >= 5 && strncasecmp(before.p + before.n - 5, "https", 5) == 0);

	while (all < at.n && in_url(at.p[all]))
		all++;
	while (path < all && !strchr("/?#", at.p[path]))
		if (at.p[path++] == '@')
			host = path;
	/* git@host of an ssh address tells nothing. */
	if (host > 1 && (http || memchr(at.p, ':', host)))
		buf_str(out, "***@");
	else
		host = 0;
	while (path < all && !strchr("?#", at.p[path]))
		path++;
	buf_add(out, at.p + host, path - host);
	hide_query((struct slice){ at.p + path, all - path }, out);
	return all;
}

static bool is_authorization(struct slice before)
{
	static const char word[] = "authorization";
	size_t n = sizeof(word) - 1;

	while (before.n && strchr("\"'\\ ", before.p[before.n - 1]))
		before.n--;
	return before.n >= n && strncasecmp(before.p + before.n - n, word, n) == 0;
}

/* To the end of the line or of the quotation. */
static size_t hide_value(struct slice at, struct buf *out)
{
	size_t from = 0, n;

	while (from < at.n && strchr("\"'\\ ", at.p[from]))
		from++;
	for (n = from; n < at.n && !strchr("\"'\\\r\n", at.p[n]); n++)
		;
	buf_add(out, at.p, from);
	buf_str(out, n > from ? "***" : "");
	return n;
}

void hide_credentials(struct slice text, struct buf *out)
{
	size_t from = 0;

	while (from < text.n) {
		const char *colon = memchr(text.p + from, ':', text.n - from);
		size_t to = colon ? (size_t)(colon - text.p) + 1 : text.n;
		struct slice before = { text.p, to - 1 }, at = slice_skip(text, to);

		buf_add(out, text.p + from, to - from);
		from = to;
		if (colon && slice_starts(at, "//")) {
			buf_str(out, "//");
			from += 2 + hide_url(before, slice_skip(at, 2), out);
		} else if (colon && is_authorization(before)) {
			from += hide_value(at, out);
		}
	}
}
