/* SPDX-License-Identifier: Apache-2.0 */
/* Values as an operator writes them: durations, numbers, addresses. */
#include "console/value.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/span.h"

#define DAY_MS (24u * 3600u * 1000u)
#define AGE_MAX (36500u * 24u * 3600u)
#define PACE_MAX 1e6
#define WORD_MAX 40 /* longer words are never compared */

struct unit {
	const char *suffix;
	unsigned ms;
};

static const struct unit units[] = {
	{ "ms", 1 },
	{ "s", 1000 },
	{ "m", 60 * 1000 },
	{ "h", 3600 * 1000 },
};

/* Digits only: strtoul would take a sign and spaces, too. */
static const char *
take_digits(const char *text, uint64_t limit, uint64_t *number)
{
	uint64_t n = 0;

	if (!isdigit((unsigned char)*text))
		return NULL;
	for (; isdigit((unsigned char)*text); text++) {
		n = n * 10 + (uint64_t)(*text - '0');
		if (n > limit)
			return NULL;
	}
	*number = n;
	return text;
}

int
value_duration(const char *text, unsigned *ms, struct error *err)
{
	uint64_t n;
	const char *rest = take_digits(text, DAY_MS, &n);

	for (size_t i = 0; rest && i < ARRAY_SIZE(units); i++) {
		if (strcmp(rest, units[i].suffix) || n * units[i].ms > DAY_MS)
			continue;
		*ms = (unsigned)(n * units[i].ms);
		return 0;
	}
	return error_set(err,
			 "`%s' is not a time: write a number and ms, s, m or h "
			 "(250ms, 3s, 2m), at most 24h",
			 text);
}

int
value_age(const char *text, unsigned *seconds, struct error *err)
{
	static const struct {
		const char *suffix;
		unsigned seconds;
	} ages[] = { { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 } };
	uint64_t n = 1;
	const char *rest = take_digits(text, AGE_MAX, &n);

	for (size_t i = 0; rest && i < ARRAY_SIZE(ages); i++) {
		if ((n || *rest) && strcmp(rest, ages[i].suffix))
			continue;
		if (n * ages[i].seconds > AGE_MAX)
			break;
		*seconds = (unsigned)(n * ages[i].seconds);
		return 0;
	}
	return error_set(err,
			 "`%s' is not an age: write a number and s, m, h or d "
			 "(12h, 30d), or 0",
			 text);
}

int
value_count(const char *text, unsigned max, unsigned *count, struct error *err)
{
	uint64_t n;
	const char *rest = take_digits(text, max, &n);

	if (!rest || *rest)
		return error_set(err, "`%s' is not a number from 0 to %u", text,
				 max);
	*count = (unsigned)n;
	return 0;
}

int
value_sequence(const char *text, int64_t *sequence, struct error *err)
{
	uint64_t n;
	const char *rest = take_digits(text, INT64_MAX / 16, &n);

	if (!rest || *rest || !n)
		return error_set(err, "`%s' is not a number from 1", text);
	*sequence = (int64_t)n;
	return 0;
}

int
value_position(const char *text, int64_t *sequence, struct error *err)
{
	if (!strcmp(text, "oldest"))
		*sequence = VALUE_OLDEST;
	else if (!strcmp(text, "now"))
		*sequence = VALUE_NOW;
	else if (value_sequence(text, sequence, NULL))
		return error_set(err,
				 "`%s' is neither a sequence nor oldest nor "
				 "now",
				 text);
	return 0;
}

/* ---- places in the log ---- */

#define DAYS_MAX 36500

/* "15m" or "3d": milliseconds. */
static bool
take_ago(const char *text, int64_t *ms)
{
	unsigned short_ms;
	uint64_t days;
	const char *rest = take_digits(text, DAYS_MAX, &days);

	if (rest && !strcmp(rest, "d"))
		*ms = (int64_t)days * DAY_MS;
	else if (!value_duration(text, &short_ms, NULL))
		*ms = short_ms;
	else
		return false;
	return true;
}

int
value_time(const char *text, int64_t *wall_us, struct error *err)
{
	int64_t ms;

	if (take_ago(text, &ms)) {
		*wall_us = clock_wall_us() - ms * 1000;
		return 0;
	}
	if (!clock_parse_rfc3339(text, wall_us))
		return 0;
	return error_set(err,
			 "`%s' is not a time: write 2026-01-05T10:00:00Z, or "
			 "how long ago: 90s, 15m, 2h, 3d",
			 text);
}

int
value_place(const char *text, struct value_place *place, struct error *err)
{
	*place = (struct value_place){ 0 };
	if (!strcmp(text, "oldest"))
		place->sequence = 1;
	else if (!strcmp(text, "newest") || !strcmp(text, "now"))
		place->is_newest = true;
	else if (value_sequence(text, &place->sequence, NULL) &&
		 value_time(text, &place->time_us, NULL))
		return error_set(err,
				 "`%s' is neither a sequence nor oldest, "
				 "newest or a time (2026-01-05T10:00:00Z, or "
				 "how long ago: 90s, 15m, 2h, 3d)",
				 text);
	return 0;
}

int
value_pace(const char *text, struct value_pace *pace, struct error *err)
{
	char *rest;
	double n;

	*pace = (struct value_pace){ 0 };
	if (!strcmp(text, "full"))
		return 0;
	if (!strcmp(text, "original")) {
		pace->speed = 1;
		return 0;
	}
	n = isdigit((unsigned char)*text) ? strtod(text, &rest) : 0;
	if (n > 0 && n <= PACE_MAX && !strcmp(rest, "x"))
		pace->speed = n;
	else if (n > 0 && n <= PACE_MAX && !strcmp(rest, "/s"))
		pace->rate = n;
	else
		return error_set(err,
				 "`%s' is not a pace: write full, original, "
				 "10x (times the original) or 50/s",
				 text);
	return 0;
}

