/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop of one worker. */
#include "proxy/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/invariant.h"
#include "base/log.h"
#include "proxy/client.h"
#include "proxy/exchange.h"
#include "proxy/listen.h"
#include "proxy/steps.h"
#include "proxy/tls.h"
#include "proxy/upstream.h"

#define EVENTS_MAX 256
#define GATHER_FROM 8	/* events; of fewer the first is sent at once */
#define ACCEPT_MAX 64
#define ACCEPT_PAUSE_MS 100u
#define WARN_EVERY_MS 5000u
#define LOG_LINES_A_SECOND 10u

struct listener {
	struct io io;
	struct timer timer;		/* pause when out of descriptors */
	struct worker *worker;
	struct listener *next;
	bool shared;
	struct listen_facts facts;
	uint64_t warn_ms;		/* not before; it fills the log */
};

/* ---- mail ---- */

void
worker_wake(struct worker *w)
{
	uint64_t one = 1;

	/* Can only fail when the counter is full, and then it is readable. */
	if (write(w->wake.fd, &one, sizeof(one)) < 0)
		return;
}

void
worker_mail(struct worker *w, struct mail *m)
{
	struct mail *head = atomic_load_explicit(&w->inbox,
						 memory_order_relaxed);

	do {
		m->next = head;
	} while (!atomic_compare_exchange_weak_explicit(
		&w->inbox, &head, m, memory_order_release,
		memory_order_relaxed));
	if (!head)
		worker_wake(w);
}

static void
inbox_run(struct worker *w)
{
	struct mail *m, *next, *fifo = NULL;

	m = atomic_exchange_explicit(&w->inbox, NULL, memory_order_acquire);
	for (; m; m = next) {
		next = m->next;
		m->next = fifo;
		fifo = m;
	}
	for (m = fifo; m; m = next) {
		next = m->next;
		m->handle(w, m);
	}
}

static void
wake_ready(struct io *io)
{
	uint64_t n;

	if (read(io->fd, &n, sizeof(n)) < 0)
		return;
}

/* ---- listening ---- */

static int
listener_watch(struct listener *l)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &l->io };

	if (l->shared)
		ev.events |= EPOLLEXCLUSIVE;
	return epoll_ctl(l->worker->epoll_fd, EPOLL_CTL_ADD, l->io.fd, &ev);
}

static void
listener_pause(struct listener *l, const char *why)
{
	struct worker *w = l->worker;

	counter_inc(COUNTER_ACCEPT_PAUSED);
	if (w->now_ms >= l->warn_ms)
		log_warn("client.no-descriptors", "accepting pauses: %s", why);
	l->warn_ms = w->now_ms + WARN_EVERY_MS;
	(void)epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, l->io.fd, NULL);
	timer_set(&w->timers, &l->timer, w->now_ms + ACCEPT_PAUSE_MS);
}

static void
listener_expired(struct timer *t)
{
	struct listener *l = (struct listener *)((char *)t -
			offsetof(struct listener, timer));

	if (listener_watch(l))
		timer_set(&l->worker->timers, &l->timer,
			  l->worker->now_ms + ACCEPT_PAUSE_MS);
}

static void
listener_accept(struct listener *l, int most)
{
	struct sockaddr_storage peer;
	socklen_t len;
	int fd;

	while (most-- > 0) {
		if (shed_is_full(l->worker)) {
			listener_pause(l, "too many connections");
			return;
		}
		memset(&peer, 0, sizeof(peer));
		len = sizeof(peer);
		fd = accept4(l->io.fd, (struct sockaddr *)&peer, &len,
			     SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			client_accept(l->worker, fd, &peer, &l->facts);
		} else if (errno == EMFILE || errno == ENFILE ||
			   errno == ENOBUFS || errno == ENOMEM) {
			listener_pause(l, strerror(errno));
			return;
		} else if (errno != ECONNABORTED && errno != EINTR) {
			return;
		}
	}
}

static void
listener_ready(struct io *io)
{
	listener_accept((struct listener *)io, ACCEPT_MAX);
}

