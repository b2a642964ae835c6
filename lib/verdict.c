/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of events: verdicts that wait for the next request, and those
 * that are sent at once. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/internal.h"

/* ---- what is held ---- */

int
held_add(struct matapalo_consumer *c, const struct matapalo_batch *b)
{
	size_t need;
	int64_t *more;

	if (!c->touch_ms)
		return 0;
	pthread_mutex_lock(&c->lock);
	need = c->held_count + b->count;
	if (need > c->held_room) {
		more = realloc(c->held, need * sizeof(*more));
		if (!more) {
			pthread_mutex_unlock(&c->lock);
			return -1;
		}
		c->held = more;
		c->held_room = need;
	}
	for (size_t i = 0; i < b->count; i++)
		c->held[c->held_count++] = b->events[i].sequence;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

/* Under the lock. An event whose lease ran out and that came again is there
 * twice. */
static void
held_remove(struct matapalo_consumer *c, int64_t sequence)
{
	size_t n = 0;

	for (size_t i = 0; i < c->held_count; i++)
		if (c->held[i] != sequence)
			c->held[n++] = c->held[i];
	c->held_count = n;
}

size_t
held_write(struct matapalo_consumer *c, struct json *j)
{
	size_t n;

	pthread_mutex_lock(&c->lock);
	json_key(j, "sequences");
	json_array_begin(j);
	for (size_t i = 0; i < c->held_count; i++)
		json_i64(j, c->held[i]);
	json_array_end(j);
	n = c->held_count;
	pthread_mutex_unlock(&c->lock);
	return n;
}

/* ---- verdicts that wait ---- */

/* An item that found no memory leaves the list as it was. */
static enum matapalo_code
noted(struct matapalo_consumer *c, struct buf *list, size_t before,
      int64_t sequence)
{
	enum matapalo_code code = MATAPALO_OK;

	if (list->failed) {
		list->failed = false;
		list->len = before;
		code = MATAPALO_NO_MEMORY;
	} else {
		held_remove(c, sequence);
		c->now.count++;
		c->pending++;
	}
	pthread_mutex_unlock(&c->lock);
	return code;
}

enum matapalo_code
matapalo_ack(struct matapalo_consumer *c, int64_t sequence)
{
	size_t before;

	pthread_mutex_lock(&c->lock);
	before = c->now.acks.len;
	buf_printf(&c->now.acks, "%s%" PRId64, before ? "," : "", sequence);
	return noted(c, &c->now.acks, before, sequence);
}

enum matapalo_code
matapalo_nak(struct matapalo_consumer *c, int64_t sequence, int64_t delay_ms,
	     const char *reason)
{
	struct json j;
	size_t before;

	pthread_mutex_lock(&c->lock);
	before = c->now.naks.len;
	if (before)
		buf_addc(&c->now.naks, ',');
	json_init(&j, &c->now.naks);
	json_object_begin(&j);
	json_key(&j, "sequence");
	json_i64(&j, sequence);
	if (delay_ms >= 0) {
		json_key(&j, "delay_ms");
		json_i64(&j, delay_ms);
	}
	link_text(&j, "reason", reason);
	json_object_end(&j);
	return noted(c, &c->now.naks, before, sequence);
}

size_t
matapalo_pending(struct matapalo_consumer *c)
{
	size_t n;

	pthread_mutex_lock(&c->lock);
	n = c->pending;
	pthread_mutex_unlock(&c->lock);
	return n;
}

static void
verdicts_free(struct verdicts *v)
{
	while (v) {
		struct verdicts *next = v->next;

		buf_fini(&v->acks);
		buf_fini(&v->naks);
		free(v);
		v = next;
	}
}

/* Under the lock: the chain of all that waits. What is noted from now on goes
 * behind it. */
static struct verdicts *
detach(struct matapalo_consumer *c)
{
	struct verdicts *v = NULL, *all = c->returned;

	if (c->now.count > 0)
		v = malloc(sizeof(*v));
	if (v) {
		*v = c->now;
		v->next = all;
		all = v;
		c->now = (struct verdicts){ 0 };
	}
	c->returned = NULL;
	return all;
}

static void
add_list(struct json *j, const char *key, size_t member,
	 const struct verdicts *v)
{
	bool begun = false;

	for (; v; v = v->next) {
		const struct buf *items =
			(const void *)((const char *)v + member);

		if (!items->len)
			continue;
		if (!begun) {
			json_key(j, key);
			json_array_begin(j);
		}
		begun = true;
		json_raw(j, buf_span(items));
	}
	if (begun)
		json_array_end(j);
}

struct verdicts *
verdicts_take(struct matapalo_consumer *c, struct json *j)
{
	struct verdicts *taken;

	pthread_mutex_lock(&c->lock);
	taken = detach(c);
	pthread_mutex_unlock(&c->lock);
	add_list(j, "acks", offsetof(struct verdicts, acks), taken);
	add_list(j, "naks", offsetof(struct verdicts, naks), taken);
	return taken;
}

void
verdicts_done(struct matapalo_consumer *c, struct verdicts **taken)
{
	pthread_mutex_lock(&c->lock);
	for (const struct verdicts *v = *taken; v; v = v->next)
		c->pending -= v->count;
	pthread_mutex_unlock(&c->lock);
	verdicts_free(*taken);
	*taken = NULL;
}

void
verdicts_return(struct matapalo_consumer *c, struct verdicts **taken)
{
	struct verdicts *last = *taken;

	if (!last)
		return;
	while (last->next)
		last = last->next;
	pthread_mutex_lock(&c->lock);
	last->next = c->returned;
	c->returned = *taken;
	pthread_mutex_unlock(&c->lock);
	*taken = NULL;
}

void
verdicts_fini(struct matapalo_consumer *c)
{
	verdicts_free(c->returned);
	buf_fini(&c->now.acks);
	buf_fini(&c->now.naks);
}

/* ---- at once ---- */

static enum matapalo_code
settle_now(struct matapalo_consumer *c, const char *op, int64_t sequence,
	   const char *reason, struct matapalo_error *err)
{
	struct buf request CLEANUP(buf_fini) = { 0 };
	struct cJSON *answer CLEANUP(payload_free) = NULL;
	struct json j;

	link_begin(&j, &request, op);
	consumer_who(c, &j);
	json_key(&j, "sequence");
	json_i64(&j, sequence);
	link_text(&j, "reason", reason);
	return link_call(&c->link, &j, 0, &answer, err);
}

static enum matapalo_code
part_with(struct matapalo_consumer *c, const char *op, int64_t sequence,
	  const char *reason, struct matapalo_error *err)
{
	enum matapalo_code code = settle_now(c, op, sequence, reason, err);

	if (code)
		return code;
	pthread_mutex_lock(&c->lock);
	held_remove(c, sequence);
	pthread_mutex_unlock(&c->lock);
	return MATAPALO_OK;
}

enum matapalo_code
matapalo_term(struct matapalo_consumer *c, int64_t sequence,
	      const char *reason, struct matapalo_error *err)
{
	return part_with(c, "term", sequence, reason, err);
}

enum matapalo_code
matapalo_release(struct matapalo_consumer *c, int64_t sequence,
		 struct matapalo_error *err)
{
	return part_with(c, "release", sequence, NULL, err);
}

enum matapalo_code
matapalo_touch(struct matapalo_consumer *c, int64_t sequence,
	       struct matapalo_error *err)
{
	return settle_now(c, "touch", sequence, NULL, err);
}
