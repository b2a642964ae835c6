/* SPDX-License-Identifier: Apache-2.0 */
/* From an id to the tree of what it began: by causation, then by time. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bus/bus.h"
#include "console/trace.h"
#include "journal/dead.h"
#include "payload/payload.h"

#define MEMORY_LIMIT_BYTES ((size_t)1 << 30)
#define FOUND_MAX 5

static const char *const kinds[] = {
#define X(symbol, word) word,
	TRACE_KINDS(X)
#undef X
};

const char *
trace_kind_name(enum trace_kind k)
{
	return kinds[k];
}

const char *
trace_word(const struct trace_event *e, const char *pointer)
{
	return payload_string(payload_at(e->data, pointer), "");
}

int64_t
trace_number(const struct trace_event *e, const char *pointer,
	     int64_t fallback)
{
	return payload_int(payload_at(e->data, pointer), fallback);
}

/* ---- one event ---- */

static const char *
keep(struct trace *t, struct span s)
{
	char *copy = arena_copy(&t->memory, s.len ? s.at : "", s.len);

	t->no_memory |= !copy;
	return copy ? copy : "";
}

static const char *
keep_member(struct trace *t, const struct cJSON *tree, const char *name)
{
	return keep(t, span_of(payload_string(payload_member(tree, name),
					      "")));
}

struct type_row {
	const char *type;
	enum trace_kind kind;
};

