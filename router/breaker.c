/* SPDX-License-Identifier: Apache-2.0 */
/* Counts outcomes in a sliding window and decides who may pass. */
#include "router/breaker.h"

#include <string.h>

static void
change(struct breaker *b, enum breaker_state to, uint64_t now_ms)
{
	b->state = to;
	b->epoch++;
	b->trials = b->passed = 0;
	if (to == BREAKER_OPEN)
		b->opened_ms = now_ms;
	if (to == BREAKER_CLOSED)
		memset(b->slices, 0, sizeof(b->slices));
}

/* 0 stands for "not admitted". */
static uint32_t
ticket_of(const struct breaker *b)
{
	return b->epoch + 1;
}

uint32_t
breaker_admit(struct breaker *b, const struct rules_breaker *limits,
	      uint64_t now_ms)
{
	switch (b->state) {
	case BREAKER_CLOSED:
		return ticket_of(b);
	case BREAKER_OPEN:
		if (now_ms < b->opened_ms + limits->open_ms)
			return 0;
		change(b, BREAKER_HALF_OPEN, now_ms);
		break;
	case BREAKER_HALF_OPEN:
		break;
	}
	if (b->trials + b->passed >= limits->half_open)
		return 0;
	b->trials++;
	return ticket_of(b);
}

/* The slices between the newest one and now have seen nothing. After a reload
 * slices may have another width: the newest one must not lie ahead. */
static struct breaker_slice *
slice_of(struct breaker *b, const struct rules_breaker *limits,
	 uint64_t now_ms)
{
	uint64_t width = limits->window_ms / BREAKER_SLICES;
	uint64_t now = now_ms / (width ? width : 1);

	if (now > b->newest + BREAKER_SLICES ||
	    b->newest > now + BREAKER_SLICES) {
		memset(b->slices, 0, sizeof(b->slices));
		b->newest = now;
	}
	while (b->newest < now)
		b->slices[++b->newest % BREAKER_SLICES] =
			(struct breaker_slice){ 0 };
	return &b->slices[b->newest % BREAKER_SLICES];
}

static bool
is_too_much(const struct breaker *b, const struct rules_breaker *limits)
{
	uint64_t requests = 0, failures = 0;

	for (unsigned i = 0; i < BREAKER_SLICES; i++) {
		requests += b->slices[i].requests;
		failures += b->slices[i].failures;
	}
	return requests >= limits->requests &&
	       failures * RULES_SHARE_ALL >= requests * limits->errors_ppm;
}

static void
count(struct breaker *b, const struct rules_breaker *limits, uint64_t now_ms,
      enum breaker_outcome how)
{
	struct breaker_slice *s = slice_of(b, limits, now_ms);

	s->requests++;
	if (how != BREAKER_FAILURE)
		return;
	s->failures++;
	if (is_too_much(b, limits))
		change(b, BREAKER_OPEN, now_ms);
}

static void
judge(struct breaker *b, const struct rules_breaker *limits, uint64_t now_ms,
      enum breaker_outcome how)
{
	b->trials--;
	if (how == BREAKER_FAILURE)
		change(b, BREAKER_OPEN, now_ms);
	else if (how == BREAKER_SUCCESS && ++b->passed >= limits->half_open)
		change(b, BREAKER_CLOSED, now_ms);
}

void
breaker_report(struct breaker *b, const struct rules_breaker *limits,
	       uint64_t now_ms, uint32_t ticket, enum breaker_outcome how)
{
	if (ticket != ticket_of(b))
		return;
	switch (b->state) {
	case BREAKER_CLOSED:
		if (how != BREAKER_UNKNOWN)
			count(b, limits, now_ms, how);
		break;
	case BREAKER_HALF_OPEN:
		judge(b, limits, now_ms, how);
		break;
	case BREAKER_OPEN:
		break;
	}
}

uint64_t
breaker_open_ms(const struct breaker *b, const struct rules_breaker *limits,
		uint64_t now_ms)
{
	uint64_t until = b->opened_ms + limits->open_ms;

	return b->state == BREAKER_OPEN && until > now_ms ? until - now_ms : 0;
}

const char *
breaker_state_name(enum breaker_state s)
{
	static const char *const names[] = {
		[BREAKER_CLOSED] = "closed",
		[BREAKER_OPEN] = "open",
		[BREAKER_HALF_OPEN] = "half-open",
	};

	return names[s];
}