static void
listener_free(struct io *io)
{
	free(io);
}

int
worker_listen(struct worker *w, int fd, bool shared,
	      const struct listen_facts *facts, struct error *err)
{
	struct listener *l = calloc(1, sizeof(*l));

	if (!l)
		return error_set(err, "out of memory");
	l->worker = w;
	l->shared = shared;
	l->facts = *facts;
	l->io.fd = fd;
	l->io.ready = listener_ready;
	l->io.free_fn = listener_free;
	l->timer.fire = listener_expired;
	if (listener_watch(l)) {
		free(l);
		return error_set(err, "epoll_ctl: %s", strerror(errno));
	}
	l->next = w->listeners;
	w->listeners = l;
	return 0;
}

static void
listeners_close(struct worker *w)
{
	struct listener *l, *next;

	for (l = w->listeners; l; l = next) {
		next = l->next;
		/* What the kernel has accepted for us is ours to serve. */
		if (w->draining && !atomic_load(&w->proxy->handing_over))
			listener_accept(l, 1 << 20);
		timer_cancel(&w->timers, &l->timer);
		io_close(w, &l->io);
	}
	w->listeners = NULL;
}

/* ---- loop ---- */

/* A client may have been closed after it asked for another turn. */
static void
resume_forget_closed(struct worker *w)
{
	struct client **at = &w->resume, *c;

	while ((c = *at) != NULL) {
		if (c->closing)
			*at = c->resume_next;
		else
			at = &c->resume_next;
	}
}

static void
dead_free(struct worker *w)
{
	struct io *io, *next;

	if (w->dead)
		resume_forget_closed(w);
	for (io = w->dead; io; io = next) {
		next = io->dead_next;
		io->free_fn(io);
	}
	w->dead = NULL;
}

static void
resume_run(struct worker *w)
{
	struct client *c, *next = w->resume;

	w->resume = NULL;
	while ((c = next) != NULL) {
		next = c->resume_next;
		c->resuming = false;
		client_run(c);
	}
}

static void
drain_begin(struct worker *w)
{
	struct client *c;

	w->draining = true;
	listeners_close(w);
	for (c = w->clients; c; c = c->next)
		client_drain(c);
}

/* All sockets of the batch are told before anybody runs: a kept upstream that
 * said something is then handed to no request, whichever of the two epoll
 * names first. */
static void
events_run(struct worker *w, int timeout_ms)
{
	struct epoll_event events[EVENTS_MAX];
	int i, n = epoll_wait(w->epoll_fd, events, EVENTS_MAX, timeout_ms);

	w->now_ms = clock_mono_ms();
	shed_look(w);
	w->gathers = n >= GATHER_FROM;
	for (i = 0; i < n; i++)
		io_event(events[i].data.ptr, events[i].events);
	for (i = 0; i < n; i++) {
		struct io *io = events[i].data.ptr;

		if (io->fd >= 0)	/* not closed earlier in this batch */
			io->ready(io);
	}
	exchange_send_all(w);
}

static void
turn(struct worker *w)
{
	int wait_ms = w->resume ? 0 : timer_wait_ms(&w->timers, w->now_ms);

	events_run(w, wait_ms);
	inbox_run(w);
	timer_run(&w->timers, w->now_ms);
	resume_run(w);
	if (w->shed != SHED_NONE)
		shed_close(w);
	lease_refresh(w);
	if (w->old_leases)
		lease_collect(w);
	dead_free(w);
}

static bool
is_stopped(struct worker *w)
{
	if (!atomic_load_explicit(&w->proxy->stopping, memory_order_relaxed))
		return false;
	if (!w->draining)
		drain_begin(w);
	return !w->clients;
}

/* From here on this worker touches neither journal nor bus: the next
 * process has them. What still runs ends without an event. */
