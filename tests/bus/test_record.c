/* SPDX-License-Identifier: Apache-2.0 */
/* Records through a real journal: what is on disk afterwards, and what is
 * counted. */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/counter.h"
#include "bus/bus.h"
#include "bus/client.h"
#include "bus/record.h"
#include "tests/bus/fixture.h"

#define CANARY "cAnArY"

static const struct digest_key key = { { 5 } };
static const struct bus_source source = { "//test/matapalo", &key };
static const char *const headers[] = { "X-Api-Key", "X-Session" };
static const char *const query[] = { "token", "password" };
static const char *const pointers[] = { "/password", "/cards/*/pan" };
static const struct redact redact = { headers, 2, query, 2, pointers, 2 };
static struct fixture fx;

/* ---- a record that somebody waits for ---- */

struct waiting {
	struct bus_record record;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	int committed, released;
	enum journal_status status;
};

static void
on_committed(struct bus_record *r, enum journal_status status)
{
	struct waiting *w = (struct waiting *)r;

	pthread_mutex_lock(&w->lock);
	w->committed++;
	w->status = status;
	ck_assert_int_eq(w->released, 0);
	pthread_mutex_unlock(&w->lock);
}

static void
on_release(struct bus_record *r)
{
	struct waiting *w = (struct waiting *)r;

	pthread_mutex_lock(&w->lock);
	w->released++;
	pthread_cond_signal(&w->ended);
	pthread_mutex_unlock(&w->lock);
}

static void
waiting_init(struct waiting *w, enum bus_record_kind kind)
{
	memset(w, 0, sizeof(*w));
	bus_record_init(&w->record, kind, &source);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->ended, NULL);
	w->record.redact = &redact;
	w->record.event_id = id_make();
	w->record.exchange_id = id_make();
	w->record.committed = on_committed;
	w->record.release = on_release;
	w->record.item.urgent = true;
	w->record.request.method = SPAN_LITERAL("POST");
	w->record.request.target = SPAN_LITERAL("/x");
	w->record.request.path = SPAN_LITERAL("/x");
	w->record.status = 200;
}

static void
record(struct waiting *w)
{
	journal_post(fx.journal, &w->record.item);
	pthread_mutex_lock(&w->lock);
	while (!w->released)
		pthread_cond_wait(&w->ended, &w->lock);
	pthread_mutex_unlock(&w->lock);
	ck_assert_int_eq(w->released, 1);
	ck_assert_int_eq(w->committed, 1);
}

/* ---- secrets ---- */

enum place { TARGET, HEADER, REQUEST_BODY, RESPONSE_BODY };

/* Each value carries the canary and its row's number. `name` is the header,
 * or the content type of a body. */
static const struct {
	enum place place;
	const char *name, *encoding, *value;
} secrets[] = {
	{ TARGET, NULL, NULL, "/x?a=1&token=%s" },
	{ TARGET, NULL, NULL, "/x?t%%6fken=%s;b=2" },
	{ TARGET, NULL, NULL, "http://user:%s@shop.example/x" },
	{ HEADER, "Authorization", NULL, "Bearer %s" },
	{ HEADER, "proxy-authorization", NULL, "Basic %s" },
	{ HEADER, "Cookie", NULL, "a=1; session=%s" },
	{ HEADER, "COOKIE", NULL, "%s" },
	{ HEADER, "Set-Cookie", NULL, "id=%s; Path=/; HttpOnly" },
	{ HEADER, "x-api-key", NULL, "%s" },
	{ HEADER, "X-SESSION", NULL, "%s" },
	{ HEADER, "Referer", NULL, "https://shop.example/a?password=%s" },
	{ HEADER, "Location", NULL, "https://u:%s@shop.example/" },
	{ REQUEST_BODY, "application/json", NULL, "{\"password\":\"%s\"}" },
	{ REQUEST_BODY, "application/json", NULL,
	  "{\"cards\":[{\"pan\":1},{\"pan\":[\"%s\"]}]}" },
	{ REQUEST_BODY, "application/x-www-form-urlencoded", NULL,
	  "user=a&pass%%77ord=%s&b=1" },
	{ REQUEST_BODY, "multipart/form-data; boundary=b", NULL,
	  "--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n"
	  "%s\r\n--b--" },
	{ RESPONSE_BODY, "text/html", NULL, "\r\n {\"password\" : \"%s\"}" },
	{ RESPONSE_BODY, "application/problem+json", NULL,
	  "{\"password\":\"%s\"" },
	{ RESPONSE_BODY, "application/x-ndjson", NULL,
	  "{\"a\":1}\n{\"password\":\"%s\"}\n" },
	{ RESPONSE_BODY, "text/event-stream", NULL,
	  "data: {\"password\":\"%s\"}\n\n" },
	{ RESPONSE_BODY, "application/json", "gzip", "not gzip but %s" },
	{ RESPONSE_BODY, "text/plain", "br", "what may be in it? %s" },
	{ RESPONSE_BODY, NULL, NULL, "[]{\"password\":\"%s\"}" },
};

