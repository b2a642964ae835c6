/* SPDX-License-Identifier: Apache-2.0 */
/* matapalo's bus for the driver. Answers are not parsed as JSON, as a
 * consumer would: the places of events are found, no more. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/wire.h"
#include "bus/client.h"

#define CALL_MS 30000
#define ITEM "{\"sequence\":"

struct wire {
	struct bus_client *client;
	char group[64];
	enum wire_acks acks;
	int64_t first, last;	/* of the fetch before; 0: none */
	struct buf request, answer;
};

struct wire *
wire_open(const char *url)
{
	struct error err = {0};
	struct wire *w = calloc(1, sizeof(*w));

	if (w)
		w->client = bus_client_open(url, NULL, CALL_MS, &err);
	if (!w || !w->client)
		wire_fail("cannot connect", err.text);
	return w;
}

void
wire_close(struct wire **wp)
{
	struct wire *w = *wp;

	*wp = NULL;
	bus_client_close(&w->client);
	buf_fini(&w->request);
	buf_fini(&w->answer);
	free(w);
}

static void
call(struct wire *w)
{
	struct error err = {0};

	if (bus_client_call(w->client, buf_span(&w->request), CALL_MS,
			    &w->answer, &err) < 0)
		wire_fail(buf_str(&w->request), err.text);
}

void
wire_join(struct wire *w, const char *group, enum wire_start start,
	  enum wire_acks acks)
{
	snprintf(w->group, sizeof(w->group), "%s", group);
	w->acks = acks;
	if (acks == WIRE_NO_ACKS)
		return;
	buf_clear(&w->request);
	buf_printf(&w->request, "{\"op\":\"fetch\",\"group\":\"%s\",\"max\":0,"
		   "\"max_in_flight\":%d,\"start\":\"%s\"}", group,
		   WIRE_IN_FLIGHT,
		   start == WIRE_OLDEST ? "oldest" : "newest");
	call(w);
}

static void
add_event(struct buf *out, uint64_t stamp_us)
{
	char body[WIRE_EVENT_BYTES + 1];

	buf_adds(out, "\"type\":\"bench.event.v1\",\"subject\":\"bench/7\","
		 "\"data\":");
	buf_add(out, wire_body(body, stamp_us), WIRE_EVENT_BYTES);
}

void
wire_publish(struct wire *w, size_t n, uint64_t stamp_us)
{
	buf_clear(&w->request);
	buf_adds(&w->request, "{\"op\":\"publish\",");
	if (n == 1) {
		add_event(&w->request, stamp_us);
	} else {
		buf_adds(&w->request, "\"events\":[");
		for (size_t i = 0; i < n; i++) {
			buf_adds(&w->request, i ? ",{" : "{");
			add_event(&w->request, stamp_us);
			buf_addc(&w->request, '}');
		}
		buf_addc(&w->request, ']');
	}
	buf_addc(&w->request, '}');
	call(w);
}

void
wire_settle(struct wire *w)
{
	(void)w;	/* the answer said it */
}

static void
write_fetch(struct wire *w, size_t max, unsigned wait_ms)
{
	buf_clear(&w->request);
	if (w->acks == WIRE_NO_ACKS) {
		buf_printf(&w->request, "{\"op\":\"read\",\"after\":%" PRId64
			   ",\"max\":%zu,\"wait_ms\":%u}", w->last, max,
			   wait_ms);
		return;
	}
	buf_printf(&w->request, "{\"op\":\"fetch\",\"group\":\"%s\","
		   "\"max\":%zu,\"wait_ms\":%u", w->group, max, wait_ms);
	if (w->first)
		buf_printf(&w->request, ",\"acks\":[[%" PRId64 ",%" PRId64
			   "]]", w->first, w->last);
	buf_addc(&w->request, '}');
}

static uint64_t
stamp_of(const char *at, const char *end)
{
	const char *stamp = memmem(at, (size_t)(end - at), WIRE_STAMP,
				   sizeof(WIRE_STAMP) - 1);

	if (!stamp)
		wire_fail("an event without its stamp", at);
	return strtoull(stamp + sizeof(WIRE_STAMP) - 1, NULL, 10);
}

size_t
wire_fetch(struct wire *w, size_t max, unsigned wait_ms, wire_event_fn *fn,
	   void *arg)
{
	const char *at, *end;
	size_t n = 0;

	write_fetch(w, max, wait_ms);
	call(w);
	w->first = 0;
	at = buf_str(&w->answer);
	end = at + w->answer.len;
	while ((at = memmem(at, (size_t)(end - at), ITEM, sizeof(ITEM) - 1))) {
		w->last = strtoll(at + sizeof(ITEM) - 1, NULL, 10);
		if (!w->first)
			w->first = w->last;
		if (fn)
			fn(arg, stamp_of(at, end));
		at += WIRE_EVENT_BYTES;
		n++;
	}
	return n;
}
