/* SPDX-License-Identifier: Apache-2.0 */
/* Active health: a question to each address now and then; the verdict is
 * one flag that all workers read. */
#include "proxy/prober.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/id.h"
#include "base/log.h"
#include "outbound/outbound.h"
#include "proxy/lease.h"
#include "proxy/target.h"

#define PARALLEL_MAX 64u
#define TURN_MS 100u		/* how soon a stop is seen during a probe */
#define ANSWER_MAX_BYTES (1u << 20)
#define URL_MAX 4096

struct probe {
	struct probe *next;
	struct prober *prober;
	struct target *target;		/* lives as long as the holder */
	struct endpoint *endpoint;	/* one reference */
	const struct rules_target *config;	/* while it is listed */
	struct rules_health limits;
	struct health_streak streak;
	uint64_t next_ms;
	bool busy, listed;
};

struct prober {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	bool stopped, woken;		/* under the lock */
	/* the thread's own */
	struct rules_holder *holder;
	struct rules *rules;		/* what the configs point into */
	uint64_t generation, random;
	struct outbound *out;
	struct probe *probes;
};

/* ---- what is asked ---- */

static unsigned
random_below(struct prober *p, unsigned n)
{
	p->random = p->random * UINT64_C(6364136223846793005) + 1;
	return (unsigned)((p->random >> 33) % n);
}

/* A tenth more or less, so that proxies do not ask in step. */
static unsigned
jittered(struct prober *p, unsigned ms)
{
	return ms - ms / 10 + random_below(p, ms / 5 + 1);
}

static void
probe_free(struct probe **pp)
{
	struct probe *p = *pp;

	*pp = NULL;
	endpoint_unref(&p->endpoint);
	free(p);
}

static void
probe_list(struct prober *p, struct target *t, struct endpoint *e,
	   const struct rules_target *c)
{
	struct probe *q = p->probes;

	while (q && q->endpoint != e)
		q = q->next;
	if (!q) {
		q = calloc(1, sizeof(*q));
		if (!q)
			return;
		q->prober = p;
		q->target = t;
		q->endpoint = endpoint_ref(e);
		q->next_ms = clock_mono_ms() +
			     random_below(p, c->health.every_ms / 10 + 1);
		q->next = p->probes;
		p->probes = q;
	}
	q->listed = true;
	q->config = c;
	q->limits = c->health;
}

static void
probes_list(struct prober *p)
{
	struct rules_holder *h = p->holder;
	size_t i;
	unsigned k;

	pthread_mutex_lock(&h->lock);
	p->rules = rules_ref(h->current);
	p->generation = atomic_load(&h->generation);
	for (i = 0; i < p->rules->target_count; i++) {
		const struct rules_target *c = &p->rules->targets[i];
		struct target *t = c->health.path ? target_find(h, c->name) :
						    NULL;

		for (k = 0; t && k < t->set->count; k++)
			probe_list(p, t, t->set->at[k], c);
	}
	pthread_mutex_unlock(&h->lock);
}

/* Nobody asks this address any more: nobody may call it down. */
static void
probe_forget(struct probe *q)
{
	if (atomic_load(&q->endpoint->health.down))
		health_probed(&q->endpoint->health, true, clock_mono_ms());
	q->config = NULL;
}

static void
probes_refresh(struct prober *p)
{
	struct probe **at = &p->probes, *q;
	struct rules *old = p->rules;

	if (atomic_load(&p->holder->generation) == p->generation)
		return;
	for (q = p->probes; q; q = q->next)
		q->listed = false;
	probes_list(p);
	while ((q = *at) != NULL) {
		if (!q->listed)
			probe_forget(q);
		if (q->listed || q->busy) {
			at = &q->next;
			continue;
		}
		*at = q->next;
		probe_free(&q);
	}
	rules_unref(&old);
}

/* ---- one question ---- */

static void
probe_judge(struct probe *q, const struct outbound_answer *a)
{
	struct health *h = &q->endpoint->health;
	bool down = atomic_load(&h->down);
	bool good = a->status && rules_status_in(&q->limits.good, a->status);

	switch (health_streak_add(&q->streak, &q->limits, good, down)) {
	case 1:
		health_probed(h, true, clock_mono_ms());
		counter_inc(COUNTER_HEALTH_UP);
		log_info("target.up", "%s: %s answers its health check",
			 q->target->name, q->endpoint->address.text);
		break;
	case -1:
		health_probed(h, false, clock_mono_ms());
		counter_inc(COUNTER_HEALTH_DOWN);
		log_warn("target.down", "%s: %s fails its health check: %s",
			 q->target->name, q->endpoint->address.text,
			 a->status ? "its status is not a good one" :
				     a->error.text);
		break;
	}
}

static void
probe_done(void *arg, struct outbound_answer *a)
{
	struct probe *q = arg;

	q->busy = false;
	q->next_ms = clock_mono_ms() +
		     jittered(q->prober, q->limits.every_ms);
	counter_inc(COUNTER_HEALTH_PROBES);
	if (q->config)
		probe_judge(q, a);
}

static bool
is_unix(const struct probe *q)
{
	return q->endpoint->address.addr.ss_family == AF_UNIX;
}

static const char *
authority_of(const struct probe *q)
{
	if (is_unix(q))
		return "localhost";
	return *q->endpoint->lookup ? q->endpoint->lookup :
				      q->endpoint->address.text;
}

