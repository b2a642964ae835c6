/* SPDX-License-Identifier: Apache-2.0 */
/* W3C Trace Context for copies: same trace, a parent of their own. */
#include "shadow/trace.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/id.h"

/* "00-" 32 hex "-" 16 hex "-" 2 hex */
#define TRACE_AT 3
#define PARENT_AT 36
#define FLAGS_AT 53
#define LENGTH 55

static bool
is_hex(const char *s, size_t n)
{
	return strspn(s, "0123456789abcdef") >= n;
}

static bool
is_zero(const char *s, size_t n)
{
	return strspn(s, "0") >= n;
}

/* A higher version is read as 00 when its shape allows. */
static bool
is_valid(const char *s)
{
	size_t len = s ? strlen(s) : 0;

	if (len < LENGTH || !is_hex(s, 2) || memcmp(s, "ff", 2) == 0)
		return false;
	if (memcmp(s, "00", 2) == 0 ? len > LENGTH
				    : len > LENGTH && s[LENGTH] != '-')
		return false;
	return s[2] == '-' && is_hex(s + TRACE_AT, 32) &&
	       !is_zero(s + TRACE_AT, 32) && s[PARENT_AT - 1] == '-' &&
	       is_hex(s + PARENT_AT, 16) && !is_zero(s + PARENT_AT, 16) &&
	       s[FLAGS_AT - 1] == '-' && is_hex(s + FLAGS_AT, 2);
}

static uint64_t
random_nonzero(void)
{
	uint64_t v = 0;

	while (v == 0)
		id_random(&v, sizeof(v));
	return v;
}

bool
shadow_trace_child(const char *parent, char *out)
{
	bool goes_on = is_valid(parent);
	unsigned flags = 0;

	if (!goes_on) {
		snprintf(out, SHADOW_TRACEPARENT_SIZE,
			 "00-%016llx%016llx-%016llx-02",
			 (unsigned long long)random_nonzero(),
			 (unsigned long long)random_nonzero(),
			 (unsigned long long)random_nonzero());
		return false;
	}
	/* Bits other than sampled and random-trace-id go out as zero. */
	sscanf(parent + FLAGS_AT, "%2x", &flags);
	snprintf(out, SHADOW_TRACEPARENT_SIZE, "00-%.32s-%016llx-%02x",
		 parent + TRACE_AT, (unsigned long long)random_nonzero(),
		 flags & 3u);
	return true;
}
