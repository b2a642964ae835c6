/* SPDX-License-Identifier: Apache-2.0 */
/* A real journal, bus and shadow for a test, and what tests do with them. */
#include "tests/shadow/stage.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "payload/payload.h"

#define PATIENCE_MS 20000

static const struct digest_key key = { .bytes = { 7 } };
static const struct bus_source source = { "urn:matapalo:test", &key };

void
stage_make(struct stage *s)
{
	memset(s, 0, sizeof(*s));
	snprintf(s->dir, sizeof(s->dir), "%s/matapalo-shadow-XXXXXX",
		 getenv("TMPDIR") && strlen(getenv("TMPDIR")) < 32
			 ? getenv("TMPDIR") : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/journal.db", s->dir);
}

void
stage_open(struct stage *s)
{
	static const char *const no_urls[] = { NULL };
	const struct journal_options jo = { .path = s->path,
					    .commit_delay_ms = 2,
					    .queue_capacity = 64 };
	const struct bus_options bo = { .urls = no_urls, .source = &source };
	struct error err = { 0 };

	s->journal = journal_open(&jo, &err);
	ck_assert_msg(s->journal != NULL, "%s", err.text);
	s->bus = bus_open(s->journal, &bo, &err);
	ck_assert_msg(s->bus != NULL, "%s", err.text);
}

void
stage_close(struct stage *s)
{
	shadow_stop(&s->shadow);
	bus_close(&s->bus);
	journal_close(&s->journal);
}

void
stage_remove(struct stage *s)
{
	static const char *const names[] = { "", "-wal", "-shm", "-lock",
					     ".lock", "-journal" };
	char path[128];

	stage_close(s);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s%s", s->path, names[i]);
		unlink(path);
	}
	ck_assert_msg(rmdir(s->dir) == 0, "%s is not empty", s->dir);
}

void
stage_shadow(struct stage *s, const struct shadow_rule *rules, size_t count)
{
	const struct shadow_plan plan = { .rules = rules, .count = count };
	struct error err = { 0 };

	s->shadow = shadow_start(s->bus, &err);
	ck_assert_msg(s->shadow != NULL, "%s", err.text);
	shadow_set_plan(s->shadow, &plan);
}

/* ---- events ---- */

struct publishing {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int done;
};

static void
on_published(void *arg, enum journal_status status)
{
	struct publishing *p = arg;

	pthread_mutex_lock(&p->lock);
	p->done = status == JOURNAL_COMMITTED ? 1 : -1;
	pthread_cond_signal(&p->cond);
	pthread_mutex_unlock(&p->lock);
}

static void
publish(struct stage *s, const struct journal_event *e)
{
	struct publishing p = { PTHREAD_MUTEX_INITIALIZER,
				PTHREAD_COND_INITIALIZER, 0 };

	bus_publish(s->bus, e, on_published, &p);
	pthread_mutex_lock(&p.lock);
	while (p.done == 0)
		pthread_cond_wait(&p.cond, &p.lock);
	pthread_mutex_unlock(&p.lock);
	ck_assert_int_eq(p.done, 1);
}

static const char *
or_text(const char *s, const char *otherwise)
{
	return s ? s : otherwise;
}

static void
write_exchange(struct buf *out, const struct stage_exchange *x)
{
	buf_printf(out, "{\"request\":{\"method\":\"%s\",\"target\":\"%s\","
		   "\"host\":\"shop.example\",\"headers\":{\"accept\":"
		   "\"*/*\"}%s},",
		   or_text(x->method, "GET"), or_text(x->target, "/"),
		   or_text(x->request_more, ""));
	buf_printf(out, "\"response\":{\"status\":%d,\"headers\":"
		   "{\"content-type\":\"application/json\"},\"body\":\"%s\""
		   "%s},",
		   x->status ? x->status : 200, or_text(x->body, "{}"),
		   or_text(x->response_more, ""));
	buf_printf(out, "\"route\":{\"rule\":\"%s\",\"path\":\"/x\"},"
		   "\"outcome\":\"response\",\"timings\":"
		   "{\"total_us\":5000}%s}",
		   or_text(x->rule, "r"), or_text(x->data_more, ""));
}

const char *
stage_publish(struct stage *s, const struct stage_exchange *x)
{
	static char ids[64][ID_TEXT_SIZE];
	static unsigned next;
	char *text = ids[next++ % 64];
	struct id id = id_make();
	struct buf data = { 0 };

	id_text(&id, text);
	write_exchange(&data, x);
	publish(s, &(struct journal_event){
		.id = id_make(),
		.time_us = clock_wall_us(),
		.type = SPAN_LITERAL("matapalo.exchange.v1"),
		.source = SPAN_LITERAL("urn:matapalo:test"),
		.subject = SPAN_LITERAL("GET /x"),
		.correlation = span_of(text),
		.data = buf_span(&data),
		.shadow = true,
	});
	buf_fini(&data);
	return text;
}

