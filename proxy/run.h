/* SPDX-License-Identifier: Apache-2.0 */
/* `matapalo run`: everything of one process, put together in order. */
#ifndef PROXY_RUN_H
#define PROXY_RUN_H

#include "adapters/host.h"
#include "console/console.h"
#include "proxy/handover.h"
#include "proxy/listen.h"
#include "proxy/promotion.h"
#include "proxy/worker.h"
#include "shadow/shadow.h"

/* Owned by proxy_run; main's thread but for what status reads. */
struct run {
	const struct console_settings *settings;
	struct proxy proxy;
	struct digest_key key;
	char data[512];			/* directory */
	struct listen_address listen[CONSOLE_LIST_MAX + INHERIT_MAX];
	unsigned listen_count;
	struct inherit inherit;
	struct handover handover;
	struct worker *workers;
	unsigned worker_count, workers_made, workers_started;
	struct resolver *resolver;
	struct prober *prober;
	struct promotion *promotion;
	struct shadow *shadow;
	struct adapter_host *adapters;
	struct console_admin *admin;
	uint64_t started_ms;
	bool serving, has_served;

	pthread_mutex_t reload_lock;	/* guards what follows */
	int64_t rules_loaded_us;
	char rules_error[ERROR_TEXT_MAX + 300];
};

/* proxy_run serves until SIGTERM or SIGINT; the exit status. */
int proxy_run(const struct console_settings *settings);

/* run_wait_signal waits at most so long; true when the process is to stop. */
bool run_wait_signal(struct run *r, int signals, int ms);
/* run_stop_journal stops the parts that hold the data directory or an
 * address: console, subscribers, bus, journal. */
void run_stop_journal(struct run *r);

/* ---- reload.c ---- */

/* reload_first loads what the settings name; -1 with a message on stderr. */
MUST_CHECK int reload_first(struct run *r);
/* reload_rules loads the file again; a bad file leaves the old rules running
 * and says where it is wrong. */
void reload_rules(struct run *r);
/* reload_tokens reads who may do what on the bus. */
void reload_tokens(struct run *r);
/* reload_bus_tls reads the bus's certificate. */
void reload_bus_tls(struct run *r);
/* reload_publish tells shadow and adapters what the rules now want. */
void reload_publish(struct run *r);
/* reload_publish_shadow tells the shadow alone; any thread. */
void reload_publish_shadow(struct run *r);
/* reload_watch returns an inotify descriptor for the rules file's directory
 * (editors replace files), -1 when there is nothing to watch. */
int reload_watch(const struct run *r);
/* reload_changed drains it; true when the rules file was touched. */
bool reload_changed(const struct run *r, int fd);

/* ---- watchers.c: the threads that look after targets ---- */

MUST_CHECK int watchers_start(struct run *r, struct error *err);
/* watchers_wake: there are new rules. */
void watchers_wake(struct run *r);
void watchers_stop(struct run *r);

/* ---- admin.c: in the order of the start ---- */

/* admin_bind takes the admin address, unless the process that hands over to
 * this one has it; admin_rebind takes it then; admin_serve answers on it. */
MUST_CHECK int admin_bind(struct run *r, struct error *err);
MUST_CHECK int admin_rebind(struct run *r, struct error *err);
MUST_CHECK int admin_serve(struct run *r, struct error *err);

/* ---- status.c ---- */

void run_status(void *arg, struct json *out);
void run_metrics(void *arg, struct buf *out);	/* status_targets.c */
/* status_journal.c: the member "journal" of the status, and its metrics. */
void run_status_journal(struct run *r, struct json *j);
void run_metrics_journal(struct run *r, struct buf *out);
void run_status_targets(struct run *r, struct json *j);
bool run_ready(void *arg, const char **why_not);
/* run_source is what the admin listener asks this process by. */
struct console_source run_source(struct run *r);

#endif