static void
put_secret(struct waiting *w, size_t row, const char *text,
	   struct message_field *f)
{
	struct bus_record *r = &w->record;
	struct bus_body body = { .bytes = span_of(text),
				 .true_bytes = strlen(text) };
	size_t n = 0;

	if (secrets[row].place == HEADER)
		f[n++] = (struct message_field){ span_of(secrets[row].name),
						 span_of(text) };
	else if (secrets[row].name)
		f[n++] = (struct message_field){ SPAN_LITERAL("Content-Type"),
						 span_of(secrets[row].name) };
	if (secrets[row].encoding)
		f[n++] = (struct message_field){
			SPAN_LITERAL("content-encoding"),
			span_of(secrets[row].encoding) };
	r->request.fields = r->response = (struct message_fields){ f, n };
	switch (secrets[row].place) {
	case TARGET:
		r->request.target = span_of(text);
		r->request.path = (struct span){ text, strcspn(text, "?") };
		break;
	case HEADER:
		break;
	case REQUEST_BODY:
		r->request_body = body;
		break;
	case RESPONSE_BODY:
		r->response_body = body;
		break;
	}
}

START_TEST(no_secret_is_on_disk)
{
	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++) {
		struct message_field f[2];
		struct waiting w;
		char canary[32], text[512];

		snprintf(canary, sizeof(canary), CANARY "%zu", i);
		snprintf(text, sizeof(text), secrets[i].value, canary);
		for (enum bus_record_kind k = BUS_RECORD_REQUEST;
		     k <= BUS_RECORD_COMMAND; k++) {
			waiting_init(&w, k);
			w.record.command = SPAN_LITERAL("shop.do.v1");
			put_secret(&w, i, text, f);
			record(&w);
			ck_assert_int_eq(w.status, JOURNAL_COMMITTED);
		}
		ck_assert_msg(!fixture_contains(&fx, canary),
			      "secret %zu is on disk: %s", i, text);
	}
	journal_close(&fx.journal);	/* after the checkpoint, too */
	ck_assert(!fixture_contains(&fx, CANARY));
	fixture_reopen(&fx);
}
END_TEST

/* The search itself must be able to find something. */
START_TEST(what_is_no_secret_is_on_disk)
{
	struct message_field f = { SPAN_LITERAL("X-Note"),
				   SPAN_LITERAL(CANARY) };
	struct waiting w;

	waiting_init(&w, BUS_RECORD_EXCHANGE);
	w.record.request.fields = (struct message_fields){ &f, 1 };
	record(&w);
	ck_assert(fixture_contains(&fx, CANARY));
}
END_TEST

START_TEST(secrets_of_replies_are_not_on_disk)
{
	static const char reply[] =
		"{\"op\":\"reply\",\"correlationid\":"
		"\"018f0000-0000-7000-8000-000000000001\",\"headers\":"
		"{\"Set-Cookie\":\"a=" CANARY "\",\"x-api-key\":\"" CANARY
		"\"},\"json\":{\"password\":\"" CANARY "\"}}";
	char url[128];
	const char *const urls[] = { url, NULL };
	const struct bus_options o = { .urls = urls, .source = &source };
	struct error err = { 0 };
	struct buf answer = { 0 };
	struct bus_client *c;
	struct bus *bus;

	snprintf(url, sizeof(url), "ipc://%s/bus.ipc", fx.dir);
	bus = bus_open(fx.journal, &o, &err);
	ck_assert_msg(bus != NULL, "%s", err.text);
	bus_set_redact(bus, &redact);
	c = bus_client_open(url, NULL, 5000, &err);
	ck_assert_msg(c != NULL, "%s", err.text);
	ck_assert_int_eq(bus_client_call(c, SPAN_LITERAL(reply), 5000,
					 &answer, &err), 0);
	ck_assert(!fixture_contains(&fx, CANARY));
	buf_fini(&answer);
	bus_client_close(&c);
	bus_close(&bus);
}
END_TEST

/* ---- counters ---- */

START_TEST(recorded_is_counted)
{
	int64_t recorded = counter_get(COUNTER_RECORDED);
	int64_t dropped = counter_get(COUNTER_DROPPED_JOURNAL);
	struct waiting w;

	for (enum bus_record_kind k = BUS_RECORD_REQUEST;
	     k <= BUS_RECORD_COMMAND; k++) {
		waiting_init(&w, k);
		w.record.command = SPAN_LITERAL("shop.do.v1");
		record(&w);
	}
	ck_assert_int_eq(counter_get(COUNTER_RECORDED), recorded + 1);
	ck_assert_int_eq(counter_get(COUNTER_DROPPED_JOURNAL), dropped);
}
END_TEST

static void
setup(void)
{
	fixture_open(&fx);
}

static void
teardown(void)
{
	fixture_close(&fx);
}

int
main(void)
{
	Suite *s = suite_create("bus/record");
	TCase *t = tcase_create("record");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, no_secret_is_on_disk);
	tcase_add_test(t, what_is_no_secret_is_on_disk);
	tcase_add_test(t, secrets_of_replies_are_not_on_disk);
	tcase_add_test(t, recorded_is_counted);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
