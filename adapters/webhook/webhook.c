/* SPDX-License-Identifier: Apache-2.0 */
/* One CloudEvent a POST (CloudEvents HTTP binding, structured mode). */
#include <stdlib.h>
#include <string.h>

#include "adapters/adapter.h"
#include "base/buf.h"
#include "base/json.h"
#include "outbound/outbound.h"

#define TIMEOUT_MS 10000u
#define TIMEOUT_LEAST_MS 100
#define TIMEOUT_MOST_MS 60000
#define ANSWER_BYTES_MAX (64u << 10)	/* nobody reads it */
#define TURN_MS 1000u

extern const struct adapter_ops adapter_webhook;

struct hook {
	struct outbound *client;
	struct outbound_request request;
	struct outbound_tls tls;
	struct buf body;
	/* of the call that is under way */
	bool answered;
	int status;
	struct error failure;
};

static const char *const known[] = { "url", "timeout_ms", "ca", "certificate",
				     "key", "server_name", "unix" };

static const char *
setting_of(const struct adapter_config *c, const char *key)
{
	for (size_t i = 0; i < c->setting_count; i++)
		if (strcmp(c->settings[i].key, key) == 0)
			return c->settings[i].value;
	return NULL;
}

static bool
is_known(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(known[i], key) == 0)
			return true;
	return false;
}

static int
check_url(const struct adapter_config *c, struct error *err)
{
	const char *url = setting_of(c, "url"), *host;

	if (!url || (strncmp(url, "http://", 7) != 0 &&
		     strncmp(url, "https://", 8) != 0))
		return error_set(err, "adapter %s (webhook): \"url\" has to "
				 "begin with http:// or https://", c->name);
	host = strstr(url, "//") + 2;
	if (memchr(host, '@', strcspn(host, "/?#")))
		return error_set(err, "adapter %s (webhook): no user name in "
				 "\"url\"", c->name);
	return 0;
}

static unsigned
timeout_of(const struct adapter_config *c)
{
	const char *text = setting_of(c, "timeout_ms");
	char *end;
	long ms = text ? strtol(text, &end, 10) : (long)TIMEOUT_MS;

	if (text && (*end || ms < TIMEOUT_LEAST_MS || ms > TIMEOUT_MOST_MS))
		return 0;
	return (unsigned)ms;
}

static int
webhook_check(const struct adapter_config *c, struct error *err)
{
	for (size_t i = 0; i < c->setting_count; i++)
		if (!is_known(c->settings[i].key))
			return error_set(err, "adapter %s (webhook) has no "
					 "setting \"%s\"; it knows: url, "
					 "timeout_ms, ca, certificate, key, "
					 "server_name, unix", c->name,
					 c->settings[i].key);
	if (!timeout_of(c))
		return error_set(err, "adapter %s (webhook): \"timeout_ms\" "
				 "is a number from %d to %d", c->name,
				 TIMEOUT_LEAST_MS, TIMEOUT_MOST_MS);
	return check_url(c, err);
}

/* The config outlives what open returns. */
static void
set_request(struct hook *h, const struct adapter_config *c)
{
	static const struct message_field type = {
		SPAN_LITERAL("Content-Type"),
		SPAN_LITERAL("application/cloudevents+json; charset=utf-8") };

	h->tls = (struct outbound_tls){
		.verify = true, .min_version = OUTBOUND_TLS_1_2,
		.server_name = setting_of(c, "server_name"),
		.ca = span_of(setting_of(c, "ca")),
		.certificate = span_of(setting_of(c, "certificate")),
		.key = span_of(setting_of(c, "key")),
	};
	h->request = (struct outbound_request){
		.url = setting_of(c, "url"), .unix_path = setting_of(c, "unix"),
		.method = SPAN_LITERAL("POST"), .fields = { &type, 1 },
		.timeout_ms = timeout_of(c),
		.max_body_bytes = ANSWER_BYTES_MAX,
	};
	if (strncmp(h->request.url, "https:", 6) == 0)
		h->request.tls = &h->tls;
}

static void *
webhook_open(const struct adapter_config *c, struct error *err)
{
	struct hook *h = calloc(1, sizeof(*h));

	if (!h) {
		error_set(err, "no memory");
		return NULL;
	}
	h->client = outbound_open(1, err);
	if (!h->client) {
		free(h);
		return NULL;
	}
	set_request(h, c);
	return h;
}

static void
on_answer(void *arg, struct outbound_answer *a)
{
	struct hook *h = arg;

	h->answered = true;
	h->status = a->status;
	h->failure = a->error;
}

/* 0, or -1 with err: there is no answer. Takes its timeout at most. */
static int
post(struct hook *h, struct error *err)
{
	h->answered = false;
	h->request.body = buf_span(&h->body);
	if (outbound_start(h->client, &h->request, on_answer, h, err) < 0)
		return -1;
	while (!h->answered)
		(void)outbound_run(h->client, TURN_MS);
	if (h->status)
		return 0;
	return error_set(err, "%s: %s", h->request.url, h->failure.text);
}

static enum adapter_verdict
webhook_deliver(void *self, const struct bus_event *e, struct error *err)
{
	struct hook *h = self;
	struct json j;

	buf_clear(&h->body);
	json_init(&j, &h->body);
	bus_write_cloudevent_within(&j, &e->row, BUS_EVENT_BYTES);
	if (h->body.failed) {
		error_set(err, "no memory for an event");
		return ADAPTER_RETRY;
	}
	if (post(h, err) < 0)
		return ADAPTER_RETRY;
	if (h->status >= 200 && h->status < 300)
		return ADAPTER_OK;
	error_set(err, "%s answered %d", h->request.url, h->status);
	return h->status == 410 ? ADAPTER_POISON : ADAPTER_RETRY;
}

/* Whoever answered has it. */
static int
webhook_flush(void *self, struct error *err)
{
	(void)self;
	(void)err;
	return 0;
}

static void
webhook_close(void *self)
{
	struct hook *h = self;

	outbound_close(&h->client);
	buf_fini(&h->body);
	free(h);
}

const struct adapter_ops adapter_webhook = {
	.kind = "webhook",
	.help = "One CloudEvent a POST to \"url\".",
	.check = webhook_check,
	.open = webhook_open,
	.deliver = webhook_deliver,
	.flush = webhook_flush,
	.close = webhook_close,
};
