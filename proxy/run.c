/* SPDX-License-Identifier: Apache-2.0 */
/* Starts the parts in order of dependency, serves, stops them in reverse. */
#include "proxy/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "console/file.h"
#include "proxy/bus_tls.h"
#include "proxy/limits.h"
#include "proxy/notify.h"
#include "proxy/stats.h"
#include "proxy/tls_server.h"

#define QUEUE_CAPACITY 16384u
#define WORKERS_MAX 64u
#define EXIT_UNUSABLE 2
#define CERTIFICATES_SETTLE_MS 300

/* ---- parts, in order ---- */

/* The texts were checked with the settings. */
static int
start_trust(struct forwarded_trust *t, const struct console_settings *s,
	    struct error *err)
{
	for (t->count = 0; s->trusted_proxy[t->count]; t->count++)
		if (network_parse(s->trusted_proxy[t->count],
				  &t->networks[t->count], err))
			return -1;
	t->field = strcmp(s->trusted_field, "forwarded") ? FORWARDED_X :
							   FORWARDED_RFC7239;
	return 0;
}

/* As many files as may be had: the soft limit is for programs that call
 * select(2). */
static unsigned
connections_by_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return limits_by_files(1024);
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
	(void)getrlimit(RLIMIT_NOFILE, &files);
	return limits_by_files(files.rlim_cur);
}

static int
start_limits(struct shed *s, const struct console_settings *c,
	     struct error *err)
{
	s->max = connections_by_files();
	if (c->max_connections)
		s->max = c->max_connections;
	s->max_memory_bytes = (uint64_t)c->max_memory << 20;
	if (!c->client_connections && !c->client_rate)
		return 0;
	s->limits = limits_new(c->client_connections, c->client_rate);
	return s->limits ? 0 : error_set(err, "out of memory");
}

static int
start_settings(struct run *r, struct error *err)
{
	if (start_trust(&r->proxy.trust, r->settings, err))
		return -1;
	r->proxy.records.most = (size_t)r->settings->record_memory << 20;
	return start_limits(&r->proxy.shed, r->settings, err);
}

static int
start_data(struct run *r, struct error *err)
{
	char path[sizeof(r->data) + 32];

	snprintf(r->data, sizeof(r->data), "%s", r->settings->data);
	if (directory_make(r->data, err) < 0)
		return error_context(err, "data directory");
	snprintf(path, sizeof(path), "%s/redact.key", r->data);
	return digest_key_load(&r->key, path, err);
}

static int
start_tls(struct run *r, struct error *err)
{
	const struct console_settings *s = r->settings;

	r->proxy.tls_client_header = span_of(s->tls_client_header);
	r->proxy.trace = trace_setting(s->trace);
	if (!s->tls_certificate[0])
		return 0;
	r->proxy.tls = tls_server_new(s, err);
	return r->proxy.tls ? 0 : -1;
}

static int
start_journal(struct run *r, struct error *err)
{
	char path[sizeof(r->data) + 32];
	struct journal_options o = {
		.path = path,
		.commit_delay_ms = r->settings->commit_delay_ms,
		.queue_capacity = QUEUE_CAPACITY,
		.retention = {
			.age_us = r->settings->retain_age_s * 1000000ll,
			.bytes = (int64_t)r->settings->retain_size << 20,
			.when_full = strcmp(r->settings->retain_full, "drop")
					     ? JOURNAL_FULL_KEEP
					     : JOURNAL_FULL_DROP,
		},
	};

	snprintf(path, sizeof(path), "%s/journal.db", r->data);
	r->proxy.journal = journal_open(&o, err);
	return r->proxy.journal ? promotion_open(r->promotion, err) : -1;
}

static int
start_bus(struct run *r, struct error *err)
{
	const struct console_settings *c = r->settings;
	size_t most = c->event_bytes;
	struct bus_options o = { .urls = c->bus, .tokens = c->bus_tokens,
				 .connections = c->bus_connections,
				 .files = bus_tls_files(c),
				 .event_bytes = most ? most : BUS_EVENT_ANY,
				 .answer_bytes = (size_t)c->answer_size << 10,
				 .source = &r->proxy.source };

	if (bus_tls_check(c, err))
		return -1;
	r->proxy.source = (struct bus_source){ c->source, &r->key };
	r->proxy.bus = bus_open(r->proxy.journal, &o, err);
	return r->proxy.bus ? 0 : -1;
}

