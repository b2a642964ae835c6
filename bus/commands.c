/* SPDX-License-Identifier: Apache-2.0 */
/* One table of commands: expected, given to a consumer, taken back.
 *
 * What nobody waits for any more is remembered for a while (late replies, a
 * second look at whether it was given), oldest out first; what was taken back
 * is remembered until no group can come to it, because it must not be
 * given. */
#include "bus/commands.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/invariant.h"

#define COMMAND_MARK "\"dataschema\":\"" BUS_COMMAND_SCHEMA "\""
#define SHADOW_MARK "\"shadow\":true"
#define BUCKETS 4096
#define REMEMBERED 65536

struct command {
	struct command *next;
	struct id id;
	commands_deliver_fn *deliver;	/* NULL: nobody waits */
	void *arg;
	/* A candidate's copy has the same correlation and is another event. */
	struct id event, shadow_event;	/* once given, once shadow */
	bool given, taken_back, shadow, answered;
	bool remembered;		/* in the ring */
};

struct commands {
	pthread_mutex_t lock;
	struct command *at[BUCKETS];
	struct id ring[REMEMBERED];
	size_t ring_count;		/* ever put in */
	size_t waiting;
	uint64_t known_since_ms;
};

struct commands *
commands_new(void)
{
	struct commands *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	pthread_mutex_init(&c->lock, NULL);
	c->known_since_ms = (uint64_t)clock_wall_us() / 1000u;
	return c;
}

