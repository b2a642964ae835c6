/* SPDX-License-Identifier: Apache-2.0 */
/* Times as texts, so far as they may differ. */
#include <math.h>
#include <string.h>

#include "payload/internal.h"

#define SECOND_US 1000000LL

struct reader {
	struct span rest;
	bool failed;
};

static bool
skip(struct reader *r, const char *any)
{
	if (r->rest.len == 0 || !strchr(any, *r->rest.at))
		return false;
	r->rest.at++;
	r->rest.len--;
	return true;
}

static void
need(struct reader *r, const char *any)
{
	r->failed |= !skip(r, any);
}

/* Exactly so many digits, of a number within bounds. */
static int64_t
number(struct reader *r, size_t digits, int64_t least, int64_t most)
{
	int64_t v = 0;

	for (; digits > 0; digits--) {
		char c = r->rest.len ? *r->rest.at : 'x';

		need(r, "0123456789");
		v = r->failed ? least : v * 10 + (c - '0');
	}
	r->failed |= v < least || v > most;
	return v;
}

/* Howard Hinnant's days_from_civil: years begin in March. */
static int64_t
days(int64_t year, int64_t month, int64_t day)
{
	int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 +
			  day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 +
	       of_year - 719468;
}

/* A leap second is the next one. */
static int64_t
clock_seconds(struct reader *r)
{
	int64_t h = number(r, 2, 0, 23), m, s;

	need(r, ":");
	m = number(r, 2, 0, 59);
	need(r, ":");
	s = number(r, 2, 0, 60);
	return (h * 60 + m) * 60 + s;
}

static int64_t
fraction_us(struct reader *r)
{
	int64_t v = 0, unit = SECOND_US / 10;

	if (!skip(r, "."))
		return 0;
	v = number(r, 1, 0, 9) * unit;
	while (r->rest.len && *r->rest.at >= '0' && *r->rest.at <= '9') {
		unit /= 10;
		v += number(r, 1, 0, 9) * unit;
	}
	return v;
}

static int64_t
zone_seconds(struct reader *r, bool *local)
{
	bool west = r->rest.len && *r->rest.at == '-';
	int64_t s;

	*local = r->rest.len == 0;
	if (*local || skip(r, "Zz"))
		return 0;
	need(r, "+-");
	s = number(r, 2, 0, 23) * 3600;
	need(r, ":");
	s += number(r, 2, 0, 59) * 60;
	return west ? -s : s;
}

static int
read_rfc3339(struct span text, int64_t *us, bool *local)
{
	struct reader r = { .rest = text };
	int64_t year = number(&r, 4, 0, 9999), month, day, seconds;

	need(&r, "-");
	month = number(&r, 2, 1, 12);
	need(&r, "-");
	day = number(&r, 2, 1, 31);
	need(&r, "Tt ");
	seconds = clock_seconds(&r);
	*us = fraction_us(&r);
	seconds -= zone_seconds(&r, local);
	*us += (days(year, month, day) * 86400 + seconds) * SECOND_US;
	return r.failed || r.rest.len ? -1 : 0;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static int
read_imf(struct span text, int64_t *us, bool *local)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct reader r = { .rest = text };
	int64_t day, month, year, seconds;

	*local = false;
	if (text.len != 29 || memcmp(text.at + 25, " GMT", 4) != 0)
		return -1;
	r.rest = (struct span){ text.at + 5, 20 };
	day = number(&r, 2, 1, 31);
	need(&r, " ");
	for (month = 0; month < 12; month++)
		if (memcmp(r.rest.at, months + 3 * month, 3) == 0)
			break;
	r.rest = (struct span){ text.at + 11, 14 };
	need(&r, " ");
	year = number(&r, 4, 0, 9999);
	need(&r, " ");
	seconds = clock_seconds(&r);
	*us = (days(year, month + 1, day) * 86400 + seconds) * SECOND_US;
	return r.failed || month == 12 ? -1 : 0;
}

int
payload_time(struct span text, int64_t *us, bool *local)
{
	if (text.len < 19)
		return -1;
	return text.at[0] >= '0' && text.at[0] <= '9'
		       ? read_rfc3339(text, us, local)
		       : read_imf(text, us, local);
}

/* Without a zone nobody can say how far it is from a time that has one. */
static bool
times_near(struct span expected, struct span actual, double by_ms)
{
	bool local_a, local_b;
	int64_t a, b;

	if (payload_time(expected, &a, &local_a) != 0 ||
	    payload_time(actual, &b, &local_b) != 0 || local_a != local_b)
		return false;
	return fabs((double)(a - b)) <= by_ms * 1000;
}

bool
payload_texts_near(struct span expected, struct span actual,
		   const struct payload_tolerance *t)
{
	struct cJSON *a, *b;
	bool near;

	if (t->kind == PAYLOAD_TOLERANCE_TIME)
		return times_near(expected, actual, t->by);
	a = payload_parse(expected, NULL);
	b = payload_parse(actual, NULL);
	near = cJSON_IsNumber(a) && cJSON_IsNumber(b) &&
	       payload_number_near(a, b, t);
	payload_free(&a);
	payload_free(&b);
	return near;
}
