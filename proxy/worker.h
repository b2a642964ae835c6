/* SPDX-License-Identifier: Apache-2.0 */
/* One thread of the data plane: an epoll loop that shares nothing but the
 * journal's ring, the bus and a pointer to the rules. */
#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "bus/bus.h"
#include "journal/journal.h"
#include "proxy/chunk.h"
#include "proxy/hop.h"
#include "proxy/forwarded.h"
#include "proxy/io.h"
#include "proxy/lease.h"
#include "proxy/mail.h"
#include "proxy/record.h"
#include "proxy/shed.h"
#include "proxy/timer.h"
#include "proxy/trace.h"

struct client;
struct exchange;
struct listen_facts;
struct listener;
struct pool;
struct tls_buffers;
struct tls_server;

/* What all workers see of the process. Read-only once they run, but for
 * rules and its generation (lease.h) and stopping. */
struct proxy {
	struct journal *journal;
	struct bus *bus;
	struct bus_source source;
	struct rules_holder rules;
	struct stats *stats;
	struct tls_server *tls;		/* NULL: no listener speaks TLS */
	struct span tls_client_header;	/* empty: nobody is told */
	enum trace_start trace;		/* of requests without one */
	unsigned client_head_ms, client_idle_ms;
	struct forwarded_trust trust;
	struct shed shed;
	char pseudonym[HOP_PSEUDONYM_SIZE];	/* in Via */
	atomic_bool stopping;
	atomic_bool abandon;		/* end the loops now */
	atomic_uint workers_idle;	/* have nothing left to finish */
	atomic_bool handing_over;	/* accept no more, but do not refuse */
	atomic_bool detaching;		/* let go of journal and bus */
	atomic_uint workers_detached;	/* have done so */
	struct record_budget records;
};

#define WORKER_WAITING_SLOTS 1024u

/* No two of them share a cache line: each writes in its own all the time. */
struct worker {
	_Alignas(64) struct proxy *proxy;
	unsigned index;
	pthread_t thread;
	bool started;
	int epoll_fd;
	struct io wake;			/* eventfd */
	_Atomic(struct mail *) inbox;
	struct chunk_pool chunks;
	struct timer_wheel timers;
	uint64_t now_ms;		/* at the start of this batch */
	struct io *dead;		/* closed in this batch */
	struct exchange *spare;		/* recycled exchanges */
	unsigned spare_count;
	struct client *clients;		/* all open ones */
	struct client *resume;		/* to be run again in this batch */
	bool gathers;			/* what is short is sent later, */
	struct exchange *unsent, **unsent_end;	/* by these in turn */
	struct listener *listeners;
	struct pool *pools;		/* upstream addresses */
	unsigned turn;			/* for addresses that are equal */
	struct lease *lease;		/* newest rules */
	struct lease *old_leases;	/* superseded, still in use */
	_Atomic uint64_t rules_generation;	/* of `lease` */
	uint64_t rules_failed;		/* generation without memory */
	struct journal_queue *queue;
	struct record_pool records;
	struct exchange *waiting[WORKER_WAITING_SLOTS];	/* for replies */
	char date[40];			/* "Date: ...\r\n" of this second */
	int64_t date_s;
	enum shed_level shed, shed_memory;
	uint64_t shed_memory_ms, shed_close_ms;	/* next look */
	uint64_t shed_warn_ms;
	bool draining;
	bool detached;			/* journal and bus are gone */
	uint64_t log_second;
	unsigned log_lines;		/* in that second */
	uint64_t random;		/* state of worker_random */
	struct tls_buffers *tls;	/* NULL before the first TLS */
};

MUST_CHECK int worker_init(struct worker *w, struct proxy *p, unsigned index,
			   struct error *err);
/* worker_listen hands an already listening socket to the worker, before it
 * starts. The worker closes it. */
MUST_CHECK int worker_listen(struct worker *w, int fd, bool shared,
			     const struct listen_facts *facts,
			     struct error *err);
MUST_CHECK int worker_start(struct worker *w, struct error *err);
/* worker_wake makes the loop look at flags and mail; any thread. */
void worker_wake(struct worker *w);
/* worker_join ends what is left of it, started or not; `abandon` is set. */
void worker_join(struct worker *w);
void worker_fini(struct worker *w);

/* worker_mail delivers from any thread. */
void worker_mail(struct worker *w, struct mail *m);
/* worker_random: evenly spread numbers for sampling, not for secrets. */
uint64_t worker_random(struct worker *w);
/* worker_may_log: a few lines a second about what peers do wrong; anyone can
 * cause as many as he likes. The counters know all of them. */
bool worker_may_log(struct worker *w);
/* worker_date lends the Date field line of this second. */
const char *worker_date(struct worker *w);

#endif
