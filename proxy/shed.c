/* SPDX-License-Identifier: Apache-2.0 */
/* Levels of shedding, and what each of them does. */
#include "proxy/shed.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/counter.h"
#include "base/log.h"
#include "proxy/client.h"
#include "proxy/exchange.h"
#include "proxy/forwarded.h"
#include "proxy/limits.h"
#include "proxy/worker.h"

#define CLOSE_EVERY_MS 50u
#define WARN_EVERY_MS 5000u
#define MEMORY_EVERY_MS 250u

/* ---- the level ---- */

static enum shed_level
level_of(uint64_t used, uint64_t most)
{
	if (used * 20 >= most * 19)
		return SHED_REFUSE;
	return used * 10 >= most * 9 ? SHED_IDLE : SHED_NONE;
}

static uint64_t
resident_bytes(void)
{
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	unsigned long pages = 0;
	char text[128];
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (sscanf(text, "%*u %lu", &pages) != 1)
		return 0;
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* What is only kept for later goes back first: it would hold the level up
 * for ever. */
static void
look_at_memory(struct worker *w)
{
	uint64_t most = w->proxy->shed.max_memory_bytes;

	if (!most || w->now_ms < w->shed_memory_ms)
		return;
	w->shed_memory_ms = w->now_ms + MEMORY_EVERY_MS;
	w->shed_memory = level_of(resident_bytes(), most);
	if (w->shed_memory == SHED_NONE)
		return;
	chunk_pool_fini(&w->chunks);
	exchange_free_spare(w);
	(void)malloc_trim(0);
	w->shed_memory = level_of(resident_bytes(), most);
}

/* ---- closing idle connections ---- */

struct candidate {
	uint64_t since_ms;
	struct client *client;
};

static int
by_age(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return (x->since_ms > y->since_ms) - (x->since_ms < y->since_ms);
}

/* Between two requests, or, when it is tight, without a whole head for more
 * than a second. One that is about to be resumed has its next request here,
 * and the list of those must not outlive it. */
static bool
is_candidate(const struct client *c, struct candidate *out)
{
	const struct proxy *p = c->worker->proxy;
	const struct exchange *ex = c->exchange;
	bool waits = !ex && c->served > 0;
	unsigned patience = waits ? p->client_idle_ms : p->client_head_ms;

	if (c->lingering || c->closing || c->resuming ||
	    (ex && ex->step != STEP_RECEIVE))
		return false;
	if (!waits && c->worker->shed < SHED_REFUSE)
		return false;
	out->since_ms = c->timer.deadline_ms - patience;
	out->client = (struct client *)c;
	return waits || out->since_ms + 1000 < c->worker->now_ms;
}

static void
end_client(struct client *c)
{
	counter_inc(COUNTER_SHED_CLOSED);
	if (c->exchange)
		exchange_expired(c->exchange);	/* 408 */
	else
		client_close(c);
}

/* What is above seven eighths: below nine tenths, so that there is room until
 * the next look. */
static size_t
how_many(const struct worker *w, size_t candidates)
{
	const struct shed *s = &w->proxy->shed;
	unsigned keep = (unsigned)((uint64_t)s->max * 7 / 8);
	unsigned open = atomic_load_explicit(&s->open, memory_order_relaxed);
	size_t n = open > keep ? open - keep : 0;

	if (w->shed_memory != SHED_NONE && n < candidates / 4 + 1)
		n = candidates / 4 + 1;
	return n < candidates ? n : candidates;
}

static void
close_idle(struct worker *w)
{
	struct candidate *list, one;
	size_t n = 0, i = 0;
	struct client *c;

	for (c = w->clients; c; c = c->next)
		n += is_candidate(c, &one);
	list = n ? malloc(n * sizeof(*list)) : NULL;
	if (!list)
		return;
	for (c = w->clients; c && i < n; c = c->next)
		i += is_candidate(c, &list[i]);
	qsort(list, i, sizeof(*list), by_age);
	n = how_many(w, i);
	for (i = 0; i < n; i++)
		end_client(list[i].client);
	free(list);
}

/* At the edge the level goes up and down many times a second. */
static void
warn(struct worker *w)
{
	if (w->now_ms >= w->shed_warn_ms)
		log_warn("proxy.shedding", "%s: keep-alive is not offered, "
			 "idle connections are closed",
			 w->shed_memory ? "memory runs short" :
					  "connections run short");
	w->shed_warn_ms = w->now_ms + WARN_EVERY_MS;
}

static enum shed_level
level_now(const struct worker *w)
{
	const struct shed *s = &w->proxy->shed;
	enum shed_level level = level_of(
		atomic_load_explicit(&s->open, memory_order_relaxed), s->max);

	return level > w->shed_memory ? level : w->shed_memory;
}

void
shed_look(struct worker *w)
{
	enum shed_level before = w->shed;

	look_at_memory(w);
	w->shed = level_now(w);
	if (w->shed > before)
		warn(w);
}

void
shed_close(struct worker *w)
{
	if (w->now_ms < w->shed_close_ms)
		return;
	w->shed_close_ms = w->now_ms + CLOSE_EVERY_MS;
	close_idle(w);
	w->shed = level_now(w);
}

/* ---- counting ---- */

bool
shed_is_full(const struct worker *w)
{
	const struct shed *s = &w->proxy->shed;

	return atomic_load_explicit(&s->open, memory_order_relaxed) >= s->max;
}

/* A trusted proxy brings everybody's connections. */
bool
shed_admit(struct client *c)
{
	struct limits *l = c->worker->proxy->shed.limits;

	if (!l || c->trusted || c->limited)
		return true;
	switch (limits_connect(l, &c->peer, c->worker->now_ms)) {
	case LIMITS_COUNTED:
		c->limited = true;
		break;
	case LIMITS_UNCOUNTED:
		break;
	case LIMITS_REFUSED:
		counter_inc(COUNTER_LIMITED_CONNECTIONS);
		return false;
	}
	return true;
}

void
shed_forget(struct client *c)
{
	if (c->limited)
		limits_disconnect(c->worker->proxy->shed.limits, &c->peer);
	c->limited = false;
}

enum problem
shed_request(const struct exchange *ex)
{
	const struct worker *w = ex->worker;
	struct limits *l = w->proxy->shed.limits;
	const struct network_address *a = &ex->client->peer;

	if (w->shed == SHED_REFUSE) {
		counter_inc(COUNTER_SHED_REFUSED);
		return PROBLEM_SHED;
	}
	if (!l)
		return PROBLEM_NONE;
	if (ex->chain && ex->chain->count)
		a = &ex->chain->nodes[0].address;
	if (limits_request(l, a, w->now_ms))
		return PROBLEM_NONE;
	counter_inc(COUNTER_LIMITED_REQUESTS);
	return PROBLEM_RATE;
}
