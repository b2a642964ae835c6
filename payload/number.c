/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers compared as decimals, not as doubles: 9007199254740993 must not
 * silently equal 9007199254740992. */
#include "payload/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* value = 0.d1d2d3... * 10^exponent, without leading or trailing zeros; the
 * digits stay where they are in the text, with a point among them. */
struct decimal {
	const char *at, *end;
	int64_t exponent;
	bool negative;
	bool huge;	/* the exponent has no place in an int64_t */
};

#define NUMBER_TEXT 32
#define EXPONENT_MAX 1000000000000000LL

/* A node without text is an integer that a double holds exactly. */
static const char *
number_text(const cJSON *n, char out[NUMBER_TEXT])
{
	if (n->valuestring)
		return n->valuestring;
	snprintf(out, NUMBER_TEXT, "%lld", (long long)n->valuedouble);
	return out;
}

static void
trim_zeros(struct decimal *d)
{
	while (d->at < d->end && (*d->at == '0' || *d->at == '.'))
		d->at++;
	while (d->end > d->at && (d->end[-1] == '0' || d->end[-1] == '.'))
		d->end--;
}

/* The exponent of the digit at `at`, given where the point is. */
static int64_t
scale(const char *at, const char *point)
{
	return at < point ? point - at : point + 1 - at;
}

static struct decimal
decimal_of(const char *text)
{
	struct decimal d = { .at = text };
	const char *point;
	long long e = 0;

	if (*d.at == '-') {
		d.negative = true;
		d.at++;
	}
	d.end = d.at + strcspn(d.at, "eE");
	if (*d.end)
		e = strtoll(d.end + 1, NULL, 10);
	d.huge = e > EXPONENT_MAX || e < -EXPONENT_MAX;
	if (d.huge)
		e = 0;
	point = memchr(d.at, '.', (size_t)(d.end - d.at));
	if (!point)
		point = d.end;
	trim_zeros(&d);
	if (d.at == d.end)
		return (struct decimal){ .at = d.at, .end = d.at };
	d.exponent = e + scale(d.at, point);
	return d;
}

static char
next_digit(struct decimal *d)
{
	if (d->at < d->end && *d->at == '.')
		d->at++;
	return d->at < d->end ? *d->at++ : '\0';
}

bool
payload_number_equal(const cJSON *a, const cJSON *b)
{
	char ta[NUMBER_TEXT], tb[NUMBER_TEXT], digit;
	struct decimal da, db;

	if (!a->valuestring && !b->valuestring)
		return a->valuedouble == b->valuedouble;
	da = decimal_of(number_text(a, ta));
	db = decimal_of(number_text(b, tb));
	if (da.huge || db.huge)
		return strcmp(da.at, db.at) == 0 && da.negative == db.negative;
	if (da.negative != db.negative || da.exponent != db.exponent)
		return false;
	do {
		digit = next_digit(&da);
		if (digit != next_digit(&db))
			return false;
	} while (digit);
	return true;
}

static bool
is_integer(const char *text)
{
	return !strpbrk(text, ".eE");
}

/* 20.00 and 19.99 are 0.01 apart for people, not in binary. */
static bool
is_near(long double x, long double y, long double by)
{
	long double slack = fmaxl(fabsl(x), fabsl(y)) * 1e-17L + by * 1e-12L;

	return isfinite(x) && isfinite(y) && fabsl(x - y) <= by + slack;
}

bool
payload_number_near(const cJSON *a, const cJSON *b,
		    const struct payload_tolerance *t)
{
	char ta[NUMBER_TEXT], tb[NUMBER_TEXT];
	const char *sa = number_text(a, ta), *sb = number_text(b, tb);
	long double x = strtold(sa, NULL), by = t->by;

	if (payload_number_equal(a, b))
		return true;
	if (t->kind == PAYLOAD_TOLERANCE_TIME)
		return false;
	if (t->kind == PAYLOAD_TOLERANCE_SHARE)
		by *= fabsl(x);
	/* beyond 2^64 even long doubles round */
	if (by <= 0 || (by < 1 && is_integer(sa) && is_integer(sb)))
		return false;
	return is_near(x, strtold(sb, NULL), by);
}

uint64_t
payload_number_hash(const cJSON *number)
{
	char text[NUMBER_TEXT], digit;
	struct decimal d = decimal_of(number_text(number, text));
	uint64_t h = payload_hash_bytes(d.negative, &d.exponent,
					sizeof(d.exponent));

	while ((digit = next_digit(&d)))
		h = payload_hash_bytes(h, &digit, 1);
	return h;
}

void
payload_number_write(const cJSON *number, struct buf *out)
{
	char text[NUMBER_TEXT];

	buf_adds(out, number_text(number, text));
}