static int
start_subscribers(struct run *r, struct error *err)
{
	r->shadow = shadow_start(r->proxy.bus, err);
	if (!r->shadow)
		return -1;
	r->adapters = adapter_host_start(r->proxy.bus, err);
	if (!r->adapters)
		return -1;
	reload_publish(r);
	return 0;
}

static unsigned
worker_count(const struct console_settings *s)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned n = s->workers ? s->workers : cores > 0 ? (unsigned)cores : 1;

	return n < WORKERS_MAX ? n : WORKERS_MAX;
}

/* Every worker gets at least one socket of each address, and every socket
 * at least one worker: what waits in a socket that nobody reads is lost. */
static int
share_sockets(struct run *r, const struct listen_address *a, struct error *err)
{
	bool shared = a->fd_count < r->worker_count;
	unsigned i, n = shared ? r->worker_count : a->fd_count;

	for (i = 0; i < n; i++) {
		int fd = fcntl(a->fds[i % a->fd_count], F_DUPFD_CLOEXEC, 0);

		if (fd < 0 ||
		    worker_listen(&r->workers[i % r->worker_count], fd,
				  shared, &a->facts, err))
			return error_set(err, "listen address %s: %s", a->text,
					 strerror(errno));
	}
	return 0;
}

static int
start_listeners(struct run *r, struct error *err)
{
	unsigned i;

	for (i = 0; i < r->listen_count; i++)
		if (share_sockets(r, &r->listen[i], err))
			return -1;
	return 0;
}

static int
start_workers(struct run *r, struct error *err)
{
	unsigned i;

	r->workers = aligned_alloc(_Alignof(struct worker),
				   r->worker_count * sizeof(*r->workers));
	if (!r->workers)
		return error_set(err, "out of memory");
	memset(r->workers, 0, r->worker_count * sizeof(*r->workers));
	for (i = 0; i < r->worker_count; i++) {
		r->workers_made++;
		if (worker_init(&r->workers[i], &r->proxy, i, err))
			return -1;
	}
	if (start_listeners(r, err))
		return -1;
	for (i = 0; i < r->worker_count; i++) {
		if (worker_start(&r->workers[i], err))
			return -1;
		r->workers_started++;
	}
	return 0;
}

static int
write_run_file(struct run *r, struct error *err)
{
	const char *listen[CONSOLE_LIST_MAX + 1] = { NULL };
	const char *bus[CONSOLE_LIST_MAX + 1] = { NULL };
	struct console_run_info info = {
		.listen = listen,
		.bus = bus,
		.admin = console_admin_address(r->admin),
		.rules = r->settings->rules,
	};
	unsigned i;

	for (i = 0; i < r->listen_count && i < CONSOLE_LIST_MAX; i++)
		listen[i] = r->listen[i].text;
	for (i = 0; i < CONSOLE_LIST_MAX && bus_url(r->proxy.bus, i); i++)
		bus[i] = bus_url(r->proxy.bus, i);
	return console_write_run_file(r->data, &info, err);
}

/* Sockets that no address names are listened on as well, and instead of the
 * default address. Those of an address that is not set any more are closed. */
static int
start_sockets(struct run *r, struct error *err)
{
	bool skip_default = r->settings->listen_is_default &&
			    inherit_has_named(&r->inherit);
	const char *const *text = r->settings->listen;
	unsigned i, left;

	for (; *text && !skip_default; text++)
		if (proxy_listen(*text, r->worker_count, &r->inherit,
				 &r->listen[r->listen_count++], err))
			return -1;
	while (proxy_listen_inherited(&r->inherit,
				      &r->listen[r->listen_count]))
		r->listen_count++;
	for (i = 0; i < r->listen_count; i++)
		if ((r->listen[i].facts.flags & LISTEN_TLS) && !r->proxy.tls)
			return error_set(err, "listen address %s: tls needs "
					 "tls_certificate",
					 r->listen[i].text);
	left = inherit_close(&r->inherit);
	if (left)
		log_warn("run.inherited", "%u sockets of addresses that are "
			 "not set any more are closed", left);
	return 0;
}

