/* build/ui/human.c - quantities as people read them. */
#include "build/ui/human.h"

struct human human_bytes(uint64_t n)
{
	static const char *const unit[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
	struct human h;
	double v = (double)n;
	size_t i = 0;

	for (; v >= 999.95 && i + 1 < countof(unit); i++)
		v /= 1000;
	if (i == 0)
		snprintf(h.s, sizeof(h.s), "%u B", (unsigned)n);
	else
		snprintf(h.s, sizeof(h.s), v < 99.95 ? "%.1f %s" : "%.0f %s", v, unit[i]);
	return h;
}

struct human human_seconds(double seconds)
{
	struct human h;
	unsigned s = (unsigned)seconds;

	if (seconds < 60)
		snprintf(h.s, sizeof(h.s), "%.1fs", seconds);
	else if (s < 3600)
		snprintf(h.s, sizeof(h.s), "%um%02us", s / 60, s % 60);
	else
		snprintf(h.s, sizeof(h.s), "%uh%02um", s / 3600, s / 60 % 60);
	return h;
}

struct human human_ago(int64_t when, int64_t now)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} unit[] = { { 365 * 86400, "year" }, { 30 * 86400, "month" }, { 7 * 86400, "week" }, { 86400, "day" },
		     { 3600, "hour" },        { 60, "minute" },        { 1, "second" } };
	struct human h = { "just now" };
	int64_t d = now - when;

	for (size_t i = 0; i < countof(unit) && d > 0; i++)
		if (d >= unit[i].seconds) {
			int64_t n = d / unit[i].seconds;

			snprintf(h.s, sizeof(h.s), "%jd %s%s ago", (intmax_t)n, unit[i].name, n == 1 ? "" : "s");
			break;
		}
	return h;
}
