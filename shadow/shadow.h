/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of live requests to candidates, and verdicts on their answers. */
#ifndef SHADOW_SHADOW_H
#define SHADOW_SHADOW_H

#include "base/attr.h"
#include "base/error.h"
#include "base/json.h"
#include "base/redact.h"
#include "bus/bus.h"
#include "payload/payload.h"

struct outbound_tls;
struct shadow;

/* The candidate's status codes that may stand for the legacy's. */
struct shadow_statuses {
	unsigned count;
	struct { uint16_t from, to; } ranges[8];
};
struct shadow_status {
	const char *text;		/* the legacy's, as it is written */
	struct shadow_statuses legacy, candidate;
};

/* What the shadow needs to know of a rule. shadow/ does not include rules/:
 * proxy/ translates. Strings live as long as the plan. */
struct shadow_rule {
	const char *name;
	const char *target;		/* candidate's name */
	const char *url;		/* HTTP candidate, or NULL */
	const char *unix_path;
	const struct outbound_tls *tls;	/* of an https candidate, or NULL */
	bool proxy_header;		/* it wants a PROXY header */
	struct span tls_header;		/* the field of --tls-client-header */
	const char *command;		/* bus candidate: event type, or NULL */
	unsigned timeout_ms;
	int unsafe_allowed;
	const char *const *ignore;
	size_t ignore_count;
	const char *const *headers;	/* response headers compared too */
	size_t header_count;
	bool any_coding;		/* Content-Encoding may differ */
	const struct payload_tolerance *tolerance;
	size_t tolerance_count;
	const struct payload_unordered *unordered;
	size_t unordered_count;
	const struct shadow_status *status;
	size_t status_count;
	const struct payload_rewrite *normalise;	/* struct pattern */
	size_t normalise_count;
	/* A share of the safe requests is put a second time to `again`, who
	 * answered them or his twin (its target and URL; NULL: nobody), to
	 * learn what he disagrees with himself about. */
	uint32_t noise_ppm;
	uint64_t fingerprint;		/* of how the rule compares */
	const struct shadow_rule *again;
};
struct shadow_plan {
	const struct shadow_rule *rules;
	size_t count;
	/* The candidate's answer is redacted as the recorded one was, so that
	 * secrets compare by their digests and reach no verdict. NULL: only
	 * values that were redacted on the legacy side are left out. */
	const struct redact *redact;
	const struct digest_key *key;
	/* Candidates' bodies are decoded, whatever their fields say: those
	 * that a verdict has kept. */
	bool has_decoded;
	/* May that target be asked once more now? NULL: always. Any thread. */
	bool (*may_ask)(void *arg, const char *target);
	void *ask_arg;
	void (*release)(void *arg);	/* once, when no longer used; any
					 * thread */
	void *arg;
};

/* shadow_start begins a thread of its own: a subscriber of the journal's
 * shadow events. Nothing it does can slow a worker. It takes no exchange
 * before the first plan. */
MUST_CHECK struct shadow *shadow_start(struct bus *bus, struct error *err);
/* shadow_set_plan replaces the rules (reload); takes the plan. Any thread. */
void shadow_set_plan(struct shadow *s, const struct shadow_plan *plan);
/* shadow_stop must come before bus_close and journal_close. */
void shadow_stop(struct shadow **s);
/* shadow_counts: verdicts on the candidate's answers to the rule's requests
 * since it was first compared, over restarts. Any thread. */
struct shadow_counts {
	uint64_t pairs, matches;
};
void shadow_counts(struct shadow *s, const char *rule, const char *candidate,
		   struct shadow_counts *out);
/* shadow_status writes a JSON object: per rule samples, matches, differences,
 * failures, match rate, lower bound (95 % Wilson), newest differences. */
void shadow_status(struct shadow *s, struct json *out);

#endif
