/* base/slice.c - borrowed bytes. */
#include "base/slice.h"

enum { DISTANCE_MAX = 3, DISTANCE_WORD = 128 };

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool slice_equal(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool slice_is(struct slice a, const char *s)
{
	return slice_equal(a, slice_of(s));
}

bool slice_is_nocase(struct slice a, const char *s)
{
	size_t i = 0;

	for (; i < a.n && s[i]; i++)
		if (lower(a.p[i]) != lower(s[i]))
			return false;
	return i == a.n && !s[i];
}

bool slice_starts(struct slice a, const char *prefix)
{
	size_t n = strlen(prefix);

	return a.n >= n && (n == 0 || memcmp(a.p, prefix, n) == 0);
}

bool slice_ends(struct slice a, const char *suffix)
{
	size_t n = strlen(suffix);

	return a.n >= n && (n == 0 || memcmp(a.p + a.n - n, suffix, n) == 0);
}

int slice_cmp(struct slice a, struct slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;

	return c ? c : (a.n > b.n) - (a.n < b.n);
}

const char *slice_find(struct slice a, char c)
{
	return a.n ? memchr(a.p, c, a.n) : NULL;
}

struct slice slice_skip(struct slice a, size_t n)
{
	if (n > a.n)
		n = a.n;
	return (struct slice){ a.p ? a.p + n : NULL, a.n - n };
}

static bool in_set(char c, const char *set)
{
	return c && strchr(set, c);
}

struct slice slice_trim(struct slice a, const char *set)
{
	while (a.n && in_set(a.p[0], set))
		a = slice_skip(a, 1);
	while (a.n && in_set(a.p[a.n - 1], set))
		a.n--;
	return a;
}

bool slice_cut(struct slice a, char c, struct slice *head, struct slice *tail)
{
	const char *at = slice_find(a, c);

	if (!at) {
		*head = a;
		*tail = SLICE_NONE;
		return false;
	}
	*head = slice_range(a.p, at);
	*tail = slice_range(at + 1, a.p + a.n);
	return true;
}

static bool digits(struct slice a, unsigned base, uint64_t *ret)
{
	uint64_t v = 0;

	if (a.n == 0)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		if (a.p[i] < '0' || a.p[i] >= (char)('0' + base))
			return false;
		if (ckd_mul(&v, v, base) || ckd_add(&v, v, (uint64_t)(a.p[i] - '0')))
			return false;
	}
	*ret = v;
	return true;
}

bool slice_u64(struct slice a, uint64_t *ret)
{
	return digits(a, 10, ret);
}

bool slice_octal(struct slice a, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (!digits(a, 8, &v) || v > max)
		return false;
	*ret = v;
	return true;
}

size_t slice_utf8(struct slice a, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char c = a.n ? (unsigned char)a.p[0] : 0xff;
	size_t n = c < 0x80 ? 1 : c >> 5 == 0x6 ? 2 : c >> 4 == 0xe ? 3 : c >> 3 == 0x1e ? 4 : 0;

	if (n == 0 || n > a.n)
		return 0;
	uint32_t cp = n == 1 ? c : c & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if (((unsigned char)a.p[i] & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | ((unsigned char)a.p[i] & 0x3f);
	}
	/* Overlong forms, surrogates and what lies beyond Unicode are invalid. */
	if (cp < least[n] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return 0;
	*ret = cp;
	return n;
}

static bool same_letter(char a, char b, bool nocase)
{
	return nocase ? lower(a) == lower(b) : a == b;
}

/* Only the diagonals that can end below the limit are walked, and only while one of them is below it. */
unsigned slice_distance(struct slice a, struct slice b, bool nocase)
{
	enum { SIDE = DISTANCE_MAX - 1, WIDTH = 2 * SIDE + 1 };
	size_t gap = a.n > b.n ? a.n - b.n : b.n - a.n;
	unsigned row[WIDTH + 1], least = 0;

	if (gap >= DISTANCE_MAX || a.n > DISTANCE_WORD || b.n > DISTANCE_WORD)
		return slice_equal(a, b) ? 0 : DISTANCE_MAX;
	while (a.n && b.n && same_letter(*a.p, *b.p, nocase)) {
		a = slice_skip(a, 1);
		b = slice_skip(b, 1);
	}

	/* row[k]: the first i letters of a against the first i + k - SIDE of b. */
	for (unsigned k = 0; k <= WIDTH; k++)
		row[k] = k < SIDE || k == WIDTH ? DISTANCE_MAX : k - SIDE;
	for (size_t i = 1; i <= a.n && least < DISTANCE_MAX; i++) {
		unsigned left = least = DISTANCE_MAX;

		for (size_t k = 0; k < WIDTH; k++) {
			size_t j = i + k;
			unsigned best = DISTANCE_MAX;

			if (j >= SIDE && j - SIDE <= b.n) {
				best = j == SIDE ? (unsigned)i : row[k] + !same_letter(a.p[i - 1], b.p[j - SIDE - 1], nocase);
				best = row[k + 1] + 1 < best ? row[k + 1] + 1 : best;
				best = left + 1 < best ? left + 1 : best;
			}
			row[k] = left = best;
			least = best < least ? best : least;
		}
	}
	return least < DISTANCE_MAX && row[b.n + SIDE - a.n] < DISTANCE_MAX ? row[b.n + SIDE - a.n] : DISTANCE_MAX;
}
