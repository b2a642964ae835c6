/* SPDX-License-Identifier: Apache-2.0 */
/* What a change of the rules does to those who read the events. */
#include <stdlib.h>
#include <string.h>

#include "rules/compat.h"
#include "rules/rules.h"

struct change {
	const struct rules *new;
	enum rules_compatibility mode;
	const struct rules_event *event;	/* of the old rules */
	const struct rules_event *now;
	struct buf *findings, *notes;
	size_t found;
};

#define WAY_OUT "keep what was, or make a new type version"

static const struct {
	const char *word;
	unsigned directions;
} modes[] = {
#define COMPATIBILITY(sym, directions, sentence) { #sym, directions },
#include "rules/compatibility.def"
#undef COMPATIBILITY
};

const char *
rules_compatibility_name(enum rules_compatibility c)
{
	return modes[c].word;
}

unsigned
rules_compatibility_directions(enum rules_compatibility c)
{
	return modes[c].directions;
}

/* ---- the type ---- */

static bool
has_later_version(const struct rules *r, const char *type)
{
	const char *version = strrchr(type, '.');
	size_t n = (size_t)(version - type) + 2;

	for (size_t i = 0; i < r->event_count; i++)
		if (strncmp(r->events[i].type, type, n) == 0 &&
		    !strchr(r->events[i].type + n, '.') &&
		    strtoul(r->events[i].type + n, NULL, 10) >
			    strtoul(version + 2, NULL, 10))
			return true;
	return false;
}

static void
type_is_gone(struct change *c)
{
	const char *type = c->event->type;

	if (has_later_version(c->new, type)) {
		buf_printf(c->notes, "\"%s\" is no longer emitted: a later "
			   "version is\n", type);
		return;
	}
	buf_printf(c->findings, "\"%s\" is no longer emitted, and consumers "
		   "wait for it: emit it, or a new version of it\n", type);
	c->found++;
}

/* ---- data ---- */

static void
compare_one(struct change *c, const struct compat_schema *from,
	    const struct compat_schema *to, const char *whom)
{
	CLEANUP(buf_fini) struct buf out = { 0 };
	const char *line;

	c->found += compat_find(from, to, &out);
	for (line = buf_str(&out); *line; line += strcspn(line, "\n") + 1)
		buf_printf(c->findings, "line %d: \"%s\", data %.*s; %s: "
			   WAY_OUT "\n", c->now->line, c->now->type,
			   (int)strcspn(line, "\n"), line, whom);
}

static void
compare_data(struct change *c)
{
	unsigned directions = modes[c->mode].directions;
	struct error err = { 0 };
	struct compat_schema *a CLEANUP(compat_free) =
		compat_load_text(c->event->text, &err);
	struct compat_schema *b CLEANUP(compat_free) =
		compat_load_text(c->now->text, &err);

	if (!a || !b) {
		buf_printf(c->findings, "line %d: \"%s\": undecided: %s\n",
			   c->now->line, c->now->type, err.text);
		c->found++;
		return;
	}
	if (directions & RULES_OLD_BY_NEW)
		compare_one(c, a, b, "who reads the new events cannot read "
			    "the old ones");
	if (directions & RULES_NEW_BY_OLD)
		compare_one(c, b, a, "who reads the old events cannot read "
			    "the new ones");
}

/* ---- subject and partition key ---- */

/* "order/{response.body/id}" is "order/ *", wherever the value is from. */
static bool
same_shape(const struct emit_text *a, const struct emit_text *b)
{
	for (size_t i = 0; i < a->count && i < b->count; i++)
		if (a->parts[i].is_value != b->parts[i].is_value ||
		    (!a->parts[i].is_value &&
		     !span_equal(a->parts[i].literal, b->parts[i].literal)))
			return false;
	return a->count == b->count;
}

static void
add_shape(struct buf *out, const struct emit_text *t)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->parts[i].is_value)
			buf_addc(out, '*');
		else
			buf_add(out, t->parts[i].literal.at,
				t->parts[i].literal.len);
}

static void
compare_subject(struct change *c, const struct emit *old)
{
	bool made = old->subject.count == 0, kept = false;

	for (size_t i = 0; i < c->now->from_count; i++) {
		const struct emit *e = c->now->from[i].emit;

		made |= same_shape(&e->subject, &old->subject);
		kept |= same_shape(&e->partition_key, &old->partition_key);
	}
	if (!made) {
		buf_printf(c->findings, "line %d: \"%s\": no subject is \"",
			   c->now->line, c->now->type);
		add_shape(c->findings, &old->subject);
		buf_printf(c->findings, "\" any more, and consumers filter by "
			   "it: " WAY_OUT "\n");
		c->found++;
	}
	if (!kept)
		buf_printf(c->notes, "line %d: \"%s\": another partition_key, "
			   "another order\n", c->now->line, c->now->type);
}

/* ---- when ---- */

static bool
same_condition(const struct emit_condition *a, const struct emit_condition *b)
{
	return a->value.source == b->value.source && a->test == b->test &&
	       strcmp(a->value.arg, b->value.arg) == 0 &&
	       span_equal(a->expected, b->expected);
}

static bool
asks_more(const struct emit *new, const struct emit *old)
{
	for (size_t i = 0; i < new->condition_count; i++) {
		bool asked = false;

		for (size_t k = 0; k < old->condition_count; k++)
			asked |= same_condition(&new->conditions[i],
						&old->conditions[k]);
		if (!asked)
			return true;
	}
	return false;
}

static bool
takes_all(const struct change *c, const struct rules_emitter *old)
{
	for (int status = 100; status < 600; status++) {
		bool taken = !emit_takes_status(old->emit, status);

		for (size_t i = 0; i < c->now->from_count && !taken; i++) {
			const struct rules_emitter *at = &c->now->from[i];

			taken = strcmp(at->rule->name, old->rule->name) == 0 &&
				emit_takes_status(at->emit, status) &&
				!asks_more(at->emit, old->emit);
		}
		if (!taken)
			return false;
	}
	return true;
}

static void
compare_when(struct change *c, const struct rules_emitter *old)
{
	if (!takes_all(c, old))
		buf_printf(c->notes, "line %d: \"%s\": rule \"%s\" emits it "
			   "for fewer answers\n", c->now->line, c->now->type,
			   old->rule->name);
}

size_t
rules_compare_events(const struct rules *old, const struct rules *new,
		     enum rules_compatibility mode, struct buf *findings,
		     struct buf *notes)
{
	struct change c = { .new = new, .mode = mode, .findings = findings,
			    .notes = notes };

	for (size_t i = 0; mode != RULES_COMPATIBILITY_NONE &&
			   i < old->event_count; i++) {
		c.event = &old->events[i];
		c.now = rules_event_find(new, c.event->type);
		if (!c.now) {
			type_is_gone(&c);
			continue;
		}
		if (!span_equal(c.event->text, c.now->text))
			compare_data(&c);
		for (size_t k = 0; k < c.event->from_count; k++) {
			compare_subject(&c, c.event->from[k].emit);
			compare_when(&c, &c.event->from[k]);
		}
	}
	return c.found;
}
