/* SPDX-License-Identifier: Apache-2.0 */
/* The types of events that the rules emit, each with its one schema. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "rules/keys.h"

static int
by_type(const void *a, const void *b)
{
	const struct rules_emitter *x = a, *y = b;
	int c = strcmp(x->emit->type, y->emit->type);

	if (c != 0)
		return c;
	if (x->rule != y->rule)
		return x->rule->index < y->rule->index ? -1 : 1;
	return (x->emit > y->emit) - (x->emit < y->emit);
}

static struct rules_emitter *
collect(struct rules_load *l, size_t *count)
{
	struct rules_emitter *list;
	size_t n = 0;

	for (size_t i = 0; i < l->rules->rule_count; i++)
		n += l->rules->rules[i].emits.count;
	list = load_alloc(l, n, sizeof(*list));
	*count = n;
	n = 0;
	for (size_t i = 0; list && i < l->rules->rule_count; i++) {
		const struct rules_rule *r = &l->rules->rules[i];

		for (size_t k = 0; k < r->emits.count; k++)
			list[n++] = (struct rules_emitter){ r,
							    &r->emits.at[k] };
	}
	if (n > 0 && list)
		qsort(list, n, sizeof(*list), by_type);
	return list;
}

/* The way back to the value; only for a message. */
static int
fail_at_schema(struct rules_load *l, const struct rules_node *root,
	       const struct rules_emitter *of, const struct rules_emitter *as)
{
	struct rules_node rules, rule, list, emit, at;

	if (of->rule->index + 1 == l->rules->rule_count) {
		keys_get(root, KEY_ROOT_DEFAULT, &rule);
	} else {
		keys_get(root, KEY_ROOT_RULES, &rules);
		rule = keys_item(&rules, of->rule->index);
	}
	keys_get(&rule, KEY_RULE_EMIT, &list);
	emit = keys_item(&list, (size_t)(of->emit - of->rule->emits.at));
	keys_get(&emit, KEY_EMIT_SCHEMA, &at);
	return load_fail(l, &at, "rule \"%s\" gives \"%s\" another schema: a "
			 "type has one", as->rule->name, as->emit->type);
}

static bool
same_source(const struct emit *a, const struct emit *b)
{
	return a->schema_from == b->schema_from &&
	       strcmp(a->schema, b->schema) == 0 &&
	       (a->schema_from != EMIT_SCHEMA_FILE ||
		strcmp(a->schema_file, b->schema_file) == 0);
}

/* The emitter that names the type's schema, or the first. */
static const struct rules_emitter *
find_owner(struct rules_load *l, const struct rules_node *root,
	   const struct rules_event *event)
{
	const struct rules_emitter *owner = NULL, *at = event->from;

	for (size_t i = 0; i < event->from_count; i++, at++) {
		if (at->emit->schema_from == EMIT_SCHEMA_DERIVED)
			continue;
		if (!owner)
			owner = at;
		else if (!same_source(owner->emit, at->emit)) {
			fail_at_schema(l, root, at, owner);
			return NULL;
		}
	}
	return owner ? owner : event->from;
}

static bool
is_repeated(const struct rules_event *event, size_t i)
{
	struct span shape = event->from[i].emit->shape;

	for (size_t k = 0; k < i; k++)
		if (span_equal(event->from[k].emit->shape, shape))
			return true;
	return false;
}

/* One shape as it is, of several any. */
static void
write_shapes(struct buf *out, const struct rules_event *event)
{
	struct span first = event->from[0].emit->shape;
	bool several = false;

	for (size_t i = 1; i < event->from_count; i++)
		several |= !is_repeated(event, i);
	if (!several) {
		if (first.len > 2)
			buf_addc(out, ',');
		buf_add(out, first.at + 1, first.len - 1);
		return;
	}
	buf_printf(out, ",\"anyOf\":[");
	for (size_t i = 0; i < event->from_count; i++) {
		struct span shape = event->from[i].emit->shape;

		if (is_repeated(event, i))
			continue;
		if (i > 0)
			buf_addc(out, ',');
		buf_add(out, shape.at, shape.len);
	}
	buf_printf(out, "]}");
}

static int
set_text(struct rules_load *l, struct rules_event *event,
	 const struct emit *owner)
{
	CLEANUP(buf_fini) struct buf text = { 0 };
	const char *copy;

	event->schema = owner->schema;
	event->file = owner->schema_file;
	event->text = owner->shape;
	if (owner->schema_from == EMIT_SCHEMA_FILE)
		return 0;
	buf_printf(&text, "{\"$schema\":"
		   "\"https://json-schema.org/draft/2020-12/schema\"");
	if (owner->schema_from == EMIT_SCHEMA_DERIVED)
		buf_printf(&text, ",\"$id\":\"%s\"", owner->schema);
	write_shapes(&text, event);
	if (text.failed)
		return error_set(l->err, "no memory for the rules");
	copy = load_copy_n(l, buf_str(&text), text.len);
	event->text = (struct span){ copy, text.len };
	return copy ? 0 : -1;
}

/* Who does not name the schema of his type takes that of the others. */
static int
set_schema(struct rules_load *l, const struct rules_node *root,
	   struct rules_event *event)
{
	const struct rules_emitter *owner = find_owner(l, root, event);

	if (!owner)
		return -1;
	event->type = owner->emit->type;
	event->line = owner->rule->line;
	for (size_t i = 0; i < event->from_count; i++)
		((struct emit *)(uintptr_t)event->from[i].emit)->schema =
			owner->emit->schema;
	return set_text(l, event, owner->emit);
}

static int
load_compatibility(struct rules_load *l, const struct rules_node *root)
{
	static const char *const words[] = {
#define COMPATIBILITY(sym, directions, sentence) #sym,
#include "rules/compatibility.def"
#undef COMPATIBILITY
	};
	struct rules_node at;
	size_t chosen;

	l->rules->emit_compatibility = RULES_COMPATIBILITY_FORWARD;
	if (!keys_get(root, KEY_ROOT_EMIT_COMPATIBILITY, &at))
		return 0;
	if (keys_choice(l, root, KEY_ROOT_EMIT_COMPATIBILITY, words,
			ARRAY_SIZE(words), &chosen) < 0)
		return -1;
	l->rules->emit_compatibility = (enum rules_compatibility)chosen;
	l->rules->emit_refuses = true;
	return 0;
}

int
load_events(struct rules_load *l, const struct rules_node *root)
{
	size_t count, n = 0;
	struct rules_emitter *all = collect(l, &count);
	struct rules_event *events = load_alloc(l, count, sizeof(*events));

	if (!all || !events || load_compatibility(l, root) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && strcmp(all[i].emit->type,
				    all[i - 1].emit->type) == 0) {
			events[n - 1].from_count++;
			continue;
		}
		events[n].from = &all[i];
		events[n++].from_count = 1;
	}
	for (size_t i = 0; i < n; i++)
		if (set_schema(l, root, &events[i]) < 0)
			return -1;
	l->rules->events = events;
	l->rules->event_count = n;
	return 0;
}

const struct rules_event *
rules_event_find(const struct rules *r, const char *type)
{
	size_t from = 0, to = r->event_count;

	while (from < to) {
		size_t at = from + (to - from) / 2;
		int c = strcmp(r->events[at].type, type);

		if (c == 0)
			return &r->events[at];
		if (c < 0)
			from = at + 1;
		else
			to = at;
	}
	return NULL;
}
