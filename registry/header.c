/* registry/header.c - see header.h.
 *
 *     WWW-Authenticate  challenge ("," challenge)*
 *     challenge         scheme [parameter ("," parameter)*]
 *     parameter         name "=" (token | quoted string)
 * Commas separate both, so a word followed by "=" is a parameter and any other word begins a challenge. Registries leave
 * commas out, double them, and put addresses into unquoted values: all of that is read.
 */
#include "registry/header.h"

#include "base/buf.h"
#include "base/mem.h"

#include <stdlib.h>
#include <strings.h>
#include <time.h>

enum { VALUE_MAX = 16 << 10 };

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

static size_t skip(struct slice s, size_t i, bool commas)
{
	while (i < s.n && (blank(s.p[i]) || (commas && s.p[i] == ',')))
		i++;
	return i;
}

/* The value that begins at i; returns where it ends. */
static size_t value(struct slice s, size_t i, char **ret)
{
	struct buf b = BUF_MAX(VALUE_MAX);

	if (i < s.n && s.p[i] == '"') {
		for (i++; i < s.n && s.p[i] != '"'; i++) {
			if (s.p[i] == '\\' && i + 1 < s.n)
				i++;
			buf_char(&b, s.p[i]);
		}
		i += i < s.n;
	} else {
		for (; i < s.n && !blank(s.p[i]) && s.p[i] != ','; i++)
			buf_char(&b, s.p[i]);
	}
	*ret = buf_steal(&b);
	return i;
}

static void keep(struct challenge *c, struct slice name, char *take_v)
{
	char **field = slice_is_nocase(name, "realm")     ? &c->realm
		       : slice_is_nocase(name, "service") ? &c->service
		       : slice_is_nocase(name, "scope")   ? &c->scope
		       : slice_is_nocase(name, "error")   ? &c->error
							  : NULL;

	if (field && !*field)
		*field = take_v;
	else
		free(take_v);
}

/* A challenge is complete: is it the one to answer? */
static void settle(struct challenge *c, struct challenge *one)
{
	if (one->basic)
		c->basic = true;
	if (one->bearer && one->realm && *one->realm && !c->bearer) {
		bool basic = c->basic;

		*c = *one;
		c->basic = basic;
		*one = (struct challenge){ 0 };
		return;
	}
	challenge_clear(one);
}

void challenge_parse(struct slice s, struct challenge *c)
{
	struct challenge one = { 0 };
	size_t i = skip(s, 0, true);

	while (i < s.n) {
		size_t from = i;

		while (i < s.n && !blank(s.p[i]) && s.p[i] != ',' && s.p[i] != '=')
			i++;
		struct slice word = { s.p + from, i - from };
		size_t eq = skip(s, i, false);
		if (eq < s.n && s.p[eq] == '=') {
			char *v = NULL;

			i = value(s, skip(s, eq + 1, false), &v);
			keep(&one, word, v);
		} else {
			settle(c, &one);
			one.basic = slice_is_nocase(word, "basic");
			one.bearer = slice_is_nocase(word, "bearer");
		}
		i = skip(s, i, true);
	}
	settle(c, &one);
}

void challenge_clear(struct challenge *c)
{
	free(c->realm);
	free(c->service);
	free(c->scope);
	free(c->error);
	*c = (struct challenge){ 0 };
}

static bool number(struct slice s, int64_t *ret)
{
	uint64_t v = 0;

	if (!slice_u64(s, &v) || v > INT64_MAX)
		return false;
	*ret = (int64_t)v;
	return true;
}

bool upload_range_parse(struct slice s, int64_t *first, int64_t *last)
{
	struct slice a, b;
	int64_t x = 0, y = 0;

	if (slice_starts(s, "bytes=") || slice_starts(s, "bytes "))
		s = slice_skip(s, 6);
	if (!slice_cut(s, '-', &a, &b) || !number(a, &x) || !number(b, &y) || y < x)
		return false;
	*first = x;
	*last = y;
	return true;
}

bool content_range_parse(struct slice s, int64_t *first, int64_t *last, int64_t *total)
{
	struct slice range, size;
	int64_t x = 0, y = 0, n = -1;

	if (s.n < 6 || strncasecmp(s.p, "bytes", 5) != 0 || !blank(s.p[5]))
		return false;
	if (!slice_cut(slice_trim(slice_skip(s, 6), " "), '/', &range, &size) || !upload_range_parse(range, &x, &y))
		return false;
	if (!slice_is(size, "*") && (!number(size, &n) || y >= n))
		return false;
	*first = x;
	*last = y;
	*total = n;
	return true;
}

static bool digits(const char *p, unsigned n, int *ret)
{
	uint64_t v = 0;

	if (!slice_u64((struct slice){ p, n }, &v))
		return false;
	*ret = (int)v;
	return true;
}

bool http_date_parse(struct slice s, int64_t *ret)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct tm t = { 0 };
	char month[4] = "";

	/* "Tue, 15 Nov 1994 08:12:31 GMT", the one form servers may send (RFC 9110 5.6.7). */
	if (s.n != 29 || s.p[3] != ',' || s.p[7] != ' ' || s.p[11] != ' ' || s.p[19] != ':' || !slice_ends(s, " GMT"))
		return false;
	memcpy(month, s.p + 8, 3);
	const char *m = strstr(months, month);
	if (!m || (m - months) % 3 != 0 || !digits(s.p + 5, 2, &t.tm_mday) || !digits(s.p + 12, 4, &t.tm_year) ||
	    !digits(s.p + 17, 2, &t.tm_hour) || !digits(s.p + 20, 2, &t.tm_min) || !digits(s.p + 23, 2, &t.tm_sec))
		return false;
	if (t.tm_year < 1970 || t.tm_mday < 1 || t.tm_mday > 31 || t.tm_hour > 23 || t.tm_min > 59 || t.tm_sec > 60)
		return false;
	t.tm_mon = (int)(m - months) / 3;
	t.tm_year -= 1900;
	*ret = timegm(&t);
	return true;
}

bool retry_after_parse(struct slice s, int64_t now, int64_t *ret_seconds)
{
	int64_t at = 0;

	s = slice_trim(s, " \t");
	if (number(s, ret_seconds))
		return true;
	if (!http_date_parse(s, &at))
		return false;
	*ret_seconds = at > now ? at - now : 0;
	return true;
}
