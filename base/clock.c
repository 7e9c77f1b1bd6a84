/* base/clock.c - time as the program needs it. */
#include "base/clock.h"
#include "base/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>

static int64_t read_ns(clockid_t id)
{
	struct timespec t = { 0 };

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t clock_ns(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

int64_t clock_wall(void)
{
	return (int64_t)time(NULL);
}

int64_t clock_boot_ns(void)
{
	return read_ns(CLOCK_BOOTTIME);
}

const char *clock_boot_id(char ret[40])
{
	AUTO(fd_closep) int fd = openat(AT_FDCWD, "/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : fd_read(fd, ret, 39, NULL);

	ret[n > 0 ? n : 0] = '\0';
	/* 36 characters and a line end; anything else is no id, and becomes no file name. */
	size_t good = strspn(ret, "0123456789abcdef-");
	ret[good == 36 ? good : 0] = '\0';
	return ret;
}

struct clock_text clock_rfc3339(int64_t seconds)
{
	struct clock_text text = { "1970-01-01T00:00:00Z" };
	time_t t = (time_t)seconds;
	struct tm tm;

	if (gmtime_r(&t, &tm) && tm.tm_year >= -1900 && tm.tm_year <= 9999 - 1900)
		snprintf(text.s, sizeof(text.s), "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
			 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	return text;
}

/* n digits at the start, within limits; moves *s behind them and the separator sep (0: none). */
static bool field(struct slice *s, size_t n, char sep, int least, int most, int *ret)
{
	uint64_t v = 0;

	if (s->n < n || !slice_u64((struct slice){ s->p, n }, &v) || v < (uint64_t)least || v > (uint64_t)most)
		return false;
	*s = slice_skip(*s, n);
	if (sep && (s->n == 0 || (s->p[0] | 0x20) != (sep | 0x20)))
		return false;
	*s = slice_skip(*s, sep ? 1 : 0);
	*ret = (int)v;
	return true;
}

static bool zone(struct slice s, int *ret)
{
	int hours = 0, minutes = 0;

	if (slice_is_nocase(s, "z"))
		return true;
	if (s.n != 6 || (s.p[0] != '+' && s.p[0] != '-'))
		return false;
	int sign = s.p[0] == '-' ? -1 : 1;
	s = slice_skip(s, 1);
	if (!field(&s, 2, ':', 0, 23, &hours) || !field(&s, 2, 0, 0, 59, &minutes))
		return false;
	*ret = sign * (hours * 3600 + minutes * 60);
	return true;
}

int clock_parse_rfc3339(struct slice s, int64_t *ret)
{
	static const int month_days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	struct tm tm = { 0 };
	int offset = 0;

	if (!field(&s, 4, '-', 0, 9999, &tm.tm_year) || !field(&s, 2, '-', 1, 12, &tm.tm_mon) ||
	    !field(&s, 2, 'T', 1, 31, &tm.tm_mday) || !field(&s, 2, ':', 0, 23, &tm.tm_hour) ||
	    !field(&s, 2, ':', 0, 59, &tm.tm_min) || !field(&s, 2, 0, 0, 60, &tm.tm_sec))
		return -1;
	if (s.n && s.p[0] == '.') {
		s = slice_skip(s, 1);
		size_t n = 0;
		while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
			n++;
		if (n == 0)
			return -1;
		s = slice_skip(s, n);
	}
	if (!zone(s, &offset))
		return -1;

	bool leap = (tm.tm_year % 4 == 0 && tm.tm_year % 100 != 0) || tm.tm_year % 400 == 0;
	if (tm.tm_mday > month_days[tm.tm_mon - 1] + (leap && tm.tm_mon == 2 ? 1 : 0))
		return -1;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	*ret = (int64_t)timegm(&tm) - offset;
	return 0;
}
