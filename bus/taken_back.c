/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that were taken back: never given, also after a restart, and
 * forgotten once they are not in the log any more.
 *
 * That every group is past them is not enough: a group that is made later,
 * or set back, would be given what the legacy system has answered. A mark is
 * on disk before that answer. It goes when the oldest event is beyond what
 * was in the log a minute after it was made: the command itself, which was
 * on its way then, is below that. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "bus/internal.h"
#include "journal/retain.h"

#define TAKEN_BACK "bus.taken-back"
#define ON_ITS_WAY_MS 60000
#define LOOK_EACH_MS 1000

struct taken_back {
	struct journal_item item;
	struct taken_back *next;
	struct bus *bus;
	struct id id;
	char key[ID_TEXT_SIZE];
	uint64_t made_ms;
	int64_t below;		/* the command is; 0: not known yet */
	void (*done)(void *arg, enum journal_status status);
	void *arg;
};

static void
keep(struct bus *b, struct taken_back *t)
{
	pthread_mutex_lock(&b->taken_lock);
	t->next = b->taken;
	b->taken = t;
	pthread_mutex_unlock(&b->taken_lock);
}

/* ---- made ---- */

void
taken_back_mark(struct taken_back *t, struct journal_tx *tx)
{
	journal_tx_state_put(tx, TAKEN_BACK, t->key, SPAN_LITERAL("1"));
}

void
taken_back_marked(struct bus *b, struct taken_back *t)
{
	t->bus = b;
	keep(b, t);
}

static int
mark_apply(struct journal_item *item, struct journal_tx *tx)
{
	taken_back_mark((struct taken_back *)item, tx);
	return 0;
}

static void
mark_done(struct journal_item *item, enum journal_status status)
{
	struct taken_back *t = (struct taken_back *)item;

	if (t->done)
		t->done(t->arg, status);
	if (status == JOURNAL_COMMITTED) {
		keep(t->bus, t);
		return;
	}
	log_error("bus.taken-back", "command of exchange %s was taken back, "
		  "but that could not be saved: it must not be given after a "
		  "restart", t->key);
	free(t);
}

static struct taken_back *
mark_new(const struct id *id)
{
	struct taken_back *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->id = *id;
	id_text(id, t->key);
	t->made_ms = clock_mono_ms();
	return t;
}

struct taken_back *
taken_back_new(const struct id *id,
	       void (*done)(void *arg, enum journal_status status), void *arg)
{
	struct taken_back *t = mark_new(id);

	if (!t)
		return NULL;
	t->done = done;
	t->arg = arg;
	return t;
}

void
taken_back_post(struct bus *b, struct taken_back *t)
{
	static const struct journal_item_ops ops = { .apply = mark_apply,
						     .done = mark_done };

	t->item.ops = &ops;
	t->item.urgent = true;
	t->bus = b;
	journal_post(b->journal, &t->item);
}

void
taken_back_free(struct taken_back **t)
{
	free(*t);
	*t = NULL;
}

/* ---- found at start ---- */

static void
on_mark(void *arg, const char *key, struct span value)
{
	struct bus *b = arg;
	struct taken_back *t;
	struct id id;

	(void)value;
	if (id_parse(key, strlen(key), &id) < 0)
		return;
	(void)commands_take_back(b->commands, &id);
	t = mark_new(&id);
	if (!t)
		return;	/* it stays on disk, for the next start */
	t->bus = b;
	t->below = journal_last_sequence(b->journal);
	keep(b, t);
}

int
taken_back_recover(struct bus *b, struct error *err)
{
	struct journal_reader *r;
	int rc;

	r = journal_reader_open(journal_path(b->journal), err);
	if (!r)
		return -1;
	rc = journal_read_state(r, TAKEN_BACK, on_mark, b);
	journal_reader_close(&r);
	if (rc < 0)
		return error_set(err, "%s: the commands that were taken back "
				 "cannot be read", journal_path(b->journal));
	return 0;
}

/* ---- forgotten ---- */

static int
trim_apply(struct journal_item *item, struct journal_tx *tx)
{
	struct taken_back *t = (struct taken_back *)item;

	journal_tx_state_delete(tx, TAKEN_BACK, t->key);
	return 0;
}

static void
trim_done(struct journal_item *item, enum journal_status status)
{
	struct taken_back *t = (struct taken_back *)item;

	if (status != JOURNAL_COMMITTED) {
		keep(t->bus, t);
		return;
	}
	commands_release(t->bus->commands, &t->id);
	free(t);
}

static bool
is_behind(struct taken_back *t, int64_t last, int64_t oldest, uint64_t now)
{
	if (t->below == 0 && now - t->made_ms >= ON_ITS_WAY_MS)
		t->below = last;
	return t->below > 0 && t->below < oldest;
}

/* Takes out what may be forgotten. */
static struct taken_back *
pick(struct bus *b, int64_t oldest, uint64_t now)
{
	int64_t last = journal_last_sequence(b->journal);
	struct taken_back **at, *found = NULL;

	pthread_mutex_lock(&b->taken_lock);
	for (at = &b->taken; *at;) {
		struct taken_back *t = *at;

		if (!is_behind(t, last, oldest, now)) {
			at = &t->next;
			continue;
		}
		*at = t->next;
		t->next = found;
		found = t;
	}
	pthread_mutex_unlock(&b->taken_lock);
	return found;
}

void
taken_back_trim(struct bus *b)
{
	static const struct journal_item_ops ops = { .apply = trim_apply,
						     .done = trim_done };
	uint64_t now = clock_mono_ms();
	struct journal_usage usage;
	struct taken_back *t;

	if (now < b->taken_look_at)
		return;
	b->taken_look_at = now + LOOK_EACH_MS;
	journal_usage_get(b->journal, &usage);
	t = pick(b, usage.first_sequence, now);
	while (t) {
		struct taken_back *next = t->next;

		t->item.ops = &ops;
		t->item.urgent = false;
		journal_post(b->journal, &t->item);
		t = next;
	}
}

void
taken_back_close(struct bus *b)
{
	while (b->taken) {
		struct taken_back *t = b->taken;

		b->taken = t->next;
		free(t);
	}
}
