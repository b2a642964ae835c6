/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of the bus through the real dispatch, journal and groups: all but
 * nng. A line is a frame; a line that begins with 2 comes from another
 * connection. An input that begins with T is for a bus with tokens: there,
 * nobody gets a good answer without one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/invariant.h"
#include "base/log.h"
#include "bus/server.h"
#include "payload/payload.h"
#include "tests/fuzz/fuzz.h"

#ifndef INPUTS_A_JOURNAL
#define INPUTS_A_JOURNAL 20000u
#endif
#define LINES_MAX 12
#define TOKEN "the-token-of-the-fuzzer"
#define OWN_GROUP "g-own"

static const struct digest_key key = { { 1 } };
static const struct bus_source source = { "//fuzz", &key };

static struct {
	char dir[64];
	struct journal *journal;
	struct bus *bus;
	struct server *server;
	struct access *access;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool answered;
	struct buf answer;	/* that was sent */
	unsigned inputs;
} all = { .lock = PTHREAD_MUTEX_INITIALIZER,
	  .ended = PTHREAD_COND_INITIALIZER };

/* ---- a server without nng: a send fails, and so ends ---- */

static void
on_sent(void *arg)
{
	struct call *c = arg;

	nng_msg *m = nng_aio_get_msg(c->aio);

	pthread_mutex_lock(&all.lock);
	if (m)
		buf_add(&all.answer, nng_msg_body(m), nng_msg_len(m));
	nng_msg_free(m);
	nng_aio_set_msg(c->aio, NULL);
	all.answered = true;
	pthread_cond_signal(&all.ended);
	pthread_mutex_unlock(&all.lock);
}

static struct server *
make_server(void)
{
	struct server *s = calloc(1, sizeof(*s));
	struct error err = { 0 };

	INVARIANT(s);
	s->bus = all.bus;
	s->calls = calloc(SERVER_CALLS, sizeof(*s->calls));
	s->recent = recent_new();
	s->reader = journal_reader_open(journal_path(all.journal), &err);
	INVARIANT(s->calls && s->recent && s->reader);
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->read_lock, NULL);
	pthread_mutex_init(&s->access_lock, NULL);
	pthread_cond_init(&s->idle, NULL);
	s->calls[0].server = s;
	INVARIANT(nng_aio_alloc(&s->calls[0].aio, on_sent, &s->calls[0]) == 0);
	return s;
}

static void
free_server(struct server *s)
{
	nng_aio_stop(s->calls[0].aio);
	nng_aio_free(s->calls[0].aio);
	buf_fini(&s->calls[0].out);
	server_free_buffers(s);
	recent_free(&s->recent);
	journal_reader_close(&s->reader);
	free(s->calls);
	free(s);
}

static void
remove_files(void)
{
	static const char *const names[] = { "", "-wal", "-shm", ".lock" };
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/journal.db%s", all.dir,
			 names[i]);
		unlink(path);
	}
	rmdir(all.dir);
}

static void
end(void)
{
	if (!all.bus)
		return;
	bus_close(&all.bus);
	journal_close(&all.journal);
	free_server(all.server);
	access_free(&all.access);
	buf_fini(&all.answer);
	remove_files();
}

static void
begin(void)
{
	const char *const none[] = { NULL };
	struct bus_options o = { .urls = none, .source = &source };
	struct journal_options jo = { .commit_delay_ms = 1 };
	struct error err = { 0 };
	struct stat st;
	char path[128];

	snprintf(all.dir, sizeof(all.dir), "%s/matapalo-fuzz-XXXXXX",
		 stat("/dev/shm", &st) == 0 ? "/dev/shm" : "/tmp");
	INVARIANT(mkdtemp(all.dir));
	snprintf(path, sizeof(path), "%s/journal.db", all.dir);
	jo.path = path;
	all.journal = journal_open(&jo, &err);
	INVARIANT(all.journal);
	all.bus = bus_open(all.journal, &o, &err);
	INVARIANT(all.bus);
	all.server = make_server();
	all.access = access_parse(span_of(
		"fuzzer " TOKEN " consume,read,publish,admin g*\n"
		"owner the-token-of-the-owner consume =" OWN_GROUP "\n"),
				  &err);
	INVARIANT(all.access);
}