static int
start_all(struct run *r, struct error *err)
{
	static int (*const parts[])(struct run *, struct error *) = {
		start_settings, start_tls, start_data, start_sockets,
		admin_bind, handover_await, admin_rebind, start_journal,
		start_bus, start_subscribers, start_workers, watchers_start,
		admin_serve, write_run_file,
	};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (parts[i](r, err))
			return -1;
	return 0;
}

/* ---- serving ---- */

static int
signals_open(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void
begin_handover(struct run *r)
{
	struct error err = { 0 };

	if (handover_start(r, NULL, &err))
		log_error("run.handover-failed", "%s", err.text);
}

static void
reload(struct run *r)
{
	notify_reloading();
	reload_rules(r);
	reload_tokens(r);
	reload_bus_tls(r);
	if (r->proxy.tls)
		tls_server_reload(r->proxy.tls);
	notify_ready();
}

/* Returns true when the process is to stop. */
static bool
signals_read(struct run *r, int fd)
{
	struct signalfd_siginfo si;

	while (read(fd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGTERM || si.ssi_signo == SIGINT)
			return true;
		if (!r->serving)
			continue;
		if (si.ssi_signo == SIGUSR2)
			begin_handover(r);
		else
			reload(r);
	}
	return false;
}

/* A certificate and its key are two files: what comes in one go is read in
 * one go. */
static void
serve_certificates(struct run *r, const struct pollfd *fd, int *pause_ms)
{
	if (fd->revents & POLLIN) {
		tls_server_drain(fd->fd);
		*pause_ms = CERTIFICATES_SETTLE_MS;
	} else if (*pause_ms >= 0) {
		*pause_ms = -1;
		tls_server_reload(r->proxy.tls);
	}
}

bool
run_wait_signal(struct run *r, int signals, int ms)
{
	struct pollfd fd = { .fd = signals, .events = POLLIN };

	return poll(&fd, 1, ms) > 0 && signals_read(r, signals);
}

/* Has the new process said that it is ready? One that takes too long is
 * ended. */
static bool
successor_is_ready(struct run *r)
{
	if (!r->handover.child)
		return false;
	if (clock_mono_ms() > r->handover.deadline_ms) {
		log_error("run.handover-failed", "process %d was not ready in "
			  "time: it is ended", (int)r->handover.child);
		handover_cancel(r);
		return false;
	}
	return handover_hear(r, HANDOVER_READY, 0) == HANDOVER_WORD;
}

enum serve_end { SERVE_STOP, SERVE_HANDOVER };

static enum serve_end
serve(struct run *r, int signals)
{
	enum serve_end end = SERVE_STOP;
	struct pollfd fds[4] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = reload_watch(r), .events = POLLIN },
		{ .fd = r->proxy.tls ? tls_server_watch(r->proxy.tls) : -1,
		  .events = POLLIN },
	};
	int pause_ms = -1;

	for (;;) {
		bool starting = r->handover.child != 0;

		fds[3] = (struct pollfd){ .fd = starting ? r->handover.socket :
							   -1,
					  .events = POLLIN };
		if (poll(fds, 4, starting && pause_ms < 0 ? 1000 : pause_ms) <
			    0 &&
		    errno != EINTR)
			break;
		serve_certificates(r, &fds[2], &pause_ms);
		if ((fds[0].revents & POLLIN) && signals_read(r, signals))
			break;
		if ((fds[1].revents & POLLIN) &&
		    reload_changed(r, fds[1].fd))
			reload_rules(r);
		if (successor_is_ready(r)) {
			end = SERVE_HANDOVER;
			break;
		}
	}
	if (fds[1].fd >= 0)
		close(fds[1].fd);
	if (fds[2].fd >= 0)
		close(fds[2].fd);
	return end;
}

/* ---- stopping ---- */

/* Accepted requests are finished; a second signal or the drain time ends
 * the wait. */
static void
drain(struct run *r, int signals)
{
	uint64_t deadline = clock_mono_ms() + r->settings->drain_ms;
	unsigned i;

	notify_stopping();
	handover_cancel(r);
	listen_close_all(r->listen, r->listen_count);
	__atomic_store_n(&r->serving, false, __ATOMIC_RELEASE);
	atomic_store(&r->proxy.stopping, true);
	for (i = 0; i < r->workers_started; i++)
		worker_wake(&r->workers[i]);
	log_info("run.draining", "finishing accepted requests, at most %u ms",
		 r->settings->drain_ms);
	while (atomic_load(&r->proxy.workers_idle) < r->workers_started &&
	       clock_mono_ms() < deadline)
		if (run_wait_signal(r, signals, 10))
			break;
}

