/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that renews the leases of what a consumer holds. */
#include <time.h>

#include "lib/internal.h"

static void
touch_held(struct matapalo_consumer *c)
{
	struct buf request CLEANUP(buf_fini) = { 0 };
	struct cJSON *answer CLEANUP(payload_free) = NULL;
	struct json j;

	link_begin(&j, &request, "touch");
	consumer_who(c, &j);
	/* A touch that gets lost is made good by the next. */
	if (held_write(c, &j) > 0)
		(void)link_call(&c->link, &j, 0, &answer, NULL);
}

static bool
wait_turn(struct matapalo_consumer *c)
{
	struct timespec at;
	bool goes_on;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += c->touch_ms / 1000;
	at.tv_nsec += (long)(c->touch_ms % 1000) * 1000000;
	at.tv_sec += at.tv_nsec / 1000000000;
	at.tv_nsec %= 1000000000;
	pthread_mutex_lock(&c->lock);
	while (!c->is_closing && rc == 0)
		rc = pthread_cond_timedwait(&c->closing, &c->lock, &at);
	goes_on = !c->is_closing;
	pthread_mutex_unlock(&c->lock);
	return goes_on;
}

static void *
toucher_main(void *arg)
{
	struct matapalo_consumer *c = arg;

	while (wait_turn(c))
		touch_held(c);
	return NULL;
}

enum matapalo_code
toucher_start(struct matapalo_consumer *c, struct matapalo_error *err)
{
	if (!c->touch_ms)
		return MATAPALO_OK;
	if (pthread_create(&c->toucher, NULL, toucher_main, c))
		return fail(err, MATAPALO_NO_MEMORY, "no thread for the "
			    "renewal of leases");
	c->is_touching = true;
	return MATAPALO_OK;
}

void
toucher_stop(struct matapalo_consumer *c)
{
	if (!c->is_touching)
		return;
	pthread_mutex_lock(&c->lock);
	c->is_closing = true;
	pthread_cond_signal(&c->closing);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->toucher, NULL);
}