/* ---- addresses ---- */

static int
check_socket_path(const char *path, struct error *err)
{
	const size_t room = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (!*path)
		return error_set(err, "the socket's path is missing");
	if (strlen(path) > room)
		return error_set(err,
				 "the socket's path has %zu bytes, the system "
				 "takes at most %zu: choose a shorter one (%s)",
				 strlen(path), room, path);
	return 0;
}

int
value_address(const char *text, struct error *err)
{
	const char *colon = strrchr(text, ':');
	uint64_t port;
	const char *rest;

	if (!strncmp(text, "unix:", 5))
		return check_socket_path(text + 5, err);
	rest = colon ? take_digits(colon + 1, 65535, &port) : NULL;
	if (!rest || *rest || colon == text)
		return error_set(err,
				 "`%s' is not an address: write ADDR:PORT "
				 "(127.0.0.1:8080, [::1]:8080) or unix:PATH",
				 text);
	if (memchr(text, ':', (size_t)(colon - text)) && *text != '[')
		return error_set(err,
				 "`%s' is not an address: put the IPv6 "
				 "address in brackets, [::1]:8080",
				 text);
	return 0;
}

static int
listen_mode(struct value_listen *l, struct span text, struct error *err)
{
	unsigned mode = 0;
	size_t i;

	for (i = 0; i < text.len && text.at[i] >= '0' && text.at[i] <= '7'; i++)
		mode = mode * 8 + (unsigned)(text.at[i] - '0');
	if (i < text.len || i < 3 || i > 4 || mode > 0777)
		return error_set(err,
				 "`%.*s' is not a mode: write three or four "
				 "octal digits, mode=0660",
				 (int)text.len, text.at);
	if (strncmp(l->address, "unix:", 5))
		return error_set(err, "mode= is for unix:PATH only");
	l->mode = (int)mode;
	return 0;
}

static int
listen_option(struct value_listen *l, struct span option, struct error *err)
{
	if (span_is(option, "tls"))
		l->flags |= LISTEN_TLS;
	else if (span_is(option, "proxy"))
		l->flags |= LISTEN_PROXY;
	else if (option.len > 5 && !memcmp(option.at, "mode=", 5))
		return listen_mode(l,
				   (struct span){ option.at + 5,
						  option.len - 5 },
				   err);
	else
		return error_set(err,
				 "`%.*s' is not an option of a listen "
				 "address: there are tls, proxy and mode=0660",
				 (int)option.len, option.at);
	return 0;
}

int
value_listen(const char *text, struct value_listen *out, struct error *err)
{
	struct span address = { text, strcspn(text, ",") }, options, option;

	*out = (struct value_listen){ .mode = -1 };
	options = span_of(text + address.len);
	address = span_trim(address);
	if (address.len >= sizeof(out->address))
		return error_set(err, "the address is longer than %zu bytes",
				 sizeof(out->address) - 1);
	memcpy(out->address, address.at, address.len);
	if (value_address(out->address, err))
		return -1;
	while (span_next_token(&options, &option))
		if (listen_option(out, option, err))
			return -1;
	return 0;
}

int
value_bus_url(const char *text, struct error *err)
{
	if (!strncmp(text, "ipc://", 6))
		return check_socket_path(text + 6, err);
	if (!strncmp(text, "tcp://", 6))
		return value_address(text + 6, err);
	if (!strncmp(text, "tls+tcp://", 10))
		return value_address(text + 10, err);
	return error_set(err,
			 "`%s' is not a bus address: write ipc://PATH, "
			 "tcp://ADDR:PORT or tls+tcp://ADDR:PORT",
			 text);
}

/* A name other than localhost may be anybody's. */
bool
value_bus_is_local(const char *url)
{
	const char *host = strstr(url, "://");

	if (!host || !strncmp(url, "ipc:", 4))
		return host;
	host += 3;
	return (!strncmp(host, "127.", 4) &&
		host[strspn(host, "0123456789.")] == ':') ||
	       !strncmp(host, "[::1]:", 6) ||
	       !strncmp(host, "localhost:", 10);
}

static unsigned
min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

/* Levenshtein's distance, one row at a time. */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[WORD_MAX + 1];
	size_t len = strlen(b);

	if (strlen(a) > WORD_MAX || len > WORD_MAX)
		return WORD_MAX;
	for (unsigned i = 0; i <= len; i++)
		row[i] = i;
	for (unsigned y = 1; a[y - 1]; y++) {
		unsigned diagonal = row[0];

		row[0] = y;
		for (unsigned x = 1; x <= len; x++) {
			unsigned cost = a[y - 1] != b[x - 1];
			unsigned best = min3(row[x] + 1, row[x - 1] + 1,
					     diagonal + cost);

			diagonal = row[x];
			row[x] = best;
		}
	}
	return row[len];
}

const char *
value_nearest(const char *text, const char *const *words, size_t count)
{
	const char *best = NULL;
	unsigned best_distance = (unsigned)strlen(text) / 3 + 1;

	if (best_distance > 3)
		best_distance = 3;
	for (size_t i = 0; i < count; i++) {
		unsigned d = distance(text, words[i]);

		if (d > best_distance || (best && d == best_distance))
			continue;
		best = words[i];
		best_distance = d;
	}
	return best;
}
