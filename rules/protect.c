/* SPDX-License-Identifier: Apache-2.0 */
/* Loads what protects a target and its callers: health, ejection, breaker,
 * limits, queue, retries. */
#include <string.h>

#include "rules/keys.h"

static int
load_none(struct rules_load *l, const struct rules_node *node, enum key k)
{
	struct rules_node at;

	keys_get(node, k, &at);
	return load_fail(l, &at, "\"none\" is not possible here: write a "
			 "duration");
}

/* A duration that must be there. */
static int
load_time(struct rules_load *l, const struct rules_node *node, enum key k,
	  unsigned *ms)
{
	if (keys_duration(l, node, k, ms) < 0)
		return -1;
	return *ms ? 0 : load_none(l, node, k);
}

static int
load_health(struct rules_load *l, const struct rules_node *node,
	    struct rules_health *h)
{
	struct rules_node at, path;

	if (!keys_get(node, KEY_TARGET_HEALTH, &at))
		return 0;
	keys_get(&at, KEY_HEALTH_PATH, &path);
	h->path = load_copy(l, json_string_value(path.value));
	if (!h->path)
		return -1;
	if (h->path[0] != '/' || strpbrk(h->path, " #\t"))
		return load_fail(l, &path, "\"%s\" is not a path such as "
				 "\"/healthz\"", h->path);
	if (load_time(l, &at, KEY_HEALTH_EVERY, &h->every_ms) < 0 ||
	    load_time(l, &at, KEY_HEALTH_TIMEOUT, &h->timeout_ms) < 0 ||
	    keys_count(l, &at, KEY_HEALTH_HEALTHY, 1, &h->healthy) < 0 ||
	    keys_count(l, &at, KEY_HEALTH_UNHEALTHY, 1, &h->unhealthy) < 0)
		return -1;
	return keys_statuses(l, &at, KEY_HEALTH_STATUS, &h->good);
}

static int
load_eject(struct rules_load *l, const struct rules_node *node,
	   struct rules_eject *e)
{
	struct rules_node at = { .value = NULL }, most;

	keys_get(node, KEY_TARGET_EJECT, &at);
	if (keys_count(l, &at, KEY_EJECT_AFTER, 1, &e->after) < 0 ||
	    load_time(l, &at, KEY_EJECT_FOR, &e->for_ms) < 0 ||
	    load_time(l, &at, KEY_EJECT_AT_MOST, &e->at_most_ms) < 0 ||
	    keys_statuses(l, &at, KEY_EJECT_STATUS, &e->bad) < 0)
		return -1;
	if (e->at_most_ms >= e->for_ms)
		return 0;
	if (keys_get(&at, KEY_EJECT_AT_MOST, &most))
		return load_fail(l, &most, "is less than \"for\"");
	e->at_most_ms = e->for_ms;
	return 0;
}

static int
load_breaker(struct rules_load *l, const struct rules_node *node,
	     struct rules_breaker *b)
{
	struct rules_node at, errors;

	if (!keys_get(node, KEY_TARGET_BREAKER, &at))
		return 0;
	if (keys_percent(l, &at, KEY_BREAKER_ERRORS, &b->errors_ppm) < 0 ||
	    keys_count(l, &at, KEY_BREAKER_REQUESTS, 1, &b->requests) < 0 ||
	    load_time(l, &at, KEY_BREAKER_WINDOW, &b->window_ms) < 0 ||
	    load_time(l, &at, KEY_BREAKER_OPEN_FOR, &b->open_ms) < 0 ||
	    keys_count(l, &at, KEY_BREAKER_HALF_OPEN, 1, &b->half_open) < 0 ||
	    keys_statuses(l, &at, KEY_BREAKER_STATUS, &b->bad) < 0)
		return -1;
	if (b->errors_ppm)
		return 0;
	keys_get(&at, KEY_BREAKER_ERRORS, &errors);
	return load_fail(l, &errors, "0%% would open at the first request: "
			 "leave \"breaker\" out instead");
}

static int
load_queue(struct rules_load *l, const struct rules_node *node,
	   struct rules_target *t)
{
	struct rules_node at = { .value = NULL };

	if (keys_get(node, KEY_TARGET_QUEUE, &at) && !t->max_connections)
		return load_fail_key(l, &at, "has no meaning without "
				     "\"max_connections\"");
	if (keys_count(l, &at, KEY_QUEUE_MAX, 0, &t->queue_max) < 0)
		return -1;
	return load_time(l, &at, KEY_QUEUE_WAIT, &t->queue_wait_ms);
}

int
load_protection(struct rules_load *l, const struct rules_node *node,
		struct rules_target *t)
{
	struct rules_node at;

	if (keys_duration(l, node, KEY_TARGET_RESOLVE, &t->resolve_ms) < 0 ||
	    keys_duration(l, node, KEY_TARGET_SLOW_START,
			  &t->slow_start_ms) < 0 ||
	    keys_percent(l, node, KEY_TARGET_RETRIES, &t->retries_ppm) < 0 ||
	    load_health(l, node, &t->health) < 0 ||
	    load_eject(l, node, &t->eject) < 0 ||
	    load_breaker(l, node, &t->breaker) < 0)
		return -1;
	if (keys_get(node, KEY_TARGET_MAX_CONNECTIONS, &at) &&
	    keys_count(l, node, KEY_TARGET_MAX_CONNECTIONS, 1,
		       &t->max_connections) < 0)
		return -1;
	return load_queue(l, node, t);
}

bool
rules_status_in(const struct rules_statuses *set, int status)
{
	for (unsigned i = 0; i < set->count; i++)
		if (status >= set->ranges[i].from &&
		    status <= set->ranges[i].to)
			return true;
	return false;
}
