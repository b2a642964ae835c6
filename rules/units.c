/* SPDX-License-Identifier: Apache-2.0 */
/* Durations, percentages and sizes as people write them. */
#include "rules/units.h"

#include <ctype.h>
#include <string.h>

#include "base/attr.h"

#define NUMBER_MAX UINT64_C(1000000000000)

struct unit {
	const char *word;
	uint64_t factor;
};

/* Reads digits; the value stops growing long before it could overflow. */
static const char *
read_number(const char *s, uint64_t *value)
{
	for (*value = 0; isdigit((unsigned char)*s); s++)
		if (*value < NUMBER_MAX)
			*value = *value * 10 + (uint64_t)(*s - '0');
	return s;
}

static int
read_with_unit(const char *s, const struct unit *units, size_t count,
	       uint64_t *value)
{
	const char *end = read_number(s, value);

	if (end == s)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(end, units[i].word) == 0) {
			*value *= units[i].factor;
			return 0;
		}
	}
	return -1;
}

const char *
units_duration(const char *s, unsigned *ms)
{
	static const struct unit units[] = {
		{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 },
	};
	uint64_t value;

	*ms = 0;
	if (strcmp(s, "none") == 0)
		return NULL;
	if (read_with_unit(s, units, ARRAY_SIZE(units), &value) < 0)
		return "is not a duration such as \"250ms\", \"3s\" or "
		       "\"30m\"";
	if (value == 0)
		return "is no time at all: write at least \"1ms\"";
	if (value > UNITS_DURATION_MAX_MS)
		return "is more than \"24h\"";
	*ms = (unsigned)value;
	return NULL;
}

/* Up to four decimals, in parts per million; stops before a fifth. */
static const char *
read_decimals(const char *s, uint64_t *ppm)
{
	uint64_t weight = 1000;

	for (s++; isdigit((unsigned char)*s) && weight; s++, weight /= 10)
		*ppm += (uint64_t)(*s - '0') * weight;
	return s;
}

const char *
units_percent(const char *s, uint32_t *ppm)
{
	static const char complaint[] =
		"is not a percentage such as \"10%\" or \"99.9%\" (at most "
		"four decimals)";
	uint64_t value;
	const char *end = read_number(s, &value);

	if (end == s)
		return complaint;
	value *= 10000;
	if (*end == '.' && isdigit((unsigned char)end[1]))
		end = read_decimals(end, &value);
	if (strcmp(end, "%") != 0)
		return complaint;
	if (value > 1000000)
		return "is more than 100%";
	*ppm = (uint32_t)value;
	return NULL;
}

const char *
units_size(const char *s, size_t *bytes)
{
	static const struct unit units[] = {
		{ "B", 1 }, { "KiB", 1024 }, { "MiB", 1024 * 1024 },
	};
	uint64_t value;

	if (read_with_unit(s, units, ARRAY_SIZE(units), &value) < 0)
		return "is not a size such as \"64KiB\" or \"1MiB\"";
	if (value > UNITS_SIZE_MAX_BYTES)
		return "is more than \"16MiB\"";
	*bytes = (size_t)value;
	return NULL;
}

static const char *
read_status(const char *s, uint16_t *value)
{
	for (int i = 0; i < 3; i++)
		if (!isdigit((unsigned char)s[i]))
			return NULL;
	*value = (uint16_t)((s[0] - '0') * 100 + (s[1] - '0') * 10 + s[2] -
			    '0');
	return *value >= 100 && *value <= 599 ? s + 3 : NULL;
}

/* "200", "200-299" or "2xx" */
static const char *
read_statuses(const char *s, uint16_t *from, uint16_t *to)
{
	if (*s >= '1' && *s <= '5' && s[1] == 'x' && s[2] == 'x') {
		*from = (uint16_t)((*s - '0') * 100);
		*to = (uint16_t)(*from + 99);
		return s + 3;
	}
	s = read_status(s, from);
	*to = *from;
	return s && *s == '-' ? read_status(s + 1, to) : s;
}

const char *
units_statuses(const char *s, struct rules_statuses *out)
{
	static const char complaint[] =
		"is no set of status codes such as \"200-399\", \"5xx\" or "
		"\"200-299,404\"";
	uint16_t from, to;

	*out = (struct rules_statuses){ .count = 0 };
	if (strcmp(s, "none") == 0)
		return NULL;
	for (;; s++) {
		s = read_statuses(s, &from, &to);
		if (!s || to < from)
			return complaint;
		if (out->count == RULES_STATUS_RANGES)
			return "has more than 8 ranges";
		out->ranges[out->count].from = from;
		out->ranges[out->count++].to = to;
		if (*s != ',')
			return *s ? complaint : NULL;
	}
}
