/* SPDX-License-Identifier: Apache-2.0 */
/* Counts per rule: a list by name, since rule sets come and go. */
#include "proxy/stats.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct stats_row {
	struct stats_row *next;
	char *rule;
	struct rule_stats *blocks;	/* one a worker */
};

struct stats {
	pthread_mutex_t lock;
	unsigned workers;
	struct stats_row *rows;
};

struct stats *
stats_new(unsigned workers)
{
	struct stats *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	s->workers = workers;
	return s;
}

void
stats_free(struct stats **sp)
{
	struct stats *s = *sp;
	struct stats_row *r, *next;

	if (!s)
		return;
	*sp = NULL;
	for (r = s->rows; r; r = next) {
		next = r->next;
		free(r->rule);
		free(r->blocks);
		free(r);
	}
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static struct stats_row *
row_find(struct stats *s, const char *rule)
{
	struct stats_row *r = s->rows;

	while (r && strcmp(r->rule, rule))
		r = r->next;
	return r;
}

static struct stats_row *
row_new(struct stats *s, const char *rule)
{
	struct stats_row *r = calloc(1, sizeof(*r));
	size_t size = s->workers * sizeof(struct rule_stats);

	if (!r)
		return NULL;
	r->rule = strdup(rule);
	r->blocks = aligned_alloc(_Alignof(struct rule_stats), size);
	if (!r->rule || !r->blocks) {
		free(r->rule);
		free(r->blocks);
		free(r);
		return NULL;
	}
	memset(r->blocks, 0, size);
	r->next = s->rows;
	s->rows = r;
	return r;
}

struct rule_stats *
stats_rule(struct stats *s, const char *rule, unsigned worker)
{
	struct stats_row *r;

	pthread_mutex_lock(&s->lock);
	r = row_find(s, rule);
	if (!r)
		r = row_new(s, rule);
	pthread_mutex_unlock(&s->lock);
	return r ? &r->blocks[worker] : NULL;
}

void
stats_sum(struct stats *s, const char *rule, uint64_t out[RULE_STAT_COUNT])
{
	struct stats_row *r;
	unsigned i, k;

	memset(out, 0, RULE_STAT_COUNT * sizeof(*out));
	pthread_mutex_lock(&s->lock);
	r = row_find(s, rule);
	for (i = 0; r && i < s->workers; i++)
		for (k = 0; k < RULE_STAT_COUNT; k++)
			out[k] += atomic_load_explicit(&r->blocks[i].at[k],
						       memory_order_relaxed);
	pthread_mutex_unlock(&s->lock);
}