/* A socket that was handed over is the other process's as long as this one
 * has not served. */
static void
remove_path(const struct run *r, const struct listen_address *a)
{
	if (a->unix_path[0] && !a->inherited &&
	    (r->has_served || !a->handed_over))
		unlink(a->unix_path);
}

static void
stop_workers(struct run *r)
{
	unsigned i;

	atomic_store(&r->proxy.stopping, true);
	atomic_store(&r->proxy.abandon, true);
	for (i = 0; i < r->workers_made; i++)
		worker_join(&r->workers[i]);
	for (i = 0; i < r->listen_count && !r->proxy.handing_over; i++)
		remove_path(r, &r->listen[i]);
}

void
run_stop_journal(struct run *r)
{
	console_admin_stop(&r->admin);
	promotion_stop(r->promotion);
	adapter_host_stop(&r->adapters);
	shadow_stop(&r->shadow);
	if (r->proxy.bus)
		bus_close(&r->proxy.bus);
	if (r->proxy.journal)
		journal_close(&r->proxy.journal);
}

static void
stop_all(struct run *r)
{
	unsigned i;

	watchers_stop(r);
	stop_workers(r);
	run_stop_journal(r);
	for (i = 0; i < r->workers_made; i++)
		worker_fini(&r->workers[i]);
	free(r->workers);
	limits_free(&r->proxy.shed.limits);
	tls_server_free(&r->proxy.tls);
	stats_free(&r->proxy.stats);
	rules_holder_fini(&r->proxy.rules);
	promotion_free(&r->promotion);
}

static int
no_memory(void)
{
	fprintf(stderr, "matapalo: no memory to start with\n");
	return -1;
}

static int
run_start(struct run *r, const struct console_settings *settings)
{
	int level = log_level_parse(settings->log_level);

	r->settings = settings;
	r->handover.socket = -1;
	inherit_open(&r->inherit);
	r->started_ms = clock_mono_ms();
	r->worker_count = worker_count(settings);
	hop_pseudonym(r->proxy.pseudonym);
	r->proxy.client_head_ms = settings->head_ms;
	r->proxy.client_idle_ms = settings->idle_ms;
	pthread_mutex_init(&r->reload_lock, NULL);
	pthread_mutex_init(&r->proxy.rules.lock, NULL);
	r->proxy.rules.workers = r->worker_count;
	if (level >= 0)
		log_set_level((enum log_level)level);
	digest_start();
	r->proxy.stats = stats_new(r->worker_count);
	r->promotion = promotion_new(r);
	if (!r->proxy.stats || !r->promotion)
		return no_memory();
	return reload_first(r);
}

static void
announce(struct run *r)
{
	unsigned i;

	r->has_served = true;
	__atomic_store_n(&r->serving, true, __ATOMIC_RELEASE);
	for (i = 0; i < r->listen_count; i++)
		log_info("run.listening", "clients on %s", r->listen[i].text);
	log_info("run.ready", "admin on %s, data in %s",
		 console_admin_address(r->admin), r->data);
	if (!handover_done(r))
		notify_ready();
}

/* Serves until the end and returns the exit status. */
static int
run_serve(struct run *r, int signals)
{
	int status = HANDOVER_STOPPED;

	announce(r);
	if (serve(r, signals) == SERVE_HANDOVER)
		status = handover_finish(r, signals);
	if (status != HANDOVER_STOPPED)
		return status;
	drain(r, signals);
	console_remove_run_file(r->data);
	return EXIT_SUCCESS;
}

int
proxy_run(const struct console_settings *settings)
{
	struct error err = { 0 };
	struct run *r = calloc(1, sizeof(*r));
	int signals = signals_open(), status = EXIT_UNUSABLE, failed;

	if (!r)
		(void)no_memory();
	else if (signals < 0)
		fprintf(stderr, "matapalo: signalfd: %s\n", strerror(errno));
	if (!r || signals < 0)
		return EXIT_FAILURE;
	failed = run_start(r, settings);
	if (!failed && start_all(r, &err)) {
		fprintf(stderr, "matapalo: %s\n", err.text);
		failed = -1;
	}
	if (!failed)
		status = run_serve(r, signals);
	stop_all(r);
	free(r);
	close(signals);
	return status;
}
