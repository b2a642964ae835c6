/* SPDX-License-Identifier: Apache-2.0 */
/* What a candidate on the bus gets: a marked copy of the command. */
#include "shadow/candidate.h"

#include <stdio.h>

#include "base/clock.h"

/* As in live commands: deeper values stay text. */
#define INLINE_DEPTH_MAX 64

static void
write_member(struct json *j, const struct cJSON *member)
{
	struct buf text = { 0 };

	payload_write(member, &text);
	json_key_span(j, span_of(payload_name(member)));
	json_raw(j, buf_span(&text));
	if (text.failed)
		j->out->failed = true;
	buf_fini(&text);
}

/* A live command carries a JSON body as a value, too (bus/body.c). */
static void
write_inline(struct json *j, const struct shadow_exchange *x)
{
	struct span body = x->request.body;
	struct cJSON *tree;

	if (!body.len || payload_check(body, INLINE_DEPTH_MAX, NULL) != 0)
		return;
	tree = payload_parse(body, NULL);
	if (payload_is_object(tree) || payload_is_array(tree)) {
		json_key(j, "json");
		json_raw(j, body);
	}
	payload_free(&tree);
}

static void
write_command(struct buf *out, const struct shadow_exchange *x,
	      const struct shadow_rule *rule)
{
	const struct cJSON *request = payload_member(x->tree, "request");
	struct json j;

	json_init(&j, out);
	json_object_begin(&j);
	json_key(&j, "request");
	json_object_begin(&j);
	for (const struct cJSON *m = payload_first(request); m;
	     m = payload_next(m))
		write_member(&j, m);
	write_inline(&j, x);
	json_object_end(&j);
	json_key(&j, "route");
	json_object_begin(&j);
	json_key(&j, "rule");
	json_str(&j, x->rule);
	json_key(&j, "stage");
	json_str(&j, "shadow");
	json_key(&j, "target");
	json_str(&j, rule->target);
	if (*x->path) {
		json_key(&j, "path");
		json_str(&j, x->path);
	}
	json_object_end(&j);
	json_key(&j, "durability");
	json_str(&j, payload_string(payload_member(x->tree, "durability"),
				    "bounded"));
	json_object_end(&j);
}

/* Extensions are members without their braces. */
static struct span
without_braces(const struct buf *b)
{
	return b->failed ? (struct span){ "", 0 }
			 : (struct span){ b->data + 1, b->len - 2 };
}

static void
write_extensions(struct buf *out, const struct shadow_exchange *x)
{
	char cause[ID_TEXT_SIZE], trace[SHADOW_TRACEPARENT_SIZE];
	struct json j;
	bool same = shadow_trace_child(x->traceparent, trace);

	json_init(&j, out);
	json_object_begin(&j);
	json_key(&j, "dataschema");
	json_str(&j, BUS_COMMAND_SCHEMA);
	json_key(&j, "causationid");
	json_str(&j, id_text(&x->event_id, cause));
	json_key(&j, "shadow");
	json_bool(&j, true);
	json_key(&j, "traceparent");
	json_str(&j, trace);
	if (same && x->tracestate) {
		json_key(&j, "tracestate");
		json_str(&j, x->tracestate);
	}
	json_object_end(&j);
}

static void
fill_pair(struct shadow_pair *pair, const struct shadow_exchange *x,
	  const struct shadow_rule *rule)
{
	memset(pair, 0, sizeof(*pair));
	snprintf(pair->correlation, sizeof(pair->correlation), "%s",
		 x->correlation);
	snprintf(pair->rule, sizeof(pair->rule), "%s", rule->name);
	snprintf(pair->candidate, sizeof(pair->candidate), "%s",
		 rule->target);
	shadow_fold_endpoint(x->method, x->path, x->target, x->status,
			     pair->endpoint);
	snprintf(pair->source, sizeof(pair->source), "%s", x->source);
	pair->command_id = id_make();
	pair->sequence = x->sequence;
	pair->sent_us = clock_wall_us();
	pair->deadline_us = pair->sent_us +
			    (int64_t)shadow_rule_timeout_ms(rule) * 1000;
	pair->legacy_us = x->total_us;
}

static void
put_pair(struct shadow_entry *e, const struct shadow_pair *pair)
{
	struct buf text = { 0 };
	struct json j;

	json_init(&j, &text);
	shadow_pair_write(pair, &j);
	e->failed |= text.failed;
	shadow_entry_put(e, SHADOW_PENDING_SPACE, pair->correlation,
			 buf_span(&text));
	buf_fini(&text);
}

struct shadow_entry *
shadow_command_make(const struct shadow_exchange *x,
		    const struct shadow_rule *rule, struct shadow_pair *pair)
{
	struct shadow_entry *e = shadow_entry_new(SHADOW_ENTRY_COMMAND,
						  x->correlation);
	struct buf data = { 0 }, extensions = { 0 };

	if (!e)
		return NULL;
	fill_pair(pair, x, rule);
	write_command(&data, x, rule);
	write_extensions(&extensions, x);
	e->failed |= data.failed || extensions.failed;
	shadow_entry_set_event(e, &(struct journal_event){
		.id = pair->command_id,
		.time_us = pair->sent_us,
		.type = span_of(rule->command),
		.source = span_of(x->source),
		.subject = span_of(x->subject),
		.correlation = span_of(x->correlation),
		.partition_key = span_of(x->partition_key),
		.extensions = without_braces(&extensions),
		.data = buf_span(&data),
	});
	put_pair(e, pair);
	buf_fini(&data);
	buf_fini(&extensions);
	if (!shadow_entry_is_whole(e))
		shadow_entry_free(&e);
	return e;
}
