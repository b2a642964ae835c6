/* SPDX-License-Identifier: Apache-2.0 */
/* traceparent and tracestate (W3C Trace Context, sections 3.2 and 3.3). */
#include "base/trace.h"

#include <stdint.h>
#include <stdio.h>

#include "base/id.h"
#include "base/invariant.h"

/* "00-" 32 hex "-" 16 hex "-" 2 hex */
#define TRACE_AT 3
#define PARENT_AT 36
#define FLAGS_AT 53
#define LENGTH 55
/* Sampled and random-trace-id; the others go out as zero. */
#define FLAGS_KNOWN 3
#define LONG_MEMBER 128u

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
is_hex(const char *s, size_t n)
{
	while (n > 0 && hex_digit(*s) >= 0) {
		s++;
		n--;
	}
	return n == 0;
}

static bool
is_zero(const char *s, size_t n)
{
	while (n > 0 && *s == '0') {
		s++;
		n--;
	}
	return n == 0;
}

/* Those of a higher version may have more behind a dash. */
static bool
version_is_known(struct span s)
{
	if (s.len < LENGTH || !is_hex(s.at, 2) || memcmp(s.at, "ff", 2) == 0)
		return false;
	if (s.len == LENGTH)
		return true;
	return memcmp(s.at, "00", 2) != 0 && s.at[LENGTH] == '-';
}

bool
trace_parent_read(struct span s, char out[TRACE_PARENT_SIZE])
{
	int flags;

	if (!version_is_known(s) || s.at[2] != '-' ||
	    !is_hex(s.at + TRACE_AT, 32) || is_zero(s.at + TRACE_AT, 32) ||
	    s.at[PARENT_AT - 1] != '-' || !is_hex(s.at + PARENT_AT, 16) ||
	    is_zero(s.at + PARENT_AT, 16) || s.at[FLAGS_AT - 1] != '-' ||
	    !is_hex(s.at + FLAGS_AT, 2))
		return false;
	memcpy(out, s.at, LENGTH);
	out[LENGTH] = '\0';
	if (memcmp(s.at, "00", 2) == 0)
		return true;
	memcpy(out, "00", 2);
	flags = hex_digit(s.at[FLAGS_AT + 1]) & FLAGS_KNOWN;
	out[FLAGS_AT] = '0';
	out[FLAGS_AT + 1] = (char)('0' + flags);
	return true;
}

static uint64_t
random_nonzero(void)
{
	uint64_t v = 0;

	while (v == 0)
		id_random(&v, sizeof(v));
	return v;
}

void
trace_parent_make(enum trace_start start, char out[TRACE_PARENT_SIZE])
{
	INVARIANT(start != TRACE_START_OFF);
	snprintf(out, TRACE_PARENT_SIZE, "00-%016llx%016llx-%016llx-%02x",
		 (unsigned long long)random_nonzero(),
		 (unsigned long long)random_nonzero(),
		 (unsigned long long)random_nonzero(),
		 start == TRACE_START_SAMPLED ? 3u : 2u);
}

/* ---- tracestate ---- */

static bool
is_key_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c && strchr("_-*/@", c));
}

static bool
key_is_valid(struct span key)
{
	if (key.len == 0 || key.len > 256 || !is_key_char(key.at[0]) ||
	    strchr("_-*/@", key.at[0]))
		return false;
	for (size_t i = 1; i < key.len; i++)
		if (!is_key_char(key.at[i]))
			return false;
	return true;
}

static bool
value_is_valid(struct span value)
{
	if (value.len == 0 || value.len > 256)
		return false;
	for (size_t i = 0; i < value.len; i++)
		if (value.at[i] < ' ' || value.at[i] > '~' ||
		    value.at[i] == ',' || value.at[i] == '=')
			return false;
	return value.at[value.len - 1] != ' ';
}

static struct span
key_of(struct span member)
{
	const char *equals = memchr(member.at, '=', member.len);

	return (struct span){ member.at, equals ? (size_t)(equals - member.at)
						: 0 };
}

static bool
member_is_valid(const struct trace_state *t, struct span member)
{
	struct span key = key_of(member);

	if (!key_is_valid(key) ||
	    !value_is_valid((struct span){ key.at + key.len + 1,
					   member.len - key.len - 1 }))
		return false;
	for (unsigned i = 0; i < t->count; i++)
		if (span_equal(key_of(t->members[i]), key))
			return false;
	return true;
}

void
trace_state_add(struct trace_state *t, struct span line)
{
	struct span member;

	while (!t->invalid && span_next_token(&line, &member)) {
		if (t->count == TRACE_STATE_MEMBERS ||
		    !member_is_valid(t, member))
			t->invalid = true;
		else
			t->members[t->count++] = member;
	}
}

/* The last one that is longer than `least`; count when there is none. */
static unsigned
last_above(const struct trace_state *t, uint32_t left_out, size_t least)
{
	for (unsigned i = t->count; i-- > 0;)
		if (!(left_out >> i & 1) && t->members[i].len > least)
			return i;
	return t->count;
}

/* A bit for each that must go, so that the rest fits. */
static uint32_t
choose(const struct trace_state *t)
{
	uint32_t left_out = 0;
	size_t len = 0;

	for (unsigned i = 0; i < t->count; i++)
		len += t->members[i].len + (i > 0);
	while (len > TRACE_STATE_MAX) {
		unsigned i = last_above(t, left_out, LONG_MEMBER);

		if (i == t->count)
			i = last_above(t, left_out, 0);
		left_out |= UINT32_C(1) << i;
		len -= t->members[i].len;
		len -= len > 0;	/* its comma */
	}
	return left_out;
}

size_t
trace_state_write(const struct trace_state *t, char out[TRACE_STATE_MAX])
{
	uint32_t left_out = t->invalid ? 0 : choose(t);
	size_t n = 0;

	for (unsigned i = 0; i < t->count && !t->invalid; i++) {
		if (left_out >> i & 1)
			continue;
		if (n > 0)
			out[n++] = ',';
		memcpy(out + n, t->members[i].at, t->members[i].len);
		n += t->members[i].len;
	}
	return n;
}