/* ---- one frame ---- */

/* Nobody waits for the end of a long poll. */
static void
await_answer(struct call *c)
{
	struct server *s = c->server;

	pthread_mutex_lock(&all.lock);
	while (!all.answered) {
		pthread_mutex_unlock(&all.lock);
		pthread_mutex_lock(&s->lock);
		if (c->state == CALL_WAITING)
			c->until_ms = 0;
		pthread_mutex_unlock(&s->lock);
		(void)server_serve(s);
		pthread_mutex_lock(&all.lock);
		if (!all.answered) {
			struct timespec t;

			clock_gettime(CLOCK_REALTIME, &t);
			t.tv_nsec += 1000000;
			t.tv_sec += t.tv_nsec / 1000000000;
			t.tv_nsec %= 1000000000;
			pthread_cond_timedwait(&all.ended, &all.lock, &t);
		}
	}
	pthread_mutex_unlock(&all.lock);
}

static bool
is_about_a_group(const char *op)
{
#define OP(name, right, scope, sentence)                                      \
	if (strcmp(op, #name) == 0)                                           \
		return ACCESS_##scope == ACCESS_GROUP;
#include "bus/ops.def"
#undef OP
	return false;
}

/* May the fuzzer's token have a good answer? */
static bool
has_token(struct span frame)
{
	struct cJSON *p = payload_parse(frame, NULL);
	const char *op = payload_string(payload_member(p, "op"), "");
	const char *group = payload_string(payload_member(p, "group"), "");
	bool has = strcmp(payload_string(payload_member(p, "token"), ""),
			  TOKEN) == 0;

	if (is_about_a_group(op))
		has = has && *group == 'g' && strcmp(group, OWN_GROUP) != 0;
	payload_free(&p);
	return has;
}

static void
check(struct call *c, const struct buf *answer, struct span frame)
{
	static const char good[] = "{\"ok\":true", bad[] = "{\"ok\":false";
	struct span out = buf_span(answer);
	struct error err = { 0 };
	bool is_good = out.len >= sizeof(good) - 1 &&
		       memcmp(out.at, good, sizeof(good) - 1) == 0;

	INVARIANT(!answer->failed);
	INVARIANT(payload_check(out, 1000, &err) == 0);
	INVARIANT(is_good || (out.len >= sizeof(bad) - 1 &&
			      memcmp(out.at, bad, sizeof(bad) - 1) == 0));
	if (is_good && c->server->tokens_path)
		INVARIANT(has_token(frame));
}

static void
run_frame(struct span frame, uint32_t session)
{
	struct call *c = &all.server->calls[0];

	c->session = session;
	c->state = CALL_RUNNING;
	buf_clear(&all.answer);
	all.answered = false;
	switch (call_run(c, frame)) {
	case CALL_ANSWERED:
		check(c, &c->out, frame);
		break;
	case CALL_DROPPED:
		return;
	case CALL_LATER:
		await_answer(c);
		check(c, &all.answer, frame);
		break;
	}
	c->state = CALL_RECEIVING;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = { (const char *)data, size };
	bool tokens = size && data[0] == 'T';

	if (all.inputs++ % INPUTS_A_JOURNAL == 0) {
		if (all.inputs == 1) {
			digest_start();
			log_set_level(LOG_LEVEL_ERROR);
			atexit(end);
		}
		end();
		begin();
	}
	all.server->tokens_path = tokens ? "tokens" : NULL;
	all.server->access = tokens ? all.access : NULL;
	text.at += tokens;
	text.len -= tokens;
	for (unsigned i = 0; i < LINES_MAX && text.len; i++) {
		const char *stop = memchr(text.at, '\n', text.len);
		size_t len = stop ? (size_t)(stop - text.at) : text.len;
		bool other = len && *text.at == '2';

		run_frame((struct span){ text.at + other, len - other },
			  1 + other);
		text.at += len + (stop != NULL);
		text.len -= len + (stop != NULL);
	}
	return 0;
}