static void
publish_event(struct stage *s, const char *type, const char *correlation,
	      const char *extensions, const char *data)
{
	publish(s, &(struct journal_event){
		.id = id_make(),
		.time_us = clock_wall_us(),
		.type = span_of(type),
		.source = SPAN_LITERAL("urn:matapalo:test"),
		.correlation = span_of(correlation),
		.extensions = span_of(extensions),
		.data = span_of(data),
	});
}

void
stage_publish_event(struct stage *s, const char *type,
		    const char *correlation, const char *data)
{
	publish_event(s, type, correlation, "", data);
}

static void
publish_reply(struct stage *s, const char *correlation,
	      const char *extensions, int status, const char *json)
{
	struct buf data = { 0 };

	buf_printf(&data, "{\"status\":%d,\"headers\":{\"content-type\":"
		   "\"application/json\"},\"json\":%s}", status, json);
	publish_event(s, "matapalo.reply.v1", correlation, extensions,
		      buf_str(&data));
	buf_fini(&data);
}

void
stage_reply(struct stage *s, const char *correlation, int status,
	    const char *json)
{
	publish_reply(s, correlation, "", status, json);
}

void
stage_reply_to(struct stage *s, const char *correlation, const char *cause,
	       int status, const char *json)
{
	char extensions[64];

	snprintf(extensions, sizeof(extensions), "\"causationid\":\"%s\"",
		 cause);
	publish_reply(s, correlation, extensions, status, json);
}

/* ---- looking ---- */

struct search {
	const char *correlation;	/* or NULL */
	size_t count;
	struct shadow_verdict *v;
};

static bool
on_row(void *arg, const struct journal_row *row)
{
	struct search *x = arg;

	if (x->correlation && !span_is(row->correlation, x->correlation))
		return true;
	x->count++;
	if (x->v)
		ck_assert_int_eq(shadow_verdict_read(row->data, x->v), 0);
	return true;
}

static void
search(struct stage *s, const char *type, struct search *x)
{
	const struct journal_filter f = { .type = type };
	struct journal_reader *r = journal_reader_open(s->path, NULL);
	int64_t scanned;

	ck_assert_ptr_nonnull(r);
	ck_assert_int_ge(journal_read(r, 0, &f, 1000000, 1000000, on_row, x,
				      &scanned), 0);
	journal_reader_close(&r);
}

size_t
stage_count(struct stage *s, const char *type)
{
	struct search x = { 0 };

	search(s, type, &x);
	return x.count;
}

/* Between two looks at a condition; nothing here depends on its length. */
static void
pause_between_looks(void)
{
	const struct timespec ts = { .tv_nsec = 5000000 };

	nanosleep(&ts, NULL);
}

void
stage_await_count(struct stage *s, const char *type, size_t n)
{
	uint64_t until = clock_mono_ms() + PATIENCE_MS;

	while (stage_count(s, type) < n && clock_mono_ms() < until)
		pause_between_looks();
	ck_assert_msg(stage_count(s, type) == n, "%zu events of %s, not %zu",
		      stage_count(s, type), type, n);
}

bool
stage_verdict(struct stage *s, const char *correlation, unsigned wait_ms,
	      struct shadow_verdict *v)
{
	uint64_t until = clock_mono_ms() + wait_ms;
	struct search x = { .correlation = correlation, .v = v };

	search(s, SHADOW_VERDICT_TYPE, &x);
	while (x.count == 0 && clock_mono_ms() < until) {
		pause_between_looks();
		search(s, SHADOW_VERDICT_TYPE, &x);
	}
	return x.count > 0;
}

size_t
stage_verdicts_of(struct stage *s, const char *correlation)
{
	struct search x = { .correlation = correlation };

	search(s, SHADOW_VERDICT_TYPE, &x);
	return x.count;
}

int64_t
stage_number(struct stage *s, const char *pointer)
{
	struct buf text = { 0 };
	struct cJSON *tree;
	struct json j;
	int64_t n;

	json_init(&j, &text);
	shadow_status(s->shadow, &j);
	tree = payload_parse(buf_span(&text), NULL);
	ck_assert_msg(tree != NULL, "%s", buf_str(&text));
	n = payload_int(payload_at(tree, pointer), -1);
	payload_free(&tree);
	buf_fini(&text);
	return n;
}

void
stage_await_number(struct stage *s, const char *pointer, int64_t n)
{
	uint64_t until = clock_mono_ms() + PATIENCE_MS;

	while (stage_number(s, pointer) != n && clock_mono_ms() < until)
		pause_between_looks();
	ck_assert_int_eq(stage_number(s, pointer), n);
}
