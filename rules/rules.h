/* SPDX-License-Identifier: Apache-2.0 */
/* The rules file as an immutable, compiled set. Sole home of jansson. */
#ifndef RULES_RULES_H
#define RULES_RULES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/emit.h"
#include "base/error.h"
#include "base/message.h"
#include "base/pattern.h"
#include "base/redact.h"

/* The life of an endpoint; table in rules/stages.def. */
enum rules_stage {
#define STAGE(sym, text, help) RULES_STAGE_##sym,
#include "rules/stages.def"
#undef STAGE
	RULES_STAGE_COUNT
};

enum rules_durability { RULES_DURABILITY_BOUNDED, RULES_DURABILITY_STRICT };
enum rules_target_kind { RULES_TARGET_HTTP, RULES_TARGET_COMMAND };
enum rules_on_failure { RULES_ON_FAILURE_ERROR, RULES_ON_FAILURE_LEGACY };
enum rules_stick { RULES_STICK_CLIENT, RULES_STICK_HEADER, RULES_STICK_COOKIE,
		   RULES_STICK_QUERY };

/* A host name of a target's URLs, looked up again while it runs. */
struct rules_host {
	const char *name, *port;
	const char *error;	/* why the load found no address, or NULL */
};

/* One resolved address of an HTTP target. Resolved at load (getaddrinfo). */
struct rules_address {
	struct sockaddr_storage addr;
	socklen_t addr_len;
	const char *text;	/* "127.0.0.1:3000" or "unix:/path" */
	const char *host;	/* of its URL; "" for a Unix socket */
	const struct rules_host *lookup;	/* NULL: a literal */
};

enum rules_tls_version { RULES_TLS_1_2, RULES_TLS_1_3 };

/* A file that was read when the rules were; path NULL: not given. */
struct rules_file {
	const char *path;
	struct span text;	/* NUL-terminated too */
	int line;		/* of the rules file that names it */
};

/* TLS towards a target. */
struct rules_tls {
	bool verify;
	enum rules_tls_version min_version;
	const char *server_name;	/* NULL: the host of the URL */
	struct rules_file ca;		/* not given: the system's */
	struct rules_file crl;
	struct rules_file certificate, key;
};

/* Version of the PROXY header that a target's connections begin with. */
enum rules_proxy_protocol { RULES_PROXY_NONE, RULES_PROXY_V1,
			    RULES_PROXY_V2 };

/* Status codes that a target's settings speak of. */
#define RULES_STATUS_RANGES 8
struct rules_statuses {
	unsigned count;
	struct { uint16_t from, to; } ranges[RULES_STATUS_RANGES];
};

struct rules_health {
	const char *path;		/* NULL: nobody asks */
	unsigned every_ms, timeout_ms;
	unsigned healthy, unhealthy;	/* results in a row */
	struct rules_statuses good;
};

struct rules_eject {
	unsigned after;			/* failures in a row */
	unsigned for_ms, at_most_ms;
	struct rules_statuses bad;
};

struct rules_breaker {
	unsigned requests;		/* 0: no breaker */
	uint32_t errors_ppm;
	unsigned window_ms, open_ms, half_open;
	struct rules_statuses bad;
};

struct rules_target {
	const char *name;
	enum rules_target_kind kind;
	unsigned index;			/* 0 .. target_count-1 */
	/* HTTP */
	struct rules_address *addresses;	/* none: all unknown */
	size_t address_count;
	struct rules_host *hosts;
	size_t host_count;
	unsigned resolve_ms;		/* 0: once, at load */
	const char *base_path;		/* path prefix of the URL, "" if none */
	const char *url;		/* first URL as written, no userinfo */
	const struct rules_tls *tls;	/* NULL: plain */
	enum rules_proxy_protocol proxy_protocol;
	unsigned connect_ms, head_ms, idle_ms, total_ms;	/* 0: none */
	struct rules_health health;
	struct rules_eject eject;
	struct rules_breaker breaker;
	unsigned slow_start_ms;		/* 0: none */
	unsigned max_connections;	/* 0: no limit */
	unsigned queue_max, queue_wait_ms;
	uint32_t retries_ppm;
	/* command */
	const char *command;		/* event type */
	unsigned reply_within_ms;
};

#define RULES_HEADER "header:"	/* begins the place of a header */