void
commands_free(struct commands **cp)
{
	struct commands *c = *cp;

	if (!c)
		return;
	*cp = NULL;
	for (size_t i = 0; i < BUCKETS; i++) {
		while (c->at[i]) {
			struct command *m = c->at[i];

			c->at[i] = m->next;
			free(m);
		}
	}
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* The last bytes of a UUIDv7 are random. */
static struct command **
place(struct commands *c, const struct id *id)
{
	struct command **at;
	uint32_t h;

	memcpy(&h, id->bytes + 12, sizeof(h));
	at = &c->at[h % BUCKETS];
	while (*at && !id_equal(&(*at)->id, id))
		at = &(*at)->next;
	return at;
}

static uint64_t
made_ms(const struct id *id)
{
	uint64_t ms = 0;

	for (int i = 0; i < 6; i++)
		ms = ms << 8 | id->bytes[i];
	return ms;
}

static void
forget_oldest(struct commands *c, const struct id *id)
{
	struct command **at = place(c, id), *m = *at;

	if (!m)
		return;
	m->remembered = false;
	if (m->deliver || m->taken_back)
		return;
	if (made_ms(id) > c->known_since_ms)
		c->known_since_ms = made_ms(id);
	*at = m->next;
	free(m);
}

static void
remember(struct commands *c, struct command *m)
{
	struct id *slot = &c->ring[c->ring_count % REMEMBERED];

	if (m->remembered)
		return;
	if (c->ring_count++ >= REMEMBERED)
		forget_oldest(c, slot);
	*slot = m->id;
	m->remembered = true;
}

static struct command *
find_or_add(struct commands *c, const struct id *id)
{
	struct command **at = place(c, id);

	if (!*at) {
		*at = calloc(1, sizeof(**at));
		if (*at)
			(*at)->id = *id;
	}
	return *at;
}

int
commands_expect(struct commands *c, const struct id *id,
		commands_deliver_fn *deliver, void *arg)
{
	struct command *m;

	pthread_mutex_lock(&c->lock);
	m = find_or_add(c, id);
	if (m) {
		INVARIANT(!m->deliver);
		m->deliver = deliver;
		m->arg = arg;
		c->waiting++;
	}
	pthread_mutex_unlock(&c->lock);
	return m ? 0 : -1;
}

static bool
end_wait(struct commands *c, struct command *m)
{
	if (!m || !m->deliver)
		return false;
	m->deliver = NULL;
	c->waiting--;
	remember(c, m);
	return true;
}

bool
commands_forget(struct commands *c, const struct id *id)
{
	bool removed;

	pthread_mutex_lock(&c->lock);
	removed = end_wait(c, *place(c, id));
	pthread_mutex_unlock(&c->lock);
	return removed;
}

/* Whoever was given the command knows its event's id; a reply that names
 * another one is for somebody else. */
static enum commands_claim
claim_known(struct commands *c, struct command *m, const struct id *cause)
{
	if (cause && m->shadow && id_equal(cause, &m->shadow_event))
		return CLAIM_SHADOW;
	if (cause && m->given && !id_equal(cause, &m->event))
		return CLAIM_FOREIGN;
	if (end_wait(c, m)) {
		m->answered = true;
		return CLAIM_DELIVER;
	}
	if (m->shadow && !m->given)
		return CLAIM_SHADOW;
	return m->answered ? CLAIM_DUPLICATE : CLAIM_LATE;
}

enum commands_claim
commands_claim(struct commands *c, const struct id *id,
	       const struct id *cause, commands_deliver_fn **deliver,
	       void **arg)
{
	enum commands_claim claim;
	struct command *m;

	pthread_mutex_lock(&c->lock);
	m = *place(c, id);
	if (m) {
		*deliver = m->deliver;
		*arg = m->arg;
		claim = claim_known(c, m, cause);
	} else {
		/* Made since this process started, it would be known. */
		claim = made_ms(id) > c->known_since_ms ? CLAIM_FOREIGN :
							  CLAIM_LATE;
	}
	pthread_mutex_unlock(&c->lock);
	return claim;
}

void
commands_answered(struct commands *c, const struct id *id)
{
	struct command *m;

	pthread_mutex_lock(&c->lock);
	m = *place(c, id);
	if (m)
		m->answered = true;
	pthread_mutex_unlock(&c->lock);
}

bool
commands_was_given(struct commands *c, const struct id *id)
{
	struct command *m;
	bool given;

	pthread_mutex_lock(&c->lock);
	m = *place(c, id);
	given = m && m->given;
	pthread_mutex_unlock(&c->lock);
	return given;
}

/* Under the lock. */
static bool
take_back(struct commands *c, const struct id *id)
{
	struct command *m = find_or_add(c, id);

	if (!m || m->given)
		return false;
	m->taken_back = true;
	return true;
}

bool
commands_take_back(struct commands *c, const struct id *id)
{
	bool taken;

	pthread_mutex_lock(&c->lock);
	taken = take_back(c, id);
	pthread_mutex_unlock(&c->lock);
	return taken;
}

bool
commands_cancel(struct commands *c, const struct id *id)
{
	bool taken;

	pthread_mutex_lock(&c->lock);
	taken = (*place(c, id) || made_ms(id) > c->known_since_ms) &&
		take_back(c, id);
	pthread_mutex_unlock(&c->lock);
	return taken;
}

void
commands_release(struct commands *c, const struct id *id)
{
	struct command *m;

	pthread_mutex_lock(&c->lock);
	m = *place(c, id);
	if (m && m->taken_back) {
		m->taken_back = false;
		remember(c, m);
	}
	pthread_mutex_unlock(&c->lock);
}

static bool
is_marked(const struct journal_row *row, struct span mark)
{
	return row->extensions.len > 0 &&
	       memmem(row->extensions.at, row->extensions.len, mark.at,
		      mark.len);
}

/* Requests, exchanges, replies and domain events carry the same
 * correlation. */
static bool
is_command(const struct journal_row *row, struct id *id)
{
	return is_marked(row, (struct span)SPAN_LITERAL(COMMAND_MARK)) &&
	       id_parse(row->correlation.at, row->correlation.len, id) == 0;
}

/* False: it was taken back. */
static bool
note_given(struct command *m, const struct journal_row *row)
{
	if (is_marked(row, (struct span)SPAN_LITERAL(SHADOW_MARK))) {
		m->shadow = true;
		m->shadow_event = row->id;
		return true;
	}
	if (m->taken_back)
		return false;
	m->given = true;
	m->event = row->id;
	return true;
}

bool
commands_hand_out(struct commands *c, const struct journal_row *row)
{
	struct command *m;
	struct id id;
	bool may;

	if (row->correlation.len == 0 || !is_command(row, &id))
		return true;
	pthread_mutex_lock(&c->lock);
	m = find_or_add(c, &id);
	may = !m || note_given(m, row);
	if (m && may && !m->deliver)
		remember(c, m);
	pthread_mutex_unlock(&c->lock);
	return may;
}

bool
commands_cause(struct commands *c, const struct id *id, struct id *cause)
{
	struct command *m;
	bool known;

	pthread_mutex_lock(&c->lock);
	m = *place(c, id);
	known = m && m->given != m->shadow;
	if (known)
		*cause = m->given ? m->event : m->shadow_event;
	pthread_mutex_unlock(&c->lock);
	return known;
}

size_t
commands_waiting(struct commands *c)
{
	size_t n;

	pthread_mutex_lock(&c->lock);
	n = c->waiting;
	pthread_mutex_unlock(&c->lock);
	return n;
}
