/* SPDX-License-Identifier: Apache-2.0 */
/* Pairs that wait for the reply of a candidate on the bus. */
#include "shadow/pending.h"

#include <stdio.h>
#include <stdlib.h>

#define BUCKETS 1024u	/* a power of two */

struct node {
	struct node *next;
	struct shadow_pair pair;
};

struct shadow_pending {
	struct node *buckets[BUCKETS];
	size_t count;
};

struct shadow_pending *
shadow_pending_new(void)
{
	return calloc(1, sizeof(struct shadow_pending));
}

void
shadow_pending_free(struct shadow_pending **pp)
{
	struct shadow_pending *p = *pp;

	*pp = NULL;
	for (size_t i = 0; p && i < BUCKETS; i++)
		while (p->buckets[i]) {
			struct node *n = p->buckets[i];

			p->buckets[i] = n->next;
			free(n);
		}
	free(p);
}

size_t
shadow_pending_count(const struct shadow_pending *p)
{
	return p->count;
}

/* FNV-1a; ids are ours, nobody can choose them to collide. */
static struct node **
bucket_of(struct shadow_pending *p, struct span correlation)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < correlation.len; i++)
		h = (h ^ (unsigned char)correlation.at[i]) * 16777619u;
	return &p->buckets[(h ^ h >> 16) & (BUCKETS - 1)];
}

/* The link that leads to the pair, or the NULL at the chain's end. */
static struct node **
link_of(struct shadow_pending *p, struct span correlation)
{
	struct node **at = bucket_of(p, correlation);

	while (*at && !span_is(correlation, (*at)->pair.correlation))
		at = &(*at)->next;
	return at;
}

int
shadow_pending_add(struct shadow_pending *p, const struct shadow_pair *pair)
{
	struct node **at = link_of(p, span_of(pair->correlation));

	if (*at)
		return -1;
	*at = calloc(1, sizeof(**at));
	if (!*at)
		return -1;
	(*at)->pair = *pair;
	p->count++;
	return 0;
}

struct shadow_pair *
shadow_pending_find(struct shadow_pending *p, struct span correlation)
{
	struct node *n = *link_of(p, correlation);

	return n ? &n->pair : NULL;
}

struct shadow_pair *
shadow_pending_overdue(struct shadow_pending *p, int64_t at_us)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct node *n = p->buckets[i]; n; n = n->next)
			if (n->pair.sent && !n->pair.claimed &&
			    n->pair.deadline_us < at_us)
				return &n->pair;
	return NULL;
}

size_t
shadow_pending_of(const struct shadow_pending *p, const char *candidate,
		  int64_t *oldest_us)
{
	size_t count = 0;

	*oldest_us = INT64_MAX;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct node *n = p->buckets[i]; n; n = n->next) {
			if (strcmp(n->pair.candidate, candidate) != 0)
				continue;
			count++;
			if (n->pair.sent_us < *oldest_us)
				*oldest_us = n->pair.sent_us;
		}
	return count;
}

void
shadow_pending_remove(struct shadow_pending *p, const char *correlation)
{
	struct node **at = link_of(p, span_of(correlation));
	struct node *gone = *at;

	if (!gone)
		return;
	*at = gone->next;
	free(gone);
	p->count--;
}

void
shadow_pair_write(const struct shadow_pair *pair, struct json *out)
{
	char id[ID_TEXT_SIZE];

	json_object_begin(out);
	json_key(out, "rule");
	json_str(out, pair->rule);
	json_key(out, "candidate");
	json_str(out, pair->candidate);
	json_key(out, "endpoint");
	json_str(out, pair->endpoint);
	json_key(out, "source");
	json_str(out, pair->source);
	json_key(out, "command");
	json_str(out, id_text(&pair->command_id, id));
	json_key(out, "sequence");
	json_i64(out, pair->sequence);
	json_key(out, "sent_us");
	json_i64(out, pair->sent_us);
	json_key(out, "deadline_us");
	json_i64(out, pair->deadline_us);
	json_key(out, "legacy_us");
	json_u64(out, pair->legacy_us);
	json_object_end(out);
}

static int
read_tree(const struct cJSON *tree, struct shadow_pair *pair)
{
	const char *command = payload_string(payload_member(tree, "command"),
					     "");

	snprintf(pair->rule, sizeof(pair->rule), "%s",
		 payload_string(payload_member(tree, "rule"), ""));
	snprintf(pair->candidate, sizeof(pair->candidate), "%s",
		 payload_string(payload_member(tree, "candidate"), ""));
	snprintf(pair->endpoint, sizeof(pair->endpoint), "%s",
		 payload_string(payload_member(tree, "endpoint"), ""));
	snprintf(pair->source, sizeof(pair->source), "%s",
		 payload_string(payload_member(tree, "source"), ""));
	pair->sequence = payload_int(payload_member(tree, "sequence"), 0);
	pair->sent_us = payload_int(payload_member(tree, "sent_us"), 0);
	pair->deadline_us = payload_int(payload_member(tree, "deadline_us"),
					0);
	pair->legacy_us = (uint32_t)payload_int(
		payload_member(tree, "legacy_us"), 0);
	return id_parse(command, strlen(command), &pair->command_id);
}

int
shadow_pair_read(const char *correlation, struct span value,
		 struct shadow_pair *pair)
{
	struct cJSON *tree = payload_parse(value, NULL);
	int r;

	memset(pair, 0, sizeof(*pair));
	pair->sent = true;
	snprintf(pair->correlation, sizeof(pair->correlation), "%s",
		 correlation);
	r = tree ? read_tree(tree, pair) : -1;
	payload_free(&tree);
	return r;
}