/* The name that a certificate must have stands in the URL; the connection
 * goes to the address all the same. */
static void
write_url(const struct probe *q, char *out, size_t size)
{
	const struct rules_target *c = q->config;
	const char *name = c->tls ? c->tls->server_name : NULL;
	const char *port = strrchr(q->endpoint->address.text, ':');

	snprintf(out, size, "%s://%s%s%s%s", c->tls ? "https" : "http",
		 name ? name : authority_of(q), name ? port : "",
		 c->base_path, q->limits.path);
}

static void
probe_start(struct probe *q)
{
	static const struct message_field agent = {
		SPAN_LITERAL("User-Agent"), SPAN_LITERAL("matapalo-health") };
	const struct rules_target *c = q->config;
	char url[URL_MAX];
	struct outbound_tls tls;
	struct outbound_request req = {
		.url = url,
		.method = SPAN_LITERAL("GET"),
		.fields = { &agent, 1 },
		.host = authority_of(q),
		.fresh = true,
		.proxy_header = c->proxy_protocol != RULES_PROXY_NONE,
		.timeout_ms = q->limits.timeout_ms,
		.max_body_bytes = ANSWER_MAX_BYTES,
	};

	write_url(q, url, sizeof(url));
	if (is_unix(q))
		req.unix_path = q->endpoint->address.text + strlen("unix:");
	else
		req.connect_to = q->endpoint->address.text;
	if (c->tls) {
		tls = (struct outbound_tls){
			.verify = c->tls->verify,
			.min_version = c->tls->min_version == RULES_TLS_1_3 ?
				OUTBOUND_TLS_1_3 : OUTBOUND_TLS_1_2,
			.ca = c->tls->ca.text,
			.crl_path = c->tls->crl.path,
			.certificate = c->tls->certificate.text,
			.key = c->tls->key.path ? c->tls->key.text :
						  c->tls->certificate.text,
		};
		req.tls = &tls;
	}
	q->busy = outbound_start(q->prober->out, &req, probe_done, q,
				 NULL) == 0;
	if (!q->busy)		/* too many at once: in a moment */
		q->next_ms = clock_mono_ms() + TURN_MS;
}

/* ---- the thread ---- */

/* Starts what is due; returns when the next one is. */
static uint64_t
probes_run(struct prober *p)
{
	uint64_t now_ms = clock_mono_ms(), next_ms = UINT64_MAX;
	struct probe *q;

	for (q = p->probes; q; q = q->next) {
		if (q->busy || !q->config)
			continue;
		if (q->next_ms <= now_ms)
			probe_start(q);
		if (!q->busy && q->next_ms < next_ms)
			next_ms = q->next_ms;
	}
	return next_ms;
}

static void
prober_wait(struct prober *p, uint64_t until_ms)
{
	struct timespec ts = { (time_t)(until_ms / 1000),
			       (long)(until_ms % 1000) * 1000000 };

	pthread_mutex_lock(&p->lock);
	if (!p->stopped && !p->woken) {
		if (until_ms == UINT64_MAX)
			pthread_cond_wait(&p->wake, &p->lock);
		else
			(void)pthread_cond_timedwait(&p->wake, &p->lock, &ts);
	}
	p->woken = false;
	pthread_mutex_unlock(&p->lock);
}

static bool
is_stopped(struct prober *p)
{
	bool stopped;

	pthread_mutex_lock(&p->lock);
	stopped = p->stopped;
	pthread_mutex_unlock(&p->lock);
	return stopped;
}

static unsigned
wait_ms(uint64_t until_ms)
{
	uint64_t now_ms = clock_mono_ms();

	if (until_ms <= now_ms)
		return 1;
	return until_ms - now_ms < TURN_MS ? (unsigned)(until_ms - now_ms) :
					     TURN_MS;
}

static void *
prober_main(void *arg)
{
	struct prober *p = arg;
	uint64_t next_ms;

	(void)pthread_setname_np(pthread_self(), "prober");
	while (!is_stopped(p)) {
		probes_refresh(p);
		next_ms = probes_run(p);
		if (outbound_active(p->out))
			outbound_run(p->out, wait_ms(next_ms));
		else
			prober_wait(p, next_ms);
	}
	return NULL;
}

static void
prober_free(struct prober *p)
{
	struct probe *q;

	outbound_close(&p->out);
	while ((q = p->probes) != NULL) {
		p->probes = q->next;
		probe_free(&q);
	}
	rules_unref(&p->rules);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

struct prober *
prober_start(struct rules_holder *h, struct error *err)
{
	struct prober *p = calloc(1, sizeof(*p));
	pthread_condattr_t attr;

	if (!p) {
		error_set(err, "no memory for the prober");
		return NULL;
	}
	p->holder = h;
	id_random(&p->random, sizeof(p->random));
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->wake, &attr);
	pthread_condattr_destroy(&attr);
	p->out = outbound_open(PARALLEL_MAX, err);
	if (p->out && pthread_create(&p->thread, NULL, prober_main, p) == 0)
		return p;
	if (p->out)
		error_set(err, "no thread for the prober");
	prober_free(p);
	return NULL;
}

void
prober_wake(struct prober *p)
{
	pthread_mutex_lock(&p->lock);
	p->woken = true;
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->lock);
}

void
prober_stop(struct prober **pp)
{
	struct prober *p = *pp;

	*pp = NULL;
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopped = true;
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	prober_free(p);
}
