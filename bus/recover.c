/* SPDX-License-Identifier: Apache-2.0 */
/* After a crash: every opened exchange gets its one terminal event. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "bus/internal.h"
#include "payload/payload.h"

struct orphan {
	int64_t sequence;
	char correlation[ID_TEXT_SIZE];
};

struct recovery {
	struct bus *b;
	struct journal_reader *reader;
	struct orphan *orphans;
	size_t count;
	struct encode_scratch scratch;
	struct publication *publication;	/* of the row being read */
	const struct orphan *orphan;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	size_t posted, done;
	bool failed;
};

/* The journal's thread looks at it, too. */
static void
fail(struct recovery *r)
{
	pthread_mutex_lock(&r->lock);
	r->failed = true;
	pthread_mutex_unlock(&r->lock);
}

static bool
has_failed(struct recovery *r)
{
	bool failed;

	pthread_mutex_lock(&r->lock);
	failed = r->failed;
	pthread_mutex_unlock(&r->lock);
	return failed;
}

static void
on_open_exchange(void *arg, struct span correlation, int64_t sequence)
{
	struct recovery *r = arg;
	struct orphan *at = realloc(r->orphans,
				    (r->count + 1) * sizeof(*at));
	size_t n = correlation.len < ID_TEXT_SIZE - 1 ? correlation.len
						      : ID_TEXT_SIZE - 1;

	if (!at) {
		fail(r);
		return;
	}
	r->orphans = at;
	at[r->count].sequence = sequence;
	memcpy(at[r->count].correlation, correlation.at, n);
	at[r->count++].correlation[n] = '\0';
}

static void
on_ended(void *arg, enum journal_status status)
{
	struct recovery *r = arg;

	pthread_mutex_lock(&r->lock);
	r->done++;
	r->failed |= status != JOURNAL_COMMITTED;
	pthread_cond_signal(&r->ended);
	pthread_mutex_unlock(&r->lock);
}

static void
write_member(struct json *j, const struct cJSON *data, const char *name,
	     struct buf *work)
{
	const struct cJSON *m = payload_member(data, name);

	if (!m)
		return;
	buf_clear(work);
	payload_write(m, work);
	json_key(j, name);
	json_raw(j, buf_span(work));
}

static void
write_data(struct encode_scratch *s, struct span request)
{
	struct cJSON *data = payload_parse(request, NULL);
	struct json j;

	buf_clear(&s->data);
	json_init(&j, &s->data);
	json_object_begin(&j);
	write_member(&j, data, "request", &s->work);
	write_member(&j, data, "route", &s->work);
	json_key(&j, "outcome");
	json_str(&j, "unknown");
	json_key(&j, "error");
	json_str(&j, "matapalo stopped before the end of the exchange was "
		     "recorded");
	write_member(&j, data, "durability", &s->work);
	json_object_end(&j);
	payload_free(&data);
}

static void
write_extensions(struct encode_scratch *s, const struct id *cause)
{
	char id[ID_TEXT_SIZE];
	struct json j;

	buf_clear(&s->extensions);
	json_init(&j, &s->extensions);
	json_object_begin(&j);
	json_key(&j, "dataschema");
	json_str(&j, ENCODE_SCHEMA "exchange:v1");
	if (cause) {
		json_key(&j, "causationid");
		json_str(&j, id_text(cause, id));
	}
	json_object_end(&j);
}

/* row NULL: the request event itself cannot be read any more. */
static void
make_terminal(struct recovery *r, const struct journal_row *row)
{
	struct encode_scratch *s = &r->scratch;
	struct journal_event e = {
		.id = id_make(),
		.time_us = clock_wall_us(),
		.type = SPAN_LITERAL(ENCODE_TYPE_EXCHANGE),
		.source = span_of(r->b->source->source),
		.subject = row ? row->subject : (struct span){ "", 0 },
		.correlation = span_of(r->orphan->correlation),
		.mark = JOURNAL_MARK_CLOSES,
	};

	write_data(s, row ? row->data : (struct span){ "", 0 });
	write_extensions(s, row ? &row->id : NULL);
	e.data = buf_span(&s->data);
	e.extensions = encode_members(&s->extensions);
	if (!s->data.failed && !s->work.failed && !s->extensions.failed)
		r->publication = publication_new(&e, 0);
}

static bool
on_request(void *arg, const struct journal_row *row)
{
	make_terminal(arg, row);
	return true;
}

static void
close_exchange(struct recovery *r, const struct orphan *o)
{
	r->publication = NULL;
	r->orphan = o;
	if (journal_read_one(r->reader, o->sequence, on_request, r) != 1)
		make_terminal(r, NULL);
	if (!r->publication) {
		fail(r);
		return;
	}
	r->publication->done = on_ended;
	r->publication->arg = r;
	r->posted++;
	publication_post(r->b, r->publication);
}

static void
wait_for_all(struct recovery *r)
{
	pthread_mutex_lock(&r->lock);
	while (r->done < r->posted)
		pthread_cond_wait(&r->ended, &r->lock);
	pthread_mutex_unlock(&r->lock);
}

static int
close_all(struct recovery *r, struct error *err)
{
	if (journal_read_open_exchanges(r->reader, on_open_exchange, r) < 0)
		fail(r);
	for (size_t i = 0; i < r->count && !has_failed(r); i++)
		close_exchange(r, &r->orphans[i]);
	wait_for_all(r);
	if (has_failed(r))
		return error_set(err, "%s: exchanges that a crash left open "
				 "cannot be closed; check the space and the "
				 "health of the disk",
				 journal_path(r->b->journal));
	if (r->count > 0)
		log_warn("bus.recovered", "%zu exchanges were open when an "
			 "earlier process stopped; their end is recorded as "
			 "unknown", r->count);
	return 0;
}

int
recover_open_exchanges(struct bus *b, struct error *err)
{
	struct recovery r = { .b = b };
	int rc = -1;

	pthread_mutex_init(&r.lock, NULL);
	pthread_cond_init(&r.ended, NULL);
	r.reader = journal_reader_open(journal_path(b->journal), err);
	if (r.reader)
		rc = close_all(&r, err);
	journal_reader_close(&r.reader);
	encode_scratch_fini(&r.scratch);
	pthread_cond_destroy(&r.ended);
	pthread_mutex_destroy(&r.lock);
	free(r.orphans);
	return rc;
}