/* Comparison of answers; all lists may be empty. */
struct rules_compare {
	const char *const *ignore;	/* JSON pointers; `*` is a wildcard */
	size_t ignore_count;
	const char *const *headers;	/* response headers to compare too */
	size_t header_count;
	bool any_coding;		/* Content-Encoding may differ */
	/* of a JSON pointer, or of "header:NAME" */
	struct rules_tolerance {
		const char *pointer;
		double by;
		enum rules_tolerance_kind {
			RULES_TOLERANCE_NUMBER,
			RULES_TOLERANCE_SHARE,	/* of the legacy's value */
			RULES_TOLERANCE_TIME	/* in milliseconds */
		} kind;
	} *tolerance;
	size_t tolerance_count;
	/* key NULL: as a set; else match elements by this member */
	struct rules_unordered { const char *pointer, *key; } *unordered;
	size_t unordered_count;
	/* the candidate's that may stand for the legacy's; text: as written */
	struct rules_status {
		const char *text;
		struct rules_statuses legacy, candidate;
	} *status;
	size_t status_count;
	/* at: a JSON pointer, "header:NAME" or "body" */
	struct rules_normalise {
		const char *at;
		struct pattern *pattern;
	} *normalise;
	size_t normalise_count;
	/* A share of the safe requests is put to the legacy, or that target,
	 * a second time. */
	uint32_t noise_ppm;
	const struct rules_target *noise_target;	/* NULL: the legacy */
	uint64_t fingerprint;		/* of all this and "match" */
};

/* When a command's caller is answered: when the reply is there, at once with
 * 202, or as he prefers (RFC 7240). */
enum rules_respond { RULES_RESPOND_SYNC, RULES_RESPOND_ASYNC,
		     RULES_RESPOND_PREFER };
enum rules_done { RULES_DONE_ANSWER, RULES_DONE_REDIRECT };
enum rules_caller { RULES_CALLER_ANY, RULES_CALLER_HEADER,
		    RULES_CALLER_COOKIE };

/* Commands whose answer is kept. */
struct rules_later {
	enum rules_respond respond;
	enum rules_done when_done;
	enum rules_caller caller;
	const char *caller_name;	/* of the header or cookie */
	unsigned keep_ms;
	bool idempotent;		/* Idempotency-Key means something */
	bool key_required;
	const char *const *headers;	/* part of the fingerprint */
	size_t header_count;
	const struct rules_target *hook;	/* told of the end, or NULL */
};

/* How a share rises by itself. */
#define RULES_RAMP_STEPS 32
struct rules_ramp {
	const uint32_t *steps;		/* shares in ppm, rising */
	size_t step_count;
	unsigned every_ms;
	/* What a step requires. */
	unsigned samples;
	uint32_t match_ppm;		/* 0: not asked for */
	uint32_t errors_ppm;
	double latency_ratio;		/* 0: not asked for */
};

#define RULES_SHARE_ALL 1000000u	/* shares are parts per million */

/* Where an endpoint is: a stage, and for a canary the share. */
struct rules_place {
	enum rules_stage stage;
	uint32_t share_ppm;
};

struct rules_rule {
	const char *name;
	unsigned index;			/* 0 .. rule_count-1; default is last */
	int line;			/* in the file; 0 for built-in */
	enum rules_stage stage;
	const char *path_template;	/* "/products/{id}", NULL: any path */
	const struct rules_target *target;	/* NULL: none */
	const struct rules_target *shadow;	/* once migrated; NULL: none */
	uint32_t share_ppm;		/* canary */
	/* Where the rule was moved to while it runs, 0: as the file says. The
	 * only part of a set that changes: see rules_place. */
	_Atomic uint64_t moved_to;
	uint32_t sample_ppm;		/* shadow */
	enum rules_stick stick;
	const char *stick_name;		/* header, cookie, query name */
	enum rules_on_failure on_failure;
	bool shadow_unsafe;		/* unsafe methods may be shadowed */
	/* By method safety unless the rule says otherwise (`durability`). */
	enum rules_durability durability_safe, durability_unsafe;
	size_t record_body_bytes;	/* capture cap a side */
	struct rules_compare compare;
	struct emit_list emits;
	struct rules_later later;
	const struct rules_ramp *ramp;	/* NULL: none */
};

/* An outside broker fed from the journal (adapters/). */
struct rules_adapter {
	const char *name, *kind;
	const char *type_filter;	/* "*" or "shop.order.*" */
	const char *subject_filter;
	struct rules_setting { const char *key, *value; } *settings;
	size_t setting_count;
	int line;
};

/* An event that a rule emits; a type of events, with all who emit it. */
struct rules_emitter {
	const struct rules_rule *rule;
	const struct emit *emit;
};
struct rules_event {
	const char *type;
	const char *schema;		/* dataschema */
	const char *file;		/* of the schema, NULL: derived */
	struct span text;		/* JSON Schema of the data */
	int line;			/* of the rule */
	const struct rules_emitter *from;
	size_t from_count;
};

/* Who must not break by a change; table in rules/compatibility.def. */
enum { RULES_OLD_BY_NEW = 1, RULES_NEW_BY_OLD = 2 };
enum rules_compatibility {
#define COMPATIBILITY(sym, directions, sentence) RULES_COMPATIBILITY_##sym,
#include "rules/compatibility.def"
#undef COMPATIBILITY
	RULES_COMPATIBILITY_COUNT
};