static enum trace_kind
kind_of(struct span type, const char *schema)
{
	static const struct type_row types[] = {
		{ "matapalo.request.v1", TRACE_REQUEST },
		{ "matapalo.exchange.v1", TRACE_EXCHANGE },
		{ "matapalo.reply.v1", TRACE_REPLY },
		{ "matapalo.shadow.verdict.v1", TRACE_VERDICT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (span_is(type, types[i].type))
			return types[i].kind;
	return strcmp(schema, BUS_COMMAND_SCHEMA) ? TRACE_EVENT
						  : TRACE_COMMAND;
}

static void
read_extensions(struct trace *t, struct trace_event *e,
		const struct journal_row *row)
{
	struct buf text CLEANUP(buf_fini) = { 0 };
	struct cJSON *tree CLEANUP(payload_free) = NULL;
	const char *cause;

	buf_addc(&text, '{');
	buf_add(&text, row->extensions.at, row->extensions.len);
	buf_addc(&text, '}');
	t->no_memory |= text.failed;
	if (!text.failed)
		tree = payload_parse(buf_span(&text), NULL);
	cause = payload_string(payload_member(tree, "causationid"), "");
	e->has_cause = id_parse(cause, strlen(cause), &e->cause) == 0;
	e->is_shadow = payload_bool(payload_member(tree, "shadow"), false);
	e->traceparent = keep_member(t, tree, "traceparent");
	e->kind = kind_of(row->type, payload_string(
		payload_member(tree, "dataschema"), ""));
}

static struct trace_event *
add_event(struct trace *t)
{
	size_t room = t->room ? t->room * 2 : 16;
	struct trace_event *more;

	if (t->count == t->room) {
		more = realloc(t->at, room * sizeof(*more));
		if (!more) {
			t->no_memory = true;
			return NULL;
		}
		t->at = more;
		t->room = room;
	}
	t->at[t->count] = (struct trace_event){ .parent = TRACE_NONE };
	return &t->at[t->count++];
}

static bool
on_row(void *arg, const struct journal_row *row)
{
	struct trace *t = arg;
	struct trace_event *e = add_event(t);

	if (!e)
		return false;
	e->sequence = row->sequence;
	e->time_us = row->time_us;
	e->id = row->id;
	e->type = keep(t, row->type);
	e->source = keep(t, row->source);
	e->subject = keep(t, row->subject);
	read_extensions(t, e, row);
	if (e->kind != TRACE_EVENT && row->data.len)
		e->data = payload_parse(row->data, NULL);
	return !t->no_memory;
}

/* ---- what became of it ---- */

struct fates {
	struct trace *t;
	struct trace_fate **end;
	struct trace_attempt **attempt_end;
};

static void
on_fate(void *arg, const struct journal_fate *f)
{
	struct fates *to = arg;
	struct trace_fate *fate = arena_alloc(&to->t->memory, sizeof(*fate));

	if (!fate) {
		to->t->no_memory = true;
		return;
	}
	*fate = (struct trace_fate){
		.letter = f->letter,
		.group = keep(to->t, span_of(f->group)),
		.reason = keep(to->t, span_of(f->reason)),
		.consumer = keep(to->t, span_of(f->consumer)),
		.attempts = f->attempts,
		.first_us = f->first_us,
		.last_us = f->last_us,
		.not_before_us = f->not_before_us,
	};
	*to->end = fate;
	to->end = &fate->next;
}

static void
on_attempt(void *arg, const struct journal_attempt *a)
{
	struct fates *to = arg;
	struct trace_attempt *copy = arena_alloc(&to->t->memory,
						 sizeof(*copy));

	if (!copy) {
		to->t->no_memory = true;
		return;
	}
	*copy = (struct trace_attempt){
		.attempt = a->attempt,
		.time_us = a->time_us,
		.consumer = keep(to->t, span_of(a->consumer)),
		.reason = keep(to->t, span_of(a->reason)),
	};
	*to->attempt_end = copy;
	to->attempt_end = &copy->next;
}

static int
read_fates(struct trace *t, struct journal_reader *r, struct trace_event *e)
{
	struct fates to = { t, &e->fates, NULL };

	if (journal_read_fates(r, e->sequence, on_fate, &to) < 0)
		return -1;
	for (struct trace_fate *f = e->fates; f; f = f->next) {
		to.attempt_end = &f->history;
		if (journal_read_attempts(r, f->group, e->sequence,
					  on_attempt, &to) < 0)
			return -1;
	}
	return 0;
}

/* ---- the tree ---- */

static int
by_time(const void *a, const void *b)
{
	const struct trace_event *x = a, *y = b;

	if (x->time_us != y->time_us)
		return x->time_us < y->time_us ? -1 : 1;
	return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

static size_t
find_event(const struct trace *t, const struct id *id)
{
	size_t i = 0;

	while (i < t->count && !id_equal(&t->at[i].id, id))
		i++;
	return i < t->count ? i : TRACE_NONE;
}

static bool
says(const struct trace_event *e, const char *pointer)
{
	return payload_bool(payload_at(e->data, pointer), false);
}

/* After a restart nobody knew any more that there had been one: then the
 * second reply to a command is seen here only. */
static enum trace_lateness
lateness_of(const struct trace_event *e, const struct trace_event *command)
{
	if (says(e, "/foreign"))
		return TRACE_FOREIGN;
	if (says(e, "/duplicate"))
		return TRACE_DUPLICATE;
	if (!says(e, "/late"))
		return TRACE_IN_TIME;
	return command && command->is_answered ? TRACE_DUPLICATE : TRACE_LATE;
}

static void
mark_reply(struct trace *t, struct trace_event *e)
{
	struct trace_event *command =
		e->parent == TRACE_NONE ? NULL : &t->at[e->parent];

	e->lateness = lateness_of(e, command);
	if (command && e->lateness != TRACE_FOREIGN)
		command->is_answered = true;
}

static void
find_parents(struct trace *t)
{
	for (size_t i = 0; i < t->count; i++) {
		struct trace_event *e = &t->at[i];

		if (e->has_cause)
			e->parent = find_event(t, &e->cause);
		e->is_orphan = e->has_cause && e->parent == TRACE_NONE;
		if (e->parent == i)
			e->parent = TRACE_NONE;
		t->orphans += e->is_orphan;
		if (e->kind == TRACE_REPLY)
			mark_reply(t, e);
	}
}

struct walk {
	size_t *first, *next;	/* children, and those of one parent */
	size_t *order, *place;	/* old index by new, new by old */
	size_t count;
};

/* Events whose causes go in a circle begin where time says. */
static void
visit(struct trace *t, struct walk *w, size_t root)
{
	size_t at = root;

	while (at != TRACE_NONE) {
		struct trace_event *e = &t->at[at];

		e->depth = at == root ? 0 : t->at[e->parent].depth + 1;
		w->place[at] = w->count;
		w->order[w->count++] = at;
		if (w->first[at] != TRACE_NONE) {
			at = w->first[at];
			continue;
		}
		while (at != root && w->next[at] == TRACE_NONE)
			at = t->at[at].parent;
		at = at == root ? TRACE_NONE : w->next[at];
	}
}

static bool
is_circular(const struct trace *t, size_t at)
{
	size_t steps = 0;

	while (at != TRACE_NONE && steps++ <= t->count)
		at = t->at[at].parent;
	return at != TRACE_NONE;
}

static void
link_children(struct trace *t, struct walk *w)
{
	for (size_t i = 0; i < t->count; i++)
		w->first[i] = w->next[i] = TRACE_NONE;
	for (size_t i = t->count; i-- > 0;) {
		size_t parent = t->at[i].parent;

		if (parent == TRACE_NONE)
			continue;
		w->next[i] = w->first[parent];
		w->first[parent] = i;
	}
}

static void
put_in_order(struct trace *t, const struct walk *w, struct trace_event *to)
{
	for (size_t i = 0; i < w->count; i++) {
		to[i] = t->at[w->order[i]];
		if (to[i].parent != TRACE_NONE)
			to[i].parent = w->place[to[i].parent];
	}
	memcpy(t->at, to, w->count * sizeof(*to));
}

static void
arrange(struct trace *t)
{
	size_t n = t->count;
	size_t *memory = calloc(n * 4 + 1, sizeof(*memory));
	struct trace_event *to = calloc(n + 1, sizeof(*to));
	struct walk w = { memory, memory + n, memory + 2 * n, memory + 3 * n,
			  0 };

	t->no_memory |= !memory || !to;
	if (!t->no_memory) {
		qsort(t->at, n, sizeof(*t->at), by_time);
		find_parents(t);
		for (size_t i = 0; t->orphans < n && i < n; i++)
			if (t->at[i].has_cause && is_circular(t, i))
				t->at[i].parent = TRACE_NONE;
		link_children(t, &w);
		for (size_t i = 0; i < n; i++)
			if (t->at[i].parent == TRACE_NONE)
				visit(t, &w, i);
		put_in_order(t, &w, to);
	}
	free(memory);
	free(to);
}

/* ---- the whole ---- */

/* An exchange began before its event's time. */
static void
find_times(struct trace *t)
{
	for (size_t i = 0; i < t->count; i++) {
		const struct trace_event *e = &t->at[i];
		int64_t began_us = e->time_us;

		if (e->kind == TRACE_EXCHANGE)
			(void)clock_parse_rfc3339(
				trace_word(e, "/timings/started"), &began_us);
		if (!t->first_us || began_us < t->first_us)
			t->first_us = began_us;
		if (e->time_us > t->last_us)
			t->last_us = e->time_us;
	}
}

static bool
on_oldest(void *arg, const struct journal_row *row)
{
	struct trace *t = arg;

	t->oldest_us = row->time_us;
	t->oldest_sequence = row->sequence;
	return false;
}

/* Kept when it says that something of this id may have been deleted: a
 * UUIDv7 begins with its time. */
static void
find_oldest(struct trace *t, struct journal_reader *r, const char *text)
{
	unsigned long long ms = 0;
	char digits[13] = "";
	size_t n = 0;

	for (size_t i = 0; text[i] && n < 12; i++)
		if (text[i] != '-')
			digits[n++] = text[i];
	while (n < 12)
		digits[n++] = 'f';
	ms = strtoull(digits, NULL, 16);
	if (journal_read(r, 0, NULL, 1, 1, on_oldest, t, NULL) < 0 ||
	    (int64_t)ms * 1000 >= t->oldest_us || t->oldest_sequence <= 1)
		t->oldest_us = t->oldest_sequence = 0;
}

static int
not_found(const struct trace *t, const char *text, struct error *err)
{
	char oldest[CLOCK_RFC3339_SIZE];

	if (strlen(text) < JOURNAL_FIND_LEAST)
		error_set(err, "%s: at least %d characters of an id are "
			  "needed", text, JOURNAL_FIND_LEAST);
	else if (t->oldest_us)
		error_set(err, "%s: nothing in this journal: the id is older "
			  "than the oldest event that is kept (%lld of %s); "
			  "retention has deleted what there was, a backup may "
			  "have it", text, (long long)t->oldest_sequence,
			  clock_rfc3339(t->oldest_us, oldest));
	else
		error_set(err, "%s: nothing in this journal; an id is a "
			  "correlation id, an exchange's or an event's, or "
			  "the beginning of one (of an event's: as many "
			  "characters as say when it was)", text);
	return 0;
}

static int
is_ambiguous(const struct journal_found *found, int n, const char *text,
	     struct error *err)
{
	struct buf list CLEANUP(buf_fini) = { 0 };

	for (int i = 0; i < n && i < FOUND_MAX; i++)
		buf_printf(&list, "%s%s", i ? ", " : "",
			   *found[i].correlation ? found[i].correlation
						 : "an event without one");
	return error_set(err, "%s: several correlation ids begin so or have "
			 "such an event: %s%s; write more of it", text,
			 buf_str(&list), n > FOUND_MAX ? " and more" : "");
}

static int
read_found(struct trace *t, struct journal_reader *r,
	   const struct journal_found *found, size_t limit, struct error *err)
{
	int n;

	memcpy(t->correlation, found->correlation, sizeof(t->correlation));
	n = found->sequence
		    ? journal_read_one(r, found->sequence, on_row, t)
		    : journal_read_correlated(r, found->correlation,
					      limit + 1, on_row, t);
	t->is_open = n >= 0 && journal_is_open(r, t->correlation) == 1;
	for (size_t i = 0; n >= 0 && i < t->count; i++)
		n = read_fates(t, r, &t->at[i]);
	if (n < 0)
		return error_set(err, "the journal cannot be read");
	t->is_cut = t->count > limit;
	if (t->is_cut)
		payload_free(&t->at[--t->count].data);
	arrange(t);
	find_times(t);
	return t->no_memory ? error_set(err, "no memory for the events") : 1;
}

int
trace_read(struct trace *t, struct journal_reader *r, const char *text,
	   size_t limit, struct error *err)
{
	struct journal_found found[FOUND_MAX + 1];
	char id[ID_TEXT_SIZE + 1] = "";
	int n;

	memset(t, 0, sizeof(*t));
	arena_init(&t->memory, NULL, 0, MEMORY_LIMIT_BYTES);
	for (size_t i = 0; i < ID_TEXT_SIZE && text[i]; i++)
		id[i] = text[i] >= 'A' && text[i] <= 'F'
				? (char)(text[i] + 'a' - 'A') : text[i];
	n = journal_find(r, id, ARRAY_SIZE(found), found);
	if (n < 0)
		return error_set(err, "the journal cannot be read");
	find_oldest(t, r, n > 0 && *found[0].correlation
				  ? found[0].correlation : id);
	if (n == 0)
		return not_found(t, text, err);
	return n > 1 ? is_ambiguous(found, n, text, err)
		     : read_found(t, r, &found[0], limit, err);
}

void
trace_fini(struct trace *t)
{
	for (size_t i = 0; i < t->count; i++)
		payload_free(&t->at[i].data);
	free(t->at);
	arena_fini(&t->memory);
	t->at = NULL;
	t->count = 0;
}
