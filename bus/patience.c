/* SPDX-License-Identifier: Apache-2.0 */
/* nng's open and close, each in a thread that can be given up.
 *
 * nng before 1.9 never ends the closing of a connection on which a part of a
 * frame arrives at that moment, and locks itself out when its own start finds
 * no memory (docs/decisions/0024-letting-go-of-nng.md). */
#include "bus/patience.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define OPEN_S 5
#define CLOSE_S 2

/* The caller's until it is given up; then its thread's. */
struct errand {
	int (*open)(nng_socket *);	/* NULL: close */
	nng_socket socket;
	int rc;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool has_ended, is_given_up;
};

static struct errand *
errand_new(void)
{
	struct errand *e = calloc(1, sizeof(*e));
	pthread_condattr_t attr;

	if (!e)
		return NULL;
	pthread_mutex_init(&e->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&e->ended, &attr);
	pthread_condattr_destroy(&attr);
	return e;
}

static void
errand_free(struct errand *e)
{
	pthread_cond_destroy(&e->ended);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

static void *
errand_main(void *arg)
{
	struct errand *e = arg;
	bool is_given_up;

	pthread_setname_np(pthread_self(), e->open ? "nng-open" : "nng-close");
	e->rc = e->open ? e->open(&e->socket) : nng_close(e->socket);
	pthread_mutex_lock(&e->lock);
	e->has_ended = true;
	is_given_up = e->is_given_up;
	pthread_cond_signal(&e->ended);
	pthread_mutex_unlock(&e->lock);
	if (is_given_up)
		errand_free(e);
	return NULL;
}

static bool
errand_wait(struct errand *e, time_t seconds)
{
	struct timespec until;
	bool has_ended;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	pthread_mutex_lock(&e->lock);
	while (!e->has_ended && pthread_cond_timedwait(&e->ended, &e->lock,
						       &until) == 0)
		;
	has_ended = e->has_ended;
	e->is_given_up = !has_ended;
	pthread_mutex_unlock(&e->lock);
	return has_ended;
}

/* Without a thread the call is made here, and trusted. False: given up. */
static bool
errand_run(struct errand *e, time_t seconds)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, errand_main, e) != 0) {
		errand_main(e);
		return true;
	}
	if (!errand_wait(e, seconds)) {
		pthread_detach(thread);
		return false;
	}
	pthread_join(thread, NULL);
	return true;
}

int
patience_open(int (*open)(nng_socket *), nng_socket *out)
{
	struct errand *e = errand_new();
	int rc;

	if (!e)
		return NNG_ENOMEM;
	e->open = open;
	if (!errand_run(e, OPEN_S))
		return NNG_ENOMEM;
	rc = e->rc;
	*out = e->socket;
	errand_free(e);
	return rc;
}

bool
patience_close(nng_socket socket)
{
	struct errand *e = errand_new();

	if (!e) {
		nng_close(socket);
		return true;
	}
	e->socket = socket;
	if (!errand_run(e, CLOSE_S))
		return false;
	errand_free(e);
	return true;
}