struct rules {
	uint32_t magic;
	atomic_uint refs;
	const char *path;		/* file, or NULL for --legacy */
	uint64_t hash;			/* of the text: status and events */
	struct rules_target *targets;
	size_t target_count;
	const struct rules_target *legacy;	/* always there */
	struct rules_rule *rules;	/* named rules, then the default */
	size_t rule_count;
	struct redact redact;
	uint8_t share_key[16];
	const char *status_path;	/* "/.../", NULL: none is reserved */
	struct rules_adapter *adapters;
	size_t adapter_count;
	struct rules_event *events;	/* by type */
	size_t event_count;
	struct pattern **patterns;	/* of all rules, to free them */
	size_t pattern_count;
	enum rules_compatibility emit_compatibility;
	bool emit_refuses;		/* a change that breaks is refused */
	struct rules_index *index;	/* compiled matcher, rules/match.c */
	struct rules_memory *memory;	/* everything above lives here */
};

/* Load. All return a set with one reference, or NULL with err (line and
 * column in the file). May block (file, name resolution): never on a worker.
 * The result is immutable and may be read by any thread. */
MUST_CHECK struct rules *rules_load_file(const char *path, struct error *err);
MUST_CHECK struct rules *rules_load_text(const char *name, const char *text,
					 size_t len, struct error *err);
/* rules_from_legacy: no rules file; everything goes to url and is mirrored. */
MUST_CHECK struct rules *rules_from_legacy(const char *url, struct error *err);
struct rules *rules_ref(const struct rules *r);
void rules_unref(struct rules **r);

/* rules_match returns the most specific rule, never NULL (the default rule
 * matches everything). Does not allocate or block. Any thread. */
const struct rules_rule *rules_match(const struct rules *r,
				     const struct message_request *req);
/* rules_path_is_ambiguous: would servers that read the path in another way
 * (dot segments, %2F, "//", ";x" and so on) have it answered by somebody else
 * than `rule`, which rules_match gave? Any thread. */
bool rules_path_is_ambiguous(const struct rules *r,
			     const struct message_request *req,
			     const struct rules_rule *rule);
/* rules_match_explain does the same and appends one line for each rule that
 * was considered and why it won or lost. */
const struct rules_rule *rules_match_explain(const struct rules *r,
					     const struct message_request *req,
					     struct buf *why);

/* rules_place: where the rule is now; rules_move puts it elsewhere than the
 * file says, for all threads from then on, rules_move_back undoes that. Read
 * it once for a request. Any thread. */
struct rules_place rules_place(const struct rules_rule *rule);
void rules_move(struct rules_rule *rule, struct rules_place to);
void rules_move_back(struct rules_rule *rule);
/* rules_shadow_at: who may get a copy there, NULL: nobody. */
const struct rules_target *rules_shadow_at(const struct rules_rule *rule,
					   struct rules_place place);
/* rules_find: the rule of that name ("default" is one), or NULL. */
struct rules_rule *rules_find(const struct rules *r, const char *name);

/* rules_entry_line: on which line of a file's text "compare" of that rule has
 * that entry: an element of the list `key`, a member of the object, or `key`
 * itself. 0: it is not there. Any thread. */
int rules_entry_line(struct span file, const char *rule, const char *key,
		     const char *entry);
/* rules_lint appends warnings (overlapping or unreachable rules, unused
 * targets), one a line, and returns their number. */
size_t rules_lint(const struct rules *r, struct buf *out);
/* rules_run_expect runs the `expect` list inside the file: returns the
 * number of failures and appends a line for each. */
size_t rules_run_expect(const struct rules *r, struct buf *out, size_t *ran);
/* rules_schema appends a JSON Schema of the file, made from keys.def. */
void rules_schema(struct buf *out);

/* rules_event_find returns the type of events, or NULL. Any thread. */
const struct rules_event *rules_event_find(const struct rules *r,
					   const char *type);
/* rules_compare_events appends a line ("line N: words", N in `new`) for each
 * change of the events of `old` that breaks consumers, and returns their
 * number; notes are what they may notice. One thread at a time. */
size_t rules_compare_events(const struct rules *old, const struct rules *new,
			    enum rules_compatibility mode,
			    struct buf *findings, struct buf *notes);
const char *rules_compatibility_name(enum rules_compatibility c);
unsigned rules_compatibility_directions(enum rules_compatibility c);

/* rules_status_in: does the set have that status? */
bool rules_status_in(const struct rules_statuses *set, int status);

/* rules_lookup asks for the addresses of a host; returns their number, at
 * most `max`, or -1 with err. Blocks; any thread but a worker. */
struct rules_found {
	struct sockaddr_storage addr;
	socklen_t addr_len;
	char text[80];
};
#define RULES_ADDRESSES_MAX 64
int rules_lookup(const char *name, const char *port, struct rules_found *list,
		 size_t max, struct error *err);

const char *rules_stage_name(enum rules_stage s);
bool rules_method_is_safe(struct span method);	/* RFC 9110 9.2.1 */

#endif
