/* SPDX-License-Identifier: Apache-2.0 */
/* Dates as text, without the C library's locales and time zone lock. */
#include "base/clock.h"

#include <stdbool.h>

#define SECOND_US 1000000
#define DAY_S 86400

struct date {
	int year, month, day, hour, minute, second, us;
	int weekday;	/* 0 is Sunday */
};

/* Rounds towards the past, so that times before 1970 come out right. */
static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Days since the epoch to a Gregorian date. The year is counted from March,
 * so that the leap day is the last one; 719468 days lie between 0000-03-01
 * and the epoch, 146097 days are 400 years. */
static void
date_from_days(int64_t days, struct date *d)
{
	int64_t z = days + 719468;
	int64_t era = floor_div(z, 146097);
	int doe = (int)(z - era * 146097);
	int yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int march = (5 * doy + 2) / 153;

	d->day = doy - (153 * march + 2) / 5 + 1;
	d->month = march < 10 ? march + 3 : march - 9;
	d->year = (int)(yoe + era * 400) + (d->month <= 2);
	d->weekday = (int)(((days + 4) % 7 + 7) % 7);
}

static int64_t
days_from_date(const struct date *d)
{
	int64_t y = d->year - (d->month <= 2);
	int64_t era = floor_div(y, 400);
	int yoe = (int)(y - era * 400);
	int doy = (153 * ((d->month + 9) % 12) + 2) / 5 + d->day - 1;

	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void
date_from_wall(int64_t wall_us, struct date *d)
{
	int64_t s = floor_div(wall_us, SECOND_US);
	int64_t days = floor_div(s, DAY_S);
	int rest = (int)(s - days * DAY_S);

	date_from_days(days, d);
	d->us = (int)(wall_us - s * SECOND_US);
	d->hour = rest / 3600;
	d->minute = rest / 60 % 60;
	d->second = rest % 60;
}

static char *
put(char *at, int v, int digits, char after)
{
	for (int i = digits - 1; i >= 0; i--) {
		at[i] = (char)('0' + v % 10);
		v /= 10;
	}
	at[digits] = after;
	return at + digits + 1;
}

static char *
put_word(char *at, const char *words, int index, char after)
{
	for (int i = 0; i < 3; i++)
		at[i] = words[index * 3 + i];
	at[3] = after;
	return at + 4;
}

const char *
clock_rfc3339(int64_t wall_us, char *out)
{
	struct date d;
	char *at = out;

	date_from_wall(wall_us, &d);
	at = put(at, d.year, 4, '-');
	at = put(at, d.month, 2, '-');
	at = put(at, d.day, 2, 'T');
	at = put(at, d.hour, 2, ':');
	at = put(at, d.minute, 2, ':');
	at = put(at, d.second, 2, '.');
	at = put(at, d.us, 6, 'Z');
	*at = '\0';
	return out;
}

const char *
clock_http_date(int64_t wall_us, char *out)
{
	struct date d;
	char *at = out;

	date_from_wall(wall_us, &d);
	at = put_word(at, "SunMonTueWedThuFriSat", d.weekday, ',');
	*at++ = ' ';
	at = put(at, d.day, 2, ' ');
	at = put_word(at, "JanFebMarAprMayJunJulAugSepOctNovDec", d.month - 1,
		      ' ');
	at = put(at, d.year, 4, ' ');
	at = put(at, d.hour, 2, ':');
	at = put(at, d.minute, 2, ':');
	at = put(at, d.second, 2, ' ');
	at = put_word(at, "GMT", 0, '\0');
	return out;
}

/* Reads exactly `digits` digits and one of the characters in `after` (its
 * NUL included when `after` is ""). */
static bool
take(const char **s, int digits, const char *after, int *v)
{
	*v = 0;
	for (int i = 0; i < digits; i++, (*s)++) {
		if (**s < '0' || **s > '9')
			return false;
		*v = *v * 10 + (**s - '0');
	}
	if (!*after)
		return true;
	for (; *after; after++)
		if (**s == *after) {
			(*s)++;
			return true;
		}
	return false;
}

static bool
take_fraction(const char **s, int *us)
{
	int scale = SECOND_US / 10;

	*us = 0;
	if (**s != '.')
		return true;
	if ((*s)[1] < '0' || (*s)[1] > '9')
		return false;
	for ((*s)++; **s >= '0' && **s <= '9'; (*s)++, scale /= 10)
		*us += (**s - '0') * scale;
	return true;
}

/* "Z" or "+01:30"; RFC 3339 5.6 allows small letters. */
static bool
take_offset(const char **s, int *minutes)
{
	int sign = **s == '-' ? -1 : 1;
	int h, m;

	*minutes = 0;
	if (**s == 'Z' || **s == 'z') {
		(*s)++;
		return true;
	}
	if (**s != '+' && **s != '-')
		return false;
	(*s)++;
	if (!take(s, 2, ":", &h) || !take(s, 2, "", &m) || h > 23 || m > 59)
		return false;
	*minutes = sign * (h * 60 + m);
	return true;
}

static bool
date_is_real(const struct date *d)
{
	struct date same = { .hour = 0 };

	if (d->month < 1 || d->month > 12 || d->day < 1 || d->day > 31 ||
	    d->hour > 23 || d->minute > 59 || d->second > 60)
		return false;
	date_from_days(days_from_date(d), &same);
	return same.month == d->month;	/* else: 31 April */
}

int
clock_parse_rfc3339(const char *s, int64_t *wall_us)
{
	struct date d = { .year = 0 };
	int offset_min;

	if (!s || !take(&s, 4, "-", &d.year) || !take(&s, 2, "-", &d.month) ||
	    !take(&s, 2, "Tt ", &d.day) || !take(&s, 2, ":", &d.hour) ||
	    !take(&s, 2, ":", &d.minute) || !take(&s, 2, "", &d.second) ||
	    !take_fraction(&s, &d.us) || !take_offset(&s, &offset_min) || *s ||
	    !date_is_real(&d))
		return -1;
	*wall_us = (days_from_date(&d) * DAY_S + d.hour * 3600 +
		    (d.minute - offset_min) * 60 + d.second) * SECOND_US + d.us;
	return 0;
}
