/* SPDX-License-Identifier: Apache-2.0 */
/* NATS JetStream for the driver: file storage, publishing without waiting for
 * each acknowledgement, pull consumers that acknowledge with the last of what
 * they fetched. Each of these is the fastest that the server offers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nats/nats.h>

#include "bench/wire.h"

#define STREAM "BENCH"
#define SUBJECT "bench.event"

struct wire {
	natsConnection *connection;
	jsCtx *js;
	natsSubscription *subscription;
	enum wire_acks acks;
	natsMsg *last;		/* to be acknowledged */
};

static void
must(natsStatus s, const char *what)
{
	if (s != NATS_OK)
		wire_fail(what, nats_GetLastError(&s));
}

static void
on_lost(jsCtx *js, jsPubAckErr *e, void *arg)
{
	(void)js;
	(void)arg;
	wire_fail("an event was not stored", e->ErrText);
}

static void
make_stream(struct wire *w)
{
	const char *subjects[] = { SUBJECT };
	jsStreamConfig c;
	jsErrCode code = 0;
	natsStatus s;

	jsStreamConfig_Init(&c);
	c.Name = STREAM;
	c.Subjects = subjects;
	c.SubjectsLen = 1;
	c.Storage = js_FileStorage;
	s = js_AddStream(NULL, w->js, &c, NULL, &code);
	if (s != NATS_OK && code != JSStreamNameExistErr)
		must(s, "cannot make the stream");
}

struct wire *
wire_open(const char *url)
{
	struct wire *w = calloc(1, sizeof(*w));
	jsOptions o;

	if (!w)
		wire_fail("no memory", "");
	must(natsConnection_ConnectTo(&w->connection, url), "cannot connect");
	jsOptions_Init(&o);
	o.PublishAsync.MaxPending = WIRE_IN_FLIGHT;
	o.PublishAsync.StallWait = 30000;
	o.PublishAsync.ErrHandler = on_lost;
	must(natsConnection_JetStream(&w->js, w->connection, &o),
	     "no JetStream");
	make_stream(w);
	return w;
}

void
wire_close(struct wire **wp)
{
	struct wire *w = *wp;

	*wp = NULL;
	natsMsg_Destroy(w->last);
	natsSubscription_Destroy(w->subscription);
	jsCtx_Destroy(w->js);
	natsConnection_Destroy(w->connection);
	free(w);
}

void
wire_join(struct wire *w, const char *group, enum wire_start start,
	  enum wire_acks acks)
{
	jsSubOptions o;
	jsErrCode code = 0;

	jsSubOptions_Init(&o);
	o.Config.AckPolicy = acks == WIRE_ACKS ? js_AckAll : js_AckNone;
	o.Config.DeliverPolicy = start == WIRE_OLDEST ? js_DeliverAll
						      : js_DeliverNew;
	if (acks == WIRE_ACKS)
		o.Config.MaxAckPending = WIRE_IN_FLIGHT;
	w->acks = acks;
	must(js_PullSubscribe(&w->subscription, w->js, SUBJECT, group, NULL,
			      &o, &code), "cannot make the consumer");
	must(natsSubscription_SetPendingLimits(w->subscription, -1, -1),
	     "cannot lift the limits");
}

void
wire_publish(struct wire *w, size_t n, uint64_t stamp_us)
{
	char body[WIRE_EVENT_BYTES + 1];
	jsErrCode code = 0;

	(void)wire_body(body, stamp_us);
	if (n == 1)
		must(js_Publish(NULL, w->js, SUBJECT, body, WIRE_EVENT_BYTES,
				NULL, &code), "cannot publish");
	for (size_t i = 0; n > 1 && i < n; i++)
		must(js_PublishAsync(w->js, SUBJECT, body, WIRE_EVENT_BYTES,
				     NULL), "cannot publish");
}

void
wire_settle(struct wire *w)
{
	jsPubOptions o;

	jsPubOptions_Init(&o);
	o.MaxWait = 60000;
	must(js_PublishAsyncComplete(w->js, &o), "events were not stored");
}

static void
acknowledge(struct wire *w)
{
	if (!w->last)
		return;
	must(natsMsg_Ack(w->last, NULL), "cannot acknowledge");
	natsMsg_Destroy(w->last);
	w->last = NULL;
}

static uint64_t
stamp_of(const natsMsg *m)
{
	char text[WIRE_STAMP_DIGITS + 1] = "";

	memcpy(text, natsMsg_GetData(m) + sizeof(WIRE_STAMP) - 1,
	       WIRE_STAMP_DIGITS);
	return strtoull(text, NULL, 10);
}

size_t
wire_fetch(struct wire *w, size_t max, unsigned wait_ms, wire_event_fn *fn,
	   void *arg)
{
	natsMsgList list = {0};
	jsErrCode code = 0;
	size_t n;
	natsStatus s;

	acknowledge(w);
	s = natsSubscription_Fetch(&list, w->subscription, (int)max,
				   wait_ms ? wait_ms : 1, &code);
	if (s != NATS_OK && s != NATS_TIMEOUT)
		must(s, "cannot fetch");
	n = (size_t)list.Count;
	for (size_t i = 0; fn && i < n; i++)
		fn(arg, stamp_of(list.Msgs[i]));
	if (n > 0 && w->acks == WIRE_ACKS) {
		w->last = list.Msgs[n - 1];
		list.Msgs[n - 1] = NULL;
	}
	natsMsgList_Destroy(&list);
	return n;
}
