/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's side: settings, admin listener, commands. Sole home of
 * libmicrohttpd. */
#ifndef CONSOLE_CONSOLE_H
#define CONSOLE_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/json.h"

#define CONSOLE_LIST_MAX 64

/* Settings of `run`, each from the command line, the environment
 * (MATAPALO_...) or the settings file, in that order; one table,
 * console/settings.def. */
struct console_settings {
	const char *listen[CONSOLE_LIST_MAX + 1];	/* NULL-terminated */
	bool listen_is_default;		/* nobody has set it */
	const char *legacy;		/* URL, or NULL */
	const char *rules;		/* file, or NULL */
	const char *data;		/* directory */
	const char *admin;		/* ADDR:PORT or unix:PATH */
	const char *admin_token_file;	/* default DATA/admin.token */
	const char *bus[CONSOLE_LIST_MAX + 1];
	const char *bus_tokens;		/* file, or NULL */
	const char *bus_tls_certificate, *bus_tls_key;	/* files, or NULL */
	const char *bus_tls_client_ca;	/* file, or NULL */
	unsigned bus_connections;
	unsigned event_bytes, answer_size;
	unsigned workers;		/* 0: one a core */
	const char *log_level;
	const char *source;		/* CloudEvents source of events */
	unsigned drain_ms;		/* graceful stop */
	unsigned handover_ms;
	unsigned handover_start_ms;
	unsigned head_ms, idle_ms;	/* client: request head, keep-alive */
	unsigned max_connections, max_memory;	/* MiB; 0: any */
	unsigned client_connections, client_rate;
	const char *trusted_proxy[CONSOLE_LIST_MAX + 1];
	const char *trusted_field;
	const char *tls_certificate[CONSOLE_LIST_MAX + 1];
	const char *tls_key[CONSOLE_LIST_MAX + 1];
	const char *tls_min_version;	/* 1.2 or 1.3 */
	const char *tls_client_certificates;	/* none, request, require */
	const char *tls_client_ca;	/* file, or NULL */
	const char *tls_client_crl;	/* file, or NULL */
	const char *tls_client_header;	/* NULL: nobody is told */
	unsigned record_memory;		/* MiB; 0: any */
	unsigned commit_delay_ms;
	unsigned retain_age_s, retain_size;	/* MiB; 0: for ever, any */
	const char *retain_full;	/* keep or drop */
	const char *trace;		/* off, sampled or unsampled */
	const char *settings;		/* the settings file read, or NULL */
};

struct rules;

/* What the console cannot do itself, because it stands above it. */
struct console_program {
	int (*run)(const struct console_settings *s);	/* exit status */
	/* Would `run` begin with these? -1 with err. Warnings are lines; of
	 * rules, they and the error may have a line of the file. NULL: nobody
	 * can say. */
	int (*check_settings)(const struct console_settings *s,
			      struct buf *warnings, struct error *err);
	int (*check_rules)(const struct rules *rules, struct buf *warnings,
			   struct error *err);
};

/* console_main runs the command that argv names; of `run` it parses the
 * settings, which live for the call, and calls p->run(settings). Returns the
 * exit status: 0; 1, the answer is no or it went wrong; 2, wrong usage or an
 * unusable file. Main thread, before any other. */
int console_main(int argc, char **argv, const struct console_program *p);

/* ---- the admin listener ---- */

struct console_admin;
/* What an operator wants of a rule's place. */
enum console_verb {
#define VERB(sym, word, help) CONSOLE_##sym,
#include "console/verbs.def"
#undef VERB
	CONSOLE_VERB_COUNT
};
const char *console_verb_word(enum console_verb v);
/* Whether a rollback may go where nothing says that the legacy is fit. */
enum console_force { CONSOLE_ASKS, CONSOLE_FORCES };
/* Texts are lent for the call; NULL: not said. */
struct console_order {
	enum console_verb verb;
	const char *rule;		/* NULL: all (KILL and RELEASE) */
	const char *to;
	const char *operator, *reason;
	enum console_force force;
};

/* Questions that the admin listener asks the running process. Called on its
 * own thread. */
struct console_source {
	void *arg;
	/* true with *why_not set: ready, with a warning. */
	bool (*ready)(void *arg, const char **why_not);
	void (*status)(void *arg, struct json *out);	/* one object */
	/* Appends metrics beyond the counters; may be NULL. */
	void (*metrics)(void *arg, struct buf *out);
	/* Does what is ordered and returns 200 with one object in out, or
	 * another status with err. It is on disk and in force for all requests
	 * from then on. Blocks for a commit. NULL: 501. */
	int (*order)(void *arg, const struct console_order *o,
		     struct json *out, struct error *err);
};
/* console_admin_open binds and listens: who connects waits for
 * console_admin_serve. Both leave nothing behind but console_admin_stop.
 * console_admin_start does both. */
MUST_CHECK struct console_admin *
console_admin_open(const char *address, const char *token_file,
		   struct error *err);
MUST_CHECK int console_admin_serve(struct console_admin *a,
				   const struct console_source *source,
				   struct error *err);
MUST_CHECK struct console_admin *
console_admin_start(const char *address, const char *token_file,
		    const struct console_source *source, struct error *err);
/* The address as bound (a port of 0 resolved). */
const char *console_admin_address(const struct console_admin *a);
void console_admin_stop(struct console_admin **a);

/* console_write_run_file leaves DATA/run.json (mode 0600): pid, listen
 * addresses, admin address, bus urls; other commands find the process by it.
 * console_remove_run_file takes it away on a graceful stop. */
struct console_run_info {
	const char *const *listen;	/* NULL-terminated */
	const char *admin;
	const char *const *bus;		/* NULL-terminated */
	const char *rules;		/* file, or NULL */
};
MUST_CHECK int console_write_run_file(const char *data,
				      const struct console_run_info *info,
				      struct error *err);
void console_remove_run_file(const char *data);

#endif
