/* parser/value.c - sizes and durations as options write them (spec/dockerfile.md 8.6 and Appendix D.1). */
#include "parser/flags.h"

#include <inttypes.h>

struct decimal {
	uint64_t whole, part, scale;     /* whole + part / scale */
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "1", "1.5", ".5", "1." at the start of *s, which is moved behind it. Digits of the fraction beyond 18 mean nothing. */
static bool take_decimal(struct slice *s, struct decimal *ret)
{
	struct decimal d = { 0, 0, 1 };
	bool any = false;

	for (; s->n && is_digit(s->p[0]); *s = slice_skip(*s, 1)) {
		any = true;
		if (ckd_mul(&d.whole, d.whole, 10u) || ckd_add(&d.whole, d.whole, (unsigned)(s->p[0] - '0')))
			return false;
	}
	if (slice_starts(*s, "."))
		for (*s = slice_skip(*s, 1); s->n && is_digit(s->p[0]); *s = slice_skip(*s, 1)) {
			any = true;
			if (d.scale >= UINT64_C(1000000000000000000))
				continue;
			d.part = d.part * 10 + (unsigned)(s->p[0] - '0');
			d.scale *= 10;
		}
	*ret = d;
	return any;
}

/* d * unit, cut to a whole number; false over 64 bits. */
static bool times(struct decimal d, uint64_t unit, uint64_t *ret)
{
	unsigned __int128 all = (unsigned __int128)d.whole * unit + (unsigned __int128)d.part * unit / d.scale;

	*ret = (uint64_t)all;
	return all <= UINT64_MAX;
}

/* 1024 to the power of a unit "", "b", "k", "kb", "kib", ...; 0 when it is none. */
static uint64_t size_unit(struct slice unit)
{
	static const char letters[] = "bkmgtp";
	const char *found = unit.n && unit.p[0] ? strchr(letters, unit.p[0] | 0x20) : NULL;
	struct slice rest = slice_skip(unit, 1);

	if (unit.n == 0 || slice_is_nocase(unit, "b"))
		return 1;
	if (!found || found == letters || (rest.n && !slice_is_nocase(rest, "b") && !slice_is_nocase(rest, "ib")))
		return 0;
	return UINT64_C(1) << (10 * (found - letters));
}

int parse_size(struct slice text, uint64_t *ret, struct err **e)
{
	struct slice unit = text;
	struct decimal number = { 0 };
	uint64_t scale = 0;

	if (take_decimal(&unit, &number)) {
		unit = slice_skip(unit, slice_starts(unit, " "));
		scale = size_unit(unit);
	}
	if (scale == 0 || !times(number, scale, ret)) {
		err_set(e, ERR_INPUT, "invalid size '%.*s'", SLICE_F(text));
		return err_hint(e, "a number and a unit, such as 64m or 1.5g");
	}
	return 0;
}

/* ---- durations ---- */

static const struct { const char *name; uint64_t ns; } duration_units[] = {
	{ "ns", 1 },
	{ "us", 1000 },
	{ "\xC2\xB5s", 1000 },           /* micro sign */
	{ "\xCE\xBCs", 1000 },           /* Greek mu */
	{ "ms", 1000000 },
	{ "s", 1000000000 },
	{ "m", UINT64_C(60) * 1000000000 },
	{ "h", UINT64_C(3600) * 1000000000 },
};

static bool take_unit(struct slice *s, uint64_t *ret)
{
	size_t n = 0;

	while (n < s->n && s->p[n] != '.' && !is_digit(s->p[n]))
		n++;
	for (size_t i = 0; i < countof(duration_units); i++)
		if (slice_is((struct slice){ s->p, n }, duration_units[i].name)) {
			*s = slice_skip(*s, n);
			*ret = duration_units[i].ns;
			return true;
		}
	return false;
}

static bool sum_parts(struct slice s, uint64_t *sum)
{
	*sum = 0;
	if (s.n == 0)
		return false;
	while (s.n) {
		struct decimal number = { 0 };
		uint64_t unit = 0, part = 0;

		if (!take_decimal(&s, &number) || !take_unit(&s, &unit) || !times(number, unit, &part) ||
		    ckd_add(sum, *sum, part))
			return false;
	}
	return true;
}

int parse_duration(struct slice text, int64_t *ret_ns, struct err **e)
{
	struct slice s = text;
	bool negative = slice_starts(s, "-");
	uint64_t sum = 0;

	s = slice_skip(s, negative || slice_starts(s, "+"));
	if (!slice_is(s, "0") && (!sum_parts(s, &sum) || sum > (uint64_t)INT64_MAX + negative)) {
		err_set(e, ERR_INPUT, "invalid duration '%.*s'", SLICE_F(text));
		return err_hint(e, "numbers with units, such as 30s or 1m30s");
	}
	*ret_ns = (int64_t)(negative ? 0 - sum : sum);
	return 0;
}

/* value / scale without trailing zeros, then the unit. */
static void print_fraction(struct buf *out, uint64_t value, uint64_t scale, const char *unit)
{
	uint64_t part = value % scale;

	buf_printf(out, "%" PRIu64, value / scale);
	if (part) {
		buf_char(out, '.');
		for (uint64_t digit = scale / 10; part; digit /= 10) {
			buf_char(out, (char)('0' + part / digit));
			part %= digit;
		}
	}
	buf_str(out, unit);
}

void print_duration(int64_t ns, struct buf *out)
{
	uint64_t v = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
	uint64_t minutes = v / (UINT64_C(60) * 1000000000);

	if (ns < 0)
		buf_char(out, '-');
	if (v == 0) {
		buf_str(out, "0s");
	} else if (v < 1000) {
		print_fraction(out, v, 1, "ns");
	} else if (v < 1000000) {
		print_fraction(out, v, 1000, "\xC2\xB5s");
	} else if (v < 1000000000) {
		print_fraction(out, v, 1000000, "ms");
	} else {
		if (minutes >= 60)
			buf_printf(out, "%" PRIu64 "h", minutes / 60);
		if (minutes)
			buf_printf(out, "%" PRIu64 "m", minutes % 60);
		print_fraction(out, v % (UINT64_C(60) * 1000000000), 1000000000, "s");
	}
}