static void
worker_detach(struct worker *w)
{
	struct client *c, *next;

	w->detached = true;
	for (c = w->clients; c; c = next) {
		next = c->next;
		if (c->exchange)
			command_detached(c->exchange);
		else if (!c->lingering)
			client_close(c);
	}
	atomic_fetch_add(&w->proxy->workers_detached, 1);
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	bool told = false;
	char name[16];		/* seen in top -H and in profiles */

	snprintf(name, sizeof(name), "worker-%u", w->index);
	(void)pthread_setname_np(pthread_self(), name);

	/* Stays until it is told a second time: by `abandon`. */
	while (!atomic_load(&w->proxy->abandon)) {
		turn(w);
		if (is_stopped(w) && !told) {
			told = true;
			atomic_fetch_add(&w->proxy->workers_idle, 1);
		}
		if (atomic_load_explicit(&w->proxy->detaching,
					 memory_order_relaxed) &&
		    !w->detached)
			worker_detach(w);
	}
	return NULL;
}

/* Steele, Lea, Flood: SplitMix64. */
uint64_t
worker_random(struct worker *w)
{
	uint64_t z = w->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

bool
worker_may_log(struct worker *w)
{
	uint64_t second = w->now_ms / 1000;

	if (w->log_second != second) {
		w->log_second = second;
		w->log_lines = 0;
	}
	return w->log_lines++ < LOG_LINES_A_SECOND;
}

const char *
worker_date(struct worker *w)
{
	int64_t now_us = clock_wall_us();
	char text[32];

	if (now_us / 1000000 != w->date_s) {
		w->date_s = now_us / 1000000;
		snprintf(w->date, sizeof(w->date), "Date: %s\r\n",
			 clock_http_date(now_us, text));
	}
	return w->date;
}

/* ---- lifecycle ---- */

int
worker_init(struct worker *w, struct proxy *p, unsigned index,
	    struct error *err)
{
	memset(w, 0, sizeof(*w));
	w->proxy = p;
	w->index = index;
	w->unsent_end = &w->unsent;
	w->records.budget = &p->records;
	w->now_ms = clock_mono_ms();
	id_random(&w->random, sizeof(w->random));
	timer_wheel_init(&w->timers, w->now_ms);
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	w->wake.ready = wake_ready;
	if (w->epoll_fd < 0 || w->wake.fd < 0 || io_add(w, &w->wake))
		return error_set(err, "event loop: %s", strerror(errno));
	w->queue = journal_queue_new(p->journal);
	if (!w->queue)
		return error_set(err, "out of memory for the journal's queue");
	lease_refresh(w);
	return w->lease ? 0 : error_set(err, "out of memory for the rules");
}

int
worker_start(struct worker *w, struct error *err)
{
	int e = pthread_create(&w->thread, NULL, worker_main, w);

	w->started = e == 0;
	return e ? error_set(err, "worker thread: %s", strerror(e)) : 0;
}

/* What is still running after the drain time ends now: its event says
 * aborted. The journal is still there; what waits for it gets its mail. */
static void
abandon_clients(struct worker *w)
{
	struct client *c, *next;

	for (c = w->clients; c; c = next) {
		struct exchange *ex = c->exchange;

		next = c->next;
		if (ex && ex->commit_pending)
			continue;
		if (ex) {
			ex->held = false;
			c->io.broken = true;
			(void)step_abort(ex);
			exchange_run(ex);
		} else {
			client_close(c);
		}
	}
}

void
worker_join(struct worker *w)
{
	struct timespec pause = { 0, 1000000 };

	if (w->started) {
		worker_wake(w);
		pthread_join(w->thread, NULL);
	}
	listeners_close(w);
	while (w->clients) {
		abandon_clients(w);
		inbox_run(w);
		resume_run(w);
		if (w->clients)
			nanosleep(&pause, NULL);
	}
	lease_fini(w);
}

void
worker_fini(struct worker *w)
{
	INVARIANT(!w->pools);
	dead_free(w);
	exchange_free_spare(w);
	tls_buffers_free(&w->tls);
	chunk_pool_fini(&w->chunks);
	record_pool_fini(&w->records);
	close(w->wake.fd);
	close(w->epoll_fd);
}
